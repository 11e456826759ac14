"""What distinguishes the coins and the venues of the synthetic market.

Belongs here: sizes, betas and decimals by coin, shares by venue. Does not belong here: anything that
changes with the hour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from regime_pipeline.simulator.draws import key


@dataclass(frozen=True)
class Coin:
    """What distinguishes one coin; USD figures per hour."""

    price: float
    beta: float
    own_sigma: float
    volume_usd: float
    open_interest_usd: float
    decimals: int
    lot_decimals: int


COINS = {
    "BTC": Coin(42_000.0, 0.95, 0.0014, 5.0e8, 5.0e9, 2, 3),
    "ETH": Coin(2_600.0, 1.05, 0.0019, 3.0e8, 3.0e9, 2, 3),
    "SOL": Coin(95.0, 1.35, 0.0042, 1.0e8, 1.1e9, 3, 2),
    "ADA": Coin(0.45, 1.15, 0.0034, 2.5e7, 3.6e8, 5, 0),
    "BNB": Coin(380.0, 0.85, 0.0025, 4.0e7, 5.0e8, 2, 2),
    "XRP": Coin(0.75, 1.05, 0.0040, 6.0e7, 7.0e8, 4, 1),
    "DOT": Coin(7.0, 1.15, 0.0034, 2.0e7, 3.4e8, 3, 1),
    "LINK": Coin(14.0, 1.15, 0.0036, 2.5e7, 3.6e8, 3, 1),
}

# share of the reference volume, sd of the price against the perpetual, sd of the volume noise
VENUES = {
    ("binance", "perp"): (1.0, 0.0, 0.0),
    ("binance", "spot"): (0.35, 2.0e-4, 0.15),
    ("binance_us", "spot"): (0.0015, 4.0e-4, 0.8),
    ("okx", "spot"): (0.12, 2.5e-4, 0.2),
    ("okx", "perp"): (0.45, 1.0e-4, 0.12),
    ("bybit", "spot"): (0.10, 2.5e-4, 0.2),
    ("bybit", "perp"): (0.40, 1.0e-4, 0.12),
    ("hyperliquid", "perp"): (0.20, 1.5e-4, 0.15),
    ("deribit", "perp"): (0.08, 1.5e-4, 0.2),
}
OI_SHARE = {"binance": 1.0, "okx": 0.4, "bybit": 0.5, "hyperliquid": 0.3, "deribit": 0.1}
FUNDING_HOURS = {"hyperliquid": 1, "deribit": 1}
"""Hours between funding prints where they are not eight."""
OPTION_COINS = ("BTC", "ETH")
"""Coins with listed options."""


def coin_of(symbol: str) -> Coin:
    """The coin of a symbol; one that is not listed here is drawn by its name, the same in every world."""
    base = symbol.split("/")[0]
    if base in COINS:
        return COINS[base]
    draw = np.random.default_rng(key(0, "coin", base)).random(5)
    price = float(10.0 ** (draw[0] * 4.0 - 1.0))
    return Coin(
        price=price,
        beta=0.8 + 0.5 * float(draw[1]),
        own_sigma=0.0030 + 0.0030 * float(draw[2]),
        volume_usd=1.0e7 * 4.0 ** float(draw[3]),
        open_interest_usd=3.0e8 * 2.0 ** float(draw[4]),
        decimals=max(2, 4 - math.floor(math.log10(price))),
        lot_decimals=1,
    )


def decimals_of(venue: str, market: str, coin: Coin) -> int:
    """Decimals of a price at one venue."""
    return coin.decimals if (venue, market) != ("binance", "perp") else max(1, coin.decimals - 1)
