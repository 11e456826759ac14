"""Bybit v5: candles, funding, open interest, account shares, books, trades.

Source: the v5 documents (bybit-exchange/docs) and recorded replies. Everything is a text, times are
ms, rows run newest first. Every reply is an envelope with HTTP 200; ``retCode`` 0 is success. Start
and end are inclusive; open interest and account shares also hand out a cursor, percent-encoded,
which is decoded once here because the client encodes it again.

Open interest: ``openInterest`` counts both sides of every contract, ``singleOpenInterest`` one. The
other venues publish one side, so one side is what is stored: the single figure, else half of the
other.

Amounts of linear contracts and spot are coins with a turnover in quote currency; those of inverse
contracts are USD with a turnover in coins. The retired v2 interface (``ret_code``) is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast
from urllib.parse import unquote

import numpy as np
import pandas as pd

from regime_pipeline.providers.books import snapshot, text_or_none
from regime_pipeline.providers.bybit.errors import ERRORS
from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.listings import listed, listing
from regime_pipeline.providers.paging import Backward, Cursor, Newest, Paging
from regime_pipeline.providers.predictions import estimates
from regime_pipeline.providers.readings import CURSOR, Context, Parser
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.providers.trades import TRADE_REACH, side_words, trade_rows
from regime_pipeline.windows import HOUR

PROVIDER = "bybit"
SHARE_TOLERANCE = 0.01
BOOK_LEVELS = {"spot": 200, "perp": 500}
CATEGORY = {"spot": "spot", "perp": "linear"}
KLINE_FIELDS = ("start", "open", "high", "low", "close", "volume", "turnover")


def _result(body: bytes) -> dict[str, object]:
    """The ``result`` of a successful reply.

    Raises:
        ProviderError: what the reply reports; a shape that is not v5's.
    """
    loaded = document(body, ERRORS)
    if isinstance(loaded, dict) and "retCode" not in loaded and "ret_code" in loaded:
        raise ContractViolation("a reply of the retired v2 interface (ret_code)")
    code = member(loaded, "retCode")
    if isinstance(code, bool) or code not in (0, "0"):
        raise ContractViolation("retCode is not 0 and no number")
    result = member(loaded, "result")
    if not isinstance(result, dict):
        raise ContractViolation("result is no object")
    return cast("dict[str, object]", result)


def _rows(result: dict[str, object]) -> list[object]:
    return rows_of(member(result, "list"), what="list")


def _cursor(frame: pd.DataFrame, result: dict[str, object]) -> pd.DataFrame:
    found = result.get("nextPageCursor")
    if isinstance(found, str) and found:
        frame.attrs[CURSOR] = unquote(found)
    return frame


def _same(value: object, count: int) -> pd.Series:
    return pd.Series([text_or_none(value)] * count, dtype="str")


def parse_klines(body: bytes, ctx: Context) -> pd.DataFrame:
    """Candles; the newest one may still run. Taker volumes and trades are not told.

    Returns:
        ts, the columns of ``raw.candles``, venue_symbol, reason.
    """
    result = _result(body)
    columns = Columns.arrays(_rows(result), KLINE_FIELDS)
    nulls = np.full(columns.count, np.nan)
    volume, turnover = columns.amount("volume"), columns.amount("turnover")
    if result.get("category") == "inverse":
        volume, turnover = turnover, volume
    return columns.frame(
        {
            "ts": columns.time("start", ctx),
            **columns.bar(),
            "volume_base": volume,
            "volume_quote": turnover,
            "taker_buy_base": nulls,
            "taker_buy_quote": nulls,
            "trade_count": nulls,
            "venue_symbol": _same(result.get("symbol"), columns.count),
        }
    )


def parse_reference_klines(body: bytes, ctx: Context) -> pd.DataFrame:
    """Bars of the mark or the index price."""
    return _reference(body, ctx, Columns.bar)


def parse_premium_klines(body: bytes, ctx: Context) -> pd.DataFrame:
    """Bars of the premium over the index, a fraction that may be negative."""
    return _reference(body, ctx, lambda c: {n: c.number(n) for n in KLINE_FIELDS[1:5]})


def _reference(
    body: bytes, ctx: Context, prices: Callable[[Columns], dict[str, np.ndarray]]
) -> pd.DataFrame:
    result = _result(body)
    columns = Columns.arrays(_rows(result), KLINE_FIELDS[:5])
    return columns.frame(
        {
            "ts": columns.time("start", ctx),
            **prices(columns),
            "venue_symbol": _same(result.get("symbol"), columns.count),
        }
    )


def parse_funding_history(body: bytes, ctx: Context) -> pd.DataFrame:
    """Settled funding prints, fraction per interval; the mark price is not told."""
    columns = Columns.objects(
        _rows(_result(body)), ("symbol", "fundingRate", "fundingRateTimestamp")
    )
    return columns.frame(
        {
            "ts": columns.time("fundingRateTimestamp", ctx),
            "funding_rate": columns.number("fundingRate"),
            "mark_price": np.full(columns.count, np.nan),
            "venue_symbol": columns.label("symbol", longest=80),
        }
    )


def parse_open_interest(body: bytes, ctx: Context) -> pd.DataFrame:
    """One-sided open interest by bucket: coins of linear contracts, USD of inverse ones.

    ``attrs["cursor"]`` holds the cursor of the next page, where there is one.
    """
    result = _result(body)
    columns = Columns.objects(_rows(result), ("timestamp",), ("openInterest", "singleOpenInterest"))
    told = [*columns.raw("openInterest"), *columns.raw("singleOpenInterest")]
    if told and all(v is MISSING for v in told):
        raise ContractViolation("no row has the field 'openInterest' or 'singleOpenInterest'")
    both = columns.number("openInterest", optional=True)
    single = columns.number("singleOpenInterest", optional=True)
    one_sided = np.where(np.isfinite(single), single, both / 2.0)
    columns.fail_where(np.isnan(one_sided), "openInterest: neither side is told")
    with np.errstate(invalid="ignore"):
        columns.fail_where(one_sided < 0, "openInterest: below 0")
    nulls = np.full(columns.count, np.nan)
    inverse = result.get("category") == "inverse"
    frame = columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "open_interest_base": nulls if inverse else one_sided,
            "open_interest_usd": one_sided if inverse else nulls,
            "venue_symbol": _same(result.get("symbol"), columns.count),
        }
    )
    return _cursor(frame, result)


def parse_account_ratio(body: bytes, ctx: Context) -> pd.DataFrame:
    """``global_account_long_frac`` by bucket: the share of accounts that are long."""
    result = _result(body)
    columns = Columns.objects(_rows(result), ("symbol", "buyRatio", "sellRatio", "timestamp"))
    long, short = columns.number("buyRatio"), columns.number("sellRatio")
    with np.errstate(invalid="ignore"):
        columns.fail_where((long < 0) | (long > 1), "buyRatio: no share between 0 and 1")
        columns.fail_where(
            np.abs(long + short - 1) > SHARE_TOLERANCE, "buyRatio + sellRatio is not 1"
        )
    frame = columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "metric": pd.Series(["global_account_long_frac"] * columns.count, dtype="str"),
            "value": long,
            "venue_symbol": columns.label("symbol", longest=80),
        }
    )
    return _cursor(frame, result)


def parse_order_book(body: bytes, ctx: Context) -> pd.DataFrame:
    """A book as one row; ``cts`` (when the engine made it) is its time, else ``ts``."""
    result = _result(body)
    return snapshot(
        member(result, "b"),
        member(result, "a"),
        ctx,
        book_time=result.get("cts", result.get("ts", MISSING)),
        venue_symbol=text_or_none(result.get("s")),
    )


def parse_recent_trades(body: bytes, ctx: Context) -> pd.DataFrame:
    """The newest trades; ``side`` is the taker's."""
    result = _result(body)
    columns = Columns.objects(
        _rows(result), ("execId", "price", "size", "side", "time"), ("symbol",)
    )
    return trade_rows(
        columns,
        ctx,
        time="time",
        identity="execId",
        price="price",
        size="size",
        taker_side=side_words(columns.raw("side")),
        venue_symbol=columns.text("symbol"),
        inverse=result.get("category") == "inverse",
    )


_TICKER = {
    "markPrice": "mark_price",
    "indexPrice": "index_price",
    "highPrice24h": "high_24h",
    "lowPrice24h": "low_24h",
    "prevPrice24h": "open_24h",
    "fundingRate": "predicted_funding_rate",
    "bid1Price": "best_bid",
    "ask1Price": "best_ask",
    "openInterest": "open_interest_contracts_two_sided",
}


def parse_tickers(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - rows carry no time
    """State of instruments now; what a kind of instrument lacks is null."""
    return ticker_rows(_rows(_result(body)))


def ticker_rows(
    rows: list[object], *, needed: tuple[str, ...] = ("symbol", "lastPrice")
) -> pd.DataFrame:
    """Ticker objects of replies and messages alike; a delta message has only what changed."""
    optional = tuple(n for n in (*_TICKER, "lastPrice", "nextFundingTime") if n not in needed)
    columns = Columns.objects(rows, needed, optional)
    coming = [None if v in ("0", 0) else v for v in columns.raw("nextFundingTime")]
    columns.put("nextFundingTime", coming)
    return columns.frame(
        {
            "last_price": columns.traded("lastPrice", optional="lastPrice" not in needed),
            **{ours: columns.number(theirs, optional=True) for theirs, ours in _TICKER.items()},
            "next_funding_at": columns.time("nextFundingTime", Context(), optional=True),
            "venue_symbol": columns.label("symbol", longest=80),
        }
    )


def parse_instruments(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - a list, no time
    """Listed contracts: venue_symbol, listing_status, listed_from, listed_to, reason.

    Raises:
        ContractViolation: the list goes on on a further page, so that it does not tell all of them.
    """
    result = _result(body)
    if result.get("nextPageCursor"):
        raise ContractViolation("the list of instruments goes on on a further page")
    columns = Columns.objects(_rows(result), ("symbol", "status"), ("launchTime", "deliveryTime"))
    return columns.frame(
        {
            "venue_symbol": columns.label("symbol", longest=80),
            **listed(columns, status="status", start="launchTime", end="deliveryTime"),
        }
    )


def parse_time(body: bytes, ctx: Context) -> pd.DataFrame:
    """The venue's clock, to the second."""
    columns = Columns.objects([_result(body)], ("timeSecond",))
    return columns.frame({"ts": columns.time("timeSecond", ctx)})


def parse_retired(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """Any reply of the v2 interface, which is switched off: always a typed error."""
    _result(body)
    raise ContractViolation("the v2 interface is retired; nothing of it is read")


def _endpoint(path: str, parse: Parser) -> Endpoint:
    return Endpoint(PROVIDER, path.strip("/").replace("/", "_"), path, parse)


KLINES = _endpoint("/v5/market/kline", parse_klines)
FUNDING = _endpoint("/v5/market/funding/history", parse_funding_history)
OPEN_INTEREST = _endpoint("/v5/market/open-interest", parse_open_interest)
ACCOUNTS = _endpoint("/v5/market/account-ratio", parse_account_ratio)
ORDER_BOOK = _endpoint("/v5/market/orderbook", parse_order_book)
TRADES = _endpoint("/v5/market/recent-trade", parse_recent_trades)
TICKERS = _endpoint("/v5/market/tickers", parse_tickers)
INSTRUMENTS = _endpoint("/v5/market/instruments-info", parse_instruments)
STATE = (
    _endpoint("/v5/market/mark-price-kline", parse_reference_klines),
    _endpoint("/v5/market/index-price-kline", parse_reference_klines),
    _endpoint("/v5/market/premium-index-price-kline", parse_premium_klines),
    _endpoint("/v5/market/time", parse_time),
)
"""Endpoints that are read on request; no dataset is made of them."""
ENDPOINTS = (
    KLINES,
    FUNDING,
    OPEN_INTEREST,
    ACCOUNTS,
    ORDER_BOOK,
    TRADES,
    TICKERS,
    INSTRUMENTS,
    *STATE,
)


def _feed(dataset: str, endpoint: Endpoint, market: str, paging: Paging, **params: str) -> Feed:
    fixed = {"category": CATEGORY[market], **params}
    return Feed(
        dataset=dataset,
        endpoint=endpoint,
        market=market,
        venue="bybit",
        paging=paging,
        params=lambda symbol: {**fixed, "symbol": symbol.name},
        context=Context(market=market),
    )


def _by_cursor(limit: int) -> Cursor:
    return Cursor(limit=limit, start="startTime", end="endTime", newest_first=True)


def _of_market(market: str) -> tuple[Feed, ...]:
    candles = _feed(
        "candles",
        KLINES,
        market,
        Backward(limit=1000, start="start", end="end", inclusive=True),
        interval="60",
    )
    book = _feed("order_book", ORDER_BOOK, market, Newest(), limit=str(BOOK_LEVELS[market]))
    newest = "60" if market == "spot" else "1000"
    trades = _feed("trade_flow", TRADES, market, Newest(), limit=newest)
    return (
        candles,
        replace(book, live_only=True),
        replace(trades, newest=TRADE_REACH, only_primary=True),
    )


FEEDS = (
    *_of_market("spot"),
    *_of_market("perp"),
    _feed(
        "funding_rates",
        FUNDING,
        "perp",
        Backward(
            limit=200,
            start="startTime",
            end="endTime",
            inclusive=True,
            step=8 * HOUR,
            least_step=HOUR,
        ),
    ),
    listing(INSTRUMENTS, "bybit", {"category": CATEGORY["perp"], "limit": "1000"}),
    estimates(TICKERS, "bybit", {"category": CATEGORY["perp"]}, Context(market="perp")),
    _feed("open_interest", OPEN_INTEREST, "perp", _by_cursor(200), intervalTime="1h"),
    _feed("positioning", ACCOUNTS, "perp", _by_cursor(500), period="1h"),
)
