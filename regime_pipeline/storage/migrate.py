"""Schema versions: bring a database to the newest one, and freeze the first from the catalogue.

Belongs here: everything about *which* schema a database has. The statements themselves are frozen
files in ``migrations/versions``; the catalogue may change later without changing what an old
version meant. A test compares a migrated database with the catalogue column by column.

Developers: while the first version is unreleased, ``python -m regime_pipeline.storage.migrate
freeze`` writes ``0001_initial.sql`` anew from the catalogue. After a release, a change gets a file
of its own (``0002_what.py``, template ``migrations/script.py.mako``).
"""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from regime_pipeline.storage.errors import SchemaVersionError, first_line

if TYPE_CHECKING:
    from sqlalchemy import Engine

VERSION_TABLE = "ops.schema_version"
MIGRATION_LOCK = 0x7265_6769_6D65  # "regime": one number for every process that migrates
_VERSION_FILE = re.compile(r"^(\d{4})_\w+\.py$")
_PARTITION_FUNCTION = """\
CREATE FUNCTION ops.ensure_partition(parent regclass, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first timestamp := date_trunc('month', month::timestamp);
    space text;
    name text;
    part text;
BEGIN
    SELECT n.nspname, c.relname INTO space, name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = parent AND c.relkind = 'p';
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not a partitioned table', parent;
    END IF;
    part := name || to_char(first, '_"y"YYYY"m"MM');
    PERFORM pg_advisory_xact_lock(hashtextextended('regime:partitions:' || space || '.' || name, 0));
    IF to_regclass(format('%I.%I', space, part)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- made apart and then attached: unlike PARTITION OF, readers and writers go on meanwhile
    EXECUTE format(
        'CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
        space, part, space, name);
    EXECUTE format(
        'ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
        space, name, space, part,
        first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
    RETURN true;
END
$$"""
_COVERAGE_VIEW = """\
CREATE VIEW ops.coverage AS
SELECT s.dataset, s.source, s.venue, s.market, s.symbol, h.ts,
    s.coverage_state IN ('stored', 'missed', 'venue_had_none') AS expected,
    s.coverage_state = 'stored' AS stored,
    s.coverage_state, s.coverage_reason, s.is_forward_only
FROM ops.coverage_spans s
CROSS JOIN LATERAL generate_series(
    s.span_start, s.span_end - interval '1 hour', interval '1 hour') AS h(ts)"""
_COVERAGE_COMMENT = (
    "One row per raw series and hour. expected: a row, or for events an answer, is owed for the hour; "
    "stored: it is there; coverage_state and coverage_reason say what became of it."
)
_PACKAGE = "regime_pipeline.storage.migrations"


@cache
def known_versions() -> tuple[str, ...]:
    """The schema versions this code can make, oldest first."""
    found = (_VERSION_FILE.match(f.name) for f in (files(_PACKAGE) / "versions").iterdir())
    return tuple(sorted(m.group(1) for m in found if m))


def head() -> str:
    """The schema version this code works with."""
    return known_versions()[-1]


def current(connection: psycopg.Connection) -> str | None:
    """The schema version of a database; None when it was never migrated."""
    row = connection.execute("select to_regclass(%s)", (VERSION_TABLE,)).fetchone()
    if row is None or row[0] is None:
        return None
    found = connection.execute(f"select version_num from {VERSION_TABLE}").fetchone()  # noqa: S608
    return None if found is None else str(found[0])


def check(version: str | None) -> bool:
    """Whether a database of this version needs no migration.

    Raises:
        SchemaVersionError: the version is one that this code does not know.
    """
    if version is not None and version not in known_versions():
        raise SchemaVersionError(
            f"the database has schema version {version}, this code knows up to {head()}: update the "
            "code, or point REGIME_DATABASE_URL to another database"
        )
    return version == head()


def upgrade(engine: Engine) -> None:
    """Bring the database to :func:`head`; safe when several processes do it at once.

    Raises:
        SchemaVersionError: the schema is newer than the code, or the user may not create it.
    """
    from sqlalchemy.exc import ProgrammingError

    try:
        with engine.begin() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            raw.execute("select pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            if check(current(raw)):
                return
            from alembic import command
            from alembic.config import Config

            raw.execute("create schema if not exists ops")
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (psycopg.errors.InsufficientPrivilege, ProgrammingError) as error:
        raise SchemaVersionError(
            f"the schema could not be brought to version {head()}: {first_line(error)}; use an "
            "account that owns the database, or a database of its own"
        ) from error


def initial_sql() -> str:
    """Statements that create every schema and table of the catalogue."""
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateIndex, CreateTable, SetColumnComment, SetTableComment

    from regime_pipeline.catalogue.sql import METADATA, SCHEMAS

    dialect = postgresql.dialect(paramstyle="named")  # percent signs are not doubled
    statements = [f"CREATE SCHEMA IF NOT EXISTS {name}" for name in SCHEMAS]
    for table in METADATA.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        if table.comment:
            statements.append(str(SetTableComment(table).compile(dialect=dialect)))
        statements += [
            str(SetColumnComment(column).compile(dialect=dialect))
            for column in table.columns
            if column.comment
        ]
        statements += [
            str(CreateIndex(index).compile(dialect=dialect))
            for index in sorted(table.indexes, key=lambda i: str(i.name))
        ]
    statements += [_COVERAGE_VIEW, f"COMMENT ON VIEW ops.coverage IS '{_COVERAGE_COMMENT}'"]
    # the pipeline's account need not own the tables to add a month to them
    statements.append(_PARTITION_FUNCTION)
    statements.append("REVOKE ALL ON FUNCTION ops.ensure_partition(regclass, date) FROM PUBLIC")
    lines = (re.sub(r"[ \t]+$", "", s, flags=re.MULTILINE) for s in statements)
    return (
        "-- Frozen from the catalogue by `python -m regime_pipeline.storage.migrate freeze`.\n"
        + "".join(f"{line};\n\n" for line in lines).rstrip()
        + "\n"
    )


def freeze(target: Path | None = None) -> Path:
    """Write ``0001_initial.sql`` from the catalogue as it is now."""
    path = target or Path(__file__).parent / "migrations" / "versions" / "0001_initial.sql"
    path.write_text(initial_sql(), encoding="utf-8")
    return path


if __name__ == "__main__":
    if sys.argv[1:] != ["freeze"]:
        raise SystemExit("usage: python -m regime_pipeline.storage.migrate freeze")
    sys.stdout.write(f"{freeze()}\n")
