"""Asset correlations and their breaks: two tables of one computation.

Bodies only pass frames on; the functions are in ``regime_pipeline.correlation``.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.correlation import asset_correlations as correlation
from regime_pipeline.orchestration.derived import Run, derived_together


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


ASSETS = (correlations,)
