"""The pages: what each shows and where its rows come from.

Belongs here: choosing rows and arranging them. Does not belong here: markup (``templates``), geometry
(``charts``), words and colours (``wording``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from regime_pipeline.api.answers import Served
from regime_pipeline.api.endpoints import ENDPOINTS, VERSION
from regime_pipeline.api.params import known_parameters
from regime_pipeline.api.problems import TITLES, Problem
from regime_pipeline.api.why import explain
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.dashboard.charts import Band, Chart, Line
from regime_pipeline.dashboard.data import HOUR, MOST_POINTS, Row, by_hour, kept, newest_rows, rows
from regime_pipeline.dashboard.shared import (
    bands_of,
    figure,
    place_of,
    span_links,
    span_of,
    symbol_at,
    thinned,
    thinned_times,
    volatility_chart,
)

COVERED_DAYS = 10
MOST_SERIES = 20_000
"""Series times days of which the coverage is shown."""
MOST_RUNS = 12
LIVE_STALE_S = 20.0
"""A live price is older than the collector makes them: it is silent, or its venue is."""


async def realtime_page(served: Served, _: Request) -> tuple[str, dict[str, Any]]:
    """The newest values, events and deliveries."""
    overview = await rows(served, "market_overview", symbols=served.symbols, limit=1000)
    overview.sort(key=lambda r: place_of(served.symbols, r["symbol"]))
    now = served.clock.now()
    live = await rows(served, "live_prices", limit=1000)
    live.sort(key=lambda r: (place_of(served.symbols, r["symbol"]), r["market"], r["venue"]))
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
    symbol = symbol_at(served, request.path_params["symbol"])
    (state, *_), newest = await _state(served, symbol)
    start, end = span_of(request, newest)
    hourly = await rows(served, "hourly", symbols=[symbol], start=start, end=end, limit=MOST_POINTS)
    times, filled = by_hour(hourly, start, end)
    factors = await rows(
        served, "futures_factors_1h", symbols=[symbol], start=newest, end=newest + HOUR
    )
    spells = await rows(served, "regime_timeline", symbols=[symbol], limit=20)
    cascades = await rows(
        served, "cascades_1h", symbols=[symbol], start=newest, end=newest + HOUR, limit=1
    )
    drawn = [figure(c) for c in _symbol_charts(times, filled)]
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
        "spans": span_links(request, newest),
        "events": await rows(served, "market_events", instrument=symbol, limit=10),
        "consensus": await rows(served, "consensus_1h", symbols=[symbol], limit=1),
        "costs": await rows(served, "execution_quality", symbols=[symbol], limit=1),
        "forecasts": await newest_rows(served, "model_predictions", symbols=[symbol], limit=50),
    }


async def pair_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """One pair over a span."""
    pair = sorted(
        (symbol_at(served, request.path_params[n]) for n in ("one", "other")),
    )
    if pair[0] == pair[1]:
        raise Problem("not-found", "a pair is of two symbols")
    latest = await rows(served, "correlation_pairs_1h", symbols=pair, limit=1)
    if not latest:
        raise Problem("not-found", "nothing is stored of this pair yet: regime run")
    newest = latest[0]["ts"]
    start, end = span_of(request, newest)
    found = await rows(
        served, "correlation_pairs_1h", symbols=pair, start=start, end=end, limit=MOST_POINTS
    )
    times, filled = by_hour(found, start, end)
    shown = thinned_times(times)
    bands = bands_of(times, ["BREAK" if r.get("is_break") else None for r in filled])
    chart = Chart(
        "Correlation of hourly returns",
        shown,
        (
            Line("7 days", thinned([r.get("corr_7d") for r in filled])),
            Line("30-day base", thinned([r.get("corr_30d_base") for r in filled]), "cooling"),
        ),
        bands,
        height=200,
    )
    return "pair.html", {
        "title": f"{pair[0]} and {pair[1]}",
        "state": latest[0],
        "charts": [figure(chart)],
        "breaks": await rows(served, "correlation_breaks", symbols=pair, limit=20),
        "lead": await rows(served, "lead_lag_1d", symbols=pair, limit=1),
        "signals": await rows(served, "pair_signals_1h", symbols=pair, limit=1),
        "spans": span_links(request, newest),
    }


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
        drawn = [figure(Chart("Price, two days around", times, (prices,), (band,), height=180))]
    return "event.html", {
        "title": event["title"],
        "event": event,
        "details": sorted((details or {}).items()),
        "after": await rows(served, "events", event_id=event_id, limit=10),
        "deliveries": await rows(served, "webhook_logs", event_id=event_id, limit=50),
        "symbol": symbol,
        "charts": drawn,
    }


async def health_page(served: Served, __: Request) -> tuple[str, dict[str, Any]]:
    """Sources, coverage, quality, runs, what waits to be sent."""
    _, newest = await served.feed.newest()
    coverage: dict[str, Any] = {"days": [], "datasets": [], "is_cut": False}
    if newest is not None:
        first = newest.replace(hour=0) - timedelta(days=COVERED_DAYS - 1)
        coverage = await kept(
            served, ("coverage", first), ("coverage_daily",), lambda: _coverage(served, first)
        )
    events = await rows(
        served, "market_events", limit=1000, columns=("endpoints", "delivered", "failed")
    )
    return "health.html", {
        "title": "Data health",
        "sources": await rows(served, "source_health", limit=1000),
        "datasets": await rows(served, "data_health", limit=1000),
        "coverage": coverage,
        "scores": await rows(served, "quality_scores", limit=60),
        "runs": _runs(await rows(served, "run_performance", limit=1000)),
        "receivers": _receivers(await rows(served, "webhook_logs", limit=1000)),
        "waiting": sum(
            max(0, (e["endpoints"] or 0) - (e["delivered"] or 0) - (e["failed"] or 0))
            for e in events
        ),
        "missing": sorted(m for m in {e.mart for e in ENDPOINTS} if m not in MARTS),
    }


async def _coverage(served: Served, first: datetime) -> dict[str, Any]:
    """Of each raw dataset and day the share of expected hours that are stored, and why others are not."""
    columns = ("dataset", "day", "expected", "stored", "missed", "reason")
    found = await rows(served, "coverage_daily", start=first, limit=MOST_SERIES, columns=columns)
    sums: dict[tuple[str, datetime], dict[str, Any]] = {}
    for row in found:
        cell = sums.setdefault(
            (row["dataset"], row["day"]), {"expected": 0, "stored": 0, "missed": 0, "reasons": []}
        )
        for name in ("expected", "stored", "missed"):
            cell[name] += row[name] or 0
        if row["reason"] and row["reason"] not in cell["reasons"]:
            cell["reasons"].append(row["reason"])
    days = [first + timedelta(days=n) for n in range(COVERED_DAYS)]
    names = sorted({name for name, _ in sums})
    return {
        "days": [f"{d:%m-%d}" for d in days],
        "datasets": [{"name": n, "cells": [sums.get((n, d)) for d in days]} for n in names],
        "is_cut": len(found) == MOST_SERIES,
    }


def _runs(steps: Sequence[Row]) -> list[dict[str, Any]]:
    """The newest runs, newest first: what each step cost summed, and how the run ended."""
    by_run: dict[str, list[Row]] = {}
    for step in steps:
        by_run.setdefault(step["run_id"], []).append(step)
    out = []
    for run_id, mine in list(by_run.items())[:MOST_RUNS]:
        failed = [s for s in mine if s["step_outcome"] != "succeeded"]
        began = min(s["started_at"] for s in mine)
        ends = [
            s["started_at"] + timedelta(seconds=s["duration_s"])
            for s in mine
            if s["duration_s"] is not None
        ]
        out.append(
            {
                "run_id": run_id,
                "job": mine[0]["job_name"],
                "began": began,
                "steps": len(mine),
                "seconds": (max(ends) - began).total_seconds() if ends else None,
                "cpu_s": _sum_of(mine, "cpu_s"),
                "requests": _sum_of(mine, "request_count"),
                "changed": _sum_of(mine, "changed_count"),
                "failed": [(s["step"], s["error_class"] or s["step_outcome"]) for s in failed],
            }
        )
    return out


def _sum_of(found: Sequence[Row], name: str) -> float | None:
    """The sum of what is known of a column; None where nothing is."""
    values = [r[name] for r in found if r[name] is not None]
    return sum(values) if values else None


async def why_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """Where a number comes from."""
    found = await explain(
        served.pool, request.path_params, request.query_params, served.symbols, served.parameters
    )
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
    return "docs.html", {"title": "API", "endpoints": listed, "problems": TITLES}


async def glossary_page(_: Served, __: Request) -> tuple[str, dict[str, Any]]:
    """Every column of every mart."""
    return "glossary.html", {"title": "Glossary", "marts": list(MARTS.values())}


async def _state(served: Served, symbol: str) -> tuple[list[Row], datetime]:
    found = await rows(served, "market_overview", symbols=[symbol], limit=1)
    if not found:
        raise Problem("not-found", f"nothing is stored of {symbol} yet: regime run")
    return found, found[0]["ts"]


def _symbol_charts(times: Sequence[datetime], filled: Sequence[Row]) -> list[Chart]:
    shown = thinned_times(times)

    def line(name: str, column: str, colour: str = "line", scale: float = 1.0) -> Line:
        values = [None if (v := r.get(column)) is None else v * scale for r in filled]
        return Line(name, thinned(values), colour)

    regimes = bands_of(times, [r.get("primary_regime") for r in filled])
    return [
        Chart("Price over the primary regime", shown, (line("price", "price"),), regimes, height=240),
        volatility_chart(
            times,
            [r.get("vol_ratio_gk") for r in filled],
            [r.get("vol_regime_confirmed") for r in filled],
            height=140,
        ),
        Chart("Funding, % per 8 h", shown, (line("funding", "funding_rate_8h", scale=100),),
              digits=4, marks=(0.0,), height=120),
        Chart(
            "Liquidations an hour, USD: longs up, shorts down",
            shown,
            (line("longs", "long_liquidations_1h_usd", "longs"),
             line("shorts", "short_liquidations_1h_usd", "shorts")),
            bars=True, digits=0, height=140,
        ),
        Chart("Open interest, USD", shown, (line("open interest", "open_interest_usd", "cooling"),),
              digits=0, height=120),
        Chart("Futures score", shown, (line("score", "futures_score", "ignition"),),
              marks=(35.0, 50.0, 65.0), digits=1, height=120),
    ]  # fmt: skip


def _levels(cascades: Sequence[Row]) -> list[tuple[str, float, str]]:
    out: list[tuple[str, float, str]] = []
    for row in cascades:
        for kind in ("resistance", "support"):
            prices, origins = row[f"{kind}_levels"] or [], row[f"{kind}_level_sources"] or []
            out += [(kind, p, str(o)) for p, o in zip(prices, origins, strict=False)]
    return out


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
