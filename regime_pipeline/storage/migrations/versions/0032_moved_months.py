"""Closed months may leave the database for files that are read as if they were in it."""

from __future__ import annotations

from regime_pipeline.storage.schema import create_table, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Make the table that knows them."""
    create_table("ops.moved_months")
