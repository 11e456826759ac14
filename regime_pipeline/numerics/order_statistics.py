"""Quantiles, medians and robust z scores of trailing windows, to the byte.

Belongs here: what is read off the sorted values of a window, and the sorted buffer that other kernels
keep by insertion and removal. Does not belong here: sums, moments and extremes (``rolling``, whose
conventions of panels, windows and lags hold here too), fitted tails (``tails``).

Values are moved without arithmetic and counted in whole numbers, so a result depends on its own window
alone, wherever the array starts. A negative zero counts as zero.

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


def _check(window: int, min_obs: int, lag: int) -> None:
    if window < 1 or min_obs < 0 or min_obs > window or lag < 0:
        raise ValueError(f"no window of {window} slots with at least {min_obs}, lag {lag}")


def _floor(floor: float | None) -> float:
    if floor is None:
        return math.nan
    if not (math.isfinite(floor) and floor > 0.0):
        raise ValueError(f"a scale floor is a positive number, not {floor}")
    return float(floor)


def _columns(x: npt.ArrayLike) -> tuple[FloatPanel, tuple[int, ...]]:
    """``x`` as columns x hours, contiguous, and its own shape."""
    array = np.asarray(x, dtype="float64")
    if array.ndim not in (1, 2):
        raise ValueError(f"a panel has one or two dimensions, not {array.ndim}")
    return np.ascontiguousarray(np.atleast_2d(array.T)), array.shape


def _back(columns: npt.NDArray, shape: tuple[int, ...]) -> npt.NDArray:
    return np.ascontiguousarray(columns.T).reshape(shape)


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
def median_of(buffer, n):  # type: ignore[no-untyped-def]
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
def _quantile(x, orders, min_obs, lag, q, out):  # type: ignore[no-untyped-def]
    """Two neighbouring blocks are ranked once; a pointer then walks over the ranks present.

    ``orders`` sorts each block of ``x`` (columns x blocks x window).
    """
    columns, length = out.shape
    window = orders.shape[2]
    ranks = np.empty(2 * window, np.int64)
    ordered = np.empty(2 * window)
    present = np.zeros(2 * window + 1, np.bool_)
    nothing = np.empty(0, np.int64)
    for s in range(columns):
        out[s, : min(lag, length)] = np.nan
        before = nothing
        for block, border in enumerate(range(0, length - lag, window)):
            left = border - before.size
            order = orders[s, block]
            _merge_order(x[s], left, border, before, order, ranks, ordered)
            n = 0
            present[:] = False
            for i in range(left, border):
                if math.isfinite(x[s, i]):
                    present[ranks[i - left]] = True
                    n += 1
            at, below = 0, 0  # values present before the pointer
            for last in range(border, min(border + window, length - lag)):
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
            centre = median_of(buffer, n)
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


def rolling_quantile(
    x: npt.ArrayLike, window: int, min_obs: int, q: float, *, lag: int = 0
) -> FloatPanel:
    """Quantile ``q`` of the counting slots, type 7 (Hyndman & Fan 1996)."""
    _check(window, min_obs, lag)
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
    columns, shape = _columns(x)
    out = np.empty_like(columns)
    blocks = np.full((len(columns), -(-columns.shape[1] // window), window), np.nan)
    padded = blocks.reshape(len(columns), -1)
    padded[:, : columns.shape[1]] = columns
    _quantile(padded, np.argsort(blocks, axis=2), min_obs, lag, float(q), out)
    return _back(out, shape)


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
    _check(window, min_obs, 1)
    columns, shape = _columns(x)
    judge, judge_shape = (columns, shape) if reference is None else _columns(reference)
    if judge_shape != shape:
        raise ValueError(f"the reference has shape {judge_shape}, the values {shape}")
    z, median, scale = (np.empty_like(columns) for _ in range(3))
    code = np.empty(columns.shape, dtype=np.int8)
    _lagged_mad_z(columns, judge, window, min_obs, _floor(floor), z, median, scale, code)
    return _back(z, shape), _back(median, shape), _back(scale, shape), _back(code, shape)
