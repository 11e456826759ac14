"""Hourly trade flow: what takers bought and sold, and how much of it in large trades.

Belongs here: choosing single trades or the candle's taker volumes, the border of a large trade. Does
not belong here: summing trades (``providers.trades``), scoring the flow (``signals``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import FloatPanel, from_panel, take_codes, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "trade_flow/1"

LARGE_QUANTILE = 0.99
DAY_HOURS = 24
DAY_MINIMUM = 20
"""Hours of the 24 before an hour that must have been fetched for it to have large trades."""

_SIDES = ("taker_buy_base", "taker_sell_base", "taker_buy_quote", "taker_sell_quote")


@derives(
    "market.trade_flow_1h",
    raw_trade_flow=reads("raw.trade_flow", "24h"),
    raw_candles=reads("raw.candles", where={"timeframe": "1h"}),
    venues="candle_venues",
)
def trade_flow_1h(
    raw_trade_flow: pd.DataFrame,
    raw_candles: pd.DataFrame,
    *,
    grid: Grid,
    venues: Mapping[str, Mapping[str, str]],
) -> pd.DataFrame:
    """``market.trade_flow_1h``: taker volumes from single trades, else from the candle's.

    One hour has one source, ``flow_source``; the sides are never mixed. From a candle the sold part
    is the volume less what takers bought, of the same row. ``flow_imbalance`` is taken in quote
    currency, in coins where that is not known (status partial, reason ``no_quote``), and null when
    nothing was traded; an observed hour without a trade has volumes of 0 and status ok.

    ``large_trade_quote`` sums trades above the 0.99 quantile of those of the 24 h before the hour,
    with the quantile at the upper end of its bin of trade values (bins a fifth wide), so a trade of
    the border's own bin is not large. Null without at least 20 of those hours, and always for hours
    made of candles.

    Args:
        raw_trade_flow: ``raw.trade_flow`` with the 24 h before the grid.
        raw_candles: ``raw.candles`` of the grid; rows of timeframe 1h are used.
        grid: hours and symbols owed.
        venues: market -> symbol -> venue.
    """
    spec = table("market.trade_flow_1h")
    hourly = raw_candles[raw_candles["timeframe"] == "1h"]
    parts = [_one_market(raw_trade_flow, hourly, grid, m, venues[m]) for m in sorted(venues)]
    if not parts:
        raise ValueError("no market is configured; venues is empty")
    return conform(pd.concat(parts, ignore_index=True), spec)[list(spec.content)]


def _chosen(raw: pd.DataFrame, market: str, venue_of: Mapping[str, str]) -> pd.DataFrame:
    own = raw[raw["symbol"].map(dict(venue_of)).eq(raw["venue"]) & raw["market"].eq(market)]
    own = own.sort_values(["symbol", "ts", "source_tier", "source"], kind="stable")
    return own.drop_duplicates(["symbol", "ts"], keep="first")


def _one_market(
    trades: pd.DataFrame,
    candles: pd.DataFrame,
    grid: Grid,
    market: str,
    venue_of: Mapping[str, str],
) -> pd.DataFrame:
    own = _with_large(_chosen(trades, market, venue_of))
    count = own["taker_buy_count"].astype("Float64") + own["taker_sell_count"].astype("Float64")
    single = to_panel(
        own.assign(trade_count=count),
        grid,
        [*_SIDES, "trade_count", "large_trade_quote", "source_tier"],
    )
    bars = _of_candles(to_panel(_chosen(candles, market, venue_of), grid, _CANDLE))
    from_trades = np.isfinite(single["taker_buy_base"])
    panels: dict[str, npt.NDArray[Any]] = {
        name: np.where(from_trades, single[name], bars[name])
        for name in (*_SIDES, "trade_count", "source_tier")
    }
    large = np.where(from_trades, single["large_trade_quote"], np.nan)
    value = panels["taker_buy_quote"] + panels["taker_sell_quote"]
    coins = panels["taker_buy_base"] + panels["taker_sell_base"]
    known = np.isfinite(coins)
    quoted = np.isfinite(value)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_value = (panels["taker_buy_quote"] - panels["taker_sell_quote"]) / value
        by_coins = (panels["taker_buy_base"] - panels["taker_sell_base"]) / coins
        share = np.where(value > 0, large / value, np.nan)
    imbalance = np.where(quoted, by_value, by_coins)
    wired = np.tile([s in venue_of for s in grid.symbols], (known.shape[0], 1))
    status = np.select([~wired, ~known, ~quoted], [3, 2, 1], 0)
    venue = np.array([venue_of.get(s) for s in grid.symbols], dtype=object)
    panels["source_tier"] = np.where(known, panels["source_tier"], np.nan)
    panels["trade_count"] = np.where(known, panels["trade_count"], np.nan)
    panels |= {
        "venue": np.tile(venue, (known.shape[0], 1)),
        "flow_source": take_codes(
            np.where(from_trades, 0, np.where(known, 1, -1)), ("trades", "candles")
        ),
        "flow_imbalance": np.where(np.isfinite(imbalance), np.clip(imbalance, -1, 1), np.nan),
        "large_trade_quote": large,
        "large_share": np.clip(share, 0, 1),
        "status": take_codes(status, ("ok", "partial", "missing", "not_applicable")),
        "reason": take_codes(status - 1, ("no_quote", "no_observation", "no_venue")),
    }
    frame = from_panel(grid, panels)
    return frame.assign(market=market, method_version=method_version(METHOD))


_CANDLE = (
    "volume_base",
    "volume_quote",
    "taker_buy_base",
    "taker_buy_quote",
    "trade_count",
    "source_tier",
)


def _of_candles(bars: Mapping[str, FloatPanel]) -> dict[str, FloatPanel]:
    """Taker sides of candles; a bar that says more was bought than traded says nothing."""
    out: dict[str, FloatPanel] = {
        "trade_count": bars["trade_count"],
        "source_tier": bars["source_tier"],
    }
    for unit in ("base", "quote"):
        bought, volume = bars[f"taker_buy_{unit}"], bars[f"volume_{unit}"]
        with np.errstate(invalid="ignore"):
            sound = bought <= volume
        out[f"taker_buy_{unit}"] = np.where(sound, bought, np.nan)
        out[f"taker_sell_{unit}"] = np.where(sound, volume - bought, np.nan)
    return out


def _with_large(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds ``large_trade_quote``; counts are whole numbers, so running sums of them are exact."""
    rows = rows.sort_values(["symbol", "ts"], kind="stable", ignore_index=True)
    large = np.full(len(rows), np.nan)
    hour = rows["ts"].to_numpy("datetime64[h]").astype(np.int64) if len(rows) else np.array([], int)
    symbol = rows["symbol"].to_numpy(object)
    known = (rows["size_counts"].notna() & rows["size_values"].notna()).to_numpy(bool)
    for name in dict.fromkeys(symbol):
        sized = np.flatnonzero(known & (symbol == name))
        if not len(sized):
            continue
        counts = np.array(
            [orjson.loads(t) for t in rows["size_counts"].to_numpy()[sized]], np.int64
        )
        values = np.array([orjson.loads(t) for t in rows["size_values"].to_numpy()[sized]], float)
        running = np.vstack([np.zeros((1, counts.shape[1]), np.int64), counts.cumsum(axis=0)])
        here = np.arange(len(sized))
        first = np.searchsorted(hour[sized], hour[sized] - DAY_HOURS)
        before = running[here] - running[first]
        total = before.sum(axis=1)
        reached = before.cumsum(axis=1) >= LARGE_QUANTILE * total[:, None]
        border = reached.argmax(axis=1)
        above = np.arange(counts.shape[1])[None, :] > border[:, None]
        enough = (here - first >= DAY_MINIMUM) & (total > 0)
        large[sized] = np.where(enough, np.where(above, values, 0.0).sum(axis=1), np.nan)
    return rows.assign(large_trade_quote=large)
