"""The summary of a run: collected with SQL, given as JSON.

Belongs here: choosing what a person wants to see first. Does not belong here: computing any of it
(pipeline, dbt), printing it (``terminal``), or deciding whether a run succeeded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from regime_pipeline.coverage.words import HoursLine, troubled_hours
from regime_pipeline.reporting import queries
from regime_pipeline.reporting.queries import SourceHealth, TableQuality
from regime_pipeline.reporting.withheld import Held, held_rows
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, HOUR, Clock, Window

SYSTEM_EVENTS = 10
"""How many operational events are shown."""


@dataclass(frozen=True, slots=True)
class TableCoverage:
    """Hours of one hourly table in the window: owed, and what became of them.

    Hours that could only be recorded while they happened, and were not, are ``unexpected``; they are
    none of the owed.
    """

    table: str
    owed: int
    ok: int
    partial: int
    unusable: int
    absent: int
    unexpected: int

    @property
    def usable_frac(self) -> float | None:
        """Share of the owed hours that have a usable value; None when none is owed."""
        return (self.ok + self.partial) / self.owed if self.owed else None


@dataclass(frozen=True)
class Summary:
    """What a person wants to know after a run.

    Attributes:
        origin: live, simulated or tape.
        detail: which seed or tape.
        label: the caller's own words for the source.
        generated_at: by the run's clock.
        window: what was asked for.
        as_of: newest hour that the overview shows; None while dbt has built nothing.
        overview: rows of ``reporting.market_overview``, one per symbol, the most traded first.
        missing_symbols: symbols asked for that the overview lacks.
        events: market events of the window: of its last days the most severe first, then older ones.
        event_counts: events of the window by type.
        row_counts: all rows by table.
        window_row_counts: rows of the window by table.
        coverage: hours by table.
        sources: health by dataset and source.
        quality: data-quality score of every table on the newest day of the window.
        held: rows withheld and quarantined in the whole window, by table and cause.
        hours: raw hours that we missed and that venues lack, missed ones first.
        report: path of the HTML report, if one was written.
        system_events: the newest operational events of the week before now.
    """

    origin: str
    detail: str | None
    label: str | None
    generated_at: datetime
    window: Window
    as_of: datetime | None
    overview: list[dict[str, Any]]
    missing_symbols: tuple[str, ...]
    events: list[dict[str, Any]]
    event_counts: dict[str, int]
    row_counts: dict[str, int]
    window_row_counts: dict[str, int]
    coverage: list[TableCoverage]
    sources: list[SourceHealth]
    hours: list[HoursLine]
    quality: list[TableQuality] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    report: Path | None = None
    system_events: list[dict[str, Any]] = field(default_factory=list)


def collect(
    database: Database,
    settings: Settings,
    clock: Clock,
    window: Window,
    *,
    symbols: tuple[str, ...] | None = None,
    label: str | None = None,
    report: Path | None = None,
    event_limit: int = 12,
) -> Summary:
    """Gather the summary of a window; reads only.

    Args:
        database: where.
        settings: names the symbols when ``symbols`` does not.
        clock: says how old things are.
        window: what the run covered.
        symbols: what the run covered; None takes the configured ones.
        label: the caller's own words for the source of the data.
        report: path of the HTML report, to be told.
        event_limit: how many events.
    """
    now = clock.now()
    past = window.clipped(now)
    wanted = queries.by_traded_value(database, past, symbols or settings.symbols)
    who = queries.identity(database)
    overview = queries.overview(database, wanted)
    cover = queries.coverage(database, past, wanted)
    totals = cover.groupby("table_name", sort=False)[
        ["owed", "ok", "partial", "unusable", "absent", "unexpected"]
    ].sum()
    as_of = max((r["ts"] for r in overview), default=None)
    stored, inside = queries.row_counts(database, window)
    return Summary(
        origin=who["origin"],
        detail=who["detail"],
        label=label,
        generated_at=now,
        window=window,
        as_of=as_of,
        overview=overview,
        missing_symbols=tuple(s for s in wanted if s not in {r["symbol"] for r in overview}),
        events=queries.events(database, past, wanted, event_limit),
        event_counts=queries.event_counts(database, window, wanted),
        row_counts=stored,
        window_row_counts=inside,
        coverage=[
            TableCoverage(str(name), *(int(v) for v in row))
            for name, row in zip(totals.index, totals.to_numpy(), strict=True)
        ],
        sources=queries.source_health(database, window, now),
        quality=_newest_quality(database, window),
        held=held_rows(database, window),
        hours=troubled_hours(database, past),
        report=report,
        system_events=recent_system_events(database, now),
    )


def recent_system_events(database: Database, now: datetime) -> list[dict[str, Any]]:
    """The newest operational events of the last week."""
    lately = Window(now - 7 * DAY, now + HOUR)  # one that was told just now too
    return queries.system_events(database, lately, SYSTEM_EVENTS)


def _newest_quality(database: Database, window: Window) -> list[TableQuality]:
    """Scores of the newest day of a window on which anything was judged."""
    found = queries.quality_scores(database, window)
    newest = max((q.day for q in found if q.score is not None), default=None)
    return [q for q in found if q.day == newest]


def to_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain data: instants as ISO text, unknown as null."""
    out = asdict(summary)
    out["coverage"] = [asdict(c) | {"usable_frac": c.usable_frac} for c in summary.coverage]
    return plain(out)


def plain(value: Any) -> Any:
    """A value made of what JSON knows."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return value
