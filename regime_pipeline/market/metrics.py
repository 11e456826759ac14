"""Market metrics of the primary perpetual: changes, ranges, sums and ratios of what is stored.

Belongs here: arithmetic that only puts stored market series into the windows and units in which people
read them. Does not belong here: judging a value (``features``, ``signals``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.catalogue.derivation import derives, reach_of, reads
from regime_pipeline.catalogue.fields.common import STATUS_CODES
from regime_pipeline.catalogue.fields.market import CHANGE_HOURS, CHANGE_MINUTES, LIQUIDATION_HOURS
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.market.funding import funding
from regime_pipeline.numerics.panel import (
    HOUR_US,
    FloatPanel,
    from_panel,
    grid_length,
    grid_start_us,
    take_codes,
    to_panel,
)
from regime_pipeline.settings import method_version
from regime_pipeline.windows import HOUR, Grid, Window

METHOD = "metrics/1"

DAY_H = 24
WEEK_H = 168
STALE_INTERVALS = 1.5
"""Intervals after which a venue's newest print is no rate in force."""
PRINT_REACH_H = 24
_SHORT_CHANGES = tuple(f"price_change_{name}_frac" for name in CHANGE_MINUTES)
_LACKING = ("close", "open_interest", "liquidations", "funding")


@derives(
    "market.metrics_1h",
    candles_1h=reads(
        "market.candles_1h",
        "7d",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", "close", "volume_quote", "source_tier"),
    ),
    open_interest=reads(
        "market.open_interest",
        "24h",
        columns=("symbol", "ts", "open_interest_usd", "open_interest_base", "source_tier"),
    ),
    liquidations_1h=reads(
        "market.liquidations_1h",
        "24h",
        columns=(
            "symbol",
            "ts",
            "long_liquidations_usd",
            "short_liquidations_usd",
            "is_lower_bound",
            "source_tier",
        ),
    ),
    positioning_1h=reads("market.positioning_1h"),
    order_book_1h=reads(
        "market.order_book_1h",
        where={"market": "perp"},
        columns=("market", "symbol", "ts", *_SHORT_CHANGES, "price_changes_reason"),
    ),
    raw_coin_markets=reads(
        "raw.coin_markets", "2h", where={"source": DATASETS["coin_markets"].primary or ""}
    ),
    raw_funding=reads("raw.funding_rates", "4d"),
    raw_open_interest=reads("raw.open_interest"),
    raw_candles=reads("raw.candles", "24h", where={"timeframe": "1h", "market": "perp"}),
)
def metrics_1h(
    candles_1h: pd.DataFrame,
    open_interest: pd.DataFrame,
    liquidations_1h: pd.DataFrame,
    positioning_1h: pd.DataFrame,
    order_book_1h: pd.DataFrame,
    raw_coin_markets: pd.DataFrame,
    raw_funding: pd.DataFrame,
    raw_open_interest: pd.DataFrame,
    raw_candles: pd.DataFrame,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """The metrics of every symbol and hour of the grid.

    Price changes from an hour on are of the perpetual's closes, both ends observed; shorter ones are of
    the mid of its book where it was sampled, else null with ``price_changes_reason``. The range of the
    open interest is of the 25 closes from a day ago to now, 21 needed and both ends. Sums of
    liquidations over 4, 12 and 24 h need 4, 10 and 20 observed hours and are scaled up for the others;
    ``liquidation_hours_24h`` says how many there were. The market capitalisation is the one seen in the
    hour itself.

    Weighted funding is over the venues whose newest settled print (per 8 h, by its own interval) is no
    older than 1.5 intervals and that have the weight: open interest at the hour's close, or the
    value traded in 24 h. Where several providers report a venue, the lowest tier counts, then the first
    by name.

    Args:
        candles_1h: ``market.candles_1h``; the perpetual's rows.
        open_interest: ``market.open_interest``.
        liquidations_1h: ``market.liquidations_1h``.
        positioning_1h: ``market.positioning_1h`` of the grid.
        order_book_1h: ``market.order_book_1h`` of the grid; the perpetual's rows.
        raw_coin_markets: ``raw.coin_markets`` of the primary source.
        raw_funding: ``raw.funding_rates`` of every venue.
        raw_open_interest: ``raw.open_interest`` of every venue, of the grid.
        raw_candles: ``raw.candles`` of every perpetual.
        grid: rows owed.

    Returns:
        Content columns of ``market.metrics_1h``. ``partial`` names in ``reason`` which of close, open
        interest, liquidations and funding are not there; ``missing`` when none is.
    """
    keep = grid_length(grid)
    perp, first, tier = _panels(
        candles_1h[candles_1h["market"] == "perp"],
        grid,
        "market.candles_1h",
        ("close", "volume_quote"),
    )
    tiers = [tier]
    close = perp["close"]
    panels: dict[str, FloatPanel] = {"close": close}
    for name, hours in CHANGE_HOURS.items():
        panels[f"price_change_{name}_frac"] = _change(close, hours)
    panels["volume_24h_usd"] = _sum(perp["volume_quote"], DAY_H, first)

    interest, _, tier = _panels(
        open_interest, grid, "market.open_interest", ("open_interest_usd", "open_interest_base")
    )
    tiers.append(tier)
    panels |= interest | _interest(interest)
    forced, first, tier = _panels(
        liquidations_1h,
        grid,
        "market.liquidations_1h",
        ("long_liquidations_usd", "short_liquidations_usd", "is_lower_bound"),
    )
    tiers.append(tier)
    panels |= _liquidated(forced, first)
    shares = to_panel(positioning_1h, grid, list(_RATIOS))
    for column, name in _RATIOS.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            panels[name] = np.where(
                shares[column] < 1.0, shares[column] / (1 - shares[column]), np.nan
            )
    caps = _in_hour(raw_coin_markets)
    panels["market_cap_usd"] = to_panel(caps, grid, ["market_cap_usd"])["market_cap_usd"]
    panels |= _weighted_funding(raw_funding, raw_open_interest, raw_candles, grid)
    panels = {name: panel[len(panel) - keep :] for name, panel in panels.items()}
    books = order_book_1h[order_book_1h["market"] == "perp"]
    panels |= to_panel(books, grid, _SHORT_CHANGES)
    usd = panels["open_interest_usd"]
    panels["oi_to_market_cap_frac"] = _quotient(usd, panels["market_cap_usd"])
    panels["oi_to_volume_frac"] = _quotient(usd, panels["volume_24h_usd"])
    return _frame(panels, np.fmax.reduce([t[len(t) - keep :] for t in tiers]), books, grid)


_RATIOS = {
    "global_account_long_frac": "long_short_ratio_accounts",
    "top_trader_account_long_frac": "top_trader_ratio_accounts",
    "top_trader_position_long_frac": "top_trader_ratio_positions",
}


def _panels(
    frame: pd.DataFrame, grid: Grid, name: str, columns: tuple[str, ...]
) -> tuple[dict[str, FloatPanel], int, FloatPanel]:
    """Columns with the table's lookback before the grid, their first hour, the tier of each cell."""
    wide = grid.widened(reach_of(metrics_1h, name))
    panels = to_panel(frame, wide, (*columns, "source_tier"))
    return panels, grid_start_us(wide) // HOUR_US, panels.pop("source_tier")


def _change(values: FloatPanel, hours: int) -> FloatPanel:
    out = np.full_like(values, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        out[hours:] = np.where(
            values[:-hours] > 0.0, values[hours:] / values[:-hours] - 1.0, np.nan
        )
    return out


def _quotient(above: FloatPanel, below: FloatPanel) -> FloatPanel:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0.0)


def _sum(values: FloatPanel, hours: int, first_hour: int) -> FloatPanel:
    from regime_pipeline.numerics.rolling import rolling_scaled_sum

    return rolling_scaled_sum(values, hours, -(-5 * hours // 6), anchor=first_hour)[0]


def _interest(interest: Mapping[str, FloatPanel]) -> dict[str, FloatPanel]:
    """Range over a day, from the close a day ago to the close of the row, and its change."""
    from regime_pipeline.numerics.rolling import rolling_max, rolling_min

    out: dict[str, FloatPanel] = {}
    for unit in ("usd", "base"):
        now = interest[f"open_interest_{unit}"]
        before = np.full_like(now, np.nan)
        before[DAY_H:] = now[:-DAY_H]
        whole = np.isfinite(now) & np.isfinite(before)
        low, high = (f(now, DAY_H + 1, 21) for f in (rolling_min, rolling_max))
        name = f"open_interest_24h_{{}}_{unit}"
        out[name.format("open")] = before
        out[name.format("high")] = np.where(whole, high, np.nan)
        out[name.format("low")] = np.where(whole, low, np.nan)
        out[f"open_interest_change_24h_{unit}_frac"] = _change(now, DAY_H)
    return out


def _liquidated(forced: Mapping[str, FloatPanel], first_hour: int) -> dict[str, FloatPanel]:
    from regime_pipeline.numerics.rolling import rolling_count, rolling_max

    out = {
        f"{side}_liquidations_{hours}h_usd": _sum(
            forced[f"{side}_liquidations_usd"], hours, first_hour
        )
        for hours in LIQUIDATION_HOURS
        for side in ("long", "short")
    }
    out["liquidation_hours_24h"] = rolling_count(forced["long_liquidations_usd"], DAY_H)
    out["is_lower_bound"] = rolling_max(forced["is_lower_bound"], DAY_H, 1)
    return out


def _in_hour(rows: pd.DataFrame) -> pd.DataFrame:
    """The newest reading that was seen within each hour.

    One seen on the very instant belongs to the hour that begins: a run over the hour before, which ends
    there, does not read it.
    """
    seen = rows.assign(hour=rows["available_at"].dt.floor("h")).dropna(subset=["market_cap_usd"])
    seen = seen.sort_values(["symbol", "hour", "available_at", "ts"], kind="stable")
    newest = seen.drop_duplicates(["symbol", "hour"], keep="last")
    return newest.assign(ts=newest["hour"])


def _weighted_funding(
    prints: pd.DataFrame, interest: pd.DataFrame, candles: pd.DataFrame, grid: Grid
) -> dict[str, FloatPanel]:
    """Means over venues, hours of the grid x symbols, and how many venues are behind the first."""
    shape = (grid_length(grid), len(grid.symbols))
    sums = {name: (np.zeros(shape), np.zeros(shape)) for name in ("oi", "volume")}
    venues = np.zeros(shape)
    perp = {
        name: rows[rows["market"] == "perp"]
        for name, rows in (("funding", prints), ("oi", interest), ("bars", candles))
    }
    for venue in sorted(set(perp["funding"]["venue"].dropna())):
        own = {name: rows[rows["venue"] == venue] for name, rows in perp.items()}
        rate = _rate_in_force(own["funding"], venue, grid)
        hours_before = (DAY_H - 1) * HOUR
        bars = to_panel(_first(own["bars"]), grid.widened(hours_before), ["close", "volume_quote"])
        first = grid_start_us(grid.widened(hours_before)) // HOUR_US
        level = to_panel(_first(own["oi"]), grid, ["open_interest_usd", "open_interest_base"])
        usd = np.where(
            np.isfinite(level["open_interest_usd"]),
            level["open_interest_usd"],
            level["open_interest_base"] * bars["close"][DAY_H - 1 :],
        )
        weights = {"oi": usd, "volume": _sum(bars["volume_quote"], DAY_H, first)[DAY_H - 1 :]}
        for name, weight in weights.items():
            there = np.isfinite(rate) & (weight > 0.0)
            sums[name][0][there] += (rate * weight)[there]
            sums[name][1][there] += weight[there]
        venues += np.isfinite(rate)
    return {
        "funding_oi_weighted_8h": _quotient(*sums["oi"]),
        "funding_volume_weighted_8h": _quotient(*sums["volume"]),
        "funding_venues": np.where(venues > 0, venues, np.nan),
    }


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per symbol and hour: of the lowest tier, then of the first provider by name."""
    ordered = rows.sort_values(["symbol", "ts", "source_tier", "source"], kind="stable")
    return ordered.drop_duplicates(["symbol", "ts"])


def _rate_in_force(rows: pd.DataFrame, venue: str, grid: Grid) -> FloatPanel:
    """The newest settled rate per 8 h of one venue at each hour of the grid."""
    wide = grid.widened(PRINT_REACH_H * HOUR)
    told = funding(
        rows, window=Window(wide.start, wide.end), venues=dict.fromkeys(grid.symbols, venue)
    )
    panels = to_panel(told, wide, ["rate_8h", "interval_hours"])
    rows_of = np.where(np.isfinite(panels["rate_8h"]), np.arange(grid_length(wide))[:, None], -1)
    newest = np.maximum.accumulate(rows_of, axis=0)
    column = np.arange(rows_of.shape[1])
    rate = panels["rate_8h"][newest, column]
    interval = panels["interval_hours"][newest, column]
    age = np.arange(grid_length(wide))[:, None] + 1 - newest
    rate = np.where((newest >= 0) & (age <= STALE_INTERVALS * interval), rate, np.nan)
    return rate[PRINT_REACH_H:]


def _frame(
    panels: dict[str, FloatPanel], tier: FloatPanel, books: pd.DataFrame, grid: Grid
) -> pd.DataFrame:
    there = [
        np.isfinite(panels[name])
        for name in (
            "close",
            "open_interest_usd",
            "long_liquidations_1h_usd",
            "funding_volume_weighted_8h",
        )
    ]
    lacking = sum((~known).astype(np.int64) << bit for bit, known in enumerate(there))
    every = (1 << len(there)) - 1
    texts = [
        ",".join(f"no_{name}" for bit, name in enumerate(_LACKING) if code >> bit & 1)
        for code in range(every + 1)
    ]
    status = np.where(lacking == 0, 0, np.where(lacking == every, 2, 1))
    target = table("market.metrics_1h")
    frame = from_panel(
        grid,
        {
            **panels,
            "status": take_codes(status, STATUS_CODES),
            "reason": take_codes(np.where(lacking == 0, -1, lacking), texts),
            "source_tier": tier,
        },
    )
    cells = pd.MultiIndex.from_frame(frame[["symbol", "ts"]])
    why = books.set_index(["symbol", "ts"])["price_changes_reason"]
    told = why.reindex(cells).reset_index(drop=True)
    frame["price_changes_reason"] = told.where(cells.isin(why.index), "no_row")
    frame["method_version"] = method_version(METHOD)
    return conform(frame[list(target.content)], target)[list(target.content)]
