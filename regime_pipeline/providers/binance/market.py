"""What Binance spot, Binance.US and USD-M futures answer alike: books, trades, tickers, rules.

Source: ``binance/binance-spot-api-docs`` (rest-api.md) and the USD-M connector. Does not belong
here: klines and the statistics only futures have (``binance``, ``binance_futures``), stream messages
(``binance_streams``).

A spot book carries no time at all, a futures book has E and T. ``m`` / ``isBuyerMaker`` true means
that the buyer was the maker, so the taker sold. Binance.US sends ids and times of aggregate trades
as texts, the others as numbers.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from regime_pipeline.providers.binance.errors import ERRORS
from regime_pipeline.providers.books import snapshot
from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.documents import document, member, objects_of, rows_of
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.listings import listed
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.trades import buyer_was_maker, trade_rows


def _nothing(count: int) -> pd.Series:
    return pd.Series([None] * count, dtype="str")


def depth(body: bytes, ctx: Context) -> pd.DataFrame:
    """A book as one row; ``book_ts`` is null on spot, which sends no time."""
    loaded = document(body, ERRORS)
    bids, asks = member(loaded, "bids"), member(loaded, "asks")
    whole = cast("dict[str, object]", loaded)
    at = whole.get("T", whole.get("E", MISSING))
    return snapshot(bids, asks, ctx, book_time=at)


def agg_trades(body: bytes, ctx: Context) -> pd.DataFrame:
    """Aggregate trades, with the number of fills behind each."""
    columns = Columns.objects(rows_of(document(body, ERRORS)), ("a", "p", "q", "f", "l", "T", "m"))
    return aggregate_rows(columns, ctx, _nothing(columns.count))


def aggregate_rows(columns: Columns, ctx: Context, venue_symbol: pd.Series) -> pd.DataFrame:
    """Aggregate trades of REST replies and stream events alike."""
    fills = columns.integer("l") - columns.integer("f") + 1
    with np.errstate(invalid="ignore"):
        columns.fail_where(fills < 1, "l: before f")
    return trade_rows(
        columns,
        ctx,
        time="T",
        identity="a",
        price="p",
        size="q",
        taker_side=buyer_was_maker(columns.raw("m")),
        venue_symbol=venue_symbol,
        fills=fills,
    )


def trades(body: bytes, ctx: Context) -> pd.DataFrame:
    """Single trades."""
    columns = Columns.objects(
        rows_of(document(body, ERRORS)),
        ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker"),
    )
    return trade_rows(
        columns,
        ctx,
        time="time",
        identity="id",
        price="price",
        size="qty",
        quote="quoteQty",
        taker_side=buyer_was_maker(columns.raw("isBuyerMaker")),
        venue_symbol=_nothing(columns.count),
    )


_TICKER = {
    "lastPrice": "last_price",
    "openPrice": "open_24h",
    "highPrice": "high_24h",
    "lowPrice": "low_24h",
    "weightedAvgPrice": "vwap_24h",
    "volume": "volume_24h_base",
    "quoteVolume": "volume_24h_quote",
}


def ticker(body: bytes, ctx: Context) -> pd.DataFrame:
    """Rolling 24 h figures at their end; not a bar."""
    columns = Columns.objects(
        objects_of(document(body, ERRORS)),
        ("symbol", "closeTime", *_TICKER),
        ("bidPrice", "askPrice", "count"),
    )
    return columns.frame(
        {
            "ts": columns.time("closeTime", ctx),
            **{ours: columns.amount(theirs) for theirs, ours in _TICKER.items()},
            "best_bid": columns.number("bidPrice", optional=True),
            "best_ask": columns.number("askPrice", optional=True),
            "trade_count": columns.integer("count", optional=True),
            "venue_symbol": columns.label("symbol", longest=80),
        }
    )


def average_price(body: bytes, ctx: Context) -> pd.DataFrame:
    """Average price of the last minutes; older replies say no time."""
    columns = Columns.objects([_object(document(body, ERRORS))], ("mins", "price"), ("closeTime",))
    return columns.frame(
        {
            "closed_at": columns.time("closeTime", ctx, optional=True),
            "minutes": columns.integer("mins"),
            "average_price": columns.price("price"),
        }
    )


def server_time(body: bytes, ctx: Context) -> pd.DataFrame:
    """The venue's clock."""
    columns = Columns.objects([_object(document(body, ERRORS))], ("serverTime",))
    return columns.frame({"ts": columns.time("serverTime", ctx)})


def exchange_info(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - rules carry no time
    """Listed instruments with price and amount steps (null where no filter says so).

    Contracts tell from when until when they are listed; spot does not.
    """
    rows = rows_of(member(document(body, ERRORS), "symbols"), what="symbols")
    columns = Columns.objects(
        rows,
        ("symbol", "status", "baseAsset", "quoteAsset"),
        ("filters", "contractType", "onboardDate", "deliveryDate"),
    )
    steps = [_steps(f) for f in columns.raw("filters")]
    columns.put("tick", [s[0] for s in steps])
    columns.put("lot", [s[1] for s in steps])
    for name in ("symbol", "status", "baseAsset", "quoteAsset"):
        for row, value in enumerate(columns.raw(name)):
            if not isinstance(value, str) or not value:
                columns.fail(row, f"{name}: no text")
    return columns.frame(
        {
            "venue_symbol": columns.text("symbol"),
            "base": columns.text("baseAsset"),
            "quote": columns.text("quoteAsset"),
            "contract_type": columns.text("contractType"),
            "tick_size": columns.number("tick", optional=True),
            "lot_size": columns.number("lot", optional=True),
            **listed(columns, status="status", start="onboardDate", end="deliveryDate"),
        }
    )


def _steps(filters: object) -> tuple[object, object]:
    tick: object = None
    lot: object = None
    for one in filters if isinstance(filters, list) else []:
        if isinstance(one, dict) and one.get("filterType") == "PRICE_FILTER":
            tick = one.get("tickSize")
        elif isinstance(one, dict) and one.get("filterType") == "LOT_SIZE":
            lot = one.get("stepSize")
    return tick, lot


def _object(loaded: object) -> dict[str, object]:
    if not isinstance(loaded, dict):
        raise ContractViolation("the reply is no object")
    return loaded
