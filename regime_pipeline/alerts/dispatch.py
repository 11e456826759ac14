"""The dispatcher: claim, commit, send, record.

At least once, in effect exactly once: an event keeps its id and bytes over every attempt, receivers
drop repeats by ``webhook-id``. A crash between sending and recording leads to one repeat, never to a
loss. No transaction is open while a request is under way, each endpoint has at most one request in
flight, oldest event first. Does not belong here: what is sent (``outbox``), to whom (``endpoints``).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import SecretStr

from regime_pipeline.alerts import signing
from regime_pipeline.alerts.endpoints import (
    Endpoint,
    EndpointRefused,
    LookupFailed,
    checked_address,
    endpoints,
)
from regime_pipeline.net.headers import CLOCKS_APART, http_date
from regime_pipeline.net.redact import Redactor
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Clock, SystemClock

LEASE = timedelta(seconds=30)
RESPONSE_CAP = 64 * 1024
BACKOFF_S = (5.0, 30.0, 120.0, 300.0, 900.0)
USER_AGENT = "regime-pipeline"
_REFUSED = (400, 401, 403)

log = logging.getLogger(__name__)

_EXPIRE = """
UPDATE alerts.outbox SET state = 'expired', reason = 'not delivered before its limit', finished_at = %(now)s
WHERE state = 'pending' AND deliver_before <= %(now)s
   OR state = 'sending' AND lease_until <= %(now)s AND deliver_before <= %(now)s
"""

# A lease or a wait that lies further ahead than it can have been set is left from before the clock
# was set back; nothing is waited for before the first attempt, and nothing after one in the future.
# The advisory lock makes "nobody else has this endpoint in flight" true for two dispatchers at once.
_CLAIM = """
WITH due AS (
    SELECT event_id, endpoint FROM alerts.outbox o
    WHERE endpoint = %(endpoint)s
      AND (state = 'pending' AND (next_at <= %(now)s OR attempts = 0 OR EXISTS (
              SELECT 1 FROM alerts.delivery_attempts a
              WHERE a.event_id = o.event_id AND a.endpoint = o.endpoint AND a.attempted_at > %(now)s))
           OR state = 'sending' AND (lease_until <= %(now)s OR lease_until > %(lease)s))
      AND NOT EXISTS (
          SELECT 1 FROM alerts.outbox b
          WHERE b.endpoint = o.endpoint AND b.state = 'sending'
            AND b.lease_until > %(now)s AND b.lease_until <= %(lease)s)
    ORDER BY ts, event_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE alerts.outbox o
SET state = 'sending', attempts = o.attempts + 1, lease_until = %(lease)s, lease_token = %(token)s
FROM due WHERE o.event_id = due.event_id AND o.endpoint = due.endpoint
RETURNING o.event_id, o.body, o.attempts, o.deliver_before
"""

_RECORD = """
INSERT INTO alerts.delivery_attempts (event_id, endpoint, attempt, attempted_at, latency_ms,
    http_status, outcome, error_class, response_excerpt)
VALUES (%(event_id)s, %(endpoint)s, %(attempt)s, %(at)s, %(latency)s, %(status)s, %(outcome)s,
    %(error)s, %(excerpt)s)
ON CONFLICT DO NOTHING
"""

# Only who still holds the lease may settle the row: a slow worker must not overwrite a newer one.
_SETTLE = """
UPDATE alerts.outbox
SET state = %(state)s, reason = %(reason)s, next_at = %(next_at)s, lease_until = NULL,
    lease_token = NULL, finished_at = %(finished)s
WHERE event_id = %(event_id)s AND endpoint = %(endpoint)s AND lease_token = %(token)s
"""


@dataclass(frozen=True)
class Claimed:
    """One outbox row that this worker may send."""

    event_id: str
    body: bytes
    attempt: int
    deliver_before: datetime
    token: str


@dataclass(frozen=True)
class Answer:
    """How one attempt ended."""

    outcome: str  # delivered | failed | unknown
    status: int | None
    error: str | None
    excerpt: str | None
    retry_after_s: float | None
    permanent: bool
    latency_ms: float


@dataclass
class _Stamps:
    """The time that attempts at one endpoint are signed with: ours, or what it says its own is."""

    clock: Clock
    offset: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.clock.now() + self.offset

    def learn(self, response: httpx.Response, name: str) -> bool:
        """Whether the receiver's clock is another one than we signed by; it is taken over then."""
        theirs = http_date(response.headers.get("date", ""))
        if theirs is None or abs(theirs - self.now()) <= CLOCKS_APART:
            return False
        self.offset = theirs - self.clock.now()
        log.warning("the clock of %s is %+.0f s from ours", name, self.offset.total_seconds())
        return True


@dataclass(frozen=True)
class _Desk:
    """What all attempts of one dispatch share."""

    client: httpx.AsyncClient
    secret: SecretStr
    redactor: Redactor
    settings: Settings


def dispatch_due(
    database: Database, settings: Settings, clock: Clock, *, budget_s: float = 40.0
) -> dict[str, int]:
    """Send what is due until nothing is, or the time budget is spent.

    Returns:
        Counts: ``delivered``, ``failed`` (to be tried again), ``dead``, ``expired``.
    """
    started = time.monotonic()
    counts = {"delivered": 0, "failed": 0, "dead": 0, "expired": 0}
    with database.connect() as conn, conn.transaction():
        counts["expired"] = conn.execute(_EXPIRE, {"now": clock.now()}).rowcount
    targets = endpoints(settings)
    if not targets:
        return counts
    secret = signing.signing_secret(settings)
    redactor = Redactor.of(settings)

    async def work() -> None:
        limits = httpx.Limits(max_connections=max(4, len(targets)))
        async with httpx.AsyncClient(
            trust_env=False, follow_redirects=False, limits=limits
        ) as client:
            desk = _Desk(client, secret, redactor, settings)
            until = started + budget_s
            await asyncio.gather(
                *(_drain(desk, e, database, clock, until, counts) for e in targets)
            )

    asyncio.run(work())
    return counts


async def _drain(
    desk: _Desk,
    endpoint: Endpoint,
    database: Database,
    clock: Clock,
    until: float,
    counts: dict[str, int],
) -> None:
    """Send an endpoint's due rows one after the other."""
    stamps = _Stamps(clock if isinstance(clock, SystemClock) else SystemClock())
    while time.monotonic() + desk.settings.webhook_deadline_s < until:
        claimed = await asyncio.to_thread(_claim, database, endpoint.name, clock)
        if claimed is None:
            return
        answer = await _send(desk, endpoint, claimed, stamps)
        state = await asyncio.to_thread(_settle, database, endpoint.name, claimed, answer, clock)
        counts[state] += 1


def _claim(database: Database, endpoint: str, clock: Clock) -> Claimed | None:
    now = clock.now()
    token = uuid.uuid4().hex
    with database.connect() as conn, conn.transaction():
        conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (f"outbox:{endpoint}",)
        )
        row = conn.execute(
            _CLAIM, {"endpoint": endpoint, "now": now, "lease": now + LEASE, "token": token}
        ).fetchone()
    if row is None:
        return None
    return Claimed(row[0], row[1].encode(), row[2], row[3], token)


async def _send(desk: _Desk, endpoint: Endpoint, claimed: Claimed, stamps: _Stamps) -> Answer:
    """One attempt under one total deadline; never raises for what the other side does.

    A receiver that refuses a signature while its clock is far from ours is asked once more, with a
    signature of its time.
    """
    began = time.monotonic()

    def answer(outcome: str, *, error: str | None = None, permanent: bool = False) -> Answer:
        return Answer(outcome, None, error, None, None, permanent, (time.monotonic() - began) * 1e3)

    url = endpoint.url.get_secret_value()
    try:
        address, host = await asyncio.to_thread(
            checked_address, url, allow_loopback=desk.settings.webhook_allow_loopback
        )
    except LookupFailed as error:
        return answer("failed", error=f"LookupFailed: {error}")
    except EndpointRefused as error:
        return answer("failed", error=f"EndpointRefused: {error}", permanent=True)
    parts = urlsplit(url)
    netloc = f"[{address}]" if ":" in address else address
    target = urlunsplit(
        (
            parts.scheme,
            netloc + (f":{parts.port}" if parts.port else ""),
            parts.path or "/",
            parts.query,
            "",
        )
    )

    async def post() -> tuple[httpx.Response, str]:
        headers = {
            **signing.headers(desk.secret, claimed.event_id, claimed.body, stamps.now()),
            "content-type": "application/json",
            "host": host + (f":{parts.port}" if parts.port else ""),
            "user-agent": USER_AGENT,
            "accept-encoding": "identity",
        }
        request = desk.client.build_request(
            "POST", target, content=claimed.body, headers=headers, extensions={"sni_hostname": host}
        )
        response = await desk.client.send(request, stream=True)
        try:
            return response, await _excerpt(response, desk.redactor)
        finally:
            await response.aclose()

    try:
        async with asyncio.timeout(desk.settings.webhook_deadline_s):
            response, excerpt = await post()
            if response.status_code in _REFUSED and stamps.learn(response, endpoint.name):
                response, excerpt = await post()
    except (TimeoutError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError) as error:
        # the request may have been read and acted on: say so instead of calling it failed
        return answer("unknown", error=type(error).__name__)
    except httpx.HTTPError as error:
        return answer("failed", error=type(error).__name__)
    latency = (time.monotonic() - began) * 1e3
    ok = 200 <= response.status_code < 300
    return Answer(
        "delivered" if ok else "failed",
        response.status_code,
        None if ok else f"HTTP {response.status_code}",
        excerpt,
        _retry_after(response.headers.get("retry-after")),
        response.status_code == 410,
        latency,
    )


async def _excerpt(response: httpx.Response, redactor: Redactor) -> str:
    """The start of the body; redacted before it is cut, for nobody finds half a key."""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > RESPONSE_CAP:
            break
    return redactor.text(redactor.body(body[:RESPONSE_CAP]).decode("utf-8", "replace"))


def _retry_after(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


def _settle(
    database: Database, endpoint: str, claimed: Claimed, answer: Answer, clock: Clock
) -> str:
    """Record the attempt and move the row on; returns the key of the count it adds to."""
    now = clock.now()
    state, reason, next_at, finished = "delivered", None, now, now
    if answer.outcome != "delivered":
        wait = BACKOFF_S[min(claimed.attempt, len(BACKOFF_S)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311
        next_at = now + timedelta(seconds=max(wait, answer.retry_after_s or 0.0))
        reason = answer.error
        if answer.permanent:
            state = "dead"
        elif next_at >= claimed.deliver_before:
            state, reason = (
                "expired",
                f"no attempt succeeded before its limit; last: {answer.error}",
            )
        else:
            state, finished = "pending", None  # type: ignore[assignment]
    with database.connect() as conn, conn.transaction():
        conn.execute(
            _RECORD,
            {
                "event_id": claimed.event_id,
                "endpoint": endpoint,
                "attempt": claimed.attempt,
                "at": now,
                "latency": answer.latency_ms,
                "status": answer.status,
                "outcome": answer.outcome,
                "error": answer.error,
                "excerpt": answer.excerpt,
            },
        )
        conn.execute(
            _SETTLE,
            {
                "event_id": claimed.event_id,
                "endpoint": endpoint,
                "token": claimed.token,
                "state": state,
                "reason": reason,
                "next_at": next_at,
                "finished": finished,
            },
        )
    return "failed" if state == "pending" else state
