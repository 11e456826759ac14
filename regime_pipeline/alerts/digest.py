"""Many events that wait for one receiver at once become one message.

What is CRITICAL is told by itself. Which events a digest holds is settled when it is made, so that
a repeat is the same message. Does not belong here: how it is written (``channels``), sending it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from regime_pipeline.alerts.channels import Endpoint
from regime_pipeline.alerts.message import Message, marked, text_of

DIGEST = "DIGEST"
"""Event type of a message that tells others."""
MOST = 1_000
"""Events that one digest holds at most."""
LISTED = 40
"""Events whose titles it tells; of the others it gives the number."""

_DUE = """
SELECT o.event_id, o.ts, o.alert_severity, o.deliver_before, coalesce(m.title, s.title) AS title,
    coalesce(m.known_at, s.known_at, o.ts) AS known_at, m.instrument, m.source_tier
FROM alerts.outbox o
LEFT JOIN alerts.market_events m ON m.event_id = o.event_id AND m.ts = o.ts
LEFT JOIN alerts.system_events s ON s.event_id = o.event_id
WHERE o.endpoint = %(endpoint)s AND o.state = 'pending' AND o.attempts = 0
    AND o.alert_severity <> 'CRITICAL' AND o.event_type <> %(digest)s
    AND o.next_at <= %(now)s AND o.deliver_before > %(now)s
ORDER BY o.ts, o.event_id LIMIT %(most)s FOR UPDATE OF o SKIP LOCKED
"""
_PUT = """
INSERT INTO alerts.outbox (event_id, endpoint, ts, event_type, alert_severity, body, state,
    attempts, next_at, deliver_before, created_at)
VALUES (%s, %s, %s, %s, %s, %s, 'pending', 0, %s, %s, %s)
ON CONFLICT (event_id, endpoint) DO NOTHING
"""
_TELL = """
UPDATE alerts.outbox SET state = 'digested', digest_id = %(digest)s, finished_at = %(now)s,
    reason = %(reason)s
WHERE endpoint = %(endpoint)s AND event_id = ANY(%(ids)s)
"""


def gather(conn: psycopg.Connection, endpoint: Endpoint, now: datetime, origin: str) -> int:
    """Put what waits for an endpoint into digests, where it is more than the endpoint wants singly.

    Args:
        conn: a connection outside of a transaction.
        endpoint: the receiver.
        now: the present.
        origin: what kind of data the database holds.

    Returns:
        How many events went into digests.
    """
    if endpoint.digest_over is None:
        return 0
    gathered = 0
    while True:
        with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            asked = {"endpoint": endpoint.name, "digest": DIGEST, "now": now, "most": MOST}
            rows = cursor.execute(_DUE, asked).fetchall()
            if len(rows) <= endpoint.digest_over:
                return gathered
            message = digest_of(rows, endpoint.name, origin)
            put = (
                *(message.event_id, endpoint.name, rows[-1]["ts"], DIGEST, message.severity),
                *(endpoint.channel.body(message, endpoint), now),
                *(max(row["deliver_before"] for row in rows), now),
            )
            cursor.execute(_PUT, put)
            told = {
                "digest": message.event_id,
                "now": now,
                "reason": f"told in digest {message.event_id[:8]}",
                "endpoint": endpoint.name,
                "ids": [row["event_id"] for row in rows],
            }
            cursor.execute(_TELL, told)
            gathered += len(rows)


def digest_of(rows: list[dict[str, Any]], endpoint: str, origin: str) -> Message:
    """The message that tells events; the same events give the same id."""
    ids = "|".join(sorted(row["event_id"] for row in rows))
    counts = Counter(row["alert_severity"] for row in rows)
    worst = "WARNING" if counts["WARNING"] else "INFO"
    named = list(dict.fromkeys(row["instrument"] for row in rows if row["instrument"]))
    about = ", ".join(named[:4]) + (" and others" if len(named) > 4 else "")
    tiers = [row["source_tier"] for row in rows if row["source_tier"] is not None]
    worst_first = sorted(rows, key=lambda r: r["alert_severity"] != "WARNING")
    return Message(
        event_id=hashlib.sha256(f"{DIGEST}|{endpoint}|{ids}".encode()).hexdigest(),
        event_type=DIGEST,
        severity=worst,
        title=marked(f"{len(rows)} alerts at once" + (f": {about}" if about else ""), origin),
        known_at=max(row["known_at"] for row in rows),
        details={
            "count": len(rows),
            "count_warning": counts["WARNING"],
            "count_info": counts["INFO"],
            "events": [
                {
                    "event_id": row["event_id"],
                    "severity": row["alert_severity"],
                    "known_at": text_of(row["known_at"]),
                    "title": row["title"],
                }
                for row in worst_first[:LISTED]
            ],
        },
        data_origin=origin,
        worst_tier=max(tiers) if tiers else None,
    )
