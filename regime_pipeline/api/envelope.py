"""The form of every answer: what it is about, how old, how whole; then the rows.

Belongs here: ``meta`` and rows as plain data. Does not belong here: reading them (``query``), bytes
(``formats``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from regime_pipeline.api.endpoints import VERSION
from regime_pipeline.api.params import Query, cursor_of, order_of
from regime_pipeline.api.query import Page
from regime_pipeline.api.why import addresses
from regime_pipeline.catalogue.marts import HOURLY

STALE_AFTER_S = 2 * 3600
"""An hour is stored shortly after its end: known an hour ago is fresh, two hours ago is not."""
NOT_BUILT = "mart_not_built"


def meta(
    query: Query,
    page: Page,
    *,
    origin: str,
    newest: datetime | None,
    now: datetime,
    version: int | None = None,
    newest_of_mart: datetime | None = None,
) -> dict[str, Any]:
    """What an answer is about.

    ``status`` is ``missing`` without rows or mart, ``partial`` when symbols asked for have no row,
    ``stale`` when the newest hour of the database, or of a mart that has a row every hour, ended longer ago
    than :data:`STALE_AFTER_S` and no past was asked for, else ``ok``. ``age_s`` counts from the newest row
    of the answer.
    """
    known = _known_at(page, newest)
    age = None if known is None else max(0, int((now - known).total_seconds()))
    is_past = query.as_of is not None or query.end is not None or query.after is not None
    coverage = _coverage(query, page)
    mart = query.endpoint.described
    status, reason = "ok", None
    if not page.is_built:
        status, reason = "missing", NOT_BUILT
    elif not page.rows:
        status, reason = "missing", "no_rows"
    elif coverage and coverage["missing"] and not page.is_more:
        status, reason = "partial", "symbols_without_rows"
    elif not is_past and is_stale(newest, origin, now):
        status, reason = "stale", "no_newer_hour"
    elif not is_past and mart in HOURLY and is_stale(newest_of_mart, origin, now):
        status, reason = "stale", "mart_lags_behind"
    description = None if mart is None else mart.description
    about = bare_meta(query.endpoint.mart, description, origin=origin, newest=newest, now=now)
    return about | {
        "mart_version": version,
        "known_at": known,
        "age_s": age,
        "as_of": query.as_of,
        "status": status,
        "reason": reason,
        "count": len(page.rows),
        "coverage": coverage,
        "next": following(query, page),
    }


def bare_meta(
    mart: str, description: str | None, *, origin: str, newest: datetime | None, now: datetime
) -> dict[str, Any]:
    """What an answer about the database as a whole is about."""
    is_old = is_stale(newest, origin, now)
    known = _end_of(newest)
    return {
        "data_origin": origin,
        "mart": mart,
        "mart_version": None,
        "description": description,
        "ts": newest,
        "known_at": known,
        "age_s": None if known is None else max(0, int((now - known).total_seconds())),
        "as_of": None,
        "status": "stale" if is_old else "ok",
        "reason": "no_newer_hour" if is_old else None,
        "count": 0,
        "coverage": None,
        "next": None,
        "warnings": _warnings(origin),
    }


def following(query: Query, page: Page) -> str | None:
    """The cursor of the next page; None where there is none."""
    if not page.is_more or not page.rows:
        return None
    at = {c: n for n, c in enumerate(page.names)}
    return cursor_of(query, [page.rows[-1][at[c]] for c in order_of(query.endpoint)])


def is_stale(newest: datetime | None, origin: str, now: datetime) -> bool:
    """Whether the newest hour ended too long ago; recorded history is as old as it is."""
    if newest is None or origin == "tape":
        return False
    return (now - newest).total_seconds() - 3600 > STALE_AFTER_S


def records(query: Query, page: Page) -> list[dict[str, Any]]:
    """The rows as objects, the columns asked for, each with a link to where its numbers come from."""
    mart, columns = query.endpoint.described, query.columns
    # those asked for come first in a row
    out: list[dict[str, Any]] = [dict(zip(columns, row, strict=False)) for row in page.rows]
    address = None if mart is None else addresses(mart, page.names, VERSION)
    if address is not None:
        for record, row in zip(out, page.rows, strict=True):
            link = address(row)
            if link is not None:
                record["links"] = {"why": link}
    return out


def heatmap(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Correlations of the newest instant as a matrix.

    Args:
        rows: with ``component_a``, ``component_b``, ``ts`` and ``corr``, newest first.

    Returns:
        ``labels`` in order, ``matrix`` with a row a label; null where a pair is not known.
    """
    newest = rows[0]["ts"] if rows else None
    at = {(r["component_a"], r["component_b"]): r["corr"] for r in rows if r["ts"] == newest}
    names = sorted({name for pair in at for name in pair})
    return {
        "labels": names,
        "matrix": [[at.get((a, b), at.get((b, a))) for b in names] for a in names],
    }


def _known_at(page: Page, newest: datetime | None) -> datetime | None:
    if "known_at" in page.names:
        at = page.names.index("known_at")
        known = [row[at] for row in page.rows if row[at] is not None]
        if known:
            return max(known)
    return _end_of(newest) if page.rows else None


def _end_of(hour: datetime | None) -> datetime | None:
    """When an hour could be known: at its end."""
    return None if hour is None else hour + timedelta(hours=1)


def _coverage(query: Query, page: Page) -> dict[str, Any] | None:
    if query.symbols is None or "symbol" not in page.names:
        return None
    at = page.names.index("symbol")
    present = {row[at] for row in page.rows}
    missing = [s for s in query.symbols if s not in present]
    return {"expected": len(query.symbols), "present": len(present), "missing": missing}


def _warnings(origin: str) -> list[str]:
    if origin == "live":
        return []
    if origin == "unknown":
        return ["nothing has been built yet: run the pipeline"]
    return [f"{origin} data: no statement about the market today"]
