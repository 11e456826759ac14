"""The pages about what regimes, signals, models and rules on paper were worth.

Belongs here: their rows and how they are arranged. Does not belong here: markup (``templates``), the numbers
(``regime_pipeline.research``), the other pages (``pages``, ``now``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request

from regime_pipeline.api.answers import Served
from regime_pipeline.api.problems import Problem
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.dashboard.charts import Chart, Line
from regime_pipeline.dashboard.data import MOST_POINTS, Row, by_hour, newest_rows, rows
from regime_pipeline.dashboard.shared import (
    figure,
    span_links,
    span_of,
    thinned,
    thinned_times,
)


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
        "performance": await newest_rows(served, "signal_performance", limit=200, regime="*"),
        "models": await newest_rows(
            served, "ml_model_performance", limit=200, regime="*", symbol="*"
        ),
        "has_components": "signal_components_1h" in MARTS,
        "probabilities": await newest_rows(served, "calibrators", limit=200),
        "forecasts": [
            r
            for r in await newest_rows(served, "model_predictions", limit=1000)
            if r["status"] in ("ok", "partial")
        ],
        "paper": await newest_rows(served, "paper_strategies", limit=20),
    }


async def signal_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """What one score has been worth: every horizon, regime and symbol of the newest day."""
    name = request.path_params["signal"]
    found = await newest_rows(served, "passports", limit=1000, signal=name)
    if not found:
        raise Problem(
            "not-found",
            f"no signal {name[:40]!r} has been judged; the nightly run judges each day",
        )
    found.sort(key=lambda r: (r["horizon_h"], r["passport_kind"], r["symbol"]))
    whole = [r for r in found if r["passport_kind"] == "pooled" and r["passport_regime"] == "*"]
    bins = await newest_rows(served, "reliability", limit=200, signal=name)
    probabilities = await newest_rows(served, "calibrators", limit=10, signal=name)
    return "signal.html", {
        "probabilities": sorted(probabilities, key=lambda r: r["calibration_side"]),
        "bins": sorted(bins, key=lambda r: (r["calibration_side"], r["reliability_bin"])),
        "title": f"Passport of {name.replace('_', ' ')}",
        "signal": name,
        "whole": whole,
        "parts": [r for r in found if r not in whole],
    }


def _components(scores: Sequence[Row], symbols: Sequence[str]) -> list[dict[str, Any]]:
    """A row a component, a cell a symbol; an empty cell where nothing is stored."""
    at = {(r["component"], r["symbol"]): r for r in scores}
    names = sorted({component for component, _ in at})
    return [{"name": n, "cells": [at.get((n, s), {}) for s in symbols]} for n in names]


async def paper_page(served: Served, request: Request) -> tuple[str, dict[str, Any]]:
    """One rule that is followed on paper: its equity, what it holds, what its orders met."""
    name = request.path_params["strategy"]
    found = await rows(served, "paper_strategies", limit=1, strategy=name)
    if not found:
        raise Problem(
            "not-found", f"no rule {name[:40]!r} is followed on paper; the nightly run does it"
        )
    worth = await rows(served, "paper_equity", limit=1, strategy=name)
    drawn, spans = [], []
    if worth:
        start, end = span_of(request, worth[0]["ts"])
        equity = await rows(
            served, "paper_equity", start=start, end=end, limit=MOST_POINTS, strategy=name,
            columns=("ts", "equity_usd", "drawdown", "gross_weight", "net_weight"),
        )  # fmt: skip
        times, filled = by_hour(equity, start, end)
        drawn = [figure(c) for c in _paper_charts(times, filled)]
        spans = span_links(request, worth[0]["ts"])
    return "paper.html", {
        "title": f"On paper: {name.replace('_', ' ')}",
        "strategy": name,
        "state": found[0],
        "worth": worth[0] if worth else None,
        "charts": drawn,
        "spans": spans,
        "positions": await newest_rows(served, "paper_positions", limit=200, strategy=name),
        "executions": await rows(served, "paper_executions", limit=25, strategy=name),
        "intents": await rows(served, "paper_intents", limit=25, strategy=name),
    }


def _paper_charts(times: Sequence[datetime], filled: Sequence[Row]) -> list[Chart]:
    shown = thinned_times(times)

    def line(name: str, column: str, colour: str = "line", scale: float = 1.0) -> Line:
        values = [None if (v := r.get(column)) is None else v * scale for r in filled]
        return Line(name, thinned(values), colour)

    weights = (line("gross", "gross_weight"), line("net", "net_weight", "cooling"))
    return [
        Chart("Equity, USD", shown, (line("equity", "equity_usd"),), digits=0, height=200),
        Chart("Below the highest equity, %", shown, (line("drawdown", "drawdown", "longs", 100),),
              height=110),
        Chart("Weight of positions", shown, weights, marks=(0.0,), height=120),
    ]  # fmt: skip
