"""Messages of Binance's streams (spot, Binance.US, USD-M), one message at a time.

Source: web-socket-streams.md of the spot documents and recorded messages. Pure: connecting is
somebody else's work. A message comes bare or inside ``{"stream": ..., "data": ...}``; array streams
send a list of events.

``forceOrder``: ``S`` is the side of the *order*, so SELL closed a long by force. The stream sends at
most one order per symbol and second, sums over it are lower bounds.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from regime_pipeline.providers.binance.errors import ERRORS
from regime_pipeline.providers.binance.market import aggregate_rows
from regime_pipeline.providers.books import level_rows, snapshot, text_or_none
from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.documents import document, member, objects_of
from regime_pipeline.providers.errors import BadRequest, ContractViolation
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.source import Feed, streamed
from regime_pipeline.providers.trades import forced_rows

_CLOSED_BY = {"SELL": "long", "BUY": "short"}


def _events(body: bytes, kind: str | None) -> list[object]:
    """The events of one message, each of the wanted kind.

    Raises:
        BadRequest: the message says that a subscription failed.
        ContractViolation: another kind of message.
    """
    loaded = document(body, ERRORS)
    if isinstance(loaded, dict) and isinstance(loaded.get("error"), dict):
        raise BadRequest(f"the stream refuses: {str(loaded['error'].get('msg', ''))[:200]}")
    if isinstance(loaded, dict) and "data" in loaded and "stream" in loaded:
        loaded = loaded["data"]
    events = objects_of(loaded, what="the message")
    if kind is not None and events:
        said = [e.get("e") if isinstance(e, dict) else None for e in events]
        if all(s != kind for s in said):
            shown = text_or_none(said[0])
            raise ContractViolation(f"an event {shown!r:.40}, {kind!r} was expected")
    return events


def _within(events: list[object], name: str) -> list[object]:
    """The member object of each event that carries the values."""
    inner = [e.get(name) if isinstance(e, dict) else None for e in events]
    if inner and all(not isinstance(i, dict) for i in inner):
        raise ContractViolation(f"no event has the object {name!r}")
    return inner


def klines(body: bytes, ctx: Context) -> pd.DataFrame:
    """A bar as it grows; only one with ``is_closed`` is final."""
    rows = _within(_events(body, "kline"), "k")
    columns = Columns.objects(
        rows,
        ("t", "T", "s", "i", "o", "h", "l", "c", "v", "x"),
        ("q", "n", "V", "Q"),
    )
    closed = list(columns.raw("x"))
    for row, flag in enumerate(closed):
        if not isinstance(flag, bool):
            columns.fail(row, "x: neither true nor false")
    return columns.frame(
        {
            "ts": columns.time("t", ctx),
            "open": columns.price("o"),
            "high": columns.price("h"),
            "low": columns.price("l"),
            "close": columns.price("c"),
            "volume_base": columns.amount("v"),
            "volume_quote": columns.amount("q", optional=True),
            "taker_buy_base": columns.amount("V", optional=True),
            "taker_buy_quote": columns.amount("Q", optional=True),
            "trade_count": columns.integer("n", optional=True),
            "close_time": columns.time("T", Context()) + pd.Timedelta(milliseconds=1),
            "is_closed": pd.Series(
                [f if isinstance(f, bool) else None for f in closed], dtype="boolean"
            ),
            "interval": columns.text("i"),
            "venue_symbol": columns.text("s"),
        }
    )


def agg_trade(body: bytes, ctx: Context) -> pd.DataFrame:
    """An aggregate trade."""
    columns = Columns.objects(_events(body, "aggTrade"), ("a", "p", "q", "f", "l", "T", "m", "s"))
    return aggregate_rows(columns, ctx, columns.text("s"))


def depth_update(body: bytes, ctx: Context) -> pd.DataFrame:
    """Changed levels of a book; a size of 0 removes the level."""
    events = _events(body, "depthUpdate")
    sides = []
    for event in events:
        if not isinstance(event, dict) or "b" not in event or "a" not in event:
            raise ContractViolation("a depthUpdate without the members 'b' and 'a'")
        at = event.get("T", event.get("E", MISSING))
        sides.append((event["b"], event["a"], at, text_or_none(event.get("s"))))
    return level_rows(sides, ctx, contracts=False)


def book_ticker(body: bytes, ctx: Context) -> pd.DataFrame:
    """The best bid and ask; spot sends no time with them."""
    columns = Columns.objects(_events(body, None), ("s", "b", "B", "a", "A"), ("T", "E", "u"))
    bid, ask = columns.number("b"), columns.number("a")
    with np.errstate(invalid="ignore"):
        columns.fail_where(bid >= ask, "crossed book: the best bid is not below the best ask")
    return columns.frame(
        {
            "book_ts": columns.time("T", ctx, optional=True),
            "best_bid": bid,
            "best_bid_quantity": columns.number("B"),
            "best_ask": ask,
            "best_ask_quantity": columns.number("A"),
            "venue_symbol": columns.text("s"),
        }
    )


def force_order(body: bytes, ctx: Context) -> pd.DataFrame:
    """A forced closure: average price and filled amount of the order."""
    rows = _within(_events(body, "forceOrder"), "o")
    columns = Columns.objects(rows, ("s", "S", "T"), ("ap", "p", "z", "l", "q"))
    average, limit = columns.number("ap", optional=True), columns.number("p", optional=True)
    price = np.where(np.isfinite(average) & (average > 0), average, limit)
    filled = columns.number("z", optional=True)
    for other in ("l", "q"):
        filled = np.where(np.isfinite(filled), filled, columns.number(other, optional=True))
    columns.fail_where(np.isnan(price), "ap, p: no price")
    columns.fail_where(np.isnan(filled), "z, l, q: no amount")
    return forced_rows(
        columns,
        ctx,
        time="T",
        price=price,
        size=filled,
        position_side=[_CLOSED_BY.get(s) if isinstance(s, str) else None for s in columns.raw("S")],
        venue_symbol=columns.text("s"),
    )


def mark_price(body: bytes, ctx: Context) -> pd.DataFrame:
    """Mark price, index and the estimate of the coming funding rate."""
    columns = Columns.objects(_events(body, "markPriceUpdate"), ("E", "s", "p"), ("i", "r", "T"))
    # delivery contracts have no funding: a blank rate, and 0 for its time
    columns.put("T", [None if v in (0, "0") else v for v in columns.raw("T")])
    return columns.frame(
        {
            "ts": columns.time("E", ctx),
            "mark_price": columns.price("p"),
            "index_price": columns.number("i", optional=True),
            "predicted_funding_rate": columns.number("r", optional=True),
            "next_funding_at": columns.time("T", Context(), optional=True),
            "venue_symbol": columns.text("s"),
        }
    )


FUTURES = "binance_futures"
CLOSURES = tuple(
    streamed(
        FUTURES,
        "ws_forceOrder",
        dataset,
        force_order,
        market="perp",
        venue="binance",
        summed=summed,
    )
    for dataset, summed in (("liquidation_events", False), ("liquidations", True))
)
"""What the stream of forced closures becomes: single ones, and sums of hours. One a second at most."""


def bars_of(provider: str, market: str) -> Feed:
    """Closed bars of a market."""
    return streamed(provider, "ws_kline", "candles", klines, market=market, venue="binance")


def whole_book(body: bytes, ctx: Context) -> pd.DataFrame:
    """A book that the collector kept, told as a change of everything, as one row of sums around its mid."""
    (event,) = _events(body, "depthUpdate")
    told = cast("dict[str, object]", event)
    if told.get("isWhole") is not True:
        raise ContractViolation("changes alone are no book")
    return snapshot(
        member(told, "b"),
        member(told, "a"),
        ctx,
        book_time=told.get("E", MISSING),
        venue_symbol=text_or_none(told.get("s")),
    )


def books_of(provider: str, market: str) -> Feed:
    """Whole books of a market."""
    return streamed(
        provider, "ws_depthUpdate", "order_book", whole_book, market=market, venue="binance"
    )


def trades_of(provider: str, market: str) -> Feed:
    """Aggregate trades of a market."""
    return streamed(
        provider, "ws_aggTrade", "trade_flow", agg_trade, market=market, venue="binance"
    )


MESSAGES: dict[str, Parser] = {
    "ws_aggTrade": agg_trade,
    "ws_bookTicker": book_ticker,
    "ws_depthUpdate": depth_update,
    "ws_kline": klines,
    "ws_kline_closed": klines,
    "ws_kline_open": klines,
}
"""Parsers of the messages of spot, by the names of their recordings."""
FUTURES_MESSAGES: dict[str, Parser] = {
    **MESSAGES,
    "ws_forceOrder": force_order,
    "ws_markPriceUpdate": mark_price,
}
"""The same of USD-M futures."""
