"""The embedded server comes up whatever was killed, and touches nothing that is not its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from regime_pipeline.storage import embedded
from regime_pipeline.storage.embedded import EmbeddedServer
from regime_pipeline.storage.errors import EmbeddedServerError

AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    one = EmbeddedServer(tmp_path_factory.mktemp("embedded") / ".regime")
    url = one.start()
    with psycopg.connect(url) as connection:
        connection.execute("create table kept (n int primary key)")
    yield one
    one.destroy()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the unprivileged account of the server may enter."""
    folder = Path(tempfile.mkdtemp(prefix="regime-open-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def _pid(server: EmbeddedServer) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def _children(pid: int) -> list[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(p) for p in listing.stdout.split()]


def _kill_9(victims: list[int]) -> None:
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):  # the others leave when one was killed
            os.kill(victim, signal.SIGKILL)


def _commit(server: EmbeddedServer, number: int) -> None:
    with psycopg.connect(server.url("postgres")) as connection:
        connection.execute("insert into kept values (%s) on conflict do nothing", (number,))


def _kept(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [n for (n,) in connection.execute("select n from kept order by n")]


@pytest.mark.slow
def test_it_wants_a_password_keeps_checksums_and_listens_on_loopback_only(
    server: EmbeddedServer,
) -> None:
    url = server.start()
    with psycopg.connect(url) as connection:

        def show(name: str) -> str:
            return connection.execute(f"show {name}").fetchone()[0]

        assert show("data_checksums") == "on"
        assert show("fsync") == "on"
        assert show("listen_addresses") == "127.0.0.1"
        assert show("server_encoding") == "UTF8"
        methods = connection.execute("select distinct auth_method from pg_hba_file_rules")
        assert [m for (m,) in methods] == ["scram-sha-256"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password="wrong")
    password = server.control / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600


@pytest.mark.slow
def test_starting_again_changes_nothing_and_stop_keeps_data_and_port(
    server: EmbeddedServer,
) -> None:
    url = server.start()
    pid = _pid(server)
    assert server.start() == url
    assert EmbeddedServer(server.home).start() == url
    assert _pid(server) == pid
    _commit(server, 1)
    server.stop()
    assert not server.is_running()
    server.stop()
    assert server.start() == url
    assert 1 in _kept(url)


@pytest.mark.slow
@pytest.mark.parametrize("everything", [False, True], ids=["postmaster", "everything"])
def test_kill_9_loses_no_committed_row(server: EmbeddedServer, everything: bool) -> None:
    server.start()
    for number in range(10, 15):
        _commit(server, number)
    pid = _pid(server)
    victims = [*(_children(pid) if everything else []), pid]
    _kill_9(victims)
    url = server.start()  # at once: no wait for the dead to leave
    assert set(range(10, 15)) <= set(_kept(url))
    assert _pid(server) != pid


@pytest.mark.slow
def test_stop_while_it_recovers_from_a_killed_child_does_not_hang(server: EmbeddedServer) -> None:
    server.start()
    _commit(server, 16)
    _kill_9(_children(_pid(server))[:2])
    time.sleep(0.01)  # the server has noticed and begins to start anew
    before = time.monotonic()
    server.stop()
    assert time.monotonic() - before < embedded.STOP_SECONDS / 2
    assert not server.is_running()
    assert 16 in _kept(server.start())


@pytest.mark.slow
def test_fault_49_pid_file_that_names_another_living_process_is_no_server(
    server: EmbeddedServer,
) -> None:
    server.start()
    _commit(server, 20)
    lines = (server.data / "postmaster.pid").read_text().splitlines()
    _kill_9([*_children(int(lines[0])), int(lines[0])])
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (server.data / "postmaster.pid").write_text("\n".join([str(bystander.pid), *lines[1:]]))
        assert not server.is_running()
        assert 20 in _kept(server.start())
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_fault_49_zombie_in_the_pid_file_is_no_server(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    zombie = subprocess.Popen(["true"])
    try:
        while Path(f"/proc/{zombie.pid}/stat").read_text().split()[2] != "Z":
            time.sleep(0.01)
        (server.data / "postmaster.pid").write_text(f"{zombie.pid}\n{server.data}\n")
        server.start()
        assert server.is_running()
    finally:
        zombie.wait()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"port": "x", "data": 5}'])
def test_fault_49_damaged_state_file_is_rebuilt(server: EmbeddedServer, damage: str) -> None:
    server.start()
    _commit(server, 30)
    pid = _pid(server)
    (server.control / "server.json").write_text(damage)
    assert 30 in _kept(server.start())
    assert _pid(server) == pid, "the running server is found again, not started twice"
    assert json.loads((server.control / "server.json").read_text())["port"]


@pytest.mark.slow
def test_lost_password_file_is_replaced_and_the_old_password_is_worth_nothing(
    server: EmbeddedServer,
) -> None:
    old = server.start()
    _commit(server, 40)
    (server.control / "password").unlink()
    new = server.start()
    assert new != old
    assert 40 in _kept(new)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(old)


@pytest.mark.slow
def test_port_taken_by_somebody_else_means_another_port(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    port = json.loads((server.control / "server.json").read_text())["port"]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert f":{port}/" not in server.start()
        assert server.is_running()


WRITER = """
import sys
from pathlib import Path
import psycopg
from regime_pipeline.storage import embedded
from regime_pipeline.storage.embedded import EmbeddedServer
server, first, toggles = EmbeddedServer(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
for i in range(first, first + 8):
    for attempt in range(50):
        try:
            with psycopg.connect(server.start()) as connection:
                connection.execute("insert into kept values (%s)", (i,))
            break
        except psycopg.OperationalError:
            continue  # the other one stopped it under our feet
        except psycopg.errors.UniqueViolation:
            break  # committed, the answer was lost
    else:
        raise SystemExit("never got through")
    if toggles:
        server.stop()
print("done")
"""


def _writers(home: Path, *arguments: tuple[int, int]) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(home), *map(str, pair)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for pair in arguments
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert out.strip() == "done", err


@pytest.mark.slow
def test_processes_that_start_it_at_once_share_one_server(server: EmbeddedServer) -> None:
    server.stop()
    _writers(server.home, (100, 0), (110, 0), (120, 0))
    wanted = {n for first in (100, 110, 120) for n in range(first, first + 8)}
    assert wanted <= set(_kept(server.start()))


@pytest.mark.slow
def test_processes_that_start_and_stop_it_against_each_other_lose_nothing(
    server: EmbeddedServer,
) -> None:
    _writers(server.home, (200, 1), (210, 1))
    wanted = {n for first in (200, 210) for n in range(first, first + 8)}
    assert wanted <= set(_kept(server.start()))


@pytest.mark.slow
def test_what_an_interrupted_initdb_left_behind_is_cleared(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "home")
    leftover = server.control / "new-dead" / "data"
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18\n")
    elsewhere = server.control / "data"
    elsewhere.mkdir()
    (elsewhere / "half").touch()
    try:
        server.start()
        assert server.is_running()
    finally:
        server.destroy()
    assert not server.control.exists()


@pytest.mark.slow
@pytest.mark.skipif(not AS_ROOT, reason="only root has to hand the server to another account")
def test_as_root_the_server_runs_unprivileged_and_foreign_folders_keep_mode_and_owner(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folders = [closed, tmp_path, tmp_path.parent, Path("/var/lib"), Path("/var/tmp"), Path("/tmp")]
    before = [(f, f.stat().st_mode, f.stat().st_uid, f.stat().st_gid) for f in folders]
    server = EmbeddedServer(closed / "home")
    try:
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert Path(f"/proc/{_pid(server)}").stat().st_uid != 0
        assert not server.data.is_relative_to(closed), "the account cannot enter a 0700 folder"
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        again = EmbeddedServer(closed / "home")
        assert again.data == server.data
        assert [(f, f.stat().st_mode, f.stat().st_uid, f.stat().st_gid) for f in folders] == before
    finally:
        data = server.data
        server.destroy()
    assert not data.exists()


ORDINARY = """
import os, sys, encodings.idna, tempfile
from pathlib import Path
import psycopg
from regime_pipeline.storage import embedded
from regime_pipeline.storage.embedded import EmbeddedServer
account = int(sys.argv[2])
if account:
    os.setgroups([]); os.setgid(account); os.setuid(account)
server = EmbeddedServer(Path(sys.argv[1]))
try:
    with psycopg.connect(server.start()) as connection:
        connection.execute("create table t as select 1")
    assert server.data == Path(sys.argv[1]) / "postgres" / "data", server.data
    pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    assert Path(f"/proc/{pid}").stat().st_uid == os.getuid() != 0
finally:
    server.destroy()
print("done")
"""


@pytest.mark.slow
def test_as_an_ordinary_user_it_runs_as_that_user_below_home() -> None:
    with tempfile.TemporaryDirectory() as folder:
        account = 65534 if AS_ROOT else 0
        if AS_ROOT:
            os.chown(folder, account, account)
        home = Path(folder).resolve() / "home"
        done = subprocess.run(
            [sys.executable, "-c", ORDINARY, str(home), str(account)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == "done", done.stderr


@pytest.mark.skipif(not AS_ROOT, reason="only root has to hand the server to another account")
@pytest.mark.slow
def test_programs_that_the_account_cannot_reach_are_copied_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = embedded._package()
    with tempfile.TemporaryDirectory() as folder:
        open_folder = Path(folder).resolve()
        open_folder.chmod(0o755)
        closed = open_folder / "closed"
        closed.mkdir(mode=0o700)
        for name in (real.name, f"{real.name}.libs"):
            (closed / name).symlink_to(real.parent / name)
        monkeypatch.setattr(embedded, "_package", lambda: closed / real.name)
        monkeypatch.setattr(embedded, "_ELSEWHERE", (open_folder / "elsewhere",))
        server = EmbeddedServer(open_folder / "home")
        try:
            server.start()
            assert server.is_running()
            assert server.binaries.is_relative_to(open_folder / "elsewhere")
            made = server.binaries.stat().st_mtime_ns
            server.stop()
            server.start()
            assert server.binaries.stat().st_mtime_ns == made
            assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        finally:
            server.destroy()


@pytest.mark.slow
def test_server_that_refuses_to_start_is_told_in_one_line(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "home", settings={"shared_buffers": "nonsense"})
    try:
        with pytest.raises(EmbeddedServerError) as told:
            server.start()
        text = str(told.value)
        assert "shared_buffers" in text
        assert "REGIME_DATABASE_URL" in text
        assert "\n" not in text
    finally:
        server.destroy()


def test_data_of_another_major_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "home")
    data = server.control / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("11\n")
    with pytest.raises(EmbeddedServerError, match="PostgreSQL 11"):
        server.start()
    assert (data / "PG_VERSION").read_text() == "11\n"


@pytest.mark.slow
def test_copied_home_works_on_its_own_data(open_folder: Path) -> None:
    original, copy = EmbeddedServer(open_folder / "home"), EmbeddedServer(open_folder / "copy")
    try:
        with psycopg.connect(original.start()) as connection:
            connection.execute("create table kept (n int primary key)")
            connection.execute("insert into kept values (1)")
        original.stop()
        shutil.copytree(original.home, copy.home)
        for path in copy.home.rglob("*"):
            kept = original.home / path.relative_to(copy.home)
            os.chown(path, kept.stat().st_uid, kept.stat().st_gid)
        original.start()
        with psycopg.connect(copy.start()) as connection:
            connection.execute("insert into kept values (2)")
        assert (_kept(original.start()), _kept(copy.start())) == ([1], [1, 2])
        copy.stop()
        assert original.is_running()
    finally:
        original.destroy()
        copy.destroy()


def test_home_that_remembers_the_data_of_another_home_is_refused_in_one_line(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    server.start()
    copy = EmbeddedServer(tmp_path / "copy")
    copy.control.mkdir(parents=True)
    for name in ("server.json", "password"):
        shutil.copy(server.control / name, copy.control / name)
    for use in (copy.start, copy.stop, copy.is_running):
        with pytest.raises(EmbeddedServerError) as refused:
            use()
        text = str(refused.value)
        assert str(server.data) in text and "copied or moved" in text
        assert "\n" not in text
    assert server.is_running()


def test_log_is_for_its_owner_only_also_when_an_older_build_made_it(server: EmbeddedServer) -> None:
    server.stop()
    server.log_file.chmod(0o644)
    server.start()
    assert stat.S_IMODE(server.log_file.stat().st_mode) == 0o600


def test_folder_without_space_is_told_so(open_folder: Path) -> None:
    home = open_folder / "home"
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(home)]
    if not AS_ROOT or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    try:
        with pytest.raises(EmbeddedServerError, match=r"no space: \d+ MB are free") as refused:
            EmbeddedServer(home).start()
        assert "REGIME_HOME" in str(refused.value) and "\n" not in str(refused.value)
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)


def test_home_that_is_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(EmbeddedServerError, match="REGIME_HOME"):
        EmbeddedServer(tmp_path / "home").start()


def test_url_before_any_start_says_so(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "home")
    assert not server.is_running()
    with pytest.raises(EmbeddedServerError, match="never started"):
        server.url("x")
