"""Regime labels over several timeframes.

Bodies only pass frames on; the functions are in ``regime_pipeline.regimes``.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.orchestration.derived import Run, derived
from regime_pipeline.regimes import timeframe_regimes as timeframes


@derived(
    "regimes.timeframe_regimes",
    lookback=timeframes.LOOKBACK,
    where={"market.candles_1h": {"market": "spot"}},
    columns=timeframes.COLUMNS,
)
def timeframe_regimes(run: Run, market__candles_1h: pd.DataFrame) -> pd.DataFrame:
    """Labels on 1h, 4h, 1d and 1w bars."""
    return timeframes.timeframe_regimes(
        market__candles_1h, grid=run.grid, params=run.params.timeframes
    )


ASSETS = (timeframe_regimes,)
