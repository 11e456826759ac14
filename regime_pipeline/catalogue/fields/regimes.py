"""Columns of the multi-timeframe regimes. One column per frame: 1h, 4h, 1d, 1w."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

LABELS = ("SPOT_IGNITION", "SPOT_COOLING", "SPOT_CHOP", "SPOT_NEUTRAL")
FRAMES = ("1h", "4h", "1d", "1w")

BASE_RATES: dict[str, tuple[float, float, float, float]] = {
    "1h": (4.8, 15.0, 27.5, 52.7),
    "4h": (4.7, 15.2, 27.3, 52.7),
    "1d": (4.4, 15.9, 27.3, 52.3),
    "1w": (3.1, 16.9, 16.5, 63.5),
}
"""Percent of the bars that get each of ``LABELS`` on random walks without direction (t4 steps of
constant variance, log-normal volume): what a label must beat to say anything."""
SYMMETRIC_BASE_RATES: dict[str, tuple[float, float, float, float]] = {
    "1h": (4.8, 5.0, 27.5, 62.7),
    "4h": (4.7, 4.7, 27.3, 63.2),
    "1d": (4.4, 5.1, 27.3, 63.1),
    "1w": (3.1, 5.5, 16.5, 74.9),
}
"""The same for the symmetric labels."""


def _base_rates(rates: tuple[float, ...]) -> str:
    named = zip(LABELS, rates, strict=True)
    return "Without any direction: " + ", ".join(
        f"{label.removeprefix('SPOT_')} {rate} %" for label, rate in named
    )


def _per_frame() -> list[Field]:
    out: list[Field] = []
    for f in FRAMES:
        out += [
            Field(
                f"regime_{f}",
                Kind.TEXT,
                f"Label of the newest closed {f} bar. {_base_rates(BASE_RATES[f])}.",
                allowed=LABELS,
            ),
            Field(
                f"regime_symmetric_{f}",
                Kind.TEXT,
                f"The {f} label with the gates of heat and volume on both sides. "
                f"{_base_rates(SYMMETRIC_BASE_RATES[f])}.",
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
        "primary_raw once it held for three consecutive rows. Without any direction: IGNITION 1.1 %, "
        "COOLING 14.6 %, CHOP 22.9 %, NEUTRAL 61.4 %.",
        allowed=LABELS,
    ),
    Field(
        "primary_legacy",
        Kind.TEXT,
        "The 1h label, which was the primary one of the legacy formula.",
        allowed=LABELS,
    ),
    Field("frames_available", Kind.INTEGER, "Frames that have a label.", "frames", 0, 4),
    Field(
        "agreement_count",
        Kind.INTEGER,
        "Size of the largest group of equal labels, NEUTRAL left out. Without any direction: 2 or "
        "more in 41.5 %, 3 or more in 8.0 % of the rows.",
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
        "heuristic: the agreement score; calibrated: the share of earlier cases that held "
        "(regimes.timeframe_confidence).",
        allowed=("heuristic", "calibrated"),
    ),
    Field(
        "n_eff_votes",
        Kind.FLOAT,
        "Independent votes that the available frames amount to, by the correlation of their signed "
        "labels over the 90 d before: the number of frames at most.",
        "votes",
        1,
        4,
    ),
    Field(
        "agreement_legacy",
        Kind.INTEGER,
        "The legacy count: frames not opposed to the 1h label, NEUTRAL and CHOP counted as agreeing; "
        "null without all four. Two equal labels, one opposed, one NEUTRAL read 3.",
        "frames",
        0,
        4,
    ),
    Field("case_ts", Kind.TIMESTAMP, "Row whose primary regime is the case."),
    Field("persisted_24h", Kind.BOOLEAN, "The primary regime was the same a day later."),
    Field(
        "held_24h",
        Kind.BOOLEAN,
        "The primary persisted, or the spot close moved with its sign; null when neither is so and "
        "one is unknown.",
    ),
    Field(
        "confidence_lo", Kind.FLOAT, "2.5 % point of the Beta distribution.", "probability", 0, 1
    ),
    Field(
        "confidence_hi", Kind.FLOAT, "97.5 % point of the Beta distribution.", "probability", 0, 1
    ),
    Field("confidence_n", Kind.INTEGER, "Earlier cases with the row's pattern.", "cases", 0),
    Field(
        "confidence_base",
        Kind.FLOAT,
        "Share of all earlier cases that held, which small patterns are drawn to.",
        "probability",
        0,
        1,
    ),
    Field("confidence_base_n", Kind.INTEGER, "All earlier cases.", "cases", 0),
    Field("is_confirmed", Kind.BOOLEAN, "The confirmation rule holds at this row."),
)
