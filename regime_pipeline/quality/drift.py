"""Values and row counts that look unlike the last thirty days (DQ13).

Only the series that the pipeline computes from (tier 1) are looked at, and only days that are over.
Does not belong here: drift of scores and models.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.panel import HOUR_US, FloatPanel, microseconds
from regime_pipeline.quality.model import (
    Judged,
    Panels,
    Verdicts,
    day_verdicts,
    days_of,
    joined,
    nobody,
    panels,
)
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
        psi = np.array([_psi(scaled, int(end)) for end in ends]) / params.drift_psi
        parts.append(_told(found, days, psi, "distribution of returns"))
    if full_name in LEVELS:
        values = found.values[LEVELS[full_name]]
        limit = params.drift_volume_ratio if full_name == RETURNS else params.drift_level_ratio
        level = np.array([_level(values, int(end)) for end in ends])
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


def _psi(values: FloatPanel, end: int) -> FloatPanel:
    """Population stability index per series of the 168 h before ``end`` in the 720 h before those."""
    recent = values[max(0, end - RECENT_HOURS) : end]
    base = values[max(0, end - RECENT_HOURS - BASE_HOURS) : max(0, end - RECENT_HOURS)]
    out = np.full(values.shape[1], np.nan)
    if not len(base) or not len(recent):
        return out
    enough = (np.isfinite(recent).sum(axis=0) >= LEAST_RECENT) & (
        np.isfinite(base).sum(axis=0) >= LEAST_BASE
    )
    if not enough.any():
        return out
    edges = _quantiles(base[:, enough], np.arange(1, BINS) / BINS)
    was, now = (_shares(x[:, enough], edges) for x in (base, recent))
    out[enough] = ((now - was) * np.log(now / was)).sum(axis=0)
    return out


def _quantiles(values: FloatPanel, levels: npt.NDArray[np.float64]) -> FloatPanel:
    """Type 7 quantiles of the finite values of each column: levels x columns."""
    ordered = np.sort(values, axis=0)  # NaN last
    place = levels[:, None] * (np.isfinite(values).sum(axis=0) - 1)[None, :]
    low = np.floor(place).astype(np.int64)
    high = np.ceil(place).astype(np.int64)
    below = np.take_along_axis(ordered, low, axis=0)
    return below + (np.take_along_axis(ordered, high, axis=0) - below) * (place - low)


def _shares(values: FloatPanel, edges: FloatPanel) -> FloatPanel:
    """Share of the values in each bin, half a value at least: bins x series."""
    above = np.array([(values > edge).sum(axis=0) for edge in edges], dtype="float64")
    total = np.isfinite(values).sum(axis=0).astype("float64")
    counts = np.vstack([total, above]) - np.vstack([above, np.zeros_like(total)])
    return np.maximum(counts, 0.5) / total


def _level(values: FloatPanel, end: int) -> FloatPanel:
    """|log10| of the day's median over the median of the 720 h before it."""
    day, base = values[max(0, end - 24) : end], values[max(0, end - 24 - BASE_HOURS) : end - 24]
    out = np.full(values.shape[1], np.nan)
    if end <= 24 or not len(day):
        return out
    enough = (np.isfinite(day).sum(axis=0) >= 12) & (np.isfinite(base).sum(axis=0) >= 168)
    middle = np.array([0.5])
    if enough.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = _quantiles(day[:, enough], middle)[0] / _quantiles(base[:, enough], middle)[0]
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
