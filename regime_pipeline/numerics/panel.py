"""Long frames to arrays of hours x symbols and back.

Belongs here: the one place where a frame becomes a panel. Does not belong here: statistics
(``rolling``), anything that fills a hole; a row that is absent is NaN in the panel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.windows import Grid

FloatPanel = npt.NDArray[np.float64]
"""Float64 array, one row per hour and one column per symbol; NaN is null."""

HOUR_US = 3_600_000_000


def microseconds(stamps: pd.Series | pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Stamps as whole microseconds since 1970, UTC; no stamp may be null.

    Raises:
        ValueError: a stamp is null.
    """
    index = pd.DatetimeIndex(stamps)
    if index.hasnans:
        raise ValueError("a null stamp has no place in time")
    return index.as_unit("us").asi8


def grid_start_us(grid: Grid) -> int:
    """The first hour of the grid in microseconds since 1970."""
    return int(pd.Timestamp(grid.start).as_unit("us").value // 1_000)


def grid_length(grid: Grid) -> int:
    """Number of hours of the grid."""
    return int((grid.end - grid.start).total_seconds()) // 3600


def place(
    frame: pd.DataFrame, grid: Grid, *, by: str = "symbol", time: str = "ts"
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Where the rows of a frame lie in a panel of the grid.

    Returns:
        A mask of the rows that lie inside the grid, and for those the flat position
        ``hour * len(symbols) + symbol``.

    Raises:
        ValueError: two rows claim one cell (as when a frame holds several markets or timeframes
            and nobody chose one), or a row inside the grid is not on a full hour.
    """
    symbols = pd.Index(grid.symbols, dtype="str")
    codes, found = pd.factorize(frame[by])  # a lookup of each symbol once, not of each row
    column = np.append(symbols.get_indexer(pd.Index(found)), -1)[codes]
    offset = microseconds(frame[time]) - grid_start_us(grid)
    row = offset // HOUR_US
    inside = (column >= 0) & (row >= 0) & (row < grid_length(grid))
    if np.any(offset[inside] % HOUR_US):
        raise ValueError(
            f"column {time!r} has stamps off the full hour; a panel has no cell for them"
        )
    cell = row[inside] * len(grid.symbols) + column[inside]
    if np.bincount(cell, minlength=1).max() > 1:
        raise ValueError(
            f"several rows share one ({by}, {time}); choose a market or timeframe before the panel"
        )
    return inside, cell


def to_panel(
    frame: pd.DataFrame,
    grid: Grid,
    columns: Sequence[str],
    *,
    by: str = "symbol",
    time: str = "ts",
) -> dict[str, FloatPanel]:
    """Columns of a long frame as float64 panels (hours of the grid x symbols of the grid).

    Rows outside the grid and other symbols are left out; a cell without a row, or with a null, is
    NaN. Numbers and booleans only.

    Raises:
        ValueError: see :func:`place`.
    """
    inside, cell = place(frame, grid, by=by, time=time)
    shape = (grid_length(grid), len(grid.symbols))
    out: dict[str, FloatPanel] = {}
    for name in columns:
        panel = np.full(shape[0] * shape[1], np.nan)
        values = frame[name].to_numpy(dtype="float64", na_value=np.nan)
        panel[cell] = values[inside]
        out[name] = panel.reshape(shape)
    return out


def from_panel(
    grid: Grid, columns: Mapping[str, npt.NDArray[np.generic]], *, by: str = "symbol"
) -> pd.DataFrame:
    """Panels of any dtype as one long frame sorted by (symbol, ts), those two columns first.

    Texts (object panels of str and None, as :func:`take_codes` makes them) become ``str`` columns.

    Raises:
        ValueError: a panel has another shape than the grid.
    """
    hours = grid.hours
    length, width = len(hours), len(grid.symbols)
    data: dict[str, object] = {
        by: pd.Series(grid.symbols, dtype="str").repeat(length).reset_index(drop=True),
        "ts": hours.take(np.tile(np.arange(length), width)),
    }
    for name, panel in columns.items():
        if panel.shape != (length, width):
            raise ValueError(f"{name}: a panel of {panel.shape}, the grid has {(length, width)}")
        values = panel.T.reshape(-1)
        data[name] = _text(values.astype(object, copy=False)) if values.dtype == object else values
    return pd.DataFrame(data)


def _text(values: npt.NDArray[np.object_]) -> pd.Series | npt.NDArray[np.object_]:
    """Repeating texts as a ``str`` column, each converted once; other objects as they are."""
    codes, found = pd.factorize(values)
    if not all(isinstance(text, str) for text in found):
        return values
    return pd.Series(pd.array(found, dtype="str").take(codes, allow_fill=True, fill_value=pd.NA))


def take_codes(codes: npt.NDArray[np.integer], names: Sequence[str]) -> npt.NDArray[np.object_]:
    """Integer codes as text; a negative code is null (None)."""
    lookup = np.array([*names, None], dtype=object)
    return lookup[np.where(codes < 0, len(names), codes)]
