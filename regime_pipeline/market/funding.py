"""Funding of the one configured venue: settled prints, and the running estimate of the coming one.

Belongs here: choosing the venue's prints, the hour they settle at, the interval in force, units; which
estimate was known at an hour. Does not belong here: judging a print (``features.funding_anomalies``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import Given, derives, reads
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import from_panel, take_codes
from regime_pipeline.settings import method_version
from regime_pipeline.windows import HOUR, Grid, Window

METHOD = "funding/2"
PREDICTED_METHOD = "funding_predicted/1"


PREDICTED_REACH = timedelta(hours=2)
"""An estimate that was seen longer ago is not shown: hourly collection has missed a round then."""

LEGAL_INTERVALS = (1, 2, 4, 6, 8)
"""Hours between settlements that a gap between prints may stand for."""

INTERVALS_PER_YEAR_8H = 1095.0
_SHOWN_H = 72
"""A settled print that is older tells an estimate no interval."""
GAPS_BACK = 3
_REACH_H = 720
"""Prints that are further apart than this know nothing of each other."""
_HOUR_US = 3_600_000_000


# Three gaps between earlier prints, however long an outage made them; the rest is slack for rounding.
@derives(
    "market.funding",
    raw_funding=reads("raw.funding_rates", "31d", where={"venue": Given("venues")}),
    raw_predictions=reads("raw.funding_predictions", "31d", where={"venue": Given("venues")}),
    venues="perp_venues",
)
def funding(
    raw_funding: pd.DataFrame,
    raw_predictions: pd.DataFrame | None = None,
    *,
    window: Window,
    venues: Mapping[str, str],
) -> pd.DataFrame:
    """Settled prints with ``rate_8h`` and ``rate_annual``, one row per symbol and settlement.

    A print's interval is, in this order: the provider's own statement; what the venue had predicted
    for that print before it; the gap to the print before, if it is legal and not longer than the
    interval in force (a print cannot come early, so a shorter gap is the new interval). A longer gap
    may be a lost print: the interval is null, reason ``interval_unknown``, until the next gap is as
    long again, or a gap of the old interval shows that one was lost. The interval in force comes from
    the same rules over the three prints before, at most 30 d back; with none in force a single legal
    gap counts. Without an interval the rate per 8 h is null.

    Args:
        raw_funding: rows of ``raw.funding_rates`` with the lookback before the window.
        raw_predictions: rows of ``raw.funding_predictions`` alike; without them nothing was predicted.
        window: settlements owed.
        venues: symbol -> the one venue whose perpetual it is; other rows are left out. Where several
            providers report the same print, the lowest tier counts, then the provider's name.

    Returns:
        Content columns of ``market.funding``; a print that nobody reported has no row.
    """
    target = table("market.funding")
    chosen = _chosen(raw_funding, venues)
    if chosen.empty:
        return empty(target)[list(target.content)]
    stated = chosen["interval_hours"].to_numpy(dtype="float64", na_value=np.nan)
    if raw_predictions is not None:
        stated = np.where(np.isnan(stated), _predicted(chosen, raw_predictions, venues), stated)
    interval = _interval(
        chosen["symbol"].to_numpy(dtype=object), chosen["hour"].to_numpy(dtype=np.int64), stated
    )
    known = np.isfinite(interval)
    rate = chosen["funding_rate"].to_numpy(dtype="float64")
    rate_8h = rate * 8.0 / interval
    out = chosen.assign(
        interval_hours=pd.array(interval, dtype="Float64").astype("Int64"),
        rate_8h=rate_8h,
        rate_annual=rate_8h * INTERVALS_PER_YEAR_8H,
        status=np.where(known, "ok", "insufficient_history"),
        reason=pd.Series("interval_unknown", index=chosen.index, dtype="str").mask(known),
        method_version=method_version(METHOD),
    )
    owed = (out["ts"] >= window.start) & (out["ts"] < window.end)
    return conform(out.loc[owed, list(target.content)], target)[list(target.content)].reset_index(
        drop=True
    )


# Estimates seen in the two hours before a row's decision; prints of three days for the interval.
@derives(
    "market.funding_predicted_1h",
    raw_predictions=reads("raw.funding_predictions", "2h", where={"venue": Given("venues")}),
    funding_prints=reads("market.funding", "3d"),
    venues="perp_venues",
)
def funding_predicted_1h(
    raw_predictions: pd.DataFrame,
    funding_prints: pd.DataFrame,
    *,
    grid: Grid,
    venues: Mapping[str, str],
) -> pd.DataFrame:
    """``market.funding_predicted_1h``: the newest estimate seen before each hour's end.

    A row decides at ``ts + 1h`` and shows what had been *seen* by then (``available_at``, shown as
    ``predicted_asof``), wherever the observation was stamped. It is null when nothing was seen in
    the two hours before (``no_estimate_seen``), and when the settlement that the newest estimate is
    about has passed (``settled_since``). ``predicted_rate_8h`` uses the interval told beside the
    estimate, else that of the newest settled print of 72 h; without one it is null (partial,
    ``interval_unknown``).

    Args:
        raw_predictions: ``raw.funding_predictions`` with the lookback before the grid.
        funding_prints: ``market.funding`` with three days before the grid.
        grid: rows owed.
        venues: symbol -> the one venue whose perpetual it is. Where several providers relay it, the
            lowest tier counts, then the provider's name.
    """
    spec = table("market.funding_predicted_1h")
    rows = from_panel(grid, {}).assign(decides=lambda f: f["ts"] + HOUR)
    seen = _predictions(raw_predictions, venues)
    found = _newest_before(rows, seen, PREDICTED_REACH).sort_values(["symbol", "ts"])
    prints = funding_prints[["symbol", "ts", "interval_hours", "source_tier"]].rename(
        columns={
            "ts": "seen_at",
            "interval_hours": "in_force",
            "source_tier": "print_tier",
        }
    )
    prints = prints[prints["in_force"].notna()]
    prints = prints.sort_values(["seen_at", "symbol"], kind="stable")
    force = _newest_before(rows, prints, timedelta(hours=_SHOWN_H)).sort_values(["symbol", "ts"])
    numbers = {
        n: pd.to_numeric(f[n]).to_numpy(dtype="float64", na_value=np.nan)
        for f in (found, force)
        for n in ("predicted_rate", "interval_hours", "source_tier", "in_force", "print_tier")
        if n in f
    }
    nothing = np.isnan(numbers["predicted_rate"])
    past = ~nothing & (found["predicted_for"] < found["decides"]).fillna(False).to_numpy(bool)
    known = ~(nothing | past)
    borrowed = known & np.isnan(numbers["interval_hours"])
    interval = np.where(borrowed, numbers["in_force"], numbers["interval_hours"])
    rate = np.where(known, numbers["predicted_rate"], np.nan)
    unknown = known & np.isnan(interval)
    tier = np.where(
        borrowed, np.fmax(numbers["source_tier"], numbers["print_tier"]), numbers["source_tier"]
    )
    out = found[["symbol", "ts"]].assign(
        venue=found["symbol"].map(dict(venues)),
        source=found["source"].where(known),
        predicted_rate=rate,
        predicted_rate_8h=rate * 8.0 / interval,
        interval_hours=pd.array(np.where(known, interval, np.nan), dtype="Float64").astype("Int64"),
        predicted_for=found["predicted_for"].where(known),
        predicted_asof=found["seen_at"].where(known),
        status=np.select([~known, unknown], ["missing", "partial"], "ok"),
        reason=take_codes(
            np.select([nothing, past, unknown], [0, 1, 2], -1),
            ("no_estimate_seen", "settled_since", "interval_unknown"),
        ),
        source_tier=np.where(known, tier, np.nan),
        method_version=method_version(PREDICTED_METHOD),
    )
    return conform(out[list(spec.content)], spec)[list(spec.content)].reset_index(drop=True)


def _predictions(raw: pd.DataFrame, venues: Mapping[str, str]) -> pd.DataFrame:
    """Estimates of the configured venues in the order in which they were seen, one provider each."""
    venue = raw["symbol"].map(dict(venues))
    own = raw.loc[
        (raw["market"] == "perp") & (raw["venue"] == venue) & raw["predicted_rate"].notna(),
        [
            "symbol",
            "ts",
            "available_at",
            "source",
            "predicted_rate",
            "predicted_for",
            "interval_hours",
            "source_tier",
        ],
    ]
    own = own.sort_values(["symbol", "ts", "source_tier", "source"], kind="stable")
    own = own.drop_duplicates(["symbol", "ts"])
    own = own.rename(columns={"available_at": "seen_at"}).drop(columns="ts")
    return own.sort_values(["seen_at", "symbol"], kind="stable")


def _newest_before(rows: pd.DataFrame, seen: pd.DataFrame, reach: timedelta) -> pd.DataFrame:
    """Beside every row the newest of its symbol in ``[decides - reach, decides)``, else nulls."""
    return pd.merge_asof(
        rows.sort_values(["decides", "symbol"], kind="stable"),
        seen,
        left_on="decides",
        right_on="seen_at",
        by="symbol",
        tolerance=pd.Timedelta(reach),
        allow_exact_matches=False,
    )


def _chosen(raw: pd.DataFrame, venues: Mapping[str, str]) -> pd.DataFrame:
    """One row per symbol and hour from the configured venue, sorted by both."""
    venue = raw["symbol"].map(dict(venues))
    rows = raw.loc[
        (raw["market"] == "perp") & (raw["venue"] == venue) & raw["funding_rate"].notna(),
        [
            "symbol",
            "ts",
            "venue",
            "source",
            "funding_rate",
            "interval_hours",
            "mark_price",
            "source_tier",
        ],
    ]
    hour = _settled_hour(rows["ts"])
    rows = rows.assign(seen=rows["ts"], ts=hour, hour=hour.astype("int64") // _HOUR_US)
    rows = rows.sort_values(["symbol", "ts", "source_tier", "source", "seen"], kind="stable")
    return rows.drop_duplicates(["symbol", "ts"]).reset_index(drop=True)


def _settled_hour(stamps: pd.Series) -> pd.Series:
    """The hour that a settlement stamped with some seconds of jitter belongs to."""
    return (stamps + timedelta(minutes=30)).dt.floor("h").dt.as_unit("us")


def _predicted(
    prints: pd.DataFrame, raw: pd.DataFrame, venues: Mapping[str, str]
) -> npt.NDArray[np.float64]:
    """Interval that the venue reported with the newest estimate of each print before it settled."""
    seen = _predictions(raw, venues)
    settles = _settled_hour(seen["predicted_for"])
    seen = seen.assign(ts=settles)[(seen["seen_at"] < settles).fillna(False).to_numpy(bool)]
    seen = seen[seen["interval_hours"].notna()].drop_duplicates(["symbol", "ts"], keep="last")
    found = prints[["symbol", "ts"]].merge(
        seen[["symbol", "ts", "interval_hours"]], on=["symbol", "ts"], how="left"
    )
    return found["interval_hours"].to_numpy(dtype="float64", na_value=np.nan)


def _interval(
    symbol: npt.NDArray[np.object_], hour: npt.NDArray[np.int64], stated: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Hours of the interval that each print closes; rows sorted by symbol and hour.

    Args:
        symbol: of each print.
        hour: of each print, since 1970.
        stated: interval that the venue reported for the print, NaN where it did not.
    """
    gaps = np.full((GAPS_BACK + 1, len(hour)), np.nan)
    reported = np.full((GAPS_BACK + 1, len(hour)), np.nan)
    reported[0] = stated
    for back in range(GAPS_BACK):
        # the gap between the prints `back` and `back + 1` before; none beyond the reach or symbol
        newer, older = _shift(hour, back), _shift(hour, back + 1)
        near = _shift_equal(symbol, back + 1) & (hour - older <= _REACH_H)
        gaps[back, near] = (newer - older)[near]
        reported[back + 1, near] = _shift(stated, back + 1)[near]
    in_force = reported[GAPS_BACK]
    for back in range(GAPS_BACK - 1, -1, -1):
        gap = gaps[back]
        with np.errstate(invalid="ignore"):
            # a comparison with no interval in force is false, and then a single gap has to do
            longer = (gap > in_force) & (gap != gaps[back + 1])
        fits = np.isin(gap, LEGAL_INTERVALS) & ~longer
        known = np.where(np.isfinite(reported[back]), reported[back], np.where(fits, gap, np.nan))
        in_force = known if back == 0 else np.where(np.isfinite(known), known, in_force)
    return in_force


def _shift(values: npt.NDArray[Any], by: int) -> npt.NDArray[Any]:
    """The value ``by`` rows earlier; the first rows repeat the first value."""
    return values[np.maximum(np.arange(len(values)) - by, 0)]


def _shift_equal(symbol: npt.NDArray[np.object_], by: int) -> npt.NDArray[np.bool_]:
    """Whether the row ``by`` rows earlier exists and has the same symbol."""
    at = np.arange(len(symbol)) - by
    return (at >= 0) & (symbol[np.maximum(at, 0)] == symbol)
