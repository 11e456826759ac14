"""Gaps in the raw data of the last days: what we missed, what the venue lacks, what to ask for again.

Pure arithmetic; the sensor reads the tables and makes requests of the answers. An hour is *missed* when
no answered request covers it, and *absent* when one does and no row came: a halted venue, a symbol not
listed yet. Only missed hours are asked for again, later and later the more often it failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from regime_pipeline.orchestration.coverage import (
    FAILED,
    MARKET_WIDE,
    answered,
    merged,
    without,
)
from regime_pipeline.windows import DAY, HOUR, Window, floor_day, floor_hour

KEPT_DAYS = 3
GRACE = 2 * HOUR
"""An hour is looked for this long after it has closed; until then the next tick brings it."""
FIRST_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=6)


@dataclass(frozen=True)
class Gap:
    """Stretches of one source's series of one symbol that nobody has answered for."""

    dataset: str
    source: str
    symbol: str
    missed: tuple[Window, ...]
    attempts: int = 0
    last_attempt: datetime | None = None


@dataclass(frozen=True)
class Refetch:
    """A raw run to request: these datasets over these days."""

    window: Window
    datasets: tuple[str, ...]
    sources: tuple[str, ...]
    symbols: tuple[str, ...]
    run_key: str = field(compare=False, default="")


def owed_window(now: datetime) -> Window:
    """The hours that should be there by now."""
    end = floor_hour(now - GRACE)
    return Window(floor_day(end) - KEPT_DAYS * DAY, end)


def find(
    dataset: str,
    log: pd.DataFrame,
    window: Window,
    *,
    sources: Mapping[str, str],
    symbols: Sequence[str],
    per_symbol: bool = True,
) -> list[Gap]:
    """The gaps of a dataset.

    Args:
        dataset: raw table without its schema.
        log: rows of ``ops.fetch_log`` of that dataset.
        window: hours that should be there.
        sources: sources that serve the dataset and can be asked, each with the name under which its
            rows come.
        symbols: configured symbols.
        per_symbol: False for a market-wide dataset.
    """
    spans = answered(log)
    out = []
    for source, real in sources.items():
        tries = _attempts(log, real, window)
        for symbol in symbols if per_symbol else (MARKET_WIDE,):
            missed = tuple(without(window, spans.get((real, symbol), [])))
            if missed:
                out.append(Gap(dataset, source, symbol, missed, *tries))
    return out


def _attempts(log: pd.DataFrame, source: str, window: Window) -> tuple[int, datetime | None]:
    """How many runs have failed on a source for the window, and when it was last asked."""
    if log.empty:
        return 0, None
    rows = log[(log["source"] == source) & (log["window_end"] > window.start)]
    if rows.empty:
        return 0, None
    failed = rows[rows["fetch_status"].isin(FAILED)]
    return int(failed["run_id"].nunique()), rows["fetched_at"].max().to_pydatetime()


def wait_after(attempts: int) -> timedelta:
    """How long a source is left alone after so many failed runs."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts, 12))


def refetches(gaps: Iterable[Gap], now: datetime, *, limit: int) -> list[Refetch]:
    """The runs that fill the gaps which are due, at most ``limit``, oldest first.

    Gaps over the same days become one run. The run key is made of what is missing and of how often
    it was tried, so asking twice for the same trouble starts one run, and a new failure a new one.
    """
    by_range: dict[Window, list[Gap]] = {}
    for gap in gaps:
        if gap.last_attempt is not None and now - gap.last_attempt < wait_after(gap.attempts):
            continue
        days = merged(Window(floor_day(w.start), _day_end(w.end)) for w in gap.missed)
        for stretch in days:
            by_range.setdefault(stretch, []).append(gap)
    out = []
    for window, of in sorted(by_range.items(), key=lambda item: item[0].start):
        wanted = sorted((g.dataset, g.source, g.symbol, g.attempts) for g in of)
        digest = hashlib.sha256(repr((window, wanted)).encode()).hexdigest()[:12]
        out.append(
            Refetch(
                window,
                tuple(sorted({g.dataset for g in of})),
                tuple(sorted({g.source for g in of})),
                tuple(sorted({g.symbol for g in of} - {MARKET_WIDE})),
                f"gap:{window.start:%Y-%m-%d}..{window.end - DAY:%Y-%m-%d}:{digest}",
            )
        )
    return out[:limit]


def _day_end(at: datetime) -> datetime:
    day = floor_day(at)
    return day if day == at else day + DAY


def absent_hours(
    stored: pd.DataFrame, log: pd.DataFrame, window: Window
) -> dict[tuple[str, str, str, str], int]:
    """Hours that a venue was asked for, answered for, and has no row for.

    Args:
        stored: rows of an hourly raw table, at least its key columns.
        log: rows of ``ops.fetch_log`` of that dataset.
        window: hours looked at.

    Returns:
        Count per (source, venue, market, symbol) that has any row in the window; a series without a
        single row is not listed at the venue.
    """
    spans = answered(log)
    out = {}
    keys = ["source", "venue", "market", "symbol"]
    if stored.empty:
        return out
    for key, rows in stored.groupby(keys, sort=True):
        source, _, _, symbol = key
        hours = sum(
            (min(s.end, window.end) - max(s.start, window.start)) // HOUR
            for s in spans.get((source, symbol), [])
            if s.end > window.start and s.start < window.end
        )
        missing = hours - rows["ts"].nunique()
        if missing > 0:
            out[key] = missing
    return out
