"""The ``regime`` command: every subcommand by name, the version, exit codes.

Belongs here: putting the commands of this package together, and one clear line for each expected
failure. Does not belong here: commands themselves (the other modules, which read what a person typed,
call the layers below and print what came of it). Heavy libraries are imported inside the commands, so
that ``--help`` answers at once.

Exit codes: 0 done; 1 the work failed; 2 the call cannot be served as it is (one line says why);
130 interrupted.
"""

from __future__ import annotations

import errno
from typing import Annotated

import typer
from pydantic import ValidationError

from regime_pipeline.cli import (
    alerts,
    backup,
    collect,
    database,
    doors,
    heartbeat,
    metrics,
    pipeline,
    provenance,
    research,
    scale,
    secrets,
    serving,
    storage,
    tokens,
    tools,
    views,
)
from regime_pipeline.cli.interrupts import EXIT_CODE, SENTENCE
from regime_pipeline.cli.options import UsageError
from regime_pipeline.cli.terminal import fail, out

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Crypto market regimes: from provider bytes to reporting tables and alerts, point in time.",
    epilog="Start with `regime run`; then `regime report`, `regime status`, `regime ui`.",
)
for _command in (
    pipeline.run,
    pipeline.backfill,
    tools.migrate_signals,
    views.status,
    views.quality,
    views.doctor,
    heartbeat.heartbeat,
    metrics.metrics,
    views.report,
    views.settings,
    tools.scorecard,
    tools.parse,
    provenance.why,
    provenance.restatements,
    backup.backup,
    backup.restore,
    serving.ui,
    doors.serve,
    doors.mcp,
    serving.simulate,
):
    app.command()(_command)
app.add_typer(database.app, name="db")
app.add_typer(alerts.app, name="alerts")
app.add_typer(collect.app, name="collect")
app.add_typer(scale.app, name="scale")
app.add_typer(secrets.app, name="secrets")
app.add_typer(storage.app, name="storage")
app.add_typer(tokens.app, name="tokens")
app.add_typer(research.app, name="research")


_ANOTHER = "name a folder that this user may write (REGIME_HOME, or --out of a report)"
_FULL = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT),
    "free space there and run the same command again; what was written is whole",
)
_UNUSABLE = {
    **_FULL,
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR), _ANOTHER
    ),
}
"""What can be wrong with a folder, and what to do about it."""


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        out.print(f"regime {version('regime-pipeline')}")
        raise typer.Exit


@app.callback()
def _regime(
    _version_wanted: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: every expected failure is one clear line and an exit code."""
    from regime_pipeline.alerts.endpoints import ConfigurationError
    from regime_pipeline.simulator.errors import SimulatorError
    from regime_pipeline.storage.errors import StorageError

    try:
        app()
    except (UsageError, ConfigurationError, SimulatorError, StorageError) as error:
        fail(str(error), 2)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        fail("settings are not valid: " + "; ".join(lines), 2)
    except OSError as error:
        # a write that finds no space does not say in which file
        if error.errno not in (_FULL if error.filename is None else _UNUSABLE):
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        fail(f"{where}{error.strerror}; {_UNUSABLE[error.errno]}", 2)
    except KeyboardInterrupt:
        fail(SENTENCE, EXIT_CODE)
