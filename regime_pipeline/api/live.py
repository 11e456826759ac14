"""What is told to those who listen: a newer hour, a new event, silence.

Belongs here: one look at the database every few seconds for all listeners, and the stream of each. Does
not belong here: rows (a notice names what to ask for again).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from regime_pipeline.api.formats import json_bytes
from regime_pipeline.api.problems import Problem
from regime_pipeline.api.query import connection_of

LOOK_SECONDS = 5.0
QUEUE = 16
MOST_STREAMS = 500

_LOG = logging.getLogger("regime_pipeline.api")
_HOUR = "select max(ts), max(ingested_at) from reporting.market_overview"
_EVENT = (
    "select event_id, event_type, instrument, alert_severity, title, known_at "
    "from reporting.market_events where ingested_at > %s::timestamptz and ingested_at <= %s::timestamptz "
    "order by ingested_at, event_id limit %s"
)
_LAST = "select coalesce(max(ingested_at), '-infinity')::text from reporting.market_events"
MOST_EVENTS = 50
"""More new ones than that are told as one notice, to ask for all of them."""


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
    """Notices for all listeners of one process.

    Args:
        pool: connections as ``regime_api``.
    """

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._listeners: set[_Listener] = set()
        self._hour: tuple[Any, ...] | None = None
        self._last: str | None = None
        self._is_silent = False

    def __len__(self) -> int:
        return len(self._listeners)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look while the block runs."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @contextlib.contextmanager
    def joined(self) -> Any:
        """A listener for the block.

        Raises:
            Problem: there are too many.
        """
        if len(self._listeners) >= MOST_STREAMS:
            raise Problem("too-many", "every stream is taken; ask /v1/overview instead")
        listener = _Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _watch(self) -> None:
        while True:
            if self._listeners:
                try:
                    await self._look()
                    self._is_silent = False
                except Problem as problem:
                    if not self._is_silent:
                        _LOG.warning("live: %s", problem.detail)
                        self._tell("stale", {"reason": problem.detail})
                    self._is_silent = True
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        async with connection_of(self._pool) as connection:
            try:
                hour = await (await connection.execute(_HOUR)).fetchone()
                (newest,) = await (await connection.execute(_LAST)).fetchone() or (None,)
                events = []
                if self._last is not None and newest != self._last:
                    asked = (self._last, newest, MOST_EVENTS + 1)
                    events = await (await connection.execute(_EVENT, asked)).fetchall()
                self._last = newest
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                return
        if hour is not None and hour != self._hour:
            if self._hour is not None:
                self._tell("version", {"mart": "market_overview", "ts": hour[0]})
            self._hour = hour
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
    """The notices as server-sent events, until the client goes; a comment every 15 s."""

    async def told() -> AsyncIterator[dict[str, str]]:
        with feed.joined() as listener:
            yield {"event": "resync", "data": "{}"}
            while not await request.is_disconnected():
                with contextlib.suppress(TimeoutError):
                    name, content = await asyncio.wait_for(listener.queue.get(), 15)
                    yield {"event": name, "data": json_bytes(content).decode()}

    return EventSourceResponse(told(), ping=15)
