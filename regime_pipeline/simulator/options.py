"""The options of a simulated venue: which are listed at an instant, and what each is worth.

Belongs here: expiries, strikes, the smile around an index of implied volatility, Black's prices. Does not
belong here: wire formats, where the index and the price come from.

Expiries are at 08:00 UTC: the next two days, the next four Fridays, the last Friday of each month for
nine months. The smile falls with the strike and is steeper for what expires soon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from regime_pipeline.simulator.draws import key

EXPIRY_HOUR = 8
_FRIDAY = 4
_YEAR_S = 365 * 86_400.0
_WIDTHS = np.linspace(-2.2, 2.2, 15)
"""Strikes in standard deviations from the forward price."""


@dataclass(frozen=True)
class Expiry:
    """The options of one expiry at an instant, strikes ascending; volatilities in percent.

    Attributes:
        at: when they expire.
        forward: price of the future of that day.
        strike: strike prices.
        iv: implied volatility by strike.
        call: mark prices of the calls in coins.
        put: mark prices of the puts in coins.
        delta: of the calls; a put's is one less.
    """

    at: datetime
    forward: float
    strike: np.ndarray
    iv: np.ndarray
    call: np.ndarray
    put: np.ndarray
    delta: np.ndarray


def expiries(now: datetime) -> list[datetime]:
    """When the options expire that are listed at an instant, ascending."""
    first = now.replace(hour=EXPIRY_HOUR, minute=0, second=0, microsecond=0)
    if first <= now:
        first += timedelta(days=1)
    days = [first + timedelta(days=d) for d in range(280)]
    fridays = [d for d in days if d.weekday() == _FRIDAY]
    monthly = [d for d in fridays if (d + timedelta(days=7)).month != d.month]
    return sorted({*days[:2], *fridays[:4], *monthly[:9]})


def chain(now_ms: int, price: float, index: float) -> list[Expiry]:
    """Everything that is listed at an instant.

    Args:
        now_ms: the instant, epoch milliseconds.
        price: of the coin, USD.
        index: implied volatility 30 days ahead, percent a year.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return [_expiry(at, (at - now).total_seconds() / _YEAR_S, price, index) for at in expiries(now)]


def _expiry(at: datetime, years: float, price: float, index: float) -> Expiry:
    from scipy.special import ndtr

    forward = round(price * math.exp(0.05 * years), 2)
    level = index * (1.0 + 0.03 * math.log(max(years, 1 / 365) * 365 / 30))
    deviation = level / 100.0 * math.sqrt(years)
    step = 10.0 ** (math.floor(math.log10(price)) - 2)
    wanted = np.exp(_WIDTHS * deviation) * forward
    strike = np.unique(np.maximum(np.round(wanted / step), 1.0) * step)
    away = np.log(strike / forward) / deviation
    iv = np.round(np.maximum(level * (1.0 - 0.035 * away + 0.012 * away**2), 3.0), 2)
    spread = iv / 100.0 * math.sqrt(years)
    upper = (np.log(forward / strike) + 0.5 * spread**2) / spread
    call = ndtr(upper) - strike / forward * ndtr(upper - spread)
    put = call - 1.0 + strike / forward
    return Expiry(
        at,
        forward,
        strike,
        iv,
        np.round(np.maximum(call, 0.0001), 4),
        np.round(np.maximum(put, 0.0001), 4),
        ndtr(upper),
    )


def open_coins(name: str) -> float:
    """How many coins are open in an option: its own number, whenever it is asked for."""
    return float(key("open options", name) % 40_000) / 10.0
