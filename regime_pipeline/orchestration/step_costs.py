"""What each step of a run cost, written down by the run itself in ``ops.run_steps``.

A run hears its own Dagster events in the process that executes it, whatever instance keeps them, and
writes one row a step when it has ended. Belongs here: hearing, measuring, writing. Does not belong here:
what a step does, what a reader is shown (the mart ``run_performance``).
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg
import pandas as pd
from dagster import DagsterEventType

from regime_pipeline.storage.errors import StorageError

if TYPE_CHECKING:
    from dagster import DagsterEvent, EventLogEntry

    from regime_pipeline.storage.database import Database
    from regime_pipeline.storage.merge import WriteResult
    from regime_pipeline.windows import Clock

TABLE = "ops.run_steps"

_LOG = logging.getLogger(__name__)
_BEGUN = (DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED)
_OUTCOMES = {
    DagsterEventType.STEP_SUCCESS: "succeeded",
    DagsterEventType.STEP_FAILURE: "failed",
}
_RUN_ENDED = (
    DagsterEventType.RUN_SUCCESS,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.RUN_CANCELED,
)
_DBT_DURATION = "Execution Duration"
"""Metadata by which ``dagster_dbt`` tells how long a model took."""


@dataclass
class Work:
    """What a platform was used for: rows written by table, requests made."""

    requests: int = 0
    by_table: dict[str, dict[str, float]] = field(default_factory=dict)

    def wrote(self, table: str, rows: int, result: WriteResult) -> None:
        """Count a write of a table."""
        changed = result.inserted + result.updated + result.deleted
        self.add(table, written_count=rows, changed_count=changed)

    def add(self, table: str, **counts: float) -> None:
        """Add to the figures of a table."""
        sums = self.by_table.setdefault(table, {})
        for name, count in counts.items():
            sums[name] = sums.get(name, 0) + count


class Worker(Protocol):
    """What works for a run: a platform."""

    work: Work
    clock: Clock

    @property
    def database(self) -> Database:
        """Where the rows go."""
        ...


@dataclass
class _Cost:
    """What the attempts at one step cost together, and when the one that is under way began."""

    began_at: float
    attempt_began_at: float = 0.0
    cpu_before_s: float = 0.0
    attempts: int = 0
    duration_s: float = 0.0
    cpu_s: float = 0.0
    work: Work = field(default_factory=Work)


def cpu_s() -> float:
    """Processor seconds of this process and its ended children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class StepCosts:
    """Hears the events of one run and writes its steps when it ends.

    Args:
        platform: whose work is counted, and whose database is written.
        run_id: the run.
    """

    def __init__(self, platform: Worker, run_id: str) -> None:
        self._platform = platform
        self._run_id = run_id
        self._job = ""
        self._costs: dict[str, _Cost] = {}
        self._rows: list[dict[str, Any]] = []

    def heard(self, entry: EventLogEntry) -> None:
        """Take note of an event; the run's last one makes the rows be written."""
        event = entry.dagster_event
        if event is None:
            return
        kind, step = event.event_type, event.step_key
        if kind in _RUN_ENDED:
            self._write(entry.timestamp)
        elif step is None:
            return
        elif kind in _BEGUN:
            self._job = event.job_name
            self._begin(step, entry.timestamp)
        elif kind is DagsterEventType.ASSET_MATERIALIZATION:
            self._time_model(event)
        elif kind is DagsterEventType.STEP_UP_FOR_RETRY:
            self._add(step, entry.timestamp)
        elif kind in _OUTCOMES:
            self._add(step, entry.timestamp)
            self._end(step, _OUTCOMES[kind], _error_class(event))

    def _begin(self, step: str, at: float) -> None:
        cost = self._costs.setdefault(step, _Cost(at))
        cost.attempts += 1
        cost.attempt_began_at, cost.cpu_before_s = at, cpu_s()
        self._platform.work = Work()

    def _time_model(self, event: DagsterEvent) -> None:
        told = event.step_materialization_data.materialization
        seconds = told.metadata.get(_DBT_DURATION)
        if isinstance(seconds, dg.FloatMetadataValue) and seconds.value is not None:
            name = ".".join(told.asset_key.path)
            # each day of a range is an event that tells the same
            self._platform.work.by_table[name] = {"duration_s": seconds.value}

    def _add(self, step: str, at: float) -> None:
        cost, work = self._costs[step], self._platform.work
        cost.duration_s += max(0.0, at - cost.attempt_began_at)
        cost.cpu_s += max(0.0, cpu_s() - cost.cpu_before_s)
        cost.work.requests += work.requests
        for table, counts in work.by_table.items():
            cost.work.add(table, **counts)
        cost.attempt_began_at, cost.cpu_before_s, self._platform.work = at, cpu_s(), Work()

    def _end(self, step: str, outcome: str, error_class: str | None) -> None:
        cost = self._costs.pop(step)
        counted = [t for t in cost.work.by_table.values() if "written_count" in t]
        self._rows.append(
            {
                "run_id": self._run_id,
                "step": step,
                "job_name": self._job,
                "started_at": datetime.fromtimestamp(cost.began_at, UTC),
                "duration_s": cost.duration_s,
                "cpu_s": cost.cpu_s,
                "step_outcome": outcome,
                "error_class": error_class,
                "attempt_count": cost.attempts,
                "request_count": cost.work.requests,
                **{
                    name: int(sum(t[name] for t in counted)) if counted else None
                    for name in ("written_count", "changed_count")
                },
                "by_table": json.dumps(cost.work.by_table, sort_keys=True)
                if cost.work.by_table
                else None,
            }
        )

    def _write(self, at: float) -> None:
        from regime_pipeline.storage.warehouse import Warehouse

        for step in list(self._costs):
            self._add(step, at)
            self._end(step, "interrupted", None)
        rows, self._rows = self._rows, []
        if not rows:
            return
        platform = self._platform
        # not the run's own warehouse: a run that was given up may still say what it cost
        warehouse = Warehouse(platform.database, platform.clock)
        try:
            warehouse.record(TABLE, pd.DataFrame(rows), run_id=self._run_id)
        except StorageError as error:
            _LOG.warning("what the steps of run %s cost is not stored: %s", self._run_id, error)


def _error_class(event: DagsterEvent) -> str | None:
    if event.event_type is not DagsterEventType.STEP_FAILURE:
        return None
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return None if error is None else error.cls_name


def hear(context: dg.InitResourceContext, platform: Worker) -> None:
    """Let the run that a resource is made for write down what its steps cost.

    Args:
        context: of the resource; outside of a run nothing is heard.
        platform: what the run works with.
    """
    if context.run_id is not None and context.instance is not None:
        costs = StepCosts(platform, context.run_id)
        context.instance.add_event_listener(context.run_id, costs.heard)
