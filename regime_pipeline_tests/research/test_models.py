"""Forecasting models where the truth is known: fits, the walk forward, intervals, publication, promotion."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from regime_pipeline.catalogue.frames import empty, validate
from regime_pipeline.catalogue.registry import table
from regime_pipeline.research import (
    forecast_inputs,
    linear_fits,
    model_performance,
    model_scores,
    models,
)
from regime_pipeline.research.forecast_inputs import (
    DIRECTION,
    HAR,
    OUTSIDE,
    PRICE,
    VARIANCE,
    Prices,
    baseline,
    features,
    target,
)
from regime_pipeline.research.model_drift import CUSUM_LIMIT, cumulative, stability
from regime_pipeline.research.model_predictions import model_predictions
from regime_pipeline.windows import DAY, HOUR, Grid, Window, hours_between, utc
from regime_pipeline_tests.synthetic import long

END = utc("2024-07-01")
SYMBOLS = ("BTC/USDT", "C01/USDT")
DAYS = 640

Floats = npt.NDArray[np.float64]


@cache
def candles() -> pd.DataFrame:
    """Bars whose volatility lasts for days and moves in all coins together."""
    rng = np.random.default_rng(3)
    n = 24 * DAYS
    level = np.zeros(n)
    for k in range(1, n):
        level[k] = 0.99 * level[k - 1] + 0.1 * rng.standard_normal()
    parts = []
    hours = hours_between(END - timedelta(days=DAYS), END)
    for symbol in SYMBOLS:
        move = 0.005 * np.exp(level) * rng.standard_normal(n)
        close = 100.0 * np.exp(np.cumsum(move))
        before = np.concatenate([[100.0], close[:-1]])
        wick = 1.0 + 0.002 * rng.random(n)
        bars = {
            "open": before,
            "high": np.maximum(before, close) * wick,
            "low": np.minimum(before, close) / wick,
            "close": close,
        }
        parts.append(pd.DataFrame({"market": "perp", "symbol": symbol, "ts": hours, **bars}))
    return pd.concat(parts, ignore_index=True).assign(source_tier=1)


def grid(days: int, end: pd.Timestamp | object = END) -> Grid:
    return Grid.of(Window(end - timedelta(days=days), end), SYMBOLS)  # type: ignore[operator]


@cache
def registry() -> pd.DataFrame:
    return models.models(candles(), grid=grid(400))


def regimes() -> pd.DataFrame:
    rows = candles()[["symbol", "ts"]]
    return rows.assign(vol_regime_confirmed=np.where(rows["ts"].dt.day < 16, "STABLE", "HIGH_VOL"))


@cache
def judged(days: int = 4) -> pd.DataFrame:
    return model_performance.model_performance(
        registry(), candles(), regimes(), empty(table("signals.trials")), grid=grid(days)
    )


def whole(rows: pd.DataFrame, model: str) -> pd.Series:
    own = rows[(rows["model"] == model) & (rows["symbol"] == "*")]
    return own[own["passport_regime"] == "*"].iloc[-1]


# ---------------------------------------------------------------- fits


def test_least_squares_are_those_of_the_library_to_the_twelfth_digit() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 500))
    x[1] += 0.7 * x[0]
    y = 2.0 + 0.5 * x[0] - 1.5 * x[1] + 0.1 * x[2] + rng.standard_normal(500)
    found = linear_fits.least_squares(x, y)
    design = np.column_stack([np.ones(500), *x])
    expected, rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    np.testing.assert_allclose([found.intercept, *found.coefficients], expected, rtol=1e-12)
    assert found.residual_variance == pytest.approx(float(rss[0]) / 496, rel=1e-12)


def test_coefficients_that_may_not_be_negative_are_those_of_the_library() -> None:
    from scipy.optimize import nnls

    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 400))
    y = 1.0 + 0.8 * x[0] - 0.6 * x[1] + 0.3 * x[2] + 0.2 * rng.standard_normal(400)
    found = linear_fits.non_negative(x, y)
    away = x - x.mean(axis=1)[:, None]
    expected, _ = nnls(away.T, y - y.mean())
    np.testing.assert_allclose(found.coefficients, expected, atol=1e-9)
    assert min(found.coefficients) == 0.0


def test_a_logistic_fit_has_no_slope_left_and_finds_what_was_planted() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 20_000))
    p = linear_fits.probability(0.2 + 0.5 * x[0] - 0.3 * x[1])
    y = (rng.random(20_000) < p).astype("float64")
    found = linear_fits.logistic(x, y)
    left = y - linear_fits.probability(found.at(x))
    assert abs(float(left.sum())) < 1e-6 * len(y)
    np.testing.assert_allclose([found.intercept, *found.coefficients], [0.2, 0.5, -0.3], atol=0.06)


def test_rows_that_determine_no_fit_are_refused() -> None:
    x = np.ones((2, 50))
    for fit in (linear_fits.least_squares, linear_fits.non_negative, linear_fits.logistic):
        with pytest.raises(linear_fits.FitError):
            fit(x, np.ones(50))
        with pytest.raises(linear_fits.FitError):
            fit(x[:, :2], np.ones(2))


# ---------------------------------------------------------------- training


def test_a_label_that_is_not_known_at_the_months_end_teaches_nothing() -> None:
    spoilt = candles().copy()
    late = spoilt["ts"] >= pd.Timestamp(END) - pd.Timedelta(hours=1)
    spoilt.loc[late, ["high", "close"]] *= 3.0
    last = registry()["ts"] == pd.Timestamp(END - HOUR)
    before = registry()[last].set_index("model")
    changed = models.models(spoilt, grid=grid(1))
    after = changed[changed["ts"] == pd.Timestamp(END - HOUR)].set_index("model")
    # the newest bar is the label of rows a day back, and of no others
    row = before.loc["volatility_har"]
    assert row["trained_to"] == pd.Timestamp(END) - pd.Timedelta(hours=25)
    assert row["data_hash"] != after.loc["volatility_har", "data_hash"]
    spoilt = candles().copy()
    spoilt.loc[spoilt["ts"] >= pd.Timestamp(END), "close"] = 1.0
    assert models.models(spoilt, grid=grid(1)).equals(models.models(candles(), grid=grid(1)))


def test_the_version_names_data_and_specification_and_the_parameters_forecast() -> None:
    rows = registry()
    validate(rows, table("signals.models"))
    fits = rows[rows["status"] == "ok"]
    assert fits["model_version"].is_unique
    one = fits[fits["model"] == "volatility_har"].iloc[-1]
    fit = models.Fitted.stored(
        models.BY_NAME["volatility_har"], json.loads(one["model_parameters"])
    )
    assert models.canonical(fit.parameters) == one["model_parameters"]
    forecast = fit.forecast(np.log(np.full((3, 1), 4e-4)))
    assert fit.low <= forecast[0] <= fit.high
    assert 0.3 < sum(fit.parameters["coefficients"]) < 1.0  # what was wild stays so, less and less


def test_under_180_days_nothing_is_fitted_and_the_row_says_so() -> None:
    young = candles()[candles()["ts"] >= pd.Timestamp(END) - pd.Timedelta(days=200)]
    rows = models.models(young, grid=grid(1))
    assert set(rows["status"]) == {"insufficient_history"}
    assert set(rows["reason"]) == {"under_180_days_of_labels"}
    assert rows["model_parameters"].isna().all()


def test_a_month_that_is_not_over_has_no_fit() -> None:
    assert models.models(candles(), grid=grid(3, END - DAY)).empty


def test_a_model_is_a_trial_of_its_own_and_newer_data_are_the_same_trial() -> None:
    one, other = models.trials_of(SYMBOLS), models.trials_of(SYMBOLS[::-1])
    assert [t.trial_id for t in one] == [t.trial_id for t in other]
    assert len({t.trial_id for t in one}) == len(models.MODELS)
    assert models.trials_of(SYMBOLS[:1])[0].trial_id != one[0].trial_id
    wilder = replace(models.MODELS[0], inputs=HAR[:2])
    assert wilder.text(SYMBOLS) != one[0].spec


# ---------------------------------------------------------------- scores


def test_the_next_days_variance_is_the_sum_of_its_squared_returns() -> None:
    prices = Prices.of(candles(), grid(40))
    found = target(prices, VARIANCE)
    row = 800
    move = np.diff(prices.log_close[row : row + 25, 0])
    assert found[row, 0] == pytest.approx(float((move**2).sum()), rel=1e-12)
    assert np.isnan(found[-24:]).all()
    assert np.isfinite(features(prices, HAR)[:, 721:]).all()
    rising = target(prices, DIRECTION)
    assert rising[row, 1] == float(prices.close[row + 1, 1] > prices.close[row, 1])
    rate = baseline(prices, DIRECTION)[row, 0]
    assert rate == pytest.approx(np.nanmean(rising[:row]), abs=1e-12)


def test_the_features_of_a_row_are_the_same_wherever_the_array_begins() -> None:
    long, short = (Prices.of(candles(), grid(days)) for days in (60, 33))
    a, b = (features(p, (*PRICE, *HAR)) for p in (long, short))
    np.testing.assert_array_equal(a[:, -48:], b[:, -48:])


def outside() -> dict[str, pd.DataFrame]:
    """Implied volatility of bitcoin, and closures that come before a move."""
    prices = Prices.of(candles(), grid(500))
    hours = grid(500).hours
    ahead = np.nan_to_num(target(prices, VARIANCE), nan=1e-4)
    dvol = np.sqrt(365e4 * ahead.mean(axis=1))
    return {
        "implied_volatility": pd.DataFrame({"symbol": "BTC/USDT", "ts": hours, "dvol": dvol}),
        "liquidations_1h": long(SYMBOLS, hours, total_liquidation_usd=1e9 * ahead),
    }


def test_implied_volatility_and_closures_are_looked_at_where_they_are_known() -> None:
    more = outside()
    assert forecast_inputs.IMPLIED_OF in SYMBOLS
    without, both = Prices.of(candles(), grid(60)), Prices.of(candles(), grid(60), **more)
    assert np.isnan(features(without, OUTSIDE)).all()
    implied, closed = features(both, OUTSIDE)
    dvol = more["implied_volatility"]["dvol"].to_numpy()[-1]
    assert implied[-1] == pytest.approx(np.log((dvol / 100) ** 2 / 365))  # of every coin
    usd = more["liquidations_1h"].pivot(index="ts", columns="symbol")["total_liquidation_usd"]
    day, month = usd.iloc[-24:].mean(), usd.iloc[-720:].mean()
    assert closed[-1] == pytest.approx(np.log1p(day / month)[list(SYMBOLS)].to_numpy())
    quiet = more["liquidations_1h"].assign(total_liquidation_usd=0.0)
    assert np.isnan(features(Prices.of(candles(), grid(60), None, quiet), OUTSIDE)).all()


def test_a_model_without_its_inputs_says_so_and_with_them_is_fitted() -> None:
    month = grid(40)
    bare, fed = (models.models(candles(), grid=month, **m) for m in ({}, outside()))
    bare, fed = (f[f["model"] == "volatility_har_x"].iloc[-1] for f in (bare, fed))
    assert (bare["status"], bare["reason"]) == (
        "insufficient_history", "under_180_days_of_labels",
    )  # fmt: skip
    assert fed["status"] == "ok"
    slope = dict(
        zip(
            json.loads(fed["model_features"]),
            json.loads(fed["model_parameters"])["coefficients"],
            strict=True,
        )
    )
    assert slope["log_implied_variance"] > 0.3  # it was made of what comes


def test_losses_are_least_at_the_truth() -> None:
    truth = np.full((5, 1), 2.0)
    forecast = np.array([[0.5], [1.0], [2.0], [4.0], [np.nan]])
    found = model_scores.loss(VARIANCE, truth, forecast)[:, 0]
    assert int(np.nanargmin(found)) == 2
    assert found[2] == 0.0
    assert math.isnan(found[4])
    odds = model_scores.loss(DIRECTION, np.ones((2, 1)), np.array([[0.5], [0.9]]))
    np.testing.assert_allclose(odds[:, 0], [math.log(2), -math.log(0.9)])


def test_radii_are_the_order_statistics_that_hold_one_more_score() -> None:
    n = model_scores.LEAST_SCORES
    scores = np.arange(1.0, n + 1)[:, None]
    found = model_scores.radii(scores)[:, 0]
    assert found.tolist() == [math.ceil((n + 1) * level) for level in model_scores.LEVELS]
    assert np.isnan(model_scores.radii(scores[1:])).all()


def test_an_interval_of_90_percent_holds_90_percent_and_by_regime_too() -> None:
    row = whole(judged(), "volatility_har")
    assert 0.88 <= row["coverage_90"] <= 0.92
    parts = judged()[judged()["passport_regime"].isin(["STABLE", "HIGH_VOL"])]
    assert parts["coverage_90"].between(0.86, 0.94).all()
    assert len(parts) == 8  # two regimes on four days


def test_a_forecast_that_knows_something_is_published_and_one_of_noise_is_not() -> None:
    validate(judged(), table("signals.model_performance"))
    good, noise = (whole(judged(), name) for name in ("volatility_har", "direction_1h"))
    assert good["skill_low"] > 0.05
    assert good["is_published"]
    assert noise["skill_low"] < 0
    assert not noise["is_published"]
    assert noise["publication_reason"] == "no_skill_over_baseline"


def test_two_failing_months_withdraw_and_one_does_not() -> None:
    ends = model_performance._two_ends(int(END.timestamp()) // 3600)
    assert [pd.Timestamp(e, unit="h") for e in ends] == [
        pd.Timestamp("2024-06-01"),
        pd.Timestamp("2024-07-01"),
    ]
    bad = model_scores.Skill(0.1, -0.1, 0.3, days=300)
    assert not bad.passes
    assert model_performance._why(bad, [True, False]) is None
    assert model_performance._why(bad, [False, False]) == "no_skill_over_baseline"
    young = replace(bad, low=0.05, days=170)
    assert not young.passes
    assert model_performance._why(young, [False, False]) == "under_180_days_of_forecasts"


def _rivals(gain: float, late: float) -> model_performance.History:
    """Two models of the same target: the challenger loses less by ``gain``, in the last 60 days ``late``."""
    rng = np.random.default_rng(5)
    prices = Prices.of(candles(), grid(500))
    own = 0.4 + 0.05 * rng.standard_normal(prices.close.shape)
    recent = prices.hours > prices.hours[-1] - 61 * 24
    other = own - np.where(recent, late, gain)[:, None] + 0.01 * rng.standard_normal(own.shape)
    nothing = np.empty(0)
    made = {
        spec.name: model_performance.Forecasts(
            spec, nothing, nothing, losses, own, np.empty(0, np.int64), np.empty(0, object)
        )
        for spec in models.MODELS
        for losses in (other if spec.name == "volatility_har_gk" else own,)
    }
    return model_performance.History(
        prices, made, nothing, nothing, nothing, dict.fromkeys(models.TARGETS, 0)
    )


@pytest.mark.parametrize(
    ("gain", "late", "holder"),
    [
        (0.01, 0.01, "volatility_har_gk"),
        (0.01, -0.01, "volatility_har"),
        (0.0, 0.0, "volatility_har"),
    ],
    ids=["better", "no longer better", "alike"],
)
def test_a_challenger_takes_the_place_when_it_is_better_and_still_is(
    gain: float, late: float, holder: str
) -> None:
    history = _rivals(gain, late)
    spec, group = models.MODELS[1], models.MODELS[:2]
    found = model_performance._beats(
        history, spec, "volatility_har", group, int(END.timestamp()) // 3600
    )
    assert ("volatility_har_gk" if found > 0 else "volatility_har") == holder


# ---------------------------------------------------------------- drift


def test_a_slow_feature_without_drift_rarely_drifts_and_a_moved_one_does() -> None:
    rng = np.random.default_rng(7)
    false = moved = 0
    for _ in range(40):
        steps = rng.standard_normal(24 * 395)
        path = np.empty(len(steps))
        path[0] = steps[0]
        for k in range(1, len(steps)):
            path[k] = 0.97 * path[k - 1] + steps[k]
        training, recent = path[: -30 * 24, None], path[-30 * 24 :, None]
        index, limit = stability(training, recent)
        false += index > limit
        index, limit = stability(training, recent + 6.0)
        moved += index > limit
    assert false <= 8
    assert moved == 40


def test_losses_that_creep_up_are_noticed_and_noise_is_not() -> None:
    rng = np.random.default_rng(8)
    noise = rng.standard_normal(545)
    assert cumulative(noise.tolist()) < CUSUM_LIMIT
    noise[-40:] += 1.0
    assert cumulative(noise.tolist()) > CUSUM_LIMIT
    assert math.isnan(cumulative([0.0] * 50))


# ---------------------------------------------------------------- what is said


def _said(days: int = 1, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    return model_predictions(
        registry(), judged() if rows is None else rows, candles(), grid=grid(days)
    )


def test_a_published_model_speaks_and_another_is_null_with_its_reason() -> None:
    rows = _said()
    validate(rows, table("signals.model_predictions"))
    har = rows[rows["model"] == "volatility_har"]
    assert set(har["status"]) == {"ok"}
    assert (har["interval_50_frac"] < har["interval_95_frac"]).all()
    silent = rows[rows["model"] == "direction_1h"]
    assert silent["p_up"].isna().all()
    assert set(silent["reason"]) == {"no_skill_over_baseline"}


def test_what_is_said_does_not_depend_on_chunks_or_on_verdicts_of_the_same_day() -> None:
    both = _said(2)
    late = judged()["ts"] >= pd.Timestamp(END) - pd.Timedelta(days=2)
    tampered = judged().assign(is_published=~late & judged()["is_published"].fillna(False))
    tampered["is_published"] = tampered["is_published"].astype("boolean")
    alone = _said(1, tampered)
    last = both[both["ts"] >= pd.Timestamp(END) - pd.Timedelta(days=1)].reset_index(drop=True)
    pd.testing.assert_frame_equal(last, alone, check_exact=True)


def test_nobody_who_judged_lately_or_no_fit_means_nothing_is_said() -> None:
    rows = judged()
    old = rows.assign(ts=rows["ts"] - pd.Timedelta(days=11))
    late = _said(1, old)
    assert set(late.loc[late["model"] == "volatility_har", "reason"]) == {"not_judged"}
    none = model_predictions(registry().head(0), rows, candles(), grid=grid(1))
    assert set(none["reason"]) == {"no_model"}
    assert none[["volatility_forecast_frac", "p_up"]].isna().all(axis=None)
