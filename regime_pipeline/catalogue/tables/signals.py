"""Tables of the signals schema."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.signals import FACTOR_NUMBERS, FACTORS, SINGLE_COMPONENTS
from regime_pipeline.catalogue.model import Cadence
from regime_pipeline.catalogue.tables.market import derived

BLOCK_STATE = ("status", "reason", "age_h")
COMPONENT_COLUMNS = ("score", "direction", "strength", "confidence", "status", "reason")

BEHIND: dict[str, tuple[str, ...]] = {
    "momentum": ("momentum_raw",),
    "technical": (
        "technical_rsi",
        "technical_macd_hist",
        "technical_percent_b",
        "technical_is_overbought",
        "technical_is_oversold",
    ),
    "volume": ("volume_spike_z", "volume_vwap_24h", "volume_poc_24h"),
    "orderflow": ("flow_imbalance", "orderflow_z", "large_share"),
    "orderbook": (
        "imbalance",
        "orderbook_z",
        "spread_bps",
        "spread_pctl_30d",
        "n_snapshots",
        "orderbook_score_legacy",
    ),
    "sentiment": (
        "social_z",
        "news_z",
        "trader_z",
        "sentiment_z",
        "kinds_present",
        "sentiment_score_legacy",
    ),
    "price_action": (
        "channel_position_20",
        "channel_position_55",
        "candle_position",
        "candle_body_frac",
        "candle_upper_wick_frac",
        "candle_lower_wick_frac",
        "is_channel_break_up",
        "is_channel_break_down",
    ),
    "beta_exp": ("beta", "beta_se", "beta_r2", "idiosyncratic_volatility_1h"),
    "whale_act": (
        "net_flow_usd",
        "stablecoin_net_flow_usd",
        "whale_flow_to_volume",
        "whale_z",
        "whale_act_score_legacy",
    ),
    "liquidation": (
        "liquidation_imbalance",
        "liquidation_exhaustion_score",
        "liquidation_score_legacy",
    ),
}
"""The numbers behind each component."""

SNAPSHOT_BLOCKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "market": (
        "market.metrics_1h",
        (
            "close",
            "price_change_1h_frac",
            "price_change_24h_frac",
            "price_change_7d_frac",
            "volume_24h_usd",
            "open_interest_usd",
            "open_interest_change_24h_base_frac",
            "long_liquidations_24h_usd",
            "short_liquidations_24h_usd",
        ),
    ),
    "volatility": (
        "features.volatility_regimes",
        (
            "vol_regime_confirmed",
            "risk_multiplier_confirmed",
            "regime_age_h",
            "vol_ratio_gk",
            "volatility_24h",
        ),
    ),
    "regime": (
        "regimes.timeframe_regimes",
        ("primary_regime", "agreement_count", "agreement_score", "is_confirmed"),
    ),
    "funding": (
        "features.funding_anomalies",
        ("print_ts", "rate_8h", "rate_annual", "z_score", "extreme_level", "is_anomaly"),
    ),
    "cascade": (
        "features.liquidation_cascades",
        ("severity", "severity_pct", "is_cascade", "dominance"),
    ),
    "confluence": (
        "signals.confluence",
        (
            "confluence_score",
            "confluence_direction",
            "confluence_confidence",
            "alignment",
            "n_eff",
        ),
    ),
    "futures": (
        "signals.futures_scores",
        (
            "futures_score",
            "futures_signal",
            "coverage_pct",
            "confidence",
            "confidence_level",
            "top_factors",
        ),
    ),
}
"""Blocks of the snapshot: the table each is from, and its columns. Fear & Greed is a block beside them."""

TABLES = (
    derived(
        "signals",
        "components",
        "Signal components of the primary perpetual, one row per symbol and hour, columns per "
        "component. The row is ok when every component that is configured and applicable is, partial "
        "while one of them has a score.",
        ("symbol", "ts"),
        (
            *(
                column
                for name in SINGLE_COMPONENTS
                for column in (*(f"{name}_{c}" for c in COMPONENT_COLUMNS), *BEHIND[name])
            ),
            "left_out",
            "inputs_asof",
        ),
        computed_in="signals.components",
        main="momentum_score",
    ),
    derived(
        "signals",
        "confluence",
        "What the components say together, one row per symbol and hour: weighted mean, alignment, how "
        "many of them are independent, and a mean that allows for it.",
        ("symbol", "ts"),
        (
            *(f"confluence_{c}" for c in ("score", "direction", "strength", "confidence")),
            "confluence_decorrelated",
            "alignment",
            "component_coverage",
            "n_eff",
            "n_eff_reason",
            "bullish_n",
            "bearish_n",
            "neutral_n",
            "missing_n",
        ),
        computed_in="signals.confluence",
        main="confluence_score",
    ),
    derived(
        "correlation",
        "signal_correlations",
        "How the eleven components of a symbol move together over the 720 h to the day's last bar, one "
        "row per pair and day at 23:00.",
        ("symbol", "component_a", "component_b", "ts"),
        ("signal_corr", "partial_corr", "n_obs"),
        computed_in="signals.signal_correlations",
        cadence=Cadence.SPARSE,
        main="signal_corr",
    ),
    derived(
        "correlation",
        "signal_correlations_pooled",
        "How the eleven components move together in all symbols: the mean of their matrices, weighted by "
        "their common hours, one row per pair and day at 23:00.",
        ("component_a", "component_b", "ts"),
        ("signal_corr", "partial_corr", "n_obs", "n_symbols"),
        ("n_symbols",),
        symbol_columns=(),
        computed_in="signals.signal_correlations",
        cadence=Cadence.SPARSE,
        main="signal_corr",
    ),
    derived(
        "signals",
        "dashboard_comparison",
        "Ready-made scores of the dashboard service beside ours, one row per symbol, component and hour "
        "in which one was known. Nothing is made of them.",
        ("symbol", "component", "ts"),
        ("dashboard_score", "dashboard_confidence", "own_score", "score_difference"),
        computed_in="signals.dashboard_comparison",
        cadence=Cadence.SPARSE,
        main="score_difference",
    ),
    derived(
        "signals",
        "futures_scores",
        "The 8-factor futures score, one row per symbol and hour, with weight, sub-score and raw numbers "
        "of every factor.",
        ("symbol", "ts"),
        (
            "futures_score",
            "futures_signal",
            "score_uncovered",
            "score_fixed50",
            "coverage_pct",
            "confidence",
            "confidence_level",
            "factor_agreement",
            "freshness",
            "top_factors",
            *(
                c
                for f in FACTORS
                for c in (
                    f"{f}_factor",
                    f"{f}_factor_status",
                    f"{f}_factor_reason",
                    f"{f}_factor_weight_pct",
                    *FACTOR_NUMBERS[f],
                )
            ),
        ),
        computed_in="signals.futures_score",
    ),
    derived(
        "signals",
        "snapshots",
        "What a trader looks at first, one row per symbol and hour: price, volatility, regime, funding, "
        "cascade, confluence, futures score and the market's mood, each with its status and age.",
        ("symbol", "ts"),
        (
            *(
                column
                for name, (_, columns) in SNAPSHOT_BLOCKS.items()
                for column in (*columns, *(f"{name}_block_{c}" for c in BLOCK_STATE))
            ),
            "fear_greed",
            *(f"fear_greed_block_{c}" for c in BLOCK_STATE),
        ),
        computed_in="signals.snapshots",
        main="futures_score",
    ),
)
