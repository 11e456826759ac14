"""Exposure of each symbol to another one: exponentially weighted regression on three of its returns.

Belongs here: arithmetic on panels. Does not belong here: scores (``candle_scores``). Importing this
module imports numba.

Sources: Dimson 1979 (leads and lags), Vasicek 1973 (shrinkage), White 1980 (errors).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel
from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.numerics.stretches import in_stretches

WINDOW, MIN_TRIPLES = 720, 480
HALF_LIFE_H = 240.0
PRIOR_MEAN, PRIOR_SD = 1.0, 0.5
REACH_H = WINDOW + 2
"""Returns before a row that can reach it."""
_REGRESSORS = 4
_GRAM = 10
_SCALE = 100.0
"""Returns enter in percent, so that the sums of the intercept and of squares are of like size."""


@dataclass(frozen=True)
class Exposure:
    """Panels: the shrunk slope, its own error, R^2, residual volatility per hour, triples behind it."""

    beta: FloatPanel
    standard_error: FloatPanel
    r_squared: FloatPanel
    idiosyncratic: FloatPanel
    triples: FloatPanel


def exposure(returns: FloatPanel, reference: FloatPanel, keep: int) -> Exposure:
    """Slope of each column on the reference, for the last ``keep`` rows.

    Row h regresses r(s) on an intercept and the reference's r(s-1), r(s), r(s+1), weighted by a
    half-life of 240 h, over the 720 s with s + 1 <= h - 1; the slope is the sum of the three. Its
    error is White's, scaled by k / (k - 4) with Kish's size k. Both are then weighed against a fixed
    prior N(1, 0.5^2). Null under 480 triples.

    Args:
        returns: log returns, hours x symbols; NaN is null.
        reference: one column of log returns, as many hours.
        keep: rows that are put out; the hours before them are history.
    """
    rows, width = returns.shape
    mask = np.isfinite(returns).astype("float64")
    own = np.ascontiguousarray(np.where(mask > 0.0, returns, 0.0) * _SCALE)
    other = np.ascontiguousarray(reference.reshape(-1) * _SCALE)
    weight = 0.5 ** (np.arange(WINDOW) / HALF_LIFE_H)
    out = np.full((5, keep, width), np.nan)

    def part(first: int, stop: int) -> None:
        _exposure(own, mask, other, weight, rows - keep, first, stop, out)

    in_stretches(part, keep, width * 20)
    return Exposure(*out)


@ieee_kernel
def _exposure(  # type: ignore[no-untyped-def]  # noqa: C901 - two passes over one window
    own, mask, other, weight, before, first, stop, out
):
    width = own.shape[1]
    sums = np.empty((_GRAM + _REGRESSORS + 3, width))
    found = np.empty((2 * _REGRESSORS, width))
    spread = np.empty((2, width))
    x = np.empty(_REGRESSORS)
    x[0] = 1.0
    system = np.empty((_REGRESSORS, _REGRESSORS + 2))
    for row in range(first, stop):
        h = before + row
        start = max(1, h - 1 - WINDOW)
        sums[:] = 0.0
        counts = np.zeros(width)
        for s in range(start, h - 1):
            for k in range(1, _REGRESSORS):
                x[k] = other[s + k - 2]
            if not math.isfinite(x[1] + x[2] + x[3]):
                continue
            w = weight[h - 2 - s]
            at = 0
            for a in range(_REGRESSORS):
                for b in range(a, _REGRESSORS):
                    c = w * x[a] * x[b]
                    for j in range(width):
                        sums[at, j] += c * mask[s, j]
                    at += 1
            for a in range(_REGRESSORS):
                c = w * x[a]
                for j in range(width):
                    sums[at, j] += c * own[s, j]
                at += 1
            for j in range(width):
                sums[at, j] += w * own[s, j] * own[s, j]
            for j in range(width):
                sums[at + 1, j] += w * w * mask[s, j]
            for j in range(width):
                counts[j] += mask[s, j]
        for j in range(width):
            _solve(sums[:, j], system, found[:, j])
        spread[:] = 0.0
        for s in range(start, h - 1):
            for k in range(1, _REGRESSORS):
                x[k] = other[s + k - 2]
            if not math.isfinite(x[1] + x[2] + x[3]):
                continue
            w = weight[h - 2 - s]
            for j in range(width):
                error = own[s, j] - (
                    found[0, j] + found[1, j] * x[1] + found[2, j] * x[2] + found[3, j] * x[3]
                )
                lever = found[4, j] + found[5, j] * x[1] + found[6, j] * x[2] + found[7, j] * x[3]
                error *= mask[s, j] * w
                spread[0, j] += error * error * lever * lever
                spread[1, j] += error * error / w
        for j in range(width):
            out[4, row, j] = counts[j]
            if counts[j] < MIN_TRIPLES or not math.isfinite(found[0, j]):
                continue
            mass = sums[0, j]
            kish = mass * mass / sums[_GRAM + _REGRESSORS + 1, j]
            square = spread[0, j] * kish / (kish - _REGRESSORS)
            raw = found[1, j] + found[2, j] + found[3, j]
            prior = 1.0 / (PRIOR_SD * PRIOR_SD)
            if square > 0.0:
                out[0, row, j] = (raw / square + PRIOR_MEAN * prior) / (1.0 / square + prior)
            else:
                out[0, row, j] = raw
            out[1, row, j] = math.sqrt(square)
            mean = sums[_GRAM, j] / mass
            total = sums[_GRAM + _REGRESSORS, j] - mass * mean * mean
            if total > 0.0:
                out[2, row, j] = min(1.0, max(0.0, 1.0 - spread[1, j] / total))
            out[3, row, j] = math.sqrt(spread[1, j] / mass) / _SCALE


@ieee_kernel
def _solve(sums, a, found):  # type: ignore[no-untyped-def]
    """The coefficients, then the solution for the sum of the slopes; NaN where there is none."""
    at = 0
    for i in range(_REGRESSORS):
        for j in range(i, _REGRESSORS):
            a[i, j] = sums[at]
            a[j, i] = sums[at]
            at += 1
    for i in range(_REGRESSORS):
        a[i, _REGRESSORS] = sums[at + i]
        a[i, _REGRESSORS + 1] = 0.0 if i == 0 else 1.0
    for i in range(_REGRESSORS):
        if not a[i, i] > 1e-12 * sums[0]:
            found[:] = np.nan
            return
        for r in range(i + 1, _REGRESSORS):
            factor = a[r, i] / a[i, i]
            for c in range(i, _REGRESSORS + 2):
                a[r, c] -= factor * a[i, c]
    for side in range(2):
        for i in range(_REGRESSORS - 1, -1, -1):
            total = a[i, _REGRESSORS + side]
            for c in range(i + 1, _REGRESSORS):
                total -= a[i, c] * found[side * _REGRESSORS + c]
            found[side * _REGRESSORS + i] = total / a[i, i]
