"""Arrays of the correlation engine as columns of catalogue frames.

Belongs here: dtypes, which pairs get rows. Does not belong here: what a column means.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.frames import DTYPES, empty
from regime_pipeline.catalogue.model import Table
from regime_pipeline.catalogue.registry import FIELDS, table
from regime_pipeline.settings import DEFAULT_SYMBOLS

MOST_PAIRS = 2000
"""Pairs that get hourly rows: they grow with the square of the symbols, 5.8 MB a pair and year."""


def stored_pairs(symbols: Sequence[str], most: int = MOST_PAIRS) -> npt.NDArray[np.int64]:
    """Places, among all pairs of the symbols in order, of those that get rows; all where they are few.

    Else the pairs of the leading symbols with every other: the product's default symbols in their order,
    then the rest as they come, as many as fit. What is left out changes no value of what is kept.

    Args:
        symbols: in the order of the grid.
        most: pairs that may be kept.
    """
    count = len(symbols)
    places = np.arange(count * (count - 1) // 2)
    if len(places) <= most:
        return places
    leading: set[str] = set()
    kept = 0
    for symbol in sorted(symbols, key=_rank):  # the sort is stable
        kept += count - 1 - len(leading)
        if kept > most:
            break
        leading.add(symbol)
    wanted = [bool(leading.intersection(pair)) for pair in combinations(symbols, 2)]
    return places[np.array(wanted)]


def _rank(symbol: str) -> int:
    return DEFAULT_SYMBOLS.index(symbol) if symbol in DEFAULT_SYMBOLS else len(DEFAULT_SYMBOLS)


def texts(codes: npt.NDArray[np.integer[Any]], names: tuple[str, ...]) -> pd.Series:
    """Codes as a text column; -1 is null."""
    return pd.Series(
        pd.array(names, dtype="str").take(codes.ravel(), allow_fill=True, fill_value=pd.NA)
    )


def flags(values: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> pd.Series:
    """A boolean column, null where not known."""
    return pd.Series(pd.arrays.BooleanArray(values.ravel().copy(), ~known.ravel()))


def integers(values: npt.NDArray[Any]) -> pd.Series:
    """Whole numbers as Int64; NaN or -1 is null."""
    null = np.isnan(values) | (values < 0)
    return pd.Series(
        pd.arrays.IntegerArray(np.where(null, 0, values).astype(np.int64).ravel(), null.ravel())
    )


def shape(columns: dict[str, Any], which: Table) -> pd.DataFrame:
    """The columns in the table's order; a dtype other than the catalogue's is a bug."""
    frame = pd.DataFrame({name: columns[name] for name in which.content})
    for name in which.content:
        want = DTYPES[FIELDS[name].kind]
        if str(frame[name].dtype) != want:
            raise TypeError(f"{which.full_name}.{name} is {frame[name].dtype}, not {want}")
    return frame


def nothing(name: str) -> pd.DataFrame:
    """No rows of a table of the schema, with all its content columns."""
    which = table(f"correlation.{name}")
    return empty(which)[list(which.content)]
