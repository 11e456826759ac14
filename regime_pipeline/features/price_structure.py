"""Price structure: breaks of swing points, zones they leave behind, shapes of bars.

Belongs here: the columns of ``features.price_structure``. Does not belong here: loops over bars
(``structure_kernels``); a score, because none of these has passed a test of its worth.

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.fields.features import STRUCTURE_EVENTS, STRUCTURE_LEVELS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.candles import close_halted, halted
from regime_pipeline.numerics.panel import from_panel, grid_length, take_codes, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "price_structure/1"

_BARS = ("open", "high", "low", "close", "source_tier")


# 480 bars of memory, the first with the mean range of the 100 bars before it and one close more.
@derives(
    "features.price_structure",
    candles_1h=reads(
        "market.candles_1h",
        "25d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", *_BARS),
    ),
)
def price_structure(candles_1h: pd.DataFrame, *, grid: Grid) -> pd.DataFrame:
    """What happens on each bar of the perpetual: +1 rising, -1 falling, 0 not; and the prices that stand.

    Every row is made from its own 480 bars. A pivot is strictly beyond three bars on either side, and
    known and used only after the third.

    Args:
        candles_1h: rows of ``market.candles_1h``; only the perpetual's are used.
        grid: rows owed.

    Returns:
        Content columns of ``features.price_structure``, the whole grid, sorted by key. ``missing`` with
        the reason where the bar is; ``insufficient_history`` until 90 of the 100 bars before it are
        known; ``partial`` while the 480 bars have gaps or reach beyond the first one.
    """
    from regime_pipeline.features import structure_kernels as kernels
    from regime_pipeline.numerics.rolling import rolling_count

    wide = grid.widened(reach_of(price_structure, "market.candles_1h"))
    perp = candles_1h[candles_1h["market"] == "perp"]
    bars = to_panel(perp, wide, _BARS)
    keep, width = grid_length(grid), len(grid.symbols)
    o, h, low, c = (np.ascontiguousarray(bars[n].T) for n in _BARS[:4])
    usual = np.empty_like(c)
    kernels.mean_ranges(h, low, c, usual)
    events = np.zeros((width, keep, kernels.EVENTS))
    levels = np.full((width, keep, 2, kernels.LEVELS), np.nan)
    kernels.structure(o, h, low, c, usual, c.shape[1] - keep, events, levels)
    observed = np.isfinite(bars["open"] + bars["high"] + bars["low"] + bars["close"])[-keep:]
    known = np.isfinite(usual.T[-keep:])
    whole = rolling_count(bars["close"], kernels.WINDOW)[-keep:] == kernels.WINDOW
    code = np.select([~observed, ~known, ~whole], [2, 3, 1], 0)
    usable = observed & known
    panels = {
        name: np.where(usable, events[:, :, i].T, np.nan) for i, name in enumerate(STRUCTURE_EVENTS)
    }
    for side, names in enumerate(STRUCTURE_LEVELS):
        for i, name in enumerate(names):
            panels[name] = np.where(usable, levels[:, :, side, i].T, np.nan)
    spec = table("features.price_structure")
    frame = from_panel(
        grid,
        {
            **panels,
            "status": take_codes(code, STATUS_CODES),
            "reason": take_codes(
                code - 1, ("fewer_than_480_bars", "no_observation", "fewer_than_90_of_100_bars")
            ),
            "source_tier": bars["source_tier"][-keep:],
        },
    )
    frame["method_version"] = method_version(METHOD)
    rows = conform(frame, spec)[list(spec.content)]
    return close_halted(rows, halted(to_panel(perp, grid, ("close", "source_tier"))), spec)
