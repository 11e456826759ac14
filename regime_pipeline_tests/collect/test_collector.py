"""From a venue's socket to tables: what was sent is stored once, what was heard is told to the second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import orjson
import pandas as pd
import pytest

from regime_pipeline.collect.collector import Collector
from regime_pipeline.collect.plan import Line, lines_of
from regime_pipeline.collect.venues import CONNECTIONS
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import HOUR, FastClock, Window, utc

START = utc("2024-06-20T09:58:00")
SYMBOLS = ("BTC/USDT", "ETH/USDT")


def _for_a_fast_clock(line: Line) -> Line:
    """A connection whose clock runs fast shows as often that it is alive, and is not soon called silent."""
    dialect = replace(line.connection.dialect, ping_every_s=0.1)
    patient = {
        topic: replace(one, channel=replace(one.channel, quiet_after_s=1_800.0))
        for topic, one in line.subscriptions.items()
    }
    return replace(
        line, connection=replace(line.connection, dialect=dialect), subscriptions=patient
    )


def _collect_until(collector: Collector, is_done: Callable[[], bool]) -> None:
    """Runs until something is so, five minutes at most."""

    def watch() -> None:
        until = time.monotonic() + 300
        while time.monotonic() < until and not is_done():
            time.sleep(0.5)
        collector.stop()

    waiting = threading.Thread(target=watch)
    waiting.start()
    collector.run(300)
    waiting.join()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_closures_of_a_stream_are_stored_once_and_summed_by_the_hour(
    database: Database, tmp_path: Path
) -> None:
    clock = FastClock(START, 30)
    warehouse = Warehouse(database, clock)
    tape = SyntheticTape(seed=7, symbols=SYMBOLS, end=START + timedelta(days=2))
    with SimulatorServer(tape, clock) as server:
        settings = Settings(
            **server.settings_overrides(), home=tmp_path, symbols=SYMBOLS, _env_file=None
        )
        lines = [
            _for_a_fast_clock(line)
            for line in lines_of(CONNECTIONS, settings, SYMBOLS, ["bybit"])
            if not line.connection.name.startswith("books")
        ]
        collector = Collector(warehouse, settings, symbols=SYMBOLS, venues=["bybit"], lines=lines)
        _collect_until(
            collector,
            lambda: bool(warehouse.read("ops.stream_hours")["is_proven"].fillna(False).any()),
        )
        sent = httpx.get(f"{server.base_url}/_control/ws_sent").json()
    events = warehouse.read("raw.liquidation_events")
    keys = {(e["topic"], e["key"]) for e in sent if "Liquidation" in e["topic"]}
    times = pd.Series(
        [pd.Timestamp(int(key.partition("|")[0]), unit="ms", tz="UTC") for _, key in keys]
    )
    names = pd.Series([topic.rpartition(".")[2] for topic, _ in keys])
    assert len(keys) > 5
    assert len(events) <= len(keys)  # the last ones may be on their way when it is told to end
    spans = warehouse.read("ops.stream_spans")
    hours = warehouse.read("ops.stream_hours")
    proven = hours[hours["is_proven"] & (hours["dataset"] == "liquidations")]
    assert not proven.empty, (spans.to_string(), hours.to_string())
    assert set(proven["proof"]) == {"seconds"}
    for hour, symbol in proven[["ts", "symbol"]].itertuples(index=False):
        inside = events[(events["ts"] >= hour) & (events["ts"] < hour + HOUR)]
        told = times[names == symbol.replace("/", "")]
        assert (inside["symbol"] == symbol).sum() == told.between(hour, hour + HOUR, "left").sum()
        mine = inside[inside["symbol"] == symbol].groupby("position_side")["liquidation_usd"].sum()
        (row,) = warehouse.read("raw.liquidations", Window(hour, hour + HOUR), symbols=[symbol])[
            ["long_liquidations_usd", "short_liquidations_usd"]
        ].itertuples(index=False)
        assert row[0] == pytest.approx(mine.get("long", 0.0), rel=1e-12)
        assert row[1] == pytest.approx(mine.get("short", 0.0), rel=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_books_and_marks_are_shown_and_samples_of_them_stored(
    database: Database, tmp_path: Path
) -> None:
    clock = FastClock(START, 20)
    warehouse = Warehouse(database, clock)
    tape = SyntheticTape(seed=7, symbols=SYMBOLS[:1], end=START + timedelta(days=2))
    venues = ["bybit", "okx", "binance", "binance_futures"]
    with SimulatorServer(tape, clock) as server:
        settings = Settings(
            **server.settings_overrides(), home=tmp_path, symbols=SYMBOLS[:1], _env_file=None
        )
        lines = [
            _for_a_fast_clock(line)
            for line in lines_of(CONNECTIONS, settings, SYMBOLS[:1], venues)
            if any(s.channel.book or s.channel.marks for s in line.subscriptions.values())
        ]
        wanted = {
            (line.source.name, s.channel.feeds[0].market, s.symbols[0].canonical)
            for line in lines
            for s in line.subscriptions.values()
        }
        collector = Collector(warehouse, settings, symbols=SYMBOLS[:1], venues=venues, lines=lines)

        def stored() -> set[tuple[str, str, str]]:
            rows = warehouse.read("raw.order_book")
            return set(rows[["source", "market", "symbol"]].itertuples(index=False, name=None))

        _collect_until(collector, lambda: stored() >= wanted)
    assert stored() == wanted
    rows = warehouse.read("raw.order_book")
    assert (rows["bid_levels"] >= 100).all()
    assert (rows["best_bid"] < rows["best_ask"]).all()
    prices, books = warehouse.read("live.prices_5s"), warehouse.read("live.books_10s")
    assert set(prices[["source", "market", "symbol"]].itertuples(index=False, name=None)) == wanted
    assert prices.loc[prices["market"] == "perp", "latest_mark_price"].notna().any()
    assert prices.loc[prices["market"] == "spot", "latest_mark_price"].isna().all()
    assert set(books["source"]) == set(venues)
    depth = [c for c in rows.columns if c.startswith("depth_50bps")]
    assert books[depth].gt(0).all(axis=None)
    shown = orjson.loads(books["top_levels"].iloc[0])
    assert len(shown["bids"]) == len(shown["asks"]) == 20
