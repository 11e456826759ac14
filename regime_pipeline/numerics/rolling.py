"""Trailing statistics over calendar slots that depend on their own window alone, to the byte.

Belongs here: sums, moments, extremes and the z scores that judge a value by the rows before it. Does
not belong here: what is read off sorted values (``order_statistics``), what a feature makes of them.

Conventions of every function: ``x`` is a float64 panel (hours x columns; one dimension is one
column); the window of row ``h`` is the slots ``h-lag-window+1 .. h-lag``; NaN and infinities are
slots that do not count; a result under ``min_obs`` counting slots is NaN.

No statistic is updated from its neighbour by floating arithmetic, so a value is the same wherever the
array starts, and one spike of 1e16 leaves no trace once it has left the window. Two ways lead there:

* counts are whole numbers; minima and maxima are exact in any grouping;
* sums and moments cut time into blocks as long as the window (van Herk 1992, Gil & Werman 1993):
  every window is the end of one block and the beginning of the next, so it is put together from a sum
  that runs backwards to the border and one that runs forwards from it, in constant time a row. The
  blocks must lie in absolute time: that is the argument ``anchor``, the whole hours since 1970 of
  row 0 (any count of slots that doesn't depend on where the array starts will do). Without an anchor
  every window is summed afresh in time order, in O(window) a row: right for a single row or a panel
  of exactly one window. The two differ in the last bits only.

Moments of a part are taken about its own value nearest to the border, and the early part's are moved
to the late one's reference: cancellation costs at most a factor of the number of slots, whatever the
level of the series, because both references are values of the window.

Importing this module imports numba; kernels compile on first use and are cached on disk.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import ieee_kernel, kernel
from regime_pipeline.numerics.conventions import (
    RELATIVE_DISPERSION,
    CodePanel,
    CountPanel,
    FloatPanel,
    as_panel,
    check_window,
    scale_floor,
)
from regime_pipeline.numerics.counts import running_counts
from regime_pipeline.numerics.memory import new_panels
from regime_pipeline.numerics.order_statistics import median_of, slide
from regime_pipeline.numerics.stretches import in_stretches
from regime_pipeline.numerics.tiles import LANES, U_LANES, pack, place, put, unpack

_SUM, _SCALED, _MEAN, _STD, _BOTH, _Z, _Z_ALL, _MIN, _MAX = range(9)
_OUTPUTS = {_BOTH: 2, _Z_ALL: 3}

_CHUNK = 64 * LANES
_PLANE = _CHUNK + LANES
_SHORT = 256
"""Blocks of up to so many rows go together in chunks of about so many."""
_COUNTS, _CENTRES, _TOTALS, _SQUARES, _BORDERS = (np.uint64(k * _PLANE) for k in range(5))
"""Planes of the scratch array of the moments, each a row before the chunk and the chunk itself."""


@kernel
def _afresh(x, first, last):  # type: ignore[no-untyped-def]
    """Count, sum, mean and squares about the mean of ``x[first .. last]`` in time order.

    A constant stretch has exactly its value as mean and exactly 0 squares.
    """
    n = 0
    total = 0.0
    low = np.inf
    high = -np.inf
    for i in range(first, last + 1):
        v = x[i]
        if math.isfinite(v):
            n += 1
            total += v
            low = min(low, v)
            high = max(high, v)
    if n == 0 or low == high:
        return n, total, low, 0.0
    mean = total / n
    squares = 0.0
    for i in range(first, last + 1):
        v = x[i]
        if math.isfinite(v):
            squares += (v - mean) * (v - mean)
    return n, total, mean, squares


@ieee_kernel
def _forwards(v, largest, out):  # type: ignore[no-untyped-def]
    """Sums, or largest values, of every lane from the first row on."""
    size = np.uint64(v.size)
    for i in range(min(U_LANES, size)):
        out[i] = v[i]
    for i in range(U_LANES, size):
        before = out[i - U_LANES]
        out[i] = max(before, v[i]) if largest else before + v[i]


@ieee_kernel
def _backwards(v, largest, out):  # type: ignore[no-untyped-def]
    """Sums, or largest values, of every lane from the last row back."""
    size = np.uint64(v.size)
    for k in range(size - min(U_LANES, size), size):
        out[k] = v[k]
    for j in range(U_LANES, size):
        i = size - j - np.uint64(1)
        behind = out[i + U_LANES]
        out[i] = max(behind, v[i]) if largest else behind + v[i]


@ieee_kernel
def _repeat(x, rows):  # type: ignore[no-untyped-def]
    """Fill the first rows with the one after them."""
    for i in range(rows * LANES - 1, -1, -1):
        x[i] = x[i + LANES]


@ieee_kernel
def _fold(part, skip, window, least, what, early, spare, out, out_count):  # type: ignore[no-untyped-def]
    """Sums, least or largest values of the windows that end in a chunk of whole blocks.

    ``skip`` rows of the first block lie before the series. ``early`` holds the sums of the block
    before, and their counts: cell i is the rows from i to the border, the last one the border itself.
    Of a scaled sum the second output is the count.
    """
    size = window * LANES
    largest = what in (_MIN, _MAX)
    nothing = -np.inf if largest else 0.0
    sign = -1.0 if what == _MIN else 1.0
    first = 0
    while first < part.size:
        stop = min(part.size, first + size - skip * LANES)
        m = stop - first
        x, found = part[first:stop], out[first:stop]
        known, value = spare[0, :m], spare[1, :m]
        count, late = spare[2, :m], spare[3, :m]
        for i in range(m):
            there = abs(x[i]) < np.inf
            known[i] = 1.0 if there else 0.0
            value[i] = sign * x[i] if there else nothing
        _forwards(known, False, count)
        _forwards(value, largest, late)
        begin, begin_count = early[0, (skip + 1) * LANES :], early[1, (skip + 1) * LANES :]
        if what == _SCALED:
            number = out_count[first:stop]
            for i in range(m):
                number[i] = begin_count[i] + count[i]
            for i in range(m):
                scale = window / max(number[i], 1.0)
                found[i] = scale * (begin[i] + late[i]) if number[i] >= least else np.nan
        else:
            for i in range(m):
                whole = max(begin[i], late[i]) if largest else begin[i] + late[i]
                enough = begin_count[i] + count[i] >= least
                # a negative zero would make equal windows differ in a byte
                found[i] = sign * whole + 0.0 if enough else np.nan
        _backwards(value, largest, early[0, skip * LANES :])
        _backwards(known, False, early[1, skip * LANES :])
        _repeat(early[0], skip)
        _repeat(early[1], skip)
        first, skip = stop, 0


@ieee_kernel
def _meet(v, count, centre, total, before, i):  # type: ignore[no-untyped-def]
    """Count, first value and sum about it at cell ``i``, of those before it and a value.

    Returns the value's distance from the first one.
    """
    there = abs(v) < np.inf
    n, first = count[before], centre[before]
    # one zero, not two that differ in a byte
    first = v + 0.0 if there and n == 0.0 else first
    r = v - first if there else 0.0
    count[i] = n + (1.0 if there else 0.0)
    centre[i] = first
    total[i] = total[before] + r
    return r


@ieee_kernel
def _run_forwards(x, count, centre, total, square, squared):  # type: ignore[no-untyped-def]
    """Running counts, first values, sums and squares about those, of every lane of a chunk of rows.

    The first row holds what was met before the chunk. A mean alone needs no squares.
    """
    size = np.uint64(x.size) + U_LANES
    if squared:
        for i in range(U_LANES, size):
            r = _meet(x[i - U_LANES], count, centre, total, i - U_LANES, i)
            square[i] = square[i - U_LANES] + r * r
    else:
        for i in range(U_LANES, size):
            _meet(x[i - U_LANES], count, centre, total, i - U_LANES, i)


@ieee_kernel
def _run_backwards(x, count, centre, total, square, squared):  # type: ignore[no-untyped-def]
    """As forwards, from the last row back; the row after the chunk holds what was met before."""
    last = np.uint64(x.size) - np.uint64(1)
    if squared:
        for j in range(np.uint64(x.size)):
            i = last - j
            r = _meet(x[i], count, centre, total, i + U_LANES, i)
            square[i] = square[i + U_LANES] + r * r
    else:
        for j in range(np.uint64(x.size)):
            i = last - j
            _meet(x[i], count, centre, total, i + U_LANES, i)


@ieee_kernel
def _merge(work, counts, totals, squares, squared, count, mean, about):  # type: ignore[no-untyped-def]
    """Count, mean and squares about the mean of both parts of every window of a chunk.

    The early part, about its value nearest to the border, is moved to the reference of the late one.
    Both are values of the window, so this costs no digits that the references don't cost.
    """
    for i in range(U_LANES, np.uint64(counts.size) + U_LANES):
        n, centre, border = work[i + _COUNTS], work[i + _CENTRES], work[i + _BORDERS]
        m, other = counts[i - U_LANES], totals[i - U_LANES]
        apart = border - centre if min(n, m) > 0.0 else 0.0
        level = centre if n > 0.0 else border
        lift = m * apart
        total = work[i + _TOTALS] + (other + lift)
        away = total / max(n + m, 1.0)
        count[i - U_LANES] = n + m
        mean[i - U_LANES] = level + away
        if squared:
            square = work[i + _SQUARES] + (squares[i - U_LANES] + apart * (2.0 * other + lift))
            about[i - U_LANES] = max(square - total * away, 0.0)


@ieee_kernel
def _row(work, source, target):  # type: ignore[no-untyped-def]
    """Copy one row of lanes."""
    for i in range(U_LANES):
        work[np.uint64(target) + i] = work[np.uint64(source) + i]


@ieee_kernel
def _moments(part, skip, window, squared, early, work, spare):  # type: ignore[no-untyped-def]
    """Counts, means and squares of the windows that end in a chunk of whole blocks, into ``spare``.

    As ``_fold``; ``early`` holds counts, sums and squares of the block before, and the values nearest to the
    border, which those are about.
    """
    size = window * LANES
    counts, centres = work[:_PLANE], work[_PLANE : 2 * _PLANE]
    totals, squares = work[2 * _PLANE : 3 * _PLANE], work[3 * _PLANE : 4 * _PLANE]
    first = 0
    while first < part.size:
        stop = min(part.size, first + size - skip * LANES)
        for k in range(U_LANES):
            work[_BORDERS + U_LANES + k] = early[3, k]
        for i in range(
            _BORDERS + U_LANES + U_LANES, _BORDERS + U_LANES + np.uint64(min(stop - first, _CHUNK))
        ):
            work[i] = work[i - U_LANES]
        for k in range(4):
            work[k * _PLANE : k * _PLANE + LANES] = 0.0
        for begin in range(first, stop, _CHUNK):
            end = min(stop, begin + _CHUNK)
            m = end - begin
            _run_forwards(part[begin:end], counts, centres, totals, squares, squared)
            at = begin - first + (skip + 1) * LANES
            _merge(
                work, early[0, at : at + m], early[1, at : at + m], early[2, at : at + m], squared,
                spare[0, begin:end], spare[1, begin:end], spare[2, begin:end],
            )  # fmt: skip
            if end < stop:
                for k in range(4):
                    _row(work, k * _PLANE + m, k * _PLANE)
        at = skip * LANES
        _run_backwards(
            part[first:stop], early[0, at:], early[3, at:], early[1, at:], early[2, at:], squared
        )
        for k in range(4):
            _repeat(early[k], skip)
        first, skip = stop, 0


@ieee_kernel
def _windows(x, window, least, anchor, lag, what, floor, first, stop, outs, whole):  # type: ignore[no-untyped-def]
    """Statistics of rows ``first .. stop - 1``.

    ``first`` is 0, or a border of blocks plus the lag that has a whole block before it. Time goes in
    chunks of whole blocks, columns in tiles. A chunk of short blocks stays in the cache while all
    tiles are done.
    """
    size = window * LANES
    together = max(1, _SHORT // window)
    tiles = -(-x.shape[1] // LANES)
    # rows a whole number of pages apart would hinder one another in the cache
    cells = together * size + 3 * LANES
    early, work = (
        np.zeros((tiles if window <= _SHORT else 1, 4, size + LANES)),
        np.empty(5 * _PLANE),
    )
    spare, scratch = np.empty((4, cells)), np.empty((4, cells))
    packed, judged = np.full(cells, np.nan), np.full(cells, np.nan)
    nothing = -np.inf if what in (_MIN, _MAX) else 0.0
    if first == 0:
        _before(x, min(lag, stop), what, outs, whole)
    start = -(anchor % window) if first == 0 else first - lag
    step = together * window if window <= _SHORT else stop + window
    for since in range(start, stop - lag, step):
        for tile in range(tiles):
            # the last one reaches back over columns that were done before rather than over the edge
            left = max(0, min(tile * LANES, x.shape[1] - LANES))
            state = early[tile % len(early)]
            if since == start:
                state[:] = 0.0
                state[0] = nothing
            if since == start and first > 0:
                # the early part of a stretch that begins later is the block before it; a literal 0 for
                # what it skips would compile all once more
                low = start - window
                _chunk(
                    x, low, start, left, low - low, window, least, lag, what, floor, first,
                    state, work, spare, scratch, packed, judged, outs, whole,
                )  # fmt: skip
            for border in range(since, min(since + step, stop - lag), together * window):
                low, high = max(0, border), min(border + together * window, stop - lag)
                _chunk(
                    x, low, high, left, low - border, window, least, lag, what, floor, first,
                    state, work, spare, scratch, packed, judged, outs, whole,
                )  # fmt: skip


@ieee_kernel
def _chunk(  # type: ignore[no-untyped-def]
    x, low, high, left, skip, window, least, lag, what, floor, first,
    early, work, spare, scratch, packed, judged, outs, whole,
):  # fmt: skip
    """Statistics of one tile from the rows ``low .. high - 1``; those before row ``first`` aren't kept."""
    begin, end = low + lag, high + lag
    owed = begin >= first
    part = pack(x, low, high, left, packed)
    out = place(outs[0], begin, end, owed, scratch[0])
    second = place(outs[min(1, len(outs) - 1)], begin, end, owed and len(outs) > 1, scratch[1])
    third = place(outs[len(outs) - 1], begin, end, owed and len(outs) == 3, scratch[2])
    if what not in (_MEAN, _STD, _BOTH, _Z, _Z_ALL):
        _fold(part, skip, window, least, what, early, spare, out, scratch[3])
        if owed and what == _SCALED:
            put(scratch[3], begin, end, left, whole)
    else:
        _moments(part, skip, window, what != _MEAN, early, work, spare)
        m = out.size
        if owed:
            _finish(what, least, spare[0, :m], spare[1, :m], spare[2, :m], out)
        if owed and what == _BOTH:
            _finish(np.int64(_MEAN), least, spare[0, :m], spare[1, :m], spare[2, :m], second)
        if owed and what in (_Z, _Z_ALL):
            value = pack(x, begin, end, left, judged)
            _scores(
                x, begin, left, np.int64(LANES), value, window, least, floor,
                spare, out, second, third, scratch[3, :m],
            )  # fmt: skip
            put(scratch[3], begin, end, left, whole)
            if len(outs) == 3:
                unpack(third, begin, end, left, outs[2])
    if owed:
        unpack(out, begin, end, left, outs[0])
        if len(outs) > 1:
            unpack(second, begin, end, left, outs[1])


@ieee_kernel
def _before(x, stop, what, outs, whole):  # type: ignore[no-untyped-def]
    """The first rows, whose windows lie before the series."""
    outs[:, :stop] = np.nan
    if what == _SCALED:
        whole[:stop] = 0
    if what in (_Z, _Z_ALL):
        for h in range(stop):
            for column in range(x.shape[1]):
                whole[h, column] = 1 if abs(x[h, column]) < np.inf else 3


@ieee_kernel
def _each_afresh(x, window, least, lag, what, floor, first, stop, outs, whole):  # type: ignore[no-untyped-def]
    """Sum, mean, sd or z of every window of rows ``first .. stop - 1``, each in time order."""
    rows = stop - first
    spare, out = np.empty((3, rows)), np.empty((4, rows))
    for column in range(x.shape[1]):
        series = x[:, column]
        for h in range(first, stop):
            last = h - lag
            n, total, average, about = _afresh(series, max(0, last - window + 1), last)
            at = h - first
            spare[0, at], spare[2, at] = n, about
            spare[1, at] = total if what == _SUM else average
        _finish(what, least, spare[0], spare[1], spare[2], out[0])
        if what == _BOTH:
            _finish(np.int64(_MEAN), least, spare[0], spare[1], spare[2], out[1])
        if what in (_Z, _Z_ALL):
            value = series[first:stop].copy()
            _scores(
                x, first, column, np.int64(1), value, window, least, floor,
                spare, out[0], out[1], out[2], out[3],
            )  # fmt: skip
            for at in range(rows):
                whole[first + at, column] = np.int32(out[3, at])
        for k in range(len(outs)):
            for at in range(rows):
                outs[k, first + at, column] = out[k, at]


@ieee_kernel
def _median(x, row, column, window):  # type: ignore[no-untyped-def]
    """Median of the ``window`` slots before a value."""
    ordered = np.empty(window)
    n = np.int64(0)
    for h in range(row - 1, max(-1, row - window - 1), -1):
        n = slide(ordered, n, np.nan, x[h, column])
    return median_of(ordered, n)


@ieee_kernel
def _finish(what, least, count, mean, squares, out):  # type: ignore[no-untyped-def]
    """Means (or sums), or standard deviations, of some windows."""
    if what in (_SUM, _MEAN):
        for i in range(out.size):
            out[i] = mean[i] if count[i] >= least else np.nan
    else:
        for i in range(out.size):
            spread = math.sqrt(squares[i] / max(count[i] - 1.0, 1.0))
            out[i] = spread if count[i] >= least else np.nan


@ieee_kernel
def _scores(  # type: ignore[no-untyped-def]
    x, first, left, lanes, value, window, least, floor, moments, out, mean_out, sd_out, code
):
    """Scores of values that stand so many ``lanes`` side by side, from ``x[first, left]`` on.

    ``out`` holds the standard deviations at first. The loops are many and simple: each is one of
    vectors.
    """
    size = out.size
    count, mean, squares = moments[0, :size], moments[1, :size], moments[2, :size]
    floored = not math.isnan(floor)
    for i in range(size):
        mean_out[i] = mean[i] if count[i] >= least else np.nan
    for i in range(size):
        # a comparison with NaN is false
        sd_out[i] = floor if out[i] < floor else out[i]
    for i in range(size):
        some = out[i] > RELATIVE_DISPERSION * max(abs(mean[i]), RELATIVE_DISPERSION)
        judged = 0.0 if floored or (some and squares[i] > 0.0) else 2.0
        judged = judged if count[i] >= least else 1.0
        code[i] = judged if abs(value[i]) < np.inf else 3.0
    if floored:
        # no dispersion: a distance from the median, in floors
        for i in range(size):
            flat = not out[i] > RELATIVE_DISPERSION * max(abs(mean[i]), RELATIVE_DISPERSION)
            if flat and squares[i] > 0.0 and code[i] == 0.0:
                mean[i] = _median(x, first + i // lanes, left + i % lanes, window)
    for i in range(size):
        out[i] = (value[i] - mean[i]) / sd_out[i] if code[i] == 0.0 else np.nan


def _statistics(
    x: npt.ArrayLike,
    window: int,
    least: int,
    lag: int,
    anchor: int | None,
    what: int,
    floor: float = math.nan,
) -> tuple[list[FloatPanel], CountPanel]:
    """One panel or several; codes where it is a z, counts of a scaled sum."""
    panel, shape = as_panel(x)
    length, width = panel.shape
    outs = new_panels(_OUTPUTS.get(what, 1), (length, width))
    whole = np.empty((length, width) if what in (_Z, _Z_ALL, _SCALED) else (0, 0), dtype=np.int32)

    def part(first: int, stop: int) -> None:
        if anchor is None:
            _each_afresh(panel, window, least, lag, what, floor, first, stop, outs, whole)
        else:
            _windows(panel, window, least, anchor, lag, what, floor, first, stop, outs, whole)

    unit, origin = (1, 0) if anchor is None else (window, lag - anchor)
    in_stretches(part, length, width, unit=unit, origin=origin, least=lag + window)
    if len(shape) == 1:
        return list(outs[:, :, 0]), whole.reshape(-1)
    return list(outs), whole


def rolling_sum(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Sum of the counting slots (not scaled for the missing ones)."""
    check_window(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 1), lag, anchor, _SUM)[0][0]


def rolling_scaled_sum(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int
) -> tuple[FloatPanel, CountPanel]:
    """Sum of the counting slots times ``window / n``, and ``n``, their number (0 where none is)."""
    check_window(window, min_obs, lag)
    (scaled,), count = _statistics(x, window, max(min_obs, 1), lag, anchor, _SCALED)
    return scaled, count


def rolling_mean(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Mean of the counting slots; of a constant window exactly its value."""
    check_window(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 1), lag, anchor, _MEAN)[0][0]


def rolling_std(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Standard deviation, ddof 1; of a constant window exactly 0, of one slot NaN."""
    check_window(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 2), lag, anchor, _STD)[0][0]


def rolling_moments(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> tuple[FloatPanel, FloatPanel]:
    """:func:`rolling_mean` and :func:`rolling_std` in one pass, both null under two slots."""
    check_window(window, min_obs, lag)
    sd, mean = _statistics(x, window, max(min_obs, 2), lag, anchor, _BOTH)[0]
    return mean, sd


def rolling_min(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Smallest counting slot."""
    check_window(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 1), lag, 0, _MIN)[0][0]


def rolling_max(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Largest counting slot."""
    check_window(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 1), lag, 0, _MAX)[0][0]


def rolling_count(x: npt.ArrayLike, window: int, min_obs: int = 0, *, lag: int = 0) -> FloatPanel:
    """Number of counting slots, as float; NaN under ``min_obs``."""
    check_window(window, min_obs, lag)
    panel, shape = as_panel(x)
    (out,) = new_panels(1, panel.shape)

    def part(first: int, stop: int) -> None:
        running_counts(panel, window, min_obs, lag, first, stop, out)

    in_stretches(part, *panel.shape)
    return out.reshape(shape)


def lagged_z(
    x: npt.ArrayLike,
    window: int,
    min_obs: int,
    *,
    floor: float | None = None,
    anchor: int | None = None,
) -> tuple[FloatPanel, FloatPanel, FloatPanel, CodePanel]:
    """Score of every value under mean and sd (ddof 1) of the ``window`` slots before it.

    A constant window (max = min, or sd within 1e-12 of nothing beside its mean) has no z, code 2. A
    ``floor`` bounds the scale from below and replaces that null: z is then the distance from the
    window's median in floors, exactly 0 for an equal value.

    Returns:
        ``(z, mean, sd, code)``: sd after the floor; code 0 ok, 1 insufficient, 2 zero dispersion,
        3 the value itself is null (mean and sd are given wherever the window has enough slots).
    """
    check_window(window, min_obs, 1)
    (z, mean, sd), code = _statistics(
        x, window, max(min_obs, 2), 1, anchor, _Z_ALL, scale_floor(floor)
    )
    return z, mean, sd, code.astype(np.int8)


def lagged_z_and_code(
    x: npt.ArrayLike, window: int, min_obs: int, *, anchor: int | None = None
) -> tuple[FloatPanel, CodePanel]:
    """The z and code of :func:`lagged_z`: memory for what nobody reads costs more than arithmetic."""
    check_window(window, min_obs, 1)
    (z,), code = _statistics(x, window, max(min_obs, 2), 1, anchor, _Z)
    return z, code.astype(np.int8)


def lagged_z_alone(
    x: npt.ArrayLike, window: int, min_obs: int, *, anchor: int | None = None
) -> FloatPanel:
    """The z of :func:`lagged_z`, and nothing else."""
    return lagged_z_and_code(x, window, min_obs, anchor=anchor)[0]
