"""The terminal: the two consoles, progress, and where the output of libraries goes.

Belongs here: how things are shown while a command works. Does not belong here: what is shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import NoReturn

from rich.console import Console

from regime_pipeline.settings import Settings

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)


def report(message: str) -> None:
    """One line on standard error."""
    err.print(f"error: {' '.join(message.split())}", markup=False, soft_wrap=True)


def fail(message: str, code: int) -> NoReturn:
    """End the process with one line on standard error."""
    report(message)
    sys.exit(code)


@contextmanager
def quiet(settings: Settings) -> Iterator[None]:
    """What libraries print and log goes to a file: the streams are the command's own."""
    import stamina.instrumentation

    from regime_pipeline.net import logs
    from regime_pipeline.net.redact import Redactor

    stamina.instrumentation.set_on_retry_hooks([stamina.instrumentation.LoggingOnRetryHook])
    path = settings.home / "logs" / "run.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    logs.install(path.parent.resolve(), Redactor.of(settings))
    try:
        with path.open("w") as log, redirect_stdout(log):
            yield
    finally:
        logs.remove()


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A callback ``(task, done, total)``: bars on a terminal, else one line when a task begins."""
    if not err.is_terminal:
        begun: set[str] = set()

        def name_it(name: str, _done: int, _total: int) -> None:
            if name not in begun:
                begun.add(name)
                err.print(f"{time.strftime('%H:%M:%S')} {name}", markup=False, soft_wrap=True)

        yield name_it
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    with Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield show
