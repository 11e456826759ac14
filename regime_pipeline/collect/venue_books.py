"""How each venue tells of its order books: numbers that follow each other, whole books, the words.

Belongs here: one venue's own rules as pure functions. Does not belong here: applying them (``book``),
connections (``venues``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from regime_pipeline.collect.book import Change, Level, Levels, Message


def _texts(levels: list[Level]) -> list[list[str]]:
    return [[repr(price), repr(size)] for price, size in levels]


class _Streamed(ABC):
    """A whole book comes over the stream, by subscribing again."""

    is_asked_for = False

    def whole(self, body: Any) -> Change:
        """No reply has a book.

        Raises:
            ValueError: always.
        """
        del body
        raise ValueError("a whole book comes by subscribing again")

    @abstractmethod
    def follows(self, last: int, change: Change) -> bool:
        """Whether a change is the next one after a number."""

    def begins(self, last: int, change: Change) -> bool:
        """Whether a change is the first one after a whole book: the next one is."""
        return self.follows(last, change)

    def is_within(self, last: int, change: Change) -> bool:
        """No change is older than the whole book before it."""
        del last, change
        return False


@dataclass(frozen=True)
class BybitBook(_Streamed):
    """A snapshot, then deltas with ``u`` one more each; ``u`` of 1: the service began anew."""

    most_levels: int = 200

    def change(self, message: Message) -> Change:
        """What a message says."""
        data = message["data"]
        number = int(data["u"])
        whole = message["type"] == "snapshot" or number == 1
        told = message.get("cts", message.get("ts"))
        return Change(whole, number, number, None, data["b"], data["a"], told)

    def follows(self, last: int, change: Change) -> bool:
        """Whether a change is the next one."""
        return change.last == last + 1

    def message(self, topic: str, levels: Levels) -> Message:
        """A whole book as the stream would send it."""
        data = {
            "s": topic.rpartition(".")[2], "b": _texts(levels.bids), "a": _texts(levels.asks),
            "u": levels.number,
        }  # fmt: skip
        told = {"cts": levels.told_ms} if levels.told_ms is not None else {}
        return {"topic": topic, "type": "snapshot", **told, "data": data}


@dataclass(frozen=True)
class OkxBook(_Streamed):
    """``prevSeqId`` is the ``seqId`` before; equal and empty: nothing changed in a minute.

    A ``seqId`` below its ``prevSeqId`` is a legal reset, which this rule takes without a word. The
    ``checksum`` is 0 since 2026-06-23 and is not looked at.
    """

    most_levels: int = 400

    def change(self, message: Message) -> Change:
        """What a message says."""
        (row,) = message["data"]
        before, last = int(row["prevSeqId"]), int(row["seqId"])
        whole = message["action"] == "snapshot" or before == -1
        return Change(whole, last, last, before, row["bids"], row["asks"], int(row["ts"]))

    def follows(self, last: int, change: Change) -> bool:
        """Whether a change is the next one."""
        return change.before == last

    def message(self, topic: str, levels: Levels) -> Message:
        """A whole book as the stream would send it."""
        channel, _, name = topic.partition(":")
        row = {
            "bids": _texts(levels.bids), "asks": _texts(levels.asks), "prevSeqId": -1,
            "seqId": levels.number, "ts": str(levels.told_ms),
        }  # fmt: skip
        return {"arg": {"channel": channel, "instId": name}, "action": "snapshot", "data": [row]}


@dataclass(frozen=True)
class BinanceBook:
    """Changes ``U`` to ``u`` on top of a book that is asked for.

    Of spot ``U`` is one more than the ``u`` before; of futures ``pu`` is that ``u``, and ``U`` says
    nothing about it.
    """

    is_spot: bool
    most_levels: int = 1_000
    is_asked_for: bool = True

    def change(self, message: Message) -> Change:
        """What a message says."""
        data = message["data"]
        before = None if self.is_spot else int(data["pu"])
        told = data.get("T", data.get("E"))
        return Change(False, int(data["U"]), int(data["u"]), before, data["b"], data["a"], told)

    def whole(self, body: Any) -> Change:
        """What the reply to a request for a whole book says."""
        number = int(body["lastUpdateId"])
        told = body.get("T", body.get("E"))
        return Change(True, number, number, None, body["bids"], body["asks"], told)

    def follows(self, last: int, change: Change) -> bool:
        """Whether a change is the next one."""
        return change.first == last + 1 if self.is_spot else change.before == last

    def begins(self, last: int, change: Change) -> bool:
        """Whether a change is the first one to apply to a whole book."""
        return change.first <= last + self.is_spot <= change.last or self.follows(last, change)

    def is_within(self, last: int, change: Change) -> bool:
        """Whether a whole book has a change already."""
        return change.last <= last if self.is_spot else change.last < last

    def message(self, topic: str, levels: Levels) -> Message:
        """A whole book as a change of everything."""
        event = {
            "e": "depthUpdate", "s": topic.partition("@")[0].upper(), "b": _texts(levels.bids),
            "a": _texts(levels.asks), "u": levels.number, "isWhole": True,
        }  # fmt: skip
        told = {"E": levels.told_ms} if levels.told_ms is not None else {}
        return {"stream": topic, "data": event | told}
