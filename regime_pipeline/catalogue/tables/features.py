"""Tables of the features schema."""

from __future__ import annotations

from regime_pipeline.catalogue.tables.market import derived

EVENT = ("event_kind", "event_severity", "event_ordinal", "episode_start")

TABLES = (
    derived(
        "features",
        "liquidation_cascades",
        "Liquidation cascades, one row per symbol and hour.",
        ("symbol", "ts"),
        (
            "total_liquidation_usd",
            "long_liquidations_usd",
            "short_liquidations_usd",
            "velocity_usd_per_hour",
            "severity",
            "is_cascade",
            "severity_pct",
            "liq_to_oi_bps",
            "long_share_frac",
            "dominance",
            "coverage",
            "is_lower_bound",
            *EVENT,
        ),
    ),
    derived(
        "features",
        "funding_prints",
        "Settled funding prints with the statistics that judge them; ts is the settlement. "
        "Announcements of anomalies and reversals are made here, at the print.",
        ("symbol", "ts"),
        (
            "funding_rate",
            "interval_hours",
            "rate_8h",
            "rate_annual",
            "z_score",
            "z_robust",
            "median_rate_8h",
            "pctl_365d",
            "is_anomaly",
            "extreme_level",
            "persistence_score",
            "run_sign",
            "is_reversal",
            "reversal_run_start",
            "n_obs",
            *EVENT,
        ),
    ),
    derived(
        "features",
        "funding_anomalies",
        "The newest settled print known at each hour (event time < ts + 1h) and its statistics, "
        "one row per symbol and hour; stale after 1.5 intervals.",
        ("symbol", "ts"),
        (
            "print_ts",
            "funding_rate",
            "interval_hours",
            "rate_8h",
            "rate_annual",
            "z_score",
            "z_robust",
            "pctl_365d",
            "is_anomaly",
            "extreme_level",
            "persistence_score",
            "n_obs",
        ),
    ),
    derived(
        "features",
        "volatility_regimes",
        "Volatility regimes of the spot series, one row per symbol and hour.",
        ("symbol", "ts"),
        (
            "volatility_24h",
            "volatility_mean",
            "vol_ratio",
            "vol_regime",
            "risk_multiplier",
            "size_scaler",
            "abs_stable",
            "volatility_24h_gk",
            "volatility_median_gk",
            "vol_ratio_gk",
            "vol_regime_gk",
            "vol_regime_confirmed",
            "risk_multiplier_confirmed",
            "regime_since",
            "regime_age_h",
            "n_bars",
            *EVENT,
        ),
    ),
)
