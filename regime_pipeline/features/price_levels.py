"""Support and resistance: confirmed swing points and liquidation clusters near the price.

Belongs here: levels from hourly bars, their choice together with clusters, and their text. Does not
belong here: making clusters (``order_kernels``) and resting orders (stored books are sums by band, so
that no wall has a price). Importing the kernel imports numba.

The definition in words: docs/methods.md, section 2.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.compiled import kernel

SIDE = 3
"""Bars on either side that a swing bar must exceed; it is confirmed, and used, that much later."""
WINDOW = 168
MIN_BARS = 140
ATR_BARS, MIN_ATR_BARS = 14, 12
LEVELS = 3
MERGE_ATR = 0.25
"""A level within this many ATR of a nearer one is the same level."""
SOURCES = ("swing", "liquidation_cluster")

Floats = npt.NDArray[np.float64]


@kernel
def _is_swing(x, i, sign):  # type: ignore[no-untyped-def]
    for k in range(1, SIDE + 1):  # noqa: SIM110
        if not (sign * x[i] > sign * x[i - k] and sign * x[i] > sign * x[i + k]):
            return False
    return True


@kernel
def _atr(high, low, close, h):  # type: ignore[no-untyped-def]
    n, total = 0, 0.0
    for i in range(max(1, h - ATR_BARS + 1), h + 1):
        reach = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
        if math.isfinite(high[i]) and math.isfinite(low[i]) and math.isfinite(close[i - 1]):
            total += reach
            n += 1
    return total / n if n >= MIN_ATR_BARS else np.nan


@kernel
def _nearest(candidates, kinds, n, price, least, out, origin):  # type: ignore[no-untyped-def]
    """The nearest candidates to the price that are ``least`` apart, nearest first."""
    found = 0
    while found < LEVELS:
        best, away = -1, np.inf
        for i in range(n):
            apart = True
            for k in range(found):
                if abs(candidates[i] - out[k]) < least or candidates[i] == out[k]:
                    apart = False
            if apart and abs(candidates[i] - price) < away:
                best, away = i, abs(candidates[i] - price)
        if best < 0:
            return
        out[found] = candidates[best]
        origin[found] = kinds[best]
        found += 1


@kernel
def bin_widths(high, low, close, first, out):  # type: ignore[no-untyped-def]
    """A quarter of the mean true range of 14 bars of every row from ``first`` on, NaN without one."""
    for s in range(close.shape[0]):
        for h in range(first, close.shape[1]):
            out[s, h - first] = MERGE_ATR * _atr(high[s], low[s], close[s], h)


@kernel
def find_levels(  # type: ignore[no-untyped-def]
    high, low, close, first, below_clusters, above_clusters, support, resistance, sources, known
):
    """Up to three levels below and above the close of every row: swings and clusters.

    A swing low lies strictly below the three lows on either side; all seven bars lie in the 168 rows
    that end at the row. Levels nearer to each other than a quarter of the mean true range of 14 bars
    count once, as the one nearest to the close.

    Args:
        high: columns x hours, NaN null; ``low`` and ``close`` alike.
        low: lows.
        close: closes.
        first: first row wanted.
        below_clusters: columns x (hours - first) x 3 liquidation clusters below the close, NaN none.
        above_clusters: the same above it.
        support: columns x (hours - first) x 3, filled from the nearest; the rest stays as it is.
        resistance: the same above the close.
        sources: 2 x columns x (hours - first) x 3, filled with the place in ``SOURCES`` of each level
            (supports first); the rest stays.
        known: columns x (hours - first): whether the row has a close, 140 of 168 bars and the range.
    """
    columns, length = close.shape
    lows = np.zeros(length, np.bool_)
    highs = np.zeros(length, np.bool_)
    candidates = np.empty(WINDOW + LEVELS)
    kinds = np.empty(WINDOW + LEVELS, np.int64)
    for s in range(columns):
        for i in range(length):
            inside = i >= SIDE and i + SIDE < length
            lows[i] = inside and _is_swing(low[s], i, -1.0)
            highs[i] = inside and _is_swing(high[s], i, 1.0)
        for h in range(first, length):
            begin = max(0, h - WINDOW + 1)
            bars = 0
            for i in range(begin, h + 1):
                bars += 1 if math.isfinite(close[s, i]) else 0
            atr = _atr(high[s], low[s], close[s], h)
            price = close[s, h]
            if not (bars >= MIN_BARS and math.isfinite(price) and math.isfinite(atr)):
                continue
            known[s, h - first] = True
            for below in (True, False):
                n = 0
                for i in range(begin + SIDE, h - SIDE + 1):
                    if below and lows[i] and low[s, i] < price:
                        candidates[n] = low[s, i]
                        kinds[n] = 0
                        n += 1
                    elif not below and highs[i] and high[s, i] > price:
                        candidates[n] = high[s, i]
                        kinds[n] = 0
                        n += 1
                grouped = below_clusters if below else above_clusters
                for i in range(LEVELS):
                    if math.isfinite(grouped[s, h - first, i]):
                        candidates[n] = grouped[s, h - first, i]
                        kinds[n] = 1
                        n += 1
                out = support if below else resistance
                origin = sources[0 if below else 1, s, h - first]
                _nearest(candidates, kinds, n, price, MERGE_ATR * atr, out[s, h - first], origin)


def texts(levels: Floats, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    """Levels (rows x 3, NaN where there is none) as canonical JSON lists; null where not known.

    A level stays near the price for hours: every number, and every list of them, is spelt once.
    """
    out = np.full(len(levels), None, dtype=object)
    codes, found = pd.factorize(levels[known].reshape(-1))
    lists, rows = codes.reshape(-1, LEVELS) + 1, np.zeros(int(known.sum()), np.int64)
    for k in range(LEVELS):
        rows = pd.factorize(rows * (len(found) + 1) + lists[:, k])[0]
    _, first = np.unique(rows, return_index=True)
    names = [*map(repr, found.tolist())]
    spelt = [
        "[" + ",".join([names[c - 1] for c in row if c]) + "]" for row in lists[first].tolist()
    ]
    out[known] = np.array(spelt, dtype=object)[rows]
    return out


def source_texts(
    levels: Floats, sources: npt.NDArray[np.int8], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.object_]:
    """Where each level comes from, in the same order, as canonical JSON lists."""
    kinds = len(SOURCES) + 1  # 0: no level
    code = np.where(np.isfinite(levels), sources + 1, 0) @ kinds ** np.arange(LEVELS)
    names = []
    for value in range(kinds**LEVELS):
        digits = [value // kinds**i % kinds for i in range(LEVELS)]
        names.append("[" + ",".join(f'"{SOURCES[d - 1]}"' for d in digits if d) + "]")
    lookup = np.array([*names, None], dtype=object)
    return lookup[np.where(known, code, len(names))]


__all__ = ["bin_widths", "find_levels", "source_texts", "texts"]
