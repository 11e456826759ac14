from __future__ import annotations

import numpy as np
import pytest

from regime_pipeline.numerics.probability import wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(18, 25, 0.52, 0.86), (360, 500, 0.68, 0.76), (0, 10, 0.0, 0.28)]
)
def test_the_interval_has_its_known_ends(k: int, n: int, low: float, high: float) -> None:
    found = wilson([k], [n])
    assert (round(found[0][0], 2), round(found[1][0], 2)) == (low, high)


def test_it_solves_the_score_equation_and_stays_inside_zero_and_one() -> None:
    k, n = np.array([0, 3, 7, 40]), np.array([5, 9, 7, 100])
    for bound in wilson(k, n):
        inside = (bound > 0) & (bound < 1)
        score = (k / n - bound) ** 2 - 1.959963984540054**2 * bound * (1 - bound) / n
        assert np.abs(score[inside]).max() < 1e-12
        assert ((bound >= 0) & (bound <= 1)).all()


def test_without_trials_there_is_no_interval() -> None:
    assert np.isnan(np.concatenate(wilson([0.0, np.nan], [0.0, np.nan]))).all()
