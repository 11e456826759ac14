"""Small made-up worlds for the funding and signal tests, and a comparison to the byte."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from regime_pipeline.market.funding import funding as market_funding
from regime_pipeline.windows import Grid, Window, hours_between

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


def same_bytes(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal frames, floats to the last bit."""
    one, other = one.reset_index(drop=True), other.reset_index(drop=True)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    for name in one.columns[one.dtypes == "float64"]:
        a, b = one[name].to_numpy(), other[name].to_numpy()
        there = ~np.isnan(a)
        assert (a[there].view("int64") == b[there].view("int64")).all(), name


@dataclass(frozen=True)
class World:
    """The inputs of the futures score."""

    liquidations_1h: pd.DataFrame
    funding: pd.DataFrame
    candles_1h: pd.DataFrame
    positioning_1h: pd.DataFrame
    open_interest: pd.DataFrame
    fear_greed: pd.DataFrame

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
    keys = {
        "symbol": pd.Series(symbols, dtype="str").repeat(count).reset_index(drop=True),
        "ts": hours.take(np.tile(np.arange(count), width)),
        "source_tier": pd.array([1] * (count * width), dtype="Int64"),
    }

    def flat(panel: np.ndarray) -> np.ndarray:
        return panel.T.reshape(-1)

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
        liquidations_1h=pd.DataFrame(
            {
                **keys,
                "long_liquidations_usd": flat(rng.lognormal(10, 2, (count, width))),
                "short_liquidations_usd": flat(rng.lognormal(9.5, 2, (count, width))),
            }
        ),
        funding=market_funding(
            raw, window=Window(start, end), venues=dict.fromkeys(symbols, "binance")
        ),
        candles_1h=pd.DataFrame({**keys, "market": "perp", "close": flat(close)}),
        positioning_1h=pd.DataFrame(
            {
                **keys,
                "global_account_long_frac": flat(rng.beta(30, 15, (count, width))),
                "top_trader_position_long_frac": flat(rng.beta(20, 20, (count, width))),
            }
        ),
        open_interest=pd.DataFrame(
            {
                **keys,
                "open_interest_base": flat(coins),
                "open_interest_usd": flat(coins * close),
                "is_filled": pd.array([False] * (count * width), dtype="boolean"),
            }
        ),
        fear_greed=pd.DataFrame(
            {
                "ts": days,
                "fear_greed": mood[: len(days)],
                "available_at": days + timedelta(minutes=10),
                "source_tier": pd.array([1] * len(days), dtype="Int64"),
            }
        ),
    )


def grid_of(start: datetime, hours: int, symbols: tuple[str, ...] = SYMBOLS) -> Grid:
    """A grid of whole hours."""
    return Grid(start, start + timedelta(hours=hours), symbols)
