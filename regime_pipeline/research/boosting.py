"""Boosted trees: fitted by scikit-learn, kept as ONNX, and only what ONNX says is ever used.

Belongs here: the fit, its export, its evaluation. Does not belong here: which models are made of trees
(``models``). The libraries are an extra of the package (``pip install 'regime-pipeline[models]'``); without
them these models are missing and everything else works.

Everything is float32 before the fit and after it: a threshold is rounded down to float32, so that ``x <= t``
keeps its truth for every float32 ``x``; rounded to the nearest it would not. One thread evaluates, so that
a row is the same alone and among others. Trees never see a null.
"""

from __future__ import annotations

import base64
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module, metadata
from typing import Any

import numpy as np
import numpy.typing as npt

from regime_pipeline.research.linear_fits import FitError

Floats = npt.NDArray[np.float64]

LIBRARIES = {"sklearn": "scikit-learn", "onnx": "onnx", "onnxruntime": "onnxruntime"}
"""Modules and what installs them."""
_SETTINGS = {
    "learning_rate": 0.05,
    "max_iter": 100,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 500,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "random_state": 0,
}
_OPSET_ML, _OPSET, _IR = 3, 17, 8
MOST_BYTES = 2 * 2**20


class MissingExtraError(RuntimeError):
    """The libraries that trees need are not installed."""


def is_installed() -> bool:
    """Whether models of trees can be fitted and evaluated here."""
    return all(importlib.util.find_spec(name) is not None for name in LIBRARIES)


def versions() -> dict[str, str]:
    """Versions of the libraries; empty without them."""
    return {name: metadata.version(name) for name in LIBRARIES.values()} if is_installed() else {}


def _library(name: str) -> Any:
    if not is_installed():
        raise MissingExtraError("pip install 'regime-pipeline[models]' installs what trees need")
    return import_module(name)


@dataclass(frozen=True)
class Trees:
    """A sum of trees as an ONNX model.

    Attributes:
        artefact: the model's bytes.
        residual_variance: of what was fitted; NaN for odds.
    """

    artefact: bytes
    residual_variance: float

    @classmethod
    def decoded(cls, text: str, residual_variance: float) -> Trees:
        """The trees that :meth:`stored` are of."""
        return cls(base64.b64decode(text), residual_variance)

    def stored(self) -> dict[str, Any]:
        """What is kept of it."""
        return {"onnx": base64.b64encode(self.artefact).decode()}

    @cached_property
    def _session(self) -> Any:
        runtime = _library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return runtime.InferenceSession(self.artefact, options, providers=["CPUExecutionProvider"])

    def at(self, features: Floats) -> Floats:
        """The sum of the leaves.

        Args:
            features: features x any shape; NaN where one is unknown, and so is the sum.
        """
        flat = features.reshape(len(features), -1)
        known = np.isfinite(flat).all(axis=0)
        out = np.full(flat.shape[1], np.nan)
        if known.any():
            rows = np.ascontiguousarray(flat[:, known].T.astype(np.float32))
            (found,) = self._session.run(None, {"x": rows})
            out[known] = found[:, 0]
        return out.reshape(features.shape[1:])


def boosted_values(features: Floats, values: Floats) -> Trees:
    """Trees for values, by squared losses.

    Args:
        features: features x rows, finite.
        values: of each row, finite.

    Raises:
        MissingExtraError: the libraries are not installed.
        FitError: too few rows.
    """
    return _boosted("HistGradientBoostingRegressor", features, values)


def boosted_odds(features: Floats, happened: Floats) -> Trees:
    """Trees for log odds, by log losses.

    Args:
        features: features x rows, finite.
        happened: 1 or 0 of each row.

    Raises:
        MissingExtraError: the libraries are not installed.
        FitError: too few rows, or one outcome only.
    """
    if not 0.0 < float(happened.mean()) < 1.0:
        raise FitError("one outcome only")
    return _boosted("HistGradientBoostingClassifier", features, happened)


def _boosted(kind: str, features: Floats, values: Floats) -> Trees:
    ensemble = _library("sklearn.ensemble")
    rows = np.ascontiguousarray(features.T.astype(np.float32))
    if len(rows) < 2 * int(_SETTINGS["min_samples_leaf"]):
        raise FitError(f"{len(rows)} rows for trees")
    model = getattr(ensemble, kind)(**_SETTINGS).fit(rows, values)
    artefact = exported(model, len(features))
    if len(artefact) > MOST_BYTES:
        raise FitError(f"trees of {len(artefact)} bytes")
    found = Trees(artefact, float("nan"))
    if kind.endswith("Classifier"):
        return found
    left = values - found.at(features)
    return Trees(artefact, float((left * left).mean()))


def rounded_down(thresholds: Floats) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each threshold."""
    near = thresholds.astype(np.float32)
    below = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > thresholds, below, near).astype(np.float32)


def exported(model: Any, features: int) -> bytes:
    """A fitted model of scikit-learn as ONNX: one node that adds up all trees.

    Args:
        model: regressor or classifier of two classes by histogram gradient boosting, fitted to float32.
        features: how many it looks at.

    Returns:
        Bytes of a model from ``x`` (rows x features, float32) to ``y`` (rows x 1): values, or log odds.
    """
    helper = _library("onnx.helper")
    floats = import_module("onnx").TensorProto.FLOAT
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    node: dict[str, list[Any]] = {name: [] for name in names}
    leaf: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree, (predictor,) in enumerate(model._predictors):
        rows = predictor.nodes
        is_leaf = rows["is_leaf"].astype(bool)
        count = len(rows)
        node["treeids"] += [tree] * count
        node["nodeids"] += range(count)
        node["featureids"] += np.where(is_leaf, 0, rows["feature_idx"]).tolist()
        node["modes"] += ["LEAF" if own else "BRANCH_LEQ" for own in is_leaf]
        thresholds = np.where(is_leaf, 0.0, rows["num_threshold"])
        node["values"] += rounded_down(thresholds).tolist()
        node["truenodeids"] += np.where(is_leaf, 0, rows["left"]).tolist()
        node["falsenodeids"] += np.where(is_leaf, 0, rows["right"]).tolist()
        ends = np.flatnonzero(is_leaf).tolist()
        leaf["treeids"] += [tree] * len(ends)
        leaf["nodeids"] += ends
        leaf["ids"] += [0] * len(ends)
        leaf["weights"] += rows["value"][is_leaf].tolist()
    one = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
        base_values=[float(np.ravel(model._baseline_prediction)[0])],
        **{f"nodes_{k}": v for k, v in node.items()},
        **{f"target_{k}": v for k, v in leaf.items()},
    )  # fmt: skip
    graph = helper.make_graph(
        [one],
        "trees",
        [helper.make_tensor_value_info("x", floats, [None, features])],
        [helper.make_tensor_value_info("y", floats, [None, 1])],
    )
    opsets = [helper.make_opsetid("ai.onnx.ml", _OPSET_ML), helper.make_opsetid("", _OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
    return bytes(made.SerializeToString(deterministic=True))
