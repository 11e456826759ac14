"""Advisory locks of a project database: their keys, and how long anybody waits for one.

Belongs here: what is locked, in which order, and who holds a lock that does not come free. Does not
belong here: what is done under a lock. Keys hold for one database each; accounts that only read
cannot take any (``roles``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg

from regime_pipeline.catalogue.model import Table
from regime_pipeline.windows import DAY, Window, floor_day

if TYPE_CHECKING:
    import pandas as pd

MIGRATION = 0x7265_6769_6D65
"""One number for every process that changes the schema."""
ROLES = 0x726F6C6573
"""For everything about roles; they belong to the server, so it is taken in database ``postgres``."""
SERVICE = 0x73657276696365
"""For the one process that serves schedules and sensors of a database."""
COLLECTOR = 0x636F6C6C656374
"""For the one live collector of a database."""
EVENT_ORDER = 0x6576656E7473
"""For whoever stores market events, until they can be read: their numbers follow that order."""
WAIT_SECONDS = 300
MAX_DAY_LOCKS = 400  # beyond, the whole table is locked: lock slots of a server are finite
_HOLDERS = (
    "SELECT DISTINCT l.pid, coalesce(a.usename, '?'), coalesce(a.application_name, '?') "
    "FROM pg_locks l JOIN unnest(%s::bigint[]) k ON l.classid::bigint = (k >> 32) & 4294967295 "
    "AND l.objid::bigint = k & 4294967295 AND l.objsubid = 1 "
    "JOIN pg_database d ON d.oid = l.database AND d.datname = current_database() "
    "LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid() ORDER BY 1"
)


def key(*parts: str) -> int:
    """The key of a thing that is locked."""
    digest = hashlib.sha256(":".join(("regime", *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def day_keys(table: Table, times: pd.Series, window: Window | None) -> list[int] | None:
    """The keys of the days of a write, oldest day first; None when there are too many to lock.

    Args:
        table: a table that is split by time.
        times: the rows' times.
        window: what is replaced, if anything.
    """
    days: set[datetime] = set()
    if len(times):
        low, high = floor_day(times.min().to_pydatetime()), times.max().to_pydatetime()
        if (high - low) // DAY >= MAX_DAY_LOCKS:
            return None
        days.update(d.to_pydatetime() for d in times.dt.floor("D").unique())
    if window is not None:
        days.update(window.days())
    if len(days) > MAX_DAY_LOCKS:
        return None
    return [key(table.full_name, f"{day:%Y-%m-%d}") for day in sorted(days)]


def table_key(table: Table) -> int:
    """The key that every writer of a table shares, and who writes too many days at once has alone."""
    return key(table.full_name, "all")


def take(connection: psycopg.Connection, table: Table, days: Sequence[int] | None) -> None:
    """Lock days of a table until the transaction ends, in the order that every writer keeps.

    Args:
        connection: in the transaction of the write.
        table: a table that is split by time.
        days: :func:`day_keys`; None locks the whole table.

    Raises:
        psycopg.errors.LockNotAvailable: somebody held one of them for :data:`WAIT_SECONDS`.
    """
    shared = "" if days is None else "_shared"
    connection.execute(
        # the time-out is set first: it bounds both waits
        f"SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock{shared}(%s), "  # noqa: S608
        "(SELECT count(pg_advisory_xact_lock(k)) FROM unnest(%s::bigint[]) k)",
        (f"{WAIT_SECONDS}s", table_key(table), list(days or ())),
    )


def holders(connection: psycopg.Connection, keys: Sequence[int]) -> list[str]:
    """Who holds any of some locks of this database, for a message."""
    found = connection.execute(_HOLDERS, (list(keys),)).fetchall()
    return [f"process {pid} (role {role}, {name})" for pid, role, name in found]


def take_service(connection: psycopg.Connection, name: str, service: int = SERVICE) -> list[str]:
    """Become the one that serves this database for as long as the connection lives.

    Args:
        connection: in autocommit mode, kept for nothing else.
        name: what others are told of the holder; the server keeps its first 63 bytes.
        service: which of the services that a database has one of.

    Returns:
        Who serves it already; empty when the caller does now.
    """
    connection.execute("SELECT set_config('application_name', %s, false)", (name,))
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (service,)).fetchone()
    if row == (True,):
        return []
    held = connection.execute(_HOLDERS, ([service],)).fetchall()
    return [name for _, _, name in held] or ["a process that is ending just now"]
