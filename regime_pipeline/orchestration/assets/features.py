"""Features: cascades, funding statistics, volatility regimes.

Bodies only pass frames on; the functions are in ``regime_pipeline.features``.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.features import funding_anomalies as funding
from regime_pipeline.features import funding_outcomes as outcomes
from regime_pipeline.features import liquidation_cascades as cascades
from regime_pipeline.features import volatility_regimes as volatility
from regime_pipeline.orchestration.derived import Run, derived


@derived(
    "features.liquidation_cascades",
    lookback=cascades.LOOKBACK,
    where={
        "market.candles_1h": {"market": "perp"},
        "raw.liquidation_events": {"source": "settings:liquidation_order_source"},
    },
    whole_universe=cascades.OF_UNIVERSE,
    columns=cascades.COLUMNS,
)
def liquidation_cascades(
    run: Run,
    market__liquidations_1h: pd.DataFrame,
    market__open_interest: pd.DataFrame,
    market__candles_1h: pd.DataFrame,
    raw__liquidation_events: pd.DataFrame,
) -> pd.DataFrame:
    """Liquidation cascades."""
    return cascades.liquidation_cascades(
        market__liquidations_1h,
        market__open_interest,
        market__candles_1h,
        raw__liquidation_events,
        grid=run.grid,
        params=run.params.cascades,
        order_source=run.settings.liquidation_order_source,
    )


@derived("features.funding_prints", lookback=funding.LOOKBACK)
def funding_prints(run: Run, market__funding: pd.DataFrame) -> pd.DataFrame:
    """Funding prints and what judges them."""
    return funding.funding_prints(
        market__funding, window=run.window, symbols=run.symbols, params=run.params.funding
    )


@derived(
    "features.funding_outcomes",
    lookback=outcomes.LOOKBACK,
    where={"market.candles_1h": {"market": "perp"}},
)
def funding_outcomes(
    run: Run, features__funding_prints: pd.DataFrame, market__candles_1h: pd.DataFrame
) -> pd.DataFrame:
    """What followed on past anomalies."""
    return outcomes.funding_outcomes(
        features__funding_prints,
        market__candles_1h,
        window=run.window,
        symbols=run.symbols,
        params=run.params.funding,
    )


@derived(
    "features.funding_anomalies",
    lookback=funding.HOURLY_LOOKBACK,
    all_stored=funding.HOURLY_ALL_STORED,
)
def funding_anomalies(
    run: Run,
    features__funding_prints: pd.DataFrame,
    features__funding_outcomes: pd.DataFrame,
    market__funding_predicted_1h: pd.DataFrame,
) -> pd.DataFrame:
    """The newest print at each hour."""
    return funding.funding_anomalies(
        features__funding_prints,
        features__funding_outcomes,
        market__funding_predicted_1h,
        grid=run.grid,
        params=run.params.funding,
    )


@derived(
    "features.volatility_regimes",
    lookback=volatility.LOOKBACK,
    where={"market.candles_1h": {"market": "spot"}},
    columns=volatility.COLUMNS,
)
def volatility_regimes(run: Run, market__candles_1h: pd.DataFrame) -> pd.DataFrame:
    """Volatility regimes."""
    return volatility.volatility_regimes(
        market__candles_1h, grid=run.grid, params=run.params.volatility
    )


ASSETS = (
    liquidation_cascades,
    funding_prints,
    funding_outcomes,
    funding_anomalies,
    volatility_regimes,
)
