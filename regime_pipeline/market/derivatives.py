"""Open interest, liquidations and positioning of the primary perpetual, on the full hourly grid.

Belongs here: choosing the one source and venue that the settings name, turning an omitted hour into
a zero or a null, deriving one unit of open interest from the other. Does not belong here: judging
the values (``features``, ``signals``), talking to providers.

Every function returns one row per symbol and hour of the grid; an hour nobody observed is a row of
nulls with status ``missing`` and a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import Given, derives, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import FloatPanel, from_panel, take_codes, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.source_choice import versioned, witness_of
from regime_pipeline.windows import HOUR, Grid

OPEN_INTEREST_METHOD = "open_interest/2"
LIQUIDATIONS_METHOD = "liquidations/3"
POSITIONING_METHOD = "positioning/1"

PARTLY_PUBLISHED = frozenset({"binance", "okx", "aggregate"})
"""Venues whose liquidation feed leaves events out by design, alone or inside a sum."""

COMPLETENESS = ("complete", "partial")
AGGREGATE = "aggregate"
POSITIONING = (
    "global_account_long_frac",
    "top_trader_account_long_frac",
    "top_trader_position_long_frac",
    "taker_buy_base",
    "taker_sell_base",
)


@derives(
    "market.open_interest",
    raw_oi=reads("raw.open_interest", "1h", where={"source": Given("sources")}),
    candles_1h=reads("market.candles_1h", "1h", where={"market": "perp"}),
    venues="perp_venues",
    sources="open_interest_sources",
)
def open_interest(
    raw_oi: pd.DataFrame,
    candles_1h: pd.DataFrame,
    *,
    grid: Grid,
    venues: Mapping[str, str],
    sources: Mapping[str, str],
) -> pd.DataFrame:
    """``market.open_interest``: hourly one-sided open interest in coins and USD.

    Where the source gives one unit only, the other comes from the close of the perpetual's bar of
    the same hour (status partial, reason ``base_from_close`` / ``usd_from_close``; ``no_close``
    when that bar is missing too). A gap of one hour is carried (``is_filled``, partial,
    ``carried_one_hour``); a longer one is null from its second hour on.

    Args:
        raw_oi: ``raw.open_interest`` with the hour before the grid.
        candles_1h: ``market.candles_1h``; rows of market ``perp`` are used.
        grid: rows owed.
        venues: primary perpetual venue by symbol.
        sources: the provider behind the series of each symbol, named by the settings.
    """
    wide = grid.widened(HOUR)
    chosen = _of_venue(raw_oi[raw_oi["market"] == "perp"], venues)
    chosen = chosen[chosen["source"] == chosen["symbol"].map(dict(sources))]
    raw = to_panel(chosen, wide, ["open_interest_base", "open_interest_usd", "source_tier"])
    perp = _of_venue(candles_1h[candles_1h["market"] == "perp"], venues)
    bars = to_panel(perp, wide, ["close", "source_tier"])
    base, usd, tier = raw["open_interest_base"], raw["open_interest_usd"], raw["source_tier"]
    no_base, no_usd = np.isnan(base) & ~np.isnan(usd), np.isnan(usd) & ~np.isnan(base)
    base = np.where(no_base, usd / bars["close"], base)
    usd = np.where(no_usd, base * bars["close"], usd)
    derived = no_base | no_usd
    tier = np.where(derived, np.fmax(tier, bars["source_tier"]), tier)
    # reason: -1 none, else an index into the names below
    reason = np.where(no_base, 0, np.where(no_usd, 1, -1))
    reason[derived & np.isnan(bars["close"])] = 2
    absent = np.isnan(base) & np.isnan(usd)
    carry = np.zeros(absent.shape, bool)
    carry[1:] = absent[1:] & ~absent[:-1]
    for panel in (base, usd, tier):
        panel[1:] = np.where(carry[1:], panel[:-1], panel[1:])
    reason[absent] = 4
    reason[carry] = 3
    names = ("base_from_close", "usd_from_close", "no_close", "carried_one_hour", "no_observation")
    status = np.where(absent & ~carry, 2, np.where(reason >= 0, 1, 0))
    frame = from_panel(
        grid,
        {
            "open_interest_base": base[1:],
            "open_interest_usd": usd[1:],
            "is_filled": carry[1:],
            "status": take_codes(status[1:], STATUS_CODES),
            "reason": take_codes(reason[1:], names),
            "source_tier": tier[1:],
        },
    )
    frame["venue"] = frame["symbol"].map(dict(venues))
    frame["source"] = frame["symbol"].map(dict(sources))
    versions = {s: versioned(OPEN_INTEREST_METHOD, sources[s]) for s in grid.symbols}
    frame["method_version"] = frame["symbol"].map(versions)
    return _finish(frame, "market.open_interest")


@derives(
    "market.liquidations_1h",
    # of every coin: an hour without any coin's liquidations is no silence of one
    raw_liquidations=reads("raw.liquidations", where={"source": Given("source")}, of_universe=True),
    raw_oi=reads("raw.open_interest", where={"source": Given("source")}),
    source="liquidation_source",
    venue="liquidation_venue",
)
def liquidations_1h(
    raw_liquidations: pd.DataFrame,
    raw_oi: pd.DataFrame,
    *,
    grid: Grid,
    source: str,
    venue: str,
) -> pd.DataFrame:
    """``market.liquidations_1h``: forced closures by side, one source and venue.

    Aggregators leave quiet hours out. Such an hour is 0 when the same provider was observing it: it
    has open interest of the symbol (of the same venue, unless the venue is ``aggregate``) for that
    very hour, and liquidations of some coin. Otherwise it is null: ``not_observed``, or
    ``no_coin_reported`` where only the latter is wanting, because one coin is quiet for an hour or
    three while an hour without any forced closure of any coin is an outage. Of a provider that is the
    venue itself a quiet hour is a row with zeros, and one without a row was not observed. Buckets
    longer than an hour are no part of it: they are known too late to say anything about one of their
    hours.

    ``coverage`` is 1 for an observed hour, 0 for a missing one. ``completeness`` is ``partial``, and
    ``is_lower_bound`` true, for venues that publish only part of the events; both are null in missing
    hours.

    Args:
        raw_liquidations: ``raw.liquidations`` of the grid's hours and of all coins that are watched,
            also of those outside the grid; rows of timeframe 1h are used.
        raw_oi: ``raw.open_interest`` of the grid.
        grid: rows owed.
        source: provider of the hourly sums.
        venue: exchange, or ``aggregate``.
    """
    own = raw_liquidations[
        (raw_liquidations["market"] == "perp")
        & (raw_liquidations["source"] == source)
        & (raw_liquidations["venue"] == venue)
    ]
    own = own[own["timeframe"] == "1h"]
    panel = to_panel(own, grid, ["long_liquidations_usd", "short_liquidations_usd", "source_tier"])
    both = own["long_liquidations_usd"].notna() & own["short_liquidations_usd"].notna()
    heard = grid.hours.isin(own.loc[both, "ts"])[:, None]
    seen, seen_tier = _observed(raw_oi, grid, witness_of(source), venue)
    longs, shorts = panel["long_liquidations_usd"], panel["short_liquidations_usd"]
    told = ~(np.isnan(longs) | np.isnan(shorts))
    silent = ~told & seen & heard
    known = told | silent
    longs, shorts = (np.where(silent, 0.0, np.where(told, x, np.nan)) for x in (longs, shorts))
    frame = from_panel(
        grid,
        {
            "long_liquidations_usd": longs,
            "short_liquidations_usd": shorts,
            "total_liquidation_usd": longs + shorts,
            "coverage": known.astype(float),
            "completeness": take_codes(
                np.where(known, int(venue in PARTLY_PUBLISHED), -1), COMPLETENESS
            ),
            "is_lower_bound": np.where(known, float(venue in PARTLY_PUBLISHED), np.nan),
            "status": take_codes(np.where(known, 0, 1), ("ok", "missing")),
            "reason": take_codes(
                np.where(known, -1, np.where(seen, 1, 0)), ("not_observed", "no_coin_reported")
            ),
            "source_tier": np.where(
                silent, seen_tier, np.where(told, panel["source_tier"], np.nan)
            ),
        },
    )
    return _finish(
        frame.assign(
            venue=venue,
            source=source,
            method_version=versioned(LIQUIDATIONS_METHOD, source, venue),
        ),
        "market.liquidations_1h",
    )


@derives(
    "market.positioning_1h",
    raw_positioning=reads("raw.positioning", where={"venue": Given("venues")}),
    venues="perp_venues",
)
def positioning_1h(
    raw_positioning: pd.DataFrame,
    *,
    grid: Grid,
    venues: Mapping[str, str],
    source: str | None = None,
) -> pd.DataFrame:
    """``market.positioning_1h``: long shares and taker volumes, one column per metric.

    Args:
        raw_positioning: ``raw.positioning`` of the grid.
        grid: rows owed.
        venues: primary perpetual venue by symbol.
        source: one provider only. By default the venue's numbers are taken from whoever relays
            them, per value the best tier first, then the source's name in order: exchanges keep
            thirty days of these series themselves, aggregators relay the same numbers for longer.

    Returns:
        One row per symbol and hour: ok with every metric, partial with some (``without_<metric>``
        in the reason), missing with none. Shares are never carried over a gap.
    """
    own = _of_venue(raw_positioning[raw_positioning["market"] == "perp"], venues)
    if source is not None:
        own = own[own["source"] == source]
    own = own.sort_values(["symbol", "metric", "ts", "source_tier", "source"], kind="stable")
    own = own.drop_duplicates(["symbol", "metric", "ts"], keep="first")
    panels: dict[str, npt.NDArray[Any]] = {}
    shape = (len(grid.hours), len(grid.symbols))
    tier = np.full(shape, np.nan)
    absent = np.zeros(shape, np.int64)
    for bit, metric in enumerate(POSITIONING):
        one = to_panel(own[own["metric"] == metric], grid, ["value", "source_tier"])
        panels[metric] = one["value"]
        tier = np.fmax(tier, one["source_tier"])
        absent += np.where(np.isnan(one["value"]), 1 << bit, 0)
    everything = (1 << len(POSITIONING)) - 1
    reasons = tuple(
        "not_observed"
        if mask == everything
        else ",".join(f"without_{m}" for bit, m in enumerate(POSITIONING) if mask >> bit & 1)
        for mask in range(everything + 1)
    )
    status = np.where(absent == 0, 0, np.where(absent == everything, 2, 1))
    panels |= {
        "status": take_codes(status, STATUS_CODES),
        "reason": take_codes(np.where(absent == 0, -1, absent), reasons),
        "source_tier": tier,
    }
    frame = from_panel(grid, panels)
    frame["venue"] = frame["symbol"].map(dict(venues))
    return _finish(
        frame.assign(method_version=method_version(POSITIONING_METHOD)), "market.positioning_1h"
    )


def _of_venue(frame: pd.DataFrame, venues: Mapping[str, str]) -> pd.DataFrame:
    """Rows whose venue is the one named for their symbol."""
    return frame[frame["venue"] == frame["symbol"].map(dict(venues))]


def _observed(
    raw_oi: pd.DataFrame, grid: Grid, source: str | None, venue: str
) -> tuple[npt.NDArray[np.bool_], FloatPanel]:
    """Whether the provider had open interest for the cell, and the tier it came with.

    Of no provider nothing was observed.
    """
    rows = raw_oi[(raw_oi["market"] == "perp") & (raw_oi["source"] == source)]
    if venue != AGGREGATE:
        rows = rows[rows["venue"] == venue]
    rows = rows[rows["open_interest_base"].notna() | rows["open_interest_usd"].notna()]
    rows = rows.sort_values(["symbol", "ts", "source_tier"], kind="stable")
    rows = rows.drop_duplicates(["symbol", "ts"], keep="first")
    tier = to_panel(rows, grid, ["source_tier"])["source_tier"]
    return ~np.isnan(tier), tier


def _finish(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Content columns of the table, in its order and with the catalogue's dtypes."""
    which = table(name)
    return conform(frame, which)[list(which.content)]
