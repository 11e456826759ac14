"""How the components move together: one matrix a symbol and day, and one of all symbols together.

Belongs here: Spearman correlations of published scores, and partial ones. Does not belong here: the
matrix behind the confluence, which ends before the day (``confluence``); correlations of assets
(``correlation``).

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import COMPONENTS, STATUS_CODES
from regime_pipeline.catalogue.fields.signals import SINGLE_COMPONENTS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import FloatPanel, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.signals.scores import worst_tier
from regime_pipeline.windows import HOUR, Grid

METHOD = "signal_correlations/1"
POOLED_METHOD = "signal_correlations_pooled/1"

NAMES = tuple(sorted(COMPONENTS))
WINDOW_H, MIN_HOURS = 720, 200
HOUR_OF_DAY = 23
_REASONS = ("under_200_common_hours", "constant_score", "not_applicable_or_not_configured")


@derives(
    "correlation.signal_correlations",
    components=reads(
        "signals.components",
        "30d",
        columns=("symbol", "ts", *(f"{n}_score" for n in SINGLE_COMPONENTS), "source_tier"),
    ),
    confluence=reads("signals.confluence", "30d", columns=("symbol", "ts", "confluence_score")),
)
def signal_correlations(
    components: pd.DataFrame, confluence: pd.DataFrame, *, grid: Grid
) -> pd.DataFrame:
    """Spearman correlation of each pair of components over the 720 hours to every 23:00 row.

    Pairwise complete, at least 200 common hours (``n_obs`` says how many), nothing imputed; a score that
    never moves has no correlation. ``partial_corr`` is the correlation given all other components, from
    the matrix of those whose pairs are all known; the confluence, a function of the others, is left out
    of it.

    Args:
        components: rows of ``signals.components`` with the lookback before the grid.
        confluence: rows of ``signals.confluence``, the same.
        grid: hours owed; its 23:00 rows are put out.

    Returns:
        Content columns of ``correlation.signal_correlations``, sorted by key: per symbol 55 pairs a day,
        ``component_a`` before ``component_b`` in the alphabet.
    """
    from regime_pipeline.numerics.pairwise import all_pairs
    from regime_pipeline.numerics.ranks import spearman_rows

    target = table("correlation.signal_correlations")
    columns = list(target.content)
    lookback = reach_of(signal_correlations, "signals.components")
    wide = grid.widened(lookback)
    back = lookback // HOUR
    owed = np.flatnonzero(grid.hours.hour == HOUR_OF_DAY)
    panels = to_panel(components, wide, [*(f"{n}_score" for n in SINGLE_COMPONENTS), "source_tier"])
    panels |= to_panel(confluence, wide, ["confluence_score"])
    tier = worst_tier(panels["source_tier"], back)[back + owed] if owed.size else np.empty((0, 0))
    pairs = all_pairs(len(NAMES))
    parts = []
    for at, symbol in enumerate(grid.symbols if owed.size else ()):
        series = np.stack([panels[f"{name}_score"][:, at] for name in NAMES])
        rho, common = spearman_rows(
            series, WINDOW_H, MIN_HOURS, back + owed, np.ones((0, 0), np.bool_)
        )
        seen = np.isfinite(series)
        empty = ~np.stack([seen[:, r - WINDOW_H + 1 : r + 1].any(axis=1) for r in back + owed], 1)
        parts.append(_of_symbol(symbol, rho, common, empty, tier[:, at], pairs, grid, owed))
    if not parts:
        return conform(pd.DataFrame(columns=columns), target)[columns]
    return conform(pd.concat(parts, ignore_index=True)[columns], target)[columns]


@derives(
    "correlation.signal_correlations_pooled",
    of_universe=True,
    signal_correlations_1d=reads("correlation.signal_correlations"),
)
def signal_correlations_pooled(signal_correlations_1d: pd.DataFrame, *, grid: Grid) -> pd.DataFrame:
    """The matrix of all symbols together: the mean of theirs, weighted by their common hours.

    A pair is the mean over the symbols that have its correlation; ``n_symbols`` says how many,
    ``n_obs`` how many hours they have together. Levels of symbols are never mixed: what differs between
    two coins and not within either makes no correlation here. ``partial_corr`` is worked out from this
    matrix as that of a symbol is from its own.

    Args:
        signal_correlations_1d: ``correlation.signal_correlations`` of every configured symbol.
        grid: hours owed; its 23:00 rows are put out.

    Returns:
        Content columns of ``correlation.signal_correlations_pooled``, 55 pairs a day, sorted by key. A pair
        that no symbol has is ``missing``, ``no_symbol_has_one``.
    """
    target = table("correlation.signal_correlations_pooled")
    columns = list(target.content)
    days = grid.hours[grid.hours.hour == HOUR_OF_DAY]
    pairs = [(a, b) for a in NAMES for b in NAMES if a < b]
    shape = (len(pairs), len(days))
    total, weight, symbols = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    tier = np.full(shape, np.nan)
    known = signal_correlations_1d[signal_correlations_1d["signal_corr"].notna()]
    row = {pair: at for at, pair in enumerate(pairs)}
    # one symbol after another, in their order: the sums are the same in any company
    for _, own in known.sort_values("symbol", kind="stable").groupby("symbol", sort=True):
        day = days.get_indexer(pd.DatetimeIndex(own["ts"]))
        own, day = own[day >= 0], day[day >= 0]
        at = [row[pair] for pair in zip(own["component_a"], own["component_b"], strict=True)], day
        hours = own["n_obs"].to_numpy("float64")
        total[at] += hours * own["signal_corr"].to_numpy("float64")
        weight[at] += hours
        symbols[at] += 1
        tier[at] = np.fmax(tier[at], own["source_tier"].to_numpy("float64", na_value=np.nan))
    there = symbols > 0
    rho = np.divide(total, weight, out=np.full(shape, np.nan), where=there)
    rho = np.clip(rho, -1.0, 1.0)
    names = np.array(pairs, dtype=object)
    numbers = np.array([(NAMES.index(a), NAMES.index(b)) for a, b in pairs])
    partial = [_partial(rho[:, day], numbers) for day in range(len(days))]
    frame = pd.DataFrame(
        {
            "component_a": names[:, 0].repeat(len(days)),
            "component_b": names[:, 1].repeat(len(days)),
            "ts": days.take(np.tile(np.arange(len(days)), len(pairs))),
            "signal_corr": rho.reshape(-1),
            "partial_corr": np.stack(partial, axis=1).reshape(-1) if partial else np.empty(0),
            "n_obs": weight.reshape(-1),
            "n_symbols": symbols.reshape(-1),
            "status": np.where(there, "ok", "missing").reshape(-1),
            "reason": np.where(there, np.array(None), "no_symbol_has_one").reshape(-1),
            "source_tier": tier.reshape(-1),
            "method_version": method_version(POOLED_METHOD),
        }
    )
    return conform(frame[columns], target)[columns]


def _of_symbol(
    symbol: str,
    rho: FloatPanel,
    common: npt.NDArray[Any],
    empty: npt.NDArray[np.bool_],
    tier: FloatPanel,
    pairs: npt.NDArray[np.int64],
    grid: Grid,
    owed: npt.NDArray[np.intp],
) -> pd.DataFrame:
    """Rows of one symbol; ``rho`` and ``common`` are (pairs, days), ``empty`` (components, days)."""
    partial = np.stack([_partial(rho[:, day], pairs) for day in range(len(owed))], axis=1)
    absent = empty[pairs[:, 0]] | empty[pairs[:, 1]]
    few = common < MIN_HOURS
    status = np.where(np.isfinite(rho), 0, np.where(absent, 2, np.where(few, 3, 2)))
    reason = np.where(np.isfinite(rho), -1, np.where(absent, 2, np.where(few, 0, 1)))
    names = np.array(NAMES, dtype=object)
    days = len(owed)
    flat = reason.reshape(-1)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "component_a": names[pairs[:, 0]].repeat(days),
            "component_b": names[pairs[:, 1]].repeat(days),
            "ts": grid.hours.take(np.tile(owed, len(pairs))),
            "signal_corr": np.clip(rho, -1.0, 1.0).reshape(-1),
            "partial_corr": partial.reshape(-1),
            "n_obs": common.reshape(-1).astype("float64"),
            "status": np.array(STATUS_CODES, dtype=object)[status.reshape(-1)],
            "reason": np.array([*_REASONS, None], dtype=object)[flat],
            "source_tier": np.tile(tier, len(pairs)),
            "method_version": method_version(METHOD),
        }
    )


def _partial(rho: FloatPanel, pairs: npt.NDArray[np.int64]) -> FloatPanel:
    """Partial correlation of every pair of one day."""
    from regime_pipeline.signals.confluence_kernels import partial_correlations

    count = len(NAMES)
    square = np.eye(count)
    square[pairs[:, 0], pairs[:, 1]] = rho
    square[pairs[:, 1], pairs[:, 0]] = rho
    members = np.array([i for i, name in enumerate(NAMES) if name != "confluence"])
    while members.size:
        nulls = np.isnan(square[np.ix_(members, members)]).sum(axis=1)
        if not nulls.any():
            break
        members = np.delete(members, np.lexsort((-members, -nulls))[0])
    full = np.full((count, count), np.nan)
    if members.size > 1:
        out = np.empty((members.size, members.size))
        if partial_correlations(np.ascontiguousarray(square[np.ix_(members, members)]), out):
            full[np.ix_(members, members)] = out
    return full[pairs[:, 0], pairs[:, 1]]
