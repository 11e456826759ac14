from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_pipeline.numerics import order_statistics
from regime_pipeline.numerics.conventions import ZERO_DISPERSION
from regime_pipeline_tests.numerics.windows import (
    MIN,
    QUICKLY,
    SERIES,
    W,
    assert_a_column_is_alone,
    assert_a_panel_may_begin_anywhere,
    assert_a_spike_leaves_no_trace,
    assert_no_start_matters,
    assert_only_the_own_past_is_read,
    assert_threads_do_not_matter,
    panel,
    window_of,
)

FUNCTIONS = {
    "median": lambda x: order_statistics.rolling_median(x, W, MIN),
    "quantile": lambda x: order_statistics.rolling_quantile(x, W, MIN, 0.3, lag=1),
    "mad_z": lambda x: np.stack(order_statistics.lagged_mad_z(x, W, MIN)),
    "mad_z_floor": lambda x: np.stack(order_statistics.lagged_mad_z(x, W, MIN, floor=0.1)),
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@QUICKLY
@given(series=SERIES, data=st.data())
def test_no_value_depends_on_where_the_array_starts(
    name: str, series: list[float], data: st.DataObject
) -> None:
    assert_no_start_matters(lambda x, _: FUNCTIONS[name](x), series, 0, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@QUICKLY
@given(series=SERIES, data=st.data())
def test_a_spike_that_left_the_window_leaves_no_trace(
    name: str, series: list[float], data: st.DataObject
) -> None:
    assert_a_spike_leaves_no_trace(lambda x, _: FUNCTIONS[name](x), series, 0, data)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_column_is_the_same_alone_and_among_any_number_of_others(name: str) -> None:
    assert_a_column_is_alone(lambda x, _: FUNCTIONS[name](x))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize("width", [1, 8, 70])
def test_a_value_does_not_depend_on_the_number_of_threads(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_threads_do_not_matter(lambda x: FUNCTIONS[name](x), width, monkeypatch)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_panel_may_begin_at_any_row(name: str) -> None:
    assert_a_panel_may_begin_anywhere(lambda x: FUNCTIONS[name](x))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_value_does_not_read_the_future_or_its_neighbour_column(name: str) -> None:
    assert_only_the_own_past_is_read(lambda x: FUNCTIONS[name](x))


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_medians_equal_a_slow_reference(lag: int) -> None:
    x = panel(1)
    got = order_statistics.rolling_median(x, W, MIN, lag=lag)
    for h in range(x.shape[0]):
        for s in range(x.shape[1]):
            values = window_of(x, h, s, lag)
            if values.size < MIN:
                assert np.isnan(got[h, s])
            else:
                assert got[h, s] == pytest.approx(np.median(values), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("q", [0.0, 0.05, 0.3, 0.77, 1.0])
def test_quantiles_are_type_seven(q: float) -> None:
    x = panel(2)
    got = order_statistics.rolling_quantile(x, W, MIN, q, lag=1)
    for h in range(x.shape[0]):
        for s in range(x.shape[1]):
            values = window_of(x, h, s, 1)
            if values.size >= MIN:
                assert got[h, s] == pytest.approx(np.quantile(values, q), rel=1e-12)
            else:
                assert np.isnan(got[h, s])


def clustered(rows: int) -> np.ndarray:
    """Neighbouring floats, far away from one value in a hundred: the leading digits are all alike."""
    x = 1.0 + np.finfo("float64").eps * np.random.default_rng(4).integers(0, 4_000, rows)
    x[::100] = -1e300
    return x


@pytest.mark.parametrize("window", [15, 721])
@pytest.mark.parametrize(
    "series",
    [
        clustered(4_000),
        np.random.default_rng(5).standard_normal(4_000),
        np.random.default_rng(6).integers(-3, 4, 4_000).astype("float64"),
        np.linspace(5.0, 6.0, 4_000),
    ],
    ids=["clustered", "normal", "ties", "ramp"],
)
def test_medians_of_long_series_are_the_middle_values(series: np.ndarray, window: int) -> None:
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(series, window), axis=1)
    got = order_statistics.rolling_median(series, window, window)
    assert (got[window - 1 :] == ordered[:, window // 2]).all()
    assert np.isnan(got[: window - 1]).all()


@pytest.mark.parametrize("columns", [3, 9])
@pytest.mark.parametrize("with_reference", [False, True])
def test_lagged_mad_z_equals_a_slow_reference(with_reference: bool, columns: int) -> None:
    x = np.round(
        panel(4, columns=columns), 1
    )  # ties, so that a MAD of 0 with dispersion happens too
    judge = panel(5, columns=columns) if with_reference else x
    z, median, scale, code = order_statistics.lagged_mad_z(
        x, W, MIN, reference=judge if with_reference else None
    )
    fallbacks = 0
    for h in range(x.shape[0]):
        for s in range(x.shape[1]):
            values = window_of(judge, h, s, 1)
            if values.size < MIN:
                assert np.isnan(z[h, s]) and np.isnan(median[h, s])
                continue
            centre = np.median(values)
            spread = 1.4826 * np.median(np.abs(values - centre))
            if spread <= 1e-12 * abs(centre):
                spread = 1.2533 * np.abs(values - centre).mean()
                fallbacks += spread > 1e-9
            assert median[h, s] == pytest.approx(centre, rel=1e-12)
            assert scale[h, s] == pytest.approx(spread, rel=1e-12, abs=1e-15)
            if values.max() > values.min() and np.isfinite(x[h, s]):
                assert code[h, s] == 0
                assert z[h, s] == pytest.approx((x[h, s] - centre) / spread, rel=1e-10, abs=1e-12)
            else:
                assert np.isnan(z[h, s]) and code[h, s] in (2, 3)
    assert with_reference or fallbacks > 0


def before(x: np.ndarray, h: int, window: int) -> np.ndarray:
    values = x[max(0, h - window) : h]
    return values[np.isfinite(values)]


def test_long_and_short_windows_of_lagged_mad_z_agree() -> None:
    """Beyond 64 slots, and in few columns, windows are kept in another way."""
    x = np.round(np.random.default_rng(8).standard_normal((300, 8)), 2)
    x[np.random.default_rng(9).random(x.shape) < 0.1] = np.nan
    for window in (63, 64, 65):
        whole = np.stack(order_statistics.lagged_mad_z(x, window, 20))
        for s in range(8):
            values = [before(x[:, s], h, window) for h in range(len(x))]
            centre = [np.median(v) if v.size >= 20 else np.nan for v in values]
            np.testing.assert_array_equal(whole[1, :, s], centre)
            alone = np.stack(order_statistics.lagged_mad_z(x[:, s].copy(), window, 20))
            assert alone.tobytes() == np.ascontiguousarray(whole[..., s]).tobytes()


@pytest.mark.parametrize("value", [0.1, 1e-4, 123456.789, 0.0, -3.3])
def test_a_constant_window_has_no_z_whatever_the_rounding(value: float) -> None:
    x = np.full((60, 1), value)
    x[::7] = np.nan
    x[-1] = value + 1.0
    z, centre, _, code = order_statistics.lagged_mad_z(x, 50, 40)
    assert np.isnan(z[-1, 0]) and code[-1, 0] == ZERO_DISPERSION
    assert centre[-1, 0] == value


def test_a_scale_floor_replaces_the_null_of_a_constant_window() -> None:
    x = np.full((30, 2), 1e-4)
    x[-1] = [1e-4, 2e-4]
    z, _, scale, code = order_statistics.lagged_mad_z(x, 20, 10, floor=0.5e-4)
    assert z[-1, 0] == 0.0
    assert z[-1, 1] == pytest.approx(2.0, rel=1e-12)
    assert scale[-1, 0] == 0.5e-4 and (code[10:] == 0).all()


def test_signed_zeros_leave_no_trace_in_order_statistics() -> None:
    x = np.array([0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0]).reshape(-1, 1)
    whole = order_statistics.rolling_median(x, 3, 3)
    part = order_statistics.rolling_median(np.ascontiguousarray(x[1:]), 3, 3)
    assert whole[3:].tobytes() == part[2:].tobytes()


def test_infinities_are_slots_that_do_not_count() -> None:
    x = np.array([1.0, np.inf, 2.0, -np.inf, 3.0]).reshape(-1, 1)
    assert order_statistics.rolling_median(x, 5, 3)[-1, 0] == 2.0


def test_a_window_longer_than_the_data_and_an_empty_panel() -> None:
    assert order_statistics.rolling_median([1.0, 3.0], 50, 2).tolist()[1] == 2.0
    for function in FUNCTIONS.values():
        assert function(np.empty((0, 3))).shape[-2:] == (0, 3)


def test_impossible_windows_and_floors_are_refused() -> None:
    with pytest.raises(ValueError, match="no window"):
        order_statistics.rolling_median(np.ones((3, 1)), 5, 6)
    with pytest.raises(ValueError, match="between 0 and 1"):
        order_statistics.rolling_quantile(np.ones((3, 1)), 2, 2, 1.5)
    with pytest.raises(ValueError, match="floor"):
        order_statistics.lagged_mad_z(np.ones((3, 1)), 2, 2, floor=0.0)
