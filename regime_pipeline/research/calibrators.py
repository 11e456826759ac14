"""The probability behind every score: a fit of each day, judged on months that it was not fitted on.

Belongs here: rows of ``signals.calibrators`` and ``signals.reliability``. Does not belong here: fits and
losses (``calibration``), which hours a fit learns from (``splits``), scores and costs (``passports``).

The definition in words: docs/research.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives
from regime_pipeline.catalogue.fields.research import CALIBRATION_SIDES
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.block_estimator import Weeks, rows_effective
from regime_pipeline.research import calibration as fits
from regime_pipeline.research import information, splits
from regime_pipeline.research.passports import HISTORY, History, histories_of
from regime_pipeline.research.rows import framed
from regime_pipeline.research.trials import BY_NAME, HEADLINE_H, SCORES
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid

METHOD = "calibrators/1"
TABLES = ("signals.calibrators", "signals.reliability")
BASE_LEAST_H = 120 * 24
"""Hours of labels before a month without which nothing is forecast for it."""
MONTH_H = 720
FAILURES_TO_WITHDRAW = 2

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """Scores with their labels, one row a symbol and hour, hours ascending.

    Attributes:
        hours: since 1970.
        cell: which of the 201 scores.
        true: 1 where the return passed the cost, else 0.
        symbol: index of the coin.
    """

    hours: Ints
    cell: Ints
    true: Floats
    symbol: Ints

    @classmethod
    def of(cls, history: History, signal: str, side: str) -> Labelled:
        """The labels of a signal over its headline horizon.

        Args:
            history: of the day.
            signal: name of a score.
            side: ``up``: the return is above the cost of the hour; ``down``: below its negative, and
                the score is turned round.
        """
        turn = 1.0 if side == "up" else -1.0
        scores = history.scores[signal]
        moved = 1e4 * turn * history.ranked[HEADLINE_H].panel
        there = np.isfinite(scores) & np.isfinite(moved)
        at, symbol = np.nonzero(there.T)  # hour by hour
        score = scores[symbol, at] if side == "up" else 100.0 - scores[symbol, at]
        true = (moved > history.cost_bps)[symbol, at].astype(np.float64)
        return cls(history.hours[at], fits.cells(score), true, symbol.astype(np.int64))

    def part(self, rows: slice) -> Labelled:
        """Some of the rows."""
        return Labelled(self.hours[rows], self.cell[rows], self.true[rows], self.symbol[rows])

    def counts(self) -> tuple[Floats, Floats]:
        """Labels and true ones at each of the 201 scores."""
        n = np.bincount(self.cell, minlength=201).astype(np.float64)
        return n, np.bincount(self.cell, self.true, 201).astype(np.float64)

    def effective(self) -> float:
        """How many independent labels they amount to."""
        if not len(self.hours):
            return 0.0
        weeks = Weeks.added(self.hours, np.ones(len(self.hours)), self.true)
        span = self.hours // HEADLINE_H
        seen = np.zeros((int(self.symbol.max()) + 1, int(span[-1] - span[0]) + 1), np.bool_)
        seen[self.symbol, span - span[0]] = True
        return rows_effective(weeks, float(np.count_nonzero(seen)))


@dataclass
class Forecasts:
    """What was forecast month by month, none of it by a fit that knew the month.

    Attributes:
        hours: of the rows, ascending.
        true: their labels.
        p: of the kind that had lost least until then.
        loss: its squared error.
        base_loss: squared error of the base.
        by_kind: log loss of each kind; NaN where it was not fitted.
    """

    hours: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    true: Floats = field(default_factory=lambda: np.empty(0))
    p: Floats = field(default_factory=lambda: np.empty(0))
    loss: Floats = field(default_factory=lambda: np.empty(0))
    base_loss: Floats = field(default_factory=lambda: np.empty(0))
    by_kind: dict[str, Floats] = field(default_factory=lambda: {k: np.empty(0) for k in fits.FITS})

    def add(self, rows: Labelled, base: float, tables: dict[str, Floats]) -> None:
        """Forecast the rows of one more month.

        Args:
            rows: of the month.
            base: rate of the fit's labels.
            tables: probabilities at the 201 scores, by kind.
        """
        chosen = self.best(tables)
        for kind in fits.FITS:
            lost = np.full(len(rows.cell), np.nan)
            if kind in tables:
                lost = fits.log_loss(tables[kind][rows.cell], rows.true)
            self.by_kind[kind] = np.concatenate([self.by_kind[kind], lost])
        p = tables[chosen][rows.cell]
        for name, own in (
            ("hours", rows.hours),
            ("true", rows.true),
            ("p", p),
            ("loss", (p - rows.true) ** 2),
            ("base_loss", (base - rows.true) ** 2),
        ):
            setattr(self, name, np.concatenate([getattr(self, name), own]))

    def best(self, tables: dict[str, Any]) -> str:
        """The kind to use next: the better of the curves; steps only where they surely lost less."""
        curves = [k for k in ("platt", "beta") if k in tables]
        if not len(self.hours):
            return curves[0]
        losses = self.by_kind
        both = np.isfinite(np.stack([losses[k] for k in curves])).all(axis=0)
        curve = min(curves, key=lambda k: float(losses[k][both].sum()))
        if "isotonic" in tables:
            shared = np.isfinite(losses["isotonic"]) & np.isfinite(losses[curve])
            gain = fits.Skill.of(
                self.hours[shared], losses["isotonic"][shared], losses[curve][shared]
            )
            if gain.low > 0:
                return "isotonic"
        return curve

    def skill(self, until: int) -> fits.Skill:
        """Brier skill over the base rate of the rows whose label was known at an hour."""
        known = slice(0, int(np.searchsorted(self.hours, until - 1 - HEADLINE_H, "right")))
        return fits.Skill.of(self.hours[known], self.loss[known], self.base_loss[known])


def fitted(labels: Labelled) -> tuple[dict[str, fits.Calibrator], float]:
    """Every kind that the labels are enough for, and the effective number of labels."""
    n_eff = labels.effective()
    if n_eff < fits.LEAST_LABELS:
        return {}, n_eff
    n, k = labels.counts()
    kinds = ("platt", "beta") if n_eff < fits.MANY_LABELS else tuple(fits.FITS)
    made = {kind: fits.FITS[kind](n, k) for kind in kinds}
    found = {kind: one for kind, one in made.items() if one is not None}
    return (found if "platt" in found or "beta" in found else {}), n_eff


def forecasts(labels: Labelled, first: int, as_of: int) -> tuple[Forecasts, bool, int]:
    """Walk forward through the months up to an hour.

    Args:
        labels: all that are known.
        first: first hour of the history.
        as_of: last hour, since 1970.

    Returns:
        The forecasts, whether the probability is published at ``as_of``, and the failed month-ends in a
        row.
    """
    made, is_calibrated, failed = Forecasts(), False, 0
    for month in splits.walk_forward(first + BASE_LEAST_H, as_of, HEADLINE_H):
        fit = labels.part(month.fit(labels.hours))
        if not len(fit.hours) or fit.hours[-1] - fit.hours[0] < BASE_LEAST_H - 48:
            continue
        maps, _ = fitted(fit)
        if maps:
            tables = {kind: one.table() for kind, one in maps.items()}
            made.add(labels.part(month.judged(labels.hours)), float(fit.true.mean()), tables)
        if month.ends > as_of + 1 or not len(made.hours):
            continue
        passes = made.skill(month.ends).low > 0
        failed = 0 if passes else failed + 1
        is_calibrated = passes or (is_calibrated and failed < FAILURES_TO_WITHDRAW)
    return made, is_calibrated or made.skill(as_of + 1).low > 0, failed


def of_signal(
    history: History, signal: str, side: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The calibrator of a signal and side at the end of a day, and its table of reliability."""
    as_of = int(history.hours[-1])
    labels = Labelled.of(history, signal, side)
    made, is_calibrated, _ = forecasts(labels, int(history.hours[0]), as_of)
    newest = labels.part(
        splits.Month(0, 0, as_of + 1 - splits.FIT_H, as_of + 1 - HEADLINE_H).fit(labels.hours)
    )
    maps, n_eff = fitted(newest)
    skill = made.skill(as_of + 1)
    scores = history.scores[signal]
    tier = history.tier[BY_NAME[signal].table]
    key = {"ts": as_of, "signal": signal, "horizon_h": HEADLINE_H, "calibration_side": side}
    row: dict[str, Any] = key | {
        "labels": len(newest.hours),
        "labels_eff": n_eff,
        "base_rate": float(newest.true.mean()) if len(newest.hours) else math.nan,
        "brier_skill": skill.skill,
        "brier_skill_low": skill.low,
        "brier_skill_high": skill.high,
        "is_calibrated": bool(maps) and is_calibrated,
        "verdict_raw": _verdict(history, signal),
        "signal_freshness": float(np.isfinite(scores[:, -1]).mean()),
        "signal_coverage": float(np.isfinite(scores[:, -MONTH_H:]).mean()),
        "status": "ok" if maps else "insufficient_history",
        "reason": None if maps else "under_200_effective_labels",
        "source_tier": tier if maps else math.nan,
    }
    if maps:
        kind = made.best(maps)
        n, k = newest.counts()
        row |= {
            "calibrator_kind": kind,
            "calibrator_params": json.dumps(maps[kind].params, sort_keys=True),
            "fit_from": int(newest.hours[0]),
            "fit_to": int(newest.hours[-1]),
            "labels_hash": hashlib.sha256(np.stack([n, k]).astype("<i8").tobytes()).hexdigest(),
            "calibration_reason": _why(made, row["is_calibrated"]),
        }
    found = list(_reliability(made, row))
    return row, [key | one for one in found]


def _why(made: Forecasts, is_calibrated: bool) -> str | None:
    if is_calibrated:
        return None
    return "no_skill_over_base_rate" if len(made.hours) else "no_month_was_forecast"


def _verdict(history: History, signal: str) -> str:
    pairs = information.Pairs.of(history.scores[signal], history.ranked[HEADLINE_H])
    return information.pooled(pairs, HEADLINE_H).verdict()[0]


def _reliability(made: Forecasts, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The bins, and their sums beside the calibrator, which gets them in place."""
    if not len(made.hours):
        return
    weeks = Weeks.added(made.hours, np.ones(len(made.hours)), made.true)
    found, place = fits.bins(made.hours, made.p, made.true, row["labels_eff"])
    if not found:
        return
    low, high = fits.error_interval(made.hours, made.p, made.true, place)
    ece = fits.calibration_error(found)
    row |= fits.murphy(made.p, made.true, place)
    row |= {"ece": ece, "ece_low": low, "ece_high": high}
    row["is_consistent"] = fits.is_consistent(found, weeks.blocks_effective())
    parts = row["signal_freshness"] * row["signal_coverage"]
    row["signal_health"] = 100.0 * parts * (1.0 - min(1.0, ece / 0.1))
    for number, one in enumerate(found):
        yield {
            "reliability_bin": number,
            "bin_rows": one.n,
            "bin_probability": one.p,
            "bin_observed": one.observed,
            "bin_observed_se": one.se,
            "status": "ok",
            "source_tier": row["source_tier"],
        }


@derives(*TABLES, step="signals__calibration", of_universe=True, **HISTORY)
def calibrators(
    components: pd.DataFrame,
    confluence: pd.DataFrame,
    futures_scores: pd.DataFrame,
    price_structure: pd.DataFrame,
    candles_1h: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    order_book_1h: pd.DataFrame,
    *,
    grid: Grid,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The calibrator of every score and side at the end of each day, and how reliable it was.

    A row is an artefact: it says all that is needed to map a score, and never changes. A probability is
    published only while the Brier skill of forecasts that no fit knew is above that of the base rate by
    more than chance, and withdrawn after two month-ends at which it is not.

    Args:
        components: rows of ``signals.components``, all that are stored; so are the others.
        confluence: of ``signals.confluence``.
        futures_scores: of ``signals.futures_scores``.
        price_structure: of ``features.price_structure``; events have no calibrator.
        candles_1h: of ``market.candles_1h``; only the perpetual's are used.
        volatility_regimes: of ``features.volatility_regimes``.
        order_book_1h: of ``market.order_book_1h``; costs of the hour.
        grid: hours owed; its 23:00 rows are put out.

    Returns:
        Content columns of ``signals.calibrators`` and of ``signals.reliability``, sorted by key.
        ``insufficient_history`` under 200 effective labels.
    """
    rows: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    frames = (components, confluence, futures_scores, price_structure, candles_1h)
    for history in histories_of(*frames, volatility_regimes, order_book_1h, grid=grid):
        for signal in SCORES:
            for side in CALIBRATION_SIDES:
                row, found = of_signal(history, signal.name, side)
                rows.append(row)
                parts += found
    version = method_version(METHOD)
    one, other = (framed(r, table(t), version) for r, t in zip((rows, parts), TABLES, strict=True))
    return one, other
