"""What ``regime status`` says: what is stored, how fresh it is, what waits to be delivered.

Belongs here: collecting and printing it. Does not belong here: the summary of one run (``summary``).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from regime_pipeline.coverage.words import HoursLine, state_hours, troubled_hours
from regime_pipeline.reporting import queries
from regime_pipeline.reporting.queries import SourceHealth, TableQuality, stored_window
from regime_pipeline.reporting.summary import plain, recent_system_events
from regime_pipeline.reporting.terminal import (
    failure_lines,
    hour_lines,
    print_quality,
    source_table,
    table,
)
from regime_pipeline.reporting.withheld import held_back, held_lines, held_rows
from regime_pipeline.settings import Settings
from regime_pipeline.storage import resolved
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import HOUR, Clock, Window
from regime_pipeline.wording.formats import age_text

if TYPE_CHECKING:
    from rich.console import Console


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
        "system_events": recent_system_events(database, now),
        "sources": [],
        "quality": [asdict(q) for q in queries.quality_scores(database)],
    }
    out["chosen"] = [
        asdict(c) | {"text": c.text, "resolved_at": at} for c, at in resolved.newest(database)
    ]
    if stored is not None:
        recent = Window(max(stored.start, stored.end - 7 * 24 * HOUR), max(stored.end, now))
        out["sources"] = [asdict(s) for s in queries.source_health(database, recent, now)]
        out["coverage"] = state_hours(database, recent)
        out["held"] = [asdict(h) for h in held_rows(database, Window(stored.start, recent.end))]
        out["hours"] = [asdict(h) for h in troubled_hours(database, recent)]
        out["symbols"] = [r["symbol"] for r in queries.overview(database, settings.symbols)]
    return plain(out)


def print_status(found: dict[str, Any], console: Console) -> None:
    """Print what :func:`status_of` found."""
    console.print(f"[bold]{found['database']}[/]  {found['origin']} data", soft_wrap=True)
    for event in found.get("system_events", []):
        at = datetime.fromisoformat(event["known_at"])
        console.print(
            f"{at:%Y-%m-%d %H:%M}  {event['alert_severity']}  {event['title']}",
            markup=False,
            soft_wrap=True,
        )
    if found["stored_from"] is None:
        console.print("nothing is stored yet; `regime run` fills the database")
        return
    now = datetime.fromisoformat(found["now"])
    made = table("Newest row", ("table", "left"), ("ts (UTC)", "left"), ("age", "right"))
    for name, at in found["newest"].items():
        if at is None:
            made.add_row(name, "[dim]empty[/]", "")
            continue
        stamp = datetime.fromisoformat(at)
        made.add_row(name, f"{stamp:%Y-%m-%d %H:%M}", age_text((now - stamp) / HOUR))
    console.print(made)
    for one in found["chosen"]:
        since = datetime.fromisoformat(one["resolved_at"])
        line = f"{one['role'].replace('_', ' ')}: {one['text']}, since {since:%Y-%m-%d %H:%M}"
        console.print(line, markup=False, soft_wrap=True)
    fields = SourceHealth.__dataclass_fields__
    sources = [
        SourceHealth(**{k: _back(k, v) for k, v in s.items() if k in fields})
        for s in found["sources"]
    ]
    console.print(source_table(sources, console.width))
    for line in failure_lines(sources):
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
    for line in held_lines([held_back(h) for h in found.get("held", [])]):
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
