"""Commands that look at what is stored or set: ``status``, ``quality``, ``report``, ``doctor`` ..."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.options import (
    DataOption,
    JsonOption,
    ShownFromOption,
    ShownToOption,
    SymbolsOption,
    UsageError,
    check_target,
    parse_day,
    parse_symbols,
    parse_window,
)
from regime_pipeline.cli.origins import ORIGINS, beside, open_data, origin_settings
from regime_pipeline.cli.terminal import err, out, quiet
from regime_pipeline.settings import Settings, changed
from regime_pipeline.windows import DAY, Window, clock_from_text

if TYPE_CHECKING:
    from regime_pipeline.configuration import Value
    from regime_pipeline.reporting.doctor import Check
    from regime_pipeline.storage.database import Database


def status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """What is stored, how fresh it is, how each source does, what waits to be delivered."""
    from regime_pipeline.reporting.status import print_status, status_of

    settings, database = open_data(data)
    found = status_of(database, settings, clock_from_text(settings.clock))
    if as_json:
        sys.stdout.write(json.dumps(found, default=str) + "\n")
    else:
        print_status(found, out)


def quality(
    first: ShownFromOption = None,
    last: ShownToOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
    every: Annotated[
        bool, typer.Option("--all", help="All days, and the checks that could not be applied.")
    ] = False,
    suites: Annotated[
        bool,
        typer.Option("--suites", help="Run the suites of Great Expectations over the last week."),
    ] = False,
) -> None:
    """Results of the data-quality checks DQ01 .. DQ15 for stored days: scores, failures, what to do.

    A score is 100 when no check failed. BLOCK keeps the failing rows out of the derived tables, where
    they are null with status quarantined; the raw rows stay. Mended rows are published by the next
    run. Checks are made by `regime run` and by the hourly tick; this only shows them. What each check
    means: docs/quality.md.

    Examples:
        regime quality                                    the last 7 days that are stored

        regime quality --from 2024-08-01 --to 2024-08-10 --all

        regime quality --json | jq '.scores[] | select(.blocks)'

        regime quality --suites                           and where their Data Docs are
    """
    from regime_pipeline.reporting.quality import print_quality_days, quality_of

    settings, database = open_data(data)
    if suites:
        _run_suites(settings)
        return
    found = quality_of(database, _stored(database, settings, first, last, days=7))
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        print_quality_days(found, out, every=every)


def _run_suites(settings: Settings) -> None:
    """Run the suites, print what they found and where the pages are; exit 1 when one does not hold."""
    from regime_pipeline.orchestration.resources import Platform
    from regime_pipeline.orchestration.suites import SUITES, ExpectationCrash, judge

    docs = settings.home.resolve() / "quality" / "docs"
    platform = Platform(settings, clock_from_text(settings.clock))
    try:
        found = judge(platform, SUITES, docs)
    except ExpectationCrash as error:
        raise UsageError(
            f"a suite could not be run, which says nothing of the data: {error}"
        ) from error
    finally:
        platform.close()
    for one in found:
        verdict = "holds" if one.holds else "does not hold"
        out.print(
            f"{one.suite.table} {one.suite.name}: {one.reason or verdict} ({one.rows} rows)",
            markup=False,
            soft_wrap=True,
        )
        for name, holds, observed in one.expectations:
            out.print(
                f"  {'ok' if holds else 'NO':2} {name}: {observed}", markup=False, soft_wrap=True
            )
    out.print(f"Data Docs: {docs / 'index.html'}", markup=False, soft_wrap=True)
    if not all(one.holds for one in found):
        raise typer.Exit(1)


def report(
    first: ShownFromOption = None,
    last: ShownToOption = None,
    symbols: SymbolsOption = None,
    data: DataOption = None,
    path: Annotated[
        Path | None, typer.Option("--out", help="File to write. Default: REGIME_HOME/reports.")
    ] = None,
) -> None:
    """Write the HTML report of what is stored, by default its last 60 days, and print its path."""
    from regime_pipeline.reporting.report import write_report

    if path is not None:
        check_target(path, "--out")
    settings, database = open_data(data)
    page = write_report(
        path or settings.home / "reports" / f"{settings.origin}.html",
        database,
        settings,
        clock_from_text(settings.clock),
        _stored(database, settings, first, last, days=60),
        symbols=parse_symbols(symbols, settings),
        label=ORIGINS[settings.origin],
    )
    out.print(str(page.resolve()), soft_wrap=True)


def _stored(
    database: Database, settings: Settings, first: str | None, last: str | None, *, days: int
) -> Window:
    """The days asked for, by default the last ones that are stored.

    Raises:
        UsageError: nothing is stored, or there is no such window.
    """
    from regime_pipeline.reporting.queries import stored_window

    stored = stored_window(database)
    if stored is None:
        raise UsageError("nothing is stored yet; `regime run` fills the database")
    if last is None:
        last = str((stored.end - timedelta(seconds=1)).date())
    if first is None:
        end = parse_day(last, "--to")
        first = str(min(end, max(stored.start, end - (days - 1) * DAY)).date())
    now = max(clock_from_text(settings.clock).now(), stored.end)
    return parse_window(first, last, now=now, settings=settings)


def doctor(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Ask every source one cheap question and look at database, disk and Dagster; say what to do.

    Exits with 0 when everything that is needed is fine, with 1 otherwise.
    """
    from regime_pipeline.providers.limits.gate import gate_for
    from regime_pipeline.providers.limits.store import PostgresStore
    from regime_pipeline.reporting.doctor import examine, print_diagnosis, to_json

    settings, database, checks = _open_for_doctor(data)
    with quiet(settings), beside(settings) as overrides:
        settings = changed(settings, overrides)
        found = examine(
            settings,
            clock_from_text(settings.clock),
            gate=gate_for(settings, PostgresStore(database.connect) if database else None),
            database=database,
            checks=[*checks, _settings_check()],
            asking=settings.origin != "tape",
        )
    if as_json:
        sys.stdout.write(json.dumps(to_json(found)) + "\n")
    else:
        print_diagnosis(found, out)
    if not found.is_ok:
        raise typer.Exit(1)


def _settings_check() -> Check:
    """Variables that somebody set for nothing: a typing error looks like a setting that has no effect."""
    from regime_pipeline.configuration import as_they_stand
    from regime_pipeline.reporting.doctor import Check

    found, unknown = as_they_stand(Settings())
    if unknown:
        lines = "; ".join(u.line for u in unknown)
        return Check("settings", None, lines, "correct the name, or take the variable away")
    given = sum(v.origin != "default" for v in found)
    return Check("settings", True, f"{given} set, all of them are read")


def _open_for_doctor(data: str | None) -> tuple[Settings, Database | None, list[Check]]:
    """As :func:`open_data`, but what cannot be opened is a finding; nothing is set up for it."""
    from regime_pipeline.reporting.doctor import Check, failed_check
    from regime_pipeline.storage.database import last_origin
    from regime_pipeline.storage.errors import StorageError

    settings = origin_settings(data)
    if data is None and settings.database_url is None and last_origin(settings.home) is None:
        return (
            settings,
            None,
            [Check("database", None, "there is none yet; the first `regime run` makes it")],
        )
    try:
        settings, database = open_data(data)
    except StorageError as error:
        advice = "check REGIME_DATABASE_URL, or start it with `regime db start`"
        return Settings(), None, [failed_check("database", error, advice)]
    found = [Check("database", True, database.shown), _dagster(settings, database)]
    return settings, database, found


def _dagster(settings: Settings, database: Database) -> Check:
    """Whether Dagster's instance on the same database can be opened."""
    from regime_pipeline.orchestration.instance import instance_for
    from regime_pipeline.reporting.doctor import Check, failed_check

    try:
        with quiet(settings), instance_for(settings, database) as instance:
            runs = instance.get_runs_count()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return failed_check(
            "dagster", error, "see the log below .regime/logs; `regime ui` starts it"
        )
    return Check("dagster", True, f"reachable, {runs:,} runs")


def settings(
    as_json: JsonOption = False,
    only_set: Annotated[
        bool, typer.Option("--set", help="Only what environment or file set.")
    ] = False,
) -> None:
    """Every setting: its value, unit, default, and whether environment or `.env` gave it.

    Secrets are shown as `set`. Variables that look like settings and that nothing reads are named on
    standard error, with the name that was probably meant. What each decides: docs/settings.md.
    """
    from regime_pipeline.configuration import as_they_stand

    found, unknown = as_they_stand(Settings())
    shown = [v for v in found if not only_set or v.origin != "default"]
    if as_json:
        rows = {"settings": [v.to_json() for v in shown], "unknown": [u.variable for u in unknown]}
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        _print_settings(shown)
    for variable in unknown:
        err.print(variable.line, style="yellow", markup=False, soft_wrap=True)


def _print_settings(rows: list[Value]) -> None:
    for group, values in groupby(rows, key=lambda v: v.setting.group):
        out.print(f"[bold]{group}[/bold]")
        for value in values:
            row = value.setting
            name = value.variable or row.variables[0]
            unit = f" {row.unit}" if row.unit and value.value is not None else ""
            line = f"  {name} = {'(unset)' if value.value is None else value.value}{unit}"
            if value.origin != "default":
                line += f"   [{value.origin}; default {row.default or 'unset'}]"
            out.print(line, markup=False, soft_wrap=True)
