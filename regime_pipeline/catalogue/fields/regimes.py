"""Columns of the multi-timeframe regimes. One column per frame: 1h, 4h, 1d, 1w."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

LABELS = ("SPOT_IGNITION", "SPOT_COOLING", "SPOT_CHOP", "SPOT_NEUTRAL")
FRAMES = ("1h", "4h", "1d", "1w")


def _per_frame() -> list[Field]:
    out: list[Field] = []
    for f in FRAMES:
        out += [
            Field(f"regime_{f}", Kind.TEXT, f"Label of the newest closed {f} bar.", allowed=LABELS),
            Field(
                f"regime_symmetric_{f}",
                Kind.TEXT,
                f"The {f} label with the gates of heat and volume on both sides.",
                allowed=LABELS,
            ),
            Field(
                f"price_z_{f}",
                Kind.FLOAT,
                f"Lagged z of the log close over the {f} window.",
                "sd",
            ),
            Field(f"trend_z_{f}", Kind.FLOAT, f"k-bar {f} return over lagged sigma root k.", "sd"),
            Field(f"volume_z_{f}", Kind.FLOAT, f"Lagged MAD z of log volume, {f} bars.", "sd"),
            Field(
                f"heat_{f}", Kind.FLOAT, f"Trend and volume heat of the {f} bar.", "0-100", 0, 100
            ),
            Field(
                f"efficiency_{f}",
                Kind.FLOAT,
                f"Efficiency ratio over k {f} bars.",
                "fraction",
                0,
                1,
                source="Kaufman 1995",
            ),
        ]
    return out


FIELDS = (
    *_per_frame(),
    Field(
        "cooling_kind",
        Kind.TEXT,
        "Of a 1h COOLING label: capitulation when volume_z >= 1.5, else fade.",
        allowed=("FADE", "CAPITULATION"),
    ),
    Field(
        "primary_raw",
        Kind.TEXT,
        "Label held by at least half of the available frames, before confirmation.",
        allowed=LABELS,
    ),
    Field(
        "primary_regime",
        Kind.TEXT,
        "primary_raw once it held for three consecutive rows.",
        allowed=LABELS,
    ),
    Field("primary_legacy", Kind.TEXT, "The 1h label, the seed's primary.", allowed=LABELS),
    Field("frames_available", Kind.INTEGER, "Frames that have a label.", "frames", 0, 4),
    Field(
        "agreement_count",
        Kind.INTEGER,
        "Size of the largest group of equal labels, NEUTRAL left out.",
        "frames",
        0,
        4,
    ),
    Field(
        "compatible_count",
        Kind.INTEGER,
        "Frames not opposed to the primary; null for a NEUTRAL or CHOP primary.",
        "frames",
        0,
        4,
    ),
    Field(
        "agreement_score",
        Kind.FLOAT,
        "Mean agreement with the primary: 1 same, 0.5 neither, 0 opposed.",
        "fraction",
        0,
        1,
    ),
    Field("confidence", Kind.FLOAT, "Reliability of the row's main value.", "fraction", 0, 1),
    Field(
        "confidence_kind",
        Kind.TEXT,
        "Whether confidence is calibrated.",
        allowed=("heuristic", "calibrated"),
    ),
    Field("is_confirmed", Kind.BOOLEAN, "The confirmation rule holds at this row."),
)
