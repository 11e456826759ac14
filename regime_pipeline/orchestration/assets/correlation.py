"""Correlations hour by hour, the matrix of the day, and pair signals: three computations.

Bodies only pass frames on; the functions are in ``regime_pipeline.correlation``.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.correlation import asset_correlations as correlation
from regime_pipeline.correlation import market_structure, pair_signals
from regime_pipeline.orchestration.derived import Run, derived, derived_together


@derived_together(
    "correlation.asset_correlations",
    "correlation.correlation_breaks",
    name="correlation__pairs",
    lookback=correlation.LOOKBACK,
    where={"market.candles_1h": {"market": "spot"}},
    whole_universe=True,  # the false-discovery rate is controlled over all pairs
)
def correlations(run: Run, market__candles_1h: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Correlations, and the hours of open break episodes."""
    return correlation.correlations(
        market__candles_1h, grid=run.universe_grid, params=run.params.correlation
    )


@derived_together(
    "correlation.correlation_matrices",
    "correlation.market_structure",
    "correlation.lead_lag",
    name="correlation__structure",
    lookback=market_structure.LOOKBACK,
    where={"market.candles_1h": {"market": "spot"}},
    whole_universe=True,  # shrinkage, clusters and the limit of a lead belong to the universe
)
def structure(
    run: Run, market__candles_1h: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The matrix of the day, what it says of the market, and lead-lag."""
    return market_structure.structures(market__candles_1h, grid=run.universe_grid)


@derived(
    "correlation.pair_signals",
    lookback=pair_signals.LOOKBACK,
    where={"market.candles_1h": {"market": "spot"}},
)
def signals(run: Run, market__candles_1h: pd.DataFrame) -> pd.DataFrame:
    """Pair signals of the run's symbols."""
    return pair_signals.pair_signals(market__candles_1h, grid=run.grid, params=run.params.pairs)


ASSETS = (correlations, structure, signals)
