"""Where a published number comes from: the answer of ``reporting.why`` as an API answer.

Belongs here: the address of a number, reading it, asking. Does not belong here: the function itself
(storage), the bytes of providers' replies (``regime why``).

An address is ``/why/{mart}/{symbol}/{ts}?column=...``; the symbol of a pair is ``A|B``, of the whole market
``-``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from regime_pipeline.api.params import symbol_named
from regime_pipeline.api.problems import Problem
from regime_pipeline.api.query import connection_of
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.catalogue.model import Mart

WHY_PATH = "/why/{mart}/{symbol}/{ts}"
WHOLE_MARKET = "-"


def address_of(mart: Mart, row: Mapping[str, Any]) -> str | None:
    """Where the numbers of a row are explained, below a door's prefix; None where no row has an address."""
    address = addresses(mart, tuple(row))
    return None if address is None else address(tuple(row.values()))


def addresses(
    mart: Mart, names: Sequence[str], door: str = ""
) -> Callable[[Sequence[Any]], str | None] | None:
    """What makes the address of a row from its values; None where no row of these columns has one.

    Args:
        mart: whose rows they are.
        names: the columns of a row, in its order.
        door: what stands before the address.
    """
    columns, time = mart.symbol_columns, mart.instant_column
    if time is None or not {time, *columns} <= set(names) or not (columns or mart.key == (time,)):
        return None
    moment = names.index(time)
    about: Callable[[Sequence[Any]], Any] = (
        itemgetter(*(names.index(c) for c in columns)) if columns else lambda _: ()
    )
    heads: dict[Any, str] = {}  # rows are many, symbols few

    def address(row: Sequence[Any]) -> str | None:
        at, symbols = row[moment], about(row)
        if at is None:
            return None
        head = heads.get(symbols)
        if head is None:
            parts = (symbols,) if len(columns) == 1 else symbols
            symbol = "|".join(str(s) for s in parts) or WHOLE_MARKET
            head = heads[symbols] = f"{door}/why/{mart.name}/{quote(symbol.replace('/', '-'))}/"
        if at.tzinfo is not UTC and at.utcoffset():
            at = at.astimezone(UTC)
        return f"{head}{at.isoformat()[:-6]}Z"

    return address


async def explain(
    pool: AsyncConnectionPool,
    path: Mapping[str, str],
    given: Mapping[str, str],
    known: Sequence[str],
    thresholds: Mapping[str, Any],
) -> dict[str, Any]:
    """The row and the rows behind one published number.

    Args:
        pool: connections as ``regime_api``.
        path: ``mart``, ``symbol``, ``ts``.
        given: ``column``, or nothing for the row as a whole.
        known: configured symbols.
        thresholds: those that are set, by the digest that a method version ends with.

    Returns:
        ``parameters``: the thresholds of each method among the inputs, null where others are set today;
        ``value`` where the address names one row; ``rows`` where it names several; ``inputs``, one item a
        step of ``reporting.why``; ``reason`` where there are none.

    Raises:
        Problem: no such mart, symbol, column or row; the database does not answer.
    """
    mart, symbols, at, column = located(path, given, known)
    symbol = "|".join(symbols) or WHOLE_MARKET
    async with connection_of(pool) as connection:
        rows = await _rows(connection, mart, symbols, at)
        if not rows:
            raise Problem(
                "not-found", f"{mart.name} has no row of {symbol} at {at:%Y-%m-%dT%H:%MZ}"
            )
        inputs, reason = await _inputs(connection, mart, "|".join(symbols) or None, at, column)
    described = {c.name: c for c in mart.columns}.get(column or "")
    instant = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    asked = [f"'{mart.name}'", f"'{symbol}'" if symbols else "null", f"'{instant}'"]
    asked.append(f"'{column}'" if column else "null")
    words = ["regime", "why", mart.name, symbol, instant, *([column] if column else [])]
    return {
        "mart": mart.name,
        "symbol": symbol,
        "ts": at,
        "column": column,
        "meaning": None if described is None else described.description,
        "unit": None if described is None else described.unit,
        "value": rows[0].get(column) if column and len(rows) == 1 else None,
        "row": rows[0],
        "rows": rows,
        "inputs": inputs,
        "parameters": parameters_of([*rows, *inputs], thresholds),
        "reason": reason,
        "sql": f"select * from reporting.why({', '.join(asked)})",  # noqa: S608 - shown, never run
        "command": shlex.join(words),
    }


def parameters_of(
    rows: Sequence[Mapping[str, Any]], thresholds: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The methods that rows were made by and their thresholds; those without a digest have none."""
    methods = dict.fromkeys(r["method_version"] for r in rows if r.get("method_version"))
    return [
        {"method_version": m, "thresholds": thresholds.get(m.rpartition("+")[2])}
        for m in methods
        if "+" in m
    ]


def located(
    path: Mapping[str, str], given: Mapping[str, str], known: Sequence[str]
) -> tuple[Mart, tuple[str, ...], datetime, str | None]:
    """Mart, symbols, instant and column of an address.

    Raises:
        Problem: one of them does not exist.
    """
    mart = MARTS.get(path["mart"])
    if mart is None or mart.instant_column is None:
        raise Problem("not-found", f"no mart {path['mart'][:40]!r} whose rows have an instant")
    columns = mart.symbol_columns
    parts = [] if path["symbol"] == WHOLE_MARKET else path["symbol"].split("|")
    symbols = tuple(symbol_named(p, known) or p for p in parts)
    is_named = all(s in known for s in symbols)
    if "instrument" not in columns and (len(symbols) != len(columns) or not is_named):
        wanted = {0: WHOLE_MARKET, 1: "a symbol", 2: "A|B"}[len(columns)]
        raise Problem("not-found", f"no symbol {path['symbol'][:40]!r}; {mart.name} takes {wanted}")
    try:
        at = datetime.fromisoformat(path["ts"])
        at = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Problem(
            "not-found", "the last part is an instant, as 2026-03-01T00:00:00Z"
        ) from error
    column = given.get("column")
    if column is not None and column not in mart.names:
        raise Problem("parameters", f"column: {mart.name} has no column {column[:40]!r}")
    return mart, symbols, at, column


async def _rows(
    connection: psycopg.AsyncConnection, mart: Mart, symbols: Sequence[str], at: datetime
) -> list[dict[str, Any]]:
    columns = mart.symbol_columns
    where: list[sql.Composable] = [
        sql.SQL("{} = %s").format(sql.Identifier(str(mart.instant_column)))
    ]
    values: list[Any] = [at]
    if columns == ("instrument",):
        where.append(sql.SQL("instrument = %s"))
        values.append("|".join(symbols))
    else:
        where += [sql.SQL("{} = %s").format(sql.Identifier(c)) for c in columns]
        values += symbols
    query = sql.SQL("select * from {} where {} limit 50").format(
        sql.Identifier("reporting", mart.name), sql.SQL(" and ").join(where)
    )
    cursor = connection.cursor(row_factory=dict_row)
    try:
        await cursor.execute(query, values)
    except psycopg.errors.UndefinedTable:
        return []
    return await cursor.fetchall()


async def _inputs(
    connection: psycopg.AsyncConnection,
    mart: Mart,
    symbol: str | None,
    at: datetime,
    column: str | None,
) -> tuple[list[dict[str, Any]], str | None]:
    cursor = connection.cursor(row_factory=dict_row)
    try:
        await cursor.execute(
            "select * from reporting.why(%s, %s, %s, %s)", (mart.name, symbol, at, column)
        )
        found = await cursor.fetchall()
    except psycopg.errors.UndefinedFunction:
        return [], "this database cannot tell inputs yet; `regime run` brings it up"
    except psycopg.errors.InvalidParameterValue:
        return [], "the lineage of this mart is not known"
    return found, None if found else "no stored input is named for this row"
