from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import NormalDist, median

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import lookbacks
from regime_pipeline.catalogue.fields.signals import FACTOR_NUMBERS, FACTORS
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.settings import FundingParams, FuturesParams
from regime_pipeline.signals import factors as f
from regime_pipeline.signals.futures_score import (
    composite,
    futures_scores,
    level_of,
    signal_of,
)
from regime_pipeline.windows import Grid, parse_lookback, utc
from regime_pipeline_tests.signals.worlds import SYMBOLS, World, grid_of, world
from regime_pipeline_tests.synthetic import same_bytes

PARAMS = FuturesParams()
WEIGHTS = PARAMS.weights_pct
CROWD = FACTOR_NUMBERS["long_short"]
PHI = NormalDist().cdf
BEGIN, START, END = utc("2024-01-01"), utc("2024-03-10"), utc("2024-03-16")
GRID = Grid(START, END, SYMBOLS)


def scores(
    data: World,
    grid: Grid,
    params: FuturesParams = PARAMS,
    *,
    social: str | None = None,
    derivatives_1d: pd.DataFrame | None = None,
    interval: str = "1h",
) -> pd.DataFrame:
    out = futures_scores(
        data.liquidations_1h,
        data.funding,
        data.candles_1h,
        data.positioning_1h,
        data.open_interest,
        data.fear_greed,
        data.sentiment_1h,
        derivatives_1d,
        grid=grid,
        params=params,
        funding_params=FundingParams(),
        social_source=social,
        interval=interval,
    )
    validate(out, table("signals.futures_scores"))
    assert len(out) == len(grid.hours) * len(grid.symbols)
    return out


@pytest.fixture(scope="module")
def data() -> World:
    return world(BEGIN, END)


@pytest.fixture(scope="module")
def whole(data: World) -> pd.DataFrame:
    return scores(data, GRID)


@pytest.mark.slow
def test_a_halted_perpetual_has_no_score(data: World, whole: pd.DataFrame) -> None:
    """A bar that was seen and does not count has a tier and no close."""
    bars = data.candles_1h
    at = pd.Timestamp(END) - pd.Timedelta(hours=5)
    dead = (bars["symbol"] == SYMBOLS[0]) & (bars["market"] == "perp") & (bars["ts"] == at)
    bars = bars.assign(close=bars["close"].mask(dead))
    got = scores(replace(data, candles_1h=bars), Grid(END - timedelta(hours=6), END, SYMBOLS))
    here = (got["symbol"] == SYMBOLS[0]) & (got["ts"] == at)
    row = got[here].iloc[0]
    assert (row["status"], row["reason"]) == ("not_applicable", "halted")
    assert (
        got.loc[here, ["futures_score", "futures_signal", "score_uncovered"]].isna().all(axis=None)
    )
    others = got[~here & (got["symbol"] != SYMBOLS[0])]
    before = whole[whole["ts"].isin(others["ts"]) & (whole["symbol"] != SYMBOLS[0])]
    same_bytes(others, before)


# --- single factors ----------------------------------------------------------------------------


def column(values: list[float] | np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype="float64")[:, None]


def test_liquidations_of_the_replaced_system_read_54_4() -> None:
    """7.7 M longs and 9.2 M shorts in 24 h with nothing usual to compare with."""
    quiet = np.zeros(1600)
    longs, shorts = quiet.copy(), quiet.copy()
    longs[-24:], shorts[-24:] = 7.7e6 / 24, 9.2e6 / 24
    factor = f.liquidations(column(longs), column(shorts), first_hour=0)
    # imb24 of the rows just before is not yet in a median over thirty days of silence
    assert factor.score[-1, 0] == pytest.approx(54.4, abs=0.05)
    assert factor.status[-1, 0] == f.STATUSES.index("ok")


def test_liquidations_need_28_days_and_settle_after_60() -> None:
    rng = np.random.default_rng(1)
    longs, shorts = (column(rng.lognormal(10, 1, 1600)) for _ in range(2))
    factor = f.liquidations(longs, shorts, first_hour=0)
    known = np.flatnonzero(np.isfinite(factor.score[:, 0]))
    assert known[0] == 19 + 336 + 336  # a first sum after 20 hours, two medians of 14 days
    partial = factor.status[:, 0] == f.STATUSES.index("partial")
    assert np.flatnonzero(factor.status[:, 0] == 0)[0] == 19 + 1440
    assert partial[known[0] : 19 + 1440].all()


@pytest.mark.parametrize(
    ("z", "score"),
    [
        (0.9, 50.0),
        (-1.0, 50.0),
        (2.0, 100 * PHI(-1.0)),
        (-2.5, 100 * PHI(1.5)),
        (9.0, 100 * PHI(-3)),
    ],
)
def test_high_funding_is_bearish_because_crowded_longs_pay_it_and_low_funding_bullish(
    z: float, score: float
) -> None:
    eight, no = column([8.0]), np.zeros((1, 1), dtype=bool)
    factor = f.funding(column([z]), column([2.0]), eight, no, no)
    assert factor.score[0, 0] == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "score"), [(10, 65), (25, 50), (26, 50), (74, 50), (75, 50), (90, 35), (100, 25)]
)
def test_fear_and_greed_is_contrarian_at_its_extremes(value: float, score: float) -> None:
    assert f.fear_greed(column([value]), column([5.0])).score[0, 0] == score


def test_fear_and_greed_is_held_for_36_hours() -> None:
    factor = f.fear_greed(column([10] * 3), column([24.0, 36.0, 36.5]))
    assert np.isfinite(factor.score[:, 0]).tolist() == [True, True, False]
    assert factor.freshness[:2, 0].tolist() == [1.0, 0.5]
    assert f.STATUSES[factor.status[2, 0]] == "stale"


def test_a_rising_price_with_falling_open_interest_is_weaker_but_still_up() -> None:
    rng = np.random.default_rng(2)
    coins = np.exp(np.cumsum(rng.normal(size=900) * 0.01))
    price = np.exp(np.cumsum(np.abs(rng.normal(size=900)) * 0.001))
    factor = f.open_interest(column(coins), column(coins * np.nan), column(price), first_hour=0)
    score, fell = factor.score[-400:, 0], factor.weak[-400:, 0]
    assert (score > 50).all()
    assert (score[fell] < 75).all()
    assert score[~fell].max() > 75
    down = f.open_interest(column(coins), column(coins * np.nan), column(1 / price), first_hour=0)
    np.testing.assert_allclose(down.score[-400:, 0], 100 - score)


def test_open_interest_in_dollars_is_turned_into_coins() -> None:
    rng = np.random.default_rng(3)
    coins = column(np.exp(np.cumsum(rng.normal(size=900) * 0.01)))
    price = column(np.exp(np.cumsum(rng.normal(size=900) * 0.01)))
    own = f.open_interest(coins, coins * np.nan, price, first_hour=0)
    implied = f.open_interest(coins * np.nan, coins * price, price, first_hour=0)
    np.testing.assert_allclose(own.score[-300:], implied.score[-300:], atol=1e-6)


def test_a_share_missing_for_an_hour_is_carried_and_longer_is_null() -> None:
    rng = np.random.default_rng(4)
    shares = rng.beta(20, 10, 900)
    shares[[800, 810, 811]] = np.nan
    factor = f.share(column(shares), sign=-1.0, first_hour=0, names=CROWD)
    score = factor.score[:, 0]
    assert score[800] == score[799]
    assert score[810] == score[809]
    assert math.isnan(score[811])
    assert f.REASONS[factor.reason[800, 0]] == "carried_1h"
    assert f.REASONS[factor.reason[811, 0]] == "no_observation"
    # the carried hour is no observation of the window that judges the next ones
    logit = np.log(shares / (1 - shares))
    window = logit[812 - 720 : 812]
    window = window[~np.isnan(window)]
    z = (logit[812] - window.mean()) / window.std(ddof=1)
    assert score[812] == pytest.approx(100 * PHI(-z), rel=1e-9)


def test_a_constant_share_is_null() -> None:
    factor = f.share(column([0.716] * 900), sign=-1.0, first_hour=0, names=CROWD)
    assert math.isnan(factor.score[-1, 0])
    assert f.REASONS[factor.reason[-1, 0]] == "zero_dispersion"


# --- the composite -----------------------------------------------------------------------------


def made(values: dict[str, float]) -> dict[str, f.Factor]:
    """Factors of one row; a name that is absent is missing."""
    out = {}
    for name in FACTORS:
        there = name in values
        out[name] = f.Factor(
            column([values.get(name, math.nan)]),
            np.array([[0 if there else 3]], dtype=np.int8),
            np.array([[-1 if there else f.REASONS.index("no_observation")]], dtype=np.int8),
            column([1.0 if there else math.nan]),
        )
    return out


def row_of(values: dict[str, float]) -> dict[str, object]:
    return {k: v[0, 0] for k, v in composite(made(values), WEIGHTS, params=PARAMS).items()}


@pytest.mark.parametrize(
    ("score", "signal"), [(65.0, "LONG"), (35.0, "SHORT"), (64.999, "NEUTRAL"), (35.001, "NEUTRAL")]
)
def test_the_borders_of_the_signal(score: float, signal: str) -> None:
    row = row_of(dict.fromkeys(FACTORS, score))
    assert row["futures_score"] == pytest.approx(score, abs=1e-12)
    assert row["futures_signal"] == signal
    assert signal_of(column([score]), params=PARAMS)[0, 0] == signal


def test_in_noise_one_hour_in_twelve_is_long_and_as_many_are_short() -> None:
    """Even scores, independent of each other: what the methods page advertises."""
    rng = np.random.default_rng(20241130)
    count = 40_000
    found = {
        name: f.Factor(
            rng.uniform(0, 100, (count, 1)),
            np.zeros((count, 1), np.int8),
            np.full((count, 1), -1, np.int8),
            np.ones((count, 1)),
        )
        for name in FACTORS
    }
    rows = composite(found, WEIGHTS, params=PARAMS)
    assert rows["futures_score"].std() == pytest.approx(10.8, abs=0.1)
    assert rows["futures_score"].mean() == pytest.approx(50.0, abs=0.2)
    for label in ("LONG", "SHORT"):
        assert (rows["futures_signal"] == label).mean() == pytest.approx(0.085, abs=0.004), label


def test_under_70_percent_there_is_no_signal_but_the_number_stays() -> None:
    names = ["liquidations", "funding", "momentum", "long_short"]  # 65 %
    row = row_of(dict.fromkeys(names, 80.0))
    assert row["coverage_pct"] == 65
    assert row["score_uncovered"] == 80.0
    assert math.isnan(row["futures_score"])
    assert math.isnan(row["confidence"])
    assert (row["futures_signal"], row["top_factors"], row["status"]) == (None, None, "missing")
    row = row_of(dict.fromkeys([*names, "fear_greed"], 80.0))
    assert (row["coverage_pct"], row["futures_signal"]) == (70, "LONG")


def test_missing_factors_are_not_fifty() -> None:
    row = row_of(dict.fromkeys([n for n in FACTORS if n != "liquidations"], 70.0))
    assert row["futures_score"] == 70.0
    assert row["score_fixed50"] == pytest.approx(66.0)
    nothing = row_of({})
    assert nothing["coverage_pct"] == 0
    for name in ("score_uncovered", "score_fixed50", "factor_agreement", "freshness"):
        assert math.isnan(nothing[name])


def test_agreement_and_confidence() -> None:
    opposed = row_of(
        {n: 60.0 if n in ("liquidations", "long_short", "funding") else 40.0 for n in FACTORS}
    )
    assert opposed["factor_agreement"] == pytest.approx(0.0)
    assert opposed["confidence"] == pytest.approx(0.0)
    assert row_of(dict.fromkeys(FACTORS, 50.0))["factor_agreement"] == 1.0
    row = row_of({n: 60.0 for n in FACTORS if n != "fear_greed"})
    assert row["confidence"] == pytest.approx(0.95)
    assert level_of(np.array([0.75, 0.7499, 0.5, 0.49, np.nan])).tolist() == [
        "high",
        "medium",
        "medium",
        "low",
        None,
    ]


def test_top_factors_take_ties_in_table_order_and_leave_zeros_out() -> None:
    values = dict.fromkeys(FACTORS, 50.0)
    assert row_of(values)["top_factors"] == "[]"
    values |= {"long_short": 60.0, "funding": 40.0, "momentum": 60.0, "fear_greed": 80.0}
    top = json.loads(str(row_of(values)["top_factors"]))
    assert [t["factor"] for t in top] == ["funding", "momentum", "long_short"]
    assert [t["contribution"] for t in top] == [-1.5, 1.5, 1.5]
    assert "high" in top[0]["reason"]
    assert json.dumps(top, sort_keys=True, separators=(",", ":")) == row_of(values)["top_factors"]


@pytest.mark.parametrize("weights", [{"funding": 100, "astrology": 0}, {"funding": 60}])
def test_weights_must_be_known_and_whole(weights: dict[str, int], data: World) -> None:
    with pytest.raises(ValueError, match="add up to 100"):
        scores(data, grid_of(START, 1), FuturesParams(weights_pct=weights))


def test_a_score_can_be_worked_out_again_from_the_numbers_in_its_row(data: World) -> None:
    rows = scores(data, GRID, social="lunarcrush")
    phi = np.vectorize(PHI)

    def at(name: str) -> np.ndarray:
        return rows[name].to_numpy("float64", na_value=np.nan)

    def z(name: str) -> np.ndarray:
        return np.clip(at(name), -4.0, 4.0)

    longs, shorts = at("long_liquidations_24h_usd"), at("short_liquidations_24h_usd")
    total = longs + shorts + at("liquidations_usual_24h_usd")
    np.testing.assert_allclose(at("liquidations_balance"), (shorts - longs) / total)
    change = at("oi_trend_change_24h")
    size = np.tanh(np.abs(z("oi_trend_z")) / 2) * np.where(change > 0, 1.0, 0.5)
    mood = at("fear_greed")
    beyond = np.maximum(np.abs(z("funding_z")) - 1.0, 0.0)
    returns = sum(at(f"momentum_return_{h}h") / math.sqrt(h) for h in (1, 4, 24))
    mean = np.clip(returns / 3 / at("momentum_sigma_1h"), -3, 3)
    np.testing.assert_allclose(at("momentum_factor_raw"), mean)
    again = {
        "liquidations": 50
        + 50 * np.clip(at("liquidations_balance") - at("liquidations_balance_usual"), -1, 1),
        "funding": 100 * phi(-np.sign(z("funding_z")) * beyond),
        "momentum": 100 * phi(mean),
        "long_short": 100 * phi(-z("long_short_z")),
        "smart_money": 100 * phi(z("smart_money_z")),
        "oi_trend": 50 + 50 * size * np.sign(at("oi_trend_return_24h")),
        "social": 100
        * phi(np.clip(z("social_z") * np.clip(z("social_mentions_z"), 0, 1.5), -4, 4)),
        "fear_greed": np.where(mood <= 25, 75 - mood, np.where(mood >= 75, 125 - mood, 50.0)),
    }
    weight = {name: at(f"{name}_factor_weight_pct") for name in FACTORS}
    for name in FACTORS:
        np.testing.assert_allclose(again[name], at(f"{name}_factor"), atol=1e-9, err_msg=name)
        assert (weight[name] == WEIGHTS[name]).all()
    total_score = sum(weight[n] * again[n] for n in FACTORS) / sum(weight.values())
    np.testing.assert_allclose(total_score, at("futures_score"), atol=1e-9)


# --- the whole row against a slow reference ----------------------------------------------------


def lookup(frame: pd.DataFrame, symbol: str, name: str) -> dict[datetime, float]:
    mine = frame[frame["symbol"] == symbol]
    return dict(zip(mine["ts"], mine[name].astype(float), strict=True))


def back(ts: datetime, count: int, *, first: int = 1) -> list[datetime]:
    return [ts - timedelta(hours=h) for h in range(first, first + count)]


def slow_z(at: datetime, value) -> float:
    window = [v for h in back(at, 720) if not math.isnan(v := value(h))]
    mean = sum(window) / len(window)
    sd = math.sqrt(sum((v - mean) ** 2 for v in window) / (len(window) - 1))
    return max(-4.0, min(4.0, (value(at) - mean) / sd))


def slow_row(data: World, symbol: str, at: datetime) -> dict[str, float]:
    close = lookup(data.candles_1h, symbol, "close")
    longs = lookup(data.liquidations_1h, symbol, "long_liquidations_usd")
    shorts = lookup(data.liquidations_1h, symbol, "short_liquidations_usd")
    coins = lookup(data.open_interest, symbol, "open_interest_base")
    out: dict[str, float] = {}

    @cache
    def total(h: datetime) -> float:
        return sum(longs[i] + shorts[i] for i in back(h, 24, first=0))

    def imbalance(h: datetime) -> float:
        side = [sum(x[i] for i in back(h, 24, first=0)) for x in (longs, shorts)]
        return (side[1] - side[0]) / (sum(side) + median(total(i) for i in back(h, 720)))

    shift = imbalance(at) - median(imbalance(i) for i in back(at, 720))
    out["liquidations"] = 50 + 50 * max(-1.0, min(1.0, shift))

    mine = data.funding[(data.funding["symbol"] == symbol) & (data.funding["ts"] <= at)]
    newest = mine.iloc[-1]
    window = mine[(mine["ts"] >= newest["ts"] - timedelta(days=30)) & (mine["ts"] < newest["ts"])]
    z = (newest["rate_8h"] - window["rate_8h"].mean()) / max(window["rate_8h"].std(), 0.5e-4)
    z = max(-4.0, min(4.0, z))
    out["funding"] = 100 * PHI(-math.copysign(max(abs(z) - 1, 0.0), z))

    returns = [math.log(close[h] / close[h - timedelta(hours=1)]) for h in back(at, 447)]
    weights = [0.94**k for k in range(447)]
    sigma = math.sqrt(sum(w * r * r for w, r in zip(weights, returns, strict=True)) / sum(weights))
    m = sum(
        math.log(close[at] / close[at - timedelta(hours=h)]) / (sigma * math.sqrt(h))
        for h in (1, 4, 24)
    )
    out["momentum"] = 100 * PHI(max(-3.0, min(3.0, m / 3)))

    for name, column_name, sign in (
        ("long_short", "global_account_long_frac", -1),
        ("smart_money", "top_trader_position_long_frac", 1),
    ):
        shares = lookup(data.positioning_1h, symbol, column_name)
        logit = slow_z(at, lambda h, s=shares: math.log(s[h] / (1 - s[h])))
        out[name] = 100 * PHI(sign * logit)

    def change(h: datetime) -> float:
        return math.log(coins[h] / coins[h - timedelta(hours=24)])

    size = math.tanh(abs(slow_z(at, change)) / 2) * (1.0 if change(at) > 0 else 0.5)
    out["oi_trend"] = 50 + 50 * size * math.copysign(
        1, math.log(close[at] / close[at - timedelta(hours=24)])
    )

    decision = at + timedelta(hours=1)
    mood = data.fear_greed[data.fear_greed["available_at"] < decision].iloc[-1]["fear_greed"]
    out["fear_greed"] = 75 - mood if mood <= 25 else 125 - mood if mood >= 75 else 50.0
    return out


@pytest.mark.slow
@pytest.mark.parametrize(("symbol", "hour"), [("BTC/USDT", 0), ("ETH/USDT", 77)])
def test_a_row_equals_the_slow_reference(
    data: World, whole: pd.DataFrame, symbol: str, hour: int
) -> None:
    at = pd.Timestamp(START) + pd.Timedelta(hours=hour)
    expected = slow_row(data, symbol, at)
    row = whole[(whole["symbol"] == symbol) & (whole["ts"] == at)].iloc[0]
    for name, value in expected.items():
        assert row[f"{name}_factor"] == pytest.approx(value, rel=1e-9), name
        assert row[f"{name}_factor_status"] == "ok"
    total = sum(WEIGHTS[n] for n in expected)
    assert (row["coverage_pct"], total) == (100, 90)  # nobody can be asked for moods
    pulls = {n: WEIGHTS[n] * (v - 50) for n, v in expected.items()}
    assert row["futures_score"] == pytest.approx(50 + sum(pulls.values()) / total, rel=1e-9)
    agreement = abs(sum(pulls.values())) / sum(map(abs, pulls.values()))
    assert row["factor_agreement"] == pytest.approx(agreement, rel=1e-6)
    assert row["confidence"] == pytest.approx(agreement * row["freshness"], rel=1e-6)
    top = json.loads(row["top_factors"])
    assert [t["factor"] for t in top] == sorted(pulls, key=lambda n: -abs(pulls[n]))[:3]
    for entry in top:
        assert entry["contribution"] == pytest.approx(pulls[entry["factor"]] / total, abs=0.006)
    assert (row["status"], row["social_factor_status"], row["social_factor_reason"]) == (
        "ok",
        "missing",
        "source_not_wired",
    )


# --- social ------------------------------------------------------------------------------------


def test_a_mood_counts_as_far_as_more_is_said_than_usual(data: World) -> None:
    out = scores(data, GRID, social="lunarcrush")
    at = pd.Timestamp(START) + pd.Timedelta(hours=30)
    for symbol in SYMBOLS:
        mood = lookup(data.sentiment_1h, symbol, "social_score")
        said = lookup(data.sentiment_1h, symbol, "social_mentions")
        attention = slow_z(at, lambda h, said=said: math.log1p(said.get(h, math.nan)))
        z = slow_z(at, lambda h, mood=mood: mood.get(h, math.nan))
        row = out[(out["symbol"] == symbol) & (out["ts"] == at)].iloc[0]
        expected = 100 * PHI(max(-4.0, min(4.0, z * max(0.0, min(1.5, attention)))))
        assert row["social_factor"] == pytest.approx(expected, rel=1e-9)
        assert row["social_factor_status"] == "ok"
        assert row["coverage_pct"] == 100
    assert out["social_factor"].eq(50.0).any()  # less is said than usual
    assert out["social_factor"].ne(50.0).any()


def test_a_source_of_moods_that_is_silent_lowers_the_coverage(data: World) -> None:
    silent = replace(data, sentiment_1h=data.sentiment_1h.head(0))
    wired = scores(silent, grid_of(START, 2), social="lunarcrush")
    assert (wired["coverage_pct"] == 90).all()
    assert set(wired["social_factor_reason"]) == {"no_observation"}
    assert wired["reason"].str.contains("social: no_observation").all()
    unwired = scores(silent, grid_of(START, 2))
    assert (unwired["coverage_pct"] == 100).all()
    assert unwired["reason"].isna().all()
    same = ["score_uncovered", "futures_score", "score_fixed50"]
    same_bytes(wired[same], unwired[same])


def test_without_a_source_of_moods_70_percent_of_the_rest_are_enough() -> None:
    names = ["liquidations", "funding", "momentum", "long_short"]  # 65 of 90
    values = made(dict.fromkeys(names, 80.0))
    rest = tuple(n for n in FACTORS if n != "social")
    row = composite(values, WEIGHTS, wired=rest, params=PARAMS)
    assert (row["coverage_pct"][0, 0], row["futures_signal"][0, 0]) == (72, "LONG")


# --- a change of source ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "factor", "hours"),
    [("liquidations_1h", "liquidations", 24 + 2 * 720), ("open_interest", "oi_trend", 24 + 720)],
)
def test_a_factor_whose_history_spans_two_sources_is_null_and_says_so(
    data: World, whole: pd.DataFrame, name: str, factor: str, hours: int
) -> None:
    change = pd.Timestamp(START) + pd.Timedelta(hours=10) - pd.Timedelta(hours=hours)
    frame = getattr(data, name)
    told = frame.assign(venue="binance", source=np.where(frame["ts"] < change, "okx", "coinglass"))
    out = scores(replace(data, **{name: told}), GRID)
    # the last row of the other source lies just within the reach of the row at START + 9 h
    mixed = out["ts"] < START + timedelta(hours=10)
    assert out.loc[mixed, f"{factor}_factor"].isna().all()
    assert set(out.loc[mixed, f"{factor}_factor_reason"]) == {"source_changed"}
    same_bytes(out[~mixed], whole[~mixed])
    late = scores(replace(data, **{name: told}), Grid(START + timedelta(hours=5), END, SYMBOLS))
    same_bytes(late, out[out["ts"] >= START + timedelta(hours=5)])


# --- missing input, time, chunks ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hurt", "reasons"),
    [
        (
            "liquidations_1h",
            ["liquidations"],
            {"gaps_in_24_hours", "fewer_than_20_of_24_hours", "no_observation"},
        ),
        ("funding", ["funding"], {"print_overdue"}),
        (
            "candles_1h",
            ["momentum", "oi_trend"],
            {
                "close_missing",
                "close_missing_in_last_3h",
                "more_than_20_gaps",
                "close_of_a_horizon_missing",
                "fewer_than_449_closes",
            },
        ),
        ("positioning_1h", ["long_short", "smart_money"], {"carried_1h", "no_observation"}),
        ("open_interest", ["oi_trend"], {"carried_1h", "no_observation"}),
        ("fear_greed", ["fear_greed"], {"older_than_36h"}),
    ],
)
def test_a_day_without_an_input_is_said_and_nothing_stands_in_for_it(
    data: World, whole: pd.DataFrame, name: str, hurt: list[str], reasons: set[str]
) -> None:
    gap = utc("2024-03-12"), utc("2024-03-13")
    out = scores(data.without(name, *gap), GRID)
    during = (out["ts"] >= gap[0] + timedelta(hours=5)) & (out["ts"] < gap[1])
    if name == "fear_greed":  # yesterday's value is good for 36 hours
        during = (out["ts"] >= gap[0] + timedelta(hours=12)) & (out["ts"] < gap[1])
    for factor in hurt:
        lost = out.loc[during, f"{factor}_factor"]
        assert lost.isna().all(), factor
        assert not out.loc[during, f"{factor}_factor_status"].isin(["ok", "partial"]).any()
        seen = set(out[f"{factor}_factor_reason"].dropna())
        assert seen <= reasons and seen, seen
    available = sum(np.where(out[f"{n}_factor"].notna(), WEIGHTS[n], 0) for n in FACTORS)
    assert (out["coverage_pct"] == 100 * available // 90).all()
    assert (out.loc[out["coverage_pct"] < 70, "futures_score"].isna()).all()
    assert set(out.loc[during, "status"]) <= {"partial", "missing"}
    others = [n for n in FACTORS if n not in hurt]
    same_bytes(out[[f"{n}_factor" for n in others]], whole[[f"{n}_factor" for n in others]])
    before = out["ts"] < gap[0]
    same_bytes(out[before], whole[before])


@pytest.mark.slow
def test_rows_never_depend_on_where_the_computation_began_nor_on_who_else_is_there(
    data: World, whole: pd.DataFrame
) -> None:
    cut = utc("2024-03-13T07:00")
    parts = {}
    for name, text in lookbacks(futures_scores).items():
        field = name.split(".")[1]
        if field not in World.__dataclass_fields__:
            continue  # days have tests of their own
        frame = getattr(data, field)
        parts[field] = frame[frame["ts"] >= cut - parse_lookback(text)]
    late = scores(World(**parts), Grid(cut, END, SYMBOLS))
    same_bytes(late, whole[whole["ts"] >= cut])
    for hours in (0, 1):  # the hourly run owes one row per symbol
        tick = scores(World(**parts), grid_of(cut, hours))
        same_bytes(tick, whole[(whole["ts"] >= cut) & (whole["ts"] < cut + timedelta(hours=hours))])
    alone = scores(data, Grid(START, END, SYMBOLS[1:]))
    same_bytes(alone, whole[whole["symbol"] == SYMBOLS[1]])


def test_rows_never_see_the_future(data: World, whole: pd.DataFrame) -> None:
    cut = utc("2024-03-13T07:00")
    garbled = World(
        **{
            name: frame.assign(
                **{
                    c: frame[c].mask(frame["ts"] >= cut, 0.123)
                    for c in frame.columns[frame.dtypes == "float64"]
                }
            )
            for name in World.__dataclass_fields__
            for frame in [getattr(data, name)]
        }
    )
    early = scores(garbled, Grid(START, cut, SYMBOLS))
    same_bytes(early, whole[whole["ts"] < cut])
    assert not scores(garbled, GRID).equals(whole)


def test_fear_and_greed_enters_only_after_it_was_published(data: World) -> None:
    day = utc("2024-03-12")
    mood = data.fear_greed.assign(fear_greed=np.where(data.fear_greed["ts"] == day, 5.0, 50.0))
    out = scores(replace(data, fear_greed=mood), GRID)
    out = out[out["symbol"] == "BTC/USDT"].set_index("ts")["fear_greed_factor"]
    # published at 00:10: known at 01:00, the decision time of row 00:00
    assert out[pd.Timestamp(day) - pd.Timedelta(hours=1)] == 50.0
    assert out[pd.Timestamp(day)] == 70.0
    on_time = mood.assign(available_at=mood["ts"] + timedelta(hours=1))
    out = scores(replace(data, fear_greed=on_time), GRID)
    out = out[out["symbol"] == "BTC/USDT"].set_index("ts")["fear_greed_factor"]
    assert out[pd.Timestamp(day)] == 50.0  # at the decision time itself it is not yet usable
    assert out[pd.Timestamp(day) + pd.Timedelta(hours=1)] == 70.0


def test_with_nothing_observed_the_whole_grid_says_missing(data: World) -> None:
    out = scores(data.between(BEGIN, BEGIN), grid_of(START, 2))
    assert set(out["status"]) == {"missing"}
    assert (out["coverage_pct"] == 0).all()
    numbers = ["futures_score", "score_uncovered", "score_fixed50", "confidence", "freshness"]
    assert out[numbers].isna().all(axis=None)


@pytest.mark.history
def test_the_crash_of_august_2024_reads_bearish(market_history: Path) -> None:
    recorded = pd.read_parquet(market_history / "derivatives_1h.parquet")
    rows = {
        "symbol": recorded["symbol"].str.replace("USDT", "/USDT"),
        "ts": recorded["ts"].dt.as_unit("us"),
        "source_tier": pd.array([3] * len(recorded), dtype="Int64"),
    }
    made_up = world(utc("2024-06-01"), utc("2024-06-02"))
    data = World(
        liquidations_1h=pd.DataFrame(
            {
                **rows,
                "long_liquidations_usd": recorded["liq_long_usd"],
                "short_liquidations_usd": recorded["liq_short_usd"],
            }
        ),
        funding=made_up.funding.head(0),
        candles_1h=pd.DataFrame({**rows, "market": "perp", "close": recorded["close"]}),
        positioning_1h=pd.DataFrame(
            {
                **rows,
                "global_account_long_frac": recorded["long_pct"] / 100,
                "top_trader_position_long_frac": np.nan,
            }
        ),
        open_interest=pd.DataFrame(
            {
                **rows,
                "open_interest_base": recorded["oi_close"],
                "open_interest_usd": recorded["oi_close_usd"],
                "is_filled": pd.array([False] * len(recorded), dtype="boolean"),
            }
        ),
        fear_greed=made_up.fear_greed.head(0),
        sentiment_1h=made_up.sentiment_1h.head(0),
    )
    grid = Grid(utc("2024-08-05"), utc("2024-08-06"), ("BTC/USDT", "ETH/USDT", "SOL/USDT"))
    out = scores(data, grid)
    crash = out[out["ts"] == pd.Timestamp("2024-08-05T01:00Z")]
    assert (crash["coverage_pct"] == 66).all()  # 60 of 90: no funding, top traders, mood here
    assert crash["futures_score"].isna().all()
    assert (crash["score_uncovered"] < 40).all()
    assert (crash["momentum_factor"] < 20).all()
    assert set(crash["source_tier"]) == {3}
    assert crash["reason"].str.contains("funding: no_observation").all()
