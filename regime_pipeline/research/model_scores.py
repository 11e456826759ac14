"""How good forecasts have been: losses, skill over a baseline with its bounds, coverage of intervals.

Belongs here: losses of variances and probabilities, skill by blocks of weeks, the comparison of two models,
split conformal radii. Does not belong here: which forecasts (``model_performance``).

Layout: panels are hours x symbols, NaN is null.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.block_estimator import Weeks, half_width, variance
from regime_pipeline.research.forecast_inputs import DAY_H, VARIANCE

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

LEVELS = (0.50, 0.80, 0.90, 0.95)
"""Of the interval of the next day's return."""
SCORED_D = 365
LEAST_SCORED_D = 180
LEAST_SCORES = LEAST_SCORED_D * DAY_H
"""Known labels of a symbol that its interval needs."""


def loss(target: str, happened: Floats, forecast: Floats) -> Floats:
    """QLIKE of a variance, or the log loss of a probability; NaN where one of the two is unknown.

    QLIKE is ``a/f - ln(a/f) - 1``: the order of two forecasts under it is right even though the variance
    that happened is itself only estimated.
    """
    if target == VARIANCE:
        both = (happened > 0) & (forecast > 0)
        ratio = np.where(both, happened, 1.0) / np.where(both, forecast, 1.0)
        return np.where(both, ratio - np.log(ratio) - 1.0, np.nan)
    both = np.isfinite(happened) & (forecast > 0) & (forecast < 1)
    p = np.where(both, np.where(happened > 0.5, forecast, 1.0 - forecast), 1.0)
    return np.where(both, -np.log(p), np.nan)


@dataclass(frozen=True)
class Skill:
    """One minus the model's summed losses over the baseline's, and what it rests on; NaN: there is none.

    Attributes:
        skill: 0 is as good as the baseline, 1 perfect.
        low: lower 95 % bound.
        high: upper bound.
        loss: mean loss of the model.
        baseline: of the baseline, over the same rows.
        rows: how many.
        rows_eff: independent rows that they amount to.
        days: from the first row to the last one.
    """

    skill: float = math.nan
    low: float = math.nan
    high: float = math.nan
    loss: float = math.nan
    baseline: float = math.nan
    rows: int = 0
    rows_eff: float = 0.0
    days: float = 0.0

    @property
    def passes(self) -> bool:
        """Whether the lower bound is above 0 over at least 180 days."""
        return self.days >= LEAST_SCORED_D and self.low > 0


def skill(own: Floats, base: Floats, hours: Ints) -> Skill:
    """Skill over the rows that have both losses.

    Args:
        own: losses of the model.
        base: of the baseline.
        hours: of the rows, since 1970.
    """
    both = np.isfinite(own) & np.isfinite(base)
    rows = int(both.sum())
    if not rows:
        return Skill()
    count = both.sum(axis=1)
    mine, others = (np.where(both, x, 0.0).sum(axis=1) for x in (own, base))
    there = hours[count > 0]
    days = float(there[-1] - there[0] + 1) / DAY_H
    total = float(others.sum())
    plain = {"loss": float(mine.sum()) / rows, "baseline": total / rows}
    if total <= 0:
        return Skill(**plain, rows=rows, days=days)
    weeks = Weeks.added(hours, others, others - mine)
    wide = variance(weeks)
    half = half_width(weeks, wide)
    difference = np.where(both, base - own, 0.0)
    mean = float(difference.sum()) / rows
    alone = float((np.where(both, base - own - mean, 0.0) ** 2).sum()) / rows
    blocks = variance(Weeks.added(hours, count, others - mine))
    rows_eff = min(float(rows), alone / blocks) if blocks > 0 else 0.0
    return Skill(
        weeks.share, weeks.share - half, weeks.share + half, **plain, rows=rows, rows_eff=rows_eff,
        days=days,
    )  # fmt: skip


@dataclass(frozen=True)
class Better:
    """By how much one model lost less than another, a row.

    Attributes:
        mean: loss of the other less loss of the one; NaN: no common rows.
        error: its standard error.
        hours: hours with a common row.
        days: from the first of them to the last.
        late: the mean over the last 60 days.
    """

    mean: float = math.nan
    error: float = math.nan
    hours: int = 0
    days: float = 0.0
    late: float = math.nan


def better(one: Floats, other: Floats, hours: Ints, late_d: int = 60) -> Better:
    """Compare the losses of two models over their common rows."""
    both = np.isfinite(one) & np.isfinite(other)
    count = both.sum(axis=1)
    if not count.any():
        return Better()
    gain = np.where(both, other - one, 0.0).sum(axis=1)
    weeks = Weeks.added(hours, count, gain)
    there = hours[count > 0]
    late = hours > there[-1] - late_d * DAY_H
    recent = float(gain[late].sum()) / float(count[late].sum())
    return Better(
        weeks.share,
        math.sqrt(variance(weeks)),
        len(there),
        float(there[-1] - there[0] + 1) / DAY_H,
        recent,
    )


def radii(scores: Floats) -> Floats:
    """Split conformal radii: the ``ceil((n + 1) level)``-th smallest score of each symbol.

    Args:
        scores: of the known labels, hours x symbols.

    Returns:
        Levels x symbols; NaN for a symbol of too few scores, and where the rank is beyond them.
    """
    out = np.full((len(LEVELS), scores.shape[1]), np.nan)
    for column in range(scores.shape[1]):
        own = scores[:, column]
        own = np.sort(own[np.isfinite(own)])
        if len(own) < LEAST_SCORES:
            continue
        for k, level in enumerate(LEVELS):
            rank = math.ceil((len(own) + 1) * level)
            if rank <= len(own):
                out[k, column] = own[rank - 1]
    return out


def daily_radii(scores: Floats, hours: Ints, horizon_h: int, lag_h: int) -> Floats:
    """The radii that each row is given: those of the labels known ``lag_h`` before its day began.

    Args:
        scores: |what happened| over the deviation forecast, hours x symbols.
        hours: of the rows since 1970.
        horizon_h: of the labels.
        lag_h: hours between the last label and the day.

    Returns:
        Levels x hours x symbols.
    """
    out = np.full((len(LEVELS), *scores.shape), np.nan)
    first = int(hours[0])
    for day in range(first // DAY_H, int(hours[-1]) // DAY_H + 1):
        stop = day * DAY_H - lag_h - horizon_h - first
        rows = slice(max(day * DAY_H - first, 0), (day + 1) * DAY_H - first)
        if stop > 0:
            known = scores[max(stop - SCORED_D * DAY_H, 0) : stop]
            out[:, rows] = radii(known)[:, None, :]
    return out


def coverage(size: Floats, radius: Floats, hours: Ints, inside: Flags | None = None) -> Skill:
    """Share of rows whose size is within the radius, in the field ``skill``, with its bounds.

    Args:
        size: |return| over the deviation forecast, hours x symbols.
        radius: of each row, the same shape.
        hours: of the rows.
        inside: which rows count; all without.
    """
    known = np.isfinite(size) & np.isfinite(radius)
    if inside is not None:
        known &= inside
    rows = int(known.sum())
    if not rows:
        return Skill()
    count = known.sum(axis=1)
    hit = (known & (size <= radius)).sum(axis=1)
    weeks = Weeks.added(hours, count, hit)
    wide = variance(weeks)
    share = weeks.share
    half = half_width(weeks, wide)
    rows_eff = min(float(rows), share * (1.0 - share) / wide) if wide > 0 else 0.0
    return Skill(share, share - half, share + half, rows=rows, rows_eff=rows_eff)
