"""Regime labels over several timeframes.

Bodies only pass frames on; the functions are in ``regime_pipeline.regimes``.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.orchestration.derived import Run, derived
from regime_pipeline.regimes import timeframe_confidence as held
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


@derived(
    "regimes.timeframe_outcomes",
    lookback=held.OUTCOMES_LOOKBACK,
    where={"market.candles_1h": {"market": "spot"}},
)
def timeframe_outcomes(
    run: Run, regimes__timeframe_regimes: pd.DataFrame, market__candles_1h: pd.DataFrame
) -> pd.DataFrame:
    """What became of directed primaries."""
    return held.timeframe_outcomes(regimes__timeframe_regimes, market__candles_1h, grid=run.grid)


@derived(
    "regimes.timeframe_confidence",
    lookback=held.CONFIDENCE_LOOKBACK,
    all_stored=held.CONFIDENCE_ALL_STORED,
)
def timeframe_confidence(
    run: Run,
    regimes__timeframe_regimes: pd.DataFrame,
    regimes__timeframe_outcomes: pd.DataFrame,
) -> pd.DataFrame:
    """Confidence in the primary regime, calibrated on its outcomes."""
    return held.timeframe_confidence(
        regimes__timeframe_regimes, regimes__timeframe_outcomes, grid=run.grid
    )


ASSETS = (timeframe_regimes, timeframe_outcomes, timeframe_confidence)
