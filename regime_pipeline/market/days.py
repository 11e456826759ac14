"""Daily figures of the perpetual, for factors that are made of days.

Belongs here: putting the metrics of a day side by side, coins from dollars. Does not belong here: judging
them (``signals.daily_factors``), hourly series (``derivatives``), making hours of days.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.derivation import Given, derives, reads
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.derivatives import AGGREGATE
from regime_pipeline.source_choice import versioned
from regime_pipeline.windows import DAY, HOUR, Grid

METHOD = "derivatives_1d/1"

METRICS = (
    "open_interest_usd",
    "long_liquidations_usd",
    "short_liquidations_usd",
    "global_account_long_frac",
    "top_trader_account_long_frac",
    "top_trader_position_long_frac",
    "resting_bids_usd",
    "resting_asks_usd",
)


@derives(
    "market.derivatives_1d",
    raw_days=reads("raw.derivatives_1d", "2d", where={"source": Given("source")}),
    candles_1h=reads(
        "market.candles_1h",
        "1h",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", "close", "source_tier"),
    ),
    venues="perp_venues",
    source="daily_source",
    interval="factor_interval",
)
def derivatives_1d(
    raw_days: pd.DataFrame,
    candles_1h: pd.DataFrame,
    *,
    grid: Grid,
    venues: Mapping[str, str],
    source: str,
    interval: str,
) -> pd.DataFrame:
    """``market.derivatives_1d``: a row per symbol and midnight of the grid, about the day it ends.

    Shares are those of the symbol's own perpetual venue, sums those over exchanges. ``close`` is the
    perpetual's at that midnight, ``open_interest_base`` the dollars over it: coins of a sum over
    exchanges that have no price in common are an estimate. Sums of forced closures are minimums.

    Args:
        raw_days: ``raw.derivatives_1d`` with the two days before the grid.
        candles_1h: ``market.candles_1h`` with the hour before the grid; ``perp`` is used.
        grid: hours owed.
        venues: primary perpetual venue by symbol.
        source: the provider behind the days.
        interval: what factors are made of; nothing is made for ``1h``.

    Returns:
        Content columns: ok with every metric, partial with some (``without_<metric>``), missing with
        none; nothing is carried to the next day. ``available_at`` is that of the metric that came last.
    """
    which = table("market.derivatives_1d")
    columns = list(which.content)
    midnights = grid.hours[grid.hours.hour == 0]
    if interval != "1d" or not len(midnights):
        return empty(which)[columns]
    cells = pd.MultiIndex.from_product([grid.symbols, midnights], names=["symbol", "ts"])
    own = raw_days[(raw_days["market"] == "perp") & (raw_days["source"] == source)]
    home = own["symbol"].map(dict(venues))
    own = own[(own["venue"] == AGGREGATE) | (own["venue"] == home)]
    own = own.assign(ts=own["ts"] + DAY).sort_values(["symbol", "metric", "ts"], kind="stable")
    wide = own.pivot(index=["symbol", "ts"], columns="metric", values="value").reindex(cells)
    told = own.groupby(["symbol", "ts"]).agg(
        available_at=("available_at", "max"), source_tier=("source_tier", "max")
    )
    frame = wide.reindex(columns=list(METRICS)).astype("float64").join(told)
    perp = candles_1h[candles_1h["market"] == "perp"]
    bars = perp.assign(ts=perp["ts"] + HOUR).set_index(["symbol", "ts"])
    frame["close"] = bars["close"].reindex(cells).astype("float64")
    frame["open_interest_base"] = frame["open_interest_usd"] / frame["close"]
    closed = frame["long_liquidations_usd"].notna()
    frame["completeness"] = pd.Series("partial", index=frame.index, dtype="str").where(closed)
    absent = frame[list(METRICS)].isna().to_numpy()
    everything = np.asarray(absent.all(axis=1))
    frame["status"] = np.where(everything, "missing", np.where(absent.any(axis=1), "partial", "ok"))
    frame["reason"] = [
        "not_observed" if none else ",".join(f"without_{m}" for m in np.array(METRICS)[row]) or None
        for none, row in zip(everything, absent, strict=True)
    ]
    frame["method_version"] = versioned(METHOD, source)
    return conform(frame.reset_index(), which)[columns]
