"""Self-excitation in buckets: decay ratio, branching ratio, cascade state."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

from regime_pipeline.features import excitation_kernels as kernels

NAN = math.nan
NAMES = ("NONE", "BUILDING", "ACTIVE", "DECAYING")


def amounts(seed: int, hours: int, columns: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.lognormal(10, 1.2, size=(columns, hours))
    x[rng.random(x.shape) < 0.2] = 0.0
    x[rng.random(x.shape) < 0.03] = NAN
    return x


def excited(branching: float, phi: float, hours: int, seed: int) -> np.ndarray:
    """Poisson counts whose expected value follows from earlier ones."""
    rng = np.random.default_rng(seed)
    alpha, memory = branching * (1 - phi), 0.0
    out = np.empty(hours)
    for i in range(hours):
        out[i] = rng.poisson(2.0 + alpha * memory)
        memory = phi * memory + out[i]
    return out


def slow_ratio(x: np.ndarray, h: int, offset: int) -> float:
    day = h - (h + offset) % 24
    sample = x[max(0, day - 720) : max(0, day)]
    known = sample[~np.isnan(sample)]
    if len(known) < 336 or (known > 0).sum() < 100 or math.isnan(x[h]):
        return NAN
    weights = 0.8 ** np.arange(124)
    past = x[max(0, h - 123) : h + 1][::-1]
    there = ~np.isnan(past)
    weight = weights[: len(past)][there].sum()
    if weight < 2 / 3 * weights.sum():
        return NAN
    return float((weights[: len(past)] * np.where(there, past, 0)).sum() / weight / known.mean())


def slow_branching(window: np.ndarray) -> float:
    """Two free parameters and a general optimiser instead of the profiled one."""
    usual = np.nanmean(window)
    best = (math.inf, NAN)
    for half_life in (1, 2, 4, 8, 16):
        phi, memory = 2 ** (-1 / half_life), 0.0
        x, s = [], []
        for i, value in enumerate(window):
            if i >= 48 and not math.isnan(value):
                x.append(value / usual)
                s.append(memory)
            memory = phi * memory + (0.0 if math.isnan(value) else value / usual)
        y, z = np.array(x), np.array(s)

        def loss(p: np.ndarray, y: np.ndarray = y, z: np.ndarray = z) -> float:
            rate = p[0] + p[1] * z
            return float((rate - y * np.log(rate)).sum())

        found = minimize(
            loss,
            [0.5 * y.mean(), 0.4 * (1 - phi)],
            bounds=[(1e-9, None), (0.0, 0.999 * (1 - phi))],
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        best = min(best, (found.fun, found.x[1] / (1 - phi)))
    return best[1]


def test_the_decay_ratio_equals_its_definition_at_every_hour() -> None:
    x = amounts(1, 1100)
    x[0, 900:1000] = NAN
    got = kernels.decay_ratios(x, 5)
    for s in range(2):
        expected = [slow_ratio(x[s], h, 5) for h in range(x.shape[1])]
        np.testing.assert_allclose(got[s], expected, rtol=1e-10)
    assert np.isnan(got[0, 900:1000]).all() and np.isnan(got[0, 1000:1003]).all()
    assert np.isfinite(got[:, 500:800]).any()


def test_the_usual_comes_from_earlier_days_only_and_is_one_value_a_day() -> None:
    x = amounts(2, 1000)
    louder = x.copy()
    louder[:, 960:] *= 50.0  # 960 is a midnight
    got = kernels.decay_ratios(louder, 0)
    base = [slow_ratio(louder[0], h, 0) for h in range(960, 984)]
    np.testing.assert_allclose(got[0, 960:984], base, rtol=1e-10)
    np.testing.assert_array_equal(got[:, :960], kernels.decay_ratios(x, 0)[:, :960])
    assert np.nanmax(got[0, 984:]) < np.nanmax(got[0, 970:984])  # the loud day counts from midnight


@pytest.mark.parametrize("seed", range(6))
def test_the_bounded_search_ends_where_a_general_optimiser_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, s = rng.poisson(2.0, 300) * 1.0, rng.gamma(2.0, 1.0, 300)
    x += (
        (1.5 - seed) * (s - s.mean()) * (seed > 0)
    )  # an end of the bracket, its middle, the other end
    x = np.maximum(x, 0.0)
    base, centre, top = x.mean(), s.mean(), 0.9 * x.mean() / s.mean()
    found = minimize_scalar(
        lambda a: -(x * np.log(base + a * (s - centre))).sum(),
        bounds=(0.0, top),
        method="bounded",
        options={"xatol": 1e-9},
    )
    got = kernels.steepest(x, s, base, centre, top, 0.0, 1e-12)
    assert got == pytest.approx(found.x, abs=1e-6 * max(top, 1.0))


@pytest.mark.parametrize("seed", [3, 4])
def test_the_branching_ratio_maximises_the_quasi_likelihood(seed: int) -> None:
    window = excited(0.6, 0.7, 720, seed)
    window[::37] = NAN
    got = kernels.branching_of(window, kernels.decays())
    assert got == pytest.approx(slow_branching(window), abs=2e-4)


@pytest.mark.parametrize("truth", [0.0, 0.3, 0.6, 0.85])
def test_a_known_branching_ratio_is_found_again(truth: float) -> None:
    found = [
        kernels.branching_of(excited(truth, 2 ** (-1 / 2), 720, seed), kernels.decays())
        for seed in range(20)
    ]
    # never below zero, and the best of five half-lives: independent amounts read a little above it
    assert -0.06 < np.mean(found) - truth < (0.12 if truth == 0.0 else 0.06)
    assert max(found) < 1.0


def test_the_fit_of_a_row_is_that_of_its_day() -> None:
    x = amounts(5, 1200)
    got = kernels.branching_ratios(x, 7, 1000)
    for h in (1000, 1001, 1003, 1150, 1199):
        day = h - (h + 7) % 24
        expected = kernels.branching_of(x[1, day - 720 : day].copy(), kernels.decays())
        if math.isnan(x[1, h]):
            assert math.isnan(got[1, h - 1000])
        else:
            assert got[1, h - 1000] == expected


def test_too_little_history_and_silence_have_no_branching_ratio() -> None:
    short = np.full(720, NAN)
    short[400:] = 1.0
    assert math.isnan(kernels.branching_of(short, kernels.decays()))
    assert math.isnan(kernels.branching_of(np.zeros(720), kernels.decays()))
    assert kernels.branching_of(np.ones(720), kernels.decays()) == 0.0


# --- states -------------------------------------------------------------------------------------


def states(ratios: list[float], lookback: int | None = None) -> list[str | None]:
    lookback = lookback or len(ratios)
    padded = np.array([[0.0] * (lookback - 1) + ratios])
    out = np.empty((1, len(ratios)), np.int64)
    kernels.cascade_states(padded, lookback, out)
    return [NAMES[c] if c >= 0 else None for c in out[0]]


def test_a_cascade_builds_acts_decays_and_ends_at_half_of_each_entry() -> None:
    ratios = [1.9, 2.0, 1.0, 0.99, 3.0, 4.0, 2.0, 1.99, 3.9, 1.0, 0.9, 4.5, 1.5, 4.0]
    assert states(ratios) == [
        "NONE", "BUILDING", "BUILDING", "NONE", "BUILDING", "ACTIVE", "ACTIVE", "DECAYING",
        "DECAYING", "DECAYING", "NONE", "ACTIVE", "DECAYING", "ACTIVE",
    ]  # fmt: skip


def test_an_active_cascade_can_end_in_one_hour() -> None:
    assert states([5.0, 0.5]) == ["ACTIVE", "NONE"]


def test_null_hours_are_null_keep_the_state_and_restart_it_after_a_day() -> None:
    assert states([5.0, NAN, 3.0])[1:] == [None, "ACTIVE"]
    assert states([5.0, *[NAN] * 24, 3.0])[-1] == "ACTIVE"
    assert states([5.0, *[NAN] * 25, 3.0])[-1] == "BUILDING"
    assert states([5.0, *[NAN] * 25, 1.5])[-1] == "NONE"


@pytest.mark.parametrize("seed", range(4))
def test_each_row_answers_like_a_machine_begun_afresh_before_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.5, size=(2, 640))
    ratio = 1.5 * np.exp([np.convolve(row, 0.85 ** np.arange(41), "valid") for row in steps])
    ratio[rng.random(ratio.shape) < 0.05] = NAN
    ratio[0, 200:227] = NAN
    lookback = 60
    out = np.empty((2, 600 - lookback + 1), np.int64)
    kernels.cascade_states(ratio, lookback, out)
    assert set(out.reshape(-1)) == {-1, 0, 1, 2, 3}
    for s in range(2):
        for i in range(out.shape[1]):
            state, blank = "NONE", 0
            for r in ratio[s, i : i + lookback]:
                if math.isnan(r):
                    blank += 1
                    state = "NONE" if blank > 24 else state
                    continue
                blank = 0
                if r >= 4:
                    state = "ACTIVE"
                elif state == "ACTIVE":
                    state = "ACTIVE" if r >= 2 else "DECAYING" if r >= 1 else "NONE"
                elif state == "NONE":
                    state = "BUILDING" if r >= 2 else "NONE"
                elif r < 1:
                    state = "NONE"
            expected = -1 if math.isnan(ratio[s, i + lookback - 1]) else NAMES.index(state)
            assert out[s, i] == expected, (s, i)
    part = np.empty((2, out.shape[1] - 100), np.int64)
    kernels.cascade_states(np.ascontiguousarray(ratio[:, 100:]), lookback, part)
    np.testing.assert_array_equal(part, out[:, 100:])
