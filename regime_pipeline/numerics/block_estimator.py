"""How sure a share or a quantile of hourly rows is when neighbouring hours resemble one another.

Belongs here: the block jackknife over sums per week, the intervals made of it. Rows of one week count
together, so that twenty hours of one storm are not twenty pieces of evidence. Everything is made of
sums, whoever adds them up. Does not belong here: which rows are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WEEK_H = 168
_MONDAY_H = 4 * 24
"""Hour of 1970-01-05 00:00 UTC, a Monday: where blocks begin."""
_WEEKS = (1, 2, 4)
"""Lengths of blocks, of which the most cautious counts."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def week_of(hours: Ints) -> Ints:
    """The week of each hour since 1970-01-01 00:00 UTC, counted from 1970-01-05."""
    return (hours - _MONDAY_H) // WEEK_H


@dataclass(frozen=True)
class Weeks:
    """Rows added up by week.

    Attributes:
        week: ascending, each once; shape (w,).
        rows: how many rows, shape (w,).
        hits: how many of them count for the share, shape (w,); or the sum of their values.
    """

    week: Ints
    rows: Floats
    hits: Floats

    @classmethod
    def of(cls, hours: Ints, hit: npt.NDArray[np.bool_]) -> Weeks:
        """Add up rows.

        Args:
            hours: of each row, any order, shape (n,).
            hit: whether the row counts for the share, shape (n,).
        """
        return cls.added(hours, np.ones(len(hours)), hit)

    @classmethod
    def added(cls, hours: Ints, rows: npt.ArrayLike, values: npt.ArrayLike) -> Weeks:
        """Add up hourly sums; the share is then the mean of the values.

        Args:
            hours: in any order, shape (n,).
            rows: how many there are in the hour, shape (n,).
            values: their sum, shape (n,).
        """
        week = week_of(np.asarray(hours, np.int64))
        first = int(week.min()) if len(week) else 0
        count: Floats = np.bincount(week - first, np.asarray(rows, np.float64)).astype(np.float64)
        total: Floats = np.bincount(week - first, np.asarray(values, np.float64)).astype(np.float64)
        there = count > 0
        return cls(np.flatnonzero(there) + first, count[there], total[there])

    @property
    def n(self) -> float:
        """All rows."""
        return float(self.rows.sum())

    @property
    def share(self) -> float:
        """Hits among all rows; NaN without rows."""
        return float(self.hits.sum()) / self.n if self.n else float("nan")

    def blocks_effective(self) -> float:
        """How many blocks of four weeks the rows amount to; 0 without rows."""
        counts = _sums(self.week, self.rows, _WEEKS[-1])[1]
        return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0


def _sums(week: Ints, values: Floats, length: int) -> tuple[Ints, Floats]:
    block = week // length
    first = np.concatenate([[True], block[1:] != block[:-1]])[: len(block)]  # weeks ascend
    sums = np.bincount(np.cumsum(first) - 1, weights=values)
    return block[first], sums.astype(np.float64)


def _deviations(weeks: Weeks, length: int) -> dict[int, float]:
    """What leaving each block out would change of the share, up to sign."""
    block, counts = _sums(weeks.week, weeks.rows, length)
    _, influence = _sums(weeks.week, weeks.hits - weeks.share * weeks.rows, length)
    rest = weeks.n - counts
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(rest > 0, influence / rest, np.nan)
    return dict(zip(block.tolist(), change.tolist(), strict=True))


def _jackknife(changes: Callable[[int], dict[int, float]]) -> float:
    found = []
    for length in _WEEKS:
        values = np.array(list(changes(length).values()))
        if len(values) < 2 or not np.isfinite(values).all():
            return float("nan")
        found.append((len(values) - 1) / len(values) * float((values**2).sum()))
    return max(found)


def variance(weeks: Weeks) -> float:
    """Variance of the share; NaN where all rows lie in one block."""
    return _jackknife(lambda length: _deviations(weeks, length))


def variance_of_difference(one: Weeks, other: Weeks) -> float:
    """Variance of the difference of two shares over the same time; NaN as for :func:`variance`."""

    def changes(length: int) -> dict[int, float]:
        a, b = _deviations(one, length), _deviations(other, length)
        return {k: a.get(k, 0.0) - b.get(k, 0.0) for k in a.keys() | b.keys()}

    return _jackknife(changes)


def t_quantile(level: float, blocks_effective: float) -> float:
    """The two-sided quantile of Student's t for an interval of ``level``.

    Args:
        level: as 0.95.
        blocks_effective: of :meth:`Weeks.blocks_effective`; one more than the degrees of freedom.
    """
    from scipy import special  # here, so that declaring what is computed loads no library for it

    return float(special.stdtrit(max(blocks_effective - 1.0, 1.0), 0.5 + level / 2.0))


def half_width(weeks: Weeks, spread: float) -> float:
    """Half the 95 % interval of a share; NaN where its variance is not above 0.

    Args:
        weeks: the rows.
        spread: variance of their share.
    """
    quantile = t_quantile(0.95, weeks.blocks_effective())
    return math.sqrt(spread) * quantile if spread > 0 else math.nan


def rows_effective(weeks: Weeks, apart: float) -> float:
    """How many independent rows the rows amount to.

    Args:
        weeks: the rows.
        apart: how many of them do not overlap.
    """
    n = weeks.n
    if not n:
        return 0.0
    hits = weeks.hits.sum()
    p = (hits + 0.5) / (n + 1.0) if hits in (0.0, n) else hits / n
    spread = variance(weeks)
    by_blocks = p * (1.0 - p) / spread if spread > 0 else n
    return float(min(n, by_blocks, apart))


def wilson(share: float, n_effective: float, quantile: float) -> tuple[float, float]:
    """The interval of a share by Wilson."""
    z2 = quantile**2
    middle = (share + z2 / (2 * n_effective)) / (1 + z2 / n_effective)
    half = (
        quantile
        / (1 + z2 / n_effective)
        * np.sqrt(share * (1 - share) / n_effective + z2 / (4 * n_effective**2))
    )
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def quantile_interval(
    hours: Ints, values: Floats, at: float, level: float
) -> tuple[float, float, float]:
    """A quantile of rows and its interval by Woodruff: the interval of its share, turned back.

    Args:
        hours: of each row, shape (n,), n > 0.
        values: of each row, finite, shape (n,).
        at: which quantile, as 0.5.
        level: of the interval, as 0.95.
    """
    point = float(np.quantile(values, at))
    weeks = Weeks.of(hours, values <= point)
    spread = variance(weeks)
    if not np.isfinite(spread):
        return point, float(values.min()), float(values.max())
    half = t_quantile(level, weeks.blocks_effective()) * np.sqrt(spread)
    low, high = np.quantile(values, [max(0.0, at - half), min(1.0, at + half)])
    return point, float(low), float(high)
