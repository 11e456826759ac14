"""Compiled loops of self-excitation in hourly buckets: decay ratio, branching ratio, cascade state.

Belongs here: arrays of columns x hours. Does not belong here: frames and names
(``liquidation_cascades``). Importing this module imports numba.

Everything is judged by the thirty days before the day of the row, so a value belongs to its day and
its past, wherever the array starts.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel

SAMPLE, SAMPLE_MIN, SAMPLE_MIN_POSITIVE = 720, 336, 100
DECAY = 0.8
"""Weight of an hour against the next one in the decay ratio; a half-life of 3.1 h."""
REACH = 124
"""Slots of the decay ratio; 0.8^124 is 1e-12."""
MIN_WEIGHT = 2.0 / 3.0
HALF_LIVES_H = (1.0, 2.0, 4.0, 8.0, 16.0)
WARM_UP = 48
MAX_BRANCHING = 0.999
NONE, BUILDING, ACTIVE, DECAYING = range(4)
BUILDS_AT, ACTS_AT = 2.0, 4.0
MAX_NULLS = 24

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@kernel
def _sample(x, first, last):  # type: ignore[no-untyped-def]
    """Mean of the known slots of ``first .. last - 1``; NaN where they are too few."""
    n, positive, total = 0, 0, 0.0
    for i in range(max(0, first), last):
        if math.isfinite(x[i]):
            n += 1
            total += x[i]
            positive += 1 if x[i] > 0.0 else 0
    if n < SAMPLE_MIN or positive < SAMPLE_MIN_POSITIVE:
        return np.nan
    return total / n


@kernel
def _decay_ratios(x, day_offset, out):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    weights = np.empty(REACH)
    whole = 0.0
    for k in range(REACH):
        weights[k] = DECAY**k
        whole += weights[k]
    for s in range(columns):
        usual = np.nan
        for h in range(length):
            if h == 0 or (h + day_offset) % 24 == 0:
                day = h - (h + day_offset) % 24
                usual = _sample(x[s], day - SAMPLE, day)
            out[s, h] = np.nan
            if not (math.isfinite(x[s, h]) and usual > 0.0):
                continue
            total, weight = 0.0, 0.0
            for k in range(min(REACH, h + 1)):
                if math.isfinite(x[s, h - k]):
                    total += weights[k] * x[s, h - k]
                    weight += weights[k]
            if weight >= MIN_WEIGHT * whole:
                out[s, h] = total / weight / usual


def decay_ratios(x: Floats, day_offset: int) -> Floats:
    """Decay-weighted mean of the last hours over the plain mean of the 30 d before the day.

    Args:
        x: columns x hours of amounts, NaN null.
        day_offset: hour of day of the first slot.

    Returns:
        columns x hours; NaN for a null hour, under two thirds of the weight present, and where the
        720 slots before the day hold under 336 known or 100 positive ones.
    """
    out = np.empty_like(x)
    _decay_ratios(x, day_offset, out)
    return out


@kernel
def steepest(x, s, base, centre, top, noise, tolerance):  # type: ignore[no-untyped-def]
    """The a in [0, top] that maximises ``sum x log(base + a (s - centre))``, which is concave in a.

    Newton steps to the zero of the slope, halving the bracket where one leaves it.

    Args:
        x: weights, at least 0.
        s: what varies, as many.
        base: the logarithm's argument at a = 0, above 0.
        centre: see above; the argument stays above 0 up to ``top``.
        top: upper end.
        noise: share of the summed sizes under which the slope at 0 is rounding, so that a is 0.
        tolerance: steps that are smaller end the search.
    """
    low, high, at = 0.0, top, 0.0
    for step in range(60):
        slope, curve, size = 0.0, 0.0, 0.0
        for i in range(len(s)):
            away = s[i] - centre
            share = away / (base + at * away)
            slope += x[i] * share
            curve -= x[i] * share * share
            size += abs(x[i] * share)
        if step == 0 and slope <= noise * size:
            break
        if slope > 0.0:
            low = at
        else:
            high = at
        near = at - slope / curve if curve < 0.0 else high
        if not (low < near < high):
            near = 0.5 * (low + high)
        if abs(near - at) <= tolerance:
            break
        at = near
    return at


@kernel
def _fit(x, s, n, phi):  # type: ignore[no-untyped-def]
    """(alpha, log-likelihood without its constant) of lambda = mu + alpha s for given phi.

    The score equations give mu = mean(x) - alpha mean(s), which leaves a concave function of alpha.
    """
    mean_x, mean_s = 0.0, 0.0
    least, most = np.inf, -np.inf
    for i in range(n):
        mean_x += x[i]
        mean_s += s[i]
        least, most = min(least, s[i]), max(most, s[i])
    mean_x /= n
    mean_s /= n
    top = MAX_BRANCHING * (1.0 - phi)
    if mean_s > 0.0:
        top = min(top, (1.0 - 1e-9) * mean_x / mean_s)
    alpha = 0.0
    if most - least > 1e-6 * mean_s:  # else nothing varies, so nothing follows from it
        alpha = steepest(x[:n], s[:n], mean_x, mean_s, top, 1e-12, 1e-13)
    total = 0.0
    for i in range(n):
        if x[i] > 0.0:
            total += x[i] * math.log(mean_x + alpha * (s[i] - mean_s))
    return alpha, total


@kernel
def branching_of(window, decays):  # type: ignore[no-untyped-def]
    """Branching ratio of one window of amounts (NaN null); NaN where it cannot be fitted."""
    usual = _sample(window, 0, len(window))
    if not usual > 0.0:
        return np.nan
    x = np.empty(len(window))
    s = np.empty(len(window))
    best, answer = -np.inf, np.nan
    for phi in decays:
        n, memory = 0, 0.0
        for i in range(len(window)):
            known = math.isfinite(window[i])
            if known and i >= WARM_UP:
                x[n] = window[i] / usual
                s[n] = memory
                n += 1
            memory = phi * memory + (window[i] / usual if known else 0.0)
        mean = 0.0
        for i in range(n):
            mean += x[i]
        if n < SAMPLE_MIN - WARM_UP or mean <= 0.0:
            return np.nan
        alpha, likelihood = _fit(x, s, n, phi)
        if likelihood > best:
            best, answer = likelihood, alpha / (1.0 - phi)
    return min(answer, MAX_BRANCHING)


@kernel
def _branching(x, day_offset, first, decays, out):  # type: ignore[no-untyped-def]
    columns, length = x.shape
    for s in range(columns):
        value = np.nan
        for h in range(first, length):
            if h == first or (h + day_offset) % 24 == 0:
                day = h - (h + day_offset) % 24
                value = branching_of(x[s, day - SAMPLE : day], decays) if day >= SAMPLE else np.nan
            out[s, h - first] = value if math.isfinite(x[s, h]) else np.nan


def branching_ratios(x: Floats, day_offset: int, first: int) -> Floats:
    """Share of the amounts that follows from earlier ones, fitted once a day.

    The expected amount of an hour is ``mu + alpha sum_k phi^(k-1) x(h-k)``: a Hawkes process
    (Hawkes 1971) with an exponential kernel in hourly buckets, an integer-valued autoregression
    of infinite order (Kirchner 2016). mu and alpha maximise the Poisson quasi-likelihood, which asks
    for the mean only, over the 720 hours before the day (the first 48 only warm the sum up), phi the
    best of the half-lives 1, 2, 4, 8, 16 h. The branching ratio is ``alpha / (1 - phi)``, at most
    0.999.

    Args:
        x: columns x hours, at least 743 hours before ``first``.
        day_offset: hour of day of the first slot.
        first: first row whose value is wanted.

    Returns:
        columns x (hours - first), NaN for a null hour or a sample as in :func:`decay_ratios`.
    """
    out = np.empty((x.shape[0], x.shape[1] - first))
    _branching(x, day_offset, first, decays(), out)
    return out


def decays() -> Floats:
    """The decays per hour that a fit chooses from."""
    return np.array([2.0 ** (-1.0 / hours) for hours in HALF_LIVES_H])


@kernel
def _state_after(state, ratio):  # type: ignore[no-untyped-def]
    if ratio >= ACTS_AT:
        return ACTIVE
    if state == ACTIVE:
        if ratio >= 0.5 * ACTS_AT:
            return ACTIVE
        state = DECAYING
    if state == NONE:
        return BUILDING if ratio >= BUILDS_AT else NONE
    return state if ratio >= 0.5 * BUILDS_AT else NONE


@kernel
def _advance(state, nulls, ratio):  # type: ignore[no-untyped-def]
    if math.isnan(ratio):
        nulls += 1
        return (NONE if nulls > MAX_NULLS else state), min(nulls, MAX_NULLS + 1)
    return _state_after(state, ratio), 0


@kernel
def cascade_states(ratio, lookback, out):  # type: ignore[no-untyped-def]
    """State of every row as if its machine began ``lookback`` rows before, with NONE.

    NONE becomes BUILDING at 2 and ACTIVE at 4; ACTIVE becomes DECAYING below 2; BUILDING and DECAYING
    end below 1, and become ACTIVE at 4. A null row is null and keeps the state; more than 24 of them
    restart it. One machine runs through all rows; where it was not at its beginning just before a
    row's own run, a fresh one runs until the two agree.

    Args:
        ratio: columns x hours, NaN null.
        lookback: rows of the trailing run, at most the number of hours.
        out: columns x (hours - lookback + 1), filled with codes, -1 null.
    """
    columns, length = ratio.shape
    states = np.zeros(length, np.int64)
    nulls = np.zeros(length, np.int64)
    for s in range(columns):
        state, blank = NONE, 0
        for h in range(length):
            state, blank = _advance(state, blank, ratio[s, h])
            states[h], nulls[h] = state, blank
        for i in range(length - lookback + 1):
            last = i + lookback - 1
            agreed = i == 0 or (states[i - 1] == NONE and nulls[i - 1] == 0)
            state, blank = NONE, 0
            u = i
            while not agreed and u <= last:
                state, blank = _advance(state, blank, ratio[s, u])
                agreed = state == states[u] and blank == nulls[u]
                u += 1
            answer = states[last] if agreed else state
            out[s, i] = -1 if math.isnan(ratio[s, last]) else answer


__all__ = ["branching_ratios", "cascade_states", "decay_ratios", "steepest"]
