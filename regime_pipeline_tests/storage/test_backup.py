"""A backup is of one instant, whole, and gives the same rows on another server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from regime_pipeline.settings import Settings
from regime_pipeline.storage import backup as backups
from regime_pipeline.storage import manifests
from regime_pipeline.storage.database import Database, open_database
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import BackupError
from regime_pipeline.storage.roles import url_of
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.storage.frames import BOTH, DAY_1, raw_candles

NOW = FixedClock(utc("2024-06-01T03:17"))


def quiet(_task: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def stored(postgres: TestServer, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a database of one's own with a day of candles and one reply."""
    with postgres.database() as database:
        Warehouse(database, NOW).merge("raw.candles", raw_candles(DAY_1))
        landing = tmp_path / "home" / "landing" / "ab"
        landing.mkdir(parents=True)
        (landing / f"{'ab' * 32}.zst").write_bytes(b"bytes of a reply")
        yield Settings(
            _env_file=None, home=tmp_path / "home", database_url=database.libpq, origin="live"
        )


def made(settings: Settings, folder: Path, at: datetime | None = None) -> manifests.Backup:
    return backups.backup(settings, folder, NOW if at is None else FixedClock(at), quiet)


@pytest.mark.slow
def test_a_backup_says_what_it_holds_and_a_second_one_copies_no_reply_again(
    stored: Settings, tmp_path: Path
) -> None:
    first = made(stored, tmp_path / "kept")
    manifest = first.manifest
    assert first.folder.name == "live-20240601T031700Z"
    assert (manifest.origin, manifest.rows["raw.candles"], manifest.landing) == ("live", 48, True)
    assert stored.database_url is not None
    now = Warehouse(Database(stored.database_url.get_secret_value())).content_hash("raw.candles")
    assert manifest.hashes["raw.candles"] == now
    reply = tmp_path / "kept" / "landing" / "ab" / f"{'ab' * 32}.zst"
    assert reply.read_bytes() == b"bytes of a reply"
    copied = reply.stat().st_mtime_ns
    made(stored, tmp_path / "kept", NOW.now() + timedelta(days=1))
    assert reply.stat().st_mtime_ns == copied
    assert [b.folder.name for b in manifests.found_in(tmp_path / "kept")] == [
        "live-20240601T031700Z", "live-20240602T031700Z",
    ]  # fmt: skip
    assert not list((tmp_path / "kept").glob(".making-*"))


@pytest.mark.slow
def test_rows_written_while_it_is_made_are_in_neither_dump_nor_hashes(
    stored: Settings, tmp_path: Path
) -> None:
    assert stored.database_url is not None
    writer = Warehouse(Database(stored.database_url.get_secret_value()), NOW)
    before = writer.content_hash("raw.candles")

    def between(task: str, done: int, _total: int) -> None:
        if (task, done) == ("dumping rows", 1):
            thread = threading.Thread(
                target=lambda: writer.merge("raw.candles", raw_candles(BOTH, price=7.0))
            )
            thread.start()
            thread.join()

    found = backups.backup(stored, tmp_path / "kept", NOW, between)
    assert writer.content_hash("raw.candles") != before
    assert found.manifest.hashes["raw.candles"] == before
    backups.try_out(stored, found, quiet)


@pytest.mark.slow
def test_fault_61_a_backup_on_an_empty_server_has_the_same_hashes_and_rights(
    stored: Settings, tmp_path: Path
) -> None:
    source = made(stored, tmp_path / "kept")
    place = tmp_path / "new"
    new = Settings(_env_file=None, home=place, origin="live")
    try:
        backups.restore(new, source, quiet)
        database = open_database(new)
        warehouse = Warehouse(database, NOW)
        assert warehouse.content_hash("raw.candles") == source.manifest.hashes["raw.candles"]
        assert warehouse.counts() == source.manifest.rows
        landed = place / "landing" / "ab" / f"{'ab' * 32}.zst"
        assert landed.read_bytes() == b"bytes of a reply"
        warehouse.merge("raw.candles", raw_candles(BOTH, price=120.0))  # the pipeline goes on
        with pytest.raises(BackupError, match="holds data already"):
            backups.restore(new, source, quiet)
        address = url_of("bi", database.libpq, place)
        assert address is not None
        with psycopg.connect(address) as reader:
            assert reader.execute("select count(*) from reporting.candles_1h").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("select 1 from raw.candles")
        database.close()
    finally:
        EmbeddedServer(place).destroy()


@pytest.mark.slow
def test_a_damaged_or_newer_backup_and_one_whose_rows_differ_are_refused(
    stored: Settings, tmp_path: Path
) -> None:
    source = made(stored, tmp_path / "kept")
    path = source.folder / manifests.MANIFEST
    said = json.loads(path.read_text())

    def changed(**more: object) -> manifests.Backup:
        path.write_text(json.dumps(said | more))
        return manifests.read(source.folder)

    with pytest.raises(BackupError, match="restore it with the release that made it"):
        backups.try_out(stored, changed(schema_version="9999"), quiet)
    other = said["hashes"] | {"raw.candles": "0" * 64}
    with pytest.raises(BackupError, match=r"are not those of the backup: raw\.candles"):
        backups.try_out(stored, changed(hashes=other), quiet)
    older = changed(schema_version="0001", hashes=other)  # of an older one rows are counted
    backups.try_out(stored, older, quiet)
    dump = source.folder / backups.DUMP
    dump.write_bytes(dump.read_bytes()[:-9])
    with pytest.raises(BackupError, match="is damaged: its digest"):
        backups.try_out(stored, changed(), quiet)
    path.write_text("{")
    with pytest.raises(BackupError, match="is damaged"):
        manifests.read(source.folder)
    with pytest.raises(BackupError, match="holds no backup"):
        manifests.read(tmp_path)


def test_the_newest_of_days_weeks_and_months_are_kept_for_each_origin(tmp_path: Path) -> None:
    def put(origin: str, at: datetime) -> None:
        folder = tmp_path / f"{origin}-{at:%Y%m%dT%H%M%SZ}"
        folder.mkdir()
        manifest = {
            "made_at": at.isoformat(), "origin": origin, "schema_version": "0001",
            "dump_sha256": "", "dump_bytes": 0, "hashes": {}, "rows": {}, "landing": False,
        }  # fmt: skip
        (folder / manifests.MANIFEST).write_text(json.dumps(manifest))

    begin = utc("2024-01-01T03:00")
    for day in range(200):
        put("live", begin + timedelta(days=day))
    put("live", begin + timedelta(days=199, hours=5))
    put("tape", begin)
    gone = backups.thin_out(tmp_path, (7, 5, 12))
    left = [b.folder.name for b in manifests.found_in(tmp_path)]
    assert len(left) + len(gone) == 202
    assert "tape-20240101T030000Z" in left
    days = sorted(n for n in left if n.startswith("live"))
    assert days[-1] == "live-20240718T080000Z"
    assert "live-20240718T030000Z" not in days  # the newest of a day is kept
    assert len(days) == 15  # seven days, three further ends of weeks, five further ends of months
    assert backups.thin_out(tmp_path, (7, 5, 12)) == []


def test_two_backups_at_once_are_refused_and_nothing_half_made_stays(
    stored: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"

    def again(task: str, done: int, _total: int) -> None:
        if (task, done) == ("dumping rows", 0):
            made(stored, folder)

    with pytest.raises(BackupError, match="another backup is being made"):
        backups.backup(stored, folder, NOW, again)
    assert manifests.found_in(folder) == []
    assert not list(folder.glob(".making-*"))


@pytest.mark.slow
def test_months_that_are_out_of_the_database_are_in_its_backup(
    stored: Settings, tmp_path: Path
) -> None:
    assert stored.database_url is not None
    database = Database(stored.database_url.get_secret_value())
    warehouse = Warehouse(database, NOW, landing=stored.landing)
    whole = warehouse.content_hash("raw.candles")
    moved = warehouse.move_out("raw.candles", utc("2024-03-01"))
    assert moved is not None
    manifest = made(stored, tmp_path / "kept").manifest
    assert manifest.hashes["raw.candles"] == whole
    assert manifest.rows["raw.candles"] == 0
    copied = tmp_path / "kept" / "landing" / "months" / moved.file
    assert copied.read_bytes() == warehouse.files.body(moved)
    database.close()
