"""The pages: what each shows and where its rows come from.

Belongs here: choosing rows and arranging them. Does not belong here: markup (``templates``), geometry
(``charts``), words and colours (``wording``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request

from regime_pipeline.api.answers import Served
from regime_pipeline.api.endpoints import ENDPOINTS, VERSION
from regime_pipeline.api.params import known_parameters, symbol_named
from regime_pipeline.api.problems import Problem
from regime_pipeline.api.why import explain
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.dashboard import charts
from regime_pipeline.dashboard.charts import Band, Chart, Line
from regime_pipeline.dashboard.data import HOUR, MOST_POINTS, Row, by_hour, kept, rows, series
from regime_pipeline.dashboard.markup import part
from regime_pipeline.wording.formats import usd_text
from regime_pipeline.wording.labels import SEVERITIES, label_of

LIVE_STALE_S = 20.0
"""A live price is older than the collector makes them: it is silent, or its venue is."""
PIXELS = 1600
"""Values a line has at most; longer spans are drawn by the least and the largest of each pixel."""
_IN_A_LIST = ("event_id", "alert_severity", "known_at", "title")
_CARDS = ("volatility", "cascades", "funding", "pairs", "events", "sources")
SPANS = {"1 d": 1, "7 d": 7, "30 d": 30, "90 d": 90, "1 y": 365, "5 y": 1826}


# ------------------------------------------------------------------------------------ pages


async def now_page(served: Served, _: Request) -> tuple[str, dict[str, Any]]:
    """The market at its newest hour."""
    _, newest = await served.feed.newest()
    events = await rows(served, "market_events", limit=12, columns=_IN_A_LIST)
    if newest is None:
        return "now.html", {"title": "Now", "parts": {}, "cards": [], "events": events}
    day = newest + HOUR - timedelta(days=1)
    state = await kept(
        served, ("now", newest), ("market_overview",), lambda: _state_parts(served, newest)
    )
    pairs = await kept(
        served, ("pairs", newest), ("correlation_pairs_1h",), lambda: _pair_parts(served, newest)
    )
    cascades = await kept(
        served, ("cascades", newest), ("cascades_1h",), lambda: _cascade_parts(served, day, newest)
    )
    fresh = await rows(
        served, "market_events", start=day, limit=1000, columns=("event_id", "alert_severity")
    )
    sources = await rows(served, "source_health", limit=1000, columns=("source", "status"))
    cards = {**state["cards"], **pairs["cards"], **cascades["cards"]}
    cards |= {"events": _events_card(fresh), "sources": _sources_card(sources)}
    parts = {n: Markup(m) for of in (state, pairs) for n, m in of["parts"].items()}  # noqa: S704
    return "now.html", {
        "title": "Now",
        "parts": parts,
        "cards": [cards[n] for n in _CARDS],
        "events": events,
    }


async def _state_parts(served: Served, newest: datetime) -> dict[str, Any]:
    """What the page Now shows of the newest hour of each symbol."""
    overview = await rows(served, "market_overview", symbols=served.symbols, limit=1000)
    overview.sort(key=lambda r: _place(served.symbols, r["symbol"]))
    drawn = await kept(served, ("pictures", newest), ("hourly",), lambda: _pictures(served, newest))
    most = max((sum(_sides(r)) for r in overview), default=0.0)
    for row in overview:
        row["spark"], row["chart"] = (Markup(m) for m in drawn[row["symbol"]])  # noqa: S704
        row["sides"] = charts.sides(
            row["long_liquidations_24h_usd"], row["short_liquidations_24h_usd"], most
        )
        row["frames"] = [row[f"regime_{f}"] for f in ("1h", "4h", "1d", "1w")]
    return {
        "cards": _state_cards(overview),
        "parts": {
            "overview": part("now_parts.html", "overview_table", overview),
            "liquidations": part("now_parts.html", "liquidations", overview),
            "volatility": part("now_parts.html", "volatility", overview),
        },
    }


async def _pair_parts(served: Served, newest: datetime) -> dict[str, Any]:
    pairs = await rows(served, "correlation_pairs_1h", start=newest, end=newest + HOUR, limit=1000)
    matrix = _matrix(pairs, served.symbols)
    return {
        "cards": {"pairs": _pairs_card(pairs)},
        "parts": {"matrix": part("now_parts.html", "matrix_table", matrix)},
    }


async def _cascade_parts(served: Served, start: datetime, newest: datetime) -> dict[str, Any]:
    found = await rows(
        served, "cascades_1h", symbols=served.symbols, start=start, end=newest + HOUR, limit=1000,
        columns=("symbol", "severity", "is_cascade", "long_liquidations_usd"),
    )  # fmt: skip
    return {"cards": {"cascades": _cascades_card(found)}}


async def _pictures(served: Served, newest: datetime) -> dict[str, list[str]]:
    """The price and the volatility of 30 days, by symbol: most of what the page costs."""
    begin = newest - timedelta(days=30)
    columns = ("price", "vol_ratio_gk", "vol_regime_confirmed")
    times, found = await series(
        served, "hourly", columns, symbols=served.symbols, start=begin, end=newest + HOUR
    )
    return {
        symbol: [
            charts.spark(charts.thinned(prices, 180), f"{symbol}, 30 days"),
            charts.svg(_volatility_chart(times, ratios, regimes, height=110, width=420)),
        ]
        for symbol, (prices, ratios, regimes) in found.items()
    }


async def realtime_page(served: Served, _: Request) -> tuple[str, dict[str, Any]]:
    """The newest values, events and deliveries."""
    overview = await rows(served, "market_overview", symbols=served.symbols, limit=1000)
    overview.sort(key=lambda r: _place(served.symbols, r["symbol"]))
    now = served.clock.now()
    live = await rows(served, "live_prices", limit=1000)
    live.sort(key=lambda r: (_place(served.symbols, r["symbol"]), r["market"], r["venue"]))
    for row in live:  # what nobody renews grows stale by itself
        row["seconds"] = (now - row["ts"]).total_seconds() + row["age_s"]
        if row["seconds"] > LIVE_STALE_S:
            row["live_quality"] = "stale"
    return "realtime.html", {
        "title": "Real time",
        "live": live,
        "overview": overview,
        "events": await rows(served, "market_events", limit=25),
        "deliveries": await rows(served, "webhook_logs", limit=25),
        "now": now,
    }


async def symbol_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """One symbol over a span."""
    symbol = _symbol(served, request.path_params["symbol"])
    (state, *_), newest = await _state(served, symbol)
    start, end = _span(request, newest)
    hourly = await rows(served, "hourly", symbols=[symbol], start=start, end=end, limit=MOST_POINTS)
    times, filled = by_hour(hourly, start, end)
    factors = await rows(
        served, "futures_factors_1h", symbols=[symbol], start=newest, end=newest + HOUR
    )
    spells = await rows(served, "regime_timeline", symbols=[symbol], limit=20)
    cascades = await rows(
        served, "cascades_1h", symbols=[symbol], start=newest, end=newest + HOUR, limit=1
    )
    drawn = [_figure(c) for c in _symbol_charts(times, filled)]
    return "symbol.html", {
        "title": symbol,
        "symbol": symbol,
        "state": state,
        "charts": drawn,
        "factors": factors,
        "spells": spells,
        "levels": _levels(cascades),
        "cascade": cascades[0] if cascades else None,
        "start": start,
        "end": end,
        "spans": _span_links(request, newest),
        "events": await rows(served, "market_events", instrument=symbol, limit=10),
    }


async def pair_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """One pair over a span."""
    pair = sorted(
        (_symbol(served, request.path_params[n]) for n in ("one", "other")),
    )
    if pair[0] == pair[1]:
        raise Problem("not-found", "a pair is of two symbols")
    latest = await rows(served, "correlation_pairs_1h", symbols=pair, limit=1)
    if not latest:
        raise Problem("not-found", "nothing is stored of this pair yet: regime run")
    newest = latest[0]["ts"]
    start, end = _span(request, newest)
    found = await rows(
        served, "correlation_pairs_1h", symbols=pair, start=start, end=end, limit=MOST_POINTS
    )
    times, filled = by_hour(found, start, end)
    kept = _kept_times(times)
    bands = _bands(times, ["BREAK" if r.get("is_break") else None for r in filled])
    chart = Chart(
        "Correlation of hourly returns",
        kept,
        (
            Line("7 days", _kept([r.get("corr_7d") for r in filled])),
            Line("30-day base", _kept([r.get("corr_30d_base") for r in filled]), "cooling"),
        ),
        bands,
        height=200,
    )
    return "pair.html", {
        "title": f"{pair[0]} and {pair[1]}",
        "state": latest[0],
        "charts": [_figure(chart)],
        "breaks": await rows(served, "correlation_breaks", symbols=pair, limit=20),
        "lead": await rows(served, "lead_lag_1d", symbols=pair, limit=1),
        "signals": await rows(served, "pair_signals_1h", symbols=pair, limit=1),
        "spans": _span_links(request, newest),
    }


async def research_page(served: Served, _: Request) -> tuple[str, dict[str, Any]]:
    """What regimes and signals were worth, with sample sizes."""
    spells = await rows(served, "regime_timeline", limit=20_000)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in spells:
        if row["to_ts"] is not None and row["regime"] is not None:
            groups.setdefault((row["kind"], row["regime"]), []).append(row)
    table = []
    for (kind, regime), members in sorted(groups.items()):
        hours = sorted(r["hours"] for r in members)
        moves = sorted(r["return_pct"] for r in members if r["return_pct"] is not None)
        table.append(
            {
                "kind": kind,
                "regime": regime,
                "n": len(members),
                "hours": hours[len(hours) // 2],
                "moves": len(moves),
                "median": moves[len(moves) // 2] if moves else None,
                "up": sum(m > 0 for m in moves) / len(moves) if moves else None,
            }
        )
    components = await rows(served, "signal_components_1h", symbols=served.symbols, limit=1000)
    newest = max((r["ts"] for r in components), default=None)
    return "research.html", {
        "title": "Research",
        "spells": table,
        "matrix": _components([r for r in components if r["ts"] == newest], served.symbols),
        "newest": newest,
        "performance": _newest(await rows(served, "signal_performance", limit=200, regime="*")),
        "models": _newest(
            await rows(served, "ml_model_performance", limit=200, regime="*", symbol="*")
        ),
        "has_components": "signal_components_1h" in MARTS,
        "paper": _newest(await rows(served, "paper_strategies", limit=20)),
    }


async def signal_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """What one score has been worth: every horizon, regime and symbol of the newest day."""
    name = request.path_params["signal"]
    found = _newest(await rows(served, "passports", limit=1000, signal=name))
    if not found:
        raise Problem(
            "not-found",
            f"no signal {name[:40]!r} has been judged; the nightly run judges each day",
        )
    found.sort(key=lambda r: (r["horizon_h"], r["passport_kind"], r["symbol"]))
    whole = [r for r in found if r["passport_kind"] == "pooled" and r["passport_regime"] == "*"]
    probabilities = _newest(await rows(served, "calibrators", limit=10, signal=name))
    return "signal.html", {
        "probabilities": sorted(probabilities, key=lambda r: r["calibration_side"]),
        "title": f"Passport of {name.replace('_', ' ')}",
        "signal": name,
        "whole": whole,
        "parts": [r for r in found if r not in whole],
    }


def _newest(found: list[Row]) -> list[Row]:
    """The rows of the newest instant."""
    newest = max((r["ts"] for r in found), default=None)
    return [r for r in found if r["ts"] == newest]


async def event_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """One event, the numbers behind it, what followed."""
    event_id = request.path_params["event_id"]
    found = await rows(served, "market_events", event_id=event_id, limit=1)
    if not found:
        raise Problem("not-found", "no event has this id")
    event = found[0]
    details = event["details"]
    symbol = event["instrument"] if "/" in str(event["instrument"]) else None
    drawn = []
    if symbol is not None and "|" not in symbol:
        hour = event["known_at"].replace(minute=0, second=0, microsecond=0)
        _, newest = await served.feed.newest()
        last = hour if newest is None else max(newest, hour)
        start, end = hour - timedelta(days=2), min(hour + timedelta(days=2), last + HOUR)
        hourly = await rows(
            served, "hourly", symbols=[symbol], start=start, end=end, limit=200,
            columns=("symbol", "ts", "price"),
        )  # fmt: skip
        times, filled = by_hour(hourly, start, end)
        band = Band(
            event["ts"], event["known_at"], "extreme", "from the event to when it was known"
        )
        prices = Line("price", tuple(r.get("price") for r in filled))
        drawn = [_figure(Chart("Price, two days around", times, (prices,), (band,), height=180))]
    return "event.html", {
        "title": event["title"],
        "event": event,
        "details": sorted((details or {}).items()),
        "after": await rows(served, "events", event_id=event_id, limit=10),
        "deliveries": await rows(served, "webhook_logs", event_id=event_id, limit=50),
        "symbol": symbol,
        "charts": drawn,
    }


async def health_page(served: Served, _: Request) -> tuple[str, dict[str, Any]]:
    """Sources, coverage, quality."""
    return "health.html", {
        "title": "Data health",
        "sources": await rows(served, "source_health", limit=1000),
        "datasets": await rows(served, "data_health", limit=1000),
        "scores": await rows(served, "quality_scores", limit=60),
        "receivers": _receivers(await rows(served, "webhook_logs", limit=1000)),
        "missing": sorted(m for m in {e.mart for e in ENDPOINTS} if m not in MARTS),
    }


async def why_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """Where a number comes from."""
    found = await explain(served.pool, request.path_params, request.query_params, served.symbols)
    mart = MARTS[found["mart"]]
    return "why.html", {
        "title": f"Why {found['column'] or found['mart']}",
        "found": found,
        "columns": mart.columns,
    }


async def docs_page(_: Served, __: Request) -> tuple[str, dict[str, Any]]:
    """The API for people."""
    listed = [
        {
            "path": VERSION + e.path,
            "summary": e.summary,
            "parameters": known_parameters(e),
            "old": e.old,
            "is_built": e.described is not None,
        }
        for e in ENDPOINTS
    ]
    return "docs.html", {"title": "API", "endpoints": listed}


async def glossary_page(_: Served, __: Request) -> tuple[str, dict[str, Any]]:
    """Every column of every mart."""
    return "glossary.html", {"title": "Glossary", "marts": list(MARTS.values())}


# ------------------------------------------------------------------------------------ parts


def _place(symbols: Sequence[str], symbol: str) -> int:
    return symbols.index(symbol) if symbol in symbols else len(symbols)


def _symbol(served: Served, text: str) -> str:
    found = symbol_named(text, served.symbols)
    if found is None:
        raise Problem(
            "not-found", f"no symbol {text[:40]!r}; there are {', '.join(served.symbols)}"
        )
    return found


async def _state(served: Served, symbol: str) -> tuple[list[Row], datetime]:
    found = await rows(served, "market_overview", symbols=[symbol], limit=1)
    if not found:
        raise Problem("not-found", f"nothing is stored of {symbol} yet: regime run")
    return found, found[0]["ts"]


def _span(request: Request, newest: datetime) -> tuple[datetime, datetime]:
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


def _span_links(request: Request, newest: datetime) -> list[tuple[str, str]]:
    end = newest + HOUR
    out = []
    for word, days in SPANS.items():
        start = end - timedelta(days=days)
        asked = urlencode({"from": f"{start:%Y-%m-%dT%H:%MZ}", "to": f"{end:%Y-%m-%dT%H:%MZ}"})
        out.append((word, f"{request.url.path}?{asked}"))
    return out


def _kept(values: Sequence[float | None], most: int = PIXELS) -> tuple[float | None, ...]:
    return charts.thinned(values, most)


def _kept_times(times: Sequence[datetime], most: int = PIXELS) -> tuple[datetime, ...]:
    return charts.thinned_times(times, most)


def _bands(times: Sequence[datetime], labels: Sequence[str | None]) -> tuple[Band, ...]:
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


def _figure(chart: Chart) -> tuple[str, Markup, Markup]:
    return chart.title, charts.legend(chart), charts.svg(chart)


def _volatility_chart(
    times: Sequence[datetime],
    ratios: Sequence[float | None],
    regimes: Sequence[str | None],
    *,
    height: int,
    width: int = 1000,
) -> Chart:
    most = PIXELS if width >= charts.WIDE else width  # small ones are shown at half their width
    return Chart(
        "Volatility against its 30-day median",
        _kept_times(times, most),
        (Line("ratio", _kept(ratios, most)),),
        _bands(times, regimes),
        marks=(1.0, 1.5, 2.5),
        height=height,
        width=width,
    )


def _symbol_charts(times: Sequence[datetime], filled: Sequence[Row]) -> list[Chart]:
    kept = _kept_times(times)

    def line(name: str, column: str, colour: str = "line", scale: float = 1.0) -> Line:
        values = [None if (v := r.get(column)) is None else v * scale for r in filled]
        return Line(name, _kept(values), colour)

    regimes = _bands(times, [r.get("primary_regime") for r in filled])
    return [
        Chart("Price over the primary regime", kept, (line("price", "price"),), regimes, height=240),
        _volatility_chart(
            times,
            [r.get("vol_ratio_gk") for r in filled],
            [r.get("vol_regime_confirmed") for r in filled],
            height=140,
        ),
        Chart("Funding, % per 8 h", kept, (line("funding", "funding_rate_8h", scale=100),),
              digits=4, marks=(0.0,), height=120),
        Chart(
            "Liquidations an hour, USD: longs up, shorts down",
            kept,
            (line("longs", "long_liquidations_1h_usd", "longs"),
             line("shorts", "short_liquidations_1h_usd", "shorts")),
            bars=True, digits=0, height=140,
        ),
        Chart("Open interest, USD", kept, (line("open interest", "open_interest_usd", "cooling"),),
              digits=0, height=120),
        Chart("Futures score", kept, (line("score", "futures_score", "ignition"),),
              marks=(35.0, 50.0, 65.0), digits=1, height=120),
    ]  # fmt: skip


def _levels(cascades: Sequence[Row]) -> list[tuple[str, float, str]]:
    out: list[tuple[str, float, str]] = []
    for row in cascades:
        for kind in ("resistance", "support"):
            prices, origins = row[f"{kind}_levels"] or [], row[f"{kind}_level_sources"] or []
            out += [(kind, p, str(o)) for p, o in zip(prices, origins, strict=False)]
    return out


def _sides(row: Row) -> tuple[float, float]:
    return row["long_liquidations_24h_usd"] or 0.0, row["short_liquidations_24h_usd"] or 0.0


def _state_cards(overview: Sequence[Row]) -> dict[str, Any]:
    usable = [r for r in overview if r["vol_regime_confirmed"] is not None]
    stressed = [r for r in usable if r["vol_regime_confirmed"] in ("EXPLOSIVE", "EXTREME")]
    known = [r for r in overview if r["funding_z"] is not None]
    high = [r for r in known if r["funding_z"] > 2]
    low = [r for r in known if r["funding_z"] < -2]
    note = f"of {len(usable)} symbols with a regime"
    levels = f"{len(high)} high, {len(low)} low"
    return {
        "volatility": _card("Volatility", f"{len(stressed)} stressed", note),
        "funding": _card("Funding", levels, f"|z| > 2, of {len(known)} known"),
    }


def _cascades_card(cascades: Sequence[Row]) -> dict[str, str]:
    observed = [r for r in cascades if r["severity"] is not None]
    struck = [r for r in observed if r["is_cascade"]]
    hours = f"of {len(observed)} observed"
    if struck:
        longs = sum(r["long_liquidations_usd"] or 0 for r in struck)
        largest = max(r["severity"] for r in struck)
        hours += f"; largest severity {largest}, {usd_text(longs)} longs"
    return _card("Cascades, last day", f"{len(struck)} hours", hours)


def _pairs_card(pairs: Sequence[Row]) -> dict[str, str]:
    breaks = [r for r in pairs if r["is_break"]]
    judged = [r for r in pairs if r["is_break"] is not None]
    return _card("Correlation", f"{len(breaks)} broken", f"of {len(judged)} pairs judged")


def _events_card(events: Sequence[Row]) -> dict[str, str]:
    worst = next((s for s in SEVERITIES if any(e["alert_severity"] == s for e in events)), None)
    return _card("Events, last day", str(len(events)), f"worst {worst}" if worst else "none")


def _sources_card(sources: Sequence[Row]) -> dict[str, str]:
    failing = [s for s in sources if s["status"] in ("missing", "stale")]
    answered = "series answered last" if sources else "nothing asked yet"
    if failing:
        names = ", ".join(dict.fromkeys(s["source"] for s in failing))
        answered = f"answered last; not {names}"
    return _card("Sources", f"{len(sources) - len(failing)} of {len(sources)}", answered)


def _card(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _receivers(attempts: Sequence[Row]) -> list[dict[str, Any]]:
    """Each endpoint with its newest attempts, newest first: how many, how they ended, the last one."""
    by_endpoint: dict[str, list[Row]] = {}
    for row in attempts:
        by_endpoint.setdefault(row["endpoint"], []).append(row)
    return [
        {
            "endpoint": name,
            "n": len(mine),
            "failed": sum(r["success"] is False for r in mine),
            "last": mine[0],
        }
        for name, mine in sorted(by_endpoint.items())
    ]


def _components(scores: Sequence[Row], symbols: Sequence[str]) -> list[dict[str, Any]]:
    """A row a component, a cell a symbol; an empty cell where nothing is stored."""
    at = {(r["component"], r["symbol"]): r for r in scores}
    names = sorted({component for component, _ in at})
    return [{"name": n, "cells": [at.get((n, s), {}) for s in symbols]} for n in names]


def _matrix(pairs: Sequence[Row], symbols: Sequence[str]) -> list[dict[str, Any]]:
    at = {frozenset((r["symbol_a"], r["symbol_b"])): r for r in pairs}
    return [
        {
            "symbol": one,
            "cells": [None if one == o else at.get(frozenset((one, o)), {}) for o in symbols],
        }
        for one in symbols
    ]
