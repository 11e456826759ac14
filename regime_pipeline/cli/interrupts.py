"""SIGINT and SIGTERM: a command that works ends within seconds, whatever it is doing.

Belongs here: what a signal does to this process. Does not belong here: programs that are started and
ended (``serving``).

Libraries put handlers of their own in place while they work, some code cannot be interrupted by an
exception (a compilation, a wait for threads), and a shell's background job starts with SIGINT ignored.
So signals are seen by a thread of its own, too: the interpreter writes every signal that has a handler
to a socket, whoever's handler it is. When the main thread has not ended the process in order within
``GRACE_S``, the thread ends it. Every write is a transaction, so what was written is whole.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from regime_pipeline.cli.terminal import err, report

SENTENCE = "interrupted; what was written is whole, run the same command again to go on"
EXIT_CODE = 130
GRACE_S = 3.0
"""How long the main thread may take to end in order."""
_CANCEL_S = 0.7
"""How long the last note in the run's log may take before the process ends without it."""


@contextmanager
def prompt_end(cancel: Callable[[bool], object]) -> Iterator[None]:
    """Within the block SIGINT and SIGTERM end the process within seconds, with exit code 130.

    Args:
        cancel: called by another thread when a signal came (``False``: the main thread is told to end)
            and again when the process is about to be ended for it (``True``). Notes what happens.
    """
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    for number in before:
        signal.signal(number, _interrupt)
    former = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    ended = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(reading, ended, cancel), name="interrupts", daemon=True
    )
    watch.start()
    try:
        yield
    except KeyboardInterrupt:
        _end()  # at once: the interpreter would wait for threads that still ask somebody
    finally:
        ended.set()
        signal.set_wakeup_fd(former)
        for number, handler in before.items():
            signal.signal(number, handler)
        writing.close()
        watch.join()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch(
    reading: socket.socket, ended: threading.Event, cancel: Callable[[bool], object]
) -> None:
    with reading:
        while told := reading.recv(1):
            if told[0] in (signal.SIGINT, signal.SIGTERM):
                break
        else:
            return
        threading.Thread(target=cancel, args=(False,), daemon=True).start()
        if ended.wait(GRACE_S):
            return
    noting = threading.Thread(target=cancel, args=(True,), daemon=True)
    noting.start()
    noting.join(_CANCEL_S)
    _end()


_ending = threading.Lock()


def _end() -> NoReturn:
    """End this process and what it started; who comes second waits for the first."""
    _ending.acquire()  # never released
    for child in _children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    err.show_cursor(True)
    report(SENTENCE)
    os._exit(EXIT_CODE)


def _children() -> list[int]:
    """Processes that this one started in its own group, where the system lists them (Linux)."""
    found = []
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            found += [int(pid) for pid in listed.read_text().split()]
    mine = []
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            if (
                os.getpgid(pid) == os.getpgrp()
            ):  # servers have groups of their own and end by themselves
                mine.append(pid)
    return mine
