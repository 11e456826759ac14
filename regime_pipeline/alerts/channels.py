"""Channels: how an event is said to each kind of receiver, one function each.

A function takes the event and the endpoint and makes the body of the request, once, when the event is
stored; those bytes are kept and sent, however often. A receiver on a known chat host is spoken to in
that chat's format by itself. Belongs here: formats, their limits and escaping, which answers of a channel
are final. Does not belong here: when and how often something is sent (``dispatch``).

A further channel is a function and a row of :data:`CHANNELS`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from regime_pipeline.alerts import answers
from regime_pipeline.alerts.answers import Judge
from regime_pipeline.alerts.kinds import OPERATIONAL, SYSTEM
from regime_pipeline.alerts.message import (
    Message,
    canonical,
    cut,
    facts,
    footer,
    iso,
    numbers,
    title_line,
    units,
)
from regime_pipeline.alerts.routing import EVERYTHING, Mail, Rules


@dataclass(frozen=True)
class Channel:
    """A way of speaking to receivers.

    Attributes:
        name: first part of the endpoints' names.
        body: what is posted of an event.
        hosts: receivers on these hosts, and on hosts below them, are spoken to this way.
        path: pattern of the paths there that take this format.
        content_type: of the body.
        is_signed: whether receivers verify a Standard Webhooks signature.
        judge: what an answer means.
        way: how the body travels.
        per_minute: attempts that one receiver may be asked for in a minute; None: any number.
        digest_over: more due events than these go as one message; None: never.
        query: parameters that the address must have.
    """

    name: str
    body: Callable[[Message, Endpoint], str]
    hosts: tuple[str, ...] = ()
    path: str = ".*"
    content_type: str = "application/json"
    is_signed: bool = False
    judge: Judge = answers.plain
    way: Literal["http", "smtp", "apprise"] = "http"
    per_minute: int | None = None
    digest_over: int | None = None
    query: tuple[str, ...] = ()

    def is_on(self, host: str) -> bool:
        """Whether a host is one of this channel's."""
        return any(host == h or host.endswith(f".{h}") for h in self.hosts)


@dataclass(frozen=True)
class Endpoint:
    """One receiver.

    Attributes:
        name: channel and a digest of the URL; never holds the URL, stays when others come and go.
        url: where it is.
        event_types: what it gets; None: everything.
        channel: how it is spoken to.
        rules: which events, when, how many.
        secrets: its own signing secrets, newest first; none: the common ones.
        mail: addresses of a mail receiver.
        authorization: header of a mail gateway.
    """

    name: str
    url: SecretStr
    event_types: tuple[str, ...] | None
    channel: Channel
    rules: Rules = EVERYTHING
    secrets: tuple[SecretStr, ...] = ()
    mail: Mail | None = None
    authorization: SecretStr | None = None

    def wants(self, event_type: str) -> bool:
        """Whether this endpoint is for events of the type."""
        if self.event_types is None or event_type in self.event_types:
            return True
        return SYSTEM.name in self.event_types and event_type in OPERATIONAL

    @property
    def told(self) -> str:
        """What it is told, in words."""
        parts = [", ".join(self.event_types) if self.event_types else "everything"]
        if self.rules.severity:
            parts.append(f"from {self.rules.severity}")
        if self.rules.symbols is not None:
            parts.append(f"of {', '.join(sorted(self.rules.symbols))}")
        if self.rules.quiet is not None:
            quiet = self.rules.quiet
            parts.append(f"quiet {quiet.start:%H:%M}-{quiet.end:%H:%M} {quiet.zone}")
        if self.per_minute is not None:
            parts.append(f"{self.per_minute} a minute at most")
        if self.digest_over is not None:
            parts.append(f"more than {self.digest_over} at once as one message")
        return "; ".join(parts)

    @property
    def per_minute(self) -> int | None:
        """The most attempts in a minute, its own or its channel's; None: no limit."""
        return self.rules.per_minute or self.channel.per_minute

    @property
    def digest_over(self) -> int | None:
        """More due events than these go as one message, its own or its channel's; None: never."""
        return self.rules.digest_over or self.channel.digest_over

    @property
    def is_loopback(self) -> bool:
        """Whether the URL names this very machine by address or as localhost."""
        return is_loopback_host(urlsplit(self.url.get_secret_value()).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether a host is written as this machine: 127.0.0.0/8, ::1 or localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def generic(message: Message, _endpoint: Endpoint) -> str:
    """Canonical JSON with type, timestamp and data."""
    data = {
        "event_id": message.event_id,
        "event_type": message.event_type,
        "kind": message.kind,
        "severity": message.severity,
        "instrument": message.instrument,
        "level": message.level,
        "title": message.title,
        "ts": iso(message.ts),
        "known_at": iso(message.known_at),
        "episode_start": iso(message.episode_start),
        "details": message.details,
        "method_version": message.method_version,
        "data_origin": message.data_origin,
        "worst_tier": message.worst_tier,
    }
    if message.context:
        data["context"] = dict(message.context)
    return canonical({"type": message.event_type, "timestamp": iso(message.known_at), "data": data})


def discord(message: Message, _endpoint: Endpoint) -> str:
    """One embed; nobody is mentioned, whatever a name holds."""
    colour = {"CRITICAL": 0xD32F2F, "WARNING": 0xF9A825}.get(message.severity, 0x607D8B)
    told = "\n".join(f"{cut(name, 40)}: {cut(value, 400)}" for name, value in facts(message))
    embed = {
        "title": _escaped(cut(title_line(message.title), 128)),
        "description": _escaped(cut(told, 1_400)),
        "color": colour,
        "fields": [
            {"name": cut(name, 40), "value": _escaped(cut(value, 100)), "inline": True}
            for name, value in numbers(message)[:10]
        ],
        "footer": {"text": cut(footer(message), 300)},
        "timestamp": iso(message.known_at),
    }
    if link := message.context.get("link"):
        embed["url"] = link
    return canonical({"embeds": [embed], "allowed_mentions": {"parse": []}})


def slack(message: Message, _endpoint: Endpoint) -> str:
    """A section, its numbers and a line of context; the plain text is what a notification shows."""
    title = cut(title_line(message.title), 140) or message.event_type
    mark = {"CRITICAL": ":red_circle:", "WARNING": ":large_yellow_circle:"}.get(message.severity)
    head = f"{mark} *{_entities(title)}*" if mark else f"*{_entities(title)}*"
    lines = [f"{_entities(cut(n, 80))}: {_entities(cut(v, 400))}" for n, v in facts(message)[:20]]
    shown = [
        {"type": "mrkdwn", "text": f"*{_entities(cut(name, 80))}*\n{_entities(cut(value, 200))}"}
        for name, value in numbers(message)[:10]
    ]
    foot = _entities(cut(footer(message), 300))
    if link := message.context.get("link"):
        foot += f" · <{_entities(link)}|look>"
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": head}},
        *({"type": "section", "text": {"type": "mrkdwn", "text": line}} for line in lines),
        *([{"type": "section", "fields": shown}] if shown else []),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": foot}]},
    ]
    return canonical({"text": _entities(title), "blocks": blocks})


def telegram(message: Message, _endpoint: Endpoint) -> str:
    """Plain text, so that nothing in it is markup; only the title is set off. INFO comes silently."""
    title = cut(title_line(message.title), 256)
    found = [*facts(message), *_link(message), *numbers(message)]
    lines = [f"{cut(name, 40)}: {cut(value, 400)}" for name, value in found]
    text = cut("\n".join([title, *lines]), 3_700) + "\n" + cut(footer(message), 300)
    return canonical(
        {
            "text": text,
            "entities": [{"type": "bold", "offset": 0, "length": units(title)}] if title else [],
            "link_preview_options": {"is_disabled": True},
            "disable_notification": message.severity == "INFO",
        }
    )


def mail(message: Message, endpoint: Endpoint) -> str:
    """A whole mail in ASCII, with the event's id as its own: servers and readers drop repeats by it."""
    to = _mail_of(endpoint)
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = _subject(message)
    letter["From"] = to.sender
    letter["To"] = ", ".join(to.to)
    letter["Date"] = message.known_at
    letter["Message-ID"] = f"<{message.event_id}@regime-pipeline>"
    letter["Auto-Submitted"] = "auto-generated"
    if message.severity == "CRITICAL":
        letter["Importance"] = "high"
    letter.set_content(_letter(message), cte="base64")
    return letter.as_bytes().decode("ascii")


def mail_gateway(message: Message, endpoint: Endpoint) -> str:
    """Sender, receivers, subject and text as JSON."""
    to = _mail_of(endpoint)
    return canonical(
        {
            "from": to.sender,
            "to": list(to.to),
            "subject": _subject(message),
            "text": _letter(message),
        }
    )


def service(message: Message, _endpoint: Endpoint) -> str:
    """Title and text for a service that cuts and marks them by itself."""
    return canonical(
        {
            "title": cut(title_line(message.title), 250),
            "text": cut(_letter(message), 8_000),
            "severity": message.severity,
        }
    )


def _link(message: Message) -> list[tuple[str, str]]:
    return [("look", message.context["link"])] if message.context.get("link") else []


def _mail_of(endpoint: Endpoint) -> Mail:
    if endpoint.mail is None:
        raise ValueError(f"{endpoint.name} is spoken to by mail and has no addresses")
    return endpoint.mail


def _subject(message: Message) -> str:
    return cut(f"[{message.severity}] {title_line(message.title)}", 200)


def _letter(message: Message) -> str:
    found = [*facts(message), *_link(message), *numbers(message)]
    lines = [f"{name}: {cut(value, 2_000)}" for name, value in found[:200]]
    text = "\n".join([message.title, "", *lines, "", footer(message)])
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


GENERIC = Channel("http", generic, is_signed=True)
MAIL = Channel(
    "mail", mail, content_type="message/rfc822", way="smtp", per_minute=10, digest_over=5
)
SERVICE = Channel("apprise", service, way="apprise", per_minute=20, digest_over=10)
MAIL_GATEWAY = Channel("mail-gateway", mail_gateway, per_minute=10, digest_over=5)

CHANNELS: tuple[Channel, ...] = (
    Channel(
        "discord",
        discord,
        hosts=("discord.com", "discordapp.com"),
        path=r"/api/(v\d+/)?webhooks/\d+/[^/]+/?",
        judge=answers.discord,
        per_minute=30,
        digest_over=10,
    ),
    Channel(
        "slack",
        slack,
        hosts=("hooks.slack.com", "hooks.slack-gov.com"),
        path=r"/services/.+",
        judge=answers.slack,
        per_minute=60,
        digest_over=10,
    ),
    Channel(
        "telegram",
        telegram,
        hosts=("api.telegram.org",),
        path=r"/bot[^/]+/sendMessage",
        judge=answers.telegram,
        per_minute=20,
        digest_over=10,
        query=("chat_id",),
    ),
)
"""Channels that a receiver's address tells; every other receiver gets :data:`GENERIC`."""


def channel_of(url: str) -> Channel:
    """The channel of a receiver.

    Raises:
        ValueError: it is on a chat's host, and the path is none that takes the chat's format.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    for channel in CHANNELS:
        if channel.is_on(host):
            if re.fullmatch(channel.path, parts.path) is None:
                raise ValueError(f"is no incoming webhook of {channel.name}")
            if missing := set(channel.query) - parse_qs(parts.query).keys():
                raise ValueError(f"lacks ?{min(missing)}=... of {channel.name}")
            return channel
    return GENERIC


def _escaped(text: str) -> str:
    """Text that Discord's markdown leaves as it is."""
    return re.sub(r"([\\`*_~|<>#:@\[\]()])", r"\\\1", text)


def _entities(text: str) -> str:
    """Text that Slack's markup leaves as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
