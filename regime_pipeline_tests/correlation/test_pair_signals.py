"""Cointegration and spreads against plain regressions, and planted pairs against random walks."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.correlation import pair_kernels as kernels
from regime_pipeline.correlation.pair_signals import pair_signals
from regime_pipeline.settings import PairParams
from regime_pipeline.windows import Grid, Window, parse_lookback
from regime_pipeline_tests.correlation import worlds

HOURS = 91 * 24 + 72
FIRST = worlds.START + reach_of(pair_signals, "market.candles_1h")
PARAMS = PairParams()


def _run(closes: pd.DataFrame, start: object = FIRST, end: object = None) -> pd.DataFrame:
    end = end or closes.index[-1].to_pydatetime() + timedelta(hours=1)
    grid = Grid.of(Window(start, end), list(closes.columns))  # type: ignore[arg-type]
    return pair_signals(worlds.long(closes), grid=grid, params=PARAMS)


def _tied(seed: int = 1, *, hours: int = HOURS) -> pd.DataFrame:
    """C00 = 1.5 C01 + a deviation with a half-life of 12 h; C02 and C03 walk alone."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(0.005 * rng.normal(size=(hours, 4)), axis=0)
    gap = np.zeros(hours)
    for t in range(1, hours):
        gap[t] = 0.5 ** (1 / 12) * gap[t - 1] + 0.004 * rng.normal()
    walks[:, 0] = 1.5 * walks[:, 1] + gap
    return worlds.prices(np.diff(walks, axis=0, prepend=walks[:1]))


def _reference(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Engle-Granger with least squares by numpy, row by row."""
    both = ~(np.isnan(a) | np.isnan(b))
    design = np.column_stack([b[both], np.ones(both.sum())])
    (slope, intercept), *_ = np.linalg.lstsq(design, a[both], rcond=None)
    e = a - slope * b - intercept
    rows, left = [], []
    for t in range(9, len(e)):
        if np.isnan(e[t - 9 : t + 1]).any():
            continue
        rows.append([e[t - 1], *(e[t - j] - e[t - j - 1] for j in range(1, 9))])
        left.append(e[t] - e[t - 1])
    x, y = np.array(rows), np.array(left)
    beta, *_ = np.linalg.lstsq(x, y, rcond=None)
    rest = y - x @ beta
    variance = rest @ rest / (len(y) - 9) * np.linalg.inv(x.T @ x)[0, 0]
    here = ~(np.isnan(e[1:]) | np.isnan(e[:-1]))
    rho = (e[1:][here] @ e[:-1][here]) / (e[:-1][here] @ e[:-1][here])
    n = len(y)
    return {
        "hedge_ratio": slope,
        "spread_intercept": intercept,
        "spread_sd": np.nanstd(e, ddof=1),
        "coint_tau": beta[0] / math.sqrt(variance),
        "coint_critical_5pct": -3.33613 - 6.1101 / n - 6.823 / n**2,
        "half_life_h": -math.log(2) / math.log(rho),
        "n_obs": both.sum(),
    }


def test_an_hour_matches_plain_regressions_on_the_days_before_it() -> None:
    closes = _tied()
    closes = closes.mask(np.random.default_rng(2).random(closes.shape) < 0.004)
    frame = _run(closes)
    log = np.log(closes)
    for (a, b), rows in frame.groupby(["symbol_a", "symbol_b"]):
        row = rows.iloc[40]
        midnight = row["ts"].normalize()
        window = log.loc[(log.index >= midnight - pd.Timedelta(days=90)) & (log.index < midnight)]
        assert len(window) == 2160
        expected = _reference(window[a].to_numpy(), window[b].to_numpy())
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-7), (a, b, name)
        spread = (
            log[a][row["ts"]] - row["spread_intercept"] - row["hedge_ratio"] * log[b][row["ts"]]
        )
        assert row["spread_z"] == pytest.approx(spread / row["spread_sd"], rel=1e-9, nan_ok=True)
        assert row["is_cointegrated"] == (row["coint_tau"] < row["coint_critical_5pct"])


def test_the_tied_pair_is_signalled_on_the_side_that_reverts_and_walks_are_not() -> None:
    frame = _run(_tied())
    tied = frame[(frame["symbol_a"] == "C00/USDT") & (frame["symbol_b"] == "C01/USDT")]
    assert tied["is_cointegrated"].all()
    assert tied["hedge_ratio"].between(1.4, 1.6).all()
    assert tied["half_life_h"].between(6, 20).all()
    assert tied["coint_p"].lt(0.01).all()
    high, low = tied["spread_z"] >= 2, tied["spread_z"] <= -2
    assert (tied["pair_signal"] == "SHORT_A_LONG_B").equals(high)
    assert (tied["pair_signal"] == "LONG_A_SHORT_B").equals(low)
    assert (high | low).any()
    alone = frame[(frame["symbol_a"] == "C02/USDT") & (frame["symbol_b"] == "C03/USDT")]
    assert alone["pair_signal"].eq("NONE").all()


def test_thresholds_close_where_they_say() -> None:
    closes = _tied()
    z = _run(closes)["spread_z"].abs()
    edge = float(z[z > 0.5].iloc[0])
    grid = Grid.of(Window(FIRST, FIRST + timedelta(hours=72)), list(closes.columns))
    frame = pair_signals(worlds.long(closes), grid=grid, params=PairParams(entry_z=edge))
    at = frame[(frame["spread_z"].abs() == edge) & frame["is_cointegrated"]]
    assert at["pair_signal"].ne("NONE").all()
    assert len(at)
    assert set(frame["method_version"]) != set(_run(closes)["method_version"])


def test_independent_walks_are_called_cointegrated_as_rarely_as_stated() -> None:
    rng = np.random.default_rng(4)
    walks = np.cumsum(rng.standard_t(5, size=(80, 600)), axis=1)
    pairs = np.arange(80).reshape(40, 2)
    seen = np.array([[a, b] for a in range(0, 80, 2) for b in (a + 1,)])
    np.testing.assert_array_equal(pairs, seen)
    hits, total = 0, 0
    for _ in range(20):
        walks = np.cumsum(rng.standard_t(5, size=(80, 600)), axis=1)
        found = kernels.engle_granger(walks, pairs, 500)
        tau, rows = found[:, kernels.OUT_TAU], found[:, kernels.OUT_ROWS]
        hits += int((tau < kernels.critical_5pct(rows)).sum())
        total += len(pairs)
    assert 0.025 < hits / total < 0.08  # 5 % +- 3.5 standard errors


def test_p_values_agree_with_the_critical_values_of_the_later_paper() -> None:
    # asymptotic 1, 5 and 10 % points of MacKinnon 2010 for two series, through the 1994 surface
    p = kernels.p_value(np.array([-3.89644, -3.33613, -3.04445]))
    np.testing.assert_allclose(p, [0.01, 0.05, 0.10], rtol=0.03)
    wide = kernels.p_value(np.array([-30.0, -2.62, -2.6199, 1.0, np.nan]))
    assert wide[0] == 0
    assert wide[1] == pytest.approx(wide[2], abs=2e-3)
    assert wide[3] == 1
    assert np.isnan(wide[4])
    # the published 5 % point for 100 rows: -3.33613 - 6.1101/100 - 6.823/100^2
    assert kernels.critical_5pct(np.array([100.0]))[0] == pytest.approx(-3.39791, abs=1e-5)


def test_frames_keep_the_contract_and_any_chunking_gives_the_same_bytes() -> None:
    closes = _tied(5)
    closes = closes.mask(np.random.default_rng(6).random(closes.shape) < 0.003)
    whole = _run(closes)
    which = table("correlation.pair_signals")
    assert list(whole.columns) == list(which.content)
    validate(whole, which)
    assert len(whole) == 6 * 72
    end = FIRST + timedelta(hours=72)
    cuts = [FIRST, FIRST + timedelta(hours=7), FIRST + timedelta(hours=8), end]
    parts = [
        _run(closes[closes.index >= s - parse_lookback("91d")], s, e)
        for s, e in itertools.pairwise(cuts)
    ]
    joined = pd.concat(parts).sort_values(list(which.key)).reset_index(drop=True)
    pd.testing.assert_frame_equal(joined, whole, check_exact=True)
    pd.testing.assert_frame_equal(_run(closes), whole, check_exact=True)


def test_parameters_never_see_the_day_they_judge_nor_rows_what_comes_later() -> None:
    closes = _tied(7)
    cut = FIRST + timedelta(hours=30)
    before = _run(closes, FIRST, cut)
    spoilt = closes.copy()
    spoilt.loc[spoilt.index >= pd.Timestamp(cut)] = 1e-6
    pd.testing.assert_frame_equal(_run(spoilt, FIRST, cut), before, check_exact=True)
    moved = closes.copy()
    moved.loc[moved.index >= pd.Timestamp(FIRST + timedelta(hours=24))] *= 1.5
    after = _run(moved, FIRST, cut)
    fitted = ["hedge_ratio", "spread_intercept", "spread_sd", "coint_tau", "half_life_h", "n_obs"]
    pd.testing.assert_frame_equal(after[fitted], before[fitted], check_exact=True)
    late = after["ts"] >= pd.Timestamp(FIRST + timedelta(hours=24))
    assert not np.allclose(after.loc[late, "spread_z"], before.loc[late, "spread_z"])


def test_a_missing_hour_is_null_and_its_neighbours_are_not() -> None:
    closes = _tied(8)
    full = _run(closes)
    gone = closes.copy()
    hole = (gone.index >= pd.Timestamp(FIRST + timedelta(hours=30))) & (
        gone.index < pd.Timestamp(FIRST + timedelta(hours=54))
    )
    gone.loc[hole, "C01/USDT"] = np.nan
    frame = _run(gone)
    touched = frame["symbol_a"].eq("C01/USDT") | frame["symbol_b"].eq("C01/USDT")
    pd.testing.assert_frame_equal(frame[~touched], full[~touched], check_exact=True)
    early = touched & (frame["ts"] < pd.Timestamp(FIRST + timedelta(hours=30)))
    pd.testing.assert_frame_equal(frame[early], full[early], check_exact=True)
    inside = frame[touched & frame["ts"].isin(gone.index[hole])]
    assert inside["spread_z"].isna().all()
    assert inside["reason"].eq("close_missing").all()
    known = inside["is_cointegrated"] & (inside["hedge_ratio"] > 0)
    assert inside.loc[known, "pair_signal"].isna().all()
    assert inside.loc[known, "status"].eq("missing").all()
    assert known.any()
    assert inside.loc[~known, "pair_signal"].eq("NONE").all()  # certain without the hour
    assert inside.loc[~known, "status"].eq("partial").all()


def test_short_history_gaps_and_stuck_prices_say_so() -> None:
    closes = _tied(9)
    closes.iloc[: 91 * 24 - 1000, 1] = np.nan
    closes.iloc[500:1500, 2] = np.nan
    closes.iloc[:, 3] = 10.0
    frame = _run(closes)
    got = frame.groupby(["symbol_a", "symbol_b"])[["status", "reason"]].first()
    short = "under_1800_common_closes"
    assert tuple(got.loc[("C00/USDT", "C01/USDT")]) == ("insufficient_history", short)
    assert tuple(got.loc[("C00/USDT", "C02/USDT")]) == ("missing", short)
    stuck = ("not_applicable", "constant_spread_or_price")
    assert tuple(got.loc[("C00/USDT", "C03/USDT")]) == stuck
    values = ["hedge_ratio", "coint_tau", "coint_p", "spread_z", "pair_signal", "is_cointegrated"]
    assert frame[values].isna().all(axis=None)
    assert frame["n_obs"].notna().all()


def test_one_symbol_twice_is_no_pair_to_trade() -> None:
    closes = _tied(10)[["C00/USDT", "C01/USDT"]]
    closes["C01/USDT"] = closes["C00/USDT"] ** 2  # log prices are exact multiples
    frame = _run(closes)
    assert frame["pair_signal"].isna().all()
    assert frame["reason"].eq("constant_spread_or_price").all()
    assert _run(closes[["C00/USDT"]]).empty
