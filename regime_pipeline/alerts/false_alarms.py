"""The false alarms that every detector is said to give: the one place where the rates stand.

Belongs here: rates as data, with the null world they belong to and how they were found. A null world
is one in which nothing happens (``evaluation.scenes`` draws it); a test draws fresh ones and holds every
rate to within a fifth. Does not belong here: measuring.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FalseAlarms:
    """What a detector is expected to say where there is nothing to say.

    Attributes:
        detector: event type, or a flag of a derived table.
        section: section of ``settings.Params`` with the thresholds that the rate is of.
        world: null world of the scorecard.
        per_day: false alarms per symbol-day, or per pair-day where ``pairs``.
        counted: false alarms that the rate was counted from.
        days: symbol-days, or pair-days, in which they were counted.
        pairs: whether the unit is the pair-day.
    """

    detector: str
    section: str
    world: str
    per_day: float
    counted: int
    days: int
    pairs: bool = False


CALIBRATION_SEED = 101
"""Of the worlds that the rates were counted in; the tests draw others."""

ADVERTISED: tuple[FalseAlarms, ...] = (
    FalseAlarms("LIQUIDATION_CASCADE", "cascades", "null_independent_hours", 0.262, 7557, 28_800),
    FalseAlarms("LIQUIDATION_CASCADE", "cascades", "null_clustered_hours", 0.140, 4019, 28_800),
    FalseAlarms("FUNDING_ANOMALY", "funding", "null_ar1_rates", 0.0929, 24_402, 262_800),
    FalseAlarms("FUNDING_ANOMALY", "funding", "null_clamped_rates", 0.0693, 18_218, 262_800),
    FalseAlarms("FUNDING_REVERSAL", "funding", "null_ar1_rates", 0.00366, 962, 262_800),
    FalseAlarms("FUNDING_REVERSAL", "funding", "null_clamped_rates", 0.0, 0, 262_800),
    FalseAlarms(
        "VOLATILITY_REGIME_CHANGE", "volatility", "null_constant_normal", 0.422, 6080, 14_400
    ),
    FalseAlarms("VOLATILITY_REGIME_CHANGE", "volatility", "null_constant_t4", 0.487, 7009, 14_400),
    FalseAlarms(
        "VOLATILITY_REGIME_CHANGE/delivered",
        "volatility",
        "null_constant_normal",
        0.0,
        0,
        14_400,
    ),
    FalseAlarms(
        "VOLATILITY_REGIME_CHANGE/delivered",
        "volatility",
        "null_constant_t4",
        0.000625,
        9,
        14_400,
    ),
    FalseAlarms("vol_regime_confirmed", "volatility", "null_constant_normal", 0.422, 6076, 14_400),
    FalseAlarms("vol_regime_confirmed", "volatility", "null_constant_t4", 0.487, 7013, 14_400),
    FalseAlarms(
        "CORRELATION_BREAK",
        "correlation",
        "null_one_factor_036",
        0.00122,
        1992,
        1_635_200,
        pairs=True,
    ),
    FalseAlarms(
        "CORRELATION_BREAK", "correlation", "null_one_factor_060", 0.000092, 30, 327_040, pairs=True
    ),
    FalseAlarms(
        "CORRELATION_BREAK", "correlation", "null_one_factor_010", 0.0, 0, 81_760, pairs=True
    ),
    FalseAlarms("REGIME_CONFIRMED", "timeframes", "null_directionless", 0.0513, 6717, 131_040),
)
"""The first line of an event type is its main one. Alarms of one world come in bunches (weekly labels
stay for weeks, the pairs of a universe share its factor), so a count scatters more than a Poisson one:
its variance is three to four times its mean for correlations and regimes, at most the mean elsewhere."""
