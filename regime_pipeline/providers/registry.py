"""Which source serves which dataset, and the parser of each endpoint.

A provider is a row of ``connections`` and the module or folder that it names, which declares
``SOURCES``; nothing is listed here.

``PARSERS`` maps ``provider/endpoint`` (the name a recorded payload of it has, without the trailing
number) to ``callable(bytes) -> DataFrame``. A parser is pure and either returns typed rows, each bad
one with its ``reason``, or raises a :class:`~regime_pipeline.providers.errors.ProviderError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import cast

import pandas as pd

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.providers import error_bodies
from regime_pipeline.providers.binance.archive import PROVIDER as ARCHIVE
from regime_pipeline.providers.errors import ContractViolation, ProviderError
from regime_pipeline.providers.readings import Context, Parser
from regime_pipeline.providers.source import Source
from regime_pipeline.settings import Settings


def _declared(folder: str) -> tuple[Source, ...]:
    """The sources that a module of this package declares, or the ``source`` module of a folder."""
    module = import_module(f"{__package__}.{folder}")
    if hasattr(module, "__path__"):
        module = import_module(f"{__package__}.{folder}.source")
    return cast("tuple[Source, ...]", module.SOURCES)


_FOUND = {s.name: s for f in {c.folder: None for c in CONNECTIONS.values()} for s in _declared(f)}
SOURCES: Mapping[str, Source] = MappingProxyType({name: _FOUND[name] for name in CONNECTIONS})
"""Every source by name, in order of preference."""

ENDPOINTS = MappingProxyType(
    {f"{e.provider}/{e.name}": e for source in SOURCES.values() for e in source.endpoints}
)
"""Every endpoint by ``provider/endpoint``."""

MESSAGES: Mapping[str, Parser] = MappingProxyType(
    {f"{s.name}/{name}": parse for s in SOURCES.values() for name, parse in s.messages.items()}
)
"""What is read without being asked for at a path: stream messages, and endpoints under other names."""
_ERROR_RULES = {s.name: s.errors for s in SOURCES.values()}
_ERROR_BODIES = tuple(f"{s.name}_{body}" for s in SOURCES.values() for body in s.error_bodies)


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
        **{f"{_ERRORS}{name}": error_bodies.raiser(name, _ERROR_RULES) for name in _ERROR_BODIES},
    }
)
"""``provider/endpoint`` -> ``callable(bytes, ctx=None) -> DataFrame``; ``errors/...`` only raise."""


def parser_of(name: str) -> Callable[..., pd.DataFrame]:
    """The parser of ``provider/endpoint``; any ``errors/<provider>_...`` reads an error body of it.

    Raises:
        KeyError: there is none.
    """
    if name not in PARSERS and name.startswith(_ERRORS):
        return error_bodies.raiser(name.removeprefix(_ERRORS), _ERROR_RULES)
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
