"""Market series from raw datasets: venue choice, the hourly grid, normalised units.

Bodies only pass frames on; the functions are in ``regime_pipeline.market``.
"""

from __future__ import annotations

import pandas as pd

from regime_pipeline.market import (
    candles,
    derivatives,
    funding,
    order_book,
    proxies,
    sentiment,
    trade_flow,
    whales,
)
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
    "market.funding_predicted_1h",
    lookback=funding.PREDICTED_LOOKBACK,
    where={"raw.funding_predictions": {"venue": "settings:perp_venues"}},
)
def funding_predicted_1h(
    run: Run, raw__funding_predictions: pd.DataFrame, market__funding: pd.DataFrame
) -> pd.DataFrame:
    """The running estimate of the coming settlement."""
    return funding.funding_predicted_1h(
        raw__funding_predictions, market__funding, grid=run.grid, venues=run.perp_venues
    )


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
    whole_universe=("raw.liquidations",),  # an hour without any coin's is no silence
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


@derived("market.order_book_1h", lookback=order_book.LOOKBACK)
def order_book_1h(run: Run, raw__order_book: pd.DataFrame) -> pd.DataFrame:
    """Hourly order book."""
    return order_book.order_book_1h(raw__order_book, grid=run.grid, venues=run.candle_venues)


@derived(
    "market.trade_flow_1h",
    lookback=trade_flow.LOOKBACK,
    where={"raw.candles": {"timeframe": "1h"}},
)
def trade_flow_1h(
    run: Run, raw__trade_flow: pd.DataFrame, raw__candles: pd.DataFrame
) -> pd.DataFrame:
    """Hourly trade flow."""
    return trade_flow.trade_flow_1h(
        raw__trade_flow, raw__candles, grid=run.grid, venues=run.candle_venues
    )


@derived(
    "market.sentiment_1h",
    lookback=sentiment.SENTIMENT_LOOKBACK,
    where={"raw.sentiment": {"sentiment_scope": "symbol"}},
)
def sentiment_1h(run: Run, raw__sentiment: pd.DataFrame) -> pd.DataFrame:
    """Hourly mood of each coin."""
    return sentiment.sentiment_1h(
        raw__sentiment, grid=run.grid, sources=run.settings.sentiment_source_by_kind
    )


@derived("market.whale_flow_1h", lookback=whales.LOOKBACK)
def whale_flow_1h(run: Run, raw__whale_transfers: pd.DataFrame) -> pd.DataFrame:
    """Flows of large holders onto and off exchanges."""
    return whales.whale_flow_1h(
        raw__whale_transfers, grid=run.grid, source=run.settings.whale_source
    )


@derived("market.proxies_1h", lookback=proxies.LOOKBACK)
def proxies_1h(
    run: Run,
    market__candles_1h: pd.DataFrame,
    market__funding: pd.DataFrame,
    market__open_interest: pd.DataFrame,
    market__fear_greed: pd.DataFrame,
) -> pd.DataFrame:
    """Substitutes under their own names."""
    return proxies.proxies_1h(
        market__candles_1h,
        market__funding,
        market__open_interest,
        market__fear_greed,
        grid=run.grid,
    )


ASSETS = (
    candles_1h,
    candles_resampled,
    funding_series,
    funding_predicted_1h,
    open_interest,
    liquidations_1h,
    positioning_1h,
    fear_greed,
    order_book_1h,
    trade_flow_1h,
    sentiment_1h,
    whale_flow_1h,
    proxies_1h,
)
