"""The daemon is killed between any two steps of a sensor: what it asked for is asked for once."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import (
    InProcessTestWorkspaceLoadTarget,
    create_test_daemon_workspace_context,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.controller import daemon_controller_from_instance
from dagster._daemon.sensor import execute_sensor_iteration
from pydantic import SecretStr

from regime_pipeline.alerts import heartbeat
from regime_pipeline.orchestration.instance import instance_for
from regime_pipeline.orchestration.sensors import REQUESTS_PER_TICK, gaps
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import FixedClock, SystemClock

GAPS_ALONE = "regime_pipeline_tests.orchestration._gaps_alone"
STEPS = ("TICK_CREATED", "RUN_CREATED", "RUN_LAUNCHED")
"""Where Dagster's own tests kill the daemon."""


def look(url: str, crash_at: str | None) -> None:
    """One round of the sensor, as the daemon makes it; the process may end in the middle."""
    place = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=GAPS_ALONE))
    flags = {gaps.name: {crash_at: signal.SIGKILL}} if crash_at else None
    with (
        instance_for(Settings(), Database(url)) as instance,
        create_test_daemon_workspace_context(
            InProcessTestWorkspaceLoadTarget(place), instance
        ) as workspace,
    ):
        logger = logging.getLogger("daemon")
        list(execute_sensor_iteration(workspace, logger, None, None, debug_crash_flags=flags))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", STEPS)
def test_fault_78_a_killed_daemon_asks_for_each_gap_once(
    step: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGIME_DATABASE_URL", database.url)
    monkeypatch.setenv("REGIME_HOME", str(tmp_path))
    ends = []
    for crash_at in (step, None):
        process = get_context("spawn").Process(target=look, args=(database.url, crash_at))
        process.start()
        process.join()
        ends.append(process.exitcode)
    assert ends == [-signal.SIGKILL, 0]
    with instance_for(Settings(), database) as instance:
        keys = Counter(run.tags["dagster/run_key"] for run in instance.get_runs())
    assert 1 <= len(keys) <= REQUESTS_PER_TICK
    assert set(keys.values()) == {1}


def serve(url: str) -> None:
    """A daemon without anything to do, until the process ends."""
    with (
        instance_for(Settings(), Database(url)) as instance,
        daemon_controller_from_instance(
            instance, workspace_load_target=EmptyWorkspaceTarget(), heartbeat_interval_seconds=1
        ) as controller,
    ):
        controller.check_daemon_loop()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_daemon_that_is_stopped_or_killed_is_named_within_two_heartbeats(
    how: signal.Signals, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGIME_DATABASE_URL", database.url)
    monkeypatch.setenv("REGIME_HOME", str(tmp_path))
    settings = Settings(_env_file=None, home=tmp_path, database_url=SecretStr(database.url))
    process = get_context("spawn").Process(target=serve, args=(database.url,))
    process.start()
    try:
        until = time.monotonic() + 300
        while not (found := heartbeat.look(settings, SystemClock())).is_well:
            assert time.monotonic() < until, found.line
            assert process.is_alive()
            time.sleep(0.2)
        assert process.pid is not None
        os.kill(process.pid, how)
        two_ticks = FixedClock(SystemClock().now() + timedelta(minutes=2))
        faults = heartbeat.look(settings, two_ticks).faults
    finally:
        process.kill()
        process.join()
    assert [fault.split(" silent")[0] for fault in faults] == [
        "daemon: sensors",
        "daemon: schedules",
    ]
