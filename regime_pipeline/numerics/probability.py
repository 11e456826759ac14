"""Distribution functions and intervals that several features share.

Belongs here: the normal distribution, intervals of proportions. Does not belong here: what is counted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Z_95 = 1.959963984540054
"""Upper 2.5 % point of the standard normal."""


def phi(x: npt.ArrayLike, *, out: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    """P(Z <= x) for a standard normal Z, elementwise, into ``out`` if given; NaN stays NaN."""
    return np.asarray(ndtr(np.asarray(x, dtype="float64"), out=out), dtype="float64")


def wilson(
    successes: npt.ArrayLike, trials: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two-sided 95 % score interval of a proportion (Wilson 1927); null without trials."""
    k = np.asarray(successes, dtype="float64")
    n = np.asarray(trials, dtype="float64")
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.where(n > 0.0, n, np.nan)
        p = k / n
        spread = Z_95**2 / n
        centre = (p + spread / 2.0) / (1.0 + spread)
        half = np.sqrt(p * (1.0 - p) * spread + spread * spread / 4.0) / (1.0 + spread)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
