"""Raw datasets: what providers said, typed, one row per observation and source."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Table

BOOKKEEPING = ("payload_id", "available_at", "pit_grade", "ingested_at", "revision", "run_id")
_TAIL = ("source_tier", *BOOKKEEPING)
_ALWAYS = frozenset({"source_tier", "available_at", "pit_grade"})


def _raw(
    name: str,
    description: str,
    key: tuple[str, ...],
    values: tuple[str, ...],
    required: tuple[str, ...] = (),
    *,
    symbol_columns: tuple[str, ...] = ("symbol",),
    rules: tuple[str, ...] = (),
    kept: tuple[str, ...] = (),
    main: str | None = None,
    indexes: tuple[tuple[str, ...], ...] = (),
) -> Table:
    return Table(
        schema="raw",
        name=name,
        description=description,
        fields=(*key, *values, *_TAIL),
        key=key,
        required=_ALWAYS | frozenset(required),
        symbol_columns=symbol_columns,
        tiered=True,
        bookkeeping=frozenset(BOOKKEEPING),
        kept=frozenset(kept),
        rules=rules,
        main=main,
        indexes=indexes,
    )


BY_SYMBOL = (("symbol", "ts"),)
"""Index of tables that reports show as they are, for the history of one symbol among many."""
BOOK_COLUMNS = (
    "book_ts",
    "book_age_s",
    "best_bid",
    "best_ask",
    "mid",
    "microprice",
    "spread_bps",
    *(f"depth_{band}bps_{side}_usd" for band in (10, 25, 50) for side in ("bid", "ask")),
    "imbalance",
    "bid_levels",
    "ask_levels",
    "book_reach_bps",
    "is_lower_bound",
)
"""What is told of one order book."""

TABLES = (
    _raw(
        "candles",
        "Closed bars of every venue and market, as each provider reports them. ts is the bar open.",
        ("source", "venue", "market", "symbol", "timeframe", "ts"),
        (
            "open",
            "high",
            "low",
            "close",
            "volume_base",
            "volume_quote",
            "taker_buy_base",
            "taker_buy_quote",
            "trade_count",
        ),
        ("open", "high", "low", "close"),
        rules=("low <= open", "low <= close", "high >= open", "high >= close"),
        main="close",
    ),
    _raw(
        "funding_rates",
        "Settled funding prints. ts is the settlement time rounded to the minute.",
        ("source", "venue", "market", "symbol", "ts"),
        ("funding_rate", "interval_hours", "mark_price"),
        ("funding_rate",),
        kept=("interval_hours",),
    ),
    _raw(
        "funding_predictions",
        "The venue's running estimate of the coming settlement, stamped with the hour it was asked "
        "in; available_at says when it was seen. Forward only: a past estimate cannot be asked for.",
        ("source", "venue", "market", "symbol", "ts"),
        ("predicted_rate", "predicted_for", "interval_hours"),
        ("predicted_rate",),
    ),
    _raw(
        "open_interest",
        "Open interest by hourly bucket, one-sided. ts is the bucket's start; the value is its close.",
        ("source", "venue", "market", "symbol", "ts"),
        ("open_interest_base", "open_interest_usd"),
    ),
    _raw(
        "positioning",
        "Long-short shares and taker volumes, one row per metric. ts is the bucket's start.",
        ("source", "venue", "market", "symbol", "metric", "ts"),
        ("value",),
        ("value",),
    ),
    _raw(
        "liquidations",
        "Forced closures in USD by hourly bucket and side. ts is the bucket's start.",
        ("source", "venue", "market", "symbol", "timeframe", "ts"),
        ("long_liquidations_usd", "short_liquidations_usd"),
        ("long_liquidations_usd", "short_liquidations_usd"),
    ),
    _raw(
        "fear_greed",
        "Fear & Greed index, daily, market wide. ts is the day it is published for.",
        ("source", "ts"),
        ("fear_greed", "classification"),
        ("fear_greed",),
        symbol_columns=(),
    ),
    _raw(
        "derivatives_1d",
        "Daily figures about perpetuals as an aggregator has them, one row per metric: shares of one "
        "exchange, sums over several. ts is the day's start; the value is known after its end.",
        ("source", "venue", "market", "symbol", "metric", "ts"),
        ("value",),
        ("value",),
    ),
    _raw(
        "order_book",
        "Snapshots of order books, summed around the mid. ts is the instant of sampling; collected "
        "as time goes, a past that was not sampled is gone.",
        ("source", "venue", "market", "symbol", "ts"),
        BOOK_COLUMNS,
        ("book_age_s", "bid_levels", "ask_levels"),
    ),
    _raw(
        "trade_flow",
        "Single trades summed by hour and side of the taker; only hours fetched from end to end. "
        "ts is the hour's start.",
        ("source", "venue", "market", "symbol", "ts"),
        (
            "taker_buy_base",
            "taker_sell_base",
            "taker_buy_quote",
            "taker_sell_quote",
            "taker_buy_count",
            "taker_sell_count",
            "size_counts",
            "size_values",
        ),
        ("taker_buy_base", "taker_sell_base", "taker_buy_quote", "taker_sell_quote"),
    ),
    _raw(
        "liquidation_events",
        "Forced closures one by one. ts is the time of the closing order; most venues "
        "publish part of them only.",
        ("source", "venue", "market", "symbol", "ts", "closure_id"),
        ("position_side", "price", "quantity_base", "liquidation_usd", "closure_method"),
        ("position_side", "price", "quantity_base", "liquidation_usd"),
        indexes=BY_SYMBOL,
    ),
    _raw(
        "sentiment",
        "Mood by source, kind and scope. ts is the start of an hourly bucket, the hour a reading was "
        "taken in, or a post's publication. The Fear & Greed index has a table of its own.",
        ("source", "sentiment_scope", "sentiment_kind", "symbol", "item", "ts"),
        (
            "sentiment_score",
            "mention_count",
            "interaction_count",
            "source_confidence",
            "headline",
        ),
    ),
    _raw(
        "whale_transfers",
        "Large transfers on chain. ts is the block's time. Owner labels are corrected by providers "
        "later; the label of any past moment is in the revisions.",
        ("source", "blockchain", "transaction_hash", "transfer_id", "ts"),
        (
            "coin",
            "transaction_type",
            "transfer_amount",
            "transfer_usd",
            "from_address",
            "from_owner",
            "from_owner_type",
            "to_address",
            "to_owner",
            "to_owner_type",
            "listing_complete",
        ),
        ("coin", "transfer_usd", "from_owner_type", "to_owner_type", "listing_complete"),
        symbol_columns=(),
    ),
    _raw(
        "reference_prices",
        "Hourly reference rates, a 24 h volume-weighted mean over venues: for comparison, never a "
        "last price. ts is the bucket's start.",
        ("source", "symbol", "ts"),
        ("reference_price",),
        ("reference_price",),
    ),
    _raw(
        "volatility_index",
        "Hourly bars of a venue's index of implied volatility, percent a year. ts is the bar's start.",
        ("source", "venue", "symbol", "ts"),
        tuple(f"volatility_{side}_pct" for side in ("open", "high", "low", "close")),
        ("volatility_close_pct",),
        main="volatility_close_pct",
    ),
    _raw(
        "option_chain",
        "Every listed option as its venue shows it, once an hour and stamped with the hour it was "
        "asked in; quoted_at is the venue's own time. Prices are in the coin. Forward only.",
        ("source", "venue", "symbol", "option_name", "ts"),
        (
            "quoted_at",
            "expiry_at",
            "strike",
            "option_type",
            "underlying_price",
            "mark_iv_pct",
            "option_mark_base",
            "option_bid_base",
            "option_ask_base",
            "open_interest_base",
            "volume_24h_base",
        ),
        ("expiry_at", "strike", "option_type"),
        main="mark_iv_pct",
    ),
    _raw(
        "coin_markets",
        "What aggregators show about a coin at the moment of asking, stamped with that hour. "
        "Forward only: a past hour cannot be asked for.",
        ("source", "symbol", "ts"),
        (
            "price_usd",
            "market_cap_usd",
            "market_cap_rank",
            "volume_24h_usd",
            *(
                f"price_change_{span}_frac"
                for span in ("5m", "15m", "30m", "1h", "4h", "12h", "24h")
            ),
            "open_interest_usd",
            "open_interest_base",
            "oi_to_market_cap_frac",
            "oi_to_volume_frac",
            "funding_rate_oi_weighted",
            "funding_rate_volume_weighted",
            "long_short_ratio_24h",
            "long_liquidations_24h_usd",
            "short_liquidations_24h_usd",
            "sentiment_score",
            "galaxy_score",
            "alt_rank",
            "social_dominance_frac",
            "social_volume_24h",
            "interaction_count",
        ),
        indexes=BY_SYMBOL,
    ),
    _raw(
        "instruments",
        "Listed contracts as their venue shows them once an hour: under which name, since when, and until "
        "when if an end is announced. Forward only.",
        ("source", "venue", "market", "symbol", "ts"),
        ("venue_symbol", "listing_status", "listed_from", "listed_to"),
        ("venue_symbol", "listing_status"),
    ),
    _raw(
        "liquidation_levels",
        "Prices at which an aggregator's model expects positions to be closed by force, and how much. "
        "Estimates, never added to closures that happened. ts is the hour of asking. Forward only.",
        ("source", "venue", "market", "symbol", "level_model", "level_id", "ts"),
        ("price_level", "leverage", "level_usd"),
        ("price_level", "level_usd"),
        indexes=BY_SYMBOL,
    ),
    _raw(
        "dashboard_signals",
        "Ready-made scores of an outside signal service, beside ours and never mixed with them. ts "
        "is the hour they are about. Forward only.",
        ("source", "symbol", "component", "ts"),
        ("signal_score", "signal_confidence", "signal_direction"),
        ("signal_score",),
    ),
    _raw(
        "legacy_signals",
        "Signal scores of the replaced systems, migrated from their JSON files; filled by "
        "`regime migrate-signals`. ts is when the file says that the signal was made.",
        ("source", "symbol", "component", "ts"),
        (
            "legacy_score",
            "legacy_direction",
            "legacy_strength",
            "legacy_confidence",
            "legacy_price",
            "cross_check",
            "is_repaired",
            "file_name",
        ),
        ("legacy_score", "cross_check", "is_repaired", "file_name"),
    ),
)
