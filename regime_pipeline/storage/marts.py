"""Marts that are views, and time travel over them: what is in ``reporting`` beside dbt's tables.

Belongs here: making the views and functions that ``catalogue.marts`` describes, and bringing those of
a database to what it says now. Does not belong here: their queries and columns, tables that dbt builds.

For every table that keeps replaced versions and that a mart reads there is a view of all its versions,
each with the span ``[valid_from, valid_to)`` in which it was the newest. ``<mart>_as_of(at)`` is the
mart's own query over the versions of that instant. It is a plain SQL function with the caller's rights,
so that PostgreSQL opens it up and a condition on symbol or time reaches the indexes below. Those of marts
that dbt builds are made by dbt, of the same versions; what is only added and says when is asked by that.

``outcomes.sql`` holds ``reporting.outcomes``, which says what followed after a condition on the marts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

import psycopg
from psycopg import sql

from regime_pipeline.catalogue.lineage import stored
from regime_pipeline.catalogue.marts import BUILT, DATED, TRAVELLING, VIEWS
from regime_pipeline.catalogue.model import PLACEHOLDER, Field, Mart, meaning
from regime_pipeline.catalogue.registry import FIELDS, TABLES
from regime_pipeline.storage import provenance
from regime_pipeline.storage.errors import SchemaVersionError

_VALIDITY = ("valid_from", "valid_to")


def definition() -> str:
    """Everything that :func:`settle_marts` makes, as text; it changes when a database must."""
    return "\n".join(
        [
            *(f"{_history_name(t)}: {_history_query(t)}" for t in _histories()),
            *(f"{m.name}: {m.description}: {_query(m)}" for m in VIEWS),
            *(f"{m.name}.{c.name}: {meaning(c)}" for m in VIEWS for c in m.columns),
            *(f"{m.name} as of: {_query_as_of(m)}" for m in (*TRAVELLING, *DATED)),
            provenance.definition(),
            _outcomes(),
        ]
    )


def view_names() -> list[str]:
    """The views in ``reporting`` that :func:`settle_marts` makes."""
    return [*(_history_name(t) for t in _histories()), *(m.name for m in VIEWS)]


def settle_marts(connection: psycopg.Connection) -> None:
    """Bring all views and functions of ``reporting`` to what the catalogue says.

    A view is replaced where it stands, so that views which others have built on it stay; new columns
    come last then. Where that cannot be (a column went, or has another type) it is made again.

    Raises:
        SchemaVersionError: somebody's own view depends on one that must be made again.
    """
    for table in _histories():
        columns = [*TABLES[table].fields, *_VALIDITY]
        _settle_view(connection, _history_name(table), columns, _history_query(table))
        _comment(
            connection,
            _history_name(table),
            f"Every version of every row of {table}, each with the span [valid_from, valid_to) in which "
            "it was the newest; valid_to of the newest is infinity.",
            [FIELDS[c] for c in TABLES[table].fields],
        )
    orders = {}
    for mart in VIEWS:
        orders[mart.name] = _settle_view(connection, mart.name, mart.names, _query(mart))
        _comment(connection, mart.name, mart.description, mart.columns)
    for mart in (*TRAVELLING, *DATED):  # their queries may read any view
        _settle_as_of(connection, mart, orders[mart.name])
    provenance.settle_why(connection)
    connection.execute(_outcomes().encode())  # bytes: a percent sign in it is no parameter


@cache
def _outcomes() -> str:
    """The functions that say what followed after a condition."""
    return files("regime_pipeline.storage").joinpath("outcomes.sql").read_text(encoding="utf-8")


# -------------------------------------------------------------------------------- queries


def _filled(mart: Mart, place: Callable[[str], str]) -> str:
    return PLACEHOLDER.sub(lambda m: place(m[1]), mart.query or "")


def _query(mart: Mart) -> str:
    return _filled(mart, lambda table: table)


def _query_as_of(mart: Mart) -> str:
    if mart.past is not None:
        return mart.past
    return _filled(
        mart,
        lambda table: (
            f"(select * from reporting.{_history_name(table)} as v "  # noqa: S608
            "where v.valid_from <= $1 and v.valid_to > $1)"
        ),
    )


def _histories() -> list[str]:
    """The tables that marts with a past are made of."""
    read = [t for m in TRAVELLING for t in m.reads]
    for mart in BUILT:
        below = stored().marts[mart.name].values() if mart.has_past else ()
        read += sorted({t for column in below for t in column})
    return list(dict.fromkeys(read))


def _history_name(table: str) -> str:
    return f"{table.replace('.', '_')}_versions"


def _history_query(table: str) -> str:
    columns = ", ".join(f'"{c}"' for c in TABLES[table].fields)
    if not TABLES[table].partitioned:  # its rows are only added
        stored_at = "ingested_at" if "ingested_at" in TABLES[table].fields else "'-infinity'"
        return (
            f"select {columns}, {stored_at}::timestamptz as valid_from, "  # noqa: S608
            f"'infinity'::timestamptz as valid_to from {table}"
        )
    return (
        f"select {columns}, ingested_at as valid_from, 'infinity'::timestamptz as valid_to "  # noqa: S608
        f"from {table} union all "
        f"select {columns}, ingested_at, superseded_at from {table}_revisions"
    )


# -------------------------------------------------------------------------------- statements


def _settle_view(
    connection: psycopg.Connection, name: str, columns: Sequence[str], query: str
) -> list[str]:
    """Make or replace one view; its columns in the order that it has now."""
    stored = [
        row[0]
        for row in connection.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) "
            "and attnum > 0 order by attnum",
            (f"reporting.{name}",),
        )
    ]
    stays = [c for c in stored if c in columns]
    order = [*stays, *(c for c in columns if c not in stays)]
    view = sql.Identifier("reporting", name)
    create = sql.SQL("create or replace view {} as select {} from ({}) as q").format(
        view, sql.SQL(", ").join(sql.Identifier(c) for c in order), sql.SQL(query)
    )
    try:
        with connection.transaction():
            connection.execute(create)
    except psycopg.errors.InvalidTableDefinition:
        connection.execute(
            sql.SQL("drop function if exists {}(timestamptz)").format(
                sql.Identifier("reporting", f"{name}_as_of")
            )
        )
        try:
            connection.execute(sql.SQL("drop view {}").format(view))
        except psycopg.errors.DependentObjectsStillExist as error:
            raise SchemaVersionError(
                f"reporting.{name} has to be made again with other columns, and something else is "
                f"built on it ({error.diag.message_detail}): drop that first, and make it again after"
            ) from error
        return _settle_view(connection, name, columns, query)
    return order


def _settle_as_of(connection: psycopg.Connection, mart: Mart, order: Sequence[str]) -> None:
    function = sql.Identifier("reporting", f"{mart.name}_as_of")
    columns = sql.SQL(", ").join(sql.Identifier(c) for c in order)
    body = sql.SQL("select {} from ({}) as q").format(columns, sql.SQL(_query_as_of(mart)))
    connection.execute(
        sql.SQL(
            "create or replace function {}(at timestamptz) returns setof {} language sql stable "
            "parallel safe rows 10000 as {}"
        ).format(
            function,
            sql.Identifier("reporting", mart.name),
            sql.Literal(body.as_string(connection)),
        )
    )
    connection.execute(
        sql.SQL("comment on function {}(timestamptz) is {}").format(
            function, sql.Literal(f"reporting.{mart.name} as it could be read at that instant.")
        )
    )


def _comment(
    connection: psycopg.Connection, name: str, description: str, columns: Sequence[Field]
) -> None:
    view = sql.Identifier("reporting", name)
    steps = [sql.SQL("comment on view {} is {}").format(view, sql.Literal(description))]
    steps += [
        sql.SQL("comment on column {} is {}").format(
            sql.Identifier("reporting", name, c.name), sql.Literal(meaning(c))
        )
        for c in columns
    ]
    connection.execute(sql.SQL(";\n").join(steps))
