"""Prices, volumes, derivatives and sentiment as observed."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

CHANGE_HOURS = {"1h": 1, "4h": 4, "12h": 12, "24h": 24, "7d": 168}
"""Hours of each price change that the metrics give."""
CHANGE_MINUTES = {"5m": 5, "15m": 15, "30m": 30}
"""Minutes of each price change under an hour, from snapshots of the book."""
LIQUIDATION_HOURS = (1, 4, 12, 24)
"""Hours of each sum of liquidations that they give."""
DAY_OF_SNAPSHOTS = 24
"""The sum that coin snapshots have too, and that is described with them."""

_METRICS = (
    *(
        Field(f"price_change_{name}_frac", Kind.FLOAT, f"Price change over {name}.", "fraction", -1)
        for name in (*CHANGE_MINUTES, *CHANGE_HOURS)
        if name != "24h"  # described with the coin snapshots, which have it too
    ),
    Field(
        "price_changes_reason",
        Kind.TEXT,
        "Why price changes under an hour are null: books that were not sampled at their ends.",
    ),
    *(
        Field(
            f"open_interest_24h_{what}_{unit}",
            Kind.FLOAT,
            f"{text} of the open interest from the close a day ago to this one.",
            {"usd": "USD", "base": "base"}[unit],
            0,
        )
        for unit in ("usd", "base")
        for what, text in (("open", "First"), ("high", "Highest"), ("low", "Lowest"))
    ),
    *(
        Field(
            f"open_interest_change_24h_{unit}_frac",
            Kind.FLOAT,
            f"Change over 24 h of the open interest in {name}.",
            "fraction",
            -1,
        )
        for unit, name in (("usd", "US dollars"), ("base", "coins"))
    ),
    *(
        Field(
            f"{side}_liquidations_{hours}h_usd",
            Kind.FLOAT,
            f"{side.title()}s closed by force in {hours} h.",
            "USD",
            0,
        )
        for hours in LIQUIDATION_HOURS
        if hours != DAY_OF_SNAPSHOTS
        for side in ("long", "short")
    ),
    Field("liquidation_hours_24h", Kind.INTEGER, "Observed hours of the last 24.", "h", 0, 24),
    Field(
        "oi_to_market_cap_frac",
        Kind.FLOAT,
        "Open interest over market capitalisation.",
        "fraction",
        0,
    ),
    Field("oi_to_volume_frac", Kind.FLOAT, "Open interest over volume_24h_usd.", "fraction", 0),
    *(
        Field(
            f"funding_{weight}_weighted_8h",
            Kind.FLOAT,
            f"Funding rates in force over venues, weighted by {text}.",
            "fraction per 8 h",
        )
        for weight, text in (("oi", "open interest"), ("volume", "the value traded in 24 h"))
    ),
    Field("funding_venues", Kind.INTEGER, "Venues with a rate in force.", "venues", 0),
    Field("long_short_ratio_accounts", Kind.FLOAT, "Accounts long over accounts short.", None, 0),
    Field("top_trader_ratio_accounts", Kind.FLOAT, "The same of top traders.", None, 0),
    Field(
        "top_trader_ratio_positions",
        Kind.FLOAT,
        "Top traders' positions, long over short.",
        None,
        0,
    ),
)

FIELDS = (
    *_METRICS,
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
