"""Pieces of SQL that reading and writing of catalogue tables share. No statement is run here."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from regime_pipeline.catalogue.model import Table
from regime_pipeline.windows import Window


def table_of(table: Table) -> sql.Composable:
    """The table's quoted name."""
    return sql.Identifier(table.schema, table.name)


def revisions_of(table: Table) -> sql.Composable:
    """The quoted name of the table's twin with the replaced versions."""
    return sql.Identifier(table.schema, f"{table.name}_revisions")


def names(columns: Sequence[str], alias: str | None = None) -> sql.Composable:
    """Quoted columns, separated by commas."""
    parts = (sql.Identifier(alias, c) if alias else sql.Identifier(c) for c in columns)
    return sql.SQL(", ").join(parts)


def on_key(table: Table, left: str, right: str) -> sql.Composable:
    """The condition that two aliases have the same key."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, c), sql.Identifier(right, c))
        for c in table.key
    )


def in_window(table: Table, window: Window, alias: str | None = None) -> sql.Composable:
    """The condition that a row's time lies in a window."""
    column = names([table.time_column], alias)
    return sql.SQL("{} >= {} AND {} < {}").format(
        column, sql.Literal(window.start), column, sql.Literal(window.end)
    )


def among(column: str, values: Sequence[str], alias: str | None = None) -> sql.Composable:
    """The condition that a column has one of some values; false without any."""
    if not values:
        return sql.SQL("false")
    return sql.SQL("{} IN ({})").format(
        names([column], alias), sql.SQL(", ").join(sql.Literal(v) for v in values)
    )


def upsert(table: Table, columns: Sequence[str]) -> sql.Composed:
    """``INSERT`` of one row by its parameters; a row with the same key takes all other values.

    For tables without versions; those of windows are written by ``merge``.
    """
    others = [c for c in columns if c not in table.key]
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
        table_of(table),
        names(columns),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
        names(table.key),
        sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(c)) for c in others),
    )
