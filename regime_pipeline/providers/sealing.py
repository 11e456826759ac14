"""Landed replies of days that are over, in one file per source and day instead of one file each.

Belongs here: which replies are sealed, the index's rows, removing what is sealed. Does not belong here: the
bytes (``landing``), when it is done (``orchestration.retention``).

A reply keeps its name; ``ops.payloads.landing_path`` says in which file it lies, from which byte on and how
many bytes long. The file is written, read again and compared first, then the index is changed in one
transaction, and the single files go a day later: whoever is killed anywhere leaves each reply readable under
its row. Sealed are the small replies of providers in a local folder: archives and recordings of streams are
files of a day already, and an object store does not run out of names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.providers.registry import ARCHIVE
from regime_pipeline.storage.crash import crash_point
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.folders import SEALED
from regime_pipeline.windows import DAY, Window, floor_day

LARGEST = 2**20
"""A reply of more bytes stays a file of its own."""
_BATCH = 1000
_SMALL = (
    "landing_path not like %(sealed)s and byte_count <= %(largest)s and source <> %(archive)s "
    "and http_status is distinct from 101"
)
_DAYS = f"""
select source, date_trunc('day', fetched_at, 'UTC') as day from ops.payloads
where fetched_at < %(before)s and {_SMALL} group by 1, 2 having count(distinct payload_id) > 1 order by 2, 1
"""  # noqa: S608 - of constants
_REPLIES = f"""
select distinct payload_id from ops.payloads
where source = %(source)s and fetched_at >= %(start)s and fetched_at < %(end)s and {_SMALL} order by 1
"""  # noqa: S608 - of constants
_MOVE = """
update ops.payloads p set landing_path = v.path
from unnest(%(ids)s::text[], %(paths)s::text[]) as v(payload_id, path)
where p.payload_id = v.payload_id and p.landing_path not like %(sealed)s
"""
_WHOLLY_SEALED = """
select payload_id from ops.payloads where payload_id = any(%(ids)s)
group by 1 having bool_and(landing_path like %(sealed)s)
"""


@dataclass(frozen=True)
class Sealed:
    """What one pass did: files made, replies in them, single files that are gone."""

    files: int = 0
    replies: int = 0
    removed: int = 0


def seal(database: Database, store: LandingStore, now: datetime) -> Sealed:
    """Seal the replies of each source and day that ended a day ago or earlier; remove those sealed before.

    Args:
        database: has the index.
        store: a local folder; in another nothing is done.
        now: by the clock.

    Raises:
        LandingError: a reply is absent or damaged; what was sealed before it is whole.
    """
    if not store.is_local:
        return Sealed()
    files = replies = 0
    for source, day in _due(database, floor_day(now) - DAY):
        ids = _replies(database, source, day)
        paths = store.seal(source, f"{day.start:%Y-%m-%d}", ids)
        crash_point("sealed")
        with database.connect() as connection, connection.transaction():
            connection.execute(_MOVE, {"ids": ids, "paths": paths, "sealed": f"{SEALED}/%"})
        crash_point("indexed")
        files, replies = files + 1, replies + len(ids)
    return Sealed(files, replies, _remove(database, store, now))


def _due(database: Database, before: datetime) -> list[tuple[str, Window]]:
    with database.connect() as connection:
        found = connection.execute(_DAYS, {"before": before, **_values()}).fetchall()
    return [(source, Window(day, day + DAY)) for source, day in found]


def _replies(database: Database, source: str, day: Window) -> list[str]:
    values = {"source": source, "start": day.start, "end": day.end, **_values()}
    with database.connect() as connection:
        return [row[0] for row in connection.execute(_REPLIES, values)]


def _values() -> dict[str, object]:
    return {"sealed": f"{SEALED}/%", "largest": LARGEST, "archive": ARCHIVE}


def _remove(database: Database, store: LandingStore, now: datetime) -> int:
    """Remove single files of a day ago or older that every row of the index has elsewhere."""
    removed = 0
    for ids in _batches(store.singles(before=now - DAY)):
        with database.connect() as connection:
            gone = _wholly_sealed(connection, ids)
        for payload_id in gone:
            store.remove(payload_id)
        removed += len(gone)
    return removed


def _wholly_sealed(connection: psycopg.Connection, ids: Sequence[str]) -> list[str]:
    values = {"ids": list(ids), "sealed": f"{SEALED}/%"}
    return [row[0] for row in connection.execute(_WHOLLY_SEALED, values)]


def _batches(names: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for name in names:
        batch.append(name)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
