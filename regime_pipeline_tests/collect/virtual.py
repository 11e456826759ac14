"""Connections to the simulated venues without sockets, by a clock that is set: hours in seconds.

What is real: the venues' words and faults (the simulator), sessions, watches, spool, storing, judging hours.
What is left out: the network, threads, waiting. So nothing depends on how busy the machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from regime_pipeline.collect.archive import last_trades
from regime_pipeline.collect.collector import Collector
from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.recent import RECENT, missed
from regime_pipeline.collect.session import Session
from regime_pipeline.collect.spool import Spool
from regime_pipeline.collect.store import instant_ns
from regime_pipeline.collect.watch import Newest, Watch
from regime_pipeline.simulator.bybit import Desk as BybitRest
from regime_pipeline.simulator.context import Query, World
from regime_pipeline.simulator.stream_desks import STREAMS
from regime_pipeline.simulator.streams import Connection, StreamState
from regime_pipeline.simulator.tape import SyntheticTape, Tape
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import utc
from regime_pipeline_tests.collect.streams import SYMBOLS, lines, settings_in

START = utc("2024-06-20T00:00:00")
STEP = timedelta(seconds=20)
TURN = timedelta(minutes=1)


class SetClock:
    """A clock that shows what it is set to."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def now_ns(self) -> int:
        return instant_ns(self.at)


class Wire:
    """Both ends of one connection."""

    def __init__(self, venue: Venue, line: Line) -> None:
        path = f"/ws/{line.source.name}{line.connection.path}"
        self.url = SimpleNamespace(path=path)
        self.is_open = True
        self.inbox: list[bytes] = []
        desk = STREAMS[path.removeprefix("/ws/")](venue.world)
        self.far: Any = Connection(self, desk, venue.state, venue.world.now_ms)  # type: ignore[arg-type]

    async def send(self, message: str) -> None:
        await self.far.hear(message)

    async def send_text(self, text: str) -> None:
        if self.is_open:
            self.inbox.append(text.encode())

    async def close(self, _code: int = 1000) -> None:
        self.is_open = False


@dataclass
class Venue:
    """The simulated venues at the clock's time; answers what a session asks over HTTP (Bybit alone)."""

    tape: Tape
    clock: SetClock
    state: StreamState = field(default_factory=StreamState)
    asked: int = 0

    def __post_init__(self) -> None:
        self.world = World(self.tape, self.clock)
        self._bybit = BybitRest(self.world)

    def _get(self, asked: Mapping[str, str]) -> Any:
        self.asked += 1
        return {"result": self._bybit.recent_trades(Query(asked))}

    async def book(self, line: Line, topic: str) -> Any:
        raise AssertionError(f"no book is asked for here: {line.name} {topic}")

    async def newest_trade(self, line: Line, topic: str, heard: bytes) -> Newest | None:
        rules, subscription = RECENT[line.source.name], line.subscriptions[topic]
        market = subscription.channel.feeds[0].market
        rows = rules.rows(self._get(rules.about(subscription.symbols[0].name, market)))
        if not rows:
            return None
        known = (
            rules.heard(orjson.loads(heard)) if subscription.channel.has_trades and heard else None
        )
        return Newest(rules.at_ms(rows[-1]) * 1_000_000, rules.identity(rows[-1]) == known)

    async def trades_since(self, line: Line, topic: str, known: bytes) -> list[bytes] | None:
        rules, subscription = RECENT[line.source.name], line.subscriptions[topic]
        market = subscription.channel.feeds[0].market
        found = rules.heard(orjson.loads(known))
        rows = missed(rules, self._get, subscription.symbols[0].name, market, found)
        if rows is None:
            return None
        return [orjson.dumps(message) for message in rules.messages(topic, rows)]


class Link:
    """One connection of a collector, opened again as it ends."""

    def __init__(self, venue: Venue, line: Line, spool: Spool, **known: Any) -> None:
        self.venue, self.line, self.watch = venue, line, Watch(line)
        self.session = Session(
            line, self.watch, spool, venue.clock.now_ns, questions=venue, **known
        )
        self.wire: Wire | None = None
        self.opened = 0

    async def open(self) -> None:
        self.wire = Wire(self.venue, self.line)
        self.opened += 1
        self.watch.opened(self.venue.clock.now_ns())
        await self.subscribe(self.wire)

    async def subscribe(self, wire: Wire) -> None:
        most = self.line.connection.dialect.topics_per_request
        topics = list(self.line.subscriptions)
        for i in range(0, len(topics), most):
            await wire.send(self.session.request(topics[i : i + most]))

    def close(self, reason: str) -> None:
        if self.wire is not None:
            self.watch.closed(reason)
        self.wire = None

    async def tell(self) -> None:
        """The venue sends, the session takes."""
        if self.wire is None:
            return
        await self.wire.far.tell()
        for body in self.wire.inbox:
            self.session.take(body, self.venue.clock.now_ns())
        self.wire.inbox.clear()

    async def look(self) -> None:
        """What is done once a second; a connection that ended or is worn has a successor at once."""
        if self.wire is None:
            return
        if not self.wire.is_open:
            self.close("the venue closed the connection")
            await self.open()
            return
        ping = self.line.connection.dialect.ping()
        if ping:
            await self.wire.send(ping)
        await self.session.look(self.wire)
        if self.session.is_worn.is_set():
            self.session.is_worn.clear()
            old = self.wire
            await self.open()
            old.is_open = False


async def pass_time(
    venue: Venue,
    links: Sequence[Link],
    until: datetime,
    step: timedelta,
    is_done: Callable[[], bool] = lambda: False,
) -> None:
    """Steps the clock; after each step everybody has said, heard and asked what there was."""
    while venue.clock.at < until and not is_done():
        venue.clock.at += step
        for link in links:
            await link.tell()
            await link.look()
        await asyncio.sleep(0)  # questions are answered


class Day:
    """A collector of Bybit's perpetuals over some hours, by a clock that is set.

    Args:
        database: where it stores.
        home: where its segments lie.
        symbols: that are collected.
        named: beginnings of the names of the connections that it keeps.
        before: how far back the venue's market goes before the collector's first day.
    """

    def __init__(
        self,
        database: Database,
        home: Path,
        symbols: Sequence[str] = SYMBOLS,
        named: Sequence[str] = ("perp", "liquidations"),
        before: timedelta | None = None,
    ) -> None:
        self.clock = SetClock(START - timedelta(minutes=10))
        self.warehouse = Warehouse(database, self.clock)
        self.symbols = tuple(symbols)
        since = {} if before is None else {"start": START - before}
        end = START + timedelta(days=3)
        self.tape = SyntheticTape(seed=7, symbols=self.symbols, end=end, **since)
        self.venue = Venue(self.tape, self.clock)
        self.settings = settings_in(
            home, symbols=self.symbols, sources="bybit", collect_venues="bybit", collect="on"
        )
        self.lines: list[Line] = [
            line for name in named for line in lines(self.settings, "bybit", name)
        ]
        self.folder = home / "collect"
        self.turns = 0

    def begin(self) -> None:
        """A collector's process starts."""
        self.collector = Collector(
            self.warehouse, self.settings, symbols=self.symbols, venues=["bybit"], lines=self.lines
        )
        self.spool = Spool(self.folder, [line.name for line in self.lines])
        self.links = [
            Link(self.venue, line, self.spool, known=last_trades(self.folder, line))
            for line in self.lines
        ]
        self.collector.watches = {link.line.name: link.watch for link in self.links}

    async def run(self, until: datetime) -> None:
        """Time passes; once a minute what was received is stored."""
        for link in self.links:
            if link.wire is None:
                await link.open()
        while self.clock.at < until:
            await pass_time(self.venue, self.links, self.clock.at + TURN, STEP)
            self.turn()

    def turn(self) -> None:
        """One turn of the storer's thread that notes spans, too; every tenth keeps bytes for good."""
        self.turns += 1
        self.collector.turn(self.spool, 30 if self.turns % 10 == 0 else 5)

    async def kill(self) -> None:
        """The process ends without a word: what came in the last minute is in memory alone, and is gone."""
        await pass_time(self.venue, self.links, self.clock.at + TURN, STEP)
        for line in self.lines:
            self.spool._waiting[line.name].clear()
            self.spool.cut(line.name)

    def end(self) -> None:
        for link in self.links:
            link.close("the collector ended")
        self.turn()
        for line in self.lines:
            self.spool.cut(line.name)
