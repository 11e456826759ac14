"""Order books: the levels of one reply as one checked row, and the levels of a message as rows.

Belongs here: what every venue's book parser shares. Pure. Does not belong here: envelopes and field
names of a venue (its own module), choosing which snapshots count (``market.order_book``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.documents import rows_of
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.readings import Book, Context

BANDS_BPS = (10, 25, 50)
"""Distances from the mid within which resting value is summed."""
IMBALANCE_BPS = 25
_BPS = 1e4


def levels(value: object, side: str, *, zero_ok: bool = False) -> tuple[Columns, dict[str, object]]:
    """The levels of one side: price and size, further fields unread.

    Args:
        value: the JSON list of ``[price, size, ...]`` texts.
        side: ``bids`` or ``asks``, for messages.
        zero_ok: a size of 0 means that the level is gone (updates), else it is dropped.

    Raises:
        ContractViolation: no list, or no level of it has a price and a size.
    """
    columns = Columns.arrays(rows_of(value, what=side), ("price", "size"))
    price, size = columns.number("price"), columns.number("size")
    with np.errstate(invalid="ignore"):
        columns.fail_where(price <= 0, f"{side}: a price that is not above 0")
        columns.fail_where(size < 0, f"{side}: a negative size")
    if not zero_ok:
        keep = ~(size == 0)
        price, size = price[keep], size[keep]
    return columns, {"price": price, "size": size}


def snapshot(
    bids: object,
    asks: object,
    ctx: Context,
    *,
    book_time: object = None,
    venue_symbol: str | None = None,
) -> pd.DataFrame:
    """One whole book as one row; a book without any level is no row.

    Sizes times prices are in quote currency, taken as USD; where sizes are contracts the value of
    one contract in coins has still to be multiplied in. A side's depth holds only the levels that
    were sent: ``book_reach_bps`` says how far the nearer of both sides reaches, and below the widest
    band the sums are lower bounds.

    Null policy: with one empty side everything that needs both is null. A crossed or unreadable book
    is one row with its ``reason``.

    Returns:
        The value columns of ``raw.order_book``, ``venue_symbol``, ``reason``.
    """
    bid_columns, bid = levels(bids, "bids")
    ask_columns, ask = levels(asks, "asks")
    bid_price, bid_size = _ordered(bid, descending=True)
    ask_price, ask_size = _ordered(ask, descending=False)
    if ctx.books is not None:
        ctx.books.append(Book(bid_price, bid_size, ask_price, ask_size))
    if bid_columns.count == 0 and ask_columns.count == 0:
        return _row({}, 0)
    reasons = [*bid_columns.reasons(), *ask_columns.reasons()][:3]
    stamp = Columns({"time": [book_time]}, 1)
    at = stamp.time("time", ctx, optional=True)
    reasons += stamp.reasons()
    best_bid = float(bid_price[0]) if len(bid_price) else np.nan
    best_ask = float(ask_price[0]) if len(ask_price) else np.nan
    if best_bid >= best_ask:
        reasons.append(f"crossed book: best bid {best_bid:g}, best ask {best_ask:g}")
    row: dict[str, object] = {
        "book_ts": at,
        "best_bid": best_bid,
        "best_ask": best_ask,
        "bid_levels": float(len(bid_price)),
        "ask_levels": float(len(ask_price)),
        **_around_mid(bid_price, bid_size, ask_price, ask_size),
        "venue_symbol": pd.Series([venue_symbol], dtype="str"),
    }
    return _row(row, 1, "; ".join(reasons) or None)


def _ordered(side: Mapping[str, object], *, descending: bool) -> tuple[np.ndarray, np.ndarray]:
    price, size = np.asarray(side["price"]), np.asarray(side["size"])
    known = np.isfinite(price) & np.isfinite(size)
    price, size = price[known], size[known]
    order = np.lexsort((size, -price if descending else price))
    return price[order], size[order]


def _around_mid(
    bid_price: np.ndarray, bid_size: np.ndarray, ask_price: np.ndarray, ask_size: np.ndarray
) -> dict[str, object]:
    names = [f"depth_{b}bps_{s}_usd" for b in BANDS_BPS for s in ("bid", "ask")]
    keys = ("mid", "microprice", "spread_bps", *names, "imbalance", "book_reach_bps")
    out: dict[str, object] = dict.fromkeys(keys, np.nan)
    if not len(bid_price) or not len(ask_price) or bid_price[0] >= ask_price[0]:
        return out
    best_bid, best_ask = bid_price[0], ask_price[0]
    mid = (best_bid + best_ask) / 2.0
    top = bid_size[0] + ask_size[0]
    if not (np.isfinite(mid) and np.isfinite(top) and mid > 0):
        return out
    out["mid"] = mid
    out["microprice"] = (best_bid * ask_size[0] + best_ask * bid_size[0]) / top
    out["spread_bps"] = _BPS * (best_ask - best_bid) / mid
    sums = {}
    for side, price, size, sign in (
        ("bid", bid_price, bid_size, 1.0),
        ("ask", ask_price, ask_size, -1.0),
    ):
        away = _BPS * sign * (mid - price) / mid
        for band in BANDS_BPS:
            inside = away <= band
            sums[band, side] = float(np.dot(price[inside], size[inside]))
            out[f"depth_{band}bps_{side}_usd"] = sums[band, side]
    bid_value, ask_value = sums[IMBALANCE_BPS, "bid"], sums[IMBALANCE_BPS, "ask"]
    if bid_value + ask_value > 0:
        out["imbalance"] = (bid_value - ask_value) / (bid_value + ask_value)
    out["book_reach_bps"] = _BPS * min(mid - bid_price[-1], ask_price[-1] - mid) / mid
    return {k: v if np.isfinite(float(v)) else np.nan for k, v in out.items()}  # type: ignore[arg-type]


_ORDER = (
    "book_ts",
    "best_bid",
    "best_ask",
    "bid_levels",
    "ask_levels",
    "mid",
    "microprice",
    "spread_bps",
    *(f"depth_{b}bps_{s}_usd" for b in BANDS_BPS for s in ("bid", "ask")),
    "imbalance",
    "book_reach_bps",
    "venue_symbol",
)


def _row(values: Mapping[str, object], count: int, reason: str | None = None) -> pd.DataFrame:
    if not count:
        out = pd.DataFrame({name: pd.Series(dtype="float64") for name in _ORDER})
        out["book_ts"] = pd.DatetimeIndex([]).as_unit("us").tz_localize("UTC")
        out["venue_symbol"] = pd.Series(dtype="str")
        out["reason"] = pd.Series(dtype="str")
        return out
    out = pd.DataFrame({name: values[name] for name in _ORDER}, index=pd.RangeIndex(1))
    out["reason"] = pd.Series([reason], dtype="str")
    return out


def level_rows(
    sides: Sequence[tuple[object, object, object, str | None]], ctx: Context, *, contracts: bool
) -> pd.DataFrame:
    """Levels of book messages as rows, bids before asks; a size of 0 means that the level is gone.

    Args:
        sides: per book ``(bids, asks, time, venue symbol)``.
        ctx: what the parser knows.
        contracts: sizes are contracts instead of coins.

    Returns:
        ts (null where the venue sends none), side, price, quantity_base, quantity_contracts,
        venue_symbol, reason.

    Raises:
        ContractViolation: a side is no list of levels.
    """
    parts = []
    for bids, asks, at, venue_symbol in sides:
        for side, value in (("bid", bids), ("ask", asks)):
            columns, found = levels(value, f"{side}s", zero_ok=True)
            columns.put("time", [at] * columns.count)
            nulls = np.full(columns.count, np.nan)
            parts.append(
                columns.frame(
                    {
                        "ts": columns.time("time", ctx, optional=True),
                        "side": pd.Series([side] * columns.count, dtype="str"),
                        "price": found["price"],
                        "quantity_base": nulls if contracts else found["size"],
                        "quantity_contracts": found["size"] if contracts else nulls,
                        "venue_symbol": pd.Series([venue_symbol] * columns.count, dtype="str"),
                    }
                )
            )
    if not parts:
        raise ContractViolation("the message has no book")
    return pd.concat(parts, ignore_index=True)


def text_or_none(value: object) -> str | None:
    """A JSON text, or None for anything else."""
    return value if isinstance(value, str) and value is not MISSING else None
