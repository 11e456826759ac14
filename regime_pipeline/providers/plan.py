"""Request plans: what is asked of a provider, as data and generators. No network, no clock.

A :class:`Feed` says that a source serves a dataset from an endpoint; its :class:`Paging` says how
that endpoint walks through time. A wanted window is cut into segments that fit one page each, which
are fetched side by side; within a segment a generator yields query parameters, is sent the span of
the page that came, and decides whether and where to go on. Pages may be shorter than asked for (a
provider may cap them lower than it documents) and rows may be missing (halts, listing), so a short
page alone never ends a walk.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import pandas as pd

from regime_pipeline.providers.decode import Context, Parser
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.symbols import VenueSymbol
from regime_pipeline.windows import HOUR, Window

MAX_PAGES = 100
TRADE_STEP = timedelta(milliseconds=600)
"""Assumed time between trades: a page of a thousand is asked for per ten minutes."""
TRADE_REACH = timedelta(hours=3)
"""How far back single trades are asked for: years of them cost more requests than any venue grants,
and the candles' taker volumes cover what is older."""
MAX_NUMBERED = 30
_MS = timedelta(milliseconds=1)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def ms(at: datetime) -> str:
    """Epoch milliseconds as providers want them."""
    return str((at - _EPOCH) // _MS)


def seconds(at: datetime) -> str:
    """Epoch seconds, cut."""
    return str((at - _EPOCH) // timedelta(seconds=1))


def iso(at: datetime) -> str:
    """ISO 8601 in UTC with seven decimals."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z"


@dataclass(frozen=True, slots=True)
class PageSpan:
    """How many rows a page had, its oldest and newest time (None without rows), and its cursor.

    ``cursor`` is what the reply says about the page behind it; None: there is none.
    """

    rows: int
    first: datetime | None = None
    last: datetime | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Paging:
    """How an endpoint walks through time.

    Attributes:
        kind: ``forward`` from a start, ``backward`` from an end, ``single``: one reply, of the newest
            rows if there is a limit (0 then means all), else whatever comes; ``cursor``: on with the
            cursor of the page before while pages are full; ``numbered``: page 1, 2, ... of rows that
            run from new to old, until one reaches behind the start or says it is the last.
        limit: rows asked for per page, also the length of a segment in steps.
        start: parameter of the inclusive start (forward) or of the exclusive lower bound (backward).
        end: parameter of the inclusive end (forward) or of the exclusive cursor (backward).
        step: time from one row to the next.
        least_step: the smallest step that can occur, where it varies.
        inclusive: (backward) both bounds are inclusive.
        cursor: (cursor, backward) parameter that takes the cursor of the page before; the bounds
            stay.
        overlap: several rows may share one time, so a page begins at the time of the last row of the
            page before, and the walk ends when a page brings nothing further.
        stamp: how times are written.
        limit_name: parameter of the limit; empty: the endpoint knows none.
        page_name: (numbered) parameter of the page's number.
    """

    kind: Literal["forward", "backward", "single", "cursor", "numbered"]
    limit: int = 0
    start: str | None = None
    end: str | None = None
    step: timedelta = HOUR
    least_step: timedelta | None = None
    inclusive: bool = False
    cursor: str | None = None
    overlap: bool = False
    stamp: Callable[[datetime], str] = ms
    limit_name: str = "limit"
    page_name: str = "page"

    def limits(self) -> dict[str, str]:
        """The parameter of the page size."""
        return {self.limit_name: str(self.limit)} if self.limit_name and self.limit else {}

    @property
    def shortest(self) -> timedelta:
        """The smallest time between two rows."""
        return self.least_step or self.step


def segments(
    window: Window, paging: Paging, wall: datetime | None
) -> tuple[list[Window], list[Window]]:
    """The window cut into page-sized pieces: those after the wall and those before it.

    ``wall`` is where the provider's history is said to begin; both lists run from new to old, and
    the pieces before the wall end exactly on it.
    """
    if window.is_empty:
        return [], []
    if paging.kind in ("single", "numbered"):
        return [window], []

    def cut(start: datetime, end: datetime) -> list[Window]:
        out: list[Window] = []
        length = paging.limit * paging.step
        while end > start:
            lower = max(start, end - length)
            out.append(Window(lower, end))
            end = lower
        return out

    if wall is None or wall <= window.start:
        return cut(window.start, window.end), []
    if wall >= window.end:
        return [], cut(window.start, window.end)
    return cut(wall, window.end), cut(window.start, wall)


Walk = Generator[dict[str, str], PageSpan, bool]
"""Yields parameters, is sent spans, returns True when it ended because nothing more came."""


def walk(segment: Window, paging: Paging, now: datetime) -> Walk:
    """The pages of one segment; ``now`` is what "the newest rows" are counted from.

    Raises:
        ContractViolation: the provider repeats a page, or the pages never end.
    """
    if paging.kind == "forward":
        return _forward(segment, paging)
    if paging.kind == "backward" and paging.cursor:
        return _by_cursor(segment, paging)
    if paging.kind == "backward" and paging.overlap:
        return _backward_overlapping(segment, paging)
    if paging.kind == "backward":
        return _backward(segment, paging)
    if paging.kind == "cursor":
        return _cursor(segment, paging)
    if paging.kind == "numbered":
        return _numbered(segment, paging)
    return _single(segment, paging, now)


def _bounds(segment: Window, paging: Paging) -> dict[str, str]:
    """The limit and the inclusive bounds of a segment, as far as the endpoint knows them."""
    asked = paging.limits()
    if paging.start:
        asked[paging.start] = paging.stamp(segment.start)
    if paging.end:
        asked[paging.end] = paging.stamp(segment.end - _MS)
    return asked


def _cursor(segment: Window, paging: Paging) -> Walk:
    fixed = _bounds(segment, paging)
    asked, seen, total = fixed, set(), 0
    for _ in range(MAX_PAGES):
        span = yield asked
        total += span.rows
        if span.rows < paging.limit or span.cursor is None:
            return total == 0
        if span.cursor in seen:
            raise ContractViolation("paging does not move: the provider repeats a cursor")
        seen.add(span.cursor)
        asked = {**fixed, paging.cursor or "cursor": span.cursor}
    raise ContractViolation(f"paging does not end: {MAX_PAGES} pages of {paging.limit} rows")


def _numbered(segment: Window, paging: Paging) -> Walk:
    before: PageSpan | None = None
    for number in range(1, MAX_NUMBERED + 1):
        span = yield {**_bounds(segment, paging), paging.page_name: str(number)}
        if span.rows == 0:
            return number == 1
        if span.first is not None and span == before:
            raise ContractViolation(f"paging does not move: page {number} is page {number - 1}")
        reached = span.first is not None and span.first < segment.start
        if reached or span.cursor is None:
            return False
        before = span
    raise ContractViolation(f"paging does not end: {MAX_NUMBERED} numbered pages")


def _single(segment: Window, paging: Paging, now: datetime) -> Walk:
    if paging.limit == 0:
        span = yield {}
        return span.rows == 0
    rows = max(1, -((segment.start - now) // paging.step)) + 2
    span = yield {"limit": str(rows)}
    if span.first is not None and span.rows >= rows and span.first > segment.start:
        span = yield {"limit": "0"}  # the provider's newest row is newer than we thought: take all
    return span.rows == 0


def _forward(segment: Window, paging: Paging) -> Walk:
    cursor = segment.start
    longest = paging.limit  # of the pages before; equal ones in a row look like an unsaid page cap
    had: list[PageSpan] = []
    for _ in range(MAX_PAGES):
        span = yield _bounds(Window(cursor, segment.end), paging)
        if span.last is None:
            return True
        if paging.overlap and span.last == cursor and cursor > segment.start:
            return False  # the rows of that one time again: there is nothing later
        if span.last < cursor:
            # with nothing newer some send the last rows they have; what came before is a loop, unless
            # it is the one row that the cursor stands behind. Old rows alone are a stale copy where
            # a newer one was due.
            newest = bool(had) and span.first == span.last == had[-1].last
            none_due = paging.overlap or span.last + paging.step >= segment.end
            ends = newest or (span not in had and (bool(had) or none_due))
            if span.rows < paging.limit and ends:
                return True
            raise ContractViolation(
                f"paging does not move: asked from {cursor:%Y-%m-%dT%H:%M}, the newest row of the "
                f"page is {span.last:%Y-%m-%dT%H:%M}"
            )
        complete = (
            not paging.overlap and span.rows < longest and span.last + paging.step >= segment.end
        )
        longest = span.rows
        had.append(span)
        if complete or (not paging.overlap and span.last + paging.shortest >= segment.end):
            return False
        if paging.overlap:
            cursor = span.last
            if span.first == span.last and span.rows >= paging.limit:
                raise ContractViolation(
                    f"paging cannot pass {cursor:%Y-%m-%dT%H:%M:%S}: a whole page has one time"
                )
        else:
            cursor = span.last + (paging.step if paging.least_step is None else _MS)
    raise ContractViolation(f"paging does not end: {MAX_PAGES} pages for {paging.limit} steps")


def _back_from(segment: Window, paging: Paging, cursor: datetime) -> dict[str, str]:
    """Parameters of the page that ends before ``cursor``."""
    asked = paging.limits()
    if paging.start:
        lower = segment.start - (timedelta(0) if paging.inclusive else _MS)
        asked[paging.start] = paging.stamp(lower)
    if paging.end:
        asked[paging.end] = paging.stamp(cursor - (_MS if paging.inclusive else timedelta(0)))
    return asked


def _backward(segment: Window, paging: Paging) -> Walk:
    cursor = segment.end
    for _ in range(MAX_PAGES):
        span = yield _back_from(segment, paging, cursor)
        if span.first is None or span.last is None:
            return True
        if span.first >= cursor:
            if span.first == span.last == cursor < segment.end:
                return True  # the bound is inclusive here, and the row on it is the oldest there is
            raise ContractViolation(
                f"paging does not move: asked before {cursor:%Y-%m-%dT%H:%M}, the oldest row of "
                f"the page is {span.first:%Y-%m-%dT%H:%M}"
            )
        if span.first - paging.shortest < segment.start:
            return False
        cursor = span.first
    raise ContractViolation(f"paging does not end: {MAX_PAGES} pages for {paging.limit} steps")


def _backward_overlapping(segment: Window, paging: Paging) -> Walk:
    """Back in time where several rows may share one: each page begins with the last one's oldest."""
    cursor = segment.end
    for _ in range(MAX_PAGES):
        span = yield _back_from(segment, paging, cursor)
        if span.first is None or span.last is None:
            return True
        if span.first < segment.start:
            return False
        if span.first + _MS == cursor:  # only the rows of the oldest time again
            if span.rows >= paging.limit:
                raise ContractViolation(
                    f"paging cannot pass {span.first:%Y-%m-%dT%H:%M:%S}: a whole page has one time"
                )
            return True
        if span.first >= cursor:
            raise ContractViolation("paging does not move: the page is not older than asked for")
        cursor = span.first + _MS
    raise ContractViolation(f"paging does not end: {MAX_PAGES} pages of {paging.limit} rows")


def _by_cursor(segment: Window, paging: Paging) -> Walk:
    """Back in time by the cursors that the replies hand out; the bounds stay."""
    asked = _back_from(segment, paging, segment.end)
    used: set[str] = set()
    for _ in range(MAX_PAGES):
        span = yield dict(asked)
        if span.first is None or span.last is None:
            return True
        if span.first - paging.shortest < segment.start or span.cursor is None:
            return False
        if span.cursor in used:
            raise ContractViolation("paging does not move: the same cursor again")
        used.add(span.cursor)
        asked[paging.cursor or ""] = span.cursor
    raise ContractViolation(f"paging does not end: {MAX_PAGES} pages for {paging.limit} steps")


Params = Callable[[VenueSymbol], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a provider: where it is, how its replies are read, what a request costs.

    ``name`` is the path with its fixed prefix removed and slashes made underscores, as recorded
    payloads are named.
    """

    provider: str
    name: str
    path: str
    parse: Parser
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Feed:
    """A source serves a dataset from an endpoint.

    Attributes:
        dataset: raw table without its schema.
        endpoint: where the rows come from.
        market: market type of the rows.
        venue: exchange that the rows are about.
        paging: how to walk.
        params: fixed query parameters of a symbol.
        context: what the parser must know.
        retention: how far back the provider is said to keep rows (None: all of them).
        newest: reaches only this far back, an older stretch is served by another feed.
        older_than: serves only what is older than this.
        kind: what the rows are one kind of, where a dataset keeps kinds apart (sentiment).
        part: feeds of one dataset whose columns complete each other carry different parts;
            ``intervals`` is no series but the funding intervals in force, ``contracts`` the coins
            behind a contract.
        path: path of a symbol, where the endpoint has it in the path.
        reach: asked only for the last stretch of this length; what is older was never to be had from
            it and is logged so. With ``snapshot`` that is the present alone.
        snapshot: a reply is about the present; its rows get the hour in which it came.
        bucketed: rows are hourly buckets, whatever the dataset's other feeds give.
        by_coin: rows name coins (``coin``); those of the wanted symbols are kept.
        shape: turns all parsed rows of the stream into rows of the dataset.
        per_symbol: False for a series without symbols.
        names: venue whose symbol names the endpoint uses (``coin`` for the base coin).
        only_primary: asked only for symbols whose primary series of the market is on this venue.
        live_only: tells the present state: asked once, and only by a window that reaches now.
        optional: the provider may have taken the endpoint away; that is a note, not a failure.
        in_candles: the venue's candles tell the taker's volumes too, so that single trades, a page for
            every few minutes of them, are asked for only when the settings say so.
        in_contracts: amounts are contracts, whose size a feed with part ``contracts`` tells.
    """

    dataset: str
    endpoint: Endpoint
    market: str
    venue: str
    paging: Paging
    params: Params
    context: Context = field(default_factory=Context)
    retention: timedelta | None = None
    newest: timedelta | None = None
    older_than: timedelta | None = None
    part: str = ""
    per_symbol: bool = True
    names: str = ""
    only_primary: bool = False
    live_only: bool = False
    optional: bool = False
    in_contracts: bool = False
    in_candles: bool = False
    kind: str = ""
    path: Callable[[VenueSymbol], str] | None = None
    reach: timedelta | None = None
    snapshot: bool = False
    bucketed: bool = False
    by_coin: bool = False
    shape: Callable[[pd.DataFrame], pd.DataFrame] | None = None
