"""The venues' streams: paths, topics, how they acknowledge, ping and name what they send.

Belongs here: everything that is one venue's own, as data and pure functions. Does not belong here:
parsers of messages (``providers``), sockets (``session``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from regime_pipeline.collect.plan import (
    Channel,
    Connection,
    Dialect,
    Heard,
    Kind,
    Message,
    twins,
)
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
        told = {"req_id": str(number), "op": "subscribe", "args": list(topics)}
        return orjson.dumps(told).decode()

    def heard(self, message: object) -> Heard:
        """What a decoded message is."""
        if not isinstance(message, dict):
            return Heard(Kind.OTHER)
        topic = message.get("topic")
        if isinstance(topic, str):
            return Heard(Kind.DATA, topic)
        if message.get("op") == "pong" or message.get("ret_msg") == "pong":
            return Heard(Kind.PONG)
        if message.get("op") != "subscribe":
            return Heard(Kind.OTHER)
        if message.get("success") is False:
            return Heard(Kind.REFUSED, detail=str(message.get("ret_msg", ""))[:200])
        return Heard(Kind.ACCEPTED)

    def joined(self, messages: Sequence[Message]) -> bytes:
        """Data messages of one topic as one body."""
        rows = rows_of(messages)
        return orjson.dumps({**messages[-1], "data": rows})


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
        args = []
        for topic in topics:
            channel, _, name = topic.partition(":")
            what = "instType" if channel == "liquidation-orders" else "instId"
            args.append({"channel": channel, what: name})
        return orjson.dumps({"op": "subscribe", "args": args}).decode()

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
            return Heard(Kind.DATA, topic) if "data" in message else Heard(Kind.OTHER)
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
        told = {"method": "SUBSCRIBE", "params": list(topics), "id": number}
        return orjson.dumps(told).decode()

    def heard(self, message: object) -> Heard:
        """What a decoded message is."""
        if not isinstance(message, dict):
            return Heard(Kind.OTHER)
        topic = message.get("stream")
        if isinstance(topic, str):
            return Heard(Kind.DATA, topic)
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
BARS_QUIET_S = 90.0


def _market(
    source: str, market: str, path: str, dialect: Dialect, *channels: Channel
) -> Connection:
    return Connection(
        source=SOURCES[source], name=market, path=path, dialect=dialect, channels=channels
    )


def _bars(name: str, feed: Feed, topic: Topic, has_closed: Callable[[Message], bool]) -> Channel:
    return Channel(
        name=name, feeds=(feed,), topic=topic, quiet_after_s=BARS_QUIET_S, wanted=has_closed
    )


def _bybit_market(market: str, path: str) -> Connection:
    return _market(
        "bybit",
        market,
        path,
        _BYBIT,
        _bars("kline", bybit.bars_of(market), _dotted("kline.60"), _bybit_has_closed),
        Channel(name="publicTrade", feeds=(bybit.trades_of(market),), topic=_dotted("publicTrade")),
    )


def _okx_market(market: str) -> Connection:
    return _market(
        "okx",
        market,
        "/ws/v5/business",
        _OKX,
        _bars("candle1H", okx.bars_of(market), _of_instrument("candle1H"), _okx_has_closed),
        Channel(
            name="trades-all", feeds=(okx.trades_of(market),), topic=_of_instrument("trades-all")
        ),
    )


def _binance_market(provider: str, market: str, path: str) -> Connection:
    return _market(
        provider,
        market,
        path,
        _BINANCE,
        _bars("kline", binance.bars_of(provider, market), _at("kline_1h"), _binance_has_closed),
        Channel(
            name="aggTrade", feeds=(binance.trades_of(provider, market),), topic=_at("aggTrade")
        ),
    )


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
)
"""Every connection, in the order in which they are opened."""
