"""Rows of a mart for a query: the SQL made from the endpoint, values always parameters.

Belongs here: SQL of the API. Does not belong here: parameters (``params``), the form of answers
(``envelope``, ``formats``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from regime_pipeline.api.params import Query, order_of
from regime_pipeline.api.problems import Problem
from regime_pipeline.catalogue.marts import MARTS, TRAVELLING
from regime_pipeline.catalogue.model import Mart

POOL_WAIT_S = 2.0
CHECKED_S = 1.0
"""A connection is asked whether it lives when it was not for so long."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOOKED_AT_FIRST = timedelta(days=32)
"""Tables of history are stored by the month: one or two of them are read for a page, not all."""
LOOKS = 3
"""How many spans are looked at, each four times as long as the one after it, before all that is older."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page.

    Attributes:
        names: columns of ``rows``: those asked for, then those of the order and ``known_at``, if they were
            not.
        rows: the page, newest first.
        is_more: whether a page follows.
        is_built: False when the mart is not in the database.
    """

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    is_more: bool
    is_built: bool = True


def checked(now: Callable[[], float]) -> Callable[[AsyncConnection], Awaitable[None]]:
    """What a pool asks of a connection before it is used: whether it lives, at most once a second.

    Args:
        now: seconds that only go up.
    """
    seen: WeakKeyDictionary[AsyncConnection, float] = WeakKeyDictionary()

    async def check(connection: AsyncConnection) -> None:
        at = now()
        if at - seen.get(connection, -CHECKED_S) >= CHECKED_S:
            await AsyncConnectionPool.check_connection(connection)
            seen[connection] = at

    return check


@asynccontextmanager
async def connection_of(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection]:
    """A connection; database faults as problems.

    Raises:
        Problem: ``database`` when there is none, ``slow`` when a statement took too long.
    """
    try:
        async with pool.connection(timeout=POOL_WAIT_S) as connection:
            yield connection
    except (PoolTimeout, TooManyRequests) as error:
        raise Problem(
            "database", "no connection became free; the server is busy or gone", retry_after_s=2
        ) from error
    except psycopg.errors.QueryCanceled as error:
        raise Problem("slow", "ask for a shorter span or fewer symbols") from error
    except psycopg.OperationalError as error:
        raise Problem("database", "it went away; try again", retry_after_s=2) from error


def statement(query: Query) -> tuple[bytes, list[Any], tuple[str, ...]]:
    """SQL, its values and the names of its columns.

    One row more than the page is asked for, which tells whether a page follows. Names are those of the
    catalogue, quoted; what was asked is in the values.
    """
    mart = query.endpoint.described
    assert mart is not None
    order = order_of(query.endpoint)
    needed = (*order, *(["known_at"] if "known_at" in mart.names else []))
    names = (*query.columns, *(c for c in needed if c not in query.columns))
    values: list[Any] = []
    source = quoted("reporting", mart.name)
    if query.as_of is not None:
        source, values = _as_known(query, mart)
    where: list[str] = []

    def compare(column: str, text: str, value: Any) -> None:
        where.append(f"{quoted(column)} {text}")
        values.append(value)

    time = mart.time_column
    if query.as_of is not None and "known_at" in mart.names:
        compare("known_at", "<= %s", query.as_of)
    if time and query.start is not None:
        compare(time, ">= %s", query.start)
    if time and query.end is not None:
        compare(time, "< %s", query.end)
    _symbols(query, where, values)
    for column, options in query.filters:
        compare(column, "= any(%s)", list(options))
    if query.after is not None:
        where.append(_beyond(order, bool(time)))
        values += [query.after[0], query.after[0], *query.after[1:]] if time else [*query.after]
    condition = f" where {' and '.join(where)}" if where else ""
    ordering = ", ".join(
        f"{quoted(c)} desc" if time and n == 0 else quoted(c) for n, c in enumerate(order)
    )
    built = (
        f"select {_listed(names)} from {source} as m{condition} order by {ordering} "  # noqa: S608
        f"limit {int(query.limit) + 1}"
    )
    return built.encode(), values, names


@lru_cache(maxsize=5_000)
def quoted(*names: str) -> str:
    """A name as SQL has it; composing it anew for each question costs as much as reading the answer."""
    return sql.Identifier(*names).as_string()


@lru_cache(maxsize=500)
def _listed(names: tuple[str, ...]) -> str:
    """The columns of a SELECT; they are many, and nearly always the same."""
    return ", ".join(map(quoted, names))


def _as_known(query: Query, mart: Mart) -> tuple[str, list[Any]]:
    """The function that gives a mart as it was known at an instant, and its arguments.

    Of a mart that dbt builds it computes the rows, those of the span that is asked for.
    """
    function = quoted("reporting", f"{mart.name}_as_of")
    if mart.query is not None:
        return f"{function}(%s)", [query.as_of]
    bounds, values = ["%s"], [query.as_of]
    if query.start is not None:
        bounds.append("start => %s")
        values.append(query.start)
    if query.after is not None and mart.time_column:  # rows of that instant may follow too
        bounds.append("until => %s + interval '1 microsecond'")
        values.append(query.after[0])
    elif query.end is not None:
        bounds.append("until => %s")
        values.append(query.end)
    return f"{function}({', '.join(bounds)})", values


def _symbols(query: Query, where: list[str], values: list[Any]) -> None:
    if query.symbols is None:
        return
    columns = query.endpoint.symbol_columns
    if not columns:  # a mart that tells of all symbols at once
        return
    wanted = list(query.symbols)
    if len(columns) == len(wanted) == 1:  # one value, so that an index gives the order
        where.append(f"{quoted(columns[0])} = %s")
        values += wanted
        return
    # of a pair, two symbols name it; one names all its pairs
    glue = " and " if len(wanted) > 1 else " or "
    where.append(f"({glue.join(f'{quoted(c)} = any(%s)' for c in columns)})")
    values += [wanted] * len(columns)


def _beyond(order: tuple[str, ...], has_time: bool) -> str:
    first, *others = map(quoted, order)
    marks = ", ".join(["%s"] * (len(order) - has_time))
    if not has_time:
        return f"({', '.join([first, *others])}) > ({marks})"
    if not others:
        return f"({first} < %s and {first} is distinct from %s)"
    return f"({first} < %s or ({first} = %s and ({', '.join(others)}) > ({marks})))"


async def rows(pool: AsyncConnectionPool, query: Query, newest: datetime | None = None) -> Page:
    """The rows of a query.

    Args:
        pool: connections as ``regime_api``.
        query: what is asked.
        newest: the newest hour, where it is known: near it most pages are found.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    if query.endpoint.described is None:
        return Page(query.columns, [], is_more=False, is_built=False)
    async with connection_of(pool) as connection, connection.cursor(binary=True) as cursor:
        found: list[tuple[Any, ...]] = []
        names = query.columns
        for looked in looks(query, newest):
            wanted = query.limit - len(found)  # and one more, which tells whether a page follows
            built, values, names = statement(replace(looked, limit=wanted))
            try:
                await cursor.execute(built, values)
            except (
                psycopg.errors.UndefinedTable,
                psycopg.errors.UndefinedFunction,
                psycopg.errors.UndefinedColumn,  # built by an earlier version, until the next run
            ):
                return Page(names, [], is_more=False, is_built=False)
            found += await cursor.fetchall()
            if len(found) > query.limit:
                break
    return Page(names, found[: query.limit], is_more=len(found) > query.limit)


def looks(query: Query, newest: datetime | None) -> list[Query]:
    """The same query over spans that follow one another backwards, each read when a page is not full yet.

    The newest rows are wanted, and tables of history lie by the month: of years the last month is read
    first, then four before it, then sixteen. What an index finds at once is looked for in one go.
    """
    mart = query.endpoint.described
    is_long = mart in TRAVELLING and query.start is None and len(query.symbols or ()) != 1
    ends = [query.end, query.as_of, newest]
    if mart is not None and mart.time_column and query.after is not None:
        ends.append(query.after[0])
    last = min((at for at in ends if at is not None), default=None)
    if not is_long or last is None or last < _EPOCH:
        return [query]
    found, end, reach = [], query.end, LOOKED_AT_FIRST
    for _ in range(LOOKS):
        start = last - reach
        found.append(replace(query, start=start, end=end))
        end, last, reach = start, start, 4 * reach
    return [*found, replace(query, end=end)]


async def newest(pool: AsyncConnectionPool) -> tuple[str, datetime | None]:
    """What kind of data the database holds and its newest hour; ``unknown`` before anything is built.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    async with connection_of(pool) as connection:
        try:
            return await newest_of(connection)
        except psycopg.errors.UndefinedTable:
            return "unknown", None


async def newest_of(connection: AsyncConnection) -> tuple[str, datetime | None]:
    """The same on a connection.

    Raises:
        psycopg.errors.UndefinedTable: nothing is built yet.
    """
    cursor = await connection.execute(
        "select max(data_origin), max(ts) from reporting.market_overview"
    )
    found = await cursor.fetchone()
    return (found[0] or "unknown", found[1]) if found else ("unknown", None)


async def missing(pool: AsyncConnectionPool) -> list[str]:
    """The marts of the catalogue that are not in the database.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    async with connection_of(pool) as connection:
        cursor = await connection.execute(
            "select name from unnest(%s::text[]) as name "
            "where to_regclass('reporting.' || name) is null order by name",
            (list(MARTS),),
        )
        return [name for (name,) in await cursor.fetchall()]
