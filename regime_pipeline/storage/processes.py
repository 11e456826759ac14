"""What can be learnt of a server's processes from outside: its pid file, the process list, its log.

Belongs here: looking at processes, and ending those that lost their postmaster. Does not belong here:
starting and stopping a server (``embedded``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

_SPACE = 100 * 2**20  # a new data folder and its first WAL segments


def bare_environment() -> dict[str, str]:
    """A bare environment: nothing of the caller's (``PGDATA``, locale) reaches the server."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/"}


def as_user(entry: Any) -> dict[str, Any]:
    """``Popen`` arguments that make a child another user's."""
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def pid_file(data: Path) -> dict[str, int]:
    """Pid and port as ``postmaster.pid`` has them; what is absent or cut short is left out."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, int] = {}
    for name, place in (("pid", 0), ("port", 3)):
        if len(lines) > place and lines[place].strip().isdigit():
            found[name] = int(lines[place])
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    except OverflowError:
        return False
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    shown = subprocess.run(
        ["/bin/ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(shown) and not shown.startswith("Z")


def command_line(pid: int) -> str:
    """A process's program and arguments, each followed by a space; empty when there is none."""
    with contextlib.suppress(OSError):
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    return subprocess.run(
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.replace("\n", " ")


def complaint(log: str) -> str | None:
    """The last thing a server that ended complained about; refused logins are no complaint."""
    ours = ("starting up", "shutting down", "recovery mode", "not yet accepting", "authentication")
    lines = [w for w in log.splitlines() if "FATAL" in w or "PANIC" in w or "ERROR" in w]
    lines = [w for w in lines if not any(word in w for word in ours)]
    return lines[-1].split("] ")[-1] if lines else None


def end_orphans(data: Path) -> None:
    """End server processes whose postmaster is gone and that still hold the data folder's memory."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if (entry / "cwd").resolve() == data.resolve() and "postgres" in command_line(
                int(entry.name)
            ):
                os.kill(int(entry.name), signal.SIGQUIT)


def reason_of_initdb(stderr: str, data: Path) -> str:
    """What initdb complained about; a lack of space first, for its other complaints follow from it."""
    free = shutil.disk_usage(data.parent).free
    if free < _SPACE or "No space left" in stderr or "uota exceeded" in stderr:
        return f"no space: {free / 2**20:.0f} MB are free there, {_SPACE >> 20} MB are needed"
    lines = [w for w in stderr.splitlines() if "error:" in w or "FATAL" in w or "could not" in w]
    return (lines or stderr.strip().splitlines() or ["no reason given"])[-1]
