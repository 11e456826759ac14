"""Tables of the signals schema."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.signals import FACTORS
from regime_pipeline.catalogue.tables.market import derived

COMPONENT_COLUMNS = ("score", "direction", "strength", "confidence", "status", "reason")

TABLES = (
    derived(
        "signals",
        "components",
        "Signal components of the primary perpetual, one row per symbol and hour, columns per "
        "component. The row's status is the worst of its components'.",
        ("symbol", "ts"),
        (*(f"momentum_{c}" for c in COMPONENT_COLUMNS), "momentum_raw"),
        computed_in="signals.components",
        main="momentum_score",
    ),
    derived(
        "signals",
        "futures_scores",
        "The 8-factor futures score, one row per symbol and hour.",
        ("symbol", "ts"),
        (
            "futures_score",
            "futures_signal",
            "score_uncovered",
            "score_fixed50",
            "coverage_pct",
            "confidence",
            "confidence_level",
            "factor_agreement",
            "freshness",
            "top_factors",
            *(
                c
                for f in FACTORS
                for c in (f"{f}_factor", f"{f}_factor_status", f"{f}_factor_reason")
            ),
        ),
        computed_in="signals.futures_score",
    ),
)
