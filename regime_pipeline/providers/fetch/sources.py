"""Which sources are asked for a dataset, at which address, and why one cannot be asked.

Does not belong here: what a source serves (its own module), asking.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.providers.errors import NoSourceError
from regime_pipeline.providers.registry import SOURCES, is_left_out, sources_of
from regime_pipeline.providers.source import Feed, Source
from regime_pipeline.settings import Settings, environment_name

_SUFFIX = re.compile(r"/(api/v\d+|fapi/v\d+|futures/data|fng|api|v\d+)/*$")


def base_url(settings: Settings, source: Source) -> str:
    """The base URL of a source, without the version suffix that older configurations carry.

    A service whose paths are ours to append to whatever its address is keeps the address whole.
    Empty when no address is set.
    """
    address = str(getattr(settings, source.url_setting) or "").rstrip("/")
    return address if source.whole_url else _SUFFIX.sub("", address).rstrip("/")


def off_reason(settings: Settings, source: Source) -> str | None:
    """Why a configured source cannot be asked: no address or no key; None when it can."""
    if not getattr(settings, source.url_setting):
        return f"off: no {source.url_variable} is set"
    if source.key_setting is not None and getattr(settings, source.key_setting) is None:
        return f"off: no {source.key_variable} is set"
    return None


def not_asked(settings: Settings, feed: Feed) -> str | None:
    """Why a feed of a source that can be asked is left alone; None when it is not."""
    if feed.in_candles and not settings.single_trades:
        return (
            "off: single trades are not paged (REGIME_SINGLE_TRADES); the candles tell the volumes"
        )
    if feed.files is not None and not getattr(settings, feed.folder):
        return f"off: no {environment_name(feed.folder)} is set"
    wanted = DATASETS[feed.dataset].wanted_where
    if wanted is not None and getattr(settings, wanted[0]) != wanted[1]:
        return f"off: read only where {environment_name(wanted[0])} is {wanted[1]}"
    if feed.summed and settings.liquidation_source != feed.endpoint.provider:
        return (
            "off: single closures are summed here only where liquidations come from this source "
            "(REGIME_LIQUIDATION_SOURCE)"
        )
    return None


def effective_source(settings: Settings, source: Source) -> Source:
    """The source that really answers: Binance's address may be set to Binance.US."""
    host = urlsplit(base_url(settings, source)).hostname or ""
    if source.name == "binance" and host.endswith("binance.us"):
        return SOURCES["binance_us"].at_address_of(source)
    return source


def chosen_sources(
    dataset: str, settings: Settings, sources: Sequence[str] | None
) -> tuple[Source, ...]:
    """The configured sources that serve a dataset.

    Of an optional dataset nobody may be configured to serve it; then there are none.

    Raises:
        ValueError: an unknown dataset or source name.
        NoSourceError: none of them serves a dataset that is not optional.
    """
    unknown = [s for s in (*(sources or ()), *settings.sources) if s not in SOURCES]
    if unknown:
        raise ValueError(f"unknown sources {unknown}; there are {list(SOURCES)}")
    serving = sources_of(dataset)
    if not serving:
        raise ValueError(f"unknown dataset {dataset!r}")
    wanted = [
        s
        for s in settings.sources
        if s in serving and (sources is None or s in sources) and not is_left_out(settings, s)
    ]
    if not wanted and DATASETS[dataset].is_optional and sources is None:
        return ()
    if not wanted:
        asked = "configured" if sources is None else "asked for and configured"
        raise NoSourceError(f"{dataset}: none of {list(serving)} is {asked}")
    found: dict[str, Source] = {}
    for name in wanted:
        real = effective_source(settings, SOURCES[name])
        found.setdefault(real.name, real)
    return tuple(found.values())


def home_venue(settings: Settings, market: str, symbol: str) -> str:
    """The venue whose series of a market stands behind a symbol."""
    return settings.spot_venue_of(symbol) if market == "spot" else settings.perp_venue_of(symbol)
