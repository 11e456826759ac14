"""The dead man's switch: what has stopped, found and told by a path that needs none of it.

Belongs here: looking at database, daemon, hourly tick, collector, waiting alerts, web server, disk and
memory from a process of its own within seconds; telling receivers of a change directly; the note of what
was told. Does not belong here: printing and exit codes (``cli``).

It starts nothing. A part that hangs is one that does not answer in time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from regime_pipeline.alerts import signing
from regime_pipeline.alerts.attempt import Claimed, Sender, Stamps
from regime_pipeline.alerts.endpoints import Endpoint, endpoints, secrets_in
from regime_pipeline.alerts.kinds import STOPPED
from regime_pipeline.alerts.message import Message, marked
from regime_pipeline.alerts.watch import COLLECTOR_LATE, disk_faults, memory_faults
from regime_pipeline.net.client import FAILED, async_client
from regime_pipeline.net.redact import Redactor
from regime_pipeline.settings import Settings
from regime_pipeline.storage import manifests, workers
from regime_pipeline.storage.database import address_at_rest
from regime_pipeline.storage.errors import StorageError
from regime_pipeline.storage.folders import write_private
from regime_pipeline.windows import Clock

STATE_FILE = "heartbeat.json"
DATABASE_S = 2
"""Seconds in which the database must answer; all questions to it together get twice that."""
DAEMON_SILENT = timedelta(seconds=90)
TICK_LATE = timedelta(minutes=125)
"""Two hourly ticks and their start."""
ALERTS_WAIT = timedelta(minutes=2)
"""Two heartbeats by cron. What waits while its receiver is served or paused is no fault."""
BACKUP_LATE = timedelta(hours=26)
"""A nightly backup and its time."""

_ASKED = """
SELECT (SELECT max("timestamp") FROM dagster.daemon_heartbeats WHERE daemon_type = 'SENSOR'),
    (SELECT max("timestamp") FROM dagster.daemon_heartbeats WHERE daemon_type = 'SCHEDULER'),
    (SELECT max("timestamp") FROM dagster.job_ticks WHERE type = 'SCHEDULE' AND status = 'SUCCESS')
"""
_WAITING = """
SELECT count(*), min(greatest(next_at, created_at)) FROM alerts.outbox
WHERE (state = 'pending' AND attempts = 0 OR state = 'sending') AND deliver_before > %(now)s
    AND greatest(next_at, created_at) < %(late)s
    AND NOT EXISTS (
        SELECT 1 FROM alerts.endpoints e WHERE e.endpoint = outbox.endpoint AND e.held_until > %(now)s)
    AND NOT EXISTS (
        SELECT 1 FROM alerts.delivery_starts s
        WHERE s.endpoint = outbox.endpoint AND s.attempted_at > %(late)s)
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Beat:
    """What was found.

    Attributes:
        faults: what has stopped or is short, most important first; empty: all is well.
        at: when it was looked at.
    """

    faults: tuple[str, ...]
    at: datetime

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def line(self) -> str:
        """One line for a person."""
        return "all is well" if self.is_well else "; ".join(self.faults)


@dataclass(frozen=True)
class Asked:
    """What the database said; None: nothing of the kind is stored."""

    sensor_at: datetime | None
    scheduler_at: datetime | None
    tick_at: datetime | None
    waiting: int
    waiting_since: datetime | None
    has_daemon: bool = True
    collector_at: datetime | None = None
    silent_workers: Mapping[str, timedelta] = field(default_factory=dict)


def judged(asked: Asked | str, now: datetime, *, needs_daemon: bool) -> list[str]:
    """What is wrong with what the database said.

    Args:
        asked: its answers, or why there are none.
        now: the present.
        needs_daemon: whether a daemon is to run here; cron jobs need none.
    """
    if isinstance(asked, str):
        return [f"database: {asked}"]
    faults = []
    if needs_daemon:
        for name, seen in (("sensors", asked.sensor_at), ("schedules", asked.scheduler_at)):
            if seen is None:
                faults.append(f"daemon: never ran its {name}")
            elif now - seen > DAEMON_SILENT:
                faults.append(f"daemon: {name} silent for {_long(now - seen)}")
        if asked.tick_at is not None and now - asked.tick_at > TICK_LATE:
            faults.append(f"tick: none for {_long(now - asked.tick_at)}")
    if asked.collector_at is not None and now - asked.collector_at > COLLECTOR_LATE:
        faults.append(f"collector: silent for {_long(now - asked.collector_at)}")
    faults += [f"worker {n}: silent for {_long(t)}" for n, t in asked.silent_workers.items()]
    if asked.waiting and asked.waiting_since is not None:
        faults.append(
            f"alerts: {asked.waiting} wait, the oldest for {_long(now - asked.waiting_since)}"
        )
    return faults


def _long(time: timedelta) -> str:
    minutes = time.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 180 else f"{minutes / 60:.0f} h"


def look(
    settings: Settings, clock: Clock, *, needs_daemon: bool = True, web: str | None = None
) -> Beat:
    """Look at every part; takes some seconds at most, whatever hangs.

    Args:
        settings: where the database is.
        clock: what now is.
        needs_daemon: whether a daemon is to run here.
        web: address of a web server that is to answer; None: none is.
    """
    now = clock.now()
    found = _in_time(lambda: _ask(settings, now), 2.0 * DATABASE_S)
    asked: Asked | str = f"no answer within {2 * DATABASE_S} s" if found is None else found
    faults = judged(asked, now, needs_daemon=needs_daemon)
    if web is not None and (fault := asyncio.run(_web_fault(web))) is not None:
        faults.append(f"web server: {fault}")
    faults += [
        *_backup_faults(settings.backup_dir, now),
        *disk_faults(settings.home),
        *memory_faults(),
    ]
    return Beat(tuple(faults), now)


def _backup_faults(folder: Path | None, now: datetime) -> list[str]:
    """What is wrong with the backups of a folder; nothing is expected where none is named."""
    if folder is None:
        return []
    try:
        late = manifests.age(folder, now)
    except StorageError as error:
        return [f"backup: {error}"]
    if late is None:
        return [f"backup: none in {folder}"]
    return [f"backup: none for {_long(late)}"] if late > BACKUP_LATE else []


def _in_time(call: Callable[[], T], seconds: float) -> T | None:
    """What a call gives, or None when it takes longer; a hanging one is left behind."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


def _ask(settings: Settings, now: datetime) -> Asked | str:
    """The answers of the database, or why there are none."""
    address = address_at_rest(settings)
    if address is None:
        return "none was ever started here"
    try:
        with psycopg.connect(
            address,
            connect_timeout=DATABASE_S,
            autocommit=True,
            application_name="regime_heartbeat",
        ) as conn:
            conn.execute(f"SET statement_timeout = {1000 * DATABASE_S}")
            there = conn.execute(
                "SELECT to_regclass('dagster.job_ticks') IS NOT NULL "
                "AND to_regclass('dagster.daemon_heartbeats') IS NOT NULL, "
                "to_regclass('ops.collector_heartbeat') IS NOT NULL"
            ).fetchone()
            has_daemon = there is not None and bool(there[0])
            collected: datetime | None = None
            if there is not None and there[1]:
                # one that ended as it was told to is missed by nobody; an older schema has no such column
                beat = conn.execute(
                    "SELECT beat_at FROM ops.collector_heartbeat AS h "
                    "WHERE to_jsonb(h) ->> 'ended_at' IS NULL"
                ).fetchone()
                collected = None if beat is None else beat[0]
            beats = conn.execute(_ASKED).fetchone() if has_daemon else None
            sensor, scheduler, tick = (
                None if at is None else at.replace(tzinfo=UTC) for at in beats or (None,) * 3
            )
            gone = workers.silent(workers.beats(conn), now)
            waiting = conn.execute(_WAITING, {"now": now, "late": now - ALERTS_WAIT}).fetchone()
    except psycopg.Error as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    count, since = waiting or (0, None)
    return Asked(sensor, scheduler, tick, count, since, has_daemon, collected, gone)


async def _web_fault(address: str) -> str | None:
    """Why a web server does not answer, or None."""
    try:
        async with async_client(connections=1, timeout_s=2.0) as client, asyncio.timeout(3.0):
            response = await client.get(address)
    except FAILED as error:
        return f"no answer ({type(error).__name__})"
    return None if response.status_code < 500 else f"HTTP {response.status_code}"


def tell(beat: Beat, settings: Settings, clock: Clock) -> list[str]:
    """Tell receivers of a change directly, and ping who counts our beats; never raises for either.

    What a receiver did not take is told again with the next beat. Details that only grow (minutes)
    are no change.

    Returns:
        What did not work, in words.
    """
    targets = [e for e in endpoints(settings) if e.wants(STOPPED.name)]
    if settings.origin != "live":
        targets = [e for e in targets if e.is_loopback]
    parts = sorted(fault.split(":")[0] for fault in beat.faults)
    state = _state(settings.home)
    if state["parts"] != parts:
        state = {"parts": parts, "since": beat.at.isoformat(), "open": [e.name for e in targets]}
    todo = [e for e in targets if e.name in state["open"]]
    problems = asyncio.run(_send(_message(beat, settings, state), todo, settings, clock, beat))
    state["open"] = [name for name, _ in problems if name in {e.name for e in todo}]
    settings.home.mkdir(parents=True, exist_ok=True)
    write_private(settings.home / STATE_FILE, json.dumps(state))
    return [f"{name}: {error}" for name, error in problems]


def _state(home: Path) -> dict[str, Any]:
    """What was found last (``parts``), since when, and who is still to be told of it (``open``)."""
    well: dict[str, Any] = {"parts": [], "since": None, "open": []}
    try:
        kept = json.loads((home / STATE_FILE).read_text())
    except (OSError, ValueError):
        return well  # absent or cut short: a fault is told once more at worst
    return kept if isinstance(kept, dict) and kept.keys() >= well.keys() else well


def _message(beat: Beat, settings: Settings, state: dict[str, Any]) -> Message:
    named = f"{STOPPED.name}|heartbeat|{state['since']}|{','.join(state['parts'])}"
    title = f"stopped: {beat.line}" if beat.faults else "all runs again"
    return Message(
        event_id=hashlib.sha256(named.encode()).hexdigest(),
        event_type=STOPPED.name,
        severity="CRITICAL" if beat.faults else "INFO",
        title=marked(title, settings.origin),
        known_at=beat.at,
        details={"faults": "; ".join(beat.faults), "since": state["since"]},
        data_origin=settings.origin,
    )


async def _send(
    message: Message, targets: list[Endpoint], settings: Settings, clock: Clock, beat: Beat
) -> list[tuple[str, str]]:
    """Who could not be reached, and why."""
    redactor = Redactor.of(settings, secrets_in(targets))
    problems: list[tuple[str, str]] = []
    async with async_client(
        connections=max(4, len(targets)), timeout_s=settings.webhook_deadline_s
    ) as client:
        sender = Sender(client, signing.signing_secrets(settings), redactor, settings)

        async def one(endpoint: Endpoint) -> None:
            body = endpoint.channel.body(message, endpoint).encode()
            claimed = Claimed(message.event_id, body, 1, beat.at + timedelta(hours=1))
            answer = await sender.send(endpoint, claimed, Stamps(clock))
            if answer.outcome != "delivered":
                problems.append((endpoint.name, answer.error or answer.outcome))

        await asyncio.gather(*(one(e) for e in targets))
        if beat.is_well and settings.heartbeat_url is not None:
            try:
                async with asyncio.timeout(settings.webhook_deadline_s):
                    pinged = await client.get(settings.heartbeat_url.get_secret_value())
                if pinged.status_code >= 300:
                    problems.append(("REGIME_HEARTBEAT_URL", f"HTTP {pinged.status_code}"))
            except FAILED as error:
                problems.append(("REGIME_HEARTBEAT_URL", type(error).__name__))
    return problems
