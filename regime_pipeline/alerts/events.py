"""Market events from the rows of the derived tables: a pure mapping, one row per announcement.

Belongs here: identity and shape of events. Does not belong here: what differs from type to type
(``kinds``), deciding *that* something happened (the features' state machines do, in their event
columns), the outbox and delivery.

An event is identified by what it is, never by when it was found: the same announcement always gets
the same ``event_id``, so writing it twice changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pandas as pd

from regime_pipeline.alerts.kinds import MARKET, MarketEvent, Row
from regime_pipeline.catalogue.frames import conform, empty
from regime_pipeline.catalogue.registry import table
from regime_pipeline.windows import parse_lookback

LOOKBACK: dict[str, str] = {
    name: max((t.lookback for t in MARKET if t.table == name), key=parse_lookback)
    for name in dict.fromkeys(t.table for t in MARKET)
}
"""Tables that events come from, and the history before a window that is read of each."""


def columns_read() -> dict[str, list[str]]:
    """The columns that events need of each table of :data:`LOOKBACK`, in the table's order."""
    wanted: dict[str, set[str]] = {}
    for kind in MARKET:
        item = table(kind.table)
        wanted.setdefault(kind.table, set()).update(
            (*item.key, *item.symbol_columns, "source_tier", "method_version"),
            (*kind.announcing, *kind.details, *kind.read),
        )
    return {name: [c for c in table(name).fields if c in some] for name, some in wanted.items()}


def event_id(
    event_type: str,
    instrument: str,
    episode_start: pd.Timestamp,
    kind: str,
    ordinal: int,
    level: str,
    method_version: str,
) -> str:
    """The identity of an event: sha256 (hex) over its naming parts as a canonical JSON list."""
    parts = [
        event_type,
        instrument,
        _iso(episode_start),
        kind,
        int(ordinal),
        level,
        method_version,
    ]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def market_events(**tables: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``alerts.market_events`` that the given derived rows announce.

    Args:
        tables: rows of the derived tables of :data:`LOOKBACK`, by the table's name without its
            schema. Any may be empty or absent.

    Returns:
        Content columns of ``alerts.market_events`` sorted by its key.

    Raises:
        ValueError: a table that no event type reads.
    """
    names = {t.table.split(".")[1] for t in MARKET}
    if unknown := tables.keys() - names:
        raise ValueError(f"no event is read from {', '.join(sorted(unknown))}")
    rows = [
        _event(kind, row)
        for kind in MARKET
        for row in _announcing(tables.get(kind.table.split(".")[1]), kind)
    ]
    target = table("alerts.market_events")
    columns = list(target.content)
    if not rows:
        return empty(target)[columns]
    frame = conform(pd.DataFrame(rows, columns=columns), target)[columns]
    return frame.sort_values(list(target.key), ignore_index=True)


def _announcing(frame: pd.DataFrame | None, kind: MarketEvent) -> list[Row]:
    """The rows that announce an event of the type, as plain Python values."""
    if frame is None or frame.empty:
        return []
    if kind.flag is None:
        here = frame["event_kind"].notna().to_numpy(dtype=bool)
    else:
        here = frame[kind.flag].fillna(False).to_numpy(dtype=bool)
    found = frame[here].to_dict("records")
    return [{str(k): _plain(v) for k, v in row.items()} for row in found]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _event(kind: MarketEvent, row: Row) -> Row:
    """One event from a row that announces it."""
    level, title = kind.words(row)
    event: Row = {
        "event_type": kind.name,
        "ts": row["ts"],
        "instrument": "|".join(row[c] for c in table(kind.table).symbol_columns),
        "level": level,
        "title": title,
        "known_at": row["ts"] + kind.delay,
        "source_tier": row["source_tier"],
        "method_version": row["method_version"],
    }
    if kind.flag is None:
        event |= {
            "kind": row["event_kind"],
            "ordinal": row["event_ordinal"] or 0,
            "alert_severity": row["event_severity"],
            "episode_start": row["episode_start"],
        }
    else:
        event |= {"kind": "change", "ordinal": 0, "episode_start": row["ts"]}
    if kind.severity is not None:
        event["alert_severity"] = kind.severity
    numbers = {name: row.get(name) for name in kind.details}
    event["details"] = json.dumps(
        {k: _iso(v) if isinstance(v, pd.Timestamp) else v for k, v in numbers.items()},
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
    event["event_id"] = event_id(
        event["event_type"],
        event["instrument"],
        event["episode_start"],
        event["kind"],
        event["ordinal"],
        event["level"],
        event["method_version"],
    )
    return event


def _iso(at: pd.Timestamp) -> str:
    return pd.Timestamp(at).tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
