"""How runs end that this process executes: why one failed, whether it was interrupted, calling them off.

Does not belong here: starting runs (``launch``), runs of other processes (``processes``).
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg


def why_failed(events: Iterable[dg.DagsterEvent]) -> str:
    """The first failed step's error on one line."""
    for event in events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            said = error.message if error is not None else event.message or ""
            return f"{event.step_key}: {' '.join(said.split())[:500]}"
    return "the run failed outside its steps; see the Dagster UI"


def was_interrupted(events: Iterable[dg.DagsterEvent]) -> bool:
    """Whether Dagster turned a Ctrl-C into a failed run."""
    for event in events:
        if event.is_step_failure:
            source = event.step_failure_data.error_source
            if source is not None and source.name == "INTERRUPT":
                return True
        elif event.is_failure and "interrupted" in (event.message or ""):
            return True
    return False


executing: dict[str, dg.DagsterInstance] = {}
"""Runs that this process executes now, with their instance."""
called_off: set[str] = set()
"""Runs that a signal was to end. One that reaches Dagster between two steps, while resources are made, ends
as a failure that does not tell why."""
_CANCEL_MESSAGE = "interrupted; what was written is whole"


def cancel_executing(*, at_once: bool) -> None:
    """Note that the runs this process executes are being cancelled, or, at once, that they were.

    May be called by any thread. Dagster takes an interrupted run for a failed one unless it knows that
    somebody wants it to end.
    """
    for run_id, instance in list(executing.items()):
        called_off.add(run_id)
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            continue
        if at_once:
            instance.report_run_canceled(run, message=_CANCEL_MESSAGE)
        else:
            instance.report_run_canceling(run, message=_CANCEL_MESSAGE)


def end_run(instance: dg.DagsterInstance, run_id: str, *, interrupted: bool) -> None:
    """A run that was left must not look as if it went on; an interrupted one has not failed."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.status is dg.DagsterRunStatus.CANCELED:
        return
    if interrupted or not run.is_finished:
        instance.report_run_canceled(run, message=_CANCEL_MESSAGE)
