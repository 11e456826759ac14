"""Finished answers kept while what they tell stays the same, and one computation for all who ask at once.

Belongs here: keeping bytes. Does not belong here: making them, knowing what changed (``live``).
"""

from __future__ import annotations

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

LEVEL = 5
QUICK_LEVEL = 1
"""Of what is made often and read a few times: a sixth more bytes for two fifths of the time."""
WORTH_PACKING = 1000


@dataclass(frozen=True)
class Answer:
    """A finished answer.

    Attributes:
        body: its bytes.
        headers: its headers, the media type among them.
        etag: digest of what it says, its age left out.
        level: how hard its bytes are packed.
    """

    body: bytes
    headers: Mapping[str, str]
    etag: str
    level: int = LEVEL

    @cached_property
    def head(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers as they are sent, made once for all who ask."""
        return tuple((k.encode("latin-1"), v.encode("latin-1")) for k, v in self.headers.items())

    @cached_property
    def packed(self) -> bytes | None:
        """The bytes as gzip, made when somebody first takes them so; None where that saves nothing."""
        if len(self.body) < WORTH_PACKING:
            return None
        return gzip.compress(self.body, self.level, mtime=0)

    @cached_property
    def content(self) -> Any:
        """What its bytes say as JSON, read once for all who ask; nobody may change it."""
        return orjson.loads(self.body)

    @property
    def size(self) -> int:
        """Bytes that keeping it takes, packed ones among them: at most a quarter of JSON and pages."""
        return len(self.body) * 5 // 4


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an answer was made of.

    Attributes:
        versions: a number for each table that it tells of, which goes up when the table changes.
        seconds: how long it may be given again while they stay the same.
    """

    versions: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    stamp: Stamp
    answer: Answer


class AnswerCache:
    """The newest answers, by key.

    Args:
        most_bytes: bodies that are kept in all; the longest unused go first.
        now: seconds that only go up.
    """

    def __init__(self, most_bytes: int, now: Callable[[], float]) -> None:
        self._most = most_bytes
        self._now = now
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0
        self._flights: dict[tuple[bytes, Stamp], asyncio.Future[Answer]] = {}
        self.hits = 0
        self.misses = 0

    async def get(self, key: bytes, stamp: Stamp, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of a key: kept, under way for somebody else, or made now.

        Args:
            key: equal for requests that have equal answers.
            stamp: of what an answer would be made now; a kept one of another is made again.
            make: makes it.
        """
        kept = self.kept(key, stamp)
        if kept is not None:
            return kept
        self.misses += 1
        flight = self._flights.get((key, stamp))
        if flight is None:
            flight = self._flights[key, stamp] = asyncio.ensure_future(make())
            flight.add_done_callback(lambda done: self._landed(key, stamp, done))
        return await asyncio.shield(flight)

    def kept(self, key: bytes, stamp: Stamp) -> Answer | None:
        """The answer of a key that may be given again; None where it has to be made."""
        kept = self._kept.get(key)
        if (
            kept is None
            or kept.stamp.versions != stamp.versions
            or self._now() - kept.at >= stamp.seconds
        ):
            return None
        self._kept.move_to_end(key)
        self.hits += 1
        return kept.answer

    def _landed(self, key: bytes, stamp: Stamp, done: asyncio.Future[Answer]) -> None:
        self._flights.pop((key, stamp), None)
        if done.cancelled() or done.exception() is not None:
            return
        answer = done.result()
        old = self._kept.pop(key, None)
        self._bytes += answer.size - (old.answer.size if old else 0)
        self._kept[key] = _Kept(self._now(), stamp, answer)
        while self._bytes > self._most:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= gone.answer.size
