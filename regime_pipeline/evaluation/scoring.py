"""Comparing announcements with what was planted: who was found, when, and what was a false alarm.

Belongs here: matching and the arithmetic of the score. Does not belong here: what announces.

An announcement belongs to a planted event of its instrument when it is known between the event's
``first`` and ``last`` instant and has one of its levels: it is **right**. One that is known between
``first`` and ``settled`` but isn't right is the event's own aftermath, neither right nor false. Every
other one is a **false alarm**. Only announcements that begin something are counted;
the escalation of an episode can still find an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.panel import HOUR_US, microseconds
from regime_pipeline.windows import Grid

ALARMS = ("instrument", "known_at", "level", "begins")
"""Columns of a table of announcements."""


@dataclass(frozen=True)
class Tally:
    """Counts of one detector on one or several worlds; counts of several add up.

    Attributes:
        planted: events put in.
        found: planted events with a right announcement.
        right: beginning announcements that were right.
        wrong: beginning announcements that were false alarms.
        delays: hours from the beginning of each found event to its first right announcement.
        quiet_days: instrument-days outside all planted events.
    """

    planted: int = 0
    found: int = 0
    right: int = 0
    wrong: int = 0
    delays: tuple[float, ...] = ()
    quiet_days: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.planted + other.planted,
            self.found + other.found,
            self.right + other.right,
            self.wrong + other.wrong,
            self.delays + other.delays,
            self.quiet_days + other.quiet_days,
        )

    @property
    def precision(self) -> float | None:
        """Share of the announcements that were right; null without planted events or announcements."""
        told = self.right + self.wrong
        return self.right / told if self.planted and told else None

    @property
    def recall(self) -> float | None:
        """Share of the planted events that were found; null where none was planted."""
        return self.found / self.planted if self.planted else None

    @property
    def delay_hours(self) -> float | None:
        """Median delay; null where nothing was found."""
        return float(np.median(self.delays)) if self.delays else None

    @property
    def false_per_day(self) -> float | None:
        """False alarms per instrument-day outside planted events; null without such days."""
        return self.wrong / self.quiet_days if self.quiet_days else None

    def to_json(self) -> dict[str, Any]:
        """The score; what does not apply is null."""
        return {
            "planted": self.planted,
            "found": self.found if self.planted else None,
            "precision": self.precision,
            "recall": self.recall,
            "delay_hours": self.delay_hours,
            "false_per_symbol_day": self.false_per_day,
        }


def alarm_table(
    instrument: Any, known_at: Any, level: Any = None, begins: Any = True
) -> pd.DataFrame:
    """Announcements as a table with the columns ``ALARMS``."""
    frame = pd.DataFrame({"instrument": instrument, "known_at": known_at})
    frame["level"] = np.array(level, dtype=object) if level is not None else None
    return frame.assign(begins=begins)[list(ALARMS)]


def match(alarms: pd.DataFrame, truth: pd.DataFrame, *, grid: Grid, instruments: int) -> Tally:
    """Count one table of announcements against the truth of its world.

    Args:
        alarms: columns ``ALARMS``; those known outside the grid's decision times are left out.
        truth: columns ``worlds.TRUTH``.
        grid: the rows that were judged; a row decides one hour after its ``ts``.
        instruments: number of symbols, or of pairs, that were judged.

    Raises:
        ValueError: planted events of one instrument overlap.
    """
    opens, closes = (pd.Timestamp(t) for t in (grid.start, grid.end))
    inside = (alarms["known_at"] >= opens) & (alarms["known_at"] <= closes)
    told = alarms[inside]
    event = _event_of(told, truth)
    about = event >= 0
    known = told["known_at"].reset_index(drop=True)
    right = np.zeros(len(told), bool)
    if about.any():
        mine = truth.take(np.maximum(event, 0)).reset_index(drop=True)
        in_time = (known >= mine["first"]) & (known <= mine["last"])
        fits = [
            levels is None or level in levels
            for level, levels in zip(told["level"], mine["levels"], strict=True)
        ]
        right = about & in_time.to_numpy() & np.array(fits, dtype=bool)
    begins = told["begins"].to_numpy(dtype=bool)
    hits = pd.DataFrame({"event": event[right], "at": known[right]}).groupby("event")["at"].min()
    began = truth["start"].take(hits.index.to_numpy())
    delays = (hits.to_numpy() - began.to_numpy()) / np.timedelta64(1, "h")
    length = (grid.end - grid.start) / timedelta(days=1)
    over = truth["settled"].where(truth["settled"] < closes, closes)
    acted = (over - truth["start"]).dt.total_seconds().sum() / 86_400
    return Tally(
        planted=len(truth),
        found=len(hits),
        right=int((right & begins).sum()),
        wrong=int((~about & begins).sum()),
        delays=tuple(float(d) for d in delays),
        quiet_days=instruments * length - float(acted),
    )


def _event_of(told: pd.DataFrame, truth: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Row of the planted event in whose time each announcement falls, -1 for none."""
    if truth.empty or told.empty:
        return np.full(len(told), -1, dtype=np.int64)
    same = (truth["instrument"].to_numpy()[1:]) == (truth["instrument"].to_numpy()[:-1])
    overlap = same & (truth["start"].to_numpy()[1:] < truth["settled"].to_numpy()[:-1])
    if overlap.any():
        raise ValueError("planted events of one instrument overlap")
    names, found = pd.factorize(truth["instrument"])
    code = pd.Index(found).get_indexer(pd.Index(told["instrument"]))
    span = 1 << 40
    begin = names * span + microseconds(truth["first"]) // (HOUR_US // 60)
    at = microseconds(told["known_at"]) // (HOUR_US // 60)
    row = np.searchsorted(begin, code * span + at, side="right") - 1
    safe = np.maximum(row, 0)
    settled = microseconds(truth["settled"])[safe]
    within = (row >= 0) & (names[safe] == code) & (microseconds(told["known_at"]) <= settled)
    return np.where(within, row, -1)


def interval(count: int, days: float) -> tuple[float, float]:
    """A 95 % interval of a rate from a count of independent alarms (exact Poisson, Garwood 1936).

    Raises:
        ValueError: no days.
    """
    from scipy.stats import chi2

    if not days > 0.0:
        raise ValueError("a rate needs days")
    low = float(chi2.ppf(0.025, 2 * count)) / 2.0 if count else 0.0
    return low / days, float(chi2.ppf(0.975, 2 * count + 2)) / 2.0 / days
