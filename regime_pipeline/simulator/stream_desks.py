"""What each venue says over its WebSocket streams: topics, acknowledgements, pongs, rows.

Belongs here: the venues' words. Does not belong here: connections and faults (``streams``), how the
same is told over HTTP (a module a venue, which is asked where bars must be the same).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

import orjson

from regime_pipeline.simulator.bybit import Desk as BybitRest
from regime_pipeline.simulator.bybit import trade_id
from regime_pipeline.simulator.context import Query, World
from regime_pipeline.simulator.microstructure import Closures
from regime_pipeline.simulator.series import HOUR_MS, joined
from regime_pipeline.simulator.streams import Sent, StreamDesk

CLOSURE_BATCH_MS = 500
BAR_EVERY_MS = 1_000


def closures_between(
    world: World, venue: str, symbol: str, low_ms: int, high_ms: int
) -> Iterator[tuple[Closures, int]]:
    """Forced closures in ``(low, high]``: an hour's closures and the place of one among them."""
    hour = low_ms // HOUR_MS * HOUR_MS
    while hour <= high_ms:
        found = world.tape.closures(venue, symbol, hour)
        for i in range(0 if found is None else len(found.ts)):
            assert found is not None
            if low_ms < found.ts[i] <= high_ms:
                yield found, i
        hour += HOUR_MS


class Bybit:
    """``allLiquidation``, ``publicTrade``, ``kline``."""

    def __init__(self, world: World, market: str) -> None:
        self._world, self._market = world, market
        self._rest = BybitRest(world)
        self._category = {"perp": "linear", "spot": "spot"}[market]
        listed = world.tape.listed("bybit", market) or world.tape.symbols
        self._symbols = {joined(s): s for s in listed}

    def answer(self, text: str, topics: dict[str, int]) -> list[str]:
        """Replies to ``subscribe`` and ``ping``; unknown topics are refused, all of a request."""
        try:
            asked = orjson.loads(text)
        except orjson.JSONDecodeError:
            return ['{"success":false,"ret_msg":"not json","op":""}']
        if asked.get("op") == "ping":
            return ['{"success":true,"ret_msg":"pong","conn_id":"simulated","op":"ping"}']
        told = {"success": True, "ret_msg": "", "conn_id": "simulated", "op": asked.get("op")}
        told["req_id"] = asked.get("req_id", "")
        for topic in asked.get("args", []):
            if not self._knows(topic):
                told |= {"success": False, "ret_msg": f"Invalid topic: {topic}"}
                return [orjson.dumps(told).decode()]
        now = self._world.now_ms()
        for topic in asked.get("args", []):
            topics.setdefault(topic, now)
        return [orjson.dumps(told).decode()]

    def _knows(self, topic: str) -> bool:
        name, _, rest = topic.partition(".")
        if name == "kline":
            interval, _, rest = rest.partition(".")
            return interval in ("1", "60") and rest in self._symbols
        return name in ("allLiquidation", "publicTrade") and rest in self._symbols

    def since(self, topic: str, low_ms: int, high_ms: int) -> Iterable[Sent]:
        """What happened in ``(low, high]``."""
        name, _, rest = topic.partition(".")
        if name == "kline":
            return self._bars(topic, low_ms, high_ms)
        make = {"allLiquidation": self._closures, "publicTrade": self._trades}[name]
        return make(topic, rest, low_ms, high_ms)

    def _message(self, topic: str, rows: list[dict[str, object]], now_ms: int) -> bytes:
        return orjson.dumps({"topic": topic, "type": "snapshot", "ts": now_ms, "data": rows})

    def _closures(self, topic: str, name: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        rows: list[dict[str, object]] = []
        for found, i in closures_between(
            self._world, "bybit", self._symbols[name], low_ms, high_ms
        ):
            rows.append(
                {
                    "T": int(found.ts[i]),
                    "s": name,
                    "S": "Buy" if found.long[i] else "Sell",
                    "v": f"{found.size[i]:.8f}",
                    "p": f"{found.price[i]:.{found.digits}f}",
                }
            )
        if rows:
            keys = tuple(f"{r['T']}|{r['S']}|{r['v']}|{r['p']}" for r in rows)
            yield Sent(topic, self._message(topic, rows, high_ms), keys)

    def _trades(self, topic: str, name: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        found = self._world.trades(
            "bybit", self._market, self._symbols[name], low_ms + 1, high_ms, 1_000
        )
        if found is None:
            return
        rows: list[dict[str, object]] = [
            {
                "T": int(found.ts[i]),
                "s": name,
                "S": "Buy" if found.buy[i] else "Sell",
                "v": f"{found.size[i]:.8f}",
                "p": f"{found.price[i]:.{found.digits}f}",
                "i": trade_id(self._market, self._symbols[name], found.number[i]),
                "BT": False,
            }
            for i in range(len(found))
        ]
        yield Sent(topic, self._message(topic, rows, high_ms), tuple(str(r["i"]) for r in rows))

    def _bars(self, topic: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        """The running bar once a second, and a closed one when it has closed; as over HTTP."""
        _, interval, name = topic.split(".")
        if interval != "60" or low_ms // BAR_EVERY_MS == high_ms // BAR_EVERY_MS:
            return
        asked = {"category": self._category, "symbol": name, "interval": interval, "limit": "2"}
        rows = orjson.loads(b"[" + bytes(self._rest.klines(Query(asked))["list"]) + b"]")  # type: ignore[call-overload]
        has_closed = low_ms // HOUR_MS < high_ms // HOUR_MS
        for row in reversed(rows):
            start = int(row[0])
            confirm = start + HOUR_MS <= high_ms
            if confirm and not (has_closed and start + HOUR_MS > low_ms):
                continue
            bar = {
                "start": start, "end": start + HOUR_MS - 1, "interval": interval, "open": row[1],
                "close": row[4], "high": row[2], "low": row[3], "volume": row[5],
                "turnover": row[6], "confirm": confirm, "timestamp": high_ms,
            }  # fmt: skip
            keys = (f"{topic}|{start}",) if confirm else ()
            yield Sent(topic, self._message(topic, [bar], high_ms), keys)


STREAMS: Mapping[str, Callable[[World], StreamDesk]] = MappingProxyType(
    {
        "bybit/v5/public/linear": lambda world: Bybit(world, "perp"),
        "bybit/v5/public/spot": lambda world: Bybit(world, "spot"),
    }
)
"""Paths below ``/ws/`` and who answers there."""
