"""What is wrong with the pipeline itself, as operational events: looked for every minute.

Belongs here: which state of stored tables, of the machine and of Dagster is worth an event, and what makes
two findings the same. Does not belong here: storing and sending them (``outbox``), events that whoever
meets the trouble tells itself (a failed run, a changed reply), trouble that leaves nobody to look
(``heartbeat``).

A finding is named by what it is about and since when, never by how long it has lasted: looking again adds
nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from regime_pipeline.alerts.kinds import (
    COLLECTOR_DOWN,
    COVERAGE_LOW,
    DATA_BLOCKED,
    DATA_DRIFT,
    RESOURCES_LOW,
    SENSOR_SILENT,
    SOURCE_STALE,
    EventType,
)
from regime_pipeline.alerts.outbox import enqueue_system
from regime_pipeline.net.disk import DISK_FULL, free_share
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.folders import existing
from regime_pipeline.windows import Clock

STALE = timedelta(hours=3)
"""A source that is asked every hour and has answered nothing for so long is stale."""
MISSED_SHARE = 0.10
"""More than this share of the expected hours of a week missed is low coverage."""
SENSOR_LATE = timedelta(minutes=15)
COLLECTOR_LATE = timedelta(seconds=30)
RECENT = timedelta(days=2)
"""Days of data older than this are history: what was found in them alarms nobody."""
DISK_LOW = 0.10
MEMORY_LOW = 0.05
CONNECTIONS_HIGH = 0.8
_MEMORY = Path("/proc/meminfo")
LIMIT_HIGH = 0.8
_GROUPS, _OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""What a container or a service may take, and takes (cgroup v2), and which of the groups is ours."""

_STALE = """
SELECT source, array_agg(dataset ORDER BY dataset) AS datasets, max(last_ok_at) AS since,
    (array_agg(reason ORDER BY last_error_at DESC NULLS LAST))[1] AS reason,
    (array_agg(error_class ORDER BY last_error_at DESC NULLS LAST))[1] AS error_class
FROM reporting.source_health WHERE last_error_at IS NOT NULL
GROUP BY source
HAVING max(last_error_at) > coalesce(max(last_ok_at), '-infinity')
    AND max(last_error_at) > %(now)s - %(recent)s
    AND coalesce(max(last_ok_at), '-infinity') < %(now)s - %(stale)s
ORDER BY source
"""
_LOW = """
SELECT dataset, missed_hours_7d::float / (stored_hours_7d + missed_hours_7d) AS share
FROM reporting.data_health
WHERE newest_ts > %(now)s - %(recent)s AND stored_hours_7d + missed_hours_7d > 0
ORDER BY dataset
"""
_BLOCKED = """
SELECT table_name, ts AS day, failing_checks FROM ops.quality_scores
WHERE n_block > 0 AND ts > %(now)s - %(recent)s AND ts <= %(now)s ORDER BY table_name, ts
"""
_DRIFT = """
SELECT table_name, ts AS day, max(reason) AS reason FROM ops.quality_checks
WHERE check_id = 'DQ13' AND check_outcome = 'failed' AND ts > %(now)s - %(recent)s AND ts <= %(now)s
GROUP BY 1, 2 ORDER BY 1, 2
"""
_THERE = "SELECT to_regclass(%s) IS NOT NULL"
_SENSORS = """
SELECT substring(tick_body from '"instigator_name": "([^"]+)"') AS sensor, max("timestamp") AS last_at
FROM dagster.job_ticks WHERE type = 'SENSOR' AND "timestamp" > %(now)s - %(recent)s
GROUP BY 1 HAVING max("timestamp") < %(now)s - %(late)s ORDER BY 1
"""
_BEAT = """
SELECT beat_at FROM ops.collector_heartbeat WHERE beat_at < %(now)s - %(late)s AND ended_at IS NULL
"""
_CONNECTIONS = """
SELECT count(*)::float / current_setting('max_connections')::int FROM pg_stat_activity
WHERE backend_type = 'client backend'
"""
_SEEN = """
INSERT INTO ops.system_alerts AS a (finding_id, event_type, alert_severity, title, details, first_at,
    last_at, seen_count)
VALUES (%(id)s, %(type)s, %(severity)s, %(title)s, %(details)s, %(now)s, %(now)s, 1)
ON CONFLICT (finding_id) DO UPDATE SET last_at = excluded.last_at, seen_count = a.seen_count + 1,
    over_at = NULL
"""
_OVER = """
UPDATE ops.system_alerts SET over_at = %(now)s WHERE over_at IS NULL AND finding_id <> ALL(%(ids)s)
"""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: type of its event.
        title: one line for a person.
        details: what makes it this one and no other, and what helps; nothing that only grows.
        severity: of its event.
    """

    kind: EventType
    title: str
    details: dict[str, Any]
    severity: str = "WARNING"

    @property
    def identity(self) -> str:
        """A digest of what it is."""
        told = json.dumps([self.kind.name, self.title, self.details], sort_keys=True, default=str)
        return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()


def look(conn: psycopg.Connection, home: Path, now: datetime) -> list[Finding]:
    """Everything that is wrong now.

    Args:
        conn: to the database.
        home: whose disk is looked at.
        now: the present.
    """
    return [
        *_data(conn, now),
        *_sensors(conn, now),
        *_collector(conn, now),
        *_machine(
            [*disk_faults(home), *memory_faults(), *limit_faults(), *_connection_faults(conn)], now
        ),
    ]


def tell(database: Database, settings: Settings, clock: Clock) -> list[Finding]:
    """Store what is wrong as operational events; those that are new.

    ``ops.system_alerts`` is written first, so that what is wrong and what is over stands there even when
    nobody is to be told.
    """
    with database.connect(autocommit=True) as conn:
        now = clock.now()
        found = look(conn, settings.home, now)
        _note(conn, found, now)
    return _enqueued(found, database, settings, clock)


def tell_collector(database: Database, settings: Settings, clock: Clock) -> list[Finding]:
    """Store that the live collector is down, which is worth looking for more often than all the rest."""
    with database.connect(autocommit=True) as conn:
        found = list(_collector(conn, clock.now()))
    return _enqueued(found, database, settings, clock)


def _enqueued(
    found: Iterable[Finding], database: Database, settings: Settings, clock: Clock
) -> list[Finding]:
    return [
        one
        for one in found
        if enqueue_system(
            database,
            settings=settings,
            clock=clock,
            title=one.title,
            details=one.details,
            severity=one.severity,
            kind=one.kind,
        )
    ]


def _note(conn: psycopg.Connection, found: list[Finding], now: datetime) -> None:
    """Keep in ``ops.system_alerts`` what is seen, and that what is not seen any more is over."""
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(_OVER, {"now": now, "ids": [one.identity for one in found]})
        for one in found:
            values = {
                "id": one.identity,
                "type": one.kind.name,
                "severity": one.severity,
                "title": one.title,
                "details": json.dumps(one.details, default=str),
                "now": now,
            }
            cursor.execute(_SEEN, values)


def _rows(conn: psycopg.Connection, query: str, **asked: object) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, asked).fetchall()


def _data(conn: psycopg.Connection, now: datetime) -> Iterator[Finding]:
    today = now.date().isoformat()
    for row in _rows(conn, _STALE, now=now, recent=RECENT, stale=STALE):
        since = row["since"]
        yield Finding(
            SOURCE_STALE,
            f"{row['source']} answers nothing any more",
            {
                "source": row["source"],
                "since": None if since is None else since.isoformat(),
                "reason": row["reason"],
                "error_class": row["error_class"],
                "next": "regime doctor",
            },
        )
    for row in _rows(conn, _LOW, now=now, recent=RECENT):
        if row["share"] > MISSED_SHARE:
            yield Finding(
                COVERAGE_LOW,
                f"{row['dataset']}: more than {100 * MISSED_SHARE:.0f} % of the week is missed",
                {"dataset": row["dataset"], "day": today, "next": "regime status"},
            )
    for row in _rows(conn, _BLOCKED, now=now, recent=RECENT):
        yield Finding(
            DATA_BLOCKED,
            f"{row['table_name']}: rows of {row['day']:%Y-%m-%d} are withheld",
            {
                "table": row["table_name"],
                "day": row["day"].date().isoformat(),
                "next": "regime quality",
            },
        )
    for row in _rows(conn, _DRIFT, now=now, recent=RECENT):
        yield Finding(
            DATA_DRIFT,
            f"{row['table_name']}: {row['day']:%Y-%m-%d} looks unlike the last 30 days",
            {
                "table": row["table_name"],
                "day": row["day"].date().isoformat(),
                "next": "regime quality",
            },
        )


def _is_there(conn: psycopg.Connection, name: str) -> bool:
    ((there,),) = conn.execute(_THERE, (name,)).fetchall()
    return bool(there)


def _sensors(conn: psycopg.Connection, now: datetime) -> Iterator[Finding]:
    if _is_there(conn, "dagster.job_ticks"):
        naive = now.replace(tzinfo=None)  # as Dagster stores it, in UTC
        for row in _rows(conn, _SENSORS, now=naive, late=SENSOR_LATE, recent=RECENT):
            yield Finding(
                SENSOR_SILENT,
                f"the sensor {row['sensor']} is silent",
                {"sensor": row["sensor"], "since": row["last_at"].isoformat() + "Z"},
            )


def _collector(conn: psycopg.Connection, now: datetime) -> Iterator[Finding]:
    if _is_there(conn, "ops.collector_heartbeat"):
        for row in _rows(conn, _BEAT, now=now, late=COLLECTOR_LATE):
            yield Finding(
                COLLECTOR_DOWN,
                "the live collector is down",
                {"since": row["beat_at"].isoformat(), "next": "regime collect status"},
            )


def _machine(faults: list[str], now: datetime) -> Iterator[Finding]:
    for fault in faults:
        part, _, told = fault.partition(": ")
        yield Finding(
            RESOURCES_LOW,
            f"{part} is {told.partition(',')[0]}",
            {"part": part, "day": now.date().isoformat()},
            "CRITICAL" if "full" in told else "WARNING",
        )


def _connection_faults(conn: psycopg.Connection) -> list[str]:
    ((share,),) = conn.execute(_CONNECTIONS).fetchall()
    if share <= CONNECTIONS_HIGH:
        return []
    return [f"pool of connections: nearly used up, {100 * share:.0f} % of what the server takes"]


def disk_faults(home: Path) -> list[str]:
    """Whether the disk of a folder, there or not, is short; none: it is not."""
    place = existing(home)
    share = free_share(place)
    if share >= DISK_LOW:
        return []
    is_full = share < DISK_FULL
    told = f"{100 * share:.1f} % free at {place}"
    return [f"disk: full, {told}; nothing is fetched" if is_full else f"disk: low, {told}"]


def memory_faults(source: Path = _MEMORY) -> list[str]:
    """Whether memory is short; none: it is not, or the system does not say.

    Args:
        source: where Linux counts it.
    """
    if not source.exists():
        return []
    sizes = {
        name: int(size.split()[0])
        for name, _, size in (line.partition(":") for line in source.read_text().splitlines())
        if name in ("MemTotal", "MemAvailable")
    }
    if len(sizes) < 2 or sizes["MemAvailable"] >= MEMORY_LOW * sizes["MemTotal"]:
        return []
    share = sizes["MemAvailable"] / sizes["MemTotal"]
    return [f"memory: low, {100 * share:.1f} % available"]


def _own_group() -> Path:
    lines = _OWN_GROUP.read_text().splitlines() if _OWN_GROUP.exists() else []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return _GROUPS / own.lstrip("/")


def limit_faults(group: Path | None = None) -> list[str]:
    """Whether a container's or service's own memory limit is nearly reached; none: it is not, or has none.

    What the system may take back at once (files that were read and are not in use) does not count.

    Args:
        group: folder where Linux counts it (cgroup v2); None: that of this process.
    """
    group = _own_group() if group is None else group
    counted = [group / name for name in ("memory.max", "memory.current", "memory.stat")]
    if not all(path.exists() for path in counted):
        return []
    limit, taken, parts = (path.read_text().strip() for path in counted)
    if limit == "max":
        return []
    idle = dict(line.split() for line in parts.splitlines()).get("inactive_file", "0")
    share = (int(taken) - int(idle)) / int(limit)
    if share <= LIMIT_HIGH:
        return []
    return [f"memory limit: nearly reached, {100 * share:.0f} % of what may be taken here"]
