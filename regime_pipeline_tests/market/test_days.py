"""Days of derivatives side by side."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.days import METRICS, derivatives_1d
from regime_pipeline.windows import DAY, HOUR, Grid, Window, utc

START = utc("2024-03-02")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
VENUES = dict.fromkeys(SYMBOLS, "binance")
GRID = Grid.of(Window(START, START + 2 * DAY), SYMBOLS)
LATE = timedelta(minutes=5)


def raw(days: int = 3, **changes: object) -> pd.DataFrame:
    rows = [
        {
            "source": "coinglass",
            "venue": "binance" if metric.endswith("frac") else "aggregate",
            "market": "perp",
            "symbol": symbol,
            "metric": metric,
            "ts": pd.Timestamp(START + (d - 2) * DAY),
            "value": 0.6 if metric.endswith("frac") else 1000.0 * (1 + d),
            "available_at": pd.Timestamp(START + (d - 1) * DAY + LATE),
            "source_tier": 1,
            **changes,
        }
        for symbol in SYMBOLS
        for metric in METRICS
        for d in range(days)
    ]
    return pd.DataFrame(rows).astype({"ts": "datetime64[us, UTC]"})


def bars() -> pd.DataFrame:
    hours = pd.date_range(START - HOUR, START + 2 * DAY, freq="h", inclusive="left").as_unit("us")
    rows = [(s, h, 10.0 + h.hour) for s in SYMBOLS for h in hours]
    frame = pd.DataFrame(rows, columns=["symbol", "ts", "close"]).assign(source_tier=1)
    return pd.concat([frame.assign(market="perp"), frame.assign(market="spot", close=1.0)])


def made(rows: pd.DataFrame, grid: Grid = GRID, interval: str = "1d") -> pd.DataFrame:
    frame = derivatives_1d(
        rows, bars(), grid=grid, venues=VENUES, source="coinglass", interval=interval
    )
    validate(frame, table("market.derivatives_1d"))
    assert list(frame.columns) == list(table("market.derivatives_1d").content)
    return frame


def test_a_row_stands_at_the_midnight_that_ends_its_day() -> None:
    frame = made(raw())
    btc = frame[frame["symbol"] == "BTC/USDT"].reset_index(drop=True)
    assert btc["ts"].tolist() == [pd.Timestamp(START), pd.Timestamp(START + DAY)]
    assert btc["available_at"].tolist() == [t + LATE for t in btc["ts"]]
    assert btc["open_interest_usd"].tolist() == [2000.0, 3000.0]  # of the day before each
    assert btc["close"].tolist() == [33.0, 33.0]  # of the bar that ends there
    assert np.allclose(btc["open_interest_base"], btc["open_interest_usd"] / 33.0)
    assert set(btc["status"]) == {"ok"}
    assert set(btc["completeness"]) == {"partial"}
    assert set(btc["method_version"]) == {"derivatives_1d/1@coinglass"}


def test_shares_are_of_the_own_venue_and_sums_of_several() -> None:
    other = raw(venue="okx", value=0.1)
    pd.testing.assert_frame_equal(made(pd.concat([raw(), other])), made(raw()))


def test_what_a_day_lacks_is_named_and_not_carried() -> None:
    rows = raw()
    last = rows["ts"] == pd.Timestamp(START)
    gone = last & ((rows["symbol"] == "ETH/USDT") | (rows["metric"] == "resting_asks_usd"))
    frame = made(rows[~gone]).set_index(["symbol", "ts"])
    second = pd.Timestamp(START + DAY)
    assert frame.loc[("BTC/USDT", second), ["status", "reason"]].tolist() == [
        "partial",
        "without_resting_asks_usd",
    ]
    assert frame.loc[("ETH/USDT", second), ["status", "reason"]].tolist() == [
        "missing",
        "not_observed",
    ]
    assert frame.loc[("ETH/USDT", second), list(METRICS)].isna().all()
    assert pd.isna(frame.loc[("ETH/USDT", second), "completeness"])


def test_chunks_give_the_same_rows_and_no_later_day_changes_them() -> None:
    whole = made(raw())
    parts = [
        made(raw(2 + i), Grid.of(Window(START + i * DAY, START + (i + 1) * DAY), SYMBOLS))
        for i in range(2)
    ]
    both = pd.concat(parts).sort_values(["symbol", "ts"], ignore_index=True)
    pd.testing.assert_frame_equal(both, whole)


def test_nothing_is_made_of_days_where_factors_are_made_of_hours() -> None:
    assert made(raw(), interval="1h").empty
    noon = Grid.of(Window(START + 12 * HOUR, START + 13 * HOUR), SYMBOLS)
    assert made(raw(), noon).empty
