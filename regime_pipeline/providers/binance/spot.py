"""Binance spot, and Binance.US which speaks the same: hourly klines, books, trades.

Source: ``binance/binance-spot-api-docs`` (rest-api.md, klines). Times are ms, prices and amounts are
decimal texts, oldest first, start and end inclusive. Field 6 is the close time, end - 1 ms. The
running bar is part of the reply.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from regime_pipeline.providers.binance import market
from regime_pipeline.providers.binance.errors import ERRORS
from regime_pipeline.providers.decode import (
    ByColumns,
    Columns,
    Context,
    Parser,
    Reading,
    document,
    rows_of,
)
from regime_pipeline.providers.paging import Forward, Newest
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.providers.trades import TRADE_REACH, TRADE_STEP

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


@ByColumns
def parse_klines(body: bytes, ctx: Context) -> Reading:
    """Klines as candles: amounts in base coin and quote currency.

    Returns:
        ts, the columns of ``raw.candles``, ``close_time`` (exclusive end of the bar), reason.
    """
    columns = Columns.arrays(rows_of(document(body, ERRORS)), KLINE_FIELDS)
    ts = columns.stamps("open_time", ctx)
    # the close of the running bar may lie a whole bar ahead, which is no error of the row
    # ends on its last millisecond, or microsecond where the reply is in those
    close = columns.stamps("close_time", Context()).astype("M8[ms]") + np.timedelta64(1, "ms")
    columns.fail_where(close <= ts, "close_time: not after the open")
    told = columns.amounts("volume", optional=("quote_volume", "taker_base", "taker_quote"))
    return columns.reading(
        {
            "ts": ts,
            **columns.bar(),
            "volume_base": told["volume"],
            "volume_quote": told["quote_volume"],
            "taker_buy_base": told["taker_base"],
            "taker_buy_quote": told["taker_quote"],
            "trade_count": columns.integer("trades", optional=True),
            "close_time": close.astype("M8[us]"),
        }
    )


KLINES = Endpoint("binance", "api_v3_klines", "/api/v3/klines", parse_klines, weight=2)
KLINES_US = Endpoint("binance_us", "api_v3_klines", "/api/v3/klines", parse_klines, weight=1)


def _endpoints(provider: str, weights: dict[str, int]) -> dict[str, Endpoint]:
    parsers: dict[str, Parser] = {
        "depth": market.depth,
        "aggTrades": market.agg_trades,
        "trades": market.trades,
        "historicalTrades": market.trades,
        "ticker_24hr": market.ticker,
        "avgPrice": market.average_price,
        "exchangeInfo": market.exchange_info,
        "time": market.server_time,
    }
    return {
        name: Endpoint(
            provider,
            f"api_v3_{name}",
            f"/api/v3/{name.replace('_', '/')}",
            parse,
            weights.get(name, 1),
        )
        for name, parse in parsers.items()
    }


DEPTH_LIMIT = 1000
_SPOT = _endpoints(
    "binance",
    {
        "depth": 50,
        "aggTrades": 4,
        "trades": 25,
        "historicalTrades": 25,
        "ticker_24hr": 2,
        "avgPrice": 2,
        "exchangeInfo": 20,
    },
)
_US = _endpoints("binance_us", {"depth": 10, "historicalTrades": 5, "exchangeInfo": 10})

ENDPOINTS = (KLINES, *_SPOT.values())
ENDPOINTS_US = (KLINES_US, *_US.values())

CANDLES = Feed(
    dataset="candles",
    endpoint=KLINES,
    market="spot",
    venue="binance",
    paging=Forward(limit=1000, start="startTime", end="endTime"),
    params=lambda symbol: {"symbol": symbol.name, "interval": "1h"},
)
CANDLES_US = replace(CANDLES, endpoint=KLINES_US, venue="binance_us")


def book_and_trades(
    depth: Endpoint, agg_trades: Endpoint, kind: str, venue: str
) -> tuple[Feed, Feed]:
    """The feeds of a house's books and trades.

    A book is whole only down to its last level: with the most levels that a moderate weight buys,
    the widest band is a lower bound on the busiest pairs, and ``book_reach_bps`` says so. A page of
    trades is followed by one that begins at the last one's time, so trades of one millisecond are
    never cut apart.
    """
    book = Feed(
        dataset="order_book",
        endpoint=depth,
        market=kind,
        venue=venue,
        paging=Newest(),
        params=lambda symbol: {"symbol": symbol.name, "limit": str(DEPTH_LIMIT)},
        live_only=True,
    )
    flow = Feed(
        dataset="trade_flow",
        endpoint=agg_trades,
        market=kind,
        venue=venue,
        paging=Forward(limit=1000, start="startTime", end="endTime", step=TRADE_STEP, overlap=True),
        params=lambda symbol: {"symbol": symbol.name},
        newest=TRADE_REACH,
        only_primary=True,
        in_candles=True,
    )
    return book, flow


FEEDS = (CANDLES, *book_and_trades(_SPOT["depth"], _SPOT["aggTrades"], "spot", "binance"))
FEEDS_US = (CANDLES_US, *book_and_trades(_US["depth"], _US["aggTrades"], "spot", "binance_us"))
