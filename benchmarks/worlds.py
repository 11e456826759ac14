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
from regime_pipeline.market.derivatives import AGGREGATE, liquidations_1h, open_interest
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


def recorded_days(folder: Path) -> pd.DataFrame:
    """Days of positions from a folder of recorded history, as rows of ``raw.derivatives_1d``.

    Shares are Binance's, sums those over several exchanges. A day is known five minutes after its end.
    """
    parts = []
    ratios = _named_coin(pd.read_parquet(folder / "long_short_ratio_1d.parquet"))
    for column, metric in (
        ("lsr_global", "global_account_long_frac"),
        ("lsr_top_accounts", "top_trader_account_long_frac"),
        ("lsr_top_positions", "top_trader_position_long_frac"),
    ):
        value = ratios[column] / (1.0 + ratios[column])
        parts.append(ratios.assign(metric=metric, value=value, venue="binance"))
    for file, names in (
        ("open_interest_1d", {"oi_total_close": "open_interest_usd"}),
        (
            "liquidations_1d",
            {"liq_long_usd": "long_liquidations_usd", "liq_short_usd": "short_liquidations_usd"},
        ),
    ):
        sums = _named_coin(pd.read_parquet(folder / f"{file}.parquet"))
        parts += [
            sums.assign(metric=metric, value=sums[column], venue=AGGREGATE)
            for column, metric in names.items()
        ]
    columns = ["symbol", "ts", "metric", "value", "venue"]
    rows = pd.concat([part[columns] for part in parts], ignore_index=True)
    return rows.assign(
        source="recorded",
        market="perp",
        source_tier=3,
        available_at=rows["ts"] + timedelta(days=1, minutes=5),
    )


def recorded_fear_greed(folder: Path) -> pd.DataFrame:
    """The index from a folder of recorded history, known an hour after the day begins."""
    days = pd.read_parquet(folder / "fear_greed_1d.parquet").rename(columns={"fng": "fear_greed"})
    return days.assign(available_at=days["ts"] + timedelta(hours=1), source_tier=3)


def _named_coin(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(symbol=frame["symbol"] + "/USDT")


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
