"""Which detector is judged in which world, how much of it, and the running of it all.

Belongs here: the list of scenes and the loop over them. Does not belong here: what a world is made of
(``worlds``), what a false alarm is (``scoring``), the page (``reporting.scorecard_page``).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from regime_pipeline.alerts.false_alarms import ADVERTISED
from regime_pipeline.evaluation import worlds
from regime_pipeline.evaluation.detectors import DELIVERED_VOLATILITY, FAMILIES, announced, events
from regime_pipeline.evaluation.naive import NAIVE
from regime_pipeline.evaluation.scoring import Tally, match
from regime_pipeline.evaluation.worlds import World
from regime_pipeline.settings import Params

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Scene:
    """One kind of world and who is judged in it.

    Attributes:
        world: its name; ``null_*`` or ``planted_*``.
        family: which production functions run on it.
        detectors: event types and flags that are judged.
        what: what is constant, how heavy the tails are, what depends on what, what was planted.
        build: makes one part of it from a generator of random numbers.
        parts: independent parts in a full run.
        quick: parts in a quick run.
        pairs: whether instruments are pairs of symbols.
    """

    world: str
    family: str
    detectors: tuple[str, ...]
    what: str
    build: Callable[[np.random.Generator], World]
    parts: int
    quick: int
    pairs: bool = False

    @property
    def unit(self) -> str:
        """What a rate is counted per."""
        return "pair-day" if self.pairs else "symbol-day"


SCENES: tuple[Scene, ...] = (
    Scene(
        "null_independent_hours",
        "cascades",
        ("LIQUIDATION_CASCADE",),
        "Hourly totals independent and log-normal (log sd 1.2: p99 is 16 medians), medians 0.1 to 1 "
        "million USD.",
        partial(worlds.steady_liquidations, width=20, days=120, half_life=0.0),
        parts=6,
        quick=2,
    ),
    Scene(
        "null_clustered_hours",
        "cascades",
        ("LIQUIDATION_CASCADE",),
        "The same totals, but their logarithm is AR(1) with a half-life of 6 h.",
        partial(worlds.steady_liquidations, width=20, days=120, half_life=6.0),
        parts=6,
        quick=2,
    ),
    Scene(
        "planted_bursts",
        "cascades",
        ("LIQUIDATION_CASCADE",),
        "Independent log-normal hours, medians 20 thousand to 1 million USD; every 15 days 2 to 4 hours "
        "of 40 to 120 medians.",
        partial(worlds.bursts, width=30, days=120),
        parts=4,
        quick=1,
    ),
    Scene(
        "null_ar1_rates",
        "funding",
        ("FUNDING_ANOMALY", "FUNDING_REVERSAL"),
        "8 h prints, AR(1) with coefficient 0.8 and t4 shocks, mean and sd 0.01 % (twice the scale "
        "floor).",
        partial(worlds.steady_funding, width=60, days=365),
        parts=4,
        quick=1,
    ),
    Scene(
        "null_clamped_rates",
        "funding",
        ("FUNDING_ANOMALY", "FUNDING_REVERSAL"),
        "8 h prints by the venues' rule from an AR(1) premium of sd 0.03 %, normal shocks: nine of ten "
        "are exactly 0.01 %.",
        partial(worlds.clamped_funding, width=60, days=365),
        parts=4,
        quick=1,
    ),
    Scene(
        "planted_excursions",
        "funding",
        ("FUNDING_ANOMALY",),
        "AR(1) prints; every 30 days 3 to 9 of them lie 5 to 10 sd off, on either side.",
        partial(worlds.funding_excursions, width=60, days=365),
        parts=2,
        quick=1,
    ),
    Scene(
        "planted_swings",
        "funding",
        ("FUNDING_REVERSAL",),
        "The same excursions; half swing to 4 sd on the other side for three prints (the planted "
        "reversals), half fade by 0.6 a print (the decoys).",
        partial(worlds.funding_swings, width=60, days=365),
        parts=2,
        quick=1,
    ),
    Scene(
        "null_constant_normal",
        "volatility",
        ("VOLATILITY_REGIME_CHANGE", DELIVERED_VOLATILITY, "vol_regime_confirmed"),
        "Random walks of constant volatility, independent normal steps, twelve an hour.",
        partial(worlds.constant_volatility, width=20, days=60, fat_tails=False),
        parts=6,
        quick=2,
    ),
    Scene(
        "null_constant_t4",
        "volatility",
        ("VOLATILITY_REGIME_CHANGE", DELIVERED_VOLATILITY, "vol_regime_confirmed"),
        "The same walks with t4 steps.",
        partial(worlds.constant_volatility, width=20, days=60, fat_tails=True),
        parts=6,
        quick=2,
    ),
    Scene(
        "planted_volatility",
        "volatility",
        ("VOLATILITY_REGIME_CHANGE", DELIVERED_VOLATILITY),
        "t4 walks; every 45 days the volatility is 3 to 5 times as high for 2 to 5 days. Right news "
        "says EXPLOSIVE or EXTREME.",
        partial(worlds.volatility_spells, width=40, days=120),
        parts=3,
        quick=1,
    ),
    Scene(
        "null_one_factor_036",
        "correlation",
        ("CORRELATION_BREAK", "is_rise"),
        "Eight symbols, one factor, independent t5 returns, every pair at 0.36: little above the least "
        "baseline of a break, where false breaks are most frequent.",
        partial(worlds.constant_correlation, days=1460, rho=0.36),
        parts=8,
        quick=2,
        pairs=True,
    ),
    Scene(
        "null_one_factor_060",
        "correlation",
        ("CORRELATION_BREAK", "is_rise"),
        "The same with every pair at 0.6, as large coins have it.",
        partial(worlds.constant_correlation, days=730, rho=0.6),
        parts=8,
        quick=1,
        pairs=True,
    ),
    Scene(
        "null_one_factor_010",
        "correlation",
        ("CORRELATION_BREAK", "is_rise"),
        "The same with every pair at 0.1, where a relative drop means nothing.",
        partial(worlds.constant_correlation, days=730, rho=0.1),
        parts=2,
        quick=1,
        pairs=True,
    ),
    Scene(
        "planted_decouplings",
        "correlation",
        ("CORRELATION_BREAK",),
        "Every pair at 0.45; every 60 days the seven pairs of one symbol fall to 0.15 for ten days.",
        partial(worlds.decouplings, days=730, rho=0.45),
        parts=4,
        quick=2,
        pairs=True,
    ),
    Scene(
        "null_directionless",
        "regimes",
        ("REGIME_CONFIRMED",),
        "Random walks without direction, t4 steps of constant variance, log-normal volume.",
        partial(worlds.directionless, width=20, weeks=78),
        parts=8,
        quick=2,
    ),
    Scene(
        "planted_trends",
        "regimes",
        ("REGIME_CONFIRMED",),
        "The same walks; every 50 days 7 to 10 days of drift, 0.35 to 0.5 hourly sd an hour, at twice "
        "the volume. Right news says IGNITION on the way up, COOLING on the way down.",
        partial(worlds.trends, width=40, weeks=30),
        parts=2,
        quick=1,
    ),
)


@dataclass(frozen=True)
class Result:
    """One detector in one world.

    Attributes:
        detector: event type or flag.
        scene: where it was judged.
        ours: the production detector's counts.
        naive: those of the legacy rule, null where there is none.
        advertised: false alarms a day that the catalogue states for this world, null where it states
            none or the thresholds are not the default ones.
        sample: a world of the scene with our and the naive announcements, for pictures.
    """

    detector: str
    scene: Scene
    ours: Tally
    naive: Tally | None
    advertised: float | None
    sample: Sample | None = None

    def to_json(self) -> dict[str, Any]:
        """One object as ``regime scorecard --json`` prints it."""
        return {
            "detector": self.detector,
            "world": self.scene.world,
            **self.ours.to_json(),
            "advertised_false_per_symbol_day": self.advertised,
            "naive": None if self.naive is None else self.naive.to_json(),
            "unit": self.scene.unit,
            "quiet_days": round(self.ours.quiet_days, 3),
            "false_alarms": self.ours.wrong,
        }


@dataclass(frozen=True)
class Sample:
    """One world with what was said about it."""

    world: World
    rows: dict[str, pd.DataFrame]
    ours: pd.DataFrame
    naive: pd.DataFrame | None


def advertised(detector: str, world: str, params: Params) -> float | None:
    """False alarms a day that the catalogue states; null without a statement for these thresholds."""
    default = Params()
    for stated in ADVERTISED:
        if (stated.detector, stated.world) == (detector, world):
            same = getattr(params, stated.section) == getattr(default, stated.section)
            return stated.per_day if same else None
    return None


def generator(seed: int, scene: Scene, part: int) -> np.random.Generator:
    """The random numbers of one part of a scene; every part has a stream of its own."""
    return np.random.default_rng([seed, zlib.crc32(scene.world.encode()), part])


def judge(
    scene: Scene, *, seed: int, params: Params, parts: Sequence[int], naive: bool = True
) -> Iterator[list[Result]]:
    """Judge the parts of a scene one after the other; one list of results a part.

    Args:
        scene: what to judge.
        seed: names the random numbers.
        params: thresholds of the detectors.
        parts: which parts.
        naive: whether the legacy rules are judged too.
    """
    for part in parts:
        world = scene.build(generator(seed, scene, part))
        rows = FAMILIES[scene.family](world, params)
        told = events(rows)
        width = len(world.grid.symbols)
        count = width * (width - 1) // 2 if scene.pairs else width
        out = []
        for detector in scene.detectors:
            ours = announced(detector, rows, told)
            rule = NAIVE.get(detector) if naive else None
            theirs = None if rule is None else rule(world, rows)
            score = partial(match, truth=world.truth, grid=world.grid, instruments=count)
            out.append(
                Result(
                    detector,
                    scene,
                    score(ours),
                    None if theirs is None else score(theirs),
                    advertised(detector, scene.world, params),
                    Sample(world, rows, ours, theirs),
                )
            )
        yield out


def run(
    *,
    seed: int,
    params: Params,
    quick: bool = False,
    scenes: Sequence[Scene] | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """The whole scorecard: every scene, counts of its parts added up.

    Args:
        seed: names all random numbers; the same seed gives the same scorecard.
        params: thresholds of the detectors.
        quick: fewer parts.
        scenes: what to judge; None takes all.
        progress: told (scene, parts done, parts).

    Returns:
        One result per scene and detector, in the order of the scenes. The sample is the first part
        of each planted scene.
    """
    out: list[Result] = []
    for scene in SCENES if scenes is None else scenes:
        parts = range(scene.quick if quick else scene.parts)
        if progress is not None:
            progress(scene.world, 0, len(parts))
        total: list[Result] = []
        for part, found in enumerate(judge(scene, seed=seed, params=params, parts=parts)):
            total = [_added(a, b) for a, b in zip(total, found, strict=True)] if total else found
            if progress is not None:
                progress(scene.world, part + 1, len(parts))
        planted = scene.world.startswith("planted")
        out += total if planted else [_without_sample(r) for r in total]
    return out


def count(world: str, *, seed: int, days: float, first: int = 0) -> dict[str, Tally]:
    """What our detectors say in one scene until so many days are judged; naive rules left out.

    Args:
        world: name of the scene.
        seed: names all random numbers.
        days: symbol-days, or pair-days, that are wanted at least.
        first: the first part to judge.

    Returns:
        Counts by detector, with the default thresholds. This is how the advertised rates are counted.
    """
    scene = next(s for s in SCENES if s.world == world)
    total: dict[str, Tally] = {}
    part, judged = first, 0.0
    while judged < days:
        (found,) = judge(scene, seed=seed, params=Params(), parts=[part], naive=False)
        for r in found:
            total[r.detector] = total.get(r.detector, Tally()) + r.ours
        judged += found[0].ours.quiet_days
        part += 1
    return total


def _added(a: Result, b: Result) -> Result:
    naive = a.naive + b.naive if a.naive is not None and b.naive is not None else None
    return Result(a.detector, a.scene, a.ours + b.ours, naive, a.advertised, a.sample)


def _without_sample(r: Result) -> Result:
    return Result(r.detector, r.scene, r.ours, r.naive, r.advertised)
