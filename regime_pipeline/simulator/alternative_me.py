"""The Fear & Greed index of alternative.me, as its interface answers.

Belongs here: its one path. Does not belong here: where values come from.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regime_pipeline.simulator.context import BadParameterError, Query, World, reply
from regime_pipeline.simulator.series import DAY_MS

_CLASSES = (
    (25, "Extreme Fear"),
    (46, "Fear"),
    (55, "Neutral"),
    (76, "Greed"),
    (101, "Extreme Greed"),
)
_DATE_FORMATS = {"us": "%m-%d-%Y", "cn": "%Y-%m-%d", "kr": "%Y-%m-%d", "world": "%d-%m-%Y"}


def routes(world: World) -> list[Route]:
    """The routes below the provider's prefix."""

    async def handle(request: Request) -> Response:
        try:
            return reply(_index(world, Query.of(request)))
        except BadParameterError as bad:
            error = {"error": f"Invalid parameter: {bad.name}"}
            return reply({"name": "Fear and Greed Index", "data": [], "metadata": error})

    return [Route("/fng/", handle), Route("/fng", handle)]


def _index(world: World, query: Query) -> dict[str, object]:
    """Newest first; only the newest row says when the next one is due."""
    limit = query.whole("limit", 1)
    form = query.get("date_format", "")
    if form and form not in _DATE_FORMATS:
        raise BadParameterError("date_format")
    series = world.tape.fear_greed()
    rows: list[dict[str, str]] = []
    if series is not None:
        now = world.now_ms()
        shown = int(np.searchsorted(series.ts, now, side="right"))
        first = max(0, shown - limit) if limit else 0
        for place in range(shown - 1, first - 1, -1):
            rows.append(_row(int(series.ts[place]), float(series.value[place]), form))
        if rows:
            rows[0]["time_until_update"] = str((DAY_MS - now % DAY_MS) // 1000)
    return {"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}}


def _row(ts: int, value: float, form: str) -> dict[str, str]:
    whole = round(value)
    stamp = str(ts // 1000)
    if form:
        stamp = datetime.fromtimestamp(ts / 1000, UTC).strftime(_DATE_FORMATS[form])
    return {
        "value": str(whole),
        "value_classification": next(name for border, name in _CLASSES if whole < border),
        "timestamp": stamp,
    }


ROUTES = {"alternative_me": routes}
