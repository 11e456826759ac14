"""What it would cost to trade, hour by hour: spread, depth, slippage, how far a dollar moves the price.

Belongs here: the columns of ``signals.execution_quality``. Nothing of this places an order. Does not belong
here: fills of a paper position (``fills``), what a score has been worth (``passports``).

The definition in words: docs/research.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.fields.research import ORDER_SIZES_USD
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import (
    HOUR_US,
    from_panel,
    grid_length,
    grid_start_us,
    take_codes,
    to_panel,
)
from regime_pipeline.research import costs
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "execution_quality/1"
TABLE = "signals.execution_quality"

Floats = npt.NDArray[np.float64]

BANDS_BPS = (10, 25, 50)
MONTH_H, MONTH_LEAST = 720, 480
QUARTER_H, QUARTER_LEAST = 2160, 1440
_BPS, _MILLION = 1e4, 1e6
_REASONS = ("short_history", "no_book", "no_observation")


def through_bands(spread_bps: Floats, depth_usd: Floats, order_usd: float) -> tuple[Floats, Floats]:
    """Mean distance from the mid that an order pays, and how much of it the book holds.

    A side of a book is known by its depth within three bands: what rests between two of them is taken as
    spread evenly, and nothing rests nearer than half the spread.

    Args:
        spread_bps: between the best prices, any shape.
        depth_usd: resting value within each of :data:`BANDS_BPS`, bands first, then that shape.
        order_usd: value of the order, > 0.

    Returns:
        Distance, bps, NaN where the widest band does not hold the order; share that it holds, NaN where
        the book is not known.
    """
    near = spread_bps / 2.0
    before = np.zeros(spread_bps.shape)
    paid = np.zeros(spread_bps.shape)
    taken = np.zeros(spread_bps.shape)
    for band, depth in zip(BANDS_BPS, depth_usd, strict=True):
        far = np.maximum(near, float(band))
        rests = np.maximum(depth - before, 0.0)
        takes = np.minimum(order_usd - taken, rests)
        eaten = takes / np.where(rests > 0, rests, 1.0)
        paid = paid + takes * (near + eaten * (far - near) / 2.0)
        taken = taken + takes
        near, before = far, np.maximum(before, depth)
    known = np.isfinite(taken)
    whole = known & (taken >= order_usd)
    return np.where(whole, paid / order_usd, np.nan), np.where(known, taken / order_usd, np.nan)


def abdi_ranaldo(high: Floats, low: Floats, close: Floats, first_hour: int) -> Floats:
    """The effective spread that 30 days of bars imply (Abdi & Ranaldo 2017), bps of the price.

    Args:
        high: highest prices, hours x symbols.
        low: lowest prices, the same.
        close: last prices, the same.
        first_hour: since 1970, of the first row.
    """
    from regime_pipeline.numerics.rolling import rolling_mean

    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (np.log(high) + np.log(low)) / 2.0
        gap = np.log(close) - middle
    product = np.full(close.shape, np.nan)
    product[1:] = gap[:-1] * (np.log(close[:-1]) - middle[1:])
    mean = rolling_mean(4.0 * product, MONTH_H, MONTH_LEAST, anchor=first_hour)
    return _BPS * np.sqrt(np.maximum(mean, 0.0))


def impact(returns: Floats, flow_usd: Floats, first_hour: int) -> Floats:
    """Kyle's lambda: slope of an hour's return on its signed flow over 90 days, bps per million USD.

    Args:
        returns: logarithms, hours x symbols.
        flow_usd: bought less sold by takers, the same.
        first_hour: since 1970, of the first row.
    """
    from regime_pipeline.numerics.rolling import rolling_mean

    both = np.isfinite(returns) & np.isfinite(flow_usd)
    x = np.where(both, flow_usd / _MILLION, np.nan)
    y = np.where(both, returns, np.nan)
    mx, my, mxy, mxx = (
        rolling_mean(v, QUARTER_H, QUARTER_LEAST, anchor=first_hour) for v in (x, y, x * y, x * x)
    )
    spread = mxx - mx * mx
    moves = spread > 1e-12 * np.maximum(mxx, 1e-12)
    return np.where(moves, _BPS * (mxy - mx * my) / np.where(moves, spread, 1.0), np.nan)


def percentile(values: Floats) -> Floats:
    """Where each value lies among the 720 hours before it, 0 to 1; equal ones count half."""
    from regime_pipeline.numerics.order_statistics import share_below

    below = share_below(values, MONTH_H, MONTH_LEAST)
    above = share_below(-values, MONTH_H, MONTH_LEAST)
    return (below + 1.0 - above) / 2.0


def _score(spread: Floats, depth: Floats, slippage: Floats, illiquidity: Floats) -> Floats:
    """Mean of the percentiles that are known, three of four needed; 100 is the most liquid."""
    ranks = np.stack(
        [1.0 - percentile(spread), percentile(depth), 1.0 - percentile(slippage),
         1.0 - percentile(illiquidity)]
    )  # fmt: skip
    known = np.isfinite(ranks)
    count = known.sum(axis=0)
    total = np.where(known, ranks, 0.0).sum(axis=0)
    return np.where(count >= 3, 100.0 * total / np.maximum(count, 1), np.nan)


@derives(
    TABLE,
    candles_1h=reads(
        "market.candles_1h",
        "91d",
        where={"market": "perp"},
        columns=(
            *("market", "symbol", "ts", "venue", "high", "low", "close", "volume_quote"),
            "source_tier",
        ),
    ),
    order_book_1h=reads(
        "market.order_book_1h",
        "61d",
        where={"market": "perp"},
        columns=(
            *("market", "symbol", "ts", "spread_bps", "source_tier"),
            *(f"depth_{band}bps_{side}_usd" for band in BANDS_BPS for side in ("bid", "ask")),
        ),
    ),
    trade_flow_1h=reads(
        "market.trade_flow_1h",
        "91d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", "taker_buy_quote", "taker_sell_quote"),
    ),
)
def execution_quality(
    candles_1h: pd.DataFrame,
    order_book_1h: pd.DataFrame,
    trade_flow_1h: pd.DataFrame,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """What trading the perpetual of the primary venue would have cost in each hour.

    Slippage is the mean distance from the mid that an order pays on the thinner side, half the spread
    included; null where 50 bps do not hold the order, the share that they hold stands beside it.

    Args:
        candles_1h: rows of ``market.candles_1h``; only the perpetual's are used, 90 d back.
        order_book_1h: rows of ``market.order_book_1h``; the same, 60 d back.
        trade_flow_1h: rows of ``market.trade_flow_1h``; the same, 90 d back.
        grid: rows owed.

    Returns:
        Content columns of ``signals.execution_quality``, the whole grid, sorted by key. ``missing``
        where neither bar nor book is known; ``partial`` without a book (``no_book``) or while 30 days of
        bars are not yet there (``short_history``).
    """
    from regime_pipeline.numerics.rolling import rolling_mean

    wide = grid.widened(reach_of(execution_quality, "market.candles_1h"))
    keep, first_hour = grid_length(grid), grid_start_us(wide) // HOUR_US
    perp = candles_1h[candles_1h["market"] == "perp"]
    bars = to_panel(perp, wide, ["high", "low", "close", "volume_quote", "source_tier"])
    book = to_panel(
        order_book_1h[order_book_1h["market"] == "perp"], wide,
        ["spread_bps", "source_tier", *(f"depth_{b}bps_{s}_usd" for b in BANDS_BPS for s in ("bid", "ask"))],
    )  # fmt: skip
    flow = to_panel(
        trade_flow_1h[trade_flow_1h["market"] == "perp"],
        wide,
        ["taker_buy_quote", "taker_sell_quote"],
    )
    thinner = np.stack(
        [
            np.minimum(book[f"depth_{b}bps_bid_usd"], book[f"depth_{b}bps_ask_usd"])
            for b in BANDS_BPS
        ]
    )
    returns = np.full(bars["close"].shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        returns[1:] = np.log(bars["close"][1:] / bars["close"][:-1])
        per_dollar = np.abs(returns) / bars["volume_quote"]
    per_dollar[~np.isfinite(per_dollar)] = np.nan
    illiquidity = _BPS * _MILLION * rolling_mean(
        per_dollar, MONTH_H, MONTH_LEAST, anchor=first_hour
    )  # fmt: skip
    fee = costs.listed_fees(perp, wide)
    cost, kind = costs.filled(costs.of_the_hour(fee, book["spread_bps"], thinner[0]))
    declared = kind == costs.DECLARED  # passports may assume a cost, a row about an hour may not
    panels: dict[str, npt.NDArray[np.generic]] = {
        "quoted_spread_bps": book["spread_bps"],
        "effective_spread_bps": abdi_ranaldo(bars["high"], bars["low"], bars["close"], first_hour),
        **{f"thinner_depth_{b}bps_usd": d for b, d in zip(BANDS_BPS, thinner, strict=True)},
        "amihud_bps_per_musd": illiquidity,
        "kyle_bps_per_musd": impact(
            returns, flow["taker_buy_quote"] - flow["taker_sell_quote"], first_hour
        ),
        "taker_fee_bps": fee,
        "cost_10k_bps": np.where(declared, np.nan, cost),
    }
    for name, usd in ORDER_SIZES_USD.items():
        slippage, share = through_bands(book["spread_bps"], thinner, usd)
        panels |= {f"slippage_{name}_bps": slippage, f"filled_share_{name}": share}
    panels["liquidity_score"] = _score(
        book["spread_bps"], thinner[1], np.asarray(panels["slippage_100k_bps"]), illiquidity
    )
    has_bar, has_book = np.isfinite(bars["close"]), np.isfinite(book["spread_bps"])
    code = np.select(
        [~has_bar & ~has_book, ~has_book, ~np.isfinite(illiquidity)], [2, 1, 0], -1
    )  # of the reasons
    panels |= {
        "cost_10k_kind": take_codes(np.where(declared, -1, kind), costs.KINDS),
        "status": take_codes(np.select([code < 0, code == 2], [0, 2], 1), STATUS_CODES),
        "reason": take_codes(code, _REASONS),
        "source_tier": np.fmax(bars["source_tier"], book["source_tier"]),
    }
    spec = table(TABLE)
    frame = from_panel(grid, {n: p[-keep:] for n, p in panels.items()})
    frame["venue"] = venues(perp, grid)
    frame["method_version"] = method_version(METHOD)
    return conform(frame, spec)[list(spec.content)]


def venues(perp: pd.DataFrame, grid: Grid) -> npt.NDArray[np.object_]:
    """The venue of each row of the grid in key order, None where no bar says it."""
    known = perp.dropna(subset=["venue"])
    names = sorted(set(known["venue"]))
    coded = known[["symbol", "ts"]].assign(
        code=known["venue"].map({v: float(i) for i, v in enumerate(names)})
    )
    panel = to_panel(coded.astype({"code": "float64"}), grid, ["code"])["code"].T.reshape(-1)
    return take_codes(np.where(np.isfinite(panel), panel, -1.0).astype(np.int64), names)
