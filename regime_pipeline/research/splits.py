"""Which hours a fit may learn from and which it is judged on.

Belongs here: walking forward by calendar months, and the combinations of folds with everything left out
whose label overlaps a judged hour. Does not belong here: fits, losses.

A label of row t over h hours is known at t + 1h + h. Time is counted in hours since 1970, never in rows, so
that a gap shortens no window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FIT_H = 365 * 24
"""Hours before a month that its fit learns from."""
EMBARGO_H = 168
FOLDS, JUDGED_FOLDS = 10, 2


@dataclass(frozen=True)
class Month:
    """A month of walking forward.

    Attributes:
        begins: its first hour since 1970.
        ends: the first hour of the next month.
        fit_from: first hour that its fit may learn from.
        fit_until: the first hour that it may not: its label is not known when the month begins.
    """

    begins: int
    ends: int
    fit_from: int
    fit_until: int

    def fit(self, hours: Ints) -> slice:
        """Which of some ascending hours the fit learns from."""
        return _between(hours, self.fit_from, self.fit_until)

    def judged(self, hours: Ints) -> slice:
        """Which of some ascending hours lie in the month."""
        return _between(hours, self.begins, self.ends)


def _between(hours: Ints, start: int, stop: int) -> slice:
    first, last = np.searchsorted(hours, [start, stop])
    return slice(int(first), int(last))


def month_of(hour: int) -> tuple[int, int]:
    """The first hour of the calendar month (UTC) of an hour, and that of the next month."""
    month = np.datetime64(hour, "h").astype("datetime64[M]")
    begins, ends = (m.astype("datetime64[h]").astype(np.int64) for m in (month, month + 1))
    return int(begins), int(ends)


def walk_forward(first: int, last: int, horizon_h: int, fit_h: int = FIT_H) -> Iterator[Month]:
    """The months from the one of ``first`` to the one of ``last``, each with what its fit may use.

    Args:
        first: an hour since 1970.
        last: the same, not before ``first``.
        horizon_h: of the labels.
        fit_h: hours before a month that count.
    """
    begins, ends = month_of(first)
    while begins <= last:
        yield Month(begins, ends, begins - fit_h, begins - horizon_h)
        begins, ends = month_of(ends)


@dataclass(frozen=True)
class Split:
    """One combination of folds.

    Attributes:
        fit: rows to learn from, ascending.
        judged: rows of each judged fold, ascending.
    """

    fit: Ints
    judged: tuple[Ints, ...]


def combinatorial(
    rows: int,
    purged: int,
    embargo: int = EMBARGO_H,
    folds: int = FOLDS,
    judged_folds: int = JUDGED_FOLDS,
) -> Iterator[Split]:
    """Every way to judge some of equal folds and to learn from the rest.

    Of what is learnt from, ``purged`` rows before a judged fold and ``purged + embargo`` rows after it
    are left out. Combinations come in lexical order; rows that do not fill a fold belong to the last one.

    Args:
        rows: hours, without gaps.
        purged: rows whose label reaches into their neighbour: the horizon in hours.
        embargo: further rows after a judged fold, because what the rows are made of lasts.
        folds: how many there are.
        judged_folds: how many of them are judged at a time.

    Raises:
        ValueError: a fold is not longer than what is left out of it.
    """
    size = rows // folds
    if purged + embargo >= size - 1:
        raise ValueError(f"a fold of {size} rows is too short to leave out {purged + embargo}")
    edges = [*(size * k for k in range(folds)), rows]
    for chosen in combinations(range(folds), judged_folds):
        learns = np.ones(rows, np.bool_)
        for k in chosen:
            learns[max(0, edges[k] - purged) : edges[k + 1] + purged + embargo] = False
        yield Split(
            np.flatnonzero(learns),
            tuple(np.arange(edges[k], edges[k + 1], dtype=np.int64) for k in chosen),
        )
