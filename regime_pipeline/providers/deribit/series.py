"""Deribit API v2: the volatility index, funding of the perpetuals, and the hourly option chain.

Source: the API documents and recorded replies. Numbers are JSON numbers, times are ms, rows run oldest
first. The index exists for BTC and ETH only and is percent a year (an old sample of the documents shows a
fraction, so a value outside 5 to 400 is refused); a row's time is read as the bar's open, and the running
bar is shown. A reply that is cut names the end of the page before it in ``continuation``, which a walk
back reaches by itself. Funding is paid continuously: ``interest_1h`` is what one hour cost, while
``interest_8h`` trails over eight of them and is not read. All options of a coin come in one reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.deribit.errors import ERRORS
from regime_pipeline.providers.deribit.options import (
    options_of,
    parse_book_summaries,
    parse_ticker,
)
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.paging import Backward, Newest
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.source import Endpoint, Feed
from regime_pipeline.providers.symbols import VenueSymbol

PROVIDER = "deribit"
COINS = ("BTC", "ETH")
"""Coins with a volatility index and options that are priced in them."""
INDEX_ROWS = 1000
FUNDING_ROWS = 720
_SIDES = ("open", "high", "low", "close")


def parse_volatility_index(body: bytes, ctx: Context) -> pd.DataFrame:
    """Bars of the volatility index: ts, volatility_open_pct .. volatility_close_pct, reason."""
    result = member(document(body, ERRORS), "result")
    columns = Columns.arrays(rows_of(member(result, "data"), what="data"), ("ts", *_SIDES))
    bar = columns.bar()
    for side, value in bar.items():
        columns.fail_where((value < 5) | (value > 400), f"{side}: no percent a year")
    return columns.frame(
        {
            "ts": columns.time("ts", ctx),
            **{f"volatility_{side}_pct": value for side, value in bar.items()},
        }
    )


def parse_funding_rates(body: bytes, ctx: Context) -> pd.DataFrame:
    """Funding by the hour: ts, funding_rate (fraction of one hour), interval_hours, mark_price (null)."""
    rows = rows_of(member(document(body, ERRORS), "result"), what="result")
    columns = Columns.objects(rows, ("timestamp", "interest_1h"))
    return columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "funding_rate": columns.number("interest_1h"),
            "interval_hours": np.ones(columns.count),
            "mark_price": np.full(columns.count, np.nan),
        }
    )


def _endpoint(method: str, parse: Parser) -> Endpoint:
    return Endpoint(PROVIDER, f"public_{method}", f"/api/v2/public/{method}", parse)


VOLATILITY_INDEX = _endpoint("get_volatility_index_data", parse_volatility_index)
FUNDING = _endpoint("get_funding_rate_history", parse_funding_rates)
SUMMARIES = _endpoint("get_book_summary_by_currency", parse_book_summaries)
TICKER = _endpoint("ticker", parse_ticker)
ENDPOINTS = (VOLATILITY_INDEX, FUNDING, SUMMARIES, TICKER)
RECORDED: Mapping[str, Parser] = MappingProxyType({"public_ticker_option": parse_ticker})
"""The same under another name."""


def _index_params(symbol: VenueSymbol) -> dict[str, str]:
    return {"currency": symbol.name, "resolution": "3600"}


def _paged(rows: int) -> Backward:
    return Backward(
        limit=rows, limit_name="", start="start_timestamp", end="end_timestamp", inclusive=True
    )


FEEDS = (
    Feed(
        dataset="volatility_index",
        endpoint=VOLATILITY_INDEX,
        market="index",
        venue=PROVIDER,
        paging=_paged(INDEX_ROWS),
        params=_index_params,
        coins=COINS,
    ),
    Feed(
        dataset="funding_rates",
        endpoint=FUNDING,
        market="perp",
        venue=PROVIDER,
        paging=_paged(FUNDING_ROWS),
        params=lambda symbol: {"instrument_name": symbol.name},
        coins=COINS,
    ),
    Feed(
        dataset="option_chain",
        endpoint=SUMMARIES,
        market="option",
        venue=PROVIDER,
        paging=Newest(),
        params=lambda symbol: {"currency": symbol.name, "kind": "option"},
        live_only=True,
        snapshot=True,
        shape=options_of,
        coins=COINS,
    ),
)
