"""Channels: how an event is said to each kind of receiver, one function each.

A function takes the event and the endpoint and makes the body of the request, once, when the event is
stored; those bytes are kept and sent, however often. A receiver on a known chat host is spoken to in
that chat's format by itself. Belongs here: formats, their limits and escaping, which answers of a channel
are final. Does not belong here: when and how often something is sent (``dispatch``).

A further channel is a function and a row of :data:`CHANNELS`.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr


@dataclass(frozen=True)
class Message:
    """An event as channels see it.

    Attributes:
        event_id: identity; receivers drop repeats by it.
        event_type: one of ``kinds.TYPES``.
        severity: INFO, WARNING or CRITICAL.
        title: one line for a person; begins with SIMULATED or REPLAY where the data is not live.
        known_at: when it could be known.
        details: the numbers behind it, plain values.
        data_origin: live, simulated or tape.
        worst_tier: worst ``source_tier`` among the rows it was made of; None: of none.
        kind: start, escalation, end, change or calming; None: no episode.
        instrument: symbol, or ``A|B``; None: about no market.
        level: level reached.
        ts: row or print that announced it.
        episode_start: first row of its episode.
        method_version: definition and thresholds.
    """

    event_id: str
    event_type: str
    severity: str
    title: str
    known_at: datetime
    details: dict[str, Any]
    data_origin: str
    worst_tier: int | None = None
    kind: str | None = None
    instrument: str | None = None
    level: str | None = None
    ts: datetime | None = None
    episode_start: datetime | None = None
    method_version: str | None = None


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
        final: statuses after which this message is not sent again.
    """

    name: str
    body: Callable[[Message, Endpoint], str]
    hosts: tuple[str, ...] = ()
    path: str = ".*"
    content_type: str = "application/json"
    is_signed: bool = False
    final: frozenset[int] = frozenset({404, 410})

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
    """

    name: str
    url: SecretStr
    event_types: tuple[str, ...] | None
    channel: Channel

    def wants(self, event_type: str) -> bool:
        """Whether this endpoint is for events of the type."""
        return self.event_types is None or event_type in self.event_types

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
        "ts": _iso(message.ts),
        "known_at": _iso(message.known_at),
        "episode_start": _iso(message.episode_start),
        "details": message.details,
        "method_version": message.method_version,
        "data_origin": message.data_origin,
        "worst_tier": message.worst_tier,
    }
    return _json({"type": message.event_type, "timestamp": _iso(message.known_at), "data": data})


def discord(message: Message, _endpoint: Endpoint) -> str:
    """One embed; nobody is mentioned, whatever a name holds."""
    colour = {"CRITICAL": 0xD32F2F, "WARNING": 0xF9A825}.get(message.severity, 0x607D8B)
    shown = [
        {"name": cut(name, 40), "value": _escaped(cut(value, 100)), "inline": True}
        for name, value in _facts(message)[:20]
    ]
    embed = {
        "title": _escaped(cut(message.title, 128)),
        "color": colour,
        "fields": shown,
        "footer": {"text": cut(_footer(message), 300)},
        "timestamp": _iso(message.known_at),
    }
    return _json({"embeds": [embed], "allowed_mentions": {"parse": []}})


def slack(message: Message, _endpoint: Endpoint) -> str:
    """A section, its numbers and a line of context; the plain text is what a notification shows."""
    title = cut(message.title, 140)
    mark = {"CRITICAL": ":red_circle:", "WARNING": ":large_yellow_circle:"}.get(message.severity)
    head = f"{mark} *{_entities(title)}*" if mark else f"*{_entities(title)}*"
    shown = [
        {"type": "mrkdwn", "text": f"*{_entities(cut(name, 80))}*\n{_entities(cut(value, 200))}"}
        for name, value in _facts(message)[:10]
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": head}},
        *([{"type": "section", "fields": shown}] if shown else []),
        {
            "type": "context",
            "elements": [{"type": "mrkdwn", "text": _entities(cut(_footer(message), 300))}],
        },
    ]
    return _json({"text": _entities(title), "blocks": blocks})


GENERIC = Channel("http", generic, is_signed=True, final=frozenset({410}))

CHANNELS: tuple[Channel, ...] = (
    Channel(
        "discord",
        discord,
        hosts=("discord.com", "discordapp.com"),
        path=r"/api/(v\d+/)?webhooks/\d+/[^/]+/?",
        final=frozenset({400, 401, 403, 404, 410}),
    ),
    Channel(
        "slack",
        slack,
        hosts=("hooks.slack.com", "hooks.slack-gov.com"),
        path=r"/services/.+",
        final=frozenset({400, 403, 404, 410}),
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
            return channel
    return GENERIC


def cut(text: str, limit: int) -> str:
    """The text in at most ``limit`` UTF-16 units, which is how chats count; no character is halved."""
    units = text.encode("utf-16-le", "replace")
    if len(units) <= 2 * limit:
        return units.decode("utf-16-le")
    return units[: 2 * (limit - 1)].decode("utf-16-le", "ignore") + "…"


def _facts(message: Message) -> list[tuple[str, str]]:
    """Names and values worth showing in a chat, in order; what is not known is left out."""
    facts = [
        ("severity", message.severity),
        ("since", _text(message.episode_start)),
        *((name, _text(value)) for name, value in message.details.items()),
    ]
    return [(name, value) for name, value in facts if value]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return str(value)


def _footer(message: Message) -> str:
    """Where the event comes from; the short id lets a person tell a repeat."""
    known = _text(message.known_at)
    tier = "" if message.worst_tier is None else f" · tier {message.worst_tier}"
    return f"{known} · {message.data_origin} data{tier} · {message.event_id[:8]}"


def _escaped(text: str) -> str:
    """Text that Discord's markdown leaves as it is."""
    return re.sub(r"([\\`*_~|<>#:@\[\]()])", r"\\\1", text)


def _entities(text: str) -> str:
    """Text that Slack's markup leaves as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(value: Any) -> str:
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no UTF-8


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
