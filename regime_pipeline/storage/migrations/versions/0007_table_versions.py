"""Every table has a version that its changes raise, so that readers can keep what they have read."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the table."""
    create_table("ops.table_versions")
