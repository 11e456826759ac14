"""Small contract-valid frames for the storage tests."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.windows import Window, hours_between, utc
from regime_pipeline_tests.synthetic import long

SYMBOLS = ("BTC/USDT", "ETH/USDT")
DAY_1 = Window(utc("2024-03-01"), utc("2024-03-02"))
DAY_2 = Window(utc("2024-03-02"), utc("2024-03-03"))
BOTH = Window(DAY_1.start, DAY_2.end)


def raw_candles(
    window: Window = DAY_1,
    *,
    symbols: tuple[str, ...] = SYMBOLS,
    price: float = 100.0,
    tier: int = 1,
    seed: int = 7,
) -> pd.DataFrame:
    """Hourly bars of ``raw.candles``; the same arguments give the same rows."""
    hours = hours_between(window.start, window.end)
    draws = np.random.default_rng(seed).normal(0.0, 0.01, (len(symbols), len(hours)))
    level = price * np.exp(draws.T)
    return long(
        symbols,
        hours,
        source="binance",
        venue="binance",
        market="spot",
        timeframe="1h",
        open=level,
        high=level * 1.01,
        low=level * 0.99,
        close=level * 1.005,
        volume_base=3.0,
        volume_quote=level * 3.0,
        taker_buy_base=np.nan,
        taker_buy_quote=np.nan,
        trade_count=pd.array([None] * level.size, dtype="Int64"),
        source_tier=tier,
        available_at=hours + timedelta(hours=1),
        pit_grade="assumed",
    )


def fear_greed(
    window: Window, values: list[int], *, source: str = "alternative_me"
) -> pd.DataFrame:
    """Daily rows of ``raw.fear_greed``."""
    days = pd.DatetimeIndex(window.days())
    return pd.DataFrame(
        {
            "source": source,
            "ts": days,
            "fear_greed": values,
            "classification": "Neutral",
            "source_tier": 1,
            "available_at": days,
            "pit_grade": "assumed",
        }
    )


def fetch_log(note: str | None = None) -> pd.DataFrame:
    """One row of ``ops.fetch_log`` with a free text."""
    at = pd.Timestamp(DAY_1.start)
    return pd.DataFrame(
        {
            "fetch_id": ["f1"],
            "dataset": "candles",
            "source": "binance",
            "venue": "binance",
            "market": "spot",
            "symbol": "BTC/USDT",
            "endpoint_path": "/klines",
            "window_start": at,
            "window_end": at,
            "fetch_status": "failed",
            "error_class": "X",
            "error_message": note,
            "rows_stored": 0,
            "first_row_at": pd.NaT,
            "last_row_at": pd.NaT,
            "rows_quarantined": 0,
            "request_count": 1,
            "duration_s": 0.5,
            "source_tier": 1,
            "fetched_at": at,
        }
    )


def event(event_id: str, ts: str, details: str = "{}") -> pd.DataFrame:
    """One row of ``alerts.market_events``."""
    return pd.DataFrame(
        {
            "event_id": [event_id],
            "ts": pd.Timestamp(utc(ts)),
            "event_type": "LIQUIDATION_CASCADE",
            "instrument": "BTC/USDT",
            "kind": "start",
            "ordinal": 0,
            "alert_severity": "CRITICAL",
            "level": None,
            "episode_start": pd.Timestamp(utc(ts)),
            "known_at": pd.Timestamp(utc(ts)) + timedelta(hours=1),
            "title": "t",
            "details": details,
            "source_tier": 1,
            "method_version": "m/1",
        }
    )
