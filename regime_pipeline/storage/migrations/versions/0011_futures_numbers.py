"""Futures scores show the weight and the raw numbers of every factor."""

from __future__ import annotations

from regime_pipeline.catalogue.registry import table
from regime_pipeline.storage.schema import add_column, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Add the columns."""
    for column in table("signals.futures_scores").fields:
        add_column("signals.futures_scores", column)
