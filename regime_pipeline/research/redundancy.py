"""What a signal adds to the others: how well they stand for it, and its correlation given them.

Belongs here: the correlation of ranks on one row a day, its inverse, what is read off it. Does not belong
here: correlations of the components over 30 days (``signals.signal_correlations``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regime_pipeline.research.information import by_symbol

Floats = npt.NDArray[np.float64]

LEAST_ROWS = 200
COVERAGE = 0.8
"""Share of the days with any signal that one needs, so that a rare one does not cost the others theirs."""
_SINGULAR = 1e-9


@dataclass(frozen=True)
class Redundancy:
    """What the others say of one signal; NaN or None: nothing can be said.

    Attributes:
        r2: share of its ranks' variance that the other signals explain.
        ic_partial: its rank correlation with the returns, given the others.
        nearest: index of the signal that it is most like.
        nearest_corr: rank correlation with that one.
        rows: rows behind them, a row a day and symbol.
    """

    r2: float = math.nan
    ic_partial: float = math.nan
    nearest: int | None = None
    nearest_corr: float = math.nan
    rows: int = 0


def inverse(matrix: Floats) -> Floats | None:
    """The inverse by elimination in a fixed order; None of a matrix that has none.

    No library routine, whose sums depend on the number of threads.
    """
    size = len(matrix)
    work = np.concatenate([matrix, np.eye(size)], axis=1)
    for column in range(size):
        pivot = column + int(np.argmax(np.abs(work[column:, column])))
        if abs(work[pivot, column]) < _SINGULAR:
            return None
        work[[column, pivot]] = work[[pivot, column]]
        work[column] /= work[column, column]
        for row in range(size):
            if row != column:
                work[row] -= work[row, column] * work[column]
    return work[:, size:]


def redundancies(scores: Floats, returns: Floats) -> list[Redundancy]:
    """What the others say of each signal.

    Args:
        scores: one row a day, signals x symbols x days.
        returns: that followed, symbols x days.
    """
    out = [Redundancy() for _ in scores]
    there = np.isfinite(scores)
    needed = COVERAGE * there.any(axis=0).sum()
    members = [k for k in range(len(scores)) if there[k].sum() >= max(needed, 1)]
    if len(members) < 2:
        return out
    whole = there[members].all(axis=0) & np.isfinite(returns)
    rows = int(whole.sum())
    if rows < LEAST_ROWS:
        return out
    panels = [*(scores[k] for k in members), returns]
    ranks = [by_symbol(np.where(whole, p, np.nan)) for p in panels]
    usable = [k for k, r in enumerate(ranks) if np.isfinite(r[whole]).all()]
    if len(usable) < 3 or usable[-1] != len(members):
        return out
    flat = [ranks[k][whole] for k in usable]
    matrix = np.eye(len(flat))
    for i, one in enumerate(flat):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = float((one * flat[j]).sum()) / rows
    alone, with_returns = inverse(matrix[:-1, :-1]), inverse(matrix)
    for i, k in enumerate(usable[:-1]):
        others = np.abs(matrix[i, :-1])
        others[i] = -1.0
        near = int(np.argmax(others))
        r2 = math.nan if alone is None else 1.0 - 1.0 / alone[i, i]
        partial = math.nan
        if with_returns is not None:
            scale = with_returns[i, i] * with_returns[-1, -1]
            partial = -with_returns[i, -1] / math.sqrt(scale) if scale > 0 else math.nan
        out[members[k]] = Redundancy(
            min(max(r2, 0.0), 1.0) if math.isfinite(r2) else math.nan,
            partial,
            members[usable[near]],
            float(matrix[i, near]),
            rows,
        )
    return out
