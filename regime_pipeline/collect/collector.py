"""The collector's process: sockets in a loop, a thread that writes segments, one that stores them.

Belongs here: starting and ending in order, the beat, what is done how often. Does not belong here: any of
the work itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from regime_pipeline.catalogue import table
from regime_pipeline.collect.archive import last_trades
from regime_pipeline.collect.asking import Asker
from regime_pipeline.collect.hours import Hours
from regime_pipeline.collect.live import (
    BOOKS_EVERY_NS,
    PRICES_EVERY_NS,
    STORED_EVERY_NS,
    Live,
    Seen,
    record_of,
)
from regime_pipeline.collect.plan import Line, lines_of
from regime_pipeline.collect.present import Present
from regime_pipeline.collect.session import Session
from regime_pipeline.collect.spool import Spool
from regime_pipeline.collect.store import Storer, instant_ns
from regime_pipeline.collect.venues import CLOCKS, CONNECTIONS
from regime_pipeline.collect.watch import Newest, Watch, contradicted
from regime_pipeline.providers.errors import ProviderError
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.limits.gate import gate_for
from regime_pipeline.providers.limits.store import PostgresStore
from regime_pipeline.settings import Settings
from regime_pipeline.storage.errors import StorageError
from regime_pipeline.storage.statements import upsert
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import SystemClock

STORE_EVERY_S = 1.0
SPANS_EVERY = 5
SEAL_EVERY = 30
GARBAGE_EVERY = 200_000
CLOCKS_EVERY_S = 600.0
CLOCKS_WITHIN_S = 5.0
"""The first messages wait so long for it to be known how far clocks are apart."""
MOST_CLOCK_OFFSET_S = 1.0
"""Our clock stamps messages: further off, hours are cut in the wrong place."""
MOST_UNSHOWN = 12
"""Moments that wait to be shown while the database is away: a minute; older ones are left out."""
STAGGER_S = 0.4
"""Between two openings: venues count them."""

log = logging.getLogger(__name__)


@dataclass
class Totals:
    """What a run of the collector did."""

    received: int = 0
    dropped: int = 0
    stored: int = 0


class Collector:
    """Collects until it is told to end.

    Args:
        warehouse: the tables.
        settings: addresses, folder, primary series.
        symbols: canonical symbols.
        venues: sources whose streams are collected.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        settings: Settings,
        *,
        symbols: Sequence[str],
        venues: Sequence[str],
        lines: Sequence[Line] | None = None,
    ) -> None:
        self.lines = list(
            lines
            if lines is not None
            else lines_of(CONNECTIONS, settings, symbols, venues, settings.collect_channels)
        )
        self.folder = Path(settings.home) / "collect"
        self.watches = {line.name: Watch(line) for line in self.lines}
        self.storer = Storer(warehouse, settings, self.lines, self.folder)
        self.hours = Hours(self.storer)
        self.presents = {line.name: Present(line) for line in self.lines}
        self._live = Live(warehouse, settings)
        self._seen: deque[list[Seen]] = deque(maxlen=MOST_UNSHOWN)
        self._seen_ns = 0
        self.clock_offsets_s: dict[str, float] = {}
        self.totals = Totals()
        self.sessions: dict[str, Session] = {}
        self._began = warehouse.clock.now()
        self._has_ended = self._was_short = False
        self._stop = threading.Event()
        self._clock = warehouse.clock
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Ends a run, from any thread."""
        self._stop.set()

    def run(self, seconds: float | None = None) -> Totals:
        """Collects; returns when told to stop, or after so many seconds, with everything stored.

        Raises:
            OSError: the disk refused the first write.
        """
        settings = self.storer.settings
        gate = gate_for(settings, PostgresStore(self.storer.warehouse.database.connect))
        with HttpClient(settings, self.storer.landing, self._clock, gate=gate) as client:
            self._asker = Asker(settings, client)
            return self._run(seconds)

    def _run(self, seconds: float | None) -> Totals:
        names = [line.name for line in self.lines]
        self._learn_sizes()
        calm_garbage_collection()
        with Spool(self.folder, names) as spool:
            with ThreadPoolExecutor(1, thread_name_prefix="storer") as pool:
                storing = pool.submit(self._store, spool)
                try:
                    asyncio.run(self._collect(spool, seconds, storing))
                finally:
                    self._stop.set()
            storing.result()
            self._has_ended = True
            self.turn(spool, 0)
        return self.totals

    def _learn_sizes(self) -> None:
        """Asks what contracts are worth; until there is an answer what counts in them waits on the disk."""
        try:
            self.storer.sizes = self._asker.sizes(self.lines, self._clock.now())
        except ProviderError as error:
            log.warning("sizes of contracts are not known: %s", error)

    async def _collect(self, spool: Spool, seconds: float | None, storing: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []
        began = self._loop.time()
        waiting = list(self.lines)
        asking = ThreadPoolExecutor(1, thread_name_prefix="asking")

        questions = _Asking(self._asker, asking, self.clock_offsets_s)
        compared = asyncio.Event()
        comparing = self._compare_clocks(asking, spool, compared)
        tasks.append(asyncio.create_task(comparing, name="clocks"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(compared.wait(), CLOCKS_WITHIN_S)
        try:
            while not self._stop.is_set():
                if seconds is not None and self._loop.time() - began >= seconds:
                    break
                if waiting:
                    line = waiting.pop(0)
                    session = Session(
                        line,
                        self.watches[line.name],
                        spool,
                        self._now_ns,
                        present=self.presents[line.name],
                        questions=questions,
                        known=last_trades(self.folder, line),
                    )
                    self.sessions[line.name] = session
                    tasks.append(asyncio.create_task(session.run(), name=line.name))
                    await asyncio.sleep(STAGGER_S)
                else:
                    await asyncio.sleep(0.2)
                    self._compare()
                self._see(spool)
                if storing.done():
                    storing.result()  # what it does not know how to outlive ends the collector
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            asking.shutdown(wait=False, cancel_futures=True)
            for watch in self.watches.values():
                watch.closed("the collector ended")

    def _now_ns(self) -> int:
        if isinstance(self._clock, SystemClock):
            return time.time_ns()
        return instant_ns(self._clock.now())

    async def _compare_clocks(
        self, asking: ThreadPoolExecutor, spool: Spool, compared: asyncio.Event
    ) -> None:
        """Looks every few minutes how far our clock is from each venue's."""
        sources = {line.source.name: line.source for line in self.lines}
        loop = asyncio.get_running_loop()
        while True:
            for name, source in sources.items():
                if name not in CLOCKS:
                    continue
                try:
                    offset = await loop.run_in_executor(
                        asking, self._asker.clock_offset_s, source, self._now_ns
                    )
                except ProviderError as error:
                    log.info("the time of %s is not known: %s", name, error)
                    continue
                self.clock_offsets_s[name] = offset
                spool.compare_clock(name, round(offset * 1e9))
                if abs(offset) > MOST_CLOCK_OFFSET_S:
                    log.warning("the clock of %s is %+.1f s from ours", name, offset)
            compared.set()
            await asyncio.sleep(CLOCKS_EVERY_S)

    def _see(self, spool: Spool) -> None:
        """Takes what books and marks are now, at full multiples of the times; some books for good."""
        before, now = self._seen_ns, self._now_ns()
        if before // PRICES_EVERY_NS == now // PRICES_EVERY_NS:
            return
        self._seen_ns = now
        are_shown = before // BOOKS_EVERY_NS != now // BOOKS_EVERY_NS
        are_stored = before // STORED_EVERY_NS != now // STORED_EVERY_NS
        found: list[Seen] = []
        for line in self.lines:
            present, watch = self.presents[line.name], self.watches[line.name]
            for topic, book in present.books.items():
                levels = book.levels()
                if levels is None:
                    continue
                book.look(levels, now)
                heard = watch.topics[topic].last_ns
                one = Seen(line, line.subscriptions[topic], now, heard, levels, None, are_shown)
                found.append(one)
                if are_stored and book.is_sound:
                    spool.put(line.name, now, record_of(one).body)
            for topic, marks in present.marks.items():
                heard = watch.topics[topic].last_ns
                found.append(Seen(line, line.subscriptions[topic], now, heard, None, dict(marks)))
        self._seen.append(found)

    def _show(self) -> None:
        """Writes what was seen since the last turn."""
        while self._seen:
            self._live.write(self._seen.popleft(), self.storer.sizes)

    def _compare(self) -> None:
        """Ends connections that their twin contradicts."""
        groups: dict[str, list[Line]] = {}
        for line in self.lines:
            if line.connection.group:
                groups.setdefault(f"{line.source.name}/{line.connection.group}", []).append(line)
        now = self._now_ns()
        for twins in groups.values():
            for one, other in (twins, twins[::-1]) if len(twins) == 2 else ():
                watch = self.watches[one.name]
                gone = contradicted(watch, self.watches[other.name], now)
                for topic in gone:
                    watch.deaths += 1
                    watch.lost(topic, "silent while its twin heard")
                if gone:
                    self.sessions[one.name].end(f"{len(gone)} subscriptions died alone")

    # ------------------------------------------------------------------ the storer's thread

    def _store(self, spool: Spool) -> None:
        turn = 0
        while not self._stop.wait(STORE_EVERY_S):
            turn += 1
            self.turn(spool, turn)

    def turn(self, spool: Spool, turn: int) -> None:
        """One turn: what was heard by now is made safe, then stored, then called covered."""
        watches = list(self.watches.values())
        self.totals.received = sum(w.received for w in watches)
        self.totals.dropped = sum(w.dropped for w in watches)
        try:
            if turn % SEAL_EVERY == 0:
                spool.measure(self.storer.settings.collect_spool_gb * 1e9)
            self._tell_room(spool)
            # an hour is judged by what was known to be heard then, and not a moment later
            noted_at = self._clock.now()
            if turn % SPANS_EVERY == 0:
                self.storer.note_spans(watches)
            spool.flush()
            self.totals.stored += self.storer.store()
            self._show()
            self.storer.lag_ns = self._now_ns() - instant_ns(noted_at)
            if turn % SPANS_EVERY == 0:
                self.storer.save_spans()
                self._beat()
                self.hours.close(noted_at)
            if turn % SEAL_EVERY == 0:
                if self.storer.waits_for_sizes():
                    self._learn_sizes()
                writing = [p for line in self.lines if (p := spool.written(line.name)) is not None]
                self.storer.seal(writing)
        except StorageError as error:
            log.warning("the database is away, segments grow: %s", error)
        except OSError as error:
            log.warning("the disk refuses, messages wait in memory: %s", error)

    def _tell_room(self, spool: Spool) -> None:
        """Says once that only the essential is kept, and once that all is kept again."""
        if spool.is_short == self._was_short:
            return
        self._was_short = spool.is_short
        if self._was_short:
            log.warning("room is short: trades and books are left out, closures and bars are kept")
        else:
            log.warning("there is room again: everything is kept")

    def _beat(self) -> None:
        open_, wanted = (
            sum(w.is_open for w in self.watches.values()),
            len(self.watches),
        )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        now = self._clock.now()
        beat = {
            "identity": 1, "beat_at": now, "began_at": self._began,
            "clock_offset_s": max(self.clock_offsets_s.values(), key=abs, default=None),
            "ended_at": now if self._has_ended else None, "process_id": os.getpid(),
            "memory_mb": memory, "lag_s": self.storer.lag_ns / 1e9, "open_connections": open_,
            "wanted_connections": wanted, "received_count": self.totals.received,
            "dropped_count": self.totals.dropped,
            "death_count": sum(w.deaths for w in self.watches.values()),
        }  # fmt: skip
        put = upsert(table("ops.collector_heartbeat"), tuple(beat))

        def work(connection: psycopg.Connection) -> None:
            connection.execute(put, tuple(beat.values()))

        self.storer.warehouse.transact(work)


class _Asking:
    """Questions to venues, asked one after the other by another thread than the loop's."""

    def __init__(
        self, asker: Asker, thread: ThreadPoolExecutor, offsets_s: Mapping[str, float]
    ) -> None:
        self._asker, self._thread, self._offsets_s = asker, thread, offsets_s

    async def _off(self, ask: Callable[..., Any], *told: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, ask, *told)

    async def book(self, line: Line, topic: str) -> Any:
        return await self._off(self._asker.book, line, topic)

    async def newest_trade(self, line: Line, topic: str, heard: bytes) -> Newest | None:
        found = await self._off(self._asker.newest_trade, line, topic, heard)
        if found is None:
            return None
        return found.corrected(self._offsets_s.get(line.source.name))

    async def trades_since(self, line: Line, topic: str, known: bytes) -> list[bytes] | None:
        found: list[bytes] | None = await self._off(self._asker.trades_since, line, topic, known)
        return found


def calm_garbage_collection() -> None:
    """What lives as long as the process is not looked through for every few messages.

    Messages are decoded into thousands of small containers without cycles: looking through them again and
    again is a quarter of the cost of a message.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY, 20, 50)


class Beat(NamedTuple):
    """How the collector of a database did when it showed itself last."""

    at: datetime
    open_connections: int
    wanted_connections: int
    ended_at: datetime | None
    """When it had ended as it was told to; None: it runs, or died."""
    clock_offset_s: float | None
    """A venue's clock minus ours, of the one that is furthest off."""
    lag_s: float | None
    memory_mb: float | None
    death_count: int | None
    """Subscriptions that died on a healthy connection."""

    @property
    def has_right_time(self) -> bool:
        """Whether no venue's clock is known to be far from ours."""
        return self.clock_offset_s is None or abs(self.clock_offset_s) <= MOST_CLOCK_OFFSET_S


def last_beat(warehouse: Warehouse) -> Beat | None:
    """The last beat of the collector of a database; None: none has run on it."""
    row = warehouse.transact(
        lambda c: c.execute(
            "select beat_at, open_connections, wanted_connections, ended_at, clock_offset_s, "
            "lag_s, memory_mb, death_count from ops.collector_heartbeat"
        ).fetchone()
    )
    return None if row is None else Beat(*row)
