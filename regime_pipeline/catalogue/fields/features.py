"""Columns of the feature tables: cascades, funding, volatility."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

VOL_REGIMES = ("STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME")
_GK = "Garman & Klass 1980"

FIELDS = (
    # liquidation cascades
    Field(
        "velocity_usd_per_hour", Kind.FLOAT, "Liquidated USD per hour of the bucket.", "USD/h", 0
    ),
    Field(
        "severity",
        Kind.INTEGER,
        "Severity by USD against the threshold T: 1 Low .. 5 Extreme, 0 below.",
        None,
        0,
        5,
    ),
    Field("is_cascade", Kind.BOOLEAN, "severity >= 3."),
    Field(
        "severity_pct",
        Kind.INTEGER,
        "Severity by the symbol's own last 30 days: bands p90, p97, p99, p99.7, p99.95.",
        None,
        0,
        5,
        source="McNeil & Frey 2000 for the upper bands",
    ),
    Field(
        "liq_to_oi_bps",
        Kind.FLOAT,
        "Liquidated USD against the open interest at the close of the hour before.",
        "bps",
        0,
    ),
    Field(
        "dominance",
        Kind.TEXT,
        "Side that was liquidated, by USD share; null when too little was.",
        allowed=("LONG", "SHORT", "BALANCED"),
    ),
    Field("long_share_frac", Kind.FLOAT, "Longs' share of the liquidated USD.", "fraction", 0, 1),
    # funding
    Field("rate_8h", Kind.FLOAT, "Funding rate per 8 hours.", "fraction per 8 h"),
    Field("rate_annual", Kind.FLOAT, "rate_8h times 1095.", "fraction per year"),
    Field("print_ts", Kind.TIMESTAMP, "Settlement behind the row."),
    Field(
        "z_score",
        Kind.FLOAT,
        "Lagged z of rate_8h over the prints of the 30 days before, scale floor applied.",
        "sd",
    ),
    Field(
        "z_robust",
        Kind.FLOAT,
        "Lagged MAD z of rate_8h, scale floor applied.",
        "sd",
        source="Iglewicz & Hoaglin 1993",
    ),
    Field("median_rate_8h", Kind.FLOAT, "Median of the window behind z_score.", "fraction per 8 h"),
    Field(
        "pctl_365d",
        Kind.FLOAT,
        "Mid-rank of rate_8h among the prints of 365 days.",
        "fraction",
        0,
        1,
    ),
    Field("is_anomaly", Kind.BOOLEAN, "|z_score| above the threshold (2.0 by default)."),
    Field(
        "extreme_level",
        Kind.TEXT,
        "Level of z_score.",
        allowed=("NORMAL", "HIGH", "LOW", "EXTREME_HIGH", "EXTREME_LOW"),
    ),
    Field(
        "persistence_score",
        Kind.FLOAT,
        "Duration-weighted share of the last 7 days that was anomalous on the present side.",
        "fraction",
        0,
        1,
    ),
    Field(
        "run_sign", Kind.INTEGER, "Side of the open anomaly run: +1, -1; 0 with none.", None, -1, 1
    ),
    Field("is_reversal", Kind.BOOLEAN, "A run ended here by a change of sign with |dz| >= 1."),
    Field("reversal_run_start", Kind.TIMESTAMP, "First print of the run that reversed here."),
    Field("n_obs", Kind.INTEGER, "Observations behind the statistic.", None, 0),
    # volatility
    Field(
        "volatility_24h",
        Kind.FLOAT,
        "Realised volatility of the last 24 hourly log returns, zero mean.",
        "fraction per 24 h",
        0,
        source="Andersen & Bollerslev 1998",
    ),
    Field(
        "volatility_mean",
        Kind.FLOAT,
        "Mean of volatility_24h over the 30 days that end 24 h earlier.",
        "fraction per 24 h",
        0,
    ),
    Field("vol_ratio", Kind.FLOAT, "volatility_24h / volatility_mean.", None, 0),
    Field("vol_regime", Kind.TEXT, "Class of vol_ratio.", allowed=VOL_REGIMES),
    Field("risk_multiplier", Kind.FLOAT, "Risk by vol_regime: 0.7, 1.2, 1.8, 2.5.", None, 0),
    Field(
        "size_scaler", Kind.FLOAT, "1 / risk_multiplier, what a position would shrink to.", None, 0
    ),
    Field("abs_stable", Kind.BOOLEAN, "volatility_24h below the absolute threshold."),
    Field(
        "volatility_24h_gk",
        Kind.FLOAT,
        "Range-based volatility of the last 24 bars. Reads 8-12 % low at sixty ticks a bar, which "
        "cancels in the ratio.",
        "fraction per 24 h",
        0,
        source=_GK,
    ),
    Field(
        "volatility_median_gk",
        Kind.FLOAT,
        "Median of volatility_24h_gk over the 30 days that end 24 h earlier.",
        "fraction per 24 h",
        0,
        source=_GK,
    ),
    Field("vol_ratio_gk", Kind.FLOAT, "volatility_24h_gk / volatility_median_gk.", None, 0),
    Field("vol_regime_gk", Kind.TEXT, "Class of vol_ratio_gk.", allowed=VOL_REGIMES),
    Field(
        "vol_regime_confirmed",
        Kind.TEXT,
        "Class of vol_ratio_gk after hysteresis and confirmation; the one that alerts use.",
        allowed=VOL_REGIMES,
    ),
    Field("risk_multiplier_confirmed", Kind.FLOAT, "Risk by vol_regime_confirmed.", None, 0),
    Field(
        "regime_since",
        Kind.TIMESTAMP,
        "First row of the confirmed regime; null when it is older than the lookback.",
    ),
    Field("regime_age_h", Kind.INTEGER, "Rows since the confirmed regime began, capped.", "h", 0),
    Field("n_bars", Kind.INTEGER, "Bars present in the 24 h window.", "bars", 0, 24),
)
