"""One WebSocket connection: opened, subscribed, read, pinged, renewed, opened again.

Belongs here: everything that knows the WebSocket library. Does not belong here: what messages mean
(``plan.Dialect``), the disk (``spool``), what silence means (``watch``).

The reader only receives, stamps and hands over: while it waits for anything else the library answers no
ping, and the venue ends the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from regime_pipeline.collect.plan import Kind, Line
from regime_pipeline.collect.present import Present
from regime_pipeline.collect.watch import (
    HOUR_NS,
    Doubts,
    Newest,
    S,
    Watch,
    dead,
    over_the_hour,
    silent,
)
from regime_pipeline.providers.errors import ProviderError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from regime_pipeline.collect.spool import Spool

LONGEST_MESSAGE = 16 * 2**20
REQUEST_EVERY_S = 0.25
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
STEADY_AFTER_S = 60.0
OVERLAP_S = 30.0
LOOK_EVERY_S = 1.0
PONG_WITHIN_S = 30.0

FILLED_WITHIN_NS = 20 * S
"""An hour is summed so long after its end: what is asked for later is none of its."""


class Socket(Protocol):
    """What is needed of an open connection beside receiving."""

    async def send(self, message: str) -> None:
        """Sends a text."""
        ...

    async def close(self) -> None:
        """Ends the connection."""
        ...


class Questions(Protocol):
    """What a venue is asked over HTTP about a topic; a ProviderError where it does not answer."""

    async def book(self, line: Line, topic: str) -> Any:
        """The whole book, decoded."""
        ...

    async def newest_trade(self, line: Line, topic: str, heard: bytes) -> Newest | None:
        """The newest trade of the instrument, beside the last message; None: the venue knows of none."""
        ...

    async def trades_since(self, line: Line, topic: str, known: bytes) -> list[bytes] | None:
        """Messages of all trades after those of a message; None: the venue does not tell all of them."""
        ...


log = logging.getLogger(__name__)


class Session:
    """Keeps one connection open until it is cancelled.

    Args:
        line: the connection.
        watch: is told what is heard.
        spool: is given every data message that is kept.
        clock_ns: stamps messages.
        present: is given messages of books and marks; None: nobody keeps them.
        questions: asks the venue; None: nobody does.
        known: when the last trades before this one were received, and their messages, by topic.

    Attributes:
        refused: subscriptions that the venue refused, and its words.
        is_worn: a topic died, so that another connection is to take this one's place.
    """

    def __init__(
        self,
        line: Line,
        watch: Watch,
        spool: Spool,
        clock_ns: Callable[[], int] = time.time_ns,
        *,
        present: Present | None = None,
        questions: Questions | None = None,
        known: Mapping[str, tuple[int, bytes]] | None = None,
    ) -> None:
        self._line, self._watch, self._spool, self._now = line, watch, spool, clock_ns
        self._name = line.name
        self._essential = {t for t, s in line.subscriptions.items() if s.channel.is_essential}
        self._present = Present(line) if present is None else present
        self._questions = questions
        self._last = dict(known or {})
        self._asking: set[asyncio.Task[None]] = set()
        self._dialect = line.connection.dialect
        self._requests: dict[str, tuple[str, ...]] = {}
        self._number = 0
        self._is_heard = False
        self._doubts = Doubts()
        self.is_worn = asyncio.Event()
        self._why = self._doomed = ""
        self.refused: dict[str, str] = {}

    async def run(self) -> None:
        """Opens the connection again whenever it ends, ever more slowly while it does not hold."""
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._once()
                reason = self._why or "the venue closed the connection"
            except (OSError, WebSocketException, TimeoutError) as error:
                reason = self._why or f"{type(error).__name__}: {error}"[:120]
            self._watch.closed(reason)
            log.warning("%s: %s", self._line.name, reason)
            held = asyncio.get_running_loop().time() - began > STEADY_AFTER_S
            failures = 0 if held else failures + 1
            wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures, 8))
            await asyncio.sleep(wait * (0.5 + random.random() / 2))  # noqa: S311 - no secret

    async def _once(self) -> None:
        self._why = self._doomed = ""
        self._present.opened(self._now())
        current = await self._open()
        reading = asyncio.create_task(self._read(current))
        worn = asyncio.create_task(self.is_worn.wait())
        try:
            while True:
                await asyncio.wait(
                    {reading, worn}, timeout=self._life_s(), return_when=asyncio.FIRST_COMPLETED
                )
                if reading.done():
                    reading.result()
                    return
                if worn.done():
                    self.is_worn.clear()
                    worn = asyncio.create_task(self.is_worn.wait())
                current, reading = await self._renewed(current, reading)
        finally:
            worn.cancel()
            self._present.end("the connection ended")
            for task in self._asking:
                task.cancel()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, WebSocketException):
                await reading
            await current.close()

    def _life_s(self) -> float | None:
        """How long a connection is kept; the twins of a group are renewed at other times."""
        life = self._dialect.renew_after_s
        if life is None:
            return None
        first = self._line.connection.name.endswith("-a")
        return (
            life
            * (0.5 if first and self._watch.line.connection.group else 1.0)
            * (
                0.98 + 0.02 * random.random()  # noqa: S311 - no secret
            )
        )

    async def _renewed(
        self, old: ClientConnection, reading: asyncio.Task[None]
    ) -> tuple[ClientConnection, asyncio.Task[None]]:
        """The connection's successor, which hears before the old one ends.

        One whose events are told apart by their number is not doubled: its twin hears meanwhile.
        """
        if self._line.connection.group:
            self._why = "renewed"
            await old.close()
            await asyncio.wait({reading})
            return old, reading
        try:
            new = await self._open()
        except (OSError, WebSocketException, TimeoutError) as error:
            log.warning("%s: no successor: %s", self._line.name, error)
            asyncio.get_running_loop().call_later(LONGEST_WAIT_S, self.is_worn.set)
            return old, reading
        successor = asyncio.create_task(self._read(new))
        await asyncio.wait({successor}, timeout=OVERLAP_S)
        reading.cancel()
        await old.close()
        return new, successor

    async def _open(self) -> ClientConnection:
        return await connect(
            self._line.url,
            compression=None,
            max_size=LONGEST_MESSAGE,
            max_queue=1024,
            ping_interval=None,
            open_timeout=15,
            close_timeout=2,
        )

    async def _read(self, socket: ClientConnection) -> None:
        self._watch.opened(self._now())
        self._is_heard = True
        asking = asyncio.create_task(self.subscribe(socket, list(self._line.subscriptions)))
        keeping = asyncio.create_task(self._keep(socket))
        take, clock = self.take, self._now
        try:
            while True:
                take(await socket.recv(decode=False), clock())
        except ConnectionClosed:
            return
        finally:
            asking.cancel()
            keeping.cancel()

    def take(self, body: bytes, now: int) -> None:
        """Deals with a message that was received at an instant, ns."""
        topic = self._heard(body, now)
        if topic is None:
            return
        spool, watch = self._spool, self._watch
        if (spool.is_short and topic not in self._essential) or not spool.put(
            self._name, now, body
        ):
            watch.left_out(topic, now)
            return
        if watch.data(topic, now):
            self._begun(topic, now)
        self._last[topic] = (now, body)

    def _heard(self, body: bytes, now: int) -> str | None:
        """The topic of a data message; everything else is dealt with here."""
        self._is_heard = True
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError:
            if body not in (b"pong", b"ping"):
                return ""  # kept with the others: decoding will refuse it, with its bytes
            self._watch.alive(now)
            return None
        said = self._dialect.heard(message)
        if said.kind is Kind.DATA:
            if said.topic in self._present.topics:
                self._settle(said.topic, self._present.take(said.topic, message), now)
                return None
            return said.topic
        self._watch.alive(now)
        if said.kind is Kind.ACCEPTED:
            topics = self._requests.pop(said.detail, None)
            named = topics if topics is not None else (said.topic,)
            self._watch.accepted([t for t in named if t in self._watch.topics], now)
        elif said.kind is Kind.REFUSED:
            self.refused[said.topic or said.detail] = said.detail
            log.error("%s: a subscription was refused: %s", self._line.name, said.detail)
        return None

    def _settle(self, topic: str, is_sound: bool, now: int) -> None:
        """Tells the watch whether a topic's books or marks are heard."""
        watch = self._watch
        known = watch.topics[topic]
        if is_sound:
            if (
                not known.is_accepted
            ):  # nothing is acknowledged where a book was asked for over HTTP
                watch.accepted([topic], now)
            watch.data(topic, now)
        elif known.span is not None:
            book = self._present.books.get(topic)
            watch.lost(topic, "unreadable" if book is None else f"resync: {book.reason}"[:200])

    async def _mend(self, socket: Socket) -> None:
        """Asks anew for books that miss a change."""
        for topic in self._present.waiting(self._now()):
            if not self._present.books[topic].rules.is_asked_for:
                self._number += 1
                await socket.send(self._dialect.unsubscribe([topic], self._number))
                await self.subscribe(socket, [topic])
            elif self._questions is not None:
                self._beside(self._fill(topic, self._questions))

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Asks while messages go on coming."""
        task = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _fill(self, topic: str, questions: Questions) -> None:
        try:
            body = await questions.book(self._line, topic)
        except ProviderError as error:
            log.warning("%s: no book of %s: %s", self._line.name, topic, error)
            return
        self._settle(topic, self._present.take_whole(topic, body), self._now())

    def _begun(self, topic: str, now: int) -> None:
        """The first message of a stretch came: trades since the one before it are asked for."""
        subscription, known = self._line.subscriptions.get(topic), self._last.get(topic)
        if (
            self._questions is not None
            and known is not None
            and subscription is not None
            and subscription.channel.has_trades
            and now - known[0] <= HOUR_NS  # a longer one is left to the hourly tick
        ):
            self._beside(self._refill(topic, known, now, self._questions))

    async def _refill(
        self, topic: str, known: tuple[int, bytes], until: int, questions: Questions
    ) -> None:
        """Keeps the trades of a gap as the stream would have told them; the gap counts as covered then."""
        try:
            bodies = await questions.trades_since(self._line, topic, known[1])
        except ProviderError as error:
            log.warning("%s: trades of a gap of %s: %s", self._line.name, topic, error)
            return
        if bodies is None or self._spool.is_short:
            log.info(
                "%s: the venue tells no longer all trades of a gap of %s", self._line.name, topic
            )
            return
        now = self._now()
        if all([self._spool.put(self._line.name, now, body) for body in bodies]):
            hour = (now - FILLED_WITHIN_NS) // HOUR_NS * HOUR_NS
            start = max(known[0], hour)
            if start < until:
                self._watch.backfilled(topic, start, until, len(bodies))

    async def _doubt(self, topic: str, questions: Questions) -> None:
        """Asks whether the venue has had a trade since a quiet topic was heard."""
        asked, (_, heard) = self._now(), self._last.get(topic, (0, b""))
        try:
            newest = await questions.newest_trade(self._line, topic, heard)
        except ProviderError as error:
            log.info("%s: the newest trade of %s: %s", self._line.name, topic, error)
            return
        if newest is not None:
            self._doubts.told(topic, self._watch.topics[topic], newest, asked, self._now())

    async def subscribe(self, socket: Socket, topics: list[str]) -> None:
        """Asks for some topics, a few at a time."""
        most = self._dialect.topics_per_request
        for i in range(0, len(topics), most):
            with contextlib.suppress(ConnectionClosed):
                await socket.send(self.request(topics[i : i + most]))
            await asyncio.sleep(REQUEST_EVERY_S)

    def request(self, topics: list[str]) -> str:
        """The request for some topics, whose acknowledgement is known by its number."""
        self._number += 1
        self._requests[str(self._number)] = tuple(topics)
        return self._dialect.subscribe(topics, self._number)

    async def _keep(self, socket: ClientConnection) -> None:
        """Pings, and looks for topics that died alone."""
        every = self._dialect.ping_every_s
        loop = asyncio.get_running_loop()
        next_ping, heard_at = 0.0, loop.time()
        with contextlib.suppress(ConnectionClosed):
            while True:
                if loop.time() >= next_ping:
                    next_ping = loop.time() + every
                    await self._ping(socket)
                await asyncio.sleep(min(LOOK_EVERY_S, every))
                if self._is_heard:
                    self._is_heard, heard_at = False, loop.time()
                if loop.time() - heard_at > PONG_WITHIN_S + every:
                    self._why = "no answer to a ping"
                    await socket.close()
                    return
                await self.look(socket)

    async def _ping(self, socket: ClientConnection) -> None:
        text = self._dialect.ping()
        if text:
            await socket.send(text)
            return
        pong = asyncio.ensure_future(await socket.ping())
        pong.add_done_callback(self._ponged)

    def _ponged(self, pong: asyncio.Future[float]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._is_heard = True
            self._watch.alive(self._now())

    async def look(self, socket: Socket) -> None:
        """Looks once a second for topics that died alone, and for books to be asked for."""
        if self._doomed:
            self._why = self._doomed
            await socket.close()
            return
        await self._mend(socket)
        now = self._now()
        gone = {topic: "silent for too long" for topic in dead(self._watch, now)}
        gone |= dict.fromkeys(self._doubts.dead(self._watch, now), "silent while there were trades")
        if gone:
            for topic, why in gone.items():
                self._watch.deaths += 1
                self._watch.lost(topic, why)
            self._why = f"{len(gone)} subscriptions died, {next(iter(gone))} first"
            log.warning("%s: %s", self._line.name, self._why)
            if self._present.topics:  # changes of a book that two connections tell follow nothing
                await socket.close()
            else:
                self.is_worn.set()
            return
        if self._questions is not None:
            quiet = {*silent(self._watch, now), *over_the_hour(self._watch, now)}
            for topic in self._doubts.to_ask(sorted(quiet), now):
                self._beside(self._doubt(topic, self._questions))

    def end(self, reason: str) -> None:
        """Nothing is expected of the connection any more: the next look closes it."""
        self._doomed = reason
