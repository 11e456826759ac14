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

import numba
import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.order_statistics import (
    RELATIVE_DISPERSION,
    CodePanel,
    FloatPanel,
    _check,
    _floor,
    _panel,
    median_of,
    slide,
)

_SUM, _MEAN, _STD, _Z, _COUNT, _MIN, _MAX = range(7)

_kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
"""Divides as IEEE 754 does: a check of every divisor would keep loops from becoming vectors."""

_LANES = 8
"""Columns that a tile holds side by side: the block loops run over flat tiles, in which the row before
lies a fixed distance back, so the compiler turns eight recurrences into one of vectors."""
_CHUNK = 64 * _LANES
_PLANE = _CHUNK + _LANES
# unsigned indices can't be negative, so nothing wraps around and distances are known to the compiler
_U = np.uint64(_LANES)
_COUNTS, _CENTRES, _TOTALS, _SQUARES, _BORDERS, _ENOUGH, _MEANS, _ABOUT = (
    np.uint64(k * _PLANE) for k in range(8)
)
"""Planes of the scratch array of the moments, each a row before the chunk and the chunk itself."""


@numba.njit(cache=True, nogil=True)
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


@_kernel
def _pack(x, tiles):  # type: ignore[no-untyped-def]
    """A panel as flat tiles of eight columns side by side; lanes left over are NaN."""
    length, columns = x.shape
    for h in range(length):
        for t in range(len(tiles)):
            left, at = t * _LANES, h * _LANES
            if left + _LANES <= columns:
                for k in range(_LANES):
                    tiles[t, at + k] = x[h, left + k]
            else:
                for k in range(_LANES):
                    tiles[t, at + k] = x[h, left + k] if left + k < columns else np.nan


@_kernel
def _unpack(tiles, outs):  # type: ignore[no-untyped-def]
    """Tiles x statistics x rows of lanes as statistics x hours x columns."""
    statistics, length, columns = outs.shape
    for s in range(statistics):
        for h in range(length):
            for t in range(len(tiles)):
                left, at = t * _LANES, h * _LANES
                if left + _LANES <= columns:
                    for k in range(_LANES):
                        outs[s, h, left + k] = tiles[t, s, at + k]
                else:
                    for k in range(columns - left):
                        outs[s, h, left + k] = tiles[t, s, at + k]


@_kernel
def _forwards(v, largest, out):  # type: ignore[no-untyped-def]
    """Sums, or largest values, of every lane from the first row on."""
    size = np.uint64(v.size)
    for i in range(min(_U, size)):
        out[i] = v[i]
    for i in range(_U, size):
        before = out[i - _U]
        out[i] = max(before, v[i]) if largest else before + v[i]


@_kernel
def _backwards(v, largest, out):  # type: ignore[no-untyped-def]
    """Sums, or largest values, of every lane from the last row back."""
    size = np.uint64(v.size)
    for k in range(size - min(_U, size), size):
        out[k] = v[k]
    for j in range(_U, size):
        i = size - j - np.uint64(1)
        behind = out[i + _U]
        out[i] = max(behind, v[i]) if largest else behind + v[i]


@_kernel
def _repeat(x, rows):  # type: ignore[no-untyped-def]
    """Fill the first rows with the one after them."""
    for i in range(rows * _LANES - 1, -1, -1):
        x[i] = x[i + _LANES]


@_kernel
def _fold(x, window, least, anchor, lag, what, out):  # type: ignore[no-untyped-def]
    """Sums, counts, least or largest values of the windows, from blocks in absolute time."""
    length = x.size // _LANES
    size = window * _LANES
    largest = what in (_MIN, _MAX)
    nothing = -np.inf if largest else 0.0
    sign = -1.0 if what == _MIN else 1.0
    known, count, value, late = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    early, early_count = np.empty(size + _LANES), np.empty(size + _LANES)
    early[:] = nothing  # cell i: the rows from i to the border; the last one is the border itself
    early_count[:] = 0.0
    out[: min(lag, length) * _LANES] = 0.0 if least == 0 else np.nan
    border = -(anchor % window)
    while border < length - lag:
        low, high = max(0, border), min(border + window, length - lag)
        skip = low - border
        part = x[low * _LANES : high * _LANES]
        m = part.size
        for i in range(m):
            there = abs(part[i]) < np.inf
            known[i] = 1.0 if there else 0.0
            value[i] = sign * part[i] if there else nothing
        if what == _COUNT:
            value[:m] = known[:m]
        _forwards(known[:m], False, count)
        _forwards(value[:m], largest, late)
        found = out[(low + lag) * _LANES : (high + lag) * _LANES]
        begin, begin_count = early[(skip + 1) * _LANES :], early_count[(skip + 1) * _LANES :]
        for i in range(m):
            whole = max(begin[i], late[i]) if largest else begin[i] + late[i]
            enough = begin_count[i] + count[i] >= least
            # a negative zero would make equal windows differ in a byte
            found[i] = sign * whole + 0.0 if enough else np.nan
        _backwards(known[:m], False, early_count[skip * _LANES :])
        _backwards(value[:m], largest, early[skip * _LANES :])
        _repeat(early_count, skip)
        _repeat(early, skip)
        border += window


@_kernel
def _meet(v, work, before, i):  # type: ignore[no-untyped-def]
    """Count, first value, sum and squares about it at cell ``i``, of those before it and a value."""
    there = abs(v) < np.inf
    n, centre = work[before + _COUNTS], work[before + _CENTRES]
    # one zero, not two that differ in a byte
    centre = v + 0.0 if there and n == 0.0 else centre
    r = v - centre if there else 0.0
    work[i + _COUNTS] = n + (1.0 if there else 0.0)
    work[i + _CENTRES] = centre
    work[i + _TOTALS] = work[before + _TOTALS] + r
    work[i + _SQUARES] = work[before + _SQUARES] + r * r


@_kernel
def _run_forwards(x, work):  # type: ignore[no-untyped-def]
    """Running counts, first values, sums and squares about those, of every lane of a chunk of rows.

    The planes' first row holds what was met before the chunk.
    """
    for i in range(_U, np.uint64(x.size) + _U):
        _meet(x[i - _U], work, i - _U, i)


@_kernel
def _run_backwards(x, work):  # type: ignore[no-untyped-def]
    """As forwards, from the last row back; the row after the chunk holds what was met before."""
    size = np.uint64(x.size)
    for j in range(size):
        i = size - np.uint64(1) - j
        _meet(x[i], work, i + _U, i)


@_kernel
def _merge(work, counts, totals, squares):  # type: ignore[no-untyped-def]
    """Count, mean and squares about the mean of both parts of every window of a chunk.

    The early part, about its value nearest to the border, is moved to the reference of the late one.
    Both are values of the window, so this costs no digits that the references don't cost.
    """
    for i in range(_U, np.uint64(counts.size) + _U):
        n, centre, total = work[i + _COUNTS], work[i + _CENTRES], work[i + _TOTALS]
        square, border = work[i + _SQUARES], work[i + _BORDERS]
        m, other, other_square = counts[i - _U], totals[i - _U], squares[i - _U]
        apart = border - centre if min(n, m) > 0.0 else 0.0
        level = centre if n > 0.0 else border
        lift = m * apart
        square += other_square + apart * (2.0 * other + lift)
        total += other + lift
        n += m
        away = total / max(n, 1.0)
        work[i + _ENOUGH] = n
        work[i + _MEANS] = level + away
        work[i + _ABOUT] = max(square - total * away, 0.0)


@_kernel
def _row(work, source, target):  # type: ignore[no-untyped-def]
    """Copy one row of lanes."""
    for i in range(_U):
        work[np.uint64(target) + i] = work[np.uint64(source) + i]


@_kernel
def _take(source, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = source[i]


@_kernel
def _moments(x, window, least, anchor, lag, what, floor, outs):  # type: ignore[no-untyped-def]
    """Mean, sd or z of the windows, from blocks in absolute time; see ``_finish``."""
    length = x.size // _LANES
    early = np.empty((3, (window + 1) * _LANES))
    work = np.zeros(8 * _PLANE)
    lead = min(lag, length) * _LANES
    none = np.zeros(lead)
    _finish(
        what, x, 0, window, _LANES, least, floor, none, none, none, outs, 0, lead
    )  # fmt: skip
    early[:] = 0.0
    border = -(anchor % window)
    while border < length - lag:
        low, high = max(0, border), min(border + window, length - lag)
        for k in range(4):
            work[k * _PLANE : k * _PLANE + _LANES] = 0.0
        for first in range(low, high, _CHUNK // _LANES):
            part = x[first * _LANES : min(high * _LANES, first * _LANES + _CHUNK)]
            m = part.size
            _run_forwards(part, work)
            at = (first - border + 1) * _LANES
            _merge(work, early[0, at : at + m], early[1, at : at + m], early[2, at : at + m])
            at = (first + lag) * _LANES
            _finish(
                what, x, at, window, _LANES, least, floor,
                work[int(_ENOUGH) + _LANES :], work[int(_MEANS) + _LANES :],
                work[int(_ABOUT) + _LANES :], outs, at, m,
            )  # fmt: skip
            for k in range(4):
                _row(work, k * _PLANE + m, k * _PLANE)
        for k in range(4):
            work[k * _PLANE : k * _PLANE + _LANES] = 0.0
        for last in range(high, low, -(_CHUNK // _LANES)):
            part = x[max(low * _LANES, last * _LANES - _CHUNK) : last * _LANES]
            m = part.size
            for k in range(4):
                _row(work, k * _PLANE, k * _PLANE + m)
            _run_backwards(part, work)
            at = (last - border) * _LANES - m
            _take(work[int(_COUNTS) :], early[0, at : at + m])
            _take(work[int(_TOTALS) :], early[1, at : at + m])
            _take(work[int(_SQUARES) :], early[2, at : at + m])
        for k in range(3):
            _repeat(early[k], low - border)
        _row(work, int(_CENTRES), int(_BORDERS))
        for i in range(_BORDERS + _U, _BORDERS + np.uint64(_PLANE)):
            work[i] = work[i - _U]
        border += window


@_kernel
def _windows(tiles, window, least, anchor, lag, what, floor, outs):  # type: ignore[no-untyped-def]
    """Statistics of the windows of all tiles; ``outs`` is tiles x (1 or 4) x rows of lanes."""
    for t in range(len(tiles)):
        if what in (_MEAN, _STD, _Z):
            _moments(tiles[t], window, least, anchor, lag, what, floor, outs[t])
        else:
            _fold(tiles[t], window, least, anchor, lag, what, outs[t, 0])


@_kernel
def _each_afresh(columns, window, least, lag, what, floor, outs):  # type: ignore[no-untyped-def]
    """Sum, mean, sd or z of every window in time order; ``columns`` is columns x hours."""
    length = columns.shape[1]
    count, centre, squares = np.empty(length), np.empty(length), np.empty(length)
    for s in range(columns.shape[0]):
        x = columns[s]
        for h in range(length):
            last = h - lag
            n, total, average, about = _afresh(x, max(0, last - window + 1), last)
            count[h], squares[h] = n, about
            centre[h] = total if what == _SUM else average
        _finish(
            what, x, 0, window, 1, least, floor, count, centre, squares,
            outs, s * length, length,
        )  # fmt: skip


@_kernel
def _median(x, at, window, step):  # type: ignore[no-untyped-def]
    """Median of the ``window`` slots before ``x[at]``, ``step`` apart."""
    ordered = np.empty(window)
    n = 0
    for i in range(at - step, max(-1, at - (window + 1) * step), -step):
        n = slide(ordered, n, np.nan, x[i])
    return median_of(ordered, n)


@_kernel
def _finish(  # type: ignore[no-untyped-def]
    what, x, at, window, step, least, floor, count, mean, squares, outs, to, size
):
    """What is wanted of count, mean and squares of some windows, into ``outs[:, to : to + size]``.

    The loops are many and simple: each is one of vectors. For a z, ``x[at + i]`` is the value judged
    by window ``i``; its slots lie ``step`` apart before it.
    """
    out = outs[0, to : to + size]
    if what in (_SUM, _MEAN):
        for i in range(out.size):
            out[i] = mean[i] if count[i] >= least else np.nan
        return
    for i in range(out.size):
        spread = math.sqrt(squares[i] / max(count[i] - 1.0, 1.0))
        out[i] = spread if count[i] >= least else np.nan
    if what == _STD:
        return
    mean_out, sd_out, code = outs[1, to:], outs[2, to:], outs[3, to:]
    floored = not math.isnan(floor)
    value = x[at : at + out.size]
    for i in range(size):
        mean_out[i] = mean[i] if count[i] >= least else np.nan
    for i in range(out.size):
        # a comparison with NaN is false
        sd_out[i] = floor if out[i] < floor else out[i]
    for i in range(out.size):
        some = out[i] > RELATIVE_DISPERSION * max(abs(mean[i]), RELATIVE_DISPERSION)
        judged = 0 if floored or (some and squares[i] > 0.0) else 2
        judged = judged if count[i] >= least else 1
        code[i] = judged if abs(value[i]) < np.inf else 3
    if floored:
        # no dispersion: a distance from the median, in floors
        for i in range(out.size):
            flat = not out[i] > RELATIVE_DISPERSION * max(abs(mean[i]), RELATIVE_DISPERSION)
            median = flat and squares[i] > 0.0 and code[i] == 0
            out[i] = _median(x, at + i, window, step) if median else mean[i]
    else:
        _take(mean, out)
    for i in range(out.size):
        out[i] = (value[i] - out[i]) / sd_out[i] if code[i] == 0 else np.nan


def _columns(x: npt.ArrayLike) -> tuple[FloatPanel, tuple[int, ...]]:
    """``x`` as columns x hours, contiguous, and its own shape."""
    array = np.asarray(x, dtype="float64")
    if array.ndim not in (1, 2):
        raise ValueError(f"a panel has one or two dimensions, not {array.ndim}")
    return np.ascontiguousarray(np.atleast_2d(array.T)), array.shape


def _back(columns: npt.NDArray, shape: tuple[int, ...]) -> npt.NDArray:
    return np.ascontiguousarray(columns.T).reshape(shape)


def _statistics(
    x: npt.ArrayLike,
    window: int,
    least: int,
    lag: int,
    anchor: int | None,
    what: int,
    floor: float = math.nan,
) -> list[FloatPanel]:
    """One panel, or the four of a z."""
    count = 4 if what == _Z else 1
    if anchor is None:
        columns, shape = _columns(x)
        found = np.empty((count, columns.size))
        _each_afresh(columns, window, least, lag, what, floor, found)
        return [_back(part.reshape(columns.shape), shape) for part in found]
    array = np.asarray(x, dtype="float64")
    if array.ndim not in (1, 2):
        raise ValueError(f"a panel has one or two dimensions, not {array.ndim}")
    panel = np.ascontiguousarray(array if array.ndim == 2 else array[:, None])
    length, width = panel.shape
    # the large arrays are numpy's: they come in huge pages
    tiles = panel.reshape(1, -1)
    if width != _LANES:
        tiles = np.empty((-(-width // _LANES), length * _LANES))
        _pack(panel, tiles)
    found = np.empty((len(tiles), count, length * _LANES))
    _windows(tiles, window, least, anchor, lag, what, floor, found)
    if width == _LANES:
        return [part.reshape(array.shape) for part in found[0]]
    outs = np.empty((count, length, width))
    _unpack(found, outs)
    return [part.reshape(array.shape) for part in outs]


def rolling_sum(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Sum of the counting slots (not scaled for the missing ones)."""
    _check(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 1), lag, anchor, _SUM)[0]


def rolling_mean(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Mean of the counting slots; of a constant window exactly its value."""
    _check(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 1), lag, anchor, _MEAN)[0]


def rolling_std(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Standard deviation, ddof 1; of a constant window exactly 0, of one slot NaN."""
    _check(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 2), lag, anchor, _STD)[0]


def rolling_min(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Smallest counting slot."""
    _check(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 1), lag, 0, _MIN)[0]


def rolling_max(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Largest counting slot."""
    _check(window, min_obs, lag)
    return _statistics(x, window, max(min_obs, 1), lag, 0, _MAX)[0]


def rolling_count(x: npt.ArrayLike, window: int, min_obs: int = 0, *, lag: int = 0) -> FloatPanel:
    """Number of counting slots, as float; NaN under ``min_obs``."""
    _check(window, min_obs, lag)
    return _statistics(x, window, min_obs, lag, 0, _COUNT)[0]


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
    _check(window, min_obs, 1)
    z, mean, sd, code = _statistics(x, window, max(min_obs, 2), 1, anchor, _Z, _floor(floor))
    return z, mean, sd, code.astype(np.int8)


_CELLS = 1_024
"""Paths that are summed side by side: few enough to stay in the innermost cache."""


@_kernel
def _step(x, h, k, least, last, present, steps, net):  # type: ignore[no-untyped-def]
    """Steps of row ``h`` from the last value there was, and its net move; NaN where it has no ratio.

    A window that begins with a value has all its steps within itself, and one that is missing adds 0.
    """
    for c in range(x.shape[1]):
        v = x[h, c]
        start = x[h - k, c] if h >= k else np.nan
        there, began = abs(v) < np.inf, abs(start) < np.inf
        steps[c] = abs(v - last[c]) if there else 0.0
        last[c] = v if there else last[c]
        present[c] += (1.0 if there else 0.0) - (1.0 if began else 0.0)
        net[c] = abs(v - start) if there and began and present[c] >= least else np.nan


@_kernel
def _efficiency(x, k, least, out):  # type: ignore[no-untyped-def]
    """Paths are summed in time order, for all windows of some rows at once."""
    length, columns = x.shape
    rows = max(1, _CELLS // max(columns, 1))
    before = (k - 1) * columns  # cells of the rows before these
    steps, path = np.zeros(before + rows * columns), np.empty(rows * columns)
    last, present = np.zeros(columns), np.zeros(columns)
    for first in range(0, length, rows):
        end = min(first + rows, length)
        size = (end - first) * columns
        for h in range(first, end):
            at = before + (h - first) * columns
            _step(x, h, k, least, last, present, steps[at : at + columns], out[h])
        path[:] = 0.0
        for j in range(k):
            part = steps[j * columns : j * columns + size]
            for i in range(size):
                path[i] += part[i]
        found = out[first:end].reshape(size)
        for i in range(size):
            ratio = found[i] / path[i]
            ratio = 1.0 if ratio > 1.0 else ratio
            found[i] = ratio if path[i] > 0.0 else np.nan
        for i in range(before):
            steps[i] = steps[i + size]


def efficiency_ratio(x: npt.ArrayLike, k: int, min_obs: int) -> FloatPanel:
    """Net move over the path of ``k`` steps (Kaufman 1995), over the slots that count.

    NaN without both ends, with fewer than ``min_obs`` of the k slots after the first, or on a path of
    0.
    """
    _check(k, min_obs, 0)
    panel, shape = _panel(x)
    out = np.empty_like(panel)
    _efficiency(panel, k, min_obs, out)
    return out.reshape(shape)
