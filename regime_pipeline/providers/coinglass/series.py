"""Coinglass v4: hourly liquidations and open interest, and which dataset each endpoint feeds.

Source: ``coinglass-api/coinglass-api-docs``. Errors come in an envelope with HTTP 200, ``msg`` may
be missing, numbers are texts or numbers by endpoint. Rows are labelled by the start of their bucket;
the last one is the running bucket and grows. Hours without liquidations may be left out. Intervals
under 4h need a plan above the smallest one.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

import numpy as np
import pandas as pd

from regime_pipeline.providers.coinglass import days, levels, lists
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.paging import Forward, Newest, Numbered
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.providers.symbols import VenueSymbol
from regime_pipeline.windows import HOUR

PROVIDER = "coinglass"
EXCHANGES = MappingProxyType({"binance": "Binance", "okx": "OKX"})
"""Venues by the name this provider gives them, case as it wants it."""
AGGREGATE = "aggregate"
AGGREGATED_EXCHANGES = "Binance,OKX,Bybit"
"""What ``aggregate`` sums over; another list would be another series."""


def _liquidations(body: bytes, ctx: Context, long: str, short: str) -> pd.DataFrame:
    columns = Columns.objects(lists.rows(body), ("time", long, short))
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "long_liquidations_usd": columns.amount(long),
            "short_liquidations_usd": columns.amount(short),
        }
    )


def parse_liquidation_history(body: bytes, ctx: Context) -> pd.DataFrame:
    """Forced closures of one exchange and pair by bucket and side, USD."""
    return _liquidations(body, ctx, "long_liquidation_usd", "short_liquidation_usd")


def parse_liquidation_aggregated(body: bytes, ctx: Context) -> pd.DataFrame:
    """Forced closures of a coin over several exchanges by bucket and side, USD."""
    return _liquidations(
        body, ctx, "aggregated_long_liquidation_usd", "aggregated_short_liquidation_usd"
    )


def parse_open_interest(body: bytes, ctx: Context) -> pd.DataFrame:
    """Open interest at the close of each bucket, in the unit asked for (``ctx.unit``, else USD)."""
    columns = Columns.objects(lists.rows(body), ("time", "close"))
    nulls = np.full(columns.count, np.nan)
    close = columns.amount("close")
    coin = ctx.unit == "coin"
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "open_interest_base": close if coin else nulls,
            "open_interest_usd": nulls if coin else close,
        }
    )


def _endpoint(path: str, parse: Parser) -> Endpoint:
    return Endpoint(PROVIDER, path.removeprefix("/api").strip("/").replace("/", "_"), path, parse)


LIQUIDATIONS = _endpoint("/api/futures/liquidation/history", parse_liquidation_history)
LIQUIDATIONS_ALL = _endpoint(
    "/api/futures/liquidation/aggregated-history", parse_liquidation_aggregated
)
OPEN_INTEREST = _endpoint("/api/futures/open-interest/history", parse_open_interest)
OPEN_INTEREST_ALL = _endpoint("/api/futures/open-interest/aggregated-history", parse_open_interest)
_MORE = {path: _endpoint(path, parse) for path, parse in lists.PARSED.items()}
ENDPOINTS = (
    LIQUIDATIONS,
    LIQUIDATIONS_ALL,
    OPEN_INTEREST,
    OPEN_INTEREST_ALL,
    *_MORE.values(),
)

_PAGING = Forward(limit=1000, start="start_time", end="end_time")


def _pair(dataset: str, endpoint: Endpoint, venue: str, unit: str = "") -> Feed:
    def params(symbol: VenueSymbol) -> dict[str, str]:
        asked = {"exchange": EXCHANGES[venue], "symbol": symbol.name, "interval": "1h"}
        return {**asked, "unit": unit} if unit else asked

    return Feed(
        dataset=dataset,
        endpoint=endpoint,
        market="perp",
        venue=venue,
        paging=_PAGING,
        params=params,
        context=Context(unit=unit or None),
        part=unit,
        only_primary=True,
    )


def _coin(dataset: str, endpoint: Endpoint, unit: str = "") -> Feed:
    def params(symbol: VenueSymbol) -> dict[str, str]:
        asked = {"symbol": symbol.name, "interval": "1h"}
        if unit:
            return {**asked, "unit": unit}
        return {**asked, "exchange_list": AGGREGATED_EXCHANGES}

    return Feed(
        dataset=dataset,
        endpoint=endpoint,
        market="perp",
        venue=AGGREGATE,
        paging=_PAGING,
        params=params,
        context=Context(unit=unit or None),
        part=unit,
        names="coin",
    )


_RATIOS = tuple(
    _MORE[f"/api/futures/{name}/history"]
    for name in (
        "global-long-short-account-ratio",
        "top-long-short-account-ratio",
        "top-long-short-position-ratio",
    )
)
_DEPTH = _MORE["/api/futures/orderbook/aggregated-ask-bids-history"]
_LISTED = {"exchange_list": AGGREGATED_EXCHANGES}

FEEDS = (
    *(_pair("liquidations", LIQUIDATIONS, venue) for venue in EXCHANGES),
    _coin("liquidations", LIQUIDATIONS_ALL),
    *(
        _pair("open_interest", OPEN_INTEREST, venue, unit)
        for venue in EXCHANGES
        for unit in ("usd", "coin")
    ),
    _coin("open_interest", OPEN_INTEREST_ALL, "usd"),
    _coin("open_interest", OPEN_INTEREST_ALL, "coin"),
    *(_pair("positioning", endpoint, venue) for venue in EXCHANGES for endpoint in _RATIOS),
    *days.feeds(
        ratios=_RATIOS,
        sums={
            OPEN_INTEREST_ALL: {"unit": "usd"},
            LIQUIDATIONS_ALL: _LISTED,
            _DEPTH: {**_LISTED, "range": days.DEPTH_PCT},
        },
        exchanges=EXCHANGES,
        aggregate=AGGREGATE,
    ),
    Feed(
        dataset="fear_greed",
        endpoint=_MORE["/api/index/fear-greed-history"],
        market="index",
        venue=PROVIDER,
        paging=Newest(step=timedelta(days=1)),
        params=lambda _: {},
        per_symbol=False,
    ),
    Feed(
        dataset="coin_markets",
        endpoint=_MORE["/api/futures/coins-markets"],
        market="index",
        venue=AGGREGATE,
        paging=Numbered(limit=100, limit_name="per_page"),
        params=lambda _: {"exchange_list": AGGREGATED_EXCHANGES},
        per_symbol=False,
        reach=HOUR,
        snapshot=True,
        by_coin=True,
    ),
    levels.feed(_MORE["/api/futures/liquidation/aggregated-map"], AGGREGATE),
    Feed(
        dataset="whale_transfers",
        endpoint=_MORE["/api/chain/v2/whale-transfer"],
        market="index",
        venue=AGGREGATE,
        paging=Forward(
            limit=1000,
            start="start_time",
            end="end_time",
            limit_name="",
            least_step=timedelta(milliseconds=1),
        ),
        params=lambda _: {},
        retention=timedelta(days=180),
        per_symbol=False,
    ),
)
