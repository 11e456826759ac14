"""``regime alerts``: a receiver on this machine, what was sent and what became of it, a test message."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regime_pipeline.cli.options import (
    DataOption,
    FromOption,
    JsonOption,
    PortOption,
    ToOption,
    UsageError,
    check_port,
    parse_window,
)
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import err, out
from regime_pipeline.settings import Settings

if TYPE_CHECKING:
    from regime_pipeline.alerts.message import Message
    from regime_pipeline.storage.database import Database

app = typer.Typer(no_args_is_help=True, help="Alerts: what was sent, receivers, a test, a replay.")

EventArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Event id, or the first six or more letters of it.")
]


@app.command("listen")
def alerts_listen(
    port: PortOption = 8787,
) -> None:
    """A receiver on this machine: verifies each alert and prints it, until Ctrl-C."""
    import uvicorn

    from regime_pipeline.alerts.listen import build_receiver
    from regime_pipeline.alerts.message import message_in
    from regime_pipeline.alerts.signing import signing_secrets

    settings = Settings()
    check_port(port)

    def show(body: dict[str, Any], repeat: bool) -> None:
        _tell(message_in(body), " (repeat)" if repeat else "")

    receiver = build_receiver(signing_secrets(settings), show)
    err.print(f"listening; send here with  WEBHOOKS_ALL=http://127.0.0.1:{port}/")
    uvicorn.run(receiver, host="127.0.0.1", port=port, log_level="warning")


def _tell(message: Message, mark: str = "") -> None:
    """An event with all its lines."""
    from regime_pipeline.alerts.message import facts, footer, numbers

    _print(f"{message.severity:<8} {message.event_type}  {message.title}{mark}")
    link = message.context.get("link")
    for name, value in [*facts(message)[1:], *([("look", link)] if link else [])]:
        _print(f"    {name:<13} {value}")
    told = ", ".join(f"{name} {value}" for name, value in numbers(message))
    if told:
        _print(f"    {'numbers':<13} {told}")
    _print(f"    {'id':<13} {message.event_id}  ({footer(message)})")


def _print(line: str) -> None:
    out.print(line, soft_wrap=True, markup=False, highlight=False)


def _json(value: object) -> None:
    sys.stdout.write(json.dumps(value, default=str) + "\n")


@app.command("list")
def alerts_list(
    data: DataOption = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """The newest market and operational events and what became of each delivery."""
    from regime_pipeline.reporting.queries import alerts

    _, database = open_data(data)
    rows = alerts(database, limit)
    if as_json:
        _json(rows)
        return
    for row in rows:
        _print(
            f"{row['ts']:%Y-%m-%d %H:%M}  {row['event_id'][:8]}  {row['alert_severity']:<8} "
            f"{row['title']}  [{row['delivery']}]"
        )


@app.command("show")
def alerts_show(event: EventArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """One event: all that was said of it, its deliveries, every attempt."""
    from regime_pipeline.alerts.message import message_of_row
    from regime_pipeline.reporting import deliveries

    settings, database = open_data(data)
    row = _the_event(database, event)
    sent = deliveries.deliveries(database, row["event_id"])
    tried = deliveries.attempts(database, row["event_id"])
    if as_json:
        _json({"event": row, "deliveries": sent, "attempts": tried})
        return
    _tell(message_of_row(row, settings.origin))
    for one in sent or [{"endpoint": "no receiver was set when it was found", "state": ""}]:
        reason = f" ({one['reason']})" if one.get("reason") else ""
        digest = f", the digest is {one['digest_state']}" if one.get("digest_state") else ""
        _print(f"    {one['endpoint']}: {one['state']}{reason}{digest}")
    for one in tried:
        _print(
            f"      {_when(one['timestamp'])}  {one['endpoint']} #{one['attempt']} "
            f"{one['outcome'] or 'no outcome'} {_known(one['response_code'], one['error_class'])}"
        )


def _when(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _known(*values: object) -> str:
    return " ".join(str(v) for v in values if v is not None)


def _the_event(database: Database, start: str) -> dict[str, Any]:
    """The one event whose id begins so.

    Raises:
        UsageError: there is none, there are several, or too little of the id is given.
    """
    from regime_pipeline.reporting.deliveries import events_like

    if len(start) < 6:
        raise UsageError(f"{start!r} is too short; give six or more letters of the id")
    found = events_like(database, start)
    if len(found) != 1:
        many = "several events begin" if found else "no event begins"
        raise UsageError(f"{many} with {start!r}; `regime alerts list` shows the ids")
    return found[0]


@app.command("retry")
def alerts_retry(
    event: EventArgument,
    endpoint: Annotated[
        str | None, typer.Option(help="Only to this receiver. Default: all that did not get it.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Send an event again to those who did not get it, however old it is; then say how it went."""
    from regime_pipeline.alerts.dispatch import dispatch_due
    from regime_pipeline.alerts.outbox import retry
    from regime_pipeline.windows import SystemClock

    settings, database = open_data(data)
    row = _the_event(database, event)
    clock = SystemClock()
    with database.connect() as conn, conn.transaction():
        due = retry(conn, row["event_id"], endpoint, settings=settings, clock=clock)
    if not due:
        raise UsageError(
            "nothing of it can be sent again: it was delivered, its receiver is not configured or "
            f"switched off, or it may not leave this machine (regime alerts show {event})"
        )
    counts = dispatch_due(database, settings, clock)
    _print(", ".join(f"{v} {k}" for k, v in counts.items() if v) or "nothing was sent")
    if not counts["delivered"]:
        raise typer.Exit(1)


@app.command("ack")
def alerts_ack(event: EventArgument, data: DataOption = None) -> None:
    """You know of a market event: its like is not sent again before the state has changed."""
    from regime_pipeline.alerts.outbox import acknowledge
    from regime_pipeline.windows import SystemClock

    _, database = open_data(data)
    row = _the_event(database, event)
    with database.connect() as conn, conn.transaction():
        if not acknowledge(conn, row["event_id"], SystemClock()):
            raise UsageError("it is an operational event; only market events have a state")
    _print(
        f"acknowledged: {row['event_type']} of {row['instrument']} is not sent again while it is at "
        f"{row['level']}"
    )


@app.command("endpoints")
def alerts_endpoints(
    enable: Annotated[
        str | None, typer.Option(help="Use this receiver again, which was switched off.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Receivers: what each is told, how it fares, what waits for it."""
    from regime_pipeline.alerts import health
    from regime_pipeline.alerts.endpoints import endpoints
    from regime_pipeline.reporting.deliveries import endpoint_figures

    settings, database = open_data(data)
    if enable is not None:
        with database.connect() as conn:
            if not health.enable(conn, enable):
                raise UsageError(f"no receiver {enable!r} was ever sent to")
    figures = {row["endpoint"]: row for row in endpoint_figures(database)}
    known = {e.name: e for e in endpoints(settings)}
    rows = [
        {
            "endpoint": name,
            "is_configured": name in known,
            "told": known[name].told if name in known else None,
            **{k: v for k, v in figures.get(name, {}).items() if k != "endpoint"},
        }
        for name in [*known, *sorted(figures.keys() - known.keys())]
    ]
    if as_json:
        _json(rows)
        return
    for row in rows:
        _print(f"{row['endpoint']}  {row['told'] or 'no longer configured'}")
        _print(f"    {', '.join(_fares(row)) or 'nothing was ever sent to it'}")
    if not rows:
        _print("no receiver is set; docs/alerts.md says how")


def _fares(row: dict[str, Any]) -> Iterable[str]:
    """How a receiver fares, in words."""
    for key in ("delivered", "waiting", "digested", "expired", "dead", "suppressed"):
        if row.get(key):
            yield f"{row[key]} {key}"
    if row.get("latency_p95_ms") is not None:
        yield f"answers within {row['latency_p50_ms']:.0f} ms (95 %: {row['latency_p95_ms']:.0f} ms)"
    if row.get("accepted_at"):
        yield f"accepted last {_when(row['accepted_at'])}"
    if row.get("disabled_at"):
        yield f"switched off {_when(row['disabled_at'])}: {row['disabled_reason']}"
    elif row.get("failing_since"):
        yield f"failing since {_when(row['failing_since'])}"


@app.command("replay")
def alerts_replay(
    first: FromOption = None,
    last: ToOption = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another threshold: REGIME_PARAMS__SECTION__NAME=VALUE."),
    ] = None,
    night: Annotated[
        str, typer.Option(help="Hours that are counted as night: 22:00-07:00 Europe/Berlin.")
    ] = "22:00-07:00",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """The events of past days again, under these or other thresholds, beside what was announced.

    Computes from stored tables; fetches, writes and sends nothing.
    """
    from regime_pipeline.alerts.routing import Quiet
    from regime_pipeline.orchestration.what_if import replay, with_thresholds
    from regime_pipeline.windows import clock_from_text

    settings, database = open_data(data)
    clock = clock_from_text(settings.clock)
    window = parse_window(first, last, now=clock.now(), settings=settings)
    texts = dict(text.partition("=")[::2] for text in given or ())
    try:
        hours = Quiet.of(night)
        after = with_thresholds(settings, texts) if texts else settings
    except KeyError as error:
        raise UsageError(
            f"--set {error.args[0]} is no threshold; `regime settings` lists them"
        ) from error
    except ValueError as error:
        raise UsageError(f"--night or --set: {error}") from error
    found = replay(settings, after, database, clock, window)
    nights = found.by_night(hours)
    counts = {n: len(getattr(found, n)) for n in ("same", "new", "gone", "changed")}
    if as_json:
        _json(
            {
                **counts,
                "executed": found.executed,
                "nights": nights.to_dict("index"),
                "events": {
                    n: getattr(found, n).to_dict("records") for n in ("new", "gone", "changed")
                },
            }
        )
        return
    _print(f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d %H:%M} UTC, nothing is sent")
    _print(", ".join(f"{n} {what}" for what, n in counts.items()))
    _print(f"computed again: {', '.join(found.executed) or 'nothing, only read'}")
    for name in ("new", "gone", "changed"):
        for row in getattr(found, name).to_dict("records"):
            before = f"  (was {row['title_before']})" if "title_before" in row else ""
            _print(
                f"{name:<8} {row['known_at']:%Y-%m-%d %H:%M}  {row['alert_severity']:<8} "
                f"{row['title']}{before}"
            )
    for day, row in nights.iterrows():
        if row["before"] != row["after"]:
            _print(f"night to {day}: {row['before']} then, {row['after']} now")


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
    out.print(", ".join(f"{v} {k}" for k, v in counts.items() if v) or "nothing was sent")
    if not counts["delivered"]:
        raise typer.Exit(1)
