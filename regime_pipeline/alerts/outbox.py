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
from regime_pipeline.alerts.kinds import SYSTEM, TYPES
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


def _row(
    message: Message,
    endpoint: Endpoint,
    settings: Settings,
    now: datetime,
    suppress_reason: str | None,
) -> tuple[Any, ...]:
    kind = TYPES[message.event_type]
    deliver_before = message.known_at + kind.deliver_before
    reason = suppress_reason
    if message.worst_tier is not None and message.worst_tier >= STAND_IN_TIER:
        reason = f"made of rows of tier {message.worst_tier}, which nobody observed"
    if reason is None and not kind.is_sent(message.severity):
        reason = "routing: too minor to send by default"
    if reason is None and deliver_before <= now:
        reason = "older than its delivery limit when it was found"
    if reason is None and settings.origin != "live" and not endpoint.is_loopback:
        reason = f"{settings.origin} data is sent to receivers on this machine only"
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
    database: Database, *, settings: Settings, clock: Clock, title: str, details: dict[str, Any]
) -> int:
    """Write an operational alert (a failed run, a dead source) for every ``WEBHOOKS_ALL`` endpoint.

    The id is a digest of title and details, so the same trouble told twice is one alert.

    Returns:
        How many rows were new.
    """
    text = json.dumps(details, sort_keys=True, separators=(",", ":"), default=str)
    message = Message(
        event_id=hashlib.sha256(f"{SYSTEM.name}|{title}|{text}".encode()).hexdigest(),
        event_type=SYSTEM.name,
        severity="WARNING",
        title=_marked(title, settings.origin),
        known_at=clock.now(),
        details=json.loads(text),
        data_origin=settings.origin,
    )
    rows = _rows([message], settings, clock.now(), None)
    with database.connect() as conn, conn.transaction(), conn.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
        return cursor.rowcount if rows else 0
