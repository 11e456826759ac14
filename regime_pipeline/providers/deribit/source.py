"""Deribit: its feeds, limits and errors as one source.

The limit of public calls is one of credits that refill; five calls a second stay below it.
"""

from __future__ import annotations

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.deribit.errors import ERRORS
from regime_pipeline.providers.deribit.series import ENDPOINTS, FEEDS, PROVIDER, RECORDED
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.source import Probe, Source

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        messages=RECORDED,
        rates=Rates((Budget("address", 25, 5.0, slices=4),)),
        errors=ERRORS,
        probe=Probe("/api/v2/public/get_time"),
    ),
)
