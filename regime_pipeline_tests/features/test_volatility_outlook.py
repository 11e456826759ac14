"""Clustering of confirmed classes and the skill of daily forecasts."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features import volatility_outlook as outlook
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.settings import VolatilityParams
from regime_pipeline.windows import Grid
from regime_pipeline_tests.market.candle_worlds import synthetic_candles

NAN = math.nan
PARAMS = VolatilityParams()
START = datetime(2023, 1, 1, 5, tzinfo=UTC)  # no day begins with the data
HOURS = 24 * 480
SYMBOLS = ("ADA/USDT", "BTC/USDT")
COLUMNS = ["clustering_probability", "clustering_n", "har_skill", "predictability"]


def grid(first: int, last: int) -> Grid:
    return Grid(START + timedelta(hours=first), START + timedelta(hours=last), SYMBOLS)


@pytest.fixture(scope="module")
def candles() -> pd.DataFrame:
    holes = ((24 * 300, 3), (24 * 440, 30))
    return synthetic_candles(START, HOURS, seed=21, symbols=SYMBOLS, holes=holes)


@pytest.fixture(scope="module")
def whole(candles: pd.DataFrame) -> pd.DataFrame:
    return volatility_regimes(candles, grid=grid(0, HOURS), params=PARAMS)


# --- against slow references --------------------------------------------------------------------


def test_clustering_counts_the_known_days_after_of_one_year() -> None:
    rng = np.random.default_rng(1)
    steps = rng.random((2, 12_000)) < 0.02
    classes = (np.cumsum(steps, axis=1) * 7 % 4).astype(np.int8)
    classes[rng.random(classes.shape) < 0.05] = -1
    classes[1, :9000] = np.where(classes[1, :9000] == 3, 2, classes[1, :9000])
    probability, visits = outlook.clustering(classes)
    checked = 0
    for s in range(2):
        for h in rng.choice(12_000, 150, replace=False):
            now = classes[s, h]
            rows = np.arange(max(0, h - 8760), h - 24 + 1)
            before, after = classes[s, rows], classes[s, rows + 24]
            mine = (before == now) & (after >= 0)
            if now < 0:
                assert math.isnan(probability[s, h]) and visits[s, h] == -1
                continue
            assert visits[s, h] == mine.sum()
            if mine.sum() < 50:
                assert math.isnan(probability[s, h])
                continue
            same = (mine & (after == now)).sum()
            assert probability[s, h] == (same + 1) / (mine.sum() + 4)
            checked += 1
    assert checked > 150


def slow_skill(variance: np.ndarray, d: int) -> float:
    def mean(last: int, window: int, least: int) -> float:
        part = variance[max(0, last - window + 1) : last + 1]
        part = part[~np.isnan(part)]
        return part.mean() if len(part) >= least else NAN

    x = np.array([[variance[i], mean(i, 7, 6), mean(i, 30, 14)] for i in range(d + 1)])
    ours, plain = [], []
    for day in range(max(1, d - 89), d + 1):
        origin = day - 1
        rows = [
            j
            for j in range(max(0, origin - 120), origin)
            if np.isfinite(x[j]).all() and np.isfinite(variance[j + 1])
        ]
        if len(rows) < 80 or not np.isfinite(x[origin]).all() or not variance[day] > 0:
            continue
        y = variance[[j + 1 for j in rows]]
        design = np.column_stack([np.ones(len(rows)), x[rows]])
        beta = np.linalg.lstsq(design, y, rcond=None)[0]
        forecast = np.clip(beta[0] + x[origin] @ beta[1:], y.min(), y.max())
        for losses, value in ((ours, forecast), (plain, x[origin, 2])):
            losses.append(variance[day] / value - math.log(variance[day] / value) - 1)
    return 1 - sum(ours) / sum(plain) if len(ours) >= 60 else NAN


@pytest.mark.slow
def test_skill_equals_an_independent_regression() -> None:
    rng = np.random.default_rng(2)
    level = np.zeros((2, 320))
    for i in range(1, 320):
        level[:, i] = 0.9 * level[:, i - 1] + rng.normal(0, 0.3, 2)
    variance = 1e-3 * np.exp(level + rng.normal(0, 0.3, level.shape))
    variance[0, [100, 101, 230]] = NAN
    variance[1, 110:124] = NAN  # 16 of 30 d are known on the day after
    got = outlook.har_skill(variance)
    for s in range(2):
        days = [*range(0, 320, 45), 171, 172, 173, 250, 319]
        expected = [slow_skill(variance[s], d) for d in days]
        assert np.isfinite(expected).sum() >= 5 and np.isnan(expected).any()
        np.testing.assert_allclose(got[s, days], expected, rtol=1e-7)
    assert np.nanmin(got[1, 250:]) > 0.1  # there is something to foresee
    noise = outlook.har_skill(1e-3 * np.exp(rng.normal(0, 0.5, (1, 2000))))
    assert np.nanmean(noise) < 0.02


def test_a_flat_or_dead_market_has_no_skill() -> None:
    assert np.isnan(outlook.har_skill(np.full((1, 400), 1e-3))).all()  # no regression
    assert np.isnan(outlook.har_skill(np.zeros((1, 400)))).all()  # no loss


def test_rows_hold_the_skill_of_the_newest_whole_day(whole: pd.DataFrame) -> None:
    btc = whole[whole["symbol"] == SYMBOLS[1]].reset_index(drop=True)
    last = btc["ts"].dt.hour == 23
    variance = btc.loc[last, "volatility_24h"].to_numpy() ** 2
    expected = outlook.har_skill(variance[None, :])[0]
    days = np.cumsum(last) - 1
    held = np.where(days >= 0, expected[np.maximum(days, 0)], NAN)
    np.testing.assert_array_equal(btc["har_skill"].to_numpy(), held)
    skill = btc["har_skill"].dropna()
    assert len(skill) > 24 * 100
    names = np.select([skill >= 0.2, skill >= 0.05], ["HIGH", "MEDIUM"], "LOW")
    assert btc.loc[skill.index, "predictability"].tolist() == names.tolist()
    assert btc.loc[btc["har_skill"].isna(), "predictability"].isna().all()


def test_rows_carry_the_counts_of_their_confirmed_class(whole: pd.DataFrame) -> None:
    btc = whole[whole["symbol"] == SYMBOLS[1]].reset_index(drop=True)
    names = ["STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME"]
    codes = btc["vol_regime_confirmed"].map({n: i for i, n in enumerate(names)}).fillna(-1)
    probability, visits = outlook.clustering(codes.to_numpy(np.int8)[None, :])
    np.testing.assert_array_equal(btc["clustering_probability"].to_numpy(), probability[0])
    known = btc["vol_regime_confirmed"].notna()
    assert btc.loc[known, "clustering_n"].tolist() == visits[0][known].tolist()
    assert btc.loc[~known, COLUMNS[:2]].isna().all(axis=None)
    validate(whole, table("features.volatility_regimes"))


# --- time and missing data ----------------------------------------------------------------------


def test_a_tick_with_the_declared_history_gives_the_same_bytes(
    candles: pd.DataFrame, whole: pd.DataFrame
) -> None:
    back = reach_of(volatility_regimes, "market.candles_1h")
    for first, last in ((HOURS - 1, HOURS), (24 * 441 + 3, 24 * 441 + 9), (HOURS - 40, HOURS - 15)):
        tick = grid(first, last)
        near = candles[(candles["ts"] >= tick.start - back) & (candles["ts"] < tick.end)]
        got = volatility_regimes(near, grid=tick, params=PARAMS)
        inside = (whole["ts"] >= tick.start) & (whole["ts"] < tick.end)
        expected = whole[inside].reset_index(drop=True)
        pd.testing.assert_frame_equal(got, expected, check_exact=True)


def test_what_comes_later_changes_nothing(candles: pd.DataFrame, whole: pd.DataFrame) -> None:
    cut = START + timedelta(hours=24 * 460 + 11)
    garbage = candles.copy()
    garbage.loc[garbage["ts"] > cut, ["open", "high", "low", "close"]] = [3.0, 9e7, 1e-6, 5.0]
    got = volatility_regimes(garbage, grid=grid(0, HOURS), params=PARAMS)
    before = got["ts"] <= cut
    pd.testing.assert_frame_equal(got[before], whole[before], check_exact=True)
    assert not got[~before]["har_skill"].equals(whole[~before]["har_skill"])


def test_a_lost_day_is_null_for_its_class_and_leaves_the_outlook_standing_after_it(
    whole: pd.DataFrame,
) -> None:
    btc = whole[whole["symbol"] == SYMBOLS[1]].reset_index(drop=True)
    hole = btc.iloc[24 * 440 + 6 : 24 * 441 + 6]
    assert hole["status"].eq("missing").all() and hole[COLUMNS[:2]].isna().all(axis=None)
    after = btc.iloc[24 * 444 :]
    assert after[COLUMNS].notna().all(axis=None)


def test_a_short_history_has_no_outlook_but_keeps_its_status() -> None:
    young = synthetic_candles(START, 24 * 60, seed=6, symbols=SYMBOLS)
    got = volatility_regimes(young, grid=grid(24 * 50, 24 * 60), params=PARAMS)
    assert got["status"].eq("ok").all() and got["har_skill"].isna().all()
    assert (got.loc[got["clustering_n"] < 50, "clustering_probability"].isna()).all()
