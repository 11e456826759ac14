"""Substitutes for data that is not there, under names of their own.

Belongs here: the volume-spike proxy for large holders, the estimate of liquidations from funding, the
market-wide index to stand beside a coin's mood. Every row is of tier 3 or worse. Does not belong here:
filling anything: no observed column takes a value from this module.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import FloatPanel, from_panel, take_codes, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import DAY, HOUR, Grid

METHOD = "proxies/1"
TIER = 3

SPIKE_DAYS, SPIKE_MIN_DAYS = 28, 14
CROWDING_HOURS, CROWDING_MIN_PRINTS = 720, 45
RATE_FLOOR_8H = 0.5e-4
PRINT_HELD_H = 24
INDEX_HELD = pd.Timedelta(hours=36)

VALUES = (
    "volume_spike_ratio",
    "funding_crowding_z",
    "estimated_liquidations",
    "market_fear_greed",
)


@derives(
    "market.proxies_1h",
    candles_1h=reads("market.candles_1h", "28d"),
    funding=reads("market.funding", "32d"),
    open_interest=reads("market.open_interest", "1h"),
    fear_greed=reads("market.fear_greed", "3d"),
)
def proxies_1h(
    candles_1h: pd.DataFrame,
    funding: pd.DataFrame,
    open_interest: pd.DataFrame,
    fear_greed: pd.DataFrame,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """``market.proxies_1h``.

    * ``volume_spike_ratio``: the perpetual's volume of the hour over the median of the same hour of
      day on the 28 days before (14 at least); undirected.
    * ``funding_crowding_z``: the last settled 8 h rate against the 30 days of prints before it, by
      median and scaled MAD, never under 0.5 bp; held 24 h at most.
    * ``estimated_long_liquidations_usd``: open interest at the hour's open x the fall over the hour x
      Phi(crowding z); shorts with the rise and Phi(-z). A mark-to-market loss of the crowded side, of
      the order of what could be closed by force, and nothing that was seen.
    * ``market_fear_greed``: the newest index that can be known in the hour, up to 36 h old.

    Args:
        candles_1h: ``market.candles_1h`` with 28 days before the grid; market ``perp`` is used.
        funding: ``market.funding`` with 32 days before the grid.
        open_interest: ``market.open_interest`` with the hour before the grid.
        fear_greed: ``market.fear_greed`` with 3 days before the grid.
        grid: rows owed.

    Returns:
        Content columns; partial names what is absent (``without_<column>``), missing has nothing.
    """
    from regime_pipeline.numerics.probability import phi

    days = grid.widened(SPIKE_DAYS * DAY)
    lead = SPIKE_DAYS * 24
    bars = to_panel(
        candles_1h[candles_1h["market"] == "perp"], days, ["close", "volume_base", "source_tier"]
    )
    ratio = _spike(bars["volume_base"])
    z = _crowding(funding, grid)
    before = grid.widened(HOUR)
    held = to_panel(open_interest, before, ["open_interest_usd", "source_tier"])
    exposed = held["open_interest_usd"][:-1]
    close = bars["close"]
    with np.errstate(divide="ignore", invalid="ignore"):
        move = close[lead:] / close[lead - 1 : -1] - 1.0
    longs = exposed * np.maximum(0.0, -move) * phi(z)
    shorts = exposed * np.maximum(0.0, move) * phi(-z)
    index = np.broadcast_to(_index(fear_greed, grid)[:, None], ratio.shape)
    have = (ratio, z, longs, index)
    absent = sum(np.where(np.isfinite(p), 0, 1 << bit) for bit, p in enumerate(have))
    nothing = (1 << len(VALUES)) - 1
    reasons = tuple(
        "no_input"
        if mask == nothing
        else ",".join(f"without_{v}" for bit, v in enumerate(VALUES) if mask >> bit & 1)
        for mask in range(nothing + 1)
    )
    tier = np.fmax(np.fmax(bars["source_tier"][lead:], held["source_tier"][1:]), TIER)
    frame = from_panel(
        grid,
        {
            "volume_spike_ratio": ratio,
            "funding_crowding_z": z,
            "estimated_long_liquidations_usd": longs,
            "estimated_short_liquidations_usd": shorts,
            "market_fear_greed": np.array(index),
            "status": take_codes(
                np.where(absent == 0, 0, np.where(absent == nothing, 2, 1)),
                STATUS_CODES,
            ),
            "reason": take_codes(np.where(absent == 0, -1, absent), reasons),
            "source_tier": np.where(absent == nothing, np.nan, tier),
        },
    )
    which = table("market.proxies_1h")
    frame = frame.assign(method_version=method_version(METHOD))
    return conform(frame, which)[list(which.content)]


def _spike(volume: FloatPanel) -> FloatPanel:
    """Each hour over the median of the same hour on the days before; NaN under 14 of them."""
    lead = SPIKE_DAYS * 24
    length = len(volume) - lead
    same = np.stack([volume[lead - 24 * k :][:length] for k in range(1, SPIKE_DAYS + 1)])
    enough = np.isfinite(same).sum(axis=0) >= SPIKE_MIN_DAYS
    middle = np.full(volume[lead:].shape, np.nan)
    if enough.any():
        middle[enough] = np.nanmedian(same[:, enough], axis=0)
    out = np.full(middle.shape, np.nan)
    return np.divide(volume[lead:], middle, out=out, where=middle > 0)


def _crowding(funding: pd.DataFrame, grid: Grid) -> FloatPanel:
    """The z of the last print of at most 24 hours ago."""
    from regime_pipeline.numerics.order_statistics import lagged_mad_z  # imports numba

    wide = grid.widened(CROWDING_HOURS * HOUR + PRINT_HELD_H * HOUR)
    prints = funding[funding["rate_8h"].notna()].assign(ts=lambda f: f["ts"].dt.floor("h"))
    prints = prints.sort_values(["symbol", "ts"], kind="stable")
    rate = to_panel(prints.drop_duplicates(["symbol", "ts"], keep="last"), wide, ["rate_8h"])
    z, *_ = lagged_mad_z(rate["rate_8h"], CROWDING_HOURS, CROWDING_MIN_PRINTS, floor=RATE_FLOOR_8H)
    # the last print's own z, even when it could not be judged: an older one is not shown instead
    age = _since(np.isfinite(rate["rate_8h"]))
    place = np.maximum(np.arange(len(z))[:, None] - age, 0)
    out = np.where(age < PRINT_HELD_H, np.take_along_axis(z, place, axis=0), np.nan)
    return out[CROWDING_HOURS + PRINT_HELD_H :]


def _since(mask: np.ndarray) -> np.ndarray:
    """Rows since the last true row of each column; at least a day where there was none."""
    rows = np.arange(len(mask))[:, None]
    last = np.maximum.accumulate(np.where(mask, rows, -PRINT_HELD_H), axis=0)
    return rows - last


def _index(fear_greed: pd.DataFrame, grid: Grid) -> np.ndarray:
    """The newest index value that can be known at each hour's end."""
    known = fear_greed[fear_greed["fear_greed"].notna() & fear_greed["available_at"].notna()]
    known = known.sort_values(["available_at", "ts"], kind="stable")
    ends = pd.DatetimeIndex(grid.hours) + pd.Timedelta(hours=1)
    place = np.searchsorted(
        pd.DatetimeIndex(known["available_at"]).as_unit("us").asi8,
        ends.as_unit("us").asi8,
        side="right",
    )
    values = known["fear_greed"].to_numpy("float64")
    times = pd.DatetimeIndex(known["available_at"]).as_unit("us").asi8
    out = np.full(len(ends), np.nan)
    found = place > 0
    age = ends.as_unit("us").asi8[found] - times[place[found] - 1]
    fresh = age <= INDEX_HELD.value // 1000
    out[np.flatnonzero(found)[fresh]] = values[place[found] - 1][fresh]
    return out
