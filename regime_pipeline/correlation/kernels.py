"""Compiled kernels of the correlation engine: returns, false discoveries, break episodes.

Belongs here: loops over arrays that only correlations need. Does not belong here: coefficients
(``numerics.ranks``, ``numerics.pairwise``), frames, settings, names of columns.

Layout: inputs are symbol-major (S, T), outputs pair-major (P, N), pairs in the alphabetical order of
their symbols. NaN is null.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]
Shorts = npt.NDArray[np.int16]


@kernel
def log_returns(close: Floats) -> Floats:
    """ln(c[t] / c[t-1]) along the last axis of (S, T); null unless both closes are there."""
    symbols, length = close.shape
    out = np.full((symbols, length), np.nan)
    for s in range(symbols):
        for t in range(1, length):
            if close[s, t] > 0.0 and close[s, t - 1] > 0.0:
                out[s, t] = math.log(close[s, t] / close[s, t - 1])
    return out


@kernel
def ewma_usable(
    close: Floats, window: int, max_missing: int, last: int, first: int
) -> npt.NDArray[np.bool_]:
    """Whether the closes in the last ``window`` slots allow a recursive filter, per (S, T).

    Slots before the first close in the window aren't missing; more than ``max_missing`` missing
    ones, or a missing one among the ``last`` newest, forbid it.
    """
    symbols, length = close.shape
    out = np.zeros((symbols, length), np.bool_)
    ahead = np.empty(length + 1, np.int64)
    seen = np.zeros(length + 1, np.int64)
    for s in range(symbols):
        ahead[length] = length
        for t in range(length - 1, -1, -1):
            ahead[t] = ahead[t + 1] if math.isnan(close[s, t]) else t
        for t in range(length):
            seen[t + 1] = seen[t] + int(not math.isnan(close[s, t]))
        for t in range(first, length):
            start = ahead[t - window + 1]
            recent = seen[t + 1] - seen[t - last + 1]
            if start <= t and recent == last:
                missing = (t - start + 1) - (seen[t + 1] - seen[start])
                out[s, t] = missing <= max_missing
    return out


@kernel
def fisher_z(
    rho_now: Floats, n_now: Shorts, rho_base: Floats, n_base: Shorts, limit: float
) -> Floats:
    """Difference of two Spearman coefficients in units of its sd, Bonett-Wright variances.

    Coefficients of +-1 are drawn in to ``limit`` so that the value stays finite.
    """
    pairs, length = rho_now.shape
    out = np.full((pairs, length), np.nan)
    for p in range(pairs):
        for t in range(length):
            now, base = rho_now[p, t], rho_base[p, t]
            if math.isnan(now) or math.isnan(base):
                continue
            now = min(limit, max(-limit, now))
            base = min(limit, max(-limit, base))
            variance = (1.0 + now * now / 2.0) / (n_now[p, t] - 3) + (1.0 + base * base / 2.0) / (
                n_base[p, t] - 3
            )
            out[p, t] = (math.atanh(now) - math.atanh(base)) / math.sqrt(variance)
    return out


@kernel
def lagged_sd(z: Floats, lagged: Ints, min_obs: int) -> Floats:
    """Two-pass sd (ddof 1) of z over lagged rows.

    Args:
        z: (P, R).
        lagged: (lags, N) the columns of z that belong to each row put out, nearest lag first.
        min_obs: fewer non-null ones give null.
    """
    pairs = z.shape[0]
    lags, size = lagged.shape
    out = np.full((pairs, size), np.nan)
    n = np.empty(size)
    mean = np.empty(size)
    square = np.empty(size)
    for p in range(pairs):
        n[:] = 0.0
        mean[:] = 0.0
        square[:] = 0.0
        for j in range(lags):
            for i in range(size):
                value = z[p, lagged[j, i]]
                there = not math.isnan(value)
                n[i] += 1.0 if there else 0.0
                mean[i] += value if there else 0.0
        for i in range(size):
            mean[i] /= max(n[i], 1.0)
        for j in range(lags):
            for i in range(size):
                d = z[p, lagged[j, i]] - mean[i]
                square[i] += 0.0 if math.isnan(d) else d * d
        for i in range(size):
            if n[i] >= min_obs and n[i] >= 2.0:
                out[p, i] = math.sqrt(square[i] / (n[i] - 1.0))
    return out


@kernel
def benjamini_hochberg(p_values: Floats) -> Floats:
    """Adjusted p values over the pairs of every hour, (P, N); null ones don't count as tests."""
    pairs, length = p_values.shape
    out = np.full((pairs, length), np.nan)
    at = np.empty(pairs, np.int64)
    raw = np.empty(pairs)
    for t in range(length):
        m = 0
        for p in range(pairs):
            if not math.isnan(p_values[p, t]):
                at[m] = p
                raw[m] = p_values[p, t]
                m += 1
        order = np.argsort(raw[:m], kind="mergesort")
        best = 1.0
        for i in range(m - 1, -1, -1):
            best = min(best, raw[order[i]] * m / (i + 1))
            out[at[order[i]], t] = best
    return out


# -- break episodes -----------------------------------------------------------------------------

_OPEN, _START, _SENT, _LEVEL, _CALM, _NULLS, _WAIT = 0, 1, 2, 3, 4, 5, 6
_STATE = 7
OUT_OPEN, OUT_START, OUT_KIND, OUT_LEVEL, OUT_ORDINAL = 0, 1, 2, 3, 4
_OUT = 5
KIND_START, KIND_ESCALATION, KIND_END = 0, 1, 2
_CALM_HOURS = 3
_MAX_NULLS = 24


@kernel
def _step(
    state: Ints,
    t: int,
    drop: float,
    fires: bool,
    level: int,
    end_drop: float,
    cooldown: int,
    out: Ints,
) -> None:
    """One hour of a pair's machine; the initial state is all zeros.

    ``_WAIT`` counts the hours that the cooldown still holds; ``_START`` is kept as t + 1 so that
    zero means none.
    """
    out[OUT_OPEN] = 0
    out[OUT_START] = -1
    out[OUT_KIND] = -1
    out[OUT_LEVEL] = -1
    out[OUT_ORDINAL] = -1
    if state[_WAIT] > 0:
        state[_WAIT] -= 1
    if math.isnan(drop):
        out[OUT_OPEN] = state[_OPEN]
        if state[_OPEN] == 1:
            state[_CALM] = 0
            state[_NULLS] += 1
            if state[_NULLS] > _MAX_NULLS:
                state[:] = 0
                out[OUT_OPEN] = 0
        return
    state[_NULLS] = 0
    if state[_OPEN] == 0:
        if not fires:
            return
        state[_OPEN] = 1
        state[_START] = t + 1
    state[_CALM] = state[_CALM] + 1 if drop < end_drop else 0
    out[OUT_OPEN] = 1
    out[OUT_START] = state[_START] - 1
    if state[_CALM] >= _CALM_HOURS:
        # the newest announcement lies at least this long back, so an end never waits
        if state[_SENT] > 0:
            out[OUT_KIND] = KIND_END
            out[OUT_ORDINAL] = state[_SENT]
            state[_WAIT] = cooldown
        wait = state[_WAIT]
        state[:] = 0
        state[_WAIT] = wait
        return
    if fires and state[_WAIT] == 0 and (state[_SENT] == 0 or level > state[_LEVEL]):
        out[OUT_KIND] = KIND_START if state[_SENT] == 0 else KIND_ESCALATION
        out[OUT_ORDINAL] = state[_SENT]
        out[OUT_LEVEL] = level
        state[_SENT] += 1
        state[_LEVEL] = level
        state[_WAIT] = cooldown


@kernel
def last_quiet(drop: Floats, end_drop: float, cooldown: int) -> Ints:
    """Newest row of each pair at which any machine is in its initial state, -1 for none.

    Calm hours without a hole close whatever is open (3) and let every cooldown run out after that;
    more null hours than a machine bears restart an open one, and a closed one's cooldown is shorter.
    Holds where a calm hour can't fire, that is for end_drop <= the drop at which a break fires.

    Args:
        drop: (P, M) relative drops; null is a null row.
        end_drop: below it an hour is calm.
        cooldown: hours after an announcement in which nothing is announced.
    """
    pairs, length = drop.shape
    out = np.full(pairs, -1, np.int64)
    for p in range(pairs):
        calm = 0
        nulls = 0
        for t in range(length - 1, -1, -1):
            nulls = nulls + 1 if math.isnan(drop[p, t]) else 0
            calm = calm + 1 if drop[p, t] < end_drop else 0
            if calm == _CALM_HOURS + cooldown:
                out[p] = t + calm - 1
                break
            if nulls == max(_MAX_NULLS + 1, cooldown):
                out[p] = t + nulls - 1
                break
    return out


@kernel
def break_episodes(
    drop: Floats,
    fires: npt.NDArray[np.bool_],
    level: Codes,
    lookback: int,
    end_drop: float,
    cooldown: int,
) -> Ints:
    """Break episodes of every pair, each row as if its machine began ``lookback`` rows before.

    One machine runs through all rows. Row t keeps its answer when that machine was in its initial
    state just before row t-lookback+1; otherwise a fresh machine runs from there until the two
    agree, which they do at the next quiet spell.

    Args:
        drop: (P, M) relative drops; null is a null row.
        fires: (P, M) is_break.
        level: (P, M) severity, 0 LOW .. 3 CRITICAL.
        lookback: rows of the fixed trailing run, at most M.
        end_drop: below it an hour is calm.
        cooldown: hours after an announcement in which nothing is announced.

    Returns:
        (P, M-lookback+1, 5): open, first row of the episode, kind, level, ordinal; -1 is null.
    """
    pairs, length = drop.shape
    owed = length - lookback + 1
    out = np.full((pairs, owed, _OUT), -1, np.int64)
    states = np.zeros((length, _STATE), np.int64)
    answers = np.zeros((length, _OUT), np.int64)
    state = np.zeros(_STATE, np.int64)
    answer = np.zeros(_OUT, np.int64)
    for p in range(pairs):
        state[:] = 0
        for t in range(length):
            _step(state, t, drop[p, t], fires[p, t], level[p, t], end_drop, cooldown, answers[t])
            states[t] = state
        for i in range(owed):
            t = i + lookback - 1
            agreed = i == 0 or not states[i - 1].any()
            state[:] = 0
            u = i
            while not agreed and u <= t:
                _step(state, u, drop[p, u], fires[p, u], level[p, u], end_drop, cooldown, answer)
                if u < t:
                    agreed = np.array_equal(state, states[u])
                u += 1
            out[p, i] = answers[t] if agreed else answer
    return out
