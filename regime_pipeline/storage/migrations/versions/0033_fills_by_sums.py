"""Fills of paper orders say whether levels were walked; all before were walked by a book's sums."""

from __future__ import annotations

from regime_pipeline.storage.schema import driver_connection, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Name what the stored fills are; their later versions keep what they said."""
    driver_connection().execute(
        "update signals.trade_executions set fill_kind = 'sums' where fill_kind = 'book'"
    )
