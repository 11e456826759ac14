"""Tables of the regimes schema."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.regimes import FRAMES
from regime_pipeline.catalogue.model import Cadence
from regime_pipeline.catalogue.tables.features import EVENT
from regime_pipeline.catalogue.tables.market import derived

TABLES = (
    derived(
        "regimes",
        "timeframe_regimes",
        "Regime labels on 1h, 4h, 1d and 1w bars of the spot series and their agreement, one row "
        "per symbol and hour.",
        ("symbol", "ts"),
        (
            *(f"regime_{f}" for f in FRAMES),
            "primary_raw",
            "primary_regime",
            "primary_legacy",
            "frames_available",
            "agreement_count",
            "compatible_count",
            "agreement_score",
            "confidence",
            "confidence_kind",
            "n_eff_votes",
            "agreement_legacy",
            "is_confirmed",
            "cooling_kind",
            *(f"regime_symmetric_{f}" for f in FRAMES),
            *(
                f"{v}_{f}"
                for f in FRAMES
                for v in ("price_z", "trend_z", "volume_z", "heat", "efficiency")
            ),
            *EVENT,
        ),
        computed_in="regimes.timeframe_regimes",
        main="confidence",
    ),
    derived(
        "regimes",
        "timeframe_outcomes",
        "What became of the directed primaries of the 23:00 rows a day later; ts is the later row, at "
        "whose end it is known.",
        ("symbol", "ts"),
        (
            "case_ts",
            "primary_regime",
            "agreement_count",
            "persisted_24h",
            "return_24h",
            "held_24h",
        ),
        ("case_ts",),
        computed_in="regimes.timeframe_confidence",
        cadence=Cadence.SPARSE,
    ),
    derived(
        "regimes",
        "timeframe_confidence",
        "Confidence in each hour's primary regime: the share of earlier cases of the same pattern that "
        "held for a day, all symbols together; the agreement score until there are 200 cases.",
        ("symbol", "ts"),
        (
            "primary_regime",
            "agreement_count",
            "confidence",
            "confidence_kind",
            "confidence_lo",
            "confidence_hi",
            "confidence_n",
            "confidence_base",
            "confidence_base_n",
        ),
        computed_in="regimes.timeframe_confidence",
    ),
)
