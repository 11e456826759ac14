"""Rows that were made one by one as the frame of a table.

Belongs here: columns in the table's form, stamps from hours. Does not belong here: what the rows say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.model import Kind, Table
from regime_pipeline.catalogue.registry import FIELDS


def framed(rows: list[dict[str, Any]] | pd.DataFrame, target: Table, version: str) -> pd.DataFrame:
    """Rows as content columns of a table, sorted by key.

    Args:
        rows: one by one or as a frame, with hours since 1970, or instants, as stamps; columns that no row
            has are null.
        target: the table.
        version: of the method.
    """
    columns = list(target.content)
    frame = pd.DataFrame(rows)
    if frame.empty:
        return empty(target)[columns]
    frame["method_version"] = version
    for name in columns:
        kind = FIELDS[name].kind
        if name not in frame:
            frame[name] = pd.Series(np.nan, index=frame.index, dtype="float64")
        elif kind is Kind.TIMESTAMP:
            frame[name] = _stamps(frame[name])
        elif kind is Kind.BOOLEAN:
            frame[name] = frame[name].astype("boolean")
        elif frame[name].dtype == object:
            frame[name] = frame[name].astype("str").where(frame[name].notna())
    frame = conform(frame[columns], target)[columns]
    return frame.sort_values(list(target.key), ignore_index=True)


def _stamps(hours: pd.Series) -> pd.Series:
    if hours.dtype.kind not in "iuf":  # instants within an hour
        return pd.to_datetime(hours, utc=True).astype("datetime64[us, UTC]")
    since = pd.to_timedelta(hours.astype("Int64"), unit="h").astype("timedelta64[us]")
    return pd.Timestamp(0, tz="UTC").as_unit("us") + since
