"""Schema versions: bring a database to the newest one, refuse one that cannot be brought there.

Belongs here: everything about *which* schema a database has. Does not belong here: how a table of
the catalogue is made or altered (``schema``).

Version 0001 is frozen text, and databases made by it exist: it never changes, a test and each
database hold its digest. What comes later is a file ``migrations/versions/NNNN_what.py`` that moves
a database forward, in one transaction with all that it needs: a process that is killed leaves the
version before or the new one. CHECKs, NOT NULLs, indexes and comments follow the catalogue without
a file: a database remembers which description it was brought to.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from regime_pipeline.storage import locks
from regime_pipeline.storage.crash import crash_point
from regime_pipeline.storage.errors import SchemaVersionError, first_line
from regime_pipeline.storage.schema import described_digest, settle

if TYPE_CHECKING:
    from sqlalchemy import Engine

VERSION_TABLE = "ops.schema_version"
_VERSION_FILE = re.compile(r"^(\d{4})_\w+\.py$")
_PACKAGE = "regime_pipeline.storage.migrations"
_CREATED = re.compile(r"^CREATE TABLE (\S+) \(\n(.*?)\n\)", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(r'^\t"?(\w+)"? ([A-Z][A-Z0-9() ]*?)(?: NOT NULL)?,?$', re.MULTILINE)


@dataclass(frozen=True)
class Stored:
    """What a database says about its schema.

    Attributes:
        version: None when it was never migrated.
        frozen: digest of the text that made version 0001; None: made before this was noted.
        described: digest of the description that CHECKs and comments were brought to.
    """

    version: str | None = None
    frozen: str | None = None
    described: str | None = None


@cache
def known_versions() -> tuple[str, ...]:
    """The schema versions this code can make, oldest first."""
    found = (_VERSION_FILE.match(f.name) for f in (files(_PACKAGE) / "versions").iterdir())
    return tuple(sorted(m.group(1) for m in found if m))


def head() -> str:
    """The schema version this code works with."""
    return known_versions()[-1]


@cache
def initial_sql() -> str:
    """The frozen statements of version 0001."""
    return (files(_PACKAGE) / "versions" / "0001_initial.sql").read_text(encoding="utf-8")


@cache
def frozen_digest() -> str:
    """The digest of :func:`initial_sql`."""
    return hashlib.sha256(initial_sql().encode()).hexdigest()


def stored(connection: psycopg.Connection) -> Stored:
    """What a database says about its schema."""
    row = connection.execute("select to_regclass(%s)", (VERSION_TABLE,)).fetchone()
    if row is None or row[0] is None:
        return Stored()
    # as JSON, because a database of the first builds has but one of the columns
    found = connection.execute(f"select to_jsonb(v) from {VERSION_TABLE} v").fetchone()  # noqa: S608
    if found is None:
        return Stored()
    noted = found[0]
    return Stored(noted["version_num"], noted.get("frozen"), noted.get("described"))


def current(connection: psycopg.Connection) -> str | None:
    """The schema version of a database; None when it was never migrated."""
    return stored(connection).version


def check(found: Stored) -> bool:
    """Whether a database that says this needs no migration.

    Raises:
        SchemaVersionError: this code does not know its version, or made it by another text.
    """
    if found.version is not None and found.version not in known_versions():
        raise SchemaVersionError(
            f"the database has schema version {found.version}, this code knows up to {head()}: "
            "update the code, or point REGIME_DATABASE_URL to another database"
        )
    if found.frozen not in (None, frozen_digest()):
        raise _another_text("its digest is another one")
    return found == Stored(head(), frozen_digest(), described_digest())


def upgrade(engine: Engine) -> None:
    """Bring the database to :func:`head`; safe when several processes do it at once.

    Raises:
        SchemaVersionError: the schema is newer than the code or was made by other text, the user may
            not change it, or a stored row breaks what the catalogue says now.
    """
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    try:
        with engine.begin() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            raw.execute("select pg_advisory_xact_lock(%s)", (locks.MIGRATION,))
            found = stored(raw)
            if check(found):
                return
            if found.version is not None and found.frozen is None:
                _compare_with_frozen(raw)
            if found.version != head():
                _run_versions(raw, connection)
            crash_point("migrating")
            settle(raw)
            raw.execute(
                f"alter table {VERSION_TABLE} add column if not exists frozen text, "
                "add column if not exists described text"
            )
            raw.execute(
                f"update {VERSION_TABLE} set frozen = %s, described = %s",  # noqa: S608
                (frozen_digest(), described_digest()),
            )
        crash_point("migrated")
    except (psycopg.errors.InsufficientPrivilege, ProgrammingError) as error:
        raise SchemaVersionError(
            f"the schema could not be brought to version {head()}: {first_line(error)}; use an "
            "account that owns the database, or a database of its own"
        ) from error
    except (psycopg.errors.IntegrityError, IntegrityError) as error:
        raise SchemaVersionError(
            f"the schema could not be brought to version {head()}, nothing was changed: stored rows "
            f"break its rules ({first_line(error)}); mend or delete them, or go on with the code "
            "that wrote them"
        ) from error


def _run_versions(raw: psycopg.Connection, connection: object) -> None:
    """Run the version files that the database lacks, in the transaction of its connection."""
    from alembic import command
    from alembic.config import Config

    raw.execute("create schema if not exists ops")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _compare_with_frozen(connection: psycopg.Connection) -> None:
    """See that a database without a digest is what the frozen text makes.

    Raises:
        SchemaVersionError: it is not: the text was edited before it was frozen.
    """
    alike = {"float(53)": "double precision", "bigserial": "bigint"}
    wanted = {
        (table, column, alike.get(kind.lower(), kind.lower()))
        for table, body in _CREATED.findall(initial_sql())
        for column, kind in _COLUMN.findall(body)
    }
    names = sorted({table for table, _, _ in wanted})
    found = set(
        connection.execute(
            "select t, a.attname, format_type(a.atttypid, a.atttypmod) "
            "from unnest(%s::text[]) t join pg_attribute a on a.attrelid = to_regclass(t) "
            "where a.attnum > 0 and not a.attisdropped",
            (names,),
        ).fetchall()
    )
    if wanted != found:
        table, column, _ = min(wanted ^ found)
        raise _another_text(f"{table}.{column} differs")


def _another_text(how: str) -> SchemaVersionError:
    return SchemaVersionError(
        f"the database was made by another text of schema version 0001 than this code's ({how}), so "
        "no later version can build on it: go on with the code that made it, or begin anew in "
        "another place (REGIME_HOME, REGIME_DATABASE_URL) and run again"
    )
