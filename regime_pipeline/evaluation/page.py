"""The scorecard as a page and as printed tables.

Belongs here: words and layout. Does not belong here: counting (``scorecard``), drawing
(``scorecard_charts``). What was not measured is a dash, never 0.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_pipeline.evaluation.detectors import DELIVERED_VOLATILITY, FLAGS
from regime_pipeline.evaluation.false_alarms import ADVERTISED
from regime_pipeline.evaluation.naive import NAIVE
from regime_pipeline.evaluation.scenes import Result
from regime_pipeline.evaluation.scoring import Tally
from regime_pipeline.reporting.page import _card, _cell, _head, _legend_line, document
from regime_pipeline.reporting.summary import UNKNOWN

if TYPE_CHECKING:
    from rich.console import Console

UNITS = (
    "False alarms are counted per symbol-day; those of correlations per pair-day. A run of hours that "
    "say the same counts once, and an escalation belongs to its episode."
)


def rate_text(rate: float | None) -> str:
    """A rate a day with two digits that matter."""
    if rate is None:
        return UNKNOWN
    if rate == 0.0:
        return "0"
    return f"{rate:.2f}" if rate >= 0.1 else f"{rate:.2g}" if rate >= 1e-4 else f"{rate:.5f}"


def share_text(share: float | None) -> str:
    """A share as percent."""
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


def hours_text(hours: float | None) -> str:
    """A delay."""
    return UNKNOWN if hours is None else f"{hours:.0f} h"


def write_scorecard(path: Path, results: Sequence[Result], *, seed: int, quick: bool) -> Path:
    """Write the page and return its path; an older file is replaced at once, never half."""
    text = render(results, seed=seed, quick=quick)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path


def render(results: Sequence[Result], *, seed: int, quick: bool) -> str:
    """The whole page."""
    sections = [
        ("null", "Where nothing happens", _null(results)),
        ("planted", "Where something was planted", _planted(results)),
        ("examples", "One planted event of each type", _examples(results)),
        ("worlds", "The worlds", _worlds(results)),
        ("naive", "The naive rules", _rules()),
    ]
    size = "the quick size" if quick else "the full size"
    return document(
        "Scorecard of the detectors",
        _top(results),
        sections,
        f"Made worlds of seed {seed}, {size}; the same seed gives the same page. The detectors are the "
        "functions that production runs.",
    )


def _top(results: Sequence[Result]) -> str:
    stated = [r for r in results if r.advertised]
    near = [r for r in stated if abs((r.ours.false_per_day or 0.0) / r.advertised - 1.0) <= 0.2]  # type: ignore[operator]
    planted = sum((r.ours for r in results if r.ours.planted), Tally())
    theirs = sum((r.naive for r in results if r.naive and r.ours.planted), Tally())
    cards = [
        _card(
            "Rates within a fifth of the advertised",
            f"{len(near)} of {len(stated)}",
            "null worlds; small counts scatter",
        ),
        _card(
            "Planted events found",
            share_text(planted.recall),
            f"{planted.found:,} of {planted.planted:,}; the naive rules {share_text(theirs.recall)}",
        ),
        _card(
            "Announcements that were right",
            share_text(planted.precision),
            f"the naive rules {share_text(theirs.precision)}",
        ),
        _card(
            "Instrument-days judged",
            f"{sum(r.ours.quiet_days for r in results):,.0f}",
            "outside planted events",
        ),
    ]
    return (
        '<header class="top"><h1>Scorecard of the detectors</h1><p class="muted">Every detector on made '
        "worlds whose truth is known, beside the naive rules of the specification that it replaces.</p>"
        '<div class="banner" role="alert"><strong>Made worlds</strong>Planted events are drawn to be '
        "clear and independent; a market is neither. These numbers compare rules, they promise nothing "
        f'about returns.</div><div class="cards">{"".join(cards)}</div></header>'
    )


def _null(results: Sequence[Result]) -> str:
    from regime_pipeline.evaluation.charts import NAIVE as THEIRS
    from regime_pipeline.evaluation.charts import OURS, rate_chart

    rows = [r for r in results if not r.ours.planted]
    body = "".join(
        f"<tr><td>{escape(r.detector)}</td><td>{escape(r.scene.world)}</td>"
        + _cell(f"{r.ours.quiet_days:,.0f} {r.scene.unit}s")
        + _cell(f"{r.ours.wrong:,}")
        + _cell(rate_text(r.ours.false_per_day))
        + _cell(rate_text(r.advertised))
        + _cell(rate_text(r.naive.false_per_day if r.naive else None))
        + "</tr>"
        for r in rows
    )
    head = _head(
        "detector", "world", ">judged", ">false alarms", ">a day", ">advertised", ">naive rule"
    )
    legend = _legend_line(("ours, 95 % Poisson interval", OURS), ("naive rule", THEIRS),
                          ("advertised (bar)", "ink"))  # fmt: skip
    return (
        f'<div class="panel"><p class="small muted">{UNITS}</p>{legend}'
        f'<div class="scroll chart">{rate_chart(results)}</div></div>'
        f'<div class="panel"><div class="scroll"><table>{head}<tbody>{body}</tbody></table></div></div>'
    )


def _planted(results: Sequence[Result]) -> str:
    from regime_pipeline.evaluation.charts import NAIVE as THEIRS
    from regime_pipeline.evaluation.charts import OURS, found_chart

    rows = [r for r in results if r.ours.planted]
    body = "".join(
        f"<tr><td>{escape(r.detector)}</td><td>{escape(r.scene.world)}</td>"
        + _cell(f"{r.ours.planted:,}")
        + "".join(
            _cell(text)
            for t in (r.ours, r.naive)
            for text in (
                (share_text(t.recall), share_text(t.precision), hours_text(t.delay_hours),
                 rate_text(t.false_per_day)) if t else (UNKNOWN,) * 4
            )
        )
        + "</tr>"
        for r in rows
    )  # fmt: skip
    head = _head(
        "detector", "world", ">planted", ">found", ">right", ">delay", ">false a day",
        ">naive: found", ">right", ">delay", ">false a day",
    )  # fmt: skip
    legend = _legend_line(("ours", OURS), ("naive rule", THEIRS))
    return (
        '<div class="panel"><p class="small muted">Found: planted events with right news in time. '
        "Right: share of the announcements that were about a planted event; it depends on how rare the "
        "planted events are. Delay: median hours from an event's beginning to the first right news."
        f'</p>{legend}<div class="scroll chart">{found_chart(results)}</div></div>'
        f'<div class="panel"><div class="scroll"><table>{head}<tbody>{body}</tbody></table></div></div>'
    )


def _examples(results: Sequence[Result]) -> str:
    from regime_pipeline.evaluation.charts import NAIVE as THEIRS
    from regime_pipeline.evaluation.charts import OURS, SHOWN, example_chart

    legend = _legend_line(
        ("planted event", "highvol"),
        ("our announcements (top)", OURS),
        ("naive rule (bottom)", THEIRS),
    )
    shown = [r for r in results if r.sample is not None and r.detector in SHOWN]
    return legend + "".join(
        f'<div class="panel"><p class="small muted">{escape(r.scene.what)}</p>'
        f'<div class="scroll chart">{example_chart(r)}</div></div>'
        for r in shown
    )


def _worlds(results: Sequence[Result]) -> str:
    scenes = {r.scene.world: r.scene for r in results}
    terms = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(s.what)}</dd>" for name, s in scenes.items()
    )
    stated = "".join(
        f"<li>{escape(a.detector)} in {escape(a.world)}: {rate_text(a.per_day)} per "
        f"{'pair' if a.pairs else 'symbol'}-day, from {a.counted:,} false alarms in {a.days:,} days</li>"
        for a in ADVERTISED
    )
    return (
        f'<div class="panel"><dl>{terms}</dl></div><div class="panel"><h3>How the advertised rates were '
        f'counted</h3><ul class="small">{stated}</ul></div>'
    )


def _rules() -> str:
    """What the naive versions do, in their own words, and what the further detectors are."""
    terms = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape((rule.__doc__ or '').strip())}</dd>"
        for name, rule in NAIVE.items()
    )
    flags = "".join(f"<dt>{escape(n)}</dt><dd>{escape(what)}.</dd>" for n, what in FLAGS.items())
    return (
        f'<div class="panel"><dl>{terms}</dl></div>'
        f'<div class="panel"><h3>Judged beside the six event types</h3><dl>{flags}</dl></div>'
    )


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
