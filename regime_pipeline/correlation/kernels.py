"""Compiled kernels of the correlation engine: ranks, pairwise sums, false-discovery, episodes.

Belongs here: loops over arrays that only correlations need. Does not belong here: frames, settings,
names of columns.

Every kernel is exact about *where a computation began*: a value depends only on the rows of its own
window. Ranks slide by whole-number updates, so the sums behind a Spearman coefficient are integers
without rounding; Pearson moments and exponential sums are put together from two parts, one up to a
border of absolute time and one from it on (``numerics.rolling``), in constant time a row. No fast-math
anywhere.

Layout: inputs are symbol-major (S, T), outputs pair-major (P, N), pairs in the order (0,1), (0,2),
.. (1,2) ... which is the alphabetical order of the pairs. NaN is null.
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
Shorts = npt.NDArray[np.int16]

CONSTANT_RTOL = 1e-12
FEW_BLOCKS = 4
"""Fewer blocks of time than this are shared out by pairs, whose parts each thread then makes anew."""
RANK_GAP = 8
"""Ranks slide over at most a RANK_GAP-th of a window; only speed depends on it."""


@kernel
def _reciprocals(count: int) -> Floats:
    """1 / n for n = 1 .. count, and 0 for none."""
    out = np.zeros(count + 1)
    for n in range(1, count + 1):
        out[n] = 1.0 / n
    return out


@kernel
def log_returns(close: Floats) -> Floats:
    """ln(c[t] / c[t-1]) along the last axis of (S, T); null unless both closes are there."""
    symbols, length = close.shape
    out = np.full((symbols, length), np.nan)
    for s in range(symbols):
        for t in range(1, length):
            if close[s, t] > 0.0 and close[s, t - 1] > 0.0:
                out[s, t] = math.log(close[s, t] / close[s, t - 1])
    return out


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


@kernel
def ewma_usable(
    close: Floats, window: int, max_missing: int, last: int, first: int
) -> npt.NDArray[np.bool_]:
    """Whether the closes in the last ``window`` slots allow a recursive filter, per (S, T).

    Slots before the first close in the window aren't missing; more than ``max_missing`` missing
    ones, or a missing one among the ``last`` newest, forbid it.
    """
    symbols, length = close.shape
    out = np.zeros((symbols, length), np.bool_)
    ahead = np.empty(length + 1, np.int64)
    seen = np.zeros(length + 1, np.int64)
    for s in range(symbols):
        ahead[length] = length
        for t in range(length - 1, -1, -1):
            ahead[t] = ahead[t + 1] if math.isnan(close[s, t]) else t
        for t in range(length):
            seen[t + 1] = seen[t] + int(not math.isnan(close[s, t]))
        for t in range(first, length):
            start = ahead[t - window + 1]
            recent = seen[t + 1] - seen[t - last + 1]
            if start <= t and recent == last:
                missing = (t - start + 1) - (seen[t + 1] - seen[start])
                out[s, t] = missing <= max_missing
    return out


@kernel
def fisher_z(
    rho_now: Floats, n_now: Shorts, rho_base: Floats, n_base: Shorts, limit: float
) -> Floats:
    """Difference of two Spearman coefficients in units of its sd, Bonett-Wright variances.

    Coefficients of +-1 are drawn in to ``limit`` so that the value stays finite.
    """
    pairs, length = rho_now.shape
    out = np.full((pairs, length), np.nan)
    for p in range(pairs):
        for t in range(length):
            now, base = rho_now[p, t], rho_base[p, t]
            if math.isnan(now) or math.isnan(base):
                continue
            now = min(limit, max(-limit, now))
            base = min(limit, max(-limit, base))
            variance = (1.0 + now * now / 2.0) / (n_now[p, t] - 3) + (1.0 + base * base / 2.0) / (
                n_base[p, t] - 3
            )
            out[p, t] = (math.atanh(now) - math.atanh(base)) / math.sqrt(variance)
    return out


@kernel
def lagged_sd(z: Floats, lagged: Ints, min_obs: int) -> Floats:
    """Two-pass sd (ddof 1) of z over lagged rows.

    Args:
        z: (P, R).
        lagged: (lags, N) the columns of z that belong to each row put out, nearest lag first.
        min_obs: fewer non-null ones give null.
    """
    pairs = z.shape[0]
    lags, size = lagged.shape
    out = np.full((pairs, size), np.nan)
    n = np.empty(size)
    mean = np.empty(size)
    square = np.empty(size)
    for p in range(pairs):
        n[:] = 0.0
        mean[:] = 0.0
        square[:] = 0.0
        for j in range(lags):
            for i in range(size):
                value = z[p, lagged[j, i]]
                there = not math.isnan(value)
                n[i] += 1.0 if there else 0.0
                mean[i] += value if there else 0.0
        for i in range(size):
            mean[i] /= max(n[i], 1.0)
        for j in range(lags):
            for i in range(size):
                d = z[p, lagged[j, i]] - mean[i]
                square[i] += 0.0 if math.isnan(d) else d * d
        for i in range(size):
            if n[i] >= min_obs and n[i] >= 2.0:
                out[p, i] = math.sqrt(square[i] / (n[i] - 1.0))
    return out


@kernel
def benjamini_hochberg(p_values: Floats) -> Floats:
    """Adjusted p values over the pairs of every hour, (P, N); null ones don't count as tests."""
    pairs, length = p_values.shape
    out = np.full((pairs, length), np.nan)
    at = np.empty(pairs, np.int64)
    raw = np.empty(pairs)
    for t in range(length):
        m = 0
        for p in range(pairs):
            if not math.isnan(p_values[p, t]):
                at[m] = p
                raw[m] = p_values[p, t]
                m += 1
        order = np.argsort(raw[:m], kind="mergesort")
        best = 1.0
        for i in range(m - 1, -1, -1):
            best = min(best, raw[order[i]] * m / (i + 1))
            out[at[order[i]], t] = best
    return out


# -- break episodes -----------------------------------------------------------------------------

_OPEN, _START, _SENT, _LEVEL, _CALM, _NULLS, _WAIT = 0, 1, 2, 3, 4, 5, 6
_STATE = 7
OUT_OPEN, OUT_START, OUT_KIND, OUT_LEVEL, OUT_ORDINAL = 0, 1, 2, 3, 4
_OUT = 5
KIND_START, KIND_ESCALATION, KIND_END = 0, 1, 2
_CALM_HOURS = 3
_MAX_NULLS = 24


@kernel
def _step(
    state: Ints,
    t: int,
    drop: float,
    fires: bool,
    level: int,
    end_drop: float,
    cooldown: int,
    out: Ints,
) -> None:
    """One hour of a pair's machine; the initial state is all zeros.

    ``_WAIT`` counts the hours that the cooldown still holds; ``_START`` is kept as t + 1 so that
    zero means none.
    """
    out[OUT_OPEN] = 0
    out[OUT_START] = -1
    out[OUT_KIND] = -1
    out[OUT_LEVEL] = -1
    out[OUT_ORDINAL] = -1
    if state[_WAIT] > 0:
        state[_WAIT] -= 1
    if math.isnan(drop):
        out[OUT_OPEN] = state[_OPEN]
        if state[_OPEN] == 1:
            state[_CALM] = 0
            state[_NULLS] += 1
            if state[_NULLS] > _MAX_NULLS:
                state[:] = 0
                out[OUT_OPEN] = 0
        return
    state[_NULLS] = 0
    if state[_OPEN] == 0:
        if not fires:
            return
        state[_OPEN] = 1
        state[_START] = t + 1
    state[_CALM] = state[_CALM] + 1 if drop < end_drop else 0
    out[OUT_OPEN] = 1
    out[OUT_START] = state[_START] - 1
    if state[_CALM] >= _CALM_HOURS:
        # the newest announcement lies at least this long back, so an end never waits
        if state[_SENT] > 0:
            out[OUT_KIND] = KIND_END
            out[OUT_ORDINAL] = state[_SENT]
            state[_WAIT] = cooldown
        wait = state[_WAIT]
        state[:] = 0
        state[_WAIT] = wait
        return
    if fires and state[_WAIT] == 0 and (state[_SENT] == 0 or level > state[_LEVEL]):
        out[OUT_KIND] = KIND_START if state[_SENT] == 0 else KIND_ESCALATION
        out[OUT_ORDINAL] = state[_SENT]
        out[OUT_LEVEL] = level
        state[_SENT] += 1
        state[_LEVEL] = level
        state[_WAIT] = cooldown


@kernel
def last_quiet(drop: Floats, end_drop: float, cooldown: int) -> Ints:
    """Newest row of each pair at which any machine is in its initial state, -1 for none.

    Calm hours without a hole close whatever is open (3) and let every cooldown run out after that;
    more null hours than a machine bears restart an open one, and a closed one's cooldown is shorter.
    Holds where a calm hour can't fire, that is for end_drop <= the drop at which a break fires.

    Args:
        drop: (P, M) relative drops; null is a null row.
        end_drop: below it an hour is calm.
        cooldown: hours after an announcement in which nothing is announced.
    """
    pairs, length = drop.shape
    out = np.full(pairs, -1, np.int64)
    for p in range(pairs):
        calm = 0
        nulls = 0
        for t in range(length - 1, -1, -1):
            nulls = nulls + 1 if math.isnan(drop[p, t]) else 0
            calm = calm + 1 if drop[p, t] < end_drop else 0
            if calm == _CALM_HOURS + cooldown:
                out[p] = t + calm - 1
                break
            if nulls == max(_MAX_NULLS + 1, cooldown):
                out[p] = t + nulls - 1
                break
    return out


@kernel
def break_episodes(
    drop: Floats,
    fires: npt.NDArray[np.bool_],
    level: Codes,
    lookback: int,
    end_drop: float,
    cooldown: int,
) -> Ints:
    """Break episodes of every pair, each row as if its machine began ``lookback`` rows before.

    One machine runs through all rows. Row t keeps its answer when that machine was in its initial
    state just before row t-lookback+1; otherwise a fresh machine runs from there until the two
    agree, which they do at the next quiet spell.

    Args:
        drop: (P, M) relative drops; null is a null row.
        fires: (P, M) is_break.
        level: (P, M) severity, 0 LOW .. 3 CRITICAL.
        lookback: rows of the fixed trailing run, at most M.
        end_drop: below it an hour is calm.
        cooldown: hours after an announcement in which nothing is announced.

    Returns:
        (P, M-lookback+1, 5): open, first row of the episode, kind, level, ordinal; -1 is null.
    """
    pairs, length = drop.shape
    owed = length - lookback + 1
    out = np.full((pairs, owed, _OUT), -1, np.int64)
    states = np.zeros((length, _STATE), np.int64)
    answers = np.zeros((length, _OUT), np.int64)
    state = np.zeros(_STATE, np.int64)
    answer = np.zeros(_OUT, np.int64)
    for p in range(pairs):
        state[:] = 0
        for t in range(length):
            _step(state, t, drop[p, t], fires[p, t], level[p, t], end_drop, cooldown, answers[t])
            states[t] = state
        for i in range(owed):
            t = i + lookback - 1
            agreed = i == 0 or not states[i - 1].any()
            state[:] = 0
            u = i
            while not agreed and u <= t:
                _step(state, u, drop[p, u], fires[p, u], level[p, u], end_drop, cooldown, answer)
                if u < t:
                    agreed = np.array_equal(state, states[u])
                u += 1
            out[p, i] = answers[t] if agreed else answer
    return out
