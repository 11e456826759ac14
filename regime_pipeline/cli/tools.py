"""Commands beside the line: ``migrate-signals``, ``scorecard``, ``parse``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.options import JsonOption, UsageError, check_target
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import err, out, progress
from regime_pipeline.settings import Settings
from regime_pipeline.windows import clock_from_text

if TYPE_CHECKING:
    from regime_pipeline.legacy.migrate import Migration


def migrate_signals(
    source_dir: Annotated[
        Path, typer.Option("--source-dir", help="Folder of old signal files (*.json), any depth.")
    ],
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only read and report. Writes nothing, so it compares with nothing."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Every file, and every refused record.")
    ] = False,
    data: Annotated[
        str, typer.Option("--data", help="Which database: live, simulated or tape.")
    ] = "live",
    as_json: JsonOption = False,
) -> None:
    """Migrate the signal files of a replaced system into raw.legacy_signals (tier 3).

    Files are only read. Sound files are taken whole, broken ones as far as nothing has to be guessed,
    the rest goes to ops.quarantine with its reason. Running it again adds nothing.
    """
    from regime_pipeline.legacy.migrate import migrate
    from regime_pipeline.legacy.reader import LegacyFileError

    try:
        if dry_run:
            settings = Settings()
            with progress() as show:
                done = migrate(
                    source_dir,
                    settings=settings,
                    clock=clock_from_text(settings.clock),
                    warehouse=None,
                    progress=show,
                )
        else:
            if not source_dir.is_dir():  # before a database is started for it
                raise UsageError(f"--source-dir: {source_dir} is no folder")
            from regime_pipeline.storage.warehouse import Warehouse

            settings, database = open_data(data)
            clock = clock_from_text(settings.clock)
            with progress() as show:
                done = migrate(
                    source_dir,
                    settings=settings,
                    clock=clock,
                    warehouse=Warehouse(database, clock),
                    progress=show,
                )
    except LegacyFileError as error:
        raise UsageError(f"--source-dir: {error}") from error
    if as_json:
        sys.stdout.write(json.dumps(done.to_json()) + "\n")
    else:
        _print_migration(done, verbose=verbose)


def _print_migration(done: Migration, *, verbose: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "repaired": "yellow", "partial": "yellow", "quarantined": "red"}
    report = Table("file", "outcome", "rows", "reason", box=None, pad_edge=False)
    report.columns[2].justify = "right"
    shown = [f for f in done.files if verbose or f.outcome != "ok"]
    for f in shown:
        outcome = Text(f.outcome, colours[f.outcome])
        report.add_row(Text(f.path), outcome, str(len(f.rows)), Text(f.reason or ""))
    if shown:
        out.print(report)
    refused = ((f.path, r["reason"], r["record"]) for f in done.files for r in f.refused)
    for told in refused if verbose else ():
        line = "  " + ": ".join(told)
        out.print(Text(line, style="dim", overflow="ellipsis", no_wrap=True))
    counts = ", ".join(f"{n} {what}" for what, n in done.outcomes().items())
    out.print(f"{len(done.files)} files: {counts}")
    if done.written is None:
        out.print(f"dry run: {len(done.frame)} rows would be stored, {len(done.refused)} refused")
    else:
        w = done.written
        out.print(
            f"{len(done.frame)} rows: {w.inserted} new, {w.updated} changed, {w.unchanged} as before; "
            f"{len(done.refused)} refused, {done.quarantined} of them new in ops.quarantine"
        )


def scorecard(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a detector and market.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder of the page. Default: that of the reports.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic markets.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer symbol-days, under a minute.")
    ] = False,
) -> None:
    """Judge every detector where the truth is known: planted events, and markets where nothing happens.

    False alarms are per symbol-day (correlations: per pair-day) beside the advertised rate, and beside
    the naive rules that the detectors replace. No database is needed. Prints the path of a page.
    """
    settings = Settings()
    target = (folder or settings.home / "reports") / "scorecard.html"
    check_target(target, "--out" if folder else "REGIME_HOME")
    from regime_pipeline.evaluation.page import print_scorecard, write_scorecard
    from regime_pipeline.evaluation.scenes import run as judge_all

    with progress() as show:
        results = judge_all(seed=seed, params=settings.params, quick=quick, progress=show)
    page = write_scorecard(target, results, seed=seed, quick=quick).resolve()
    if as_json:
        for result in results:
            sys.stdout.write(json.dumps(result.to_json()) + "\n")
        err.print(str(page), soft_wrap=True)
        return
    print_scorecard(results, out)
    out.print(str(page), soft_wrap=True)


def parse(
    endpoint: Annotated[
        str,
        typer.Argument(metavar="PROVIDER/ENDPOINT", help="As recorded bodies are named."),
    ],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recorded bodies.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
) -> None:
    """Run recorded provider bodies through their parser: the typed rows, or the typed error."""
    from regime_pipeline.providers.recordings import line, read_file, shown, unknown

    why = unknown(endpoint)
    if why is not None:
        raise UsageError(why)
    missing = [f for f in files if not f.is_file()]
    if missing:
        raise UsageError(f"{missing[0]} is no file")
    for file in files:
        found = read_file(endpoint, file)
        sys.stdout.write((line(found) if as_json else shown(found)) + "\n")
