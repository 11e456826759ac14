"""A made market with planted events, the same for everyone who names the same seed.

Belongs here: the price, volume, funding, open-interest, positioning and liquidation processes, the
schedule of planted events and the list of them (the truth). Does not belong here: wire formats.

Every random stream has its own generator named by seed, symbol and purpose, and starts at one fixed
instant (:data:`EPOCH`). So the value at an hour depends on seed, symbol and hour only, never on
where the tape starts or ends or on which other symbols it carries: a tape that is built again an
hour later, or for fewer symbols, tells the same history.

The model: hourly log returns are beta x common factor + own part, both with slowly varying
log-volatility and Student-t shocks, over a level that pulls back to its anchor within months; the
extremes inside an hour are those of a Brownian bridge. Funding follows the exchanges' own rule,
premium + clamp(interest - premium), so most prints are exactly the default 0.01 %.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np

from regime_pipeline.settings import DEFAULT_SYMBOLS, SYMBOL_PATTERN
from regime_pipeline.simulator.microstructure import (
    Book,
    Closures,
    Trades,
    book_around,
    closures_of,
    trades_of,
)
from regime_pipeline.simulator.series import (
    DAY_MS,
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
    contract_size,
)
from regime_pipeline.windows import Window, floor_hour

EPOCH = datetime(2019, 1, 7, tzinfo=UTC)  # a Monday
_EPOCH_MS = int(EPOCH.timestamp() * 1000)
_DEFAULT_START = datetime(2023, 1, 1, tzinfo=UTC)
_DEFAULT_END = datetime(2027, 1, 1, tzinfo=UTC)
_SCHEDULE_DAYS = 365 * 20
_WEEK = 168

_FACTOR_SIGMA = 0.0037
_PULL_HOURS = 24 * 120  # how slowly a price comes back to its anchor
_DEFAULT_RATE = 0.0001
_CLAMP = 0.0005

_AnySeries = TypeVar("_AnySeries", bound=Series)


@dataclass(frozen=True)
class PlantedEvent:
    """Something put into the market on purpose.

    ``kind``: LIQUIDATION_CASCADE (size: log return of the crash, or of the squeeze when positive),
    FUNDING_EXTREME (size: premium added, fraction per 8 h), VOLATILITY_REGIME (size: factor on the
    volatility), CORRELATION_BREAK (size: factor on the beta, 0), TREND_UP / TREND_DOWN (size: drift
    per hour in units of the symbol's hourly sd). ``[start, end)`` are the hours it acts on.
    """

    kind: str
    symbols: tuple[str, ...]
    start: datetime
    end: datetime
    size: float


@dataclass(frozen=True)
class _Coin:
    """What distinguishes one coin; USD figures per hour."""

    price: float
    beta: float
    own_sigma: float
    volume_usd: float
    open_interest_usd: float
    decimals: int
    lot_decimals: int


_COINS = {
    "BTC": _Coin(42_000.0, 0.95, 0.0014, 5.0e8, 5.0e9, 2, 3),
    "ETH": _Coin(2_600.0, 1.05, 0.0019, 3.0e8, 3.0e9, 2, 3),
    "SOL": _Coin(95.0, 1.35, 0.0042, 1.0e8, 1.1e9, 3, 2),
    "ADA": _Coin(0.45, 1.15, 0.0034, 2.5e7, 3.6e8, 5, 0),
    "BNB": _Coin(380.0, 0.85, 0.0025, 4.0e7, 5.0e8, 2, 2),
    "XRP": _Coin(0.75, 1.05, 0.0040, 6.0e7, 7.0e8, 4, 1),
    "DOT": _Coin(7.0, 1.15, 0.0034, 2.0e7, 3.4e8, 3, 1),
    "LINK": _Coin(14.0, 1.15, 0.0036, 2.5e7, 3.6e8, 3, 1),
}

# share of the reference volume, sd of the price against the perpetual, sd of the volume noise
_VENUES = {
    ("binance", "perp"): (1.0, 0.0, 0.0),
    ("binance", "spot"): (0.35, 2.0e-4, 0.15),
    ("binance_us", "spot"): (0.0015, 4.0e-4, 0.8),
    ("okx", "spot"): (0.12, 2.5e-4, 0.2),
    ("okx", "perp"): (0.45, 1.0e-4, 0.12),
    ("bybit", "spot"): (0.10, 2.5e-4, 0.2),
    ("bybit", "perp"): (0.40, 1.0e-4, 0.12),
}
_OI_SHARE = {"binance": 1.0, "okx": 0.4, "bybit": 0.5}


def _coin(symbol: str) -> _Coin:
    base = symbol.split("/")[0]
    if base in _COINS:
        return _COINS[base]
    draw = np.random.default_rng(_key(0, "coin", base)).random(5)
    price = float(10.0 ** (draw[0] * 4.0 - 1.0))
    return _Coin(
        price=price,
        beta=0.8 + 0.5 * float(draw[1]),
        own_sigma=0.0030 + 0.0030 * float(draw[2]),
        volume_usd=1.0e7 * 4.0 ** float(draw[3]),
        open_interest_usd=3.0e8 * 2.0 ** float(draw[4]),
        decimals=max(2, 4 - math.floor(math.log10(price))),
        lot_decimals=1,
    )


def _key(*parts: object) -> int:
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big")


def _hours_since_epoch(at: datetime) -> int:
    return int((at - EPOCH) // timedelta(hours=1))


def _ar1(shocks: np.ndarray, half_life: float, sd: float, *, start: float = 0.0) -> np.ndarray:
    """A mean-zero AR(1) path with stationary standard deviation ``sd``."""
    from scipy.signal import lfilter

    phi = 0.5 ** (1.0 / half_life)
    path, _ = lfilter([sd * math.sqrt(1.0 - phi * phi)], [1.0, -phi], shocks, zi=[phi * start])
    return path


def _decayed(impulses: np.ndarray, half_life: float) -> np.ndarray:
    """Impulses that fade away with a half-life in hours."""
    from scipy.signal import lfilter

    return lfilter([1.0], [1.0, -(0.5 ** (1.0 / half_life))], impulses)


@dataclass(frozen=True)
class _Planned:
    """One planted event in hours since the epoch; ``size`` and ``detail`` as its kind needs."""

    kind: str
    market_wide: bool
    hour: int
    hours: int
    size: float
    detail: float

    @property
    def end(self) -> int:
        return self.hour + self.hours


# kind -> (mean days between, market wide?) ; every kind of every owner has a stream of its own
_PLAN = (
    ("LIQUIDATION_CASCADE", True, 70.0),
    ("LIQUIDATION_CASCADE", False, 60.0),
    ("FUNDING_EXTREME", False, 45.0),
    ("VOLATILITY_REGIME", True, 90.0),
    ("VOLATILITY_REGIME", False, 110.0),
    ("CORRELATION_BREAK", False, 210.0),
    ("TREND", True, 75.0),
    ("TREND", False, 120.0),
)


@lru_cache(maxsize=256)
def _planned(seed: int, owner: str) -> tuple[_Planned, ...]:
    """Every event of the market (owner ``*``) or of one coin, over twenty years."""
    events = []
    for kind, market_wide, days in _PLAN:
        if market_wide != (owner == "*"):
            continue
        rng = np.random.default_rng(_key(seed, "plan", owner, kind))
        count = int(_SCHEDULE_DAYS / days * 1.6)
        gaps = days * 24.0 * rng.uniform(0.6, 1.4, count)
        gaps[0] *= rng.random()
        hours = np.cumsum(gaps).astype(np.int64)
        draws = rng.random((count, 4))
        for hour, draw in zip(hours.tolist(), draws.tolist(), strict=True):
            events.append(_shaped(kind, market_wide, hour, draw))
    return tuple(sorted(events, key=lambda e: (e.hour, e.kind)))


def _spared(seed: int, symbol: str, event: _Planned) -> bool:
    """Whether a coin that is decoupled at the time stays out of a move of the whole market."""
    if not event.market_wide or event.kind == "VOLATILITY_REGIME":
        return False
    return any(
        own.hour < event.end + _WEEK and event.hour < own.end + _WEEK
        for own in _planned(seed, symbol)
        if own.kind == "CORRELATION_BREAK"
    )


def _shaped(kind: str, market_wide: bool, hour: int, draw: list[float]) -> _Planned:
    if kind == "LIQUIDATION_CASCADE":
        squeeze = draw[3] < 0.2
        size = (0.05 + 0.07 * draw[0]) * (0.8 if squeeze else -1.0)
        return _Planned(kind, market_wide, hour, 2 + int(3 * draw[1]), size, 28 + 22 * draw[2])
    if kind == "FUNDING_EXTREME":
        size = (0.0016 + 0.0014 * draw[0]) * (1.0 if draw[3] < 0.6 else -1.0)
        start = hour - hour % 8  # the epoch is a midnight: prints fall on multiples of 8
        return _Planned(kind, market_wide, start, 8 * (3 + int(6 * draw[1])), size, 0.0)
    if kind == "VOLATILITY_REGIME":
        return _Planned(kind, market_wide, hour, int(48 + 72 * draw[1]), 3.0 + 2.0 * draw[0], 0.0)
    if kind == "CORRELATION_BREAK":
        return _Planned(kind, market_wide, hour, int(168 + 72 * draw[1]), 0.0, 0.0)
    up = draw[3] < 0.6
    size = (0.36 + 0.12 * draw[0]) * (1.0 if up else -1.0)
    kind = "TREND_UP" if up else "TREND_DOWN"
    return _Planned(kind, market_wide, hour, int(144 + 96 * draw[1]), size, 0.0)


@dataclass(frozen=True)
class _Path:
    """What all venues of one coin share, per hour since the epoch."""

    log_open: np.ndarray
    log_close: np.ndarray
    up: np.ndarray  # ln of the high over the higher end
    down: np.ndarray  # ln of the lower end over the low
    sigma: np.ndarray  # local hourly sd of the log return
    volume_usd: np.ndarray
    cascade: np.ndarray  # liquidations in multiples of the usual, 0 outside cascades
    cascade_sign: np.ndarray  # sign of the cascade's return


class SyntheticTape:
    """A made market of any length, with its truth.

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
        self._from = _hours_since_epoch(self._span.start)
        self._to = _hours_since_epoch(self._span.end)

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
        return self._symbols if (venue, market) in _VENUES else ()

    @cached_property
    def truth(self) -> list[PlantedEvent]:
        """The planted events that lie wholly inside the span, by start."""
        events = []
        for event in _planned(self._seed, "*"):
            struck = tuple(s for s in self._symbols if not _spared(self._seed, s, event))
            if struck:
                events.append(self._told(event, struck))
        for symbol in self._symbols:
            events += [self._told(e, (symbol,)) for e in _planned(self._seed, symbol)]
        inside = [e for e in events if self._span.start <= e.start and e.end <= self._span.end]
        return sorted(inside, key=lambda e: (e.start, e.kind, e.symbols))

    def _told(self, event: _Planned, symbols: tuple[str, ...]) -> PlantedEvent:
        return PlantedEvent(
            kind=event.kind,
            symbols=symbols,
            start=EPOCH + timedelta(hours=event.hour),
            end=EPOCH + timedelta(hours=event.end),
            size=round(event.size, 6),
        )

    def candles(self, venue: str, market: str, symbol: str) -> Candles | None:
        """Hourly bars."""
        if (venue, market) not in _VENUES or symbol not in self._symbols:
            return None
        return self._cut(_candles(self._seed, venue, market, symbol, self._to))

    def funding(self, venue: str, symbol: str) -> Funding | None:
        """Prints at 00, 08 and 16 h, a few milliseconds late as venues are."""
        if venue not in _OI_SHARE or symbol not in self._symbols:
            return None
        return self._cut(_funding(self._seed, venue, symbol, self._to))

    def open_interest(self, venue: str, symbol: str) -> OpenInterest | None:
        """Hourly open interest."""
        if venue not in _OI_SHARE or symbol not in self._symbols:
            return None
        return self._cut(_open_interest(self._seed, venue, symbol, self._to))

    def positioning(self, venue: str, symbol: str, metric: str) -> Shares | None:
        """Long shares; metric ``global_account``, ``top_account`` or ``top_position``."""
        if venue not in _OI_SHARE or symbol not in self._symbols or metric not in _SHARE_LEVELS:
            return None
        return self._cut(_shares(self._seed, venue, symbol, metric, self._to))

    def liquidations(self, venue: str, symbol: str) -> Liquidations | None:
        """Hourly liquidations; quiet hours are absent."""
        if venue not in _OI_SHARE or symbol not in self._symbols:
            return None
        return self._cut(_liquidations(self._seed, venue, symbol, self._to))

    def fear_greed(self) -> FearGreed | None:
        """The daily index, made from the common factor."""
        return self._cut(_fear_greed(self._seed, self._to))

    @property
    def has_trades(self) -> bool:
        """Yes, made out of the bars."""
        return True

    def order_book(
        self, venue: str, market: str, symbol: str, at_ms: int, price: float
    ) -> Book | None:
        """A book around the price, new every second."""
        share = _VENUES.get((venue, market))
        if share is None or symbol not in self._symbols:
            return None
        coin = _coin(symbol)
        digits = _decimals(venue, market, coin)
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
        digits = _decimals(venue, "perp", _coin(symbol))
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
        if symbol not in self._symbols or kind not in _MOODS:
            return None
        return self._cut(_mood(self._seed, symbol, kind, self._to))

    def transfers(self) -> Transfers | None:
        """Large transfers; coins go to exchanges before falls a little more often."""
        return self._cut(_transfers(self._seed, self._to))

    def _cut(self, series: _AnySeries) -> _AnySeries:
        first = _EPOCH_MS + self._from * HOUR_MS
        last = _EPOCH_MS + self._to * HOUR_MS
        return series.rows(slice(*np.searchsorted(series.ts, [first, last])))


def _rng(seed: int, *purpose: object) -> np.random.Generator:
    return np.random.default_rng(_key(seed, *purpose))


def _ts(hours: int) -> np.ndarray:
    return _EPOCH_MS + np.arange(hours, dtype=np.int64) * HOUR_MS


def _season(hours: int) -> np.ndarray:
    """Hour-of-week season of activity, mean about 1; the epoch is a Monday 00:00."""
    hour = np.arange(_WEEK)
    daily = 1.0 + 0.38 * np.cos(2 * np.pi * ((hour % 24) - 15) / 24)
    daily += 0.12 * np.cos(4 * np.pi * ((hour % 24) - 2) / 24)
    weekly = np.where(hour >= 120, 0.68, 1.1)
    return np.resize(daily * weekly, hours)


def _within(events: Iterable[_Planned], hours: int) -> list[_Planned]:
    return [e for e in events if e.hour < hours]


def _volatility(seed: int, owner: str, hours: int) -> np.ndarray:
    """Slow stochastic volatility around 1, without the planted regimes."""
    slow = _ar1(_rng(seed, owner, "slow-vol").standard_normal(hours), 24 * 6, 0.14)
    quick = _ar1(_rng(seed, owner, "quick-vol").standard_normal(hours), 10, 0.12)
    return np.exp(slow + quick)


@lru_cache(maxsize=4)
def _factor(seed: int, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """The common factor: its hourly return and its local sd, before planted regimes."""
    rng = _rng(seed, "*", "factor")
    mix = np.sqrt(3.0 / rng.chisquare(5.0, hours))  # t5 scaled to unit variance
    sigma = _FACTOR_SIGMA * _volatility(seed, "*", hours) * _season(hours) ** 0.4 * mix
    return sigma * _rng(seed, "*", "shock").standard_normal(hours), sigma


@lru_cache(maxsize=64)
def _path(seed: int, symbol: str, hours: int) -> _Path:
    coin = _coin(symbol)
    season = _season(hours)
    factor, factor_sigma = _factor(seed, hours)
    mix = np.sqrt(3.0 / _rng(seed, symbol, "mix").chisquare(5.0, hours))
    own_sigma = coin.own_sigma * _volatility(seed, symbol, hours) * season**0.3 * mix
    own = own_sigma * _rng(seed, symbol, "shock").standard_normal(hours)
    loose = _rng(seed, symbol, "loose").standard_normal(hours)

    beta = np.full(hours, coin.beta)
    scale = np.ones(hours)
    usual_sd = math.hypot(coin.beta * _FACTOR_SIGMA, coin.own_sigma)
    drift, cascade, cascade_sign = np.zeros(hours), np.zeros(hours), np.zeros(hours)
    busy = np.ones(hours)
    for event in _within([*_planned(seed, "*"), *_planned(seed, symbol)], hours):
        if _spared(seed, symbol, event):
            continue
        part = slice(event.hour, min(event.end, hours))
        if event.kind == "LIQUIDATION_CASCADE":
            _plant_cascade(event, part, drift, cascade, cascade_sign, coin.beta)
        elif event.kind == "VOLATILITY_REGIME":
            scale[part] = np.maximum(scale[part], event.size)
        elif event.kind == "CORRELATION_BREAK":
            beta[part] = 0.0
        elif event.kind in ("TREND_UP", "TREND_DOWN"):
            drift[part] += event.size * usual_sd
            busy[part] *= 3.0 if event.size > 0 else 1.6
    # a decoupled coin keeps its size of moves, they are only its own
    freed = np.sqrt(coin.beta**2 - beta**2) * factor_sigma
    sigma = scale * np.sqrt((coin.beta * factor_sigma) ** 2 + own_sigma**2)
    moves = drift + scale * (beta * factor + own + freed * loose)

    log_close = _pulled(moves, math.log(coin.price))
    log_open = np.concatenate(([math.log(coin.price)], log_close[:-1]))
    up, down = _bridge_extremes(log_close - log_open, sigma, _rng(seed, symbol, "bridge"))
    noise = _ar1(_rng(seed, symbol, "volume").standard_normal(hours), 5, 0.25)
    activity = (sigma / usual_sd) ** 0.9 * (1.0 + 0.1 * cascade)
    volume = coin.volume_usd * season * busy * activity * np.exp(noise - 0.03)
    return _Path(log_open, log_close, up, down, sigma, volume, cascade, cascade_sign)


def _plant_cascade(
    event: _Planned,
    part: slice,
    drift: np.ndarray,
    cascade: np.ndarray,
    sign: np.ndarray,
    beta: float,
) -> None:
    """A crash (or squeeze) that starts hard and fades over its hours, then half of it comes back."""
    weights = 0.6 ** np.arange(event.hours)
    size = event.size * (min(max(beta, 0.8), 1.3) if event.market_wide else 1.0)
    length = part.stop - part.start
    drift[part] += (size * weights / weights.sum())[:length]
    cascade[part] = np.maximum(cascade[part], (event.detail * weights**0.5)[:length])
    sign[part] = math.copysign(1.0, size)
    after = slice(event.end, min(event.end + 36, len(drift)))
    if after.stop > after.start:
        drift[after] -= 0.4 * size / 36


def _pulled(moves: np.ndarray, anchor: float) -> np.ndarray:
    """Levels that follow ``moves`` and are pulled back to ``anchor`` over months."""
    from scipy.signal import lfilter

    phi = 1.0 - 1.0 / _PULL_HOURS
    return anchor + lfilter([1.0], [1.0, -phi], moves)


def _bridge_extremes(
    moves: np.ndarray, sigma: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """How far a Brownian bridge of that end and sd goes above its higher and below its lower end."""
    uniform = 1.0 - rng.random((len(moves), 2))  # in (0, 1]
    reach = -2.0 * sigma[:, None] ** 2 * np.log(uniform)
    extreme = np.sqrt(moves[:, None] ** 2 + reach)
    over = 0.5 * (extreme - np.abs(moves)[:, None])
    return over[:, 0], over[:, 1]


def _decimals(venue: str, market: str, coin: _Coin) -> int:
    return coin.decimals if (venue, market) != ("binance", "perp") else max(1, coin.decimals - 1)


@lru_cache(maxsize=128)
def _candles(seed: int, venue: str, market: str, symbol: str, hours: int) -> Candles:
    coin, path = _coin(symbol), _path(seed, symbol, hours)
    share, apart, noise_sd = _VENUES[venue, market]
    rng = _rng(seed, symbol, venue, market)
    normals = rng.standard_normal((hours, 4))
    basis = _ar1(normals[:, 0], 8, apart) if apart else np.zeros(hours)
    before = np.concatenate(([0.0], basis[:-1]))
    digits = _decimals(venue, market, coin)
    log_open, log_close = path.log_open + before, path.log_close + basis
    stretch = 1.0 + 0.03 * np.tanh(normals[:, 1]) * bool(apart)
    high = np.maximum(log_open, log_close) + path.up * stretch
    low = np.minimum(log_open, log_close) - path.down * stretch
    volume_usd = share * path.volume_usd * np.exp(noise_sd * normals[:, 2])
    lots = coin.lot_decimals + (2 if market == "spot" else 0)
    if venue == "okx" and market == "perp":
        size = contract_size(symbol)
        volume = np.round(volume_usd / np.exp(path.log_close) / size, 0) * size
    else:
        volume = np.round(volume_usd / np.exp(path.log_close), lots)
    lean = np.clip(
        0.5 + 0.05 * np.tanh((path.log_close - path.log_open) / path.sigma) + 0.02 * normals[:, 3],
        0.2,
        0.8,
    )
    taker = np.round(volume * lean, lots)
    mean_price = np.exp((high + low + log_close) / 3.0)
    return Candles(
        ts=_ts(hours),
        open=np.round(np.exp(log_open), digits),
        high=np.round(np.exp(high), digits),
        low=np.maximum(np.round(np.exp(low), digits), 10.0**-digits),
        close=np.round(np.exp(log_close), digits),
        volume_base=volume,
        volume_quote=np.round(volume * mean_price, 2),
        taker_buy_base=taker,
        taker_buy_quote=np.round(taker * mean_price, 2),
        trade_count=np.ceil(volume_usd / 6_000.0),
    )


@lru_cache(maxsize=64)
def _funding(seed: int, venue: str, symbol: str, hours: int) -> Funding:
    prints = (hours + 7) // 8
    shared = _ar1(_rng(seed, symbol, "premium").standard_normal(prints), 5, 0.00030)
    rng = _rng(seed, symbol, venue, "premium")
    normals = rng.standard_normal((prints, 2))
    premium = _DEFAULT_RATE + shared + 0.00004 * normals[:, 0]
    for event in _within(_planned(seed, symbol), hours):
        if event.kind == "FUNDING_EXTREME":
            premium[event.hour // 8 : event.end // 8] += event.size
    rate = np.round(_funding_rule(premium), 8)
    guess = np.round(_funding_rule(premium + 0.00002 * normals[:, 1]), 10)
    late = _rng(seed, symbol, venue, "late").integers(0, 46, prints)
    mark = np.exp(_path(seed, symbol, hours).log_open[::8])
    return Funding(_ts(prints * 8)[::8] + late, rate, guess, np.round(mark, 8))


def _funding_rule(premium: np.ndarray) -> np.ndarray:
    return premium + np.clip(_DEFAULT_RATE - premium, -_CLAMP, _CLAMP)


@lru_cache(maxsize=64)
def _open_interest(seed: int, venue: str, symbol: str, hours: int) -> OpenInterest:
    coin, path = _coin(symbol), _path(seed, symbol, hours)
    rng = _rng(seed, symbol, venue, "oi")
    normals = rng.standard_normal((hours, 3))
    level = math.log(coin.open_interest_usd * _OI_SHARE[venue] / coin.price)
    slow = _ar1(normals[:, 0], 24 * 12, 0.12) + _ar1(normals[:, 1], 4, 0.004)
    washed = _decayed(0.0014 * path.cascade, 24 * 4)  # positions closed by force come back slowly
    close = np.exp(level + slow - washed)
    opened = np.concatenate((close[:1], close[:-1]))
    spread = 1.0 + 0.001 * np.abs(normals[:, 2])
    coins = {
        "open": np.round(opened, 3),
        "high": np.round(np.maximum(opened, close) * spread, 3),
        "low": np.round(np.minimum(opened, close) / spread, 3),
        "close": np.round(close, 3),
    }
    price_open, price_close = np.exp(path.log_open), np.exp(path.log_close)
    ends = {
        "open_usd": np.round(coins["open"] * price_open, 2),
        "close_usd": np.round(coins["close"] * price_close, 2),
    }
    return OpenInterest(
        ts=_ts(hours),
        **coins,
        **ends,
        high_usd=np.maximum(ends["open_usd"], ends["close_usd"]),
        low_usd=np.minimum(ends["open_usd"], ends["close_usd"]),
    )


# metric -> (level, how much the shares move, how strongly they run against the price)
_SHARE_LEVELS = {
    "global_account": (0.62, 0.035, 0.8),
    "top_account": (0.64, 0.030, 0.6),
    "top_position": (0.55, 0.020, 0.2),
}


@lru_cache(maxsize=128)
def _shares(seed: int, venue: str, symbol: str, metric: str, hours: int) -> Shares:
    level, sd, against = _SHARE_LEVELS[metric]
    path = _path(seed, symbol, hours)
    rng = _rng(seed, symbol, venue, metric)
    own = _ar1(rng.standard_normal(hours), 24 * 3, sd)
    past = path.log_close - np.concatenate((np.full(24, path.log_close[0]), path.log_close))[:hours]
    share = np.clip(level + own - against * past, 0.30, 0.85)
    return Shares(_ts(hours), np.round(share, 4))


@lru_cache(maxsize=64)
def _liquidations(seed: int, venue: str, symbol: str, hours: int) -> Liquidations:
    """Forced closures that follow the move: longs on falls, shorts on rises."""
    coin, path = _coin(symbol), _path(seed, symbol, hours)
    # a stream each: the second draw of one stream would depend on how many hours the first took
    normals = _rng(seed, symbol, venue, "liquidations").standard_normal((hours, 2))
    uniform = _rng(seed, symbol, venue, "quiet").random((hours, 3))
    usual = 6.0e-5 * coin.open_interest_usd * _OI_SHARE[venue]
    usual_sd = math.hypot(coin.beta * _FACTOR_SIGMA, coin.own_sigma)
    move = np.clip((path.log_close - path.log_open) / usual_sd, -3.0, 3.0)
    sides = []
    for column, direction in ((0, -1.0), (1, 1.0)):
        tilt = 0.75 * move * direction - 0.2 * np.abs(move)
        side = 0.32 * usual * np.exp(0.75 * normals[:, column] + tilt)
        forced = path.cascade * usual * (path.cascade_sign == direction)
        side = side + forced * np.exp(0.15 * normals[:, column])
        side[(uniform[:, column] < 0.03) & (forced == 0.0)] = 0.0
        sides.append(np.round(side, 5))
    long, short = sides
    quiet = (long + short < 0.40 * usual) & (uniform[:, 2] < 0.08) | (long + short <= 0.0)
    keep = ~quiet
    return Liquidations(_ts(hours)[keep], long[keep], short[keep])


@lru_cache(maxsize=4)
def _fear_greed(seed: int, hours: int) -> FearGreed:
    """Mood of the market: its last 30 days of common returns, its volatility, and some noise."""
    days = -(-hours // 24)
    padded = days * 24
    factor, _ = _factor(seed, padded)
    drift = np.zeros(padded)
    for event in _within(_planned(seed, "*"), padded):
        if event.kind in ("TREND_UP", "TREND_DOWN"):
            drift[event.hour : event.end] += event.size * _FACTOR_SIGMA
        elif event.kind == "LIQUIDATION_CASCADE":
            drift[event.hour : event.end] += event.size / event.hours
    total = np.concatenate(([0.0], np.cumsum(factor + drift)))[: padded + 1 : 24]
    month_ago = np.concatenate((np.full(30, total[0]), total))[: len(total)]
    noise = _ar1(_rng(seed, "*", "mood").standard_normal(days), 6, 8.0)
    value = 50.0 + 110.0 * (total - month_ago)[:days] + noise
    ts = _EPOCH_MS + np.arange(days, dtype=np.int64) * DAY_MS
    return FearGreed(ts, np.round(np.clip(value, 5.0, 95.0)))


# kind -> (level, how much it moves, how strongly it follows a day's return, posts per hour)
_MOODS = {
    "social": (68.0, 5.0, 90.0, 900.0),
    "news": (58.0, 6.0, 60.0, 9.0),
    "trader": (55.0, 7.0, 130.0, 60.0),
}


@lru_cache(maxsize=64)
def _mood(seed: int, symbol: str, kind: str, hours: int) -> Mood:
    level, sd, follows, posts_per_hour = _MOODS[kind]
    path = _path(seed, symbol, hours)
    own = _ar1(_rng(seed, symbol, "mood", kind).standard_normal(hours), 18, sd)
    past = path.log_close - np.concatenate((np.full(24, path.log_close[0]), path.log_close))[:hours]
    noise = _ar1(_rng(seed, symbol, "talk", kind).standard_normal(hours), 6, 0.3)
    busy = (path.volume_usd / (_coin(symbol).volume_usd + 1.0)) ** 0.6
    size = (_coin(symbol).volume_usd / 1.0e8) ** 0.5
    posts = np.floor(posts_per_hour * size * busy * np.exp(noise))
    score = np.round(np.clip(level + own + follows * past, 1.0, 99.0))
    return Mood(_ts(hours), score, posts, np.floor(posts * (60.0 + 40.0 * np.exp(noise))))


_SLOTS = 6  # transfers that an hour can hold
_MOVED = (*_COINS, "USDT", "USDC")
_EXCHANGE_NAMES = ("binance", "coinbase", "okx", "bybit", "kraken", "bitfinex")


@lru_cache(maxsize=4)
def _transfers(seed: int, hours: int) -> Transfers:
    draws = _rng(seed, "*", "transfers").random((hours, _SLOTS, 7))
    factor, _ = _factor(seed, hours)
    day = np.convolve(factor, np.ones(24))[:hours] / (_FACTOR_SIGMA * 5.0)
    lean = np.clip(0.5 - 0.12 * day, 0.2, 0.8)  # share of inflow among the exchange flows
    hour, slot = np.nonzero(draws[:, :, 0] < 0.55)
    u = draws[hour, slot]
    second = np.floor(u[:, 1] * 3600).astype(np.int64)
    order = np.lexsort((slot, second, hour))
    hour, slot, second, u = hour[order], slot[order], second[order], u[order]
    coin = np.array(_MOVED)[np.minimum((u[:, 2] * len(_MOVED)).astype(int), len(_MOVED) - 1)]
    usd = np.round(np.minimum(1.0e6 * (1.0 - u[:, 3]) ** -0.9, 4.0e8), 2)
    price = np.ones(len(hour))
    for base in _COINS:
        mine = coin == base
        price[mine] = np.exp(_path(seed, f"{base}/USDT", hours).log_close[hour[mine]])
    named = np.array(_EXCHANGE_NAMES)[(u[:, 4] * len(_EXCHANGE_NAMES)).astype(int)]
    other = np.array(_EXCHANGE_NAMES)[(u[:, 6] * len(_EXCHANGE_NAMES)).astype(int)]
    kind, nobody = u[:, 5], np.full(len(hour), "", dtype=named.dtype)
    inward = kind < 0.6 * lean[hour]
    outward = ~inward & (kind < 0.6)
    between = (kind >= 0.6) & (kind < 0.75)
    return Transfers(
        ts=_EPOCH_MS + hour * HOUR_MS + second * 1000,
        number=hour.astype(np.int64) * 10 + slot,
        coin=coin,
        amount=np.round(usd / price, 4),
        usd=usd,
        sender=np.where(outward | between, named, nobody),
        receiver=np.where(inward, named, np.where(between, other, nobody)),
    )
