"""Connections to the simulated venues without sockets, by a clock that is set: hours in seconds.

What is real: the venues' words and faults (the simulator), sessions, watches, spool, storing, judging hours.
What is left out: the network, threads, waiting. So nothing depends on how busy the machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson

from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.recent import RECENT, missed
from regime_pipeline.collect.session import Session
from regime_pipeline.collect.spool import Spool
from regime_pipeline.collect.store import instant_ns
from regime_pipeline.collect.watch import Watch
from regime_pipeline.simulator.bybit import Desk as BybitRest
from regime_pipeline.simulator.context import Query, World
from regime_pipeline.simulator.stream_desks import STREAMS
from regime_pipeline.simulator.streams import Connection, StreamState
from regime_pipeline.simulator.tape import Tape


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

    async def newest_trade_ns(self, line: Line, topic: str) -> int | None:
        rules, subscription = RECENT[line.source.name], line.subscriptions[topic]
        market = subscription.channel.feeds[0].market
        rows = rules.rows(self._get(rules.about(subscription.symbols[0].name, market)))
        return rules.at_ms(rows[-1]) * 1_000_000 if rows else None

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
