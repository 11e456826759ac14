"""The levels of a sampled book, read again from the bytes that its row was made from.

Belongs here: finding the reply or the message, and the parser that summed it. Does not belong here: what the
levels are used for (``research.fills``), summing them (``providers.books``). ``raw.order_book`` keeps sums
only, because a year of levels takes a hundred times their room.

Levels are given only where they say what the row says: the same mid, as many of them, and of a venue that
counts in contracts the same value. Everything else is no book, and the reason is logged.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson

from regime_pipeline.collect.decode import at
from regime_pipeline.collect.plan import Connection, Kind
from regime_pipeline.collect.segments import SUFFIX, clock_offset_ns, is_segment, parts
from regime_pipeline.market.book_levels import REACH_BPS, Levels, Sampled
from regime_pipeline.providers.errors import ProviderError
from regime_pipeline.providers.landing import LandingError, LandingStore
from regime_pipeline.providers.readings import Book
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.providers.source import Feed
from regime_pipeline.storage.database import Database

DATASET = "order_book"
_BPS = 1e4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAME = 1e-9
_log = logging.getLogger(__name__)


class StoredBooks:
    """Finds the levels of sampled books.

    Args:
        database: with the index of the landing store.
        landing: where replies and closed segments lie.
        folder: where the collector's open segments lie, ``<home>/collect``.
    """

    def __init__(self, database: Database, landing: LandingStore, folder: Path) -> None:
        self._database, self._landing, self._folder = database, landing, folder

    def levels(self, book: Sampled) -> Levels | None:
        """The levels of a book; None, with a warning, where its bytes are gone or say something else."""
        try:
            for feed, found in self._read(book):
                if (levels := _agreeing(book, found, feed)) is not None:
                    return levels
            why = "no book in it has the sums of the row"
        except (LandingError, ProviderError, OSError) as error:
            why = str(error)
        _log.warning("%s at %s: walked by its sums: %s", book.source, book.at_us, why)
        return None

    def _read(self, book: Sampled) -> Iterator[tuple[Feed, Book]]:
        if book.payload_id is None:
            raise LandingError("the row names no reply")
        if book.payload_id.endswith(SUFFIX):  # a segment that is still written to
            yield from _messages(book, self._folder / book.payload_id)
            return
        body = self._landing.get(book.payload_id, self._place(book.payload_id))
        if is_segment(body):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "segment"
                path.write_bytes(body)
                yield from _messages(book, path)
            return
        for feed in SOURCES[book.source].feeds:
            if (feed.dataset, feed.market) == (DATASET, book.market):
                yield from _parsed(feed, body)

    def _place(self, payload_id: str) -> str | None:
        with self._database.connect() as connection:
            found = connection.execute(
                "select landing_path from ops.payloads where payload_id = %s limit 1", (payload_id,)
            ).fetchone()
        return None if found is None else str(found[0])


def _parsed(feed: Feed, body: bytes) -> Iterator[tuple[Feed, Book]]:
    found: list[Book] = []
    feed.endpoint.parse(body, replace(feed.context, books=found))
    yield from ((feed, one) for one in found)


def _messages(book: Sampled, path: Path) -> Iterator[tuple[Feed, Book]]:
    """The books of a segment that were sampled at the instant of the row."""
    offset = clock_offset_ns(path)
    sampled_at = _EPOCH + timedelta(microseconds=book.at_us)
    for part in parts(path):
        for record in part.records:
            if at(record.received_ns + offset) != sampled_at:
                continue
            for connection, feed in _feeds(book):
                with contextlib.suppress(ProviderError, orjson.JSONDecodeError):  # of another kind
                    message = orjson.loads(record.body)
                    if connection.dialect.heard(message).kind is Kind.DATA:
                        yield from _parsed(feed, connection.dialect.joined([message]))


def _feeds(book: Sampled) -> Iterator[tuple[Connection, Feed]]:
    from regime_pipeline.collect.venues import CONNECTIONS

    for connection in CONNECTIONS:
        if connection.source.name == book.source:
            for channel in connection.channels:
                for feed in channel.stored:
                    if (feed.dataset, feed.market) == (DATASET, book.market):
                        yield connection, feed


def _agreeing(book: Sampled, found: Book, feed: Feed) -> Levels | None:
    """The levels in coins; None where they are not what the row was made from."""
    sides = (found.bid_prices, found.bid_sizes, 1), (found.ask_prices, found.ask_sizes, -1)
    if tuple(len(prices) for prices, *_ in sides) != book.levels or 0 in book.levels:
        return None
    mid = (found.bid_prices[0] + found.ask_prices[0]) / 2.0
    if mid != book.mid:
        return None
    near = [_BPS * sign * (mid - prices) / mid <= REACH_BPS for prices, _, sign in sides]
    sums = [
        float(np.dot(prices[inside], sizes[inside]))
        for (prices, sizes, _), inside in zip(sides, near, strict=True)
    ]
    # of contracts the row has the value, so that it says what one is worth
    per_unit = [told / value for told, value in zip(book.depth_25_usd, sums, strict=True) if value]
    unit = per_unit[0] if feed.in_contracts and per_unit else 1.0
    if any(abs(one - unit) > _SAME * unit for one in per_unit):
        return None
    return Levels(
        (found.bid_prices, found.bid_sizes * unit), (found.ask_prices, found.ask_sizes * unit)
    )
