"""Checks against the calendar: hours that are missing, tables that fell behind (DQ03, DQ15).

Does not belong here: asking again for what is missing (the gap sensor), telling a halted venue from a
fault of ours (``orchestration.gaps``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.datasets import BY_TABLE, FLAGGED_AFTER
from regime_pipeline.numerics.panel import HOUR_US, microseconds
from regime_pipeline.quality.model import (
    DAY_US,
    SERIES,
    Judged,
    days_of,
    nobody,
)
from regime_pipeline.quality.panels import day_verdicts, panels
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import HOUR, Window, hour_number

DAYS_BEFORE = timedelta(days=2)
"""Days before a day in which an hourly series that has fallen silent is still known."""


def completeness(
    frame: pd.DataFrame,
    full_name: str,
    window: Window,
    now: datetime,
    params: QualityParams,
    turns: pd.DataFrame | None = None,
) -> Judged:
    """DQ03: hours of a day that a series lacks, for every series seen on that day or the two before it.

    The measured value is the share of the owed hours that is there. The hours before a series' first
    row of those days are not owed: it was not listed, or nobody had asked yet. A series that has been
    silent for longer is no longer owed, however long the window is.

    Args:
        frame: hourly rows with some days before the window, so that a silent series is known.
        full_name: the table.
        window: days.
        now: what is later is not owed.
        params: tolerances.
        turns: series that are asked every few hours only (``SERIES``, ``every_h``): their hours are
            owed that much later.
    """
    keys = [c for c in (*SERIES, "metric") if c in frame]
    found = panels(frame.assign(one=1.0), ["one"], keys) if len(frame) else None
    nothing = Judged("DQ03", full_name, nobody(), params.complete_frac, "no_series_is_known", True)
    if found is None:
        return nothing
    there = np.isfinite(found.values["one"])
    days = days_of(window)
    start = hour_number(days[0] - DAYS_BEFORE)
    hours = start + np.arange(24 * (len(days) + DAYS_BEFORE.days))
    inside = (hours >= found.first_hour) & (hours < found.first_hour + len(there))
    seen = np.zeros((len(hours), there.shape[1]), bool)
    seen[inside] = there[hours[inside] - found.first_hour]
    begun = np.logical_or.accumulate(_with_days_before(seen, 24), axis=1)
    listed = begun[:, -24:].reshape(-1, there.shape[1])
    seen, hours = seen[24 * DAYS_BEFORE.days :], hours[24 * DAYS_BEFORE.days :]
    due = hour_number(now - FLAGGED_AFTER) - _later_h(found.series, turns)
    owed = listed & (hours[:, None] < due[None, :])
    shape = (len(days), 24, there.shape[1])
    n_owed = owed.reshape(shape).sum(axis=1)
    n_there = (seen & owed).reshape(shape).sum(axis=1)
    frac = n_there / np.maximum(n_owed, 1)
    gap = _longest((owed & ~seen).reshape(shape))
    failed = (frac < params.complete_frac) | (gap > params.complete_gap_hours)
    what = np.array([f"{n} h missing in a row" for n in range(25)], dtype=object)[gap]
    told = day_verdicts(
        found.series,
        days,
        n_owed > 0,
        failed,
        frac,
        blocking=frac < params.complete_block_frac,
        what=what,
    )
    return Judged("DQ03", full_name, told, params.complete_frac, nothing.without, True)


def _later_h(series: pd.DataFrame, turns: pd.DataFrame | None) -> np.ndarray:
    """How many hours later than others each series is asked: whole hours, 0 for most."""
    if turns is None or turns.empty:
        return np.zeros(len(series), int)
    keys = [c for c in SERIES if c in series]
    told = turns[[*keys, "every_h"]].drop_duplicates(keys)
    asked = series[keys].astype("str").merge(told, on=keys, how="left")
    return asked["every_h"].fillna(1).to_numpy(int) - 1


def _with_days_before(rows: np.ndarray, per_day: int, days: int = DAYS_BEFORE.days) -> np.ndarray:
    """Each day's rows behind those of the days before it: days x rows x series, as a view."""
    whole = np.lib.stride_tricks.sliding_window_view(rows, (days + 1) * per_day, axis=0)
    return whole[::per_day].transpose(0, 2, 1)


def _longest(missing: np.ndarray) -> np.ndarray:
    """Longest run of True along the hours of days x hours x series."""
    run = np.zeros((missing.shape[0], missing.shape[2]), int)
    longest = run.copy()
    for hour in range(missing.shape[1]):
        run = np.where(missing[:, hour], run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def freshness(
    frame: pd.DataFrame,
    full_name: str,
    window: Window,
    now: datetime,
    silent: pd.DataFrame | None = None,
    turns: pd.DataFrame | None = None,
) -> Judged:
    """DQ15: how old the newest row of each series is at the end of a day, or now.

    Only closed hours count, so the age says what was expected and stays the same within an hour. Beyond
    four times the SLO the best source's series is a BLOCK: its consumers have nothing to read. A series
    without a row on the day or ``Dataset.silent_days`` before it is judged only while rows of it are
    expected: one that died fails until it is configured or listed no more, however long ago it was.

    Args:
        frame: rows with some days before the window.
        full_name: the table.
        window: days.
        now: by the clock.
        silent: series of which rows are expected, and what is known of them before ``frame`` begins:
            the series' columns, ``expected_from`` and ``expected_to`` (one row per span), ``ts`` and
            ``source_tier`` of their rows (the newest and the best; null where there is none).
        turns: as for :func:`completeness`; the rows of these series may be that much older.
    """
    dataset = BY_TABLE[full_name]
    assert dataset.slo is not None, f"{full_name} promises no freshness"
    slo = dataset.slo / HOUR
    nothing = Judged("DQ15", full_name, nobody(), slo, "no_row_in_the_days_before")
    keys = [c for c in SERIES if c in frame]
    dead = silent if silent is not None else frame.head(0)
    before = dead.dropna(subset=["ts"])
    rows = [f[[*keys, "ts", "source_tier"]] for f in (frame, before) if len(f)]
    if not rows:
        return nothing
    seen = pd.concat(rows, ignore_index=True)
    days = days_of(window)
    reach = dataset.silent_days
    known = pd.Timestamp(now).floor("h")
    at = np.minimum(microseconds(days) + DAY_US, known.as_unit("us").value // 1000)
    ends = microseconds(seen["ts"]) + dataset.length // timedelta(microseconds=1)
    row = (microseconds(seen["ts"]) - microseconds(days[:1])[0]) // DAY_US + reach
    there = ends <= at[-1]
    if not there.any():
        return nothing
    seen, row, ends = seen[there], np.maximum(row[there], -1) + 1, ends[there]
    group = seen.groupby(keys, sort=True, dropna=False)
    series, column = group.size().reset_index()[keys], group.ngroup().to_numpy()
    shape = (len(days) + reach + 1, len(series))  # the first row is all that came before
    newest = np.full(shape, np.iinfo(np.int64).min)
    np.maximum.at(newest, (row, column), ends)
    best = np.full(shape, np.iinfo(np.int64).max)
    np.minimum.at(best, (row, column), seen["source_tier"].to_numpy("int64"))
    last = _with_days_before(newest[1:], 1, reach).max(axis=1)
    primary = _with_days_before(best[1:], 1, reach).min(axis=1) == 1
    alive = last > np.iinfo(np.int64).min
    missed = ~alive & _expected(dead, series, days)
    last = np.where(missed, np.maximum.accumulate(newest)[-len(days) :], last)
    primary |= missed & (np.minimum.accumulate(best)[-len(days) :] == 1)
    begun = (last > np.iinfo(np.int64).min) & (at > microseconds(days))[:, None]
    age = np.where(begun, (at[:, None] - last) / HOUR_US, np.nan)
    most = slo + _later_h(series, turns)[None, :]
    with np.errstate(invalid="ignore"):
        told = day_verdicts(
            series, days, begun, age > most, age, blocking=(age > 4.0 * most) & primary
        )
    return Judged("DQ15", full_name, told, slo, nothing.without)


def _expected(spans: pd.DataFrame, series: pd.DataFrame, days: pd.DatetimeIndex) -> np.ndarray:
    """Whether rows of a series are expected on a day: days x series."""
    out = np.zeros((len(days), len(series)), bool)
    if spans.empty:
        return out
    numbered = series.reset_index(names="column")
    found = spans.merge(numbered, on=list(series.columns), how="inner")
    first, last = microseconds(found["expected_from"]), microseconds(found["expected_to"])
    day = microseconds(days)[:, None]
    number, span = np.nonzero((first < day + DAY_US) & (last > day))
    out[number, found["column"].to_numpy()[span]] = True
    return out
