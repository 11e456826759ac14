"""OKX: its feeds, limits and errors as one source.

Each endpoint has a limit of its own; they do not add up.
"""

from __future__ import annotations

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.okx.errors import ERRORS
from regime_pipeline.providers.okx.market import RUBIK_RECORDED
from regime_pipeline.providers.okx.series import ENDPOINTS, FEEDS, PROVIDER
from regime_pipeline.providers.okx.streams import MESSAGES
from regime_pipeline.providers.source import Probe, Source

_LIMITS = {
    "/api/v5/market/candles": 40,
    "/api/v5/market/history-candles": 20,
    "/api/v5/market/books": 40,
    "/api/v5/market/trades": 100,
    "/api/v5/market/history-trades": 20,
    "/api/v5/public/funding-rate-history": 10,
    "/api/v5/public/funding-rate": 10,
    "/api/v5/public/open-interest": 20,
    "/api/v5/rubik/stat/contracts/open-interest-history": 10,
    "/api/v5/rubik/": 5,
}
"""Requests per two seconds below a path."""

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        messages={**MESSAGES, **RUBIK_RECORDED},
        rates=Rates(
            (
                *(Budget(p, n, 2.0, paths=(p,), slices=4) for p, n in _LIMITS.items()),
                Budget("*", 10, 2.0, slices=4),
            ),
            is_exclusive=True,
        ),
        errors=ERRORS,
        error_bodies=("50014_missing_param", "51001_unknown_instrument"),
        probe=Probe("/api/v5/public/time"),
    ),
)
