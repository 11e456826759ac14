"""Which connections are opened for which settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from regime_pipeline.collect.plan import lines_of
from regime_pipeline.collect.venues import CONNECTIONS
from regime_pipeline.settings import Settings

EVERY = lines_of(
    CONNECTIONS,
    Settings(_env_file=None),
    ("BTC/USDT",),
    ["bybit", "okx", "binance", "binance_futures"],
)


def collected(kinds: str) -> dict[str, set[str]]:
    """The kinds of each connection that is opened."""
    chosen = Settings(_env_file=None, collect_channels=kinds)
    lines = lines_of(
        CONNECTIONS, chosen, ("BTC/USDT",), chosen.collect_venues, chosen.collect_channels
    )
    return {line.name: {s.channel.kind for s in line.subscriptions.values()} for line in lines}


def test_left_to_itself_every_connection_is_opened_and_every_kind_has_one() -> None:
    found = collected("closures,bars,trades,books,marks")
    assert set(found) == {line.name for line in EVERY}
    assert set().union(*found.values()) == set(Settings(_env_file=None).collect_channels)


def test_kinds_that_are_left_out_are_not_subscribed_and_empty_connections_not_opened() -> None:
    found = collected("closures,bars")
    assert set().union(*found.values()) == {"closures", "bars"}
    assert found["bybit/perp"] == {"bars"}
    assert {name for name in found if "books" in name} == set()
    assert {name for name in found if "liquidations" in name} == {
        f"{venue}/liquidations-{twin}"
        for venue in ("bybit", "okx", "binance_futures")
        for twin in "ab"
    }


def test_a_kind_that_is_none_is_refused() -> None:
    for kinds in ("candles", ""):
        with pytest.raises(ValidationError, match="collect_channels"):
            collected(kinds)
