"""Binance USD-M futures: klines, settled funding, open interest, positioning.

Sources: ``binance/binance-futures-connector-python`` (um_futures/market.py) and recorded replies.
Rates are fractions per interval, open interest is one-sided. ``/futures/data/*`` keeps the latest
30 days and answers -1130 for an older start; its ``timestamp`` is taken as the start of its bucket,
which is the reading that cannot look ahead, and it comes as a number or as a text.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.providers.binance import parse_klines as _spot_klines
from regime_pipeline.providers.plan import Endpoint, Feed, Paging
from regime_pipeline.providers.wire import Columns, Context, Parser, document, rows_of
from regime_pipeline.windows import HOUR

PROVIDER = "binance_futures"
RETENTION = timedelta(days=30)
SHARE_TOLERANCE = 0.01


def parse_klines(body: bytes, ctx: Context) -> pd.DataFrame:
    """Klines of a perpetual; the same 12 fields as on spot."""
    return _spot_klines(body, ctx, PROVIDER)


def parse_funding_rate(body: bytes, ctx: Context) -> pd.DataFrame:
    """Settled funding prints.

    ``markPrice`` is absent or blank on older rows and then null. The time has a jitter of some
    milliseconds, which is left in; the interval is not in the reply.

    Returns:
        ts, funding_rate (fraction per interval), mark_price, venue_symbol, reason.
    """
    columns = Columns.objects(
        rows_of(document(body, PROVIDER)), ("symbol", "fundingTime", "fundingRate"), ("markPrice",)
    )
    mark = columns.number("markPrice", optional=True)
    return columns.frame(
        {
            "ts": columns.time("fundingTime", ctx),
            "funding_rate": columns.number("fundingRate"),
            # zero stands for "was not recorded"
            "mark_price": np.where(mark == 0.0, np.nan, mark),
            "venue_symbol": columns.text("symbol"),
        }
    )


def parse_funding_info(body: bytes, ctx: Context) -> pd.DataFrame:
    """Perpetuals whose funding interval or caps were ever adjusted.

    Returns:
        venue_symbol, interval_hours in force now, since (last update; null when not said), reason.
    """
    columns = Columns.objects(
        rows_of(document(body, PROVIDER)), ("symbol", "fundingIntervalHours"), ("updateTime",)
    )
    return columns.frame(
        {
            "venue_symbol": columns.text("symbol"),
            "interval_hours": columns.integer("fundingIntervalHours"),
            "since": columns.time("updateTime", ctx, optional=True),
        }
    )


def parse_open_interest_hist(body: bytes, ctx: Context) -> pd.DataFrame:
    """Open interest by bucket, in coins and USDT."""
    columns = Columns.objects(
        rows_of(document(body, PROVIDER)),
        ("symbol", "sumOpenInterest", "sumOpenInterestValue", "timestamp"),
    )
    return columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "open_interest_base": columns.number("sumOpenInterest"),
            "open_interest_usd": columns.number("sumOpenInterestValue"),
            "venue_symbol": columns.text("symbol"),
        }
    )


def _share_parser(metric: str) -> Parser:
    def parse(body: bytes, ctx: Context) -> pd.DataFrame:
        columns = Columns.objects(
            rows_of(document(body, PROVIDER)),
            ("symbol", "longAccount", "shortAccount", "timestamp"),
        )
        long, short = columns.number("longAccount"), columns.number("shortAccount")
        with np.errstate(invalid="ignore"):
            columns.fail_where((long < 0) | (long > 1), "longAccount: no share between 0 and 1")
            columns.fail_where(
                np.abs(long + short - 1) > SHARE_TOLERANCE, "longAccount + shortAccount is not 1"
            )
        return columns.frame(
            {
                "ts": columns.time("timestamp", ctx),
                "metric": pd.Series([metric] * columns.count, dtype="str"),
                "value": long,
                "venue_symbol": columns.text("symbol"),
            }
        )

    parse.__doc__ = f"``{metric}`` by bucket; the position endpoint names its shares alike."
    return parse


parse_global_accounts = _share_parser("global_account_long_frac")
parse_top_accounts = _share_parser("top_trader_account_long_frac")
parse_top_positions = _share_parser("top_trader_position_long_frac")


def parse_taker_ratio(body: bytes, ctx: Context) -> pd.DataFrame:
    """Taker volumes by bucket in coins, two rows each; the reply does not name the symbol."""
    columns = Columns.objects(rows_of(document(body, PROVIDER)), ("buyVol", "sellVol", "timestamp"))
    base = columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "buy": columns.number("buyVol"),
            "sell": columns.number("sellVol"),
        }
    )
    return two_metrics(base)


def two_metrics(base: pd.DataFrame) -> pd.DataFrame:
    """Taker volumes as rows of ``taker_buy_base`` and ``taker_sell_base``."""
    sides = []
    for side in ("buy", "sell"):
        rows = base[["ts"]].copy()
        rows["metric"] = pd.Series(
            [f"taker_{side}_base"] * len(base), dtype="str", index=base.index
        )
        rows["value"] = base[side]
        rows["reason"] = base["reason"]
        sides.append(rows)
    return pd.concat(sides, ignore_index=True)


def _endpoint(name: str, path: str, parse: Parser, weight: int) -> Endpoint:
    return Endpoint(PROVIDER, name, path, parse, weight)


KLINES = _endpoint("fapi_v1_klines", "/fapi/v1/klines", parse_klines, 5)
FUNDING_RATE = _endpoint("fapi_v1_fundingRate", "/fapi/v1/fundingRate", parse_funding_rate, 1)
FUNDING_INFO = _endpoint("fapi_v1_fundingInfo", "/fapi/v1/fundingInfo", parse_funding_info, 1)
OPEN_INTEREST = _endpoint(
    "futures_data_openInterestHist",
    "/futures/data/openInterestHist",
    parse_open_interest_hist,
    1,
)
POSITIONING = tuple(
    _endpoint(f"futures_data_{name}", f"/futures/data/{name}", parse, 1)
    for name, parse in (
        ("globalLongShortAccountRatio", parse_global_accounts),
        ("topLongShortAccountRatio", parse_top_accounts),
        ("topLongShortPositionRatio", parse_top_positions),
        ("takerlongshortRatio", parse_taker_ratio),
    )
)
ENDPOINTS = (KLINES, FUNDING_RATE, FUNDING_INFO, OPEN_INTEREST, *POSITIONING)


def _data_feed(dataset: str, endpoint: Endpoint) -> Feed:
    return Feed(
        dataset=dataset,
        endpoint=endpoint,
        market="perp",
        venue="binance",
        paging=Paging("forward", 500, start="startTime", end="endTime"),
        params=lambda symbol: {"symbol": symbol.name, "period": "1h"},
        retention=RETENTION,
    )


FEEDS = (
    Feed(
        dataset="candles",
        endpoint=KLINES,
        market="perp",
        venue="binance",
        # the documents say 1000 and 1500; every page of 1000 is right under both
        paging=Paging("forward", 1000, start="startTime", end="endTime"),
        params=lambda symbol: {"symbol": symbol.name, "interval": "1h"},
    ),
    Feed(
        dataset="funding_rates",
        endpoint=FUNDING_RATE,
        market="perp",
        venue="binance",
        paging=Paging(
            "forward", 1000, start="startTime", end="endTime", step=8 * HOUR, least_step=HOUR
        ),
        params=lambda symbol: {"symbol": symbol.name},
    ),
    Feed(
        dataset="funding_rates",
        endpoint=FUNDING_INFO,
        market="perp",
        venue="binance",
        paging=Paging("single"),
        params=lambda _: {},
        part="intervals",
        per_symbol=False,
    ),
    _data_feed("open_interest", OPEN_INTEREST),
    *(_data_feed("positioning", endpoint) for endpoint in POSITIONING),
)
