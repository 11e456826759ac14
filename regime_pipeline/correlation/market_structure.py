"""The correlation matrix of a day: shrinkage, spectrum, clusters, volatility, who leads.

Belongs here: what the columns of ``correlation.correlation_matrices``, ``market_structure`` and
``lead_lag`` mean. Does not belong here: compiled loops (``matrix_kernels``), tests of pairs.

Once a day, at the 23:00 row: over 168 hours a matrix hardly moves from one hour to the next, and
the null distribution of leads is the dearest number of the schema. All three tables read the 168
hourly returns to the row; a row depends on its own 888 returns and nothing else.

The definition in words: docs/methods.md, section 6.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.registry import table
from regime_pipeline.correlation.asset_correlations import BASE, BASE_MIN, CURRENT, CURRENT_MIN
from regime_pipeline.correlation.frames import flags, integers, nothing, shape, texts
from regime_pipeline.market.candles import CLOSES
from regime_pipeline.numerics.panel import grid_start_us, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "market_structure/2"
HOUR_OF_DAY = 23
CLIP_ABOVE = 20
"""Eigenvalues are clipped from more symbols than this."""
ABSORBING_PART = 5
LEADS = 3
REPLICATES = 199
LEVEL = 0.05
PSD_TOLERANCE = 1e-12

_OK, _PARTIAL, _MISSING, _YOUNG, _CONSTANT = range(5)
_REASONS = (
    "under_140_common_returns",
    "constant_returns",
    "under_480_baseline_returns",
    "left_out_of_matrix",
    "symbols_left_out",
    "under_two_symbols",
    "under_140_lagged_returns",
)
_SHORT, _STUCK, _NO_BASE, _LEFT_OUT, _SOME_OUT, _NO_MATRIX, _NO_LEAD = range(7)
_LEAD_REASONS = ("no_significant_lead", "not_judged")

Floats = npt.NDArray[np.float64]
Columns = dict[str, npt.NDArray[Any]]


# 168 + 720 returns and the close before the first. Shrinkage, clusters and the limit of a lead belong to
# the universe.
@derives(
    "correlation.correlation_matrices",
    "correlation.market_structure",
    "correlation.lead_lag",
    step="correlation__structure",
    of_universe=True,
    candles_1h=reads("market.candles_1h", "37d", where={"market": "spot"}, columns=CLOSES),
)
def structures(
    candles_1h: pd.DataFrame, *, grid: Grid
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The matrix, the market structure and lead-lag at every 23:00 row of the grid.

    Args:
        candles_1h: ``market.candles_1h`` with its lookback before ``grid.start``; only spot counts.
        grid: hours owed; its symbols are the whole configured universe, to which all of this belongs.

    Returns:
        ``correlation.correlation_matrices`` and ``correlation.lead_lag``, one row per pair and day,
        and ``correlation.market_structure``, one row per day. A symbol with fewer than 140 returns,
        or whose price is stuck, or that shares too few hours with the others, stays out of the
        matrix: its pairs are null with the reason, the day's structure is partial. A null leader is
        no missing value: ``lead_reason`` says why, the status is ok.

    Sources: Ledoit & Wolf 2004 (constant correlation), Laloux et al. 1999, Higham 2002, Lopez de
    Prado 2016, Kritzman et al. 2011, Forbes & Rigobon 2002.
    """
    from regime_pipeline.correlation import kernels

    names = ("correlation_matrices", "market_structure", "lead_lag")
    hours = grid.hours
    owed = np.flatnonzero(hours.hour == HOUR_OF_DAY)
    if len(grid.symbols) < 2 or not owed.size:
        matrices, structure, leads = (nothing(n) for n in names)
        return matrices, structure, leads
    lookback = reach_of(structures, "market.candles_1h")
    wide = grid.widened(lookback)
    spot = candles_1h.loc[candles_1h["market"] == "spot", ["symbol", "ts", "close", "source_tier"]]
    panel = to_panel(spot, wide, ["close", "source_tier"])
    returns = kernels.log_returns(np.ascontiguousarray(panel["close"].T))
    back = round(lookback / timedelta(hours=1))
    first_hour = grid_start_us(wide) // 3_600_000_000
    days = []
    for row in owed + back:
        day = _day(returns[:, row - BASE - CURRENT + 1 : row + 1], first_hour + int(row))
        worst = np.fmax.reduce(panel["source_tier"][row - BASE - CURRENT : row + 1], axis=0)
        days.append({**day, "tier": worst})
    return _frames(days, grid, hours.take(owed))


def _day(returns: Floats, hour: int) -> Columns:
    """Everything about one row, ``hour`` hours since 1970; ``returns`` are its two windows."""
    from regime_pipeline.numerics import pairwise

    symbols = returns.shape[0]
    pairs = pairwise.all_pairs(symbols)
    now = np.ascontiguousarray(returns[:, BASE:])
    found, codes = pairwise.pearson_rows(
        now, CURRENT, CURRENT_MIN, hour - CURRENT + 1, CURRENT - 1, pairs
    )
    corr, code = found[:, 0], codes[:, 0]
    there = ~np.isnan(now)
    common = there.astype(np.int64) @ there.T.astype(np.int64)
    ratio = _variance_ratio(returns)
    with np.errstate(invalid="ignore"):
        rise = np.fmax(ratio[pairs[:, 0]], ratio[pairs[:, 1]])
        rise[np.isnan(ratio[pairs]).any(axis=1)] = np.nan
        adjusted = corr / np.sqrt(1.0 + (rise - 1.0) * (1.0 - corr * corr))
    chosen = _members(_square(corr, pairs, symbols), there.sum(axis=1))
    day: dict[str, Any] = {
        "corr_7d": corr,
        "code": code,
        "n_7d": common[pairs[:, 0], pairs[:, 1]],
        "variance_ratio": rise,
        "corr_vol_adjusted": adjusted,
        "young": np.isnan(returns[:, :BASE]).all(axis=1),
        "members": chosen,
    }
    day.update(_matrix(day, now, there, pairs, chosen))
    day.update(_leads(now, there, pairs, chosen, hour))
    return day


def _variance_ratio(returns: Floats) -> Floats:
    """Variance of the current window over that of the baseline, per symbol; two-pass, ddof 1."""
    from regime_pipeline.numerics.rolling import rolling_std

    recent = rolling_std(np.ascontiguousarray(returns[:, BASE:].T), CURRENT, CURRENT_MIN)[-1]
    before = rolling_std(np.ascontiguousarray(returns[:, :BASE].T), BASE, BASE_MIN)[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (recent / before) ** 2
    return np.where(before > 1e-12, ratio, np.nan)


def _square(values: Floats, pairs: npt.NDArray[np.int64], symbols: int) -> Floats:
    out = np.eye(symbols)
    out[pairs[:, 0], pairs[:, 1]] = values
    out[pairs[:, 1], pairs[:, 0]] = values
    return out


def _members(corr: Floats, n_obs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Symbols of the matrix: drop the one with most null pairs until none is null.

    Ties drop the one with fewer returns, then the alphabetically later one.
    """
    members = np.arange(len(corr))
    while members.size:
        nulls = np.isnan(corr[np.ix_(members, members)]).sum(axis=1)
        if not nulls.any():
            break
        members = np.delete(members, np.lexsort((-members, n_obs[members], -nulls))[0])
    return members if members.size > 1 else members[:0]


def _matrix(
    day: Columns,
    now: Floats,
    there: npt.NDArray[np.bool_],
    pairs: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
) -> Columns:
    from regime_pipeline.correlation import matrix_kernels as linear

    null = np.full(len(pairs), np.nan)
    out: dict[str, Any] = {
        "corr_shrunk": null,
        "corr_clipped": null.copy(),
        "distance": null,
        "shrinkage": np.nan,
        "corr_mean": np.nan,
        "absorption_ratio": np.nan,
        "n_absorbing": -1,
        "eigenvalue_min": np.nan,
        "is_psd_repaired": False,
        "tree": None,
    }
    if not chosen.size:
        return out
    symbols, n = len(now), chosen.size
    sample = _square(day["corr_7d"], pairs, symbols)[np.ix_(chosen, chosen)]
    seen = np.ascontiguousarray(there[chosen])
    count = seen.sum(axis=1)
    held = np.where(seen, now[chosen], 0.0)
    centred = np.where(seen, held - (held.sum(axis=1) / count)[:, None], 0.0)
    weight, mean = linear.shrinkage(centred, seen, sample)
    shrunk = weight * mean + (1.0 - weight) * sample
    np.fill_diagonal(shrunk, 1.0)
    values = linear.eigen(shrunk)[0]
    repaired = bool(values[-1] < -PSD_TOLERANCE * n)
    smallest = values[-1]
    if repaired:
        shrunk = linear.nearest_correlation(shrunk)
        values = linear.eigen(shrunk)[0]
    absorbing = max(1, round(n / ABSORBING_PART))
    distance = np.sqrt(np.maximum(0.0, (1.0 - shrunk) / 2.0))
    np.fill_diagonal(distance, 0.0)
    member = np.full(symbols, -1)
    member[chosen] = np.arange(n)
    inside = np.flatnonzero((member[pairs] >= 0).all(axis=1))
    at = tuple(member[pairs[inside]].T)
    for name, matrix in (("corr_shrunk", shrunk), ("distance", distance)):
        out[name] = null.copy()
        out[name][inside] = matrix[at]
    if n > CLIP_ABOVE:
        n_obs = day["n_7d"][inside].sum() / inside.size
        out["corr_clipped"][inside] = linear.clip_eigenvalues(sample, n_obs)[at]
    return {
        **out,
        "shrinkage": weight,
        "corr_mean": mean,
        "absorption_ratio": min(1.0, max(0.0, values[:absorbing].cumsum()[-1] / n)),
        "n_absorbing": absorbing,
        "eigenvalue_min": smallest,
        "is_psd_repaired": repaired,
        "tree": linear.cluster(distance),
    }


def _leads(
    now: Floats,
    there: npt.NDArray[np.bool_],
    pairs: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
    seed: int,
) -> Columns:
    from regime_pipeline.correlation import matrix_kernels as linear

    null = np.full(len(pairs), np.nan)
    out: dict[str, Any] = {
        "best_lag_h": np.full(len(pairs), -1),
        "lead_corr": null,
        "net_lead": null.copy(),
        "leads": np.full(len(pairs), -1),
        "critical_value": np.nan,
        "top": -1,
    }
    if not chosen.size:
        return out
    seen = there[chosen]
    held = np.where(seen, now[chosen], 0.0)
    count = seen.sum(axis=1)
    centred = np.where(seen, held - (held.sum(axis=1) / count)[:, None], 0.0)
    size = np.sqrt((centred * centred).cumsum(axis=1)[:, -1] / count)
    z = np.ascontiguousarray((centred / size[:, None]).T)
    corr, limit = linear.lead_lag(
        z, np.ascontiguousarray(seen.T), LEADS, CURRENT_MIN, seed, REPLICATES, LEVEL
    )
    member = np.full(len(now), -1)
    member[chosen] = np.arange(chosen.size)
    inside = np.flatnonzero((member[pairs] >= 0).all(axis=1))
    a, b = member[pairs[inside]].T
    net = corr[:, a, b] - corr[:, b, a]  # (lags, pairs)
    judged = ~np.isnan(net).all(axis=0)
    inside, a, b, net = inside[judged], a[judged], b[judged], net[:, judged]
    if not inside.size:
        return out
    best = np.nanargmax(np.abs(net), axis=0)
    lead = net[best, np.arange(best.size)]
    a_leads = lead > 0
    out["best_lag_h"][inside] = best + 1
    out["net_lead"][inside] = lead
    out["lead_corr"] = null.copy()
    # a ratio of sums over fewer hours than its scale may pass 1 by a hair
    strength = np.where(a_leads, corr[best, a, b], corr[best, b, a])
    out["lead_corr"][inside] = np.clip(strength, -1.0, 1.0)
    out["critical_value"] = limit
    significant = np.abs(lead) > limit
    first = np.where(a_leads, pairs[inside, 0], pairs[inside, 1])
    out["leads"][inside] = np.where(significant, first, -1)
    if significant.any():
        out["top"] = first[np.argmax(np.where(significant, np.abs(lead), -1.0))]
    return out


def _frames(
    days: list[Columns], grid: Grid, hours: pd.DatetimeIndex
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    from regime_pipeline.numerics import pairwise

    pairs = pairwise.all_pairs(len(grid.symbols))
    version = method_version(METHOD)
    per_pair = {  # (P, days): the key of the tables is pair, then ts
        name: np.stack([d[name] for d in days], axis=1)
        for name in (
            *("corr_7d", "n_7d", "corr_shrunk", "corr_clipped", "corr_vol_adjusted"),
            *("variance_ratio", "distance", "best_lag_h", "lead_corr", "net_lead", "leads", "code"),
        )
    }
    tier = np.stack([np.fmax(*d["tier"][pairs].T) for d in days], axis=1)
    key = {
        "symbol_a": texts(pairs[:, 0].repeat(len(days)), grid.symbols),
        "symbol_b": texts(pairs[:, 1].repeat(len(days)), grid.symbols),
        "ts": hours.take(np.tile(np.arange(len(days)), len(pairs))),
        "source_tier": integers(tier),
        "method_version": texts(np.zeros(tier.size, np.int8), (version,)),
    }
    young = np.stack([d["young"][pairs].any(axis=1) for d in days], axis=1)
    status, reason = _pair_status(per_pair, young)
    matrices = shape(
        {
            **key,
            **{n: v.ravel() for n, v in per_pair.items() if v.dtype.kind == "f"},
            "n_7d": integers(per_pair["n_7d"]),
            "status": texts(status, STATUS_CODES),
            "reason": texts(reason, _REASONS),
        },
        table("correlation.correlation_matrices"),
    )
    net = np.isnan(per_pair["net_lead"])
    outside = np.isnan(per_pair["corr_shrunk"])
    lead_status = np.where(outside, status, np.where(net, _MISSING, _OK))
    lead_reason = np.where(outside, reason, np.where(net, _NO_LEAD, -1))
    limit = np.tile([d["critical_value"] for d in days], (len(pairs), 1))
    leads = shape(
        {
            **key,
            "best_lag_h": integers(per_pair["best_lag_h"]),
            "lead_corr": per_pair["lead_corr"].ravel(),
            "net_lead": per_pair["net_lead"].ravel(),
            "critical_value": np.where(net, np.nan, limit).ravel(),
            "leader": texts(per_pair["leads"], grid.symbols),
            "lead_reason": texts(
                np.where(net, 1, np.where(per_pair["leads"] < 0, 0, -1)), _LEAD_REASONS
            ),
            "status": texts(lead_status, STATUS_CODES),
            "reason": texts(lead_reason, _REASONS),
        },
        table("correlation.lead_lag"),
    )
    return matrices, _structure_frame(days, grid, hours, version), leads


def _pair_status(
    values: Columns, young: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    status = np.where(np.isnan(values["corr_vol_adjusted"]), _PARTIAL, _OK)
    reason = np.where(np.isnan(values["corr_vol_adjusted"]), _NO_BASE, -1)
    outside = np.isnan(values["corr_shrunk"])
    status[outside], reason[outside] = _MISSING, _LEFT_OUT
    short, stuck = values["code"] == 1, values["code"] == 2
    status[short], reason[short] = np.where(young, _YOUNG, _MISSING)[short], _SHORT
    status[stuck], reason[stuck] = _CONSTANT, _STUCK
    return status, reason


def _structure_frame(
    days: list[Columns], grid: Grid, hours: pd.DatetimeIndex, version: str
) -> pd.DataFrame:
    count = np.array([d["members"].size for d in days])
    known = count > 0
    whole = count == len(grid.symbols)
    young = np.array([d["young"].all() for d in days])
    orders, links = [], []
    for day in days:
        order, linkage = _tree(day, grid.symbols)
        orders.append(order)
        links.append(linkage)
    top = np.array([d["top"] for d in days])
    limit = np.array([d["critical_value"] for d in days])
    return shape(
        {
            "ts": hours,
            "n_symbols": integers(count),
            **{
                name: np.array([d[name] for d in days], dtype=np.float64)
                for name in ("shrinkage", "corr_mean", "absorption_ratio", "eigenvalue_min")
            },
            "n_absorbing": integers(np.array([d["n_absorbing"] for d in days])),
            "is_psd_repaired": flags(np.array([d["is_psd_repaired"] for d in days]), known),
            "leaf_order": pd.Series(orders, dtype="str"),
            "linkage": pd.Series(links, dtype="str"),
            "leading_asset": texts(top, grid.symbols),
            "critical_value": limit,
            "lead_reason": texts(
                np.where(np.isnan(limit), 1, np.where(top < 0, 0, -1)), _LEAD_REASONS
            ),
            "status": texts(
                np.where(known, np.where(whole, _OK, _PARTIAL), np.where(young, _YOUNG, _MISSING)),
                STATUS_CODES,
            ),
            "reason": texts(np.where(known, np.where(whole, -1, _SOME_OUT), _NO_MATRIX), _REASONS),
            "source_tier": integers(
                np.array([np.fmax.reduce(d["tier"][d["members"]], initial=-1) for d in days])
            ),
            "method_version": texts(np.zeros(len(days), np.int8), (version,)),
        },
        table("correlation.market_structure"),
    )


def _tree(day: Columns, symbols: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Leaf order and linkage as canonical JSON; heights to 12 digits."""
    if day["tree"] is None:
        return None, None
    children, heights, order = day["tree"]
    n = len(order)
    sizes = [1] * n
    merges = []
    for (left, right), height in zip(children.tolist(), heights.tolist(), strict=True):
        sizes.append(sizes[left] + sizes[right])
        merges.append([left, right, round(height, 12), sizes[-1]])
    leaves = [symbols[day["members"][i]] for i in order]
    return (
        json.dumps(leaves, separators=(",", ":")),
        json.dumps(merges, separators=(",", ":")),
    )
