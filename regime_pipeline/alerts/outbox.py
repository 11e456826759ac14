"""The outbox: one row per event and endpoint, written in the transaction that writes the event.

The body is made here once, by the endpoint's channel; those bytes are what is sent, however often. Does
not belong here: sending (``dispatch``), deciding what is an event (``events``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pandas as pd
import psycopg

from regime_pipeline.alerts import health
from regime_pipeline.alerts.context import surround
from regime_pipeline.alerts.endpoints import Endpoint, endpoints
from regime_pipeline.alerts.kinds import BACKFILL, SYSTEM, TYPES, EventType
from regime_pipeline.alerts.message import Message, marked
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Clock

STAND_IN_TIER = 4
"""From this ``source_tier`` on a row is a cache's or a generator's: nothing of it is ever sent."""

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
_ACKNOWLEDGED = """
SELECT e.event_id FROM unnest(%(ids)s::text[], %(types)s::text[], %(instruments)s::text[],
        %(levels)s::text[], %(known)s::timestamptz[])
    AS e (event_id, event_type, instrument, level, known_at)
JOIN alerts.acknowledgements a ON a.event_type = e.event_type AND a.instrument = e.instrument
    AND a.level = e.level AND a.known_at < e.known_at
WHERE NOT EXISTS (
    SELECT 1 FROM alerts.market_events m
    WHERE m.event_type = e.event_type AND m.instrument = e.instrument
        AND m.known_at > a.known_at AND m.known_at <= e.known_at
        AND (m.level <> a.level OR m.kind = 'end'))
"""
"""Events whose type and instrument a person knows to be at that level, without a change since."""
_ACKNOWLEDGE = """
INSERT INTO alerts.acknowledgements (event_id, event_type, instrument, level, known_at, acknowledged_at)
SELECT event_id, event_type, instrument, level, known_at, %(now)s FROM alerts.market_events
WHERE event_id = %(id)s ON CONFLICT (event_id) DO UPDATE SET acknowledged_at = excluded.acknowledged_at
RETURNING event_id
"""
_ACKNOWLEDGED_NOW = """
UPDATE alerts.outbox SET state = 'suppressed', reason = %(reason)s, finished_at = %(now)s
WHERE event_id = %(id)s AND state = 'pending'
"""
ACKNOWLEDGED = "acknowledged; told again when the state has changed"
_LET_GO = """
UPDATE alerts.outbox SET state = 'pending', reason = NULL, finished_at = NULL, next_at = %s
WHERE event_id = %s AND endpoint = %s
"""


def switched_off(reason: str | None) -> str:
    """Why nothing is sent to a receiver that is switched off."""
    return f"its receiver is switched off: {reason}"


def message_of(
    event: dict[str, Any], origin: str, context: Mapping[str, Any] | None = None
) -> Message:
    """A row of ``alerts.market_events`` as channels see it.

    Args:
        event: the row.
        origin: what kind of data it was made of.
        context: what surrounds it.
    """
    tier = event["source_tier"]
    return Message(
        event_id=event["event_id"],
        event_type=event["event_type"],
        severity=event["alert_severity"],
        title=marked(event["title"], origin),
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
        context=context or {},
    )


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
    now = clock.now()
    ordered = inserted.sort_values(["known_at", "event_id"])
    events = cast("list[dict[str, Any]]", ordered.to_dict("records"))
    news = frozenset(
        e["event_id"]
        for e in events
        if suppress_reason is None and e["known_at"] + TYPES[e["event_type"]].deliver_before > now
    )
    contexts = surround(conn, events, settings, news=news) if events else {}
    messages = [message_of(e, settings.origin, contexts[e["event_id"]]) for e in events]
    known = _acknowledged(conn, messages) if news else frozenset()
    rows = _rows(conn, messages, settings, now, suppress_reason, known)
    with conn.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
    return len(rows)


def _acknowledged(conn: psycopg.Connection, messages: Sequence[Message]) -> frozenset[str]:
    """Those that a person knows of already."""
    asked = {
        "ids": [m.event_id for m in messages],
        "types": [m.event_type for m in messages],
        "instruments": [m.instrument for m in messages],
        "levels": [m.level for m in messages],
        "known": [m.known_at for m in messages],
    }
    return frozenset(row[0] for row in conn.execute(_ACKNOWLEDGED, asked))


def acknowledge(conn: psycopg.Connection, event_id: str, clock: Clock) -> bool:
    """Note that a person knows of a market event; what waits of it is not sent any more.

    Returns:
        Whether there is such an event.
    """
    asked = {"id": event_id, "now": clock.now(), "reason": ACKNOWLEDGED}
    if conn.execute(_ACKNOWLEDGE, asked).fetchone() is None:
        return False
    conn.execute(_ACKNOWLEDGED_NOW, asked)
    return True


def _rows(
    conn: psycopg.Connection,
    messages: Sequence[Message],
    settings: Settings,
    now: datetime,
    suppress_reason: str | None,
    acknowledged: frozenset[str] = frozenset(),
) -> list[tuple[Any, ...]]:
    """One outbox row per message and endpoint that wants it."""
    targets = endpoints(settings)
    states = health.stored(conn, [e.name for e in targets]) if targets else {}
    off = {n: switched_off(h.disabled_reason) for n, h in states.items() if h.disabled_at}
    return [
        _row(
            message,
            endpoint,
            settings,
            now,
            suppress_reason
            or off.get(endpoint.name)
            or (ACKNOWLEDGED if message.event_id in acknowledged else None),
        )
        for endpoint in targets
        for message in messages
        if endpoint.wants(message.event_type)
        and endpoint.rules.tells(message.severity, message.instrument)
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
    states = health.stored(conn, by_name) if held else {}
    by_name = {n: e for n, e in by_name.items() if n not in states or not states[n].disabled_at}
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
    if endpoint.rules.severity is None and not event_type.is_sent(severity, kind):
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
    held_until = endpoint.rules.held_until(message.severity, now)
    if reason is None and held_until is not None and held_until >= deliver_before:
        reason = "quiet hours of its receiver last longer than it is news"
    return (
        message.event_id,
        endpoint.name,
        message.ts or message.known_at,
        message.event_type,
        message.severity,
        endpoint.channel.body(message, endpoint),
        "pending" if reason is None else "suppressed",
        reason,
        held_until if reason is None and held_until is not None else now,
        deliver_before,
        now,
        None if reason is None else now,
    )


_UNSENT = """
SELECT o.endpoint, o.event_type, o.alert_severity FROM alerts.outbox o
WHERE o.event_id = %(id)s AND o.state NOT IN ('delivered', 'sending') AND NOT EXISTS (
    SELECT 1 FROM alerts.market_events e
    WHERE e.event_id = o.event_id AND e.ts = o.ts AND e.source_tier >= %(stand_in)s)
FOR UPDATE OF o
"""
_AGAIN = """
UPDATE alerts.outbox SET state = 'pending', reason = NULL, finished_at = NULL, next_at = created_at,
    attempts = 0, deliver_before = greatest(deliver_before, %s)
WHERE event_id = %s AND endpoint = %s
"""


def retry(
    conn: psycopg.Connection,
    event_id: str,
    endpoint: str | None,
    *,
    settings: Settings,
    clock: Clock,
) -> int:
    """Send an event again to receivers that did not get it, because a person asks for it.

    Args:
        conn: a connection inside a transaction.
        event_id: the event.
        endpoint: only this receiver; None: all of them.
        settings: endpoints and what kind of data the database holds.
        clock: what now is.

    Returns:
        How many rows are to be sent now; those of receivers that are switched off or not configured,
        of data that may not leave this machine or that nobody observed, are not.
    """
    now = clock.now()
    by_name = {e.name: e for e in endpoints(settings) if endpoint in (None, e.name)}
    states = health.stored(conn, by_name)
    again = []
    asked = {"id": event_id, "stand_in": STAND_IN_TIER}
    for name, event_type, severity in conn.execute(_UNSENT, asked).fetchall():
        if name not in by_name or (name in states and states[name].disabled_at is not None):
            continue
        limit = now + TYPES[event_type].deliver_before
        routed = replace(by_name[name], rules=replace(by_name[name].rules, severity="INFO"))
        if _held_back(TYPES[event_type], severity, None, limit, routed, settings, now) is None:
            again.append((limit, event_id, name))
    with conn.cursor() as cursor:
        cursor.executemany(_AGAIN, again)
    return len(again)


def enqueue_system(
    database: Database,
    *,
    settings: Settings,
    clock: Clock,
    title: str,
    details: dict[str, Any],
    severity: str = "WARNING",
    kind: EventType = SYSTEM,
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
        event_type=kind.name,
        severity=severity,
        title=marked(title, settings.origin),
        known_at=clock.now(),
        details=kept,
        data_origin=settings.origin,
    )
    event = (message.event_id, message.known_at, kind.name, severity, title, json.dumps(kept))
    with database.connect() as conn, conn.transaction(), conn.cursor() as cursor:
        rows = _rows(conn, [message], settings, message.known_at, None)
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
