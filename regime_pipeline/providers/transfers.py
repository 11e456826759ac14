"""Whale transfers: what providers' parsers share. No wire format of a provider.

A provider without ids for transfers gets digests of both ends and the amount, so that the same
transfer told twice is one row and two transfers of one transaction are two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from regime_pipeline.providers.decode import Columns

EXCHANGES_BY_NAME = (
    r"\b(?:binance|coinbase|okx|okex|bybit|kraken|bitfinex|huobi|htx|kucoin|gate\.?io|gemini|bitstamp|"
    r"crypto\.?com|deribit|upbit|bithumb|mexc|bitget|bittrex|poloniex|bitflyer|bitmex|robinhood)\b"
)
"""Names that stand for exchanges where a provider gives a name and no kind of owner."""

MOST_USD = 1e12
"""More than the worth of any coin ever moved at once: a decimal slip, no transfer."""


def owner_type(value: object) -> str:
    """A provider's kind of owner as ours: ``exchange``, ``unknown``, ``other``."""
    if not isinstance(value, str) or not value.strip() or value.strip().lower() == "unknown":
        return "unknown"
    return "exchange" if value.strip().lower() == "exchange" else "other"


def finished(columns: Columns, fields: Mapping[str, object]) -> pd.DataFrame:
    """The frame with upper-case coins, an id for every transfer, and impossible values blamed."""
    usd = np.asarray(fields["transfer_usd"], dtype="float64")
    columns.fail_where(usd < 0, "transfer_usd: below zero")
    columns.fail_where(usd > MOST_USD, "transfer_usd: more than could ever be moved")
    amount = np.asarray(fields["transfer_amount"], dtype="float64")
    columns.fail_where(amount < 0, "transfer_amount: below zero")
    out = columns.frame(fields)
    out["coin"] = out["coin"].str.upper()
    out["blockchain"] = out["blockchain"].str.lower()
    bare = np.flatnonzero(out["transfer_id"].isna())
    if len(bare):
        # no owner names: those are corrected later, and the transfer stays the same
        ends = ["from_address", "to_address", "coin", "transfer_amount"]
        for i, parts in zip(bare, out.loc[bare, ends].itertuples(index=False), strict=True):
            text = "|".join("" if pd.isna(p) else str(p) for p in parts)
            out.loc[i, "transfer_id"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return out
