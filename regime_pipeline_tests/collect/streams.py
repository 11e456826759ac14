"""Segments and spans as a collector would have left them, without sockets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import orjson

from regime_pipeline.collect.plan import Line, lines_of
from regime_pipeline.collect.segments import SegmentWriter
from regime_pipeline.collect.store import Storer, instant_ns
from regime_pipeline.collect.venues import CONNECTIONS
from regime_pipeline.collect.watch import Watch
from regime_pipeline.settings import Settings
from regime_pipeline.storage.warehouse import Warehouse

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def settings_in(home: Path, **given: object) -> Settings:
    return Settings(**{"home": home, "symbols": SYMBOLS, "_env_file": None, **given})  # type: ignore[arg-type]


def lines(settings: Settings, source: str, named: str = "") -> list[Line]:
    found = lines_of(CONNECTIONS, settings, settings.symbols, [source])
    return [line for line in found if line.connection.name.startswith(named)]


def storer(warehouse: Warehouse, settings: Settings, some: Sequence[Line]) -> Storer:
    return Storer(warehouse, settings, some, settings.home / "collect")


def write(
    home: Path,
    line: Line,
    messages: Iterable[tuple[datetime, Mapping[str, object]]],
    clock_offset_ns: int | None = None,
) -> None:
    """One segment (or several, as time has it) with some messages."""
    writer = SegmentWriter(home / "collect", *line.name.split("/"))
    writer.clock_offset_ns = clock_offset_ns
    writer.append([(instant_ns(at), orjson.dumps(m)) for at, m in messages])
    writer.close()


def heard(line: Line, start: datetime, end: datetime) -> Watch:
    """A connection all of whose topics were heard from an instant to another one."""
    watch = Watch(line)
    watch.opened(instant_ns(start))
    watch.accepted(list(line.subscriptions), instant_ns(start))
    for topic in line.subscriptions:
        watch.data(topic, instant_ns(start))
        watch.data(topic, instant_ns(end))
    watch.alive(instant_ns(end))
    watch.closed("ended")
    return watch


def closure(at: datetime, symbol: str, side: str, size: float, price: float) -> dict[str, object]:
    """A message of Bybit's stream of forced closures."""
    ms = round(at.timestamp() * 1000)
    row = {"T": ms, "s": symbol, "S": side, "v": str(size), "p": str(price)}
    return {"topic": f"allLiquidation.{symbol}", "type": "snapshot", "ts": ms, "data": [row]}


def trade(at: datetime, symbol: str, size: float, price: float, number: int) -> dict[str, object]:
    """A message of Bybit's stream of trades."""
    ms = round(at.timestamp() * 1000)
    row = {
        "T": ms, "s": symbol, "S": "Buy" if number % 2 else "Sell", "v": str(size), "p": str(price),
        "i": f"id-{number}", "BT": False,
    }  # fmt: skip
    return {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": ms, "data": [row]}


def bar(hour: datetime, symbol: str, volume: float, *, confirm: bool = True) -> dict[str, object]:
    """A message of Bybit's stream of hourly bars."""
    start = round(hour.timestamp() * 1000)
    row = {
        "start": start, "end": start + 3_599_999, "interval": "60", "open": "100", "close": "101",
        "high": "102", "low": "99", "volume": str(volume), "turnover": str(volume * 100),
        "confirm": confirm, "timestamp": start + 3_600_000,
    }  # fmt: skip
    return {
        "topic": f"kline.60.{symbol}", "type": "snapshot", "ts": start + 3_600_000, "data": [row]
    }  # fmt: skip


def whole_book(at: datetime, symbol: str, *, bid: float, ask: float) -> dict[str, object]:
    """A message of Bybit's stream of books: two levels a side, a cent apart, of one coin and of two."""
    ms = round(at.timestamp() * 1000)
    sides = {
        name: [[f"{best:.2f}", "1"], [f"{best + step:.2f}", "2"]]
        for name, best, step in (("b", bid, -0.01), ("a", ask, 0.01))
    }
    return {
        "topic": f"orderbook.200.{symbol}", "type": "snapshot", "ts": ms, "cts": ms,
        "data": {"s": symbol, **sides, "u": 1, "seq": 1},
    }  # fmt: skip
