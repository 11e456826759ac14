"""A published number followed to its inputs, and what was restated, as text for people.

Belongs here: asking ``reporting.why`` and the marts of restatements, and wording the answers. Does not
belong here: the function (``storage.provenance``), keeping bytes (``providers.landing``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from regime_pipeline.catalogue.lineage import stored
from regime_pipeline.providers.landing import LandingError, LandingStore
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows

_WHY = "select * from reporting.why(%(mart)s, %(symbol)s, %(ts)s, %(column)s)"
_URL = (
    "select distinct on (payload_id) payload_id, url, endpoint_path, byte_count, fetched_at, landing_path "
    "from ops.payloads where payload_id = any(%(ids)s) order by payload_id, fetched_at"
)
_RESTATED = (
    "select table_name, date_trunc('second', restated_at) as restated_at, count(*) as versions, "
    "count(distinct symbol) as symbols, min(ts) as first_ts, max(ts) as last_ts "
    "from reporting.restatements where restated_at >= %(since)s "
    "group by 1, 2 order by 2 desc, 1 limit %(most)s"
)
_ANNOUNCED = (
    "select table_name, symbol, ts, announced_then, announced_now, restated_at "
    "from reporting.restated_announcements where restated_at >= %(since)s "
    "order by restated_at desc, ts limit %(most)s"
)


def why(
    database: Database, mart: str, symbol: str | None, ts: datetime | None, column: str | None
) -> list[dict[str, Any]]:
    """The steps below a published number, as ``reporting.why`` gives them; empty: there is no such row."""
    return rows(database, _WHY, mart=mart, symbol=symbol, ts=ts, column=column)


def payloads(
    database: Database, store: LandingStore, steps: Sequence[Mapping[str, Any]], *, bytes_shown: int
) -> list[dict[str, Any]]:
    """The replies behind steps, in their order: what was asked, and the beginning of the bytes.

    A reply whose bytes cannot be read is there with ``error``.
    """
    ids = list(dict.fromkeys(s["payload_id"] for s in steps if s["payload_id"]))
    known = {r["payload_id"]: r for r in rows(database, _URL, ids=ids)}
    out = []
    for payload_id in ids:
        found: dict[str, Any] = {"payload_id": payload_id, **known.get(payload_id, {})}
        try:
            body = store.get(payload_id, found.pop("landing_path", None))
            found |= {"byte_count": len(body), "begin": body[:bytes_shown], "error": None}
        except LandingError as error:
            found |= {"begin": b"", "error": str(error)}
        out.append(found)
    return out


def tree_lines(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line a step, indented by its depth."""
    for step in steps:
        told = [step["input_table"]]
        if step["row_key"]:
            told.append(" ".join(str(v) for v in step["row_key"].values()))
        if step["columns"] and step["value"]:
            told.append(", ".join(f"{c}={step['value'].get(c)}" for c in step["columns"]))
        told += _places(step)
        if step["status"] not in (None, "ok"):
            told.append(f"{step['status']}: {step['reason']}")
        if step["revision"]:
            told.append(f"revision {step['revision']}")
        if (step["history_rows"] or 0) > 1:
            told.append(f"{step['history_rows']} rows from {step['history_from']:%Y-%m-%d %H:%M}")
        if step["payload_id"]:
            told.append(f"payload {step['payload_id'][:12]}")
        if step["note"]:
            told.append(f"[{step['note']}]")
        yield "  " * step["depth"] + f"{step['step']}. " + "  ".join(told)


def _places(step: Mapping[str, Any]) -> Iterator[str]:
    """Where in the provider's reply the shown columns of a raw row stand, of those that is known."""
    if step["source"] is None:
        return
    for column in step["columns"] or step["value"] or ():
        places = stored().told_by(step["input_table"], column, step["source"])
        if places:
            yield f"{column} from {', '.join(places)} of {step['source']}"


def restatements(database: Database, since: datetime, *, most: int) -> dict[str, Any]:
    """What was restated since an instant, newest first, and what that changed about announcements."""
    return {
        "restated": rows(database, _RESTATED, since=since, most=most),
        "announcements": rows(database, _ANNOUNCED, since=since, most=most),
    }
