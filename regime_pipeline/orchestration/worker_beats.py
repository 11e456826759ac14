"""Which workers of several machines are there, by what each noted last in Dagster's own storage.

Belongs here: noting and reading beats. Does not belong here: Celery (``workers``).

A beat is kept beside the cursors of Dagster's daemons, one key a worker: like those it describes machines,
and a restored database begins without. Clocks of machines must agree to a few seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import dagster as dg
import psycopg
from psycopg import sql

from regime_pipeline.storage.roles import RUNS_SCHEMA
from regime_pipeline.windows import utc

BEAT_S = 15
LATE = timedelta(seconds=75)
"""A worker that was silent for so long is gone; looked at every 15 s, so that a run is settled in 90."""
_KEY = "regime/worker/"


def note_beat(instance: dg.DagsterInstance, worker: str, now: datetime) -> None:
    """A worker is there."""
    instance.daemon_cursor_storage.set_cursor_values({_KEY + worker: now.isoformat()})


def beat_of(instance: dg.DagsterInstance, worker: str) -> datetime | None:
    """When a worker was there last; None: never."""
    key = _KEY + worker
    found = instance.daemon_cursor_storage.get_cursor_values({key}).get(key)
    return None if found is None else utc(found)


def beats(connection: psycopg.Connection) -> dict[str, datetime]:
    """Every worker that ever was, with its last beat; none where Dagster has no tables yet."""
    known = connection.execute("SELECT to_regclass(%s)", (f"{RUNS_SCHEMA}.kvs",)).fetchone()
    if known == (None,):
        return {}
    query = sql.SQL("SELECT key, value FROM {} WHERE key LIKE %s ORDER BY key")
    found = connection.execute(query.format(sql.Identifier(RUNS_SCHEMA, "kvs")), (_KEY + "%",))
    return {key.removeprefix(_KEY): utc(value) for key, value in found}
