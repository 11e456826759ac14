"""Parts of one launch in processes of their own: forked warm, and begun again when one is killed.

Belongs here: processes. Does not belong here: which parts there are (``shards``), what one does (``launch``).

Processes are forked from a server that has imported everything, so that a part costs no imports. What a
killed one wrote is whole, and its run is settled by the launch of the part that is begun again. When the
command itself is killed its parts end by themselves.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from regime_pipeline.orchestration.instance import environment

RETRIES = 2
"""How often a part is begun again whose process was killed."""
_PRELOADED = "regime_pipeline.orchestration.launch"
_T = TypeVar("_T")


class PartKilledError(RuntimeError):
    """The process of a part was killed more often than it is begun again."""


def in_processes(
    function: Callable[..., _T], arguments: Sequence[tuple[Any, ...]], *, at_once: int
) -> Iterator[_T]:
    """What a function gives for each of some arguments, as it comes; each call in a process of its own.

    Args:
        function: of a module, so that another process finds it.
        arguments: of each call.
        at_once: how many processes there are at a time; they share the processors.

    Raises:
        PartKilledError: the process of a call was killed :data:`RETRIES` times over.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED])
    each = max(1, len(os.sched_getaffinity(0)) // at_once)
    with (
        environment({"NUMBA_NUM_THREADS": str(each)}),
        ThreadPoolExecutor(at_once, thread_name_prefix="part") as waiting,
    ):
        calls = [waiting.submit(_until_done, context, function, call) for call in arguments]
        for ended in as_completed(calls):
            yield ended.result()


def _until_done(context: BaseContext, function: Callable[..., _T], call: tuple[Any, ...]) -> _T:
    for _ in range(RETRIES + 1):
        with ProcessPoolExecutor(1, context, _end_with_parent) as process:
            try:
                return process.submit(function, *call).result()
            except BrokenProcessPool as error:
                killed = error
    raise PartKilledError(f"a process was killed {RETRIES + 1} times") from killed


def _end_with_parent() -> None:
    """Have this process end when the one is gone that waits for it."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()
