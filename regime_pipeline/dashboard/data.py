"""Rows for pages: the API's own queries, as dictionaries.

Belongs here: asking, longer spans than a page of the API too. Does not belong here: layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from regime_pipeline.api import query
from regime_pipeline.api.answers import Served
from regime_pipeline.api.endpoints import Endpoint
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
    described = MARTS.get(mart)
    if described is None:
        return []
    asked = Query(
        Endpoint(f"/{mart}", mart, ""),
        tuple(symbols) if symbols is not None else None,
        start,
        end,
        tuple((k, tuple(v) if isinstance(v, (list, tuple)) else (v,)) for k, v in filters.items()),
        tuple(columns) or described.names,
        limit,
        None,
        None,
        "json",
    )
    _, newest = await served.feed.newest()
    page = await query.rows(served.pool, asked, newest)
    return [dict(zip(page.names, row, strict=True)) for row in page.rows]


def by_hour(
    found: Sequence[Row], start: datetime, end: datetime
) -> tuple[tuple[datetime, ...], list[Row]]:
    """The hours of a span and the row of each; an empty row where there is none."""
    at = {row["ts"]: row for row in found}
    count = max(0, int((end - start) / HOUR))
    hours = tuple(start + n * HOUR for n in range(count))
    return hours, [at.get(h, {}) for h in hours]
