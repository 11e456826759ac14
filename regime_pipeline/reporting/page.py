"""The page of the report: sections, tables and texts as HTML.

Belongs here: laying out :class:`ReportData`. Every text that comes
from data is escaped. An unknown value is a dash with its status, never a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any

import pandas as pd

from regime_pipeline.catalogue.fields.signals import FACTORS
from regime_pipeline.reporting import charts
from regime_pipeline.reporting.summary import (
    UNKNOWN,
    Summary,
    age_text,
    percent_text,
    price_text,
    usd_text,
)
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, HOUR, Window

BANNERS = {
    "simulated": (
        "Simulated data",
        "These numbers come from a generator, not from any market. Do not act on them.",
    ),
    "tape": (
        "Replayed history",
        "These numbers are of the past, replayed from a recording; they say nothing about today.",
    ),
}
MAX_EVENTS = 1500
"""Newest events that the table lists; the counts cover all."""
SHOWN_EVENTS = 40
CHANGED_PAIRS = 10


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
        pairs: newest row of each pair of symbols.
        correlation: mean, low and high over the pairs, by bucket.
        breaks: number of break episodes in the window by pair.
        events: market events, newest first.
        coverage: hours by table and day.
    """

    summary: Summary
    settings: Settings
    window: Window
    bucket: str
    series: dict[str, charts.SymbolSeries]
    factors: pd.DataFrame
    scores: dict[str, pd.Series]
    pairs: pd.DataFrame
    correlation: pd.DataFrame
    breaks: dict[tuple[str, str], int]
    events: list[dict[str, Any]]
    coverage: pd.DataFrame


def render(data: ReportData) -> str:
    """The whole page."""
    sections = [
        ("overview", "Overview", _overview(data)),
        ("symbols", "Symbols", _symbols(data)),
        ("correlation", "Correlation", _correlation(data)),
        ("events", "Events", _events(data)),
        ("futures", "Futures score", _futures(data)),
        ("health", "Data health", _health(data)),
        ("reading", "How to read this", _legend(data)),
    ]
    return document(
        f"Market regimes, {data.window.start:%Y-%m-%d} to {data.window.end - HOUR:%Y-%m-%d}",
        _top(data),
        sections,
        f"Written {_stamp(data.summary.generated_at)} UTC from the tables of this run. "
        "All times are UTC; an hour is named by its open.",
    )


def document(title: str, top: str, sections: list[tuple[str, str, str]], footer: str) -> str:
    """One HTML file that needs nothing else: a header, sections (anchor, name, HTML), a footer."""
    css = (files("regime_pipeline.reporting") / "templates" / "report.css").read_text("utf-8")
    links = "".join(f'<a href="#{key}">{escape(name)}</a>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}"><h2>{escape(name)}</h2>{html}</section>'
        for key, name, html in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{css}</style></head>'
        f"<body><main>{top}<nav>{links}</nav>{body}<footer>{footer}</footer></main></body></html>\n"
    )


# --- small parts ----------------------------------------------------------------------------------


def _known(value: Any) -> bool:
    return (
        value is not None
        and not (isinstance(value, float) and math.isnan(value))
        and (value is not pd.NA and value is not pd.NaT)
    )


def _stamp(at: datetime | None) -> str:
    return UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M}"


def _words(status: Any) -> str:
    return escape(str(status).replace("_", " "))


def _chip(label: Any, status: Any = None, shown: str | None = None) -> str:
    if not _known(label):
        return f'<span class="sub">{_words(status) if _known(status) else UNKNOWN}</span>'
    text = shown or str(label).removeprefix("SPOT_").replace("_", " ")
    colour = {
        **charts.LABEL_COLOURS, "LONG": "shorts", "SHORT": "longs", "NEUTRAL": "neutral",
        "CRITICAL": "extreme", "WARNING": "highvol", "INFO": "neutral", "ok": "stable",
        "partial": "highvol", "empty": "highvol", "failing": "extreme", "skipped": "neutral",
    }.get(str(label), "neutral")  # fmt: skip
    return f'<span class="chip" style="--c:var(--{colour})">{escape(text)}</span>'


def _cell(text: str | None, kind: str = "num", status: Any = None) -> str:
    if text is None or text == UNKNOWN:
        return f'<td class="{kind} null">{_words(status) if _known(status) else UNKNOWN}</td>'
    return f'<td class="{kind}">{text}</td>'


def _head(*names: str) -> str:
    cells = "".join(
        f'<th class="num">{escape(n[1:])}</th>' if n.startswith(">") else f"<th>{escape(n)}</th>"
        for n in names
    )
    return f"<thead><tr>{cells}</tr></thead>"


def _moved(percent: float | None) -> str | None:
    if not _known(percent):
        return None
    text = percent_text(percent)
    return f'<span class="{"down" if text.startswith("-") else "up"}">{text}</span>'


def _sub(main: str, note: str | None) -> str:
    return main + (f'<span class="sub below">{note}</span>' if note else "")


def _spark(values: pd.Series) -> str:
    """A line without axes; gaps stay gaps."""
    shown = values.iloc[-min(len(values), 180) :]
    low, high = shown.min(), shown.max()
    if not (shown.notna().sum() > 1 and high > low):
        return ""
    step = max(1, len(shown) // 90)
    shown = shown.iloc[::step]
    parts, pen = [], "M"
    for i, value in enumerate(shown.to_numpy()):
        if math.isnan(value):
            pen = "M"
            continue
        x, y = 90 * i / max(1, len(shown) - 1), 22 - 20 * (value - low) / (high - low)
        parts.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return f'<svg class="spark" viewBox="0 0 90 24" aria-hidden="true"><path d="{"".join(parts)}"/></svg>'


def _legend_line(*labels: tuple[str, str], hatch: str | None = None) -> str:
    items = "".join(f'<span><i style="--c:var(--{c})"></i>{escape(n)}</span>' for n, c in labels)
    if hatch:
        items += f'<span><i class="hatch"></i>{escape(hatch)}</span>'
    return f'<div class="legend">{items}</div>'


def _card(name: str, value: str, note: str = "") -> str:
    return (
        f'<div class="card"><div class="name">{escape(name)}</div>'
        f'<div class="value">{value}</div><div class="note">{note}</div></div>'
    )


# --- sections -------------------------------------------------------------------------------------


def _top(data: ReportData) -> str:
    s = data.summary
    banner = ""
    if s.origin in BANNERS:
        head, text = BANNERS[s.origin]
        detail = f" Source: {escape(s.label or s.detail or '')}." if s.label or s.detail else ""
        banner = f'<div class="banner" role="alert"><strong>{head}</strong>{text}{detail}</div>'
    counts = pd.Series([r["vol_regime_confirmed"] for r in s.overview]).value_counts()
    calm = ", ".join(f"{n} {str(k).replace('_', ' ').lower()}" for k, n in counts.items())
    signals = pd.Series([r["futures_signal"] for r in s.overview]).value_counts()
    leaning = ", ".join(f"{n} {str(k).lower()}" for k, n in signals.items())
    owed = sum(c.owed for c in s.coverage)
    usable = sum(c.ok + c.partial for c in s.coverage)
    failing = [x for x in s.sources if x.failing]
    last = s.events[0] if s.events else None
    cards = [
        _card("Newest hour", _stamp(s.as_of), f"{len(s.overview)} symbols"),
        _card("Volatility", escape(calm) or UNKNOWN, "confirmed regimes"),
        _card("Futures signals", escape(leaning) or "none", "null under 70 % coverage"),
        _card(
            "Events in the window",
            f"{sum(s.event_counts.values()):,}",
            f"newest: {_stamp(last['known_at'])}" if last else "none",
        ),
        _card(
            "Usable hours",
            f"{100 * usable / owed:.1f} %" if owed else UNKNOWN,
            f"{owed - usable:,} of {owed:,} are null or absent",
        ),
        _card(
            "Sources",
            f"{len(failing)} failing" if failing else "all answered",
            f"{sum(x.quarantined for x in s.sources):,} rows quarantined",
        ),
    ]
    span = f"{_stamp(data.window.start)} to {_stamp(data.window.end)} UTC"
    return (
        f'<header class="top"><h1>Market regimes</h1><p class="muted">{span} · '
        f"{escape(s.origin)} data · {len(data.series)} symbols</p>{banner}"
        f'<div class="cards">{"".join(cards)}</div></header>'
    )


def _overview(data: ReportData) -> str:
    s = data.summary
    if not s.overview:
        return (
            '<div class="panel">The table reporting.market_overview is empty: the reporting tables '
            "have not been built for this database yet.</div>"
        )
    body = []
    for r in s.overview:
        anchor = _anchor(r["symbol"])
        moves = "".join(_cell(_moved(r[f"price_change_{h}_pct"])) for h in ("1h", "24h", "7d"))
        volatility = _sub(
            _chip(r["vol_regime_confirmed"], r["volatility_status"]),
            f"{r['vol_ratio_gk']:.2f}×" if _known(r["vol_ratio_gk"]) else None,
        )
        regime = _sub(
            _chip(r["primary_regime"], r["regime_status"]),
            f"{r['agreement_count']}/{r['frames_available']}" if r["primary_regime"] else None,
        )
        funding = (
            _sub(
                f"{100 * r['funding_rate_8h']:+.4f} %",
                f"z {r['funding_z']:+.1f}" if _known(r["funding_z"]) else None,
            )
            if _known(r["funding_rate_8h"])
            else None
        )
        longs, shorts = r["long_liquidations_24h_usd"], r["short_liquidations_24h_usd"]
        forced = (
            _sub(f"{usd_text(longs)} long", f"{usd_text(shorts)} short") if _known(longs) else None
        )
        signal = _sub(
            _chip(r["futures_signal"], r["futures_status"]),
            f"{r['futures_score']:.0f} at {r['futures_coverage_pct']} %"
            if _known(r["futures_score"])
            else _covered(r["futures_coverage_pct"]),
        )
        broken = (
            _sub(
                escape(r["correlation_break_with"]),
                f"-{100 * r['correlation_rel_drop']:.0f} %",
            )
            if r["correlation_break_with"]
            else None
        )
        no_break = "none" if r["correlation_status"] == "ok" else r["correlation_status"]
        spark = _spark(data.series[r["symbol"]].price) if r["symbol"] in data.series else ""
        body.append(
            f'<tr><td><a href="#{anchor}" style="color:inherit"><b>{escape(r["symbol"])}</b></a></td>'
            + _cell(price_text(r["price"]), "num", r["price_status"])
            + moves
            + f"<td>{spark}</td><td>{regime}</td><td>{volatility}</td>"
            + _cell(funding, "num", r["funding_status"])
            + _cell(forced, "num", r["liquidations_status"])
            + f"<td>{signal}</td>"
            + _cell(broken, "", no_break)
            + "</tr>"
        )
    head = _head(
        "symbol", ">price", ">1 h", ">24 h", ">7 d", "trend", "primary regime", "volatility",
        ">funding 8 h", ">liquidated 24 h", "futures", "open break",
    )  # fmt: skip
    missing = ""
    if s.missing_symbols:
        missing = (
            f'<p class="small muted">Without any row: {escape(", ".join(s.missing_symbols))}.</p>'
        )
    greed = next((r for r in s.overview), None)
    mood = ""
    if greed is not None:
        value = greed["fear_greed"]
        shown = f"{value:.0f}" if _known(value) else _words(greed["fear_greed_status"])
        mood = f" Fear &amp; Greed: <b>{shown}</b>."
    return (
        f'<div class="panel"><p class="small muted">State at the hour {_stamp(s.as_of)}.{mood} '
        "Below a regime: how many timeframes agree with each other; below a futures signal: the score "
        "and the weight of the factors that were known.</p>"
        f'<div class="scroll"><table>{head}<tbody>{"".join(body)}</tbody></table></div>{missing}</div>'
    )


def _covered(percent: int | None) -> str | None:
    return f"coverage {percent} %" if _known(percent) else None


def _anchor(symbol: str) -> str:
    return "s-" + "".join(c if c.isalnum() else "-" for c in symbol)


def _symbols(data: ReportData) -> str:
    p = data.settings.params
    params = {
        "borders": p.volatility.borders,
        "anomaly_z": p.funding.anomaly_z_threshold,
        "extreme_z": p.funding.extreme_z_threshold,
    }
    labels = [("ignition", "ignition"), ("cooling", "cooling"), ("chop", "chop")]
    labels += [("neutral", "neutral"), ("stable", "stable"), ("high vol", "highvol")]
    labels += [("explosive", "explosive"), ("extreme", "extreme")]
    now = {r["symbol"]: r for r in data.summary.overview}
    out = [
        '<p class="small muted">Buckets of '
        f"{data.bucket}: the price is the last close, the ratio the largest of its hours, "
        "liquidations are summed (by day in windows beyond 120 days). "
        "Gaps in a line are unknown values.</p>",
        _legend_line(*labels, hatch="no price known"),
    ]
    for symbol, series in data.series.items():
        r = now.get(symbol)
        chips = ""
        if r is not None:
            chips = (
                _chip(r["primary_regime"], r["regime_status"])
                + _chip(r["vol_regime_confirmed"], r["volatility_status"])
                + f'<span class="sub">{escape(r["last_event_title"] or "no event yet")}</span>'
            )
        out.append(
            f'<div class="panel" id="{_anchor(symbol)}"><div class="head"><h3>{escape(symbol)}</h3>'
            f'{chips}</div><div class="scroll chart">'
            f"{charts.symbol_chart(symbol, series, data.window, params)}</div></div>"
        )
    return "".join(out)


def _tint(value: float, reach: float) -> str:
    """Background by sign and size."""
    share = max(-1.0, min(1.0, value / reach)) if reach else 0.0
    colour = "shorts" if share >= 0 else "longs"
    return f"background:color-mix(in srgb, var(--{colour}) {abs(share) * 70:.0f}%, transparent)"


def _correlation(data: ReportData) -> str:
    pairs = data.pairs
    if pairs.empty:
        return '<div class="panel">No correlation is stored for this window.</div>'
    at = pairs["ts"].max()
    symbols = sorted({*pairs["symbol_a"], *pairs["symbol_b"]})
    quotes = {s.split("/")[1] for s in symbols}
    names = {s: s.split("/")[0] if len(quotes) == 1 else s for s in symbols}
    found = {(r.symbol_a, r.symbol_b): r for r in pairs.itertuples() if r.ts == at}
    body = []
    for a in symbols:
        cells = []
        for b in symbols:
            row = found.get((min(a, b), max(a, b)))
            if a == b:
                cells.append('<td class="self">·</td>')
            elif row is None or not _known(row.corr_7d):
                why = "no row" if row is None else _words(row.reason or row.status)
                cells.append(f'<td class="none" title="{why}">{UNKNOWN}</td>')
            else:
                mark = " *" if _known(row.is_break) and bool(row.is_break) else ""
                cells.append(
                    f'<td style="{_tint(row.corr_7d, 1.0)}" title="{escape(a)} and {escape(b)}: base '
                    f'{row.corr_30d_base:.2f}">{row.corr_7d:.2f}{mark}</td>'
                )
        body.append(f'<tr><th scope="row">{escape(names[a])}</th>{"".join(cells)}</tr>')
    head = "<tr><th></th>" + "".join(f"<th>{escape(names[s])}</th>" for s in symbols) + "</tr>"
    changed = pairs[pairs["ts"].eq(at) & pairs["abs_change"].notna()].copy()
    changed = changed.reindex(changed["abs_change"].abs().sort_values(ascending=False).index)
    lines = "".join(
        f"<tr><td>{escape(names[r.symbol_a])} and {escape(names[r.symbol_b])}</td>"
        + _cell(f"{r.corr_30d_base:.2f}")
        + _cell(f"{r.corr_7d:.2f}")
        + _cell(_signed(r.abs_change))
        + _cell(f"{r.p_break:.3f}" if _known(r.p_break) else None)
        + _cell(str(data.breaks.get((r.symbol_a, r.symbol_b), 0)))
        + "</tr>"
        for r in changed.head(CHANGED_PAIRS).itertuples()
    )
    table = _head("pair", ">30 d base", ">7 d now", ">change", ">p", ">breaks in window")
    band = data.correlation
    return (
        '<div class="two"><div class="panel"><div class="head"><h3>Last 7 days</h3>'
        f'<span class="sub">hour {_stamp(at)}, * open break</span></div><div class="scroll">'
        f'<table class="heat">{head}{"".join(body)}</table></div></div>'
        '<div class="panel"><div class="head"><h3>Most changed pairs</h3>'
        '<span class="sub">against the 30 days before</span></div>'
        f'<div class="scroll"><table>{table}<tbody>{lines}</tbody></table></div></div></div>'
        '<div class="panel" style="margin-top:1rem"><div class="scroll chart">'
        f"{charts.correlation_chart(band['mean'], band['low'], band['high'], data.window)}</div></div>"
    )


def _signed(value: float) -> str:
    return f'<span class="{"up" if value >= 0 else "down"}">{value:+.2f}</span>'


def _events(data: ReportData) -> str:
    if not data.events:
        return '<div class="panel">No market event in this window.</div>'
    frame = pd.DataFrame(data.events)
    counts = (
        pd.crosstab(frame["event_type"], frame["alert_severity"])
        .reindex(columns=["CRITICAL", "WARNING", "INFO"])
        .fillna(0)
        .astype(int)
    )
    days = 7 if (data.window.end - data.window.start) > 60 * DAY else 1
    edges = pd.date_range(data.window.start, data.window.end, freq=f"{days}D", inclusive="left")
    at = pd.to_datetime(frame["ts"], utc=True)
    slot = ((at - data.window.start) // pd.Timedelta(days=days)).clip(0, len(edges) - 1)
    weekly = (
        pd.crosstab(slot, frame["alert_severity"])
        .reindex(index=range(len(edges)), columns=counts.columns)
        .fillna(0)
    )
    weekly.index = edges
    weekly.attrs["days"] = days
    rows = [
        f"<tr><td>{_stamp(e['known_at'])}</td><td>{_chip(e['alert_severity'])}</td>"
        f"<td>{_words(e['event_type']).lower()}</td><td>{escape(e['kind'])}</td>"
        f'<td class="wrap">{escape(e["title"])}</td></tr>'
        for e in data.events[:MAX_EVENTS]
    ]
    head = _head("known at", "severity", "type", "kind", "event")
    more = ""
    if len(rows) > SHOWN_EVENTS:
        cut = "" if len(data.events) <= MAX_EVENTS else f", cut at {MAX_EVENTS}"
        more = (
            f"<details><summary>{len(rows) - SHOWN_EVENTS} earlier events{cut}</summary>"
            f'<div class="scroll"><table>{head}<tbody>{"".join(rows[SHOWN_EVENTS:])}</tbody></table>'
            "</div></details>"
        )
    totals = "".join(
        f"<tr><td>{_words(name).lower()}</td>"
        + "".join(_cell(str(n)) for n in row)
        + _cell(f"<b>{sum(row)}</b>")
        + "</tr>"
        for name, row in zip(counts.index, counts.to_numpy().tolist(), strict=True)
    )
    count_head = _head("type", ">critical", ">warning", ">info", ">all")
    return (
        '<div class="panel"><div class="scroll chart">'
        f"{charts.event_chart(weekly, data.window)}</div>"
        f'<div class="scroll"><table>{count_head}<tbody>{totals}</tbody></table></div></div>'
        f'<div class="panel"><div class="scroll"><table>{head}'
        f"<tbody>{''.join(rows[:SHOWN_EVENTS])}</tbody></table></div>{more}</div>"
    )


def _futures(data: ReportData) -> str:
    f = data.factors
    if f.empty:
        return '<div class="panel">No futures score is stored for this window.</div>'
    weights = data.settings.params.futures.weights_pct
    body = []
    for r in f.to_dict("records"):
        cells = []
        for name in FACTORS:
            score, status = r[f"{name}_factor"], r[f"{name}_factor_status"]
            if not _known(score):
                why = r[f"{name}_factor_reason"]
                title = _words(why) if _known(why) else ""
                cells.append(f'<td class="none" title="{title}">{_words(status)}</td>')
                continue
            given = weights[name] * (score - 50) / max(1, int(r["coverage_pct"] or 0))
            cells.append(
                f'<td style="{_tint(given, 6.0)}" title="sub-score {score:.1f}">{given:+.1f}</td>'
            )
        score = r["futures_score"]
        covered = _known(score)
        shown = f"<b>{score:.1f}</b>" if covered else None
        cover = r["coverage_pct"]
        body.append(
            f'<tr><th scope="row">{escape(r["symbol"])}</th>'
            + "".join(cells)
            + _cell(shown, "num", r["status"])
            + f"<td>{_chip(r['futures_signal'], r['reason'] if _known(r['reason']) else r['status'])}</td>"
            + _cell(f"{cover} %" if _known(cover) else None)
            + "</tr>"
        )
    head = (
        "<tr><th></th>"
        + "".join(f"<th>{_words(n)}<br>{weights[n]} %</th>" for n in FACTORS)
        + "<th>score</th><th>signal</th><th>coverage</th></tr>"
    )
    bounds = (
        data.settings.params.futures.short_threshold,
        data.settings.params.futures.long_threshold,
    )
    at = _stamp(f["ts"].max())
    return (
        f'<div class="panel"><p class="small muted">Points that each factor adds to 50 at the hour '
        f"{at}: weight x (sub-score - 50) / coverage. A hatched factor is unknown and carries no "
        "weight; it is not read as neutral.</p>"
        f'<div class="scroll"><table class="heat">{head}{"".join(body)}</table></div></div>'
        '<div class="panel"><p class="small muted">Score over the window. The upper band is LONG, the '
        'lower SHORT; gaps have too little coverage.</p><div class="scroll chart">'
        f"{charts.score_chart(data.scores, data.window, bounds)}</div></div>"
    )


def _health(data: ReportData) -> str:
    s = data.summary
    rows = "".join(
        f"<tr><td>{escape(x.dataset)}</td><td>{escape(x.source)}</td><td>{_chip(x.state)}</td>"
        + _cell(f"{x.rows:,}")
        + _cell(_stamp(x.newest), "num", "no rows")
        + _cell(age_text(x.lag_h))
        + _cell(_stamp(x.last_success), "num", "never")
        + _cell(f"{x.quarantined:,}")
        + f'<td class="wrap">{escape(_failure(x))}</td></tr>'
        for x in s.sources
    )
    head = _head(
        "dataset", "source", "state", ">rows", ">newest", ">lag", ">last answer", ">quarantined",
        "what failed",
    )  # fmt: skip
    sources = (
        f'<div class="panel"><div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div></div>'
        if s.sources
        else '<div class="panel">Nothing was fetched for this window.</div>'
    )
    covered = "".join(
        f"<tr><td>{escape(c.table)}</td>"
        + _cell(f"{c.owed:,}")
        + _cell(f"{c.ok:,}")
        + _cell(f"{c.partial:,}")
        + _cell(f"{c.unusable:,}")
        + _cell(f"{c.absent:,}")
        + _cell("0.0 %" if c.usable_frac == 0 else f"{100 * (c.usable_frac or 0):.1f} %")
        + "</tr>"
        for c in s.coverage
    )
    cover_head = _head(
        "table", ">hours owed", ">ok", ">partial", ">null, with a reason", ">no row", ">usable"
    )
    return (
        sources
        + _quality(data)
        + _hours_panel(data)
        + '<div class="panel"><div class="head"><h3>Usable hours by day</h3></div>'
        + _legend_line(
            ("all", "stable"),
            ("90 % and more", "highvol"),
            ("less", "explosive"),
            ("none: rows are null", "extreme"),
            ("no row at all", "missing"),
        )
        + f'<div class="scroll chart">{_coverage_strips(data)}</div>'
        + "<details><summary>Hours in numbers</summary>"
        + f'<div class="scroll"><table>{cover_head}<tbody>{covered}</tbody></table></div></details></div>'
    )


def _quality(data: ReportData) -> str:
    """Data-quality score of every table on the newest judged day."""
    judged = [q for q in data.summary.quality if q.score is not None]
    if not judged:
        return '<div class="panel">Data quality was not judged in this window.</div>'
    head = _head("table", ">score", ">rows withheld", "what failed")
    rows = "".join(
        f"<tr><td>{escape(q.table)}</td>"
        + _cell(f"{q.score:.1f}")
        + _cell(f"{q.withheld:,}")
        + f'<td class="wrap">{escape("; ".join(q.failing)) or "nothing"}</td></tr>'
        for q in judged
    )
    return (
        f'<div class="panel"><div class="head"><h3>Data quality on {judged[0].day:%Y-%m-%d}</h3>'
        f'</div><div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div></div>'
    )


SHOWN_HOURS = 20


def _hours_panel(data: ReportData) -> str:
    """Raw hours that we missed and that venues lack."""
    found = data.summary.hours
    words = {"missed": "missed", "venue_had_none": "the venue had none"}
    rows = "".join(
        f"<tr><td>{escape(words.get(x.state, x.state))}</td><td>{escape(x.dataset)}</td>"
        f"<td>{escape(x.source)} {escape(x.market)}</td>"
        + _cell(f"{x.hours:,}")
        + f'<td class="wrap">{escape(", ".join(x.symbols))}</td><td class="wrap">{escape(x.stretches)}</td>'
        + f'<td class="wrap">{escape(x.reason or "")}</td></tr>'
        for x in found[:SHOWN_HOURS]
    )
    head = _head("raw hours", "dataset", "source", ">hours", "symbols", "when (UTC)", "why")
    more = f"<p>{len(found) - SHOWN_HOURS} further lines.</p>" if len(found) > SHOWN_HOURS else ""
    title = '<div class="head"><h3>Raw hours that are not there</h3></div>'
    if not found:
        return f'<div class="panel">{title}None missed, none lacking at a venue.</div>'
    return (
        f'<div class="panel">{title}<div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>'
        f"{more}</div>"
    )


def _failure(x: Any) -> str:
    if x.failing:
        return f"{x.failing} failed ({', '.join(x.error_classes) or 'unknown'}): {x.message or ''}"
    return x.message or ""


def _coverage_strips(data: ReportData) -> str:
    """A strip per table, a slice per day, neighbours of one class merged."""
    cover = data.coverage
    names = list(dict.fromkeys(cover["table_name"]))
    days = data.window.days()
    left, width, line = 218.0, 812.0, 19
    step = width / max(1, len(days))
    parts = []
    for row, name in enumerate(names):
        y = row * line + 4
        parts.append(
            f'<text x="{left - 8:.0f}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
        )
        kinds = [_kind(r) for r in cover[cover["table_name"].eq(name)].itertuples()]
        first = 0
        for i in range(1, len(kinds) + 1):
            if i == len(kinds) or kinds[i] != kinds[first]:
                what = f"{days[first]:%Y-%m-%d} to {days[i - 1]:%Y-%m-%d}"
                parts.append(
                    f'<rect class="{kinds[first]}" x="{left + first * step:.2f}" y="{y}" '
                    f'width="{(i - first) * step:.2f}" height="14"><title>{escape(name)}: {what}'
                    "</title></rect>"
                )
                first = i
    bottom = len(names) * line + 18
    for i in range(0, len(days), max(1, -(-len(days) // 8))):
        parts.append(
            f'<text class="axis" x="{left + i * step:.1f}" y="{bottom}">{days[i]:%d %b %y}</text>'
        )
    return (
        f'<svg class="cover" viewBox="0 0 1040 {bottom + 6}" role="img">'
        f"<title>Usable hours by table and day</title>{''.join(parts)}</svg>"
    )


def _kind(row: Any) -> str:
    usable = row.ok + row.partial
    if usable >= row.owed:
        return "full"
    if usable:
        return "part" if usable >= 0.9 * row.owed else "few"
    return "absent" if row.unusable == 0 else "null"


def _legend(data: ReportData) -> str:
    p = data.settings.params
    low, mid, high = p.volatility.borders
    words = [
        (
            "Primary regime",
            "The label that at least half of the four timeframes (1h, 4h, 1d, 1w) share, once it held "
            "for three hours. IGNITION: rising with heat and volume. COOLING: falling. CHOP: moving "
            "without getting anywhere. NEUTRAL: none of them.",
        ),
        (
            "Volatility regime",
            f"Volatility of the last 24 hours against its own 30-day median: STABLE below {low:g}, "
            f"HIGH VOL to {mid:g}, EXPLOSIVE to {high:g}, EXTREME above, after hysteresis and "
            "confirmation.",
        ),
        (
            "Funding z",
            "How unusual the newest settled funding rate is against the 30 days before it. Above "
            f"{p.funding.anomaly_z_threshold:g} longs pay unusually much, below "
            f"-{p.funding.anomaly_z_threshold:g} shorts do.",
        ),
        (
            "Cascade",
            "An hour in which forced closures are large both in dollars and against the symbol's own "
            "last 30 days. The triangle points where the price was pushed: down when longs were closed.",
        ),
        (
            "Correlation break",
            "The 7-day correlation of a pair lost more than half of its base and the change is beyond "
            "chance, adjusted for the number of pairs.",
        ),
        (
            "Futures score",
            f"50 is neutral; LONG from {p.futures.long_threshold:g}, SHORT to "
            f"{p.futures.short_threshold:g}. Below {p.futures.min_coverage_pct} % coverage there is no "
            "score and no signal.",
        ),
        (
            "Unknown values",
            "A gap, a dash, a hatched cell or a status in italics means that the value is not known. "
            "Nothing is filled in or assumed to be neutral; zero always means an observed zero.",
        ),
        (
            "When a value was known",
            "A row of hour h uses only what was known at h + 1 hour; no value is ever judged with data "
            "from its future.",
        ),
    ]
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in words)
    return f'<div class="panel"><dl>{items}</dl></div>'
