"""Confluence: what the single components say together, and how many of them really speak.

Belongs here: the weighted mean, its alignment and coverage, the effective number of components, the
decorrelated mean. Does not belong here: the components (``components``), their correlations as a table
(``signal_correlations``).

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.fields.signals import SINGLE_COMPONENTS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    from_panel,
    grid_length,
    grid_start_us,
    to_panel,
)
from regime_pipeline.settings import SignalParams, method_version
from regime_pipeline.signals.scores import (
    BEARISH_TO,
    BULLISH_FROM,
    direction_text,
    strength_of,
    text_of,
    worst_tier,
)
from regime_pipeline.windows import HOUR, Grid

METHOD = "confluence/1"

DAY_H = 24
MATRIX_DAYS = 90
SAMPLE_H = 2
"""Every second hour enters the matrix: ranks of more rows would not fit the integers that hold them."""
MIN_PAIRS = 100
"""Common hours among those that a correlation needs: 200 hours of both scores."""
_REASONS = ("components_missing", "too_few_components", "no_component", "none_expected")
_MATRIX_REASONS = ("under_200_common_hours", "too_few_components")


# The matrix of a day stands on the 90 d before it; a grid may begin in the middle of a day.
@derives(
    "signals.confluence",
    components=reads(
        "signals.components",
        "91d",
        columns=(
            "symbol",
            "ts",
            *(f"{name}_score" for name in SINGLE_COMPONENTS),
            "left_out",
            "source_tier",
        ),
    ),
    params="params.signals",
)
def confluence(components: pd.DataFrame, *, grid: Grid, params: SignalParams) -> pd.DataFrame:
    """The confluence of every symbol and hour of the grid.

    ``confluence_score`` is the weighted mean of the components present, the weights scaled to those;
    ``alignment = |sum w sgn(s - 50)| / sum w``. Components that are not applicable or not configured are
    no part of it (``left_out`` of the components). A row needs ``max(min_components,
    ceil(min_share x expected))`` of those expected.

    ``n_eff = n^2 / sum r^2`` of the components present (the participation ratio of the eigenvalues), r
    the Spearman correlations of the symbol's own scores over the 90 d before the row's day, every second
    hour, 200 h of both a pair. ``confluence_decorrelated`` weighs the scores by generalised least
    squares on the same matrix, shrunk to the identity, negative weights left out.
    ``confluence_confidence = coverage x alignment x sqrt(n_eff / n)``, null without n_eff.

    Args:
        components: rows of ``signals.components`` from the lookback before the grid.
        grid: rows owed.
        params: weights and minimums.

    Returns:
        Content columns of ``signals.confluence``, the whole grid, sorted by key. ``ok`` with every
        expected component, ``partial`` with enough, else null.

    Raises:
        ValueError: a weight names no component, is negative, or all are 0.

    Sources: Bun, Bouchaud & Potters 2017 (effective rank); Aitken 1936.
    """
    from regime_pipeline.signals import confluence_kernels as kernels

    lookback = reach_of(confluence, "signals.components")
    wide = grid.widened(lookback)
    names = [f"{name}_score" for name in SINGLE_COMPONENTS]
    rows, width = grid_length(grid), len(grid.symbols)
    panels = to_panel(components, wide, [*names, "source_tier"])
    expected = _expected(components, grid)
    day, matrices = _matrices(panels, names, wide, rows)
    weights = _weights(params)
    scores = np.stack([panels[n][-rows:] for n in names], axis=-1)  # hours x symbols x components
    scores[..., weights == 0.0] = np.nan
    expected[..., weights == 0.0] = False
    found = np.full((rows * width, 6), np.nan)
    kernels.combine(
        np.ascontiguousarray(scores.reshape(rows * width, -1)),
        np.ascontiguousarray(expected.reshape(rows * width, -1)),
        weights,
        np.ascontiguousarray((day[:, None] * width + np.arange(width)).reshape(-1)),
        matrices,
        params.shrinkage,
        found,
    )
    tier = worst_tier(panels["source_tier"], lookback // HOUR)[-rows:]
    return _frame(found.reshape(rows, width, 6), scores, expected, tier, grid, params)


def _weights(params: SignalParams) -> FloatPanel:
    unknown = sorted(set(params.weights) - set(SINGLE_COMPONENTS))
    found = np.array([params.weights.get(name, 1.0) for name in SINGLE_COMPONENTS])
    if unknown or found.min() < 0.0 or found.sum() <= 0.0:
        raise ValueError(
            f"component weights are 0 or more over {SINGLE_COMPONENTS}, one of them more; "
            f"got {params.weights}"
        )
    return found


def _expected(components: pd.DataFrame, grid: Grid) -> npt.NDArray[np.bool_]:
    """Which components each owed row should have: hours x symbols x components; all where no row."""
    own = components[components["ts"] >= pd.Timestamp(grid.start)]
    codes, texts = pd.factorize(own["left_out"].fillna(""))
    code = to_panel(own.assign(code=codes.astype("float64")), grid, ("code",))["code"]
    listed = np.array(
        [[name not in text.split(",") for name in SINGLE_COMPONENTS] for text in texts]
        + [[True] * len(SINGLE_COMPONENTS)]
    )
    return listed[np.where(np.isfinite(code), code, len(texts)).astype(np.intp)]


def _matrices(
    panels: dict[str, FloatPanel], names: list[str], wide: Grid, rows: int
) -> tuple[npt.NDArray[np.int64], FloatPanel]:
    """The matrix number (day, then symbol) of each owed hour, and the matrices."""
    from regime_pipeline.numerics.pairwise import all_pairs
    from regime_pipeline.numerics.ranks import spearman_rows

    length, width = panels[names[0]].shape
    first = grid_start_us(wide) // HOUR_US
    hour = first + np.arange(length)
    kept = np.flatnonzero(hour % SAMPLE_H == SAMPLE_H - 1)  # the last hour of a day is one of them
    days = hour[length - rows :] // DAY_H
    ends = np.searchsorted(hour[kept], np.arange(days[0], days[-1] + 1) * DAY_H) - 1
    window = MATRIX_DAYS * DAY_H // SAMPLE_H
    pairs = all_pairs(len(names))
    matrices = np.full((len(ends), width, len(names), len(names)), np.nan)
    everything: npt.NDArray[np.bool_] = np.ones((0, 0), np.bool_)
    for symbol in range(width):
        series = np.stack([panels[n][kept, symbol] for n in names])
        rho, _ = spearman_rows(series, window, MIN_PAIRS, ends, everything)
        matrices[:, symbol, pairs[:, 0], pairs[:, 1]] = rho.T
        matrices[:, symbol, pairs[:, 1], pairs[:, 0]] = rho.T
    matrices[..., np.arange(len(names)), np.arange(len(names))] = 1.0
    return days - days[0], matrices.reshape(-1, len(names), len(names))


def _frame(
    found: FloatPanel,
    scores: FloatPanel,
    expected: npt.NDArray[np.bool_],
    tier: FloatPanel,
    grid: Grid,
    params: SignalParams,
) -> pd.DataFrame:
    score, alignment, coverage, n_eff, decorrelated, n = (found[..., i] for i in range(6))
    due = expected.sum(axis=-1)
    missing = (expected & ~np.isfinite(scores)).sum(axis=-1)
    needed = np.maximum(params.min_components, np.ceil(params.min_share * due - 1e-9))
    enough = (n >= needed) & np.isfinite(score)

    def shown(panel: FloatPanel) -> FloatPanel:
        return np.where(enough, panel, np.nan)

    status = np.where(enough, np.where(missing > 0, 1, 0), np.where(due > 0, 2, 4))
    reason = np.where(enough, np.where(missing > 0, 0, -1), np.where(n > 0, 1, 2))
    reason[due == 0] = 3
    no_matrix = np.where(enough, np.where(np.isfinite(n_eff), -1, 0), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence = coverage * alignment * np.sqrt(np.minimum(1.0, n_eff / n))
    panels = {
        "confluence_score": shown(score),
        "confluence_strength": strength_of(shown(score)),
        "confluence_confidence": shown(confidence),
        "confluence_decorrelated": shown(decorrelated),
        "alignment": shown(alignment),
        "component_coverage": coverage,
        "n_eff": shown(n_eff),
        "bullish_n": (scores >= BULLISH_FROM).sum(axis=-1).astype("float64"),
        "bearish_n": (scores <= BEARISH_TO).sum(axis=-1).astype("float64"),
        "neutral_n": ((scores > BEARISH_TO) & (scores < BULLISH_FROM))
        .sum(axis=-1)
        .astype("float64"),
        "missing_n": missing.astype("float64"),
        "source_tier": tier,
    }
    target = table("signals.confluence")
    frame = from_panel(grid, panels).assign(
        confluence_direction=direction_text(shown(score)),
        n_eff_reason=text_of(no_matrix, _MATRIX_REASONS),
        status=text_of(status, STATUS_CODES),
        reason=text_of(reason, _REASONS),
        method_version=method_version(METHOD, params),
    )
    columns = list(target.content)
    return conform(frame[columns], target)[columns]
