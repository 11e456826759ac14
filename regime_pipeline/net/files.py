"""Files that others wrote: only regular ones, whole, unchanged while read, and of bounded size.

Belongs here: opening what a person pointed us at without being led elsewhere. Does not belong here:
what the bytes mean.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_BYTES = 64 * 2**20


class UnreadableFileError(ValueError):
    """A file must not or cannot be read; the message says why."""


def barred(path: Path, limit: int = MAX_BYTES) -> str | None:
    """Why a file must not be opened, by its directory entry alone; None when it may."""
    try:
        about = path.lstat()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if stat.S_ISLNK(about.st_mode):
        return "a symbolic link is not followed"
    if not stat.S_ISREG(about.st_mode):
        return "not a regular file"
    if about.st_size > limit:
        return f"{about.st_size} bytes, the limit is {limit}"
    return None


def read_stable(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file that did not change while it was read.

    Raises:
        UnreadableFileError: it changed, is no regular file, is too large, or cannot be read.
    """
    try:
        # a file swapped for a link or a pipe after it was listed is neither followed nor waited for
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise UnreadableFileError("not a regular file")
            body = file.read(limit + 1)
            after = os.fstat(handle)
        named = path.lstat()
    except OSError as error:
        raise UnreadableFileError(f"cannot be read: {error.strerror}") from error
    if len(body) > limit:
        raise UnreadableFileError(f"more than {limit} bytes")
    if len({(s.st_ino, s.st_size, s.st_mtime_ns) for s in (before, after, named)}) > 1 or (
        len(body) != after.st_size
    ):
        raise UnreadableFileError("changed while it was read; run again")
    return body
