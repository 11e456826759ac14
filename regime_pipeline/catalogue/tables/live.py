"""What the live collector shows of this moment: looked at, never an input, kept for two days.

The tables are not logged: a crash of the database empties them, and the collector fills them again.
"""

from __future__ import annotations

from regime_pipeline.catalogue.model import Table
from regime_pipeline.catalogue.tables.raw import BOOK_COLUMNS

_SERIES = ("source", "venue", "market", "symbol")

TABLES = (
    Table(
        schema="live",
        name="prices_5s",
        description="Best prices and marks every five seconds, of books that missed no change. A series "
        "whose book is not sound has no row.",
        fields=(
            *_SERIES,
            "ts",
            "best_bid",
            "best_ask",
            "mid",
            "latest_mark_price",
            "latest_index_price",
            "age_s",
            "live_quality",
        ),
        key=(*_SERIES, "ts"),
        required=frozenset({"age_s", "live_quality"}),
        partitioned=False,
        indexes=(("ts",),),
    ),
    Table(
        schema="live",
        name="books_10s",
        description="Order books every ten seconds, summed as in raw.order_book, with their best levels.",
        fields=(*_SERIES, "ts", *BOOK_COLUMNS, "top_levels", "live_quality"),
        key=(*_SERIES, "ts"),
        required=frozenset({"top_levels", "live_quality"}),
        partitioned=False,
        indexes=(("ts",),),
    ),
)
