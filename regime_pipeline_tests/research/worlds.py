"""Scores and prices of a few coins with what one score knows of the future chosen, as tables' rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from regime_pipeline.research.trials import SIGNALS, columns_of
from regime_pipeline.windows import HOUR, Grid, Window, hours_between, utc
from regime_pipeline_tests.synthetic import long

END = utc("2024-07-01")


@dataclass
class World:
    """Rows of every table that passports read."""

    components: pd.DataFrame
    confluence: pd.DataFrame
    futures_scores: pd.DataFrame
    price_structure: pd.DataFrame
    candles_1h: pd.DataFrame
    volatility_regimes: pd.DataFrame
    order_book_1h: pd.DataFrame
    trials: pd.DataFrame
    trial_days: pd.DataFrame

    def frames(self) -> dict[str, pd.DataFrame]:
        return dict(vars(self))


def grid(days: int = 1, end: datetime = END, symbols: int = 3) -> Grid:
    return Grid.of(Window(end - timedelta(days=days), end), names(symbols))


def names(count: int) -> tuple[str, ...]:
    return tuple(f"C{k:02d}/USDT" for k in range(count))


def world(
    days: int,
    *,
    symbols: int = 3,
    seed: int = 1,
    edge: dict[str, float] | None = None,
    alike: float = 0.5,
) -> World:
    """Made rows up to :data:`END`.

    Args:
        days: of history.
        symbols: coins.
        seed: of everything.
        edge: correlation of a signal's score with the next hour's return, by its name.
        alike: share of a return that all coins have in common.
    """
    rng = np.random.default_rng(seed)
    n = 24 * days
    hours = hours_between(END - n * HOUR, END)
    common = rng.standard_normal(n)[:, None]
    own = rng.standard_normal((n, symbols))
    shocks = np.sqrt(alike) * common + np.sqrt(1 - alike) * own
    close = 100.0 * np.exp(0.005 * np.cumsum(shocks, axis=0))
    follows = np.concatenate([shocks[1:], np.zeros((1, symbols))])
    panels = {}
    for signal in SIGNALS:
        known = (edge or {}).get(signal.name, 0.0)
        noise = rng.standard_normal((n, symbols))
        z = known * follows + np.sqrt(1 - known**2) * noise
        score = np.clip(50.0 + 15.0 * z, 0.0, 100.0)
        happens = np.where(np.abs(z) > 2.0, np.sign(z), 0.0)
        panels[signal.column] = happens if signal.is_event else score
    regimes = np.array(["STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME"], dtype=object)
    label = regimes[np.minimum(rng.geometric(0.6, (n, symbols)) - 1, 3)]

    def rows(columns: dict[str, np.ndarray | float | str]) -> pd.DataFrame:
        return long(names(symbols), hours, **columns)

    scores = {
        t: rows({c: panels[c] for c in columns_of(t)} | {"source_tier": 1})
        for t in dict.fromkeys(s.table for s in SIGNALS)
    }
    return World(
        *scores.values(),
        rows({"market": "perp", "venue": "okx", "close": close}),
        rows({"vol_regime_confirmed": label}),
        rows(
            {
                "market": "perp",
                "spread_bps": 1.0,
                "depth_10bps_bid_usd": 1e5,
                "depth_10bps_ask_usd": 2e5,
            }
        ),
        empty_trials(),
        empty_days(),
    )


def empty_trials() -> pd.DataFrame:
    from regime_pipeline.catalogue import table
    from regime_pipeline.catalogue.frames import empty

    return empty(table("signals.trials"))


def empty_days() -> pd.DataFrame:
    from regime_pipeline.catalogue import table
    from regime_pipeline.catalogue.frames import empty

    return empty(table("signals.trial_days"))
