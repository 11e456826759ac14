"""Commands that open what was computed to others: ``serve``, ``mcp``.

Belongs here: finding the database and starting the light server process. Does not belong here: the
server (``api``, ``dashboard``), tokens (``tokens``), Dagster's UI (``serving``).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.options import DataOption, UsageError, check_port, check_port_number
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import err

if TYPE_CHECKING:
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import Database

PORT = 8000
COMMAND = (sys.executable, "-m", "regime_pipeline.dashboard")
"""The server process: another one than the command, which has imported what finds a database."""


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than loopback needs a token and TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = PORT,
    workers: Annotated[int, typer.Option(help="Server processes.", min=1, max=16)] = 1,
    data: DataOption = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name under which it is asked, as host.example; repeatable."),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Believe a proxy on this machine who asks.")
    ] = False,
    need_token: Annotated[
        bool, typer.Option("--need-token", help="Ask for a token on loopback too.")
    ] = False,
    rate: Annotated[
        float, typer.Option(help="Requests a second of one token or address.", min=1)
    ] = 20.0,
    log: Annotated[bool, typer.Option("--log", help="One JSON line per request.")] = False,
) -> None:
    """Dashboard, read API and tools for agents over the reporting tables, until Ctrl-C.

    On loopback it is open to whoever uses this machine. It only reads, as the database role regime_api.

        regime serve
        curl '127.0.0.1:8000/v1/overview?symbols=BTC'
    """
    from regime_pipeline.api.auth import LOOPBACK

    check_port_number(port)
    is_elsewhere = host not in LOOPBACK
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together")
    if is_elsewhere and tls_cert is None and not behind_proxy:
        raise UsageError(
            f"--host {host} would send tokens in the clear: give --tls-cert and --tls-key, or put a proxy "
            "with TLS before it and say --behind-proxy"
        )
    for path in filter(None, (tls_cert, tls_key)):
        if not path.is_file():
            raise UsageError(f"{path} is no file")
    settings, database = open_data(data)
    if is_elsewhere or need_token:
        _check_tokens(database, settings)
    check_port(port, host)
    environment = server_variables(
        settings,
        database,
        host=host,
        port=port,
        workers=workers,
        hosts=[*(allow_host or []), *([host] if is_elsewhere else [])],
        needs_token=is_elsewhere or need_token,
        tls=[str(tls_cert), str(tls_key)] if tls_cert else None,
        behind_proxy=behind_proxy,
        per_second=rate,
        log_level="INFO" if log else "WARNING",
    )
    database.close()
    address = f"{'https' if tls_cert else 'http'}://{host}:{port}"
    err.print(f"Dashboard, API and /mcp: {address}  ({settings.origin} data; Ctrl-C ends it)")
    os.execve(COMMAND[0], COMMAND, {**os.environ, **environment})  # noqa: S606


def mcp(data: DataOption = None) -> None:
    """Tools for an agent, on standard input and output (Model Context Protocol).

    The agent's program starts it: command `regime`, argument `mcp`.
    """
    settings, database = open_data(data)
    environment = server_variables(settings, database, stdio=True, log_level="WARNING")
    database.close()
    os.execve(COMMAND[0], COMMAND, {**os.environ, **environment})  # noqa: S606


def server_variables(settings: Settings, database: Database, **chosen: object) -> dict[str, str]:
    """The one environment variable that the server process reads.

    Args:
        settings: of the data that is served.
        database: that holds it.
        chosen: replaces what :data:`~regime_pipeline.dashboard.__main__.USUAL` says.
    """
    from regime_pipeline.dashboard.__main__ import VARIABLE
    from regime_pipeline.storage.roles import url_of
    from regime_pipeline.thresholds import by_digest

    own = settings.database_url is not None  # its account is the user's choice
    url = database.url if own else url_of("api", database.url, settings.home) or database.url
    shared = {
        "conninfo": url.replace("postgresql+psycopg://", "postgresql://", 1),
        "symbols": list(settings.symbols),
        "clock": settings.clock,
        "public_url": settings.api_public_url,
        "parameters": by_digest(settings.params),
        "origins": list(settings.api_cors_origins),
    }
    return {VARIABLE: json.dumps(shared | chosen)}


def _check_tokens(database: Database, settings: Settings) -> None:
    """Refuse to open a door that nobody has a key to.

    Raises:
        UsageError: no token is valid.
    """
    from regime_pipeline.storage.tokens import listed
    from regime_pipeline.windows import clock_from_text

    now = clock_from_text(settings.clock).now()
    if not any(t.is_valid(now) for t in listed(database)):
        raise UsageError("there is no valid token: `regime tokens create --name NAME` makes one")
