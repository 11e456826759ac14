"""Compiled loops of the funding statistics: windows by time over irregular prints.

Belongs here: arithmetic on sorted arrays of prints. Does not belong here: frames, names, thresholds'
defaults. Importing this module imports numba; ``funding_anomalies`` does so when it computes.

Prints lie one symbol after the other, by time within a symbol; ``first``/``last`` bound a symbol's
slice. Hours are whole hours since 1970. Every window is reduced afresh, so a value never depends on
where the arrays start.
"""

from __future__ import annotations

import math

import numpy as np

from regime_pipeline.numerics.compiled import kernel
from regime_pipeline.numerics.order_statistics import mad, slide

WINDOW_H = 720
MIN_COVERED_H = 480
RANK_WINDOW_H = 8760
RANK_MIN_OBS = 60
PERSISTENCE_H = 168
PERSISTENCE_MIN_H = 112
MACHINE_H = 90 * 24
RESTART_H = 72

NO_EVENT, START, ESCALATION = -1, 0, 1


@kernel
def _middle(ordered, n):  # type: ignore[no-untyped-def]
    half = n // 2
    if n % 2 == 1 or ordered[half - 1] == ordered[half]:
        return ordered[half]
    return 0.5 * (ordered[half - 1] + ordered[half])


@kernel
def _spread(window, n, mean):  # type: ignore[no-untyped-def]
    """Standard deviation, ddof 1, second pass."""
    squares = 0.0
    for i in range(n):
        squares += (window[i] - mean) * (window[i] - mean)
    return math.sqrt(squares / (n - 1))


@kernel
def _robust_spread(ordered, n, median):  # type: ignore[no-untyped-def]
    """1.4826 MAD; where that is 0, 1.2533 mean absolute deviation around the median."""
    distance = mad(ordered, n, median)
    if distance > 0.0:
        return 1.4826 * distance
    total = 0.0
    for i in range(n):
        total += abs(ordered[i] - median)
    return 1.2533 * (total / n)


@kernel
def _z(x, centre, spread, median, flat, floor):  # type: ignore[no-untyped-def]
    """Z under a scale that is never below the floor; on a constant window from its median."""
    if flat or spread <= 1e-12 * max(abs(centre), 1e-12):
        return (x - median) / floor
    return (x - centre) / max(spread, floor)


@kernel
def judge(hour, rate, weight, tier, first, last, floor, z, robust, median, n_obs, worst):  # type: ignore[no-untyped-def]
    """Judge every print against the prints of the 30 days before it: z, robust z, median.

    ``rate`` is per 8 h, NaN where the interval is unknown; ``weight`` is the interval in hours.
    Where the intervals of the window add up to less than 480 h nothing is judged. ``worst`` is the
    highest tier among the print and its window.
    """
    for s in range(len(first)):
        begin = first[s]
        window = np.empty(last[s] - first[s])
        ordered = np.empty(last[s] - first[s] + 1)
        size = np.int64(0)
        for p in range(first[s], last[s]):
            if p > first[s]:
                size = slide(ordered, size, np.nan, rate[p - 1])
            while hour[begin] < hour[p] - WINDOW_H:
                size = slide(ordered, size, rate[begin], np.nan)
                begin += 1
            n = np.int64(0)
            hours = 0.0
            total = 0.0
            worst[p] = tier[p]
            for i in range(begin, p):
                if math.isfinite(rate[i]):
                    if not worst[p] >= tier[i]:
                        worst[p] = tier[i]
                    window[n] = rate[i] + 0.0  # one zero, not two that differ in a byte
                    n += 1
                    hours += weight[i]
                    total += rate[i]
            n_obs[p] = n
            if hours < MIN_COVERED_H or n < 2:
                continue
            flat = ordered[0] == ordered[n - 1]
            mid = _middle(ordered, n)
            median[p] = mid
            mean = mid if flat else total / n
            x = rate[p]
            z[p] = _z(x, mean, _spread(window, n, mean), mid, flat, floor)
            robust[p] = _z(x, mid, _robust_spread(ordered, n, mid), mid, flat, floor)


@kernel
def rank(hour, rate, first, last, owed, out):  # type: ignore[no-untyped-def]
    """Mid-rank of every owed print among the prints of the 365 days before it."""
    for s in range(len(first)):
        begin = first[s]
        for p in range(first[s], last[s]):
            while hour[begin] < hour[p] - RANK_WINDOW_H:
                begin += 1
            if not owed[p] or not math.isfinite(rate[p]):
                continue
            n = 0
            twice = 0
            for i in range(begin, p):
                if math.isfinite(rate[i]):
                    n += 1
                    if rate[i] < rate[p]:
                        twice += 2
                    elif rate[i] == rate[p]:
                        twice += 1
            if n >= RANK_MIN_OBS:
                out[p] = 0.5 * twice / n


@kernel
def persistence(hour, z, weight, first, last, threshold, out):  # type: ignore[no-untyped-def]
    """Share of the judged hours of the last 7 days that were anomalous on the print's own side."""
    for s in range(len(first)):
        begin = first[s]
        for p in range(first[s], last[s]):
            while hour[begin] <= hour[p] - PERSISTENCE_H:
                begin += 1
            if not math.isfinite(z[p]):
                continue
            judged = 0.0
            held = 0.0
            for i in range(begin, p + 1):
                if math.isfinite(z[i]):
                    judged += weight[i]
                    if abs(z[i]) > threshold and z[i] * z[p] > 0.0:
                        held += weight[i]
            if judged >= PERSISTENCE_MIN_H:
                out[p] = held / judged


@kernel
def _step(i, state, hour, rate, median, z, weight, threshold, extreme, rearm):  # type: ignore[no-untyped-def]
    """One print through the run machine.

    ``state`` is (sign of the open run or 0, print of its start, whether its extreme level was
    announced, last judged print or -1); the new state, the event, and whether a run reversed here
    with the print of its start come back.
    """
    sign, start, told, previous = state
    if not math.isfinite(z[i]):
        return state, NO_EVENT, False, -1
    if previous >= 0 and hour[i] - hour[previous] - weight[i] > RESTART_H:
        sign, start, told = 0, -1, 0
    anomalous = abs(z[i]) > threshold
    side = 1 if z[i] > 0.0 else -1
    reversed_here = False
    reversed_start = -1
    if sign != 0 and (abs(z[i]) < rearm or (anomalous and side == -sign)):
        away = rate[i] - median[i]
        if away * sign < 0.0 and abs(z[i] - z[previous]) >= 1.0:
            reversed_here = True
            reversed_start = start
        sign, start, told = 0, -1, 0
    event = NO_EVENT
    if sign == 0 and anomalous:
        sign, start, event = side, i, START
        told = 1 if abs(z[i]) >= extreme else 0
    elif sign != 0 and told == 0 and abs(z[i]) >= extreme and side == sign:
        told, event = 1, ESCALATION
    return (sign, start, told, i), event, reversed_here, reversed_start


@kernel
def runs(  # type: ignore[no-untyped-def]
    hour, rate, median, z, weight, first, last, threshold, extreme, rearm, sign, start, event, back
):
    """The run machine at every print, started fresh 90 days before it.

    A fresh machine can only have a run open while one that started earlier has the same run open
    (both open at an anomaly, close at the same prints). So wherever the machine that runs from the
    first print is idle the fresh one is too, and it may be started there instead: the same answer
    in a few steps.

    Fills ``sign`` (run open after the print), ``start`` (its first print, -1), ``event`` and
    ``back`` (first print of the run that reversed here, -1).
    """
    for s in range(len(first)):
        oldest = first[s]
        idle = first[s]  # the first print that the fresh machine has to see
        none, nothing = np.int64(0), np.int64(-1)
        long = (none, nothing, none, nothing)
        for p in range(first[s], last[s]):
            while hour[oldest] <= hour[p] - MACHINE_H:
                oldest += 1
            state = (none, nothing, none, nothing)
            for i in range(max(oldest, idle), p + 1):
                state, what, turned, since = _step(
                    i, state, hour, rate, median, z, weight, threshold, extreme, rearm
                )
            sign[p] = state[0]
            start[p] = state[1]
            event[p] = what
            back[p] = since if turned else -1
            long, what, turned, since = _step(
                p, long, hour, rate, median, z, weight, threshold, extreme, rearm
            )
            if long[0] == 0:
                idle = p + 1


@kernel
def legacy_statistics(hour, rate, first, last, threshold, z, persistence):  # type: ignore[no-untyped-def]
    """The legacy z and persistence at every print, faults and all.

    Prints are held forward to hours; the sample is the 720 hours that end with the print's own, which
    it contains; sd with ddof 0. ``persistence`` is the share of those hours beyond ``threshold`` sd.
    NaN where the 720 hours are not all filled (a print is held for 72 h at most) or nothing varies.
    """
    for s in range(len(first)):
        begin = first[s]
        for p in range(first[s], last[s]):
            z[p] = np.nan
            persistence[p] = np.nan
            start = hour[p] - WINDOW_H + 1
            while begin < p and hour[begin + 1] <= start:
                begin += 1
            if hour[begin] > start:
                continue
            usable, mean = True, 0.0
            for i in range(begin, p + 1):
                until = hour[i + 1] if i < p else hour[p] + 1
                if until - hour[i] > RESTART_H or not math.isfinite(rate[i]):
                    usable = False
                mean += rate[i] * (until - max(hour[i], start))
            if not usable:
                continue
            mean /= WINDOW_H
            squares = 0.0
            for i in range(begin, p + 1):
                until = hour[i + 1] if i < p else hour[p] + 1
                squares += (rate[i] - mean) ** 2 * (until - max(hour[i], start))
            spread = math.sqrt(squares / WINDOW_H)
            if spread <= 1e-12 * max(abs(mean), 1e-12):
                continue
            z[p] = (rate[p] - mean) / spread
            beyond = 0
            for i in range(begin, p + 1):
                until = hour[i + 1] if i < p else hour[p] + 1
                if abs(rate[i] - mean) > threshold * spread:
                    beyond += until - max(hour[i], start)
            persistence[p] = beyond / WINDOW_H
