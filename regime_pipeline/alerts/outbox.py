"""The outbox: one row per event and endpoint, written in the transaction that writes the event.

The body is serialised here once; those bytes are what is signed and sent, however often. Does not
belong here: sending (``dispatch``), deciding what is an event (``events``).
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, cast

import pandas as pd
import psycopg

from regime_pipeline.alerts import events as market
from regime_pipeline.alerts.endpoints import SYSTEM, Endpoint, endpoints
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Clock

SYSTEM_DELIVER_BEFORE = timedelta(hours=24)
STAND_IN_TIER = 4
"""From this ``source_tier`` on a row is a cache's or a generator's: nothing of it is ever sent."""

_INSERT = """
INSERT INTO alerts.outbox (event_id, endpoint, ts, event_type, alert_severity, body, state, reason,
    attempts, next_at, deliver_before, created_at, finished_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, %s, %s, %s, %s)
ON CONFLICT (event_id, endpoint) DO NOTHING
"""


def body_of(event: dict[str, Any]) -> str:
    """The webhook body of an event: canonical JSON with type, timestamp and data."""
    data = {
        "event_id": event["event_id"],
        "event_type": event["event_type"],
        "kind": event["kind"],
        "severity": event["alert_severity"],
        "instrument": event["instrument"],
        "level": event["level"],
        "title": event["title"],
        "ts": _iso(event["ts"]),
        "known_at": _iso(event["known_at"]),
        "episode_start": _iso(event["episode_start"]),
        "details": json.loads(event["details"]),
        "method_version": event["method_version"],
    }
    body = {"type": event["event_type"], "timestamp": _iso(event["known_at"]), "data": data}
    return json.dumps(
        body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
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
    targets = endpoints(settings)
    if inserted.empty or not targets:
        return 0
    now = clock.now()
    ordered = inserted.sort_values(["known_at", "event_id"])
    rows = [
        _row(event, endpoint, settings, now, suppress_reason)
        for event in cast("list[dict[str, Any]]", ordered.to_dict("records"))
        for endpoint in targets
        if endpoint.wants(event["event_type"])
    ]
    with conn.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
    return len(rows)


def _row(
    event: dict[str, Any],
    endpoint: Endpoint,
    settings: Settings,
    now: datetime,
    suppress_reason: str | None,
) -> tuple[Any, ...]:
    deliver_before = event["known_at"].to_pydatetime() + market.DELIVER_BEFORE[event["event_type"]]
    reason = suppress_reason
    if event["source_tier"] is not pd.NA and event["source_tier"] >= STAND_IN_TIER:
        reason = f"made of rows of tier {event['source_tier']}, which nobody observed"
    if reason is None and not market.should_deliver(event):
        reason = "routing: too minor to send by default"
    if reason is None and deliver_before <= now:
        reason = "older than its delivery limit when it was found"
    if reason is None and settings.origin != "live" and not endpoint.is_loopback:
        reason = f"{settings.origin} data is sent to receivers on this machine only"
    return (
        event["event_id"],
        endpoint.name,
        event["ts"].to_pydatetime(),
        event["event_type"],
        event["alert_severity"],
        body_of(event),
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
    now = clock.now()
    text = json.dumps(details, sort_keys=True, separators=(",", ":"), default=str)
    event_id = hashlib.sha256(f"{SYSTEM}|{title}|{text}".encode()).hexdigest()
    data = {"event_id": event_id, "event_type": SYSTEM, "title": title, "details": json.loads(text)}
    body = json.dumps(
        {"type": SYSTEM, "timestamp": now.isoformat(), "data": data},
        sort_keys=True,
        separators=(",", ":"),
    )
    written = 0
    with database.connect() as conn, conn.transaction():
        for endpoint in endpoints(settings):
            if endpoint.event_types is not None:
                continue
            blocked = settings.origin != "live" and not endpoint.is_loopback
            reason = f"{settings.origin} data is sent to receivers on this machine only"
            written += conn.execute(
                _INSERT,
                (
                    event_id,
                    endpoint.name,
                    now,
                    SYSTEM,
                    "WARNING",
                    body,
                    "suppressed" if blocked else "pending",
                    reason if blocked else None,
                    now,
                    now + SYSTEM_DELIVER_BEFORE,
                    now,
                    now if blocked else None,
                ),
            ).rowcount
    return written


def _iso(stamp: pd.Timestamp) -> str:
    return stamp.isoformat().replace("+00:00", "Z")
