"""Prices and books of this moment in the tables ``live.*``: for people who look, never an input.

Belongs here: what is shown of sound books and marks, how far it can be trusted, writing and forgetting.
Does not belong here: keeping books (``book``), samples that are stored for good (``store``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, NamedTuple

import orjson
import psycopg
from psycopg.types.json import Jsonb

from regime_pipeline.catalogue import table
from regime_pipeline.collect import decode
from regime_pipeline.collect.book import Levels
from regime_pipeline.collect.plan import Line, Subscription
from regime_pipeline.collect.segments import Record
from regime_pipeline.collect.watch import S
from regime_pipeline.providers.fetch.stream import Stream
from regime_pipeline.settings import Settings
from regime_pipeline.storage.statements import upsert
from regime_pipeline.storage.warehouse import Warehouse

PRICES_EVERY_NS = 5 * S
BOOKS_EVERY_NS = 10 * S
STORED_EVERY_NS = 300 * S
"""How often a book becomes a row of ``raw.order_book``, as the schedule of requests has it."""
SHOWN_LEVELS = 20
STALE_AFTER_S = 15.0
OFF_MARKET_FRAC = 0.01
KEPT = timedelta(hours=48)
FORGET_EVERY = 60
CHANNEL = "regime_live"
PRICES, BOOKS = "live.prices_5s", "live.books_10s"

Series = tuple[str, str, str, str]
"""Source, venue, market, symbol."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a topic said of this moment.

    Attributes:
        line: the connection.
        subscription: the topic.
        at_ns: the moment.
        heard_ns: when its last message came; None: none came.
        levels: the sound book; None: it is not about a book.
        marks: prices by our names.
        has_book_sample: whether it is also one of the samples that are shown as books.
    """

    line: Line
    subscription: Subscription
    at_ns: int
    heard_ns: int | None
    levels: Levels | None = None
    marks: Mapping[str, float] | None = None
    has_book_sample: bool = False


class Price(NamedTuple):
    """Prices of a series at a moment, per coin; None: not known."""

    best_bid: float | None
    best_ask: float | None
    latest_mark_price: float | None
    latest_index_price: float | None
    age_s: float

    @property
    def mid(self) -> float | None:
        """Half way between the best prices."""
        if self.best_bid is None or self.best_ask is None:
            return None
        return (self.best_bid + self.best_ask) / 2.0


def prices_of(seen: Iterable[Seen]) -> dict[Series, Price]:
    """The prices of each series that has a sound book, with the marks of the same instrument."""
    books: dict[Series, tuple[Seen, Levels]] = {}
    marks: dict[Series, Mapping[str, float]] = {}
    for one in seen:
        if one.levels is not None:
            books[_series(one)] = one, one.levels
        elif one.marks:
            marks[_series(one)] = one.marks
    out = {}
    for series, (one, levels) in books.items():
        each = one.subscription.symbols[0].multiplier
        told = marks.get(series, {})
        mark, index = told.get("mark_price"), told.get("index_price")
        out[series] = Price(
            best_bid=levels.bids[0][0] / each if levels.bids else None,
            best_ask=levels.asks[0][0] / each if levels.asks else None,
            latest_mark_price=None if mark is None else mark / each,
            latest_index_price=None if index is None else index / each,
            age_s=max(0.0, (one.at_ns - (one.heard_ns or 0)) / S),
        )
    return out


def qualities(prices: Mapping[Series, Price]) -> dict[Series, str]:
    """How far each series can be trusted: ``ok``, ``stale``, ``crossed``, ``off_market``.

    A mid is off the market when it is further than one hundredth from the median of all venues' of the
    same market and symbol; of two venues neither can be called off.
    """
    mids: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (_, _, market, symbol), price in prices.items():
        if price.mid is not None:
            mids[market, symbol].append(price.mid)
    out = {}
    for series, price in prices.items():
        others = mids[series[2], series[3]]
        usual = median(others) if len(others) > 2 else None
        if price.age_s > STALE_AFTER_S:
            out[series] = "stale"
        elif price.mid is not None and price.best_bid >= price.best_ask:  # type: ignore[operator]
            out[series] = "crossed"
        elif price.mid is not None and usual and abs(price.mid / usual - 1.0) > OFF_MARKET_FRAC:
            out[series] = "off_market"
        else:
            out[series] = "ok"
    return out


class Live:
    """Writes the tables of this moment.

    Args:
        warehouse: the tables.
        settings: which series are the primary ones.
    """

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        self._warehouse, self._settings = warehouse, settings
        self._turn = 0

    def write(self, seen: Sequence[Seen], sizes: Sequence[Stream]) -> int:
        """Writes what was seen at one moment and tells those who listen; rows.

        Raises:
            StorageError: the database is away; what was to be shown is left out.
        """
        if not seen:
            return 0
        at = decode.at(seen[0].at_ns)
        prices = prices_of(seen)
        quality = qualities(prices)
        rows = [
            (*series, at, p.best_bid, p.best_ask, p.mid, p.latest_mark_price,
             p.latest_index_price, p.age_s, quality[series])
            for series, p in prices.items()
        ]  # fmt: skip
        names = (
            "source", "venue", "market", "symbol", "ts", "best_bid", "best_ask", "mid",
            "latest_mark_price", "latest_index_price", "age_s", "live_quality",
        )  # fmt: skip
        books = self._books([s for s in seen if s.has_book_sample], sizes, quality)
        told = orjson.dumps({"at": at.isoformat(), "prices": len(rows), "books": len(books)})
        self._turn += 1
        forget = self._turn % FORGET_EVERY == 1

        def work(connection: psycopg.Connection) -> None:
            with connection.cursor() as cursor:
                cursor.executemany(upsert(table(PRICES), names), rows)
                if books:
                    put = upsert(table(BOOKS), tuple(books[0]))
                    cursor.executemany(put, [tuple(row.values()) for row in books])
                if forget:
                    cursor.execute("delete from live.prices_5s where ts < %s", (at - KEPT,))
                    cursor.execute("delete from live.books_10s where ts < %s", (at - KEPT,))
                cursor.execute("select pg_notify(%s, %s)", (CHANNEL, told.decode()))

        self._warehouse.transact(work)
        return len(rows) + len(books)

    def _books(
        self, seen: Sequence[Seen], sizes: Sequence[Stream], quality: Mapping[Series, str]
    ) -> list[dict[str, Any]]:
        """Rows as the table of stored samples would have them, with the levels nearest to the mid."""
        levels = {_series(one): one.levels for one in seen}
        batches = [decode.Batch(one.line, "", [record_of(one)]) for one in seen]
        parsed = decode.parsed(batches, ["order_book"])
        frame, _ = decode.rows("order_book", parsed, self._settings, sizes=sizes)
        wanted = [f for f in table(BOOKS).fields if f in frame.columns]
        frame = frame[wanted].astype(object).where(frame[wanted].notna(), None)
        out = []
        for row in frame.to_dict("records"):
            series = (row["source"], row["venue"], row["market"], row["symbol"])
            found = levels[series]
            assert found is not None
            shown = {"bids": found.bids[:SHOWN_LEVELS], "asks": found.asks[:SHOWN_LEVELS]}
            row |= {"top_levels": Jsonb(shown), "live_quality": quality[series]}
            out.append(
                {
                    str(k): v.to_pydatetime() if hasattr(v, "to_pydatetime") else v
                    for k, v in row.items()
                }
            )
        return out


def record_of(seen: Seen) -> Record:
    """A sound book as a message of its topic, as it is kept for good every few minutes."""
    rules = seen.subscription.channel.book
    assert rules is not None
    assert seen.levels is not None
    return Record(seen.at_ns, orjson.dumps(rules.message(seen.subscription.topic, seen.levels)))


def _series(one: Seen) -> Series:
    feed = one.subscription.channel.feeds[0]
    symbol = one.subscription.symbols[0].canonical
    return one.line.source.name, feed.venue, feed.market, symbol
