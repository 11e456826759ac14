"""What ``regime quality`` says: scores by table and day, every failed check in words.

Belongs here: collecting and printing stored verdicts. Does not belong here: making them (package
``quality``).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from regime_pipeline.quality.model import BY_ID
from regime_pipeline.reporting import queries
from regime_pipeline.reporting.summary import plain
from regime_pipeline.reporting.terminal import escaped, table
from regime_pipeline.reporting.withheld import held_back, held_lines, held_rows
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Window
from regime_pipeline.wording.formats import UNKNOWN
from regime_pipeline.wording.labels import quality_label, styled

if TYPE_CHECKING:
    from rich.console import Console


def quality_of(database: Database, window: Window) -> dict[str, Any]:
    """Scores and checks of the days of a window as plain data."""
    checks = queries.quality_findings(database, window)
    return plain(
        {
            "from": window.start,
            "to": window.end,
            "scores": [asdict(q) for q in queries.quality_scores(database, window)],
            "checks": checks,
            "held": [asdict(h) for h in held_rows(database, window)],
        }
    )


def print_quality_days(found: dict[str, Any], console: Console, *, every: bool = False) -> None:
    """Print what :func:`quality_of` found: scores by table and day, then every failure in words."""
    scored = [s for s in found["scores"] if s["score"] is not None]
    if not scored:
        console.print("nothing was judged in these days; `regime run` derives and judges them")
        _print_held(found, console)
        return
    days = sorted({s["day"] for s in scored})
    shown = days if every else days[-7:]
    made = table("Quality score", ("table", "left"), *[(d[5:10], "right") for d in shown])
    by = {(s["table"], s["day"]): s for s in scored}
    for name in sorted({s["table"] for s in scored}):
        cells = []
        for day in shown:
            score = by.get((name, day))
            if score is None:
                cells.append(f"[dim]{UNKNOWN}[/]")
                continue
            label = quality_label(score["blocks"], bool(score["failing"]))
            cells.append(styled(label, f"{score['score']:.0f}"))
        made.add_row(name, *cells)
    console.print(made)
    if len(shown) < len(days):
        console.print(f"[dim]the last {len(shown)} of {len(days)} judged days[/]")
    failed = [c for c in found["checks"] if c["check_outcome"] == "failed" and c["series"] == "*"]
    for c in failed:
        check = BY_ID[c["check_id"]]
        console.print(
            f"{styled(c['check_severity'], c['check_severity'].ljust(5))} {c['ts'][:10]} {c['table_name']} "
            f"[bold]{c['check_id']}[/] {check.title}: {c['n_failed']} of {c['n_judged']} rows"
            + (f", {c['n_withheld']} withheld" if c["n_withheld"] else ""),
            soft_wrap=True,
        )
        for line in c["failing_keys"] or []:
            console.print(f"        [dim]{escaped(line)}[/]", soft_wrap=True)
        console.print(f"        {check.advice}", soft_wrap=True)
    if not failed:
        console.print("no check failed")
    _print_held(found, console)
    open_ = {(c["check_id"], c["reason"]) for c in found["checks"] if c["reason"]}
    if open_ and every:
        told = ", ".join(f"{i} ({why})" for i, why in sorted(open_))
        console.print(f"[dim]could not be applied somewhere: {told}[/]")


def _print_held(found: dict[str, Any], console: Console) -> None:
    for line in held_lines([held_back(h) for h in found["held"]]):
        console.print(line, soft_wrap=True)
