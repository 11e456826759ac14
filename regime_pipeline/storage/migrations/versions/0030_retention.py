"""What is not kept for ever, and what stays of it."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the tables."""
    create_table("ops.fetch_days")
    create_table("ops.retention")
