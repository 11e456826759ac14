"""The database is killed under a run: it goes on, or ends with one line; never with a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from regime_pipeline.storage.embedded import EmbeddedServer


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_database_that_is_killed_while_deriving_is_one_line_with_what_to_do(
    tmp_path: Path,
) -> None:
    given = {
        "REGIME_HOME": str(tmp_path),
        "REGIME_SYMBOLS": "BTC/USDT",
        "REGIME_START_DATE": "2024-01-01",
        "REGIME_CLOCK": "2024-01-20",
    }
    days = ["--from", "2024-01-16", "--to", "2024-01-19", "--source", "simulated"]
    run = subprocess.Popen(
        [sys.executable, "-m", "regime_pipeline.cli", "run", "--no-report", *days],
        env={**os.environ, **given},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = EmbeddedServer(tmp_path)
    try:
        assert run.stderr is not None
        while "derive history" not in (line := run.stderr.readline()):
            assert line, "the run ended before it derived"
        postmaster = (server.data / "postmaster.pid").read_text().splitlines()[0]
        os.kill(int(postmaster), signal.SIGKILL)
        said = run.stderr.read()
        code = run.wait(60)
        assert "Traceback" not in said
        assert code in (0, 2)
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        if code == 2:
            assert len(errors) == 1
            assert "run the same command again" in errors[0]
    finally:
        run.kill()
        server.stop()
