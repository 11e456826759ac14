"""Columns of the tables that say what signals are worth."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.features import VOL_REGIMES
from regime_pipeline.catalogue.model import Field, Kind

VERDICTS = ("UNPROVEN", "VALID", "INVERTED", "UNDECIDED")
_WHY = (
    "no_coefficient",
    "under_100_effective_hours",
    "under_20_lags",
    "interval_holds_zero",
    "deflated",
)

ORDER_SIZES_USD = {"10k": 1e4, "100k": 1e5, "1m": 1e6}
"""Orders that slippage is told of, by the name in its columns."""
CALIBRATION_SIDES = ("up", "down")
VOTES = ("LONG", "SHORT", "NEUTRAL")

FIELDS = (
    Field(
        "signal",
        Kind.TEXT,
        "Score that is judged: a component, the confluence, the futures score, one of its factors "
        "(`..._factor`), or an event of the price structure.",
    ),
    Field("horizon_h", Kind.INTEGER, "How far ahead the return reaches.", "h", 1),
    Field(
        "passport_kind",
        Kind.TEXT,
        "Over what: all symbols together, one symbol, or across symbols within the hour.",
        allowed=("pooled", "symbol", "cross_section"),
    ),
    Field(
        "passport_regime",
        Kind.TEXT,
        "Confirmed volatility regime of the hours that count; `*`: all of them.",
        allowed=(*VOL_REGIMES, "*"),
    ),
    Field(
        "ic",
        Kind.FLOAT,
        "Rank correlation of the score with the return that follows; null under 100 effective hours of a "
        "regime.",
        "fraction",
        -1,
        1,
        source="Spearman (1904)",
    ),
    Field(
        "ic_se",
        Kind.FLOAT,
        "Standard error of ic that allows for overlapping returns and lasting scores.",
        "fraction",
        0,
        source="Newey & West (1987)",
    ),
    Field("ic_lag_h", Kind.INTEGER, "Lag of ic_se: four horizons, at least 96 h.", "h", 1),
    Field("ic_hours", Kind.INTEGER, "Hours with a score and a return.", "h", 0),
    Field("ic_hours_eff", Kind.FLOAT, "Independent hours that they amount to.", "h", 0),
    Field(
        "icir", Kind.FLOAT, "Mean of the hourly correlations across symbols over their deviation."
    ),
    Field(
        "hit_rate",
        Kind.FLOAT,
        "Share of rows whose return had the sign that the score named.",
        "fraction",
        0,
        1,
    ),
    Field(
        "hit_rate_low",
        Kind.FLOAT,
        "Lower 95 % bound of hit_rate.",
        "fraction",
        0,
        1,
        source="Wilson (1927)",
    ),
    Field("hit_rate_high", Kind.FLOAT, "Upper 95 % bound of hit_rate.", "fraction", 0, 1),
    Field(
        "n_hits", Kind.INTEGER, "Rows behind hit_rate: no score of 50, no return of 0.", "rows", 0
    ),
    Field(
        "quantile_spread_bps",
        Kind.FLOAT,
        "Mean return above the score's own 80 % quantile of the 30 days before, less that below its 20 % "
        "quantile.",
        "bps",
    ),
    Field("quantile_spread_low_bps", Kind.FLOAT, "Lower 95 % bound of quantile_spread_bps.", "bps"),
    Field(
        "quantile_spread_high_bps", Kind.FLOAT, "Upper 95 % bound of quantile_spread_bps.", "bps"
    ),
    Field(
        "cost_bps",
        Kind.FLOAT,
        "Mean cost of changing a position of 10 000 USD while one is held: taker fee, half the spread, "
        "slippage.",
        "bps",
        0,
    ),
    Field(
        "cost_kind",
        Kind.TEXT,
        "Where most of the costs come from: the hour's book, its 30 day median, or a declared cost.",
        allowed=("book", "median_30d", "declared"),
    ),
    Field(
        "switches_per_held_h",
        Kind.FLOAT,
        "Entries and exits of the quantile positions per hour in which one is held.",
        minimum=0,
    ),
    Field(
        "net_spread_bps",
        Kind.FLOAT,
        "quantile_spread_bps less horizon x switches_per_held_h x cost_bps.",
        "bps",
    ),
    Field(
        "is_tradable",
        Kind.BOOLEAN,
        "The lower 95 % bound of quantile_spread_bps is above what the changes of positions cost.",
    ),
    Field(
        "turnover_per_day",
        Kind.FLOAT,
        "24 times the mean hourly change of the weight (score - 50) / 50.",
        "fraction",
        0,
    ),
    Field(
        "score_half_life_h",
        Kind.FLOAT,
        "Hours until half of a score's deviation is gone; null where its autocorrelation is not between 0 "
        "and .9995.",
        "h",
        0,
    ),
    Field(
        "ic_half_life_h",
        Kind.FLOAT,
        "Hours by which half of what the score says of the next 72 has come true; only of a VALID or "
        "INVERTED one.",
        "h",
        0,
    ),
    Field(
        "redundancy_r2",
        Kind.FLOAT,
        "Share of the score's ranks that the other scores explain, 23:00 rows of a year; null for events.",
        "fraction",
        0,
        1,
    ),
    Field(
        "ic_partial",
        Kind.FLOAT,
        "Rank correlation with the return given the other signals, 23:00 rows of a year.",
        "fraction",
        -1,
        1,
    ),
    Field("nearest_signal", Kind.TEXT, "The signal that it is most like."),
    Field("nearest_corr", Kind.FLOAT, "Rank correlation with that one.", "fraction", -1, 1),
    Field(
        "trials_n",
        Kind.INTEGER,
        "Specifications of the family in the ledger; away from its headline horizon, times the horizons.",
        "trials",
        1,
    ),
    Field("trials_eff", Kind.FLOAT, "Independent trials that they amount to.", "trials", 1),
    Field(
        "crit",
        Kind.FLOAT,
        "Standard errors that ic must exceed to be VALID at every look and among all trials.",
        "standard errors",
        0,
    ),
    Field("verdict_raw", Kind.TEXT, "Verdict of one look and one trial.", allowed=VERDICTS),
    Field(
        "verdict",
        Kind.TEXT,
        "Whether the score goes with the return: UNPROVEN (too little history), VALID, INVERTED, "
        "UNDECIDED. VALID allows for daily looks and for all trials.",
        allowed=VERDICTS,
    ),
    Field(
        "verdict_reason",
        Kind.TEXT,
        "Why the verdict is neither VALID nor INVERTED; `deflated`: VALID only for one look and trial.",
        allowed=_WHY,
    ),
    Field(
        "evidence",
        Kind.TEXT,
        "`live`: the rows after the ledger's first run of it pass alone; `history`: they do not.",
        allowed=("live", "history"),
    ),
    Field("quoted_spread_bps", Kind.FLOAT, "Mean spread of the hour's books.", "bps", 0),
    Field(
        "effective_spread_bps",
        Kind.FLOAT,
        "Spread that 30 days of bars imply: single trades beside their book are not stored, so that this is "
        "an estimate.",
        "bps",
        0,
        source="Abdi & Ranaldo (2017)",
    ),
    *(
        Field(
            f"thinner_depth_{band}bps_usd",
            Kind.FLOAT,
            f"Resting value within {band} bps of the mid on the side that has less.",
            "USD",
            0,
        )
        for band in (10, 25, 50)
    ),
    *(
        Field(
            f"slippage_{name}_bps",
            Kind.FLOAT,
            f"Mean distance from the mid that taking {usd:,.0f} USD on the thinner side pays, half the "
            "spread included; null where 50 bps do not hold it.",
            "bps",
            0,
        )
        for name, usd in ORDER_SIZES_USD.items()
    ),
    *(
        Field(
            f"filled_share_{name}",
            Kind.FLOAT,
            f"Share of {usd:,.0f} USD that rests within 50 bps on the thinner side.",
            "fraction",
            0,
            1,
        )
        for name, usd in ORDER_SIZES_USD.items()
    ),
    Field(
        "amihud_bps_per_musd",
        Kind.FLOAT,
        "Mean of an hour's absolute return over its volume, 30 days.",
        "bps/million USD",
        0,
        source="Amihud (2002)",
    ),
    Field(
        "kyle_bps_per_musd",
        Kind.FLOAT,
        "Slope of the hour's return on what takers bought less what they sold, 90 days.",
        "bps/million USD",
        source="Kyle (1985)",
    ),
    Field(
        "taker_fee_bps",
        Kind.FLOAT,
        "Taker's fee of the venue at its lowest tier; null where the venue is unknown.",
        "bps",
        0,
    ),
    Field(
        "cost_10k_bps",
        Kind.FLOAT,
        "Cost of changing a position of 10,000 USD: fee, half the spread, slippage; null without a book "
        "within 30 days.",
        "bps",
        0,
    ),
    Field(
        "cost_10k_kind",
        Kind.TEXT,
        "Where cost_10k_bps comes from: the hour's book, or its 30 day median.",
        allowed=("book", "median_30d"),
    ),
    Field(
        "liquidity_score",
        Kind.FLOAT,
        "Mean of where spread, depth within 25 bps, slippage of 100,000 USD and Amihud's measure lie among "
        "the 720 hours before, three of four needed; 100 is the most liquid.",
        None,
        0,
        100,
    ),
    Field(
        "signal_edge_bps",
        Kind.FLOAT,
        "Half the quantile spread that the futures score's newest passport says of 4 h; null without one.",
        "bps",
    ),
    Field(
        "signal_tradable",
        Kind.BOOLEAN,
        "The futures score is VALID over 4 h by its newest passport before the hour, and |signal_edge_bps| "
        "is above cost_10k_bps; null without a proven or refuted passport.",
    ),
    Field(
        "calibration_side",
        Kind.TEXT,
        "What the probability is of: the return over the horizon is above the hour's cost (up), or below its "
        "negative (down).",
        allowed=CALIBRATION_SIDES,
    ),
    Field(
        "calibrator_kind",
        Kind.TEXT,
        "Curve from score to probability: the one that had lost least in months it was not fitted on.",
        allowed=("platt", "beta", "isotonic"),
        source="Platt (1999); Kull, Silva Filho & Flach (2017); Zadrozny & Elkan (2002)",
    ),
    Field(
        "calibrator_params",
        Kind.JSON,
        "Numbers of the curve: weights of 1 and (s - 50) / 50 (platt), of 1, ln s and -ln(1 - s) (beta), or "
        "first scores and probabilities of steps; down turns the score round first.",
    ),
    Field("fit_from", Kind.TIMESTAMP, "First hour that the fit learnt from."),
    Field("fit_to", Kind.TIMESTAMP, "Last hour that the fit learnt from."),
    Field("labels", Kind.INTEGER, "Labels behind the fit.", "rows", 0),
    Field("labels_eff", Kind.FLOAT, "Independent labels that they amount to.", "rows", 0),
    Field("base_rate", Kind.FLOAT, "Share of labels that are true.", "fraction", 0, 1),
    Field("labels_hash", Kind.TEXT, "Digest of what the fit learnt from."),
    Field(
        "brier_skill",
        Kind.FLOAT,
        "Share of the Brier score of the rolling base rate that walk-forward forecasts save.",
        "fraction",
        None,
        1,
    ),
    Field("brier_skill_low", Kind.FLOAT, "Lower 95 % bound of brier_skill.", "fraction"),
    Field("brier_skill_high", Kind.FLOAT, "Upper 95 % bound of brier_skill.", "fraction"),
    Field(
        "is_calibrated",
        Kind.BOOLEAN,
        "The probability may be shown: the lower bound of brier_skill is above 0, or was at one of the last "
        "two month-ends.",
    ),
    Field(
        "calibration_reason",
        Kind.TEXT,
        "Why it may not.",
        allowed=("no_skill_over_base_rate", "no_month_was_forecast"),
    ),
    Field(
        "ece",
        Kind.FLOAT,
        "Expected calibration error over the bins; biased upwards.",
        "fraction",
        0,
        1,
    ),
    Field("ece_low", Kind.FLOAT, "Lower 95 % bound of ece, blocks of 14 days.", "fraction", 0, 1),
    Field("ece_high", Kind.FLOAT, "Upper 95 % bound of ece.", "fraction", 0, 1),
    Field(
        "is_consistent",
        Kind.BOOLEAN,
        "No bin is further off than chance allows, all bins together.",
    ),
    Field("brier", Kind.FLOAT, "Mean square of probability less label, walk-forward.", None, 0, 1),
    Field("murphy_reliability", Kind.FLOAT, "Part of brier: bins that are off.", None, 0, 1),
    Field(
        "murphy_resolution", Kind.FLOAT, "Part of brier, subtracted: bins that differ.", None, 0, 1
    ),
    Field("murphy_uncertainty", Kind.FLOAT, "Part of brier: the base rate's own.", None, 0, 1),
    Field(
        "murphy_within_variance",
        Kind.FLOAT,
        "Part of brier: probabilities that differ within bins.",
        None,
        0,
        1,
    ),
    Field(
        "murphy_within_covariance",
        Kind.FLOAT,
        "Part of brier, subtracted: what they know within bins.",
        source="Stephenson, Coelho & Jolliffe (2008)",
    ),
    Field(
        "signal_freshness",
        Kind.FLOAT,
        "Share of symbols with a score in the last hour.",
        "fraction",
        0,
        1,
    ),
    Field("signal_coverage", Kind.FLOAT, "Share of 720 hours with a score.", "fraction", 0, 1),
    Field(
        "signal_health",
        Kind.FLOAT,
        "100 x freshness x coverage x (1 - min(1, ece / .1)); null while uncalibrated.",
        None,
        0,
        100,
    ),
    Field(
        "reliability_bin",
        Kind.INTEGER,
        "Bin of about equal rows, lowest probability first.",
        None,
        0,
    ),
    Field("bin_rows", Kind.INTEGER, "Rows in the bin.", "rows", 1),
    Field("bin_probability", Kind.FLOAT, "Mean probability that was forecast.", "fraction", 0, 1),
    Field("bin_observed", Kind.FLOAT, "Share of its labels that came true.", "fraction", 0, 1),
    Field("bin_observed_se", Kind.FLOAT, "Standard error of it by blocks of weeks.", "fraction", 0),
    Field(
        "votes",
        Kind.JSON,
        "Voter -> vote (LONG, SHORT, NEUTRAL, ABSTAIN) and weight; a vote that is missing abstains.",
    ),
    Field("voters", Kind.INTEGER, "Voters that did not abstain.", "voters", 0),
    Field(
        "consensus",
        Kind.TEXT,
        "What has two thirds of the weight of those who voted, with three voters and 60 % of all weight.",
        allowed=(*VOTES, "NO_CONSENSUS"),
    ),
    Field(
        "consensus_reason", Kind.TEXT, "Why there is none.", allowed=("no_quorum", "no_majority")
    ),
    Field(
        "consensus_margin", Kind.FLOAT, "First less second share of the weight.", "fraction", 0, 1
    ),
    Field(
        "is_unproven",
        Kind.BOOLEAN,
        "No voter has a proven skill: weights are equal, 0 for one that points the wrong way.",
    ),
    Field(
        "fleiss_kappa_30d",
        Kind.FLOAT,
        "Agreement beyond chance over the 720 hours with three voters; null while all votes are of one kind.",
        None,
        -1,
        1,
        source="Fleiss (1971)",
    ),
    Field("dissenters", Kind.TEXT, "Who voted otherwise than the consensus, by comma."),
    Field("trial_id", Kind.TEXT, "Digest of family, kind and specification."),
    Field("trial_family", Kind.TEXT, "Signal whose variants belong together."),
    Field(
        "trial_kind",
        Kind.TEXT,
        "What kind of statistic it is about.",
        allowed=("pooled", "model", "paper"),
    ),
    Field(
        "trial_spec",
        Kind.JSON,
        "What makes it another trial: thresholds, symbols, target, horizons, sign, preprocessing.",
    ),
    Field(
        "trial_origin",
        Kind.TEXT,
        "Door through which it was first asked.",
        allowed=("passport", "cli", "what_if", "notebook", "training", "paper"),
    ),
    Field("headline_h", Kind.INTEGER, "Horizon that the trial is judged by.", "h", 1),
    Field("trial_code_version", Kind.TEXT, "Version of the code that first computed it."),
    Field("first_run_at", Kind.TIMESTAMP, "When it was first asked, before its number was known."),
    Field("run_count", Kind.INTEGER, "How often it was asked.", "runs", 1),
    Field("dropped_reason", Kind.TEXT, "Why nobody goes on with it; it counts all the same."),
    Field("trial_day", Kind.TIMESTAMP, "UTC day of the hours."),
    Field(
        "influence_sum",
        Kind.FLOAT,
        "Sum over the day's hours of each hour's share in the coefficient's deviation.",
    ),
    Field("influence_hours", Kind.INTEGER, "Hours behind it.", "h", 0),
)
