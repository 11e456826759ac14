"""Replaced versions of rows, each with the stretch of time in which it was the newest.

Belongs here: what is kept when a row is replaced or removed, and reading it. Does not belong here:
deciding which rows are replaced (``merge``).

A version is valid from its ``ingested_at`` to its ``superseded_at``, the end excluded. The end of one
is the beginning of the next, so that at any instant there is one version of a row or, before it came
and after it was removed, none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import psycopg
from psycopg import sql

from regime_pipeline.catalogue.model import Table
from regime_pipeline.storage.statements import in_window, names, on_key, revisions_of, table_of
from regime_pipeline.windows import Window


def keep_replaced(
    connection: psycopg.Connection, table: Table, now: datetime, extent: sql.Composable
) -> None:
    """Copy the stored versions of rows that are about to be updated.

    Args:
        connection: with a temporary table ``differing``: the keys, and whether ``better``.
        table: a table that keeps revisions.
        now: when the new versions begin.
        extent: a condition on the stored rows ``t`` that names their partitions.
    """
    connection.execute(
        sql.SQL(
            "INSERT INTO {revisions} ({columns}, superseded_at) "
            "SELECT {old}, greatest({now}, t.ingested_at) "
            "FROM {table} t JOIN differing d ON {on} WHERE d.better AND {extent}"
        ).format(
            revisions=revisions_of(table),
            columns=names(table.fields),
            old=names(table.fields, "t"),
            now=sql.Literal(now),
            table=table_of(table),
            on=on_key(table, "d", "t"),
            extent=extent,
        )
    )


def keep_deleted(
    connection: psycopg.Connection, table: Table, now: datetime, delete: sql.Composable
) -> int:
    """Run a DELETE, keeping what it removes: how many rows.

    Args:
        connection: in the transaction of the write.
        table: a table that keeps revisions.
        now: when the versions end.
        delete: the statement, over the stored rows ``t``.
    """
    kept = sql.SQL(
        "WITH gone AS ({delete} RETURNING t.*) INSERT INTO {revisions} ({columns}, superseded_at) "
        "SELECT {old}, greatest({now}, gone.ingested_at) FROM gone"
    ).format(
        delete=delete,
        revisions=revisions_of(table),
        columns=names(table.fields),
        old=names(table.fields, "gone"),
        now=sql.Literal(now),
    )
    return connection.execute(kept).rowcount


def has_revisions(connection: psycopg.Connection, table: Table) -> bool:
    """Whether a table has any replaced version."""
    row = connection.execute(
        sql.SQL("SELECT EXISTS (SELECT FROM {})").format(revisions_of(table))
    ).fetchone()
    return bool(row and row[0])


def going_on(table: Table, alias: str) -> sql.Composable:
    """The columns of rows to insert, where a row that was removed once goes on as it stopped.

    Its revision is the next number, and it begins no earlier than its last version ended, also when
    the clock was set back in between.
    """
    last = sql.SQL("(SELECT {what} FROM {revisions} r WHERE {on})")
    on = {"revisions": revisions_of(table), "on": on_key(table, "r", alias)}
    special = {
        "revision": sql.SQL("coalesce({}, 0)").format(
            last.format(what=sql.SQL("max(r.revision) + 1"), **on)
        ),
        "ingested_at": sql.SQL("greatest({}, {})").format(
            sql.Identifier(alias, "ingested_at"),
            last.format(what=sql.SQL("max(r.superseded_at)"), **on),
        ),
    }
    return sql.SQL(", ").join(special.get(c, sql.Identifier(alias, c)) for c in table.fields)


def versions(table: Table, window: Window, columns: Sequence[str]) -> sql.Composable:
    """The query for every version, the newest among them, of rows that were ever replaced."""
    return sql.SQL(
        "SELECT {old} FROM {revisions} r WHERE {r_inside} UNION ALL SELECT {new} FROM {table} t "
        "WHERE {t_inside} AND EXISTS (SELECT FROM {revisions} r WHERE {on} AND {r_inside})"
    ).format(
        old=names(columns, "r"),
        new=names(columns, "t"),
        revisions=revisions_of(table),
        table=table_of(table),
        r_inside=in_window(table, window, "r"),
        t_inside=in_window(table, window, "t"),
        on=on_key(table, "r", "t"),
    )
