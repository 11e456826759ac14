"""Planted events are found, naive rules do worse where they must, and worlds are what they say."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.evaluation import worlds
from regime_pipeline.evaluation.detectors import DELIVERED_VOLATILITY
from regime_pipeline.evaluation.scenes import SCENES, Result, Scene, generator, judge, run
from regime_pipeline.settings import Params

SEED = 20
SLOW = pytest.mark.slow
"""Whoever reads a world that takes long to judge: bursts, volatility, decouplings."""
pytestmark = pytest.mark.xdist_group("scorecard-scenes")  # judged worlds are kept by process


def scene_of(world: str) -> Scene:
    """A scene of fewer symbols: quick, and still dozens of events."""
    scene = next(s for s in SCENES if s.world == world)
    given = dict(scene.build.keywords)
    if "width" in given:
        given["width"] = max(10, given["width"] // 3)
    elif "rho" in given:
        given["days"] = 365
    return replace(scene, build=partial(scene.build.func, **given))


@cache
def judged(world: str) -> dict[str, Result]:
    (found,) = judge(scene_of(world), seed=SEED, params=Params(), parts=[0])
    return {r.detector: r for r in found}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "detector", "recall", "precision", "delay"),
    [
        pytest.param("planted_bursts", "LIQUIDATION_CASCADE", 0.97, 0.25, 1.0, marks=SLOW),
        ("planted_excursions", "FUNDING_ANOMALY", 0.95, 0.65, 0.0),
        ("planted_swings", "FUNDING_REVERSAL", 0.60, 0.85, 8.0),
        pytest.param("planted_volatility", "VOLATILITY_REGIME_CHANGE", 0.97, 0.05, 8.0, marks=SLOW),
        pytest.param("planted_volatility", DELIVERED_VOLATILITY, 0.97, 0.90, 8.0, marks=SLOW),
        pytest.param("planted_decouplings", "CORRELATION_BREAK", 0.50, 0.60, 200.0, marks=SLOW),
        ("planted_trends", "REGIME_CONFIRMED", 0.93, 0.40, 96.0),
    ],
)
def test_planted_events_are_found(
    world: str, detector: str, recall: float, precision: float, delay: float
) -> None:
    ours = judged(world)[detector].ours
    assert ours.planted >= 30
    assert ours.recall >= recall
    assert ours.precision >= precision
    assert ours.delay_hours <= delay


@pytest.mark.parametrize(
    ("world", "detector", "times"),
    [
        # a fixed amount fires in ordinary hours
        pytest.param("planted_bursts", "LIQUIDATION_CASCADE", 10, marks=SLOW),
        ("planted_swings", "FUNDING_REVERSAL", 50),  # rates change their sign all the time
        pytest.param("planted_volatility", DELIVERED_VOLATILITY, 3, marks=SLOW),
        ("planted_trends", "REGIME_CONFIRMED", 20),  # agreement on NEUTRAL counts
    ],
)
def test_the_naive_rule_cries_wolf_more_often(world: str, detector: str, times: float) -> None:
    found = judged(world)[detector]
    assert found.naive.false_per_day > times * found.ours.false_per_day
    assert found.naive.precision < found.ours.precision


def test_the_naive_volatility_borders_flicker_on_a_calm_market() -> None:
    found = judged("null_constant_normal")["VOLATILITY_REGIME_CHANGE"]
    assert found.naive.false_per_day > 1.4
    assert found.ours.false_per_day < 0.5


@SLOW
def test_a_fixed_amount_misses_the_cascades_of_small_coins() -> None:
    found = judged("planted_bursts")["LIQUIDATION_CASCADE"]
    assert found.naive.recall < found.ours.recall - 0.1


def test_a_relative_drop_means_nothing_near_zero() -> None:
    found = judged("null_one_factor_010")["CORRELATION_BREAK"]
    assert found.ours.wrong == 0
    assert found.naive.false_per_day > 0.1


def test_forward_filled_hours_cry_wolf_at_every_move_off_the_default_rate() -> None:
    found = judged("null_clamped_rates")["FUNDING_ANOMALY"]
    assert found.naive.false_per_day > 1.15 * found.ours.false_per_day


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scorecard_and_another_one_does_not() -> None:
    few = [scene_of("null_ar1_rates")]
    sizes = [
        [r.to_json() for r in run(seed=seed, params=Params(), quick=True, scenes=few)]
        for seed in (5, 5, 6)
    ]
    assert sizes[0] == sizes[1] != sizes[2]


def test_every_event_type_is_judged_with_and_without_events() -> None:
    for kind in ("null", "planted"):
        seen = {d for s in SCENES if s.world.startswith(kind) for d in s.detectors}
        assert {
            "LIQUIDATION_CASCADE", "FUNDING_ANOMALY", "FUNDING_REVERSAL",
            "VOLATILITY_REGIME_CHANGE", "CORRELATION_BREAK", "REGIME_CONFIRMED",
        } <= seen  # fmt: skip


def test_the_planted_volatility_is_in_the_prices() -> None:
    scene = scene_of("planted_volatility")
    world = scene.build(generator(SEED, scene, 0))
    event = world.truth.iloc[0]
    bars = world.frames["candles_1h"]
    mine = bars[bars["symbol"].eq(event["instrument"])].set_index("ts")
    spread = np.log(mine["high"] / mine["low"])
    during = spread[(spread.index >= event["start"]) & (spread.index < event["last"])]
    before = spread[spread.index < event["start"]].iloc[-48:]
    assert 2.5 < during.mean() / before.mean() < 6.0


def test_the_correlation_of_a_world_is_the_one_it_states() -> None:
    world = worlds.constant_correlation(np.random.default_rng(3), 100, rho=0.36)
    close = world.frames["candles_1h"].pivot(index="ts", columns="symbol", values="close")
    rho = np.log(close).diff().corr().to_numpy()[np.triu_indices(8, k=1)]
    assert abs(rho.mean() - 0.36) < 0.03


def test_clamped_rates_are_the_default_nine_times_of_ten() -> None:
    world = worlds.clamped_funding(np.random.default_rng(3), 10, 200)
    share = world.frames["funding"]["rate_8h"].eq(1e-4).mean()
    assert 0.88 < share < 0.93


def test_spells_lie_inside_their_window_and_leave_each_other_room() -> None:
    found = worlds.spells(
        np.random.default_rng(1), 5, (100, 2_000), every=200, length=(10, 20), size=(1.0, 2.0),
        signed=True, step=8,
    )  # fmt: skip
    frame = pd.DataFrame([vars(s) for s in found])
    assert frame["start"].min() >= 100 and frame["end"].max() <= 2_000
    assert (frame["start"] % 8 == 0).all()
    assert frame["size"].abs().between(1.0, 2.0).all() and frame["size"].nunique() > 5
    gaps = frame.groupby("symbol")["start"].diff().dropna()
    assert gaps.between(140 - 8, 260 + 8).all()
