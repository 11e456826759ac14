"""Which process executes a run, and the runs whose process is gone.

Belongs here: the tag that names a process over reboots, and settling what a killed one left behind. Does
not belong here: starting runs (``launch``).
"""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

PROCESS_TAG = "regime/process"
"""Run tag: the process that executes the run, so that a killed one is told from a live one."""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "unknown"


def process_id(pid: int) -> str:
    """A process of this machine since it was started: another boot, another name."""
    return f"{_boot_id()}:{pid}"


def settle_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process, started by a launch, is gone (killed, rebooted).

    Returns:
        Their run ids.
    """
    states = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
    out = []
    for run in instance.get_runs(dg.RunsFilter(statuses=states)):
        process = run.tags.get(PROCESS_TAG)
        if process is None or _alive(process):
            continue
        instance.report_run_failed(run, message="its process is gone; run the same command again")
        out.append(run.run_id)
    return out


def _alive(process: str) -> bool:
    boot, _, pid = process.partition(":")
    if boot != _boot_id():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
