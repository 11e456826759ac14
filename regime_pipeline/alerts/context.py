"""What surrounds an event, for the person who is woken by it.

Belongs here: reading it beside the event, in the transaction that stores it, from what could be known at
``known_at``: size against the month before, price and move, the day, the state before, what else was
announced, how often the type is false, what followed on such events in the past. Does not belong here:
wording (``message``), statistics of the past (``outcomes``).

What is not known is null; the event is told all the same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from regime_pipeline.alerts import outcomes
from regime_pipeline.alerts.false_alarms import ADVERTISED
from regime_pipeline.alerts.kinds import MARKET, TYPES, MarketEvent, Row
from regime_pipeline.catalogue import table
from regime_pipeline.settings import Settings

NORMAL_DAYS = 30
"""Days before an event that its size is compared with."""
REALISED_DAYS = 90
"""Days before an event over which announcements of its type are counted."""
CONFIRMS_WITHIN = timedelta(hours=6)

_PRICES = """
WITH asked AS (
    SELECT * FROM unnest(%(ids)s::text[], %(symbols)s::text[], %(known)s::timestamptz[])
        AS a (event_id, symbol, known_at)
)
SELECT a.event_id, a.symbol, c.market,
    max(c.close) FILTER (WHERE c.ts = last.ts) AS price,
    max(c.close) FILTER (WHERE c.ts = last.ts - interval '1 hour') AS before_1h,
    max(c.close) FILTER (WHERE c.ts = last.ts - interval '24 hours') AS before_24h,
    min(c.low) FILTER (WHERE c.ts > last.ts - interval '24 hours') AS low_24h,
    max(c.high) FILTER (WHERE c.ts > last.ts - interval '24 hours') AS high_24h
FROM asked a
CROSS JOIN LATERAL (SELECT date_trunc('hour', a.known_at) - interval '1 hour' AS ts) last
JOIN market.candles_1h c ON c.symbol = a.symbol AND c.ts <= last.ts
    AND c.ts >= last.ts - interval '24 hours'
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_ROWS = """
WITH asked AS (
    SELECT * FROM unnest(%(ids)s::text[], %(instruments)s::text[], %(ts)s::timestamptz[])
        AS a (event_id, instrument, ts)
)
SELECT a.event_id, before.state AS level_before, now.state AS level_now, {size}
FROM asked a
LEFT JOIN LATERAL (
    SELECT t.{state}::text AS state FROM {table} t
    WHERE {key} AND t.ts < a.ts AND t.ts >= a.ts - interval '7 days'
    ORDER BY t.ts DESC LIMIT 1) before ON true
LEFT JOIN LATERAL (SELECT t.{state}::text AS state FROM {table} t WHERE {key} AND t.ts = a.ts) now ON true
"""
_SIZE = """
    (SELECT abs(t.{column}) FROM {table} t WHERE {key} AND t.ts = a.ts) AS size,
    (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(t.{column})) FROM {table} t
     WHERE {key} AND t.ts < a.ts AND t.ts >= a.ts - %(days)s * interval '1 day') AS normal
"""
_OTHERS = """
SELECT event_id, event_type, instrument, kind, level, known_at FROM alerts.market_events
WHERE known_at > %(start)s AND known_at <= %(end)s AND kind NOT IN ('end', 'calming')
ORDER BY known_at, event_id
"""
_REALISED = """
SELECT (SELECT count(*) FROM alerts.market_events
        WHERE event_type = %(event_type)s AND known_at > %(start)s AND known_at <= %(end)s
            AND kind NOT IN ('end', 'escalation', 'calming')
            AND alert_severity <> ALL(%(quiet)s)) AS announced,
    (SELECT count(DISTINCT ({names})) FROM {table} WHERE ts > %(start)s AND ts <= %(end)s) AS series,
    (SELECT min(ts) FROM {table} WHERE ts > %(start)s AND ts <= %(end)s) AS since
"""
_INSERT = """
INSERT INTO alerts.event_contexts (event_id, known_at, context) VALUES (%s, %s, %s)
ON CONFLICT (event_id) DO NOTHING
"""


def surround(
    conn: psycopg.Connection, events: Sequence[Row], settings: Settings, *, news: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """What surrounds events that have just been stored; stored beside them.

    Args:
        conn: the connection of the transaction that stored them.
        events: rows of ``alerts.market_events``.
        settings: symbols, and where the web UI is.
        news: ids of those that somebody may be told of: only they are given rates and the past,
            which read years.

    Returns:
        The contexts by event id.
    """
    found: dict[str, dict[str, Any]] = {row["event_id"]: {} for row in events}
    by_type: dict[str, list[Row]] = defaultdict(list)
    for row in events:
        by_type[row["event_type"]].append(row)
    for kind in MARKET:
        rows = by_type.get(kind.name, [])
        if rows:
            _states_and_sizes(conn, kind, rows, found)
        for row in rows:
            details = json.loads(row["details"])
            found[row["event_id"]] |= _known_of(row, details, settings)
    _prices(conn, events, found)
    told = [row for row in events if row["event_id"] in news]
    _confirmed(conn, told, found)
    _rates_and_past(conn, told, settings, found)
    with conn.cursor() as cursor:
        cursor.executemany(
            _INSERT,
            [(r["event_id"], r["known_at"], json.dumps(found[r["event_id"]])) for r in events],
        )
    return found


def _known_of(row: Row, details: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    bound = details.get("is_lower_bound")
    if details.get("completeness") == "partial":
        bound = True
    link = None
    if settings.api_public_url is not None:
        link = f"{settings.api_public_url.rstrip('/')}/event/{row['event_id']}"
    elif settings.ui_url is not None:
        day = urlencode({"partition": f"{row['ts']:%Y-%m-%d}"})
        link = f"{settings.ui_url.rstrip('/')}/assets/alerts/market_events?{day}"
    return {"is_lower_bound": bound, "link": link}


def _states_and_sizes(
    conn: psycopg.Connection,
    kind: MarketEvent,
    rows: Sequence[Row],
    found: dict[str, dict[str, Any]],
) -> None:
    item = table(kind.table)
    parts = {
        "table": sql.Identifier(item.schema, item.name),
        "state": sql.Identifier(kind.state),
        "key": sql.SQL(" AND ").join(
            sql.SQL("t.{} = split_part(a.instrument, '|', {})").format(
                sql.Identifier(column), sql.Literal(number)
            )
            for number, column in enumerate(item.symbol_columns, start=1)
        ),
    }
    size: sql.Composable = sql.SQL("NULL::float AS size, NULL::float AS normal")
    if kind.size is not None:
        size = sql.SQL(_SIZE).format(column=sql.Identifier(kind.size), **parts)
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            sql.SQL(_ROWS).format(size=size, **parts),
            {
                "ids": [r["event_id"] for r in rows],
                "instruments": [r["instrument"] for r in rows],
                "ts": [r["ts"] for r in rows],
                "days": NORMAL_DAYS,
            },
        )
        for one in cursor:
            known = found[one["event_id"]]
            known |= {"level_before": one["level_before"], "level_now": one["level_now"]}
            if one["size"] is not None:
                ratio = one["size"] / one["normal"] if one["normal"] else None
                known["size"] = {
                    "of": kind.size,
                    "value": one["size"],
                    "median": one["normal"],
                    "days": NORMAL_DAYS,
                    "ratio": ratio,
                }


def _prices(
    conn: psycopg.Connection, events: Sequence[Row], found: dict[str, dict[str, Any]]
) -> None:
    """Price and moves of each symbol, of the perpetual where it has the hour."""
    asked = [(r["event_id"], s, r["known_at"]) for r in events for s in r["instrument"].split("|")]
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            _PRICES,
            {
                "ids": [a[0] for a in asked],
                "symbols": [a[1] for a in asked],
                "known": [a[2] for a in asked],
            },
        )
        bars: dict[tuple[str, str], Row] = {}
        for one in cursor:
            key = one["event_id"], one["symbol"]
            if one["price"] is not None and (key not in bars or one["market"] == "perp"):
                bars[key] = one
    for event_id, symbol, _ in asked:
        bar = bars.get((event_id, symbol))
        if bar is not None:
            found[event_id].setdefault("prices", []).append(
                {
                    "symbol": symbol,
                    "market": bar["market"],
                    "price": bar["price"],
                    "move_1h": _move(bar["price"], bar["before_1h"]),
                    "move_24h": _move(bar["price"], bar["before_24h"]),
                    "low_24h": bar["low_24h"],
                    "high_24h": bar["high_24h"],
                }
            )


def _move(price: float, before: float | None) -> float | None:
    return price / before - 1.0 if before else None


def _confirmed(
    conn: psycopg.Connection, events: Sequence[Row], found: dict[str, dict[str, Any]]
) -> None:
    """What else was announced of the same symbols, and of the same type elsewhere, in the last hours."""
    if not events:
        return
    known = [r["known_at"] for r in events]
    span = {"start": min(known) - CONFIRMS_WITHIN, "end": max(known)}
    with conn.cursor(row_factory=dict_row) as cursor:
        others = cursor.execute(_OTHERS, span).fetchall()
    for row in events:
        mine, parts = row["known_at"], set(row["instrument"].split("|"))
        near = [o for o in others if mine - CONFIRMS_WITHIN < o["known_at"] <= mine]
        lines = [
            f"{o['event_type']} {o['level']} at {o['known_at']:%H:%M} UTC"
            for o in near
            if o["event_type"] != row["event_type"]
            and not parts.isdisjoint(o["instrument"].split("|"))
        ]
        alike = {o["instrument"] for o in near if o["event_type"] == row["event_type"]}
        alike -= {row["instrument"]}
        if alike:
            lines.append(f"{len(alike)} others have it too within 6 h")
        found[row["event_id"]]["confirmed_by"] = lines[-6:]


def _rates_and_past(
    conn: psycopg.Connection,
    events: Sequence[Row],
    settings: Settings,
    found: dict[str, dict[str, Any]],
) -> None:
    """Rates of false alarms per type; the past per type and level. Each is asked once."""
    rates: dict[str, dict[str, Any]] = {}
    past: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(events, key=lambda r: r["known_at"]):
        kind = TYPES[row["event_type"]]
        assert isinstance(kind, MarketEvent)
        if kind.name not in rates:
            rates[kind.name] = _rates(conn, kind, row)
        found[row["event_id"]]["false_alarms"] = rates[kind.name]
        if row["kind"] == "end":
            continue  # no news to act on
        asked = kind.name, row["level"]
        if asked not in past:
            past[asked] = outcomes.followed(
                conn, kind, row["level"], settings.universe, row["known_at"]
            )
        found[row["event_id"]]["followed"] = past[asked]


def _rates(conn: psycopg.Connection, kind: MarketEvent, row: Row) -> dict[str, Any]:
    item = table(kind.table)
    rate = next(a for a in ADVERTISED if a.detector == kind.false_alarms)
    end = row["known_at"]
    start = end - timedelta(days=REALISED_DAYS)
    statement = sql.SQL(_REALISED).format(
        table=sql.Identifier(item.schema, item.name),
        names=sql.SQL(", ").join(map(sql.Identifier, item.symbol_columns)),
    )
    asked = {"event_type": kind.name, "quiet": list(kind.quiet), "start": start, "end": end}
    with conn.cursor(row_factory=dict_row) as cursor:
        one = cursor.execute(statement, asked).fetchone()
    realised = None
    if one and one["since"] is not None and end - one["since"] > timedelta(days=REALISED_DAYS - 2):
        realised = one["announced"] / (REALISED_DAYS * one["series"])
    return {
        "advertised_per_day": rate.per_day,
        "realised_per_day": realised,
        "unit": "pair-day" if rate.pairs else "symbol-day",
        "days": REALISED_DAYS,
        "chance_share": None
        if realised is None or realised == 0
        else min(1.0, rate.per_day / realised),
    }
