from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features import funding_kernels as kernels
from regime_pipeline.features.funding_anomalies import (
    extreme_level,
    funding_anomalies,
    funding_prints,
)
from regime_pipeline.market.funding import funding
from regime_pipeline.settings import FundingParams
from regime_pipeline.windows import Grid, Window, utc
from regime_pipeline_tests.signals.worlds import prints_of, raw_prints
from regime_pipeline_tests.synthetic import same_bytes

PARAMS = FundingParams()
BTC = ("BTC/USDT",)
END = utc("2024-06-01")
ALL = Window(utc("2019-01-01"), utc("2030-01-01"))


def judged(rates: list[float], *, hours: int = 8) -> pd.DataFrame:
    prints = prints_of(rates, end=END, hours=hours)
    return funding_prints(prints, window=ALL, symbols=BTC, params=PARAMS)


# --- levels and scales -------------------------------------------------------------------------


def test_levels_at_their_borders() -> None:
    z = np.array([2.0, 2.8, 3.0, -3.1, -2.5, -2.0, math.nan])
    assert extreme_level(z, params=PARAMS).tolist() == [
        "NORMAL",
        "HIGH",
        "EXTREME_HIGH",
        "EXTREME_LOW",
        "LOW",
        "NORMAL",
        None,
    ]


def test_a_window_at_the_default_rate_measures_in_floors() -> None:
    out = judged([1e-4] * 60 + [1e-4, 3e-4])
    assert out["z_score"].iloc[60] == 0.0
    assert out["z_robust"].iloc[60] == 0.0
    assert out["z_score"].iloc[61] == pytest.approx(2e-4 / 0.5e-4)
    assert out["z_robust"].iloc[61] == pytest.approx(2e-4 / 0.5e-4)


def test_the_floor_comes_after_the_fallback_for_a_zero_mad() -> None:
    # half of the window at one rate: MAD 0, mean absolute deviation well above the floor
    window = [0.0] * 50 + [4e-3] * 40
    out = judged([*window, 1e-3])
    expected = 1e-3 / (1.2533 * np.mean(np.abs(window)))
    assert out["z_robust"].iloc[-1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("hours", "needed"), [(8, 60), (4, 120), (1, 480)])
def test_the_window_must_cover_480_of_720_hours(hours: int, needed: int) -> None:
    rng = np.random.default_rng(1)
    out = judged((rng.normal(size=needed + 1) * 1e-4).tolist(), hours=hours)
    assert out["z_score"].notna().tolist() == [False] * needed + [True]
    assert out["reason"].iloc[0] == "window_covers_less_than_480h"
    assert set(out["status"]) == {"insufficient_history", "ok"}


def test_the_judged_print_is_not_in_its_own_window() -> None:
    rng = np.random.default_rng(2)
    rates = (rng.normal(size=90) * 1e-3).tolist()
    out = judged([*rates, 1.0])
    expected = (1.0 - np.mean(rates)) / np.std(rates, ddof=1)
    assert out["z_score"].iloc[-1] == pytest.approx(expected, rel=1e-12)
    assert out["z_score"].iloc[-1] > 100
    assert out["n_obs"].iloc[-1] == 90


def test_an_unknown_interval_is_missing_not_zero() -> None:
    prints = prints_of([1e-4] * 70, end=END)
    prints.loc[69, ["rate_8h", "rate_annual"]] = math.nan
    prints.loc[69, "interval_hours"] = pd.NA
    out = funding_prints(prints, window=ALL, symbols=BTC, params=PARAMS).iloc[-1]
    assert (out["status"], out["reason"]) == ("missing", "interval_unknown")
    statistics = ["z_score", "z_robust", "is_anomaly", "extreme_level", "run_sign", "is_reversal"]
    assert out[statistics].isna().all()


# --- the run machine ---------------------------------------------------------------------------


def machine(
    z: list[float], *, hours: list[int] | None = None, median: float = 0.0
) -> list[tuple[int, str | None, bool]]:
    """(open run, announcement, reversed) after each print; the rate is z, so its side is z's."""
    stamps = np.array(hours or [8 * i for i in range(len(z))], dtype=np.int64)
    values = np.array(z)
    sign, start, event, back = (np.full(len(z), -1, dtype=np.int64) for _ in range(4))
    kernels.runs(
        stamps,
        values,
        np.full(len(z), median),
        values,
        np.full(len(z), 8.0),
        np.array([0]),
        np.array([len(z)]),
        2.0,
        3.0,
        1.5,
        sign,
        start,
        event,
        back,
    )
    names = {-1: None, 0: "start", 1: "escalation"}
    return [
        (int(s), names[int(e)], bool(b >= 0)) for s, e, b in zip(sign, event, back, strict=True)
    ]


def test_a_run_announces_its_start_and_one_escalation() -> None:
    assert machine([0.0, 2.5, 1.7, 2.6, 3.2, 2.0, 3.5, 1.6, 1.4]) == [
        (0, None, False),
        (1, "start", False),
        (1, None, False),  # above the re-arming level: the same run
        (1, None, False),
        (1, "escalation", False),
        (1, None, False),
        (1, None, False),  # told once
        (1, None, False),
        (0, None, False),  # ended, but still on its side: no reversal
    ]


def test_a_run_that_starts_extreme_does_not_escalate() -> None:
    assert machine([3.4, 4.0]) == [(1, "start", False), (1, None, False)]


def test_an_opposite_anomaly_reverses_one_run_and_starts_the_next() -> None:
    assert machine([2.5, -2.5, -1.0]) == [
        (1, "start", False),
        (-1, "start", True),
        (0, None, False),
    ]


@pytest.mark.parametrize(
    ("last", "median", "expected"),
    [
        (-0.5, 0.0, True),
        (0.5, 0.0, False),  # same side of the median
        (0.5, 0.6, True),  # the median decides, not zero
        (1.2, 1.3, False),  # z moved by less than 1
    ],
)
def test_a_reversal_needs_the_other_side_and_a_move(
    last: float, median: float, expected: bool
) -> None:
    assert machine([2.1, last], median=median)[1] == (0, None, expected)


def test_three_days_without_a_judged_print_end_a_run_silently() -> None:
    assert machine([2.5, 1.8], hours=[0, 80])[1] == (1, None, False)  # 72 null hours
    assert machine([2.5, 1.8], hours=[0, 88])[1] == (0, None, False)
    assert machine([2.5, 2.4], hours=[0, 88])[1] == (1, "start", False)


def test_an_unjudged_print_keeps_the_run_and_says_nothing() -> None:
    assert machine([2.5, math.nan, 1.8])[1:] == [(1, None, False), (1, None, False)]


def test_a_run_older_than_the_lookback_is_forgotten() -> None:
    count = 90 * 3
    states = [sign for sign, _, _ in machine([2.5] + [1.8] * (count + 5))]
    assert states[:count] == [1] * count
    assert set(states[count:]) == {0}


# --- against a slow reference ------------------------------------------------------------------


def wild_prints(seed: int, *, symbols: tuple[str, ...] = ("ADA/USDT", "BTC/USDT")) -> pd.DataFrame:
    """Half a year with clamped rates, lost prints, an outage and changing intervals."""
    rng = np.random.default_rng(seed)
    frames = []
    for symbol in symbols:
        hour, hours = 0, []
        while hour < 190 * 24:
            length = 8 if hour < 90 * 24 else (4 if hour < 140 * 24 else 8)
            hour += length * (1 if rng.random() > 0.03 else int(rng.integers(2, 4)))
            hours.append(hour)
        hours = [h for h in hours if not 60 * 24 < h < 64 * 24]
        wave = np.convolve(rng.standard_t(3, len(hours) + 9), 0.6 ** np.arange(10), "valid")
        rates = np.clip(np.where(rng.random(len(hours)) < 0.3, 1e-4, wave * 1.5e-4), -5e-3, 5e-3)
        stamps = [pd.Timestamp("2023-03-01", tz="UTC") + pd.Timedelta(hours=h) for h in hours]
        frames.append(raw_prints(stamps, rates.tolist(), symbol=symbol))
    return funding(
        pd.concat(frames, ignore_index=True), window=ALL, venues=dict.fromkeys(symbols, "binance")
    )


def slow_z(x: float, window: np.ndarray) -> tuple[float, float, float]:
    """(z, robust z, median), written from the definition."""
    median = float(np.median(window))
    if window.max() == window.min():
        return (x - median) / 0.5e-4, (x - median) / 0.5e-4, median
    mad = float(np.median(np.abs(window - median)))
    scale = 1.4826 * mad if mad > 0 else 1.2533 * float(np.mean(np.abs(window - median)))
    z = (x - window.mean()) / max(window.std(ddof=1), 0.5e-4)
    return z, (x - median) / max(scale, 0.5e-4), median


def slow(prints: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for _, group in prints.groupby("symbol"):
        ts = list(group["ts"])
        rate = group["rate_8h"].to_numpy()
        weight = group["interval_hours"].to_numpy(dtype=float, na_value=np.nan)
        z = np.full(len(ts), np.nan)
        robust, median = z.copy(), z.copy()
        for p, at in enumerate(ts):
            inside = [
                i for i in range(p) if ts[i] >= at - timedelta(days=30) and not math.isnan(rate[i])
            ]
            if sum(weight[i] for i in inside) >= 480:
                z[p], robust[p], median[p] = slow_z(rate[p], rate[inside])
        for p, at in enumerate(ts):
            year = [r for r in rate[:p] if not math.isnan(r)]
            week = [i for i in range(p + 1) if ts[i] > at - timedelta(days=7)]
            week = [i for i in week if not math.isnan(z[i])]
            row = {"symbol": group["symbol"].iloc[0], "ts": at, "z": z[p], "robust": robust[p]}
            row["pctl"] = (
                (sum(r < rate[p] for r in year) + 0.5 * sum(r == rate[p] for r in year)) / len(year)
                if len(year) >= 60 and not math.isnan(rate[p])
                else math.nan
            )
            hours = sum(weight[i] for i in week)
            same = [
                i
                for i in week
                if abs(z[i]) > 2 and math.copysign(1, z[i]) == math.copysign(1, z[p])
            ]
            row["persistence"] = (
                sum(weight[i] for i in same) / hours
                if hours >= 112 and not math.isnan(z[p])
                else math.nan
            )
            row.update(slow_machine(p, ts, rate, weight, z, median))
            rows.append(row)
    return pd.DataFrame(rows)


def slow_machine(p, ts, rate, weight, z, median) -> dict[str, object]:
    """A machine started anew 90 days before the print and run to it, no shortcut."""
    run, start, told, last = 0, None, False, None
    kind, turned, since = None, False, None
    for i in range(p + 1):
        if ts[i] <= ts[p] - timedelta(days=90):
            continue
        kind, turned, since = None, False, None
        if math.isnan(z[i]):
            continue
        if last is not None and (ts[i] - ts[last]) - timedelta(hours=weight[i]) > timedelta(
            hours=72
        ):
            run, start, told = 0, None, False
        opposite = abs(z[i]) > 2 and z[i] * run < 0
        if run and (abs(z[i]) < 1.5 or opposite):
            turned = np.sign(rate[i] - median[i]) == -run and abs(z[i] - z[last]) >= 1
            since = start if turned else None
            run, start, told = 0, None, False
        if not run and abs(z[i]) > 2:
            run, start, kind = (1 if z[i] > 0 else -1), ts[i], "start"
            told = abs(z[i]) >= 3
        elif run and not told and abs(z[i]) >= 3:
            told, kind = True, "escalation"
        last = i
    return {"run": run, "start": start, "kind": kind, "turned": bool(turned), "since": since}


def nulls(values: pd.Series) -> list[object]:
    return [None if pd.isna(v) else v for v in values]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3])
def test_every_column_equals_the_slow_reference(seed: int) -> None:
    prints = wild_prints(seed)
    out = funding_prints(prints, window=ALL, symbols=["ADA/USDT", "BTC/USDT"], params=PARAMS)
    validate(out, table("features.funding_prints"))
    expected = slow(prints)
    assert expected["kind"].value_counts().get("start", 0) > 10
    assert expected["turned"].any()
    for column, other in (
        ("z_score", "z"),
        ("z_robust", "robust"),
        ("pctl_365d", "pctl"),
        ("persistence_score", "persistence"),
    ):
        np.testing.assert_allclose(out[column], expected[other], rtol=1e-9, atol=1e-12)
    known = out["z_score"].notna()
    assert out.loc[known, "run_sign"].tolist() == expected.loc[known.to_numpy(), "run"].tolist()
    assert nulls(out["event_kind"]) == nulls(expected["kind"])
    assert out["is_reversal"].fillna(False).tolist() == expected["turned"].tolist()
    assert nulls(out["reversal_run_start"]) == nulls(expected["since"])
    assert nulls(out.loc[known, "episode_start"]) == nulls(expected.loc[known.to_numpy(), "start"])


def slow_seed(prints: pd.DataFrame) -> pd.DataFrame:
    """The legacy z and persistence from an hourly series that holds every print forward."""
    rows = []
    for symbol, group in prints.groupby("symbol"):
        rate = group.set_index("ts")["funding_rate"].astype(float)
        for at in rate.index:
            known = rate[:at]
            hours = pd.date_range(at - pd.Timedelta(hours=719), at, freq="1h")
            filled = known.reindex(known.index.union(hours)).ffill(limit=None).reindex(hours)
            gaps = known[hours[0] :].index.to_series().diff()
            before = known[: hours[0]].index
            start = before[-1] if len(before) else None
            inside = [t for t in known.index if start is not None and t >= start]
            longest = (
                max(np.diff(inside), default=pd.Timedelta(0)) if len(inside) > 1 else gaps.max()
            )
            if filled.isna().any() or start is None or longest > pd.Timedelta(hours=72):
                rows.append((symbol, at, math.nan, math.nan))
                continue
            sd = filled.std(ddof=0)
            z = (filled - filled.mean()) / sd
            rows.append((symbol, at, z.iloc[-1], (z.abs() > 2).mean()))
    return pd.DataFrame(rows, columns=["symbol", "ts", "z", "persistence"])


@pytest.mark.slow
def test_the_statistics_of_the_seed_equal_their_slow_reading() -> None:
    prints = wild_prints(6, symbols=("ADA/USDT",))
    out = funding_prints(prints, window=ALL, symbols=["ADA/USDT"], params=PARAMS)
    expected = slow_seed(prints)
    np.testing.assert_allclose(out["z_score_legacy"].to_numpy(float), expected["z"], rtol=1e-9)
    np.testing.assert_allclose(
        out["persistence_legacy"].to_numpy(float), expected["persistence"], rtol=1e-9
    )
    known = out["z_score_legacy"].notna()
    assert 100 < known.sum() < len(out)
    assert out.loc[known, "is_anomaly_legacy"].eq(out.loc[known, "z_score_legacy"].abs() > 2).all()
    assert out.loc[~known, "is_anomaly_legacy"].isna().all()
    assert out["persistence_legacy"].max() <= 0.25  # Chebyshev


def test_a_rate_that_never_moves_has_no_z_of_the_seed() -> None:
    out = judged([1e-4] * 100)
    assert out["z_score_legacy"].isna().all() and out["z_score"].iloc[-1] == 0.0


def test_prints_never_depend_on_where_the_computation_began_nor_on_the_future() -> None:
    prints = wild_prints(5)
    symbols = ["ADA/USDT", "BTC/USDT"]
    whole = funding_prints(prints, window=ALL, symbols=symbols, params=PARAMS)
    reach = reach_of(funding_prints, "market.funding")
    for start, end in (("2023-06-01", "2023-06-02"), ("2023-07-10", "2023-08-30")):
        window = Window(utc(start), utc(end))
        seen = prints[(prints["ts"] >= window.start - reach) & (prints["ts"] < window.end)]
        part = funding_prints(seen, window=window, symbols=symbols, params=PARAMS)
        inside = (whole["ts"] >= window.start) & (whole["ts"] < window.end)
        same_bytes(part, whole[inside])
        garbled = prints.assign(rate_8h=prints["rate_8h"].mask(prints["ts"] >= window.end, 0.9))
        before = funding_prints(garbled, window=window, symbols=symbols, params=PARAMS)
        same_bytes(before, whole[inside])
    alone = funding_prints(prints, window=ALL, symbols=["BTC/USDT"], params=PARAMS)
    same_bytes(alone, whole[whole["symbol"] == "BTC/USDT"])


def test_the_lookback_of_a_run_and_its_z_fits_in_the_declared_one() -> None:
    """Ninety days of machine, each print with 30 days of window: 120 of the 365 declared."""
    rng = np.random.default_rng(6)
    rates = (rng.standard_t(3, 1500) * 2e-4).tolist()
    prints = prints_of(rates, end=END)
    whole = funding_prints(prints, window=ALL, symbols=BTC, params=PARAMS)
    window = Window(END - timedelta(days=3), END + timedelta(hours=1))
    seen = prints[prints["ts"] >= window.start - timedelta(days=365)]
    part = funding_prints(seen, window=window, symbols=BTC, params=PARAMS)
    same_bytes(part, whole[whole["ts"] >= window.start])


# --- the hourly view ---------------------------------------------------------------------------


def hourly(
    prints: pd.DataFrame, start: str, end: str, symbols: tuple[str, ...] = BTC
) -> pd.DataFrame:
    out = funding_anomalies(prints, grid=Grid(utc(start), utc(end), symbols), params=PARAMS)
    validate(out, table("features.funding_anomalies"))
    return out


def test_a_print_enters_the_row_of_its_own_hour_and_goes_stale_after_one_and_a_half_intervals() -> (
    None
):
    rng = np.random.default_rng(7)
    prints = judged((rng.normal(size=91) * 1e-4).tolist())  # the last one at 2024-06-01 00:00
    out = hourly(prints, "2024-05-31T20:00", "2024-06-04T04:00").set_index("ts")
    at = out["print_ts"]
    assert at[pd.Timestamp("2024-05-31T23:00Z")] == pd.Timestamp("2024-05-31T16:00Z")
    assert at[pd.Timestamp("2024-06-01T00:00Z")] == pd.Timestamp("2024-06-01T00:00Z")
    fresh = out.loc[pd.Timestamp("2024-06-01T11:00Z")]
    stale = out.loc[pd.Timestamp("2024-06-01T12:00Z")]
    assert (fresh["status"], stale["status"], stale["reason"]) == ("ok", "stale", "print_overdue")
    assert pd.notna(fresh["z_score"])
    assert stale[["z_score", "z_robust", "is_anomaly", "extreme_level", "pctl_365d"]].isna().all()
    assert stale["rate_8h"] == fresh["rate_8h"]
    gone = out.loc[pd.Timestamp("2024-06-04T00:00Z")]
    assert (gone["status"], gone["reason"]) == ("missing", "no_print_in_72h")
    assert gone[["print_ts", "rate_8h", "z_score"]].isna().all()


def test_the_grid_is_whole_even_for_a_symbol_without_prints() -> None:
    prints = judged([1e-4] * 70)
    symbols = ("AAA/USDT", "BTC/USDT", "ZZZ/USDT")
    out = hourly(prints, "2024-05-30", "2024-06-01", symbols)
    assert len(out) == 3 * 48
    assert set(out.loc[out["symbol"] != "BTC/USDT", "status"]) == {"missing"}
    assert (out.loc[out["symbol"] == "BTC/USDT", "z_score"] == 0.0).all()
    empty = hourly(prints.head(0), "2024-05-30", "2024-06-01", symbols)
    assert set(empty["status"]) == {"missing"}


def test_an_outage_of_a_day_is_seen_in_the_hours_and_leaves_nothing_behind() -> None:
    rng = np.random.default_rng(8)
    prints = prints_of((rng.normal(size=120) * 1e-4).tolist(), end=END)
    gap = (prints["ts"] >= utc("2024-05-30")) & (prints["ts"] < utc("2024-05-31"))
    judged_prints = funding_prints(prints[~gap], window=ALL, symbols=BTC, params=PARAMS)
    out = hourly(judged_prints, "2024-05-29T16:00", "2024-06-01").set_index("ts")
    # the print of 16:00 is a day and a half old before the next comes at 00:00
    overdue = out["status"] == "stale"
    assert overdue.sum() == 32 - 12
    assert out.loc[overdue, "z_score"].isna().all()
    assert set(out.loc[pd.Timestamp("2024-05-31T00:00Z") :, "status"]) == {"ok"}


def test_hours_never_depend_on_where_the_computation_began() -> None:
    prints = funding_prints(
        wild_prints(9), window=ALL, symbols=["ADA/USDT", "BTC/USDT"], params=PARAMS
    )
    symbols = ("ADA/USDT", "BTC/USDT")
    whole = hourly(prints, "2023-04-25", "2023-05-10", symbols)
    cut = utc("2023-05-03")
    seen = prints[prints["ts"] >= cut - reach_of(funding_anomalies, "features.funding_prints")]
    part = hourly(seen, "2023-05-03", "2023-05-10", symbols)
    same_bytes(part, whole[whole["ts"] >= cut])
    early = hourly(prints[prints["ts"] < cut], "2023-04-25", "2023-05-03", symbols)
    same_bytes(early, whole[whole["ts"] < cut])


# --- real history ------------------------------------------------------------------------------


@pytest.mark.history
def test_the_crash_of_august_2024_is_low_funding_in_ada_and_xrp(market_history: Path) -> None:
    recorded = pd.read_parquet(market_history / "funding.parquet")
    recorded = recorded[recorded["venue"] == "binance"]
    raw = raw_prints(
        list(recorded["ts"]),
        recorded["funding_rate"].tolist(),
        symbol="",
    ).assign(symbol=recorded["symbol"].str.replace("USDT", "/USDT").to_numpy())
    symbols = sorted(raw["symbol"].unique())
    window = Window(utc("2023-01-01"), utc("2025-01-01"))
    prints = funding_prints(
        funding(raw, window=window, venues=dict.fromkeys(symbols, "binance")),
        window=window,
        symbols=symbols,
        params=PARAMS,
    )
    at = prints[prints["ts"] == pd.Timestamp("2024-08-05T08:00Z")].set_index("symbol")
    low = at.index[at["extreme_level"] == "LOW"].tolist()
    assert low == ["ADA/USDT", "XRP/USDT"]
    assert at.loc[low, "event_kind"].tolist() == ["start", "start"]
    assert set(at.drop(index=low)["extreme_level"]) == {"NORMAL"}

    ok = prints[prints["status"] == "ok"]
    share = ok.groupby("symbol")["is_anomaly"].mean().astype(float)
    assert share.between(0.03, 0.10).all(), share  # the floor keeps the tails from drowning us
    days = ok.groupby("symbol").size() / 3
    events = ok[ok["event_kind"].notna()].groupby("symbol").size() / days
    assert events.between(0.02, 0.25).all(), events  # per symbol-day
    assert ok["is_reversal"].sum() > 10
    assert ok["z_score"].abs().max() < 60
