"""Whether a whole frame keeps the contract of its table, judged column by column in arrays.

Belongs here: the answer yes or no. Does not belong here: which row breaks what, which pandera tells
(``frames``). Nearly all frames keep theirs, and pandera takes some milliseconds a column to say so
however few rows there are, a quarter of an hourly tick in all.

The same fields decide in both; a test compares them on every field of every table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.model import Field, Kind, Table
from regime_pipeline.catalogue.registry import FIELDS

Flags = npt.NDArray[np.bool_]


def columns_hold(frame: pd.DataFrame, table: Table) -> bool:
    """Whether every column keeps nullability, finiteness, bounds and enumeration of its field.

    Args:
        frame: conformed to the table (``frames.conform``): its columns, order and dtypes.
        table: the table it is for.
    """
    needed = {*table.key, *table.required}
    return all(_holds(values, FIELDS[name], name in needed) for name, values in frame.items())  # type: ignore[index]


def key_is_unique(frame: pd.DataFrame, table: Table) -> bool:
    """Whether no two rows of a frame have the table's key."""
    return not frame.duplicated(list(table.key)).any()


def _holds(values: pd.Series, field: Field, is_needed: bool) -> bool:
    missing: Flags = values.isna().to_numpy()
    if is_needed and missing.any():
        return False
    if field.kind in (Kind.FLOAT, Kind.INTEGER):
        return _within(values, missing, field)
    if field.allowed is None:
        return True
    return set(values[~missing].unique()) <= set(field.allowed)


def _within(values: pd.Series, missing: Flags, field: Field) -> bool:
    is_float = field.kind is Kind.FLOAT
    numbers = values.to_numpy() if is_float else values.to_numpy(dtype="int64", na_value=0)
    there = numbers[~missing] if missing.any() else numbers
    if is_float and not np.isfinite(there).all():
        return False
    if field.minimum is not None:
        above = there > field.minimum if field.exclusive_minimum else there >= field.minimum
        if not above.all():
            return False
    if field.maximum is not None and not (there <= field.maximum).all():
        return False
    return field.allowed is None or bool(np.isin(there, field.allowed).all())
