"""Rank correlation of scores with the returns that follow, and how sure it is.

Belongs here: ranks, the coefficient of a symbol, of all symbols pooled, of a regime and across symbols,
its standard error over overlapping returns, the verdict. Does not belong here: which scores there are
(``trials``), bounds for many looks (``bounds``), costs (``costs``).

Layout: panels are symbols x hours, NaN is null. Sums go in the order of the arrays, so a value does not
depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.block_estimator import Weeks, rows_effective, t_quantile, wilson
from regime_pipeline.research.bounds import SINGLE_LOOK

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

MIN_LAG_H = 96
"""Least lag of the standard error; a smaller one calls noise significant twice as often."""
LAGS_NEEDED = 20
EFFECTIVE_NEEDED = 100
MIN_SYMBOLS = 5
"""Symbols that an hour needs for a correlation across them."""


def lag_of(horizon_h: int) -> int:
    """The lag of the standard error of returns over ``horizon_h`` hours."""
    return max(4 * horizon_h, MIN_LAG_H)


def mid_ranks(values: Floats) -> Floats:
    """Ranks from 0, equal values their average.

    Args:
        values: finite, shape (n,).
    """
    order = np.argsort(values)  # the order among equals does not matter
    ordered = values[order]
    differs = np.ones(len(values) + 1, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=differs[1:-1])
    edges = np.flatnonzero(differs) if len(values) else np.zeros(1, np.int64)
    begins, ends = edges[:-1], edges[1:]
    out = np.empty(len(values))
    out[order] = np.repeat((begins + ends - 1) / 2.0, ends - begins)
    return out


def standardized(values: Floats) -> Floats:
    """Ranks of the finite values about their mean over their deviation; NaN where a value is.

    Args:
        values: shape (n,). Without two different values nothing has a rank: all NaN.
    """
    out = np.full(len(values), np.nan)
    there = np.isfinite(values)
    count = int(there.sum())
    if count < 2:
        return out
    ranks = mid_ranks(values[there]) - (count - 1) / 2.0
    square = float((ranks * ranks).sum())
    if square > 0:
        out[there] = ranks / math.sqrt(square / count)
    return out


def by_symbol(panel: Floats) -> Floats:
    """:func:`standardized` of every symbol of a panel."""
    return np.stack([standardized(own) for own in panel])


@dataclass(frozen=True)
class Pairs:
    """Scores and returns of the hours that have both, as products of their standardized ranks.

    Attributes:
        product: of the two ranks, 0 where there is no pair; symbols x hours.
        square: half the sum of their squares, the same.
        there: where there is a pair.
    """

    product: Floats
    square: Floats
    there: Flags

    @classmethod
    def of(cls, scores: Floats, returns: Ranked | Floats) -> Pairs:
        """Rank both within each symbol, over the hours that have both."""
        other = returns if isinstance(returns, Ranked) else Ranked(returns)
        there = np.isfinite(scores) & other.there
        if not there.any():
            return cls(np.zeros(there.shape), np.zeros(there.shape), there)
        a = by_symbol(np.where(there, scores, np.nan))
        b = other.within(there)
        there = np.isfinite(a) & np.isfinite(b)
        a, b = np.where(there, a, 0.0), np.where(there, b, 0.0)
        return cls(a * b, (a * a + b * b) / 2.0, there)


class Ranked:
    """A panel whose ranks are asked for over one set of hours after another, often the same.

    Args:
        panel: symbols x hours.
    """

    def __init__(self, panel: Floats) -> None:
        self.panel = panel
        self.there: Flags = np.isfinite(panel)
        self._known: dict[bytes, Floats] = {}

    def within(self, there: Flags) -> Floats:
        """:func:`by_symbol` over some hours; the answer is never to be changed in place."""
        key = np.packbits(there).tobytes()
        if key not in self._known:
            self._known[key] = by_symbol(np.where(there, self.panel, np.nan))
        return self._known[key]


def newey_west(influence: Floats, lag: int) -> Floats:
    """Variances of the sums of series whose neighbours resemble one another, Bartlett weights.

    Computed as the mean square of all overlapping sums of ``lag + 1`` terms, which is the same number.

    Args:
        influence: about zero, on the clock grid, 0 in gaps; series x hours.
        lag: the last lag that has a weight.

    Returns:
        One number a series.
    """
    width, n = lag + 1, influence.shape[1]
    total = np.zeros((len(influence), n + 1))
    np.cumsum(influence, axis=1, out=total[:, 1:])
    ends = np.minimum(np.arange(1, n + width), n)
    starts = np.maximum(np.arange(1 - width, n), 0)
    windows = total[:, ends] - total[:, starts]
    return (windows * windows).sum(axis=1) / width


@dataclass(frozen=True)
class Coefficient:
    """A rank correlation and what it rests on.

    Attributes:
        ic: the coefficient; NaN: there is none.
        se: its standard error.
        n: hours behind it.
        n_eff: independent hours that they amount to.
        lag: of the standard error, hours.
        influence: per hour, its share in the deviation from ``ic``; 0 in gaps.
    """

    ic: float
    se: float
    n: int
    n_eff: float
    lag: int
    influence: Floats

    @property
    def is_known(self) -> bool:
        """Whether there is a number with an error."""
        return math.isfinite(self.ic) and math.isfinite(self.se) and self.se > 0

    def verdict(self) -> tuple[str, str | None]:
        """The verdict of a single look, and why it is not VALID or INVERTED."""
        if not self.is_known:
            return "UNPROVEN", "no_coefficient"
        if self.n_eff < EFFECTIVE_NEEDED:
            return "UNPROVEN", "under_100_effective_hours"
        if self.n < LAGS_NEEDED * self.lag:
            return "UNPROVEN", "under_20_lags"
        if self.ic - SINGLE_LOOK * self.se > 0:
            return "VALID", None
        if self.ic + SINGLE_LOOK * self.se < 0:
            return "INVERTED", None
        return "UNDECIDED", "interval_holds_zero"


def coefficients(
    product: Floats, square: Floats, there: Flags, horizon_h: int
) -> list[Coefficient]:
    """The coefficients of hourly sums: products over squares.

    Args:
        product: series x hours, 0 where there is none.
        square: the same.
        there: the hours that count.
        horizon_h: of the returns.
    """
    lag = lag_of(horizon_h)
    count, weight = there.sum(axis=1), square.sum(axis=1)
    known = (count >= 2) & (weight > 0)
    ic = np.where(known, product.sum(axis=1) / np.where(known, weight, 1.0), np.nan)
    mean = np.where(known, ic, 0.0)[:, None]
    influence = np.where(there & known[:, None], product - mean * square, 0.0)
    wide, alone = newey_west(influence, lag), (influence * influence).sum(axis=1)
    out = []
    for k, n in enumerate(count.tolist()):
        se = math.sqrt(wide[k]) / weight[k] if known[k] else math.nan
        by_lag = n * alone[k] / wide[k] if wide[k] > 0 else 0.0
        n_eff = min(float(n), float(by_lag), 5.0 * n / horizon_h)
        out.append(Coefficient(float(ic[k]), float(se), n, n_eff, lag, influence[k]))
    return out


def views(pairs: Pairs, horizon_h: int, regimes: Sequence[Flags] = ()) -> list[Coefficient]:
    """Coefficients of all symbols together, of each regime, then of each symbol.

    That of all symbols is made of hourly means of what each says of its own ranks. Of a regime only its
    hours of each symbol count; the ranks are those of all.

    Args:
        pairs: of score and return.
        horizon_h: of the returns.
        regimes: for each, which hours of which symbols are in it.
    """
    most = np.maximum(pairs.there.sum(axis=0), 1)
    rows = [(pairs.product.sum(axis=0), pairs.square.sum(axis=0), pairs.there.any(axis=0))]
    for inside in regimes:
        product, square = (pairs.product * inside).sum(axis=0), (pairs.square * inside).sum(axis=0)
        rows.append((product, square, (pairs.there & inside).any(axis=0)))
    product = np.concatenate([np.stack([r[0] for r in rows]) / most, pairs.product])
    square = np.concatenate([np.stack([r[1] for r in rows]) / most, pairs.square])
    there = np.concatenate([np.stack([r[2] for r in rows]), pairs.there])
    return coefficients(product, square, there, horizon_h)


def pooled(pairs: Pairs, horizon_h: int) -> Coefficient:
    """The first of :func:`views`."""
    return views(pairs, horizon_h)[0]


def across(scores: Floats, returns: Floats, horizon_h: int) -> tuple[Coefficient, float]:
    """The mean of the hourly correlations across symbols, and it over their deviation.

    Hours with fewer than five symbols, or where all scores or all returns are alike, do not count.
    """
    there = np.isfinite(scores) & np.isfinite(returns)
    enough = there.sum(axis=0) >= MIN_SYMBOLS
    if not enough.any():
        nothing = np.zeros((1, len(enough)))
        return coefficients(nothing, nothing, enough[None], horizon_h)[0], math.nan
    x, y = _ranks_across(scores, there), _ranks_across(returns, there)
    scale = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    judged = enough & (scale > 0)
    hourly = np.where(judged, (x * y).sum(axis=0) / np.where(judged, scale, 1.0), np.nan)
    known = np.isfinite(hourly)
    product, square = np.where(known, hourly, 0.0), known.astype("float64")
    (found,) = coefficients(product[None], square[None], known[None], horizon_h)
    if found.n < 2:
        return found, math.nan
    deviation = math.sqrt(float((found.influence**2).sum()) / (found.n - 1))
    return found, found.ic / deviation if deviation > 0 else math.nan


def _ranks_across(panel: Floats, there: Flags) -> Floats:
    """Ranks of every hour's symbols about their mean, 0 where a symbol does not count."""
    values = np.where(there, panel, np.nan)
    ranks = np.zeros(values.shape)
    for other in values:  # comparisons with NaN are false
        ranks += (other < values) + 0.5 * (other == values)
    return np.where(there, ranks - there.sum(axis=0) / 2.0, 0.0)


def hit_rate(
    scores: Floats, returns: Floats, hours: Ints, horizon_h: int
) -> tuple[float, float, float, int]:
    """How often the return had the sign that the score named, with Wilson's 95 % interval.

    Scores of 50 and returns of 0 name none.

    Args:
        scores: 0-100, symbols x hours.
        returns: that followed.
        hours: of the rows, since 1970.
        horizon_h: of the returns.

    Returns:
        Share, lower and upper bound, rows that counted; NaN without rows.
    """
    names = np.isfinite(scores) & np.isfinite(returns) & (scores != 50.0) & (returns != 0.0)
    hits = names & ((scores > 50.0) == (returns > 0.0))
    n = int(names.sum())
    if not n:
        return math.nan, math.nan, math.nan, 0
    weeks = Weeks.added(hours, names.sum(axis=0), hits.sum(axis=0))
    stretch = hours // horizon_h  # rows of one stretch overlap
    apart = sum(int(np.count_nonzero(np.diff(stretch[own]))) + 1 for own in names if own.any())
    n_eff = rows_effective(weeks, float(apart))
    low, high = wilson(weeks.share, n_eff, t_quantile(0.95, weeks.blocks_effective()))
    return weeks.share, low, high, n


def half_life(ranks: Floats) -> float:
    """Hours until half of a score's deviation is gone, by its pooled autocorrelation over an hour.

    Args:
        ranks: standardized, symbols x hours.

    Returns:
        Hours; NaN where the autocorrelation is not between 0 and .9995.
    """
    before, after = ranks[:, :-1], ranks[:, 1:]
    both = np.isfinite(before) & np.isfinite(after)
    x, y = before[both], after[both]
    square = float((x * x + y * y).sum()) / 2.0
    if square <= 0:
        return math.nan
    phi = float((x * y).sum()) / square
    return math.log(0.5) / math.log(phi) if 0.0 < phi <= 0.9995 else math.nan


def half_of_the_effect(ranks: Floats, log_closes: Floats, longest_h: int) -> float:
    """The first hour by which half of what a score says of the coming hours has come true.

    Args:
        ranks: standardized ranks of the score, symbols x hours.
        log_closes: symbols x hours, from the same hour on; hours after the last one are unknown.
        longest_h: to which hour the whole effect is counted.

    Returns:
        Hours from 1 to ``longest_h``; NaN where the effect over all of them is none.
    """
    last = log_closes.shape[1] - longest_h
    if last < 2:
        return math.nan
    total = np.full(longest_h + 1, 0.0)
    now = log_closes[:, :last]
    known = np.isfinite(ranks[:, :last]) & np.isfinite(log_closes[:, longest_h:] - now)
    weights = np.where(known, ranks[:, :last], 0.0)
    for k in range(1, longest_h + 1):
        ahead = log_closes[:, k : k + last] - now
        total[k] = float(np.where(np.isfinite(ahead), weights * ahead, 0.0).sum())
    if total[-1] == 0.0:
        return math.nan
    passed = np.flatnonzero(total / total[-1] >= 0.5)
    return float(passed[0])
