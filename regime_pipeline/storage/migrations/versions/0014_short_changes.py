"""Price changes under an hour, from snapshots of the book; what aggregators show of a coin, in full."""

from __future__ import annotations

from regime_pipeline.catalogue.registry import table
from regime_pipeline.storage.schema import add_column, numbered

revision, down_revision = numbered(__file__)


def upgrade() -> None:
    """Add the columns."""
    for name in ("market.order_book_1h", "market.metrics_1h", "raw.coin_markets"):
        for column in table(name).fields:
            add_column(name, column)
