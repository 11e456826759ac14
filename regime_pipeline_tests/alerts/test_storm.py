"""Kills at random moments, and ten thousand events in a minute with receivers good, slow and dead."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import psycopg
import pytest

from regime_pipeline.alerts import signing
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.alerts.outbox import enqueue
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import SystemClock
from regime_pipeline_tests.alerts.receivers import Receiver, event, put, receiving, settings_for

FORKS = """
import os, sys
from pathlib import Path
import pandas as pd
from pydantic import SecretStr
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import SystemClock
from regime_pipeline_tests.alerts.test_storm import PART, found_by_a_run
url, receiver, home, events = sys.argv[1:]
settings = Settings(_env_file=None, home=Path(home), webhooks_all=SecretStr(receiver))
found = pd.read_pickle(events)
for line in sys.stdin:
    child = os.fork()
    if not child:
        database = Database(url)
        for first in map(int, line.split()):
            found_by_a_run(database, settings, found[first : first + PART])
        dispatch_due(database, settings, SystemClock())
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""
"""Starts a process for each line that it reads: it stores the events that begin at the numbers of the
line, as a run does, and sends what is due."""
PART = 12


def now_events(count: int, severity: str = "WARNING", prefix: str = "") -> pd.DataFrame:
    now = pd.Timestamp(SystemClock().now()).floor("s")
    row = event(alert_severity=severity, ts=now, known_at=now, episode_start=now).iloc[0].to_dict()
    return pd.DataFrame(
        [{**row, "event_id": f"{prefix}{i:0{64 - len(prefix)}d}"} for i in range(count)]
    )


def found_by_a_run(database: Database, settings: Settings, events: pd.DataFrame) -> None:
    """Store events and what is to be sent of them in one transaction, as the asset of events does."""
    clock = SystemClock()

    def also(connection: psycopg.Connection, inserted: pd.DataFrame) -> None:
        enqueue(connection, inserted, settings=settings, clock=clock, suppress_reason=None)

    Warehouse(database, clock).merge("alerts.market_events", events, mode="insert", also=also)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("killed", ["dispatcher", "run"])
def test_fault_70_fifty_kills_lose_nothing_and_repeat_at_most_once_each(
    killed, database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path)
    secret, rng, count, kills = signing.signing_secret(settings), random.Random(7), 600, 50
    receiver.drip_s = 0.002
    events = now_events(count, "CRITICAL")
    if killed == "dispatcher":
        found_by_a_run(database, settings, events)
    parts = range(0, count if killed == "run" else 0, PART)
    events.to_pickle(tmp_path / "events")
    command = [sys.executable, "-c", FORKS, database.url, receiver.url, str(tmp_path)]
    command.append(str(tmp_path / "events"))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as forks:
        assert forks.stdout is not None
        assert forks.stdin is not None
        for turn in range(kills):
            # the last that was found, perhaps in vain, and what is new
            print(*parts[max(0, turn - 1) : turn + 1], file=forks.stdin, flush=True)
            worker = int(forks.stdout.readline())
            if killed == "run":
                time.sleep(rng.uniform(0.0, 0.3))
            wanted = len(receiver.requests) + rng.randint(0, 10)
            late = time.monotonic() + (rng.choice((0, 2)) if killed == "run" else 20)
            while len(receiver.requests) < wanted and time.monotonic() < late:
                time.sleep(0.001)
            time.sleep(rng.uniform(0.0, 0.02))
            os.kill(worker, signal.SIGKILL)
            assert forks.stdout.readline() == "ended\n"
        forks.stdin.close()
    assert 0 < len(receiver.requests) < count  # some were sent, none of the kills came too late
    found_by_a_run(database, settings, events)  # the rerun after the last kill
    began = time.monotonic()
    dispatch_due(database, settings, SystemClock(), budget_s=300)
    assert time.monotonic() - began < 240
    # who was killed while sending leaves half a body, which no receiver takes for a message
    whole = [(h, b) for h, b in receiver.requests if len(b) == int(h["content-length"])]
    arrived = Counter(headers["webhook-id"] for headers, _ in whole)
    assert set(arrived) == {f"{i:064d}" for i in range(count)}
    assert sum(n - 1 for n in arrived.values()) <= kills
    bodies = {(h["webhook-id"], body) for h, body in whole}
    assert len(bodies) == count  # a repeat is the same bytes
    for headers, body in whole[:50]:
        signing.verify(secret, body, headers)
    with database.connect() as conn:
        started = dict(
            conn.execute(
                "SELECT event_id, count(*) FROM alerts.delivery_starts GROUP BY 1"
            ).fetchall()
        )
        open_starts = conn.execute(
            "SELECT count(*) FROM alerts.webhook_logs WHERE outcome IS NULL"
        ).fetchone()
        states = conn.execute("SELECT DISTINCT state FROM alerts.outbox").fetchall()
        kept = conn.execute("SELECT count(*) FROM alerts.market_events").fetchone()
    assert all(
        started[event_id] >= n for event_id, n in arrived.items()
    )  # no attempt without a row
    assert open_starts == (0,)
    assert states == [("delivered",)]
    assert kept == (count,)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_fault_72_ten_thousand_events_in_a_minute_reach_the_sound_receiver_and_nothing_is_lost(
    database, tmp_path
):
    with receiving() as fine, receiving() as slow, receiving() as dead:
        slow.drip_s = 1.0
        dead.statuses = [503] * 100_000
        path = tmp_path / "alerts.toml"
        path.write_text(
            f'[endpoints.fine]\nurl = "{fine.url}"\n'
            f'[endpoints.slow]\nurl = "{slow.url}"\ndigest_over = 10\n'
            f'[endpoints.dead]\nurl = "{dead.url}"\ndigest_over = 10\n'
        )
        settings = Settings(_env_file=None, home=tmp_path, alerts_file=path)
        for part in range(10):
            put(database, settings, now_events(1_000, prefix=str(part)), SystemClock())
        put(database, settings, now_events(3, "CRITICAL", "f"), SystemClock())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        while dispatch_due(database, settings, SystemClock(), budget_s=60)["delivered"]:
            pass
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 100_000, f"{grown} kB"
        assert len(ids(fine)) == 10_003
        told = [json.loads(body)["data"] for _, body in slow.requests]
        assert [d["severity"] for d in told[:3]] == ["CRITICAL"] * 3
        assert sum(d["details"].get("count", 1) for d in told) == 10_003
        assert len(dead.requests) <= 20
    with database.connect() as conn:
        kept = dict(
            conn.execute(
                "SELECT endpoint, count(*) FILTER (WHERE event_type <> 'DIGEST') "
                "FROM alerts.outbox GROUP BY 1"
            ).fetchall()
        )
        waiting = conn.execute(
            "SELECT sum((convert_from(body::bytea, 'UTF8')::json -> 'data' -> 'details' ->> 'count')::int) "
            "FROM alerts.outbox WHERE endpoint = 'dead' AND event_type = 'DIGEST' AND state = 'pending'"
        ).fetchone()
    assert kept == {"fine": 10_003, "slow": 10_003, "dead": 10_003}
    assert waiting == (10_000,)


def ids(box: Receiver) -> set[str]:
    return {headers["webhook-id"] for headers, _ in box.requests}
