"""What is not kept for ever, and what stays of it."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, _ = numbered(__file__)
down_revision = "0022"


def upgrade() -> None:
    """Make the tables."""
    create_table("ops.fetch_days")
    create_table("ops.retention")
