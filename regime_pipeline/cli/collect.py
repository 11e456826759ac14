"""``regime collect``: the live collector, and what can be asked of what it has.

Belongs here: reading options, the one lock, signals, printing. Does not belong here: collecting
(``collect``).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.options import DataOption, UsageError, parse_day
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import err, out
from regime_pipeline.windows import clock_from_text

if TYPE_CHECKING:
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.warehouse import Warehouse

app = typer.Typer(invoke_without_command=True)
COMMAND = (sys.executable, "-m", "regime_pipeline.cli", "collect")
"""The collector as a program of its own; it finds the database by its environment."""
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_UNIT = """[Unit]
Description=regime: live collector
After=network-online.target

[Service]
ExecStart={program} collect
WorkingDirectory={folder}
Restart=always
RestartSec=2
TimeoutStopSec=10

[Install]
WantedBy=default.target
"""

VenuesOption = Annotated[
    str, typer.Option("--venues", help="Sources with commas between. Default: as set.")
]
SymbolsOption = Annotated[
    str, typer.Option("--symbols", help="Pairs with commas between. Default: as set.")
]

DayArgument = Annotated[str, typer.Argument(metavar="DAY", help="A UTC day, as 2026-11-30.")]


@app.callback()
def collect(
    context: typer.Context,
    venues: VenuesOption = "",
    symbols: SymbolsOption = "",
    length: Annotated[str, typer.Option("--for", help="How long, as 30s, 10m, 2h.")] = "",
    data: DataOption = None,
) -> None:
    """Collect the venues' live streams into segments and tables, until Ctrl-C. No key is needed.

    What comes: every forced closure of Bybit (nobody publishes their
    history), those that Binance and OKX show, single trades, hourly bars,
    order books, marks.

    Where it goes: bytes to HOME/collect within a second; rows to
    raw.liquidation_events, raw.candles, raw.order_book; sums of whole hours
    to raw.liquidations and raw.trade_flow; this moment to live.prices_5s.
    ops.stream_spans tells to the second what was heard, ops.stream_hours
    judges each hour. Nothing is called covered that was not.

    First steps: `regime collect --for 2m --symbols BTC/USDT`, then
    `regime collect status`. For good: `regime collect unit` prints a systemd
    unit; `regime ui` starts a collector by itself unless REGIME_COLLECT=off.
    A database has one at a time. With REGIME_COLLECT=on and no Coinglass key
    the liquidations of all features come from it. More: docs/live.md.
    """
    if context.invoked_subcommand is not None:
        return
    seconds = _seconds(length)
    settings, warehouse = _opened(data)
    from regime_pipeline.collect.collector import Collector
    from regime_pipeline.storage import locks

    wanted = _listed(venues) or list(settings.collect_venues)
    unknown = sorted(set(wanted) - set(settings.collect_venues))
    if unknown:
        raise UsageError(f"--venues: nothing is collected from {', '.join(unknown)}")
    mine = f"regime collect, process {os.getpid()} on {socket.gethostname()}"
    with warehouse.database.connect(autocommit=True) as connection:
        others = locks.take_service(connection, mine, locks.COLLECTOR)
        if others:
            raise UsageError(f"this database has its collector already: {'; '.join(others)}")
        collector = Collector(
            warehouse, settings, symbols=_listed(symbols) or settings.symbols, venues=wanted
        )

        def end(_number: int, _frame: FrameType | None) -> None:
            collector.stop()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        topics = sum(len(line.subscriptions) for line in collector.lines)
        err.print(f"collecting {topics} topics over {len(collector.lines)} connections")
        totals = collector.run(seconds)
    err.print(
        f"ended: {totals.received} messages, {totals.dropped} left out, {totals.stored} rows stored"
    )


@app.command()
def status(data: DataOption = None) -> None:
    """How the collector does: its beat, and the newest hours of each series."""
    from rich.table import Table

    from regime_pipeline.collect.collector import last_beat

    _, warehouse = _opened(data)
    beat = last_beat(warehouse)
    if beat is None:
        out.print("no collector has run on this database; start one: `regime collect`")
        return
    age = (warehouse.clock.now() - beat.at).total_seconds()
    if beat.ended_at is None:
        of = f"{beat.open_connections} of {beat.wanted_connections} connections open"
        out.print(f"last beat {age:.0f} s ago, {of}")
        if not beat.has_right_time:
            out.print(f"a venue's clock is {beat.clock_offset_s:+.1f} s from ours: set ours right")
    else:
        out.print(f"ended as it was told to, {age:.0f} s ago; `regime collect` starts it again")
    rows = warehouse.transact(
        lambda c: c.execute(
            "select distinct on (dataset, source, market, symbol) dataset, source, market, symbol, "
            "ts, stream_class, live_s, proof, reason from ops.stream_hours "
            "order by dataset, source, market, symbol, ts desc"
        ).fetchall()
    )
    shown = Table("dataset", "source", "market", "symbol", "hour", "class", "s", "proof", box=None)
    for dataset, source, market, symbol, ts, kind, live_s, proof, reason in rows:
        told = proof or f"none: {reason}"
        shown.add_row(
            dataset, source, market, symbol, f"{ts:%m-%d %H:%M}", kind, f"{live_s:.0f}", told
        )
    out.print(shown)


@app.command()
def replay(day: DayArgument, data: DataOption = None) -> None:
    """Store a day's single rows once more from what was received; nothing changes where all is well."""
    from regime_pipeline.collect.proofs import replay_day

    settings, warehouse = _opened(data)
    for dataset, changed in replay_day(warehouse, settings, parse_day(day, "DAY")).items():
        out.print(f"{dataset}: {changed} rows were not as the bytes say")


@app.command()
def prove(day: DayArgument, data: DataOption = None) -> None:
    """Recompute a day's hours from what was received and hold them against what is stored."""
    from regime_pipeline.collect.proofs import prove_day

    settings, warehouse = _opened(data)
    found = prove_day(warehouse, settings, parse_day(day, "DAY"))
    for one in found.differing:
        out.print(f"{one} differs from what was received")
    out.print(f"{found.equal} hours are as they were received, {len(found.differing)} are not")
    if found.differing:
        raise typer.Exit(1)


@app.command()
def unit() -> None:
    """Print a systemd unit that keeps the collector running."""
    program = shutil.which("regime") or f"{sys.executable} -m regime_pipeline.cli"
    sys.stdout.write(_UNIT.format(program=program, folder=Path.cwd()))


def _opened(data: str | None) -> tuple[Settings, Warehouse]:
    from regime_pipeline.storage.warehouse import Warehouse

    settings, database = open_data(data)
    return settings, Warehouse(database, clock_from_text(settings.clock))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _seconds(text: str) -> float | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d+)([smh])", text.strip())
    if match is None:
        raise UsageError(f"--for {text!r} is not understood: as 30s, 10m, 2h")
    return float(match[1]) * _SECONDS[match[2]]
