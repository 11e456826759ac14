"""The names of variables and fields are a contract; every provider is declared once and whole."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
from pydantic import SecretStr, ValidationError

from regime_pipeline.connections import CONNECTIONS
from regime_pipeline.net.hosts import host_of
from regime_pipeline.providers.errors import AuthError, ContractViolation, Transient
from regime_pipeline.providers.probe import advice_for
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.settings import Settings, environment_name

VARIABLES = {
    "binance_api_url": ("BINANCE_API_URL", "REGIME_BINANCE_API_URL"),
    "binance_us_api_url": ("BINANCE_US_API_URL",),
    "binance_futures_api_url": ("BINANCE_FUTURES_API_URL",),
    "okx_api_url": ("OKX_API_URL",),
    "bybit_api_url": ("BYBIT_API_URL",),
    "hyperliquid_api_url": ("HYPERLIQUID_API_URL",),
    "deribit_api_url": ("DERIBIT_API_URL",),
    "coinglass_api_url": ("COINGLASS_API_URL",),
    "coinglass_api_key": ("COINGLASS_API_KEY",),
    "alternative_me_api_url": ("ALTERNATIVE_ME_API_URL",),
    "coinapi_api_url": ("COINAPI_URL", "COINAPI_API_URL"),
    "coinapi_key": ("COINAPI_KEY", "COINAPI_API_KEY"),
    "lunarcrush_api_url": ("LUNARCRUSH_API_URL",),
    "lunarcrush_api_key": ("LUNARCRUSH_API_KEY",),
    "whale_alert_api_url": ("WHALE_ALERT_API_URL",),
    "whale_alert_api_key": ("WHALE_ALERT_API_KEY",),
    "sentiment_api_url": ("SENTIMENT_API_URL",),
    "sentiment_api_key": ("SENTIMENT_API_KEY",),
    "liquidation_api_url": ("LIQUIDATION_API_URL",),
    "liquidation_api_key": ("LIQUIDATION_API_KEY",),
    "news_api_url": ("NEWS_API_URL", "CRYPTOPANIC_API_URL"),
    "news_api_token": ("NEWS_API_TOKEN", "CRYPTOPANIC_API_TOKEN"),
    "dashboard_url": ("DASHBOARD_URL",),
    "dashboard_api_key": ("DASHBOARD_API_KEY",),
    "binance_archive_url": ("REGIME_BINANCE_ARCHIVE_URL",),
}
"""Every field and variable that anybody's configuration may hold."""


@pytest.mark.parametrize(
    ("field", "variable"), [(f, v) for f, names in VARIABLES.items() for v in names]
)
@pytest.mark.parametrize("in_lower_case", [False, True])
def test_every_variable_that_was_ever_read_is_read(
    field: str, variable: str, in_lower_case: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "http://127.0.0.1:9/there"
    monkeypatch.setenv(variable.lower() if in_lower_case else variable, given)
    got = getattr(Settings(_env_file=None), field)
    assert (got.get_secret_value() if isinstance(got, SecretStr) else got) == given


@pytest.mark.parametrize("field", [f for f in VARIABLES if f.endswith("_url")])
def test_an_address_with_a_password_is_refused_without_repeating_it(field: str) -> None:
    with pytest.raises(ValidationError, match="must not hold a user") as refused:
        Settings(_env_file=None, **{field: "https://me:CANARY-7f3a@127.0.0.1:9/api"})  # type: ignore[arg-type]
    assert "CANARY" not in str(refused.value)
    assert "CANARY" not in repr(refused.value)


def test_keys_made_of_addresses_hold_host_and_port_only() -> None:
    assert host_of("https://me:secret@[::1]:8443/x?y=@z") == "[::1]:8443"
    assert host_of("https://api.example/v1") == "api.example"


def test_every_variable_that_advice_names_exists() -> None:
    read = {v for names in VARIABLES.values() for v in names}
    for source in SOURCES.values():
        assert source.url_variable in read
        assert source.key_variable is None or source.key_variable in read
        for error in (Transient("x"), AuthError("no key is set"), ContractViolation("x")):
            named = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", advice_for(source.name, source, error))
            assert set(named) <= read | {"REGIME_SOURCES"}, source.name


def test_the_first_variable_is_the_one_that_is_written() -> None:
    assert {f: environment_name(f) for f in VARIABLES} == {f: v[0] for f, v in VARIABLES.items()}


def test_sources_are_asked_in_the_order_of_their_rows_but_for_those_left_out() -> None:
    assert Settings(_env_file=None).sources == (
        "binance", "binance_futures", "okx", "bybit", "coinglass", "alternative_me", "coinapi",
        "lunarcrush", "whale_alert", "sentiment", "liquidation_service", "news", "dashboard",
        "binance_archive",
    )  # fmt: skip
    assert list(SOURCES) == list(CONNECTIONS)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_source_is_whole(source) -> None:  # type: ignore[no-untyped-def]
    assert source.feeds
    assert source.endpoints
    assert source.errors.is_paid is (source.key is not None)
    assert all(b.keyed for b in source.rates.budgets) or source.rates.budgets[0].keyed is False
    for feed in source.feeds:
        assert feed.endpoint in source.endpoints or source.name == "binance_archive"


@pytest.mark.parametrize("row", CONNECTIONS.values(), ids=CONNECTIONS)
def test_a_row_names_modules_that_exist(row) -> None:  # type: ignore[no-untyped-def]
    assert find_spec(f"regime_pipeline.providers.{row.folder}")
    assert find_spec(f"regime_pipeline.simulator.{row.simulated_by}")


def test_a_key_without_a_carrier_is_no_source() -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="a key needs both"):
        replace(SOURCES["coinglass"], key=None)
