"""Each compiled kernel is compiled by one worker of a session; the others wait for it and load it.

Without this a fresh checkout's first session compiles most kernels once per worker, which costs more
than all tests together. numba has a cache on disk but no lock around it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_held: set[str] = set()


def compile_once_a_session() -> None:
    """Puts a lock between processes around the compilation of each cached kernel."""
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.dispatcher import Dispatcher

    original = Dispatcher.compile

    def compile_(self: Any, sig: Any) -> Any:
        # numba's own lock first: two threads of one process must not wait for each other
        with global_compiler_lock, _locked(f"{self.py_func.__code__.co_filename}:{self.__name__}"):
            return original(self, sig)

    Dispatcher.compile = compile_


@contextmanager
def _locked(kernel: str) -> Iterator[None]:
    # a caller compiles what it calls: locks are taken down the call graph, which has no circle
    if kernel in _held:
        yield
        return
    folder = Path(tempfile.gettempdir()) / f"regime-test-kernels-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(kernel.encode()).hexdigest()[:16]
    with (folder / name).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _held.add(kernel)
        try:
            yield
        finally:
            _held.discard(kernel)
