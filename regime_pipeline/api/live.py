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
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from regime_pipeline.api.cache import Stamp
from regime_pipeline.api.formats import json_bytes
from regime_pipeline.api.problems import Problem
from regime_pipeline.api.query import connection_of
from regime_pipeline.catalogue.marts import MARTS

CHANNEL = "regime_tables"
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
_VERSIONS = "select mart, version from reporting.versions"
_HOUR = "select max(ts) from reporting.market_overview"
_EVENT = (
    "select event_id, event_type, instrument, alert_severity, title, known_at "
    "from reporting.market_events where ingested_at > %s::timestamptz and ingested_at <= %s::timestamptz "
    "order by ingested_at, event_id limit %s"
)
_LAST = "select coalesce(max(ingested_at), '-infinity')::text from reporting.market_events"


@dataclass(eq=False)
class _Listener:
    queue: asyncio.Queue[tuple[str, dict[str, Any]]] = field(
        default_factory=lambda: asyncio.Queue(QUEUE)
    )

    def tell(self, name: str, content: dict[str, Any]) -> None:
        try:
            self.queue.put_nowait((name, content))
        except asyncio.QueueFull:
            # who reads too slowly starts anew rather than holding what the others do not need
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(("resync", {"reason": "you read too slowly"}))


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
        self._last: str | None = None
        self._is_silent = False
        self._hint = asyncio.Event()
        self.is_listening = False

    def __len__(self) -> int:
        return len(self._listeners)

    def version(self, mart: str) -> int | None:
        """The version of a mart as it was last read; None where none is kept or known."""
        return self._versions.get(mart)

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
                    self.is_listening = True
                    self._hint.set()  # what was committed before is not told again
                    async for _ in connection.notifies():
                        self._hint.set()
            except psycopg.Error as error:
                _LOG.info("live: no connection to listen with: %s", type(error).__name__)
            finally:
                self.is_listening = False
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
                    self._tell("stale", {"reason": problem.detail})
                self._is_silent = True

    async def _look(self) -> None:
        """Read versions and new events, and tell what went up."""
        async with connection_of(self._pool) as connection:
            try:
                cursor = await connection.execute(_VERSIONS)
                versions: dict[str, int | None] = dict(await cursor.fetchall())
                (last,) = await (await connection.execute(_LAST)).fetchone() or (None,)
                events = []
                if self._last is not None and last != self._last:
                    asked = (self._last, last, MOST_EVENTS + 1)
                    events = await (await connection.execute(_EVENT, asked)).fetchall()
                (hour,) = await (await connection.execute(_HOUR)).fetchone() or (None,)
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                return  # nothing is built yet
        changed = sorted(
            m for m, v in versions.items() if m in MARTS and v != self._versions.get(m, v)
        )
        self._versions, self._last = versions, last
        if changed:
            told = {"marts": {m: versions[m] for m in changed}, "ts": hour}
            self._tell("version", told)
        if len(events) > MOST_EVENTS:
            self._tell("resync", {"reason": "more new events than are told one by one"})
            return
        for row in events:
            names = ("event_id", "event_type", "instrument", "severity", "title", "known_at")
            self._tell("event", dict(zip(names, row, strict=True)))

    def _tell(self, name: str, content: dict[str, Any]) -> None:
        for listener in self._listeners:
            listener.tell(name, content)


def stream(feed: Feed, request: Request) -> Response:
    """The notices as server-sent events, until the client goes; a comment every 15 s.

    It begins with ``resync``, whatever was heard before: a client that comes back asks anew.

    Raises:
        Problem: there are too many streams.
    """
    token: str | None = request.scope.get("token_id")
    feed.check_room(token)

    async def told() -> AsyncIterator[dict[str, str]]:
        with feed.joined(token) as listener:
            yield {"event": "resync", "data": "{}"}
            while not await request.is_disconnected():
                with contextlib.suppress(TimeoutError):
                    name, content = await asyncio.wait_for(listener.queue.get(), 15)
                    yield {"event": name, "data": json_bytes(content).decode()}

    return EventSourceResponse(told(), ping=15)
