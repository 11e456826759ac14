"""What looks wrong in raw rows though each of them keeps its contract.

Sources that contradict each other, a line that stands still, amounts in another unit. Pure: raw frames
in, findings out. Nothing is changed or left out because of a finding: raw tables hold what providers
said, the market series take the preferred source, and people are told. Does not belong here: the
contract of one row (the catalogue), statistics over stored tables (the quality checks).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

DISAGREE_FRAC: Final = 0.05
"""Two sources' closes of one hour differ by at least this: one of them is wrong."""
FLAT_HOURS: Final = 24
"""So many hours without a trade or a move are no market but a feed that stands still."""
UNIT_FACTOR: Final = 10.0
"""Beyond the usual band times this, an amount is in another unit (coins or contracts, percent)."""
LEAST_HISTORY: Final = 20
"""Rows that a series must have before its usual band means anything."""

FINDING: Final = ("source", "symbol", "kind", "hours", "first", "detail")
"""Columns of a frame of findings; ``first`` is the first row's ``ts``."""
_SERIES = ["source", "venue", "market", "symbol"]


def no_findings() -> pd.DataFrame:
    """A frame of findings without rows."""
    frame = pd.DataFrame(columns=list(FINDING))
    return frame.astype({"hours": "int64", "first": "datetime64[us, UTC]"})


def disagreements(candles: pd.DataFrame) -> pd.DataFrame:
    """Sources whose close is far from the preferred source's of the same market, symbol and hour.

    The preferred row is the one of the lowest tier; among equals the first by source and venue.

    Args:
        candles: rows of ``raw.candles``.
    """
    if candles.empty:
        return no_findings()
    same = ["market", "symbol", "timeframe", "ts"]
    rows = candles.sort_values([*same, "source_tier", "source", "venue"], kind="stable")
    preferred = rows.drop_duplicates(same)[[*same, "source", "close"]]
    both = rows.merge(preferred, on=same, suffixes=("", "_preferred"))
    gap = (both["close"] / both["close_preferred"] - 1.0).abs()
    bad = both.assign(gap=gap)[(gap >= DISAGREE_FRAC).to_numpy(bool)]
    if bad.empty:
        return no_findings()
    found = bad.groupby(["source", "symbol", "market", "source_preferred"], as_index=False).agg(
        hours=("ts", "size"), first=("ts", "min"), worst=("gap", "max")
    )
    words = (
        found["market"]
        + " close up to "
        + (100 * found["worst"]).round(1).astype("str")
        + " % from "
        + found["source_preferred"]
    )
    return found.assign(kind="disagrees", detail=words)[list(FINDING)]


def flat_lines(candles: pd.DataFrame) -> pd.DataFrame:
    """Series that stood still without volume for a day or longer.

    Args:
        candles: hourly rows of ``raw.candles`` and those of the day before, any order.
    """
    if candles.empty:
        return no_findings()
    rows = candles.sort_values([*_SERIES, "ts"], kind="stable", ignore_index=True)
    still = (
        (rows["volume_base"] == 0)
        & (rows["high"] == rows["low"])
        & (rows["open"] == rows["close"])
        & (rows["close"] == rows["high"])
    ).fillna(False)
    number = rows.groupby(_SERIES, sort=False).ngroup()
    next_hour = rows["ts"].diff() == pd.Timedelta(hours=1)
    goes_on = (still & still.shift(fill_value=False) & (number == number.shift()) & next_hour) & (
        rows["close"] == rows["close"].shift()
    )
    run = (~goes_on).cumsum()
    stretches = (
        rows[still]
        .groupby(run[still])
        .agg(
            source=("source", "first"),
            symbol=("symbol", "first"),
            market=("market", "first"),
            hours=("ts", "size"),
            first=("ts", "min"),
        )
    )
    long = stretches[stretches["hours"] >= FLAT_HOURS].reset_index(drop=True)
    if long.empty:
        return no_findings()
    return long.assign(kind="stands still", detail=long["market"] + " without a trade or a move")[
        list(FINDING)
    ]


def unit_steps(rows: pd.DataFrame, bands: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Amounts far outside what their series had in the 30 days before.

    Args:
        rows: new rows of a raw table.
        bands: per series (``source``, ``venue``, ``market``, ``symbol``) and ``column``: ``low`` and
            ``high`` (1st and 99th percentile of absolute values before the rows) and ``count``.
        columns: what is looked at.
    """
    found = []
    for column in columns:
        mine = bands[(bands["column"] == column) & (bands["count"] >= LEAST_HISTORY)]
        both = rows.merge(mine, on=_SERIES)
        size = both[column].abs().to_numpy("float64", na_value=np.nan)
        high = (both["high"].to_numpy("float64") > 0) & (
            size > UNIT_FACTOR * both["high"].to_numpy("float64")
        )
        # rates go through zero, amounts do not: only of these a small one tells anything
        low = (size < both["low"].to_numpy("float64") / UNIT_FACTOR) & (column != "funding_rate")
        bad = both.assign(size=size)[high | low]
        if bad.empty:
            continue
        told = bad.groupby(["source", "symbol"], as_index=False).agg(
            hours=("ts", "size"), first=("ts", "min"), size=("size", "max"), usual=("high", "max")
        )
        words = [
            f"{column} {a:.4g}, usually up to {b:.4g}"
            for a, b in zip(told["size"], told["usual"], strict=True)
        ]
        found.append(told.assign(kind="other unit", detail=words)[list(FINDING)])
    return pd.concat(found, ignore_index=True) if found else no_findings()
