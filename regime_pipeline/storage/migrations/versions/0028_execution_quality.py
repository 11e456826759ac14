"""What trading would have cost, hour by hour."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table

revision, down_revision = "0028", "0022"


def upgrade() -> None:
    """Make the table."""
    create_table("signals.execution_quality")
