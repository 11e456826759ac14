"""The page Now: the market at its newest hour, in parts that are kept while their marts stay the same.

Belongs here: its rows, parts and cards. Does not belong here: markup (``templates/now_parts.html``), the
other pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup
from starlette.requests import Request

from regime_pipeline.api.answers import Served
from regime_pipeline.dashboard import charts
from regime_pipeline.dashboard.data import HOUR, Row, kept, rows, series
from regime_pipeline.dashboard.markup import part
from regime_pipeline.dashboard.shared import place_of, volatility_chart
from regime_pipeline.wording.formats import usd_text
from regime_pipeline.wording.labels import SEVERITIES

_IN_A_LIST = ("event_id", "alert_severity", "known_at", "title")
_CARDS = ("volatility", "cascades", "funding", "pairs", "events", "sources")


async def now_page(served: Served, __: Request) -> tuple[str, dict[str, Any]]:
    """The market at its newest hour."""
    _, newest = await served.feed.newest()
    events = await rows(served, "market_events", limit=12, columns=_IN_A_LIST)
    if newest is None:
        return "now.html", {"title": "Now", "parts": {}, "cards": [], "events": events}
    day = newest + HOUR - timedelta(days=1)
    state = await kept(
        served, ("now", newest), ("market_overview", "hourly"), lambda: _state_parts(served, newest)
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
    overview.sort(key=lambda r: place_of(served.symbols, r["symbol"]))
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
            charts.svg(volatility_chart(times, ratios, regimes, height=110, width=420)),
        ]
        for symbol, (prices, ratios, regimes) in found.items()
    }


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


def _matrix(pairs: Sequence[Row], symbols: Sequence[str]) -> list[dict[str, Any]]:
    at = {frozenset((r["symbol_a"], r["symbol_b"])): r for r in pairs}
    return [
        {
            "symbol": one,
            "cells": [None if one == o else at.get(frozenset((one, o)), {}) for o in symbols],
        }
        for one in symbols
    ]
