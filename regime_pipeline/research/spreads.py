"""What following a score would have earned before and after costs, in basis points.

Belongs here: returns above and below a score's own quantiles, how often positions change, what that costs.
Does not belong here: fills in a book, portfolios.

Layout: panels are symbols x hours, NaN is null.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.block_estimator import Weeks, t_quantile, variance_of_difference
from regime_pipeline.research.costs import KINDS, Codes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MONTH_H, MONTH_LEAST = 720, 480
HIGH, LOW = 0.8, 0.2


@dataclass(frozen=True)
class Spread:
    """Mean return above the high quantile less that below the low one, bps; NaN: there is none.

    Attributes:
        gross: before costs.
        low: lower 95 % bound of it.
        high: upper bound.
        cost: mean cost of changing a position while one is held.
        cost_kind: where most of these costs come from.
        switches: entries and exits per held hour.
        net: gross less what the changes of a horizon cost.
    """

    gross: float = math.nan
    low: float = math.nan
    high: float = math.nan
    cost: float = math.nan
    cost_kind: str | None = None
    switches: float = math.nan
    net: float = math.nan

    @property
    def is_tradable(self) -> bool | None:
        """Whether the lower bound pays for the changes; None: there is no spread."""
        return None if math.isnan(self.net) else self.low > self.gross - self.net


def sides(scores: Floats) -> Floats:
    """1 above the 80 % quantile of the 30 days before, -1 below the 20 %, 0 between; NaN unknown.

    Args:
        scores: symbols x hours; the first 30 days are unknown.
    """
    from regime_pipeline.numerics.order_statistics import rolling_quantile

    by_hour = np.ascontiguousarray(scores.T)
    above, below = (
        rolling_quantile(by_hour, MONTH_H, MONTH_LEAST, q, lag=1).T for q in (HIGH, LOW)
    )
    known = np.isfinite(scores) & np.isfinite(above) & np.isfinite(below)
    side = np.where(scores > above, 1.0, np.where(scores < below, -1.0, 0.0))
    return np.where(known, side, np.nan)


def spread(
    side: Floats, returns: Floats, hours: Ints, cost_bps: Floats, cost_code: Codes, horizon_h: int
) -> Spread:
    """The spread of a score's sides.

    Args:
        side: of :func:`sides`, symbols x hours.
        returns: that followed, logarithms.
        hours: of the rows, since 1970.
        cost_bps: of changing a position in the hour.
        cost_code: where that is from, a code of ``costs.KINDS``.
        horizon_h: of the returns.
    """
    known = np.isfinite(returns)
    top, bottom = (side == 1.0) & known, (side == -1.0) & known
    if not top.any() or not bottom.any():
        return Spread()
    up, down = (
        Weeks.added(hours, m.sum(axis=0), np.where(m, returns, 0.0).sum(axis=0))
        for m in (top, bottom)
    )
    gross = 1e4 * (up.share - down.share)
    error = 1e4 * math.sqrt(variance_of_difference(up, down))
    half = error * t_quantile(0.95, min(up.blocks_effective(), down.blocks_effective()))
    held = (side == 1.0) | (side == -1.0)
    switches = _switches(np.where(held, side, 0.0)) / float(held.sum())
    cost = float(cost_bps[held].mean())
    kinds = np.bincount(cost_code[held].astype(np.int64), minlength=len(KINDS))
    return Spread(
        gross,
        gross - half,
        gross + half,
        cost,
        KINDS[int(np.argmax(kinds))],
        switches,
        gross - horizon_h * switches * cost,
    )


def _switches(flat: Floats) -> int:
    """Entries and exits of positions; from one side to the other is both."""
    before = np.concatenate([np.zeros((len(flat), 1)), flat[:, :-1]], axis=1)
    moved = flat != before
    return int((moved & (flat != 0)).sum() + (moved & (before != 0)).sum())


def turnover(scores: Floats) -> float:
    """Mean change of the weight (score - 50) / 50 in a day, 24 times that of an hour; NaN unknown."""
    change = np.abs(np.diff((scores - 50.0) / 50.0, axis=1))
    change = change[np.isfinite(change)]
    return 24.0 * float(change.mean()) if len(change) else math.nan
