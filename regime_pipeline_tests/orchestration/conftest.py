"""A platform on a fresh database, a Dagster instance on it, and small worlds of raw rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.orchestration import launch
from regime_pipeline.orchestration.instance import instance_for
from regime_pipeline.orchestration.io_manager import warehouse_io_manager
from regime_pipeline.orchestration.partitions import range_tags
from regime_pipeline.orchestration.quality import quality_blocks
from regime_pipeline.orchestration.resources import Platform, Scope, platform_resource
from regime_pipeline.orchestration.run_report import RunReport
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, hours_between, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.synthetic import long

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
NOW = utc("2024-03-10")


def settings_for(database: Database, home: Path, **more: Any) -> Settings:
    return Settings(
        database_url=database.url,
        home=home,
        symbols=SYMBOLS,
        start_date=more.pop("start_date", "2024-01-01"),
        **more,
    )


def a_night(
    database: Database, home: Path, night: Window, select: str
) -> tuple[RunReport, Platform]:
    """Launch a selection for one day, two hours after its end, over whatever is stored."""
    settings, clock = settings_for(database, home), FixedClock(night.end + DAY / 12)
    report = launch.run_selection(
        settings=settings,
        clock=clock,
        window=night,
        symbols=SYMBOLS,
        select=select,
        allow_empty=True,
    )
    return report, Platform(settings, clock, database)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path / "home")


@pytest.fixture
def platform(settings: Settings, database: Database) -> Iterator[Platform]:
    yield Platform(settings, FixedClock(NOW), database)


@pytest.fixture
def instance(settings: Settings, database: Database) -> Iterator[dg.DagsterInstance]:
    with instance_for(settings, database) as found:
        yield found


@pytest.fixture(scope="module")
def world(
    postgres: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Database]]:
    """An empty database for a module's launches, and the simulator that they ask."""
    tape = SyntheticTape(start=NOW - 50 * DAY, end=NOW, symbols=SYMBOLS)
    with SimulatorServer(tape, FixedClock(NOW)) as server, postgres.database() as database:
        settings = settings_for(
            database,
            tmp_path_factory.mktemp("home"),
            start_date="2024-01-25",
            clock=NOW.isoformat(),
            **server.settings_overrides(),
        )
        yield settings, database


def run_assets(
    platform: Platform,
    assets: list[Any],
    window: Window,
    *,
    scope: Scope | None = None,
    instance: dg.DagsterInstance | None = None,
    tags: dict[str, str] | None = None,
    raise_on_error: bool = True,
) -> dg.ExecuteInProcessResult:
    """Materialize assets over the days of a window as one run."""
    blocks = quality_blocks.to_source_asset()
    made = {k for a in assets if isinstance(a, dg.AssetsDefinition) for k in a.keys}
    return dg.materialize(
        [*assets, *([] if blocks.key in made else [blocks])],
        instance=instance or dg.DagsterInstance.ephemeral(),
        resources={
            "platform": platform_resource(platform),
            "scope": scope or Scope(),
            "warehouse_io": warehouse_io_manager,
        },
        tags={**range_tags(window), **(tags or {})},
        selection=[k for a in assets if a.is_executable for k in a.keys],
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=raise_on_error,
    )


@pytest.fixture
def run() -> Callable[..., dg.ExecuteInProcessResult]:
    return run_assets


def raw_candles(start: datetime, end: datetime, *, seed: int = 1) -> pd.DataFrame:
    """Random walks of every symbol on both markets, with a hole of three hours."""
    rng = np.random.default_rng(seed)
    stamps = hours_between(start, end)
    parts = []
    for market, source in (("spot", "binance"), ("perp", "binance_futures")):
        for symbol in SYMBOLS:
            close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(stamps))))
            opened = np.concatenate([[100.0], close[:-1]])
            part = pd.DataFrame(
                {
                    "source": source,
                    "venue": "binance",
                    "market": market,
                    "symbol": symbol,
                    "timeframe": "1h",
                    "ts": stamps,
                    "open": opened,
                    "high": np.maximum(opened, close) * 1.001,
                    "low": np.minimum(opened, close) * 0.999,
                    "close": close,
                    "volume_base": rng.uniform(1, 2, len(stamps)),
                }
            )
            parts.append(part.drop(index=range(20, 23)))
    return completed("raw.candles", pd.concat(parts, ignore_index=True))


def raw_funding(start: datetime, end: datetime) -> pd.DataFrame:
    stamps = hours_between(start, end)[::8]
    frame = long(
        SYMBOLS, stamps, source="binance_futures", venue="binance", market="perp",
        funding_rate=np.linspace(1e-4, 2e-4, len(stamps)), interval_hours=8,
    )  # fmt: skip
    return completed("raw.funding_rates", frame)


def completed(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the columns that every raw row carries."""
    out = frame.assign(source_tier=1, available_at=frame["ts"] + HOUR, pit_grade="assumed")
    for column in table(name).content:
        if column not in out:
            out[column] = None
    return out
