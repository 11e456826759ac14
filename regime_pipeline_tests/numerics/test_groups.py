"""Grouped sums: equal to a slow reference, and untouched by what other groups hold."""

from __future__ import annotations

import numpy as np
import pytest

from regime_pipeline.numerics.groups import means, sums


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    values = rng.lognormal(0, 6, 400)
    values[rng.integers(0, 400, 60)] = np.nan
    values[rng.integers(0, 400, 5)] = np.inf
    return values, rng.integers(0, 9, 400)


def test_each_group_is_added_up_in_row_order(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    values, group = drawn
    total, known = sums(values, group, 10)
    for g in range(10):
        slow, n = 0.0, 0
        for v in values[group == g]:
            if np.isfinite(v):
                slow, n = slow + v, n + 1
        assert (total[g], known[g]) == (slow, n)
    mean = means(values, group, 10)
    assert mean[0] == total[0] / known[0]
    assert known[9] == 0 and total[9] == 0.0 and np.isnan(mean[9])


def test_other_groups_never_change_a_bit(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    values, group = drawn
    changed = np.where(group == 3, values, np.where(values > 1, np.nan, values * 1e9))
    assert sums(changed, group, 10)[0][3] == sums(values, group, 10)[0][3]
    alone = group == 3
    assert sums(values[alone], group[alone], 10)[0][3] == sums(values, group, 10)[0][3]


def test_no_rows_are_groups_of_nothing() -> None:
    total, known = sums([], np.array([], dtype=np.int64), 2)
    assert total.tolist() == [0.0, 0.0] and known.tolist() == [0, 0]
