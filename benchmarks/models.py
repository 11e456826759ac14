"""What forecasting models are worth on recorded history, walking forward by months.

``python -m benchmarks models`` prints the tables of docs/models.md as JSON; ``python -m benchmarks.models``
as Markdown. ``REGIME_MARKET_HISTORY`` names the folder of recorded history; without one it says so and does
nothing. Belongs here: skill of every model over 2024, beside an exponentially weighted variance; coverage of
the interval by regime; what a training month and a row cost. Does not belong here: any statistic.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.common import line, markdown
from benchmarks.research import folder_of
from benchmarks.signal_history import PARAMS
from benchmarks.worlds import RECORDED, History, recorded
from regime_pipeline.catalogue.fields.features import VOL_REGIMES
from regime_pipeline.features.volatility_regimes import volatility_regimes
from regime_pipeline.research import costs, information, spreads
from regime_pipeline.research.forecast_inputs import (
    DAY_H,
    DIRECTION,
    VARIANCE,
    Prices,
    baseline,
    target,
)
from regime_pipeline.research.model_performance import Forecasts, sizes
from regime_pipeline.research.model_scores import (
    LEVELS,
    Better,
    Skill,
    better,
    coverage,
    daily_radii,
    loss,
    skill,
)
from regime_pipeline.research.models import (
    IN_FORCE_AFTER_H,
    MODELS,
    WITH_INTERVAL,
    in_force,
    models,
)
from regime_pipeline.research.passports import regimes_of
from regime_pipeline.windows import Grid, hour_number, utc

NAME = "models"
SCORED_FROM = utc("2024-01-01")
DECAY = 0.94

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Walk:
    """Recorded history walked through.

    Attributes:
        prices: bars.
        models: forecasts by name of the model; of trees only where their libraries are.
        scored: the rows of 2024.
        regime: code of the confirmed volatility regime.
        month_s: processor seconds of training all models at one month's end.
        row_us: processor microseconds of one forecast of eight symbols, by name of the model.
    """

    prices: Prices
    models: dict[str, Forecasts]
    scored: slice
    regime: Floats
    month_s: float
    row_us: dict[str, float]


def walk(history: History) -> Walk:
    """Train at every month's end, forecast every hour."""
    grid = Grid.of(RECORDED, history.symbols)
    began = time.process_time()
    registry = models(history.candles_1h, grid=grid)
    month_s = (time.process_time() - began) / registry["ts"].nunique()
    prices = Prices.of(history.candles_1h, grid)
    every = {spec.name: Forecasts.of(spec, prices, registry) for spec in MODELS}
    made = {name: one for name, one in every.items() if np.isfinite(one.value).any()}
    rows = volatility_regimes(history.candles_1h, grid=grid, params=PARAMS.volatility)
    first = hour_number(SCORED_FROM) - int(prices.hours[0])
    return Walk(
        prices, made, slice(first, None), regimes_of(rows, grid), month_s,
        {name: _row_us(one, registry) for name, one in made.items()},
    )  # fmt: skip


def _row_us(one: Forecasts, registry: pd.DataFrame) -> float:
    """Of a forecast of all symbols at one hour, the features given."""
    last = np.array([hour_number(RECORDED.end) - 1])
    ((fit, _, _),) = in_force(registry, one.spec.name, last)
    row = one.inputs[:, -1]
    began = time.process_time()
    for _ in range(1000):
        fit.forecast(row)
    return 1e3 * (time.process_time() - began)


def weighted(prices: Prices) -> Floats:
    """The exponentially weighted variance of a day, whose weights fall by .94 an hour."""
    move = prices.moved(1)
    now = np.nanmean(move[1 : DAY_H + 1] ** 2, axis=0)
    out = np.empty(move.shape)
    for row, own in enumerate(move):
        now = np.where(np.isfinite(own), DECAY * now + (1 - DECAY) * own * own, now)
        out[row] = DAY_H * now
    return out


def skills(found: Walk) -> Iterator[tuple[str, Skill, Better]]:
    """Case, skill over the baseline, and the difference with its error."""
    rows, hours = found.scored, found.prices.hours[found.scored]
    base = loss(
        VARIANCE, target(found.prices, VARIANCE)[rows], baseline(found.prices, VARIANCE)[rows]
    )
    own = loss(VARIANCE, target(found.prices, VARIANCE)[rows], weighted(found.prices)[rows])
    yield "exponentially weighted", skill(own, base, hours), better(own, base, hours)
    for name, one in found.models.items():
        own, base = one.loss[rows], one.base[rows]
        yield name, skill(own, base, hours), better(own, base, hours)


def direction(found: Walk) -> dict[str, float]:
    """Rank correlation of the probability with the hour ahead, and the quantile spread in bps."""
    one, prices, rows = found.models["direction_1h"], found.prices, found.scored
    score = np.ascontiguousarray(100.0 * one.value[rows].T)
    ahead = np.ascontiguousarray(prices.ahead(1)[rows].T)
    coefficient = information.pooled(information.Pairs.of(score, ahead), 1)
    cost = np.full(score.shape, costs.DECLARED_BPS)
    code = np.full(score.shape, costs.DECLARED, np.int8)
    earned = spreads.spread(spreads.sides(score), ahead, prices.hours[rows], cost, code, 1)
    return {"ic": coefficient.ic, "gross_bps": earned.gross, "net_bps": earned.net}


def coverages(found: Walk) -> Iterator[tuple[str, float, Skill]]:
    """Case, level and coverage of the interval, of all rows and by regime."""
    prices, one = found.prices, found.models[WITH_INTERVAL]
    size = sizes(prices, one.value)
    radius = daily_radii(size, prices.hours, DAY_H, IN_FORCE_AFTER_H)
    for level, own in zip(LEVELS, radius, strict=True):
        yield "all", level, coverage(size, own, prices.hours)
    at = LEVELS.index(0.90)
    for code, regime in enumerate(VOL_REGIMES):
        yield regime, 0.90, coverage(size, radius[at], prices.hours, found.regime == code)


def run() -> None:
    """Print the figures."""
    folder = folder_of(NAME)
    if folder is None:
        return
    found = walk(recorded(folder))
    for case, one, difference in skills(found):
        line(
            NAME, case, skill=one.skill, low=one.low, high=one.high, rows_eff=one.rows_eff,
            t=difference.mean / difference.error,
        )  # fmt: skip
    line(NAME, DIRECTION, **direction(found))
    for case, level, held in coverages(found):
        line(NAME, f"interval of {level:.0%}, {case}", held=held.skill, rows_eff=held.rows_eff)
    line(NAME, "cost", training_month_s=found.month_s, **found.row_us)


def main() -> None:
    """Print the tables of docs/models.md."""
    folder = folder_of(NAME)
    if folder is None:
        return
    found = walk(recorded(folder))
    table = [
        {
            "model": case,
            "skill [95 %]": f"{100 * s.skill:+.2f} % [{100 * s.low:+.2f}, {100 * s.high:+.2f}]",
            "t": f"{d.mean / d.error:+.1f}",
            "independent rows": f"{s.rows_eff:.0f}",
        }
        for case, s, d in skills(found)
    ]
    held = [
        {
            "rows": case,
            "interval": f"{level:.0%}",
            "held": f"{s.skill:.3f} [{max(s.low, 0):.3f}, {min(s.high, 1):.3f}]",
            "independent rows": f"{s.rows_eff:.0f}",
        }
        for case, level, s in coverages(found)
        if math.isfinite(s.skill)
    ]
    earned = {k: f"{v:+.3f}" for k, v in direction(found).items()}
    for rows in (table, held, [earned]):
        sys.stdout.write(markdown(pd.DataFrame(rows)) + "\n\n")
    shown = ", ".join(f"{name} {us:.0f} us" for name, us in found.row_us.items())
    sys.stdout.write(f"training {found.month_s:.2f} s a month; a row of 8 symbols: {shown}\n")


if __name__ == "__main__":
    main()
