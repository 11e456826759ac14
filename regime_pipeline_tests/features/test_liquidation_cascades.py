"""Severities, dominance and cascade episodes."""

from __future__ import annotations

import itertools
import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import lookbacks, reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.cascade_kernels import cascade_episodes
from regime_pipeline.features.liquidation_cascades import liquidation_cascades
from regime_pipeline.market.derivatives import liquidations_1h, open_interest
from regime_pipeline.settings import CascadeParams
from regime_pipeline.windows import Grid, Window, hours_between, utc
from regime_pipeline_tests.synthetic import same_bytes

PARAMS = CascadeParams()
START = utc("2024-01-01")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
HOURS = 121 * 24 + 240
FIRST = START + reach_of(liquidation_cascades, "market.liquidations_1h")


def _liquidations(longs: pd.DataFrame, shorts: pd.DataFrame) -> pd.DataFrame:
    """``market.liquidations_1h`` rows of two frames hours x symbols; null is a missing hour."""
    long = longs.rename_axis("ts").reset_index().melt("ts", var_name="symbol", value_name="l")
    short = shorts.rename_axis("ts").reset_index().melt("ts", var_name="symbol", value_name="s")
    known = long["l"].notna()
    return pd.DataFrame(
        {
            "symbol": long["symbol"],
            "ts": long["ts"],
            "long_liquidations_usd": long["l"],
            "short_liquidations_usd": short["s"],
            "total_liquidation_usd": long["l"] + short["s"],
            "coverage": known.astype(float),
            "is_lower_bound": known.astype("boolean").mask(~known),
            "source_tier": pd.array([2] * len(long), dtype="Int64"),
        }
    )


def _interest(hours: pd.DatetimeIndex, usd: float = 1e9) -> pd.DataFrame:
    frame = pd.DataFrame(list(itertools.product(SYMBOLS, hours)), columns=["symbol", "ts"])
    return frame.assign(open_interest_usd=usd, source_tier=1)


def _world(seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    index = hours_between(START, START + timedelta(hours=HOURS))
    bursts = np.where(rng.random((HOURS, 2)) < 0.02, 30.0, 1.0)
    totals = np.exp(rng.normal(11, 1, size=(HOURS, 2))) * bursts
    totals[rng.random(totals.shape) < 0.1] = 0.0
    share = rng.random((HOURS, 2))
    columns = list(SYMBOLS)
    return (
        pd.DataFrame(totals * share, index=index, columns=columns),
        pd.DataFrame(totals * (1 - share), index=index, columns=columns),
    )


def _run(
    longs: pd.DataFrame,
    shorts: pd.DataFrame,
    start: datetime = FIRST,
    end: datetime = START + timedelta(hours=HOURS),
) -> pd.DataFrame:
    return liquidation_cascades(
        _liquidations(longs, shorts),
        _interest(longs.index),
        grid=Grid.of(Window(start, end), SYMBOLS),
        params=PARAMS,
    )


def _row(longs: float, shorts: float) -> pd.Series:
    a, b = _world()
    at = FIRST + timedelta(hours=5)
    a.loc[pd.Timestamp(at), "BTC/USDT"], b.loc[pd.Timestamp(at), "BTC/USDT"] = longs, shorts
    return _run(a, b, at, at + timedelta(hours=1)).iloc[0]


@pytest.mark.parametrize(
    ("total", "severity"),
    [(0.0, 0), (49_999.0, 0), (5e4, 1), (2.5e5, 2), (5e5, 3), (1.5e6, 4), (2.4e6, 4), (5e6, 5),
     (1e7, 5)],
)  # fmt: skip
def test_severity_bands_in_usd(total: float, severity: int) -> None:
    row = _row(total, 0.0)
    assert row["severity"] == severity
    assert row["velocity_usd_per_hour"] == total
    assert row["is_cascade_legacy"] == (severity >= 3)


def test_a_cascade_is_large_and_unusual_for_its_coin() -> None:
    """Fixed dollars alone name every eighth hour of a large coin; without history nobody knows."""
    a, b = _world()
    a["ETH/USDT"] *= 40.0  # hours above the threshold are nothing special here
    frame = _run(a, b, FIRST, FIRST + timedelta(days=10))
    known = frame["severity_pct"].notna()
    both = (frame["severity"] >= 3) & (frame["severity_pct"] >= 3)
    assert known.all() and frame["is_cascade"].eq(both).all()
    eth = frame[frame["symbol"] == "ETH/USDT"]
    assert eth["is_cascade_legacy"].mean() > 0.5 and eth["is_cascade"].mean() < 0.1


@pytest.mark.parametrize(
    ("longs", "shorts", "dominance"),
    [
        (1.5e6, 1.0e6, "LONG"),
        (1.0e6, 1.5e6, "SHORT"),
        (1.49e6, 1.0e6, "BALANCED"),
        (2e5, 0.0, None),  # under half the threshold, and buckets count no events
    ],
)
def test_dominance_by_usd_share(longs: float, shorts: float, dominance: str | None) -> None:
    row = _row(longs, shorts)
    assert row["long_share_frac"] == pytest.approx(longs / (longs + shorts))
    if dominance is None:
        assert pd.isna(row["dominance"])
    else:
        assert row["dominance"] == dominance


def test_no_liquidations_are_a_zero_without_a_share() -> None:
    row = _row(0.0, 0.0)
    assert row["severity"] == 0
    assert row["severity_pct"] == 0
    assert row["liq_to_oi_bps"] == 0.0
    assert pd.isna(row["long_share_frac"])
    assert row["status"] == "ok"


def test_liquidations_are_weighed_against_the_open_interest_of_the_hour_before() -> None:
    longs, shorts = _world()
    interest = _interest(longs.index)
    at = pd.Timestamp(FIRST + timedelta(hours=5))
    interest.loc[interest["ts"] == at - pd.Timedelta(hours=1), "open_interest_usd"] = 2e9
    interest.loc[interest["ts"] == at, "open_interest_usd"] = 1.0
    grid = Grid.of(Window(FIRST, FIRST + timedelta(hours=9)), SYMBOLS)
    frame = liquidation_cascades(
        _liquidations(longs, shorts), interest, grid=grid, params=PARAMS
    ).set_index(["symbol", "ts"])
    row = frame.loc[("BTC/USDT", at)]
    assert row["liq_to_oi_bps"] == pytest.approx(1e4 * row["total_liquidation_usd"] / 2e9)


def test_severity_pct_matches_a_slow_reference() -> None:
    longs, shorts = _world()
    longs.iloc[3000:3010] = np.nan
    frame = _run(longs, shorts)
    totals = longs + shorts
    levels = np.array([0.9, 0.97, 0.99, 0.997, 0.9995])
    for row in frame.sample(120, random_state=0).itertuples():
        at = totals.index.get_loc(row.ts)
        x = totals[row.symbol].iloc[at - 720 : at].dropna().to_numpy()
        bands = np.quantile(x, levels)
        y = np.sort(x[x > bands[0]]) - bands[0]
        p = (np.arange(1, y.size + 1) - 0.35) / y.size
        a0, a1 = y.mean(), ((1 - p) * y).mean()
        xi, beta = 2 - a0 / (a0 - 2 * a1), 2 * a0 * a1 / (a0 - 2 * a1)
        bands[2:] = bands[0] + beta / xi * ((x.size / y.size * (1 - levels[2:])) ** -xi - 1)
        bands = np.maximum.accumulate(bands)
        total = totals[row.symbol].iloc[at]
        if math.isnan(total):
            assert pd.isna(row.severity_pct)
        else:
            assert row.severity_pct == (bands <= total).sum()


def test_frame_keeps_the_catalogue_contract() -> None:
    frame = _run(*_world())
    which = table("features.liquidation_cascades")
    assert list(frame.columns) == list(which.content)
    validate(frame, which)
    assert len(frame) == 2 * 240
    assert frame["event_kind"].notna().sum() > 3
    pd.testing.assert_frame_equal(frame, frame.sort_values(["symbol", "ts"]).reset_index(drop=True))


@pytest.mark.slow
def test_any_chunking_gives_the_same_bytes() -> None:
    longs, shorts = _world()
    longs.iloc[2924:2929, 0] = np.nan
    whole = _run(longs, shorts)
    end = START + timedelta(hours=HOURS)
    for cuts in (
        (FIRST, FIRST + timedelta(hours=37), end),
        (FIRST, *(FIRST + timedelta(hours=h) for h in range(1, 30)), end),
    ):
        parts = []
        for s, e in itertools.pairwise(cuts):
            since = s - reach_of(liquidation_cascades, "market.liquidations_1h")
            kept = longs.index >= since
            parts.append(_run(longs[kept], shorts[kept], s, e))
        joined = pd.concat(parts).sort_values(["symbol", "ts"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(joined, whole, check_exact=True)


def test_a_row_knows_nothing_that_comes_after_its_hour() -> None:
    longs, shorts = _world()
    cut = FIRST + timedelta(hours=100)
    before = _run(longs, shorts, FIRST, cut)
    longs.loc[longs.index >= pd.Timestamp(cut)] = 1e12
    after = _run(longs, shorts, FIRST, cut)
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_a_day_without_data_is_null_with_its_reason_and_hurts_nothing_after_it() -> None:
    longs, shorts = _world()
    at = pd.Timestamp(FIRST + timedelta(hours=50))
    gone = (longs.index >= at) & (longs.index < at + pd.Timedelta(hours=24))
    longs.loc[gone, "BTC/USDT"] = shorts.loc[gone, "BTC/USDT"] = np.nan
    frame = _run(longs, shorts).set_index("ts")
    btc = frame[frame["symbol"] == "BTC/USDT"]
    null = btc.loc[at : at + pd.Timedelta(hours=23)]
    assert len(null) == 24
    assert null["status"].eq("missing").all()
    assert null["reason"].eq("no_liquidations").all()
    for column in ("severity", "is_cascade", "severity_pct", "liq_to_oi_bps", "dominance"):
        assert null[column].isna().all()
    assert null[["event_kind", "episode_start", "source_tier"]].isna().all(axis=None)
    assert btc.drop(null.index)["status"].eq("ok").all()
    assert frame.loc[frame["symbol"] == "ETH/USDT", "status"].eq("ok").all()


def test_missing_history_and_open_interest_take_only_what_needs_them() -> None:
    longs, shorts = _world()
    grid = Grid.of(Window(START, START + timedelta(hours=400)), SYMBOLS)
    none = _interest(longs.index).head(0)
    frame = liquidation_cascades(_liquidations(longs, shorts), none, grid=grid, params=PARAMS)
    btc = frame[frame["symbol"] == "BTC/USDT"].reset_index(drop=True)
    assert btc["status"].eq("partial").all()
    assert btc.loc[335, "reason"] == "no_percentile_history,no_open_interest"
    assert btc.loc[336, "reason"] == "no_open_interest"
    assert btc["severity"].notna().all() and btc["is_cascade_legacy"].notna().all()
    assert btc["is_cascade"].isna().tolist() == [True] * 336 + [False] * 64
    assert btc["liq_to_oi_bps"].isna().all()
    assert btc.loc[:335, "event_kind"].isna().all()  # no event without percentile history


def test_thirty_days_from_two_sources_rank_nothing_and_say_so() -> None:
    longs, shorts = _world()
    change = pd.Timestamp(FIRST + timedelta(hours=30)) - pd.Timedelta(hours=720)
    rows = _liquidations(longs, shorts)
    told = rows.assign(venue="binance", source=np.where(rows["ts"] < change, "okx", "coinglass"))

    def run(start: datetime) -> pd.DataFrame:
        grid = Grid.of(Window(start, START + timedelta(hours=HOURS)), SYMBOLS)
        return liquidation_cascades(told, _interest(longs.index), grid=grid, params=PARAMS)

    frame = run(FIRST)
    whole = _run(longs, shorts)
    # the newest hour of the other source is the oldest that the row at FIRST + 29 h is ranked in
    mixed = frame["ts"] < pd.Timestamp(FIRST + timedelta(hours=30))
    assert set(frame.loc[mixed, "reason"]) == {"source_changed"}
    assert frame.loc[mixed, ["severity_pct", "event_kind", "branching_ratio"]].isna().all(axis=None)
    levels = ["total_liquidation_usd", "severity", "liq_to_oi_bps", "completeness"]
    same_bytes(frame[levels], whole[levels])
    assert frame.loc[~mixed, "severity_pct"].equals(whole.loc[~mixed, "severity_pct"])
    late = run(FIRST + timedelta(hours=7))
    same_bytes(late, frame[frame["ts"] >= pd.Timestamp(FIRST + timedelta(hours=7))])


# -- excitation, levels, counted orders ------------------------------------------------------------


def _bars(index: pd.DatetimeIndex, seed: int = 9) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for symbol in SYMBOLS:
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(index))))
        reach = 1 + np.abs(rng.normal(0, 0.005, len(index)))
        parts.append(
            pd.DataFrame(
                {"symbol": symbol, "ts": index, "high": close * reach, "low": close / reach,
                 "close": close}
            )
        )  # fmt: skip
    frame = pd.concat(parts, ignore_index=True).assign(market="perp", source_tier=3)
    return pd.concat([frame, frame.assign(market="spot", close=1.0)], ignore_index=True)


NEW = [
    "intensity_ratio",
    "branching_ratio",
    "cascade_state",
    "support_levels",
    "resistance_levels",
]


def _full(
    longs: pd.DataFrame, shorts: pd.DataFrame, bars: pd.DataFrame, grid: Grid
) -> pd.DataFrame:
    frame = liquidation_cascades(
        _liquidations(longs, shorts), _interest(longs.index), bars, grid=grid, params=PARAMS
    )
    return validate(frame, table("features.liquidation_cascades"))


@pytest.mark.slow
def test_excitation_and_levels_have_the_same_bytes_in_any_chunk_and_know_no_future() -> None:
    longs, shorts = _world(3)
    longs.iloc[2924:2930, 0] = np.nan
    bars = _bars(longs.index)
    end = START + timedelta(hours=HOURS)
    whole = _full(longs, shorts, bars, Grid.of(Window(FIRST, end), SYMBOLS))
    assert {"NONE", "BUILDING", "ACTIVE", "DECAYING"} <= set(whole["cascade_state"].dropna())
    assert whole["support_levels"].str.count(",").eq(2).any()
    assert whole["source_tier"].max() == 3  # the bars'
    cuts = (FIRST, FIRST + timedelta(hours=5), FIRST + timedelta(hours=100), end)
    parts = []
    for s, e in itertools.pairwise(cuts):
        back = {
            name: reach_of(liquidation_cascades, name) for name in lookbacks(liquidation_cascades)
        }
        kept = (longs.index >= s - back["market.liquidations_1h"]) & (longs.index < e)
        near = bars[(bars["ts"] >= s - back["market.candles_1h"]) & (bars["ts"] < e)]
        parts.append(_full(longs[kept], shorts[kept], near, Grid.of(Window(s, e), SYMBOLS)))
    joined = pd.concat(parts).sort_values(["symbol", "ts"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(joined, whole, check_exact=True)
    cut = FIRST + timedelta(hours=100)
    longs.loc[longs.index >= pd.Timestamp(cut)] = 1e12
    bars.loc[bars["ts"] >= pd.Timestamp(cut), ["high", "low", "close"]] = 7.0
    after = _full(longs, shorts, bars, Grid.of(Window(FIRST, end), SYMBOLS))
    before = whole["ts"] < pd.Timestamp(cut)
    pd.testing.assert_frame_equal(after[before], whole[before], check_exact=True)


def test_missing_hours_and_bars_cost_only_what_needs_them() -> None:
    longs, shorts = _world(4)
    bars = _bars(longs.index)
    end = START + timedelta(hours=HOURS)
    grid = Grid.of(Window(FIRST, end), SYMBOLS)
    whole = _full(longs, shorts, bars, grid).set_index(["symbol", "ts"])
    at = pd.Timestamp(FIRST + timedelta(hours=50))
    lost = (bars["ts"] >= at) & (bars["ts"] < at + pd.Timedelta(hours=24))
    frame = _full(longs, shorts, bars[~lost], grid).set_index(["symbol", "ts"])
    hours = [at + pd.Timedelta(hours=h) for h in range(24)]
    hole = frame.loc[(slice(None), hours), :]
    assert (
        hole[["support_levels", "resistance_levels", "support_level_sources"]].isna().all(axis=None)
    )
    pd.testing.assert_frame_equal(
        frame.drop(columns=[*NEW[3:], "support_level_sources", "resistance_level_sources",
                            "source_tier"]),
        whole.drop(columns=[*NEW[3:], "support_level_sources", "resistance_level_sources",
                            "source_tier"]),
        check_exact=True,
    )  # fmt: skip
    gone = (longs.index >= at) & (longs.index < at + pd.Timedelta(hours=24))
    longs.loc[gone, "BTC/USDT"] = np.nan
    frame = _full(longs, shorts, bars, grid).set_index(["symbol", "ts"])
    hole = frame.loc[("BTC/USDT", hours), :]
    assert hole[NEW[:3]].isna().all(axis=None) and hole["status"].eq("missing").all()
    assert hole["support_levels"].notna().all()  # levels need prices only
    without = _run(longs, shorts)
    assert without[NEW[3:]].isna().all(axis=None)


# -- episodes -----------------------------------------------------------------------------------


def _episodes(
    rows: list[tuple[float, int, int]], lookback: int | None = None
) -> list[tuple[int, ...]]:
    total, severity, pct = (np.array([[r[i] for r in rows]]) for i in range(3))
    # quiet hours in front, so that every row has its full trailing run
    quiet = (lookback or len(rows)) - 1
    out = cascade_episodes(
        np.pad(total.astype(float), ((0, 0), (quiet, 0))),
        np.pad(severity, ((0, 0), (quiet, 0))),
        np.pad(pct, ((0, 0), (quiet, 0))),
        lookback or len(rows),
        3,
    )
    return [tuple(int(v) for v in row) for row in out[0]]


CALM, BIG, NULL = (1.0, 4, 1), (1e6, 4, 3), (math.nan, -1, -1)
NOTHING = (-1, -1, -1, -1)


def test_an_episode_ends_after_two_hours_below_the_condition_however_large_they_are() -> None:
    told = _episodes([BIG, CALM, BIG, CALM, CALM, BIG])
    assert told[0] == (0, 3, 0, 0)
    assert told[2] == (-1, -1, -1, 2)  # one calm hour did not end it
    assert told[4][3] == 4  # the hour that ends it belongs to it
    assert told[5] == (0, 3, 0, 0)


def test_it_fires_again_on_a_higher_level_or_twice_the_total() -> None:
    told = _episodes(
        [BIG, (1.9e6, 4, 3), (2e6, 4, 3), (1e6, 4, 4), (1.5e6, 4, 3), (2e6, 4, 4), (4e6, 4, 4)]
    )
    assert [t[0] for t in told] == [0, -1, 1, 1, -1, 1, 1]
    assert [t[2] for t in told] == [0, -1, 1, 2, -1, 3, 4]
    assert told[3][1] == 4


def test_null_hours_neither_end_an_episode_nor_count_as_calm() -> None:
    told = _episodes([BIG, CALM, NULL, CALM, BIG])
    assert told[2] == NOTHING
    assert told[4] == (-1, -1, -1, 4)
    forgotten = _episodes([BIG, *[NULL] * 24, BIG])
    assert forgotten[-1] == (-1, -1, -1, 25)
    restarted = _episodes([BIG, *[NULL] * 25, BIG])
    assert restarted[-1] == (0, 3, 0, 0)


def test_a_large_hour_that_nobody_can_rank_is_a_null_row() -> None:
    told = _episodes([BIG, CALM, (9e6, 5, -1), CALM, BIG])
    assert told[2] == NOTHING
    assert told[4] == (-1, -1, -1, 4)
    small = _episodes([BIG, CALM, (1e3, 0, -1), BIG])  # small ones are calm whatever their rank
    assert small[3] == (0, 3, 0, 0)


class _Slow:
    """The rules once more, without cleverness."""

    def __init__(self) -> None:
        self.start: int | None = None
        self.told: list[tuple[int, float]] = []
        self.calm = self.nulls = 0

    def hour(self, t: int, total: float, severity: int, pct: int) -> tuple[int, ...]:
        if math.isnan(total) or (pct < 0 and severity >= 3):
            self.calm, self.nulls = 0, self.nulls + 1
            if self.nulls > 24:
                self.start, self.told = None, []
            return NOTHING
        self.nulls = 0
        if not (severity >= 3 and pct >= 3):
            if self.start is None:
                return NOTHING
            age = t - self.start
            self.calm += 1
            if self.calm == 2:
                self.start, self.told = None, []
            return (-1, -1, -1, age)
        self.calm = 0
        if self.start is None:
            self.start, self.told = t, [(pct, total)]
            return (0, pct, 0, 0)
        if pct > max(p for p, _ in self.told) or total >= 2 * self.told[-1][1]:
            self.told.append((pct, total))
            return (1, pct, len(self.told) - 1, t - self.start)
        return (-1, -1, -1, t - self.start)


@pytest.mark.parametrize("seed", range(5))
def test_each_row_answers_like_a_machine_begun_afresh_before_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length, lookback = 400, 50
    total = np.exp(rng.normal(0, 1, size=(2, length)))
    severity = rng.choice([2, 3, 4], p=[0.1, 0.4, 0.5], size=(2, length))
    pct = rng.choice([1, 3, 4, 5], p=[0.3, 0.5, 0.15, 0.05], size=(2, length))
    pct[1] = np.maximum(pct[1], np.where(np.arange(length) % 2, 3, 0))  # never two calm hours
    null = rng.random((2, length)) < 0.03
    null[0, 150:176] = True
    total[null], severity[null], pct[null] = np.nan, -1, -1
    out = cascade_episodes(total, severity, pct, lookback, 3)
    for s in range(2):
        for i in range(length - lookback + 1):
            slow = _Slow()
            for t in range(i, i + lookback):
                expected = slow.hour(t, total[s, t], int(severity[s, t]), int(pct[s, t]))
            assert tuple(out[s, i]) == expected, (s, i)
    part = cascade_episodes(*(v[:, 90:].copy() for v in (total, severity, pct)), lookback, 3)
    np.testing.assert_array_equal(part, out[:, 90:])


@pytest.mark.history
def test_known_cascade_hours_of_the_august_2024_crash(market_history: Path) -> None:
    data = pd.read_parquet(market_history / "derivatives_1h.parquet")
    data = data.assign(
        symbol=data["symbol"].str.replace("USDT", "/USDT"),
        source="coinglass",
        venue="binance",
        market="perp",
        timeframe="1h",
        source_tier=3,
    ).rename(
        columns={
            "oi_close": "open_interest_base",
            "oi_close_usd": "open_interest_usd",
            "liq_long_usd": "long_liquidations_usd",
            "liq_short_usd": "short_liquidations_usd",
        }
    )
    raw = data[data["long_liquidations_usd"].notna()]
    symbols = data["symbol"].unique().tolist()
    grid = Grid.of(Window(utc("2024-06-20"), utc("2024-08-19")), symbols)
    interest = open_interest(
        data,
        data,
        grid=grid,
        venues=dict.fromkeys(symbols, "binance"),
        sources=dict.fromkeys(symbols, "coinglass"),
    )
    liquidations = liquidations_1h(raw, data, grid=grid, source="coinglass", venue="binance")
    assert (liquidations["total_liquidation_usd"] == 0).sum() == 71  # the omitted hours
    day = Grid.of(Window(utc("2024-08-05"), utc("2024-08-06")), symbols)
    frame = liquidation_cascades(liquidations, interest, grid=day, params=PARAMS)
    told = frame[frame["event_kind"].notna()]
    seen = {(row.symbol.split("/")[0], row.ts.hour, row.event_kind) for row in told.itertuples()}
    assert seen == {
        ("BTC", 0, "start"),
        ("ETH", 0, "start"),
        ("SOL", 0, "start"),
        ("BTC", 1, "escalation"),
        ("SOL", 1, "escalation"),
        ("SOL", 5, "start"),
        ("BTC", 6, "start"),
        ("BTC", 12, "start"),
        # the short squeeze of the evening: 14 M USD in an hour, 75 bps of the open interest
        ("ETH", 21, "start"),
    }
    worst = told.loc[told["severity_pct"].eq(5)]
    assert worst["event_severity"].eq("CRITICAL").all()
    assert set(worst["symbol"]) == {"SOL/USDT"}
