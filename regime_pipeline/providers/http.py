"""HTTP: one pooled client with total deadlines, byte caps, retries and bounded concurrency.

Belongs here: getting the bytes of one reply, whole or not at all. Does not belong here: what to ask
for (``paging``), what the bytes mean (the providers' parsers), what a failure means (``fetch``).

Every socket operation gets what is left of the request's own deadline (``net.client``), and the body is
decoded piece by piece under a cap, so neither a drip nor a compressed bomb costs more than was granted.
"""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar
from urllib.parse import urlencode

import stamina

from regime_pipeline.net.client import (
    BROKE_OFF,
    TIMED_OUT,
    UNREACHABLE,
    UNUSABLE_ADDRESS,
    Connection,
    Response,
    client,
    deadline,
)
from regime_pipeline.net.headers import CLOCKS_APART, http_date
from regime_pipeline.net.hosts import host_of
from regime_pipeline.net.redact import Redactor
from regime_pipeline.providers.errors import (
    ContractViolation,
    DeadlineExceeded,
    ErrorRules,
    Malformed,
    ProviderError,
    TooLarge,
    Transient,
    classify,
)
from regime_pipeline.providers.landing import Landed, LandingStore
from regime_pipeline.providers.orders import refuse_orders
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock

T = TypeVar("T")

MAX_WAIT_S = 60.0
"""The longest wait between attempts; a provider that asks for more is deferred to a later run."""
ATTEMPTS_SPAN_S = 180.0
"""No attempt begins later than this after the first."""
ERROR_BODY_BYTES = 64 * 1024
_CHUNK = 64 * 1024
_PIECE = 2**20
_USER_AGENT = "regime-pipeline"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a gate sees it."""

    provider: str
    host: str
    path: str
    weight: int


class Gate(Protocol):
    """Asked before and told after each request: the place for rate budgets and breakers."""

    def enter(self, call: Call) -> AbstractContextManager[None]:
        """Waits until the call may be made.

        Raises:
            ProviderError: it may not be made now.
        """
        ...

    def observe(
        self,
        call: Call,
        *,
        status: int | None,
        headers: Mapping[str, str],
        error: ProviderError | None,
    ) -> None:
        """Is told how the call ended; ``status`` is None when no reply came."""
        ...


class OpenGate:
    """A gate that lets everything through."""

    def enter(self, call: Call) -> AbstractContextManager[None]:  # noqa: ARG002
        """Lets the call through."""
        return nullcontext()

    def observe(
        self,
        call: Call,
        *,
        status: int | None,
        headers: Mapping[str, str],
        error: ProviderError | None,
    ) -> None:
        """Takes no note."""


def _age(text: str) -> timedelta:
    return timedelta(seconds=int(text) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else 0)


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """One accepted reply.

    Attributes:
        parsed: what the parser made of the body.
        landed: where the exact bytes lie.
        url: request URL without secrets.
        status: HTTP status.
        fetched_at: when the request was sent, by the client's clock.
        http_date: the server's own time, null without a ``Date`` header.
        attempts: requests made.
        age: how long the reply lay in a cache that says so.
    """

    parsed: T
    landed: Landed
    url: str
    status: int
    fetched_at: datetime
    http_date: datetime | None
    attempts: int
    age: timedelta = timedelta(0)

    @property
    def seen_at(self) -> datetime:
        """When it was seen: by our clock, or by the server's where ours is clearly wrong."""
        if self.http_date is None:
            return self.fetched_at
        there = self.http_date + self.age
        return there if abs(there - self.fetched_at) > CLOCKS_APART else self.fetched_at


# --- the client ----------------------------------------------------------------------------------


class HttpClient:
    """Gets replies for the providers; a context manager, safe to share between threads.

    Args:
        settings: deadlines, caps, attempts, concurrency, and the secrets to keep out of texts.
        landing: where accepted bodies are kept.
        clock: stamps requests.
        gate: asked around each request.
        first_wait_s: backoff before the second attempt; it doubles, with jitter of the same size.
    """

    def __init__(
        self,
        settings: Settings,
        landing: LandingStore,
        clock: Clock,
        *,
        gate: Gate | None = None,
        first_wait_s: float = 0.25,
    ) -> None:
        self._deadline = settings.http_deadline_s
        self._cap = settings.http_max_bytes
        self._attempts = settings.http_attempts
        self._per_host = settings.http_concurrency_per_host
        self._redactor = Redactor.of(settings)
        self._landing = landing
        self._clock = clock
        self._gate: Gate = gate or OpenGate()
        self._first_wait = first_wait_s
        self._slots: dict[str, threading.BoundedSemaphore] = defaultdict(
            lambda: threading.BoundedSemaphore(self._per_host)
        )
        self._slots_lock = threading.Lock()
        self._client = client(
            connections=max(32, 4 * self._per_host),
            timeout_s=self._deadline,
            headers={"User-Agent": _USER_AGENT, "Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._client.close()

    @property
    def redactor(self) -> Redactor:
        """The redactor that knows the secrets of the settings."""
        return self._redactor

    @property
    def landing(self) -> LandingStore:
        """Where accepted bodies are kept."""
        return self._landing

    @property
    def concurrency_per_host(self) -> int:
        """How many requests to one host run at once."""
        return self._per_host

    def get(
        self,
        provider: str,
        base_url: str,
        path: str,
        params: Mapping[str, str],
        *,
        parse: Callable[[bytes], T],
        errors: ErrorRules,
        headers: Mapping[str, str] | None = None,
        weight: int = 1,
        stop: Callable[[], bool] | None = None,
        deadline_s: float | None = None,
        posted: bytes | None = None,
    ) -> Reply[T]:
        """One reply, parsed and landed; passing faults are tried again within bounds.

        A body that cannot be decoded counts as a passing fault. ``Retry-After`` is waited for up to
        :data:`MAX_WAIT_S`; a longer one raises at once, for the caller to come back later.

        Args:
            provider: provider name, for the gate and for texts.
            base_url: scheme, host and an optional prefix.
            path: path of the endpoint.
            params: query parameters. A key belongs here only where the provider takes it in no
                header; every text and stored URL made from them is redacted.
            parse: reads the body; its :class:`ProviderError` counts like any other failure.
            errors: how the provider reports failures.
            headers: further headers, the place for keys.
            weight: what the request costs, for the gate.
            stop: no further attempt is made once this is true.
            deadline_s: total time of one attempt, instead of the configured one.
            posted: JSON that asks the question, for an endpoint that reads it from the body of a POST
                and changes nothing by it; the parameters are then told in ``Reply.url`` only.

        Raises:
            OrderRefused: it is no mere reading; nothing is sent.
            ProviderError: the last failure, secrets removed, ``attempts`` set.
            OSError: the disk of the landing store is nearly full; nothing was asked.
        """
        refuse_orders(path, posted)
        self._landing.require_room()
        url = base_url.rstrip("/") + path + (f"?{urlencode(params)}" if params else "")
        call = Call(provider, host_of(url), path, weight)
        made = 0

        def again(error: Exception) -> bool | float:
            if not isinstance(error, ProviderError) or not error.retryable:
                return False
            if stop is not None and stop():
                return False
            if error.retry_after is None:
                return True
            return False if error.retry_after > MAX_WAIT_S else max(error.retry_after, 0.05)

        try:
            for attempt in stamina.retry_context(
                on=again,
                attempts=self._attempts,
                timeout=ATTEMPTS_SPAN_S,
                wait_initial=self._first_wait,
                wait_jitter=self._first_wait,
                wait_max=10.0,
            ):
                with attempt:
                    made += 1
                    return self._once(
                        call, url, headers or {}, parse, made, errors, deadline_s, posted
                    )
        except ProviderError as error:
            error.attempts = made if error.was_sent else made - 1
            raise
        raise AssertionError("the retry loop ended without a result")  # pragma: no cover

    def _slot(self, host: str) -> threading.BoundedSemaphore:
        with self._slots_lock:
            return self._slots[host]

    def _once(
        self,
        call: Call,
        url: str,
        headers: Mapping[str, str],
        parse: Callable[[bytes], T],
        made: int,
        errors: ErrorRules,
        deadline_s: float | None,
        posted: bytes | None,
    ) -> Reply[T]:
        status: int | None = None
        got: Mapping[str, str] = {}
        failure: ProviderError | None = None
        with self._slot(call.host), self._gate.enter(call):
            sent_at = self._clock.now()
            try:
                status, got, body, stream = self._exchange(
                    url, headers, deadline_s or self._deadline, posted
                )
                # first of all: texts quote and cut, and half a key is no longer found by anybody
                body = self._redactor.body(body)
                failure = self._judge(status, got, body, errors)
                if failure is None:
                    try:
                        parsed = parse(body)
                    except Malformed:
                        stream.close()  # whatever follows on this connection is not to be trusted
                        raise
            except ProviderError as error:
                failure = error
            except Exception as error:  # noqa: BLE001 - the text may hold a URL or a header
                kind = type(error).__name__
                failure = ContractViolation(f"the parser failed: {kind}")
                failure.__cause__ = None
            finally:
                if failure is not None:  # before anybody else sees the text
                    where = f"{call.provider} {call.path}: "
                    text = self._redactor.text(failure)
                    failure.args = (text if text.startswith(where) else where + text,)
                self._gate.observe(call, status=status, headers=got, error=failure)
        if failure is not None:
            raise failure from None
        return Reply(
            parsed=parsed,
            landed=self._landing.put(body),
            url=self._redactor.text(url),
            status=status or 0,
            fetched_at=sent_at,
            http_date=http_date(got.get("date", "")),
            attempts=made,
            age=_age(got.get("age", "")),
        )

    def _judge(
        self, status: int, headers: Mapping[str, str], body: bytes, errors: ErrorRules
    ) -> ProviderError | None:
        if status == 200:
            return None  # the parser reads the envelope; decoding twice would double its cost
        return classify(status, headers, body, errors, now=self._clock.now())

    def _exchange(
        self, url: str, headers: Mapping[str, str], deadline_s: float, posted: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes, Connection]:
        """Sends one request and reads the whole decoded body, within deadline and cap."""
        sent = {"Accept-Encoding": "gzip", **headers}
        if posted is not None:
            url, sent = url.partition("?")[0], {"Content-Type": "application/json", **sent}
        with deadline(deadline_s) as until:
            try:
                with self._client.stream(
                    "GET" if posted is None else "POST",
                    url,
                    content=posted,
                    headers=sent,
                    timeout=deadline_s,
                ) as response:
                    stream = response.extensions["network_stream"]
                    try:
                        body = self._read(response)
                    except BaseException:
                        stream.close()
                        raise
                    return response.status_code, response.headers, body, stream
            except TIMED_OUT as error:
                if time.monotonic() >= until - 0.01:
                    raise DeadlineExceeded(f"no whole reply within {deadline_s:g} s") from None
                raise Transient(f"{type(error).__name__} on the way to the provider") from None
            except BROKE_OFF as error:
                raise Malformed(f"the reply broke off: {error}") from None
            except UNREACHABLE as error:
                raise Transient(f"{type(error).__name__}: {error}") from None
            except UNUSABLE_ADDRESS as error:
                raise ContractViolation(f"the base URL cannot be used: {error}") from None

    def _read(self, response: Response) -> bytes:
        error = response.status_code != 200
        cap = min(self._cap, ERROR_BODY_BYTES) if error else self._cap
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", "", "gzip", "x-gzip"):
            coding = self._redactor.text(coding)[:20]
            raise ContractViolation(f"content encoding {coding!r} was not asked for")
        inflate = zlib.decompressobj(31) if "gzip" in coding else None
        parts: list[bytes] = []
        total = 0
        for raw in response.iter_raw(_CHUNK):
            pending = raw
            while pending:
                try:
                    most = min(_PIECE, cap - total + 1)
                    part = inflate.decompress(pending, most) if inflate else pending
                except zlib.error as broken:
                    raise Malformed(f"the compressed reply is damaged: {broken}") from None
                pending = inflate.unconsumed_tail if inflate else b""
                total += len(part)
                if total > cap:
                    if error:
                        return b"".join(parts)
                    raise TooLarge(f"the decoded reply is larger than {cap} bytes")
                parts.append(part)
                if inflate and inflate.eof:
                    pending = b""
        if inflate and total and not inflate.eof:
            raise Malformed("the compressed reply is cut short")
        return b"".join(parts)
