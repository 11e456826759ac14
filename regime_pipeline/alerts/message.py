"""What is said of an event, for every kind of receiver: the event itself and its lines for a person.

Belongs here: :class:`Message`, the lines that chats, mails and ``regime alerts`` show, and the text
helpers of channels. Does not belong here: formats of channels (``channels``), finding out what surrounds
an event (``context``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

HORIZONS_H = (1, 4, 24)
"""Hours after which the past is told."""
LONGEST = 4_096
"""Characters of a line that are looked at; no channel shows more."""


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
        context: what surrounds it (``context.event_context``); empty where nothing is known.
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
    context: Mapping[str, Any] = field(default_factory=dict)


def message_in(body: Mapping[str, Any]) -> Message:
    """The event in a body of the generic channel.

    Raises:
        KeyError: it is none.
        ValueError: an instant in it is none.
    """
    data = body["data"]
    at = {
        name: None if data.get(name) is None else datetime.fromisoformat(data[name])
        for name in ("ts", "known_at", "episode_start")
    }
    if at["known_at"] is None:
        raise ValueError("the event does not say when it was known")
    return Message(
        event_id=data["event_id"],
        event_type=data["event_type"],
        severity=data["severity"],
        title=data["title"],
        known_at=at["known_at"],
        details=data["details"],
        data_origin=data["data_origin"],
        worst_tier=data["worst_tier"],
        kind=data["kind"],
        instrument=data["instrument"],
        level=data["level"],
        ts=at["ts"],
        episode_start=at["episode_start"],
        method_version=data["method_version"],
        context=data.get("context", {}),
    )


def message_of_row(row: Mapping[str, Any], origin: str) -> Message:
    """A stored event, with the column ``context`` beside it, as a person is shown it."""
    tier = row["source_tier"]
    return Message(
        event_id=row["event_id"],
        event_type=row["event_type"],
        severity=row["alert_severity"],
        title=row["title"],
        known_at=row["known_at"],
        details=row["details"],
        data_origin=origin,
        worst_tier=None if tier is None else int(tier),
        kind=row["kind"],
        instrument=row["instrument"],
        level=row["level"],
        ts=row["ts"],
        episode_start=row["episode_start"],
        method_version=row["method_version"],
        context=row["context"] or {},
    )


def facts(message: Message) -> list[tuple[str, str]]:
    """What a person needs to know, most important first; what is not known is left out."""
    context = message.context
    found: list[tuple[str, str]] = [
        ("severity", message.severity),
        ("since", text_of(message.episode_start)),
        ("state", _change(context)),
        ("size", _size(context)),
        ("price", _price(context)),
        ("last 24 h", _day(context)),
        ("also", "; ".join(context.get("confirmed_by", ()))),
        ("bound", "lower bound: not all of it was seen" if context.get("is_lower_bound") else ""),
        ("data", _data(message)),
        ("false alarms", _false_alarms(context.get("false_alarms"))),
        ("afterwards", _followed(context.get("followed"))),
        *_told(message),
    ]
    return _clean(found)


def numbers(message: Message) -> list[tuple[str, str]]:
    """The numbers behind the event; what is not known is left out."""
    return _clean([(n, text_of(v)) for n, v in message.details.items() if n != "events"])


def _told(message: Message) -> list[tuple[str, str]]:
    """The events of a digest, as severity and time with the title."""
    events = message.details.get("events")
    if not isinstance(events, list):
        return []
    return [(f"{e['severity']} {e['known_at']}", str(e["title"])) for e in events]


def _clean(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    lines = [(title_line(name), title_line(value)) for name, value in found]
    return [(name, value) for name, value in lines if name and value]


def footer(message: Message) -> str:
    """Where the event comes from; the short id lets a person tell a repeat."""
    known = text_of(message.known_at)
    tier = "" if message.worst_tier is None else f" · tier {message.worst_tier}"
    return f"{known} · {message.data_origin} data{tier} · {message.event_id[:8]}"


def _change(context: Mapping[str, Any]) -> str:
    before, after = context.get("level_before"), context.get("level_now")
    return f"{before} to {after}" if before and after and before != after else ""


def _size(context: Mapping[str, Any]) -> str:
    size = context.get("size") or {}
    if size.get("ratio") is None:
        return ""
    return f"{size['ratio']:.1f} x the median of the {size['days']} days before ({size['of']})"


def _price(context: Mapping[str, Any]) -> str:
    parts = [
        f"{one['symbol']} {text_of(one['price'])}, {_percent(one.get('move_1h'))} in the hour"
        for one in context.get("prices", ())
        if one.get("price") is not None
    ]
    return "; ".join(parts)


def _day(context: Mapping[str, Any]) -> str:
    parts = [
        f"{one['symbol']} {_percent(one.get('move_24h'))}, {text_of(one['low_24h'])} to "
        f"{text_of(one['high_24h'])}"
        for one in context.get("prices", ())
        if one.get("low_24h") is not None
    ]
    return "; ".join(parts)


def _data(message: Message) -> str:
    if message.worst_tier is None and not message.instrument:
        return ""
    told = {"live": "live", "simulated": "simulated, not real", "tape": "replayed history"}
    tier = "" if message.worst_tier is None else f", worst tier {message.worst_tier}"
    return told.get(message.data_origin, message.data_origin) + tier


def _false_alarms(rates: Mapping[str, Any] | None) -> str:
    if not rates:
        return ""
    unit = rates["unit"]
    said = f"where nothing happens {rates['advertised_per_day']:.3g} a {unit}"
    seen = rates.get("realised_per_day")
    if seen is None:
        return f"{said}; last {rates['days']} days: too little stored to say"
    chance = rates.get("chance_share")
    share = "" if chance is None else f", so about {100 * chance:.0f} % may be chance"
    return f"{said}; announced in the last {rates['days']} days {seen:.3g} a {unit}{share}"


def _followed(answers: Mapping[str, Any] | None) -> str:
    if not answers:
        return ""
    if answers.get("reason"):
        return f"history is silent: {answers['reason']}"
    parts = []
    for hours in HORIZONS_H:
        one = answers.get(str(hours))
        if one is None:
            continue
        if one["is_silent"]:
            return f"history is silent: {one['reason']}"
        low, high = one["p_up_low"], one["p_up_high"]
        parts.append(
            f"{hours} h: up {100 * one['p_up']:.0f} % [{100 * low:.0f}, {100 * high:.0f}], all hours "
            f"{100 * one['base_p_up']:.0f} %, median {_percent(one['median'])}"
            + ("" if one["differs"] else ", no difference")
        )
        counts = f"{one['rows']} hours ({one['n_eff']:.0f} effective)"
    return f"{counts}; {'; '.join(parts)}" if parts else ""


def _percent(share: float | None) -> str:
    return "move unknown" if share is None else f"{100 * share:+.1f} %"


MARKS = {"simulated": "SIMULATED", "tape": "REPLAY"}
"""First word of the title of what is not live, by the kind of data."""


def marked(title: str, origin: str) -> str:
    """A title that says what kind of data it is about, where that is not live."""
    return f"{MARKS[origin]} {title}" if origin in MARKS else title


def cut(text: str, limit: int) -> str:
    """The text in at most ``limit`` UTF-16 units, which is how chats count; no character is halved."""
    units = text.encode("utf-16-le", "replace")
    if len(units) <= 2 * limit:
        return units.decode("utf-16-le")
    return units[: 2 * (limit - 1)].decode("utf-16-le", "ignore") + "…"


def units(text: str) -> int:
    """Length of a text in UTF-16 units."""
    return len(text.encode("utf-16-le", "replace")) // 2


def text_of(value: Any) -> str:
    """A value as a person reads it; empty for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return str(value)


def iso(at: datetime | None) -> str | None:
    """An instant as bodies write it, or None."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def canonical(value: Any) -> str:
    """Canonical JSON that is UTF-8."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no UTF-8


def title_line(text: str) -> str:
    """A text on one line, without control characters, for a header or a subject; its start if long."""
    text = text[:LONGEST]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())
