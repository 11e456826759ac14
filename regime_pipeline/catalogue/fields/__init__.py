"""Fields by subject. A column that several layers share is described in ``common``."""

from __future__ import annotations

from regime_pipeline.catalogue.fields import (
    alerts,
    common,
    correlation,
    features,
    legacy,
    market,
    ops,
    regimes,
    signals,
)

GROUPS = (
    common.FIELDS,
    market.FIELDS,
    features.FIELDS,
    regimes.FIELDS,
    correlation.FIELDS,
    signals.FIELDS,
    legacy.FIELDS,
    alerts.FIELDS,
    ops.FIELDS,
)
