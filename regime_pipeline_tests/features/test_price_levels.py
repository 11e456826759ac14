"""Support and resistance from confirmed swing points."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.features import price_levels as levels

NAN = math.nan


def found(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, first: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = (len(close), close.shape[1] - first)
    below, above = np.full((*shape, 3), NAN), np.full((*shape, 3), NAN)
    known = np.zeros(shape, bool)
    none = np.full((*shape, 3), NAN)
    sources = np.zeros((2, *shape, 3), np.int8)
    levels.find_levels(high, low, close, first, none, none, below, above, sources, known)
    return below, above, known


def market(seed: int, hours: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, size=(2, hours)), axis=1))
    reach = 1 + np.abs(rng.normal(0, 0.006, size=(2, hours)))
    high, low = close * reach, close / reach
    for start, length in ((250, 1), (300, 40)):
        for x in (high, low, close):
            x[0, start : start + length] = NAN
    return high, low, close


def slow(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, h: int
) -> tuple[list[float], list[float]] | None:
    begin = max(0, h - 167)
    ranges = [
        max(high[i], close[i - 1]) - min(low[i], close[i - 1])
        for i in range(max(1, h - 13), h + 1)
        if np.isfinite([high[i], low[i], close[i - 1]]).all()
    ]
    if math.isnan(close[h]) or len(ranges) < 12 or np.isfinite(close[begin : h + 1]).sum() < 140:
        return None
    least = 0.25 * np.mean(ranges)
    out = []
    for x, sign in ((low, -1), (high, 1)):
        pivots = [
            x[i]
            for i in range(begin + 3, h - 2)
            if all(sign * x[i] > sign * x[j] for j in range(i - 3, i + 4) if j != i)
            and sign * (x[i] - close[h]) > 0
        ]
        kept: list[float] = []
        for p in sorted(pivots, key=lambda p: abs(p - close[h])):
            if len(kept) < 3 and all(abs(p - k) >= least for k in kept):
                kept.append(p)
        out.append(kept)
    return out[0], out[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_levels_equal_the_slow_reference(seed: int) -> None:
    high, low, close = market(seed)
    below, above, known = found(high, low, close)
    full = 0
    for s in range(2):
        for h in range(close.shape[1]):
            expected = slow(high[s], low[s], close[s], h)
            assert known[s, h] == (expected is not None)
            if expected is not None:
                got = [[v for v in side[s, h] if v == v] for side in (below, above)]
                assert got[0] == pytest.approx(expected[0]) and got[1] == pytest.approx(expected[1])
                full += len(got[0]) == 3
    assert full > 50


def test_a_bin_is_a_quarter_of_the_mean_true_range() -> None:
    high, low, close = market(5)
    got = np.empty((2, 480))
    levels.bin_widths(high, low, close, 20, got)
    for column in range(2):
        before = pd.Series(close[column]).shift()
        top, floor = (pd.concat([pd.Series(x[column]), before], axis=1) for x in (high, low))
        # a bar counts whole or not at all
        reach = top.max(axis=1, skipna=False) - floor.min(axis=1, skipna=False)
        expected = 0.25 * reach.rolling(14, min_periods=12).mean()
        np.testing.assert_allclose(got[column], expected.to_numpy()[20:], rtol=1e-9)
    assert np.isnan(got[0]).any() and np.isfinite(got[1]).all()


def test_a_swing_low_is_a_level_three_bars_later_and_not_before() -> None:
    close = np.full((1, 200), 100.0) + np.linspace(0, 1, 200)
    high, low = close + 0.5, close - 0.5
    low[0, 180] = 90.0
    below, _, _ = found(high, low, close)
    assert [90.0 in below[0, h] for h in (182, 183, 199)] == [False, True, True]
    changed = [x.copy() for x in (high, low, close)]
    for x in changed:
        x[:, 184:] = 1e6
    again, _, _ = found(*changed)
    np.testing.assert_array_equal(again[:, :184], below[:, :184])


def test_rows_do_not_depend_on_where_the_bars_begin() -> None:
    high, low, close = market(3)
    below, above, known = found(high, low, close, 400)
    parts = found(*(np.ascontiguousarray(x[:, 400 - 192 :]) for x in (high, low, close)), 192)
    for one, other in zip((below, above, known), parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_texts_are_canonical_json_and_null_where_nothing_is_known() -> None:
    rows = np.array([[2.5, 0.1, 1e-7], [3.0, NAN, NAN], [NAN, NAN, NAN], [1.0, 2.0, 3.0]])
    known = np.array([True, True, True, False])
    texts = levels.texts(rows, known)
    assert texts.tolist() == ["[2.5,0.1,1e-07]", "[3.0]", "[]", None]
    assert json.dumps(json.loads(texts[0]), separators=(",", ":")) == texts[0]
    sources = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]], np.int8)
    assert levels.source_texts(rows, sources, known).tolist() == [
        '["swing","liquidation_cluster","swing"]',
        '["liquidation_cluster"]',
        "[]",
        None,
    ]
