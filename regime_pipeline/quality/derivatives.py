"""Checks of funding, liquidations and order books (DQ10, DQ11, DQ12).

Does not belong here: judging whether funding or liquidations are unusual (``features``).
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from regime_pipeline.market.derivatives import PARTLY_PUBLISHED
from regime_pipeline.market.funding import LEGAL_INTERVALS
from regime_pipeline.market.order_book import is_valid
from regime_pipeline.quality.model import SERIES, Judged, nobody, of_frame
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import HOUR

FUNDING = "raw.funding_rates"
EVENTS = "raw.liquidation_events"
LIQUIDATIONS = "market.liquidations_1h"
BOOK = "raw.order_book"
_SIDES = ("long", "short")
PRINT_REACH = timedelta(days=30)
LONGEST_RUN = 24
"""A longer run of equal replies says nothing more."""


def funding(rates: pd.DataFrame, params: QualityParams) -> Judged:
    """DQ10: a print beyond its venue's cap, an interval no venue has, and lost prints.

    A venue caps the rate of one print whatever its interval, so ``|rate| <= cap`` is ``|rate_8h| <=
    cap x 8 / interval``. A print beyond it, or with an interval that is not 1, 2, 4, 6 or 8 h, is
    withheld. A gap above 8 h (above the stated interval where one is stated) is told as WARN at the
    print after it; one above :data:`PRINT_REACH` is a new listing.

    Args:
        rates: rows of ``raw.funding_rates`` with :data:`PRINT_REACH` before what is judged.
        params: caps.
    """
    if rates.empty:
        return Judged("DQ10", FUNDING, nobody(), None)
    rows = rates.sort_values([*SERIES, "ts"], kind="stable", ignore_index=True)
    rate = rows["funding_rate"].abs().to_numpy("float64")
    caps = params.funding_caps
    cap = rows["venue"].map(caps).fillna(params.funding_cap_elsewhere).to_numpy("float64")
    interval = rows["interval_hours"].to_numpy(dtype="float64", na_value=np.nan)
    illegal = np.isfinite(interval) & ~np.isin(interval, LEGAL_INTERVALS)
    beyond = rate > cap
    before = rows.groupby(list(SERIES), sort=False, dropna=False)["ts"].shift()
    gap = (rows["ts"] - before).dt.total_seconds().to_numpy("float64") / 3600.0
    usual = np.where(np.isfinite(interval) & ~illegal, interval, max(LEGAL_INTERVALS))
    with np.errstate(invalid="ignore"):
        lost = (gap > usual + 0.05) & (
            gap <= PRINT_REACH / HOUR
        )  # settlements may be a minute late
    serious = beyond | illegal
    what = np.select(
        [beyond, illegal, lost], ["beyond the cap", "impossible interval", "prints missing"], ""
    )
    failed = serious | lost
    return Judged(
        "DQ10",
        FUNDING,
        of_frame(
            rows, failed, rate, blocking=serious, withheld=serious,
            what=what,
        ),
        None,
    )  # fmt: skip


def single_closures(events: pd.DataFrame, hourly: pd.DataFrame, params: QualityParams) -> Judged:
    """DQ11 on ``raw.liquidation_events``: USD is price times quantity; sides are not swapped.

    The quantity is in coins already, contract size included. Swapped sides: over a day and symbol the
    events of a venue fit another provider's hourly sums of the same venue better with long and short
    exchanged, by a factor of two.

    Args:
        events: rows of ``raw.liquidation_events``.
        hourly: rows of ``raw.liquidations``, 1h.
        params: tolerances.
    """
    if events.empty:
        return Judged("DQ11", EVENTS, nobody(), params.liquidation_usd_frac)
    product = events["price"] * events["quantity_base"]
    off = (events["liquidation_usd"] / product - 1.0).abs().to_numpy("float64")
    swapped = _swapped(events, hourly)
    wrong = ~(off <= params.liquidation_usd_frac)
    what = np.select([wrong, swapped], ["USD is not price x quantity", "sides look swapped"], "")
    failed = wrong | swapped
    rows = of_frame(events, failed, off, what=what)
    return Judged("DQ11", EVENTS, rows, params.liquidation_usd_frac)


def _swapped(events: pd.DataFrame, hourly: pd.DataFrame) -> np.ndarray:
    """Per event: whether its day's sides fit the hourly sums better the other way round."""
    by = ["venue", "symbol", "hour"]
    work = events.assign(hour=events["ts"].dt.floor("h"))
    sums = work.pivot_table(
        index=by, columns="position_side", values="liquidation_usd", aggfunc="sum", fill_value=0.0
    ).reindex(columns=list(_SIDES), fill_value=0.0)
    told = hourly.assign(hour=hourly["ts"]).drop_duplicates(by).set_index(by)
    both = sums.join(
        told[["long_liquidations_usd", "short_liquidations_usd"]], how="inner"
    ).reset_index()
    if both.empty:
        return np.zeros(len(events), bool)
    longs, shorts = both["long_liquidations_usd"], both["short_liquidations_usd"]
    both["straight"] = (both["long"] - longs).abs() + (both["short"] - shorts).abs()
    both["crossed"] = (both["long"] - shorts).abs() + (both["short"] - longs).abs()
    both["day"] = both["hour"].dt.floor("D")
    group = both.groupby(["venue", "symbol", "day"])[["straight", "crossed"]].sum()
    bad = group.index[group["straight"] > 2.0 * group["crossed"]]
    mine = pd.MultiIndex.from_frame(
        work.assign(day=work["ts"].dt.floor("D"))[["venue", "symbol", "day"]]
    )
    return np.asarray(mine.isin(bad))


def hourly_closures(liquidations: pd.DataFrame) -> Judged:
    """DQ11 on ``market.liquidations_1h``: the sides make the total, the lower-bound flag is right."""
    rows = liquidations[liquidations["total_liquidation_usd"].notna()]
    if rows.empty:
        return Judged("DQ11", LIQUIDATIONS, nobody(), None)
    total = rows["total_liquidation_usd"].to_numpy("float64")
    sides = (rows["long_liquidations_usd"] + rows["short_liquidations_usd"]).to_numpy("float64")
    off = np.abs(total - sides) / np.maximum(np.abs(total), 1.0)
    wrong = ~(off <= 1e-9)
    owed = rows["venue"].isin(PARTLY_PUBLISHED).to_numpy(bool)
    flag = rows["is_lower_bound"].to_numpy(dtype="float64", na_value=np.nan)
    flagged = flag != owed
    what = np.select([wrong, flagged], ["sides are not the total", "wrong lower-bound flag"], "")
    failed = wrong | flagged
    return Judged("DQ11", LIQUIDATIONS, of_frame(rows, failed, off, what=what), None)


def books(order_book: pd.DataFrame) -> Judged:
    """DQ12: snapshots that ``market.order_book_1h`` refuses, by its own rule."""
    if order_book.empty:
        return Judged("DQ12", BOOK, nobody(), None)
    bad = ~is_valid(order_book).to_numpy(bool)
    age = order_book["book_age_s"].to_numpy(dtype="float64", na_value=np.nan)
    return Judged("DQ12", BOOK, of_frame(order_book, bad, age, blocking=bad, withheld=bad), None)


def frozen_replies(frame: pd.DataFrame, full_name: str, count: int) -> Judged:
    """DQ06 on snapshots: the same reply, byte for byte, ``count`` times in a row.

    The measured value is the length of the run, at most :data:`LONGEST_RUN`.

    Args:
        frame: rows with :data:`SERIES` columns, ``ts`` and ``payload_id``.
        full_name: the table.
        count: equal replies that are one too many.
    """
    rows = frame[frame["payload_id"].notna()]
    if rows.empty:
        return Judged("DQ06", full_name, nobody(), None, "no_replies_are_kept")
    keys = [c for c in SERIES if c in rows]
    rows = rows.sort_values([*keys, "ts", "payload_id"], kind="stable", ignore_index=True)
    group = rows.groupby(keys, sort=False, dropna=False)["payload_id"]
    same = (group.shift() == rows["payload_id"]).fillna(False).to_numpy(bool)
    start = np.flatnonzero(~same)
    run = np.arange(len(rows)) - np.repeat(start, np.diff(np.append(start, len(rows)))) + 1
    return Judged(
        "DQ06", full_name, of_frame(rows, run >= count, np.minimum(run, LONGEST_RUN)), float(count)
    )
