"""Linear recursions over a window of fixed length, each row as if it began afresh, at constant cost.

Belongs here: recursions that forget (exponential averages and what is made of them) over the last
``window`` slots. Does not belong here: plain sums and moments (``rolling``), indicators (``signals``).
Importing this module imports numba.

A window is put together where two blocks of absolute time meet: what the earlier block leaves, decayed,
and the recursion from the later block's beginning on. So a row depends on the slots of its window and
on when they were, never on where a panel begins.
"""

from __future__ import annotations

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel
from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.numerics.stretches import in_stretches


def lagged_decayed_mean(x: FloatPanel, decay: float, window: int, *, anchor: int) -> FloatPanel:
    """Mean of the ``window`` slots before each row, weighted ``decay ** (lag - 1)``.

    Args:
        x: values, hours x columns; NaN is left out of the sum and of the weights.
        decay: weight of a slot over that of the one after it, between 0 and 1.
        window: slots, the row's own not among them.
        anchor: the hour since 1970 of the first row.

    Returns:
        Hours x columns; NaN where none of the slots has a value.
    """
    by_column = np.ascontiguousarray(x.T)
    out = np.full(by_column.shape, np.nan)
    weights = decay ** np.arange(window + 1.0)

    def part(first: int, stop: int) -> None:
        _lagged_decayed_mean(by_column, decay, weights, window, anchor, first, stop, out)

    in_stretches(part, len(x), x.shape[1], unit=window, origin=-anchor % window)
    return np.ascontiguousarray(out.T)


@ieee_kernel
def _lagged_decayed_mean(x, decay, weights, window, anchor, first, stop, out):  # type: ignore[no-untyped-def]
    sums = np.empty(window + 1)
    masses = np.empty(window + 1)
    for s in range(x.shape[0]):
        block = first - (first + anchor) % window
        while block < stop:
            # what is left at the block's beginning of the slots from each earlier one on
            since = max(0, block - window)
            sums[window] = 0.0
            masses[window] = 0.0
            for h in range(block - 1, since - 1, -1):
                i = h - block + window
                present = np.isfinite(x[s, h])
                weight = weights[block - 1 - h] if present else 0.0
                sums[i] = sums[i + 1] + (weight * x[s, h] if present else 0.0)
                masses[i] = masses[i + 1] + weight
            total = 0.0
            mass = 0.0
            for h in range(max(0, block), min(block + window, stop)):
                # the row h looks at h - window .. h - 1
                i = min(max(h - window, since) - block + window, window)
                left = weights[h - block]
                whole = mass + left * masses[i]
                if whole > 0.0:
                    out[s, h] = (total + left * sums[i]) / whole
                total *= decay
                mass *= decay
                if np.isfinite(x[s, h]):
                    total += x[s, h]
                    mass += 1.0
            block += window
