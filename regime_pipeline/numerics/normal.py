"""The standard normal distribution function on arrays. Nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr


def phi(x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """P(Z <= x) for a standard normal Z, elementwise; NaN stays NaN."""
    return np.asarray(ndtr(np.asarray(x, dtype="float64")), dtype="float64")
