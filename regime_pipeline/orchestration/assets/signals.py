"""Signal components and the futures score.

Bodies only pass frames on; the functions are in ``regime_pipeline.signals``.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.orchestration.derived import Run, derived
from regime_pipeline.signals import components as momentum
from regime_pipeline.signals import futures_score as futures


@derived(
    "signals.components",
    lookback=momentum.LOOKBACK,
    where={"market.candles_1h": {"market": "perp"}},
)
def components(run: Run, market__candles_1h: pd.DataFrame) -> pd.DataFrame:
    """Signal components."""
    return momentum.components(market__candles_1h, grid=run.grid)


@derived(
    "signals.futures_scores",
    lookback=futures.LOOKBACK,
    where={"market.candles_1h": {"market": "perp"}},
)
def futures_scores(
    run: Run,
    market__liquidations_1h: pd.DataFrame,
    market__funding: pd.DataFrame,
    market__candles_1h: pd.DataFrame,
    market__positioning_1h: pd.DataFrame,
    market__open_interest: pd.DataFrame,
    market__fear_greed: pd.DataFrame,
) -> pd.DataFrame:
    """The 8-factor futures score."""
    return futures.futures_scores(
        market__liquidations_1h,
        market__funding,
        market__candles_1h,
        market__positioning_1h,
        market__open_interest,
        market__fear_greed,
        grid=run.grid,
        params=run.params.futures,
        funding_params=run.params.funding,
    )


ASSETS = (components, futures_scores)
