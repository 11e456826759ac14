from __future__ import annotations

from pathlib import Path

import pytest

from regime_pipeline.net.headers import retry_after_seconds
from regime_pipeline.providers.errors import (
    AuthError,
    BadRequest,
    Banned,
    ContractViolation,
    GeoBlocked,
    PlanLimit,
    ProviderError,
    RateLimited,
    RetentionLimit,
    Transient,
    UnknownSymbol,
    classify,
)
from regime_pipeline.providers.registry import SOURCES

RECORDED = {
    "binance_451_restricted_location": (451, GeoBlocked),
    "binance_ticker_error_sample": (400, UnknownSymbol),
    "bybit_10001_not_supported_symbols": (200, UnknownSymbol),
    "bybit_10006_too_many_visits": (200, RateLimited),
    "bybit_10016_request_timeout": (200, Transient),
    "bybit_403_cloudfront_geo": (403, GeoBlocked),
    "coinapi_missing_key": (401, AuthError),
    "coinglass_30001_api_key_missing_v2": (200, AuthError),
    "coinglass_400_api_key_missing": (200, AuthError),
    "coinglass_401_upgrade_plan": (200, PlanLimit),
    "okx_50014_missing_param": (400, BadRequest),
    "okx_51001_unknown_instrument": (200, UnknownSymbol),
    "whale_alert_invalid_key": (401, AuthError),
}


def test_every_recorded_error_is_classified(payloads_dir: Path) -> None:
    """Row 8: the recorded refusals of all providers, under the status they came with."""
    for file in sorted((payloads_dir / "errors").glob("*.json")):
        name = file.stem.removesuffix("__1")
        provider = "whale_alert" if name.startswith("whale") else name.split("_")[0]
        status, expected = RECORDED[name]
        error = classify(status, {}, file.read_bytes(), SOURCES[provider].errors)
        assert type(error) is expected, (name, error)


@pytest.mark.parametrize(
    ("provider", "body", "kind"),
    [
        ("bybit", b'{"retCode":10006,"retMsg":"Too many visits!"}', RateLimited),
        ("okx", b'{"code":"50011","msg":"Too Many Requests","data":[]}', RateLimited),
        ("okx", b'{"code":"50013","msg":"busy","data":[]}', Transient),
        ("coinglass", b'{"code":"401","msg":"Upgrade plan"}', PlanLimit),
        ("coinglass", b'{"code":"400","msg":"Upgrade plan"}', PlanLimit),
        ("coinglass", b'{"code":"500"}', Transient),
        (
            "coinglass",
            b'{"code":"40001","msg":"The requested symbol does not exist"}',
            UnknownSymbol,
        ),
        ("alternative_me", b'{"data":[],"metadata":{"error":"boom"}}', BadRequest),
        (
            "binance",
            b'{"code":0,"msg":"Service unavailable from a restricted location"}',
            GeoBlocked,
        ),
    ],
)
def test_fault_08_error_envelope_in_status_200_is_an_error(
    provider: str, body: bytes, kind: type[ProviderError]
) -> None:
    """Row 8: never read as empty data."""
    assert type(classify(200, {}, body, SOURCES[provider].errors)) is kind


@pytest.mark.parametrize(
    ("status", "provider", "body", "kind"),
    [
        (
            400,
            "binance_futures",
            b'{"msg":"parameter \'startTime\' is invalid.","code":-1130}',
            RetentionLimit,
        ),
        (
            400,
            "binance_futures",
            b'{"msg":"parameter \'limit\' is invalid.","code":-1130}',
            BadRequest,
        ),
        (400, "binance", b'{"code":-1003,"msg":"Too much request weight"}', RateLimited),
        (418, "binance", b"", Banned),
        (429, "okx", b"<html>", RateLimited),
        (403, "bybit", b"access too frequent", RateLimited),
        (
            403,
            "bybit",
            b"The Amazon CloudFront distribution is configured to block access",
            GeoBlocked,
        ),
        (403, "binance", b"<html>waf</html>", GeoBlocked),
        (403, "lunarcrush", b'{"error":"your plan does not include this"}', PlanLimit),
        (403, "coinapi", b'{"error":"Forbidden"}', PlanLimit),
        (402, "lunarcrush", b"", PlanLimit),
        (404, "binance_futures", b"<html>", BadRequest),
        (503, "okx", b'{"code":"50001","msg":"Service temporarily unavailable"}', Transient),
        (502, "coinglass", b"<html>bad gateway</html>", Transient),
        (307, "okx", b"", ContractViolation),
        (204, "okx", b"", ContractViolation),
    ],
)
def test_status_and_body_together_decide(
    status: int, provider: str, body: bytes, kind: type[ProviderError]
) -> None:
    """Rows 3, 4, 5, 7: and 403 is told apart by its text."""
    assert type(classify(status, {}, body, SOURCES[provider].errors)) is kind


def test_fault_02_waits_are_read_from_seconds_and_dates() -> None:
    """Row 2: a date counts from the server's own clock; what has passed is no wait."""
    date = {"date": "Tue, 06 Aug 2024 00:00:00 GMT"}
    assert retry_after_seconds({"retry-after": "34"}) == 34
    later = {**date, "retry-after": "Tue, 06 Aug 2024 00:02:00 GMT"}
    assert retry_after_seconds(later) == 120
    assert retry_after_seconds({**date, "retry-after": "Mon, 05 Aug 2024 00:00:00 GMT"}) == 0
    for nonsense in ("abc", "-3", "", "1e9", "12:00"):
        assert retry_after_seconds({"retry-after": nonsense}) is None


def test_error_class_is_the_name_of_the_class() -> None:
    assert GeoBlocked("x").error_class == "GeoBlocked"
    assert classify(451, {}, b"", SOURCES["binance"].errors).error_class == "GeoBlocked"
