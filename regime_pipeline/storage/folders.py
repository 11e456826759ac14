"""Files and folders that hold a server's data and passwords: who may read, enter and write them.

Belongs here: making them with the right mode, and never touching what somebody else made. Does not
belong here: what is in them (``embedded``, ``roles``).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

SEALED = "sealed"
"""Folder of the landing store with the files that hold many replies, a folder a source."""

DISK_FULL = 0.03
"""Share of free space below which nothing is fetched: what is left is for the database."""


def free_share(place: Path) -> float:
    """Free space of the disk that holds a folder, there or not, as a share of all."""
    usage = shutil.disk_usage(existing(place))
    return usage.free / usage.total


def existing(place: Path) -> Path:
    """A folder, or the nearest one above it that is there."""
    return next(p for p in (place, *place.resolve().parents) if p.exists())


def write_private(path: Path, text: str) -> None:
    """Write a 0600 file whole or not at all."""
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    scratch.replace(path)


def append_private(path: Path) -> BinaryIO:
    """Open a file at its end that only its owner may read, also when it was open to others before."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "ab")


def own_folder(folder: Path) -> None:
    """Make a folder that others may enter but not list; refuse one that somebody else made."""
    try:
        folder.mkdir(mode=0o711)
        folder.chmod(0o711)  # just made here: the umask must not close it
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(f"{folder} is not ours") from None


def open_for_all(folder: Path) -> None:
    """Let everybody read a tree that was copied by us."""
    folder.chmod(0o755)
    for root, names, files in os.walk(folder):
        for name in (*names, *files):
            path = Path(root) / name
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)


def is_data_folder(place: Path) -> bool:
    """Whether a folder holds a server's data; one that may not be entered does not, for us."""
    with contextlib.suppress(OSError):
        return (place / "PG_VERSION").is_file()
    return False
