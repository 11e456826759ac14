"""Pearson's coefficient over trailing windows and exponential weights, pair by pair.

Belongs here: moments of pairs of series and the coefficients made from them. Does not belong here: ranks
(``ranks``), statistics of one series (``rolling``), frames, names of columns.

A value depends only on the rows of its own window: moments and exponential sums are put together from
two parts, one up to a border of absolute time and one from it on (``rolling``), in constant time a row.
No fast-math.

Layout: inputs are symbol-major (S, T), outputs pair-major (P, N), pairs in the order (0,1), (0,2),
.. (1,2) ... NaN is null.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import ieee_kernel, kernel
from regime_pipeline.numerics.stretches import in_stretches

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

CONSTANT_RTOL = 1e-12
FEW_BLOCKS = 4
"""Fewer blocks of time than this are shared out by pairs, whose parts each thread then makes anew."""


@kernel
def _reciprocals(count: int) -> Floats:
    """1 / n for n = 1 .. count, and 0 for none."""
    out = np.zeros(count + 1)
    for n in range(1, count + 1):
        out[n] = 1.0 / n
    return out


@ieee_kernel
def _is_constant(mean: float, square: float, n: float) -> bool:
    return math.sqrt(square / (n - 1.0)) <= CONSTANT_RTOL * max(abs(mean), CONSTANT_RTOL)


def rolling_pearson(
    x: Floats, window: int, min_obs: int, anchor: int, first: int
) -> tuple[Floats, Codes]:
    """:func:`pearson_rows` of all pairs, from row ``first`` to the last."""
    return pearson_rows(x, window, min_obs, anchor, first, all_pairs(x.shape[0]))


@kernel
def all_pairs(symbols: int) -> Ints:
    """The two symbols of every pair, (P, 2), in the order of the outputs."""
    out = np.empty((symbols * (symbols - 1) // 2, 2), np.int64)
    p = 0
    for a in range(symbols):
        for b in range(a + 1, symbols):
            out[p, 0] = a
            out[p, 1] = b
            p += 1
    return out


@kernel
def _nulls(x: Floats) -> int:
    count = 0
    for i in range(x.size):
        count += int(math.isnan(x[i]))
    return count


@kernel
def _part(x: Floats, inverse: Floats, out: Floats) -> None:
    """Running moments of a part without holes, from the border outwards (Welford 1962).

    ``x`` begins at the border. Values count from the first one, so that the level of the series costs
    no digits. Rows of ``out``: deviation from the mean before, from the mean after, mean, squares.
    """
    size = x.size
    before, after, mean, square = out[0], out[1], out[2], out[3]
    # loops of one output each: all but the two sums become vectors
    base = x[0] if size > 0 else 0.0
    total = 0.0
    for i in range(size):
        total += x[i] - base
        mean[i] = total
    for i in range(size):
        mean[i] *= inverse[i + 1]
    for i in range(size):
        after[i] = (x[i] - base) - mean[i]
    if size > 0:
        before[0] = 0.0
    for i in range(size - 1):
        before[i + 1] = (x[i + 1] - base) - mean[i]
    for i in range(size):
        square[i] = before[i] * after[i]
    total = 0.0
    for i in range(size):
        total += square[i]
        square[i] = total


@kernel
def _part_of_pair(a: Floats, b: Floats, inverse: Floats, out: Floats) -> tuple[float, float]:
    """:func:`_part` over the rows that both have; returns the values that both count from.

    Rows of ``out``: count, mean a, mean b, squares a, squares b, cross.
    """
    n = 0
    first_a, first_b, total_a, total_b, mean_a, mean_b = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    square_a, square_b, cross = 0.0, 0.0, 0.0
    for i in range(a.size):
        if not (math.isnan(a[i]) or math.isnan(b[i])):
            if n == 0:
                first_a, first_b = a[i], b[i]
            n += 1
            r_a, r_b = a[i] - first_a, b[i] - first_b
            before_a, before_b = r_a - mean_a, r_b - mean_b
            total_a += r_a
            total_b += r_b
            mean_a = total_a * inverse[n]
            mean_b = total_b * inverse[n]
            after_b = r_b - mean_b
            square_a += before_a * (r_a - mean_a)
            square_b += before_b * after_b
            cross += before_a * after_b
        out[0, i] = n
        out[1, i] = mean_a
        out[2, i] = mean_b
        out[3, i] = square_a
        out[4, i] = square_b
        out[5, i] = cross
    return first_a, first_b


@ieee_kernel
def _whole_side(
    early: Floats, late: Floats, apart: float, base: float, skip: int, inverse: Floats, out: Floats
) -> None:
    """What a symbol without holes brings into its pairs, per window.

    ``early`` and ``late`` are its two parts (``early`` from the border backwards), ``apart`` the
    distance of the values that they count from, ``base`` that of the late one, ``skip`` the late rows
    before the first window. Rows of ``out``: reciprocal root of the squares (NaN: constant), distance
    of the means, the same times n_early n_late / n.
    """
    most = early.shape[1]
    n = most + skip + 1
    for j in range(out.shape[1]):
        n_early, n_late = most - j, skip + j + 1
        mean, square, between = late[2, skip + j], late[3, skip + j], 0.0
        weight = 0.0
        if n_early > 0:
            between = apart + (early[2, n_early - 1] - mean)
            weight = between * (n_early * n_late * inverse[n])
            square += early[3, n_early - 1] + between * weight
            mean += between * (n_early * inverse[n])
        out[0, j] = math.nan if _is_constant(base + mean, square, n) else 1.0 / math.sqrt(square)
        out[1, j] = between
        out[2, j] = weight


@kernel
def _whole_pair(
    early_a: Floats,
    early_b: Floats,
    late_a: Floats,
    late_b: Floats,
    side_a: Floats,
    side_b: Floats,
    most: int,
    skip: int,
    product: Floats,
    out: Floats,
    codes: Codes,
) -> None:
    """Coefficients of a pair without holes, whose first window has ``most`` early rows.

    ``skip`` late rows lie before the first window's last one; ``product`` is room for two windows.
    """
    count = out.size
    both = min(most, count)  # windows that reach before the border
    before, after, before_late, after_late = early_a[0], early_b[1], late_a[0], late_b[1]
    earlier, later = product[0], product[1]
    for i in range(most):
        earlier[i] = before[i] * after[i]
    for i in range(skip + count):
        later[i] = before_late[i] * after_late[i]
    total, total_late = 0.0, 0.0
    for i in range(most - both):
        total += earlier[i]
    for i in range(skip):
        total_late += later[i]
    earlier, later = earlier[most - both : most], later[skip : skip + count]
    for i in range(both):
        total += earlier[i]
        out[both - 1 - i] = total
        total_late += later[i]
        later[i] = total_late
    for i in range(both, count):
        out[i] = 0.0
        total_late += later[i]
        later[i] = total_late
    root_a, root_b, weight, between = side_a[0], side_b[0], side_a[2], side_b[1]
    for j in range(count):
        r = ((out[j] + later[j]) + weight[j] * between[j]) * (root_a[j] * root_b[j])
        # a root that is NaN (constant) compares false and stays
        r = 1.0 if r > 1.0 else r
        out[j] = -1.0 if r < -1.0 else r
    for j in range(count):
        codes[j] = 2 if math.isnan(out[j]) else 0


@kernel
def _holed_pair(
    early: Floats,
    late: Floats,
    early_from: tuple[float, float],
    late_from: tuple[float, float],
    min_obs: int,
    inverse: Floats,
    out: Floats,
    codes: Codes,
) -> None:
    """Coefficients of a pair some of whose rows are missing, with the arithmetic of whole ones."""
    count, most = out.size, early.shape[1]
    skip = late.shape[1] - count
    for j in range(count):
        n_late = late[0, skip + j]
        n_early = early[0, most - 1 - j] if j < most else 0.0
        n = n_early + n_late
        if n < min_obs or n < 2.0:
            continue
        base_a, base_b = late_from
        mean_a, mean_b = late[1, skip + j], late[2, skip + j]
        square_a, square_b, cross = late[3, skip + j], late[4, skip + j], late[5, skip + j]
        if n_early > 0.0:
            i = most - 1 - j
            if n_late == 0.0:
                base_a, base_b = early_from
            between_a = (early_from[0] - base_a) + (early[1, i] - mean_a)
            between_b = (early_from[1] - base_b) + (early[2, i] - mean_b)
            weight_a = between_a * (n_early * n_late * inverse[int(n)])
            weight_b = between_b * (n_early * n_late * inverse[int(n)])
            square_a += early[3, i] + between_a * weight_a
            square_b += early[4, i] + between_b * weight_b
            mean_a += between_a * (n_early * inverse[int(n)])
            mean_b += between_b * (n_early * inverse[int(n)])
            cross = (early[5, i] + cross) + weight_a * between_b
        if _is_constant(base_a + mean_a, square_a, n) or _is_constant(base_b + mean_b, square_b, n):
            codes[j] = 2
            continue
        codes[j] = 0
        r = cross * ((1.0 / math.sqrt(square_a)) * (1.0 / math.sqrt(square_b)))
        out[j] = min(1.0, max(-1.0, r))


def pearson_rows(
    x: Floats, window: int, min_obs: int, anchor: int, first: int, pairs: Ints
) -> tuple[Floats, Codes]:
    """Pearson correlation of the given pairs over rows t-window+1 .. t, pairwise complete.

    Time is cut into blocks of the window's length; each window is the end of one and the beginning of
    the next, and its moments are merged from those two parts (Chan, Golub & LeVeque 1983), running
    from the border outwards. A value therefore depends on its window alone, to the byte, and costs
    the same whatever the window. Symbols without holes around the border share their moments among
    all their pairs; the general way does the same arithmetic, so both agree to the bit.

    Args:
        x: (S, T), NaN null.
        window: rows of the window, holes included.
        min_obs: fewer common rows give null.
        anchor: whole hours since 1970 of row 0, which places the blocks in absolute time.
        first: first row that is put out; rows before ``window - 1`` are null.
        pairs: (P, 2) the two symbols of each pair.

    Returns:
        Coefficients (P, T-first) and codes: 0 ok, 1 too few rows, 2 one side is constant.
    """
    # numpy's large arrays come in huge pages, which cost less than the coefficients themselves
    out = np.full((len(pairs), x.shape[1] - first), np.nan)
    codes = np.ones(out.shape, np.int8)
    x = np.ascontiguousarray(x)
    rows = out.shape[1]

    def some_rows(begin: int, stop: int) -> None:
        within = first + begin, first + stop
        _pearson_rows(x, window, min_obs, anchor, first, *within, pairs, out, codes)

    def some_pairs(begin: int, stop: int) -> None:
        of = pairs[begin:stop], out[begin:stop], codes[begin:stop]
        _pearson_rows(x, window, min_obs, anchor, first, first, first + rows, *of)

    if rows >= FEW_BLOCKS * window:
        in_stretches(some_rows, rows, len(pairs), unit=window, origin=-(anchor + first))
    else:
        in_stretches(some_pairs, len(pairs), rows)
    return out, codes


@kernel
def _pearson_rows(
    x: Floats,
    window: int,
    min_obs: int,
    anchor: int,
    first: int,
    begin: int,
    stop: int,
    pairs: Ints,
    out: Floats,
    codes: Codes,
) -> None:
    """Rows ``begin .. stop - 1`` of the pairs; ``out`` begins with row ``first``."""
    symbols = x.shape[0]
    inverse = _reciprocals(window)
    used = np.zeros(symbols, np.bool_)
    for p in range(pairs.shape[0]):
        used[pairs[p, 0]] = True
        used[pairs[p, 1]] = True
    whole = np.zeros(symbols, np.bool_)
    early = np.empty((symbols, 4, window))
    late = np.empty((symbols, 4, window))
    side = np.empty((symbols, 3, window))
    early_pair = np.empty((6, window))
    late_pair = np.empty((6, window))
    product = np.empty((2, window))
    low = max(begin, window - 1)
    while low < stop:
        border = low - (low + anchor) % window
        high = min(border + window, stop)
        begin = low - window + 1
        n_early, n_late, count = border - begin, high - border, high - low
        for s in range(symbols):
            if not used[s]:
                continue
            whole[s] = _nulls(x[s, begin:high]) == 0
            if whole[s]:
                backwards = x[s, begin:border][::-1].copy()
                _part(backwards, inverse, early[s, :, :n_early])
                _part(x[s, border:high], inverse, late[s, :, :n_late])
                apart = x[s, border - 1] - x[s, border] if n_early > 0 else 0.0
                _whole_side(
                    early[s, :, :n_early],
                    late[s, :, :n_late],
                    apart,
                    x[s, border],
                    low - border,
                    inverse,
                    side[s, :, :count],
                )
        at = low - first
        for p in range(pairs.shape[0]):
            a, b = pairs[p, 0], pairs[p, 1]
            found, code = out[p, at : at + count], codes[p, at : at + count]
            if whole[a] and whole[b]:
                if window >= max(min_obs, 2):
                    _whole_pair(
                        early[a],
                        early[b],
                        late[a],
                        late[b],
                        side[a],
                        side[b],
                        n_early,
                        low - border,
                        product,
                        found,
                        code,
                    )
                continue
            early_from = _part_of_pair(
                x[a, begin:border][::-1], x[b, begin:border][::-1], inverse, early_pair[:, :n_early]
            )
            late_from = _part_of_pair(
                x[a, border:high], x[b, border:high], inverse, late_pair[:, :n_late]
            )
            _holed_pair(
                early_pair[:, :n_early],
                late_pair[:, :n_late],
                early_from,
                late_from,
                min_obs,
                inverse,
                found,
                code,
            )
        low = high


@kernel
def _decayed(
    x: Floats, window: int, anchor: int, decay: Floats, backward: Floats, out: Floats
) -> None:
    """Exponentially weighted sums of the windows that end at the last ``out.size`` rows.

    Put together, like the Pearson moments, from a part before a border of absolute time and one from
    it on. ``x`` holds 0 for null.
    """
    length = x.size
    first = length - out.size
    border = -(anchor % window)
    while border < length:
        low, high = max(0, border), min(border + window, length)
        total = 0.0
        start = max(low, first)
        for t in range(low, start):
            total = decay[1] * total + x[t]
        skip, lag = start - border + 1, start - window + 1
        for i in range(high - start):
            total = decay[1] * total + x[start + i]
            out[start - first + i] = total
        if border > 0:
            for i in range(min(high - start, border - lag)):
                out[start - first + i] += decay[skip + i] * backward[lag + i]
        total = 0.0
        left = border + window - high
        for i in range(high - low):
            total += decay[left + i] * x[high - 1 - i]
            backward[high - 1 - i] = total
        border += window


@kernel
def _decayed_squares(
    x: Floats,
    counts: npt.NDArray[np.bool_],
    window: int,
    anchor: int,
    decay: Floats,
    min_obs: int,
    work: Floats,
    out: Floats,
) -> None:
    """Reciprocal roots of the decayed sums of squares; NaN under ``min_obs`` or without any."""
    product, backward = work[0], work[1]
    seen = np.zeros(x.size + 1, np.int64)
    for t in range(x.size):
        product[t] = x[t] * x[t] if counts[t] else 0.0
        seen[t + 1] = seen[t] + int(counts[t])
    _decayed(product, window, anchor, decay, backward, out)
    first = x.size - out.size
    for i in range(out.size):
        enough = seen[first + i + 1] - seen[first + i - window + 1] >= min_obs
        out[i] = 1.0 / math.sqrt(out[i]) if enough and out[i] > 0.0 else math.nan


def ewma_correlation(
    x: Floats,
    usable: npt.NDArray[np.bool_],
    window: int,
    min_obs: int,
    anchor: int,
    first: int,
    decay: Floats,
) -> Floats:
    """Zero-mean exponentially weighted correlation over rows t-window+1 .. t, pairwise complete.

    Args:
        x: (S, T) returns; null ones leave numerator and denominator.
        usable: (S, T) whether a symbol's closes in the window allow a value at the row.
        window: rows of the fixed lookback, and of the blocks that the sums are put together from.
        min_obs: fewer common rows give null.
        anchor: whole hours since 1970 of row 0, which places the blocks in absolute time.
        first: first row that is put out, at least window - 1.
        decay: decay ** k for k = 0 .. window.
    """
    symbols, length = x.shape
    out = np.empty((symbols * (symbols - 1) // 2, length - first))
    x, usable = np.ascontiguousarray(x), np.ascontiguousarray(usable)

    def part(begin: int, stop: int) -> None:
        within = first + begin, first + stop
        _ewma_correlation(x, usable, window, min_obs, anchor, first, *within, decay, out)

    in_stretches(part, length - first, len(out))
    return out


@kernel
def _ewma_correlation(
    x: Floats,
    usable: npt.NDArray[np.bool_],
    window: int,
    min_obs: int,
    anchor: int,
    first: int,
    low: int,
    high: int,
    decay: Floats,
    out: Floats,
) -> None:
    """Rows ``low .. high - 1``; ``out`` begins with row ``first``."""
    symbols = x.shape[0]
    begin = low - window + 1
    length = high - begin
    anchor += begin
    there = ~np.isnan(x[:, begin:high])
    filled = np.where(there, x[:, begin:high], 0.0)
    product = np.empty(length)
    work = np.empty((2, length))
    own = np.empty((symbols, high - low))
    roots = np.empty((2, high - low))
    for s in range(symbols):
        _decayed_squares(filled[s], there[s], window, anchor, decay, min_obs, work, own[s])
    p = -1
    for a in range(symbols):
        for b in range(a + 1, symbols):
            p += 1
            one, other, found = filled[a], filled[b], out[p, low - first : high - first]
            for t in range(length):
                product[t] = one[t] * other[t]
            _decayed(product, window, anchor, decay, work[0], found)
            # where the two lack the same rows, each side's own squares serve; the zeros are the same
            root_a, root_b = own[a], own[b]
            if not np.array_equal(there[a], there[b]):
                both = there[a] & there[b]
                _decayed_squares(one, both, window, anchor, decay, min_obs, work, roots[0])
                _decayed_squares(other, both, window, anchor, decay, min_obs, work, roots[1])
                root_a, root_b = roots[0], roots[1]
            usable_a, usable_b = usable[a, low:high], usable[b, low:high]
            for i in range(high - low):
                r = found[i] * (root_a[i] * root_b[i])
                r = 1.0 if r > 1.0 else r
                r = -1.0 if r < -1.0 else r
                found[i] = r if usable_a[i] and usable_b[i] else math.nan
