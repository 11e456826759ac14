"""The compiled episode machine of liquidation cascades. Nothing else."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_OPEN, _START, _SENT, _LEVEL, _CALM, _NULLS, _TOTAL = range(7)
_STATE = 7
_CALM_HOURS = 2
_MAX_NULLS = 24


@kernel
def _step(
    state: Floats, t: int, total: float, severity: int, pct: int, fires_from: int, out: Ints
) -> None:
    """One hour of one symbol; the initial state is all zeros, ``out`` is kind, level, ordinal, age.

    An hour is null when the total is, or when it is large and nothing says whether it is unusual.
    """
    out[:] = -1
    if math.isnan(total) or (pct < 0 and severity >= fires_from):
        if state[_OPEN] == 1.0:
            state[_CALM] = 0.0
            state[_NULLS] += 1.0
            if state[_NULLS] > _MAX_NULLS:
                state[:] = 0.0
        return
    state[_NULLS] = 0.0
    fires = severity >= fires_from and pct >= fires_from
    if not fires:
        if state[_OPEN] == 1.0:
            out[3] = t - int(state[_START])
            state[_CALM] += 1.0
            if state[_CALM] >= _CALM_HOURS:
                state[:] = 0.0
        return
    state[_CALM] = 0.0
    if state[_OPEN] == 0.0:
        state[_OPEN] = 1.0
        state[_START] = t
        out[0] = 0
    elif pct > state[_LEVEL] or total >= 2.0 * state[_TOTAL]:
        out[0] = 1
    out[3] = t - int(state[_START])
    if out[0] >= 0:
        out[1] = pct
        out[2] = int(state[_SENT])
        state[_SENT] += 1.0
        state[_LEVEL] = max(state[_LEVEL], pct)
        state[_TOTAL] = total


@kernel
def cascade_episodes(
    total: Floats, severity: Ints, pct: Ints, lookback: int, fires_from: int
) -> Ints:
    """Announcements of every row, as if its machine began ``lookback`` rows before.

    One machine runs through all rows. Row t keeps its answer when that machine was in its initial
    state just before row t-lookback+1; otherwise a fresh machine runs from there until the two
    agree, which they do once both episodes are closed.

    Args:
        total: (S, M) hourly totals; NaN is null.
        severity: (S, M), -1 null.
        pct: (S, M), -1 null.
        lookback: rows of the fixed trailing run, at most M.
        fires_from: least level of both severities.

    Returns:
        (S, M-lookback+1, 4): kind (0 start, 1 escalation), severity_pct announced, ordinal, hours
        since the episode's first row; -1 is null.
    """
    symbols, length = total.shape
    owed = length - lookback + 1
    out = np.full((symbols, owed, 4), -1, np.int64)
    states = np.zeros((length, _STATE))
    answers = np.zeros((length, 4), np.int64)
    state = np.zeros(_STATE)
    answer = np.zeros(4, np.int64)
    for s in range(symbols):
        state[:] = 0.0
        for t in range(length):
            _step(state, t, total[s, t], severity[s, t], pct[s, t], fires_from, answers[t])
            states[t] = state
        for i in range(owed):
            t = i + lookback - 1
            agreed = i == 0 or not states[i - 1].any()
            state[:] = 0.0
            u = i
            while not agreed and u <= t:
                _step(state, u, total[s, u], severity[s, u], pct[s, u], fires_from, answer)
                if u < t:
                    agreed = np.array_equal(state, states[u])
                u += 1
            out[s, i] = answers[t] if agreed else answer
    return out
