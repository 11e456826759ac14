"""Each part that stops or hangs is named, by a path that needs none of them, and told of once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from pydantic import SecretStr

from regime_pipeline.alerts import watch
from regime_pipeline.alerts.heartbeat import Asked, Beat, _web_fault, judged, look, tell
from regime_pipeline.settings import Settings
from regime_pipeline.storage.backup import backup
from regime_pipeline.windows import FixedClock, SystemClock
from regime_pipeline_tests.alerts.receivers import NOW, event, put, settings_for

FINE = Asked(NOW, NOW, NOW, 0, None)


def ago(minutes: float):
    return NOW - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("asked", "faults"),
    [
        (FINE, []),
        ("connection refused", ["database: connection refused"]),
        (Asked(ago(5), NOW, NOW, 0, None), ["daemon: sensors silent for 5 min"]),
        (Asked(NOW, ago(600), NOW, 0, None), ["daemon: schedules silent for 10 h"]),
        (Asked(NOW, NOW, ago(130), 0, None), ["tick: none for 130 min"]),
        (Asked(NOW, NOW, None, 0, None), []),  # started within the hour
        (Asked(NOW, NOW, NOW, 3, ago(7)), ["alerts: 3 wait, the oldest for 7 min"]),
        (
            Asked(NOW, NOW, NOW, 0, None, collector_at=ago(2)),
            ["collector: silent for 2 min"],
        ),
        (
            Asked(None, None, None, 0, None, has_daemon=False),
            ["daemon: never ran its sensors", "daemon: never ran its schedules"],
        ),
    ],
)
def test_what_has_stopped_is_named(asked, faults):
    assert judged(asked, NOW, needs_daemon=True) == faults


def test_who_runs_by_cron_needs_no_daemon():
    stopped = Asked(None, None, ago(900), 0, None, has_daemon=False)
    assert judged(stopped, NOW, needs_daemon=False) == []


def test_alerts_that_nobody_sends_are_found_in_the_database(database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path, database_url=SecretStr(database.url))
    put(database, settings, event())
    early = look(settings, FixedClock(NOW + timedelta(minutes=1)), needs_daemon=False)
    assert early.is_well, early.line
    late = look(settings, FixedClock(NOW + timedelta(minutes=9)), needs_daemon=False)
    assert late.faults == ("alerts: 1 wait, the oldest for 9 min",)
    with database.connect() as conn:  # another message has just been begun: its turn will come
        conn.execute(
            "INSERT INTO alerts.delivery_starts (event_id, endpoint, attempt, attempted_at) "
            "SELECT 'another', endpoint, 1, %s FROM alerts.outbox",
            (NOW + timedelta(minutes=8),),
        )
    served = look(settings, FixedClock(NOW + timedelta(minutes=9)), needs_daemon=False)
    assert served.is_well, served.line
    no_daemon = look(settings, FixedClock(NOW))
    assert no_daemon.faults[0] == "daemon: never ran its sensors"


@pytest.mark.slow
def test_a_database_that_is_gone_or_hangs_is_told_in_seconds(tmp_path):
    none = Settings(_env_file=None, home=tmp_path)
    assert look(none, FixedClock(NOW)).faults == ("database: none was ever started here",)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"postgresql://me:pw@127.0.0.1:{mute.getsockname()[1]}/x"
        hangs = Settings(_env_file=None, home=tmp_path, database_url=SecretStr(url))
        (fault,) = look(hangs, FixedClock(NOW), needs_daemon=False).faults
    assert fault.startswith("database: ")
    assert "pw" not in fault.replace("postgresql", "")


def test_a_web_server_that_is_stopped_is_told(receiver, tmp_path, database):
    settings = settings_for(receiver, tmp_path, database_url=SecretStr(database.url))
    with socket.socket() as mute:  # accepts and never answers, as a stopped process does
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        found = look(settings, FixedClock(NOW), needs_daemon=False, web=address)
    assert found.faults[0].startswith("web server: no answer (")


SERVER = """
import http.server
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.mark.slow
def test_a_web_server_whose_process_is_stopped_or_killed_is_named(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    with process:
        address = f"http://127.0.0.1:{int(process.stdout.readline())}/"
        try:
            assert asyncio.run(_web_fault(address)) is None
            process.send_signal(signal.SIGSTOP)
            assert "no answer" in asyncio.run(_web_fault(address))
        finally:
            process.kill()
    assert "no answer" in asyncio.run(_web_fault(address))


@pytest.mark.slow
def test_a_backup_that_is_late_damaged_or_was_never_made_is_told_where_one_is_kept(
    database, tmp_path
):
    folder = tmp_path / "kept"
    settings = Settings(
        _env_file=None, home=tmp_path, database_url=database.libpq, backup_dir=folder
    )

    def faults(after: timedelta) -> tuple[str, ...]:
        return look(settings, FixedClock(NOW + after), needs_daemon=False).faults

    assert faults(timedelta(0)) == (f"backup: none in {folder}",)
    made = backup(settings, folder, FixedClock(NOW), lambda *_: None)
    assert faults(timedelta(hours=25)) == ()
    assert faults(timedelta(hours=27)) == ("backup: none for 27 h",)
    (made.folder / "manifest.json").write_text("{")
    (fault,) = faults(timedelta(hours=1))
    assert fault.startswith("backup: ") and "is damaged" in fault


def test_a_full_disk_is_told(monkeypatch, tmp_path):
    usage = SimpleNamespace(total=100, free=2)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    (fault,) = watch.disk_faults(tmp_path)
    assert fault.startswith("disk: full, 2.0 % free at")
    assert fault.endswith("nothing is fetched")


def beat(*faults: str, minutes: int = 0) -> Beat:
    return Beat(faults, NOW + timedelta(minutes=minutes))


def titles(receiver) -> list[str]:
    return [json.loads(body)["data"]["title"] for _, body in receiver.requests]


def test_a_change_is_told_once_and_again_to_who_did_not_take_it(receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    clock = SystemClock()
    tell(beat(), settings, clock)
    assert titles(receiver) == []
    receiver.statuses = [500]
    assert tell(beat("tick: none for 130 min"), settings, clock) != []
    assert tell(beat("tick: none for 131 min", minutes=1), settings, clock) == []
    assert tell(beat("tick: none for 132 min", minutes=2), settings, clock) == []
    assert titles(receiver) == [
        "stopped: tick: none for 130 min",
        "stopped: tick: none for 131 min",
    ]
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    tell(beat(minutes=3), settings, clock)
    tell(beat(minutes=4), settings, clock)
    assert titles(receiver)[2:] == ["all runs again"]


def test_who_counts_our_beats_hears_of_good_ones_only(receiver, tmp_path):
    settings = Settings(
        _env_file=None,
        home=tmp_path,
        heartbeat_url=SecretStr(receiver.url.replace("/hook", "/ping")),
    )
    assert tell(beat(), settings, SystemClock()) == [
        "REGIME_HEARTBEAT_URL: HTTP 501"
    ]  # it is asked
    assert tell(beat("disk: full"), settings, SystemClock()) == []


@pytest.mark.slow
def test_a_database_that_is_stopped_or_killed_is_named(tmp_path):
    from regime_pipeline.storage.database import open_database

    settings = Settings(_env_file=None, home=tmp_path / "home")
    database = open_database(settings, origin="live")
    try:
        assert look(settings, SystemClock(), needs_daemon=False).is_well
        pid = int((_data(settings.home) / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            (fault,) = look(settings, SystemClock(), needs_daemon=False).faults
            assert fault.startswith("database: ")
        finally:
            os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        (fault,) = look(settings, SystemClock(), needs_daemon=False).faults
        assert fault.startswith("database: ")
    finally:
        database.close()
        _server(settings.home).stop()


DISPATCHER = """
import sys
from pathlib import Path
from pydantic import SecretStr
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import SystemClock
url, receiver, home = sys.argv[1:]
settings = Settings(_env_file=None, home=Path(home), webhooks_all=SecretStr(receiver))
dispatch_due(Database(url), settings, SystemClock())
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_dispatcher_that_is_stopped_or_killed_while_it_sends_is_named(
    how, database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path, database_url=SecretStr(database.url))
    receiver.drip_s = 3600.0
    now = SystemClock().now()
    stamp = pd.Timestamp(now).floor("s")
    put(database, settings, event(ts=stamp, known_at=stamp, episode_start=stamp), FixedClock(now))
    command = [sys.executable, "-c", DISPATCHER, database.url, receiver.url, str(tmp_path)]
    with subprocess.Popen(command) as process:
        try:
            with database.connect(autocommit=True) as conn:
                until = time.monotonic() + 120
                while conn.execute("SELECT count(*) FROM alerts.delivery_starts").fetchone() == (
                    0,
                ):
                    assert time.monotonic() < until
                    time.sleep(0.02)
            process.send_signal(how)
            at = SystemClock().now()
            assert look(settings, FixedClock(at), needs_daemon=False).is_well
            two_ticks = look(settings, FixedClock(at + timedelta(minutes=2)), needs_daemon=False)
            (fault,) = two_ticks.faults
            assert fault.startswith("alerts: 1 wait, the oldest for ")
        finally:
            process.kill()


def _server(home: Path):
    from regime_pipeline.storage.embedded import EmbeddedServer

    return EmbeddedServer(home)


def _data(home: Path) -> Path:
    return _server(home).data
