"""``regime heartbeat``: has anything stopped? For cron, a timer, or a container's health check."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from regime_pipeline.cli.options import DataOption, JsonOption
from regime_pipeline.cli.origins import origin_settings
from regime_pipeline.cli.terminal import err, out


def heartbeat(
    daemon: Annotated[
        bool, typer.Option(help="Whether `regime ui` is to run here; cron jobs need none.")
    ] = True,
    web: Annotated[
        str | None, typer.Option(help="A page that is to answer, as http://127.0.0.1:3000/.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Has anything stopped? One line, exit code 1 if so; needs neither daemon nor database.

    Tells receivers of each change directly, and fetches REGIME_HEARTBEAT_URL while all is well.
    """
    from regime_pipeline.alerts.heartbeat import look, tell
    from regime_pipeline.windows import SystemClock

    settings, clock = origin_settings(data), SystemClock()
    beat = look(settings, clock, needs_daemon=daemon, web=web)
    problems = tell(beat, settings, clock)
    if as_json:
        found = {"is_well": beat.is_well, "faults": beat.faults, "at": beat.at, "untold": problems}
        sys.stdout.write(json.dumps(found, default=str) + "\n")
    else:
        out.print(beat.line, soft_wrap=True, markup=False, highlight=False)
    for problem in problems:
        err.print(f"could not tell {problem}", soft_wrap=True, markup=False)
    if not beat.is_well:
        raise typer.Exit(1)
