"""The outbox as a dispatcher uses it: claim, note the start, record the outcome, move the row on.

Who holds rows also holds a session lock named by its lease: the database lets go of it when the
dispatcher's process ends, however it ends, so that its rows are free at once. The lease's time is for
dispatchers that live and hang. Does not belong here: sending (``attempt``), policy (``dispatch``).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from regime_pipeline.alerts.attempt import Answer, Claimed

LOST = "the dispatcher ended before it had an answer"
"""What the ledger says of an attempt that was begun and whose outcome nobody recorded."""
_HOLDERS = 2
"""Key space of the advisory locks of leases; that of endpoints is 1."""

EXPIRE = """
UPDATE alerts.outbox SET state = 'expired', reason = 'not delivered before its limit', finished_at = %(now)s
WHERE state = 'pending' AND deliver_before <= %(now)s
   OR state = 'sending' AND lease_until <= %(now)s AND deliver_before <= %(now)s
"""

# A lease or a wait that lies further ahead than it can have been set is left from before the clock
# was set back; nothing is waited for before the first attempt but what was set when the row was made,
# and nothing after one in the future. The endpoint's lock makes "nobody else has this endpoint in
# flight" true for two dispatchers at once.
_CLAIM = """
WITH held AS MATERIALIZED (
    SELECT DISTINCT lease_token FROM alerts.outbox
    WHERE endpoint = %(endpoint)s AND state = 'sending' AND lease_token IS NOT NULL
), ended AS MATERIALIZED (
    SELECT lease_token FROM held
    WHERE pg_try_advisory_xact_lock(hashtextextended(lease_token, %(holders)s))
), due AS (
    SELECT event_id, endpoint, state = 'sending' AS was_begun FROM alerts.outbox o
    WHERE endpoint = %(endpoint)s AND deliver_before > %(now)s
      AND (state = 'pending' AND (next_at <= %(now)s OR attempts = 0 AND next_at <= created_at
              OR EXISTS (
              SELECT 1 FROM alerts.delivery_attempts a
              WHERE a.event_id = o.event_id AND a.endpoint = o.endpoint AND a.attempted_at > %(now)s))
           OR state = 'sending' AND (lease_until <= %(now)s OR lease_until > %(lease)s
              OR lease_token IN (SELECT lease_token FROM ended)))
      AND (NOT %(paused)s OR deliver_before <= %(last)s)
      AND NOT EXISTS (
          SELECT 1 FROM alerts.outbox b
          WHERE b.endpoint = %(endpoint)s AND b.state = 'sending'
            AND b.lease_until > %(now)s AND b.lease_until <= %(lease)s
            AND b.lease_token NOT IN (SELECT lease_token FROM ended))
    ORDER BY alert_severity IS DISTINCT FROM 'CRITICAL', ts, event_id
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
UPDATE alerts.outbox o
SET state = 'sending', lease_until = %(lease)s, lease_token = %(token)s
FROM due WHERE o.event_id = due.event_id AND o.endpoint = due.endpoint
RETURNING o.alert_severity IS DISTINCT FROM 'CRITICAL', o.ts, o.event_id, o.body, o.attempts + 1,
    o.deliver_before, due.was_begun
"""

_LOST = """
INSERT INTO alerts.delivery_attempts
    (event_id, endpoint, attempt, attempted_at, outcome, error_class, recorded_at)
SELECT s.event_id, s.endpoint, s.attempt, s.attempted_at, 'unknown', %(lost)s, %(now)s
FROM alerts.delivery_starts s
WHERE s.endpoint = %(endpoint)s AND s.event_id = ANY(%(ids)s) AND NOT EXISTS (
    SELECT 1 FROM alerts.delivery_attempts a
    WHERE a.event_id = s.event_id AND a.endpoint = s.endpoint AND a.attempt = s.attempt)
ON CONFLICT DO NOTHING
"""

# The ledger itself says which attempt it is; who no longer holds the row begins nothing.
_START = """
INSERT INTO alerts.delivery_starts (event_id, endpoint, attempt, attempted_at)
SELECT o.event_id, o.endpoint, 1 + greatest(
    (SELECT max(attempt) FROM alerts.delivery_starts s
     WHERE s.event_id = o.event_id AND s.endpoint = o.endpoint),
    (SELECT max(attempt) FROM alerts.delivery_attempts a
     WHERE a.event_id = o.event_id AND a.endpoint = o.endpoint), 0), %(at)s
FROM alerts.outbox o
WHERE o.event_id = %(event_id)s AND o.endpoint = %(endpoint)s AND o.lease_token = %(token)s
ON CONFLICT DO NOTHING
RETURNING attempt
"""

# The outcome is kept whoever holds the lease by now; only who still holds it may settle the row: a slow
# worker must not overwrite a newer one.
_SETTLE = """
WITH attempt AS (
    INSERT INTO alerts.delivery_attempts (event_id, endpoint, attempt, attempted_at, latency_ms,
        http_status, outcome, error_class, response_excerpt, recorded_at)
    VALUES (%(event_id)s, %(endpoint)s, %(attempt)s, %(at)s, %(latency)s, %(status)s,
        %(outcome)s, %(error)s, %(excerpt)s, %(recorded)s)
    ON CONFLICT DO NOTHING
)
UPDATE alerts.outbox
SET state = %(state)s, reason = %(reason)s, attempts = attempts + 1, next_at = %(next_at)s,
    lease_until = NULL, lease_token = NULL, finished_at = %(finished)s
WHERE event_id = %(event_id)s AND endpoint = %(endpoint)s AND lease_token = %(token)s
"""

_RELEASE = """
UPDATE alerts.outbox SET state = 'pending', lease_until = NULL, lease_token = NULL
WHERE endpoint = %(endpoint)s AND state = 'sending' AND lease_token = %(token)s
"""


@dataclass(frozen=True)
class Settled:
    """What became of one attempt."""

    claimed: Claimed
    attempt: int
    begun_at: datetime
    answer: Answer
    state: str
    reason: str | None
    next_at: datetime
    at: datetime


@dataclass
class Ledger:
    """The rows of one endpoint, for one dispatcher that lives as long as its connection."""

    conn: psycopg.Connection
    endpoint: str
    lease: timedelta
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def open(self) -> None:
        """Let others see that whoever holds rows under this token lives."""
        self.conn.execute(
            "SELECT pg_advisory_lock(hashtextextended(%s, %s))", (self.token, _HOLDERS)
        )

    def claim(
        self, now: datetime, *, batch: int, last: datetime, is_paused: bool = False
    ) -> list[Claimed]:
        """Rows to be sent now, CRITICAL first, then by age; none while somebody else serves.

        Args:
            now: the present.
            batch: the most.
            last: rows whose limit is not later are sent even while the endpoint is paused.
            is_paused: whether the endpoint is left alone for now.
        """
        with self.conn.transaction():
            self.conn.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))",
                (f"outbox:{self.endpoint}",),
            )
            rows = self.conn.execute(
                _CLAIM,
                {
                    "endpoint": self.endpoint,
                    "holders": _HOLDERS,
                    "now": now,
                    "lease": now + self.lease,
                    "token": self.token,
                    "batch": batch,
                    "paused": is_paused,
                    "last": last,
                },
            ).fetchall()
            if begun := [row[2] for row in rows if row[6]]:
                lost = {"endpoint": self.endpoint, "ids": begun, "lost": LOST, "now": now}
                self.conn.execute(_LOST, lost)
        return [
            Claimed(event_id, body.encode(), attempt, deliver_before)
            for _, _, event_id, body, attempt, deliver_before, _ in sorted(rows)
        ]

    def step(self, settled: Settled | None, following: Claimed | None, now: datetime) -> int | None:
        """Record an outcome and note the start of the next attempt, in one transaction.

        Returns:
            The number of the attempt that may begin; None: none may, the row is somebody else's.
        """
        begun = None
        with self.conn.pipeline():
            if settled is not None:
                self.conn.execute(_SETTLE, self._values(settled))
            if following is not None:
                begun = self.conn.execute(
                    _START,
                    {
                        "event_id": following.event_id,
                        "endpoint": self.endpoint,
                        "token": self.token,
                        "at": now,
                    },
                )
        row = None if begun is None else begun.fetchone()
        return None if row is None else int(row[0])

    def _values(self, settled: Settled) -> dict[str, object]:
        answer = settled.answer
        return {
            "event_id": settled.claimed.event_id,
            "endpoint": self.endpoint,
            "attempt": settled.attempt,
            "at": settled.begun_at,
            "latency": answer.latency_ms,
            "status": answer.status,
            "outcome": answer.outcome,
            "error": answer.error,
            "excerpt": answer.excerpt,
            "token": self.token,
            "state": settled.state,
            "reason": settled.reason,
            "next_at": settled.next_at,
            "recorded": settled.at,
            "finished": None if settled.state == "pending" else settled.at,
        }

    def attempts_since(self, at: datetime) -> int:
        """How many attempts at this endpoint began after an instant."""
        row = self.conn.execute(
            "SELECT count(*) FROM alerts.delivery_starts WHERE endpoint = %s AND attempted_at > %s",
            (self.endpoint, at),
        ).fetchone()
        return 0 if row is None else int(row[0])

    def release(self) -> None:
        """Give back what was claimed and not sent."""
        self.conn.execute(_RELEASE, {"endpoint": self.endpoint, "token": self.token})
