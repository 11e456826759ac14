"""What each venue says over its WebSocket streams: topics, acknowledgements, pongs, rows.

Belongs here: the venues' words. Does not belong here: connections and faults (``streams``), how the
same is told over HTTP (a module a venue, which is asked where bars must be the same).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeVar, cast

import orjson

from regime_pipeline.simulator import binance, bybit, okx, stream_books
from regime_pipeline.simulator.binance import FUTURES, SPOT
from regime_pipeline.simulator.binance import Market as BinanceRest
from regime_pipeline.simulator.binance_desk import Desk as BinanceDesk
from regime_pipeline.simulator.binance_desk import House
from regime_pipeline.simulator.bybit import Desk as BybitRest
from regime_pipeline.simulator.bybit import trade_id
from regime_pipeline.simulator.context import Query, World
from regime_pipeline.simulator.microstructure import Book, Closures
from regime_pipeline.simulator.okx import Market as OkxRest
from regime_pipeline.simulator.okx_desk import Desk as OkxDesk
from regime_pipeline.simulator.series import HOUR_MS, contract_size, joined
from regime_pipeline.simulator.streams import Sent, StreamDesk

BAR_EVERY_MS = 1_000

Row = TypeVar("Row")


def bybit_levels(book: Book) -> tuple[list[list[str]], list[list[str]]]:
    """Bids and asks of the stream's 200 levels."""
    return (
        bybit.levels_of(book.bid_price, book.bid_size, book.digits, 200),
        bybit.levels_of(book.ask_price, book.ask_size, book.digits, 200),
    )


def okx_levels(book: Book, contract: float) -> tuple[list[list[str]], list[list[str]]]:
    """Bids and asks in contracts of so many coins."""
    return (
        okx.levels_of(book.bid_price, book.bid_size / contract, book.digits, 400),
        okx.levels_of(book.ask_price, book.ask_size / contract, book.digits, 400),
    )


def binance_levels(book: Book, market: str) -> tuple[list[list[str]], list[list[str]]]:
    """Bids and asks, all of them."""
    digits, lot = (8, 8) if market == "spot" else (book.digits, 3)
    return (
        binance.levels_of(book.bid_price, book.bid_size, digits, lot, 1_000),
        binance.levels_of(book.ask_price, book.ask_size, digits, lot, 1_000),
    )


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

    def restart(self, topic: str) -> None:
        """The numbers of a topic's book begin anew."""
        symbol = self._symbols[topic.rpartition(".")[2]]
        self._world.renumber_book("bybit", self._market, symbol)

    def answer(self, text: str, topics: dict[str, int]) -> list[str]:
        """Replies to ``subscribe``, ``unsubscribe``, ``ping``; an unknown topic refuses its request."""
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
            if asked.get("op") == "unsubscribe":
                topics.pop(topic, None)
            else:
                topics.setdefault(topic, 0 if topic.startswith("orderbook.") else now)
        return [orjson.dumps(told).decode()]

    def _knows(self, topic: str) -> bool:
        name, _, rest = topic.partition(".")
        if name in ("kline", "orderbook"):
            detail, _, rest = rest.partition(".")
            return detail in ("1", "60", "200") and rest in self._symbols
        return name in ("allLiquidation", "publicTrade", "tickers") and rest in self._symbols

    def since(self, topic: str, low_ms: int, high_ms: int) -> Iterable[Sent]:
        """What happened in ``(low, high]``."""
        name, _, rest = topic.partition(".")
        if name == "kline":
            return self._bars(topic, low_ms, high_ms)
        if name == "orderbook":
            return self._changes(topic, low_ms, high_ms)
        make = {
            "allLiquidation": self._closures, "publicTrade": self._trades, "tickers": self._marks
        }[name]  # fmt: skip
        return make(topic, rest, low_ms, high_ms)

    def _changes(self, topic: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        symbol = self._symbols[topic.rpartition(".")[2]]
        versions = self._world.book_versions("bybit", self._market, symbol)
        for old, new in stream_books.between(versions, low_ms, high_ms, bybit_levels):
            yield stream_books.bybit(topic, old, new)

    def _marks(self, topic: str, name: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        price = stream_books.mark(self._world, "bybit", self._symbols[name], low_ms, high_ms)
        if price is not None:
            data = {"symbol": name, "markPrice": repr(price), "indexPrice": repr(price)}
            told = {"topic": topic, "type": "delta", "ts": high_ms, "data": data}
            yield Sent(topic, orjson.dumps(told))

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
        for row in _running_and_just_closed(rows, lambda r: int(r[0]), low_ms, high_ms):
            start = int(row[0])
            confirm = start + HOUR_MS <= high_ms
            bar = {
                "start": start, "end": start + HOUR_MS - 1, "interval": interval, "open": row[1],
                "close": row[4], "high": row[2], "low": row[3], "volume": row[5],
                "turnover": row[6], "confirm": confirm, "timestamp": high_ms,
            }  # fmt: skip
            keys = (f"{topic}|{start}",) if confirm else ()
            yield Sent(topic, self._message(topic, [bar], high_ms), keys)


class Okx:
    """``liquidation-orders``, ``trades-all``, ``candle1H``; topics are ``channel:name`` here."""

    def __init__(self, world: World, *, business: bool) -> None:
        self._world = world
        self._channels = (
            ("trades-all", "candle1H")
            if business
            else ("liquidation-orders", "books", "mark-price")
        )
        self._desk = OkxDesk(world)
        self._rest = OkxRest(world, self._desk)
        self._names = {**self._desk.spot, **self._desk.swap}

    def restart(self, topic: str) -> None:
        """The numbers of a topic's book begin anew."""
        self._world.renumber_book("okx", *self._instrument(topic))

    def _instrument(self, topic: str) -> tuple[str, str]:
        return self._desk.instrument_of(Query({"instId": topic.partition(":")[2]}))

    def answer(self, text: str, topics: dict[str, int]) -> list[str]:
        """Replies to ``subscribe`` and ``unsubscribe``, topic by topic, and to the text ``ping``."""
        if text == "ping":
            return ["pong"]
        try:
            asked = orjson.loads(text)
        except orjson.JSONDecodeError:
            return ['{"event":"error","code":"60012","msg":"Invalid request"}']
        out = []
        for arg in asked.get("args", []):
            channel, name = arg.get("channel"), arg.get("instId") or arg.get("instType")
            if channel not in self._channels or (name not in self._names and name != "SWAP"):
                told = {
                    "event": "error",
                    "code": "60018",
                    "msg": f"Wrong channel: {channel} {name}",
                }
            elif asked.get("op") == "unsubscribe":
                topics.pop(f"{channel}:{name}", None)
                told = {"event": "unsubscribe", "arg": arg, "connId": "simulated"}
            else:
                begin = 0 if channel == "books" else self._world.now_ms()
                topics.setdefault(f"{channel}:{name}", begin)
                told = {"event": "subscribe", "arg": arg, "connId": "simulated"}
            out.append(orjson.dumps(told).decode())
        return out

    def since(self, topic: str, low_ms: int, high_ms: int) -> Iterable[Sent]:
        """What happened in ``(low, high]``."""
        channel, _, name = topic.partition(":")
        if channel == "liquidation-orders":
            return self._closures(topic, low_ms, high_ms)
        if channel == "candle1H":
            return self._bars(topic, name, low_ms, high_ms)
        if channel == "books":
            market, symbol = self._instrument(topic)
            versions = self._world.book_versions("okx", market, symbol)
            size = contract_size(symbol) if market == "perp" else 1.0
            render = partial(okx_levels, contract=size)
            found = stream_books.between(versions, low_ms, high_ms, render)
            return (stream_books.okx(topic, old, new) for old, new in found)
        if channel == "mark-price":
            return self._marks(topic, name, low_ms, high_ms)
        return self._trades(topic, name, low_ms, high_ms)

    def _marks(self, topic: str, name: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        price = stream_books.mark(self._world, "okx", self._names[name], low_ms, high_ms)
        if price is not None:
            row = {"instType": "SWAP", "instId": name, "markPx": repr(price), "ts": str(high_ms)}
            arg = {"channel": "mark-price", "instId": name}
            yield Sent(topic, orjson.dumps({"arg": arg, "data": [row]}))

    def _closures(self, topic: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        arg = {"channel": "liquidation-orders", "instType": "SWAP"}
        for name, symbol in self._desk.swap.items():
            details = [
                {
                    "bkLoss": "0", "bkPx": f"{found.price[i]:.{found.digits}f}", "ccy": "",
                    "posSide": "long" if found.long[i] else "short",
                    "side": "sell" if found.long[i] else "buy",
                    "sz": f"{found.size[i] / contract_size(symbol):.8f}", "ts": str(found.ts[i]),
                }
                for found, i in closures_between(self._world, "okx", symbol, low_ms, high_ms)
            ]  # fmt: skip
            if details:
                row = {
                    "details": details, "instId": name, "instType": "SWAP",
                    "instFamily": name.removesuffix("-SWAP"), "uly": name.removesuffix("-SWAP"),
                }  # fmt: skip
                keys = tuple(
                    f"{name}|{d['ts']}|{d['posSide']}|{d['sz']}|{d['bkPx']}" for d in details
                )
                yield Sent(topic, orjson.dumps({"arg": arg, "data": [row]}), keys)

    def _trades(self, topic: str, name: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        market, symbol = self._desk.instrument_of(Query({"instId": name}))
        part = self._world.trades("okx", market, symbol, low_ms + 1, high_ms, 1_000)
        rows = orjson.loads(b"[" + self._rest.trade_rows(part, name, market, symbol) + b"]")
        arg = {"channel": "trades-all", "instId": name}
        for row in reversed(rows):  # one message a trade
            yield Sent(topic, orjson.dumps({"arg": arg, "data": [row]}), (row["tradeId"],))

    def _bars(self, topic: str, name: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        if low_ms // BAR_EVERY_MS == high_ms // BAR_EVERY_MS:
            return
        asked = Query({"instId": name, "bar": "1H", "limit": "2"})
        rows = orjson.loads(b"[" + self._rest.candles(asked) + b"]")
        for row in _running_and_just_closed(rows, lambda r: int(r[0]), low_ms, high_ms):
            message = {"arg": {"channel": "candle1H", "instId": name}, "data": [row]}
            keys = (f"{topic}|{row[0]}",) if row[-1] == "1" else ()
            yield Sent(topic, orjson.dumps(message), keys)


class Binance:
    """``aggTrade``, ``kline_1h`` and, of futures, ``!forceOrder@arr``."""

    def __init__(self, world: World, house: House) -> None:
        self._world, self._house = world, house
        self._desk = BinanceDesk(world, house)
        self._rest = BinanceRest(world, self._desk)
        self._names = {text.lower(): text for text in self._desk.listed}

    def restart(self, topic: str) -> None:
        """The venue's numbers only grow; no fault makes them begin anew."""

    def answer(self, text: str, topics: dict[str, int]) -> list[str]:
        """Replies to ``SUBSCRIBE``; unknown streams are acknowledged and stay mute, as they do there."""
        try:
            asked = orjson.loads(text)
        except orjson.JSONDecodeError:
            return ['{"error":{"code":3,"msg":"Invalid JSON"},"id":null}']
        if asked.get("method") == "LIST_SUBSCRIPTIONS":
            return [orjson.dumps({"result": sorted(topics), "id": asked.get("id")}).decode()]
        for topic in asked.get("params", []):
            if asked.get("method") == "UNSUBSCRIBE":
                topics.pop(topic, None)
            else:
                topics.setdefault(topic, self._world.now_ms())
        return [orjson.dumps({"result": None, "id": asked.get("id")}).decode()]

    def since(self, topic: str, low_ms: int, high_ms: int) -> Iterable[Sent]:
        """What happened in ``(low, high]``."""
        name, _, channel = topic.partition("@")
        if name == "!forceOrder" and self._house is FUTURES:
            return self._closures(topic, low_ms, high_ms)
        text = self._names.get(name)
        make = {
            "aggTrade": self._trades, "kline_1h": self._bars, "depth": self._changes,
            "markPrice": self._marks,
        }.get(channel.partition("@")[0])  # fmt: skip
        return () if text is None or make is None else make(topic, text, low_ms, high_ms)

    def _changes(self, topic: str, text: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        market, symbol = self._house.market, self._desk.listed[text]
        versions = self._world.book_versions(self._house.venue, market, symbol)
        render = partial(binance_levels, market=market)
        for old, new in stream_books.between(versions, low_ms, high_ms, render):
            if old is not None:
                yield stream_books.binance(topic, old, new, is_spot=market == "spot")

    def _marks(self, topic: str, text: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        symbol = self._desk.listed[text]
        price = stream_books.mark(self._world, self._house.venue, symbol, low_ms, high_ms)
        if price is not None:
            event = {
                "e": "markPriceUpdate", "E": high_ms, "s": text, "p": repr(price), "i": repr(price)
            }  # fmt: skip
            yield self._sent(topic, event)

    def _sent(self, topic: str, event: dict[str, object], *keys: str) -> Sent:
        return Sent(topic, orjson.dumps({"stream": topic, "data": event}), keys)

    def _closures(self, topic: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        """The newest order of each symbol and second."""
        for text, symbol in self._desk.listed.items():
            newest: dict[int, tuple[Closures, int]] = {}
            for found, i in closures_between(self._world, "binance", symbol, low_ms, high_ms):
                newest[int(found.ts[i]) // 1000] = (found, i)
            for found, i in newest.values():
                size, price = f"{found.size[i]:.8f}", f"{found.price[i]:.{found.digits}f}"
                order = {
                    "s": text, "S": "SELL" if found.long[i] else "BUY", "o": "LIMIT", "f": "IOC",
                    "q": size, "p": price, "ap": price, "X": "FILLED", "l": size, "z": size,
                    "T": int(found.ts[i]),
                }  # fmt: skip
                event = {"e": "forceOrder", "E": high_ms, "o": order}
                yield self._sent(topic, event, f"{text}|{order['T']}|{order['S']}|{size}|{price}")

    def _trades(self, topic: str, text: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        asked = {"symbol": text, "startTime": str(low_ms + 1), "endTime": str(high_ms)}
        rows, _ = self._rest.agg_trades(Query({**asked, "limit": "1000"}))
        for row in cast("list[dict[str, object]]", rows):
            event = {"e": "aggTrade", "E": high_ms, "s": text, **row}
            yield self._sent(topic, event, str(row["a"]))

    def _bars(self, topic: str, text: str, low_ms: int, high_ms: int) -> Iterator[Sent]:
        if low_ms // BAR_EVERY_MS == high_ms // BAR_EVERY_MS:
            return
        body, _ = self._rest.klines(Query({"symbol": text, "interval": "1h", "limit": "2"}))
        rows = orjson.loads(body)[::-1]
        for row in _running_and_just_closed(rows, lambda r: int(r[0]), low_ms, high_ms):
            bar = dict(zip("tohlcvTqnVQB", row, strict=True))
            has_closed = int(row[0]) + HOUR_MS <= high_ms
            bar |= {"s": text, "i": "1h", "f": 0, "L": 0, "x": has_closed}
            keys = (f"{topic}|{row[0]}",) if has_closed else ()
            yield self._sent(topic, {"e": "kline", "E": high_ms, "s": text, "k": bar}, *keys)


def _running_and_just_closed(
    rows: list[Row], opened: Callable[[Row], int], low_ms: int, high_ms: int
) -> Iterator[Row]:
    """Of the newest two bars, newest first: one that closed in ``(low, high]``, and the running one."""
    for row in reversed(rows):
        end = opened(row) + HOUR_MS
        if end > high_ms or end > low_ms:
            yield row


STREAMS: Mapping[str, Callable[[World], StreamDesk]] = MappingProxyType(
    {
        "bybit/v5/public/linear": lambda world: Bybit(world, "perp"),
        "bybit/v5/public/spot": lambda world: Bybit(world, "spot"),
        "okx/ws/v5/public": lambda world: Okx(world, business=False),
        "okx/ws/v5/business": lambda world: Okx(world, business=True),
        "binance/stream": lambda world: Binance(world, SPOT),
        "binance_futures/market/stream": lambda world: Binance(world, FUTURES),
        "binance_futures/public/stream": lambda world: Binance(world, FUTURES),
    }
)
"""Paths below ``/ws/`` and who answers there."""
