"""Where a published number comes from: the answer of ``reporting.why`` as an API answer.

Belongs here: reading the address and asking. Does not belong here: the function itself (storage).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from regime_pipeline.api.params import symbol_named
from regime_pipeline.api.problems import Problem
from regime_pipeline.api.query import connection_of
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.catalogue.model import Mart

WHY_PATH = "/why/{mart}/{symbol}/{ts}"


async def explain(
    pool: AsyncConnectionPool,
    path: Mapping[str, str],
    given: Mapping[str, str],
    known: Sequence[str],
) -> dict[str, Any]:
    """The row and the rows behind one published number.

    Args:
        pool: connections as ``regime_api``.
        path: ``mart``, ``symbol``, ``ts``.
        given: ``column``, or nothing for the row as a whole.
        known: configured symbols.

    Raises:
        Problem: no such mart, symbol, column or row; the database does not answer.
    """
    mart, symbol, at, column = located(path, given, known)
    async with connection_of(pool) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        # mart comes from the catalogue
        await cursor.execute(
            f"select * from reporting.{mart.name} where symbol = %s and ts = %s",  # noqa: S608
            (symbol, at),
        )
        row = await cursor.fetchone()
        if row is None:
            raise Problem(
                "not-found", f"{mart.name} has no row of {symbol} at {at:%Y-%m-%dT%H:%MZ}"
            )
        inputs, reason = await _inputs(connection, mart, symbol, at, column)
    described = {c.name: c for c in mart.columns}.get(column or "")
    told = f"'{mart.name}', '{symbol}', '{at:%Y-%m-%dT%H:%M:%SZ}', "
    told += f"'{column}'" if column else "null"
    return {
        "mart": mart.name,
        "symbol": symbol,
        "ts": at,
        "column": column,
        "meaning": None if described is None else described.description,
        "unit": None if described is None else described.unit,
        "value": row.get(column) if column else None,
        "row": row,
        "inputs": inputs,
        "reason": reason,
        "sql": f"select * from reporting.why({told})",  # noqa: S608 - shown, never run
    }


def located(
    path: Mapping[str, str], given: Mapping[str, str], known: Sequence[str]
) -> tuple[Mart, str, datetime, str | None]:
    """Mart, symbol, instant and column of an address.

    Raises:
        Problem: one of them does not exist.
    """
    mart = MARTS.get(path["mart"])
    if mart is None or not {"symbol", "ts"} <= set(mart.names):
        raise Problem("not-found", f"no mart {path['mart'][:40]!r} with symbols and hours")
    symbol = symbol_named(path["symbol"], known)
    if symbol is None:
        raise Problem("not-found", f"no symbol {path['symbol'][:40]!r}")
    try:
        at = datetime.fromisoformat(path["ts"])
    except ValueError as error:
        raise Problem(
            "not-found", "the last part is an instant, as 2026-03-01T00:00:00Z"
        ) from error
    at = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    column = given.get("column")
    if column is not None and column not in mart.names:
        raise Problem("parameters", f"column: {mart.name} has no column {column[:40]!r}")
    return mart, symbol, at, column


async def _inputs(
    connection: psycopg.AsyncConnection, mart: Mart, symbol: str, at: datetime, column: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    cursor = connection.cursor(row_factory=dict_row)
    try:
        await cursor.execute(
            "select * from reporting.why(%s, %s, %s, %s)", (mart.name, symbol, at, column)
        )
        found = await cursor.fetchall()
    except psycopg.errors.UndefinedFunction:
        return [], "this database cannot tell inputs yet; `regime db migrate` or a run brings it up"
    return found, None if found else "no stored input is named for this row"
