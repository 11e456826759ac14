"""Binance spot, Binance.US, USD-M futures and the bulk archive: feeds, limits and errors."""

from __future__ import annotations

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers.binance import archive, futures, spot, streams
from regime_pipeline.providers.binance.errors import ARCHIVE_ERRORS, ERRORS
from regime_pipeline.providers.limits.budgets import Budget, Rates
from regime_pipeline.providers.source import Probe, Source


def _weight(limit: int, *paths: str) -> Budget:
    return Budget(
        "weight", limit, 60.0, paths=paths, weighted=True, used_header="x-mbx-used-weight-1m"
    )


SOURCES = (
    Source(
        connection=CONNECTIONS["binance"],
        feeds=spot.FEEDS,
        endpoints=spot.ENDPOINTS,
        messages=streams.MESSAGES,
        rates=Rates((_weight(6000),)),
        errors=ERRORS,
        error_bodies=("451_restricted_location", "ticker_error_sample"),
        probe=Probe("/api/v3/ping"),
        if_blocked="set REGIME_SPOT_VENUE=okx (or binance_us, and name it in REGIME_SOURCES)",
    ),
    Source(
        connection=CONNECTIONS["binance_us"],
        feeds=spot.FEEDS_US,
        endpoints=spot.ENDPOINTS_US,
        messages=streams.MESSAGES,
        rates=Rates((_weight(1200), Budget("requests", 6100, 300.0))),
        errors=ERRORS,
        probe=Probe("/api/v3/ping"),
    ),
    Source(
        connection=CONNECTIONS[futures.PROVIDER],
        feeds=futures.FEEDS,
        endpoints=futures.ENDPOINTS,
        streamed=streams.CLOSURES,
        messages=streams.FUTURES_MESSAGES,
        rates=Rates(
            (
                Budget("futures_data", 1000, 300.0, paths=("/futures/data/",)),
                Budget(
                    "funding", 500, 300.0, paths=("/fapi/v1/fundingRate", "/fapi/v1/fundingInfo")
                ),
                _weight(2400, "/fapi/"),
            )
        ),
        errors=ERRORS,
        probe=Probe("/fapi/v1/ping"),
        if_blocked="set REGIME_PERP_VENUE=okx",
    ),
    Source(
        connection=CONNECTIONS[archive.PROVIDER],
        feeds=archive.FEEDS,
        endpoints=archive.ENDPOINTS,
        errors=ARCHIVE_ERRORS,
        probe=Probe("/", is_json=False),
    ),
)
