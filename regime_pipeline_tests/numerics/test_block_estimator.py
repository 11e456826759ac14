"""Intervals of shares and quantiles where neighbouring rows resemble one another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from regime_pipeline.numerics.block_estimator import (
    WEEK_H,
    Weeks,
    quantile_interval,
    rows_effective,
    t_quantile,
    variance,
    variance_of_difference,
    week_of,
    wilson,
)

YEARS_2 = 2 * 8_760
AHEAD = 24


def world(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns of the next day at each hour, and the hours of the most volatile tenth."""
    shocks = rng.normal(0, 0.12, YEARS_2 + AHEAD)
    log_volatility = lfilter([1.0], [1.0, -0.985], shocks)
    hourly = rng.normal(0, 1, len(shocks)) * np.exp(log_volatility)
    total = np.concatenate([[0.0], np.cumsum(hourly)])
    later = total[1 + AHEAD :] - total[1:-AHEAD]
    calm = log_volatility[:YEARS_2]
    return later, np.flatnonzero(calm > np.quantile(calm, 0.9))


def covered(count: int) -> tuple[float, float]:
    """Shares of worlds whose interval holds the truth of one half: by blocks, and by all rows."""
    ours = naive = 0
    for seed in range(count):
        later, hours = world(np.random.default_rng(seed))
        weeks = Weeks.of(hours.astype(np.int64), later[hours] > 0)
        quantile = t_quantile(0.95, weeks.blocks_effective())
        apart = len(np.unique(hours // AHEAD))
        low, high = wilson(weeks.share, rows_effective(weeks, apart), quantile)
        ours += low <= 0.5 <= high
        low, high = wilson(weeks.share, weeks.n, 1.96)
        naive += low <= 0.5 <= high
    return ours / count, naive / count


def test_the_interval_holds_the_truth_where_that_of_all_rows_does_not():
    ours, naive = covered(120)
    assert 0.90 <= ours <= 1.0  # 120 worlds: 95 % within two standard errors and a rounding
    assert naive < 0.6


@pytest.mark.slow
def test_the_interval_is_neither_too_narrow_nor_too_wide_in_many_worlds():
    ours, naive = covered(1_000)
    assert 0.92 <= ours <= 0.99
    assert naive < 0.6


def test_weeks_begin_on_mondays():
    monday = 4 * 24 + 100 * WEEK_H
    assert week_of(np.array([monday - 1, monday, monday + WEEK_H - 1])).tolist() == [99, 100, 100]


def test_sums_of_weeks_are_all_that_counts():
    rng = np.random.default_rng(1)
    hours = np.sort(rng.integers(0, 40 * WEEK_H, 500))
    hit = rng.random(500) < 0.4
    order = rng.permutation(500)
    assert variance(Weeks.of(hours, hit)) == variance(Weeks.of(hours[order], hit[order]))


def test_rows_of_one_block_say_nothing_of_their_spread():
    weeks = Weeks.of(np.arange(10) + 96, np.arange(10) % 2 == 0)
    assert np.isnan(variance(weeks))
    assert weeks.blocks_effective() == 1.0


def test_two_shares_of_the_same_rows_do_not_differ():
    rng = np.random.default_rng(2)
    hours = np.arange(60 * WEEK_H)
    weeks = Weeks.of(hours, rng.random(len(hours)) < 0.5)
    assert variance_of_difference(weeks, weeks) == 0.0


def test_a_quantile_lies_within_its_interval():
    rng = np.random.default_rng(3)
    hours, values = np.arange(60 * WEEK_H), rng.normal(0, 1, 60 * WEEK_H)
    middle, low, high = quantile_interval(hours, values, 0.5, 0.95)
    assert low <= middle <= high
    assert low <= 0.0 <= high
    assert high - low < 0.1
