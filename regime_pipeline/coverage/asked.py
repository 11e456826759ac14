"""What has been fetched already, by the fetch log: which days of which series are still open.

Pure arithmetic over ``ops.fetch_log`` rows. A day counts as fetched when one run's answers cover it,
none of that run's requests for it failed, and it had closed well before they were made. Whether rows came is
another matter: an hour that the venue itself lacks is covered and empty. Does not belong here: asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import repeat

import pandas as pd

from regime_pipeline.catalogue.datasets import MARKET_SYMBOL
from regime_pipeline.windows import DAY, Window

ANSWERED = ("ok", "empty", "partial")
"""Statuses of an answer; what it settles about an hour without a row, ``answers`` decides."""
FAILED = ("failed", "skipped")
REFUSED = {
    "UnknownSymbol": "not_listed",
    "PlanLimit": "plan_limit",
    "RetentionLimit": "beyond_retention",
}
"""Failures that are an answer, and what they make of an hour: asking again for it brings nothing."""
SETTLE = timedelta(minutes=30)
"""How long after an hour a provider may still be about to publish it."""


def was_made(log: pd.DataFrame) -> pd.Series:
    """Whether a request was made for each log row; rows of what was off or left alone count none."""
    return log["request_count"].fillna(0) > 0


@dataclass(frozen=True)
class Demand:
    """One call to make: these sources, these symbols, this stretch.

    Attributes:
        series: keys (source, venue, market, symbol) of the only series that are asked for; empty: all
            of these sources and symbols.
    """

    sources: tuple[str, ...]
    symbols: tuple[str, ...]
    window: Window
    series: frozenset[tuple[str, str, str, str]] = frozenset()


def covered_days(log: pd.DataFrame, window: Window) -> dict[tuple[str, str], set[datetime]]:
    """Per (source, symbol), the days of a window that are fetched for good.

    Args:
        log: rows of ``ops.fetch_log`` of one dataset.
        window: the days in question.
    """
    days = window.days()
    return {
        key: {d for d in days if any(s.start <= d and s.end >= d + DAY for s in spans)}
        for key, spans in answered(log).items()
    }


def answered(log: pd.DataFrame) -> dict[tuple[str, str], list[Window]]:
    """Per (source, symbol), the stretches for which all its requests of some run were answered.

    A source's symbol may consist of several series (venues, markets, endpoints); what one of them
    failed to give in a run counts for none of them in that run. A refusal for good (:data:`REFUSED`: the
    symbol is not listed, the plan lacks it) is an answer. What a provider may still have been
    about to publish when it was asked (:data:`SETTLE`) counts as not answered.
    """
    if log.empty:
        return {}
    out: dict[tuple[str, str], list[Window]] = {}
    runs: dict[tuple[str, str, str], tuple[list[Window], list[Window]]] = {}
    columns = ("source", "symbol", "run_id", "fetch_status", "window_start", "window_end")
    kinds = log["error_class"].to_list() if "error_class" in log else repeat(None, len(log))
    for source, symbol, run, status, start, end, at, kind in zip(
        *(log[c].to_list() for c in columns), log["fetched_at"].to_list(), kinds, strict=True
    ):
        key = (source, MARKET_SYMBOL if pd.isna(symbol) else symbol, "" if pd.isna(run) else run)
        good, bad = runs.setdefault(key, ([], []))
        if status in ANSWERED or (status == "failed" and kind in REFUSED):
            settled = max(start, min(end, at - SETTLE))
            good.append(Window(start, settled))
        else:
            bad.append(Window(start, end))
    for (source, symbol, _), (good, bad) in runs.items():
        left = [w for g in merged(good) for w in without(g, bad)]
        out.setdefault((source, symbol), []).extend(left)
    return {key: merged(spans) for key, spans in out.items()}


def without(window: Window, holes: Iterable[Window]) -> list[Window]:
    """What is left of a window when holes are cut out of it."""
    left = []
    start = window.start
    for hole in merged(holes):
        if hole.end <= start or hole.start >= window.end:
            continue
        if hole.start > start:
            left.append(Window(start, hole.start))
        start = max(start, hole.end)
    if start < window.end:
        left.append(Window(start, window.end))
    return left


def merged(windows: Iterable[Window]) -> list[Window]:
    """Windows that touch or overlap, joined; ascending, without empty ones."""
    out: list[Window] = []
    for window in sorted((w for w in windows if not w.is_empty), key=lambda w: (w.start, w.end)):
        if out and window.start <= out[-1].end:
            out[-1] = Window(out[-1].start, max(out[-1].end, window.end))
        else:
            out.append(window)
    return out


def stretches(days: Iterable[datetime]) -> list[Window]:
    """Days as the fewest windows of neighbouring days."""
    return merged(Window(d, d + DAY) for d in days)


def demands(
    covered: Mapping[tuple[str, str], set[datetime]],
    window: Window,
    *,
    sources: Sequence[str],
    symbols: Sequence[str],
    per_symbol: bool = True,
) -> list[Demand]:
    """The fewest calls that fetch what is not covered.

    Args:
        covered: from :func:`covered_days`.
        window: what is wanted; its first and last day may be cut.
        sources: sources that serve the dataset.
        symbols: wanted symbols.
        per_symbol: False for a market-wide dataset.
    """
    wanted = tuple(symbols) if per_symbol else (MARKET_SYMBOL,)
    by_gap: dict[tuple[str, tuple[Window, ...]], list[str]] = {}
    for source in sources:
        for symbol in wanted:
            open_days = [d for d in window.days() if d not in covered.get((source, symbol), set())]
            gap = tuple(
                Window(max(w.start, window.start), min(w.end, window.end))
                for w in stretches(open_days)
            )
            if gap:
                by_gap.setdefault((source, gap), []).append(symbol)
    by_call: dict[tuple[tuple[str, ...], Window], list[str]] = {}
    for (source, gap), of in by_gap.items():
        for piece in gap:
            by_call.setdefault((tuple(of) if per_symbol else tuple(symbols), piece), []).append(
                source
            )
    return [
        Demand(tuple(who), of, piece)
        for (of, piece), who in sorted(
            by_call.items(), key=lambda item: (item[0][1].start, item[1])
        )
    ]


def pieces(window: Window, days: int) -> list[Window]:
    """A window in parts of at most ``days`` days, so that what is done is stored as it goes."""
    out = []
    start = window.start
    while start < window.end:
        end = min(start + days * DAY, window.end)
        out.append(Window(start, end))
        start = end
    return out
