"""A kept book is the venue's or it is none, whatever is lost, doubled, late or renumbered on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from regime_pipeline.collect.book import Book, Change, Levels
from regime_pipeline.collect.plan import lines_of
from regime_pipeline.collect.present import Present
from regime_pipeline.collect.venue_books import BinanceBook, BybitBook, OkxBook
from regime_pipeline.collect.venues import CONNECTIONS
from regime_pipeline.collect.watch import S
from regime_pipeline.settings import Settings
from regime_pipeline.simulator import binance as binance_rest
from regime_pipeline.simulator.binance import FUTURES, SPOT
from regime_pipeline.simulator.binance_desk import Desk as BinanceDesk
from regime_pipeline.simulator.context import Query, World
from regime_pipeline.simulator.stream_desks import Binance, Bybit, Okx
from regime_pipeline.simulator.streams import Sent, StreamDesk, StreamFault
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock, utc

START = utc("2024-06-20T10:00:00")
SYMBOL = "BTC/USDT"


@dataclass
class Venue:
    """One simulated venue's book, its rules, and what asks for it whole."""

    topic: str
    desk: StreamDesk
    rules: Any
    world: World
    key: tuple[str, str]
    whole: Callable[[], Any] | None = None

    def second(self, number: int) -> list[Sent]:
        low = self.world.now_ms()
        self.world.clock = FixedClock(START + timedelta(seconds=number))
        return list(self.desk.since(self.topic, low, self.world.now_ms()))

    def truth(self) -> tuple[int, set[float]]:
        """Number of the present version, and its bids at the venue's own precision."""
        versions = self.world.book_versions(*self.key, SYMBOL)
        return versions[-1].number, set(np.round(versions[-1].book.bid_price, 8)[:200].tolist())


def _venue(name: str) -> Venue:
    world = World(
        SyntheticTape(seed=7, symbols=(SYMBOL,), end=START + timedelta(days=1)), FixedClock(START)
    )
    if name == "bybit":
        return Venue(
            "orderbook.200.BTCUSDT", Bybit(world, "perp"), BybitBook(), world, ("bybit", "perp")
        )
    if name == "okx":
        desk = Okx(world, business=False)
        return Venue("books:BTC-USDT-SWAP", desk, OkxBook(), world, ("okx", "perp"))
    house = SPOT if name == "binance" else FUTURES
    rest = binance_rest.Market(world, BinanceDesk(world, house))
    return Venue(
        "btcusdt@depth@100ms", Binance(world, house), BinanceBook(house is SPOT), world,
        ("binance", house.market), lambda: rest.depth(Query(symbol="BTCUSDT", limit="1000"))[0],
    )  # fmt: skip


def _resynced(venue: Venue, book: Book) -> None:
    if venue.whole is not None:
        book.take_whole(book.rules.whole(venue.whole()))
        return
    for message in venue.desk.since(venue.topic, 0, venue.world.now_ms()):
        book.take(book.rules.change(orjson.loads(message.body)))


def _run(name: str, faults: int) -> tuple[int, int]:
    """Seconds with a sound book, and breaks, of a book that meets so many faults."""
    venue, rng = _venue(name), np.random.default_rng(11)
    book = Book(venue.rules)
    met = sound = n = 0
    held: list[Sent] = []
    while met < faults:
        n += 1
        told = venue.second(n)
        kind = rng.choice(["gap", "duplicate", "reorder", "reset", "none", "none"])
        met += kind != "none"
        if kind == "reset" and venue.truth()[0] > 6:  # numbers of two lives must not meet
            venue.desk.restart(venue.topic)
        if kind == "gap":
            told = []
        elif kind == "duplicate":
            told = told * 2
        elif kind == "reorder":
            held, told = told, []
        else:
            told, held = told + held, []
        for message in told:
            book.take(book.rules.change(orjson.loads(message.body)))
        if not book.is_sound and rng.random() < 0.5:
            _resynced(venue, book)
        levels = book.levels()
        if levels is None:
            continue
        number, bids = venue.truth()
        if levels.number == number:
            assert {price for price, _ in levels.bids[:200]} == bids
            assert not levels.is_crossed
            sound += 1
    return sound, book.breaks


@pytest.mark.parametrize("name", ["bybit", "okx", "binance", "binance_futures"])
def test_a_sound_book_is_the_venues_whatever_happens_on_the_way(name: str) -> None:
    sound, breaks = _run(name, 24)
    assert sound >= 8, breaks
    assert breaks >= 3, sound


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["bybit", "okx", "binance", "binance_futures"])
def test_five_hundred_faults_leave_every_sound_book_the_venues(name: str) -> None:
    sound, breaks = _run(name, 500)
    assert sound >= 200
    assert breaks >= 50


def test_a_book_that_stays_crossed_ends() -> None:
    book = Book(BybitBook())
    book.take(Change(True, 1, 1, None, [["101", "1"]], [["100", "1"]]))
    levels = book.levels()
    assert isinstance(levels, Levels)
    assert levels.is_crossed
    book.look(levels, 0)
    book.look(levels, S)
    assert book.is_sound
    book.look(levels, 2 * S)
    assert not book.is_sound
    assert book.levels() is None


def test_a_book_that_was_asked_for_too_early_waits_for_a_newer_one() -> None:
    book = Book(BinanceBook(is_spot=True))
    assert not book.take(Change(False, 8, 9, None, [["100", "2"]], []))
    assert not book.take_whole(Change(True, 5, 5, None, [["100", "1"]], [["102", "1"]]))
    assert "older" in book.reason
    assert book.take_whole(Change(True, 8, 8, None, [["100", "1"]], [["102", "1"]]))
    levels = book.levels()
    assert levels is not None
    assert (levels.number, levels.bids) == (9, [(100.0, 2.0)])


def test_a_book_that_does_not_come_is_asked_for_ever_more_slowly() -> None:
    settings = Settings(_env_file=None)
    line = next(x for x in lines_of(CONNECTIONS, settings, (SYMBOL,), ["okx"]) if "books" in x.name)
    present = Present(line)
    (topic,) = present.books
    present.opened(0)
    asked = [second for second in range(200) if present.waiting(second * S)]
    assert asked == [5, 15, 35, 75, 155]
    row = {"bids": [["1", "1"]], "asks": [["2", "1"]], "ts": "1", "seqId": 9, "prevSeqId": -1}
    assert present.take(topic, {"action": "snapshot", "data": [row]})
    present.books[topic].end("a test")
    assert present.waiting(210 * S) == [topic]
    assert present.waiting(216 * S) == []
    assert present.waiting(220 * S) == [topic]


def test_faults_without_an_effect_are_refused_at_once() -> None:
    for kind, topic in (
        ("unheard_of", ""),
        ("reset_seq", "publicTrade."),
        ("stale_snapshot", "btcusdt@depth"),
    ):
        with pytest.raises(ValueError, match=r"kind|books"):
            StreamFault("/ws/", kind, topic)
    assert StreamFault("/ws/bybit/", "reset_seq", "orderbook.200.BTCUSDT").takes()
