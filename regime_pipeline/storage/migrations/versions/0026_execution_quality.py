"""What trading would have cost, hour by hour."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the table."""
    create_table("signals.execution_quality")
