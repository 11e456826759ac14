"""The harness can fail: leaks planted into the real pipeline, each of which it must report.

A mutant replaces a function of the pipeline, or what one step reads or writes. Two kinds are caught in
two ways: those that look ahead by garbage after t (``seen_of_the_future``), those that let the present
judge itself by garbage in the present hour only (``judged_by_itself``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regime_pipeline.catalogue import table
from regime_pipeline.correlation import kernels as correlation_kernels
from regime_pipeline.features import (
    funding_kernels,
    price_levels,
    volatility_machine,
    volatility_outlook,
    volatility_regimes,
)
from regime_pipeline.numerics import order_statistics, pairwise, rolling, tails
from regime_pipeline.quality import prices
from regime_pipeline.regimes import timeframe_regimes
from regime_pipeline.signals import momentum, technical
from regime_pipeline.windows import DAY, Window, floor_day
from regime_pipeline_tests.proofs import base, chain, world

pytestmark = [
    pytest.mark.xdist_group("proofs"),
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

Patch = Callable[[pytest.MonkeyPatch], None]
TIMES = ("2024-10-01 08:00", "2024-09-28 13:00", "2024-09-30 00:00")
"""Tried in turn until one shows the leak: a print at t, a plain hour, the end of a week; last an
hour after one that nobody observed."""


def after_a_hole() -> pd.Timestamp:
    bars = base.computed()["market.candles_1h"]
    lost = bars[(bars["status"] == "missing") & (bars["ts"] >= base.LAST_DAYS.start + 3 * DAY)]
    return lost["ts"].min() + pd.Timedelta(hours=1)


# ------------------------------------------------------------------ small tools of the mutants


def earlier(panel: np.ndarray, by: int = 1) -> np.ndarray:
    """The values of ``by`` rows later (the first axis is time); the last rows repeat the last."""
    return panel[np.minimum(np.arange(len(panel)) + by, len(panel) - 1)]


def wrapped(
    module: Any, name: str, change: Callable[..., Any]
) -> Callable[[pytest.MonkeyPatch], None]:
    """A patch that replaces ``module.name`` by ``change(original, *args, **kwargs)``."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: change(original, *a, **k))

    return patch


def stamped_earlier(frame: pd.DataFrame, hours: float, *columns: str) -> pd.DataFrame:
    moved = {c: frame[c] - pd.Timedelta(hours=hours) for c in columns or ("ts",)}
    return frame.assign(**moved)


def next_row(frame: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    """Every row with the numbers of the row after it."""
    ordered = frame.sort_values([*by, "ts"])
    return ordered.assign(**{c: ordered.groupby(by)[c].shift(-1) for c in columns}).sort_index()


def filled_back(frame: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    ordered = frame.sort_values([*by, "ts"])
    return ordered.assign(**{c: ordered.groupby(by)[c].bfill() for c in columns}).sort_index()


# ------------------------------------------------------------------ the catalogue


@dataclass(frozen=True)
class Leak:
    """A mutant: what it is, the tables that it spoils, and how it is made."""

    name: str
    tables: tuple[str, ...]
    patch: Patch | None = None
    tamper: Mapping[str, chain.Tamper] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def _whole_sample(original: Any, x: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
    return np.broadcast_to(np.nanmedian(x, axis=0), np.shape(original(x, *args, **kwargs))).copy()


def _smoothed(original: Any, *args: Any) -> None:
    original(*args)
    state = args[7]
    state[:] = np.maximum(state, earlier(state.T, 3).T)


def _unconfirmed(original: Any, high: Any, low: Any, close: Any, first: int, *out: Any) -> None:
    side = price_levels.SIDE
    original(earlier(high.T, side).T.copy(), earlier(low.T, side).T.copy(), close, first, *out)


def _last_bands(original: Any, x: np.ndarray, *args: Any) -> np.ndarray:
    bands = original(x, *args)
    return np.broadcast_to(bands[-1], bands.shape).copy()


def _both_ways(original: Any, close: np.ndarray, **at: int) -> np.ndarray:
    return (original(close, **at) + original(close[::-1], **at)[::-1]) / 2


def _rank_in_everything(
    original: Any, hour: Any, rate: Any, first: Any, last: Any, owed: Any, out: Any
) -> None:
    for begin, end in zip(first, last, strict=True):
        own = rate[begin:end]
        out[begin:end] = [(own < v).mean() + (own == v).mean() / 2 for v in own]


def _running_bar(original: Any, panels: Any, first_hour: int, timeframe: str) -> Any:
    bars = original(panels, first_hour, timeframe)
    return replace(bars, first=bars.first - bars.hours + 1) if timeframe == "4h" else bars


def _skill_of_tomorrow(original: Any, variance: np.ndarray, first: int = 0) -> np.ndarray:
    return earlier(original(variance, first).T).T


def _class_of_tomorrow(original: Any, classes: np.ndarray) -> Any:
    return tuple(earlier(panel.T, 24).T for panel in original(classes))


def _another_coin_an_hour_later(frame: pd.DataFrame) -> pd.DataFrame:
    moved = frame["symbol"] == "SOL/USDT"
    own = next_row(frame[moved], ["market"], ["close"])
    return pd.concat([frame[~moved], own]).sort_index()


def _closes_of_the_next_hour(original: Any, *args: Any) -> Any:
    found = original(*args)
    if found is None:
        return None
    return replace(found, values={name: earlier(v) for name, v in found.values.items()})


def _p_of_later_hours(original: Any, p_values: np.ndarray) -> np.ndarray:
    return original(earlier(p_values.T, 6).T.copy())


CANDLES = ["open", "high", "low", "close", "volume_base"]

AHEAD = (
    Leak(
        "a centred window",
        ("features.volatility_regimes",),
        wrapped(rolling, "rolling_mean", lambda f, x, *a, **k: earlier(f(x, *a, **k), 360)),
    ),
    Leak(
        "a 4h bar that is still open",
        ("regimes.timeframe_regimes",),
        wrapped(timeframe_regimes, "make_bars", _running_bar),
    ),
    Leak(
        "scaling by the whole sample",
        ("features.volatility_regimes",),
        wrapped(order_statistics, "rolling_median", _whole_sample),
    ),
    Leak(
        "an hour filled from the one after it",
        ("market.candles_1h",),
        tamper={
            "market.candles_1h": lambda f: filled_back(f, ["market", "symbol"], CANDLES),
        },
    ),
    Leak(
        "shift(-1) on returns",
        ("features.volatility_regimes",),
        wrapped(volatility_regimes, "log_returns", lambda f, close: earlier(f(close))),
    ),
    Leak(
        "a state smoothed both ways",
        ("features.volatility_regimes",),
        wrapped(volatility_machine, "run", _smoothed),
    ),
    Leak(
        "a label used before its end is known",
        ("features.funding_outcomes",),
        tamper={
            "features.funding_outcomes": lambda f: f.assign(ts=f["print_ts"]).sort_values("ts")
        },
    ),
    Leak(
        "swing points without their confirmation",
        ("features.liquidation_cascades",),
        wrapped(price_levels, "find_levels", _unconfirmed),
    ),
    Leak(
        "quantiles of the whole sample",
        ("features.liquidation_cascades",),
        wrapped(tails, "tail_bands", _last_bands),
    ),
    Leak(
        "an EWMA that is adjusted from the future",
        ("signals.components",),
        wrapped(momentum, "ewma_sigma", _both_ways),
    ),
    Leak(
        "oscillators that read the close of the next bar",
        ("signals.components",),
        wrapped(
            technical, "oscillators", lambda f, close, least, **at: f(earlier(close), least, **at)
        ),
    ),
    Leak(
        "a bar stamped with its start",
        ("market.candles_resampled",),
        tamper={"market.candles_resampled": lambda f: f.assign(ts=f["bar_open"])},
    ),
    Leak(
        "the daily index a day early",
        ("signals.futures_scores",),
        tamper={
            "signals.futures_scores<-market.fear_greed": lambda f: stamped_earlier(
                f, 24, "ts", "available_at"
            )
        },
    ),
    Leak(
        "a funding print before it settles",
        ("features.funding_anomalies",),
        tamper={
            "features.funding_anomalies<-features.funding_prints": lambda f: stamped_earlier(f, 1)
        },
    ),
    Leak(
        "a rank in the whole sample",
        ("features.funding_prints",),
        wrapped(funding_kernels, "rank", _rank_in_everything),
    ),
    Leak(
        "another coin's row of the next hour",
        ("correlation.asset_correlations",),
        tamper={"correlation.asset_correlations<-market.candles_1h": _another_coin_an_hour_later},
    ),
    Leak(
        "p values adjusted with those of later hours",
        ("correlation.asset_correlations",),
        wrapped(correlation_kernels, "benjamini_hochberg", _p_of_later_hours),
    ),
    Leak(
        "a transfer counted before anybody was told of it",
        ("market.whale_flow_1h",),
        tamper={
            "market.whale_flow_1h<-raw.whale_transfers": lambda f: f.assign(available_at=f["ts"])
        },
    ),
    Leak(
        "a post counted when it was written, not when it could be read",
        ("market.sentiment_1h",),
        tamper={
            "market.sentiment_1h<-raw.sentiment": lambda f: f.assign(
                available_at=f["ts"] + pd.Timedelta(microseconds=1)
            )
        },
    ),
    Leak(
        "open interest of a bucket that is not over",
        ("market.open_interest",),
        tamper={"market.open_interest<-raw.open_interest": lambda f: stamped_earlier(f, 1)},
    ),
    Leak(
        "snapshots rounded to the nearest hour",
        ("market.order_book_1h",),
        tamper={"market.order_book_1h<-raw.order_book": lambda f: stamped_earlier(f, 0.5)},
    ),
    Leak(
        "a skill scored with tomorrow's variance",
        ("features.volatility_regimes",),
        wrapped(volatility_outlook, "har_skill", _skill_of_tomorrow),
    ),
    Leak(
        "a transition counted before its second day is over",
        ("features.volatility_regimes",),
        wrapped(volatility_outlook, "clustering", _class_of_tomorrow),
    ),
    Leak(
        "the matrix of a day that is not over",
        ("correlation.correlation_matrices",),
        tamper={
            "correlation.correlation_matrices<-market.candles_1h": lambda f: stamped_earlier(f, 3)
        },
    ),
    Leak(
        "positioning of the next bucket",
        ("market.positioning_1h",),
        tamper={"market.positioning_1h<-raw.positioning": lambda f: stamped_earlier(f, 1)},
    ),
    Leak(
        "an hour withheld because of the next one",
        ("ops.quality_blocks",),
        wrapped(prices, "panels", _closes_of_the_next_hour),
    ),
    Leak(
        "a row withheld once somebody knows better",
        ("market.candles_1h",),
        tamper={"market.candles_1h<-ops.quality_blocks": lambda f: stamped_earlier(f, 1)},
    ),
    Leak(
        "a print that counts for the row it happens after",
        ("market.proxies_1h",),
        tamper={"market.proxies_1h<-market.funding": lambda f: stamped_earlier(f, 1)},
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("leak", AHEAD, ids=str)
def test_a_planted_look_ahead_is_caught(leak: Leak, monkeypatch: pytest.MonkeyPatch) -> None:
    base.computed()  # the clean history, before anything is patched
    if leak.patch is not None:
        leak.patch(monkeypatch)
    times = [pd.Timestamp(text, tz="UTC") for text in TIMES]
    for seed, t in enumerate([*times, after_a_hole()]):
        day = floor_day(t.to_pydatetime())
        found = base.seen_of_the_future(
            t,
            seed=seed,
            only=leak.tables,
            window=Window(day - DAY, min(day + 2 * DAY, world.END)),
            tamper=leak.tamper,
            mutant=True,
        )
        if found:
            assert {s.table for s in found} >= set(leak.tables), [str(s) for s in found]
            return
    raise AssertionError(f"nobody noticed: {leak}")


def test_twenty_and_more_leaks_are_tried() -> None:
    assert len({leak.name for leak in (*AHEAD, *PRESENT)}) >= 20


# ------------------------------------------------------------------ the present judging itself

JUDGES: dict[str, tuple[str, ...]] = {
    "features.volatility_regimes": ("volatility_mean", "volatility_median_gk"),
    "correlation.asset_correlations": ("corr_30d_base", "spearman_30d_base", "break_z_sd"),
    "correlation.pair_signals": (
        "hedge_ratio",
        "spread_intercept",
        "spread_sd",
        "coint_tau",
        "half_life_h",
    ),
    "features.funding_prints": ("median_rate_8h", "n_obs"),
}
"""Columns that describe the past which a row is judged by: its own last hours are no part of it."""

UNBOUNDED: dict[str, tuple[str, ...]] = {
    "features.funding_prints": ("z_score", "z_robust"),
    "features.funding_anomalies": ("z_score", "z_robust"),
    "regimes.timeframe_regimes": ("price_z_1h",),
    "market.proxies_1h": ("funding_crowding_z",),
    "correlation.pair_signals": ("spread_z",),
}
"""Scores that know no bound. With the judged value among n others it could not pass (n-1)/sqrt(n)."""

AT = pd.Timestamp("2024-09-28 08:00", tz="UTC")
"""Row of a print: its hour is the present."""
WILD_RATE = 0.029
"""A little under the cap of the venue: a print beyond it is withheld and judged by nobody."""


def _wild_present(frames: world.Frames, hours: int) -> world.Frames:
    """One coin's last bars up to the one at ``AT``, and its print at ``AT``, out of all proportion."""
    bars, prints = frames["raw.candles"], frames["raw.funding_rates"]
    coin = bars["symbol"] == "BTC/USDT"
    now = coin & (bars["ts"] <= AT) & (bars["ts"] > AT - pd.Timedelta(hours=hours))
    numbers = {"open": 1.0, "high": 2e3, "low": 0.5, "close": 1e3}
    printed = (prints["symbol"] == "BTC/USDT") & (prints["ts"] == AT)
    rate = prints["funding_rate"]
    return frames | {
        "raw.candles": bars.assign(
            **{c: bars[c].where(~now, bars[c] * factor) for c, factor in numbers.items()}
        ),
        "raw.funding_rates": prints.assign(funding_rate=rate.where(~printed, WILD_RATE)),
    }


def judged_by_itself(tables: list[str], *, mutant: bool = False) -> list[str]:
    """Judges that changed, and scores that stayed small, when the present went wild."""
    frames = base.computed()
    day = floor_day(AT.to_pydatetime())
    window = Window(day, day + DAY)

    def rows(made: world.Frames, name: str) -> pd.DataFrame:
        return made[name][made[name]["ts"] == AT].reset_index(drop=True)

    how = {"settings": world.settings(), "only": chain.upstream_of(*tables)}
    before = chain.run(frames, window, **how) if mutant else frames
    few, many = (chain.run(_wild_present(frames, h), window, **how) for h in (1, 8))
    found = []
    for name in tables:
        item = table(name)
        changed = chain.differences(rows(before, name), rows(many, name), item)
        found += [f"{name}.{c} changed" for c in JUDGES.get(name, ()) if c in changed]
        now = rows(few, name)
        own = now[(now[list(item.symbol_columns)] == "BTC/USDT").any(axis=1)]
        found += [
            f"{name}.{c} is bounded: {own[c].tolist()}"
            for c in UNBOUNDED.get(name, ())
            if not own[c].abs().max() > 40  # sqrt(720) is 27
        ]
    return found


@pytest.mark.slow
def test_what_judges_a_value_excludes_it() -> None:
    assert judged_by_itself(sorted({*JUDGES, *UNBOUNDED})) == []


def _lag_lost(original: Any, *args: Any, lag: int = 0, **kwargs: Any) -> Any:
    return original(*args, **kwargs)


def _itself_included(_: Any, x: np.ndarray, window: int, min_obs: int, **k: Any) -> Any:
    mean, sd = rolling.rolling_moments(x, window, min_obs, **k)
    return (x - mean) / sd


def _base_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The baseline ends with the row instead of a week before it."""
    original = pairwise.rolling_pearson
    seen: list[np.ndarray] = []

    def pearson(returns: np.ndarray, *args: int) -> Any:
        seen.append(returns)
        whole = max(seen[-2:], key=lambda r: r.shape[1])
        return original(whole, *args[:-1], args[-1] + whole.shape[1] - returns.shape[1])

    monkeypatch.setattr(pairwise, "rolling_pearson", pearson)


PRESENT = (
    Leak(
        "a baseline that overlaps what it judges",
        ("features.volatility_regimes",),
        wrapped(order_statistics, "rolling_median", _lag_lost),
    ),
    Leak(
        "a mean baseline that overlaps what it judges",
        ("features.volatility_regimes",),
        wrapped(rolling, "rolling_mean", _lag_lost),
    ),
    Leak(
        "the current value in its own mean",
        ("regimes.timeframe_regimes",),
        wrapped(rolling, "lagged_z_alone", _itself_included),
    ),
    Leak(
        "the current correlation inside its baseline",
        ("correlation.asset_correlations",),
        _base_of_now,
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("leak", PRESENT, ids=str)
def test_a_value_that_judges_itself_is_caught(leak: Leak, monkeypatch: pytest.MonkeyPatch) -> None:
    base.computed()
    assert leak.patch is not None
    leak.patch(monkeypatch)
    assert judged_by_itself(list(leak.tables), mutant=True)


@pytest.mark.slow
def test_a_mutant_that_does_nothing_is_not_caught() -> None:
    t = pd.Timestamp(TIMES[0], tz="UTC")
    day = floor_day(t.to_pydatetime())
    found = base.seen_of_the_future(
        t,
        seed=0,
        only=("market.open_interest",),
        window=Window(day - DAY, day + DAY),
        tamper={"market.open_interest": lambda f: f},
    )
    assert found == []
