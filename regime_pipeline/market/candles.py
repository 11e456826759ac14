"""Candles: the one 1h series per market and symbol, and the longer bars made from it.

Belongs here: choosing the configured venue, laying rows on the full hourly grid, which hours belong to no
living market, 4h / 1d / 1w bars.
Does not belong here: fetching, judging a provider's numbers (the raw contract did), any statistic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from regime_pipeline.catalogue.derivation import Given, derives, reads
from regime_pipeline.catalogue.fields.common import NOT_APPLICABLE
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.model import Table
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    from_panel,
    grid_length,
    grid_start_us,
    take_codes,
    to_panel,
)
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "candles/2"
RESAMPLE_METHOD = "candles_resampled/1"

CLOSES = ("market", "symbol", "ts", "close", "source_tier")
"""All that readers of closes look at; over a long lookback the other columns cost three quarters."""

_PRICES = ("open", "high", "low", "close")
_VALUES = (*_PRICES, "volume_base", "volume_quote", "taker_buy_base", "trade_count")

HALT_H, HALT_MIN = 24, 20
"""Hours without a trade and without a move after which a market is halted, and how many must be seen."""
HALTED = "halted"
"""Reason of the rows of a halted market; their status is ``not_applicable``."""

FRAME_HOURS: dict[str, int] = {"1h": 1, "4h": 4, "1d": 24, "1w": 168}
"""Length of every timeframe in hours."""
FRAME_MINIMUM: dict[str, int] = {"1h": 1, "4h": 3, "1d": 20, "1w": 152}
"""Children a bar needs; with fewer it is null."""
_MONDAY = 96
"""Hours from 1970-01-01 (a Thursday) to the first Monday 00:00 UTC."""


@derives(
    "market.candles_1h",
    raw_candles=reads("raw.candles", "24h", where={"timeframe": "1h", "venue": Given("venues")}),
    venues="candle_venues",
)
def candles_1h(
    raw_candles: pd.DataFrame, *, grid: Grid, venues: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """The full grid of hourly bars, each market and symbol from its one configured venue.

    Never filled: an hour without a row is a row of nulls, status ``missing``, reason
    ``no_observation``; zero volume in an observed hour is data. Where several providers report the
    same venue and hour, the row of the lowest ``source_tier`` stands, then of the first provider by
    name. A symbol without a configured venue is ``not_applicable``.

    A delisted or halted contract goes on answering, with flat bars. From the 24th hour without a trade
    and without a move on (at least 20 of the 24 seen), until it trades again, its rows are nulls,
    ``not_applicable``, reason ``halted``; only the tier of what was seen stays (see :func:`halted`).

    Args:
        raw_candles: rows of ``raw.candles`` with a day before the grid; other timeframes, venues and
            hours are ignored.
        grid: hours and symbols owed.
        venues: market -> symbol -> venue.

    Returns:
        The content columns of ``market.candles_1h``, sorted by key.
    """
    spec = table("market.candles_1h")
    hourly = raw_candles[raw_candles["timeframe"] == "1h"]
    parts = [_one_market(hourly, grid, m, venues[m]) for m in sorted(venues)]
    if not parts:
        raise ValueError("no market is configured; venues is empty")
    long = pd.concat(parts, ignore_index=True)
    return conform(long, spec)[list(spec.content)]


def _one_market(
    raw: pd.DataFrame, grid: Grid, market: str, venue_of: Mapping[str, str]
) -> pd.DataFrame:
    wanted = raw["symbol"].map(dict(venue_of)).eq(raw["venue"]) & raw["market"].eq(market)
    rows = raw[wanted]
    if rows.duplicated(["symbol", "ts"]).any():
        rows = rows.sort_values(["source_tier", "source"], kind="stable")
        rows = rows.drop_duplicates(["symbol", "ts"], keep="first")
    wide = to_panel(rows, grid.widened(timedelta(hours=HALT_H)), [*_VALUES, "source_tier"])
    dead = _dead(wide)
    panels = {name: panel[HALT_H:] for name, panel in wide.items()}
    panels |= {name: np.where(dead, np.nan, panels[name]) for name in _VALUES}
    length = grid_length(grid)
    observed = np.isfinite(panels["close"])
    wired = np.tile([s in venue_of for s in grid.symbols], (length, 1))
    no_volume = observed & ~np.isfinite(panels["volume_base"])
    venue = np.array([venue_of.get(s) for s in grid.symbols], dtype=object)
    cases = [
        (~wired, NOT_APPLICABLE, "no_venue"),
        (dead, NOT_APPLICABLE, HALTED),
        (~observed, "missing", "no_observation"),
        (no_volume, "partial", "no_volume"),
    ]
    which = np.select([case[0] for case in cases], range(len(cases)), -1)
    status = np.where(which < 0, "ok", take_codes(which, [case[1] for case in cases]))
    reason = take_codes(which, [case[2] for case in cases])
    out = from_panel(
        grid,
        {
            "venue": np.tile(venue, (length, 1)),
            **{name: panels[name] for name in _VALUES},
            "status": status,
            "reason": reason,
            "source_tier": panels["source_tier"],
        },
    )
    return out.assign(market=market, method_version=method_version(METHOD))


def _dead(panels: Mapping[str, FloatPanel]) -> npt.NDArray[np.bool_]:
    """Hours of a market that has neither traded nor moved for a day; a day of rows is before them."""
    close = panels["close"]
    seen = np.isfinite(close)
    flat = seen & (panels["volume_base"] == 0.0)
    for name in ("open", "high", "low"):
        flat &= panels[name] == close

    def day(panel: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return sliding_window_view(panel, HALT_H, axis=0)[1:]

    lowest = day(np.where(seen, close, np.inf)).min(axis=-1)
    highest = day(np.where(seen, close, -np.inf)).max(axis=-1)
    known = day(seen).sum(axis=-1)
    still = (day(flat).sum(axis=-1) == known) & (lowest == highest)
    return still & (known >= HALT_MIN) & seen[HALT_H:]


def halted(panels: Mapping[str, FloatPanel]) -> npt.NDArray[np.bool_]:
    """Hours in which a market is halted: a bar was seen, so there is a tier, and does not count.

    Args:
        panels: ``close`` and ``source_tier`` of ``market.candles_1h``.
    """
    return np.isnan(panels["close"]) & np.isfinite(panels["source_tier"])


def close_halted(rows: pd.DataFrame, halt: npt.NDArray[np.bool_], spec: Table) -> pd.DataFrame:
    """Derived rows whose market is halted have no values: ``not_applicable``, reason ``halted``.

    Args:
        rows: rows of the table, symbol by symbol, in the order of ``from_panel``.
        halt: the hours, hours x symbols.
        spec: the table.
    """
    here = halt.T.reshape(-1)
    if not here.any():
        return rows
    kept = {*spec.key, *spec.required, "reason"}
    values = [c for c in spec.content if c in rows and c not in kept]
    rows = rows.assign(**{name: rows[name].mask(here) for name in values})
    return rows.assign(
        status=rows["status"].mask(here, NOT_APPLICABLE), reason=rows["reason"].mask(here, HALTED)
    )


@dataclass(frozen=True)
class Bars:
    """Bars of one timeframe as panels (bars x symbols), oldest first; below the minimum all NaN.

    ``first`` is the first bar's open in hours since 1970, ``children`` counts the 1h bars present,
    ``is_filled`` says that the close is not the last child's. Volumes are scaled by full / present.
    """

    timeframe: str
    first: int
    open: FloatPanel
    high: FloatPanel
    low: FloatPanel
    close: FloatPanel
    volume_base: FloatPanel
    volume_quote: FloatPanel
    source_tier: FloatPanel
    children: npt.NDArray[np.int64]
    is_filled: npt.NDArray[np.bool_]

    @property
    def hours(self) -> int:
        """Length of one bar in hours."""
        return FRAME_HOURS[self.timeframe]


BAR_INPUTS = (*_PRICES, "volume_base", "volume_quote", "source_tier")


def bar_floor(hour: int, timeframe: str) -> int:
    """Open of the bar that holds an hour, both in hours since 1970."""
    length = FRAME_HOURS[timeframe]
    shift = _MONDAY if timeframe == "1w" else 0
    return (hour - shift) // length * length + shift


def make_bars(panels: Mapping[str, FloatPanel], first_hour: int, timeframe: str) -> Bars:
    """The bars that lie wholly inside hourly panels.

    A bar stands with at least 3 of 4, 20 of 24, 152 of 168 children. Its open is the first observed
    child's, its close the last observed child's. Sums run over whole blocks in time order, so that
    they do not depend on the number of columns or on where the panels start.

    Args:
        panels: hours x symbols for every name in ``BAR_INPUTS``.
        first_hour: hours since 1970 of the panels' first row.
        timeframe: ``1h``, ``4h``, ``1d`` or ``1w``.
    """
    length = FRAME_HOURS[timeframe]
    rows, width = panels["close"].shape
    start = bar_floor(first_hour + length - 1, timeframe)
    skip = start - first_hour
    count = max(0, (rows - skip) // length)
    blocks = {
        name: panels[name][skip : skip + count * length].reshape(count, length, width)
        for name in BAR_INPUTS
    }
    if length == 1:
        seen = np.isfinite(blocks["close"][:, 0])
        return Bars(
            timeframe=timeframe,
            first=start,
            **{name: block[:, 0] for name, block in blocks.items()},
            children=seen.astype(np.int64),
            is_filled=np.zeros_like(seen),
        )
    seen = np.isfinite(blocks["close"])
    children = seen.sum(axis=1)
    valid = children >= FRAME_MINIMUM[timeframe]
    out = _reduce(blocks, seen, valid, length)
    for name in ("volume_base", "volume_quote"):
        out[name] = _scaled_sum(blocks[name], valid, FRAME_MINIMUM[timeframe])
    return Bars(
        timeframe=timeframe,
        first=start,
        **out,
        children=children,
        is_filled=valid & ~seen[:, -1],
    )


def _reduce(
    blocks: Mapping[str, FloatPanel],
    seen: npt.NDArray[np.bool_],
    valid: npt.NDArray[np.bool_],
    length: int,
) -> dict[str, FloatPanel]:
    def pick(name: str, at: npt.NDArray[np.int64]) -> FloatPanel:
        return np.take_along_axis(blocks[name], at[:, None, :], axis=1)[:, 0]

    earliest = seen.argmax(axis=1)
    latest = length - 1 - seen[:, ::-1].argmax(axis=1)
    tiers = np.where(np.isfinite(blocks["source_tier"]), blocks["source_tier"], -np.inf)
    worst = tiers.max(axis=1, initial=-np.inf)
    out = {
        "open": pick("open", earliest),
        "close": pick("close", latest),
        "high": np.where(seen, blocks["high"], -np.inf).max(axis=1, initial=-np.inf),
        "low": np.where(seen, blocks["low"], np.inf).min(axis=1, initial=np.inf),
        "source_tier": np.where(np.isfinite(worst), worst, np.nan),
    }
    return {name: np.where(valid, panel, np.nan) for name, panel in out.items()}


def _scaled_sum(block: FloatPanel, valid: npt.NDArray[np.bool_], minimum: int) -> FloatPanel:
    counts = np.isfinite(block)
    present = counts.sum(axis=1)
    total = np.zeros(valid.shape)
    for child in range(block.shape[1]):
        total = total + np.where(counts[:, child], block[:, child], 0.0)
    usable = valid & (present >= minimum)
    scale = block.shape[1] / np.maximum(present, 1)
    return np.where(usable, total * scale, np.nan)


@derives("market.candles_resampled", candles_1h=reads("market.candles_1h", "1w"))
def resample(
    candles_1h: pd.DataFrame,
    *,
    grid: Grid,
    timeframes: Sequence[str] = ("4h", "1d", "1w"),
) -> pd.DataFrame:
    """4h, 1d and 1w bars whose last hour lies in the grid, for every market of the frame.

    ``ts`` is the open of the bar's last 1h slot, the first row that may use the bar; ``bar_open`` its
    start. Days start at 00:00 UTC, weeks on Monday. A bar with all children is ``ok``, with enough of
    them ``partial`` (its volume scaled by full / present), else its values are null.

    Args:
        candles_1h: rows of ``market.candles_1h`` from one week before ``grid.start``.
        grid: hours and symbols owed.
        timeframes: which bars to make.

    Returns:
        The content columns of ``market.candles_resampled``, sorted by key.
    """
    spec = table("market.candles_resampled")
    wide = grid.widened(timedelta(weeks=1))
    parts: list[pd.DataFrame] = []
    for market in sorted(candles_1h["market"].unique()):
        frame = candles_1h[candles_1h["market"] == market]
        panels = to_panel(frame, wide, BAR_INPUTS)
        for timeframe in timeframes:
            bars = make_bars(panels, grid_start_us(wide) // HOUR_US, timeframe)
            parts.append(_long(bars, grid).assign(market=market))
    parts = [p for p in parts if len(p)]
    if not parts:
        return pd.DataFrame(conform(_no_rows(spec.content), spec)[list(spec.content)])
    long = conform(pd.concat(parts, ignore_index=True), spec)[list(spec.content)]
    return long.sort_values(list(spec.key), ignore_index=True)


def _no_rows(columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})


def _long(bars: Bars, grid: Grid) -> pd.DataFrame:
    start = grid_start_us(grid) // HOUR_US
    opens = bars.first + bars.hours * np.arange(len(bars.close))
    stamps = opens + bars.hours - 1
    owed = (stamps >= start) & (stamps < start + grid_length(grid))
    count, width = int(owed.sum()), len(grid.symbols)

    def flat(panel: npt.NDArray) -> npt.NDArray:
        return panel[owed].T.reshape(-1)

    def hours(values: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
        micro = np.tile(values[owed] * HOUR_US, width).astype("datetime64[us]")
        return pd.DatetimeIndex(micro).tz_localize("UTC")

    children = flat(bars.children)
    minimum = FRAME_MINIMUM[bars.timeframe]
    cases = [children == 0, children < minimum, children < bars.hours]
    reason = np.select(cases, ["no_observation", "too_few_children", "children_missing"], "")
    return pd.DataFrame(
        {
            "symbol": np.repeat(np.array(grid.symbols, dtype=object), count),
            "timeframe": bars.timeframe,
            "ts": hours(stamps),
            "bar_open": hours(opens),
            **{name: flat(getattr(bars, name)) for name in _PRICES},
            "volume_base": flat(bars.volume_base),
            "volume_quote": flat(bars.volume_quote),
            "children": children,
            "is_filled": flat(bars.is_filled),
            "status": np.select(cases, ["missing", "missing", "partial"], "ok"),
            "reason": pd.Series(reason, dtype="str").replace("", None),
            "source_tier": flat(bars.source_tier),
            "method_version": method_version(RESAMPLE_METHOD),
        }
    )


__all__ = [
    "BAR_INPUTS",
    "CLOSES",
    "FRAME_HOURS",
    "FRAME_MINIMUM",
    "METHOD",
    "RESAMPLE_METHOD",
    "Bars",
    "bar_floor",
    "candles_1h",
    "close_halted",
    "halted",
    "make_bars",
    "resample",
]
