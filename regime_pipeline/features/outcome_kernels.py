"""Compiled loops over past funding anomalies: labels, spacing, pooled counts.

Belongs here: sorted arrays. Does not belong here: frames, names and probabilities
(``funding_outcomes``). Importing this module imports numba.
"""

from __future__ import annotations

import math

import numpy as np

from regime_pipeline.numerics.compiled import kernel


@kernel
def reentries(hour, symbol, z, weight, ahead, calm, least):  # type: ignore[no-untyped-def]
    """Whether a print of the next ``ahead`` hours is calm: 1, 0, or -1 where that is not known.

    A calm print that was seen is known, whatever else was lost; that there was none takes ``least``
    judged hours. Prints lie by symbol, then by time.
    """
    out = np.full(len(hour), -1, np.int64)
    for p in range(len(hour)):
        judged = 0.0
        found = 0
        i = p + 1
        while i < len(hour) and symbol[i] == symbol[p] and hour[i] <= hour[p] + ahead:
            if math.isfinite(z[i]):
                judged += weight[i]
                if abs(z[i]) < calm:
                    found = 1
            i += 1
        if found == 1 or judged >= least:
            out[p] = found
    return out


@kernel
def apart(hour, symbol, least):  # type: ignore[no-untyped-def]
    """Greedy choice, per symbol from the first on, of events at least ``least`` hours apart."""
    out = np.zeros(len(hour), np.bool_)
    last = 0
    for i in range(len(hour)):
        if i == 0 or symbol[i] != symbol[i - 1] or hour[i] - hour[last] >= least:
            out[i] = True
            last = i
    return out


@kernel
def _quantile(ordered, n, q):  # type: ignore[no-untyped-def]
    """Type 7 of ``ordered[:n]``, ascending."""
    position = (n - 1) * q
    low = math.floor(position)
    share = position - low
    if share == 0.0 or ordered[low] == ordered[min(low + 1, n - 1)]:
        return ordered[low]
    return ordered[low] * (1.0 - share) + ordered[low + 1] * share


@kernel
def _third(persistence, low, high):  # type: ignore[no-untyped-def]
    return 0 if persistence <= low else (1 if persistence <= high else 2)


@kernel
def pooled(asked_hour, asked_state, asked_persistence, hour, state, persistence, hit):  # type: ignore[no-untyped-def]
    """Counts behind the odds of every question, from the events known by its hour.

    Both sides are sorted by hour. The terciles of persistence are those of the events known then.

    Returns:
        hits and events of the question's state, hits and events of all states.
    """
    count = len(asked_hour)
    hits = np.zeros(count, np.int64)
    n = np.zeros(count, np.int64)
    all_hits = np.zeros(count, np.int64)
    total = np.zeros(count, np.int64)
    ordered = np.empty(len(hour))
    known = 0
    known_hits = 0
    for a in range(count):
        while known < len(hour) and hour[known] <= asked_hour[a]:
            at = known
            while at > 0 and ordered[at - 1] > persistence[known]:
                ordered[at] = ordered[at - 1]
                at -= 1
            ordered[at] = persistence[known]
            known_hits += 1 if hit[known] else 0
            known += 1
        total[a], all_hits[a] = known, known_hits
        if known == 0:
            continue
        low = _quantile(ordered, known, 1.0 / 3.0)
        high = _quantile(ordered, known, 2.0 / 3.0)
        mine = _third(asked_persistence[a], low, high)
        for e in range(known):
            if state[e] == asked_state[a] and _third(persistence[e], low, high) == mine:
                n[a] += 1
                hits[a] += 1 if hit[e] else 0
    return hits, n, all_hits, total


__all__ = ["apart", "pooled", "reentries"]
