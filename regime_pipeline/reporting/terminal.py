"""The summary of a run, printed for a person; the columns adapt to the width of the terminal.

Belongs here: layout for a terminal, and the parts that ``status`` and ``quality`` print too. Does not
belong here: collecting (``summary``), words and colours (``wording``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regime_pipeline.coverage.words import MISSED, HoursLine
from regime_pipeline.reporting.queries import LATELY, SourceHealth, TableQuality
from regime_pipeline.reporting.summary import Summary
from regime_pipeline.reporting.withheld import held_lines
from regime_pipeline.wording.formats import (
    UNKNOWN,
    age_text,
    percent_text,
    price_text,
    usd_text,
    words,
)
from regime_pipeline.wording.labels import BANNERS, label_of, quality_label, styled

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table as RichTable


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
    console.print(source_table(summary.sources, console.width))
    for line in failure_lines(summary.sources):
        console.print(line)
    for line in hour_lines(summary.hours):
        console.print(line)
    console.print(_coverage_line(summary))
    print_quality(summary.quality, console)
    for line in held_lines(summary.held):
        console.print(line)
    _print_next(summary, console)


def _banner(summary: Summary) -> RenderableType | None:
    if summary.origin not in BANNERS:
        return None
    from rich.panel import Panel
    from rich.text import Text

    title, text = BANNERS[summary.origin]
    detail = summary.label or summary.detail
    return Panel(
        Text.assemble((f"{title.upper()}. {text}", "bold"), f"\n{detail}" if detail else ""),
        style="black on yellow",
        expand=True,
    )


def table(title: str, *columns: tuple[str, str]) -> RichTable:
    """An empty table; columns are (name, justify)."""
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


def _because(row: dict[str, Any], block: str) -> str:
    """Why a block has no value, short enough for a cell."""
    return f"[dim]{words(row[f'{block}_status'])}[/]"


def _overview_table(summary: Summary, width: int) -> RichTable:
    wide, narrow = width >= 110, width < 96
    columns = [("symbol", "left"), ("price", "right"), ("24 h", "right")]
    columns += [("regime", "left"), ("volatility", "left")]
    columns += [("funding 8h", "right"), ("futures", "left"), ("cover", "right")]
    if wide:
        columns += [("liq. 24 h", "right"), ("open break", "left")]
    quotes = {r["symbol"].split("/")[1] for r in summary.overview}
    made = table(f"Market at {summary.as_of:%Y-%m-%d %H:%M} UTC (hour open)", *columns)
    for r in summary.overview:
        primary = (
            _because(r, "regime")
            if r["primary_regime"] is None
            else styled(r["primary_regime"])
            + ("" if narrow else f" [dim]{r['agreement_count']}/{r['frames_available']}[/]")
        )
        volatility = (
            _because(r, "volatility")
            if r["vol_regime_confirmed"] is None
            else styled(r["vol_regime_confirmed"])
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
            else styled(r["futures_signal"]) + f" [dim]{r['futures_score']:.0f}[/]"
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


def _print_events(summary: Summary, console: Console) -> None:
    counts = ", ".join(f"{n} {k}" for k, n in summary.event_counts.items())
    days = LATELY.days
    made = table(
        f"Events, the most severe of the last {days} days first",
        ("known at (UTC)", "left"),
        ("severity", "left"),
    )
    made.add_column("event", overflow="fold")
    for e in summary.events:
        made.add_row(
            f"{e['known_at']:%Y-%m-%d %H:%M}", styled(e["alert_severity"]), escaped(e["title"])
        )
    if summary.events:
        console.print(made)
        console.print(f"[dim]in the window: {counts}[/]")
    else:
        console.print("[bold]Events[/]  none in the window")


def escaped(text: str | None) -> str:
    """Text from data, with nothing in it that rich takes for markup."""
    from rich.markup import escape

    return escape(text or "")


def source_table(sources: list[SourceHealth], width: int) -> RichTable:
    """How every source does for every dataset."""
    columns = [("dataset", "left"), ("source", "left"), ("state", "left"), ("rows", "right")]
    columns += [("lag", "right"), ("quarantined", "right")]
    if width >= 100:
        columns.insert(5, ("last answer (UTC)", "left"))
    made = table("Data by source (rows in the window)", *columns)
    for s in sources:
        cells = [
            s.dataset,
            s.source,
            styled(s.state) + (f" [dim]{', '.join(s.error_classes)}[/]" if s.error_classes else ""),
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


def failure_lines(sources: list[SourceHealth]) -> list[str]:
    """A line for every source that fails: how often and why."""
    return [
        f"[red]{s.dataset} from {s.source}[/]: {s.failing} failed "
        f"({', '.join(s.error_classes) or 'unknown'}). {escaped(s.message)}"
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
        out.append(f"  {styled(line.state)}  {line.dataset}, {escaped(line.text)}")
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
        style = label_of(quality_label(q.blocks, bool(q.failing))).style
        held = f"; {q.withheld} rows withheld" if q.withheld else ""
        console.print(f"  [{style}]{q.score:5.1f}[/] {q.table}: {'; '.join(q.failing)}{held}")


def _print_next(summary: Summary, console: Console) -> None:
    from rich.text import Text

    lines = []
    if summary.report is not None:
        lines.append(("report", str(summary.report)))
    lines += [
        ("SQL", 'psql "$(regime db url --for psql)"   (select * from reporting.market_overview)'),
        ("UI", "regime ui"),
    ]
    console.print(Text("Where to look next", style="bold"))
    for name, what in lines:
        console.print(Text.assemble((f"  {name:<7}", "bold cyan"), what), soft_wrap=True)
