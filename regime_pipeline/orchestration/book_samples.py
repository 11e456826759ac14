"""Snapshots of order books between the ticks, taken by a process that lives on.

A run for each snapshot costs a process and its imports twelve times an hour. Here the asset's own
fetching is called by the process that evaluates schedules, and the asset is materialized once an hour,
with what the samples of the hour came to. Rows of a sample belong to an hour that no run has derived
yet, so no derived row waits for a run that would name them. A sample that failed stays missing: no
venue serves a book of the past. Does not belong here: when to sample (``schedules``), fetching
(``assets.raw``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from regime_pipeline.catalogue import table
from regime_pipeline.orchestration.assets.raw import fetched
from regime_pipeline.orchestration.derived import asset_key
from regime_pipeline.orchestration.metadata import RUN_COUNTS
from regime_pipeline.orchestration.partitions import day_key
from regime_pipeline.orchestration.resources import Platform, Scope
from regime_pipeline.windows import HOUR, Window, floor_day, floor_hour

TABLE = "raw.order_book"
WAIT_S = 25.0
"""A sample that takes longer goes on by itself: the other schedules are evaluated by the same loop."""
_NAME = "books:"
COLLECTED_WITHIN = timedelta(minutes=8)
"""The live collector samples every five minutes."""


class BookSampler:
    """Takes one sample at a time.

    Args:
        wait_s: time to wait for a sample.
    """

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="books")
        self._pending: Future[dg.MaterializeResult] | None = None

    def sample(self, platform: Platform, at: datetime, sources: Sequence[str] = ()) -> str:
        """One snapshot of every book.

        Args:
            platform: warehouse, settings and clock.
            at: the time it was scheduled for, which names it.
            sources: only these of the configured ones; empty: all.

        Returns:
            What became of it, and of the one before if that took longer, on one line.

        Raises:
            dg.Failure: no configured source serves books.
        """
        before, self._pending = self._pending, None
        if before is not None and not before.done():
            self._pending = before
            return "the sample before is still under way; this one is left out"
        failed = before.exception() if before is not None else None
        late = f"; the one before failed: {failed}" if failed is not None else ""
        now = platform.clock.now()
        future = self._worker.submit(
            fetched,
            f"{_NAME}{at:%Y-%m-%dT%H:%M}",
            platform,
            Scope(sources=list(sources)),
            table(TABLE),
            Window(floor_day(now), now),
        )
        wait([future], self._wait_s)
        if not future.done():
            self._pending = future
            return f"the sample is still under way and is stored when it is there{late}"
        metadata = future.result().metadata or {}
        counts: Any = metadata[RUN_COUNTS].value  # type: ignore[union-attr]
        return f"sampled: {counts['rows inserted']} rows, {counts['requests']} requests{late}"


def not_collected(platform: Platform, sources: Iterable[str], now: datetime) -> list[str]:
    """The sources that can be asked and of which the live collector has not sampled every book lately.

    Args:
        platform: the database and the symbols.
        sources: that have books.
        now: the present.
    """
    from regime_pipeline.collect.store import RUN_ID
    from regime_pipeline.providers.fetch.sources import off_reason
    from regime_pipeline.providers.registry import SOURCES

    with platform.database.connect() as connection:
        found = connection.execute(
            "SELECT DISTINCT source, market, symbol FROM raw.order_book WHERE run_id = %s AND ts > %s",
            (RUN_ID, now - COLLECTED_WITHIN),
        ).fetchall()
    sampled = {tuple(row) for row in found}
    return [
        name
        for name in sources
        if off_reason(platform.settings, SOURCES[name]) is None
        and not sampled.issuperset(
            (name, feed.market, symbol)
            for feed in SOURCES[name].feeds
            if feed.dataset == "order_book"
            for symbol in platform.settings.symbols
        )
    ]


def samples_of_hour(platform: Platform, hour: datetime) -> dg.AssetMaterialization | None:
    """The hour's samples as a materialization of its day; None without a sample.

    Args:
        platform: the database with the log of requests.
        hour: start of the hour.
    """
    with platform.database.connect() as connection:
        found = connection.execute(
            "SELECT count(DISTINCT run_id), coalesce(sum(rows_stored), 0), "
            "coalesce(sum(request_count), 0), "
            "string_agg(DISTINCT source, ', ') FILTER (WHERE fetch_status = 'failed') "
            "FROM ops.fetch_log WHERE dataset = %s AND starts_with(run_id, %s)",
            (TABLE.partition(".")[2], f"{_NAME}{floor_hour(hour):%Y-%m-%dT%H}:"),
        ).fetchone()
    if found is None or not found[0]:
        return None
    samples, rows, requests, failed = found
    return dg.AssetMaterialization(
        asset_key=asset_key(TABLE),
        partition=day_key(hour),
        metadata={
            "hour": f"{floor_hour(hour):%Y-%m-%d %H:%M} UTC",
            "samples": int(samples),
            "rows inserted": int(rows),
            "requests": int(requests),
            "failed sources": failed or "none",
        },
    )


def tell_last_hour(platform: Platform, instance: dg.DagsterInstance, at: datetime) -> None:
    """Materialize the asset with the samples of the hour that closed at ``at``."""
    done = samples_of_hour(platform, floor_hour(at) - HOUR)
    if done is not None:
        instance.report_runless_asset_event(done)
