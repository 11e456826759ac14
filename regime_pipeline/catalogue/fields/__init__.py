"""Fields by subject. A column that several layers share is described in ``common``."""

from __future__ import annotations

from regime_pipeline.catalogue.fields import (
    alerts,
    attention,
    common,
    correlation,
    features,
    legacy,
    market,
    microstructure,
    models,
    ops,
    options,
    paper,
    regimes,
    research,
    signals,
)

GROUPS = (
    common.FIELDS,
    market.FIELDS,
    microstructure.FIELDS,
    options.FIELDS,
    attention.FIELDS,
    features.FIELDS,
    regimes.FIELDS,
    correlation.FIELDS,
    signals.FIELDS,
    research.FIELDS,
    models.FIELDS,
    paper.FIELDS,
    legacy.FIELDS,
    alerts.FIELDS,
    ops.FIELDS,
)
