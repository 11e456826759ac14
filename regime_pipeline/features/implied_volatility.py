"""What options say of the volatility to come, and what is paid above the variance that is expected.

Belongs here: deltas, the smile of one expiry, the term structure, the expected variance beside the
venue's index. Does not belong here: wire formats, which venue has options (``providers``).

The chain is one snapshot an hour of every listed option. Each expiry is read on its own: options out of the
money only, puts below the forward price and calls above it, where the market trades. The term structure
is linear in total variance between two expiries and never reaches beyond them.

The definition in words: docs/methods.md, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.options import TENORS_D
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import HOUR_US, grid_start_us, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.windows import HOUR, Grid

METHOD = "implied_volatility/1"

COINS = ("BTC", "ETH")
"""Coins with rows: those with an index and listed options."""
MIN_DAYS = 2.0
"""Days to the expiry below which a smile is no more read: gamma, not volatility, sets its prices."""
MIN_STRIKES = 4
"""Strikes with a volatility that an expiry needs on each side of its forward price."""
SKEW_DELTA = 0.25
SKEW_TENOR_D = 30
AHEAD_D = 30
"""Days whose variance is forecast."""
TRAIN_D, MIN_TRAIN_D = 240, 120
MIN_KNOWN_D = 24
"""Known days of thirty that a mean of realised variances needs."""
_TERMS = ((1, 1), (7, 6), (30, 14))
"""Days of each mean that the regression looks at, and how many of them must be known."""
MIN_HOURS = 20
"""Hourly returns of a day that its variance needs; fewer than 24 are scaled up."""
HISTORY_D = TRAIN_D + AHEAD_D + _TERMS[-1][0]
_YEAR_D = 365.0
_SINGULAR = 1e12
_SOURCE = DATASETS["volatility_index"].primary or ""

Values = dict[str, float]
Floats = npt.NDArray[np.float64]


@derives(
    "features.implied_volatility",
    raw_index=reads("raw.volatility_index", where={"source": _SOURCE}),
    raw_chain=reads(
        "raw.option_chain",
        "2h",
        where={"source": _SOURCE},
        columns=(
            "source", "symbol", "ts", "available_at", "quoted_at", "expiry_at", "strike",
            "option_type", "underlying_price", "mark_iv_pct", "source_tier",
        ),
    ),
    candles_1h=reads(
        "market.candles_1h",
        "305d",
        where={"market": "spot"},
        columns=("market", "symbol", "ts", "close", "source_tier"),
    ),
)  # fmt: skip
def implied_volatility(
    raw_index: pd.DataFrame, raw_chain: pd.DataFrame, candles_1h: pd.DataFrame, *, grid: Grid
) -> pd.DataFrame:
    """Implied volatility of every hour of the grid, for coins with options.

    ``variance_30d_har`` is the forecast of a regression of the mean variance of 30 days on the
    variances of 1, 7 and 30 days before them, fitted at the end of each UTC day on the 240 days (120
    known) whose 30 days have passed, and clipped to the means that it was fitted on; it holds until the
    next day ends. Variances are sums of squared hourly returns, by the year of 365 days.

    ``atm_iv_*`` is read at the forward price between the nearest strikes, ``skew_25d_30d`` between
    the options whose Black-76 delta, from the mark's own volatility, brackets a quarter on each side.
    Of the snapshots seen within the hour the newest counts.

    Args:
        raw_index: ``raw.volatility_index`` of the grid.
        raw_chain: ``raw.option_chain`` from two hours before the grid.
        candles_1h: ``market.candles_1h`` with its lookback; ``spot`` is used.
        grid: rows owed.

    Returns:
        Content columns of ``features.implied_volatility``, sorted by key; coins without options have
        no row. ``ok`` with every value, ``partial`` with some, ``missing`` with none; ``reason`` says
        what is lacking: ``no_index``, ``short_history`` (of the forecast), ``no_chain``,
        ``few_strikes`` (no expiry of two days or more has four strikes a side), ``no_expiry_around_7d``,
        ``no_skew_30d``.
    """
    symbols = tuple(s for s in grid.symbols if s.split("/")[0] in COINS)
    target = table("features.implied_volatility")
    if not symbols:
        return empty(target)[list(target.content)]
    own = Grid(grid.start, grid.end, symbols)
    index = raw_index[(raw_index["source"] == _SOURCE) & raw_index["symbol"].isin(symbols)]
    spot = candles_1h[(candles_1h["market"] == "spot") & candles_1h["symbol"].isin(symbols)]
    dvol = to_panel(index, own, ["volatility_close_pct", "source_tier"])
    expected = _expected(spot, own)
    smiles = dict(_smiles(raw_chain[raw_chain["symbol"].isin(symbols)]))
    rows = []
    for column, symbol in enumerate(symbols):
        for hour, ts in enumerate(own.hours):
            level = float(dvol["volatility_close_pct"][hour, column])
            realized, forecast, worst = expected[column][hour]
            surface = smiles.get((symbol, ts))
            values = {
                "dvol": level,
                "variance_30d_realized": realized,
                "variance_30d_har": forecast,
                "variance_premium": (level / 100.0) ** 2 - forecast,
                "variance_premium_realized": (level / 100.0) ** 2 - realized,
            }
            told, lacking = _term_structure(surface)
            tiers = [dvol["source_tier"][hour, column], worst, surface.tier if surface else np.nan]
            reasons = [
                *(["no_index"] if np.isnan(level) else []),
                *(["short_history"] if np.isnan(forecast) else []),
                *lacking,
            ]
            status = "partial" if reasons else "ok"
            if np.isnan(level) and surface is None:
                status = "missing"
            rows.append(
                {
                    "symbol": symbol,
                    "ts": ts,
                    **values,
                    **told,
                    "status": status,
                    "reason": ",".join(reasons) or None,
                    "source_tier": np.fmax.reduce(tiers),
                }
            )
    frame = pd.DataFrame(rows, columns=[c for c in target.content if c != "method_version"])
    frame["method_version"] = method_version(METHOD)
    return conform(frame, target)[list(target.content)]


# --- expected variance ----------------------------------------------------------------------------


def _expected(spot: pd.DataFrame, grid: Grid) -> list[list[tuple[float, float, float]]]:
    """By column and hour: realised and forecast variance a year, and the worst tier of the closes."""
    wide = grid.widened(reach_of(implied_volatility, "market.candles_1h"))
    panels = to_panel(spot, wide, ["close", "source_tier"])
    first_hour = grid_start_us(wide) // HOUR_US
    skipped = int((grid.start - wide.start) / HOUR)
    out = []
    for column in range(len(grid.symbols)):
        variance, first_day = daily_variance(panels["close"][:, column], first_hour)
        by_day: dict[int, tuple[float, float]] = {}
        found = []
        for hour in range(len(grid.hours)):
            at = skipped + hour
            day = (first_hour + at + 1) // 24 - 1 - first_day  # the last day that is over
            if day not in by_day:
                past = variance[max(0, day + 1 - HISTORY_D) : day + 1].copy()
                by_day[day] = (
                    _YEAR_D * _realized(past),
                    _YEAR_D * forecast_of(past),
                )
            found.append((*by_day[day], float(panels["source_tier"][at, column])))
        out.append(found)
    return out


def daily_variance(close: Floats, first_hour: int) -> tuple[Floats, int]:
    """Sums of squared hourly log returns of the whole UTC days of a series.

    Args:
        close: closes by the hour, NaN where there is none.
        first_hour: hour since 1970 of the first.

    Returns:
        The variance of each day, scaled up for missing returns, NaN below :data:`MIN_HOURS` of them,
        and the first day since 1970. A day's first return is from the close of the day before.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.diff(np.log(close)) ** 2  # the return of hour i + 1
    first_day = -(-(first_hour + 1) // 24)
    skipped = first_day * 24 - first_hour - 1
    days = max(0, (len(squares) - skipped) // 24)
    by_day = squares[skipped : skipped + 24 * days].reshape(days, 24)
    known = np.isfinite(by_day)
    count = known.sum(axis=1)
    total = np.where(known, by_day, 0.0).sum(axis=1)
    scaled = total * 24.0 / np.maximum(count, 1)
    return np.where((count >= MIN_HOURS) & (scaled > 0.0), scaled, np.nan), first_day


def _realized(variance: Floats) -> float:
    """Mean daily variance of the last 30 days given; NaN with too few known."""
    last = _trailing(variance, AHEAD_D, MIN_KNOWN_D)
    return float(last[-1]) if len(last) else np.nan


def _trailing(days: Floats, width: int, minimum: int) -> Floats:
    """Means of the known of ``width`` days up to each; NaN with fewer than ``minimum``."""
    padded = np.concatenate([np.full(width - 1, np.nan), days])
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    known = np.isfinite(windows)
    count = known.sum(axis=1)
    mean = np.where(known, windows, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.where(count >= minimum, mean, np.nan)


def forecast_of(variance: Floats) -> float:
    """Mean daily variance of the 30 days after the last day given; NaN without enough history.

    Args:
        variance: daily variances up to that day, NaN where unknown; the last
            :data:`HISTORY_D` are looked at.
    """
    days = variance[-HISTORY_D:]
    if len(days) < MIN_TRAIN_D + AHEAD_D:
        return np.nan
    terms = np.array([_trailing(days, width, minimum) for width, minimum in _TERMS])
    now = terms[:, -1]
    # the mean of a day's next 30 is the trailing mean 30 days on: known of all but the last 30
    first = max(0, len(days) - AHEAD_D - TRAIN_D)
    x = terms[:, first : len(days) - AHEAD_D]
    y = _trailing(days, AHEAD_D, MIN_KNOWN_D)[first + AHEAD_D :]
    usable = np.isfinite(x).all(axis=0) & np.isfinite(y)
    if usable.sum() < MIN_TRAIN_D or not np.isfinite(now).all():
        return np.nan
    x, y = x[:, usable], y[usable]
    away, apart = x - x.mean(axis=1, keepdims=True), y - y.mean()
    square = np.array([[(a * b).sum() for b in away] for a in away])
    if not np.linalg.cond(square) < _SINGULAR:
        return np.nan
    slope = np.linalg.solve(square, np.array([(a * apart).sum() for a in away]))
    value = y.mean() + ((now - x.mean(axis=1)) * slope).sum()
    return float(np.clip(value, y.min(), y.max()))


# --- the chain ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Surface:
    """The smiles of one coin at one hour, by expiry ascending; volatilities in percent a year.

    Attributes:
        years: to each expiry that has a smile.
        atm: at the forward price.
        put: at the 25-delta put, NaN where none is bracketed.
        call: at the 25-delta call.
        tier: worst source tier of the rows.
    """

    years: Floats
    atm: Floats
    put: Floats
    call: Floats
    tier: float


def _smiles(chain: pd.DataFrame) -> Iterator[tuple[tuple[str, pd.Timestamp], Surface]]:
    """Surface by symbol and the hour in which the chain was seen."""
    with np.errstate(invalid="ignore"):
        sound = (chain[["mark_iv_pct", "underlying_price", "strike"]] > 0).all(axis=1)
    sound &= chain[["quoted_at", "expiry_at", "available_at"]].notna().all(axis=1)
    rows = chain[sound]
    rows = rows.assign(hour=rows["available_at"].dt.floor("h"))
    newest = rows.groupby(["symbol", "hour"])["ts"].transform("max")
    rows = rows[rows["ts"] == newest]
    # of equal strikes, as of a repeated name, the order of rows must not decide
    rows = rows.sort_values(
        ["symbol", "hour", "expiry_at", "strike", "underlying_price", "mark_iv_pct"], kind="stable"
    )
    days = (rows["expiry_at"] - rows["quoted_at"]).dt.total_seconds().to_numpy() / 86_400.0
    strike, forward, iv = (
        rows[c].to_numpy("float64") for c in ("strike", "underlying_price", "mark_iv_pct")
    )
    is_call = (rows["option_type"] == "call").to_numpy(bool)
    shown = (is_call == (strike >= forward)) & (days >= MIN_DAYS)
    tier = rows["source_tier"].to_numpy("float64", na_value=np.nan)
    expiry = rows["expiry_at"].to_numpy("M8[us]").astype(np.int64)
    columns = (days, strike, forward, iv, is_call)
    for key, places in rows.groupby(["symbol", "hour"]).indices.items():
        own = places[shown[places]]
        ends = np.flatnonzero(np.diff(expiry[own])) + 1
        found = [smile(*(c[part] for c in columns)) for part in np.split(own, ends)]
        known = [s for s in found if s is not None]
        years, atm, put, call = np.array(known, "float64").reshape(len(known), 4).T
        worst = float(np.max(tier[places]))
        yield cast(tuple[str, pd.Timestamp], key), Surface(years, atm, put, call, tier=worst)


def smile(
    days: Floats, strike: Floats, forward: Floats, iv: Floats, is_call: npt.NDArray[np.bool_]
) -> tuple[float, float, float, float] | None:
    """What the options out of the money of one expiry say, strikes ascending.

    Returns:
        Years to the expiry, volatility at the forward price, at the 25-delta put and at the 25-delta
        call (NaN where no two options bracket it), percent; None with too few strikes on a side.
    """
    if is_call.sum() < MIN_STRIKES or (~is_call).sum() < MIN_STRIKES:
        return None
    away = np.log(strike / forward)
    delta = black_delta(strike, forward, iv, days, is_call)
    atm = float(np.interp(0.0, away, iv))
    wing = [_at_delta(np.abs(delta[side]), iv[side]) for side in (~is_call, is_call)]
    return float(days[len(days) // 2]) / _YEAR_D, atm, wing[0], wing[1]


def black_delta(
    strike: Floats, forward: Floats, iv: Floats, days: Floats, is_call: npt.NDArray[np.bool_]
) -> Floats:
    """Delta of options on a future by Black (1976), rates of interest zero.

    Args:
        strike: strike price.
        forward: price of the future.
        iv: implied volatility, percent a year.
        days: to the expiry.
        is_call: calls; a put's delta is one less.
    """
    from scipy.special import ndtr  # read when the first chain is

    spread = iv / 100.0 * np.sqrt(days / _YEAR_D)
    return ndtr((np.log(forward / strike) + 0.5 * spread**2) / spread) - ~is_call


def _at_delta(delta: Floats, iv: Floats) -> float:
    """Volatility where the absolute delta of a side is :data:`SKEW_DELTA`, between two options."""
    order = np.argsort(delta, kind="stable")
    delta, iv = delta[order], iv[order]
    if not delta[0] <= SKEW_DELTA <= delta[-1]:
        return np.nan
    return float(np.interp(SKEW_DELTA, delta, iv))


def _at_tenor(years: Floats, iv: Floats, tenor_d: int) -> float:
    """Volatility between two expiries, linear in total variance; NaN without one on each side."""
    known = np.isfinite(iv)
    years, iv = years[known], iv[known]
    at = tenor_d / _YEAR_D
    if not len(years) or not years[0] <= at <= years[-1]:
        return np.nan
    return float(np.sqrt(np.interp(at, years, iv**2 * years) / at))


def _term_structure(surface: Surface | None) -> tuple[Mapping[str, float], list[str]]:
    """The values of an hour's chain, and what is lacking of them."""
    names = [f"atm_iv_{days}d" for days in TENORS_D]
    nulls: Values = dict.fromkeys([*names, f"skew_25d_{SKEW_TENOR_D}d", "n_expiries"], np.nan)
    if surface is None:
        return nulls, ["no_chain"]
    if not len(surface.years):
        return nulls | {"n_expiries": 0.0}, ["few_strikes"]
    values = {
        name: _at_tenor(surface.years, surface.atm, days)
        for name, days in zip(names, TENORS_D, strict=True)
    }
    lacking = [
        f"no_expiry_around_{days}d"
        for name, days in zip(names, TENORS_D, strict=True)
        if np.isnan(values[name])
    ]
    put, call = (_at_tenor(surface.years, iv, SKEW_TENOR_D) for iv in (surface.put, surface.call))
    if np.isnan(put - call):
        lacking.append(f"no_skew_{SKEW_TENOR_D}d")
    values |= {f"skew_25d_{SKEW_TENOR_D}d": put - call, "n_expiries": float(len(surface.years))}
    return values, lacking
