"""Fixtures that every part shares: real history by path, a real PostgreSQL, a fresh database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, utc
from regime_pipeline_tests._kernels import compile_once_a_session
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.recordings import MARKET_HISTORY, PAYLOADS, absent


def pytest_configure() -> None:
    """Workers share what they compile; a process beside them would compile all of it once more."""
    os.environ["REGIME_COMPILE_AHEAD"] = "false"
    compile_once_a_session()


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(absent(path))
    return path


@pytest.fixture(scope="session")
def market_history() -> Path:
    """Folder of recorded market history in the tape format."""
    return _folder(MARKET_HISTORY)


@pytest.fixture(scope="session")
def payloads_dir() -> Path:
    """Folder of recorded provider payloads."""
    return _folder(PAYLOADS)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the developer's shell or .env never reach a test."""
    for name in list(os.environ):
        if name.startswith(("REGIME_", "WEBHOOKS_", "DAGSTER_")) and name not in (
            "REGIME_MARKET_HISTORY",
            "REGIME_PAYLOADS",
            "REGIME_TEST_SERVER_HOME",
            "REGIME_COMPILE_AHEAD",
        ):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """The PostgreSQL that all workers of this session share.

    REGIME_TEST_SERVER_HOME names a folder whose server is kept between sessions.
    """
    kept = os.environ.get("REGIME_TEST_SERVER_HOME")
    base = tmp_path_factory.getbasetemp()
    home = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    server = TestServer(Path(kept) if kept else home / "postgres-home", keep=bool(kept))
    server.join()
    yield server
    server.leave()


@pytest.fixture
def database(postgres: TestServer) -> Iterator[Database]:
    """A fresh, migrated database of origin live."""
    with postgres.database() as fresh:
        yield fresh


@pytest.fixture
def warehouse(database: Database) -> Warehouse:
    """The tables of the fresh database; its clock stands at 2024-06-01 00:00 UTC."""
    return Warehouse(database, FixedClock(utc("2024-06-01")))
