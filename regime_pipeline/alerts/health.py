"""How a receiver fares: failing, paused, gone, switched off; and who is told of it.

Belongs here: the rules by which a receiver is paused or switched off, and its row in
``alerts.endpoints``. Does not belong here: what an answer means (``answers``), what becomes of a message
(``dispatch``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from regime_pipeline.alerts.attempt import Answer

PAUSE_AFTER = 5
"""Failed attempts in a row after which a receiver is left alone for a while."""
PAUSES_S = (5.0, 30.0, 120.0, 300.0, 900.0)
GONE_AFTER = timedelta(hours=1)
"""A receiver that has said for so long that it no longer exists is switched off."""
DEAD_AFTER = timedelta(days=5)
"""A receiver that has accepted nothing for so long, whatever the reason, is switched off."""


@dataclass(frozen=True)
class Health:
    """A row of ``alerts.endpoints``; see its columns."""

    endpoint: str
    channel: str
    accepted_at: datetime | None = None
    failing_since: datetime | None = None
    gone_since: datetime | None = None
    consecutive_failures: int = 0
    held_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    moved_to: str | None = None

    def is_paused(self, now: datetime) -> bool:
        """Whether nothing but last tries is sent now; a pause longer than any is of another clock."""
        longest = now + timedelta(seconds=PAUSES_S[-1])
        return self.held_until is not None and now < self.held_until <= longest

    def after(self, answer: Answer, now: datetime) -> Health:
        """The state after one more attempt."""
        moved = answer.moved_to or self.moved_to
        if answer.outcome == "delivered":
            return Health(self.endpoint, self.channel, accepted_at=now, moved_to=moved)
        if answer.is_final and not answer.is_gone:
            return replace(self, moved_to=moved)  # the fault is the message's, not the receiver's
        failures = self.consecutive_failures + 1
        waits = []
        if failures >= PAUSE_AFTER:
            waits.append(PAUSES_S[min(failures - PAUSE_AFTER, len(PAUSES_S) - 1)])
        if answer.status == 429 and answer.retry_after_s is not None:
            waits.append(min(answer.retry_after_s, PAUSES_S[-1]))
        found = replace(
            self,
            failing_since=self.failing_since or now,
            gone_since=(self.gone_since or now) if answer.is_gone else None,
            consecutive_failures=failures,
            held_until=now + timedelta(seconds=max(waits)) if waits else None,
            moved_to=moved,
        )
        why = None
        if found.gone_since is not None and now - found.gone_since >= GONE_AFTER:
            why = f"it says that it is gone ({answer.error})"
        elif found.failing_since is not None and now - found.failing_since >= DEAD_AFTER:
            why = f"it accepted nothing for {DEAD_AFTER.days} days; last: {answer.error}"
        return found if why is None else replace(found, disabled_at=now, disabled_reason=why)


def told_of(before: Health, after: Health) -> tuple[str, dict[str, Any]] | None:
    """Title and details of the operational event that a change is worth, or None."""
    details = {"endpoint": after.endpoint, "channel": after.channel}
    if after.disabled_at is not None and before.disabled_at is None:
        return f"alerts to {after.endpoint} are switched off: {after.disabled_reason}", {
            **details,
            "disabled_at": after.disabled_at.isoformat(),
            "remedy": f"mend its address, or: regime alerts endpoints --enable {after.endpoint}",
        }
    if after.gone_since is not None and before.gone_since is None:
        hours = GONE_AFTER / timedelta(hours=1)
        return f"{after.endpoint} says that it is gone; its alerts are lost", {
            **details,
            "since": after.gone_since.isoformat(),
            "remedy": f"mend its address; it is switched off if it still says so in {hours:.0f} h",
        }
    return None


def stored(conn: psycopg.Connection, names: Collection[str]) -> dict[str, Health]:
    """The stored states of receivers, by name."""
    with conn.cursor(row_factory=class_row(Health)) as cursor:
        found = cursor.execute(
            "SELECT endpoint, channel, accepted_at, failing_since, gone_since, consecutive_failures, "
            "held_until, disabled_at, disabled_reason, moved_to "
            "FROM alerts.endpoints WHERE endpoint = ANY(%s)",
            (list(names),),
        )
        return {row.endpoint: row for row in found}


_STORE = """
INSERT INTO alerts.endpoints (endpoint, channel, accepted_at, failing_since, gone_since,
    consecutive_failures, held_until, disabled_at, disabled_reason, moved_to)
VALUES (%(endpoint)s, %(channel)s, %(accepted_at)s, %(failing_since)s, %(gone_since)s,
    %(consecutive_failures)s, %(held_until)s, %(disabled_at)s, %(disabled_reason)s, %(moved_to)s)
ON CONFLICT (endpoint) DO UPDATE SET channel = excluded.channel,
    accepted_at = greatest(alerts.endpoints.accepted_at, excluded.accepted_at),
    failing_since = excluded.failing_since, gone_since = excluded.gone_since,
    consecutive_failures = excluded.consecutive_failures, held_until = excluded.held_until,
    disabled_at = excluded.disabled_at, disabled_reason = excluded.disabled_reason,
    moved_to = excluded.moved_to
"""


def store(conn: psycopg.Connection, health: Health) -> None:
    """Write a state."""
    conn.execute(_STORE, vars(health))


def figures(conn: psycopg.Connection) -> dict[str, str]:
    """How each receiver fares, in a few words by name."""
    rows = conn.execute(
        "SELECT endpoint, delivered, waiting, expired + dead AS lost, latency_p95_ms, disabled_at "
        "FROM alerts.endpoint_figures ORDER BY endpoint"
    ).fetchall()
    return {
        name: f"{delivered} delivered, {waiting} waiting, {lost} lost"
        + ("" if p95 is None else f", answers within {p95:.0f} ms (95 %)")
        + ("" if off is None else f", switched off {off:%Y-%m-%d %H:%M} UTC")
        for name, delivered, waiting, lost, p95, off in rows
    }


def enable(conn: psycopg.Connection, name: str) -> bool:
    """Put a receiver to use again; whether it had a state at all."""
    found = conn.execute(
        "UPDATE alerts.endpoints SET disabled_at = NULL, disabled_reason = NULL, gone_since = NULL, "
        "failing_since = NULL, held_until = NULL, consecutive_failures = 0 WHERE endpoint = %s",
        (name,),
    )
    return found.rowcount > 0
