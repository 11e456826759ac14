"""What the live collector heard and how far it is stored."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables."""
    create_table("ops.stream_offsets")
    create_table("ops.stream_spans")
    create_table("ops.stream_hours")
    create_table("ops.collector_heartbeat")
