"""A program that a command starts and that ends with it, however the command ends.

Belongs here: starting, ending, and the guard that ends what a killed command left. Does not belong here:
which program (``serving``), signals of commands that work themselves (``interrupts``).

The program and all that it starts are a process group of their own. A guard outside of it reads from a
pipe that only this process holds open: when it is closed without a word, because this process was killed,
the guard ends the group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

GRACE_S = 8.0
"""How long a group may take to end in order after SIGTERM."""
_GUARD = """
import os, signal, sys, time
group, grace = int(sys.argv[1]), float(sys.argv[2])
if os.read(0, 1):
    sys.exit()
for number in (signal.SIGTERM, signal.SIGKILL):
    until = time.monotonic() + grace
    try:
        os.killpg(group, number)
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.1)
    except ProcessLookupError:
        break
"""


def run_until_ended(command: list[str], environment: Mapping[str, str], folder: Path) -> int | None:
    """Run a program until it ends, or until SIGINT or SIGTERM ends it.

    Args:
        command: program and arguments.
        environment: its variables.
        folder: where it runs.

    Returns:
        Its exit code; None when SIGINT ended it.
    """
    with running(command, environment, folder) as child:

        def end(_number: int, _frame: FrameType | None) -> None:
            child.send_signal(signal.SIGTERM)

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                child.wait(GRACE_S)
            return None


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a group of its own, of which nothing is left when the block ends.

    Args:
        command: program and arguments.
        environment: its variables.
        folder: where it runs.
    """
    child = subprocess.Popen(
        list(command),
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        process_group=0,
        # Dagster handles SIGTERM as it finds SIGINT: ignored in a job that a shell put in the background
        preexec_fn=_listen,
    )
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD, str(child.pid), str(GRACE_S)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        _end_group(child)
        with contextlib.suppress(BrokenPipeError):  # somebody killed the guard
            guard.communicate(b".")


def _listen() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
            until = time.monotonic() + GRACE_S
            while time.monotonic() < until:
                child.poll()  # a program that is not waited for stays in the group
                os.killpg(child.pid, 0)
                if not _goes_on(child.pid):
                    return
                time.sleep(0.1)


def _goes_on(group: int) -> bool:
    """Whether a group that is there has a process that still runs, where the system lists them (Linux).

    One that has ended stays in its group until its new parent, in a container perhaps nobody, waits for it.
    """
    listed = list(Path("/proc").glob("[0-9]*/stat"))
    for stat in listed:
        with contextlib.suppress(OSError):  # it may end meanwhile
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return not listed
