"""A synthetic market with planted events, the same for everyone who names the same seed.

Belongs here: the tape, which cuts every series to its span and its symbols, and the list of planted
events (the truth). Does not belong here: how a series is made (``processes``), when an event is planted
(``plan``), wire formats.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeVar

import numpy as np

from regime_pipeline.settings import DEFAULT_SYMBOLS, SYMBOL_PATTERN
from regime_pipeline.simulator.coins import (
    OI_SHARE,
    OPTION_COINS,
    VENUES,
    coin_of,
    decimals_of,
)
from regime_pipeline.simulator.draws import EPOCH, EPOCH_MS, hours_since_epoch
from regime_pipeline.simulator.microstructure import (
    Book,
    Closures,
    Trades,
    book_around,
    closures_of,
    trades_of,
)
from regime_pipeline.simulator.plan import Planned, PlantedEvent, planned, spared
from regime_pipeline.simulator.processes import (
    MOODS,
    SHARE_LEVELS,
    candles_of,
    fear_greed_of,
    funding_of,
    liquidations_of,
    mood_of,
    open_interest_of,
    shares_of,
    transfers_of,
    volatility_index_of,
)
from regime_pipeline.simulator.series import (
    HOUR_MS,
    Candles,
    FearGreed,
    Funding,
    Liquidations,
    Mood,
    OpenInterest,
    Series,
    Shares,
    Transfers,
)
from regime_pipeline.windows import Window, floor_hour

_DEFAULT_START = datetime(2023, 1, 1, tzinfo=UTC)
_DEFAULT_END = datetime(2027, 1, 1, tzinfo=UTC)

_AnySeries = TypeVar("_AnySeries", bound=Series)


class SyntheticTape:
    """A synthetic market of any length, with its truth.

    Args:
        seed: names the world.
        start: first hour; not before :data:`EPOCH`.
        end: where the tape stops; the past does not depend on it.
        symbols: canonical symbols the venues list.

    Raises:
        ValueError: a span that is empty or starts before the epoch, or a malformed symbol.
    """

    def __init__(
        self,
        seed: int = 7,
        start: datetime = _DEFAULT_START,
        end: datetime = _DEFAULT_END,
        symbols: tuple[str, ...] = DEFAULT_SYMBOLS,
    ) -> None:
        if start < EPOCH or end <= start:
            raise ValueError(
                f"a synthetic tape spans hours after {EPOCH:%Y-%m-%d}, start before end"
            )
        bad = [s for s in symbols if not SYMBOL_PATTERN.match(s)]
        if bad or not symbols:
            raise ValueError(f"symbols are written BASE/QUOTE, as BTC/USDT; not understood: {bad}")
        self._seed = seed
        self._span = Window(floor_hour(start), floor_hour(end))
        self._symbols = tuple(sorted(set(symbols)))
        self._from = hours_since_epoch(self._span.start)
        self._to = hours_since_epoch(self._span.end)

    @property
    def text(self) -> str:
        """The tape's name for another process."""
        return (
            f"synthetic:{self._seed},start={self._span.start:%Y-%m-%dT%H:%M:%SZ},"
            f"end={self._span.end:%Y-%m-%dT%H:%M:%SZ},symbols={'+'.join(self._symbols)}"
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, sorted; every venue lists all of them."""
        return self._symbols

    @property
    def span(self) -> Window:
        """``[start, end)``."""
        return self._span

    def listed(self, venue: str, market: str) -> tuple[str, ...]:
        """Symbols that a venue lists."""
        return self._symbols if (venue, market) in VENUES else ()

    @cached_property
    def truth(self) -> list[PlantedEvent]:
        """The planted events that lie wholly inside the span, by start."""
        events = []
        for event in planned(self._seed, "*"):
            struck = tuple(s for s in self._symbols if not spared(self._seed, s, event))
            if struck:
                events.append(self._told(event, struck))
        for symbol in self._symbols:
            events += [self._told(e, (symbol,)) for e in planned(self._seed, symbol)]
        inside = [e for e in events if self._span.start <= e.start and e.end <= self._span.end]
        return sorted(inside, key=lambda e: (e.start, e.kind, e.symbols))

    def _told(self, event: Planned, symbols: tuple[str, ...]) -> PlantedEvent:
        return PlantedEvent(
            kind=event.kind,
            symbols=symbols,
            start=EPOCH + timedelta(hours=event.hour),
            end=EPOCH + timedelta(hours=event.end),
            size=round(event.size, 6),
        )

    def candles(self, venue: str, market: str, symbol: str) -> Candles | None:
        """Hourly bars."""
        if (venue, market) not in VENUES or symbol not in self._symbols:
            return None
        return self._cut(candles_of(self._seed, venue, market, symbol, self._to))

    def funding(self, venue: str, symbol: str) -> Funding | None:
        """Prints at 00, 08 and 16 h, a few milliseconds late as venues are."""
        if venue not in OI_SHARE or symbol not in self._symbols:
            return None
        return self._cut(funding_of(self._seed, venue, symbol, self._to))

    def open_interest(self, venue: str, symbol: str) -> OpenInterest | None:
        """Hourly open interest."""
        if venue not in OI_SHARE or symbol not in self._symbols:
            return None
        return self._cut(open_interest_of(self._seed, venue, symbol, self._to))

    def positioning(self, venue: str, symbol: str, metric: str) -> Shares | None:
        """Long shares; metric ``global_account``, ``top_account`` or ``top_position``."""
        if venue not in OI_SHARE or symbol not in self._symbols or metric not in SHARE_LEVELS:
            return None
        return self._cut(shares_of(self._seed, venue, symbol, metric, self._to))

    def liquidations(self, venue: str, symbol: str) -> Liquidations | None:
        """Hourly liquidations; quiet hours are absent."""
        if venue not in OI_SHARE or symbol not in self._symbols:
            return None
        return self._cut(liquidations_of(self._seed, venue, symbol, self._to))

    def volatility_index(self, symbol: str) -> Candles | None:
        """The index of a coin with options."""
        if symbol not in self._symbols or symbol.split("/")[0] not in OPTION_COINS:
            return None
        return self._cut(volatility_index_of(self._seed, symbol, self._to))

    @property
    def has_days(self) -> bool:
        """No: its days are made of its hours."""
        return False

    def days(self, kind: str, symbol: str, metric: str = "") -> None:
        """None: its days are made of its hours."""

    def fear_greed(self) -> FearGreed | None:
        """The daily index, made from the common factor."""
        return self._cut(fear_greed_of(self._seed, self._to))

    @property
    def has_trades(self) -> bool:
        """Yes, made out of the bars."""
        return True

    def order_book(
        self, venue: str, market: str, symbol: str, at_ms: int, price: float
    ) -> Book | None:
        """A book around the price, new every second."""
        share = VENUES.get((venue, market))
        if share is None or symbol not in self._symbols:
            return None
        coin = coin_of(symbol)
        digits = decimals_of(venue, market, coin)
        value = share[0] * coin.volume_usd
        return book_around(price, value, digits, self._seed, venue, market, symbol, at_ms // 1000)

    def trades(self, venue: str, market: str, symbol: str, hour_ms: int) -> Trades | None:
        """Trades that sum to the hour's bar."""
        bar = self._bar(self.candles(venue, market, symbol), hour_ms)
        return None if bar is None else trades_of(bar, self._seed, venue, market, symbol)

    def closures(self, venue: str, symbol: str, hour_ms: int) -> Closures | None:
        """Closures that sum to the hour's liquidations."""
        bar = self._bar(self.candles(venue, "perp", symbol), hour_ms)
        sums = self._bar(self.liquidations(venue, symbol), hour_ms)
        if bar is None or sums is None:
            return None
        digits = decimals_of(venue, "perp", coin_of(symbol))
        return closures_of(
            hour_ms,
            float(sums.long_usd[0]),
            float(sums.short_usd[0]),
            float(bar.close[0]),
            digits,
            self._seed,
            venue,
            symbol,
        )

    def _bar(self, series: _AnySeries | None, hour_ms: int) -> _AnySeries | None:
        if series is None:
            return None
        place = int(np.searchsorted(series.ts, hour_ms))
        if place >= len(series) or series.ts[place] != hour_ms:
            return None
        return series.rows(slice(place, place + 1))

    def mood(self, symbol: str, kind: str) -> Mood | None:
        """Hourly mood, which follows the price and talks more when it moves."""
        if symbol not in self._symbols or kind not in MOODS:
            return None
        return self._cut(mood_of(self._seed, symbol, kind, self._to))

    def transfers(self) -> Transfers | None:
        """Large transfers; coins go to exchanges before falls a little more often."""
        return self._cut(transfers_of(self._seed, self._to))

    def _cut(self, series: _AnySeries) -> _AnySeries:
        first = EPOCH_MS + self._from * HOUR_MS
        last = EPOCH_MS + self._to * HOUR_MS
        return series.rows(slice(*np.searchsorted(series.ts, [first, last])))
