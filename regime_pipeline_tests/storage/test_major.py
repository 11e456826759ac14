"""A data folder of an older major version of PostgreSQL becomes one of the newest, or stays."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from regime_pipeline.storage import major
from regime_pipeline.storage.crash import UPGRADING
from regime_pipeline.storage.embedded import SUPERUSER, EmbeddedServer, _package
from regime_pipeline.storage.errors import EmbeddedServerError
from regime_pipeline.storage.folders import write_private

pytestmark = pytest.mark.slow
_UPGRADE = """
import sys
from pathlib import Path
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.major import upgrade
upgrade(EmbeddedServer(Path(sys.argv[1]), settings={"fsync": "off"}))
"""


def the_server(home: Path) -> EmbeddedServer:
    return EmbeddedServer(home, settings={"fsync": "off"})


def rows(server: EmbeddedServer) -> tuple[int, list[tuple[int, float]]]:
    """The server's major version, and what the table holds."""
    with psycopg.connect(server.start()) as connection:
        stored = connection.execute("select a, b from kept order by a").fetchall()
        return connection.info.server_version // 10_000, stored


@pytest.fixture
def old(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A running server of the oldest version that the wheel has, with a table."""
    programs = _package() / "pginstall" / "bin"
    if not (programs / "postgres").is_file():
        pytest.skip("the wheel has one version only")
    tmp_path.chmod(0o755)
    server = the_server(tmp_path / "home")
    with server._lock():
        password = secrets.token_urlsafe(8)
        write_private(server._password_file, password)
        data = server._place_new_data()
        data.mkdir(mode=0o700)
        account = server._account()
        given = data.with_name("given")
        write_private(given, password)
        if account:
            for path in (data, given):
                os.chown(path, account["user"], account["group"])
        made = server._run(
            server._reachable(programs.parent) / "bin" / "initdb",
            *("-D", data, "-U", SUPERUSER, "--pwfile", given, "--auth=scram-sha-256"),
            *("--data-checksums", "--encoding=UTF8", "--locale=C", "--no-sync"),
        )
        assert made.returncode == 0, made.stderr
    with psycopg.connect(server.start()) as connection:
        connection.execute("create table kept (a int primary key, b double precision)")
        connection.execute("insert into kept select i, sqrt(i) from generate_series(1, 1000) i")
    yield server
    server.destroy()


def test_the_copy_has_every_row_and_the_old_folder_stays(old: EmbeddedServer) -> None:
    version, before = rows(old)
    kept = major.upgrade(old)
    assert kept is not None
    assert (kept / "PG_VERSION").read_text().strip() == str(version)
    newer, after = rows(old)
    assert newer > version
    assert after == before
    assert major.upgrade(old) is None


def _upgrading(home: Path) -> subprocess.Popen[bytes]:
    """An upgrade in a process of a group of its own."""
    return subprocess.Popen([sys.executable, "-c", _UPGRADE, str(home)], start_new_session=True)


def _copied_with_owners(source: Path, target: Path) -> None:
    """A folder copied as the server's account left it."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


@pytest.mark.parametrize("moment", UPGRADING)
def test_who_is_killed_has_the_old_version_or_the_new_one(moment: str, old: EmbeddedServer) -> None:
    version, before = rows(old)
    killed = subprocess.run(
        [sys.executable, "-c", _UPGRADE, str(old.home)],
        env={**os.environ, "REGIME_CRASH_AT": moment},
        check=False,
    )
    assert killed.returncode == 9
    again, after = rows(the_server(old.home))
    assert after == before
    assert (again == version) == (moment in ("upgraded", "upgrade_marked"))
    major.upgrade(old)
    newer, after = rows(old)
    assert newer > version
    assert after == before


@pytest.mark.timeout(900)
def test_twenty_moments_of_a_kill_leave_the_old_version_or_the_new_one(
    old: EmbeddedServer, tmp_path: Path
) -> None:
    version, before = rows(old)
    old.stop()
    place, whole = old._locate_data().parent, tmp_path / "whole"  # it may be outside of the home
    _copied_with_owners(place, whole)
    began = time.monotonic()
    _upgrading(old.home).wait()
    took_s = time.monotonic() - began
    assert rows(old)[0] > version
    seen = set()
    for moment in range(20):
        old.stop()
        shutil.rmtree(place)
        _copied_with_owners(whole, place)
        running = _upgrading(old.home)
        time.sleep(took_s * (moment + 0.5) / 20)
        if moment % 2:  # the program alone; what it has started goes on
            running.kill()
        else:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        found, after = rows(the_server(old.home))
        assert after == before, moment
        seen.add(found)
        major.upgrade(the_server(old.home))
        newer, after = rows(the_server(old.home))
        assert newer > version and after == before, moment
    assert version in seen


def test_a_home_without_data_has_nothing_to_upgrade(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="no data folder"):
        major.upgrade(the_server(tmp_path / "home"))
