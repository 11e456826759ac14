"""Books between the ticks: sampled by the schedule itself, shown once an hour, never made up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import httpx
import pytest

from regime_pipeline.market.book_levels import Sampled
from regime_pipeline.orchestration import schedules
from regime_pipeline.orchestration.book_samples import BookSampler, not_collected, samples_of_hour
from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.orchestration.resources import Platform, platform_resource
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, HOUR, FixedClock, utc
from regime_pipeline_tests.orchestration.conftest import SYMBOLS, settings_for

AT = utc("2024-03-04 06:55")
BOOKS = dg.AssetKey(["raw", "order_book"])


class Running:
    """A clock that stands, though the code takes it for one that goes on."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(start=AT - 5 * DAY, end=AT + DAY, symbols=SYMBOLS)
    with SimulatorServer(tape, FixedClock(AT)) as server:
        yield server


@pytest.fixture
def platform(database: Database, tmp_path: Path, simulator: SimulatorServer) -> Platform:
    settings = settings_for(
        database,
        tmp_path / "home",
        origin="simulated",
        sources=("binance",),
        **simulator.settings_overrides(),
    )
    return Platform(settings, Running(AT + timedelta(seconds=1)), database)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow provider."""
    monkeypatch.setattr(schedules, "_books", BookSampler(wait_s=300.0))


def tick(platform: Platform, instance: dg.DagsterInstance, at: datetime) -> str:
    found = build_definitions(
        assets=pipeline_assets(), resources={"platform": platform_resource(platform)}
    )
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        resources={"platform": platform_resource(platform)},
        repository_def=found.get_repository_def(),
    ) as context:
        data = schedules.books.evaluate_tick(context)
    assert not data.run_requests
    return data.skip_message or ""


@pytest.mark.slow
def test_a_tick_stores_a_snapshot_of_every_book_without_a_run(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    assert tick(platform, instance, AT).startswith(f"sampled: {len(SYMBOLS)} rows")
    stored = platform.warehouse.read("raw.order_book")
    assert set(stored["symbol"]) == set(SYMBOLS)
    assert set(stored["run_id"]) == {"books:2024-03-04T06:55"}
    assert not instance.get_runs()
    assert instance.get_latest_materialization_event(BOOKS) is None


def test_the_levels_of_a_sample_are_read_again_from_what_was_landed(platform: Platform) -> None:
    BookSampler(wait_s=300.0).sample(platform, AT)
    row = platform.warehouse.read("raw.order_book").iloc[0].to_dict()
    book = Sampled.of(row, row["market"], row["ts"].value // 1000)
    levels = platform.levels_of(book)
    assert levels is not None
    assert (len(levels.bids[0]), len(levels.asks[0])) == book.levels
    assert levels.bids[0][0] == row["best_bid"] and levels.asks[0][0] == row["best_ask"]
    near = levels.bids[0] >= row["mid"] * (1 - 25e-4)
    assert (levels.bids[0] * levels.bids[1])[near].sum() == pytest.approx(
        row["depth_25bps_bid_usd"], rel=1e-9
    )
    assert platform.levels_of(replace(book, mid=book.mid * 1.001)) is None  # of another book
    assert platform.levels_of(replace(book, payload_id="0" * 64)) is None  # its bytes are gone


@pytest.mark.slow
def test_the_first_tick_of_an_hour_shows_the_samples_of_the_last(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    tick(platform, instance, AT)
    platform.clock = Running(AT + timedelta(minutes=5))
    tick(platform, instance, AT + timedelta(minutes=5))
    event = instance.get_latest_materialization_event(BOOKS)
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.partition == "2024-03-04"
    shown = {k: v.value for k, v in event.asset_materialization.metadata.items()}
    assert (shown["samples"], shown["rows inserted"]) == (1, len(SYMBOLS))
    assert shown["failed sources"] == "none"


def test_books_that_the_live_collector_samples_are_not_asked_for(platform: Platform) -> None:
    now = platform.clock.now()
    assert not_collected(platform, ["binance"], now) == ["binance"]
    BookSampler(wait_s=300.0).sample(platform, AT)
    assert not_collected(platform, ["binance"], now) == ["binance"]
    with platform.database.connect(autocommit=True) as connection:
        connection.execute("UPDATE raw.order_book SET run_id = 'collector'")
    assert not_collected(platform, ["binance"], now) == []
    assert not_collected(platform, ["binance"], now + timedelta(minutes=10)) == ["binance"]
    with platform.database.connect(autocommit=True) as connection:
        connection.execute("DELETE FROM raw.order_book WHERE symbol = %s", (SYMBOLS[0],))
    assert not_collected(platform, ["binance"], now) == ["binance"]


def test_an_hour_without_samples_is_not_shown(platform: Platform) -> None:
    assert samples_of_hour(platform, AT - HOUR) is None


@pytest.mark.slow
def test_a_sample_whose_time_has_passed_is_not_taken(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    assert "has passed" in tick(platform, instance, AT - timedelta(minutes=5))
    assert platform.warehouse.read("raw.order_book").empty


@pytest.mark.slow
def test_a_slow_sample_is_not_waited_for_and_the_next_leaves_it_alone(
    platform: Platform, simulator: SimulatorServer
) -> None:
    httpx.post(
        f"{simulator.base_url}/_control/faults", json={"path": "/", "delay_s": 1.0}
    ).raise_for_status()
    sampler = BookSampler(wait_s=0.05)
    assert "still under way" in sampler.sample(platform, AT)
    assert "left out" in sampler.sample(platform, AT + timedelta(minutes=5))
    limit = time.monotonic() + 60
    while platform.warehouse.read("raw.order_book").empty and time.monotonic() < limit:
        time.sleep(0.1)
    assert set(platform.warehouse.read("raw.order_book")["run_id"]) == {"books:2024-03-04T06:55"}
