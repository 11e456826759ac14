"""Liquidation cascades: severity in USD and against the symbol's own month, and their episodes.

Belongs here: ``features.liquidation_cascades``. Does not belong here: filling omitted hours
(``market.derivatives``), wording of alerts (``alerts.kinds``).

Hourly buckets are what providers keep, so severity, velocity and state come from buckets. Where single
orders are stored too (``liquidation_orders``), what they say stands in columns of its own, from the
one source that the settings name, beside the bucket figures and never mixed with them. Sums of venues
that publish part of their events are minimums (``is_lower_bound``).

The definition in words: docs/methods.md, section 2.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import Given, derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features.liquidation_orders import Orders
from regime_pipeline.market.derivatives import COMPLETENESS
from regime_pipeline.numerics.one_source import SOURCE_CHANGED, spans_change
from regime_pipeline.numerics.panel import (
    HOUR_US,
    from_panel,
    grid_length,
    grid_start_us,
    take_codes,
    to_panel,
)
from regime_pipeline.settings import CascadeParams, method_version
from regime_pipeline.windows import HOUR, Grid

METHOD = "liquidation_cascades/5"

_BARS = ("high", "low", "close", "source_tier")

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
_REASONS = (
    "no_percentile_history",
    "no_open_interest",
    "no_percentile_history,no_open_interest",
    SOURCE_CHANGED,
    "no_open_interest",
    f"{SOURCE_CHANGED},no_open_interest",
)
"""By what is lacking (1 the percentiles, 2 open interest, 3 both), then again where sources changed."""
EXCITED_H = 24 + SAMPLE
"""Hours before a row behind its self-excitation: those of its day and the 30 d before."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


# 90 d of machines, each row judged by the 30 d before its day; a week of bars behind the levels. Orders:
# 30 d before the row's day, of every coin: another coin's orders tell that the feed was listening.
@derives(
    "features.liquidation_cascades",
    liquidations_1h=reads("market.liquidations_1h", "121d"),
    open_interest=reads("market.open_interest", "1h"),
    candles_1h=reads(
        "market.candles_1h",
        "8d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", *_BARS),
    ),
    orders=reads(
        "raw.liquidation_events",
        "31d",
        where={"source": Given("order_source")},
        of_universe=True,
        columns=(
            "source",
            "venue",
            "market",
            "symbol",
            "ts",
            "closure_id",
            "position_side",
            "price",
            "liquidation_usd",
        ),
    ),
    params="params.cascades",
    order_source="liquidation_order_source",
)
def liquidation_cascades(
    liquidations_1h: pd.DataFrame,
    open_interest: pd.DataFrame,
    candles_1h: pd.DataFrame | None = None,
    orders: pd.DataFrame | None = None,
    *,
    grid: Grid,
    params: CascadeParams,
    order_source: str = "okx",
) -> pd.DataFrame:
    """Severity, dominance and cascade episodes, one row per symbol and hour.

    severity counts the bands 0.1, 0.5, 1, 3 and 10 times the threshold that the hour's total
    reaches; severity_pct the bands p90, p97, p99, p99.7, p99.95 of the symbol's own previous 720
    hours (at least 336 known, 100 of them not zero), the upper three from a generalised Pareto over
    p90. is_cascade asks level 3 of both. liq_to_oi_bps is against the USD open interest at the close
    of the hour before.

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
    within a week, or price clusters of its liquidation orders, nearest first.

    Where orders of ``order_source`` were heard: event_count, the interval of the longs' share of
    them, velocity_15m_usd_per_hour (the hour's last quarter) and its peak. hawkes_* are a Hawkes
    process with an exponential kernel per side, fitted once a day on the orders of the 30 d before
    (500 needed); excitation_source says whether the row has them or only the proxies. The count
    decides about dominance only where the hourly sums are of the orders' venue.

    Args:
        liquidations_1h: ``market.liquidations_1h`` with its lookback before ``grid.start``.
        open_interest: ``market.open_interest`` with one hour before ``grid.start``.
        candles_1h: ``market.candles_1h`` (the perpetual is selected here) with a week before
            ``grid.start``; without it there are no levels.
        orders: ``raw.liquidation_events`` of the whole universe with 31 d before ``grid.start``.
        grid: rows owed.
        params: threshold and dominance borders.
        order_source: the provider of ``orders`` that counts.

    Returns:
        Content columns of ``features.liquidation_cascades``. Without a total everything is null and
        status missing (levels need prices only and stay); without percentile history or open
        interest only what needs them is, and status is partial. Where the 30 d come from another
        source or venue than the hour, what needs them is null (``source_changed``). The statistics of
        self-excitation need the same history and don't change the status.

    Sources: Ogata 1988; McNeil & Frey 2000; Hosking & Wallis 1987; Hawkes 1971; Kirchner 2016; Wilson 1927.
    """
    from regime_pipeline.features import liquidation_orders as events_of
    from regime_pipeline.features.cascade_kernels import cascade_episodes
    from regime_pipeline.numerics.rolling import rolling_max
    from regime_pipeline.numerics.tails import tail_bands

    wide = grid.widened(reach_of(liquidation_cascades, "market.liquidations_1h"))
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
    single = events_of.orders_of(orders, grid, source=order_source)
    oi = to_panel(open_interest, grid.widened(HOUR), ["open_interest_usd", "source_tier"])
    total = liq["total_liquidation_usd"]
    severity = _level(total[..., None], np.array(SEVERITY_STEPS) * params.cascade_threshold_usd)
    bands = tail_bands(total, SAMPLE, SAMPLE_MIN, SAMPLE_MIN_POSITIVE, np.array(LEVELS), TAIL_FROM)
    two_sources = spans_change(liquidations_1h, wide, SAMPLE)
    pct = np.where(two_sources, -1, _level(total[..., None], bands))
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
        now,
        severity[-owed:],
        pct[-owed:],
        oi["open_interest_usd"][:-1],
        two_sources[-owed:],
        params,
    )
    columns |= _announcements(events, grid)
    excited_by_two = spans_change(liquidations_1h, wide, EXCITED_H)
    columns |= _excitation(total, excited_by_two, grid_start_us(wide) // HOUR_US % 24, owed)
    same_venue = order_source in set(liquidations_1h.get("venue", pd.Series(dtype="str")))
    columns |= _order_columns(
        events_of.counts_and_speed(single, grid),
        events_of.excitation(single, grid),
        columns,
        params,
        order_source,
        decides=same_venue,
    )
    levels, level_tier = _levels(candles_1h, single, grid)
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


def _order_columns(
    seen: dict[str, Floats],
    excited: dict[str, Floats],
    columns: dict[str, npt.NDArray[Any]],
    params: CascadeParams,
    source: str,
    *,
    decides: bool,
) -> dict[str, npt.NDArray[Any]]:
    """What single orders say; ``decides``: their count may open the dominance of the sums."""
    from regime_pipeline.numerics.probability import wilson

    events = seen["longs"] + seen["shorts"]
    ci_low, ci_high = wilson(seen["longs"], events)
    fitted = np.isfinite(excited["branching_long"]) | np.isfinite(excited["branching_short"])
    proxied = np.isfinite(columns["branching_ratio"]) | np.isfinite(columns["intensity_ratio"])
    out: dict[str, npt.NDArray[Any]] = {
        "order_source": take_codes(np.where(np.isfinite(events), 0, -1), (source,)),
        "event_count": events,
        "dominance_ci_low": ci_low,
        "dominance_ci_high": ci_high,
        "velocity_15m_usd_per_hour": seen["last_15m"],
        "velocity_15m_peak_usd_per_hour": seen["peak_15m"],
        "velocity_legacy_usd_per_hour": seen["between"],
        "hawkes_branching_long": excited["branching_long"],
        "hawkes_branching_short": excited["branching_short"],
        "hawkes_intensity_ratio_long": excited["intensity_long"],
        "hawkes_intensity_ratio_short": excited["intensity_short"],
        "excitation_source": take_codes(
            np.where(fitted, 0, np.where(proxied, 1, -1)), ("orders", "buckets")
        ),
    }
    if decides:
        share = columns["long_share_frac"]
        many = (events >= params.min_events_for_dominance) & np.isfinite(share)
        out["dominance"] = np.where(
            many, take_codes(_side(share, params), _DOMINANCE), columns["dominance"]
        )
    return out


def _side(share: Floats, params: CascadeParams) -> Ints:
    """Place in ``_DOMINANCE`` of a share of longs."""
    with np.errstate(invalid="ignore"):
        return np.where(
            share >= params.long_dominance_frac,
            0,
            np.where(share <= params.short_dominance_frac, 1, 2),
        )


def _excitation(
    total: Floats, two_sources: npt.NDArray[np.bool_], day_offset: int, owed: int
) -> dict[str, npt.NDArray[Any]]:
    """Intensity against the usual, branching ratio and cascade state of the owed rows."""
    from regime_pipeline.features import excitation_kernels as kernels

    by_column = np.ascontiguousarray(total.T)
    ratio = np.where(two_sources.T, np.nan, kernels.decay_ratios(by_column, day_offset))
    states = np.empty((len(by_column), owed), np.int64)
    kernels.cascade_states(np.ascontiguousarray(ratio[:, -(owed + MACHINE - 1) :]), MACHINE, states)
    branching = kernels.branching_ratios(by_column, day_offset, by_column.shape[1] - owed)
    branching = np.where(two_sources.T[:, -owed:], np.nan, branching)
    return {
        "intensity_ratio": ratio[:, -owed:].T,
        "branching_ratio": branching.T,
        "cascade_state": take_codes(states.T, _STATES),
    }


def _levels(
    candles_1h: pd.DataFrame | None, single: Orders, grid: Grid
) -> tuple[dict[str, npt.NDArray[Any]], Floats]:
    """Level texts of the owed rows, and the worst tier of the bars behind them."""
    from regime_pipeline.features import liquidation_orders as events_of
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
    wide = grid.widened(reach_of(liquidation_cascades, "market.candles_1h"))
    perp = candles_1h[candles_1h["market"] == "perp"]
    bars = to_panel(perp, wide, _BARS)
    high, low, close = (np.ascontiguousarray(bars[n].T) for n in ("high", "low", "close"))
    below, above = (np.full((*shape[::-1], levels.LEVELS), np.nan) for _ in range(2))
    known = np.zeros(shape[::-1], bool)
    first = close.shape[1] - shape[0]
    width = np.empty(shape[::-1])
    levels.bin_widths(high, low, close, first, width)
    grouped = events_of.clusters(single, grid, close[:, first:], width)
    origin = np.zeros((2, *shape[::-1], levels.LEVELS), np.int8)
    levels.find_levels(high, low, close, first, *grouped, below, above, origin, known)
    flat = known.reshape(-1)
    parts = []
    for side, kinds in zip((below, above), origin, strict=True):
        rows = side.reshape(-1, levels.LEVELS)
        told = kinds.reshape(-1, levels.LEVELS)
        parts += [levels.texts(rows, flat), levels.source_texts(rows, told, flat)]
    columns = {n: p.reshape(shape[::-1]).T for n, p in zip(names, parts, strict=True)}
    tier = rolling_max(bars["source_tier"], levels.WINDOW, 1)[-shape[0] :]
    return columns, np.where(known.T, tier, np.nan)


def _measures(
    now: dict[str, Floats],
    severity: Ints,
    pct: Ints,
    oi_before: Floats,
    two_sources: npt.NDArray[np.bool_],
    params: CascadeParams,
) -> dict[str, npt.NDArray[Any]]:
    total, longs = now["total_liquidation_usd"], now["long_liquidations_usd"]
    known = ~np.isnan(total)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(total > 0, longs / total, np.nan)
        bps = np.where(oi_before > 0, 1e4 * total / oi_before, np.nan)
        enough = total >= DOMINANCE_MIN * params.cascade_threshold_usd
        dominance = np.where(enough & np.isfinite(share), _side(share, params), -1)
    large = severity >= FIRES_FROM
    lacking = np.where(pct < 0, 1, 0) + np.where(np.isnan(bps), 2, 0)
    status = np.where(known, np.where(lacking > 0, 1, 0), 2)
    why = np.where(two_sources, lacking + 3, lacking)
    reason = np.where(known, why - 1, len(_REASONS))
    return {
        "total_liquidation_usd": total,
        "long_liquidations_usd": longs,
        "short_liquidations_usd": now["short_liquidations_usd"],
        "velocity_usd_per_hour": total / 1.0,
        "severity": _nullable(severity),
        "is_cascade": np.where(
            known & (pct >= 0), (large & (pct >= FIRES_FROM)).astype(float), np.nan
        ),
        "is_cascade_legacy": np.where(known, large.astype(float), np.nan),
        "severity_pct": _nullable(pct),
        "liq_to_oi_bps": bps,
        "long_share_frac": share,
        "dominance": take_codes(dominance, _DOMINANCE),
        "coverage": now["coverage"],
        "completeness": take_codes(
            np.where(np.isnan(now["is_lower_bound"]), -1, now["is_lower_bound"]).astype(np.int64),
            COMPLETENESS,
        ),
        "is_lower_bound": now["is_lower_bound"],
        "status": take_codes(status, STATUS_CODES),
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
