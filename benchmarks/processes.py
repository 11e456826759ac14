"""Processor seconds of a tree of processes, daemons and ended children included.

Belongs here: reading what the kernel counts. Does not belong here: what is run.

A process counts its own seconds and, once it has waited for them, those of its ended children. So the
seconds of a tree are those of every process that is alive, each with its ended children, and nothing
is lost or counted twice when one ends. A daemon leaves its parent on purpose; :func:`adopt_orphans`
makes it ours, so that the embedded PostgreSQL and its backends are part of the tree. Linux only.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def adopt_orphans() -> None:
    """From now on every descendant whose parent ends becomes a child of this process.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def spent_s(*, without: Collection[int] = ()) -> dict[str, float]:
    """Processor seconds of this process and all its descendants up to now.

    Args:
        without: processes that are left out with all their descendants.

    Returns:
        Seconds by part: ``own`` (this process), ``postgres`` and ``others`` (other descendants and
        the ended children of this process).
    """
    children: dict[int, list[int]] = {}
    name: dict[int, str] = {}
    seconds: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile; its parent counts it
            continue
        inside, rest = text.rsplit(")", 1)
        fields = rest.split()
        pid = int(folder.name)
        children.setdefault(int(fields[1]), []).append(pid)
        name[pid] = inside.partition("(")[2]
        # user, system, and both of the ended children
        seconds[pid] = sum(map(int, fields[11:15])) / _TICKS_PER_S
    me = os.times()
    parts = {"own": me.user + me.system, "postgres": 0.0, "others": 0.0}
    parts["others"] += me.children_user + me.children_system
    waiting = [p for p in children.get(os.getpid(), []) if p not in without]
    while waiting:
        pid = waiting.pop()
        parts["postgres" if name[pid] == "postgres" else "others"] += seconds[pid]
        waiting += [p for p in children.get(pid, []) if p not in without]
    return parts


def difference_s(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What was spent between two readings, by part, and the ``total``."""
    parts = {part: after[part] - before[part] for part in after}
    return {**parts, "total": sum(parts.values())}
