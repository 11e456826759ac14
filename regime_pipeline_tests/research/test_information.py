"""Rank correlations with returns: the numbers, their errors, and what is not said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from regime_pipeline.research import information
from regime_pipeline.research.information import Pairs


def test_ranks_are_those_of_the_textbook_with_ties() -> None:
    values = np.array([3.0, 1.0, 1.0, 2.0, 3.0, 3.0])
    assert information.mid_ranks(values) + 1 == pytest.approx(stats.rankdata(values))
    rank = information.standardized(np.array([5.0, np.nan, 1.0, 2.0]))
    assert np.isnan(rank[1])
    assert np.nanmean(rank) == pytest.approx(0) and np.nanmean(rank**2) == pytest.approx(1)
    assert np.isnan(information.standardized(np.full(4, 7.0))).all()


def test_the_coefficient_of_one_symbol_is_spearmans() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal(500)
    y = 0.4 * x + rng.standard_normal(500)
    x[::7], y[::11] = np.nan, np.nan
    both = np.isfinite(x) & np.isfinite(y)
    found = information.pooled(Pairs.of(x[None], y[None]), 1)
    assert found.ic == pytest.approx(stats.spearmanr(x[both], y[both]).statistic, abs=1e-12)
    assert found.n == both.sum()


def test_the_error_is_that_of_bartletts_weights() -> None:
    rng = np.random.default_rng(4)
    u = np.convolve(rng.standard_normal(900), np.ones(24), "valid")
    lag = 96
    direct = float((u * u).sum())
    for k in range(1, lag + 1):
        direct += 2 * (1 - k / (lag + 1)) * float((u[k:] * u[:-k]).sum())
    assert information.newey_west(u[None], lag)[0] == pytest.approx(direct, rel=1e-10)


def test_overlapping_returns_of_a_lasting_score_count_for_fewer_hours() -> None:
    rng = np.random.default_rng(5)
    n, h = 6000, 24
    score = np.zeros(n)
    for t in range(1, n):
        score[t] = 0.97 * score[t - 1] + rng.standard_normal()
    price = np.cumsum(rng.standard_normal(n))
    returns = np.full(n, np.nan)
    returns[:-h] = price[h:] - price[:-h]
    found = information.pooled(Pairs.of(score[None], returns[None]), h)
    assert found.n == n - h
    assert found.n_eff < found.n / 10
    assert found.se > 3 / math.sqrt(found.n)
    assert information.half_life(information.by_symbol(score[None])) == pytest.approx(22.8, rel=0.2)


def test_a_regime_takes_the_ranks_of_all_hours() -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((2, 4000))
    y = rng.standard_normal((2, 4000))
    stormy = rng.random((2, 4000)) < 0.3
    y = np.where(stormy, x, y)
    pairs = Pairs.of(x, y)
    whole, inside, outside, first, second = information.views(pairs, 1, [stormy, ~stormy])
    assert inside.ic > 0.95 and abs(outside.ic) < 0.06
    assert outside.ic < whole.ic < inside.ic
    assert whole.ic == pytest.approx((first.ic + second.ic) / 2, abs=1e-12)


@pytest.mark.parametrize(
    ("hours", "verdict", "why"),
    [
        (80, "UNPROVEN", "under_100_effective_hours"),
        (20 * 96 - 1, "UNPROVEN", "under_20_lags"),
        (20 * 96, "VALID", None),
    ],
)
def test_too_little_history_proves_nothing(hours: int, verdict: str, why: str | None) -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((1, hours))
    found = information.pooled(Pairs.of(x, x + 0.5 * rng.standard_normal((1, hours))), 1)
    assert found.verdict() == (verdict, why)


def test_a_score_that_points_the_wrong_way_is_inverted_and_noise_is_undecided() -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((1, 3000))
    wrong = information.pooled(Pairs.of(x, -x + rng.standard_normal((1, 3000))), 1)
    assert wrong.verdict() == ("INVERTED", None)
    noise = information.pooled(Pairs.of(x, rng.standard_normal((1, 3000))), 1)
    assert noise.verdict() == ("UNDECIDED", "interval_holds_zero")
    nothing = information.pooled(Pairs.of(np.full((1, 9), np.nan), np.ones((1, 9))), 1)
    assert nothing.verdict() == ("UNPROVEN", "no_coefficient")
    assert math.isnan(nothing.ic) and nothing.n == 0


def test_across_symbols_each_hour_is_spearmans_and_four_symbols_are_too_few() -> None:
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((6, 300)), rng.standard_normal((6, 300))
    x[0, :50] = np.nan
    x[1, :20] = np.nan  # four are left
    found, icir = information.across(x, y, 1)
    hourly = []
    for t in range(20, 300):
        both = np.isfinite(x[:, t])
        hourly.append(stats.spearmanr(x[both, t], y[both, t]).statistic)
    assert found.n == 280
    assert found.ic == pytest.approx(np.mean(hourly), abs=1e-12)
    assert icir == pytest.approx(np.mean(hourly) / np.std(hourly, ddof=1), abs=1e-12)
    assert math.isnan(information.across(x[:4], y[:4], 1)[0].ic)


def test_scores_of_50_and_returns_of_0_name_no_direction() -> None:
    hours = np.arange(6)
    scores = np.array([[50.0, 60.0, 40.0, 70.0, np.nan, 10.0]])
    returns = np.array([[0.1, 0.2, 0.3, 0.0, 0.1, -0.1]])
    rate, low, high, n = information.hit_rate(scores, returns, hours, 1)
    assert (rate, n) == (pytest.approx(2 / 3), 3)
    assert low < rate < high
    assert math.isnan(information.hit_rate(np.full((1, 6), 50.0), returns, hours, 1)[0])


def test_half_of_what_is_said_of_three_days_has_come_true_after_a_day_and_a_half() -> None:
    rng = np.random.default_rng(10)
    n = 5000
    said = np.repeat(rng.standard_normal(n // 200), 200)
    price = np.cumsum(said)
    ranks = information.by_symbol(said[None])
    assert information.half_of_the_effect(ranks, price[None], 72) == pytest.approx(36, abs=4)
