"""Books, single trades and forced closures made out of hourly series, the same whenever asked.

Belongs here: drawing them from a seed so that they agree with the hour's bar. Does not belong here:
wire formats, deciding what is visible.

The trades of an hour sum to its bar: what takers bought and sold exactly, first price the open, last
price the close, none outside high and low. Closures sum to the hour's figure by side.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from regime_pipeline.simulator.render import decimals_of
from regime_pipeline.simulator.series import HOUR_MS, Candles

LEVELS = 400
TRADES_PER_HOUR = 60
IDS_PER_HOUR = 1_000
_LOT = 10.0**8


@dataclass(frozen=True)
class Book:
    """Prices and sizes in coins, best first."""

    bid_price: np.ndarray
    bid_size: np.ndarray
    ask_price: np.ndarray
    ask_size: np.ndarray
    digits: int


@dataclass(frozen=True)
class Trades:
    """Trades of some hours, ascending; ``buy``: the taker bought."""

    ts: np.ndarray
    number: np.ndarray
    price: np.ndarray
    size: np.ndarray
    buy: np.ndarray
    digits: int

    def __len__(self) -> int:
        return len(self.ts)

    def rows(self, where: slice | np.ndarray) -> Trades:
        """Some of the trades."""
        return Trades(
            self.ts[where],
            self.number[where],
            self.price[where],
            self.size[where],
            self.buy[where],
            self.digits,
        )


@dataclass(frozen=True)
class Closures:
    """Positions closed by force in an hour; sizes in coins."""

    ts: np.ndarray
    price: np.ndarray
    size: np.ndarray
    long: np.ndarray
    digits: int


def _rng(*purpose: object) -> np.random.Generator:
    digest = hashlib.blake2b("|".join(map(str, purpose)).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def book_around(price: float, hourly_value: float, digits: int, *purpose: object) -> Book:
    """A book around a price, with value in proportion to what is traded in an hour."""
    rng = _rng("book", *purpose)
    tick = 10.0**-digits
    half = price * 0.5e-4 * (0.3 + rng.random())
    lean = 0.3 * float(np.tanh(rng.standard_normal()))
    sides = []
    for sign in (-1.0, 1.0):
        away = half + price * 1e-4 * np.cumsum(rng.exponential(0.25, LEVELS))
        value = 3e-4 * hourly_value * (1.0 - sign * lean) * rng.lognormal(0.0, 0.8, LEVELS)
        ticks = np.floor((price - away) / tick) if sign < 0 else np.ceil((price + away) / tick)
        ticks, at = np.unique(ticks, return_index=True)
        keep = ticks > 0
        level = np.round(ticks[keep] * tick, digits)
        size = np.maximum(np.round(value[at][keep] / level, 8), 1e-8)
        sides.append((level[::-1], size[::-1]) if sign < 0 else (level, size))
    return Book(*sides[0], *sides[1], digits)


def trades_of(bar: Candles, *purpose: object) -> Trades | None:
    """The trades of one bar; None where the bar does not tell the takers' side, or nothing traded."""
    bought, volume = float(bar.taker_buy_base[0]), float(bar.volume_base[0])
    if not (np.isfinite(bought) and volume > 0 and bought <= volume):
        return None
    start = int(bar.ts[0])
    rng = _rng("trades", start, *purpose)
    count = TRADES_PER_HOUR
    lots = []
    buy = rng.random(count) < bought / volume
    buy[0], buy[-1] = True, False  # both sides have somebody to take what has to be taken
    for side, amount in ((True, bought), (False, volume - bought)):
        lots.append((buy == side, _shared(rng, round(amount * _LOT), int((buy == side).sum()))))
    size = np.zeros(count, np.int64)
    for where, parts in lots:
        size[where] = parts
    digits = max(decimals_of(getattr(bar, n)) for n in ("open", "high", "low", "close"))
    path = np.linspace(float(bar.open[0]), float(bar.close[0]), count)
    noise = (float(bar.high[0]) - float(bar.low[0])) * 0.15 * rng.standard_normal(count)
    noise[0] = noise[-1] = 0.0
    price = np.round(np.clip(path + noise, float(bar.low[0]), float(bar.high[0])), digits)
    ts = start + np.sort(rng.integers(0, HOUR_MS, count))
    number = start // HOUR_MS * IDS_PER_HOUR + np.arange(count)
    some = size > 0
    return Trades(ts, number, price, size / _LOT, buy, digits).rows(some)


def _shared(rng: np.random.Generator, total: int, parts: int) -> np.ndarray:
    """A whole number in so many whole parts, of very different sizes."""
    weight = rng.lognormal(0.0, 1.2, parts)
    borders = np.floor(np.cumsum(weight) / weight.sum() * total).astype(np.int64)
    borders[-1] = total
    return np.diff(borders, prepend=0)


def closures_of(
    start: int, long_usd: float, short_usd: float, price: float, digits: int, *purpose: object
) -> Closures:
    """Forced closures of one hour that sum to its figures by side."""
    rng = _rng("closures", start, *purpose)
    rows: list[tuple[int, float, float, bool]] = []
    for is_long, total in ((True, long_usd), (False, short_usd)):
        if not total > 0:
            continue
        count = int(rng.integers(1, 7))
        weight = rng.lognormal(0.0, 1.0, count)
        for usd in total * weight / weight.sum():
            at = round(price * (1.0 + 1e-3 * float(rng.standard_normal())), digits)
            rows.append((start + int(rng.integers(0, HOUR_MS)), at, usd / at, is_long))
    rows.sort()
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    ts, prices, sizes, sides = columns
    return Closures(
        np.array(ts, np.int64),
        np.array(prices, float),
        np.array(sizes, float),
        np.array(sides, bool),
        digits,
    )
