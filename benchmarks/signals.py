"""Signal components and futures factors against pandas, polars, TA-Lib and vectorbt, and whole tables.

``python -m benchmarks signals`` runs 8 symbols x 5 years and 100 symbols x 1 year of hourly values,
``--quick`` one small size. Every side works in a process of its own, begins with arrays of hours x symbols
in its library's form and takes the best of several runs, as in ``benchmarks.features``. Lines are JSON
objects:

* ``score`` lines compare one score. Ours is the product's function with its verdicts, confidence and raw
  numbers; the others give the bare score on data in which nothing is missing, so that they do less.
  ``ratio`` is other / ours by the clock, ``cpu_ratio`` the same in processor seconds, ``max_diff`` the
  largest difference in points of the score after the warm-up. Above ``TOLERANCE`` the benchmark fails.
* ``total`` lines sum up the scores that a library has.
* ``whole`` lines run the public functions of the tables, frames in, frames out; ``scaling`` is their cost
  per symbol and hour of 100 symbols over that of 8. ``snapshot`` is one hour's snapshot of 100 symbols over
  that of 8.

The regression of ``beta_exp`` has no rolling form in any of them; robust scales and sums at the same hour of
the day stand in pandas only. polars, TA-Lib (extra ``bench``) and vectorbt are no dependencies; where one is
absent its lines say that they were skipped.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from benchmarks.common import command_line, in_process, line
from benchmarks.features import END, QUICK, SIZES, best
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import FloatPanel, from_panel
from regime_pipeline.windows import Grid, hour_number

NAME, MODULE = "signals", "benchmarks.signals"
TOLERANCE = 1e-4
"""Points of a score from 0 to 100: TA-Lib's running sums lose digits, ours and pandas agree to 1e-9."""
WARM_UP = 1_600
LIBRARIES = ("pandas", "polars", "talib", "vectorbt")
MONTH, LEAST = 720, 336

Panels = Mapping[str, FloatPanel]


def world(symbols: int, hours: int) -> dict[str, FloatPanel]:
    """Hours x symbols of everything, nothing missing; the same in every process."""
    rng = np.random.default_rng(5)
    shape = (hours, symbols)
    close = 100.0 * np.exp(np.cumsum(rng.standard_t(4, shape) * 0.005, axis=0))
    spread = np.abs(rng.normal(0.0, 0.004, (2, *shape)))
    base = rng.lognormal(8.0, 1.0, shape)
    return {
        "open": close * (1.0 + rng.normal(0.0, 0.001, shape)),
        "high": close * (1.002 + spread[0]),
        "low": close * (0.998 - spread[1]),
        "close": close,
        "volume_base": base,
        "volume_quote": base * close,
        "flow_imbalance": np.tanh(rng.normal(0.0, 0.3, shape)),
        "imbalance": np.tanh(rng.normal(0.0, 0.5, shape)),
        "mood": rng.normal(50.0, 10.0, shape),
        "mentions": rng.poisson(40.0, shape).astype("float64"),
        "net_flow_usd": rng.normal(0.0, 1e7, shape),
        "longs": rng.lognormal(10.0, 1.5, shape),
        "shorts": rng.lognormal(10.0, 1.5, shape),
        "share": rng.beta(30, 15, shape),
        "coins": 1e5 * np.exp(np.cumsum(rng.normal(0.0, 0.005, shape), axis=0)),
    }


# -- ours -------------------------------------------------------------------------------------------


def _first(hours: int) -> int:
    return hour_number(END) - hours


def handed(x: Panels) -> dict[str, FloatPanel]:
    """The world, and what else the product's functions are handed."""
    ones, volume = np.ones_like(x["close"]), x["volume_quote"]
    return {
        **x,
        "ones": ones,
        "zeros": 0.0 * ones,
        "snapshots": 13.0 * ones,
        "bids": volume,
        "asks": volume,
        "usd": x["coins"] * x["close"],
    }


def ours(name: str, x: Panels) -> FloatPanel:
    """A score by the product's own function, of the panels of :func:`handed`."""
    from regime_pipeline.signals import candle_scores as candles
    from regime_pipeline.signals import factors
    from regime_pipeline.signals import flow_scores as flows

    first, ones, zeros = _first(len(x["close"])), x["ones"], x["zeros"]
    depth = {f"depth_25bps_{side}_usd": x[f"{side}s"] for side in ("bid", "ask")}
    book = {"imbalance": x["imbalance"], "spread_bps": x["share"], "n_snapshots": x["snapshots"]}
    moved = {"net_flow_usd": x["net_flow_usd"], "stablecoin_net_flow_usd": zeros}
    moved |= {"coverage": ones, "partial": zeros}
    kinds = dict.fromkeys(flows.KINDS, x["mood"])
    names = ("share", "z")
    scores: dict[str, Callable[[], Any]] = {
        "momentum": lambda: candles.momentum(x["close"], first_hour=first),
        "technical": lambda: candles.technical(x["close"], first_hour=first),
        "volume": lambda: candles.volume(x, first_hour=first),
        "price_action": lambda: candles.price_action(x),
        "orderflow": lambda: flows.orderflow(x["flow_imbalance"], ones, zeros, first_hour=first),
        "orderbook": lambda: flows.orderbook(book | depth, first_hour=first),
        "sentiment": lambda: flows.sentiment(kinds, frozenset(kinds), first_hour=first),
        "whale_act": lambda: flows.whale_act(
            moved, x["volume_quote"], wired=True, first_hour=first
        ),
        "liquidation": lambda: flows.liquidation(x["longs"], x["shorts"], zeros, ones),
        "liquidations factor": lambda: factors.liquidations(
            x["longs"], x["shorts"], first_hour=first
        ),
        "momentum factor": lambda: factors.momentum(x["close"], first_hour=first),
        "share factor": lambda: factors.share(x["share"], sign=-1.0, first_hour=first, names=names),
        "open interest factor": lambda: factors.open_interest(
            x["coins"], x["usd"], x["close"], first_hour=first
        ),
        "social factor": lambda: factors.social(x["mood"], x["mentions"], first_hour=first),
    }
    found: FloatPanel = scores[name]().score
    return found


# -- the others: one vocabulary of rolling statistics, one spelling of the scores --------------------


class _Pandas:
    """Wide frames."""

    def __init__(self, x: Panels) -> None:
        index = pd.date_range(
            END - timedelta(hours=len(x["close"])), periods=len(x["close"]), freq="h"
        )
        self.x = {name: pd.DataFrame(panel, index=index) for name, panel in x.items()}

    def lag(self, x: Any, hours: int = 1) -> Any:
        return x.shift(hours)

    def mean(self, x: Any, window: int) -> Any:
        return x.rolling(window).mean()

    def std(self, x: Any, window: int) -> Any:
        return x.rolling(window).std()

    def high(self, x: Any, window: int) -> Any:
        return x.rolling(window).max()

    def low(self, x: Any, window: int) -> Any:
        return x.rolling(window).min()

    def median(self, x: Any, window: int) -> Any:
        return x.rolling(window).median()

    def ewm(self, x: Any, alpha: float) -> Any:
        return x.ewm(alpha=alpha, adjust=False).mean()

    def oscillators(self, close: Any) -> tuple[Any, Any, Any]:
        change = close.diff()
        up, down = (self.ewm(side.clip(lower=0.0), 1 / 14) for side in (change, -change))
        macd = self.ewm(close, 2 / 13) - self.ewm(close, 2 / 27)
        sd = close.rolling(20).std(ddof=0)
        band = (close - self.mean(close, 20) + 2.0 * sd) / (4.0 * sd)
        return 100.0 * up / (up + down), macd - self.ewm(macd, 2 / 10), band

    def robust_same_hour(self, x: Any) -> Any:
        def z(values: np.ndarray) -> float:
            value, sample = values[-1], values[:-1]
            middle = np.median(sample)
            return (value - middle) / (1.4826 * np.median(np.abs(sample - middle)))

        parts = x.groupby(x.index.hour).rolling(21).apply(z, raw=True)
        return parts.droplevel(0).sort_index()

    def same_hour_std(self, x: Any, days: int) -> Any:
        hours = x.groupby(x.index.hour)
        found = hours.rolling(days).std().droplevel(0).sort_index()
        return found.shift(24)

    def array(self, x: Any) -> Any:
        return x.to_numpy()


class _Numpy:
    """Libraries that work on arrays; what one lacks raises AttributeError and its lines are left out."""

    def __init__(self, x: Panels) -> None:
        self.x = dict(x)

    def lag(self, x: FloatPanel, hours: int = 1) -> FloatPanel:
        out = np.full_like(x, np.nan)
        out[hours:] = x[:-hours]
        return out

    def array(self, x: FloatPanel) -> FloatPanel:
        return x


class _Polars(_Numpy):
    """Frames with a column a symbol, all columns of an expression at once."""

    def __init__(self, x: Panels) -> None:
        super().__init__(x)
        import polars as pl

        self.pl = pl

    def _each(self, x: FloatPanel, how: Callable[[Any], Any]) -> FloatPanel:
        frame = self.pl.from_numpy(np.ascontiguousarray(x))
        return np.asarray(
            frame.lazy().select(how(self.pl.all().fill_nan(None))).collect().to_numpy()
        )

    def mean(self, x: FloatPanel, window: int) -> FloatPanel:
        return self._each(x, lambda c: c.rolling_mean(window))

    def std(self, x: FloatPanel, window: int) -> FloatPanel:
        return self._each(x, lambda c: c.rolling_std(window))

    def high(self, x: FloatPanel, window: int) -> FloatPanel:
        return self._each(x, lambda c: c.rolling_max(window))

    def low(self, x: FloatPanel, window: int) -> FloatPanel:
        return self._each(x, lambda c: c.rolling_min(window))

    def median(self, x: FloatPanel, window: int) -> FloatPanel:
        return self._each(x, lambda c: c.rolling_median(window))

    def ewm(self, x: FloatPanel, alpha: float) -> FloatPanel:
        return self._each(x, lambda c: c.ewm_mean(alpha=alpha, adjust=False))

    def oscillators(self, close: FloatPanel) -> tuple[FloatPanel, FloatPanel, FloatPanel]:
        change = close - self.lag(close)
        up, down = (self.ewm(np.maximum(side, 0.0), 1 / 14) for side in (change, -change))
        macd = self.ewm(close, 2 / 13) - self.ewm(close, 2 / 27)
        sd = self._each(close, lambda c: c.rolling_std(20, ddof=0))
        band = (close - self.mean(close, 20) + 2.0 * sd) / (4.0 * sd)
        return 100.0 * up / (up + down), macd - self.ewm(macd, 2 / 10), band


class _Talib(_Numpy):
    """Symbol by symbol."""

    def __init__(self, x: Panels) -> None:
        super().__init__(x)
        import talib

        self.talib = talib

    def _each(self, x: FloatPanel, how: Callable[[FloatPanel], FloatPanel]) -> FloatPanel:
        by_symbol = np.ascontiguousarray(x.T)
        return np.stack([how(column) for column in by_symbol], axis=1)

    def mean(self, x: FloatPanel, window: int) -> FloatPanel:
        return self._each(x, lambda c: self.talib.SMA(c, window))

    def std(self, x: FloatPanel, window: int) -> FloatPanel:
        scale = np.sqrt(window / (window - 1))
        return scale * self._each(x, lambda c: self.talib.STDDEV(c, window))

    def high(self, x: FloatPanel, window: int) -> FloatPanel:
        return self._each(x, lambda c: self.talib.MAX(c, window))

    def low(self, x: FloatPanel, window: int) -> FloatPanel:
        return self._each(x, lambda c: self.talib.MIN(c, window))

    def oscillators(self, close: FloatPanel) -> tuple[FloatPanel, FloatPanel, FloatPanel]:
        def band(column: FloatPanel) -> FloatPanel:
            upper, _, lower = self.talib.BBANDS(column, 20, 2.0, 2.0)
            return (column - lower) / (upper - lower)

        return (
            self._each(close, lambda c: self.talib.RSI(c, 14)),
            self._each(close, lambda c: self.talib.MACD(c, 12, 26, 9)[2]),
            self._each(close, band),
        )


class _Vectorbt(_Numpy):
    """Its compiled rolling functions over hours x symbols; its RSI is not Wilder's."""

    def __init__(self, x: Panels) -> None:
        super().__init__(x)
        from vectorbt.generic import nb

        self.nb = nb

    def mean(self, x: FloatPanel, window: int) -> FloatPanel:
        return self.nb.rolling_mean_nb(x, window, window)

    def std(self, x: FloatPanel, window: int) -> FloatPanel:
        return self.nb.rolling_std_nb(x, window, window, 1)

    def high(self, x: FloatPanel, window: int) -> FloatPanel:
        return self.nb.rolling_max_nb(x, window, window)

    def low(self, x: FloatPanel, window: int) -> FloatPanel:
        return self.nb.rolling_min_nb(x, window, window)


SIDES: dict[str, type] = {
    "pandas": _Pandas,
    "polars": _Polars,
    "talib": _Talib,
    "vectorbt": _Vectorbt,
}


def _mapped(s: Any, z: Any, most: float = 4.0) -> FloatPanel:
    return 100.0 * ndtr(np.clip(s.array(z), -most, most))


def _z(s: Any, x: Any, window: int) -> Any:
    before = s.lag(x)
    return (x - s.mean(before, window)) / s.std(before, window)


def _momentum(s: Any, horizons: tuple[int, ...]) -> FloatPanel:
    log = np.log(s.x["close"])
    sigma = np.sqrt(s.lag(s.ewm(((log - s.lag(log)) ** 2), 0.06)))
    parts = [(log - s.lag(log, h)) / (sigma * np.sqrt(h)) for h in horizons]
    return _mapped(s, sum(parts) / len(parts), 3.0)


def _technical(s: Any) -> FloatPanel:
    rsi, histogram, band = s.oscillators(s.x["close"])
    trend = histogram / s.lag(s.std(histogram, 100))
    return (
        40.0 * ndtr((s.array(rsi) - 50.0) / 12.0)
        + 0.3 * _mapped(s, trend)
        + 30.0 * np.clip(s.array(band), 0.0, 1.0)
    )


def _volume(s: Any) -> FloatPanel:
    x, log = s.x, np.log(s.x["close"])
    vwap = s.mean(x["volume_quote"], 24) / s.mean(x["volume_base"], 24)
    realised = np.sqrt(24.0 * s.mean((log - s.lag(log)) ** 2, 24))
    spike = s.array(s.robust_same_hour(np.log(x["volume_base"])))
    away = s.array((x["close"] / vwap - 1.0) / realised)
    return _mapped(s, pd.DataFrame(away * np.clip(0.5 + 0.25 * spike, 0.25, 1.5)))


def _price_action(s: Any) -> FloatPanel:
    x, close = s.x, s.array(s.x["close"])
    parts = []
    for bars in (20, 55):
        high = s.array(s.high(s.lag(x["high"]), bars))
        low = s.array(s.low(s.lag(x["low"]), bars))
        parts.append(np.clip(100.0 * (close - low) / (high - low), 0.0, 100.0))
    own = s.array((x["close"] - x["low"]) / (x["high"] - x["low"]))
    return 0.5 * parts[0] + 0.3 * parts[1] + 20.0 * own


def _orderbook(s: Any) -> FloatPanel:
    x = s.x["imbalance"]
    before = s.lag(x)
    usual = np.clip(s.array(s.median(before, MONTH)), -0.6, 0.6)
    scale = np.maximum(s.array(s.std(before, 168)), 0.05)
    return 100.0 * ndtr(np.clip((s.array(x) - usual) / scale, -4.0, 4.0))


def _sentiment(s: Any) -> FloatPanel:
    weights = np.array([0.5, 0.3, 0.2])
    z = sum(w * s.array(_z(s, s.x["mood"], MONTH)) for w in weights)
    return 100.0 * ndtr(np.clip(z / np.sqrt(np.square(weights).sum()), -4.0, 4.0))


def _whale(s: Any) -> FloatPanel:
    flow = s.x["net_flow_usd"]
    return _mapped(s, -flow / s.same_hour_std(flow, 30))


def _liquidation(s: Any) -> FloatPanel:
    total = s.x["longs"] + s.x["shorts"]
    usual = s.median(s.lag(total), MONTH)
    return 50.0 + 50.0 * s.array((s.x["shorts"] - s.x["longs"]) / (total + usual))


def _liquidations_factor(s: Any) -> FloatPanel:
    longs, shorts = (24.0 * s.mean(s.x[side], 24) for side in ("longs", "shorts"))
    usual = s.median(s.lag(longs + shorts), MONTH)
    balance = (shorts - longs) / (longs + shorts + usual)
    shift = balance - s.median(s.lag(balance), MONTH)
    return 50.0 + 50.0 * np.clip(s.array(shift), -1.0, 1.0)


def _open_interest(s: Any) -> FloatPanel:
    coins, price = (np.log(s.x[n]) for n in ("coins", "close"))
    change, moved = coins - s.lag(coins, 24), price - s.lag(price, 24)
    size = np.tanh(np.abs(np.clip(s.array(_z(s, change, MONTH)), -4.0, 4.0)) / 2.0)
    return 50.0 + 50.0 * size * np.sign(s.array(moved)) * np.where(s.array(change) > 0.0, 1.0, 0.5)


def _social(s: Any) -> FloatPanel:
    z, heard = (_z(s, x, MONTH) for x in (s.x["mood"], np.log1p(s.x["mentions"])))
    return _mapped(s, pd.DataFrame(s.array(z) * np.clip(s.array(heard), 0.0, 1.5)))


SCORES: dict[str, tuple[Callable[[Any], FloatPanel], tuple[str, ...]]] = {
    "momentum": (lambda s: _momentum(s, (4, 24, 72)), ("pandas", "polars")),
    "technical": (_technical, ("pandas", "polars", "talib")),
    "volume": (_volume, ("pandas",)),
    "price_action": (_price_action, LIBRARIES),
    "orderflow": (lambda s: _mapped(s, _z(s, s.x["flow_imbalance"], 168)), LIBRARIES),
    "orderbook": (_orderbook, ("pandas", "polars")),
    "sentiment": (_sentiment, LIBRARIES),
    "whale_act": (_whale, ("pandas",)),
    "liquidation": (_liquidation, ("pandas", "polars")),
    "liquidations factor": (_liquidations_factor, ("pandas", "polars")),
    "momentum factor": (lambda s: _momentum(s, (1, 4, 24)), ("pandas", "polars")),
    "share factor": (
        lambda s: _mapped(s, -_z(s, np.log(s.x["share"] / (1.0 - s.x["share"])), MONTH)),
        LIBRARIES,
    ),
    "open interest factor": (_open_interest, LIBRARIES),
    "social factor": (_social, LIBRARIES),
}
"""How the others make each score, and who has what it takes."""


# -- whole tables -----------------------------------------------------------------------------------


def frames(symbols: int, hours: int, lead: int) -> tuple[dict[str, pd.DataFrame], Grid]:
    """Market tables of the world, and the grid of the hours after the lead."""
    x = world(symbols, hours + lead)
    names = tuple(f"C{i:03d}/USDT" if i else "BTC/USDT" for i in range(symbols))
    grid = Grid(END - timedelta(hours=hours), END, tuple(sorted(names)))
    wide = Grid(END - timedelta(hours=hours + lead), END, grid.symbols)
    given = {
        "candles_1h": ("open", "high", "low", "close", "volume_base", "volume_quote"),
        "trade_flow_1h": ("flow_imbalance",),
        "order_book_1h": ("imbalance", "spread_bps", "n_snapshots"),
        "sentiment_1h": ("social_score", "news_score", "social_mentions"),
        "whale_flow_1h": ("net_flow_usd", "stablecoin_net_flow_usd", "coverage"),
        "liquidations_1h": ("long_liquidations_usd", "short_liquidations_usd", "coverage"),
        "positioning_1h": ("global_account_long_frac", "top_trader_position_long_frac"),
        "open_interest": ("open_interest_base", "open_interest_usd"),
    }
    ones = np.ones_like(x["close"])
    x |= {
        "spread_bps": x["share"], "n_snapshots": 13.0 * ones, "coverage": ones,
        "social_score": x["mood"], "news_score": x["mood"], "social_mentions": x["mentions"],
        "stablecoin_net_flow_usd": 0.0 * ones, "long_liquidations_usd": x["longs"],
        "short_liquidations_usd": x["shorts"], "global_account_long_frac": x["share"],
        "top_trader_position_long_frac": x["share"], "open_interest_base": x["coins"],
        "open_interest_usd": x["coins"] * x["close"], "is_filled": 0.0 * ones,
    }  # fmt: skip
    out = {}
    for name, columns in given.items():
        item = table(f"market.{name}")
        frame = from_panel(wide, {c: x[c] for c in columns} | {"source_tier": 9.0 * ones})
        frame = frame.assign(market="perp", status="ok", is_filled=False)
        out[name] = conform(frame.reindex(columns=list(item.content)), item)
    prints = from_panel(wide, {"rate_8h": 1e-4 * (1.0 + x["imbalance"])})
    prints = prints[prints["ts"].dt.hour % 8 == 0].reset_index(drop=True)
    out["funding"] = prints.assign(
        funding_rate=prints["rate_8h"], rate_annual=1095 * prints["rate_8h"], interval_hours=8,
        source_tier=9,
    )  # fmt: skip
    return out, grid


def whole(given: Mapping[str, pd.DataFrame], grid: Grid) -> None:
    """Components, confluence and futures scores of the grid."""
    from regime_pipeline import settings
    from regime_pipeline.signals.components import components
    from regime_pipeline.signals.confluence import confluence
    from regime_pipeline.signals.futures_score import futures_scores

    own = components(
        given["candles_1h"], given["trade_flow_1h"], given["order_book_1h"], given["sentiment_1h"],
        given["whale_flow_1h"], given["liquidations_1h"],
        empty(table("features.liquidation_cascades")), grid=grid,
        wired=("social", "news", "whale_flow"),
    )  # fmt: skip
    confluence(own, grid=grid, params=settings.SignalParams())
    futures_scores(
        given["liquidations_1h"], given["funding"], given["candles_1h"], given["positioning_1h"],
        given["open_interest"], empty(table("market.fear_greed")), given["sentiment_1h"],
        grid=grid, params=settings.FuturesParams(), funding_params=settings.FundingParams(),
        social_source="lunarcrush",
    )  # fmt: skip


def snapshot(symbols: int) -> Callable[[], Any]:
    """One hour's snapshot of so many symbols, its tables read already."""
    from regime_pipeline.catalogue.derivation import derivation_of
    from regime_pipeline.signals.snapshots import AGE_H, snapshots

    names = tuple(f"C{i:03d}/USDT" for i in range(symbols))
    grid = Grid(END - timedelta(hours=1), END, names)
    wide = grid.widened(timedelta(hours=AGE_H))
    given = {}
    for parameter, one in derivation_of(snapshots).inputs.items():
        item = table(one.table)
        if not item.symbol_columns:
            given[parameter] = empty(item)
            continue
        frame = from_panel(wide, {"source_tier": np.full((AGE_H + 1, symbols), 1.0)})
        frame = frame.assign(status="ok").reindex(columns=list(item.content))
        given[parameter] = conform(frame, item)[list(one.columns or item.content)]
    return lambda: snapshots(**given, grid=grid)


# -- measuring --------------------------------------------------------------------------------------


def child(task: dict[str, Any], out: Path) -> None:
    """One side of one case: seconds and peak memory on standard output, values into a file."""
    symbols, hours, side = (task[k] for k in ("symbols", "hours", "side"))
    if side == "whole":
        few, grid = frames(2, 48, 3_000)
        whole(few, grid)
        given, grid = frames(symbols, hours, 3_000)
        spent, _ = best(lambda: whole(given, grid))
    elif side == "snapshot":
        snapshot(2)()
        spent, _ = best(snapshot(symbols))
    else:
        score = task["score"]
        work = SCORES[score][0]
        small, x = world(2, 2_000), world(symbols, hours)
        if side == "ours":
            ours(score, handed(small))
            panels = handed(x)
            spent, found = best(lambda: ours(score, panels))
        else:
            if side != "pandas":
                work(SIDES[side](small))
            inputs = SIDES[side](x)
            spent, found = best(lambda: work(inputs))
        np.savez(out, score=np.asarray(found)[WARM_UP:])
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(json.dumps(spent | {"rss_mb": rss}) + "\n")


def gap(mine: FloatPanel, theirs: FloatPanel) -> float:
    """Largest difference in points; infinite where one of the two has no value."""
    if mine.shape != theirs.shape or not np.isfinite(mine).all() or not np.isfinite(theirs).all():
        return np.inf
    return float(np.max(np.abs(mine - theirs)))


def run_size(symbols: int, hours: int) -> float:
    """All lines of one size; processor seconds of the whole tables per symbol and hour."""
    size = f"{symbols} symbols x {hours} h"
    totals: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as name:
        folder = Path(name)
        for score, (_, known) in SCORES.items():
            task = {"symbols": symbols, "hours": hours, "score": score}
            own, mine = in_process(MODULE, folder, side="ours", **task)
            line(NAME, f"score {score}, ours, {size}", ours_s=own["seconds"], ours_cpu_s=own["cpu"],
                 ours_rss_mb=own["rss_mb"])  # fmt: skip
            for other in known:
                case = f"score {score}, {other}, {size}"
                if importlib.util.find_spec(other) is None:
                    line(NAME, case, skipped=f"{other} is not installed")
                    continue
                found, theirs = in_process(MODULE, folder, side=other, **task)
                with np.load(mine) as a, np.load(theirs) as b:
                    worst = gap(a["score"], b["score"])
                if not worst <= TOLERANCE:
                    raise SystemExit(f"{score}: ours and {other} differ by {worst}")
                line(
                    NAME, case, ratio=found["seconds"] / own["seconds"],
                    cpu_ratio=found["cpu"] / own["cpu"], max_diff=f"{worst:.1e}",
                    other_rss_mb=found["rss_mb"],
                )  # fmt: skip
                pair = totals.setdefault(other, [0.0, 0.0, 0.0, 0.0])
                for at, value in enumerate(
                    (own["seconds"], found["seconds"], own["cpu"], found["cpu"])
                ):
                    pair[at] += value
        found, _ = in_process(MODULE, folder, side="whole", symbols=symbols, hours=hours)
    line(NAME, f"whole tables, {size}", ours_s=found["seconds"], ours_cpu_s=found["cpu"],
         ours_rss_mb=found["rss_mb"])  # fmt: skip
    for other, (own_s, other_s, own_cpu, other_cpu) in totals.items():
        line(NAME, f"total of the scores, {other}, {size}", ours_s=own_s, other_s=other_s,
             ratio=other_s / own_s, cpu_ratio=other_cpu / own_cpu)  # fmt: skip
    return float(found["cpu"]) / symbols / (hours + 3_000)


def run(*, quick: bool = False) -> None:
    """Run all sizes, small ones when ``quick``."""
    costs = [run_size(*size) for size in (QUICK if quick else SIZES)]
    for few, many in pairwise(costs):
        line(NAME, "scaling of the whole tables", many_over_few=many / few)
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as name:
        few, many = (
            in_process(MODULE, Path(name), side="snapshot", symbols=n, hours=1)[0]["cpu"]
            for n in (8, 100)
        )
    line(NAME, "snapshot of an hour", cpu_s_8=few, cpu_s_100=many, many_over_few=many / few)


def main() -> None:
    """``python -m benchmarks.signals [--quick]``."""
    command_line(MODULE, run, child)


if __name__ == "__main__":
    main()
