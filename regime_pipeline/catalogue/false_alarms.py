"""The false alarms that every detector is said to give: the one place where the rates stand.

Belongs here: rates as data, with the null world they belong to and how they were found. A null world
is one in which nothing happens (``scorecard.scenes`` draws it); a test draws fresh ones and holds every
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


ADVERTISED: tuple[FalseAlarms, ...] = ()
