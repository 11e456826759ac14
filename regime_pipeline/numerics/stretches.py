"""A long computation in stretches of time, on several threads.

Belongs here: how many threads there are, where time is cut, and steps that take every cell by itself.
Does not belong here: windows (``rolling``). A
value depends on its own window alone, to the byte, so where the cuts lie can't be seen in it; the
work itself has to leave Python (kernels without the interpreter's lock, numpy's loops).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

import numpy as np

from regime_pipeline.numerics.conventions import FloatPanel

LEAST_CELLS = 60_000
"""Cells of a stretch: fewer take less time than to start a thread for them."""
SLAB_CELLS = 65_536
"""Cells of a slab: smaller ones would hand the interpreter to and fro between the threads."""


def threads() -> int:
    """``NUMBA_NUM_THREADS`` where it is set, else the processors that this process may use."""
    import numba  # takes half a second

    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


@functools.cache
def _pool(size: int) -> ThreadPoolExecutor:
    """Threads that stay: to start one takes as long as a stretch of a small panel."""
    return ThreadPoolExecutor(size, thread_name_prefix="stretch")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads


def cuts(
    length: int, pieces: int, *, unit: int = 1, origin: int = 0, least: int = 1
) -> list[tuple[int, int]]:
    """At most ``pieces`` stretches (first row, row after the last) that make up ``length`` rows.

    Every stretch but the first begins at ``origin`` plus a multiple of ``unit``, at row ``least`` or
    later.
    """
    inner: list[int] = []
    for k in range(1, pieces):
        row = length * k // pieces
        row -= (row - origin) % unit
        if row >= max(least, inner[-1] + 1 if inner else 1):
            inner.append(row)
    return list(pairwise([0, *inner, length]))


def in_stretches(
    work: Callable[[int, int], None],
    length: int,
    width: int,
    *,
    unit: int = 1,
    origin: int = 0,
    least: int = 1,
) -> None:
    """Call ``work(first, stop)`` for stretches of the rows of a panel of ``length`` x ``width``.

    A small panel is one stretch, on the calling thread. Where the cuts may lie: see :func:`cuts`. An
    error of any stretch is raised.
    """
    pieces = min(threads(), length * width // LEAST_CELLS)
    where = cuts(length, max(1, pieces), unit=unit, origin=origin, least=least)
    first, *others = where
    if not others:
        work(*first)
        return
    waiting = [_pool(threads() - 1).submit(work, *stretch) for stretch in others]
    try:
        work(*first)
    finally:
        wait(waiting)
    for done in waiting:
        done.result()


def each_cell(
    function: Callable[..., object],
    *panels: FloatPanel,
    out: FloatPanel | None = None,
) -> FloatPanel:
    """``function(*slabs, out=slab)`` over slabs of rows of panels of one shape.

    For steps that take every cell by itself: numpy's functions, or several of them in place. The
    panel ``out``, by default a new one, is returned.
    """
    found = np.empty_like(panels[0]) if out is None else out
    length = len(found)
    width = found.size // max(length, 1)
    rows = max(1, SLAB_CELLS // max(width, 1))

    def stretch(first: int, stop: int) -> None:
        for row in range(first, stop, rows):
            slab = slice(row, min(stop, row + rows))
            function(*(panel[slab] for panel in panels), out=found[slab])

    in_stretches(stretch, length, width)
    return found


def log_ratio(numerator: FloatPanel, denominator: FloatPanel, *, out: FloatPanel) -> FloatPanel:
    """Natural log of a quotient, for :func:`each_cell`."""
    return np.log(np.divide(numerator, denominator, out=out), out=out)
