"""Order books kept from a stream of changes: what follows what, when a book is sound, its levels. Pure.

Belongs here: applying changes by a venue's rule of numbers, refusing a break. Does not belong here: the
venues' words (``venue_books``), asking for a book anew (``session``), rows (``live``).

A break in the numbers, or a book that stays crossed, ends a book: it has no levels until a whole one
came, so that no row is made of a book that missed a change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple, Protocol

CROSSED_NS = 2_000_000_000
"""A venue's own book is never crossed for so long."""
MOST_WAITING = 4_096
"""Changes that are kept while a whole book is waited for; they come ten times a second."""
Level = tuple[float, float]
Message = Mapping[str, Any]
"""A message of a stream, decoded."""


class Change(NamedTuple):
    """What one message says of a book.

    Attributes:
        is_whole: all levels are told; else those that changed, a size of 0: the level is gone.
        first: number of the first change in it.
        last: number of the last.
        before: number of the change before it, where the venue says it; else None.
        bids: (price, size, ...) as texts.
        asks: the same of the other side.
        told_ms: the venue's time; None: it says none.
    """

    is_whole: bool
    first: int
    last: int
    before: int | None
    bids: Sequence[Sequence[Any]]
    asks: Sequence[Sequence[Any]]
    told_ms: int | None = None


class BookRules(Protocol):
    """How a venue numbers the changes of a book: pure functions."""

    @property
    def most_levels(self) -> int:
        """Levels of a side that the venue tells of."""
        ...

    @property
    def is_asked_for(self) -> bool:
        """Whether a whole book is asked for over HTTP; else a new subscription brings one."""
        ...

    def change(self, message: Message) -> Change:
        """What a message of the stream says.

        Raises:
            KeyError, TypeError, IndexError, ValueError: it has another shape.
        """
        ...

    def whole(self, body: Any) -> Change:
        """What the reply to a request for a whole book says; errors as of :meth:`change`."""
        ...

    def follows(self, last: int, change: Change) -> bool:
        """Whether a change is the next one after a number."""
        ...

    def begins(self, last: int, change: Change) -> bool:
        """Whether a change is the first one to apply to a whole book of a number."""
        ...

    def is_within(self, last: int, change: Change) -> bool:
        """Whether a whole book of a number has a change already."""
        ...

    def message(self, topic: str, levels: Levels) -> Message:
        """A whole book as a message of the topic, as its parser reads it."""
        ...


class Levels(NamedTuple):
    """A whole book at an instant, best first: (price, size) as numbers."""

    number: int
    told_ms: int | None
    bids: list[Level]
    asks: list[Level]

    @property
    def is_crossed(self) -> bool:
        """Whether a bid is not below an ask."""
        return bool(self.bids and self.asks and self.bids[0][0] >= self.asks[0][0])


@dataclass(slots=True)
class Book:
    """The book of one topic, as its stream tells it.

    Attributes:
        rules: the venue's numbers.
        reason: why it has no levels; empty: it is sound.
        breaks: how often it ended.
    """

    rules: BookRules
    reason: str = "no whole book came yet"
    breaks: int = 0
    _last: int = 0
    _told_ms: int | None = None
    _bids: dict[float, float] = field(default_factory=dict)
    _asks: dict[float, float] = field(default_factory=dict)
    _low: float = 0.0
    _high: float = inf
    _has_begun: bool = False
    _waiting: list[Change] = field(default_factory=list)
    _crossed_ns: int | None = None

    @property
    def is_sound(self) -> bool:
        """Whether its levels are the venue's."""
        return not self.reason

    @property
    def has_waiting(self) -> bool:
        """Whether changes wait for a whole book."""
        return bool(self._waiting)

    def take(self, change: Change) -> bool:
        """Applies a change; whether the book is sound after it."""
        if change.is_whole:
            self._replace(change)
            return True
        if not self.is_sound:
            if self.rules.is_asked_for and len(self._waiting) < MOST_WAITING:
                self._waiting.append(change)
            return False
        fits = self.rules.follows if self._has_begun else self.rules.begins
        if not fits(self._last, change):
            if change.last == self._last or self.rules.is_within(self._last, change):
                return True  # the same once more
            self.end(f"change {change.first} does not follow {self._last}")
            return False
        self._apply(change)
        return True

    def take_whole(self, change: Change) -> bool:
        """Begins with a book that was asked for, and applies what came meanwhile; whether it is sound."""
        waiting, self._waiting = self._waiting, []
        newer = [c for c in waiting if not self.rules.is_within(change.last, c)]
        if newer and not self.rules.begins(change.last, newer[0]):
            self._waiting = newer
            self.reason = f"the book that was asked for ({change.last}) is older than the changes"
            return False
        self._replace(change)
        self._has_begun = False
        return all(self.take(one) for one in newer)

    def end(self, reason: str) -> None:
        """It has no levels any more, until a whole one comes."""
        if self.is_sound:
            self.breaks += 1
        self.reason = reason
        self._bids, self._asks, self._waiting = {}, {}, []
        self._crossed_ns = None

    def levels(self) -> Levels | None:
        """All levels that are known for certain; None while it is not sound."""
        if not self.is_sound:
            return None
        most = self.rules.most_levels
        bids = sorted(((p, s) for p, s in self._bids.items() if p >= self._low), reverse=True)
        asks = sorted((p, s) for p, s in self._asks.items() if p <= self._high)
        return Levels(self._last, self._told_ms, bids[:most], asks[:most])

    def look(self, levels: Levels, now_ns: int) -> None:
        """Ends a book that stays crossed."""
        if not levels.is_crossed:
            self._crossed_ns = None
        elif self._crossed_ns is None:
            self._crossed_ns = now_ns
        elif now_ns - self._crossed_ns >= CROSSED_NS:
            self.end("it stayed crossed")

    def _replace(self, change: Change) -> None:
        self.reason, self._waiting, self._crossed_ns = "", [], None
        self._bids, self._asks = {}, {}
        self._has_begun = True
        self._apply(change)
        # beyond the last levels of a book that was cut only those are known that changed since
        cut = self.rules.most_levels if self.rules.is_asked_for else inf
        self._low = min(self._bids) if len(self._bids) >= cut else 0.0
        self._high = max(self._asks) if len(self._asks) >= cut else inf

    def _apply(self, change: Change) -> None:
        for side, told in ((self._bids, change.bids), (self._asks, change.asks)):
            for level in told:
                price, size = float(level[0]), float(level[1])
                if not (0.0 < price < inf and 0.0 <= size < inf):
                    raise ValueError("a level without a price or a size")
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
        self._last, self._told_ms, self._has_begun = change.last, change.told_ms, True
