"""Where each bar closes in the channels of the bars before it, and in itself.

Belongs here: arithmetic on panels, cell by cell, in one pass. Does not belong here: channels
(``numerics.rolling``), scores and verdicts (``candle_scores``). Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel
from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.numerics.memory import new_panels
from regime_pipeline.numerics.stretches import in_stretches

READINGS = (
    "channel_position_20",
    "channel_position_55",
    "candle_position",
    "candle_body_frac",
    "candle_upper_wick_frac",
    "candle_lower_wick_frac",
    "is_channel_break_up",
    "is_channel_break_down",
)


def readings(
    bars: tuple[FloatPanel, FloatPanel, FloatPanel, FloatPanel],
    tops: tuple[FloatPanel, FloatPanel],
    floors: tuple[FloatPanel, FloatPanel],
) -> dict[str, FloatPanel]:
    """The panels of :data:`READINGS`; NaN where what a reading is made of is missing.

    Positions are 0 to 100 and clipped, null in a channel or bar without width; breaks of the longer
    channel are 1 or 0.

    Args:
        bars: open, high, low and close.
        tops: highest highs of the shorter and of the longer channel.
        floors: lowest lows.
    """
    shape = bars[0].shape
    out = new_panels(len(READINGS), shape)
    given = [np.ascontiguousarray(panel) for panel in (*bars, *tops, *floors)]

    def part(first: int, stop: int) -> None:
        rows = slice(first, stop)
        _readings(
            *(panel[rows].reshape(-1) for panel in given), *(o[rows].reshape(-1) for o in out)
        )

    in_stretches(part, *shape)
    return dict(zip(READINGS, out, strict=True))


@ieee_kernel
def _position(value, low, high):  # type: ignore[no-untyped-def]
    """Percent of the way from low to high, 0 to 100; NaN where there is no way or a number is missing."""
    # the product may round up: a close at the high would stand above 100
    found = 100.0 * (value - low) / (high - low)
    found = 0.0 if found < 0.0 else found
    found = 100.0 if found > 100.0 else found
    return found if high > low else np.nan


@ieee_kernel
def _readings(  # type: ignore[no-untyped-def]
    open_, high, low, close, top, far_top, floor, far_floor,
    near, far, candle, body, upper, lower, up, down,
):  # fmt: skip
    """Every loop is one of vectors."""
    for i in range(close.size):
        near[i] = _position(close[i], floor[i], top[i])
    for i in range(close.size):
        far[i] = _position(close[i], far_floor[i], far_top[i])
    for i in range(close.size):
        candle[i] = _position(close[i], low[i], high[i])
    for i in range(close.size):
        span = high[i] - low[i] if high[i] > low[i] else np.nan
        known = open_[i] - open_[i] + (close[i] - close[i])  # 0, or NaN where one is missing
        body[i] = abs(close[i] - open_[i]) / span
        upper[i] = (high[i] - (max(open_[i], close[i]) + known)) / span
        lower[i] = (min(open_[i], close[i]) + known - low[i]) / span
    for i in range(close.size):
        up[i] = (1.0 if close[i] > far_top[i] else 0.0) if abs(far_top[i]) < np.inf else np.nan
        down[i] = (
            (1.0 if close[i] < far_floor[i] else 0.0) if abs(far_floor[i]) < np.inf else np.nan
        )
