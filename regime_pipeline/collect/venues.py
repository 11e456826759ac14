"""The venues' streams: paths, topics, how they acknowledge, ping and name what they send.

Belongs here: everything that is one venue's own, as data and pure functions. Does not belong here:
parsers of messages (``providers``), sockets (``session``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from regime_pipeline.collect.plan import Channel, Connection, Heard, Kind, Message, twins
from regime_pipeline.providers.bybit import streams as bybit
from regime_pipeline.providers.registry import SOURCES
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

    ping_every_s: float | None = 20.0
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


def _dotted(name: str) -> Callable[[VenueSymbol], str]:
    return lambda symbol: f"{name}.{symbol.name}"


def _has_closed_bar(message: Message) -> bool:
    return any(isinstance(bar, dict) and bar.get("confirm") is True for bar in message["data"])


_BYBIT = BybitDialect()
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
CONNECTIONS: tuple[Connection, ...] = (*twins(_BYBIT_CLOSURES),)
"""Every connection, in the order in which they are opened."""
