"""One attempt to deliver: look the host up, sign, send, read the answer, all under one deadline.

Whatever the other side does is an :class:`Answer`, never an exception. Does not belong here: what
becomes of the outbox row (``dispatch``), which addresses may be called (``endpoints``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from regime_pipeline.alerts import services, signing, smtp
from regime_pipeline.alerts.endpoints import (
    Endpoint,
    EndpointRefused,
    LookupFailed,
    checked_address,
)
from regime_pipeline.net.client import FAILED, AsyncClient, Response
from regime_pipeline.net.headers import CLOCKS_APART, http_date, retry_after_seconds
from regime_pipeline.net.redact import Redactor
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock

RESPONSE_CAP = 64 * 1024
LONGEST_WAIT_S = 7 * 86_400.0
USER_AGENT = "regime-pipeline"
_UNSIGNED = (400, 401, 403)
"""Answers with which a receiver may refuse a signature."""

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Claimed:
    """One outbox row that this worker may send; ``attempt`` counts from 1."""

    event_id: str
    body: bytes
    attempt: int
    deliver_before: datetime


@dataclass(frozen=True)
class Answer:
    """How one attempt ended.

    Attributes:
        outcome: delivered, failed, or unknown: fully sent and not answered.
        latency_ms: time of the whole attempt.
        status: HTTP status; None: no answer, or a number that is no status.
        error: class of the failure in words; None: delivered.
        excerpt: start of the answer's body, scrubbed.
        retry_after_s: the wait that the receiver asks for; None: it does not.
        is_final: the message is not to be sent again.
        is_refusal: nor once it was refused so a few times.
        is_gone: the receiver says that it no longer exists.
        moved_to: new id of the chat, which the message went to.
    """

    outcome: str
    latency_ms: float
    status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    retry_after_s: float | None = None
    is_final: bool = False
    is_refusal: bool = False
    is_gone: bool = False
    moved_to: str | None = None


@dataclass
class Stamps:
    """The time that attempts at one endpoint are signed with: ours, or what it says its own is."""

    clock: Clock
    offset: timedelta = timedelta(0)

    def now(self) -> datetime:
        """Now, by the receiver's clock."""
        return self.clock.now() + self.offset

    def learn(self, response: Response, name: str) -> bool:
        """Whether the receiver's clock is another one than we signed by; it is taken over then."""
        theirs = http_date(response.headers.get("date", ""))
        if theirs is None or abs(theirs - self.now()) <= CLOCKS_APART:
            return False
        self.offset = theirs - self.clock.now()
        log.warning("the clock of %s is %+.0f s from ours", name, self.offset.total_seconds())
        return True


@dataclass
class _Progress:
    """How far a request has come; what was fully sent may have been acted on."""

    is_sent: bool = False

    async def trace(self, event: str, _info: object) -> None:
        if event.endswith("send_request_body.complete"):
            self.is_sent = True


@dataclass(frozen=True)
class Sender:
    """What all attempts of one dispatch share."""

    client: AsyncClient
    secrets: tuple[SecretStr, ...]
    redactor: Redactor
    settings: Settings
    moved: dict[str, str] = field(default_factory=dict)
    """Chats that have a new id, by endpoint."""
    _addresses: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def send(self, endpoint: Endpoint, claimed: Claimed, stamps: Stamps) -> Answer:
        """One attempt under one total deadline; never raises for what the other side does.

        A receiver that refuses a signature while its clock is far from ours is asked once more, with
        a signature of its time; a chat that has moved, at its new id.
        """
        began = time.monotonic()
        progress = _Progress()

        def without(error: str, *, is_final: bool = False) -> Answer:
            outcome = "unknown" if progress.is_sent else "failed"
            self._addresses.pop(endpoint.name, None)
            spent = (time.monotonic() - began) * 1e3
            return Answer(outcome, spent, error=error, is_final=is_final)

        moved_to = None
        try:
            async with asyncio.timeout(self.settings.webhook_deadline_s):
                if endpoint.channel.way == "smtp":
                    return await self._mail(endpoint, claimed, progress, began)
                if endpoint.channel.way == "apprise":
                    return await self._service(endpoint, claimed, progress, began)
                response, body = await self._post(endpoint, claimed, stamps, progress)
                if response.status_code in _UNSIGNED and stamps.learn(response, endpoint.name):
                    progress.is_sent = False
                    response, body = await self._post(endpoint, claimed, stamps, progress)
                verdict = endpoint.channel.judge(response.status_code, body)
                if verdict.moved_to is not None:
                    progress.is_sent = False
                    moved_to = self.moved[endpoint.name] = verdict.moved_to
                    response, body = await self._post(endpoint, claimed, stamps, progress)
                    verdict = endpoint.channel.judge(response.status_code, body)
        except EndpointRefused as error:
            return without(f"EndpointRefused: {error}", is_final=True)
        except LookupFailed as error:
            return without(f"LookupFailed: {error}")
        except FAILED as error:
            return without(type(error).__name__)
        status = response.status_code
        return Answer(
            "delivered" if verdict.is_accepted else "failed",
            (time.monotonic() - began) * 1e3,
            status if 100 <= status <= 599 else None,
            verdict.error,
            self._excerpt(body),
            None if verdict.is_accepted else wait_asked_for(response.headers, body, stamps.now()),
            verdict.is_final,
            verdict.is_refusal,
            verdict.is_gone,
            moved_to,
        )

    def _excerpt(self, body: bytes) -> str:
        return self.redactor.text(self.redactor.body(body).decode("utf-8", "replace"))

    async def _mail(
        self, endpoint: Endpoint, claimed: Claimed, progress: _Progress, began: float
    ) -> Answer:
        """One mail handed over."""
        url, loopback = endpoint.url.get_secret_value(), self.settings.webhook_allow_loopback
        schemes = ("smtps", "smtp")

        def handing() -> None:
            progress.is_sent = True

        def hand() -> smtp.Handed:
            address, _ = checked_address(url, allow_loopback=loopback, schemes=schemes)
            timeout_s = self.settings.webhook_deadline_s
            return smtp.hand_over(
                endpoint, claimed.body, address, timeout_s=timeout_s, handing=handing
            )

        handed = await _aside(hand)
        verdict = handed.verdict
        return Answer(
            "delivered" if verdict.is_accepted else "failed",
            (time.monotonic() - began) * 1e3,
            error=verdict.error,
            excerpt=self._excerpt(handed.words),
            is_final=verdict.is_final,
            is_gone=verdict.is_gone,
        )

    async def _service(
        self, endpoint: Endpoint, claimed: Claimed, progress: _Progress, began: float
    ) -> Answer:
        """One message handed to Apprise, which says no more than whether it worked."""
        url, timeout_s = endpoint.url.get_secret_value(), self.settings.webhook_deadline_s
        progress.is_sent = True
        taken = await _aside(lambda: services.hand_over(url, claimed.body, timeout_s=timeout_s))
        spent = (time.monotonic() - began) * 1e3
        if taken:
            return Answer("delivered", spent)
        return Answer("failed", spent, error="the service did not take it")

    async def _target(self, endpoint: Endpoint) -> tuple[str, str]:
        """The URL with the checked address in place of the host, and the host to speak of."""
        known = self._addresses.get(endpoint.name)
        if known is None:
            url = endpoint.url.get_secret_value()
            loopback = self.settings.webhook_allow_loopback
            address, host = await _aside(lambda: checked_address(url, allow_loopback=loopback))
            parts = urlsplit(url)
            port = f":{parts.port}" if parts.port else ""
            netloc = (f"[{address}]" if ":" in address else address) + port
            named = f"[{host}]" if ":" in host else host
            target = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
            known = self._addresses[endpoint.name] = (target, named + port)
        return known

    async def _post(
        self,
        endpoint: Endpoint,
        claimed: Claimed,
        stamps: Stamps,
        progress: _Progress,
    ) -> tuple[Response, bytes]:
        """The answer and the start of its body."""
        target, host = await self._target(endpoint)
        if endpoint.name in self.moved:
            target = _at_chat(target, self.moved[endpoint.name])
        headers = {
            "content-type": endpoint.channel.content_type,
            "host": host,
            "user-agent": USER_AGENT,
            "accept-encoding": "identity",
        }
        if endpoint.channel.is_signed:
            keys = endpoint.secrets or self.secrets
            headers |= signing.headers(keys, claimed.event_id, claimed.body, stamps.now())
        if endpoint.authorization is not None:
            headers["authorization"] = endpoint.authorization.get_secret_value()
        request = self.client.build_request(
            "POST",
            target,
            content=claimed.body,
            headers=headers,
            extensions={"sni_hostname": urlsplit(f"//{host}").hostname, "trace": progress.trace},
        )
        response = await self.client.send(request, stream=True)
        try:
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > RESPONSE_CAP:
                    break
            return response, body[:RESPONSE_CAP]
        finally:
            await response.aclose()


def _at_chat(target: str, chat_id: str) -> str:
    """The address with another ``chat_id``."""
    parts = urlsplit(target)
    query = [(k, chat_id if k == "chat_id" else v) for k, v in parse_qsl(parts.query)]
    return urlunsplit(parts._replace(query=urlencode(query)))


async def _aside(call: Callable[[], T]) -> T:
    """A blocking call in a thread that nobody waits for once the caller has given up."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(found: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if found is not None:
            done.set_result(found)
        elif error is not None:
            done.set_exception(error)

    def work() -> None:
        found: T | None = None
        failed: Exception | None = None
        try:
            found = call()
        except (OSError, ValueError) as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, found, failed)

    threading.Thread(target=work, daemon=True, name="webhook-lookup").start()
    return await done


def wait_asked_for(headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    """The wait in seconds that an answer asks for, in its header or as ``retry_after`` in its body.

    Null policy: None when it says nothing, or something that is no time. Never more than a week.
    """
    wait = retry_after_seconds(headers, now)
    if wait is None:
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return None
        for part in (said, said.get("parameters") if isinstance(said, dict) else None):
            value = part.get("retry_after") if isinstance(part, dict) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
                wait = min(value, LONGEST_WAIT_S)
    return None if wait is None else min(float(wait), LONGEST_WAIT_S)
