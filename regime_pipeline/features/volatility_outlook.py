"""What the past year says about the next day's volatility: clustering of classes, HAR skill.

Belongs here: the compiled loops over confirmed classes and over daily variances, on arrays of
columns x time. Does not belong here: classes, panels and names (``volatility_regimes``). Importing
this module imports numba.

Both statistics are counted or fitted strictly from outcomes that are known at their row. Counts are
whole numbers, so a window that slides gives the same value wherever the array starts; fits are made
afresh for every day.

The definition in words: docs/methods.md, section 4.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel

YEAR_H = 8760
AHEAD_H = 24
MIN_VISITS = 50
CLASSES = 4
"""Clustering: pairs (class at i, class a day later) for i in h-8760 .. h-24."""

TRAIN_DAYS, MIN_TRAIN_DAYS = 120, 80
SCORED, MIN_SCORED = 90, 60
WEEK, MIN_WEEK = 7, 6
MONTH, MIN_MONTH = 30, 14
HAR_DAYS = SCORED + TRAIN_DAYS + MONTH + 1
"""Days of variances behind the skill of one day."""

_TERMS = 3


@kernel
def _clustering(classes, window, ahead, minimum, probability, visits):  # type: ignore[no-untyped-def]
    columns, length = classes.shape
    for s in range(columns):
        seen = np.zeros(CLASSES, np.int64)
        same = np.zeros(CLASSES, np.int64)
        for h in range(length):
            enters = h - ahead
            if enters >= 0:
                before, after = classes[s, enters], classes[s, h]
                if before >= 0 and after >= 0:
                    seen[before] += 1
                    same[before] += 1 if before == after else 0
            leaves = h - window - 1
            if leaves >= 0:
                before, after = classes[s, leaves], classes[s, leaves + ahead]
                if before >= 0 and after >= 0:
                    seen[before] -= 1
                    same[before] -= 1 if before == after else 0
            now = classes[s, h]
            probability[s, h] = np.nan
            visits[s, h] = -1
            if now >= 0:
                visits[s, h] = seen[now]
                if seen[now] >= minimum:
                    probability[s, h] = (same[now] + 1.0) / (seen[now] + CLASSES)


def clustering(
    classes: npt.NDArray[np.int8],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Probability that the class of a row is the class a day later too.

    ``(n_same + 1) / (n + 4)`` over the year of rows whose day after is known: the mean of a Dirichlet
    posterior with one pseudo count per class.

    Args:
        classes: columns x hours, -1 null.

    Returns:
        The probability (NaN for a null class or under 50 visits) and the visits (-1 for a null one).
    """
    probability = np.empty(classes.shape)
    visits = np.empty(classes.shape, dtype=np.int64)
    _clustering(classes, YEAR_H, AHEAD_H, MIN_VISITS, probability, visits)
    return probability, visits


@kernel
def _trailing_mean(x, last, window, minimum):  # type: ignore[no-untyped-def]
    total, n = 0.0, 0
    for i in range(max(0, last - window + 1), last + 1):
        if math.isfinite(x[i]):
            total += x[i]
            n += 1
    return total / n if n >= minimum else np.nan


@kernel
def _solve(a, b, n):  # type: ignore[no-untyped-def]
    """Solve ``a x = b`` in place by elimination with pivots; False where ``a`` is singular."""
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(a[i, i]))
    for i in range(n):
        pivot = i
        for r in range(i + 1, n):
            if abs(a[r, i]) > abs(a[pivot, i]):
                pivot = r
        if not abs(a[pivot, i]) > 1e-12 * largest:
            return False
        for c in range(n):
            a[i, c], a[pivot, c] = a[pivot, c], a[i, c]
        b[i], b[pivot] = b[pivot], b[i]
        for r in range(i + 1, n):
            share = a[r, i] / a[i, i]
            for c in range(i, n):
                a[r, c] -= share * a[i, c]
            b[r] -= share * b[i]
    for i in range(n - 1, -1, -1):
        for c in range(i + 1, n):
            b[i] -= a[i, c] * b[c]
        b[i] /= a[i, i]
    return True


@kernel
def _forecast(x, y, day, train, minimum):  # type: ignore[no-untyped-def]
    """OLS of the variance of the day after on (1 d, 7 d, 30 d), clipped to the targets seen.

    The training days are the ``train`` before ``day``; the last one's target is ``day`` itself.
    """
    centre = np.zeros(_TERMS + 1)
    n = 0
    low, high = np.inf, -np.inf
    first = max(0, day - train)
    for j in range(first, day):
        if math.isfinite(x[j, 0] + x[j, 1] + x[j, 2] + y[j + 1]):
            n += 1
            for t in range(_TERMS):
                centre[t] += x[j, t]
            centre[_TERMS] += y[j + 1]
            low, high = min(low, y[j + 1]), max(high, y[j + 1])
    if n < minimum or not math.isfinite(x[day, 0] + x[day, 1] + x[day, 2]) or low <= 0.0:
        return np.nan
    centre /= n
    a = np.zeros((_TERMS, _TERMS))
    b = np.zeros(_TERMS)
    for j in range(first, day):
        if math.isfinite(x[j, 0] + x[j, 1] + x[j, 2] + y[j + 1]):
            for t in range(_TERMS):
                away = x[j, t] - centre[t]
                b[t] += away * (y[j + 1] - centre[_TERMS])
                for u in range(_TERMS):
                    a[t, u] += away * (x[j, u] - centre[u])
    if not _solve(a, b, _TERMS):
        return np.nan
    value = centre[_TERMS]
    for t in range(_TERMS):
        value += b[t] * (x[day, t] - centre[t])
    return min(max(value, low), high)


@kernel
def _qlike(actual, forecast):  # type: ignore[no-untyped-def]
    if not (actual > 0.0 and forecast > 0.0):
        return np.nan
    ratio = actual / forecast
    return ratio - math.log(ratio) - 1.0


@kernel
def _har_skill(variance, first_scored, out):  # type: ignore[no-untyped-def]
    columns, days = variance.shape
    for s in range(columns):
        y = variance[s]
        x = np.empty((days, _TERMS))
        ours = np.full(days, np.nan)
        plain = np.full(days, np.nan)
        for d in range(days):
            x[d, 0] = y[d]
            x[d, 1] = _trailing_mean(y, d, np.int64(WEEK), np.int64(MIN_WEEK))
            x[d, 2] = _trailing_mean(y, d, np.int64(MONTH), np.int64(MIN_MONTH))
            if d >= 1:  # the forecast that was made the day before is judged today
                f = _forecast(x, y, d - 1, TRAIN_DAYS, MIN_TRAIN_DAYS)
                mine, other = _qlike(y[d], f), _qlike(y[d], x[d - 1, 2])
                if math.isfinite(mine) and math.isfinite(other):
                    ours[d], plain[d] = mine, other
            out[s, d] = np.nan
            if d < first_scored:
                continue
            n, lost, base = 0, 0.0, 0.0
            for i in range(max(0, d - SCORED + 1), d + 1):
                if math.isfinite(ours[i]):
                    n += 1
                    lost += ours[i]
                    base += plain[i]
            if n >= MIN_SCORED and base > 0.0:
                out[s, d] = 1.0 - lost / base


def har_skill(variance: npt.NDArray[np.float64], first: int = 0) -> npt.NDArray[np.float64]:
    """Out-of-sample skill of HAR-RV (Corsi 2009) over the 30 d mean, by QLIKE (Patton 2011).

    Every day a regression of the next day's variance on the mean variances of 1, 7 and 30 days (6 of
    7, 14 of 30 known) is fitted on the 120 days before (at least 80), its forecast clipped to the
    targets it was fitted on. The skill of a day is one minus the ratio of summed losses over the last
    90 forecasts whose day has passed (at least 60).

    Args:
        variance: columns x days, variance of each whole day, NaN where unknown.
        first: first day whose skill is wanted.

    Returns:
        columns x days, at most 1; NaN where there is no skill.
    """
    out = np.empty(variance.shape)
    _har_skill(np.ascontiguousarray(variance), first, out)
    return out


__all__ = ["HAR_DAYS", "clustering", "har_skill"]
