from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features import volatility_machine as machine
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.settings import VolatilityParams
from regime_pipeline.windows import Grid, utc
from regime_pipeline_tests.market.candle_worlds import recorded_candles, synthetic_candles

PARAMS = VolatilityParams()
NAMES = ("STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME")
START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = 24 * 70
HOLES = ((1100, 1), (1200, 5), (1300, 60))
SYMBOLS = ("ADA/USDT", "BTC/USDT")


def grid(first: int, last: int, symbols: tuple[str, ...] = SYMBOLS) -> Grid:
    return Grid(START + timedelta(hours=first), START + timedelta(hours=last), symbols)


@pytest.fixture(scope="module")
def candles() -> pd.DataFrame:
    return synthetic_candles(START, HOURS, seed=3, holes=HOLES)


@pytest.fixture(scope="module")
def whole(candles: pd.DataFrame) -> pd.DataFrame:
    return volatility_regimes(candles, grid=grid(0, HOURS), params=PARAMS)


@pytest.mark.parametrize(
    ("ratio", "name", "multiplier"),
    [
        (0.032 / 0.015, "EXPLOSIVE", 1.8),
        (0.06 / 0.015, "EXTREME", 2.5),
        (1.0, "HIGH_VOL", 1.2),
        (np.nextafter(1.0, 0.0), "STABLE", 0.7),
        (1.5, "EXPLOSIVE", 1.8),
        (2.5, "EXPLOSIVE", 1.8),
        (np.nextafter(2.5, 3.0), "EXTREME", 2.5),
    ],
)
def test_the_borders_belong_to_the_named_class(ratio: float, name: str, multiplier: float) -> None:
    code = machine.classes_of(np.array([[ratio]]), PARAMS.borders)[0, 0]
    assert NAMES[code] == name and PARAMS.risk_multipliers[code] == multiplier


def test_the_sample_of_the_seed_reads_a_ratio_of_two_point_one_three() -> None:
    assert round(0.032 / 0.015, 3) == 2.133


# --- an independent slow implementation ---------------------------------------------------------


def slow_class(ratio: float) -> int:
    return 0 if ratio < 1.0 else 1 if ratio < 1.5 else 2 if ratio <= 2.5 else 3


def slow_statistics(symbol_candles: pd.DataFrame) -> pd.DataFrame:
    c = symbol_candles.reset_index(drop=True)
    rows: dict[str, list[float]] = {k: [] for k in ("v", "g", "n")}
    square, gk = [], []
    for i in range(len(c)):
        before = c["close"][i - 1] if i else math.nan
        square.append(math.log(c["close"][i] / before) ** 2)
        gk.append(
            0.5 * math.log(c["high"][i] / c["low"][i]) ** 2
            - (2 * math.log(2) - 1) * math.log(c["close"][i] / c["open"][i]) ** 2
        )
    for i in range(len(c)):
        for name, source in (("v", square), ("g", gk)):
            window = [x for x in source[max(0, i - 23) : i + 1] if not math.isnan(x)]
            enough = len(window) >= 20
            rows[name].append(math.sqrt(24 / len(window) * sum(window)) if enough else math.nan)
            if name == "g":
                rows["n"].append(len(window))
    out = pd.DataFrame(rows)
    mean, median = [], []
    for i in range(len(c)):
        base = out.iloc[max(0, i - 743) : max(0, i - 23)]
        mean.append(base["v"].mean() if base["v"].count() >= 480 else math.nan)
        median.append(base["g"].median() if base["g"].count() >= 480 else math.nan)
    return out.assign(mean=mean, median=median).assign(
        ratio=lambda f: f["v"] / f["mean"], ratio_gk=lambda f: f["g"] / f["median"]
    )


def slow_machine(ratios: list[float], row: int) -> tuple[int, tuple[int, int] | None]:
    """(state, (told, now) or None) of one row, from 168 rows."""
    first = row - 167
    state = told = candidate_before = None
    sent_at = -(10**9)
    announced = None
    blank = 0
    k = first - 1
    while blank < 25 and (k < 0 or math.isnan(ratios[k])):
        blank, k = blank + 1, k - 1
    for i in range(first, row + 1):
        announced = None
        ratio = ratios[i] if i >= 0 else math.nan
        if math.isnan(ratio):
            blank += 1
            candidate_before = None
            if blank > 24:
                state = None
            continue
        if state is None:
            state = told = slow_class(ratio)
            sent_at = -(10**9)
            blank, candidate_before = 0, None
            continue
        blank = 0
        candidate = max(slow_class(ratio / 1.05), min(state, slow_class(ratio / 0.95)))
        old = state
        if candidate != state and (
            candidate == candidate_before or candidate >= state + 2 or candidate > max(state, 2)
        ):
            state = candidate
        candidate_before = candidate if candidate != state else None
        if (state != old and state == 3) or (state != told and i - sent_at >= 3):
            announced, told, sent_at = (told, state), state, i
    return state, announced


def slow_age(published: list[object], row: int) -> int:
    """Hours back to the first of the equal published classes before a row, at most 168."""
    blank, begin = 0, row
    for k in range(row - 1, -1, -1):
        if pd.isna(published[k]):
            blank += 1
            if blank > 24:
                break
            continue
        if published[k] != published[row]:
            break
        blank, begin = 0, k
    return min(row - begin, 168)


def slow_severity(told: int, now: int) -> str:
    if now == 3:
        return "CRITICAL"
    return "INFO" if now < told or {told, now} == {0, 1} else "WARNING"


@pytest.mark.slow
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_column_equals_an_independent_slow_reference(
    candles: pd.DataFrame, whole: pd.DataFrame, symbol: str
) -> None:
    slow = slow_statistics(candles[candles["symbol"] == symbol])
    got = whole[whole["symbol"] == symbol].reset_index(drop=True)
    for mine, theirs in (
        ("volatility_24h", "v"),
        ("volatility_mean", "mean"),
        ("vol_ratio", "ratio"),
        ("volatility_24h_gk", "g"),
        ("volatility_median_gk", "median"),
        ("vol_ratio_gk", "ratio_gk"),
        ("n_bars", "n"),
    ):
        np.testing.assert_allclose(
            got[mine].to_numpy(float), slow[theirs].to_numpy(float), rtol=1e-11, err_msg=mine
        )
    ratios = got["vol_ratio_gk"].tolist()
    published = got["vol_regime_confirmed"].tolist()
    seen = set()
    for i, ratio in enumerate(ratios):
        row = got.iloc[i]
        if math.isnan(ratio):
            assert pd.isna(row["vol_regime_confirmed"]) and pd.isna(row["regime_age_h"])
            assert pd.isna(row["event_kind"]) and row["status"] not in ("ok", "partial")
            continue
        assert row["status"] in ("ok", "partial")
        state, announced = slow_machine(ratios, i)
        seen.add(state)
        assert row["vol_regime_confirmed"] == NAMES[state], i
        assert row["vol_regime_gk"] == NAMES[slow_class(ratio)]
        assert row["risk_multiplier_confirmed"] == PARAMS.risk_multipliers[state]
        age = slow_age(published, i)
        assert row["regime_age_h"] == age
        if age == 168:
            assert pd.isna(row["regime_since"])
        else:
            assert row["regime_since"] == START + timedelta(hours=i - age)
        if announced is None:
            assert pd.isna(row["event_kind"]) and pd.isna(row["episode_start"])
            assert pd.isna(row["vol_regime_from"])
        else:
            told, now = announced
            assert row["event_kind"] == ("calming" if now < told and told >= 2 else "change")
            assert row["vol_regime_from"] == NAMES[told] and row["event_ordinal"] == 0
            assert row["event_severity"] == slow_severity(*announced)
            assert row["episode_start"] == row["ts"]
    assert {1, 2} <= seen


def test_regime_multiplier_scaler_and_floor_follow_the_close_to_close_ratio(
    whole: pd.DataFrame,
) -> None:
    known = whole[whole["vol_ratio"].notna()]
    codes = known["vol_ratio"].map(slow_class)
    assert known["vol_regime"].tolist() == [NAMES[c] for c in codes]
    assert known["risk_multiplier"].tolist() == [PARAMS.risk_multipliers[c] for c in codes]
    assert (known["size_scaler"] == 1.0 / known["risk_multiplier"]).all()
    stable = whole.loc[whole["volatility_24h"].notna()]
    assert (stable["abs_stable"] == (stable["volatility_24h"] < 0.01)).all()
    assert whole.loc[whole["volatility_24h"].isna(), "abs_stable"].isna().all()
    assert whole.loc[whole["vol_ratio"].isna(), ["vol_regime", "size_scaler"]].isna().all(axis=None)


def test_the_frame_keeps_the_contract_of_its_table(whole: pd.DataFrame) -> None:
    validate(whole, table("features.volatility_regimes"))
    assert list(whole.columns) == list(table("features.volatility_regimes").content)
    assert whole.loc[whole["status"].isin(["ok", "partial"]), "source_tier"].eq(1).all()


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_hourly_ticks_and_one_shot_agree_to_the_byte(candles: pd.DataFrame) -> None:
    first, last = 1290, 1400  # over the edge of the long hole, its restart included
    shot = volatility_regimes(candles, grid=grid(first, last), params=PARAMS)
    back = reach_of(volatility_regimes, "market.candles_1h")
    ticks = []
    for i in range(first, last):
        tick = grid(i, i + 1)
        near = candles[(candles["ts"] >= tick.start - back) & (candles["ts"] < tick.end)]
        ticks.append(volatility_regimes(near, grid=tick, params=PARAMS))
    joined = pd.concat(ticks).sort_values(["symbol", "ts"], ignore_index=True)
    pd.testing.assert_frame_equal(shot, joined, check_exact=True)
    assert {"missing", "insufficient_history", "partial"} == set(shot["status"])


def test_the_declared_lookback_is_enough_for_a_long_calm(candles: pd.DataFrame) -> None:
    back = reach_of(volatility_regimes, "market.candles_1h")
    tail = grid(HOURS - 72, HOURS)
    near = candles[candles["ts"] >= tail.start - back]
    pd.testing.assert_frame_equal(
        volatility_regimes(candles, grid=tail, params=PARAMS),
        volatility_regimes(near, grid=tail, params=PARAMS),
        check_exact=True,
    )


def test_garbage_after_a_row_changes_nothing_in_it(
    candles: pd.DataFrame, whole: pd.DataFrame
) -> None:
    cut = START + timedelta(hours=1500)
    garbage = candles.copy()
    later = garbage["ts"] > cut
    garbage.loc[later, ["open", "high", "low", "close"]] = [3.0, 9e7, 1e-6, 5.0]
    got = volatility_regimes(garbage, grid=grid(0, HOURS), params=PARAMS)
    before = got["ts"] <= cut
    pd.testing.assert_frame_equal(got[before], whole[before], check_exact=True)
    assert not got[~before]["volatility_24h"].equals(whole[~before]["volatility_24h"])


def test_absent_rows_and_null_rows_and_other_symbols_and_markets_do_not_matter(
    candles: pd.DataFrame, whole: pd.DataFrame
) -> None:
    observed = candles[candles["status"] == "ok"]
    perp = observed.assign(market="perp", close=1.0, open=1.0, high=1.0, low=1.0)
    shuffled = pd.concat([perp, observed]).sample(frac=1.0, random_state=1)
    got = volatility_regimes(shuffled, grid=grid(0, HOURS), params=PARAMS)
    pd.testing.assert_frame_equal(got, whole, check_exact=True)
    alone = volatility_regimes(candles, grid=grid(0, HOURS, SYMBOLS[1:]), params=PARAMS)
    part = whole[whole["symbol"] == SYMBOLS[1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, part, check_exact=True)


# --- missing data -------------------------------------------------------------------------------


def test_one_missing_hour_is_partial_and_a_missing_day_is_null() -> None:
    flat = synthetic_candles(START, HOURS, seed=5, holes=((1000, 1), (1200, 24)))
    got = volatility_regimes(flat, grid=grid(0, HOURS, ("BTC/USDT",)), params=PARAMS)
    hole = got.iloc[1000]
    assert hole["status"] == "partial" and hole["reason"] == "bars_24h" and hole["n_bars"] == 23
    assert got.iloc[1001]["n_bars"] == 23 and pd.notna(got.iloc[1001]["vol_regime_confirmed"])
    assert got.iloc[1024]["n_bars"] == 24 and got.iloc[1024]["status"] == "partial"  # 23 returns
    assert got.iloc[1025]["status"] == "ok"
    day = got.iloc[1200:1224]
    assert day.iloc[:4]["status"].eq("partial").all()
    assert day.iloc[4:]["status"].eq("missing").all()
    assert day.iloc[4:]["reason"].eq("no_observation").all()
    after = got.iloc[1224:1243]
    assert after["status"].eq("insufficient_history").all() and after["reason"].eq("bars_24h").all()
    values = ["volatility_24h", "vol_ratio", "vol_regime", "vol_regime_confirmed", "abs_stable"]
    assert got.iloc[1204:1243][values].isna().all(axis=None)
    back = got.iloc[1243]  # twenty bars, nineteen returns
    assert back["status"] == "partial" and back["n_bars"] == 20 and pd.isna(back["vol_ratio"])
    assert back["vol_regime_confirmed"] == back["vol_regime_gk"] and back["regime_age_h"] == 0
    assert pd.notna(got.iloc[1244]["vol_ratio"])
    assert got.iloc[1204:1244]["event_kind"].isna().all()  # a restart announces nothing


def test_the_first_rows_say_how_much_history_is_wanting() -> None:
    young = synthetic_candles(START, 24 * 32, seed=6)
    got = volatility_regimes(young, grid=grid(0, 24 * 32, ("BTC/USDT",)), params=PARAMS)
    first = got["vol_ratio_gk"].first_valid_index()
    assert first == 19 + 24 + 479  # 20 bars, then 480 volatilities that end a day earlier
    assert got["vol_ratio"].first_valid_index() == first + 1  # the first bar has no return
    assert got.iloc[:19]["reason"].eq("bars_24h").all()
    assert got.iloc[19:first]["reason"].eq("baseline_30d").all()
    assert got.iloc[:first]["status"].eq("insufficient_history").all()
    assert got.iloc[first]["status"] == "partial" and got.iloc[first]["regime_age_h"] == 0
    assert got.iloc[-1]["status"] == "ok"


def test_a_price_that_never_moves_has_no_ratio() -> None:
    still = synthetic_candles(START, HOURS, seed=7)
    still[["open", "high", "low", "close"]] = 0.1
    got = volatility_regimes(still, grid=grid(0, HOURS), params=PARAMS)
    tail = got[got["ts"] >= START + timedelta(days=40)]
    assert tail["reason"].eq("zero_dispersion").all() and tail["vol_ratio"].isna().all()
    assert tail["volatility_24h"].eq(0.0).all() and tail["abs_stable"].all()


def test_an_empty_frame_gives_the_full_grid_of_nulls(candles: pd.DataFrame) -> None:
    got = volatility_regimes(candles.head(0), grid=grid(0, 5), params=PARAMS)
    assert len(got) == 10 and got["status"].eq("missing").all()
    validate(got, table("features.volatility_regimes"))


# --- the machine --------------------------------------------------------------------------------


def decide(ratios: list[float], **changes: int) -> tuple[list[int], list[int]]:
    """Confirmed classes and events (4 * told + now) of one column of ratios."""
    panel = np.array([ratios], dtype=float)
    raw, up, down = (machine.classes_of(panel, PARAMS.borders, f) for f in (1.0, 1.05, 0.95))
    state, event = np.empty_like(raw), np.empty_like(raw)
    machine.run(raw, up, down, 168, 24, 2, changes.get("cooldown", 3), state, event)
    return state[0].tolist(), event[0].tolist()


NAN = float("nan")


def test_a_touch_of_the_border_moves_nothing_and_two_clear_rows_do() -> None:
    assert decide([0.9, 1.04, 1.04, 1.04])[0] == [0, 0, 0, 0]
    assert decide([0.9, 1.06, 1.06])[0] == [0, 0, 1]
    assert decide([0.9, 1.06, 0.9, 1.06])[0] == [0, 0, 0, 0]
    assert decide([1.2, 0.96, 0.96, 0.94, 0.94])[0] == [1, 1, 1, 1, 0]


def test_two_classes_up_or_into_extreme_count_at_once_but_down_does_not() -> None:
    assert decide([0.9, 1.6])[0] == [0, 2]
    assert decide([1.6, 2.7])[0] == [2, 3]
    assert decide([2.7, 0.5, 0.5])[0] == [3, 3, 0]


def test_a_null_row_is_null_keeps_the_state_and_drops_the_pending_one() -> None:
    assert decide([0.9, 1.1, NAN, 1.1, 1.1])[0] == [0, 0, -1, 0, 1]


def test_more_than_a_day_of_nulls_restarts_without_an_event() -> None:
    kept = decide([0.9] + [NAN] * 24 + [2.7])
    assert kept[0][-1] == 3 and kept[1][-1] == 4 * 0 + 3
    fresh = decide([0.9] + [NAN] * 25 + [2.7])
    assert fresh[0][-1] == 3 and fresh[1][-1] == -1


def test_a_change_inside_the_cooldown_is_held_and_told_when_it_ends() -> None:
    state, event = decide([0.9, 1.7, 1.2, 1.2, 1.2, 1.2])
    assert state == [0, 2, 2, 1, 1, 1]
    assert event == [-1, 4 * 0 + 2, -1, -1, 4 * 2 + 1, -1]


def test_a_held_change_that_is_undone_is_never_told() -> None:
    state, event = decide([0.9, 1.7, 1.2, 1.2, 1.7, 1.7, 1.7], cooldown=5)
    assert state == [0, 2, 2, 1, 1, 2, 2]
    assert event == [-1, 2, -1, -1, -1, -1, -1]


def test_into_extreme_is_never_held() -> None:
    state, event = decide([0.9, 1.7, 2.7, 2.7])
    assert state == [0, 2, 3, 3] and event == [-1, 2, 4 * 2 + 3, -1]


def decide_slowly(
    raw: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    lookback: int,
    restart: int,
    sure: int,
    cool: int,
) -> list[tuple[int, int]]:
    """Every row of one column by a machine of its own, from its first row on."""
    out = []
    for h in range(len(raw)):
        state, pending, streak = -1, -1, 0
        told, told_at, event = -1, -1, -1
        nulls, before = 0, h - lookback
        while nulls <= restart and (before < 0 or raw[before] < 0):
            nulls, before = nulls + 1, before - 1
        for i in range(max(0, h - lookback + 1), h + 1):
            event = -1
            if raw[i] < 0:
                nulls += 1
                pending, streak = -1, 0
                state = -1 if nulls > restart else state
                continue
            previous = state
            state, pending, streak = machine._step.py_func(
                raw[i], up[i], down[i], state, pending, streak, sure
            )
            if previous < 0:
                told, told_at = state, -1
            nulls = 0
            into_extreme = state == 3 and state != previous and previous >= 0
            if into_extreme or (state != told and not (told_at >= 0 and i - told_at < cool)):
                event = 4 * told + state
                told, told_at = state, i
        out.append((state, event) if raw[h] >= 0 else (-1, -1))
    return out


@pytest.mark.parametrize("lookback", [1, 7, 30])
@pytest.mark.parametrize("seed", range(8))
def test_machines_that_became_one_decide_as_each_on_its_own(lookback: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    restart, sure, cool = seed % 5, 1 + seed % 3, (0, 3, 11)[seed % 3]
    ratio = rng.uniform(0.5, 3.0, (3, 150))
    ratio[1:] = np.exp(0.15 * rng.normal(size=(2, 150)).cumsum(axis=1))
    ratio[2, 20:45] = ratio[1, 60:62] = ratio[:, 100 : 100 + restart] = np.nan
    ratio[:, 120 : 121 + restart] = np.nan
    ratio[rng.random(ratio.shape) < 0.03 * (seed % 4)] = np.nan
    raw, up, down = (machine.classes_of(ratio, PARAMS.borders, f) for f in (1.0, 1.05, 0.95))
    state, event = np.empty_like(raw), np.empty_like(raw)
    machine.run(raw, up, down, lookback, restart, sure, cool, state, event)
    for s in range(len(raw)):
        found = list(zip(state[s].tolist(), event[s].tolist(), strict=True))
        assert found == decide_slowly(raw[s], up[s], down[s], lookback, restart, sure, cool)


def test_a_world_of_constant_volatility_tells_nothing_above_info() -> None:
    rng = np.random.default_rng(5)
    hours = 24 * 150
    candles = synthetic_candles(START, hours, symbols=SYMBOLS, seed=0)
    for symbol in SYMBOLS:
        path = np.cumsum(rng.normal(0, 0.006 / math.sqrt(30), hours * 30)).reshape(hours, 30)
        start = np.append(0.0, path[:-1, -1])
        ends = np.column_stack([start, path])
        prices = np.exp(np.column_stack([start, ends.max(1), ends.min(1), path[:, -1]]))
        candles.loc[candles["symbol"] == symbol, ["open", "high", "low", "close"]] = prices
    got = volatility_regimes(candles, grid=grid(0, hours), params=PARAMS)
    days = got["vol_regime_confirmed"].notna().sum() / 24
    assert 0 < got["event_kind"].notna().sum() / days < 0.6
    assert set(got["event_severity"].dropna()) == {"INFO"}


def test_an_age_never_changes_without_a_change_of_the_published_class() -> None:
    """Machines that begin later can agree on the class and not on where it began."""
    rng = np.random.default_rng(11)
    ratio = np.exp(0.06 * rng.normal(size=(40, 2000)).cumsum(axis=1)) % 3.0
    raw, up, down = (machine.classes_of(ratio, PARAMS.borders, f) for f in (1.0, 1.05, 0.95))
    state, event = np.empty_like(raw), np.empty_like(raw)
    machine.run(raw, up, down, 168, 24, 2, 3, state, event)
    begin = np.empty(state.shape, dtype=np.int64)
    machine.beginnings(state, 168, 24, begin)
    row = np.arange(state.shape[1])
    age = np.where(begin >= 0, row - begin, 168)
    same = state[:, 1:] == state[:, :-1]
    assert (age[:, 1:] == np.where(same, np.minimum(age[:, :-1] + 1, 168), 0)).all()
    assert (age == 168).any()


# --- recorded history ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history(market_history: Path) -> pd.DataFrame:
    candles, symbols = recorded_candles(market_history, "2023-06-01", "2024-09-01")
    hours = Grid(utc("2023-08-01"), utc("2024-09-01"), symbols)
    return volatility_regimes(candles, grid=hours, params=PARAMS)


def entries(history: pd.DataFrame, day: str) -> dict[int, list[str]]:
    """Hour -> coins that announce EXTREME on that day."""
    rows = history[
        (history["event_severity"] == "CRITICAL") & (history["ts"].dt.strftime("%Y-%m-%d") == day)
    ]
    return {
        hour: [s.split("/")[0] for s in part["symbol"]]
        for hour, part in rows.groupby(rows["ts"].dt.hour)
    }


@pytest.mark.slow
@pytest.mark.history
def test_the_storms_of_recorded_history_enter_extreme_at_their_known_hours(
    history: pd.DataFrame,
) -> None:
    assert entries(history, "2024-08-05") == {
        1: ["BNB", "ETH", "LINK"],
        2: ["DOT"],
        5: ["BTC", "SOL"],
        6: ["ADA"],
        13: ["XRP"],
    }
    assert entries(history, "2024-01-03") == {
        12: ["BNB", "DOT", "ETH", "LINK", "XRP"],
        13: ["BTC"],
    }
    assert len(entries(history, "2024-03-05")[19]) == 5
    assert len(entries(history, "2023-08-17")[21]) == 7


@pytest.mark.slow
@pytest.mark.history
@pytest.mark.parametrize("hour", ["2024-03-05 19:00", "2023-08-17 21:00"])
def test_market_wide_storms_hold_every_coin_in_extreme(history: pd.DataFrame, hour: str) -> None:
    rows = history[history["ts"] == pd.Timestamp(hour, tz="UTC")]
    assert len(rows) == 8 and rows["vol_regime_confirmed"].eq("EXTREME").all()


@pytest.mark.history
def test_on_recorded_history_every_change_of_the_published_regime_is_a_machine_change(
    history: pd.DataFrame,
) -> None:
    known = history[history["vol_regime_confirmed"].notna()]
    before = known.groupby("symbol")["vol_regime_confirmed"].shift(1)
    changed = before.notna() & (before != known["vol_regime_confirmed"])
    age = known.groupby("symbol")["regime_age_h"].shift(1)
    counted = np.where(changed, 0, np.minimum(age + 1, 168))
    assert (known["regime_age_h"] == counted)[before.notna()].all()
    assert known.loc[changed, "regime_since"].eq(known.loc[changed, "ts"]).all()
    assert (known["event_kind"].notna() & ~changed).sum() <= 0.02 * changed.sum()  # held ones


@pytest.mark.slow
@pytest.mark.history
def test_the_jump_model_holds_the_crash_of_august_2024_in_its_highest_state(
    history: pd.DataFrame,
) -> None:
    own = history[history["symbol"] == "BTC/USDT"].set_index("ts")["vol_regime_sjm"]
    assert own["2024-08-05 06:00":"2024-08-06 00:00"].eq("EXTREME").all()
    assert own["2024-07-08":"2024-08-31"].notna().all()
    assert own[:"2024-04-01"].isna().all()  # not a year yet
