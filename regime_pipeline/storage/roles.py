"""Least privilege: who may do what in the embedded server's databases.

=============  ====================================================================================
role           may
=============  ====================================================================================
owner          owns schemas, tables and the partition function; runs migrations, nothing else
pipeline       the product itself: reads and writes data, adds partitions, builds ``reporting``, keeps
               Dagster's tables; cannot edit what is append-only (``*_revisions``, delivery attempts)
dispatcher     reads ``alerts``, claims outbox rows, appends delivery attempts; sees nothing else
bi             reads ``reporting``; no temporary tables, large objects or advisory locks, limited time
api            as ``bi``, with less time; may ask what a token opens
health         reads ``ops`` and ``alerts`` and the server's statistics, for monitoring
=============  ====================================================================================

Belongs here: roles, grants and their passwords. Does not belong here: the tables themselves.
Grants and connection limits are the guard; read-only and time-out settings only help honest users,
who can change them for themselves. PostgreSQL also lets every role change its own password, and
nothing takes that right away: deleting ``database_roles.json`` and starting again makes new ones.

The server sees passwords only as SCRAM verifiers, so that none can get into its log.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from regime_pipeline.catalogue.schemas import SCHEMAS
from regime_pipeline.storage import locks, provenance
from regime_pipeline.storage.errors import first_line
from regime_pipeline.storage.folders import write_private
from regime_pipeline.storage.marts import view_names

PASSWORDS_FILE = "database_roles.json"
RUNS_SCHEMA = "dagster"
"""Dagster's own tables; they are the pipeline's."""
MAINTENANCE = "postgres"
"""The database in which what belongs to the whole server is done, one process at a time."""
_DATA = tuple(s for s in SCHEMAS if s != "reporting")
_IDLE = "idle_in_transaction_session_timeout"


@dataclass(frozen=True)
class Role:
    """One role.

    Attributes:
        connections: how many it may have at once; the sum is less than the server's 200.
        settings: what its sessions begin with.
        database: rights on each project database beside CONNECT.
        locks: whether it may take advisory locks.
        grants: its rights inside, as GRANT takes them; ``{data}`` stands for all schemas of data.
        member: a role of PostgreSQL's own whose rights it has.
    """

    connections: int
    settings: Mapping[str, str] = field(default_factory=dict)
    database: tuple[str, ...] = ()
    locks: bool = False
    grants: tuple[str, ...] = ()
    member: str | None = None


_READS_REPORTS = (
    "USAGE ON SCHEMA reporting",
    "SELECT ON ALL TABLES IN SCHEMA reporting",
    f"EXECUTE ON FUNCTION {provenance.SIGNATURE}",
)
ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "owner": Role(
            5,
            database=("CREATE", "TEMPORARY"),
            locks=True,
            grants=("SELECT ON ALL TABLES IN SCHEMA reporting",),
        ),
        "pipeline": Role(
            140,
            settings={_IDLE: "15min", "lock_timeout": "5min"},
            database=("TEMPORARY",),
            locks=True,
            grants=(
                "USAGE ON SCHEMA {data}",
                "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {data}",
                "USAGE, CREATE ON SCHEMA reporting",
                "SELECT ON ALL TABLES IN SCHEMA reporting",
                "EXECUTE ON FUNCTION ops.ensure_partition(regclass, date)",
                f"EXECUTE ON FUNCTION {provenance.SIGNATURE}",
            ),
        ),
        "dispatcher": Role(
            10,
            settings={_IDLE: "1min", "statement_timeout": "30s"},
            locks=True,
            grants=(
                "USAGE ON SCHEMA alerts",
                "SELECT ON ALL TABLES IN SCHEMA alerts",
                "UPDATE ON alerts.outbox",
                "INSERT, UPDATE ON alerts.endpoints",
                "INSERT ON alerts.delivery_starts, alerts.delivery_attempts",
            ),
        ),
        "bi": Role(
            20,
            settings={
                "default_transaction_read_only": "on",
                _IDLE: "1min",
                "statement_timeout": "30s",
            },
            grants=_READS_REPORTS,
        ),
        "api": Role(
            15,
            settings={
                "default_transaction_read_only": "on",
                _IDLE: "10s",
                "statement_timeout": "5s",
                "lock_timeout": "1s",
            },
            grants=(
                *_READS_REPORTS,
                "EXECUTE ON FUNCTION reporting.token_scope(text, text)",
            ),
        ),
        "health": Role(
            5,
            settings={
                "default_transaction_read_only": "on",
                _IDLE: "10s",
                "statement_timeout": "5s",
            },
            grants=("USAGE ON SCHEMA ops, alerts", "SELECT ON ALL TABLES IN SCHEMA ops, alerts"),
            member="pg_read_all_stats",
        ),
    }
)


@dataclass(frozen=True)
class Roles:
    """Outcome of :func:`ensure_roles`: SQLAlchemy URLs by role, or why there are none."""

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    skipped: str | None = None


def url_of(role: str, address: str, home: Path, *, prefix: str = "regime") -> str | None:
    """A database's URL for one role; None when no passwords were made yet.

    Args:
        role: a name of :data:`ROLES`.
        address: any URL of the database.
        home: where the passwords are.
        prefix: as for :func:`ensure_roles`.
    """
    password = _known_passwords(home).get(role)
    if password is None:
        return None
    url = make_url(address).set(username=f"{prefix}_{role}", password=password)
    return url.render_as_string(hide_password=False)


def make_roles(address: str, home: Path, *, prefix: str = "regime") -> None:
    """Make the server's roles, or bring them to what :data:`ROLES` says; safe to repeat and to race.

    Args:
        address: a superuser's ``postgresql://`` URL of any database of the server.
        home: generated passwords are kept below it, readable by its owner only.
        prefix: role names are ``<prefix>_owner`` and so on.
    """
    where = make_conninfo(address, dbname=MAINTENANCE)
    with psycopg.connect(where) as connection:
        # roles belong to the server, advisory locks to a database: everybody takes it in this one
        connection.execute("select pg_advisory_xact_lock(%s)", (locks.ROLES,))
        passwords = _passwords(home)
        for name, role in ROLES.items():
            _role(connection, f"{prefix}_{name}", passwords[name], role)
        for database in (MAINTENANCE, "template1"):  # nobody's place to leave anything
            connection.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
            )


def rotate(address: str, home: Path, *, prefix: str = "regime") -> None:
    """New passwords for all roles of the embedded server.

    The file is written first: whoever is killed before the server knows them leaves a file that the next
    command brings to the server, as it does after the file was deleted.

    Args:
        address: a superuser's URL of any database of the server.
        home: where passwords are kept.
        prefix: as for :func:`make_roles`.
    """
    fresh = {role: secrets.token_urlsafe(24) for role in ROLES}
    write_private(home / PASSWORDS_FILE, json.dumps(fresh))
    make_roles(address, home, prefix=prefix)


def hand_over(connection: psycopg.Connection, *, prefix: str = "regime") -> None:
    """Give a database to the owner, so that it can migrate it; safe to repeat and to race.

    Args:
        connection: a superuser's, to a database of the project, migrated or empty.
        prefix: as for :func:`make_roles`.
    """
    connection.execute("select pg_advisory_xact_lock(%s)", (locks.MIGRATION,))
    _rights_on_database(connection, prefix)
    _own(connection, prefix)


def grant(connection: psycopg.Connection, *, prefix: str = "regime") -> None:
    """Give every role its rights in a migrated database; safe to repeat and to race.

    Args:
        connection: a superuser's, to the database.
        prefix: as for :func:`make_roles`.
    """
    connection.execute("select pg_advisory_xact_lock(%s)", (locks.MIGRATION,))
    _own(connection, prefix)
    _guard_functions(connection, prefix)
    names = {n: sql.Identifier(f"{prefix}_{n}") for n in ROLES}
    data = sql.SQL(", ").join(sql.Identifier(s) for s in _DATA)
    for name, role in ROLES.items():
        for right in role.grants:
            connection.execute(
                sql.SQL("GRANT {} TO {}").format(sql.SQL(right).format(data=data), names[name])
            )
    readers = sql.SQL(", ").join(
        names[n] for n, role in ROLES.items() if set(_READS_REPORTS) <= set(role.grants)
    )
    # whoever builds a report, readers can read it, and the owner, whose rights `why` has
    for statement in (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA reporting GRANT SELECT ON TABLES TO {readers}, {pipeline}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner}, {pipeline} IN SCHEMA reporting "
        "GRANT SELECT ON TABLES TO {readers}, {owner}",
    ):
        connection.execute(sql.SQL(statement).format(readers=readers, **names))
    final = connection.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = any(%s) and c.relkind in ('r', 'p') "
        "and (right(c.relname, 10) = '_revisions' or c.relname in ('delivery_starts', 'delivery_attempts'))",
        (list(_DATA),),
    ).fetchall()
    for schema, name in final:
        connection.execute(
            sql.SQL("REVOKE UPDATE, DELETE ON {} FROM {}").format(
                sql.Identifier(schema, name), names["pipeline"]
            )
        )


def ensure_roles(
    connection: psycopg.Connection, address: str, home: Path, *, prefix: str = "regime"
) -> Roles:
    """Make the roles and their grants where the connected account may; safe to repeat.

    Args:
        connection: to a migrated database; its transaction is left open.
        address: the SQLAlchemy URL of that database.
        home: generated passwords are kept below it, readable by its owner only.
        prefix: role names are ``<prefix>_owner`` and so on.
    """
    row = connection.execute(
        "select rolsuper from pg_roles where rolname = current_user"
    ).fetchone()
    if row is None or not row[0]:
        return Roles(
            skipped="roles are only made by a superuser (they are server-wide); ask for "
            f"{', '.join(f'{prefix}_{r}' for r in ROLES)} or go on with this account"
        )
    plain = make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        make_roles(plain, home, prefix=prefix)
        hand_over(connection, prefix=prefix)
        grant(connection, prefix=prefix)
    except psycopg.errors.InsufficientPrivilege as error:
        return Roles(skipped=f"roles could not be made: {first_line(error)}")
    return Roles(urls={r: url_of(r, address, home, prefix=prefix) or "" for r in ROLES})


def _known_passwords(home: Path) -> dict[str, str]:
    try:
        kept = json.loads((home / PASSWORDS_FILE).read_text())
    except (OSError, ValueError):
        return {}  # absent or cut short: new ones are made
    kept = kept if isinstance(kept, dict) else {}
    return {r: kept[r] for r in ROLES if isinstance(kept.get(r), str) and kept[r]}


def _passwords(home: Path) -> dict[str, str]:
    known = _known_passwords(home)
    if len(known) < len(ROLES):
        known = {r: known.get(r) or secrets.token_urlsafe(24) for r in ROLES}
        home.mkdir(parents=True, exist_ok=True)
        write_private(home / PASSWORDS_FILE, json.dumps(known))
    return known


def _role(connection: psycopg.Connection, name: str, password: str, role: Role) -> None:
    named = sql.Identifier(name)
    known = connection.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone()
    verifier = connection.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL(
            "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
            "CONNECTION LIMIT {} PASSWORD {}"
        ).format(
            sql.SQL("ALTER" if known else "CREATE"),
            named,
            sql.Literal(role.connections),
            sql.Literal(verifier),
        )
    )
    for setting, value in role.settings.items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(
                named, sql.Identifier(setting), sql.Literal(value)
            )
        )
    if role.member is not None:
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role.member), named))


def _rights_on_database(connection: psycopg.Connection, prefix: str) -> None:
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    for name, role in ROLES.items():
        rights = sql.SQL(", ").join(sql.SQL(r) for r in ("CONNECT", *role.database))
        connection.execute(
            sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
                rights, database, sql.Identifier(f"{prefix}_{name}")
            )
        )


def _own(connection: psycopg.Connection, prefix: str) -> None:
    """Hand what the project made to the owner; reports and Dagster's tables to the pipeline."""
    of = {s: f"{prefix}_owner" for s in _DATA} | {RUNS_SCHEMA: f"{prefix}_pipeline"}
    pipeline = sql.Identifier(f"{prefix}_pipeline")
    connection.execute(
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
            sql.Identifier(RUNS_SCHEMA), pipeline
        )
    )
    # the schema of reports is the owner's; what is built in it, the builder's
    schemas = connection.execute(
        "select nspname from pg_namespace where nspname = any(%s)",
        ([*SCHEMAS, RUNS_SCHEMA],),
    ).fetchall()
    for (schema,) in schemas:
        owner = sql.Identifier(of.get(schema, f"{prefix}_owner"))
        connection.execute(
            sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(schema), owner)
        )
    of["reporting"] = f"{prefix}_pipeline"
    views = set(view_names())  # made by migrations, and read with the right to what is below them
    found = connection.execute(
        "select n.nspname, c.relname, case c.relkind when 'v' then 'VIEW' when 'S' then 'SEQUENCE' "
        "when 'm' then 'MATERIALIZED VIEW' else 'TABLE' end, pg_get_userbyid(c.relowner) "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v', 'm', 'S') "
        # a sequence of a column follows its table
        "and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i') "
        "and c.relkind = 'S')",
        (list(of),),
    ).fetchall()
    for schema, name, kind, owned_by in found:
        right = of["ops"] if schema == "reporting" and name in views else of[schema]
        if owned_by != right:
            connection.execute(
                sql.SQL("ALTER {} {} OWNER TO {}").format(
                    sql.SQL(kind), sql.Identifier(schema, name), sql.Identifier(right)
                )
            )
    functions = connection.execute(
        "select p.oid::regprocedure::text from pg_proc p join pg_namespace n "
        "on n.oid = p.pronamespace where n.nspname = any(%s)",
        (list(SCHEMAS),),
    ).fetchall()
    for (function,) in functions:
        connection.execute(
            sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(
                sql.SQL(function), sql.Identifier(f"{prefix}_owner")
            )
        )


def _guard_functions(connection: psycopg.Connection, prefix: str) -> None:
    """Take large objects from everybody, and advisory locks from all who don't write."""
    lockers = sql.SQL(", ").join(
        sql.Identifier(f"{prefix}_{n}") for n, role in ROLES.items() if role.locks
    )
    for pattern, who in (
        ("^(lo_|loread$|lowrite$)", None),
        ("^pg_(try_)?advisory_", lockers),
    ):
        found = connection.execute(
            "select oid::regprocedure::text from pg_proc "
            "where pronamespace = 'pg_catalog'::regnamespace and proname ~ %s",
            (pattern,),
        ).fetchall()
        functions = sql.SQL(", ").join(sql.SQL(f) for (f,) in found)
        connection.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(functions))
        if who is not None:
            connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(functions, who))
