"""The tests' synthetic market: hours x symbols laid out as the long rows of any table.

Belongs here: the shape of rows (keys, panels, columns that a table wants) and comparing them to the
byte. What is drawn (walks, storms, planted events, holes) is an argument. A whole market with every
provider's view of it is ``simulator.synthetic``; markets whose truth is known for counting alarms are
``evaluation.worlds``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import conform


def long(symbols: Sequence[str], stamps: pd.DatetimeIndex, **columns: object) -> pd.DataFrame:
    """Rows of each symbol, one symbol after the other.

    Args:
        symbols: names.
        stamps: instants, the same for each symbol.
        columns: a scalar for all rows, a value for each instant, or a panel (instants, symbols).
    """
    count, width = len(stamps), len(symbols)
    each = np.tile(np.arange(count), width)

    def laid(value: object) -> object:
        if isinstance(value, np.ndarray) and value.ndim == 2:
            return value.T.reshape(-1)
        return value.take(each) if isinstance(value, (np.ndarray, pd.Index)) else value

    keys = {
        "symbol": pd.Series(symbols, dtype="str").repeat(count).to_numpy(),
        "ts": stamps.take(each),
    }
    return pd.DataFrame(keys | {name: laid(value) for name, value in columns.items()})


def frame_of(full_name: str, **columns: object) -> pd.DataFrame:
    """Rows of a table; columns that are not given are null (status ok, method test/1, tier 1)."""
    return filled(full_name, pd.DataFrame(columns))


def rows_of(full_name: str, rows: Sequence[dict[str, object]], **common: object) -> pd.DataFrame:
    """The same from one dict a row; ``common`` holds for rows that do not say otherwise."""
    return filled(full_name, pd.DataFrame([common | row for row in rows]))


def filled(full_name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every column of the table, in its order and with its types."""
    item = table(full_name)
    usual = {"status": "ok", "method_version": "test/1", "source_tier": 1}
    absent = {n: usual.get(n) for n in item.fields if n not in frame.columns}
    frame = pd.concat([frame, pd.DataFrame(absent, index=frame.index)], axis=1)
    return conform(frame[list(item.fields)], item)


def same_bytes(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal frames, floats to the last bit."""
    one, other = one.reset_index(drop=True), other.reset_index(drop=True)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    for name in one.columns[one.dtypes == "float64"]:
        a, b = one[name].to_numpy(), other[name].to_numpy()
        there = ~np.isnan(a)
        assert (a[there].view("int64") == b[there].view("int64")).all(), name
