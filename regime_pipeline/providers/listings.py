"""From when until when a venue lists its contracts, as its list of instruments tells.

Belongs here: the feed of ``raw.instruments`` and its columns from the lists of the exchanges. Does not
belong here: wire formats (the venues' modules), what is stored of an instrument (coverage knows).
"""

from __future__ import annotations

from collections.abc import Mapping

from regime_pipeline.providers.decode import MISSING, Columns
from regime_pipeline.providers.readings import LATEST_S, Context
from regime_pipeline.providers.source import Endpoint, Feed, state_of_all

DATASET = "instruments"


def listed(columns: Columns, *, status: str, start: str, end: str) -> dict[str, object]:
    """``listing_status`` in the venue's word, ``listed_from`` and ``listed_to`` from three fields.

    A contract without an end has none, 0 or a day beyond 2100 there: ``listed_to`` is null then. An end
    may lie in the future.
    """
    columns.put(end, [None if _is_never(v) else v for v in columns.raw(end)])
    return {
        "listing_status": columns.text(status),
        "listed_from": columns.time(start, Context(), optional=True),
        "listed_to": columns.time(end, Context(), optional=True),
    }


def _is_never(value: object) -> bool:
    if value is MISSING or value in ("", None):
        return True
    return str(value).isdecimal() and not 0 < int(str(value)) < LATEST_S * 1_000


def listing(endpoint: Endpoint, venue: str, params: Mapping[str, str]) -> Feed:
    """The feed of a venue's listed perpetuals: one request for all of them.

    Args:
        endpoint: lists every contract with ``venue_symbol`` and the columns of :func:`listed`.
        venue: exchange.
        params: what makes the endpoint list all of them.
    """
    return state_of_all(DATASET, endpoint, venue, params)
