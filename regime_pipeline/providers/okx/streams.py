"""Messages of OKX's v5 public streams, one message at a time.

Source: the v5 websocket documents and recorded messages. Pure: connecting is somebody else's work.
A message is ``{"arg": {"channel", ...}, "data": [...]}``; ``{"event": ...}`` answers an operation.

``liquidation-orders``: the venue says itself that the channel does not carry every closure, so sums
over it are lower bounds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pandas as pd

from regime_pipeline.providers.books import level_rows, snapshot, text_or_none
from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.errors import BadRequest, ContractViolation
from regime_pipeline.providers.okx.errors import ERRORS
from regime_pipeline.providers.okx.market import (
    closed_rows,
    in_contracts,
    rate_rows,
    ticker_rows,
    trade_objects,
)
from regime_pipeline.providers.okx.series import PROVIDER, candle_rows
from regime_pipeline.providers.readings import Context, Parser, joined
from regime_pipeline.providers.source import Feed, streamed


def _message(body: bytes, channel: str) -> tuple[dict[str, object], str | None, list[object]]:
    """The whole message, its instrument and its rows.

    Raises:
        BadRequest: an operation was refused.
        ContractViolation: another channel, or no data message.
    """
    loaded = document(body, ERRORS)
    if isinstance(loaded, dict) and loaded.get("event") == "error":
        raise BadRequest(f"the stream refuses: {str(loaded.get('msg', ''))[:200]}")
    said = member(member(loaded, "arg"), "channel")
    if not isinstance(said, str) or not said.startswith(channel):
        raise ContractViolation(f"the channel {str(said)[:40]!r}, {channel!r} was expected")
    message = cast("dict[str, object]", loaded)
    arg = cast("dict[str, object]", message["arg"])
    rows = rows_of(member(message, "data"), what="data")
    return message, text_or_none(arg.get("instId")), rows


def parse_books(body: bytes, ctx: Context) -> pd.DataFrame:
    """Levels of a snapshot, or the changed ones of an update (a size of 0 removes the level)."""
    message, instrument, rows = _message(body, "books")
    action = text_or_none(message.get("action"))  # books5 sends whole books and says nothing
    if action not in ("snapshot", "update", None):
        raise ContractViolation("action is neither snapshot nor update")
    sides = []
    for row in rows:
        bids, asks = member(row, "bids"), member(row, "asks")
        at = cast("dict[str, object]", row).get("ts", MISSING)
        sides.append((bids, asks, at, instrument))
    frame = level_rows(sides, ctx, contracts=in_contracts(instrument))
    frame["action"] = pd.Series([action or "snapshot"] * len(frame), dtype="str")
    return frame


def parse_trades(body: bytes, ctx: Context) -> pd.DataFrame:
    """Trades; those of swaps have contracts, no coins."""
    return trade_objects(_message(body, "trades")[2], ctx)


def parse_candle(body: bytes, ctx: Context) -> pd.DataFrame:
    """A bar as it grows; only one with ``is_closed`` is final."""
    message, instrument, rows = _message(body, "candle")
    market = "perp" if in_contracts(instrument) else "spot"
    frame = joined([candle_rows(rows, ctx if ctx.market else replace(ctx, market=market))])
    channel = cast("str", cast("dict[str, object]", message["arg"])["channel"])
    frame["interval"] = pd.Series([channel.removeprefix("candle")] * len(frame), dtype="str")
    frame["venue_symbol"] = pd.Series([instrument] * len(frame), dtype="str")
    return frame


def parse_funding_rate(body: bytes, ctx: Context) -> pd.DataFrame:
    """The running funding rate, an estimate until ``funding_at``."""
    return rate_rows(_message(body, "funding-rate")[2], ctx)


def parse_liquidations(body: bytes, ctx: Context) -> pd.DataFrame:
    """Forced closures in contracts; coins and USD are null until the contract's size is known."""
    return closed_rows(_message(body, "liquidation-orders")[2], ctx)


def parse_tickers(body: bytes, ctx: Context) -> pd.DataFrame:
    """State of an instrument."""
    return ticker_rows(_message(body, "tickers")[2], ctx)


def parse_event(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - no time in it
    """An answer to an operation: one row; a refusal is a typed error."""
    loaded = document(body, ERRORS)
    event = member(loaded, "event")
    if event == "error":
        said = cast("dict[str, object]", loaded).get("msg", "")
        raise BadRequest(f"the stream refuses: {str(said)[:200]}")
    if not isinstance(event, str):
        raise ContractViolation("event is no text")
    arg = cast("dict[str, object]", loaded).get("arg")
    told = arg if isinstance(arg, dict) else {}
    columns = Columns(
        {"event": [event], "channel": [told.get("channel")], "instId": [told.get("instId")]}, 1
    )
    return columns.frame(
        {
            "event": columns.text("event"),
            "channel": columns.text("channel"),
            "venue_symbol": columns.text("instId"),
        }
    )


CLOSURES = (
    streamed(
        PROVIDER, "ws_liquidation-orders", "liquidation_events", parse_liquidations,
        market="perp", venue="okx", in_contracts=True,
    ),
)  # fmt: skip
"""Single forced closures. Hourly sums stay with the list that can be asked for: neither has all of them,
and two incomplete sums of one hour would replace each other."""


def bars_of(market: str) -> Feed:
    """Closed bars of a market."""
    return streamed(PROVIDER, "ws_candle", "candles", parse_candle, market=market, venue="okx")


def parse_whole_book(body: bytes, ctx: Context) -> pd.DataFrame:
    """A snapshot as one row of sums around its mid; sizes of swaps are contracts."""
    message, instrument, rows = _message(body, "books")
    if message.get("action") != "snapshot" or len(rows) != 1:
        raise ContractViolation("the message is no snapshot of one book")
    at = cast("dict[str, object]", rows[0]).get("ts", MISSING)
    bids, asks = member(rows[0], "bids"), member(rows[0], "asks")
    return snapshot(bids, asks, ctx, book_time=at, venue_symbol=instrument)


def books_of(market: str) -> Feed:
    """Whole books of a market, those of swaps in contracts."""
    return streamed(
        PROVIDER, "ws_books_snapshot", "order_book", parse_whole_book,
        market=market, venue="okx", in_contracts=market == "perp",
    )  # fmt: skip


def trades_of(market: str) -> Feed:
    """Single trades of a market, those of swaps in contracts."""
    return streamed(
        PROVIDER, "ws_trades", "trade_flow", parse_trades,
        market=market, venue="okx", in_contracts=market == "perp",
    )  # fmt: skip


MESSAGES: dict[str, Parser] = {
    "ws_books": parse_books,
    "ws_books_snapshot": parse_books,
    "ws_books_update": parse_books,
    "ws_candle": parse_candle,
    "ws_event_subscribe": parse_event,
    "ws_event_error": parse_event,
    "ws_funding-rate": parse_funding_rate,
    "ws_liquidation-orders": parse_liquidations,
    "ws_tickers": parse_tickers,
    "ws_trades": parse_trades,
}
"""Name of the recorded message -> parser."""
