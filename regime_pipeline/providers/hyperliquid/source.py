"""Hyperliquid: its feeds, limits and errors as one source."""

from __future__ import annotations

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.hyperliquid import nodes
from regime_pipeline.providers.hyperliquid.errors import ERRORS
from regime_pipeline.providers.hyperliquid.series import (
    ENDPOINTS,
    FEEDS,
    PATH,
    PROVIDER,
    asked,
)
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.source import Probe, Source

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=(*FEEDS, *nodes.FEEDS),
        endpoints=(*ENDPOINTS, *nodes.ENDPOINTS),
        rates=Rates((Budget("address", 1200, 60.0, weighted=True),)),
        errors=ERRORS,
        probe=Probe(PATH, {"type": "l2Book", "coin": "BTC"}, question=asked),
    ),
)
