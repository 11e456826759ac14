"""Trees as ONNX: what the library that fitted them says at every threshold, alone and among others.

The libraries are an extra; where they are not installed, only what the pipeline says then is tried.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from regime_pipeline.research import boosting
from regime_pipeline.research.linear_fits import FitError
from regime_pipeline.research.models import MODELS, Training, _registered

WITH_EXTRA = pytest.mark.skipif(
    not boosting.is_installed(), reason="the libraries of the extra `models` are not installed"
)

Floats = npt.NDArray[np.float64]


@cache
def rows() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((4, 6000)).astype(np.float32).astype(np.float64)
    return x, np.sin(2 * x[0]) + 0.5 * x[1] * (x[2] > 0) + 0.1 * rng.standard_normal(6000)


def at_thresholds(model: object, features: int) -> npt.NDArray[np.float32]:
    """Rows whose values are the thresholds of all trees and their neighbours in float32."""
    base = np.random.default_rng(5)
    out = []
    for (predictor,) in model._predictors:  # type: ignore[attr-defined]
        for node in predictor.nodes[predictor.nodes["is_leaf"] == 0]:
            near = np.float32(node["num_threshold"])
            around = (np.nextafter(near, np.float32(s * np.inf)) for s in (-1, 1))
            for value in (near, *around):
                row = base.standard_normal(features).astype(np.float32)
                row[node["feature_idx"]] = value
                out.append(row)
    return np.array(out)


def test_a_threshold_rounded_down_keeps_the_truth_of_every_comparison() -> None:
    rng = np.random.default_rng(6)
    thresholds = rng.standard_normal(2000)
    down = boosting.rounded_down(thresholds)
    for value in (down, np.nextafter(down, np.float32(-9)), np.nextafter(down, np.float32(9))):
        assert ((value <= down) == (value.astype("float64") <= thresholds)).all()
    nearest = thresholds.astype(np.float32)
    assert ((nearest <= nearest) != (nearest.astype("float64") <= thresholds)).any()


@pytest.mark.skipif(boosting.is_installed(), reason="the libraries are there")
def test_without_the_libraries_a_model_of_trees_is_missing_and_the_row_says_why() -> None:
    inputs, labels = rows()
    training = Training(inputs, np.exp(labels), 0, 8000, 8000)
    (spec,) = (m for m in MODELS if m.name == "volatility_boosting")
    found = _registered(spec, training, ("BTC/USDT",))
    assert (found["status"], found["reason"]) == (
        "missing",
        "libraries_of_models_are_not_installed",
    )
    with pytest.raises(boosting.MissingExtraError, match=r"regime-pipeline\[models\]"):
        boosting.boosted_values(inputs, labels)


@WITH_EXTRA
@pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
def test_the_export_says_what_the_library_says_at_and_beside_every_threshold(kind: str) -> None:
    from sklearn import ensemble

    inputs, labels = rows()
    values = labels if kind == "Regressor" else (labels > 0).astype("float64")
    model = getattr(ensemble, f"HistGradientBoosting{kind}")(max_iter=40, random_state=0)
    model.fit(inputs.T.astype(np.float32), values)
    near = at_thresholds(model, len(inputs))
    expected = model._raw_predict(near)[:, 0]
    trees = boosting.Trees(boosting.exported(model, len(inputs)), float("nan"))
    found = trees.at(near.T.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6)


@WITH_EXTRA
def test_a_row_is_the_same_alone_among_eight_and_in_bulk() -> None:
    inputs, labels = rows()
    trees = boosting.boosted_values(inputs, labels)
    bulk = trees.at(inputs)
    eight = np.concatenate([trees.at(inputs[:, k : k + 8]) for k in range(0, 400, 8)])
    alone = np.concatenate([trees.at(inputs[:, k : k + 1]) for k in range(400)])
    np.testing.assert_array_equal(bulk[:400], eight)
    np.testing.assert_array_equal(bulk[:400], alone)
    again = boosting.Trees.decoded(trees.stored()["onnx"], trees.residual_variance)
    np.testing.assert_array_equal(again.at(inputs), bulk)


@WITH_EXTRA
def test_a_null_goes_into_no_tree() -> None:
    inputs, labels = rows()
    trees = boosting.boosted_values(inputs, labels)
    holed = inputs[:, :6].reshape(4, 3, 2).copy()
    holed[1, 2, 0] = np.nan
    found = trees.at(holed)
    assert np.isnan(found[2, 0])
    assert np.isfinite(found).sum() == 5


@WITH_EXTRA
def test_one_thread_and_two_give_the_same_bytes() -> None:
    from threadpoolctl import threadpool_limits

    inputs, labels = rows()
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            made.append(boosting.boosted_values(inputs, labels).artefact)
    assert made[0] == made[1]


@WITH_EXTRA
def test_rows_that_are_too_few_or_all_alike_make_no_trees() -> None:
    inputs, labels = rows()
    with pytest.raises(FitError):
        boosting.boosted_values(inputs[:, :100], labels[:100])
    with pytest.raises(FitError):
        boosting.boosted_odds(inputs, np.ones(len(labels)))
