"""Binance USD-M futures: klines, settled funding, open interest, positioning, books, trades.

Sources: ``binance/binance-futures-connector-python`` (um_futures/market.py) and recorded replies.
Rates are fractions per interval, open interest is one-sided. ``/futures/data/*`` keeps the latest
30 days and answers -1130 for an older start; its ``timestamp`` is taken as the start of its bucket,
which is the reading that cannot look ahead, and it comes as a number or as a text.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.providers.binance import market
from regime_pipeline.providers.binance.errors import ERRORS
from regime_pipeline.providers.binance.spot import book_and_trades, parse_klines
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document, objects_of, rows_of
from regime_pipeline.providers.listings import listing
from regime_pipeline.providers.paging import Forward, Newest
from regime_pipeline.providers.predictions import estimates
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.windows import HOUR

PROVIDER = "binance_futures"
RETENTION = timedelta(days=30)
SHARE_TOLERANCE = 0.01


def parse_funding_rate(body: bytes, ctx: Context) -> pd.DataFrame:
    """Settled funding prints.

    ``markPrice`` is absent or blank on older rows and then null. The time has a jitter of some
    milliseconds, which is left in; the interval is not in the reply.

    Returns:
        ts, funding_rate (fraction per interval), mark_price, venue_symbol, reason.
    """
    columns = Columns.objects(
        rows_of(document(body, ERRORS)), ("symbol", "fundingTime", "fundingRate"), ("markPrice",)
    )
    mark = columns.number("markPrice", optional=True)
    return columns.frame(
        {
            "ts": columns.time("fundingTime", ctx),
            "funding_rate": columns.number("fundingRate"),
            # zero stands for "was not recorded"
            "mark_price": np.where(mark == 0.0, np.nan, mark),
            "venue_symbol": columns.label("symbol", longest=80),
        }
    )


def parse_funding_info(body: bytes, ctx: Context) -> pd.DataFrame:
    """Perpetuals whose funding interval or caps were ever adjusted.

    Returns:
        venue_symbol, interval_hours in force now, since (last update; null when not said), reason.
    """
    columns = Columns.objects(
        rows_of(document(body, ERRORS)), ("symbol", "fundingIntervalHours"), ("updateTime",)
    )
    hours = columns.integer("fundingIntervalHours")
    columns.fail_where(hours <= 0, "fundingIntervalHours: not above zero")
    return columns.frame(
        {
            "venue_symbol": columns.label("symbol", longest=80),
            "interval_hours": hours,
            "since": columns.time("updateTime", ctx, optional=True),
        }
    )


def parse_open_interest_hist(body: bytes, ctx: Context) -> pd.DataFrame:
    """Open interest by bucket, in coins and USDT."""
    columns = Columns.objects(
        rows_of(document(body, ERRORS)),
        ("symbol", "sumOpenInterest", "sumOpenInterestValue", "timestamp"),
    )
    return columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "open_interest_base": columns.amount("sumOpenInterest"),
            "open_interest_usd": columns.amount("sumOpenInterestValue"),
            "venue_symbol": columns.label("symbol", longest=80),
        }
    )


def _share_parser(metric: str) -> Parser:
    def parse(body: bytes, ctx: Context) -> pd.DataFrame:
        columns = Columns.objects(
            rows_of(document(body, ERRORS)),
            ("symbol", "longAccount", "shortAccount", "timestamp"),
        )
        long, short = columns.number("longAccount"), columns.number("shortAccount")
        with np.errstate(invalid="ignore"):
            columns.fail_where((long < 0) | (long > 1), "longAccount: no share between 0 and 1")
            columns.fail_where(
                np.abs(long + short - 1) > SHARE_TOLERANCE, "longAccount + shortAccount is not 1"
            )
        return columns.frame(
            {
                "ts": columns.time("timestamp", ctx),
                "metric": pd.Series([metric] * columns.count, dtype="str"),
                "value": long,
                "venue_symbol": columns.label("symbol", longest=80),
            }
        )

    parse.__doc__ = f"``{metric}`` by bucket; the position endpoint names its shares alike."
    return parse


parse_global_accounts = _share_parser("global_account_long_frac")
parse_top_accounts = _share_parser("top_trader_account_long_frac")
parse_top_positions = _share_parser("top_trader_position_long_frac")


def parse_taker_ratio(body: bytes, ctx: Context) -> pd.DataFrame:
    """Taker volumes by bucket in coins, two rows each; the reply does not name the symbol."""
    columns = Columns.objects(rows_of(document(body, ERRORS)), ("buyVol", "sellVol", "timestamp"))
    return two_metrics(columns, ctx, time="timestamp", buy="buyVol", sell="sellVol")


def parse_reference_klines(body: bytes, ctx: Context) -> pd.DataFrame:
    """Klines of the mark or the index price: prices only, their volume fields are always zero.

    Returns:
        ts, open, high, low, close, ``close_time`` (exclusive end), reason.
    """
    bars = parse_klines(body, ctx)
    return bars[["ts", "open", "high", "low", "close", "close_time", "reason"]]


def parse_premium_index(body: bytes, ctx: Context) -> pd.DataFrame:
    """Mark price, index and the running estimate of the coming settlement.

    ``lastFundingRate`` is that estimate, not the settled rate of before; blank, with a time of 0,
    for delivery contracts, which have no funding. An object for one symbol, else a list.
    """
    columns = Columns.objects(
        objects_of(document(body, ERRORS)),
        ("symbol", "markPrice", "indexPrice", "lastFundingRate", "nextFundingTime", "time"),
        ("estimatedSettlePrice", "interestRate"),
    )
    settles = columns.raw("nextFundingTime")
    columns.put("nextFundingTime", [None if v in (0, "0") else v for v in settles])
    coming = columns.time("nextFundingTime", Context(), optional=True)
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "mark_price": columns.price("markPrice"),
            "index_price": columns.price("indexPrice"),
            "predicted_funding_rate": columns.number("lastFundingRate", optional=True),
            "interest_rate": columns.number("interestRate", optional=True),
            "next_funding_at": coming,
            "venue_symbol": columns.label("symbol", longest=80),
        }
    )


def parse_open_interest(body: bytes, ctx: Context) -> pd.DataFrame:
    """Open interest of this moment, in coins, one-sided."""
    columns = Columns.objects(
        objects_of(document(body, ERRORS)), ("symbol", "openInterest", "time")
    )
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "open_interest_base": columns.amount("openInterest"),
            "venue_symbol": columns.label("symbol", longest=80),
        }
    )


def parse_basis(body: bytes, ctx: Context) -> pd.DataFrame:
    """Futures price against the index, by bucket; ``basis_frac`` is a fraction of the index."""
    columns = Columns.objects(
        rows_of(document(body, ERRORS)),
        ("pair", "contractType", "timestamp", "futuresPrice", "indexPrice", "basis"),
        ("basisRate",),
    )
    return columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "futures_price": columns.price("futuresPrice"),
            "index_price": columns.price("indexPrice"),
            "basis_quote": columns.number("basis"),
            "basis_frac": columns.number("basisRate", optional=True),
            "contract_type": columns.text("contractType"),
            "venue_symbol": columns.label("pair", longest=80),
        }
    )


def parse_taker_volume(body: bytes, ctx: Context) -> pd.DataFrame:
    """Taker volumes of coin-margined contracts by bucket: contracts, and coins as their value."""
    columns = Columns.objects(
        rows_of(document(body, ERRORS)),
        ("pair", "contractType", "timestamp", "takerBuyVol", "takerSellVol"),
        ("takerBuyVolValue", "takerSellVolValue"),
    )
    return columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "taker_buy_contracts": columns.amount("takerBuyVol"),
            "taker_sell_contracts": columns.amount("takerSellVol"),
            "taker_buy_base": columns.amount("takerBuyVolValue", optional=True),
            "taker_sell_base": columns.amount("takerSellVolValue", optional=True),
            "contract_type": columns.text("contractType"),
            "venue_symbol": columns.label("pair", longest=80),
        }
    )


def two_metrics(columns: Columns, ctx: Context, *, time: str, buy: str, sell: str) -> pd.DataFrame:
    """Taker volumes as rows of ``taker_buy_base`` and ``taker_sell_base``, each judged by itself.

    Args:
        columns: one row a bucket.
        ctx: what the parser must know.
        time: field of the bucket's start.
        buy: field of the bought coins.
        sell: field of the sold coins.

    Returns:
        ts, metric, value (coins), reason.
    """
    ts = columns.time(time, ctx)
    sides = []
    for metric, field in (("taker_buy_base", buy), ("taker_sell_base", sell)):
        own = columns.apart()
        named = pd.Series([metric] * own.count, dtype="str")
        sides.append(own.frame({"ts": ts, "metric": named, "value": own.amount(field)}))
    return pd.concat(sides, ignore_index=True)


def _endpoint(name: str, path: str, parse: Parser, weight: int) -> Endpoint:
    return Endpoint(PROVIDER, name, path, parse, weight)


KLINES = _endpoint("fapi_v1_klines", "/fapi/v1/klines", parse_klines, 5)
FUNDING_RATE = _endpoint("fapi_v1_fundingRate", "/fapi/v1/fundingRate", parse_funding_rate, 1)
FUNDING_INFO = _endpoint("fapi_v1_fundingInfo", "/fapi/v1/fundingInfo", parse_funding_info, 1)
OPEN_INTEREST = _endpoint(
    "futures_data_openInterestHist",
    "/futures/data/openInterestHist",
    parse_open_interest_hist,
    1,
)
POSITIONING = tuple(
    _endpoint(f"futures_data_{name}", f"/futures/data/{name}", parse, 1)
    for name, parse in (
        ("globalLongShortAccountRatio", parse_global_accounts),
        ("topLongShortAccountRatio", parse_top_accounts),
        ("topLongShortPositionRatio", parse_top_positions),
        ("takerlongshortRatio", parse_taker_ratio),
    )
)
DEPTH = _endpoint("fapi_v1_depth", "/fapi/v1/depth", market.depth, 20)
AGG_TRADES = _endpoint("fapi_v1_aggTrades", "/fapi/v1/aggTrades", market.agg_trades, 20)
PREMIUM_INDEX = _endpoint("fapi_v1_premiumIndex", "/fapi/v1/premiumIndex", parse_premium_index, 10)
EXCHANGE_INFO = _endpoint("fapi_v1_exchangeInfo", "/fapi/v1/exchangeInfo", market.exchange_info, 1)
STATE = tuple(
    _endpoint(path.strip("/").replace("/", "_"), path, parse, weight)
    for path, parse, weight in (
        ("/fapi/v1/trades", market.trades, 5),
        ("/fapi/v1/historicalTrades", market.trades, 20),
        ("/fapi/v1/openInterest", parse_open_interest, 1),
        ("/fapi/v1/markPriceKlines", parse_reference_klines, 5),
        ("/fapi/v1/indexPriceKlines", parse_reference_klines, 5),
        ("/fapi/v1/ticker/24hr", market.ticker, 1),
        ("/fapi/v1/time", market.server_time, 1),
        ("/futures/data/basis", parse_basis, 1),
        ("/futures/data/takerBuySellVol", parse_taker_volume, 1),
    )
)
"""Endpoints that are read on request; no dataset is made of them."""
ENDPOINTS = (
    KLINES,
    FUNDING_RATE,
    FUNDING_INFO,
    OPEN_INTEREST,
    *POSITIONING,
    DEPTH,
    AGG_TRADES,
    PREMIUM_INDEX,
    EXCHANGE_INFO,
    *STATE,
)


def _data_feed(dataset: str, endpoint: Endpoint) -> Feed:
    return Feed(
        dataset=dataset,
        endpoint=endpoint,
        market="perp",
        venue="binance",
        paging=Forward(limit=500, start="startTime", end="endTime"),
        params=lambda symbol: {"symbol": symbol.name, "period": "1h"},
        retention=RETENTION,
    )


FEEDS = (
    Feed(
        dataset="candles",
        endpoint=KLINES,
        market="perp",
        venue="binance",
        # the documents say 1000 and 1500; every page of 1000 is right under both
        paging=Forward(limit=1000, start="startTime", end="endTime"),
        params=lambda symbol: {"symbol": symbol.name, "interval": "1h"},
    ),
    Feed(
        dataset="funding_rates",
        endpoint=FUNDING_RATE,
        market="perp",
        venue="binance",
        paging=Forward(
            limit=1000, start="startTime", end="endTime", step=8 * HOUR, least_step=HOUR
        ),
        params=lambda symbol: {"symbol": symbol.name},
    ),
    Feed(
        dataset="funding_rates",
        endpoint=FUNDING_INFO,
        market="perp",
        venue="binance",
        paging=Newest(),
        params=lambda _: {},
        part="intervals",
        per_symbol=False,
    ),
    listing(EXCHANGE_INFO, "binance", {}),
    estimates(PREMIUM_INDEX, "binance", {}),
    _data_feed("open_interest", OPEN_INTEREST),
    *(_data_feed("positioning", endpoint) for endpoint in POSITIONING),
    *book_and_trades(DEPTH, AGG_TRADES, "perp", "binance"),
)
