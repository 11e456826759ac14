"""The fetch log says which time the rows of an answer are about, which tells what it is an answer to."""

from __future__ import annotations

from regime_pipeline.storage.schema import add_column, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Add the columns."""
    add_column("ops.fetch_log", "first_row_at")
    add_column("ops.fetch_log", "last_row_at")
