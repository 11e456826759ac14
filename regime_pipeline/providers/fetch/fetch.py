"""Fetching a raw dataset: plan, pages, parsed rows, checked rows, and a record of what happened.

Belongs here: running the request plans of all sources side by side, and everything that turns parsed
pages into rows of ``raw.<dataset>``: order, duplicates, running bars, the grid, the window, tiers,
when a row could be known. Does not belong here: writing (the caller does), wire formats, HTTP.

A source that fails is a row in the log and never an exception; what the others gave is returned.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa

from regime_pipeline.catalogue.datasets import (
    DATASETS,
    HOURLY_GRID,
    MARKET_SYMBOL,
    Dataset,
    Form,
)
from regime_pipeline.catalogue.frames import DTYPES, empty, is_in_order, key_order, split
from regime_pipeline.catalogue.registry import FIELDS, table
from regime_pipeline.providers.binance.archive_reader import Harvest, collect
from regime_pipeline.providers.decode import CURSOR, ROWS, ByColumns, Context, Reading, joined
from regime_pipeline.providers.errors import (
    BadRequest,
    ContractViolation,
    NoSourceError,
    PlanLimit,
    ProviderError,
    RateLimited,
    RetentionLimit,
    UnknownSymbol,
)
from regime_pipeline.providers.http import MAX_WAIT_S, HttpClient, Reply
from regime_pipeline.providers.plan import Feed, PageSpan, segments, walk
from regime_pipeline.providers.registry import (
    ARCHIVE,
    SOURCES,
    is_left_out,
    sources_of,
)
from regime_pipeline.providers.source import Source
from regime_pipeline.providers.symbols import VenueSymbol, names_over, to_venue
from regime_pipeline.providers.symbols import split as split_symbol
from regime_pipeline.providers.trades import hourly, whole_hours
from regime_pipeline.settings import Settings
from regime_pipeline.windows import HOUR, Clock, SystemClock, Window, floor_hour

T = TypeVar("T")

TIMEFRAME = "1h"
INTERVAL = HOUR
WALL_MARGIN = timedelta(minutes=10)
OBSERVED_WITHIN = timedelta(hours=2)
INTERVALS = "intervals"
CONTRACTS = "contracts"
NO_SERIES = (INTERVALS, CONTRACTS)
"""Parts of feeds whose replies complete rows of other feeds."""
LIVE_WITHIN = timedelta(minutes=5)
"""A window that ends no longer ago than this reaches the present."""
WIDEST_BAND_BPS = 50

ARCHIVE_TIER = 3

PRICES = (
    "open", "high", "low", "close", "mark_price", "best_bid", "best_ask", "mid", "microprice", "price",
)  # fmt: skip
COINS = ("volume_base", "taker_buy_base", "taker_sell_base", "open_interest_base", "quantity_base")
NEWEST_ONLY = "the provider tells the newest only; this was not recorded"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FetchResult:
    """What a fetch gave.

    Attributes:
        frame: rows of ``raw.<dataset>``, valid by contract, sorted by key, keys unique.
        quarantined: rows that are not, same columns where known, plus ``reason`` and ``source``.
        log: rows of ``ops.fetch_log`` (``run_id`` null).
        payloads: rows of ``ops.payloads`` (``run_id`` null).
    """

    frame: pd.DataFrame
    quarantined: pd.DataFrame
    log: pd.DataFrame
    payloads: pd.DataFrame


@dataclass
class _Page:
    frame: pd.DataFrame | Reading
    reply: Reply[Any]
    complete: bool = True
    """Whether the listing that the page is part of came to its end."""


@dataclass
class _Stream:
    """One feed of one source for one symbol, and how it goes."""

    source: Source
    feed: Feed
    symbol: VenueSymbol | None
    window: Window
    venue: str
    inside: list[Window] = field(default_factory=list)
    beyond: list[Window] = field(default_factory=list)
    probing: bool = False
    pages: list[_Page] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0
    error: ProviderError | None = None
    at_wall: bool = False
    too_old: bool = False
    off: str | None = None
    started: datetime | None = None
    from_archive: bool = False
    is_whole: bool = False
    stored: int = 0
    quarantined: int = 0
    idle: bool = False
    note: str | None = None
    is_part: bool = False
    """One of the names that the venue gave the symbol in the window."""

    @property
    def gave_rows(self) -> bool:
        return any(len(page.frame) for page in self.pages)

    @property
    def canonical(self) -> str | None:
        return self.symbol.canonical if self.symbol else None


_SUFFIX = re.compile(r"/(api/v\d+|fapi/v\d+|futures/data|fng|api|v\d+)/*$")


def base_url(settings: Settings, source: Source) -> str:
    """The base URL of a source, without the version suffix that older configurations carry.

    A service whose paths are ours to append to whatever its address is keeps the address whole.
    Empty when no address is set.
    """
    address = str(getattr(settings, source.url_setting) or "").rstrip("/")
    return address if source.whole_url else _SUFFIX.sub("", address).rstrip("/")


def off_reason(settings: Settings, source: Source) -> str | None:
    """Why a configured source cannot be asked: no address or no key; None when it can."""
    if not getattr(settings, source.url_setting):
        return f"off: no {source.url_setting.upper()} is set"
    if source.key_setting is not None and getattr(settings, source.key_setting) is None:
        return f"off: no {source.key_setting.upper()} is set"
    return None


def effective_source(settings: Settings, source: Source) -> Source:
    """The source that really answers: Binance's address may be set to Binance.US."""
    host = urlsplit(base_url(settings, source)).hostname or ""
    if source.name == "binance" and host.endswith("binance.us"):
        return SOURCES["binance_us"].at_address_of(source)
    return source


# --- what is asked -------------------------------------------------------------------------------


def chosen_sources(
    dataset: str, settings: Settings, sources: Sequence[str] | None
) -> tuple[Source, ...]:
    """The configured sources that serve a dataset.

    Of an optional dataset nobody may be configured to serve it; then there are none.

    Raises:
        ValueError: an unknown dataset or source name.
        NoSourceError: none of them serves a dataset that is not optional.
    """
    unknown = [s for s in (*(sources or ()), *settings.sources) if s not in SOURCES]
    if unknown:
        raise ValueError(f"unknown sources {unknown}; there are {list(SOURCES)}")
    serving = sources_of(dataset)
    if not serving:
        raise ValueError(f"unknown dataset {dataset!r}")
    wanted = [
        s
        for s in settings.sources
        if s in serving and (sources is None or s in sources) and not is_left_out(settings, s)
    ]
    if not wanted and DATASETS[dataset].is_optional and sources is None:
        return ()
    if not wanted:
        asked = "configured" if sources is None else "asked for and configured"
        raise NoSourceError(f"{dataset}: none of {list(serving)} is {asked}")
    found: dict[str, Source] = {}
    for name in wanted:
        real = effective_source(settings, SOURCES[name])
        found.setdefault(real.name, real)
    return tuple(found.values())


def _streams(
    dataset: str,
    source: Source,
    settings: Settings,
    window: Window,
    symbols: Iterable[str],
    now: datetime,
) -> Iterator[_Stream]:
    for feed in source.feeds:
        if feed.dataset != dataset:
            continue
        reach, idle = _reach(feed, window, now)
        if reach.is_empty:
            continue
        replay = settings.origin == "tape"  # its end is no present: chunks would differ
        gone = DATASETS[dataset].forward_only
        idle = idle or (replay and gone is not None and feed.part != CONTRACTS)
        note = gone if idle else None
        if feed.reach is not None:
            # nothing left means the feed has nothing about the window: said once, never asked
            begin = reach.end if replay else _last_hour(now) + HOUR - feed.reach
            reach = Window(max(reach.start, min(reach.end, begin)), reach.end)
            if reach.is_empty:
                idle, note = True, NEWEST_ONLY
        if not feed.per_symbol:
            yield _Stream(source, feed, None, reach, feed.venue, idle=idle, note=note)
            continue
        for symbol in symbols:
            if feed.only_primary and _home(settings, feed.market, symbol) != feed.venue:
                continue
            names = names_over(symbol, feed.names or feed.venue, feed.market, reach)
            if feed.live_only or feed.snapshot:
                names = [(names[-1][0], reach)]
            for name, part in names:
                yield _Stream(
                    source, feed, name, part, feed.venue, idle=idle, note=note,
                    is_part=len(names) > 1,
                )  # fmt: skip


def _reach(feed: Feed, window: Window, now: datetime) -> tuple[Window, bool]:
    """The part of a window that a feed is asked for, and whether it has nothing to say about it.

    Of a dataset that is collected as time goes, a window of the past is kept whole and idle: no
    request is made, and the log says why.
    """
    reach = Window(window.start, max(window.start, min(window.end, now)))
    item = DATASETS[feed.dataset]
    if item.forward_only is not None:
        if feed.part == CONTRACTS:
            return reach, False  # asked only beside a feed that needs it
        if feed.live_only:
            return reach, not window.start <= now <= window.end + LIVE_WITHIN
        near = Window(
            max(reach.start, min(reach.end, now - (feed.newest or timedelta(0)))), reach.end
        )
        if item.form is Form.SUMMED:  # parts of hours would be asked for in vain
            start = _ceil_hour(near.start)
            near = Window(start, max(start, floor_hour(near.end)))
        return (reach, True) if near.is_empty else (near, False)
    if feed.newest is not None:
        reach = Window(max(reach.start, min(reach.end, now - feed.newest)), reach.end)
    if feed.older_than is not None:
        reach = reach.clipped(now - feed.older_than)
    return reach, False


def _home(settings: Settings, market: str, symbol: str) -> str:
    """The venue whose series of a market stands behind a symbol."""
    return settings.spot_venue_of(symbol) if market == "spot" else settings.perp_venue_of(symbol)


def _wanted(streams: list[_Stream]) -> list[_Stream]:
    """Without the contract sizes of a source that nothing asks for amounts in contracts."""
    need = {s.source.name for s in streams if s.feed.in_contracts and not s.idle}
    return [s for s in streams if s.feed.part != CONTRACTS or s.source.name in need]


# --- how it is asked -----------------------------------------------------------------------------


_SAME_FOR_ALL = (UnknownSymbol, PlanLimit, BadRequest)
"""Failures that every other segment of the stream would meet too."""


class _SourceRun:
    """Fetches all streams of one source over its own bounded pool."""

    def __init__(
        self, source: Source, settings: Settings, client: HttpClient, clock: Clock, now: datetime
    ) -> None:
        self.source = source
        self._client = client
        self._clock = clock
        self._now = now
        self._base = base_url(settings, source)
        # a replay stands for having recorded a series all along: it need not end at a live wall
        self._walls = settings.origin == "live"
        self._deadline: float | None = (
            getattr(settings, source.deadline_setting) if source.deadline_setting else None
        )
        self._stopped: ProviderError | None = None
        self.halted = threading.Event()
        self._lock = threading.Lock()
        self.off = off_reason(settings, source)
        self._headers, self._key_params = source.keyed(settings)

    def plan(self, stream: _Stream) -> list[Window]:
        """Segments to fetch first; what lies before the provider's wall waits for a probe."""
        stream.off = self.off
        if stream.off is not None or stream.idle:
            return []
        retention = stream.feed.retention if self._walls else None
        wall = None if retention is None else _ceil_hour(self._now - retention + WALL_MARGIN)
        stream.inside, stream.beyond = segments(stream.window, stream.feed.paging, wall)
        if stream.beyond:
            stream.probing = True
            return [*stream.inside, stream.beyond.pop(0)]
        return stream.inside

    def run_segment(self, stream: _Stream, segment: Window) -> bool:
        """Fetches one segment; of a stream that looks for a wall, whether its older half has rows."""
        if stream.started is None:
            stream.started = self._clock.now()
        begun = time.monotonic()
        pages: list[_Page] = []
        if isinstance(stream.error, _SAME_FOR_ALL):
            return False
        try:
            self._walk(stream, segment, pages)
        except RetentionLimit as error:
            _incomplete(pages)
            if stream.feed.retention is None:
                self._failed(stream, error)
            else:
                stream.too_old = True
        except ProviderError as error:
            _incomplete(pages)
            self._failed(stream, error)
        with self._lock:
            stream.pages += pages
            stream.seconds += time.monotonic() - begun
        # the wall is not exact to the hour, so rows next to it do not tell that there are more
        if not stream.probing:
            return bool(pages)
        middle = segment.start + (segment.end - segment.start) / 2
        firsts = (_extent(p.frame)[0] for p in pages if "ts" in p.frame)
        return any(first is not None and first <= middle for first in firsts)

    def _failed(self, stream: _Stream, error: ProviderError) -> None:
        with self._lock:
            if stream.feed.optional and isinstance(error, BadRequest):
                stream.note = f"the provider does not offer this any more ({error})"[:200]
                return
            stream.error = stream.error or error
            deferred = isinstance(error, RateLimited) and (error.retry_after or 0) > MAX_WAIT_S
            if error.fatal_for_source or deferred:
                self._stopped = self._stopped or error

    def _walk(self, stream: _Stream, segment: Window, pages: list[_Page]) -> None:
        steps = walk(segment, stream.feed.paging, self._now)
        fixed = stream.feed.params(stream.symbol or VenueSymbol("", ""))
        try:
            asked = next(steps)
            while True:
                page = self._ask(stream, {**fixed, **asked})
                pages.append(page)
                asked = steps.send(_span(page.frame))
        except StopIteration:
            return

    def _ask(self, stream: _Stream, params: Mapping[str, str]) -> _Page:
        if self._stopped is not None:
            raise self._stopped.again()
        if self.halted.is_set():
            raise ProviderError("the run was stopped")
        context = replace(stream.feed.context, now=self._now)
        parser = stream.feed.endpoint.parse
        read: Callable[[bytes, Context], pd.DataFrame | Reading] = (
            parser.read if isinstance(parser, ByColumns) else parser
        )
        try:
            reply = self.get(stream, params, lambda body: read(body, context))
        except ProviderError as error:
            with self._lock:
                stream.requests += error.attempts
            raise
        with self._lock:
            stream.requests += reply.attempts
        return _Page(reply.parsed, reply)

    def get(
        self, stream: _Stream, params: Mapping[str, str], parse: Callable[[bytes], T]
    ) -> Reply[T]:
        """One reply of the source."""
        feed = stream.feed
        path = feed.path(stream.symbol) if feed.path and stream.symbol else feed.endpoint.path
        return self._client.get(
            self.source.name,
            self._base,
            path,
            {**params, **self._key_params},
            parse=parse,
            headers=self._headers,
            errors=self.source.errors,
            weight=feed.endpoint.weight,
            stop=self.halted.is_set,
            deadline_s=self._deadline,
        )


def _incomplete(pages: Iterable[_Page]) -> None:
    for page in pages:
        page.complete = False


def _span(frame: pd.DataFrame | Reading) -> PageSpan:
    cursor = frame.attrs.get(CURSOR)
    if not len(frame) or "ts" not in frame:
        return PageSpan(frame.attrs.get(ROWS, len(frame)), cursor=cursor)
    first, last = _extent(frame)
    if first is None:
        raise ContractViolation("no row of the page has a readable time")
    # a dataset may make several rows of one provider row
    rows = pd.Series(frame["ts"]).nunique() if "metric" in frame else len(frame)
    rows = frame.attrs.get(ROWS, rows)
    return PageSpan(int(rows), first, last, cursor)


def _extent(frame: pd.DataFrame | Reading) -> tuple[datetime, datetime] | tuple[None, None]:
    """Oldest and newest time of a page, null without a readable one (numpy: pages are many)."""
    stamps = np.asarray(frame["ts"], "M8[us]")
    stamps = stamps[~np.isnat(stamps)]
    if not len(stamps):
        return None, None
    first, last = stamps.min().item(), stamps.max().item()
    return first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)


def _last_hour(now: datetime) -> datetime:
    """The hour that a snapshot at ``now`` is about: the running one, at its very end still it."""
    return _ceil_hour(now) - HOUR


def _ceil_hour(at: datetime) -> datetime:
    floor = at.replace(minute=0, second=0, microsecond=0)
    return floor if floor == at else floor + HOUR


class _Counter:
    """Progress per source, one call at a time."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._done: dict[str, int] = defaultdict(int)
        self._total: dict[str, int] = defaultdict(int)

    def more(self, label: str, count: int) -> None:
        with self._lock:
            self._total[label] += count
            self._tell(label)

    def done(self, label: str) -> None:
        with self._lock:
            self._done[label] += 1
            self._tell(label)

    def set(self, label: str, done: int, total: int) -> None:
        with self._lock:
            self._done[label], self._total[label] = done, total
            self._tell(label)

    def _tell(self, label: str) -> None:
        if self._progress is not None:
            self._progress(label, self._done[label], self._total[label])


def _run_all(
    runs: Mapping[str, _SourceRun], streams: Sequence[_Stream], counter: _Counter, per_host: int
) -> None:
    """All segments of all streams, each source over a pool of its own."""
    pools = {
        name: ThreadPoolExecutor(per_host, thread_name_prefix=f"fetch-{name}") for name in runs
    }
    waiting: dict[Future[bool], tuple[_Stream, bool]] = {}
    # asking every waiting future after each reply would cost the square of their number
    finished: SimpleQueue[Future[bool]] = SimpleQueue()

    def submit(stream: _Stream, parts: Sequence[Window], probe: Window | None = None) -> None:
        run = runs[stream.source.name]
        counter.more(stream.source.name, len(parts))
        for part in parts:
            is_probe = part is probe
            future = pools[stream.source.name].submit(run.run_segment, stream, part)
            waiting[future] = (stream, is_probe)
            future.add_done_callback(finished.put)

    try:
        for stream in streams:
            first = runs[stream.source.name].plan(stream)
            submit(stream, first, first[-1] if stream.probing else None)
        while waiting:
            future = finished.get()
            stream, probe = waiting.pop(future)
            gave_rows = future.result()
            counter.done(stream.source.name)
            if not probe or stream.error is not None:
                continue
            if gave_rows:  # the wall is not where it was said to be: take what there is
                rest, stream.beyond = stream.beyond, []
                submit(stream, rest)
            else:
                stream.at_wall = True
    finally:
        for run in runs.values():
            run.halted.set()
        for pool in pools.values():
            pool.shutdown(wait=True, cancel_futures=True)


# --- from pages to rows --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stamping:
    """What all streams of a fetch have in common."""

    dataset: str
    settings: Settings
    window: Window
    now: datetime
    live_clock: bool
    symbols: tuple[str, ...] = ()

    @property
    def item(self) -> Dataset:
        """What the dataset is."""
        return DATASETS[self.dataset]

    def length(self, feed: Feed) -> timedelta:
        """Length of the bucket that a row of a feed is; zero for an instant."""
        return INTERVAL if self.item.is_bucketed or feed.bucketed else timedelta(0)


def _alike(streams: Sequence[_Stream]) -> list[tuple[int, ...]]:
    """Numbers of the streams in groups whose rows are made alike, in one go.

    A frame costs the same for eight rows as for one: the symbols of a feed go together. Trades are
    summed over the hours that a stream reached, and a feed with a shape of its own sees one reply's
    rows: those go alone.
    """
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, stream in enumerate(streams):
        feed = stream.feed
        if feed.part in NO_SERIES or not stream.gave_rows:
            continue
        summed = DATASETS[feed.dataset].form is Form.SUMMED
        alone = number if feed.shape is not None or summed else None
        key = (stream.source.name, id(feed), stream.venue, stream.from_archive, alone)
        groups[(*key, stream.symbol is None)].append(number)
    return [tuple(numbers) for numbers in groups.values()]


@dataclass(frozen=True)
class _Batch:
    """Streams of one feed whose rows are made together; their numbers are the rows' ``stream``."""

    streams: Mapping[int, _Stream]

    @property
    def one(self) -> _Stream:
        """Any of them, for what they have in common: source, feed, venue."""
        return next(iter(self.streams.values()))

    def per_row(self, frame: pd.DataFrame, tell: Callable[[_Stream], Any]) -> pd.Series:
        """What a stream says of itself, at each of its rows."""
        told = {number: tell(stream) for number, stream in self.streams.items()}
        return frame["stream"].map(told)


def _rows(
    batch: _Batch, common: _Stamping, contracts: Mapping[tuple[str, str], float]
) -> pd.DataFrame:
    """All pages of a batch as one frame with the table's columns, ``reason`` and ``stream``.

    ``contracts``: coins behind one contract by source and instrument.
    """
    pages = [(n, p) for n, s in batch.streams.items() for p in s.pages if len(p.frame)]
    one = batch.one
    frame = _concat([p.frame for _, p in pages])
    page = np.repeat(np.arange(len(pages)), [len(p.frame) for _, p in pages])
    frame["payload_id"] = pd.array([p.reply.landed.payload_id for _, p in pages], dtype="str").take(
        page
    )
    frame["fetched_at"] = (
        pd.DatetimeIndex([p.reply.fetched_at for _, p in pages]).as_unit("us").take(page)
    )
    seen = [p.reply.seen_at if common.live_clock else p.reply.fetched_at for _, p in pages]
    frame["seen_at"] = pd.DatetimeIndex(seen).as_unit("us").take(page)
    frame["listing_complete"] = pd.array([p.complete for _, p in pages], dtype="boolean").take(page)
    frame["stream"] = np.array([n for n, _ in pages], dtype="int64").take(page)
    if common.live_clock:
        frame["server_at"] = pd.DatetimeIndex(
            [min(common.now, p.reply.http_date or common.now) for _, p in pages]
        ).as_unit("us").take(page)  # fmt: skip
    if one.feed.snapshot:
        frame = _observed_now(frame, common)
    if one.feed.shape is not None:
        _blame_other_symbols(frame, batch)
        frame = one.feed.shape(frame).assign(stream=next(iter(batch.streams)))
    if one.feed.by_coin:
        frame = _of_wanted_coins(frame, common)
    if common.item.grid is not None and common.item.grid.rounded:
        frame["ts"] = frame["ts"].dt.round("min")
    if one.feed.in_contracts:
        named = one.symbol is not None
        sizes = batch.per_row(
            frame,
            lambda s: contracts.get((s.source.name, s.symbol.name if named and s.symbol else "")),
        )
        _to_coins(frame, sizes.astype("float64"))
    frame = _in_form(frame, batch, common)
    if frame.empty:
        return frame
    _judge_rows(frame, batch, common)
    _one_coin_each(frame, batch)
    _stamp(frame, batch, common)
    return frame


def _concat(pages: Sequence[pd.DataFrame | Reading]) -> pd.DataFrame:
    if readings := [p for p in pages if isinstance(p, Reading)]:
        return joined(readings)
    frame = pd.concat([p for p in pages if isinstance(p, pd.DataFrame)], ignore_index=True)
    frame.attrs = {}
    return frame


def _one_coin_each(frame: pd.DataFrame, batch: _Batch) -> None:
    """Prices and amounts of multiplied contracts (1000PEPE) per coin, in place."""
    if all(s.symbol is None or s.symbol.multiplier == 1 for s in batch.streams.values()):
        return
    multiplier = batch.per_row(frame, lambda s: s.symbol.multiplier if s.symbol else 1)
    for column in PRICES:
        if column in frame:
            frame[column] /= multiplier
    for column in COINS:
        if column in frame:
            frame[column] *= multiplier
    if "metric" in frame:
        coins = frame["metric"].str.endswith("_base")
        frame["value"] = frame["value"].where(~coins, frame["value"] * multiplier)


def _in_form(frame: pd.DataFrame, batch: _Batch, common: _Stamping) -> pd.DataFrame:
    """The rows that the dataset is made of, those in scope: samples, sums or single events."""
    form = common.item.form
    if form is Form.SAMPLED:
        return _sampled(frame, batch)
    if form is Form.SUMMED:
        ((number, stream),) = batch.streams.items()
        frame = _summed(frame, stream, common).assign(stream=number)
    frame = _in_scope(frame, batch.one.feed, common)
    return _identified(frame) if form is Form.DIGESTED else frame


def _to_coins(frame: pd.DataFrame, sizes: pd.Series) -> None:
    """Amounts in contracts as coins and USD, in place; without the size a row can't be used."""
    _blame(frame, sizes.isna(), "the size of a contract is not known")
    known = sizes.notna()
    depths = [str(c) for c in frame.columns if str(c).startswith("depth_")]
    for column in depths:
        frame[column] = frame[column].where(~known, frame[column] * sizes)
    if "quantity_contracts" not in frame:
        return
    coins = frame["quantity_contracts"] * sizes
    frame["quantity_base"] = frame["quantity_base"].where(coins.isna(), coins)
    for value in ("value_quote", "liquidation_usd"):
        if value in frame:
            frame[value] = frame[value].where(coins.isna(), coins * frame["price"])


def _sampled(frame: pd.DataFrame, batch: _Batch) -> pd.DataFrame:
    """Snapshots stamped with the instant of sampling, with their age then."""
    frame["ts"] = frame["seen_at"]
    age = (frame["seen_at"] - frame["book_ts"]).dt.total_seconds()
    # a venue's clock may run a little ahead of ours; a book without a time is as old as its reply
    frame["book_age_s"] = age.fillna(0.0).clip(lower=0.0)
    reach = frame["book_reach_bps"]
    frame["is_lower_bound"] = (reach < WIDEST_BAND_BPS).astype("boolean").mask(reach.isna())
    # a venue that doesn't repeat the instrument's name told of the one that it was asked for
    told = frame["venue_symbol"].notna().groupby(frame["stream"]).transform("any")
    asked = batch.per_row(frame, lambda s: s.symbol.name if s.symbol else None).astype("str")
    frame["venue_symbol"] = frame["venue_symbol"].astype("str").where(told, asked)
    return frame


def _summed(frame: pd.DataFrame, stream: _Stream, common: _Stamping) -> pd.DataFrame:
    """Trades as hours that were fetched from end to end; a failed page leaves none."""
    if stream.error is not None:
        return frame.head(0)
    names = frame["venue_symbol"].dropna()
    if stream.symbol is not None and (names != stream.symbol.name).any():
        other = names[names != stream.symbol.name].iloc[0]
        raise_for = f"symbol: {other!r:.40} among the trades"
        frame["reason"] = frame["reason"].fillna(raise_for)
    covered = stream.window
    if stream.feed.paging.kind == "single":  # the newest trades, however far they reach back
        first = frame["ts"].min()
        begin = covered.end if first is pd.NaT else max(covered.start, first.to_pydatetime())
        covered = Window(min(begin, covered.end), covered.end)
    hours = hourly(frame, whole_hours(covered, common.now))
    if hours.empty:
        return frame.head(0)
    unplaced = int(frame["ts"].isna().sum())
    if unplaced:
        _blame(hours, pd.Series(True, index=hours.index), f"{unplaced} trades have no time")
    newest = frame.sort_values(["fetched_at", "payload_id"], kind="stable").iloc[-1]
    return hours.assign(**{c: newest[c] for c in ("fetched_at", "seen_at", "payload_id")})


def _identified(frame: pd.DataFrame) -> pd.DataFrame:
    """Events with a digest of what tells them apart; equal ones in one millisecond are one."""
    parts = (frame["ts"], frame["position_side"], frame["price"], frame["quantity_base"])
    texts = ["|".join(map(str, row)) for row in zip(*parts, strict=True)]
    frame["closure_id"] = pd.array(
        [hashlib.sha256(t.encode()).hexdigest()[:16] for t in texts], dtype="str"
    )
    return frame


def _observed_now(frame: pd.DataFrame, common: _Stamping) -> pd.DataFrame:
    """Rows of a reply about the present: under the hour in which it came.

    A reply that says its own time must be of that hour or the one before: a cache that stands still
    is no observation.
    """
    wrong = frame["seen_at"] != frame["fetched_at"]  # our clock is: the server's tells the hour
    now = frame["seen_at"].where(wrong, pd.Timestamp(common.now).as_unit("us"))
    hour = now.dt.ceil("h") - HOUR
    if "ts" in frame or "told_at" in frame:
        told = frame["ts" if "ts" in frame else "told_at"]
        old = told.notna() & (told < hour - HOUR)
        _blame(frame, old, "ts: a stale reply, older than the hour before it was asked for")
        frame["ts"] = told.dt.floor("h").where(told.notna() & ~old, hour)
    else:
        frame["ts"] = hour
    return frame


def _of_wanted_coins(frame: pd.DataFrame, common: _Stamping) -> pd.DataFrame:
    """The rows of the wanted symbols' coins, one reply each; the rest was not asked for."""
    symbols = {split_symbol(s)[0]: s for s in reversed(common.symbols)}
    frame["symbol"] = frame["coin"].map(symbols).astype("str")
    kept = frame.loc[frame["symbol"].notna()]
    return kept.drop_duplicates(["symbol", "fetched_at"]).reset_index(drop=True)


def _in_scope(frame: pd.DataFrame, feed: Feed, common: _Stamping) -> pd.DataFrame:
    """Without rows outside the window, and without buckets that still run."""
    ts = frame["ts"]
    length = common.length(feed)
    outside = (ts < common.window.start) | (ts >= common.window.end)
    # what has closed is for the provider's clock to say: ours may be ahead of it
    now = frame.get("server_at", common.now)
    running = ts + length > now
    if "close_time" in frame:
        running |= frame["close_time"] > now
    if "is_closed" in frame:
        running |= ~frame["is_closed"].fillna(True).astype(bool)
    # a time that cannot be read stays, to be quarantined; one in the future is not a running bar
    return frame.loc[~(outside | running).fillna(False).to_numpy(bool)].reset_index(drop=True)


def _judge_rows(frame: pd.DataFrame, batch: _Batch, common: _Stamping) -> None:
    """Adds reasons for rows off the grid, of another instrument or of another bar length."""
    ts = frame["ts"]
    grid = HOURLY_GRID if batch.one.feed.bucketed else common.item.grid
    if grid is not None:
        off = (ts - ts.dt.round(pd.Timedelta(grid.step))).abs()
        _blame(frame, off > grid.tolerance, grid.reason)
    _blame_other_symbols(frame, batch)
    if "close_time" in frame:
        length = frame["close_time"] - ts
        # a bar cut short by a halt of the venue is a bar; a series of short ones is another timeframe
        short = length * 2 <= INTERVAL
        _blame(frame, length > INTERVAL, "close_time: a longer bar than asked for")
        most = short.groupby(frame["stream"]).transform("mean") > 0.5
        _blame(frame, short & most, "close_time: a shorter bar than asked for")


def _blame_other_symbols(frame: pd.DataFrame, batch: _Batch) -> None:
    if "venue_symbol" in frame and batch.one.symbol is not None:
        asked = batch.per_row(frame, lambda s: s.symbol.name if s.symbol else None).astype("str")
        other = (frame["venue_symbol"] != asked).fillna(True)
        _blame(frame, other, "symbol: another one than " + asked)


def _blame(frame: pd.DataFrame, mask: pd.Series, why: str | pd.Series) -> None:
    bad = mask.fillna(False).to_numpy(bool)
    if bad.any():
        old = frame.loc[bad, "reason"]
        new = why if isinstance(why, str) else why[bad]
        frame.loc[bad, "reason"] = (old + "; " + new).where(old.notna(), new)


def _primary_source(stream: _Stream, common: _Stamping) -> str | None:
    """The provider whose rows are the primary ones; None where every provider's are."""
    item = common.item
    if not item.primary_settings:
        return item.primary
    named = getattr(common.settings, item.primary_settings[0])
    if isinstance(named, Mapping):
        return str(named.get(stream.feed.kind, ""))
    return str(named)


def _tier(stream: _Stream, common: _Stamping) -> int:
    """1 for the series that the settings make the primary one, 3 from the archive, else 2."""
    if stream.from_archive:
        return ARCHIVE_TIER
    item = common.item
    if stream.source.relays and item.is_relayed:
        return 2
    if _primary_source(stream, common) not in (None, stream.source.name):
        return 2
    if not item.by_venue:
        return 1
    settings = common.settings
    if item.primary_venue_setting is not None:
        return 1 if stream.venue == getattr(settings, item.primary_venue_setting) else 2
    home = _home(settings, stream.feed.market, stream.canonical or "")
    return 1 if stream.venue == home else 2


def _stamp(frame: pd.DataFrame, batch: _Batch, common: _Stamping) -> None:
    """Adds keys, tier, and when each row could be known, in place.

    What was seen live was known when it was seen, and no bucket before its end.
    """
    one = batch.one
    length = common.length(one.feed)
    end = frame["ts"] + length
    known = frame["ts"] + common.item.lag + (INTERVAL if one.feed.bucketed else timedelta(0))
    if one.feed.snapshot:
        known = frame["seen_at"]
    seen = pd.Series(False, index=frame.index)
    if common.live_clock:
        seen = ((frame["seen_at"] - known).abs() <= OBSERVED_WITHIN).fillna(False)
    told = known.where(~seen, frame["seen_at"])
    frame["available_at"] = told.where(~(told < end), end)
    frame["pit_grade"] = pd.Series(
        np.where(seen, "observed", "assumed"), index=frame.index, dtype="str"
    )
    frame["source"] = one.source.name
    frame["source_tier"] = batch.per_row(frame, lambda s: _tier(s, common))
    frame["venue"] = one.venue
    frame["market"] = one.feed.market
    if not one.feed.by_coin:
        frame["symbol"] = batch.per_row(frame, lambda s: s.canonical or MARKET_SYMBOL).astype("str")
    frame["timeframe"] = TIMEFRAME
    if common.item.by_kind:
        frame["sentiment_kind"] = one.feed.kind
        frame["sentiment_scope"] = "market" if one.symbol is None else "symbol"


def _unique(
    frame: pd.DataFrame, key: list[str], values: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per key in key order, and the rows that said something else under the same key.

    The later reply wins; within equal times the larger values do, so that the order of pages and
    rows never decides. Exact repeats vanish.
    """
    order, repeats = key_order([pa.array(frame[c]) for c in key])
    if not repeats.any():
        kept = frame if is_in_order(order) else frame.take(order)
        return kept.reset_index(drop=True), frame.head(0)
    several = repeats | np.append(repeats[1:], False)
    rivals = frame.take(order[several]).sort_values(
        [*key, "fetched_at", *values, "payload_id"], kind="stable", na_position="first"
    )
    lost = rivals.duplicated(key, keep="last").to_numpy()
    winners, losers = rivals.loc[~lost], rivals.loc[lost]
    same = pd.concat([losers, winners]).duplicated([*key, *values], keep="last").to_numpy()
    differing = losers.loc[~same[: len(losers)]].drop_duplicates([*key, *values])
    order[several] = rivals.index
    gone = np.zeros(len(frame), dtype=bool)
    gone[losers.index] = True
    return (
        frame.take(order[~gone[order]]).reset_index(drop=True),
        differing.reset_index(drop=True),
    )


def _assemble(
    dataset: str, streams: Sequence[_Stream], common: _Stamping
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Contract-valid rows, and the others with their reasons; counts both per stream."""
    target = table(f"raw.{dataset}")
    key = list(target.key)
    values = [f for f in target.content if f not in target.key and f != "source_tier"]
    wanted = tuple(dict.fromkeys([*target.fields, "reason", "fetched_at", "stream"]))
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    bad: list[pd.DataFrame] = []
    contracts = _contract_sizes(streams)
    for numbers in _alike(streams):
        batch = _Batch({number: streams[number] for number in numbers})
        rows = _rows(batch, common, contracts)
        if rows.empty:
            continue
        rows = pd.DataFrame({c: rows[c] if c in rows else _nulls(c, rows.index) for c in wanted})
        broken = rows["reason"].notna() | rows["ts"].isna()
        if broken.any():
            bad.append(rows.loc[broken])
            rows = rows.loc[~broken]
        parts[batch.one.feed.part].append(rows)
    finished: list[pd.DataFrame] = []
    halves: dict[str, pd.DataFrame] = {}
    for part, pieces in parts.items():
        one, differing = _unique(pd.concat(pieces, ignore_index=True), key, values)
        bad.append(differing.assign(reason="another row with the same key says otherwise"))
        _count(streams, one, "stored")
        if part:
            halves[part] = one
        else:
            finished.append(one)
    if halves:
        finished.append(reduce(lambda left, right: _complete(left, right, key), halves.values()))
    good = pd.concat(finished, ignore_index=True) if finished else pd.DataFrame()
    if good.empty:
        for frame in bad:
            _count(streams, frame, "quarantined")
        return empty(target), _quarantine(bad, target.fields)
    good = _label_intervals(good, [s for s in streams if s.feed.part == INTERVALS])
    ready, refused = split(good[list(target.fields)], target)
    if len(refused):
        refused = refused.merge(good[[*key, "stream"]], on=key, how="left")
        _count(streams, refused, "stored", sign=-1)
        bad.append(refused)
    for frame in bad:
        _count(streams, frame, "quarantined")
    if len(parts) > 1:
        ready = ready.sort_values(key, ignore_index=True)
    return ready, _quarantine(bad, target.fields)


def _nulls(column: str, index: pd.Index) -> pd.Series:
    dtype: Any = DTYPES[FIELDS[column].kind]
    return pd.Series(None, index=index, dtype=dtype)


def _count(streams: Sequence[_Stream], frame: pd.DataFrame, what: str, sign: int = 1) -> None:
    if len(frame):
        for number, rows in frame["stream"].value_counts().items():
            stream = streams[int(number)]  # type: ignore[call-overload]
            setattr(stream, what, getattr(stream, what) + sign * int(rows))


def _complete(left: pd.DataFrame, right: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Rows of two frames with the same keys made one: the left's values, else the right's."""
    merged = left.merge(right, on=key, how="outer", suffixes=("", "_right"))
    for column in left.columns.difference(key):
        other = merged.pop(f"{column}_right")
        merged[column] = merged[column].where(merged[column].notna(), other)
    return merged


def _quarantine(bad: Sequence[pd.DataFrame], fields: Sequence[str]) -> pd.DataFrame:
    columns = list(dict.fromkeys([*fields, "reason", "source"]))
    filled = [b.reindex(columns=columns) for b in bad if len(b)]
    if not filled:
        return pd.DataFrame({c: pd.Series(dtype=DTYPES[FIELDS[c].kind]) for c in columns})
    return pd.concat(filled, ignore_index=True)


def _contract_sizes(streams: Sequence[_Stream]) -> dict[tuple[str, str], float]:
    """Coins behind one contract by source and instrument, as the venues list them."""
    out: dict[tuple[str, str], float] = {}
    for stream in streams:
        if stream.feed.part == CONTRACTS:
            for page in stream.pages:
                listed = _concat([page.frame])
                known = listed[listed["contract_base"].notna()]
                names = [(stream.source.name, str(n)) for n in known["venue_symbol"]]
                out |= dict(zip(names, known["contract_base"], strict=True))
    return out


def _without_secrets(frame: pd.DataFrame, redact: Callable[[object], str]) -> pd.DataFrame:
    """Refused rows quote what a provider sent, which may be what it was sent."""
    for column in frame.columns:
        if len(frame) and DTYPES[FIELDS[column].kind] == "str":
            frame[column] = frame[column].map(redact, na_action="ignore")
    return frame


# --- funding intervals ---------------------------------------------------------------------------


def _label_intervals(good: pd.DataFrame, lists: Sequence[_Stream]) -> pd.DataFrame:
    """Adds the funding intervals that a venue says are in force now.

    Binance lists only contracts that were ever adjusted, with the present interval and the time of
    the entry's last change. That labels no print before the change plus one whole interval: older
    history stays null, as do contracts that are not listed, and whoever needs the interval there
    takes it from the spacing of the prints.
    """
    for stream in lists:
        for page in stream.pages:
            listed = _concat([page.frame])
            listed = listed.loc[listed["reason"].isna() & listed["since"].notna()]
            own = good["source"] == stream.source.name
            names = {
                to_venue(s, stream.venue, "perp").name: s for s in good.loc[own, "symbol"].unique()
            }
            for name, hours, since in zip(
                listed["venue_symbol"], listed["interval_hours"], listed["since"], strict=True
            ):
                if name in names and 1 <= hours <= 24:
                    from_here = good["ts"] >= since + int(hours) * HOUR
                    good.loc[
                        own & (good["symbol"] == names[name]) & from_here, "interval_hours"
                    ] = int(hours)
    return good


# --- records -------------------------------------------------------------------------------------


def _class_of(stream: _Stream) -> str | None:
    if stream.off is not None:
        return "NotConfigured"
    return stream.error.error_class if stream.error else None


def _log_row(
    stream: _Stream, common: _Stamping, redact: Callable[[object], str]
) -> dict[str, object]:
    status, message = "ok", None
    if stream.off is not None:
        status, message = "skipped", stream.off
    elif stream.error is not None:
        status, message = "failed", redact(stream.error)
    elif stream.too_old or (stream.at_wall and (stream.gave_rows or not stream.inside)):
        days = (stream.feed.retention or timedelta(0)) / timedelta(days=1)
        status, message = "partial", f"the provider keeps {days:g} days only"
    elif stream.note is not None:
        status, message = "partial", redact(stream.note)
    elif not stream.gave_rows and not stream.is_whole:
        status = "empty"
    # the archive answers only for the days whose files should be there, a name for its own time
    answered = stream.window if stream.from_archive or stream.is_part else common.window
    return {
        "fetch_id": uuid.uuid4().hex,
        "dataset": common.dataset,
        "source": ARCHIVE if stream.from_archive else stream.source.name,
        "venue": stream.venue,
        "market": stream.feed.market,
        "symbol": stream.canonical,
        "endpoint_path": stream.feed.endpoint.path,
        "window_start": answered.start,
        "window_end": answered.end,
        "fetch_status": status,
        "error_class": _class_of(stream),
        "error_message": message,
        "rows_stored": stream.stored,
        "rows_quarantined": stream.quarantined,
        "request_count": stream.requests,
        "duration_s": stream.seconds,
        "source_tier": _tier(stream, common)
        if stream.symbol or not stream.feed.per_symbol
        else None,
        "fetched_at": stream.started or common.now,
        "run_id": None,
    }


def _payload_rows(streams: Iterable[_Stream]) -> list[dict[str, object]]:
    out: dict[tuple[str, str], dict[str, object]] = {}
    for stream in streams:
        for page in stream.pages:
            reply = page.reply
            out[reply.landed.payload_id, reply.url] = {
                "payload_id": reply.landed.payload_id,
                "source": ARCHIVE if stream.from_archive else stream.source.name,
                "endpoint_path": stream.feed.endpoint.path,
                "url": reply.url,
                "http_status": reply.status,
                "http_date": reply.http_date,
                "byte_count": reply.landed.byte_count,
                "landing_path": reply.landed.path,
                "fetched_at": reply.fetched_at,
                "run_id": None,
            }
    return list(out.values())


def _typed(rows: list[dict[str, object]], name: str) -> pd.DataFrame:
    target = table(name)
    if not rows:
        return empty(target)
    data = {f: pd.Series([r[f] for r in rows], dtype=DTYPES[FIELDS[f].kind]) for f in target.fields}
    return pd.DataFrame(data).sort_values(list(target.key), ignore_index=True)


# --- the archive ---------------------------------------------------------------------------------


def _archive_stream(harvest: Harvest) -> _Stream:
    """A series of the archive in the shape of the others; its rows carry the venue's own source."""
    series = harvest.series
    return _Stream(
        SOURCES[series.source],
        series.feed,
        harvest.symbol,
        harvest.window,
        series.feed.venue,
        pages=[_Page(reply.parsed, reply) for reply in harvest.pages],
        requests=harvest.requests,
        seconds=harvest.seconds,
        error=harvest.error,
        started=harvest.started,
        from_archive=True,
        is_whole=harvest.is_whole,
    )


def _filled(
    frame: pd.DataFrame,
    quarantined: pd.DataFrame,
    streams: Sequence[_Stream],
    common: _Stamping,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of the other sources, and those of the archive for keys that they lack."""
    target = table(f"raw.{common.dataset}")
    key = list(target.key)
    rows, bad = _assemble(common.dataset, streams, common)
    known = pd.MultiIndex.from_frame(frame[key])
    rows = rows.loc[~pd.MultiIndex.from_frame(rows[key]).isin(known)]
    both = [f for f in (frame, rows) if len(f)]
    if len(both) == 2:
        frame = pd.concat(both, ignore_index=True).sort_values(key, ignore_index=True)
    elif both:
        frame = both[0].reset_index(drop=True)
    return frame, _quarantine([quarantined, bad], target.fields)


# --- the way in ----------------------------------------------------------------------------------


def fetch(
    dataset: str,
    window: Window,
    *,
    settings: Settings,
    client: HttpClient,
    clock: Clock,
    symbols: Sequence[str],
    sources: Sequence[str] | None = None,
    stored: pd.DataFrame | None = None,
    progress: Progress | None = None,
) -> FetchResult:
    """Everything that the configured sources have of a raw dataset in a window.

    Only buckets closed at ``clock.now()`` are kept. Hours a venue has no row for are simply absent.

    Args:
        dataset: a raw table without its schema, see ``registry.datasets()``.
        window: wanted ``ts``, half open.
        settings: sources, base URLs, keys, primary venues.
        client: does the requests.
        clock: says what is closed; a row counts as seen live only under the system clock.
        symbols: canonical symbols.
        sources: asks only these of the configured sources.
        stored: key columns of rows that are stored already: the archive is not asked for them.
        progress: is told ``(source, requests planned and done, planned)`` as it goes.

    Returns:
        Rows, refused rows, log and payload index; see :class:`FetchResult`. A source without its key
        or address is not asked; its log rows say ``skipped`` and why.

    Raises:
        NoSourceError: no configured source serves the dataset, and it is not an optional one.
        ValueError: an unknown dataset or source, or a symbol that is not canonical.
    """
    now = clock.now()
    universe = tuple(dict.fromkeys(symbols))
    common = _Stamping(dataset, settings, window, now, isinstance(clock, SystemClock), universe)
    chosen = chosen_sources(dataset, settings, sources)
    runs = {
        s.name: _SourceRun(s, settings, client, clock, now) for s in chosen if s.name != ARCHIVE
    }
    streams = _wanted(
        [
            stream
            for run in runs.values()
            for stream in _streams(dataset, run.source, settings, window, universe, now)
        ]
    )
    counter = _Counter(progress)
    _run_all(runs, streams, counter, client.concurrency_per_host)
    frame, quarantined = _assemble(dataset, streams, common)
    if any(s.name == ARCHIVE for s in chosen):
        known = frame if stored is None else pd.concat([frame[list(stored.columns)], stored])
        filling = [
            _archive_stream(harvest)
            for harvest in collect(
                dataset,
                window,
                settings=settings,
                client=client,
                clock=clock,
                symbols=universe,
                have=known,
                progress=lambda done, total: counter.set(ARCHIVE, done, total),
            )
        ]
        frame, quarantined = _filled(frame, quarantined, filling, common)
        streams = [*streams, *filling]
    text = client.redactor.text
    return FetchResult(
        frame=frame,
        quarantined=_without_secrets(quarantined, text),
        log=_typed([_log_row(s, common, text) for s in streams], "ops.fetch_log"),
        payloads=_typed(_payload_rows(streams), "ops.payloads"),
    )
