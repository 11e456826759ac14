"""Coinglass v4 beside the plain hourly sums: rates, ratios, lists, orders, maps, news, transfers.

Source: ``coinglass-api/coinglass-api-docs``. Rates and shares come in percent and leave as fractions.
Times are milliseconds here and seconds there, told apart by size. Lists over exchanges begin with a
pseudo exchange ``All``, which is dropped. Does not belong here: liquidation and open-interest history
(``coinglass``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from regime_pipeline.providers.coinglass.errors import ERRORS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.readings import CURSOR, Context, Parser
from regime_pipeline.providers.transfers import EXCHANGES_BY_NAME, finished

PROVIDER = "coinglass"
_SHARE_SLACK = 1.0  # percent that two rounded shares may miss 100 by
_CAMEL = {
    "longLiquidation_usd": "long_liquidation_usd",
    "shortLiquidation_usd": "short_liquidation_usd",
    "longLiquidationUsd": "long_liquidation_usd",
    "shortLiquidationUsd": "short_liquidation_usd",
    "liquidationUsd": "liquidation_usd",
    "exchange_name": "exchange",
}
ALL = "All"


def data_of(body: bytes) -> object:
    """What the envelope holds.

    Raises:
        ProviderError: the envelope says error, or the reply is none of this provider's.
    """
    return member(document(body, ERRORS), "data")


def rows(body: bytes) -> list[object]:
    """The rows of the envelope."""
    return rows_of(data_of(body), what="data")


def _fraction(percent: np.ndarray) -> np.ndarray:
    """Percent as a fraction, without the binary noise that dividing a decimal leaves."""
    out = percent / 100.0
    small = np.abs(out) < 1e6  # rounding would take a huge nonsense number beyond a double
    return np.where(small, np.round(np.where(small, out, 0.0), 14), out) + 0.0


def _renamed(rows_: list[object], names: Mapping[str, str]) -> list[object]:
    """Rows whose members carry one name each, where the provider uses several."""
    return [
        {names.get(k, k): v for k, v in row.items()} if isinstance(row, dict) else row
        for row in rows_
    ]


def _without_all(rows_: list[object]) -> list[object]:
    return [
        row
        for row in rows_
        if not (isinstance(row, dict) and str(row.get("exchange")).lower() == ALL.lower())
    ]


# --- series --------------------------------------------------------------------------------------


def parse_funding(body: bytes, ctx: Context) -> pd.DataFrame:
    """The running funding rate over each bucket, percent in, fraction per interval out.

    Returns:
        ts, funding_rate_open, _high, _low, funding_rate (at the close), reason. These are readings
        of a rate in the making; settled prints come from the exchanges.
    """
    columns = Columns.objects(rows(body), ("time", "open", "high", "low", "close"))
    ohlc = {n: _fraction(columns.number(n)) for n in ("open", "high", "low", "close")}
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            **{f"funding_rate_{n}": ohlc[n] for n in ("open", "high", "low")},
            "funding_rate": ohlc["close"],
        }
    )


def _ratio(prefix: str, metric: str) -> Parser:
    def parse(body: bytes, ctx: Context) -> pd.DataFrame:
        """Long share of accounts or positions by bucket: percent in, fraction out."""
        long, short = f"{prefix}_long_percent", f"{prefix}_short_percent"
        ratio = f"{prefix}_long_short_ratio"
        columns = Columns.objects(rows(body), ("time", long, short), (ratio,))
        share, other = columns.number(long), columns.number(short)
        known = np.isfinite(share) & np.isfinite(other)
        columns.fail_where(known & ((share < 0) | (share > 100)), f"{long}: no share in percent")
        columns.fail_where(
            known & (np.abs(share + other - 100.0) > _SHARE_SLACK),
            f"{long}: the two sides do not make a hundred percent",
        )
        return columns.frame(
            {"ts": columns.time("time", ctx), "metric": metric, "value": _fraction(share)}
        )

    return parse


parse_global_accounts = _ratio("global_account", "global_account_long_frac")
parse_top_accounts = _ratio("top_account", "top_trader_account_long_frac")
parse_top_positions = _ratio("top_position", "top_trader_position_long_frac")


def parse_taker_volume(body: bytes, ctx: Context) -> pd.DataFrame:
    """Taker volume of a coin over several exchanges by bucket, USD."""
    names = {
        "aggregated_buy_volume_usd": "buy",
        "aggregated_sell_volume_usd": "sell",
        "taker_buy_volume_usd": "buy",
        "taker_sell_volume_usd": "sell",
    }
    columns = Columns.objects(_renamed(rows(body), names), ("time", "buy", "sell"))
    out = {"taker_buy_usd": columns.number("buy"), "taker_sell_usd": columns.number("sell")}
    for name, values in out.items():
        columns.fail_where(values < 0, f"{name}: below zero")
    return columns.frame({"ts": columns.time("time", ctx), **out})


def parse_depth(body: bytes, ctx: Context) -> pd.DataFrame:
    """Bids and asks of a coin over several exchanges within a distance of the price, USD."""
    names = {"bids": "aggregated_bids_usd", "asks": "aggregated_asks_usd"}
    columns = Columns.objects(rows(body), ("time", *names.values()))
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            **{f"resting_{side}_usd": columns.amount(name) for side, name in names.items()},
        }
    )


def parse_price(body: bytes, ctx: Context) -> pd.DataFrame:
    """Bars of a pair; volume in USD only."""
    columns = Columns.objects(rows(body), ("time", "open", "high", "low", "close"), ("volume_usd",))
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            **columns.bar(),
            "volume_quote": columns.amount("volume_usd", optional=True),
        }
    )


def parse_fear_greed(body: bytes, ctx: Context) -> pd.DataFrame:
    """The provider's own Fear & Greed index by day; not the one of alternative.me.

    Three shapes are about: one object of parallel arrays, a list of such objects, and a list of one
    object per day. Times are in seconds or milliseconds.

    Raises:
        ContractViolation: the arrays are not of one length.
    """
    data = data_of(body)
    blocks = data if isinstance(data, list) else [data]
    flat: list[object] = []
    for block in blocks:
        if isinstance(block, dict) and "data_list" in block:
            flat += _parallel(block)
        else:
            flat.append(block)
    named = {
        "timestamp": "time",
        "t": "time",
        "fear_greed": "value",
        "fear_greed_index": "value",
        "index": "value",
        "data": "value",
    }
    columns = Columns.objects(
        _renamed(rows_of(flat, empty_ok=False), named), ("time", "value"), ("price",)
    )
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "fear_greed": columns.number("value"),
            "classification": pd.array([None] * columns.count, dtype="str"),
            "price_usd": columns.number("price", optional=True),
        }
    )


def _parallel(block: dict[str, object]) -> list[object]:
    times, values = block.get("time_list"), block.get("data_list")
    prices = block.get("price_list")
    if not isinstance(times, list) or not isinstance(values, list):
        raise ContractViolation("data has no lists 'time_list' and 'data_list'")
    if not isinstance(prices, list) or not prices:
        prices = [None] * len(times)
    if not len(times) == len(values) == len(prices):
        raise ContractViolation(
            f"the parallel arrays differ in length: {len(times)} times, {len(values)} values, "
            f"{len(prices)} prices"
        )
    return [
        {"time": t, "value": v, "price": p} for t, v, p in zip(times, values, prices, strict=True)
    ]


# --- lists of coins and exchanges ----------------------------------------------------------------

_FRAMES = ("1h", "4h", "12h", "24h")
_CHANGES = ("5m", "15m", "30m", *_FRAMES)


def parse_coins_markets(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """One row per coin: price, open interest, funding, changes, liquidations of the last day.

    Later rows may miss members, which are null then. Percentages leave as fractions. The reply does
    not say what time it is about: it is the present of the request.
    """
    fields = {
        "market_cap_usd": "market_cap_usd",
        "open_interest_usd": "open_interest_usd",
        "open_interest_quantity": "open_interest_base",
        "long_short_ratio_24h": "long_short_ratio_24h",
        "long_liquidation_usd_24h": "long_liquidations_24h_usd",
        "short_liquidation_usd_24h": "short_liquidations_24h_usd",
        "open_interest_market_cap_ratio": "oi_to_market_cap_frac",
        "open_interest_volume_ratio": "oi_to_volume_frac",
    }
    percents = {
        **{f"price_change_percent_{span}": f"price_change_{span}_frac" for span in _CHANGES},
        "avg_funding_rate_by_oi": "funding_rate_oi_weighted",
        "avg_funding_rate_by_vol": "funding_rate_volume_weighted",
    }
    columns = Columns.objects(rows(body), ("symbol", "current_price"), (*fields, *percents))
    out = columns.frame(
        {
            "coin": columns.label("symbol", longest=30),
            "price_usd": columns.price("current_price"),
            **{ours: columns.amount(theirs, optional=True) for theirs, ours in fields.items()},
            **{
                ours: _fraction(columns.number(theirs, optional=True))
                for theirs, ours in percents.items()
            },
        }
    )
    if len(out):
        out.attrs[CURSOR] = "next"  # only an empty page is the last one
    return out


def parse_liquidation_coins(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """Forced closures per coin over the last 1, 4, 12 and 24 h, USD, by side."""
    names = [
        f"{side}liquidation_usd_{span}" for side in ("", "long_", "short_") for span in _FRAMES
    ]
    columns = Columns.objects(rows(body), ("symbol",), names)
    return columns.frame(
        {
            "coin": columns.label("symbol", longest=30),
            **{n: columns.amount(n, optional=True) for n in names},
        }
    )


def parse_liquidation_exchanges(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """Forced closures per exchange over the asked range, USD; the pseudo row ``All`` is dropped."""
    found = _without_all(_renamed(rows(body), _CAMEL))
    columns = Columns.objects(
        found, ("exchange", "long_liquidation_usd", "short_liquidation_usd"), ("liquidation_usd",)
    )
    long, short = (columns.number(f"{s}_liquidation_usd") for s in ("long", "short"))
    return columns.frame(
        {
            "exchange": columns.label("exchange", longest=60),
            "long_liquidations_usd": long,
            "short_liquidations_usd": short,
            "total_liquidation_usd": columns.number("liquidation_usd", optional=True),
        }
    )


def parse_open_interest_exchanges(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """Open interest per exchange now, USD and coins; the pseudo row ``All`` is dropped."""
    changes = [f"open_interest_change_percent_{s}" for s in ("1h", "4h", "24h")]
    columns = Columns.objects(
        _without_all(_renamed(rows(body), _CAMEL)),
        ("exchange", "symbol", "open_interest_usd"),
        ("open_interest_quantity", *changes),
    )
    return columns.frame(
        {
            "exchange": columns.label("exchange", longest=60),
            "coin": columns.label("symbol", longest=30),
            "open_interest_usd": columns.number("open_interest_usd"),
            "open_interest_base": columns.number("open_interest_quantity", optional=True),
            **{
                n.replace("percent", "frac"): _fraction(columns.number(n, optional=True))
                for n in changes
            },
        }
    )


def parse_funding_exchanges(body: bytes, ctx: Context) -> pd.DataFrame:
    """Running funding per coin, margin and exchange: percent in, fraction per interval out."""
    flat: list[object] = []
    for row in rows(body):
        if not isinstance(row, dict):
            flat.append(row)
            continue
        for margin in ("stablecoin", "token"):
            listed = row.get(f"{margin}_margin_list")
            if listed is None:
                continue
            flat += [
                {**item, "coin": row.get("symbol"), "margin": margin}
                if isinstance(item, dict)
                else item
                for item in (listed if isinstance(listed, list) else [None])
            ]
    columns = Columns.objects(
        _without_all(flat),
        ("coin", "margin", "exchange", "funding_rate"),
        ("funding_rate_interval", "next_funding_time"),
    )
    return columns.frame(
        {
            "coin": columns.label("coin", longest=30),
            "margin": columns.text("margin"),
            "exchange": columns.label("exchange", longest=60),
            "funding_rate": _fraction(columns.number("funding_rate")),
            "interval_hours": columns.number("funding_rate_interval", optional=True),
            "next_funding_at": columns.time(
                "next_funding_time", Context(market=ctx.market), optional=True
            ),
        }
    )


def parse_coins(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """The coins that the provider covers."""
    columns = Columns.objects([{"coin": v} for v in rows(body)], ("coin",))
    return columns.frame({"coin": columns.label("coin", longest=30)})


def parse_pairs(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """The pairs of each exchange under the names it gives them."""
    data = data_of(body)
    if not isinstance(data, dict):
        raise ContractViolation("data is no object of exchanges")
    flat: list[object] = []
    for exchange, listed in data.items():
        flat += [
            {**item, "exchange": exchange} if isinstance(item, dict) else item
            for item in rows_of(listed, what="the pairs of an exchange")
        ]
    columns = Columns.objects(flat, ("exchange", "instrument_id", "base_asset", "quote_asset"))
    return columns.frame(
        {
            "exchange": columns.label("exchange", longest=60),
            "venue_symbol": columns.label("instrument_id", longest=80),
            "base": columns.label("base_asset", longest=30),
            "quote": columns.label("quote_asset", longest=30),
        }
    )


# --- single liquidations and estimated levels ----------------------------------------------------


def _orders(found: list[object], names: Mapping[str, str], ctx: Context) -> pd.DataFrame:
    columns = Columns.objects(
        _renamed(found, names),
        ("exchange", "symbol", "price", "usd_value", "side", "time"),
        ("coin",),
    )
    side = columns.integer("side")
    columns.fail_where(np.isfinite(side) & ~np.isin(side, (1, 2)), "side: neither 1 nor 2")
    value, price = columns.number("usd_value"), columns.number("price")
    columns.fail_where(value < 0, "usd_value: below zero")
    columns.fail_where(price <= 0, "price: not above zero")
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "exchange": columns.label("exchange", longest=60),
            "venue_symbol": columns.label("symbol", longest=80),
            "coin": columns.label("coin", optional=True, longest=30),
            "price": price,
            "value_usd": value,
            "side_code": side,
        }
    )


def parse_liquidation_orders(body: bytes, ctx: Context) -> pd.DataFrame:
    """Single forced closures.

    ``side_code`` is left as it came: the provider explains 1 and 2 as buy and sell in one place and
    as long and short in another, which contradict each other.
    """
    names = {"exchange_name": "exchange", "base_asset": "coin"}
    return _orders(rows(body), names, ctx)


def parse_pushed_orders(body: bytes, ctx: Context) -> pd.DataFrame:
    """A message of the push channel ``liquidationOrders``; its side code as with the orders."""
    loaded = document(body, ERRORS)
    names = {"exName": "exchange", "baseAsset": "coin", "volUsd": "usd_value"}
    return _orders(rows_of(member(loaded, "data"), what="data"), names, ctx)


def parse_heatmap(body: bytes, ctx: Context) -> pd.DataFrame:
    """Estimated liquidation leverage by bar and price level: a model, no event.

    Returns:
        x_index, y_index, value_usd, bar_start (null where the index points past the bars given),
        price_level (null where it points past the axis), reason.
    """
    data = data_of(body)
    axis = rows_of(member(data, "y_axis"), what="y_axis")
    points = rows_of(member(data, "liquidation_leverage_data"), what="liquidation_leverage_data")
    bars = rows_of(member(data, "price_candlesticks"), what="price_candlesticks")
    levels = Columns.objects([{"level": v} for v in axis], ("level",)).number("level")
    starts = Columns.objects(
        [{"time": b[0] if isinstance(b, list) and b else None} for b in bars], ("time",)
    ).time("time", ctx)
    columns = Columns.arrays(points, ("x", "y", "value"))
    x, y, value = columns.integer("x"), columns.integer("y"), columns.amount("value")
    columns.fail_where((x < 0) | (y < 0), "index: below zero")
    return columns.frame(
        {
            "x_index": x,
            "y_index": y,
            "value_usd": value,
            "bar_start": _picked(pd.Series(starts), x, pd.NaT),
            "price_level": _picked(pd.Series(levels), y, np.nan),
        }
    )


def _picked(values: pd.Series, index: np.ndarray, nothing: object) -> pd.Series:
    """``values`` at whole positions; null where a position lies outside."""
    inside = np.isfinite(index) & (index >= 0) & (index < len(values))
    if not len(values):
        return pd.Series([nothing] * len(index), dtype=values.dtype)
    place = np.where(inside, index, 0).astype(np.int64)
    return values.take(place).reset_index(drop=True).where(inside)


def parse_map(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001
    """Estimated liquidations by price level: ``price: [[level, value, leverage, null], ...]``."""
    data = data_of(body)
    inner = data.get("data") if isinstance(data, dict) else None
    levels = inner if isinstance(inner, dict) else data
    if not isinstance(levels, dict):
        raise ContractViolation("data is no object of price levels")
    flat: list[object] = []
    for listed in levels.values():
        flat += rows_of(listed, what="a price level")
    columns = Columns.arrays(flat, ("level", "value", "leverage"))
    level, value = columns.number("level"), columns.number("value")
    columns.fail_where(level <= 0, "level: not above zero")
    columns.fail_where(value < 0, "value: below zero")
    return columns.frame(
        {
            "price_level": level,
            "value_usd": value,
            "leverage": columns.number("leverage", optional=True),
        }
    )


# --- transfers and articles ----------------------------------------------------------------------


def parse_whale_transfers(body: bytes, ctx: Context) -> pd.DataFrame:
    """Transfers of at least ten million dollars; ends are names or ``unknown wallet``.

    Returns:
        Columns of ``raw.whale_transfers`` but for the addresses, which are not told.
    """
    found = rows(body)
    columns = Columns.objects(
        found,
        ("transaction_hash", "amount_usd", "asset_symbol", "blockchain_name", "block_timestamp"),
        ("asset_quantity", "from", "to"),
    )
    ends = {}
    for end in ("from", "to"):
        named = columns.prose(end, longest=120)
        low = named.str.lower()
        unknown = named.isna() | low.str.startswith("unknown")
        kind = pd.Series("other", index=named.index, dtype="str")
        kind = kind.where(~low.str.contains(EXCHANGES_BY_NAME, regex=True, na=False), "exchange")
        ends[f"{end}_owner"] = named.where(~unknown)
        ends[f"{end}_owner_type"] = kind.where(~unknown, "unknown")
        ends[f"{end}_address"] = pd.Series(None, index=named.index, dtype="str")
    return finished(
        columns,
        {
            "ts": columns.time("block_timestamp", ctx),
            "blockchain": columns.label("blockchain_name", longest=60),
            "transaction_hash": columns.label("transaction_hash"),
            "transfer_id": pd.Series(None, index=range(columns.count), dtype="str"),
            "coin": columns.label("asset_symbol", longest=30),
            "transaction_type": "transfer",
            "transfer_amount": columns.number("asset_quantity", optional=True),
            "transfer_usd": columns.number("amount_usd"),
            **ends,
        },
    )


def parse_articles(body: bytes, ctx: Context) -> pd.DataFrame:
    """News: when, who, headline; nobody's verdict on it."""
    columns = Columns.objects(
        rows(body), ("article_title", "article_release_time"), ("source_name",)
    )
    titles = columns.prose("article_title")
    columns.fail_where(np.asarray(titles.isna()), "article_title: no text")
    out = columns.frame(
        {
            "ts": columns.time("article_release_time", ctx),
            "headline": titles,
            "publisher": columns.prose("source_name", longest=80),
        }
    )
    if len(out):
        out.attrs[CURSOR] = "next"
    return out


PARSED: Mapping[str, Callable[[bytes, Context], pd.DataFrame]] = {
    "/api/futures/funding-rate/history": parse_funding,
    "/api/futures/funding-rate/oi-weight-history": parse_funding,
    "/api/futures/funding-rate/vol-weight-history": parse_funding,
    "/api/futures/funding-rate/exchange-list": parse_funding_exchanges,
    "/api/futures/global-long-short-account-ratio/history": parse_global_accounts,
    "/api/futures/top-long-short-account-ratio/history": parse_top_accounts,
    "/api/futures/top-long-short-position-ratio/history": parse_top_positions,
    "/api/futures/aggregated-taker-buy-sell-volume/history": parse_taker_volume,
    "/api/futures/price/history": parse_price,
    "/api/futures/orderbook/aggregated-ask-bids-history": parse_depth,
    "/api/futures/coins-markets": parse_coins_markets,
    "/api/futures/supported-coins": parse_coins,
    "/api/futures/supported-exchange-pairs": parse_pairs,
    "/api/futures/open-interest/exchange-list": parse_open_interest_exchanges,
    "/api/futures/liquidation/coin-list": parse_liquidation_coins,
    "/api/futures/liquidation/exchange-list": parse_liquidation_exchanges,
    "/api/futures/liquidation/order": parse_liquidation_orders,
    **{
        f"/api/futures/liquidation/{kind}heatmap/model{number}": parse_heatmap
        for kind in ("", "aggregated-")
        for number in (1, 2, 3)
    },
    "/api/futures/liquidation/map": parse_map,
    "/api/futures/liquidation/aggregated-map": parse_map,
    "/api/index/fear-greed-history": parse_fear_greed,
    "/api/chain/v2/whale-transfer": parse_whale_transfers,
    "/api/article/list": parse_articles,
    "/ws_liquidationOrders": parse_pushed_orders,
}
"""Path -> parser of every endpoint of this module; the last one is a push channel."""
