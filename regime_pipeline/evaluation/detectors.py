"""The production detectors on a world: their own functions, and the events that the mapping makes.

Belongs here: calling them. Does not belong here: any rule of a detector; a copy of one would only
prove the copy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from regime_pipeline.alerts.events import LOOKBACK, market_events
from regime_pipeline.alerts.kinds import TYPES
from regime_pipeline.correlation.asset_correlations import correlations
from regime_pipeline.evaluation.scoring import alarm_table
from regime_pipeline.evaluation.worlds import World
from regime_pipeline.features.funding_anomalies import funding_prints
from regime_pipeline.features.liquidation_cascades import liquidation_cascades
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.regimes.timeframe_regimes import timeframe_regimes
from regime_pipeline.settings import Params
from regime_pipeline.windows import Window

Rows = dict[str, pd.DataFrame]
"""Derived tables by the names that ``alerts.events.market_events`` takes, and further ones."""

_HOUR = pd.Timedelta(hours=1)

ENDS = ("end", "calming")
"""Kinds of events that belong to an episode and begin none."""
DELIVERED_VOLATILITY = "VOLATILITY_REGIME_CHANGE/delivered"
"""What the default routing sends of the volatility events, all-clears aside: WARNING and CRITICAL."""

FLAGS = {
    DELIVERED_VOLATILITY: "the volatility events that are sent by default: WARNING and CRITICAL",
    "vol_regime_confirmed": "changes of the confirmed volatility regime, announced or not",
    "is_rise": "beginnings of a correlation rise of at least 0.3 with p under 0.05",
}
"""What is judged beside the six event types, and what it is."""


def cascade_rows(world: World, params: Params) -> Rows:
    """``features.liquidation_cascades`` of the world."""
    rows = liquidation_cascades(
        world.frames["liquidations_1h"],
        world.frames["open_interest"],
        grid=world.grid,
        params=params.cascades,
    )
    return {"liquidation_cascades": rows}


def funding_rows(world: World, params: Params) -> Rows:
    """``features.funding_prints`` of the world."""
    window = Window(world.grid.start, world.grid.end)
    rows = funding_prints(
        world.frames["funding"], window=window, symbols=world.grid.symbols, params=params.funding
    )
    return {"funding_prints": rows}


def volatility_rows(world: World, params: Params) -> Rows:
    """``features.volatility_regimes`` of the world."""
    rows = volatility_regimes(world.frames["candles_1h"], grid=world.grid, params=params.volatility)
    return {"volatility_regimes": rows}


def correlation_rows(world: World, params: Params) -> Rows:
    """``correlation.correlation_breaks`` and ``correlation.asset_correlations`` of the world."""
    pairs, breaks = correlations(
        world.frames["candles_1h"], grid=world.grid, params=params.correlation
    )
    return {"correlation_breaks": breaks, "asset_correlations": pairs}


def regime_rows(world: World, params: Params) -> Rows:
    """``regimes.timeframe_regimes`` of the world."""
    rows = timeframe_regimes(world.frames["candles_1h"], grid=world.grid, params=params.timeframes)
    return {"timeframe_regimes": rows}


FAMILIES: dict[str, Callable[[World, Params], Rows]] = {
    "cascades": cascade_rows,
    "funding": funding_rows,
    "volatility": volatility_rows,
    "correlation": correlation_rows,
    "regimes": regime_rows,
}


def events(rows: Rows) -> pd.DataFrame:
    """The market events that the derived tables announce."""
    names = {full.split(".")[1] for full in LOOKBACK}
    return market_events(**{name: frame for name, frame in rows.items() if name in names})


def announced(detector: str, rows: Rows, told: pd.DataFrame) -> pd.DataFrame:
    """Announcements of an event type, or of a flag, as a table for ``scoring.match``.

    Args:
        detector: an event type, or one of ``FLAGS``.
        rows: the derived tables.
        told: the events of the derived tables (``events``).

    Returns:
        Ends of episodes and all-clears are left out; escalations don't begin anything.
    """
    if detector == "vol_regime_confirmed":
        return changes(rows["volatility_regimes"], "vol_regime_confirmed")
    if detector == "is_rise":
        pairs = rows["asset_correlations"]
        flag = pairs["is_rise"].fillna(False).to_numpy(dtype=bool)
        return risings(pair_names(pairs), pairs["ts"], flag)
    mine = told[(told["event_type"] == detector.split("/")[0]) & (~told["kind"].isin(ENDS))]
    if detector == DELIVERED_VOLATILITY:
        severity, kind = mine["alert_severity"], mine["event_type"]
        sent = [TYPES[t].is_sent(s) for s, t in zip(severity, kind, strict=True)]
        mine = mine[np.array(sent, dtype=bool)]
    return alarm_table(
        mine["instrument"], mine["known_at"], mine["level"], mine["kind"] != "escalation"
    )


def changes(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Announcements of every change of a text column between two known neighbouring hours."""
    before = rows.groupby("symbol", sort=False)[[column, "ts"]].shift()
    next_hour = rows["ts"] - before["ts"] == _HOUR
    known = rows[column].notna() & before[column].notna()
    here = rows[next_hour & known & (rows[column] != before[column])]
    return alarm_table(here["symbol"], here["ts"] + _HOUR, here[column])


def risings(
    instrument: pd.Series,
    ts: pd.Series,
    flag: np.ndarray,
    level: np.ndarray | None = None,
) -> pd.DataFrame:
    """Announcements of the first row of every run of set flags of the same level.

    Args:
        instrument: of every row; the rows of one instrument lie together, by time.
        ts: hour of every row.
        flag: whether the row says something.
        level: what it says; a run ends where it changes.
    """
    names = instrument.to_numpy(dtype=object)
    goes_on = np.zeros(len(flag), bool)
    goes_on[1:] = flag[1:] & flag[:-1] & (names[1:] == names[:-1])
    if level is not None:
        goes_on[1:] &= level[1:] == level[:-1]
    here = flag & ~goes_on
    said = None if level is None else level[here]
    return alarm_table(
        names[here], ts.reset_index(drop=True)[here].reset_index(drop=True) + _HOUR, said
    )


def pair_names(pairs: pd.DataFrame) -> pd.Series:
    """Instruments of rows about two symbols, as events name them."""
    return pairs["symbol_a"].astype("str") + "|" + pairs["symbol_b"].astype("str")
