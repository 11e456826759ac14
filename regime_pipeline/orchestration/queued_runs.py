"""Parts of a launch as runs of Dagster's queue: whoever takes runs from it executes them, on any machine.

Belongs here: putting a run into the queue as the daemon reads it, waiting for its end or that of its retries.
Does not belong here: which parts there are (``shards``), workers (``workers``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.execution.api import create_execution_plan
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import RemoteRepositoryOrigin
from dagster._core.snap import snapshot_from_execution_plan
from dagster._core.storage.tags import ROOT_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.workspace.load_target import WorkspaceFileTarget

from regime_pipeline.orchestration.instance import ROOT, dagster_home, workspace_file
from regime_pipeline.settings import Settings

LOOK_S = 1.0
CODE = "regime_pipeline.definitions"
"""What Dagster loads, on each machine."""
_REPOSITORY = "__repository__"


@dataclass
class Queued:
    """A run that waits for its end.

    Attributes:
        title: how it is called.
        run_id: the first run; retries name it as their root.
        began: monotonic seconds.
    """

    title: str
    run_id: str
    began: float = field(default_factory=time.monotonic)


def enqueue(
    instance: dg.DagsterInstance,
    settings: Settings,
    job: dg.JobDefinition,
    *,
    title: str,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
) -> Queued:
    """Put a run of a narrowed job into the queue; the daemon of the same instance launches it.

    Args:
        instance: of the database.
        settings: name the workspace that the daemon has loaded.
        job: narrowed to the assets and checks of the run.
        title: how the run is called.
        tags: of the run.
        run_config: of the run.
    """
    (location,) = WorkspaceFileTarget(
        [str(workspace_file(dagster_home(settings)))]
    ).create_origins()
    pointer = ModuleCodePointer(CODE, "defs", working_directory=str(ROOT))
    plan = create_execution_plan(job, run_config=run_config, tags=tags)
    run = instance.create_run(
        job_name=job.name,
        run_id=None,
        run_config=run_config,
        status=dg.DagsterRunStatus.NOT_STARTED,
        tags=tags,
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=snapshot_from_execution_plan(plan, job.get_job_snapshot_id()),
        job_snapshot=job.get_job_snapshot(),
        parent_job_snapshot=job.get_parent_job_snapshot(),
        asset_selection=job.asset_selection,
        asset_check_selection=job.asset_check_selection,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=RemoteRepositoryOrigin(location, _REPOSITORY).get_job_origin(job.name),
        job_code_origin=JobPythonOrigin(job.name, RepositoryPythonOrigin(sys.executable, pointer)),
        asset_graph=job.asset_layer.asset_graph,
    )
    instance.report_dagster_event(dg.DagsterEvent.job_enqueue(run), run_id=run.run_id)
    return Queued(title, run.run_id)


def ended(
    instance: dg.DagsterInstance, queued: Sequence[Queued]
) -> Iterator[tuple[Queued, dg.DagsterRun]]:
    """Each part with the run that decided, a success or a failure that is not tried again, as they end."""
    waiting = list(queued)
    while waiting:
        for one in tuple(waiting):
            run = _decided(instance, one.run_id)
            if run is not None:
                waiting.remove(one)
                yield one, run
        if waiting:
            time.sleep(LOOK_S)


def _decided(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun | None:
    """The run that decided about a part, the first or a retry; None while one goes on or will follow."""
    retries = instance.get_runs(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: run_id}), limit=1)
    last = retries[0] if retries else instance.get_run_by_id(run_id)
    assert last is not None, run_id
    if not last.is_finished:
        return None
    if last.status is dg.DagsterRunStatus.FAILURE and last.tags.get(WILL_RETRY_TAG) == "true":
        return None
    return last
