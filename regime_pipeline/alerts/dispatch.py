"""The dispatcher: claim, commit, note the start, send, record.

At least once, in effect exactly once: an event keeps its id and bytes over every attempt, receivers
drop repeats by ``webhook-id``. A crash between sending and recording leads to one repeat, never to a
loss, and its attempt stands in the ledger. No transaction is open while a request is under way, each
endpoint has at most one request in flight, and nothing that one receiver does touches another. Does not
belong here: what is sent (``outbox``), to whom (``endpoints``), a single request (``attempt``), the
statements (``ledger``), when a receiver is paused or switched off (``health``).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from regime_pipeline.alerts import digest, health, signing
from regime_pipeline.alerts.answers import FEW
from regime_pipeline.alerts.attempt import Answer, Claimed, Sender, Stamps
from regime_pipeline.alerts.endpoints import Endpoint, earlier_names, endpoints, secrets_in
from regime_pipeline.alerts.health import Health
from regime_pipeline.alerts.kinds import RECEIVER_GONE
from regime_pipeline.alerts.ledger import EXPIRE, Ledger, Settled
from regime_pipeline.alerts.outbox import enqueue_system, switched_off
from regime_pipeline.net.client import async_client
from regime_pipeline.net.redact import Redactor
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Clock, SystemClock

if TYPE_CHECKING:
    import psycopg

LEASE = timedelta(seconds=30)
"""How long rows are held by a dispatcher that lives and says nothing; one that ended holds none."""
BATCH = 25
"""Rows that a worker claims at once; it sends them one by one and gives back what it has no time for."""
BACKOFF_S = (5.0, 30.0, 120.0, 300.0, 900.0)
LAST_TRY = timedelta(seconds=60)
"""However long a receiver asks to be left alone: this long before its limit an alert is tried again."""
MINUTE = timedelta(minutes=1)

_WAITING_AS = """
SELECT DISTINCT endpoint FROM alerts.outbox
WHERE state IN ('pending', 'sending') AND endpoint = ANY(%(names)s)
"""
_RENAME = """
UPDATE alerts.outbox o SET endpoint = %(new)s
WHERE endpoint = %(old)s AND state IN ('pending', 'sending') AND NOT EXISTS (
    SELECT 1 FROM alerts.outbox n WHERE n.event_id = o.event_id AND n.endpoint = %(new)s)
"""
_SUPPRESS = """
UPDATE alerts.outbox SET state = 'suppressed', reason = %(reason)s, finished_at = %(now)s
WHERE endpoint = %(endpoint)s AND state = 'pending'
"""


def dispatch_due(
    database: Database, settings: Settings, clock: Clock, *, budget_s: float = 40.0
) -> dict[str, int]:
    """Send what is due until nothing is, or the time budget is spent.

    Returns:
        Counts: ``delivered``, ``failed`` (to be tried again), ``dead``, ``expired``, ``digested``.

    Raises:
        ConfigurationError: the endpoints or the signing secret of the settings cannot be served.
        ExceptionGroup: the database failed some endpoints; the others were served first.
    """
    until = time.monotonic() + budget_s
    targets = endpoints(settings)
    counts = {"delivered": 0, "failed": 0, "dead": 0, "expired": 0, "digested": 0}
    with database.connect() as conn, conn.transaction():
        counts["expired"] = conn.execute(EXPIRE, {"now": clock.now()}).rowcount
        _take_over(conn, earlier_names(settings))
        states = health.stored(conn, [e.name for e in targets])
    if not targets:
        return counts
    keys = signing.signing_secrets(settings)
    redactor = Redactor.of(settings, secrets_in(targets))
    told: list[tuple[str, dict[str, Any]]] = []

    async def work() -> list[BaseException | None]:
        async with async_client(
            connections=max(4, len(targets)), timeout_s=settings.webhook_deadline_s
        ) as client:
            moved = {s.endpoint: s.moved_to for s in states.values() if s.moved_to is not None}
            sender = Sender(client, keys, redactor, settings, moved)
            lanes = [
                _Lane(
                    sender,
                    e,
                    database,
                    clock,
                    until,
                    counts,
                    states.get(e.name) or Health(e.name, e.channel.name),
                    told,
                ).serve()
                for e in targets
            ]
            return await asyncio.gather(*lanes, return_exceptions=True)

    failed = [e for e in asyncio.run(work()) if e is not None]
    for title, details in told:
        enqueue_system(
            database,
            settings=settings,
            clock=clock,
            title=title,
            details=details,
            kind=RECEIVER_GONE,
        )
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
    health: Health
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def serve(self) -> None:
        """Send batches until nothing is due, the receiver is to be left alone, or the time is over."""
        stamps = Stamps(self.clock if isinstance(self.clock, SystemClock) else SystemClock())
        deadline = self.sender.settings.webhook_deadline_s
        lease = max(LEASE, timedelta(seconds=3 * deadline))
        with contextlib.ExitStack() as stack:
            conn = await asyncio.to_thread(
                stack.enter_context, self.database.connect(autocommit=True)
            )
            ledger = Ledger(conn, self.endpoint.name, lease)
            if not await asyncio.to_thread(self._open, ledger):
                return
            while time.monotonic() + deadline < self.until:
                batch = await asyncio.to_thread(self._claim, ledger)
                over = min(self.until, time.monotonic() + lease.total_seconds())
                left = await self._send(ledger, batch, stamps, over)
                if left:
                    await asyncio.to_thread(ledger.release)
                if left or not batch or self.health.disabled_at is not None:
                    return

    def _open(self, ledger: Ledger) -> bool:
        """Make ready; whether there is anything to do."""
        if self.health.disabled_at is not None:
            self._switch_off(ledger.conn)
            return False
        ledger.open()
        origin = self.sender.settings.origin
        self.counts["digested"] += digest.gather(
            ledger.conn, self.endpoint, self.clock.now(), origin
        )
        return True

    def _claim(self, ledger: Ledger) -> list[Claimed]:
        now, batch = self.clock.now(), BATCH
        if self.endpoint.per_minute is not None:
            batch = min(batch, self.endpoint.per_minute - ledger.attempts_since(now - MINUTE))
        if batch <= 0:
            return []
        return ledger.claim(
            now, batch=batch, last=now + LAST_TRY, is_paused=self.health.is_paused(now)
        )

    async def _send(self, ledger: Ledger, batch: list[Claimed], stamps: Stamps, over: float) -> int:
        """Send a batch until the time is over; returns how many rows of it are left."""
        left, settled, before = len(batch), None, self.health
        was_paused = before.is_paused(self.clock.now())
        for claimed in batch:
            now = self.clock.now()
            if time.monotonic() + self.sender.settings.webhook_deadline_s >= over:
                break
            if self.health.disabled_at or (self.health.is_paused(now) and not was_paused):
                break
            if claimed.deliver_before <= now:
                continue
            attempt = await asyncio.to_thread(ledger.step, settled, claimed, now)
            settled = None
            if attempt is None:
                continue
            answer = await self.sender.send(self.endpoint, claimed, stamps)
            settled = self._settled(claimed, attempt, now, answer)
            left -= 1
        await asyncio.to_thread(self._finish, ledger, settled, before)
        return left

    def _settled(self, claimed: Claimed, attempt: int, begun: datetime, answer: Answer) -> Settled:
        now = self.clock.now()
        state, reason, next_at = outcome_of(claimed, answer, now)
        self.counts["failed" if state == "pending" else state] += 1
        after = self.health.after(answer, now)
        if (worth := health.told_of(self.health, after)) is not None:
            self.told.append(worth)
        self.health = after
        return Settled(claimed, attempt, begun, answer, state, reason, next_at, now)

    def _finish(self, ledger: Ledger, settled: Settled | None, before: Health) -> None:
        """Record the last outcome of a batch, and how the receiver fares after it."""
        if settled is not None:
            ledger.step(settled, None, self.clock.now())
        if self.health != before:
            health.store(ledger.conn, self.health)
        if self.health.disabled_at is not None:
            ledger.release()
            self._switch_off(ledger.conn)

    def _switch_off(self, conn: psycopg.Connection) -> None:
        conn.execute(
            _SUPPRESS,
            {
                "endpoint": self.endpoint.name,
                "reason": switched_off(self.health.disabled_reason),
                "now": self.clock.now(),
            },
        )


def outcome_of(claimed: Claimed, answer: Answer, now: datetime) -> tuple[str, str | None, datetime]:
    """What becomes of a row after an attempt: its state, the reason, and not before when.

    The wait is the longer of the schedule's and the receiver's, but one try is left before the limit.
    """
    if answer.outcome == "delivered":
        return "delivered", None, now
    if answer.is_final or (answer.is_refusal and claimed.attempt >= FEW):
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
