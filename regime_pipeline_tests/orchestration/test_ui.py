"""`regime ui` as a service manager meets it: started in the background, ended with SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from regime_pipeline.orchestration.instance import venv_program
from regime_pipeline.storage.database import Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def deaf() -> None:
    """As a shell starts its background jobs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def is_there(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_ui_answers_and_ends_with_all_its_processes_when_it_is_told_to(
    database: Database, tmp_path: Path
) -> None:
    base = f"http://127.0.0.1:{(port := free_port())}"
    ui = subprocess.Popen(
        [venv_program("regime"), "ui", "--port", str(port)],
        env={
            **os.environ,
            "REGIME_DATABASE_URL": database.url,
            "REGIME_HOME": str(tmp_path),
            "REGIME_CLOCK": "2024-03-20",  # nothing is due
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=deaf,
        start_new_session=True,
    )
    try:
        limit = time.monotonic() + 120
        while True:
            try:
                assert httpx.get(f"{base}/server_info").status_code == 200
                break
            except httpx.ConnectError:
                assert ui.poll() is None and time.monotonic() < limit
                time.sleep(0.5)
        ui.terminate()
        ui.wait(60)
        with pytest.raises(httpx.ConnectError):
            httpx.get(base)
        limit = time.monotonic() + 90  # code servers notice a missed heartbeat
        while is_there(ui.pid):
            assert time.monotonic() < limit
            time.sleep(0.5)
    finally:
        if is_there(ui.pid):
            os.killpg(ui.pid, signal.SIGKILL)
