"""What forecasting models look at and what they forecast, as panels of hours x symbols.

Belongs here: variances over a day, a week and a month, from closes and from ranges; fifteen features of the
price alone; the targets. Does not belong here: fits (``linear_fits``), which models there are (``models``).

Layout: panels are hours x symbols, NaN is null. Every value is of a fixed trailing window, reduced afresh,
so it does not depend on where an array begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.numerics.panel import HOUR_US, grid_start_us, to_panel
from regime_pipeline.windows import Grid

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_H, WEEK_H, MONTH_H = 24, 168, 720
LEAST = {DAY_H: 20, WEEK_H: 144, MONTH_H: 480}
"""Hours with a value that a window of so many hours needs."""
HISTORY_H = MONTH_H + 1
"""Hours before a row that its features look at."""
VARIANCE, DIRECTION = "variance_24h", "direction_1h"
HORIZON_H: Mapping[str, int] = {VARIANCE: DAY_H, DIRECTION: 1}
"""By target, how far ahead it reaches."""
CLIPPED = 5.0
"""Features in deviations are cut here on both sides: one wild hour decides no fit."""

HAR = ("log_variance_1d", "log_variance_7d", "log_variance_30d")
RANGES = ("log_range_variance_1d", "log_range_variance_7d", "log_range_variance_30d")
TRENDS = ("return_24h", "return_168h")
OUTSIDE = ("log_implied_variance", "liquidations_1d_to_30d")
"""What others expect and what others were forced to do; not of the price."""
IMPLIED_OF = "BTC/USDT"
"""Whose index of implied volatility stands for the whole market: most coins have no options."""
_STEPS_H = (1, 2, 3, 6, 12, 24, 72, 168)
_MEANS_H = (24, 168, 720)
PRICE = (
    *(f"return_{h}h" for h in _STEPS_H),
    *(f"distance_to_mean_{h}h" for h in _MEANS_H),
    "place_in_bar",
    "log_variance_1d_to_30d",
    "market_return_1h",
    "market_return_4h",
)
"""Fifteen features of the price: moves over the deviation that a month leads to expect of them."""


@dataclass(frozen=True)
class Prices:
    """Bars of the perpetuals.

    Attributes:
        hours: of the rows since 1970, ascending, without a gap.
        open: hours x symbols; NaN: nobody observed the hour.
        high: the same.
        low: the same.
        close: the same.
        implied: the market's index of implied volatility, percent a year, the same in every column.
        liquidated: forced closures of the hour, USD.
    """

    hours: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    implied: Floats
    liquidated: Floats

    @classmethod
    def of(
        cls,
        candles_1h: pd.DataFrame,
        grid: Grid,
        implied_volatility: pd.DataFrame | None = None,
        liquidations_1h: pd.DataFrame | None = None,
    ) -> Prices:
        """The perpetuals' bars of a grid and what is beside them; a price that is not positive is none.

        Args:
            candles_1h: rows of ``market.candles_1h``.
            grid: hours x symbols.
            implied_volatility: of ``features.implied_volatility``; None: unknown, all of it.
            liquidations_1h: of ``market.liquidations_1h``; the same.
        """
        perp = candles_1h[candles_1h["market"] == "perp"]
        names = ["open", "high", "low", "close"]
        panels = to_panel(perp, grid, names)
        first = grid_start_us(grid) // HOUR_US
        shape = panels["close"].shape
        implied = liquidated = np.full(shape, np.nan)
        if implied_volatility is not None and IMPLIED_OF in grid.symbols:
            dvol = to_panel(implied_volatility, grid, ["dvol"])["dvol"]
            implied = np.repeat(dvol[:, [grid.symbols.index(IMPLIED_OF)]], shape[1], axis=1)
        if liquidations_1h is not None:
            name = "total_liquidation_usd"
            liquidated = to_panel(liquidations_1h, grid, [name])[name]
        opened, high, low, close = (np.where(panels[n] > 0, panels[n], np.nan) for n in names)
        hours = np.arange(first, first + len(close))
        return cls(hours, opened, high, low, close, implied, liquidated)

    @cached_property
    def log_close(self) -> Floats:
        """Logarithms of the closes."""
        return np.log(self.close)

    def moved(self, hours: int) -> Floats:
        """Log return over so many hours up to each row."""
        out: Floats = np.full(self.close.shape, np.nan)
        if hours < len(out):
            out[hours:] = self.log_close[hours:] - self.log_close[:-hours]
        return out

    def ahead(self, hours: int) -> Floats:
        """Log return over the hours after each row; NaN where they are not over."""
        out: Floats = np.full(self.close.shape, np.nan)
        if hours < len(out):
            out[:-hours] = self.log_close[hours:] - self.log_close[:-hours]
        return out

    def mean(self, panel: Floats, hours: int) -> Floats:
        """Mean of the hours up to each row."""
        from regime_pipeline.numerics.rolling import rolling_mean

        return rolling_mean(panel, hours, LEAST[hours], anchor=int(self.hours[0]))

    @cached_property
    def _squares(self) -> Floats:
        move = self.moved(1)
        return move * move

    def variance(self, hours: int) -> Floats:
        """Sum of squared hourly returns a day, mean of the hours up to each row."""
        return DAY_H * self.mean(self._squares, hours)

    @cached_property
    def _ranges(self) -> Floats:
        width, body = np.log(self.high / self.low), np.log(self.close / self.open)
        return 0.5 * width * width - (2.0 * math.log(2.0) - 1.0) * body * body

    def range_variance(self, hours: int) -> Floats:
        """The estimate of Garman and Klass a day, mean of the hours up to each row."""
        return DAY_H * self.mean(self._ranges, hours)

    @cached_property
    def deviation(self) -> Floats:
        """Deviation of an hour's return over the month up to each row."""
        return _positive_root(self.variance(MONTH_H) / DAY_H)


def _positive_root(panel: Floats) -> Floats:
    return np.sqrt(np.where(panel > 0, panel, np.nan))


def _log(panel: Floats) -> Floats:
    return np.log(np.where(panel > 0, panel, np.nan))


def features(prices: Prices, names: tuple[str, ...]) -> Floats:
    """Some features of every row, features x hours x symbols.

    Raises:
        KeyError: nothing is called so.
    """
    out = np.empty((len(names), *prices.close.shape))
    for k, name in enumerate(names):
        out[k] = _FEATURES[name](prices)
    return out


def _move(hours: int) -> Callable[[Prices], Floats]:
    return lambda p: _cut(p.moved(hours) / (p.deviation * math.sqrt(hours)))


def _distance(hours: int) -> Callable[[Prices], Floats]:
    return lambda p: _cut(
        (p.log_close - p.mean(p.log_close, hours)) / (p.deviation * math.sqrt(hours))
    )


def _market(hours: int) -> Callable[[Prices], Floats]:
    """The same move of the mean coin; every coin of the hour has it."""

    def of(prices: Prices) -> Floats:
        own = _move(hours)(prices)
        known = np.isfinite(own)
        count = known.sum(axis=1)
        total = np.zeros(len(own))
        for column in range(own.shape[1]):
            total = total + np.where(known[:, column], own[:, column], 0.0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return np.repeat(mean[:, None], own.shape[1], axis=1)

    return of


def _place(prices: Prices) -> Floats:
    """Where in its bar the hour closed, -1 at the low and 1 at the high; 0 in a bar without a range."""
    width = prices.high - prices.low
    middle = 2.0 * prices.close - prices.high - prices.low
    return np.where(width > 0, middle / np.where(width > 0, width, 1.0), width)


def _cut(panel: Floats) -> Floats:
    return np.clip(panel, -CLIPPED, CLIPPED)


_DAYS = (("1d", DAY_H), ("7d", WEEK_H), ("30d", MONTH_H))


def _log_variance(hours: int) -> Callable[[Prices], Floats]:
    return lambda p: _log(p.variance(hours))


def _log_range(hours: int) -> Callable[[Prices], Floats]:
    return lambda p: _log(p.range_variance(hours))


def _implied(prices: Prices) -> Floats:
    """Logarithm of the variance a day that options imply."""
    return _log(prices.implied**2 / 1e4 / 365.0)


def _liquidations(prices: Prices) -> Floats:
    """Logarithm of one plus a day's forced closures over those of a mean day of the month."""
    day, month = (prices.mean(prices.liquidated, h) for h in (DAY_H, MONTH_H))
    known = month > 0
    return np.where(known, np.log1p(day / np.where(known, month, 1.0)), np.nan)


_FEATURES: dict[str, Callable[[Prices], Floats]] = {
    **{f"log_variance_{d}": _log_variance(h) for d, h in _DAYS},
    **{f"log_range_variance_{d}": _log_range(h) for d, h in _DAYS},
    **{f"return_{h}h": _move(h) for h in _STEPS_H},
    **{f"distance_to_mean_{h}h": _distance(h) for h in _MEANS_H},
    "place_in_bar": _place,
    "log_implied_variance": _implied,
    "liquidations_1d_to_30d": _liquidations,
    "log_variance_1d_to_30d": lambda p: _log(p.variance(DAY_H)) - _log(p.variance(MONTH_H)),
    "market_return_1h": _market(1),
    "market_return_4h": _market(4),
}


def target(prices: Prices, name: str) -> Floats:
    """What came after each row: the variance of the next day, or whether the next hour rose.

    Args:
        prices: bars.
        name: :data:`VARIANCE` or :data:`DIRECTION`.

    Returns:
        Hours x symbols; NaN where it is not known, where nothing moved, and in the rows whose hours ahead
        are not over.
    """
    horizon = HORIZON_H[name]
    if name == VARIANCE:
        realized = prices.variance(DAY_H)
        out = np.full(realized.shape, np.nan)
        if horizon < len(out):
            out[:-horizon] = realized[horizon:]
        return np.where(out > 0, out, np.nan)
    ahead = prices.ahead(horizon)
    return np.where(np.isfinite(ahead) & (ahead != 0.0), (ahead > 0).astype("float64"), np.nan)


def baseline(prices: Prices, name: str) -> Floats:
    """What somebody without a model would forecast: the mean variance of 30 days, or the rate of a year.

    The rate is over the rows of all symbols of the 365 days before whose hour ahead was over by then.
    """
    if name == VARIANCE:
        return prices.variance(MONTH_H)
    known = target(prices, name)
    horizon, year = HORIZON_H[name], 365 * DAY_H
    rose = np.concatenate([[0.0], np.cumsum(np.nansum(known, axis=1))])  # whole numbers: exact
    rows = np.concatenate([[0], np.cumsum(np.isfinite(known).sum(axis=1))])
    last = np.maximum(np.arange(len(known)) - horizon + 1, 0)
    first = np.maximum(last - year, 0)
    count = rows[last] - rows[first]
    rate = np.where(count >= MONTH_H, (rose[last] - rose[first]) / np.maximum(count, 1), np.nan)
    return np.repeat(rate[:, None], known.shape[1], axis=1)
