"""The state machine behind the confirmed volatility regime and its announcements, and its age.

Belongs here: the compiled loops only. What goes in and what the columns mean is in
``volatility_regimes``. Importing this module imports numba.

Every row is decided by a machine of its own that starts fresh ``lookback`` rows earlier, from the raw
class of its first row, with nothing sent. So a row is the same wherever the computation began.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel

EXTREME = 3


@kernel
def classify(ratio, borders):  # type: ignore[no-untyped-def]
    """Class 0..3 of a ratio: below b0, [b0, b1), [b1, b2], above b2."""
    if ratio > borders[2]:
        return 3
    if ratio >= borders[1]:
        return 2
    return 1 if ratio >= borders[0] else 0


@kernel
def _step(raw, up, down, state, pending, streak, confirmations):  # type: ignore[no-untyped-def]
    """(state, pending, streak) after one row whose class is ``raw``; state -1 is a fresh start.

    ``up`` is the class that the ratio still has when 5 % smaller, ``down`` when 5 % larger: the row
    argues for a higher class only with the first and for a lower one only with the second.
    """
    if state < 0:
        return raw, -1, 0
    candidate = max(up, min(state, down))
    if candidate == state:
        return state, -1, 0
    streak = streak + 1 if candidate == pending else 1
    jump = candidate >= state + 2 or (candidate > state and candidate == 3)
    if jump or streak >= confirmations:
        return candidate, -1, 0
    return state, candidate, streak


@kernel
def _move(h, raw, up, down, memory, nulls, restart_after, confirmations, cooldown):  # type: ignore[no-untyped-def]
    """A machine's memory after row ``h``, and its event; ``nulls`` rows before it were null.

    The memory is (state, pending, streak, reported, reported_at).
    """
    state, pending, streak, reported, reported_at = memory
    event = -1
    if raw < 0:
        pending, streak = -1, 0
        if nulls >= restart_after:
            state, reported, reported_at = -1, -1, -1
    else:
        previous = state
        state, pending, streak = _step(raw, up, down, state, pending, streak, confirmations)
        if previous < 0:
            reported, reported_at = state, -1
        cooling = reported_at >= 0 and h - reported_at < cooldown
        into_extreme = state == EXTREME and state != previous and previous >= 0
        if into_extreme or (state != reported and not cooling):
            event = 4 * reported + state
            reported, reported_at = state, h
    if h + 1 - reported_at >= cooldown:
        reported_at = -1  # a cooldown that is over leaves no memory
    return (state, pending, streak, reported, reported_at), event


@kernel
def run(  # type: ignore[no-untyped-def]
    raw, up, down, lookback, restart_after, confirmations, cooldown, state_out, event_out
):
    """Decide every row of classes (columns x hours, -1 null).

    Machines that started at neighbouring rows and came to the same memory are one from there on, so
    only the few that differ are moved, each with the newest row that one of it started at.

    ``state_out``: class or -1. ``event_out``: -1, or 4 * class reported before + class reported now.
    """
    columns, length = raw.shape
    memory = np.empty((lookback + 1, 5), np.int64)
    started = np.empty(lookback + 1, np.int64)
    fresh = np.array([-1, -1, 0, -1, -1])
    for s in range(columns):
        machines = 0
        nulls = restart_after + 1
        for h in range(length):
            state_out[s, h] = -1
            event_out[s, h] = -1
            memory[machines] = fresh
            started[machines] = h
            machines += 1
            kept = 0
            last = (-1, -1, 0, -1, -1)
            for m in range(machines):
                if started[m] <= h - lookback:
                    continue
                before = memory[m]
                now, event = _move(
                    h, raw[s, h], up[s, h], down[s, h],
                    (before[0], before[1], before[2], before[3], before[4]),
                    nulls, restart_after, confirmations, cooldown,
                )  # fmt: skip
                if kept == 0 and raw[s, h] >= 0:
                    state_out[s, h], event_out[s, h] = now[0], event
                if kept > 0 and now == last:
                    started[kept - 1] = started[m]
                    continue
                for k in range(5):
                    memory[kept, k] = now[k]
                started[kept] = started[m]
                last = now
                kept += 1
            machines = kept
            nulls = min(nulls, restart_after) + 1 if raw[s, h] < 0 else 0


@kernel
def beginnings(state, lookback, restart_after, out):  # type: ignore[no-untyped-def]
    """Row in which the published class of every row began: equal classes counted back.

    Null rows between are passed over; after more than ``restart_after`` of them a class begins anew.

    Args:
        state: published classes, columns x hours, -1 null; a row needs ``lookback`` rows before it.
        lookback: a class that began this many rows ago or earlier gives -1.
        restart_after: see above.
        out: filled alike, -1 for a null row.
    """
    columns, length = state.shape
    for s in range(columns):
        current, first, nulls = -1, -1, 0
        for h in range(length):
            now = state[s, h]
            out[s, h] = -1
            if now < 0:
                nulls += 1
                continue
            if now != current or nulls > restart_after:
                current, first = now, h
            nulls = 0
            out[s, h] = first if h - first < lookback else -1


@kernel
def classes(ratio, borders, factor, out):  # type: ignore[no-untyped-def]
    """Class of ``ratio / factor``, -1 where null; panels of columns x hours."""
    columns, length = ratio.shape
    for s in range(columns):
        for h in range(length):
            v = ratio[s, h]
            out[s, h] = classify(v / factor, borders) if math.isfinite(v) else -1


def classes_of(
    ratio: npt.NDArray[np.float64], borders: tuple[float, float, float], factor: float = 1.0
) -> npt.NDArray[np.int8]:
    """Class 0..3 of every ``ratio / factor`` (any shape of two dimensions), -1 where null."""
    contiguous = np.ascontiguousarray(ratio, dtype="float64")
    out = np.empty(contiguous.shape, dtype=np.int8)
    classes(contiguous, np.array(borders, dtype="float64"), float(factor), out)
    return out
