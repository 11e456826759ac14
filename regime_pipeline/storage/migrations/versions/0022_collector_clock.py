"""How far the collector's clock is from the venues' is told with its beat."""

from __future__ import annotations

from regime_pipeline.storage.schema import add_column, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Add the column."""
    add_column("ops.collector_heartbeat", "clock_offset_s")
