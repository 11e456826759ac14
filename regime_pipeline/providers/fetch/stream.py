"""One feed of one source for one symbol: the part of a window it is asked for, and how it goes.

Does not belong here: requests (``asking``), rows (``rows``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.datasets import DATASETS, Dataset, Form
from regime_pipeline.providers.errors import ProviderError
from regime_pipeline.providers.fetch.sources import home_venue, not_asked
from regime_pipeline.providers.http import Reply
from regime_pipeline.providers.readings import Reading
from regime_pipeline.providers.source import Feed, Source
from regime_pipeline.providers.symbols import VenueSymbol, names_over
from regime_pipeline.providers.trades import whole_hours
from regime_pipeline.settings import Settings
from regime_pipeline.windows import HOUR, Window, floor_hour

SeriesKey = tuple[str, str, str, str]
"""Source, venue, market, symbol (``*``: the whole market)."""
INTERVAL = HOUR
INTERVALS = "intervals"
CONTRACTS = "contracts"
NO_SERIES = (INTERVALS, CONTRACTS)
"""Parts of feeds whose replies complete rows of other feeds."""
LIVE_WITHIN = timedelta(minutes=5)
"""A window that ends no longer ago than this reaches the present."""
NEWEST_ONLY = "the provider serves only the latest value; nothing was recorded for this period"


@dataclass
class Page:
    """One parsed reply and the reply itself."""

    frame: pd.DataFrame | Reading
    reply: Reply[Any]
    complete: bool = True
    """Whether the listing that the page is part of came to its end."""


@dataclass
class Stream:
    """One feed of one source for one symbol, and how it goes."""

    source: Source
    feed: Feed
    symbol: VenueSymbol | None
    window: Window
    venue: str
    inside: list[Window] = field(default_factory=list)
    beyond: list[Window] = field(default_factory=list)
    probing: bool = False
    pages: list[Page] = field(default_factory=list)
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
    """One of the names that the venue gave the symbol in the window, or one of its hours."""
    is_live: bool = False
    """Its pages follow each other as they were received: none repeats what another one has."""

    @property
    def gave_rows(self) -> bool:
        """Whether any page has rows."""
        return any(len(page.frame) for page in self.pages)

    def extent(self) -> tuple[datetime, datetime] | tuple[None, None]:
        """Oldest and newest time of the rows of all pages, null without a readable one."""
        spans = [extent(p.frame) for p in self.pages if "ts" in p.frame]
        firsts = [first for first, _ in spans if first is not None]
        lasts = [last for _, last in spans if last is not None]
        return (min(firsts), max(lasts)) if firsts and lasts else (None, None)

    @property
    def is_complete(self) -> bool:
        """Whether it was answered, and to the end."""
        return self.error is None and bool(self.pages) and all(p.complete for p in self.pages)

    @property
    def canonical(self) -> str | None:
        """Our name of its symbol; None without one."""
        return self.symbol.canonical if self.symbol else None


def streams_of(
    dataset: str,
    source: Source,
    settings: Settings,
    window: Window,
    symbols: Iterable[str],
    now: datetime,
) -> Iterator[Stream]:
    """What is asked of a source for a dataset: a stream a feed, and a symbol and name where it has them.

    A stream whose feed has nothing to say about the window is idle: it is not asked, its log row says
    why.
    """
    for feed in source.feeds:
        if feed.dataset != dataset:
            continue
        if feed.files is not None:
            yield from _hours_of_files(source, feed, settings, window, now)
            continue
        reach, idle = _asked_part(feed, window, now)
        if reach.is_empty:
            continue
        replay = settings.origin == "tape"  # its end is no present: chunks would differ
        gone = DATASETS[dataset].forward_only
        idle = idle or (replay and gone is not None and feed.part != CONTRACTS)
        note = gone if idle else None
        if (left := not_asked(settings, feed)) is not None:
            idle, note = True, left
        if feed.reach is not None:
            # nothing left means the feed has nothing about the window: said once, never asked
            begin = reach.end if replay else _last_hour(now) + HOUR - feed.reach
            reach = Window(max(reach.start, min(reach.end, begin)), reach.end)
            if reach.is_empty:
                idle, note = True, NEWEST_ONLY
        if not feed.per_symbol:
            yield Stream(source, feed, None, reach, feed.venue, idle=idle, note=note)
            continue
        for name, part, is_part in _names(feed, settings, symbols, reach):
            yield Stream(
                source, feed, name, part, feed.venue, idle=idle, note=note, is_part=is_part
            )


def _names(
    feed: Feed, settings: Settings, symbols: Iterable[str], reach: Window
) -> Iterator[tuple[VenueSymbol, Window, bool]]:
    """The symbols that a feed is asked for, under each of their names, and whether it is one of several."""
    for symbol in filter(feed.is_about, symbols):
        if feed.only_primary and home_venue(settings, feed.market, symbol) != feed.venue:
            continue
        names = names_over(symbol, feed.names or feed.venue, feed.market, reach)
        if feed.live_only or feed.snapshot:
            names = [(names[-1][0], reach)]
        for name, part in names:
            yield name, part, len(names) > 1


def _hours_of_files(
    source: Source, feed: Feed, settings: Settings, window: Window, now: datetime
) -> Iterator[Stream]:
    """A stream for each closed hour: the file of one may be absent or torn while its neighbours are there."""
    left = not_asked(settings, feed)
    if left is not None:
        yield Stream(source, feed, None, window, feed.venue, idle=True, note=left)
        return
    for hour in whole_hours(window, now):
        yield Stream(source, feed, None, Window(hour, hour + HOUR), feed.venue, is_part=True)


def _asked_part(feed: Feed, window: Window, now: datetime) -> tuple[Window, bool]:
    """The part of a window that a feed is asked for, and whether it has nothing to say about it.

    Of a dataset that is collected as time goes, a window of the past is kept whole and idle: no
    request is made, and the log says why.
    """
    item = DATASETS[feed.dataset]
    reach = Window(window.start, max(window.start, min(window.end, now)))
    if item.is_bucketed or feed.bucketed:
        # a provider that lacks the running bucket, which is not kept, would be asked twice for it
        closed = max(window.start, min(window.end, floor_hour(now)))
        reach = Window(window.start, closed if closed > window.start else reach.end)
    if item.forward_only is not None:
        if feed.part == CONTRACTS:
            return reach, False  # asked only beside a feed that needs it
        if feed.live_only:
            return reach, not window.start <= now <= window.end + LIVE_WITHIN
        near = Window(
            max(reach.start, min(reach.end, now - (feed.newest or timedelta(0)))), reach.end
        )
        if item.form is Form.SUMMED:  # parts of hours would be asked for in vain
            start = ceil_hour(near.start)
            near = Window(start, max(start, floor_hour(near.end)))
        return (reach, True) if near.is_empty else (near, False)
    if feed.newest is not None:
        reach = Window(max(reach.start, min(reach.end, now - feed.newest)), reach.end)
    if feed.older_than is not None:
        reach = reach.clipped(now - feed.older_than)
    return reach, False


def is_wanted(stream: Stream, series: Collection[SeriesKey]) -> bool:
    """Whether a stream is about one of the series, or completes them; without any, all are wanted."""
    if not series or stream.feed.part in NO_SERIES:
        return True
    key = (stream.source.name, stream.venue, stream.feed.market)
    if stream.canonical is not None:
        return (*key, stream.canonical) in series
    return any(one[:3] == key for one in series)


def without_unneeded(streams: list[Stream]) -> list[Stream]:
    """Without the lists of a source that complete nothing which is asked for."""
    asked = {s.source.name for s in streams if s.feed.part not in NO_SERIES}
    need = {s.source.name for s in streams if s.feed.in_contracts and not s.idle}
    return [s for s in streams if s.source.name in (need if s.feed.part == CONTRACTS else asked)]


def extent(frame: pd.DataFrame | Reading) -> tuple[datetime, datetime] | tuple[None, None]:
    """Oldest and newest time of a page, null without a readable one (numpy: pages are many)."""
    stamps = np.asarray(frame["ts"], "M8[us]")
    stamps = stamps[~np.isnat(stamps)]
    if not len(stamps):
        return None, None
    first, last = stamps.min().item(), stamps.max().item()
    return first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)


def _last_hour(now: datetime) -> datetime:
    """The hour that a snapshot at ``now`` is about: the running one, at its very end still it."""
    return ceil_hour(now) - HOUR


def ceil_hour(at: datetime) -> datetime:
    """The full hour at or after ``at``."""
    floor = at.replace(minute=0, second=0, microsecond=0)
    return floor if floor == at else floor + HOUR


@dataclass(frozen=True)
class Stamping:
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
        return INTERVAL if feed.bucketed else self.item.length
