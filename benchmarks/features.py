"""The five features against pandas, polars and TA-Lib on the same definitions, and as a whole.

``python -m benchmarks features`` runs 8 symbols x 5 years and 100 symbols x 1 year of hourly bars,
``--quick`` one small size. Every side works in a process of its own, so that its memory is its own,
begins with long frames in its own library's form, ends with the form that is natural to it (columns,
series, panels), and takes the best of one to fifteen runs, as fewer seconds allow.
Lines are JSON objects:

* ``statistics`` lines compare the rolling statistics that dominate a feature: ``{bench, case,
  statistics, ours_s, other_s, ratio, cpu_ratio, max_diff, ours_rss_mb, other_rss_mb}``. ``ratio`` is
  other / ours by the clock, ``cpu_ratio`` the same in processor seconds (ours and polars use all cores,
  pandas and TA-Lib one), ``max_diff`` the largest difference in units of the statistic's typical size. Above
  ``TOLERANCE``, or with other nulls, the benchmark fails. A line names the statistics that the other
  side has: state machines, rank tests within windows and texts have no rolling form anywhere; robust
  scales and fitted tails go through a Python function in pandas and are left out of polars. TA-Lib
  knows no missing values and no minimum: it is compared where it has a value, and both sides begin
  with aligned arrays, since it can't align.
* ``whole`` lines run the public function, frame in, frame out, with its state machines, rank tests,
  texts and statuses; nothing else does that, so they have no other side. Correlations of 100 symbols go
  in stretches of 30 days, since a year of 4950 pairs is 43 million rows; the line is one stretch.
* ``total`` and ``scaling`` lines sum the former up. Cost per symbol and hour (per pair and hour for
  correlations), lookback included, of 100 symbols over that of 8: at most about 1 means linear.

polars and TA-Lib are no dependencies (``pip install -e '.[bench]'``); where one is absent its lines
say that they were skipped. Rank correlations are compared in ``benchmarks.correlations``.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import command_line, in_process, line
from benchmarks.worlds import null_candles
from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    grid_length,
    grid_start_us,
    microseconds,
    to_panel,
)
from regime_pipeline.numerics.stretches import each_cell
from regime_pipeline.windows import Grid, Window, utc

NAME, MODULE = "features", "benchmarks.features"
END = utc("2026-01-01")
TOLERANCE = 1e-7
"""Running sums of the libraries lose digits on a log price; ours and polars agree to 1e-12."""
SIZES = ((8, 43_800), (100, 8_760))
QUICK = ((4, 4_320),)
STRETCH = 720
LEVELS = np.array((0.90, 0.97, 0.99, 0.997, 0.9995))
SAMPLE = 97
"""Of correlations every SAMPLE-th hour is kept for the comparison, on all sides."""
LEAD = 405 * 24
"""Hours before the owed ones that the whole functions may read."""
RUNS, ENOUGH_S = 15, 3.0
"""The best of so many runs; of three or more once they have taken this long, of fewer after four times
as long."""
LIBRARIES = {"pandas": "pandas", "polars": "polars", "talib": "talib"}
COLUMNS: dict[str, tuple[str, ...]] = {
    "cascades": ("high", "low", "close"),
    "volatility": ("open", "high", "low", "close"),
    "timeframes": ("high", "low", "close", "volume_base"),
    "correlations": ("close",),
}
"""What each feature reads of the bars."""
FEATURES = ("cascades", "funding", "volatility", "timeframes", "correlations")

Flat = np.ndarray


@dataclass(frozen=True)
class World:
    """Long frames of a market in which nothing is missing, symbol by symbol."""

    candles: pd.DataFrame
    liquidations: pd.DataFrame
    prints: pd.DataFrame
    grid: Grid


def world(symbols: int, hours: int, lead: int = 0) -> World:
    """The same frames in every process."""
    start = END - timedelta(hours=hours + lead)
    candles = null_candles(symbols, start, hours + lead)
    rng = np.random.default_rng(1)
    count = len(candles)
    sides = rng.lognormal(10.0, 2.0, (2, count)) * (rng.random((2, count)) < 0.7)
    liquidations = candles[["symbol", "ts"]].assign(
        long_liquidations_usd=sides[0],
        short_liquidations_usd=sides[1],
        total_liquidation_usd=sides.sum(axis=0),
        coverage=1.0,
        is_lower_bound=False,
        open_interest_usd=1e9,
        source_tier=9,
    )
    prints = candles.loc[candles["ts"].dt.hour % 8 == 0, ["symbol", "ts"]].reset_index(drop=True)
    rate = 1e-4 + 1e-4 * rng.standard_t(4, len(prints))
    prints = prints.assign(
        funding_rate=rate, rate_8h=rate, rate_annual=1095 * rate, interval_hours=8, source_tier=9
    )
    names = tuple(candles["symbol"].unique())
    return World(candles, liquidations, prints, Grid(END - timedelta(hours=hours), END, names))


def as_it_is(values: Any) -> Any:
    """Most sides have nothing left to do at the end."""
    return values


# -- ours -------------------------------------------------------------------------------------------


def _reach(high: FloatPanel, low: FloatPanel, before: FloatPanel, *, out: FloatPanel) -> None:
    np.subtract(np.maximum(high, before), np.minimum(low, before, out=out), out=out)


class _Ours:
    """Panels of the long frames; each made once, inside the measured time."""

    def __init__(self, given: World, feature: str) -> None:
        self.given, self.grid, self.feature = given, given.grid, feature
        self.anchor = grid_start_us(given.grid) // HOUR_US

    done = staticmethod(as_it_is)

    def flat(self, values: Any) -> Flat:
        """Symbol by symbol, as the long frames are."""
        if values.ndim == 3:
            return np.concatenate([self.flat(panel) for panel in values])
        return values.T.reshape(-1)

    @cached_property
    def bars(self) -> dict[str, FloatPanel]:
        return to_panel(self.given.candles, self.grid, COLUMNS[self.feature])

    @cached_property
    def total(self) -> FloatPanel:
        name = "total_liquidation_usd"
        return to_panel(self.given.liquidations, self.grid, [name])[name]

    @cached_property
    def returns(self) -> FloatPanel:
        from regime_pipeline.features.volatility_regimes import log_returns

        return log_returns(self.bars["close"])

    @cached_property
    def volatility(self) -> FloatPanel:
        from regime_pipeline.features.volatility_regimes import volatility_24h

        squares = each_cell(np.square, self.returns, out=self.returns)
        return volatility_24h(squares, self.anchor)[0]

    @cached_property
    def volatility_gk(self) -> FloatPanel:
        from regime_pipeline.features.volatility_regimes import garman_klass, volatility_24h

        return volatility_24h(garman_klass(self.bars), self.anchor)[0]

    @cached_property
    def bands(self) -> FloatPanel:
        from regime_pipeline.features import liquidation_cascades as cascades
        from regime_pipeline.numerics.tails import tail_bands

        return tail_bands(
            self.total,
            cascades.SAMPLE,
            cascades.SAMPLE_MIN,
            cascades.SAMPLE_MIN_POSITIVE,
            LEVELS,
            cascades.TAIL_FROM,
        )

    @cached_property
    def spread(self) -> FloatPanel:
        from regime_pipeline.regimes.timeframe_labels import log_range

        return log_range(self.bars["high"], self.bars["low"], 10)

    @cached_property
    def judged(self) -> dict[str, Flat]:
        """Statistics of every print, by the kernels behind ``funding_prints``."""
        from regime_pipeline.features import funding_kernels as kernels

        prints = self.given.prints
        hour = microseconds(prints["ts"]) // HOUR_US
        rate = prints["rate_8h"].to_numpy()
        weight, tier = (
            prints[n].to_numpy(dtype="float64") for n in ("interval_hours", "source_tier")
        )
        last = np.flatnonzero(np.diff(pd.factorize(prints["symbol"])[0], append=-1)) + 1
        first = np.append(0, last[:-1])
        z, robust, median, worst = (np.full(len(prints), np.nan) for _ in range(4))
        n = np.zeros(len(prints), np.int64)
        kernels.judge(hour, rate, weight, tier, first, last, 0.5e-4, z, robust, median, n, worst)
        return {"hour": hour, "rate": rate, "first": first, "last": last} | {
            "z": z,
            "z_robust": robust,
            "median": median,
        }

    def percentile(self) -> Flat:
        from regime_pipeline.features.funding_kernels import rank

        j = self.judged
        out = np.full(len(j["z"]), np.nan)
        rank(j["hour"], j["rate"], j["first"], j["last"], np.ones(len(out), bool), out)
        return out

    def hourly(self) -> Flat:
        from regime_pipeline.features.funding_anomalies import newest_print

        length, width = grid_length(self.grid), len(self.grid.symbols)
        hours = np.tile(self.anchor + np.arange(length), width)
        codes = np.repeat(np.arange(width), length)
        at, _ = newest_print(self.given.prints, hours, codes, self.grid.symbols)
        return np.append(self.judged["z"], np.nan)[at]

    def atr(self) -> FloatPanel:
        from regime_pipeline.numerics.rolling import rolling_mean

        bars = self.bars
        high, low, close = (bars[n] for n in COLUMNS["cascades"])
        reach = np.empty_like(close)
        reach[:1] = np.nan
        each_cell(_reach, high[1:], low[1:], close[:-1], out=reach[1:])
        return rolling_mean(reach, 14, 14, anchor=self.anchor)

    def rolling(self, name: str, x: FloatPanel, *arguments: Any, **options: Any) -> FloatPanel:
        from regime_pipeline.numerics import order_statistics, rolling

        if name in ("mean", "std", "sum"):
            options["anchor"] = self.anchor
        home = order_statistics if name in ("median", "quantile") else rolling
        return getattr(home, f"rolling_{name}")(x, *arguments, **options)

    def price_z(self) -> FloatPanel:
        from regime_pipeline.numerics.rolling import lagged_z_alone

        log_close = each_cell(np.log, self.bars["close"])
        return lagged_z_alone(log_close, 50, 45, anchor=self.anchor)

    def volume_z(self) -> FloatPanel:
        from regime_pipeline.regimes.timeframe_labels import volume_z

        return volume_z(self.bars["volume_base"], self.anchor, "1h")

    def efficiency(self) -> FloatPanel:
        from regime_pipeline.regimes.timeframe_labels import efficiency

        return efficiency(self.bars["close"], 10)

    @cached_property
    def by_symbol(self) -> FloatPanel:
        return np.ascontiguousarray(self.returns.T)

    def pearson(self, window: int, least: int, lag: int) -> Flat:
        """In blocks of pairs, so that memory doesn't grow with their number."""
        from regime_pipeline.numerics import pairwise

        x = self.by_symbol[:, : self.by_symbol.shape[1] - lag]
        pairs = pairwise.all_pairs(len(x))
        kept = []
        for begin in range(0, len(pairs), 1_650):
            part = pairs[begin : begin + 1_650]
            found, _ = pairwise.pearson_rows(x, window, least, self.anchor, window, part)
            kept.append(found[:, ::SAMPLE].copy())
        return np.concatenate(kept).reshape(-1)

    def ewma(self) -> Flat:
        from regime_pipeline.correlation import asset_correlations as correlation
        from regime_pipeline.numerics import pairwise

        slots, x = correlation.EWMA_SLOTS, self.by_symbol
        usable = np.ones(x.shape, bool)
        decay = np.exp2(-np.arange(slots + 1) / correlation.HALF_LIFE)
        kept = []
        stretch = max(STRETCH, 28_000_000 // len(x) ** 2)
        for first in range(slots, x.shape[1], stretch):
            begin, stop = first - slots + 1, min(first + stretch, x.shape[1])
            found = pairwise.ewma_correlation(
                np.ascontiguousarray(x[:, begin:stop]),
                usable[:, begin:stop],
                slots,
                140,
                self.anchor + begin,
                first - begin,
                decay,
            )
            kept.append(found[:, -(first - slots) % SAMPLE :: SAMPLE].copy())
        return np.concatenate(kept, axis=1).reshape(-1)


# -- pandas -----------------------------------------------------------------------------------------


def _mad_z(x: np.ndarray) -> float:
    """Robust z of the last value among the others, for ``rolling.apply``."""
    value, sample = x[-1], x[:-1]
    sample = sample[np.isfinite(sample)]
    if sample.size < 8 or not np.isfinite(value):
        return np.nan
    median = np.median(sample)
    return (value - median) / (1.4826 * np.median(np.abs(sample - median)))


def _bands(x: np.ndarray) -> np.ndarray:
    """The five bands of a sample: p90, p97, then a generalised Pareto over p90, never falling."""
    x = np.sort(x[np.isfinite(x)])
    out = np.quantile(x, LEVELS)
    beyond = x[x > out[0]] - out[0]
    count = beyond.size
    if count >= 10:
        weight = 1.0 - (np.arange(1, count + 1) - 0.35) / count
        a0, a1 = beyond.mean(), (weight * beyond).mean()
        shape = 2.0 - a0 / (a0 - 2.0 * a1)
        scale = 2.0 * a0 * a1 / (a0 - 2.0 * a1)
        ratio = (1.0 - LEVELS[2:]) / (count / x.size)
        out[2:] = out[0] + scale / shape * (ratio**-shape - 1.0)
    return np.maximum.accumulate(out)


class _Pandas:
    """The same by groupby and rolling on long frames."""

    def __init__(self, given: World, _: str) -> None:
        self.frame, self.symbol = given.candles, given.candles["symbol"]
        self.given = given

    done = staticmethod(as_it_is)

    def flat(self, values: Any) -> Flat:
        """Values of a column."""
        return np.asarray(values, dtype="float64").reshape(-1)

    def rolling(
        self, name: str, x: pd.Series, window: int, least: int, *more: Any, lag: int = 0
    ) -> pd.Series:
        x = x.groupby(self.symbol, sort=False).shift(lag) if lag else x
        rolled = x.groupby(self.symbol, sort=False).rolling(window, min_periods=least)
        return getattr(rolled, name)(*more).droplevel(0)

    @cached_property
    def log_close(self) -> pd.Series:
        return np.log(self.frame["close"])

    @cached_property
    def returns(self) -> pd.Series:
        return self.log_close.groupby(self.symbol, sort=False).diff()

    def _volatility(self, variances: pd.Series) -> pd.Series:
        n = self.rolling("count", variances, 24, 0)
        return np.sqrt(24.0 / n * self.rolling("sum", variances, 24, 20))

    @cached_property
    def volatility(self) -> pd.Series:
        return self._volatility(self.returns**2)

    @cached_property
    def volatility_gk(self) -> pd.Series:
        f = self.frame
        body = np.log(f["close"] / f["open"])
        spread = np.log(f["high"] / f["low"])
        return self._volatility(0.5 * spread**2 - (2.0 * np.log(2.0) - 1.0) * body**2)

    @cached_property
    def total(self) -> pd.Series:
        return self.given.liquidations["total_liquidation_usd"]

    def bands(self) -> Flat:
        """By ``rolling.apply``, which gives one number a window: the rest goes by the way."""
        kept = np.full((len(self.total), len(LEVELS)), np.nan)
        rows = iter(np.flatnonzero(self.frame["ts"].groupby(self.symbol).cumcount() >= 336))

        def one(x: np.ndarray) -> float:
            kept[next(rows)] = _bands(x)
            return 0.0

        before = self.total.groupby(self.symbol, sort=False).shift(1)
        rolled = before.groupby(self.symbol, sort=False).rolling(720, min_periods=336)
        rolled.apply(one, raw=True)
        return kept.T

    def atr(self) -> pd.Series:
        before = self.frame["close"].groupby(self.symbol, sort=False).shift(1)
        reach = np.maximum(self.frame["high"], before) - np.minimum(self.frame["low"], before)
        return self.rolling("mean", reach, 14, 14)

    def price_z(self) -> pd.Series:
        mean = self.rolling("mean", self.log_close, 50, 45, lag=1)
        return (self.log_close - mean) / self.rolling("std", self.log_close, 50, 45, lag=1)

    @cached_property
    def spread(self) -> pd.Series:
        high = self.rolling("max", self.frame["high"], 10, 8)
        return np.log(high / self.rolling("min", self.frame["low"], 10, 8))

    def volume_z(self) -> pd.Series:
        hour = self.frame["ts"].dt.dayofweek * 24 + self.frame["ts"].dt.hour
        rolled = np.log(self.frame["volume_base"]).groupby([self.symbol, hour], sort=False)
        found = rolled.rolling(13, min_periods=9).apply(_mad_z, raw=True)
        return found.droplevel([0, 1]).sort_index()

    def efficiency(self) -> pd.Series:
        net = self.close.groupby(self.symbol, sort=False).diff(10).abs()
        step = self.close.groupby(self.symbol, sort=False).diff().abs()
        return net / self.rolling("sum", step, 10, 10)

    @cached_property
    def close(self) -> pd.Series:
        return self.frame["close"]

    @cached_property
    def rates(self) -> Any:
        return self.given.prints.set_index("ts").groupby("symbol", sort=False)["rate_8h"]

    def _judged(self, name: str, *more: Any, **options: Any) -> Flat:
        rolled = self.rates.rolling("30D", min_periods=60, closed="left")
        return getattr(rolled, name)(*more, **options).to_numpy()

    @cached_property
    def median(self) -> Flat:
        return self._judged("median")

    @cached_property
    def z(self) -> Flat:
        rate = self.given.prints["rate_8h"].to_numpy()
        return (rate - self._judged("mean")) / np.maximum(self._judged("std"), 0.5e-4)

    def z_robust(self) -> Flat:
        mad = self._judged("apply", lambda x: np.median(np.abs(x - np.median(x))), raw=True)
        rate = self.given.prints["rate_8h"].to_numpy()
        return (rate - self.median) / np.maximum(1.4826 * mad, 0.5e-4)

    def percentile(self) -> Flat:
        rolled = self.rates.rolling("365D", min_periods=61, closed="both")
        return ((rolled.rank() - 1.0) / (rolled.count() - 1.0)).to_numpy()

    def hourly(self) -> Flat:
        known = self.given.prints[["symbol", "ts"]].assign(z=self.z).sort_values("ts")
        rows = self.frame[["symbol", "ts"]].reset_index().sort_values("ts")
        found = pd.merge_asof(rows, known, on="ts", by="symbol")
        return found.set_index("index")["z"].sort_index().to_numpy()

    @cached_property
    def wide(self) -> pd.DataFrame:
        return self.returns.set_axis([self.symbol, self.frame["ts"]]).unstack(0)

    def pearson(self, window: int, least: int, lag: int) -> Flat:
        wide = self.wide.iloc[: len(self.wide) - lag]
        return np.concatenate(
            [
                wide[a].rolling(window, min_periods=least).corr(wide[b]).to_numpy()[window::SAMPLE]
                for a, b in combinations(wide.columns, 2)
            ]
        )

    def ewma(self) -> Flat:
        from regime_pipeline.correlation import asset_correlations as correlation

        half, slots = correlation.HALF_LIFE, correlation.EWMA_SLOTS
        wide = self.wide
        own = {s: (wide[s] ** 2).ewm(halflife=half).mean() for s in wide.columns}
        kept = []
        for a, b in combinations(wide.columns, 2):
            cross = (wide[a] * wide[b]).ewm(halflife=half).mean()
            kept.append((cross / np.sqrt(own[a] * own[b])).to_numpy()[slots::SAMPLE])
        return np.concatenate(kept)


# -- polars -----------------------------------------------------------------------------------------


class _Polars:
    """The same by rolling expressions over symbols."""

    def __init__(self, given: World, feature: str) -> None:
        import polars as pl

        self.pl = pl
        frame = {n: given.candles[n].to_numpy() for n in COLUMNS.get(feature, ())}
        frame |= {"total": given.liquidations["total_liquidation_usd"].to_numpy()}
        codes = pd.factorize(given.candles["symbol"])[0].astype(np.int32)
        stamps = given.candles["ts"].dt.tz_localize(None).to_numpy()
        self.frame = pl.DataFrame({"symbol": codes, "ts": stamps} | frame)
        codes = pd.factorize(given.prints["symbol"])[0].astype(np.int32)
        stamps = given.prints["ts"].dt.tz_localize(None).to_numpy()
        rate = given.prints["rate_8h"].to_numpy()
        self.prints = pl.DataFrame({"symbol": codes, "ts": stamps, "rate": rate})

    def done(self, values: Any) -> Any:
        """An expression as the column that it stands for."""
        if isinstance(values, self.pl.Expr):
            return self.frame.select(values.alias("x"))["x"]
        return values

    def flat(self, values: Any) -> Flat:
        """Values of a column; null is NaN."""
        if isinstance(values, np.ndarray):
            return values
        return values.fill_null(np.nan).to_numpy()

    def column(self, expression: Any) -> Any:
        """One column of the frame, computed over the symbols."""
        return self.frame.select(expression.over("symbol").alias("x"))["x"]

    def rolling(self, name: str, x: Any, window: int, least: int, *more: Any, lag: int = 0) -> Any:
        x = x.shift(lag) if lag else x
        options: dict[str, Any] = {"interpolation": "linear"} if name == "quantile" else {}
        rolled = getattr(x, f"rolling_{name}")(
            *more, window_size=window, min_samples=least, **options
        )
        return self.column(rolled)

    def col(self, name: str, values: Any = None) -> Any:
        """A column expression; ``values`` are first put into the frame."""
        if values is not None and name not in self.frame.columns:
            self.frame = self.frame.with_columns(values.alias(name))
        return self.pl.col(name)

    @cached_property
    def log_close(self) -> Any:
        return self.col("log_close", self.pl.col("close").log())

    @cached_property
    def returns(self) -> Any:
        return self.col("returns", self.log_close.diff().over("symbol"))

    def _volatility(self, name: str, variances: Any) -> Any:
        x = self.col(f"{name}_variance", variances)
        n = x.is_not_null().cast(self.pl.Float64).rolling_sum(24, min_samples=1)
        total = x.rolling_sum(24, min_samples=20)
        return self.col(name, (24.0 / n * total).sqrt().over("symbol"))

    @cached_property
    def volatility(self) -> Any:
        return self._volatility("volatility", self.returns**2)

    @cached_property
    def volatility_gk(self) -> Any:
        pl = self.pl
        body = (pl.col("close") / pl.col("open")).log()
        spread = (pl.col("high") / pl.col("low")).log()
        variance = 0.5 * spread**2 - (2.0 * np.log(2.0) - 1.0) * body**2
        return self._volatility("volatility_gk", variance)

    @cached_property
    def total(self) -> Any:
        return self.pl.col("total")

    def atr(self) -> Any:
        pl, before = self.pl, self.pl.col("close").shift(1).over("symbol")
        reach = pl.when(before.is_not_null()).then(
            pl.max_horizontal("high", before) - pl.min_horizontal("low", before)
        )
        return self.rolling("mean", self.col("reach", reach), 14, 14)

    def price_z(self) -> Any:
        before = self.log_close.shift(1)
        mean = before.rolling_mean(50, min_samples=45)
        return self.column((self.log_close - mean) / before.rolling_std(50, min_samples=45))

    @cached_property
    def spread(self) -> Any:
        high = self.pl.col("high").rolling_max(10, min_samples=8)
        low = self.pl.col("low").rolling_min(10, min_samples=8)
        return self.col("spread", (high / low).log().over("symbol"))

    def efficiency(self) -> Any:
        close = self.pl.col("close")
        path = close.diff().abs().rolling_sum(10, min_samples=10)
        return self.column(close.diff(10).abs() / path)

    def _judged(self, name: str) -> Any:
        rolled = getattr(self.pl.col("rate"), f"rolling_{name}_by")
        return rolled("ts", window_size="30d", min_samples=60, closed="left").over("symbol")

    @cached_property
    def median(self) -> Any:
        return self.prints.select(self._judged("median").alias("x"))["x"]

    @cached_property
    def z(self) -> Any:
        scale = self.pl.max_horizontal(self._judged("std"), self.pl.lit(0.5e-4))
        scale = self.pl.when(self._judged("std").is_not_null()).then(scale)
        z = (self.pl.col("rate") - self._judged("mean")) / scale
        return self.prints.select(z.alias("x"))["x"]

    def hourly(self) -> Any:
        known = self.prints.select("symbol", "ts", self.z.alias("z")).sort("ts")
        rows = self.frame.select("symbol", "ts").sort("ts")
        found = rows.join_asof(known, on="ts", by="symbol", check_sortedness=False)
        return found.sort("symbol", "ts")["z"]

    @cached_property
    def wide(self) -> Any:
        self.returns  # noqa: B018 - puts the column into the frame
        parts = self.frame.select("symbol", "returns").partition_by("symbol")
        return self.pl.DataFrame({f"s{i}": part["returns"] for i, part in enumerate(parts)})

    def pearson(self, window: int, least: int, lag: int) -> Flat:
        wide = self.wide.head(len(self.wide) - lag).lazy()
        pairs = list(combinations(self.wide.columns, 2))
        kept = []
        for begin in range(0, len(pairs), 495):
            found = wide.select(
                self.pl.rolling_corr(a, b, window_size=window, min_samples=least).alias(a + b)
                for a, b in pairs[begin : begin + 495]
            ).collect()
            kept += [found[name].to_numpy()[window::SAMPLE] for name in found.columns]
        return np.concatenate(kept)

    def ewma(self) -> Flat:
        from regime_pipeline.correlation import asset_correlations as correlation

        pl, half, slots = self.pl, correlation.HALF_LIFE, correlation.EWMA_SLOTS

        def mean(x: Any) -> Any:
            return x.ewm_mean(half_life=half)

        own = self.wide.with_columns(mean(pl.col(s) ** 2).alias(f"{s}_") for s in self.wide.columns)
        pairs = list(combinations(self.wide.columns, 2))
        kept = []
        for begin in range(0, len(pairs), 495):
            found = (
                own.lazy()
                .select(
                    (
                        mean(pl.col(a) * pl.col(b)) / (pl.col(f"{a}_") * pl.col(f"{b}_")).sqrt()
                    ).alias(a + b)
                    for a, b in pairs[begin : begin + 495]
                )
                .collect()
            )
            kept += [found[name].to_numpy()[slots::SAMPLE] for name in found.columns]
        return np.concatenate(kept)


# -- TA-Lib -----------------------------------------------------------------------------------------


class _Talib:
    """The indicators that TA-Lib shares with us, symbol by symbol."""

    def __init__(self, given: World, feature: str) -> None:
        import talib

        self.talib = talib
        shape = (len(given.grid.symbols), -1)
        self.bars = {n: given.candles[n].to_numpy().reshape(shape) for n in COLUMNS[feature]}

    done = staticmethod(as_it_is)

    def flat(self, values: Flat) -> Flat:
        """Symbol by symbol."""
        return values.reshape(-1)

    def each(
        self, function: Callable[..., Flat], *arrays: Flat, lag: int = 0, **options: Any
    ) -> Flat:
        """A function of every symbol, ``lag`` rows later."""
        out = np.full_like(arrays[0], np.nan)
        for s in range(len(out)):
            found = function(*(a[s] for a in arrays), **options)
            out[s, lag:] = found[: len(found) - lag]
        return out

    @cached_property
    def log_close(self) -> Flat:
        return np.log(self.bars["close"])

    @cached_property
    def returns(self) -> Flat:
        return np.diff(self.log_close, axis=1, prepend=np.nan)

    @cached_property
    def volatility(self) -> Flat:
        squares = np.square(self.returns, out=self.returns)
        total = self.each(self.talib.SUM, squares, timeperiod=24)
        return np.sqrt(total, out=total)

    @cached_property
    def volatility_gk(self) -> Flat:
        body = np.log(self.bars["close"] / self.bars["open"])
        spread = np.log(self.bars["high"] / self.bars["low"])
        variance = 0.5 * spread**2 - (2.0 * np.log(2.0) - 1.0) * body**2
        return np.sqrt(self.each(self.talib.SUM, variance, timeperiod=24))

    def baseline(self) -> Flat:
        return self.each(self.talib.SMA, self.volatility, timeperiod=720, lag=24)

    def atr(self) -> Flat:
        reach = self.each(self.talib.TRANGE, *(self.bars[n] for n in ("high", "low", "close")))
        return self.each(self.talib.SMA, reach, timeperiod=14)

    def price_z(self) -> Flat:
        mean = self.each(self.talib.SMA, self.log_close, timeperiod=50, lag=1)
        sd = self.each(self.talib.STDDEV, self.log_close, timeperiod=50, lag=1)
        return (self.log_close - mean) / (sd * np.sqrt(50 / 49))

    def return_sd(self) -> Flat:
        sd = self.each(self.talib.STDDEV, self.returns, timeperiod=50, lag=1)
        return sd * np.sqrt(50 / 49)

    def spread(self) -> Flat:
        high = self.each(self.talib.MAX, self.bars["high"], timeperiod=10)
        return np.log(high / self.each(self.talib.MIN, self.bars["low"], timeperiod=10))

    def pearson(self, window: int, _: int, lag: int) -> Flat:
        x = self.returns[:, : self.returns.shape[1] - lag]
        return np.concatenate(
            [
                self.talib.CORREL(x[a], x[b], timeperiod=window)[window::SAMPLE]
                for a, b in combinations(range(len(x)), 2)
            ]
        )


# -- the statistics ---------------------------------------------------------------------------------

Side = Callable[[Any], Any]
SIDES: dict[str, type] = {
    "ours": _Ours,
    "pandas": _Pandas,
    "polars": _Polars,
    "talib": _Talib,
}
ALL = ("pandas", "polars")


def both(work: Side) -> dict[str, Side]:
    """One spelling for the three sides with a common vocabulary."""
    return {"ours": work, "pandas": work, "polars": work}


STATISTICS: dict[str, dict[str, dict[str, Side]]] = {
    "volatility": {
        "volatility_24h": both(lambda s: s.volatility) | {"talib": lambda s: s.volatility},
        "volatility_24h_gk": both(lambda s: s.volatility_gk) | {"talib": lambda s: s.volatility_gk},
        "volatility_mean": both(lambda s: s.rolling("mean", s.volatility, 720, 480, lag=24))
        | {"talib": lambda s: s.baseline()},
        "volatility_median_gk": both(
            lambda s: s.rolling("median", s.volatility_gk, 720, 480, lag=24)
        ),
    },
    "timeframes": {
        "price_z": both(lambda s: s.price_z()) | {"talib": lambda s: s.price_z()},
        "return_sd": both(lambda s: s.rolling("std", s.returns, 50, 45, lag=1))
        | {"talib": lambda s: s.return_sd()},
        "log_range": both(lambda s: s.spread) | {"talib": lambda s: s.spread()},
        "range_quantile": {
            "ours": lambda s: s.rolling("quantile", s.spread, 50, 30, 0.3, lag=1),
            "pandas": lambda s: s.rolling("quantile", s.spread, 50, 30, 0.3, lag=1),
            "polars": lambda s: s.rolling("quantile", s.spread, 50, 30, 0.3, lag=1),
        },
        "efficiency": both(lambda s: s.efficiency()),
        "volume_z": {"ours": lambda s: s.volume_z(), "pandas": lambda s: s.volume_z()},
    },
    "cascades": {
        "bands": {"ours": lambda s: s.bands.transpose(2, 0, 1), "pandas": lambda s: s.bands()},
        "p90": {
            "ours": lambda s: s.rolling("quantile", s.total, 720, 336, 0.90, lag=1),
            "polars": lambda s: s.rolling("quantile", s.total, 720, 336, 0.90, lag=1),
        },
        "p97": {
            "ours": lambda s: s.rolling("quantile", s.total, 720, 336, 0.97, lag=1),
            "polars": lambda s: s.rolling("quantile", s.total, 720, 336, 0.97, lag=1),
        },
        "atr_14": both(lambda s: s.atr()) | {"talib": lambda s: s.atr()},
    },
    "funding": {
        "z_score": {
            "ours": lambda s: s.judged["z"],
            "pandas": lambda s: s.z,
            "polars": lambda s: s.z,
        },
        "median_rate_8h": {
            "ours": lambda s: s.judged["median"],
            "pandas": lambda s: s.median,
            "polars": lambda s: s.median,
        },
        "z_robust": {"ours": lambda s: s.judged["z_robust"], "pandas": lambda s: s.z_robust()},
        "pctl_365d": {"ours": lambda s: s.percentile(), "pandas": lambda s: s.percentile()},
        "z_score of the hour": both(lambda s: s.hourly()),
    },
    "correlations": {
        "corr_7d": both(lambda s: s.pearson(168, 140, 0))
        | {"talib": lambda s: s.pearson(168, 140, 0)},
        "corr_30d_base": both(lambda s: s.pearson(720, 480, 168))
        | {"talib": lambda s: s.pearson(720, 480, 168)},
        "corr_ewma": both(lambda s: s.ewma()),
    },
}


def named(feature: str, other: str) -> list[str]:
    """Statistics that a library shares with us."""
    return [name for name, sides in STATISTICS[feature].items() if other in sides]


def compute(inputs: Any, side: str, feature: str, names: list[str]) -> dict[str, Any]:
    """The named statistics, each in the form that is natural to its side."""
    return {n: inputs.done(STATISTICS[feature][n][side](inputs)) for n in names}


# -- whole features ---------------------------------------------------------------------------------


def whole(feature: str, given: World) -> Any:
    """The public function or functions of a feature on all rows of the grid."""
    from regime_pipeline import settings

    grid, spot = given.grid, given.candles
    if feature == "volatility":
        from regime_pipeline.features.volatility_regimes import volatility_regimes

        return volatility_regimes(spot, grid=grid, params=settings.VolatilityParams())
    if feature == "timeframes":
        from regime_pipeline.regimes.timeframe_regimes import timeframe_regimes

        return timeframe_regimes(spot, grid=grid, params=settings.TimeframeParams())
    if feature == "cascades":
        from regime_pipeline.features.liquidation_cascades import liquidation_cascades

        return liquidation_cascades(
            given.liquidations,
            given.liquidations,
            spot.assign(market="perp"),
            grid=grid,
            params=settings.CascadeParams(),
        )
    if feature == "funding":
        from regime_pipeline.features.funding_anomalies import funding_anomalies, funding_prints

        params = settings.FundingParams()
        window = Window(grid.start, grid.end)
        prints = funding_prints(given.prints, window=window, symbols=grid.symbols, params=params)
        return funding_anomalies(prints, grid=grid, params=params)
    from regime_pipeline.correlation.asset_correlations import correlations

    return correlations(spot, grid=grid, params=settings.CorrelationParams())


def owed(feature: str, symbols: int, hours: int) -> int:
    """Hours of one call of a whole feature."""
    return min(hours, STRETCH) if feature == "correlations" and symbols > 20 else hours


# -- measuring --------------------------------------------------------------------------------------


def best(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Least seconds by the clock, least seconds of all processors, and the answer."""
    wall, cpu, found = np.inf, np.inf, None
    began = time.perf_counter()
    for done in range(1, RUNS + 1):
        begin, used = time.perf_counter(), time.process_time()
        found = work()
        wall = min(wall, time.perf_counter() - begin)
        cpu = min(cpu, time.process_time() - used)
        spent = time.perf_counter() - began
        if spent > ENOUGH_S and (done >= 3 or spent > 4.0 * ENOUGH_S):
            break
    return {"seconds": wall, "cpu": cpu}, found


def child(task: dict[str, Any], out: Path) -> None:
    """One side of one case: seconds and peak memory on standard output, values into a file."""
    symbols, hours, feature, side = (task[k] for k in ("symbols", "hours", "feature", "side"))
    small = world(2, 1_800)  # compiles kernels, imports libraries
    if side == "whole":
        whole(feature, world(3, 240, LEAD))
        given = world(symbols, owed(feature, symbols, hours), LEAD)
        spent, _ = best(lambda: whole(feature, given))
    else:
        if side != "pandas":
            few = small if feature != "correlations" else world(2, 4_000)
            compute(SIDES[side](few, feature), side, feature, task["names"])
        inputs = _inputs(side, feature, world(symbols, hours), aligned=task["aligned"])
        spent, found = best(lambda: compute(inputs(), side, feature, task["names"]))
        settled = inputs()
        np.savez(out, **{name: settled.flat(values) for name, values in found.items()})
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(json.dumps(spent | {"rss_mb": rss}) + "\n")


def _inputs(side: str, feature: str, given: World, *, aligned: bool) -> Callable[[], Any]:
    """What makes a side's inputs; ``aligned``: arrays of hours x symbols that are already there."""
    if side != "ours" or not aligned:
        return lambda: SIDES[side](given, feature)
    bars = _Ours(given, feature).bars

    def inputs() -> _Ours:
        ours = _Ours(given, feature)
        ours.__dict__["bars"] = bars
        return ours

    return inputs


def difference(ours: Flat, other: Flat, *, same_nulls: bool) -> float:
    """Largest difference in units of the typical size; infinite where the nulls differ."""
    if ours.shape != other.shape:
        raise ValueError(f"shapes {ours.shape} and {other.shape}")
    known = np.isfinite(other)
    if (same_nulls and not np.array_equal(known, np.isfinite(ours))) or not known.any():
        return np.inf
    mine, theirs = ours[known], other[known]
    if not np.isfinite(mine).all():
        return np.inf
    size = np.maximum(np.abs(theirs), np.median(np.abs(theirs)))
    return float(np.max(np.abs(mine - theirs) / size))


def _compare(folder: Path, feature: str, other: str, symbols: int, hours: int) -> dict[str, Any]:
    names = named(feature, other)
    size = {"symbols": symbols, "hours": hours, "feature": feature, "names": names}
    size["aligned"] = other == "talib"
    ours, mine = in_process(MODULE, folder, side="ours", **size)
    found, theirs = in_process(MODULE, folder, side=other, **size)
    worst = 0.0
    with np.load(mine) as a, np.load(theirs) as b:
        for name in names:
            gap = difference(a[name], b[name], same_nulls=other != "talib")
            if not gap <= TOLERANCE:
                raise SystemExit(f"{feature}, {name}: ours and {other} differ by {gap}")
            worst = max(worst, gap)
    return {
        "statistics": names,
        "ours_s": ours["seconds"],
        "other_s": found["seconds"],
        "ratio": found["seconds"] / ours["seconds"],
        "cpu_ratio": found["cpu"] / ours["cpu"],
        "max_diff": f"{worst:.1e}",
        "ours_rss_mb": ours["rss_mb"],
        "other_rss_mb": found["rss_mb"],
    }


def run_size(symbols: int, hours: int) -> dict[str, float]:
    """All lines of one size; seconds of every whole feature per symbol (or pair) and hour."""
    size = f"{symbols} symbols x {hours} h"
    totals: dict[str, list[float]] = {}
    costs: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as name:
        folder = Path(name)
        for feature in FEATURES:
            for other in LIBRARIES:
                if not named(feature, other):
                    continue
                case = f"statistics of {feature}, {other}, {size}"
                if importlib.util.find_spec(other) is None:
                    line(NAME, case, skipped=f"{other} is not installed")
                    continue
                found = _compare(folder, feature, other, symbols, hours)
                line(NAME, case, **found)
                pair = totals.setdefault(other, [0.0, 0.0])
                pair[0] += found["ours_s"]
                pair[1] += found["other_s"]
            stretch = owed(feature, symbols, hours)
            task = {"symbols": symbols, "hours": hours, "feature": feature, "side": "whole"}
            found, _ = in_process(MODULE, folder, **task)
            line(
                NAME,
                f"whole {feature}, {symbols} symbols x {stretch} h",
                ours_s=found["seconds"],
                ours_cpu_s=found["cpu"],
                ours_rss_mb=found["rss_mb"],
            )
            columns = symbols * (symbols - 1) // 2 if feature == "correlations" else symbols
            costs[feature] = found["cpu"] / columns / (stretch + LEAD)
    for other, (ours_s, other_s) in totals.items():
        line(
            NAME,
            f"total of the statistics, {other}, {size}",
            ours_s=ours_s,
            other_s=other_s,
            ratio=other_s / ours_s,
        )
    return costs


def run(*, quick: bool = False) -> None:
    """Run all sizes, small ones when ``quick``."""
    costs = [run_size(*size) for size in (QUICK if quick else SIZES)]
    for few, many in pairwise(costs):
        for feature in FEATURES:
            line(NAME, f"scaling of {feature}", many_over_few=many[feature] / few[feature])


def main() -> None:
    """``python -m benchmarks.features [--quick]``."""
    command_line(MODULE, run, child)


if __name__ == "__main__":
    main()
