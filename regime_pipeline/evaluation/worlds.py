"""Made worlds whose truth is known: null worlds in which nothing happens, and planted ones.

Belongs here: drawing market tables and listing what was planted. Does not belong here: detecting or
counting anything. Every frame holds many independent symbols, so that one call of a detector judges
many symbol-days. Values are made up (``source_tier`` 9).

Null worlds are stationary: same distribution at every hour, no event. Planted worlds are a null world
with events of a stated size put in. What each world is, in one line, stands in ``evaluation.scenes``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.windows import Grid, hours_between, utc

Floats = npt.NDArray[np.float64]

START = utc("2022-01-03")
"""First hour of every world, a Monday."""
SUBSTEPS = 12
STEP = 0.0015
"""Standard scale of one of the twelve steps of a bar."""

TRUTH = ("instrument", "start", "first", "last", "settled", "levels")
"""Columns of a truth table, one row per planted event: when it begins, the first and the last instant
at which news of it is right, the instant from which news is false again, and the levels that are right
(a tuple; None takes any). Events of one instrument don't overlap."""


@dataclass(frozen=True)
class World:
    """Market tables, the rows to be judged, and what was planted.

    Attributes:
        grid: rows owed by the detector; the history it needs lies before.
        frames: market tables by name (``candles_1h``, ``liquidations_1h``, ``open_interest``,
            ``funding``).
        truth: columns ``TRUTH``; empty in a null world.
    """

    grid: Grid
    frames: Mapping[str, pd.DataFrame]
    truth: pd.DataFrame


def truth_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Planted events as a table with the columns ``TRUTH``, sorted by instrument and start."""
    frame = pd.DataFrame(list(rows), columns=list(TRUTH))
    for name in ("start", "first", "last", "settled"):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("us")
    return frame.sort_values(["instrument", "start"], ignore_index=True)


def symbols_of(count: int) -> tuple[str, ...]:
    """Names of made-up symbols, sorted."""
    return tuple(f"N{i:03d}/USDT" for i in range(count))


def _world(
    symbols: Sequence[str],
    warm_up_hours: int,
    hours: int,
    frames: Mapping[str, pd.DataFrame],
    planted: Sequence[Mapping[str, Any]] = (),
) -> World:
    """A world of ``hours`` that owes the rows after its warm-up."""
    grid = Grid(
        START + timedelta(hours=warm_up_hours), START + timedelta(hours=hours), tuple(symbols)
    )
    return World(grid, frames, truth_table(planted))


def _long(symbols: Sequence[str], rows: int, every_hours: int = 1) -> pd.DataFrame:
    """``symbol``, ``ts`` and ``source_tier`` of ``rows`` instants of each symbol, symbol by symbol."""
    stamps = hours_between(START, START + timedelta(hours=rows * every_hours))[::every_hours]
    return pd.DataFrame(
        {
            "symbol": pd.Series(symbols, dtype="str").repeat(rows).to_numpy(),
            "ts": stamps.take(np.tile(np.arange(rows), len(symbols))),
            "source_tier": 9,
        }
    )


# --- what happens when ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Spell:
    """A planted stretch ``[start, end)`` of hours of one symbol (by position) and a size."""

    symbol: int
    start: int
    end: int
    size: float


def spells(
    rng: np.random.Generator,
    width: int,
    window: tuple[int, int],
    *,
    every: float,
    length: tuple[int, int],
    size: tuple[float, float],
    signed: bool = False,
    step: int = 1,
) -> list[Spell]:
    """Stretches of random length and size, ``every`` hours on average, inside the window.

    Args:
        rng: source of all draws.
        width: number of symbols.
        window: first and last hour of the world in which a spell may lie.
        every: mean hours from one beginning to the next (between 0.7 and 1.3 of it).
        length: least and greatest length in hours.
        size: least and greatest size.
        signed: whether half of the spells get a negative size.
        step: starts and lengths are multiples of it.
    """
    out = []
    for symbol in range(width):
        at = window[0] + every * rng.uniform(0.0, 0.5)
        while True:
            start = -(-int(at) // step) * step
            end = start + int(rng.integers(length[0], length[1] + 1)) // step * step
            if end > window[1]:
                break
            sign = -1.0 if signed and rng.random() < 0.5 else 1.0
            out.append(Spell(symbol, start, end, sign * rng.uniform(*size)))
            at = start + every * rng.uniform(0.7, 1.3)
    return out


def _row(
    instrument: str,
    start: int,
    last: int,
    settled: int,
    levels: tuple[str, ...] | None,
    *,
    known_after: int = 1,
) -> dict[str, Any]:
    """A row of truth from hours since ``START``; a bar is known one hour after its open."""

    def at(hours: int) -> datetime:
        return START + timedelta(hours=hours)

    return {
        "instrument": instrument,
        "start": at(start),
        "first": at(start + known_after),
        "last": at(last),
        "settled": at(settled),
        "levels": levels,
    }


# --- prices ---------------------------------------------------------------------------------------


def bars_of(steps: Floats) -> dict[str, Floats]:
    """Open, high, low and close of a price that starts at 100.

    Args:
        steps: log returns, (bars, steps within a bar).
    """
    path = np.exp(np.cumsum(steps.reshape(-1))).reshape(steps.shape) * 100.0
    first = np.append(100.0, path[:-1, -1])
    corners = np.column_stack([first, path])
    return {
        "open": first,
        "high": corners.max(axis=1),
        "low": corners.min(axis=1),
        "close": path[:, -1],
    }


def walk_candles(
    rng: np.random.Generator,
    symbols: Sequence[str],
    start: datetime,
    hours: int,
    *,
    fat_tails: bool,
    scale: Floats | None = None,
    drift: Floats | None = None,
    volume: Floats | None = None,
) -> pd.DataFrame:
    """Spot bars of independent random walks: t4 (or normal) steps, twelve a bar.

    Volume is log-normal and knows nothing of the price.

    Args:
        rng: source of all draws.
        symbols: names, sorted.
        start: open of the first bar.
        hours: bars of each symbol.
        fat_tails: t4 steps instead of normal ones.
        scale: factor on the steps, (hours, symbols); default 1: constant volatility.
        drift: log return added to each bar, (hours, symbols); default 0: no direction.
        volume: factor on the volume, (hours, symbols); default 1.

    Returns:
        Columns of ``market.candles_1h`` that detectors read, sorted by symbol and ts.
    """
    stamps = hours_between(start, start + timedelta(hours=hours))
    parts = []
    for i, name in enumerate(symbols):
        size = (hours, SUBSTEPS)
        steps = (rng.standard_t(4, size) if fat_tails else rng.standard_normal(size)) * STEP
        if scale is not None:
            steps *= scale[:, i, None]
        if drift is not None:
            steps += drift[:, i, None] / SUBSTEPS
        traded = rng.lognormal(3.0, 0.7, size=hours)
        parts.append(
            pd.DataFrame(
                {
                    "market": "spot",
                    "symbol": pd.Series([name] * hours, dtype="str"),
                    "ts": stamps,
                    **bars_of(steps),
                    "volume_base": traded if volume is None else traded * volume[:, i],
                    "source_tier": 9,
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(volume_quote=frame["volume_base"] * frame["close"])


VOLATILITY_WARM_UP = 40 * 24


def constant_volatility(
    rng: np.random.Generator, width: int, days: int, *, fat_tails: bool
) -> World:
    """Walks of constant volatility."""
    symbols, hours = symbols_of(width), VOLATILITY_WARM_UP + days * 24
    candles = walk_candles(rng, symbols, START, hours, fat_tails=fat_tails)
    return _world(symbols, VOLATILITY_WARM_UP, hours, {"candles_1h": candles})


def volatility_spells(rng: np.random.Generator, width: int, days: int) -> World:
    """t4 walks whose volatility is 3 to 5 times as high for 2 to 5 days, every 45 days."""
    symbols, hours = symbols_of(width), VOLATILITY_WARM_UP + days * 24
    window = (VOLATILITY_WARM_UP + 24, hours - 48)
    planted = spells(rng, width, window, every=45 * 24, length=(48, 120), size=(3.0, 5.0))
    scale = np.ones((hours, width))
    for s in planted:
        scale[s.start : s.end, s.symbol] = s.size
    candles = walk_candles(rng, symbols, START, hours, fat_tails=True, scale=scale)
    rows = [
        _row(symbols[s.symbol], s.start, s.end, s.end + 48, ("EXPLOSIVE", "EXTREME"))
        for s in planted
    ]
    return _world(symbols, VOLATILITY_WARM_UP, hours, {"candles_1h": candles}, rows)


REGIME_WARM_UP = 48 * 168


def directionless(rng: np.random.Generator, width: int, weeks: int) -> World:
    """t4 walks without direction, long enough for weekly labels."""
    symbols, hours = symbols_of(width), REGIME_WARM_UP + weeks * 168
    candles = walk_candles(rng, symbols, START, hours, fat_tails=True)
    return _world(symbols, REGIME_WARM_UP, hours, {"candles_1h": candles})


def trends(rng: np.random.Generator, width: int, weeks: int) -> World:
    """t4 walks that drift by 0.35 to 0.5 hourly sd for 7 to 10 days, every 50 days, twice the volume."""
    symbols, hours = symbols_of(width), REGIME_WARM_UP + weeks * 168
    window = (REGIME_WARM_UP + 24, hours - 72)
    planted = spells(
        rng, width, window, every=50 * 24, length=(168, 240), size=(0.35, 0.5), signed=True
    )
    hourly_sd = STEP * np.sqrt(SUBSTEPS * 2.0)  # the variance of t4 is 2
    drift, volume = np.zeros((hours, width)), np.ones((hours, width))
    for s in planted:
        drift[s.start : s.end, s.symbol] = s.size * hourly_sd
        volume[s.start : s.end, s.symbol] = 2.0
    candles = walk_candles(rng, symbols, START, hours, fat_tails=True, drift=drift, volume=volume)
    rows = [
        _row(
            symbols[s.symbol],
            s.start,
            s.end,
            s.end + 72,
            ("SPOT_IGNITION" if s.size > 0 else "SPOT_COOLING",),
        )
        for s in planted
    ]
    return _world(symbols, REGIME_WARM_UP, hours, {"candles_1h": candles}, rows)


# --- correlations ---------------------------------------------------------------------------------

CORRELATION_WARM_UP = 302 * 24
UNIVERSE = 8
"""Symbols of one world of correlations: the false-discovery rate is controlled over its pairs."""


def _closes(symbols: Sequence[str], returns: Floats) -> pd.DataFrame:
    return _long(symbols, len(returns)).assign(
        market="spot", close=100.0 * np.exp(np.cumsum(returns, axis=0)).T.reshape(-1)
    )


def _one_factor(rng: np.random.Generator, hours: int, rho: float) -> tuple[Floats, Floats]:
    """Common and own parts of t5 returns in which every pair correlates by ``rho``."""
    common = np.sqrt(rho) * rng.standard_t(5, size=(hours, 1))
    own = np.sqrt(1.0 - rho) * rng.standard_t(5, size=(hours, UNIVERSE))
    return common, own


def constant_correlation(rng: np.random.Generator, days: int, *, rho: float) -> World:
    """Eight symbols, one factor, t5 returns, every pair correlated by ``rho`` at all times."""
    symbols, hours = symbols_of(UNIVERSE), CORRELATION_WARM_UP + days * 24
    common, own = _one_factor(rng, hours, rho)
    candles = _closes(symbols, 0.004 * (common + own))
    return _world(symbols, CORRELATION_WARM_UP, hours, {"candles_1h": candles})


def decouplings(rng: np.random.Generator, days: int, *, rho: float) -> World:
    """Constant correlation, but every 60 days one symbol's falls to a third of it for ten days."""
    symbols, hours = symbols_of(UNIVERSE), CORRELATION_WARM_UP + days * 24
    common, own = _one_factor(rng, hours, rho)
    window = (CORRELATION_WARM_UP + 24, hours - 240)
    planted = spells(rng, 1, window, every=60 * 24, length=(240, 240), size=(1.0, 1.0))
    returns = common + own
    rows = []
    for s in planted:
        who = int(rng.integers(UNIVERSE))
        span = slice(s.start, s.end)
        returns[span, who] = common[span, 0] / 3.0 + own[span, who] * np.sqrt(
            (1.0 - rho / 9.0) / (1.0 - rho)
        )
        for a, b in combinations(range(UNIVERSE), 2):
            if who in (a, b):
                pair = f"{symbols[a]}|{symbols[b]}"
                rows.append(_row(pair, s.start, s.end + 72, s.end + 240, None))
    candles = _closes(symbols, 0.004 * returns)
    return _world(symbols, CORRELATION_WARM_UP, hours, {"candles_1h": candles}, rows)


# --- liquidations ---------------------------------------------------------------------------------

CASCADE_WARM_UP = 32 * 24
LOG_SD = 1.2
"""Of the natural logarithm of an hour's liquidations: its p99 is 16 times the median."""


def _liquidations(
    symbols: Sequence[str], total: Floats, long_share: Floats, open_interest_usd: float
) -> dict[str, pd.DataFrame]:
    base = _long(symbols, len(total))
    flat, longs = total.T.reshape(-1), (total * long_share).T.reshape(-1)
    return {
        "liquidations_1h": base.assign(
            total_liquidation_usd=flat,
            long_liquidations_usd=longs,
            short_liquidations_usd=flat - longs,
            coverage=1.0,
            is_lower_bound=False,
        ),
        "open_interest": base.assign(open_interest_usd=open_interest_usd),
    }


def _log_amounts(
    rng: np.random.Generator, hours: int, width: int, median: tuple[float, float], half_life: float
) -> tuple[Floats, Floats]:
    """Log-normal hourly amounts (USD) and the medians of the symbols; half-life 0: independent."""
    medians = np.exp(rng.uniform(np.log(median[0]), np.log(median[1]), size=width))
    shocks = rng.standard_normal((hours, width))
    noise = shocks if half_life == 0.0 else ar1(shocks, 0.5 ** (1.0 / half_life))
    return medians * np.exp(LOG_SD * noise), medians


def ar1(shocks: Floats, phi: float) -> Floats:
    """A stationary AR(1) path of the same standard deviation as its shocks, along axis 0."""
    from scipy.signal import lfilter

    start = shocks[:1]
    rest, _ = lfilter([np.sqrt(1.0 - phi * phi)], [1.0, -phi], shocks[1:], axis=0, zi=phi * start)
    return np.concatenate([start, rest])


def steady_liquidations(
    rng: np.random.Generator, width: int, days: int, *, half_life: float
) -> World:
    """Stationary log-normal liquidations, medians 0.1 to 1 million USD an hour."""
    symbols, hours = symbols_of(width), CASCADE_WARM_UP + days * 24
    total, _ = _log_amounts(rng, hours, width, (1e5, 1e6), half_life)
    share = rng.beta(4.0, 4.0, size=total.shape)
    frames = _liquidations(symbols, total, share, 1e9)
    return _world(symbols, CASCADE_WARM_UP, hours, frames)


def bursts(rng: np.random.Generator, width: int, days: int) -> World:
    """Coins of all sizes; 2 to 4 hours of 40 to 120 times the coin's median, every 15 days."""
    symbols, hours = symbols_of(width), CASCADE_WARM_UP + days * 24
    total, medians = _log_amounts(rng, hours, width, (2e4, 1e6), 0.0)
    share = rng.beta(4.0, 4.0, size=total.shape)
    window = (CASCADE_WARM_UP + 24, hours - 24)
    planted = spells(
        rng, width, window, every=15 * 24, length=(2, 4), size=(40.0, 120.0), signed=True
    )
    for s in planted:
        fading = abs(s.size) * 0.8 ** np.arange(s.end - s.start)
        total[s.start : s.end, s.symbol] = medians[s.symbol] * fading
        share[s.start : s.end, s.symbol] = 0.9 if s.size > 0 else 0.1
    rows = [_row(symbols[s.symbol], s.start, s.end, s.end + 6, None) for s in planted]
    frames = _liquidations(symbols, total, share, 1e9)
    return _world(symbols, CASCADE_WARM_UP, hours, frames, rows)


# --- funding --------------------------------------------------------------------------------------

FUNDING_WARM_UP = 40 * 24
RATE_MEAN, RATE_SD, RATE_PHI = 1e-4, 1e-4, 0.8
"""Of the 8 h rate; its sd is twice the detector's scale floor."""
PRINT_HOURS = 8


def _prints(symbols: Sequence[str], rate: Floats) -> pd.DataFrame:
    flat = rate.T.reshape(-1)
    return (
        _long(symbols, len(rate), PRINT_HOURS)
        .assign(
            funding_rate=flat, interval_hours=PRINT_HOURS, rate_8h=flat, rate_annual=flat * 1095.0
        )
        .astype({"interval_hours": "Int64", "source_tier": "Int64"})
    )


def _rates(rng: np.random.Generator, count: int, width: int) -> Floats:
    shocks = rng.standard_t(4, size=(count, width)) / np.sqrt(2.0)
    return RATE_MEAN + RATE_SD * ar1(shocks, RATE_PHI)


def _funding_size(days: int) -> tuple[int, int]:
    hours = FUNDING_WARM_UP + days * 24
    return hours, hours // PRINT_HOURS


def steady_funding(rng: np.random.Generator, width: int, days: int) -> World:
    """AR(1) rates of constant mean and sd, t4 shocks, half-life one day."""
    symbols, (hours, count) = symbols_of(width), _funding_size(days)
    frames = {"funding": _prints(symbols, _rates(rng, count, width))}
    return _world(symbols, FUNDING_WARM_UP, hours, frames)


def clamped_funding(rng: np.random.Generator, width: int, days: int) -> World:
    """Rates by the venues' rule, premium + clamp(0.01 % - premium, 0.05 %), AR(1) premium.

    Nine prints of ten are exactly 0.01 %.
    """
    symbols, (hours, count) = symbols_of(width), _funding_size(days)
    premium = 1e-4 + 3e-4 * ar1(rng.standard_normal((count, width)), RATE_PHI)
    rate = premium + np.clip(1e-4 - premium, -5e-4, 5e-4)
    frames = {"funding": _prints(symbols, np.where(np.abs(rate - 1e-4) < 1e-12, 1e-4, rate))}
    return _world(symbols, FUNDING_WARM_UP, hours, frames)


def _excursions(rng: np.random.Generator, width: int, until: int) -> list[Spell]:
    """Stretches of 3 to 9 prints every 30 days, 5 to 10 sd off on either side."""
    return spells(
        rng, width, (FUNDING_WARM_UP + 24, until), every=30 * 24,
        length=(3 * PRINT_HOURS, 9 * PRINT_HOURS), size=(5.0, 10.0), signed=True, step=PRINT_HOURS,
    )  # fmt: skip


def funding_excursions(rng: np.random.Generator, width: int, days: int) -> World:
    """Steady funding that is 5 to 10 sd off for 3 to 9 prints, either side, every 30 days."""
    symbols, (hours, count) = symbols_of(width), _funding_size(days)
    rate = _rates(rng, count, width)
    planted = _excursions(rng, width, hours - 72)
    rows = []
    for s in planted:
        rate[s.start // PRINT_HOURS : s.end // PRINT_HOURS, s.symbol] += s.size * RATE_SD
        levels = ("HIGH", "EXTREME_HIGH") if s.size > 0 else ("LOW", "EXTREME_LOW")
        name = symbols[s.symbol]
        rows.append(_row(name, s.start, s.end - 1, s.end + 48, levels, known_after=0))
    frames = {"funding": _prints(symbols, rate)}
    return _world(symbols, FUNDING_WARM_UP, hours, frames, rows)


def funding_swings(rng: np.random.Generator, width: int, days: int) -> World:
    """Excursions of which every other one swings to the other side for a day and the rest fade.

    Only the swings are reversals: right news comes within a day of the first print on the other side.
    """
    symbols, (hours, count) = symbols_of(width), _funding_size(days)
    rate = _rates(rng, count, width)
    planted = _excursions(rng, width, hours - 120)
    rows = []
    for s in planted:
        begin, end = s.start // PRINT_HOURS, s.end // PRINT_HOURS
        rate[begin:end, s.symbol] += s.size * RATE_SD
        if rng.random() < 0.5:
            rate[end : end + 3, s.symbol] -= np.sign(s.size) * 4.0 * RATE_SD
            rows.append(_row(symbols[s.symbol], s.end, s.end + 23, s.end + 72, None, known_after=0))
        else:
            fading = s.size * RATE_SD * 0.6 ** np.arange(1, 10)
            rate[end : end + 9, s.symbol] += fading
    frames = {"funding": _prints(symbols, rate)}
    return _world(symbols, FUNDING_WARM_UP, hours, frames, rows)
