from __future__ import annotations

import pytest

from regime_pipeline.providers.symbols import to_canonical, to_venue


@pytest.mark.parametrize(
    ("symbol", "venue", "market", "name", "times"),
    [
        ("BTC/USDT", "binance", "spot", "BTCUSDT", 1),
        ("BTC/USDT", "binance", "perp", "BTCUSDT", 1),
        ("BTC/USDT", "okx", "spot", "BTC-USDT", 1),
        ("BTC/USDT", "okx", "perp", "BTC-USDT-SWAP", 1),
        ("PEPE/USDT", "binance", "perp", "1000PEPEUSDT", 1000),
        ("PEPE/USDT", "binance", "spot", "PEPEUSDT", 1),
        ("PEPE/USDT", "okx", "perp", "PEPE-USDT-SWAP", 1),
        ("MOG/USDT", "binance", "perp", "1000000MOGUSDT", 1_000_000),
        ("1INCH/USDT", "binance", "perp", "1INCHUSDT", 1),
        ("BTC/USDT", "binance_us", "spot", "BTCUSDT", 1),
    ],
)
def test_fault_40_names_go_there_and_back(
    symbol: str, venue: str, market: str, name: str, times: int
) -> None:
    """Row 40: multiplied contracts are the same coin."""
    there = to_venue(symbol, venue, market)
    assert (there.name, there.multiplier) == (name, times)
    assert to_canonical(name, venue, market) == symbol


def test_aggregates_use_the_coin() -> None:
    assert to_venue("BTC/USDT", "coin", "perp").name == "BTC"


@pytest.mark.parametrize("symbol", ["btc/usdt", "BTCUSDT", "BTC-USDT", "BTC'; DROP TABLE x;--", ""])
def test_only_canonical_symbols_are_taken(symbol: str) -> None:
    with pytest.raises(ValueError, match="BASE/QUOTE"):
        to_venue(symbol, "binance", "spot")


def test_foreign_names_are_refused() -> None:
    for name, venue, market in (
        ("BTC-USDT", "okx", "perp"),
        ("BTC-USD-240927", "okx", "perp"),
        ("???", "binance", "spot"),
    ):
        with pytest.raises(ValueError, match="no "):
            to_canonical(name, venue, market)
