"""``regime metrics``: figures for a monitor, on a port of this machine or once on standard output.

Belongs here: options. Does not belong here: the figures and their server (``reporting``).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from regime_pipeline.cli.options import DataOption, check_port, check_port_number
from regime_pipeline.cli.origins import origin_settings
from regime_pipeline.cli.terminal import err

PORT = 9108


def metrics(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = PORT,
    once: Annotated[
        bool, typer.Option("--once", help="Print the figures and end, for a file collector.")
    ] = False,
    daemon: Annotated[
        bool, typer.Option(help="Whether `regime ui` is to run here; cron jobs need none.")
    ] = True,
    data: DataOption = None,
) -> None:
    """Figures of the pipeline for Prometheus, until Ctrl-C: /metrics, /live, /ready.

    It starts nothing and needs nothing of what it watches; while the database is away it says so.

    Examples:
        regime metrics &  curl 127.0.0.1:9108/metrics

        regime metrics --once > /var/lib/node_exporter/regime.prom
    """
    from regime_pipeline.exposition import text
    from regime_pipeline.reporting.metrics import read
    from regime_pipeline.windows import SystemClock

    settings, clock = origin_settings(data), SystemClock()
    if once:
        sys.stdout.write(text(read(settings, clock.now())))
        return
    import uvicorn

    from regime_pipeline.reporting.monitor import create_app

    check_port_number(port)
    check_port(port)
    err.print(f"figures: http://127.0.0.1:{port}/metrics  ({settings.origin} data; Ctrl-C ends it)")
    app = create_app(settings, clock, needs_daemon=daemon)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
