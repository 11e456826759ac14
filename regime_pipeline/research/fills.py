"""What an order would have been filled at, by a recorded book.

Belongs here: the walk through levels, the walk through bands of a book that is stored as sums. Pure, and
nothing of it can place an order. Does not belong here: which orders there are (``paper``), what trading costs
hour by hour (``execution``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

REACH_BPS = 25.0
"""How far from the mid an order is filled; the rest of it is cancelled."""
_BPS = 1e4
_EDGE_BPS = 1e-9


@dataclass(frozen=True)
class Fill:
    """What became of an order.

    Attributes:
        quantity: filled, base coin, 0 or more.
        vwap: mean price; NaN: nothing was filled.
        slippage_bps: distance of it from the mid, against the order; NaN as before.
        share: filled part of the order.
    """

    quantity: float
    vwap: float
    slippage_bps: float
    share: float

    @classmethod
    def at(cls, filled: float, vwap: float, mid: float, wanted: float, side: int) -> Fill:
        """A fill at a mean price; nothing filled has none."""
        if filled <= 0:
            return cls(0.0, math.nan, math.nan, 0.0)
        return cls(filled, vwap, side * _BPS * (vwap - mid) / mid, filled / wanted)


def through_levels(
    prices: Floats,
    sizes: Floats,
    mid: float,
    wanted: float,
    side: int,
    reach_bps: float = REACH_BPS,
) -> Fill:
    """Walk an order through the levels of the other side of a book.

    Args:
        prices: of the levels, the best first.
        sizes: of the levels, base coin.
        mid: half way between the best prices.
        wanted: base coin, > 0.
        side: 1 buys from the asks, -1 sells to the bids.
        reach_bps: how far from the mid levels count.
    """
    inside = side * _BPS * (prices - mid) / mid <= reach_bps + _EDGE_BPS
    left, paid = wanted, 0.0
    for price, size in zip(prices[inside].tolist(), sizes[inside].tolist(), strict=True):
        takes = min(left, size)
        paid += takes * price
        left -= takes
        if left <= 0:
            break
    filled = wanted - max(left, 0.0)
    return Fill.at(filled, paid / filled if filled > 0 else math.nan, mid, wanted, side)


def through_sums(
    spread_bps: float,
    depth_10_usd: float,
    depth_25_usd: float,
    mid: float,
    wanted: float,
    side: int,
) -> Fill:
    """Walk an order through a side that is known by its depth within 10 and 25 bps, spread evenly.

    Args:
        spread_bps: between the best prices.
        depth_10_usd: within 10 bps of the mid on the side that is taken from.
        depth_25_usd: within 25 bps.
        mid: half way between the best prices.
        wanted: base coin, > 0.
        side: 1 buys, -1 sells.
    """
    if not all(map(math.isfinite, (spread_bps, depth_10_usd, depth_25_usd, mid))) or mid <= 0:
        return Fill.at(0.0, math.nan, mid, wanted, side)
    near, before, taken, paid = spread_bps / 2.0, 0.0, 0.0, 0.0
    left = wanted * mid
    for far, depth in ((10.0, depth_10_usd), (REACH_BPS, depth_25_usd)):
        far = max(near, far)
        rests = max(depth - before, 0.0)
        takes = min(left, rests)
        if takes > 0:
            away = near + takes / rests * (far - near) / 2.0
            paid += takes * away
            taken += takes
            left -= takes
        near, before = far, max(before, depth)
    if taken <= 0:
        return Fill.at(0.0, math.nan, mid, wanted, side)
    filled = wanted if left <= 0 else taken / mid
    return Fill.at(filled, mid * (1.0 + side * paid / taken / _BPS), mid, wanted, side)
