from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from benchmarks.worlds import null_candles
from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.fields.regimes import BASE_RATES, SYMMETRIC_BASE_RATES
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.regimes import timeframe_machine as machine
from regime_pipeline.regimes.timeframe_labels import (
    CHOP,
    COOLING,
    IGNITION,
    NEUTRAL,
    efficiency,
    heat,
    label_codes,
)
from regime_pipeline.regimes.timeframe_regimes import (
    _legacy_columns,
    agreement_with,
    timeframe_regimes,
    vote,
)
from regime_pipeline.settings import TimeframeParams
from regime_pipeline.windows import Grid, utc
from regime_pipeline_tests.market.candle_worlds import recorded_candles, synthetic_candles

PARAMS = TimeframeParams()
LABELS = ("SPOT_IGNITION", "SPOT_COOLING", "SPOT_CHOP", "SPOT_NEUTRAL")
START = datetime(2023, 1, 4, tzinfo=UTC)  # a Wednesday: no week starts with the data
DAYS = 56 * 7
HOURS = DAYS * 24
LAST = HOURS - 40 * 24
HOLES = ((HOURS - 900, 1), (HOURS - 700, 6), (HOURS - 500, 40), (HOURS - 1303, 2))
SYMBOLS = ("ADA/USDT", "BTC/USDT")
FRAMES = {"1h": 1, "4h": 4, "1d": 24, "1w": 168}


def grid(first: int, last: int, symbols: tuple[str, ...] = SYMBOLS) -> Grid:
    return Grid(START + timedelta(hours=first), START + timedelta(hours=last), symbols)


@pytest.fixture(scope="module")
def candles() -> pd.DataFrame:
    return synthetic_candles(START, HOURS, seed=11, holes=HOLES)


@pytest.fixture(scope="module")
def whole(candles: pd.DataFrame) -> pd.DataFrame:
    return timeframe_regimes(candles, grid=grid(0, HOURS), params=PARAMS)


# --- worked examples ----------------------------------------------------------------------------


def test_the_sample_of_the_seed_agrees_in_two_frames_and_is_compatible_in_three() -> None:
    labels = np.array([[IGNITION], [IGNITION], [COOLING], [NEUTRAL]])
    votes = vote(labels)
    assert votes["agreement"].tolist() == [2]
    assert votes["primary_raw"].tolist() == [IGNITION]
    compatible, score = agreement_with(labels, votes["primary_raw"])
    assert compatible.tolist() == [3.0] and score.tolist() == [0.625]


@pytest.mark.parametrize(
    ("labels", "primary"),
    [
        ((IGNITION, COOLING, IGNITION, COOLING), NEUTRAL),  # a tie
        ((CHOP, CHOP, NEUTRAL, NEUTRAL), CHOP),  # NEUTRAL holds nothing
        ((IGNITION, NEUTRAL, NEUTRAL, NEUTRAL), NEUTRAL),  # a quarter
        ((IGNITION, NEUTRAL, NEUTRAL, -1), NEUTRAL),  # a third
        ((IGNITION, IGNITION, COOLING, -1), IGNITION),  # two of three
        ((COOLING, COOLING, -1, -1), -1),  # two frames are too few
        ((NEUTRAL,) * 4, NEUTRAL),
    ],
)
def test_the_raw_primary_needs_half_of_three_or_more_frames(
    labels: tuple[int, ...], primary: int
) -> None:
    assert vote(np.array(labels).reshape(4, 1))["primary_raw"].tolist() == [primary]


@pytest.mark.parametrize("primary", [NEUTRAL, CHOP, -1])
def test_agreement_is_null_beside_a_primary_without_direction(primary: int) -> None:
    labels = np.full((4, 1), max(primary, 0))
    compatible, score = agreement_with(labels, np.array([primary]))
    assert np.isnan(compatible).all() and np.isnan(score).all()


def test_agreement_is_the_mean_over_the_frames_that_are_there() -> None:
    labels = np.array([[COOLING], [COOLING], [-1], [IGNITION]])
    compatible, score = agreement_with(labels, np.array([COOLING]))
    assert compatible.tolist() == [2.0] and score[0] == pytest.approx(2 / 3, rel=1e-15)


NAN = math.nan


@pytest.mark.parametrize(
    ("price", "trend", "volume", "er", "excess", "label"),
    [
        (0.1, 1.0, 0.6, NAN, NAN, IGNITION),  # ER and range are not asked
        (0.1, 1.0, 0.5, NAN, NAN, NEUTRAL),  # heat 59.9
        (0.1, 1.1, 0.5, NAN, NAN, IGNITION),
        (0.1, 1.0, 0.49, NAN, NAN, NEUTRAL),
        (0.0, 3.0, 3.0, NAN, NAN, NEUTRAL),
        (-0.1, -1.0, -3.0, NAN, NAN, COOLING),  # volume is free
        (0.0, -1.0, -3.0, 0.1, 1.0, NEUTRAL),
        (0.1, 0.99, 0.0, 0.29, 0.0, CHOP),
        (0.1, 0.99, 0.0, 0.3, 0.0, NEUTRAL),
        (0.1, -0.99, 0.0, 0.1, -1e-9, NEUTRAL),
        (0.1, 0.5, 0.0, NAN, 1.0, -1),  # CHOP would have to be decided
        (0.1, 0.5, 0.0, 0.1, NAN, -1),
        (0.1, 0.5, 0.0, 0.9, NAN, NEUTRAL),  # and here it is
        (NAN, 0.5, 0.0, 0.9, 1.0, -1),
        (0.1, NAN, 0.0, 0.9, 1.0, -1),
        (0.1, 0.5, NAN, 0.9, 1.0, -1),
    ],
)
def test_labels_follow_their_rules_and_their_nulls(
    price: float, trend: float, volume: float, er: float, excess: float, label: int
) -> None:
    values = [np.array([[v]]) for v in (price, trend, volume, er, excess)]
    warm = heat(values[1], values[2])
    got = label_codes(
        price_z=values[0],
        trend_z=values[1],
        volume_z=values[2],
        heat=warm,
        efficiency=values[3],
        range_excess=values[4],
        params=PARAMS,
    )
    assert got.tolist() == [[label]]


@pytest.mark.parametrize(
    ("price", "trend", "volume", "label"),
    [
        (-0.1, -1.0, -3.0, NEUTRAL),  # no volume: not enough on this side either
        (-0.1, -1.1, 0.5, COOLING),
        (-0.1, -1.0, 0.5, NEUTRAL),  # heat 59.9
        (0.1, 1.1, 0.5, IGNITION),
        (0.1, 1.1, 0.4, NEUTRAL),
    ],
)
def test_the_symmetric_label_asks_both_sides_for_the_same(
    price: float, trend: float, volume: float, label: int
) -> None:
    price_z, trend_z, volume_z, er, excess = (
        np.array([[v]]) for v in (price, trend, volume, 0.9, -1.0)
    )
    got = label_codes(
        price_z=price_z,
        trend_z=trend_z,
        volume_z=volume_z,
        heat=heat(trend_z, volume_z),
        efficiency=er,
        range_excess=excess,
        params=PARAMS,
        symmetric=True,
    )
    assert got.tolist() == [[label]]


def test_symmetric_labels_differ_from_the_others_in_cooling_only(whole: pd.DataFrame) -> None:
    for frame in FRAMES:
        mine, other = whole[f"regime_symmetric_{frame}"], whole[f"regime_{frame}"]
        assert (mine.isna() == other.isna()).all()
        differ = mine.notna() & (mine != other)
        assert (other[differ] == "SPOT_COOLING").all() and (mine[differ] == "SPOT_NEUTRAL").all()
        gates = (whole[f"heat_{frame}"] >= 60) & (whole[f"volume_z_{frame}"] >= 0.5)
        assert (gates[mine == "SPOT_COOLING"]).all() and not gates[differ].any()


def test_published_base_rates_hold_where_nothing_has_a_direction() -> None:
    start = datetime(2022, 1, 3, tzinfo=UTC)
    walks = null_candles(12, start, 56 * 168, seed=3)
    names = tuple(sorted(walks["symbol"].unique()))
    rows = Grid(start + timedelta(weeks=36), start + timedelta(weeks=56), names)
    got = timeframe_regimes(walks, grid=rows, params=PARAMS)
    for frame, tolerance in (("1h", 1.0), ("4h", 2.5), ("1d", 6.0)):
        for column, rates in (
            (f"regime_{frame}", BASE_RATES[frame]),
            (f"regime_symmetric_{frame}", SYMMETRIC_BASE_RATES[frame]),
        ):
            share = 100 * got[column].value_counts(normalize=True)
            found = [share.get(label, 0.0) for label in LABELS]
            np.testing.assert_allclose(found, rates, atol=tolerance)
    assert (got["agreement_count"] >= 3).mean() == pytest.approx(0.080, abs=0.02)


def test_heat_is_the_named_formula_and_gates_an_ignition() -> None:
    values = heat(np.array([1.0, -2.0, 1.0]), np.array([0.5, -9.0, NAN]))
    assert values[0] == pytest.approx(100 * norm.cdf(0.25), rel=1e-13)
    assert values[1] == pytest.approx(100 * norm.cdf(0.5), rel=1e-13)
    assert np.isnan(values[2])
    gated = label_codes(
        price_z=np.ones((1, 1)),
        trend_z=np.ones((1, 1)),
        volume_z=np.ones((1, 1)),
        heat=np.full((1, 1), 59.9),
        efficiency=np.ones((1, 1)),
        range_excess=np.ones((1, 1)),
        params=PARAMS,
    )
    assert gated.tolist() == [[NEUTRAL]]


def test_efficiency_runs_over_the_closes_that_are_there() -> None:
    close = np.arange(1.0, 12.0).reshape(-1, 1)
    assert efficiency(close, 10)[-1, 0] == 1.0
    close[3:5] = NAN
    assert efficiency(close, 10)[-1, 0] == 1.0
    close[7] = NAN
    assert np.isnan(efficiency(close, 10)[-1, 0])  # three of ten are missing
    back_and_forth = np.array([1.0, 2.0, 1.0, 2.0, 1.5]).reshape(-1, 1)
    assert efficiency(back_and_forth, 4)[-1, 0] == pytest.approx(0.5 / 3.5)
    assert np.isnan(efficiency(np.ones((20, 1)), 4)).all()  # no path


# --- an independent slow implementation ---------------------------------------------------------


def slow_bars(symbol_candles: pd.DataFrame, frame: str) -> pd.DataFrame:
    c = symbol_candles.set_index("ts")[["high", "low", "close", "volume_base"]]
    if frame == "1h":
        return c.rename(columns={"volume_base": "volume"})
    hours = FRAMES[frame]
    monday = pd.Timestamp("2022-12-26", tz="UTC")
    bucket = monday + ((c.index - monday) // pd.Timedelta(hours=hours)) * pd.Timedelta(hours=hours)
    least = {"4h": 3, "1d": 20, "1w": 152}[frame]
    out = []
    for start, part in c.groupby(bucket):
        seen = part.dropna(subset=["close"])
        row = {"open_at": start, "close": NAN, "high": NAN, "low": NAN, "volume": NAN}
        if len(seen) >= least:
            row |= {
                "close": seen["close"].iloc[-1],
                "high": seen["high"].max(),
                "low": seen["low"].min(),
                "volume": seen["volume_base"].sum() * hours / len(seen),
            }
        out.append(row)
    return pd.DataFrame(out).set_index("open_at")


def clean(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


class SlowFrame:
    """One symbol and frame, bar by bar, window by window."""

    def __init__(self, symbol_candles: pd.DataFrame, frame: str) -> None:
        bars = slow_bars(symbol_candles, frame)
        self.index, self.frame = bars.index, frame
        self.n, self.least, self.k = (30, 26, 4) if frame == "1w" else (50, 45, 10)
        self.least_ranges = 20 if frame == "1w" else 30
        self.close, self.high, self.low = (bars[c].to_numpy() for c in ("close", "high", "low"))
        self.logs = np.log(self.close)
        self.returns = np.append(NAN, np.diff(self.logs))
        self.volume = np.log(bars["volume"].to_numpy())

    def before(self, values: np.ndarray, i: int) -> np.ndarray:
        return clean(values[max(0, i - self.n) : i])

    def price_z(self, i: int) -> float:
        past = self.before(self.logs, i)
        return (self.logs[i] - past.mean()) / past.std(ddof=1) if len(past) >= self.least else NAN

    def trend_z(self, i: int) -> float:
        past = self.before(self.returns, i)
        if len(past) < self.least or i < self.k:
            return NAN
        return (self.logs[i] - self.logs[i - self.k]) / (past.std(ddof=1) * math.sqrt(self.k))

    def volume_z(self, i: int) -> float:
        if self.frame == "1h":
            hours = [j for j in range(i - 168, i - 168 * 13, -168) if j >= 0]
            past, least = clean(self.volume[hours]), 8
        else:
            past, least = self.before(self.volume, i), self.least
        if len(past) < least:
            return NAN
        median = np.median(past)
        return (self.volume[i] - median) / (1.4826 * np.median(np.abs(past - median)))

    def efficiency(self, i: int) -> float:
        if i < self.k or np.isnan(self.close[[i, i - self.k]]).any():
            return NAN
        path = clean(self.close[i - self.k : i + 1])
        if len(path) - 1 < self.k - 2:
            return NAN
        return abs(path[-1] - path[0]) / np.abs(np.diff(path)).sum()

    def width(self, i: int) -> float:
        part = slice(max(0, i - self.k + 1), i + 1)
        highs, lows = clean(self.high[part]), clean(self.low[part])
        return math.log(highs.max() / lows.min()) if len(highs) >= self.k - 2 else NAN

    def chop(self, er: float, i: int) -> bool | None:
        if er >= 0.3:
            return False
        here, past = (
            self.width(i),
            clean(np.array([self.width(j) for j in range(max(0, i - self.n), i)])),
        )
        if math.isnan(here) or len(past) < self.least_ranges:
            return None
        if here < np.quantile(past, 0.3):
            return False
        return None if math.isnan(er) else True

    def state(self, i: int) -> dict[str, float | str | None]:
        p, t, v, er = self.price_z(i), self.trend_z(i), self.volume_z(i), self.efficiency(i)
        warm = 100 * norm.cdf((abs(t) + max(v, 0.0)) / 2 - 0.5) if not math.isnan(v) else NAN
        label: str | None = "SPOT_NEUTRAL"
        if any(math.isnan(x) for x in (t, p, v)):
            label = None
        elif t >= 1 and p > 0 and warm >= 60 and v >= 0.5:
            label = "SPOT_IGNITION"
        elif t <= -1 and p < 0:
            label = "SPOT_COOLING"
        elif abs(t) < 1:
            label = {True: "SPOT_CHOP", False: "SPOT_NEUTRAL", None: None}[self.chop(er, i)]
        return {
            "price_z": p,
            "trend_z": t,
            "volume_z": v,
            "heat": warm,
            "efficiency": er,
            "label": label,
        }


def newest(bars: SlowFrame, ts: pd.Timestamp) -> int:
    length = pd.Timedelta(hours=FRAMES[bars.frame])
    return int((bars.index + length <= ts + pd.Timedelta(hours=1)).sum()) - 1


@pytest.mark.slow
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_labels_and_statistics_equal_an_independent_slow_reference(
    candles: pd.DataFrame, whole: pd.DataFrame, symbol: str
) -> None:
    mine = candles[candles["symbol"] == symbol]
    got = whole[whole["symbol"] == symbol].set_index("ts")
    hours = [*range(LAST, HOURS, 7), *range(HOURS - 905, HOURS - 895), *range(100, LAST, 601)]
    seen: set[object] = set()
    for frame in FRAMES:
        bars = SlowFrame(mine, frame)
        cache: dict[int, dict[str, float | str | None]] = {}
        for hour in hours:
            ts = pd.Timestamp(START + timedelta(hours=hour))
            i = newest(bars, ts)
            row = got.loc[ts]
            if i < 0:
                assert pd.isna(row[f"regime_{frame}"])
                continue
            if i not in cache:
                cache[i] = bars.state(i)
            slow = cache[i]
            label = row[f"regime_{frame}"]
            assert (None if pd.isna(label) else label) == slow["label"], (frame, ts)
            seen.add(slow["label"])
            for name in ("price_z", "trend_z", "volume_z", "heat", "efficiency"):
                np.testing.assert_allclose(
                    row[f"{name}_{frame}"],
                    slow[name],
                    rtol=1e-8,
                    atol=1e-10,
                    err_msg=f"{frame} {ts}",
                )
    assert {*LABELS, None} <= seen


def slow_primary(raw: list[int], group: list[int], row: int) -> tuple[int, bool, bool]:
    """(primary, confirmed, announced) of one row by a machine over the 90 days up to it."""
    state = run = before = None
    count = blank = 0
    ready = True
    agreed_before = confirmed = announced = False
    for i in range(max(0, row - 2159), row + 1):
        confirmed = announced = False
        if raw[i] < 0:
            blank += 1
            run, count, agreed_before = None, 0, False
            if blank > 24:
                state = None
            continue
        blank = 0
        count = count + 1 if raw[i] == run else 1
        run = raw[i]
        before = state
        if state is None or (raw[i] != state and count >= 3):
            state, ready = raw[i], True
        if state != before:
            agreed_before = False
        agrees = group[i] == state
        confirmed = agrees and agreed_before
        announced = confirmed and ready
        ready = ready and not announced
        agreed_before = agrees
    assert state is not None
    return state, confirmed, announced


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_primary_confirmation_and_announcement_equal_a_slow_machine(
    whole: pd.DataFrame, symbol: str
) -> None:
    got = whole[whole["symbol"] == symbol].reset_index(drop=True)
    code = {label: i for i, label in enumerate(LABELS)}
    labels = np.stack([got[f"regime_{f}"].map(code).fillna(-1).to_numpy(int) for f in FRAMES])
    votes = vote(labels)
    raw = votes["primary_raw"].tolist()
    assert got["primary_raw"].map(code).fillna(-1).astype(int).tolist() == raw
    group = np.where((votes["agreement"] >= 3) & (votes["group"] != CHOP), votes["group"], -1)
    events = got.index[got["event_kind"].notna()].tolist()
    confirmed_rows = got.index[got["is_confirmed"].fillna(False)].tolist()
    assert len(events) >= 3 and len(confirmed_rows) > len(events)
    for row in {*events, *confirmed_rows[::5], *range(60 * 24, HOURS, 97)}:
        if raw[row] < 0:
            assert got.loc[row, ["primary_regime", "is_confirmed", "event_kind"]].isna().all()
            continue
        primary, confirmed, announced = slow_primary(raw, group.tolist(), row)
        assert got["primary_regime"][row] == LABELS[primary], row
        assert got["is_confirmed"][row] == confirmed
        assert pd.notna(got["event_kind"][row]) == announced, row
    told = got.loc[events]
    assert told["event_kind"].eq("start").all() and told["event_severity"].eq("INFO").all()
    assert told["event_ordinal"].eq(0).all() and told["episode_start"].eq(told["ts"]).all()
    assert got.drop(events)["episode_start"].isna().all()


def test_the_count_of_the_seed_has_its_sample_as_three() -> None:
    labels = np.array([IGNITION, IGNITION, COOLING, NEUTRAL]).reshape(4, 1, 1)
    assert _legacy_columns(labels)["agreement_legacy"].tolist() == [[3.0]]
    assert _legacy_columns(np.full((4, 1, 1), CHOP))["agreement_legacy"].tolist() == [[4.0]]
    labels[3] = -1
    assert np.isnan(_legacy_columns(labels)["agreement_legacy"]).all()


def test_the_columns_beside_the_primary_follow_it(whole: pd.DataFrame) -> None:
    directed = whole["primary_regime"].isin(["SPOT_IGNITION", "SPOT_COOLING"])
    for name in ("compatible_count", "agreement_score", "confidence", "confidence_kind"):
        assert (whole[name].notna() == directed).all()
    assert whole.loc[directed, "confidence"].equals(whole.loc[directed, "agreement_score"])
    assert whole.loc[directed, "confidence_kind"].eq("heuristic").all()
    pd.testing.assert_series_equal(whole["primary_legacy"], whole["regime_1h"], check_names=False)
    cooling = whole["regime_1h"] == "SPOT_COOLING"
    kind = np.where(whole["volume_z_1h"] >= 1.5, "CAPITULATION", "FADE")
    assert (whole.loc[cooling, "cooling_kind"] == kind[cooling]).all()
    assert whole.loc[~cooling, "cooling_kind"].isna().all()
    labelled = whole[[f"regime_{f}" for f in FRAMES]].notna().sum(axis=1)
    assert (labelled == whole["frames_available"]).all()


def test_status_says_which_frames_have_no_label(whole: pd.DataFrame) -> None:
    ok, partial = (whole[whole["status"] == s] for s in ("ok", "partial"))
    assert ok["frames_available"].eq(4).all() and ok["reason"].isna().all() and len(ok)
    assert partial["frames_available"].eq(3).all() and partial["primary_regime"].notna().all()
    for frame in FRAMES:
        only = partial[partial[f"regime_{frame}"].isna()]
        assert only["reason"].eq(f"no_label:{frame}").all()
    rest = whole[~whole["status"].isin(["ok", "partial"])]
    nulls = ["primary_raw", "primary_regime", "agreement_count", "is_confirmed", "source_tier"]
    assert rest[nulls].isna().all(axis=None) and rest["reason"].notna().all()
    assert whole.loc[partial.index, "source_tier"].eq(1).all()


def test_the_frame_keeps_the_contract_of_its_table(whole: pd.DataFrame) -> None:
    validate(whole, table("regimes.timeframe_regimes"))
    assert list(whole.columns) == list(table("regimes.timeframe_regimes").content)


# --- missing data -------------------------------------------------------------------------------


def test_labels_appear_when_their_history_does(whole: pd.DataFrame) -> None:
    first = {f: whole.loc[whole[f"regime_{f}"].notna(), "ts"].min() for f in FRAMES}
    assert first["1h"] - START >= timedelta(weeks=8)  # same hours of eight earlier weeks
    assert first["1h"] - START < timedelta(weeks=8, days=2)
    assert timedelta(weeks=28) <= first["1w"] - START <= timedelta(weeks=31)
    primary = whole.loc[whole["primary_regime"].notna(), "ts"].min()
    assert primary == sorted(first.values())[2]


def test_one_missing_hour_costs_the_hourly_label_and_no_other(whole: pd.DataFrame) -> None:
    hole = whole[whole["ts"] == START + timedelta(hours=HOURS - 900)]
    assert hole["regime_1h"].isna().all() and hole["reason"].eq("no_label:1h").all()
    around = whole[(whole["ts"] - hole["ts"].iloc[0]).abs() < timedelta(hours=24)]
    others = ["regime_4h", "regime_1d", "regime_1w", "primary_regime"]
    assert around[others].notna().all(axis=None)


def test_a_missing_stretch_of_forty_hours_is_null_with_a_status(whole: pd.DataFrame) -> None:
    start = START + timedelta(hours=HOURS - 500)
    hole = whole[
        (whole["ts"] >= start + timedelta(hours=30)) & (whole["ts"] < start + timedelta(hours=40))
    ]
    assert hole["regime_1h"].isna().all() and hole["regime_4h"].isna().all()
    assert hole["status"].isin(["missing", "partial"]).all()
    assert (hole["primary_regime"].isna() == (hole["status"] == "missing")).all()
    assert (hole["status"] == "missing").any()


def test_volume_of_zero_and_a_price_that_never_moves_give_no_label() -> None:
    still = synthetic_candles(START, 24 * 70, seed=1)
    still[["open", "high", "low", "close"]] = 0.1
    got = timeframe_regimes(still, grid=grid(24 * 60, 24 * 70), params=PARAMS)
    assert got["regime_1h"].isna().all() and got["price_z_1h"].isna().all()
    silent = synthetic_candles(START, 24 * 70, seed=1)
    silent["volume_base"] = 0.0
    got = timeframe_regimes(silent, grid=grid(24 * 60, 24 * 70), params=PARAMS)
    assert got["volume_z_1h"].isna().all() and got["trend_z_1h"].notna().all()
    assert got["regime_1h"].isna().all()


def test_an_empty_frame_gives_the_full_grid_of_nulls(candles: pd.DataFrame) -> None:
    got = timeframe_regimes(candles.head(0), grid=grid(0, 5), params=PARAMS)
    assert len(got) == 10 and got["status"].eq("missing").all()
    validate(got, table("regimes.timeframe_regimes"))


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_hourly_ticks_and_one_shot_agree_to_the_byte(
    candles: pd.DataFrame, whole: pd.DataFrame
) -> None:
    back = reach_of(timeframe_regimes, "market.candles_1h")
    hours = [*range(HOURS - 480, HOURS - 440), HOURS - 170, HOURS - 1]
    for i in hours:
        tick = grid(i, i + 1)
        near = candles[(candles["ts"] >= tick.start - back) & (candles["ts"] < tick.end)]
        got = timeframe_regimes(near, grid=tick, params=PARAMS)
        expected = whole[whole["ts"] == tick.start].reset_index(drop=True)
        pd.testing.assert_frame_equal(got, expected, check_exact=True)


@pytest.mark.slow
def test_days_and_one_shot_agree_to_the_byte(candles: pd.DataFrame, whole: pd.DataFrame) -> None:
    back = reach_of(timeframe_regimes, "market.candles_1h")
    for day in range(DAYS - 10, DAYS):
        part = grid(day * 24, day * 24 + 24)
        near = candles[(candles["ts"] >= part.start - back) & (candles["ts"] < part.end)]
        got = timeframe_regimes(near, grid=part, params=PARAMS)
        expected = whole[(whole["ts"] >= part.start) & (whole["ts"] < part.end)]
        pd.testing.assert_frame_equal(got, expected.reset_index(drop=True), check_exact=True)


def test_garbage_after_a_row_changes_nothing_in_it(
    candles: pd.DataFrame, whole: pd.DataFrame
) -> None:
    for hour in (HOURS - 300, HOURS - 301, HOURS - 123):  # inside a week, a day, a 4h bar
        cut = START + timedelta(hours=hour)
        garbage = candles.copy()
        later = garbage["ts"] > cut
        garbage.loc[later, ["open", "high", "low", "close"]] = [3.0, 9e7, 1e-6, 5.0]
        garbage.loc[later, "volume_base"] = 1e16
        part = grid(hour - 200, HOURS)
        got = timeframe_regimes(garbage, grid=part, params=PARAMS)
        expected = whole[(whole["ts"] >= part.start) & (whole["ts"] <= cut)]
        pd.testing.assert_frame_equal(
            got[got["ts"] <= cut].reset_index(drop=True),
            expected.reset_index(drop=True),
            check_exact=True,
        )


def test_absent_rows_and_other_symbols_and_markets_do_not_matter(
    candles: pd.DataFrame, whole: pd.DataFrame
) -> None:
    observed = candles[candles["status"] == "ok"]
    perp = observed.assign(market="perp", close=1.0)
    shuffled = pd.concat([perp, observed]).sample(frac=1.0, random_state=1)
    part = grid(HOURS - 600, HOURS)
    got = timeframe_regimes(shuffled, grid=part, params=PARAMS)
    expected = whole[whole["ts"] >= part.start].reset_index(drop=True)
    pd.testing.assert_frame_equal(got, expected, check_exact=True)
    one = timeframe_regimes(candles, grid=grid(HOURS - 600, HOURS, SYMBOLS[1:]), params=PARAMS)
    mine = expected[expected["symbol"] == SYMBOLS[1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, mine, check_exact=True)


# --- the machine --------------------------------------------------------------------------------


def decide(raw: list[int], group: list[int] | None = None) -> tuple[list[int], list[int]]:
    rows = np.array([raw], dtype=np.int8)
    agreed = np.array([group if group is not None else [-1] * len(raw)], dtype=np.int8)
    primary, confirmed = np.empty_like(rows), np.empty_like(rows)
    machine.run(rows, agreed, 2160, 24, 3, primary, confirmed)
    return primary[0].tolist(), confirmed[0].tolist()


def test_a_new_primary_counts_at_its_third_row_in_a_row() -> None:
    assert decide([3, 0, 0, 3, 0, 0, 0])[0] == [3, 3, 3, 3, 3, 3, 0]
    assert decide([3, 0, 0, 1, 1, 1])[0] == [3, 3, 3, 3, 3, 1]
    assert decide([3, 3, 3, 0, 0, -1, 0, 0, 0])[0] == [3, 3, 3, 3, 3, -1, 3, 3, 0]


def test_a_long_stretch_of_nulls_starts_anew_from_the_raw_label() -> None:
    assert decide([3, 3, 3] + [-1] * 24 + [0])[0][-1] == 3
    assert decide([3, 3, 3] + [-1] * 25 + [0])[0][-1] == 0


def test_confirmation_needs_two_rows_and_is_announced_once_per_primary() -> None:
    raw = [3, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    group = [-1, 0, 0, 0, 0, -1, 0, -1, -1, 1, 1, 1]
    primary, confirmed = decide(raw, group)
    assert primary == [3, 3, 3, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert confirmed == [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2, 1]


def test_a_confirmation_that_lapses_is_not_announced_again_before_the_primary_changes() -> None:
    raw, group = [0] * 8, [0, 0, 0, -1, -1, 0, 0, 0]
    assert decide(raw, group)[1] == [0, 2, 1, 0, 0, 0, 1, 1]


def test_a_null_row_breaks_the_two_rows() -> None:
    assert decide([0, -1, 0, 0], [0, -1, 0, 0])[1] == [0, -1, 0, 2]


# --- recorded history ---------------------------------------------------------------------------


@pytest.mark.history
def test_the_crash_of_august_2024_is_confirmed_at_its_known_hours(market_history: Path) -> None:
    candles, symbols = recorded_candles(market_history, "2023-09-01", "2024-08-06")
    day = Grid(utc("2024-08-05"), utc("2024-08-06"), symbols)
    got = timeframe_regimes(candles, grid=day, params=PARAMS)
    told = got[got["event_kind"].notna()]
    hours = sorted((t.hour, s) for t, s in zip(told["ts"], told["symbol"], strict=True))
    assert hours == [(0, "BNB/USDT"), (0, "BTC/USDT"), (2, "ADA/USDT")]
    assert told["primary_regime"].eq("SPOT_COOLING").all()
