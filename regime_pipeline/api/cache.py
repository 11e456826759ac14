"""Finished answers kept for a moment, and one computation for all who ask at once.

Belongs here: keeping bytes. Does not belong here: making them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer.

    Attributes:
        body: its bytes.
        headers: its headers, the media type among them.
        etag: digest of what it says, its age left out.
        status: HTTP status.
    """

    body: bytes
    headers: Mapping[str, str]
    etag: str
    status: int = 200


class AnswerCache:
    """The newest answers, by key, each for ``seconds`` at most.

    Args:
        most_bytes: bodies that are kept in all; the longest unused go first.
        seconds: how long an answer is given again without asking.
        now: seconds that only go up.
    """

    def __init__(self, most_bytes: int, seconds: float, now: Callable[[], float]) -> None:
        self._most = most_bytes
        self._seconds = seconds
        self._now = now
        self._kept: OrderedDict[bytes, tuple[float, Answer]] = OrderedDict()
        self._bytes = 0
        self._flights: dict[bytes, asyncio.Future[Answer]] = {}

    async def get(self, key: bytes, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of a key: kept, under way for somebody else, or made now."""
        kept = self._kept.get(key)
        if kept is not None and self._now() - kept[0] < self._seconds:
            self._kept.move_to_end(key)
            return kept[1]
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.ensure_future(make())
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def _landed(self, key: bytes, done: asyncio.Future[Answer]) -> None:
        self._flights.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            return
        answer = done.result()
        old = self._kept.pop(key, None)
        self._bytes += len(answer.body) - (len(old[1].body) if old else 0)
        self._kept[key] = (self._now(), answer)
        while self._bytes > self._most:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= len(gone.body)
