"""What an hourly tick asks for: the hours that a series does not have yet, and once a day all again.

Pure arithmetic over series, spans of ``ops.coverage_spans`` and log rows. Does not belong here:
reading those (``asking``), which series there are (``rules``).

Between two ticks one hour closes, so asking for a whole day each time is twenty-four times too much.
Providers restate values of the last hours, though, so the first tick of a UTC day asks every series
for the last :data:`RESTATED` again, whatever is stored.

Series that nothing is computed from are asked every few hours (``Dataset.others_every``), each in a
tick of its own turn, for all hours since; and at once where the series that is read lacks an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.datasets import DATASETS, MARKET_SYMBOL, Expected, Form
from regime_pipeline.coverage.asked import ANSWERED, REFUSED, Demand
from regime_pipeline.coverage.hours import hour_of, matched
from regime_pipeline.coverage.rules import Series
from regime_pipeline.windows import DAY, HOUR, Window, floor_day, floor_hour

RESTATED = DAY
"""How far back values are asked for again once a day."""
SAMPLED_WITHIN = timedelta(minutes=10)
"""A snapshot that is younger needs no second one beside it."""
SETTLED = ("stored", "venue_had_none", "not_listed", "plan_limit", "beyond_retention")
"""States of an hour in which asking again is left to the once a day."""


def new_hours(
    dataset: str,
    window: Window,
    *,
    series: Sequence[Series],
    spans: pd.DataFrame,
    log: pd.DataFrame,
    now: datetime,
) -> list[Demand]:
    """The calls of a tick: the series with open hours, from the first of those up to the window's end.

    One call for all that are asked each hour, so that sources are compared with each other; hours that
    some of them have already cost no request more. Another one for those whose turn it is. A series
    that can only be collected as time goes is always asked for the running hour.

    Args:
        dataset: raw table without its schema.
        window: what the tick is about, clipped at ``now``.
        series: that are configured; of one that is off the log tells so once more, without a request.
        spans: stored spans of the dataset: ``KEY``, ``start``, ``end`` (instants), ``coverage_state``.
        log: rows of ``ops.fetch_log`` of the dataset, of today at least.
        now: by the clock.

    Returns:
        No call when nothing is open. The symbol of a series about the whole market is ``*``.
    """
    if DATASETS[dataset].form is Form.SAMPLED and _was_sampled(log, now):
        return []
    restated = _restated_today(log, now)
    number = matched(spans, series)
    hourly: dict[Series, datetime] = {}
    in_turn: dict[Series, datetime] = {}
    for i, one in enumerate(series):
        start = _first_open(one, spans[number == i], window)
        if one.every > HOUR and not _is_due(one, i, start, now):
            continue
        names = {(one.source, one.symbol), (one.source, MARKET_SYMBOL)}
        if not names & restated and not one.is_forward_only and one.off is None:
            start = min(window.start, floor_hour(now) - RESTATED)
        if start is None and one.is_forward_only:
            start = max(window.start, floor_hour(now))
        if start is not None and start < window.end:
            (hourly if one.every == HOUR else in_turn)[one] = start
    return [_call(starts, window.end) for starts in (hourly, in_turn) if starts]


def stand_ins(
    dataset: str, window: Window, *, series: Sequence[Series], spans: pd.DataFrame
) -> list[Demand]:
    """The calls to those that are not asked each hour, where those that are still lack hours.

    Args:
        dataset: raw table without its schema.
        window: what the tick was about, clipped at its time.
        series: that are configured.
        spans: of the dataset, after the tick's own calls; columns as in :func:`new_hours`.
    """
    if DATASETS[dataset].expected is not Expected.HOURLY:
        return []  # another provider's events are no answer of this one
    number = matched(spans, series)
    opened = {
        one: start
        for i, one in enumerate(series)
        if (start := _first_open(one, spans[number == i], window)) is not None
    }
    lacking = {(s.market, s.symbol) for s in opened if s.every == HOUR}
    starts = {
        one: start
        for one, start in opened.items()
        if one.every > HOUR and one.off is None and (one.market, one.symbol) in lacking
    }
    return [_call(starts, window.end)] if starts else []


def _call(starts: dict[Series, datetime], end: datetime) -> Demand:
    return Demand(
        tuple(sorted({s.asked_as for s in starts})),
        tuple(sorted({s.symbol for s in starts})),
        Window(min(starts.values()), end),
        frozenset(s.key for s in starts),
    )


def _is_due(one: Series, number: int, start: datetime | None, now: datetime) -> bool:
    """Whether it is the turn of a series, or its turn was missed; each has a turn of its own."""
    turns = one.every // HOUR
    hour = floor_hour(now)
    late = start is not None and hour - start > one.every
    return late or int(hour_of(hour)) % turns == number % turns


def _first_open(one: Series, spans: pd.DataFrame, window: Window) -> datetime | None:
    """The first closed hour of a window that is not settled for a series; None: all are."""
    first, last = int(hour_of(floor_hour(window.start))), int(hour_of(floor_hour(window.end)))
    is_open = np.ones(max(0, last - first), bool)
    done = spans[spans["coverage_state"].isin(SETTLED)]
    for start, end in zip(done["start"], done["end"], strict=True):
        if one.rule == Expected.DAILY:  # the hours of a day share its row
            start, end = floor_day(start), floor_day(end - HOUR) + DAY
        is_open[max(0, int(hour_of(start)) - first) : max(0, int(hour_of(end)) - first)] = False
    if one.is_forward_only:  # what was not collected then is gone
        is_open[: -max(1, (one.horizon or HOUR) // HOUR)] = False
    if not is_open.any():
        return None
    return max(window.start, floor_hour(window.start) + int(is_open.argmax()) * HOUR)


def _restated_today(log: pd.DataFrame, now: datetime) -> set[tuple[str, str]]:
    """(source, symbol) of which an answer of this UTC day reached the whole day back."""
    if log.empty:
        return set()
    wide = log["window_start"] <= log["fetched_at"].dt.floor("h") - RESTATED
    told = log["fetch_status"].isin(ANSWERED) | log["error_class"].isin(list(REFUSED))
    today = log[(log["fetched_at"] >= floor_day(now)) & wide & told]
    symbols = today["symbol"].astype(object).where(today["symbol"].notna(), MARKET_SYMBOL)
    return set(zip(today["source"], symbols, strict=True))


def _was_sampled(log: pd.DataFrame, now: datetime) -> bool:
    if log.empty:
        return False
    fresh = log["fetched_at"] > now - SAMPLED_WITHIN
    return bool((fresh & log["fetch_status"].isin(ANSWERED)).any())
