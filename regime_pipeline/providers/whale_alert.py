"""Whale Alert v1: large transfers on chain.

Key header ``X-WA-API-KEY``. Times are seconds. Pages hold up to a hundred transfers; the next one is
asked for with the returned cursor and otherwise the same parameters. A page without transfers has no
list at all. One transaction may hold several transfers; the owners of addresses are relabelled later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

import pandas as pd

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document, member, objects_in, rows_of
from regime_pipeline.providers.errors import (
    BadRequest,
    ContractViolation,
    ErrorRules,
    PlanLimit,
    ProviderError,
    RetentionLimit,
    generic,
)
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.paging import Cursor, seconds
from regime_pipeline.providers.readings import CURSOR, ROWS, Context
from regime_pipeline.providers.source import Endpoint, Feed, KeyCarrier, Probe, Source
from regime_pipeline.providers.transfers import finished, owner_type

PROVIDER = "whale_alert"
_HISTORY_TEXT = re.compile(
    r"(start|history|histor).{0,60}(old|before|past|range|limit|allow|plan)", re.IGNORECASE
)


def _envelope(doc: Mapping[str, object]) -> ProviderError | None:
    error = generic(doc)
    if isinstance(error, BadRequest | PlanLimit) and _HISTORY_TEXT.search(str(error)):
        return RetentionLimit(str(error))
    return error


ERRORS = ErrorRules(_envelope, is_paid=True)
PAGE = 100
MOST_HISTORY = timedelta(days=30)


def parse_transactions(body: bytes, ctx: Context) -> pd.DataFrame:
    """Transfers, one row per (blockchain, hash, id).

    Returns:
        Columns of ``raw.whale_transfers`` and ``reason``. The symbol's case varies and is made upper.

    Raises:
        ContractViolation: no success, or a page without a list that claims to have rows.
    """
    loaded = document(body, ERRORS)
    if member(loaded, "result") != "success" or not isinstance(loaded, dict):
        raise ContractViolation("'result' is neither success nor an error with a message")
    listed = loaded.get("transactions")
    if listed is None:
        count = loaded.get("count", 0)
        if count not in (0, None):
            raise ContractViolation("the reply counts transactions but has no 'transactions'")
        listed = []
    found = rows_of(listed, what="transactions")
    flat: list[object] = []
    for row in found:
        if not isinstance(row, dict):
            flat.append(row)
            continue
        one = dict(row)
        for end in ("from", "to"):
            part = objects_in([row.get(end)])[0]
            one |= {f"{end}_{k}": part.get(k) for k in ("address", "owner", "owner_type")}
        flat.append(one)
    columns = Columns.objects(
        flat,
        ("blockchain", "symbol", "hash", "timestamp", "amount", "amount_usd"),
        ("id", "transaction_type", "from_address", "from_owner", "from_owner_type",
         "to_address", "to_owner", "to_owner_type"),
    )  # fmt: skip
    ends: dict[str, object] = {}
    for end in ("from", "to"):
        ends[f"{end}_address"] = columns.prose(f"{end}_address", longest=200)
        ends[f"{end}_owner"] = columns.prose(f"{end}_owner", longest=120)
        kinds = [owner_type(v) for v in columns.raw(f"{end}_owner_type")]
        ends[f"{end}_owner_type"] = pd.Series(kinds, dtype="str")
    out = finished(
        columns,
        {
            "ts": columns.time("timestamp", ctx),
            "blockchain": columns.label("blockchain", longest=60),
            "transaction_hash": columns.label("hash"),
            "transfer_id": columns.label("id", optional=True, longest=80),
            "coin": columns.label("symbol", longest=30),
            "transaction_type": columns.prose("transaction_type", longest=40),
            "transfer_amount": columns.number("amount"),
            "transfer_usd": columns.number("amount_usd"),
            **ends,
        },
    )
    key = ["blockchain", "transaction_hash", "transfer_id"]
    repeated = out["reason"].isna() & out.duplicated([*key, "ts", "transfer_usd"])
    out = out.loc[~repeated].reset_index(drop=True)
    out.attrs[ROWS] = len(found)
    cursor = loaded.get("cursor")
    if isinstance(cursor, str) and 0 < len(cursor) <= 200 and cursor.isprintable():
        out.attrs[CURSOR] = cursor
    return out


TRANSACTIONS = Endpoint(PROVIDER, "v1_transactions", "/v1/transactions", parse_transactions)
ENDPOINTS = (
    TRANSACTIONS,
    Endpoint(
        PROVIDER,
        "v1_transaction_by_hash",
        "/v1/transaction/{blockchain}/{hash}",
        parse_transactions,
    ),
)


LEAST_USD = 1_000_000

FEEDS = (
    Feed(
        dataset="whale_transfers",
        endpoint=TRANSACTIONS,
        market="index",
        venue="aggregate",
        # a day a segment: pages follow each other by cursor, days are asked side by side
        paging=Cursor(
            limit=PAGE,
            start="start",
            end="end",
            step=timedelta(days=1) / PAGE,
            stamp=seconds,
            cursor="cursor",
        ),
        params=lambda _: {"min_value": str(LEAST_USD)},
        retention=MOST_HISTORY,
        per_symbol=False,
    ),
)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        key=KeyCarrier(header="X-WA-API-KEY"),
        rates=Rates((Budget("requests", 10, 60.0, keyed=True),)),
        errors=ERRORS,
        error_bodies=("invalid_key",),
        probe=Probe("/v1/status"),
    ),
)
