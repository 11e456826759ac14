"""How far a row is to be preferred: the primary series, another one, or the archive's.

Does not belong here: which provider is primary (``catalogue.datasets`` and the settings).
"""

from __future__ import annotations

from collections.abc import Mapping

from regime_pipeline.providers.fetch.sources import home_venue
from regime_pipeline.providers.fetch.stream import Stamping, Stream

ARCHIVE_TIER = 3


def _primary_source(stream: Stream, common: Stamping) -> str | None:
    """The provider whose rows are the primary ones; None where every provider's are."""
    item = common.item
    if not item.primary_settings:
        return item.primary
    named = getattr(common.settings, item.primary_settings[0])
    if isinstance(named, Mapping):
        return str(named.get(stream.feed.kind if item.by_kind else stream.canonical, ""))
    return str(named)


def tier(stream: Stream, common: Stamping) -> int:
    """1 for the series that the settings make the primary one, 3 from the archive, else 2."""
    if stream.from_archive:
        return ARCHIVE_TIER
    item = common.item
    if stream.source.relays and item.is_relayed:
        return 2
    if _primary_source(stream, common) not in (None, stream.source.name):
        return 2
    if not item.by_venue:
        return 1
    settings = common.settings
    if item.primary_venue_setting is not None:
        return 1 if stream.venue == getattr(settings, item.primary_venue_setting) else 2
    home = home_venue(settings, stream.feed.market, stream.canonical or "")
    return 1 if stream.venue == home else 2
