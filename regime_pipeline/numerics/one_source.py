"""Where a series stops being one: rows whose history was told by another source than they were.

Belongs here: finding them. Does not belong here: what a statistic does about them (it is null, reason
:data:`SOURCE_CHANGED`), choosing a source.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.panel import grid_length, to_panel
from regime_pipeline.windows import Grid

SOURCE_CHANGED = "source_changed"
"""Reason of a statistic whose history would come from two sources."""

_TOLD_BY = ("source", "venue")


def spans_change(frame: pd.DataFrame, grid: Grid, hours_before: int) -> npt.NDArray[np.bool_]:
    """Whether the series changes its source or venue within the hours before a cell, or at it.

    Args:
        frame: rows of an hourly table with ``symbol``, ``ts``, ``source`` and ``venue``; a row without
            a source tells nothing. One without those columns is one series.
        grid: the cells, with the history before those that are wanted.
        hours_before: how far back a statistic of a cell reads.

    Returns:
        hours x symbols of the grid.
    """
    shape = (grid_length(grid), len(grid.symbols))
    told_by = [pd.factorize(frame[name])[0] for name in _TOLD_BY if name in frame]
    if not len(frame) or not told_by or all(codes.min() == codes.max() for codes in told_by):
        return np.zeros(shape, dtype=bool)
    code, known = np.zeros(len(frame)), np.ones(len(frame), dtype=bool)
    for codes in told_by:
        code = code * (codes.max() + 1) + codes
        known &= codes >= 0
    series = frame[["symbol", "ts"]].assign(code=np.where(known, code, np.nan))
    panel = to_panel(series, grid, ["code"])["code"]
    hours = np.arange(shape[0])[:, None]
    newest = np.maximum.accumulate(np.where(np.isnan(panel), -1, hours), axis=0)
    before = np.vstack([np.full((1, shape[1]), -1), newest[:-1]])
    held = np.take_along_axis(panel, np.maximum(before, 0), axis=0)
    changes = (before >= 0) & ~np.isnan(panel) & (panel != held)
    # the row before a change belongs to the other source
    last_other = np.maximum.accumulate(np.where(changes, hours - 1, -1), axis=0)
    return (last_other >= 0) & (hours - last_other <= hours_before)
