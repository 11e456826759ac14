"""alternative.me: the Fear & Greed index, one value per day for the whole market.

Everything is a text, time is in seconds at 00:00 UTC, newest first. The value under day D appears
shortly after D begins and is about the day before; it may be used from D 01:00 UTC. Data by
alternative.me, https://alternative.me/crypto/fear-and-greed-index/ (attribution is required).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pandas as pd

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.decode import Columns
from regime_pipeline.providers.documents import document, member, rows_of
from regime_pipeline.providers.errors import EXCERPT, BadRequest, ErrorRules, ProviderError
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.paging import Newest
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.source import Endpoint, Feed, Probe, Source

PROVIDER = "alternative_me"


def _envelope(doc: Mapping[str, object]) -> ProviderError | None:
    metadata = doc.get("metadata")
    reported = metadata.get("error") if isinstance(metadata, dict) else None
    return None if reported is None else BadRequest(f"error: {str(reported)[:EXCERPT]}")


ERRORS = ErrorRules(_envelope)


def parse_fng(body: bytes, ctx: Context) -> pd.DataFrame:
    """The index by day.

    Returns:
        ts (the day), fear_greed 0-100, classification (the provider's word), reason.

    Raises:
        EmptyNotAllowed: no rows; the index goes back to 2018, so there always are some.
    """
    data = member(document(body, ERRORS), "data")
    columns = Columns.objects(
        rows_of(data, what="data", empty_ok=False),
        ("value", "timestamp"),
        ("value_classification",),
    )
    value = columns.number("value")
    columns.fail_where((value < 0) | (value > 100), "value: outside 0 to 100")
    return columns.frame(
        {
            "ts": columns.time("timestamp", ctx),
            "fear_greed": value,
            "classification": columns.text("value_classification"),
        }
    )


FNG = Endpoint(PROVIDER, "fng", "/fng/", parse_fng)
ENDPOINTS = (FNG,)
FEEDS = (
    Feed(
        dataset="fear_greed",
        endpoint=FNG,
        market="index",
        venue=PROVIDER,
        paging=Newest(limited=True, step=timedelta(days=1)),
        params=lambda _: {"format": "json"},
        per_symbol=False,
    ),
)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        rates=Rates((Budget("requests", 60, 60.0),)),
        errors=ERRORS,
        probe=Probe("/fng/", {"limit": "1"}),
    ),
)
