"""Backups: one consistent copy of a database with the hashes of its tables, and a database made of one.

A backup is a folder: ``database.dump`` (pg_dump's own format), ``manifest.json`` (what it holds, hashes, the
dump's digest). Replies of providers are named by their content, so the backups of a folder share one
``landing``. Belongs here: making, restoring, thinning out. Does not belong here: passwords and signing
secrets, which are in no backup; when one is made; finding them (``manifests``); printing.

Hashes are computed on the snapshot that is dumped, whatever is written meanwhile. Dagster's records (runs,
ticks) are left out: they describe a machine, and a restored database begins without any.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.settings import Settings
from regime_pipeline.storage import migrate
from regime_pipeline.storage.database import (
    Database,
    administrators_address,
    ensure_exists,
    normalise_url,
)
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import BackupError
from regime_pipeline.storage.folders import SEALED, write_private
from regime_pipeline.storage.manifests import MANIFEST, Backup, Manifest, found_in
from regime_pipeline.storage.months import FOLDER as MONTHS
from regime_pipeline.storage.roles import RUNS_SCHEMA, grant, hand_over, make_roles
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import Clock

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection as AdbcConnection

DUMP, LANDING = "database.dump", "landing"
_UNFINISHED = ".making-"
_HASHED = tuple(n for n, t in TABLES.items() if t.partitioned)

Say = Callable[[str, int, int], None]


class _Snapshot(Database):
    """The database as it was when a snapshot was exported."""

    def __init__(self, address: str, snapshot: str) -> None:
        super().__init__(address)
        self._snapshot = snapshot

    @contextlib.contextmanager
    def arrow(self) -> Iterator[AdbcConnection]:
        import adbc_driver_postgresql.dbapi as adbc

        with adbc.connect(self.libpq, autocommit=False) as connection:
            with connection.cursor() as cursor:
                cursor.execute("set transaction isolation level repeatable read, read only")
                cursor.execute(f"set transaction snapshot '{self._snapshot}'")
            yield connection

    @contextlib.contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:  # noqa: ARG002
        with psycopg.connect(self.libpq) as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            connection.execute(
                sql.SQL("set transaction snapshot {}").format(sql.Literal(self._snapshot))
            )
            yield connection


def backup(settings: Settings, target: Path, clock: Clock, say: Say) -> Backup:
    """Make a backup below a folder; the pipeline may go on writing.

    Args:
        settings: which database, and where replies are kept.
        target: folder of the backups; made if need be, readable by its owner only.
        clock: names the backup.
        say: told what is done, and how far it is.

    Raises:
        BackupError: another backup is being made there, or a program failed; nothing half-made stays.
        StorageError: the database does not answer.
    """
    address, landing = administrators_address(settings), settings.landing_folder
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(target):
        for leftover in target.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover)
        making = target / f"{_UNFINISHED}{secrets.token_hex(4)}"
        making.mkdir(mode=0o700)
        try:
            with psycopg.connect(address) as holding:
                holding.execute("set transaction isolation level repeatable read, read only")
                row = holding.execute("select pg_export_snapshot()").fetchone()
                assert row is not None
                now = clock.now()
                _dump(settings, address, row[0], making / DUMP, say)
                found = _described(_Snapshot(address, row[0]), settings.landing, say)
            if landing is not None:
                _mirror(landing, target / LANDING, say)
            manifest = Manifest(
                made_at=now.isoformat(),
                dump_sha256=_digest(making / DUMP),
                dump_bytes=(making / DUMP).stat().st_size,
                landing=landing is not None,
                **found,  # type: ignore[arg-type]
            )
            write_private(making / MANIFEST, json.dumps(asdict(manifest), indent=1))
            final = target / f"{manifest.origin}-{now:%Y%m%dT%H%M%SZ}"
            making.rename(final)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    return Backup(final, manifest)


def thin_out(target: Path, keep: Sequence[int]) -> list[Path]:
    """Delete backups that are neither the newest of one of so many days, nor of weeks, nor of months.

    Args:
        target: folder of the backups.
        keep: how many days, weeks and months; each origin is counted for itself.

    Returns:
        The folders that are gone. Replies in ``landing`` stay.
    """
    kept: set[Path] = set()
    everything = found_in(target)
    for origin in {b.manifest.origin for b in everything}:
        newest_first = [b for b in reversed(everything) if b.manifest.origin == origin]
        for count, form in zip(keep, ("%Y-%m-%d", "%G-%V", "%Y-%m"), strict=True):
            newest: dict[str, Path] = {}
            for one in newest_first:
                newest.setdefault(one.made_at.strftime(form), one.folder)
            kept |= set(list(newest.values())[:count])
    gone = [b.folder for b in everything if b.folder not in kept]
    for folder in gone:
        shutil.rmtree(folder)
    return gone


def restore(settings: Settings, source: Backup, say: Say) -> None:
    """Make the database of the settings out of a backup, and its landing store where it is local.

    The rows are read into a database aside and compared with the hashes of the backup; only then it gets
    its name. A process that is killed leaves what was there before.

    Raises:
        BackupError: there are rows already, the backup is damaged or of a newer release, or the restored
            rows are not those of the backup.
        StorageError: the database does not answer.
    """
    manifest = source.manifest
    if manifest.schema_version > migrate.head():
        raise BackupError(
            f"{source.folder} has schema {manifest.schema_version}, this release knows "
            f"{migrate.head()}: restore it with the release that made it"
        )
    say("checking the dump", 0, 1)
    if _digest(source.folder / DUMP) != manifest.dump_sha256:
        raise BackupError(f"{source.folder / DUMP} is damaged: its digest is not the manifest's")
    address = administrators_address(settings.model_copy(update={"origin": manifest.origin}))
    name = str(conninfo_to_dict(address)["dbname"])
    if _is_filled(address):
        raise BackupError(
            f"the database {name} holds data already: restore into an empty home "
            "(REGIME_HOME=/new/place), or drop that database first"
        )
    embedded = settings.database_url is None
    aside = f"restoring_{name}"
    if embedded:
        make_roles(address, settings.home)
    with psycopg.connect(_named(address, "postgres"), autocommit=True) as server:
        _drop(server, aside)
        server.execute(sql.SQL("create database {}").format(sql.Identifier(aside)))
    made = _named(address, aside)
    say("restoring rows", 0, 1)
    owners = [] if embedded else ["--no-owner", "--no-privileges"]
    _program(
        settings,
        "pg_restore",
        made,
        *owners,
        "--jobs=2",
        "--exit-on-error",
        str(source.folder / DUMP),
    )
    if embedded:
        with psycopg.connect(made) as connection:
            hand_over(connection)
            grant(connection)
    # months that were moved out lie beside the backup, or in the object store that keeps the replies
    beside = str(source.folder.parent / LANDING) if manifest.landing else settings.landing
    _compare(Database(made), manifest, beside, say)
    with psycopg.connect(_named(address, "postgres"), autocommit=True) as server:
        _drop(server, name)
        server.execute(
            sql.SQL("alter database {} rename to {}").format(
                sql.Identifier(aside), sql.Identifier(name)
            )
        )
    landing = settings.landing_folder
    if landing is not None and manifest.landing:
        _mirror(source.folder.parent / LANDING, landing, say)


def try_out(settings: Settings, source: Backup, say: Say) -> None:
    """Restore a backup on a server of its own, compare every hash, and take all of it away again.

    Raises:
        BackupError: it cannot be restored, or gives other rows.
    """
    with tempfile.TemporaryDirectory(prefix="regime-restore-") as place:
        Path(place).chmod(0o711)  # the server's account must get in
        home = Path(place) / "home"
        home.mkdir()
        apart = settings.model_copy(
            update={"home": home, "database_url": None, "landing_url": "memory://"}
        )
        try:
            restore(apart, source, say)
        finally:
            EmbeddedServer(home).destroy()


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    with (target / ".lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another backup is being made in {target}") from None
        yield


def _described(database: Database, landing: str, say: Say) -> dict[str, object]:
    """Origin, version, hashes and rows of a database of this release's schema."""
    with database.connect() as connection:
        version = migrate.stored(connection).version
    return {
        "origin": database.identity(),
        "schema_version": version or "",
        "hashes": _hashes(database, _HASHED, landing, say),
        "rows": _rows(database, list(TABLES)),
    }


def _hashes(database: Database, tables: Sequence[str], landing: str, say: Say) -> dict[str, str]:
    found, warehouse = {}, Warehouse(database, landing=landing)
    for done, table in enumerate(tables):
        say("hashing tables", done, len(tables))
        found[table] = warehouse.content_hash(table)
    say("hashing tables", len(tables), len(tables))
    return found


def _rows(database: Database, tables: Sequence[str]) -> dict[str, int]:
    query = sql.SQL(" union all ").join(
        sql.SQL("select {}, count(*) from {}").format(
            sql.Literal(name), sql.Identifier(*name.split("."))
        )
        for name in tables
    )
    with database.connect() as connection:
        return {str(name): int(n) for name, n in connection.execute(query)}


def _compare(database: Database, manifest: Manifest, landing: str, say: Say) -> None:
    """Refuse a database whose rows are not those of a backup.

    Hashes cover the columns that this release knows; of a backup of an older release rows are counted.
    """
    try:
        rows = _rows(database, list(manifest.rows))
        is_same_schema = manifest.schema_version == migrate.head()
        known = list(manifest.hashes) if is_same_schema else []
        hashes = _hashes(database, known, landing, say)
    finally:
        database.close()
    other = {t for t, n in manifest.rows.items() if rows[t] != n}
    other |= {t for t, h in hashes.items() if manifest.hashes[t] != h}
    if other:
        raise BackupError(
            f"the restored rows are not those of the backup: {', '.join(sorted(other))}"
        )


def _dump(settings: Settings, address: str, snapshot: str, path: Path, say: Say) -> None:
    say("dumping rows", 0, 1)
    options = (
        "--format=custom",
        "--compress=gzip:1",
        f"--snapshot={snapshot}",
        f"--exclude-schema={RUNS_SCHEMA}",
        f"--file={path}",
    )
    _program(settings, "pg_dump", address, *options)
    path.chmod(0o600)
    say("dumping rows", 1, 1)


def _program(settings: Settings, name: str, address: str, *options: str) -> None:
    """Run one of PostgreSQL's programs; the password is in its environment, not on its command line."""
    known = conninfo_to_dict(address)
    account = {
        "PGHOST": known.get("host"),
        "PGPORT": known.get("port"),
        "PGUSER": known.get("user"),
        "PGPASSWORD": known.get("password"),
        "PGSSLMODE": known.get("sslmode"),
    }
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    environment |= {k: str(v) for k, v in account.items() if v is not None}
    command = [str(EmbeddedServer(settings.home).binaries / name), f"--dbname={known['dbname']}"]
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no word"]
        raise BackupError(f"{name} failed: {said[0]}")


def _mirror(source: Path, target: Path, say: Say) -> None:
    """Copy the payloads and months that the target lacks; each appears whole or not at all."""
    folders = sorted(p for p in source.iterdir() if p.is_dir()) if source.is_dir() else []
    for nested in (MONTHS, SEALED):
        folders += sorted(p for p in (source / nested).glob("*") if p.is_dir())
    for done, folder in enumerate(folders):
        say("copying replies", done, len(folders))
        there = target / folder.relative_to(source)
        there.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = {p.name for p in there.iterdir()}
        for path in (*folder.glob("*.zst"), *folder.glob("*.parquet")):
            if path.name not in known:
                part = there / f"{path.name}.part"
                shutil.copyfile(path, part)
                part.replace(there / path.name)
    say("copying replies", len(folders), len(folders))


def _is_filled(address: str) -> bool:
    """Whether the database exists and anything was ever fetched into it."""
    try:
        with psycopg.connect(address) as connection:
            if migrate.stored(connection).version is None:
                return False
            there = connection.execute(
                "select exists (select 1 from ops.fetch_log) or exists (select 1 from raw.candles)"
            ).fetchone()
            return there is not None and bool(there[0])
    except psycopg.OperationalError:
        ensure_exists(normalise_url(address))  # the server must answer; the database may be absent
        return False


def _drop(server: psycopg.Connection, name: str) -> None:
    server.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _named(address: str, database: str) -> str:
    return make_url(address).set(database=database).render_as_string(hide_password=False)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
