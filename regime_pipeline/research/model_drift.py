"""Whether a model's inputs or its losses have moved away from what it was trained on.

Belongs here: the stability index of a month's features against what such an index does without drift, and
the cumulative sum of daily losses. Does not belong here: drift of raw series (``quality.drift``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from regime_pipeline.research.forecast_inputs import DAY_H, MONTH_H

Floats = npt.NDArray[np.float64]

BINS = 10
NULL_STEP_H = 7 * DAY_H
NULL_LEVEL = 0.95
LEAST_MONTH_ROWS = MONTH_H // 2
CUSUM_D = 365
CUSUM_RANK_D, CUSUM_RANK_LEAST = 180, 90
CUSUM_SLACK = 0.25
CUSUM_ALIKE = 0.8
CUSUM_LIMIT = 7.98
"""Standard normal days cross it once in 730 days on average, by Siegmund's approximation."""


def _shares(values: Floats, edges: Floats) -> Floats:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=BINS)
    return np.maximum(counts, 0.5) / max(len(values), 1)


def stability(training: Floats, recent: Floats) -> tuple[float, float]:
    """The stability index of recent rows, and what 95 % of the training's own months stay under.

    An index of rows that last for days is large without any drift: a fixed limit calls most months of a
    slow feature drifted. So the limit is made of the training itself, all its months a week apart.

    Args:
        training: a feature over the training, hours x symbols; NaN is null.
        recent: over the last 30 days, the same symbols.

    Returns:
        Index and limit; NaN where there are too few rows.
    """
    known = training[np.isfinite(training)]
    now = recent[np.isfinite(recent)]
    if len(known) < BINS * LEAST_MONTH_ROWS or len(now) < LEAST_MONTH_ROWS:
        return math.nan, math.nan
    edges = np.quantile(known, np.arange(1, BINS) / BINS)
    was = _shares(known, edges)

    def index(values: Floats) -> float:
        share = _shares(values, edges)
        return float(((share - was) * np.log(share / was)).sum())

    null = []
    for start in range(0, len(training) - MONTH_H + 1, NULL_STEP_H):
        month = training[start : start + MONTH_H]
        month = month[np.isfinite(month)]
        if len(month) >= LEAST_MONTH_ROWS:
            null.append(index(month))
    limit = float(np.quantile(null, NULL_LEVEL)) if len(null) >= BINS else math.nan
    return index(now), limit


def cumulative(differences: Sequence[float]) -> float:
    """How far daily losses have crept above what they were, from 0 a year ago; NaN without 90 days.

    Each day counts by its rank among the 180 days before, as the normal value of that rank: a single wild
    day says no more than the wildest of half a year. What exceeds the slack adds up and never falls under 0.
    Days that resemble the one before count less, so that their sums spread as those of unlike days do.

    Args:
        differences: by day, the loss of the model less that of the baseline; NaN: none. The last is today.
    """
    from scipy import special  # here, so that declaring what is computed loads no library for it

    values = np.asarray(differences, np.float64)
    normal = np.full(len(values), np.nan)
    for day in range(max(len(values) - CUSUM_D, 0), len(values)):
        before = values[max(day - CUSUM_RANK_D, 0) : day]
        before = before[np.isfinite(before)]
        if not math.isfinite(values[day]) or len(before) < CUSUM_RANK_LEAST:
            continue
        rank = float((before < values[day]).sum()) + 0.5 * float((before == values[day]).sum())
        normal[day] = float(special.ndtri((rank + 0.5) / (len(before) + 1)))
    known = normal[np.isfinite(normal)]
    if len(known) < CUSUM_RANK_LEAST:
        return math.nan
    square = float((known * known).sum())
    alike = float((known[1:] * known[:-1]).sum()) / square if square > 0 else 0.0
    alike = min(max(alike, 0.0), CUSUM_ALIKE)
    scale = math.sqrt((1.0 - alike) / (1.0 + alike))
    total = 0.0
    for own in known.tolist():
        total = max(0.0, total + scale * own - CUSUM_SLACK)
    return total
