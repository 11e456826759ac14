"""Which process executes a run, and the runs that were given up.

Belongs here: the tag that names a process over reboots, settling what a killed one left behind, keeping
out what wakes up too late. Does not belong here: starting runs (``launch``).
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import dagster as dg
import psycopg
from psycopg import sql

from regime_pipeline.storage.errors import RunEndedError
from regime_pipeline.storage.roles import RUNS_SCHEMA

PROCESS_TAG = "regime/process"
"""Run tag: the process that executes the run, so that a killed one is told from a live one."""
_MACHINE_ID = Path("/etc/machine-id")


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "unknown"


def _machine_id() -> str:
    """A short digest that stays over boots and differs between machines, containers among them."""
    try:
        named = _MACHINE_ID.read_text().strip()
    except OSError:
        named = ""
    return hashlib.sha256(f"{named}|{socket.gethostname()}".encode()).hexdigest()[:8]


def process_id(pid: int) -> str:
    """A process of this machine since it was started: another machine or boot, another name."""
    return f"{_machine_id()}/{_boot_id()}:{pid}"


def settle_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process, started by a launch, is gone (killed, rebooted).

    A run of another machine that shares the database is left alone: it is settled there, or by Dagster's
    own limit of time.

    Returns:
        Their run ids.
    """
    states = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
    out = []
    for run in instance.get_runs(dg.RunsFilter(statuses=states)):
        process = run.tags.get(PROCESS_TAG)
        if process is None or _alive(process) is not False:
            continue
        instance.report_run_failed(run, message="its process is gone; run the same command again")
        out.append(run.run_id)
    return out


_GIVEN_UP = (dg.DagsterRunStatus.FAILURE.value, dg.DagsterRunStatus.CANCELED.value)


def keep_out_ended_runs(connection: psycopg.Connection, run_id: str) -> None:
    """End the transaction of a run that was marked as failed or canceled while its process lived on.

    What it read may be old by now, and another run may have written the same days. The run's row is
    locked until the end of the transaction, so that it cannot be given up in between.

    Args:
        connection: in a transaction, on a database that may lack Dagster's tables.
        run_id: of a run, or of something that writes without one.

    Raises:
        RunEndedError: the run was given up.
    """
    known = connection.execute("SELECT to_regclass(%s)", (f"{RUNS_SCHEMA}.runs",)).fetchone()
    if known == (None,):
        return
    query = sql.SQL("SELECT status FROM {} WHERE run_id = %s FOR SHARE")
    runs = sql.Identifier(RUNS_SCHEMA, "runs")
    found = connection.execute(query.format(runs), (run_id,)).fetchone()
    if found is not None and found[0] in _GIVEN_UP:
        raise RunEndedError(
            f"run {run_id} has ended as {found[0].lower()} before this write; nothing was stored"
        )


def _alive(process: str) -> bool | None:
    """Whether a process lives; None: it is another machine's, so that nobody here knows."""
    machine, slash, local = process.rpartition("/")
    if slash and machine != _machine_id():
        return None
    boot, _, pid = local.partition(":")
    if boot != _boot_id():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
