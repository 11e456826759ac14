"""How far a row is to be preferred: the primary series, another one, or the archive's.

Does not belong here: which provider is primary (``catalogue.datasets`` and the settings).
"""

from __future__ import annotations

from collections.abc import Mapping

from regime_pipeline.catalogue.datasets import Dataset
from regime_pipeline.providers.fetch.sources import home_venue
from regime_pipeline.providers.fetch.stream import Stamping, Stream
from regime_pipeline.providers.source import Feed, Source
from regime_pipeline.settings import Settings

ARCHIVE_TIER = 3


def _named_sources(item: Dataset, settings: Settings, feed: Feed, symbol: str) -> list[str]:
    """The providers that a symbol's derived series are made of, the primary one first; none: every one."""
    if not item.primary_settings:
        return [] if item.primary is None else [item.primary]
    named = [getattr(settings, setting) for setting in item.primary_settings]
    of = feed.kind if item.by_kind else symbol
    return [
        str(n.get(of, "")) if isinstance(n, Mapping) else str(n) for n in named if n is not None
    ]


def is_read(item: Dataset, settings: Settings, source: Source, feed: Feed, symbol: str) -> bool:
    """Whether derived series are made of the rows that a feed has of a symbol, or hourly checks read them.

    Checks hold the prices of all venues against each other. Arguments as of :func:`is_made_of`.
    """
    if source.relays and item.is_relayed:
        return False
    return item.is_price or is_made_of(item, settings, source, feed, symbol)


def is_made_of(item: Dataset, settings: Settings, source: Source, feed: Feed, symbol: str) -> bool:
    """Whether derived series are made of the rows that a feed has of a symbol.

    Args:
        item: the feed's dataset.
        settings: name providers and venues.
        source: whose feed.
        feed: what it serves.
        symbol: canonical, ``*`` for the whole market.
    """
    if source.relays and item.is_relayed:
        return False
    named = _named_sources(item, settings, feed, symbol)
    if named and source.name not in named:
        return False
    if not item.by_venue:
        return True
    venues = [
        getattr(settings, setting)
        for setting in (item.primary_venue_setting, item.second_venue_setting)
        if setting is not None
    ]
    if item.primary_venue_setting is None:
        venues.append(home_venue(settings, feed.market, symbol))
    return feed.venue in venues


def tier(stream: Stream, common: Stamping, symbol: str | None = None) -> int:
    """1 for the series that the settings make the primary one, 3 from the archive, else 2.

    ``symbol`` is given for a row of a stream that tells all symbols.
    """
    if stream.from_archive:
        return ARCHIVE_TIER
    item = common.item
    if stream.source.relays and item.is_relayed:
        return 2
    of = symbol or stream.canonical or ""
    named = _named_sources(item, common.settings, stream.feed, of)
    if named and named[0] != stream.source.name:
        return 2
    if not item.by_venue:
        return 1
    settings = common.settings
    if item.primary_venue_setting is not None:
        return 1 if stream.venue == getattr(settings, item.primary_venue_setting) else 2
    home = home_venue(settings, stream.feed.market, of)
    return 1 if stream.venue == home else 2
