"""``regime run`` and ``regime backfill``: the line from providers to reports, over days."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.interrupts import prompt_end
from regime_pipeline.cli.options import (
    AllowEmptyOption,
    FromOption,
    JsonOption,
    SourceOption,
    SymbolsOption,
    ToOption,
    UsageError,
    parse_symbols,
    parse_window,
)
from regime_pipeline.cli.origins import market
from regime_pipeline.cli.terminal import err, out, progress, quiet
from regime_pipeline.windows import floor_day

if TYPE_CHECKING:
    from regime_pipeline.orchestration.run_report import RunReport


def _cancel(at_once: bool) -> None:
    runs = sys.modules.get("regime_pipeline.orchestration.run_ends")
    if runs is not None:  # before that nothing runs that could be cancelled
        runs.cancel_executing(at_once=at_once)


def run(
    first: FromOption = None,
    last: ToOption = None,
    symbols: SymbolsOption = None,
    source: SourceOption = "auto",
    as_json: JsonOption = False,
    report: Annotated[bool, typer.Option(help="Write the HTML report.")] = True,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Derive every day again, changed or not.")
    ] = False,
    allow_empty: AllowEmptyOption = False,
) -> None:
    """Fetch, derive, report: the whole line for a range of days.

    Can be run again at any time: what is stored and unchanged stays as it is. A dataset whose sources
    all failed is a line of its own, and the exit code is 1.

    Examples:
        regime run                                  the last 300 days

        regime run --source simulated               without any network

        regime run --source tape:DIR --from 2024-06-20 --to 2024-08-19 --symbols BTC/USDT,ETH/USDT
    """
    with prompt_end(_cancel), market(source, last) as chosen:
        settings, label, clock = chosen.settings, chosen.label, chosen.clock
        window = parse_window(first, last, now=clock.now(), settings=settings)
        wanted = parse_symbols(symbols, settings)
        if chosen.why is not None:
            err.rule(f"[bold]{label}[/bold]", style="yellow")
            err.print(chosen.why, markup=False, soft_wrap=True)
        from regime_pipeline.orchestration.launch import run_pipeline
        from regime_pipeline.reporting.report import write_report
        from regime_pipeline.reporting.summary import collect, to_json
        from regime_pipeline.reporting.terminal import print_summary
        from regime_pipeline.storage.database import open_database, remember_origin

        said = label if chosen.why is None else f"{label}. {chosen.why}"
        database = open_database(settings, origin=settings.origin, detail=label)
        remember_origin(settings.home, settings.origin)
        with quiet(settings), progress() as show:
            done = run_pipeline(
                settings=settings,
                clock=clock,
                window=window,
                symbols=wanted,
                progress=show,
                recompute=recompute,
            )
            page = None
            if report:
                page = write_report(
                    settings.home / "reports" / f"{settings.origin}.html",
                    database,
                    settings,
                    clock,
                    window,
                    symbols=wanted,
                    label=said,
                )
        summary = collect(
            database, settings, clock, window, symbols=wanted, label=said, report=page
        )
        if as_json:
            sys.stdout.write(
                json.dumps(to_json(summary) | {"run": done.to_json()}, default=str) + "\n"
            )
        else:
            print_summary(summary, out)
        _end(done, allow_empty=allow_empty)


def backfill(
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.")],
    symbols: SymbolsOption = None,
    select: Annotated[
        str,
        typer.Option(
            help="raw, derived, reporting, all, or asset keys as features/volatility_regimes,..."
        ),
    ] = "derived",
    refetch: Annotated[
        bool, typer.Option(help="Ask the providers again for what is stored.")
    ] = False,
    source: SourceOption = "auto",
    shards: Annotated[
        int, typer.Option(min=1, help="Derive this many parts of the symbols at the same time.")
    ] = 1,
    queued: Annotated[
        bool,
        typer.Option("--queue", help="Leave the parts to Dagster's daemon and its workers."),
    ] = False,
    as_json: JsonOption = False,
    allow_empty: AllowEmptyOption = False,
) -> None:
    """Compute (or fetch) some assets again for a range of days, as one run of the derived chain.

    With --shards the chain is several runs, stage after stage, and the same rows come of it.
    No alert is sent for what a backfill finds. Where no raw row is stored nothing is derived, and the
    exit code is 1.
    """
    with prompt_end(_cancel), market(source, last) as chosen:
        settings, clock = chosen.settings, chosen.clock
        window = parse_window(first, last, now=clock.now(), settings=settings)
        wanted = parse_symbols(symbols, settings)
        if queued and window.end > floor_day(clock.now()):
            raise UsageError("--queue takes days that are over; --to must lie before today")
        from regime_pipeline.orchestration.launch import LaunchError, run_selection
        from regime_pipeline.reporting.summary import plain
        from regime_pipeline.reporting.withheld import held_lines, held_rows
        from regime_pipeline.storage.database import open_database, remember_origin

        database = open_database(settings, origin=settings.origin, detail=chosen.label)
        remember_origin(settings.home, settings.origin)
        try:
            with quiet(settings), progress() as show:
                done = run_selection(
                    settings=settings,
                    clock=clock,
                    window=window,
                    symbols=wanted,
                    select=select,
                    refetch=refetch,
                    allow_empty=allow_empty,
                    shard_count=shards,
                    queued=queued,
                    progress=show,
                )
        except LaunchError as error:
            raise UsageError(f"--select: {error}") from error
        held = held_rows(database, window)
        if as_json:
            kept = {"held": plain([asdict(h) for h in held])}
            sys.stdout.write(json.dumps(done.to_json() | kept, default=str) + "\n")
        else:
            for line in [*done.lines(), *held_lines(held)]:
                out.print(line)
        _end(done, allow_empty=allow_empty)


def _end(done: RunReport, *, allow_empty: bool) -> None:
    """Say on standard error what there is nothing of; leave with exit code 1 unless all went well.

    Raises:
        typer.Exit: a run failed, or something got nothing although that is not allowed.
    """
    for outcome in done.runs:
        if not outcome.succeeded:
            err.print(f"{outcome.title} failed: {outcome.error}", markup=False, soft_wrap=True)
    for nothing in done.got_nothing:
        err.print(nothing.line, markup=False, soft_wrap=True)
    if not (done.ran if allow_empty else done.succeeded):
        raise typer.Exit(1)
