"""Workers of other machines, as they noted themselves in Dagster's own storage.

Belongs here: where a beat is kept, reading all of them. Does not belong here: noting one
(``orchestration.worker_beats``), what a worker does.

A beat is kept beside the cursors of Dagster's daemons, one key a worker: like those it describes machines,
and a restored database begins without. Clocks of machines must agree to a few seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from regime_pipeline.storage.roles import RUNS_SCHEMA
from regime_pipeline.windows import DAY, utc

KEY = "regime/worker/"
"""Begins the key of each worker; what it is kept under is empty once it has ended in order."""
LATE = timedelta(seconds=75)
"""A worker that was silent for so long is gone; looked at every 15 s, so that a run is settled in 90."""
FORGOTTEN = DAY
"""After so long nobody waits for a worker any more."""


def beats(connection: psycopg.Connection) -> dict[str, datetime]:
    """Each worker that did not end in order, with its last beat; none where Dagster has no tables yet."""
    known = connection.execute("SELECT to_regclass(%s)", (f"{RUNS_SCHEMA}.kvs",)).fetchone()
    if known == (None,):
        return {}
    query = sql.SQL("SELECT key, value FROM {} WHERE key LIKE %s AND value <> '' ORDER BY key")
    found = connection.execute(query.format(sql.Identifier(RUNS_SCHEMA, "kvs")), (KEY + "%",))
    return {key.removeprefix(KEY): utc(value) for key, value in found}


def silent(known: dict[str, datetime], now: datetime) -> dict[str, timedelta]:
    """Workers that were there within a day and are not now, and for how long."""
    return {name: now - at for name, at in known.items() if LATE < now - at <= FORGOTTEN}
