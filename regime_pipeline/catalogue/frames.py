"""Frames as the catalogue describes them: dtypes, the pandera schema, splitting off bad rows.

Belongs here: the shape and bounds of *one frame*. Rules about stored tables over time are Great
Expectations suites, rules about reports are dbt tests; neither is repeated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as arrow
import pyarrow.compute as pc

from regime_pipeline.catalogue.contract import columns_hold, key_is_unique
from regime_pipeline.catalogue.model import Field, Kind, Table
from regime_pipeline.catalogue.registry import FIELDS

if TYPE_CHECKING:
    import pandera.pandas as pa

DTYPES: dict[Kind, str] = {
    Kind.TIMESTAMP: "datetime64[us, UTC]",
    Kind.FLOAT: "float64",
    Kind.INTEGER: "Int64",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "str",
    Kind.JSON: "str",
    Kind.FLOATS: "str",
}


class ContractError(ValueError):
    """A frame breaks the contract of its table; the message names columns, checks and samples."""


def empty(table: Table) -> pd.DataFrame:
    """A frame of the table without rows."""
    return pd.DataFrame({f: pd.Series(dtype=DTYPES[FIELDS[f].kind]) for f in table.fields})


def _cast(values: pd.Series, field: Field) -> pd.Series:
    dtype = DTYPES[field.kind]
    if str(values.dtype) == dtype:
        return values
    if field.kind is Kind.TIMESTAMP:
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            return values.dt.tz_convert("UTC").dt.as_unit("us")
        stamped = pd.to_datetime(values, utc=True)
        return stamped.dt.as_unit("us")
    if field.kind is Kind.FLOAT:
        return pd.Series(values.to_numpy(dtype="float64", na_value=np.nan), index=values.index)
    return values.astype(pd.api.types.pandas_dtype(dtype))


def conform(frame: pd.DataFrame, table: Table, *, missing_ok: bool = True) -> pd.DataFrame:
    """The frame with the table's columns, order and dtypes; the input is left as it is.

    Args:
        frame: any frame whose columns carry catalogue names.
        table: the table it is for.
        missing_ok: absent bookkeeping columns are added as null; other absent columns always raise.

    Raises:
        ContractError: a column is absent, unknown, or does not convert to its type.
    """
    unknown = [c for c in frame.columns if c not in table.fields]
    absent = [f for f in table.fields if f not in frame.columns]
    needed = [f for f in absent if not (missing_ok and f in table.bookkeeping)]
    if unknown or needed:
        raise ContractError(
            f"{table.full_name}: unknown columns {unknown}, absent columns {needed}"
        )
    columns: dict[str, pd.Series] = {}
    for name in table.fields:
        if name in absent:
            columns[name] = _cast(pd.Series(pd.NA, index=frame.index), FIELDS[name])
            continue
        try:
            columns[name] = _cast(frame[name], FIELDS[name])
        except (TypeError, ValueError, OverflowError) as error:
            raise ContractError(f"{table.full_name}.{name}: {error}") from error
    # copied when written to: one block for all columns of a type would cost more than their checks
    return pd.DataFrame(columns, index=frame.index, copy=False)


@cache
def schema(table: Table, *, unique: bool = True) -> pa.DataFrameSchema:
    """The pandera schema of a table: dtypes, nullability, bounds, enumerations, rules, unique key."""
    import pandera.pandas as pa

    columns: dict[str, pa.Column] = {}
    for name in table.fields:
        field = FIELDS[name]
        checks: list[pa.Check] = []
        if field.kind is Kind.FLOAT:
            checks.append(pa.Check(lambda s: np.isfinite(s), name="finite", ignore_na=True))
        if field.minimum is not None:
            checks.append(
                pa.Check.gt(field.minimum)
                if field.exclusive_minimum
                else pa.Check.ge(field.minimum)
            )
        if field.maximum is not None:
            checks.append(pa.Check.le(field.maximum))
        if field.allowed is not None:
            checks.append(pa.Check.isin(field.allowed))
        nullable = name not in table.key and name not in table.required
        columns[name] = pa.Column(DTYPES[field.kind], checks=checks, nullable=nullable)
    return pa.DataFrameSchema(
        columns,
        checks=_rules(table),
        unique=list(table.key) if unique else None,
        strict=True,
        ordered=True,
    )


def _rules(table: Table) -> list[pa.Check]:
    """What holds between columns."""
    import pandera.pandas as pa

    return [
        pa.Check(lambda df, rule=rule: df.eval(rule), name=rule, ignore_na=True)
        for rule in table.rules
    ]


@cache
def _rules_alone(table: Table) -> pa.DataFrameSchema:
    import pandera.pandas as pa

    return pa.DataFrameSchema(checks=_rules(table))


def _keeps(conformed: pd.DataFrame, table: Table, *, unique: bool = True) -> bool:
    """Whether a conformed frame keeps the whole contract; quick, and silent about what is wrong."""
    import pandera.errors

    if not columns_hold(conformed, table) or (unique and not key_is_unique(conformed, table)):
        return False
    if table.rules:
        try:
            _rules_alone(table).validate(conformed)
        except pandera.errors.SchemaError:
            return False
    return True


def validate(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame, conformed and checked; every failing check is reported at once.

    Raises:
        ContractError: with up to ten failure cases.
    """
    import pandera.errors

    conformed = conform(frame, table)
    if _keeps(conformed, table):
        return conformed
    try:
        return schema(table).validate(conformed, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases[["column", "check", "failure_case", "index"]]
        raise ContractError(
            f"{table.full_name}: {len(cases)} contract failures, first ones:\n"
            f"{cases.head(10).to_string(index=False)}"
        ) from error


def split(frame: pd.DataFrame, table: Table) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that keep the contract, and rows that do not with a ``reason`` column.

    A repeated key is not a bad row here: the writer settles it by tier and order of arrival.

    Raises:
        ContractError: a whole column is absent or has the wrong type; no row can be judged then.
    """
    import pandera.errors

    conformed = conform(frame, table).reset_index(drop=True)
    none = conformed.head(0).assign(reason=pd.Series(dtype="str"))
    if _keeps(conformed, table, unique=False):
        return conformed, none
    try:
        return schema(table, unique=False).validate(conformed, lazy=True), none
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        if cases["index"].isna().any():
            raise ContractError(
                f"{table.full_name}: {cases.head(10).to_string(index=False)}"
            ) from error
        # a rule over several columns reports one case per column: keep one text per row
        what = np.where(
            cases["schema_context"] == "DataFrameSchema",
            cases["check"].astype(str),
            cases["column"].astype(str) + ": " + cases["check"].astype(str),
        )
        reasons = (
            pd.DataFrame({"row": cases["index"].astype(int), "what": what})
            .drop_duplicates()
            .groupby("row", sort=True)["what"]
            .agg("; ".join)
        )
        bad = conformed.loc[reasons.index].assign(reason=reasons)
        good = conformed.drop(index=reasons.index)
        return good.reset_index(drop=True), bad.reset_index(drop=True)


# -------------------------------------------------------------------- keys


def _ranks(column: arrow.Array | arrow.ChunkedArray) -> np.ndarray:
    """Whole numbers in the column's order, nulls first; text by code point."""
    if isinstance(column, arrow.ChunkedArray):
        column = column.combine_chunks()
    if not (arrow.types.is_string(column.type) or arrow.types.is_large_string(column.type)):
        lowest = np.iinfo(np.int64).min
        return column.cast(arrow.int64()).fill_null(lowest).to_numpy(zero_copy_only=False)
    encoded = column.dictionary_encode()
    rank = np.full(len(encoded.dictionary) + 1, -1)  # the last one, which -1 means, is the null's
    rank[pc.array_sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank) - 1)
    return rank[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def key_order(
    columns: Sequence[arrow.Array | arrow.ChunkedArray], tie: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Stable order of rows by key, and which row (in that order) repeats the key before it.

    ``tie`` orders rows of one key among themselves, ascending, before their order of arrival.
    """
    ranks = [_ranks(c) for c in columns]
    order = np.lexsort([*([] if tie is None else [tie]), *ranks[::-1]])
    repeats = np.ones(len(order), dtype=bool)
    repeats[:1] = False
    for rank in ranks:
        ordered = rank[order]
        repeats[1:] &= ordered[1:] == ordered[:-1]
    return order, repeats


def is_in_order(order: np.ndarray) -> bool:
    """Whether rows lie already as an order says."""
    return bool((order[1:] > order[:-1]).all())
