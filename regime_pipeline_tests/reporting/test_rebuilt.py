"""Tables of reports built window by window equal those built from scratch."""

from __future__ import annotations

from itertools import pairwise

import pytest

from regime_pipeline.catalogue.marts import BUILT
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.windows import HOUR, FixedClock, Window, utc
from regime_pipeline_tests.reporting import world
from regime_pipeline_tests.reporting.conftest import Builder, write

START, END = utc("2024-06-01"), utc("2024-06-11")
LATER = FixedClock(END + HOUR)
CHANGED = Window(utc("2024-06-03"), utc("2024-06-04"))

pytestmark = [pytest.mark.xdist_group("market"), pytest.mark.slow]


def contents(database: Database) -> dict[str, list[str]]:
    return {
        mart.name: [
            r["row"]
            for r in rows(database, f"select t::text as row from {mart.full_name} as t order by 1")
        ]
        for mart in BUILT
    }


def test_windows_in_any_order_and_restated_rows_give_what_one_build_of_everything_gives(
    database: Database, build: Builder
) -> None:
    symbols = ("BTC/USDT", "ETH/USDT")
    frames = world.make(START, END, symbols) | world.raw(START, END, symbols)
    cuts = [START, utc("2024-06-05"), utc("2024-06-08"), END]
    windows = [Window(a, b) for a, b in pairwise(cuts)]
    for window in (windows[1], windows[0], windows[2]):  # the oldest is not the first
        part = {}
        for name, frame in frames.items():
            part[name] = frame
            if "ts" in frame:
                part[name] = frame[(frame["ts"] >= window.start) & (frame["ts"] < window.end)]
        write(database, part, FixedClock(END))
        build(database, window)
    pieces = contents(database)
    build(database, full_refresh=True)
    whole = contents(database)
    for name, found in whole.items():
        assert pieces[name] == found, name
        assert found, name

    # one hour's price, liquidations and rates are other ones
    hour = CHANGED.start + 5 * HOUR
    for name, column in (
        ("market.candles_1h", "close"),
        ("market.liquidations_1h", "long_liquidations_usd"),
        ("raw.open_interest", "open_interest_usd"),
    ):
        frame = frames[name]
        frame.loc[frame["ts"] == hour, column] *= 1.01
        if column == "close":
            frame["high"] = frame[["high", "close"]].max(axis=1)
        write(database, {name: frame}, LATER)
    build(database, CHANGED)
    mended = contents(database)
    build(database, full_refresh=True)
    assert mended == contents(database)
    differing = {n for n in mended if mended[n] != whole[n]}
    assert {"hourly", "liquidation_windows", "open_interest_ohlc"} <= differing
    touched = [r for r in mended["hourly"] if r not in set(whole["hourly"])]
    # the hour itself, and those 1, 24 and 168 hours after it; sums of a day for liquidations
    assert len(touched) == 2 * (24 + 2)
