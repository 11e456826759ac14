"""From a score to a probability: the fits, and what a probability was worth where it was not fitted.

Belongs here: Platt scaling, beta calibration and isotonic regression over counts by score, losses, the table
of reliability, Murphy's decomposition, the expected calibration error. Pure. Does not belong here: which
hours a fit learns from (``splits``), rows of tables (``calibrators``).

Scores are rounded to half a point, so that all a fit needs is how often the label was true at each of 201
scores. Sums go in a fixed order; nothing depends on the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regime_pipeline.numerics.block_estimator import Weeks, t_quantile, variance

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCORES = np.arange(201) / 2.0
LEAST_LABELS, MANY_LABELS = 200.0, 1000.0
"""Effective labels from which anything is fitted, and isotonic regression too."""
LEAST_IN_STEP = 30.0
MOST_BINS, ROWS_IN_BIN = 15, 30.0
_EDGE = 0.005
"""Of a score as a share: the logarithm of 0 has no place in a fit."""
_STEPS = 50


def cells(scores: Floats) -> Ints:
    """Which of the 201 scores each is, -1 where it is null."""
    known = np.isfinite(scores)
    place = np.rint(2.0 * np.clip(np.where(known, scores, 0.0), 0.0, 100.0)).astype(np.int64)
    return np.where(known, place, -1)


@dataclass(frozen=True)
class Calibrator:
    """A map from score to probability.

    Attributes:
        kind: ``platt``, ``beta`` or ``isotonic``.
        params: the numbers of the fit, by name.
    """

    kind: str
    params: dict[str, list[float]]

    def table(self) -> Floats:
        """Probability of each of the 201 scores."""
        if self.kind == "isotonic":
            at = np.searchsorted(self.params["from"], SCORES, side="right") - 1
            return np.asarray(self.params["p"])[np.maximum(at, 0)]
        weights = np.asarray(self.params["weights"])
        columns = _platt_columns() if self.kind == "platt" else _beta_columns()
        return _logistic((columns * weights[:, None]).sum(axis=0))


def _logistic(z: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -35.0, 35.0)))


def _platt_columns() -> Floats:
    return np.stack([np.ones(201), (SCORES - 50.0) / 50.0])


def _beta_columns() -> Floats:
    share = np.clip(SCORES / 100.0, _EDGE, 1.0 - _EDGE)
    return np.stack([np.ones(201), np.log(share), -np.log1p(-share)])


def _fitted(columns: Floats, n: Floats, target: Floats) -> Floats | None:
    """Weights of a logistic regression on counts by Newton's method; None where it finds none."""
    from regime_pipeline.research.redundancy import inverse

    weights = np.zeros(len(columns))
    for _ in range(_STEPS):
        p = _logistic((columns * weights[:, None]).sum(axis=0))
        gradient = (columns * (target - n * p)).sum(axis=1)
        curve = n * p * (1.0 - p)
        hessian = (columns[:, None, :] * columns[None, :, :] * curve).sum(axis=2)
        back = inverse(hessian / max(float(curve.sum()), 1e-300))
        if back is None:
            return None
        step = (back * gradient).sum(axis=1) / float(curve.sum())
        weights = weights + np.clip(step, -5.0, 5.0)
        if float(np.abs(step).max()) < 1e-12:
            break
    return weights if np.isfinite(weights).all() else None


def _smoothed(n: Floats, k: Floats) -> Floats:
    """Sum of Platt's targets at each score: (k+1)/(n+2) of a true label, 1/(n+2) of a false one."""
    true, false = float(k.sum()), float(n.sum() - k.sum())
    return k * ((true + 1.0) / (true + 2.0)) + (n - k) * (1.0 / (false + 2.0))


def platt(n: Floats, k: Floats) -> Calibrator | None:
    """Platt (1999): a logistic curve of the score, targets drawn in.

    Args:
        n: labels at each of the 201 scores.
        k: true ones among them.
    """
    weights = _fitted(_platt_columns(), n, _smoothed(n, k))
    return None if weights is None else Calibrator("platt", {"weights": weights.tolist()})


def beta(n: Floats, k: Floats) -> Calibrator | None:
    """Kull, Silva Filho & Flach (2017): a beta curve with exponents of 0 or more.

    Args:
        n: labels at each of the 201 scores.
        k: true ones among them.
    """
    columns, target = _beta_columns(), _smoothed(n, k)
    kept = [0, 1, 2]
    while True:
        weights = _fitted(columns[kept], n, target)
        if weights is None:
            return None
        worst = int(np.argmin(weights[1:])) + 1 if len(kept) > 1 else 0
        if not worst or weights[worst] >= 0.0:
            break
        del kept[worst]
    whole = np.zeros(3)
    whole[kept] = weights
    return Calibrator("beta", {"weights": whole.tolist()})


def isotonic(n: Floats, k: Floats) -> Calibrator | None:
    """Zadrozny & Elkan (2002): steps that never fall, of 30 labels at least, drawn in by one label each.

    Args:
        n: labels at each of the 201 scores.
        k: true ones among them.
    """
    steps: list[list[float]] = []  # first score, labels, true ones
    for score, count, true in zip(SCORES, n, k, strict=True):
        if steps and steps[-1][1] < LEAST_IN_STEP:
            steps[-1][1] += count
            steps[-1][2] += true
        elif count > 0 or not steps:
            steps.append([float(score), float(count), float(true)])
        while len(steps) > 1 and steps[-2][2] * steps[-1][1] >= steps[-1][2] * steps[-2][1]:
            _, count_above, true_above = steps.pop()
            steps[-1][1] += count_above
            steps[-1][2] += true_above
    if not steps or steps[0][1] <= 0:
        return None
    return Calibrator(
        "isotonic",
        {"from": [s[0] for s in steps], "p": [(s[2] + 1.0) / (s[1] + 2.0) for s in steps]},
    )


FITS = {"platt": platt, "beta": beta, "isotonic": isotonic}


def log_loss(p: Floats, true: Floats) -> Floats:
    """Loss of each probability; it is never 0 or 1 here."""
    return -np.where(true > 0, np.log(p), np.log1p(-p))


@dataclass(frozen=True)
class Skill:
    """How much less is lost than by another forecast; NaN: it can't be said.

    Attributes:
        skill: share of the other one's loss that is saved.
        low: lower 95 % bound by blocks of weeks.
        high: upper bound.
    """

    skill: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, hours: Ints, loss: Floats, other: Floats) -> Skill:
        """Compare two losses of the same rows.

        Args:
            hours: of the rows, since 1970.
            loss: of the forecast.
            other: of the one that it is compared with.
        """
        total = float(other.sum())
        if not len(hours) or total <= 0:
            return cls()
        weeks = Weeks.added(hours, np.ones(len(hours)), other - loss)
        spread = variance(weeks)
        error = math.sqrt(spread) if spread >= 0 else math.nan
        half = error * t_quantile(0.95, weeks.blocks_effective())
        base = total / len(hours)
        return cls(weeks.share / base, (weeks.share - half) / base, (weeks.share + half) / base)


@dataclass(frozen=True)
class Bin:
    """Rows whose probabilities lie side by side.

    Attributes:
        n: rows.
        p: their mean probability.
        observed: how often the label was true.
        se: standard error of it by blocks of weeks; NaN: all rows lie in one block.
    """

    n: int
    p: float
    observed: float
    se: float


def bins(hours: Ints, p: Floats, true: Floats, n_eff: float) -> tuple[list[Bin], Ints]:
    """Rows in bins of about equal size by their probability; equal probabilities stay together.

    Args:
        hours: of the rows, since 1970.
        p: their probabilities.
        true: 1 where the label was true.
        n_eff: independent rows that they amount to; each bin wants 30.

    Returns:
        The bins, and the one of each row. None under 60 effective rows.
    """
    count = int(min(MOST_BINS, n_eff // ROWS_IN_BIN)) if math.isfinite(n_eff) else 0
    if count < 2 or not len(p):
        return [], np.zeros(len(p), np.int64)
    edges = np.quantile(p, np.arange(1, count) / count)
    _, place = np.unique(np.searchsorted(edges, p, side="right"), return_inverse=True)
    out = []
    for b in range(int(place.max()) + 1):
        own = place == b
        weeks = Weeks.added(hours[own], np.ones(int(own.sum())), true[own])
        spread = variance(weeks)
        se = math.sqrt(spread) if spread >= 0 else math.nan
        out.append(Bin(int(own.sum()), float(p[own].mean()), float(true[own].mean()), se))
    return out, place.astype(np.int64)


def is_consistent(found: list[Bin], blocks_effective: float) -> bool | None:
    """Whether no bin's share is further from its probability than chance allows, all bins together.

    None where there are no bins, or one has no error.
    """
    if not found or any(not b.se > 0 for b in found):
        return None
    bound = t_quantile(1.0 - 0.05 / len(found), blocks_effective)
    return all(abs(b.observed - b.p) <= bound * b.se for b in found)


def calibration_error(found: list[Bin]) -> float:
    """Mean distance of share and probability over the bins, by their rows; NaN without bins."""
    total = sum(b.n for b in found)
    return sum(b.n * abs(b.observed - b.p) for b in found) / total if total else math.nan


def error_interval(
    hours: Ints, p: Floats, true: Floats, place: Ints, draws: int = 500
) -> tuple[float, float]:
    """95 % interval of the calibration error: blocks of 14 days drawn anew, always the same way.

    The error is never below 0 and rather too large: an interval that begins above 0 proves nothing.
    """
    block = np.unique((hours - 96) // 336, return_inverse=True)[1]
    width = int(place.max()) + 1 if len(place) else 0
    if width < 2 or int(block.max()) < 7:
        return math.nan, math.nan
    cell = block * width + place
    shape = (int(block.max()) + 1, width)
    n, gap = (
        np.bincount(cell, w, shape[0] * width).reshape(shape) for w in (np.ones(len(p)), true - p)
    )
    drawn = np.random.default_rng(14).integers(0, shape[0], (draws, shape[0]))
    total = n[drawn].sum(axis=1)
    off = np.abs(gap[drawn].sum(axis=1)).sum(axis=1) / total.sum(axis=1)
    low, high = np.quantile(off, [0.025, 0.975])
    return float(low), float(high)


def murphy(p: Floats, true: Floats, place: Ints) -> dict[str, float]:
    """Brier score and its parts: it is exactly their sum (Stephenson, Coelho & Jolliffe 2008).

    brier = reliability - resolution + uncertainty + within-bin variance - within-bin covariance.

    Args:
        p: probabilities, at least one.
        true: 1 where the label was true.
        place: bin of each row.
    """
    total = float(len(p))
    n = np.bincount(place).astype(np.float64)
    mean_p, mean_y = np.bincount(place, p) / n, np.bincount(place, true) / n
    base = float(true.mean())
    off = p - mean_p[place]
    return {
        "brier": float(((p - true) ** 2).mean()),
        "murphy_reliability": float((n * (mean_p - mean_y) ** 2).sum()) / total,
        "murphy_resolution": float((n * (mean_y - base) ** 2).sum()) / total,
        "murphy_uncertainty": base * (1.0 - base),
        "murphy_within_variance": float((off * off).sum()) / total,
        "murphy_within_covariance": 2.0 * float((off * (true - mean_y[place])).sum()) / total,
    }
