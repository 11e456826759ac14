"""What an answer of a receiver means: accepted, to be tried again, refused for good, gone, moved.

Belongs here: one function per channel from status and body to a :class:`Verdict`. Does not belong
here: what becomes of the outbox row or of the receiver (``dispatch``, ``health``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FEW = 3
"""Attempts at a message that a generic receiver refuses (a status of :data:`REFUSALS`)."""
REFUSALS = frozenset({400, 401, 403, 404, 405, 413, 415, 422})


@dataclass(frozen=True)
class Verdict:
    """What one answer says.

    Attributes:
        is_accepted: the message is delivered.
        error: what is wrong, in words; None: nothing.
        is_final: this message is not to be sent again.
        is_refusal: it is final once it was said :data:`FEW` times.
        is_gone: the receiver says that it does not exist any more.
        moved_to: the chat's new id; the message goes there at once.
    """

    is_accepted: bool
    error: str | None = None
    is_final: bool = False
    is_refusal: bool = False
    is_gone: bool = False
    moved_to: str | None = None


Judge = Callable[[int, bytes], Verdict]


def plain(status: int, _body: bytes) -> Verdict:
    """A receiver that tells by its status alone."""
    if 200 <= status < 300:
        return Verdict(True)
    gone = status == 410
    return Verdict(
        False,
        f"HTTP {status}",
        is_final=gone,
        is_refusal=status in REFUSALS,
        is_gone=gone,
    )


_DISCORD_GONE = {10003, 10015, 50001, 50027}
"""Unknown channel, unknown webhook, no access, a webhook token that is not valid any more."""
_DISCORD_OURS = {50006, 50035, 50109, 40005}
"""Empty message, a form that is refused, no JSON, too large: the same message never gets through."""


def discord(status: int, body: bytes) -> Verdict:
    """Discord's status and the ``code`` of its body."""
    if 200 <= status < 300:
        return Verdict(True)
    code = _object(body).get("code")
    gone = status in (401, 403, 404, 410) or code in _DISCORD_GONE
    named = f" (code {code})" if isinstance(code, int) and not isinstance(code, bool) else ""
    final = gone or status == 400 or code in _DISCORD_OURS
    return Verdict(False, f"HTTP {status}{named}", is_final=final, is_gone=gone)


_SLACK_GONE = (
    *(
        "no_service",
        "no_service_id",
        "no_team",
        "team_disabled",
        "invalid_token",
        "no_active_hooks",
    ),
    *("channel_not_found", "channel_is_archived", "action_prohibited", "user_not_found"),
)


def slack(status: int, body: bytes) -> Verdict:
    """Slack's status and the word it answers with."""
    if 200 <= status < 300:
        return Verdict(True)
    word = body[:64].decode("ascii", "replace").strip()
    gone = status in (404, 410) or word in _SLACK_GONE
    named = f" ({word})" if word.replace("_", "").isalnum() else ""
    return Verdict(
        False, f"HTTP {status}{named}", is_final=gone or status in (400, 403), is_gone=gone
    )


_TELEGRAM_GONE = ("chat not found", "bot was blocked", "bot was kicked", "user is deactivated")


def telegram(status: int, body: bytes) -> Verdict:
    """Telegram's ``ok``, whatever the status; a group that became a supergroup has a new id."""
    said = _object(body)
    if 200 <= status < 300 and said.get("ok") is True:
        return Verdict(True)
    code = said.get("error_code")
    code = code if isinstance(code, int) and not isinstance(code, bool) else status
    parameters = said.get("parameters")
    moved = parameters.get("migrate_to_chat_id") if isinstance(parameters, dict) else None
    if isinstance(moved, int) and not isinstance(moved, bool):
        return Verdict(False, "the group has a new id", moved_to=str(moved))
    words = str(said.get("description", "")).lower()
    gone = code in (401, 403, 404) or any(w in words for w in _TELEGRAM_GONE)
    error = (
        f"HTTP {status}, ok false (error {code})" if said else f"HTTP {status}, no answer of a bot"
    )
    return Verdict(False, error, is_final=gone or code == 400, is_gone=gone)


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
