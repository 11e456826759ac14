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
    binance_futures,
    binance_streams,
    bybit,
    bybit_streams,
    coinglass,
    okx,
    okx_market,
    okx_streams,
)
from regime_pipeline.providers.errors import ENVELOPES, ContractViolation
from regime_pipeline.providers.plan import Endpoint, Feed
from regime_pipeline.providers.wire import Context, Parser, document


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


SOURCES = MappingProxyType(
    {
        source.name: source
        for source in (
            _source("binance", binance.FEEDS, binance.ENDPOINTS),
            _source("binance_us", binance.FEEDS_US, binance.ENDPOINTS_US),
            _source("binance_futures", binance_futures.FEEDS, binance_futures.ENDPOINTS),
            _source("okx", okx.FEEDS, okx.ENDPOINTS),
            _source("bybit", bybit.FEEDS, bybit.ENDPOINTS),
            Source(
                "coinglass",
                "coinglass_api_url",
                coinglass.FEEDS,
                coinglass.ENDPOINTS,
                "coinglass_api_key",
                coinglass.KEY_HEADER,
            ),
            _source("alternative_me", alternative_me.FEEDS, alternative_me.ENDPOINTS),
        )
    }
)
"""Every source by name, in order of preference."""

ENDPOINTS = MappingProxyType(
    {f"{e.provider}/{e.name}": e for source in SOURCES.values() for e in source.endpoints}
)
"""Every endpoint by ``provider/endpoint``."""


_GROUPS: tuple[tuple[str, dict[str, Parser]], ...] = (
    *binance_streams.MESSAGES.items(),
    ("bybit", bybit_streams.MESSAGES),
    ("bybit", {"RETIRED_v2_public_symbols": bybit.parse_retired}),
    ("okx", okx_streams.MESSAGES),
    ("okx", okx_market.RUBIK_RECORDED),
)
MESSAGES: MappingProxyType[str, Parser] = MappingProxyType(
    {f"{provider}/{name}": parse for provider, group in _GROUPS for name, parse in group.items()}
)
"""What is read without being asked for at a path: stream messages, and endpoints under other names."""


def _parser(name: str, read: Parser) -> Callable[..., pd.DataFrame]:
    def parse(body: bytes, ctx: Context | None = None) -> pd.DataFrame:
        return read(body, ctx or Context())

    parse.__name__ = name
    parse.__doc__ = read.__doc__
    return parse


PARSERS: MappingProxyType[str, Callable[..., pd.DataFrame]] = MappingProxyType(
    {
        **{key: _parser(endpoint.name, endpoint.parse) for key, endpoint in ENDPOINTS.items()},
        **{key: _parser(key.split("/")[1], read) for key, read in MESSAGES.items()},
    }
)
"""``provider/endpoint`` -> ``callable(bytes, ctx=None) -> DataFrame``."""

_ERRORS = "errors/"


def parser_of(name: str) -> Callable[..., pd.DataFrame]:
    """The parser of ``provider/endpoint``; ``errors/provider...`` reads an error body of it.

    Raises:
        KeyError: there is none.
    """
    if name.startswith(_ERRORS):
        body_of = name.removeprefix(_ERRORS)
        fitting = [s for s in ENVELOPES if body_of == s or body_of.startswith(f"{s}_")]
        if fitting:
            return _error_of(max(fitting, key=len))
    return PARSERS[name]


def _error_of(provider: str) -> Callable[..., pd.DataFrame]:
    def parse(body: bytes, ctx: Context | None = None) -> pd.DataFrame:  # noqa: ARG001
        document(body, provider)
        raise ContractViolation("the body reports no error")

    return parse


def datasets() -> tuple[str, ...]:
    """Every dataset that some source serves."""
    return tuple(dict.fromkeys(f.dataset for s in SOURCES.values() for f in s.feeds))


def sources_of(dataset: str) -> tuple[str, ...]:
    """The sources that serve a dataset, in order of preference."""
    return tuple(s.name for s in SOURCES.values() if any(f.dataset == dataset for f in s.feeds))
