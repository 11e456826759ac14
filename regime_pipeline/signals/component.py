"""What every signal component is: score, confidence, verdicts and the numbers behind them, as panels.

Belongs here: the shape of a component, and windows that several share. Does not belong here: any
component (``candle_scores``, ``flow_scores``), frames (``components``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.signals.verdicts import MISSING, Verdicts

DAY_H = 24
MONTH_H, MIN_OF_MONTH_H = 720, 336
WEEK_H, MIN_OF_WEEK_H = 168, 140

NOT_WIRED = "source_not_wired"
"""Reason of a component that lowers no coverage and no status: nobody configured its source."""


@dataclass(frozen=True)
class Component:
    """One component: hours x symbols.

    Attributes:
        score: 0-100, NaN where the verdict allows none.
        confidence: 0-1, sample adequacy times coverage of the inputs; read where there is a score.
        verdicts: status and reason of each cell.
        raw: the numbers behind the score by column name, NaN where unknown.
        is_unwired: nobody configured its source: it is null in every cell and lowers nothing.
    """

    score: FloatPanel
    confidence: FloatPanel
    verdicts: Verdicts
    raw: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    is_unwired: bool = False

    def last(self, rows: int) -> Component:
        """The last rows of the panels."""
        tail = slice(len(self.score) - rows, None)
        return Component(
            self.score[tail],
            self.confidence[tail],
            self.verdicts.last(rows),
            {name: panel[tail] for name, panel in self.raw.items()},
            self.is_unwired,
        )


def scored(
    score: FloatPanel,
    confidence: FloatPanel,
    verdicts: Verdicts,
    raw: Mapping[str, npt.NDArray[Any]],
) -> Component:
    """A component whose score and confidence are null wherever the verdict is not usable.

    A cell that no verdict explains and that has no score (a negative volume, a price of 0) is missing,
    ``input_unusable``. Score and confidence become the component's own and are written to.
    """
    verdicts.set(verdicts.usable & ~np.isfinite(score), MISSING, "input_unusable")
    np.clip(confidence, 0.0, 1.0, out=confidence)
    return Component(verdicts.only_usable(score), verdicts.only_usable(confidence), verdicts, raw)


def unwired(shape: tuple[int, ...], names: tuple[str, ...]) -> Component:
    """A component whose source the configuration does not have."""
    verdicts = Verdicts(shape)
    verdicts.set(np.ones(shape, dtype=bool), MISSING, NOT_WIRED)
    empty = np.full(shape, np.nan)
    return Component(empty, empty, verdicts, dict.fromkeys(names, empty), is_unwired=True)


def by_hour_of_day(panel: FloatPanel, first_hour: int) -> tuple[FloatPanel, int]:
    """The panel with one row per UTC day and one column per hour of day and symbol.

    Args:
        panel: hours x symbols.
        first_hour: hour since 1970 of its first row.

    Returns:
        The panel, NaN before its first and after its last hour, and the rows that were put before.
    """
    lead = first_hour % DAY_H
    rows, width = panel.shape
    tail = -(rows + lead) % DAY_H
    padded = np.pad(panel, ((lead, tail), (0, 0)), constant_values=np.nan)
    return padded.reshape(-1, DAY_H * width), lead


def by_hour(panel: FloatPanel, lead: int, shape: tuple[int, ...]) -> FloatPanel:
    """The inverse of :func:`by_hour_of_day`."""
    return panel.reshape(-1, shape[1])[lead : lead + shape[0]]
