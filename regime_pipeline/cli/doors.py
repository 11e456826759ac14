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

from regime_pipeline.api.auth import LOOPBACK
from regime_pipeline.cli.options import DataOption, UsageError, check_port, check_port_number
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import err
from regime_pipeline.dashboard.__main__ import VARIABLE

if TYPE_CHECKING:
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import Database


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    data: DataOption = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name it is reached by, as host.example; may be repeated."),
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(help="PEM file of the certificate.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="PEM file of its key.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy of yours speaks TLS.")
    ] = False,
    log: Annotated[bool, typer.Option("--log", help="One JSON line per request.")] = False,
) -> None:
    """Read API and dashboard over the reporting tables, until Ctrl-C.

    On 127.0.0.1 it is open to whoever uses this machine. Any other address needs TLS and a token
    (`regime tokens create`). It only reads, as the database role regime_api.

        regime serve
        curl '127.0.0.1:8000/v1/overview?symbols=BTC'
    """
    check_port_number(port)
    is_open = host in LOOPBACK
    if not is_open and not (behind_proxy or (tls_cert and tls_key)):
        raise UsageError(
            f"--host {host} would send tokens in clear text: give --tls-cert and --tls-key, or "
            "--behind-proxy when a proxy of yours speaks TLS"
        )
    settings, database = open_data(data)
    check_port(port)
    environment = child_variables(
        settings,
        database,
        host=host,
        port=port,
        needs_token=not is_open,
        hosts=[*(allow_host or []), *([] if is_open or host in ("0.0.0.0", "::") else [host])],  # noqa: S104
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_proxy=behind_proxy,
        log_level="INFO" if log else "WARNING",
    )
    database.close()
    scheme = "https" if tls_cert else "http"
    err.print(
        f"Dashboard and API: {scheme}://{host}:{port}  ({settings.origin} data; Ctrl-C ends it)"
    )
    # the process that serves is another one: this one has imported what it needs to find a database
    os.execve(  # noqa: S606
        sys.executable,
        [sys.executable, "-m", "regime_pipeline.dashboard"],
        {**os.environ, **environment},
    )


def child_variables(
    settings: Settings,
    database: Database,
    *,
    host: str,
    port: int,
    needs_token: bool,
    hosts: list[str],
    tls_cert: str | None = None,
    tls_key: str | None = None,
    behind_proxy: bool = False,
    log_level: str = "WARNING",
) -> dict[str, str]:
    """The one environment variable that the server process reads."""
    from regime_pipeline.storage.roles import url_of

    address = settings.database_url and settings.database_url.get_secret_value()
    url = address or url_of("api", database.url, settings.home) or database.url
    told = {
        "conninfo": url.replace("postgresql+psycopg://", "postgresql://", 1),
        "symbols": list(settings.symbols),
        "clock": settings.clock,
        "host": host,
        "port": port,
        "needs_token": needs_token,
        "hosts": hosts,
        "public_url": None,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "behind_proxy": behind_proxy,
        "log_level": log_level,
    }
    return {VARIABLE: json.dumps(told)}
