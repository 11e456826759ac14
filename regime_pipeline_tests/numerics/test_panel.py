from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.numerics.panel import from_panel, take_codes, to_panel
from regime_pipeline.windows import Grid

GRID = Grid(
    datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 4, tzinfo=UTC), ("ADA/USDT", "BTC/USDT")
)


def frame(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    out = pd.DataFrame(rows, columns=["symbol", "ts", "x"])
    return out.assign(ts=pd.to_datetime(out["ts"], utc=True).dt.as_unit("us"))


def test_rows_land_in_their_hour_and_symbol_and_absence_is_nan() -> None:
    rows = [
        ("BTC/USDT", "2024-01-01 02:00", 2.0),
        ("ADA/USDT", "2024-01-01 00:00", 1.0),
        ("XRP/USDT", "2024-01-01 00:00", 9.0),  # no symbol of the grid
        ("BTC/USDT", "2023-12-31 23:00", 9.0),  # before it
        ("BTC/USDT", "2024-01-01 04:00", 9.0),  # its end is open
    ]
    x = to_panel(frame(rows), GRID, ["x"])["x"]
    assert x.shape == (4, 2)
    assert x[0, 0] == 1.0 and x[2, 1] == 2.0
    assert np.isnan(x).sum() == 6


def test_a_round_trip_keeps_values_order_and_types() -> None:
    x = np.arange(8.0).reshape(4, 2)
    long = from_panel(GRID, {"x": x, "label": take_codes(x.astype(int) % 3 - 1, ("a", "b"))})
    assert list(long.columns) == ["symbol", "ts", "x", "label"]
    assert str(long["symbol"].dtype) == "str"
    assert str(long["ts"].dtype) == "datetime64[us, UTC]"
    assert long["symbol"].tolist() == ["ADA/USDT"] * 4 + ["BTC/USDT"] * 4
    assert long[["symbol", "ts"]].equals(long[["symbol", "ts"]].sort_values(["symbol", "ts"]))
    assert np.array_equal(to_panel(long, GRID, ["x"])["x"], x)
    assert long["label"].isna().tolist()[:4] == [True, False, False, True]
    assert long["label"].tolist()[1:3] == ["b", "a"]


def test_integers_booleans_and_their_nulls_become_floats() -> None:
    rows = frame([("ADA/USDT", "2024-01-01 00:00", 0.0), ("ADA/USDT", "2024-01-01 01:00", 0.0)])
    rows = rows.assign(
        n=pd.array([3, pd.NA], dtype="Int64"), b=pd.array([pd.NA, True], dtype="boolean")
    )
    panels = to_panel(rows, GRID, ["n", "b"])
    assert panels["n"][0, 0] == 3.0 and np.isnan(panels["n"][1, 0])
    assert np.isnan(panels["b"][0, 0]) and panels["b"][1, 0] == 1.0


def test_two_rows_of_one_cell_and_stamps_off_the_hour_are_refused() -> None:
    twice = frame([("ADA/USDT", "2024-01-01 00:00", 1.0), ("ADA/USDT", "2024-01-01 00:00", 2.0)])
    with pytest.raises(ValueError, match="several rows"):
        to_panel(twice, GRID, ["x"])
    with pytest.raises(ValueError, match="full hour"):
        to_panel(frame([("ADA/USDT", "2024-01-01 00:30", 1.0)]), GRID, ["x"])


def test_stamps_of_any_resolution_and_zone_are_the_same_instant() -> None:
    rows = frame([("ADA/USDT", "2024-01-01 01:00", 5.0)])
    for stamps in (
        rows["ts"].dt.as_unit("ns"),
        rows["ts"].dt.as_unit("ms"),
        rows["ts"].dt.tz_convert("Asia/Tokyo"),
    ):
        assert to_panel(rows.assign(ts=stamps), GRID, ["x"])["x"][1, 0] == 5.0


def test_an_empty_frame_is_a_panel_of_nulls() -> None:
    empty = frame([]).assign(x=lambda f: f["x"].astype(float))
    assert np.isnan(to_panel(empty, GRID, ["x"])["x"]).all()


def test_a_panel_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the grid has"):
        from_panel(GRID, {"x": np.zeros((2, 2))})
