"""Funding anomalies: how unusual each settled print is, runs of anomalies and their reversals.

Belongs here: the statistics of ``features.funding_prints`` and their hourly view
``features.funding_anomalies``. Does not belong here: normalising rates (``market.funding``), wording
of events (``alerts.kinds``), what followed on past anomalies (``funding_outcomes``).

The definition in words: docs/methods.md, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import HOUR_US, grid_length, grid_start_us, microseconds
from regime_pipeline.settings import FundingParams, method_version
from regime_pipeline.windows import Grid, Window

METHOD = "funding_anomalies/2"

HOURLY_METHOD = "funding_anomalies/4"

LEVELS = ("NORMAL", "HIGH", "LOW", "EXTREME_HIGH", "EXTREME_LOW")
STALE_INTERVALS = 1.5
_LONGEST_INTERVAL_H = 8.0
_REACH_H = 72

_STATISTICS = (
    "z_score",
    "z_robust",
    "pctl_365d",
    "is_anomaly",
    "extreme_level",
    "persistence_score",
    "z_score_legacy",
    "is_anomaly_legacy",
    "persistence_legacy",
)
_ESTIMATES = ("predicted_rate", "predicted_rate_8h", "predicted_for", "predicted_asof")


def extreme_level(z: npt.NDArray[np.float64], *, params: FundingParams) -> npt.NDArray[np.object_]:
    """The level of a z: up to and including 2 NORMAL, up to 3 HIGH / LOW, from 3 EXTREME_*.

    Null (None) where z is NaN. The borders are the parameters'; these are the defaults.
    """
    size = np.abs(z)
    anomalous = size > params.anomaly_z_threshold
    code = np.where(anomalous, np.where(z > 0, 1, 2), 0)
    code = np.where(anomalous & (size >= params.extreme_z_threshold), code + 2, code)
    names = np.array([*LEVELS, None], dtype=object)
    return names[np.where(np.isfinite(z), code, len(LEVELS))]


# The percentile looks back 365 days; runs 90 days, their z 30 more.
@derives(
    "features.funding_prints", funding=reads("market.funding", "365d"), params="params.funding"
)
def funding_prints(
    funding: pd.DataFrame, *, window: Window, symbols: Iterable[str], params: FundingParams
) -> pd.DataFrame:
    """Every settled print of the window with the statistics that judge it.

    All windows are by time and end strictly before the print, which is judged by them:

    * ``z_score`` (mean, sd with ddof 1) and ``z_robust`` (median, 1.4826 MAD, or 1.2533 mean absolute
      deviation where that is 0; Iglewicz & Hoaglin 1993) over 30 days whose intervals cover at least
      480 h, else null (``insufficient_history``). Neither scale is ever below
      ``params.scale_floor_8h``: a venue clamps to its default rate for weeks, and such a window
      would make any move thousands of sd. On a constant window z is the distance from its median in
      floors.
    * ``pctl_365d``: mid-rank among the prints of 365 days, at least 60.
    * ``persistence_score``: share of the judged hours of ``(print - 7 d, print]`` that were anomalous
      on the print's side; null under 112 h.

    ``*_legacy`` are the legacy statistics of ``funding_rate``: prints held forward to 720 hourly
    values that contain the judged one, sd with ddof 0, persistence the share of those hours beyond
    the threshold. Null where the 720 hours are not filled or nothing varies.

    A run opens at an anomaly and closes at the first print with ``|z|`` under ``params.rearm_z`` or
    with an anomaly on the other side (which opens the next run). It reversed when the closing rate
    lies beyond its lagged median on the other side and z moved by 1 or more from the judged print
    before. A run announces its start, and once more when its level first becomes EXTREME. The
    machine is started fresh 90 days before each print and forgets a run after more than 72 hours
    without a judged print.

    Args:
        funding: rows of ``market.funding`` with the lookback before the window.
        window: prints owed.
        symbols: whose prints.
        params: thresholds.

    Returns:
        Content columns of ``features.funding_prints`` sorted by key. Statistics of a print without
        an interval are null, status ``missing``.
    """
    from regime_pipeline.features import funding_kernels as kernels

    target = table("features.funding_prints")
    columns = list(target.content)
    rows = funding[funding["symbol"].isin(list(symbols)) & (funding["ts"] < window.end)]
    rows = rows.sort_values(["symbol", "ts"], ignore_index=True)
    if rows.empty:
        return empty(target)[columns]
    hour = microseconds(rows["ts"]) // HOUR_US
    rate = rows["rate_8h"].to_numpy(dtype="float64", na_value=np.nan)
    weight = rows["interval_hours"].to_numpy(dtype="float64", na_value=np.nan)
    first, last = _slices(rows["symbol"])
    owed = (rows["ts"] >= window.start).to_numpy(dtype=bool)
    count = len(rows)

    z, robust, median, pctl, persists = (np.full(count, np.nan) for _ in range(5))
    n_obs = np.zeros(count, dtype=np.int64)
    tier = rows["source_tier"].to_numpy(dtype="float64", na_value=np.nan)
    worst = np.full(count, np.nan)
    kernels.judge(
        hour,
        rate,
        weight,
        tier,
        first,
        last,
        params.scale_floor_8h,
        z,
        robust,
        median,
        n_obs,
        worst,
    )
    kernels.rank(hour, rate, first, last, owed, pctl)
    kernels.persistence(hour, z, weight, first, last, params.anomaly_z_threshold, persists)
    seed_z, seed_persists = np.full(count, np.nan), np.full(count, np.nan)
    kernels.legacy_statistics(
        hour,
        rows["funding_rate"].to_numpy(dtype="float64", na_value=np.nan),
        first,
        last,
        params.anomaly_z_threshold,
        seed_z,
        seed_persists,
    )
    sign, start, event, back = (np.full(count, -1, dtype=np.int64) for _ in range(4))
    kernels.runs(
        hour,
        rate,
        median,
        z,
        weight,
        first,
        last,
        params.anomaly_z_threshold,
        params.extreme_z_threshold,
        params.rearm_z,
        sign,
        start,
        event,
        back,
    )

    judged = np.isfinite(z)
    unknown = ~np.isfinite(rate)
    kind = np.array(["start", "escalation", None], dtype=object)[event]
    level = extreme_level(z, params=params)
    extreme = np.isin(level, ("EXTREME_HIGH", "EXTREME_LOW"))
    severity = np.where(extreme, "CRITICAL", "WARNING").astype(object)
    severity[event < 0] = None
    reason = np.full(count, None, dtype=object)
    reason[~judged] = "window_covers_less_than_480h"
    reason[unknown] = "interval_unknown"
    out = rows[["symbol", "ts", "funding_rate", "interval_hours", "rate_8h", "rate_annual"]].assign(
        z_score=z,
        z_robust=robust,
        median_rate_8h=median,
        pctl_365d=pctl,
        is_anomaly=_nullable(np.abs(z) > params.anomaly_z_threshold, judged, "boolean"),
        extreme_level=level,
        persistence_score=persists,
        z_score_legacy=seed_z,
        is_anomaly_legacy=_nullable(
            np.abs(seed_z) > params.anomaly_z_threshold, np.isfinite(seed_z), "boolean"
        ),
        persistence_legacy=seed_persists,
        run_sign=_nullable(sign, judged, "Int64"),
        is_reversal=_nullable(back >= 0, judged, "boolean"),
        reversal_run_start=_at(rows["ts"], back),
        n_obs=n_obs,
        event_kind=kind,
        event_severity=severity,
        event_ordinal=_nullable(event, event >= 0, "Int64"),
        episode_start=_at(rows["ts"], np.where(judged, start, -1)),
        status=np.where(judged, "ok", np.where(unknown, "missing", "insufficient_history")),
        reason=reason,
        source_tier=pd.Series(worst),
        method_version=method_version(METHOD, params),
    )
    return conform(out.loc[owed, columns], target)[columns].reset_index(drop=True)


# A print older than three days is not shown at all.
@derives(
    "features.funding_anomalies",
    funding_prints=reads("features.funding_prints", "3d"),
    funding_outcomes=reads("features.funding_outcomes", "365d", all_stored=True),
    funding_predicted=reads("market.funding_predicted_1h"),
    params="params.funding",
)
def funding_anomalies(
    funding_prints: pd.DataFrame,
    funding_outcomes: pd.DataFrame | None = None,
    funding_predicted: pd.DataFrame | None = None,
    *,
    grid: Grid,
    params: FundingParams,
) -> pd.DataFrame:
    """The newest print known at each hour (settled before ``ts + 1 h``), the whole grid.

    A print older than 1.5 of its intervals at the decision time ``ts + 1 h`` is ``stale``: its rate
    stays visible beside ``print_ts``, its statistics are null. With no print in 72 h the row is
    ``missing``. Otherwise status and reason are the print's.

    An anomalous print carries the odds that its z re-enters ``|z| < 1`` within 24 h and that the
    price moves against it in that time (``funding_outcomes.odds``), from outcomes known at the print.
    They rest on all that is stored, so a row that is computed again after older history was added
    can differ. Under 30 past events of its kind they are null beside their count.

    ``predicted_rate`` and its kin show the running estimate of the coming settlement as it had been
    seen by the row's decision time; ``predicted_reason`` says why there is none. It takes no part in
    any statistic here.

    Args:
        funding_prints: rows of ``features.funding_prints`` with the lookback before the grid.
        funding_outcomes: rows of ``features.funding_outcomes`` of all symbols, as many as there are;
            without them there are no odds.
        funding_predicted: rows of ``market.funding_predicted_1h`` of the grid; without them there is
            no estimate (``no_estimate_seen``).
        grid: rows owed.
        params: thresholds (part of the method version only).

    Returns:
        Content columns of ``features.funding_anomalies``, one row per symbol and hour.
    """
    target = table("features.funding_anomalies")
    columns = list(target.content)
    prints = funding_prints.sort_values(["symbol", "ts"], ignore_index=True)
    length, width = grid_length(grid), len(grid.symbols)
    hours = np.tile(grid_start_us(grid) // HOUR_US + np.arange(length), width)
    code = np.repeat(np.arange(width), length)
    at, age = newest_print(prints, hours, code, grid.symbols)
    found = at >= 0
    taken = prints.take(at[found]).set_axis(np.flatnonzero(found)).reindex(np.arange(len(at)))
    chances = _odds(prints, at, funding_outcomes, params)
    interval = taken["interval_hours"].to_numpy(dtype="float64", na_value=_LONGEST_INTERVAL_H)
    stale = found & (age > STALE_INTERVALS * interval)

    out = taken[[c for c in columns if c in taken.columns]].assign(
        symbol=pd.Series(grid.symbols, dtype="str").repeat(length).to_numpy(),
        ts=grid.hours.take(np.tile(np.arange(length), width)),
        print_ts=taken["ts"],
        method_version=method_version(HOURLY_METHOD, params),
        **chances,
    )
    out = _with_estimates(out, funding_predicted)
    for name in (*_STATISTICS, *chances):
        out[name] = out[name].mask(stale)
    out["status"] = out["status"].mask(stale, "stale").mask(~found, "missing")
    out["reason"] = out["reason"].mask(stale, "print_overdue").mask(~found, "no_print_in_72h")
    return conform(out[columns], target)[columns]


def _with_estimates(out: pd.DataFrame, predicted: pd.DataFrame | None) -> pd.DataFrame:
    """Adds the estimate columns; an hour without a row of estimates says that none was seen."""
    spec = table("market.funding_predicted_1h")
    found = empty(spec) if predicted is None else predicted
    kept = found[["symbol", "ts", *_ESTIMATES, "reason"]].rename(
        columns={"reason": "predicted_reason"}
    )
    out = out.merge(kept.assign(_told=True), on=["symbol", "ts"], how="left", validate="1:1")
    told = out.pop("_told").notna()
    out["predicted_reason"] = out["predicted_reason"].astype("str").where(told, "no_estimate_seen")
    return out


def _odds(
    prints: pd.DataFrame,
    at: npt.NDArray[np.int64],
    outcomes: pd.DataFrame | None,
    params: FundingParams,
) -> dict[str, npt.NDArray[np.float64]]:
    """The odds of the print behind every hour; computed once a print."""
    from regime_pipeline.features.funding_outcomes import ODDS, odds

    if outcomes is None:
        return {name: np.full(len(at), np.nan) for name in ODDS}
    used = np.unique(at[at >= 0])
    found = odds(prints.take(used), outcomes, params=params)
    where = np.searchsorted(used, at)
    out = {}
    for name, values in found.items():
        padded = np.append(values, np.nan)
        out[name] = padded[np.where(at >= 0, where, len(used))]
    return out


def newest_print(
    prints: pd.DataFrame,
    hours: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64],
    symbols: tuple[str, ...],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Row of the newest print of each (symbol code, hour) and its age in hours at hour + 1.

    ``prints`` is sorted by symbol and ts; -1 and NaN where the last 72 h have none.
    """
    code = pd.Index(symbols, dtype="str").get_indexer(pd.Index(prints["symbol"]))
    keep = np.flatnonzero(code >= 0)
    when = microseconds(prints["ts"]) // HOUR_US
    span = 1 << 32
    order = code[keep] * span + when[keep]
    position = np.searchsorted(order, codes * span + hours, side="right") - 1
    if not len(keep):
        return np.full(len(hours), -1, dtype=np.int64), np.full(len(hours), np.nan)
    row = keep[np.maximum(position, 0)]
    age = (hours + 1 - when[row]).astype("float64")
    found = (position >= 0) & (code[row] == codes) & (age <= _REACH_H)
    return np.where(found, row, -1), np.where(found, age, np.nan)


def _slices(symbol: pd.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Begin and end of each symbol's rows, which lie together."""
    names = symbol.to_numpy(dtype=object)
    edges = np.flatnonzero(names[1:] != names[:-1]) + 1
    return np.append(0, edges), np.append(edges, len(names))


def _nullable(
    values: npt.NDArray, known: npt.NDArray[np.bool_], dtype: Literal["boolean", "Int64"]
) -> pd.Series:
    return pd.Series(pd.array(values, dtype=dtype)).where(known)


def _at(stamps: pd.Series, row: npt.NDArray[np.int64]) -> pd.Series:
    """The stamp of the given row, null where it is negative."""
    return stamps.take(np.maximum(row, 0)).reset_index(drop=True).where(row >= 0)
