"""The state machine behind the confirmed volatility regime and its announcements.

Belongs here: the compiled loop only. What goes in and what the columns mean is in
``volatility_regimes``. Importing this module imports numba.

Every row is decided by a machine of its own that starts fresh ``lookback`` rows earlier, from the raw
class of its first row, with nothing sent. So a row is the same wherever the computation began.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

EXTREME = 3


@numba.njit(cache=True, nogil=True)
def classify(ratio, borders):  # type: ignore[no-untyped-def]
    """Class 0..3 of a ratio: below b0, [b0, b1), [b1, b2], above b2."""
    if ratio > borders[2]:
        return 3
    if ratio >= borders[1]:
        return 2
    return 1 if ratio >= borders[0] else 0


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def run(  # type: ignore[no-untyped-def]
    raw, up, down, lookback, restart_after, confirmations, cooldown, state_out, since_out, event_out
):
    """Decide every row of classes (columns x hours, -1 null).

    ``state_out``: class or -1. ``since_out``: row of the regime's beginning, -1 where it lies before
    the lookback. ``event_out``: -1, or 4 * class told before + class told now.
    """
    columns, length = raw.shape
    for s in range(columns):
        for h in range(length):
            state_out[s, h] = -1
            since_out[s, h] = -1
            event_out[s, h] = -1
            if raw[s, h] < 0:
                continue
            state, pending, streak = -1, -1, 0
            since, told, told_at, event = -1, -1, -1, -1
            # null rows right before the window tell a real beginning from the window's edge
            nulls = 0
            before = h - lookback
            while nulls <= restart_after and (before < 0 or raw[s, before] < 0):
                nulls += 1
                before -= 1
            for i in range(max(0, h - lookback + 1), h + 1):
                event = -1
                if raw[s, i] < 0:
                    nulls += 1
                    pending, streak = -1, 0
                    if nulls > restart_after:
                        state = -1
                    continue
                previous = state
                state, pending, streak = _step(
                    raw[s, i], up[s, i], down[s, i], state, pending, streak, confirmations
                )
                if previous < 0:
                    since = i if nulls > restart_after else -1
                    told, told_at = state, -1
                elif state != previous:
                    since = i
                nulls = 0
                cooling = told_at >= 0 and i - told_at < cooldown
                into_extreme = state == 3 and state != previous and previous >= 0
                if into_extreme or (state != told and not cooling):
                    event = 4 * told + state
                    told, told_at = state, i
            state_out[s, h] = state
            since_out[s, h] = since
            event_out[s, h] = event


@numba.njit(cache=True, nogil=True)
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
