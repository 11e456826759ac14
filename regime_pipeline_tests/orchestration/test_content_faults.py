"""Faults 28-30, 33, 34 of docs/faults.md from the wire into the database: what a bad page leaves stored."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.orchestration.assets import raw
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, FixedClock, Window, utc
from regime_pipeline_tests.orchestration.conftest import run_assets
from regime_pipeline_tests.providers.loopback import Asked, Loopback, http

(CANDLES,) = (a for a in raw.ASSETS if a.key.path[1] == "candles")
START = utc("2024-03-01")
NOW = START + DAY + pd.Timedelta(minutes=30)
WINDOW = Window(START, START + DAY)
HOUR_MS = 3_600_000
START_MS = int(START.timestamp() * 1000)
Page = list[list[object]]


def bar(hour: float, *, opens: int | str | None = None, volume: str = "5") -> list[object]:
    """A kline ``hour`` hours into the day; its open time may be said in another way."""
    at = START_MS + int(hour * HOUR_MS)
    said = at if opens is None else opens
    return [said, "100", "102", "98", "101", volume, at + HOUR_MS - 1, "505", 9, "2.5", "250", "0"]


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Iterator[Callable[[Callable[[], Page]], Platform]]:
    """Materializes ``raw.candles`` of the day from whatever pages a venue gives."""

    def run(page: Callable[[], Page], now: object = NOW) -> Platform:
        def answer(asked: Asked, sock: socket.socket) -> bytes:
            return http(orjson.dumps(page()))

        with Loopback(answer) as server:
            settings = Settings(
                _env_file=None,
                database_url=database.url,
                home=tmp_path / "home",
                symbols=("BTC/USDT",),
                start_date="2024-01-01",
                sources=("binance",),
                binance_api_url=server.url,
            )
            platform = Platform(settings, FixedClock(now), database)
            run_assets(platform, [CANDLES], WINDOW)
        return platform

    yield run


def stored(platform: Platform) -> pd.DataFrame:
    return platform.warehouse.read("raw.candles")[list(table("raw.candles").content)]


@pytest.mark.slow
def test_fault_28_one_key_is_one_row_whatever_came_twice(store) -> None:
    fuller, thinner = bar(3, volume="9"), bar(3, volume="8")
    platform = store(lambda: [fuller, thinner, fuller, bar(4), bar(4)])
    assert stored(platform)["volume_base"].tolist() == [9.0, 5.0]
    refused = platform.warehouse.read("ops.quarantine")
    assert refused["reason"].str.contains("same key").tolist() == [True]
    platform = store(lambda: [bar(3, volume="7")])
    assert stored(platform)["volume_base"].tolist() == [7.0, 5.0]
    with platform.database.connect() as conn:
        old = conn.execute("SELECT volume_base FROM raw.candles_revisions").fetchall()
    assert old == [(9.0,)]


@pytest.mark.slow
def test_fault_29_rows_in_any_order_are_stored_as_if_sorted(store) -> None:
    day = [bar(h) for h in range(24)]
    clean = stored(store(lambda: day))
    assert len(clean) == 24
    platform = store(lambda: random.Random(4).sample(day, len(day)))
    pd.testing.assert_frame_equal(stored(platform), clean)
    with platform.database.connect() as conn:
        assert conn.execute("SELECT count(*) FROM raw.candles_revisions").fetchone() == (0,)


@pytest.mark.slow
def test_fault_30_running_bar_is_absent_until_it_has_closed(store) -> None:
    day = [bar(h) for h in range(24)]
    early = store(lambda: day, START + pd.Timedelta(hours=5, minutes=30))
    assert stored(early)["ts"].dt.hour.tolist() == [0, 1, 2, 3, 4]
    assert len(early.warehouse.read("ops.quarantine")) == 0
    late = store(lambda: day, START + pd.Timedelta(hours=6, minutes=30))
    assert stored(late)["ts"].dt.hour.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_fault_33_bars_off_the_grid_are_quarantined_and_never_floored(store) -> None:
    platform = store(lambda: [bar(1), bar(2 + 28 / 60), bar(5)])
    assert stored(platform)["ts"].dt.hour.tolist() == [1, 5]
    refused = platform.warehouse.read("ops.quarantine")
    assert refused["reason"].str.contains("grid").tolist() == [True]


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "microseconds"])
def test_fault_34_times_are_told_apart_by_their_size(store, unit: str) -> None:
    scale = {"seconds": 1e-3, "milliseconds": 1, "microseconds": 1e3}[unit]
    platform = store(lambda: [bar(h, opens=int((START_MS + h * HOUR_MS) * scale)) for h in (2, 3)])
    assert stored(platform)["ts"].tolist() == [START + 2 * DAY / 24, START + 3 * DAY / 24]


@pytest.mark.slow
@pytest.mark.parametrize("opens", [12, START_MS * 10**6, "2024-03-01 05:00", -START_MS, None])
def test_fault_34_a_time_that_cannot_be_is_quarantined_beside_its_neighbours(
    store, opens: object
) -> None:
    row = bar(5)
    row[0] = opens
    platform = store(lambda: [bar(4), row, bar(6)])
    assert stored(platform)["ts"].dt.hour.tolist() == [4, 6]
    assert len(platform.warehouse.read("ops.quarantine")) == 1
