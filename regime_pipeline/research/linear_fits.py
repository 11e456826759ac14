"""Linear fits whose every sum has a fixed order: the same bytes with any number of threads.

Belongs here: least squares, least squares with coefficients that are not negative, logistic regression. Does
not belong here: what is fitted (``models``). No library routine is used, because the sums of those depend on
the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from regime_pipeline.research.redundancy import inverse

Floats = npt.NDArray[np.float64]

_SWEEPS = 10_000
_STEPS = 50
_SETTLED = 1e-12
_RIDGE = 1e-6
"""Share of a row's information that keeps a separable logistic fit finite."""


class FitError(ValueError):
    """The rows do not determine a fit."""


@dataclass(frozen=True)
class Linear:
    """A linear function of features.

    Attributes:
        intercept: value at features of 0.
        coefficients: one a feature.
        residual_variance: of what was fitted, over the degrees of freedom; NaN for a logistic fit.
    """

    intercept: float
    coefficients: tuple[float, ...]
    residual_variance: float = math.nan

    def stored(self) -> dict[str, Any]:
        """What is kept of it."""
        return {"intercept": self.intercept, "coefficients": list(self.coefficients)}

    @property
    def artefact(self) -> bytes:
        """What stands for it in a digest."""
        return repr((self.intercept, self.coefficients)).encode()

    def at(self, features: Floats) -> Floats:
        """The function's values.

        Args:
            features: features x any shape.
        """
        out = np.full(features.shape[1:], self.intercept)
        for coefficient, feature in zip(self.coefficients, features, strict=True):
            out = out + coefficient * feature
        return out


def _centred(features: Floats, values: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Sums of products about the means, and the means."""
    count, rows = features.shape
    if rows < count + 2:
        raise FitError(f"{rows} rows for {count} coefficients")
    means = features.mean(axis=1)
    middle = float(values.mean())
    away = features - means[:, None]
    off = values - middle
    gram = np.empty((count, count))
    for i in range(count):
        for j in range(i + 1):
            gram[i, j] = gram[j, i] = float((away[i] * away[j]).sum())
    return gram, np.array([float((a * off).sum()) for a in away]), means, middle


def _finished(
    features: Floats, values: Floats, found: Floats, means: Floats, middle: float
) -> Linear:
    coefficients = tuple(float(b) for b in found)
    intercept = middle
    for coefficient, mean in zip(coefficients, means, strict=True):
        intercept -= coefficient * float(mean)
    left = values - Linear(intercept, coefficients).at(features)
    freedom = features.shape[1] - len(coefficients) - 1
    return Linear(intercept, coefficients, float((left * left).sum()) / freedom)


def least_squares(features: Floats, values: Floats) -> Linear:
    """Ordinary least squares with an intercept.

    Args:
        features: features x rows, finite.
        values: of each row, finite.

    Raises:
        FitError: too few rows, or features that depend on one another.
    """
    gram, cross, means, middle = _centred(features, values)
    scale = np.sqrt(np.diag(gram))
    if not (scale > 0).all():
        raise FitError("a feature never varies")
    turned = inverse(gram / scale[:, None] / scale[None, :])
    if turned is None:
        raise FitError("features depend on one another")
    standard = np.zeros(len(cross))
    for k, column in enumerate(turned.T):
        standard = standard + column * (cross[k] / scale[k])
    return _finished(features, values, standard / scale, means, middle)


def non_negative(features: Floats, values: Floats) -> Linear:
    """Least squares with an intercept and no coefficient under zero, one coordinate after the other.

    Args:
        features: features x rows, finite.
        values: of each row, finite.

    Raises:
        FitError: too few rows, or a feature that never varies.
    """
    gram, cross, means, middle = _centred(features, values)
    if not (np.diag(gram) > 0).all():
        raise FitError("a feature never varies")
    found = [0.0] * len(cross)
    for _ in range(_SWEEPS):
        change = 0.0
        for k in range(len(found)):
            rest = float(cross[k])
            for j, other in enumerate(found):
                if j != k:
                    rest -= float(gram[k, j]) * other
            new = max(0.0, rest / float(gram[k, k]))
            change = max(change, abs(new - found[k]))
            found[k] = new
        if change < _SETTLED:
            break
    return _finished(features, values, np.array(found), means, middle)


def logistic(features: Floats, happened: Floats) -> Linear:
    """Logistic regression with an intercept by Newton's steps; the function's values are log odds.

    Args:
        features: features x rows, finite, of like scales.
        happened: 1 or 0 of each row.

    Raises:
        FitError: too few rows, one outcome only, or steps that do not settle.
    """
    count, rows = features.shape
    if rows < count + 2 or not 0.0 < float(happened.mean()) < 1.0:
        raise FitError(f"{rows} rows for {count} coefficients, or one outcome only")
    design = np.concatenate([np.ones((1, rows)), features])
    rate = float(happened.mean())
    found = np.zeros(count + 1)
    found[0] = math.log(rate / (1.0 - rate))
    hessian = np.empty((count + 1, count + 1))
    for _ in range(_STEPS):
        p = probability(Linear(float(found[0]), tuple(found[1:].tolist())).at(features))
        weight = p * (1.0 - p)
        off = happened - p
        slope = np.array([float((x * off).sum()) for x in design])
        for i in range(count + 1):
            weighted = design[i] * weight
            for j in range(i + 1):
                hessian[i, j] = hessian[j, i] = float((weighted * design[j]).sum())
            hessian[i, i] += _RIDGE * rows if i else 0.0
        slope[1:] -= _RIDGE * rows * found[1:]
        turned = inverse(hessian / rows)
        if turned is None:
            raise FitError("features depend on one another")
        step = np.zeros(count + 1)
        for k, column in enumerate(turned.T):
            step = step + column * (slope[k] / rows)
        found = found + step
        if float(np.abs(step).max()) < 1e-10:
            return Linear(float(found[0]), tuple(found[1:].tolist()))
    raise FitError("the steps of a logistic fit do not settle")


def probability(log_odds: Floats) -> Floats:
    """Log odds as probabilities."""
    return 1.0 / (1.0 + np.exp(-log_odds))
