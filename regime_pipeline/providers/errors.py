"""What can go wrong between us and a provider, and the one function that tells which it is.

Belongs here: the typed errors, what a status means, what words mean that any provider may use. Does
not belong here: the codes of one provider (its own module), retrying (``http``) and what a failure
means for a run (``fetch``).

``error_class`` is the stable name that goes into logs and tables. ``retryable`` says whether the
same request can succeed soon; ``fatal_for_source`` says that no other request to this source will.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from regime_pipeline.net.headers import retry_after_seconds

EXCERPT = 200


class ProviderError(Exception):
    """Base of all provider failures; the text never holds a secret or a query string."""

    retryable = False
    fatal_for_source = False
    was_sent = True
    """Whether a request was made at all."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.attempts = 0

    def again(self) -> ProviderError:
        """The same failure for another request that it keeps from being made."""
        return type(self)(str(self), retry_after=self.retry_after)

    @property
    def error_class(self) -> str:
        """The stable name of this failure."""
        return type(self).__name__


class OrderRefused(ProviderError):
    """A request that could place an order or reads an account; it is never sent."""

    was_sent = False
    fatal_for_source = True


class GeoBlocked(ProviderError):
    """The provider refuses this host's location or network; never retried."""

    fatal_for_source = True


class RateLimited(ProviderError):
    """Too many requests. ``retry_after`` seconds when the provider said so."""

    retryable = True


class Banned(ProviderError):
    """The provider blocks this address for a while because limits were ignored."""

    fatal_for_source = True


class BudgetSpent(RateLimited):
    """Our own share of the provider's rate limit is used up for longer than anybody waits."""

    was_sent = False


class CircuitOpen(ProviderError):
    """Not asked: the source failed before and is left alone for a while.

    Attributes:
        until: when a request may be tried again, tz-aware UTC.
        reason: what opened the breaker, secrets removed.
    """

    fatal_for_source = True
    was_sent = False

    def __init__(self, until: datetime, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"not asked before {until:%Y-%m-%d %H:%M:%S} UTC: {reason}")
        self.until = until
        self.reason = reason
        self.retry_after = retry_after

    def again(self) -> CircuitOpen:
        """The same refusal for another request."""
        return CircuitOpen(self.until, self.reason, retry_after=self.retry_after)


class PlanLimit(ProviderError):
    """The key is good, but its plan does not include this endpoint or interval."""


class AuthError(ProviderError):
    """The key is missing, wrong or expired."""

    fatal_for_source = True


class BadRequest(ProviderError):
    """The provider does not understand the request; asking again cannot help."""


class RetentionLimit(ProviderError):
    """The wanted start lies before the oldest thing the provider keeps."""


class UnknownSymbol(ProviderError):
    """The provider does not list this instrument."""


class Transient(ProviderError):
    """The provider or the way to it is out of order for now."""

    retryable = True


class DeadlineExceeded(Transient):
    """The whole request, headers and body, took longer than allowed."""


class TooLarge(ProviderError):
    """The decoded reply is larger than allowed; reading stopped there."""


class ContractViolation(ProviderError):
    """The reply is not of the shape that the provider documents; the text names the field."""


class Malformed(ContractViolation):
    """The reply cannot be decoded at all: cut, empty, HTML, no strict JSON."""

    retryable = True


class EmptyNotAllowed(ContractViolation):
    """The reply has no rows where the provider always has some."""


class NotPublished(ProviderError):
    """An archive has no such file, or not yet."""


class ChecksumMismatch(Malformed):
    """A file is not the one that its checksum file is about."""


class NoSourceError(Exception):
    """No configured source can serve the dataset."""


def excerpt(body: bytes) -> str:
    """The start of a body on one line, printable, for messages."""
    text = body[: EXCERPT * 4].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text)[:EXCERPT].strip()


# --- errors inside a decoded reply ---------------------------------------------------------------

_GEO_TEXT = re.compile(
    r"restricted location|block access from your country|not available in your (country|region)"
    r"|unavailable.{0,40}(country|region)",
    re.IGNORECASE,
)
_KEY_TEXT = re.compile(r"api[ _-]?key|unauthori[sz]ed|invalid token", re.IGNORECASE)
_PLAN_TEXT = re.compile(
    r"upgrade|(your|current|this|free) (api )?plan|subscription|not included in|plan (does|limit)",
    re.IGNORECASE,
)
_RATE_TEXT = re.compile(
    r"too (many|frequent)|rate ?limit|usage limit|limit exceeded|access too", re.IGNORECASE
)
_SYMBOL_TEXT = re.compile(
    r"(symbol|instrument|pair|coin).{0,40}(invalid|not (exist|support|found)|doesn|unknown)"
    r"|(invalid|unsupported|not supported|unknown).{0,20}(symbol|instrument|pair|coin)",
    re.IGNORECASE,
)


def is_about_place(text: str) -> bool:
    """Whether a message says that the place we ask from is refused."""
    return _GEO_TEXT.search(text) is not None


def text_of(document: Mapping[str, object], *names: str) -> str:
    """The first of these members that is a text, cut; empty without one."""
    for name in names:
        value = document.get(name)
        if isinstance(value, str) and value:
            return value[:EXCERPT]
    return ""


def kind_by_text(text: str) -> type[ProviderError]:
    """What a message means by its words; :class:`BadRequest` when they say nothing known."""
    for pattern, kind in (
        (_GEO_TEXT, GeoBlocked),
        (_PLAN_TEXT, PlanLimit),
        (_KEY_TEXT, AuthError),
        (_RATE_TEXT, RateLimited),
        (_SYMBOL_TEXT, UnknownSymbol),
    ):
        if pattern.search(text):
            return kind
    return BadRequest


_BAD_STATUS = ("error", "fail", "failed", "api_error")


def generic(doc: Mapping[str, object]) -> ProviderError | None:
    """An ``error`` (text, object or list), ``result: error``, ``success: false``, an error status."""
    said = doc.get("error") or doc.get("errors")
    if isinstance(said, list):
        said = said[0] if said else None
    if isinstance(said, dict):
        said = text_of(said, "message", "detail") or True
    marked = doc.get("result") == "error" or doc.get("success") is False
    if not (marked or isinstance(said, str) or said is True or doc.get("status") in _BAD_STATUS):
        return None
    text = text_of(doc, "message", "info", "detail", "msg")
    text = text or (said[:EXCERPT] if isinstance(said, str) else "error without a text")
    return kind_by_text(text)(text)


Envelope = Callable[[Mapping[str, object]], ProviderError | None]
"""Reads the error that a decoded reply reports inside itself; None when it reports none."""


@dataclass(frozen=True, slots=True)
class ErrorRules:
    """How a provider reports failures.

    Attributes:
        envelope: finds the error inside a decoded reply.
        by_status: what a status means with this provider and no other.
        is_paid: it is asked with a key, so that HTTP 403 is about the key or its plan; else 403 is
            about the place that we ask from.
        in_band: errors come with HTTP 200, whatever number they carry.
    """

    envelope: Envelope = generic
    by_status: Mapping[int, type[ProviderError]] = field(default_factory=dict)
    is_paid: bool = False
    in_band: bool = False

    def inside(self, document: object) -> ProviderError | None:
        """The error that a decoded reply reports inside itself, or None."""
        return self.envelope(document) if isinstance(document, dict) else None


GENERIC = ErrorRules()
"""For a provider that says nothing about its errors."""
PAID = ErrorRules(is_paid=True)
"""The same for one that is asked with a key."""


# --- status --------------------------------------------------------------------------------------

FORBIDDEN_PAUSE_S = 600.0
"""How long a provider that answers 403 to too many requests is left alone, unless it says."""


def _forbidden(text: str, rules: ErrorRules, wait: float | None) -> ProviderError:
    if _RATE_TEXT.search(text):
        return RateLimited(f"HTTP 403: {text}", retry_after=wait or FORBIDDEN_PAUSE_S)
    if rules.is_paid:
        kind = AuthError if _KEY_TEXT.search(text) and not _PLAN_TEXT.search(text) else PlanLimit
        return kind(f"HTTP 403: {text}")
    return GeoBlocked(f"HTTP 403: {text}")


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    rules: ErrorRules,
    *,
    now: datetime | None = None,
) -> ProviderError | None:
    """What a reply means, by status, then by what its body says.

    Args:
        status: HTTP status.
        headers: response headers, names in lower case or case-insensitive.
        body: decoded body; a broken one only makes the answer less exact.
        rules: how the provider reports failures.
        now: present instant, for a ``Retry-After`` date in a reply without ``Date``.

    Returns:
        None for a reply that may be parsed, else the error (not raised).
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    own = rules.inside(document)
    if status == 200:
        return own
    inside = own or GENERIC.inside(document)
    return _by_status(status, excerpt(body), rules, inside, retry_after_seconds(headers, now))


def _by_status(
    status: int, text: str, rules: ErrorRules, inside: ProviderError | None, wait: float | None
) -> ProviderError:
    said = str(inside) if inside is not None else text
    message = f"HTTP {status}: {said}"
    if status in rules.by_status:
        return rules.by_status[status](message)
    if status == 451:
        return GeoBlocked(message)
    if status == 418:
        return Banned(message, retry_after=wait)
    if status == 429:
        return RateLimited(message, retry_after=wait)
    if status == 403:
        return _forbidden(said, rules, wait)
    if status in (401, 402):
        paid = status == 402 or isinstance(inside, PlanLimit) or _PLAN_TEXT.search(said)
        return (PlanLimit if paid else AuthError)(message)
    if inside is not None and not isinstance(inside, BadRequest) and status < 500:
        return type(inside)(message, retry_after=wait)
    if status >= 500 or status in (408, 425):
        return Transient(message, retry_after=wait)
    if 300 <= status < 400:
        return ContractViolation(f"HTTP {status}: a redirect, which is not followed")
    if 200 <= status < 300:
        return ContractViolation(f"HTTP {status} instead of 200")
    return BadRequest(message)
