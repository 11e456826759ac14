"""The gate before every request: rate budgets and breakers that all processes share.

There is one set of budgets and one breaker per source and host, and a breaker per key.

Belongs here: what a process remembers of counts and states, waiting. Does not belong here: the rules
themselves (``budgets``, ``breaker``), where they are kept (``store``), HTTP (``http``).

Rate: a process reserves a tenth of a window's budget at a time and spends it without asking anybody,
so most requests do not touch the database. Breaker: a process trusts what it last read for
:attr:`HostGate.refresh_s`, so a ban is known everywhere within that time, at once in the process that
met it. Changes are read, computed and written under a row lock, and all times are the database's.
Without a database, or while it is away, the same rules hold inside this process alone.

Why no library: those that limit rates (pyrate-limiter among them, whose buckets may lie in PostgreSQL)
count what *we* sent. Here the provider's own count, in its headers, replaces ours when it is more; a
process leases a tenth of a window, so that most requests touch no shared state; and budget and breaker
of a host are one decision before a request and one note after it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from regime_pipeline.net.redact import fingerprint
from regime_pipeline.providers.errors import AuthError, BudgetSpent, CircuitOpen, ProviderError
from regime_pipeline.providers.http import Call
from regime_pipeline.providers.limits import breaker as rules
from regime_pipeline.providers.limits.breaker import Breaker, Policy, State, Verdict
from regime_pipeline.providers.limits.budgets import (
    BATCH,
    UNKNOWN,
    Budget,
    Grant,
    Rates,
    Usage,
    read_headers,
    seen,
    take,
)
from regime_pipeline.providers.limits.store import MemoryStore, Scope, Store, StoreUnavailableError
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock

T = TypeVar("T")
log = logging.getLogger(__name__)

AWAY_S = 10.0
"""How long a database that did not answer is left alone."""


@dataclass
class _Lease:
    """What this process has reserved of a budget."""

    units: int = 0
    known: int = 0
    limit: int = 0
    window_start: datetime | None = None
    until: float = 0.0
    is_spent: bool = False


@dataclass
class _Seen:
    """A breaker as last read, and how to tell the database's time from ours."""

    breaker: Breaker
    read_at: float
    now: datetime

    def at(self, monotonic: float) -> datetime:
        return self.now + timedelta(seconds=monotonic - self.read_at)


@dataclass
class _Admission:
    """What a request that is under way must give account of."""

    scopes: tuple[Scope, ...]
    windows: dict[str, datetime | None] = field(default_factory=dict)
    token: str | None = None
    is_reported: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """How a source stands at a host: for people and for ``regime doctor``.

    ``budgets`` holds ``(scope, used, limit, window_s)`` of the windows that run now.
    """

    breaker: Breaker
    budgets: tuple[tuple[str, int, int, float], ...]


class HostGate:
    """Rate budgets and breakers of all sources; give it to :class:`~.http.HttpClient`.

    Args:
        store: where the shared state lives; None keeps it in this process.
        keys: fingerprint of the key per provider, where there is one.
        policy: when breakers open and close.
        pace: whether budgets are waited for; a simulator has no limits to respect, its headers and
            refusals still count.
        refresh_s: how long a breaker that was read is trusted.
        patience_s: how long a request waits for another one's probe.
        clock: says when a budget's window is, without a database.
        sleep: waits.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        keys: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        pace: bool = True,
        refresh_s: float = 0.2,
        patience_s: float = 20.0,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._alone = MemoryStore(clock)
        self._store: Store = store or self._alone
        self._keys = dict(keys or {})
        self.policy = policy or Policy()
        self._pace = pace
        self.refresh_s = refresh_s
        self._patience = patience_s
        self._sleep = sleep
        self._lock = threading.Lock()
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._leases: dict[tuple[Scope, str], _Lease] = {}
        self._seen: dict[Scope, _Seen] = {}
        self._here = threading.local()
        self._away_until = 0.0
        self.store_calls = 0
        """How often shared state was asked, for those who watch what a request costs."""

    # what HttpClient calls

    @contextmanager
    def enter(self, call: Call) -> Iterator[None]:
        """Waits for the budget and for a pause that the provider asked for, within bounds.

        Raises:
            CircuitOpen: the source is left alone for now.
            BudgetSpent: the budget is used up for longer than a request waits.
        """
        admission = self._admitted(call)
        self._here.admission = admission
        try:
            yield
        finally:
            self._here.admission = None
            if admission.token is not None and not admission.is_reported:
                self._release(admission)

    def observe(
        self,
        call: Call,
        *,
        status: int | None,
        headers: Mapping[str, str],
        error: ProviderError | None,
    ) -> None:
        """Takes note of how a request ended; nothing is concluded from one that was broken off."""
        admission: _Admission | None = getattr(self._here, "admission", None)
        if admission is None or (status is None and error is None):
            return
        if headers:
            self._learn(call, admission, headers)
        if error is None or not rules.is_about_source(error):
            if status is not None:
                admission.is_reported = True
                for scope in admission.scopes:
                    self._succeeded(scope, admission.token)
            return
        admission.is_reported = True
        about = admission.scopes[-1] if isinstance(error, AuthError) else admission.scopes[0]
        for scope in admission.scopes:
            if scope == about:
                self._failed(scope, admission.token, error)
            elif isinstance(error, AuthError):
                self._succeeded(scope, admission.token)
            else:
                self._released(scope, admission.token)

    # what people ask

    def status(self, source: str, host: str) -> Status:
        """The state of a source at a host as it is stored now."""
        shown = [self._look(scope).breaker for scope in self._scopes(source, host)]
        worst = next((b for b in shown if b.state is not State.CLOSED), shown[0])
        _, now, _ = self._shared(lambda s: (*s.look(Scope(source, host)), None))
        running = [
            (scope, u.used, u.limit, length)
            for _, scope, length, u in self._shared(lambda s: s.usages(source, host))
            if u.window_start + timedelta(seconds=length) > now
        ]
        return Status(worst, tuple(running))

    # breakers

    def _scopes(self, source: str, host: str) -> tuple[Scope, ...]:
        own = self._keys.get(source, "")
        everyone = Scope(source, host)
        return (everyone, Scope(source, host, own)) if own else (everyone,)

    def _admitted(self, call: Call) -> _Admission:
        admission = _Admission(self._scopes(call.provider, call.host))
        ends = time.monotonic() + self._patience
        self._await_circuit(call, admission.scopes, ends)
        self._acquire(call, admission)
        while not self._enter_all(admission):
            self._await_circuit(call, admission.scopes, ends)
        return admission

    def _await_circuit(self, call: Call, scopes: tuple[Scope, ...], ends: float) -> None:
        """Returns when no breaker refuses; sits out pauses and other requests' probes."""
        for scope in scopes:
            began = time.monotonic()
            while True:
                known = self._known(scope)
                now = known.at(time.monotonic())
                verdict, until = rules.judge(known.breaker, now)
                if verdict in (Verdict.GO, Verdict.PROBE):
                    break
                assert until is not None
                left = (until - now).total_seconds()
                paused = verdict is Verdict.WAIT and known.breaker.paused_until == until
                enough = began + self.policy.wait_s if paused else ends
                if verdict is Verdict.REFUSE or time.monotonic() >= enough:
                    raise self._refusal(call, known.breaker, until, left)
                self._sleep(max(0.0, min(left, self.refresh_s)) + 0.001)

    def _enter_all(self, admission: _Admission) -> bool:
        """Takes the probe of every breaker that is not closed; False when somebody else has it."""
        for scope in admission.scopes:
            known = self._known(scope)
            verdict, _ = rules.judge(known.breaker, known.at(time.monotonic()))
            if verdict is Verdict.GO:
                continue
            token = admission.token or uuid.uuid4().hex
            got = self._admit(scope, token)
            if got is Verdict.PROBE:
                admission.token = token
            elif got is not Verdict.GO:
                self._release(admission)
                return False
        return True

    def _admit(self, scope: Scope, token: str) -> Verdict:
        return self._change(scope, lambda b, now: rules.admit(b, now, token, self.policy))

    @staticmethod
    def _refusal(call: Call, b: Breaker, until: datetime, left: float) -> CircuitOpen:
        why = b.reason or f"{call.provider} asked for a pause"
        return CircuitOpen(until, why, retry_after=max(left, 0.0))

    def _known(self, scope: Scope) -> _Seen:
        known = self._seen.get(scope)
        if known is None or time.monotonic() - known.read_at > self.refresh_s:
            known = self._look(scope)
        return known

    def _look(self, scope: Scope) -> _Seen:
        at = time.monotonic()
        breaker, now = self._shared(lambda s: s.look(scope))
        if rules.rebased(breaker, now, self.policy) != breaker:
            self._change(scope, lambda b, now: (rules.rebased(b, now, self.policy), None))
            return self._seen[scope]
        known = self._seen[scope] = _Seen(breaker, at, now)
        return known

    def _change(self, scope: Scope, change: Callable[[Breaker, datetime], tuple[Breaker, T]]) -> T:
        at = time.monotonic()
        before = self._seen.get(scope)
        after, now, result = self._shared(lambda s: s.breaker(scope, change))
        self._seen[scope] = _Seen(after, at, now)
        was = before.breaker.state if before else State.CLOSED
        if after.state is State.OPEN and (was is not State.OPEN):
            log.warning(
                "%s at %s is not asked before %s: %s",
                scope.source,
                scope.host,
                after.open_until,
                after.reason,
            )
        elif after.state is State.CLOSED and was is not State.CLOSED:
            log.info("%s at %s answers again", scope.source, scope.host)
        return result

    def _succeeded(self, scope: Scope, token: str | None) -> None:
        known = self._seen.get(scope)
        quiet = known is not None and known.breaker.state is State.CLOSED
        if quiet and known is not None and not known.breaker.failures:
            return
        self._change(scope, lambda b, _: (rules.succeeded(b, token, self.policy), None))

    def _failed(self, scope: Scope, token: str | None, error: ProviderError) -> None:
        self._change(scope, lambda b, now: (rules.failed(b, now, token, error, self.policy), None))

    def _released(self, scope: Scope, token: str | None) -> None:
        if token is not None:
            self._change(scope, lambda b, _: (rules.released(b, token), None))

    def _release(self, admission: _Admission) -> None:
        for scope in admission.scopes:
            self._released(scope, admission.token)
        admission.token = None

    # budgets

    def _acquire(self, call: Call, admission: _Admission) -> None:
        """Takes what a request costs from every budget it counts in, waiting for a new window."""
        budgets = _rates(call.provider).of(call.path)
        ends = time.monotonic() + self.policy.wait_s
        while True:
            with self._lock_of(call):
                wait = max(self._filled(call, b) for b in budgets)
                if wait <= 0 or not self._pace:
                    for budget in budgets:
                        lease = self._lease(call, budget)
                        lease.units = max(0, lease.units - budget.cost(call.weight))
                        admission.windows[budget.scope] = lease.window_start
                    return
            if time.monotonic() + wait > ends:
                raise BudgetSpent(
                    f"{call.provider} {call.path}: our share of the rate limit is used up for "
                    f"{math.ceil(wait)} s",
                    retry_after=wait,
                )
            self._sleep(wait + 0.001)

    def _lock_of(self, call: Call) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault((call.provider, call.host), threading.Lock())

    def _lease(self, call: Call, budget: Budget) -> _Lease:
        return self._leases.setdefault((self._bucket_owner(call, budget), budget.scope), _Lease())

    def _bucket_owner(self, call: Call, budget: Budget) -> Scope:
        own = self._keys.get(call.provider, "") if budget.keyed else ""
        return Scope(call.provider, call.host, own)

    def _filled(self, call: Call, budget: Budget) -> float:
        """Seconds until the lease can pay for a request, 0 when it can."""
        lease, cost = self._lease(call, budget), budget.cost(call.weight)
        while True:
            at = time.monotonic()
            if at >= lease.until:
                lease.units, lease.is_spent = 0, False
            if lease.units >= cost:
                return 0.0
            if lease.is_spent:
                return lease.until - at
            grant = self._reserved(call, budget, cost - lease.units)
            if grant.window_start != lease.window_start:
                lease.units = 0  # what was left belonged to a window that is over
            lease.units += grant.units
            lease.is_spent = grant.units == 0
            lease.known, lease.limit = grant.used, grant.limit
            lease.window_start, lease.until = grant.window_start, at + grant.left_s

    def _reserved(self, call: Call, budget: Budget, least: int) -> Grant:
        limit = self._lease(call, budget).limit or budget.limit
        most = max(least, math.ceil(BATCH * budget.usable(limit)))
        owner = self._bucket_owner(call, budget)
        return self._shared(
            lambda s: s.usage(owner, budget, lambda u, now: take(u, now, budget, least, most))
        )

    def _learn(self, call: Call, admission: _Admission, headers: Mapping[str, str]) -> None:
        """Takes over what the provider counted, where it is more than we did."""
        for budget in _rates(call.provider).of(call.path):
            used, limit = read_headers(budget, headers)
            window = admission.windows.get(budget.scope)
            if window is None or (used is None and limit is None):
                continue
            with self._lock_of(call):
                lease = self._lease(call, budget)
                more = used is not None and window == lease.window_start and used > lease.known
                if more or (limit is not None and limit != lease.limit):
                    self._take_over(
                        self._bucket_owner(call, budget), budget, lease, window, used, limit
                    )

    def _take_over(
        self,
        owner: Scope,
        budget: Budget,
        lease: _Lease,
        window: datetime,
        used: int | None,
        limit: int | None,
    ) -> None:
        def change(u: Usage | None, now: datetime) -> tuple[Usage, Usage]:
            here = seen(u, now, budget, window_start=window, used=used, limit=limit)
            return here, here

        after = self._shared(lambda s: s.usage(owner, budget, change))
        if after.limit != lease.limit:
            lease.limit, lease.is_spent = after.limit, False
        if after.window_start == lease.window_start:
            lease.known = after.used
            if after.used >= budget.usable(after.limit):
                lease.units = 0  # others use the limit too: what we reserved is gone

    # the shared state, or ours while it is away

    def _shared(self, work: Callable[[Store], T]) -> T:
        self.store_calls += 1
        if time.monotonic() >= self._away_until:
            try:
                return work(self._store)
            except StoreUnavailableError as error:
                self._away_until = time.monotonic() + AWAY_S
                log.warning(
                    "rate budgets and breakers are this process's own for %g s: %s", AWAY_S, error
                )
        return work(self._alone)


def _rates(provider: str) -> Rates:
    source = SOURCES.get(provider)
    return source.rates if source else UNKNOWN


def key_fingerprints(settings: Settings) -> dict[str, str]:
    """Fingerprint of the configured key per source, for those that have one."""
    keyed = {s.name: s.key_setting for s in SOURCES.values() if s.key_setting is not None}
    found = {name: fingerprint(getattr(settings, field)) for name, field in keyed.items()}
    return {name: print_ for name, print_ in found.items() if print_}


_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def gate_for(settings: Settings, store: Store | None = None) -> HostGate:
    """The gate that the settings ask for; a simulator is not waited for, whatever it fills."""
    hosts = (urlsplit(settings.url_of(n) or "").hostname for n in ("binance", "okx"))
    simulated = settings.origin != "live" or all(h in _THIS_MACHINE for h in hosts)
    return HostGate(
        store,
        keys=key_fingerprints(settings),
        policy=Policy(lease_s=settings.http_deadline_s + 20.0),
        pace=not simulated,
        patience_s=settings.http_deadline_s,
    )
