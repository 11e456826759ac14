"""Spearman's coefficient over trailing windows, from ranks that slide by whole numbers.

Belongs here: ranks of windows and the coefficients of pairs made from them. Does not belong here: moments
of values (``pairwise``), frames, names of columns.

The sums behind a coefficient are integers without rounding, so a value depends only on the rows of its
own window, wherever the array begins. No fast-math.

Layout: inputs are symbol-major (S, T), outputs pair-major (P, N), pairs in the order (0,1), (0,2),
.. (1,2) ... NaN is null.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel
from regime_pipeline.numerics.stretches import in_stretches

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Shorts = npt.NDArray[np.int16]

RANK_GAP = 8
"""Ranks slide over at most a RANK_GAP-th of a window; only speed depends on it."""


@kernel
def _replace(values: Floats, ranks: Ints, slot: int, new: float) -> None:
    """Put ``new`` where the oldest value was; ``ranks`` hold 2 * mid-rank, 0 for null.

    A comparison with NaN is false, so null slots neither count nor change.
    """
    old = values[slot]
    values[slot] = np.nan
    own = 0
    for w in range(values.size):
        y = values[w]
        ranks[w] += int(new < y) + int(new <= y) - int(old < y) - int(old <= y)
        own += int(y < new) + int(y <= new)
    values[slot] = new
    ranks[slot] = 0 if math.isnan(new) else own + 2


@kernel
def _without(values: Floats, ranks: Ints, holes: Ints, n_holes: int, out: Ints) -> None:
    """Doubled mid-ranks of one side after the rows that the other side lacks were taken out."""
    out[:] = ranks
    for i in range(n_holes):
        x = values[holes[i]]  # a null of our own compares false everywhere
        for k in range(values.size):
            out[k] -= int(x < values[k]) + int(x <= values[k])
    for i in range(n_holes):
        out[holes[i]] = 0


@kernel
def _centre(ranks: Ints, n: int, out: Shorts) -> int:
    """Ranks about their mean (doubled, so whole numbers); returns the sum of squares."""
    for w in range(ranks.size):
        out[w] = ranks[w] - (n + 1) if ranks[w] > 0 else 0
    return _dot(out, out)


@kernel
def _dot(a: Shorts, b: Shorts) -> int:
    # 32 bits hold it: with doubled ranks the sum is at most n (n^2 - 1) / 3
    total = np.int32(0)
    for w in range(a.size):
        total = np.int32(total + np.int32(np.int32(a[w]) * np.int32(b[w])))
    return int(total)


@kernel
def _count_holes(was: npt.NDArray[np.bool_], new: Floats, differ: Ints, only_a: Ints) -> None:
    """Per pair, count slots that one side lacks, after one slot of every symbol was replaced."""
    p = 0
    for a in range(new.size):
        here_a = not math.isnan(new[a])
        for b in range(a + 1, new.size):
            here_b = not math.isnan(new[b])
            differ[p] += int(here_a != here_b) - int(was[a] != was[b])
            only_a[p] += int(here_a and not here_b) - int(was[a] and not was[b])
            p += 1


@kernel
def _list_holes(values: Floats, out: Ints) -> int:
    count = 0
    for w in range(values.size):
        if math.isnan(values[w]):
            out[count] = w
            count += 1
    return count


@kernel
def _rebuild(values: Floats, ranks: Ints) -> None:
    """Doubled mid-ranks of a window from scratch; the sliding updates give the same numbers."""
    order = np.argsort(values, kind="mergesort")  # nulls go last
    n = values.size
    while n > 0 and math.isnan(values[order[n - 1]]):
        n -= 1
        ranks[order[n]] = 0
    low = 0
    while low < n:
        high = low + 1
        while high < n and values[order[high]] == values[order[low]]:
            high += 1
        for i in range(low, high):
            ranks[order[i]] = low + high + 1
        low = high


@kernel
def _compare_holes(values: Floats, holes: Ints, present: Ints, differ: Ints, only_a: Ints) -> None:
    """Per pair, count the slots that one side lacks, from the lists of holes."""
    symbols, window = values.shape
    p = 0
    for a in range(symbols):
        for b in range(a + 1, symbols):
            both = 0
            if present[a] < window:
                for i in range(window - present[b]):
                    both += int(math.isnan(values[a, holes[b, i]]))
            only_a[p] = window - present[b] - both
            differ[p] = only_a[p] + window - present[a] - both
            p += 1


@kernel
def _slide(
    new: Floats,
    slot: int,
    values: Floats,
    ranks: Ints,
    present: Ints,
    differ: Ints,
    only_a: Ints,
) -> None:
    """Move the windows of all symbols on by one row, whose values are ``new``."""
    was = np.empty(new.size, np.bool_)
    changed = False
    for s in range(new.size):
        was[s] = not math.isnan(values[s, slot])
        now = not math.isnan(new[s])
        present[s] += int(now) - int(was[s])
        changed |= now != was[s] or not now
        _replace(values[s], ranks[s], slot, new[s])
    if changed:
        _count_holes(was, new, differ, only_a)


def spearman_rows(
    x: Floats, window: int, min_obs: int, rows: Ints, wanted: npt.NDArray[np.bool_]
) -> tuple[Floats, Shorts]:
    """Spearman correlation of every pair over rows t-window+1 .. t, pairwise complete.

    Ties get their average rank. Where all values of a window are there, a symbol's ranks serve all
    its pairs; where the holes of two symbols differ, the rows that one side lacks are taken out of
    the other's ranks, again in whole numbers. Between neighbouring rows the ranks slide; after a
    long gap they are sorted anew. Both give the same whole numbers.

    Args:
        x: (S, T) returns.
        window: rows of the window, holes included; at most 1800, or the integers overflow.
        min_obs: fewer common rows give null.
        rows: the rows that are put out, ascending, none below ``window - 1``.
        wanted: (P, rows) which cells are needed, the others stay null; (0, 0) is all.

    Returns:
        Coefficients (P, rows), null also when one side is constant, and the common rows.
    """
    pairs = len(x) * (len(x) - 1) // 2
    rho = np.full((pairs, rows.size), np.nan)
    counts = np.zeros((pairs, rows.size), np.int16)
    x = np.ascontiguousarray(x)

    def part(first: int, stop: int) -> None:
        some = np.ascontiguousarray(wanted[:, first:stop])
        _spearman_rows(x, window, min_obs, rows[first:stop], some, first, rho, counts)

    in_stretches(part, rows.size, pairs)
    return rho, counts


@kernel
def _spearman_rows(  # noqa: C901 - one pass over shared ranks
    x: Floats,
    window: int,
    min_obs: int,
    rows: Ints,
    wanted: npt.NDArray[np.bool_],
    begin: int,
    rho: Floats,
    counts: Shorts,
) -> None:
    symbols = x.shape[0]
    pairs = symbols * (symbols - 1) // 2
    everything = wanted.size == 0
    values = np.full((symbols, window), np.nan)
    ranks = np.zeros((symbols, window), np.int64)
    centred = np.zeros((symbols, window), np.int16)
    squares = np.zeros(symbols, np.int64)
    present = np.zeros(symbols, np.int64)
    differ = np.zeros(pairs, np.int64)  # slots that only one of the two has
    only_a = np.zeros(pairs, np.int64)
    holes = np.empty((symbols, window), np.int64)
    own = np.empty((2, window), np.int64)
    pair = np.empty((2, window), np.int16)
    at = -window
    for column in range(rows.size):
        row = rows[column]
        if row - at > window // RANK_GAP:
            at = row
            for s in range(symbols):
                for t in range(row - window + 1, row + 1):
                    values[s, t % window] = x[s, t]
                _rebuild(values[s], ranks[s])
                present[s] = window - _list_holes(values[s], holes[s])
            _compare_holes(values, holes, present, differ, only_a)
        while at < row:
            at += 1
            _slide(x[:, at], at % window, values, ranks, present, differ, only_a)
        for s in range(symbols):
            squares[s] = _centre(ranks[s], present[s], centred[s])
            _list_holes(values[s], holes[s])
        p = -1
        for a in range(symbols):
            for b in range(a + 1, symbols):
                p += 1
                if not (everything or wanted[p, column]):
                    continue
                n = present[a] - only_a[p]
                counts[p, begin + column] = n
                if n < min_obs:
                    continue
                if differ[p] == 0:
                    cross = _dot(centred[a], centred[b])
                    square_a, square_b = squares[a], squares[b]
                else:
                    _without(values[a], ranks[a], holes[b], window - present[b], own[0])
                    _without(values[b], ranks[b], holes[a], window - present[a], own[1])
                    square_a = _centre(own[0], n, pair[0])
                    square_b = _centre(own[1], n, pair[1])
                    cross = _dot(pair[0], pair[1])
                if square_a > 0 and square_b > 0:
                    rho[p, begin + column] = cross / math.sqrt(float(square_a) * float(square_b))


def rolling_spearman(
    x: Floats, window: int, min_obs: int, first: int, stop: int
) -> tuple[Floats, Shorts]:
    """:func:`spearman_rows` of all pairs at the rows first .. stop-1."""
    return spearman_rows(x, window, min_obs, np.arange(first, stop), np.ones((0, 0), np.bool_))
