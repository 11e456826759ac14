from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.numerics.panel import from_panel, take_codes, to_panel
from regime_pipeline.windows import Grid, Window

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


NAMES = (
    "A",
    "BTC",
    "BTC/USDT",
    "BTC/USDT:USD-FAR",
    "BTC/USDT:USD-FAR-2",
    "BTC/USDT:USX-FAR-2",
    "é/USDT",
)
LONG = Grid.of(
    Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 13, tzinfo=UTC)),
    [n for n in NAMES if n != "BTC/USDT:USX-FAR-2"],
)


def history() -> pd.DataFrame:
    """Symbol by symbol with holes, over both ends of the grid, one symbol unknown to it."""
    hours = pd.date_range(LONG.start - timedelta(hours=3), periods=300, freq="1h").as_unit("us")
    long = pd.MultiIndex.from_product([NAMES, hours], names=["symbol", "ts"]).to_frame(index=False)
    rng = np.random.default_rng(3)
    long = long.assign(symbol=long["symbol"].astype("str"), x=rng.normal(size=len(long)))
    return long[(rng.random(len(long)) < 0.95) | (long["symbol"] == "BTC")].reset_index(drop=True)


def expected(rows: pd.DataFrame) -> pd.DataFrame:
    wide = rows.dropna(subset="symbol").pivot(index="ts", columns="symbol", values="x")
    return wide.reindex(index=LONG.hours, columns=list(LONG.symbols))


@pytest.mark.parametrize(
    "order",
    [
        lambda rows: rows,
        lambda rows: rows.sort_values(["ts", "symbol"]),
        lambda rows: rows.sample(frac=1.0, random_state=1),
        lambda rows: rows[::-2],
    ],
    ids=["by symbol", "by hour", "none", "backwards"],
)
@pytest.mark.parametrize(
    "kind",
    [
        lambda symbol: symbol,
        lambda symbol: symbol.astype("category"),
        lambda symbol: symbol.astype(object),
        lambda symbol: symbol.astype("string"),
        lambda symbol: symbol.where(symbol != "A"),
        lambda symbol: pd.concat([symbol[:500], symbol[500:500], symbol[500:]]),
        lambda symbol: pd.concat([pd.Series(["x"] * 9_000, dtype="str"), symbol])[9_000:],
    ],
    ids=["str", "category", "object", "nullable", "with nulls", "in pieces", "cut off"],
)
def test_rows_of_any_order_and_kind_of_text_make_the_same_panel(
    order: Callable[[pd.DataFrame], pd.DataFrame], kind: Callable[[pd.Series], pd.Series]
) -> None:
    rows = order(history())
    rows = rows.assign(symbol=kind(rows["symbol"]).array)
    want = expected(rows)
    assert np.isfinite(want).any(axis=None)
    assert np.array_equal(to_panel(rows, LONG, ["x"])["x"], want, equal_nan=True)


def test_columns_of_many_large_pieces_are_read_piece_by_piece() -> None:
    hours = pd.date_range(LONG.start, periods=20_000, freq="1h").as_unit("us")
    pieces = [
        pd.DataFrame({"symbol": pd.Series([s] * len(hours), dtype="str"), "ts": hours, "x": value})
        for value, s in enumerate(("A", "é/USDT", "unknown"))
    ]
    x = to_panel(pd.concat(pieces), LONG, ["x"])["x"]
    assert (x[:, 0] == 0.0).all() and (x[:, -1] == 1.0).all() and np.isnan(x[:, 1:-1]).all()


def test_rows_without_a_cell_may_be_twice_and_off_the_hour() -> None:
    rows = [
        ("ADA/USDT", "2023-12-31 23:30", 1.0),
        ("ADA/USDT", "2024-01-01 04:00", 1.0),
        ("ADA/USDT", "2024-01-01 04:00", 1.0),
        ("XRP/USDT", "2024-01-01 01:30", 1.0),
        ("XRP/USDT", "2024-01-01 01:30", 1.0),
    ]
    assert np.isnan(to_panel(frame(rows), GRID, ["x"])["x"]).all()


def test_a_grid_without_symbols_or_hours_has_an_empty_panel() -> None:
    for grid in (Grid(GRID.start, GRID.end, ()), Grid(GRID.start, GRID.start, GRID.symbols)):
        rows = frame([("ADA/USDT", "2024-01-01 01:00", 1.0)])
        assert to_panel(rows, grid, ["x"])["x"].shape == (len(grid.hours), len(grid.symbols))


def test_a_null_stamp_is_refused_whatever_its_symbol() -> None:
    rows = frame([("ADA/USDT", "2024-01-01 00:00", 1.0), ("XRP/USDT", "2024-01-01 00:00", 1.0)])
    rows.loc[1, "ts"] = pd.NaT
    with pytest.raises(ValueError, match="null stamp"):
        to_panel(rows, GRID, ["x"])


def test_a_cell_claimed_twice_is_found_in_any_order() -> None:
    rows = history()
    at = rows.index[(rows["symbol"] == "BTC") & (rows["ts"] == LONG.start)]
    for order in ([*rows.index, *at], [*at, *rows.index]):
        with pytest.raises(ValueError, match="several rows"):
            to_panel(rows.loc[order], LONG, ["x"])


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
        n=pd.array([3, pd.NA], dtype="Int64"),
        b=pd.array([pd.NA, True], dtype="boolean"),
        whole=np.array([3, -4], dtype="int32"),
        flag=[True, False],
        small=np.array([0.5, np.nan], dtype="float32"),
        anything=pd.Series([2, None], dtype=object),
    )
    panels = to_panel(rows, GRID, ["n", "b", "whole", "flag", "small", "anything"])
    assert all(panel.dtype == np.float64 for panel in panels.values())
    assert panels["whole"][:2, 0].tolist() == [3.0, -4.0]
    assert panels["flag"][:2, 0].tolist() == [1.0, 0.0]
    assert panels["small"][0, 0] == 0.5 and np.isnan(panels["small"][1, 0])
    assert panels["anything"][0, 0] == 2.0 and np.isnan(panels["anything"][1, 0])
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


def _texts() -> dict[str, np.ndarray]:
    codes = np.random.default_rng(5).integers(-1, 4, (len(LONG.hours), len(LONG.symbols)))
    few = take_codes(codes, ("", "calm", "é", "longer than a word"))
    many = np.array([f"text {k % 400}" if k % 7 else None for k in range(few.size)], dtype=object)
    return {
        "few": few,
        "by symbol": np.asfortranarray(few),
        "equal but other objects": np.array([[f"{c}" for c in row] for row in codes], object),
        "many": many.reshape(few.shape),
        "nulls of all kinds": np.where(codes == 1, np.nan, np.where(codes == 2, pd.NA, few)),
        "nothing": np.full(few.shape, None, dtype=object),
    }


@pytest.mark.parametrize("kind", list(_texts()))
def test_texts_become_a_str_column_symbol_by_symbol(kind: str) -> None:
    panel = _texts()[kind]
    column = from_panel(LONG, {"x": panel})["x"]
    want = [None if pd.isna(text) else text for text in panel.T.reshape(-1)]
    assert str(column.dtype) == "str"
    assert [None if pd.isna(text) else text for text in column] == want


def test_objects_that_are_not_all_texts_stay_as_they_are() -> None:
    panel = np.array([["a", 1.5]] * 4, dtype=object)
    column = from_panel(GRID, {"x": panel})["x"]
    assert column.dtype == object
    assert column.tolist() == ["a"] * 4 + [1.5] * 4


def test_columns_keep_the_type_of_their_panel_and_share_no_memory_with_it() -> None:
    x = np.arange(4.0).reshape(4, 1)
    panels = {
        "x": x,
        "y": 2.0 * x,
        "code": x.astype(np.int8),
        "flag": x > 1.0,
        "at": x.astype("M8[s]"),
    }
    long = from_panel(Grid(GRID.start, GRID.end, ("ADA/USDT",)), panels)
    want = {name: panel.reshape(-1).copy() for name, panel in panels.items()}
    for panel in panels.values():
        panel[:] = panel[0]
    for name, values in want.items():
        assert long[name].dtype == values.dtype
        assert np.array_equal(long[name], values)


def test_a_grid_without_hours_or_symbols_is_a_frame_without_rows() -> None:
    for grid in (Grid(GRID.start, GRID.end, ()), Grid(GRID.start, GRID.start, GRID.symbols)):
        shape = (len(grid.hours), len(grid.symbols))
        long = from_panel(grid, {"x": np.empty(shape), "text": np.empty(shape, dtype=object)})
        assert long.empty
        assert [str(d) for d in long.dtypes] == ["str", "datetime64[us, UTC]", "float64", "str"]


def test_a_panel_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the grid has"):
        from_panel(GRID, {"x": np.zeros((2, 2))})
