"""The outbox: one row per event and endpoint, written in the transaction that writes the event.

The body is made here once, by the endpoint's channel; those bytes are what is sent, however often. Does
not belong here: sending (``dispatch``), deciding what is an event (``events``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import pandas as pd
import psycopg

from regime_pipeline.alerts.channels import Message
from regime_pipeline.alerts.endpoints import Endpoint, endpoints
from regime_pipeline.alerts.kinds import BACKFILL, SYSTEM, TYPES, EventType
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Clock

STAND_IN_TIER = 4
"""From this ``source_tier`` on a row is a cache's or a generator's: nothing of it is ever sent."""
MARKS = {"simulated": "SIMULATED", "tape": "REPLAY"}
"""First word of the title of what is not live, by the kind of data."""

_INSERT = """
INSERT INTO alerts.outbox (event_id, endpoint, ts, event_type, alert_severity, body, state, reason,
    attempts, next_at, deliver_before, created_at, finished_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, %s, %s, %s, %s)
ON CONFLICT (event_id, endpoint) DO NOTHING
"""

_INSERT_SYSTEM = """
INSERT INTO alerts.system_events (event_id, known_at, event_type, alert_severity, title, details)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (event_id) DO NOTHING
"""
_HELD = """
SELECT o.event_id, o.endpoint, o.event_type, o.alert_severity, e.kind, o.deliver_before
FROM alerts.outbox o JOIN alerts.market_events e ON e.event_id = o.event_id AND e.ts = o.ts
WHERE o.state = 'suppressed' AND o.reason = %(reason)s AND o.deliver_before > %(now)s
AND o.event_id = ANY(%(ids)s)
ORDER BY o.event_id, o.endpoint FOR UPDATE OF o
"""
_LET_GO = """
UPDATE alerts.outbox SET state = 'pending', reason = NULL, finished_at = NULL, next_at = %s
WHERE event_id = %s AND endpoint = %s
"""


def message_of(event: dict[str, Any], origin: str) -> Message:
    """A row of ``alerts.market_events`` as channels see it.

    Args:
        event: the row.
        origin: what kind of data it was made of.
    """
    tier = event["source_tier"]
    return Message(
        event_id=event["event_id"],
        event_type=event["event_type"],
        severity=event["alert_severity"],
        title=_marked(event["title"], origin),
        known_at=event["known_at"].to_pydatetime(),
        details=json.loads(event["details"]),
        data_origin=origin,
        worst_tier=None if tier is pd.NA or tier is None else int(tier),
        kind=event["kind"],
        instrument=event["instrument"],
        level=event["level"],
        ts=event["ts"].to_pydatetime(),
        episode_start=event["episode_start"].to_pydatetime(),
        method_version=event["method_version"],
    )


def _marked(title: str, origin: str) -> str:
    return f"{MARKS[origin]} {title}" if origin in MARKS else title


def enqueue(
    conn: psycopg.Connection,
    inserted: pd.DataFrame,
    *,
    settings: Settings,
    clock: Clock,
    suppress_reason: str | None,
) -> int:
    """Write the outbox rows of freshly inserted events; the caller's transaction commits them.

    A row that will not be sent is written all the same, as ``suppressed`` with its reason, so that
    every event says what became of it.

    Args:
        conn: the connection whose transaction has just inserted the events.
        inserted: rows of ``alerts.market_events`` that are new.
        settings: endpoints and what kind of data the database holds.
        clock: what now is.
        suppress_reason: why nothing of this run is sent (a backfill), or None.

    Returns:
        How many rows were written.
    """
    ordered = inserted.sort_values(["known_at", "event_id"])
    messages = [
        message_of(event, settings.origin)
        for event in cast("list[dict[str, Any]]", ordered.to_dict("records"))
    ]
    rows = _rows(messages, settings, clock.now(), suppress_reason)
    with conn.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
    return len(rows)


def _rows(
    messages: Sequence[Message], settings: Settings, now: datetime, suppress_reason: str | None
) -> list[tuple[Any, ...]]:
    """One outbox row per message and endpoint that wants it."""
    return [
        _row(message, endpoint, settings, now, suppress_reason)
        for endpoint in endpoints(settings)
        for message in messages
        if endpoint.wants(message.event_type)
    ]


def let_go(
    conn: psycopg.Connection, event_ids: Sequence[str], *, settings: Settings, clock: Clock
) -> int:
    """Send what a backfill found first and held back, now that it is found as news.

    Args:
        conn: the connection of the transaction that writes the events.
        event_ids: events that were found, stored before or not.
        settings: endpoints and what kind of data the database holds.
        clock: what now is.

    Returns:
        How many rows are to be sent now.
    """
    now = clock.now()
    held = conn.execute(_HELD, {"reason": BACKFILL, "now": now, "ids": list(event_ids)}).fetchall()
    by_name = {e.name: e for e in endpoints(settings)}
    free = [
        (now, event, name)
        for event, name, event_type, severity, kind, limit in held
        if name in by_name
        and _held_back(TYPES[event_type], severity, kind, limit, by_name[name], settings, now)
        is None
    ]
    with conn.cursor() as cursor:
        cursor.executemany(_LET_GO, free)
    return len(free)


def _held_back(
    event_type: EventType,
    severity: str,
    kind: str | None,
    deliver_before: datetime,
    endpoint: Endpoint,
    settings: Settings,
    now: datetime,
) -> str | None:
    """Why an event that somebody may see as news is still not sent to an endpoint, or None."""
    if not event_type.is_sent(severity, kind):
        return "routing: too minor to send by default"
    if deliver_before <= now:
        return "older than its delivery limit when it was found"
    if settings.origin != "live" and not endpoint.is_loopback:
        return f"{settings.origin} data is sent to receivers on this machine only"
    return None


def _row(
    message: Message,
    endpoint: Endpoint,
    settings: Settings,
    now: datetime,
    suppress_reason: str | None,
) -> tuple[Any, ...]:
    event_type = TYPES[message.event_type]
    deliver_before = message.known_at + event_type.deliver_before
    reason = suppress_reason
    if message.worst_tier is not None and message.worst_tier >= STAND_IN_TIER:
        reason = f"made of rows of tier {message.worst_tier}, which nobody observed"
    if reason is None:
        reason = _held_back(
            event_type, message.severity, message.kind, deliver_before, endpoint, settings, now
        )
    return (
        message.event_id,
        endpoint.name,
        message.ts or message.known_at,
        message.event_type,
        message.severity,
        endpoint.channel.body(message, endpoint),
        "pending" if reason is None else "suppressed",
        reason,
        now,
        deliver_before,
        now,
        None if reason is None else now,
    )


def enqueue_system(
    database: Database,
    *,
    settings: Settings,
    clock: Clock,
    title: str,
    details: dict[str, Any],
    severity: str = "WARNING",
) -> int:
    """Store an operational event (a failed run, a dead source) and tell every endpoint that gets all.

    The id is a digest of title and details, so the same trouble told twice is one event.

    Returns:
        1 when the event is new, else 0.
    """
    told = json.dumps(details, sort_keys=True, separators=(",", ":"), default=str)
    named = f"{SYSTEM.name}|{title}|{told}".encode("utf-8", "replace")
    title, kept = _storable(title), _storable(json.loads(told))
    message = Message(
        event_id=hashlib.sha256(named).hexdigest(),
        event_type=SYSTEM.name,
        severity=severity,
        title=_marked(title, settings.origin),
        known_at=clock.now(),
        details=kept,
        data_origin=settings.origin,
    )
    event = (message.event_id, message.known_at, SYSTEM.name, severity, title, json.dumps(kept))
    rows = _rows([message], settings, message.known_at, None)
    with database.connect() as conn, conn.transaction(), conn.cursor() as cursor:
        new = cursor.execute(_INSERT_SYSTEM, event).rowcount
        cursor.executemany(_INSERT, rows)
    return new


def _storable(value: Any) -> Any:
    """A JSON value whose texts a database takes: no NUL, no half of a surrogate pair."""
    if isinstance(value, dict):
        return {_storable(k): _storable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_storable(v) for v in value]
    if isinstance(value, str):
        return value.replace("\0", " ").encode("utf-8", "replace").decode()
    return value
