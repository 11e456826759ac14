"""A data folder of an older major version of PostgreSQL becomes one of the newest, or stays."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
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


def test_a_home_without_data_has_nothing_to_upgrade(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="no data folder"):
        major.upgrade(the_server(tmp_path / "home"))
