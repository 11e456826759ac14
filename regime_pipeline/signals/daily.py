"""The futures factors about positions, made of days instead of hours.

Belongs here: the same readings as in ``factors`` over daily observations, and how long a day's reading
is held. Does not belong here: the days themselves (``market.days``), weights and the composite.

Statistics read days, never hours that repeat one: the 30 days before the day, at least 14 of them. A
reading holds from when its day could be known, for 36 hours at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.conventions import FloatPanel
from regime_pipeline.numerics.panel import (
    HOUR_US,
    grid_length,
    grid_start_us,
    microseconds,
    to_panel,
)
from regime_pipeline.windows import Grid, floor_day, parse_lookback

if TYPE_CHECKING:
    from regime_pipeline.signals.factors import Codes, Factor

INTERVAL = "1d"
LOOKBACK = "66d"
"""Two medians of 30 days, the change from the day before, and the days that a reading is held."""
WINDOW_D, MIN_DAYS = 30, 14
HELD_H, INTERVAL_H = 36.0, 24.0
_NEWEST_DAYS = 3
"""Midnights up to an hour among which the newest day that still holds must be."""

_COLUMNS = (
    "close",
    "open_interest_base",
    "long_liquidations_usd",
    "short_liquidations_usd",
    "global_account_long_frac",
    "top_trader_position_long_frac",
)


def factors(frame: pd.DataFrame, grid: Grid) -> tuple[dict[str, Factor], FloatPanel]:
    """The factors of the grid by name, and the worst tier behind any of them.

    * liquidations: the day's balance ``(S - L) / (S + L + kappa)`` against its median of 30 days, kappa
      the median of the days' totals.
    * long_short, smart_money: lagged z of the logit share.
    * oi_trend: lagged z of the change of coins from the day before, signed by the price of that day.

    Args:
        frame: ``market.derivatives_1d`` with :data:`LOOKBACK` before the grid.
        grid: rows owed.
    """
    from regime_pipeline.numerics.order_statistics import rolling_median
    from regime_pipeline.numerics.rolling import lagged_z_and_code
    from regime_pipeline.signals import factors as f
    from regime_pipeline.signals.scores import score_of, worst_tier

    wide = Grid(floor_day(grid.start) - parse_lookback(LOOKBACK), grid.end, grid.symbols)
    known_at = microseconds(frame["available_at"].fillna(frame["ts"])) / HOUR_US
    rows = frame.assign(known_at=np.where(frame["available_at"].isna(), np.nan, known_at))
    panels = to_panel(rows, wide, (*_COLUMNS, "known_at", "source_tier"))
    day = {name: panel[::24] for name, panel in panels.items()}
    first_day = grid_start_us(wide) // HOUR_US // 24
    hold = _Held(day["known_at"], wide, grid)

    def judged(x: FloatPanel) -> tuple[FloatPanel, Codes]:
        z, code = lagged_z_and_code(x, WINDOW_D, MIN_DAYS, anchor=first_day)
        return z, f.judged(code)

    found = {}
    for name, column, sign in (
        ("long_short", "global_account_long_frac", -1.0),
        ("smart_money", "top_trader_position_long_frac", 1.0),
    ):
        z, codes = judged(f.logit(day[column]))
        found[name] = hold.factor(
            score_of(sign * z), codes, raw={column: day[column], f"{name}_z": z}
        )

    longs, shorts = day["long_liquidations_usd"], day["short_liquidations_usd"]
    total = longs + shorts
    kappa = rolling_median(total, WINDOW_D, MIN_DAYS, lag=1)
    imbalance = f.balance(shorts - longs, total + kappa)
    usual = rolling_median(imbalance, WINDOW_D, MIN_DAYS, lag=1)
    codes = f.Codes(total.shape)
    codes.set(~np.isfinite(usual), f.SHORT, "fewer_than_28_days")
    codes.set(~np.isfinite(total), f.MISSING, "no_observation")
    found["liquidations"] = hold.factor(
        50.0 + 50.0 * np.clip(imbalance - usual, -1.0, 1.0),
        codes,
        raw={
            "long_liquidations_24h_usd": longs,
            "short_liquidations_24h_usd": shorts,
            "liquidations_usual_24h_usd": kappa,
            "liquidations_balance": imbalance,
            "liquidations_balance_usual": usual,
        },
    )

    change, price = (_log_change(day[n]) for n in ("open_interest_base", "close"))
    z, codes = judged(change)
    codes.set(np.isfinite(z) & ~np.isfinite(price), f.MISSING, "close_missing")
    found["oi_trend"] = hold.factor(
        f.trend_score(z, change, price),
        codes,
        weak=change < 0.0,
        raw={
            "open_interest_base": day["open_interest_base"],
            "oi_trend_change_24h": change,
            "oi_trend_z": z,
            "oi_trend_return_24h": price,
        },
    )
    tier = worst_tier(day["source_tier"], len(day["source_tier"]))
    return found, hold.taken(tier, hold.newest(np.isfinite(day["known_at"])))


class _Held:
    """Readings of days at the hours of a grid: each from when its day is known, for 36 h at most."""

    def __init__(self, known_at: FloatPanel, wide: Grid, grid: Grid) -> None:
        self._known_at = known_at
        start = grid_start_us(grid) // HOUR_US
        hours = start + np.arange(grid_length(grid))
        self._decided = hours[:, None] + 1.0
        self._midnight = (hours - grid_start_us(wide) // HOUR_US) // 24

    def newest(self, there: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Number of the newest day that is there and known before each decision; -1 without one."""
        at = np.full((len(self._midnight), there.shape[1]), -1)
        for back in range(_NEWEST_DAYS):
            day = self._midnight - back
            usable = there[day] & (self._known_at[day] < self._decided)
            at = np.where((at < 0) & usable, day[:, None], at)
        return at

    def taken(self, panel: FloatPanel, at: npt.NDArray[np.int64]) -> FloatPanel:
        """Values of days at the hours; NaN where there is no day."""
        return np.where(at >= 0, np.take_along_axis(panel, np.maximum(at, 0), axis=0), np.nan)

    def factor(
        self,
        score: FloatPanel,
        codes: Codes,
        *,
        raw: Mapping[str, FloatPanel],
        weak: npt.NDArray[np.bool_] | None = None,
    ) -> Factor:
        """The factor of the hours; a day without an observation is passed over for the one before.

        A day's raw numbers are shown for as long as its reading holds.
        """
        from regime_pipeline.signals import factors as f

        observed = codes.reason != f.REASONS.index("no_observation")
        at = self.newest(observed)
        age = self._decided - self.taken(self._known_at, at)
        hourly = f.Codes(at.shape)
        rows = np.maximum(at, 0)
        hourly.status = np.take_along_axis(codes.status, rows, axis=0)
        hourly.reason = np.take_along_axis(codes.reason, rows, axis=0)
        hourly.set(age > HELD_H, f.STALE, "older_than_36h")
        hourly.set(at < 0, f.MISSING, "no_day_in_36h")
        held = self.taken(codes.only_usable(score), at)
        over = (at < 0) | (age > HELD_H)
        return f.Factor(
            hourly.only_usable(held),
            hourly.status,
            hourly.reason,
            f.freshness_of(age, INTERVAL_H),
            None if weak is None else np.take_along_axis(weak, rows, axis=0),
            {name: np.where(over, np.nan, self.taken(day, at)) for name, day in raw.items()},
        )


def _log_change(day: FloatPanel) -> FloatPanel:
    """Log change from the day before."""
    out = np.full(day.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        out[1:] = np.log(day[1:] / day[:-1])
    out[~np.isfinite(out)] = np.nan
    return out
