"""How endpoints walk through time: request plans as data and generators. No network, no clock.

A wanted window is cut into segments that fit one page each, which are fetched side by side; within a
segment ``pages`` yields query parameters, is sent the span of the page that came, and decides whether
and where to go on. Pages may be shorter than asked for (a provider may cap them lower than it
documents) and rows may be missing (halts, listing), so a short page alone never ends a walk.

Belongs here: the five ways of paging. Does not belong here: who pages how (the providers' modules),
asking (``fetch``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta

from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.windows import HOUR, Window

MAX_PAGES = 100
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


Walk = Generator[dict[str, str], PageSpan, bool]
"""Yields parameters, is sent spans, returns True when it ended because nothing more came."""
Stamp = Callable[[datetime], str]
"""How an endpoint writes times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """What all ways of paging have in common; one of the classes below is used.

    Attributes:
        step: time from one row to the next.
        least_step: the smallest step that can occur, where it varies.
    """

    step: timedelta = HOUR
    least_step: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot work.

        Raises:
            ValueError: a step that is not above zero.
        """
        if self.step <= timedelta(0) or self.shortest <= timedelta(0):
            raise ValueError("a step lasts longer than nothing")

    @property
    def shortest(self) -> timedelta:
        """The smallest time between two rows."""
        return self.least_step or self.step

    @property
    def length(self) -> timedelta | None:
        """How much time one page spans; None: a window is not cut."""
        return None

    def segments(self, window: Window, wall: datetime | None) -> tuple[list[Window], list[Window]]:
        """The window cut into page-sized pieces: those after the wall and those before it.

        ``wall`` is where the provider's history is said to begin; both lists run from new to old,
        and the pieces before the wall end exactly on it.
        """
        if window.is_empty:
            return [], []
        length = self.length
        if length is None:
            return [window], []

        def cut(start: datetime, end: datetime) -> list[Window]:
            out: list[Window] = []
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

    def is_about(self, segment: Window, span: PageSpan) -> bool:  # noqa: ARG002
        """Whether rows of such times can be an answer about a segment; here nothing says so."""
        return True

    def pages(self, segment: Window, now: datetime) -> Walk:
        """The pages of one segment; ``now`` is what "the newest rows" are counted from.

        Raises:
            ContractViolation: the provider repeats a page, or the pages never end.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paged(Paging):
    """Pages of a limited number of rows between bounds in time.

    Attributes:
        limit: rows asked for per page, also the length of a segment in steps.
        start: parameter of the lower bound; None: the endpoint knows none.
        end: parameter of the upper bound; None: the endpoint knows none.
        stamp: how times are written.
        limit_name: parameter of the limit; empty: the endpoint knows none.
    """

    limit: int
    start: str | None = None
    end: str | None = None
    stamp: Stamp = ms
    limit_name: str = "limit"

    def __post_init__(self) -> None:
        """Refuses a page without rows.

        Raises:
            ValueError: a limit below one, a step that is not above zero.
        """
        Paging.__post_init__(self)
        if self.limit < 1:
            raise ValueError("a page has one row at least")

    @property
    def length(self) -> timedelta | None:
        """How much time one page spans."""
        return self.limit * self.step

    def limits(self) -> dict[str, str]:
        """The parameter of the page size."""
        return {self.limit_name: str(self.limit)} if self.limit_name else {}

    def is_about(self, segment: Window, span: PageSpan) -> bool:
        """Whether rows of such times can be an answer about a segment.

        An endpoint that is told both bounds gives rows between them or none; newer ones come from a
        provider that ignores the bounds, older ones from a cache. With one bound told, rows beyond
        the other are all that there is: a listing that begins later, a contract that has ended.
        """
        if self.start is None or self.end is None or span.first is None or span.last is None:
            return True
        slack = max(HOUR, self.step)
        return span.first < segment.end + slack and span.last >= segment.start - slack

    def _bounds(self, segment: Window) -> dict[str, str]:
        """The limit and the inclusive bounds of a segment, as far as the endpoint knows them."""
        asked = self.limits()
        if self.start:
            asked[self.start] = self.stamp(segment.start)
        if self.end:
            asked[self.end] = self.stamp(segment.end - _MS)
        return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward(_Paged):
    """From an inclusive start on: the next page begins behind the last row of the one before.

    Attributes:
        overlap: several rows may share one time, so a page begins at the time of the last row of
            the page before, and the walk ends when a page brings nothing further.
    """

    overlap: bool = False

    def __post_init__(self) -> None:
        """Refuses a walk that cannot move.

        Raises:
            ValueError: no parameter for the start.
        """
        _Paged.__post_init__(self)
        if not self.start:
            raise ValueError("a walk forward needs the parameter of its start")

    def pages(self, segment: Window, now: datetime) -> Walk:  # noqa: ARG002
        """See :meth:`Paging.pages`."""
        cursor = segment.start
        longest = (
            self.limit
        )  # of the pages before; equal ones in a row look like an unsaid page cap
        had: list[PageSpan] = []
        for _ in range(MAX_PAGES):
            span = yield self._bounds(Window(cursor, segment.end))
            if span.last is None:
                return True
            if self.overlap and span.last == cursor and cursor > segment.start:
                return False  # the rows of that one time again: there is nothing later
            if span.last < cursor:
                # with nothing newer some send the last rows they have; what came before is a loop, unless
                # it is the one row that the cursor stands behind. Old rows alone are a stale copy where
                # a newer one was due.
                newest = bool(had) and span.first == span.last == had[-1].last
                none_due = self.overlap or span.last + self.step >= segment.end
                ends = newest or (span not in had and (bool(had) or none_due))
                if span.rows < self.limit and ends:
                    return True
                raise ContractViolation(
                    f"paging does not move: asked from {cursor:%Y-%m-%dT%H:%M}, the newest row of the "
                    f"page is {span.last:%Y-%m-%dT%H:%M}"
                )
            complete = (
                not self.overlap and span.rows < longest and span.last + self.step >= segment.end
            )
            longest = span.rows
            had.append(span)
            if complete or (not self.overlap and span.last + self.shortest >= segment.end):
                return False
            if self.overlap:
                cursor = span.last
                if span.first == span.last and span.rows >= self.limit:
                    raise ContractViolation(
                        f"paging cannot pass {cursor:%Y-%m-%dT%H:%M:%S}: a whole page has one time"
                    )
            else:
                cursor = span.last + (self.step if self.least_step is None else _MS)
        raise ContractViolation(f"paging does not end: {MAX_PAGES} pages for {self.limit} steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backward(_Paged):
    """From an end back: the next page ends before the oldest row of the one before.

    Attributes:
        inclusive: both bounds are inclusive; else the end is an exclusive cursor and the start an
            exclusive lower bound.
        overlap: several rows may share one time: a page begins with the oldest time of the one
            before.
    """

    inclusive: bool = False
    overlap: bool = False

    def __post_init__(self) -> None:
        """Refuses a walk that cannot move.

        Raises:
            ValueError: no parameter for the end.
        """
        _Paged.__post_init__(self)
        if not self.end:
            raise ValueError("a walk back needs the parameter of its end")

    def pages(self, segment: Window, now: datetime) -> Walk:  # noqa: ARG002
        """See :meth:`Paging.pages`."""
        return self._overlapping(segment) if self.overlap else self._apart(segment)

    def _before(self, segment: Window, cursor: datetime) -> dict[str, str]:
        """Parameters of the page that ends before ``cursor``."""
        asked = self.limits()
        if self.start:
            lower = segment.start - (timedelta(0) if self.inclusive else _MS)
            asked[self.start] = self.stamp(lower)
        if self.end:
            asked[self.end] = self.stamp(cursor - (_MS if self.inclusive else timedelta(0)))
        return asked

    def _apart(self, segment: Window) -> Walk:
        cursor = segment.end
        for _ in range(MAX_PAGES):
            span = yield self._before(segment, cursor)
            if span.first is None or span.last is None:
                return True
            if span.first >= cursor:
                if span.first == span.last == cursor < segment.end:
                    return True  # the bound is inclusive here, and the row on it is the oldest there is
                raise ContractViolation(
                    f"paging does not move: asked before {cursor:%Y-%m-%dT%H:%M}, the oldest row of "
                    f"the page is {span.first:%Y-%m-%dT%H:%M}"
                )
            if span.first - self.shortest < segment.start:
                return False
            cursor = span.first
        raise ContractViolation(f"paging does not end: {MAX_PAGES} pages for {self.limit} steps")

    def _overlapping(self, segment: Window) -> Walk:
        """Back in time where several rows may share one: each page begins with the last one's oldest."""
        cursor = segment.end
        for _ in range(MAX_PAGES):
            span = yield self._before(segment, cursor)
            if span.first is None or span.last is None:
                return True
            if span.first < segment.start:
                return False
            if span.first + _MS == cursor:  # only the rows of the oldest time again
                if span.rows >= self.limit:
                    raise ContractViolation(
                        f"paging cannot pass {span.first:%Y-%m-%dT%H:%M:%S}: a whole page has one time"
                    )
                return True
            if span.first >= cursor:
                raise ContractViolation(
                    "paging does not move: the page is not older than asked for"
                )
            cursor = span.first + _MS
        raise ContractViolation(f"paging does not end: {MAX_PAGES} pages of {self.limit} rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor(_Paged):
    """On with the cursor that each reply hands out, between bounds that stay.

    Attributes:
        cursor: parameter that takes the cursor of the page before.
        newest_first: rows run from new to old: the walk ends at the start of the segment; else it
            ends with a page that is not full.
    """

    cursor: str = "cursor"
    newest_first: bool = False

    def pages(self, segment: Window, now: datetime) -> Walk:  # noqa: ARG002
        """See :meth:`Paging.pages`."""
        fixed = self._bounds(segment)
        asked, used, total = fixed, set(), 0
        for _ in range(MAX_PAGES):
            span = yield asked
            total += span.rows
            if self.newest_first:
                if span.first is None:
                    return True
                if span.first - self.shortest < segment.start:
                    return False
            elif span.rows < self.limit:
                return total == 0
            if span.cursor is None:
                return total == 0
            if span.cursor in used:
                raise ContractViolation("paging does not move: the provider repeats a cursor")
            used.add(span.cursor)
            asked = {**fixed, self.cursor: span.cursor}
        raise ContractViolation(f"paging does not end: {MAX_PAGES} pages of {self.limit} rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered(Paging):
    """Page 1, 2, ... of rows from new to old, until one reaches the start or says it is the last.

    Attributes:
        limit: rows per page; 0: the endpoint decides.
        limit_name: parameter of the limit.
        page_name: parameter of the page's number.
    """

    limit: int = 0
    limit_name: str = "limit"
    page_name: str = "page"

    def pages(self, segment: Window, now: datetime) -> Walk:  # noqa: ARG002
        """See :meth:`Paging.pages`."""
        limits = {self.limit_name: str(self.limit)} if self.limit else {}
        before: PageSpan | None = None
        for number in range(1, MAX_NUMBERED + 1):
            span = yield {**limits, self.page_name: str(number)}
            if span.rows == 0:
                return number == 1
            if span.first is not None and span == before:
                raise ContractViolation(f"paging does not move: page {number} is page {number - 1}")
            reached = span.first is not None and span.first < segment.start
            if reached or span.cursor is None:
                return False
            before = span
        raise ContractViolation(f"paging does not end: {MAX_NUMBERED} numbered pages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest(Paging):
    """One reply, of whatever the endpoint has.

    Attributes:
        limited: the endpoint takes the number of the newest rows as ``limit``, where 0 means all.
    """

    limited: bool = False

    def pages(self, segment: Window, now: datetime) -> Walk:
        """See :meth:`Paging.pages`."""
        if not self.limited:
            span = yield {}
            return span.rows == 0
        rows = max(1, -((segment.start - now) // self.step)) + 2
        span = yield {"limit": str(rows)}
        if span.first is not None and span.rows >= rows and span.first > segment.start:
            span = yield {"limit": "0"}  # the provider's newest row is newer than we thought
        return span.rows == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed(Paging):
    """No request at all: the provider sends its rows over a stream as they happen."""

    def pages(self, segment: Window, now: datetime) -> Walk:
        """Nothing can be asked for.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("rows of a stream cannot be asked for")
