"""The summary of a run: collected with SQL, printed for a person, or given as JSON.

Belongs here: choosing what a person wants to see first, and laying it out. Does not belong here:
computing any of it (pipeline, dbt), or deciding whether a run succeeded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_pipeline.coverage.words import MISSED, HoursLine, state_hours, troubled_hours
from regime_pipeline.quality.model import BY_ID
from regime_pipeline.reporting import queries
from regime_pipeline.reporting.queries import SourceHealth, TableQuality, stored_window
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import HOUR, Clock, Window

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table as RichTable

__all__ = [
    "Summary",
    "TableCoverage",
    "alert_rows",
    "collect",
    "print_status",
    "print_summary",
    "status_of",
    "stored_window",
    "to_json",
]

REGIME_STYLES = {
    "SPOT_IGNITION": "green",
    "SPOT_COOLING": "cyan",
    "SPOT_CHOP": "magenta",
    "SPOT_NEUTRAL": "white",
    "STABLE": "green",
    "HIGH_VOL": "yellow",
    "EXPLOSIVE": "dark_orange",
    "EXTREME": "bold red",
    "LONG": "green",
    "SHORT": "red",
    "NEUTRAL": "white",
    "CRITICAL": "bold red",
    "WARNING": "yellow",
    "INFO": "dim",
    "ok": "green",
    "partial": "yellow",
    "empty": "yellow",
    "skipped": "dim",
    "failing": "bold red",
}
UNKNOWN = "—"


@dataclass(frozen=True, slots=True)
class TableCoverage:
    """Hours of one hourly table in the window: owed, and what became of them."""

    table: str
    owed: int
    ok: int
    partial: int
    unusable: int
    absent: int

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
        overview: rows of ``reporting.market_overview``, one per symbol.
        missing_symbols: symbols asked for that the overview lacks.
        events: newest market events of the window.
        event_counts: events of the window by type.
        row_counts: all rows by table.
        window_row_counts: rows of the window by table.
        coverage: hours by table.
        sources: health by dataset and source.
        quality: data-quality score of every table on the newest day of the window.
        hours: raw hours that we missed and that venues lack, missed ones first.
        report: path of the HTML report, if one was written.
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
    report: Path | None = None


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
        event_limit: how many of the newest events.
    """
    wanted = tuple(sorted(symbols)) if symbols else settings.universe
    now = clock.now()
    who = queries.identity(database)
    overview = queries.overview(database, wanted)
    cover = queries.coverage(database, window.clipped(now), wanted)
    totals = cover.groupby("table_name", sort=False)[
        ["owed", "ok", "partial", "unusable", "absent"]
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
        events=queries.events(database, window, wanted, event_limit),
        event_counts=queries.event_counts(database, window, wanted),
        row_counts=stored,
        window_row_counts=inside,
        coverage=[
            TableCoverage(str(name), *(int(v) for v in row))
            for name, row in zip(totals.index, totals.to_numpy(), strict=True)
        ],
        sources=queries.source_health(database, window, now),
        quality=_newest_quality(database, window),
        hours=troubled_hours(database, window.clipped(now)),
        report=report,
    )


def _newest_quality(database: Database, window: Window) -> list[TableQuality]:
    """Scores of the newest day of a window on which anything was judged."""
    found = queries.quality_scores(database, window)
    newest = max((q.day for q in found if q.score is not None), default=None)
    return [q for q in found if q.day == newest]


def to_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain data: instants as ISO text, unknown as null."""
    out = asdict(summary)
    out["coverage"] = [asdict(c) | {"usable_frac": c.usable_frac} for c in summary.coverage]
    return _plain(out)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return value


# --- printing -------------------------------------------------------------------------------------


def print_summary(summary: Summary, console: Console) -> None:
    """Print the summary; the columns adapt to the width of the console."""
    from rich.text import Text

    banner = _banner(summary)
    if banner is not None:
        console.print(banner)
    span = f"{summary.window.start:%Y-%m-%d %H:%M} … {summary.window.end:%Y-%m-%d %H:%M} UTC"
    console.print(Text.assemble(("Window  ", "bold"), span))
    if summary.overview:
        console.print(_overview_table(summary, console.width))
    else:
        console.print(
            "[yellow]reporting.market_overview is empty: the reporting tables are not built yet[/]"
        )
    if summary.missing_symbols:
        console.print(f"[yellow]without any row: {', '.join(summary.missing_symbols)}[/]")
    _print_events(summary, console)
    console.print(_source_table(summary.sources, console.width))
    for line in _failure_lines(summary.sources):
        console.print(line)
    for line in hour_lines(summary.hours):
        console.print(line, soft_wrap=True)
    console.print(_coverage_line(summary))
    print_quality(summary.quality, console)
    _print_next(summary, console)


def _banner(summary: Summary) -> RenderableType | None:
    if summary.origin == "live":
        return None
    from rich.panel import Panel

    words = {
        "simulated": "SIMULATED DATA. These numbers come from a generator, not from any market.",
        "tape": "REPLAYED HISTORY. These numbers are of the past, not of the market today.",
    }.get(summary.origin, f"Origin of the data: {summary.origin}.")
    detail = summary.label or summary.detail
    return Panel(
        f"[bold]{words}[/bold]" + (f"\n{detail}" if detail else ""),
        style="black on yellow",
        expand=True,
    )


def _table(title: str, *columns: tuple[str, str]) -> RichTable:
    from rich import box
    from rich.table import Table

    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name, justify in columns:
        made.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    return made


def _word(value: str | None, shown: str | None = None) -> str:
    if value is None:
        return f"[dim]{UNKNOWN}[/]"
    return f"[{REGIME_STYLES.get(value, 'default')}]{shown or value}[/]"


def price_text(value: float | None) -> str:
    """A price with about five significant digits."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:#.4g}"


def percent_text(value: float | None, digits: int = 1) -> str:
    """A signed percentage."""
    return UNKNOWN if value is None else f"{round(value, digits) + 0.0:+.{digits}f}%"


def age_text(hours: float | None) -> str:
    """A duration as a person says it."""
    if hours is None:
        return UNKNOWN
    if hours < 0:
        return "0 h"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


def _because(row: dict[str, Any], block: str) -> str:
    """Why a block has no value, short enough for a cell."""
    return f"[dim]{str(row[f'{block}_status']).replace('_', ' ')}[/]"


def _overview_table(summary: Summary, width: int) -> RichTable:
    wide, narrow = width >= 110, width < 96
    columns = [("symbol", "left"), ("price", "right"), ("24 h", "right")]
    columns += [("regime", "left"), ("volatility", "left")]
    columns += [("funding 8h", "right"), ("futures", "left"), ("cover", "right")]
    if wide:
        columns += [("liq. 24 h", "right"), ("open break", "left")]
    quotes = {r["symbol"].split("/")[1] for r in summary.overview}
    made = _table(f"Market at {summary.as_of:%Y-%m-%d %H:%M} UTC (hour open)", *columns)
    for r in summary.overview:
        primary = (
            _because(r, "regime")
            if r["primary_regime"] is None
            else _word(r["primary_regime"], r["primary_regime"].removeprefix("SPOT_"))
            + ("" if narrow else f" [dim]{r['agreement_count']}/{r['frames_available']}[/]")
        )
        volatility = (
            _because(r, "volatility")
            if r["vol_regime_confirmed"] is None
            else _word(r["vol_regime_confirmed"])
            + ("" if r["vol_ratio_gk"] is None else f" [dim]{r['vol_ratio_gk']:.2f}[/]")
        )
        funding = (
            _because(r, "funding")
            if r["funding_rate_8h"] is None
            else f"{100 * r['funding_rate_8h']:+.4f}%"
            + ("" if narrow or r["funding_z"] is None else f" [dim]z{r['funding_z']:+.1f}[/]")
        )
        signal = (
            _because(r, "futures")
            if r["futures_signal"] is None
            else _word(r["futures_signal"]) + f" [dim]{r['futures_score']:.0f}[/]"
        )
        covered = r["futures_coverage_pct"]
        cells = [
            f"[bold]{_short(r['symbol'], quotes)}[/]",
            price_text(r["price"]) if r["price"] is not None else _because(r, "price"),
            percent_text(r["price_change_24h_pct"]),
            primary,
            volatility,
            funding,
            signal,
            UNKNOWN if covered is None else f"{covered}%",
        ]
        if wide:
            sides = (r["long_liquidations_24h_usd"], r["short_liquidations_24h_usd"])
            total = None if None in sides else sum(sides)
            cells.append(UNKNOWN if total is None else usd_text(total))
            other = r["correlation_break_with"]
            cells.append(_short(other, quotes) if other else "")
        made.add_row(*cells)
    return made


def _short(symbol: str, quotes: set[str]) -> str:
    """The base alone where every symbol has the same quote."""
    return symbol.split("/")[0] if len(quotes) == 1 else symbol


def usd_text(value: float | None) -> str:
    """Dollars with a unit: 1.2M, 340k."""
    if value is None:
        return UNKNOWN
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"${value / size:.1f}{unit}"
    return f"${value:.0f}"


def _print_events(summary: Summary, console: Console) -> None:
    counts = ", ".join(f"{n} {k}" for k, n in summary.event_counts.items())
    made = _table("Last events", ("known at (UTC)", "left"), ("severity", "left"))
    made.add_column("event", overflow="fold")
    for e in summary.events:
        made.add_row(
            f"{e['known_at']:%Y-%m-%d %H:%M}", _word(e["alert_severity"]), _escaped(e["title"])
        )
    if summary.events:
        console.print(made)
        console.print(f"[dim]in the window: {counts}[/]")
    else:
        console.print("[bold]Last events[/]  none in the window")


def _escaped(text: str | None) -> str:
    from rich.markup import escape

    return escape(text or "")


def _source_table(sources: list[SourceHealth], width: int) -> RichTable:
    columns = [("dataset", "left"), ("source", "left"), ("state", "left"), ("rows", "right")]
    columns += [("lag", "right"), ("quarantined", "right")]
    if width >= 100:
        columns.insert(5, ("last answer (UTC)", "left"))
    made = _table("Data by source (rows in the window)", *columns)
    for s in sources:
        cells = [
            s.dataset,
            s.source,
            _word(s.state) + (f" [dim]{', '.join(s.error_classes)}[/]" if s.error_classes else ""),
            f"{s.rows:,}",
            age_text(s.lag_h),
            f"[bold red]{s.quarantined:,}[/]" if s.quarantined else "0",
        ]
        if width >= 100:
            cells.insert(5, UNKNOWN if s.last_success is None else f"{s.last_success:%m-%d %H:%M}")
        made.add_row(*cells)
    if not sources:
        made.add_row("nothing was fetched for this window", "", "", "", "", "")
    return made


def _failure_lines(sources: list[SourceHealth]) -> list[str]:
    return [
        f"[red]{s.dataset} from {s.source}[/]: {s.failing} failed "
        f"({', '.join(s.error_classes) or 'unknown'}). {_escaped(s.message)}"
        for s in sources
        if s.failing
    ]


SHOWN_HOURS = 6
"""Lines about missed or lacking hours; the rest is counted."""


def hour_lines(found: list[HoursLine]) -> list[str]:
    """What we missed and what venues lack, by dataset and source, the most hours first."""
    if not found:
        return ["[bold]Raw hours[/]  none missed, none lacking at a venue"]
    out = ["[bold]Raw hours[/] that are not there (select * from ops.coverage for each one)"]
    for line in found[:SHOWN_HOURS]:
        word = "[red]missed[/]" if line.state == MISSED else "[yellow]the venue had none[/]"
        out.append(f"  {word}  {line.dataset}, {_escaped(line.text)}")
    rest = found[SHOWN_HOURS:]
    if rest:
        missed = sum(x.hours for x in rest if x.state == MISSED)
        lacking = sum(x.hours for x in rest) - missed
        out.append(f"  and {missed} h missed, {lacking} h lacking in {len(rest)} further series")
    return out


def _coverage_line(summary: Summary) -> str:
    low = [
        f"{c.table} {100 * c.usable_frac:.0f}%"
        for c in summary.coverage
        if c.usable_frac is not None and c.usable_frac < 0.995
    ]
    if not low:
        return "[bold]Coverage[/]  every hourly table has a usable value in 99.5 % of its hours"
    return "[bold]Coverage[/] (usable hours)  " + ", ".join(low) + "; all others above 99 %"


def print_quality(quality: list[TableQuality], console: Console) -> None:
    """The lowest scores of a day with what failed, in words; the rest in one line."""
    judged = [q for q in quality if q.score is not None]
    if not judged:
        console.print("[bold]Data quality[/]  nothing was judged yet")
        return
    day = f"{judged[0].day:%Y-%m-%d}"
    low = sorted((q for q in judged if q.failing), key=lambda q: (q.score or 0.0, q.table))
    best = f"{len(judged) - len(low)} of {len(judged)} judged tables at 100"
    console.print(f"[bold]Data quality[/] of {day}  {best}; more: regime quality")
    for q in low:
        style = "bold red" if q.blocks else "yellow"
        held = f"; {q.withheld} rows withheld" if q.withheld else ""
        console.print(f"  [{style}]{q.score:5.1f}[/] {q.table}: {'; '.join(q.failing)}{held}")


def _print_next(summary: Summary, console: Console) -> None:
    from rich.text import Text

    lines = []
    if summary.report is not None:
        lines.append(("report", str(summary.report)))
    lines += [
        ("SQL", "regime db url   (then: select * from reporting.market_overview)"),
        ("UI", "make ui"),
    ]
    console.print(Text("Where to look next", style="bold"))
    for name, what in lines:
        console.print(Text.assemble((f"  {name:<7}", "bold cyan"), what), soft_wrap=True)


# --- regime status and regime alerts list ---------------------------------------------------------


def status_of(database: Database, settings: Settings, clock: Clock) -> dict[str, Any]:
    """What is stored, how fresh it is, how each source does, what waits to be delivered."""
    now = clock.now()
    stored = stored_window(database)
    who = queries.identity(database)
    out: dict[str, Any] = {
        "origin": who["origin"],
        "detail": who["detail"],
        "database": database.shown,
        "now": now,
        "stored_from": stored and stored.start,
        "newest": queries.newest_by_table(database),
        "deliveries": queries.delivery_counts(database),
        "sources": [],
        "quality": [asdict(q) for q in queries.quality_scores(database)],
    }
    if stored is not None:
        recent = Window(max(stored.start, stored.end - 7 * 24 * HOUR), max(stored.end, now))
        out["sources"] = [asdict(s) for s in queries.source_health(database, recent, now)]
        out["coverage"] = state_hours(database, recent)
        out["hours"] = [asdict(h) for h in troubled_hours(database, recent)]
        out["symbols"] = [r["symbol"] for r in queries.overview(database, settings.universe)]
    return _plain(out)


def print_status(found: dict[str, Any], console: Console) -> None:
    """Print what :func:`status_of` found."""
    console.print(f"[bold]{found['database']}[/]  {found['origin']} data", soft_wrap=True)
    if found["stored_from"] is None:
        console.print("nothing is stored yet; `regime run` fills the database")
        return
    now = datetime.fromisoformat(found["now"])
    made = _table("Newest row", ("table", "left"), ("ts (UTC)", "left"), ("age", "right"))
    for name, at in found["newest"].items():
        if at is None:
            made.add_row(name, "[dim]empty[/]", "")
            continue
        stamp = datetime.fromisoformat(at)
        made.add_row(name, f"{stamp:%Y-%m-%d %H:%M}", age_text((now - stamp) / HOUR))
    console.print(made)
    fields = SourceHealth.__dataclass_fields__
    sources = [
        SourceHealth(**{k: _back(k, v) for k, v in s.items() if k in fields})
        for s in found["sources"]
    ]
    console.print(_source_table(sources, console.width))
    for line in _failure_lines(sources):
        console.print(line, soft_wrap=True)
    print_quality(
        [
            TableQuality(
                **{**q, "day": datetime.fromisoformat(q["day"]), "failing": tuple(q["failing"])}
            )
            for q in found["quality"]
        ],
        console,
    )
    for line in hour_lines([_line_back(h) for h in found.get("hours", [])]):
        console.print(line, soft_wrap=True)
    waiting = ", ".join(f"{n} {state}" for state, n in found["deliveries"].items())
    console.print(f"[bold]Alerts[/]  {waiting or 'none'}")


def _line_back(told: dict[str, Any]) -> HoursLine:
    at = {k: datetime.fromisoformat(told[k]) for k in ("first", "last")}
    return HoursLine(**{**told, **at, "symbols": tuple(told["symbols"])})


def _back(name: str, value: Any) -> Any:
    if name in ("newest", "last_success") and value is not None:
        return datetime.fromisoformat(value)
    return tuple(value) if name == "error_classes" else value


def alert_rows(database: Database, limit: int) -> list[dict[str, Any]]:
    """The newest market events and, in ``delivery``, what became of each at every endpoint."""
    return queries.alerts(database, limit)


# --- regime quality -------------------------------------------------------------------------------


def quality_of(database: Database, window: Window) -> dict[str, Any]:
    """Scores and checks of the days of a window as plain data."""
    checks = queries.quality_findings(database, window)
    return _plain(
        {
            "from": window.start,
            "to": window.end,
            "scores": [asdict(q) for q in queries.quality_scores(database, window)],
            "checks": checks,
        }
    )


def print_quality_days(found: dict[str, Any], console: Console, *, every: bool = False) -> None:
    """Print what :func:`quality_of` found: scores by table and day, then every failure in words."""
    scored = [s for s in found["scores"] if s["score"] is not None]
    if not scored:
        console.print("nothing was judged in these days; `regime run` derives and judges them")
        return
    days = sorted({s["day"] for s in scored})
    shown = days if every else days[-7:]
    made = _table("Quality score", ("table", "left"), *[(d[5:10], "right") for d in shown])
    by = {(s["table"], s["day"]): s for s in scored}
    for name in sorted({s["table"] for s in scored}):
        cells = []
        for day in shown:
            score = by.get((name, day))
            if score is None:
                cells.append(f"[dim]{UNKNOWN}[/]")
                continue
            style = "bold red" if score["blocks"] else "yellow" if score["failing"] else "green"
            cells.append(f"[{style}]{score['score']:.0f}[/]")
        made.add_row(name, *cells)
    console.print(made)
    if len(shown) < len(days):
        console.print(f"[dim]the last {len(shown)} of {len(days)} judged days[/]")
    failed = [c for c in found["checks"] if c["check_outcome"] == "failed" and c["series"] == "*"]
    for c in failed:
        style = "bold red" if c["check_severity"] == "BLOCK" else "yellow"
        check = BY_ID[c["check_id"]]
        console.print(
            f"[{style}]{c['check_severity']:<5}[/] {c['ts'][:10]} {c['table_name']} "
            f"[bold]{c['check_id']}[/] {check.title}: {c['n_failed']} of {c['n_judged']} rows"
            + (f", {c['n_withheld']} withheld" if c["n_withheld"] else ""),
            soft_wrap=True,
        )
        for line in c["failing_keys"] or []:
            console.print(f"        [dim]{_escaped(line)}[/]", soft_wrap=True)
        console.print(f"        {check.advice}", soft_wrap=True)
    if not failed:
        console.print("no check failed")
    open_ = {(c["check_id"], c["reason"]) for c in found["checks"] if c["reason"]}
    if open_ and every:
        told = ", ".join(f"{i} ({why})" for i, why in sorted(open_))
        console.print(f"[dim]could not be applied somewhere: {told}[/]")
