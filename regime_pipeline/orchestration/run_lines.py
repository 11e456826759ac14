"""What runs have to say, as lines of the log beside their events in the database.

Belongs here: which of Dagster's events are lines. Does not belong here: the form of a line (``net.logs``).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dagster import DagsterEventType

from regime_pipeline.net import logs
from regime_pipeline.net.redact import Redactor

if TYPE_CHECKING:
    from dagster._core.events.log import EventLogEntry

    from regime_pipeline.settings import Settings

_ALWAYS = {
    DagsterEventType.RUN_START,
    DagsterEventType.RUN_SUCCESS,
    DagsterEventType.RUN_CANCELED,
}
"""Told although Dagster takes them for details."""


def install(settings: Settings) -> None:
    """Lines of this process go to the logs of its home."""
    logs.install(settings.home.resolve() / "logs", Redactor.of(settings))


def write(entry: EventLogEntry) -> None:
    """Write the line of an event that is worth one."""
    level = int(entry.level)
    kind = entry.dagster_event_type
    if kind in _ALWAYS:
        level = max(level, logging.INFO)
    if level < logging.INFO:
        return
    event = entry.dagster_event
    text = entry.user_message or (event.message if event is not None else None) or ""
    error = entry.error_info
    if error is None and event is not None and event.is_step_failure:
        error = event.step_failure_data.error
    logs.tell(
        level,
        text or (kind.value if kind is not None else ""),
        logger="dagster" if kind is not None else "run",
        error=None if error is None else error.to_string(),
        run_id=entry.run_id,
        job=entry.job_name,
        step=entry.step_key,
    )
