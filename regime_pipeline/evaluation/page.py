"""The scorecard as a page and as printed tables.

Belongs here: what is shown, and its words. Does not belong here: counting (``scoring``), drawing
(``charts``), how the page looks (``templates/``). What was not measured is a dash, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_pipeline.alerts.false_alarms import ADVERTISED
from regime_pipeline.evaluation.detectors import DELIVERED_VOLATILITY, FLAGS
from regime_pipeline.evaluation.naive import NAIVE
from regime_pipeline.evaluation.scenes import Result
from regime_pipeline.evaluation.scoring import Tally
from regime_pipeline.reporting.html import render_template, write_page
from regime_pipeline.wording.formats import UNKNOWN, hours_text, rate_text, share_text

if TYPE_CHECKING:
    from rich.console import Console

UNITS = (
    "False alarms are counted per symbol-day; those of correlations per pair-day. A run of hours that "
    "say the same counts once, and an escalation belongs to its episode."
)
SECTIONS = (
    ("null", "Where nothing happens", "null.html"),
    ("planted", "Where something was planted", "planted.html"),
    ("examples", "One planted event of each type", "examples.html"),
    ("worlds", "The synthetic markets", "worlds.html"),
    ("naive", "The naive rules", "naive.html"),
)
"""Anchor, name and template of each section."""


def write_scorecard(path: Path, results: Sequence[Result], *, seed: int, quick: bool) -> Path:
    """Write the page and return its path; an older file is replaced at once, never half."""
    return write_page(path, render(results, seed=seed, quick=quick))


def render(results: Sequence[Result], *, seed: int, quick: bool) -> str:
    """The whole page."""
    from regime_pipeline.evaluation import charts

    scenes = {r.scene.world: r.scene for r in results}
    shown = [r for r in results if r.sample is not None and r.detector in charts.SHOWN]
    return render_template(
        "scorecard.html",
        package="regime_pipeline.evaluation",
        title="Scorecard of the detectors",
        sections=SECTIONS,
        top=_cards(results),
        results=results,
        seed=seed,
        quick=quick,
        units=UNITS,
        colours={"ours": charts.OURS, "naive": charts.NAIVE},
        charts={
            "rates": charts.rate_chart(results),
            "found": charts.found_chart(results),
            "examples": [(r.scene.what, charts.example_chart(r)) for r in shown],
        },
        worlds=[(name, scene.what) for name, scene in scenes.items()],
        advertised=ADVERTISED,
        rules=[(name, (rule.__doc__ or "").strip()) for name, rule in NAIVE.items()],
        flags=[(name, f"{what}.") for name, what in FLAGS.items()],
    )


def _cards(results: Sequence[Result]) -> list[tuple[str, str, str]]:
    """Name, value and note of the cards on top."""
    stated = [r for r in results if r.advertised]
    near = [r for r in stated if abs((r.ours.false_per_day or 0.0) / r.advertised - 1.0) <= 0.2]  # type: ignore[operator]
    planted = sum((r.ours for r in results if r.ours.planted), Tally())
    theirs = sum((r.naive for r in results if r.naive and r.ours.planted), Tally())
    return [
        (
            "Rates within a fifth of the advertised",
            f"{len(near)} of {len(stated)}",
            "null worlds; small counts scatter",
        ),
        (
            "Planted events found",
            share_text(planted.recall),
            f"{planted.found:,} of {planted.planted:,}; the naive rules {share_text(theirs.recall)}",
        ),
        (
            "Announcements that were right",
            share_text(planted.precision),
            f"the naive rules {share_text(theirs.precision)}",
        ),
        (
            "Instrument-days judged",
            f"{sum(r.ours.quiet_days for r in results):,.0f}",
            "outside planted events",
        ),
    ]


# --- printed --------------------------------------------------------------------------------------


def print_scorecard(results: Sequence[Result], console: Console) -> None:
    """Print two tables: false alarms where nothing happens, what was found where something was."""
    from rich.table import Table

    look: dict[str, Any] = {"title_justify": "left", "box": None, "pad_edge": False}
    null = Table(title="Null worlds: false alarms a day", **look)
    for name in ("detector", "world", "per", "ours", "advertised", "naive"):
        null.add_column(name, justify="left" if name in ("detector", "world", "per") else "right")
    planted = Table(title="Planted worlds: found / right / delay", **look)
    for name in ("detector", "planted", "ours", "naive"):
        planted.add_column(name, justify="left" if name == "detector" else "right")
    for r in results:
        if r.ours.planted:
            planted.add_row(
                _short(r.detector), f"{r.ours.planted:,}", _three(r.ours), _three(r.naive)
            )
            continue
        theirs = r.naive.false_per_day if r.naive else None
        null.add_row(
            _short(r.detector),
            r.scene.world.removeprefix("null_"),
            r.scene.unit.removesuffix("-day"),
            rate_text(r.ours.false_per_day),
            rate_text(r.advertised),
            rate_text(theirs),
        )
    console.print(null)
    console.print()
    console.print(planted)
    console.print(f"\n[dim]{UNITS}[/]")


def _short(detector: str) -> str:
    return "  of these delivered" if detector == DELIVERED_VOLATILITY else detector


def _three(t: Tally | None) -> str:
    if t is None:
        return UNKNOWN
    return f"{share_text(t.recall)} / {share_text(t.precision)} / {hours_text(t.delay_hours)}"
