"""``regime alerts``: a receiver on this machine, what was sent, a test message."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from regime_pipeline.cli.options import DataOption, JsonOption, PortOption, UsageError, check_port
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import err, out
from regime_pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Webhook alerts: a receiver, the list, a test.")


@app.command("listen")
def alerts_listen(
    port: PortOption = 8787,
) -> None:
    """A receiver on this machine: verifies each alert and prints it, until Ctrl-C."""
    import uvicorn

    from regime_pipeline.alerts.listen import build_receiver
    from regime_pipeline.alerts.signing import signing_secret

    settings = Settings()
    check_port(port)

    def show(body: dict[str, Any], repeat: bool) -> None:
        data = body.get("data", {})
        mark = " (repeat)" if repeat else ""
        out.print(
            f"{body.get('timestamp')}  {data.get('severity', ''):<8} {body.get('type')}  "
            f"{data.get('title', '')}{mark}",
            soft_wrap=True,
        )

    receiver = build_receiver(signing_secret(settings), show)
    err.print(f"listening; send here with  WEBHOOKS_ALL=http://127.0.0.1:{port}/")
    uvicorn.run(receiver, host="127.0.0.1", port=port, log_level="warning")


@app.command("list")
def alerts_list(
    data: DataOption = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """The newest market events and what became of each delivery."""
    from regime_pipeline.reporting.queries import alerts

    _, database = open_data(data)
    rows = alerts(database, limit)
    if as_json:
        sys.stdout.write(json.dumps(rows, default=str) + "\n")
        return
    for row in rows:
        out.print(
            f"{row['ts']:%Y-%m-%d %H:%M}  {row['alert_severity']:<8} {row['title']}  [{row['delivery']}]",
            soft_wrap=True,
            markup=False,
        )


@app.command("send-test")
def alerts_send_test(data: DataOption = None) -> None:
    """Send a test message to every WEBHOOKS_ALL endpoint, through the outbox, and say how it went."""
    from regime_pipeline.alerts.dispatch import dispatch_due
    from regime_pipeline.alerts.endpoints import endpoints
    from regime_pipeline.alerts.outbox import enqueue_system
    from regime_pipeline.windows import SystemClock

    settings, database = open_data(data)
    if not any(e.event_types is None for e in endpoints(settings)):
        raise UsageError("no endpoint is set; for a first try: WEBHOOKS_ALL=http://127.0.0.1:8787/")
    clock = SystemClock()
    enqueue_system(
        database,
        settings=settings,
        clock=clock,
        title="Test of the alert path",
        details={"at": clock.now().isoformat()},
    )
    counts = dispatch_due(database, settings, clock)
    out.print(", ".join(f"{v} {k}" for k, v in counts.items()))
    if not counts["delivered"]:
        raise typer.Exit(1)
