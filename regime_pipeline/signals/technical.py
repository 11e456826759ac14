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
from regime_pipeline.numerics.memory import new_panels
from regime_pipeline.numerics.stretches import in_stretches

WINDOW = 400
RSI_BARS = 14
FAST, SLOW, SIGNAL = 12, 26, 9
BAND_BARS, BAND_MIN = 20, 18
BAND_WIDTH = 2.0
DAY_BARS, DAY_MIN = 24, 22
POC_BINS = 50
_TOGETHER = 256
"""Windows of %b that go through the kernel side by side."""


@dataclass(frozen=True)
class Oscillators:
    """Panels; NaN where the window has too few closes."""

    rsi: FloatPanel
    histogram: FloatPanel
    percent_b: FloatPanel


def oscillators(close: FloatPanel, min_closes: int, *, first_hour: int) -> Oscillators:
    """RSI(14), MACD(12, 26, 9) histogram and %b(20, 2) of every row.

    RSI and MACD run over the closes present in the last 400 slots, as if the missing ones were not
    there; a row needs its own close and ``min_closes`` of them, at least 35. RSI without any gain or
    loss is null. %b is over 20 slots with the current one (18 closes), deviation with ddof 0; null where
    the band has no width.
    """
    by_column = np.ascontiguousarray(close.T)
    found = new_panels(3, close.shape)
    found[:] = np.nan
    rsi, histogram, percent_b = found
    least = max(min_closes, SLOW + SIGNAL)

    def part(first: int, stop: int) -> None:
        tables = (_SEED, _ADDS, _ANSWER)
        _recursions(by_column, least, first_hour, first, stop, *tables, rsi, histogram)
        _percent_b(by_column, first, stop, percent_b)

    length, width = close.shape
    in_stretches(part, length, width, unit=WINDOW, origin=-first_hour % WINDOW)
    return Oscillators(rsi, histogram, percent_b)


_FAST_K, _SLOW_K, _SIGNAL_K = (2.0 / (bars + 1.0) for bars in (FAST, SLOW, SIGNAL))
_SEED_BARS = SLOW + SIGNAL - 1
"""Closes until MACD's three averages are all seeded."""


def _step(state: FloatPanel, close: FloatPanel) -> FloatPanel:
    """The averages (fast, slow, signal) one close later; a column each state."""
    fast = state[0] + _FAST_K * (close - state[0])
    slow = state[1] + _SLOW_K * (close - state[1])
    return np.stack([fast, slow, state[2] + _SIGNAL_K * (fast - slow - state[2])])


def _weights_of_seeds() -> FloatPanel:
    """What each of a window's first 34 closes adds to the seeded averages: averages x closes."""
    closes = np.eye(_SEED_BARS)
    state = np.zeros((3, _SEED_BARS))
    state[0] = closes[SLOW - FAST : SLOW].mean(axis=0)
    state[1] = closes[:SLOW].mean(axis=0)
    differences = [state[0] - state[1]]
    for close in closes[SLOW:]:
        state = _step(state, close)
        differences.append(state[0] - state[1])
    state[2] = np.mean(differences, axis=0)
    return state


def _powers() -> tuple[FloatPanel, FloatPanel]:
    """What closes leave behind, by how many came since; closes x averages.

    First what each of the averages (fast, slow, signal) adds to the histogram then, next what a close of
    1 makes of them.
    """
    left, made = np.eye(3), _step(np.zeros((3, 1)), np.ones(1))
    adds, answers = [], []
    for _ in range(WINDOW + 1):
        adds.append(left[0] - left[1] - left[2])
        answers.append(made[:, 0])
        left, made = _step(left, np.zeros(3)), _step(made, np.zeros(1))
    return np.stack(adds), np.stack(answers)


_SEED = _weights_of_seeds()
_ADDS, _ANSWER = _powers()


@ieee_kernel
def _recursions(close, least, anchor, first, stop, seed, adds, answer, rsi, histogram):  # type: ignore[no-untyped-def]
    """Block by block: the closes of a block and of the one before it, the missing ones left out."""
    kept = np.empty(2 * WINDOW)
    rows = np.empty(2 * WINDOW, np.int64)
    windows = np.empty(2 * WINDOW, np.int64)
    decay = (RSI_BARS - 1.0) / RSI_BARS
    powers = decay ** np.arange(WINDOW + 1.0)
    work = np.empty((7, 2 * WINDOW + 1))
    block = first - (first + anchor) % WINDOW
    while block < stop:
        for s in range(close.shape[0]):
            n = 0
            begin = 0
            for h in range(max(0, block - WINDOW), min(block + WINDOW, stop)):
                if h == block:
                    begin = n
                if math.isfinite(close[s, h]):
                    kept[n] = close[s, h]
                    rows[n] = h
                    n += 1
            since = 0
            for i in range(begin, n):
                while rows[since] <= rows[i] - WINDOW:
                    since += 1
                windows[i] = since
            if begin < n:
                _rsi(kept, rows, windows, begin, n, least, decay, powers, work, rsi[:, s])
                _histogram(
                    kept, rows, windows, begin, n, least, seed, adds, answer, work, histogram[:, s]
                )
        block += WINDOW


@ieee_kernel
def _add(out, weight, x):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] += weight * x[i]


@ieee_kernel
def _rsi(x, rows, windows, begin, n, least, decay, powers, work, out):  # type: ignore[no-untyped-def]
    """Fourteen times Wilder's averages; the change into ``begin`` is the last one of the earlier block."""
    gain, loss = work[0], work[1]  # into each close
    up_seed, down_seed = work[2], work[3]  # changes of the fourteen closes after this one
    up_sum, down_sum = work[4], work[5]  # from each close until the beginning, or from there to it
    later, sooner, up_by, down_by = x[1:n], x[: n - 1], gain[1:n], loss[1:n]
    for i in range(n - 1):
        change = later[i] - sooner[i]
        up_by[i] = change if change > 0.0 else 0.0
        down_by[i] = -change if change < 0.0 else 0.0
    low, high = windows[begin], min(windows[n - 1], n - 1 - RSI_BARS) + 1
    up_seed[low:high] = 0.0
    down_seed[low:high] = 0.0
    for k in range(1, RSI_BARS + 1):
        _add(up_seed[low:high], 1.0, gain[low + k : high + k])
        _add(down_seed[low:high], 1.0, loss[low + k : high + k])
    up, down = 0.0, 0.0
    for i in range(begin, 0, -1):
        up += powers[begin - i] * gain[i]
        down += powers[begin - i] * loss[i]
        up_sum[i] = up
        down_sum[i] = down
    earlier_up, earlier_down = 0.0, 0.0
    fallen_up, fallen_down = 0.0, 0.0
    for i in range(begin, n):
        if i > begin:
            fallen_up = decay * fallen_up + gain[i]
            fallen_down = decay * fallen_down + loss[i]
            up_sum[i] = fallen_up
            down_sum[i] = fallen_down
        since = windows[i]
        if i - since + 1 < least:
            continue
        seeded = since + RSI_BARS
        left = powers[i - seeded]
        if seeded < begin:
            far = powers[i - begin]
            earlier_up, earlier_down = up_sum[seeded + 1], down_sum[seeded + 1]
            up = fallen_up + far * earlier_up + left * up_seed[since]
            down = fallen_down + far * earlier_down + left * down_seed[since]
        else:
            before_up = up_sum[seeded] if seeded > begin else 0.0
            before_down = down_sum[seeded] if seeded > begin else 0.0
            up = fallen_up + left * (up_seed[since] - before_up)
            down = fallen_down + left * (down_seed[since] - before_down)
        up = max(up, 0.0)
        down = max(down, 0.0)
        if up + down > RSI_BARS * 1e-12 * x[i]:
            out[rows[i]] = 100.0 * up / (up + down)


@ieee_kernel
def _histogram(x, rows, windows, begin, n, least, seed, adds, answer, work, out):  # type: ignore[no-untyped-def]
    """The averages of closes less the block's first one, which leaves their differences as they are."""
    seeds, states, y = work[:3], work[3:6], work[6]
    centre = x[begin]
    for i in range(n):
        y[i] = x[i] - centre
    low, high = windows[begin], min(windows[n - 1], n - _SEED_BARS) + 1
    seeds[:, low:high] = 0.0
    for k in range(_SEED_BARS):
        for average in range(3):
            _add(seeds[average, low:high], seed[average, k], y[low + k : high + k])
    # of the closes from each on to the block's beginning, before it; the averages from there on
    fast, slow, signal = 0.0, 0.0, 0.0
    for i in range(begin - 1, -1, -1):
        came = begin - 1 - i
        fast += answer[came, 0] * y[i]
        slow += answer[came, 1] * y[i]
        signal += answer[came, 2] * y[i]
        states[0, i] = fast
        states[1, i] = slow
        states[2, i] = signal
    fast, slow, signal = 0.0, 0.0, 0.0
    for i in range(begin, n):
        fast += _FAST_K * (y[i] - fast)
        slow += _SLOW_K * (y[i] - slow)
        signal += _SIGNAL_K * (fast - slow - signal)
        states[0, i] = fast
        states[1, i] = slow
        states[2, i] = signal
        since = windows[i]
        if i - since + 1 < least:
            continue
        seeded = since + _SEED_BARS - 1
        found = fast - slow - signal
        for average in range(3):
            value = seeds[average, since]
            if seeded < begin:
                # nothing lies between the last seed and the block where they meet
                earlier = states[average, seeded + 1] if seeded + 1 < begin else 0.0
                found += adds[i - begin + 1, average] * earlier
            else:
                value -= states[average, seeded]
            found += adds[i - seeded, average] * value
        out[rows[i]] = found


@ieee_kernel
def _percent_b(close, first, stop, out):  # type: ignore[no-untyped-def]
    """Many windows side by side, slot after slot: each loop is one of vectors."""
    sums, counts, squares = np.empty(_TOGETHER), np.empty(_TOGETHER), np.empty(_TOGETHER)
    for begin in range(max(first, BAND_BARS - 1), stop, _TOGETHER):
        m = min(_TOGETHER, stop - begin)
        for s in range(close.shape[0]):
            sums[:m] = 0.0
            counts[:m] = 0.0
            squares[:m] = 0.0
            for back in range(BAND_BARS - 1, -1, -1):
                x = close[s, begin - back : begin - back + m]
                for i in range(m):
                    there = abs(x[i]) < np.inf
                    sums[i] += x[i] if there else 0.0
                    counts[i] += 1.0 if there else 0.0
            for i in range(m):
                sums[i] /= counts[i]
            for back in range(BAND_BARS - 1, -1, -1):
                x = close[s, begin - back : begin - back + m]
                for i in range(m):
                    away = x[i] - sums[i] if abs(x[i]) < np.inf else 0.0
                    squares[i] += away * away
            x = close[s, begin : begin + m]
            for i in range(m):
                mean, sd = sums[i], math.sqrt(squares[i] / counts[i])
                band = (x[i] - mean + BAND_WIDTH * sd) / (2.0 * BAND_WIDTH * sd)
                known = abs(x[i]) < np.inf and counts[i] >= BAND_MIN and sd > 1e-12 * mean
                out[begin + i, s] = band if known else np.nan


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
