"""The forecasting models: what each looks at, how it is fitted at a month's end, the registry's rows.

Belongs here: the list of models, one fit, its version, ``signals.models``. Does not belong here: what they
forecast hour by hour (``model_predictions``), what that has been worth (``model_performance``).

The definition in words: docs/models.md.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import to_panel
from regime_pipeline.research.boosting import (
    MissingExtraError,
    Trees,
    boosted_odds,
    boosted_values,
    is_installed,
    versions,
)
from regime_pipeline.research.forecast_inputs import (
    DAY_H,
    DIRECTION,
    HAR,
    HISTORY_H,
    HORIZON_H,
    OUTSIDE,
    PRICE,
    RANGES,
    TRENDS,
    VARIANCE,
    Prices,
    features,
    target,
)
from regime_pipeline.research.linear_fits import (
    FitError,
    Linear,
    least_squares,
    logistic,
    non_negative,
    probability,
)
from regime_pipeline.research.rows import framed
from regime_pipeline.research.splits import FIT_H, month_of, walk_forward
from regime_pipeline.research.trials import SpecTrial, canonical
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid, hour_number

METHOD = "models/1"
TABLE = "signals.models"

Floats = npt.NDArray[np.float64]

TRAINED_D = FIT_H // DAY_H
LEAST_D = 180
"""Days with labels that a fit needs; a year that holds no more than a calm spring forecasts no crash."""
REACH = timedelta(days=1200)
"""Of the registry, what the judgement of a day looks at."""
SEED = 0
"""Fits draw nothing, trees included; the registry says so."""
IN_FORCE_AFTER_H = DAY_H
"""Hours from a month's end until its model is used: by then it has been trained on every machine that
keeps up, so a forecast does not depend on how soon that was."""
OUTDATED_AFTER_H = 64 * DAY_H
"""A model that is older forecasts nothing: somebody has stopped training."""
PROBABILITY_STEP = 1e-6


@dataclass(frozen=True)
class Spec:
    """What a model is before it has seen a row.

    Attributes:
        name: of the model.
        target: what it forecasts.
        inputs: its features in order.
        fit: ``least_squares``, ``non_negative``, ``logistic``, or ``boosting`` of values or of odds.
        role: ``champion`` of its target until another is promoted, or ``challenger``.
    """

    name: str
    target: str
    inputs: tuple[str, ...]
    fit: str
    role: str

    @property
    def horizon_h(self) -> int:
        """How far ahead it forecasts."""
        return HORIZON_H[self.target]

    @property
    def purge_h(self) -> int:
        """Hours before the month's end whose labels are not known by then."""
        return self.horizon_h

    @property
    def needs_extra(self) -> bool:
        """Whether it is made of trees, for which further libraries are needed."""
        return self.fit.startswith("boosting")

    def text(self, universe: Sequence[str]) -> str:
        """All that makes it another model, as canonical JSON."""
        return canonical(
            {
                "features": list(self.inputs),
                "fit": self.fit,
                "horizon_h": self.horizon_h,
                "least_d": LEAST_D,
                "params": f"{self.name} {METHOD}",
                "sign": 1,
                "target": self.target,
                "trained_d": TRAINED_D,
                "universe": sorted(set(universe)),
            }
        )


MODELS = (
    Spec("volatility_har", VARIANCE, HAR, "least_squares", "champion"),
    Spec("volatility_har_gk", VARIANCE, (*HAR, *RANGES), "non_negative", "challenger"),
    Spec("volatility_har_x", VARIANCE, (*HAR, *OUTSIDE), "least_squares", "challenger"),
    Spec("volatility_boosting", VARIANCE, (*HAR, *RANGES, *TRENDS), "boosting", "challenger"),
    Spec("direction_1h", DIRECTION, PRICE, "logistic", "champion"),
    Spec("direction_1h_boosting", DIRECTION, PRICE, "boosting_odds", "challenger"),
)
"""Every model, the champion of a target before its challengers."""
BY_NAME = {spec.name: spec for spec in MODELS}
TARGETS = tuple(dict.fromkeys(spec.target for spec in MODELS))
WITH_INTERVAL = "volatility_har"
"""The model whose deviation the interval of the next day's return is a multiple of."""


def trials_of(universe: Sequence[str]) -> tuple[SpecTrial, ...]:
    """Every model as a trial; models of one target are a family."""
    return tuple(
        SpecTrial(m.target, "model", m.text(universe), "training", m.horizon_h) for m in MODELS
    )


@dataclass(frozen=True)
class Fitted:
    """A model that can forecast.

    Attributes:
        spec: what it is.
        function: of the features: a logarithm of a variance, or log odds.
        low: the least that it forecasts; NaN: no bound.
        high: the most.
    """

    spec: Spec
    function: Linear | Trees
    low: float
    high: float

    def forecast(self, inputs: Floats) -> Floats:
        """The variance of the next day, or the probability that the next hour rises.

        Args:
            inputs: features x any shape; NaN where one is unknown, and so is the forecast.
        """
        value = self.function.at(inputs)
        if self.spec.target == DIRECTION:
            return np.round(probability(value) / PROBABILITY_STEP) * PROBABILITY_STEP
        return np.clip(np.exp(value + self.function.residual_variance / 2.0), self.low, self.high)

    @property
    def parameters(self) -> dict[str, Any]:
        """As they are stored."""
        out = self.function.stored()
        if self.spec.target == VARIANCE:
            out |= {"residual_variance": self.function.residual_variance}
            out |= {"low": self.low, "high": self.high}
        return out

    @classmethod
    def stored(cls, spec: Spec, parameters: dict[str, Any]) -> Fitted:
        """The model that :attr:`parameters` are of."""
        residual, low, high = (
            float(parameters.get(name, "nan")) for name in ("residual_variance", "low", "high")
        )
        if spec.needs_extra:
            return cls(spec, Trees.decoded(parameters["onnx"], residual), low, high)
        coefficients = tuple(float(b) for b in parameters["coefficients"])
        linear = Linear(float(parameters["intercept"]), coefficients, residual)
        return cls(spec, linear, low, high)


_FITS: dict[str, Callable[[Floats, Floats], Linear | Trees]] = {
    "least_squares": least_squares,
    "non_negative": non_negative,
    "logistic": logistic,
    "boosting": boosted_values,
    "boosting_odds": boosted_odds,
}


def fitted(spec: Spec, inputs: Floats, labels: Floats) -> Fitted:
    """Fit a model to rows.

    Args:
        spec: the model.
        inputs: features x rows, finite.
        labels: targets of the rows, finite.

    Raises:
        FitError: the rows do not determine it.
    """
    is_variance = spec.target == VARIANCE
    function = _FITS[spec.fit](inputs, np.log(labels) if is_variance else labels)
    if not is_variance:
        return Fitted(spec, function, float("nan"), float("nan"))
    return Fitted(spec, function, float(labels.min()), float(labels.max()))


@dataclass(frozen=True)
class Training:
    """The rows that a model is fitted to, in the order of hour and symbol.

    Attributes:
        inputs: features x rows.
        labels: of the rows.
        first_h: hour since 1970 of the first row; -1 without rows.
        last_h: of the last one.
        hours: how many hours have a row.
    """

    inputs: Floats
    labels: Floats
    first_h: int
    last_h: int
    hours: int

    @classmethod
    def of(cls, spec: Spec, prices: Prices, known: Floats, labels: Floats, end_h: int) -> Training:
        """The rows of the 365 days before an instant whose labels are known by then.

        Args:
            spec: the model.
            prices: bars.
            known: its features, features x hours x symbols.
            labels: its targets, hours x symbols.
            end_h: the instant, hours since 1970.
        """
        inside = next(walk_forward(end_h, end_h, spec.horizon_h)).fit(prices.hours)
        begins = int(prices.hours[inside.start]) if inside.stop > inside.start else -1
        whole = np.isfinite(known[:, inside]).all(axis=0) & np.isfinite(labels[inside])
        rows = np.flatnonzero(whole.any(axis=1))
        if not len(rows):
            return cls(np.empty((len(known), 0)), np.empty(0), -1, -1, 0)
        return cls(
            known[:, inside][:, whole],
            labels[inside][whole],
            begins + int(rows[0]),
            begins + int(rows[-1]),
            len(rows),
        )

    @property
    def digest(self) -> str:
        """Of features and labels as little-endian float32 in the order of the rows."""
        found = hashlib.sha256()
        for part in (self.inputs.T, self.labels):
            found.update(np.ascontiguousarray(part).astype("<f4").tobytes())
        return found.hexdigest()


def libraries(spec: Spec) -> dict[str, str]:
    """Versions of what computes a fit."""
    own = {"numpy": np.__version__, "python": platform.python_version()}
    return own | versions() if spec.needs_extra else own


def month_ends(start: datetime, end: datetime) -> Iterator[int]:
    """The hours since 1970 at which months end, those in ``(start, end]``, ascending."""
    _, ends = month_of(hour_number(start))
    while ends <= hour_number(end):
        yield ends
        _, ends = month_of(ends)


@derives(
    TABLE,
    of_universe=True,
    candles_1h=reads(
        "market.candles_1h",
        "396d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", "open", "high", "low", "close", "source_tier"),
    ),
    implied_volatility=reads(
        "features.implied_volatility", "396d", columns=("symbol", "ts", "dvol")
    ),
    liquidations_1h=reads(
        "market.liquidations_1h", "396d", columns=("symbol", "ts", "total_liquidation_usd")
    ),
)
def models(
    candles_1h: pd.DataFrame,
    implied_volatility: pd.DataFrame | None = None,
    liquidations_1h: pd.DataFrame | None = None,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """Every model, fitted at the ends of months to the 365 days before.

    A label over h hours of row t is known at t + 1 h + h; only labels known by the month's end count. All
    symbols share one fit. A model that cannot be fitted has a row without parameters that says why.

    Args:
        candles_1h: rows of ``market.candles_1h``, 396 days before the grid; only the perpetual's are used.
        implied_volatility: of ``features.implied_volatility``, as far back; None: none.
        liquidations_1h: of ``market.liquidations_1h``, as far back; None: none.
        grid: hours owed; months that end in it are put out.

    Returns:
        Content columns of ``signals.models`` at the last hours of months, sorted by key.
        ``insufficient_history`` where fewer than 180 days have a row that can be learnt from.
    """
    item = table(TABLE)
    ends = list(month_ends(grid.start, grid.end))
    if not ends or not grid.symbols:
        return empty(item)[list(item.content)]
    wide = grid.widened(timedelta(days=TRAINED_D, hours=HISTORY_H))
    prices = Prices.of(candles_1h, wide, implied_volatility, liquidations_1h)
    perp = candles_1h[candles_1h["market"] == "perp"]
    tiers = to_panel(perp, wide, ["source_tier"])["source_tier"]
    rows: list[dict[str, Any]] = []
    for spec in MODELS:
        known, labels = features(prices, spec.inputs), target(prices, spec.target)
        for end_h in ends:
            training = Training.of(spec, prices, known, labels, end_h)
            row = {"model": spec.name, "ts": end_h - 1}
            rows.append(row | _registered(spec, training, grid.symbols))
            if rows[-1]["status"] == "ok":
                span = slice(
                    training.first_h - int(prices.hours[0]),
                    training.last_h - int(prices.hours[0]) + 1,
                )
                rows[-1]["source_tier"] = float(np.nanmax(tiers[span]))
    return framed(rows, item, method_version(METHOD))


def _registered(spec: Spec, training: Training, universe: Sequence[str]) -> dict[str, Any]:
    """What the registry says of one fit."""
    row: dict[str, Any] = {
        "model_target": spec.target,
        "model_role": spec.role,
        "horizon_h": spec.horizon_h,
        "purge_h": spec.purge_h,
        "model_features": canonical(list(spec.inputs)),
        "model_spec": spec.text(universe),
        "model_rows": len(training.labels),
        "model_hours_eff": training.hours / spec.horizon_h,
        "model_seed": SEED,
        "model_libraries": canonical(libraries(spec)),
        "status": "insufficient_history",
        "reason": f"under_{LEAST_D}_days_of_labels",
    }
    if training.hours < LEAST_D * DAY_H:
        return row
    try:
        found = fitted(spec, training.inputs, training.labels)
    except FitError:
        return row | {"status": "missing", "reason": "rows_determine_no_fit"}
    except MissingExtraError:
        return row | {"status": "missing", "reason": "libraries_of_models_are_not_installed"}
    parameters = canonical(found.parameters)
    data = training.digest
    said = "\0".join((row["model_spec"], data, METHOD, str(SEED), row["model_libraries"]))
    return row | {
        "model_version": hashlib.sha256(said.encode()).hexdigest()[:16],
        "trained_from": training.first_h,
        "trained_to": training.last_h,
        "data_hash": data,
        "artefact_hash": hashlib.sha256(found.function.artefact).hexdigest(),
        "model_parameters": parameters,
        "status": "ok",
        "reason": None,
    }


def in_force(
    registry: pd.DataFrame, name: str, hours: npt.NDArray[np.int64]
) -> Iterator[tuple[Fitted, pd.Series, npt.NDArray[np.bool_]]]:
    """The fits of a model with the hours at which each is the newest that is used.

    A fit of a month's end is used from a day later on, and for :data:`OUTDATED_AFTER_H`; one without
    parameters never, and the fit before it goes on. Without its libraries a model of trees has none.

    Args:
        registry: rows of ``signals.models``.
        name: of the model.
        hours: since 1970, ascending.

    Yields:
        Fit, its row, and which of the hours it is for.
    """
    if BY_NAME[name].needs_extra and not is_installed():
        return
    own = registry[(registry["model"] == name) & (registry["status"] == "ok")].sort_values("ts")
    seconds = (own["ts"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    begins = (seconds // 3600).to_numpy("int64") + 1 + IN_FORCE_AFTER_H
    newest = np.searchsorted(begins, hours, side="right") - 1
    for place in np.unique(newest[newest >= 0]).tolist():
        used = (newest == place) & (hours < begins[place] + OUTDATED_AFTER_H)
        row = own.iloc[place]
        if used.any():
            parameters = json.loads(row["model_parameters"])
            yield Fitted.stored(BY_NAME[name], parameters), row, used
