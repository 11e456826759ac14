"""Long frames to arrays of hours x symbols and back.

Belongs here: the one place where a frame becomes a panel. Does not belong here: statistics
(``rolling``), anything that fills a hole; a row that is absent is NaN in the panel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.windows import Grid

HOUR_US = 3_600_000_000
_NULL_STAMP = np.iinfo(np.int64).min
_NULL = "a null stamp has no place in time"


def microseconds(stamps: pd.Series | pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Stamps as whole microseconds since 1970, UTC; no stamp may be null.

    Raises:
        ValueError: a stamp is null.
    """
    found = _stamps(stamps)
    if (found == _NULL_STAMP).any():
        raise ValueError(_NULL)
    return found


def _stamps(stamps: pd.Series | pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    return pd.DatetimeIndex(stamps).as_unit("us").asi8


def grid_start_us(grid: Grid) -> int:
    """The first hour of the grid in microseconds since 1970."""
    return int(pd.Timestamp(grid.start).as_unit("us").value // 1_000)


def grid_length(grid: Grid) -> int:
    """Number of hours of the grid."""
    return int((grid.end - grid.start).total_seconds()) // 3600


def _rows_of_cells(
    frame: pd.DataFrame, grid: Grid, by: str, time: str
) -> npt.NDArray[np.signedinteger]:
    """1 + row of each cell of a panel, flat, 0 where a cell has none; errors as in :func:`to_panel`."""
    from regime_pipeline.numerics import panel_kernels as kernels

    column = _columns(frame[by], grid.symbols)
    stamps = _stamps(frame[time])
    count = np.int32 if len(frame) < 2**31 else np.int64
    source = np.zeros((grid_length(grid), len(grid.symbols)), count)
    wrong = kernels.rows_of_cells(_fixed(column), _fixed(stamps), grid_start_us(grid), source)
    if wrong & kernels.NULL_STAMP:
        raise ValueError(_NULL)
    if wrong & kernels.OFF_HOUR:
        raise ValueError(
            f"column {time!r} has stamps off the full hour; a panel has no cell for them"
        )
    if wrong & kernels.TWICE:
        raise ValueError(
            f"several rows share one ({by}, {time}); choose a market or timeframe before the panel"
        )
    return source.reshape(-1)


def _columns(texts: pd.Series, symbols: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """Column of a panel for each symbol; -1 for one that it hasn't."""
    if isinstance(texts.array, pd.arrays.ArrowStringArray):
        found = pa.array(texts.array)
        known = pa.array(symbols, found.type)
        return pc.fill_null(pc.index_in(found, value_set=known), -1).to_numpy()
    codes, names = pd.factorize(texts)  # a lookup of each symbol once, not of each row
    column = pd.Index(symbols, dtype="str").get_indexer(pd.Index(names))
    return np.append(column, -1)[codes].astype(np.int32)


def _fixed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A contiguous array that can't be written to: a kernel is compiled once, not for each kind."""
    view = np.require(values, requirements=("C", "A")).view()
    view.flags.writeable = False
    return view


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
        ValueError: two rows claim one cell (as when a frame holds several markets or timeframes
            and nobody chose one), a row inside the grid is not on a full hour, or a stamp is null.
    """
    from regime_pipeline.numerics import panel_kernels as kernels

    source = _rows_of_cells(frame, grid, by, time)
    panels = np.empty((len(columns), grid_length(grid), len(grid.symbols)))
    for name, panel in zip(columns, panels, strict=True):
        kernels.gather(source, _fixed(_floats(frame[name])), panel.reshape(-1))
    return dict(zip(columns, panels, strict=True))


def _floats(values: pd.Series) -> npt.NDArray[np.float64]:
    if isinstance(values.dtype, np.dtype) and values.dtype != object:
        return values.to_numpy(dtype="float64")  # nulls are NaN already: no copy to put them in
    return values.to_numpy(dtype="float64", na_value=np.nan)


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
    symbols = np.repeat(np.arange(width, dtype=np.int32), length)
    data: dict[str, object] = {
        by: _repeated(symbols, grid.symbols),
        "ts": pd.array(np.tile(hours.asi8, width), dtype=hours.dtype),
    }
    for name, panel in columns.items():
        if panel.shape != (length, width):
            raise ValueError(f"{name}: a panel of {panel.shape}, the grid has {(length, width)}")
    # one array for all columns of a type: fresh memory costs more than what is written to it
    types = Counter(panel.dtype for panel in columns.values() if panel.dtype != object)
    fresh = {dtype: iter(np.empty((n, width, length), dtype)) for dtype, n in types.items()}
    for name, panel in columns.items():
        if panel.dtype == object:
            data[name] = _text(panel)
        else:
            column = next(fresh[panel.dtype])
            column[:] = panel.T
            data[name] = column.reshape(-1)
    return pd.DataFrame(data, copy=False)  # every column was just made


def _text(panel: npt.NDArray[Any]) -> pd.api.extensions.ExtensionArray | npt.NDArray[Any]:
    """A panel of repeating texts as a ``str`` column; other objects as they are."""
    from regime_pipeline.numerics import panel_kernels as kernels

    panel = np.ascontiguousarray(panel)
    codes: npt.NDArray[np.int32] = np.empty(panel.T.shape, np.int32)
    first = np.empty(kernels.MOST, np.int64)
    address = np.ndarray(panel.shape, np.intp, panel)  # texts of one lookup are the same objects
    count = kernels.identities(_fixed(address), codes, first)
    if count >= 0:
        found = panel.reshape(-1)[first[:count]]
    else:
        numbers, texts = pd.factorize(panel.T.flatten())
        codes = np.where(numbers < 0, len(texts), numbers).astype(np.int32)
        found = np.array([*texts, None], dtype=object)
    if not all(isinstance(text, str) for text in found[~pd.isna(found)]):
        return panel.T.flatten()
    return _repeated(codes.reshape(-1), found)


def _repeated(
    codes: npt.NDArray[np.int32], names: Sequence[str] | npt.NDArray[np.object_]
) -> pd.api.extensions.ExtensionArray:
    """The name of each code as a ``str`` column."""
    return pd.array(pa.array(names, pa.large_string()).take(pa.array(codes)), dtype="str")


def take_codes(codes: npt.NDArray[np.integer], names: Sequence[str]) -> npt.NDArray[np.object_]:
    """Integer codes as text; a negative code is null (None)."""
    lookup = np.array([*names, None], dtype=object)
    return lookup[np.maximum(codes, -1, dtype=np.int64)]
