"""Where rate budgets and breakers are kept: in the database, for all processes, or in this one.

Belongs here: locks, rows, SQL. Does not belong here: the rules (``budgets``, ``breaker``), what a
process remembers between two looks (``gate``).

Every change is read, computed and written under a lock on its row, and all times are the database's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from regime_pipeline.providers.limits.breaker import Breaker, State
from regime_pipeline.providers.limits.budgets import Budget, Usage, window_of
from regime_pipeline.windows import Clock, SteadyClock

T = TypeVar("T")

KEPT_DAYS = 7
"""Rows about a host that nobody asked for so long are removed."""


@dataclass(frozen=True, slots=True)
class Scope:
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
        scope: Scope,
        budget: Budget,
        change: Callable[[Usage | None, datetime], tuple[Usage, T]],
    ) -> T:
        """Changes a usage; ``change`` gets it (None: new) and now."""
        ...

    def breaker(
        self, scope: Scope, change: Callable[[Breaker, datetime], tuple[Breaker, T]]
    ) -> tuple[Breaker, datetime, T]:
        """Changes a breaker; gives it as it is then, and now."""
        ...

    def look(self, scope: Scope) -> tuple[Breaker, datetime]:
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
        self._usage: dict[tuple[Scope, str], tuple[float, Usage]] = {}
        self._breakers: dict[Scope, Breaker] = {}

    def usage(
        self,
        scope: Scope,
        budget: Budget,
        change: Callable[[Usage | None, datetime], tuple[Usage, T]],
    ) -> T:
        """See :class:`Store`."""
        with self._lock:
            known = self._usage.get((scope, budget.scope))
            after, result = change(known[1] if known else None, self._clock.now())
            self._usage[scope, budget.scope] = (budget.length_s, after)
            return result

    def breaker(
        self, scope: Scope, change: Callable[[Breaker, datetime], tuple[Breaker, T]]
    ) -> tuple[Breaker, datetime, T]:
        """See :class:`Store`."""
        with self._lock:
            now = self._clock.now()
            after, result = change(self._breakers.get(scope, Breaker()), now)
            self._breakers[scope] = after
            return after, now, result

    def look(self, scope: Scope) -> tuple[Breaker, datetime]:
        """See :class:`Store`."""
        with self._lock:
            return self._breakers.get(scope, Breaker()), self._clock.now()

    def usages(self, source: str, host: str) -> list[tuple[str, str, float, Usage]]:
        """See :class:`Store`."""
        with self._lock:
            return [
                (scope.key_fingerprint, name, length, usage)
                for (scope, name), (length, usage) in self._usage.items()
                if (scope.source, scope.host) == (source, host)
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
        scope: Scope,
        budget: Budget,
        change: Callable[[Usage | None, datetime], tuple[Usage, T]],
    ) -> T:
        """See :class:`Store`."""

        def fresh(now: datetime) -> dict[str, object]:
            row = (window_of(now, budget), budget.limit, 0)
            return {"budget_window_s": budget.length_s, **dict(zip(_USAGE, row, strict=True))}

        def changed(row: tuple[Any, ...], now: datetime) -> tuple[tuple[Any, ...], T]:
            after, result = change(Usage(*row), now)
            return (after.window_start, after.limit, after.used), result

        key = {**_key(scope), "budget_scope": budget.scope}
        return self._locked_row("rate_budgets", key, _USAGE, fresh, changed)

    def breaker(
        self, scope: Scope, change: Callable[[Breaker, datetime], tuple[Breaker, T]]
    ) -> tuple[Breaker, datetime, T]:
        """See :class:`Store`."""

        def fresh(_: datetime) -> dict[str, object]:
            return dict(zip(_BREAKER, _columns(Breaker()), strict=True))

        def changed(
            row: tuple[Any, ...], now: datetime
        ) -> tuple[tuple[Any, ...], tuple[Breaker, datetime, T]]:
            after, result = change(_breaker(row), now)
            return _columns(after), (after, now, result)

        return self._locked_row("breaker_state", _key(scope), _BREAKER, fresh, changed)

    def look(self, scope: Scope) -> tuple[Breaker, datetime]:
        """See :class:`Store`."""
        with self._transaction() as connection:
            row, now = self._locked(connection, "breaker_state", _key(scope), _BREAKER, lock=False)
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

    def _locked_row(
        self,
        table: str,
        key: Mapping[str, str],
        columns: tuple[str, ...],
        fresh: Callable[[datetime], Mapping[str, object]],
        change: Callable[[tuple[Any, ...], datetime], tuple[tuple[Any, ...], T]],
    ) -> T:
        """Changes a row under a lock, made by ``fresh`` where there is none."""
        with self._transaction() as connection:
            row, now = self._locked(connection, table, key, columns)
            if row is None:
                row, now = self._created(connection, table, key, fresh(now), columns)
            after, result = change(row, now)
            if after != row:
                _write(connection, table, key, dict(zip(columns, after, strict=True)))
            return result

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


def _key(scope: Scope) -> dict[str, str]:
    return {
        "source": scope.source,
        "host": scope.host,
        "key_fingerprint": scope.key_fingerprint,
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
