"""Tables of the correlation schema. Pairs are ordered: symbol_a < symbol_b."""

from __future__ import annotations

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
        ),
        symbol_columns=PAIR,
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
    ),
)
