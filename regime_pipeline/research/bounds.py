"""How large a statistic must be when it is read every day and several variants were tried.

Belongs here: the bound that holds at all looks together, and how many independent trials correlated ones
amount to. Does not belong here: the statistics (``information``), which trials there were (``trials``).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""Chance of ever calling noise VALID, over all looks and trials of a family."""
SINGLE_LOOK = 1.96
"""Standard errors of a two-sided 95 % interval that is read once."""
TUNED_TO_H = 4320
"""Hours of history, 180 days, at which the bound is narrowest against its neighbours."""
MIN_COMMON_DAYS = 60
"""Days that two trials must share for their correlation to count."""


def critical(n_hours: float, trials_eff: float = 1.0) -> float:
    """Standard errors that a coefficient must exceed, at every look and for all trials together.

    The boundary of a normal mixture: unlike a quantile of one look, the chance that noise ever crosses
    it stays under :data:`LEVEL`, however often it is read.

    Args:
        n_hours: hours behind the coefficient, > 0.
        trials_eff: independent trials, at least 1.

    Raises:
        ValueError: there are no hours, or fewer trials than one.
    """
    if n_hours <= 0 or trials_eff < 1:
        raise ValueError(f"no bound for {n_hours} hours and {trials_eff} trials")
    share = LEVEL / trials_eff
    twice = -2.0 * math.log(share)
    grown = (twice + math.log(twice) + 1.0) * n_hours / TUNED_TO_H
    inner = 1.0 + math.sqrt(grown + 1.0) / (2.0 * share)
    return math.sqrt(2.0 * (grown + 1.0) / grown * math.log(inner))


def effective(days: Floats) -> float:
    """How many independent trials some correlated ones amount to, ``(sum sqrt l)^2 / sum l``.

    ``l`` are the eigenvalues of the correlation of the trials' daily sums. A pair that shares fewer than
    :data:`MIN_COMMON_DAYS` days counts as unrelated, so that ignorance never makes a bound smaller.

    Args:
        days: sums of influence, trials x days; NaN where a trial has none that day.

    Returns:
        Between 1 and the number of trials; 0 without trials.
    """
    count = len(days)
    if count < 2:
        return float(count)
    matrix = np.eye(count)
    for one in range(count):
        for other in range(one + 1, count):
            both = np.isfinite(days[one]) & np.isfinite(days[other])
            if int(both.sum()) < MIN_COMMON_DAYS:
                continue
            a, b = days[one][both], days[other][both]
            a, b = a - a.mean(), b - b.mean()
            scale = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
            if scale > 0:
                matrix[one, other] = matrix[other, one] = float((a * b).sum()) / scale
    values = np.clip(np.linalg.eigvalsh(matrix), 0.0, None)
    found = float(np.sqrt(values).sum() ** 2 / values.sum())
    return min(max(found, 1.0), float(count))
