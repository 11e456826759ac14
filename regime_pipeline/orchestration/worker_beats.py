"""A worker of several machines notes that it is there, for the launcher, monitors and people.

Belongs here: noting a beat and reading one's own. Does not belong here: Celery (``workers``), reading all of
them without Dagster (``storage.workers``).
"""

from __future__ import annotations

from datetime import datetime

import dagster as dg

from regime_pipeline.storage.workers import KEY
from regime_pipeline.windows import utc

BEAT_S = 15


def note_beat(instance: dg.DagsterInstance, worker: str, now: datetime | None) -> None:
    """A worker is there; None: it has ended in order."""
    value = "" if now is None else now.isoformat()
    instance.daemon_cursor_storage.set_cursor_values({KEY + worker: value})


def beat_of(instance: dg.DagsterInstance, worker: str) -> datetime | None:
    """When a worker was there last; None: never, or it has ended."""
    found = instance.daemon_cursor_storage.get_cursor_values({KEY + worker}).get(KEY + worker)
    return utc(found) if found else None
