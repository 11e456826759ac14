"""Commands that open what was computed to others: ``serve``.

Belongs here: finding the database and starting the light server process. Does not belong here: the
server (``api``, ``dashboard``), Dagster's UI (``serving``).
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.options import DataOption, check_port, check_port_number
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import err

if TYPE_CHECKING:
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import Database


def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8000,
    data: DataOption = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name that a proxy of yours passes on, as host.example; repeatable."),
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Believe a proxy on this machine who asks.")
    ] = False,
    log: Annotated[bool, typer.Option("--log", help="One JSON line per request.")] = False,
) -> None:
    """Dashboard and read API over the reporting tables, until Ctrl-C.

    It is open to whoever uses this machine, and only reads, as the database role regime_api. For other
    machines put a proxy with its own sign-in before it.

        regime serve
        curl '127.0.0.1:8000/v1/overview?symbols=BTC'
    """
    check_port_number(port)
    settings, database = open_data(data)
    check_port(port)
    environment = _variables(
        settings,
        database,
        port=port,
        hosts=allow_host or [],
        behind_proxy=behind_proxy,
        log_level="INFO" if log else "WARNING",
    )
    database.close()
    err.print(
        f"Dashboard and API: http://127.0.0.1:{port}  ({settings.origin} data; Ctrl-C ends it)"
    )
    # the process that serves is another one: this one has imported what it needs to find a database
    command = [sys.executable, "-m", "regime_pipeline.dashboard"]
    os.execve(command[0], command, {**os.environ, **environment})  # noqa: S606


def _variables(settings: Settings, database: Database, **told: object) -> dict[str, str]:
    """The one environment variable that the server process reads."""
    from regime_pipeline.dashboard.__main__ import VARIABLE
    from regime_pipeline.storage.roles import url_of

    address = settings.database_url and settings.database_url.get_secret_value()
    url = address or url_of("api", database.url, settings.home) or database.url
    shared = {
        "conninfo": url.replace("postgresql+psycopg://", "postgresql://", 1),
        "symbols": list(settings.symbols),
        "clock": settings.clock,
    }
    return {VARIABLE: json.dumps(shared | told)}
