"""Tables of the regimes schema."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.regimes import FRAMES
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
    ),
)
