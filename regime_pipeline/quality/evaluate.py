"""All checks over what was read: the withheld rows, the findings of each day, the scores.

Belongs here: which check looks at which table and with how much history. Does not belong here: the
checks, reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.datasets import BY_TABLE
from regime_pipeline.catalogue.frames import empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.numerics.panel import microseconds
from regime_pipeline.quality import calendar, derivatives, drift, prices, records
from regime_pipeline.quality.model import (
    BY_ID,
    CHECKS,
    DAY_US,
    NAMES,
    SERIES,
    Judged,
    days_of,
    fold,
    scores,
)
from regime_pipeline.quality.withholding import blocks
from regime_pipeline.settings import QualityParams
from regime_pipeline.windows import DAY, Window

JUMP_LOOKBACK = timedelta(days=31)
FROZEN_REPLIES = 6
_STAMPS = ("ts", "ingested_at", "source_tier")

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "raw.candles": (*SERIES, "timeframe", *_STAMPS, "close", "volume_base"),
    "raw.funding_rates": (*SERIES, *_STAMPS, "funding_rate", "interval_hours"),
    "raw.open_interest": (*SERIES, *_STAMPS, "open_interest_usd"),
    "raw.positioning": (*SERIES, "metric", *_STAMPS),
    "raw.liquidations": (
        *SERIES, "timeframe", *_STAMPS, "long_liquidations_usd",
        "short_liquidations_usd",
    ),
    "raw.liquidation_events": (
        *SERIES, *_STAMPS, "position_side", "price", "quantity_base",
        "liquidation_usd",
    ),
    "raw.order_book": (
        *SERIES, *_STAMPS, "payload_id", "book_age_s", "mid", "bid_levels", "ask_levels",
    ),
    "raw.trade_flow": (*SERIES, *_STAMPS),
    "raw.fear_greed": ("source", *_STAMPS),
    "raw.sentiment": ("source", "symbol", *_STAMPS),
    "raw.whale_transfers": ("source", *_STAMPS),
    "raw.reference_prices": ("source", "symbol", *_STAMPS),
    "raw.volatility_index": ("source", "symbol", *_STAMPS),
    "raw.coin_markets": ("source", "symbol", *_STAMPS, "payload_id"),
    "market.liquidations_1h": (
        "venue", "source", "symbol", "ts", "long_liquidations_usd", "short_liquidations_usd",
        "total_liquidation_usd", "is_lower_bound",
    ),
}  # fmt: skip
"""What the checks look at."""

HISTORY: Mapping[str, timedelta] = {
    "raw.candles": drift.LOOKBACK + timedelta(hours=1),
    "raw.funding_rates": derivatives.PRINT_REACH + DAY,
    "raw.open_interest": timedelta(days=32),
    "raw.liquidations": calendar.DAYS_BEFORE,
    "raw.fear_greed": timedelta(days=BY_TABLE["raw.fear_greed"].silent_days),
}
"""Days before the window that the checks need; all other tables :data:`calendar.DAYS_BEFORE`."""

BLOCKING: Mapping[str, timedelta] = {
    name: JUMP_LOOKBACK if name == "raw.candles" else timedelta(0)
    for name in BY_ID["DQ08"].tables
    if table(name).symbol_columns
}
"""Tables of which rows can be withheld, with the history that a verdict needs."""


@dataclass(frozen=True)
class Evidence:
    """What has been read, columns as :data:`COLUMNS`.

    Attributes:
        tables: rows with their history, by table; absent means that there is none.
        long_bars: 4h, 1d and 1w rows of ``raw.candles``.
        bar_children: whole 1h rows over the same time, where there are long bars.
        quarantine: rows of ``ops.quarantine``.
        contract_failures: rows of ``ops.fetch_log`` whose reply could not be read.
        versions: all versions of rows that were ever replaced, by table.
        silent: series of which rows are expected in the window, by table, as
            :func:`calendar.freshness` takes them.
        turns: series that an hourly tick asks every few hours only, by table: ``SERIES``, ``every_h``.
    """

    tables: Mapping[str, pd.DataFrame]
    long_bars: pd.DataFrame = field(default_factory=pd.DataFrame)
    bar_children: pd.DataFrame = field(default_factory=pd.DataFrame)
    quarantine: pd.DataFrame = field(default_factory=pd.DataFrame)
    contract_failures: pd.DataFrame = field(default_factory=pd.DataFrame)
    versions: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    silent: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    turns: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def rows(self, full_name: str) -> pd.DataFrame:
        """Rows of a table; none when it was not read."""
        if full_name in self.tables:
            return self.tables[full_name]
        return _no_rows(full_name)


@cache
def _no_rows(full_name: str) -> pd.DataFrame:
    return empty(table(full_name))[list(COLUMNS[full_name])]


def coded(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with the names of series as categories: every check groups, selects and sorts by them.

    Texts would be hashed again in each of some seventy steps; a category is hashed once.
    """
    out = {}
    for name, rows in tables.items():
        texts = [c for c in NAMES if c in rows]
        out[name] = rows.astype(dict.fromkeys(texts, "category"))
    return out


def blocking(tables: Mapping[str, pd.DataFrame], params: QualityParams) -> list[Judged]:
    """The verdicts that withhold rows: DQ05, DQ08, DQ10. They need raw rows only."""
    seen = Evidence(tables)
    out = [
        prices.jumps(_hours(seen.rows("raw.candles")), params),
        derivatives.funding(seen.rows("raw.funding_rates"), params),
    ]
    return out + [records.future_stamps(seen.rows(n), n, params) for n in BLOCKING if n in tables]


def withheld(
    tables: Mapping[str, pd.DataFrame], window: Window, params: QualityParams
) -> pd.DataFrame:
    """``ops.quality_blocks`` of a window.

    Args:
        tables: raw rows with the history of :data:`BLOCKING`.
        window: the rows judged.
        params: tolerances.
    """
    return blocks(blocking(tables, params), window)


def findings(
    seen: Evidence, window: Window, now: datetime, params: QualityParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``ops.quality_checks`` and ``ops.quality_scores`` of the days of a window.

    Args:
        seen: what has been read.
        window: whole days; the last one may still run.
        now: by the clock; only closed hours count.
        params: tolerances.
    """
    seen = replace(seen, tables=coded(seen.tables))
    stored = {name: _has_rows(rows, window) for name, rows in seen.tables.items()}
    checks = fold(_judge(seen, window, now, params), window, stored)
    return checks, scores(checks)


def _has_rows(frame: pd.DataFrame, window: Window) -> npt.NDArray[np.bool_]:
    """For each day of the window, whether the table has a row."""
    days = microseconds(days_of(window))
    found = np.unique((microseconds(frame["ts"]) - days[0]) // DAY_US)
    return np.isin(np.arange(len(days)), found)


def _judge(seen: Evidence, window: Window, now: datetime, params: QualityParams) -> list[Judged]:
    candles = _hours(seen.rows("raw.candles"))
    lately = {n: _since(seen.rows(n), window.start - calendar.DAYS_BEFORE) for n in COLUMNS}
    lately["raw.candles"] = _hours(lately["raw.candles"])
    inside = {n: _since(rows, window.start) for n, rows in lately.items()}
    out: list[Judged] = []
    refused = _refused(seen.quarantine, window)
    for name in BY_ID["DQ01"].tables:
        log = seen.contract_failures
        failures = log[log["dataset"] == name.removeprefix("raw.")] if len(log) else log
        mine = refused[refused["table_name"] == name].reset_index(drop=True)
        out += records.refusals(mine, failures, name, inside[name])
    out += [
        calendar.completeness(lately[n], n, window, now, params, seen.turns.get(n))
        for n in BY_ID["DQ03"].tables
    ]
    out.append(prices.jumps(_since(candles, window.start - JUMP_LOOKBACK), params))
    out.append(prices.repeats(lately["raw.candles"]))
    out += [
        derivatives.frozen_replies(lately[n], n, FROZEN_REPLIES)
        for n in ("raw.order_book", "raw.coin_markets")
    ]
    out.append(prices.venues_agree(inside["raw.candles"], params))
    out += [records.future_stamps(inside[n], n, params) for n in BY_ID["DQ08"].tables]
    out.append(prices.long_bars(seen.bar_children, seen.long_bars, params))
    out.append(derivatives.funding(seen.rows("raw.funding_rates"), params))
    out.append(
        derivatives.single_closures(
            inside["raw.liquidation_events"], inside["raw.liquidations"], params
        )
    )
    out.append(derivatives.hourly_closures(inside["market.liquidations_1h"]))
    out.append(derivatives.books(inside["raw.order_book"]))
    for name in BY_ID["DQ13"].tables:
        rows = candles if name == "raw.candles" else seen.rows(name)
        out.append(drift.drift(rows, name, window, now, params))
    for name in BY_ID["DQ14"].tables:
        versions = seen.versions.get(name, pd.DataFrame())
        out.append(records.restatements(versions, name, inside[name], params))
    before = {"raw.fear_greed": seen.rows("raw.fear_greed")}
    out += [
        calendar.freshness(
            before.get(n, lately[n]), n, window, now, seen.silent.get(n), seen.turns.get(n)
        )
        for n in BY_ID["DQ15"].tables
    ]
    told = {(j.check_id, j.table_name) for j in out}
    assert told == {(c.check_id, t) for c in CHECKS for t in c.tables}, "a check was left out"
    return out


def _refused(quarantine: pd.DataFrame, window: Window) -> pd.DataFrame:
    if quarantine.empty:
        columns = ["table_name", "reason", *SERIES]
        out = pd.DataFrame({c: pd.Series(dtype="str") for c in columns})
        return out.assign(ts=pd.Series(dtype="datetime64[us, UTC]"))
    return records.parsed(quarantine, window)


def _hours(candles: pd.DataFrame) -> pd.DataFrame:
    return candles[candles["timeframe"] == "1h"]


def _since(frame: pd.DataFrame, start: datetime) -> pd.DataFrame:
    return frame[frame["ts"] >= pd.Timestamp(start)] if len(frame) else frame
