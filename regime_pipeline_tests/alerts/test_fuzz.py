"""Strict stand-ins of each channel: what they would refuse must never be made of any event."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from datetime import timedelta
from email import message_from_string
from email.policy import default
from typing import Any

import jsonschema
import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from regime_pipeline.alerts import documents, signing
from regime_pipeline.alerts.channels import (
    CHANNELS,
    GENERIC,
    MAIL,
    MAIL_GATEWAY,
    SERVICE,
    Channel,
    Endpoint,
)
from regime_pipeline.alerts.digest import digest_of
from regime_pipeline.alerts.kinds import MARKET, TYPES, MarketEvent
from regime_pipeline.alerts.message import Message, units
from regime_pipeline.alerts.outcomes import Answer
from regime_pipeline.alerts.routing import SEVERITIES
from regime_pipeline.catalogue import FIELDS, Kind
from regime_pipeline.windows import utc
from regime_pipeline_tests.alerts.test_telegram_and_mail import BOX

SECRET = "whsec_" + "QUJD" * 8
ENDPOINT = Endpoint("x", SecretStr("https://a.example/"), None, GENERIC, mail=BOX)
NASTY = (
    *(
        "",
        " ",
        "x" * 5_000,
        "\U0001f600" * 3_000,
        "\ud83d",
        "\udc80x",
        "\0",
        "\r\nBcc: a@b.example",
    ),
    *(
        "@everyone",
        "<!channel>",
        "<@123>",
        "`*_~|>[a](http://x)",
        "</b>&lt;",
        "\u202eabc",
        "\n" * 99,
    ),
    *(".\r\n", '"}', "%s{}", "\u2028", "ÄÖ€", "\x1b[31m"),
)
ANSWERS = (
    Answer(3, 2.0, 1.0, 900.0, "perp", "2 effective, 30 needed"),
    Answer(
        n_rows=900,
        n_eff=80.0,
        blocks_eff=20.0,
        span_days=900.0,
        price="perp",
        p_up=0.5,
        p_up_low=0.4,
        p_up_high=0.6,
        median=0.001,
        median_low=-0.01,
        median_high=0.01,
        base_p_up=0.51,
        differs=False,
    ),
)


def fuzzed(rng: random.Random) -> Message:
    """An event of any type whose texts are anything."""
    kind = TYPES[rng.choice(list(TYPES))]
    market = isinstance(kind, MarketEvent)

    def text() -> str:
        return "".join(rng.choice(NASTY) for _ in range(rng.randint(0, 3)))

    def value(name: str) -> Any:
        field = FIELDS[name]
        if rng.random() < 0.2:
            return None
        if field.allowed is not None:
            return rng.choice(field.allowed)
        if field.kind is Kind.FLOAT:
            low = field.minimum if field.minimum is not None else -1e9
            high = field.maximum if field.maximum is not None else 1e12
            return rng.uniform(low, high) or high
        if field.kind is Kind.INTEGER:
            return rng.randint(int(field.minimum or 0), int(field.maximum or 1e9))
        if field.kind is Kind.BOOLEAN:
            return rng.random() < 0.5
        return "2024-08-05T00:00:00Z" if field.kind is Kind.TIMESTAMP else text()

    at = utc("2024-08-05T01:00Z") + timedelta(hours=rng.randint(0, 10_000))
    told = Message(
        event_id=f"{rng.getrandbits(256):064x}",
        event_type=kind.name,
        severity=rng.choice(SEVERITIES),
        title=text(),
        known_at=at,
        details={text(): text() for _ in range(rng.randint(0, 30))},
        data_origin=rng.choice(("live", "simulated", "tape")),
        worst_tier=rng.choice((None, 1, 3)),
    )
    if not market:
        return told
    assert isinstance(kind, MarketEvent)
    return replace(
        told,
        details={name: value(name) for name in kind.details},
        kind=rng.choice(FIELDS["kind"].allowed or ()),
        instrument=text(),
        level=text(),
        ts=at,
        episode_start=at,
        method_version="x/1",
        context={
            "level_before": text(),
            "level_now": text(),
            "is_lower_bound": rng.choice((None, True, False)),
            "link": "http://ui.example/assets/alerts/market_events?partition=2024-08-05",
            "prices": [
                {"symbol": text(), "market": "perp", "price": 1.5, "move_1h": None}
                | {"move_24h": -0.5, "low_24h": 1.0, "high_24h": 2.0}
            ],
            "confirmed_by": [text() for _ in range(rng.randint(0, 6))],
            "followed": {"symbols": ["BTC/USDT"], "as_of": "2024-08-05T01:00:00Z"}
            | rng.choice(
                (
                    {"reason": text()},
                    {"condition": {}, "price": "perp"}
                    | {h: rng.choice(ANSWERS).plain() for h in ("1", "4", "24")},
                )
            ),
        },
    )


def takes(channel: Channel, body: str) -> None:
    """What the channel's provider would refuse fails here."""
    body.encode()
    {
        "http": _http,
        "discord": _discord,
        "slack": _slack,
        "telegram": _telegram,
        "mail": _mail,
        "mail-gateway": lambda text: _mail_parts(
            json.loads(text)["subject"], json.loads(text)["text"]
        ),
        "apprise": _service,
    }[channel.name](body)


SCHEMA = documents.alert_schema()
VALIDATORS = {
    name: jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})
    for name in (ref["$ref"].rsplit("/", 1)[1] for ref in SCHEMA["oneOf"])
}


def _http(body: str) -> None:
    said = json.loads(body)
    VALIDATORS[said["type"]].validate(said)
    assert len(body) < 200_000
    now = utc("2024-08-05T01:00Z")
    headers = signing.headers([SecretStr(SECRET)], "id", body.encode(), now)
    assert headers["webhook-signature"] == Webhook(SECRET).sign("id", now, body)


def _discord(body: str) -> None:
    said = json.loads(body)
    assert said["allowed_mentions"] == {"parse": []}
    (embed,) = said["embeds"]
    texts = [embed["title"], embed["description"], embed["footer"]["text"]]
    limits = [256, 4_096, 2_048]
    assert any(t.strip() for t in texts)
    assert len(embed["fields"]) <= 25
    for shown in embed["fields"]:
        assert shown["name"].strip()
        assert shown["value"].strip()
        texts += [shown["name"], shown["value"]]
        limits += [256, 1_024]
    assert all(units(t) <= limit for t, limit in zip(texts, limits, strict=True))
    assert sum(map(units, texts)) <= 6_000
    for text in texts[:2]:
        assert not re.search(r"(?<!\\)[*_~`|]", text)


def _slack(body: str) -> None:
    said = json.loads(body)
    assert said["text"].strip()
    assert 0 < len(said["blocks"]) <= 50
    for block in said["blocks"]:
        parts = [block["text"]] if "text" in block else block.get("fields") or block["elements"]
        assert 0 < len(parts) <= 10
        limit = 3_000 if "text" in block else 2_000
        for part in parts:
            assert 0 < units(part["text"]) <= limit
            assert not re.search(r"<[!@#]", part["text"])


def _telegram(body: str) -> None:
    said = json.loads(body)
    assert 0 < units(said["text"].strip()) <= 4_096
    for mark in said["entities"]:
        assert mark["length"] > 0
        assert mark["offset"] + mark["length"] <= units(said["text"])


def _mail(body: str) -> None:
    assert body.isascii()
    assert max(map(len, body.split("\r\n"))) <= 998
    found = message_from_string(body, policy=default)
    assert set(found.keys()) <= {
        *("Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "Importance"),
        *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    }
    _mail_parts(str(found["Subject"]), found.get_content())


def _mail_parts(subject: str, text: str) -> None:
    assert subject.strip()
    assert not re.search(r"[\r\n\0]", subject)
    assert text.strip()
    assert "\0" not in text


def _service(body: str) -> None:
    said = json.loads(body)
    assert said["severity"] in SEVERITIES
    assert units(said["title"]) <= 250
    _mail_parts(said["title"] or "x", said["text"])


EVERY = (*CHANNELS, GENERIC, MAIL, MAIL_GATEWAY, SERVICE)


def _all(count: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(count):
        message = fuzzed(rng)
        for channel in EVERY:
            takes(channel, channel.body(message, ENDPOINT))


def test_fault_68_and_76_no_channel_refuses_what_is_made_of_any_event():
    _all(60, 1)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_fault_68_no_channel_refuses_any_of_ten_thousand_events():
    _all(10_000, 2)


def test_fault_68_a_digest_of_a_thousand_is_taken_by_every_channel():
    rng = random.Random(3)
    rows = [
        {
            "event_id": f"{n:064x}",
            "alert_severity": rng.choice(("INFO", "WARNING")),
            "title": rng.choice(NASTY) + "x" * rng.randint(0, 300),
            "known_at": utc("2024-08-05T01:00Z"),
            "instrument": rng.choice(("BTC/USDT", "ETH/USDT", None)),
            "source_tier": None,
        }
        for n in range(1_000)
    ]
    message = digest_of(rows, "x", "live")
    assert message.details["count"] == 1_000
    for channel in EVERY:
        takes(channel, channel.body(message, ENDPOINT))


def test_the_schema_in_the_docs_is_that_of_the_code():
    assert documents.SCHEMA_PATH.read_text(encoding="utf-8") == documents.schema_text(), (
        "run `make docs`"
    )
    jsonschema.Draft202012Validator.check_schema(documents.alert_schema())
    assert {kind.name for kind in MARKET} < documents.alert_schema()["$defs"].keys()
