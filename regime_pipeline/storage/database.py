"""One PostgreSQL database: where it is, what kind of data it holds, connections to it.

Belongs here: resolving settings to a database, creating and migrating it, the identity guard, and
connections. Does not belong here: reading and writing tables (``warehouse``), the embedded server's
life (``embedded``).

A database holds one kind of data for ever: ``live``, ``simulated`` or ``tape``. The kind is written
into it at first use and compared at every opening, so generated numbers never mix with real ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from regime_pipeline.settings import Settings
from regime_pipeline.storage import migrate as migrations
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import (
    DatabaseUnreachableError,
    EmbeddedServerError,
    WrongDatabaseError,
    first_line,
    redact,
)
from regime_pipeline.storage.roles import grant, hand_over, make_roles, url_of
from regime_pipeline.windows import Clock, SystemClock

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection as AdbcConnection
    from sqlalchemy import Engine

ORIGINS = ("live", "simulated", "tape")
CONNECT_SECONDS = 4
_DRIVER = "postgresql+psycopg"
_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"}
_EMBEDDED_NAMES = {"live": "regime", "simulated": "regime_simulated", "tape": "regime_tape"}
_SESSION = {
    "connect_timeout": str(CONNECT_SECONDS),
    "application_name": "regime_pipeline",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_MAX_IDLE = 4
_LAST_FILE = "last_database.json"


class Database:
    """A database that exists.

    Args:
        url: ``postgresql://`` or ``postgresql+psycopg://``, with the database's name.
        revive: called when no connection can be made; starts the server and returns its URL now.
    """

    def __init__(self, url: str | URL, *, revive: Callable[[], str] | None = None) -> None:
        self._url = normalise_url(url)
        self._revive = revive
        self._idle = _Idle()
        self._idle_arrow = _Idle()

    def __repr__(self) -> str:
        return f"Database({self.shown})"

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, ``postgresql+psycopg://...``, with the password."""
        return self._url.render_as_string(hide_password=False)

    @property
    def libpq(self) -> str:
        """The plain ``postgresql://`` URL for psycopg, ADBC and libpq, with the password."""
        return self._url.set(drivername="postgresql").render_as_string(hide_password=False)

    @property
    def shown(self) -> str:
        """The URL without user and password, for messages and logs."""
        return shown(self._url)

    @property
    def name(self) -> str:
        """The database's name."""
        return self._url.database or ""

    @cached_property
    def engine(self) -> Engine:
        """A pooled SQLAlchemy engine that checks a connection before it hands it out."""
        return create_engine(
            self._url,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=10,
            pool_recycle=1800,
            connect_args=_SESSION,
        )

    @contextlib.contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
        """A psycopg connection: commits at the end; on an error it is closed, so nothing is stored.

        Connections are kept for the next call of this process, with their session state discarded.

        Raises:
            DatabaseUnreachableError: no connection could be made.
        """
        connection = self._living() or self._new()
        try:
            connection.autocommit = autocommit
            yield connection
            connection.commit()
        except BaseException:
            connection.close()
            raise
        try:
            connection.autocommit = True
            connection.execute("discard all")
        except psycopg.Error:
            connection.close()
        else:
            self._idle.put(connection)

    def _living(self) -> psycopg.Connection | None:
        """An idle connection that still answers."""
        while (connection := self._idle.take()) is not None:
            try:
                connection.execute("select 1")
            except psycopg.Error:
                connection.close()
            else:
                return connection
        return None

    def _new(self) -> psycopg.Connection:
        try:
            return self._open()
        except psycopg.OperationalError as error:
            if self._revive is None:
                raise _unreachable(self._url, error) from None
        self.revive()
        try:
            return self._open()
        except psycopg.OperationalError as error:
            raise _unreachable(self._url, error) from None

    def _open(self) -> psycopg.Connection:
        # no server-side prepared statements: poolers between us lose them, so does DISCARD ALL
        return psycopg.connect(make_conninfo(self.libpq, **_SESSION), prepare_threshold=None)

    def revive(self) -> None:
        """Forget idle connections; start the embedded server if it is ours and gone.

        Its port may be another one afterwards, and so may :attr:`url`.
        """
        self._idle.clear()
        self._idle_arrow.clear()
        if self._revive is None:
            return
        fresh = normalise_url(self._revive())
        if fresh != self._url:
            self._url = fresh
            engine = self.__dict__.pop("engine", None)
            if engine is not None:
                engine.dispose()

    @contextlib.contextmanager
    def arrow(self) -> Iterator[AdbcConnection]:
        """An ADBC connection in autocommit mode, kept for the next call of this process."""
        connection = self._idle_arrow.take() or self._new_arrow()
        try:
            yield connection
        except BaseException:
            with contextlib.suppress(Exception):
                connection.close()
            raise
        self._idle_arrow.put(connection)

    def _new_arrow(self) -> AdbcConnection:
        import adbc_driver_postgresql.dbapi as adbc

        return adbc.connect(_session_url(self._url), autocommit=True)

    def identity(self) -> str:
        """What kind of data the database holds: live, simulated or tape.

        Raises:
            WrongDatabaseError: nobody has said yet.
        """
        with self.connect() as connection:
            row = connection.execute("select origin from ops.database_identity").fetchone()
        if row is None:
            raise WrongDatabaseError(
                f"{self.shown} has no identity yet: open it with open_database()"
            )
        return str(row[0])

    def claim(self, origin: str, detail: str = "", *, clock: Clock | None = None) -> None:
        """Write the kind of data at first use; compare it later.

        Raises:
            WrongDatabaseError: the database holds another kind.
        """
        now = (clock or SystemClock()).now().astimezone(UTC)
        with self.connect() as connection:
            row = connection.execute("select origin from ops.database_identity").fetchone()
            if row is None:
                connection.execute(
                    "insert into ops.database_identity (identity, origin, detail, created_at) "
                    "values (1, %s, %s, %s) on conflict do nothing",
                    (origin, detail, now),
                )
                row = connection.execute("select origin from ops.database_identity").fetchone()
        if row is None or row[0] != origin:
            holds = "nothing known" if row is None else row[0]
            raise WrongDatabaseError(
                f"{self.shown} holds {holds} data, {origin} data was asked for: use a database of "
                f"its own for each (REGIME_DATABASE_URL), or run with REGIME_ORIGIN={holds}"
            )

    def close(self) -> None:
        """Close pooled connections; the database can be used again afterwards."""
        self._idle.clear()
        self._idle_arrow.clear()
        engine = self.__dict__.pop("engine", None)
        if engine is not None:
            engine.dispose()


class _Idle:
    """Connections of this process that nobody uses; at most four, the rest are closed."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._free: list[tuple[int, Any]] = []
        self._inherited: list[Any] = []

    def take(self) -> Any | None:
        with self._guard:
            while self._free:
                owner, connection = self._free.pop()
                if owner == os.getpid():
                    return connection
                # a forked child must neither use nor close its parent's socket
                self._inherited.append(connection)
        return None

    def put(self, connection: Any) -> None:
        with self._guard:
            if len(self._free) < _MAX_IDLE:
                self._free.append((os.getpid(), connection))
                return
        connection.close()

    def clear(self) -> None:
        while (connection := self.take()) is not None:
            with contextlib.suppress(Exception):
                connection.close()


def open_database(settings: Settings, *, origin: str | None = None, detail: str = "") -> Database:
    """The database for one kind of data: found or made, migrated, identity checked.

    On the embedded server the connections are those of the role ``pipeline``; a database of the
    user's own is used with the account that its URL names.

    Args:
        settings: where (``database_url``, else an embedded server below ``home``).
        origin: live, simulated or tape; None takes ``settings.origin``.
        detail: which tape or seed; kept for people when the database is new.

    Raises:
        EmbeddedServerError: the embedded server cannot run here.
        DatabaseUnreachableError: the server does not answer, or may not create the database.
        WrongDatabaseError: the database holds another kind of data.
        SchemaVersionError: its schema is newer than this code.
    """
    kind = origin or settings.origin
    if kind not in ORIGINS:
        raise ValueError(f"an origin is one of {ORIGINS}, not {kind!r}")
    if settings.database_url is None:
        database = _open_embedded(settings.home, _EMBEDDED_NAMES[kind])
    else:
        url = _for_origin(normalise_url(settings.database_url.get_secret_value()), kind)
        database = Database(url)
        ensure_exists(url)
        with database.connect() as connection:
            ready = migrations.check(migrations.stored(connection))
        if not ready:
            migrations.upgrade(database.engine)
    database.claim(kind, detail)
    return database


def address_at_rest(settings: Settings) -> str | None:
    """The ``postgresql://`` URL of the settings' database, without starting or making anything.

    Null policy: None when the embedded server was never started below ``home``.
    """
    if settings.database_url is not None:
        url = normalise_url(settings.database_url.get_secret_value())
        plain = _for_origin(url, settings.origin).set(drivername="postgresql")
        return plain.render_as_string(hide_password=False)
    try:
        address = EmbeddedServer(settings.home).url(_EMBEDDED_NAMES[settings.origin])
    except EmbeddedServerError:
        return None
    return url_of("pipeline", address, settings.home) or address


def administrators_address(settings: Settings) -> str:
    """The ``postgresql://`` URL of the settings' database for work on all of it; the server is started.

    On the embedded server it is the superuser's, else the account that the URL names. The database
    itself may not exist yet.

    Raises:
        EmbeddedServerError: the embedded server cannot run here.
    """
    if settings.database_url is None:
        server = EmbeddedServer(settings.home)
        server.start()
        return server.url(_EMBEDDED_NAMES[settings.origin])
    url = _for_origin(normalise_url(settings.database_url.get_secret_value()), settings.origin)
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _open_embedded(home: Path, name: str) -> Database:
    server = EmbeddedServer(home)

    def revive() -> str:
        server.start()
        url = server.url(name)
        return url_of("pipeline", url, home) or url

    database = Database(revive(), revive=revive)
    if not _is_ready(database, home):
        _set_up(server.url(name), home)
        database.revive()
    return database


def _is_ready(database: Database, home: Path) -> bool:
    """Whether the pipeline's role can enter a database that needs no migration."""
    if url_of("pipeline", database.url, home) is None:
        return False
    try:
        with psycopg.connect(make_conninfo(database.libpq, **_SESSION)) as connection:
            return migrations.check(migrations.stored(connection))
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
        return False  # no such database or role yet; what else is wrong shows while setting up


def _set_up(address: str, home: Path) -> None:
    """Make a database and its roles with the administrator's account; the owner migrates it."""
    administrator = normalise_url(address)
    ensure_exists(administrator)
    make_roles(address, home)
    with psycopg.connect(address) as connection:
        hand_over(connection)
    owner = Database(url_of("owner", address, home) or address)
    try:
        migrations.upgrade(owner.engine)
    finally:
        owner.close()
    with psycopg.connect(address) as connection:
        grant(connection)


def normalise_url(url: str | URL) -> URL:
    """A user's URL as SQLAlchemy needs it: the psycopg driver named, a database named.

    Raises:
        DatabaseUnreachableError: it is no PostgreSQL URL; the message does not repeat it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseUnreachableError(
            "REGIME_DATABASE_URL is not understood; it reads postgresql://user:password@host:port/name"
        ) from None
    if parsed.drivername not in _SCHEMES:
        raise DatabaseUnreachableError(
            f"REGIME_DATABASE_URL names {parsed.drivername!r}; only PostgreSQL is supported, as "
            "postgresql://user:password@host:port/name"
        )
    return parsed.set(drivername=_DRIVER, database=parsed.database or "regime")


def shown(url: str | URL) -> str:
    """Host, port and name of a database URL: safe in messages."""
    parsed = make_url(url)
    place = f"{parsed.host or 'local'}:{parsed.port or 5432}"
    return f"postgresql://{place}/{parsed.database or ''}"


def _session_url(url: URL) -> str:
    """The libpq URL with the session's options, for drivers that take nothing but a URL."""
    known = dict(url.query)
    query = {k: v for k, v in _SESSION.items() if k not in known}
    return (
        url.set(drivername="postgresql")
        .update_query_dict(query)
        .render_as_string(hide_password=False)
    )


def ensure_exists(url: URL) -> None:
    """Make sure the database can be connected to; create it when only the server exists.

    Raises:
        DatabaseUnreachableError: it cannot; one line, no password.
    """
    target = make_conninfo(url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        psycopg.connect(make_conninfo(target, **_SESSION)).close()
        return
    except psycopg.OperationalError as error:
        text = str(error).lower()
        hopeless = ("refused", "timeout", "timed out", "resolve", "translate", "no route")
        if any(word in text for word in hopeless) or isinstance(
            error, psycopg.errors.ConnectionTimeout
        ):
            raise _unreachable(url, error) from None
        first = error
    except psycopg.Error as error:
        raise _unreachable(url, error) from None
    name = str(conninfo_to_dict(target)["dbname"])
    for maintenance in ("postgres", "template1"):
        if maintenance == name:
            continue
        try:
            with psycopg.connect(
                make_conninfo(target, dbname=maintenance, **_SESSION), autocommit=True
            ) as connection:
                _create(connection, name, url)
        except psycopg.OperationalError:
            continue
        break
    else:
        raise _unreachable(url, first) from None
    try:
        psycopg.connect(make_conninfo(target, **_SESSION)).close()
    except psycopg.Error as error:  # it exists and refuses us for its own reason
        raise _unreachable(url, error) from None


def _create(connection: psycopg.Connection, name: str, url: URL) -> None:
    """Create the database unless it exists, perhaps since a moment ago."""
    known = connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone()
    if known is not None:
        return
    try:
        connection.execute(
            sql.SQL(
                "create database {} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
            ).format(sql.Identifier(name))
        )
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return  # another process was quicker
    except psycopg.errors.InsufficientPrivilege:
        raise DatabaseUnreachableError(
            f"there is no database {name!r} at {shown(url)} and this account may not create one: "
            f"ask for `create database {name}` or name an existing one in REGIME_DATABASE_URL"
        ) from None


def _for_origin(url: URL, origin: str) -> URL:
    # a tape may be given any database of its own; the identity guard keeps it from a live one
    return url.set(database=f"{url.database}_simulated") if origin == "simulated" else url


def _unreachable(url: URL, error: BaseException) -> DatabaseUnreachableError:
    password = str(url.password or "")
    why = first_line(error)
    if password:
        why = why.replace(password, "***")
    return DatabaseUnreachableError(
        f"no connection to {shown(url)}: {redact(why)}; check REGIME_DATABASE_URL, or unset it to "
        "use the embedded server"
    )


def remember_origin(home: Path, origin: str) -> None:
    """Note which kind of database was used last, so that status and report look at the same."""
    home.mkdir(parents=True, exist_ok=True)
    scratch = home / f"{_LAST_FILE}.{os.getpid()}"
    scratch.write_text(json.dumps({"origin": origin}))
    scratch.replace(home / _LAST_FILE)


def last_origin(home: Path) -> str | None:
    """The kind of database that was used last; None when none was or the note is unreadable."""
    try:
        noted: Any = json.loads((home / _LAST_FILE).read_text())
    except (OSError, ValueError):
        return None
    origin = noted.get("origin") if isinstance(noted, dict) else None
    return origin if origin in ORIGINS else None
