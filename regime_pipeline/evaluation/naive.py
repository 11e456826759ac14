"""The legacy rules, as they were written: what the detectors are measured against.

Belongs here: one function per event type, the same signature for all: the world and the rows that our
detector made of it in, announcements out. Where a rule leaves something open it gets the reading
that suits it best, and a run of hours that say the same counts once, as ours does. Does not belong
here: anything that production uses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.fields.regimes import FRAMES, LABELS
from regime_pipeline.evaluation.detectors import (
    DELIVERED_VOLATILITY,
    Rows,
    changes,
    pair_names,
    risings,
)
from regime_pipeline.evaluation.scoring import alarm_table
from regime_pipeline.evaluation.worlds import World
from regime_pipeline.numerics.panel import to_panel
from regime_pipeline.windows import Grid

Floats = npt.NDArray[np.float64]

THRESHOLD_USD = 500_000.0
MONTH, WEEK = 720, 168
Z = 2.0
DROP = 0.5
AGREE = 3


def cascades(_world: World, rows: Rows) -> pd.DataFrame:
    """An hour of at least USD 500,000, whatever the coin."""
    own = rows["liquidation_cascades"]
    large = own["total_liquidation_usd"].to_numpy(dtype="float64", na_value=np.nan)
    return risings(own["symbol"], own["ts"], large >= THRESHOLD_USD)


def funding(world: World, _rows: Rows) -> pd.DataFrame:
    """|z| above 2 of the rate carried forward to hours, in a month that holds the current hour."""
    grid = world.grid
    prints = world.frames["funding"]
    wide = Grid(prints["ts"].min().to_pydatetime(), grid.end, grid.symbols)
    rate = pd.DataFrame(to_panel(prints, wide, ["rate_8h"])["rate_8h"]).ffill()
    rolled = rate.rolling(MONTH, min_periods=MONTH // 2)
    mean, sd = rolled.mean().to_numpy(), rolled.std().to_numpy()
    values = rate.to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(sd > 1e-9, (values - mean) / sd, np.nan)
    level = np.where(z > Z, "HIGH", "LOW").astype(object)
    return _risings(wide, np.abs(z) > Z, level, known_after=0)


def reversals(world: World, _rows: Rows) -> pd.DataFrame:
    """The funding rate changes its sign from one print to the next."""
    prints = world.frames["funding"]
    sign = np.sign(prints["rate_8h"].to_numpy(dtype="float64"))
    names = prints["symbol"].to_numpy(dtype=object)
    turned = np.zeros(len(prints), bool)
    turned[1:] = (names[1:] == names[:-1]) & (sign[1:] * sign[:-1] < 0.0)
    return alarm_table(names[turned], prints["ts"].to_numpy()[turned]).assign(
        known_at=lambda f: pd.to_datetime(f["known_at"], utc=True).dt.as_unit("us")
    )


def volatility(_world: World, rows: Rows) -> pd.DataFrame:
    """Every crossing of the borders 1, 1.5, 2.5 by the close-to-close ratio."""
    return changes(rows["volatility_regimes"], "vol_regime")


def large_volatility(world: World, rows: Rows) -> pd.DataFrame:
    """Crossings of those borders that end in EXPLOSIVE or EXTREME."""
    every = volatility(world, rows)
    return every[every["level"].isin(["EXPLOSIVE", "EXTREME"])].reset_index(drop=True)


def correlation(world: World, rows: Rows) -> pd.DataFrame:
    """A fall by more than half of the 7 d correlation against the 30 d that hold those 7 d."""
    pairs = rows["asset_correlations"]
    now = pairs["corr_7d"].to_numpy(dtype="float64", na_value=np.nan)
    month = month_correlations(world)
    with np.errstate(invalid="ignore", divide="ignore"):
        fell = (month - now) / np.abs(month) > DROP
    return risings(pair_names(pairs), pairs["ts"], fell)


def month_correlations(world: World) -> Floats:
    """Pearson correlation over the last 30 days of every pair and hour of the grid, flattened."""
    grid = world.grid
    candles = world.frames["candles_1h"]
    wide = Grid(candles["ts"].min().to_pydatetime(), grid.end, grid.symbols)
    close = to_panel(candles, wide, ["close"])["close"]
    returns = np.diff(np.log(close), axis=0, prepend=np.nan)[-(len(grid.hours) + MONTH) :]
    sums = _rolling_sum(returns)
    squares = _rolling_sum(returns * returns)
    variance = squares - sums * sums / MONTH
    first, second = np.triu_indices(len(grid.symbols), k=1)
    cross = _rolling_sum(returns[:, first] * returns[:, second])
    covariance = cross - sums[:, first] * sums[:, second] / MONTH
    rho = covariance / np.sqrt(variance[:, first] * variance[:, second])
    return np.ascontiguousarray(rho.T).reshape(-1)


def _rolling_sum(x: Floats) -> Floats:
    total = np.cumsum(x, axis=0)
    return total[MONTH:] - total[:-MONTH]


def regimes(_world: World, rows: Rows) -> pd.DataFrame:
    """Three frames with one label, NEUTRAL counted like any other."""
    own = rows["timeframe_regimes"]
    labels = np.stack([own[f"regime_{f}"].to_numpy(dtype=object) for f in FRAMES])
    counts = np.stack([(labels == label).sum(axis=0) for label in LABELS])
    level = np.array(LABELS, dtype=object)[counts.argmax(axis=0)]
    return risings(own["symbol"], own["ts"], counts.max(axis=0) >= AGREE, level)


def _risings(
    grid: Grid, flag: npt.NDArray[np.bool_], level: npt.NDArray[np.object_], *, known_after: int
) -> pd.DataFrame:
    """``risings`` of panels of hours x symbols."""
    hours, width = flag.shape
    names = pd.Series(grid.symbols, dtype="str").repeat(hours)
    ts = pd.Series(grid.hours.take(np.tile(np.arange(hours), width)))
    found = risings(names, ts, flag.T.reshape(-1), level.T.reshape(-1))
    return found.assign(known_at=found["known_at"] - pd.Timedelta(hours=1 - known_after))


NAIVE: dict[str, Callable[[World, Rows], pd.DataFrame]] = {
    "LIQUIDATION_CASCADE": cascades,
    "FUNDING_ANOMALY": funding,
    "FUNDING_REVERSAL": reversals,
    "VOLATILITY_REGIME_CHANGE": volatility,
    DELIVERED_VOLATILITY: large_volatility,
    "CORRELATION_BREAK": correlation,
    "REGIME_CONFIRMED": regimes,
    "vol_regime_confirmed": volatility,
}
"""By detector; a flag without a legacy rule has no naive version."""
