"""What is fine and what is not: sources, database, landing store, disk; for ``regime doctor``.

Belongs here: putting what the layers know into one diagnosis, and showing it. Does not belong here:
asking providers (``providers.probe``), Dagster (the caller hands that check in).
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql

from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.coverage.answers import ONCE
from regime_pipeline.coverage.words import MISSED, HoursLine, troubled_hours
from regime_pipeline.net.headers import CLOCKS_APART
from regime_pipeline.providers.fetch.tiers import is_made_of
from regime_pipeline.providers.landing import LandingError, LandingStore
from regime_pipeline.providers.limits.breaker import State
from regime_pipeline.providers.limits.budgets import SHARE
from regime_pipeline.providers.limits.gate import HostGate
from regime_pipeline.providers.probe import SourceAnswer, ask_all
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.settings import Settings
from regime_pipeline.source_choice import source_of_perp
from regime_pipeline.storage import resolved
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.errors import redact
from regime_pipeline.windows import HOUR, Clock, FixedClock, Window

if TYPE_CHECKING:
    from rich.console import Console

LOOKED_BACK = timedelta(days=60)
"""How far back the newest row of a dataset is looked for."""
RECENT = timedelta(hours=2)
LEAST_FREE_BYTES = 2**30


@dataclass(frozen=True)
class Check:
    """One thing that is fine or not; ``is_ok`` is None when it could not be looked at."""

    name: str
    is_ok: bool | None
    detail: str
    advice: str | None = None


@dataclass(frozen=True)
class DatasetState:
    """How fresh a dataset of a source is.

    Attributes:
        newest: newest row of the last :data:`LOOKED_BACK`.
        lag_h: from there to now, hours.
        last_success: when the source last answered for it.
        is_stale: it answered lately, but what it gave was old then already.
    """

    dataset: str
    newest: datetime | None
    lag_h: float | None
    last_success: datetime | None
    is_stale: bool


@dataclass(frozen=True)
class SourceState:
    """A source: what it said now, and what it gave before."""

    answer: SourceAnswer
    is_needed: bool
    datasets: tuple[DatasetState, ...]

    @property
    def stale(self) -> tuple[str, ...]:
        """Datasets that it answers for with old rows."""
        return tuple(d.dataset for d in self.datasets if d.is_stale)

    @property
    def is_ok(self) -> bool:
        """Whether it can be relied on now."""
        answer = self.answer
        closed = answer.breaker.state is State.CLOSED
        return answer.error_class is None and closed and not self.stale

    @property
    def last_success(self) -> datetime | None:
        """When it last answered for any dataset."""
        return max((d.last_success for d in self.datasets if d.last_success), default=None)

    @property
    def problem(self) -> str | None:
        """What is wrong, in one line."""
        if self.answer.problem:
            return self.answer.problem
        if self.answer.breaker.state is not State.CLOSED:
            return f"breaker {self.answer.breaker.state}: {self.answer.breaker.reason}"
        if self.stale:
            return f"answers, but with old rows for {', '.join(self.stale)}"
        return None

    @property
    def advice(self) -> str | None:
        """What to do about it, in one line."""
        if self.answer.advice:
            return self.answer.advice
        if self.answer.breaker.state is not State.CLOSED:
            return "it is tried again by itself; nothing to do unless this stays"
        if self.stale:
            return "the provider repeats itself; another source serves until it mends"
        return None


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was looked at."""

    origin: str
    now: datetime
    sources: tuple[SourceState, ...]
    checks: tuple[Check, ...] = field(default=())

    @property
    def is_ok(self) -> bool:
        """Whether every needed source and every check is fine."""
        sources = all(s.is_ok for s in self.sources if s.is_needed)
        return sources and all(c.is_ok is not False for c in self.checks)


def needed_sources(settings: Settings) -> frozenset[str]:
    """Sources that some series of the settings has as its primary one."""
    spot = {settings.spot_venue_of(s) for s in settings.universe}
    found = spot | {source_of_perp(v) for v in settings.perp_venues.values()}
    found |= {settings.liquidation_source, *settings.open_interest_sources.values()}
    if "alternative_me" in settings.sources:
        found.add("alternative_me")
    return frozenset(found)


def examine(
    settings: Settings,
    clock: Clock,
    *,
    gate: HostGate,
    database: Database | None,
    checks: Sequence[Check] = (),
    asking: bool = True,
) -> Diagnosis:
    """Looks at everything; a failure of one part never hides another.

    Args:
        settings: what is configured.
        clock: what now is, for lags.
        gate: the one that requests go through.
        database: where data lies; None when there is none, ``checks`` then says why.
        checks: what the caller looked at itself.
        asking: False makes no request: replayed history has no sources to ask.
    """
    now = clock.now()
    answers = ask_all(settings, gate, clock, asking=asking)
    fresh = _freshness(database, now) if database is not None else {}
    needed = needed_sources(settings)
    states = [SourceState(a, a.source in needed, _datasets(a.source, fresh, now)) for a in answers]
    absent = sorted(needed - set(settings.sources)) if asking else []
    mine = [
        Check(
            f"source {name}",
            False,
            "is the primary source of a series and not among REGIME_SOURCES",
            f"add {name} to REGIME_SOURCES, or choose another venue",
        )
        for name in absent
    ]
    if database is not None:
        mine.append(_missed_hours(database, settings, now, needed))
    if not isinstance(clock, FixedClock):  # one that stands still has nothing to be compared with
        mine.append(_clock(answers))
    chosen = _chosen(settings, database)
    every = (*checks, _landing(settings), _disk(settings.home), *chosen, *mine)
    return Diagnosis(settings.origin, now, tuple(states), every)


_SUCCESSES = """
select source, dataset, max(fetched_at), max(window_end) filter (where fetch_status <> 'failed')
from ops.fetch_log where fetch_status in ('ok', 'empty', 'partial') and request_count > 0
group by source, dataset
"""


def _freshness(
    database: Database, now: datetime
) -> dict[tuple[str, str], tuple[datetime | None, datetime | None, datetime | None]]:
    """``(source, dataset)`` -> newest row, last success, end of the newest window asked for."""
    found: dict[tuple[str, str], tuple[datetime | None, datetime | None, datetime | None]] = {}
    with database.connect() as connection:
        for source, dataset, at, end in connection.execute(_SUCCESSES):
            found[source, dataset] = (None, at, end)
        for table in (t for t in TABLES.values() if t.schema == "raw" and "source" in t.fields):
            query = sql.SQL("select source, max({}) from {} where {} >= %s group by source").format(
                sql.Identifier(table.time_column),
                sql.Identifier(table.schema, table.name),
                sql.Identifier(table.time_column),
            )
            for source, newest in connection.execute(query, (now - LOOKED_BACK,)):
                _, at, end = found.get((source, table.name), (None, None, None))
                found[source, table.name] = (newest, at, end)
    return found


def _datasets(
    source: str,
    fresh: Mapping[tuple[str, str], tuple[datetime | None, datetime | None, datetime | None]],
    now: datetime,
) -> tuple[DatasetState, ...]:
    served = dict.fromkeys(f.dataset for f in SOURCES[source].feeds) if source in SOURCES else {}
    out = []
    for dataset in served:
        newest, success, end = fresh.get((source, dataset), (None, None, None))
        allowed = DATASETS[dataset].reported_within
        reached_now = success is not None and end is not None and end >= success - RECENT
        recent = success is not None and success >= now - RECENT
        old = success is not None and (newest is None or success - newest > allowed)
        lag = None if newest is None else round((now - newest) / HOUR, 2)
        out.append(
            DatasetState(dataset, newest, lag, success, bool(reached_now and recent and old))
        )
    return tuple(out)


MISSED_WITHIN = timedelta(days=3)
MISSED_SHOWN = 3


def _missed_hours(
    database: Database, settings: Settings, now: datetime, needed: frozenset[str]
) -> Check:
    """Raw hours of the last days that we missed; bad when those of a primary series are among them.

    An hour without a row that was answered once is not missed yet: it waits for the second answer.
    """
    every = troubled_hours(database, Window(now - MISSED_WITHIN, now))
    waiting = sum(line.hours for line in every if line.reason == ONCE)
    found = [line for line in every if line.state == MISSED and line.reason != ONCE]
    if not found:
        more = f"; {waiting} h {ONCE} before they count as the venue's" if waiting else ""
        return Check("raw hours", True, f"none missed in the last 3 days{more}")
    hours = sum(line.hours for line in found)
    short = "; ".join(f"{line.dataset}, {line.text}" for line in found[:MISSED_SHOWN])
    more = f"; and {len(found) - MISSED_SHOWN} more" if len(found) > MISSED_SHOWN else ""
    bad = any(line.source in needed and _feeds_derived_series(settings, line) for line in found)
    return Check(
        "raw hours",
        False if bad else None,
        f"{hours} h missed in the last 3 days: {short}{more}",
        "the gap sensor asks for them while `regime ui` runs; `regime backfill --select raw` does at once",
    )


def _feeds_derived_series(settings: Settings, line: HoursLine) -> bool:
    """Whether derived series are made of the hours; a source may be primary for one dataset alone."""
    item = DATASETS[line.dataset]
    source = SOURCES[line.source]
    feeds = [f for f in source.feeds if (f.dataset, f.market) == (line.dataset, line.market)]
    return any(is_made_of(item, settings, source, f, s) for f in feeds for s in line.symbols)


def _clock(answers: Sequence[SourceAnswer]) -> Check:
    """This machine's clock against what most servers say."""
    told = [a.clock_ahead_s for a in answers if a.clock_ahead_s is not None]
    if not told:
        return Check("clock", None, "no source told its time")
    ahead = int(statistics.median_low(told))
    way = "ahead of" if ahead > 0 else "behind"
    text = f"{abs(ahead)} s {way} what {len(told)} sources say" if ahead else "as the sources say"
    wrong = abs(ahead) > CLOCKS_APART.total_seconds()
    return Check(
        "clock",
        not wrong,
        text,
        "set this machine's clock (NTP): replies are stamped by their server's clock meanwhile, but "
        "schedules and partitions follow this one"
        if wrong
        else None,
    )


def _chosen(settings: Settings, database: Database | None) -> list[Check]:
    """What stands behind the series that several providers could tell; nothing to be done about it.

    As the last start found it; where there was none, as these settings would have it.
    """
    noted = [choice for choice, _ in resolved.newest(database)] if database is not None else []
    return [Check(c.role.replace("_", " "), None, c.text) for c in noted or settings.choices]


def _landing(settings: Settings) -> Check:
    try:
        LandingStore.of(settings).check()
    except LandingError as error:
        return Check(
            "landing store", False, str(error), "make the folder of REGIME_LANDING_URL writable"
        )
    return Check("landing store", True, "writable")


def _disk(home: Path) -> Check:
    place = next(p for p in (home.absolute(), *home.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    enough = free >= LEAST_FREE_BYTES
    return Check(
        "disk",
        enough,
        f"{free / 2**30:.1f} GiB free",
        None if enough else f"free some space below {place}",
    )


# --- showing it ----------------------------------------------------------------------------------


def to_json(found: Diagnosis) -> dict[str, Any]:
    """One plain object: ``ok``, ``sources`` and ``checks``."""
    return {
        "ok": found.is_ok,
        "origin": found.origin,
        "now": found.now.isoformat(),
        "sources": [_source_json(s) for s in found.sources],
        "checks": [
            {"name": c.name, "ok": c.is_ok, "detail": c.detail, "advice": c.advice}
            for c in found.checks
        ],
    }


def _source_json(s: SourceState) -> dict[str, Any]:
    a = s.answer
    return {
        "source": a.source,
        "ok": s.is_ok,
        "needed": s.is_needed,
        "host": a.host,
        "reachable": a.is_reachable,
        "latency_ms": a.latency_ms,
        "clock_ahead_s": a.clock_ahead_s,
        "off": a.is_off,
        "key": a.key,
        "key_fingerprint": a.key_fingerprint,
        "plan": a.plan,
        "budgets": [
            {
                "scope": scope,
                "used": used,
                "limit": limit,
                "stop_at": int(SHARE * limit),
                "window_s": length,
            }
            for scope, used, limit, length in a.budgets
        ],
        "breaker": {
            "state": a.breaker.state.value,
            "until": _iso(a.breaker.open_until),
            "reason": a.breaker.reason,
        },
        "last_success": _iso(s.last_success),
        "datasets": [
            {k: _iso(v) if isinstance(v, datetime) else v for k, v in asdict(d).items()}
            for d in s.datasets
        ],
        "error_class": a.error_class,
        "problem": s.problem,
        "advice": s.advice,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def print_diagnosis(found: Diagnosis, console: Console) -> None:
    """The same for people: a line per source and check, and what to do below."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    wide = console.width >= 120
    columns = ["source", "reachable", "key", "budget", "breaker", "last", "lag"]
    if wide:
        columns.insert(1, "host")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for s in found.sources:
        a = s.answer
        colour = "green" if s.is_ok else "red" if s.is_needed else "yellow"
        cells = [
            f"[{colour}]{escape(a.source)}[/]" + ("" if s.is_needed else "[dim]*[/]"),
            _reach(a),
            a.key_fingerprint or {"not needed": "[dim]-[/]"}.get(a.key, a.key),
            _budget(a, wide),
            a.breaker.state.value,
            "never" if s.last_success is None else f"{s.last_success:%m-%d %H:%M}",
            _lag(s, wide),
        ]
        if wide:
            cells.insert(1, escape(a.host))
        table.add_row(*cells)
    console.print(f"Sources ({found.origin} data, {found.now:%Y-%m-%d %H:%M} UTC)")
    console.print(table)
    if not all(s.is_needed for s in found.sources):
        console.print("* no series has it as its primary source\n", style="dim")
    for check in found.checks:
        mark = {True: "[green]ok[/]", False: "[red]not ok[/]", None: "[dim]-[/]"}[check.is_ok]
        console.print(f"{mark}  {check.name}: {escape(check.detail)}", soft_wrap=True)
    unused = [s for s in found.sources if s.answer.is_off and not s.is_needed]
    if unused:
        names = ", ".join(s.answer.source for s in unused)
        console.print(
            f"[dim]-[/]  off, for want of a key or an address, and not needed: {escape(names)} "
            "(docs/sources.md)",
            soft_wrap=True,
        )
    todo = [
        (s.answer.source, s.problem, s.advice)
        for s in found.sources
        if s.problem and s not in unused
    ]
    todo += [(c.name, c.detail, c.advice) for c in found.checks if c.advice]
    if todo:
        console.print("\nWhat to do")
    for name, problem, advice in todo:
        console.print(
            f"[bold]{escape(name)}[/]: {escape(problem or '')}\n    -> {escape(advice or '')}",
            soft_wrap=True,
        )


def _reach(a: SourceAnswer) -> str:
    if a.is_off:
        return "[dim]off[/]"
    if a.is_reachable is None:
        return "[dim]not asked[/]"
    if not a.is_reachable:
        return f"[red]no[/] [dim]{a.error_class}[/]"
    return "yes" if a.latency_ms is None else f"yes {a.latency_ms:.0f} ms"


def _budget(a: SourceAnswer, wide: bool) -> str:
    worst = max(a.budgets, key=lambda b: b[1] / max(1, b[2]), default=None)
    if worst is None:
        return "[dim]-[/]"
    if not wide:
        return f"{worst[1]}/{worst[2]}"
    plan = "" if a.plan is None else f" {a.plan.split(' (')[0]}"
    return f"{worst[1]}/{worst[2]} in {worst[3]:g} s{plan}"


def _lag(s: SourceState, wide: bool) -> str:
    known = [(d.lag_h, d.dataset) for d in s.datasets if d.lag_h is not None]
    if not known:
        return "[dim]no rows[/]"
    hours, dataset = max(known)
    return f"{hours:.1f} h" + (f" {dataset}" if wide else "")


def failed_check(name: str, error: BaseException, advice: str) -> Check:
    """A check that ended in an error, its text without passwords."""
    return Check(name, False, " ".join(redact(str(error)).split()), advice)
