"""What a series of equity was worth, and how sure that is.

Belongs here: Sharpe ratio by days with its interval, its deflation by trials, drawdown, turnover. Does not
belong here: making the series (``paper``).

Days are UTC; a year has 365. Under 90 days nothing is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_DAYS = 90
YEAR_D = 365
LAGS = 20
BLOCK_D, DRAWS = 14, 500
_EULER = 0.5772156649015329


@dataclass(frozen=True)
class Worth:
    """Statistics of daily returns; NaN: there are fewer than 90.

    Attributes:
        sharpe: a year's, allowing for days that resemble one another (Lo 2002).
        low: lower 95 % bound of it, blocks of 14 days.
        high: upper bound.
        deflated: chance that it is above what the best of the trials gives by luck.
        drawdown: largest fall from a peak.
        days: behind it.
    """

    sharpe: float = math.nan
    low: float = math.nan
    high: float = math.nan
    deflated: float = math.nan
    drawdown: float = math.nan
    days: int = 0


def annual_sharpe(returns: Floats) -> Floats:
    """Sharpe ratios of a year from daily returns, scaled by Lo's eta over 20 lags.

    Args:
        returns: days last.

    Returns:
        The shape without the days; NaN where they never vary or are too few.
    """
    n = returns.shape[-1]
    if n <= LAGS:
        return np.full(returns.shape[:-1], np.nan)
    mean = returns.mean(axis=-1)
    about = returns - mean[..., None]
    spread = (about * about).sum(axis=-1)
    varies = spread > 0
    spread = np.where(varies, spread, 1.0)
    scale = np.full(spread.shape, float(YEAR_D))
    for k in range(1, LAGS + 1):
        scale += 2.0 * (YEAR_D - k) * (about[..., k:] * about[..., :-k]).sum(axis=-1) / spread
    known = varies & (scale > 0)
    daily = mean / np.sqrt(spread / (n - 1))
    return np.where(known, daily * YEAR_D / np.sqrt(np.where(known, scale, 1.0)), np.nan)


def deflated(returns: Floats, trials_eff: float) -> float:
    """Chance that the daily Sharpe ratio passes the best one of so many trials of nothing.

    Bailey & Lopez de Prado (2014); the trials' spread is taken as that of one estimate, 1 / (n - 1).
    """
    from scipy import special, stats

    n = len(returns)
    sd = float(returns.std(ddof=1))
    if n < LEAST_DAYS or sd <= 0:
        return math.nan
    sharpe = float(returns.mean()) / sd
    skew, kurtosis = float(stats.skew(returns)), float(stats.kurtosis(returns, fisher=False))
    best = 0.0
    if trials_eff > 1:
        best = ((1 - _EULER) * special.ndtri(1 - 1 / trials_eff)
                + _EULER * special.ndtri(1 - 1 / (trials_eff * math.e))) / math.sqrt(n - 1)  # fmt: skip
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if spread <= 0:
        return math.nan
    return float(special.ndtr((sharpe - best) * math.sqrt(n - 1) / math.sqrt(spread)))


def worth(equity: Floats, trials_eff: float = 1.0) -> Worth:
    """Statistics of equity at the ends of days.

    Args:
        equity: above 0, one value a day, the start first.
        trials_eff: independent strategies that were tried.
    """
    if len(equity) - 1 < LEAST_DAYS:
        return Worth(days=max(len(equity) - 1, 0))
    returns = equity[1:] / equity[:-1] - 1.0
    peaks = np.maximum.accumulate(equity)
    drawdown = float((1.0 - equity / peaks).max())
    blocks = -(-len(returns) // BLOCK_D)
    starts = np.random.default_rng(14).integers(0, len(returns), (DRAWS, blocks))
    places = (starts[:, :, None] + np.arange(BLOCK_D)) % len(returns)
    drawn = returns[places.reshape(DRAWS, -1)[:, : len(returns)]]
    found = annual_sharpe(drawn)
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (math.nan, math.nan)
    return Worth(
        float(annual_sharpe(returns)),
        float(low),
        float(high),
        deflated(returns, trials_eff),
        drawdown,
        len(returns),
    )
