"""What changed, heard from the database as it is committed, and told to those who listen.

Belongs here: one connection a process that listens for changed tables, the versions of the marts, the
stream of each listener. Does not belong here: rows (a notice names what to ask for again).

A notice is a hint, since any role may send one: after it the versions are read, and only those that went
up count. While no connection can listen they are read every :data:`DEAF_LOOK_S` instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from regime_pipeline.api import query
from regime_pipeline.api.cache import Stamp
from regime_pipeline.api.formats import json_bytes
from regime_pipeline.api.problems import Problem
from regime_pipeline.api.query import connection_of
from regime_pipeline.catalogue.marts import MARTS

CHANNEL = "regime_tables"
PRICES_CHANNEL = "regime_live"
"""The live collector tells here that it has shown prices."""
SETTLE_S = 0.25
"""A run commits many tables one after the other; what comes within this time is told as one notice."""
LOOK_S = 30.0
"""How often versions are read although no notice came: one may have been lost."""
DEAF_LOOK_S = 5.0
KEPT_S = 60.0
"""An answer is given again for so long while its mart stays as it is; ``age_s`` in it goes on."""
UNVERSIONED_S = 2.0
"""The same where no version is kept, or none is known."""
QUEUE = 16
MOST_STREAMS = 500
MOST_OF_A_TOKEN = 10
MOST_EVENTS = 50
"""More new ones than that are told as one notice, to ask for all of them."""

_LOG = logging.getLogger("regime_pipeline.api")
_VERSIONS = "select mart, version, newest_ts from reporting.versions"
_EVENTS_AFTER = (
    "select event_id, event_type, instrument, alert_severity, title, known_at, stored_order "
    "from reporting.market_events where stored_order > %s order by stored_order limit %s"
)
_NEWEST_EVENT = (
    "select stored_order from reporting.market_events where stored_order is not null "
    "order by stored_order desc limit 1"
)
_TOLD = ("event_id", "event_type", "instrument", "severity", "title", "known_at")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far somebody has heard: up to this event, in the order in which events could be read.

    The database gives the numbers so that no event becomes visible after one with a higher number, when
    its transaction ended late or its times are old. As the id of a notice it outlives the connection, the
    worker and the server: what followed is read from the database.
    """

    stored_order: int

    def __str__(self) -> str:
        return str(self.stored_order)


BEGINNING = Position(0)
_LARGEST = 2**63 - 1
"""Of PostgreSQL's whole numbers."""


def position_in(text: str) -> Position | None:
    """The position that a header ``Last-Event-ID`` names; None where it is none of ours."""
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)):
        return None
    number = int(text)
    return Position(number) if number <= _LARGEST else None


@dataclass(frozen=True, slots=True)
class Notice:
    """One server-sent event.

    Attributes:
        name: its type.
        content: its data.
        position: how far who has read it has heard.
    """

    name: str
    content: dict[str, Any]
    position: Position | None

    def sent(self) -> dict[str, str]:
        """It as it is sent."""
        out = {"event": self.name, "data": json_bytes(self.content).decode()}
        return out if self.position is None else out | {"id": str(self.position)}


@dataclass(eq=False)
class _Listener:
    queue: asyncio.Queue[Notice] = field(default_factory=lambda: asyncio.Queue(QUEUE))

    def tell(self, notice: Notice) -> None:
        try:
            self.queue.put_nowait(notice)
        except asyncio.QueueFull:
            # who reads too slowly starts anew rather than holding what the others do not need
            while not self.queue.empty():
                self.queue.get_nowait()
            told = {"reason": "you read too slowly"}
            self.queue.put_nowait(Notice("resync", told, notice.position))


class Feed:
    """Versions of the marts and notices for all listeners of one process.

    Args:
        pool: connections as ``regime_api``, for reading.
        conninfo: of the connection that listens.
    """

    def __init__(self, pool: AsyncConnectionPool, conninfo: str) -> None:
        self._pool = pool
        self._conninfo = conninfo
        self._listeners: set[_Listener] = set()
        self._of_tokens: Counter[str] = Counter()
        self._versions: dict[str, int | None] = {}
        self._newest_of: dict[str, datetime | None] = {}
        self._newest: tuple[str, datetime | None] | None = None
        self._is_silent = False
        self._hint = asyncio.Event()
        self.is_listening = False
        self.position: Position | None = None

    def __len__(self) -> int:
        return len(self._listeners)

    async def newest(self) -> tuple[str, datetime | None]:
        """What kind of data the database holds and its newest hour.

        As it was last read while changes are heard; else the database is asked.

        Raises:
            Problem: the database does not answer, or not in time.
        """
        if self.is_listening and self._newest is not None:
            return self._newest
        return await query.newest(self._pool)

    def version(self, mart: str) -> int | None:
        """The version of a mart as it was last read; None where none is kept or known."""
        return self._versions.get(mart)

    def newest_of(self, mart: str) -> datetime | None:
        """The newest instant of a mart as it was last read; None where none is kept or known."""
        return self._newest_of.get(mart)

    def stamp(self, marts: Iterable[str] | None = None, *, seconds: float | None = None) -> Stamp:
        """What an answer about these marts, or about all of them, would be made of now.

        Args:
            marts: names; None for all that have a version.
            seconds: the longest that it may be kept; None as long as versions allow.
        """
        names = [m for m, v in self._versions.items() if v is not None] if marts is None else marts
        found = [self._versions.get(m) for m in names]
        known = tuple(v for v in found if v is not None)
        is_sure = bool(known) and len(known) == len(found) and self.is_listening
        longest = KEPT_S if seconds is None else seconds
        return Stamp(known, longest if is_sure else UNVERSIONED_S)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen and look while the block runs."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def check_room(self, token: str | None) -> None:
        """Refuse one stream too many.

        Args:
            token: id of the token by which it was let in.

        Raises:
            Problem: there are too many, in all or of this token.
        """
        if len(self._listeners) >= MOST_STREAMS:
            raise Problem("too-many", "every stream is taken; ask /v1/overview instead")
        if token is not None and self._of_tokens[token] >= MOST_OF_A_TOKEN:
            raise Problem("too-many", f"a token has at most {MOST_OF_A_TOKEN} streams")

    @contextlib.contextmanager
    def joined(self, token: str | None = None) -> Iterator[_Listener]:
        """A listener for the block."""
        listener = _Listener()
        self._listeners.add(listener)
        if token is not None:
            self._of_tokens[token] += 1
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if token is not None:
                self._of_tokens[token] -= 1
                self._of_tokens += Counter()  # those without a stream are forgotten

    async def _listen(self) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, application_name="regime_pipeline live"
                )
                async with connection:
                    await connection.execute(f"listen {CHANNEL}")
                    await connection.execute(f"listen {PRICES_CHANNEL}")
                    self.is_listening = True
                    self._hint.set()  # what was committed before is not told again
                    async for notice in connection.notifies():
                        if notice.channel == PRICES_CHANNEL:
                            self._tell(Notice("live", {"mart": "live_prices"}, self.position))
                        else:
                            self._hint.set()
            except psycopg.Error as error:
                _LOG.info("live: no connection to listen with: %s", type(error).__name__)
            finally:
                self.is_listening, self._newest = False, None
            await asyncio.sleep(DEAF_LOOK_S)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._hint.wait(), LOOK_S if self.is_listening else DEAF_LOOK_S
                )
                await asyncio.sleep(SETTLE_S)
            self._hint.clear()
            try:
                await self._look()
                self._is_silent = False
            except Problem as problem:
                if not self._is_silent:
                    _LOG.warning("live: %s", problem.detail)
                    self._tell(Notice("stale", {"reason": problem.detail}, self.position))
                self._is_silent = True

    async def _look(self) -> None:
        """Read versions and new events, and tell what went up."""
        async with connection_of(self._pool) as connection:
            try:
                cursor = await connection.execute(_VERSIONS)
                found = await cursor.fetchall()
                versions: dict[str, int | None] = {mart: version for mart, version, _ in found}
                if self.position is None:
                    self.position = await _newest_event(connection)
                events = await _events_after(connection, self.position)
                if len(events) > MOST_EVENTS:
                    self.position = await _newest_event(connection)
                newest = await query.newest_of(connection)
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                return  # nothing is built yet
        changed = sorted(
            m for m, v in versions.items() if m in MARTS and v != self._versions.get(m, v)
        )
        self._versions, self._newest = versions, newest
        self._newest_of = {mart: at for mart, _, at in found}
        if changed:
            told: dict[str, Any] = {"marts": {m: versions[m] for m in changed}, "ts": newest[1]}
            self._tell(Notice("version", told, self.position))
        if len(events) > MOST_EVENTS:
            told = {"reason": "more new events than are told one by one"}
            self._tell(Notice("resync", told, self.position))
            return
        for notice in events:
            self.position = notice.position
            self._tell(notice)

    async def missed(self, after: Position) -> list[Notice]:
        """What somebody who heard up to a position has not heard: events, then the versions of now.

        More than :data:`MOST_EVENTS` are told as one ``resync``.

        Raises:
            Problem: the database does not answer, or not in time.
        """
        async with connection_of(self._pool) as connection:
            try:
                events = await _events_after(connection, after)
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                events = []  # nothing is built yet
        if len(events) > MOST_EVENTS:
            told = {"reason": "more new events than are told one by one"}
            return [Notice("resync", told, self.position)]
        known = {m: v for m, v in self._versions.items() if m in MARTS and v is not None}
        content = {"marts": known, "ts": (await self.newest())[1]}
        heard = events[-1].position if events else after
        return [*events, Notice("version", content, heard)]

    def _tell(self, notice: Notice) -> None:
        for listener in self._listeners:
            listener.tell(notice)


async def _newest_event(connection: psycopg.AsyncConnection) -> Position:
    found = await (await connection.execute(_NEWEST_EVENT)).fetchone()
    return Position(*found) if found else BEGINNING


async def _events_after(connection: psycopg.AsyncConnection, after: Position) -> list[Notice]:
    """At most one more than :data:`MOST_EVENTS`, in the order in which they could be read."""
    cursor = await connection.execute(_EVENTS_AFTER, (after.stored_order, MOST_EVENTS + 1))
    return [
        Notice("event", dict(zip(_TOLD, row[:-1], strict=True)), Position(row[-1]))
        for row in await cursor.fetchall()
    ]


def stream(feed: Feed, request: Request) -> Response:
    """The notices as server-sent events, until the client goes; a comment every 15 s.

    A client that comes back with ``Last-Event-ID`` is told what it missed, in order, then what follows. Any
    other one begins with ``resync``: it asks anew.

    Raises:
        Problem: there are too many streams.
    """
    token: str | None = request.scope.get("token_id")
    feed.check_room(token)
    heard = position_in(request.headers.get("last-event-id", ""))

    async def told() -> AsyncIterator[dict[str, str]]:
        with feed.joined(token) as listener:  # before what was missed is read, so that nothing is
            try:
                first = None if heard is None else await feed.missed(heard)
            except Problem:
                first = None
            for notice in first or [Notice("resync", {}, feed.position)]:
                yield notice.sent()
            told_before = {n.content["event_id"] for n in first or () if n.name == "event"}
            while not await request.is_disconnected():
                with contextlib.suppress(TimeoutError):
                    notice = await asyncio.wait_for(listener.queue.get(), 15)
                    if notice.content.get("event_id") not in told_before:
                        yield notice.sent()

    return EventSourceResponse(told(), ping=15)
