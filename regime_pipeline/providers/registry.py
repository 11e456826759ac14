"""Which source serves which dataset, and the parser of each endpoint.

A new provider is a module with ``ENDPOINTS`` and ``FEEDS`` and one line here.

``PARSERS`` maps ``provider/endpoint`` (the name a recorded payload of it has, without the trailing
number) to ``callable(bytes) -> DataFrame``. A parser is pure and either returns typed rows, each bad
one with its ``reason``, or raises a :class:`~regime_pipeline.providers.errors.ProviderError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from regime_pipeline.providers import (
    alternative_me,
    binance,
    binance_archive,
    binance_futures,
    coinglass,
    okx,
)
from regime_pipeline.providers.plan import Endpoint, Feed
from regime_pipeline.providers.wire import Context
from regime_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Source:
    """A provider as the settings know it.

    Attributes:
        name: name in ``Settings.sources`` and in the ``source`` column.
        url_setting: field of the settings that holds its base URL.
        feeds: what it serves.
        endpoints: every endpoint that has a parser.
        key_setting: field of the settings that holds its key, when it needs one.
        key_header: header that carries the key.
    """

    name: str
    url_setting: str
    feeds: tuple[Feed, ...]
    endpoints: tuple[Endpoint, ...]
    key_setting: str | None = None
    key_header: str | None = None


def _source(name: str, feeds: tuple[Feed, ...], endpoints: tuple[Endpoint, ...]) -> Source:
    return Source(name, f"{name}_api_url", feeds, endpoints)


ARCHIVE = binance_archive.PROVIDER
"""The bulk archive: asked after the others, for what they lack; its rows carry their names."""

SOURCES = MappingProxyType(
    {
        source.name: source
        for source in (
            _source("binance", binance.FEEDS, (binance.KLINES,)),
            _source("binance_us", binance.FEEDS_US, (binance.KLINES_US,)),
            _source("binance_futures", binance_futures.FEEDS, binance_futures.ENDPOINTS),
            _source("okx", okx.FEEDS, okx.ENDPOINTS),
            Source(
                "coinglass",
                "coinglass_api_url",
                coinglass.FEEDS,
                coinglass.ENDPOINTS,
                "coinglass_api_key",
                coinglass.KEY_HEADER,
            ),
            _source("alternative_me", alternative_me.FEEDS, alternative_me.ENDPOINTS),
            Source(
                ARCHIVE,
                "binance_archive_url",
                binance_archive.FEEDS,
                binance_archive.ENDPOINTS,
            ),
        )
    }
)
"""Every source by name, in order of preference."""

ENDPOINTS = MappingProxyType(
    {f"{e.provider}/{e.name}": e for source in SOURCES.values() for e in source.endpoints}
)
"""Every endpoint by ``provider/endpoint``."""


def _parser(endpoint: Endpoint) -> Callable[..., pd.DataFrame]:
    def parse(body: bytes, ctx: Context | None = None) -> pd.DataFrame:
        return endpoint.parse(body, ctx or Context())

    parse.__name__ = endpoint.name
    parse.__doc__ = endpoint.parse.__doc__
    return parse


PARSERS: MappingProxyType[str, Callable[..., pd.DataFrame]] = MappingProxyType(
    {key: _parser(endpoint) for key, endpoint in ENDPOINTS.items()}
)
"""``provider/endpoint`` -> ``callable(bytes, ctx=None) -> DataFrame``."""


def datasets() -> tuple[str, ...]:
    """Every dataset that some source serves."""
    return tuple(dict.fromkeys(f.dataset for s in SOURCES.values() for f in s.feeds))


def is_off(settings: Settings, name: str) -> bool:
    """Whether a source has no address and so takes no part."""
    return not getattr(settings, SOURCES[name].url_setting)


def sources_of(dataset: str) -> tuple[str, ...]:
    """The sources that serve a dataset, in order of preference."""
    return tuple(s.name for s in SOURCES.values() if any(f.dataset == dataset for f in s.feeds))
