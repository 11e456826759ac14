"""Market series: one series per market and symbol, from the venue that the settings name."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.market import CHANGE_HOURS, CHANGE_MINUTES, LIQUIDATION_HOURS
from regime_pipeline.catalogue.model import Cadence, Table

DERIVED_BOOKKEEPING = ("ingested_at", "revision", "run_id")
DERIVED_TAIL = ("status", "reason", "source_tier", "method_version", *DERIVED_BOOKKEEPING)


def derived(
    schema: str,
    name: str,
    description: str,
    key: tuple[str, ...],
    values: tuple[str, ...],
    required: tuple[str, ...] = (),
    *,
    computed_in: str,
    cadence: Cadence = Cadence.HOURLY,
    main: str | None = None,
    symbol_columns: tuple[str, ...] = ("symbol",),
) -> Table:
    """A derived table: key, values, then status, reason, source_tier, method_version."""
    return Table(
        schema=schema,
        name=name,
        description=description,
        fields=(*key, *values, *DERIVED_TAIL),
        key=key,
        required=frozenset({"status", "method_version", *required}),
        symbol_columns=symbol_columns,
        bookkeeping=frozenset(DERIVED_BOOKKEEPING),
        main=main,
        cadence=cadence,
        computed_in=computed_in,
    )


TABLES = (
    derived(
        "market",
        "candles_1h",
        "One row per market, symbol and closed hour; an hour nobody observed is a row of nulls with "
        "status missing. Spot and perpetual each from the one venue the settings name.",
        ("market", "symbol", "ts"),
        (
            "venue",
            "open",
            "high",
            "low",
            "close",
            "volume_base",
            "volume_quote",
            "taker_buy_base",
            "trade_count",
        ),
        computed_in="market.candles",
        main="close",
    ),
    derived(
        "market",
        "candles_resampled",
        "4h, 1d and 1w bars from the 1h bars, weeks from Monday 00:00 UTC. ts is the open of the "
        "bar's last hour, the first row that may use it; bar_open is its start.",
        ("market", "symbol", "timeframe", "ts"),
        (
            "bar_open",
            "open",
            "high",
            "low",
            "close",
            "volume_base",
            "volume_quote",
            "children",
            "is_filled",
        ),
        ("bar_open", "children"),
        computed_in="market.candles",
        cadence=Cadence.SPARSE,
        main="close",
    ),
    derived(
        "market",
        "funding",
        "Settled funding prints of the primary perpetual, normalised to 8 h by the interval in "
        "force. ts is the settlement, rounded to the hour.",
        ("symbol", "ts"),
        ("venue", "funding_rate", "interval_hours", "rate_8h", "rate_annual", "mark_price"),
        ("funding_rate",),
        computed_in="market.funding",
        cadence=Cadence.INSTANT,
    ),
    derived(
        "market",
        "funding_predicted_1h",
        "The newest running estimate of the coming settlement that was seen before ts + 1h, of the "
        "primary perpetual's venue; null when none was seen for two hours or its settlement is past. "
        "Never an input of a settled statistic.",
        ("symbol", "ts"),
        (
            "venue",
            "source",
            "predicted_rate",
            "predicted_rate_8h",
            "interval_hours",
            "predicted_for",
            "predicted_asof",
        ),
        computed_in="market.funding",
    ),
    derived(
        "market",
        "open_interest",
        "Hourly one-sided open interest of the primary perpetual, in coins and USD, at the close "
        "of the bucket that starts at ts.",
        ("symbol", "ts"),
        ("venue", "source", "open_interest_base", "open_interest_usd", "is_filled"),
        computed_in="market.derivatives",
    ),
    derived(
        "market",
        "liquidations_1h",
        "Hourly forced closures by side. An hour the aggregator omits is 0 where the same "
        "provider's open interest and liquidations of another coin show that it was observing, "
        "else null.",
        ("symbol", "ts"),
        (
            "venue",
            "source",
            "long_liquidations_usd",
            "short_liquidations_usd",
            "total_liquidation_usd",
            "coverage",
            "completeness",
            "is_lower_bound",
        ),
        computed_in="market.derivatives",
        main="total_liquidation_usd",
    ),
    derived(
        "market",
        "positioning_1h",
        "Hourly long-short shares and taker volumes of the primary perpetual.",
        ("symbol", "ts"),
        (
            "venue",
            "global_account_long_frac",
            "top_trader_account_long_frac",
            "top_trader_position_long_frac",
            "taker_buy_base",
            "taker_sell_base",
        ),
        computed_in="market.derivatives",
    ),
    derived(
        "market",
        "derivatives_1d",
        "Daily figures of the perpetual for futures factors that are made of days: ts is the midnight at "
        "which the day ends. Shares of the primary venue, sums over several exchanges. No rows where "
        "the factors are made of hours.",
        ("symbol", "ts"),
        (
            "close",
            "open_interest_base",
            "open_interest_usd",
            "long_liquidations_usd",
            "short_liquidations_usd",
            "completeness",
            "global_account_long_frac",
            "top_trader_account_long_frac",
            "top_trader_position_long_frac",
            "resting_bids_usd",
            "resting_asks_usd",
            "available_at",
        ),
        computed_in="market.days",
        cadence=Cadence.SPARSE,
    ),
    derived(
        "market",
        "fear_greed",
        "Fear & Greed, one row per day; available_at says from when a row may be used.",
        ("ts",),
        ("fear_greed", "available_at"),
        symbol_columns=(),
        computed_in="market.sentiment",
        cadence=Cadence.INSTANT,
    ),
    derived(
        "market",
        "order_book_1h",
        "Hourly means over the valid snapshots of the primary venue's book; fewer than 12 make the "
        "hour partial.",
        ("market", "symbol", "ts"),
        (
            "venue",
            "n_snapshots",
            "mid",
            "spread_bps",
            *(f"depth_{band}bps_{side}_usd" for band in (10, 25, 50) for side in ("bid", "ask")),
            "imbalance",
            "book_reach_bps",
            "is_lower_bound",
            *(f"price_change_{name}_frac" for name in CHANGE_MINUTES),
            "price_changes_reason",
        ),
        ("n_snapshots",),
        computed_in="market.order_book",
    ),
    derived(
        "market",
        "trade_flow_1h",
        "Hourly volumes by the taker's side of the primary venue, from single trades where the hour "
        "was fetched, else from the candle; flow_source says which.",
        ("market", "symbol", "ts"),
        (
            "venue",
            "flow_source",
            "taker_buy_base",
            "taker_sell_base",
            "taker_buy_quote",
            "taker_sell_quote",
            "trade_count",
            "flow_imbalance",
            "large_trade_quote",
            "large_share",
        ),
        computed_in="market.trade_flow",
    ),
    derived(
        "market",
        "sentiment_1h",
        "Hourly mood of each coin, one column set per kind, each kind from the one provider that the "
        "settings name for it. Fear & Greed is market wide and stays in market.fear_greed.",
        ("symbol", "ts"),
        (
            "social_score",
            "social_mentions",
            "social_confidence",
            "news_score",
            "news_mentions",
            "news_confidence",
            "trader_score",
            "trader_mentions",
            "trader_confidence",
            "kinds_present",
        ),
        ("kinds_present",),
        computed_in="market.sentiment",
    ),
    derived(
        "market",
        "whale_flow_1h",
        "Large transfers onto and off exchanges over the 24 h that end with the hour. Moves between "
        "exchanges, inside one, and mints or burns are left out; a listing that was cut short or "
        "an hour without one makes the row partial, more than four such hours null.",
        ("symbol", "ts"),
        (
            "source",
            "inflow_usd",
            "outflow_usd",
            "net_flow_usd",
            "transfer_count",
            "stablecoin_net_flow_usd",
            "stablecoin_transfer_count",
            "coverage",
        ),
        computed_in="market.whales",
    ),
    derived(
        "market",
        "metrics_1h",
        "What market pages show of the primary perpetual, one row per symbol and hour: price changes, "
        "open interest with its range of a day, sums of liquidations, ratios, funding over venues.",
        ("symbol", "ts"),
        (
            "close",
            *(f"price_change_{name}_frac" for name in (*CHANGE_MINUTES, *CHANGE_HOURS)),
            "price_changes_reason",
            "volume_24h_usd",
            *(
                column
                for unit in ("usd", "base")
                for column in (
                    f"open_interest_{unit}",
                    *(f"open_interest_24h_{what}_{unit}" for what in ("open", "high", "low")),
                    f"open_interest_change_24h_{unit}_frac",
                )
            ),
            "market_cap_usd",
            "oi_to_market_cap_frac",
            "oi_to_volume_frac",
            *(
                f"{side}_liquidations_{hours}h_usd"
                for hours in LIQUIDATION_HOURS
                for side in ("long", "short")
            ),
            "liquidation_hours_24h",
            "is_lower_bound",
            "funding_oi_weighted_8h",
            "funding_volume_weighted_8h",
            "funding_venues",
            "long_short_ratio_accounts",
            "top_trader_ratio_accounts",
            "top_trader_ratio_positions",
        ),
        computed_in="market.metrics",
        main="price_change_24h_frac",
    ),
    derived(
        "market",
        "proxies_1h",
        "Substitutes under their own names, all of tier 3: no column of another table is ever "
        "filled from here.",
        ("symbol", "ts"),
        (
            "volume_spike_ratio",
            "funding_crowding_z",
            "estimated_long_liquidations_usd",
            "estimated_short_liquidations_usd",
            "market_fear_greed",
        ),
        computed_in="market.proxies",
    ),
)
