"""Columns of signal files that replaced systems left behind."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind

FIELDS = (
    Field(
        "legacy_score",
        Kind.FLOAT,
        "Score as the replaced system computed it, by rules of its own; ours are in schema signals.",
        "0-100",
        0,
        100,
    ),
    Field(
        "legacy_direction",
        Kind.TEXT,
        "Direction as written in the file.",
        allowed=("BULLISH", "NEUTRAL", "BEARISH"),
    ),
    Field(
        "legacy_strength",
        Kind.FLOAT,
        "Strength as written; words are weak 0.25, moderate 0.5, strong 0.75, very strong 1.",
        "fraction",
        0,
        1,
    ),
    Field("legacy_confidence", Kind.FLOAT, "Confidence as written.", "fraction", 0, 1),
    Field(
        "legacy_price",
        Kind.FLOAT,
        "Price that the record carries, in the quote currency; checked against stored candles.",
        "quote",
        0,
        exclusive_minimum=True,
    ),
    Field(
        "cross_check",
        Kind.TEXT,
        "Against the stored score of a better tier for the same component and hour: differs is "
        "more than 25 points away.",
        allowed=("agrees", "differs", "no_reference"),
    ),
    Field("is_repaired", Kind.BOOLEAN, "The file could be read only after a repair."),
    Field(
        "file_name",
        Kind.TEXT,
        "File below the folder that was migrated, or that months are moved to.",
    ),
)
