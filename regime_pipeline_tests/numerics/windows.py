"""What every statistic of a trailing window must hold, and the series it is asked on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from regime_pipeline.numerics import stretches

Anchored = Callable[[np.ndarray, int], np.ndarray]
"""A statistic of a panel or series whose first row is so many hours after 1970."""

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


REACH = W + 2
"""No window that is asked about reads further back."""
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


def assert_no_start_matters(
    function: Anchored, series: list[float], anchor: int, data: st.DataObject
) -> None:
    x = np.array(series)
    start = data.draw(st.integers(0, len(x) - REACH - 1))
    whole = function(x, anchor)[..., start + REACH :]
    part = function(np.ascontiguousarray(x[start:]), anchor + start)[..., REACH:]
    assert np.ascontiguousarray(whole).tobytes() == np.ascontiguousarray(part).tobytes()


def assert_a_spike_leaves_no_trace(
    function: Anchored, series: list[float], anchor: int, data: st.DataObject
) -> None:
    x = np.array(series)
    at = data.draw(st.integers(0, len(x) - REACH - 1))
    calm, spiked = x.copy(), x.copy()
    calm[at], spiked[at] = 0.0, data.draw(st.sampled_from([1e16, -1e16, 1e150]))
    after, before = slice(at + REACH + 1, None), slice(0, at)
    one, other = function(calm, anchor), function(spiked, anchor)
    for where in (before, after):
        assert one[..., where].tobytes() == other[..., where].tobytes()


def assert_a_column_is_alone(function: Anchored) -> None:
    x = panel(12, rows=200, columns=19, holes=0.05)
    x[:, 3] = np.where(np.isnan(x[:, 3]), 1.5, x[:, 3])
    for width in (1, 7, 8, 9, 16, 19):
        got = function(np.ascontiguousarray(x[:, :width]), 491_007)
        for s in range(width):
            alone = function(x[:, s].copy(), 491_007)
            assert np.ascontiguousarray(got[..., s]).tobytes() == alone.tobytes()


def assert_a_panel_may_begin_anywhere(function: Callable[[np.ndarray], np.ndarray]) -> None:
    x = panel(7, rows=160)
    x[3, :] = 1e16  # gone from every window below, and so must its rounding be
    whole = function(x)
    for start in (5, 17, 60):
        part = function(np.ascontiguousarray(x[start:]))
        assert whole[..., start + W + 1 :, :].tobytes() == part[..., W + 1 :, :].tobytes()


def assert_only_the_own_past_is_read(function: Callable[[np.ndarray], np.ndarray]) -> None:
    x = panel(8)
    garbage = x.copy()
    garbage[50:] = 7e9
    assert function(x)[..., :50, :].tobytes() == function(garbage)[..., :50, :].tobytes()
    alone = function(np.ascontiguousarray(x[:, 1]))
    assert function(x)[..., 1].tobytes() == alone.tobytes()


def assert_threads_do_not_matter(
    function: Callable[[np.ndarray], np.ndarray], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = panel(5, rows=700, columns=max(width, 2))[:, :width]
    alone = function(x)
    monkeypatch.setattr(stretches, "LEAST_CELLS", 1)
    for threads in (2, 3, 8):
        monkeypatch.setattr(stretches, "threads", lambda threads=threads: threads)
        assert function(x).tobytes() == alone.tobytes()
