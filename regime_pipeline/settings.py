"""Settings: the one typed place for symbols, venues, lookbacks, thresholds, base URLs and keys.

Everything can be set through the environment (or a ``.env`` file). Names used by the systems this
project replaces (``BINANCE_API_URL``, ``COINGLASS_API_KEY``, ``WEBHOOKS_CASCADE`` ...) keep working.
Secrets are ``SecretStr`` and are never printed. Does not belong here: reading data, any default that
stands in for missing data.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    Field,
    SecretStr,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from regime_pipeline import source_choice
from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.source_choice import AUTO, ChosenSources
from regime_pipeline.thresholds import (
    CascadeParams,
    CorrelationParams,
    FundingParams,
    FuturesParams,
    PairParams,
    Params,
    QualityParams,
    SignalParams,
    TimeframeParams,
    VolatilityParams,
    digest_of,
)

__all__ = [
    "CascadeParams",
    "CorrelationParams",
    "FundingParams",
    "FuturesParams",
    "PairParams",
    "Params",
    "QualityParams",
    "Settings",
    "SignalParams",
    "TimeframeParams",
    "VolatilityParams",
    "environment_name",
    "method_version",
]

DEFAULT_SYMBOLS = (
    "BTC/USDT",
    "ETH/USDT",
    "SOL/USDT",
    "ADA/USDT",
    "BNB/USDT",
    "XRP/USDT",
    "DOT/USDT",
    "LINK/USDT",
)
SYMBOL_PATTERN = re.compile(r"^[A-Z0-9]{1,20}/[A-Z0-9]{2,10}$")
_PLACEHOLDERS = {
    "changeme", "change_me", "change-me", "none", "null", "nil", "todo", "tbd", "xxx", "secret",
    "undefined", "placeholder", "key", "token", "api_key", "apikey", "example", "test",
}  # fmt: skip
_PLACEHOLDER = re.compile(
    r"(?i)^(<.*>|\$\{.*\}|\*+|x{3,}|\.{3,}|(your|insert|enter|replace)[-_ ].*|.*[-_]here)$"
)


_WEBHOOKS = "webhooks_"


class _Webhooks(PydanticBaseSettingsSource):
    """The variables ``WEBHOOKS_...`` of an environment, a file or a call, as the field ``webhooks``."""

    def __init__(
        self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        found: Mapping[str, Any] = {}
        if isinstance(source, EnvSettingsSource):
            found = source.env_vars
        elif isinstance(source, InitSettingsSource):
            found = source.init_kwargs
        named = {k.upper(): v for k, v in found.items() if k.lower().startswith(_WEBHOOKS)}
        self._found = {k: v for k, v in named.items() if v is not None}

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002 - the library's signature
        field_name: str,
    ) -> tuple[Any, str, bool]:
        """The variables, for their field; nothing for another."""
        return (self._found if field_name == "webhooks" else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The field's value, or nothing."""
        return {"webhooks": self._found} if self._found else {}


def urls_in(text: SecretStr) -> list[str]:
    """The URLs of a variable that may hold several, separated by commas or white space."""
    return [u for u in re.split(r"[\s,]+", text.get_secret_value()) if u]


def url_fault(url: str, schemes: tuple[str, ...] = ("https", "http")) -> str | None:
    """Why a URL cannot be called whoever is behind it, or None; the URL itself is not repeated."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has no valid port or host"
    if parts.scheme not in schemes:
        return f"does not begin with {' or '.join(f'{s}://' for s in schemes)}"
    if not parts.hostname or port == 0:
        return "has no valid port or host"
    if "@" in parts.netloc:
        return "carries user information; a receiver is told apart by its path or its signature"
    return None


def secret_fault(text: str) -> str | None:
    """Why a text is no signing secret, or None: strict base64 of 24 to 64 bytes after ``whsec_``."""
    key = text.removeprefix("whsec_").encode("ascii", "replace")
    try:
        decoded = base64.b64decode(key, validate=True)
    except binascii.Error:
        decoded = b""
    # decoding takes superfluous padding; whoever verifies elsewhere might not
    if 24 <= len(decoded) <= 64 and base64.b64encode(decoded) == key:
        return None
    return (
        "is no signing secret: it must be `whsec_` and 24 to 64 random bytes in base64. "
        'Make one with  echo "whsec_$(openssl rand -base64 32)"'
    )


def _env(*names: str) -> AliasChoices:
    return AliasChoices(*names, *(n.lower() for n in names))


def _real_secret(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value().strip():
        return None
    text = value.get_secret_value()
    if text != text.strip() or not (text.isprintable() and text.isascii()):
        raise ValueError("a key has white space or characters that no key has")
    if text.lower() in _PLACEHOLDERS or _PLACEHOLDER.match(text):
        raise ValueError("a key is still a placeholder; set the real one or leave it unset")
    return value


def _without_user(value: str) -> str:
    """Keys and texts are made of addresses, so that none may hold a password."""
    if "@" in urlsplit(value).netloc:
        raise ValueError(
            "an address must not hold a user and a password (user:password@); a provider takes its "
            "key in the variable of its own"
        )
    return value


def _blank_is_unset(value: str | None) -> str | None:
    return value.strip() or None if value is not None else None


Key = Annotated[SecretStr | None, AfterValidator(_real_secret)]
"""A secret; a blank one is none, a placeholder is refused."""
Address = Annotated[str, AfterValidator(_without_user)]
"""A base URL."""
OptionalAddress = Annotated[Address | None, AfterValidator(_blank_is_unset)]
"""A base URL that may be unset; a blank one is."""


def _provider_fields() -> dict[str, Any]:
    """Fields of the addresses and keys in :data:`~regime_pipeline.connections.CONNECTIONS`."""
    fields: dict[str, Any] = {}
    for row in CONNECTIONS.values():
        fields[row.url_setting] = (
            Address if row.url else OptionalAddress,
            Field(
                row.url,
                validation_alias=_env(*row.url_env),
                description=row.about or f"address of {row.name}",
            ),
        )
        if row.stream_setting:
            fields[row.stream_setting] = (
                Address,
                Field(
                    row.stream_url,
                    validation_alias=_env(row.stream_env),
                    description=f"address of the streams of {row.name}",
                ),
            )
        if row.key_setting:
            about = f"key of {row.name}"
            fields[row.key_setting] = (
                Key,
                Field(None, validation_alias=_env(*row.key_env), description=about),
            )
    return fields


if TYPE_CHECKING:
    _Providers = BaseSettings
else:
    _Providers = create_model("_Providers", __base__=BaseSettings, **_provider_fields())


class Settings(_Providers, ChosenSources):
    """All settings, read from the environment and ``.env`` (see ``docs/settings.md``)."""

    model_config = SettingsConfigDict(
        env_prefix="REGIME_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a refused key must not be repeated in a traceback
    )

    # where things live
    home: Path = Field(
        Path(".regime"), description="embedded database, landing store, reports, logs"
    )
    database_url: SecretStr | None = Field(
        None, description="any PostgreSQL 14+; unset: an embedded server under `home`"
    )
    landing_url: str | None = Field(None, description="fsspec URL; unset: `home`/landing")
    broker_url: SecretStr | None = Field(
        None,
        description="Redis that hands runs to workers of other machines; unset: there are none",
    )
    backup_dir: Path | None = Field(
        None,
        description="folder of backups, best on another disk; set, `regime heartbeat` names a missing one; "
        "unset: `home`/backups",
    )
    legacy_dir: Path | None = Field(
        None, description="folder of old signal files that the asset raw/legacy_signals reads"
    )
    origin: Literal["live", "simulated", "tape"] = Field(
        "live", description="what kind of data this database holds"
    )
    clock: str = Field(
        "system", description="`system`, or an ISO instant at which time stands still"
    )

    dagster_home: Path | None = Field(
        None,
        description="folder of another dagster.yaml (and workspace.yaml), for a deployment over machines; "
        "unset: the checkout's",
    )
    event_days: int = Field(
        30, ge=1, description="days after which a finished run's events go, but for the newest"
    )
    run_days: int = Field(90, ge=1, description="days after which a finished run goes as well")
    log_days: int = Field(30, ge=1, description="days for which the daily files of `logs` stay")
    fetch_log_days: int = Field(
        180,
        ge=30,
        description="days after which rows of the fetch log go that a later answer repeats",
    )

    # what is watched
    symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        DEFAULT_SYMBOLS, description="pairs, BASE/QUOTE with commas between"
    )
    start_date: date = Field(date(2019, 9, 1), description="first partition")
    compile_ahead: bool = Field(
        True, description="kernels that are not kept yet compile in a process beside fetching"
    )
    spot_venue: str = Field("binance", description="venue behind market.candles_1h, market=spot")
    perp_venue: str = Field("binance", description="venue behind every derivatives series")
    spot_venue_by_symbol: dict[str, str] = Field(
        default_factory=dict, description="symbols whose spot venue is another one, as JSON"
    )
    perp_venue_by_symbol: dict[str, str] = Field(
        default_factory=dict, description="symbols whose perpetual venue is another one, as JSON"
    )
    liquidation_source: str = Field(
        AUTO, description="provider of hourly liquidations; `auto`: Coinglass with its key, or OKX"
    )
    liquidation_venue: str = Field(AUTO, description="their exchange, or `aggregate` over several")
    liquidation_order_source: str = Field(AUTO, description="provider of single liquidation orders")
    open_interest_source: str = Field(
        AUTO, description="provider of open interest; `venue`: the perpetual's; `auto`: as above"
    )
    factor_interval: Literal["1h", "1d"] = Field(
        "1h",
        description="futures factors are made of hours, or Coinglass's days; of a tape's days if any",
    )
    liquidation_levels: Literal["off", "map"] = Field(
        "off",
        description="estimated prices of liquidations: Coinglass's map (its Professional plan), a request an "
        "hour and coin",
    )
    single_trades: bool = Field(
        False,
        description="page single trades of venues whose candles tell the taker's volumes too: for the "
        "large trades of market.trade_flow_1h, at some 12 requests an hour and symbol",
    )
    collect: Literal["auto", "on", "off"] = Field(
        "auto",
        description="the live collector. `regime ui` starts it unless `off`; `on`: forced closures come "
        "from its complete stream where no Coinglass key is set",
    )
    collect_venues: Annotated[tuple[str, ...], NoDecode] = Field(
        tuple(row.name for row in CONNECTIONS.values() if row.stream_url),
        description="providers whose streams are collected",
    )
    collect_channels: Annotated[
        tuple[Literal["closures", "bars", "trades", "books", "marks"], ...], NoDecode
    ] = Field(
        ("closures", "bars", "trades", "books", "marks"),
        min_length=1,
        description="kinds of streams that are collected; what is left out is asked for over HTTP as "
        "without a collector, but for closures of Bybit, which cannot be",
    )
    collect_spool_gb: float = Field(
        10.0,
        gt=0,
        description="disk that the collector's files may take; from four fifths on trades and books are "
        "left out, and told so, while forced closures and bars are kept",
        json_schema_extra={"unit": "GB"},
    )
    whale_source: str = Field("whale_alert", description="provider behind market.whale_flow_1h")
    sentiment_source_by_kind: dict[str, str] = Field(
        default_factory=lambda: {
            "social": "lunarcrush",
            "news": "sentiment",
            "trader": "sentiment",
        },
        description="the one provider behind each kind of sentiment in market.sentiment_1h",
    )
    sources: Annotated[tuple[str, ...], NoDecode] = Field(
        tuple(row.name for row in CONNECTIONS.values() if row.by_default),
        description="providers that are asked; leave one out to switch it off. One whose key or "
        "address is unset is off by itself, and the fetch log says so",
    )
    params: Params = Params()

    simulated_keys: Literal["all", "configured"] = Field(
        "all",
        description="simulated providers that have a key: `all`, or those whose own is `configured`",
    )

    # providers: their addresses and keys are fields too, one row each in ``connections``
    hyperliquid_archive_url: OptionalAddress = Field(
        None,
        description="folder with files of Hyperliquid's nodes (node_fills_by_block/hourly/DAY/HOUR.lz4): all "
        "of its forced closures; unset: not read",
    )
    dashboard_timeout: float = Field(
        30.0,
        gt=0,
        validation_alias=_env("DASHBOARD_TIMEOUT"),
        description="total time of one dashboard request",
        json_schema_extra={"unit": "s"},
    )

    # transport
    http_deadline_s: float = Field(20.0, gt=0, description="total time of one request")
    http_max_bytes: int = Field(64 * 2**20, gt=0, description="decoded bytes of one reply")
    http_attempts: int = Field(5, ge=1, description="tries of one request")
    http_concurrency_per_host: int = Field(4, ge=1, description="requests at once")

    # alerts
    webhooks: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="URLs of receivers by the environment variable `WEBHOOKS_...` that names them",
    )
    webhook_secret: Key = Field(
        None,
        description="`whsec_` and 24 to 64 random bytes in base64; unset: made once, kept in `home`",
    )
    previous_webhook_secret: Key = Field(
        None,
        description="the signing secret before it: while it is set, messages carry the signatures of "
        "both, so that receivers change over one by one",
    )
    alerts_file: Path | None = Field(
        None,
        description="TOML file of receivers with rules of their own (docs/alerts.md); unset: none",
    )
    ui_url: OptionalAddress = Field(
        None, description="where others reach the web UI; alerts link to it; unset: no link"
    )
    api_public_url: OptionalAddress = Field(
        None,
        description="where others reach `regime serve`: alerts link to their event there, and agents' "
        "actions call it; unset: no such link",
    )
    api_cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="pages of other hosts that may read the API, as https://host.example with commas "
        "between; none by default",
    )
    heartbeat_url: Key = Field(
        None,
        description="`regime heartbeat` fetches it while all is well: who watches it misses us when "
        "this machine is gone; unset: nothing is fetched",
    )
    webhook_deadline_s: float = Field(5.0, gt=0, description="total time of one delivery attempt")
    webhook_allow_loopback: bool = Field(
        True, description="whether a receiver on this machine may be used, over plain http too"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Beside the fields, every variable ``WEBHOOKS_...`` is read, whatever types there are."""
        return (
            _Webhooks(settings_cls, init_settings),
            init_settings,
            _Webhooks(settings_cls, env_settings),
            env_settings,
            _Webhooks(settings_cls, dotenv_settings),
            dotenv_settings,
            file_secret_settings,
        )

    @field_validator("webhooks")
    @classmethod
    def _urls_can_be_called(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for variable, text in value.items():
            for number, url in enumerate(urls_in(text), start=1):
                fault = url_fault(url)
                if fault:
                    raise ValueError(f"{variable}: URL {number} {fault}")
        return value

    @field_validator(
        "symbols",
        "sources",
        "api_cors_origins",
        "collect_venues",
        "collect_channels",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("symbols")
    @classmethod
    def _canonical(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        bad = [s for s in value if not SYMBOL_PATTERN.match(s)]
        if bad or not value:
            raise ValueError(f"symbols are written BASE/QUOTE, as BTC/USDT; not understood: {bad}")
        return tuple(dict.fromkeys(value))

    @field_validator("webhook_secret", "previous_webhook_secret")
    @classmethod
    def _signs(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        fault = None if value is None else secret_fault(value.get_secret_value())
        if fault:
            raise ValueError(f"{environment_name(str(info.field_name))} {fault}")
        return value

    _choose_sources = model_validator(mode="after")(source_choice.choose)

    @property
    def landing(self) -> str:
        """Where replies are kept: a folder, or the URL of an object store."""
        return self.landing_url or str((self.home / "landing").absolute())

    @property
    def landing_folder(self) -> Path | None:
        """The folder of replies; None where an object store keeps them."""
        return None if "://" in self.landing else Path(self.landing)

    @property
    def universe(self) -> tuple[str, ...]:
        """The configured symbols, sorted: the columns of every panel."""
        return tuple(sorted(self.symbols))

    @cached_property
    def params_id(self) -> str:
        """Short digest of every threshold, part of ``method_version``."""
        return hashlib.sha256(self.params.model_dump_json().encode()).hexdigest()[:8]

    def spot_venue_of(self, symbol: str) -> str:
        """The one spot venue whose candles stand behind ``symbol``."""
        return self.spot_venue_by_symbol.get(symbol, self.spot_venue)

    def url_of(self, provider: str) -> str | None:
        """The base URL of a provider as it is set; null without one."""
        return cast("str | None", getattr(self, CONNECTIONS[provider].url_setting))

    def perp_venue_of(self, symbol: str) -> str:
        """The one perpetual venue whose series stand behind ``symbol``."""
        return self.perp_venue_by_symbol.get(symbol, self.perp_venue)

    @property
    def collected(self) -> tuple[str, ...]:
        """The providers whose forced closures are collected, as far as anything depends on it."""
        is_on = self.collect == "on" and "closures" in self.collect_channels
        return self.collect_venues if is_on else ()

    @property
    def wired_series(self) -> tuple[str, ...]:
        """Series that need a provider of their own and have one: kinds of mood, ``whale_flow``."""
        behind = {**self.sentiment_source_by_kind, "whale_flow": self.whale_source}
        return tuple(name for name, provider in behind.items() if self.can_ask(provider))

    @property
    def perp_venues(self) -> dict[str, str]:
        """Symbol to the venue of its derivatives series."""
        return {s: self.perp_venue_of(s) for s in self.universe}

    @property
    def candle_venues(self) -> dict[str, dict[str, str]]:
        """Market to symbol to the venue of its candles."""
        spot = {s: self.spot_venue_of(s) for s in self.universe}
        return {"spot": spot, "perp": self.perp_venues}


def method_version(name: str, params: BaseModel | None = None) -> str:
    """``name`` plus a digest of the thresholds, as ``volatility/1+3f0c9a1e``.

    Raise the number in ``name`` when a definition changes; a changed threshold shows by itself.
    """
    if params is None:
        return name
    return f"{name}+{digest_of(params)}"


def environment_names(field: str) -> tuple[str, ...]:
    """The variables that set a field of :class:`Settings`, the one to write first."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(dict.fromkeys(str(name).upper() for name in alias.choices))
    return (f"REGIME_{field.upper()}",)


def environment_name(field: str) -> str:
    """The variable of the environment that sets a field of :class:`Settings`, as ``REGIME_HOME``."""
    return environment_names(field)[0]


def changed(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """The same settings with some fields replaced, validated as if they came from the environment."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings(**(given | dict(overrides)))
