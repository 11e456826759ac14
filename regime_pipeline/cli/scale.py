"""``regime scale``: runs on workers of several machines, and what is missing for that.

Belongs here: reading options, printing, starting the worker. Does not belong here: what is looked at
(``orchestration.scale_check``), what a worker does (``orchestration.workers``).
"""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from regime_pipeline.cli.children import run_until_ended
from regime_pipeline.cli.options import DataOption, UsageError
from regime_pipeline.cli.origins import child_environment, open_data
from regime_pipeline.cli.terminal import err, out

app = typer.Typer(no_args_is_help=True, help="Runs on workers of several machines.")


@app.command()
def check(data: DataOption = None) -> None:
    """Say what is missing before runs can be handed to workers. Exit code 1: something is.

    Nothing is changed. The last line names the workers that were heard within 75 seconds.
    """
    from regime_pipeline.orchestration.scale_check import findings

    settings, database = open_data(data)
    found = list(findings(settings, database))
    for one in found:
        out.print(f"{'ok     ' if one.is_met else 'missing'} {one.what}: {one.text}", markup=False)
    if not all(one.is_met for one in found):
        raise typer.Exit(1)


@app.command()
def worker(
    runs: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    name: Annotated[
        str | None, typer.Option(help="Of this worker. Default: the machine's.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Take whole runs from the queue and execute them in warm processes, until Ctrl-C.

    On the first SIGTERM it takes no more and ends when its runs have.
    """
    from regime_pipeline.orchestration.instance import dagster_environment
    from regime_pipeline.orchestration.scale_check import LAUNCHER

    if importlib.util.find_spec("dagster_celery") is None:
        raise UsageError("workers need an extra: pip install -e '.[scale]'")
    settings, database = open_data(data)
    if settings.broker_url is None:
        raise UsageError("no broker: set REGIME_BROKER_URL; `regime scale check` says what else")
    environment = child_environment({"origin": settings.origin})
    environment |= dagster_environment(settings, database)
    environment["REGIME_BROKER_URL"] = settings.broker_url.get_secret_value()
    database.close()
    own = name or socket.gethostname()
    err.print(f"takes {runs} at a time from the queue as {own}; Ctrl-C ends it", markup=False)
    raise typer.Exit(
        run_until_ended(worker_command(LAUNCHER, own, runs), environment, Path.cwd()) or 0
    )


def worker_command(module: str, name: str, runs: int) -> list[str]:
    """Celery's own program for a worker of our queue."""
    celery = [sys.executable, "-m", "celery", "-A", module, "worker"]
    asked = ["-Q", "runs", "-c", str(runs), "-n", f"{name}@%h", "--loglevel", "warning"]
    return [*celery, *asked, "--without-gossip", "--without-mingle"]
