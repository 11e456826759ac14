"""Running the pipeline from a program: fetch, derive, report over a window, as ordinary Dagster runs.

The same jobs as in the UI, on the same instance, in this process: the UI shows every run with its days.
A window's rows need history before it; how much follows from the lookbacks that the inputs declare.
So a launch is: raw history from the primary sources, raw window from all sources, market history,
then the derived chain over the window as one run, then the reports. What was fetched completely before
is not asked for again, and what is up to date is not derived again. Each write is a transaction of its
own, so an interrupted launch leaves whole rows and can simply be repeated. Does not belong here: what
assets do, printing.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.datasets import BY_TABLE, DATASETS
from regime_pipeline.catalogue.schemas import DERIVED_SCHEMAS
from regime_pipeline.net import logs
from regime_pipeline.orchestration import freshness, history, retention, shards
from regime_pipeline.orchestration.assets.alerts import REPLAY_TAG
from regime_pipeline.orchestration.assets.raw import calls_of
from regime_pipeline.orchestration.assets.reporting import PROJECT, project_digest
from regime_pipeline.orchestration.build import all_assets, build_definitions
from regime_pipeline.orchestration.emptiness import failed_datasets, underived
from regime_pipeline.orchestration.instance import instance_for
from regime_pipeline.orchestration.jobs import APART_TABLES, NIGHTLY_TABLES, TRAINED_TABLES, part_of
from regime_pipeline.orchestration.kernels import CompiledAhead
from regime_pipeline.orchestration.partitions import month_tags, owed, range_tags
from regime_pipeline.orchestration.processes import PROCESS_TAG, process_id, settle_dead_runs
from regime_pipeline.orchestration.queued_runs import ended, enqueue
from regime_pipeline.orchestration.resources import Platform, Progress, Scope, platform_resource
from regime_pipeline.orchestration.run_ends import (
    called_off,
    end_run,
    executing,
    was_interrupted,
    why_failed,
)
from regime_pipeline.orchestration.run_report import Outcome, RunReport, by_source
from regime_pipeline.orchestration.shard_runs import in_processes
from regime_pipeline.orchestration.storage_pool import CONNECTION_LOST
from regime_pipeline.orchestration.training import untrained
from regime_pipeline.settings import Settings
from regime_pipeline.storage.errors import DatabaseUnreachableError, first_line
from regime_pipeline.windows import DAY, Clock, Window, floor_day, utc

if TYPE_CHECKING:
    from regime_pipeline.storage.merge import WriteResult

RAW, DERIVED, REPORTING, RESEARCH = "raw_fetch", "derived_chain", "reporting", "research"
TRAINING = "training"
_NOT_DERIVING = (RAW, REPORTING, "book_samples", RESEARCH, TRAINING, retention.NAME)


class LaunchError(RuntimeError):
    """A selection names nothing that exists."""


def run_pipeline(
    *,
    settings: Settings,
    clock: Clock,
    window: Window,
    symbols: Sequence[str],
    sources: Sequence[str] | None = None,
    progress: Progress | None = None,
    replay: bool | None = None,
    recompute: bool = False,
    reports: bool = True,
) -> RunReport:
    """Fetch, derive and report a window, with all the history it needs.

    Days that an earlier run derived from raw rows that still stand are not derived again.

    Args:
        settings: where data comes from and goes to; child processes see the environment, so what
            differs from it must be in the environment too.
        clock: what now is.
        window: wanted derived rows; covers whole days, the last one up to now.
        symbols: what the run is narrowed to.
        sources: providers asked for the window; None is all configured.
        progress: told ``(what, done, total)``.
        replay: events found are history and are not sent. None: so it is unless the window reaches
            into today by a clock that goes on; then what is still news is announced, once, whether
            this launch or an hourly tick finds it first.
        recompute: derive every day again.
        reports: build the reporting tables too.

    Returns:
        Runs, rows per table, and what each source gave. A failed run ends the launch.

    Raises:
        ValueError: a symbol that is not configured.
    """
    with (
        CompiledAhead(wanted=settings.compile_ahead) as kernels,
        _Launch(settings, clock, window, symbols, progress, replay=replay) as launch,
    ):
        targets = launch.derived_tables() + _served(settings, sources)
        starts = history.required_starts(
            launch.inputs, targets, window.start, first=_first(settings)
        )
        launch.fetch(starts, sources=sources, refetch=False)
        kernels.wait(launch.platform.progress)
        launch.derive(starts, recompute=recompute)
        launch.deliver()
        if reports:
            launch.report_tables()
    return launch.report


def run_selection(
    *,
    settings: Settings,
    clock: Clock,
    window: Window,
    symbols: Sequence[str],
    select: str = "derived",
    refetch: bool = False,
    allow_empty: bool = False,
    shard_count: int = 1,
    queued: bool = False,
    progress: Progress | None = None,
) -> RunReport:
    """Compute (or fetch) chosen assets over a window, and nothing else.

    Args:
        settings: as for :func:`run_pipeline`.
        clock: as for :func:`run_pipeline`.
        window: the days.
        symbols: what the run is narrowed to.
        select: ``raw``, ``derived``, ``reporting``, ``all``, or asset keys as
            ``features/volatility_regimes`` with commas between.
        refetch: ask the providers again for what is stored.
        allow_empty: derive even where no raw row is stored: rows of nulls with their reasons.
        shard_count: parts of the symbols that are derived at the same time, a process each.
        queued: the parts go into the queue of Dagster's daemon instead, whose workers know the settings.
        progress: told ``(what, done, total)``.

    Raises:
        LaunchError: the selection names an asset that does not exist.
    """
    with _Launch(settings, clock, window, symbols, progress, replay=True) as launch:
        raw, derived, reporting = launch.selected(select)
        if raw:
            starts = {f"raw.{name}": window.start for name in raw}
            launch.fetch(starts, sources=None, refetch=refetch)
        if derived is not None:
            starts = history.required_starts(
                launch.inputs,
                derived or launch.derived_tables(),
                window.start,
                first=_first(settings),
            )
            nothing = underived(launch.platform.database, starts, window)
            if nothing is not None and not allow_empty:
                launch.report.got_nothing.append(nothing)
                return launch.report
            by = freshness.fingerprint(settings, launch.symbols)
            tags = {freshness.BY_TAG: by}  # by the same code, but perhaps without its history
            others = [n for n in derived if n not in APART_TABLES]
            if (others or not derived) and (shard_count > 1 or queued):
                launch.derive_in_shards(
                    others or launch.derived_tables(), shard_count, tags, queued=queued
                )
            elif others or not derived:
                launch.run("derive", DERIVED, window, tables=others or None, tags=tags)
            if set(TRAINED_TABLES) & set(derived):
                launch.run("train models", TRAINING, window)
            if set(NIGHTLY_TABLES) & set(
                derived
            ):  # with the ledger, written before a number is known
                launch.run("judge scores", RESEARCH, window, tables=NIGHTLY_TABLES)
        if reporting:
            launch.run("report", REPORTING, window)
    return launch.report


def derive_part(
    settings: Settings,
    clock: Clock,
    window: Window,
    until: datetime,
    title: str,
    part: shards.Part,
    tags: Mapping[str, str],
) -> RunReport:
    """Derive one part of a stage, in a process of its own.

    Args:
        settings: as for :func:`run_pipeline`.
        clock: as for :func:`run_pipeline`.
        window: the days.
        until: where the rows of all parts end.
        title: how the run is called.
        part: tables and symbols.
        tags: of the run.
    """
    with _Launch(
        settings, clock, window, part.symbols, None, replay=True, until=until, part=part.title
    ) as launch:
        launch.run(title, DERIVED, window, tables=part.tables, tags={**tags, **part.tags})
    return launch.report


def _config(scope: Scope) -> dict[str, Any]:
    return {"resources": {"scope": {"config": scope.model_dump()}}, "loggers": _QUIET}


_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}
"""The caller shows progress and the report; the event log keeps everything."""


def _served(settings: Settings, sources: Sequence[str] | None) -> list[str]:
    """Raw tables that some asked source serves; they are wanted even where nothing reads them yet."""
    from regime_pipeline.providers.registry import sources_of

    asked = [s for s in settings.sources if sources is None or s in sources]
    raws = [t for t in TABLES.values() if t.schema == "raw"]
    return [t.full_name for t in raws if any(s in asked for s in sources_of(t.name))]


def _first(settings: Settings) -> datetime:
    return utc(settings.start_date)


class _Failed(Exception):
    """A run failed; what comes after would only work on what is missing."""


class _Launch:
    """One launch: platform, instance, definitions, and the report that grows."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        window: Window,
        symbols: Sequence[str],
        progress: Progress | None,
        *,
        replay: bool | None,
        until: datetime | None = None,
        part: str | None = None,
    ) -> None:
        from regime_pipeline.alerts.endpoints import endpoints

        self._endpoints = endpoints(settings)  # what cannot be served is told before any work
        # an hour that closes from now on is a later launch's
        self.until = min(clock.now(), window.end) if until is None else until
        self._part = part
        self.platform = Platform(
            settings, clock, progress=progress, written=self._written, ends_at=self.until
        )
        self.window = window
        self.symbols = self.platform.symbols(symbols)
        self.report = RunReport(window, self.symbols)
        is_past = self.platform.at_rest() is not None or window.end <= floor_day(self.until)
        self._replay = is_past if replay is None else replay
        self._expected: list[str] = []
        self._announced: set[str] = set()
        self._title = ""
        self._began = time.monotonic()
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> _Launch:
        with self._exit as opened:  # closes what is open when a later step fails
            settings = self.platform.settings
            opened.callback(self.platform.close)
            self._instance = opened.enter_context(instance_for(settings, self.platform.database))
            self._said = opened.enter_context(_log_file(settings, self._part))
            settle_dead_runs(self._instance)
            assets = all_assets(settings)
            self.inputs = history.declared_inputs(assets)
            self._declared = shards.declared(assets)
            self._on_all_stored = history.on_all_stored(assets, self.inputs)
            self._definitions = build_definitions(
                assets=assets,
                resources={"platform": platform_resource(self.platform)},
                schedules=(),
                sensors=(),
            )
            self._exit = opened.pop_all()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        try:
            if error is None or isinstance(error, _Failed):
                self.report.sources = self._fetched_by_source()
        finally:
            self.report.seconds = time.monotonic() - self._began
            self._exit.close()
        if isinstance(error, CONNECTION_LOST):
            raise DatabaseUnreachableError(
                f"the database went away during {self._title!r} ({first_line(error)}); what was "
                "written is whole, run the same command again to go on"
            ) from error
        return isinstance(error, _Failed)

    def selected(self, select: str) -> tuple[list[str], list[str] | None, bool]:
        """Raw datasets, derived tables (None: none, empty: all) and whether to report."""
        raws = list(DATASETS)
        if select == "all":
            return raws, [], True
        if select in ("raw", "derived", "reporting"):
            return (
                raws if select == "raw" else [],
                [] if select == "derived" else None,
                select == "reporting",
            )
        names = [part.strip().replace("/", ".") for part in select.split(",") if part.strip()]
        by_hand = [n for n in names if n in TABLES and n.startswith("raw.") and n not in BY_TABLE]
        if by_hand:
            raise LaunchError(f"{by_hand[0]} is filled by `regime migrate-signals`, not by days")
        unknown = [n for n in names if n not in self.inputs or not n.count(".")]
        if unknown or not names:
            raise LaunchError("no such asset: " + (", ".join(unknown) or repr(select)))
        derived = [n for n in names if n.split(".")[0] in DERIVED_SCHEMAS]
        return (
            [n.removeprefix("raw.") for n in names if n.startswith("raw.")],
            derived or None,
            any(n.startswith("reporting.") for n in names),
        )

    # ---------------------------------------------------------------- stages

    def fetch(
        self, starts: dict[str, datetime], *, sources: Sequence[str] | None, refetch: bool
    ) -> None:
        """Raw history from primary sources, then the raw window from all asked."""
        raws = [n for n in starts if n.startswith("raw.")]
        served = set(
            _served(self.platform.settings, sources)
        )  # others have no history to be asked for
        older = [n for n in raws if n in served]
        for stretch, names in history.grouped(starts, floor_day(self.window.start), older):
            primary = sorted(
                {
                    s
                    for n in names
                    for s in history.primary_sources(_dataset(n), self.platform.settings)
                }
            )
            if sources is not None:
                primary = [s for s in primary if s in sources] or list(sources)
            self._fetch("fetch history", stretch, names, primary, refetch=refetch)
        self._fetch("fetch", self.window, raws, list(sources or ()), refetch=refetch)

    def _fetch(
        self, title: str, window: Window, names: list[str], sources: list[str], *, refetch: bool
    ) -> None:
        scope = Scope(symbols=list(self.symbols), sources=sources, only_missing=not refetch)
        reach = window.clipped(self.until)
        calls = {n: calls_of(self.platform, scope, _dataset(n), reach) for n in names}
        # datasets with the same open days go together: one that lacks a year costs the others nothing
        todo: dict[Window, list[str]] = {}
        for name, asked in calls.items():
            if asked:
                first = max(reach.start, min(c.window.start for c in asked))
                days = Window(first, max(c.window.end for c in asked))
                todo.setdefault(days, []).append(name)
        if todo and window.end <= self.window.start:
            self._announce("fetch", min(days.start for days in todo))
        for days, together in todo.items():
            self.run(title, RAW, days, tables=together, scope=scope)

    def _announce(self, what: str, start: datetime) -> None:
        """One line, once: a short window may need years before it, and a person wonders what for."""
        if what not in self._announced:
            self._announced.add(what)
            line = f"{what} from {start:%Y-%m-%d} on: the history that these days look back to"
            self.platform.progress(line, 1, 1)

    def derive(self, starts: dict[str, datetime], *, recompute: bool) -> None:
        """The derived chain over the days that are not right yet, with the history they need."""
        settings, tables = self.platform.settings, [n for n in starts if not n.startswith("raw.")]
        by = freshness.fingerprint(settings, self.symbols)

        @cache
        def needs(day: datetime) -> dict[str, datetime]:
            return history.required_starts(self.inputs, tables, day, first=_first(settings))

        standing: list[freshness.Known] = []
        if not recompute:
            told = freshness.story(
                self._instance, self.platform.database, by, harmless=_NOT_DERIVING
            )
            standing = freshness.known(told, needs)
        todo = freshness.todo(
            standing, self.window, needs, tables=tables, on_all_stored=self._on_all_stored
        )
        if todo.window.is_empty:
            return
        tags = {freshness.BY_TAG: by}
        for stretch, names in todo.history:
            self._announce("derive", stretch.start)
            self.run("derive history", DERIVED, stretch, tables=names, tags=tags)
        tags[freshness.FROM_TAG] = todo.since.isoformat()
        tags[freshness.TO_TAG] = owed(todo.window, self.until).end.isoformat()
        self.run("derive", DERIVED, todo.window, tags=tags)
        last = Window(floor_day(self.until) - DAY, floor_day(self.until))
        if todo.window.start <= last.start < todo.window.end:
            months = untrained(self.platform, last.end)
            if months is not None:
                self.run("train models", TRAINING, months)
            self.run("judge scores", RESEARCH, last)

    def derive_in_shards(
        self, tables: Sequence[str], count: int, tags: Mapping[str, str], *, queued: bool
    ) -> None:
        """The derived chain stage by stage, the symbols of a stage in as many runs at a time.

        Raises:
            _Failed: a part failed; the report says why, and no later stage was begun.
        """
        plan = shards.stages(self._declared, tables)
        todo = [shards.parts(stage, self.symbols, count) for stage in plan]
        done, total = 0, sum(map(len, todo))
        for number, together in enumerate(todo, 1):
            named = {f"derive {number}/{len(todo)}, {part.title}": part for part in together}
            reports = self._queued(named, tags) if queued else self._beside(named, count, tags)
            for report in reports:
                self.report.add(report)
                done += 1
                self.platform.progress("derive in shards", done, total)
            if not self.report.ran:
                raise _Failed

    def _beside(
        self, named: Mapping[str, shards.Part], count: int, tags: Mapping[str, str]
    ) -> Iterator[RunReport]:
        """The runs in processes of this machine that end with this one."""
        same = (self.platform.settings, self.platform.clock, self.window, self.until)
        return in_processes(
            derive_part, [(*same, *which, tags) for which in named.items()], at_once=count
        )

    def _queued(
        self, named: Mapping[str, shards.Part], tags: Mapping[str, str]
    ) -> Iterator[RunReport]:
        """The runs in the queue of Dagster's daemon, for whoever takes them from there."""
        chain = self._definitions.resolve_job_def(DERIVED)
        waiting = [
            enqueue(
                self._instance,
                self.platform.settings,
                part_of(chain, [dg.AssetKey(n.split(".")) for n in part.tables]),
                title=title,
                tags={**range_tags(self.window), REPLAY_TAG: "true", **tags, **part.tags},
                run_config=_config(Scope(symbols=list(part.symbols))),
            )
            for title, part in named.items()
        ]
        for one, run in ended(self._instance, waiting):
            seconds = time.monotonic() - one.began
            error = None if run.is_success else "see the run in the Dagster UI"
            outcome = Outcome(
                one.title, DERIVED, run.run_id, self.window, run.is_success, seconds, error
            )
            yield RunReport(self.window, self.symbols, runs=[outcome])

    def deliver(self) -> None:
        """Note what is wrong and send what waits; who runs launches from cron has no sensors that would."""
        if self._replay:
            return
        from regime_pipeline.alerts import watch
        from regime_pipeline.alerts.dispatch import dispatch_due

        platform = self.platform
        if platform.at_rest() is None:
            watch.tell(platform.database, platform.settings, platform.clock)
        if not self._endpoints:
            return
        self.report.deliveries = dispatch_due(platform.database, platform.settings, platform.clock)

    def report_tables(self) -> None:
        """The reporting tables over the window, unless nothing that they read has changed."""
        window = owed(self.window, self.until)
        of = f"{project_digest(PROJECT)}:{window.start.isoformat()}..{window.end.isoformat()}"
        if not freshness.reports_stand(self._instance, of, harmless=_NOT_DERIVING):
            self.run("report", REPORTING, self.window, tags={freshness.OF_TAG: of})

    # ---------------------------------------------------------------- one run

    def run(
        self,
        title: str,
        job_name: str,
        window: Window,
        *,
        tables: Sequence[str] | None = None,
        scope: Scope | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Execute a job over the days of a window, in this process.

        Raises:
            _Failed: the run failed; the report says why.
        """
        job = self._definitions.resolve_job_def(job_name)
        if tables is not None:
            job = part_of(job, [dg.AssetKey(n.split(".")) for n in tables])
        self._title = title
        self._expected = self._names(job_name, tables)
        if job_name != RAW:
            self.platform.progress(title, 0, len(self._expected))
        scope = scope or Scope(symbols=list(self.symbols))
        run_id = str(uuid.uuid4())
        own = {PROCESS_TAG: process_id(os.getpid()), MAX_RETRIES_TAG: "0"}  # a person repeats it
        days = month_tags(window) if job_name == TRAINING else range_tags(window)
        run_tags = {**days, **own, **(tags or {})}
        if self._replay:
            run_tags[REPLAY_TAG] = "true"
        began = time.monotonic()
        executing[run_id] = self._instance
        try:
            with (
                contextlib.redirect_stdout(self._said),  # dbt's; stdout belongs to the caller
                logs.bound(run_id=run_id, job=job_name),
            ):
                result = job.execute_in_process(
                    instance=self._instance,
                    run_id=run_id,
                    tags=run_tags,
                    run_config=_config(scope),
                    raise_on_error=False,
                )
        except BaseException as error:
            with contextlib.suppress(*CONNECTION_LOST):  # the next launch settles it
                end_run(self._instance, run_id, interrupted=isinstance(error, KeyboardInterrupt))
            raise
        finally:
            executing.pop(run_id, None)
        is_called_off = run_id in called_off and not result.success
        if is_called_off or was_interrupted(result.all_events):
            end_run(self._instance, run_id, interrupted=True)
            raise KeyboardInterrupt
        failure = None if result.success else why_failed(result.all_events)
        seconds = time.monotonic() - began
        self.report.runs.append(
            Outcome(title, job_name, run_id, window, result.success, seconds, failure)
        )
        if not result.success:
            raise _Failed
        if job_name != RAW:
            self.platform.progress(title, len(self._expected), len(self._expected))

    def _names(self, job_name: str, tables: Sequence[str] | None) -> list[str]:
        if tables is not None:
            return list(tables)
        if job_name in (RESEARCH, TRAINING):
            return list(NIGHTLY_TABLES if job_name == RESEARCH else TRAINED_TABLES)
        return self.derived_tables() if job_name == DERIVED else ["reporting"]

    def derived_tables(self) -> list[str]:
        """Every table of the derived chain that there is an asset for."""
        return [
            n
            for n, t in TABLES.items()
            if t.schema in DERIVED_SCHEMAS and n in self.inputs and n not in APART_TABLES
        ]

    def _written(self, name: str, rows: int, result: WriteResult) -> None:
        self.report.count(name, rows, result)
        if name in self._expected and not name.startswith("raw."):
            total = len(self._expected)
            self._expected.remove(name)
            self._expected.append("")  # done ones stay in the total
            self.platform.progress(self._title, self._expected.count(""), total)

    def _fetched_by_source(self) -> list[dict[str, Any]]:
        """What each source gave in this launch's runs."""
        ids = [r.run_id for r in self.report.runs if r.job == RAW]
        if not ids:
            return []
        log = self.platform.warehouse.read("ops.fetch_log", None, where={"run_id": ids})
        self.report.got_nothing += failed_datasets(log)
        return by_source(log)


def _log_file(settings: Settings, part: str | None) -> TextIO:
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    own = "" if part is None else f"-{part.replace('/', '-')}"
    return (folder / f"launch-{settings.origin}{own}.log").open("w", encoding="utf-8")


def _dataset(name: str) -> str:
    return name.removeprefix("raw.")
