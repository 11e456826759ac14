"""Frames against the catalogue: types, bounds, rules, and splitting off what breaks them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from regime_pipeline.catalogue.contract import _holds
from regime_pipeline.catalogue.frames import (
    DTYPES,
    ContractError,
    conform,
    empty,
    schema,
    split,
    validate,
)
from regime_pipeline.catalogue.model import Field, Kind
from regime_pipeline.catalogue.registry import FIELDS, TABLES, table
from regime_pipeline_tests.storage.frames import raw_candles

CANDLES = table("raw.candles")


def test_every_table_has_a_schema_that_its_empty_frame_keeps() -> None:
    for item in TABLES.values():
        none = empty(item)
        pd.testing.assert_frame_equal(schema(item).validate(none), none)
        pd.testing.assert_frame_equal(conform(none, item), none)


def test_conform_adds_bookkeeping_orders_columns_and_leaves_the_input_alone() -> None:
    frame = raw_candles()[sorted(raw_candles().columns)]
    before = frame.copy(deep=True)
    out = conform(frame, CANDLES)
    assert list(out.columns) == list(CANDLES.fields)
    assert out["ingested_at"].isna().all()
    assert str(out["ts"].dtype) == "datetime64[us, UTC]"
    assert str(out["trade_count"].dtype) == "Int64"
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="close"), r"absent columns \['close'\]"),
        (lambda f: f.assign(extra=1), r"unknown columns \['extra'\]"),
        (lambda f: f.assign(trade_count=1.5), "trade_count"),
        (lambda f: f.assign(close="dear"), "close"),
        (lambda f: f.assign(ts="yesterday, about noon"), "ts"),
    ],
    ids=["absent", "unknown", "fraction", "words", "time"],
)
def test_columns_that_cannot_be_judged_are_an_error(change, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        split(change(raw_candles()), CANDLES)


BAD_CELLS = [
    ("close", np.inf, "close: finite"),
    ("close", np.nan, "close: not_nullable"),
    ("close", -1.0, "close: greater_than"),
    ("market", "moon", "market: isin"),
    ("source_tier", 10, "source_tier: less_than_or_equal_to"),
    ("symbol", None, "symbol: not_nullable"),
    ("high", 1e-9, "high >= open"),
]


@pytest.mark.parametrize(("column", "value", "reason"), BAD_CELLS)
def test_one_bad_row_is_split_off_with_its_reason(column: str, value: object, reason: str) -> None:
    frame = raw_candles()
    frame[column] = frame[column].astype(object)
    frame.loc[3, column] = value
    good, bad = split(frame, CANDLES)
    assert len(good) == len(frame) - 1
    assert bad["ts"].tolist() == [frame.loc[3, "ts"]]
    assert reason in bad.loc[0, "reason"]
    pd.testing.assert_frame_equal(validate(good, CANDLES), good)
    with pytest.raises(ContractError, match="contract failures"):
        validate(frame, CANDLES)


def test_rows_with_several_faults_are_split_off_once_with_all_reasons() -> None:
    frame = raw_candles()
    frame.loc[2, ["close", "volume_base"]] = [np.inf, -5.0]
    frame.loc[9, "low"] = np.nan
    good, bad = split(frame, CANDLES)
    assert (len(good), len(bad)) == (46, 2)
    assert "close: finite" in bad.loc[0, "reason"]
    assert "volume_base" in bad.loc[0, "reason"]


def test_good_and_bad_rows_together_are_the_input() -> None:
    frame = raw_candles()
    rng = np.random.default_rng(4)
    for row in rng.choice(len(frame), 15, replace=False):
        frame.loc[row, rng.choice(["open", "high", "low", "close"])] = rng.choice(
            [np.inf, np.nan, -1.0]
        )
    good, bad = split(frame, CANDLES)
    both = pd.concat([good, bad.drop(columns="reason")]).sort_values(["symbol", "ts"])
    pd.testing.assert_frame_equal(
        both.reset_index(drop=True), conform(frame, CANDLES), check_exact=True
    )


def test_repeated_key_is_left_to_the_writer_by_split_and_refused_by_validate() -> None:
    twice = pd.concat([raw_candles(), raw_candles().iloc[:1]], ignore_index=True)
    good, bad = split(twice, CANDLES)
    assert (len(good), len(bad)) == (49, 0)
    with pytest.raises(ContractError):
        validate(twice, CANDLES)


def test_nothing_bad_gives_an_empty_frame_of_the_same_columns() -> None:
    good, bad = split(raw_candles(), CANDLES)
    assert list(bad.columns) == [*CANDLES.fields, "reason"] or "reason" in bad
    assert (len(good), len(bad)) == (48, 0)


def test_bounds_of_the_catalogue_are_checked_at_their_edges() -> None:
    for item in TABLES.values():
        for name in item.fields:
            field = FIELDS[name]
            if field.kind != "float" or (field.minimum is None and field.maximum is None):
                continue
            column = schema(item).columns[name]
            for edge, inside in (
                (field.minimum, not field.exclusive_minimum),
                (field.maximum, True),
            ):
                if edge is None:
                    continue
                series = pd.Series([float(edge)], name=name)
                verdict = all(bool(np.all(check(series).check_passed)) for check in column.checks)
                assert verdict is inside, f"{item.full_name}.{name} at {edge}"


def _cells(field: Field) -> list[object]:
    """Nothing, and values at and beyond every bound of a field."""
    if field.kind is Kind.FLOAT:
        bounds = [b for b in (field.minimum, field.maximum) if b is not None]
        around = [b + step for b in bounds for step in (-1e-9, 0.0, 1e-9)]
        return [np.nan, np.inf, -np.inf, 0.0, 0.5, *around]
    if field.kind is Kind.INTEGER:
        bounds = [int(b) for b in (field.minimum, field.maximum) if b is not None]
        return [None, 0, 1, *(b + step for b in bounds for step in (-1, 0, 1))]
    if field.kind is Kind.TIMESTAMP:
        return [None, pd.Timestamp("2024-06-20", tz="UTC")]
    if field.kind is Kind.BOOLEAN:
        return [None, True, False]
    return [None, "of no list", *(field.allowed or ())]


def test_the_quick_answer_is_the_one_of_pandera_at_every_bound_of_every_field() -> None:
    seen = set()
    for item in TABLES.values():
        for name, column in schema(item).columns.items():
            field = FIELDS[name]
            rules = (field.kind, field.minimum, field.maximum, field.exclusive_minimum)
            if (rule := (*rules, field.allowed, column.nullable)) in seen:
                continue
            seen.add(rule)
            for cell in _cells(field):
                frame = pd.DataFrame({name: pd.Series([cell, cell], dtype=DTYPES[field.kind])})
                try:
                    pa.DataFrameSchema({name: column}).validate(frame)
                    passes = True
                except pa.errors.SchemaError:
                    passes = False
                assert _holds(frame[name], field, not column.nullable) is passes, (name, cell)
    assert len(seen) > 50
