"""`regime ui` as a service manager meets it: started in the background, ended with a signal."""

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
from regime_pipeline_tests.processes import is_there

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def deaf() -> None:
    """As a shell starts its background jobs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def family(pid: int) -> set[int]:
    """A process and all that it started, and what those did."""
    found = {pid}
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in listed.read_text().split():
            found |= family(int(child))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_ui_answers_is_the_only_one_and_ends_with_all_its_processes(
    database: Database, tmp_path: Path, number: signal.Signals
) -> None:
    base = f"http://127.0.0.1:{(port := free_port())}"
    beside = f"http://127.0.0.1:{(serve_port := free_port())}"
    environment = {
        **os.environ,
        "REGIME_DATABASE_URL": database.url,
        "REGIME_HOME": str(tmp_path),
        "REGIME_CLOCK": "2024-03-20",  # nothing is due
    }
    ui = subprocess.Popen(
        [venv_program("regime"), "ui", "--port", str(port), "--serve-port", str(serve_port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=deaf,
    )
    mine = {ui.pid}
    try:
        limit = time.monotonic() + 120
        while True:
            try:
                assert httpx.get(f"{base}/server_info").status_code == 200
                break
            except httpx.ConnectError:
                assert ui.poll() is None and time.monotonic() < limit
                time.sleep(0.5)
        mine = family(ui.pid)
        assert len(mine) > 4
        assert httpx.get(f"{beside}/livez").json() == {"status": "ok"}
        second = subprocess.run(
            [venv_program("regime"), "ui", "--port", str(free_port())],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 2
        assert f"process {ui.pid} on" in second.stderr
        assert f"port {port}" in second.stderr
        ui.send_signal(number)
        ui.wait(60)
        limit = time.monotonic() + 40
        while any(is_there(pid) for pid in mine):
            assert time.monotonic() < limit
            time.sleep(0.2)
        for address in (base, beside):
            with pytest.raises(httpx.ConnectError):
                httpx.get(address)
    finally:
        for pid in mine:
            if is_there(pid):
                os.kill(pid, signal.SIGKILL)
