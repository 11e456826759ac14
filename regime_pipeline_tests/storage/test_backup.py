"""A dump that is restored into a server that has never seen the pipeline is the same database."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from regime_pipeline.catalogue import TABLES
from regime_pipeline.storage import migrate
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.query import rows
from regime_pipeline.storage.roles import ensure_roles
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import HOUR, FixedClock
from regime_pipeline_tests._server import FAST, TestServer
from regime_pipeline_tests.storage.frames import BOTH, DAY_2, raw_candles


def contents(database: Database) -> dict[str, tuple[int, int, str]]:
    """Rows, replaced versions and hash of every table."""
    warehouse = Warehouse(database)
    out = {}
    for name, item in TABLES.items():
        (n,) = rows(database, f"select count(*) as n from {name}")
        (old,) = (
            rows(database, f"select count(*) as n from {name}_revisions")
            if item.partitioned
            else [{"n": 0}]
        )
        out[name] = (n["n"], old["n"], warehouse.content_hash(name))
    return out


@pytest.mark.slow
def test_fault_61_a_dump_in_an_empty_server_has_the_same_rows_versions_and_answers(
    postgres: TestServer, database: Database, tmp_path: Path
) -> None:
    first, later = FixedClock(DAY_2.end), FixedClock(DAY_2.end + HOUR)
    Warehouse(database, first).merge("raw.candles", raw_candles(BOTH))
    Warehouse(database, later).merge("raw.candles", raw_candles(DAY_2, price=101.0))
    before = contents(database)
    assert before["raw.candles"][:2] == (96, 48)

    dump = tmp_path / "regime.dump"
    binaries = postgres.server.binaries
    _run(binaries / "pg_dump", "-Fc", "-f", dump, database.libpq)
    empty = EmbeddedServer(tmp_path / "other", settings=FAST)
    with psycopg.connect(empty.start(), autocommit=True) as admin:
        admin.execute("create database regime")
    restored = Database(empty.url("regime"))
    try:
        _run(
            *(binaries / "pg_restore", "--exit-on-error", "--no-owner", "--no-privileges"),
            *("-d", restored.libpq, dump),
        )
        assert contents(restored) == before
        migrate.upgrade(restored.engine)  # as the first start does: nothing is to be done
        with restored.connect() as connection:
            roles = ensure_roles(connection, restored.url, tmp_path)
        reader = Database(roles.urls["bi"])
        asked = "select count(*) as n from reporting.restatements where table_name = 'raw.candles'"
        assert rows(reader, asked) == [{"n": 48}]
        reader.close()
        again = Warehouse(restored, later).merge("raw.candles", raw_candles(DAY_2, price=101.0))
        assert (again.inserted, again.updated, again.unchanged) == (0, 0, 48)
    finally:
        restored.close()
        empty.destroy()


def _run(*command: object) -> None:
    done = subprocess.run(
        [os.fspath(c) if isinstance(c, Path) else str(c) for c in command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
