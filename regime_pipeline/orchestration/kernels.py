"""Compiling kernels ahead, in a process beside the one that fetches.

A fresh installation compiles for a quarter of its first run, in the step that waits for everything else,
while fetching leaves a processor idle. ``kernels.txt`` names what a run needs: a kernel a line, with the
types that it is called with; ``python -m benchmarks.kernels`` writes it. A line that is missing or out of
date costs time only: whatever is not there is compiled when it is called. Does not belong here: how
kernels are compiled and kept (``numerics.compiled``).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LIST = Path(__file__).with_name("kernels.txt")
_PACKAGE = Path(__file__).resolve().parents[1]
_ROOMS = ("numerics", "features", "regimes", "correlation", "signals", "research")
_TYPE = re.compile(
    r"(?P<const>const )?(?P<name>\w+)(?:\[(?P<axes>[:,]+)(?P<packed>1?)\]|\*(?P<times>\d+))?"
)


class KernelListError(ValueError):
    """A line of the list is not understood; the text holds it."""


def listed(text: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Module below the package, kernel and types of its arguments, line by line."""
    for line in text.splitlines():
        kernel, *types = line.split("; ")
        module, _, name = kernel.rpartition(".")
        if not module:
            raise KernelListError(line)
        yield module, name, tuple(types)


def numba_type(text: str) -> Any:
    """A type of the list as numba's: ``float64``, ``const float64[:,::1]``, ``int64*4``.

    Raises:
        KernelListError: it is none.
    """
    from numba import types

    found = _TYPE.fullmatch(text)
    base = (
        getattr(types, {"bool": "boolean"}.get(found["name"], found["name"]), None)
        if found
        else None
    )
    if found is None or not isinstance(base, types.Type):
        raise KernelListError(text)
    if found["times"]:
        return types.UniTuple(base, int(found["times"]))
    if not found["axes"]:
        return base
    # a last axis written "::1" lies in one piece
    axes = len(found["axes"].split(","))
    layout = "C" if found["packed"] else "A"
    array: Any = types.Array
    return array(base, axes, layout, readonly=bool(found["const"]))


def compile_listed() -> int:
    """Compile what is listed and not kept yet; how many kernels are there then."""
    count = 0
    for module, name, types in listed(LIST.read_text()):
        kernel = getattr(importlib.import_module(f"{_PACKAGE.name}.{module}"), name, None)
        if kernel is not None:
            kernel.compile(tuple(numba_type(t) for t in types))
            count += 1
    return count


def digest() -> str:
    """Of all that decides whether what is kept is right: code of the kernels, numba, processor."""
    found = hashlib.sha256(importlib.metadata.version("numba").encode())
    found.update(f"{_PACKAGE}{platform.machine()}".encode())
    for path in sorted(p for room in _ROOMS for p in (_PACKAGE / room).rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def kept_in() -> Path:
    """The folder that lies with the compiled kernels and goes when they go."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return Path(named) if named else _PACKAGE / "numerics" / "__pycache__"


COMPILING = "compile kernels (once after a change of code)"


class CompiledAhead:
    """Compiles in a child process while the block runs; ends with the block.

    A mark beside the compiled kernels tells the next launch that nothing is new.

    Args:
        wanted: False starts nothing; kernels then compile when they are called.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self._wanted = wanted
        self._mark = kept_in() / f"kernels-{digest()}"
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._wanted and not self._mark.exists():
            self._child = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C goes to the parent, which ends the child
            )
        return self

    def wait(self, progress: Callable[[str, int, int], object] = lambda *_: None) -> bool:
        """Wait until everything is compiled; False when the child could not.

        Two processes that compile the same kernels at once take twice the time.

        Args:
            progress: told ``(what, done, total)`` if there is something to wait for.
        """
        if self._child is None:
            return True
        if self._child.poll() is None:
            progress(COMPILING, 0, 1)
            self._child.wait()
            progress(COMPILING, 1, 1)
        done = self._child.returncode == 0
        self._child = None
        if done and os.access(self._mark.parent, os.W_OK):
            for old in self._mark.parent.glob("kernels-*"):
                old.unlink(missing_ok=True)
            self._mark.touch()
        return done

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child.wait()


if __name__ == "__main__":
    compile_listed()
