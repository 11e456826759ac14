"""The forecasting models: every fit, what their forecasts have been worth, what they say.

Belongs here: what their rows and columns mean. Does not belong here: how the numbers are made
(``research``).
"""

from __future__ import annotations

from regime_pipeline.catalogue.marts.common import as_table

MARTS = (
    as_table(
        "models",
        "signals.models",
        "The registry of models: every fit with its parameters, one row per model and month. It is used from "
        "a day after the month's end on.",
    ),
    as_table(
        "ml_model_performance",
        "signals.model_performance",
        "What every model's forecasts have been worth over the 365 days to the end of each day, beside the "
        "forecast that needs no model. Read `is_published` first; the rows of symbols and of volatility "
        "regimes are of the interval.",
        names="passport_regime>regime",
    ),
    as_table(
        "model_predictions",
        "signals.model_predictions",
        "What each published model says of the coming hours, one row per model, symbol and hour: the "
        "volatility of the next day with the interval of its return, the probability that the next hour "
        "rises.",
    ),
)
