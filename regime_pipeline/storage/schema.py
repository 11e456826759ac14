"""What a migration may say in one line, because the catalogue describes the rest.

Belongs here: making tables and columns as the catalogue has them, and bringing CHECKs, NOT NULLs,
indexes, comments and ``_revisions`` twins of existing tables to what it says now. Does not belong
here: which version a database has and when it changes (``migrate``).

Everything here may be repeated: what is there already is left alone.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import CheckConstraint
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.catalogue.sql import METADATA
from regime_pipeline.storage.errors import SchemaVersionError
from regime_pipeline.storage.marts import definition, settle_marts

_DIALECT = postgresql.dialect(paramstyle="named")  # percent signs are not doubled
_OURS = r"_(ck|rule)\d+$"
"""How the names of CHECKs end that the catalogue makes; others are somebody's own."""


def numbered(file: str) -> tuple[str, str | None]:
    """The version that a migration file makes and the one before it, from its name.

    Args:
        file: ``__file__`` of ``NNNN_what.py``.
    """
    name = Path(file).name
    before = [p.name[:4] for p in Path(file).parent.glob("[0-9]*.py") if p.name < name]
    return name[:4], max(before, default=None)


def create_table(full_name: str) -> None:
    """Make a table of the catalogue and its ``_revisions`` twin; for use in a migration.

    Args:
        full_name: ``schema.name``; a table that the catalogue no longer has is not made.
    """
    for table in _with_twin(full_name):
        # the text goes to the driver as it is: a percent sign in it is no parameter
        driver_connection().execute(
            str(CreateTable(table, if_not_exists=True).compile(dialect=_DIALECT))
        )


def add_column(full_name: str, column: str, *, fill: str | None = None) -> None:
    """Add a column of the catalogue to a table and its twin; for use in a migration.

    Args:
        full_name: ``schema.name``.
        column: its name; one that the catalogue no longer has is not added.
        fill: an SQL expression over the row for the rows that are stored, such as ``'unknown'`` or
            ``"high" - "low"``. A column that is never null needs one when there may be rows.
            Replaced versions get it too. No new versions arise from it.
    """
    for table in _with_twin(full_name):
        if column not in table.columns:
            continue
        names = {
            "table": sql.Identifier(str(table.schema), table.name),
            "column": sql.Identifier(column),
            "type": sql.SQL(table.columns[column].type.compile(_DIALECT)),
            "fill": sql.SQL(fill or ""),
        }
        added = "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {type}"
        driver_connection().execute(sql.SQL(added).format(**names))
        if fill is not None:
            filled = "UPDATE {table} SET {column} = {fill} WHERE {column} IS NULL"
            driver_connection().execute(sql.SQL(filled).format(**names))


def driver_connection() -> psycopg.Connection:
    """The driver's connection of the migration that runs: percent signs stay as they are."""
    from alembic import op

    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _with_twin(full_name: str) -> list[SqlTable]:
    names = (full_name, f"{full_name}_revisions")
    return [METADATA.tables[n] for n in names if n in METADATA.tables]


# -------------------------------------------------------------------- what needs no migration


@cache
def described_digest() -> str:
    """A digest of everything that :func:`settle` sees to; a database remembers the last one."""
    said = hashlib.sha256(definition().encode())
    for name, table in sorted(METADATA.tables.items()):
        said.update(f"{name}\0{table.comment}\n".encode())
        said.update("".join(f"{n}\0{t}\n" for n, t in sorted(_checks(table).items())).encode())
        said.update("".join(sorted(f"{i.name}\n" for i in table.indexes)).encode())
        for column in sorted(table.columns, key=lambda c: str(c.name)):
            said.update(f"{column.name}\0{column.nullable}\0{column.comment}\n".encode())
    return said.hexdigest()


def settle(connection: psycopg.Connection) -> None:
    """Bring CHECKs, NOT NULLs, indexes, comments and the marts that are views to the catalogue.

    Raises:
        SchemaVersionError: the catalogue has a table or column that no migration makes.
        psycopg.errors.IntegrityError: a stored row breaks what the catalogue says now.
    """
    _see_that_all_is_there(connection)
    _settle_nulls(connection)
    _settle_checks(connection)
    _settle_indexes(connection)
    _settle_comments(connection)
    settle_marts(connection)


def _see_that_all_is_there(connection: psycopg.Connection) -> None:
    stored = _columns(connection)
    for name, table in METADATA.tables.items():
        for column in table.columns:
            if (name, column.name) not in stored:
                raise SchemaVersionError(
                    f"the catalogue has {name}.{column.name}, and no file in "
                    "storage/migrations/versions adds it: docs/extend.md says how"
                )


def _checks(table: SqlTable) -> dict[str, str]:
    """The table's CHECKs by name."""
    found = (c for c in table.constraints if isinstance(c, CheckConstraint))
    return {str(c.name): str(c.sqltext) for c in found}


def _named(table: SqlTable) -> sql.Identifier:
    return sql.Identifier(str(table.schema), table.name)


def _settle_nulls(connection: psycopg.Connection) -> None:
    stored = _columns(connection)
    for name, table in METADATA.tables.items():
        for column in table.columns:
            not_null, _ = stored[name, column.name]
            if not_null == (not column.nullable):
                continue
            verb = sql.SQL("DROP" if column.nullable else "SET")
            connection.execute(
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} {} NOT NULL").format(
                    _named(table), sql.Identifier(column.name), verb
                )
            )


def _settle_checks(connection: psycopg.Connection) -> None:
    """Compare CHECKs as the server writes them, on empty copies of the tables that carry ours."""
    copies: list[sql.Composable] = [sql.SQL("SET LOCAL client_min_messages = warning")]
    for name, table in METADATA.tables.items():
        copy = sql.Identifier("pg_temp", name)
        copies.append(
            sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(
                sql.Identifier(name), _named(table)
            )
        )
        added = sql.SQL(", ").join(
            sql.SQL("ADD CONSTRAINT {} CHECK ({})").format(sql.Identifier(n), sql.SQL(text))
            for n, text in _checks(table).items()
        )
        if _checks(table):
            copies.append(sql.SQL("ALTER TABLE {} {}").format(copy, added))
    connection.execute(sql.SQL(";\n").join(copies))
    differing = connection.execute(
        "WITH checks AS (SELECT c.conname AS name, pg_get_constraintdef(c.oid) AS text, "
        "t.relnamespace = pg_my_temp_schema() AS wanted, "
        "CASE WHEN t.relnamespace = pg_my_temp_schema() THEN t.relname::text "
        "ELSE n.nspname || '.' || t.relname END AS of "
        "FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid "
        "JOIN pg_namespace n ON n.oid = t.relnamespace WHERE c.contype = 'c') "
        "SELECT coalesce(w.of, f.of), coalesce(w.name, f.name), f.name IS NOT NULL "
        "FROM (SELECT * FROM checks WHERE wanted) w FULL JOIN "
        "(SELECT * FROM checks WHERE NOT wanted AND of = ANY(%s) AND name ~ %s) f "
        "ON f.of = w.of AND f.name = w.name WHERE w.text IS DISTINCT FROM f.text ORDER BY 1, 2",
        (list(METADATA.tables), _OURS),
    ).fetchall()
    for name, check, is_stored in differing:
        table = METADATA.tables[name]
        steps: list[sql.Composable] = []
        if is_stored:
            steps.append(sql.SQL("DROP CONSTRAINT {}").format(sql.Identifier(check)))
        if check in (wanted := _checks(table)):
            steps.append(
                sql.SQL("ADD CONSTRAINT {} CHECK ({})").format(
                    sql.Identifier(check), sql.SQL(wanted[check])
                )
            )
        connection.execute(
            sql.SQL("ALTER TABLE {} {}").format(_named(table), sql.SQL(", ").join(steps))
        )
    dropped = sql.SQL(", ").join(sql.Identifier("pg_temp", name) for name in METADATA.tables)
    connection.execute(sql.SQL("DROP TABLE {}").format(dropped))


def _settle_indexes(connection: psycopg.Connection) -> None:
    for table in METADATA.tables.values():
        for index in sorted(table.indexes, key=lambda i: str(i.name)):
            create = CreateIndex(index, if_not_exists=True)
            connection.execute(str(create.compile(dialect=_DIALECT)))


def _settle_comments(connection: psycopg.Connection) -> None:
    stored = _columns(connection)
    tables: dict[str, str | None] = dict(
        connection.execute(
            "SELECT n.nspname || '.' || c.relname, obj_description(c.oid, 'pg_class') "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p')",
            (list(SCHEMAS),),
        ).fetchall()
    )
    steps: list[sql.Composable] = []
    for name, table in METADATA.tables.items():
        if tables[name] != table.comment:
            steps.append(
                sql.SQL("COMMENT ON TABLE {} IS {}").format(
                    _named(table), sql.Literal(table.comment)
                )
            )
        steps += [
            sql.SQL("COMMENT ON COLUMN {} IS {}").format(
                sql.Identifier(str(table.schema), table.name, column.name),
                sql.Literal(column.comment),
            )
            for column in table.columns
            if stored[name, column.name][1] != column.comment
        ]
    if steps:
        connection.execute(sql.SQL(";\n").join(steps))


def _columns(connection: psycopg.Connection) -> dict[tuple[str, str], tuple[bool, str | None]]:
    """Whether each stored column is NOT NULL, and its comment, by table and name."""
    rows = connection.execute(
        "SELECT n.nspname || '.' || c.relname, a.attname, a.attnotnull, "
        "col_description(c.oid, a.attnum) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY(%s) "
        "AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped",
        (list(SCHEMAS),),
    )
    return {(table, column): (not_null, comment) for table, column, not_null, comment in rows}
