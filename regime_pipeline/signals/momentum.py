"""Volatility-scaled momentum of a close panel, shared by the component and the futures factor.

Belongs here: arithmetic on panels. Does not belong here: frames, directions, scores' wording.
Importing this module imports numba.

Source: Moskowitz, Ooi & Pedersen 2012 (time series momentum); RiskMetrics 1996 for the EWMA.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel
from regime_pipeline.numerics.conventions import CodePanel, FloatPanel
from regime_pipeline.numerics.memory import new_panels
from regime_pipeline.numerics.recursions import lagged_decayed_mean
from regime_pipeline.numerics.rolling import rolling_count
from regime_pipeline.numerics.stretches import log_ratio

DECAY = 0.94
LAGS = 447
"""Returns behind sigma: 0.94 ** 447 is 1e-12, so nothing older could show."""
SLOTS = LAGS + 2
"""Closes behind a full row: the current one, and those of the 447 lagged returns."""
MIN_CLOSES = 132
MAX_GAPS = 20
CLIP = 3.0

OK, PARTIAL, NO_CLOSE, YOUNG, GAPPY, NO_HORIZON, FLAT = range(7)
REASONS = (
    "",
    "fewer_than_449_closes",
    "close_missing_in_last_3h",
    "fewer_than_132_closes",
    "more_than_20_gaps",
    "close_of_a_horizon_missing",
    "zero_dispersion",
)
"""Why a row is not ok, by code; OK and PARTIAL carry a value."""


@dataclass(frozen=True)
class Momentum:
    """Panels of one momentum: the clipped mean, the closes behind it, their coverage, a code."""

    value: FloatPanel
    closes: FloatPanel
    coverage: FloatPanel
    code: CodePanel


def log_change(close: FloatPanel, hours: int) -> FloatPanel:
    """Log change over ``hours`` slots; null unless both ends are observed."""
    (out,) = new_panels(1, close.shape)
    out[:hours] = np.nan
    if close.shape[0] > hours:
        with np.errstate(invalid="ignore", divide="ignore"):
            log_ratio(close[hours:], close[:-hours], out=out[hours:])
    return out


def ewma_sigma(close: FloatPanel, *, first_hour: int) -> FloatPanel:
    """Hourly volatility from the 447 returns before each row, zero mean, decay 0.94.

    Null returns leave both numerator and denominator. The current return is not part of it.
    """
    squares = np.square(log_change(close, 1))
    return np.sqrt(lagged_decayed_mean(squares, DECAY, LAGS, anchor=first_hour))


def momentum(close: FloatPanel, sigma: FloatPanel, horizons: Sequence[int]) -> Momentum:
    """Mean over the horizons of ``ln(C_t / C_{t-h}) / (sigma sqrt(h))``, clipped at +-3.

    Every horizon is required. Of the last 449 slots 449 closes make the row ok, 132 and more
    partial; it is null below that, with a close missing in the last 3 slots, or with more than 20
    missing after the first close of the 449 slots (those before it are not gaps: the symbol is young).
    """
    mean, part = new_panels(2, close.shape)
    mean[:] = 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        for hours in horizons:
            change = log_change(close, hours)
            change /= np.multiply(sigma, math.sqrt(hours), out=part)
            mean += change
    mean /= len(horizons)

    closes = rolling_count(close, SLOTS)
    since = slots_since_first(close, SLOTS)
    recent = rolling_count(close, 3)
    flat = sigma <= 1e-12
    code = np.full(close.shape, OK, dtype=np.int8)
    code[closes < SLOTS] = PARTIAL
    code[~np.isfinite(mean)] = NO_HORIZON
    code[flat] = FLAT
    code[since - closes > MAX_GAPS] = GAPPY
    code[closes < MIN_CLOSES] = YOUNG
    code[recent < 3] = NO_CLOSE
    value = np.clip(mean, -CLIP, CLIP, out=mean)
    value[code > PARTIAL] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        coverage = np.divide(closes, since, out=part)
    coverage[since <= 0] = 0.0
    return Momentum(value, closes, coverage, code)


def slots_since_first(close: FloatPanel, window: int) -> FloatPanel:
    """Slots from the first close among the last ``window`` to the row, both counted; 0 without one."""
    (out,) = new_panels(1, close.shape)
    _since_first(np.asarray(close, dtype="float64"), window, out)
    return out


@ieee_kernel
def _since_first(close, window, out):  # type: ignore[no-untyped-def]
    first = np.zeros(
        close.shape[1], np.int64
    )  # the first close of each window, or the row after it
    for h in range(close.shape[0]):
        for s in range(close.shape[1]):
            at = max(first[s], h - window + 1)
            while at <= h and not abs(close[at, s]) < np.inf:
                at += 1
            first[s] = at
            out[h, s] = h - at + 1
