"""What each channel makes of an event, and which configuration is refused before anything is sent."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from pydantic import SecretStr, ValidationError

from regime_pipeline.alerts.channels import (
    GENERIC,
    Endpoint,
    channel_of,
    discord,
    generic,
    slack,
)
from regime_pipeline.alerts.endpoints import ConfigurationError, earlier_names, endpoints
from regime_pipeline.alerts.message import Message, cut, units
from regime_pipeline.settings import Settings
from regime_pipeline.windows import utc

DISCORD = "https://discord.com/api/webhooks/123456789/abcdefABCDEF_-0123456789"
SLACK = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
SOMEWHERE = Endpoint("http-1", SecretStr("http://127.0.0.1/"), None, GENERIC)
MESSAGE = Message(
    event_id="0123456789abcdef" * 4,
    event_type="LIQUIDATION_CASCADE",
    severity="CRITICAL",
    title="BTC/USDT liquidation cascade: $53.2M in 1 h",
    known_at=utc("2024-08-05T02:00Z"),
    details={"total_liquidation_usd": 53_178_901.5, "liq_to_oi_bps": None, "dominance": "LONG"},
    data_origin="live",
    worst_tier=2,
    kind="start",
    instrument="BTC/USDT",
    level="5",
    ts=utc("2024-08-05T01:00Z"),
    episode_start=utc("2024-08-05T00:00Z"),
    method_version="cascades/1",
)


def settings_with(**more: str) -> Settings:
    return Settings(_env_file=None, **{k: SecretStr(v) for k, v in more.items()})


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (DISCORD, "discord"),
        (DISCORD.replace("discord.com/api", "ptb.discord.com/api/v10"), "discord"),
        (SLACK, "slack"),
        ("https://example.com/api/webhooks/1/x", "http"),
        ("https://notdiscord.com/api/webhooks/1/x", "http"),
        ("http://127.0.0.1:8787/", "http"),
    ],
)
def test_a_known_chat_is_spoken_to_in_its_own_format(url: str, name: str) -> None:
    assert channel_of(url).name == name


@pytest.mark.parametrize(
    "url", [DISCORD + "/slack", "https://discord.com/channels/1/2", SLACK.replace("services", "x")]
)
def test_a_chats_address_that_takes_no_messages_is_refused_by_its_variable(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^WEBHOOKS_ALL: URL 1 is no incoming webhook"):
        endpoints(settings_with(webhooks_all=url))


def test_fault_76_discord_gets_one_embed_that_mentions_nobody() -> None:
    body = json.loads(discord(replace(MESSAGE, title="@everyone *BTC* [x](y)"), SOMEWHERE))
    assert body["allowed_mentions"] == {"parse": []}
    (embed,) = body["embeds"]
    assert embed["title"] == r"\@everyone \*BTC\* \[x\]\(y\)"
    shown = {f["name"]: f["value"] for f in embed["fields"]}
    assert "liq_to_oi_bps" not in shown  # not known is not shown, and not shown as zero
    assert shown["total_liquidation_usd"] == "53,178,902"
    assert r"since\: 2024-08-05 00\:00 UTC" in embed["description"]
    assert "01234567" in embed["footer"]["text"]
    assert "live data · tier 2" in embed["footer"]["text"]


def test_fault_76_slack_gets_blocks_in_which_markup_is_escaped() -> None:
    body = json.loads(slack(replace(MESSAGE, title="<!channel> & co"), SOMEWHERE))
    assert body["text"] == "&lt;!channel&gt; &amp; co"
    assert body["blocks"][0]["text"]["text"].endswith("*&lt;!channel&gt; &amp; co*")
    assert "01234567" in body["blocks"][-1]["elements"][0]["text"]


@pytest.mark.parametrize("noise", ["x", "*", "<", "\U0001f600", "\ud83d", "\0", "\n"])
def test_fault_68_no_text_is_longer_than_a_chat_takes(noise: str) -> None:
    long = replace(
        MESSAGE,
        title=noise * 5000,
        details={f"{noise * 300}{n}": noise * 5000 for n in range(60)},
    )
    (embed,) = json.loads(discord(long, SOMEWHERE))["embeds"]
    assert units(embed["title"]) <= 256
    assert len(embed["fields"]) <= 25
    assert units(embed["description"]) <= 4096
    texts = [embed["title"], embed["description"], embed["footer"]["text"]]
    for shown in embed["fields"]:
        assert 0 < units(shown["name"]) <= 256
        assert 0 < units(shown["value"]) <= 1024
        texts += [shown["name"], shown["value"]]
    assert sum(map(units, texts)) <= 6000
    blocks = json.loads(slack(long, SOMEWHERE))["blocks"]
    assert len(blocks) <= 50
    for text in re.findall(r'"text":"((?:[^"\\]|\\.)*)"', slack(long, SOMEWHERE)):
        assert units(json.loads(f'"{text}"')) <= 2000
    generic(long, SOMEWHERE).encode()


def test_fault_68_a_character_is_never_cut_in_half() -> None:
    assert cut("ab", 2) == "ab"
    assert cut("\U0001f600" * 3, 4) == "\U0001f600…"


def test_another_receiver_renames_none() -> None:
    (one,) = endpoints(settings_with(webhooks_all="https://a.example/1"))
    both = endpoints(settings_with(webhooks_all="https://b.example/2,https://a.example/1"))
    assert [e.name for e in both][1] == one.name
    assert both[0].name != one.name
    assert len(one.name) == len("http-12345678")


def test_the_name_that_a_variable_gave_is_known_to_be_the_endpoints() -> None:
    settings = settings_with(webhooks_all="https://a.example/1,https://b.example/2")
    first, second = endpoints(settings)
    assert earlier_names(settings) == {
        "WEBHOOKS_ALL": first.name,
        "WEBHOOKS_ALL#1": first.name,
        "WEBHOOKS_ALL#2": second.name,
    }


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://a.example:99999/", "has no valid port or host"),
        ("https://a.example:abc/", "has no valid port or host"),
        ("https:///x", "has no valid port or host"),
        ("https://[::1/", "has no valid port or host"),
        ("ftp://a.example/", "does not begin with https:// or http://"),
        ("javascript:alert(1)", "does not begin with https:// or http://"),
        ("https://me:pw@a.example/", "carries user information"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused_at_start_by_its_variable(
    url: str, fault: str
) -> None:
    with pytest.raises(ValidationError, match=rf"WEBHOOKS_FUNDING: URL 2 {fault}") as caught:
        settings_with(webhooks_funding=f"https://b.example/,{url}")
    assert url not in str(caught.value)


def test_plain_http_is_for_this_machine_only() -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOKS_REGIME: URL 1 is plain http"):
        endpoints(settings_with(webhooks_regime="http://a.example/"))
    assert endpoints(settings_with(webhooks_regime="http://127.0.0.1:8787/"))


def test_a_misspelt_variable_is_told_and_not_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKS_FUNDNG", "https://a.example/")
    with pytest.raises(ConfigurationError, match="WEBHOOKS_FUNDNG is no variable for alerts"):
        endpoints(Settings(_env_file=None))


def test_variables_come_from_the_environment_before_the_env_file(monkeypatch, tmp_path) -> None:
    file = tmp_path / ".env"
    file.write_text("WEBHOOKS_ALL=https://file.example/\nWEBHOOKS_REGIME=https://r.example/\n")
    monkeypatch.setenv("WEBHOOKS_ALL", "https://shell.example/")
    found = {e.url.get_secret_value() for e in endpoints(Settings(_env_file=file))}
    assert found == {"https://shell.example/", "https://r.example/"}
    called = endpoints(Settings(_env_file=file, webhooks_all=SecretStr("https://call.example/")))
    assert called[0].url.get_secret_value() == "https://call.example/"


@pytest.mark.parametrize(
    "secret",
    [
        "correct horse battery staple",
        "whsec_correct-horse-battery-staple",
        "whsec_" + "QUJD" * 7,
        "whsec_" + "QUJD" * 22,
        "whsec_QUJD*" + "QUJD" * 9,
        "QUJD" * 9 + "=",
    ],
)
def test_a_secret_that_is_no_key_is_refused_with_how_to_make_one(secret: str) -> None:
    with pytest.raises(ValidationError, match=r"REGIME_WEBHOOK_SECRET .*openssl rand") as caught:
        settings_with(webhook_secret=secret)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("secret", ["whsec_" + "QUJD" * 8, "QUJD" * 21 + "QQ=="])
def test_a_key_of_24_to_64_bytes_is_taken(secret: str) -> None:
    assert settings_with(webhook_secret=secret).webhook_secret is not None
