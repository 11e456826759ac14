"""Columns of the tables of forecasting models."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

LEVELS = (50, 80, 90, 95)

FIELDS = (
    Field("model", Kind.TEXT, "Forecasting model."),
    Field(
        "model_target",
        Kind.TEXT,
        "What it forecasts: the variance of the next day's hourly returns, or whether the next hour rises.",
        allowed=("variance_24h", "direction_1h"),
    ),
    Field(
        "model_role",
        Kind.TEXT,
        "`champion`: the model of its target; `challenger`: it is judged beside it.",
        allowed=("champion", "challenger"),
    ),
    Field(
        "model_version",
        Kind.TEXT,
        "Digest of specification, training data, code, seed and libraries of a fit.",
    ),
    Field("model_spec", Kind.JSON, "What the model is before it has seen a row."),
    Field("model_features", Kind.JSON, "Its features in order."),
    Field("trained_from", Kind.TIMESTAMP, "First hour that it was fitted to."),
    Field("trained_to", Kind.TIMESTAMP, "Last hour that it was fitted to."),
    Field(
        "purge_h",
        Kind.INTEGER,
        "Hours before the month's end that are left out because what came after them is not known by then.",
        "h",
        0,
    ),
    Field("model_rows", Kind.INTEGER, "Rows that it was fitted to.", "rows", 0),
    Field(
        "model_hours_eff",
        Kind.FLOAT,
        "Stretches of the horizon among them that do not overlap, all symbols counted once.",
        "rows",
        0,
    ),
    Field(
        "data_hash",
        Kind.TEXT,
        "SHA-256 of features and labels as little-endian float32, by hour and symbol.",
    ),
    Field("model_seed", Kind.INTEGER, "Seed of the fit; 0 where nothing is drawn.", minimum=0),
    Field("model_libraries", Kind.JSON, "Versions of what computed the fit."),
    Field("artefact_hash", Kind.TEXT, "SHA-256 of the fitted parameters."),
    Field("model_parameters", Kind.JSON, "The fitted parameters, enough to forecast by hand."),
    Field(
        "skill",
        Kind.FLOAT,
        "One minus the model's summed losses over the baseline's, over the last 365 days; 0 is as good as "
        "the baseline.",
        "fraction",
        maximum=1,
        source="Patton (2011)",
    ),
    Field("skill_low", Kind.FLOAT, "Lower 95 % bound of skill, over blocks of weeks.", "fraction"),
    Field("skill_high", Kind.FLOAT, "Upper 95 % bound of skill.", "fraction"),
    Field(
        "model_loss",
        Kind.FLOAT,
        "Mean loss of the model: QLIKE of a variance, log loss of a probability.",
        minimum=0,
    ),
    Field(
        "baseline_loss",
        Kind.FLOAT,
        "Mean loss of the baseline in the same rows: the mean variance of 30 days, or the year's rate of "
        "rising hours.",
        minimum=0,
    ),
    Field("scored_rows", Kind.INTEGER, "Forecasts whose outcome is known by then.", "rows", 0),
    Field("scored_rows_eff", Kind.FLOAT, "Independent rows that they amount to.", "rows", 0),
    Field(
        "psi",
        Kind.FLOAT,
        "Stability index of the last 30 days in the training, of the feature that exceeds its limit most.",
        minimum=0,
    ),
    Field(
        "psi_limit",
        Kind.FLOAT,
        "What 95 % of the training's own months stay under.",
        minimum=0,
    ),
    Field("psi_feature", Kind.TEXT, "The feature that psi is of."),
    Field(
        "loss_cusum",
        Kind.FLOAT,
        "How far the daily losses have crept up in a year; above 7.98 once in two years without a cause.",
        "deviations",
        0,
        source="Page (1954)",
    ),
    Field("has_drifted", Kind.BOOLEAN, "psi or loss_cusum is above its limit."),
    Field(
        "has_passed",
        Kind.BOOLEAN,
        "skill_low was above 0 at the last month's end, over 180 days of forecasts at least.",
    ),
    Field(
        "is_published",
        Kind.BOOLEAN,
        "It passed at one of the last two months' ends, so that its forecasts are shown.",
    ),
    Field(
        "publication_reason",
        Kind.TEXT,
        "Why its forecasts are not shown.",
        allowed=("no_skill_over_baseline", "under_180_days_of_forecasts"),
    ),
    Field(
        "coverage_90",
        Kind.FLOAT,
        "Share of days ahead whose return lay within the interval of 90 %.",
        "fraction",
        0,
        1,
    ),
    Field("coverage_90_low", Kind.FLOAT, "Lower 95 % bound of coverage_90.", "fraction", 0, 1),
    Field("coverage_90_high", Kind.FLOAT, "Upper 95 % bound of coverage_90.", "fraction", 0, 1),
    Field(
        "coverage_rows_eff",
        Kind.FLOAT,
        "Independent rows behind coverage_90.",
        "rows",
        0,
    ),
    *(
        Field(
            f"radius_{level}",
            Kind.FLOAT,
            f"Forecast deviations within which {level} % of the symbol's days ahead lay in the last year; "
            "null under 180 days of labels.",
            "deviations",
            0,
        )
        for level in LEVELS
    ),
    Field(
        "volatility_forecast_frac",
        Kind.FLOAT,
        "Deviation of the next 24 hours' return, forecast; null unless the model is published.",
        "fraction",
        0,
        source="Corsi (2009)",
    ),
    Field(
        "p_up",
        Kind.FLOAT,
        "Probability that the next hour rises; null unless the model is published.",
        "fraction",
        0,
        1,
    ),
    *(
        Field(
            f"interval_{level}_frac",
            Kind.FLOAT,
            f"The next 24 hours' log return lies between minus and plus this in {level} % of days.",
            "fraction",
            0,
        )
        for level in LEVELS
    ),
)
