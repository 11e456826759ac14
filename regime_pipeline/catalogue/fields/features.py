"""Columns of the feature tables: cascades, funding, volatility."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

VOL_REGIMES = ("STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME")
_GK = "Garman & Klass 1980"

STRUCTURE_EVENTS: dict[str, str] = {
    "break_of_structure": "First close beyond the newest pivot after a break to the same side",
    "change_of_character": "First close beyond the newest pivot after none or one to the other side",
    "order_block": "Break with a displacement: the last opposite bar before it becomes a zone",
    "order_block_touch": "First return to the newest order block",
    "fair_value_gap": "Gap of a quarter of the mean range between this bar and the last but one",
    "fair_value_gap_touch": "First return to the newest gap",
    "liquidity_sweep": "A newest unbroken pivot is passed, the close comes back",
    "engulfing": "Body over the opposite one before",
    "hammer": "Long wick against the move of 8 bars",
    "doji": "No body on a wide bar against the move of 8 bars",
    "three_soldiers": "Three bodies of 0.4 mean ranges to one side",
    "inside_break": "Close beyond a bar that held the next one",
}
"""What may happen on a bar, in the order of the kernels."""
STRUCTURE_LEVELS = (
    *(
        (
            pivot,
            *(f"{side}_{kind}_{end}" for kind in ("block", "gap") for end in ("low", "high")),
        )
        for pivot, side in (("pivot_high", "bullish"), ("pivot_low", "bearish"))
    ),
)
"""Prices that stand, rising side first."""

FIELDS = (
    *(
        Field(name, Kind.INTEGER, f"{what}: 1 rising, -1 falling, 0 not.", None, -1, 1)
        for name, what in STRUCTURE_EVENTS.items()
    ),
    *(
        Field(
            name,
            Kind.FLOAT,
            f"{name.replace('_', ' ').capitalize()}: newest one that stands.",
            "quote",
            0,
            exclusive_minimum=True,
        )
        for names in STRUCTURE_LEVELS
        for name in names
    ),
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
    Field(
        "is_cascade",
        Kind.BOOLEAN,
        "severity >= 3 and severity_pct >= 3: large, and unusual for the symbol. Null while there is "
        "no percentile history.",
    ),
    Field(
        "is_cascade_legacy",
        Kind.BOOLEAN,
        "severity >= 3: large in fixed USD, which a large coin is in every eighth hour.",
    ),
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
    Field(
        "event_count",
        Kind.INTEGER,
        "Liquidation orders of order_source in the hour, a lower bound; null in an hour in which it "
        "reported no order of any coin.",
        "orders",
        0,
    ),
    Field(
        "dominance_ci_low",
        Kind.FLOAT,
        "Lower end of the 95 % interval of the longs' share of the hour's orders.",
        "fraction",
        0,
        1,
        source="Wilson 1927",
    ),
    Field(
        "dominance_ci_high",
        Kind.FLOAT,
        "Upper end of the 95 % interval of the longs' share of the hour's orders.",
        "fraction",
        0,
        1,
        source="Wilson 1927",
    ),
    Field(
        "intensity_ratio",
        Kind.FLOAT,
        "Decay-weighted mean of the last hours' liquidations (0.8 per hour) over the mean of the "
        "30 d before the day. From hourly buckets: a proxy, tier 3.",
        None,
        0,
    ),
    Field(
        "branching_ratio",
        Kind.FLOAT,
        "Share of the liquidated amount that follows from earlier ones, refitted daily on the 30 d "
        "before. From hourly buckets: a proxy, tier 3; slow swings of activity raise it.",
        "fraction",
        0,
        1,
        source="Hawkes 1971; Kirchner 2016",
    ),
    Field(
        "order_source", Kind.TEXT, "Provider of the single orders behind the row's order columns."
    ),
    Field(
        "velocity_15m_usd_per_hour",
        Kind.FLOAT,
        "USD of the orders in the hour's last 15 minutes, times four; a lower bound.",
        "USD/h",
        0,
    ),
    Field(
        "velocity_15m_peak_usd_per_hour",
        Kind.FLOAT,
        "The same for the heaviest quarter of the hour.",
        "USD/h",
        0,
    ),
    Field(
        "velocity_legacy_usd_per_hour",
        Kind.FLOAT,
        "The legacy speed: USD of the hour's orders over the time between the first and the last of "
        "them, without bound as they crowd; null under two times.",
        "USD/h",
        0,
    ),
    Field(
        "hawkes_branching_long",
        Kind.FLOAT,
        "Share of the longs' liquidation orders that earlier ones set off, refitted daily on the "
        "orders of the 30 d before; null under 500.",
        "fraction",
        0,
        1,
        source="Hawkes 1971; Ogata 1988",
    ),
    Field(
        "hawkes_intensity_ratio_long",
        Kind.FLOAT,
        "Rate of the longs' liquidation orders at ts + 1h over the background rate of the same fit.",
        None,
        1,
        source="Hawkes 1971; Ogata 1988",
    ),
    Field(
        "hawkes_branching_short",
        Kind.FLOAT,
        "Share of the shorts' liquidation orders that earlier ones set off, refitted daily on the "
        "orders of the 30 d before; null under 500.",
        "fraction",
        0,
        1,
        source="Hawkes 1971; Ogata 1988",
    ),
    Field(
        "hawkes_intensity_ratio_short",
        Kind.FLOAT,
        "Rate of the shorts' liquidation orders at ts + 1h over the background rate of the same fit.",
        None,
        1,
        source="Hawkes 1971; Ogata 1988",
    ),
    Field(
        "excitation_source",
        Kind.TEXT,
        "Best measure of self-excitation that the row has: fits of single orders (hawkes_*), or the "
        "proxies from buckets alone.",
        allowed=("orders", "buckets"),
    ),
    Field(
        "cascade_state",
        Kind.TEXT,
        "By intensity_ratio: BUILDING from 2, ACTIVE from 4, DECAYING after it below 2, NONE below "
        "1.",
        allowed=("NONE", "BUILDING", "ACTIVE", "DECAYING"),
    ),
    Field(
        "support_levels",
        Kind.FLOATS,
        "Up to three prices below the perpetual's close, nearest first.",
        "quote",
    ),
    Field(
        "support_level_sources",
        Kind.JSON,
        "Origin of each support level: swing or liquidation_cluster.",
    ),
    Field(
        "resistance_levels",
        Kind.FLOATS,
        "Up to three prices above the perpetual's close, nearest first.",
        "quote",
    ),
    Field(
        "resistance_level_sources",
        Kind.JSON,
        "Origin of each resistance level: swing or liquidation_cluster.",
    ),
    # funding
    Field("rate_8h", Kind.FLOAT, "Funding rate per 8 hours.", "fraction per 8 h"),
    Field("rate_annual", Kind.FLOAT, "rate_8h times 1095.", "fraction per year"),
    Field(
        "predicted_reason",
        Kind.TEXT,
        "Why there is no predicted_rate; the row's status is about the settled print.",
    ),
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
        "z_score_legacy",
        Kind.FLOAT,
        "The legacy z of funding_rate: over 30 d of prints held forward to hours, its own value "
        "inside, which hides anomalies. Beside z_score for comparison only.",
        "sd",
    ),
    Field("is_anomaly_legacy", Kind.BOOLEAN, "|z_score_legacy| above the threshold."),
    Field(
        "persistence_legacy",
        Kind.FLOAT,
        "The legacy persistence: share of those 720 hours beyond the threshold; by Chebyshev never "
        "above 0.25 at 2 sd.",
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
    Field(
        "reentered_24h",
        Kind.BOOLEAN,
        "A print of the 24 h after the anomaly has |z_score| under 1; one that was seen is known, "
        "that there was none takes 16 judged hours.",
    ),
    Field(
        "return_24h",
        Kind.FLOAT,
        "Log return of the perpetual from the close before the print to the close 24 h later.",
        "log return",
    ),
    Field(
        "price_reversed_24h",
        Kind.BOOLEAN,
        "return_24h has the opposite sign of z_score; null for a return of zero.",
    ),
    Field(
        "reversal_probability",
        Kind.FLOAT,
        "Odds that the anomalous z_score re-enters |z| < 1 within 24 h: past events of all symbols "
        "in the same state, shrunk to their base rate by ten events; null under 30.",
        "probability",
        0,
        1,
    ),
    Field("reversal_n", Kind.INTEGER, "Past events behind reversal_probability.", "events", 0),
    Field("reversal_lo", Kind.FLOAT, "2.5 % point of the Beta distribution.", "probability", 0, 1),
    Field("reversal_hi", Kind.FLOAT, "97.5 % point of the Beta distribution.", "probability", 0, 1),
    Field(
        "price_reversal_probability",
        Kind.FLOAT,
        "Odds that the perpetual's price moves against the side of the anomaly over 24 h, pooled "
        "in the same way.",
        "probability",
        0,
        1,
    ),
    Field(
        "price_reversal_n",
        Kind.INTEGER,
        "Past events behind price_reversal_probability.",
        "events",
        0,
    ),
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
    Field(
        "regime_age_h",
        Kind.INTEGER,
        "Hours since the confirmed regime began, counted back over its equal classes; 168 where that "
        "is longer ago.",
        "h",
        0,
        168,
    ),
    Field(
        "vol_regime_from",
        Kind.TEXT,
        "Where the row announces a change of the confirmed regime: the class announced before it.",
        allowed=VOL_REGIMES,
    ),
    Field(
        "clustering_probability",
        Kind.FLOAT,
        "Share of the year's rows of this confirmed class that had it 24 h later too, with one "
        "pseudo count per class; null under 50 rows. Counts overlap, so it has no interval.",
        "probability",
        0,
        1,
    ),
    Field("clustering_n", Kind.INTEGER, "Rows behind clustering_probability.", "rows", 0),
    Field(
        "vol_regime_sjm",
        Kind.TEXT,
        "State of a jump model of log volatilities, by rank of its four volatilities; never revised. "
        "The names are those of vol_regime, the borders are not: a rank says nothing of a ratio.",
        allowed=VOL_REGIMES,
        source="Bemporad et al. 2018; Nystrup et al. 2020",
    ),
    Field(
        "sjm_penalty",
        Kind.FLOAT,
        "Cost of a change of state that the week's fit was given.",
        None,
        0,
    ),
    Field("sjm_fitted_at", Kind.TIMESTAMP, "Monday 00:00 UTC before which the model was fitted."),
    Field(
        "sjm_reason",
        Kind.TEXT,
        "Why there is no vol_regime_sjm.",
        allowed=("no_observation", "insufficient_history", "zero_dispersion"),
    ),
    Field(
        "har_skill",
        Kind.FLOAT,
        "1 - QLIKE loss of the daily HAR forecast over that of the 30 d mean, last 90 forecasts, "
        "held from one 23:00 row to the next.",
        None,
        None,
        1,
        source="Corsi 2009; Patton 2011",
    ),
    Field(
        "predictability",
        Kind.TEXT,
        "Class of har_skill: HIGH from 0.20, MEDIUM from 0.05, else LOW.",
        allowed=("HIGH", "MEDIUM", "LOW"),
    ),
    Field("n_bars", Kind.INTEGER, "Bars present in the 24 h window.", "bars", 0, 24),
)
