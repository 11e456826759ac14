"""Hyperliquid: candles, hourly funding, predicted funding, open interest and books of its perpetuals.

Source: the API documents and recorded replies. Every question is a JSON document that is posted to
``/info``. Prices and sizes are texts, times are ms, rows run oldest first. Names are case sensitive:
``kPEPE`` stands for 1,000 PEPE; ``@107`` is a spot pair and ``xyz:NAME`` another exchange's market, neither
of which is read. Perpetuals are settled in USDC.

A candle's ``T`` is its end less a millisecond and the last one may still run; there is no volume in
dollars and no taker side. Funding is a fraction per interval, which is not told (an hour now, eight in
2023), stamped up to some 100 ms late. States are joined to the names by their place in the list, delisted
ones included; open interest is one-sided, in coins, and only the present one is told. A request costs 20
of 1,200 a minute (a book 2), and rows cost extra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.providers.books import snapshot, text_or_none
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import kind_of, member, rows_of
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.hyperliquid.errors import answer
from regime_pipeline.providers.paging import Forward, Newest
from regime_pipeline.providers.predictions import estimates
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.source import Endpoint, Feed, Question
from regime_pipeline.windows import HOUR

PROVIDER = "hyperliquid"
PATH = "/info"
OURS = "HlPerp"
"""The venue's own name in its list of predictions, which tells of other venues too."""
CANDLES_KEPT = 5000
CANDLE_ROWS = 600
FUNDING_ROWS = 480
WEIGHT = 20
"""Of a question; rows of candles cost one per 60, of funding one per 20."""
BOOK_WEIGHT = 2
_NUMBERS = ("startTime", "endTime")


def asked(params: Mapping[str, str]) -> dict[str, object]:
    """The question of parameters: times are numbers, everything else is a text."""
    return {name: int(v) if name in _NUMBERS else v for name, v in params.items()}


def asked_inside(params: Mapping[str, str]) -> dict[str, object]:
    """The same where all but the type stands in an inner document."""
    inner = asked(params)
    return {"type": inner.pop("type"), "req": inner}


def parse_candles(body: bytes, ctx: Context) -> pd.DataFrame:
    """Candles: ts, the columns of ``raw.candles`` (dollars and takers null), close_time, venue_symbol."""
    columns = Columns.objects(
        rows_of(answer(body)), ("t", "T", "s", "o", "h", "l", "c", "v"), ("n",)
    )
    nulls = np.full(columns.count, np.nan)
    ts = columns.time("t", ctx)
    close = columns.time("T", Context()) + timedelta(milliseconds=1)
    columns.fail_where(np.asarray(close <= ts), "T: not after the open")
    return columns.frame(
        {
            "ts": ts,
            **columns.bar(("o", "h", "l", "c")),
            "volume_base": columns.amount("v"),
            "volume_quote": nulls,
            "taker_buy_base": nulls,
            "taker_buy_quote": nulls,
            "trade_count": columns.integer("n", optional=True),
            "close_time": close,
            "venue_symbol": columns.label("s", longest=40),
        }
    )


def parse_funding_history(body: bytes, ctx: Context) -> pd.DataFrame:
    """Settled funding: ts, funding_rate (fraction per interval), premium, venue_symbol.

    The interval is not told: an hour now, eight of them in 2023; the spacing of the prints tells it.
    """
    columns = Columns.objects(rows_of(answer(body)), ("coin", "fundingRate", "time"), ("premium",))
    return columns.frame(
        {
            "ts": columns.time("time", ctx),
            "funding_rate": columns.number("fundingRate"),
            "mark_price": np.full(columns.count, np.nan),
            "premium": columns.number("premium", optional=True),
            "venue_symbol": columns.label("coin", longest=40),
        }
    )


def parse_predicted_fundings(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - no time of its own
    """The venue's own running estimates: predicted_funding_rate, next_funding_at, interval_hours.

    An interval that is not told is null. What is told of other venues is not read; a coin without an
    estimate of our own has no row.
    """
    rows: list[object] = []
    for entry in rows_of(answer(body)):
        if not (isinstance(entry, list) and len(entry) >= 2 and isinstance(entry[1], list)):
            rows.append(
                entry if isinstance(entry, dict) else {"coin": None}
            )  # a bad row of its own
            continue
        own = [v[1] for v in entry[1] if isinstance(v, list) and len(v) >= 2 and v[0] == OURS]
        rows += [
            {**v, "coin": entry[0]} if isinstance(v, dict) else {"coin": entry[0]} for v in own
        ]
    names = ("fundingRate", "nextFundingTime", "fundingIntervalHours")
    columns = Columns.objects(rows, ("coin",), names)
    return columns.frame(
        {
            "predicted_funding_rate": columns.number("fundingRate", optional=True),
            "next_funding_at": columns.time("nextFundingTime", Context(), optional=True),
            "interval_hours": columns.integer("fundingIntervalHours", optional=True),
            "venue_symbol": columns.label("coin", longest=40),
        }
    )


def _universe(meta: object) -> list[object]:
    return rows_of(member(meta, "universe"), what="universe")


def parse_meta(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - names, no time
    """Listed perpetuals: venue_symbol, size_decimals, is_delisted, reason."""
    columns = Columns.objects(_universe(answer(body)), ("name",), ("szDecimals", "isDelisted"))
    gone = pd.array([flag is True for flag in columns.raw("isDelisted")], dtype="boolean")
    return columns.frame(
        {
            "venue_symbol": columns.label("name", longest=40),
            "size_decimals": columns.integer("szDecimals", optional=True),
            "is_delisted": gone,
        }
    )


def parse_contexts(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - no time of its own
    """State of every perpetual: open_interest_base (one side), open_interest_usd, prices, venue_symbol.

    Dollars are coins at the oracle's price. The state tells no time: it is that of the reply.

    Raises:
        ContractViolation: names and states are not two lists of one length.
    """
    both = rows_of(answer(body))
    if len(both) < 2:
        raise ContractViolation(f"the reply has {len(both)} parts, names and states were expected")
    names, states = _universe(both[0]), rows_of(both[1], what="the states")
    if len(names) != len(states):
        raise ContractViolation(f"{len(names)} names and {len(states)} states")
    pairs: list[object] = [
        {**s, "coin": n.get("name")} if isinstance(n, dict) and isinstance(s, dict) else s
        for n, s in zip(names, states, strict=True)
    ]
    columns = Columns.objects(
        pairs, ("coin", "openInterest"), ("oraclePx", "markPx", "midPx", "funding")
    )
    coins = columns.amount("openInterest")
    oracle = columns.number("oraclePx", optional=True)
    with np.errstate(over="ignore"):
        usd = coins * oracle
    return columns.frame(
        {
            "open_interest_base": coins,
            "open_interest_usd": np.where(np.isfinite(usd) & (oracle > 0), usd, np.nan),
            "mark_price": columns.number("markPx", optional=True),
            "mid_price": columns.number("midPx", optional=True),
            "running_funding_rate": columns.number("funding", optional=True),
            "venue_symbol": columns.label("coin", longest=40),
        }
    )


def parse_book(body: bytes, ctx: Context) -> pd.DataFrame:
    """A book of twenty levels a side as one row, see :func:`~.books.snapshot`."""
    book = answer(body)
    sides = rows_of(member(book, "levels"), what="levels")
    if len(sides) != 2:
        raise ContractViolation(f"levels has {len(sides)} sides, two were expected")
    bids, asks = (_pairs(side) for side in sides)
    return snapshot(
        bids,
        asks,
        ctx,
        book_time=member(book, "time"),
        venue_symbol=text_or_none(member(book, "coin")),
    )


def _pairs(side: object) -> Sequence[object]:
    if not isinstance(side, list):
        raise ContractViolation(f"a side is {kind_of(side)}, a list was expected")
    return [[v.get("px"), v.get("sz")] if isinstance(v, dict) else v for v in side]


def _endpoint(kind: str, parse: Parser, weight: int, question: Question = asked) -> Endpoint:
    return Endpoint(PROVIDER, f"info_{kind}", PATH, parse, weight, question)


CANDLES = _endpoint("candleSnapshot", parse_candles, WEIGHT + CANDLE_ROWS // 60, asked_inside)
FUNDING = _endpoint("fundingHistory", parse_funding_history, WEIGHT + FUNDING_ROWS // 20)
PREDICTED = _endpoint("predictedFundings", parse_predicted_fundings, WEIGHT)
CONTEXTS = _endpoint("metaAndAssetCtxs", parse_contexts, WEIGHT)
BOOK = _endpoint("l2Book", parse_book, BOOK_WEIGHT)
META = _endpoint("meta", parse_meta, WEIGHT)
ENDPOINTS = (CANDLES, FUNDING, PREDICTED, CONTEXTS, BOOK, META)


def _paged(rows: int) -> Forward:
    # on from a millisecond behind the last row: prints come a little late, each by another bit
    return Forward(limit=rows, limit_name="", start="startTime", end="endTime", least_step=HOUR)


FEEDS = (
    Feed(
        dataset="candles",
        endpoint=CANDLES,
        market="perp",
        venue=PROVIDER,
        paging=_paged(CANDLE_ROWS),
        params=lambda symbol: {"type": "candleSnapshot", "coin": symbol.name, "interval": "1h"},
        retention=CANDLES_KEPT * HOUR,
    ),
    Feed(
        dataset="funding_rates",
        endpoint=FUNDING,
        market="perp",
        venue=PROVIDER,
        paging=_paged(FUNDING_ROWS),
        params=lambda symbol: {"type": "fundingHistory", "coin": symbol.name},
    ),
    estimates(PREDICTED, PROVIDER, {"type": "predictedFundings"}),
    Feed(
        dataset="open_interest",
        endpoint=CONTEXTS,
        market="perp",
        venue=PROVIDER,
        paging=Newest(),
        params=lambda _: {"type": "metaAndAssetCtxs"},
        snapshot=True,
        per_symbol=False,
        by_name=True,
        reach=2 * HOUR,
    ),
    Feed(
        dataset="order_book",
        endpoint=BOOK,
        market="perp",
        venue=PROVIDER,
        paging=Newest(),
        params=lambda symbol: {"type": "l2Book", "coin": symbol.name},
        context=Context(market="perp"),
        live_only=True,
    ),
)
