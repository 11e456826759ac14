"""The PostgreSQL that a test session shares between its workers, and fresh databases on it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql

from regime_pipeline.storage import migrate
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import EmbeddedServerError
from regime_pipeline.storage.schema import described_digest
from regime_pipeline.windows import FixedClock

# nothing here must outlive a power cut
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
MEMORY = Path("/dev/shm")
"""A fresh database is a thousand small files, made in a fraction of the time where no disk is touched."""
ENOUGH_MEMORY = 3 * 2**30
_MADE = "made_"
"""How the names of databases begin that a session fills once and copies."""


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "session.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _digest(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:16]


def _in_memory(home: Path) -> Path:
    """Where the server of a session lives that keeps its data in memory."""
    return MEMORY / f"regime-test-{_digest(home)}"


def _has_memory() -> bool:
    with contextlib.suppress(OSError):
        return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH_MEMORY
    return False


def _destroy(home: Path) -> None:
    for place in (home, _in_memory(home)):
        EmbeddedServer(place).destroy()
    shutil.rmtree(_in_memory(home), ignore_errors=True)


def _exists(admin: psycopg.Connection, name: str) -> bool:
    found = admin.execute("select 1 from pg_database where datname = %s", (name,)).fetchone()
    return found is not None


class TestServer:
    """One server per session; the last worker to leave stops it and removes its data."""

    __test__ = False

    def __init__(self, home: Path, *, keep: bool) -> None:
        self.home, self.keep = home, keep
        in_memory = not keep and _has_memory()
        self.server = EmbeddedServer(_in_memory(home) if in_memory else home, settings=FAST)
        notes = Path(tempfile.gettempdir()) / f"regime-test-servers-{os.getuid()}"
        self.note = notes / _digest(home)
        self.seat = home / "users" / str(os.getpid())

    def join(self) -> None:
        with _locked(self.home):
            self.seat.parent.mkdir(exist_ok=True)
            self.seat.touch()
            if not self.keep:
                self._sweep()
            self.server.start()

    def _sweep(self) -> None:
        """Note this session; end the servers of sessions that were killed before they could."""
        self.note.parent.mkdir(mode=0o700, exist_ok=True)
        self.note.write_text(str(self.home))
        for note in self.note.parent.iterdir():
            with contextlib.suppress(OSError, ValueError, EmbeddedServerError):
                home = Path(note.read_text())
                seats = home / "users"
                if seats.is_dir() and any(_alive(int(p.name)) for p in seats.iterdir()):
                    continue
                note.unlink()
                _destroy(home)

    def leave(self) -> None:
        with _locked(self.home):
            self.seat.unlink(missing_ok=True)
            others = [p for p in self.seat.parent.iterdir() if _alive(int(p.name))]
            if others:
                return
            if self.keep:
                self._drop_made()
            else:
                _destroy(self.home)
                self.note.unlink(missing_ok=True)

    def _drop_made(self) -> None:
        with self.admin() as admin:
            for (name,) in admin.execute("select datname from pg_database").fetchall():
                if name.startswith(_MADE):
                    admin.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(self.server.start(), autocommit=True)

    def template(self) -> str:
        """A migrated database of origin live, made once per content of the migrations and the catalogue."""
        folder = Path(migrate.__file__).parent / "migrations" / "versions"
        texts = [p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix in (".py", ".sql")]
        described = described_digest().encode()
        digest = hashlib.sha256(b"".join([*texts, described])).hexdigest()[:12]
        name = f"template_{digest}"
        with _locked(self.home), self.admin() as admin:
            if _exists(admin, name):
                return name
            scratch = f"making_{secrets.token_hex(6)}"
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(scratch)))
            database = Database(self.server.url(scratch))
            migrate.upgrade(database.engine)
            database.claim("live", "test", clock=FixedClock(datetime(2024, 1, 1, tzinfo=UTC)))
            database.close()
            admin.execute(
                sql.SQL("alter database {} rename to {}").format(
                    sql.Identifier(scratch), sql.Identifier(name)
                )
            )
        return name

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """URL of a database without any table, dropped at the end."""
        with self._database("template0") as url:
            yield url

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A migrated database of origin live, dropped at the end."""
        with self._database(self.template()) as url:
            database = Database(url)
            try:
                yield database
            finally:
                database.close()

    @contextmanager
    def copy_of(self, name: str, make: Callable[[Database], None]) -> Iterator[Database]:
        """A copy of a database that the session's first worker to ask fills, dropped at the end."""
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
        template = f"{_MADE}{name}_{hashlib.sha256(run.encode()).hexdigest()[:12]}"
        with _locked(self.home / "made" / name), self.admin() as admin:
            if not _exists(admin, template):
                with self._database(self.template(), keep_as=template) as url:
                    database = Database(url)
                    make(database)
                    database.close()
        with self._database(template) as url:
            database = Database(url)
            try:
                yield database
            finally:
                database.close()

    @contextmanager
    def _database(self, template: str, *, keep_as: str | None = None) -> Iterator[str]:
        name = f"test_{secrets.token_hex(6)}"
        with self.admin() as admin:
            admin.execute(
                sql.SQL("create database {} template {} strategy file_copy").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        try:
            yield self.server.url(name)
            if keep_as is not None:
                with self.admin() as admin:
                    admin.execute(
                        sql.SQL("alter database {} rename to {}").format(
                            sql.Identifier(name), sql.Identifier(keep_as)
                        )
                    )
        finally:
            with self.admin() as admin:
                admin.execute(
                    sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
                )
