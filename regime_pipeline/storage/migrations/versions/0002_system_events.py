"""Operational events have a table of their own, whether or not anybody is told of them."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the table."""
    create_table("alerts.system_events")
