"""RSI, MACD histogram, Bollinger %b and the volume profile, each row from its own fixed window.

Belongs here: arithmetic on panels. Does not belong here: scores made of it (``candle_scores``).
Importing this module imports numba.

Sources: Wilder 1978 (RSI), Appel 1979 (MACD), Bollinger 2001 (%b). Averages are seeded as TA-Lib seeds
them, so that both agree on a series that begins with the window; theirs run on for ever, ours end
after 400 slots, where the seed weighs less than 1e-12.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel
from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.numerics.stretches import in_stretches

WINDOW = 400
RSI_BARS = 14
FAST, SLOW, SIGNAL = 12, 26, 9
BAND_BARS, BAND_MIN = 20, 18
BAND_WIDTH = 2.0
DAY_BARS, DAY_MIN = 24, 22
POC_BINS = 50


@dataclass(frozen=True)
class Oscillators:
    """Panels; NaN where the window has too few closes."""

    rsi: FloatPanel
    histogram: FloatPanel
    percent_b: FloatPanel


def oscillators(close: FloatPanel, min_closes: int) -> Oscillators:
    """RSI(14), MACD(12, 26, 9) histogram and %b(20, 2) of every row.

    RSI and MACD run over the closes present in the last 400 slots, as if the missing ones were not
    there; a row needs its own close and ``min_closes`` of them. RSI without any gain or loss is null.
    %b is over 20 slots with the current one (18 closes), deviation with ddof 0; null where the band
    has no width.
    """
    by_column = np.ascontiguousarray(close.T)
    rsi, histogram, percent_b = (np.full(by_column.shape, np.nan) for _ in range(3))

    def part(first: int, stop: int) -> None:
        _oscillators(by_column, min_closes, first, stop, rsi, histogram, percent_b)

    in_stretches(part, by_column.shape[1], by_column.shape[0] * 20)
    return Oscillators(*(np.ascontiguousarray(x.T) for x in (rsi, histogram, percent_b)))


@ieee_kernel
def _oscillators(close, min_closes, first, stop, rsi, histogram, percent_b):  # type: ignore[no-untyped-def]
    kept = np.empty(WINDOW)
    for s in range(close.shape[0]):
        for h in range(first, stop):
            if not math.isfinite(close[s, h]):
                continue
            n = 0
            for i in range(max(0, h - WINDOW + 1), h + 1):
                if math.isfinite(close[s, i]):
                    kept[n] = close[s, i]
                    n += 1
            if n >= min_closes and n >= SLOW + SIGNAL:
                rsi[s, h] = _rsi(kept, n)
                histogram[s, h] = _histogram(kept, n)
            percent_b[s, h] = _percent_b(close[s], h)


@ieee_kernel
def _rsi(x, n):  # type: ignore[no-untyped-def]
    up = 0.0
    down = 0.0
    for i in range(1, RSI_BARS + 1):
        change = x[i] - x[i - 1]
        if change > 0.0:
            up += change
        else:
            down -= change
    up /= RSI_BARS
    down /= RSI_BARS
    for i in range(RSI_BARS + 1, n):
        change = x[i] - x[i - 1]
        up *= RSI_BARS - 1
        down *= RSI_BARS - 1
        if change > 0.0:
            up += change
        else:
            down -= change
        up /= RSI_BARS
        down /= RSI_BARS
    if up + down <= 1e-12 * x[n - 1]:
        return np.nan
    return 100.0 * up / (up + down)


@ieee_kernel
def _histogram(x, n):  # type: ignore[no-untyped-def]
    fast_k = 2.0 / (FAST + 1.0)
    slow_k = 2.0 / (SLOW + 1.0)
    signal_k = 2.0 / (SIGNAL + 1.0)
    slow = 0.0
    fast = 0.0
    for i in range(SLOW):
        slow += x[i]
        if i >= SLOW - FAST:
            fast += x[i]
    slow /= SLOW
    fast /= FAST
    total = fast - slow
    signal = 0.0
    macd = total
    for i in range(SLOW, n):
        fast += fast_k * (x[i] - fast)
        slow += slow_k * (x[i] - slow)
        macd = fast - slow
        if i < SLOW + SIGNAL - 2:
            total += macd
        elif i == SLOW + SIGNAL - 2:
            signal = (total + macd) / SIGNAL
        else:
            signal += signal_k * (macd - signal)
    return macd - signal


@ieee_kernel
def _percent_b(x, h):  # type: ignore[no-untyped-def]
    if h < BAND_BARS - 1:
        return np.nan
    n = 0
    total = 0.0
    for i in range(h - BAND_BARS + 1, h + 1):
        if math.isfinite(x[i]):
            total += x[i]
            n += 1
    if n < BAND_MIN:
        return np.nan
    mean = total / n
    square = 0.0
    for i in range(h - BAND_BARS + 1, h + 1):
        if math.isfinite(x[i]):
            square += (x[i] - mean) ** 2
    sd = math.sqrt(square / n)
    if sd <= 1e-12 * mean:
        return np.nan
    return (x[h] - mean + BAND_WIDTH * sd) / (2.0 * BAND_WIDTH * sd)


def point_of_control(
    high: FloatPanel, low: FloatPanel, typical: FloatPanel, volume: FloatPanel
) -> FloatPanel:
    """Middle of the busiest of 50 price bins of the last 24 bars; ties to the lower one."""
    given = [np.ascontiguousarray(x.T) for x in (high, low, typical, volume)]
    out = np.full(given[0].shape, np.nan)
    _profile(*given, out)
    return np.ascontiguousarray(out.T)


@ieee_kernel
def _profile(high, low, typical, volume, out):  # type: ignore[no-untyped-def]
    bins = np.empty(POC_BINS)
    for s in range(high.shape[0]):
        for h in range(DAY_BARS - 1, high.shape[1]):
            n = 0
            top = -np.inf
            floor = np.inf
            for i in range(h - DAY_BARS + 1, h + 1):
                if math.isfinite(typical[s, i]) and math.isfinite(volume[s, i]):
                    n += 1
                    top = max(top, high[s, i])
                    floor = min(floor, low[s, i])
            if n < DAY_MIN or not top > floor:
                continue
            bins[:] = 0.0
            width = (top - floor) / POC_BINS
            for i in range(h - DAY_BARS + 1, h + 1):
                if math.isfinite(typical[s, i]) and math.isfinite(volume[s, i]):
                    at = min(POC_BINS - 1, max(0, int((typical[s, i] - floor) / width)))
                    bins[at] += volume[s, i]
            best = 0
            for b in range(1, POC_BINS):
                if bins[b] > bins[best]:
                    best = b
            if bins[best] > 0.0:
                out[s, h] = floor + (best + 0.5) * width
