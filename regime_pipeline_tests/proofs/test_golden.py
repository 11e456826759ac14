"""The worked checks of docs/methods.md, to the digit: each the legacy case and the settled answer.

One table of cases a topic, over the pure functions. What needs a whole market to say the same is in the
tests of its module.

| case | test |
|---|---|
| volatility 0.032 / 0.015; 0.06 / 0.015; ratios 1.0, 1.5, 2.5 | test_volatility_ratio_regime_and_multiplier |
| velocity 0.5, 2.4, 10 million USD an hour | test_velocity_and_severity |
| longs 1.5, shorts 1.0 million | test_a_million_and_a_half_of_longs_against_one_of_shorts_is_long |
| z 2.0; 2.8; 3.0; -3.1 | test_funding_levels, test_an_anomaly_is_strictly_beyond_two |
| 0.0005 per 4 h | test_a_four_hour_rate_of_5_bp_is_10_bp_per_eight_hours |
| labels IGNITION, IGNITION, COOLING, NEUTRAL | test_agreement_of_the_seeds_sample |
| correlation 0.45 to 0.15; 0.10 to 0.04 | test_correlation_breaks |
| liquidations 7.7 and 9.2 million | test_liquidations_factor_of_7_7_against_9_2_millions_is_54_4 |
| long-short ratio 2.52 | test_a_ratio_of_2_52_is_a_long_share_of_71_6_percent |
| composite 65, 35, 64.999 | test_borders_of_the_signal |
| coverage 0.65 | test_a_coverage_of_65_percent_has_no_signal |
| a book with both sides; bids 5 against asks 50 | test_a_book_leans_to_its_heavier_side |
| a body of Whale Alert | test_a_body_of_whale_alert_has_as_many_rows_as_transactions |
| a constant series | test_a_constant_series_has_no_correlation |
| later rows replaced by garbage | test_future, test_planted_leaks |

The book's case is held at its imbalance here; what its score makes of it is in signals/test_flow_scores.
"""

from __future__ import annotations

import math

import numpy as np
import orjson
import pandas as pd
import pytest

from regime_pipeline.catalogue.fields.features import VOL_REGIMES
from regime_pipeline.catalogue.fields.signals import FACTORS
from regime_pipeline.correlation.asset_correlations import classify_drop, judge
from regime_pipeline.features import volatility_machine
from regime_pipeline.features.funding_anomalies import extreme_level, funding_prints
from regime_pipeline.features.liquidation_cascades import liquidation_cascades
from regime_pipeline.market.funding import funding
from regime_pipeline.numerics import pairwise
from regime_pipeline.numerics.ranks import rolling_spearman
from regime_pipeline.providers.books import snapshot
from regime_pipeline.providers.okx.series import parse_accounts
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.whale_alert import parse_transactions
from regime_pipeline.regimes.timeframe_labels import COOLING, IGNITION, NEUTRAL
from regime_pipeline.regimes.timeframe_regimes import agreement_with, vote
from regime_pipeline.settings import Params
from regime_pipeline.signals import factors
from regime_pipeline.signals.futures_score import composite, signal_of
from regime_pipeline.windows import DAY, HOUR, Grid, Window, utc
from regime_pipeline_tests.synthetic import rows_of

P = Params()
AT = utc("2024-06-01")
BTC = ("BTC/USDT",)


def filled(name: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    return rows_of(name, rows, symbol=BTC[0])


# ------------------------------------------------------------------ volatility


@pytest.mark.parametrize(
    ("volatility", "mean", "ratio", "regime", "multiplier"),
    [
        (0.032, 0.015, 2.133, "EXPLOSIVE", 1.8),  # the legacy label, HIGH_VOL, is refused
        (0.06, 0.015, 4.0, "EXTREME", 2.5),
        (0.015, 0.015, 1.0, "HIGH_VOL", 1.2),
        (0.0225, 0.015, 1.5, "EXPLOSIVE", 1.8),
        (0.0375, 0.015, 2.5, "EXPLOSIVE", 1.8),
    ],
)
def test_volatility_ratio_regime_and_multiplier(
    volatility: float, mean: float, ratio: float, regime: str, multiplier: float
) -> None:
    assert round(volatility / mean, 3) == ratio
    exact = ratio if ratio in P.volatility.borders else volatility / mean
    code = volatility_machine.classes_of(np.array([[exact]]), P.volatility.borders)[0, 0]
    assert (VOL_REGIMES[code], P.volatility.risk_multipliers[code]) == (regime, multiplier)


# ------------------------------------------------------------------ liquidations


def cascade(longs: float, shorts: float) -> pd.Series:
    total = longs + shorts
    hour = filled(
        "market.liquidations_1h",
        [
            {
                "ts": AT, "long_liquidations_usd": longs, "short_liquidations_usd": shorts,
                "total_liquidation_usd": total, "coverage": 1.0,
            }
        ],
    )  # fmt: skip
    nothing = filled("market.open_interest", [{"ts": AT}])
    grid = Grid.of(Window(AT, AT + HOUR), BTC)
    return liquidation_cascades(hour, nothing, grid=grid, params=P.cascades).iloc[0]


@pytest.mark.parametrize(("velocity", "severity"), [(0.5e6, 3), (2.4e6, 4), (10e6, 5)])
def test_velocity_and_severity(velocity: float, severity: int) -> None:
    row = cascade(velocity, 0.0)
    assert (row["velocity_usd_per_hour"], row["severity"]) == (velocity, severity)


def test_a_million_and_a_half_of_longs_against_one_of_shorts_is_long() -> None:
    row = cascade(1.5e6, 1.0e6)
    assert (row["long_share_frac"], row["dominance"]) == (0.6, "LONG")


def test_liquidations_factor_of_7_7_against_9_2_millions_is_54_4() -> None:
    assert round(50 + 50 * (9.2 - 7.7) / (9.2 + 7.7), 1) == 54.4
    day = np.zeros((1600, 1))
    longs, shorts = day.copy(), day.copy()
    longs[-24:], shorts[-24:] = 7.7e6 / 24, 9.2e6 / 24
    # after weeks of silence kappa and the usual balance are 0
    assert round(float(factors.liquidations(longs, shorts, first_hour=0).score[-1, 0]), 1) == 54.4


# ------------------------------------------------------------------ funding


@pytest.mark.parametrize(
    ("z", "level"),
    [(2.0, "NORMAL"), (2.8, "HIGH"), (3.0, "EXTREME_HIGH"), (-3.1, "EXTREME_LOW")],
)
def test_funding_levels(z: float, level: str) -> None:
    assert extreme_level(np.array([z]), params=P.funding).tolist() == [level]


@pytest.mark.parametrize(
    ("z", "is_anomaly"), [(1.9999, False), (2.0, False), (2.0001, True), (-2.8, True)]
)
def test_an_anomaly_is_strictly_beyond_two(z: float, is_anomaly: bool) -> None:
    """Around a constant rate of 0 the scale is the floor, so a rate of z floors reads exactly z."""
    floor = P.funding.scale_floor_8h
    rates = [0.0] * 90 + [z * floor]
    first = AT - 30 * DAY
    prints = filled(
        "market.funding",
        [
            {
                "ts": first + 8 * k * HOUR, "funding_rate": r, "rate_8h": r, "interval_hours": 8,
                "rate_annual": r * 1095,
            }
            for k, r in enumerate(rates)
        ],
    )  # fmt: skip
    row = funding_prints(prints, window=Window(AT, AT + HOUR), symbols=BTC, params=P.funding).iloc[
        0
    ]
    assert row["z_score"] == z * floor / floor
    assert row["is_anomaly"] == is_anomaly


def test_a_four_hour_rate_of_5_bp_is_10_bp_per_eight_hours() -> None:
    rows = [
        {
            "source": "binance_futures", "venue": "binance", "market": "perp", "pit_grade": "assumed",
            "ts": AT + k * 4 * HOUR, "available_at": AT, "funding_rate": 0.0005,
        }
        for k in range(3)
    ]  # fmt: skip
    out = funding(
        filled("raw.funding_rates", rows),
        window=Window(AT, AT + DAY),
        venues={BTC[0]: "binance"},
    )
    assert out["rate_8h"].iloc[-1] == 0.001


# ------------------------------------------------------------------ timeframes


def test_agreement_of_the_seeds_sample() -> None:
    labels = np.array([[IGNITION], [IGNITION], [COOLING], [NEUTRAL]])
    votes = vote(labels)
    compatible, score = agreement_with(labels, votes["primary_raw"])
    assert votes["agreement"].tolist() == [2]
    assert (compatible.tolist(), score.tolist()) == ([3.0], [0.625])


# ------------------------------------------------------------------ correlations


@pytest.mark.parametrize(
    ("base", "current", "drop", "is_break", "severity"),
    [
        (0.45, 0.15, 0.667, True, 1),  # MEDIUM
        (0.10, 0.04, 0.6, False, 1),  # the base is too small to lose anything
    ],
)
def test_correlation_breaks(
    base: float, current: float, drop: float, is_break: bool, severity: int
) -> None:
    said = judge(np.array([current]), np.array([base]), np.array([0.001]), P.correlation)
    assert round(float(said["rel_drop"][0]), 3) == drop
    assert said["is_break"][0] == is_break
    assert classify_drop(said["rel_drop"])[0] == severity


@pytest.mark.parametrize("constant", [50.0, 0.1, 0.0])
def test_a_constant_series_has_no_correlation(constant: float) -> None:
    """Null: not 0, not 1, and no error."""
    moving = np.random.default_rng(1).normal(size=400)
    both = np.ascontiguousarray([np.full(400, constant), moving])
    pearson, _ = pairwise.rolling_pearson(both, 168, 140, 0, 200)
    ranks, _ = rolling_spearman(both, 168, 140, 200, 400)
    assert np.isnan(pearson).all() and np.isnan(ranks).all()
    alike, _ = pairwise.rolling_pearson(np.ascontiguousarray([moving, moving]), 168, 140, 0, 200)
    assert np.allclose(alike, 1.0)


# ------------------------------------------------------------------ the futures score


def test_a_ratio_of_2_52_is_a_long_share_of_71_6_percent() -> None:
    body = orjson.dumps({"code": "0", "msg": "", "data": [["1717200000000", "2.52"]]})
    share = parse_accounts(body, Context())["value"].iloc[0]
    assert round(float(share), 3) == 0.716


@pytest.mark.parametrize(
    ("score", "signal"), [(65.0, "LONG"), (35.0, "SHORT"), (64.999, "NEUTRAL")]
)
def test_borders_of_the_signal(score: float, signal: str) -> None:
    assert signal_of(np.array([[score]]), params=P.futures)[0, 0] == signal


def test_a_coverage_of_65_percent_has_no_signal() -> None:
    there = ("liquidations", "funding", "momentum", "long_short")  # 20 + 15 + 15 + 15
    missing = factors.REASONS.index("no_observation")
    found = {
        name: factors.Factor(
            np.array([[80.0 if name in there else math.nan]]),
            np.array([[0 if name in there else 3]], dtype=np.int8),
            np.array([[-1 if name in there else missing]], dtype=np.int8),
            np.array([[1.0 if name in there else math.nan]]),
        )
        for name in FACTORS
    }
    row = composite(found, P.futures.weights_pct, params=P.futures)
    assert row["coverage_pct"][0, 0] == 65
    assert row["futures_signal"][0, 0] is None and math.isnan(row["futures_score"][0, 0])


# ------------------------------------------------------------------ the order book


@pytest.mark.parametrize(
    ("bids", "asks", "imbalance"), [(5, 50, -9 / 11), (50, 5, 9 / 11), (7, 7, 0)]
)
def test_a_book_leans_to_its_heavier_side(bids: float, asks: float, imbalance: float) -> None:
    """``if not bids or asks`` took every book with asks for an empty one, and a neutral score for it."""
    row = snapshot(
        [["99.99", str(bids / 99.99)]], [["100.01", str(asks / 100.01)]], Context()
    ).iloc[0]
    assert row["imbalance"] == pytest.approx(imbalance)
    assert (row["depth_25bps_bid_usd"], row["depth_25bps_ask_usd"]) == pytest.approx((bids, asks))
    one_sided = snapshot([["99.99", "5"]], [], Context()).iloc[0]
    assert math.isnan(one_sided["imbalance"]) and one_sided["bid_levels"] == 1


# ------------------------------------------------------------------ Whale Alert


def test_a_body_of_whale_alert_has_as_many_rows_as_transactions() -> None:
    """``result`` is the word "success"; whoever reads the rows from there gets its letters."""
    moves = [
        {
            "blockchain": "bitcoin", "symbol": "btc", "id": str(k), "hash": f"h{k}",
            "timestamp": 1717200000 + k, "amount": 10, "amount_usd": 2e6,
            "from": {"owner_type": "unknown"}, "to": {"owner_type": "exchange", "owner": "kraken"},
        }
        for k in range(5)
    ]  # fmt: skip
    rows = parse_transactions(
        orjson.dumps({"result": "success", "count": 5, "transactions": moves}), Context()
    )
    assert len(rows) == len(moves)
    assert rows["transfer_usd"].tolist() == [2e6] * 5 and rows["reason"].isna().all()
