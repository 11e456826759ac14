"""How many subscriptions of the collector died alone is told with its beat."""

from __future__ import annotations

from regime_pipeline.storage.schema import add_column, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Add the column."""
    add_column("ops.collector_heartbeat", "death_count")
