"""OKX v5: candles, settled funding, open interest, positioning, books, trades.

Source: the v5 documents and recorded replies. Everything is a text, errors come in an envelope with
HTTP 200, rows run newest first; ``after`` is the exclusive cursor back in time. Page caps differ
from the documents, so a walk ends on an empty page or at its start only. Bars longer than 4h open
at UTC+8 unless the bar's name ends in ``utc``.

Amounts: ``vol`` is contracts on swaps and coins on spot, ``volCcy`` is coins on swaps and the quote
currency on spot, ``volCcyQuote`` is the quote currency on both; contract sizes are never needed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import numpy as np
import pandas as pd

from regime_pipeline.providers.binance.futures import two_metrics
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.listings import listing
from regime_pipeline.providers.okx import market
from regime_pipeline.providers.okx.market import data_of as _rows
from regime_pipeline.providers.paging import Backward, Newest
from regime_pipeline.providers.predictions import estimates
from regime_pipeline.providers.readings import ByColumns, Context, Parser, Reading
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.providers.trades import TRADE_REACH
from regime_pipeline.windows import HOUR

PROVIDER = "okx"
BARS = MappingProxyType({"1h": "1H", "4h": "4H", "1d": "1Dutc", "1w": "1Wutc"})
RUBIK_ROWS = 1440
CANDLE_ROWS = 1440
FUNDING_RETENTION = timedelta(days=94)
_MARGIN = 40
TRADE_PAGE = timedelta(minutes=10)
CLOSURE_PAGE = timedelta(hours=6)
CLOSURE_REACH = timedelta(days=1)
"""One client says that the undocumented list holds the last day."""

CANDLE_FIELDS = (
    "ts",
    "open",
    "high",
    "low",
    "close",
    "vol",
    "volCcy",
    "volCcyQuote",
    "confirm",
)


@ByColumns
def parse_candles(body: bytes, ctx: Context) -> Reading:
    """Candles; ``ctx.market`` decides what the volume fields mean, unknown leaves coins null.

    Returns:
        ts, the columns of ``raw.candles`` (taker volumes and trades null), is_closed, reason.
    """
    return candle_rows(_rows(body), ctx)


def candle_rows(rows: list[object], ctx: Context) -> Reading:
    """Candle arrays of replies and messages alike."""
    columns = Columns.arrays(rows, CANDLE_FIELDS)
    nulls = np.full(columns.count, np.nan)
    base = {"spot": "vol", "perp": "volCcy"}.get(ctx.market or "")
    confirm = columns.raw("confirm")
    known = [flag in ("0", "1") for flag in confirm]
    if not all(known):
        columns.fail_where(~np.array(known), "confirm: neither 0 nor 1")
    ts = columns.stamps("ts", ctx)
    told = columns.amounts(*([base] if base else []), optional=("volCcyQuote",))
    return columns.reading(
        {
            "ts": ts,
            **columns.bar(),
            "volume_base": told[base] if base else nulls,
            "volume_quote": told["volCcyQuote"],
            "taker_buy_base": nulls,
            "taker_buy_quote": nulls,
            "trade_count": nulls,
            "is_closed": np.array([flag != "0" for flag in confirm], dtype=bool),
        }
    )


def parse_funding_rate_history(body: bytes, ctx: Context) -> pd.DataFrame:
    """Settled funding prints: ``realizedRate``; ``fundingRate`` was only the forecast.

    Returns:
        ts, funding_rate (fraction per interval), mark_price (null), venue_symbol, reason.
    """
    columns = Columns.objects(_rows(body), ("instId", "fundingTime", "realizedRate"))
    return columns.frame(
        {
            "ts": columns.time("fundingTime", ctx),
            "funding_rate": columns.number("realizedRate"),
            "mark_price": np.full(columns.count, np.nan),
            "venue_symbol": columns.label("instId", longest=80),
        }
    )


def parse_open_interest_history(body: bytes, ctx: Context) -> pd.DataFrame:
    """Open interest by bucket: ts, contracts (not used), coins, USD."""
    columns = Columns.arrays(_rows(body), ("ts", None, "oiCcy", "oiUsd"))
    return columns.frame(
        {
            "ts": columns.time("ts", ctx),
            "open_interest_base": columns.amount("oiCcy"),
            "open_interest_usd": columns.amount("oiUsd"),
        }
    )


def _ratio_parser(metric: str) -> Parser:
    def parse(body: bytes, ctx: Context) -> pd.DataFrame:
        columns = Columns.arrays(_rows(body), ("ts", "ratio"))
        ratio = columns.number("ratio")
        with np.errstate(invalid="ignore", divide="ignore"):
            columns.fail_where(ratio < 0, "ratio: below 0")
            share = np.where(ratio < 0, np.nan, ratio / (1.0 + ratio))
        return columns.frame(
            {
                "ts": columns.time("ts", ctx),
                "metric": pd.Series([metric] * columns.count, dtype="str"),
                "value": share,
            }
        )

    parse.__doc__ = f"``{metric}`` by bucket: the long-short ratio r as the share r / (1 + r)."
    return parse


parse_accounts = _ratio_parser("global_account_long_frac")
parse_top_accounts = _ratio_parser("top_trader_account_long_frac")
parse_top_positions = _ratio_parser("top_trader_position_long_frac")


def parse_taker_volume(body: bytes, ctx: Context) -> pd.DataFrame:
    """Taker volumes by bucket, *sell first*; coins, as asked for with ``unit=0``."""
    columns = Columns.arrays(_rows(body), ("ts", "sell", "buy"))
    return two_metrics(columns, ctx, time="ts", buy="buy", sell="sell")


def _endpoint(path: str, parse: Parser) -> Endpoint:
    return Endpoint(PROVIDER, path.removeprefix("/api/v5/").replace("/", "_"), path, parse)


CANDLES = _endpoint("/api/v5/market/candles", parse_candles)
HISTORY_CANDLES = _endpoint("/api/v5/market/history-candles", parse_candles)
FUNDING = _endpoint("/api/v5/public/funding-rate-history", parse_funding_rate_history)
_RUBIK = "/api/v5/rubik/stat"
OPEN_INTEREST = _endpoint(f"{_RUBIK}/contracts/open-interest-history", parse_open_interest_history)
ACCOUNTS = _endpoint(f"{_RUBIK}/contracts/long-short-account-ratio-contract", parse_accounts)
TOP_ACCOUNTS = _endpoint(
    f"{_RUBIK}/contracts/long-short-account-ratio-contract-top-trader", parse_top_accounts
)
TOP_POSITIONS = _endpoint(
    f"{_RUBIK}/contracts/long-short-position-ratio-contract-top-trader", parse_top_positions
)
TAKER_VOLUME = _endpoint(f"{_RUBIK}/taker-volume-contract", parse_taker_volume)
BOOKS = _endpoint("/api/v5/market/books", market.parse_books)
HISTORY_TRADES = _endpoint("/api/v5/market/history-trades", market.parse_trades)
INSTRUMENTS = _endpoint("/api/v5/public/instruments", market.parse_instruments)
RUNNING_RATE = _endpoint("/api/v5/public/funding-rate", market.parse_funding_rate)
LIQUIDATIONS = _endpoint("/api/v5/public/liquidation-orders", market.parse_liquidation_orders)
STATE = (
    _endpoint("/api/v5/market/trades", market.parse_trades),
    _endpoint("/api/v5/market/ticker", market.parse_tickers),
    _endpoint("/api/v5/market/tickers", market.parse_tickers),
    _endpoint("/api/v5/market/index-tickers", market.parse_index_tickers),
    _endpoint("/api/v5/public/open-interest", market.parse_open_interest),
    _endpoint("/api/v5/public/mark-price", market.parse_mark_price),
    *(
        Endpoint(PROVIDER, name, f"/api/v5/{name.replace('_', '/')}", parse)
        for name, parse in market.RUBIK.items()
    ),
)
"""Endpoints that are read on request; no dataset is made of them."""
ENDPOINTS = (
    CANDLES,
    HISTORY_CANDLES,
    FUNDING,
    OPEN_INTEREST,
    ACCOUNTS,
    TOP_ACCOUNTS,
    TOP_POSITIONS,
    TAKER_VOLUME,
    BOOKS,
    HISTORY_TRADES,
    INSTRUMENTS,
    LIQUIDATIONS,
    RUNNING_RATE,
    *STATE,
)


def _candle_feeds(market: str) -> tuple[Feed, Feed]:
    # the plain endpoint has the newest 1440 bars only; both page back by `after`
    near = (CANDLE_ROWS - _MARGIN) * HOUR

    def feed(endpoint: Endpoint, limit: int, **reach: timedelta) -> Feed:
        return Feed(
            dataset="candles",
            endpoint=endpoint,
            market=market,
            venue="okx",
            paging=Backward(limit=limit, end="after"),
            params=lambda symbol: {"instId": symbol.name, "bar": BARS["1h"]},
            context=Context(market=market),
            **reach,  # type: ignore[arg-type]
        )

    return feed(CANDLES, 300, newest=near), feed(HISTORY_CANDLES, 100, older_than=near)


def _rubik_feed(dataset: str, endpoint: Endpoint, **more: str) -> Feed:
    return Feed(
        dataset=dataset,
        endpoint=endpoint,
        market="perp",
        venue="okx",
        paging=Backward(limit=100, start="begin", end="end"),
        params=lambda symbol: {"instId": symbol.name, "period": BARS["1h"], **more},
        retention=RUBIK_ROWS * HOUR,
    )


def _book_and_trades(kind: str) -> tuple[Feed, Feed]:
    book = Feed(
        dataset="order_book",
        endpoint=BOOKS,
        market=kind,
        venue="okx",
        paging=Newest(),
        params=lambda symbol: {"instId": symbol.name, "sz": "400"},
        context=Context(market=kind),
        live_only=True,
        in_contracts=kind == "perp",
    )
    trades = Feed(
        dataset="trade_flow",
        endpoint=HISTORY_TRADES,
        market=kind,
        venue="okx",
        paging=Backward(limit=100, end="after", step=TRADE_PAGE / 100, overlap=True),
        params=lambda symbol: {"instId": symbol.name, "type": "2"},  # pages by time, not by id
        newest=TRADE_REACH,
        only_primary=True,
        in_contracts=kind == "perp",
    )
    return book, trades


def _contracts(dataset: str) -> Feed:
    return Feed(
        dataset=dataset,
        endpoint=INSTRUMENTS,
        market="perp",
        venue="okx",
        paging=Newest(),
        params=lambda _: {"instType": "SWAP"},
        part="contracts",
        per_symbol=False,
    )


_CLOSURES = Feed(
    dataset="liquidation_events",
    endpoint=LIQUIDATIONS,
    market="perp",
    venue="okx",
    paging=Backward(limit=100, end="after", step=CLOSURE_PAGE / 100, overlap=True),
    params=lambda symbol: {
        "instType": "SWAP",
        "uly": symbol.name.removesuffix("-SWAP"),
        "state": "filled",
    },
    newest=CLOSURE_REACH,
    optional=True,
    in_contracts=True,
)
FEEDS = (
    *_candle_feeds("spot"),
    *_candle_feeds("perp"),
    Feed(
        dataset="funding_rates",
        endpoint=FUNDING,
        market="perp",
        venue="okx",
        paging=Backward(limit=100, end="after", step=8 * HOUR, least_step=HOUR),
        params=lambda symbol: {"instId": symbol.name},
        retention=FUNDING_RETENTION,
    ),
    listing(INSTRUMENTS, "okx", {"instType": "SWAP"}),
    estimates(RUNNING_RATE, "okx", {"instId": "ANY"}),  # every swap
    _rubik_feed("open_interest", OPEN_INTEREST),
    _rubik_feed("positioning", ACCOUNTS),
    _rubik_feed("positioning", TOP_ACCOUNTS),
    _rubik_feed("positioning", TOP_POSITIONS),
    _rubik_feed("positioning", TAKER_VOLUME, unit="0"),
    *_book_and_trades("spot"),
    *_book_and_trades("perp"),
    _CLOSURES,
    replace(_CLOSURES, dataset="liquidations", newest=None, reach=CLOSURE_REACH, summed=True),
    *(
        _contracts(dataset)
        for dataset in ("order_book", "trade_flow", "liquidation_events", "liquidations")
    ),
)
