"""What every simulated provider shares: the tape, the clock, the shelf of rows, request parameters.

Belongs here: looking series up at a bucket length, counting weights, replying. Does not belong
here: anything only one provider does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from regime_pipeline.simulator.microstructure import Book, Trades
from regime_pipeline.simulator.render import Feed, Render, Shelf, one_row
from regime_pipeline.simulator.series import (
    DAY_MS,
    HOUR_MS,
    Candles,
    Liquidations,
    OpenInterest,
    Premium,
)
from regime_pipeline.simulator.tape import Tape
from regime_pipeline.windows import Clock

NEVER_MS = 2**62
_HOURS_KEPT = 4096
_BOOKS_KEPT = 128


class BadParameterError(ValueError):
    """A parameter the provider refuses; ``name`` is the parameter."""

    def __init__(self, name: str, *, missing: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.missing = missing


class Query(dict[str, str]):
    """The parameters of one request."""

    @classmethod
    def of(cls, request: Request) -> Query:
        """Parsed from the query string, blanks dropped."""
        return cls(parse_qsl(request.scope["query_string"].decode("latin-1")))

    def whole(self, name: str, default: int) -> int:
        """A whole number.

        Raises:
            BadParameterError: it is none, or negative.
        """
        text = self.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 16:
            raise BadParameterError(name)
        return int(text)

    def needed(self, name: str) -> str:
        """A text that has to be there.

        Raises:
            BadParameterError: it is not.
        """
        if name not in self:
            raise BadParameterError(name, missing=True)
        return self[name]


class Meter:
    """Request weight used in the current minute, as a provider counts it."""

    def __init__(self) -> None:
        self._minute = -1
        self._used = 0

    def add(self, weight: int) -> int:
        """The minute's total after ``weight`` more."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += weight
        return self._used


@dataclass(frozen=True, slots=True)
class BookVersion:
    """A book as it was looked at; the next one's number is one more."""

    number: int
    at_ms: int
    book: Book
    tape: Tape


@dataclass
class World:
    """One server's tape, clock and memory.

    ``walls``: whether retention limits hold (thirty days of Binance statistics, 1440 rows at OKX).
    """

    tape: Tape
    clock: Clock
    walls: bool = False
    shelf: Shelf = field(default_factory=Shelf)
    _feeds: dict[Hashable, Feed | None] = field(default_factory=dict)
    _digits: dict[Hashable, Any] = field(default_factory=dict)
    _meters: dict[str, Meter] = field(default_factory=dict)
    _hours: dict[Hashable, Trades | None] = field(default_factory=dict)
    _books: dict[tuple[str, str, str], deque[BookVersion]] = field(default_factory=dict)
    _renumbered: set[tuple[str, str, str]] = field(default_factory=set)

    def now_ms(self) -> int:
        """The present instant in epoch milliseconds."""
        return int(self.clock.now().timestamp() * 1000)

    def used(self, provider: str, weight: int) -> int:
        """Weight used at a provider this minute, with ``weight`` more."""
        return self._meters.setdefault(provider, Meter()).add(weight)

    def feed(
        self, kind: str, venue: str, detail: str, symbol: str, step_ms: int, offset_ms: int = 0
    ) -> Feed | None:
        """A series of the tape at a bucket length; None where the tape has none.

        ``detail`` is the market of candles and takers, the metric of positioning, else empty.
        ``takers`` are the bars whose taker side is known.
        """
        name = (kind, venue, detail, symbol, step_ms, offset_ms)
        if name not in self._feeds:
            series = self._series(kind, venue, detail, symbol)
            self._feeds[name] = None if series is None else Feed.of(series, step_ms, offset_ms)
        return self._feeds[name]

    def _series(self, kind: str, venue: str, detail: str, symbol: str) -> Any:
        if kind == "candles":
            return self.tape.candles(venue, detail, symbol)
        if kind == "positioning":
            return self.tape.positioning(venue, symbol, detail)
        if kind == "takers":
            return _with_takers(self.tape.candles(venue, detail, symbol))
        if kind == "premium":
            contract = self.tape.candles(venue, "perp", symbol)
            index = self.tape.candles(venue, self.index_market(venue, symbol), symbol)
            if contract is None or index is None:
                return None
            return Premium.between(contract, index)
        if kind == "volatility_index":
            return self.tape.volatility_index(symbol)
        if kind == "fear_greed":
            return self.tape.fear_greed()
        if kind == "mood":
            return self.tape.mood(symbol, detail)
        if "+" in venue:
            parts = [self._series(kind, one, detail, symbol) for one in venue.split("+")]
            return _summed([p for p in parts if p is not None])
        ask = {
            "funding": self.tape.funding,
            "open_interest": self.tape.open_interest,
            "liquidations": self.tape.liquidations,
        }
        return ask[kind](venue, symbol)

    def last_price(self, venue: str, market: str, symbol: str) -> float | None:
        """The price of this moment; None where the tape has no bar yet."""
        feed = self.feed("candles", venue, market, symbol, HOUR_MS)
        if feed is None:
            return None
        _, stop, opened = feed.page(self.now_ms(), 0, NEVER_MS, 1, newest=True)
        if opened is not None:
            return float(opened.close[0])
        return float(feed.closed.close[stop - 1]) if stop else None

    def last_day(self, venue: str, market: str, symbol: str) -> Candles | None:
        """The 24 h up to this moment as one bar; None where the tape has no bar in them.

        Of the hour that is partly inside its share counts. A quote volume that was not recorded is
        the volume at the middle of its bar.
        """
        feed = self.feed("candles", venue, market, symbol, HOUR_MS)
        if feed is None:
            return None
        begin = self.now_ms() - DAY_MS
        first, stop, opened = feed.page(
            self.now_ms(), begin - HOUR_MS + 1, NEVER_MS, 25, newest=True
        )
        bars: Candles = feed.closed.rows(slice(first, stop))
        if len(bars) and bars.ts[0] < begin:
            passed = (begin - int(bars.ts[0])) / HOUR_MS
            bars = bars.rows(slice(0, 1)).rest(passed).joined_to(bars.rows(slice(1, None)))
        if opened is not None:
            bars = bars.joined_to(opened)
        if not len(bars):
            return None
        middle = bars.volume_base * (bars.high + bars.low + bars.close) / 3.0
        told = np.where(np.isfinite(bars.volume_quote), bars.volume_quote, middle)
        return replace(bars, volume_quote=told).bucketed(2 * DAY_MS, int(bars.ts[0]))

    def index_market(self, venue: str, symbol: str) -> str:
        """The market whose price is the index of a venue's perpetual: spot where it is on the tape."""
        known = self.feed("candles", venue, "spot", symbol, HOUR_MS) is not None
        return "spot" if known else "perp"

    def book(self, venue: str, market: str, symbol: str) -> Book | None:
        """The order book of this second; None where the tape has none."""
        found = self.book_versions(venue, market, symbol)
        return found[-1].book if found else None

    def book_versions(self, venue: str, market: str, symbol: str) -> Sequence[BookVersion]:
        """The books that were looked at lately, oldest first, the last of them this second's; or none."""
        second = self.now_ms() // 1000
        kept = self._books.setdefault((venue, market, symbol), deque(maxlen=_BOOKS_KEPT))
        if kept and kept[-1].at_ms // 1000 == second and kept[-1].tape is self.tape:
            return kept
        price = self.last_price(venue, market, symbol)
        book = None
        if price is not None:
            book = self.tape.order_book(venue, market, symbol, self.now_ms(), price)
        if book is None:
            return ()
        number = self.now_ms() // 100 if not kept else kept[-1].number + 1
        if (venue, market, symbol) in self._renumbered:
            self._renumbered.discard((venue, market, symbol))
            number = 1
        kept.append(BookVersion(number, self.now_ms(), book, self.tape))
        return kept

    def renumber_book(self, venue: str, market: str, symbol: str) -> None:
        """The next book begins with number 1 again, as after a restart of the venue's service."""
        self._renumbered.add((venue, market, symbol))

    def trades_of_hour(self, venue: str, market: str, symbol: str, hour_ms: int) -> Trades | None:
        """The trades of one hour, whether they have happened yet or not."""
        key = ("trades", venue, market, symbol, hour_ms)
        if key not in self._hours:
            if len(self._hours) >= _HOURS_KEPT:
                self._hours.clear()
            self._hours[key] = self.tape.trades(venue, market, symbol, hour_ms)
        return self._hours[key]

    def trades(
        self, venue: str, market: str, symbol: str, low: int, high: int, limit: int
    ) -> Trades | None:
        """The first ``limit`` trades with low <= ts <= high that have happened; None without any."""
        parts: list[Trades] = []
        high, count = min(high, self.now_ms()), 0
        hour = max(low, self._first_ms(venue, market, symbol)) // HOUR_MS * HOUR_MS
        while hour <= high and count < limit:
            part = self.trades_of_hour(venue, market, symbol, hour)
            if part is not None:
                part = part.rows((part.ts >= low) & (part.ts <= high))
                parts.append(part)
                count += len(part)
            hour += HOUR_MS
        return _joined(parts, slice(0, limit))

    def newest_trades(
        self, venue: str, market: str, symbol: str, before: int, limit: int
    ) -> Trades | None:
        """The newest ``limit`` trades with ts < before that have happened, ascending."""
        parts: list[Trades] = []
        before, count = min(before, self.now_ms() + 1), 0
        first = self._first_ms(venue, market, symbol)
        hour = (before - 1) // HOUR_MS * HOUR_MS
        while hour >= first and count < limit:
            part = self.trades_of_hour(venue, market, symbol, hour)
            if part is not None:
                part = part.rows(part.ts < before)
                parts.insert(0, part)
                count += len(part)
            hour -= HOUR_MS
        return _joined(parts, slice(-limit, None))

    def listed_ms(self, venue: str, market: str, symbol: str) -> int:
        """When the first candle of a series opened; never where there is none."""
        feed = self.feed("candles", venue, market, symbol, HOUR_MS)
        return NEVER_MS if feed is None or not len(feed.closed) else int(feed.closed.ts[0])

    def _first_ms(self, venue: str, market: str, symbol: str) -> int:
        return self.listed_ms(venue, market, symbol) if self.tape.has_trades else NEVER_MS

    def digits(self, name: Hashable, make: Any) -> Any:
        """Something computed once per name (decimals of a series)."""
        if name not in self._digits:
            self._digits[name] = make()
        return self._digits[name]

    def page(
        self,
        name: Hashable,
        feed: Feed,
        render: Render,
        *,
        low: int,
        high: int,
        limit: int,
        newest_rows: bool,
        newest_first: bool = False,
        running: Render | None = None,
    ) -> bytes:
        """The rows that answer a request as JSON, separated by commas.

        ``running`` renders the open bucket; None: the provider does not show it.
        """
        first, stop, opened = feed.page(
            self.now_ms(), low, high, limit, newest=newest_rows, running=running is not None
        )
        rows = self.shelf.rows(name, feed.closed, render, first, stop, newest=newest_first)
        if opened is None or running is None:
            return rows
        last = one_row(opened, running)
        return b",".join(p for p in ((last, rows) if newest_first else (rows, last)) if p)


def _joined(parts: list[Trades], which: slice) -> Trades | None:
    parts = [p for p in parts if len(p)]
    if not parts:
        return None
    columns = {
        n: np.concatenate([getattr(p, n) for p in parts])[which]
        for n in ("ts", "number", "price", "size", "buy")
    }
    return Trades(**columns, digits=max(p.digits for p in parts))


def _with_takers(bars: Candles | None) -> Candles | None:
    if bars is None:
        return None
    known = np.isfinite(bars.taker_buy_base) & np.isfinite(bars.volume_base)
    return bars.rows(known) if known.any() else None


def bearer(request: Request) -> str:
    """The key of an ``Authorization: Bearer`` header, empty without one."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" and key.strip().lower() != "none" else ""


def _summed(parts: list[Any]) -> Any:
    """Several venues' series as one: sums over the venues that have the hour."""
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    ts = np.unique(np.concatenate([p.ts for p in parts]))
    names = [n for n in parts[0].__dataclass_fields__ if n != "ts"]
    total = {n: np.zeros(len(ts)) for n in names}
    for part in parts:
        place = np.searchsorted(ts, part.ts)
        for n in names:
            total[n][place] += getattr(part, n)
    kind: type[Liquidations] | type[OpenInterest] = type(parts[0])
    return kind(ts=ts, **total)


def reply(
    content: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON reply from bytes that are JSON already, or from anything else."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(body, status, dict(headers or {}), "application/json")
