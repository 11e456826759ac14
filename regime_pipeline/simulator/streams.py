"""The venues' WebSocket streams: subscriptions, pings, data as it happens, and scripted faults.

Belongs here: what every venue's streams have in common, faults by topic, the list of what was sent. Does
not belong here: the venues' words (``stream_desks``), values (the tape).

``POST /_control/ws_faults`` scripts faults: ``{"path", "topic", "kind", "after", "every", "count"}``,
where path and topic are the beginnings of those that it is about. ``GET /_control/ws_sent`` lists the key
of everything that was sent as data.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from regime_pipeline.simulator.context import World, reply

TICK_S = 0.05
KINDS = (
    "mute", "ack_mute", "gap", "late", "duplicate", "reorder", "disconnect", "slow", "burst",
    "no_pong", "bad_json", "huge_frame", "reset_seq", "stale_snapshot", "skew",
)  # fmt: skip
OF_BOOKS = ("orderbook.", "books:")
"""Beginnings of the topics that ``reset_seq`` and ``stale_snapshot`` are about."""
BURST = 50_000
HUGE_BYTES = 17 * 2**20
LATE_S = 3.0
SLOW_S = 0.5
SKEW_MS = 5_000
"""What is told bears times so long ago, as of a venue whose clock is behind ours."""
LOOPBACK = ("127.0.0.1", "::1", "testclient")


@dataclass
class StreamFault:
    """One scripted fault.

    Attributes:
        path: beginning of the paths that it is about.
        topic: beginning of the topics; empty: all.
        kind: one of :data:`KINDS`.
        after: messages of the topics that pass before it begins.
        every: then each so many-th message; 1: each.
        count: how often; None: for ever.
    """

    path: str
    kind: str
    topic: str = ""
    after: int = 0
    every: int = 1
    count: int | None = None
    _seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Refuses what is no fault.

        Raises:
            ValueError: an unknown kind, or one that has no effect on the topic.
        """
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; there are {', '.join(KINDS)}")
        if self.kind in ("reset_seq", "stale_snapshot") and not self.topic.startswith(OF_BOOKS):
            raise ValueError(
                f"{self.kind} is about books that a stream tells from a snapshot on: a topic that begins "
                f"with {' or '.join(OF_BOOKS)}; Binance's numbers only grow, and its snapshot is asked "
                "for at a path, where /_control/faults has `stale`"
            )

    def takes(self) -> bool:
        """Counts a message; whether it meets the fault."""
        self._seen += 1
        if self._seen <= self.after or (self._seen - self.after - 1) % max(1, self.every):
            return False
        if self.count is None:
            return True
        self.count -= 1
        return self.count >= 0

    def is_about(self, path: str, topic: str) -> bool:
        """Whether it is about a topic."""
        return path.startswith(self.path) and topic.startswith(self.topic)


@dataclass(frozen=True, slots=True)
class Sent:
    """A data message: its topic, its bytes, and the keys of the rows in it.

    ``stale``: of a whole book, the same under an older number.
    """

    topic: str
    body: bytes
    keys: tuple[str, ...] = ()
    stale: bytes | None = None


class StreamDesk(Protocol):
    """One venue's words."""

    def answer(self, text: str, topics: dict[str, int]) -> list[str]:
        """Replies to a request; topics that it subscribes are added with the present time."""
        ...

    def since(self, topic: str, low_ms: int, high_ms: int) -> Iterable[Sent]:
        """What happened in ``(low, high]``."""
        ...

    def restart(self, topic: str) -> None:
        """The numbers of a book's topic begin anew with its next message."""
        ...


@dataclass
class StreamState:
    """Faults and what was sent, of all connections."""

    faults: list[StreamFault] = field(default_factory=list)
    sent: list[dict[str, object]] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    opened: int = 0


class Connection:
    """One client's connection; a socket is anything that takes texts at a path."""

    def __init__(
        self, socket: WebSocket, desk: StreamDesk, state: StreamState, now: Callable[[], int]
    ) -> None:
        self._socket, self._desk, self._state, self._now = socket, desk, state, now
        self._topics: dict[str, int] = {}
        self._held: list[Sent] = []
        state.opened += 1
        self._number = state.opened

    async def serve(self) -> None:
        """Until the client leaves, or a fault ends it."""
        await self._socket.accept()
        self._state.open.add(self._number)
        telling = asyncio.create_task(self._tell_on())
        try:
            while True:
                text = await self._socket.receive_text()
                await self.hear(text)
        except WebSocketDisconnect:
            return
        finally:
            self._state.open.discard(self._number)
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError, RuntimeError, WebSocketDisconnect):
                await telling

    async def _tell_on(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self.tell()

    async def hear(self, text: str) -> None:
        """Answers what the client sends."""
        if self._fault("no_pong", "") and "ping" in text:
            return
        for answer in self._desk.answer(text, self._topics):
            await self._socket.send_text(answer)

    async def tell(self) -> None:
        """Sends what happened since the last time."""
        now = self._now()
        for topic, last in list(self._topics.items()):
            until = now - SKEW_MS if self._fault("skew", topic) else now
            if until <= last:
                continue
            self._topics[topic] = until
            for message in self._desk.since(topic, last, until):
                await self._send(message)

    def _fault(self, kind: str, topic: str) -> bool:
        path = self._socket.url.path
        return any(
            f.takes() for f in self._state.faults if f.kind == kind and f.is_about(path, topic)
        )

    async def _send(self, message: Sent) -> None:
        topic = message.topic
        if (
            self._fault("mute", topic)
            or self._fault("ack_mute", topic)
            or self._fault("gap", topic)
        ):
            return
        if self._fault("disconnect", topic):
            await self._socket.close(1011)
            return
        for kind, seconds in (("slow", SLOW_S), ("late", LATE_S)):
            if self._fault(kind, topic):
                await asyncio.sleep(seconds)
        if self._fault("bad_json", topic):
            await self._socket.send_text('{"topic": ')
        if self._fault("huge_frame", topic):
            await self._socket.send_text("x" * HUGE_BYTES)
            return
        message = self._of_a_bad_book(message)
        if self._fault("reorder", topic):
            self._held.append(message)
            return
        await self._put(message)
        if self._fault("duplicate", topic):
            await self._put(message)
        if self._fault("burst", topic):
            for _ in range(BURST):
                await self._put(message)
        held, self._held = self._held, []
        for one in held:
            await self._put(one)

    def _of_a_bad_book(self, message: Sent) -> Sent:
        if self._fault("reset_seq", message.topic):
            self._desk.restart(message.topic)
        if message.stale is not None and self._fault("stale_snapshot", message.topic):
            return Sent(message.topic, message.stale, message.keys)
        return message

    async def _put(self, message: Sent) -> None:
        await self._socket.send_text(message.body.decode())
        for key in message.keys:
            self._state.sent.append(
                {"connection": self._number, "topic": message.topic, "key": key}
            )


def endpoint(world: World, desk: StreamDesk) -> Callable[[WebSocket], Any]:
    """What serves a venue's connections."""

    async def serve(socket: WebSocket) -> None:
        await Connection(socket, desk, socket.app.state.streams, world.now_ms).serve()

    return serve


async def faults(request: Request) -> Response:
    """Lists, adds or clears faults of streams."""
    if request.client is None or request.client.host not in LOOPBACK:
        return PlainTextResponse("only from this machine", 403)
    state: StreamState = request.app.state.streams
    if request.method == "DELETE":
        state.faults.clear()
    elif request.method == "POST":
        try:
            state.faults.append(StreamFault(**orjson.loads(await request.body())))
        except (ValueError, TypeError) as error:
            return PlainTextResponse(f"not a fault: {error}", 400)
    told = [{n: getattr(f, n) for n in ("path", "topic", "kind", "count")} for f in state.faults]
    return reply(told)


async def sent(request: Request) -> Response:
    """Every key that was sent as data."""
    if request.client is None or request.client.host not in LOOPBACK:
        return PlainTextResponse("only from this machine", 403)
    return reply(request.app.state.streams.sent)
