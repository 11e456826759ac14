"""What can go wrong between us and a provider, and the one function that tells which it is.

Belongs here: the typed errors, their classification from status, headers and body. Does not belong
here: retrying (``http``) and what a failure means for a run (``fetch``).

``error_class`` is the stable name that goes into logs and tables. ``retryable`` says whether the
same request can succeed soon; ``fatal_for_source`` says that no other request to this source will.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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


# --- error envelopes inside a decoded reply ------------------------------------------------------

_BINANCE: dict[int, type[ProviderError]] = {
    -1000: Transient,
    -1001: Transient,
    -1006: Transient,
    -1007: Transient,
    -1008: Transient,
    -1016: Transient,
    -1003: RateLimited,
    -1015: RateLimited,
    -1002: AuthError,
    -1022: AuthError,
    -2014: AuthError,
    -2015: AuthError,
    -1121: UnknownSymbol,
    -1122: UnknownSymbol,
}
_OKX: dict[str, type[ProviderError]] = {
    "50001": Transient,
    "50004": Transient,
    "50005": Transient,
    "50013": Transient,
    "50026": Transient,
    "50011": RateLimited,
    "50040": RateLimited,
    "50061": RateLimited,
    "51001": UnknownSymbol,
    "51008": BadRequest,
    "50100": AuthError,
    "50101": AuthError,
    "50103": AuthError,
    "50104": AuthError,
    "50105": AuthError,
    "50111": AuthError,
    "50113": AuthError,
    "50119": AuthError,
}
_BYBIT: dict[int, type[ProviderError]] = {
    10000: Transient,
    10016: Transient,
    10006: RateLimited,
    10018: RateLimited,
    10003: AuthError,
    10004: AuthError,
    10005: AuthError,
    33004: AuthError,
    10009: Banned,
    10024: GeoBlocked,
}
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


def _text(document: Mapping[str, object], *names: str) -> str:
    for name in names:
        value = document.get(name)
        if isinstance(value, str) and value:
            return value[:EXCERPT]
    return ""


def _by_text(text: str) -> type[ProviderError]:
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


def _binance(doc: Mapping[str, object]) -> ProviderError | None:
    code = doc.get("code")
    if isinstance(code, bool) or not isinstance(code, int) or "msg" not in doc:
        return None
    text = _text(doc, "msg")
    kind = _BINANCE.get(code)
    if kind is None and code == -1130 and "starttime" in text.lower():
        kind = RetentionLimit
    if kind is None:
        kind = GeoBlocked if code == 0 and _GEO_TEXT.search(text) else BadRequest
    return kind(f"code {code}: {text}")


def _okx(doc: Mapping[str, object]) -> ProviderError | None:
    code = doc.get("code")
    if code is None or str(code) == "0":
        return None
    text = _text(doc, "msg", "error_message")
    kind = _OKX.get(str(code)) or BadRequest
    return kind(f"code {str(code)[:20]}: {text}")


def _bybit(doc: Mapping[str, object]) -> ProviderError | None:
    code = doc.get("retCode", doc.get("ret_code"))
    if code is None and "error" in doc:
        text = _text(doc, "error")
        return _by_text(text)(text)
    if isinstance(code, str) and re.fullmatch(r"[0-9]{1,9}", code):
        code = int(code)
    if isinstance(code, bool) or not isinstance(code, int) or code == 0:
        return None
    text = _text(doc, "retMsg", "ret_msg")
    kind = _BYBIT.get(code)
    if kind is None:
        kind = UnknownSymbol if "symbol" in text.lower() else BadRequest
    return kind(f"code {code}: {text}")


def _coinglass(doc: Mapping[str, object]) -> ProviderError | None:
    code = doc.get("code")
    if code is None or str(code) == "0":
        return None
    text = _text(doc, "msg")
    kind = _by_text(text)
    if kind is BadRequest:
        by_code: dict[str, type[ProviderError]] = {
            "401": AuthError,
            "403": PlanLimit,
            "429": RateLimited,
        }
        number = str(code)[:20]
        kind = by_code.get(number) or (Transient if re.fullmatch(r"5\d\d", number) else BadRequest)
    return kind(f"code {str(code)[:20]}: {text}")


def _alternative_me(doc: Mapping[str, object]) -> ProviderError | None:
    metadata = doc.get("metadata")
    said = metadata.get("error") if isinstance(metadata, dict) else None
    return None if said is None else BadRequest(f"error: {str(said)[:EXCERPT]}")


def _generic(doc: Mapping[str, object]) -> ProviderError | None:
    """An ``error`` (text, object or list), ``result: error``, ``success: false``, an error status."""
    said = doc.get("error") or doc.get("errors")
    if isinstance(said, list):
        said = said[0] if said else None
    if isinstance(said, dict):
        said = _text(said, "message", "detail") or True
    marked = doc.get("result") == "error" or doc.get("success") is False
    if not (marked or isinstance(said, str) or said is True or doc.get("status") in _BAD_STATUS):
        return None
    text = _text(doc, "message", "info", "detail", "msg")
    text = text or (said[:EXCERPT] if isinstance(said, str) else "error without a text")
    return _by_text(text)(text)


_BAD_STATUS = ("error", "fail", "failed", "api_error")
_HISTORY_TEXT = re.compile(
    r"(start|history|histor).{0,60}(old|before|past|range|limit|allow|plan)", re.IGNORECASE
)


def _whale_alert(doc: Mapping[str, object]) -> ProviderError | None:
    error = _generic(doc)
    if isinstance(error, BadRequest | PlanLimit) and _HISTORY_TEXT.search(str(error)):
        return RetentionLimit(str(error))
    return error


_ENVELOPES: dict[str, Callable[[Mapping[str, object]], ProviderError | None]] = {
    "binance": _binance,
    "binance_us": _binance,
    "binance_futures": _binance,
    "okx": _okx,
    "bybit": _bybit,
    "coinglass": _coinglass,
    "alternative_me": _alternative_me,
    "whale_alert": _whale_alert,
}
"""How each provider reports an error inside a reply; the others do it generically."""


def envelope(provider: str, document: object) -> ProviderError | None:
    """The error that a decoded reply reports inside itself, or None."""
    if not isinstance(document, dict):
        return None
    return _ENVELOPES.get(provider, _generic)(document)


# --- status --------------------------------------------------------------------------------------

_ARCHIVES = {"binance_archive"}
_PAID = {
    "coinglass", "coinapi", "lunarcrush", "whale_alert", "sentiment", "liquidation_service",
    "news", "dashboard",
}  # fmt: skip
_NO_DATA = {("coinapi", 550)}
BYBIT_403_PAUSE_S = 600.0


def _forbidden(text: str, provider: str, wait: float | None) -> ProviderError:
    if _RATE_TEXT.search(text):
        return RateLimited(f"HTTP 403: {text}", retry_after=wait or BYBIT_403_PAUSE_S)
    if provider in _PAID:
        kind = AuthError if _KEY_TEXT.search(text) and not _PLAN_TEXT.search(text) else PlanLimit
        return kind(f"HTTP 403: {text}")
    return GeoBlocked(f"HTTP 403: {text}")


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    provider: str,
    *,
    now: datetime | None = None,
) -> ProviderError | None:
    """What a reply means, by status, then by what its body says.

    Args:
        status: HTTP status.
        headers: response headers, names in lower case or case-insensitive.
        body: decoded body; a broken one only makes the answer less exact.
        provider: provider name, which decides how an error body is read.
        now: present instant, for a ``Retry-After`` date in a reply without ``Date``.

    Returns:
        None for a reply that may be parsed, else the error (not raised).
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    inside = envelope(provider, document) or (
        _generic(document) if isinstance(document, dict) else None
    )
    if status == 200:
        return envelope(provider, document)
    return _by_status(status, excerpt(body), provider, inside, retry_after_seconds(headers, now))


def _by_status(
    status: int, text: str, provider: str, inside: ProviderError | None, wait: float | None
) -> ProviderError:
    said = str(inside) if inside is not None else text
    message = f"HTTP {status}: {said}"
    if (provider, status) in _NO_DATA:
        return UnknownSymbol(message)
    if status == 451:
        return GeoBlocked(message)
    if status == 418:
        return Banned(message, retry_after=wait)
    if status == 429:
        return RateLimited(message, retry_after=wait)
    if status == 403:
        return _forbidden(said, provider, wait)
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
    if status == 404 and provider in _ARCHIVES:
        return NotPublished(message)
    return BadRequest(message)
