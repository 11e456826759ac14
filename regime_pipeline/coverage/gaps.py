"""Which missed hours to request again, with exponential back-off while requests fail.

Pure arithmetic; the sensor reads the tables and makes requests of the answers. Only *missed* hours are
asked for: what the venue had none of, what the plan or the provider's memory does not reach, what is
not listed and what can only be recorded as it happens is left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from regime_pipeline.catalogue.datasets import MARKET_SYMBOL
from regime_pipeline.coverage.asked import ANSWERED, SETTLE, merged, pieces, was_made
from regime_pipeline.windows import DAY, HOUR, Window, floor_day

FIRST_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=6)
MOST_DAYS = 7
"""Days of one request: what comes is stored and counted before more is asked for."""


@dataclass(frozen=True)
class Gap:
    """Stretches of one source's series of one symbol that we missed.

    Attributes:
        source: as the settings name it.
        symbol: ``*`` for a market-wide series.
        attempts: runs that failed to fill it, or were answered without doing so; of the failed ones
            those since the source last answered for something later.
        last_attempt: when the last of them was.
        failures: all runs that were ever made in vain for its hours.
    """

    dataset: str
    source: str
    symbol: str
    missed: tuple[Window, ...]
    attempts: int = 0
    last_attempt: datetime | None = None
    failures: int = 0


@dataclass(frozen=True)
class Refetch:
    """A raw run to request: these datasets over these days."""

    window: Window
    datasets: tuple[str, ...]
    sources: tuple[str, ...]
    symbols: tuple[str, ...]
    run_key: str = field(compare=False, default="")


def find(
    spans: pd.DataFrame, log: pd.DataFrame, askable: Mapping[tuple[str, str, str], str]
) -> list[Gap]:
    """The gaps that can be asked for.

    Args:
        spans: missed stretches: ``dataset, source, symbol, start, end`` (instants).
        log: rows of ``ops.fetch_log`` of those datasets, at least since the oldest stretch.
        askable: (dataset, source as in the rows, symbol) of every series that can be asked for, with
            the source's name in the settings.
    """
    out: list[Gap] = []
    if spans.empty:
        return out
    by_series = dict(iter(log.groupby(["dataset", "source"]))) if len(log) else {}
    for key, rows in spans.groupby(["dataset", "source", "symbol"], sort=True):
        dataset, source, symbol = (str(part) for part in key)
        name = askable.get((dataset, source, symbol))
        if name is None:
            continue
        missed = tuple(
            merged(
                Window(a.to_pydatetime(), b.to_pydatetime())
                for a, b in zip(rows["start"], rows["end"], strict=True)
            )
        )
        asked = by_series.get((dataset, source))
        tries = _attempts(asked, symbol, missed) if asked is not None else (0, None, 0)
        out.append(Gap(dataset, name, symbol, missed, *tries))
    return out


def _attempts(
    log: pd.DataFrame, symbol: str, missed: tuple[Window, ...]
) -> tuple[int, datetime | None, int]:
    """Vain runs since the source recovered, the last of them, and all vain runs of a gap.

    A source has recovered when it answered for the symbol after the gap's end: the failures while it
    was down say nothing about whether the gap can be filled now.
    """
    mine = log[log["symbol"].isna() | (log["symbol"] == symbol)]
    start, end = missed[0].start, missed[-1].end
    over = mine[(mine["window_end"] > start) & (mine["window_start"] < end)]
    failed = over[over["fetch_status"] == "failed"]
    # an answer that could have filled the gap and has not, whatever was wrong with it
    vain = over[
        over["fetch_status"].isin(ANSWERED)
        & was_made(over)
        & (over["fetched_at"] >= start + HOUR + SETTLE)
    ]
    elsewhere = mine[mine["fetch_status"].isin(ANSWERED) & (mine["fetched_at"] >= end)]
    back = elsewhere.drop(index=vain.index)["fetched_at"].min()
    recent = failed if pd.isna(back) else failed[failed["fetched_at"] > back]
    since = pd.concat([recent, vain])
    last = None if since.empty else since["fetched_at"].max().to_pydatetime()
    every = pd.concat([failed, vain])["run_id"]
    return int(since["run_id"].nunique()), last, int(every.nunique())


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
        for stretch in (piece for whole in days for piece in pieces(whole, MOST_DAYS)):
            by_range.setdefault(stretch, []).append(gap)
    out = []
    for window, of in sorted(by_range.items(), key=lambda item: item[0].start):
        wanted = sorted((g.dataset, g.source, g.symbol, g.failures) for g in of)
        digest = hashlib.sha256(repr((window, wanted)).encode()).hexdigest()[:12]
        out.append(
            Refetch(
                window,
                tuple(sorted({g.dataset for g in of})),
                tuple(sorted({g.source for g in of})),
                tuple(sorted({g.symbol for g in of} - {MARKET_SYMBOL})),
                f"gap:{window.start:%Y-%m-%d}..{window.end - DAY:%Y-%m-%d}:{digest}",
            )
        )
    return out[:limit]


def _day_end(at: datetime) -> datetime:
    day = floor_day(at)
    return day if day == at else day + DAY
