"""What several pages share: the symbol and the span of an address, spans of one label, figures.

Belongs here: reading an address, from rows to charts. Does not belong here: geometry (``charts``), what a
page shows (``pages``, ``now``, ``research``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request

from regime_pipeline.api.answers import Served
from regime_pipeline.api.params import symbol_named
from regime_pipeline.api.problems import Problem
from regime_pipeline.dashboard import charts
from regime_pipeline.dashboard.charts import Band, Chart, Line
from regime_pipeline.dashboard.data import HOUR, MOST_POINTS
from regime_pipeline.wording.labels import label_of

PIXELS = 1600
"""Values a line has at most; longer spans are drawn by the least and the largest of each pixel."""
SPANS = {"1 d": 1, "7 d": 7, "30 d": 30, "90 d": 90, "1 y": 365, "5 y": 1826}


def place_of(symbols: Sequence[str], symbol: str) -> int:
    """Where a symbol stands among the configured ones; those that are none stand behind."""
    return symbols.index(symbol) if symbol in symbols else len(symbols)


def symbol_at(served: Served, text: str) -> str:
    """The symbol that a part of an address names.

    Raises:
        Problem: there is none.
    """
    found = symbol_named(text, served.symbols)
    if found is None:
        raise Problem(
            "not-found", f"no symbol {text[:40]!r}; there are {', '.join(served.symbols)}"
        )
    return found


def span_of(request: Request, newest: datetime) -> tuple[datetime, datetime]:
    """The span of the address, by default the last 30 days.

    Raises:
        Problem: it is none.
    """
    given = request.query_params
    try:
        end = _hour(given["to"]) if "to" in given else newest + HOUR
        start = _hour(given["from"]) if "from" in given else end - timedelta(days=30)
    except ValueError as error:
        raise Problem("parameters", "from and to are instants, as 2026-03-01T00:00:00Z") from error
    start = max(start, end - timedelta(hours=MOST_POINTS))
    if start >= end:
        raise Problem("parameters", "the span is empty: from is not before to")
    return start, end


def _hour(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(text)
    return at.replace(minute=0, second=0, microsecond=0)


def span_links(request: Request, newest: datetime) -> list[tuple[str, str]]:
    """The spans to choose from, each with its word and address."""
    end = newest + HOUR
    out = []
    for word, days in SPANS.items():
        start = end - timedelta(days=days)
        asked = urlencode({"from": f"{start:%Y-%m-%dT%H:%MZ}", "to": f"{end:%Y-%m-%dT%H:%MZ}"})
        out.append((word, f"{request.url.path}?{asked}"))
    return out


def thinned(values: Sequence[float | None], most: int = PIXELS) -> tuple[float | None, ...]:
    """The values of a line, at most as many as can be seen."""
    return charts.thinned(values, most)


def thinned_times(times: Sequence[datetime], most: int = PIXELS) -> tuple[datetime, ...]:
    """The instants of such values."""
    return charts.thinned_times(times, most)


def bands_of(times: Sequence[datetime], labels: Sequence[str | None]) -> tuple[Band, ...]:
    """Each run of one label as a band; where the label is not known there is none."""
    out: list[Band] = []
    begin = 0
    for n in range(1, len(labels) + 1):
        if n == len(labels) or labels[n] != labels[begin]:
            label = labels[begin]
            if label is not None:
                known = label_of(label)
                colour = "extreme" if label == "BREAK" else known.colour
                out.append(Band(times[begin], times[n - 1] + HOUR, colour, known.word))
            begin = n
    return tuple(out)


def figure(chart: Chart) -> tuple[str, Markup, Markup, Markup]:
    """A chart as the templates take it: its title, its legend, its picture, the table behind it."""
    return chart.title, charts.legend(chart), charts.svg(chart), charts.table(chart)


def volatility_chart(
    times: Sequence[datetime],
    ratios: Sequence[float | None],
    regimes: Sequence[str | None],
    *,
    height: int,
    width: int = 1000,
) -> Chart:
    """The volatility ratio over its regimes, a small one with the points that can be seen."""
    most = PIXELS if width >= charts.WIDE else width  # small ones are shown at half their width
    return Chart(
        "Volatility against its 30-day median",
        thinned_times(times, most),
        (Line("ratio", thinned(ratios, most)),),
        bands_of(times, regimes),
        marks=(1.0, 1.5, 2.5),
        height=height,
        width=width,
    )
