"""Time: the clock, half-open UTC windows, the hourly decision grid, lookback arithmetic.

Belongs here: everything that says *when*. Nothing else in the package reads the wall clock; whoever
needs "now" is handed a :class:`Clock`. Does not belong here: partitions (``orchestration``),
anything that touches data.

Conventions (binding everywhere):

* ``ts`` is the UTC **open** of a bar or the event time; it is always tz-aware.
* A derived row stamped ``ts`` decides at ``ts + 1h`` and uses only bars with ``close <= ts + 1h``.
* Windows are half open, ``[start, end)``.
* Weeks start on Monday 00:00 UTC.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_LOOKBACK = re.compile(r"^\s*(\d+)\s*(h|d|w)\s*$")
_UNIT = {"h": HOUR, "d": DAY, "w": 7 * DAY}


class Clock(Protocol):
    """Something that knows what time it is."""

    def now(self) -> datetime:
        """The present instant, tz-aware UTC."""
        ...


@dataclass(frozen=True)
class SystemClock:
    """The machine's own clock: the default outside replays."""

    def now(self) -> datetime:
        """The present instant, tz-aware UTC."""
        return datetime.now(UTC)


class SteadyClock:
    """The machine's clock as it was at first, with time as it really went since.

    For what lies in one process only and is about durations: setting the machine's clock changes
    nothing here.
    """

    def __init__(self) -> None:
        self._ahead = datetime.now(UTC) - timedelta(seconds=time.monotonic())

    def now(self) -> datetime:
        """The present instant, tz-aware UTC."""
        return self._ahead + timedelta(seconds=time.monotonic())


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands still, for replays of recorded history and for tests."""

    at: datetime

    def now(self) -> datetime:
        """The instant this clock was set to."""
        return self.at


class FastClock:
    """A clock that began at an instant and runs faster than time does: whole hours within seconds.

    Args:
        start: what it showed when it was made.
        speed: how many times faster.
    """

    def __init__(self, start: datetime, speed: float) -> None:
        self._start, self._speed, self._began = start, speed, time.monotonic()

    def now(self) -> datetime:
        """The present instant, tz-aware UTC."""
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)


def clock_from_text(text: str) -> Clock:
    """A clock from its setting: ``system`` or an ISO instant at which time stands still."""
    if text.strip().lower() in ("", "system"):
        return SystemClock()
    return FixedClock(utc(text))


def utc(value: str | date | datetime) -> datetime:
    """A date, an instant or ISO text of one as a tz-aware UTC datetime; naive input is taken as UTC.

    Raises:
        ValueError: the text is no ISO date or instant, or there is no instant (``NaT``).
    """
    if isinstance(value, str):
        at = datetime.fromisoformat(value.strip())
    elif isinstance(value, datetime):
        plain = getattr(value, "to_pydatetime", None)  # pandas' own type becomes a plain datetime
        at = value if plain is None else plain()
        if at != at:
            raise ValueError(f"not a date or instant: {value!r}")
    else:
        at = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone follows
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def floor_hour(at: datetime) -> datetime:
    """The full hour at or before ``at``."""
    return at.replace(minute=0, second=0, microsecond=0)


def floor_day(at: datetime) -> datetime:
    """The UTC midnight at or before ``at``."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def hour_number(at: datetime) -> int:
    """Whole hours from 1970 to ``at``."""
    return int(at.timestamp()) // 3600


def at_hour(number: int) -> datetime:
    """The instant so many hours after the beginning of 1970."""
    return datetime.fromtimestamp(number * 3600, UTC)


def last_closed_hour(now: datetime) -> datetime:
    """The open of the newest 1h bar that is closed at ``now``."""
    return floor_hour(now) - HOUR


def parse_lookback(text: str) -> timedelta:
    """A declared lookback such as ``36h``, ``30d`` or ``31w`` as a duration.

    Raises:
        ValueError: the text is no whole number of hours, days or weeks.
    """
    match = _LOOKBACK.match(text)
    if match is None:
        raise ValueError(f"a lookback is a number and h, d or w, as in '30d'; got {text!r}")
    return int(match.group(1)) * _UNIT[match.group(2)]


@dataclass(frozen=True)
class Window:
    """A half-open stretch of time ``[start, end)``, UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window needs tz-aware instants")
        if self.end < self.start:
            raise ValueError(f"a window cannot end before it starts: {self.start} .. {self.end}")

    @property
    def is_empty(self) -> bool:
        """Whether nothing lies inside."""
        return self.start >= self.end

    def widened(self, lookback: timedelta) -> Window:
        """The same window with ``lookback`` of history before it."""
        return Window(self.start - lookback, self.end)

    def clipped(self, end: datetime) -> Window:
        """The part of the window before ``end`` (empty at its start when there is none)."""
        return Window(self.start, max(self.start, min(self.end, end)))

    def days(self) -> list[datetime]:
        """The UTC midnights of every day that the window touches."""
        if self.is_empty:
            return []
        first = floor_day(self.start)
        count = -((first - self.end) // DAY)
        return [first + i * DAY for i in range(count)]


@dataclass(frozen=True)
class Grid:
    """The rows a derived table owes: every hour of ``[start, end)`` for every symbol.

    ``symbols`` are canonical (``BTC/USDT``), in the configured order made alphabetical, so that a
    panel's columns never depend on who asked first.
    """

    start: datetime
    end: datetime
    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if tuple(sorted(set(self.symbols))) != self.symbols:
            raise ValueError("grid symbols must be sorted and unique; use Grid.of()")
        if floor_hour(self.start) != self.start or floor_hour(self.end) != self.end:
            raise ValueError("a grid starts and ends on full hours")

    @classmethod
    def of(cls, window: Window, symbols: tuple[str, ...] | list[str]) -> Grid:
        """The grid of a window, symbols sorted and unique."""
        return cls(window.start, window.end, tuple(sorted(set(symbols))))

    @property
    def hours(self) -> pd.DatetimeIndex:
        """The bar opens of the grid, ascending, ``datetime64[us, UTC]``."""
        return hours_between(self.start, self.end)

    def widened(self, lookback: timedelta) -> Grid:
        """The grid with ``lookback`` of history before it."""
        return Grid(self.start - lookback, self.end, self.symbols)


def hours_between(start: datetime, end: datetime) -> pd.DatetimeIndex:
    """Full hours in ``[start, end)`` as ``datetime64[us, UTC]``."""
    import pandas as pd  # here, so that the clock and windows cost nobody its import

    return pd.date_range(start, end, freq="1h", inclusive="left", tz="UTC").as_unit("us")
