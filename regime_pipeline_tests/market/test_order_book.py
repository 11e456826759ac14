"""The hourly book: which snapshots count, means, partial and missing hours, chunking."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import conform, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.order_book import MEANS, order_book_1h
from regime_pipeline.windows import HOUR, Grid, Window, utc

START = utc("2024-03-01")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
VENUES = {"perp": dict.fromkeys(SYMBOLS, "binance")}


def snapshots(count: int, hour: int = 0, symbol: str = "BTC/USDT", **more: object) -> pd.DataFrame:
    """``count`` valid snapshots of an hour, five minutes apart; imbalance 0.01, 0.02, ..."""
    step = np.arange(count)
    values: dict[str, object] = dict.fromkeys(MEANS, 1.0)
    values |= {
        "source": "binance_futures",
        "venue": "binance",
        "market": "perp",
        "symbol": symbol,
        "ts": [START + hour * HOUR + timedelta(minutes=4 * int(i)) for i in step],
        "imbalance": 0.01 * (step + 1),
        "book_age_s": 1.0,
        "bid_levels": 100,
        "ask_levels": 100,
        "best_bid": 99.0,
        "best_ask": 101.0,
        "is_lower_bound": False,
        "source_tier": 1,
        "available_at": START,
        "pit_grade": "observed",
    }
    spec = table("raw.order_book")
    frame = pd.DataFrame(values | more, index=range(count))
    for column in spec.content:
        if column not in frame:
            frame[column] = pd.NA
    return conform(frame, spec)


def computed(raw: pd.DataFrame, hours: int = 3, first: int = 0) -> pd.DataFrame:
    grid = Grid.of(Window(START + first * HOUR, START + (first + hours) * HOUR), SYMBOLS)
    out = order_book_1h(raw, grid=grid, venues=VENUES)
    validate(out, table("market.order_book_1h"))
    return out.set_index(["symbol", "ts"])


def test_hour_is_the_plain_mean_of_its_snapshots() -> None:
    out = computed(pd.concat([snapshots(12), snapshots(3, hour=1)]))
    full, few = out.loc[("BTC/USDT", START)], out.loc[("BTC/USDT", START + HOUR)]
    assert full["imbalance"] == pytest.approx(0.065)
    assert (full["n_snapshots"], full["status"]) == (12, "ok")
    assert few["imbalance"] == pytest.approx(0.02)
    assert (few["n_snapshots"], few["status"], few["reason"]) == (3, "partial", "few_snapshots")


def test_hour_without_a_snapshot_is_null_and_says_so() -> None:
    out = computed(snapshots(12))
    none = out.loc[("ETH/USDT", START)]
    assert (none["n_snapshots"], none["status"], none["reason"]) == (0, "missing", "no_snapshot")
    assert none[list(MEANS)].isna().all()
    assert len(out) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"bid_levels": 4},
        {"ask_levels": 4},
        {"ask_levels": 0, "mid": np.nan},
        {"book_age_s": 61.0},
    ],
)
def test_thin_old_and_one_sided_snapshots_do_not_count(change: dict[str, object]) -> None:
    out = computed(snapshots(12, **change))
    row = out.loc[("BTC/USDT", START)]
    assert (row["n_snapshots"], row["reason"]) == (0, "no_valid_snapshot")
    mixed = computed(pd.concat([snapshots(12), snapshots(5, hour=0, **change, source="zzz")]))
    assert mixed.loc[("BTC/USDT", START), "n_snapshots"] == 12


def test_other_venues_and_markets_stay_out() -> None:
    raw = pd.concat([snapshots(12), snapshots(12, venue="okx"), snapshots(12, market="spot")])
    assert computed(raw).loc[("BTC/USDT", START), "n_snapshots"] == 12


def test_one_provider_makes_an_hour() -> None:
    second = snapshots(15, source="a_relay", source_tier=2, imbalance=0.9)
    out = computed(pd.concat([second, snapshots(12)]))
    row = out.loc[("BTC/USDT", START)]
    assert (row["n_snapshots"], row["source_tier"]) == (12, 1)
    assert row["imbalance"] == pytest.approx(0.065)


def test_book_that_ends_early_makes_a_lower_bound() -> None:
    raw = snapshots(12)
    raw.loc[raw.index[3], "is_lower_bound"] = True
    assert bool(computed(raw).loc[("BTC/USDT", START), "is_lower_bound"])


@pytest.mark.slow
def test_rows_do_not_depend_on_where_the_window_begins_or_on_row_order() -> None:
    rng = np.random.default_rng(3)
    parts = []
    for hour in range(8):
        for symbol in SYMBOLS:
            count = int(rng.integers(1, 15))
            parts.append(snapshots(count, hour, symbol, imbalance=rng.uniform(-1, 1, count)))
    raw = pd.concat(parts, ignore_index=True)
    whole = computed(raw, 8)
    halves = pd.concat([computed(raw, 5), computed(raw, 3, first=5)]).sort_index()
    pd.testing.assert_frame_equal(whole.sort_index(), halves, check_exact=True)
    pd.testing.assert_frame_equal(
        whole, computed(raw.sample(frac=1, random_state=1), 8), check_exact=True
    )


def test_later_snapshots_change_no_earlier_hour() -> None:
    raw = pd.concat([snapshots(12), snapshots(12, hour=1)])
    other = pd.concat([snapshots(12), snapshots(4, hour=1, imbalance=-0.9)])
    first = ("BTC/USDT", START)
    pd.testing.assert_series_equal(computed(raw).loc[first], computed(other).loc[first])


def test_symbol_without_a_venue_is_not_applicable() -> None:
    grid = Grid.of(Window(START, START + HOUR), SYMBOLS)
    out = order_book_1h(snapshots(2), grid=grid, venues={"perp": {"BTC/USDT": "binance"}})
    assert out.set_index("symbol").loc["ETH/USDT", "reason"] == "no_venue"


def test_changes_under_an_hour_go_up_to_its_newest_snapshot() -> None:
    raw = snapshots(12)
    raw["ts"] = [START + timedelta(minutes=5 * i, seconds=20) for i in range(12)]  # :00 to :55
    raw["mid"] = 100.0 + np.arange(12)
    row = computed(raw).loc[("BTC/USDT", START)]
    assert row["price_change_5m_frac"] == pytest.approx(111 / 110 - 1)
    assert row["price_change_15m_frac"] == pytest.approx(111 / 108 - 1)
    assert row["price_change_30m_frac"] == pytest.approx(111 / 105 - 1)
    assert pd.isna(row["price_changes_reason"])


def test_a_book_that_was_not_sampled_at_an_end_makes_no_change_and_says_so() -> None:
    raw = snapshots(12)
    raw["ts"] = [START + timedelta(minutes=5 * i) for i in range(12)]
    holed = computed(raw[~raw["ts"].dt.minute.isin([40])]).loc[("BTC/USDT", START)]
    assert pd.isna(holed["price_change_15m_frac"]) and pd.notna(holed["price_change_5m_frac"])
    assert holed["price_changes_reason"] == "no_snapshot_15m_before"
    early = computed(raw.iloc[:-2]).loc[("BTC/USDT", START)]  # the last one at :45
    assert pd.isna(early["price_change_5m_frac"])
    assert early["price_changes_reason"] == "no_snapshot_at_the_end"
