"""The processes of the synthetic market: a path per coin, and every series that follows from it.

Belongs here: how prices, volumes, funding, open interest, positioning, liquidations, mood and transfers
are made out of seed, symbol and hour. Does not belong here: which events are planted, wire formats.

The model: hourly log returns are beta x common factor + own part, both with slowly varying
log-volatility and Student-t shocks, over a level that pulls back to its anchor within months; the
extremes inside an hour are those of a Brownian bridge. Funding follows the exchanges' own rule,
premium + clamp(interest - premium), so most prints are exactly the default 0.01 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from regime_pipeline.simulator.coins import (
    COINS,
    FUNDING_HOURS,
    OI_SHARE,
    VENUES,
    coin_of,
    decimals_of,
)
from regime_pipeline.simulator.draws import EPOCH_MS, WEEK_HOURS, ar1, decayed, hours_ms, rng_of
from regime_pipeline.simulator.plan import Planned, planned, spared, within
from regime_pipeline.simulator.series import (
    DAY_MS,
    HOUR_MS,
    Candles,
    FearGreed,
    Funding,
    Liquidations,
    Mood,
    OpenInterest,
    Shares,
    Transfers,
    contract_size,
)

_FACTOR_SIGMA = 0.0037
_PULL_HOURS = 24 * 120  # how slowly a price comes back to its anchor
_DEFAULT_RATE = 0.0001
_CLAMP = 0.0005


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


def _season(hours: int) -> np.ndarray:
    """Hour-of-week season of activity, mean about 1; the epoch is a Monday 00:00."""
    hour = np.arange(WEEK_HOURS)
    daily = 1.0 + 0.38 * np.cos(2 * np.pi * ((hour % 24) - 15) / 24)
    daily += 0.12 * np.cos(4 * np.pi * ((hour % 24) - 2) / 24)
    weekly = np.where(hour >= 120, 0.68, 1.1)
    return np.resize(daily * weekly, hours)


def _volatility(seed: int, owner: str, hours: int) -> np.ndarray:
    """Slow stochastic volatility around 1, without the planted regimes."""
    slow = ar1(rng_of(seed, owner, "slow-vol").standard_normal(hours), 24 * 6, 0.14)
    quick = ar1(rng_of(seed, owner, "quick-vol").standard_normal(hours), 10, 0.12)
    return np.exp(slow + quick)


@lru_cache(maxsize=4)
def _factor(seed: int, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """The common factor: its hourly return and its local sd, before planted regimes."""
    rng = rng_of(seed, "*", "factor")
    mix = np.sqrt(3.0 / rng.chisquare(5.0, hours))  # t5 scaled to unit variance
    sigma = _FACTOR_SIGMA * _volatility(seed, "*", hours) * _season(hours) ** 0.4 * mix
    return sigma * rng_of(seed, "*", "shock").standard_normal(hours), sigma


@lru_cache(maxsize=64)
def _path(seed: int, symbol: str, hours: int) -> _Path:
    coin = coin_of(symbol)
    season = _season(hours)
    factor, factor_sigma = _factor(seed, hours)
    mix = np.sqrt(3.0 / rng_of(seed, symbol, "mix").chisquare(5.0, hours))
    own_sigma = coin.own_sigma * _volatility(seed, symbol, hours) * season**0.3 * mix
    own = own_sigma * rng_of(seed, symbol, "shock").standard_normal(hours)
    loose = rng_of(seed, symbol, "loose").standard_normal(hours)

    beta = np.full(hours, coin.beta)
    scale = np.ones(hours)
    usual_sd = math.hypot(coin.beta * _FACTOR_SIGMA, coin.own_sigma)
    drift, cascade, cascade_sign = np.zeros(hours), np.zeros(hours), np.zeros(hours)
    busy = np.ones(hours)
    for event in within([*planned(seed, "*"), *planned(seed, symbol)], hours):
        if spared(seed, symbol, event):
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
    up, down = _bridge_extremes(log_close - log_open, sigma, rng_of(seed, symbol, "bridge"))
    noise = ar1(rng_of(seed, symbol, "volume").standard_normal(hours), 5, 0.25)
    activity = (sigma / usual_sd) ** 0.9 * (1.0 + 0.1 * cascade)
    volume = coin.volume_usd * season * busy * activity * np.exp(noise - 0.03)
    return _Path(log_open, log_close, up, down, sigma, volume, cascade, cascade_sign)


def _plant_cascade(
    event: Planned,
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


@lru_cache(maxsize=128)
def candles_of(seed: int, venue: str, market: str, symbol: str, hours: int) -> Candles:
    """Hourly bars of one venue: the shared path, with its own basis, spread and volume."""
    coin, path = coin_of(symbol), _path(seed, symbol, hours)
    share, apart, noise_sd = VENUES[venue, market]
    rng = rng_of(seed, symbol, venue, market)
    normals = rng.standard_normal((hours, 4))
    basis = ar1(normals[:, 0], 8, apart) if apart else np.zeros(hours)
    before = np.concatenate(([0.0], basis[:-1]))
    digits = decimals_of(venue, market, coin)
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
        ts=hours_ms(hours),
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
def funding_of(seed: int, venue: str, symbol: str, hours: int) -> Funding:
    """Prints by the exchanges' rule, with the rate that was predicted for each.

    They come at 00, 08 and 16 h; a venue with shorter intervals pays its share of the eight hours in each.
    """
    prints = (hours + 7) // 8
    shared = ar1(rng_of(seed, symbol, "premium").standard_normal(prints), 5, 0.00030)
    rng = rng_of(seed, symbol, venue, "premium")
    normals = rng.standard_normal((prints, 2))
    premium = _DEFAULT_RATE + shared + 0.00004 * normals[:, 0]
    for event in within(planned(seed, symbol), hours):
        if event.kind == "FUNDING_EXTREME":
            premium[event.hour // 8 : event.end // 8] += event.size
    rate = np.round(_funding_rule(premium), 8)
    guess = np.round(_funding_rule(premium + 0.00002 * normals[:, 1]), 10)
    step = FUNDING_HOURS.get(venue, 8)
    if step != 8:
        of = np.arange((hours + step - 1) // step) * step // 8
        rate, guess = (np.round(values[of] * step / 8, 10) for values in (rate, guess))
    late = rng_of(seed, symbol, venue, "late").integers(0, 46, len(rate))
    mark = np.exp(_path(seed, symbol, hours).log_open[::step])
    return Funding(hours_ms(len(rate) * step)[::step] + late, rate, guess, np.round(mark, 8))


_INDEX_HALF_LIFE_H = 24 * 8


@lru_cache(maxsize=8)
def volatility_index_of(seed: int, symbol: str, hours: int) -> Candles:
    """Bars of the volatility that options imply, percent a year: that of the past weeks and a premium."""
    path = _path(seed, symbol, hours)
    rng = rng_of(seed, symbol, "volatility index")
    usual = float(np.mean(path.sigma[: 24 * 30] ** 2))
    away = decayed(path.sigma**2 - usual, _INDEX_HALF_LIFE_H) * (
        1 - 0.5 ** (1 / _INDEX_HALF_LIFE_H)
    )
    normals = rng.standard_normal((hours, 3))
    premium = 1.12 + ar1(normals[:, 0], 24 * 4, 0.05)
    close = 100.0 * np.sqrt(8760.0 * np.maximum(usual + away, 0.2 * usual)) * premium
    close = np.round(np.clip(close, 8.0, 350.0), 2)
    opened = np.concatenate((close[:1], close[:-1]))
    reach = 1.0 + 0.004 * np.abs(normals[:, 1:])
    nulls = np.full(hours, np.nan)
    return Candles(
        ts=hours_ms(hours),
        open=opened,
        high=np.round(np.maximum(opened, close) * reach[:, 0], 2),
        low=np.round(np.minimum(opened, close) / reach[:, 1], 2),
        close=close,
        volume_base=nulls,
        volume_quote=nulls,
        taker_buy_base=nulls,
        taker_buy_quote=nulls,
        trade_count=nulls,
    )


def _funding_rule(premium: np.ndarray) -> np.ndarray:
    return premium + np.clip(_DEFAULT_RATE - premium, -_CLAMP, _CLAMP)


@lru_cache(maxsize=64)
def open_interest_of(seed: int, venue: str, symbol: str, hours: int) -> OpenInterest:
    """Hourly open interest in coins and USD; cascades wash some of it out."""
    coin, path = coin_of(symbol), _path(seed, symbol, hours)
    rng = rng_of(seed, symbol, venue, "oi")
    normals = rng.standard_normal((hours, 3))
    level = math.log(coin.open_interest_usd * OI_SHARE[venue] / coin.price)
    slow = ar1(normals[:, 0], 24 * 12, 0.12) + ar1(normals[:, 1], 4, 0.004)
    washed = decayed(0.0014 * path.cascade, 24 * 4)  # positions closed by force come back slowly
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
        ts=hours_ms(hours),
        **coins,
        **ends,
        high_usd=np.maximum(ends["open_usd"], ends["close_usd"]),
        low_usd=np.minimum(ends["open_usd"], ends["close_usd"]),
    )


# metric -> (level, how much the shares move, how strongly they run against the price)
SHARE_LEVELS = {
    "global_account": (0.62, 0.035, 0.8),
    "top_account": (0.64, 0.030, 0.6),
    "top_position": (0.55, 0.020, 0.2),
}


@lru_cache(maxsize=128)
def shares_of(seed: int, venue: str, symbol: str, metric: str, hours: int) -> Shares:
    """Long shares, which run against the last day of the price."""
    level, sd, against = SHARE_LEVELS[metric]
    path = _path(seed, symbol, hours)
    rng = rng_of(seed, symbol, venue, metric)
    own = ar1(rng.standard_normal(hours), 24 * 3, sd)
    past = path.log_close - np.concatenate((np.full(24, path.log_close[0]), path.log_close))[:hours]
    share = np.clip(level + own - against * past, 0.30, 0.85)
    return Shares(hours_ms(hours), np.round(share, 4))


@lru_cache(maxsize=64)
def liquidations_of(seed: int, venue: str, symbol: str, hours: int) -> Liquidations:
    """Forced closures that follow the move: longs on falls, shorts on rises."""
    coin, path = coin_of(symbol), _path(seed, symbol, hours)
    # a stream each: the second draw of one stream would depend on how many hours the first took
    normals = rng_of(seed, symbol, venue, "liquidations").standard_normal((hours, 2))
    uniform = rng_of(seed, symbol, venue, "quiet").random((hours, 3))
    usual = 6.0e-5 * coin.open_interest_usd * OI_SHARE[venue]
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
    return Liquidations(hours_ms(hours)[keep], long[keep], short[keep])


@lru_cache(maxsize=4)
def fear_greed_of(seed: int, hours: int) -> FearGreed:
    """Mood of the market: its last 30 days of common returns, its volatility, and some noise."""
    days = -(-hours // 24)
    padded = days * 24
    factor, _ = _factor(seed, padded)
    drift = np.zeros(padded)
    for event in within(planned(seed, "*"), padded):
        if event.kind in ("TREND_UP", "TREND_DOWN"):
            drift[event.hour : event.end] += event.size * _FACTOR_SIGMA
        elif event.kind == "LIQUIDATION_CASCADE":
            drift[event.hour : event.end] += event.size / event.hours
    total = np.concatenate(([0.0], np.cumsum(factor + drift)))[: padded + 1 : 24]
    month_ago = np.concatenate((np.full(30, total[0]), total))[: len(total)]
    noise = ar1(rng_of(seed, "*", "mood").standard_normal(days), 6, 8.0)
    value = 50.0 + 110.0 * (total - month_ago)[:days] + noise
    ts = EPOCH_MS + np.arange(days, dtype=np.int64) * DAY_MS
    return FearGreed(ts, np.round(np.clip(value, 5.0, 95.0)))


# kind -> (level, how much it moves, how strongly it follows a day's return, posts per hour)
MOODS = {
    "social": (68.0, 5.0, 90.0, 900.0),
    "news": (58.0, 6.0, 60.0, 9.0),
    "trader": (55.0, 7.0, 130.0, 60.0),
}


@lru_cache(maxsize=64)
def mood_of(seed: int, symbol: str, kind: str, hours: int) -> Mood:
    """Hourly score and posts of one kind of talk."""
    level, sd, follows, posts_per_hour = MOODS[kind]
    path = _path(seed, symbol, hours)
    own = ar1(rng_of(seed, symbol, "mood", kind).standard_normal(hours), 18, sd)
    past = path.log_close - np.concatenate((np.full(24, path.log_close[0]), path.log_close))[:hours]
    noise = ar1(rng_of(seed, symbol, "talk", kind).standard_normal(hours), 6, 0.3)
    busy = (path.volume_usd / (coin_of(symbol).volume_usd + 1.0)) ** 0.6
    size = (coin_of(symbol).volume_usd / 1.0e8) ** 0.5
    posts = np.floor(posts_per_hour * size * busy * np.exp(noise))
    score = np.round(np.clip(level + own + follows * past, 1.0, 99.0))
    return Mood(hours_ms(hours), score, posts, np.floor(posts * (60.0 + 40.0 * np.exp(noise))))


_SLOTS = 6  # transfers that an hour can hold
_MOVED = (*COINS, "USDT", "USDC")
_EXCHANGE_NAMES = ("binance", "coinbase", "okx", "bybit", "kraken", "bitfinex")


@lru_cache(maxsize=4)
def transfers_of(seed: int, hours: int) -> Transfers:
    """Large transfers of the hour, in the order of their times."""
    draws = rng_of(seed, "*", "transfers").random((hours, _SLOTS, 7))
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
    for base in COINS:
        mine = coin == base
        price[mine] = np.exp(_path(seed, f"{base}/USDT", hours).log_close[hour[mine]])
    named = np.array(_EXCHANGE_NAMES)[(u[:, 4] * len(_EXCHANGE_NAMES)).astype(int)]
    other = np.array(_EXCHANGE_NAMES)[(u[:, 6] * len(_EXCHANGE_NAMES)).astype(int)]
    kind, nobody = u[:, 5], np.full(len(hour), "", dtype=named.dtype)
    inward = kind < 0.6 * lean[hour]
    outward = ~inward & (kind < 0.6)
    between = (kind >= 0.6) & (kind < 0.75)
    return Transfers(
        ts=EPOCH_MS + hour * HOUR_MS + second * 1000,
        number=hour.astype(np.int64) * 10 + slot,
        coin=coin,
        amount=np.round(usd / price, 4),
        usd=usd,
        sender=np.where(outward | between, named, nobody),
        receiver=np.where(inward, named, np.where(between, other, nobody)),
    )
