"""Fetching a raw dataset: plan, pages, parsed rows, checked rows, and a record of what happened.

Belongs here: the way through the rooms of this package. Does not belong here: writing (the caller
does), wire formats, HTTP.

A source that fails is a row in the log and never an exception; what the others gave is returned.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from regime_pipeline.providers.binance.archive_reader import Harvest, collect
from regime_pipeline.providers.fetch.asking import Counter, Progress, SourceRun, run_all
from regime_pipeline.providers.fetch.merging import assemble, filled
from regime_pipeline.providers.fetch.records import log_row, payload_rows, typed, without_secrets
from regime_pipeline.providers.fetch.sources import chosen_sources
from regime_pipeline.providers.fetch.stream import (
    Page,
    SeriesKey,
    Stamping,
    Stream,
    is_wanted,
    streams_of,
    without_unneeded,
)
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.registry import ARCHIVE, SOURCES
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock, SystemClock, Window


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


def _archive_stream(harvest: Harvest) -> Stream:
    """A series of the archive in the shape of the others; its rows carry the venue's own source."""
    series = harvest.series
    return Stream(
        SOURCES[series.source],
        series.feed,
        harvest.symbol,
        harvest.window,
        series.feed.venue,
        pages=[Page(reply.parsed, reply) for reply in harvest.pages],
        requests=harvest.requests,
        seconds=harvest.seconds,
        error=harvest.error,
        note=harvest.note,
        started=harvest.started,
        from_archive=True,
        is_whole=harvest.is_whole,
    )


def fetch(
    dataset: str,
    window: Window,
    *,
    settings: Settings,
    client: HttpClient,
    clock: Clock,
    symbols: Sequence[str],
    sources: Sequence[str] | None = None,
    series: Collection[SeriesKey] = (),
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
        series: keys (source, venue, market, symbol) of the only series that are asked for; empty: all.
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
    common = Stamping(dataset, settings, window, now, isinstance(clock, SystemClock), universe)
    chosen = chosen_sources(dataset, settings, sources)
    runs = {s.name: SourceRun(s, settings, client, clock, now) for s in chosen if s.name != ARCHIVE}
    possible = [
        stream
        for run in runs.values()
        for stream in streams_of(dataset, run.source, settings, window, universe, now)
    ]
    streams = without_unneeded([s for s in possible if is_wanted(s, series)])
    counter = Counter(progress)
    run_all(runs, streams, counter, client.concurrency_per_host)
    frame, quarantined = assemble(dataset, streams, common)
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
        frame, quarantined = filled(frame, quarantined, filling, common)
        streams = [*streams, *filling]
    text = client.redactor.text
    return FetchResult(
        frame=frame,
        quarantined=without_secrets(quarantined, text),
        log=typed([log_row(s, common, text) for s in streams], "ops.fetch_log"),
        payloads=typed(payload_rows(streams), "ops.payloads"),
    )
