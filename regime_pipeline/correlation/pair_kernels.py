"""Compiled cointegration of pairs: least squares, augmented Dickey-Fuller, half-life.

Belongs here: loops over the window of a pair. Does not belong here: frames, thresholds of a signal.

Each window is reduced afresh in time order, so a value depends on the rows of its window alone.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LAGS = 8
"""Lagged differences in the test: Schwert's short rule, 4 (n / 100)^(1/4), at 2160 hours."""
_K = LAGS + 2
OUT_SLOPE, OUT_INTERCEPT, OUT_SD, OUT_TAU, OUT_ROWS, OUT_HALF_LIFE, OUT_N = range(7)
_OUT = 7
CONSTANT_RTOL = 1e-12

# MacKinnon 1994, table 3 (two series, constant in the cointegrating regression)
_TAU_MIN, _TAU_STAR, _TAU_MAX = -18.86, -2.62, 0.92
_SMALL_P = (2.92, 1.5012, 0.039796)
_LARGE_P = (2.1945, 0.64695, -0.29198, -0.042377)
# MacKinnon 2010, table 2 (N = 2, constant, 5 %)
_CRITICAL_5PCT = (-3.33613, -6.1101, -6.823)


def critical_5pct(rows: Floats) -> Floats:
    """5 % point of the residual-based tau of two series by its number of rows (MacKinnon 2010)."""
    b0, b1, b2 = _CRITICAL_5PCT
    with np.errstate(divide="ignore", invalid="ignore"):
        return b0 + b1 / rows + b2 / (rows * rows)


def p_value(tau: Floats) -> Floats:
    """Asymptotic p value of the residual-based tau of two series (MacKinnon 1994)."""
    from scipy.special import ndtr

    small = _SMALL_P[0] + tau * (_SMALL_P[1] + tau * _SMALL_P[2])
    large = _LARGE_P[0] + tau * (_LARGE_P[1] + tau * (_LARGE_P[2] + tau * _LARGE_P[3]))
    p = ndtr(np.where(tau <= _TAU_STAR, small, large))
    return np.where(
        np.isnan(tau), np.nan, np.where(tau > _TAU_MAX, 1.0, np.where(tau < _TAU_MIN, 0.0, p))
    )


@kernel
def _least_squares(gram: Floats, moment: Floats, n: int) -> float:
    """Solve the normal equations in place (Cholesky); returns [inverse of gram][0, 0], NaN if singular.

    ``moment`` becomes the coefficients. Only the leading n x n of ``gram`` counts.
    """
    for j in range(n):
        pivot = gram[j, j]
        full = pivot
        for k in range(j):
            pivot -= gram[j, k] * gram[j, k]
        if not pivot > 1e-13 * full:
            return math.nan
        root = math.sqrt(pivot)
        gram[j, j] = root
        for i in range(j + 1, n):
            s = gram[i, j]
            for k in range(j):
                s -= gram[i, k] * gram[j, k]
            gram[i, j] = s / root
    unit = np.zeros(n)
    unit[0] = 1.0
    for i in range(n):
        for k in range(i):
            moment[i] -= gram[i, k] * moment[k]
            unit[i] -= gram[i, k] * unit[k]
        moment[i] /= gram[i, i]
        unit[i] /= gram[i, i]
    inverse = 0.0
    for i in range(n):
        inverse += unit[i] * unit[i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            moment[i] -= gram[k, i] * moment[k]
        moment[i] /= gram[i, i]
    return inverse


@kernel
def _dickey_fuller(e: Floats) -> tuple[float, int]:
    """The t value of e[t-1] in the regression of e[t]-e[t-1] on it and LAGS lagged differences; rows."""
    length = e.size
    d = np.full(length, np.nan)
    for t in range(1, length):
        d[t] = e[t] - e[t - 1]
    gram = np.zeros((_K, _K))  # the last row and column belong to the left-hand side
    v = np.empty(_K)
    run = 0
    rows = 0
    for t in range(1, length):
        run = 0 if math.isnan(d[t]) else run + 1
        if run <= LAGS:
            continue
        rows += 1
        v[0] = e[t - 1]
        for j in range(LAGS):
            v[j + 1] = d[t - 1 - j]
        v[_K - 1] = d[t]
        for i in range(_K):
            w = v[i]
            for j in range(_K):
                gram[i, j] += w * v[j]
    n = _K - 1
    if rows <= 2 * n:
        return math.nan, rows
    moment = gram[n, :n].copy()
    total = gram[n, n]
    cross = moment.copy()
    inverse = _least_squares(gram, moment, n)
    for i in range(n):
        total -= moment[i] * cross[i]
    if math.isnan(inverse) or not total > 0.0:
        return math.nan, rows
    return moment[0] / math.sqrt(total / (rows - n) * inverse), rows


@kernel
def _judge_residuals(e: Floats, n: int, level: float, out: Floats) -> None:
    """Sd, tau and half-life of the ``n`` residuals that are there."""
    square, before, both = 0.0, 0.0, 0.0
    for t in range(e.size):
        if math.isnan(e[t]):
            continue
        square += e[t] * e[t]
        if t > 0 and not math.isnan(e[t - 1]):
            before += e[t - 1] * e[t - 1]
            both += e[t - 1] * e[t]
    sd = math.sqrt(square / (n - 1))
    out[OUT_SD] = sd
    # residuals that are rounding noise of an exact multiple have nothing to test
    if sd <= CONSTANT_RTOL * max(abs(level), CONSTANT_RTOL):
        return
    out[OUT_TAU], out[OUT_ROWS] = _dickey_fuller(e)
    if 0.0 < both < before:
        out[OUT_HALF_LIFE] = -math.log(2.0) / math.log(both / before)


@kernel
def engle_granger(log_close: Floats, pairs: Ints, min_obs: int) -> Floats:
    """Engle & Granger 1987 for every pair: ln a on ln b, then a unit-root test of the residuals.

    Args:
        log_close: (S, W) log closes of the window, NaN for null.
        pairs: (P, 2) a and b.
        min_obs: fewer common rows give null.

    Returns:
        (P, 7) slope, intercept, residual sd (ddof 1), tau, rows of the test, half-life in rows,
        common rows. All but the last are NaN under ``min_obs`` or when one side is constant;
        half-life is NaN where the residual does not revert.
    """
    length = log_close.shape[1]
    out = np.full((pairs.shape[0], _OUT), np.nan)
    e = np.empty(length)
    for p in range(pairs.shape[0]):
        y, x = log_close[pairs[p, 0]], log_close[pairs[p, 1]]
        n = 0
        mean_x, mean_y = 0.0, 0.0
        for t in range(length):
            if not math.isnan(x[t] + y[t]):
                n += 1
                mean_x += x[t]
                mean_y += y[t]
        out[p, OUT_N] = n
        if n < min_obs or n < 3:
            continue
        mean_x /= n
        mean_y /= n
        xx, yy, xy = 0.0, 0.0, 0.0
        for t in range(length):
            if not math.isnan(x[t] + y[t]):
                dx, dy = x[t] - mean_x, y[t] - mean_y
                xx += dx * dx
                yy += dy * dy
                xy += dx * dy
        floor_x = CONSTANT_RTOL * max(abs(mean_x), CONSTANT_RTOL)
        floor_y = CONSTANT_RTOL * max(abs(mean_y), CONSTANT_RTOL)
        if math.sqrt(xx / (n - 1)) <= floor_x or math.sqrt(yy / (n - 1)) <= floor_y:
            continue
        slope = xy / xx
        for t in range(length):
            e[t] = (y[t] - mean_y) - slope * (x[t] - mean_x)
        _judge_residuals(e, n, mean_y, out[p])
        out[p, OUT_SLOPE] = slope
        out[p, OUT_INTERCEPT] = mean_y - slope * mean_x
    return out
