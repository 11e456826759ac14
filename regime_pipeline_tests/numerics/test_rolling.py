from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regime_pipeline.numerics import rolling, stretches
from regime_pipeline.numerics.normal import phi

W, MIN = 12, 7


def panel(seed: int, rows: int = 90, columns: int = 3, holes: float = 0.25) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-3, 4, size=columns)
    x[rng.random(x.shape) < holes] = np.nan
    x[10:30, 0] = np.nan  # a long gap
    x[40:70, 1] = 0.1  # a stretch without dispersion
    return x


def window_of(x: np.ndarray, h: int, s: int, lag: int) -> np.ndarray:
    values = x[max(0, h - lag - W + 1) : max(0, h - lag + 1), s]
    return values[np.isfinite(values)]


SLOW = {
    "rolling_sum": lambda v: v.sum(),
    "rolling_mean": lambda v: v.mean(),
    "rolling_std": lambda v: v.std(ddof=1),
    "rolling_median": np.median,
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
    "quantile": lambda x, a: rolling.rolling_quantile(x, W, 5, 0.3, lag=1),
    "efficiency": lambda x, a: rolling.efficiency_ratio(x, W, 5),
}
REACH = W + 2
"""No window above reads further back."""
SERIES = st.lists(
    st.one_of(
        st.floats(-1e6, 1e6),
        st.sampled_from([0.0, -0.0, 0.1, 0.1, 11.52, np.nan, np.inf, 1e-200]),
    ),
    min_size=REACH + 2,
    max_size=90,
)
QUICKLY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@pytest.mark.parametrize("name", sorted(BLOCKS))
@QUICKLY
@given(series=SERIES, anchor=st.integers(0, 600_000), data=st.data())
def test_blocks_do_not_depend_on_where_the_array_starts(
    name: str, series: list[float], anchor: int, data: st.DataObject
) -> None:
    x = np.array(series)
    start = data.draw(st.integers(0, len(x) - REACH - 1))
    whole = BLOCKS[name](x, anchor)[..., start + REACH :]
    part = BLOCKS[name](np.ascontiguousarray(x[start:]), anchor + start)[..., REACH:]
    assert np.ascontiguousarray(whole).tobytes() == np.ascontiguousarray(part).tobytes()


@pytest.mark.parametrize("name", sorted(BLOCKS))
@QUICKLY
@given(series=SERIES, anchor=st.integers(0, 600_000), data=st.data())
def test_a_spike_that_left_the_window_leaves_no_trace(
    name: str, series: list[float], anchor: int, data: st.DataObject
) -> None:
    x = np.array(series)
    at = data.draw(st.integers(0, len(x) - REACH - 1))
    calm, spiked = x.copy(), x.copy()
    calm[at], spiked[at] = 0.0, data.draw(st.sampled_from([1e16, -1e16, 1e150]))
    after, before = slice(at + REACH + 1, None), slice(0, at)
    one, other = BLOCKS[name](calm, anchor), BLOCKS[name](spiked, anchor)
    for where in (before, after):
        assert one[..., where].tobytes() == other[..., where].tobytes()


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_column_is_the_same_alone_and_among_any_number_of_others(name: str) -> None:
    x = panel(12, rows=200, columns=19, holes=0.05)
    x[:, 3] = np.where(np.isnan(x[:, 3]), 1.5, x[:, 3])
    for width in (1, 7, 8, 9, 16, 19):
        got = BLOCKS[name](np.ascontiguousarray(x[:, :width]), 491_007)
        for s in range(width):
            alone = BLOCKS[name](x[:, s].copy(), 491_007)
            assert np.ascontiguousarray(got[..., s]).tobytes() == alone.tobytes()


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
    x = panel(9, holes=0.08)
    got = rolling.efficiency_ratio(x, 10, 8)
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


@pytest.mark.parametrize("q", [0.0, 0.05, 0.3, 0.77, 1.0])
def test_quantiles_are_type_seven(q: float) -> None:
    x = panel(2)
    got = rolling.rolling_quantile(x, W, MIN, q, lag=1)
    for h in range(x.shape[0]):
        for s in range(x.shape[1]):
            values = window_of(x, h, s, 1)
            if values.size >= MIN:
                assert got[h, s] == pytest.approx(np.quantile(values, q), rel=1e-12)
            else:
                assert np.isnan(got[h, s])


def test_lagged_z_equals_a_slow_reference_and_names_every_null() -> None:
    x = panel(3)
    z, mean, sd, code = rolling.lagged_z(x, W, MIN)
    seen = set()
    for h in range(x.shape[0]):
        for s in range(x.shape[1]):
            values = window_of(x, h, s, 1)
            seen.add(int(code[h, s]))
            if values.size < MIN:
                assert code[h, s] == (rolling.INPUT_NULL if np.isnan(x[h, s]) else 1)
                assert np.isnan([z[h, s], mean[h, s], sd[h, s]]).all()
                continue
            assert mean[h, s] == pytest.approx(values.mean(), rel=1e-12)
            if np.isnan(x[h, s]):
                assert code[h, s] == rolling.INPUT_NULL and np.isnan(z[h, s])
            elif values.max() == values.min():
                assert code[h, s] == rolling.ZERO_DISPERSION and np.isnan(z[h, s])
                assert mean[h, s] == values[0] and sd[h, s] == 0.0
            else:
                assert code[h, s] == rolling.OK
                expected = (x[h, s] - values.mean()) / values.std(ddof=1)
                assert z[h, s] == pytest.approx(expected, rel=1e-10)
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("with_reference", [False, True])
def test_lagged_mad_z_equals_a_slow_reference(with_reference: bool) -> None:
    x = np.round(panel(4), 1)  # ties, so that a MAD of 0 with dispersion happens too
    judge = panel(5) if with_reference else x
    z, median, scale, code = rolling.lagged_mad_z(
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


@pytest.mark.parametrize("value", [0.1, 1e-4, 123456.789, 0.0, -3.3])
def test_a_constant_window_has_no_z_whatever_the_rounding(value: float) -> None:
    x = np.full((60, 1), value)
    x[::7] = np.nan
    x[-1] = value + 1.0
    for function in (rolling.lagged_z, rolling.lagged_mad_z):
        z, centre, _, code = function(x, 50, 40)
        assert np.isnan(z[-1, 0]) and code[-1, 0] == rolling.ZERO_DISPERSION
        assert centre[-1, 0] == value


def test_dispersion_at_the_level_of_rounding_counts_as_none() -> None:
    x = 1e8 + np.array([0, 1.5e-8] * 30, dtype=float).reshape(-1, 1)
    assert len(np.unique(x)) == 2
    z, _, sd, code = rolling.lagged_z(x, 50, 40)
    assert sd[-1, 0] > 0 and np.isnan(z[-1, 0]) and code[-1, 0] == rolling.ZERO_DISPERSION
    floored, *_ = rolling.lagged_z(x, 50, 40, floor=1.0)
    assert abs(floored[-1, 0]) < 1e-7


def test_a_scale_floor_replaces_the_null_of_a_constant_window() -> None:
    x = np.full((30, 2), 1e-4)
    x[-1] = [1e-4, 2e-4]
    for function in (rolling.lagged_z, rolling.lagged_mad_z):
        z, _, scale, code = function(x, 20, 10, floor=0.5e-4)
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
    "quantile": lambda x: rolling.rolling_quantile(x, W, MIN, 0.3, lag=1),
    "z": lambda x: rolling.lagged_z(x, W, MIN)[0],
    "mad_z": lambda x: rolling.lagged_mad_z(x, W, MIN)[0],
    "mad_z_floor": lambda x: rolling.lagged_mad_z(x, W, MIN, floor=0.1)[0],
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_value_does_not_depend_on_where_the_array_starts(name: str) -> None:
    x = panel(7, rows=160)
    x[3, :] = 1e16  # gone from every window below, and so must its rounding be
    whole = FUNCTIONS[name](x)
    for start in (5, 17, 60):
        part = FUNCTIONS[name](np.ascontiguousarray(x[start:]))
        assert whole[start + W + 1 :].tobytes() == part[W + 1 :].tobytes()


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_value_does_not_read_the_future_or_its_neighbour_column(name: str) -> None:
    x = panel(8)
    garbage = x.copy()
    garbage[50:] = 7e9
    assert FUNCTIONS[name](x)[:50].tobytes() == FUNCTIONS[name](garbage)[:50].tobytes()
    alone = FUNCTIONS[name](np.ascontiguousarray(x[:, 1]))
    assert FUNCTIONS[name](x)[:, 1].tobytes() == alone.tobytes()


def test_signed_zeros_leave_no_trace_in_order_statistics() -> None:
    x = np.array([0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0]).reshape(-1, 1)
    whole = rolling.rolling_median(x, 3, 3)
    part = rolling.rolling_median(np.ascontiguousarray(x[1:]), 3, 3)
    assert whole[3:].tobytes() == part[2:].tobytes()


def test_infinities_are_slots_that_do_not_count() -> None:
    x = np.array([1.0, np.inf, 2.0, -np.inf, 3.0]).reshape(-1, 1)
    assert rolling.rolling_mean(x, 5, 3)[-1, 0] == 2.0
    assert rolling.rolling_median(x, 5, 3)[-1, 0] == 2.0
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
    x = panel(5, rows=700, columns=20)[:, :width]
    alone = np.stack(LAGGED[name](x, lag, 1_003))
    monkeypatch.setattr(stretches, "LEAST_CELLS", 1)
    for threads in (2, 3, 8):
        monkeypatch.setattr(stretches, "threads", lambda threads=threads: threads)
        assert np.stack(LAGGED[name](x, lag, 1_003)).tobytes() == alone.tobytes()


def test_a_scaled_sum_stands_for_a_whole_window() -> None:
    x = panel(6)
    scaled, count = rolling.rolling_scaled_sum(x, W, 5, lag=1, anchor=77)
    total = rolling.rolling_sum(x, W, 5, lag=1, anchor=77)
    n = rolling.rolling_count(x, W, lag=1)
    assert np.array_equal(count, n)
    np.testing.assert_allclose(scaled, total * W / np.maximum(n, 1.0), rtol=1e-15)
    assert np.isnan(scaled[n < 5]).all()
