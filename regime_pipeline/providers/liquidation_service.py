"""A liquidation service: single forced closures, summed here to hours and sides.

Request shape: ``{address}/liquidations`` with ``Authorization: Bearer``, ``symbol`` (``BTCUSDT``),
``start_time`` and ``end_time`` in milliseconds, ``limit``. The reply is a list of events, bare or under
``data`` or ``liquidations``, each with ``value`` (USD), ``side`` (``long`` or ``short``: the position
that was closed) and a time; oldest first.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document, rows_of
from regime_pipeline.providers.errors import PAID, ContractViolation
from regime_pipeline.providers.paging import Forward
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.source import BEARER, Endpoint, Feed, Probe, Source
from regime_pipeline.providers.symbols import VenueSymbol

PROVIDER = "liquidation_service"
SIDES = ("long", "short")
_TIMES = ("timestamp", "time", "ts")
_KEPT = ("payload_id", "fetched_at", "seen_at", "listing_complete")


def parse_events(body: bytes, ctx: Context) -> pd.DataFrame:
    """Events as they came: ts, side, value_usd, event_id (null without one), reason.

    Raises:
        ContractViolation: the reply holds no list of events.
    """
    loaded = document(body)
    if isinstance(loaded, dict):
        name = next((n for n in ("data", "liquidations") if n in loaded), None)
        if name is None:
            raise ContractViolation("the reply has neither 'data' nor 'liquidations'")
        loaded = loaded[name]
    found = [
        {**row, "at": next((row[n] for n in _TIMES if row.get(n) is not None), None)}
        if isinstance(row, dict)
        else row
        for row in rows_of(loaded, what="the events")
    ]
    columns = Columns.objects(found, ("at", "side", "value"), ("id", "symbol"))
    sides = [v.lower() if isinstance(v, str) else None for v in columns.raw("side")]
    columns.fail_where(
        np.array([s not in SIDES for s in sides], dtype=bool), "side: neither long nor short"
    )
    value = columns.number("value")
    columns.fail_where(value < 0, "value: below zero")
    fields: dict[str, object] = {
        "ts": columns.iso("at", ctx),
        "side": pd.Series(sides, dtype="str"),
        "value_usd": value,
        "event_id": columns.label("id", optional=True, longest=120),
    }
    if any(isinstance(v, str) for v in columns.raw("symbol")):
        fields["venue_symbol"] = columns.label("symbol", longest=40)
    return columns.frame(fields)


def hourly(events: pd.DataFrame) -> pd.DataFrame:
    """Events as hourly sums by side; the same event told on two pages counts once.

    A side without an event in an hour that has any is 0. An event that cannot be read spoils its hour:
    the sum would be too small. Hours of a listing that broke off are left out.
    """
    known = events.loc[events["ts"].notna() & events["listing_complete"].fillna(False).astype(bool)]
    same = ["ts", "side", "value_usd", "event_id"]
    told = known.drop_duplicates(same).assign(hour=lambda f: f["ts"].dt.floor("h"))
    good = told.loc[told["reason"].isna()]
    sums = (
        good.pivot_table(index="hour", columns="side", values="value_usd", aggfunc="sum")
        .reindex(columns=list(SIDES))
        .fillna(0.0)
    )
    spoiled = told.loc[told["reason"].notna()].groupby("hour")["reason"].first()
    hours = sums.index.union(spoiled.index)
    first = told.drop_duplicates("hour").set_index("hour").reindex(hours)
    out = pd.DataFrame(
        {
            "ts": hours,
            "long_liquidations_usd": sums["long"].reindex(hours).to_numpy("float64"),
            "short_liquidations_usd": sums["short"].reindex(hours).to_numpy("float64"),
            "reason": spoiled.reindex(hours).astype("str").array,
            **{name: first[name].array for name in _KEPT},
        }
    )
    unread = events.loc[events["ts"].isna()]
    if len(unread):
        out = pd.concat([out, unread[["ts", "reason", *_KEPT]]], ignore_index=True)
    return out


EVENTS = Endpoint(PROVIDER, "liquidations", "/liquidations", parse_events)
ENDPOINTS = (EVENTS,)


def _params(symbol: VenueSymbol) -> dict[str, str]:
    return {"symbol": symbol.name}


FEEDS = (
    Feed(
        dataset="liquidations",
        endpoint=EVENTS,
        market="perp",
        venue="aggregate",
        paging=Forward(
            limit=1000,
            start="start_time",
            end="end_time",
            step=timedelta(minutes=6),
            least_step=timedelta(milliseconds=1),
        ),
        params=_params,
        names="binance",
        shape=hourly,
    ),
)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        key=BEARER,
        errors=PAID,
        probe=Probe("/liquidations", {"symbol": "BTCUSDT", "limit": "1"}),
        whole_url=True,
    ),
)
