"""Bands of a trailing sample: empirical below, generalised Pareto above."""

from __future__ import annotations

import math

import numpy as np
import pytest

from regime_pipeline.numerics import tails

LEVELS = np.array([0.90, 0.97, 0.99, 0.997, 0.9995])


def _reference(sample: np.ndarray, min_obs: int, min_positive: int) -> np.ndarray:
    """The same definition from sorted copies and plain formulas."""
    x = np.sort(sample[~np.isnan(sample)])
    if x.size < min_obs or (x > 0).sum() < min_positive:
        return np.full(LEVELS.size, np.nan)
    bands = np.quantile(x, LEVELS)
    u = bands[0]
    y = x[x > u] - u
    if y.size >= 10:
        p = (np.arange(1, y.size + 1) - 0.35) / y.size
        a0, a1 = y.mean(), ((1 - p) * y).mean()
        if a0 > 2 * a1 > 0:
            k = a0 / (a0 - 2 * a1) - 2  # Hosking & Wallis' shape is minus ours
            scale = 2 * a0 * a1 / (a0 - 2 * a1)
            ratio = (1 - LEVELS[2:]) * x.size / y.size
            bands[2:] = u + scale / k * (1 - ratio**k)
    return np.maximum.accumulate(bands)


def _totals(length: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.exp(rng.normal(10, 2, size=(length, 3)))
    x[rng.random(x.shape) < 0.25] = 0.0
    x[rng.random(x.shape) < 0.05] = np.nan
    x[:, 2] = np.where(rng.random(length) < 0.6, 5.0, x[:, 2])  # ties up to the threshold
    return x


def test_bands_match_a_slow_reference_on_every_row() -> None:
    x = _totals(420, 1)
    window, min_obs, min_positive = 200, 90, 30
    out = tails.tail_bands(x, window, min_obs, min_positive, LEVELS, 2)
    for s in range(x.shape[1]):
        for t in range(x.shape[0]):
            expected = _reference(x[max(0, t - window) : t, s], min_obs, min_positive)
            np.testing.assert_allclose(out[t, s], expected, rtol=1e-10)
    assert np.isnan(out[:60]).all()
    assert np.isfinite(out[150:]).all()


def test_bands_never_fall_and_leave_the_judged_row_out() -> None:
    x = _totals(300, 2)
    out = tails.tail_bands(x, 200, 90, 30, LEVELS, 2)
    assert (np.diff(out[150:], axis=-1) >= 0).all()
    x[250] = 1e15
    spoilt = tails.tail_bands(x, 200, 90, 30, LEVELS, 2)
    assert spoilt[:251].tobytes() == out[:251].tobytes()
    assert (spoilt[251] != out[251]).any()


def test_bands_do_not_depend_on_where_the_array_begins() -> None:
    x = _totals(600, 3)
    whole = tails.tail_bands(x, 200, 90, 30, LEVELS, 2)
    for skip in (1, 77, 200):
        part = tails.tail_bands(x[skip:].copy(), 200, 90, 30, LEVELS, 2)
        assert part[200:].tobytes() == whole[skip + 200 :].tobytes()


def test_too_few_values_or_too_many_zeros_give_no_bands() -> None:
    x = np.zeros((400, 1))
    x[::5] = 1.0
    assert np.isnan(tails.tail_bands(x, 200, 90, 41, LEVELS, 2)).all()
    assert np.isfinite(tails.tail_bands(x, 200, 90, 40, LEVELS, 2)[200:]).all()


def test_degenerate_tails_fall_back_to_the_empirical_quantiles() -> None:
    x = np.full((201, 1), 1.0)
    x[:9] = np.arange(2.0, 11.0)[:, None]  # nine exceedances are too few for a fit
    out = tails.tail_bands(x, 200, 90, 30, LEVELS, 2)[200, 0]
    np.testing.assert_allclose(out, np.quantile(x[:200, 0], LEVELS), rtol=1e-14)


def test_moments_recover_a_known_tail() -> None:
    rng = np.random.default_rng(4)
    shape, scale = 0.25, 3.0
    y = np.sort(scale / shape * ((1 - rng.random(200_000)) ** -shape - 1)) + 7.0
    xi, beta = tails.gpd_pwm(y, 0, y.size, 7.0)
    assert xi == pytest.approx(shape, abs=0.01)
    assert beta == pytest.approx(scale, rel=0.01)
    expected = 7.0 + scale / shape * (0.01**-shape - 1)
    assert tails.gpd_quantile(7.0, xi, beta, 1.0, 0.99) == pytest.approx(expected, rel=0.01)


def test_a_shape_of_zero_is_the_exponential_limit() -> None:
    near = tails.gpd_quantile(1.0, 1e-9, 2.0, 0.1, 0.999)
    limit = tails.gpd_quantile(1.0, 0.0, 2.0, 0.1, 0.999)
    assert limit == pytest.approx(1.0 + 2.0 * math.log(100), rel=1e-12)
    assert near == pytest.approx(limit, rel=1e-6)
