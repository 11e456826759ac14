"""Volatility regimes by a statistical jump model, refitted every Monday on the year before.

Belongs here: the compiled fit and the online states, on arrays of columns x hours. Does not belong
here: panels, names and reasons (``volatility_regimes``). Importing this module imports numba.

The model (Bemporad et al. 2018; Nystrup et al. 2020) gives every observation a state and charges for
each change of state: ``sum_t |x_t - mu(s_t)|^2 / 2 + penalty * changes``. An observation is the log
volatility of 6 h, of 24 h and of an exponentially weighted week, standardised over the fit's window.
Everything about a week comes from the 365 days before its Monday and from the week itself, so a row
does not depend on where the array begins.

The definition in words: docs/methods.md, section 4.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.compiled import kernel

STATES = 4
TERMS = 3
WEEK_H = 168
MONDAY = 96
"""The first Monday 00:00 UTC in hours since 1970."""
STEP_H = 6
"""Observations of a fit are six hours apart: at 05, 11, 17 and 23."""
FIT_H = 8760
SAMPLES = FIT_H // STEP_H
MIN_SAMPLES = 1314
"""Nine tenths of them must be known: a year of data."""
TRAIN = 1095
"""Samples that a penalty is tried on; the last quarter of the year judges it."""
AHEAD = 24 // STEP_H
PENALTIES = np.array([2.0, 6.0, 20.0, 60.0, 200.0])
EWMA_H = 672
"""Slots of the weighted week; what is left out weighs 0.04 %."""
ALPHA = 2.0 / (WEEK_H + 1)
MAX_ROUNDS = 50
OK, NO_OBSERVATION, SHORT, FLAT = range(4)

Floats = npt.NDArray[np.float64]


@kernel
def _observation(variance, h, weights, out):  # type: ignore[no-untyped-def]
    """Log volatilities at row ``h``; False where one is unknown or nothing moved."""
    for term, window in enumerate((6, 24)):
        n, total = 0, 0.0
        for i in range(max(0, h - window + 1), h + 1):
            if math.isfinite(variance[i]):
                n += 1
                total += variance[i]
        if 6 * n < 5 * window or not total > 0.0:
            return False
        out[term] = 0.5 * math.log(total / n)
    weight, total, whole = 0.0, 0.0, 0.0
    for k in range(len(weights)):
        whole += weights[k]
        if h - k >= 0 and math.isfinite(variance[h - k]):
            weight += weights[k]
            total += weights[k] * variance[h - k]
    if 6.0 * weight < 5.0 * whole or not total > 0.0:
        return False
    out[2] = 0.5 * math.log(total / weight)
    return True


@kernel
def _scale(x, known, n, centre, spread):  # type: ignore[no-untyped-def]
    """Mean and sd of the first ``n`` observations; False where one does not vary."""
    count = 0
    centre[:] = 0.0
    spread[:] = 0.0
    for t in range(n):
        if known[t]:
            count += 1
            for d in range(TERMS):
                centre[d] += x[t, d]
    centre /= max(count, 1)
    for t in range(n):
        if known[t]:
            for d in range(TERMS):
                spread[d] += (x[t, d] - centre[d]) ** 2
    for d in range(TERMS):
        spread[d] = math.sqrt(spread[d] / max(count - 1, 1))
        if spread[d] <= 1e-12 * max(abs(centre[d]), 1e-12):
            return False
    return True


@kernel
def _loss(x, mu, k):  # type: ignore[no-untyped-def]
    a, b, c = x[0] - mu[k, 0], x[1] - mu[k, 1], x[2] - mu[k, 2]
    return 0.5 * (a * a + b * b + c * c)


@kernel
def _forward(cost, x, is_known, mu, penalty):  # type: ignore[no-untyped-def]
    """Costs of ending in each state after one more observation, in place."""
    least = cost[0]
    for k in range(1, STATES):
        least = min(least, cost[k])
    for k in range(STATES):
        cost[k] = min(cost[k], least + penalty)
        if is_known:
            cost[k] += _loss(x, mu, k)


@kernel
def _decode(z, known, n, mu, penalty, states):  # type: ignore[no-untyped-def]
    """The cheapest path of states through the first ``n`` observations, and its cost."""
    cost = np.zeros(STATES)
    came = np.empty((n, STATES), np.int8)
    for t in range(n):
        least = 0
        for k in range(1, STATES):
            if cost[k] < cost[least]:
                least = k
        fee = penalty if t > 0 else 0.0
        jump = cost[least] + fee
        for k in range(STATES):
            came[t, k] = k if cost[k] <= jump else least
            cost[k] = min(cost[k], jump)
            if known[t]:
                a, b, c = z[t, 0] - mu[k, 0], z[t, 1] - mu[k, 1], z[t, 2] - mu[k, 2]
                cost[k] += 0.5 * (a * a + b * b + c * c)
    last = 0
    for k in range(1, STATES):
        if cost[k] < cost[last]:
            last = k
    total = cost[last]
    for t in range(n - 1, -1, -1):
        states[t] = last
        last = came[t, last]
    return total


@kernel
def _start(z, known, n, shares, mu):  # type: ignore[no-untyped-def]
    """Centres of groups by the mean of the terms, cut at the given shares of observations."""
    count = 0
    score = np.empty(n)
    at = np.empty(n, np.int64)
    for t in range(n):
        if known[t]:
            score[count] = z[t, 0] + z[t, 1] + z[t, 2]
            at[count] = t
            count += 1
    order = np.argsort(score[:count], kind="mergesort")
    begin = 0
    for k in range(STATES):
        end = int(shares[k] * count)
        mu[k] = 0.0
        for i in range(begin, end):
            for d in range(TERMS):
                mu[k, d] += z[at[order[i]], d] / (end - begin)
        begin = end


@kernel
def _descend(z, known, n, penalty, mu):  # type: ignore[no-untyped-def]
    """Best path for the centres, best centres for the path, until neither moves; the cost."""
    states = np.full(n, -1, np.int64)
    before = np.full(n, -2, np.int64)
    total = np.inf
    for _ in range(MAX_ROUNDS):
        total = _decode(z, known, n, mu, penalty, states)
        if np.array_equal(states, before):
            break
        before[:] = states
        counts = np.zeros(STATES)
        sums = np.zeros((STATES, TERMS))
        for t in range(n):
            if known[t]:
                counts[states[t]] += 1.0
                for d in range(TERMS):
                    sums[states[t], d] += z[t, d]
        for k in range(STATES):
            if counts[k] > 0.0:  # a state that nothing is in stays where it is
                for d in range(TERMS):
                    mu[k, d] = sums[k, d] / counts[k]
    return total


@kernel
def fit(z, known, n, penalty, mu):  # type: ignore[no-untyped-def]
    """Centres of the jump model on the first ``n`` standardised observations, by rising volatility.

    Coordinate descent from two fixed starts (groups of equal size, groups of half, 30, 15 and 5 %);
    the cheaper end counts, of equal ones the first. States are sorted by their 24 h volatility.

    Returns:
        The cost of the fit; ``mu`` (states x terms) is filled.
    """
    other = np.empty((STATES, TERMS))
    _start(z, known, n, np.array([0.25, 0.5, 0.75, 1.0]), mu)
    total = _descend(z, known, n, penalty, mu)
    _start(z, known, n, np.array([0.5, 0.8, 0.95, 1.0]), other)
    second = _descend(z, known, n, penalty, other)
    if second < total - 1e-9:
        total = second
        mu[:] = other
    for k in range(1, STATES):  # insertion: four rows
        for j in range(k, 0, -1):
            if mu[j, 1] < mu[j - 1, 1]:
                for d in range(TERMS):
                    mu[j, d], mu[j - 1, d] = mu[j - 1, d], mu[j, d]
    return total


@kernel
def online_states(z, known, n, mu, penalty, states):  # type: ignore[no-untyped-def]
    """The state of every observation as the observations up to it say; the final costs.

    ``states`` is filled with -1 where the observation is unknown.
    """
    cost = np.zeros(STATES)
    for t in range(n):
        _forward(cost, z[t], known[t], mu, penalty if t > 0 else 0.0)
        states[t] = np.argmin(cost) if known[t] else -1
    return cost


@kernel
def _judge(x, z, known, penalty, mu):  # type: ignore[no-untyped-def]
    """Squared error of the next day's log volatility, forecast by the state, in the last quarter.

    The centres and each state's mean outcome come from the first three quarters alone.
    """
    states = np.empty(SAMPLES, np.int64)
    online_states(z, known, SAMPLES, mu, penalty, states)
    n, total = np.zeros(STATES), np.zeros(STATES)
    for t in range(TRAIN - AHEAD):
        if states[t] >= 0 and known[t + AHEAD]:
            n[states[t]] += 1.0
            total[states[t]] += x[t + AHEAD, 1]
    scored, lost = 0, 0.0
    for t in range(TRAIN, SAMPLES - AHEAD):
        if states[t] >= 0 and known[t + AHEAD] and n[states[t]] > 0.0:
            scored += 1
            lost += (x[t + AHEAD, 1] - total[states[t]] / n[states[t]]) ** 2
    return lost / scored if scored > 0 else np.inf


@kernel
def choose_penalty(x, known):  # type: ignore[no-untyped-def]
    """The penalty whose states forecast the last quarter best; of equal ones the largest."""
    centre, spread = np.empty(TERMS), np.empty(TERMS)
    n = np.int64(TRAIN)  # no constant: see numerics.compiled
    if not _scale(x, known, n, centre, spread):
        return np.nan
    z = np.empty((SAMPLES, TERMS))
    for t in range(SAMPLES):
        for d in range(TERMS):
            z[t, d] = (x[t, d] - centre[d]) / spread[d]
    best, chosen = np.inf, np.nan
    mu = np.empty((STATES, TERMS))
    _start(z, known, n, np.array([0.25, 0.5, 0.75, 1.0]), mu)
    for penalty in PENALTIES:  # each begins where the one before ended
        _descend(z, known, n, penalty, mu)
        loss = _judge(x, z, known, penalty, mu)
        if loss <= best:
            best, chosen = loss, penalty
    return chosen


@kernel
def _learn(x, known, centre, spread, mu, cost):  # type: ignore[no-untyped-def]
    """Fits a week's model on its year: (why not, penalty), and fills scale, centres and costs."""
    if known.sum() < MIN_SAMPLES:
        return SHORT, np.nan
    chosen = choose_penalty(x, known)
    n = np.int64(SAMPLES)
    if not _scale(x, known, n, centre, spread) or math.isnan(chosen):
        return FLAT, np.nan
    z = np.empty((SAMPLES, TERMS))
    for t in range(SAMPLES):
        for d in range(TERMS):
            z[t, d] = (x[t, d] - centre[d]) / spread[d]
    fit(z, known, n, chosen, mu)
    cost[:] = online_states(z, known, n, mu, chosen, np.empty(SAMPLES, np.int64))
    return OK, chosen


@kernel
def _weeks(variance, first_hour, first, weights, state, penalty, monday, why):  # type: ignore[no-untyped-def]
    columns, length = variance.shape
    base = first_hour
    for s in range(columns):
        samples = np.zeros((length // STEP_H + 2, TERMS))
        there = np.zeros(length // STEP_H + 2, np.bool_)
        offset = (5 - base) % STEP_H  # row of the first sample
        for i in range((length - offset + STEP_H - 1) // STEP_H):
            there[i] = _observation(variance[s], offset + i * STEP_H, weights, samples[i])
        mu = np.empty((STATES, TERMS))
        centre, spread = np.empty(TERMS), np.empty(TERMS)
        cost, trial, point = np.zeros(STATES), np.zeros(STATES), np.empty(TERMS)
        current, problem, chosen, taken = -1, SHORT, np.nan, 0
        for h in range(first, length):
            hour = base + h
            week = hour - (hour - MONDAY) % WEEK_H
            if week != current:
                current = week
                begin = (week - FIT_H - base - offset + 5) // STEP_H  # week - FIT_H + 5 is a sample
                end = begin + SAMPLES
                problem, chosen = SHORT, np.nan
                if begin >= 0:
                    problem, chosen = _learn(
                        samples[begin:end], there[begin:end], centre, spread, mu, cost
                    )
                taken = end  # samples that the running costs hold
            r = h - first
            monday[s, r] = current
            penalty[s, r] = chosen if problem == OK else np.nan
            state[s, r] = -1
            why[s, r] = problem
            if problem != OK:
                continue
            while offset + taken * STEP_H < h:  # samples of this week before the row
                for d in range(TERMS):
                    point[d] = (samples[taken, d] - centre[d]) / spread[d]
                _forward(cost, point, there[taken], mu, chosen)
                taken += 1
            is_known = _observation(variance[s], h, weights, point)
            if not is_known:
                why[s, r] = NO_OBSERVATION
                continue
            for d in range(TERMS):
                point[d] = (point[d] - centre[d]) / spread[d]
            trial[:] = cost
            _forward(trial, point, is_known, mu, chosen)
            state[s, r] = np.argmin(trial)


def jump_regimes(
    variance: Floats, first_hour: int, first: int
) -> tuple[npt.NDArray[np.int8], Floats, npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Rank of the volatility state of every row from ``first`` on, 0 the calmest of four.

    A row's state is the last of the cheapest path through the fit's year, the week's six-hourly
    observations before the row and the row's own one (taken as the next observation); it is never
    revised. The penalty is chosen every Monday: of five, the one whose states, fitted on the first
    three quarters of the year, forecast the next day's volatility best in the last quarter.

    Args:
        variance: columns x hours, variance of every bar, NaN where unknown; 9,599 hours before
            ``first`` are looked at.
        first_hour: hour of the first column since 1970.
        first: first row wanted.

    Returns:
        state (-1 null), penalty (NaN without a fit), Monday of the fit in hours since 1970, and why
        a row has no state: ``OK``, ``NO_OBSERVATION``, ``SHORT``, ``FLAT``.
    """
    shape = (variance.shape[0], variance.shape[1] - first)
    state, why = np.empty(shape, np.int8), np.empty(shape, np.int8)
    penalty, monday = np.empty(shape), np.empty(shape, np.int64)
    weights = (1.0 - ALPHA) ** np.arange(EWMA_H)
    _weeks(np.ascontiguousarray(variance), first_hour, first, weights, state, penalty, monday, why)
    return state, penalty, monday, why


__all__ = ["choose_penalty", "fit", "jump_regimes", "online_states"]
