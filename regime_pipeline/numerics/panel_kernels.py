"""Loops over the rows of a long frame and the cells of a panel.

Belongs here: what ``panel`` runs once per row. Does not belong here: frames, errors.
"""

from __future__ import annotations

import numba
import numpy as np

_kernel = numba.njit(cache=True, nogil=True)

_HOUR_US = np.uint64(3_600_000_000)
_NULL = np.iinfo(np.int64).min
_WORD = np.uint64(8)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_SLOT_BITS = 12
_BLOCK = 64
_TILE = 32

MOST = 256
"""Different texts of a panel that are told apart by where they lie."""
_LAST = np.uint64(4 * MOST - 1)

PADDING = np.zeros(8, np.uint8)
"""After the last name, so that its bytes can be read as a word."""

NULL_STAMP, OFF_HOUR, TWICE = 1, 2, 4


@_kernel
def _word(text, at):  # type: ignore[no-untyped-def]
    """Eight bytes as one number; a single load, once compiled."""
    word = np.uint64(0)
    for k in range(8):
        word |= np.uint64(text[at + np.uint64(k)]) << np.uint64(8 * k)
    return word


@_kernel
def _search(text, begin, stop, starts, names):  # type: ignore[no-untyped-def]
    """Which of the sorted names ``text[begin:stop]`` is, or -1."""
    low, high = 0, len(starts) - 1
    size = np.int64(stop - begin)
    while low < high:
        middle = (low + high) // 2
        first, length = starts[middle], starts[middle + 1] - starts[middle]
        k = 0
        while k < min(size, length) and text[begin + np.uint64(k)] == names[first + k]:
            k += 1
        if k == size and k == length:
            return middle
        if k == length or (k < size and text[begin + np.uint64(k)] > names[first + k]):
            low = middle + 1
        else:
            high = middle
    return -1


@_kernel
def _repeats(offsets, text, i):  # type: ignore[no-untyped-def]
    """How many rows after row ``i`` hold its text, counted in whole blocks."""
    size = np.uint64(offsets[i + 1] - offsets[i])
    j = i + 1
    while j + _BLOCK < len(offsets):
        other = np.uint64(0)
        for k in range(np.uint64(j), np.uint64(j + _BLOCK)):
            other |= np.uint64(offsets[k + np.uint64(1)] - offsets[k]) ^ size
        if other != 0:
            break
        differs = np.uint8(0)
        for b in range(np.uint64(offsets[j]), np.uint64(offsets[j + _BLOCK])):
            differs |= text[b] ^ text[b - size]
        if differs != 0:
            break
        j += _BLOCK
    return j - i - 1


@_kernel
def columns_of(offsets, text, starts, names, out):  # type: ignore[no-untyped-def]
    """Which of the sorted names each text is, or -1.

    Text ``i`` is ``text[offsets[i]:offsets[i + 1]]`` and name ``k`` is ``names[starts[k]:starts[k + 1]]``.
    A text is looked for once and known again by an earlier row that holds the same bytes.
    """
    seen = np.full(1 << _SLOT_BITS, -1, np.int64)
    known, tried, i = -1, 0, np.int64(0)
    while i < len(out):
        begin, stop = np.uint64(offsets[i]), np.uint64(offsets[i + 1])
        size = stop - begin
        if size == 0 or begin + _WORD > np.uint64(len(text)):  # no whole word can be read
            out[i] = _search(text, begin, stop, starts, names)
            i += 1
            continue
        short = _ALL >> (_WORD * (_WORD - min(size, _WORD)))
        tail = stop - min(size, _WORD)
        mixed = size
        at = begin
        while at < tail:
            mixed = (mixed ^ _word(text, at)) * _MIX
            at += _WORD
        mixed = (mixed ^ _word(text, tail) & short) * _MIX
        slot = mixed >> np.uint64(64 - _SLOT_BITS)
        j = seen[slot]
        same = False
        if j >= 0:
            shift = np.uint64(offsets[j]) - begin
            same = np.uint64(offsets[j + 1]) - stop == shift
            at = begin
            while same and at < tail:
                same = _word(text, at) == _word(text, at + shift)
                at += _WORD
            same = same and (_word(text, tail) ^ _word(text, tail + shift)) & short == 0
        if not same:
            j = seen[slot] = i
            out[i] = _search(text, begin, stop, starts, names)
        elif j == known and i >= tried:
            last = i + _repeats(offsets, text, i)
            out[i : last + 1] = out[j]
            i, tried = last, last + _BLOCK
        else:
            out[i] = out[j]
        known = j
        i += 1


@_kernel
def rows_of_cells(columns, stamps, start, source):  # type: ignore[no-untyped-def]
    """Writes 1 + row to the cell (hour x column) of each row; returns what is wrong with the rows."""
    length = len(source)
    reach = np.uint64(length) * _HOUR_US
    wrong = 0
    for i in range(len(columns)):
        if stamps[i] == _NULL:
            wrong |= NULL_STAMP
        after = np.uint64(stamps[i] - start)  # before the start is beyond any reach
        if columns[i] < 0 or after >= reach:
            continue
        hour = after // _HOUR_US
        if hour * _HOUR_US != after:
            wrong |= OFF_HOUR
        column = np.uint64(columns[i])
        if source[hour, column] != 0:
            wrong |= TWICE
        source[hour, column] = i + 1
    return wrong


@_kernel
def gather(source, values, out):  # type: ignore[no-untyped-def]
    """Value of the row of each cell, NaN where there is none."""
    for k in range(len(source)):
        row = source[k]
        out[k] = values[row - 1] if row > 0 else np.nan


@_kernel
def identities(objects, codes, first):  # type: ignore[no-untyped-def]
    """Numbers the different values of a panel, transposed; -1 if they are more than ``MOST``.

    ``first`` gets the flat position of one cell of each; the count is returned.
    """
    length, width = objects.shape
    slots = np.full(4 * MOST, -1, np.int64)
    flat = objects.reshape(-1)
    count, known, code = 0, np.int64(0), -1
    for begin in range(0, length, _TILE):
        for column in range(width):
            for hour in range(begin, min(begin + _TILE, length)):
                value = objects[hour, column]
                if value != known or code < 0:
                    at = (np.uint64(value) * _MIX) >> np.uint64(32) & _LAST
                    while slots[at] >= 0 and flat[first[slots[at]]] != value:
                        at = (at + np.uint64(1)) & _LAST
                    if slots[at] < 0:
                        if count == MOST:
                            return -1
                        slots[at] = count
                        first[count] = hour * width + column
                        count += 1
                    known, code = value, slots[at]
                codes[column, hour] = code
    return count


@_kernel
def spell(codes, starts, names, offsets):  # type: ignore[no-untyped-def]
    """The bytes of the name of each code; where each begins and ends goes to ``offsets``."""
    total = 0
    offsets[0] = 0
    for i in range(len(codes)):
        total += starts[codes[i] + 1] - starts[codes[i]]
        offsets[i + 1] = total
    out = np.empty(total + 8, np.uint8)
    for i in range(len(codes)):
        to = np.uint64(offsets[i])
        at, stop = np.uint64(starts[codes[i]]), np.uint64(starts[codes[i] + 1])
        while at < stop:  # whole words: what is too much is written over by the next name
            word = _word(names, at)
            for k in range(8):
                out[to + np.uint64(k)] = np.uint8(word >> np.uint64(8 * k))
            at += _WORD
            to += _WORD
    return out
