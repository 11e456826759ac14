from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.signals.components import components
from regime_pipeline.signals.scores import direction_of, strength_of, worst_tier
from regime_pipeline.windows import Grid, hours_between, utc
from regime_pipeline_tests.signals.worlds import SYMBOLS, components_of, world
from regime_pipeline_tests.synthetic import same_bytes

END = utc("2024-03-01")
BTC = ("BTC/USDT",)


def walk(count: int, seed: int = 1) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).standard_t(4, count) * 0.006))


def candles(close: np.ndarray, *, market: str = "perp", tier: int = 1) -> pd.DataFrame:
    """Hourly closes that end just before END; NaN is an hour nobody observed."""
    hours = hours_between(END - timedelta(hours=len(close)), END)
    return pd.DataFrame(
        {
            "market": market,
            "symbol": pd.Series(["BTC/USDT"] * len(close), dtype="str"),
            "ts": hours,
            "close": close,
            "source_tier": pd.Series(np.where(np.isnan(close), np.nan, tier)).astype("Int64"),
        }
    )


def last(close: np.ndarray, rows: int = 1) -> pd.DataFrame:
    grid = Grid(END - timedelta(hours=rows), END, BTC)
    out = components_of(candles(close), grid=grid)
    validate(out, table("signals.components"))
    assert len(out) == rows
    return out


def slow(close: list[float]) -> float:
    """The clipped mean at the last close, from the definition, in plain Python."""
    returns = [math.log(b / a) for a, b in pairwise(close)]
    before = returns[:-1][::-1][:447]
    kept = [(0.94**k, r) for k, r in enumerate(before) if not math.isnan(r)]
    sigma = math.sqrt(sum(w * r * r for w, r in kept) / sum(w for w, _ in kept))
    parts = [math.log(close[-1] / close[-1 - h]) / (sigma * math.sqrt(h)) for h in (4, 24, 72)]
    return max(-3.0, min(3.0, sum(parts) / 3))


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "count"), [(1, 600), (2, 449), (3, 200), (4, 132)])
def test_momentum_equals_the_slow_reference(seed: int, count: int) -> None:
    close = walk(count, seed)
    row = last(close).iloc[0]
    expected = slow(close.tolist())
    assert row["momentum_raw"] == pytest.approx(expected, rel=1e-12)
    assert row["momentum_score"] == pytest.approx(100 * NormalDist().cdf(expected), rel=1e-9)
    assert row["momentum_strength"] == pytest.approx(abs(row["momentum_score"] - 50) / 50)


def test_momentum_over_gaps_equals_the_slow_reference() -> None:
    close = walk(600, 5)
    close[[200, 201, 300, 555]] = np.nan
    row = last(close).iloc[0]
    assert row["momentum_raw"] == pytest.approx(slow(close.tolist()), rel=1e-12)
    assert row["momentum_status"] == "partial"
    assert row["momentum_confidence"] == pytest.approx((445 / 449) * (445 / 449))


@pytest.mark.parametrize(
    ("count", "status", "usable"),
    [
        (131, "insufficient_history", False),
        (132, "partial", True),
        (448, "partial", True),
        (449, "ok", True),
    ],
)
def test_minimum_history(count: int, status: str, usable: bool) -> None:
    row = last(walk(count)).iloc[0]
    assert row["momentum_status"] == status
    assert pd.notna(row["momentum_score"]) is usable
    assert pd.notna(row["momentum_reason"]) is (status != "ok")
    if usable:  # a young symbol has no gaps: only its age lowers the confidence
        assert row["momentum_confidence"] == pytest.approx(count / 449)
    else:
        assert pd.isna(row["momentum_confidence"])


@pytest.mark.parametrize(
    ("missing", "usable", "reason"),
    [
        (list(range(-60, -40)), True, "fewer_than_449_closes"),
        (list(range(-61, -40)), False, "more_than_20_gaps"),
        ([-3], False, "close_missing_in_last_3h"),
        ([-4], True, "fewer_than_449_closes"),
        ([-1 - 72], False, "close_of_a_horizon_missing"),
    ],
)
def test_gap_rules(missing: list[int], usable: bool, reason: str) -> None:
    close = walk(600)
    close[missing] = np.nan
    row = last(close).iloc[0]
    assert pd.notna(row["momentum_score"]) is usable
    assert row["momentum_reason"] == reason
    assert row["momentum_status"] == ("partial" if usable else "missing")
    assert f"momentum: {reason}" in row["reason"].split("; ")


def test_a_day_without_candles_is_null_with_its_reason_and_then_heals() -> None:
    close = walk(700)
    close[500:524] = np.nan
    out = last(close, rows=220)
    gone = out.iloc[20:44]
    assert gone[["momentum_score", "momentum_direction", "momentum_raw"]].isna().all(axis=None)
    assert set(gone["momentum_status"]) == {"missing"}
    assert set(out.iloc[44:]["momentum_reason"]) == {
        "close_missing_in_last_3h",
        "more_than_20_gaps",
    }
    assert (out.iloc[:20]["momentum_status"] == "ok").all()


@pytest.mark.slow
def test_the_current_return_does_not_enter_its_own_volatility() -> None:
    close = walk(600)
    lifted = close.copy()
    lifted[-1] *= math.exp(0.01)
    sigma = 0.0
    before = np.diff(np.log(close))[:-1][::-1][:447]
    weights = 0.94 ** np.arange(447)
    sigma = math.sqrt(float((weights * before**2).sum() / weights.sum()))
    moved = last(lifted)["momentum_raw"].iloc[0] - last(close)["momentum_raw"].iloc[0]
    assert moved == pytest.approx(np.mean([0.01 / (sigma * math.sqrt(h)) for h in (4, 24, 72)]))


def test_a_price_that_never_moves_has_no_momentum() -> None:
    row = last(np.full(600, 7.0)).iloc[0]
    assert pd.isna(row["momentum_score"])
    assert (row["momentum_status"], row["momentum_reason"]) == ("missing", "zero_dispersion")


def test_momentum_is_clipped_at_three() -> None:
    close = walk(600)
    close[-1] *= 10
    row = last(close).iloc[0]
    assert row["momentum_raw"] == 3.0
    assert row["momentum_direction"] == "BULLISH"


def test_only_the_perpetual_counts_and_the_worst_source_shows() -> None:
    close = walk(500)
    perp = candles(close)
    perp.loc[100, "source_tier"] = 3
    both = pd.concat([candles(walk(500, 9), market="spot"), perp], ignore_index=True)
    grid = Grid(END - timedelta(hours=5), END, BTC)
    out = components_of(both, grid=grid)
    same_bytes(out, components_of(perp, grid=grid))
    assert set(out["source_tier"]) == {3}


def test_reading_of_a_score() -> None:
    score = np.array([45.0, 45.001, 54.999, 55.0, np.nan])
    assert direction_of(score).tolist() == ["BEARISH", "NEUTRAL", "NEUTRAL", "BULLISH", None]
    assert strength_of(np.array([0.0, 50.0, 100.0])).tolist() == [1.0, 0.0, 1.0]


def test_the_worst_tier_leaves_the_window_with_its_row() -> None:
    tier = np.array([[1.0], [3.0], [1.0], [2.0], [1.0], [np.nan], [np.nan]])
    assert worst_tier(tier, 2)[:, 0].tolist()[:6] == [1.0, 3.0, 3.0, 2.0, 2.0, 1.0]
    assert np.isnan(worst_tier(tier, 2)[6, 0])


@pytest.mark.slow
def test_rows_never_depend_on_where_the_computation_began_nor_on_the_future() -> None:
    start, end = utc("2024-01-01"), utc("2024-02-20")
    data = world(start, end).candles_1h
    data.loc[::97, "close"] = np.nan
    grid = Grid(utc("2024-01-10"), end, SYMBOLS)
    whole = components_of(data, grid=grid)
    cut = utc("2024-02-11T05:00")
    reach = reach_of(components, "market.candles_1h")
    late = components_of(data[data["ts"] >= cut - reach], grid=Grid(cut, end, SYMBOLS))
    same_bytes(late, whole[whole["ts"] >= cut])
    garbled = data.assign(close=data["close"].where(data["ts"] < cut, 1e9))
    early = components_of(garbled, grid=Grid(grid.start, cut, SYMBOLS))
    same_bytes(early, whole[whole["ts"] < cut])
    alone = components_of(data, grid=Grid(grid.start, end, SYMBOLS[1:]))
    same_bytes(alone, whole[whole["symbol"] == SYMBOLS[1]])


def test_an_empty_market_owes_the_whole_grid() -> None:
    out = components_of(candles(walk(5)).head(0), grid=Grid(END - timedelta(hours=3), END, SYMBOLS))
    assert len(out) == 6
    assert set(out["status"]) == {"missing"}
    assert out["momentum_score"].isna().all()
    assert out["inputs_asof"].isna().all()
