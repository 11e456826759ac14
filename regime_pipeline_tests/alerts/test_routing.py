"""The file of receivers: what it may say, which faults are told, and what rules answer."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from regime_pipeline.alerts.channels import MAIL, MAIL_GATEWAY
from regime_pipeline.alerts.endpoints import ConfigurationError, endpoints, secrets_in
from regime_pipeline.alerts.routing import Quiet, RoutingError, Rules, receivers
from regime_pipeline.net.redact import Redactor
from regime_pipeline.settings import Settings
from regime_pipeline.windows import utc

SECRET = "whsec_" + "QUJD" * 8


def settings_of(tmp_path, text: str, **more: object) -> Settings:
    path = tmp_path / "alerts.toml"
    path.write_text(text)
    return Settings(_env_file=None, home=tmp_path, alerts_file=path, **more)


FULL = f"""
[endpoints.night]
url = "https://discord.com/api/webhooks/123/abcdefgh"
types = ["LIQUIDATION_CASCADE", "SYSTEM"]
severity = "WARNING"
symbols = ["BTC/USDT"]
quiet = "22:00-07:00 Europe/Berlin"
per_minute = 5
digest_over = 3

[endpoints.book]
url = "https://a.example/hook"
secret = "{SECRET}"
previous_secret = "{SECRET[:-4]}WFla"

[endpoints.post]
url = "smtps://mail.example.com"
mail = {{sender = "alerts@example.com", to = ["me@example.com"], user = "me", password = "${{MAIL_KEY}}"}}

[endpoints.gateway]
url = "https://mail.example.com/send"
authorization = "Bearer of-nothing-at-all"
mail = {{sender = "alerts@example.com", to = ["me@example.com"]}}
"""


def test_a_file_gives_receivers_names_rules_secrets_and_addresses(tmp_path, monkeypatch):
    monkeypatch.setenv("MAIL_KEY", "open-sesame-1")
    settings = settings_of(tmp_path, FULL, webhooks_all=SecretStr("https://a.example/hook"))
    found = {e.name: e for e in endpoints(settings)}
    assert list(found) == [
        "book",
        "night",
        "post",
        "gateway",
    ]  # a URL of the variables is told once
    night = found["night"]
    assert night.channel.name == "discord"
    assert (night.per_minute, night.digest_over) == (5, 3)
    assert night.wants("SYSTEM")
    assert not night.wants("FUNDING_ANOMALY")
    assert night.rules.tells("WARNING", "ETH/USDT|BTC/USDT")
    assert night.rules.tells("CRITICAL", None)
    assert not night.rules.tells("INFO", "BTC/USDT")
    assert not night.rules.tells("CRITICAL", "ETH/USDT")
    assert len(found["book"].secrets) == 2
    assert found["post"].channel is MAIL
    assert found["gateway"].channel is MAIL_GATEWAY
    shown = Redactor.of(settings, secrets_in(list(found.values()))).text(
        f"{SECRET} open-sesame-1 abcdefgh Bearer of-nothing-at-all https://a.example/hook"
    )
    for secret in (SECRET, "open-sesame-1", "of-nothing-at-all", "a.example/hook"):
        assert secret not in shown
    assert "open-sesame" not in repr(found["post"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[endpoints.a", "is no TOML"),
        ("[receivers.a]\nurl = 'x'", "'receivers' is not understood"),
        ("[endpoints.A]\nurl = 'https://a.example/'", "is no name"),
        ("[endpoints.a]\n", "url: Field required"),
        ("[endpoints.a]\nurl = 'https://a.example/'\ntyp = ['SYSTEM']", "typ: Extra inputs"),
        ("[endpoints.a]\nurl = 'https://a.example/'\ntypes = ['CASCADE']", "CASCADE is none of"),
        (
            "[endpoints.a]\nurl = 'https://a.example/'\nseverity = 'HIGH'",
            "severity: Input should be",
        ),
        ("[endpoints.a]\nurl = 'https://a.example/'\nquiet = '22-7'", "is not written as"),
        (
            "[endpoints.a]\nurl = 'https://a.example/'\nquiet = '22:00-07:00 Mars/One'",
            "no time zone",
        ),
        ("[endpoints.a]\nurl = 'https://a.example/'\nper_minute = 0", "greater than or equal to 1"),
        ("[endpoints.a]\nurl = 'https://a.example/'\nsecret = 'abc'", "is no signing secret"),
        ("[endpoints.a]\nurl = '${NOT_SET}'", "the variable NOT_SET is not set"),
        ("[endpoints.a]\nurl = 'http://a.example/'", "is plain http"),
        ("[endpoints.a]\nurl = 'ftp://a.example/'", "url does not begin with https://"),
        ("[endpoints.a]\nurl = 'smtps://a.example'", "needs mail ="),
        ("[endpoints.a]\nurl = 'https://api.telegram.org/bot1:a/sendMessage'", "lacks ?chat_id="),
        (
            "[endpoints.a]\nurl = 'https://a.example/'\nmail = {sender = 'me', to = ['a@b.example']}",
            "is no e-mail address",
        ),
        (
            "[endpoints.a]\nurl = 'https://a.example/'\n[endpoints.b]\nurl = 'https://a.example/'",
            "has the URL of a",
        ),
    ],
)
def test_a_fault_of_the_file_is_one_line_that_names_the_place(tmp_path, text, fault):
    with pytest.raises(ConfigurationError, match=r"alerts\.toml") as caught:
        endpoints(settings_of(tmp_path, text))
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value).removesuffix("\n")


def test_an_absent_file_is_told_with_its_variable(tmp_path):
    with pytest.raises(RoutingError, match=r"REGIME_ALERTS_FILE.*No such file"):
        receivers(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("hours", "now", "end"),
    [
        ("22:00-07:00", "2024-08-05T21:59Z", None),
        ("22:00-07:00", "2024-08-05T22:00Z", "2024-08-06T07:00Z"),
        ("22:00-07:00", "2024-08-06T06:59Z", "2024-08-06T07:00Z"),
        ("22:00-07:00", "2024-08-06T07:00Z", None),
        ("12:00-13:00", "2024-08-06T12:30Z", "2024-08-06T13:00Z"),
        ("22:00-07:00 Europe/Berlin", "2024-08-05T20:00Z", "2024-08-06T05:00Z"),
        ("22:00-07:00 Europe/Berlin", "2024-10-26T21:00Z", "2024-10-27T06:00Z"),  # clocks go back
    ],
)
def test_quiet_hours_end_by_the_clock_of_their_zone(hours, now, end):
    assert Quiet.of(hours).until(utc(now)) == (None if end is None else utc(end))


def test_critical_comes_through_quiet_hours():
    rules = Rules(quiet=Quiet.of("00:00-23:59"))
    assert rules.held_until("CRITICAL", utc("2024-08-05T03:00Z")) is None
    assert rules.held_until("WARNING", utc("2024-08-05T03:00Z")) == utc("2024-08-05T23:59Z")
