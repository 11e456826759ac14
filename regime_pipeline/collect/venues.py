"""The venues' streams: paths, topics, how they acknowledge, ping and name what they send.

Belongs here: everything that is one venue's own, as data and pure functions. Does not belong here:
parsers of messages (``providers``), sockets (``session``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import orjson

from regime_pipeline.collect.book import BookRules
from regime_pipeline.collect.plan import (
    Channel,
    Connection,
    Dialect,
    Heard,
    Kind,
    Message,
    data_of,
    twins,
)
from regime_pipeline.collect.venue_books import BinanceBook, BybitBook, OkxBook
from regime_pipeline.providers.binance import streams as binance
from regime_pipeline.providers.bybit import streams as bybit
from regime_pipeline.providers.okx import streams as okx
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.providers.source import Feed
from regime_pipeline.providers.symbols import VenueSymbol


def rows_of(messages: Sequence[Message]) -> list[object]:
    """The rows of messages, those of all in one list.

    Raises:
        TypeError: a message whose data is no list.
    """
    out: list[object] = []
    for message in messages:
        if not isinstance(message["data"], list):
            raise TypeError("data is no list")
        out += message["data"]
    return out


@dataclass(frozen=True)
class BybitDialect:
    """``{"op": "subscribe", "args": [...]}``; data says its ``topic``; our ping every 20 s."""

    ping_every_s: float = 20.0
    topics_per_request: int = 10
    renew_after_s: float | None = None

    def ping(self) -> str:
        """The text of a ping."""
        return '{"op":"ping"}'

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """The request for some topics."""
        return self._told("subscribe", topics, number)

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """The request that ends some topics."""
        return self._told("unsubscribe", topics, number)

    @staticmethod
    def _told(op: str, topics: Sequence[str], number: int) -> str:
        return orjson.dumps({"req_id": str(number), "op": op, "args": list(topics)}).decode()

    def heard(self, message: object) -> Heard:
        """What a decoded message is."""
        if not isinstance(message, dict):
            return Heard(Kind.OTHER)
        topic = message.get("topic")
        if isinstance(topic, str):
            return data_of(topic)
        if message.get("op") == "pong" or message.get("ret_msg") == "pong":
            return Heard(Kind.PONG)
        if message.get("op") != "subscribe":
            return Heard(Kind.OTHER)
        if message.get("success") is False:
            return Heard(Kind.REFUSED, detail=str(message.get("ret_msg", ""))[:200])
        return Heard(Kind.ACCEPTED, detail=str(message.get("req_id", "")))

    def joined(self, messages: Sequence[Message]) -> bytes:
        """Data messages of one topic as one body."""
        if len(messages) == 1:
            return orjson.dumps(messages[0])
        return orjson.dumps({**messages[-1], "data": rows_of(messages)})


@dataclass(frozen=True)
class OkxDialect:
    """``{"op": "subscribe", "args": [{channel, instId}]}``; topics here are ``channel:instId``."""

    ping_every_s: float = 20.0
    topics_per_request: int = 20
    renew_after_s: float | None = None

    def ping(self) -> str:
        """The text of a ping; its pong is a text as well."""
        return "ping"

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """The request for some topics; answers name the topic, never the request."""
        del number
        return self._told("subscribe", topics)

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """The request that ends some topics."""
        del number
        return self._told("unsubscribe", topics)

    @staticmethod
    def _told(op: str, topics: Sequence[str]) -> str:
        args = []
        for topic in topics:
            channel, _, name = topic.partition(":")
            what = "instType" if channel == "liquidation-orders" else "instId"
            args.append({"channel": channel, what: name})
        return orjson.dumps({"op": op, "args": args}).decode()

    def heard(self, message: object) -> Heard:
        """What a decoded message is."""
        if not isinstance(message, dict):
            return Heard(Kind.OTHER)
        arg = message.get("arg")
        topic = ""
        if isinstance(arg, dict):
            topic = f"{arg.get('channel')}:{arg.get('instId') or arg.get('instType')}"
        event = message.get("event")
        if event is None:
            return data_of(topic) if "data" in message else Heard(Kind.OTHER)
        if event == "error":
            return Heard(Kind.REFUSED, topic, str(message.get("msg", ""))[:200])
        return Heard(Kind.ACCEPTED if event == "subscribe" else Kind.OTHER, topic)

    def joined(self, messages: Sequence[Message]) -> bytes:
        """Data messages of one topic as one body."""
        return orjson.dumps({**messages[-1], "data": rows_of(messages)})


@dataclass(frozen=True)
class BinanceDialect:
    """``{"method": "SUBSCRIBE", "params": [...], "id"}``; data comes as ``{"stream", "data"}``.

    The venue ends each connection after 24 h; pings are frames of the protocol.
    """

    ping_every_s: float = 20.0
    topics_per_request: int = 100
    renew_after_s: float | None = 23.5 * 3600

    def ping(self) -> str:
        """There is no text of a ping."""
        return ""

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """The request for some topics."""
        return self._told("SUBSCRIBE", topics, number)

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """The request that ends some topics."""
        return self._told("UNSUBSCRIBE", topics, number)

    @staticmethod
    def _told(method: str, topics: Sequence[str], number: int) -> str:
        told = {"method": method, "params": list(topics), "id": number}
        return orjson.dumps(told).decode()

    def heard(self, message: object) -> Heard:
        """What a decoded message is."""
        if not isinstance(message, dict):
            return Heard(Kind.OTHER)
        topic = message.get("stream")
        if isinstance(topic, str):
            return data_of(topic)
        if isinstance(message.get("error"), dict):
            return Heard(Kind.REFUSED, detail=str(message["error"].get("msg", ""))[:200])
        if "result" in message and "id" in message:
            return Heard(Kind.ACCEPTED, detail=str(message["id"]))
        return Heard(Kind.OTHER)

    def joined(self, messages: Sequence[Message]) -> bytes:
        """Data messages of one topic as one list of events."""
        return orjson.dumps([m["data"] for m in messages])


Topic = Callable[[VenueSymbol], str]
"""The name of what is subscribed to for a symbol."""


def _dotted(name: str) -> Topic:
    return lambda symbol: f"{name}.{symbol.name}"


def _of_instrument(channel: str) -> Topic:
    return lambda symbol: f"{channel}:{symbol.name}"


def _at(name: str) -> Topic:
    return lambda symbol: f"{symbol.name.lower()}@{name}"


def _bybit_has_closed(message: Message) -> bool:
    return any(bar["confirm"] is not False for bar in message["data"])


def _okx_has_closed(message: Message) -> bool:
    return any(bar[-1] != "0" for bar in message["data"])


def _binance_has_closed(message: Message) -> bool:
    return message["data"]["k"]["x"] is not False


_BYBIT, _OKX, _BINANCE = BybitDialect(), OkxDialect(), BinanceDialect()
BARS_QUIET_S, BOOKS_QUIET_S, MARKS_QUIET_S = 90.0, 10.0, 5.0
BARS_GRACE_S, BOOKS_GRACE_S, MARKS_GRACE_S = 60.0, 10.0, 15.0
"""Bybit tells a running bar every 1 to 60 s, OKX a mark that stays every 10 s; a trade may leave a book."""


def _market(
    source: str, market: str, path: str, dialect: Dialect, *channels: Channel
) -> Connection:
    return Connection(
        source=SOURCES[source], name=market, path=path, dialect=dialect, channels=channels
    )


def _bars(name: str, feed: Feed, topic: Topic, has_closed: Callable[[Message], bool]) -> Channel:
    return Channel(
        name=name,
        feeds=(feed,),
        topic=topic,
        quiet_after_s=BARS_QUIET_S,
        grace_s=BARS_GRACE_S,
        wanted=has_closed,
        is_essential=True,
    )


def _trades(name: str, feed: Feed, topic: Topic) -> Channel:
    return Channel(name=name, feeds=(feed,), topic=topic, has_trades=True)


def _bybit_market(market: str, path: str) -> Connection:
    return _market(
        "bybit",
        market,
        path,
        _BYBIT,
        _bars("kline", bybit.bars_of(market), _dotted("kline.60"), _bybit_has_closed),
        _trades("publicTrade", bybit.trades_of(market), _dotted("publicTrade")),
    )


def _okx_market(market: str) -> Connection:
    return _market(
        "okx",
        market,
        "/ws/v5/business",
        _OKX,
        _bars("candle1H", okx.bars_of(market), _of_instrument("candle1H"), _okx_has_closed),
        _trades("trades-all", okx.trades_of(market), _of_instrument("trades-all")),
    )


def _binance_market(provider: str, market: str, path: str) -> Connection:
    return _market(
        provider,
        market,
        path,
        _BINANCE,
        _bars("kline", binance.bars_of(provider, market), _at("kline_1h"), _binance_has_closed),
        _trades("aggTrade", binance.trades_of(provider, market), _at("aggTrade")),
    )


def _bybit_marks(message: Message) -> dict[str, float]:
    """A delta tells only what changed."""
    names = {"markPrice": "mark_price", "indexPrice": "index_price", "lastPrice": "last_price"}
    return {ours: float(message["data"][n]) for n, ours in names.items() if message["data"].get(n)}


def _okx_marks(message: Message) -> dict[str, float]:
    return {"mark_price": float(message["data"][0]["markPx"])}


def _binance_marks(message: Message) -> dict[str, float]:
    return {"mark_price": float(message["data"]["p"]), "index_price": float(message["data"]["i"])}


def _present(
    source: str, market: str, path: str, dialect: Dialect, book: Channel, marks: Channel | None
) -> Connection:
    """Books and marks on a connection of their own: of them only samples are kept."""
    channels = (book,) if marks is None or market == "spot" else (book, marks)
    one = _market(source, market, path, dialect, *channels)
    return replace(one, name=f"books-{market}")


def _book(name: str, feed: Feed, topic: Topic, rules: BookRules) -> Channel:
    return Channel(
        name=name,
        feeds=(feed,),
        topic=topic,
        book=rules,
        quiet_after_s=BOOKS_QUIET_S,
        grace_s=BOOKS_GRACE_S,
    )


def _marks(
    name: str, feed: Feed, topic: Topic, read: Callable[[Message], dict[str, float]]
) -> Channel:
    return Channel(
        name=name,
        feeds=(feed,),
        topic=topic,
        marks=read,
        quiet_after_s=MARKS_QUIET_S,
        grace_s=MARKS_GRACE_S,
    )


def _bybit_present(market: str, path: str) -> Connection:
    feed = bybit.books_of(market)
    return _present(
        "bybit", market, path, _BYBIT,
        _book("orderbook", feed, _dotted("orderbook.200"), BybitBook()),
        _marks("tickers", feed, _dotted("tickers"), _bybit_marks),
    )  # fmt: skip


def _okx_present(market: str) -> Connection:
    feed = okx.books_of(market)
    return _present(
        "okx", market, "/ws/v5/public", _OKX,
        _book("books", feed, _of_instrument("books"), OkxBook()),
        _marks("mark-price", feed, _of_instrument("mark-price"), _okx_marks),
    )  # fmt: skip


def _binance_books(provider: str, market: str, path: str) -> Connection:
    feed = binance.books_of(provider, market)
    rules = BinanceBook(is_spot=market == "spot")
    book = _book("depth", feed, _at("depth@100ms"), rules)
    return _present(provider, market, path, _BINANCE, book, None)


_BINANCE_MARKS = replace(
    _market(
        binance.FUTURES, "perp", "/market/stream", _BINANCE,
        _marks("markPrice", binance.books_of(binance.FUTURES, "perp"), _at("markPrice@1s"), _binance_marks),
    ),
    name="marks",
)  # fmt: skip
_BYBIT_CLOSURES = Connection(
    source=SOURCES["bybit"],
    name="liquidations",
    path="/v5/public/linear",
    dialect=_BYBIT,
    channels=(
        Channel(
            name="allLiquidation",
            feeds=bybit.CLOSURES,
            topic=_dotted("allLiquidation"),
            is_sparse=True,
            is_essential=True,
            nothing=b'{"topic":"allLiquidation","data":[]}',
        ),
    ),
)
_OKX_CLOSURES = Connection(
    source=SOURCES["okx"],
    name="liquidations",
    path="/ws/v5/public",
    dialect=_OKX,
    channels=(
        Channel(
            name="liquidation-orders",
            feeds=okx.CLOSURES,
            topic=lambda _: "liquidation-orders:SWAP",
            for_all=True,
            is_sparse=True,
            is_essential=True,
        ),
    ),
)
_BINANCE_CLOSURES = Connection(
    source=SOURCES[binance.FUTURES],
    name="liquidations",
    path="/market/stream",
    dialect=_BINANCE,
    channels=(
        Channel(
            name="forceOrder",
            feeds=binance.CLOSURES,
            topic=lambda _: "!forceOrder@arr",
            for_all=True,
            is_sparse=True,
            is_essential=True,
            nothing=b"[]",
        ),
    ),
)
CONNECTIONS: tuple[Connection, ...] = (
    *twins(_BYBIT_CLOSURES),
    *twins(_BINANCE_CLOSURES),
    *twins(_OKX_CLOSURES),
    _bybit_market("perp", "/v5/public/linear"),
    _bybit_market("spot", "/v5/public/spot"),
    _binance_market(binance.FUTURES, "perp", "/market/stream"),
    _binance_market("binance", "spot", "/stream"),
    _okx_market("perp"),
    _okx_market("spot"),
    _bybit_present("perp", "/v5/public/linear"),
    _bybit_present("spot", "/v5/public/spot"),
    _binance_books(binance.FUTURES, "perp", "/public/stream"),
    _BINANCE_MARKS,
    _binance_books("binance", "spot", "/stream"),
    _okx_present("perp"),
    _okx_present("spot"),
)
"""Every connection, in the order in which they are opened."""


CLOCKS: Mapping[str, tuple[str, Callable[[Any], float]]] = MappingProxyType(
    {
        "bybit": ("/v5/market/time", lambda told: int(told["result"]["timeNano"]) / 1e9),
        "okx": ("/api/v5/public/time", lambda told: int(told["data"][0]["ts"]) / 1e3),
        "binance": ("/api/v3/time", lambda told: int(told["serverTime"]) / 1e3),
        binance.FUTURES: ("/fapi/v1/time", lambda told: int(told["serverTime"]) / 1e3),
    }
)
"""Where a source tells its time, and the seconds since the epoch in its reply."""
