"""Liquidation cascades: severity in USD and against the symbol's own month, and their episodes.

Belongs here: ``features.liquidation_cascades``. Does not belong here: filling omitted hours
(``market.derivatives``), wording of alerts (``alerts.events``).

Hourly buckets are what providers keep, so velocity is the bucket's total per hour, self-excitation is
measured on buckets, and levels come from prices, not from liquidation orders. Counts of orders are
used where the frame carries them (``EVENT_COUNTS``). Sums of venues that publish part of their events
are minimums (``is_lower_bound``).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import (
    HOUR_US,
    from_panel,
    grid_length,
    grid_start_us,
    take_codes,
    to_panel,
)
from regime_pipeline.settings import CascadeParams, method_version
from regime_pipeline.windows import HOUR, Grid, parse_lookback

METHOD = "liquidation_cascades/2"

LOOKBACK: dict[str, str] = {
    "market.liquidations_1h": "121d",
    "market.open_interest": "1h",
    "market.candles_1h": "8d",
}
"""90 d of machines, each row judged by the 30 d before its day; a week of bars behind the levels."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "market.candles_1h": ("market", "symbol", "ts", "high", "low", "close", "source_tier")
}
"""All that is read of the bars."""

EVENT_COUNTS = ("long_event_count", "short_event_count")
"""Columns that a source of single orders adds; buckets of an aggregator have none."""

SAMPLE, SAMPLE_MIN, SAMPLE_MIN_POSITIVE = 720, 336, 100
LEVELS = (0.90, 0.97, 0.99, 0.997, 0.9995)
TAIL_FROM = 2
SEVERITY_STEPS = (0.1, 0.5, 1.0, 3.0, 10.0)
"""Lower ends of severity 1..5 in units of the threshold."""
DOMINANCE_MIN = 0.5
"""Least total, in units of the threshold, for a dominance where there are too few counted orders."""
MACHINE = 90 * 24
FIRES_FROM = 3

_DOMINANCE = ("LONG", "SHORT", "BALANCED")
_KINDS = ("start", "escalation")
_ALERT = ("WARNING", "CRITICAL")
_STATES = ("NONE", "BUILDING", "ACTIVE", "DECAYING")
_REASONS = ("no_percentile_history", "no_open_interest", "no_percentile_history,no_open_interest")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def liquidation_cascades(
    liquidations_1h: pd.DataFrame,
    open_interest: pd.DataFrame,
    candles_1h: pd.DataFrame | None = None,
    *,
    grid: Grid,
    params: CascadeParams,
) -> pd.DataFrame:
    """Severity, dominance and cascade episodes, one row per symbol and hour.

    severity counts the bands 0.1, 0.5, 1, 3 and 10 times the threshold that the hour's total
    reaches; severity_pct the bands p90, p97, p99, p99.7, p99.95 of the symbol's own previous 720
    hours (at least 336 known, 100 of them not zero), the upper three from a generalised Pareto over
    p90. liq_to_oi_bps is against the USD open interest at the close of the hour before.

    An episode opens when both severities are 3 or more and closes after two consecutive observed
    hours in which that is false. It announces its start, and again, while firing, a severity_pct
    above the highest announced or a total at least twice the last announced one. Every row's
    machine begins 90 d before it. An hour that cannot be judged keeps the episode as it is; more
    than 24 of them in a row close it without a word.

    intensity_ratio is the decay-weighted mean of the last hours (0.8 per hour) over the mean of the
    30 d before the day, branching_ratio the share of liquidations that follows from earlier ones,
    fitted once a day on those 30 d; both are proxies from buckets. cascade_state follows the ratio:
    BUILDING from 2, ACTIVE from 4, DECAYING once an active one falls below 2, NONE below 1.

    support_levels and resistance_levels are up to three confirmed swing points of the perpetual
    within a week, nearest first. dominance_ci_low and dominance_ci_high bound the longs' share of the
    orders, where orders are counted.

    Args:
        liquidations_1h: ``market.liquidations_1h`` with ``LOOKBACK`` before ``grid.start``.
        open_interest: ``market.open_interest`` with one hour before ``grid.start``.
        candles_1h: ``market.candles_1h`` (the perpetual is selected here) with a week before
            ``grid.start``; without it there are no levels.
        grid: rows owed.
        params: threshold and dominance borders.

    Returns:
        Content columns of ``features.liquidation_cascades``. Without a total everything is null and
        status missing (levels need prices only and stay); without percentile history or open
        interest only what needs them is, and status is partial. The statistics of self-excitation
        need the same history and don't change the status.

    Sources: McNeil & Frey 2000; Hosking & Wallis 1987; Hawkes 1971; Kirchner 2016; Wilson 1927.
    """
    from regime_pipeline.features.cascade_kernels import cascade_episodes
    from regime_pipeline.numerics.rolling import rolling_max
    from regime_pipeline.numerics.tails import tail_bands

    wide = grid.widened(parse_lookback(LOOKBACK["market.liquidations_1h"]))
    owed = round((grid.end - grid.start) / timedelta(hours=1))
    liq = to_panel(
        liquidations_1h,
        wide,
        [
            "long_liquidations_usd",
            "short_liquidations_usd",
            "total_liquidation_usd",
            "coverage",
            "is_lower_bound",
            "source_tier",
        ],
    )
    counts = _event_counts(liquidations_1h, grid)
    oi = to_panel(open_interest, grid.widened(HOUR), ["open_interest_usd", "source_tier"])
    total = liq["total_liquidation_usd"]
    severity = _level(total[..., None], np.array(SEVERITY_STEPS) * params.cascade_threshold_usd)
    bands = tail_bands(total, SAMPLE, SAMPLE_MIN, SAMPLE_MIN_POSITIVE, np.array(LEVELS), TAIL_FROM)
    pct = _level(total[..., None], bands)
    events = cascade_episodes(
        np.ascontiguousarray(total[-(owed + MACHINE - 1) :].T),
        np.ascontiguousarray(severity[-(owed + MACHINE - 1) :].T),
        np.ascontiguousarray(pct[-(owed + MACHINE - 1) :].T),
        MACHINE,
        FIRES_FROM,
    ).transpose(1, 0, 2)
    tier = np.fmax(
        rolling_max(liq["source_tier"], SAMPLE + 1, 1)[len(total) - owed :], oi["source_tier"][:-1]
    )
    now = {name: panel[len(total) - owed :] for name, panel in liq.items()}
    columns = _measures(
        now, severity[-owed:], pct[-owed:], oi["open_interest_usd"][:-1], counts, params
    )
    columns |= _announcements(events, grid)
    columns |= _excitation(total, grid_start_us(wide) // HOUR_US % 24, owed)
    levels, level_tier = _levels(candles_1h, grid)
    columns |= levels
    tier = np.fmax(tier, level_tier)
    columns["source_tier"] = np.where(np.isnan(now["total_liquidation_usd"]), np.nan, tier)
    frame = from_panel(grid, columns).assign(method_version=method_version(METHOD, params))
    frame["episode_start"] = frame["episode_start"].dt.tz_localize("UTC")
    which = table("features.liquidation_cascades")
    return conform(frame, which)[list(which.content)]


def _level(total: Floats, bands: Floats) -> Ints:
    """How many bands the total reaches; -1 where either is null."""
    with np.errstate(invalid="ignore"):
        reached = (bands <= total).sum(axis=-1)
    null = np.isnan(total[..., 0]) | np.isnan(bands).any(axis=-1)
    return np.where(null, -1, reached).astype(np.int64)


def _event_counts(liquidations_1h: pd.DataFrame, grid: Grid) -> tuple[Floats, Floats]:
    """Liquidated long and short orders of every hour, NaN where they are not counted."""
    if not set(EVENT_COUNTS) <= set(liquidations_1h.columns):
        return (np.full((grid_length(grid), len(grid.symbols)), np.nan),) * 2
    panels = to_panel(liquidations_1h, grid, EVENT_COUNTS)
    return panels[EVENT_COUNTS[0]], panels[EVENT_COUNTS[1]]


def _excitation(total: Floats, day_offset: int, owed: int) -> dict[str, npt.NDArray[Any]]:
    """Intensity against the usual, branching ratio and cascade state of the owed rows."""
    from regime_pipeline.features import excitation_kernels as kernels

    by_column = np.ascontiguousarray(total.T)
    ratio = kernels.decay_ratios(by_column, day_offset)
    states = np.empty((len(by_column), owed), np.int64)
    kernels.cascade_states(np.ascontiguousarray(ratio[:, -(owed + MACHINE - 1) :]), MACHINE, states)
    branching = kernels.branching_ratios(by_column, day_offset, by_column.shape[1] - owed)
    return {
        "intensity_ratio": ratio[:, -owed:].T,
        "branching_ratio": branching.T,
        "cascade_state": take_codes(states.T, _STATES),
    }


def _levels(
    candles_1h: pd.DataFrame | None, grid: Grid
) -> tuple[dict[str, npt.NDArray[Any]], Floats]:
    """Level texts of the owed rows, and the worst tier of the bars behind them."""
    from regime_pipeline.features import price_levels as levels
    from regime_pipeline.numerics.rolling import rolling_max

    shape = (grid_length(grid), len(grid.symbols))
    names = (
        "support_levels",
        "support_level_sources",
        "resistance_levels",
        "resistance_level_sources",
    )
    if candles_1h is None:
        return {name: np.full(shape, None, dtype=object) for name in names}, np.full(shape, np.nan)
    wide = grid.widened(parse_lookback(LOOKBACK["market.candles_1h"]))
    perp = candles_1h[candles_1h["market"] == "perp"]
    bars = to_panel(perp, wide, COLUMNS["market.candles_1h"][3:])
    high, low, close = (np.ascontiguousarray(bars[n].T) for n in ("high", "low", "close"))
    below, above = (np.full((*shape[::-1], levels.LEVELS), np.nan) for _ in range(2))
    known = np.zeros(shape[::-1], bool)
    levels.swing_levels(high, low, close, close.shape[1] - shape[0], below, above, known)
    flat = known.reshape(-1)
    parts = []
    for side in (below, above):
        rows = side.reshape(-1, levels.LEVELS)
        parts += [levels.texts(rows, flat), levels.source_texts(rows, flat)]
    columns = {n: p.reshape(shape[::-1]).T for n, p in zip(names, parts, strict=True)}
    tier = rolling_max(bars["source_tier"], levels.WINDOW, 1)[-shape[0] :]
    return columns, np.where(known.T, tier, np.nan)


def _measures(
    now: dict[str, Floats],
    severity: Ints,
    pct: Ints,
    oi_before: Floats,
    counts: tuple[Floats, Floats],
    params: CascadeParams,
) -> dict[str, npt.NDArray[Any]]:
    from regime_pipeline.numerics.proportions import wilson

    events = np.where(np.isnan(now["total_liquidation_usd"]), np.nan, counts[0] + counts[1])
    ci_low, ci_high = wilson(counts[0], events)
    total, longs = now["total_liquidation_usd"], now["long_liquidations_usd"]
    known = ~np.isnan(total)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(total > 0, longs / total, np.nan)
        bps = np.where(oi_before > 0, 1e4 * total / oi_before, np.nan)
        dominance = np.where(
            share >= params.long_dominance_frac,
            0,
            np.where(share <= params.short_dominance_frac, 1, 2),
        )
        enough = (total >= DOMINANCE_MIN * params.cascade_threshold_usd) | (
            events >= params.min_events_for_dominance
        )
        dominance = np.where(enough & np.isfinite(share), dominance, -1)
    lacking = np.where(pct < 0, 1, 0) + np.where(np.isnan(bps), 2, 0)
    status = np.where(known, np.where(lacking > 0, 1, 0), 2)
    reason = np.where(known, lacking - 1, len(_REASONS))
    return {
        "total_liquidation_usd": total,
        "long_liquidations_usd": longs,
        "short_liquidations_usd": now["short_liquidations_usd"],
        "velocity_usd_per_hour": total / 1.0,
        "severity": _nullable(severity),
        "is_cascade": np.where(known, (severity >= FIRES_FROM).astype(float), np.nan),
        "severity_pct": _nullable(pct),
        "liq_to_oi_bps": bps,
        "long_share_frac": share,
        "dominance": take_codes(dominance, _DOMINANCE),
        "event_count": events,
        "dominance_ci_low": ci_low,
        "dominance_ci_high": ci_high,
        "coverage": now["coverage"],
        "is_lower_bound": now["is_lower_bound"],
        "status": take_codes(status, ("ok", "partial", "missing")),
        "reason": take_codes(reason, (*_REASONS, "no_liquidations")),
    }


def _announcements(events: Ints, grid: Grid) -> dict[str, npt.NDArray[Any]]:
    kind, pct, ordinal, age = (events[:, :, i] for i in range(4))
    hours = grid.hours.tz_localize(None).to_numpy()[:, None]
    start = np.where(age < 0, np.datetime64("NaT"), hours - age * np.timedelta64(1, "h"))
    return {
        "event_kind": take_codes(kind, _KINDS),
        "event_severity": take_codes(np.where(kind < 0, -1, np.where(pct >= 4, 1, 0)), _ALERT),
        "event_ordinal": _nullable(ordinal),
        "episode_start": start.astype("datetime64[us]"),
    }


def _nullable(codes: Ints) -> Floats:
    return np.where(codes < 0, np.nan, codes)
