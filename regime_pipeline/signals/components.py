"""Signal components: scores 0-100 of single views on the primary perpetual.

Belongs here: the columns of ``signals.components``, and which series each component is given. Does not
belong here: the arithmetic of a component (``candle_scores``, ``flow_scores``), what is made of all of
them (``confluence``), the futures composite (``futures_score``).

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.signals import SINGLE_COMPONENTS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import close_halted, halted
from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    from_panel,
    grid_length,
    grid_start_us,
    to_panel,
)
from regime_pipeline.settings import method_version
from regime_pipeline.signals.scores import direction_text, names_text, strength_of, worst_tier
from regime_pipeline.windows import HOUR, Grid

if TYPE_CHECKING:
    from regime_pipeline.signals.component import Component

METHOD = "components/4"

REFERENCE = "BTC"
"""Coin whose momentum the others are exposed to."""

_BARS = ("open", "high", "low", "close", "volume_base", "volume_quote")
_BOOK = ("imbalance", "spread_bps", "n_snapshots", "depth_25bps_bid_usd", "depth_25bps_ask_usd")
_MOODS = ("social_score", "news_score", "trader_score")
_LIQUIDATED = ("long_liquidations_usd", "short_liquidations_usd", "coverage")
_FLOWS = ("net_flow_usd", "stablecoin_net_flow_usd", "coverage")
ESTIMATED_TIER, ESTIMATE_H = 3, 24
"""Tier of a traded value that was estimated, and the hours of it that a volume score looks back at."""


# 720 triples of returns before a row, medians of 720 h, 30 sums of 24 h at the same hour; 500 closes.
@derives(
    "signals.components",
    candles_1h=reads(
        "market.candles_1h",
        "31d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", *_BARS, "source_tier"),
        of_universe=True,
    ),
    trade_flow_1h=reads(
        "market.trade_flow_1h",
        "8d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", "flow_imbalance", "large_share", "status", "source_tier"),
    ),
    order_book_1h=reads(
        "market.order_book_1h",
        "31d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", *_BOOK, "source_tier"),
    ),
    sentiment_1h=reads(
        "market.sentiment_1h", "31d", columns=("symbol", "ts", *_MOODS, "source_tier")
    ),
    whale_flow_1h=reads(
        "market.whale_flow_1h", "31d", columns=("symbol", "ts", *_FLOWS, "status", "source_tier")
    ),
    liquidations_1h=reads(
        "market.liquidations_1h", "31d", columns=("symbol", "ts", *_LIQUIDATED, "source_tier")
    ),
    cascades=reads(
        "features.liquidation_cascades", columns=("symbol", "ts", "severity_pct")
    ),
    wired="wired_series",
)  # fmt: skip
def components(
    candles_1h: pd.DataFrame,
    trade_flow_1h: pd.DataFrame,
    order_book_1h: pd.DataFrame,
    sentiment_1h: pd.DataFrame,
    whale_flow_1h: pd.DataFrame,
    liquidations_1h: pd.DataFrame,
    cascades: pd.DataFrame,
    *,
    grid: Grid,
    wired: Collection[str],
) -> pd.DataFrame:
    """The ten single components of every symbol and hour of the grid.

    Every component has ``_score`` (50 neutral, above bullish), ``_direction``, ``_strength``,
    ``_confidence``, ``_status``, ``_reason`` and the numbers behind it; what it is, how long its windows
    are and when it is null stands with its function. A score is null with its reason where its input
    is; none is ever filled in. The row is ``ok`` when every component that is configured and applicable
    is, ``partial`` while one of them has a score; hours of a halted market are not applicable.

    Args:
        candles_1h: ``market.candles_1h`` of the universe; only the perpetual's rows are used.
        trade_flow_1h: ``market.trade_flow_1h``.
        order_book_1h: ``market.order_book_1h``.
        sentiment_1h: ``market.sentiment_1h``.
        whale_flow_1h: ``market.whale_flow_1h``.
        liquidations_1h: ``market.liquidations_1h``.
        cascades: ``features.liquidation_cascades`` of the grid.
        grid: rows owed; all inputs carry the declared lookback before it.
        wired: series that may be absent by configuration and are not: ``whale_flow``, kinds of mood.

    Returns:
        Content columns of ``signals.components``, the whole grid, sorted by key.
    """
    keep = grid_length(grid)
    perp = candles_1h[candles_1h["market"] == "perp"]
    bars, first, candle_tier = _panels(perp, grid, "market.candles_1h", _BARS)
    tiers = [_estimated(bars, candle_tier)]
    found = _from_candles(bars, perp, grid, first)

    flow = trade_flow_1h[trade_flow_1h["market"] == "perp"]
    coins_only = flow["status"].map({"ok": 0.0, "partial": 1.0}).astype("float64")
    trades, first, tier = _panels(
        flow.assign(coins_only=coins_only),
        grid,
        "market.trade_flow_1h",
        ("flow_imbalance", "large_share", "coins_only"),
    )
    tiers.append(tier)
    from regime_pipeline.signals import flow_scores as other

    found["orderflow"] = other.orderflow(
        trades["flow_imbalance"], trades["large_share"], trades["coins_only"], first_hour=first
    )
    shown = order_book_1h[order_book_1h["market"] == "perp"]
    book, first, tier = _panels(shown, grid, "market.order_book_1h", _BOOK)
    tiers.append(tier)
    found["orderbook"] = other.orderbook(book, first_hour=first)
    moods, first, tier = _panels(sentiment_1h, grid, "market.sentiment_1h", _MOODS)
    tiers.append(tier)
    found["sentiment"] = other.sentiment(
        {name.removesuffix("_score"): panel for name, panel in moods.items()},
        frozenset(wired),
        first_hour=first,
    )
    partial = whale_flow_1h["status"].eq("partial").astype("float64")
    flows, first, tier = _panels(
        whale_flow_1h.assign(partial=partial),
        grid,
        "market.whale_flow_1h",
        (*_FLOWS, "partial"),
    )
    tiers.append(tier)
    # candles and whale flows share one lookback, so their panels have the same rows
    found["whale_act"] = other.whale_act(
        flows, bars["volume_quote"], wired="whale_flow" in wired, first_hour=first
    )
    forced, _, tier = _panels(liquidations_1h, grid, "market.liquidations_1h", _LIQUIDATED)
    tiers.append(tier)
    level = np.full_like(forced["coverage"], np.nan)
    level[len(level) - keep :] = to_panel(cascades, grid, ("severity_pct",))["severity_pct"]
    found["liquidation"] = other.liquidation(
        forced["long_liquidations_usd"], forced["short_liquidations_usd"], level, forced["coverage"]
    )
    found = {name: found[name].last(keep) for name in SINGLE_COMPONENTS}
    worst = np.fmax.reduce([tier[len(tier) - keep :] for tier in tiers])
    rows = _frame(found, grid, worst)
    halt = halted(to_panel(perp, grid, ("close", "source_tier")))
    rows = close_halted(rows, halt, table("signals.components"))
    # nothing is expected of a market that stands still
    return rows.assign(left_out=rows["left_out"].mask(halt.T.reshape(-1), ",".join(found)))


def _from_candles(
    bars: dict[str, FloatPanel], perp: pd.DataFrame, grid: Grid, first: int
) -> dict[str, Component]:
    from regime_pipeline.signals import candle_scores as own

    bases = [s.split("/")[0] for s in grid.symbols]
    others = sorted(s for s in perp["symbol"].unique() if s.split("/")[0] == REFERENCE)
    wide = Grid(grid.start - reach_of(components, "market.candles_1h"), grid.end, tuple(others[:1]))
    reference = np.full((len(bars["close"]), 1), np.nan)
    if others:
        reference = to_panel(perp, wide, ("close",))["close"]
    return {
        "momentum": own.momentum(bars["close"], first_hour=first),
        "technical": own.technical(bars["close"], first_hour=first),
        "volume": own.volume(bars, first_hour=first),
        "price_action": own.price_action(bars),
        "beta_exp": own.beta_exp(
            bars["close"],
            reference,
            np.array([base == REFERENCE for base in bases], dtype="float64"),
            grid_length(grid),
            first_hour=first,
        ),
    }


def _panels(
    frame: pd.DataFrame, grid: Grid, name: str, columns: tuple[str, ...]
) -> tuple[dict[str, FloatPanel], int, FloatPanel]:
    """Columns with the table's lookback before the grid, their first hour, the worst tier over it."""
    lookback = reach_of(components, name)
    wide = grid.widened(lookback)
    panels = to_panel(frame, wide, (*columns, "source_tier"))
    tier = worst_tier(panels.pop("source_tier"), lookback // HOUR)
    return panels, grid_start_us(wide) // HOUR_US, tier


def _estimated(bars: dict[str, FloatPanel], tier: FloatPanel) -> FloatPanel:
    """The candles' tier, where a bar's traded value had to be estimated that of an estimate."""
    estimated = np.isfinite(bars["volume_base"]) & ~np.isfinite(bars["volume_quote"])
    worst = worst_tier(np.where(estimated, ESTIMATED_TIER, np.nan), ESTIMATE_H)
    return np.fmax(tier, worst)


def _frame(found: dict[str, Component], grid: Grid, tier: FloatPanel) -> pd.DataFrame:
    from regime_pipeline.signals.verdicts import together

    target = table("signals.components")
    panels: dict[str, FloatPanel] = {"source_tier": tier}
    texts: dict[str, pd.Series] = {}
    for name, one in found.items():
        panels[f"{name}_score"] = one.score
        panels[f"{name}_strength"] = strength_of(one.score)
        panels[f"{name}_confidence"] = one.confidence
        panels |= one.raw
        texts[f"{name}_direction"] = direction_text(one.score)
        texts[f"{name}_status"] = one.verdicts.status_text()
        texts[f"{name}_reason"] = one.verdicts.reason_text()
    texts["status"], texts["reason"] = together(
        {name: one.verdicts for name, one in found.items() if not one.is_unwired}
    )
    texts["left_out"] = _left_out(found)
    frame = from_panel(grid, panels).assign(method_version=method_version(METHOD), **texts)
    used = np.logical_or.reduce([np.isfinite(one.score) for one in found.values()])
    frame["inputs_asof"] = (frame["ts"] + HOUR).where(used.T.reshape(-1))
    columns = list(target.content)
    return conform(frame[columns], target)[columns]


def _left_out(found: dict[str, Component]) -> pd.Series:
    """Names of the components that no row should be expected to have."""
    from regime_pipeline.signals.verdicts import NOT_APPLICABLE

    out = {
        name: (one.verdicts.status == NOT_APPLICABLE) | one.is_unwired
        for name, one in found.items()
    }
    return names_text(out, ",")
