"""The gate before every request: rate budgets and breakers that all processes share.

There is one set of budgets and one breaker per source and host, and a breaker per key.

Belongs here: where the counts and states live, what a process remembers of them, waiting. Does not
belong here: the rules themselves (``budgets``, ``breaker``) and HTTP (``http``).

Rate: a process reserves a tenth of a window's budget at a time and spends it without asking anybody,
so most requests do not touch the database. Breaker: a process trusts what it last read for
:attr:`HostGate.refresh_s`, so a ban is known everywhere within that time, at once in the process that
met it. Changes are read, computed and written under a row lock, and all times are the database's.
Without a database, or while it is away, the same rules hold inside this process alone.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

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
    window_of,
)
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock, SteadyClock

T = TypeVar("T")
log = logging.getLogger(__name__)

KEPT_DAYS = 7
"""Rows about a host that nobody asked for so long are removed."""
AWAY_S = 10.0
"""How long a database that did not answer is left alone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whom a state is about: a provider at a host, perhaps one key of it."""

    source: str
    host: str
    key_fingerprint: str = ""


class StoreUnavailableError(Exception):
    """The shared state cannot be read or written now."""


class Store(Protocol):
    """Keeps usage and breakers; every change happens under a lock on its row."""

    def usage(
        self,
        place: Place,
        budget: Budget,
        change: Callable[[Usage | None, datetime], tuple[Usage, T]],
    ) -> T:
        """Changes a usage; ``change`` gets it (None: new) and now."""
        ...

    def breaker(
        self, place: Place, change: Callable[[Breaker, datetime], tuple[Breaker, T]]
    ) -> tuple[Breaker, datetime, T]:
        """Changes a breaker; gives it as it is then, and now."""
        ...

    def look(self, place: Place) -> tuple[Breaker, datetime]:
        """A breaker as it is, and now; takes no lock."""
        ...

    def usages(self, source: str, host: str) -> list[tuple[str, str, float, Usage]]:
        """Key fingerprint, scope, window length and usage of every budget of a host."""
        ...


class MemoryStore:
    """State of this process only: without a database, and in tests.

    Args:
        clock: what now is.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SteadyClock()
        self._lock = threading.Lock()
        self._usage: dict[tuple[Place, str], tuple[float, Usage]] = {}
        self._breakers: dict[Place, Breaker] = {}

    def usage(
        self,
        place: Place,
        budget: Budget,
        change: Callable[[Usage | None, datetime], tuple[Usage, T]],
    ) -> T:
        """See :class:`Store`."""
        with self._lock:
            known = self._usage.get((place, budget.scope))
            after, result = change(known[1] if known else None, self._clock.now())
            self._usage[place, budget.scope] = (budget.length_s, after)
            return result

    def breaker(
        self, place: Place, change: Callable[[Breaker, datetime], tuple[Breaker, T]]
    ) -> tuple[Breaker, datetime, T]:
        """See :class:`Store`."""
        with self._lock:
            now = self._clock.now()
            after, result = change(self._breakers.get(place, Breaker()), now)
            self._breakers[place] = after
            return after, now, result

    def look(self, place: Place) -> tuple[Breaker, datetime]:
        """See :class:`Store`."""
        with self._lock:
            return self._breakers.get(place, Breaker()), self._clock.now()

    def usages(self, source: str, host: str) -> list[tuple[str, str, float, Usage]]:
        """See :class:`Store`."""
        with self._lock:
            return [
                (place.key_fingerprint, scope, length, usage)
                for (place, scope), (length, usage) in self._usage.items()
                if (place.source, place.host) == (source, host)
            ]


_USAGE = ("budget_window_start", "budget_limit", "budget_used")
_BREAKER = (
    "breaker_state",
    "failure_count",
    "success_count",
    "opening_count",
    "opened_at",
    "open_until",
    "paused_until",
    "error_class",
    "reason",
    "probe_token",
    "probe_until",
)


class PostgresStore:
    """State that every process with the same database shares.

    Args:
        connect: gives a psycopg connection that commits at the end of its block.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[psycopg.Connection]]) -> None:
        self._connect = connect

    def usage(
        self,
        place: Place,
        budget: Budget,
        change: Callable[[Usage | None, datetime], tuple[Usage, T]],
    ) -> T:
        """See :class:`Store`."""
        key = {**_key(place), "budget_scope": budget.scope}
        with self._transaction() as connection:
            row, now = self._locked(connection, "rate_budgets", key, _USAGE)
            if row is None:
                fresh: dict[str, object] = {
                    "budget_window_s": budget.length_s,
                    **dict(zip(_USAGE, (window_of(now, budget), budget.limit, 0), strict=True)),
                }
                row, now = self._created(connection, "rate_budgets", key, fresh, _USAGE)
            before = Usage(*row)
            after, result = change(before, now)
            if after != before:
                values = (after.window_start, after.limit, after.used)
                _write(connection, "rate_budgets", key, dict(zip(_USAGE, values, strict=True)))
            return result

    def breaker(
        self, place: Place, change: Callable[[Breaker, datetime], tuple[Breaker, T]]
    ) -> tuple[Breaker, datetime, T]:
        """See :class:`Store`."""
        key = _key(place)
        with self._transaction() as connection:
            row, now = self._locked(connection, "breaker_state", key, _BREAKER)
            if row is None:
                fresh = dict(zip(_BREAKER, _columns(Breaker()), strict=True))
                row, now = self._created(connection, "breaker_state", key, fresh, _BREAKER)
            before = _breaker(row)
            after, result = change(before, now)
            if after != before:
                values = dict(zip(_BREAKER, _columns(after), strict=True))
                _write(connection, "breaker_state", key, values)
            return after, now, result

    def look(self, place: Place) -> tuple[Breaker, datetime]:
        """See :class:`Store`."""
        with self._transaction() as connection:
            row, now = self._locked(connection, "breaker_state", _key(place), _BREAKER, lock=False)
            return (Breaker() if row is None else _breaker(row)), now

    def usages(self, source: str, host: str) -> list[tuple[str, str, float, Usage]]:
        """See :class:`Store`."""
        with self._transaction() as connection:
            rows = connection.execute(
                "select key_fingerprint, budget_scope, budget_window_s, budget_window_start, "
                "budget_limit, budget_used from ops.rate_budgets where source = %s and host = %s "
                "order by 1, 2",
                (source, host),
            ).fetchall()
        return [(r[0], r[1], r[2], Usage(r[3], r[4], r[5])) for r in rows]

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(self._connect())
            except (psycopg.Error, OSError, RuntimeError) as error:
                raise StoreUnavailableError(type(error).__name__) from None
            try:
                yield connection
            except psycopg.Error as error:
                raise StoreUnavailableError(type(error).__name__) from None

    @staticmethod
    def _locked(
        connection: psycopg.Connection,
        table: str,
        key: Mapping[str, str],
        columns: tuple[str, ...],
        *,
        lock: bool = True,
    ) -> tuple[tuple[Any, ...] | None, datetime]:
        """The row under a lock, or None; and what time it is once the lock is held."""
        with connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(
                sql.SQL("select {} from ops.{} where {}{}").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.Identifier(table),
                    _where(key),
                    sql.SQL(" for update" if lock else ""),
                ),
                dict(key),
            ).fetchone()
            now = cursor.execute("select clock_timestamp()").fetchone()
        assert now is not None
        return found, now[0]

    def _created(
        self,
        connection: psycopg.Connection,
        table: str,
        key: Mapping[str, str],
        values: Mapping[str, object],
        columns: tuple[str, ...],
    ) -> tuple[tuple[Any, ...], datetime]:
        """A new row, or the one that another process made meanwhile; old ones go."""
        every = {**key, **values}
        connection.execute(
            sql.SQL(
                "delete from ops.{table} where ctid in (select ctid from ops.{table} where "
                "updated_at < clock_timestamp() - make_interval(days => {days}) "
                "for update skip locked)"
            ).format(table=sql.Identifier(table), days=sql.Literal(KEPT_DAYS))
        )
        connection.execute(
            sql.SQL(
                "insert into ops.{} ({}, updated_at) values ({}, clock_timestamp()) "
                "on conflict do nothing"
            ).format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, every)),
                sql.SQL(", ").join(map(sql.Placeholder, every)),
            ),
            every,
        )
        row, now = self._locked(connection, table, key, columns)
        assert row is not None
        return row, now


def _key(place: Place) -> dict[str, str]:
    return {
        "source": place.source,
        "host": place.host,
        "key_fingerprint": place.key_fingerprint,
    }


def _where(key: Mapping[str, str]) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in key
    )


def _write(
    connection: psycopg.Connection,
    table: str,
    key: Mapping[str, str],
    values: Mapping[str, object],
) -> None:
    connection.execute(
        sql.SQL("update ops.{} set {}, updated_at = clock_timestamp() where {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(n), sql.Placeholder(n)) for n in values
            ),
            _where(key),
        ),
        {**key, **values},
    )


def _columns(b: Breaker) -> tuple[object, ...]:
    return (
        b.state.value,
        b.failures,
        b.successes,
        b.openings,
        b.opened_at,
        b.open_until,
        b.paused_until,
        b.error_class,
        b.reason,
        b.probe_token,
        b.probe_until,
    )


def _breaker(row: tuple[Any, ...]) -> Breaker:
    return Breaker(State(row[0]), *row[1:])


# --- the gate ------------------------------------------------------------------------------------


@dataclass
class _Purse:
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
class _Ticket:
    """What a request that is under way must give account of."""

    places: tuple[Place, ...]
    windows: dict[str, datetime | None] = field(default_factory=dict)
    token: str | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
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
        self._lanes: dict[tuple[str, str], threading.Lock] = {}
        self._purses: dict[tuple[Place, str], _Purse] = {}
        self._seen: dict[Place, _Seen] = {}
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
        ticket = self._admitted(call)
        self._here.ticket = ticket
        try:
            yield
        finally:
            self._here.ticket = None
            if ticket.token is not None and not ticket.told:
                self._release(ticket)

    def observe(
        self,
        call: Call,
        *,
        status: int | None,
        headers: Mapping[str, str],
        error: ProviderError | None,
    ) -> None:
        """Takes note of how a request ended; nothing is concluded from one that was broken off."""
        ticket: _Ticket | None = getattr(self._here, "ticket", None)
        if ticket is None or (status is None and error is None):
            return
        if headers:
            self._learn(call, ticket, headers)
        if error is None or not rules.is_about_source(error):
            if status is not None:
                ticket.told = True
                for place in ticket.places:
                    self._succeeded(place, ticket.token)
            return
        ticket.told = True
        about = ticket.places[-1] if isinstance(error, AuthError) else ticket.places[0]
        for place in ticket.places:
            if place == about:
                self._failed(place, ticket.token, error)
            elif isinstance(error, AuthError):
                self._succeeded(place, ticket.token)
            else:
                self._released(place, ticket.token)

    # what people ask

    def standing(self, source: str, host: str) -> Standing:
        """The state of a source at a host as it is stored now."""
        shown = [self._look(place).breaker for place in self._places(source, host)]
        worst = next((b for b in shown if b.state is not State.CLOSED), shown[0])
        _, now, _ = self._shared(lambda s: (*s.look(Place(source, host)), None))
        running = [
            (scope, u.used, u.limit, length)
            for _, scope, length, u in self._shared(lambda s: s.usages(source, host))
            if u.window_start + timedelta(seconds=length) > now
        ]
        return Standing(worst, tuple(running))

    # breakers

    def _places(self, source: str, host: str) -> tuple[Place, ...]:
        own = self._keys.get(source, "")
        everyone = Place(source, host)
        return (everyone, Place(source, host, own)) if own else (everyone,)

    def _admitted(self, call: Call) -> _Ticket:
        ticket = _Ticket(self._places(call.provider, call.host))
        ends = time.monotonic() + self._patience
        self._stand(call, ticket.places, ends)
        self._spend(call, ticket)
        while not self._enter_all(ticket):
            self._stand(call, ticket.places, ends)
        return ticket

    def _stand(self, call: Call, places: tuple[Place, ...], ends: float) -> None:
        """Returns when no breaker refuses; sits out pauses and other requests' probes."""
        for place in places:
            began = time.monotonic()
            while True:
                known = self._known(place)
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

    def _enter_all(self, ticket: _Ticket) -> bool:
        """Takes the probe of every breaker that is not closed; False when somebody else has it."""
        for place in ticket.places:
            known = self._known(place)
            verdict, _ = rules.judge(known.breaker, known.at(time.monotonic()))
            if verdict is Verdict.GO:
                continue
            token = ticket.token or uuid.uuid4().hex
            got = self._admit(place, token)
            if got is Verdict.PROBE:
                ticket.token = token
            elif got is not Verdict.GO:
                self._release(ticket)
                return False
        return True

    def _admit(self, place: Place, token: str) -> Verdict:
        return self._change(place, lambda b, now: rules.admit(b, now, token, self.policy))

    @staticmethod
    def _refusal(call: Call, b: Breaker, until: datetime, left: float) -> CircuitOpen:
        why = b.reason or f"{call.provider} asked for a pause"
        return CircuitOpen(until, why, retry_after=max(left, 0.0))

    def _known(self, place: Place) -> _Seen:
        known = self._seen.get(place)
        if known is None or time.monotonic() - known.read_at > self.refresh_s:
            known = self._look(place)
        return known

    def _look(self, place: Place) -> _Seen:
        at = time.monotonic()
        breaker, now = self._shared(lambda s: s.look(place))
        if rules.rebased(breaker, now, self.policy) != breaker:
            self._change(place, lambda b, now: (rules.rebased(b, now, self.policy), None))
            return self._seen[place]
        known = self._seen[place] = _Seen(breaker, at, now)
        return known

    def _change(self, place: Place, change: Callable[[Breaker, datetime], tuple[Breaker, T]]) -> T:
        at = time.monotonic()
        before = self._seen.get(place)
        after, now, result = self._shared(lambda s: s.breaker(place, change))
        self._seen[place] = _Seen(after, at, now)
        was = before.breaker.state if before else State.CLOSED
        if after.state is State.OPEN and (was is not State.OPEN):
            log.warning(
                "%s at %s is not asked before %s: %s",
                place.source,
                place.host,
                after.open_until,
                after.reason,
            )
        elif after.state is State.CLOSED and was is not State.CLOSED:
            log.info("%s at %s answers again", place.source, place.host)
        return result

    def _succeeded(self, place: Place, token: str | None) -> None:
        known = self._seen.get(place)
        quiet = known is not None and known.breaker.state is State.CLOSED
        if quiet and known is not None and not known.breaker.failures:
            return
        self._change(place, lambda b, _: (rules.succeeded(b, token, self.policy), None))

    def _failed(self, place: Place, token: str | None, error: ProviderError) -> None:
        self._change(place, lambda b, now: (rules.failed(b, now, token, error, self.policy), None))

    def _released(self, place: Place, token: str | None) -> None:
        if token is not None:
            self._change(place, lambda b, _: (rules.released(b, token), None))

    def _release(self, ticket: _Ticket) -> None:
        for place in ticket.places:
            self._released(place, ticket.token)
        ticket.token = None

    # budgets

    def _spend(self, call: Call, ticket: _Ticket) -> None:
        """Takes what a request costs from every budget it counts in, waiting for a new window."""
        budgets = _rates(call.provider).of(call.path)
        ends = time.monotonic() + self.policy.wait_s
        while True:
            with self._lane(call):
                wait = max(self._filled(call, b) for b in budgets)
                if wait <= 0 or not self._pace:
                    for budget in budgets:
                        purse = self._purse(call, budget)
                        purse.units = max(0, purse.units - budget.cost(call.weight))
                        ticket.windows[budget.scope] = purse.window_start
                    return
            if time.monotonic() + wait > ends:
                raise BudgetSpent(
                    f"{call.provider} {call.path}: our share of the rate limit is used up for "
                    f"{math.ceil(wait)} s",
                    retry_after=wait,
                )
            self._sleep(wait + 0.001)

    def _lane(self, call: Call) -> threading.Lock:
        with self._lock:
            return self._lanes.setdefault((call.provider, call.host), threading.Lock())

    def _purse(self, call: Call, budget: Budget) -> _Purse:
        return self._purses.setdefault((self._payer(call, budget), budget.scope), _Purse())

    def _payer(self, call: Call, budget: Budget) -> Place:
        own = self._keys.get(call.provider, "") if budget.keyed else ""
        return Place(call.provider, call.host, own)

    def _filled(self, call: Call, budget: Budget) -> float:
        """Seconds until the purse can pay for a request, 0 when it can."""
        purse, cost = self._purse(call, budget), budget.cost(call.weight)
        while True:
            at = time.monotonic()
            if at >= purse.until:
                purse.units, purse.is_spent = 0, False
            if purse.units >= cost:
                return 0.0
            if purse.is_spent:
                return purse.until - at
            grant = self._reserved(call, budget, cost - purse.units)
            if grant.window_start != purse.window_start:
                purse.units = 0  # what was left belonged to a window that is over
            purse.units += grant.units
            purse.is_spent = grant.units == 0
            purse.known, purse.limit = grant.used, grant.limit
            purse.window_start, purse.until = grant.window_start, at + grant.left_s

    def _reserved(self, call: Call, budget: Budget, least: int) -> Grant:
        limit = self._purse(call, budget).limit or budget.limit
        most = max(least, math.ceil(BATCH * budget.usable(limit)))
        payer = self._payer(call, budget)
        return self._shared(
            lambda s: s.usage(payer, budget, lambda u, now: take(u, now, budget, least, most))
        )

    def _learn(self, call: Call, ticket: _Ticket, headers: Mapping[str, str]) -> None:
        """Takes over what the provider counted, where it is more than we did."""
        for budget in _rates(call.provider).of(call.path):
            used, limit = read_headers(budget, headers)
            window = ticket.windows.get(budget.scope)
            if window is None or (used is None and limit is None):
                continue
            with self._lane(call):
                purse = self._purse(call, budget)
                more = used is not None and window == purse.window_start and used > purse.known
                if more or (limit is not None and limit != purse.limit):
                    self._take_over(self._payer(call, budget), budget, purse, window, used, limit)

    def _take_over(
        self,
        payer: Place,
        budget: Budget,
        purse: _Purse,
        window: datetime,
        used: int | None,
        limit: int | None,
    ) -> None:
        def change(u: Usage | None, now: datetime) -> tuple[Usage, Usage]:
            here = seen(u, now, budget, window_start=window, used=used, limit=limit)
            return here, here

        after = self._shared(lambda s: s.usage(payer, budget, change))
        if after.limit != purse.limit:
            purse.limit, purse.is_spent = after.limit, False
        if after.window_start == purse.window_start:
            purse.known = after.used
            if after.used >= budget.usable(after.limit):
                purse.units = 0  # others use the limit too: what we reserved is gone

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
