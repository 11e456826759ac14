"""Markets for measurements: recorded history, and null worlds in which nothing ever happens.

Belongs here: frames in the shape of the market tables. Does not belong here: measuring.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from regime_pipeline.evaluation.worlds import symbols_of, walk_candles
from regime_pipeline.market.candles import candles_1h
from regime_pipeline.market.derivatives import liquidations_1h, open_interest
from regime_pipeline.market.funding import funding
from regime_pipeline.windows import Grid, Window, utc

RECORDED = Window(utc("2023-01-01"), utc("2025-01-01"))


@dataclass(frozen=True)
class History:
    """Recorded market tables of the Binance pairs."""

    candles_1h: pd.DataFrame
    funding: pd.DataFrame
    liquidations_1h: pd.DataFrame
    open_interest: pd.DataFrame
    symbols: tuple[str, ...]


def recorded(folder: Path) -> History:
    """Market tables from a folder of recorded history."""
    bars = _named(pd.read_parquet(folder / "candles_1h.parquet"))
    bars = bars[bars["venue"] == "binance"].rename(columns={"volume": "volume_base"})
    symbols = tuple(sorted(bars.loc[bars["market"] == "spot", "symbol"].unique()))
    venues = dict.fromkeys(symbols, "binance")
    grid = Grid.of(RECORDED, symbols)
    missing = {"volume_quote": np.nan, "taker_buy_base": np.nan, "trade_count": pd.NA}
    candles = candles_1h(
        bars.assign(timeframe="1h", **missing), grid=grid, venues={"spot": venues, "perp": venues}
    )
    prints = _named(pd.read_parquet(folder / "funding.parquet"))
    prints = prints.assign(
        interval_hours=pd.Series(pd.NA, index=prints.index, dtype="Int64"), mark_price=np.nan
    )
    hourly = _named(pd.read_parquet(folder / "derivatives_1h.parquet")).rename(
        columns={
            "oi_close": "open_interest_base",
            "oi_close_usd": "open_interest_usd",
            "liq_long_usd": "long_liquidations_usd",
            "liq_short_usd": "short_liquidations_usd",
        }
    )
    hourly = hourly.assign(venue="binance", timeframe="1h")
    span = Window(
        hourly["ts"].min().to_pydatetime(), hourly["ts"].max().to_pydatetime() + timedelta(hours=1)
    )
    few = Grid.of(span, tuple(hourly["symbol"].unique()))
    told = hourly[hourly["long_liquidations_usd"].notna()]
    return History(
        candles,
        funding(prints, window=RECORDED, venues=venues),
        liquidations_1h(told, hourly, grid=few, source="recorded", venue="binance"),
        open_interest(
            hourly, hourly, grid=few, venues=venues, sources=dict.fromkeys(few.symbols, "recorded")
        ),
        symbols,
    )


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    named = {"symbol": frame["symbol"].str.replace("USDT", "/USDT"), "source": "recorded"}
    market = {} if "market" in frame.columns else {"market": "perp"}
    return frame.assign(source_tier=3, **named, **market)


def null_candles(
    symbols: int, start: datetime, hours: int, *, seed: int = 7, fat_tails: bool = True
) -> pd.DataFrame:
    """Spot bars of random walks without direction: t4 (or normal) steps of constant variance."""
    rng = np.random.default_rng(seed)
    return walk_candles(rng, symbols_of(symbols), start, hours, fat_tails=fat_tails)
