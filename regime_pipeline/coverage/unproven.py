"""Hours that the live collector stored and could not prove: a tick asks their venue for them.

Belongs here: which they are, and taking them out of the stretches that count as stored. Does not belong
here: judging hours (``collect``), what else is asked for (``newest``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

import pandas as pd
import psycopg

from regime_pipeline.coverage.asked import ANSWERED, without
from regime_pipeline.windows import HOUR, Window

Key = tuple[str, str, str, str]
"""Source, venue, market, symbol."""
STREAMED = "/ws/"
"""How the endpoint of a log row begins that no request made."""

_UNPROVEN = """
SELECT h.source, h.venue, h.market, h.symbol, h.ts FROM ops.stream_hours AS h
WHERE h.dataset = %(dataset)s AND NOT h.is_proven AND h.ts >= %(start)s AND h.ts < %(end)s
AND NOT EXISTS (
    SELECT FROM ops.fetch_log AS l
    WHERE l.dataset = h.dataset AND l.source = h.source AND l.venue = h.venue AND l.market = h.market
    AND l.symbol = h.symbol AND NOT starts_with(l.endpoint_path, %(streamed)s)
    AND l.fetch_status = ANY(%(answered)s) AND l.window_start <= h.ts
    AND l.window_end >= h.ts + interval '1 hour' AND l.fetched_at >= h.ts + interval '1 hour'
)
"""


def unproven_hours(
    connection: psycopg.Connection, dataset: str, window: Window
) -> dict[Key, list[datetime]]:
    """Hours by series that were collected, not proven, and not asked for since they closed.

    Args:
        connection: to the database.
        dataset: raw table without its schema.
        window: hours to look at.
    """
    found = connection.execute(
        _UNPROVEN,
        {
            "dataset": dataset, "start": window.start, "end": window.end, "streamed": STREAMED,
            "answered": list(ANSWERED),
        },
    )  # fmt: skip
    out: dict[Key, list[datetime]] = defaultdict(list)
    for source, venue, market, symbol, hour in found:
        out[source, venue, market, symbol].append(hour)
    return dict(out)


def reopened(spans: pd.DataFrame, unproven: Mapping[Key, Iterable[datetime]]) -> pd.DataFrame:
    """Coverage without some hours of its stored stretches; all other columns stay as they are.

    Args:
        spans: ``source``, ``venue``, ``market``, ``symbol``, ``start``, ``end``, ``coverage_state``.
        unproven: hours by series.
    """
    if not unproven:
        return spans
    holes = {key: [Window(h, h + HOUR) for h in hours] for key, hours in unproven.items()}
    rows = []
    for row in spans.to_dict("records"):
        key = (row["source"], row["venue"], row["market"], row["symbol"])
        cut = holes.get(key, []) if row["coverage_state"] == "stored" else []
        if not cut:
            rows.append(row)
            continue
        left = without(Window(row["start"], row["end"]), cut)
        rows += [row | {"start": one.start, "end": one.end} for one in left]
    return pd.DataFrame(rows, columns=spans.columns)
