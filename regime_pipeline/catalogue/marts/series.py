"""Histories: one row per symbol (or pair) and hour or day, most of them a derived table as it is.

Belongs here: what their rows and columns mean, and the query of those that are views. Does not belong
here: how the tables below them are computed.
"""

from __future__ import annotations

from regime_pipeline.catalogue.fields.common import COMPONENTS
from regime_pipeline.catalogue.fields.signals import FACTORS
from regime_pipeline.catalogue.marts.common import (
    HIDDEN,
    INGESTED_AT,
    KNOWN_AT,
    SOURCE_TIER,
    SYMBOL,
    TAIL,
    as_table,
    columns,
    renamed,
)
from regime_pipeline.catalogue.model import Field, Kind, Mart
from regime_pipeline.catalogue.registry import FIELDS, TABLES

_LABELS = TABLES["regimes.timeframe_regimes"]
_SURE = TABLES["regimes.timeframe_confidence"]
_LABEL_COLUMNS = tuple(
    f
    for f in _LABELS.fields
    if f not in HIDDEN | {"ingested_at"} | {*_SURE.fields} - {*_LABELS.key, "primary_regime"}
    or f in ("agreement_count", "status", "reason", "source_tier", "method_version")
)
_SURE_COLUMNS = tuple(f for f in _SURE.fields if f.startswith("confidence"))

_COMPONENT = ("score", "direction", "strength", "confidence", "status", "reason")
_COMPONENTS = [c for c in COMPONENTS if f"{c}_score" in TABLES["signals.components"].fields]

_INTERVAL = Field(
    "interval", Kind.TEXT, "Length of the bar.", allowed=("1h", "4h", "8h", "12h", "1d")
)
_BAR = (
    Field(
        "ts", Kind.TIMESTAMP, "UTC open of the bar; bars of more than an hour begin at midnight."
    ),
    Field("open", Kind.FLOAT, "First value of the bar."),
    Field("high", Kind.FLOAT, "Highest value of the bar."),
    Field("low", Kind.FLOAT, "Lowest value of the bar."),
    Field("close", Kind.FLOAT, "Last value of the bar."),
    Field("n", Kind.INTEGER, "Values behind the bar.", minimum=1),
    SOURCE_TIER,
    Field("known_at", Kind.TIMESTAMP, "When the last value behind the bar could be known."),
    INGESTED_AT,
)
_BAR_RULES = {"low_to_high": "low <= open and low <= close and high >= open and high >= close"}
_BAR_EXTENT = ("r.ts", 'r.ts + r."interval"::interval')
_OI = ("usd", "base")

_PRINTS = [f for f in TABLES["features.funding_prints"].fields if f not in HIDDEN | {"ingested_at"}]

MARTS = (
    as_table(
        "candles_1h",
        "market.candles_1h",
        "Hourly candles, spot and perpetual each from one venue, one row per market, symbol and hour.",
    ),
    as_table(
        "cascades_1h",
        "features.liquidation_cascades",
        "Liquidation cascades, one row per symbol and hour: severity, sides, excitation, price levels.",
    ),
    as_table(
        "funding_1h",
        "features.funding_anomalies",
        "The newest settled funding print known at each hour and how unusual it is against the "
        "symbol's own past, one row per symbol and hour; predicted_* is the coming settlement.",
    ),
    Mart(
        "funding_prints_1h",
        "Settled funding prints and how unusual they are, one row per symbol and the hour that had just "
        "closed at the settlement; hours without one have no row.",
        ("symbol", "ts"),
        (
            *columns(*_PRINTS),
            Field("settled_at", Kind.TIMESTAMP, "When the rate was settled."),
            KNOWN_AT,
            INGESTED_AT,
        ),
        query=f"select {', '.join(f'p.{c}' for c in _PRINTS if c != 'ts')}, "
        "date_trunc('hour', p.ts) - interval '1 hour' as ts, p.ts as settled_at, p.ts as known_at, "
        "p.ingested_at from {features.funding_prints} as p",
        required=frozenset({"status", "settled_at"}),
    ),
    as_table(
        "volatility_1h",
        "features.volatility_regimes",
        "Volatility and its regime, one row per symbol and hour.",
    ),
    as_table(
        "implied_volatility_1h",
        "features.implied_volatility",
        "Implied volatility beside the variance that is expected, its term structure and skew, one row "
        "per hour and coin that has listed options.",
    ),
    Mart(
        "regimes_1h",
        "Regime labels on 1h, 4h, 1d and 1w bars and their agreement, one row per symbol and hour; "
        "confidence is the share of earlier cases of the same pattern that held for a day.",
        ("symbol", "ts"),
        (
            *columns(*_LABEL_COLUMNS, *_SURE_COLUMNS),
            renamed("confidence_status", "status", "Status of the columns confidence..."),
            renamed("confidence_reason", "reason", "Why confidence_status is not ok."),
            KNOWN_AT,
            INGESTED_AT,
        ),
        query=f"select {', '.join(f'r.{c}' for c in _LABEL_COLUMNS)}, "
        f"{', '.join(f'c.{c}' for c in _SURE_COLUMNS)}, "
        "c.status as confidence_status, c.reason as confidence_reason, "
        "r.ts + interval '1 hour' as known_at, "
        "greatest(r.ingested_at, c.ingested_at) as ingested_at "
        "from {regimes.timeframe_regimes} as r "
        "left join {regimes.timeframe_confidence} as c on c.symbol = r.symbol and c.ts = r.ts",
        required=frozenset({"status"}),
    ),
    as_table(
        "correlation_pairs_1h",
        "correlation.asset_correlations",
        "Correlation of every pair against its own past, one row per pair and hour.",
    ),
    as_table(
        "pair_signals_1h",
        "correlation.pair_signals",
        "Spread of every pair and whether it reverts, one row per pair and hour.",
    ),
    as_table(
        "correlation_matrix_1d",
        "correlation.correlation_matrices",
        "The correlation matrix of each day, one row per pair and day, stamped 23:00.",
    ),
    as_table(
        "lead_lag_1d",
        "correlation.lead_lag",
        "Who moves first within a pair, one row per pair and day, stamped 23:00.",
    ),
    as_table(
        "market_structure_1d",
        "correlation.market_structure",
        "What the matrix says of all symbols together, one row per day, stamped 23:00.",
    ),
    as_table(
        "snapshots_1h",
        "signals.snapshots",
        TABLES["signals.snapshots"].description,
    ),
    as_table(
        "futures_scores_1h",
        "signals.futures_scores",
        "The 8-factor futures score, one row per symbol and hour.",
    ),
    Mart(
        "signal_components_1h",
        "The signal components, one row per symbol, hour and component.",
        ("symbol", "ts", "component"),
        (
            SYMBOL,
            *columns("ts", "component"),
            *(
                renamed(name, f"{_COMPONENTS[0]}_{name}", text)
                for name, text in zip(
                    _COMPONENT,
                    (
                        "Score of the component, 50 neutral.",
                        "Where it points.",
                        "How far from neutral.",
                        "How sure the component is of itself.",
                        "Whether the component has a value.",
                        "Why it has none.",
                    ),
                    strict=True,
                )
            ),
            *columns("source_tier", "method_version"),
            KNOWN_AT,
            INGESTED_AT,
        ),
        query=f"select s.symbol, s.ts, c.component, {', '.join(f'c.{n}' for n in _COMPONENT)}, "
        "s.source_tier, s.method_version, s.ts + interval '1 hour' as known_at, s.ingested_at "
        "from {signals.components} as s cross join lateral (values "
        + ", ".join(
            f"('{c}', " + ", ".join(f"s.{c}_{n}" for n in _COMPONENT) + ")" for c in _COMPONENTS
        )
        + f") as c (component, {', '.join(_COMPONENT)})",
    ),
    Mart(
        "signal_correlations_1d",
        "How the signal components move together over 30 days, one row per symbol, pair of components and "
        "day, stamped 23:00; the symbol ALL is the mean of all of them.",
        ("symbol", "component_a", "component_b", "ts"),
        (
            renamed("symbol", "symbol", "Canonical symbol, BASE/QUOTE, or ALL."),
            *columns("component_a", "component_b", "ts"),
            renamed("corr", "signal_corr"),
            *columns("partial_corr"),
            renamed("n", "n_obs"),
            *TAIL,
        ),
        query=" union all ".join(
            f"select {symbol} as symbol, t.component_a, t.component_b, t.ts, t.signal_corr as corr, "
            "t.partial_corr, t.n_obs as n, t.status, t.reason, t.source_tier, t.method_version, "
            f"t.ts + interval '1 hour' as known_at, t.ingested_at from {{correlation.{name}}} as t"
            for symbol, name in (
                ("t.symbol", "signal_correlations"),
                ("'ALL'", "signal_correlations_pooled"),
            )
        ),
        required=frozenset({"status"}),
    ),
    Mart(
        "futures_factors_1h",
        "The factors behind futures_scores_1h, one row per symbol, hour and factor.",
        ("symbol", "ts", "factor"),
        (
            SYMBOL,
            FIELDS["ts"],
            Field("factor", Kind.TEXT, "Name of the factor.", allowed=FACTORS),
            Field("score", Kind.FLOAT, "Score of the factor, 50 neutral.", unit="0-100"),
            renamed("weight_pct", f"{FACTORS[0]}_factor_weight_pct", "Configured weight."),
            renamed("status", "status", "Whether the factor was available."),
            renamed("reason", "reason", "Why the factor was not."),
            *columns("source_tier", "method_version"),
            KNOWN_AT,
            INGESTED_AT,
        ),
        query="select s.symbol, s.ts, f.factor, f.score, f.weight_pct, f.status, f.reason, s.source_tier, "
        "s.method_version, s.ts + interval '1 hour' as known_at, s.ingested_at "
        "from {signals.futures_scores} as s cross join lateral (values "
        + ", ".join(
            f"('{f}', s.{f}_factor, s.{f}_factor_weight_pct, s.{f}_factor_status, "
            f"s.{f}_factor_reason)"
            for f in FACTORS
        )
        + ") as f (factor, score, weight_pct, status, reason)",
    ),
    Mart(
        "liquidation_windows",
        "Forced closures summed over the 1, 4, 12 and 24 hours that end with the hour, one row per "
        "symbol, hour and length. Sums are null when more than a sixth of the hours were not observed, "
        "and never scaled up.",
        ("symbol", "ts", "window_h"),
        (
            SYMBOL,
            Field("ts", Kind.TIMESTAMP, "UTC open of the last hour of the window."),
            Field(
                "window_h", Kind.INTEGER, "Length of the window.", unit="h", minimum=1, maximum=24
            ),
            Field("long_usd", Kind.FLOAT, "Longs closed by force.", unit="USD", minimum=0),
            Field("short_usd", Kind.FLOAT, "Shorts closed by force.", unit="USD", minimum=0),
            Field(
                "hours_observed",
                Kind.INTEGER,
                "Hours of the window that were observed.",
                unit="h",
                minimum=0,
                maximum=24,
            ),
            Field(
                "is_lower_bound",
                Kind.BOOLEAN,
                "The source reports part of the closures in some hour.",
            ),
            *TAIL,
        ),
        present={"long_usd": "status"},
        indexes=(("ts",),),
        extent=("r.ts - (r.window_h - 1) * interval '1 hour'", "r.ts + interval '1 hour'"),
        has_past=True,
    ),
    as_table(
        "liquidation_orders",
        "raw.liquidation_events",
        "Forced closures one by one, as venues publish them, which is part of them only. ts is the "
        "time of the closing order, side the position that was closed.",
        names="position_side>side liquidation_usd>usd",
    ),
    as_table(
        "liquidation_levels",
        "raw.liquidation_levels",
        "Prices at which an aggregator's model expects forced closures, one row per source, symbol, hour and "
        "level. Estimates: they are no part of any sum of closures.",
    ),
    as_table(
        "coin_markets_1h",
        "raw.coin_markets",
        "What aggregators show about a coin as a whole (market capitalisation, open interest, volumes), "
        "one row per source, symbol and hour. A past hour cannot be asked for later.",
    ),
    Mart(
        "funding_ohlc",
        "Settled funding rates of every venue as bars, normalised to 8 h; several sources of one venue "
        "count once, the best first. A bar without a settlement has no row.",
        ("symbol", "venue", "interval", "ts"),
        (SYMBOL, FIELDS["venue"], _INTERVAL, *_BAR),
        rules=_BAR_RULES,
        indexes=(("ts",),),
        extent=_BAR_EXTENT,
        has_past=True,
    ),
    Mart(
        "open_interest_ohlc",
        "Open interest of every venue's perpetuals as bars of the hourly values, one row per unit (usd "
        "or base coins); several sources of one venue count once, the best first.",
        ("symbol", "venue", "unit", "interval", "ts"),
        (
            SYMBOL,
            FIELDS["venue"],
            Field("unit", Kind.TEXT, "Unit of the values: usd, or base for coins.", allowed=_OI),
            _INTERVAL,
            *_BAR,
        ),
        rules=_BAR_RULES,
        indexes=(("ts",),),
        extent=_BAR_EXTENT,
        has_past=True,
    ),
    Mart(
        "positioning_ohlc",
        "Long-short shares and taker volumes of every venue as bars of the hourly values, one row per "
        "metric; several sources of one venue count once, the best first.",
        ("symbol", "venue", "metric", "interval", "ts"),
        (SYMBOL, *columns("venue", "metric"), _INTERVAL, *_BAR),
        rules=_BAR_RULES,
        indexes=(("ts",),),
        extent=_BAR_EXTENT,
        has_past=True,
    ),
)
