"""A database with a made-up market, and dbt built on it, shared by the tests that only read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import regime_pipeline
from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.marts import BUILT
from regime_pipeline.orchestration import dbt_profile
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.reporting import world

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
WINDOW = Window(utc("2024-06-01"), utc("2024-07-16"))
PROJECT = Path(regime_pipeline.__file__).parents[1] / "dbt_project"
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
def _shared(postgres: TestServer) -> Iterator[Database]:
    with postgres.database() as fresh:
        yield fresh


@pytest.fixture
def database(_shared: Database) -> Database:
    """An empty database, the same one for every test: what dbt parsed names its database."""
    with _shared.connect() as connection:
        stored = ", ".join(n for n in TABLES if n != "ops.database_identity")
        revisions = ", ".join(f"{n}_revisions" for n, t in TABLES.items() if t.partitioned)
        connection.execute(f"truncate {stored}, {revisions}")
        for mart in BUILT:
            connection.execute(f"drop table if exists {mart.full_name}")
    return _shared


class DbtFailed(AssertionError):
    """dbt could not build a model, or a test of it failed."""


class Builder:
    """dbt in this process: parsed once, then about a second a build."""

    def __init__(self, artefacts: Path) -> None:
        self.artefacts = artefacts
        self.manifest = None

    def __call__(
        self,
        database: Database,
        window: Window | None = None,
        *,
        full_refresh: bool = False,
        select: tuple[str, ...] = (),
        extra: dict[str, str] | None = None,
    ) -> None:
        full = ["--full-refresh"] if full_refresh else []
        chosen = ["--select", *select] if select else []
        arguments = ["build", "--exclude-resource-type", "unit_test", *full, *chosen]
        self._invoke(arguments, dbt_profile.environment(database, window) | (extra or {}))

    def unit_tests(self, database: Database) -> list[str]:
        """The models' own tests, on rows planted by them; the names of those that hold."""
        arguments = ["test", "--select", "test_type:unit"]
        return [r.node.name for r in self._invoke(arguments, dbt_profile.environment(database))]

    def _invoke(self, arguments: list[str], variables: dict[str, str]) -> list[Any]:
        from dbt.cli.main import dbtRunner

        project = str(PROJECT)
        where = ["--project-dir", project, "--profiles-dir", project]
        where += ["--target-path", str(self.artefacts / "target")]
        where += ["--log-path", str(self.artefacts / "logs"), "--quiet"]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            if self.manifest is None:
                self.manifest = dbtRunner().invoke(["parse", *where]).result
            done = dbtRunner(manifest=self.manifest.deepcopy()).invoke([*arguments, *where])
        if not done.success:
            failed = [r.message for r in done.result or () if r.status not in ("pass", "success")]
            raise DbtFailed(str(done.exception or failed))
        return list(done.result)


@pytest.fixture(scope="package")
def build(artefacts: Path) -> Builder:
    """Build the reports of a database, in this process."""
    return Builder(artefacts)


def made_market(fresh: Database) -> None:
    """45 days of three symbols in every derived table, reports built."""
    frames = world.make(WINDOW.start, WINDOW.end, SYMBOLS)
    frames |= world.raw(WINDOW.start, WINDOW.end, SYMBOLS)
    frames["ops.fetch_log"] = world.fetch_log(WINDOW, CLOCK.now(), SYMBOLS)
    frames["ops.run_steps"] = world.run_steps(CLOCK.now())
    write(fresh, frames)
    with tempfile.TemporaryDirectory() as folder:
        Builder(Path(folder))(fresh)


@pytest.fixture(scope="package")
def market(postgres: TestServer) -> Iterator[Database]:
    """The made-up market. Only for reading."""
    with postgres.copy_of("market", made_market) as copy:
        yield copy


@pytest.fixture(scope="package")
def market_build(artefacts: Path) -> Builder:
    """Builds the reports of ``market``: what is parsed names its database."""
    return Builder(artefacts / "market")


@pytest.fixture
def settings() -> Settings:
    """Three symbols, everything else as it comes."""
    return Settings(_env_file=None, symbols=SYMBOLS)
