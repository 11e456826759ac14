"""A collector that was told to end says so, and is not taken for one that died."""

from __future__ import annotations

from regime_pipeline.storage.schema import add_column, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Add the column."""
    add_column("ops.collector_heartbeat", "ended_at")
