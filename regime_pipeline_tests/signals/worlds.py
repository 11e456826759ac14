"""Small made-up worlds for the funding and signal tests, and a comparison to the byte."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.funding import funding as market_funding
from regime_pipeline.signals.components import components
from regime_pipeline.windows import Grid, Window, hours_between
from regime_pipeline_tests.synthetic import long

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def raw_prints(
    stamps: list,
    rates: list,
    *,
    symbol: str = "BTC/USDT",
    interval: object = None,
    **columns: object,
) -> pd.DataFrame:
    """Rows of raw.funding_rates with the columns that matter."""
    count = len(stamps)
    return pd.DataFrame(
        {
            "source": "binance_futures",
            "venue": "binance",
            "market": "perp",
            "symbol": pd.Series([symbol] * count, dtype="str"),
            "ts": pd.DatetimeIndex(pd.to_datetime(stamps, utc=True)).as_unit("us"),
            "funding_rate": np.asarray(rates, dtype="float64"),
            "interval_hours": pd.array([interval] * count, dtype="Int64"),
            "mark_price": np.nan,
            "source_tier": pd.array([1] * count, dtype="Int64"),
            **columns,
        }
    )


def prints_of(
    rates: list[float], *, end: datetime, hours: int = 8, symbol: str = "BTC/USDT"
) -> pd.DataFrame:
    """Rows of market.funding every ``hours``, the last one at ``end``."""
    count = len(rates)
    rate = np.asarray(rates, dtype="float64")
    return pd.DataFrame(
        {
            "symbol": pd.Series([symbol] * count, dtype="str"),
            "ts": pd.date_range(end=end, periods=count, freq=f"{hours}h").as_unit("us"),
            "funding_rate": rate,
            "interval_hours": pd.array([hours] * count, dtype="Int64"),
            "rate_8h": rate * 8 / hours,
            "rate_annual": rate * 8 / hours * 1095,
            "source_tier": pd.array([1] * count, dtype="Int64"),
        }
    )


@dataclass(frozen=True)
class World:
    """The inputs of the futures score."""

    liquidations_1h: pd.DataFrame
    funding: pd.DataFrame
    candles_1h: pd.DataFrame
    positioning_1h: pd.DataFrame
    open_interest: pd.DataFrame
    fear_greed: pd.DataFrame
    sentiment_1h: pd.DataFrame

    def between(self, start: datetime, end: datetime) -> World:
        """Only what happened in [start, end)."""
        return World(
            *(
                frame[(frame["ts"] >= start) & (frame["ts"] < end)]
                for frame in (getattr(self, f.name) for f in fields(self))
            )
        )

    def without(self, name: str, start: datetime, end: datetime) -> World:
        """A dataset with nothing observed in [start, end)."""
        frame = getattr(self, name)
        return replace(self, **{name: frame[(frame["ts"] < start) | (frame["ts"] >= end)]})


def world(start: datetime, end: datetime, *, symbols: tuple[str, ...] = SYMBOLS) -> World:
    """Random walks and their like over [start, end), always the same for the same arguments."""
    rng = np.random.default_rng(20240805)
    hours = hours_between(start, end)
    count, width = len(hours), len(symbols)

    def rows(**columns: object) -> pd.DataFrame:
        frame = long(symbols, hours, source_tier=1, **columns)
        return frame.astype({"source_tier": "Int64"})

    def walk(scale: float) -> np.ndarray:
        return np.exp(np.cumsum(rng.standard_t(4, (count, width)) * scale, axis=0))

    close = 100 * walk(0.005)
    coins = 5e4 * walk(0.01)
    mood = rng.uniform(5, 95, count // 24 + 2)
    days = pd.date_range(start, end, freq="1D", inclusive="left").as_unit("us")
    raw = pd.concat(
        [
            raw_prints(
                list(hours[hours.hour % 8 == 0]),
                list(rng.standard_t(3, (hours.hour % 8 == 0).sum()) * 1e-4 + 1e-4),
                symbol=s,
            )
            for s in symbols
        ]
    )
    return World(
        liquidations_1h=rows(
            long_liquidations_usd=rng.lognormal(10, 2, (count, width)),
            short_liquidations_usd=rng.lognormal(9.5, 2, (count, width)),
        ),
        funding=market_funding(
            raw, window=Window(start, end), venues=dict.fromkeys(symbols, "binance")
        ),
        candles_1h=rows(market="perp", close=close),
        positioning_1h=rows(
            global_account_long_frac=rng.beta(30, 15, (count, width)),
            top_trader_position_long_frac=rng.beta(20, 20, (count, width)),
        ),
        open_interest=rows(
            open_interest_base=coins,
            open_interest_usd=coins * close,
            is_filled=pd.array([False] * (count * width), dtype="boolean"),
        ),
        fear_greed=pd.DataFrame(
            {
                "ts": days,
                "fear_greed": mood[: len(days)],
                "available_at": days + timedelta(minutes=10),
                "source_tier": pd.array([1] * len(days), dtype="Int64"),
            }
        ),
        sentiment_1h=rows(
            social_score=rng.uniform(20, 90, (count, width)),
            social_mentions=rng.poisson(40, (count, width)).astype(float),
        ),
    )


def grid_of(start: datetime, hours: int, symbols: tuple[str, ...] = SYMBOLS) -> Grid:
    """A grid of whole hours."""
    return Grid(start, start + timedelta(hours=hours), symbols)


OTHER_SERIES = {
    "trade_flow_1h": "market.trade_flow_1h",
    "order_book_1h": "market.order_book_1h",
    "sentiment_1h": "market.sentiment_1h",
    "whale_flow_1h": "market.whale_flow_1h",
    "liquidations_1h": "market.liquidations_1h",
    "cascades": "features.liquidation_cascades",
}
"""Inputs of the components beside candles."""


def components_of(
    candles_1h: pd.DataFrame,
    *,
    grid: Grid,
    wired: tuple[str, ...] = (),
    **others: pd.DataFrame,
) -> pd.DataFrame:
    """The components of candles and whatever else is given; the other series have no rows."""
    bars = candles_1h.reindex(columns=list(table("market.candles_1h").fields))
    given = {name: others.get(name, empty(table(full))) for name, full in OTHER_SERIES.items()}
    return components(bars, **given, grid=grid, wired=wired)
