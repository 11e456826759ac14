"""What the models' forecasts have been worth to the end of each day: publication, promotion, drift.

Belongs here: walking forward with the registry, the rows of ``signals.model_performance``. Does not belong
here: losses and bounds (``model_scores``), fits (``models``).

The definition in words: docs/models.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import derives, reads
from regime_pipeline.catalogue.fields.features import VOL_REGIMES
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import to_panel
from regime_pipeline.research import model_drift
from regime_pipeline.research.bounds import critical, effective
from regime_pipeline.research.forecast_inputs import (
    DAY_H,
    HISTORY_H,
    MONTH_H,
    VARIANCE,
    Prices,
    baseline,
    features,
    target,
)
from regime_pipeline.research.model_scores import (
    LEAST_SCORED_D,
    LEVELS,
    SCORED_D,
    Skill,
    better,
    coverage,
    daily_radii,
    loss,
    radii,
    skill,
)
from regime_pipeline.research.models import (
    IN_FORCE_AFTER_H,
    MODELS,
    TARGETS,
    TRAINED_D,
    WITH_INTERVAL,
    Spec,
    in_force,
    month_ends,
    trials_of,
)
from regime_pipeline.research.passports import EVERY, HOUR_OF_DAY, regimes_of
from regime_pipeline.research.rows import framed
from regime_pipeline.research.splits import month_of
from regime_pipeline.settings import method_version
from regime_pipeline.windows import Grid, hour_number

METHOD = "model_performance/1"
TABLE = "signals.model_performance"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROMOTED_D = 730
"""Days of common forecasts that a comparison of two models looks at."""
_LOOKS_D = 2 * SCORED_D + 62
"""Days of forecasts behind a row: a year of scores at the month's end before last, with the radii of each."""


@dataclass(frozen=True)
class Forecasts:
    """What one model would have said at every hour, by the registry as it was then.

    Attributes:
        spec: the model.
        inputs: features x hours x symbols.
        value: forecasts, hours x symbols.
        loss: of each forecast.
        base: of the baseline, in the same hours.
        trained: for each hour the first and last hour of the fit that was used, -1 without one.
        version: of that fit.
    """

    spec: Spec
    inputs: Floats
    value: Floats
    loss: Floats
    base: Floats
    trained: Ints
    version: npt.NDArray[np.object_]

    @classmethod
    def of(cls, spec: Spec, prices: Prices, registry: pd.DataFrame) -> Forecasts:
        """Walk forward over bars."""
        inputs, happened = features(prices, spec.inputs), target(prices, spec.target)
        value = np.full(happened.shape, np.nan)
        trained = np.full((2, len(happened)), -1, np.int64)
        version = np.full(len(happened), None, object)
        for fit, row, used in in_force(registry, spec.name, prices.hours):
            value[used] = fit.forecast(inputs[:, used])
            for k, name in enumerate(("trained_from", "trained_to")):
                trained[k, used] = hour_number(row[name])
            version[used] = row["model_version"]
        own = loss(spec.target, happened, value)
        base = loss(spec.target, happened, baseline(prices, spec.target))
        return cls(spec, inputs, value, own, base, trained, version)


@dataclass(frozen=True)
class History:
    """Everything that the rows of some days look at.

    Attributes:
        prices: bars.
        models: forecasts by name of the model.
        regime: code of the confirmed volatility regime, NaN unknown; hours x symbols.
        size: |return of the next day| over the deviation that was forecast.
        radius: what its interval was, levels x hours x symbols.
        trials: independent specifications of a target that are in the ledger and are no model of today.
    """

    prices: Prices
    models: Mapping[str, Forecasts]
    regime: Floats
    size: Floats
    radius: Floats
    trials: Mapping[str, int]

    def known(self, spec: Spec, end_h: int, days: int = SCORED_D) -> slice:
        """The rows of some days whose labels are known at an instant."""
        stop = max(end_h - spec.horizon_h - int(self.prices.hours[0]), 0)
        return slice(max(stop - days * DAY_H, 0), stop)

    def skill(self, name: str, end_h: int) -> Skill:
        """Skill of a model over the year to an instant."""
        one = self.models[name]
        rows = self.known(one.spec, end_h)
        return skill(one.loss[rows], one.base[rows], self.prices.hours[rows])


@derives(
    TABLE,
    of_universe=True,
    models=reads("signals.models", "1200d", whole=True),
    candles_1h=reads(
        "market.candles_1h",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", "open", "high", "low", "close", "source_tier"),
        all_stored=True,
    ),
    volatility_regimes=reads(
        "features.volatility_regimes",
        columns=("symbol", "ts", "vol_regime_confirmed"),
        all_stored=True,
    ),
    trials=reads("signals.trials", whole=True),
    implied_volatility=reads(
        "features.implied_volatility", columns=("symbol", "ts", "dvol"), all_stored=True
    ),
    liquidations_1h=reads(
        "market.liquidations_1h", columns=("symbol", "ts", "total_liquidation_usd"), all_stored=True
    ),
)
def model_performance(
    models: pd.DataFrame,
    candles_1h: pd.DataFrame,
    volatility_regimes: pd.DataFrame,
    trials: pd.DataFrame,
    implied_volatility: pd.DataFrame | None = None,
    liquidations_1h: pd.DataFrame | None = None,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """What every model's forecasts were worth over the 365 days to each day's last hour.

    Forecasts are those of the registry as it was: the newest fit of a month that had ended a day before.
    A label over h hours of row t counts from t + 1 h + h on.

    Args:
        models: rows of ``signals.models``; those of months that end later do not count.
        candles_1h: of ``market.candles_1h``; only the perpetual's are used.
        volatility_regimes: of ``features.volatility_regimes``.
        trials: the ledger, all of it, whatever day is judged.
        implied_volatility: of ``features.implied_volatility``; None: none.
        liquidations_1h: of ``market.liquidations_1h``; None: none.
        grid: hours owed; its 23:00 rows are put out.

    Returns:
        Content columns of ``signals.model_performance``, sorted by key: a row a model for all symbols, and
        for the model of the interval one a symbol (its radii) and one a regime. ``missing`` without a
        forecast, ``insufficient_history`` under 180 days of them.
    """
    item = table(TABLE)
    days = [at for at in grid.hours if at.hour == HOUR_OF_DAY]
    if not days or not grid.symbols:
        return empty(item)[list(item.content)]
    reach = timedelta(days=max(_LOOKS_D, PROMOTED_D) + TRAINED_D, hours=HISTORY_H)
    wide = grid.widened(reach)
    prices = Prices.of(candles_1h, wide, implied_volatility, liquidations_1h)
    history = _history(models, prices, volatility_regimes, trials, wide)
    perp = candles_1h[candles_1h["market"] == "perp"]
    tiers = to_panel(perp, wide, ["source_tier"])["source_tier"]
    champions = _champions(history, wide)
    rows: list[dict[str, Any]] = []
    for at in days:
        end_h = hour_number(at) + 1
        last = history.known(MODELS[0], end_h).stop
        seen = tiers[max(last - SCORED_D * DAY_H, 0) : last]
        tier = float(np.nanmax(seen)) if np.isfinite(seen).any() else math.nan
        for row in _of_day(history, champions, end_h, grid.symbols):
            known = row["status"] in ("ok", "partial")
            rows.append({"ts": end_h - 1, "source_tier": tier if known else math.nan, **row})
    return framed(rows, item, method_version(METHOD))


def _history(
    models: pd.DataFrame,
    prices: Prices,
    volatility_regimes: pd.DataFrame,
    trials: pd.DataFrame,
    wide: Grid,
) -> History:
    forecasts = {spec.name: Forecasts.of(spec, prices, models) for spec in MODELS}
    size = sizes(prices, forecasts[WITH_INTERVAL].value)
    today = {t.trial_id for t in trials_of(wide.symbols)}
    older = trials[(trials["trial_kind"] == "model") & ~trials["trial_id"].isin(today)]
    return History(
        prices,
        forecasts,
        regimes_of(volatility_regimes, wide),
        size,
        daily_radii(size, prices.hours, DAY_H, IN_FORCE_AFTER_H),
        {name: int((older["trial_family"] == name).sum()) for name in TARGETS},
    )


def sizes(prices: Prices, variance: Floats) -> Floats:
    """|log return of the next day| over the deviation that was forecast of it."""
    return np.abs(prices.ahead(DAY_H)) / np.sqrt(np.where(variance > 0, variance, np.nan))


def _champions(history: History, wide: Grid) -> dict[str, list[tuple[int, str]]]:
    """By target, from which hour on which model is the champion.

    At a month's end a challenger takes the place if it has lost less than the champion by more than the
    bound that holds at all looks and for all challengers, over 180 common days at least, and over the last
    60 of them too.
    """
    out: dict[str, list[tuple[int, str]]] = {}
    for name in TARGETS:
        group = [s for s in MODELS if s.target == name]
        holder = next(s.name for s in group if s.role == "champion")
        held = [(int(history.prices.hours[0]), holder)]
        for end_h in month_ends(wide.start, wide.end):
            best = (0.0, "")
            for spec in group:
                if spec.name != holder:
                    gain = _beats(history, spec, holder, group, end_h)
                    best = max(best, (gain, spec.name))
            if best[0] > 0:
                holder = best[1]
                held.append((end_h, holder))
        out[name] = held
    return out


def _beats(history: History, spec: Spec, holder: str, group: Sequence[Spec], end_h: int) -> float:
    """By how many errors more than needed a challenger has lost less; 0 where it has not."""
    rows = history.known(spec, end_h, PROMOTED_D)
    hours = history.prices.hours[rows]
    found = better(history.models[spec.name].loss[rows], history.models[holder].loss[rows], hours)
    if not found.days >= LEAST_SCORED_D or not found.error > 0 or not found.late > 0:
        return 0.0
    others = [s.name for s in group if s.name != holder]
    daily = np.stack(
        [
            _daily(history.models[n].loss[rows] - history.models[holder].loss[rows], hours)
            for n in others
        ]
    )
    crit = critical(found.hours, effective(daily) + history.trials[spec.target])
    return max(found.mean / found.error - crit, 0.0)


def _daily(panel: Floats, hours: Ints) -> Floats:
    """Means by day over the rows that have a value; NaN on a day without one."""
    day = hours // DAY_H - int(hours[0]) // DAY_H
    known = np.isfinite(panel)
    count = np.bincount(day, known.sum(axis=1))
    total = np.bincount(day, np.where(known, panel, 0.0).sum(axis=1))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _of_day(
    history: History,
    champions: Mapping[str, list[tuple[int, str]]],
    end_h: int,
    symbols: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """The rows of all models at the end of a day."""
    ends = _two_ends(end_h)
    for name, one in history.models.items():
        found = history.skill(name, end_h)
        passed = [history.skill(name, end).passes for end in ends]
        holder = [who for since, who in champions[one.spec.target] if since <= end_h][-1]
        role = "champion" if holder == name else "challenger"
        row = {
            "model": name,
            "symbol": EVERY,
            "passport_regime": EVERY,
            "model_role": role,
            "model_version": _newest(one.version, history.prices, end_h),
            **_numbers(found),
            **_drift(history, one, end_h),
            "has_passed": passed[-1],
            "is_published": any(passed),
            "publication_reason": _why(found, passed),
        }
        if name == WITH_INTERVAL:
            row |= _covered(history, one.spec, end_h)
        yield row
        if name == WITH_INTERVAL:
            yield from _parts(history, one.spec, end_h, symbols, row)


def _two_ends(end_h: int) -> list[int]:
    """The last two ends of months at or before an hour, the older one first."""
    last, _ = month_of(end_h)
    return [month_of(last - 1)[0], last]


def _newest(version: npt.NDArray[np.object_], prices: Prices, end_h: int) -> str | None:
    found = version[end_h - 1 - int(prices.hours[0])]
    return None if found is None else str(found)


def _why(found: Skill, passed: Sequence[bool]) -> str | None:
    """Why a model is not published; None: it is."""
    if any(passed):
        return None
    if found.days < LEAST_SCORED_D:
        return f"under_{LEAST_SCORED_D}_days_of_forecasts"
    return "no_skill_over_baseline"


def _numbers(found: Skill) -> dict[str, Any]:
    enough = found.days >= LEAST_SCORED_D and math.isfinite(found.low)
    told = found if enough else replace(found, skill=math.nan, low=math.nan, high=math.nan)
    status, reason = "ok", None
    if not found.rows:
        status, reason = "missing", "no_forecast"
    elif not enough:
        status, reason = "insufficient_history", f"under_{LEAST_SCORED_D}_days_of_forecasts"
    return {
        "skill": told.skill,
        "skill_low": told.low,
        "skill_high": told.high,
        "model_loss": found.loss,
        "baseline_loss": found.baseline,
        "scored_rows": found.rows,
        "scored_rows_eff": found.rows_eff,
        "status": status,
        "reason": reason,
    }


def _drift(history: History, one: Forecasts, end_h: int) -> dict[str, Any]:
    """Stability of the inputs against the training, and how the losses have crept up."""
    first = int(history.prices.hours[0])
    row = end_h - 1 - first
    begun, ended = one.trained[:, row]
    out: dict[str, Any] = {}
    if begun >= 0:
        training = slice(max(int(begun) - first, 0), int(ended) - first + 1)
        recent = slice(max(row + 1 - MONTH_H, 0), row + 1)
        worst = -math.inf
        for name, panel in zip(one.spec.inputs, one.inputs, strict=True):
            index, limit = model_drift.stability(panel[training], panel[recent])
            if limit > 0 and index / limit > worst:
                worst = index / limit
                out |= {"psi": index, "psi_limit": limit, "psi_feature": name}
    rows = history.known(one.spec, end_h, model_drift.CUSUM_D + model_drift.CUSUM_RANK_D)
    hours = history.prices.hours[rows]
    apart = hours % DAY_H == HOUR_OF_DAY if one.spec.target == VARIANCE else hours >= 0
    if apart.any():
        gap = (one.loss[rows] - one.base[rows])[apart]
        out["loss_cusum"] = model_drift.cumulative(_daily(gap, hours[apart]).tolist())
    moved = [out.get("psi", math.nan) > out.get("psi_limit", math.nan)]
    moved.append(out.get("loss_cusum", math.nan) > model_drift.CUSUM_LIMIT)
    if "psi" in out or math.isfinite(out.get("loss_cusum", math.nan)):
        out["has_drifted"] = any(moved)
    return out


def _covered(
    history: History, spec: Spec, end_h: int, inside: npt.NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """How often the interval of 90 % held what came, over the rows that count."""
    rows = history.known(spec, end_h)
    at = LEVELS.index(0.90)
    found = coverage(
        history.size[rows], history.radius[at][rows], history.prices.hours[rows],
        None if inside is None else inside[rows],
    )  # fmt: skip
    return {
        "coverage_90": found.skill,
        "coverage_90_low": max(found.low, 0.0),
        "coverage_90_high": min(found.high, 1.0),
        "coverage_rows_eff": found.rows_eff,
    }


def _parts(
    history: History, spec: Spec, end_h: int, symbols: Sequence[str], whole: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The interval by symbol, with its radii, and by regime."""
    one = history.models[spec.name]
    rows = history.known(spec, end_h)
    radius = radii(history.size[rows])
    shared = {k: whole[k] for k in ("model", "model_role", "model_version")}
    for column, symbol in enumerate(symbols):
        own = slice(column, column + 1)
        numbers = _numbers(
            skill(one.loss[rows][:, own], one.base[rows][:, own], history.prices.hours[rows])
        )
        inside = np.zeros(history.size.shape, np.bool_)
        inside[:, column] = True
        levels = {
            f"radius_{100 * level:.0f}": float(radius[k, column]) for k, level in enumerate(LEVELS)
        }
        where = {"symbol": symbol, "passport_regime": EVERY}
        yield shared | where | numbers | levels | _covered(history, spec, end_h, inside)
    for code, regime in enumerate(VOL_REGIMES):
        inside = history.regime == code
        numbers = _numbers(
            skill(
                np.where(inside[rows], one.loss[rows], np.nan),
                one.base[rows],
                history.prices.hours[rows],
            )
        )
        where = {"symbol": EVERY, "passport_regime": regime}
        yield shared | where | numbers | _covered(history, spec, end_h, inside)
