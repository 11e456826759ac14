from __future__ import annotations

import time

import pytest
from pydantic import SecretStr

from regime_pipeline.net.redact import LONGEST, Redactor

CANARY = "cAnArY+42/x="


@pytest.mark.parametrize(
    "text",
    [
        f"GET https://h/x?api_key={CANARY}&b=1",
        "GET https://h/x?apikey=cAnArY%2B42%2Fx%3D&b=1",
        f"headers {{'CG-API-KEY': '{CANARY}'}}",
        f"Authorization: Bearer {CANARY}",
        f"https://user:{CANARY}@h/x",
        f"plain {CANARY} text",
    ],
)
def test_fault_89_known_secret_is_removed_in_every_form(text: str) -> None:
    """Row 89."""
    out = Redactor([CANARY]).text(text)
    assert CANARY not in out
    assert "cAnArY" not in out


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://h/x?symbol=BTCUSDT&auth_token=abc123def&z=1", "&z=1"),
        ("X-CoinAPI-Key: 73034021-0EBC-493D", "X-CoinAPI-Key"),
        ("https://discord.com/api/webhooks/12345/AbC-dEf_x", "discord.com/api/webhooks/***"),
        ("https://api.telegram.org/bot99:AAx-y/sendMessage", "/sendMessage"),
        ("https://hooks.slack.com/services/T0/B0/zzz", "hooks.slack.com/services/***"),
        ("/apikey-73034021-0EBC/x", "/apikey-***"),
    ],
)
def test_secret_looking_parts_go_even_when_unknown(text: str, left: str) -> None:
    out = Redactor().text(text)
    assert left in out
    assert "***" in out
    for secret in ("abc123def", "73034021", "AbC-dEf_x", "AAx-y", "zzz"):
        assert secret not in out


def test_ordinary_text_stays(make_settings) -> None:
    redactor = Redactor.of(make_settings(coinglass_api_key=SecretStr("k-9182736455")))
    text = (
        "binance /api/v3/klines: code -1121: Invalid symbol. https://h:80/x?symbol=BTCUSDT&limit=5"
    )
    assert redactor.text(text) == text
    assert "k-9182736455" not in redactor.text("key k-9182736455")


@pytest.mark.parametrize(
    "part", ["a", "a-", "a:", "secret", "token=", "://a", "bot1", "Basic ", "é"]
)
def test_a_megabyte_of_anything_costs_next_to_nothing(part: str) -> None:
    redactor = Redactor([CANARY, *(f"{n}".rjust(30, "a") for n in range(40))])
    text = (part * 2**20)[: 2**20]
    began = time.process_time()
    assert len(redactor.text(text)) <= LONGEST
    redactor.body(text.encode())
    assert time.process_time() - began < 1.0
