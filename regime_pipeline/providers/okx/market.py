"""OKX v5 beside its series: books, trades, running rates, instruments, forced closures, statistics.

Source: the v5 documents and recorded replies. Does not belong here: the series of ``okx``, stream
messages (``okx_streams``).

Sizes of everything but spot are contracts; ``public/instruments`` tells the coins behind one. The
liquidation list is undocumented since 2023: it is read as long as it answers. With ``posSide`` net
the order's side tells which position was closed: an order that sells closes a long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from regime_pipeline.providers.books import snapshot, text_or_none
from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.listings import listed
from regime_pipeline.providers.okx.errors import ERRORS
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.trades import forced_rows, side_words, trade_rows

PROVIDER = "okx"


def data_of(body: bytes) -> list[object]:
    """The rows of a successful reply.

    Raises:
        ProviderError: what the reply reports; a shape that is not v5's.
    """
    return rows_of(member(document(body, ERRORS), "data"), what="data")


def in_contracts(instrument: object) -> bool:
    """Whether sizes of an instrument are contracts: everything that is not ``BASE-QUOTE``."""
    return isinstance(instrument, str) and instrument.count("-") >= 2


def parse_books(body: bytes, ctx: Context) -> pd.DataFrame:
    """A book as one row; of a swap in contracts, see :func:`~.books.snapshot`."""
    rows = data_of(body)
    if not rows:
        return snapshot([], [], ctx)
    if len(rows) > 1:
        raise ContractViolation("data has more than one book")
    book = rows[0]
    bids, asks = member(book, "bids"), member(book, "asks")
    return snapshot(bids, asks, ctx, book_time=cast("dict[str, object]", book).get("ts", MISSING))


def trade_objects(rows: list[object], ctx: Context) -> pd.DataFrame:
    """Trade objects of replies and messages alike; ``side`` is the taker's."""
    columns = Columns.objects(rows, ("instId", "tradeId", "px", "sz", "side", "ts"), ("count",))
    names = columns.raw("instId")
    fills = columns.integer("count", optional=True)
    return trade_rows(
        columns,
        ctx,
        time="ts",
        identity="tradeId",
        price="px",
        size="sz",
        taker_side=side_words(columns.raw("side")),
        venue_symbol=columns.text("instId"),
        fills=np.where(np.isfinite(fills), fills, 1.0),
        contracts=np.array([in_contracts(n) for n in names], dtype=bool),
    )


def parse_trades(body: bytes, ctx: Context) -> pd.DataFrame:
    """Trades; those of swaps have contracts, no coins."""
    return trade_objects(data_of(body), ctx)


def rate_rows(rows: list[object], ctx: Context) -> pd.DataFrame:
    """Running funding rates of replies and messages alike.

    ``fundingRate`` is the estimate for the settlement at ``fundingTime``, ``settFundingRate`` the
    last one that was settled.
    """
    columns = Columns.objects(
        rows,
        ("instId", "fundingRate", "fundingTime"),
        ("nextFundingTime", "settFundingRate", "premium", "ts"),
    )
    return columns.frame(
        {
            "told_at": columns.time("ts", ctx, optional=True),
            "predicted_funding_rate": columns.number("fundingRate"),
            "funding_at": columns.time("fundingTime", Context()),
            "next_funding_at": columns.time("nextFundingTime", Context(), optional=True),
            "settled_funding_rate": columns.number("settFundingRate", optional=True),
            "premium": columns.number("premium", optional=True),
            "venue_symbol": columns.label("instId", longest=80),
        }
    )


def parse_funding_rate(body: bytes, ctx: Context) -> pd.DataFrame:
    """The running funding rate, an estimate until ``funding_at``."""
    return rate_rows(data_of(body), ctx)


def parse_open_interest(body: bytes, ctx: Context) -> pd.DataFrame:
    """Open interest of this moment: contracts, coins, and USD where told; one-sided."""
    columns = Columns.objects(data_of(body), ("instId", "oi", "oiCcy", "ts"), ("oiUsd",))
    return columns.frame(
        {
            "ts": columns.time("ts", ctx),
            "open_interest_contracts": columns.amount("oi"),
            "open_interest_base": columns.amount("oiCcy"),
            "open_interest_usd": columns.amount("oiUsd", optional=True),
            "venue_symbol": columns.label("instId", longest=80),
        }
    )


def parse_mark_price(body: bytes, ctx: Context) -> pd.DataFrame:
    """Mark prices of this moment."""
    columns = Columns.objects(data_of(body), ("instId", "markPx", "ts"))
    return columns.frame(
        {
            "ts": columns.time("ts", ctx),
            "mark_price": columns.price("markPx"),
            "venue_symbol": columns.label("instId", longest=80),
        }
    )


def parse_index_tickers(body: bytes, ctx: Context) -> pd.DataFrame:
    """Index prices of this moment, with the rolling 24 h range."""
    columns = Columns.objects(
        data_of(body), ("instId", "idxPx", "ts"), ("open24h", "high24h", "low24h")
    )
    return columns.frame(
        {
            "ts": columns.time("ts", ctx),
            "index_price": columns.price("idxPx"),
            "open_24h": columns.number("open24h", optional=True),
            "high_24h": columns.number("high24h", optional=True),
            "low_24h": columns.number("low24h", optional=True),
            "venue_symbol": columns.label("instId", longest=80),
        }
    )


def ticker_rows(rows: list[object], ctx: Context) -> pd.DataFrame:
    """Tickers of replies and messages alike."""
    columns = Columns.objects(
        rows,
        ("instId", "last", "ts"),
        ("askPx", "bidPx", "open24h", "high24h", "low24h", "vol24h", "volCcy24h"),
    )
    return columns.frame(
        {
            "ts": columns.time("ts", ctx),
            "last_price": columns.traded("last"),
            "best_bid": columns.number("bidPx", optional=True),
            "best_ask": columns.number("askPx", optional=True),
            "open_24h": columns.number("open24h", optional=True),
            "high_24h": columns.number("high24h", optional=True),
            "low_24h": columns.number("low24h", optional=True),
            "volume_24h": columns.number("vol24h", optional=True),
            "volume_24h_ccy": columns.number("volCcy24h", optional=True),
            "venue_symbol": columns.label("instId", longest=80),
        }
    )


def parse_tickers(body: bytes, ctx: Context) -> pd.DataFrame:
    """State of instruments now; ``volume_24h`` is contracts but for spot."""
    return ticker_rows(data_of(body), ctx)


def parse_instruments(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - rules, no time
    """Coins behind one contract, and when it is listed.

    Returns:
        venue_symbol, contract_base (null unless the contract is linear and its value is told in the base
        coin), listing_status, listed_from, listed_to, reason.
    """
    columns = Columns.objects(
        data_of(body),
        ("instId",),
        ("ctVal", "ctMult", "ctValCcy", "ctType", "state", "listTime", "expTime"),
    )
    value, times = columns.number("ctVal", optional=True), columns.number("ctMult", optional=True)
    base = [n.split("-")[0] if isinstance(n, str) else None for n in columns.raw("instId")]
    usable = np.array(
        [
            kind == "linear" and ccy == coin
            for kind, ccy, coin in zip(
                columns.raw("ctType"), columns.raw("ctValCcy"), base, strict=True
            )
        ],
        dtype=bool,
    )
    size = value * np.where(np.isfinite(times), times, 1.0)
    return columns.frame(
        {
            "venue_symbol": columns.label("instId", longest=80),
            "contract_base": np.where(usable & (size > 0), size, np.nan),
            **listed(columns, status="state", start="listTime", end="expTime"),
        }
    )


def closed_rows(rows: list[object], ctx: Context) -> pd.DataFrame:
    """Forced closures: the details inside each instrument's object."""
    flat: list[object] = []
    for row in rows:
        details = row.get("details") if isinstance(row, dict) else None
        if not isinstance(row, dict) or not isinstance(details, list):
            flat.append(row)  # an instrument without its closures: a bad row beside the others
            continue
        name = row.get("instId")
        flat += [{**d, "instId": name} if isinstance(d, dict) else d for d in details]
    columns = Columns.objects(flat, ("bkPx", "sz", "side", "ts"), ("posSide", "instId"))
    return forced_rows(
        columns,
        ctx,
        time="ts",
        price=columns.number("bkPx"),
        size=columns.number("sz"),
        position_side=_positions(columns),
        venue_symbol=columns.text("instId"),
        contracts=True,
    )


def _positions(columns: Columns) -> Sequence[str | None]:
    out: list[str | None] = []
    for row, (side, position) in enumerate(
        zip(columns.raw("side"), columns.raw("posSide"), strict=True)
    ):
        by_order = {"sell": "long", "buy": "short"}.get(side) if isinstance(side, str) else None
        if position in ("long", "short"):
            if by_order is not None and by_order != position:
                columns.fail(row, f"side {side} does not close a {position}")
            out.append(cast("str", position))
        else:
            out.append(by_order if position in ("net", "", None, MISSING) else None)
    return out


def parse_liquidation_orders(body: bytes, ctx: Context) -> pd.DataFrame:
    """Forced closures in contracts; coins and USD are null until the contract's size is known."""
    return closed_rows(data_of(body), ctx)


def _table(names: Sequence[str], *, flat: bool = False) -> Parser:
    def parse(body: bytes, ctx: Context) -> pd.DataFrame:
        rows = data_of(body)
        if flat and rows and not isinstance(rows[0], list):
            rows = [rows]
        columns = Columns.arrays(rows, ("ts", *names))
        return columns.frame(
            {
                "ts": columns.time("ts", ctx),
                **{n: columns.amount(n) for n in names},
            }
        )

    parse.__doc__ = f"Statistics by bucket: {', '.join(names)}."
    return parse


def _by_expiry(body: bytes, ctx: Context) -> pd.DataFrame:
    """Open interest and volume of options by expiry day (YYYYMMDD)."""
    names = ("call_open_interest", "put_open_interest", "call_volume", "put_volume")
    columns = Columns.arrays(data_of(body), ("ts", "expiry", *names))
    expiry = columns.text("expiry")
    for row, value in enumerate(columns.raw("expiry")):
        if not (isinstance(value, str) and len(value) == 8 and value.isascii() and value.isdigit()):
            columns.fail(row, "expiry: no day as YYYYMMDD")
    return columns.frame(
        {
            "ts": columns.time("ts", ctx),
            "expiry": expiry,
            **{n: columns.amount(n) for n in names},
        }
    )


def parse_support_coin(body: bytes, ctx: Context) -> pd.DataFrame:  # noqa: ARG001 - no time in it
    """Coins that the statistics cover, one row per kind and coin."""
    data = member(document(body, ERRORS), "data")
    kinds, coins = [], []
    for kind in ("contract", "option", "spot"):
        for coin in rows_of(member(data, kind), what=kind):
            kinds.append(kind)
            coins.append(coin)
    columns = Columns({"coin": coins}, len(coins))
    for row, coin in enumerate(coins):
        if text_or_none(coin) is None:
            columns.fail(row, "the coin is no text")
    return columns.frame({"kind": pd.Series(kinds, dtype="str"), "coin": columns.text("coin")})


_FLOW = (
    "call_buy",
    "call_sell",
    "put_buy",
    "put_sell",
    "call_block",
    "put_block",
)
RUBIK: dict[str, Parser] = {
    "rubik_stat_contracts_long-short-account-ratio": _table(("long_short_ratio",)),
    "rubik_stat_contracts_open-interest-volume": _table(("open_interest_usd", "volume_usd")),
    "rubik_stat_taker-volume": _table(("taker_sell", "taker_buy")),
    "rubik_stat_trading-data_support-coin": parse_support_coin,
    "rubik_stat_margin_loan-ratio": _table(("loan_ratio",)),
    "rubik_stat_option_open-interest-volume": _table(("open_interest", "volume")),
    "rubik_stat_option_open-interest-volume-ratio": _table(("open_interest_ratio", "volume_ratio")),
    "rubik_stat_option_open-interest-volume-expiry": _by_expiry,
    "rubik_stat_option_open-interest-volume-strike": _table(
        ("strike", "call_open_interest", "put_open_interest", "call_volume", "put_volume")
    ),
    "rubik_stat_option_taker-block-volume": _table(_FLOW, flat=True),
}
"""Statistics by the currency or of options, by endpoint."""
RUBIK_RECORDED: dict[str, Parser] = {
    "rubik_GetRubikInterestVolumeExpiry": RUBIK["rubik_stat_option_open-interest-volume-expiry"],
    "rubik_GetRubikInterestVolumeStrike": RUBIK["rubik_stat_option_open-interest-volume-strike"],
    "rubik_GetRubikMarginLendingRatio": RUBIK["rubik_stat_margin_loan-ratio"],
    "rubik_GetRubikOptionsSummary": RUBIK["rubik_stat_option_open-interest-volume"],
    "rubik_GetRubikPutCallRatio": RUBIK["rubik_stat_option_open-interest-volume-ratio"],
    "rubik_GetRubikTakerFlow": RUBIK["rubik_stat_option_taker-block-volume"],
}
"""The same under the names that one client gives them."""
