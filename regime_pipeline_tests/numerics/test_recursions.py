"""Recursions over fixed windows equal the slow ones, wherever a panel begins and is cut."""

from __future__ import annotations

import numpy as np
import pytest

from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.numerics.recursions import lagged_decayed_mean

ANCHOR = 473_123


def values(length: int, seed: int) -> FloatPanel:
    """Three columns: whole, with holes, and one that begins late."""
    rng = np.random.default_rng(seed)
    x = rng.lognormal(0.0, 1.0, (length, 3))
    x[rng.random(length) < 0.2, 1] = np.nan
    x[: length // 2, 2] = np.nan
    return x


def slow(x: FloatPanel, decay: float, window: int) -> FloatPanel:
    out = np.full_like(x, np.nan)
    for row, column in np.ndindex(*x.shape):
        before = x[max(0, row - window) : row, column][::-1]
        weights = decay ** np.arange(len(before)) * np.isfinite(before)
        if weights.sum() > 0.0:
            out[row, column] = weights @ np.nan_to_num(before) / weights.sum()
    return out


@pytest.mark.parametrize("window", [1, 7, 50])
def test_a_decayed_mean_equals_the_slow_one(window: int) -> None:
    x = values(240, window)
    found = lagged_decayed_mean(x, 0.9, window, anchor=ANCHOR)
    np.testing.assert_allclose(found, slow(x, 0.9, window), rtol=1e-12)


@pytest.mark.parametrize("begin", [1, 13, 50, 90])
def test_where_a_panel_begins_and_ends_cannot_be_seen_in_a_whole_window(begin: int) -> None:
    x = values(240, 2)
    whole = lagged_decayed_mean(x, 0.9, 50, anchor=ANCHOR)
    part = lagged_decayed_mean(x[begin:200], 0.9, 50, anchor=ANCHOR + begin)
    assert part[50:].tobytes() == whole[begin + 50 : 200].tobytes()
