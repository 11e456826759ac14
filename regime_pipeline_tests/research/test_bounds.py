"""Bounds for many looks and many trials."""

from __future__ import annotations

import numpy as np
import pytest

from regime_pipeline.research.bounds import critical, effective


@pytest.mark.parametrize(
    ("hours", "trials", "bound"), [(4320, 1, 2.782), (8640, 1, 2.829), (4320, 50, 4.028)]
)
def test_the_bound_is_the_published_one(hours: int, trials: float, bound: float) -> None:
    assert critical(hours, trials) == pytest.approx(bound, abs=5e-4)


def test_more_trials_ask_for_more_and_no_history_has_no_bound() -> None:
    assert critical(4320, 1) < critical(4320, 1.5) < critical(4320, 20)
    for hours, trials in ((0, 1.0), (100, 0.5)):
        with pytest.raises(ValueError, match="no bound"):
            critical(hours, trials)


def test_noise_that_is_read_every_day_hardly_ever_crosses_the_bound() -> None:
    """Two years of days, 400 worlds: a fixed 1.96 is crossed by most of them."""
    rng = np.random.default_rng(2)
    days = np.arange(1, 731)
    sums = np.cumsum(rng.standard_normal((400, 730)), axis=1) / np.sqrt(days)
    bounds = np.array([critical(24.0 * d) for d in days])
    late = slice(80, None)
    assert (sums[:, late] > bounds[late]).any(axis=1).mean() <= 0.05
    assert (sums[:, late] > 1.96).any(axis=1).mean() > 0.15


def test_trials_that_are_alike_count_as_one_and_unknown_ones_in_full() -> None:
    rng = np.random.default_rng(3)
    base = rng.standard_normal(300)
    alike = np.stack([base + 0.01 * rng.standard_normal(300) for _ in range(5)])
    assert effective(alike) == pytest.approx(1.0, abs=0.3)
    assert effective(rng.standard_normal((5, 300))) == pytest.approx(5.0, abs=0.1)
    short = np.full((3, 300), np.nan)
    short[:, :59] = base[:59]
    assert effective(short) == pytest.approx(3.0)
    assert effective(base[None]) == 1.0
    assert effective(np.empty((0, 3))) == 0.0
