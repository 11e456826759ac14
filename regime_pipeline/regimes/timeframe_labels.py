"""The label of one bar of one timeframe, and the statistics behind it.

Belongs here: a single frame, as arrays of bars x symbols. Does not belong here: how four frames vote
(``timeframe_regimes``).

The definition in words: docs/methods.md, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regime_pipeline.catalogue.fields.regimes import LABELS
from regime_pipeline.market.candles import FRAME_HOURS, Bars
from regime_pipeline.numerics.conventions import RELATIVE_DISPERSION, FloatPanel
from regime_pipeline.numerics.stretches import each_cell, log_ratio
from regime_pipeline.settings import TimeframeParams

IGNITION, COOLING, CHOP, NEUTRAL = range(len(LABELS))
WEEK_HOURS = FRAME_HOURS["1w"]


@dataclass(frozen=True)
class FrameWindows:
    """Windows of one timeframe, in its bars; a minimum goes with each.

    ``window`` judges price, returns and volume, ``k`` spans trend, efficiency and range,
    ``min_ranges`` is the least number of past ranges behind their quantile.
    """

    window: int = 50
    min_obs: int = 45
    k: int = 10
    min_ranges: int = 30


WINDOWS: dict[str, FrameWindows] = {
    "1h": FrameWindows(),
    "4h": FrameWindows(),
    "1d": FrameWindows(),
    "1w": FrameWindows(window=30, min_obs=26, k=4, min_ranges=20),
}
SAME_HOUR_WEEKS, MIN_SAME_HOUR_WEEKS = 12, 8
RANGE_QUANTILE = 0.3
ALLOWED_GAPS = 2


@dataclass(frozen=True)
class FrameState:
    """Statistics and label codes of one timeframe, panels of bars x symbols (NaN / -1 null)."""

    price_z: FloatPanel
    trend_z: FloatPanel
    volume_z: FloatPanel
    heat: FloatPanel
    efficiency: FloatPanel
    label: npt.NDArray[np.int8]
    symmetric: npt.NDArray[np.int8]


def shifted(x: FloatPanel, by: int) -> FloatPanel:
    """The panel ``by`` rows later, NaN before its start."""
    out = np.full_like(x, np.nan)
    if by < len(x):
        out[by:] = x[: len(x) - by]
    return out


def trend_z(log_close: FloatPanel, first_bar: int, windows: FrameWindows) -> FloatPanel:
    """Log return over k bars against the lagged sd of one-bar returns times root k.

    ``first_bar`` counts the bars from 1970 to the first row.
    """
    from regime_pipeline.numerics.rolling import rolling_moments

    step = log_close - shifted(log_close, 1)
    mean, sd = rolling_moments(step, windows.window, windows.min_obs, lag=1, anchor=first_bar)
    tiny = RELATIVE_DISPERSION * np.maximum(np.abs(mean), RELATIVE_DISPERSION)
    scale = np.where(sd > tiny, sd, np.nan) * np.sqrt(windows.k)
    return (log_close - shifted(log_close, windows.k)) / scale


def volume_z(volume: FloatPanel, first_hour: int, timeframe: str) -> FloatPanel:
    """Robust lagged z of log volume; of an hourly bar among the same hours of earlier weeks."""
    from regime_pipeline.numerics.order_statistics import lagged_mad_z

    log_volume = np.full_like(volume, np.nan)
    np.log(volume, out=log_volume, where=volume > 0.0)
    windows = WINDOWS[timeframe]
    if timeframe != "1h":
        return lagged_mad_z(log_volume, windows.window, windows.min_obs)[0]
    rows, width = volume.shape
    lead = first_hour % WEEK_HOURS
    weeks = -(-(lead + rows) // WEEK_HOURS)
    padded = np.full((weeks * WEEK_HOURS, width), np.nan)
    padded[lead : lead + rows] = log_volume
    by_hour = padded.reshape(weeks, WEEK_HOURS * width)
    z = lagged_mad_z(by_hour, SAME_HOUR_WEEKS, MIN_SAME_HOUR_WEEKS)[0]
    return z.reshape(-1, width)[lead : lead + rows]


def efficiency(close: FloatPanel, k: int) -> FloatPanel:
    """Net move over the path of k bars (Kaufman 1995), over the closes that are there.

    Null without both end closes, with more than two of the k bars missing, or on a path of 0.
    """
    from regime_pipeline.numerics.efficiency import efficiency_ratio

    return efficiency_ratio(close, k, k - ALLOWED_GAPS)


def log_range(high: FloatPanel, low: FloatPanel, k: int) -> FloatPanel:
    """Log of the highest high over the lowest low of k bars, at most two of them missing."""
    from regime_pipeline.numerics.rolling import rolling_max, rolling_min

    least = k - ALLOWED_GAPS
    highest, lowest = rolling_max(high, k, least), rolling_min(low, k, least)
    return each_cell(log_ratio, highest, lowest, out=highest)


def heat(trend: FloatPanel, volume: FloatPanel) -> FloatPanel:
    """100 Phi((|trend_z| + max(volume_z, 0)) / 2 - 0.5); null when either is."""
    from regime_pipeline.numerics.probability import phi

    return 100.0 * phi((np.abs(trend) + np.maximum(volume, 0.0)) / 2.0 - 0.5)


def label_codes(
    *,
    price_z: FloatPanel,
    trend_z: FloatPanel,
    volume_z: FloatPanel,
    heat: FloatPanel,
    efficiency: FloatPanel,
    range_excess: FloatPanel,
    params: TimeframeParams,
    symmetric: bool = False,
) -> npt.NDArray[np.int8]:
    """Label of every bar, -1 where it is null.

    IGNITION: trend_z >= 1, price_z > 0, heat >= 60, volume_z >= 0.5. COOLING: trend_z <= -1,
    price_z < 0. CHOP: |trend_z| < 1, efficiency < 0.3, range at least its 30th percentile. NEUTRAL
    otherwise. Price, trend and volume are always needed; efficiency and range only where they decide
    between CHOP and NEUTRAL.

    Args:
        price_z: z of the log close.
        trend_z: z of the k-bar return.
        volume_z: robust z of log volume.
        heat: 0..100.
        efficiency: efficiency ratio.
        range_excess: range minus its lagged quantile; at least 0 lets CHOP stand.
        params: thresholds.
        symmetric: ask COOLING for the heat and the volume that IGNITION needs, so that both sides
            are equally rare where nothing has a direction.
    """
    known = np.isfinite(price_z) & np.isfinite(trend_z) & np.isfinite(volume_z)
    with np.errstate(invalid="ignore"):
        gates = (heat >= params.heat_min) & (volume_z >= params.volume_z_min)
        ignition = (trend_z >= params.trend_z_min) & (price_z > 0.0) & gates
        cooling = (trend_z <= -params.trend_z_min) & (price_z < 0.0)
        if symmetric:
            cooling &= gates
        flat = np.abs(trend_z) < params.trend_z_min
        # a null compares false, so each line says "known to be so"
        chop = flat & (efficiency < params.chop_efficiency_max) & (range_excess >= 0.0)
        no_chop = (efficiency >= params.chop_efficiency_max) | (range_excess < 0.0)
    undecided = ~known | (flat & ~chop & ~no_chop)
    codes = np.select([undecided, ignition, cooling, chop], [-1, IGNITION, COOLING, CHOP], NEUTRAL)
    return codes.astype(np.int8)


def frame_state(bars: Bars, params: TimeframeParams) -> FrameState:
    """Statistics and labels of every bar of one timeframe.

    Windows exclude the current bar, 45 of 50 bars needed (1w: 26 of 30); a missing bar is a slot
    that does not count.
    """
    from regime_pipeline.numerics.order_statistics import rolling_quantile
    from regime_pipeline.numerics.rolling import lagged_z_alone

    windows = WINDOWS[bars.timeframe]
    first_bar = bars.first // bars.hours
    log_close = each_cell(np.log, bars.close)
    price = lagged_z_alone(log_close, windows.window, windows.min_obs, anchor=first_bar)
    trend = trend_z(log_close, first_bar, windows)
    volume = volume_z(bars.volume_base, bars.first, bars.timeframe)
    warm = heat(trend, volume)
    ratio = efficiency(bars.close, windows.k)
    spread = log_range(bars.high, bars.low, windows.k)
    border = rolling_quantile(spread, windows.window, windows.min_ranges, RANGE_QUANTILE, lag=1)
    label, symmetric = (
        label_codes(
            price_z=price,
            trend_z=trend,
            volume_z=volume,
            heat=warm,
            efficiency=ratio,
            range_excess=spread - border,
            params=params,
            symmetric=both_ways,
        )
        for both_ways in (False, True)
    )
    return FrameState(price, trend, volume, warm, ratio, label, symmetric)
