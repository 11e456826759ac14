"""A small line of numbers as SVG path data, for a thumbnail without a plotting library.

Belongs here: thinning and scaling. Does not belong here: the picture around the line (the report's
template, the metadata of Dagster's pages).
"""

from __future__ import annotations

import numpy as np


def thinned(values: np.ndarray, points: int) -> np.ndarray:
    """At most ``points`` values: of each stretch the one farthest from the median of all.

    Args:
        values: numbers in time order, NaN where unknown.
        points: how many to keep; a stretch that is unknown as a whole stays one NaN.
    """
    if len(values) <= points or not np.isfinite(values).any():
        return values[:points]
    middle = np.nanmedian(values)
    parts = np.array_split(values, points)
    return np.array(
        [p[np.nanargmax(np.abs(p - middle))] if np.isfinite(p).any() else np.nan for p in parts]
    )


def line(values: np.ndarray, *, width: int, height: int, points: int) -> str | None:
    """Path data (the ``d`` of an SVG path) of a line through the values.

    Args:
        values: numbers in time order; NaN is a gap in the line.
        width: of the box in user units.
        height: of the box; the line keeps a margin of 2.
        points: how many values are drawn at most.

    Returns:
        The path data, or None where fewer than two values are known.
    """
    shown = thinned(np.asarray(values, dtype="float64"), points)
    if np.isfinite(shown).sum() < 2:
        return None
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    scale = (height - 4) / ((high - low) or 1.0)
    step = width / max(1, len(shown) - 1)
    parts, pen = [], "M"
    for i, value in enumerate(shown):
        if np.isfinite(value):
            parts.append(f"{pen}{i * step:.1f} {height - 2 - (value - low) * scale:.1f}")
        pen = "L" if np.isfinite(value) else "M"
    return "".join(parts)
