"""Trailing statistics over calendar slots, each window reduced afresh.

Belongs here: window statistics and the z scores that judge a value by the rows before it. Does not
belong here: what a feature makes of them.

Conventions of every function: ``x`` is a float64 panel (hours x columns; one dimension is one
column); the window of row ``h`` is the slots ``h-lag-window+1 .. h-lag``; NaN and infinities are
slots that do not count; a result under ``min_obs`` counting slots is NaN. A window is summed in time
order or reduced by order statistics, never updated from its neighbour by floating arithmetic, so a
value is the same to the byte wherever the array starts. That is also why one spike of 1e16 leaves no
trace once it has left the window.

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

_SUM, _MEAN, _STD, _COUNT, _MIN, _MAX = range(6)


@numba.njit(cache=True, nogil=True)
def _moments(x, window, min_obs, lag, what, out):  # type: ignore[no-untyped-def]  # noqa: C901
    """Fill ``out`` (columns x hours) with one statistic; ``x`` is columns x hours, contiguous."""
    columns, length = x.shape
    for s in range(columns):
        for h in range(length):
            last = h - lag
            first = max(0, last - window + 1)
            n = 0
            total = 0.0
            low = np.inf
            high = -np.inf
            for i in range(first, last + 1):
                v = x[s, i]
                if math.isfinite(v):
                    n += 1
                    total += v
                    low = min(low, v)
                    high = max(high, v)
            if what == _COUNT:
                out[s, h] = n if n >= min_obs else np.nan
                continue
            if n < min_obs or n == 0:
                out[s, h] = np.nan
            elif what == _SUM:
                out[s, h] = total
            elif what == _MIN:
                out[s, h] = low
            elif what == _MAX:
                out[s, h] = high
            elif what == _MEAN:
                out[s, h] = low if low == high else total / n
            elif n < 2:
                out[s, h] = np.nan
            elif low == high:
                out[s, h] = 0.0
            else:
                mean = total / n
                squares = 0.0
                for i in range(first, last + 1):
                    v = x[s, i]
                    if math.isfinite(v):
                        squares += (v - mean) * (v - mean)
                out[s, h] = math.sqrt(squares / (n - 1))


@numba.njit(cache=True, nogil=True)
def _position(buffer, n, v):  # type: ignore[no-untyped-def]
    """First index of ``buffer[:n]`` (ascending) whose value is not below ``v``."""
    low = 0
    high = n
    while low < high:
        middle = (low + high) // 2
        if buffer[middle] < v:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def _slide(buffer, n, leaves, enters):  # type: ignore[no-untyped-def]
    """The sorted buffer after one value left and one entered (non-finite: none); its new size."""
    if math.isfinite(leaves):
        at = _position(buffer, n, leaves)
        for i in range(at, n - 1):
            buffer[i] = buffer[i + 1]
        n -= 1
    if math.isfinite(enters):
        at = _position(buffer, n, enters)
        for i in range(n, at, -1):
            buffer[i] = buffer[i - 1]
        buffer[at] = enters + 0.0  # a negative zero would make equal windows differ in a byte
        n += 1
    return n


@numba.njit(cache=True, nogil=True)
def _type7(buffer, n, q):  # type: ignore[no-untyped-def]
    """Quantile ``q`` of ``buffer[:n]`` (ascending), interpolated between its neighbours."""
    position = (n - 1) * q
    low = math.floor(position)
    share = position - low
    if share == 0.0 or low + 1 >= n or buffer[low] == buffer[low + 1]:
        return buffer[low]
    return buffer[low] * (1.0 - share) + buffer[low + 1] * share


@numba.njit(cache=True, nogil=True)
def _quantile(x, window, min_obs, lag, q, out):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    buffer = np.empty(window + 1)
    for s in range(columns):
        n = 0
        for h in range(length):
            last = h - lag
            enters = x[s, last] if last >= 0 else np.nan
            leaves = x[s, last - window] if last - window >= 0 else np.nan
            n = _slide(buffer, n, leaves, enters)
            out[s, h] = _type7(buffer, n, q) if n >= min_obs and n > 0 else np.nan


@numba.njit(cache=True, nogil=True)
def _mad(buffer, n, centre):  # type: ignore[no-untyped-def]
    """Median of |v - centre| over an ascending buffer: merge the two sides outwards."""
    right = _position(buffer, n, centre)
    left = right - 1
    upper = n // 2
    before = 0.0
    current = 0.0
    for _ in range(upper + 1):
        before = current
        if right >= n:
            take_left = True
        elif left < 0:
            take_left = False
        else:
            take_left = centre - buffer[left] < buffer[right] - centre
        if take_left:
            current = centre - buffer[left]
            left -= 1
        else:
            current = buffer[right] - centre
            right += 1
    return current if n % 2 == 1 else 0.5 * (before + current)


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
def _lagged_z(x, window, min_obs, floor, z, mean, sd, code):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    buffer = np.empty(window)
    for s in range(columns):
        for h in range(length):
            first = max(0, h - window)
            n = 0
            total = 0.0
            low = np.inf
            high = -np.inf
            for i in range(first, h):
                v = x[s, i]
                if math.isfinite(v):
                    buffer[n] = v
                    n += 1
                    total += v
                    low = min(low, v)
                    high = max(high, v)
            value = x[s, h] if math.isfinite(x[s, h]) else np.nan
            if n < min_obs or n < 2:
                z[s, h] = np.nan
                mean[s, h] = np.nan
                sd[s, h] = np.nan
                code[s, h] = 3 if math.isnan(value) else 1
                continue
            centre = low if low == high else total / n
            squares = 0.0
            if low != high:
                for i in range(n):
                    squares += (buffer[i] - centre) * (buffer[i] - centre)
            spread = math.sqrt(squares / (n - 1))
            median = low
            if low != high and spread <= RELATIVE_DISPERSION * max(
                abs(centre), RELATIVE_DISPERSION
            ):
                ordered = np.empty(n + 1)
                for i in range(n):
                    _slide(ordered, i, np.nan, buffer[i])
                median = _type7(ordered, n, 0.5)
            mean[s, h] = centre
            z[s, h], sd[s, h], code[s, h] = _judge(
                value, centre, spread, low == high, median, floor
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
            n = _slide(buffer, n, leaves, enters)
            value = x[s, h] if math.isfinite(x[s, h]) else np.nan
            if n < min_obs or n == 0:
                z[s, h] = np.nan
                median[s, h] = np.nan
                scale[s, h] = np.nan
                code[s, h] = 3 if math.isnan(value) else 1
                continue
            centre = _type7(buffer, n, 0.5)
            spread = MAD_TO_SD * _mad(buffer, n, centre)
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


def _moment(x: npt.ArrayLike, window: int, min_obs: int, lag: int, what: int) -> FloatPanel:
    _check(window, min_obs, lag)
    columns, shape = _columns(x)
    out = np.empty_like(columns)
    _moments(columns, window, min_obs, lag, what, out)
    return _back(out, shape)


def rolling_sum(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Sum of the counting slots, in time order (not scaled for the missing ones)."""
    return _moment(x, window, min_obs, lag, _SUM)


def rolling_mean(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Mean of the counting slots; of a constant window exactly its value."""
    return _moment(x, window, min_obs, lag, _MEAN)


def rolling_std(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Standard deviation, ddof 1, two passes; of a constant window exactly 0, of one slot NaN."""
    return _moment(x, window, min_obs, lag, _STD)


def rolling_min(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Smallest counting slot."""
    return _moment(x, window, min_obs, lag, _MIN)


def rolling_max(x: npt.ArrayLike, window: int, min_obs: int, *, lag: int = 0) -> FloatPanel:
    """Largest counting slot."""
    return _moment(x, window, min_obs, lag, _MAX)


def rolling_count(x: npt.ArrayLike, window: int, min_obs: int = 0, *, lag: int = 0) -> FloatPanel:
    """Number of counting slots, as float; NaN under ``min_obs``."""
    return _moment(x, window, min_obs, lag, _COUNT)


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
    x: npt.ArrayLike, window: int, min_obs: int, *, floor: float | None = None
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
    _lagged_z(columns, window, min_obs, _floor(floor), z, mean, sd, code)
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
