"""The jump model of volatility: fit, penalty, online states, and that a week knows only its past."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.features import volatility_jumps as jumps
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.settings import VolatilityParams
from regime_pipeline.windows import Grid, utc
from regime_pipeline_tests.market.candle_worlds import synthetic_candles

BACK = 9720
MONDAY = int(utc("2024-01-01").timestamp() // 3600)
LEVELS = np.array([0.3, 0.6, 1.2, 2.4])


def world(seed: int, hours: int, columns: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Variances of bars under four planted volatilities that last days, and which one it is."""
    rng = np.random.default_rng(seed)
    state = np.zeros((columns, hours), int)
    for s in range(columns):
        now = 0
        for h in range(hours):
            if rng.random() < 1 / 200:
                now = int(rng.integers(4))
            state[s, h] = now
    noise = rng.chisquare(5, (columns, hours)) / 5
    return (0.006 * LEVELS[state]) ** 2 * noise, state


# --- an independent slow implementation ------------------------------------------------------------


def slow_features(variance: np.ndarray, h: int) -> np.ndarray | None:
    out = []
    for window in (6, 24):
        part = variance[max(0, h - window + 1) : h + 1]
        part = part[np.isfinite(part)]
        if len(part) < 5 * window / 6 or part.sum() <= 0:
            return None
        out.append(math.log(math.sqrt(part.mean())))
    weights = (1 - 2 / 169) ** np.arange(672)
    past = np.full(672, np.nan)
    near = variance[max(0, h - 671) : h + 1][::-1]
    past[: len(near)] = near
    there = np.isfinite(past)
    if weights[there].sum() < 5 / 6 * weights.sum():
        return None
    out.append(0.5 * math.log(np.average(past[there], weights=weights[there])))
    return np.array(out)


def slow_path(z: np.ndarray, mu: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Viterbi over all pairs of states, observations of NaN cost nothing."""
    loss = 0.5 * np.nansum((z[:, None, :] - mu[None]) ** 2, axis=2)
    fee = penalty * (1 - np.eye(4))
    cost, back = loss[0].copy(), []
    for t in range(1, len(z)):
        ways = cost[:, None] + fee
        back.append(ways.argmin(axis=0))
        cost = ways.min(axis=0) + loss[t]
    path = [int(cost.argmin())]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return np.array(path[::-1]), float(cost.min())


def slow_descent(z: np.ndarray, penalty: float, mu: np.ndarray) -> tuple[np.ndarray, float]:
    known = np.isfinite(z[:, 0])
    before, total = None, np.inf
    for _ in range(50):
        path, total = slow_path(z, mu, penalty)
        if before is not None and np.array_equal(path, before):
            break
        before = path
        mu = np.array(
            [z[known & (path == k)].mean(axis=0) if (known & (path == k)).any() else mu[k]
             for k in range(4)]
        )  # fmt: skip
    return mu, total


def slow_start(z: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    rows = z[np.isfinite(z[:, 0])]
    rows = rows[np.argsort(rows.sum(axis=1), kind="stable")]
    cuts = [0, *(int(s * len(rows)) for s in shares)]
    return np.array([rows[a:b].mean(axis=0) for a, b in itertools.pairwise(cuts)])


EVEN, STEEP = (0.25, 0.5, 0.75, 1.0), (0.5, 0.8, 0.95, 1.0)


def slow_fit(z: np.ndarray, penalty: float) -> np.ndarray:
    ends = [slow_descent(z, penalty, slow_start(z, shares)) for shares in (EVEN, STEEP)]
    mu = ends[1][0] if ends[1][1] < ends[0][1] - 1e-9 else ends[0][0]
    return mu[np.argsort(mu[:, 1], kind="stable")]


def slow_online(z: np.ndarray, mu: np.ndarray, penalty: float) -> list[int]:
    """Of every prefix the last state of its cheapest path."""
    cost, out = np.zeros(4), []
    for t, row in enumerate(z):
        if t:
            cost = np.minimum(cost, cost.min() + penalty)
        known = np.isfinite(row[0])
        cost = cost + (0.5 * ((row - mu) ** 2).sum(axis=1) if known else 0.0)
        out.append(int(cost.argmin()) if known else -1)
    return out


def slow_penalty(x: np.ndarray) -> float:
    z = (x - np.nanmean(x[:1095], axis=0)) / np.nanstd(x[:1095], axis=0, ddof=1)
    best, chosen = np.inf, np.nan
    mu = slow_start(z[:1095], EVEN)
    for penalty in jumps.PENALTIES:
        mu, _ = slow_descent(z[:1095], penalty, mu)
        states = np.array(slow_online(z, mu, penalty))
        ahead = np.append(x[4:, 1], [np.nan] * 4)
        means = {
            k: np.nanmean(ahead[:1091][states[:1091] == k])
            for k in range(4)
            if np.isfinite(ahead[:1091][states[:1091] == k]).any()
        }
        errors = [
            (ahead[t] - means[states[t]]) ** 2
            for t in range(1095, 1456)
            if states[t] in means and np.isfinite(ahead[t])
        ]
        if np.mean(errors) <= best:
            best, chosen = np.mean(errors), penalty
    return float(chosen)


def slow_rows(variance: np.ndarray, first_hour: int, rows: list[int]) -> list[tuple[int, float]]:
    out = []
    penalties: dict[int, float] = {}
    for h in rows:
        hour = first_hour + h
        week = hour - (hour - 96) % 168
        stamps = [t for t in range(week - 8760, hour) if t % 6 == 5]
        x = np.array(
            [f if (f := slow_features(variance, t - first_hour)) is not None else [np.nan] * 3
             for t in stamps]
        )  # fmt: skip
        year = x[:1460]
        penalty = penalties.setdefault(week, 0.0) or slow_penalty(year)
        penalties[week] = penalty
        centre, spread = np.nanmean(year, axis=0), np.nanstd(year, axis=0, ddof=1)
        mu = slow_fit((year - centre) / spread, penalty)
        own = slow_features(variance, h)
        if own is None:
            out.append((-1, penalty))
            continue
        z = (np.vstack([x, own]) - centre) / spread
        out.append((slow_online(z, mu, penalty)[-1], penalty))
    return out


@pytest.mark.slow
def test_states_and_penalties_equal_the_slow_implementation() -> None:
    variance, _ = world(12, BACK + 400)
    variance[0, 5000:5040] = np.nan
    variance[0, BACK + 200] = np.nan
    first_hour = MONDAY - BACK
    state, penalty, monday, why = jumps.jump_regimes(variance, first_hour, BACK)
    rows = [0, 1, 5, 6, 100, 167, 168, 200, 250, 333, 399]
    expected = slow_rows(variance[0], first_hour, [BACK + r for r in rows])
    assert [(int(state[0, r]), float(penalty[0, r])) for r in rows] == expected
    assert set(monday[0]) == {MONDAY, MONDAY + 168, MONDAY + 336}
    assert (why == jumps.OK).all()
    assert len(set(state[0])) >= 3


def test_the_planted_states_are_found() -> None:
    variance, planted = world(5, BACK + 2000, columns=2)
    state, *_ = jumps.jump_regimes(variance, MONDAY - BACK, BACK)
    assert (state == planted[:, BACK:]).mean() > 0.75
    # a change is seen within half a day where the new volatility lasts
    assert (state == planted[:, BACK - 12 : -12]).mean() > 0.75


def test_no_descent_ends_above_its_beginning_and_centres_rise() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(jumps.SAMPLES, 3)) * [1.0, 1.0, 0.5]
    known = rng.random(jumps.SAMPLES) > 0.02
    last = -np.inf
    for penalty in (0.5, 5.0, 50.0, 1e6):
        mu = np.empty((4, 3))
        total = jumps.fit(z, known, jumps.SAMPLES, penalty, mu)
        assert (np.diff(mu[:, 1]) >= 0).all()
        blank = np.where(known[:, None], z, np.nan)
        path, cost = slow_path(blank, mu, penalty)
        assert total == pytest.approx(cost, rel=1e-9)
        assert total >= last  # a dearer change never makes a cheaper path
        last = total
    assert len(set(path)) == 1  # no change is worth a million


def test_less_than_a_year_says_so_and_a_flat_year_too() -> None:
    variance, _ = world(2, BACK + 24)
    young = variance.copy()
    young[0, :2600] = np.nan
    state, penalty, _, why = jumps.jump_regimes(young, MONDAY - BACK, BACK)
    assert (state == -1).all() and (why == jumps.SHORT).all() and np.isnan(penalty).all()
    flat = np.full_like(variance, 1e-6)
    state, penalty, _, why = jumps.jump_regimes(flat, MONDAY - BACK, BACK)
    assert (why == jumps.FLAT).all() and (state == -1).all() and np.isnan(penalty).all()


def test_rows_do_not_depend_on_where_the_array_begins_nor_on_the_future() -> None:
    variance, _ = world(4, BACK + 1000, columns=2)
    whole = jumps.jump_regimes(variance, MONDAY - BACK, BACK)
    for start in (1, 167, 168, 500):
        part = jumps.jump_regimes(variance[:, start:], MONDAY - BACK + start, BACK)
        for one, other in zip(whole, part, strict=True):
            np.testing.assert_array_equal(one[:, start:], other)
    changed = variance.copy()
    changed[:, BACK + 400 :] = 1.0
    after = jumps.jump_regimes(changed, MONDAY - BACK, BACK)
    for one, other in zip(whole, after, strict=True):
        np.testing.assert_array_equal(one[:, :400], other[:, :400])
    assert (after[0][:, 430] == 3).all()


# --- in the table -----------------------------------------------------------------------------------


def test_the_table_shows_the_state_its_fit_and_why_there_is_none() -> None:
    start = utc("2024-01-01") - reach_of(volatility_regimes, "market.candles_1h")
    candles = synthetic_candles(start, BACK + 100, seed=8)
    grid = Grid(utc("2024-01-01"), utc("2024-01-05"), ("BTC/USDT",))
    out = volatility_regimes(candles, grid=grid, params=VolatilityParams())
    validate(out, table("features.volatility_regimes"))
    assert out["vol_regime_sjm"].notna().all()
    assert set(out["sjm_fitted_at"]) == {pd.Timestamp("2024-01-01", tz="UTC")}
    assert out["sjm_penalty"].isin(jumps.PENALTIES).all()
    assert out["sjm_reason"].isna().all()
    late = candles[candles["ts"] >= pd.Timestamp(start + timedelta(days=100))]
    short = volatility_regimes(late, grid=grid, params=VolatilityParams())
    assert short["sjm_reason"].eq("insufficient_history").all()
    assert short[["vol_regime_sjm", "sjm_fitted_at", "sjm_penalty"]].isna().all(axis=None)
    other = [c for c in out if not c.startswith(("sjm_", "vol_regime_sjm", "clustering", "har"))]
    pd.testing.assert_frame_equal(
        short[[c for c in other if c != "predictability"]],
        out[[c for c in other if c != "predictability"]],
        check_exact=True,
    )
