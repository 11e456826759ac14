"""Binance spot, and Binance.US which speaks the same: hourly klines.

Source: ``binance/binance-spot-api-docs`` (rest-api.md, klines). Times are ms, prices and amounts are
decimal texts, oldest first, start and end inclusive. Field 6 is the close time, end - 1 ms. The
running bar is part of the reply.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.providers.plan import Endpoint, Feed, Paging
from regime_pipeline.providers.wire import Columns, Context, document, rows_of

KLINE_FIELDS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_base",
    "taker_quote",
    None,
)


def parse_klines(body: bytes, ctx: Context, provider: str = "binance") -> pd.DataFrame:
    """Klines as candles: amounts in base coin and quote currency.

    Returns:
        ts, the columns of ``raw.candles``, ``close_time`` (exclusive end of the bar), reason.
    """
    columns = Columns.arrays(rows_of(document(body, provider)), KLINE_FIELDS)
    ts = columns.time("open_time", ctx)
    # the close of the running bar may lie a whole bar ahead, which is no error of the row
    # ends on its last millisecond, or microsecond where the reply is in those
    close = columns.time("close_time", Context()).floor("ms") + timedelta(milliseconds=1)
    columns.fail_where(np.asarray(close <= ts), "close_time: not after the open")
    return columns.frame(
        {
            "ts": ts,
            "open": columns.number("open"),
            "high": columns.number("high"),
            "low": columns.number("low"),
            "close": columns.number("close"),
            "volume_base": columns.number("volume"),
            "volume_quote": columns.number("quote_volume", optional=True),
            "taker_buy_base": columns.number("taker_base", optional=True),
            "taker_buy_quote": columns.number("taker_quote", optional=True),
            "trade_count": columns.integer("trades", optional=True),
            "close_time": close,
        }
    )


def parse_klines_us(body: bytes, ctx: Context) -> pd.DataFrame:
    """Klines of Binance.US."""
    return parse_klines(body, ctx, "binance_us")


KLINES = Endpoint("binance", "api_v3_klines", "/api/v3/klines", parse_klines, weight=2)
KLINES_US = Endpoint("binance_us", "api_v3_klines", "/api/v3/klines", parse_klines_us, weight=1)

ENDPOINTS = (KLINES, KLINES_US)

CANDLES = Feed(
    dataset="candles",
    endpoint=KLINES,
    market="spot",
    venue="binance",
    paging=Paging("forward", 1000, start="startTime", end="endTime"),
    params=lambda symbol: {"symbol": symbol.name, "interval": "1h"},
)
CANDLES_US = replace(CANDLES, endpoint=KLINES_US, venue="binance_us")

FEEDS = (CANDLES,)
FEEDS_US = (CANDLES_US,)
