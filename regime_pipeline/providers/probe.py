"""Asking a source whether it is there: one cheap request each, through the gate.

Belongs here: asking, the plan that the headers report, what a person can do about each kind of
failure. Does not belong here: data, and showing any of this.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import orjson
from pydantic import SecretStr

from regime_pipeline.net.hosts import host_of
from regime_pipeline.net.redact import fingerprint
from regime_pipeline.providers.errors import (
    AuthError,
    Banned,
    CircuitOpen,
    ContractViolation,
    GeoBlocked,
    NotPublished,
    PlanLimit,
    ProviderError,
    RateLimited,
    Transient,
)
from regime_pipeline.providers.fetch.sources import base_url, effective_source, off_reason
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.providers.limits.breaker import Breaker
from regime_pipeline.providers.limits.gate import HostGate
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.providers.source import Source, posted
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock

DEADLINE_S = 8.0
_SIMULATED_DEADLINE_S = 60.0
"""A simulator that was started for the question makes its market while it answers the first ones."""
_UNSET = re.compile(r"no (\w+) is set")
REACH_S = 4.0


@dataclass(frozen=True)
class SourceAnswer:
    """What one request to a source showed.

    Attributes:
        source: configured name.
        host: host and port asked.
        is_reachable: whether it answers us; None when it was not asked.
        latency_ms: of the request, null without an answer.
        clock_ahead_s: how far our clock is ahead of the server's, whole seconds; null where it told
            no time.
        key: ``not needed``, ``missing`` or ``present``.
        key_fingerprint: tells keys apart; null without one.
        plan: as its rate limit tells, null when it does not.
        budgets: ``(limit's name, used, limit, window in s)`` of the windows that run now.
        breaker: as all processes see it.
        error_class: of the failure, null when all is well.
        problem: what went wrong, secrets removed.
        advice: one line on what to do.
        is_off: nothing can be asked, because a key or the address is not set.
    """

    source: str
    host: str
    is_reachable: bool | None
    latency_ms: float | None
    clock_ahead_s: int | None
    key: str
    key_fingerprint: str | None
    plan: str | None
    budgets: tuple[tuple[str, int, int, float], ...]
    breaker: Breaker
    error_class: str | None
    problem: str | None
    advice: str | None
    is_off: bool = False


def ask_all(
    settings: Settings, gate: HostGate, clock: Clock, *, asking: bool = True
) -> list[SourceAnswer]:
    """Every configured source, asked side by side; unknown names are an answer too.

    Args:
        settings: sources, addresses, keys.
        gate: asked before and told after each request, as for any other.
        clock: stamps requests.
        asking: False tells what is known without a request.
    """
    # the reply is not evidence of anything: it is not landed on disk
    limit = min(settings.http_deadline_s, DEADLINE_S)
    if settings.origin == "simulated":
        limit = _SIMULATED_DEADLINE_S
    quick = settings.model_copy(update={"http_attempts": 1, "http_deadline_s": limit})
    names = list(dict.fromkeys(settings.sources))
    with (
        HttpClient(quick, LandingStore("memory://probe"), clock, gate=gate) as client,
        ThreadPoolExecutor(max(1, len(names)), thread_name_prefix="probe") as pool,
    ):
        return list(pool.map(lambda name: _ask(name, quick, client, gate, asking), names))


@dataclass(frozen=True, slots=True)
class Reach:
    """Which venues can be had from here.

    Attributes:
        answering: venues whose spot and perpetual interfaces answer, in order of preference.
        blocked: venues that refuse this location; one that is out of order is in neither.
        problems: why, in one line, by source that did not answer.
    """

    answering: tuple[str, ...]
    blocked: frozenset[str]
    problems: Mapping[str, str]


_VENUES = {"binance": ("binance", "binance_futures"), "okx": ("okx",), "bybit": ("bybit",)}


def venues_from_here(settings: Settings, clock: Clock) -> Reach:
    """Asks each venue with a whole market, side by side and without waiting long."""
    names = tuple(source for sources in _VENUES.values() for source in sources)
    quick = settings.model_copy(
        update={"sources": names, "http_deadline_s": min(settings.http_deadline_s, REACH_S)}
    )
    found = {a.source: a for a in ask_all(quick, HostGate(pace=False), clock)}
    return Reach(
        tuple(v for v, of in _VENUES.items() if all(found[s].error_class is None for s in of)),
        frozenset(
            v for v, of in _VENUES.items() if any(found[s].error_class == "GeoBlocked" for s in of)
        ),
        {name: a.problem for name, a in found.items() if a.problem is not None},
    )


def _ask(
    name: str, settings: Settings, client: HttpClient, gate: HostGate, asking: bool
) -> SourceAnswer:
    if name not in SOURCES:
        known = ", ".join(SOURCES)
        return SourceAnswer(
            name, "", None, None, None, "not needed", None, None, (), Breaker(), "ValueError",
            "there is no such source", f"REGIME_SOURCES may name {known}",
        )  # fmt: skip
    source = effective_source(settings, SOURCES[name])
    address = base_url(settings, source)
    host = host_of(address)
    key: SecretStr | None = getattr(settings, source.key_setting) if source.key_setting else None
    failure: ProviderError | None = None
    latency: float | None = None
    ahead: int | None = None
    off = off_reason(settings, source)
    if off is not None:
        failure = AuthError(off.removeprefix("off: "))
    elif asking:
        began = time.monotonic()
        try:
            ahead = _request(source, address, settings, client)
        except NotPublished as error:
            failure = error if source.probe.is_json else None
        except ProviderError as error:
            failure = error
        if failure is None or failure.was_sent:
            latency = 1000 * (time.monotonic() - began)
    status = gate.status(source.name, host)
    return SourceAnswer(
        source=name,
        host=host,
        is_reachable=_is_reachable(failure, latency),
        latency_ms=None if latency is None or _is_away(failure) else round(latency, 1),
        clock_ahead_s=ahead,
        key="not needed" if not source.key_setting else "present" if key else "missing",
        key_fingerprint=fingerprint(key) or None,
        plan=_plan(source, status.budgets),
        budgets=status.budgets,
        breaker=status.breaker,
        error_class=failure.error_class if failure else None,
        problem=client.redactor.text(failure) if failure else None,
        advice=advice_for(name, source, failure) if failure else None,
        is_off=off is not None,
    )


def _request(source: Source, address: str, settings: Settings, client: HttpClient) -> int | None:
    """Seconds by which our clock is ahead of the server's, None where it told no time."""

    def parse(body: bytes) -> None:
        if not source.probe.is_json:
            return
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise ContractViolation("the answer is no JSON") from None
        error = source.errors.inside(document)
        if error is not None:
            raise error

    headers, key_params = source.keyed(settings)
    params = {**source.probe.params, **key_params}
    reply = client.get(
        source.name,
        address,
        source.probe.path,
        params,
        parse=parse,
        headers=headers,
        errors=source.errors,
        posted=posted(source.probe.question, params),
    )
    if reply.http_date is None:
        return None
    return round((reply.fetched_at - reply.http_date - reply.age).total_seconds())


def _is_away(failure: ProviderError | None) -> bool:
    return isinstance(failure, Transient) and "HTTP" not in str(failure)


def _is_reachable(failure: ProviderError | None, latency: float | None) -> bool | None:
    """A refusal is an answer, but one that means we get nothing from there."""
    if latency is None:
        return None
    return not isinstance(failure, (Transient, GeoBlocked, Banned, ContractViolation))


def _plan(source: Source, budgets: Sequence[tuple[str, int, int, float]]) -> str | None:
    known = source.plans
    limit = next((b[2] for b in budgets), None)
    if not known or limit is None or limit == min(known):
        return None  # the lowest one is what is assumed until the provider tells
    return f"{known.get(limit, 'unknown plan')} ({limit} requests/min)"


def advice_for(name: str, source: Source, error: ProviderError) -> str:
    """One line on what a person can do about a failure."""
    address, key = source.url_variable, source.key_variable
    if isinstance(error, CircuitOpen):
        return f"left alone until {error.until:%Y-%m-%d %H:%M} UTC, then tried by itself"
    if isinstance(error, GeoBlocked):
        if source.if_blocked:
            return f"blocked from this location: {source.if_blocked}"
        return f"blocked from this location: leave {name} out of REGIME_SOURCES"
    if isinstance(error, AuthError):
        if source.key_setting is None and not _UNSET.fullmatch(str(error)):
            return f"it refuses us without a key; check {address}"
        is_unset = _UNSET.fullmatch(str(error))
        what = f"set {is_unset[1]}" if is_unset else f"the key is refused: check {key}"
        return f"{what}, or leave {name} out of REGIME_SOURCES"
    if isinstance(error, PlanLimit):
        return "the key's plan does not include this; other datasets of it may still come"
    if isinstance(error, (RateLimited, Banned)):
        return "too much was asked from this address; it is left alone for a while by itself"
    if isinstance(error, Transient):
        return f"check the network, a proxy in between and {address}"
    return f"what answers there is not {name}: check {address}"
