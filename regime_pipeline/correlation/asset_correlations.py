"""Correlation of hourly spot returns per pair, the test for breaks, and break episodes.

Belongs here: what the columns of ``correlation.asset_correlations`` and
``correlation.correlation_breaks`` mean. Does not belong here: compiled loops (``kernels``), wording
of alerts (``alerts.events``).

Current window: rows h-167..h. Baseline: the 720 rows that end where the current window begins, so
the two never share an hour. All statistics are pairwise complete.
"""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.frames import DTYPES, empty
from regime_pipeline.catalogue.model import Table
from regime_pipeline.catalogue.registry import FIELDS, table
from regime_pipeline.numerics.panel import grid_start_us, to_panel
from regime_pipeline.settings import CorrelationParams, method_version
from regime_pipeline.windows import Grid, parse_lookback

METHOD = "correlation/1"

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

LOOKBACK: dict[str, str] = {"market.candles_1h": "302d"}
"""90 d of machine + 25 lagged weeks + current + baseline + the close before the first return."""

SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
_ALERT = ("WARNING", "CRITICAL", "INFO")
_KINDS = ("start", "escalation", "end")
_BREAK_KINDS = ("DROP", "RISE", "SIGN_FLIP")
_STATUS = ("ok", "partial", "missing", "insufficient_history", "not_applicable")
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


def correlations(
    candles_1h: pd.DataFrame, *, grid: Grid, params: CorrelationParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Correlations of all pairs of the universe, and the hours of open break episodes.

    Args:
        candles_1h: ``market.candles_1h`` with ``LOOKBACK`` before ``grid.start``; only spot counts.
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
        return _nothing("asset_correlations"), _nothing("correlation_breaks")
    wide = grid.widened(parse_lookback(LOOKBACK["market.candles_1h"]))
    spot = candles_1h[candles_1h["market"] == "spot"]
    panel = to_panel(spot, wide, ["close", "source_tier"])
    stats = _statistics(
        np.ascontiguousarray(panel["close"].T), owed, grid_start_us(wide) // 3_600_000_000, params
    )
    version = method_version(METHOD, params)
    tier = _pair_tiers(panel["source_tier"], owed, len(grid.symbols))
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
    """All statistics, pair-major; the last ``owed`` columns are the grid's.

    The machine's rows need p values, those the lagged tests, those the two windows: one sweep over
    the whole stretch costs less than gathering the rows that a few hours would need.
    """
    from scipy.special import ndtr

    from regime_pipeline.correlation import kernels

    returns = kernels.log_returns(close)
    length = close.shape[1]
    judged = length - owed - MACHINE + 1  # first row whose break is judged
    tested = judged - LAG_STEP * LAGS  # first row whose z is needed
    ranks = _rank_tests(returns, tested, owed)
    z = ranks["z"]
    sd = kernels.lagged_sd(z, LAG_STEP, LAGS, LAGS_MIN, judged - tested)
    p_raw = 2.0 * ndtr(-np.abs(z[:, judged - tested :]) / np.maximum(1.0, sd))
    p_break = kernels.benjamini_hochberg(p_raw)
    pearson, code = kernels.rolling_pearson(returns, CURRENT, CURRENT_MIN, judged)
    pearson_base, code_base = kernels.rolling_pearson(
        returns[:, : length - CURRENT], BASE, BASE_MIN, judged - CURRENT
    )
    first = length - owed
    decay = np.exp2(-np.arange(EWMA_SLOTS + 1) / HALF_LIFE)
    usable = kernels.ewma_usable(close, EWMA_SLOTS, EWMA_MAX_MISSING, EWMA_LAST, first)
    ewma = kernels.ewma_correlation(returns, usable, EWMA_SLOTS, CURRENT_MIN, anchor, first, decay)
    return {
        "corr_7d": pearson,
        "code": code,
        "corr_30d_base": pearson_base,
        "code_base": code_base,
        "p_break": p_break,
        "spearman_7d": ranks["now"],
        "spearman_30d_base": ranks["base"],
        "n_7d": ranks["n_now"],
        "n_30d_base": ranks["n_base"],
        "break_z": z[:, first - tested :],
        "break_z_sd": sd[:, MACHINE - 1 :],
        "corr_ewma": ewma,
        **judge(pearson, pearson_base, p_break, params),
    }


def _rank_tests(returns: Floats, tested: int, owed: int) -> dict[str, npt.NDArray[Any]]:
    """Rank tests from row ``tested`` on; coefficients and counts of the owed rows only.

    Worked off in stretches of time, so that a hundred symbols don't need all coefficients of a year
    at once; a stretch costs the ranks of one window before it.
    """
    from regime_pipeline.correlation import kernels

    symbols, length = returns.shape
    pairs = symbols * (symbols - 1) // 2
    stretch = max(1_000, 4_000_000 // pairs)
    z = np.empty((pairs, length - tested))
    kept: dict[str, list[npt.NDArray[Any]]] = {"now": [], "base": [], "n_now": [], "n_base": []}
    for low in range(tested, length, stretch):
        high = min(length, low + stretch)
        now, n_now = kernels.rolling_spearman(returns, CURRENT, CURRENT_MIN, low, high)
        base, n_base = kernels.rolling_spearman(
            returns, BASE, BASE_MIN, low - CURRENT, high - CURRENT
        )
        z[:, low - tested : high - tested] = kernels.fisher_z(now, n_now, base, n_base, RHO_LIMIT)
        skip = max(0, length - owed - low)
        if low + skip >= high:
            continue
        parts: dict[str, npt.NDArray[Any]] = {
            "now": now,
            "base": base,
            "n_now": n_now,
            "n_base": n_base,
        }
        for name, values in parts.items():
            kept[name].append(values[:, skip:])
    return {"z": z, **{name: np.concatenate(found, axis=1) for name, found in kept.items()}}


def _pair_tiers(tier: Floats, owed: int, symbols: int) -> Floats:
    """Worst tier of both symbols over the two windows, (P, owed)."""
    from regime_pipeline.numerics.rolling import rolling_max

    span = CURRENT + BASE + 1
    worst = rolling_max(tier[-(owed + span) :], span, 1)[-owed:].T
    first, second = np.triu_indices(symbols, k=1)
    return np.fmax(worst[first], worst[second])


def _status(
    stats: dict[str, npt.NDArray[Any]], owed: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    code, code_base = stats["code"][:, -owed:], stats["code_base"][:, -owed:]
    p_break = stats["p_break"][:, -owed:]
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


def _texts(codes: npt.NDArray[np.integer[Any]], names: tuple[str, ...]) -> pd.Series:
    """Codes as a text column; -1 is null."""
    return pd.Series(
        pd.array(names, dtype="str").take(codes.ravel(), allow_fill=True, fill_value=pd.NA)
    )


def _flags(values: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> pd.Series:
    return pd.Series(pd.arrays.BooleanArray(values.ravel().copy(), ~known.ravel()))


def _integers(values: npt.NDArray[Any]) -> pd.Series:
    """Whole numbers as Int64; NaN or -1 is null."""
    null = np.isnan(values) | (values < 0)
    return pd.Series(
        pd.arrays.IntegerArray(np.where(null, 0, values).astype(np.int64).ravel(), null.ravel())
    )


def _shape(columns: dict[str, Any], which: Table) -> pd.DataFrame:
    """The columns in the table's order; a dtype other than the catalogue's is a bug."""
    frame = pd.DataFrame({name: columns[name] for name in which.content})
    for name in which.content:
        want = DTYPES[FIELDS[name].kind]
        if str(frame[name].dtype) != want:
            raise TypeError(f"{which.full_name}.{name} is {frame[name].dtype}, not {want}")
    return frame


def _nothing(name: str) -> pd.DataFrame:
    which = table(f"correlation.{name}")
    return empty(which)[list(which.content)]


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
    status, reason = _status(stats, owed)
    columns: dict[str, Any] = {
        "symbol_a": _texts(first, grid.symbols),
        "symbol_b": _texts(second, grid.symbols),
        "ts": grid.hours.take(np.tile(np.arange(owed), len(pairs))),
        "status": _texts(status, _STATUS),
        "reason": _texts(reason, _REASONS),
        "source_tier": _integers(tier),
        "method_version": _texts(np.zeros(len(first), np.int8), (version,)),
    }
    for name in (
        "corr_7d",
        "corr_30d_base",
        "spearman_7d",
        "spearman_30d_base",
        "corr_ewma",
        "rel_drop",
        "abs_change",
        "break_z",
        "break_z_sd",
        "p_break",
    ):
        columns[name] = stats[name][:, -owed:].ravel()
    for name in ("n_7d", "n_30d_base"):
        columns[name] = _integers(stats[name])
    known = stats["known"][:, -owed:]
    for name in ("is_break", "is_rise"):
        columns[name] = _flags(stats[name][:, -owed:], known)
    columns["break_kind"] = _texts(stats["kind"][:, -owed:], _BREAK_KINDS)
    return _shape(columns, table("correlation.asset_correlations"))


def _break_frame(
    stats: dict[str, npt.NDArray[Any]],
    pairs: list[tuple[str, str]],
    grid: Grid,
    tier: Floats,
    version: str,
    params: CorrelationParams,
) -> pd.DataFrame:
    from regime_pipeline.correlation import kernels

    drop = stats["rel_drop"]
    level = classify_drop(drop)
    # a threshold set below 0.5 lets a break fire under the lowest band
    level[stats["is_break"] & (level < 0)] = 0
    answers = kernels.break_episodes(
        np.ascontiguousarray(drop),
        np.ascontiguousarray(stats["is_break"]),
        level,
        MACHINE,
        params.end_rel_drop,
        COOLDOWN,
    )
    pair, row = np.nonzero(answers[:, :, kernels.OUT_OPEN] == 1)
    if not pair.size:
        return _nothing("correlation_breaks")
    answer = answers[pair, row]
    at = row + MACHINE - 1
    drop, level = drop[pair, at], level[pair, at]
    null = np.isnan(drop)
    kind = np.where(stats["corr_7d"][pair, at] < 0, 2, 0)
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
    return _shape(
        {
            "symbol_a": _texts(pair, names_a),
            "symbol_b": _texts(pair, names_b),
            "ts": grid.hours.take(row),
            **{n: stats[n][pair, at] for n in ("corr_7d", "corr_30d_base", "rel_drop", "p_break")},
            "break_kind": _texts(kind, _BREAK_KINDS),
            "break_severity": _texts(level, SEVERITIES),
            "duration_hours": _integers(duration),
            "event_kind": _texts(event, _KINDS),
            "event_severity": _texts(severity, _ALERT),
            "event_ordinal": _integers(answer[:, kernels.OUT_ORDINAL]),
            "episode_start": episode.mask(starts < 0),
            "status": _texts(np.where(null, 2, 0), _STATUS),
            "reason": _texts(np.where(null, 0, -1), ("no_relative_drop",)),
            "source_tier": _integers(tier[pair, row]),
            "method_version": _texts(np.zeros(pair.size, np.int8), (version,)),
        },
        table("correlation.correlation_breaks"),
    )
