"""Hourly candles for tests: a seeded market with calm, storms and holes, and recorded history."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from regime_pipeline.evaluation.worlds import bars_of
from regime_pipeline.market.candles import candles_1h
from regime_pipeline.windows import Grid, Window, utc


def synthetic_raw(grid: Grid, seed: int, holes: tuple[tuple[int, int], ...] = ()) -> pd.DataFrame:
    """Rows of raw.candles; ``holes`` are (first hour, number of hours) without any row."""
    rng = np.random.default_rng(seed)
    hours = grid.hours
    parts = []
    for symbol in grid.symbols:
        n = len(hours)
        storm = np.repeat(rng.choice([0.6, 1.0, 1.4, 3.5], size=n // 20 + 1), 20)[:n]
        drift = np.repeat(rng.choice([-0.002, 0.0, 0.002], size=n // 300 + 1), 300)[:n]
        steps = rng.standard_t(4, size=(n, 4)) * 0.003 * storm[:, None] + drift[:, None] / 4
        bars = bars_of(steps)
        volume = rng.lognormal(3.0, 0.7, size=n) * storm * (1 + 200 * np.abs(drift))
        part = pd.DataFrame(
            {
                "symbol": symbol,
                "ts": hours,
                **bars,
                "volume_base": volume,
                "volume_quote": volume * bars["close"],
            }
        )
        gone = np.zeros(n, dtype=bool)
        for first, length in holes:
            gone[first : first + length] = True
        parts.append(part[~gone])
    return as_raw(pd.concat(parts, ignore_index=True))


def as_raw(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(
        source="binance",
        venue="binance",
        market="spot",
        timeframe="1h",
        taker_buy_base=np.nan,
        trade_count=pd.NA,
        source_tier=1,
    )


def synthetic_candles(
    start: datetime,
    hours: int,
    *,
    symbols: tuple[str, ...] = ("ADA/USDT", "BTC/USDT"),
    seed: int = 0,
    holes: tuple[tuple[int, int], ...] = (),
) -> pd.DataFrame:
    grid = Grid(start, start + timedelta(hours=hours), symbols)
    venues = {"spot": dict.fromkeys(symbols, "binance")}
    return candles_1h(synthetic_raw(grid, seed, holes), grid=grid, venues=venues)


def recorded_candles(folder: Path, start: str, end: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Binance spot candles of a recorded history, and their symbols."""
    recorded = pd.read_parquet(
        folder / "candles_1h.parquet",
        filters=[("venue", "==", "binance"), ("market", "==", "spot")],
    )
    recorded = recorded.assign(
        symbol=recorded["symbol"].str.replace("USDT", "/USDT"), volume_quote=np.nan
    ).rename(columns={"volume": "volume_base"})
    symbols = tuple(sorted(recorded["symbol"].unique()))
    grid = Grid.of(Window(utc(start), utc(end)), symbols)
    venues = {"spot": dict.fromkeys(symbols, "binance")}
    return candles_1h(as_raw(recorded), grid=grid, venues=venues), symbols
