"""A sentiment service: ``{address}/social|news|trader`` for a coin, one reading per request.

Request shape: ``Authorization: Bearer``, ``symbol`` (the joined pair, ``BTCUSDT``), ``timeframe``
and for the social one ``sources``. The reply is one object with ``sentiment_score`` (0-100),
``mention_count``, ``confidence`` (0-1), or the same inside ``data``; a time is optional. It is about the
24 h before the request, so a past hour cannot be asked for.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document
from regime_pipeline.providers.errors import PAID, ContractViolation
from regime_pipeline.providers.paging import Newest
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.source import BEARER, Endpoint, Feed, Probe, Source
from regime_pipeline.providers.symbols import VenueSymbol
from regime_pipeline.windows import HOUR

PROVIDER = "sentiment"
SOCIAL_SOURCES = "twitter,reddit,telegram"
ITEM = "aggregate"


def parse_reading(body: bytes, ctx: Context) -> pd.DataFrame:
    """One reading: score, mentions, confidence; what the service leaves out is null, never neutral.

    Raises:
        ContractViolation: the reply is no object, or has no member ``sentiment_score``.
    """
    loaded = document(body)
    if isinstance(loaded, dict) and isinstance(loaded.get("data"), dict):
        loaded = loaded["data"]
    if not isinstance(loaded, dict):
        raise ContractViolation("the reply is no object with a reading")
    timed = next((n for n in ("timestamp", "time", "ts") if loaded.get(n) is not None), None)
    columns = Columns.objects(
        [{**loaded, "timestamp": loaded.get(timed) if timed else None}],
        ("sentiment_score",),
        ("mention_count", "confidence", "symbol", "timestamp"),
    )
    score = columns.number("sentiment_score", optional=True)
    trust = columns.number("confidence", optional=True)
    mentions = columns.number("mention_count", optional=True)
    columns.fail_where((score < 0) | (score > 100), "sentiment_score: outside 0 to 100")
    columns.fail_where((trust < 0) | (trust > 1), "confidence: outside 0 to 1")
    columns.fail_where(mentions < 0, "mention_count: below zero")
    columns.fail_where(np.isnan(score) & np.isnan(mentions), "the reading is empty")
    fields: dict[str, object] = {
        "item": ITEM,
        "sentiment_score": score,
        "mention_count": mentions,
        "source_confidence": trust,
    }
    if isinstance(loaded.get("symbol"), str):
        fields["venue_symbol"] = columns.label("symbol", longest=40)
    if timed:
        fields["ts"] = columns.iso("timestamp", ctx)
    return columns.frame(fields)


def _feed(kind: str) -> Feed:
    def params(symbol: VenueSymbol) -> dict[str, str]:
        asked = {"symbol": symbol.name, "timeframe": "24h"}
        return {**asked, "sources": SOCIAL_SOURCES} if kind == "social" else asked

    return Feed(
        dataset="sentiment",
        endpoint=Endpoint(PROVIDER, kind, f"/{kind}", parse_reading),
        market="index",
        venue=PROVIDER,
        names="binance",
        paging=Newest(),
        params=params,
        kind=kind,
        reach=HOUR,
        snapshot=True,
    )


FEEDS = tuple(_feed(kind) for kind in ("social", "news", "trader"))
ENDPOINTS = tuple(feed.endpoint for feed in FEEDS)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        key=BEARER,
        errors=PAID,
        probe=Probe("/trader", {"symbol": "BTCUSDT", "timeframe": "24h"}),
        whole_url=True,
    ),
)
