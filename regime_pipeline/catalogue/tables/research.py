"""Tables that say what signals are worth; they stand in the schema of the signals."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.research import ORDER_SIZES_USD
from regime_pipeline.catalogue.model import Cadence, Table
from regime_pipeline.catalogue.tables.market import derived

TABLES = (
    Table(
        schema="signals",
        name="trials",
        description="The ledger of trials: every distinct specification whose statistic against later "
        "returns was computed on real history, written before the number was known. Nothing is removed.",
        fields=(
            "trial_id",
            "trial_family",
            "trial_kind",
            "trial_spec",
            "trial_origin",
            "headline_h",
            "trial_code_version",
            "first_run_at",
            "run_count",
            "dropped_reason",
        ),
        key=("trial_id",),
        required=frozenset(
            {
                *("trial_family", "trial_kind", "trial_spec", "trial_origin", "headline_h"),
                *("trial_code_version", "first_run_at", "run_count"),
            }
        ),
        time_column="first_run_at",
        symbol_columns=(),
        partitioned=False,
        bookkeeping=frozenset({"trial_origin", "first_run_at", "run_count", "dropped_reason"}),
    ),
    Table(
        schema="signals",
        name="trial_days",
        description="What each day added to the coefficient of a trial, so that trials that are alike "
        "count as one; of the variants that somebody asked for.",
        fields=("trial_id", "horizon_h", "trial_day", "influence_sum", "influence_hours"),
        key=("trial_id", "horizon_h", "trial_day"),
        required=frozenset({"influence_sum", "influence_hours"}),
        time_column="trial_day",
        symbol_columns=(),
        partitioned=False,
    ),
    derived(
        "signals",
        "execution_quality",
        "What trading the perpetual of the primary venue would have cost in each hour: spread, depth, "
        "slippage, how far a dollar moves the price. No order is ever placed.",
        ("symbol", "ts"),
        (
            *("venue", "quoted_spread_bps", "effective_spread_bps"),
            *(f"thinner_depth_{band}bps_usd" for band in (10, 25, 50)),
            *(f"slippage_{name}_bps" for name in ORDER_SIZES_USD),
            *(f"filled_share_{name}" for name in ORDER_SIZES_USD),
            *("amihud_bps_per_musd", "kyle_bps_per_musd", "taker_fee_bps"),
            *("cost_10k_bps", "cost_10k_kind", "liquidity_score"),
        ),
        computed_in="research.execution",
        main="cost_10k_bps",
    ),
    derived(
        "signals",
        "calibrators",
        "The curve from each score to the probability that the return over 4 h passes the cost, fitted anew "
        "each day and judged on months that no fit knew; one row per signal, side and day, at 23:00. A row "
        "is an artefact and never changes.",
        ("signal", "horizon_h", "calibration_side", "ts"),
        (
            *("calibrator_kind", "calibrator_params", "fit_from", "fit_to", "labels", "labels_eff"),
            *("base_rate", "labels_hash", "brier_skill", "brier_skill_low", "brier_skill_high"),
            *("is_calibrated", "calibration_reason", "ece", "ece_low", "ece_high", "is_consistent"),
            *("brier", "murphy_reliability", "murphy_resolution", "murphy_uncertainty"),
            *("murphy_within_variance", "murphy_within_covariance", "verdict_raw"),
            *("signal_freshness", "signal_coverage", "signal_health"),
        ),
        ("labels", "labels_eff", "is_calibrated", "verdict_raw"),
        symbol_columns=(),
        computed_in="research.calibrators",
        cadence=Cadence.SPARSE,
        main="brier_skill",
    ),
    derived(
        "signals",
        "reliability",
        "How often it came true what each score's probability said, in bins of about equal size over all "
        "forecasts that no fit knew; one row per signal, side, bin and day, at 23:00.",
        ("signal", "horizon_h", "calibration_side", "reliability_bin", "ts"),
        ("bin_rows", "bin_probability", "bin_observed", "bin_observed_se"),
        ("bin_rows", "bin_probability", "bin_observed"),
        symbol_columns=(),
        computed_in="research.calibrators",
        cadence=Cadence.SPARSE,
        main="bin_observed",
    ),
    derived(
        "signals",
        "consensus",
        "What the primary regime, the futures score, the confluence and momentum say together, one row per "
        "symbol and hour; weights by proven skill, equal while nobody has any.",
        ("symbol", "ts"),
        (
            *("votes", "voters", "consensus", "consensus_reason", "consensus_margin"),
            *("is_unproven", "fleiss_kappa_30d", "dissenters"),
        ),
        ("votes", "voters", "is_unproven"),
        computed_in="research.consensus",
        main="consensus_margin",
    ),
    derived(
        "signals",
        "passports",
        "What every score has been worth over the 730 days to the day's last hour, one row per signal, "
        "horizon, and all symbols together, a volatility regime, a symbol, or across symbols, at 23:00. "
        "Symbol `*`: all of them.",
        ("signal", "horizon_h", "passport_kind", "symbol", "passport_regime", "ts"),
        (
            "ic",
            "ic_se",
            "ic_lag_h",
            "ic_hours",
            "ic_hours_eff",
            "icir",
            "hit_rate",
            "hit_rate_low",
            "hit_rate_high",
            "n_hits",
            "quantile_spread_bps",
            "quantile_spread_low_bps",
            "quantile_spread_high_bps",
            "cost_bps",
            "cost_kind",
            "switches_per_held_h",
            "net_spread_bps",
            "is_tradable",
            "turnover_per_day",
            "score_half_life_h",
            "ic_half_life_h",
            "redundancy_r2",
            "ic_partial",
            "nearest_signal",
            "nearest_corr",
            "trials_n",
            "trials_eff",
            "crit",
            "verdict_raw",
            "verdict",
            "verdict_reason",
            "evidence",
        ),
        ("ic_lag_h", "ic_hours", "trials_n", "trials_eff", "verdict_raw", "verdict"),
        symbol_columns=(),
        computed_in="research.passports",
        cadence=Cadence.SPARSE,
        main="ic",
    ),
)
