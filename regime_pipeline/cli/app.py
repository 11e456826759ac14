"""The ``regime`` command: reads what a person typed, calls the layers below, prints what came of it.

Belongs here: arguments, messages, progress bars, exit codes. Does not belong here: work. Heavy
libraries are imported inside the commands, so that ``--help`` answers at once.

Exit codes: 0 done; 1 the work failed; 2 the call cannot be served as it is (one line says why);
130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from regime_pipeline.connections import environment_names
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, FixedClock, Window, clock_from_text, floor_day, utc

if TYPE_CHECKING:
    from regime_pipeline.reporting.doctor import Check
    from regime_pipeline.storage.database import Database

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Crypto market regimes: from provider bytes to reporting tables and alerts, point in time.",
    epilog="Start with `regime run`; then `regime report`, `regime status`, `regime ui`.",
)
db = typer.Typer(no_args_is_help=True, help="The database: its URL, starting and stopping it.")
alerts = typer.Typer(no_args_is_help=True, help="Webhook alerts: a receiver, the list, a test.")
app.add_typer(db, name="db")
app.add_typer(alerts, name="alerts")

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)

DEFAULT_DAYS = 300
"""Days that ``regime run`` covers by default: the weekly frame alone needs 31 closed weeks."""

SYNTHETIC_FUTURE = 60 * DAY
"""How far past now a synthetic market reaches; a simulator left running longer goes quiet."""

SOURCE_HELP = "live, simulated, tape:DIR (recorded history), or auto: live when reachable"
FROM_HELP = "First derived day, YYYY-MM-DD. The raw history it needs is fetched too."
TO_HELP = "Last day, included. A tape's clock stands at its end."
SYMBOLS_HELP = "Comma-separated, as BTC/USDT,ETH/USDT. Default: all configured."
JSON_HELP = "One JSON object on standard output."

FromOption = Annotated[str | None, typer.Option("--from", help=FROM_HELP, show_default=False)]
ToOption = Annotated[str | None, typer.Option("--to", help=TO_HELP, show_default=False)]
SymbolsOption = Annotated[str | None, typer.Option("--symbols", help=SYMBOLS_HELP)]
SourceOption = Annotated[str, typer.Option("--source", help=SOURCE_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data", help="Which database: live, simulated or tape. Default: the last run's."
    ),
]


class UsageError(Exception):
    """The call cannot be served as it is; the text says why and what to do."""


def main() -> None:
    """Entry point: every expected failure is one clear line and an exit code."""
    from regime_pipeline.simulator.errors import SimulatorError
    from regime_pipeline.storage.errors import StorageError

    try:
        app()
    except (UsageError, SimulatorError) as error:
        _fail(str(error), 2)
    except StorageError as error:
        _fail(str(error), 2)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        _fail("settings are not valid: " + "; ".join(lines), 2)
    except KeyboardInterrupt:
        _fail("interrupted; what was written is whole, run the same command again to go on", 130)


def _fail(message: str, code: int) -> NoReturn:
    err.print(f"error: {' '.join(message.split())}", markup=False, soft_wrap=True)
    sys.exit(code)


# --- settings, sources, windows -------------------------------------------------------------------


def _apply(overrides: dict[str, str]) -> Settings:
    """Settings with overrides that child processes and Dagster's resources see too."""
    names = environment_names()
    os.environ.update({names.get(k, f"REGIME_{k.upper()}"): str(v) for k, v in overrides.items()})
    return Settings()


def _day(text: str, option: str) -> Any:
    try:
        at = utc(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is no date; write YYYY-MM-DD") from error
    if at != floor_day(at):
        raise UsageError(f"{option} {text!r} is not a whole day; write YYYY-MM-DD")
    return at


def _window(first: str | None, last: str | None, *, now: Any, settings: Settings) -> Window:
    """Whole days from ``--from`` to ``--to``, both included, cut at now."""
    last_day = _day(last, "--to") if last else floor_day(now)
    first_day = _day(first, "--from") if first else last_day - (DEFAULT_DAYS - 1) * DAY
    if first_day > last_day:
        raise UsageError(f"--from {first_day.date()} lies after --to {last_day.date()}")
    if first_day.date() < settings.start_date:
        raise UsageError(
            f"--from {first_day.date()} lies before the first partition {settings.start_date} "
            "(REGIME_START_DATE)"
        )
    if first_day > now:
        raise UsageError(f"--from {first_day.date()} lies in the future")
    return Window(first_day, min(last_day + DAY, now))


def _symbols(text: str | None, settings: Settings) -> tuple[str, ...]:
    if not text:
        return settings.universe
    wanted = tuple(sorted({s.strip().upper() for s in text.split(",") if s.strip()}))
    unknown = [s for s in wanted if s not in settings.universe]
    if unknown or not wanted:
        raise UsageError(
            f"unknown symbol {', '.join(unknown) or text!r}; configured are "
            f"{', '.join(settings.universe)} (add one with REGIME_SYMBOLS)"
        )
    return wanted


def _live_reachable(settings: Settings) -> bool:
    """Whether the primary venues answer from here; a geo-block counts as no."""
    import httpx

    for url in (
        f"{settings.url_of('binance')}/api/v3/ping",
        f"{settings.url_of('binance_futures')}/fapi/v1/ping",
    ):
        try:
            if httpx.get(url, timeout=3.0, trust_env=False).status_code != 200:
                return False
        except httpx.HTTPError:
            return False
    return True


@contextmanager
def _source(text: str, last: str | None) -> Iterator[tuple[Settings, str]]:
    """Settings for a source; for the simulated ones a server is up while the block runs.

    Yields:
        The settings, and one line that says what the data is.
    """
    settings = Settings()
    kind, _, folder = text.partition(":")
    if kind == "auto":
        kind = "live" if _live_reachable(settings) else "simulated"
    if kind == "live" and not folder:
        yield _apply({"origin": "live"}), "live data"
        return
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.simulator.tape import ParquetTape, SyntheticTape

    if kind == "simulated" and not folder:
        overrides = {"origin": "simulated", "clock": settings.clock}
        clock = clock_from_text(settings.clock)
        market = SyntheticTape(symbols=settings.symbols, end=clock.now() + SYNTHETIC_FUTURE)
        server = SimulatorServer(market, clock, isolation="process")
        label = "SIMULATED data: a synthetic market with planted events, not real prices"
    elif kind == "tape" and folder:
        tape = ParquetTape(Path(folder))  # fails here, before anything is written
        end = (
            _day(last, "--to") + DAY
            if last
            else floor_day(tape.span.end - timedelta(seconds=1)) + DAY
        )
        overrides = {"origin": "tape", "clock": end.isoformat()}
        server = SimulatorServer(tape, FixedClock(end), isolation="process")
        label = f"replayed history from {folder}"
    else:
        raise UsageError(f"--source {text!r} is not understood: {SOURCE_HELP}")
    with server:
        yield _apply(overrides | server.settings_overrides()), label


def _open(data: str | None) -> tuple[Settings, Database]:
    """The database of an origin, by default that of the last run."""
    from regime_pipeline.storage.database import last_origin, open_database

    settings = Settings()
    origin = data or os.environ.get("REGIME_ORIGIN") or last_origin(settings.home) or "live"
    if origin not in ("live", "simulated", "tape"):
        raise UsageError(f"--data {origin!r} is not understood: live, simulated or tape")
    settings = _apply({"origin": origin})
    return settings, open_database(settings, origin=origin)


@contextmanager
def _quiet(settings: Settings) -> Iterator[None]:
    """What libraries print goes to a log file: standard output is the command's own."""
    import stamina.instrumentation

    stamina.instrumentation.set_on_retry_hooks([stamina.instrumentation.LoggingOnRetryHook])
    path = settings.home / "logs" / "run.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as log, redirect_stdout(log):
        yield


@contextmanager
def _progress() -> Iterator[Any]:
    """A callback ``(task, done, total)`` behind bars on standard error."""
    with Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    ) as bars:
        tasks: dict[str, Any] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield tell


# --- running --------------------------------------------------------------------------------------


@app.command()
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
) -> None:
    """Fetch, derive, report: the whole line for a range of days.

    Can be run again at any time: what is stored and unchanged stays as it is.

    Examples:
        regime run                                  the last 300 days

        regime run --source simulated               without any network

        regime run --source tape:DIR --from 2024-06-20 --to 2024-08-19 --symbols BTC/USDT,ETH/USDT
    """
    with _source(source, last) as (settings, label):
        clock = clock_from_text(settings.clock)
        window = _window(first, last, now=clock.now(), settings=settings)
        wanted = _symbols(symbols, settings)
        if settings.origin != "live":
            err.rule(f"[bold]{label}[/bold]", style="yellow")
        from regime_pipeline.orchestration.launch import run_pipeline
        from regime_pipeline.reporting.report import write_report
        from regime_pipeline.reporting.summary import collect, print_summary, to_json
        from regime_pipeline.storage.database import open_database, remember_origin

        database = open_database(settings, origin=settings.origin, detail=label)
        remember_origin(settings.home, settings.origin)
        with _quiet(settings), _progress() as tell:
            done = run_pipeline(
                settings=settings,
                clock=clock,
                window=window,
                symbols=wanted,
                progress=tell,
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
                    label=label,
                )
        summary = collect(
            database, settings, clock, window, symbols=wanted, label=label, report=page
        )
        if as_json:
            sys.stdout.write(
                json.dumps(to_json(summary) | {"run": done.to_json()}, default=str) + "\n"
            )
        else:
            print_summary(summary, out)
        if not done.succeeded:
            raise typer.Exit(1)


@app.command()
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
    as_json: JsonOption = False,
) -> None:
    """Compute (or fetch) some assets again for a range of days, as one run of the derived chain.

    No alert is sent for what a backfill finds.
    """
    with _source(source, last) as (settings, label):
        clock = clock_from_text(settings.clock)
        window = _window(first, last, now=clock.now(), settings=settings)
        wanted = _symbols(symbols, settings)
        from regime_pipeline.orchestration.launch import LaunchError, run_selection
        from regime_pipeline.storage.database import open_database, remember_origin

        open_database(settings, origin=settings.origin, detail=label).close()
        remember_origin(settings.home, settings.origin)
        try:
            with _quiet(settings), _progress() as tell:
                done = run_selection(
                    settings=settings,
                    clock=clock,
                    window=window,
                    symbols=wanted,
                    select=select,
                    refetch=refetch,
                    progress=tell,
                )
        except LaunchError as error:
            raise UsageError(f"--select: {error}") from error
        if as_json:
            sys.stdout.write(json.dumps(done.to_json(), default=str) + "\n")
        else:
            for line in done.lines():
                out.print(line)
        if not done.succeeded:
            raise typer.Exit(1)


@app.command("migrate-signals")
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
            with _progress() as tell:
                done = migrate(
                    source_dir,
                    settings=settings,
                    clock=clock_from_text(settings.clock),
                    warehouse=None,
                    progress=tell,
                )
        else:
            if not source_dir.is_dir():  # before a database is started for it
                raise UsageError(f"--source-dir: {source_dir} is no folder")
            from regime_pipeline.storage.warehouse import Warehouse

            settings, database = _open(data)
            clock = clock_from_text(settings.clock)
            with _progress() as tell:
                done = migrate(
                    source_dir,
                    settings=settings,
                    clock=clock,
                    warehouse=Warehouse(database, clock),
                    progress=tell,
                )
    except LegacyFileError as error:
        raise UsageError(f"--source-dir: {error}") from error
    if as_json:
        sys.stdout.write(json.dumps(done.to_json()) + "\n")
    else:
        _print_migration(done, verbose=verbose)


def _print_migration(done: Any, *, verbose: bool) -> None:
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


@app.command()
def status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """What is stored, how fresh it is, how each source does, what waits to be delivered."""
    from regime_pipeline.reporting.summary import print_status, status_of

    settings, database = _open(data)
    found = status_of(database, settings, clock_from_text(settings.clock))
    if as_json:
        sys.stdout.write(json.dumps(found, default=str) + "\n")
    else:
        print_status(found, out)


@app.command()
def quality(
    first: FromOption = None,
    last: ToOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
    every: Annotated[
        bool, typer.Option("--all", help="All days, and the checks that could not be applied.")
    ] = False,
) -> None:
    """What the data-quality checks DQ01 .. DQ15 said of stored days: scores, failures, what to do.

    A score is 100 when no check failed. BLOCK keeps the failing rows out of the derived tables, where
    they are null with status quarantined; the raw rows stay. Mended rows are published by the next
    run. Checks are made by `regime run` and by the hourly tick; this only shows them. What each check
    means: docs/quality.md.

    Examples:
        regime quality                                    the last 7 days that are stored

        regime quality --from 2024-08-01 --to 2024-08-10 --all

        regime quality --json | jq '.scores[] | select(.blocks)'
    """
    from regime_pipeline.reporting.summary import print_quality_days, quality_of, stored_window

    settings, database = _open(data)
    stored = stored_window(database)
    if stored is None:
        raise UsageError("nothing is stored yet; `regime run` fills the database")
    if last is None:
        last = str((stored.end - timedelta(seconds=1)).date())
    now = max(clock_from_text(settings.clock).now(), stored.end)
    if first is None:
        first = str((floor_day(utc(last)) - 6 * DAY).date())
    found = quality_of(database, _window(first, last, now=now, settings=settings))
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        print_quality_days(found, out, every=every)


@app.command()
def doctor(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Ask every source one cheap question and look at database, disk and Dagster; say what to do.

    Exits with 0 when everything that is needed is fine, with 1 otherwise.
    """
    from regime_pipeline.providers.limits.gate import gate_for
    from regime_pipeline.providers.limits.store import PostgresStore
    from regime_pipeline.reporting.doctor import examine, print_diagnosis, to_json

    settings, database, checks = _open_for_doctor(data)
    with _quiet(settings), _beside(settings) as overrides:
        settings = _apply(overrides)
        found = examine(
            settings,
            clock_from_text(settings.clock),
            gate=gate_for(settings, PostgresStore(database.connect) if database else None),
            database=database,
            checks=checks,
            asking=settings.origin != "tape",
        )
    if as_json:
        sys.stdout.write(json.dumps(to_json(found)) + "\n")
    else:
        print_diagnosis(found, out)
    if not found.is_ok:
        raise typer.Exit(1)


def _open_for_doctor(data: str | None) -> tuple[Settings, Database | None, list[Check]]:
    """As :func:`_open`, but what cannot be opened is a finding; nothing is set up for it."""
    from regime_pipeline.reporting.doctor import Check, failed_check
    from regime_pipeline.storage.database import last_origin
    from regime_pipeline.storage.errors import StorageError

    settings = Settings()
    if data is None and settings.database_url is None and last_origin(settings.home) is None:
        origin = os.environ.get("REGIME_ORIGIN", "live")
        none = Check("database", None, "there is none yet; the first `regime run` makes it")
        return _apply({"origin": origin}), None, [none]
    try:
        settings, database = _open(data)
    except StorageError as error:
        advice = "check REGIME_DATABASE_URL, or start it with `regime db start`"
        return Settings(), None, [failed_check("database", error, advice)]
    return (
        settings,
        database,
        [Check("database", True, database.shown), _dagster(settings, database)],
    )


def _dagster(settings: Settings, database: Database) -> Check:
    """Whether Dagster's instance on the same database can be opened."""
    from regime_pipeline.orchestration.instance import instance_for
    from regime_pipeline.reporting.doctor import Check, failed_check

    try:
        with _quiet(settings), instance_for(settings, database) as instance:
            runs = instance.get_runs_count()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return failed_check(
            "dagster", error, "see the log below .regime/logs; `regime ui` starts it"
        )
    return Check("dagster", True, f"reachable, {runs:,} runs")


@app.command()
def report(
    first: FromOption = None,
    last: ToOption = None,
    symbols: SymbolsOption = None,
    data: DataOption = None,
    path: Annotated[Path | None, typer.Option("--out", help="Where to write the page.")] = None,
) -> None:
    """Write the HTML report of what is stored, by default its last 60 days, and print its path."""
    from regime_pipeline.reporting.report import write_report
    from regime_pipeline.reporting.summary import stored_window

    settings, database = _open(data)
    clock = clock_from_text(settings.clock)
    stored = stored_window(database)
    if stored is None:
        raise UsageError("nothing is stored yet; `regime run` fills the database")
    if last is None:
        last = str((stored.end - timedelta(seconds=1)).date())
    if first is None:
        first = str(max(stored.start, floor_day(stored.end) - 60 * DAY).date())
    window = _window(first, last, now=max(clock.now(), stored.end), settings=settings)
    target = path or settings.home / "reports" / f"{settings.origin}.html"
    label = {"live": "live data", "simulated": "SIMULATED data", "tape": "replayed history"}[
        settings.origin
    ]
    wanted = _symbols(symbols, settings)
    out.print(
        str(
            write_report(
                target, database, settings, clock, window, symbols=wanted, label=label
            ).resolve()
        ),
        soft_wrap=True,
    )


@app.command()
def scorecard(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a detector and world.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder of the page. Default: that of the reports.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Names the made worlds.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer symbol-days, under a minute.")
    ] = False,
) -> None:
    """Judge every detector where the truth is known: planted events, and worlds where nothing happens.

    False alarms are per symbol-day (correlations: per pair-day) beside the advertised rate, and beside
    the naive rules that the detectors replace. No database is needed. Prints the path of a page.
    """
    from regime_pipeline.evaluation.page import print_scorecard, write_scorecard
    from regime_pipeline.evaluation.scenes import run as judge_all

    settings = Settings()
    target = (folder or settings.home / "reports") / "scorecard.html"
    if target.parent.exists() and not target.parent.is_dir():
        raise UsageError(f"--out {target.parent} is a file; name a folder")
    with _progress() as tell:
        results = judge_all(seed=seed, params=settings.params, quick=quick, progress=tell)
    page = write_scorecard(target, results, seed=seed, quick=quick).resolve()
    if as_json:
        for result in results:
            sys.stdout.write(json.dumps(result.to_json()) + "\n")
        err.print(str(page), soft_wrap=True)
        return
    print_scorecard(results, out)
    out.print(str(page), soft_wrap=True)


@app.command()
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


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
    data: DataOption = None,
) -> None:
    """Dagster UI and daemon on the embedded database, until Ctrl-C.

    For simulated data a simulator runs beside, so that runs and backfills started in the UI work.
    """
    from regime_pipeline.orchestration.instance import dagster_environment

    settings, database = _open(data)
    _check_port(port)
    with _beside(settings) as overrides:
        settings = _apply(overrides)
        environment = {**os.environ, **dagster_environment(settings, database)}
        root = Path(environment["DAGSTER_HOME"])
        err.print(f"Dagster UI: http://127.0.0.1:{port}  ({settings.origin} data; Ctrl-C ends it)")
        dagster = str(Path(sys.executable).with_name("dagster"))
        command = [
            dagster,
            "dev",
            "-w",
            str(root / "workspace.yaml"),
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        raise typer.Exit(_until_told(command, environment, root))


def _until_told(command: list[str], environment: Mapping[str, str], folder: Path) -> int:
    """Run a program until it ends, or until Ctrl-C or SIGTERM ends it too; its exit code.

    The program listens to SIGINT even where a shell in the background has it ignored: Dagster handles
    SIGTERM as it finds SIGINT, and would never end there.
    """

    def listen() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    child = subprocess.Popen(command, env=dict(environment), cwd=folder, preexec_fn=listen)
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    try:
        return child.wait()
    except KeyboardInterrupt:  # a terminal sends it to the program as well
        err.print("ended")
        child.wait()
        return 0


@contextmanager
def _beside(settings: Settings) -> Iterator[dict[str, str]]:
    """A simulator beside the UI where the database holds simulated data; a tape stands still."""
    if settings.origin != "simulated":
        yield {}
        return
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.simulator.tape import SyntheticTape

    clock = clock_from_text(settings.clock)
    market = SyntheticTape(symbols=settings.symbols, end=clock.now() + SYNTHETIC_FUTURE)
    with SimulatorServer(market, clock, isolation="process") as server:
        yield server.settings_overrides()


@app.command()
def simulate(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 8099,
    tape: Annotated[Path | None, typer.Option(help="Folder of recorded history.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.")] = 7,
    at: Annotated[str, typer.Option("--clock", help="`system`, or an instant.")] = "system",
    walls: Annotated[bool, typer.Option(help="Venues keep only their real retention.")] = False,
) -> None:
    """Serve every provider's API from a synthetic market or a recorded one, until Ctrl-C.

    Each path can be made to fail meanwhile:

        curl -X POST 127.0.0.1:8099/_control/faults -d '{"path": "/okx/", "status": 503, "times": 3}'
    """
    from regime_pipeline.simulator.server import serve
    from regime_pipeline.simulator.tape import ParquetTape, SyntheticTape

    if port:
        _check_port(port)
    clock = clock_from_text(at)
    symbols = Settings().symbols
    synthetic = SyntheticTape(seed=seed, symbols=symbols, end=clock.now() + SYNTHETIC_FUTURE)
    serve(ParquetTape(tape) if tape else synthetic, clock, port, walls=walls)


# --- database -------------------------------------------------------------------------------------


@db.command("url")
def db_url(data: DataOption = None) -> None:
    """The SQLAlchemy URL of the database, started if need be. It holds the password."""
    _, database = _open(data)
    sys.stdout.write(database.url + "\n")


@db.command("start")
def db_start() -> None:
    """Start the embedded server (any command does it when it needs it)."""
    settings, database = _open(None)
    where = (
        "the server of REGIME_DATABASE_URL"
        if settings.database_url
        else str(settings.home.resolve())
    )
    database.close()
    out.print(f"up: {where}", soft_wrap=True)


@db.command("stop")
def db_stop() -> None:
    """Stop the embedded server; data stays. Stopping a stopped one is fine."""
    from regime_pipeline.storage.embedded import EmbeddedServer

    settings = Settings()
    if settings.database_url is not None:
        raise UsageError("REGIME_DATABASE_URL names a server of yours; it is not ours to stop")
    if not settings.home.exists():
        out.print("there is no embedded server here")
        return
    EmbeddedServer(settings.home).stop()
    out.print("stopped")


@db.command("hash")
def db_hash(
    data: DataOption = None,
    tables: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all data tables.")
    ] = None,
) -> None:
    """One content hash per table: equal hashes, equal content, whatever the way it was computed."""
    from regime_pipeline.catalogue import TABLES
    from regime_pipeline.storage.warehouse import Warehouse

    settings, database = _open(data)
    warehouse = Warehouse(database, clock_from_text(settings.clock))
    known = [n for n, t in TABLES.items() if t.partitioned]
    names = [n.strip() for n in tables.split(",")] if tables else known
    unknown = [n for n in names if n not in TABLES]
    if unknown:
        raise UsageError(f"no such table: {', '.join(unknown)}")
    for name in names:
        sys.stdout.write(f"{warehouse.content_hash(name)}  {name}\n")


# --- alerts ---------------------------------------------------------------------------------------


@alerts.command("listen")
def alerts_listen(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8787,
) -> None:
    """A receiver on this machine: verifies each alert and prints it, until Ctrl-C."""
    import uvicorn

    from regime_pipeline.alerts.listen import build_receiver
    from regime_pipeline.alerts.signing import signing_secret

    settings = Settings()
    _check_port(port)

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


@alerts.command("list")
def alerts_list(
    data: DataOption = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """The newest market events and what became of each delivery."""
    from regime_pipeline.reporting.summary import alert_rows

    _, database = _open(data)
    rows = alert_rows(database, limit)
    if as_json:
        sys.stdout.write(json.dumps(rows, default=str) + "\n")
        return
    for row in rows:
        out.print(
            f"{row['ts']:%Y-%m-%d %H:%M}  {row['alert_severity']:<8} {row['title']}  [{row['delivery']}]",
            soft_wrap=True,
            markup=False,
        )


@alerts.command("send-test")
def alerts_send_test(data: DataOption = None) -> None:
    """Send a test message to every WEBHOOKS_ALL endpoint, through the outbox, and say how it went."""
    from regime_pipeline.alerts.dispatch import dispatch_due
    from regime_pipeline.alerts.endpoints import endpoints
    from regime_pipeline.alerts.outbox import enqueue_system
    from regime_pipeline.windows import SystemClock

    settings, database = _open(data)
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


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"port {port} on 127.0.0.1 cannot be used ({error.strerror}); choose another with --port"
            ) from error
