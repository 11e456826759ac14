"""What each step of a run cost."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table

revision, down_revision = "0024", "0022"


def upgrade() -> None:
    """Make the table."""
    create_table("ops.run_steps")
