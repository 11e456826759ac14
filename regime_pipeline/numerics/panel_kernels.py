"""Loops over the rows of a long frame and the cells of a panel.

Belongs here: what ``panel`` runs once per row. Does not belong here: frames, errors.
"""

from __future__ import annotations

import numpy as np

from regime_pipeline.numerics.compiled import kernel

_HOUR_US = np.uint64(3_600_000_000)
_NULL = np.iinfo(np.int64).min
_MIX = np.uint64(0x9E3779B97F4A7C15)
_TILE = 32

MOST = 256
"""Different texts of a panel that are told apart by where they lie."""
_LAST = np.uint64(4 * MOST - 1)

NULL_STAMP, OFF_HOUR, TWICE = 1, 2, 4


@kernel
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


@kernel
def gather(source, values, out):  # type: ignore[no-untyped-def]
    """Value of the row of each cell, NaN where there is none."""
    for k in range(len(source)):
        row = source[k]
        out[k] = values[row - 1] if row > 0 else np.nan


@kernel
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
