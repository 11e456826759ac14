"""Commands that serve until they are ended: ``ui`` and ``simulate``."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli import collect, doors
from regime_pipeline.cli.children import run_until_ended, running
from regime_pipeline.cli.options import (
    DataOption,
    PortOption,
    UsageError,
    check_port,
    check_port_number,
)
from regime_pipeline.cli.origins import (
    SYNTHETIC_FUTURE,
    beside,
    child_environment,
    open_data,
)
from regime_pipeline.cli.terminal import err
from regime_pipeline.settings import Settings, changed
from regime_pipeline.windows import DAY, clock_from_text, floor_day, utc

if TYPE_CHECKING:
    from regime_pipeline.storage.database import Database


def ui(
    port: PortOption = 3000,
    data: DataOption = None,
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Whether `regime serve` runs beside.")
    ] = True,
    serve_port: Annotated[
        int | None,
        typer.Option(help=f"Port of dashboard and API; {doors.PORT} where it is free."),
    ] = None,
) -> None:
    """Dagster UI and daemon on the embedded database, dashboard and API beside, until Ctrl-C.

    The live collector runs beside where it is wanted (REGIME_COLLECT).
    For simulated data a simulator runs beside, so that runs and backfills started in the UI work.
    A database has one daemon at a time: a second `regime ui` on it says who serves it, and ends.
    """
    from regime_pipeline.alerts.endpoints import endpoints
    from regime_pipeline.alerts.signing import signing_secret
    from regime_pipeline.storage import locks

    check_port_number(port)
    settings, database = open_data(data)
    if endpoints(settings):  # what the sensors could not serve is told now
        signing_secret(settings)
    mine = f"regime ui, process {os.getpid()} on {socket.gethostname()}, port {port}"
    with database.connect(autocommit=True) as connection:
        others = locks.take_service(connection, mine)
        if others:
            raise UsageError(
                f"this database has its daemon already: {'; '.join(others)}; use that one, or end it"
            )
        check_port(port)
        with beside(settings) as overrides, ExitStack() as others_beside:
            if serve:
                _serve_beside(others_beside, settings, database, serve_port)
            if settings.collect == "on" or (
                settings.collect == "auto" and settings.origin == "live"
            ):
                variables = child_environment({"origin": settings.origin, **overrides})
                others_beside.enter_context(running(collect.COMMAND, variables, Path.cwd()))
            raise typer.Exit(_serve(changed(settings, overrides), database, overrides, port))


def _serve_beside(
    others: ExitStack, settings: Settings, database: Database, port: int | None
) -> None:
    """Dashboard and API in a process of their own, until the stack is closed.

    Raises:
        UsageError: the port that was asked for cannot be used. Without the usual one it goes on.
    """
    try:
        check_port(port or doors.PORT, option="--serve-port")
    except UsageError as error:
        if port is not None:
            raise
        err.print(f"no dashboard beside: {error}", markup=False, soft_wrap=True)
        return
    variables = doors.server_variables(settings, database, port=port or doors.PORT)
    others.enter_context(running(doors.COMMAND, {**os.environ, **variables}, Path.cwd()))
    err.print(f"Dashboard, API and /mcp: http://127.0.0.1:{port or doors.PORT}")


def _serve(settings: Settings, database: Database, overrides: Mapping[str, str], port: int) -> int:
    """Dagster's own program, until it ends or is ended; the exit code."""
    from regime_pipeline.orchestration.instance import (
        FIRST_DAY_VARIABLE,
        dagster_environment,
        venv_program,
        workspace_file,
    )

    dagster = dagster_environment(settings, database)
    environment = child_environment({"origin": settings.origin, **overrides}) | dagster
    environment[FIRST_DAY_VARIABLE] = f"{_first_day(settings, database):%Y-%m-%d}"
    environment.setdefault("PYTHONWARNINGS", "ignore:Function `dev_command`:FutureWarning")
    folder = Path(dagster["DAGSTER_HOME"])
    err.print(f"Dagster UI: http://127.0.0.1:{port}  ({settings.origin} data; Ctrl-C ends it)")
    command = [venv_program("dagster"), "dev", "-w", str(workspace_file(folder))]
    command += ["--log-level", "warning"]  # each sensor tells every 15 or 30 s that nothing was due
    code = run_until_ended([*command, "-h", "127.0.0.1", "-p", str(port)], environment, folder)
    if code is None:
        err.print("ended")
        return 0
    return code


def _first_day(settings: Settings, database: Database) -> datetime:
    """Where the UI's days begin: with what is stored, but early enough for every gap that is filled."""
    from regime_pipeline.coverage.rules import KEPT_DAYS
    from regime_pipeline.reporting.queries import first_stored_day

    configured = utc(settings.start_date)
    stored = first_stored_day(database)
    if stored is None:
        return configured
    reached = floor_day(clock_from_text(settings.clock).now()) - (KEPT_DAYS + 1) * DAY
    return max(configured, min(stored, reached))


def simulate(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 8099,
    tape: Annotated[Path | None, typer.Option(help="Folder of recorded history.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.")] = 7,
    at: Annotated[str, typer.Option("--clock", help="`system`, or an instant.")] = "system",
    walls: Annotated[bool, typer.Option(help="Venues keep only their real retention.")] = False,
) -> None:
    """Serve every provider's API from a synthetic market or a recorded one, until Ctrl-C.

    Each path can be made to fail meanwhile:

        curl -X POST 127.0.0.1:8099/_control/faults -d '{"path": "/okx/", "status": 503, "times": 3}'
    """
    from regime_pipeline.simulator.server import serve
    from regime_pipeline.simulator.tape import ParquetTape, SyntheticTape

    if port:
        check_port(port)
    clock = clock_from_text(at)
    symbols = Settings().symbols
    synthetic = SyntheticTape(seed=seed, symbols=symbols, end=clock.now() + SYNTHETIC_FUTURE)
    serve(ParquetTape(tape) if tape else synthetic, clock, port, walls=walls)
