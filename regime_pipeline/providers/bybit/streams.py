"""Messages of Bybit's v5 public streams, one message at a time.

Source: the v5 websocket documents and recorded messages. Pure: connecting is somebody else's work.

``allLiquidation``: ``S`` is the side of the *position*, so Buy is a long closed by force (the
opposite letter to Binance), and ``p`` is the bankruptcy price, not the price of a trade.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from regime_pipeline.providers.books import level_rows, snapshot, text_or_none
from regime_pipeline.providers.bybit.errors import ERRORS
from regime_pipeline.providers.bybit.series import PROVIDER, ticker_rows
from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.documents import document, member, objects_of, rows_of
from regime_pipeline.providers.errors import BadRequest, ContractViolation
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.source import Feed, streamed
from regime_pipeline.providers.trades import forced_rows, side_words, trade_rows

_LIQUIDATED = {"Buy": "long", "Sell": "short"}


def _message(body: bytes, *topics: str) -> dict[str, object]:
    """A data message of one of the topics.

    Raises:
        BadRequest: a subscription was refused.
        ContractViolation: another topic, or no data message.
    """
    loaded = document(body, ERRORS)
    if isinstance(loaded, dict) and loaded.get("success") is False:
        raise BadRequest(f"the stream refuses: {str(loaded.get('ret_msg', ''))[:200]}")
    topic = member(loaded, "topic")
    if not isinstance(topic, str) or topic.split(".")[0] not in topics:
        raise ContractViolation(f"the topic {str(topic)[:40]!r}, {topics[0]!r} was expected")
    return cast("dict[str, object]", loaded)


def _last_part(topic: object) -> str | None:
    return topic.rsplit(".", 1)[-1] if isinstance(topic, str) else None


def _is_inverse(symbol: object) -> bool:
    return isinstance(symbol, str) and symbol.endswith("USD")


def parse_kline(body: bytes, ctx: Context) -> pd.DataFrame:
    """A bar as it grows; only one with ``is_closed`` is final."""
    message = _message(body, "kline")
    columns = Columns.objects(
        rows_of(member(message, "data"), what="data"),
        (
            "start",
            "end",
            "interval",
            "open",
            "high",
            "low",
            "close",
            "volume",
            "turnover",
            "confirm",
        ),
    )
    confirm = list(columns.raw("confirm"))
    for row, flag in enumerate(confirm):
        if not isinstance(flag, bool):
            columns.fail(row, "confirm: neither true nor false")
    symbol = _last_part(message["topic"])
    volume, turnover = columns.amount("volume"), columns.amount("turnover")
    if _is_inverse(symbol):
        volume, turnover = turnover, volume
    return columns.frame(
        {
            "ts": columns.time("start", ctx),
            "open": columns.price("open"),
            "high": columns.price("high"),
            "low": columns.price("low"),
            "close": columns.price("close"),
            "volume_base": volume,
            "volume_quote": turnover,
            "close_time": columns.time("end", Context()) + pd.Timedelta(milliseconds=1),
            "is_closed": pd.Series(
                [f if isinstance(f, bool) else None for f in confirm], dtype="boolean"
            ),
            "interval": columns.text("interval"),
            "venue_symbol": pd.Series([symbol] * columns.count, dtype="str"),
        }
    )


def parse_order_book(body: bytes, ctx: Context) -> pd.DataFrame:
    """Levels of a snapshot, or the changed ones of a delta (a size of 0 removes the level)."""
    message = _message(body, "orderbook")
    kind = message.get("type")
    if kind not in ("snapshot", "delta"):
        raise ContractViolation("type is neither snapshot nor delta")
    data = member(message, "data")
    bids, asks = member(data, "b"), member(data, "a")
    at = message.get("cts", message.get("ts", MISSING))
    symbol = text_or_none(cast("dict[str, object]", data).get("s"))
    frame = level_rows([(bids, asks, at, symbol)], ctx, contracts=False)
    frame["action"] = pd.Series([kind] * len(frame), dtype="str")
    return frame


def parse_trades(body: bytes, ctx: Context) -> pd.DataFrame:
    """Trades; ``S`` is the taker's side."""
    message = _message(body, "publicTrade", "trade")
    columns = Columns.objects(
        rows_of(member(message, "data"), what="data"), ("T", "s", "S", "v", "p", "i")
    )
    symbols = list(columns.raw("s"))
    return trade_rows(
        columns,
        ctx,
        time="T",
        identity="i",
        price="p",
        size="v",
        taker_side=side_words(columns.raw("S")),
        venue_symbol=columns.text("s"),
        inverse=bool(symbols) and all(map(_is_inverse, symbols)),
    )


def parse_liquidations(body: bytes, ctx: Context) -> pd.DataFrame:
    """Forced closures; ``S`` is the side of the closed position."""
    message = _message(body, "allLiquidation", "liquidation")
    columns = Columns.objects(
        objects_of(member(message, "data"), what="data"), ("T", "s", "S", "v", "p")
    )
    return forced_rows(
        columns,
        ctx,
        time="T",
        price=columns.number("p"),
        size=columns.number("v"),
        position_side=[
            _LIQUIDATED.get(s) if isinstance(s, str) else None for s in columns.raw("S")
        ],
        venue_symbol=columns.text("s"),
        inverse=np.array([_is_inverse(s) for s in columns.raw("s")], dtype=bool),
    )


def parse_ticker(body: bytes, ctx: Context) -> pd.DataFrame:
    """State of an instrument; a delta has only what changed, the rest is null."""
    message = _message(body, "tickers")
    frame = ticker_rows(objects_of(member(message, "data"), what="data"), needed=("symbol",))
    stamp = Columns({"ts": [message.get("ts", MISSING)] * len(frame)}, len(frame))
    frame["told_at"] = stamp.time("ts", ctx, optional=True)
    return frame


def parse_control(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - no time in it
    """An answer to a subscription or a ping: one row; a refusal is a typed error."""
    loaded = document(body, ERRORS)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("op"), str):
        raise ContractViolation("the message is no answer to an operation")
    if loaded.get("success") is False:
        raise BadRequest(f"the stream refuses: {str(loaded.get('ret_msg', ''))[:200]}")
    columns = Columns.objects([loaded], ("op",), ("req_id", "conn_id"))
    return columns.frame({name: columns.text(name) for name in ("op", "req_id", "conn_id")})


CLOSURES = (
    streamed(
        PROVIDER, "ws_allLiquidation", "liquidation_events", parse_liquidations,
        market="perp", venue="bybit",
    ),
    streamed(
        PROVIDER, "ws_allLiquidation", "liquidations", parse_liquidations,
        market="perp", venue="bybit", summed=True,
    ),
)  # fmt: skip
"""What the stream of all forced closures becomes: single ones, and sums of hours."""
STREAMED = CLOSURES
"""Feeds that only the live collector serves."""


def bars_of(market: str) -> Feed:
    """Closed bars of a market."""
    return streamed(PROVIDER, "ws_kline", "candles", parse_kline, market=market, venue="bybit")


def parse_whole_book(body: bytes, ctx: Context) -> pd.DataFrame:
    """A snapshot as one row of sums around its mid."""
    message = _message(body, "orderbook")
    if message.get("type") != "snapshot":
        raise ContractViolation("type is not snapshot: changes alone are no book")
    data = member(message, "data")
    return snapshot(
        member(data, "b"),
        member(data, "a"),
        ctx,
        book_time=message.get("cts", message.get("ts", MISSING)),
        venue_symbol=text_or_none(cast("dict[str, object]", data).get("s")),
    )


def books_of(market: str) -> Feed:
    """Whole books of a market."""
    return streamed(
        PROVIDER, "ws_orderbook_snapshot", "order_book", parse_whole_book,
        market=market, venue="bybit",
    )  # fmt: skip


def trades_of(market: str) -> Feed:
    """Single trades of a market."""
    return streamed(
        PROVIDER, "ws_publicTrade", "trade_flow", parse_trades, market=market, venue="bybit"
    )


MESSAGES: dict[str, Parser] = {
    "ws_kline": parse_kline,
    "ws_orderbook": parse_order_book,
    "ws_orderbook_snapshot": parse_order_book,
    "ws_orderbook_delta": parse_order_book,
    "ws_publicTrade": parse_trades,
    "ws_allLiquidation": parse_liquidations,
    "ws_tickers": parse_ticker,
    "ws_tickers_linear": parse_ticker,
    "ws_tickers_spot": parse_ticker,
    "ws_subscription_ack": parse_control,
    "ws_subscription_failure": parse_control,
}
"""Name of the recorded message -> parser."""
