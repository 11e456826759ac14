"""What the statistics of trailing windows have in common: panels, arguments, codes of a null.

Belongs here: the little that ``rolling`` and ``order_statistics`` share. Does not belong here: a
statistic.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatPanel = npt.NDArray[np.float64]
"""Float64 array, one row per hour and one column per symbol; NaN is null."""
CodePanel = npt.NDArray[np.int8]
CountPanel = npt.NDArray[np.int32]

OK, INSUFFICIENT, ZERO_DISPERSION, INPUT_NULL = range(4)
CODE_REASONS = (None, "insufficient_history", "zero_dispersion", "input_null")
"""Text of the codes that the z scores return."""

RELATIVE_DISPERSION = 1e-12
"""A scale within this of nothing, beside the level of the window, is no dispersion."""


def check_window(window: int, min_obs: int, lag: int) -> None:
    """Refuse a window that can't be.

    Raises:
        ValueError: no slots, a minimum that no window reaches, or a lag into the future.
    """
    if window < 1 or min_obs < 0 or min_obs > window or lag < 0:
        raise ValueError(f"no window of {window} slots with at least {min_obs}, lag {lag}")


def scale_floor(floor: float | None) -> float:
    """The least scale, NaN where there is none.

    Raises:
        ValueError: it is not positive.
    """
    if floor is None:
        return math.nan
    if not (math.isfinite(floor) and floor > 0.0):
        raise ValueError(f"a scale floor is a positive number, not {floor}")
    return float(floor)


def as_panel(x: npt.ArrayLike) -> tuple[FloatPanel, tuple[int, ...]]:
    """``x`` as hours x columns in the one layout that kernels are compiled for; its own shape.

    Raises:
        ValueError: it has neither one dimension nor two.
    """
    array = np.require(x, "float64", ["C", "W"])
    if array.ndim not in (1, 2):
        raise ValueError(f"a panel has one or two dimensions, not {array.ndim}")
    return array if array.ndim == 2 else array[:, None], array.shape
