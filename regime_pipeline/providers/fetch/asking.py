"""Running the request plans of all sources side by side, each over a pool of its own.

Belongs here: segments, pages, walls of retention, progress. Does not belong here: HTTP (``http``),
paging (``plan``), what rows are made of the pages (``rows``).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import TypeVar

import pandas as pd

from regime_pipeline.providers.errors import (
    BadRequest,
    ContractViolation,
    PlanLimit,
    ProviderError,
    RateLimited,
    RetentionLimit,
    UnknownSymbol,
)
from regime_pipeline.providers.fetch.sources import base_url, off_reason
from regime_pipeline.providers.fetch.stream import Page, Stream, ceil_hour, extent
from regime_pipeline.providers.http import MAX_WAIT_S, HttpClient, Reply
from regime_pipeline.providers.paging import PageSpan
from regime_pipeline.providers.readings import CURSOR, ROWS, ByColumns, Context, Reading
from regime_pipeline.providers.source import Source, posted
from regime_pipeline.providers.symbols import VenueSymbol
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock, Window

T = TypeVar("T")
WALL_MARGIN = timedelta(minutes=10)
Progress = Callable[[str, int, int], None]
_SAME_FOR_ALL = (UnknownSymbol, PlanLimit, BadRequest)
"""Failures that every other segment of the stream would meet too."""


class SourceRun:
    """Fetches all streams of one source over its own bounded pool."""

    def __init__(
        self, source: Source, settings: Settings, client: HttpClient, clock: Clock, now: datetime
    ) -> None:
        self.source = source
        self._settings = settings
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

    def plan(self, stream: Stream) -> list[Window]:
        """Segments to fetch first; what lies before the provider's wall waits for a probe."""
        stream.off = self.off
        if stream.off is not None or stream.idle:
            return []
        retention = stream.feed.retention if self._walls else None
        wall = None if retention is None else ceil_hour(self._now - retention + WALL_MARGIN)
        stream.inside, stream.beyond = stream.feed.paging.segments(stream.window, wall)
        if stream.beyond:
            stream.probing = True
            return [*stream.inside, stream.beyond.pop(0)]
        return stream.inside

    def run_segment(self, stream: Stream, segment: Window) -> bool:
        """Fetches one segment; of a stream that looks for a wall, whether its older half has rows."""
        if stream.started is None:
            stream.started = self._clock.now()
        begun = time.monotonic()
        pages: list[Page] = []
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
        firsts = (extent(p.frame)[0] for p in pages if "ts" in p.frame)
        return any(first is not None and first <= middle for first in firsts)

    def _failed(self, stream: Stream, error: ProviderError) -> None:
        with self._lock:
            if stream.feed.optional and isinstance(error, BadRequest):
                stream.note = f"the provider does not offer this any more ({error})"[:200]
                return
            stream.error = stream.error or error
            deferred = isinstance(error, RateLimited) and (error.retry_after or 0) > MAX_WAIT_S
            if error.fatal_for_source or deferred:
                self._stopped = self._stopped or error

    def _walk(self, stream: Stream, segment: Window, pages: list[Page]) -> None:
        steps = stream.feed.paging.pages(segment, self._now)
        fixed = stream.feed.params(stream.symbol or VenueSymbol("", ""))
        try:
            asked = next(steps)
            while True:
                page = self._ask(stream, {**fixed, **asked})
                pages.append(page)
                span = _span(page.frame)
                # beyond its wall a provider may give the oldest rows that it has
                if segment in stream.inside and not stream.feed.paging.is_about(segment, span):
                    raise ContractViolation(
                        f"the reply is about {span.first:%Y-%m-%d %H:%M} .. {span.last:%Y-%m-%d %H:%M}, "
                        f"asked for was {segment.start:%Y-%m-%d %H:%M} .. {segment.end:%Y-%m-%d %H:%M}"
                    )
                asked = steps.send(span)
        except StopIteration:
            return

    def _ask(self, stream: Stream, params: Mapping[str, str]) -> Page:
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
        return Page(reply.parsed, reply)

    def get(
        self, stream: Stream, params: Mapping[str, str], parse: Callable[[bytes], T]
    ) -> Reply[T]:
        """One reply of the source, or an hour of its files."""
        feed = stream.feed
        if feed.files is not None:
            body = feed.files(self._settings, stream.window.start)
            return Reply(
                parsed=parse(body),
                landed=self._client.landing.put(body),
                url=f"file:{feed.endpoint.path}/{stream.window.start:%Y%m%d/%H}",
                status=200,
                fetched_at=self._clock.now(),
                http_date=None,
                attempts=1,
            )
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
            posted=posted(feed.endpoint.question, params),
        )


def _incomplete(pages: Iterable[Page]) -> None:
    for page in pages:
        page.complete = False


def _span(frame: pd.DataFrame | Reading) -> PageSpan:
    cursor = frame.attrs.get(CURSOR)
    if not len(frame) or "ts" not in frame:
        return PageSpan(frame.attrs.get(ROWS, len(frame)), cursor=cursor)
    first, last = extent(frame)
    if first is None:
        raise ContractViolation("no row of the page has a readable time")
    # a dataset may make several rows of one provider row
    rows = pd.Series(frame["ts"]).nunique() if "metric" in frame else len(frame)
    rows = frame.attrs.get(ROWS, rows)
    return PageSpan(int(rows), first, last, cursor)


class Counter:
    """Progress per source, one call at a time."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._done: dict[str, int] = defaultdict(int)
        self._total: dict[str, int] = defaultdict(int)

    def more(self, label: str, count: int) -> None:
        """So many requests more are planned."""
        with self._lock:
            self._total[label] += count
            self._tell(label)

    def done(self, label: str) -> None:
        """One request is done."""
        with self._lock:
            self._done[label] += 1
            self._tell(label)

    def set(self, label: str, done: int, total: int) -> None:
        """Both figures of a source that counts for itself."""
        with self._lock:
            self._done[label], self._total[label] = done, total
            self._tell(label)

    def _tell(self, label: str) -> None:
        if self._progress is not None:
            self._progress(label, self._done[label], self._total[label])


def run_all(
    runs: Mapping[str, SourceRun], streams: Sequence[Stream], counter: Counter, per_host: int
) -> None:
    """All segments of all streams, each source over a pool of its own."""
    pools = {
        name: ThreadPoolExecutor(per_host, thread_name_prefix=f"fetch-{name}") for name in runs
    }
    waiting: dict[Future[bool], tuple[Stream, bool]] = {}
    # asking every waiting future after each reply would cost the square of their number
    finished: SimpleQueue[Future[bool]] = SimpleQueue()

    def submit(stream: Stream, parts: Sequence[Window], probe: Window | None = None) -> None:
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
