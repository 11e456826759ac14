"""Telegram and mail over real connections: what arrives, what their answers mean, who has moved."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_string
from email.policy import default

import pytest
from pydantic import SecretStr

from regime_pipeline.alerts import answers, channels, endpoints
from regime_pipeline.alerts.channels import Endpoint, mail, mail_gateway, telegram
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.alerts.message import units
from regime_pipeline.alerts.routing import Mail
from regime_pipeline.settings import Settings
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.alerts.receivers import NOW, event, outbox, put
from regime_pipeline_tests.alerts.test_channels import MESSAGE, SOMEWHERE

BOX = Mail(sender="alerts@example.com", to=("me@example.com", "you@example.com"))
POST = Endpoint("post", SecretStr("smtp://127.0.0.1:25"), None, channels.MAIL, mail=BOX)


@dataclass
class MailServer:
    """A mail server that keeps what it is given; replies can be replaced by their command."""

    port: int = 0
    replies: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[MailServer]:
    box = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                box.lines.append(line)
                word = line.split(" ")[0].upper()
                if word in box.replies:
                    self.say(box.replies[word])
                elif word == "DATA":
                    self.say("354 go on")
                    read = []
                    while (part := self.rfile.readline().decode()) != ".\r\n":
                        read.append(part)
                    box.mails.append("".join(read))
                    self.say(box.replies.get("END", "250 kept"))
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        box.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield box
        server.shutdown()


def posting(tmp_path, port: int) -> Settings:
    path = tmp_path / "alerts.toml"
    path.write_text(
        f'[endpoints.post]\nurl = "smtp://127.0.0.1:{port}"\n'
        'mail = {sender = "alerts@example.com", to = ["me@example.com"]}\n'
    )
    return Settings(_env_file=None, home=tmp_path, alerts_file=path)


def test_a_mail_arrives_with_the_events_id_as_its_own(database, tmp_path):
    with mail_server() as server:
        settings = posting(tmp_path, server.port)
        put(database, settings, event(title="BTC/USDT Köln\r\nBcc: all@example.com"))
        assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    (text,) = server.mails
    found = message_from_string(text, policy=default)
    assert found["Message-ID"] == f"<{'a' * 64}@regime-pipeline>"
    assert found["Subject"] == "[CRITICAL] BTC/USDT Köln Bcc: all@example.com"
    assert found["Bcc"] is None
    assert "since: 2024-08-05 00:00 UTC" in found.get_content()
    assert [line for line in server.lines if line.startswith("rcpt")] == [
        "rcpt TO:<me@example.com>"
    ]


@pytest.mark.parametrize(
    ("reply", "state", "error"),
    [
        ({"RCPT": "550 nobody here"}, "dead", "SMTP 550"),
        ({"RCPT": "451 later"}, "pending", "SMTP 451"),
        ({"MAIL": "421 busy"}, "pending", "SMTP 421"),
        ({"END": "554 it is spam"}, "dead", "SMTP 554"),
        ({"QUIT": "500 stay"}, "delivered", None),
    ],
)
def test_a_mail_servers_reply_says_what_becomes_of_the_mail(
    database, tmp_path, reply, state, error
):
    with mail_server() as server:
        server.replies = reply
        settings = posting(tmp_path, server.port)
        put(database, settings, event())
        dispatch_due(database, settings, FixedClock(NOW))
    found = {row[0]: row for row in outbox(database)}["a" * 64]
    assert (found[1], found[3]) == (state, error)


def test_a_mail_is_ascii_whatever_the_event_holds():
    noise = replace(MESSAGE, title="\ud83d\0\n\U0001f600" * 400, details={"x\ny": "\0\r\n.\r\n"})
    text = mail(noise, POST)
    assert text.isascii()
    found = message_from_string(text, policy=default)
    assert found["To"] == "me@example.com, you@example.com"
    assert len(found["Subject"]) <= 210
    assert json.loads(mail_gateway(noise, POST))["to"] == list(BOX.to)


@pytest.mark.parametrize("noise", ["x", "\U0001f600", "*", "\ud83d", "\0"])
def test_telegram_gets_plain_text_within_its_limit(noise):
    long = replace(MESSAGE, title=noise * 5000, details={f"n{n}": noise * 5000 for n in range(60)})
    body = json.loads(telegram(long, SOMEWHERE))
    assert units(body["text"]) <= 4096
    assert "parse_mode" not in body
    for mark in body["entities"]:
        assert mark["offset"] + mark["length"] <= units(body["text"])


def judge_of(url: str) -> str:
    return endpoints.channel_of(url).name


def test_a_telegram_address_is_known_by_itself():
    assert judge_of("https://api.telegram.org/bot1:abc/sendMessage?chat_id=-5") == "telegram"


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b'{"ok":true,"result":{}}', answers.Verdict(True)),
        (200, b'{"ok":false,"error_code":429,"parameters":{"retry_after":34}}', "again"),
        (200, b"<html>", "again"),
        (502, b"<html>", "again"),
        (429, b'{"ok":false,"error_code":429,"parameters":{"retry_after":34}}', "again"),
        (400, b'{"ok":false,"error_code":400,"description":"Bad Request: text is empty"}', "final"),
        (400, b'{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}', "gone"),
        (403, b'{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked"}', "gone"),
        (401, b'{"ok":false,"error_code":401}', "gone"),
    ],
)
def test_what_telegram_answers(status, body, verdict):
    found = answers.telegram(status, body)
    kind = "gone" if found.is_gone else "final" if found.is_final else "again"
    assert found == verdict or (not found.is_accepted and kind == verdict)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b'{"message": "Unknown Webhook", "code": 10015}', "gone"),
        (400, b'{"message": "Cannot send an empty message", "code": 50006}', "final"),
        (403, b'{"code": 50027}', "gone"),
        (429, b'{"message": "slow", "retry_after": 0.5, "global": false}', "again"),
        (429, b"<html>error 1015</html>", "again"),
        (500, b"", "again"),
    ],
)
def test_what_discord_answers(status, body, kind):
    found = answers.discord(status, body)
    assert kind == ("gone" if found.is_gone else "final" if found.is_final else "again")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b"no_service", "gone"),
        (410, b"channel_is_archived", "gone"),
        (403, b"action_prohibited", "gone"),
        (400, b"invalid_payload", "final"),
        (429, b"rate_limited", "again"),
        (500, b"rollup_error", "again"),
    ],
)
def test_what_slack_answers(status, body, kind):
    found = answers.slack(status, body)
    assert kind == ("gone" if found.is_gone else "final" if found.is_final else "again")


def test_fault_77_a_group_that_moved_gets_its_message_once_at_its_new_id(
    database, receiver, tmp_path, monkeypatch
):
    moved = b'{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-100777}}'
    here = replace(
        next(c for c in channels.CHANNELS if c.name == "telegram"), hosts=("127.0.0.1",), path=".*"
    )
    monkeypatch.setattr(channels, "CHANNELS", (here,))
    settings = Settings(
        _env_file=None, home=tmp_path, webhooks_all=SecretStr(f"{receiver.url}?chat_id=-5")
    )
    asked: list[str] = []

    def judged(headers: dict[str, str], _body: bytes) -> int:
        asked.append(headers["x-path"])
        receiver.reply = b'{"ok":true}' if "-100777" in asked[-1] else moved
        return 200 if "-100777" in asked[-1] else 400

    receiver.judge = judged
    put(database, settings, event())
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    put(database, settings, event(event_id="b" * 64))
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    assert [path.split("?")[1] for path in asked] == ["chat_id=-5", *["chat_id=-100777"] * 2]
