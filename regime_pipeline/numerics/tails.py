"""Quantile bands of a trailing sample with a fitted upper tail.

Belongs here: peaks over threshold by probability-weighted moments, and the sliding sorted sample it
needs. Does not belong here: what the bands are compared with.

The sample is kept sorted by insertion and removal, which moves values without arithmetic; sums run
over the sorted exceedances. A row's bands therefore depend on its own window alone, to the byte.

Sources: Hosking & Wallis 1987 (moments of the generalised Pareto), McNeil & Frey 2000 (its use for
extreme quantiles).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel
from regime_pipeline.numerics.order_statistics import slide

Floats = npt.NDArray[np.float64]

MIN_EXCEEDANCES = 10


@kernel
def quantile7(ordered: Floats, n: int, q: float) -> float:
    """Type-7 quantile of the first ``n`` ascending values."""
    at = (n - 1) * q
    low = math.floor(at)
    high = min(low + 1, n - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


@kernel
def gpd_pwm(ordered: Floats, first: int, n: int, threshold: float) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto over ``threshold`` from ascending values.

    ``ordered[first:n]`` are the values above it; plotting position (i - 0.35) / count. Returns NaN
    for both when the fit is degenerate.
    """
    count = n - first
    a0 = 0.0
    a1 = 0.0
    for i in range(count):
        y = ordered[first + i] - threshold
        a0 += y
        a1 += (1.0 - (i + 1 - 0.35) / count) * y
    a0 /= count
    a1 /= count
    gap = a0 - 2.0 * a1
    if not (a0 > 0.0 and a1 > 0.0 and gap > 0.0):
        return math.nan, math.nan
    shape = 2.0 - a0 / gap
    scale = 2.0 * a0 * a1 / gap
    if not (math.isfinite(shape) and math.isfinite(scale)):
        return math.nan, math.nan
    return shape, scale


@kernel
def gpd_quantile(
    threshold: float, shape: float, scale: float, exceeding_frac: float, q: float
) -> float:
    """Quantile ``q`` of the whole sample, whose share ``exceeding_frac`` lies above the threshold."""
    ratio = (1.0 - q) / exceeding_frac
    if abs(shape) < 1e-12:
        return threshold - scale * math.log(ratio)
    return threshold + scale / shape * (math.exp(-shape * math.log(ratio)) - 1.0)


@kernel
def _bands(ordered: Floats, n: int, levels: Floats, tail_from: int, out: Floats) -> None:
    threshold = quantile7(ordered, n, levels[0])
    first = n
    while first > 0 and ordered[first - 1] > threshold:
        first -= 1
    shape = math.nan
    scale = math.nan
    if n - first >= MIN_EXCEEDANCES:
        shape, scale = gpd_pwm(ordered, first, n, threshold)
    highest = -math.inf
    for k in range(levels.size):
        value = math.nan
        if k >= tail_from and not math.isnan(shape):
            value = gpd_quantile(threshold, shape, scale, (n - first) / n, levels[k])
        if not math.isfinite(value):
            value = quantile7(ordered, n, levels[k])
        highest = max(highest, value)
        out[k] = highest


@kernel
def tail_bands(
    x: Floats, window: int, min_obs: int, min_positive: int, levels: Floats, tail_from: int
) -> Floats:
    """Bands of rows h-window .. h-1 for every row h, the current one left out.

    Args:
        x: (T, S) non-negative values; NaN is null.
        window: rows of the sample, null ones included.
        min_obs: fewer non-null values give null bands.
        min_positive: fewer values above zero give null bands.
        levels: ascending probabilities; ``levels[0]`` is the threshold of the tail.
        tail_from: from this level on the band comes from the fitted tail, or is empirical when
            there are fewer than ten exceedances or the fit is degenerate.

    Returns:
        (T, S, len(levels)), non-decreasing along the last axis.
    """
    length, symbols = x.shape
    out = np.full((length, symbols, levels.size), np.nan)
    ordered = np.empty(window + 1)
    for s in range(symbols):
        n = 0
        positive = 0
        for t in range(length):
            if n >= min_obs and positive >= min_positive and n > 0:
                _bands(ordered, n, levels, tail_from, out[t, s])
            new = x[t, s]
            old = x[t - window, s] if t >= window else math.nan
            n = slide(ordered, n, old, new)
            positive += int(new > 0.0) - int(old > 0.0)
    return out
