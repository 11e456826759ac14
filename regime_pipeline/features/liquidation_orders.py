"""What single liquidation orders add to hourly sums: counts, speed, self-excitation, price clusters.

Belongs here: orders of one configured source as panels of the grid. Does not belong here: hourly sums
(``liquidation_cascades``), swing points (``price_levels``).

Orders come from one source and venue, named by the settings, and are never mixed with the hourly sums
of another. Venues publish part of their orders only, so counts and speeds are lower bounds. An hour
in which the source told of no order of any coin of the universe is unknown; where it told of
another's, silence is a zero.

The definition in words: docs/methods.md, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    grid_length,
    grid_start_us,
    microseconds,
)
from regime_pipeline.windows import Grid

FIT_H = 720
"""Hours before the day behind a fit."""
LEVELS_H = 168
_QUARTER_US = HOUR_US // 4


@dataclass(frozen=True)
class Orders:
    """Orders of the grid's symbols, per symbol ascending in time.

    Attributes:
        hours: time in hours since 1970.
        price: quote currency.
        usd: value.
        is_long: side of the closed position.
        first: begin of each symbol's rows.
        last: their end.
        heard: hours of the grid (its length) in which the source told of any order at all.
    """

    hours: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    usd: npt.NDArray[np.float64]
    is_long: npt.NDArray[np.bool_]
    us: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    heard: npt.NDArray[np.bool_]


def orders_of(frame: pd.DataFrame | None, grid: Grid, *, source: str) -> Orders:
    """The orders of one source, ``raw.liquidation_events`` of the whole universe given."""
    length = grid_length(grid)
    if frame is None or frame.empty:
        nothing = np.empty(0)
        none = np.zeros(len(grid.symbols), np.int64)
        return Orders(
            nothing,
            nothing,
            nothing,
            np.empty(0, bool),
            np.empty(0, np.int64),
            none,
            none,
            np.zeros(length, bool),
        )
    own = frame[(frame["source"] == source) & (frame["market"] == "perp")]
    stated = np.isfinite(own[["price", "liquidation_usd"]].to_numpy("float64", na_value=np.nan))
    own = own[stated.all(axis=1) & (own["ts"] < grid.end).to_numpy(bool)]
    hour = (microseconds(own["ts"]) - grid_start_us(grid)) // HOUR_US
    heard = np.zeros(length, bool)
    heard[hour[(hour >= 0) & (hour < length)]] = True
    own = own[own["symbol"].isin(grid.symbols)]
    own = own.sort_values(["symbol", "ts", "closure_id"], kind="stable")
    code = pd.Index(grid.symbols, dtype="str").get_indexer(pd.Index(own["symbol"]))
    us = microseconds(own["ts"])
    every = np.arange(len(grid.symbols))
    return Orders(
        us / HOUR_US,
        own["price"].to_numpy("float64"),
        own["liquidation_usd"].to_numpy("float64"),
        own["position_side"].eq("long").to_numpy(bool),
        us,
        np.searchsorted(code, every, side="left"),
        np.searchsorted(code, every, side="right"),
        heard,
    )


def counts_and_speed(orders: Orders, grid: Grid) -> dict[str, FloatPanel]:
    """Hourly panels: ``longs`` and ``shorts`` (orders), and speeds in USD per hour.

    ``last_15m`` is the hour's last quarter, ``peak_15m`` its heaviest, each times four;
    ``between`` the hour's value over the time between its first and last order, as the legacy formula has it
    (NaN where that is 0). NaN in an hour in which nothing was heard of the source.
    """
    length, width = grid_length(grid), len(grid.symbols)
    longs, shorts = np.zeros((length, width)), np.zeros((length, width))
    quarters = np.zeros((length, 4, width))
    between = np.full((length, width), np.nan)
    for s in range(width):
        one = slice(orders.first[s], orders.last[s])
        quarter = (orders.us[one] - grid_start_us(grid)) // _QUARTER_US
        inside = (quarter >= 0) & (quarter < 4 * length)
        quarter = quarter[inside]
        usd, long = orders.usd[one][inside], orders.is_long[one][inside]
        longs[:, s] = np.bincount(quarter[long] // 4, minlength=length)
        shorts[:, s] = np.bincount(quarter[~long] // 4, minlength=length)
        row, place = np.unique(quarter // 4, return_index=True)
        us = orders.us[one][inside]
        lasting = us[np.append(place[1:], len(us))[: len(row)] - 1] - us[place]
        value = np.bincount(quarter // 4, usd, minlength=length)[row]
        between[row, s] = np.where(lasting > 0, value * HOUR_US / np.maximum(lasting, 1), np.nan)
        quarters[:, :, s] = np.bincount(quarter, usd, minlength=4 * length).reshape(length, 4)
    known = orders.heard[:, None]
    return {
        "longs": np.where(known, longs, np.nan),
        "shorts": np.where(known, shorts, np.nan),
        "last_15m": np.where(known, 4.0 * quarters[:, 3], np.nan),
        "between": between,
        "peak_15m": np.where(known, 4.0 * quarters.max(axis=1), np.nan),
    }


def excitation(orders: Orders, grid: Grid) -> dict[str, FloatPanel]:
    """Hawkes figures by side: ``branching_long`` / ``_short``, ``intensity_long`` / ``_short``."""
    length, width = grid_length(grid), len(grid.symbols)
    out = {
        f"{what}_{side}": np.full((length, width), np.nan)
        for what in ("branching", "intensity")
        for side in ("long", "short")
    }
    if not len(orders.hours):
        return out
    from regime_pipeline.features.order_kernels import hawkes_rows

    first_hour = grid_start_us(grid) // HOUR_US
    for s in range(width):
        one = slice(orders.first[s], orders.last[s])
        for side, wanted in (("long", True), ("short", False)):
            times = orders.hours[one][orders.is_long[one] == wanted]
            branching, intensity = np.empty(length), np.empty(length)
            hawkes_rows(times, first_hour, length, FIT_H, branching, intensity)
            out[f"branching_{side}"][:, s] = branching
            out[f"intensity_{side}"][:, s] = intensity
    return out


def clusters(
    orders: Orders, grid: Grid, close: FloatPanel, width: FloatPanel
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Up to three clusters below and above the close, symbols x hours x 3, NaN where there is none.

    Args:
        orders: of the grid with a week before it.
        grid: rows owed.
        close: symbols x hours.
        width: width of the bins, symbols x hours.
    """
    below, above = (np.full((*close.shape, 3), np.nan) for _ in range(2))
    if len(orders.hours):
        from regime_pipeline.features.order_kernels import price_clusters

        for s in range(len(grid.symbols)):
            one = slice(orders.first[s], orders.last[s])
            price_clusters(
                orders.hours[one],
                orders.price[one],
                orders.usd[one],
                grid_start_us(grid) // HOUR_US,
                close[s],
                width[s],
                LEVELS_H,
                below[s],
                above[s],
            )
    return below, above
