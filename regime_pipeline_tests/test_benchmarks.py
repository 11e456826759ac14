from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks import features as bench
from benchmarks import signals

pytestmark = pytest.mark.slow
CASES = [(f, other) for f in bench.FEATURES for other in bench.LIBRARIES if bench.named(f, other)]
HOURS = 3_700
"""Past the first value of every statistic; the exponential window is 3349 hours long."""


@cache
def small() -> bench.World:
    return bench.world(2, HOURS)


def flat(side: str, feature: str, names: list[str]) -> dict[str, np.ndarray]:
    """Statistics of the small world, symbol by symbol."""
    inputs = bench.SIDES[side](small(), feature)
    found = bench.compute(inputs, side, feature, names)
    return {name: inputs.flat(values) for name, values in found.items()}


@pytest.mark.parametrize(("feature", "other"), CASES)
def test_the_libraries_give_the_same_numbers(feature: str, other: str) -> None:
    pytest.importorskip(other)
    names = bench.named(feature, other)
    ours = flat("ours", feature, names)
    theirs = flat(other, feature, names)
    for name in names:
        gap = bench.difference(ours[name], theirs[name], same_nulls=other != "talib")
        assert gap <= bench.TOLERANCE, name


def test_a_difference_or_another_null_is_noticed() -> None:
    x = flat("ours", "volatility", ["volatility_24h"])["volatility_24h"]
    assert bench.difference(x, x, same_nulls=True) == 0.0
    y = x.copy()
    y[1_000] *= 1.0 + 1e-5
    assert bench.difference(y, x, same_nulls=True) > bench.TOLERANCE
    y[1_000] = float("nan")
    assert bench.difference(y, x, same_nulls=True) == float("inf")


@pytest.mark.parametrize("feature", bench.FEATURES)
def test_every_whole_feature_runs_on_the_benchmark_world(feature: str) -> None:
    assert (
        len(bench.whole(feature, bench.world(2, 48, 9_000))) == 2 * 48 or feature == "correlations"
    )


@pytest.mark.parametrize(
    ("score", "other"),
    [(name, other) for name, (_, known) in signals.SCORES.items() for other in known],
)
def test_the_libraries_give_the_same_scores(score: str, other: str) -> None:
    pytest.importorskip(other)
    given = signals.world(2, 2_400)
    theirs = np.asarray(signals.SCORES[score][0](signals.SIDES[other](given)))
    mine = signals.ours(score, signals.handed(given))
    assert signals.gap(mine[signals.WARM_UP :], theirs[signals.WARM_UP :]) <= signals.TOLERANCE


def test_the_whole_signal_tables_run_on_the_benchmark_world() -> None:
    signals.whole(*signals.frames(2, 24, 3_000))
    assert len(signals.snapshot(3)()) == 3
