"""Correlation of hourly spot returns per pair, the test for breaks, and break episodes.

Belongs here: what the columns of ``correlation.asset_correlations`` and
``correlation.correlation_breaks`` mean. Does not belong here: compiled loops (``kernels``), wording
of alerts (``alerts.kinds``).

Current window: rows h-167..h. Baseline: the 720 rows that end where the current window begins, so
the two never share an hour. All statistics are pairwise complete.

The definition in words: docs/methods.md, section 6.
"""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.registry import table
from regime_pipeline.correlation.frames import flags, integers, nothing, shape, stored_pairs, texts
from regime_pipeline.market.candles import CLOSES
from regime_pipeline.numerics.panel import grid_start_us, to_panel
from regime_pipeline.settings import CorrelationParams, method_version
from regime_pipeline.windows import Grid

METHOD = "correlation/2"

CURRENT, CURRENT_MIN = 168, 140
BASE, BASE_MIN = 720, 480
LAG_STEP, LAGS, LAGS_MIN = 168, 25, 12
HALF_LIFE = 84
EWMA_SLOTS = math.ceil(HALF_LIFE * math.log2(1e12))
"""Slots of the exponential window: what lies before weighs less than 1e-12."""
EWMA_MAX_MISSING, EWMA_LAST = 20, 3
MACHINE = 90 * 24
"""Hours of the fixed trailing run of the episode machine."""
COOLDOWN = 3
RHO_LIMIT = 1.0 - 1e-8
BASE_TINY = 1e-12
"""A baseline this close to zero has no relative drop."""

SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
_ALERT = ("WARNING", "CRITICAL", "INFO")
_KINDS = ("start", "escalation", "end")
_BREAK_KINDS = ("DROP", "RISE", "SIGN_FLIP")
_REASONS = (
    "under_140_common_returns",
    "constant_returns",
    "under_480_baseline_returns",
    "constant_baseline",
    "under_12_lagged_tests",
    "ranks_constant",
    "ewma_gap",
)

Floats = npt.NDArray[np.float64]


# 90 d of machine + 25 lagged weeks + current + baseline + the close before the first return. Of the whole
# universe: the false-discovery rate is controlled over all pairs.
@derives(
    "correlation.asset_correlations",
    "correlation.correlation_breaks",
    step="correlation__pairs",
    of_universe=True,
    candles_1h=reads("market.candles_1h", "302d", where={"market": "spot"}, columns=CLOSES),
    params="params.correlation",
)
def correlations(
    candles_1h: pd.DataFrame, *, grid: Grid, params: CorrelationParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Correlations of the pairs of the universe, and the hours of open break episodes.

    All pairs are tested; of more than 2,000 those of the leading symbols get rows.

    Args:
        candles_1h: ``market.candles_1h`` with its lookback before ``grid.start``; only spot counts.
        grid: rows owed; its symbols are the whole configured universe, since the false-discovery
            rate is controlled over all pairs of an hour.
        params: thresholds.

    Returns:
        ``correlation.asset_correlations``, one row per pair and hour of the grid, and
        ``correlation.correlation_breaks``, one row per hour of an open episode. corr_7d is the main
        value; ``status`` is ok when nothing is null, partial when corr_7d is there and something
        else is not, else missing / insufficient_history / not_applicable with the reason.

    Sources: Bonett & Wright 2000 (variance of a Spearman coefficient), Benjamini & Hochberg 1995.
    """
    pairs = list(combinations(grid.symbols, 2))
    owed = round((grid.end - grid.start) / timedelta(hours=1))
    if not pairs or not owed:
        return nothing("asset_correlations"), nothing("correlation_breaks")
    wide = grid.widened(reach_of(correlations, "market.candles_1h"))
    spot = candles_1h.loc[candles_1h["market"] == "spot", ["symbol", "ts", "close", "source_tier"]]
    panel = to_panel(spot, wide, ["close", "source_tier"])
    stats = _statistics(
        np.ascontiguousarray(panel["close"].T), owed, grid_start_us(wide) // 3_600_000_000, params
    )
    version = method_version(METHOD, params)
    tier = _pair_tiers(panel["source_tier"], owed, len(grid.symbols))
    kept = stored_pairs(grid.symbols)
    if len(kept) < len(pairs):  # tests were adjusted over all pairs; rows are of some
        pairs, tier = [pairs[i] for i in kept], tier[kept]
        stats = {name: values[kept] for name, values in stats.items()}
    frame = _correlation_frame(stats, pairs, grid, owed, tier, version)
    breaks = _break_frame(stats, pairs, grid, tier, version, params)
    return frame, breaks


def classify_drop(rel_drop: Floats) -> npt.NDArray[np.int8]:
    """Severity by relative drop: [.5,.6) 0 LOW, [.6,.75) 1 MEDIUM, [.75,.9] 2 HIGH, above 3."""
    level = np.full(rel_drop.shape, -1, np.int8)
    level[rel_drop >= 0.5] = 0
    level[rel_drop >= 0.6] = 1
    level[rel_drop >= 0.75] = 2
    level[rel_drop > 0.9] = 3
    return level


def judge(
    current: Floats, base: Floats, p_break: Floats, params: CorrelationParams
) -> dict[str, npt.NDArray[Any]]:
    """Relative drop, change, flags and kind from the two coefficients and the adjusted p.

    Returns:
        ``rel_drop`` and ``abs_change`` (NaN null), ``known`` (whether the flags can be said),
        ``is_break``, ``is_rise``, and ``kind`` as a code of (DROP, RISE, SIGN_FLIP), -1 for none.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        change = current - base
        drop = np.where(np.abs(base) > BASE_TINY, (base - current) / np.abs(base), np.nan)
        known = ~(np.isnan(drop) | np.isnan(p_break))
        unlikely = known & (p_break < params.p_break_max)
        is_break = unlikely & (drop > params.break_rel_drop) & (base >= params.base_min)
        is_rise = unlikely & (change >= params.rise_abs_change)
    kind = np.full(drop.shape, -1, np.int8)
    kind[is_break] = 0
    kind[is_rise] = 1
    kind[is_break & (current < 0)] = 2
    return {
        "rel_drop": drop,
        "abs_change": change,
        "known": known,
        "is_break": is_break,
        "is_rise": is_rise,
        "kind": kind,
    }


def _statistics(
    close: Floats, owed: int, anchor: int, params: CorrelationParams
) -> dict[str, npt.NDArray[Any]]:
    """All statistics of the owed rows, pair-major, and the ``past`` that the machine must know."""
    from regime_pipeline.correlation import kernels
    from regime_pipeline.numerics import pairwise

    returns = kernels.log_returns(close)
    length = close.shape[1]
    first = length - owed
    ranks = _rank_tests(returns, np.arange(first, length))
    p_break = kernels.benjamini_hochberg(ranks["p_raw"])
    pearson, code = pairwise.rolling_pearson(returns, CURRENT, CURRENT_MIN, anchor, first)
    pearson_base, code_base = pairwise.rolling_pearson(
        returns[:, : length - CURRENT], BASE, BASE_MIN, anchor, first - CURRENT
    )
    # the legacy: a month that contains the week, a relative drop alone
    seed_base, _ = pairwise.rolling_pearson(returns, BASE, BASE_MIN, anchor, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        seed_drop = np.where(
            np.abs(seed_base) > BASE_TINY, (seed_base - pearson) / np.abs(seed_base), np.nan
        )
    start = first - EWMA_SLOTS + 1
    recent = np.ascontiguousarray(close[:, start:])
    usable = kernels.ewma_usable(recent, EWMA_SLOTS, EWMA_MAX_MISSING, EWMA_LAST, first - start)
    decay = np.exp2(-np.arange(EWMA_SLOTS + 1) / HALF_LIFE)
    ewma = pairwise.ewma_correlation(
        np.ascontiguousarray(returns[:, start:]),
        usable,
        EWMA_SLOTS,
        CURRENT_MIN,
        anchor + start,
        first - start,
        decay,
    )
    stats: dict[str, npt.NDArray[Any]] = {
        "corr_7d": pearson,
        "code": code,
        "corr_30d_base": pearson_base,
        "code_base": code_base,
        "p_break": p_break,
        "spearman_7d": ranks["now"],
        "spearman_30d_base": ranks["base"],
        "n_7d": ranks["n_now"],
        "n_30d_base": ranks["n_base"],
        "break_z": ranks["z"],
        "break_z_sd": ranks["sd"],
        "corr_ewma": ewma,
        "corr_30d_legacy": seed_base,
        "legacy_known": np.isfinite(seed_drop),
        "is_break_legacy": seed_drop > params.break_rel_drop,
        **judge(pearson, pearson_base, p_break, params),
    }
    past_drop, candidates = _past_drops(returns, anchor, first, params)
    stats["past_fires"] = _past_fires(returns, first, candidates, params)
    stats["past_drop"] = past_drop
    return stats


def _past_drops(
    returns: Floats, anchor: int, first: int, params: CorrelationParams
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Relative drops of the MACHINE - 1 rows before ``first``, and where they may be breaks.

    Looks back only until a pair's machine is surely in its initial state, whatever happened before;
    earlier rows can't matter and read as a drop of 0. Most pairs are quiet within hours.
    """
    from regime_pipeline.correlation import kernels
    from regime_pipeline.numerics import pairwise

    pairs = pairwise.all_pairs(returns.shape[0])
    width = MACHINE - 1
    drop = np.zeros((len(pairs), width))
    candidates = np.zeros((len(pairs), width), np.bool_)
    open_ = np.arange(len(pairs))
    high = width
    for depth in (8, 32, 128, 512, width):
        low = width - depth
        if params.end_rel_drop > params.break_rel_drop and depth < width:
            continue  # a calm hour may fire: nothing is surely quiet
        t = first - width
        now, _ = pairwise.pearson_rows(
            returns[:, : t + high], CURRENT, CURRENT_MIN, anchor, t + low, pairs[open_]
        )
        base, _ = pairwise.pearson_rows(
            returns[:, : t + high - CURRENT],
            BASE,
            BASE_MIN,
            anchor,
            t + low - CURRENT,
            pairs[open_],
        )
        said = judge(now, base, np.zeros(now.shape), params)
        drop[open_, low:high] = said["rel_drop"]
        candidates[open_, low:high] = said["is_break"]
        if params.end_rel_drop <= params.break_rel_drop:
            quiet = kernels.last_quiet(drop[open_, low:], params.end_rel_drop, COOLDOWN)
            before = np.arange(depth) <= quiet[:, None]
            drop[open_, low:] = np.where(before, 0.0, drop[open_, low:])
            candidates[open_, low:] &= ~before
            open_ = open_[quiet < 0]
        if not open_.size:
            break
        high = low
    return drop, candidates


def _past_fires(
    returns: Floats, first: int, candidates: npt.NDArray[np.bool_], params: CorrelationParams
) -> npt.NDArray[np.bool_]:
    """Which candidates are breaks.

    An adjusted p value is never below the raw one, so only rows with a candidate whose own test is
    significant need the tests of all pairs.
    """
    from regime_pipeline.correlation import kernels
    from regime_pipeline.numerics import pairwise

    fires = np.zeros(candidates.shape, np.bool_)
    pairs = pairwise.all_pairs(returns.shape[0])
    back = first - candidates.shape[1]
    concerned = np.flatnonzero(candidates.any(axis=1))
    if not concerned.size:
        return fires
    symbols = np.unique(pairs[concerned])
    inner = np.flatnonzero(np.isin(pairs, symbols).all(axis=1))
    rows = np.flatnonzero(candidates.any(axis=0))
    own = _rank_tests(
        np.ascontiguousarray(returns[symbols]), rows + back, candidates[np.ix_(inner, rows)]
    )["p_raw"]
    suspects = np.zeros((len(pairs), rows.size), np.bool_)
    suspects[inner] = own < params.p_break_max  # null is no suspect
    rows, suspects = rows[suspects.any(axis=0)], suspects[:, suspects.any(axis=0)]
    if rows.size:
        p_break = kernels.benjamini_hochberg(_rank_tests(returns, rows + back)["p_raw"])
        fires[:, rows] = candidates[:, rows] & (p_break < params.p_break_max)
    return fires


def _rank_tests(
    returns: Floats, rows: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The rank test of every pair at the given rows, ascending, against its own lagged tests.

    Worked off in stretches of rows, so that a hundred symbols don't need all coefficients of a year
    at once.

    Args:
        returns: (S, T).
        rows: rows to judge.
        wanted: (P, rows) cells that are needed; the p values of the others mean nothing.

    Returns:
        Coefficients ``now`` and ``base`` with ``n_now`` and ``n_base``, ``z``, ``sd`` and ``p_raw``,
        each (P, rows).
    """
    from scipy.special import ndtr

    from regime_pipeline.correlation import kernels
    from regime_pipeline.numerics.ranks import spearman_rows

    lagged = rows - LAG_STEP * np.arange(LAGS + 1)[:, None]
    needed = np.unique(lagged)
    place = np.searchsorted(needed, lagged)
    pairs = returns.shape[0] * (returns.shape[0] - 1) // 2
    cells = np.ones((0, 0), np.bool_)
    if wanted is not None:
        cells = np.zeros((pairs, needed.size), np.bool_)
        for at in place:
            cells[:, at] |= wanted
    stretch = max(1_000, 4_000_000 // pairs)
    z = np.empty((pairs, needed.size))
    kept: dict[str, list[npt.NDArray[Any]]] = {"now": [], "base": [], "n_now": [], "n_base": []}
    for low in range(0, needed.size, stretch):
        part = needed[low : low + stretch]
        some = cells[:, low : low + stretch]
        now, n_now = spearman_rows(returns, CURRENT, CURRENT_MIN, part, some)
        base, n_base = spearman_rows(returns, BASE, BASE_MIN, part - CURRENT, some)
        z[:, low : low + stretch] = kernels.fisher_z(now, n_now, base, n_base, RHO_LIMIT)
        asked = np.isin(part, rows)
        parts: tuple[npt.NDArray[Any], ...] = (now, base, n_now, n_base)
        for name, values in zip(kept, parts, strict=True):
            kept[name].append(values[:, asked])
    sd = kernels.lagged_sd(z, place[1:], LAGS_MIN)
    z = z[:, place[0]]
    return {
        **{name: np.concatenate(found, axis=1) for name, found in kept.items()},
        "z": z,
        "sd": sd,
        "p_raw": 2.0 * ndtr(-np.abs(z) / np.maximum(1.0, sd)),
    }


def _pair_tiers(tier: Floats, owed: int, symbols: int) -> Floats:
    """Worst tier of both symbols over the two windows, (P, owed)."""
    from regime_pipeline.numerics.rolling import rolling_max

    span = CURRENT + BASE + 1
    worst = rolling_max(tier[-(owed + span) :], span, 1)[-owed:].T
    first, second = np.triu_indices(symbols, k=1)
    return np.fmax(worst[first], worst[second])


def _status(
    stats: dict[str, npt.NDArray[Any]],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    code, code_base, p_break = stats["code"], stats["code_base"], stats["p_break"]
    # later lines win: from what matters least to what matters most
    reason = np.full(code.shape, -1, np.int8)
    reason[np.isnan(stats["corr_ewma"])] = 6
    reason[np.isnan(p_break) & np.isnan(stats["break_z"])] = 5
    reason[np.isnan(stats["break_z_sd"])] = 4
    reason[code_base == 2] = 3
    reason[code_base == 1] = 2
    status = np.where(reason >= 0, 1, 0).astype(np.int8)
    reason[code == 2] = 1
    status[code == 2] = 4
    reason[code == 1] = 0
    # a baseline that is there says the pair had history and lost it
    status[code == 1] = np.where(code_base == 1, 3, 2)[code == 1]
    return status, reason


def _correlation_frame(
    stats: dict[str, npt.NDArray[Any]],
    pairs: list[tuple[str, str]],
    grid: Grid,
    owed: int,
    tier: Floats,
    version: str,
) -> pd.DataFrame:
    first = np.array([grid.symbols.index(a) for a, _ in pairs]).repeat(owed)
    second = np.array([grid.symbols.index(b) for _, b in pairs]).repeat(owed)
    status, reason = _status(stats)
    columns: dict[str, Any] = {
        "symbol_a": texts(first, grid.symbols),
        "symbol_b": texts(second, grid.symbols),
        "ts": grid.hours.take(np.tile(np.arange(owed), len(pairs))),
        "status": texts(status, STATUS_CODES),
        "reason": texts(reason, _REASONS),
        "source_tier": integers(tier),
        "method_version": texts(np.zeros(len(first), np.int8), (version,)),
    }
    for name in (
        "corr_7d",
        "corr_30d_base",
        "spearman_7d",
        "spearman_30d_base",
        "corr_ewma",
        "corr_30d_legacy",
        "rel_drop",
        "abs_change",
        "break_z",
        "break_z_sd",
        "p_break",
    ):
        columns[name] = stats[name].ravel()
    for name in ("n_7d", "n_30d_base"):
        columns[name] = integers(stats[name])
    for name in ("is_break", "is_rise"):
        columns[name] = flags(stats[name], stats["known"])
    columns["is_break_legacy"] = flags(stats["is_break_legacy"], stats["legacy_known"])
    columns["break_kind"] = texts(stats["kind"], _BREAK_KINDS)
    return shape(columns, table("correlation.asset_correlations"))


def _break_frame(
    stats: dict[str, npt.NDArray[Any]],
    pairs: list[tuple[str, str]],
    grid: Grid,
    tier: Floats,
    version: str,
    params: CorrelationParams,
) -> pd.DataFrame:
    from regime_pipeline.correlation import kernels

    # a pair none of whose hours fired has no episode
    some = np.flatnonzero(stats["past_fires"].any(axis=1) | stats["is_break"].any(axis=1))
    drop = np.concatenate([stats["past_drop"][some], stats["rel_drop"][some]], axis=1)
    fires = np.concatenate([stats["past_fires"][some], stats["is_break"][some]], axis=1)
    level = classify_drop(drop)
    # a threshold set below 0.5 lets a break fire under the lowest band
    level[fires & (level < 0)] = 0
    answers = kernels.break_episodes(drop, fires, level, MACHINE, params.end_rel_drop, COOLDOWN)
    found, row = np.nonzero(answers[:, :, kernels.OUT_OPEN] == 1)
    if not found.size:
        return nothing("correlation_breaks")
    answer = answers[found, row]
    at = row + MACHINE - 1
    drop, level = drop[found, at], level[found, at]
    pair = some[found]
    null = np.isnan(drop)
    kind = np.where(stats["corr_7d"][pair, row] < 0, 2, 0)
    kind[null] = -1
    starts = answer[:, kernels.OUT_START]
    event, event_level = answer[:, kernels.OUT_KIND], answer[:, kernels.OUT_LEVEL]
    severity = np.where(event_level >= 2, 1, 0)
    severity[event == kernels.KIND_END] = 2
    severity[event < 0] = -1
    begin = np.where(starts < 0, at, starts)
    episode = pd.Series(grid.hours.take(row) - pd.to_timedelta(at - begin, unit="h")).dt.as_unit(
        "us"
    )
    duration = np.where(starts < 0, -1, at - begin)
    names_a, names_b = (tuple(p[i] for p in pairs) for i in (0, 1))
    return shape(
        {
            "symbol_a": texts(pair, names_a),
            "symbol_b": texts(pair, names_b),
            "ts": grid.hours.take(row),
            **{n: stats[n][pair, row] for n in ("corr_7d", "corr_30d_base", "rel_drop", "p_break")},
            "break_kind": texts(kind, _BREAK_KINDS),
            "break_severity": texts(level, SEVERITIES),
            "duration_hours": integers(duration),
            "event_kind": texts(event, _KINDS),
            "event_severity": texts(severity, _ALERT),
            "event_ordinal": integers(answer[:, kernels.OUT_ORDINAL]),
            "episode_start": episode.mask(starts < 0),
            "status": texts(np.where(null, 2, 0), STATUS_CODES),
            "reason": texts(np.where(null, 0, -1), ("no_relative_drop",)),
            "source_tier": integers(tier[pair, row]),
            "method_version": texts(np.zeros(pair.size, np.int8), (version,)),
        },
        table("correlation.correlation_breaks"),
    )
