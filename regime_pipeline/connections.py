"""Where each provider is reached: its address and key as settings, and its path in the simulator.

One row a provider, in order of preference. Belongs here: what the settings, the simulator and the
command line must know of a provider without importing one. Everything else about it (feeds, budgets,
error codes, the probe) stands in its module or folder in ``providers/``, which a row names. The names
of variables are a contract with those who run this: none is ever taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a provider is reached.

    Attributes:
        name: name in ``Settings.sources`` and in the ``source`` column.
        module: module or folder in ``providers/`` that declares the source; empty: as the name.
        url: default base URL; None: not asked until one is set.
        url_env: variables that set the base URL, the first one is written.
        url_field: field of the settings with the base URL; empty: the first variable in lower case.
        key_env: variables that set the key, the first one is written; empty: no key is needed.
        by_default: whether it is asked unless ``REGIME_SOURCES`` says otherwise.
        simulator: module in ``simulator/`` that answers for it; empty: as ``module``.
        prefix: path below which the simulator answers for it; empty: as the name.
        about: what stands beside the field in a list of settings.
        stream_url: default address of its WebSocket streams; None: nothing is collected from it.
        stream_env: variable that sets it.
    """

    name: str
    module: str = ""
    url: str | None
    url_env: tuple[str, ...]
    url_field: str = ""
    key_env: tuple[str, ...] = ()
    by_default: bool = True
    simulator: str = ""
    prefix: str = ""
    about: str | None = None
    stream_url: str | None = None
    stream_env: str = ""

    @property
    def folder(self) -> str:
        """The module or folder in ``providers/``."""
        return self.module or self.name

    @property
    def url_setting(self) -> str:
        """The field of the settings that holds the base URL."""
        return self.url_field or self.url_env[0].lower()

    @property
    def stream_setting(self) -> str | None:
        """The field of the settings with the address of its streams; None where it has none."""
        return self.stream_env.lower() or None

    @property
    def key_setting(self) -> str | None:
        """The field of the settings that holds the key; None where none is needed."""
        return self.key_env[0].lower() if self.key_env else None

    @property
    def simulated_by(self) -> str:
        """The module in ``simulator/``."""
        return self.simulator or self.folder

    @property
    def simulated_at(self) -> str:
        """The first part of the simulator's paths, without slashes."""
        return self.prefix or self.name


_ROWS = (
    Connection(
        name="binance",
        url="https://api.binance.com",
        url_env=("BINANCE_API_URL", "REGIME_BINANCE_API_URL"),
        stream_url="wss://stream.binance.com:9443",
        stream_env="BINANCE_WS_URL",
    ),
    Connection(
        name="binance_us",
        module="binance",
        url="https://api.binance.us",
        url_env=("BINANCE_US_API_URL",),
        by_default=False,
    ),
    Connection(
        name="binance_futures",
        module="binance",
        url="https://fapi.binance.com",
        url_env=("BINANCE_FUTURES_API_URL",),
        stream_url="wss://fstream.binance.com",
        stream_env="BINANCE_FUTURES_WS_URL",
    ),
    Connection(
        name="okx",
        url="https://www.okx.com",
        url_env=("OKX_API_URL",),
        stream_url="wss://ws.okx.com:8443",
        stream_env="OKX_WS_URL",
    ),
    Connection(
        name="bybit",
        url="https://api.bybit.com",
        url_env=("BYBIT_API_URL",),
        stream_url="wss://stream.bybit.com",
        stream_env="BYBIT_WS_URL",
    ),
    Connection(
        name="hyperliquid",
        url="https://api.hyperliquid.xyz",
        url_env=("HYPERLIQUID_API_URL",),
        by_default=False,
    ),
    Connection(
        name="deribit",
        url="https://www.deribit.com",
        url_env=("DERIBIT_API_URL",),
        by_default=False,
    ),
    Connection(
        name="coinglass",
        url="https://open-api-v4.coinglass.com",
        url_env=("COINGLASS_API_URL",),
        key_env=("COINGLASS_API_KEY",),
    ),
    Connection(
        name="alternative_me",
        url="https://api.alternative.me",
        url_env=("ALTERNATIVE_ME_API_URL",),
    ),
    Connection(
        name="coinapi",
        url="https://rest.coinapi.io",
        url_env=("COINAPI_URL", "COINAPI_API_URL"),
        url_field="coinapi_api_url",
        key_env=("COINAPI_KEY", "COINAPI_API_KEY"),
    ),
    Connection(
        name="lunarcrush",
        url="https://lunarcrush.com/api4",
        url_env=("LUNARCRUSH_API_URL",),
        key_env=("LUNARCRUSH_API_KEY",),
    ),
    Connection(
        name="whale_alert",
        url="https://api.whale-alert.io",
        url_env=("WHALE_ALERT_API_URL",),
        key_env=("WHALE_ALERT_API_KEY",),
    ),
    Connection(
        name="sentiment",
        module="sentiment_service",
        url=None,
        url_env=("SENTIMENT_API_URL",),
        key_env=("SENTIMENT_API_KEY",),
        simulator="services",
    ),
    Connection(
        name="liquidation_service",
        url=None,
        url_env=("LIQUIDATION_API_URL",),
        key_env=("LIQUIDATION_API_KEY",),
        simulator="services",
    ),
    Connection(
        name="news",
        url="https://cryptopanic.com/api/developer/v2",
        url_env=("NEWS_API_URL", "CRYPTOPANIC_API_URL"),
        key_env=("NEWS_API_TOKEN", "CRYPTOPANIC_API_TOKEN"),
        simulator="services",
    ),
    Connection(
        name="dashboard",
        url=None,
        url_env=("DASHBOARD_URL",),
        key_env=("DASHBOARD_API_KEY",),
        simulator="services",
    ),
    Connection(
        name="binance_archive",
        module="binance",
        url=None,
        url_env=("REGIME_BINANCE_ARCHIVE_URL",),
        url_field="binance_archive_url",
        simulator="archive",
        prefix="archive",
        about="Binance's bulk archive: https://data.binance.vision, or a folder laid out like it; "
        "unset: not used",
    ),
)

CONNECTIONS = MappingProxyType({row.name: row for row in _ROWS})
"""Every provider by name, in order of preference."""
