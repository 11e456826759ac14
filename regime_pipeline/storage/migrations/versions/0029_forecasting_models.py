"""Forecasting models: the registry of fits, what their forecasts were worth, what they say."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables."""
    for name in ("signals.models", "signals.model_performance", "signals.model_predictions"):
        create_table(name)
