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
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
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
from regime_pipeline.source_choice import AUTO, VENUE, Choice

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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CascadeParams(_Section):
    """Liquidation cascades."""

    cascade_threshold_usd: float = Field(
        500_000.0, gt=0, description="T of the severity bands, USD"
    )
    long_dominance_frac: float = Field(0.60, gt=0.5, lt=1)
    short_dominance_frac: float = Field(0.40, gt=0, lt=0.5)
    min_events_for_dominance: int = 5


class FundingParams(_Section):
    """Funding anomalies."""

    anomaly_z_threshold: float = Field(2.0, gt=0)
    extreme_z_threshold: float = Field(3.0, gt=0)
    rearm_z: float = Field(1.5, gt=0)
    scale_floor_8h: float = Field(
        0.5e-4, gt=0, description="floor of the z scale, fraction per 8 h"
    )


class VolatilityParams(_Section):
    """Volatility regimes."""

    borders: tuple[float, float, float] = (1.0, 1.5, 2.5)
    risk_multipliers: tuple[float, float, float, float] = (0.7, 1.2, 1.8, 2.5)
    hysteresis_frac: float = Field(0.05, ge=0, lt=0.5)
    confirmations: int = Field(2, ge=1)
    stable_threshold: float = Field(
        0.01, gt=0, description="absolute 24 h volatility below which abs_stable holds"
    )
    cooldown_hours: int = 3


class TimeframeParams(_Section):
    """Multi-timeframe regimes."""

    trend_z_min: float = 1.0
    heat_min: float = 60.0
    volume_z_min: float = 0.5
    capitulation_volume_z: float = 1.5
    chop_efficiency_max: float = 0.3
    confirm_agreement: int = 3


class CorrelationParams(_Section):
    """Correlations and their breaks."""

    break_rel_drop: float = 0.5
    base_min: float = 0.3
    p_break_max: float = 0.05
    end_rel_drop: float = 0.35
    rise_abs_change: float = 0.3


class PairParams(_Section):
    """Pair signals."""

    entry_z: float = Field(2.0, gt=0, description="|spread z| from which a pair is signalled")


class FuturesParams(_Section):
    """The 8-factor futures score. Weights are integer percent."""

    weights_pct: dict[str, int] = Field(
        default_factory=lambda: {
            "liquidations": 20,
            "funding": 15,
            "momentum": 15,
            "long_short": 15,
            "smart_money": 10,
            "oi_trend": 10,
            "social": 10,
            "fear_greed": 5,
        }
    )
    long_threshold: float = 65.0
    short_threshold: float = 35.0
    min_coverage_pct: int = 70


class QualityParams(_Section):
    """Data-quality checks."""

    complete_frac: float = Field(0.99, gt=0, le=1, description="DQ03: share of a day's hours")
    complete_block_frac: float = Field(0.90, gt=0, le=1, description="DQ03: below it BLOCK")
    complete_gap_hours: int = Field(2, ge=0, description="DQ03: longest gap, h")
    jump_mads: float = Field(10.0, gt=0, description="DQ05: times 1.4826 MAD of 30 d")
    jump_frac: float = Field(0.10, gt=0, description="DQ05: least |log return| of a jump")
    confirm_frac: float = Field(0.01, gt=0, description="DQ05: how near another series must be")
    impossible_jump_frac: float = Field(
        0.5, gt=0, description="DQ05: |log return| withheld even where nobody else has the hour"
    )
    venue_gap_frac: float = Field(0.005, gt=0, description="DQ07: from the median of 3 and more")
    two_venue_gap_frac: float = Field(0.01, gt=0, description="DQ07: of two venues")
    future_s: float = Field(
        5.0, ge=0, description="DQ08: seconds a row may be ahead of its storing"
    )
    bar_price_frac: float = Field(1e-6, gt=0, description="DQ09")
    bar_volume_frac: float = Field(1e-3, gt=0, description="DQ09")
    funding_caps: dict[str, float] = Field(
        default_factory=lambda: {"binance": 0.03, "okx": 0.03, "bybit": 0.04},
        description="DQ10: largest |rate| of a print by venue, fraction",
    )
    funding_cap_elsewhere: float = Field(0.04, gt=0, description="DQ10: venues not named")
    liquidation_usd_frac: float = Field(
        0.01, gt=0, description="DQ11: USD against price x quantity"
    )
    drift_psi: float = Field(0.25, gt=0, description="DQ13")
    drift_level_ratio: float = Field(
        3.0, gt=1, description="DQ13: a day's median open interest over that of 30 days"
    )
    drift_volume_ratio: float = Field(10.0, gt=1, description="DQ13: the same for volumes")
    drift_count_z: float = Field(4.0, gt=0, description="DQ13")
    restated_price_frac: float = Field(1e-4, gt=0, description="DQ14: 1 bp")
    restated_volume_frac: float = Field(1e-2, gt=0, description="DQ14")


class Params(_Section):
    """Every threshold of the derived layers; a change of any value changes ``params_id``."""

    cascades: CascadeParams = CascadeParams()
    funding: FundingParams = FundingParams()
    volatility: VolatilityParams = VolatilityParams()
    timeframes: TimeframeParams = TimeframeParams()
    correlation: CorrelationParams = CorrelationParams()
    pairs: PairParams = PairParams()
    futures: FuturesParams = FuturesParams()
    quality: QualityParams = QualityParams()


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


def _url_fault(url: str) -> str | None:
    """Why a URL cannot be called whoever is behind it, or None; the URL itself is not repeated."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has no valid port or host"
    if parts.scheme not in ("http", "https"):
        return "does not begin with https:// or http://"
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
            Field(row.url, validation_alias=_env(*row.url_env), description=row.about),
        )
        if row.key_setting:
            fields[row.key_setting] = (Key, Field(None, validation_alias=_env(*row.key_env)))
    return fields


if TYPE_CHECKING:
    _Providers = BaseSettings
else:
    _Providers = create_model("_Providers", __base__=BaseSettings, **_provider_fields())


class Settings(_Providers):
    """All settings, read from the environment and ``.env`` (see ``docs/operate.md``)."""

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
    legacy_dir: Path | None = Field(
        None, description="folder of old signal files that the asset raw/legacy_signals reads"
    )
    origin: Literal["live", "simulated", "tape"] = Field(
        "live", description="what kind of data this database holds"
    )
    clock: str = Field(
        "system", description="`system`, or an ISO instant at which time stands still"
    )

    event_days: int = Field(
        30, ge=1, description="days after which a finished run's events go, but for the newest"
    )
    run_days: int = Field(90, ge=1, description="days after which a finished run goes as well")

    # what is watched
    symbols: Annotated[tuple[str, ...], NoDecode] = DEFAULT_SYMBOLS
    start_date: date = Field(date(2019, 9, 1), description="first partition")
    compile_ahead: bool = Field(
        True, description="kernels that are not kept yet compile in a process beside fetching"
    )
    spot_venue: str = Field("binance", description="venue behind market.candles_1h, market=spot")
    perp_venue: str = Field("binance", description="venue behind every derivatives series")
    spot_venue_by_symbol: dict[str, str] = Field(default_factory=dict)
    perp_venue_by_symbol: dict[str, str] = Field(default_factory=dict)
    liquidation_source: str = Field(
        AUTO,
        description="provider of hourly liquidations; `auto`: Coinglass with its key, else OKX",
    )
    liquidation_venue: str = Field(
        AUTO, description="exchange that they are of, or `aggregate` over several"
    )
    liquidation_order_source: str = Field(
        AUTO, description="provider of the single liquidation orders behind the order columns"
    )
    open_interest_source: str = Field(
        AUTO,
        description="provider behind market.open_interest; `venue`: the perpetual's own; `auto`: "
        "Coinglass with its key, else the venue's own",
    )
    single_trades: bool = Field(
        False,
        description="page single trades of venues whose candles tell the taker's volumes too: for the "
        "large trades of market.trade_flow_1h, at some 12 requests an hour and symbol",
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

    # providers: their addresses and keys are fields too, one row each in ``connections``
    dashboard_timeout: float = Field(
        30.0,
        gt=0,
        validation_alias=_env("DASHBOARD_TIMEOUT"),
        description="total time of one dashboard request, s",
    )

    # transport
    http_deadline_s: float = Field(20.0, gt=0, description="total time of one request")
    http_max_bytes: int = Field(64 * 2**20, gt=0, description="decoded bytes of one reply")
    http_attempts: int = Field(5, ge=1)
    http_concurrency_per_host: int = Field(4, ge=1)

    # alerts
    webhooks: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="URLs of receivers by the environment variable `WEBHOOKS_...` that names them",
    )
    webhook_secret: Key = Field(
        None,
        description="`whsec_` and 24 to 64 random bytes in base64; unset: made once, kept in `home`",
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
                fault = _url_fault(url)
                if fault:
                    raise ValueError(f"{variable}: URL {number} {fault}")
        return value

    @field_validator("symbols", "sources", mode="before")
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

    @field_validator("webhook_secret")
    @classmethod
    def _signs(cls, value: SecretStr | None) -> SecretStr | None:
        fault = None if value is None else secret_fault(value.get_secret_value())
        if fault:
            raise ValueError(f"REGIME_WEBHOOK_SECRET {fault}")
        return value

    _choices: tuple[Choice, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _choose_sources(self) -> Self:
        named = {
            field: getattr(self, field)
            for field in (
                "liquidation_source",
                "liquidation_venue",
                "liquidation_order_source",
                "open_interest_source",
            )
        }
        has_aggregator = self.can_ask("coinglass")
        found = source_choice.chosen(named, has_aggregator=has_aggregator)
        for field, value in found.items():
            object.__setattr__(self, field, value)
        key = CONNECTIONS["coinglass"].key_env[0]
        social = self.social_source
        self._choices = (
            *source_choice.explained(
                named,
                found,
                variables={field: environment_name(field) for field in named},
                why=f"{key} is set" if has_aggregator else f"{key} is not set, or coinglass is off",
                open_interest=self.open_interest_sources,
            ),
            Choice("social", social, None, "can be asked" if social else "no source can be asked"),
        )
        return self

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What stands behind the series that several providers could tell, and why."""
        return self._choices

    def can_ask(self, provider: str) -> bool:
        """Whether a provider is configured, with its address and its key."""
        row = CONNECTIONS[provider]
        keyed = row.key_setting is None or getattr(self, row.key_setting) is not None
        return provider in self.sources and self.url_of(provider) is not None and keyed

    @property
    def open_interest_sources(self) -> dict[str, str]:
        """Symbol to the provider of its open interest."""
        if self.open_interest_source != VENUE:
            return dict.fromkeys(self.universe, self.open_interest_source)
        return {s: source_choice.source_of_perp(v) for s, v in self.perp_venues.items()}

    @property
    def social_source(self) -> str | None:
        """The provider of social moods; None where none is configured that can be asked."""
        name = self.sentiment_source_by_kind.get("social", "")
        return name if name in CONNECTIONS and self.can_ask(name) else None

    @property
    def quiet_hours_source(self) -> str | None:
        """Provider whose open interest tells quiet hours of ``liquidation_source``; None: no need."""
        return source_choice.witness_of(self.liquidation_source)

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
    digest = hashlib.sha256(params.model_dump_json().encode()).hexdigest()[:8]
    return f"{name}+{digest}"


def environment_name(field: str) -> str:
    """The variable of the environment that sets a field of :class:`Settings`, as ``REGIME_HOME``."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return f"REGIME_{field.upper()}"
