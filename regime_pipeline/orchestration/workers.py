"""Runs on other machines: the launcher that hands whole runs to Celery's workers, and the worker itself.

Belongs here: everything that imports Celery, which is an extra (``regime-pipeline[scale]``). Does not belong
here: what a run does; it is executed in one process, like any other. Nothing else imports this module but
``deploy/celery/dagster.yaml``, by name.

A worker tells every :data:`BEAT_S` seconds that it is there, in Dagster's own storage, and each run is tagged
with its worker. So a host that is gone is noticed although the broker still calls its task started, and a
broker that has forgotten everything ends no run. A run that was given up stores nothing when it wakes: writes
look at the run's state in their transaction.
"""

from __future__ import annotations

import importlib
import os
import threading
from datetime import timedelta
from typing import Any

import dagster as dg
from celery import Celery, signals
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from regime_pipeline.orchestration.queued_runs import CODE
from regime_pipeline.orchestration.worker_beats import BEAT_S, beat_of, note_beat
from regime_pipeline.storage.workers import LATE
from regime_pipeline.windows import SystemClock

QUEUE = "runs"
WORKER_TAG = "regime/worker"
"""Run tag: the worker that executes the run."""


class BeatingRunLauncher(CeleryRunLauncher):
    """Celery's launcher, with the health of a run told by the beats of its worker."""

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Failed where the task has, or where its worker has been silent for too long.

        What the broker does not know (it was restarted, it does not answer) counts for nothing.
        """
        try:
            told = super().check_run_worker_health(run)
        except (RedisError, OperationalError, KeyError):  # no broker, or it was not handed over yet
            told = None
        if told is not None and told.status in (WorkerStatus.FAILED, WorkerStatus.SUCCESS):
            return told
        worker = self._instance.get_run_by_id(run.run_id).tags.get(WORKER_TAG)
        if worker is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "no worker has begun it yet")
        at = beat_of(self._instance, worker)
        silent = None if at is None else SystemClock().now() - at
        if silent is None or silent > LATE:
            since = "never" if silent is None else f"for {silent / timedelta(seconds=1):.0f} s"
            return CheckRunHealthResult(WorkerStatus.FAILED, f"{worker} was not heard {since}")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def _app() -> Celery:
    broker = os.environ.get("REGIME_BROKER_URL")
    settings = {
        "task_default_queue": QUEUE,
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "broker_connection_retry_on_startup": True,
    }
    return make_app({"broker": broker, "backend": broker, "config_source": settings})


app = _app()
execute_run = create_execute_job_task(app)


@signals.worker_init.connect
def _import_everything(**_: Any) -> None:
    """Before the pool is forked, so that no run pays for imports."""
    importlib.import_module(CODE)


@signals.worker_ready.connect
def _begin_to_beat(sender: Any, **_: Any) -> None:
    name = sender.hostname

    def beat() -> None:
        with dg.DagsterInstance.get() as instance:
            while not _ended.is_set():
                note_beat(instance, name, SystemClock().now())
                _ended.wait(BEAT_S)
            note_beat(instance, name, None)

    _beating.append(threading.Thread(target=beat, name="beats", daemon=True))
    _beating[0].start()


_ended = threading.Event()
_beating: list[threading.Thread] = []


@signals.worker_shutdown.connect
def _end(**_: Any) -> None:
    _ended.set()
    for thread in _beating:
        thread.join(BEAT_S)


@signals.task_prerun.connect
def _tag_run(task: Any, kwargs: dict[str, Any], **_: Any) -> None:
    """The run is tagged with its worker before its first step."""
    if task.name == execute_run.name:
        told = unpack_value(kwargs["execute_job_args_packed"], as_type=ExecuteRunArgs)
        with dg.DagsterInstance.get() as instance:
            instance.add_run_tags(told.run_id, {WORKER_TAG: task.request.hostname})
