"""What is put into the synthetic market on purpose, and when.

Belongs here: the schedule of planted events, of the market and of each coin. Does not belong here: what
an event does to a price, a rate or a volume.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np

from regime_pipeline.simulator.draws import WEEK_HOURS, key

_SCHEDULE_DAYS = 365 * 20


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
class Planned:
    """One planted event in hours since the epoch; ``size`` and ``detail`` as its kind needs."""

    kind: str
    market_wide: bool
    hour: int
    hours: int
    size: float
    detail: float

    @property
    def end(self) -> int:
        """The first hour after it."""
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
def planned(seed: int, owner: str) -> tuple[Planned, ...]:
    """Every event of the market (owner ``*``) or of one coin, over twenty years."""
    events = []
    for kind, market_wide, days in _PLAN:
        if market_wide != (owner == "*"):
            continue
        rng = np.random.default_rng(key(seed, "plan", owner, kind))
        count = int(_SCHEDULE_DAYS / days * 1.6)
        gaps = days * 24.0 * rng.uniform(0.6, 1.4, count)
        gaps[0] *= rng.random()
        hours = np.cumsum(gaps).astype(np.int64)
        draws = rng.random((count, 4))
        for hour, draw in zip(hours.tolist(), draws.tolist(), strict=True):
            events.append(_shaped(kind, market_wide, hour, draw))
    return tuple(sorted(events, key=lambda e: (e.hour, e.kind)))


def spared(seed: int, symbol: str, event: Planned) -> bool:
    """Whether a coin that is decoupled at the time stays out of a move of the whole market."""
    if not event.market_wide or event.kind == "VOLATILITY_REGIME":
        return False
    return any(
        own.hour < event.end + WEEK_HOURS and event.hour < own.end + WEEK_HOURS
        for own in planned(seed, symbol)
        if own.kind == "CORRELATION_BREAK"
    )


def _shaped(kind: str, market_wide: bool, hour: int, draw: list[float]) -> Planned:
    if kind == "LIQUIDATION_CASCADE":
        squeeze = draw[3] < 0.2
        size = (0.05 + 0.07 * draw[0]) * (0.8 if squeeze else -1.0)
        return Planned(kind, market_wide, hour, 2 + int(3 * draw[1]), size, 28 + 22 * draw[2])
    if kind == "FUNDING_EXTREME":
        size = (0.0016 + 0.0014 * draw[0]) * (1.0 if draw[3] < 0.6 else -1.0)
        start = hour - hour % 8  # the epoch is a midnight: prints fall on multiples of 8
        return Planned(kind, market_wide, start, 8 * (3 + int(6 * draw[1])), size, 0.0)
    if kind == "VOLATILITY_REGIME":
        return Planned(kind, market_wide, hour, int(48 + 72 * draw[1]), 3.0 + 2.0 * draw[0], 0.0)
    if kind == "CORRELATION_BREAK":
        return Planned(kind, market_wide, hour, int(168 + 72 * draw[1]), 0.0, 0.0)
    up = draw[3] < 0.6
    size = (0.36 + 0.12 * draw[0]) * (1.0 if up else -1.0)
    kind = "TREND_UP" if up else "TREND_DOWN"
    return Planned(kind, market_wide, hour, int(144 + 96 * draw[1]), size, 0.0)


def within(events: Iterable[Planned], hours: int) -> list[Planned]:
    """The events that begin in the first hours."""
    return [e for e in events if e.hour < hours]
