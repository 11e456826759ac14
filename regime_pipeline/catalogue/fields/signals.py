"""Columns of the signal tables."""

from __future__ import annotations

from regime_pipeline.catalogue.fields.common import STATUSES
from regime_pipeline.catalogue.model import Field, Kind

FACTORS = (
    "liquidations",
    "funding",
    "momentum",
    "long_short",
    "smart_money",
    "oi_trend",
    "social",
    "fear_greed",
)
"""The eight futures factors in table order, which also breaks ties."""

DIRECTIONS = ("BULLISH", "NEUTRAL", "BEARISH")


def _component(name: str, what: str) -> list[Field]:
    return [
        Field(f"{name}_score", Kind.FLOAT, f"{what}, 50 neutral.", "0-100", 0, 100),
        Field(f"{name}_direction", Kind.TEXT, f"Reading of {name}_score.", allowed=DIRECTIONS),
        Field(f"{name}_strength", Kind.FLOAT, "|score - 50| / 50.", "fraction", 0, 1),
        Field(
            f"{name}_confidence", Kind.FLOAT, "Data coverage x sample adequacy.", "fraction", 0, 1
        ),
        Field(f"{name}_status", Kind.TEXT, f"Status of {name}_score.", allowed=STATUSES),
        Field(f"{name}_reason", Kind.TEXT, f"Why {name}_status is not ok."),
    ]


def _factor(name: str) -> list[Field]:
    return [
        Field(f"{name}_factor", Kind.FLOAT, f"Sub-score of the {name} factor.", "0-100", 0, 100),
        Field(
            f"{name}_factor_status",
            Kind.TEXT,
            f"Status of the {name} factor.",
            allowed=STATUSES,
        ),
        Field(f"{name}_factor_reason", Kind.TEXT, f"Why the {name} factor is not ok."),
    ]


FIELDS = (
    *_component("momentum", "Mean of 4, 24 and 72 h returns over lagged volatility"),
    Field("momentum_raw", Kind.FLOAT, "Volatility-scaled mean return behind momentum_score.", "sd"),
    *(field for name in FACTORS for field in _factor(name)),
    Field("futures_score", Kind.FLOAT, "Weighted mean of the available factors.", "0-100", 0, 100),
    Field(
        "futures_signal",
        Kind.TEXT,
        "LONG at 65 and above, SHORT at 35 and below; null under 70 % coverage.",
        allowed=("LONG", "NEUTRAL", "SHORT"),
    ),
    Field(
        "score_uncovered",
        Kind.FLOAT,
        "The weighted mean whatever the coverage; not for decisions.",
        "0-100",
        0,
        100,
    ),
    Field(
        "score_fixed50",
        Kind.FLOAT,
        "The legacy composite, missing factors read as 50; for comparison only.",
        "0-100",
        0,
        100,
    ),
    Field(
        "coverage_pct",
        Kind.INTEGER,
        "Weight of the available factors out of that of the factors that have a source.",
        "%",
        0,
        100,
    ),
    Field("factor_agreement", Kind.FLOAT, "|sum w(s-50)| / sum w|s-50|.", "fraction", 0, 1),
    Field("freshness", Kind.FLOAT, "Weighted freshness of the factors.", "fraction", 0, 1),
    Field(
        "confidence_level",
        Kind.TEXT,
        "high from 0.75, medium from 0.5.",
        allowed=("high", "medium", "low"),
    ),
    Field("top_factors", Kind.JSON, "The three factors that move the score most, with reasons."),
)
