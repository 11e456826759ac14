"""Series of one table as arrays, and verdicts about their cells.

Belongs here: laying long frames out by hour and series. Does not belong here: what a verdict is
(``model``), the checks themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.panel import HOUR_US, FloatPanel, microseconds
from regime_pipeline.quality.model import SERIES, Verdicts, verdicts_of


@dataclass(frozen=True)
class Panels:
    """Hourly series of one table as arrays of hours x series, NaN where there is no row."""

    first_hour: int
    series: pd.DataFrame
    values: Mapping[str, FloatPanel]

    def verdicts(
        self,
        known: npt.NDArray[np.bool_],
        failed: npt.NDArray[np.bool_],
        value: npt.NDArray[np.float64] | float = np.nan,
        *,
        withheld: npt.NDArray[np.bool_] | bool = False,
        doubtful: npt.NDArray[np.bool_] | bool = False,
        what: npt.ArrayLike | str | None = None,
    ) -> Verdicts:
        """A verdict for every known cell; all arrays have the panels' shape. Withheld is BLOCK."""
        hour, column = np.nonzero(known)

        def of(panel: npt.ArrayLike | None) -> npt.NDArray:
            return np.broadcast_to(np.asarray(panel), known.shape)[known]

        held = of(withheld)
        return verdicts_of(
            (self.first_hour + hour) * HOUR_US,
            lambda at: (column[at], self.series),
            failed[known],
            of(value),
            held,
            held,
            of(what),
            of(doubtful),
        )


def day_verdicts(
    series: pd.DataFrame,
    days: pd.DatetimeIndex,
    known: npt.NDArray[np.bool_],
    failed: npt.NDArray[np.bool_],
    value: npt.NDArray[np.float64],
    *,
    blocking: npt.NDArray[np.bool_] | bool = False,
    what: npt.NDArray[np.object_] | str | None = None,
) -> Verdicts:
    """A verdict for every known cell of arrays of days x series."""
    day, column = np.nonzero(known)

    def of(panel: object) -> npt.NDArray:
        return np.broadcast_to(np.asarray(panel), known.shape)[known]

    return verdicts_of(
        microseconds(days)[day],
        lambda at: (column[at], series),
        failed[known],
        value[known],
        of(blocking),
        False,
        of(what),
    )


def panels(
    frame: pd.DataFrame, columns: Sequence[str], keys: Sequence[str] = SERIES
) -> Panels | None:
    """A long hourly frame by series; None without rows. Rows off the full hour are left out.

    Args:
        frame: rows of one timeframe; two rows of one series and hour are not expected (keys).
        columns: numbers.
        keys: what makes a series.
    """
    stamps = microseconds(frame["ts"])
    frame = frame[stamps % HOUR_US == 0]
    if frame.empty:
        return None
    hours = microseconds(frame["ts"]) // HOUR_US
    group = frame.groupby(list(keys), sort=True, dropna=False)
    column = group.ngroup().to_numpy()
    series = group.head(1)[list(keys)].assign(at=column[group.cumcount().to_numpy() == 0])
    series = series.sort_values("at").drop(columns="at").reset_index(drop=True)
    first = int(hours.min())
    shape = (int(hours.max()) - first + 1, len(series))
    position = (hours - first) * shape[1] + column
    values: dict[str, FloatPanel] = {}
    for name in columns:
        flat = np.full(shape[0] * shape[1], np.nan)
        flat[position] = frame[name].to_numpy(dtype="float64", na_value=np.nan)
        values[name] = flat.reshape(shape)
    return Panels(first, series, values)
