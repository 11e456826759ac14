"""Checks against the calendar: hours that are missing, tables that fell behind (DQ03, DQ15).

Does not belong here: asking again for what is missing (the gap sensor), telling a halted venue from a
fault of ours (``orchestration.gaps``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np
import pandas as pd

from regime_pipeline.numerics.panel import HOUR_US, microseconds
from regime_pipeline.quality.model import (
    DAY_US,
    SERIES,
    Judged,
    day_verdicts,
    days_of,
    nobody,
    panels,
)
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import HOUR, Window

GRACE = HOUR
"""The newest closed hour is not owed yet: providers publish some series minutes later."""

SLO_HOURS: Mapping[str, float] = MappingProxyType(
    {
        "raw.candles": 2.0,
        "raw.funding_rates": 9.0,
        "raw.open_interest": 3.0,
        "raw.positioning": 3.0,
        "raw.liquidations": 6.0,
        "raw.order_book": 1.0,
        "raw.trade_flow": 2.0,
        "raw.fear_greed": 48.0,
        "raw.reference_prices": 3.0,
    }
)
"""How old the newest row of each series may be, hours from its ``ts`` plus its length."""
LENGTH_HOURS: Mapping[str, float] = MappingProxyType(
    {
        "raw.candles": 1.0,
        "raw.open_interest": 1.0,
        "raw.positioning": 1.0,
        "raw.liquidations": 1.0,
        "raw.trade_flow": 1.0,
        "raw.reference_prices": 1.0,
    }
)
"""Length of a row's bucket; tables that are not here have instants."""


def completeness(
    frame: pd.DataFrame, full_name: str, window: Window, now: datetime, params: QualityParams
) -> Judged:
    """DQ03: hours of a day that a series lacks, for every series seen before or on that day.

    The measured value is the share of the owed hours that is there. The hours before a series' first
    row are not owed: it was not listed, or nobody had asked yet.

    Args:
        frame: hourly rows with some days before the window, so that a silent series is known.
        full_name: the table.
        window: days.
        now: what is later is not owed.
        params: tolerances.
    """
    keys = [c for c in (*SERIES, "metric") if c in frame]
    found = panels(frame.assign(one=1.0), ["one"], keys) if len(frame) else None
    nothing = Judged("DQ03", full_name, nobody(), params.complete_frac, "no_series_is_known", True)
    if found is None:
        return nothing
    there = np.isfinite(found.values["one"])
    days = days_of(window)
    start = int(days[0].timestamp()) // 3600
    hours = start + np.arange(24 * len(days))
    inside = (hours >= found.first_hour) & (hours < found.first_hour + len(there))
    seen = np.zeros((len(hours), there.shape[1]), bool)
    seen[inside] = there[hours[inside] - found.first_hour]
    listed = hours[:, None] >= (found.first_hour + there.argmax(axis=0))[None, :]
    owed = listed & (hours < int((now - GRACE).timestamp()) // 3600)[:, None]
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


def _longest(missing: np.ndarray) -> np.ndarray:
    """Longest run of True along the hours of days x hours x series."""
    run = np.zeros((missing.shape[0], missing.shape[2]), int)
    longest = run.copy()
    for hour in range(missing.shape[1]):
        run = np.where(missing[:, hour], run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def freshness(frame: pd.DataFrame, full_name: str, window: Window, now: datetime) -> Judged:
    """DQ15: how old the newest row of each series is at the end of a day, or now.

    Only closed hours count, so the age says what was owed and stays the same within an hour. Beyond
    four times the SLO the best source's series is a BLOCK: its consumers have nothing to read.

    Args:
        frame: rows with some days before the window.
        full_name: the table.
        window: days.
        now: by the clock.
    """
    slo = SLO_HOURS[full_name]
    nothing = Judged("DQ15", full_name, nobody(), slo, "no_row_in_the_days_before")
    if frame.empty:
        return nothing
    keys = [c for c in SERIES if c in frame]
    days = days_of(window)
    known = pd.Timestamp(now).floor("h")
    at = np.minimum(microseconds(days) + DAY_US, known.as_unit("us").value // 1000)
    length = int(LENGTH_HOURS.get(full_name, 0.0) * HOUR_US)
    ends = microseconds(frame["ts"]) + length
    group = frame.groupby(keys, sort=True, dropna=False)
    series = group["source_tier"].min().reset_index()
    column = group.ngroup().to_numpy()
    slot = np.searchsorted(at, ends)  # the first day at whose end the row is there
    inside = slot < len(days)
    newest = np.full((len(days), len(series)), np.iinfo(np.int64).min)
    np.maximum.at(newest, (slot[inside], column[inside]), ends[inside])
    newest = np.maximum.accumulate(newest, axis=0)
    begun = (newest > np.iinfo(np.int64).min) & (at > microseconds(days))[:, None]
    age = np.where(begun, (at[:, None] - newest) / HOUR_US, np.nan)
    primary = series["source_tier"].to_numpy("int64") == 1
    with np.errstate(invalid="ignore"):
        told = day_verdicts(
            series, days, begun, age > slo, age, blocking=(age > 4.0 * slo) & primary
        )
    return Judged("DQ15", full_name, told, slo, nothing.without)


DAYS_BEFORE = timedelta(days=2)
"""Days before a window in which a series that has fallen silent is still known."""
