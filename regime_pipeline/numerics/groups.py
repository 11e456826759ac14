"""Sums over groups of rows whose bits depend on nothing but the group's own values.

pandas' grouped sums and means can change in the last bit with what other groups hold. Here each group
is added up one value after the other in row order. Does not belong here: rolling windows
(``rolling``), which rows make a group.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def sums(
    values: npt.ArrayLike, group: npt.NDArray[np.integer], count: int
) -> tuple[Floats, Floats]:
    """Sum of the finite values of each group, and how many they are.

    Args:
        values: one number per row; NaN and infinities don't count.
        group: the group of each row, 0 .. count - 1.
        count: number of groups.

    Returns:
        Sums (0 for a group without a value) and counts, one per group.
    """
    numbers = np.asarray(values, dtype=np.float64)
    there = np.isfinite(numbers)
    total = np.bincount(group[there], weights=numbers[there], minlength=count)
    known = np.bincount(group[there], minlength=count)
    return total.astype(np.float64), known.astype(np.float64)


def means(values: npt.ArrayLike, group: npt.NDArray[np.integer], count: int) -> Floats:
    """Mean of the finite values of each group; NaN for a group without one. See :func:`sums`."""
    total, known = sums(values, group, count)
    return np.divide(total, known, out=np.full(count, np.nan), where=known > 0)
