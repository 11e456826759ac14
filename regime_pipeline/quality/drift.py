"""Values and row counts that look unlike the last thirty days (DQ13).

Only the series that the pipeline computes from (tier 1) are looked at, and only days that are over.
Does not belong here: drift of scores and models.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.panel import HOUR_US, FloatPanel, microseconds
from regime_pipeline.quality.model import (
    Judged,
    Verdicts,
    days_of,
    joined,
    nobody,
)
from regime_pipeline.quality.panels import Panels, day_verdicts, panels
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import Window

RECENT_HOURS = 168
BASE_HOURS = 720
SCALE_HOURS = 72
LOOKBACK = timedelta(hours=BASE_HOURS + RECENT_HOURS + SCALE_HOURS)
"""What the first of the 30 + 7 days is measured in reaches three days further back."""
BINS = 10
LEAST_RECENT, LEAST_BASE = 120, 500
COUNT_DAYS, COUNT_LEAST = 30, 7
LEAST_COUNT_SCALE = 1.0
"""A count that never varied is off by rows, not by nothing."""

RETURNS = "raw.candles"
LEVELS = {"raw.open_interest": "open_interest_usd", "raw.candles": "volume_base"}
COUNTED = ("raw.candles", "raw.funding_rates", "raw.open_interest")
"""Tables whose rows a day are regular."""
VALUES = {
    "raw.candles": ["close", "volume_base"],
    "raw.funding_rates": ["funding_rate"],
    "raw.open_interest": ["open_interest_usd"],
}


def drift(
    frame: pd.DataFrame, full_name: str, window: Window, now: datetime, params: QualityParams
) -> Judged:
    """DQ13, three ways of looking unlike the past; the measured value is the multiple of the limit.

    * candles: population stability index of the hourly log returns, in units of their own
      deviation over the 72 h before, of the last 7 days in the deciles of the 30 days before them;
    * open interest and volume: the day's median against the median of the 30 days before;
    * row counts: robust z of the day's count under the 30 days before.

    Args:
        frame: rows with :data:`LOOKBACK` and an hour before the window.
        full_name: the table.
        window: days; one that is not over is left out.
        now: by the clock.
        params: limits.
    """
    nothing = Judged("DQ13", full_name, nobody(), 1.0, "too_little_history_or_day_not_over")
    rows = frame[frame["source_tier"] == 1] if len(frame) else frame
    found = panels(rows, VALUES[full_name]) if len(rows) else None
    if found is None:
        return nothing
    days = days_of(window)
    days = days[days + pd.Timedelta(days=1) <= pd.Timestamp(now)]
    if not len(days):
        return nothing
    ends = microseconds(days) // HOUR_US + 24 - found.first_hour
    parts = []
    if full_name == RETURNS:
        scaled = _scaled_returns(found.values["close"])
        psi = _by_days(_psi, scaled, ends) / params.drift_psi
        parts.append(_told(found, days, psi, "distribution of returns"))
    if full_name in LEVELS:
        values = found.values[LEVELS[full_name]]
        limit = params.drift_volume_ratio if full_name == RETURNS else params.drift_level_ratio
        level = _by_days(_level, values, ends)
        parts.append(_told(found, days, level / np.log10(limit), "level"))
    if full_name in COUNTED:
        parts.append(_told(found, days, _counts(found, ends) / params.drift_count_z, "row count"))
    return Judged("DQ13", full_name, joined(parts), 1.0, nothing.without)


def _told(found: Panels, days: pd.DatetimeIndex, multiple: FloatPanel, name: str) -> Verdicts:
    known = np.isfinite(multiple)
    with np.errstate(invalid="ignore"):
        return day_verdicts(found.series, days, known, multiple > 1.0, multiple, what=name)


def _scaled_returns(close: FloatPanel) -> FloatPanel:
    """Hourly log returns over the deviation of the 72 before: calm and wild weeks look alike."""
    from regime_pipeline.numerics.rolling import rolling_std

    log = np.log(close)
    out = np.full(log.shape, np.nan)
    out[1:] = log[1:] - log[:-1]
    spread = rolling_std(out, SCALE_HOURS, SCALE_HOURS // 2, lag=1)
    return np.where(spread > 0, out / np.where(spread > 0, spread, 1.0), np.nan)


_DAYS_AT_ONCE = 32
"""Days whose windows are laid out beside each other: 32 x 32 series x 720 h are 6 MB."""

Lookup = Callable[[int, int], FloatPanel]
"""The hours from so many to so many before the days' ends: series x days x hours, NaN without a row."""


def _by_days(
    of: Callable[[Lookup], FloatPanel], values: FloatPanel, ends: npt.NDArray[np.int64]
) -> FloatPanel:
    """A figure of each day and series: days x series.

    Args:
        of: the figure of some days, series x days, from windows that end with them.
        values: hours x series.
        ends: the row after each day's last hour.
    """
    before = max(0, RECENT_HOURS + BASE_HOURS - int(ends.min()))
    after = max(0, int(ends.max()) - len(values))
    by_series = np.pad(values.T, ((0, 0), (before, after)), constant_values=np.nan)
    parts = []
    for some in np.array_split(ends + before, -(-len(ends) // _DAYS_AT_ONCE)):

        def hours(start: int, stop: int, some: npt.NDArray[np.int64] = some) -> FloatPanel:
            windows = np.lib.stride_tricks.sliding_window_view(by_series, start - stop, axis=1)
            return windows[:, some - start]

        parts.append(of(hours))
    return np.concatenate(parts, axis=1).T


def _psi(hours: Lookup) -> FloatPanel:
    """Population stability index of the last 168 h in the 720 h before those."""
    recent = hours(RECENT_HOURS, 0)
    base = hours(RECENT_HOURS + BASE_HOURS, RECENT_HOURS)
    enough = (np.isfinite(recent).sum(axis=-1) >= LEAST_RECENT) & (
        np.isfinite(base).sum(axis=-1) >= LEAST_BASE
    )
    out = np.full(enough.shape, np.nan)
    if enough.any():
        edges = _quantiles(base[enough], np.arange(1, BINS) / BINS)
        was, now = (_shares(x[enough], edges) for x in (base, recent))
        out[enough] = ((now - was) * np.log(now / was)).sum(axis=0)
    return out


def _quantiles(values: FloatPanel, levels: npt.NDArray[np.float64]) -> FloatPanel:
    """Type 7 quantiles of the finite values of each row: levels x rows."""
    ordered = np.sort(values, axis=1)  # NaN last
    place = levels[:, None] * (np.isfinite(values).sum(axis=1) - 1)[None, :]
    low = np.floor(place).astype(np.int64)
    high = np.ceil(place).astype(np.int64)
    row = np.arange(len(values))
    below = ordered[row, low]
    return below + (ordered[row, high] - below) * (place - low)


def _shares(values: FloatPanel, edges: FloatPanel) -> FloatPanel:
    """Share of each row's values in each bin, half a value at least: bins x rows."""
    above = np.array([(values > edge[:, None]).sum(axis=1) for edge in edges], dtype="float64")
    total = np.isfinite(values).sum(axis=1).astype("float64")
    counts = np.vstack([total, above]) - np.vstack([above, np.zeros_like(total)])
    return np.maximum(counts, 0.5) / total


def _level(hours: Lookup) -> FloatPanel:
    """|log10| of the day's median over the median of the 720 h before it."""
    day, base = hours(24, 0), hours(24 + BASE_HOURS, 24)
    enough = (np.isfinite(day).sum(axis=-1) >= 12) & (np.isfinite(base).sum(axis=-1) >= 168)
    out = np.full(enough.shape, np.nan)
    middle = np.array([0.5])
    if enough.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = _quantiles(day[enough], middle)[0] / _quantiles(base[enough], middle)[0]
            out[enough] = np.abs(np.log10(ratio))
    return out


def _counts(found: Panels, ends: npt.NDArray[np.int64]) -> FloatPanel:
    """|robust z| of each day's row count under the 30 days before: days x series."""
    from regime_pipeline.numerics.order_statistics import lagged_mad_z

    present = np.isfinite(next(iter(found.values.values())))
    before, after = found.first_hour % 24, -(found.first_hour + len(present)) % 24
    padded = np.pad(present, ((before, after), (0, 0)))
    counts = padded.reshape(-1, 24, present.shape[1]).sum(axis=1).astype("float64")
    counts[counts == 0] = np.nan  # not listed, or silent: DQ03 and DQ15 speak of that
    z, _, _, _ = lagged_mad_z(counts, COUNT_DAYS, COUNT_LEAST, floor=LEAST_COUNT_SCALE)
    row = (ends + before) // 24 - 1
    inside = (row >= 0) & (row < len(counts))
    out = np.full((len(ends), present.shape[1]), np.nan)
    out[inside] = np.abs(z[row[inside]])
    return out
