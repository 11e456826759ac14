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
        rules=rules,
    )


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
    ),
    _raw(
        "funding_rates",
        "Settled funding prints. ts is the settlement time rounded to the minute.",
        ("source", "venue", "market", "symbol", "ts"),
        ("funding_rate", "interval_hours", "mark_price"),
        ("funding_rate",),
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
