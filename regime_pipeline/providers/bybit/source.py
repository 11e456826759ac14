"""Bybit: its feeds, limits and errors as one source."""

from __future__ import annotations

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.bybit.errors import ERRORS
from regime_pipeline.providers.bybit.series import ENDPOINTS, FEEDS, PROVIDER, parse_retired
from regime_pipeline.providers.bybit.streams import MESSAGES, STREAMED
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.source import Probe, Source

SOURCES = (
    Source(
        connection=CONNECTIONS[PROVIDER],
        feeds=FEEDS,
        endpoints=ENDPOINTS,
        streamed=STREAMED,
        messages={**MESSAGES, "RETIRED_v2_public_symbols": parse_retired},
        rates=Rates(
            (
                Budget("address", 600, 5.0, slices=4),
                Budget(
                    "*", 120, 1.0, left_header="x-bapi-limit-status", limit_header="x-bapi-limit"
                ),
            )
        ),
        errors=ERRORS,
        error_bodies=(
            "10001_not_supported_symbols",
            "10006_too_many_visits",
            "10016_request_timeout",
            "403_cloudfront_geo",
        ),
        probe=Probe("/v5/market/time"),
    ),
)
