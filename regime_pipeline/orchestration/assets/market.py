"""Market series from raw datasets: venue choice, the hourly grid, normalised units.

Bodies only pass frames on; the functions are in ``regime_pipeline.market``.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.market import candles, derivatives, funding, sentiment
from regime_pipeline.orchestration.derived import Run, derived


@derived(
    "market.candles_1h",
    lookback=candles.LOOKBACK,
    where={"raw.candles": {"timeframe": "1h", "venue": "settings:candle_venues"}},
)
def candles_1h(run: Run, raw__candles: pd.DataFrame) -> pd.DataFrame:
    """Hourly candles."""
    return candles.candles_1h(raw__candles, grid=run.grid, venues=run.candle_venues)


@derived("market.candles_resampled", lookback=candles.RESAMPLE_LOOKBACK)
def candles_resampled(run: Run, market__candles_1h: pd.DataFrame) -> pd.DataFrame:
    """4h, 1d and 1w candles."""
    return candles.resample(market__candles_1h, grid=run.grid)


@derived(
    "market.funding",
    lookback=funding.LOOKBACK,
    where={"raw.funding_rates": {"venue": "settings:perp_venues"}},
)
def funding_series(run: Run, raw__funding_rates: pd.DataFrame) -> pd.DataFrame:
    """Settled funding prints."""
    venues = {s: v for s, v in run.perp_venues.items() if s in run.symbols}
    return funding.funding(raw__funding_rates, window=run.window, venues=venues)


@derived(
    "market.open_interest",
    lookback=derivatives.OPEN_INTEREST_LOOKBACK,
    where={
        "raw.open_interest": {"source": "settings:open_interest_source"},
        "market.candles_1h": {"market": "perp"},
    },
)
def open_interest(
    run: Run, raw__open_interest: pd.DataFrame, market__candles_1h: pd.DataFrame
) -> pd.DataFrame:
    """Hourly open interest."""
    return derivatives.open_interest(
        raw__open_interest,
        market__candles_1h,
        grid=run.grid,
        venues=run.perp_venues,
        source=run.settings.open_interest_source,
    )


@derived(
    "market.liquidations_1h",
    lookback=derivatives.LIQUIDATIONS_LOOKBACK,
    where={
        "raw.liquidations": {"source": "settings:liquidation_source"},
        "raw.open_interest": {"source": "settings:liquidation_source"},
    },
)
def liquidations_1h(
    run: Run, raw__liquidations: pd.DataFrame, raw__open_interest: pd.DataFrame
) -> pd.DataFrame:
    """Hourly liquidations by side."""
    return derivatives.liquidations_1h(
        raw__liquidations,
        raw__open_interest,
        grid=run.grid,
        source=run.settings.liquidation_source,
        venue=run.settings.liquidation_venue,
    )


@derived(
    "market.positioning_1h",
    lookback=derivatives.POSITIONING_LOOKBACK,
    where={"raw.positioning": {"venue": "settings:perp_venues"}},
)
def positioning_1h(run: Run, raw__positioning: pd.DataFrame) -> pd.DataFrame:
    """Hourly long-short shares."""
    return derivatives.positioning_1h(raw__positioning, grid=run.grid, venues=run.perp_venues)


@derived("market.fear_greed", lookback=sentiment.LOOKBACK)
def fear_greed(run: Run, raw__fear_greed: pd.DataFrame) -> pd.DataFrame:
    """Daily Fear & Greed."""
    return sentiment.fear_greed(raw__fear_greed, window=run.window)


ASSETS = (
    candles_1h,
    candles_resampled,
    funding_series,
    open_interest,
    liquidations_1h,
    positioning_1h,
    fear_greed,
)
