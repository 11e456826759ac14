"""Single trades and forced closures as typed rows, and trades summed to hours. Pure.

Belongs here: what every venue's trade parser shares, the hourly sums of ``raw.trade_flow``. Does not
belong here: wire formats, judging a trade large (``market.trade_flow`` does, from the sizes of the
day before).

Sides: ``taker_side`` is the side of whoever crossed the spread. Binance says whether the *buyer was
the maker*, in which case the taker sold. ``position_side`` is the side of the position that was
closed by force: an order that sells closes a long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import orjson
import pandas as pd

from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.readings import Context
from regime_pipeline.windows import HOUR, Window

BINS_PER_DOUBLING = 4
SIZE_BINS = 96
"""Trade values from 1 USD to 2^24 USD in quarter octaves; the ends take what lies beyond."""

TRADE_STEP = timedelta(milliseconds=600)
"""Assumed time between trades: a page of a thousand is asked for per ten minutes."""
TRADE_REACH = timedelta(hours=3)
"""How far back single trades are asked for: years of them cost more requests than any venue grants,
and the candles' taker volumes cover what is older."""


def trade_rows(
    columns: Columns,
    ctx: Context,
    *,
    time: str,
    identity: str,
    price: str,
    size: str,
    taker_side: Sequence[str | None],
    venue_symbol: object,
    quote: str | None = None,
    fills: np.ndarray | None = None,
    contracts: np.ndarray | None = None,
    inverse: bool = False,
) -> pd.DataFrame:
    """Trades as rows; rows whose price, size or side cannot be used carry a ``reason``.

    Args:
        columns: the raw fields.
        ctx: what the parser knows.
        time: field of the trade's time.
        identity: field of the venue's trade id.
        price: field of the price.
        size: field of the size.
        taker_side: ``buy`` or ``sell`` per row, None where it cannot be told.
        venue_symbol: instrument per row, or null.
        quote: field of the value in quote currency, else price x size.
        fills: trades behind one row, else 1.
        contracts: mask of rows whose size is in contracts; their coins and value are null.
        inverse: the size is USD instead of coins.

    Returns:
        ts, trade_id, taker_side, price, quantity_base, quantity_contracts, value_quote, fills,
        venue_symbol, reason.
    """
    at, amount = columns.number(price), columns.number(size)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        columns.fail_where(at <= 0, f"{price}: not above 0")
        columns.fail_where(amount < 0, f"{size}: below 0")
        value = columns.amount(quote) if quote else at * amount
        if inverse:
            value, amount = amount, np.where(at > 0, amount / at, np.nan)
    in_contracts = np.zeros(columns.count, bool) if contracts is None else contracts
    for row, side in enumerate(taker_side):
        if side is None:
            columns.fail(row, "the taker's side is neither buy nor sell")
    ids = [_identity(v) for v in columns.raw(identity)]
    for row, one in enumerate(ids):
        if one is None:
            columns.fail(row, f"{identity}: no trade id")
    return columns.frame(
        {
            "ts": columns.time(time, ctx),
            "trade_id": pd.Series(ids, dtype="str"),
            "taker_side": pd.Series(list(taker_side), dtype="str"),
            "price": at,
            "quantity_base": _finite(np.where(in_contracts, np.nan, amount)),
            "quantity_contracts": np.where(in_contracts, amount, np.nan),
            "value_quote": _finite(np.where(in_contracts, np.nan, value)),
            "fills": np.ones(columns.count) if fills is None else fills,
            "venue_symbol": venue_symbol,
        }
    )


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _identity(value: object) -> str | None:
    if isinstance(value, str) and value:
        return value[:80]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def buyer_was_maker(flags: Sequence[object]) -> list[str | None]:
    """Binance's flag as the taker's side: the taker sold when the buyer was the maker."""
    return [{True: "sell", False: "buy"}.get(f) if isinstance(f, bool) else None for f in flags]


def side_words(words: Sequence[object]) -> list[str | None]:
    """``Buy`` / ``sell`` in any case as the taker's side."""
    return [
        w.lower() if isinstance(w, str) and w.lower() in ("buy", "sell") else None for w in words
    ]


def forced_rows(
    columns: Columns,
    ctx: Context,
    *,
    time: str,
    price: np.ndarray,
    size: np.ndarray,
    position_side: Sequence[str | None],
    venue_symbol: pd.Series,
    contracts: bool = False,
    inverse: np.ndarray | None = None,
) -> pd.DataFrame:
    """Forced closures as rows.

    Returns:
        ts, position_side, price, quantity_base, quantity_contracts, liquidation_usd, venue_symbol,
        reason. With sizes in contracts the coins and USD are null until the size is known.
    """
    nulls = np.full(columns.count, np.nan)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        columns.fail_where(price <= 0, "price: not above 0")
        columns.fail_where(size <= 0, "size: not above 0")
        base, usd = size, price * size
        if inverse is not None:
            base, usd = np.where(inverse, size / price, base), np.where(inverse, size, usd)
    for row, side in enumerate(position_side):
        if side is None:
            columns.fail(row, "the side of the closed position cannot be told")
    return columns.frame(
        {
            "ts": columns.time(time, ctx),
            "position_side": pd.Series(list(position_side), dtype="str"),
            "price": price,
            "quantity_base": nulls if contracts else _finite(base),
            "quantity_contracts": size if contracts else nulls,
            "liquidation_usd": nulls if contracts else _finite(usd),
            "venue_symbol": venue_symbol,
        }
    )


# --- hours ---------------------------------------------------------------------------------------


def whole_hours(window: Window, now: datetime) -> list[datetime]:
    """The hours that lie wholly inside a fetched window and have closed."""
    end = min(window.end, now)
    start = window.start.replace(minute=0, second=0, microsecond=0)
    if start < window.start:
        start += HOUR
    out = []
    while start + HOUR <= end:
        out.append(start)
        start += HOUR
    return out


def hourly(trades: pd.DataFrame, hours: Sequence[datetime]) -> pd.DataFrame:
    """Trades summed to the given hours, one row an hour that has any trade.

    Repeated trades (pages overlap) count once. A trade that cannot be used spoils its hour: the
    hour's row carries the ``reason``. Sums run in the order of time and id, so the order of pages
    never decides.

    Args:
        trades: rows of one instrument as :func:`trade_rows` makes them.
        hours: hours that were fetched from end to end.

    Returns:
        ts, taker buy and sell amounts in coins and quote currency, counts, ``size_counts`` and
        ``size_values`` (JSON lists over :data:`SIZE_BINS` bins of a trade's value), reason.
    """
    owed = pd.DatetimeIndex(list(hours)).as_unit("us") if len(hours) else None
    if owed is None or trades.empty:
        return pd.DataFrame()
    rows = trades.assign(hour=trades["ts"].dt.floor("1h"))
    rows = rows.sort_values(["ts", "trade_id"], kind="stable", ignore_index=True)
    rows = rows.drop_duplicates(["ts", "trade_id"], keep="last", ignore_index=True)
    rows = rows[rows["hour"].isin(owed)]
    out: list[Mapping[str, object]] = []
    for hour, part in rows.groupby("hour", sort=True):
        out.append({"ts": hour, **_sums(part)})
    frame = pd.DataFrame(out)
    if len(frame):
        frame["ts"] = pd.DatetimeIndex(frame["ts"]).as_unit("us")
        frame["reason"] = frame["reason"].astype("str")
    return frame


def hourly_closures(closures: pd.DataFrame, hours: Sequence[datetime]) -> pd.DataFrame:
    """Forced closures summed to the given hours, one row an hour; a quiet hour is zeros.

    A closure that cannot be used spoils its hour: the hour's row carries the ``reason``.

    Args:
        closures: rows as :func:`forced_rows` makes them with their ``closure_id``; repeated ones
            (pages overlap) count once.
        hours: hours that were fetched from end to end.

    Returns:
        ts, long_liquidations_usd, short_liquidations_usd, reason.
    """
    rows = closures.sort_values(["ts", "closure_id"], kind="stable", ignore_index=True)
    rows = rows.drop_duplicates("closure_id", keep="last", ignore_index=True)
    place = pd.DatetimeIndex(list(hours)).get_indexer(pd.DatetimeIndex(rows["ts"].dt.floor("h")))
    usd = rows["liquidation_usd"].to_numpy(float)
    usable = rows["reason"].isna().to_numpy() & np.isfinite(usd) & (place >= 0)
    sums = {}
    for side in ("long", "short"):
        mine = usable & (rows["position_side"] == side).to_numpy(bool)
        sums[side] = np.bincount(place[mine], usd[mine], minlength=len(hours))
    reasons = pd.Series([None] * len(hours), dtype="str")
    for at, why in rows.loc[~usable & (place >= 0), "reason"].groupby(
        place[~usable & (place >= 0)]
    ):
        reasons[at] = f"{len(why)} closures cannot be used, first: {why.iloc[0]}"
    return pd.DataFrame(
        {
            "ts": pd.DatetimeIndex(list(hours)).as_unit("us"),
            "long_liquidations_usd": sums["long"],
            "short_liquidations_usd": sums["short"],
            "reason": reasons,
        }
    )


def _sums(part: pd.DataFrame) -> dict[str, object]:
    bad = part["reason"].dropna()
    base = part["quantity_base"].to_numpy(float)
    value = part["value_quote"].to_numpy(float)
    fills = part["fills"].to_numpy(float)
    bought = (part["taker_side"] == "buy").to_numpy(bool)
    place = size_bin(value)
    known = np.isfinite(value)
    counts = np.bincount(place[known], minlength=SIZE_BINS)
    values = np.bincount(place[known], weights=value[known], minlength=SIZE_BINS)
    return {
        "taker_buy_base": float(base[bought].sum()),
        "taker_sell_base": float(base[~bought].sum()),
        "taker_buy_quote": float(value[bought].sum()),
        "taker_sell_quote": float(value[~bought].sum()),
        "taker_buy_count": float(fills[bought].sum()),
        "taker_sell_count": float(fills[~bought].sum()),
        "size_counts": orjson.dumps(counts.tolist()).decode(),
        "size_values": orjson.dumps([round(v, 6) for v in values.tolist()]).decode(),
        "reason": f"{len(bad)} trades cannot be used, first: {bad.iloc[0]}" if len(bad) else None,
    }


def size_bin(value: np.ndarray) -> np.ndarray:
    """The bin of a trade's value in quote currency, 0 .. SIZE_BINS - 1; a null goes to bin 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.floor(BINS_PER_DOUBLING * np.log2(value))
    return np.clip(
        np.nan_to_num(place, nan=0.0, posinf=SIZE_BINS, neginf=0.0), 0, SIZE_BINS - 1
    ).astype(int)
