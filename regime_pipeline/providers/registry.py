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
from pydantic import SecretStr

from regime_pipeline.providers import (
    alternative_me,
    coinapi,
    dashboard,
    error_bodies,
    liquidation_service,
    lunarcrush,
    news,
    sentiment_service,
    whale_alert,
)
from regime_pipeline.providers.binance import archive as binance_archive
from regime_pipeline.providers.binance import futures as binance_futures
from regime_pipeline.providers.binance import spot as binance
from regime_pipeline.providers.binance import streams as binance_streams
from regime_pipeline.providers.bybit import series as bybit
from regime_pipeline.providers.bybit import streams as bybit_streams
from regime_pipeline.providers.coinglass import series as coinglass
from regime_pipeline.providers.decode import Context, Parser
from regime_pipeline.providers.errors import ContractViolation, ProviderError
from regime_pipeline.providers.okx import market as okx_market
from regime_pipeline.providers.okx import series as okx
from regime_pipeline.providers.okx import streams as okx_streams
from regime_pipeline.providers.plan import Endpoint, Feed
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
        key_prefix: what stands before the key in the header.
        key_param: query parameter that carries the key, for a provider that takes it nowhere else.
        deadline_setting: field of the settings with the time its requests may take.
        whole_url: its paths are appended to the address exactly as it is configured.
        relays: passes on what venues say themselves, so that it is never their first teller.
    """

    name: str
    url_setting: str
    feeds: tuple[Feed, ...]
    endpoints: tuple[Endpoint, ...]
    key_setting: str | None = None
    key_header: str | None = None
    key_prefix: str = ""
    key_param: str | None = None
    deadline_setting: str | None = None
    whole_url: bool = False
    relays: bool = False

    def keyed(self, settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
        """The headers and the query parameters that carry the configured key, if there is one."""
        key: SecretStr | None = getattr(settings, self.key_setting) if self.key_setting else None
        if key is None:
            return {}, {}
        secret = key.get_secret_value()
        headers = {self.key_header: self.key_prefix + secret} if self.key_header else {}
        return headers, {self.key_param: secret} if self.key_param else {}


def _source(name: str, feeds: tuple[Feed, ...], endpoints: tuple[Endpoint, ...]) -> Source:
    return Source(name, f"{name}_api_url", feeds, endpoints)


ARCHIVE = binance_archive.PROVIDER
"""The bulk archive: asked after the others, for what they lack; its rows carry their names."""

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
                relays=True,
            ),
            _source("alternative_me", alternative_me.FEEDS, alternative_me.ENDPOINTS),
            Source(
                "coinapi",
                "coinapi_api_url",
                coinapi.FEEDS,
                coinapi.ENDPOINTS,
                "coinapi_key",
                coinapi.KEY_HEADER,
                relays=True,
            ),
            Source(
                "lunarcrush",
                "lunarcrush_api_url",
                lunarcrush.FEEDS,
                lunarcrush.ENDPOINTS,
                "lunarcrush_api_key",
                lunarcrush.KEY_HEADER,
                key_prefix="Bearer ",
                whole_url=True,
            ),
            Source(
                "whale_alert",
                "whale_alert_api_url",
                whale_alert.FEEDS,
                whale_alert.ENDPOINTS,
                "whale_alert_api_key",
                whale_alert.KEY_HEADER,
            ),
            Source(
                "sentiment",
                "sentiment_api_url",
                sentiment_service.FEEDS,
                sentiment_service.ENDPOINTS,
                "sentiment_api_key",
                sentiment_service.KEY_HEADER,
                key_prefix="Bearer ",
                whole_url=True,
            ),
            Source(
                "liquidation_service",
                "liquidation_api_url",
                liquidation_service.FEEDS,
                liquidation_service.ENDPOINTS,
                "liquidation_api_key",
                liquidation_service.KEY_HEADER,
                key_prefix="Bearer ",
                whole_url=True,
            ),
            Source(
                "news",
                "news_api_url",
                news.FEEDS,
                news.ENDPOINTS,
                "news_api_token",
                key_param=news.KEY_PARAM,
                whole_url=True,
            ),
            Source(
                "dashboard",
                "dashboard_url",
                dashboard.FEEDS,
                dashboard.ENDPOINTS,
                "dashboard_api_key",
                dashboard.KEY_HEADER,
                key_prefix="Bearer ",
                deadline_setting="dashboard_timeout",
                whole_url=True,
            ),
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


_ERRORS = "errors/"


def _parser(name: str, read: Parser) -> Callable[..., pd.DataFrame]:
    def parse(body: bytes, ctx: Context | None = None) -> pd.DataFrame:
        try:
            return read(body, ctx or Context())
        except ProviderError:
            raise
        except Exception as error:
            kind = type(error).__name__
            raise ContractViolation(f"the reply cannot be read: {kind}") from error

    parse.__name__ = name
    parse.__doc__ = read.__doc__
    return parse


PARSERS: MappingProxyType[str, Callable[..., pd.DataFrame]] = MappingProxyType(
    {
        **{key: _parser(endpoint.name, endpoint.parse) for key, endpoint in ENDPOINTS.items()},
        **{key: _parser(key.split("/")[1], read) for key, read in MESSAGES.items()},
        **{f"{_ERRORS}{name}": error_bodies.raiser(name) for name in error_bodies.NAMES},
    }
)
"""``provider/endpoint`` -> ``callable(bytes, ctx=None) -> DataFrame``; ``errors/...`` only raise."""


def parser_of(name: str) -> Callable[..., pd.DataFrame]:
    """The parser of ``provider/endpoint``; any ``errors/<provider>_...`` reads an error body of it.

    Raises:
        KeyError: there is none.
    """
    if name not in PARSERS and name.startswith(_ERRORS):
        return error_bodies.raiser(name.removeprefix(_ERRORS))
    return PARSERS[name]


def datasets() -> tuple[str, ...]:
    """Every dataset that some source serves."""
    return tuple(dict.fromkeys(f.dataset for s in SOURCES.values() for f in s.feeds))


def is_left_out(settings: Settings, name: str) -> bool:
    """Whether a source takes no part at all: the archive without an address.

    It only fills what the others lack, so that nobody misses it; another source that cannot be
    asked is off, and the fetch log says so.
    """
    return name == ARCHIVE and not getattr(settings, SOURCES[name].url_setting)


def sources_of(dataset: str) -> tuple[str, ...]:
    """The sources that serve a dataset, in order of preference."""
    return tuple(s.name for s in SOURCES.values() if any(f.dataset == dataset for f in s.feeds))
