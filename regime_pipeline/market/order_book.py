"""The hourly order book: means over the valid snapshots of the venue that the settings name.

Belongs here: which snapshots count, and their means on the full hourly grid. Does not belong here:
sampling (``providers``), scoring the imbalance (``signals``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.fields.market import CHANGE_MINUTES
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.groups import means
from regime_pipeline.numerics.panel import from_panel, take_codes, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import HOUR, Grid

METHOD = "order_book/1"

MIN_LEVELS = 5
"""Levels that each side of a snapshot must show."""
MAX_AGE_S = 60.0
"""A book older than this at the instant of sampling says nothing about it."""
FULL_HOUR = 12
"""Snapshots below which an hour is partial: one in an hour is noise."""

LAST_WITHIN = pd.Timedelta(minutes=6)
"""How near to the end of its hour the newest snapshot must be for a change up to that end."""
APART_BY = pd.Timedelta(seconds=150)
"""How far a snapshot may be from the instant that it stands for: half of the time between two."""

MEANS = (
    "mid",
    "spread_bps",
    *(f"depth_{band}bps_{side}_usd" for band in (10, 25, 50) for side in ("bid", "ask")),
    "imbalance",
    "book_reach_bps",
)


@derives("market.order_book_1h", raw_order_book=reads("raw.order_book"), venues="candle_venues")
def order_book_1h(
    raw_order_book: pd.DataFrame, *, grid: Grid, venues: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """``market.order_book_1h``: plain means over the valid snapshots of each hour.

    A snapshot counts when both sides show :data:`MIN_LEVELS` levels, it was no older than
    :data:`MAX_AGE_S` seconds, and bid lies below ask. Where several providers relay one venue, an
    hour is made of one of them: the lowest ``source_tier``, then the first by name. A mean needs
    the value in at least one of the hour's snapshots.

    ``n_snapshots`` is 0 in an hour without one (status ``missing``, reason ``no_snapshot``, or
    ``no_valid_snapshot`` where some came); below :data:`FULL_HOUR` the hour is ``partial``,
    ``few_snapshots``. ``is_lower_bound``: some snapshot did not reach the widest band, so the
    depths are minima. An hour's row depends on that hour's snapshots only.

    ``price_change_5m_frac`` and its like compare the mid of the newest snapshot, six minutes before the
    hour's end at the earliest, with that of the snapshot nearest to so many minutes before it, two and a
    half off at most; ``price_changes_reason`` says which are null and why.

    Args:
        raw_order_book: ``raw.order_book`` of the grid's hours.
        grid: hours and symbols owed.
        venues: market -> symbol -> venue.
    """
    spec = table("market.order_book_1h")
    parts = [_one_market(raw_order_book, grid, m, venues[m]) for m in sorted(venues)]
    if not parts:
        raise ValueError("no market is configured; venues is empty")
    return conform(pd.concat(parts, ignore_index=True), spec)[list(spec.content)]


def _one_market(
    raw: pd.DataFrame, grid: Grid, market: str, venue_of: Mapping[str, str]
) -> pd.DataFrame:
    own = raw[raw["symbol"].map(dict(venue_of)).eq(raw["venue"]) & raw["market"].eq(market)]
    own = own.assign(hour=own["ts"].dt.floor("1h"))
    valid = own[is_valid(own)]
    counted = _one_source(valid)
    hours = hourly_means(counted, MEANS)
    wanted = [*MEANS, "n_snapshots", "is_lower_bound", "source_tier"]
    panels: dict[str, npt.NDArray[Any]] = dict(to_panel(hours, grid, wanted, time="hour"))
    panels |= _changes(counted, grid)
    sampled = own.drop_duplicates(["symbol", "hour"]).assign(one=1.0)
    tried = ~np.isnan(to_panel(sampled, grid, ["one"], time="hour")["one"])
    count = np.nan_to_num(panels["n_snapshots"])
    wired = np.tile([s in venue_of for s in grid.symbols], (count.shape[0], 1))
    status = np.select([~wired, count == 0, count < FULL_HOUR], [3, 2, 1], 0)
    reason = np.select(
        [~wired, (count == 0) & tried, count == 0, count < FULL_HOUR], [3, 2, 1, 0], -1
    )
    venue = np.array([venue_of.get(s) for s in grid.symbols], dtype=object)
    panels |= {
        "venue": np.tile(venue, (count.shape[0], 1)),
        "n_snapshots": count,
        "status": take_codes(status, ("ok", "partial", "missing", "not_applicable")),
        "reason": take_codes(
            reason, ("few_snapshots", "no_snapshot", "no_valid_snapshot", "no_venue")
        ),
    }
    frame = from_panel(grid, panels)
    return frame.assign(market=market, method_version=method_version(METHOD))


def is_valid(snapshots: pd.DataFrame) -> pd.Series:
    """Which snapshots count: enough levels on both sides, young enough, bid below ask."""
    levels = (snapshots["bid_levels"] >= MIN_LEVELS) & (snapshots["ask_levels"] >= MIN_LEVELS)
    usable = (snapshots["book_age_s"] <= MAX_AGE_S) & snapshots["mid"].notna()
    return levels.fillna(False).astype(bool) & usable


def _one_source(valid: pd.DataFrame) -> pd.DataFrame:
    """Per symbol and hour the snapshots of one provider only."""
    order = valid.sort_values(["symbol", "hour", "source_tier", "source", "ts"], kind="stable")
    best = order.drop_duplicates(["symbol", "hour"])[["symbol", "hour", "source"]]
    return order.merge(best, on=["symbol", "hour", "source"], how="inner")


def _changes(snapshots: pd.DataFrame, grid: Grid) -> dict[str, npt.NDArray[Any]]:
    """Changes of the mid up to the end of each hour, and why one is null."""
    mids = snapshots[["symbol", "hour", "ts", "mid"]].sort_values(["ts", "symbol"], kind="stable")
    last = mids.drop_duplicates(["symbol", "hour"], keep="last")
    last = last[last["ts"] >= last["hour"] + HOUR - LAST_WITHIN]
    out: dict[str, npt.NDArray[Any]] = {}
    lacking = np.zeros((len(grid.hours), len(grid.symbols)), dtype=np.int64)
    for bit, (name, minutes) in enumerate(CHANGE_MINUTES.items()):
        near = pd.merge_asof(
            last.assign(before=last["ts"] - pd.Timedelta(minutes=minutes)),
            mids[["symbol", "ts", "mid"]],
            left_on="before",
            right_on="ts",
            by="symbol",
            direction="nearest",
            tolerance=APART_BY,
            suffixes=("", "_before"),
        )
        rows = near.assign(change=near["mid"] / near["mid_before"] - 1.0)
        change = to_panel(rows, grid, ["change"], time="hour")["change"]
        out[f"price_change_{name}_frac"] = change
        lacking |= np.isnan(change).astype(np.int64) << bit
    ended = ~np.isnan(to_panel(last.assign(one=1.0), grid, ["one"], time="hour")["one"])
    texts = [
        ",".join(
            f"no_snapshot_{n}_before" for bit, n in enumerate(CHANGE_MINUTES) if code >> bit & 1
        )
        for code in range(1 << len(CHANGE_MINUTES))
    ]
    code = np.where(ended, np.where(lacking == 0, -1, lacking), len(texts))
    reason = take_codes(code, (*texts, "no_snapshot_at_the_end"))
    return out | {"price_changes_reason": reason}


def hourly_means(rows: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Means per symbol and hour, summed in the order of time, one row after the other.

    The sums never depend on what other hours hold.
    """
    rows = rows.sort_values(["symbol", "hour", "ts"], kind="stable", ignore_index=True)
    group = rows.groupby(["symbol", "hour"], sort=True)
    out = group.size().rename("n_snapshots").reset_index()
    cell = group.ngroup().to_numpy()
    for name in names:
        out[name] = means(rows[name].to_numpy("float64", na_value=np.nan), cell, len(out))
    out["is_lower_bound"] = group["is_lower_bound"].max().to_numpy(dtype="float64", na_value=np.nan)
    out["source_tier"] = group["source_tier"].max().to_numpy(dtype="float64", na_value=np.nan)
    return out
