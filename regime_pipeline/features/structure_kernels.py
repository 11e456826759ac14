"""Compiled loops behind the price structure: breaks, zones and shapes of bars.

Belongs here: what happens on a bar. Does not belong here: columns and frames (``price_structure``).
Importing this module imports numba.

The falling side is the rising one upside down: prices of side 1 carry a minus, highs and lows change
places. A price that is missing makes every comparison false.
"""

from __future__ import annotations

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel

WINDOW = 480
"""Bars of memory: an older pivot, break or zone is forgotten, and a row is the same wherever it began."""
RANGE_BARS, RANGE_MIN = 100, 90
PIVOT_BARS = 3
BLOCK_REACH = 24
ZONE_BARS = 240
DISPLACEMENT, GAP = 1.5, 0.25

BOS, CHOCH, BLOCK, BLOCK_TOUCH, GAP_MADE, GAP_TOUCH, SWEEP = range(7)
ENGULFING, HAMMER, DOJI, SOLDIERS, INSIDE = range(7, 12)
EVENTS = 12
"""Things that happen on a bar, each +1 rising, -1 falling, 0 not."""
PIVOT, BLOCK_LOW, BLOCK_HIGH, GAP_LOW, GAP_HIGH = range(5)
LEVELS = 5
"""Prices that stand, for each side."""


@ieee_kernel
def mean_ranges(high, low, close, out):  # type: ignore[no-untyped-def]
    """Mean true range of the 100 bars before each bar (90 needed); columns x hours."""
    for s in range(high.shape[0]):
        for i in range(high.shape[1]):
            n = 0
            total = 0.0
            for k in range(max(1, i - RANGE_BARS), i):
                reach = max(high[s, k], close[s, k - 1]) - min(low[s, k], close[s, k - 1])
                if np.isfinite(reach):
                    n += 1
                    total += reach
            out[s, i] = total / n if n >= RANGE_MIN else np.nan


@ieee_kernel
def structure(open_, high, low, close, usual, first, events, levels):  # type: ignore[no-untyped-def]
    """Events and levels of the rows from ``first`` on, each from its own 480 bars.

    Args:
        open_: first prices, columns x hours; so are the next three.
        high: highest prices.
        low: lowest prices.
        close: last prices.
        usual: :func:`mean_ranges`.
        first: first row that is put out.
        events: (columns, rows, EVENTS), to be filled.
        levels: (columns, rows, 2 sides, LEVELS), NaN where nothing stands.
    """
    o = np.empty((2, WINDOW))
    h = np.empty((2, WINDOW))
    low_of = np.empty((2, WINDOW))
    c = np.empty((2, WINDOW))
    for s in range(close.shape[0]):
        for row in range(first, close.shape[1]):
            n = min(WINDOW, row + 1)
            start = row + 1 - n
            for i in range(n):
                o[0, i], o[1, i] = open_[s, start + i], -open_[s, start + i]
                h[0, i], h[1, i] = high[s, start + i], -low[s, start + i]
                low_of[0, i], low_of[1, i] = low[s, start + i], -high[s, start + i]
                c[0, i], c[1, i] = close[s, start + i], -close[s, start + i]
            _run(o, h, low_of, c, usual[s, start : row + 1], n, events[s, row - first],
                 levels[s, row - first])  # fmt: skip


@ieee_kernel
def _run(o, h, low, c, usual, n, events, levels):  # type: ignore[no-untyped-def]  # noqa: C901
    pivot = np.full(2, np.nan)
    pivot_at = np.full(2, -1)
    broken = np.ones(2, np.bool_)
    swept = np.ones(2, np.bool_)
    zone = np.full((2, 2, 2), np.nan)  # side, block or gap, low or high
    born = np.full((2, 2), -1)
    touched = np.zeros((2, 2), np.bool_)
    last = -1
    for i in range(n):
        if i == n - 1:
            events[:] = 0.0
        for d in range(2):
            sign = 1.0 if d == 0 else -1.0
            for kind in range(2):  # standing zones, made by earlier bars
                if born[d, kind] >= 0:
                    if c[d, i] < zone[d, kind, 0] or i - born[d, kind] > ZONE_BARS:
                        born[d, kind] = -1
                        zone[d, kind, :] = np.nan
                    elif not touched[d, kind] and low[d, i] <= zone[d, kind, 1]:
                        touched[d, kind] = True
                        if i == n - 1:
                            events[BLOCK_TOUCH if kind == 0 else GAP_TOUCH] = sign
            if not broken[d] and c[d, i] > pivot[d]:
                broken[d] = True
                if i == n - 1:
                    events[BOS if last == d else CHOCH] = sign
                last = d
                for j in range(i - 1, max(pivot_at[d], i - BLOCK_REACH - 1), -1):
                    if c[d, j] < o[d, j]:
                        if c[d, i] - low[d, j] >= DISPLACEMENT * usual[i]:
                            zone[d, 0, 0], zone[d, 0, 1] = low[d, j], h[d, j]
                            born[d, 0] = i
                            touched[d, 0] = False
                            if i == n - 1:
                                events[BLOCK] = sign
                        break
            other = 1 - d  # a pivot low of this side is a pivot high of the other, upside down
            if not broken[other] and not swept[other]:
                floor = -pivot[other]
                if low[d, i] < floor and c[d, i] > floor:
                    swept[other] = True
                    if i == n - 1:
                        events[SWEEP] = sign
            if i >= 2 and low[d, i] - h[d, i - 2] >= GAP * usual[i]:
                zone[d, 1, 0], zone[d, 1, 1] = h[d, i - 2], low[d, i]
                born[d, 1] = i
                touched[d, 1] = False
                if i == n - 1:
                    events[GAP_MADE] = sign
        for d in range(2):  # the bar that confirms a pivot cannot break it
            p = i - PIVOT_BARS
            if p >= PIVOT_BARS and _is_pivot(h[d], p):
                pivot[d], pivot_at[d] = h[d, p], p
                broken[d] = swept[d] = False
    for d in range(2):
        sign = 1.0 if d == 0 else -1.0
        levels[d, PIVOT] = sign * pivot[d]
        for kind in range(2):
            bounds = (BLOCK_LOW, BLOCK_HIGH) if kind == 0 else (GAP_LOW, GAP_HIGH)
            lower, upper = zone[d, kind, 0], zone[d, kind, 1]
            levels[d, bounds[0]] = lower if d == 0 else -upper
            levels[d, bounds[1]] = upper if d == 0 else -lower
        _shapes(o[d], h[d], low[d], c[d], usual[n - 1], n - 1, sign, events)


@ieee_kernel
def _is_pivot(h, p):  # type: ignore[no-untyped-def]
    for k in range(1, PIVOT_BARS + 1):  # noqa: SIM110
        if not (h[p] > h[p - k] and h[p] > h[p + k]):
            return False
    return True


@ieee_kernel
def _shapes(o, h, low, c, a, i, sign, events):  # type: ignore[no-untyped-def]
    if i < 9:
        return
    body, span = c[i] - o[i], h[i] - low[i]
    before = c[i - 1] - o[i - 1]
    if before <= -0.1 * a and body >= max(-before, 0.5 * a) and c[i] >= o[i - 1]:
        events[ENGULFING] = sign
    wick = min(o[i], c[i]) - low[i]
    if span >= a and wick >= max(2.0 * abs(body), 0.6 * span) and c[i - 1] < c[i - 9]:
        events[HAMMER] = sign
    if abs(body) <= 0.1 * span and span >= a and c[i - 1] < c[i - 9]:
        events[DOJI] = sign
    if body >= 0.4 * a and before >= 0.4 * a and c[i - 2] - o[i - 2] >= 0.4 * a:
        events[SOLDIERS] = sign
    if h[i - 1] < h[i - 2] and low[i - 1] > low[i - 2] and c[i] > h[i - 2]:
        events[INSIDE] = sign
