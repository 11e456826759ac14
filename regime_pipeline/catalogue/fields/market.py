"""Prices, volumes, derivatives and sentiment as observed."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

FIELDS = (
    Field("open", Kind.FLOAT, "First price of the bar.", "quote", 0, exclusive_minimum=True),
    Field("high", Kind.FLOAT, "Highest price of the bar.", "quote", 0, exclusive_minimum=True),
    Field("low", Kind.FLOAT, "Lowest price of the bar.", "quote", 0, exclusive_minimum=True),
    Field("close", Kind.FLOAT, "Last price of the bar.", "quote", 0, exclusive_minimum=True),
    Field("volume_base", Kind.FLOAT, "Traded amount, base coin.", "base", 0),
    Field("volume_quote", Kind.FLOAT, "Traded value, quote currency.", "quote", 0),
    Field("taker_buy_base", Kind.FLOAT, "Amount bought by takers.", "base", 0),
    Field("taker_buy_quote", Kind.FLOAT, "Value bought by takers.", "quote", 0),
    Field("trade_count", Kind.INTEGER, "Trades in the bar.", "trades", 0),
    Field("bar_open", Kind.TIMESTAMP, "UTC open of the resampled bar (its ts is the last hour)."),
    Field("children", Kind.INTEGER, "1h bars present inside the bar.", "bars", 0, 168),
    Field(
        "funding_rate",
        Kind.FLOAT,
        "Settled funding rate as a fraction of notional per funding interval.",
        "fraction per interval",
        -1,
        1,
    ),
    Field(
        "predicted_rate",
        Kind.FLOAT,
        "The venue's running estimate of the coming settlement; not a settled rate.",
        "fraction per interval",
        -1,
        1,
    ),
    Field(
        "predicted_rate_8h",
        Kind.FLOAT,
        "predicted_rate per 8 hours, by the interval in force; null without one.",
        "fraction per 8 h",
    ),
    Field("predicted_for", Kind.TIMESTAMP, "Settlement that the estimate is about."),
    Field("predicted_asof", Kind.TIMESTAMP, "When the estimate was seen."),
    Field("interval_hours", Kind.INTEGER, "Hours between settlements in force.", "h", 1, 24),
    Field(
        "mark_price", Kind.FLOAT, "Mark price at settlement.", "quote", 0, exclusive_minimum=True
    ),
    Field("open_interest_base", Kind.FLOAT, "One-sided open interest in coins.", "base", 0),
    Field("open_interest_usd", Kind.FLOAT, "One-sided open interest in US dollars.", "USD", 0),
    Field(
        "metric",
        Kind.TEXT,
        "What the row measures.",
        allowed=(
            "global_account_long_frac",
            "top_trader_account_long_frac",
            "top_trader_position_long_frac",
            "taker_buy_base",
            "taker_sell_base",
            "open_interest_usd",
            "long_liquidations_usd",
            "short_liquidations_usd",
            "resting_bids_usd",
            "resting_asks_usd",
        ),
    ),
    Field(
        "value",
        Kind.FLOAT,
        "Value of the metric: a fraction, coins for `_base`, US dollars for `_usd`.",
        None,
        0,
    ),
    Field("resting_bids_usd", Kind.FLOAT, "Bids within 1 % of the price.", "USD", 0),
    Field("resting_asks_usd", Kind.FLOAT, "Asks within 1 % of the price.", "USD", 0),
    Field(
        "global_account_long_frac", Kind.FLOAT, "Share of accounts that are long.", "fraction", 0, 1
    ),
    Field(
        "top_trader_account_long_frac",
        Kind.FLOAT,
        "Share of top-trader accounts that are long.",
        "fraction",
        0,
        1,
    ),
    Field(
        "top_trader_position_long_frac",
        Kind.FLOAT,
        "Share of top-trader positions that is long.",
        "fraction",
        0,
        1,
    ),
    Field("taker_sell_base", Kind.FLOAT, "Amount sold by takers.", "base", 0),
    Field("long_liquidations_usd", Kind.FLOAT, "Longs closed by force in the bucket.", "USD", 0),
    Field("short_liquidations_usd", Kind.FLOAT, "Shorts closed by force in the bucket.", "USD", 0),
    Field("total_liquidation_usd", Kind.FLOAT, "Both sides of the bucket.", "USD", 0),
    Field(
        "coverage",
        Kind.FLOAT,
        "Share of the expected inputs that was present.",
        "fraction",
        0,
        1,
    ),
    Field(
        "completeness",
        Kind.TEXT,
        "Whether the venue publishes all of its forced closures or only part of them.",
        allowed=("complete", "partial"),
    ),
    Field(
        "is_lower_bound",
        Kind.BOOLEAN,
        "The venue publishes only part of the events, so that the sum is a minimum.",
    ),
    Field("fear_greed", Kind.FLOAT, "Fear & Greed index, market wide.", "index 0-100", 0, 100),
    Field("classification", Kind.TEXT, "The provider's own word for the index value."),
)
