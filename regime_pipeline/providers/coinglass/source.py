"""Coinglass: its feeds, limits, plans and errors as one source."""

from __future__ import annotations

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.coinglass.errors import ERRORS
from regime_pipeline.providers.coinglass.series import ENDPOINTS, FEEDS, PROVIDER
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.source import KeyCarrier, Probe, Source

_REQUESTS = Budget(
    "requests",
    30,
    60.0,
    keyed=True,
    used_header="api-key-use-limit",
    limit_header="api-key-max-limit",
)

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        key=KeyCarrier(header="CG-API-KEY"),
        rates=Rates((_REQUESTS,)),
        errors=ERRORS,
        error_bodies=("30001_api_key_missing_v2", "400_api_key_missing", "401_upgrade_plan"),
        probe=Probe("/api/futures/supported-coins"),
        plans={30: "Hobbyist", 80: "Startup", 300: "Standard", 1200: "Professional"},
        relays=True,
    ),
)
