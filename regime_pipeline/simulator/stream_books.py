"""Order books and marks as the venues stream them: what is asked for over HTTP, told as changes.

Belongs here: versions of a book and what changed between them, the words of each venue. Does not belong
here: what a book is (the tape), subscriptions (``stream_desks``), connections and faults (``streams``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import orjson

from regime_pipeline.simulator.context import BookVersion, World
from regime_pipeline.simulator.microstructure import Book
from regime_pipeline.simulator.streams import Sent

MARK_EVERY_MS = 1_000
Side = Mapping[str, str]
"""Sizes by price, as texts."""
Render = Callable[[Book], tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]]
"""Bids and asks of a book as the venue writes them: price, size, more."""


@dataclass(frozen=True, slots=True)
class Told:
    """A book under its number, as the venue writes it."""

    number: int
    at_ms: int
    bids: Side
    asks: Side

    @classmethod
    def of(cls, version: BookVersion, render: Render) -> Told:
        """A version as a venue writes it."""
        bids, asks = ({level[0]: level[1] for level in side} for side in render(version.book))
        return cls(version.number, version.at_ms, bids, asks)


def between(
    versions: Sequence[BookVersion], low_ms: int, high_ms: int, render: Render
) -> Iterator[tuple[Told | None, Told]]:
    """Versions that came in ``(low, high]``, each with the one before it, if that is known.

    With ``low`` of 0 the newest one alone.
    """
    if low_ms == 0:
        if versions:
            yield None, Told.of(versions[-1], render)
        return
    for old, new in pairwise(versions):
        if low_ms < new.at_ms <= high_ms:
            yield Told.of(old, render), Told.of(new, render)


def bybit(topic: str, old: Told | None, new: Told) -> Sent:
    """A snapshot where nothing came before or the numbers begin anew, else what changed."""
    is_whole = old is None or new.number == 1

    def body(number: int) -> bytes:
        bids, asks = _sides(None if is_whole else old, new)
        data = {"s": topic.rpartition(".")[2], "b": bids, "a": asks, "u": number, "seq": number}
        kind = "snapshot" if is_whole else "delta"
        told = {"topic": topic, "type": kind, "ts": new.at_ms, "data": data, "cts": new.at_ms}
        return orjson.dumps(told)

    return Sent(topic, body(new.number), (), body(new.number - 3) if is_whole else None)


def okx(topic: str, old: Told | None, new: Told) -> Sent:
    """A snapshot first, then what changed, with the number before it."""
    channel, _, name = topic.partition(":")

    def body(number: int) -> bytes:
        bids, asks = ([[*level, "0", "1"] for level in side] for side in _sides(old, new))
        row = {
            "bids": bids, "asks": asks, "ts": str(new.at_ms), "checksum": 0, "seqId": number,
            "prevSeqId": -1 if old is None else old.number,
        }  # fmt: skip
        arg = {"channel": channel, "instId": name}
        kind = "snapshot" if old is None else "update"
        return orjson.dumps({"arg": arg, "action": kind, "data": [row]})

    return Sent(topic, body(new.number), (), body(new.number - 3) if old is None else None)


def binance(topic: str, old: Told, new: Told, *, is_spot: bool) -> Sent:
    """What changed; the whole book is asked for over HTTP."""
    bids, asks = _sides(old, new)
    event: dict[str, object] = {
        "e": "depthUpdate", "E": new.at_ms, "s": topic.partition("@")[0].upper(),
        "U": old.number + 1, "u": new.number, "b": bids, "a": asks,
    }  # fmt: skip
    if not is_spot:
        event |= {"T": new.at_ms - 5, "pu": old.number}
    return Sent(topic, orjson.dumps({"stream": topic, "data": event}))


def _sides(old: Told | None, new: Told) -> tuple[list[list[str]], list[list[str]]]:
    """All levels of both sides; with an old book those that changed, of size 0 where they are gone."""
    if old is None:
        return [[*level] for level in new.bids.items()], [[*level] for level in new.asks.items()]
    return _changed(old.bids, new.bids), _changed(old.asks, new.asks)


def _changed(old: Side, new: Side) -> list[list[str]]:
    gone = [[price, "0"] for price in old if price not in new]
    return gone + [[price, size] for price, size in new.items() if old.get(price) != size]


def mark(world: World, venue: str, symbol: str, low_ms: int, high_ms: int) -> float | None:
    """The mark price once a second; None between, and where the tape has none."""
    if low_ms // MARK_EVERY_MS == high_ms // MARK_EVERY_MS:
        return None
    return world.last_price(venue, "perp", symbol)
