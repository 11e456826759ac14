"""What the signals said on recorded history: shares of the labels, flips, how the components move together.

``python -m benchmarks signal_history`` prints the figures; ``REGIME_MARKET_HISTORY`` names the folder of
recorded history. ``benchmarks.methods_tables`` puts the same tables into the page. Belongs here: running
the signals over the whole history and describing what came out. Does not belong here: whether a signal was
right.

Recorded history has bars, funding, hours of liquidations for two months, and days of positions: the
futures score is the one that is made of days, and of the components those that candles (and, for those
months, liquidations) give.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import line, markdown
from benchmarks.worlds import RECORDED, History, recorded, recorded_days, recorded_fear_greed
from regime_pipeline.catalogue.fields.signals import SINGLE_COMPONENTS
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.days import derivatives_1d
from regime_pipeline.settings import Params
from regime_pipeline.signals.components import components
from regime_pipeline.signals.confluence import confluence
from regime_pipeline.signals.futures_score import futures_scores
from regime_pipeline.signals.signal_correlations import (
    signal_correlations,
    signal_correlations_pooled,
)
from regime_pipeline.windows import Grid

NAME = "signal_history"
WARM_UP = timedelta(days=31)
"""Days after the first recorded hour before which nothing could have a value."""
PARAMS = Params()
OF_CANDLES = ("momentum", "technical", "volume", "price_action", "beta_exp")


@dataclass(frozen=True)
class Found:
    """The signal tables over recorded history."""

    futures: pd.DataFrame
    components: pd.DataFrame
    confluence: pd.DataFrame
    matrix: pd.DataFrame


def said(history: History, folder: Path) -> Found:
    """Every signal table from the first hour at which one could have a value."""
    grid = Grid(RECORDED.start + WARM_UP, RECORDED.end, history.symbols)
    whole = Grid.of(RECORDED, history.symbols)
    venues = dict.fromkeys(history.symbols, "binance")
    days = derivatives_1d(
        recorded_days(folder), history.candles_1h, grid=whole, venues=venues, source="recorded",
        interval="1d",
    )  # fmt: skip
    futures = futures_scores(
        history.liquidations_1h,
        history.funding,
        history.candles_1h,
        empty(table("market.positioning_1h")),
        history.open_interest,
        recorded_fear_greed(folder),
        None,
        days,
        grid=grid,
        params=PARAMS.futures,
        funding_params=PARAMS.funding,
        interval="1d",
    )
    own = components(
        history.candles_1h,
        *(
            empty(table(f"market.{name}_1h"))
            for name in ("trade_flow", "order_book", "sentiment", "whale_flow")
        ),
        history.liquidations_1h,
        empty(table("features.liquidation_cascades")),
        grid=grid,
        wired=(),
    )
    joined = confluence(own, grid=grid, params=PARAMS.signals)
    matrix = signal_correlations_pooled(signal_correlations(own, joined, grid=grid), grid=grid)
    return Found(futures, own, joined, matrix)


def shares(labels: pd.Series, symbols: pd.Series, names: tuple[str, ...]) -> dict[str, float]:
    """Share of each label among the hours that have one, hours without, flips per symbol-day.

    A flip is a change between two neighbouring hours that both have a label.
    """
    known = labels.notna()
    before = labels.groupby(symbols).shift()
    flips = known & before.notna() & (labels != before)
    out = {name: float((labels[known] == name).mean()) for name in names}
    return out | {
        "none": float(1.0 - known.mean()),
        "flips_per_day": float(flips.sum() / max(known.sum() / 24.0, 1e-9)),
    }


def participation(matrix: np.ndarray) -> float:
    """Effective number of the views behind a correlation matrix: ``n^2 / sum r^2``."""
    return float(len(matrix) ** 2 / np.square(matrix).sum())


def mean_matrix(matrix: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Mean over the days of the pooled matrices of some components, days without a pair left out."""
    means = matrix.groupby(["component_a", "component_b"])["signal_corr"].mean()
    out = pd.DataFrame(np.eye(len(names)), index=list(names), columns=list(names))
    for a in names:
        for b in names:
            if a < b:
                out.loc[a, b] = out.loc[b, a] = float(means[a, b])
    return out


_SIGNALS = ("LONG", "NEUTRAL", "SHORT")
_DIRECTIONS = ("BULLISH", "NEUTRAL", "BEARISH")


def rows(found: Found) -> pd.DataFrame:
    """One row per signal and year, and over all years: shares of its labels, flips, mean score."""
    out = []
    parts: list[tuple[str, pd.DataFrame, str, str, tuple[str, ...]]] = [
        ("futures score", found.futures, "futures_signal", "futures_score", _SIGNALS),
        (
            "confluence",
            found.confluence,
            "confluence_direction",
            "confluence_score",
            _DIRECTIONS,
        ),
        *(
            (name, found.components, f"{name}_direction", f"{name}_score", _DIRECTIONS)
            for name in SINGLE_COMPONENTS
            if found.components[f"{name}_score"].notna().any()
        ),
    ]
    for signal, frame, label, score, names in parts:
        by_year = {str(y): p for y, p in frame.groupby(frame["ts"].dt.year)}
        for year, part in ({"all": frame} | by_year).items():
            told = shares(part[label], part["symbol"], names)
            up, neutral, down = (told[n] for n in names)
            out.append(
                {
                    "signal": signal,
                    "year": year,
                    "up": up,
                    "neutral": neutral,
                    "down": down,
                    "none": told["none"],
                    "flips_per_day": told["flips_per_day"],
                    "mean_score": float(part[score].mean()),
                    "symbols": int(part.loc[part[label].notna(), "symbol"].nunique()),
                }
            )
    return pd.DataFrame(out)


def tables(found: Found) -> dict[str, str]:
    """The tables of the methods page by their markers."""
    of_all = rows(found)
    shown = of_all[(of_all["year"] != "all") & (of_all["symbols"] > 0)]
    labels = pd.DataFrame(
        {
            "signal": shown["signal"],
            "year": shown["year"],
            "LONG or BULLISH": shown["up"].map(_percent),
            "NEUTRAL": shown["neutral"].map(_percent),
            "SHORT or BEARISH": shown["down"].map(_percent),
            "hours without": shown["none"].map(_percent),
            "flips per symbol-day": shown["flips_per_day"].map("{:.2f}".format),
            "mean score": shown["mean_score"].map("{:.1f}".format),
            "symbols": shown["symbols"],
        }
    )
    matrix = mean_matrix(found.matrix, OF_CANDLES)
    body = matrix.map("{:.2f}".format).reset_index(names="")
    n_eff = found.confluence["n_eff"].astype("float64")
    return {
        "signal-labels": markdown(labels),
        "signal-matrix": f"{markdown(body)}\n\nEffective number of the five: "
        f"{participation(matrix.to_numpy()):.2f} of this matrix; `n_eff` of the rows {n_eff.mean():.2f} on "
        f"average, {n_eff.min():.2f} to {n_eff.max():.2f}.",
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def run() -> None:
    """Print a line per signal and year, the matrix, the effective numbers."""
    where = os.environ.get("REGIME_MARKET_HISTORY")
    if not where:
        sys.stderr.write("REGIME_MARKET_HISTORY names no folder: nothing to run over\n")
        return
    found = said(recorded(Path(where)), Path(where))
    for row in rows(found).to_dict("records"):
        line(NAME, f"{row.pop('signal')} {row.pop('year')}", **row)
    matrix = mean_matrix(found.matrix, OF_CANDLES)
    for name in OF_CANDLES:
        line(NAME, f"correlation of {name}", **matrix.loc[name].to_dict())
    line(
        NAME,
        "effective number",
        of_the_mean_matrix=participation(matrix.to_numpy()),
        mean_n_eff=float(found.confluence["n_eff"].mean()),
        least_n_eff=float(found.confluence["n_eff"].min()),
        most_n_eff=float(found.confluence["n_eff"].max()),
        coverage_pct=float(found.futures["coverage_pct"].mean()),
    )
