"""Reversion of pairs: only under cointegration, on parameters of the days before.

Belongs here: what the columns of ``correlation.pair_signals`` mean. Does not belong here: compiled
loops (``pair_kernels``), orders or sizes: a signal is a reading, nothing acts on it.

The regression of a day runs over the 2160 hours that end where the day begins, so its parameters
never saw the hours they judge; each hour then has a spread of its own.

The definition in words: docs/methods.md, section 6.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.registry import table
from regime_pipeline.correlation.frames import flags, integers, nothing, shape, stored_pairs, texts
from regime_pipeline.market.candles import CLOSES
from regime_pipeline.numerics.panel import to_panel
from regime_pipeline.settings import PairParams, method_version
from regime_pipeline.windows import HOUR, Grid, Window

METHOD = "pair_signals/1"
WINDOW, WINDOW_MIN = 2160, 1800

_REASONS = (
    "no_mean_reversion",
    "close_missing",
    "under_1800_common_closes",
    "constant_spread_or_price",
)
_SIGNALS = ("LONG_A_SHORT_B", "SHORT_A_LONG_B", "NONE")

Floats = npt.NDArray[np.float64]


# 90 d before the midnight of the first hour, which may lie up to 23 h before it.
@derives(
    "correlation.pair_signals",
    candles_1h=reads("market.candles_1h", "91d", where={"market": "spot"}, columns=CLOSES),
    params="params.pairs",
)
def pair_signals(candles_1h: pd.DataFrame, *, grid: Grid, params: PairParams) -> pd.DataFrame:
    """Cointegration of the day and spread of the hour for every pair of the grid.

    Args:
        candles_1h: ``market.candles_1h`` with its lookback before ``grid.start``; only spot counts.
        grid: rows owed; a pair needs its own two symbols only.
        params: threshold of the spread.

    Returns:
        ``correlation.pair_signals``, one row per pair and hour. ``pair_signal`` is the main value:
        NONE where the pair is not cointegrated, the hedge ratio is not positive or the spread is
        ordinary; null where that can't be said. Fewer than 1800 common closes in the window, or a
        stuck price, leave everything null with the reason.

    Sources: Engle & Granger 1987; MacKinnon 1994 (p value), 2010 (critical value).
    """
    from regime_pipeline.numerics import pairwise

    if len(grid.symbols) < 2 or grid.end <= grid.start:
        return nothing("pair_signals")
    lookback = reach_of(pair_signals, "market.candles_1h")
    wide = grid.widened(lookback)
    spot = candles_1h.loc[candles_1h["market"] == "spot", ["symbol", "ts", "close", "source_tier"]]
    panel = to_panel(spot, wide, ["close", "source_tier"])
    close = panel["close"]
    log_close = np.full(close.shape, np.nan)
    np.log(close, out=log_close, where=close > 0)
    log_close = np.ascontiguousarray(log_close.T)
    pairs = pairwise.all_pairs(len(grid.symbols))[stored_pairs(grid.symbols)]
    days = []
    for midnight in Window(grid.start, grid.end).days():
        start = max(grid.start, midnight)
        stop = min(grid.end, midnight + timedelta(days=1))
        fit, low, high = (round((t - wide.start) / HOUR) for t in (midnight, start, stop))
        days.append(_day(log_close, panel["source_tier"], pairs, fit, low, high, params))
    values = {name: np.concatenate([d[name] for d in days], axis=1) for name in days[0]}
    return _frame(values, pairs, grid, method_version(METHOD, params))


def _day(
    log_close: Floats,
    tier: Floats,
    pairs: npt.NDArray[np.int64],
    fit: int,
    low: int,
    high: int,
    params: PairParams,
) -> dict[str, npt.NDArray[Any]]:
    """Rows low .. high-1 on the window that ends before row ``fit``; arrays (P, high - low)."""
    from regime_pipeline.correlation import pair_kernels as k

    window = np.ascontiguousarray(log_close[:, fit - WINDOW : fit])
    found = k.engle_granger(window, pairs, WINDOW_MIN)
    tau, sd = found[:, k.OUT_TAU], found[:, k.OUT_SD]
    critical = k.critical_5pct(found[:, k.OUT_ROWS])
    tested = ~np.isnan(tau)
    together = tested & (tau < critical)
    first, second = log_close[pairs[:, 0], low:high], log_close[pairs[:, 1], low:high]
    spread = first - found[:, k.OUT_INTERCEPT, None] - found[:, k.OUT_SLOPE, None] * second
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(tested[:, None], spread / sd[:, None], np.nan)
    tradable = together & (found[:, k.OUT_SLOPE] > 0)
    signal = np.full(z.shape, 2, np.int8)
    signal[tradable[:, None] & (z <= -params.entry_z)] = 0
    signal[tradable[:, None] & (z >= params.entry_z)] = 1
    signal[(tradable[:, None] & np.isnan(z)) | ~tested[:, None]] = -1
    status, reason = _status(window, pairs, found, z, signal)
    back = np.fmax.reduce(tier[fit - WINDOW : fit], axis=0)
    worst = np.fmax(back[:, None], tier[low:high].T)
    wide = (1, high - low)
    return {
        "hedge_ratio": np.tile(found[:, k.OUT_SLOPE, None], wide),
        "spread_intercept": np.tile(found[:, k.OUT_INTERCEPT, None], wide),
        "spread_sd": np.tile(sd[:, None], wide),
        "coint_tau": np.tile(tau[:, None], wide),
        "coint_critical_5pct": np.tile(np.where(tested, critical, np.nan)[:, None], wide),
        "coint_p": np.tile(k.p_value(tau)[:, None], wide),
        "half_life_h": np.tile(found[:, k.OUT_HALF_LIFE, None], wide),
        "n_obs": np.tile(found[:, k.OUT_N, None], wide),
        "together": np.tile(together[:, None], wide),
        "tested": np.tile(tested[:, None], wide),
        "spread_z": z,
        "signal": signal,
        "status": status,
        "reason": reason,
        "tier": np.fmax(worst[pairs[:, 0]], worst[pairs[:, 1]]),
    }


def _status(
    window: Floats,
    pairs: npt.NDArray[np.int64],
    found: Floats,
    z: Floats,
    signal: npt.NDArray[np.int8],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    from regime_pipeline.correlation import pair_kernels as k

    there = ~np.isnan(window)
    begin = np.where(there.any(axis=1), there.argmax(axis=1), window.shape[1])
    young = window.shape[1] - begin[pairs].max(axis=1) < WINDOW_MIN
    reverts = ~np.isnan(found[:, k.OUT_HALF_LIFE])
    reason = np.full(z.shape, -1, np.int8)
    reason[~reverts] = 0
    reason[np.isnan(z)] = 1
    status = np.where(reason >= 0, 1, 0).astype(np.int8)
    status[signal < 0] = 2
    untested = np.isnan(found[:, k.OUT_TAU])
    status[untested], reason[untested] = 4, 3
    short = found[:, k.OUT_N] < WINDOW_MIN
    status[short], reason[short] = 2, 2
    status[short & young] = 3
    return status, reason


def _frame(
    values: dict[str, npt.NDArray[Any]],
    pairs: npt.NDArray[np.int64],
    grid: Grid,
    version: str,
) -> pd.DataFrame:
    owed = values["spread_z"].shape[1]
    columns: dict[str, Any] = {
        "symbol_a": texts(pairs[:, 0].repeat(owed), grid.symbols),
        "symbol_b": texts(pairs[:, 1].repeat(owed), grid.symbols),
        "ts": grid.hours.take(np.tile(np.arange(owed), len(pairs))),
        "is_cointegrated": flags(values["together"], values["tested"]),
        "pair_signal": texts(values["signal"], _SIGNALS),
        "n_obs": integers(values["n_obs"]),
        "status": texts(values["status"], STATUS_CODES),
        "reason": texts(values["reason"], _REASONS),
        "source_tier": integers(values["tier"]),
        "method_version": texts(np.zeros(len(pairs) * owed, np.int8), (version,)),
    }
    for name in table("correlation.pair_signals").content:
        if name not in columns:
            columns[name] = values[name].ravel()
    return shape(columns, table("correlation.pair_signals"))
