"""A database with a made-up market, and dbt built on it, shared by the tests that only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regime_pipeline.reporting import dbt
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.reporting import world

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
WINDOW = Window(utc("2024-06-01"), utc("2024-07-16"))
CLOCK = FixedClock(utc("2024-07-16T00:05"))


def write(database: Database, frames: dict, now: FixedClock = CLOCK) -> None:
    warehouse = Warehouse(database, now)

    def one(name: str, frame) -> None:
        if name.startswith("ops."):
            warehouse.record(name, frame)
        else:
            warehouse.merge(name, frame)

    world.store(frames, one)


@pytest.fixture(scope="package")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt writes; shared, so that the project is parsed once."""
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture(scope="package")
def market(postgres: TestServer, artefacts: Path) -> Iterator[Database]:
    """45 days of three symbols in every derived table, reports built. Only for reading."""
    with postgres.database() as fresh:
        frames = world.make(WINDOW.start, WINDOW.end, SYMBOLS)
        frames["ops.fetch_log"] = world.fetch_log(WINDOW, CLOCK.now(), SYMBOLS)
        write(fresh, frames)
        dbt.build(fresh, target=artefacts)
        yield fresh


@pytest.fixture
def settings() -> Settings:
    """Three symbols, everything else as it comes."""
    return Settings(_env_file=None, symbols=SYMBOLS)
