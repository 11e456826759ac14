"""SIGINT and SIGTERM end a command within seconds, whatever handles them, and its run is cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from regime_pipeline.cli.interrupts import SENTENCE
from regime_pipeline.orchestration.instance import instance_for
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database, open_database

PROGRAM = """
import signal, sys, time
from regime_pipeline.cli.interrupts import prompt_end

said = []
with prompt_end(lambda at_once: (said.append(at_once), print("cancel", at_once, flush=True))):
    {body}
"""
WAITS = {
    "in order": "print('up', flush=True); time.sleep(60)",
    "handled by others": "signal.signal(signal.SIGINT, lambda *_: None);"
    "signal.signal(signal.SIGTERM, lambda *_: None);"
    "print('up', flush=True); [time.sleep(1) for _ in range(60)]",
}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("body", WAITS.values(), ids=WAITS)
def test_a_signal_ends_the_process_even_where_its_handler_was_replaced(
    body: str, number: signal.Signals
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a background job
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    child.send_signal(number)
    out, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert SENTENCE in said
    assert "cancel" in out or "handlers" not in body


def test_without_a_signal_everything_is_as_before() -> None:
    program = PROGRAM.format(body="pass") + (
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs the tests
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def is_started(database: Database, job: str) -> bool:
    """Whether a run of the job goes on in the database that the command made for itself."""
    asked = "select count(*) from dagster.runs where status = 'STARTED' and pipeline_name = %s"
    address = make_conninfo(database.libpq, dbname=f"{database.name}_simulated")
    try:
        with psycopg.connect(address) as connection:
            row = connection.execute(asked, (job,)).fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return False  # not made yet
    return row is not None and row[0] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("job", "number"), [("raw_fetch", signal.SIGINT), ("derived_chain", signal.SIGTERM)]
)
def test_an_interrupted_run_ends_soon_and_is_canceled(
    database: Database, tmp_path: Path, job: str, number: signal.Signals
) -> None:
    values = {
        "REGIME_DATABASE_URL": database.url,
        "REGIME_HOME": str(tmp_path),
        "REGIME_SYMBOLS": "BTC/USDT",
        "REGIME_START_DATE": "2024-01-01",
        "REGIME_CLOCK": "2024-01-20",
    }
    days = ["--from", "2024-01-16", "--to", "2024-01-19", "--source", "simulated"]
    run = subprocess.Popen(
        [sys.executable, "-m", "regime_pipeline.cli", "run", "--no-report", *days],
        env={**os.environ, **values},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert run.stderr is not None
        while not is_started(database, job):
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.2)
        began = time.monotonic()
        run.send_signal(number)
        said = run.stderr.read()
        assert run.wait(60) == 130, said
        assert time.monotonic() - began < 15  # 5 s on a machine that does nothing else
        assert SENTENCE in said
        settings = Settings(
            database_url=database.url, home=tmp_path, origin="simulated", clock="2024-01-20"
        )
        made = open_database(settings)
        with instance_for(settings, made) as instance:
            newest = instance.get_runs(limit=1)[0]
            assert newest.status is dg.DagsterRunStatus.CANCELED
        made.close()
    finally:
        run.kill()
        with psycopg.connect(database.libpq, autocommit=True) as connection:
            name = sql.Identifier(f"{database.name}_simulated")
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(name))
