"""Runs on workers: Redis, two workers and the daemon, each killed in turn, and what is missing is named.

Needs the extra ``scale`` and a ``redis-server``; skipped where they are absent.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from pydantic import SecretStr

from regime_pipeline.alerts import heartbeat
from regime_pipeline.cli.scale import worker_command
from regime_pipeline.orchestration import launch, shards
from regime_pipeline.orchestration.instance import (
    ROOT,
    dagster_environment,
    environment,
    instance_for,
)
from regime_pipeline.orchestration.scale_check import LAUNCHER, findings
from regime_pipeline.orchestration.worker_beats import note_beat
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.storage.workers import beats
from regime_pipeline.windows import DAY, FixedClock, SystemClock
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.orchestration.conftest import SYMBOLS
from regime_pipeline_tests.orchestration.test_shards import WINDOW, derived, filled, hashes

CELERY = ROOT / "deploy" / "celery"
SETTLED_S = 120


def test_the_profile_is_the_file_of_the_checkout_but_for_its_workers() -> None:
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    profile = yaml.safe_load((CELERY / "dagster.yaml").read_text())
    launcher = profile.pop("run_launcher")
    assert launcher["module"] == LAUNCHER
    assert launcher["config"]["config_source"]["task_acks_late"] is False
    assert launcher["config"]["config_source"]["task_reject_on_worker_lost"] is False
    watched = {"start_timeout_seconds": 75, "poll_interval_seconds": 15}
    assert profile == {**ours, "run_monitoring": {**ours["run_monitoring"], **watched}}


def test_what_is_missing_is_named_condition_by_condition(tmp_path: Path) -> None:
    alone = {f.what: f for f in findings(Settings(home=tmp_path), None)}
    assert not any(alone[what].is_met for what in ("database", "landing store", "broker"))
    assert "REGIME_DAGSTER_HOME" in alone["run launcher"].text
    with socket.create_server(("127.0.0.1", 0)) as heard:
        port = heard.getsockname()[1]
        told = {
            f.what: f
            for f in findings(
                Settings(
                    home=tmp_path,
                    dagster_home=CELERY,
                    landing_url="s3://bucket/landing",
                    database_url=SecretStr("postgresql://me:pw@db.example.com/regime"),
                    broker_url=SecretStr(f"redis://127.0.0.1:{port}/0"),
                ),
                None,
            )
        }
    assert told["run launcher"].is_met
    assert told["landing store"].is_met
    assert told["database"].is_met
    assert not told["broker"].is_met
    assert "password" in told["broker"].text
    assert "pw" not in "".join(f.text for f in told.values())


@pytest.mark.slow
def test_a_worker_that_is_silent_is_told_from_one_that_beats(
    settings: Settings, database: Database
) -> None:
    with instance_for(settings, database) as instance:
        now = SystemClock().now()
        gone = now - timedelta(minutes=5)
        for name, at in (("one", now), ("two", gone), ("three", now - 2 * DAY), ("four", None)):
            note_beat(instance, name, at)
    with database.connect() as connection:
        assert set(beats(connection)) == {"one", "two", "three"}
    found = {f.what: f for f in findings(settings, database)}
    assert found["workers"].is_met
    assert found["workers"].text == "one; silent: two"
    assert found["clock"].is_met
    told = heartbeat.look(settings, SystemClock(), needs_daemon=False).faults
    assert [f for f in told if f.startswith("worker")] == ["worker two: silent for 5 min"]


# ---------------------------------------------------------------- the whole of it


@contextmanager
def program(command: list[str], variables: dict[str, str], log: Path) -> Iterator[subprocess.Popen]:
    """A program in a group of its own that is ended with the block."""
    with log.open("a") as out:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class Cluster:
    """Redis, workers and a daemon on one database, each of which can be killed and begun again."""

    def __init__(self, settings: Settings, database: Database, folder: Path) -> None:
        self.settings, self.database, self.folder = settings, database, folder
        self.port = free_port()
        self.variables = {
            **dagster_environment(settings, database),
            "REGIME_DATABASE_URL": database.url,
            "REGIME_HOME": str(settings.home.resolve()),
            "REGIME_SYMBOLS": ",".join(SYMBOLS),
            "REGIME_CLOCK": settings.clock,
            "REGIME_START_DATE": str(settings.start_date),
            "REGIME_BROKER_URL": f"redis://:secret@127.0.0.1:{self.port}/0",
            "REGIME_DAGSTER_HOME": str(CELERY),
        }
        self.there: dict[str, subprocess.Popen] = {}
        self._stacks: dict[str, ExitStack] = {}

    def begin(self, name: str) -> None:
        if name == "redis":
            command = [str(shutil.which("redis-server")), "--port", str(self.port)]
            command += ["--bind", "127.0.0.1", "--requirepass", "secret", "--save", ""]
        elif name == "daemon":
            command = [sys.executable, "-m", "dagster._daemon", "run"]
            command += ["-w", str(ROOT / "workspace.yaml")]
        else:
            command = worker_command(LAUNCHER, name, 1)
        stack = self._stacks[name] = ExitStack()
        log = self.folder / f"{name}.log"
        self.there[name] = stack.enter_context(program(command, self.variables, log))

    def kill(self, name: str) -> None:
        """As when the machine goes away: the program and all that it started, at once."""
        os.killpg(self.there[name].pid, signal.SIGKILL)
        self._stacks.pop(name).close()

    def __enter__(self) -> Cluster:
        for name in ("redis", "one", "two", "daemon"):
            self.begin(name)
        return self

    def __exit__(self, *_: object) -> None:
        for stack in reversed(self._stacks.values()):
            stack.close()

    def logs(self) -> str:
        return "\n".join(f"== {p.name}\n{p.read_text()[-3000:]}" for p in self.folder.glob("*.log"))


@contextmanager
def at_the_first_shard(
    instance: dg.DagsterInstance, act: Callable[[dg.DagsterRun], None]
) -> Iterator[list[float]]:
    """Something is done once when a run of a shard has a worker; when that was."""
    at: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not at and not over.wait(0.2):
            for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
                if shards.SHARD_TAG in run.tags and "regime/worker" in run.tags:
                    act(run)
                    at.append(time.monotonic())
                    return

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield at
    finally:
        over.set()
        watch.join()


def children_of(pid: int) -> list[int]:
    """What any thread of a process started."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in listed for child in path.read_text().split()]


@pytest.fixture(scope="module")
def expected(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one run makes of the same rows."""
    pytest.importorskip("dagster_celery")
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server")
    with filled(postgres, tmp_path_factory.mktemp("one")) as (settings, warehouse):
        derived(settings, 1)
        return hashes(warehouse)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("what", ["nothing", "child", "worker", "redis", "daemon"])
def test_what_is_killed_is_settled_and_the_hashes_are_those_of_one_run(
    what: str,
    expected: dict[str, str],
    postgres: TestServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with filled(postgres, tmp_path / "cluster") as (settings, warehouse):
        settings = settings.model_copy(update={"dagster_home": CELERY})
        cluster = Cluster(settings, warehouse.database, tmp_path)
        monkeypatch.setenv("REGIME_BROKER_URL", cluster.variables["REGIME_BROKER_URL"])
        ended: list[float] = []

        def act(run: dg.DagsterRun) -> None:
            worker = run.tags["regime/worker"].partition("@")[0]
            if what == "child":
                for child in children_of(cluster.there[worker].pid):
                    os.kill(child, signal.SIGKILL)
            elif what != "nothing":
                name = worker if what == "worker" else what
                cluster.kill(name)
                if what != "worker":
                    cluster.begin(name)
            if what in ("child", "worker"):
                threading.Thread(target=settled, args=(run.run_id, ended), daemon=True).start()

        def settled(run_id: str, found: list[float]) -> None:
            with environment(cluster.variables), instance_for(settings, warehouse.database) as own:
                while not own.get_run_by_id(run_id).is_finished:
                    time.sleep(0.5)
                found.append(time.monotonic())

        with (
            environment(cluster.variables),
            cluster,
            instance_for(settings, warehouse.database) as instance,
            at_the_first_shard(instance, act) as at,
        ):
            report = launch.run_selection(
                settings=settings,
                clock=FixedClock(WINDOW.end),
                window=WINDOW,
                symbols=SYMBOLS,
                shard_count=2,
                queued=True,
            )
            runs = instance.get_runs()
        assert report.succeeded, (report.lines(), cluster.logs())
        assert at
        under_way = [r for r in runs if not r.is_finished]
        assert under_way == []
        if what in ("child", "worker"):
            print(f"{what}: settled after {ended[0] - at[0]:.0f} s")
            assert ended[0] - at[0] <= SETTLED_S
            assert any(r.status is dg.DagsterRunStatus.FAILURE for r in runs)
        found = hashes(Warehouse(warehouse.database, FixedClock(WINDOW.end)))
        assert [n for n in found if found[n] != expected[n]] == []
