"""Series that a tape holds: plain arrays, one object per venue and symbol, ascending in time.

Belongs here: the containers, symbol spellings, aggregation of hourly series to longer buckets.
Does not belong here: JSON rendering (``render``), where values come from (``synthetic``, ``recorded``).

Conventions: ``ts`` is int64 epoch milliseconds of the bucket's start; floats are float64 with NaN
for "not recorded"; an hour that nobody reported is absent, not NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

# coins behind one OKX swap contract
CONTRACT_SIZES = {
    "BTC": 0.01,
    "ETH": 0.1,
    "SOL": 1.0,
    "ADA": 100.0,
    "BNB": 0.01,
    "XRP": 100.0,
    "DOT": 1.0,
    "LINK": 1.0,
    "DOGE": 1000.0,
    "LTC": 1.0,
    "AVAX": 1.0,
}
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "BTC", "ETH", "BNB")


def contract_size(symbol: str) -> float:
    """Coins behind one swap contract of a canonical symbol; 1 where no other size is known."""
    return CONTRACT_SIZES.get(symbol.split("/")[0], 1.0)


def canonical(joined: str) -> str | None:
    """``BTCUSDT`` as ``BTC/USDT``; None when no known quote currency ends the text."""
    for quote in _QUOTES:
        if joined.endswith(quote) and len(joined) > len(quote):
            return f"{joined[: -len(quote)]}/{quote}"
    return None


def joined(symbol: str) -> str:
    """``BTC/USDT`` as ``BTCUSDT``."""
    return symbol.replace("/", "")


@dataclass(frozen=True)
class Series:
    """Something observed over time; every field is an array as long as ``ts``."""

    ts: np.ndarray

    def __len__(self) -> int:
        return len(self.ts)

    def rows(self, where: slice | np.ndarray) -> Self:
        """The same series at some of its rows."""
        return replace(self, **{f.name: getattr(self, f.name)[where] for f in fields(self)})

    def joined_to(self, later: Self) -> Self:
        """This series followed by ``later``."""
        return replace(
            self,
            **{
                f.name: np.concatenate([getattr(self, f.name), getattr(later, f.name)])
                for f in fields(self)
            },
        )


@dataclass(frozen=True)
class Candles(Series):
    """Hourly bars. Volumes are coins and quote currency; what was not recorded is NaN."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume_base: np.ndarray
    volume_quote: np.ndarray
    taker_buy_base: np.ndarray
    taker_buy_quote: np.ndarray
    trade_count: np.ndarray

    def bucketed(self, step_ms: int, offset_ms: int) -> Candles:
        """Longer bars from the rows that exist; a bucket without any row has no bar."""
        starts, first = _buckets(self.ts, step_ms, offset_ms)
        if not len(first):
            return self
        last = np.append(first[1:], len(self)) - 1
        # sums of decimal volumes are decimals again, not binary noise
        total = {
            name: np.round(np.add.reduceat(getattr(self, name), first), 8 if "base" in name else 4)
            for name in (
                "volume_base",
                "volume_quote",
                "taker_buy_base",
                "taker_buy_quote",
                "trade_count",
            )
        }
        return Candles(
            ts=starts,
            open=self.open[first],
            high=np.maximum.reduceat(self.high, first),
            low=np.minimum.reduceat(self.low, first),
            close=self.close[last],
            **total,
        )

    def begun(self, fraction: float) -> Candles:
        """The rows as they look when only ``fraction`` of each hour has passed."""
        close = self.open + (self.close - self.open) * fraction
        return replace(
            self,
            close=close,
            high=np.maximum(np.maximum(self.open, close), _part(self.open, self.high, fraction)),
            low=np.minimum(np.minimum(self.open, close), _part(self.open, self.low, fraction)),
            volume_base=self.volume_base * fraction,
            volume_quote=self.volume_quote * fraction,
            taker_buy_base=self.taker_buy_base * fraction,
            taker_buy_quote=self.taker_buy_quote * fraction,
            trade_count=np.floor(self.trade_count * fraction),
        )

    def rest(self, fraction: float) -> Candles:
        """What is left of each hour when ``fraction`` of it has passed; its extremes may come then."""
        left = 1.0 - fraction
        return replace(
            self,
            open=_part(self.open, self.close, fraction),
            volume_base=self.volume_base * left,
            volume_quote=self.volume_quote * left,
            taker_buy_base=self.taker_buy_base * left,
            taker_buy_quote=self.taker_buy_quote * left,
            trade_count=np.ceil(self.trade_count * left),
        )


@dataclass(frozen=True)
class Premium(Series):
    """A perpetual and its index at both ends of each hour, and the premium's extremes at them.

    The premium is the perpetual over its index minus one, a fraction.
    """

    contract_open: np.ndarray
    contract_close: np.ndarray
    index_open: np.ndarray
    index_close: np.ndarray
    high: np.ndarray
    low: np.ndarray

    @classmethod
    def between(cls, contract: Candles, index: Candles) -> Premium:
        """Of the hours that both have."""
        ts, here, there = np.intersect1d(
            contract.ts, index.ts, assume_unique=True, return_indices=True
        )
        ends = contract.open[here], contract.close[here], index.open[there], index.close[there]
        return cls._ending(ts, *ends)

    @classmethod
    def _ending(cls, ts: np.ndarray, *ends: np.ndarray) -> Premium:
        first, last = ends[0] / ends[2] - 1.0, ends[1] / ends[3] - 1.0
        contract_open, contract_close, index_open, index_close = ends
        high, low = np.maximum(first, last), np.minimum(first, last)
        return cls(ts, contract_open, contract_close, index_open, index_close, high, low)

    @property
    def open(self) -> np.ndarray:
        """The premium when the bucket opens."""
        return self.contract_open / self.index_open - 1.0

    @property
    def close(self) -> np.ndarray:
        """The premium when it closes."""
        return self.contract_close / self.index_close - 1.0

    def bucketed(self, step_ms: int, offset_ms: int) -> Premium:
        """Longer buckets from the rows that exist."""
        starts, first = _buckets(self.ts, step_ms, offset_ms)
        if not len(first):
            return self
        last = np.append(first[1:], len(self)) - 1
        return Premium(
            ts=starts,
            contract_open=self.contract_open[first],
            contract_close=self.contract_close[last],
            index_open=self.index_open[first],
            index_close=self.index_close[last],
            high=np.maximum.reduceat(self.high, first),
            low=np.minimum.reduceat(self.low, first),
        )

    def begun(self, fraction: float) -> Premium:
        """The rows as they look when only ``fraction`` of each hour has passed."""
        contract = _part(self.contract_open, self.contract_close, fraction)
        index = _part(self.index_open, self.index_close, fraction)
        return self._ending(self.ts, self.contract_open, contract, self.index_open, index)


@dataclass(frozen=True)
class Funding(Series):
    """Settled funding prints: ``ts`` is the exact settlement, ``rate`` a fraction per interval.

    ``predicted`` is the estimate shown before settlement, ``mark_price`` the price at it.
    """

    rate: np.ndarray
    predicted: np.ndarray
    mark_price: np.ndarray


@dataclass(frozen=True)
class OpenInterest(Series):
    """One-sided open interest in coins over each hour, and USD at its ends."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    open_usd: np.ndarray
    high_usd: np.ndarray
    low_usd: np.ndarray
    close_usd: np.ndarray

    def bucketed(self, step_ms: int, offset_ms: int) -> OpenInterest:
        """Longer buckets from the rows that exist."""
        starts, first = _buckets(self.ts, step_ms, offset_ms)
        if not len(first):
            return self
        last = np.append(first[1:], len(self)) - 1
        return OpenInterest(
            ts=starts,
            open=self.open[first],
            high=np.maximum.reduceat(self.high, first),
            low=np.minimum.reduceat(self.low, first),
            close=self.close[last],
            open_usd=self.open_usd[first],
            high_usd=np.maximum.reduceat(self.high_usd, first),
            low_usd=np.minimum.reduceat(self.low_usd, first),
            close_usd=self.close_usd[last],
        )

    def begun(self, fraction: float) -> OpenInterest:
        """The rows as they look when only ``fraction`` of each hour has passed."""
        close = _part(self.open, self.close, fraction)
        close_usd = _part(self.open_usd, self.close_usd, fraction)
        return replace(
            self,
            close=close,
            close_usd=close_usd,
            high=np.maximum(self.open, close),
            low=np.minimum(self.open, close),
            high_usd=np.maximum(self.open_usd, close_usd),
            low_usd=np.minimum(self.open_usd, close_usd),
        )


@dataclass(frozen=True)
class Activity(Series):
    """Open interest at the end of each hour, what was traded in it, and who held it.

    ``long`` is the share of long accounts, NaN where it was not recorded.
    """

    interest_base: np.ndarray
    interest_usd: np.ndarray
    volume_base: np.ndarray
    volume_usd: np.ndarray
    bought_base: np.ndarray
    long: np.ndarray

    @classmethod
    def of(cls, interest: OpenInterest, bars: Candles, long: Shares | None) -> Activity:
        """Of the hours that have open interest and a bar."""
        ts, here, there = np.intersect1d(
            interest.ts, bars.ts, assume_unique=True, return_indices=True
        )
        share = np.full(len(ts), np.nan)
        if long is not None:
            _, at, told = np.intersect1d(ts, long.ts, assume_unique=True, return_indices=True)
            share[at] = long.long[told]
        return cls(
            ts,
            interest.close[here],
            interest.close_usd[here],
            bars.volume_base[there],
            bars.volume_quote[there],
            bars.taker_buy_base[there],
            share,
        )

    def bucketed(self, step_ms: int, offset_ms: int) -> Activity:
        """Sums of what was traded over longer buckets; the rest as at their ends."""
        starts, first = _buckets(self.ts, step_ms, offset_ms)
        if not len(first):
            return self
        last = np.append(first[1:], len(self)) - 1
        return Activity(
            starts,
            self.interest_base[last],
            self.interest_usd[last],
            np.add.reduceat(self.volume_base, first),
            np.add.reduceat(self.volume_usd, first),
            np.add.reduceat(self.bought_base, first),
            self.long[last],
        )

    def begun(self, fraction: float) -> Activity:
        """The rows as they look when only ``fraction`` of each hour has passed."""
        traded = ("volume_base", "volume_usd", "bought_base")
        return replace(self, **{name: getattr(self, name) * fraction for name in traded})


@dataclass(frozen=True)
class Shares(Series):
    """A long share between 0 and 1 (of accounts or of positions) per hour."""

    long: np.ndarray

    def bucketed(self, step_ms: int, offset_ms: int) -> Shares:
        """The last value of each longer bucket."""
        starts, first = _buckets(self.ts, step_ms, offset_ms)
        if not len(first):
            return self
        return Shares(ts=starts, long=self.long[np.append(first[1:], len(self)) - 1])

    def begun(self, fraction: float) -> Shares:  # noqa: ARG002 - a level has no running part
        """A level does not grow with its hour: the rows as they are."""
        return self


@dataclass(frozen=True)
class Liquidations(Series):
    """Forced closures in USD per hour and side; hours without any report are absent."""

    long_usd: np.ndarray
    short_usd: np.ndarray

    def bucketed(self, step_ms: int, offset_ms: int) -> Liquidations:
        """Sums over longer buckets."""
        starts, first = _buckets(self.ts, step_ms, offset_ms)
        if not len(first):
            return self
        return Liquidations(
            ts=starts,
            long_usd=np.add.reduceat(self.long_usd, first),
            short_usd=np.add.reduceat(self.short_usd, first),
        )

    def begun(self, fraction: float) -> Liquidations:
        """The rows as they look when only ``fraction`` of each hour has passed."""
        return replace(self, long_usd=self.long_usd * fraction, short_usd=self.short_usd * fraction)


@dataclass(frozen=True)
class Depth(Series):
    """Bids and asks within one percent of the price over several venues, USD."""

    bids_usd: np.ndarray
    asks_usd: np.ndarray


@dataclass(frozen=True)
class FearGreed(Series):
    """Daily index 0..100; ``ts`` is the day it is published for."""

    value: np.ndarray


@dataclass(frozen=True)
class Mood(Series):
    """A mood 0..100 per hour, the posts behind it and the reactions to them."""

    score: np.ndarray
    posts: np.ndarray
    interactions: np.ndarray

    def bucketed(self, step_ms: int, offset_ms: int) -> Mood:
        """Post-weighted moods and sums over longer buckets."""
        starts, first = _buckets(self.ts, step_ms, offset_ms)
        if not len(first):
            return self
        posts = np.add.reduceat(self.posts, first)
        weighted = np.add.reduceat(self.score * self.posts, first)
        score = np.divide(weighted, posts, out=np.full(len(posts), 50.0), where=posts > 0)
        return Mood(starts, score.round(), posts, np.add.reduceat(self.interactions, first))

    def begun(self, fraction: float) -> Mood:
        """The rows as they look when only ``fraction`` of each hour has passed."""
        return replace(
            self,
            posts=np.floor(self.posts * fraction),
            interactions=np.floor(self.interactions * fraction),
        )


@dataclass(frozen=True)
class Transfers(Series):
    """Large transfers on chain; ``ts`` is the block's time, to the second.

    ``sender`` and ``receiver`` say what stands at the ends: the name of an exchange, or empty.
    """

    number: np.ndarray
    coin: np.ndarray
    amount: np.ndarray
    usd: np.ndarray
    sender: np.ndarray
    receiver: np.ndarray


def _part(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    return start + (end - start) * fraction


def _buckets(ts: np.ndarray, step_ms: int, offset_ms: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts of the buckets that hold a row, and the index of the first row of each."""
    label = (ts - offset_ms) // step_ms
    first = np.flatnonzero(np.diff(label, prepend=label[:1] - 1)) if len(ts) else np.array([], int)
    return label[first] * step_ms + offset_ms, first
