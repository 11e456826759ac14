"""Tables of the correlation schema. Pairs are ordered: symbol_a < symbol_b."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Cadence
from regime_pipeline.catalogue.tables.features import EVENT
from regime_pipeline.catalogue.tables.market import derived

PAIR = ("symbol_a", "symbol_b")

TABLES = (
    derived(
        "correlation",
        "asset_correlations",
        "Correlation of hourly log returns of the spot series, one row per pair and hour, with the "
        "test against the pair's own disjoint baseline.",
        (*PAIR, "ts"),
        (
            "corr_7d",
            "corr_30d_base",
            "spearman_7d",
            "spearman_30d_base",
            "corr_ewma",
            "n_7d",
            "n_30d_base",
            "rel_drop",
            "abs_change",
            "break_z",
            "break_z_sd",
            "p_break",
            "is_break",
            "is_rise",
            "break_kind",
            "corr_30d_legacy",
            "is_break_legacy",
        ),
        symbol_columns=PAIR,
        computed_in="correlation.asset_correlations",
        main="corr_7d",
    ),
    derived(
        "correlation",
        "correlation_breaks",
        "The hours of open break episodes, one row per pair and hour from is_break to the hour "
        "that ends it.",
        (*PAIR, "ts"),
        (
            "corr_7d",
            "corr_30d_base",
            "rel_drop",
            "p_break",
            "break_kind",
            "break_severity",
            "duration_hours",
            *EVENT,
        ),
        symbol_columns=PAIR,
        computed_in="correlation.asset_correlations",
        cadence=Cadence.SPARSE,
    ),
    derived(
        "correlation",
        "correlation_matrices",
        "The correlation matrix of the universe over the 168 h to the day's last bar, one row per "
        "pair and day at 23:00: shrunk, cleaned, adjusted for volatility.",
        (*PAIR, "ts"),
        (
            "corr_7d",
            "n_7d",
            "corr_shrunk",
            "corr_clipped",
            "corr_vol_adjusted",
            "variance_ratio",
            "distance",
        ),
        symbol_columns=PAIR,
        computed_in="correlation.market_structure",
        cadence=Cadence.SPARSE,
        main="corr_shrunk",
    ),
    derived(
        "correlation",
        "market_structure",
        "What the matrix of the day says of the universe as a whole: common variance, clusters, "
        "who leads. One row per day at 23:00.",
        ("ts",),
        (
            "n_symbols",
            "shrinkage",
            "corr_mean",
            "absorption_ratio",
            "n_absorbing",
            "eigenvalue_min",
            "is_psd_repaired",
            "leaf_order",
            "linkage",
            "leading_asset",
            "critical_value",
            "lead_reason",
        ),
        ("n_symbols",),
        symbol_columns=(),
        computed_in="correlation.market_structure",
        cadence=Cadence.SPARSE,
        main="absorption_ratio",
    ),
    derived(
        "correlation",
        "lead_lag",
        "Who moves first within a pair, at lags of 1 to 3 h over the 168 h to the day's last bar, "
        "against the largest lead that chance shows. One row per pair and day at 23:00.",
        (*PAIR, "ts"),
        ("best_lag_h", "lead_corr", "net_lead", "critical_value", "leader", "lead_reason"),
        symbol_columns=PAIR,
        computed_in="correlation.market_structure",
        cadence=Cadence.SPARSE,
        main="net_lead",
    ),
    derived(
        "correlation",
        "pair_signals",
        "Spread of log prices of a pair, hourly, judged by a cointegrating regression on the 90 d "
        "before the day.",
        (*PAIR, "ts"),
        (
            "hedge_ratio",
            "spread_intercept",
            "spread_sd",
            "coint_tau",
            "coint_critical_5pct",
            "coint_p",
            "is_cointegrated",
            "half_life_h",
            "spread_z",
            "pair_signal",
            "n_obs",
        ),
        symbol_columns=PAIR,
        computed_in="correlation.pair_signals",
        main="spread_z",
    ),
)
