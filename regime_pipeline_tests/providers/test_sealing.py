"""Replies of days that are over: one file per source and day, each reply as readable as before."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from regime_pipeline.providers.landing import Landed, LandingError, LandingStore
from regime_pipeline.providers.sealing import LARGEST, Sealed, seal
from regime_pipeline.storage.crash import SEALING
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, utc

NOW = utc("2024-03-10 02:40")
OLD, YESTERDAY = utc("2024-03-08 12:00"), utc("2024-03-09 12:00")
_SEAL = """
import sys
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.providers.sealing import seal
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import utc
seal(Database(sys.argv[1]), LandingStore(sys.argv[2]), utc(sys.argv[3]))
"""


def kept(
    database: Database, store: LandingStore, body: bytes, at: datetime, source: str = "okx"
) -> Landed:
    """A reply in the store and in the index."""
    landed = store.put(body)
    with database.connect() as connection:
        connection.execute(
            "insert into ops.payloads (payload_id, source, endpoint_path, url, http_status, byte_count, "
            "landing_path, fetched_at) values (%s, %s, '/a', %s, 200, %s, %s, %s)",
            (landed.payload_id, source, f"u{at}", landed.byte_count, landed.path, at),
        )
    return landed


def places(database: Database) -> dict[str, set[str]]:
    """Every place that the index has of each reply."""
    with database.connect() as connection:
        found = connection.execute("select payload_id, landing_path from ops.payloads").fetchall()
    out: dict[str, set[str]] = {}
    for payload_id, path in found:
        out.setdefault(payload_id, set()).add(path)
    return out


def readable(database: Database, store: LandingStore) -> set[bytes]:
    """Each reply, read from every place that the index has of it."""
    return {store.get(i, path) for i, paths in places(database).items() for path in paths}


def aged(folder: Path) -> None:
    """Every file looks as if it had been written days ago."""
    for path in folder.rglob("*.zst"):
        os.utime(path, (OLD.timestamp(), OLD.timestamp()))


def test_a_day_that_is_over_becomes_one_file_and_every_reply_stays_readable(
    database: Database, tmp_path: Path
) -> None:
    store, bodies = LandingStore(str(tmp_path)), [b"[%d]" % i for i in range(20)]
    for body in bodies:
        kept(database, store, body, OLD)
    kept(
        database, store, bodies[0], YESTERDAY
    )  # the same bytes again, on a day that is not sealed yet
    kept(database, store, b"of yesterday", YESTERDAY)
    kept(database, store, b"alone on its day", OLD, "bybit")
    large = kept(database, store, os.urandom(LARGEST + 1), OLD)
    everything = readable(database, store)
    assert seal(database, store, NOW) == Sealed(files=1, replies=20, removed=0)
    (file,) = (tmp_path / "sealed" / "okx").iterdir()
    assert file.name.startswith("2024-03-08-")
    with zstandard.ZstdDecompressor().stream_reader(
        file.read_bytes(), read_across_frames=True
    ) as whole:
        assert sorted(whole.read().split(b"]")) == sorted(b"".join(bodies).split(b"]"))
    assert readable(database, store) == everything
    assert places(database)[large.payload_id] == {large.path}

    # a day later the single files go, but for one that was asked for again
    aged(tmp_path)
    again = store.put(bodies[1])
    assert seal(database, store, NOW) == Sealed(removed=19)
    assert (tmp_path / again.path).exists()
    assert readable(database, store) == everything
    assert seal(database, store, NOW + DAY).files == 0
    assert seal(database, LandingStore("memory://elsewhere"), NOW) == Sealed()


def test_a_damaged_reply_is_told_and_nothing_of_its_day_is_moved(
    database: Database, tmp_path: Path
) -> None:
    store = LandingStore(str(tmp_path))
    landed = [kept(database, store, body, OLD) for body in (b"one", b"two")]
    (tmp_path / landed[1].path).write_bytes(b"")
    before = places(database)
    with pytest.raises(LandingError, match="damaged"):
        seal(database, store, NOW)
    assert places(database) == before
    assert not (tmp_path / "sealed").exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment", SEALING)
def test_who_is_killed_while_sealing_leaves_every_reply_readable(
    moment: str, database: Database, tmp_path: Path
) -> None:
    store = LandingStore(str(tmp_path))
    for body in (b"one", b"two", b"three"):
        kept(database, store, body, OLD)
    everything = readable(database, store)
    killed = subprocess.run(
        [sys.executable, "-c", _SEAL, database.url, str(tmp_path), NOW.isoformat()],
        env={**os.environ, "REGIME_CRASH_AT": moment},
        check=False,
    )
    assert killed.returncode == 9
    assert readable(database, store) == everything
    aged(tmp_path)
    seal(database, store, NOW)
    assert readable(database, store) == everything
    assert len(list((tmp_path / "sealed" / "okx").iterdir())) == 1
    assert not [p for p in tmp_path.glob("??/*.zst")]
