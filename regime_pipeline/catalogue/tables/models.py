"""Tables of forecasting models; they stand in the schema of the signals."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.models import LEVELS
from regime_pipeline.catalogue.model import Cadence
from regime_pipeline.catalogue.tables.market import derived

TABLES = (
    derived(
        "signals",
        "models",
        "The registry of models: every fit, one row per model and month, at the month's last hour. It is "
        "used from a day later on.",
        ("model", "ts"),
        (
            "model_target",
            "model_role",
            "model_version",
            "horizon_h",
            "purge_h",
            "model_features",
            "model_spec",
            "trained_from",
            "trained_to",
            "model_rows",
            "model_hours_eff",
            "data_hash",
            "model_seed",
            "model_libraries",
            "artefact_hash",
            "model_parameters",
        ),
        (
            *("model_target", "model_role", "horizon_h", "purge_h", "model_features"),
            *("model_spec", "model_rows", "model_hours_eff", "model_seed", "model_libraries"),
        ),
        symbol_columns=(),
        computed_in="research.models",
        cadence=Cadence.MONTHLY,
        main="model_rows",
    ),
    derived(
        "signals",
        "model_performance",
        "What every model's forecasts were worth over the 365 days to the day's last hour, one row per model "
        "at 23:00; of the model of the interval also one a symbol and one a volatility regime. Symbol `*`: "
        "all of them.",
        ("model", "symbol", "passport_regime", "ts"),
        (
            "model_role",
            "model_version",
            "skill",
            "skill_low",
            "skill_high",
            "model_loss",
            "baseline_loss",
            "scored_rows",
            "scored_rows_eff",
            "psi",
            "psi_limit",
            "psi_feature",
            "loss_cusum",
            "has_drifted",
            "has_passed",
            "is_published",
            "publication_reason",
            "coverage_90",
            "coverage_90_low",
            "coverage_90_high",
            "coverage_rows_eff",
            *(f"radius_{level}" for level in LEVELS),
        ),
        ("model_role", "scored_rows", "scored_rows_eff"),
        symbol_columns=(),
        computed_in="research.model_performance",
        cadence=Cadence.SPARSE,
        main="skill",
    ),
    derived(
        "signals",
        "model_predictions",
        "What each model says of the coming hours, one row per model, symbol and closed hour; null unless "
        "the model is published.",
        ("model", "symbol", "ts"),
        (
            "model_version",
            "model_role",
            "horizon_h",
            "volatility_forecast_frac",
            "p_up",
            *(f"interval_{level}_frac" for level in LEVELS),
        ),
        ("horizon_h",),
        computed_in="research.model_predictions",
        cadence=Cadence.SPARSE,
        main="volatility_forecast_frac",
    ),
)
