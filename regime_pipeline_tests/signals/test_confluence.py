from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.fields.signals import SINGLE_COMPONENTS
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.settings import SignalParams
from regime_pipeline.signals.confluence import confluence
from regime_pipeline.signals.signal_correlations import (
    signal_correlations,
    signal_correlations_pooled,
)
from regime_pipeline.windows import Grid, hours_between, utc
from regime_pipeline_tests.signals.worlds import SYMBOLS
from regime_pipeline_tests.synthetic import long, same_bytes

START, END = utc("2024-01-01"), utc("2024-05-01")
BTC = ("BTC/USDT",)
COUNT = len(SINGLE_COMPONENTS)


def rows(
    scores: np.ndarray, *, end=END, symbols: tuple[str, ...] = BTC, left_out: str | None = None
) -> pd.DataFrame:
    """Component rows of scores (hours, symbols, components) that end before ``end``."""
    hours = hours_between(end - timedelta(hours=len(scores)), end)
    named = {f"{n}_score": scores[..., i] for i, n in enumerate(SINGLE_COMPONENTS)}
    frame = long(symbols, hours, source_tier=1, **named)
    return frame.assign(left_out=pd.Series([left_out] * len(frame), dtype="str"))


def noise(hours: int, *, symbols: int = 1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 100, (hours, symbols, COUNT))


def last(frame: pd.DataFrame, params: SignalParams | None = None, hours: int = 1) -> pd.DataFrame:
    grid = Grid(END - timedelta(hours=hours), END, BTC)
    out = confluence(frame, grid=grid, params=params or SignalParams())
    validate(out, table("signals.confluence"))
    return out


def test_the_mean_the_alignment_and_the_counts_of_a_worked_row() -> None:
    scores = np.array([80, 70, 60, 40, 50, 55, 45, 46, 90, np.nan]).reshape(1, 1, -1)
    row = last(rows(scores)).iloc[0]
    assert row["confluence_score"] == pytest.approx(np.nanmean(scores))
    assert row["alignment"] == pytest.approx((5 - 3) / 9)
    assert (row["bullish_n"], row["bearish_n"], row["neutral_n"], row["missing_n"]) == (5, 2, 2, 1)
    assert row["component_coverage"] == pytest.approx(0.9)
    assert (row["status"], row["reason"]) == ("partial", "components_missing")
    assert row["confluence_direction"] == "BULLISH"
    assert pd.isna(row["n_eff"]) and row["n_eff_reason"] == "under_200_common_hours"
    assert pd.isna(row["confluence_confidence"])


@pytest.mark.parametrize(
    ("present", "left_out", "usable"),
    [
        (6, None, True),
        (5, None, False),  # six of ten
        (5, "sentiment,whale_act", True),  # five of eight
        (4, "sentiment,whale_act,orderbook,liquidation", True),
        (3, "sentiment,whale_act,orderbook,liquidation,orderflow,beta_exp", False),  # never under 4
    ],
)
def test_components_that_a_row_needs(present: int, left_out: str | None, usable: bool) -> None:
    names = [n for n in SINGLE_COMPONENTS if n not in (left_out or "").split(",")]
    scores = np.full((1, 1, COUNT), np.nan)
    for name in names[:present]:
        scores[..., SINGLE_COMPONENTS.index(name)] = 60.0
    row = last(rows(scores, left_out=left_out)).iloc[0]
    assert pd.notna(row["confluence_score"]) is usable
    if not usable:
        assert (row["status"], row["reason"]) == ("missing", "too_few_components")
        assert pd.isna(row["alignment"]) and pd.isna(row["confluence_direction"])
    assert row["missing_n"] == len(names) - present


def test_weights_are_settings_and_a_weight_of_0_takes_a_component_out() -> None:
    scores = np.full((1, 1, COUNT), 50.0)
    scores[..., 0], scores[..., 1] = 90.0, 10.0
    plain, tilted, without = (
        last(rows(scores), SignalParams(weights=w)).iloc[0]
        for w in ({}, {SINGLE_COMPONENTS[0]: 3.0}, {SINGLE_COMPONENTS[1]: 0.0})
    )
    assert plain["confluence_score"] == pytest.approx(50.0)
    assert tilted["confluence_score"] == pytest.approx((3 * 90 + 10 + 8 * 50) / 12)
    assert without["confluence_score"] == pytest.approx((90 + 8 * 50) / 9)
    assert without["missing_n"] == 0 and without["status"] == "ok"
    assert len({r["method_version"] for r in (plain, tilted, without)}) == 3


@pytest.mark.parametrize("weights", [{"moment": 1.0}, {"momentum": -1.0}])
def test_weights_that_mean_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="component weights"):
        last(rows(noise(1)), SignalParams(weights=weights))


def test_independent_scores_count_each_and_copies_count_once() -> None:
    scores = noise(24 * 92)
    apart = last(rows(scores)).iloc[0]
    assert 9.5 < apart["n_eff"] <= 10
    assert apart["confluence_confidence"] == pytest.approx(
        apart["alignment"] * np.sqrt(apart["n_eff"] / 10)
    )
    same = scores.copy()
    same[..., 1:] = same[..., :1]
    assert last(rows(same)).iloc[0]["n_eff"] == pytest.approx(1.0)


def test_views_that_repeat_each_other_weigh_less_in_the_decorrelated_score() -> None:
    scores = noise(24 * 92, seed=2)
    scores[..., 1:6] = scores[..., :1]  # six are one
    scores[-1, 0, :6], scores[-1, 0, 6:] = 90.0, 10.0
    row = last(rows(scores)).iloc[0]
    assert row["confluence_score"] == pytest.approx(58.0)
    r = 0.2 * np.eye(COUNT) + 0.8 * np.eye(COUNT)
    r[:6, :6] = 0.2 * np.eye(6) + 0.8
    weights = np.linalg.solve(r, np.ones(COUNT))
    expected = weights @ scores[-1, 0] / weights.sum()
    assert row["confluence_decorrelated"] == pytest.approx(expected, abs=3)
    assert row["confluence_decorrelated"] < 30
    assert row["n_eff"] == pytest.approx(100 / 40, abs=0.05)


def test_the_matrix_ends_before_the_day_of_the_row() -> None:
    scores = noise(24 * 93, seed=3)
    frame = rows(scores)
    changed = rows(np.concatenate([scores[:-24], scores[-24:] ** 2 / 100]))
    day = timedelta(hours=24)
    grid = Grid(END - day, END, BTC)
    one, other = (confluence(f, grid=grid, params=SignalParams()) for f in (frame, changed))
    pd.testing.assert_series_equal(one["n_eff"], other["n_eff"], check_exact=True)
    assert one["n_eff"].nunique() == 1


def test_rows_never_depend_on_where_the_computation_began_nor_on_the_future() -> None:
    scores = noise(24 * 100, symbols=2, seed=4)
    scores[np.random.default_rng(5).uniform(size=scores.shape) < 0.02] = np.nan
    frame = rows(scores, symbols=SYMBOLS)
    grid = Grid(END - timedelta(days=6), END, SYMBOLS)
    whole = confluence(frame, grid=grid, params=SignalParams())
    cut = END - timedelta(days=3, hours=5)
    reach = reach_of(confluence, "signals.components")
    late = confluence(
        frame[frame["ts"] >= cut - reach], grid=Grid(cut, END, SYMBOLS), params=SignalParams()
    )
    same_bytes(late, whole[whole["ts"] >= cut])
    early = confluence(
        frame[frame["ts"] < cut], grid=Grid(grid.start, cut, SYMBOLS), params=SignalParams()
    )
    same_bytes(early, whole[whole["ts"] < cut])
    alone = confluence(frame, grid=Grid(grid.start, END, SYMBOLS[1:]), params=SignalParams())
    same_bytes(alone, whole[whole["symbol"] == SYMBOLS[1]])


def test_an_hour_without_any_component_row_is_null_and_says_so() -> None:
    row = last(rows(noise(3)).iloc[:0]).iloc[0]
    assert (row["status"], row["reason"]) == ("missing", "no_component")
    assert pd.isna(row["confluence_score"]) and pd.isna(row["component_coverage"])


# ------------------------------------------------------------------ the matrix as a table


def matrix(scores: np.ndarray, left_out: str | None = None) -> pd.DataFrame:
    frame = rows(scores, left_out=left_out)
    joined = pd.DataFrame(
        {
            "symbol": frame["symbol"],
            "ts": frame["ts"],
            "confluence_score": np.nanmean(scores[:, 0], axis=1),
        }
    )
    out = signal_correlations(frame, joined, grid=Grid(END - timedelta(days=1), END, BTC))
    validate(out, table("correlation.signal_correlations"))
    return out


def pair(out: pd.DataFrame, a: str, b: str) -> pd.Series:
    found = out[(out["component_a"] == a) & (out["component_b"] == b)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_day_has_55_pairs_at_23_00_in_the_order_of_the_alphabet() -> None:
    out = matrix(noise(800))
    assert len(out) == 55
    assert set(out["ts"].dt.hour) == {23}
    assert (out["component_a"] < out["component_b"]).all()


def test_correlations_are_spearmans_over_720_hours() -> None:
    from scipy.stats import spearmanr

    scores = noise(800, seed=6)
    i, j = (SINGLE_COMPONENTS.index(n) for n in ("momentum", "technical"))
    scores[..., j] = 0.5 * scores[..., i] + 0.5 * scores[..., j]
    scores[-50, 0, i] = np.nan
    row = pair(matrix(scores), "momentum", "technical")
    own = scores[-720:, 0][:, [i, j]]
    own = own[np.isfinite(own).all(axis=1)]
    assert row["signal_corr"] == pytest.approx(spearmanr(own)[0], rel=1e-12)
    assert row["n_obs"] == 719


def test_partial_correlations_explain_a_common_driver_away() -> None:
    rng = np.random.default_rng(7)
    scores = noise(800, seed=8)
    driver = rng.normal(size=(800, 1))
    at = {n: SINGLE_COMPONENTS.index(n) for n in ("beta_exp", "momentum", "volume")}
    scores[..., at["momentum"]] = driver
    for name in ("beta_exp", "volume"):
        scores[..., at[name]] = driver + 0.5 * rng.normal(size=driver.shape)
    out = matrix(scores)
    row = pair(out, "beta_exp", "volume")
    assert row["signal_corr"] > 0.7
    assert abs(row["partial_corr"]) < 0.15
    assert (
        out.loc[(out[["component_a", "component_b"]] == "confluence").any(axis=1), "partial_corr"]
        .isna()
        .all()
    )


def test_a_constant_score_has_no_correlation_and_a_left_out_one_says_why() -> None:
    scores = noise(800, seed=9)
    scores[..., SINGLE_COMPONENTS.index("volume")] = 50.0
    scores[..., SINGLE_COMPONENTS.index("whale_act")] = np.nan
    scores[:650, :, SINGLE_COMPONENTS.index("orderbook")] = np.nan
    out = matrix(scores)
    constant = pair(out, "technical", "volume")
    assert pd.isna(constant["signal_corr"])
    assert (constant["status"], constant["reason"]) == ("missing", "constant_score")
    absent = pair(out, "technical", "whale_act")
    assert (absent["status"], absent["n_obs"]) == ("missing", 0)
    young = pair(out, "orderbook", "technical")
    assert (young["status"], young["n_obs"]) == ("insufficient_history", 150)


def test_an_outage_of_one_component_leaves_the_pairs_of_others_as_they_are() -> None:
    scores = noise(800, seed=10)
    struck = scores.copy()
    struck[-60:-36, :, SINGLE_COMPONENTS.index("orderbook")] = np.nan
    touched = ["orderbook", "confluence"]
    before, after = (
        f[~f["component_a"].isin(touched) & ~f["component_b"].isin(touched)]
        for f in (matrix(scores), matrix(struck))
    )
    same_bytes(before.drop(columns="partial_corr"), after.drop(columns="partial_corr"))


# ------------------------------------------------------------------ all symbols together


def pooled(matrices: pd.DataFrame) -> pd.DataFrame:
    grid = Grid(END - timedelta(days=1), END, ("BTC/USDT", "ETH/USDT"))
    out = signal_correlations_pooled(matrices, grid=grid)
    validate(out, table("correlation.signal_correlations_pooled"))
    assert len(out) == 55
    return out


def test_the_pooled_matrix_is_the_mean_of_the_symbols_weighted_by_their_hours() -> None:
    first = matrix(noise(800, seed=11))
    struck = noise(800, seed=12)
    struck[-700:-300, :, SINGLE_COMPONENTS.index("momentum")] = np.nan
    second = matrix(struck).assign(symbol="ETH/USDT")
    both = pd.concat([second, first], ignore_index=True)
    row = pair(pooled(both), "momentum", "technical")
    own = [pair(m, "momentum", "technical") for m in (first, second)]
    hours = [int(o["n_obs"]) for o in own]
    assert hours == [720, 320]
    mean = sum(n * o["signal_corr"] for n, o in zip(hours, own, strict=True)) / sum(hours)
    assert row["signal_corr"] == pytest.approx(mean, rel=1e-12)
    assert (row["n_obs"], row["n_symbols"]) == (1040, 2)
    same_bytes(pooled(both), pooled(both.sort_values("component_b", ascending=False)))
    alone = pooled(first)["partial_corr"].astype(float)
    np.testing.assert_allclose(alone, first["partial_corr"].astype(float), rtol=1e-9)


def test_a_pair_that_no_symbol_has_is_missing_from_the_pooled_matrix() -> None:
    scores = noise(800, seed=13)
    scores[..., SINGLE_COMPONENTS.index("whale_act")] = np.nan
    row = pair(pooled(matrix(scores)), "technical", "whale_act")
    assert pd.isna(row["signal_corr"])
    assert (row["n_obs"], row["n_symbols"]) == (0, 0)
    assert (row["status"], row["reason"]) == ("missing", "no_symbol_has_one")
