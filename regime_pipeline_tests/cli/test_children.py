"""A program that a command starts is gone with all it started once the command is, however that ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from regime_pipeline_tests.processes import is_there

COMMAND = """
import os, sys
from pathlib import Path
from regime_pipeline.cli.children import run_until_ended

print(run_until_ended([sys.executable, "-c", sys.argv[1]], os.environ, Path.cwd()))
"""
SERVES = """
import os, subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(os.getpid(), grandchild.pid, flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    pass
"""


def heeding_signals() -> None:
    """Whoever runs the tests may ignore some."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize(
    "end",
    [
        lambda command: command.kill(),
        lambda command: command.send_signal(signal.SIGHUP),
        lambda command: command.terminate(),
        lambda command: command.send_signal(signal.SIGINT),
    ],
    ids=["kill -9", "hangup", "SIGTERM", "Ctrl-C"],
)
def test_nothing_is_left_of_the_program(end: Callable[[subprocess.Popen[str]], None]) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, SERVES],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heeding_signals,
    )
    assert command.stdout is not None
    pids = [int(pid) for pid in command.stdout.readline().split()]
    assert len(pids) == 2
    assert all(is_there(pid) for pid in pids)
    time.sleep(0.3)  # the guard stands by now
    end(command)
    command.wait(20)
    until = time.monotonic() + 20
    while any(is_there(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_exit_code_is_that_of_the_program() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, "raise SystemExit(7)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "7\n"
