"""Tables by layer, in the order in which data flows through them."""

from __future__ import annotations

from regime_pipeline.catalogue.tables import (
    alerts,
    correlation,
    features,
    live,
    market,
    models,
    ops,
    paper,
    raw,
    regimes,
    research,
    signals,
)

GROUPS = (
    raw.TABLES,
    market.TABLES,
    features.TABLES,
    regimes.TABLES,
    correlation.TABLES,
    signals.TABLES,
    research.TABLES,
    models.TABLES,
    paper.TABLES,
    alerts.TABLES,
    ops.TABLES,
    live.TABLES,
)
