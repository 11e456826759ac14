"""Sources fail in turn while hourly ticks go on: nothing is invented, all is named, gaps are filled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.datasets import DATASETS, Expected
from regime_pipeline.coverage.rules import series_of
from regime_pipeline.orchestration.assets import raw
from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, HOUR, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.orchestration.conftest import run_assets
from regime_pipeline_tests.orchestration.replay import (
    ASSETS,
    KINDS,
    Hand,
    Replay,
    missed_lines,
    missed_sources,
)

SYMBOLS = ("BTC/USDT", "ETH/USDT")
BEGIN = utc("2024-03-05")
MIDNIGHT = BEGIN + DAY


@pytest.fixture
def clock() -> Hand:
    return Hand(BEGIN + tick_of(12))


def tick_of(hour: int) -> timedelta:
    """When the schedule ticks in an hour, from midnight on."""
    return hour * HOUR + timedelta(minutes=2)


@pytest.fixture
def simulator(clock: Hand) -> Iterator[SimulatorServer]:
    tape = SyntheticTape(start=BEGIN - 10 * DAY, end=BEGIN + 5 * DAY, symbols=SYMBOLS)
    with SimulatorServer(tape, clock) as server:
        yield server


@pytest.fixture
def another(postgres: TestServer) -> Iterator[Database]:
    with postgres.database() as fresh:
        yield fresh


def rows_not_in(found: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    """Rows that the other frame has not, to the bit of every content column."""
    both = found.merge(wanted, how="left", on=list(found.columns), indicator=True)
    return both[both["_merge"] == "left_only"]


def heal(replay: Replay, rounds: int = 12) -> int:
    """Let the gap sensor ask and its runs be done until it asks for nothing; how many there were."""
    runs = 0
    for _ in range(rounds):
        asked = replay.sense()
        if not asked:
            return runs
        assert all(result.success for result in replay.fill(asked))
        runs += len(asked)
        replay.clock.at += timedelta(minutes=10)
    raise AssertionError(f"still asking after {rounds} rounds: {asked}")


QUICK = ("candles", "funding_rates", "order_book")


@pytest.mark.slow
def test_an_outage_over_midnight_is_named_and_then_filled_exactly(
    database: Database, another: Database, tmp_path: Path, simulator: SimulatorServer, clock: Hand
) -> None:
    chosen = {
        "sources": ("binance", "binance_futures", "okx"),
        "symbols": SYMBOLS[:1],
        "datasets": QUICK,
    }
    replay = Replay(database, tmp_path / "a", simulator, clock, **chosen)
    clock.at = BEGIN + tick_of(20)
    run_assets(replay.platform, [ASSETS[n] for n in QUICK], Window(BEGIN - 3 * DAY, MIDNIGHT))
    down = {"okx": KINDS["error"], "binance": KINDS["geo"]}
    told = {}
    for hour in (22, 23, 24):
        clock.at = BEGIN + tick_of(hour)
        result = replay.tick(down)
        assert result.success
        told |= missed_lines(result)
    assert "okx spot: " in told["candles"]
    assert "Transient" in told["candles"]
    assert "2024-03-05 20:00..22:00" in told["candles"]
    clock.at = MIDNIGHT + tick_of(3)
    assert replay.tick().success

    # another database that met no failure
    calm = Replay(another, tmp_path / "b", simulator, clock, **chosen)
    askable = [n for n in QUICK if n != "order_book"]
    window = Window(BEGIN - 3 * DAY, MIDNIGHT + DAY)
    run_assets(calm.platform, [ASSETS[n] for n in askable], window)
    for name in askable:
        assert rows_not_in(replay.rows(name), calm.rows(name)).empty, name
    assert replay.hashes(["candles"]) != calm.hashes(["candles"])

    (request,) = replay.sense()
    scope = request.run_config["resources"]["scope"]["config"]
    assert {"binance", "okx"} <= set(scope["sources"])
    assert request.tags["dagster/asset_partition_range_start"] == "2024-03-05"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-03-05"
    assert "order_book" not in {k.path[1] for k in request.asset_selection}
    cover = replay.coverage()
    assert set(cover.loc[cover["coverage_state"] == "missed", "source"]) >= {"okx", "binance"}

    heal(replay)
    assert replay.hashes(askable) == calm.hashes(askable)
    cover = replay.coverage()
    assert not (cover["coverage_state"] == "missed").any()
    books = cover[(cover["dataset"] == "order_book") & (cover["source"] == "okx")]
    lost = books[books["ts"] == utc("2024-03-05 23:00")]
    assert set(lost["coverage_state"]) == {"forward_only"}
    assert set(lost["coverage_reason"]) == {"not recorded while it happened: Transient"}
    assert replay.sense() == []


SUBSTITUTES = ("market.proxies_1h", "raw.legacy_signals")
"""Tier 3 by nature, under names of their own."""


@pytest.mark.slow
def test_fault_21_with_every_source_down_substitutes_stay_apart_and_no_event_arises(
    database: Database, tmp_path: Path, simulator: SimulatorServer, clock: Hand
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    signal = {
        "symbol": "BTCUSDT",
        "timestamp": "2024-03-05T21:30:00Z",
        "momentum": 95,
        "price": 1e4,
    }
    (folder / "old.json").write_text(json.dumps(signal))
    askable = ("candles", "funding_rates", "open_interest", "liquidations")
    replay = Replay(
        database, tmp_path / "a", simulator, clock,
        symbols=SYMBOLS, datasets=askable, legacy_dir=folder,
    )  # fmt: skip
    clock.at = BEGIN + tick_of(20)
    run_assets(replay.platform, [ASSETS[n] for n in askable], Window(BEGIN - 4 * DAY, MIDNIGHT))
    clock.at = MIDNIGHT + tick_of(0)
    assert replay.tick(dict.fromkeys(SOURCES, KINDS["geo"])).success
    dark = Window(BEGIN + 20 * HOUR, MIDNIGHT)
    derived = [
        a for a in pipeline_assets() if not a.keys & {k for r in ASSETS.values() for k in r.keys}
    ]
    told = [source for asset in ASSETS.values() for source in asset.to_source_assets()]
    assert run_assets(replay.platform, [*derived, *told], Window(BEGIN, MIDNIGHT)).success

    read = replay.platform.warehouse.read
    bars = read("market.candles_1h", dark)
    assert len(bars) == 2 * 2 * 4
    assert bars["close"].isna().all()
    assert set(bars["status"]) == {"missing"}
    lit = read("market.candles_1h", Window(BEGIN, dark.start))
    assert set(lit["source_tier"]) <= {1, 2}
    for name, item in TABLES.items():
        if "source_tier" in item.fields and item.schema not in ("ops", "alerts"):
            rows = read(name, dark) if name != "raw.legacy_signals" else read(name)
            made = rows.loc[rows["source_tier"].fillna(0) >= 3]
            assert made.empty or name in SUBSTITUTES, name
    assert len(read("raw.legacy_signals")) > 0
    events = read("alerts.market_events")
    assert not (events["ts"] >= dark.start).any()
    assert not (events["source_tier"] >= 3).any()


def test_fault_21_nothing_that_stands_in_lies_behind_an_event() -> None:
    graph = build_definitions(assets=pipeline_assets()).resolve_asset_graph()
    behind, ahead = set(), {dg.AssetKey(["alerts", "market_events"])}
    while ahead:
        parents = set().union(*(graph.get(key).parent_keys for key in ahead))
        behind, ahead = behind | ahead, parents - behind - ahead
    names = {".".join(key.path) for key in behind}
    assert "market.candles_1h" in names
    assert not names & set(SUBSTITUTES)


SOURCES = (
    "binance", "binance_futures", "okx", "bybit", "coinglass", "alternative_me", "coinapi",
    "lunarcrush", "whale_alert", "sentiment", "liquidation_service", "news", "dashboard",
)  # fmt: skip
TICKS = 24
STRETCH = 3
FIRST_TICK = 13


def down_at(tick: int) -> dict[str, str]:
    """Which sources fail at a tick, and how: each in its turn, and all of them around midnight."""
    kinds = list(KINDS)
    out = {}
    for k, source in enumerate(SOURCES):
        start = round(k * (TICKS - STRETCH) / (len(SOURCES) - 1))
        if start <= tick < start + STRETCH or tick in (10, 11):
            out[source] = kinds[k % len(kinds)]
    return out


@pytest.mark.slow
def test_fault_21_a_day_in_which_every_source_fails_in_turn_loses_only_what_cannot_be_asked_for(
    database: Database, another: Database, tmp_path: Path, simulator: SimulatorServer, clock: Hand
) -> None:
    replay = Replay(database, tmp_path / "a", simulator, clock, symbols=SYMBOLS)
    calm = Replay(another, tmp_path / "b", simulator, clock, symbols=SYMBOLS)
    clock.at = BEGIN + tick_of(FIRST_TICK - 1)
    run_assets(replay.platform, list(ASSETS.values()), Window(BEGIN - 3 * DAY, MIDNIGHT))
    settings = replay.platform.settings
    series = {name: series_of(settings, name, SYMBOLS) for name in DATASETS}
    forward = [n for n in DATASETS if any(s.is_forward_only for s in series[n])]
    named: set[str] = set()
    for tick in range(TICKS):
        clock.at = BEGIN + tick_of(FIRST_TICK + tick)
        down = down_at(tick)
        result = replay.tick({source: KINDS[kind] for source, kind in down.items()})
        assert result.success, f"tick {tick}"
        words = " ".join(
            str(c.description)
            for c in result.get_asset_check_evaluations()
            if c.check_name == raw.CHECK and not c.passed
        )
        assert [s for s in down if s not in words] == [], f"tick {tick}"
        named |= missed_sources(result)
        if tick % 4 == 3:  # what a run without failures records at the same moment
            with calm.failing({}):
                run_assets(
                    calm.platform, [ASSETS[n] for n in forward], Window(MIDNIGHT - DAY, clock.at)
                )
            for name in forward:
                of = {s.source for s in series[name] if s.is_forward_only}
                mine, theirs = (
                    f[f["source"].isin(of)] for f in (replay.rows(name), calm.rows(name))
                )
                mine = mine[mine["ts"].isin(theirs["ts"])]
                assert rows_not_in(mine, theirs).empty, name
    askable = {n: {s.source for s in series[n] if not s.is_forward_only} for n in DATASETS}
    hourly = [of for n, of in askable.items() if DATASETS[n].expected != Expected.DAILY]
    assert named >= set().union(*hourly)

    clock.at += 2 * HOUR
    replay.tick()
    cover = replay.coverage()
    missed = cover[cover["coverage_state"] == "missed"]
    lost_hour = missed[missed["ts"] == utc("2024-03-05 22:00")]
    for name, sources in askable.items():
        if DATASETS[name].expected == Expected.DAILY:
            continue  # the day's row was there in the morning
        assert set(lost_hour.loc[lost_hour["dataset"] == name, "source"]) == sources, name
    assert lost_hour["coverage_reason"].str.startswith("failed: ").all()
    assert not missed["is_forward_only"].any()

    # before anything is filled no stored row differs from one of a run without a failure
    whole = Window(BEGIN - 3 * DAY, MIDNIGHT + DAY)
    with calm.failing({}):
        run_assets(calm.platform, [ASSETS[n] for n, of in askable.items() if of], whole)
    compared = Window(BEGIN, MIDNIGHT + DAY)
    for name, sources in askable.items():
        mine, theirs = (
            content(replay, name, sources, compared),
            content(calm, name, sources, compared),
        )
        assert rows_not_in(mine, theirs).empty, name

    assert heal(replay) > 0
    with calm.failing({}):
        run_assets(calm.platform, [ASSETS[n] for n, of in askable.items() if of], whole)
    replay.tick()
    for name, sources in askable.items():
        if not sources:
            continue
        mine, theirs = (
            content(replay, name, sources, compared),
            content(calm, name, sources, compared),
        )
        pd.testing.assert_frame_equal(mine, theirs, obj=name)
        if all(not s.is_forward_only for s in series[name]):
            hashes = [
                r.platform.warehouse.content_hash(f"raw.{name}", compared) for r in (replay, calm)
            ]
            assert hashes[0] == hashes[1], name
    cover = replay.coverage()
    assert not (cover["coverage_state"] == "missed").any()
    gone = cover[cover["is_forward_only"] & (cover["ts"] == utc("2024-03-05 23:00"))]
    gone = gone[gone["dataset"].isin(["order_book", "coin_markets", "dashboard_signals"])]
    assert set(gone["coverage_state"]) == {"forward_only"}
    assert gone["coverage_reason"].str.startswith("not recorded while it happened: ").all()
    assert replay.sense() == []


def content(replay: Replay, name: str, sources: set[str], window: Window) -> pd.DataFrame:
    """Rows of a raw table from some sources in a window."""
    rows = replay.rows(name)
    inside = (rows["ts"] >= window.start) & (rows["ts"] < window.end)
    return rows[inside & rows["source"].isin(sources)].reset_index(drop=True)
