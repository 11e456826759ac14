"""Options of Deribit: their names, and the summaries and tickers that list them.

Source: the API documents and recorded replies. A name is ``BTC-27NOV26-80000-C`` or, of an option that
is settled in dollars, ``XRP_USDC-21SEP26-1d3-P`` with ``d`` for the decimal point; expiry is 08:00 UTC.
Prices of the former are in the coin. Volatilities are percent a year; a bid's volatility of 0 means that
there is no bid. Summaries tell no greeks. Does not belong here: series over time (``series``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.deribit.errors import ERRORS
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.readings import Context

EXPIRY_HOUR = 8
_NAME = re.compile(
    r"([A-Z0-9]{1,20})(?:_([A-Z]{3,5}))?-(\d{1,2}[A-Z]{3}\d{2})-(\d{1,12}(?:d\d{1,8})?)-([CP])"
)
_TYPES = {"C": "call", "P": "put"}


@dataclass(frozen=True, slots=True)
class OptionName:
    """What the name of an option tells.

    Attributes:
        coin: what it is about.
        settled_in: dollar that it is priced in; None: the coin itself.
        expiry_at: when it expires, UTC.
        strike: strike price, USD.
        option_type: ``call`` or ``put``.
    """

    coin: str
    settled_in: str | None
    expiry_at: datetime
    strike: float
    option_type: str


def option_of(name: object) -> OptionName | None:
    """What a name tells; None for one of anything but an option."""
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        return None
    coin, settled_in, day, strike, letter = found.groups()
    try:
        expires = datetime.strptime(f"{day} {EXPIRY_HOUR:02d}+0000", "%d%b%y %H%z")
    except ValueError:
        return None
    price = float(strike.replace("d", "."))
    return OptionName(coin, settled_in, expires.astimezone(UTC), price, _TYPES[letter])


def parse_book_summaries(body: bytes, ctx: Context) -> pd.DataFrame:
    """State of every instrument of a currency and kind.

    Returns:
        told_at, venue_symbol (the coin), option_name, is_coin_settled_option, expiry_at, strike,
        option_type (null for what is no option), underlying_price, mark_iv_pct, option_mark_base,
        option_bid_base, option_ask_base, open_interest_base, volume_24h_base, reason. Numbers of
        futures are dollars in some columns; :func:`options_of` leaves them out.
    """
    rows = rows_of(member(document(body, ERRORS), "result"), what="result")
    columns = Columns.objects(
        rows,
        ("instrument_name", "creation_timestamp", "mark_price"),
        ("underlying_price", "mark_iv", "bid_price", "ask_price", "open_interest", "volume"),
    )
    names = columns.label("instrument_name", longest=80)
    return columns.frame(
        {
            "told_at": columns.time("creation_timestamp", ctx),
            "venue_symbol": names.str.extract(r"^([A-Z0-9]{1,20})(?:_[A-Z]{3,5})?-", expand=False),
            **_of_names(names),
            "underlying_price": columns.price("underlying_price", optional=True),
            "mark_iv_pct": _above_zero(columns, "mark_iv"),
            "option_mark_base": columns.amount("mark_price"),
            "option_bid_base": columns.amount("bid_price", optional=True),
            "option_ask_base": columns.amount("ask_price", optional=True),
            "open_interest_base": columns.amount("open_interest", optional=True),
            "volume_24h_base": columns.amount("volume", optional=True),
        }
    )


def _of_names(names: pd.Series) -> dict[str, object]:
    told: Sequence[OptionName | None] = [option_of(n) for n in names]
    expiries = pd.Series([o.expiry_at if o else None for o in told], dtype="object")
    return {
        "option_name": names,
        "is_coin_settled_option": np.array([bool(o and o.settled_in is None) for o in told], bool),
        "expiry_at": pd.DatetimeIndex(pd.to_datetime(expiries, utc=True)).as_unit("us"),
        "strike": np.array([o.strike if o else np.nan for o in told], "float64"),
        "option_type": pd.Series([o.option_type if o else None for o in told], dtype="str"),
    }


def _above_zero(columns: Columns, name: str) -> np.ndarray:
    """A volatility in percent; 0 says that there is none."""
    value = columns.amount(name, optional=True)
    return np.where(value > 0, value, np.nan)


def options_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Summaries of options that are priced in their coin as rows of ``raw.option_chain``."""
    out = frame[frame["is_coin_settled_option"] | frame["reason"].notna()]
    return out.assign(quoted_at=out["told_at"]).reset_index(drop=True)


def parse_ticker(body: bytes, ctx: Context) -> pd.DataFrame:
    """State of one instrument, with the venue's own delta.

    Returns:
        ts, option_name, expiry_at, strike, option_type, underlying_price, mark_iv_pct, bid_iv_pct,
        ask_iv_pct, delta (null for what is no option), reason.
    """
    found = member(document(body, ERRORS), "result")
    columns = Columns.objects(
        [found],
        ("instrument_name", "timestamp"),
        ("underlying_price", "mark_iv", "bid_iv", "ask_iv", "greeks"),
    )
    greeks = [g.get("delta") if isinstance(g, dict) else None for g in columns.raw("greeks")]
    columns.put("delta", greeks)
    named = _of_names(columns.label("instrument_name", longest=80))
    del named["is_coin_settled_option"]
    return columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            **named,
            "underlying_price": columns.price("underlying_price", optional=True),
            "mark_iv_pct": _above_zero(columns, "mark_iv"),
            "bid_iv_pct": _above_zero(columns, "bid_iv"),
            "ask_iv_pct": _above_zero(columns, "ask_iv"),
            "delta": columns.number("delta", optional=True),
        }
    )
