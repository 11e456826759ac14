"""The matrix of signal components of all symbols together."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the table."""
    create_table("correlation.signal_correlations_pooled")
