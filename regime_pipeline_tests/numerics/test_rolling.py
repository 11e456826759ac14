from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_pipeline.numerics import rolling
from regime_pipeline.numerics.conventions import INPUT_NULL, OK, ZERO_DISPERSION
from regime_pipeline.numerics.efficiency import efficiency_ratio
from regime_pipeline.numerics.probability import phi
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

SLOW = {
    "rolling_sum": lambda v: v.sum(),
    "rolling_mean": lambda v: v.mean(),
    "rolling_std": lambda v: v.std(ddof=1),
    "rolling_min": lambda v: v.min(),
    "rolling_max": lambda v: v.max(),
    "rolling_count": lambda v: float(v.size),
}


ANCHORED = ("rolling_sum", "rolling_mean", "rolling_std")
CASES = [*((n, None) for n in sorted(SLOW)), *((n, a) for n in ANCHORED for a in (0, 491_007))]


@pytest.mark.parametrize(("name", "anchor"), CASES)
@pytest.mark.parametrize("lag", [0, 1, 5])
def test_windows_equal_a_slow_reference(name: str, anchor: int | None, lag: int) -> None:
    x = panel(1)
    options = {} if anchor is None else {"anchor": anchor}
    got = getattr(rolling, name)(x, W, MIN, lag=lag, **options)
    for h in range(x.shape[0]):
        for s in range(x.shape[1]):
            values = window_of(x, h, s, lag)
            if values.size < MIN:
                assert np.isnan(got[h, s])
            else:
                assert got[h, s] == pytest.approx(SLOW[name](values), rel=1e-12, abs=1e-15)


# -- windows put together at borders of absolute time ------------------------------------------------

BLOCKS = {
    **{n: (lambda x, a, n=n: getattr(rolling, n)(x, W, 5, lag=2, anchor=a)) for n in ANCHORED},
    "lagged_z": lambda x, a: np.stack(rolling.lagged_z(x, W, 5, anchor=a)),
    "lagged_z_floor": lambda x, a: np.stack(rolling.lagged_z(x, W, 5, floor=0.25, anchor=a)),
    # no anchor needed: exact in any grouping
    "max": lambda x, a: rolling.rolling_max(x, W, 5),
    "min": lambda x, a: rolling.rolling_min(x, W, 5, lag=1),
    "count": lambda x, a: rolling.rolling_count(x, W, 5),
    "efficiency": lambda x, a: efficiency_ratio(x, W, 5),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BLOCKS))
@QUICKLY
@given(series=SERIES, anchor=st.integers(0, 600_000), data=st.data())
def test_blocks_do_not_depend_on_where_the_array_starts(
    name: str, series: list[float], anchor: int, data: st.DataObject
) -> None:
    assert_no_start_matters(BLOCKS[name], series, anchor, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BLOCKS))
@QUICKLY
@given(series=SERIES, anchor=st.integers(0, 600_000), data=st.data())
def test_a_spike_that_left_the_window_leaves_no_trace(
    name: str, series: list[float], anchor: int, data: st.DataObject
) -> None:
    assert_a_spike_leaves_no_trace(BLOCKS[name], series, anchor, data)


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_column_is_the_same_alone_and_among_any_number_of_others(name: str) -> None:
    assert_a_column_is_alone(BLOCKS[name])


@pytest.mark.parametrize("level", [0.0, 11.5, 1e5])
def test_blocks_keep_twelve_digits_at_any_level(level: float) -> None:
    rng = np.random.default_rng(3)
    x = level + np.cumsum(rng.standard_t(4, size=(2_200, 1)) * 0.01, axis=0)
    x[rng.random(x.shape) < 0.05] = np.nan
    x[1_300] += 5.0
    got = {name: getattr(rolling, name)(x, 720, 480, anchor=77)[:, 0] for name in ANCHORED}
    z, mean, sd, _ = (part[:, 0] for part in rolling.lagged_z(x, 720, 480, anchor=77))
    for h in range(700, 2_200, 13):
        values = x[max(0, h - 719) : h + 1, 0].astype(np.longdouble)
        values = values[np.isfinite(values)]
        size = float(1e-13 * np.abs(values).max())
        assert got["rolling_sum"][h] == pytest.approx(float(values.sum()), abs=720 * size)
        assert got["rolling_mean"][h] == pytest.approx(float(values.mean()), abs=size)
        assert got["rolling_std"][h] == pytest.approx(float(values.std(ddof=1)), rel=1e-12)
        if h + 1 < len(x):
            assert (mean[h + 1], sd[h + 1]) == (got["rolling_mean"][h], got["rolling_std"][h])
    known = np.isfinite(z)
    assert z[known] == pytest.approx(((x[:, 0] - mean) / sd)[known], rel=1e-15)


def test_a_constant_window_is_exact_wherever_the_border_lies() -> None:
    x = np.full((60, 1), 0.1 + 0.2)
    x[::7] = np.nan
    for anchor in range(W):
        assert np.nanmax(rolling.rolling_std(x, W, 5, anchor=anchor)) == 0.0
        means = rolling.rolling_mean(x, W, 5, anchor=anchor)
        assert (means[np.isfinite(means)] == 0.1 + 0.2).all()
        z, _, _, code = rolling.lagged_z(x, W, 5, anchor=anchor)
        assert np.isnan(z).all() and (code[W:][np.isfinite(x[W:])] == 2).all()
        assert np.nanmax(np.abs(rolling.lagged_z(x, W, 5, floor=1.0, anchor=anchor)[0])) == 0.0


def test_efficiency_is_the_net_move_over_the_path_of_the_closes_that_are_there() -> None:
    x = panel(9, rows=1_100, holes=0.08)
    got = efficiency_ratio(x, 10, 8)
    seen = 0
    for h in range(10, x.shape[0]):
        for s in range(x.shape[1]):
            steps = x[h - 10 : h + 1, s]
            there = steps[np.isfinite(steps)]
            path = np.abs(np.diff(there)).sum()
            ends = np.isfinite(steps[[0, -1]]).all()
            if ends and np.isfinite(steps[1:]).sum() >= 8 and path > 0.0:
                assert got[h, s] == pytest.approx(abs(steps[-1] - steps[0]) / path, rel=1e-12)
                seen += 1
            else:
                assert np.isnan(got[h, s])
    assert seen > 20 and np.isnan(got[:10]).all()


def test_lagged_z_equals_a_slow_reference_and_names_every_null() -> None:
    x = panel(3)
    z, mean, sd, code = rolling.lagged_z(x, W, MIN)
    seen = set()
    for h in range(x.shape[0]):
        for s in range(x.shape[1]):
            values = window_of(x, h, s, 1)
            seen.add(int(code[h, s]))
            if values.size < MIN:
                assert code[h, s] == (INPUT_NULL if np.isnan(x[h, s]) else 1)
                assert np.isnan([z[h, s], mean[h, s], sd[h, s]]).all()
                continue
            assert mean[h, s] == pytest.approx(values.mean(), rel=1e-12)
            if np.isnan(x[h, s]):
                assert code[h, s] == INPUT_NULL and np.isnan(z[h, s])
            elif values.max() == values.min():
                assert code[h, s] == ZERO_DISPERSION and np.isnan(z[h, s])
                assert mean[h, s] == values[0] and sd[h, s] == 0.0
            else:
                assert code[h, s] == OK
                expected = (x[h, s] - values.mean()) / values.std(ddof=1)
                assert z[h, s] == pytest.approx(expected, rel=1e-10)
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("value", [0.1, 1e-4, 123456.789, 0.0, -3.3])
def test_a_constant_window_has_no_z_whatever_the_rounding(value: float) -> None:
    x = np.full((60, 1), value)
    x[::7] = np.nan
    x[-1] = value + 1.0
    z, centre, _, code = rolling.lagged_z(x, 50, 40)
    assert np.isnan(z[-1, 0]) and code[-1, 0] == ZERO_DISPERSION
    assert centre[-1, 0] == value


def test_dispersion_at_the_level_of_rounding_counts_as_none() -> None:
    x = 1e8 + np.array([0, 1.5e-8] * 30, dtype=float).reshape(-1, 1)
    assert len(np.unique(x)) == 2
    z, _, sd, code = rolling.lagged_z(x, 50, 40)
    assert sd[-1, 0] > 0 and np.isnan(z[-1, 0]) and code[-1, 0] == ZERO_DISPERSION
    floored, *_ = rolling.lagged_z(x, 50, 40, floor=1.0)
    assert abs(floored[-1, 0]) < 1e-7


def test_a_scale_floor_replaces_the_null_of_a_constant_window() -> None:
    x = np.full((30, 2), 1e-4)
    x[-1] = [1e-4, 2e-4]
    z, _, scale, code = rolling.lagged_z(x, 20, 10, floor=0.5e-4)
    assert z[-1, 0] == 0.0
    assert z[-1, 1] == pytest.approx(2.0, rel=1e-12)
    assert scale[-1, 0] == 0.5e-4 and (code[10:] == 0).all()


def test_a_floor_below_the_dispersion_changes_nothing() -> None:
    x = panel(6)
    plain, floored = rolling.lagged_z(x, W, MIN), rolling.lagged_z(x, W, MIN, floor=1e-9)
    ok = plain[3] == 0
    assert np.array_equal(plain[0][ok], floored[0][ok])


FUNCTIONS = {
    **{n: (lambda x, n=n: getattr(rolling, n)(x, W, MIN)) for n in SLOW},
    "z": lambda x: rolling.lagged_z(x, W, MIN)[0],
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_value_does_not_depend_on_where_the_array_starts(name: str) -> None:
    assert_a_panel_may_begin_anywhere(FUNCTIONS[name])


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_value_does_not_read_the_future_or_its_neighbour_column(name: str) -> None:
    assert_only_the_own_past_is_read(FUNCTIONS[name])


def test_infinities_are_slots_that_do_not_count() -> None:
    x = np.array([1.0, np.inf, 2.0, -np.inf, 3.0]).reshape(-1, 1)
    assert rolling.rolling_mean(x, 5, 3)[-1, 0] == 2.0
    assert np.isnan(rolling.lagged_z(x, 4, 2)[0][3, 0])


def test_a_window_longer_than_the_data_and_an_empty_panel() -> None:
    assert rolling.rolling_mean(np.array([[1.0], [3.0]]), 50, 2)[:, 0].tolist()[1] == 2.0
    for name in FUNCTIONS:
        assert FUNCTIONS[name](np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("arguments", [(0, 0), (5, 6), (5, -1)])
def test_impossible_windows_are_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no window"):
        rolling.rolling_mean(np.ones((3, 1)), *arguments)
    with pytest.raises(ValueError, match="floor"):
        rolling.lagged_z(np.ones((3, 1)), 2, 2, floor=0.0)


def test_phi_is_the_normal_distribution_function() -> None:
    values = phi([-np.inf, 0.0, 1.959963984540054, np.nan])
    assert values[:3] == pytest.approx([0.0, 0.5, 0.975], abs=1e-15)
    assert np.isnan(values[3])


LAGGED = {
    **{
        n: (lambda x, lag, a, n=n: getattr(rolling, n)(x, W, 5, lag=lag, anchor=a))
        for n in (*ANCHORED, "rolling_scaled_sum")
    },
    "afresh": lambda x, lag, _: rolling.rolling_std(x, W, 5, lag=lag),
    "lagged_z": lambda x, _, a: [p.astype(float) for p in rolling.lagged_z(x, W, 5, anchor=a)],
    "max": lambda x, lag, _: rolling.rolling_max(x, W, 5, lag=lag),
    "count": lambda x, lag, _: rolling.rolling_count(x, W, lag=lag),
}


@pytest.mark.parametrize("name", sorted(LAGGED))
@pytest.mark.parametrize("lag", [0, 1, 30])
@pytest.mark.parametrize("width", [1, 8, 20])
def test_a_value_does_not_depend_on_the_number_of_threads(
    name: str, lag: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_threads_do_not_matter(
        lambda x: np.stack(LAGGED[name](x, lag, 1_003)), width, monkeypatch
    )


def test_a_scaled_sum_stands_for_a_whole_window() -> None:
    x = panel(6)
    scaled, count = rolling.rolling_scaled_sum(x, W, 5, lag=1, anchor=77)
    total = rolling.rolling_sum(x, W, 5, lag=1, anchor=77)
    n = rolling.rolling_count(x, W, lag=1)
    assert np.array_equal(count, n)
    np.testing.assert_allclose(scaled, total * W / np.maximum(n, 1.0), rtol=1e-15)
    assert np.isnan(scaled[n < 5]).all()
