"""Trailing statistics over calendar slots that depend on their own window alone, to the byte.

Belongs here: window statistics and the z scores that judge a value by the rows before it. Does not
belong here: what a feature makes of them.

Conventions of every function: ``x`` is a float64 panel (hours x columns; one dimension is one
column); the window of row ``h`` is the slots ``h-lag-window+1 .. h-lag``; NaN and infinities are
slots that do not count; a result under ``min_obs`` counting slots is NaN.

No statistic is updated from its neighbour by floating arithmetic, so a value is the same wherever the
array starts, and one spike of 1e16 leaves no trace once it has left the window. Two ways lead there:

* order statistics move values without arithmetic; counts are whole numbers; minima and maxima are
  exact in any grouping;
* sums and moments cut time into blocks as long as the window (van Herk 1992, Gil & Werman 1993):
  every window is the end of one block and the beginning of the next, so it is put together from a sum
  that runs backwards to the border and one that runs forwards from it, in constant time a row. The
  blocks must lie in absolute time: that is the argument ``anchor``, the whole hours since 1970 of
  row 0 (any count of slots that doesn't depend on where the array starts will do). Without an anchor
  every window is summed afresh in time order, in O(window) a row: right for a single row or a panel
  of exactly one window. The two differ in the last bits only.

Moments of a part are taken about its own value nearest to the border and merged by Chan, Golub &
LeVeque 1983: cancellation costs at most a factor of the number of slots, whatever the level of the
series, because the reference is one of the values themselves.

Importing this module imports numba; kernels compile on first use and are cached on disk.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

FloatPanel = npt.NDArray[np.float64]
CodePanel = npt.NDArray[np.int8]

OK, INSUFFICIENT, ZERO_DISPERSION, INPUT_NULL = 0, 1, 2, 3
CODE_REASONS = (None, "insufficient_history", "zero_dispersion", "input_null")
"""Text of the codes that the z scores return."""

RELATIVE_DISPERSION = 1e-12
MAD_TO_SD = 1.4826
MEAN_AD_TO_SD = 1.2533

_SUM, _MEAN, _STD = range(3)


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


@numba.njit(cache=True, nogil=True)
def _statistic(n, total, mean, squares, min_obs, what):  # type: ignore[no-untyped-def]
    if n < min_obs or n == 0:
        return np.nan
    if what == _SUM:
        return total
    if what == _MEAN:
        return mean
    return math.sqrt(squares / (n - 1)) if n >= 2 else np.nan


@numba.njit(cache=True, nogil=True)
def _each_afresh(x, window, min_obs, lag, what, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (columns x hours) with one statistic; ``x`` is columns x hours, contiguous."""
    columns, length = x.shape
    for s in range(columns):
        for h in range(length):
            last = h - lag
            n, total, mean, squares = _afresh(x[s], max(0, last - window + 1), last)
            out[s, h] = _statistic(n, total, mean, squares, min_obs, what)


@numba.njit(cache=True, nogil=True)
def reciprocals(count):  # type: ignore[no-untyped-def]
    """1 / n for n = 1 .. count, and 0 for none."""
    out = np.zeros(count + 1)
    for n in range(1, count + 1):
        out[n] = 1.0 / n
    return out


@numba.njit(cache=True, nogil=True)
def _run(x, first, step, count, n, total, square):  # type: ignore[no-untyped-def]
    """Running count, sum and sum of squares of ``x[first], x[first + step], ..``, ``count`` of them.

    Sums are about the first finite value that the run meets, which is returned. Cell ``i`` holds what
    was met up to and including ``x[i]``.
    """
    centre = 0.0
    seen = 0
    s1 = 0.0
    s2 = 0.0
    i = first
    for _ in range(count):
        v = x[i]
        if math.isfinite(v):
            if seen == 0:
                centre = v + 0.0  # one zero, not two that differ in a byte
            seen += 1
            r = v - centre
            s1 += r
            s2 += r * r
        n[i] = seen
        total[i] = s1
        square[i] = s2
        i += step
    return centre


@numba.njit(cache=True, nogil=True)
def _merge(n_a, centre_a, total_a, square_a, n_b, centre_b, total_b, square_b, inverse):  # type: ignore[no-untyped-def]
    """Count, mean and squares about the mean of two parts together; ``inverse`` holds 1 / n."""
    m_a = total_a * inverse[n_a]
    m_b = total_b * inverse[n_b]
    if n_a == 0:
        return n_b, centre_b + m_b, max(0.0, square_b - total_b * m_b)
    if n_b == 0:
        return n_a, centre_a + m_a, max(0.0, square_a - total_a * m_a)
    n = n_a + n_b
    apart = (centre_a - centre_b) + (m_a - m_b)
    squares = max(0.0, square_a - total_a * m_a) + max(0.0, square_b - total_b * m_b)
    share = n_b * inverse[n]
    return n, (centre_a + m_a) - apart * share, squares + apart * apart * (n_a * share)


@numba.njit(cache=True, nogil=True)
def _block_moments(x, window, anchor, lag, n, mean, squares):  # type: ignore[no-untyped-def]
    """Count, mean and squares of the windows of one column, from blocks in absolute time."""
    length = x.size
    count_b, total_b, square_b = np.zeros(length, np.int64), np.empty(length), np.empty(length)
    count_a, total_a, square_a = np.zeros(length, np.int64), np.empty(length), np.empty(length)
    inverse = reciprocals(window)
    for h in range(min(lag, length)):
        n[h] = 0
    border = -(anchor % window)
    centre_a = 0.0
    while border < length - lag:
        low, high = max(0, border), min(border + window, length)
        centre_b = _run(x, low, 1, high - low, count_b, total_b, square_b)
        for last in range(low, min(high, length - lag)):
            h = last + lag
            i = max(0, last - window + 1)
            if i < border:
                n[h], mean[h], squares[h] = _merge(
                    count_a[i],
                    centre_a,
                    total_a[i],
                    square_a[i],
                    count_b[last],
                    centre_b,
                    total_b[last],
                    square_b[last],
                    inverse,
                )
            else:
                n[h], mean[h], squares[h] = _merge(
                    0,
                    0.0,
                    0.0,
                    0.0,
                    count_b[last],
                    centre_b,
                    total_b[last],
                    square_b[last],
                    inverse,
                )
        centre_a = _run(x, high - 1, -1, high - low, count_a, total_a, square_a)
        border += window


@numba.njit(cache=True, nogil=True)
def _from_blocks(x, window, min_obs, anchor, lag, what, out):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    n = np.zeros(length, np.int64)
    mean = np.empty(length)
    squares = np.empty(length)
    for s in range(columns):
        _block_moments(x[s], window, anchor, lag, n, mean, squares)
        for h in range(length):
            out[s, h] = _statistic(n[h], np.nan, mean[h], squares[h], min_obs, what)


@numba.njit(cache=True, nogil=True)
def _seen(x, seen):  # type: ignore[no-untyped-def]
    """Fill ``seen[i]`` with the number of counting slots among ``x[:i]``; ``seen[0]`` is 0."""
    for i in range(x.size):
        seen[i + 1] = seen[i] + (1 if math.isfinite(x[i]) else 0)


@numba.njit(cache=True, nogil=True)
def _block_sums(x, window, min_obs, anchor, lag, out):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    seen = np.zeros(length + 1, np.int64)
    before = np.empty(length + 1)
    for s in range(columns):
        _seen(x[s], seen)
        for h in range(min(lag, length)):
            out[s, h] = np.nan
        border = -(anchor % window)
        while border < length - lag:
            low, high = max(0, border), min(border + window, length)
            total = 0.0
            for last in range(low, min(high, length - lag)):
                v = x[s, last]
                total += v if math.isfinite(v) else 0.0
                i = max(0, last - window + 1)
                n = seen[last + 1] - seen[i]
                whole = before[i] + total if i < border else total
                out[s, last + lag] = whole if n >= min_obs and n > 0 else np.nan
            total = 0.0
            for i in range(high - 1, low - 1, -1):
                v = x[s, i]
                total += v if math.isfinite(v) else 0.0
                before[i] = total
            border += window


@numba.njit(cache=True, nogil=True)
def _counts(x, window, min_obs, lag, out):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    seen = np.zeros(length + 1, np.int64)
    for s in range(columns):
        _seen(x[s], seen)
        for h in range(length):
            end = max(0, h - lag + 1)
            n = seen[end] - seen[max(0, end - window)]
            out[s, h] = n if n >= min_obs else np.nan


@numba.njit(cache=True, nogil=True)
def _maxima(x, window, min_obs, lag, sign, out):  # type: ignore[no-untyped-def]
    """Largest ``sign * x`` of every window, with its sign taken back; blocks need no anchor."""
    columns, length = x.shape
    seen = np.zeros(length + 1, np.int64)
    before = np.empty(length + 1)
    for s in range(columns):
        _seen(x[s], seen)
        for h in range(min(lag, length)):
            out[s, h] = np.nan
        for border in range(0, length - lag, window):
            high = min(border + window, length)
            best = -np.inf
            for last in range(border, min(high, length - lag)):
                v = x[s, last]
                best = max(best, sign * v if math.isfinite(v) else -np.inf)
                i = max(0, last - window + 1)
                n = seen[last + 1] - seen[i]
                whole = max(before[i], best) if i < border else best
                # a negative zero would make equal windows differ in a byte
                out[s, last + lag] = sign * whole + 0.0 if n >= min_obs and n > 0 else np.nan
            best = -np.inf
            for i in range(high - 1, border - 1, -1):
                v = x[s, i]
                best = max(best, sign * v if math.isfinite(v) else -np.inf)
                before[i] = best


@numba.njit(cache=True, nogil=True)
def _position(buffer, n, v):  # type: ignore[no-untyped-def]
    """First index of ``buffer[:n]`` (ascending) whose value is not below ``v``."""
    low = 0
    while n > 0:
        half = (n + 1) // 2
        low += half if buffer[low + half - 1] < v else 0
        n -= half
    return low


@numba.njit(cache=True, nogil=True)
def slide(buffer, n, leaves, enters):  # type: ignore[no-untyped-def]
    """The sorted buffer after one value left and one entered (non-finite: none); its new size."""
    out, into = math.isfinite(leaves), math.isfinite(enters)
    enters += 0.0  # a negative zero would make equal windows differ in a byte
    if out and into:
        # only what lies between the two moves
        if leaves < enters:
            at = _position(buffer, n, leaves)
            to = _position(buffer, n, enters) - 1
            for i in range(at, to):
                buffer[i] = buffer[i + 1]
            buffer[to] = enters
        elif leaves > enters:
            at = _position(buffer, n, leaves)
            to = _position(buffer, n, enters)
            for i in range(at, to, -1):
                buffer[i] = buffer[i - 1]
            buffer[to] = enters
        return n
    if out:
        for i in range(_position(buffer, n, leaves), n - 1):
            buffer[i] = buffer[i + 1]
        return n - 1
    if into:
        to = _position(buffer, n, enters)
        for i in range(n, to, -1):
            buffer[i] = buffer[i - 1]
        buffer[to] = enters
        return n + 1
    return n


@numba.njit(cache=True, nogil=True)
def _between(lower, upper, share):  # type: ignore[no-untyped-def]
    return lower if lower == upper else lower * (1.0 - share) + upper * share


@numba.njit(cache=True, nogil=True)
def _median_of(buffer, n):  # type: ignore[no-untyped-def]
    """Median of ``buffer[:n]``, ascending."""
    half = n // 2
    return buffer[half] if n % 2 == 1 else _between(buffer[half - 1], buffer[half], 0.5)


@numba.njit(cache=True, nogil=True)
def _merge_order(x, left, right, order_left, order_right, ranks, ordered):  # type: ignore[no-untyped-def]
    """Ranks of two neighbouring blocks of ``x`` together, and the values in that order."""
    i, j = 0, 0
    n, m = order_left.size, order_right.size
    for rank in range(n + m):
        # a NaN sorts last within its block and never counts
        take_left = i < n and (j == m or not x[right + order_right[j]] < x[left + order_left[i]])
        at = left + order_left[i] if take_left else right + order_right[j]
        i += 1 if take_left else 0
        j += 0 if take_left else 1
        ranks[at - left] = rank
        ordered[rank] = x[at] + 0.0  # a negative zero would make equal windows differ in a byte


@numba.njit(cache=True, nogil=True)
def _walk(present, at, below, k):  # type: ignore[no-untyped-def]
    """Move to the rank that is present with ``k`` present ones below it; rank and count below."""
    while below > k:
        at -= 1
        below -= 1 if present[at] else 0
    while below < k or not present[at]:
        below += 1 if present[at] else 0
        at += 1
    return at, below


@numba.njit(cache=True, nogil=True)
def _quantile(x, window, min_obs, lag, q, out):  # type: ignore[no-untyped-def]
    """Two neighbouring blocks are ranked once; a pointer then walks over the ranks present."""
    columns, length = x.shape
    ranks = np.empty(2 * window, np.int64)
    ordered = np.empty(2 * window)
    present = np.zeros(2 * window + 1, np.bool_)
    nothing = np.empty(0, np.int64)
    for s in range(columns):
        out[s, : min(lag, length)] = np.nan
        before = nothing
        for border in range(0, length - lag, window):
            high = min(border + window, length)
            left = border - before.size
            order = np.argsort(x[s, border:high])
            _merge_order(x[s], left, border, before, order, ranks, ordered)
            n = 0
            present[:] = False
            for i in range(left, border):
                if math.isfinite(x[s, i]):
                    present[ranks[i - left]] = True
                    n += 1
            at, below = 0, 0  # values present before the pointer
            for last in range(border, min(high, length - lag)):
                if last - window >= 0 and math.isfinite(x[s, last - window]):
                    rank = ranks[last - window - left]
                    present[rank] = False
                    below -= 1 if rank < at else 0
                    n -= 1
                if math.isfinite(x[s, last]):
                    rank = ranks[last - left]
                    present[rank] = True
                    below += 1 if rank < at else 0
                    n += 1
                if n < min_obs or n == 0:
                    out[s, last + lag] = np.nan
                    continue
                position = (n - 1) * q
                k = math.floor(position)
                at, below = _walk(present, at, below, k)
                value, share = ordered[at], position - k
                if share > 0.0 and k + 1 < n:
                    upper = at + 1
                    while not present[upper]:
                        upper += 1
                    value = _between(value, ordered[upper], share)
                out[s, last + lag] = value
            before = order


@numba.njit(cache=True, nogil=True)
def mad(buffer, n, centre):  # type: ignore[no-untyped-def]
    """Median of |v - centre| over an ascending buffer.

    The k nearest values lie together, so the k-th smallest distance is found by halving.
    """
    most = n // 2  # rank of the upper middle
    right = _position(buffer, n, centre)
    low, high = max(0, right - most - 1), min(right, n - most - 1)
    # the first start of most + 1 neighbours that no later start improves on
    while low < high:
        at = (low + high) // 2
        if centre - buffer[at] > buffer[at + most + 1] - centre:
            low = at + 1
        else:
            high = at
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


@numba.njit(cache=True, nogil=True)
def _judge(value, centre, spread, constant, median, floor):  # type: ignore[no-untyped-def]
    """(z, scale, code) of a value under a centre and a spread; NaN floor: no floor."""
    flat = constant or spread <= RELATIVE_DISPERSION * max(abs(centre), RELATIVE_DISPERSION)
    floored = not math.isnan(floor)
    scale = max(spread, floor) if floored else spread
    if math.isnan(value):
        return np.nan, scale, 3
    if not flat:
        return (value - centre) / scale, scale, 0
    if floored:
        return (value - median) / scale, scale, 0
    return np.nan, scale, 2


@numba.njit(cache=True, nogil=True)
def _median(x, first, last):  # type: ignore[no-untyped-def]
    ordered = np.empty(last - first + 2)
    n = 0
    for i in range(first, last + 1):
        n = slide(ordered, n, np.nan, x[i])
    return _median_of(ordered, n)


@numba.njit(cache=True, nogil=True)
def _lagged_z(x, window, min_obs, anchor, blocks, floor, z, mean, sd, code):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    n = np.zeros(length, np.int64)
    squares = np.empty(length)
    for s in range(columns):
        if blocks:
            _block_moments(x[s], window, anchor, 1, n, mean[s], squares)
        else:
            for h in range(length):
                n[h], _, mean[s, h], squares[h] = _afresh(x[s], max(0, h - window), h - 1)
        for h in range(length):
            value = x[s, h] if math.isfinite(x[s, h]) else np.nan
            if n[h] < min_obs or n[h] < 2:
                z[s, h] = np.nan
                mean[s, h] = np.nan
                sd[s, h] = np.nan
                code[s, h] = 3 if math.isnan(value) else 1
                continue
            centre = mean[s, h]
            spread = math.sqrt(squares[h] / (n[h] - 1))
            median = centre
            flat = spread <= RELATIVE_DISPERSION * max(abs(centre), RELATIVE_DISPERSION)
            if flat and squares[h] > 0.0 and not math.isnan(floor):
                median = _median(x[s], max(0, h - window), h - 1)
            z[s, h], sd[s, h], code[s, h] = _judge(
                value, centre, spread, squares[h] == 0.0, median, floor
            )


@numba.njit(cache=True, nogil=True)
def _lagged_mad_z(x, reference, window, min_obs, floor, z, median, scale, code):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    buffer = np.empty(window + 1)
    for s in range(columns):
        n = 0
        for h in range(length):
            enters = reference[s, h - 1] if h >= 1 else np.nan
            leaves = reference[s, h - 1 - window] if h - 1 - window >= 0 else np.nan
            n = slide(buffer, n, leaves, enters)
            value = x[s, h] if math.isfinite(x[s, h]) else np.nan
            if n < min_obs or n == 0:
                z[s, h] = np.nan
                median[s, h] = np.nan
                scale[s, h] = np.nan
                code[s, h] = 3 if math.isnan(value) else 1
                continue
            centre = _median_of(buffer, n)
            spread = MAD_TO_SD * mad(buffer, n, centre)
            if spread <= RELATIVE_DISPERSION * max(abs(centre), RELATIVE_DISPERSION):
                total = 0.0
                for i in range(n):
                    total += abs(buffer[i] - centre)
                spread = MEAN_AD_TO_SD * (total / n)
            median[s, h] = centre
            z[s, h], scale[s, h], code[s, h] = _judge(
                value, centre, spread, buffer[0] == buffer[n - 1], centre, floor
            )


def _columns(x: npt.ArrayLike) -> tuple[FloatPanel, tuple[int, ...]]:
    """``x`` as columns x hours, contiguous, and its own shape."""
    array = np.asarray(x, dtype="float64")
    if array.ndim not in (1, 2):
        raise ValueError(f"a panel has one or two dimensions, not {array.ndim}")
    return np.ascontiguousarray(np.atleast_2d(array.T)), array.shape


def _check(window: int, min_obs: int, lag: int) -> None:
    if window < 1 or min_obs < 0 or min_obs > window or lag < 0:
        raise ValueError(f"no window of {window} slots with at least {min_obs}, lag {lag}")


def _back(columns: npt.NDArray, shape: tuple[int, ...]) -> npt.NDArray:
    return np.ascontiguousarray(columns.T).reshape(shape)


def _moment(
    x: npt.ArrayLike, window: int, min_obs: int, lag: int, anchor: int | None, what: int
) -> FloatPanel:
    _check(window, min_obs, lag)
    columns, shape = _columns(x)
    out = np.empty_like(columns)
    if anchor is None:
        _each_afresh(columns, window, min_obs, lag, what, out)
    elif what == _SUM:
        _block_sums(columns, window, min_obs, anchor, lag, out)
    else:
        _from_blocks(columns, window, min_obs, anchor, lag, what, out)
    return _back(out, shape)


def rolling_sum(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Sum of the counting slots (not scaled for the missing ones)."""
    return _moment(x, window, min_obs, lag, anchor, _SUM)


def rolling_mean(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Mean of the counting slots; of a constant window exactly its value."""
    return _moment(x, window, min_obs, lag, anchor, _MEAN)


def rolling_std(
    x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0, anchor: int | None = None
) -> FloatPanel:
    """Standard deviation, ddof 1; of a constant window exactly 0, of one slot NaN."""
    return _moment(x, window, min_obs, lag, anchor, _STD)


def _extreme(x: npt.ArrayLike, window: int, min_obs: int, lag: int, sign: float) -> FloatPanel:
    _check(window, min_obs, lag)
    columns, shape = _columns(x)
    out = np.empty_like(columns)
    _maxima(columns, window, min_obs, lag, sign, out)
    return _back(out, shape)


def rolling_min(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Smallest counting slot."""
    return _extreme(x, window, min_obs, lag, -1.0)


def rolling_max(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Largest counting slot."""
    return _extreme(x, window, min_obs, lag, 1.0)


def rolling_count(x: npt.ArrayLike, window: int, min_obs: int = 0, *, lag: int = 0) -> FloatPanel:
    """Number of counting slots, as float; NaN under ``min_obs``."""
    _check(window, min_obs, lag)
    columns, shape = _columns(x)
    out = np.empty_like(columns)
    _counts(columns, window, min_obs, lag, out)
    return _back(out, shape)


def rolling_quantile(
    x: npt.ArrayLike, window: int, min_obs: int, q: float, *, lag: int = 0
) -> FloatPanel:
    """Quantile ``q`` of the counting slots, type 7 (Hyndman & Fan 1996)."""
    _check(window, min_obs, lag)
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
    columns, shape = _columns(x)
    out = np.empty_like(columns)
    _quantile(columns, window, min_obs, lag, float(q), out)
    return _back(out, shape)


def rolling_median(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Median of the counting slots."""
    return rolling_quantile(x, window, min_obs, 0.5, lag=lag)


def _floor(floor: float | None) -> float:
    if floor is None:
        return math.nan
    if not (math.isfinite(floor) and floor > 0.0):
        raise ValueError(f"a scale floor is a positive number, not {floor}")
    return float(floor)


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
    columns, shape = _columns(x)
    z, mean, sd = (np.empty_like(columns) for _ in range(3))
    code = np.empty(columns.shape, dtype=np.int8)
    _lagged_z(
        columns, window, min_obs, anchor or 0, anchor is not None, _floor(floor), z, mean, sd, code
    )
    return _back(z, shape), _back(mean, shape), _back(sd, shape), _back(code, shape)


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
    _check(window, min_obs, 1)
    columns, shape = _columns(x)
    judge, judge_shape = (columns, shape) if reference is None else _columns(reference)
    if judge_shape != shape:
        raise ValueError(f"the reference has shape {judge_shape}, the values {shape}")
    z, median, scale = (np.empty_like(columns) for _ in range(3))
    code = np.empty(columns.shape, dtype=np.int8)
    _lagged_mad_z(columns, judge, window, min_obs, _floor(floor), z, median, scale, code)
    return _back(z, shape), _back(median, shape), _back(scale, shape), _back(code, shape)


@numba.njit(cache=True, nogil=True)
def _efficiency(x, k, least, out):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    for s in range(columns):
        out[s, : min(k, length)] = np.nan
        for h in range(k, length):
            out[s, h] = np.nan
            start, end = x[s, h - k], x[s, h]
            if not (math.isfinite(start) and math.isfinite(end)):
                continue
            path, last, present = 0.0, start, 0
            for i in range(h - k + 1, h + 1):
                v = x[s, i]
                if math.isfinite(v):
                    path += abs(v - last)
                    last = v
                    present += 1
            if present >= least and path > 0.0:
                out[s, h] = min(abs(end - start) / path, 1.0)


def efficiency_ratio(x: npt.ArrayLike, k: int, min_obs: int) -> FloatPanel:
    """Net move over the path of ``k`` steps (Kaufman 1995), over the slots that count.

    NaN without both ends, with fewer than ``min_obs`` of the k slots after the first, or on a path of
    0.
    """
    _check(k, min_obs, 0)
    columns, shape = _columns(x)
    out = np.empty_like(columns)
    _efficiency(columns, k, min_obs, out)
    return _back(out, shape)
