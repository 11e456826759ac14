"""What it costs to change a position, as far as stored books say it.

Belongs here: taker fees by venue, half the spread and the slippage of a small order from the sums that
books are stored as. Does not belong here: fills that walk through a recorded book.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.panel import to_panel
from regime_pipeline.windows import Grid

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

TAKER_FEE_BPS: Mapping[str, float] = {
    "binance": 5.0,
    "bybit": 5.5,
    "okx": 5.0,
    "hyperliquid": 4.5,
}
"""Fee of the lowest tier for taking from the book of the perpetual, by venue."""
USUAL_FEE_BPS = 5.5
"""Of a venue that is not listed: the highest of those that are."""
DECLARED_BPS = 5.5
"""Where no book of the hour or of the 30 days before is stored: a round trip of 11 bps."""
ORDER_USD = 10_000.0
BAND_BPS = 10.0
"""Of the depth that the slippage is estimated from."""
BOOK, MEDIAN, DECLARED = 0, 1, 2
KINDS = ("book", "median_30d", "declared")
"""Where the cost of an hour comes from, best first."""
_MONTH_H, _MONTH_LEAST = 720, 24


def listed_fees(perp: pd.DataFrame, grid: Grid) -> Floats:
    """The taker's fee of each hour's venue, bps, hours x symbols; NaN where it is unknown.

    Args:
        perp: rows of ``market.candles_1h`` of the perpetual, with their venue.
        grid: hours and symbols of the panel.
    """
    fee = perp["venue"].map(TAKER_FEE_BPS).astype("float64")
    return to_panel(perp[["symbol", "ts"]].assign(fee=fee), grid, ["fee"])["fee"]


def fees(perp: pd.DataFrame, grid: Grid) -> Floats:
    """:func:`listed_fees`, the highest one listed where it is unknown."""
    listed = listed_fees(perp, grid)
    return np.where(np.isfinite(listed), listed, USUAL_FEE_BPS)


def of_the_hour(fee_bps: Floats, spread_bps: Floats, thinner_usd: Floats) -> Floats:
    """Cost of taking 10 000 USD at once, bps of the value: fee, half the spread, slippage.

    The stored depth says how much rests within 10 bps; it is taken as spread evenly over them, so an
    order that the band holds pays half of the part of the band that it eats. One that the band does not
    hold has no cost (NaN).

    Args:
        fee_bps: of the venue, hours x symbols.
        spread_bps: mean of the hour, hours x symbols.
        thinner_usd: resting value within 10 bps on the thinner side, the same shape.
    """
    enough = thinner_usd >= ORDER_USD
    eaten = ORDER_USD / np.where(enough, thinner_usd, np.nan)
    return fee_bps + spread_bps / 2.0 + eaten * BAND_BPS / 2.0


def filled(hourly: Floats) -> tuple[Floats, Codes]:
    """Cost of every hour and where it comes from.

    Args:
        hourly: :func:`of_the_hour`, hours x symbols.

    Returns:
        Costs, bps, never null, and codes of :data:`KINDS`, the same shape.
    """
    from regime_pipeline.numerics.order_statistics import rolling_median

    month = rolling_median(hourly, _MONTH_H, _MONTH_LEAST)
    known = np.isfinite(hourly)
    code = np.where(known, BOOK, np.where(np.isfinite(month), MEDIAN, DECLARED))
    return np.choose(code, [hourly, month, np.full(hourly.shape, DECLARED_BPS)]), code.astype(
        np.int8
    )
