"""What followed on anomalies, and the odds that come from it."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from regime_pipeline.catalogue.derivation import lookbacks, reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features import outcome_kernels
from regime_pipeline.features.funding_anomalies import funding_anomalies, funding_prints
from regime_pipeline.features.funding_outcomes import ODDS, funding_outcomes, odds
from regime_pipeline.settings import FundingParams
from regime_pipeline.windows import Grid, Window, utc
from regime_pipeline_tests.signals.worlds import prints_of
from regime_pipeline_tests.synthetic import same_bytes

PARAMS = FundingParams()
ALL = Window(utc("2019-01-01"), utc("2030-01-01"))
SYMBOLS = tuple(f"{c}/USDT" for c in ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF"))
END = utc("2024-06-01")
NAN = math.nan


def judged(z: list[float], *, hours: int = 8, persistence: float = 0.1) -> pd.DataFrame:
    """Prints with given z, the last one at END."""
    prints = prints_of([1e-4] * len(z), end=END, hours=hours)
    values = np.array(z)
    known = np.isfinite(values)
    anomaly = pd.Series(pd.array(np.abs(values) > 2, dtype="boolean")).where(known)
    return prints.assign(z_score=values, is_anomaly=anomaly, persistence_score=persistence)


def bars(prints: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Perpetual closes around the prints of every symbol."""
    rng = np.random.default_rng(seed)
    parts = []
    for symbol, rows in prints.groupby("symbol"):
        hours = pd.date_range(
            rows["ts"].min() - timedelta(hours=2), rows["ts"].max() + timedelta(hours=30), freq="h"
        ).as_unit("us")
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(hours))))
        parts.append(pd.DataFrame({"symbol": symbol, "ts": hours, "close": close}))
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(market="perp", source_tier=1, symbol=frame["symbol"].astype("str"))


def after(prints: pd.DataFrame, candles: pd.DataFrame | None = None, **window) -> pd.DataFrame:
    out = funding_outcomes(
        prints,
        bars(prints) if candles is None else candles,
        window=window.get("window", ALL),
        symbols=prints["symbol"].unique(),
        params=PARAMS,
    )
    return validate(out, table("features.funding_outcomes"))


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z", "expected"),
    [
        ([2.5, 1.5, 1.2, 0.9], True),  # the print a day later counts
        ([2.5, 1.5, 1.2, 1.0, 0.1], False),  # the border does not, nor what comes after
        ([-2.5, -1.5, 0.3, -2.2], True),
        ([2.5, NAN, 0.3, 1.4], True),  # sixteen hours are judged
        ([2.5, NAN, NAN, 0.3], True),  # a re-entry that was seen is known, whatever was lost
        ([2.5, NAN, NAN, 1.3], None),
        ([2.5, 1.4], None),
    ],
)
def test_z_re_enters_within_a_day_or_the_label_is_null(
    z: list[float], expected: bool | None
) -> None:
    out = after(judged(z)).iloc[0]
    assert (None if pd.isna(out["reentered_24h"]) else bool(out["reentered_24h"])) is expected
    assert out["status"] == ("partial" if expected is None else "ok")


def test_labels_of_many_prints_equal_a_look_at_each_next_day() -> None:
    rng = np.random.default_rng(4)
    symbol = np.repeat(np.arange(3), 200)
    hour = np.concatenate([np.cumsum(rng.choice([1, 4, 8, 30], 200)) for _ in range(3)])
    z = np.where(rng.random(600) < 0.2, NAN, rng.normal(0, 2, 600))
    weight = rng.choice([1.0, 4.0, 8.0], 600)
    prints = pd.DataFrame({"symbol": symbol, "hour": hour, "z": z, "weight": weight})
    expected = []
    for p in prints.itertuples():
        mine = prints[(prints["symbol"] == p.symbol) & (prints.index > p.Index)]
        mine = mine[(mine["hour"] <= p.hour + 24) & mine["z"].notna()]
        enough = mine["weight"].sum() >= 12.0
        calm = (mine["z"].abs() < 1.0).any()
        expected.append(1 if calm else 0 if enough else -1)
    got = outcome_kernels.reentries(hour, symbol, z, weight, 24, 1.0, 12.0)
    assert got.tolist() == expected
    assert set(expected) == {-1, 0, 1}


def test_an_outcome_is_stamped_when_it_can_be_known() -> None:
    prints = judged([2.5, 1.5, 1.5, 0.5, 0.5, 0.5])
    first = prints["ts"].iloc[0]
    out = after(prints)
    assert out["print_ts"].tolist() == [first]
    assert out["ts"].tolist() == [first + timedelta(hours=24)]
    end = first + timedelta(hours=24)
    assert after(prints, window=Window(utc("2019-01-01"), end.to_pydatetime())).empty


@pytest.mark.parametrize(("z", "move", "against"), [(2.5, 0.1, False), (2.5, -0.1, True),
                                                    (-2.5, 0.1, True), (-2.5, -0.1, False),
                                                    (2.5, 0.0, None)])  # fmt: skip
def test_the_price_moves_from_the_close_before_the_print_to_a_day_later(
    z: float, move: float, against: bool | None
) -> None:
    prints = judged([z, 1.5, 1.5, 0.5])
    at = prints["ts"].iloc[0]
    candles = bars(prints)
    candles["close"] = np.where(candles["ts"] < at, 100.0, 7.0)
    candles.loc[candles["ts"] == at + timedelta(hours=23), "close"] = 100.0 * math.exp(move)
    spot = candles.assign(market="spot", close=1.0)
    out = after(prints, pd.concat([spot, candles])).iloc[0]
    assert out["return_24h"] == pytest.approx(move, abs=1e-12)
    got = out["price_reversed_24h"]
    assert (None if pd.isna(got) else bool(got)) is against


def test_a_missing_close_costs_the_price_label_only() -> None:
    prints = judged([2.5, 1.5, 1.5, 0.5])
    candles = bars(prints)
    gone = candles["ts"] == prints["ts"].iloc[0] + timedelta(hours=23)
    out = after(prints, candles[~gone]).iloc[0]
    assert (out["status"], out["reason"]) == ("partial", "no_close")
    assert pd.isna(out["price_reversed_24h"]) and bool(out["reentered_24h"])
    nothing = after(judged([2.5]), candles.head(0)).iloc[0]
    assert nothing["status"] == "missing"


# --- odds against the definition ----------------------------------------------------------------


def world(seed: int, days: int = 900) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judged prints of six symbols with frequent anomalies, and their outcomes."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, symbol in enumerate(SYMBOLS):
        count = days * 3 - 40 * i
        rate = np.convolve(rng.standard_t(3, count + 9), 0.7 ** np.arange(10), "valid") * 2e-4
        parts.append(prints_of(rate.tolist(), end=END, symbol=symbol))
    prints = funding_prints(
        pd.concat(parts, ignore_index=True), window=ALL, symbols=SYMBOLS, params=PARAMS
    )
    return prints, after(prints, bars(prints, seed))


@pytest.fixture(scope="module")
def made() -> tuple[pd.DataFrame, pd.DataFrame]:
    return world(1)


def slow_odds(print_row: pd.Series, outcomes: pd.DataFrame, label: str) -> tuple[float, ...]:
    """(value, n, lo, hi), from the words of the definition."""
    events = []
    for _, mine in outcomes.groupby("symbol"):
        last = None
        for row in mine.sort_values("ts").itertuples():
            if last is None or row.print_ts - last >= timedelta(hours=24):
                last = row.print_ts
                hit = getattr(row, label)
                if row.ts <= print_row["ts"] and not pd.isna(hit):
                    events.append((row.z_score, row.persistence_score, bool(hit)))
    events = [e for e in events if not math.isnan(e[1])]
    if not events:
        return NAN, 0, NAN, NAN
    cuts = np.quantile([e[1] for e in events], [1 / 3, 2 / 3])

    def state(z: float, persistence: float) -> tuple[bool, bool, int]:
        return z > 0, abs(z) >= 3, int(persistence > cuts[0]) + int(persistence > cuts[1])

    here = state(print_row["z_score"], print_row["persistence_score"])
    mine = [hit for z, p, hit in events if state(z, p) == here]
    n, k = len(mine), sum(mine)
    p0 = sum(hit for *_, hit in events) / len(events)
    a, b = k + 10 * p0, n - k + 10 * (1 - p0)
    if n < 30:
        return NAN, n, NAN, NAN
    return a / (a + b), n, beta.ppf(0.025, a, b), beta.ppf(0.975, a, b)


@pytest.mark.slow
def test_odds_equal_the_words_of_their_definition(made: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    prints, outcomes = made
    got = odds(prints, outcomes, params=PARAMS)
    asked = prints.index[prints["is_anomaly"].fillna(False) & prints["persistence_score"].notna()]
    rng = np.random.default_rng(3)
    there = 0
    for i in rng.choice(asked, 30, replace=False):
        value, n, low, high = slow_odds(prints.loc[i], outcomes, "reentered_24h")
        assert got["reversal_n"][i] == n
        expected = [value, low, high]
        found = [got[c][i] for c in ("reversal_probability", "reversal_lo", "reversal_hi")]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        value, n, *_ = slow_odds(prints.loc[i], outcomes, "price_reversed_24h")
        assert got["price_reversal_n"][i] == n
        np.testing.assert_allclose(got["price_reversal_probability"][i], value, rtol=1e-9)
        there += n >= 30
    assert 8 < there < 30
    others = ~prints["is_anomaly"].fillna(False).to_numpy(bool)
    assert all(np.isnan(got[name][others]).all() for name in ODDS)


def test_odds_use_nothing_that_ends_after_the_print(
    made: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    prints, outcomes = made
    cut = pd.Timestamp("2024-01-15", tz="UTC")
    early = prints[prints["ts"] <= cut].reset_index(drop=True)
    full = odds(early, outcomes, params=PARAMS)
    known = odds(early, outcomes[outcomes["ts"] <= cut], params=PARAMS)
    turned = outcomes.assign(
        reentered_24h=outcomes["reentered_24h"].mask(outcomes["ts"] > cut, False),
        z_score=outcomes["z_score"].mask(outcomes["ts"] > cut, -9.0),
    )
    garbage = odds(early, turned, params=PARAMS)
    assert np.isfinite(full["reversal_probability"]).sum() > 30
    for name in ODDS:
        np.testing.assert_array_equal(full[name], known[name])
        np.testing.assert_array_equal(full[name], garbage[name])


def test_where_all_events_ended_alike_there_is_a_value_but_no_interval(
    made: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    prints, outcomes = made
    always = outcomes.assign(reentered_24h=pd.array([True] * len(outcomes), dtype="boolean"))
    got = odds(prints, always, params=PARAMS)
    there = np.isfinite(got["reversal_probability"])
    assert there.any() and (got["reversal_probability"][there] == 1.0).all()
    assert np.isnan(got["reversal_lo"]).all() and np.isnan(got["reversal_hi"]).all()


# --- the hourly view ----------------------------------------------------------------------------


def hourly(
    prints: pd.DataFrame, outcomes: pd.DataFrame | None, start: str, end: str, *symbols: str
) -> pd.DataFrame:
    grid = Grid.of(Window(utc(start), utc(end)), symbols or SYMBOLS)
    out = funding_anomalies(prints, outcomes, grid=grid, params=PARAMS)
    return validate(out, table("features.funding_anomalies"))


@pytest.mark.slow
def test_hours_carry_the_odds_of_their_print_and_chunks_agree(
    made: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    prints, outcomes = made
    whole = hourly(prints, outcomes, "2024-03-01", "2024-05-01")
    assert whole["reversal_probability"].notna().sum() > 100
    by_print = whole.groupby(["symbol", "print_ts"])["reversal_probability"].nunique(dropna=False)
    assert by_print.max() == 1
    cut = pd.Timestamp("2024-03-31T05:00Z")
    seen = outcomes[outcomes["ts"] <= cut]  # what is stored when the first chunk runs
    early = hourly(prints[prints["ts"] <= cut], seen, "2024-03-01", "2024-03-31T06:00")
    late = hourly(prints[prints["ts"] >= cut - timedelta(days=3)], outcomes, "2024-03-31T06:00",
                  "2024-05-01")  # fmt: skip
    joined = pd.concat([early, late]).sort_values(["symbol", "ts"], ignore_index=True)
    same_bytes(joined, whole)
    # a run narrowed to one symbol still learns from all
    alone = hourly(prints, outcomes, "2024-03-01", "2024-05-01", SYMBOLS[2])
    same_bytes(alone, whole[whole["symbol"] == SYMBOLS[2]])


def test_a_stale_print_has_no_odds_and_without_outcomes_nobody_has(
    made: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    prints, outcomes = made
    lost = prints[prints["ts"] < utc("2024-04-10")]
    out = hourly(lost, outcomes, "2024-04-01", "2024-04-12")
    stale = out[out["status"] == "stale"]
    assert len(stale) and stale[list(ODDS)].isna().all(axis=None)
    none = hourly(prints, None, "2024-04-01", "2024-04-12")
    assert none[list(ODDS)].isna().all(axis=None)
    assert none["z_score"].notna().any()


def test_outcomes_never_depend_on_where_the_computation_began(
    made: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    prints, outcomes = made
    candles = bars(prints, 1)
    window = Window(utc("2024-02-03"), utc("2024-02-20"))
    back = {name: reach_of(funding_outcomes, name) for name in lookbacks(funding_outcomes)}
    near = prints[
        (prints["ts"] >= window.start - back["features.funding_prints"])
        & (prints["ts"] < window.end)
    ]
    close = candles[
        (candles["ts"] >= window.start - back["market.candles_1h"]) & (candles["ts"] < window.end)
    ]
    part = after(near, close, window=window)
    inside = (outcomes["ts"] >= window.start) & (outcomes["ts"] < window.end)
    assert inside.sum() > 10
    same_bytes(part, outcomes[inside])
