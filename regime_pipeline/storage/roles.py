"""Least privilege: who may do what in a project database.

============  =====================================================================================
role          may
============  =====================================================================================
owner         owns schemas, tables and the partition function; runs migrations
pipeline      reads and writes data, adds partitions, builds ``reporting``; cannot edit what is
              append-only (``*_revisions``, delivery attempts)
dispatcher    reads ``alerts``, claims outbox rows, appends delivery attempts; sees nothing else
bi            reads ``reporting``; nothing else, no temporary tables, limited time
============  =====================================================================================

Belongs here: roles, grants and their passwords. Does not belong here: the tables themselves.
Grants are the guard; read-only and time-out settings only help honest users.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.storage.embedded import write_private
from regime_pipeline.storage.errors import first_line

ROLES = ("owner", "pipeline", "dispatcher", "bi")
PASSWORDS_FILE = "database_roles.json"
_DATA = tuple(s for s in SCHEMAS if s != "reporting")
_ROLES_LOCK = 0x726F6C6573
_LIMITS: Mapping[str, Mapping[str, str]] = {
    "owner": {},
    "pipeline": {"idle_in_transaction_session_timeout": "15min", "lock_timeout": "5min"},
    "dispatcher": {"idle_in_transaction_session_timeout": "1min", "statement_timeout": "30s"},
    "bi": {
        "default_transaction_read_only": "on",
        "statement_timeout": "30s",
        "idle_in_transaction_session_timeout": "1min",
    },
}


@dataclass(frozen=True)
class Roles:
    """Outcome of :func:`ensure_roles`: SQLAlchemy URLs by role, or why there are none."""

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    skipped: str | None = None


def ensure_roles(
    connection: psycopg.Connection, address: str, home: Path, *, prefix: str = "regime"
) -> Roles:
    """Create the four roles and their grants where the connected account may; safe to repeat.

    Args:
        connection: to a migrated database; its transaction is left open.
        address: the SQLAlchemy URL of that database.
        home: generated passwords are kept below it, readable by its owner only.
        prefix: role names are ``<prefix>_owner`` and so on.
    """
    url = make_url(address)
    row = connection.execute(
        "select rolsuper from pg_roles where rolname = current_user"
    ).fetchone()
    if row is None or not row[0]:
        return Roles(
            skipped="roles are only made by a superuser (they are server-wide); ask for "
            f"{', '.join(f'{prefix}_{r}' for r in ROLES)} or go on with this account"
        )
    connection.execute("select pg_advisory_xact_lock(%s)", (_ROLES_LOCK,))
    passwords = _passwords(home)
    try:
        for role in ROLES:
            _role(connection, f"{prefix}_{role}", passwords[role], _LIMITS[role])
        _own(connection, prefix)
        _grant(connection, url.database or "", prefix)
    except psycopg.errors.InsufficientPrivilege as error:
        return Roles(skipped=f"roles could not be made: {first_line(error)}")
    return Roles(
        urls={
            role: url.set(username=f"{prefix}_{role}", password=passwords[role]).render_as_string(
                hide_password=False
            )
            for role in ROLES
        }
    )


def _passwords(home: Path) -> dict[str, str]:
    path = home / PASSWORDS_FILE
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        kept = {}
    kept = kept if isinstance(kept, dict) else {}
    known = {r: kept[r] for r in ROLES if isinstance(kept.get(r), str) and kept[r]}
    if len(known) < len(ROLES):
        known = {r: known.get(r) or secrets.token_urlsafe(24) for r in ROLES}
        home.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps(known))
    return known


def _role(
    connection: psycopg.Connection, name: str, password: str, limits: Mapping[str, str]
) -> None:
    role = sql.Identifier(name)
    known = connection.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone()
    verb = sql.SQL("ALTER" if known else "CREATE")
    connection.execute(
        sql.SQL(
            "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}"
        ).format(verb, role, sql.Literal(password))
    )
    for setting, value in limits.items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(
                role, sql.Identifier(setting), sql.Literal(value)
            )
        )


def _own(connection: psycopg.Connection, prefix: str) -> None:
    """Hand schemas, tables, partitions and the partition function to the owner."""
    owner = sql.Identifier(f"{prefix}_owner")
    for schema in SCHEMAS:
        connection.execute(
            sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(schema), owner)
        )
    tables = connection.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = any(%s) and c.relkind in ('r', 'p') "
        "and c.relowner <> (select oid from pg_roles where rolname = %s)",
        (list(_DATA), f"{prefix}_owner"),
    ).fetchall()
    for schema, name in tables:
        connection.execute(
            sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(schema, name), owner)
        )
    connection.execute(
        sql.SQL("ALTER FUNCTION ops.ensure_partition(regclass, date) OWNER TO {}").format(owner)
    )


def _grant(connection: psycopg.Connection, database: str, prefix: str) -> None:
    names: dict[str, sql.Composable] = {role: sql.Identifier(f"{prefix}_{role}") for role in ROLES}
    names["database"] = sql.Identifier(database)
    names["data"] = sql.SQL(", ").join(sql.Identifier(s) for s in _DATA)
    statements = [
        "REVOKE TEMPORARY, CREATE ON DATABASE {database} FROM PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO {owner}, {pipeline}, {dispatcher}, {bi}",
        "GRANT CREATE ON DATABASE {database} TO {owner}",
        "GRANT TEMPORARY ON DATABASE {database} TO {pipeline}",
        "GRANT USAGE ON SCHEMA {data} TO {pipeline}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {data} TO {pipeline}",
        "GRANT USAGE, CREATE ON SCHEMA reporting TO {pipeline}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO {pipeline}",
        "GRANT EXECUTE ON FUNCTION ops.ensure_partition(regclass, date) TO {pipeline}",
        "GRANT USAGE ON SCHEMA alerts TO {dispatcher}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA alerts TO {dispatcher}",
        "GRANT UPDATE ON alerts.outbox TO {dispatcher}",
        "GRANT INSERT ON alerts.delivery_attempts TO {dispatcher}",
        "GRANT USAGE ON SCHEMA reporting TO {bi}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO {bi}",
        # whoever builds a report, readers can read it
        "ALTER DEFAULT PRIVILEGES IN SCHEMA reporting GRANT SELECT ON TABLES TO {bi}, {pipeline}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner}, {pipeline} IN SCHEMA reporting "
        "GRANT SELECT ON TABLES TO {bi}",
    ]
    for statement in statements:
        connection.execute(sql.SQL(statement).format(**names))
    final = connection.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = any(%s) and c.relkind in ('r', 'p') "
        "and (right(c.relname, 10) = '_revisions' or c.relname = 'delivery_attempts')",
        (list(_DATA),),
    ).fetchall()
    for schema, name in final:
        connection.execute(
            sql.SQL("REVOKE UPDATE, DELETE ON {} FROM {}").format(
                sql.Identifier(schema, name), names["pipeline"]
            )
        )
