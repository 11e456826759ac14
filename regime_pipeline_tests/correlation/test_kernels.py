"""Compiled loops against slow references, and against themselves from another starting point."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from regime_pipeline.correlation import kernels
from regime_pipeline.numerics import pairwise, stretches
from regime_pipeline.numerics.ranks import rolling_spearman, spearman_rows

SYMBOLS = 5
PAIRS = list(itertools.combinations(range(SYMBOLS), 2))


def _returns(length: int, *, seed: int, holes: float) -> np.ndarray:
    """Fat-tailed, correlated, with ties and holes that differ between the symbols."""
    rng = np.random.default_rng(seed)
    common = rng.standard_t(3, size=length)
    x = np.round(0.01 * (0.7 * common + rng.standard_t(3, size=(SYMBOLS, length))), 3)
    x[rng.random((SYMBOLS, length)) < holes] = np.nan
    x[:, 100:104] = np.nan  # an outage of everybody
    x[3, :90] = np.nan  # listed late
    return x


def _window(x: np.ndarray, pair: tuple[int, int], t: int, window: int) -> tuple[np.ndarray, ...]:
    a, b = (x[s, t - window + 1 : t + 1] for s in pair)
    both = ~(np.isnan(a) | np.isnan(b))
    return a[both], b[both]


@pytest.mark.parametrize("holes", [0.0, 0.04])
def test_spearman_is_scipys_pairwise_complete(holes: float) -> None:
    x = _returns(260, seed=1, holes=holes)
    window, min_obs, first = 60, 45, 59
    rho, n = rolling_spearman(x, window, min_obs, first, x.shape[1])
    nulls = 0
    for p, pair in enumerate(PAIRS):
        for t in range(first, x.shape[1], 3):
            a, b = _window(x, pair, t, window)
            assert n[p, t - first] == a.size
            if a.size < min_obs:
                assert np.isnan(rho[p, t - first])
                nulls += 1
            else:
                expected = stats.spearmanr(a, b).statistic
                assert rho[p, t - first] == pytest.approx(expected, abs=1e-13)
    assert nulls > 0


@pytest.mark.parametrize("holes", [0.0, 0.04])
def test_pearson_is_numpys_pairwise_complete(holes: float) -> None:
    x = _returns(700, seed=2, holes=holes)
    window, min_obs, first = 60, 45, 70
    rho, codes = pairwise.rolling_pearson(x, window, min_obs, 3, first)
    for p, pair in enumerate(PAIRS):
        for t in range(first, x.shape[1], 7):
            a, b = _window(x, pair, t, window)
            if a.size < min_obs:
                assert codes[p, t - first] == 1
                assert np.isnan(rho[p, t - first])
            else:
                assert codes[p, t - first] == 0
                assert rho[p, t - first] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-13)


def test_pearson_of_a_constant_side_is_null_however_the_constant_rounds() -> None:
    x = _returns(200, seed=3, holes=0.0)
    x[1, :] = 0.1 + 0.2  # not representable: its computed sd is rounding noise, not zero
    x[2, :] = 0.0
    rho, codes = pairwise.rolling_pearson(x, 60, 45, 3, 190)
    touched = [p for p, pair in enumerate(PAIRS) if 1 in pair or 2 in pair]
    assert np.isnan(rho[touched]).all()
    assert (codes[touched] == 2).all()
    ranks, _ = rolling_spearman(x, 60, 45, 190, 200)
    assert np.isnan(ranks[touched]).all()
    others = [p for p in range(len(PAIRS)) if p not in touched]
    assert np.isfinite(rho[others]).all()


def _decay(window: int, half_life: float) -> np.ndarray:
    return np.exp2(-np.arange(window + 1) / half_life)


def test_ewma_is_the_plain_weighted_sum() -> None:
    x = _returns(420, seed=4, holes=0.02)
    window, half_life, first = 150, 20, 200
    usable = np.ones(x.shape, bool)
    decay = _decay(window, half_life)
    out = pairwise.ewma_correlation(x, usable, window, 20, 17, first, decay)
    for p, pair in enumerate(PAIRS):
        for t in range(first, 420, 11):
            a, b = (x[s, t - window + 1 : t + 1] for s in pair)
            w = 0.5 ** (np.arange(window)[::-1] / half_life)
            both = ~(np.isnan(a) | np.isnan(b))
            a, b, w = a[both], b[both], w[both]
            expected = (w * a * b).sum() / math.sqrt((w * a * a).sum() * (w * b * b).sum())
            assert out[p, t - first] == pytest.approx(expected, abs=1e-13)


def test_ewma_gap_rule_counts_closes_after_the_first_one() -> None:
    close = np.ones((1, 300))
    close[0, :40] = np.nan  # before listing: not missing
    close[0, 100:110] = np.nan
    close[0, 200:211] = np.nan
    usable = kernels.ewma_usable(close, 150, 20, 3, 149)[0]
    rows = np.arange(300)
    expected = np.zeros(300, bool)
    for t in rows[149:]:
        seen = ~np.isnan(close[0, t - 149 : t + 1])
        start = int(np.argmax(seen))
        expected[t] = (~seen[start:]).sum() <= 20 and seen[-3:].all()
    np.testing.assert_array_equal(usable, expected)
    assert not usable[215]  # 21 missing
    assert not usable[105]
    assert usable[275]  # ten of them have left


def test_false_discovery_is_scipys_and_nulls_are_no_tests() -> None:
    rng = np.random.default_rng(5)
    p_values = rng.random((9, 40)) ** 3
    p_values[rng.random(p_values.shape) < 0.2] = np.nan
    p_values[:, 7] = np.nan
    p_values[2:5, 8] = 0.01  # ties
    out = kernels.benjamini_hochberg(p_values)
    for t in range(40):
        there = ~np.isnan(p_values[:, t])
        assert np.isnan(out[~there, t]).all()
        if there.any():
            expected = stats.false_discovery_control(p_values[there, t])
            np.testing.assert_allclose(out[there, t], expected, rtol=1e-14)


def test_break_z_is_the_bonett_wright_difference() -> None:
    now, base = np.array([[0.15, 1.0, np.nan]]), np.array([[0.45, 0.5, 0.2]])
    n_now, n_base = np.full((1, 3), 168, np.int16), np.full((1, 3), 720, np.int16)
    z = kernels.fisher_z(now, n_now, base, n_base, 1 - 1e-8)[0]
    variance = (1 + 0.15**2 / 2) / 165 + (1 + 0.45**2 / 2) / 717
    assert z[0] == pytest.approx((math.atanh(0.15) - math.atanh(0.45)) / math.sqrt(variance))
    # the legacy scenario with plain Fisher variances is -3.9; the wider ones draw it in
    assert (math.atanh(0.15) - math.atanh(0.45)) / math.sqrt(1 / 165 + 1 / 717) == pytest.approx(
        -3.9, abs=0.05
    )
    assert z[0] == pytest.approx(-3.81, abs=0.005)
    assert math.isfinite(z[1])  # a perfect correlation stays finite
    assert math.isnan(z[2])


def test_lagged_sd_leaves_the_judged_row_and_its_neighbours_out() -> None:
    rng = np.random.default_rng(6)
    z = rng.standard_normal((2, 500))
    z[rng.random(z.shape) < 0.3] = np.nan
    out = kernels.lagged_sd(z, np.arange(260, 500) - 20 * np.arange(1, 13)[:, None], 8)
    for p in range(2):
        for t in range(260, 500):
            lags = z[p, [t - 20 * j for j in range(1, 13)]]
            lags = lags[~np.isnan(lags)]
            if lags.size < 8:
                assert np.isnan(out[p, t - 260])
            else:
                assert out[p, t - 260] == pytest.approx(lags.std(ddof=1), rel=1e-13)
    z[:, 400] = 1e9
    np.testing.assert_array_equal(
        kernels.lagged_sd(z, 400 - 20 * np.arange(1, 13)[:, None], 8), out[:, 140:141]
    )


@pytest.mark.parametrize("holes", [0.0, 0.03])
@pytest.mark.parametrize("skip", [1, 37, 64])
def test_values_do_not_depend_on_where_the_array_begins(skip: int, holes: float) -> None:
    x = _returns(900, seed=7, holes=holes)
    first, window = 640, 150
    late = np.ascontiguousarray(x[:, skip:])

    def spearman(
        x: np.ndarray, window: int, min_obs: int, _: int, first: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return rolling_spearman(x, window, min_obs, first, x.shape[1])

    for kernel in (spearman, pairwise.rolling_pearson):
        whole = kernel(x, window, 100, 1000, first)
        part = kernel(late, window, 100, 1000 + skip, first - skip)
        for one, other in zip(whole, part, strict=True):
            assert one.tobytes() == other.tobytes()
        begin = first - window
        alone = np.ascontiguousarray(x[:, begin : first + 60])
        tail = kernel(alone, window, 100, 1000 + begin, window)
        assert np.ascontiguousarray(whole[0][:, :60]).tobytes() == tail[0].tobytes()
    usable, decay = np.ones(x.shape, bool), _decay(window, 20)
    whole_ewma = pairwise.ewma_correlation(x, usable, window, 50, 1000, first, decay)
    part_ewma = pairwise.ewma_correlation(
        late, usable[:, skip:].copy(), window, 50, 1000 + skip, first - skip, decay
    )
    assert whole_ewma.tobytes() == part_ewma.tobytes()


@pytest.mark.parametrize("holes", [0.0, 0.01])
@pytest.mark.parametrize("window", [60, 400])
def test_values_do_not_depend_on_the_number_of_threads(
    window: int, holes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many blocks of time are shared out by rows, few by pairs."""
    x = _returns(900, seed=8, holes=holes)
    usable, decay = np.ones(x.shape, bool), _decay(window, 20)

    def everything() -> list[bytes]:
        found = (
            *pairwise.rolling_pearson(x, window, 40, 1_003, 401),
            *rolling_spearman(x, window, 40, 401, 900),
            pairwise.ewma_correlation(x, usable, window, 40, 1_003, 401, decay),
        )
        return [part.tobytes() for part in found]

    alone = everything()
    monkeypatch.setattr(stretches, "LEAST_CELLS", 1)
    for threads in (2, 3, 8):
        monkeypatch.setattr(stretches, "threads", lambda threads=threads: threads)
        assert everything() == alone


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    anchor=st.integers(0, 600_000),
    start=st.integers(0, 60),
    holes=st.sampled_from([0.0, 0.01, 0.2]),
    spike=st.sampled_from([1e16, -1e150, 0.0]),
)
def test_pearson_and_ewma_know_only_their_window(
    seed: int, anchor: int, start: int, holes: float, spike: float
) -> None:
    window, first = 50, 50
    x = _returns(200, seed=seed, holes=holes)
    x[:, 90:160][seed % SYMBOLS] = 0.3  # a constant side
    late = np.ascontiguousarray(x[:, start:])
    other = x.copy()
    other[:, : first + start - window + 1] = spike  # gone from every window compared
    usable, decay = np.ones(x.shape, bool), _decay(window, 9)

    def both(x: np.ndarray, anchor: int) -> tuple[np.ndarray, ...]:
        ewma = pairwise.ewma_correlation(
            x, usable[:, : x.shape[1]], window, 20, anchor, first, decay
        )
        return (*pairwise.rolling_pearson(x, window, 20, anchor, first), ewma)

    for whole, part, spiked in zip(
        both(x, anchor), both(late, anchor + start), both(other, anchor), strict=True
    ):
        expected = np.ascontiguousarray(whole[:, start:]).tobytes()
        assert expected == part.tobytes()
        assert expected == np.ascontiguousarray(spiked[:, start:]).tobytes()


def test_pearson_shares_moments_between_whole_symbols_without_a_change_of_bits() -> None:
    x = _returns(400, seed=11, holes=0.0)
    holed = x.copy()
    holed[:, 250] = (
        np.nan
    )  # the general way from here on, for windows that do not hold the hole too
    one, codes = pairwise.rolling_pearson(x, 100, 70, 17, 150)
    other, other_codes = pairwise.rolling_pearson(holed, 100, 70, 17, 150)
    clear = np.r_[0:100, 200 : one.shape[1]]
    assert np.ascontiguousarray(one[:, clear]).tobytes() == other[:, clear].tobytes()
    assert np.array_equal(codes[:, clear], other_codes[:, clear])
    assert not np.array_equal(one, other)


# -- the episode machine ------------------------------------------------------------------------


class _Slow:
    """The rules of a pair's episode, one hour at a time, written again without cleverness."""

    def __init__(self, end_drop: float, cooldown: int) -> None:
        self.end_drop, self.cooldown = end_drop, cooldown
        self.start: int | None = None
        self.sent: list[int] = []
        self.calm = self.nulls = 0
        self.last_sent: int | None = None

    def hour(self, t: int, drop: float, fires: bool, level: int) -> tuple[int, ...]:
        if math.isnan(drop):
            self.calm = 0
            self.nulls += 1
            if self.nulls > 24:
                self.start, self.sent = None, []
            return (int(self.start is not None), -1, -1, -1, -1)
        self.nulls = 0
        if self.start is None and fires:
            self.start, self.sent, self.calm = t, [], 0
        if self.start is None:
            return (0, -1, -1, -1, -1)
        start = self.start
        self.calm = self.calm + 1 if drop < self.end_drop else 0
        if self.calm == 3:
            told = len(self.sent)
            self.start = None
            if told:
                self.last_sent = t
            return (1, start, 2 if told else -1, -1, told if told else -1)
        free = self.last_sent is None or t - self.last_sent >= self.cooldown
        if fires and free and (not self.sent or level > max(self.sent)):
            self.sent.append(level)
            self.last_sent = t
            ordinal = len(self.sent) - 1
            return (1, start, 0 if ordinal == 0 else 1, level, ordinal)
        return (1, start, -1, -1, -1)


@pytest.mark.parametrize("seed", range(6))
def test_each_row_answers_like_a_machine_begun_afresh_before_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length, lookback = 400, 60
    # smooth enough for episodes of all lengths, some longer than the lookback
    drop = np.cumsum(rng.normal(0, 0.09, size=(3, length)), axis=1) % 1.3
    drop[2] = np.clip(drop[2], 0.4, None)
    drop[rng.random(drop.shape) < 0.03] = np.nan
    drop[0, 200:231] = np.nan
    level = np.select([drop > 0.9, drop >= 0.75, drop >= 0.6], [3, 2, 1], 0).astype(np.int8)
    fires = (drop > 0.5) & (rng.random(drop.shape) < 0.7)
    out = kernels.break_episodes(drop, fires, level, lookback, 0.35, 3)
    told = 0
    for p in range(3):
        for i in range(length - lookback + 1):
            slow = _Slow(0.35, 3)
            for t in range(i, i + lookback):
                expected = slow.hour(t, drop[p, t], bool(fires[p, t]), int(level[p, t]))
            assert tuple(out[p, i]) == expected, (p, i)
            told += expected[2] >= 0
    assert told > 10
    part = kernels.break_episodes(
        drop[:, 100:].copy(), fires[:, 100:].copy(), level[:, 100:].copy(), lookback, 0.35, 3
    )
    same = np.ascontiguousarray(out[:, 100:])
    seen = part.copy()
    seen[:, :, 1][seen[:, :, 1] >= 0] += 100  # rows are counted from the array's start
    np.testing.assert_array_equal(seen, same)


# -- what the hourly tick leaves out --------------------------------------------------------------


@pytest.mark.parametrize("holes", [0.0, 0.03])
def test_chosen_rows_have_the_numbers_of_the_whole_sweep(holes: float) -> None:
    x = _returns(700, seed=8, holes=holes)
    every, counts = rolling_spearman(x, 96, 70, 95, 700)
    # neighbours slide, gaps are sorted anew; ties and holes on both ways
    rows = np.array([95, 96, 99, 150, 151, 163, 400, 401, 402, 690, 699])
    wanted = np.random.default_rng(0).random((len(PAIRS), rows.size)) < 0.6
    some, n = spearman_rows(x, 96, 70, rows, wanted)
    assert np.array_equal(some[wanted], every[:, rows - 95][wanted], equal_nan=True)
    assert np.array_equal(n[wanted], counts[:, rows - 95][wanted])
    assert np.isnan(some[~wanted]).all()
    chosen = pairwise.all_pairs(SYMBOLS)[[1, 4]]
    part, codes = pairwise.pearson_rows(x, 96, 70, 3, 300, chosen)
    whole, all_codes = pairwise.rolling_pearson(x, 96, 70, 3, 300)
    assert part.tobytes() == whole[[1, 4]].tobytes()
    assert codes.tobytes() == all_codes[[1, 4]].tobytes()


@pytest.mark.parametrize("seed", range(8))
def test_a_quiet_row_finds_every_machine_in_its_initial_state(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length = 160
    drop = np.clip(np.cumsum(rng.normal(0, 0.15, size=(1, length)), axis=1), 0.0, 1.4)
    drop[rng.random(drop.shape) < 0.02] = np.nan
    if seed % 2:
        drop[0, 60:86] = np.nan
    fires = (drop > 0.5) & (rng.random(drop.shape) < 0.8)
    level = np.select([drop > 0.9, drop >= 0.75, drop >= 0.6], [3, 2, 1], 0).astype(np.int8)
    for stop in range(30, length, 7):
        quiet = int(kernels.last_quiet(drop[:, :stop], 0.35, 3)[0])
        if quiet < 0:
            continue
        tail = slice(quiet + 1, length)
        whole = kernels.break_episodes(drop, fires, level, length, 0.35, 3)
        rest = drop[:, tail], fires[:, tail], level[:, tail]
        fresh = kernels.break_episodes(
            *(np.ascontiguousarray(v) for v in rest), length - quiet - 1, 0.35, 3
        )
        fresh[..., kernels.OUT_START][fresh[..., kernels.OUT_START] >= 0] += quiet + 1
        np.testing.assert_array_equal(whole, fresh)
