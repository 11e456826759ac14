"""The page of the report: what each section shows, handed to the templates.

Belongs here: choosing and arranging what stands in :class:`ReportData`. Does not belong here: how it
looks (``templates/``), drawing (``charts``), reading tables (``report``). An unknown value is a dash
with its status, never a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from regime_pipeline.catalogue.fields.signals import FACTORS, SINGLE_COMPONENTS
from regime_pipeline.reporting import charts
from regime_pipeline.reporting.html import render_template
from regime_pipeline.reporting.models import whole
from regime_pipeline.reporting.queries import LATELY
from regime_pipeline.reporting.research import headlines
from regime_pipeline.reporting.summary import Summary
from regime_pipeline.reporting.withheld import QUARANTINED, WITHHELD
from regime_pipeline.settings import Settings
from regime_pipeline.sparkline import line
from regime_pipeline.windows import DAY, HOUR, Window
from regime_pipeline.wording.formats import UNKNOWN, known, share_text, stamp, words
from regime_pipeline.wording.labels import BANNERS, LABELS, SEVERITIES

SECTIONS = (
    ("overview", "Overview", "overview.html"),
    ("symbols", "Symbols", "symbols.html"),
    ("correlation", "Correlation", "correlation.html"),
    ("events", "Events", "events.html"),
    ("futures", "Futures score", "futures.html"),
    ("signals", "Signal components", "signals.html"),
    ("worth", "What signals were worth", "worth.html"),
    ("models", "Forecasting models", "models.html"),
    ("trading", "What trading would come to", "trading.html"),
    ("health", "Data health", "health.html"),
    ("reading", "How to read this", "reading.html"),
)
"""Anchor, name and template of each section."""
MAX_EVENTS = 1500
"""Events that the page lists; the counts cover all."""
SHOWN_EVENTS = 40
CHANGED_PAIRS = 10
SHOWN_HOURS = 20
SPARK_BUCKETS = 180
HELD_STATES = (WITHHELD, QUARANTINED)
CHART_REGIMES = (
    *("SPOT_IGNITION", "SPOT_COOLING", "SPOT_CHOP", "SPOT_NEUTRAL"),
    *("STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME"),
)


@dataclass(frozen=True)
class ReportData:
    """Everything that the page shows.

    Attributes:
        summary: the overview, health and counts that the printed summary shows too.
        settings: thresholds and weights.
        window: the part of the window that lies before now.
        bucket: length of the chart buckets, as pandas says it.
        series: by symbol, what its chart shows.
        factors: newest row of the futures score of each symbol.
        scores: futures score by symbol and bucket.
        components: newest row of the components and the confluence of each symbol.
        signal_pairs: newest correlation of each pair of components of each symbol.
        pairs: newest row of each pair of symbols.
        correlation: mean, low and high over the pairs, by bucket.
        breaks: number of break episodes in the window by pair.
        events: market events, in the order in which they are listed.
        coverage: hours by table and day.
        passports: of the newest judged day.
        models: of the newest judged day.
        consensus: newest row of each symbol of the last day.
        costs: the same of what trading would cost.
        paper: what each strategy came to by the newest walked day.
    """

    summary: Summary
    settings: Settings
    window: Window
    bucket: str
    series: dict[str, charts.SymbolSeries]
    factors: pd.DataFrame
    scores: dict[str, pd.Series]
    components: pd.DataFrame
    signal_pairs: pd.DataFrame
    pairs: pd.DataFrame
    correlation: pd.DataFrame
    breaks: dict[tuple[str, str], int]
    passports: list[dict[str, Any]]
    models: list[dict[str, Any]]
    consensus: list[dict[str, Any]]
    costs: list[dict[str, Any]]
    paper: list[dict[str, Any]]
    events: list[dict[str, Any]]
    coverage: pd.DataFrame


def render(data: ReportData) -> str:
    """The whole page."""
    return render_template(
        "report.html",
        title=f"Market regimes, {data.window.start:%Y-%m-%d} to {data.window.end - HOUR:%Y-%m-%d}",
        sections=SECTIONS,
        summary=data.summary,
        window=data.window,
        bucket=data.bucket,
        params=data.settings.params,
        top=_top(data),
        sparks={s: _spark(series.price) for s, series in data.series.items()},
        regime_legend=[(LABELS[name].word.lower(), LABELS[name].colour) for name in CHART_REGIMES],
        symbols=_symbols(data),
        correlation=_correlation(data),
        events=_events(data),
        futures=_futures(data),
        signals=_signals(data),
        passports=headlines(data.passports),
        models=whole(data.models),
        consensus=data.consensus,
        costs=data.costs,
        paper=data.paper,
        health=_health(data),
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts, unknown values as None."""
    plain = frame.astype(object)
    return plain.where(plain.notna(), None).to_dict("records")  # type: ignore[return-value]


def _spark(prices: pd.Series) -> str | None:
    shown = prices.iloc[-SPARK_BUCKETS:].to_numpy("float64")
    return line(shown, width=90, height=24, points=90)


def _top(data: ReportData) -> dict[str, Any]:
    """The banner, None for live data, and the cards: name, value, note."""
    s = data.summary
    banner = BANNERS.get(s.origin)
    if banner is not None and (s.label or s.detail):
        banner = (banner[0], f"{banner[1]} Source: {(s.label or s.detail or '').rstrip('.')}.")
    expected = sum(c.owed for c in s.coverage)
    unexpected = sum(c.unexpected for c in s.coverage)
    usable = sum(c.ok + c.partial for c in s.coverage)
    failing = [x for x in s.sources if x.failing]
    held = {state: sum(h.rows for h in s.held if h.state == state) for state in HELD_STATES}
    newest = max((e["known_at"] for e in s.events), default=None)
    cards = [
        ("Newest hour", stamp(s.as_of), f"{len(s.overview)} symbols"),
        (
            "Volatility",
            _counted(r["vol_regime_confirmed"] for r in s.overview) or UNKNOWN,
            "confirmed regimes",
        ),
        (
            "Futures signals",
            _counted(r["futures_signal"] for r in s.overview) or "none",
            f"null under {data.settings.params.futures.min_coverage_pct} % coverage",
        ),
        (
            "Events in the window",
            f"{sum(s.event_counts.values()):,}",
            "none" if newest is None else f"newest: {stamp(newest)}",
        ),
        (
            "Usable hours",
            share_text(usable / expected if expected else None, 1),
            f"{expected - usable:,} of {expected:,} are null or absent"
            + (f"; {unexpected:,} could not be recorded" if unexpected else ""),
        ),
        (
            "Sources",
            f"{len(failing)} failing" if failing else "all answered",
            f"{held[WITHHELD]:,} rows withheld, {held[QUARANTINED]:,} quarantined in the window",
        ),
    ]
    return {"banner": banner, "cards": cards}


def _counted(labels: Any) -> str:
    """How often each label occurs: ``2 stable, 1 high vol``."""
    counts = pd.Series(list(labels), dtype="object").value_counts()
    return ", ".join(f"{n} {words(label).lower()}" for label, n in counts.items())


def _symbols(data: ReportData) -> list[dict[str, Any]]:
    p = data.settings.params
    params = {
        "borders": p.volatility.borders,
        "anomaly_z": p.funding.anomaly_z_threshold,
        "extreme_z": p.funding.extreme_z_threshold,
    }
    now = {r["symbol"]: r for r in data.summary.overview}
    return [
        {
            "symbol": symbol,
            "now": now.get(symbol),
            "chart": charts.symbol_chart(symbol, series, data.window, params),
        }
        for symbol, series in data.series.items()
    ]


def _correlation(data: ReportData) -> dict[str, Any] | None:
    """The newest hour of all pairs, both ways round, and the pairs that changed most."""
    if data.pairs.empty:
        return None
    at = data.pairs["ts"].max()
    rows = _records(data.pairs[data.pairs["ts"].eq(at)])
    for row in rows:
        row["breaks"] = data.breaks.get((row["symbol_a"], row["symbol_b"]), 0)
    among = {*data.pairs["symbol_a"], *data.pairs["symbol_b"]}
    symbols = [s for s in data.series if s in among]
    quotes = {s.split("/")[1] for s in symbols}
    changed = [r for r in rows if r["abs_change"] is not None]
    changed.sort(key=lambda r: -abs(r["abs_change"]))
    pairs = {(r["symbol_a"], r["symbol_b"]): r for r in rows}
    band = data.correlation
    return {
        "at": at,
        "names": {s: s.split("/")[0] if len(quotes) == 1 else s for s in symbols},
        "rows": pairs | {(b, a): r for (a, b), r in pairs.items()},
        "changed": changed[:CHANGED_PAIRS],
        "chart": charts.correlation_chart(band["mean"], band["low"], band["high"], data.window),
    }


def _events(data: ReportData) -> dict[str, Any] | None:
    """Counts by type and severity, the first events of the list, the rest of it."""
    if not data.events:
        return None
    frame = pd.DataFrame(data.events)
    counts = (
        pd.crosstab(frame["event_type"], frame["alert_severity"])
        .reindex(columns=list(SEVERITIES))
        .fillna(0)
        .astype(int)
    )
    listed = data.events[:MAX_EVENTS]
    return {
        "chart": charts.event_chart(_event_bars(data, frame), data.window),
        "counts": list(zip(counts.index, counts.to_numpy().tolist(), strict=True)),
        "first": listed[:SHOWN_EVENTS],
        "more": listed[SHOWN_EVENTS:],
        "lately_days": LATELY.days,
        "cut_at": MAX_EVENTS if len(data.events) > MAX_EVENTS else None,
    }


def _event_bars(data: ReportData, events: pd.DataFrame) -> pd.DataFrame:
    """Events by day, or by week in long windows, and severity."""
    days = 7 if (data.window.end - data.window.start) > 60 * DAY else 1
    edges = pd.date_range(data.window.start, data.window.end, freq=f"{days}D", inclusive="left")
    at = pd.to_datetime(events["ts"], utc=True)
    slot = ((at - data.window.start) // pd.Timedelta(days=days)).clip(0, len(edges) - 1)
    bars = (
        pd.crosstab(slot, events["alert_severity"])
        .reindex(index=range(len(edges)), columns=list(SEVERITIES))
        .fillna(0)
    )
    bars.index = edges
    bars.attrs["days"] = days
    return bars


def _futures(data: ReportData) -> dict[str, Any] | None:
    """What each factor adds to the newest score of each symbol."""
    if data.factors.empty:
        return None
    futures = data.settings.params.futures
    weights = futures.weights_pct
    rows = _records(data.factors)
    for row in rows:
        row["factors"] = [_factor(row, name, weights[name]) for name in FACTORS]
    order = {s: i for i, s in enumerate(data.series)}
    rows.sort(key=lambda r: order.get(r["symbol"], len(order)))
    bounds = (futures.short_threshold, futures.long_threshold)
    return {
        "at": data.factors["ts"].max(),
        "weights": [(name, weights[name]) for name in FACTORS],
        "rows": rows,
        "chart": charts.score_chart(data.scores, data.window, bounds),
    }


def _factor(row: dict[str, Any], name: str, weight: float) -> dict[str, Any]:
    score = row[f"{name}_factor"]
    covered = max(1, int(row["coverage_pct"] or 0))
    return {
        "score": score,
        "points": weight * (score - 50) / covered if known(score) else None,
        "status": row[f"{name}_factor_status"],
        "reason": row[f"{name}_factor_reason"],
    }


def _signals(data: ReportData) -> dict[str, Any] | None:
    """The newest score of each component, the confluence, and how alike the components are."""
    if data.components.empty:
        return None
    rows = _records(data.components)
    for row in rows:
        row["scores"] = [
            {
                "score": row[f"{name}_score"],
                "status": row[f"{name}_status"],
                "reason": row[f"{name}_reason"],
            }
            for name in SINGLE_COMPONENTS
        ]
    order = {s: i for i, s in enumerate(data.series)}
    rows.sort(key=lambda r: order.get(r["symbol"], len(order)))
    pairs = data.signal_pairs.dropna(subset=["signal_corr"])
    mean = pairs.groupby(["component_a", "component_b"])["signal_corr"].mean()
    cells = zip(mean.index.to_list(), mean.to_list(), strict=True)
    both = {pair: value for (a, b), value in cells for pair in ((a, b), (b, a))}
    names = sorted({name for pair in both for name in pair})
    return {
        "at": data.components["ts"].max(),
        "names": SINGLE_COMPONENTS,
        "rows": rows,
        "matrix_names": names,
        "matrix": [(a, [both.get((a, b)) for b in names]) for a in names],
        "matrix_at": pairs["ts"].max() if len(pairs) else None,
    }


def _health(data: ReportData) -> dict[str, Any]:
    return {
        "quality": [q for q in data.summary.quality if q.score is not None],
        "shown_hours": SHOWN_HOURS,
        "strips": _strips(data.coverage, data.window.days()),
    }


def _strips(cover: pd.DataFrame, days: list[datetime]) -> dict[str, Any]:
    """A strip per table, a slice per day, neighbours of one class merged; in user units of the SVG."""
    left, width, row_height = 218, 812.0, 19
    step = width / max(1, len(days))
    rows = []
    for number, name in enumerate(dict.fromkeys(cover["table_name"])):
        kinds = [_kind(r) for r in cover[cover["table_name"].eq(name)].itertuples()]
        edges = [i for i in range(len(kinds)) if i == 0 or kinds[i] != kinds[i - 1]]
        spans = [
            (
                f"{left + first * step:.2f}",
                f"{(end - first) * step:.2f}",
                kinds[first],
                f"{days[first]:%Y-%m-%d} to {days[end - 1]:%Y-%m-%d}",
            )
            for first, end in zip(edges, [*edges[1:], len(kinds)], strict=True)
        ]
        rows.append({"name": name, "y": number * row_height + 4, "spans": spans})
    shown = range(0, len(days), max(1, -(-len(days) // 8)))
    return {
        "left": left,
        "height": len(rows) * row_height + 24,
        "rows": rows,
        "axis": [(f"{left + i * step:.1f}", f"{days[i]:%d %b %y}") for i in shown],
    }


def _kind(row: Any) -> str:
    """The class of a day: how many of its hours are usable."""
    usable = row.ok + row.partial
    if row.owed <= 0:
        return "unexpected"
    if usable >= row.owed:
        return "full"
    if usable:
        return "part" if usable >= 0.9 * row.owed else "few"
    return "absent" if row.unusable == 0 else "null"
