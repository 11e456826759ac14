"""Killed writers, killed servers, writers against each other: the table ends the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from regime_pipeline.settings import Settings
from regime_pipeline.storage.crash import WRITING
from regime_pipeline.storage.database import Database, open_database
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import DatabaseUnreachableError, StorageError
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.storage.frames import BOTH, DAY_1, DAY_2, raw_candles

CANDLES = "raw.candles"
REPO = Path(__file__).resolve().parents[2]

VICTIM = """
import sys
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, utc
from regime_pipeline_tests.storage.frames import BOTH, DAY_1, raw_candles
warehouse = Warehouse(Database(sys.argv[1]), FixedClock(utc("2024-06-01")))
warehouse.merge("raw.candles", raw_candles(BOTH, price=120.0), mode="replace", window=BOTH)
"""


@contextlib.contextmanager
def _own_warehouse(database: Database) -> Iterator[Warehouse]:
    """A second writer's view of the same database."""
    own = Database(database.url)
    try:
        yield Warehouse(own, FixedClock(utc("2024-06-01")))
    finally:
        own.close()


def _at_once(work: Callable[[Any], None], arguments: Iterable[Any]) -> None:
    """Run the work in one thread per argument; the first failure is raised here."""
    arguments = list(arguments)
    with ThreadPoolExecutor(len(arguments)) as pool:
        for future in [pool.submit(work, a) for a in arguments]:
            future.result(timeout=120)


def _after_a_clean_run(postgres: TestServer, *, before: bool) -> str:
    with postgres.database() as other:
        clean = Warehouse(other, FixedClock(utc("2024-06-01")))
        if before:
            clean.merge(CANDLES, raw_candles(DAY_1))
        clean.merge(CANDLES, raw_candles(BOTH, price=120.0), mode="replace", window=BOTH)
        return clean.content_hash(CANDLES)


@pytest.mark.slow
def test_fault_47_writer_killed_at_any_point_leaves_all_or_nothing_and_a_rerun_completes_it(
    postgres: TestServer,
) -> None:
    wanted = _after_a_clean_run(postgres, before=True)
    databases = {label: postgres.database() for label in WRITING}
    opened = {label: context.__enter__() for label, context in databases.items()}
    try:
        started = {}
        old = {}
        for label, database in opened.items():
            warehouse = Warehouse(database, FixedClock(utc("2024-05-01")))
            warehouse.merge(CANDLES, raw_candles(DAY_1))
            old[label] = warehouse.content_hash(CANDLES)
            started[label] = subprocess.Popen(
                [sys.executable, "-c", VICTIM, database.libpq],
                env={**os.environ, "REGIME_CRASH_AT": label},
                cwd=REPO,
                stderr=subprocess.PIPE,
                text=True,
            )
        for label, process in started.items():
            _, err = process.communicate(timeout=120)
            assert process.returncode == 9, f"{label}: {err}"
            warehouse = Warehouse(opened[label], FixedClock(utc("2024-06-02")))
            found = warehouse.content_hash(CANDLES)
            assert found == (wanted if label == "committed" else old[label]), label
            rerun = warehouse.merge(
                CANDLES, raw_candles(BOTH, price=120.0), mode="replace", window=BOTH
            )
            assert rerun.changed == (0 if label == "committed" else 96), label
            assert warehouse.content_hash(CANDLES) == wanted, label
            with opened[label].connect() as connection:
                kept = connection.execute("select count(*) from raw.candles_revisions").fetchone()
            assert kept == (48,), f"{label}: each replaced version is kept once"
    finally:
        for context in databases.values():
            context.__exit__(None, None, None)


@pytest.mark.slow
def test_fault_47_killed_first_write_into_an_empty_table_is_completed_by_a_rerun(
    postgres: TestServer, database: Database
) -> None:
    wanted = _after_a_clean_run(postgres, before=False)
    done = subprocess.run(
        [sys.executable, "-c", VICTIM, database.libpq],
        env={**os.environ, "REGIME_CRASH_AT": "mid_copy"},
        cwd=REPO,
        check=False,
    )
    assert done.returncode == 9
    warehouse = Warehouse(database)
    assert warehouse.counts()[CANDLES] == 0
    warehouse.merge(CANDLES, raw_candles(BOTH, price=120.0), mode="replace", window=BOTH)
    assert warehouse.content_hash(CANDLES) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("opposite", [False, True], ids=["same order", "opposite order"])
def test_fault_53_writers_of_the_same_days_at_once_end_like_one_after_the_other(
    database: Database, opposite: bool
) -> None:
    days = [DAY_1, DAY_2, Window(DAY_2.end, DAY_2.end + timedelta(days=1))]
    span = Window(days[0].start, days[-1].end)
    barrier = threading.Barrier(2)
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"

    def work(order: list[Window]) -> None:
        with _own_warehouse(database) as warehouse:
            for _ in range(3):
                barrier.wait(timeout=60)
                # also all days at once, so that the transactions overlap in many rows
                for window in order:
                    warehouse.merge(CANDLES, raw_candles(window))
                whole = pd.concat([raw_candles(w) for w in order])
                warehouse.merge(CANDLES, whole, mode="replace", window=span)

    with psycopg.connect(database.libpq) as connection:
        before = connection.execute(deadlocks).fetchone()
    _at_once(work, [days, days[::-1] if opposite else days])
    warehouse = Warehouse(database)
    stored = warehouse.read(CANDLES, None)
    assert len(stored) == 144
    assert (stored["revision"] == 0).all(), "both wrote the same values"
    wanted = pd.concat([raw_candles(w) for w in days]).sort_values(["symbol", "ts"])
    assert stored["close"].tolist() == wanted["close"].tolist()
    with psycopg.connect(database.libpq) as connection:
        assert connection.execute(deadlocks).fetchone() == before


@pytest.mark.slow
def test_fault_53_no_update_is_lost_when_two_writers_change_the_same_rows(
    database: Database,
) -> None:
    rounds = 5
    Warehouse(database).merge(CANDLES, raw_candles(price=1.0))

    def work(price: float) -> None:
        with _own_warehouse(database) as warehouse:
            for i in range(rounds):
                warehouse.merge(CANDLES, raw_candles(price=price + i))

    _at_once(work, [100.0, 110.0])
    with database.connect() as connection:
        now = connection.execute("select min(revision), max(revision) from raw.candles").fetchone()
        kept = connection.execute("select count(*) from raw.candles_revisions").fetchone()
    # every write differs from the one before it, whoever made that, so each made one version
    assert now == (rounds * 2, rounds * 2)
    assert kept == (48 * rounds * 2,)


@pytest.mark.slow
def test_fault_54_backfill_against_live_ingest_at_the_edge_keeps_the_better_source(
    database: Database,
) -> None:
    live = raw_candles(DAY_2, tier=1, price=200.0)
    proxy = raw_candles(BOTH, tier=3, price=100.0)

    def work(part: str) -> None:
        with _own_warehouse(database) as warehouse:
            if part == "backfill":
                for _ in range(4):
                    warehouse.merge(CANDLES, proxy)
            else:
                for hour in live["ts"].unique()[:12]:
                    warehouse.merge(CANDLES, live[live["ts"] == hour])

    _at_once(work, ["backfill", "live"])
    stored = Warehouse(database).read(CANDLES, DAY_2)
    edge = stored["ts"] < DAY_2.start + timedelta(hours=12)
    assert set(stored.loc[edge, "source_tier"]) == {1}
    assert set(stored.loc[~edge, "source_tier"]) == {3}
    wanted = live[live["ts"] < DAY_2.start + timedelta(hours=12)]
    assert stored.loc[edge, "close"].tolist() == wanted["close"].tolist()


def test_partition_made_by_two_writers_at_once_is_made_once(database: Database) -> None:
    barrier = threading.Barrier(4)

    def work(i: int) -> None:
        with _own_warehouse(database) as warehouse:
            barrier.wait(timeout=60)
            warehouse.merge(CANDLES, raw_candles(symbols=(f"S{i}/USDT",)))

    _at_once(work, range(4))
    assert Warehouse(database).counts()[CANDLES] == 96


def test_readers_go_on_while_a_month_is_added(warehouse: Warehouse, database: Database) -> None:
    warehouse.merge(CANDLES, raw_candles(DAY_1))
    with database.connect() as reader:
        reader.execute("select count(*) from raw.candles")  # holds its lock to the end of the block
        later = Window(utc("2024-04-01"), utc("2024-04-02"))
        with _own_warehouse(database) as other:
            assert other.merge(CANDLES, raw_candles(later)).inserted == 48


# ---------------------------------------------------------------- the server is killed


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[tuple[EmbeddedServer, Database]]:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    server = EmbeddedServer(settings.home)
    # a quick first start; a process that is killed needs no fsync, a machine would
    EmbeddedServer(settings.home, settings={"fsync": "off"}).start()
    database = open_database(settings)
    yield server, database
    database.close()
    server.destroy()


def _kill(server: EmbeddedServer) -> None:
    pid = int((server.data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_fault_48_writes_go_on_over_killed_servers_and_lose_nothing(
    own_server: tuple[EmbeddedServer, Database],
) -> None:
    server, database = own_server
    warehouse = Warehouse(database, FixedClock(utc("2024-06-01")))
    acknowledged: list[Window] = []
    written, stop = threading.Event(), threading.Event()
    moments = random.Random(11)
    kills = 0

    def assassin() -> None:
        nonlocal kills
        while not stop.is_set():
            if written.wait(0.05):
                written.clear()
                time.sleep(moments.uniform(0.0, 0.06))  # somewhere inside the next write or read
                with contextlib.suppress(OSError, ValueError, IndexError):
                    _kill(server)
                    kills += 1

    thread = threading.Thread(target=assassin)
    thread.start()
    try:
        day = DAY_1
        while kills < 3:
            result = warehouse.merge(CANDLES, raw_candles(day), mode="replace", window=day)
            assert result.deleted == 0
            acknowledged.append(day)
            written.set()
            day = Window(day.end, day.end + timedelta(days=1))
            assert len(warehouse.read(CANDLES, acknowledged[0])) == 48
    finally:
        stop.set()
        thread.join()
    assert warehouse.counts()[CANDLES] == 48 * len(acknowledged)
    stored = warehouse.read(CANDLES)
    assert (stored["revision"] == 0).all()


@pytest.mark.slow
def test_outbox_goes_with_its_event_when_the_server_dies_before_the_commit(
    own_server: tuple[EmbeddedServer, Database],
) -> None:
    server, database = own_server
    warehouse = Warehouse(database, FixedClock(utc("2024-06-01")))
    with psycopg.connect(server.url(database.name)) as administrator:
        administrator.execute("create table ops.companions (symbol text, ts timestamptz)")
        administrator.execute("grant select, insert on ops.companions to public")
    calls = 0

    def also(connection: psycopg.Connection, new: pd.DataFrame) -> None:
        nonlocal calls
        calls += 1
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into ops.companions values (%s, %s)",
                list(new[["symbol", "ts"]].itertuples(index=False, name=None)),
            )
        if calls == 1:
            _kill(server)
            time.sleep(0.2)

    assert warehouse.merge(CANDLES, raw_candles(), mode="insert", also=also).inserted == 48
    assert calls == 2
    with database.connect() as connection:
        assert connection.execute("select count(*) from ops.companions").fetchone() == (48,)


def test_server_that_stays_away_is_a_typed_failure(tmp_path: Path) -> None:
    import stamina

    lost = Warehouse(Database("postgresql://u:canary@127.0.0.1:1/x"))
    with stamina.set_testing(True, attempts=2), pytest.raises(StorageError) as told:
        lost.read(CANDLES, DAY_1)
    assert "canary" not in str(told.value)
    with stamina.set_testing(True, attempts=2), pytest.raises(DatabaseUnreachableError):
        lost.counts()
