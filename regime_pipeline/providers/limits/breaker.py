"""The circuit breaker as a pure state machine: states in, states out, no clock, no storage.

Belongs here: what a success, a failure or a refusal does to a breaker, and whether a request may be
made. Does not belong here: where the state lives and who else sees it (``gate``).

A breaker opens after :attr:`Policy.failures` passing failures in a row, and at once when a provider
bans, blocks or asks for a wait longer than anybody sleeps. After its time exactly one request, the
probe, tries the source; :attr:`Policy.successes` probes in a row close it, one failed probe opens it
for twice as long. A probe that is never heard of again is given up after its lease.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from regime_pipeline.providers.errors import (
    AuthError,
    Banned,
    GeoBlocked,
    Malformed,
    ProviderError,
    RateLimited,
    Transient,
)

REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Policy:
    """When a breaker opens, for how long, and how it closes again.

    Attributes:
        failures: passing failures in a row that open it.
        successes: probes in a row that must succeed before it closes.
        open_s: how long the first opening lasts; each further one lasts twice as long.
        open_max_s: the longest such opening.
        wait_s: the longest wait that a request sits out; what asks for more opens the breaker.
        ban_s: how long a ban without a stated end lasts.
        geo_s: how long a location block is taken for granted.
        auth_s: how long a refused key is not tried.
        longest_s: no provider's word closes a source for longer.
        lease_s: after this a probe that nobody heard of is lost.
    """

    failures: int = 8
    successes: int = 2
    open_s: float = 30.0
    open_max_s: float = 900.0
    wait_s: float = 60.0
    ban_s: float = 600.0
    geo_s: float = 6 * 3600.0
    auth_s: float = 900.0
    longest_s: float = 3 * 86400.0
    lease_s: float = 40.0


class State(StrEnum):
    """``closed``: requests go; ``open``: none do; ``half_open``: one at a time tries."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of a source; times are tz-aware UTC."""

    state: State = State.CLOSED
    failures: int = 0
    successes: int = 0
    openings: int = 0
    opened_at: datetime | None = None
    open_until: datetime | None = None
    paused_until: datetime | None = None
    error_class: str | None = None
    reason: str | None = None
    probe_token: str | None = None
    probe_until: datetime | None = None


class Verdict(StrEnum):
    """``go``; ``wait``: soon; ``refuse``: not before a stated time; ``probe``: only as the one try."""

    GO = "go"
    WAIT = "wait"
    REFUSE = "refuse"
    PROBE = "probe"


def judge(breaker: Breaker, now: datetime) -> tuple[Verdict, datetime | None]:
    """Whether a request may be made now, and otherwise when to ask again."""
    if breaker.state is State.OPEN and breaker.open_until is not None and now < breaker.open_until:
        return Verdict.REFUSE, breaker.open_until
    if breaker.paused_until is not None and now < breaker.paused_until:
        return Verdict.WAIT, breaker.paused_until
    if breaker.state is State.CLOSED:
        return Verdict.GO, None
    if breaker.probe_until is not None and now < breaker.probe_until:
        return Verdict.WAIT, breaker.probe_until
    return Verdict.PROBE, None


def rebased(breaker: Breaker, now: datetime, policy: Policy) -> Breaker:
    """The same after the clock was set back: no wait is longer than the one that was meant."""
    opened, until = breaker.opened_at, breaker.open_until
    if opened is not None and until is not None and opened > now:
        breaker = replace(breaker, opened_at=now, open_until=now + (until - opened))
    most = now + timedelta(seconds=policy.wait_s)
    if breaker.paused_until is not None and breaker.paused_until > most:
        breaker = replace(breaker, paused_until=most)
    most = now + timedelta(seconds=policy.lease_s)
    if breaker.probe_until is not None and breaker.probe_until > most:
        breaker = replace(breaker, probe_until=most)
    return breaker


def admit(breaker: Breaker, now: datetime, token: str, policy: Policy) -> tuple[Breaker, Verdict]:
    """Takes the probe for ``token`` where one is due; under a lock nobody else can have it too."""
    verdict, _ = judge(breaker, now)
    if verdict is not Verdict.PROBE:
        return breaker, verdict
    until = now + timedelta(seconds=policy.lease_s)
    return replace(
        breaker, state=State.HALF_OPEN, probe_token=token, probe_until=until
    ), Verdict.PROBE


def released(breaker: Breaker, token: str) -> Breaker:
    """Gives back a probe whose request was never made."""
    if breaker.probe_token != token:
        return breaker
    return replace(breaker, probe_token=None, probe_until=None)


def succeeded(breaker: Breaker, token: str | None, policy: Policy) -> Breaker:
    """After a reply that shows the source alive."""
    if breaker.state is State.CLOSED:
        return replace(breaker, failures=0) if breaker.failures else breaker
    if token is None or breaker.probe_token != token:
        return breaker  # sent before it opened: tells nothing about now
    if breaker.successes + 1 >= policy.successes:
        return Breaker()
    return replace(breaker, successes=breaker.successes + 1, probe_token=None, probe_until=None)


def failed(
    breaker: Breaker, now: datetime, token: str | None, error: ProviderError, policy: Policy
) -> Breaker:
    """After a failure that says something about the source, see :func:`is_about_source`."""
    at_once = _seconds_closed(error, policy)
    if at_once is not None:
        return _opened(breaker, now, at_once, error)
    paused = breaker.paused_until
    if isinstance(error, RateLimited) and error.retry_after:
        asked = now + timedelta(seconds=error.retry_after)
        paused = asked if paused is None else max(paused, asked)
    if breaker.state is State.CLOSED:
        count = breaker.failures + 1
        if count >= policy.failures:
            return _opened(breaker, now, policy.open_s, error)
        return replace(breaker, failures=count, paused_until=paused)
    if token is None or breaker.probe_token != token:
        return replace(breaker, paused_until=paused)
    longer = min(policy.open_s * 2 ** min(breaker.openings, 16), policy.open_max_s)
    return _opened(breaker, now, longer, error)


def is_about_source(error: ProviderError) -> bool:
    """Whether a failure says that the source is out of order, rather than one request of ours."""
    return isinstance(error, (Transient, Malformed, RateLimited, Banned, GeoBlocked, AuthError))


def _seconds_closed(error: ProviderError, policy: Policy) -> float | None:
    """How long a failure closes a source by itself; None when it only counts."""
    said = error.retry_after
    if isinstance(error, GeoBlocked):
        wait = policy.geo_s
    elif isinstance(error, AuthError):
        wait = policy.auth_s
    elif isinstance(error, Banned):
        wait = policy.ban_s if said is None else said
    elif said is not None and said > policy.wait_s:
        wait = said
    else:
        return None
    return min(wait, policy.longest_s)


def _opened(breaker: Breaker, now: datetime, seconds: float, error: ProviderError) -> Breaker:
    until = now + timedelta(seconds=seconds)
    if breaker.state is State.OPEN and breaker.open_until is not None:
        until = max(until, breaker.open_until)
    return Breaker(
        state=State.OPEN,
        failures=breaker.failures + 1,
        openings=breaker.openings + (breaker.state is not State.OPEN),
        opened_at=now,
        open_until=until,
        error_class=error.error_class,
        reason=str(error)[:REASON_LENGTH],
    )
