"""The matrix of the day against textbook forms, and what leads, holes and chunks do to it."""

from __future__ import annotations

import itertools
import json
import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.cluster import hierarchy
from scipy.spatial import distance as spatial

from regime_pipeline.catalogue.derivation import reach_of
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.correlation import matrix_kernels as kernels
from regime_pipeline.correlation.market_structure import structures
from regime_pipeline.windows import Grid, Window, parse_lookback
from regime_pipeline_tests.correlation import worlds

HOURS = 888 + 24 * 4
FIRST = worlds.START + reach_of(structures, "market.candles_1h")
NAMES = ("correlation_matrices", "market_structure", "lead_lag")


def _run(
    closes: pd.DataFrame, start: object = FIRST, end: object = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    end = end or closes.index[-1].to_pydatetime() + timedelta(hours=1)
    grid = Grid.of(Window(start, end), list(closes.columns))  # type: ignore[arg-type]
    return structures(worlds.long(closes), grid=grid)


def _shrinkage(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Ledoit & Wolf 2004, appendices A and B, in matrix form for (T, N) without holes."""
    t, n = x.shape
    x = x - x.mean(axis=0)
    sample = x.T @ x / t
    sd = np.sqrt(np.diag(sample))
    corr = sample / np.outer(sd, sd)
    mean = (corr.sum() - n) / (n * (n - 1))
    prior = mean * np.outer(sd, sd)
    np.fill_diagonal(prior, np.diag(sample))
    pi = (x**2).T @ (x**2) / t - sample**2
    theta = (x**3).T @ x / t - np.diag(sample)[:, None] * sample
    np.fill_diagonal(theta, 0)
    rho = np.trace(pi) + mean * (np.outer(1 / sd, sd) * theta).sum()
    gamma = ((sample - prior) ** 2).sum()
    weight = min(1.0, max(0.0, (pi.sum() - rho) / gamma / t))
    mixed = weight * prior + (1 - weight) * sample
    return weight, mixed / np.outer(sd, sd)


def _square(frame: pd.DataFrame, column: str) -> np.ndarray:
    symbols = sorted({*frame["symbol_a"], *frame["symbol_b"]})
    out = np.eye(len(symbols))
    for row in frame.itertuples():
        i, j = symbols.index(row.symbol_a), symbols.index(row.symbol_b)
        out[i, j] = out[j, i] = getattr(row, column)
    return out


def _blocks(hours: int) -> np.ndarray:
    """Two groups with a tie of their own, so that the target isn't the truth."""
    x = worlds.factor(hours, 6, seed=1)
    x[:, :3] += 0.004 * np.random.default_rng(2).standard_t(5, size=(hours, 1))
    return x


def test_a_day_matches_the_textbook_forms() -> None:
    closes = worlds.prices(_blocks(HOURS))
    matrices, structure, _ = _run(closes)
    assert len(matrices) == 15 * 4
    returns = np.log(closes / closes.shift(1))
    for day in structure.itertuples():
        now = returns.loc[: day.ts].iloc[-168:]
        base = returns.loc[: day.ts].iloc[-888:-168]
        today = matrices[matrices["ts"] == day.ts]
        weight, shrunk = _shrinkage(now.to_numpy())
        assert 0 < weight < 1
        assert day.shrinkage == pytest.approx(weight, rel=1e-9)
        np.testing.assert_allclose(_square(today, "corr_shrunk"), shrunk, atol=1e-11)
        values = np.sort(np.linalg.eigvalsh(shrunk))[::-1]
        assert day.absorption_ratio == pytest.approx(values[:1].sum() / 6, rel=1e-11)
        assert day.eigenvalue_min == pytest.approx(values[-1], rel=1e-9)
        assert today["corr_clipped"].isna().all()
        distance = np.sqrt(np.maximum(0, 1 - shrunk) / 2)
        np.fill_diagonal(distance, 0)
        np.testing.assert_allclose(_square(today, "distance") - np.eye(6), distance, atol=1e-9)
        tree = hierarchy.linkage(spatial.pdist(distance), "single")
        ours = np.array(json.loads(day.linkage))
        np.testing.assert_allclose(ours[:, 2:], tree[:, 2:], atol=1e-8)
        assert sorted(json.loads(day.leaf_order)) == list(closes.columns)
        for row in today.itertuples():
            a, b = row.symbol_a, row.symbol_b
            corr = now[a].corr(now[b])
            rise = max(now[s].var() / base[s].var() for s in (a, b))
            expected = corr / math.sqrt(1 + (rise - 1) * (1 - corr**2))
            assert row.corr_7d == pytest.approx(corr, rel=1e-11)
            assert row.variance_ratio == pytest.approx(rise, rel=1e-10)
            assert row.corr_vol_adjusted == pytest.approx(expected, rel=1e-10)


def test_groups_stay_together_in_the_leaf_order() -> None:
    _, structure, _ = _run(worlds.prices(_blocks(HOURS)))
    for order in structure["leaf_order"]:
        assert set(json.loads(order)[:3]) == {"C00/USDT", "C01/USDT", "C02/USDT"}


def test_equal_heights_merge_in_alphabetical_order() -> None:
    distance = np.full((4, 4), 0.5)
    np.fill_diagonal(distance, 0)
    children, heights, order = kernels.cluster(distance)
    assert children.tolist() == [[0, 1], [4, 2], [5, 3]]
    assert order.tolist() == [0, 1, 2, 3]
    assert np.ptp(heights) == 0


def test_eigenvalues_are_lapacks() -> None:
    rng = np.random.default_rng(3)
    for n in (1, 2, 7, 40):
        a = rng.normal(size=(n, n))
        a = a + a.T
        values, vectors = kernels.eigen(a)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[::-1], atol=1e-11)
        np.testing.assert_allclose(vectors.T @ np.diag(values) @ vectors, a, atol=1e-11)


def test_an_indefinite_matrix_gets_its_nearest_neighbour() -> None:
    # Higham 2002, section 4: the nearest correlation matrix of this one is known
    bad = np.array([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]])
    good = kernels.nearest_correlation(bad)
    expected = [[1, 0.7607, 0.1573], [0.7607, 1, 0.7607], [0.1573, 0.7607, 1]]
    np.testing.assert_allclose(good, expected, atol=5e-5)
    assert np.linalg.eigvalsh(good)[0] > -1e-12


@pytest.mark.parametrize("seed", range(4))
def test_projections_of_a_random_matrix_are_numpys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 9))
    bad = np.clip(np.corrcoef(rng.normal(size=(n, 2 * n))) + rng.normal(0, 0.9, (n, n)), -1, 1)
    bad = (bad + bad.T) / 2
    np.fill_diagonal(bad, 1.0)
    assert np.linalg.eigvalsh(bad)[0] < 0
    y, moved = bad.copy(), np.zeros((n, n))
    for _ in range(5_000):
        values, vectors = np.linalg.eigh(y - moved)
        x = vectors @ np.diag(np.maximum(values, 0.0)) @ vectors.T
        moved = x - (y - moved)
        y = x.copy()
        np.fill_diagonal(y, 1.0)
    np.testing.assert_allclose(kernels.nearest_correlation(bad), y, atol=1e-6)


def test_clipping_keeps_what_stands_out_of_noise() -> None:
    rng = np.random.default_rng(4)
    n, t = 30, 168
    x = rng.normal(size=(t, n)) + 0.7 * rng.normal(size=(t, 1))
    sample = np.corrcoef(x.T)
    clipped = kernels.clip_eigenvalues(sample, float(t))
    values, vectors = np.linalg.eigh(sample)
    noise = (values <= (1 + math.sqrt(n / t)) ** 2) & (np.arange(n) < n - 1)
    values[noise] = values[noise].mean()
    expected = vectors @ np.diag(values) @ vectors.T
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(clipped, expected / np.outer(scale, scale), atol=1e-11)
    truth = np.full((n, n), 0.49 / 1.49)
    np.fill_diagonal(truth, 1)
    assert np.linalg.norm(clipped - truth) < 0.8 * np.linalg.norm(sample - truth)


def test_more_than_twenty_symbols_are_clipped_and_every_matrix_is_positive() -> None:
    returns = worlds.factor(HOURS, 24, seed=5)
    rng = np.random.default_rng(6)
    closes = worlds.prices(returns)
    closes = closes.mask(rng.random(closes.shape) < 0.02)
    matrices, structure, _ = _run(closes)
    assert structure["n_symbols"].eq(24).all()
    assert structure["status"].eq("ok").all()
    for _, day in matrices.groupby("ts"):
        for column in ("corr_shrunk", "corr_clipped"):
            assert np.linalg.eigvalsh(_square(day, column))[0] > -1e-10
    assert not np.allclose(matrices["corr_clipped"], matrices["corr_shrunk"], atol=1e-3)


def test_a_planted_lead_is_named_with_its_lag_and_no_lead_is_not() -> None:
    x = worlds.factor(HOURS, 4, seed=7)
    quiet = _run(worlds.prices(x))
    assert quiet[2]["leader"].isna().all()
    assert quiet[2]["lead_reason"].eq("no_significant_lead").all()
    assert quiet[1]["leading_asset"].isna().all()
    assert quiet[1]["status"].eq("ok").all()
    x[2:, 3] += 0.9 * x[:-2, 1]
    _, structure, leads = _run(worlds.prices(x))
    pair = leads[(leads["symbol_a"] == "C01/USDT") & (leads["symbol_b"] == "C03/USDT")]
    assert pair["leader"].eq("C01/USDT").all()
    assert pair["best_lag_h"].eq(2).all()
    assert (pair["net_lead"] > pair["critical_value"]).all()
    assert structure["leading_asset"].eq("C01/USDT").all()
    returns = np.log(worlds.prices(x)).diff()
    for row in pair.itertuples():
        now = returns.loc[: row.ts].iloc[-168:]
        now = ((now - now.mean()) / now.std(ddof=0)).to_numpy()
        forth, back = ((now[:-2, a] * now[2:, b]).sum() / 166 for a, b in ((1, 3), (3, 1)))
        assert row.lead_corr == pytest.approx(forth, rel=1e-9)
        assert row.net_lead == pytest.approx(forth - back, rel=1e-9)


def slow_leads(z: np.ndarray, there: np.ndarray, sign: np.ndarray, lags: int) -> np.ndarray:
    """How a leads b, [k - 1, a, b], as the mean product over the hours that both have."""
    n = z.shape[1]
    out = np.full((lags, n, n), np.nan)
    for k, a, b in itertools.product(range(1, lags + 1), range(n), range(n)):
        forth, back = ((there[:-k, x] & there[k:, y]).sum() for x, y in ((a, b), (b, a)))
        if a != b and min(forth, back) >= 20 - k:
            product = sign[:-k] * sign[k:] * z[:-k, a] * z[k:, b]
            out[k - 1, a, b] = product.sum() / forth
    return out


def test_leads_and_what_chance_shows_equal_plain_means() -> None:
    rng = np.random.default_rng(12)
    there = rng.random((60, 4)) > 0.15
    there[:45, 3] = False  # under 20 hours in common with anybody
    z = np.where(there, rng.normal(size=there.shape), 0.0)
    corr, limit = kernels.lead_lag(z, there, 3, 20, 5, 39, 0.05)
    np.testing.assert_allclose(corr, slow_leads(z, there, np.ones(60), 3), atol=1e-12)
    assert np.isnan(corr[:, 3]).all() and np.isfinite(corr[:, 0, 1]).all()
    chance = []
    for replicate in range(39):
        turned = slow_leads(z, there, kernels._signs(5, replicate, 60), 3)
        chance.append(np.nanmax(np.abs(turned - turned.transpose(0, 2, 1))))
    assert limit == pytest.approx(sorted(chance)[37], rel=1e-12)  # the 38th of 39 and one


@pytest.mark.slow
def test_a_world_without_leads_names_one_as_rarely_as_stated() -> None:
    """Clustered volatility and fat tails, where a plain permutation of hours rejects too often."""
    rng = np.random.default_rng(8)
    found, plain, worlds_seen = 0, 0, 400
    for seed in range(worlds_seen):
        shock = 0.7 * rng.standard_t(5, size=(168, 1)) + rng.standard_t(5, size=(168, 3))
        size = np.exp(np.repeat(rng.normal(0, 0.8, size=14), 12))  # calm and wild half-days
        z = shock * size[:, None]
        z = np.ascontiguousarray((z - z.mean(axis=0)) / z.std(axis=0))
        there = np.ones(z.shape, np.bool_)
        corr, limit = kernels.lead_lag(z, there, 3, 140, seed, 99, 0.05)
        net = np.abs(corr - corr.transpose(0, 2, 1))
        found += np.nanmax(net) > limit
        mixed = np.ascontiguousarray(z[rng.permutation(168)])
        plain += np.nanmax(net) > kernels.lead_lag(mixed, there, 3, 140, seed, 99, 0.05)[1]
    assert 0.02 < found / worlds_seen < 0.09  # 5 % +- 3.6 standard errors
    assert plain > found


def test_one_seed_gives_one_set_of_fair_signs() -> None:
    signs = np.array([kernels._signs(468_000, r, 168) for r in range(200)])
    again = kernels._signs(468_000, 7, 168)
    np.testing.assert_array_equal(signs[7], again)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / math.sqrt(signs.size)
    between = np.corrcoef(signs)[np.triu_indices(200, 1)]
    assert abs(between).max() < 5.5 / math.sqrt(168)
    assert not np.array_equal(signs[7], kernels._signs(468_001, 7, 168))


def test_frames_keep_the_contract_and_only_23_o_clock_has_rows() -> None:
    closes = worlds.prices(worlds.factor(HOURS, 4, seed=9))
    found = _run(closes)
    for name, frame in zip(NAMES, found, strict=True):
        which = table(f"correlation.{name}")
        assert list(frame.columns) == list(which.content)
        validate(frame, which)
        assert frame["ts"].dt.hour.eq(23).all()
        ordered = frame.sort_values(list(which.key)).reset_index(drop=True)
        pd.testing.assert_frame_equal(frame, ordered)
        assert frame["status"].eq("ok").all()
    assert [len(f) for f in found] == [24, 4, 24]
    for name, frame in zip(NAMES, _run(closes, FIRST, FIRST + timedelta(hours=23)), strict=True):
        assert frame.empty
        assert list(frame.columns) == list(table(f"correlation.{name}").content)


def test_any_chunking_and_any_later_price_give_the_same_bytes() -> None:
    closes = worlds.prices(worlds.factor(HOURS, 5, seed=10))
    closes = closes.mask(np.random.default_rng(11).random(closes.shape) < 0.01)
    end = FIRST + timedelta(days=3)
    whole = _run(closes, FIRST, end)
    cuts = [FIRST, FIRST + timedelta(hours=5), FIRST + timedelta(hours=47), end]
    parts = [
        _run(closes[closes.index >= s - parse_lookback("37d")], s, e)
        for s, e in itertools.pairwise(cuts)
    ]
    spoilt = closes.copy()
    spoilt.loc[spoilt.index >= pd.Timestamp(end)] = 1e-6
    later = _run(spoilt, FIRST, end)
    for i, name in enumerate(NAMES):
        joined = pd.concat([p[i] for p in parts]).sort_values(
            list(table(f"correlation.{name}").key)
        )
        pd.testing.assert_frame_equal(joined.reset_index(drop=True), whole[i], check_exact=True)
        pd.testing.assert_frame_equal(later[i], whole[i], check_exact=True)


def test_a_symbol_without_prices_leaves_the_matrix_and_the_others_stay() -> None:
    closes = worlds.prices(worlds.factor(HOURS, 5, seed=12))
    full = _run(closes)
    gone = closes.copy()
    gone.iloc[-40:, 2] = np.nan
    gone.loc[gone.index < pd.Timestamp(FIRST), "C04/USDT"] = np.nan
    last = gone.index[-1]
    matrices, structure, leads = (f[f["ts"] == last] for f in _run(gone))
    assert structure["n_symbols"].item() == 3
    assert structure["status"].item() == "partial"
    assert structure["reason"].item() == "symbols_left_out"
    assert json.loads(structure["leaf_order"].item())[0] == "C00/USDT"
    lost = matrices[(matrices["symbol_a"] == "C02/USDT") | (matrices["symbol_b"] == "C02/USDT")]
    assert lost["reason"].eq("under_140_common_returns").all()
    young = matrices["symbol_b"].eq("C04/USDT")
    assert set(lost["status"]) == {"missing", "insufficient_history"}
    assert matrices.loc[young, "status"].eq("insufficient_history").all()
    for frame, columns in (
        (matrices, ("corr_shrunk", "distance", "corr_clipped")),
        (leads, ("net_lead", "lead_corr", "critical_value", "leader", "best_lag_h")),
    ):
        out = frame["symbol_b"].isin(["C02/USDT", "C04/USDT"]) | frame["symbol_a"].eq("C02/USDT")
        assert frame.loc[out, list(columns)].isna().all(axis=None)
        assert frame.loc[~out, "status"].eq("ok").all()
        assert frame.loc[~out, columns[0]].notna().all()
    both = ["symbol_a", "symbol_b", "ts"]
    kept = matrices[matrices["status"] == "ok"].merge(full[0], on=both, suffixes=("", "_full"))
    assert (kept["corr_7d"] == kept["corr_7d_full"]).all()
    assert leads.loc[leads["net_lead"].isna(), "lead_reason"].eq("not_judged").all()


def test_a_universe_without_prices_is_null_with_a_reason() -> None:
    closes = worlds.prices(worlds.factor(HOURS, 3, seed=13))
    closes.iloc[-60:] = np.nan
    matrices, structure, leads = (f[f["ts"] == closes.index[-1]] for f in _run(closes))
    assert structure["status"].item() == "missing"
    assert structure["reason"].item() == "under_two_symbols"
    assert structure["n_symbols"].item() == 0
    numbers = ["shrinkage", "absorption_ratio", "leaf_order", "linkage", "critical_value"]
    assert structure[numbers].isna().all(axis=None)
    assert structure["is_psd_repaired"].isna().all()
    assert matrices["status"].eq("missing").all()
    assert leads["status"].eq("missing").all()


def test_two_symbols_need_no_shrinkage_and_one_has_no_pairs() -> None:
    closes = worlds.prices(worlds.factor(HOURS, 2, seed=14))
    matrices, structure, _ = _run(closes)
    assert structure["shrinkage"].eq(0).all()
    np.testing.assert_array_equal(matrices["corr_shrunk"], matrices["corr_7d"])
    assert all(f.empty for f in _run(closes[["C00/USDT"]]))


def test_a_stuck_price_is_not_applicable() -> None:
    closes = worlds.prices(worlds.factor(HOURS, 3, seed=15))
    closes.iloc[-200:, 1] = 50.0
    matrices, structure, _ = (f[f["ts"] == closes.index[-1]] for f in _run(closes))
    stuck = matrices[matrices["reason"] == "constant_returns"]
    assert len(stuck) == 2
    assert stuck["status"].eq("not_applicable").all()
    assert structure["n_symbols"].item() == 2
