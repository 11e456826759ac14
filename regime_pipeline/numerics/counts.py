"""How many slots of each window count.

Belongs here: the kernel behind ``rolling.rolling_count``. Does not belong here: any other statistic; none
of those may be carried on from its neighbour.
"""

from __future__ import annotations

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel


@ieee_kernel
def running_counts(x, window, least, lag, first, stop, out):  # type: ignore[no-untyped-def]
    """Counts of rows ``first .. stop - 1``: whole numbers, so the one before may be carried on."""
    count = np.zeros(x.shape[1])
    for h in range(max(0, first - lag - window), first - lag):
        for s in range(x.shape[1]):
            count[s] += 1.0 if abs(x[h, s]) < np.inf else 0.0
    for h in range(first, stop):
        come, gone = h - lag, h - lag - window
        if come >= 0:
            for s in range(x.shape[1]):
                count[s] += 1.0 if abs(x[come, s]) < np.inf else 0.0
        if gone >= 0:
            for s in range(x.shape[1]):
                count[s] -= 1.0 if abs(x[gone, s]) < np.inf else 0.0
        for s in range(x.shape[1]):
            out[h, s] = count[s] if count[s] >= least else np.nan
