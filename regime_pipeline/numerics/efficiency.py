"""Kaufman's efficiency ratio: the net move of a path over the way it went.

Does not belong here: other statistics of windows (``rolling``), whose conventions hold here too.

Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import ieee_kernel
from regime_pipeline.numerics.conventions import FloatPanel, as_panel, check_window

_CELLS = 1_024
"""Paths that are summed side by side: few enough to stay in the innermost cache."""


@ieee_kernel
def _step(x, h, k, least, last, present, steps, net):  # type: ignore[no-untyped-def]
    """Steps of row ``h`` from the last value there was, and its net move; NaN where it has no ratio.

    A window that begins with a value has all its steps within itself, and one that is missing adds 0.
    """
    for c in range(x.shape[1]):
        v = x[h, c]
        start = x[h - k, c] if h >= k else np.nan
        there, began = abs(v) < np.inf, abs(start) < np.inf
        steps[c] = abs(v - last[c]) if there else 0.0
        last[c] = v if there else last[c]
        present[c] += (1.0 if there else 0.0) - (1.0 if began else 0.0)
        net[c] = abs(v - start) if there and began and present[c] >= least else np.nan


@ieee_kernel
def _efficiency(x, k, least, out):  # type: ignore[no-untyped-def]
    """Paths are summed in time order, for all windows of some rows at once."""
    length, columns = x.shape
    rows = max(1, _CELLS // max(columns, 1))
    before = (k - 1) * columns  # cells of the rows before these
    steps, path = np.zeros(before + rows * columns), np.empty(rows * columns)
    last, present = np.zeros(columns), np.zeros(columns)
    for first in range(0, length, rows):
        end = min(first + rows, length)
        size = (end - first) * columns
        for h in range(first, end):
            at = before + (h - first) * columns
            _step(x, h, k, least, last, present, steps[at : at + columns], out[h])
        path[:] = 0.0
        for j in range(k):
            part = steps[j * columns : j * columns + size]
            for i in range(size):
                path[i] += part[i]
        found = out[first:end].reshape(size)
        for i in range(size):
            ratio = found[i] / path[i]
            ratio = 1.0 if ratio > 1.0 else ratio
            found[i] = ratio if path[i] > 0.0 else np.nan
        for i in range(before):
            steps[i] = steps[i + size]


def efficiency_ratio(x: npt.ArrayLike, k: int, min_obs: int) -> FloatPanel:
    """Net move over the path of ``k`` steps (Kaufman 1995), over the slots that count.

    NaN without both ends, with fewer than ``min_obs`` of the k slots after the first, or on a path of
    0.
    """
    check_window(k, min_obs, 0)
    panel, shape = as_panel(x)
    out = np.empty_like(panel)
    _efficiency(panel, k, min_obs, out)
    return out.reshape(shape)
