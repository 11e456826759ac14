"""Commands that serve until they are ended: ``ui`` and ``simulate``."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from regime_pipeline.cli.options import DataOption, PortOption, check_port
from regime_pipeline.cli.origins import (
    SYNTHETIC_FUTURE,
    beside,
    changed,
    child_environment,
    open_data,
)
from regime_pipeline.cli.terminal import err
from regime_pipeline.settings import Settings
from regime_pipeline.windows import clock_from_text


def ui(
    port: PortOption = 3000,
    data: DataOption = None,
) -> None:
    """Dagster UI and daemon on the embedded database, until Ctrl-C.

    For simulated data a simulator runs beside, so that runs and backfills started in the UI work.
    """
    from regime_pipeline.alerts.endpoints import endpoints
    from regime_pipeline.alerts.signing import signing_secret
    from regime_pipeline.orchestration.instance import dagster_environment, venv_program

    settings, database = open_data(data)
    if endpoints(settings):  # what the sensors could not serve is told now
        signing_secret(settings)
    check_port(port)
    with beside(settings) as overrides:
        settings = changed(settings, overrides)
        dagster = dagster_environment(settings, database)
        environment = child_environment({"origin": settings.origin, **overrides}) | dagster
        folder = Path(dagster["DAGSTER_HOME"])
        err.print(f"Dagster UI: http://127.0.0.1:{port}  ({settings.origin} data; Ctrl-C ends it)")
        command = [venv_program("dagster"), "dev", "-w", str(folder / "workspace.yaml")]
        address = ["-h", "127.0.0.1", "-p", str(port)]
        raise typer.Exit(_until_told([*command, *address], environment, folder))


def _until_told(command: list[str], environment: Mapping[str, str], folder: Path) -> int:
    """Run a program until it ends, or until Ctrl-C or SIGTERM ends it too; its exit code.

    The program listens to SIGINT even where a shell in the background has it ignored: Dagster handles
    SIGTERM as it finds SIGINT, and would never end there.
    """

    def listen() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    child = subprocess.Popen(command, env=dict(environment), cwd=folder, preexec_fn=listen)
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    try:
        return child.wait()
    except KeyboardInterrupt:  # a terminal sends it to the program as well
        err.print("ended")
        child.wait()
        return 0


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
