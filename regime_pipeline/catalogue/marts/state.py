"""States: the market at its newest hour, the same at every hour, and spells of one regime.

Belongs here: what their rows and columns mean. Does not belong here: how they are computed (the models
of the dbt project that have their names).
"""

from __future__ import annotations

from regime_pipeline.catalogue.marts.common import (
    INGESTED_AT,
    KNOWN_AT,
    METHOD_VERSION,
    SOURCE_TIER,
    SYMBOL,
)
from regime_pipeline.catalogue.model import Field, Kind, Mart

_TS = Field(
    "ts",
    Kind.TIMESTAMP,
    "UTC open of the hour; every value of the row belongs to it and was known at ts + 1h.",
)
_BLOCKS = (
    Field("price", Kind.FLOAT, "Spot close of the hour.", unit="quote"),
    Field(
        "price_change_1h_pct",
        Kind.FLOAT,
        "Change of price against the close one hour earlier; null when either is unknown.",
        unit="percent",
    ),
    Field(
        "price_change_24h_pct",
        Kind.FLOAT,
        "Change of price against the close 24 hours earlier.",
        unit="percent",
    ),
    Field(
        "price_change_7d_pct",
        Kind.FLOAT,
        "Change of price against the close 168 hours earlier.",
        unit="percent",
    ),
    Field(
        "price_status",
        Kind.TEXT,
        "Status of price. One of ok, partial, stale, missing, insufficient_history, "
        "not_applicable, quarantined; only ok and partial mean a value.",
    ),
    Field("price_reason", Kind.TEXT, "Why price_status is not ok."),
    Field("perp_price", Kind.FLOAT, "Close of the primary perpetual.", unit="quote"),
    Field(
        "basis_bps",
        Kind.FLOAT,
        "Perpetual against spot, positive when the perpetual is dearer.",
        unit="bps",
    ),
    Field("perp_status", Kind.TEXT, "Status of perp_price."),
    Field(
        "vol_regime_confirmed",
        Kind.TEXT,
        "Confirmed volatility regime: STABLE, HIGH_VOL, EXPLOSIVE, EXTREME.",
    ),
    Field(
        "vol_regime_age_h",
        Kind.INTEGER,
        "Hours since the confirmed regime began, capped at 168.",
        unit="h",
    ),
    Field(
        "vol_ratio_gk",
        Kind.FLOAT,
        "Range-based 24 h volatility against its 30-day median; the ratio behind "
        "vol_regime_confirmed.",
    ),
    Field("vol_ratio", Kind.FLOAT, "Close-to-close 24 h volatility against its 30-day mean."),
    Field(
        "volatility_24h",
        Kind.FLOAT,
        "Realised volatility of the last 24 hourly returns.",
        unit="fraction per 24 h",
    ),
    Field(
        "risk_multiplier_confirmed", Kind.FLOAT, "Risk by vol_regime_confirmed: 0.7, 1.2, 1.8, 2.5."
    ),
    Field("volatility_status", Kind.TEXT, "Status of the volatility block."),
    Field("volatility_reason", Kind.TEXT, "Why volatility_status is not ok."),
    Field(
        "primary_regime",
        Kind.TEXT,
        "Label held by at least half of the timeframes, confirmed over three hours.",
    ),
    Field("regime_1h", Kind.TEXT, "Label of the newest closed 1h bar."),
    Field("regime_4h", Kind.TEXT, "Label of the newest closed 4h bar."),
    Field("regime_1d", Kind.TEXT, "Label of the newest closed 1d bar."),
    Field("regime_1w", Kind.TEXT, "Label of the newest closed 1w bar."),
    Field("frames_available", Kind.INTEGER, "Timeframes that have a label, 0 to 4."),
    Field(
        "agreement_count",
        Kind.INTEGER,
        "Size of the largest group of equal labels, NEUTRAL left out.",
    ),
    Field(
        "agreement_score",
        Kind.FLOAT,
        "Mean agreement of the timeframes with the primary.",
        unit="fraction",
        minimum=0,
        maximum=1,
    ),
    Field(
        "regime_is_confirmed",
        Kind.BOOLEAN,
        "The confirmation rule holds: three frames agree with the primary, two hours running.",
    ),
    Field("regime_status", Kind.TEXT, "Status of the regime block."),
    Field("regime_reason", Kind.TEXT, "Why regime_status is not ok."),
    Field("funding_print_ts", Kind.TIMESTAMP, "Settlement behind the funding columns."),
    Field("funding_rate_8h", Kind.FLOAT, "Funding rate per 8 hours.", unit="fraction per 8 h"),
    Field(
        "funding_rate_annual", Kind.FLOAT, "funding_rate_8h times 1095.", unit="fraction per year"
    ),
    Field(
        "funding_z", Kind.FLOAT, "Lagged z of funding_rate_8h over 30 days of prints.", unit="sd"
    ),
    Field(
        "funding_level",
        Kind.TEXT,
        "Level of funding_z: NORMAL, HIGH, LOW, EXTREME_HIGH, EXTREME_LOW.",
    ),
    Field("funding_is_anomaly", Kind.BOOLEAN, "funding_z is beyond the threshold (2 by default)."),
    Field("funding_status", Kind.TEXT, "Status of the funding block."),
    Field("funding_reason", Kind.TEXT, "Why funding_status is not ok."),
    Field(
        "long_liquidations_1h_usd",
        Kind.FLOAT,
        "Longs closed by force in the hour.",
        unit="USD",
        minimum=0,
    ),
    Field(
        "short_liquidations_1h_usd",
        Kind.FLOAT,
        "Shorts closed by force in the hour.",
        unit="USD",
        minimum=0,
    ),
    Field(
        "long_liquidations_24h_usd",
        Kind.FLOAT,
        "Sum of the observed hours of the last 24, not scaled; null when fewer than 20 "
        "were observed.",
        unit="USD",
    ),
    Field(
        "short_liquidations_24h_usd",
        Kind.FLOAT,
        "As long_liquidations_24h_usd, for shorts.",
        unit="USD",
    ),
    Field(
        "liquidations_24h_hours",
        Kind.INTEGER,
        "Observed hours behind the 24 h sums.",
        unit="h",
        minimum=0,
        maximum=24,
    ),
    Field(
        "liquidations_are_lower_bound",
        Kind.BOOLEAN,
        "The venue publishes only part of the events, so that the sums are minima.",
    ),
    Field("liquidations_status", Kind.TEXT, "Status of the 1 h liquidations."),
    Field("liquidations_reason", Kind.TEXT, "Why liquidations_status is not ok."),
    Field(
        "cascade_severity",
        Kind.INTEGER,
        "Severity of the hour by USD, 0 to 5.",
        minimum=0,
        maximum=5,
    ),
    Field(
        "cascade_severity_pct",
        Kind.INTEGER,
        "Severity of the hour by the symbol's own last 30 days, 0 to 5.",
    ),
    Field("is_cascade", Kind.BOOLEAN, "cascade_severity is 3 or more."),
    Field(
        "liquidation_dominance",
        Kind.TEXT,
        "Side that was liquidated: LONG, SHORT, BALANCED; null when too little was.",
    ),
    Field("cascade_status", Kind.TEXT, "Status of the cascade columns."),
    Field("open_interest_usd", Kind.FLOAT, "One-sided open interest.", unit="USD"),
    Field("open_interest_base", Kind.FLOAT, "One-sided open interest.", unit="base coin"),
    Field(
        "open_interest_usd_change_24h_pct",
        Kind.FLOAT,
        "Change of open_interest_usd in 24 hours; moves with the price.",
        unit="percent",
    ),
    Field(
        "open_interest_base_change_24h_pct",
        Kind.FLOAT,
        "Change of open_interest_base in 24 hours: positions opened or closed.",
        unit="percent",
    ),
    Field("open_interest_status", Kind.TEXT, "Status of the open interest."),
    Field("open_interest_reason", Kind.TEXT, "Why open_interest_status is not ok."),
    Field(
        "futures_score",
        Kind.FLOAT,
        "Weighted mean of the available futures factors, 50 neutral; null under 70 % coverage.",
        unit="0-100",
        minimum=0,
        maximum=100,
    ),
    Field(
        "futures_signal",
        Kind.TEXT,
        "LONG at 65 and above, SHORT at 35 and below, else NEUTRAL; null when the score is.",
    ),
    Field(
        "futures_coverage_pct",
        Kind.INTEGER,
        "Weight of the factors that were available.",
        unit="percent",
        minimum=0,
        maximum=100,
    ),
    Field("futures_confidence", Kind.FLOAT, "Coverage x agreement x freshness.", unit="fraction"),
    Field("futures_confidence_level", Kind.TEXT, "high from 0.75, medium from 0.5, else low."),
    Field("top_factors", Kind.JSON, "The three factors that move the score most, with reasons."),
    Field("futures_status", Kind.TEXT, "Status of the futures block."),
    Field("futures_reason", Kind.TEXT, "Why futures_status is not ok."),
    Field(
        "fear_greed",
        Kind.FLOAT,
        "Fear & Greed index, market wide; null when the newest value is more than 36 hours old.",
        unit="0-100",
        minimum=0,
        maximum=100,
    ),
    Field("fear_greed_status", Kind.TEXT, "ok, stale or missing."),
    Field(
        "fear_greed_age_h",
        Kind.INTEGER,
        "Hours since the newest value came out, whether stale or not.",
        unit="h",
    ),
    Field(
        "correlation_break_with",
        Kind.TEXT,
        "Other symbol of the strongest correlation break that is open; null with "
        "correlation_status ok means that there is none.",
    ),
    Field("correlation_break_kind", Kind.TEXT, "DROP, RISE or SIGN_FLIP."),
    Field(
        "correlation_break_severity",
        Kind.TEXT,
        "LOW, MEDIUM, HIGH or CRITICAL, by correlation_rel_drop.",
    ),
    Field(
        "correlation_rel_drop",
        Kind.FLOAT,
        "(base - current) / |base| of that pair.",
        unit="fraction",
    ),
    Field("correlation_break_hours", Kind.INTEGER, "Hours since that break began.", unit="h"),
    Field(
        "correlation_status",
        Kind.TEXT,
        "ok when every pair of the symbol has a correlation at ts, partial when some "
        "have, else missing.",
    ),
)
_AGES = (
    Field(
        "price_age_h",
        Kind.INTEGER,
        "Hours from the newest known price to ts; 0 when price is known, null after eight days.",
        unit="h",
    ),
    Field("volatility_age_h", Kind.INTEGER, "Hours from the newest usable row to ts.", unit="h"),
    Field("regime_age_h", Kind.INTEGER, "Hours from the newest usable row to ts.", unit="h"),
    Field("funding_age_h", Kind.INTEGER, "Hours from the newest usable row to ts.", unit="h"),
    Field("liquidations_age_h", Kind.INTEGER, "Hours from the newest usable row to ts.", unit="h"),
    Field("open_interest_age_h", Kind.INTEGER, "Hours from the newest usable row to ts.", unit="h"),
    Field("futures_age_h", Kind.INTEGER, "Hours from the newest usable row to ts.", unit="h"),
    Field("correlation_age_h", Kind.INTEGER, "Hours from the newest usable pair to ts.", unit="h"),
)
_LAST_EVENT = (
    Field(
        "last_event_type",
        Kind.TEXT,
        "Type of the newest market event about the symbol or a pair with it.",
    ),
    Field("last_event_severity", Kind.TEXT, "INFO, WARNING or CRITICAL."),
    Field("last_event_title", Kind.TEXT, "The event in one line."),
    Field("last_event_at", Kind.TIMESTAMP, "When the event could be known."),
)
_ORIGIN = (
    Field(
        "data_origin",
        Kind.TEXT,
        "What the database holds: live, simulated or tape (recorded history). Anything "
        "but live is no statement about the market today.",
        allowed=("live", "simulated", "tape"),
    ),
)
_METHODS = (
    Field("method_versions", Kind.JSON, "Definition and thresholds behind the values, by block."),
)
_PRESENT = {
    "price": "price_status",
    "perp_price": "perp_status",
}
_RULES = {"signal_only_with_score": "(futures_signal is null) = (futures_score is null)"}

MARTS = (
    Mart(
        "market_overview",
        "One row per symbol that had a candle in the last eight days: its state at the newest hour. "
        "Nothing is carried forward: what is unknown at that hour is null, `<block>_status` and "
        "`<block>_reason` say why, `<block>_age_h` for how long. The table always holds the newest "
        "state, whatever window was rebuilt.",
        ("symbol",),
        (
            SYMBOL,
            _TS,
            *_ORIGIN,
            SOURCE_TIER,
            *_BLOCKS,
            *_AGES,
            *_LAST_EVENT,
            *_METHODS,
            KNOWN_AT,
            INGESTED_AT,
        ),
        time_column=None,
        required=frozenset({"ts"}),
        present=_PRESENT,
        rules=_RULES,
        extent=("r.ts - interval '9 days'", "r.ts + interval '1 hour'"),
        has_past=True,
    ),
    Mart(
        "hourly",
        "One row per symbol and hour with everything that a first look wants: the blocks of "
        "market_overview at every hour. Nothing is carried forward.",
        ("symbol", "ts"),
        (SYMBOL, _TS, SOURCE_TIER, *_BLOCKS, *_METHODS, KNOWN_AT, INGESTED_AT),
        present=_PRESENT,
        rules=_RULES,
        indexes=(("ts",),),
        extent=("r.ts - interval '9 days'", "r.ts + interval '1 hour'"),
        has_past=True,
    ),
    Mart(
        "regime_timeline",
        "One row per symbol, kind and spell of one regime. The spells tile every hour from the first "
        "row of the symbol to its newest: hours without a regime are spells with a null regime, never "
        "merged across.",
        ("kind", "symbol", "from_ts"),
        (
            Field(
                "kind",
                Kind.TEXT,
                "volatility: vol_regime_confirmed of features.volatility_regimes; primary: "
                "primary_regime of regimes.timeframe_regimes.",
                allowed=("volatility", "primary"),
            ),
            Field("symbol", Kind.TEXT, "Canonical symbol, BASE/QUOTE."),
            Field(
                "from_ts",
                Kind.TIMESTAMP,
                "UTC open of the first hour of the spell; the regime was known one hour later.",
            ),
            Field(
                "to_ts",
                Kind.TIMESTAMP,
                "UTC open of the first hour after the spell; null while it is open.",
            ),
            Field("through_ts", Kind.TIMESTAMP, "UTC open of the last hour of the spell so far."),
            Field("hours", Kind.INTEGER, "Length so far.", unit="h"),
            Field("regime", Kind.TEXT, "The regime; null for a stretch in which it is unknown."),
            Field(
                "previous_regime",
                Kind.TEXT,
                "Regime of the spell before; null for the first one and after an unknown stretch.",
            ),
            Field(
                "status", Kind.TEXT, "ok, or missing for a stretch in which the regime is unknown."
            ),
            Field(
                "price_start",
                Kind.FLOAT,
                "Spot close of the first hour, the first price at which the regime was known.",
                unit="quote",
            ),
            Field(
                "price_end",
                Kind.FLOAT,
                "Spot close of the hour to_ts, when the end was known; the newest close while the"
                " spell is open.",
                unit="quote",
            ),
            Field(
                "return_pct",
                Kind.FLOAT,
                "price_end against price_start, so that the returns of spells in a row chain up.",
                unit="percent",
            ),
            SOURCE_TIER,
            METHOD_VERSION,
            KNOWN_AT,
            INGESTED_AT,
        ),
        time_column="from_ts",
        required=frozenset({"through_ts", "hours", "status"}),
        present={"regime": "status"},
        rules={
            "hours_match_the_ends": "through_ts - from_ts = (hours - 1) * interval '1 hour' "
            "and coalesce(to_ts = through_ts + interval '1 hour', true)",
        },
        extent=("r.from_ts", "coalesce(r.to_ts, r.through_ts) + interval '1 hour'"),
        indexes=(("from_ts",),),
        why_no_past="an hour belongs to a spell by what came after it: volatility_1h and regimes_1h say what "
        "was known of each hour",
    ),
)
