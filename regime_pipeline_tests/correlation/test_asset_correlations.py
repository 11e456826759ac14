"""What the correlation tables say: definitions, missing data, point in time, episodes."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.correlation import asset_correlations as module
from regime_pipeline.correlation.asset_correlations import (
    SEVERITIES,
    classify_drop,
    correlations,
    judge,
)
from regime_pipeline.correlation.frames import MOST_PAIRS, stored_pairs
from regime_pipeline.settings import DEFAULT_SYMBOLS, CorrelationParams
from regime_pipeline.windows import Grid, Window, hours_between, parse_lookback, utc

SYMBOLS = ("ADA/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT")
PARAMS = CorrelationParams()
START = utc("2023-01-01")
HOURS = 7248 + 24 * 14
"""The declared lookback and two weeks."""
FIRST = START + reach_of(correlations, "market.candles_1h")


def _candles(closes: pd.DataFrame) -> pd.DataFrame:
    """Long spot candles of a frame hours x symbols; the perpetuals beside them are noise."""
    long = closes.rename_axis("ts").reset_index().melt("ts", var_name="symbol", value_name="close")
    long = long.assign(market="spot", venue="binance", source_tier=1)
    return pd.concat([long, long.assign(market="perp", close=1.0)], ignore_index=True)


def _world(seed: int = 11, *, hours: int = HOURS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    common = rng.standard_t(4, size=(hours, 1))
    returns = 0.004 * (common + 0.8 * rng.standard_t(4, size=(hours, len(SYMBOLS))))
    index = hours_between(START, START + timedelta(hours=hours))
    return pd.DataFrame(100 * np.exp(returns.cumsum(axis=0)), index=index, columns=list(SYMBOLS))


def _run(closes: pd.DataFrame, start: object, end: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    grid = Grid.of(Window(utc(start), utc(end)), SYMBOLS)  # type: ignore[arg-type]
    return correlations(_candles(closes), grid=grid, params=PARAMS)


def _decoupled() -> pd.DataFrame:
    """ADA loses its tie to the others on the fourth day of the fortnight and regains it later."""
    rng = np.random.default_rng(3)
    common = rng.normal(size=HOURS)
    own = rng.normal(size=(HOURS, len(SYMBOLS)))
    tie = np.full((HOURS, len(SYMBOLS)), 0.9)
    tie[7248 + 72 : 7248 + 72 + 120, 0] = 0.0
    returns = 0.004 * (tie * common[:, None] + np.sqrt(1 - tie**2) * own)
    index = hours_between(START, START + timedelta(hours=HOURS))
    return pd.DataFrame(100 * np.exp(returns.cumsum(axis=0)), index=index, columns=list(SYMBOLS))


@pytest.mark.parametrize(
    ("base", "current", "drop", "severity"),
    [(0.45, 0.15, 0.667, "MEDIUM"), (0.8, 0.32, 0.6, None), (0.4, -0.05, 1.125, "CRITICAL")],
)
def test_seed_scenarios_are_breaks(
    base: float, current: float, drop: float, severity: str | None
) -> None:
    said = judge(np.array([current]), np.array([base]), np.array([0.01]), PARAMS)
    assert said["rel_drop"][0] == pytest.approx(drop, abs=5e-4)
    assert said["is_break"][0]
    if severity:
        assert SEVERITIES[classify_drop(said["rel_drop"])[0]] == severity


def test_small_baselines_small_drops_and_weak_evidence_are_no_breaks() -> None:
    base = np.array([0.10, 0.45, 0.45, 0.45])
    current = np.array([0.04, 0.15, 0.225, 0.15])
    p_break = np.array([0.001, 0.05, 0.001, np.nan])
    said = judge(current, base, p_break, PARAMS)
    assert said["rel_drop"][0] == pytest.approx(0.6)
    assert not said["is_break"].any()
    np.testing.assert_array_equal(said["known"], [True, True, True, False])


def test_a_rise_is_a_flag_of_its_own_and_a_change_of_sign_a_kind() -> None:
    base, current = np.array([0.2, 0.5, -0.2]), np.array([0.55, -0.1, 0.2])
    said = judge(current, base, np.full(3, 0.01), PARAMS)
    np.testing.assert_array_equal(said["is_rise"], [True, False, True])
    np.testing.assert_array_equal(said["is_break"], [False, True, False])
    np.testing.assert_array_equal(said["kind"], [1, 2, 1])


def test_severity_bands_close_as_written() -> None:
    drops = np.array([0.49, 0.5, 0.6, 0.75, 0.9, math.nextafter(0.9, 1), np.nan])
    np.testing.assert_array_equal(classify_drop(drops), [-1, 0, 1, 2, 2, 3, -1])


@pytest.mark.slow
def test_every_statistic_of_an_hour_matches_a_slow_reference() -> None:
    closes = _world()
    rng = np.random.default_rng(0)
    for column in range(len(SYMBOLS)):  # holes of each symbol's own, but not the newest hours
        closes.iloc[rng.choice(HOURS - 400, 60, replace=False), column] = np.nan
    at = FIRST + timedelta(days=4)
    frame, _ = _run(closes, at, at + timedelta(hours=1))
    returns = np.log(closes / closes.shift(1))
    now = closes.index.get_loc(pd.Timestamp(at))

    def rank_test(pair: tuple[str, str], t: int) -> tuple[float, ...]:
        both = returns[list(pair)]
        current = both.iloc[t - 167 : t + 1].dropna()
        base = both.iloc[t - 887 : t - 167].dropna()
        r, b = (stats.spearmanr(w.iloc[:, 0], w.iloc[:, 1]).statistic for w in (current, base))
        variance = (1 + r * r / 2) / (len(current) - 3) + (1 + b * b / 2) / (len(base) - 3)
        return (math.atanh(r) - math.atanh(b)) / math.sqrt(variance), r, b, len(current), len(base)

    raw = {}
    frame = frame.set_index(["symbol_a", "symbol_b"])
    for pair in itertools.combinations(SYMBOLS, 2):
        row = frame.loc[pair]
        z, r, b, n, m = rank_test(pair, now)
        sd = np.std([rank_test(pair, now - 168 * j)[0] for j in range(1, 26)], ddof=1)
        raw[pair] = 2 * stats.norm.sf(abs(z) / max(1, sd))
        both = returns[list(pair)]
        corr = both.iloc[now - 167 : now + 1].corr().iloc[0, 1]
        base = both.iloc[now - 887 : now - 167].corr().iloc[0, 1]
        expected = {
            "corr_7d": corr,
            "corr_30d_base": base,
            "spearman_7d": r,
            "spearman_30d_base": b,
            "n_7d": n,
            "n_30d_base": m,
            "rel_drop": (base - corr) / abs(base),
            "abs_change": corr - base,
            "break_z": z,
            "break_z_sd": sd,
            "corr_30d_legacy": both.iloc[now - 719 : now + 1].corr().iloc[0, 1],
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-10), name
    adjusted = stats.false_discovery_control(list(raw.values()))
    for pair, value in zip(raw, adjusted, strict=True):
        assert frame.loc[pair, "p_break"] == pytest.approx(value, rel=1e-10)


def test_the_break_of_the_seed_is_a_relative_drop_alone() -> None:
    closes = _decoupled()
    frame, _ = _run(closes, FIRST, FIRST + timedelta(days=14))
    drop = (frame["corr_30d_legacy"] - frame["corr_7d"]) / frame["corr_30d_legacy"].abs()
    assert frame["is_break_legacy"].notna().all()
    assert frame["is_break_legacy"].eq(drop > 0.5).all()
    assert frame["is_break_legacy"].any() and not frame["is_break_legacy"].all()
    returns = np.log(closes / closes.shift(1))
    at = FIRST + timedelta(days=9)
    place = closes.index.get_loc(pd.Timestamp(at))
    pair = frame[(frame["ts"] == at)].iloc[0]
    month = returns.iloc[place - 719 : place + 1][[pair["symbol_a"], pair["symbol_b"]]].corr()
    assert pair["corr_30d_legacy"] == pytest.approx(month.iloc[0, 1], rel=1e-9)


def test_corr_ewma_weighs_by_an_84_hour_half_life() -> None:
    closes = _world()
    at = FIRST + timedelta(days=9)
    frame, _ = _run(closes, at, at + timedelta(hours=1))
    returns = np.log(closes / closes.shift(1)).loc[: pd.Timestamp(at)].iloc[1:]
    weight = 0.5 ** (np.arange(len(returns))[::-1] / 84)
    for row in frame.itertuples():
        a, b = returns[row.symbol_a], returns[row.symbol_b]
        cross, aa, bb = ((weight * v).sum() for v in (a * b, a * a, b * b))
        assert row.corr_ewma == pytest.approx(cross / math.sqrt(aa * bb), abs=1e-11)


def test_frames_keep_the_catalogue_contract() -> None:
    frame, breaks = _run(_decoupled(), FIRST, FIRST + timedelta(days=14))
    for name, one in (("asset_correlations", frame), ("correlation_breaks", breaks)):
        which = table(f"correlation.{name}")
        assert list(one.columns) == list(which.content)
        validate(one, which)
        key = list(which.key)
        pd.testing.assert_frame_equal(one, one.sort_values(key).reset_index(drop=True))
    assert len(frame) == 6 * 14 * 24
    assert len(breaks) > 0
    assert frame["status"].eq("ok").all()
    assert frame["reason"].isna().all()


def test_a_decoupled_coin_opens_escalates_and_closes_episodes_with_it_alone() -> None:
    frame, breaks = _run(_decoupled(), FIRST, FIRST + timedelta(days=14))
    assert set(breaks["symbol_a"]) == {"ADA/USDT"}
    assert breaks["event_kind"].eq("escalation").any()
    for _, episode in breaks.groupby("symbol_b"):
        told = episode[episode["event_kind"].notna()]
        assert told["event_kind"].iloc[0] == "start"
        assert told["event_kind"].iloc[-1] == "end"
        assert told["event_severity"].iloc[-1] == "INFO"
        assert told["event_ordinal"].tolist() == list(range(len(told)))
        assert episode["episode_start"].nunique() == 1
        assert episode["episode_start"].iloc[0] == episode["ts"].iloc[0]
        assert episode["duration_hours"].tolist() == list(range(len(episode)))
        assert (episode["rel_drop"].iloc[-3:] < 0.35).all()
        first = frame.merge(episode.head(1)[["symbol_a", "symbol_b", "ts"]])
        assert first["is_break"].all()
        gaps = told["ts"].diff().dropna()
        assert (gaps >= pd.Timedelta(hours=3)).all()
        alerts = told[told["event_kind"] != "end"]
        expected = alerts["break_severity"].map(
            {"LOW": "WARNING", "MEDIUM": "WARNING", "HIGH": "CRITICAL", "CRITICAL": "CRITICAL"}
        )
        assert (alerts["event_severity"] == expected).all()
        ranks = alerts["break_severity"].map(SEVERITIES.index)
        assert ranks.is_monotonic_increasing
        assert ranks.is_unique


def test_any_chunking_gives_the_same_bytes() -> None:
    closes = _decoupled()
    rng = np.random.default_rng(1)
    closes.iloc[rng.choice(HOURS, 30, replace=False), 1] = np.nan
    a, c = FIRST + timedelta(days=4), FIRST + timedelta(days=8)
    whole = _run(closes, a, c)
    for cuts in (
        (a, a + timedelta(hours=37), c),
        (a, *(a + timedelta(days=d) for d in (1, 2, 3)), c),
    ):
        parts = [
            _run(closes[closes.index >= s - parse_lookback("302d")], s, e)
            for s, e in itertools.pairwise(cuts)
        ]
        for i in (0, 1):
            joined = pd.concat([p[i] for p in parts]).sort_values(["symbol_a", "symbol_b", "ts"])
            pd.testing.assert_frame_equal(joined.reset_index(drop=True), whole[i], check_exact=True)
    assert whole[1]["event_kind"].notna().any()


def test_the_declared_history_reaches_the_oldest_close_that_a_row_needs() -> None:
    machine = module.MACHINE - 1
    lags = module.LAG_STEP * module.LAGS
    windows = module.CURRENT + module.BASE - 1
    needed = timedelta(hours=machine + lags + windows + 1)  # a return needs the close before it
    declared = reach_of(correlations, "market.candles_1h")
    assert needed <= declared < needed + timedelta(days=1)
    assert timedelta(hours=module.EWMA_SLOTS) < declared


def test_a_row_knows_nothing_that_comes_after_its_hour() -> None:
    closes = _decoupled()
    a, c = FIRST + timedelta(days=4), FIRST + timedelta(days=6)
    before = _run(closes, a, c)
    spoilt = closes.copy()
    spoilt.loc[spoilt.index >= pd.Timestamp(c)] = 1e-6
    after = _run(spoilt, a, c)
    for one, other in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_an_outage_of_a_day_is_survived_and_a_longer_one_is_null_with_its_reason() -> None:
    closes = _world()
    gone = closes.copy()
    a = pd.Timestamp(FIRST + timedelta(days=3))
    gone.loc[(gone.index >= a) & (gone.index < a + pd.Timedelta(hours=40)), "BTC/USDT"] = np.nan
    frame, breaks = _run(gone, a, a + pd.Timedelta(hours=60))
    ours = frame[(frame["symbol_a"] == "BTC/USDT") & (frame["symbol_b"] == "ETH/USDT")]
    ours = ours.set_index((ours["ts"] - a) // pd.Timedelta(hours=1))
    # 24 missing bars take 24 returns and leave 144, above the least of 140
    assert ours.loc[23, "n_7d"] == 144
    assert ours.loc[23, "status"] == "partial"
    assert ours.loc[23, "reason"] == "ewma_gap"
    assert ours.loc[27, "n_7d"] == 140
    assert np.isfinite(ours.loc[27, "corr_7d"])
    null = ours.loc[28:59]
    assert null["status"].eq("missing").all()
    assert null["reason"].eq("under_140_common_returns").all()
    for column in ("corr_7d", "spearman_7d", "corr_ewma", "rel_drop", "break_z", "p_break"):
        assert null[column].isna().all()
    assert null["is_break"].isna().all()
    assert null["is_rise"].isna().all()
    assert null["corr_30d_base"].notna().all()
    others = frame[(frame["symbol_a"] != "BTC/USDT") & (frame["symbol_b"] != "BTC/USDT")]
    assert others["status"].eq("ok").all()
    assert breaks.empty


def test_a_young_market_says_how_much_history_is_lacking() -> None:
    closes = _world(hours=24 * 140)
    frame, breaks = _run(closes, START, START + timedelta(days=140))
    pair = frame[(frame["symbol_a"] == "ADA/USDT") & (frame["symbol_b"] == "BTC/USDT")]
    pair = pair.set_index((pair["ts"] - pair["ts"].iloc[0]) // pd.Timedelta(hours=1))
    assert pair.loc[139, "status"] == "insufficient_history"
    assert pair.loc[139, "reason"] == "under_140_common_returns"
    assert pair.loc[140, "status"] == "partial"
    assert pair.loc[140, "reason"] == "under_480_baseline_returns"
    assert pair.loc[140, "corr_ewma"] == pytest.approx(pair.loc[140, "corr_7d"], abs=0.2)
    assert pair.loc[648, "reason"] == "under_12_lagged_tests"
    # 168 + 480 returns for one test, twelve lagged ones before it: section 7's 121 days
    first = pair.index[pair["p_break"].notna()][0]
    assert first == 648 + 12 * 168
    assert pair.loc[first, "status"] == "ok"
    assert pair.loc[:139, "corr_7d"].isna().all()
    assert breaks.empty


def test_stuck_prices_have_no_correlation() -> None:
    closes = _world()
    at = FIRST + timedelta(days=5)
    closes.loc[closes.index >= pd.Timestamp(at) - pd.Timedelta(days=8), "SOL/USDT"] = 100.0
    frame, _ = _run(closes, at, at + timedelta(hours=1))
    stuck = frame[frame["symbol_b"] == "SOL/USDT"]
    assert stuck["status"].eq("not_applicable").all()
    assert stuck["reason"].eq("constant_returns").all()
    assert stuck[["corr_7d", "spearman_7d", "rel_drop", "p_break"]].isna().all(axis=None)


def test_one_symbol_has_no_pairs_and_inputs_are_left_alone() -> None:
    candles = _candles(_world())
    copy = candles.copy(deep=True)
    lone = Grid.of(Window(FIRST, FIRST + timedelta(hours=5)), SYMBOLS[:1])
    for one in correlations(candles, grid=lone, params=PARAMS):
        assert one.empty
    both = Grid.of(Window(FIRST, FIRST + timedelta(hours=5)), SYMBOLS[:2])
    assert len(correlations(candles, grid=both, params=PARAMS)[0]) == 5
    pd.testing.assert_frame_equal(candles, copy)


@pytest.mark.history
def test_breaks_of_two_years_are_few_and_are_the_ones_a_trader_remembers(
    market_history: Path,
) -> None:
    candles = pd.read_parquet(market_history / "candles_1h.parquet")
    candles = candles[(candles["venue"] == "binance") & (candles["market"] == "spot")]
    candles = candles.assign(symbol=candles["symbol"].str.replace("USDT", "/USDT"), source_tier=3)
    grid = Grid.of(
        Window(utc("2023-01-01"), utc("2025-01-01")), candles["symbol"].unique().tolist()
    )
    frame, breaks = correlations(candles, grid=grid, params=PARAMS)
    starts = breaks[breaks["event_kind"] == "start"]
    assert len(grid.symbols) == 8
    assert frame["p_break"].notna().mean() > 0.8
    # 28 pairs x 610 judged days; a world without breaks may show 0.0006 a pair-day, that is ten
    assert 12 <= len(starts) <= 40
    pairs = set(zip(starts["symbol_a"], starts["symbol_b"], starts["ts"].dt.date, strict=True))
    day = pd.Timestamp("2024-07-15").date()  # XRP on its own after the court news
    for other in ("BNB/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT"):
        assert (other, "XRP/USDT", day) in pairs
    ends = breaks[breaks["event_kind"] == "end"]
    assert len(ends) == len(starts)  # none is open at the end of 2024
    assert ends["duration_hours"].median() < 24 * 8


def test_of_many_pairs_those_of_leading_symbols_have_rows_and_their_values_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closes = _decoupled()
    start, end = START + timedelta(hours=7248 + 72), START + timedelta(hours=7248 + 168)
    whole = _run(closes, start, end)
    monkeypatch.setattr(module, "stored_pairs", partial(stored_pairs, most=3))
    for some, all_ in zip(_run(closes, start, end), whole, strict=True):
        of_btc = all_["symbol_a"].eq("BTC/USDT") | all_["symbol_b"].eq("BTC/USDT")
        assert 0 < of_btc.sum() < len(all_)
        pd.testing.assert_frame_equal(some, all_[of_btc].reset_index(drop=True))


def test_two_thousand_pairs_are_the_leading_symbols_with_every_other() -> None:
    names = sorted({*(f"X{n:03}/USDT" for n in range(92)), *DEFAULT_SYMBOLS})
    pairs = list(itertools.combinations(names, 2))
    kept = [pairs[i] for i in stored_pairs(names)]
    assert 1_900 < len(kept) <= MOST_PAIRS
    assert {p for p in pairs if set(p) & set(DEFAULT_SYMBOLS)} <= set(kept)
    others = {p[0] for p in kept if not set(p) & set(DEFAULT_SYMBOLS)}
    assert others == {f"X{n:03}/USDT" for n in range(len(others))}
    assert len(stored_pairs(names[:63])) == 63 * 62 // 2
