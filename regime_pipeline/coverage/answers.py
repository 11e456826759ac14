"""Which hours the answers of a source cover, and when an hour without a row is the venue's own.

Array arithmetic over rows of the fetch log, hours x series. The rule, declared here and nowhere else:

* An answer counts for an hour when it came :data:`asked.SETTLE` after its end, no request of the same
  call failed, and it is in order: none of its rows was refused, and its rows are about the time that was
  asked for (an answer without any row is in order too). Of events an answer counts unless all its rows
  were refused, or are about another time although such events are regular (funding prints).
* An hour without a row is the venue's after two such answers of different runs, :data:`APART` or more.
* Inside a living series (rows are stored before and after the hour) the rows of both answers must enclose
  the hour: they show that the venue passed over it. Answers that end before it, begin after it or have no
  row at all are often a cut page or a stale copy: of those :data:`FEW` are needed.
* A recording says the same however often it is asked: there one answer is enough.

Does not belong here: what becomes of an hour otherwise (``hours``), reading the log (``store``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.datasets import Expected
from regime_pipeline.coverage.asked import ANSWERED, REFUSED, SETTLE, was_made
from regime_pipeline.coverage.rules import Series
from regime_pipeline.windows import HOUR

APART = timedelta(minutes=10)
"""Time between two answers that count as two: what is asked in one go fails in one go."""
FEW = 3
"""Answers it takes inside a living series when their rows do not enclose the hour."""
BEYOND = "answered about another time"
NOT_USED = "answered with rows that were refused"
ONCE = "answered without a row, asked again"
_WALL_MARGIN_H = 1.0 / 6.0

Shape = tuple[int, int]


@dataclass(frozen=True)
class Answers:
    """What the answers of a dataset's series say about hours; arrays are series x hours.

    Attributes:
        events: an answer covers the hour, of a kind that is enough for events.
        with_row: an answer covers the hour, however soon it came: where a row is there nothing is about
            to be published any more.
        confirmed: without a row the hour is the venue's.
        open_reason: number (from 1) in :data:`OPEN_REASONS` of why it is not although somebody
            answered; 0 where nobody did.
    """

    events: np.ndarray
    with_row: np.ndarray
    confirmed: np.ndarray
    open_reason: np.ndarray


OPEN_REASONS = (ONCE, NOT_USED, BEYOND)


def read_answers(
    log: pd.DataFrame,
    series: Sequence[Series],
    alive: np.ndarray,
    horizon: np.ndarray,
    first: int,
) -> Answers:
    """What the log says about the hours from ``first`` on.

    Args:
        log: rows about the series, their number in column ``series``.
        series: the series.
        alive: bool, series x hours: rows of the series are stored before and after the hour.
        horizon: hours that each series reaches back.
        first: the first hour.
    """
    shape = alive.shape
    settle = SETTLE / HOUR
    good = _good(log)
    refused = good["rows_quarantined"].fillna(0).to_numpy(np.int64) > 0
    unusable = refused & (good["rows_stored"].fillna(0).to_numpy(np.int64) == 0)
    about = _is_about(good, series)
    ordered = good[~refused & about]
    open_reason = np.zeros(shape, np.int64)
    for number, rows in ((3, good[~about]), (2, good[refused]), (1, ordered)):
        open_reason[covered(rows, horizon, shape, first, settle)] = number
    once = np.array([s.answers_once for s in series], bool)[:, None]
    confirmed = np.where(
        once, open_reason == 1, _confirmed(ordered, alive, horizon, first, settle)
    ).astype(bool)
    return Answers(
        events=covered(good[~unusable & about], horizon, shape, first, settle),
        with_row=covered(good, horizon, shape, first, 0.0),
        confirmed=confirmed,
        open_reason=open_reason,
    )


def covered(
    rows: pd.DataFrame, horizon: np.ndarray, shape: Shape, first: int, settle_h: float
) -> np.ndarray:
    """Hours that any of the log rows covers which came at least ``settle_h`` after their end."""
    if rows.empty:
        return np.zeros(shape, bool)
    start, end = _reach(rows, horizon, shape, first, settle_h)
    return count_over(rows["series"].to_numpy(), start, end, shape) > 0


def count_over(number: np.ndarray, start: np.ndarray, end: np.ndarray, shape: Shape) -> np.ndarray:
    """How many of the stretches ``[start, end)`` of the series ``number`` cover each hour."""
    steps = np.zeros((shape[0], shape[1] + 1), np.int32)
    np.add.at(steps, (number, start), 1)
    np.add.at(steps, (number, end), -1)
    return np.cumsum(steps, axis=1)[:, :-1]


def cells(
    number: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every hour of every stretch: (series, hour, which stretch), in the order of the stretches."""
    length = np.maximum(end - start, 0)
    which = np.repeat(np.arange(len(number)), length)
    hour = np.arange(len(which)) - np.repeat(np.cumsum(length) - length, length) + start[which]
    return number[which], hour, which


def epoch_hours(times: pd.Series) -> np.ndarray:
    """Instants (tz-aware) in hours since the epoch, float; NaN without one."""
    stamps = pd.DatetimeIndex(pd.to_datetime(times, utc=True)).as_unit("us")
    return np.where(stamps.isna(), np.nan, stamps.asi8 / 3.6e9)


def _good(log: pd.DataFrame) -> pd.DataFrame:
    """Rows that are answers: requests were made, and no other one of the same call failed."""
    if log.empty:
        return log
    asked = was_made(log).to_numpy(bool)
    good = log["fetch_status"].isin(ANSWERED).to_numpy() & (
        asked | (log["fetch_status"] != "partial").to_numpy()
    )
    broken = (log["fetch_status"] == "failed") & ~log["error_class"].isin(list(REFUSED))
    if broken.any():
        by = ["series", "run_id", "window_start", "window_end"]
        call = log.groupby(by, dropna=False).ngroup()
        good &= ~call.isin(set(call[broken])).to_numpy()
    return log[good]


def _is_about(rows: pd.DataFrame, series: Sequence[Series]) -> np.ndarray:
    """Whether an answer's rows touch the time that was asked for; so do none at all.

    Of events any rows do, for between two of them there need be none, unless they are regular: the
    next funding print is never further than a day.
    """
    if rows.empty:
        return np.zeros(0, bool)
    number = rows["series"].to_numpy()
    slack = np.array([_slack(s) for s in series])[number]
    oldest, newest = epoch_hours(rows["first_row_at"]), epoch_hours(rows["last_row_at"])
    beyond = (newest < epoch_hours(rows["window_start"]) - slack) | (
        oldest >= epoch_hours(rows["window_end"]) + slack
    )
    return ~beyond


def _slack(of: Series) -> float:
    """Hours by which an answer's rows may miss the time that was asked for."""
    if of.rule == Expected.ANSWERS:
        return 24.0 if of.is_regular else np.inf
    return 24.0 if of.rule == Expected.DAILY else 1.0


def _reach(
    rows: pd.DataFrame, horizon: np.ndarray, shape: Shape, first: int, settle_h: float
) -> tuple[np.ndarray, np.ndarray]:
    """First hour and end that each log row answers for, counted from ``first``."""
    at = epoch_hours(rows["fetched_at"])
    wall = np.ceil(at - horizon[rows["series"].to_numpy()] + _WALL_MARGIN_H)
    start = np.maximum(np.ceil(epoch_hours(rows["window_start"])), wall)
    end = np.floor(np.minimum(epoch_hours(rows["window_end"]), at - settle_h))
    start = np.clip(start - first, 0, shape[1]).astype(np.int64)
    end = np.clip(end - first, 0, shape[1]).astype(np.int64)
    return start, np.maximum(start, end)


def _confirmed(
    ordered: pd.DataFrame, alive: np.ndarray, horizon: np.ndarray, first: int, settle_h: float
) -> np.ndarray:
    """Hours for which there are answers in order that are many, far apart and near enough."""
    shape = alive.shape
    if ordered.empty:
        return np.zeros(shape, bool)
    start, end = _reach(ordered, horizon, shape, first, settle_h)
    number = ordered["series"].to_numpy()
    at = _run_began(ordered)
    spread = _spread(number, start, end, at, shape)
    twice = spread >= APART / HOUR
    oldest, newest = epoch_hours(ordered["first_row_at"]), epoch_hours(ordered["last_row_at"])
    known = ~np.isnan(oldest) & ~np.isnan(newest)
    # without a row the enclosed stretch is empty
    inner_start = np.clip(np.where(known, np.floor(oldest) - first, 0), start, end).astype(np.int64)
    inner_end = np.clip(np.where(known, np.floor(newest) + 1 - first, 0), inner_start, end)
    enclosed = _spread(number, inner_start, inner_end.astype(np.int64), at, shape) >= APART / HOUR
    once_a_run = ~ordered.assign(began=at).duplicated(
        ["series", "began", "window_start", "window_end"]
    )
    few = count_over(number[once_a_run], start[once_a_run], end[once_a_run], shape) >= FEW
    few &= spread >= (FEW - 1) * APART / HOUR
    return np.where(alive, enclosed | few, twice).astype(bool)


def _run_began(rows: pd.DataFrame) -> np.ndarray:
    """When the run of each answer first asked for its series: one run's answers are one instant."""
    at = pd.Series(epoch_hours(rows["fetched_at"]), index=rows.index)
    run = rows["run_id"].astype(object).str.removesuffix("/archive")
    alone = pd.Series([f"row {i}" for i in range(len(rows))], index=rows.index)
    return at.groupby([rows["series"], run.fillna(alone)]).transform("min").to_numpy()


def _spread(
    number: np.ndarray, start: np.ndarray, end: np.ndarray, at: np.ndarray, shape: Shape
) -> np.ndarray:
    """Hours between the first and the last instant of the stretches over each hour."""
    of, hour, which = cells(number, start, end)
    last, earliest = np.full(shape, -np.inf), np.full(shape, np.inf)
    np.maximum.at(last, (of, hour), at[which])
    np.minimum.at(earliest, (of, hour), at[which])
    return last - earliest
