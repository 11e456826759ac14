"""From scores to probabilities: fits, what they are worth where they were not fitted, when they are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.frames import validate
from regime_pipeline.research import calibration as fits
from regime_pipeline.research.calibrators import Labelled, calibrators, forecasts, of_signal
from regime_pipeline.research.passports import History, histories_of
from regime_pipeline.research.trials import HEADLINE_H, SCORES
from regime_pipeline_tests.research import worlds


def counts(truth: np.ndarray, labels: float = 1e4) -> tuple[np.ndarray, np.ndarray]:
    """Labels at every score, true as often as a curve says."""
    n = np.full(201, labels)
    return n, n * truth


def test_platt_finds_the_logistic_curve_that_labels_follow() -> None:
    truth = 1 / (1 + np.exp(-(0.3 + 1.5 * (fits.SCORES - 50) / 50)))
    found = fits.platt(*counts(truth))
    assert found is not None
    assert found.params["weights"] == pytest.approx([0.3, 1.5], abs=2e-3)
    assert found.table() == pytest.approx(truth, abs=1e-3)


def test_beta_finds_its_curve_and_never_falls() -> None:
    share = np.clip(fits.SCORES / 100, 0.005, 0.995)
    truth = 1 / (1 + np.exp(-(0.2 + 0.8 * np.log(share) - 1.3 * np.log1p(-share))))
    found = fits.beta(*counts(truth))
    assert found is not None
    assert found.params["weights"] == pytest.approx([0.2, 0.8, 1.3], abs=5e-3)
    falling = fits.beta(*counts(truth[::-1]))
    assert falling is not None and min(falling.params["weights"][1:]) >= 0
    assert np.ptp(falling.table()) == pytest.approx(0.0, abs=1e-9)


def test_platt_draws_its_targets_in() -> None:
    n = np.zeros(201)
    n[[0, 200]] = 10
    found = fits.platt(n, np.where(fits.SCORES == 100, 10.0, 0.0))
    assert found is not None  # 11/12 of a true label, 1/12 of a false one
    assert found.table()[[0, 200]] == pytest.approx([1 / 12, 11 / 12], abs=1e-9)


def test_isotonic_pools_what_falls_and_has_thirty_labels_in_a_step() -> None:
    n, k = np.zeros(201), np.zeros(201)
    n[[20, 80, 120, 180]], k[[20, 80, 120, 180]] = [40, 40, 10, 40], [10, 30, 9, 24]
    found = fits.isotonic(n, k)
    assert found is not None
    # 30 of 40, then 9 of 10 with 24 of 40, which is less: all three are one step
    assert found.params["p"] == pytest.approx([11 / 42, 64 / 92])
    assert (np.diff(found.table()) >= 0).all()
    assert found.table()[[0, 79, 80, 200]] == pytest.approx([11 / 42] * 2 + [64 / 92] * 2)


def test_the_parts_of_a_brier_score_add_up_to_it() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.2, 0.8, 5000)
    true = (rng.random(5000) < p).astype(float)
    found, place = fits.bins(np.arange(5000), p, true, 400.0)
    assert len(found) == 13
    parts = fits.murphy(p, true, place)
    total = parts["murphy_reliability"] - parts["murphy_resolution"] + parts["murphy_uncertainty"]
    total += parts["murphy_within_variance"] - parts["murphy_within_covariance"]
    assert total == pytest.approx(parts["brier"], abs=1e-14)
    assert parts["brier"] == pytest.approx(((p - true) ** 2).mean())
    assert fits.is_consistent(found, 7.0) is True
    off, place = fits.bins(np.arange(5000), p / 2, true, 400.0)
    assert fits.is_consistent(off, 7.0) is False
    low, high = fits.error_interval(np.arange(5000), p / 2, true, place)
    assert 0.2 < low < fits.calibration_error(off) < high < 0.3


def test_few_labels_have_no_bins_and_say_nothing() -> None:
    assert fits.bins(np.arange(9), np.full(9, 0.5), np.zeros(9), 59.0)[0] == []
    assert np.isnan(fits.calibration_error([])) and fits.is_consistent([], 9.0) is None
    assert np.isnan(fits.Skill.of(np.empty(0, np.int64), np.empty(0), np.empty(0)).low)


def frames(world: worlds.World) -> dict[str, pd.DataFrame]:
    return {n: f for n, f in world.frames().items() if n not in ("trials", "trial_days")}


@cache
def known() -> worlds.World:
    """250 days of two coins without costs to speak of: momentum knows much of the next hour."""
    return worlds.world(250, symbols=2, edge={"momentum": 0.6})


@cache
def history() -> History:
    (found,) = histories_of(**frames(known()), grid=worlds.grid(1, symbols=2))
    return found


def test_what_knows_the_return_is_calibrated_and_noise_is_not() -> None:
    good, reliable = of_signal(history(), "momentum", "up")
    assert good["is_calibrated"] and good["brier_skill_low"] > 0
    assert good["calibration_reason"] is None and good["status"] == "ok"
    assert 0 <= good["signal_health"] <= 100 and len(reliable) >= 2
    bad, _ = of_signal(history(), "volume", "up")
    assert not bad["is_calibrated"] and bad["calibration_reason"] == "no_skill_over_base_rate"
    down, _ = of_signal(history(), "momentum", "down")
    assert down["is_calibrated"]  # turned round, it knows of falls


def test_no_month_is_forecast_by_a_fit_that_knew_it() -> None:
    labels = Labelled.of(history(), "momentum", "up")
    first, as_of = int(history().hours[0]), int(history().hours[-1])
    whole, _, _ = forecasts(labels, first, as_of)
    months = np.unique(whole.hours.astype("datetime64[h]").astype("datetime64[M]"))
    begin = int(months[-1].astype("datetime64[h]").astype(np.int64))
    late = labels.hours >= begin - HEADLINE_H
    spoilt = replace(labels, true=np.where(late, 1.0 - labels.true, labels.true))
    other, _, _ = forecasts(spoilt, first, as_of)
    assert np.array_equal(whole.p, other.p) and not np.array_equal(whole.true, other.true)


def test_a_row_is_an_artefact_of_what_was_known_and_fits_its_table() -> None:
    made = calibrators(**frames(known()), grid=worlds.grid(1, symbols=2))
    for found, name in zip(made, ("signals.calibrators", "signals.reliability"), strict=True):
        item = table(name)
        loose = replace(item, required=item.required - item.bookkeeping)
        validate(found.assign(ingested_at=None, revision=None, run_id=None), loose)
        assert len(found)
    one = made[0]
    assert len(one) == 2 * len(SCORES) and one["labels_hash"].notna().all()
    kind, params = one.loc[0, ["calibrator_kind", "calibrator_params"]]
    assert fits.Calibrator(kind, json.loads(params)).table().shape == (201,)
    assert (one["fit_to"] <= one["ts"] - pd.Timedelta(hours=HEADLINE_H)).all()
    short = calibrators(**frames(worlds.world(3, symbols=2)), grid=worlds.grid(1, symbols=2))[0]
    assert (
        set(short["status"]) == {"insufficient_history"} and short["calibrator_kind"].isna().all()
    )


@pytest.mark.slow
def test_noise_publishes_at_most_one_time_in_twenty() -> None:
    """The rule of publication over 80 worlds of persistent noise, a year each."""
    published = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        hours = np.arange(400_000, 400_000 + 365 * 24)
        score = np.zeros(len(hours))
        for t, shock in enumerate(rng.standard_normal(len(hours))):
            score[t] = 0.97 * score[t - 1] + 0.243 * shock if t else shock
        moved = np.convolve(rng.standard_normal(len(hours) + 3), np.ones(4), "valid")
        cells = fits.cells(np.clip(50 + 15 * score, 0, 100))
        labels = Labelled(hours, cells, (moved > 0.2).astype(float), np.zeros(len(hours), np.int64))
        published += forecasts(labels, int(hours[0]), int(hours[-1]))[1]
    assert published / 80 <= 0.05
