"""Signals: components beside momentum, what is made of them, metrics, snapshots."""

from __future__ import annotations

from regime_pipeline.catalogue.registry import table
from regime_pipeline.storage.schema import add_column, create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Add the columns and make the tables."""
    for column in table("signals.components").fields:
        add_column("signals.components", column)
    create_table("market.metrics_1h")
    create_table("features.price_structure")
    create_table("signals.confluence")
    create_table("correlation.signal_correlations")
    create_table("signals.snapshots")
    create_table("signals.dashboard_comparison")
    create_table("ops.parameter_versions")
