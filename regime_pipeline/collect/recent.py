"""Each venue's newest trades over HTTP: whether there are some that a stream did not bring, and which.

Belongs here: the parameters of requests, reading replies, telling rows as the stream would have sent them;
pure functions. Does not belong here: asking (``asking``), when it is asked (``session``).

A stretch counts as asked for only when the trades join on to one that was heard: because they were asked
for from its number on or back to it, or because the reply contains that trade.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from regime_pipeline.collect.book import Message
from regime_pipeline.providers.binance.streams import FUTURES

Row = Mapping[str, Any]
Params = Mapping[str, str]
MOST_PAGES = 50


@dataclass(frozen=True)
class Recent(ABC):
    """How a source tells its newest trades: pure functions.

    All of them raise ``LookupError``, ``TypeError`` or ``ValueError`` on a reply or message of another shape.

    Attributes:
        paths: by market.
        page: most trades in a reply, by market.
        weights: what a request counts, by market; absent: 1.
    """

    paths: Mapping[str, str]
    page: Mapping[str, int]
    weights: Mapping[str, int]

    @abstractmethod
    def about(self, name: str, market: str) -> Params:
        """The parameters that name an instrument; without any other the newest trades are told."""

    @abstractmethod
    def rows(self, body: Any) -> list[Row]:
        """The trades of a reply, oldest first."""

    @abstractmethod
    def identity(self, row: Row) -> Any:
        """A trade's own name."""

    @abstractmethod
    def at_ms(self, row: Row) -> int:
        """The venue's time of a trade."""

    @abstractmethod
    def heard(self, message: Message) -> Any:
        """The name of the last trade of a message of the stream."""

    @abstractmethod
    def begin(self, known: Any, market: str) -> Params:
        """The parameters of the first request for all trades after a known one."""

    @abstractmethod
    def following(self, known: Any, page: Sequence[Row], market: str) -> Params | None:
        """The parameters of the next request; None: nothing more can be asked for."""

    @abstractmethod
    def is_joined(self, known: Any, page: Sequence[Row], market: str) -> bool:
        """Whether nothing is missing between a known trade and the newest one, with this page."""

    @abstractmethod
    def behind(self, known: Any, rows: Sequence[Row]) -> list[Row]:
        """The trades after a known one, oldest first."""

    @abstractmethod
    def messages(self, topic: str, rows: Sequence[Row]) -> list[Message]:
        """Trades as the stream would have told them."""


class _Binance(Recent):
    """``aggTrades``: from a number on, to the newest one."""

    def about(self, name: str, market: str) -> Params:
        del market
        return {"symbol": name}

    def rows(self, body: Any) -> list[Row]:
        return list(body)

    def identity(self, row: Row) -> int:
        return int(row["a"])

    def at_ms(self, row: Row) -> int:
        return int(row["T"])

    def heard(self, message: Message) -> int:
        return int(message["data"]["a"])

    def begin(self, known: Any, market: str) -> Params:
        return {"fromId": str(known + 1), "limit": str(self.page[market])}

    def following(self, known: Any, page: Sequence[Row], market: str) -> Params | None:
        del known
        return self.begin(self.identity(page[-1]), market) if page else None

    def is_joined(self, known: Any, page: Sequence[Row], market: str) -> bool:
        del known
        return len(page) < self.page[market]

    def behind(self, known: Any, rows: Sequence[Row]) -> list[Row]:
        return sorted((r for r in rows if self.identity(r) > known), key=self.identity)

    def messages(self, topic: str, rows: Sequence[Row]) -> list[Message]:
        name = topic.partition("@")[0].upper()
        return [
            {"stream": topic, "data": {"e": "aggTrade", "E": row["T"], "s": name, **row}}
            for row in rows
        ]


class _Okx(Recent):
    """``history-trades``: backwards from a number; numbers only grow."""

    def about(self, name: str, market: str) -> Params:
        del market
        return {"instId": name}

    def rows(self, body: Any) -> list[Row]:
        return list(body["data"])[::-1]

    def identity(self, row: Row) -> int:
        return int(row["tradeId"])

    def at_ms(self, row: Row) -> int:
        return int(row["ts"])

    def heard(self, message: Message) -> int:
        return self.identity(message["data"][-1])

    def begin(self, known: Any, market: str) -> Params:
        del known
        return {"limit": str(self.page[market])}

    def following(self, known: Any, page: Sequence[Row], market: str) -> Params | None:
        return {**self.begin(known, market), "after": str(self.identity(page[0]))} if page else None

    def is_joined(self, known: Any, page: Sequence[Row], market: str) -> bool:
        del market
        return bool(page) and self.identity(page[0]) <= known

    def behind(self, known: Any, rows: Sequence[Row]) -> list[Row]:
        return sorted((r for r in rows if self.identity(r) > known), key=self.identity)

    def messages(self, topic: str, rows: Sequence[Row]) -> list[Message]:
        channel, _, name = topic.partition(":")
        return [{"arg": {"channel": channel, "instId": name}, "data": list(rows)}] if rows else []


class _Bybit(Recent):
    """``recent-trade``: the newest ones alone; names have no order."""

    def about(self, name: str, market: str) -> Params:
        return {"category": "linear" if market == "perp" else "spot", "symbol": name}

    def rows(self, body: Any) -> list[Row]:
        return list(body["result"]["list"])[::-1]

    def identity(self, row: Row) -> str:
        return str(row["execId"])

    def at_ms(self, row: Row) -> int:
        return int(row["time"])

    def heard(self, message: Message) -> str:
        return str(message["data"][-1]["i"])

    def begin(self, known: Any, market: str) -> Params:
        del known
        return {"limit": str(self.page[market])}

    def following(self, known: Any, page: Sequence[Row], market: str) -> Params | None:
        del known, page, market
        return None

    def is_joined(self, known: Any, page: Sequence[Row], market: str) -> bool:
        del market
        return any(self.identity(row) == known for row in page)

    def behind(self, known: Any, rows: Sequence[Row]) -> list[Row]:
        place = [self.identity(row) for row in rows].index(known)
        return list(rows[place + 1 :])

    def messages(self, topic: str, rows: Sequence[Row]) -> list[Message]:
        told = [
            {
                "T": self.at_ms(row), "s": row["symbol"], "S": row["side"], "v": row["size"],
                "p": row["price"], "i": row["execId"], "BT": bool(row.get("isBlockTrade")),
            }
            for row in rows
        ]  # fmt: skip
        if not told:
            return []
        return [{"topic": topic, "type": "snapshot", "ts": told[-1]["T"], "data": told}]


RECENT: Mapping[str, Recent] = MappingProxyType(
    {
        "binance": _Binance({"spot": "/api/v3/aggTrades"}, {"spot": 1_000}, {"spot": 4}),
        FUTURES: _Binance({"perp": "/fapi/v1/aggTrades"}, {"perp": 1_000}, {"perp": 20}),
        "bybit": _Bybit(
            dict.fromkeys(("perp", "spot"), "/v5/market/recent-trade"),
            {"perp": 1_000, "spot": 60},
            {},
        ),
        "okx": _Okx(
            dict.fromkeys(("perp", "spot"), "/api/v5/market/history-trades"),
            dict.fromkeys(("perp", "spot"), 100),
            {},
        ),
    }
)
"""By source."""


def missed(
    rules: Recent, get: Callable[[Params], Any], name: str, market: str, known: Any
) -> list[Row] | None:
    """All trades after a known one, oldest first.

    Args:
        rules: of the source.
        get: asks with some parameters; the decoded reply.
        name: the venue's name of the instrument.
        market: its market.
        known: name of a trade that was heard, as of :meth:`Recent.heard`.

    Returns:
        None: the venue does not tell all of them.
    """
    found: list[Row] = []
    asked: Params | None = rules.begin(known, market)
    for _ in range(MOST_PAGES):
        if asked is None:
            break
        page = rules.rows(get({**rules.about(name, market), **asked}))
        found += page
        if rules.is_joined(known, page, market):
            return rules.behind(known, found)
        asked = rules.following(known, page, market)
    return None
