"""Random streams of the synthetic market, each by its own name, and the hours they run over.

Every random stream has its own generator named by seed, symbol and purpose, and starts at one fixed
instant (:data:`EPOCH`). So the value at an hour depends on seed, symbol and hour only, never on
where the tape starts or ends or on which other symbols it carries: a tape that is built again an
hour later, or for fewer symbols, tells the same history.

Belongs here: the epoch, generators named by seed and purpose, and the two filters that make a path of
shocks. Does not belong here: what a path stands for.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta

import numpy as np

from regime_pipeline.simulator.series import HOUR_MS

EPOCH = datetime(2019, 1, 7, tzinfo=UTC)  # a Monday
EPOCH_MS = int(EPOCH.timestamp() * 1000)
WEEK_HOURS = 168


def key(*parts: object) -> int:
    """The number that a name of several parts stands for, the same in every process."""
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big")


def hours_since_epoch(at: datetime) -> int:
    """Whole hours from the epoch to an instant."""
    return int((at - EPOCH) // timedelta(hours=1))


def ar1(shocks: np.ndarray, half_life: float, sd: float, *, start: float = 0.0) -> np.ndarray:
    """A mean-zero AR(1) path with stationary standard deviation ``sd``."""
    from scipy.signal import lfilter

    phi = 0.5 ** (1.0 / half_life)
    path, _ = lfilter([sd * math.sqrt(1.0 - phi * phi)], [1.0, -phi], shocks, zi=[phi * start])
    return path


def decayed(impulses: np.ndarray, half_life: float) -> np.ndarray:
    """Impulses that fade away with a half-life in hours."""
    from scipy.signal import lfilter

    return lfilter([1.0], [1.0, -(0.5 ** (1.0 / half_life))], impulses)


def rng_of(seed: int, *purpose: object) -> np.random.Generator:
    """The generator of one purpose in the world that the seed names."""
    return np.random.default_rng(key(seed, *purpose))


def hours_ms(hours: int) -> np.ndarray:
    """The first hours since the epoch, as epoch milliseconds."""
    return EPOCH_MS + np.arange(hours, dtype=np.int64) * HOUR_MS
