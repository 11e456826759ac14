"""Tiles: some columns of a panel side by side in a flat array, and the way there and back.

Belongs here: how cells are moved. Does not belong here: what is computed of them (``rolling``).

Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel

LANES = 8
"""Columns that a tile holds side by side: the block loops run over flat tiles, in which the row before
lies a fixed distance back, so the compiler turns eight recurrences into one of vectors."""
# unsigned indices can't be negative, so nothing wraps around and distances are known to the compiler
U_LANES = np.uint64(LANES)


@ieee_kernel
def copy(source, at, apart, target, to, step, rows, lanes):  # type: ignore[no-untyped-def]
    """Rows of lanes between flat arrays in which they lie so many cells ``apart``, or a ``step``."""
    for h in range(rows):
        begin, end = at + h * apart, to + h * step
        if lanes == U_LANES:  # a loop of known length is one of vectors
            for k in range(U_LANES):
                target[end + k] = source[begin + k]
        else:
            for k in range(lanes):
                target[end + k] = source[begin + k]


@ieee_kernel
def pack(x, first, stop, left, spare):  # type: ignore[no-untyped-def]
    """Rows ``first .. stop - 1`` of the columns from ``left`` on as flat rows of lanes.

    A panel as wide as a tile is that already. Otherwise the rows are copied to ``spare``, whose lanes
    without a column stay as they are.
    """
    flat, width, rows = x.reshape(-1), np.uint64(x.shape[1]), np.uint64(stop - first)
    if width == U_LANES:
        return flat[first * LANES : stop * LANES]
    at = np.uint64(first) * width + np.uint64(left)
    copy(flat, at, width, spare, np.uint64(0), U_LANES, rows, min(U_LANES, width - np.uint64(left)))
    return spare[: (stop - first) * LANES]


@ieee_kernel
def place(out, first, stop, owed, spare):  # type: ignore[no-untyped-def]
    """Where the rows of a tile are to be made: at once in ``out``, or in ``spare`` for ``unpack``."""
    if owed and out.shape[1] == LANES:
        return out.reshape(-1)[first * LANES : stop * LANES]
    return spare[: (stop - first) * LANES]


@ieee_kernel
def unpack(part, first, stop, left, out):  # type: ignore[no-untyped-def]
    """The way back of ``pack``, for rows made where ``place`` told."""
    flat, width, rows = out.reshape(-1), np.uint64(out.shape[1]), np.uint64(stop - first)
    if width != U_LANES:
        to = np.uint64(first) * width + np.uint64(left)
        copy(
            part,
            np.uint64(0),
            U_LANES,
            flat,
            to,
            width,
            rows,
            min(U_LANES, width - np.uint64(left)),
        )


@ieee_kernel
def put(part, first, stop, left, out):  # type: ignore[no-untyped-def]
    """Rows of a tile as whole numbers in their panel."""
    flat, width, column = out.reshape(-1), np.uint64(out.shape[1]), np.uint64(left)
    for h in range(np.uint64(first), np.uint64(stop)):
        target, source = h * width + column, (h - np.uint64(first)) * U_LANES
        for k in range(min(U_LANES, width - column)):
            flat[target + k] = np.int32(part[source + k])
