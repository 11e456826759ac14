"""What an upgrade leaves running when it is killed, and how that is ended.

Belongs here: the mark of an upgrade that runs, and ending its processes before the data are touched again.
Does not belong here: the upgrade (``major``), the server (``embedded``).

``pg_upgrade`` goes on without the program that started it. It starts the old server on a socket in a folder
of its own, where nobody else finds it, and that server keeps the data folder to itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from regime_pipeline.storage.errors import EmbeddedServerError
from regime_pipeline.storage.processes import alive, command_line

MARK = "upgrading"
"""Beside the data folder while an upgrade runs: the folder of its sockets, which its processes name."""
_PATIENCE_S = 30.0


def end_interrupted(data: Path) -> None:
    """End what a killed upgrade of a data folder has left running; its caller has the server's lock.

    Raises:
        EmbeddedServerError: a process does not end.
    """
    mark = data.with_name(MARK)
    if not mark.is_file():
        return
    work = mark.read_text()
    # the copy is thrown away, the old data may be in use by a server: that one is asked to close them
    for how in (signal.SIGINT, signal.SIGKILL):
        for pid in _naming(work):
            is_server = "postgres" in command_line(pid).partition(" ")[0]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how if is_server else signal.SIGKILL)
        deadline = time.monotonic() + _PATIENCE_S
        while (left := _naming(work)) and time.monotonic() < deadline:
            time.sleep(0.02)
    if left:
        raise EmbeddedServerError(f"what an upgrade has left does not end; end {left} by hand")
    shutil.rmtree(work, ignore_errors=True)
    mark.unlink()


def _naming(work: str) -> list[int]:
    """The living processes whose command names a folder."""
    if not work:
        return []
    places = list(Path("/proc").glob("[0-9]*"))
    if places:
        pids = [int(place.name) for place in places]
    else:
        shown = subprocess.run(
            ["/bin/ps", "-axo", "pid="], capture_output=True, text=True, check=False
        )
        pids = [int(pid) for pid in shown.stdout.split()]
    return [p for p in pids if p != os.getpid() and work in command_line(p) and alive(p)]
