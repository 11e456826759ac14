"""What followed on events of the past: how often the price rose, by how much, against all hours.

Belongs here: the answer for a type of event at a level, from what was known at an instant, and when
history is silent. Does not belong here: the estimator (``numerics.block_estimator``), wording
(``message``).

An answer uses returns that had ended by then. It stays silent, and shows the counts only, below
:data:`LEAST_BLOCKS` effective months, :data:`LEAST_ROWS` effective rows or a year of history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from regime_pipeline.alerts.message import HORIZONS_H
from regime_pipeline.numerics.block_estimator import (
    Floats,
    Ints,
    Weeks,
    quantile_interval,
    rows_effective,
    t_quantile,
    variance_of_difference,
    wilson,
)

LEAST_BLOCKS = 8.0
LEAST_ROWS = 30.0
LEAST_DAYS = 365.0
_LEVEL = 0.95
_DIFFERS = 0.99

_SPAN = """
SELECT min(ts) FROM market.candles_1h
WHERE market = %(market)s AND symbol = ANY(%(symbols)s) AND ts <= %(end)s - interval '1 hour'
"""
_EVENTS = """
SELECT e.instrument, extract(epoch FROM date_trunc('hour', e.known_at))::bigint / 3600,
    ln(later.close / now.close)
FROM alerts.market_events e
JOIN market.candles_1h now ON now.market = %(market)s AND now.symbol = e.instrument
    AND now.ts = date_trunc('hour', e.known_at) - interval '1 hour' AND now.close > 0
JOIN market.candles_1h later ON later.market = %(market)s AND later.symbol = now.symbol
    AND later.ts = now.ts + %(hours)s * interval '1 hour' AND later.close > 0
    AND later.ts <= %(end)s - interval '1 hour'
WHERE e.event_type = %(event_type)s AND e.level = %(level)s AND e.kind NOT IN ('end', 'calming')
    AND e.known_at <= %(end)s AND e.instrument = ANY(%(symbols)s)
ORDER BY 2, 1
"""
_BASE = """
WITH c AS (
    SELECT symbol, ts, close FROM market.candles_1h
    WHERE market = %(market)s AND symbol = ANY(%(symbols)s) AND ts <= %(end)s - interval '1 hour'
        AND close > 0
)
SELECT (extract(epoch FROM c.ts)::bigint / 3600 + 1 - 96) / 168 AS week, count(*),
    count(*) FILTER (WHERE later.close > c.close)
FROM c JOIN c later ON later.symbol = c.symbol AND later.ts = c.ts + %(hours)s * interval '1 hour'
GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class Answer:
    """What followed after some hours.

    Attributes:
        rows: how many events are counted.
        n_eff: independent rows that they amount to.
        blocks_eff: months that they amount to.
        reason: why history is silent; None: it is not, and the numbers below are set.
        p_up: share after which the price was higher, with its interval at 95 %.
        median: log return, with its interval at 95 %.
        base_p_up: the share over all hours of the same symbols and time.
        differs: whether the two shares differ at 99 %.
    """

    rows: int
    n_eff: float
    blocks_eff: float
    reason: str | None
    p_up: float | None = None
    p_up_low: float | None = None
    p_up_high: float | None = None
    median: float | None = None
    median_low: float | None = None
    median_high: float | None = None
    base_p_up: float | None = None
    differs: bool | None = None

    @property
    def is_silent(self) -> bool:
        """Whether history says nothing."""
        return self.reason is not None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "is_silent": self.is_silent}


def answer(
    hours: Ints,
    symbols: npt.NDArray[np.object_],
    returns: Floats,
    base: Weeks,
    *,
    horizon_h: int,
    span_days: float,
) -> Answer:
    """What followed on some rows, beside all rows.

    Args:
        hours: hour of each row since 1970, ascending, shape (n,).
        symbols: of each row, shape (n,).
        returns: of the ``horizon_h`` hours after each row, finite, shape (n,).
        base: all rows of the same symbols and time, hits where the return was above zero.
        horizon_h: hours looked ahead.
        span_days: how long the history is.
    """
    up = returns > 0
    weeks = Weeks.of(hours, up)
    apart = sum(_apart(hours[symbols == s], horizon_h) for s in np.unique(symbols))
    n_eff, blocks = rows_effective(weeks, apart), weeks.blocks_effective()
    reason = _silence(span_days, n_eff, blocks)
    if reason is not None:
        return Answer(len(hours), n_eff, blocks, reason)
    p = weeks.share
    low, high = wilson(p, n_eff, t_quantile(_LEVEL, blocks))
    middle, m_low, m_high = quantile_interval(hours, returns, 0.5, _LEVEL)
    spread = variance_of_difference(weeks, base)
    wide = t_quantile(_DIFFERS, blocks) * np.sqrt(spread)
    return Answer(
        rows=len(hours),
        n_eff=n_eff,
        blocks_eff=blocks,
        reason=None,
        p_up=p,
        p_up_low=low,
        p_up_high=high,
        median=middle,
        median_low=m_low,
        median_high=m_high,
        base_p_up=base.share,
        differs=bool(abs(p - base.share) > wide),
    )


def _apart(hours: Ints, horizon_h: int) -> int:
    """How many rows of one symbol do not overlap, taken from the first on."""
    count, free_from = 0, -(2**62)
    for hour in hours.tolist():
        if hour >= free_from:
            count, free_from = count + 1, hour + horizon_h
    return count


def _silence(span_days: float, n_eff: float, blocks: float) -> str | None:
    if span_days < LEAST_DAYS:
        return f"{span_days:.0f} days of history, {LEAST_DAYS:.0f} needed"
    if n_eff < LEAST_ROWS:
        return f"{n_eff:.0f} effective, {LEAST_ROWS:.0f} needed"
    if blocks < LEAST_BLOCKS:
        return f"{blocks:.0f} effective months, {LEAST_BLOCKS:.0f} needed"
    return None


def followed(
    conn: psycopg.Connection,
    event_type: str,
    level: str,
    symbols: Sequence[str],
    as_of: datetime,
) -> dict[str, Any]:
    """What followed on all events of a type at a level, of any of the symbols, known at ``as_of``.

    Returns:
        Answers by horizon in hours as text, and what was asked.
    """
    asked: dict[str, Any] = {
        "event_type": event_type,
        "level": level,
        "symbols": list(symbols),
        "end": as_of,
        "market": "perp",
    }
    first = conn.execute(_SPAN, asked).fetchone()
    if first is None or first[0] is None:
        first = conn.execute(_SPAN, asked | {"market": "spot"}).fetchone()
        asked["market"] = "spot"
    since = None if first is None else first[0]
    span_days = 0.0 if since is None else (as_of - since).total_seconds() / 86_400
    found: dict[str, Any] = {
        "condition": {"event_type": event_type, "level": level, "symbols": list(symbols)},
        "as_of": as_of.isoformat(),
        "price": asked["market"],
    }
    for hours in HORIZONS_H:
        rows = conn.execute(_EVENTS, asked | {"hours": hours}).fetchall()
        base = Weeks(np.empty(0, np.int64), np.empty(0), np.empty(0))
        if span_days >= LEAST_DAYS and len(rows) >= LEAST_ROWS:
            table = np.array(conn.execute(_BASE, asked | {"hours": hours}).fetchall(), float)
            base = Weeks(table[:, 0].astype(np.int64), table[:, 1], table[:, 2])
        found[str(hours)] = answer(
            np.array([r[1] for r in rows], np.int64),
            np.array([r[0] for r in rows], object),
            np.array([r[2] for r in rows], float),
            base,
            horizon_h=hours,
            span_days=span_days,
        ).plain()
    return found
