"""The dispatcher: claim, commit, send, record.

At least once, in effect exactly once: an event keeps its id and bytes over every attempt, receivers
drop repeats by ``webhook-id``. A crash between sending and recording leads to one repeat, never to a
loss. No transaction is open while a request is under way, each endpoint has at most one request in
flight, oldest event first, and nothing that one receiver does touches another. Does not belong here:
what is sent (``outbox``), to whom (``endpoints``), a single request (``attempt``).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from regime_pipeline.alerts import signing
from regime_pipeline.alerts.attempt import Answer, Claimed, Sender, Stamps
from regime_pipeline.alerts.endpoints import Endpoint, earlier_names, endpoints
from regime_pipeline.net.client import async_client
from regime_pipeline.net.redact import Redactor
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Clock, SystemClock

if TYPE_CHECKING:
    import psycopg

LEASE = timedelta(seconds=30)
BATCH = 25
"""Rows that a worker claims at once; it sends them one by one and gives back what it has no time for."""
BACKOFF_S = (5.0, 30.0, 120.0, 300.0, 900.0)
LAST_TRY = timedelta(seconds=60)
"""However long a receiver asks to be left alone: this long before its limit an alert is tried again."""

_EXPIRE = """
UPDATE alerts.outbox SET state = 'expired', reason = 'not delivered before its limit', finished_at = %(now)s
WHERE state = 'pending' AND deliver_before <= %(now)s
   OR state = 'sending' AND lease_until <= %(now)s AND deliver_before <= %(now)s
"""

_WAITING_AS = """
SELECT DISTINCT endpoint FROM alerts.outbox
WHERE state IN ('pending', 'sending') AND endpoint = ANY(%(names)s)
"""
_RENAME = """
UPDATE alerts.outbox o SET endpoint = %(new)s
WHERE endpoint = %(old)s AND state IN ('pending', 'sending') AND NOT EXISTS (
    SELECT 1 FROM alerts.outbox n WHERE n.event_id = o.event_id AND n.endpoint = %(new)s)
"""

# A lease or a wait that lies further ahead than it can have been set is left from before the clock
# was set back; nothing is waited for before the first attempt, and nothing after one in the future.
# The advisory lock makes "nobody else has this endpoint in flight" true for two dispatchers at once.
_CLAIM = """
WITH due AS (
    SELECT event_id, endpoint FROM alerts.outbox o
    WHERE endpoint = %(endpoint)s AND deliver_before > %(now)s
      AND (state = 'pending' AND (next_at <= %(now)s OR attempts = 0 OR EXISTS (
              SELECT 1 FROM alerts.delivery_attempts a
              WHERE a.event_id = o.event_id AND a.endpoint = o.endpoint AND a.attempted_at > %(now)s))
           OR state = 'sending' AND (lease_until <= %(now)s OR lease_until > %(lease)s))
      AND NOT EXISTS (
          SELECT 1 FROM alerts.outbox b
          WHERE b.endpoint = %(endpoint)s AND b.state = 'sending'
            AND b.lease_until > %(now)s AND b.lease_until <= %(lease)s)
    ORDER BY ts, event_id
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
UPDATE alerts.outbox o
SET state = 'sending', lease_until = %(lease)s, lease_token = %(token)s
FROM due WHERE o.event_id = due.event_id AND o.endpoint = due.endpoint
RETURNING o.ts, o.event_id, o.body, o.attempts + 1, o.deliver_before
"""

# The attempt is kept whoever holds the lease by now; only who still holds it may settle the row: a slow
# worker must not overwrite a newer one. The ledger itself says which attempt it was.
_SETTLE = """
WITH attempt AS (
    INSERT INTO alerts.delivery_attempts (event_id, endpoint, attempt, attempted_at, latency_ms,
        http_status, outcome, error_class, response_excerpt)
    SELECT %(event_id)s, %(endpoint)s, coalesce(max(attempt), 0) + 1, %(at)s, %(latency)s, %(status)s,
        %(outcome)s, %(error)s, %(excerpt)s
    FROM alerts.delivery_attempts WHERE event_id = %(event_id)s AND endpoint = %(endpoint)s
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


def dispatch_due(
    database: Database, settings: Settings, clock: Clock, *, budget_s: float = 40.0
) -> dict[str, int]:
    """Send what is due until nothing is, or the time budget is spent.

    Returns:
        Counts: ``delivered``, ``failed`` (to be tried again), ``dead``, ``expired``.

    Raises:
        ConfigurationError: the endpoints or the signing secret of the settings cannot be served.
        ExceptionGroup: the database failed some endpoints; the others were served first.
    """
    until = time.monotonic() + budget_s
    targets = endpoints(settings)
    counts = {"delivered": 0, "failed": 0, "dead": 0, "expired": 0}
    with database.connect() as conn, conn.transaction():
        counts["expired"] = conn.execute(_EXPIRE, {"now": clock.now()}).rowcount
        _take_over(conn, earlier_names(settings))
    if not targets:
        return counts
    secret = signing.signing_secret(settings)
    redactor = Redactor.of(settings)

    async def work() -> list[BaseException | None]:
        async with async_client(
            connections=max(4, len(targets)), timeout_s=settings.webhook_deadline_s
        ) as client:
            sender = Sender(client, secret, redactor, settings)
            lanes = [_Lane(sender, e, database, clock, until, counts).serve() for e in targets]
            return await asyncio.gather(*lanes, return_exceptions=True)

    failed = [e for e in asyncio.run(work()) if e is not None]
    if failed:
        raise BaseExceptionGroup("endpoints could not be served", failed)
    return counts


def _take_over(conn: psycopg.Connection, earlier: Mapping[str, str]) -> None:
    """What waits under a name that an endpoint had once goes on under its name now."""
    waiting = conn.execute(_WAITING_AS, {"names": list(earlier)}).fetchall()
    for (old,) in waiting:
        conn.execute(_RENAME, {"old": old, "new": earlier[old]})


@dataclass
class _Lane:
    """One endpoint: its due rows are sent one after the other."""

    sender: Sender
    endpoint: Endpoint
    database: Database
    clock: Clock
    until: float
    counts: dict[str, int]

    async def serve(self) -> None:
        """Send batches until nothing is due or the time is over."""
        stamps = Stamps(self.clock if isinstance(self.clock, SystemClock) else SystemClock())
        deadline = self.sender.settings.webhook_deadline_s
        lease = max(LEASE, timedelta(seconds=3 * deadline))
        with contextlib.ExitStack() as stack:
            conn = await asyncio.to_thread(
                stack.enter_context, self.database.connect(autocommit=True)
            )
            while time.monotonic() + deadline < self.until:
                token = uuid.uuid4().hex
                over = min(self.until, time.monotonic() + lease.total_seconds())
                batch = await asyncio.to_thread(self._claim, conn, token, lease)
                left = len(batch)
                for claimed in batch:
                    if time.monotonic() + deadline >= over:
                        break
                    if claimed.deliver_before <= self.clock.now():
                        continue
                    answer = await self.sender.send(self.endpoint, claimed, stamps)
                    state = await asyncio.to_thread(self._settle, conn, token, claimed, answer)
                    self.counts[state] += 1
                    left -= 1
                if left:
                    await asyncio.to_thread(self._release, conn, token)
                if left or not batch:
                    return

    def _claim(self, conn: psycopg.Connection, token: str, lease: timedelta) -> list[Claimed]:
        now = self.clock.now()
        with conn.transaction():
            conn.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))",
                (f"outbox:{self.endpoint.name}",),
            )
            rows = conn.execute(
                _CLAIM,
                {
                    "endpoint": self.endpoint.name,
                    "now": now,
                    "lease": now + lease,
                    "token": token,
                    "batch": BATCH,
                },
            ).fetchall()
        return [
            Claimed(event_id, body.encode(), attempt, deliver_before)
            for _, event_id, body, attempt, deliver_before in sorted(rows)
        ]

    def _release(self, conn: psycopg.Connection, token: str) -> None:
        conn.execute(_RELEASE, {"endpoint": self.endpoint.name, "token": token})

    def _settle(
        self, conn: psycopg.Connection, token: str, claimed: Claimed, answer: Answer
    ) -> str:
        """Record the attempt and move the row on; returns the key of the count it adds to."""
        now = self.clock.now()
        state, reason, next_at = outcome_of(claimed, answer, now)
        conn.execute(
            _SETTLE,
            {
                "event_id": claimed.event_id,
                "endpoint": self.endpoint.name,
                "at": now,
                "latency": answer.latency_ms,
                "status": answer.status,
                "outcome": answer.outcome,
                "error": answer.error,
                "excerpt": answer.excerpt,
                "token": token,
                "state": state,
                "reason": reason,
                "next_at": next_at,
                "finished": None if state == "pending" else now,
            },
        )
        return "failed" if state == "pending" else state


def outcome_of(claimed: Claimed, answer: Answer, now: datetime) -> tuple[str, str | None, datetime]:
    """What becomes of a row after an attempt: its state, the reason, and not before when.

    The wait is the longer of the schedule's and the receiver's, but one try is left before the limit.
    """
    if answer.outcome == "delivered":
        return "delivered", None, now
    if answer.is_final:
        return "dead", answer.error, now
    step = BACKOFF_S[min(claimed.attempt, len(BACKOFF_S)) - 1]
    backoff = timedelta(seconds=step * random.uniform(0.8, 1.2))  # noqa: S311
    asked = timedelta(seconds=answer.retry_after_s or 0.0)
    next_at = now + max(backoff, asked)
    last = claimed.deliver_before - LAST_TRY
    if now < last:
        next_at = min(next_at, max(last, now + timedelta(seconds=BACKOFF_S[0])))
    if next_at >= claimed.deliver_before:
        return "expired", f"no attempt succeeded before its limit; last: {answer.error}", next_at
    return "pending", answer.error, next_at
