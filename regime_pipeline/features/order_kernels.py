"""Compiled loops over single liquidation orders: an exponential Hawkes fit, clusters by price.

Belongs here: arrays of one symbol's orders. Does not belong here: frames and names
(``liquidation_orders``). Importing this module imports numba.

Everything is computed from a slice of orders that ends at the row or at the row's day, so a value
does not depend on where the arrays begin.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from regime_pipeline.features.excitation_kernels import MAX_BRANCHING, steepest
from regime_pipeline.numerics.compiled import kernel

MIN_EVENTS = 500
MAX_EVENTS = 20_000
"""Orders of a fit; of more, the newest."""
HALF_LIVES_H = 10.0 * 0.5 ** (0.5 * np.arange(23, -1, -1))
"""Half-lives that a fit chooses from: 12 s to 10 h in steps of the root of two."""
CLUSTER_ORDERS = 5
CLUSTER_SHARE = 0.05
CLUSTERS = 3

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@kernel
def _excess(times, beta, end):  # type: ignore[no-untyped-def]
    """Kernel sum before every order, and the kernels' mass until ``end`` (per unit of branching)."""
    sums = np.empty(len(times))
    memory, mass = 0.0, 0.0
    for i in range(len(times)):
        if i > 0:
            memory = (memory + beta) * math.exp(-beta * (times[i] - times[i - 1]))
        sums[i] = memory
        mass += 1.0 - math.exp(-beta * (end - times[i]))
    return sums, mass


@kernel
def hawkes_fit(times, start, end):  # type: ignore[no-untyped-def]
    """Maximum likelihood of ``lambda(t) = mu + n sum_i beta exp(-beta (t - t_i))``.

    At the maximum the expected number of orders is the observed one, which leaves, for a given beta,
    a concave function of the branching ratio n; its slope's zero is bracketed and found. beta is the
    best of the half-lives.

    Args:
        times: order times, ascending, hours.
        start: begin of the observed stretch, hours.
        end: its end.

    Returns:
        (mu per hour, n, beta per hour); NaN under 2 orders or without a stretch.
    """
    count = len(times)
    best, mu, branching, rate = -np.inf, np.nan, np.nan, np.nan
    if count < 2 or not end > start:
        return mu, branching, rate
    for half_life in HALF_LIVES_H:
        beta = math.log(2.0) / half_life
        sums, mass = _excess(times, beta, end)
        plain = count / (end - start)
        slope_of_mu = mass / (end - start)
        top = min(MAX_BRANCHING, (1.0 - 1e-9) * count / mass)
        n = steepest(np.ones(count), sums, plain, slope_of_mu, top, 0.0, 1e-10)
        likelihood = 0.0
        for i in range(count):
            likelihood += math.log(plain + n * (sums[i] - slope_of_mu))
        if likelihood > best:
            best, branching, rate = likelihood, n, beta
            mu = plain - n * slope_of_mu
    return mu, branching, rate


@kernel
def hawkes_rows(times, first_hour, rows, lookback_h, branching, intensity):  # type: ignore[no-untyped-def]
    """Branching ratio and intensity ratio of one symbol and side at every row.

    The model of a row is fitted on the orders of ``lookback_h`` hours before the row's UTC day; the
    intensity is ``lambda(t) / mu`` at the row's end, from all orders before it that still count.

    Args:
        times: order times in hours since 1970, ascending.
        first_hour: hour of the first row, since 1970.
        rows: number of rows.
        lookback_h: hours behind a fit.
        branching: filled; NaN under 500 orders.
        intensity: filled alike.
    """
    mu, n, beta = np.nan, np.nan, np.nan
    for r in range(rows):
        hour = first_hour + r
        if r == 0 or hour % 24 == 0:
            day = hour - hour % 24
            begin = np.searchsorted(times, float(day - lookback_h))
            end = np.searchsorted(times, float(day))
            mu, n, beta = np.nan, np.nan, np.nan
            if end - begin >= MIN_EVENTS:
                since = float(day - lookback_h)
                if end - begin > MAX_EVENTS:
                    begin = end - MAX_EVENTS
                    since = times[begin]
                mu, n, beta = hawkes_fit(times[begin:end], since, float(day))
        branching[r] = n
        intensity[r] = np.nan
        if mu > 0.0:
            now = float(hour + 1)
            reach = 40.0 / beta  # e^-40 of an order is left
            total = 0.0
            for i in range(np.searchsorted(times, now - reach), np.searchsorted(times, now)):
                total += math.exp(-beta * (now - times[i]))
            intensity[r] = 1.0 + n * beta * total / mu


@kernel
def price_clusters(  # type: ignore[no-untyped-def]
    times, prices, usd, first_hour, close, width, lookback_h, below, above
):
    """USD-weighted mean prices of the heaviest bins of liquidated value beside the close.

    Args:
        times: order times of one symbol, hours since 1970, ascending; both sides.
        prices: their prices.
        usd: their values.
        first_hour: hour of the first row.
        close: close of every row; a NaN row gets nothing.
        width: width of a bin by row; NaN gets nothing. Bins are counted from price 0.
        lookback_h: hours before the row's end whose orders count.
        below: rows x 3, filled with levels under the close by falling value; the rest stays.
        above: the same above it.
    """
    for r in range(len(close)):
        if not (math.isfinite(close[r]) and width[r] > 0.0):
            continue
        end = np.searchsorted(times, float(first_hour + r + 1))
        begin = np.searchsorted(times, float(first_hour + r + 1 - lookback_h))
        if end - begin < CLUSTER_ORDERS:
            continue
        order = np.argsort(prices[begin:end], kind="mergesort")
        whole = 0.0
        for i in range(begin, end):
            whole += usd[i]
        weights = np.zeros((2, CLUSTERS))
        i = 0
        while i < len(order):
            level = math.floor(prices[begin + order[i]] / width[r])
            value, moment, members = 0.0, 0.0, 0
            lowest = prices[begin + order[i]]
            while i < len(order) and math.floor(prices[begin + order[i]] / width[r]) == level:
                k = begin + order[i]
                value += usd[k]
                moment += usd[k] * prices[k]
                members += 1
                i += 1
            if members < CLUSTER_ORDERS or value < CLUSTER_SHARE * whole or value <= 0.0:
                continue
            # rounding must not carry a mean out of its own orders' prices
            price = min(max(moment / value, lowest), prices[begin + order[i - 1]])
            side = 0 if price < close[r] else 1
            if price == close[r]:
                continue
            out = below[r] if side == 0 else above[r]
            place = CLUSTERS
            while place > 0 and value > weights[side, place - 1]:
                place -= 1
            if place == CLUSTERS:
                continue
            for j in range(CLUSTERS - 1, place, -1):
                weights[side, j] = weights[side, j - 1]
                out[j] = out[j - 1]
            weights[side, place] = value
            out[place] = price


__all__ = ["hawkes_fit", "hawkes_rows", "price_clusters"]
