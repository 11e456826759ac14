"""Rows for pages: the API's own queries, as dictionaries.

Belongs here: asking, longer spans than a page of the API too. Does not belong here: layout.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from regime_pipeline.api import query
from regime_pipeline.api.answers import Served
from regime_pipeline.api.cache import Answer
from regime_pipeline.api.endpoints import Endpoint
from regime_pipeline.api.formats import json_bytes
from regime_pipeline.api.params import Query
from regime_pipeline.catalogue.marts import MARTS

HOUR = timedelta(hours=1)
MOST_POINTS = 45_000
"""Five years of hours."""

Row = dict[str, Any]


async def rows(
    served: Served,
    mart: str,
    *,
    symbols: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = 100,
    columns: Sequence[str] = (),
    **filters: Any,
) -> list[Row]:
    """Rows of a mart, newest first; none when it is not built.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    if mart not in MARTS:
        return []
    page = await _page(served, mart, symbols, start, end, limit, columns, **filters)
    return [dict(zip(page.names, row, strict=True)) for row in page.rows]


async def newest_rows(served: Served, mart: str, **asked: Any) -> list[Row]:
    """The rows of the newest instant of a mart that has ``ts``, of those that :func:`rows` finds.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    found = await rows(served, mart, **asked)
    newest = max((r["ts"] for r in found), default=None)
    return [r for r in found if r["ts"] == newest]


async def _page(
    served: Served,
    mart: str,
    symbols: Sequence[str] | None,
    start: datetime | None,
    end: datetime | None,
    limit: int,
    columns: Sequence[str],
    **filters: Any,
) -> query.Page:
    """The rows as the database gives them: the asked columns come first."""
    asked = Query(
        Endpoint(f"/{mart}", mart, ""),
        tuple(symbols) if symbols is not None else None,
        start,
        end,
        tuple((k, tuple(v) if isinstance(v, (list, tuple)) else (v,)) for k, v in filters.items()),
        tuple(columns) or MARTS[mart].names,
        limit,
        None,
        None,
        "json",
    )
    _, newest = await served.feed.newest()
    return await query.rows(served.pool, asked, newest)


async def kept(
    served: Served,
    key: tuple[Any, ...],
    marts: Sequence[str],
    make: Callable[[], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """A part of a page, made once for each state of its marts: most of a page changes once an hour.

    Args:
        served: what requests share.
        key: names the part.
        marts: that it is made of.
        make: makes it, of what JSON has.

    Raises:
        Problem: the database does not answer, or not in time.
    """

    async def made() -> Answer:
        return Answer(json_bytes(await make()), {}, "")

    stamp = served.feed.stamp(marts, seconds=HOUR.total_seconds())
    found: dict[str, Any] = (await served.cache.get(json_bytes(key), stamp, made)).content
    return found


async def series(
    served: Served,
    mart: str,
    columns: Sequence[str],
    *,
    symbols: Sequence[str],
    start: datetime,
    end: datetime,
) -> tuple[tuple[datetime, ...], dict[str, tuple[list[Any], ...]]]:
    """The hours of a span, and of each symbol the values of some columns by hour.

    A value is None where it is not known or there is no row. No row becomes a dictionary: pictures of many
    symbols are made of thousands.

    Raises:
        Problem: the database does not answer, or not in time.
    """
    page = await _page(served, mart, symbols, start, end, MOST_POINTS, ("symbol", "ts", *columns))
    hours = _hours(start, end)
    place = {hour: n for n, hour in enumerate(hours)}
    found = {symbol: tuple([None] * len(hours) for _ in columns) for symbol in symbols}
    for symbol, ts, *values in (row[: 2 + len(columns)] for row in page.rows):
        at = place.get(ts)
        if at is not None:
            for kept, value in zip(found[symbol], values, strict=True):
                kept[at] = value
    return hours, found


def _hours(start: datetime, end: datetime) -> tuple[datetime, ...]:
    return tuple(start + n * HOUR for n in range(max(0, int((end - start) / HOUR))))


def by_hour(
    found: Sequence[Row], start: datetime, end: datetime
) -> tuple[tuple[datetime, ...], list[Row]]:
    """The hours of a span and the row of each; an empty row where there is none."""
    at = {row["ts"]: row for row in found}
    hours = _hours(start, end)
    return hours, [at.get(h, {}) for h in hours]
