"""Steps that take every cell of a panel by itself, in slabs that stay in the cache, on several threads.

Belongs here: running such steps, and those that several features share. Does not belong here: windows
(``rolling``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from regime_pipeline.numerics.panel import FloatPanel
from regime_pipeline.numerics.stretches import in_stretches

SLAB_CELLS = 65_536
"""Cells of a slab: smaller ones would hand the interpreter to and fro between the threads."""


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
