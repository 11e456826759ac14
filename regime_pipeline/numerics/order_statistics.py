"""Quantiles, medians and robust z scores of trailing windows, to the byte.

Belongs here: what is read off the sorted values of a window, and the sorted buffer that other kernels
keep by insertion and removal. Does not belong here: sums, moments and extremes (``rolling``, whose
conventions of panels, windows and lags hold here too), fitted tails (``tails``).

Values are moved without arithmetic and counted in whole numbers, so a result depends on its own window
alone, wherever the array starts. A negative zero counts as zero.

* Quantiles: rows several windows long are ranked once, by a radix sort; a window is then a
  set of bits over those ranks, and a pointer moves to the bit wanted.
* Scores: the window itself is kept sorted. Short ones slide for eight columns at once, in time
  proportional to the window but without a branch; long ones by two searches and a move.

Importing this module imports numba; kernels compile on first use and are cached on disk.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.cpython.unsafe import numbers

from regime_pipeline.numerics.compiled import ieee_kernel
from regime_pipeline.numerics.conventions import (
    RELATIVE_DISPERSION,
    CodePanel,
    FloatPanel,
    as_panel,
    check_window,
    scale_floor,
)
from regime_pipeline.numerics.memory import new_panels
from regime_pipeline.numerics.stretches import in_stretches

MAD_TO_SD = 1.4826
MEAN_AD_TO_SD = 1.2533

leading_zeros: Any = numbers.leading_zeros
trailing_zeros: Any = numbers.trailing_zeros
"""Of a word in a kernel, one instruction each."""

# unsigned indices can't be negative, so nothing wraps around and loops may become vectors
_NONE, _ONE, _WORD, _IN_WORD = (np.uint64(k) for k in (0, 1, 6, 63))
_MAGNITUDE = np.int64(2**63 - 1)

_TOGETHER, _DIGIT = 1_000, 11
"""Least rows that are ranked together, most bits that one pass of the sort looks at."""

_LANES, _NARROW = 8, 64
"""Columns whose sorted windows lie side by side, and the longest window that is kept so."""
_MANY = 64
"""So many columns are shared out among the threads; fewer go in stretches of time."""
_U = np.uint64(_LANES)
_PLANE = (_NARROW + 2) * _LANES
_LEAVES, _ENTERS, _KEPT = (np.uint64(k * _PLANE) for k in (1, 2, 3))
"""Planes of the scratch array behind the sorted rows themselves."""


@ieee_kernel
def _positions(buffer, n, v, w):  # type: ignore[no-untyped-def]
    """First index of ``buffer[:n]`` (ascending) whose value is not below ``v``, and the same of ``w``.

    The sign of a difference instead of a comparison: half of all branches would be guessed wrong, and
    two searches at once wait for each other's loads.
    """
    low, low_w, left = _NONE, _NONE, np.uint64(n)
    while left > 0:
        half = (left + _ONE) >> _ONE
        below = np.float64(buffer[low + half - _ONE] - v).view(np.int64) >> 63
        below_w = np.float64(buffer[low_w + half - _ONE] - w).view(np.int64) >> 63
        low += half & np.uint64(below)
        low_w += half & np.uint64(below_w)
        left -= half
    return low, low_w


@ieee_kernel
def slide(buffer, n, leaves, enters):  # type: ignore[no-untyped-def]
    """The sorted buffer after one value left and one entered (non-finite: none); its new size.

    Only what lies between the two moves.
    """
    out, into = math.isfinite(leaves), math.isfinite(enters)
    if not out and not into:
        return n
    enters += 0.0  # a negative zero would make equal windows differ in a byte
    at, to = _positions(buffer, n, leaves, enters)
    at = at if out else np.uint64(n)
    to = to if into else np.uint64(n)
    if at < to:
        to -= _ONE
        for i in range(at, to):
            buffer[i] = buffer[i + _ONE]
    else:
        for j in range(at - to):
            buffer[at - j] = buffer[at - j - _ONE]
    if into:
        buffer[to] = enters
    return n + (1 if into else 0) - (1 if out else 0)


@ieee_kernel
def _between(lower, upper, share):  # type: ignore[no-untyped-def]
    return lower if lower == upper else lower * (1.0 - share) + upper * share


@ieee_kernel
def median_of(buffer, n):  # type: ignore[no-untyped-def]
    """Median of ``buffer[:n]``, ascending."""
    return _between(buffer[(n - 1) // 2], buffer[n // 2], 0.5)


@ieee_kernel
def mad(buffer, n, centre):  # type: ignore[no-untyped-def]
    """Median of |v - centre| over an ascending buffer.

    The k nearest values lie together, so the k-th smallest distance is found by halving.
    """
    most = n // 2  # rank of the upper middle
    # the first start of most + 1 neighbours that no later start improves on
    low, starts = 0, n - most - 1
    while starts > 0:
        half = (starts + 1) // 2
        at = low + half - 1
        worse = (buffer[at + most + 1] - centre) - (centre - buffer[at])
        low += half & (np.float64(worse).view(np.int64) >> 63)
        starts -= half
    last = low + most
    left_away, right_away = abs(centre - buffer[low]), abs(buffer[last] - centre)
    upper = max(left_away, right_away)
    if n % 2 == 1:
        return upper
    # without the farther end, the nearest ``most`` values are left
    if left_away >= right_away:
        lower = max(abs(centre - buffer[low + 1]), right_away) if most > 1 else right_away
    else:
        lower = max(left_away, abs(buffer[last - 1] - centre)) if most > 1 else left_away
    return 0.5 * (lower + upper)


@ieee_kernel
def _in_order(bits):  # type: ignore[no-untyped-def]
    """Bits of a float as a whole number that orders as the float does, and back."""
    return bits ^ ((bits >> 63) & _MAGNITUDE)


@ieee_kernel
def _distribute(key, slot, n, shift, count, key_to, slot_to):  # type: ignore[no-untyped-def]
    """One pass of a radix sort: stable by the digit of the keys at ``shift``."""
    mask = np.uint64(count.size - 1)
    count[:] = 0
    for r in range(n):
        count[(key[r] >> shift) & mask] += 1
    total = 0
    for digit in range(count.size):
        here = count[digit]
        count[digit] = total
        total += here
    for r in range(n):
        digit = (key[r] >> shift) & mask
        to = np.uint32(count[digit])
        count[digit] += 1
        key_to[to] = key[r]
        slot_to[to] = slot[r]


@ieee_kernel
def _straighten(key, slot, n):  # type: ignore[no-untyped-def]
    """Sort by insertion what is nearly sorted; False where that would take too many moves."""
    moves = 8 * n
    for r in range(1, n):
        wanted, its_slot, at = key[r], slot[r], r
        while at > 0 and wanted < key[at - 1]:
            key[at] = key[at - 1]
            slot[at] = slot[at - 1]
            at -= 1
        key[at] = wanted
        slot[at] = its_slot
        moves -= r - at
        if moves < 0:
            return False
    return True


@ieee_kernel
def _rank(column, key, slot, key_to, slot_to, count, ranks, ordered):  # type: ignore[no-untyped-def]
    """Rank of every slot among those that count (-1: doesn't), and the values in that order.

    The two leading digits of what the values span are sorted by, the rest by insertion. Where too
    many values share those digits, all digits are.
    """
    bits = column.view(np.int64)
    lowest, highest = _MAGNITUDE, -_MAGNITUDE
    for i in range(column.size):
        whole = _in_order(bits[i])
        there = abs(column[i]) < np.inf
        lowest = whole if there and whole < lowest else lowest
        highest = whole if there and whole > highest else highest
    n = np.int64(0)  # a literal 0 would compile what it is handed to once more
    for i in range(column.size):
        key[n] = np.uint64(_in_order(bits[i])) - np.uint64(lowest)
        slot[n] = i
        n += 1 if abs(column[i]) < np.inf else 0
    if n < column.size:
        ranks[:] = -1
    if n == 0:
        return
    span = 64 - np.int64(leading_zeros((np.uint64(highest) - np.uint64(lowest)) | _ONE))
    digit = np.int64(trailing_zeros(np.uint64(count.size)))
    shift = span - 2 * digit if span > 2 * digit else 0
    while True:
        for at in range(shift, span, digit):
            _distribute(key, slot, n, np.uint64(at), count, key_to, slot_to)
            key, key_to = key_to, key
            slot, slot_to = slot_to, slot
        if shift == 0 or _straighten(key, slot, n):
            break
        shift = 0
    back = ordered.view(np.int64)
    for r in range(n):
        ranks[slot[r]] = r
        back[r] = _in_order(np.int64(key[r] + np.uint64(lowest)))


@ieee_kernel
def _next(present, at):  # type: ignore[no-untyped-def]
    """First rank from ``at`` on that is present."""
    word = at >> _WORD
    left = present[word] >> (at & _IN_WORD)
    if left != 0:
        return at + trailing_zeros(left)
    word += _ONE
    while present[word] == 0:
        word += _ONE
    return (word << _WORD) + trailing_zeros(present[word])


@ieee_kernel
def _previous(present, at):  # type: ignore[no-untyped-def]
    """Last rank before ``at`` that is present."""
    word = at >> _WORD
    left = present[word] & ((_ONE << (at & _IN_WORD)) - _ONE)
    while left == 0:
        word -= _ONE
        left = present[word]
    return (word << _WORD) + _IN_WORD - leading_zeros(left)


@ieee_kernel
def _flip(present, rank):  # type: ignore[no-untyped-def]
    at = np.uint64(rank)
    present[at >> _WORD] ^= _ONE << (at & _IN_WORD)


@ieee_kernel
def _walk(ranks, ordered, present, first, window, least, q, out):  # type: ignore[no-untyped-def]
    """Quantiles of the windows that end with the slots from ``first`` on.

    A pointer walks over the bits of the ranks that are present.
    """
    present[:] = 0
    n = 0
    for i in range(max(0, first - window), first):
        if ranks[i] >= 0:
            _flip(present, np.int64(ranks[i]))
            n += 1
    at, below = _NONE, 0  # the pointer, and how many are present before it
    counted, k, share = -1, 0, 0.0
    for i in range(first, ranks.size):
        leaves = ranks[i - window] if i >= window else -1
        enters = ranks[i]
        if leaves >= 0:
            _flip(present, leaves)
            below -= 1 if leaves < np.int64(at) else 0
            n -= 1
        if enters >= 0:
            _flip(present, enters)
            below += 1 if enters < np.int64(at) else 0
            n += 1
        if n < least:
            out[i - first] = np.nan
            continue
        if n != counted:
            counted, position = n, (n - 1) * q
            k = math.floor(position)
            share = position - k
        if below > k:
            while below > k:
                at = _previous(present, at)
                below -= 1
        else:
            at = _next(present, at)
            while below < k:
                at = _next(present, at + _ONE)
                below += 1
        value = ordered[at]
        if share > 0.0 and k + 1 < n:
            value = _between(value, ordered[_next(present, at + _ONE)], share)
        out[i - first] = value


@ieee_kernel
def _quantile(x, window, least, lag, q, together, digit, since, until, out):  # type: ignore[no-untyped-def]
    """Rows ``since .. until - 1``; so many ``together`` are ranked once, with the window before them."""
    length, columns = x.shape
    size = min(window + together, length)
    column, ordered = np.empty(size), np.empty(size)
    key, key_to = np.empty(size + 1, np.uint64), np.empty(size + 1, np.uint64)
    slot, slot_to = np.empty(size + 1, np.int32), np.empty(size + 1, np.int32)
    ranks, count = np.empty(size, np.int32), np.empty(1 << digit, np.int32)
    present = np.empty((size >> 6) + 1, np.uint64)
    out[since : max(since, min(lag, until))] = np.nan
    for first in range(max(0, since - lag), until - lag, together):
        begin, end = max(0, first - window), min(first + together, until - lag)
        m = end - begin
        for s in range(columns):
            for i in range(m):
                column[i] = x[begin + i, s] + 0.0  # one zero, not two that differ in a byte
            _rank(column[:m], key, slot, key_to, slot_to, count, ranks[:m], ordered)
            _walk(
                ranks[:m], ordered, present, first - begin, window, least, q,
                out[first + lag : end + lag, s],
            )  # fmt: skip


@ieee_kernel
def _slide_lanes(work, window):  # type: ignore[no-untyped-def]
    """Sorted windows of eight columns after one value left each and one entered (infinite: none).

    Rows ascend from the second one on and end with infinities. What leaves and enters is handed down
    from row to row, so that all distances are known to the compiler and it is one loop of vectors.
    """
    for i in range(_U, np.uint64(window + 1) * _U):
        leaves, enters = work[i - _U + _LEAVES], work[i - _U + _ENTERS]
        before = work[i - _U + _KEPT]
        kept = work[i] if work[i] < leaves else work[i + _U]
        after = before if before > enters else enters
        work[i + _LEAVES], work[i + _ENTERS], work[i + _KEPT] = leaves, enters, kept
        work[i] = kept if kept < after else after


@ieee_kernel
def _mad_lane(work, base, n, centre):  # type: ignore[no-untyped-def]
    """As ``mad``, of one lane: a short window is sooner looked through than halved."""
    most = n // 2
    first, last = np.uint64(base), np.uint64(base + most * _LANES)
    upper = lower = np.inf
    for _ in range(n - most + 1):
        # of most + 1 neighbours, and of one fewer
        away = centre - work[first]
        far, near = work[last] - centre, work[last - _U] - centre
        far = away if away > far else far
        near = away if away > near else near
        upper = far if far < upper else upper
        lower = near if near < lower else lower
        first += _U
        last += _U
    return upper if n % 2 == 1 else 0.5 * (lower + upper)


@ieee_kernel
def _move_on(work, counts, reference, h, since, left, width, window, narrow):  # type: ignore[no-untyped-def]
    """The sorted windows of up to eight columns before row ``h``, from those before the last row.

    The windows begin at row ``since`` or later.
    """
    last, out = h - 1, h - 1 - window
    for k in range(width):
        enters = reference[last, left + k]
        leaves = reference[out, left + k] if out >= since else np.nan
        if narrow:
            here, gone = abs(enters) < np.inf, abs(leaves) < np.inf
            work[np.uint64(k) + _ENTERS] = enters + 0.0 if here else np.inf
            work[np.uint64(k) + _LEAVES] = leaves if gone else np.inf
            counts[k] += (1 if here else 0) - (1 if gone else 0)
        else:
            at = k * (window + 1)
            counts[k] = slide(work[at : at + window + 1], counts[k], leaves, enters)
    if narrow:
        _slide_lanes(work, window)


@ieee_kernel
def _centre_and_scale(work, k, n, window, narrow):  # type: ignore[no-untyped-def]
    """Median and robust scale of one column's window, and whether it has no dispersion."""
    if narrow:
        base, step = _LANES + k, _LANES
    else:
        base, step = k * (window + 1), 1
    centre = _between(work[base + (n - 1) // 2 * step], work[base + n // 2 * step], 0.5)
    if narrow:
        spread = MAD_TO_SD * _mad_lane(work, base, n, centre)
    else:
        spread = MAD_TO_SD * mad(work[base : base + n], n, centre)
    least = RELATIVE_DISPERSION * max(abs(centre), RELATIVE_DISPERSION)
    if spread > least:
        return centre, spread, False
    total = 0.0
    for i in range(n):
        total += abs(work[base + i * step] - centre)
    spread = MEAN_AD_TO_SD * (total / n)
    return centre, spread, spread <= least or work[base] == work[base + (n - 1) * step]


@ieee_kernel
def _lagged_mad_z(  # type: ignore[no-untyped-def]
    x, reference, window, least, floor, first, stop, begin, end, z, median, scale, code
):
    """Rows ``first .. stop - 1`` of the columns ``begin .. end - 1``."""
    columns = end - begin
    # half of the lanes idle are no gain
    narrow = window <= _NARROW and 2 * columns >= _LANES
    work = np.empty(4 * _PLANE if narrow else _LANES * (window + 1))
    counts = np.empty(_LANES, np.int64)
    for left in range(begin, end, _LANES):
        width = min(_LANES, end - left)
        work[:] = np.inf
        if narrow:
            work[3 * _PLANE : 3 * _PLANE + _LANES] = -np.inf  # before the first row
        counts[:] = 0
        since = max(0, first - window)
        for h in range(since, stop):
            if h > since:
                _move_on(work, counts, reference, h, since, left, width, window, narrow)
            if h < first:
                continue
            for k in range(width):
                s, n, value = left + k, counts[k], x[h, left + k]
                known = abs(value) < np.inf
                centre, spread, flat = np.nan, np.nan, True
                code[h, s] = 1
                if n >= least:
                    centre, spread, flat = _centre_and_scale(work, k, n, window, narrow)
                    # a comparison with NaN is false
                    spread = floor if spread < floor else spread
                    flat = flat and math.isnan(floor)
                    code[h, s] = 2 if flat else 0
                if not known:
                    code[h, s] = 3
                z[h, s] = np.nan if flat or not known else (value - centre) / spread
                median[h, s] = centre
                scale[h, s] = spread


def rolling_quantile(
    x: npt.ArrayLike, window: int, min_obs: int, q: float, *, lag: int = 0
) -> FloatPanel:
    """Quantile ``q`` of the counting slots, type 7 (Hyndman & Fan 1996)."""
    check_window(window, min_obs, lag)
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
    panel, shape = as_panel(x)
    (out,) = new_panels(1, panel.shape)
    together = max(_TOGETHER, min(8 * window, 8_000), window)
    digit = min(_DIGIT, together.bit_length())

    def part(first: int, stop: int) -> None:
        _quantile(
            panel, window, max(min_obs, 1), lag, float(q), together, digit, first, stop, out
        )  # fmt: skip

    in_stretches(part, *panel.shape)
    return out.reshape(shape)


def rolling_median(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Median of the counting slots."""
    return rolling_quantile(x, window, min_obs, 0.5, lag=lag)


def lagged_mad_z(
    x: npt.ArrayLike,
    window: int,
    min_obs: int,
    *,
    floor: float | None = None,
    reference: npt.ArrayLike | None = None,
) -> tuple[FloatPanel, FloatPanel, FloatPanel, CodePanel]:
    """Robust z under median and 1.4826 MAD of the ``window`` slots before the value.

    Where the MAD is 0 the scale is 1.2533 times the mean absolute deviation around the median
    (Iglewicz & Hoaglin 1993); constant windows and ``floor`` as in :func:`lagged_z`.

    Args:
        x: the values judged.
        window: slots before the current one.
        min_obs: least number of counting slots.
        floor: least scale, or None.
        reference: panel whose window judges ``x``; by default ``x`` itself.

    Returns:
        ``(z, median, scale, code)``, codes as in :func:`lagged_z`.
    """
    check_window(window, min_obs, 1)
    panel, shape = as_panel(x)
    judge, judge_shape = (panel, shape) if reference is None else as_panel(reference)
    if judge_shape != shape:
        raise ValueError(f"the reference has shape {judge_shape}, the values {shape}")
    z, median, scale = (np.empty_like(panel) for _ in range(3))
    code = np.empty(panel.shape, dtype=np.int8)
    length, columns = panel.shape
    given = panel, judge, window, max(min_obs, 1), scale_floor(floor)

    def some_rows(first: int, stop: int) -> None:
        _lagged_mad_z(*given, first, stop, 0, columns, z, median, scale, code)

    def some_columns(first: int, stop: int) -> None:
        _lagged_mad_z(*given, 0, length, first, stop, z, median, scale, code)

    if columns >= _MANY:
        in_stretches(some_columns, columns, length, unit=_LANES)
    else:
        in_stretches(some_rows, length, columns)
    return z.reshape(shape), median.reshape(shape), scale.reshape(shape), code.reshape(shape)


def share_below(x: npt.ArrayLike, window: int, min_obs: int) -> FloatPanel:
    """Share of the counting ones of the ``window`` slots before each value that are less than it."""
    check_window(window, min_obs, 1)
    panel, shape = as_panel(x)
    (out,) = new_panels(1, panel.shape)
    by_column = np.where(np.isfinite(panel), panel, np.nan).T.copy()

    def part(first: int, stop: int) -> None:
        _share_below(by_column, window, max(min_obs, 1), first, stop, out)

    in_stretches(part, *panel.shape)
    return out.reshape(shape)


@ieee_kernel
def _share_below(by_column, window, least, first, stop, out):  # type: ignore[no-untyped-def]
    """Symbol by symbol; a comparison with NaN is false, and the loop over a window one of vectors."""
    for s in range(by_column.shape[0]):
        x = by_column[s]
        n = 0
        for i in range(max(0, first - window), first):
            n += x[i] == x[i]
        for h in range(first, stop):
            value = x[h]
            below = 0
            for i in range(max(0, h - window), h):
                below += x[i] < value
            out[h, s] = below / n if n >= least and value == value else np.nan
            n += value == value
            if h >= window:
                n -= x[h - window] == x[h - window]
