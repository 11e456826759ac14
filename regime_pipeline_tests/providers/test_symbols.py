from __future__ import annotations

import pytest

from regime_pipeline.providers.symbols import MULTIPLIED, RENAMED, names_over, to_venue
from regime_pipeline.windows import Window, utc


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
        ("SATS/USDT", "binance", "spot", "1000SATSUSDT", 1000),
        ("CAT/USDT", "binance", "spot", "1000CATUSDT", 1000),
        ("BABYDOGE/USDT", "binance", "spot", "1MBABYDOGEUSDT", 1_000_000),
        ("BABYDOGE/USDT", "binance", "perp", "1MBABYDOGEUSDT", 1_000_000),
        ("BABYDOGE/USDT", "bybit", "perp", "1000000BABYDOGEUSDT", 1_000_000),
        ("CHEEMS/USDT", "bybit", "perp", "1000000CHEEMSUSDT", 1_000_000),
        ("SATS/USDT", "bybit", "perp", "10000SATSUSDT", 10_000),
        ("SHIB/USDT", "bybit", "perp", "SHIB1000USDT", 1000),
        ("SHIB/USDT", "bybit", "spot", "SHIBUSDT", 1),
        ("SATS/USDT", "okx", "perp", "SATS-USDT-SWAP", 1),
    ],
)
def test_fault_40_each_market_calls_a_coin_by_its_own_multiple(
    symbol: str, venue: str, market: str, name: str, times: int
) -> None:
    """Row 40: multiplied contracts are the same coin."""
    there = to_venue(symbol, venue, market)
    assert (there.name, there.multiplier) == (name, times)


def test_aggregates_use_the_coin() -> None:
    assert to_venue("BTC/USDT", "coin", "perp").name == "BTC"


@pytest.mark.parametrize("symbol", ["btc/usdt", "BTCUSDT", "BTC-USDT", "BTC'; DROP TABLE x;--", ""])
def test_only_canonical_symbols_are_taken(symbol: str) -> None:
    with pytest.raises(ValueError, match="BASE/QUOTE"):
        to_venue(symbol, "binance", "spot")


@pytest.mark.parametrize("market", MULTIPLIED, ids="_".join)
def test_two_coins_never_share_a_name(market: tuple[str, str]) -> None:
    coins = {coin for known in MULTIPLIED.values() for coin in known}
    names = [to_venue(f"{coin}/USDT", *market).name for coin in coins]
    assert len(set(names)) == len(coins)


@pytest.mark.parametrize("venue", ["binance", "okx", "bybit"])
@pytest.mark.parametrize(
    ("before", "after"),
    [("MATIC", "POL"), ("FTM", "S"), ("RNDR", "RENDER"), ("EOS", "A"), ("KLAY", "KAIA")],
)
@pytest.mark.parametrize("market", ["spot", "perp"])
def test_the_past_of_a_renamed_coin_is_asked_for_under_its_old_name_on_every_venue(
    venue: str, before: str, after: str, market: str
) -> None:
    _, switch = RENAMED[venue, after]
    window = Window(utc("2024-01-01"), utc("2026-01-01"))
    (old, past), (new, present) = names_over(f"{after}/USDT", venue, market, window)
    assert (old.name, new.name) == tuple(
        to_venue(f"{base}/USDT", venue, market).name for base in (before, after)
    )
    assert old.canonical == new.canonical == f"{after}/USDT"
    assert (past, present) == (Window(window.start, switch), Window(switch, window.end))
