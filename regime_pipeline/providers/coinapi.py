"""CoinAPI v1: reference rates and bars of single venues.

Key header ``X-CoinAPI-Key``. Times are ISO 8601 with seven decimals. A rate is a volume-weighted mean
over venues and 24 h, so it lags every last price. Periods without a trade are left out. History is
billed per hundred rows, so bars are asked for over the last days only, as a second opinion.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.errors import ContractViolation, ErrorRules, UnknownSymbol
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.paging import Forward, iso
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.source import Endpoint, Feed, KeyCarrier, Probe, Source
from regime_pipeline.providers.symbols import VenueSymbol
from regime_pipeline.providers.symbols import split as split_symbol

PROVIDER = "coinapi"
BARS_REACH = timedelta(days=3)


def _list(body: bytes) -> list[object]:
    return rows_of(document(body))


def parse_rate(body: bytes, ctx: Context) -> pd.DataFrame:
    """The present rate of one pair."""
    loaded = document(body)
    if not isinstance(loaded, dict):
        raise ContractViolation("the reply is no object with a rate")
    return _rates([loaded], ctx)


def parse_rates(body: bytes, ctx: Context) -> pd.DataFrame:
    """The present rates of one coin in many currencies."""
    loaded = document(body)
    base = member(loaded, "asset_id_base")
    found = rows_of(member(loaded, "rates"), what="rates")
    return _rates([{**r, "asset_id_base": base} if isinstance(r, dict) else r for r in found], ctx)


def _rates(found: list[object], ctx: Context) -> pd.DataFrame:
    columns = Columns.objects(found, ("time", "asset_id_base", "asset_id_quote", "rate"))
    rate = columns.number("rate")
    columns.fail_where(rate <= 0, "rate: not above zero")
    return columns.frame(
        {
            "ts": columns.iso("time", ctx),
            "coin": columns.label("asset_id_base", longest=30),
            "quote": columns.label("asset_id_quote", longest=30),
            "reference_price": rate,
        }
    )


def parse_rate_history(body: bytes, ctx: Context) -> pd.DataFrame:
    """Rates of one pair by bucket; the rate at the close counts."""
    columns = Columns.objects(
        _list(body), ("time_period_start", "rate_close"), ("time_period_end",)
    )
    rate = columns.number("rate_close")
    columns.fail_where(rate <= 0, "rate_close: not above zero")
    return columns.frame(
        {
            "ts": columns.iso("time_period_start", ctx),
            "close_time": columns.iso("time_period_end", ctx, optional=True),
            "reference_price": rate,
        }
    )


def parse_ohlcv(body: bytes, ctx: Context) -> pd.DataFrame:
    """Bars of one instrument; volume in coins, the quote volume is not told."""
    prices = {f"price_{n}": n for n in ("open", "high", "low", "close")}
    columns = Columns.objects(
        _list(body), ("time_period_start", "time_period_end", *prices, "volume_traded"),
        ("trades_count",),
    )  # fmt: skip
    return columns.frame(
        {
            "ts": columns.iso("time_period_start", ctx),
            "close_time": columns.iso("time_period_end", ctx),
            **columns.bar(tuple(prices)),
            "volume_base": columns.amount("volume_traded"),
            "trade_count": columns.integer("trades_count", optional=True),
        }
    )


def parse_assets(body: bytes, ctx: Context) -> pd.DataFrame:
    """What the provider knows of each coin: its id, volume and price now, and since when."""
    columns = Columns.objects(
        _list(body), ("asset_id",), ("name", "type_is_crypto", "price_usd", "volume_1day_usd",
        "data_trade_start", "data_trade_end"),
    )  # fmt: skip
    crypto = columns.number("type_is_crypto", optional=True)
    return columns.frame(
        {
            "coin": columns.label("asset_id", longest=40),
            "name": columns.prose("name", longest=120),
            "is_crypto": pd.array(
                [None if np.isnan(v) else v != 0 for v in crypto], dtype="boolean"
            ),
            "price_usd": columns.amount("price_usd", optional=True),
            "volume_24h_usd": columns.amount("volume_1day_usd", optional=True),
            "trades_from": columns.iso("data_trade_start", ctx, optional=True),
            "trades_to": columns.iso("data_trade_end", ctx, optional=True),
        }
    )


RATE_HISTORY = Endpoint(
    PROVIDER,
    "v1_exchangerate_base_quote_history",
    "/v1/exchangerate/{base}/{quote}/history",
    parse_rate_history,
)
OHLCV = Endpoint(PROVIDER, "v1_ohlcv_history", "/v1/ohlcv/{symbol_id}/history", parse_ohlcv)
ENDPOINTS = (
    Endpoint(PROVIDER, "v1_assets", "/v1/assets", parse_assets),
    Endpoint(PROVIDER, "v1_exchangerate_base", "/v1/exchangerate/{base}", parse_rates),
    Endpoint(PROVIDER, "v1_exchangerate_base_quote", "/v1/exchangerate/{base}/{quote}", parse_rate),
    RATE_HISTORY,
    OHLCV,
    Endpoint(PROVIDER, "v1_ohlcv_latest", "/v1/ohlcv/{symbol_id}/latest", parse_ohlcv),
)


def _rate_path(symbol: VenueSymbol) -> str:
    base, quote = split_symbol(symbol.canonical)
    return f"/v1/exchangerate/{base}/{quote}/history"


def _bars_path(symbol: VenueSymbol) -> str:
    base, quote = split_symbol(symbol.canonical)
    return f"/v1/ohlcv/BINANCE_SPOT_{base}_{quote}/history"


_PAGING = Forward(limit=1000, start="time_start", end="time_end", stamp=iso)
FEEDS = (
    Feed(
        dataset="reference_prices",
        endpoint=RATE_HISTORY,
        market="index",
        venue="aggregate",
        paging=_PAGING,
        params=lambda _: {"period_id": "1HRS"},
        path=_rate_path,
        names="coin",
    ),
    Feed(
        dataset="candles",
        endpoint=OHLCV,
        market="spot",
        venue="binance",
        paging=_PAGING,
        params=lambda _: {"period_id": "1HRS"},
        path=_bars_path,
        reach=BARS_REACH,
    ),
)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        key=KeyCarrier(header="X-CoinAPI-Key"),
        rates=Rates((Budget("requests", 100, 60.0, keyed=True),)),
        errors=ErrorRules(by_status={550: UnknownSymbol}, is_paid=True),
        error_bodies=("missing_key",),
        probe=Probe("/v1/exchangerate/BTC/USDT"),
        relays=True,
    ),
)
