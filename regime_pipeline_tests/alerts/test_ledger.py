"""What the ledger says of attempts, receivers that fail for long, storms, and what a person asks for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pandas as pd
import psycopg
import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from regime_pipeline.alerts import health, ledger, signing
from regime_pipeline.alerts.attempt import Answer
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.alerts.endpoints import ConfigurationError, endpoints
from regime_pipeline.alerts.health import DEAD_AFTER, GONE_AFTER, PAUSE_AFTER, Health, told_of
from regime_pipeline.alerts.outbox import ACKNOWLEDGED, acknowledge, enqueue_system, retry
from regime_pipeline.reporting import deliveries
from regime_pipeline.settings import Settings
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.alerts.receivers import NOW, event, outbox, put, settings_for

KILLED = """
import os, signal, sys
from regime_pipeline.alerts import attempt
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import FixedClock, utc
from pydantic import SecretStr
from pathlib import Path
async def dies(self, *_):
    os.kill(os.getpid(), signal.SIGKILL)
attempt.Sender.send = dies
url, receiver, home = sys.argv[1:]
settings = Settings(_env_file=None, home=Path(home), webhooks_all=SecretStr(receiver))
dispatch_due(Database(url), settings, FixedClock(utc("2024-08-05T01:02:00Z")))
"""


def log(database, event_id: str = "a" * 64) -> list[tuple]:
    found = deliveries.attempts(database, event_id)
    return [(r["attempt"], r["outcome"], r["success"], r["error_class"]) for r in found]


def many(count: int, severity: str = "WARNING", first: int = 0) -> pd.DataFrame:
    frames = [
        event(event_id=f"{i:064d}", alert_severity=severity, title=f"event {i}")
        for i in range(first, first + count)
    ]
    return pd.concat(frames, ignore_index=True)


def stored(database, settings, frame: pd.DataFrame) -> None:
    """Events with their rows, as the pipeline writes them."""
    with database.connect() as conn:
        conn.execute("SELECT ops.ensure_partition('alerts.market_events', '2024-08-01')")
        for row in frame.to_dict("records"):
            columns = ", ".join(row)
            conn.execute(
                f"INSERT INTO alerts.market_events ({columns}, ingested_at, revision) "
                f"VALUES ({', '.join(['%s'] * len(row))}, now(), 1)",
                list(row.values()),
            )
    put(database, settings, frame)


def test_what_was_known_of_deliveries_at_an_instant_is_told_again(database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    receiver.statuses = [500]
    stored(database, settings, many(1))
    for minute in (1, 3):
        dispatch_due(database, settings, FixedClock(NOW + timedelta(minutes=minute)))

    def asked(sql: str, minute: float) -> list[tuple]:
        with database.connect() as conn:
            return conn.execute(sql, (NOW + timedelta(minutes=minute),)).fetchall()

    logs = "SELECT attempt, success FROM reporting.webhook_logs_as_of(%s) ORDER BY attempt"
    counts = "SELECT endpoints, delivered, failed FROM reporting.market_events_as_of(%s)"
    with database.connect() as conn:
        conn.execute("UPDATE alerts.market_events SET ingested_at = %s", (NOW,))
    assert asked(logs, 0) == []
    assert asked(logs, 2) == [(1, False)]
    assert asked(logs, 4) == [(1, False), (2, True)]
    assert asked(counts, -1) == []
    assert asked(counts, 2) == [(1, 0, None)]
    assert asked(counts, 4) == [(1, 1, None)]
    with database.connect() as conn:  # an attempt is under way between its start and its outcome
        conn.execute(
            "UPDATE alerts.delivery_attempts SET recorded_at = recorded_at + interval '1 h'"
        )
    assert asked(logs, 4) == [(1, None), (2, None)]
    assert asked(counts, 4) == [(1, 0, None)]


def test_no_event_can_be_read_after_one_with_a_higher_number(database, receiver, tmp_path):
    """Who stores events waits for whoever numbered some before and has not committed yet."""
    stored(database, settings_for(receiver, tmp_path), many(2))
    another = (
        "INSERT INTO alerts.market_events SELECT (jsonb_populate_record(e, jsonb_build_object("
        "'event_id', %s::text))).* FROM alerts.market_events e ORDER BY event_id LIMIT 1"
    )
    with database.connect() as first:
        first.execute(another, ("first",))
        with pytest.raises(psycopg.errors.LockNotAvailable), database.connect() as second:
            second.execute("SET LOCAL lock_timeout = '50ms'")
            second.execute(another, ("second",))
    with database.connect() as third:
        third.execute(another, ("third",))
    with database.connect() as conn:
        numbers = dict(
            conn.execute("SELECT event_id, stored_order FROM alerts.market_events").fetchall()
        )
    assert sorted(numbers, key=numbers.get) == [f"{0:064d}", f"{1:064d}", "first", "third"]


@pytest.mark.slow
def test_fault_70_a_killed_dispatcher_leaves_its_attempt_and_holds_nobody_up(
    database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path)
    put(database, settings, many(3, "CRITICAL"))
    command = [sys.executable, "-c", KILLED, database.url, receiver.url, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert log(database, f"{0:064d}") == [
        (1, None, None, "under way, or the dispatcher ended before it had an answer")
    ]
    assert {state for _, state, _, _ in outbox(database)} == {"sending"}
    a_second_later = FixedClock(NOW + timedelta(seconds=1))  # its lease would hold for 30
    assert dispatch_due(database, settings, a_second_later)["delivered"] == 3
    assert log(database, f"{0:064d}") == [
        (1, "unknown", False, ledger.LOST),
        (2, "delivered", True, None),
    ]
    assert log(database, f"{1:064d}") == [(1, "delivered", True, None)]


def test_fault_71_who_lost_its_lease_begins_nothing_and_settles_nothing(
    database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    name = endpoints(settings)[0].name
    with database.connect(autocommit=True) as slow, database.connect(autocommit=True) as quick:
        first = ledger.Ledger(slow, name, timedelta(seconds=30))
        second = ledger.Ledger(quick, name, timedelta(seconds=30))
        first.open()
        second.open()
        later = NOW + timedelta(seconds=31)
        (claimed,) = first.claim(NOW, batch=5, last=NOW)
        assert second.claim(NOW, batch=5, last=NOW) == []  # the first one lives
        assert first.step(None, claimed, NOW) == 1
        (again,) = second.claim(later, batch=5, last=later)
        answer = Answer("delivered", 1.0, 204)
        late = ledger.Settled(claimed, 1, NOW, answer, "delivered", None, later, later)
        first.step(late, None, later)
        assert [state for _, state, _, _ in outbox(database)] == ["sending"]
        assert first.step(None, claimed, later) is None
        assert second.step(None, again, later) == 2


def test_the_seeds_columns_of_the_webhook_log_are_there(database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    dispatch_due(database, settings, FixedClock(NOW))
    with database.connect() as conn:
        found = conn.execute(
            'SELECT id, webhook_url, event_id, success, response_code, "timestamp" '
            "FROM alerts.webhook_logs"
        ).fetchall()
    name = endpoints(settings)[0].name
    assert found == [(f"{'a' * 64}:{name}:1", name, "a" * 64, True, 204, NOW)]
    (figures,) = deliveries.endpoint_figures(database)
    assert (figures["delivered"], figures["attempts"], figures["failed_attempts"]) == (1, 1, 0)
    assert figures["accepted_at"] == NOW
    assert figures["latency_p50_ms"] > 0


GONE = Answer("failed", 1.0, 410, "HTTP 410", is_final=True, is_gone=True)
DOWN = Answer("failed", 1.0, 503, "HTTP 503")
ACCEPTED = Answer("delivered", 1.0, 204)
FRESH = Health("http-1", "http")


def test_fault_66_a_receiver_that_is_gone_for_an_hour_is_switched_off_and_told_of():
    first = FRESH.after(GONE, NOW)
    title, details = told_of(FRESH, first) or ("", {})
    assert "says that it is gone" in title
    assert details["since"] == NOW.isoformat()
    soon = first.after(GONE, NOW + GONE_AFTER - timedelta(seconds=1))
    assert soon.disabled_at is None
    assert told_of(first, soon) is None
    assert first.after(ACCEPTED, NOW + timedelta(minutes=5)).gone_since is None
    off = soon.after(GONE, NOW + GONE_AFTER)
    assert off.disabled_at == NOW + GONE_AFTER
    assert "switched off" in (told_of(soon, off) or ("",))[0]


def test_fault_73_a_receiver_that_is_dead_for_days_is_left_alone_then_switched_off():
    state = FRESH
    for _ in range(PAUSE_AFTER):
        assert not state.is_paused(NOW)
        state = state.after(DOWN, NOW)
    assert state.is_paused(NOW)
    assert not state.is_paused(NOW - timedelta(hours=1))  # set by a clock that was wrong
    state = state.after(DOWN, NOW + DEAD_AFTER - timedelta(seconds=1))
    assert state.disabled_at is None
    state = state.after(DOWN, NOW + DEAD_AFTER)
    assert state.disabled_reason == "it accepted nothing for 5 days; last: HTTP 503"
    ours = Answer("failed", 1.0, 400, "HTTP 400", is_final=True)
    assert FRESH.after(ours, NOW) == FRESH  # a message that is refused says nothing of the receiver


def test_fault_66_what_waits_for_a_receiver_that_is_off_is_suppressed_until_it_is_put_to_use(
    database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path)
    receiver.statuses = [410]
    put(database, settings, event())
    assert dispatch_due(database, settings, FixedClock(NOW))["dead"] == 1
    (told,) = [row for row in outbox(database) if row[0] != "a" * 64]
    assert told[1] == "pending"  # that it is gone is an event of its own
    receiver.statuses = [410] * 5
    dispatch_due(database, settings, FixedClock(NOW + GONE_AFTER))
    name = endpoints(settings)[0].name
    put(database, settings, event(event_id="c" * 64), FixedClock(NOW + GONE_AFTER))
    state = {row[0]: row[1::2] for row in outbox(database)}["c" * 64]
    assert state == (
        "suppressed",
        "its receiver is switched off: it says that it is gone (HTTP 410)",
    )
    receiver.statuses = []
    with database.connect() as conn:
        assert health.enable(conn, name)
        assert retry(conn, "c" * 64, None, settings=settings, clock=FixedClock(NOW)) == 1
    assert dispatch_due(database, settings, FixedClock(NOW + GONE_AFTER))["delivered"] >= 1
    assert {row[0]: row[1] for row in outbox(database)}["c" * 64] == "delivered"


def test_fault_73_a_dead_receiver_gets_five_attempts_and_then_a_pause(database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    receiver.statuses = [503] * 100
    put(database, settings, many(20))
    assert dispatch_due(database, settings, FixedClock(NOW))["failed"] == PAUSE_AFTER
    assert dispatch_due(database, settings, FixedClock(NOW))["failed"] == 0
    receiver.statuses = []
    assert (
        dispatch_due(database, settings, FixedClock(NOW + timedelta(minutes=6)))["delivered"] == 20
    )


def file_of(tmp_path, text: str) -> dict[str, object]:
    path = tmp_path / "alerts.toml"
    path.write_text(text)
    return {"_env_file": None, "home": tmp_path, "alerts_file": path}


def test_fault_72_many_events_at_once_become_a_digest_beside_what_is_critical(
    database, receiver, tmp_path
):
    told = file_of(tmp_path, f'[endpoints.night]\nurl = "{receiver.url}"\ndigest_over = 5\n')
    settings = Settings(**told)
    stored(database, settings, many(30))
    stored(database, settings, many(2, "CRITICAL", 100))
    counts = dispatch_due(database, settings, FixedClock(NOW))
    assert (counts["delivered"], counts["digested"]) == (3, 30)
    bodies = [json.loads(body)["data"] for _, body in receiver.requests]
    assert [b["severity"] for b in bodies] == ["CRITICAL", "CRITICAL", "WARNING"]
    digest = bodies[2]
    assert (digest["event_type"], digest["details"]["count"]) == ("DIGEST", 30)
    assert digest["details"]["events"][7]["title"] == "event 7"
    (row,) = deliveries.deliveries(database, f"{7:064d}")
    assert (row["state"], row["digest_id"], row["digest_state"]) == (
        "digested",
        digest["event_id"],
        "delivered",
    )
    assert [r[1] for r in log(database, f"{7:064d}")] == ["delivered"]
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 0


def test_a_receiver_gets_no_more_in_a_minute_than_it_may(database, receiver, tmp_path):
    told = file_of(tmp_path, f'[endpoints.night]\nurl = "{receiver.url}"\nper_minute = 3\n')
    settings = Settings(**told)
    put(database, settings, many(5))
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 3
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 0
    assert (
        dispatch_due(database, settings, FixedClock(NOW + timedelta(seconds=61)))["delivered"] == 2
    )


def test_in_quiet_hours_all_but_critical_waits_for_their_end(database, receiver, tmp_path):
    told = file_of(tmp_path, f'[endpoints.night]\nurl = "{receiver.url}"\nquiet = "22:00-02:00"\n')
    settings = Settings(**told)
    put(database, settings, event(alert_severity="WARNING"))
    put(database, settings, event(event_id="b" * 64))
    put(
        database,
        settings,
        event(
            event_id="c" * 64,
            alert_severity="WARNING",
            known_at=event()["known_at"][0] - pd.Timedelta("90min"),
        ),
    )  # its two hours are over before the quiet ones
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    assert {r[0][0]: r[1] for r in outbox(database)} == {
        "a": "pending",
        "b": "delivered",
        "c": "suppressed",
    }
    at_two = FixedClock(NOW.replace(hour=2, minute=0))
    assert dispatch_due(database, settings, at_two)["delivered"] == 1


def test_what_a_person_acknowledged_is_not_told_again_before_the_state_changes(
    database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path)

    def at(minute: int, letter: str, level: str) -> pd.DataFrame:
        known = pd.Timestamp("2024-08-05T01:00Z") + pd.Timedelta(minutes=minute)
        return event(
            event_id=letter * 64, level=level, known_at=known, ts=known, episode_start=known
        )

    stored(database, settings, at(0, "a", "5"))
    with database.connect() as conn:
        assert acknowledge(conn, "a" * 64, FixedClock(NOW))
        assert not acknowledge(conn, "f" * 64, FixedClock(NOW))
    stored(database, settings, at(1, "b", "5"))
    stored(database, settings, at(2, "c", "4"))
    stored(database, settings, at(3, "d", "5"))
    assert {r[0][0]: (r[1], r[3]) for r in outbox(database)} == {
        "a": ("suppressed", ACKNOWLEDGED),
        "b": ("suppressed", ACKNOWLEDGED),
        "c": ("pending", None),
        "d": ("pending", None),
    }


def test_fault_74_while_secrets_change_over_a_receiver_with_either_is_content(
    database, receiver, tmp_path
):
    new, old = ("whsec_" + letter * 32 for letter in "AB")
    settings = settings_for(
        receiver, tmp_path, webhook_secret=SecretStr(new), previous_webhook_secret=SecretStr(old)
    )
    put(database, settings, event(), FixedClock(NOW))
    dispatch_due(database, settings, FixedClock(NOW))
    ((headers, body),) = receiver.requests
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        Webhook(secret).verify(body, headers)


def test_fault_74_a_kept_secret_is_replaced_while_messages_are_delivered(
    database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path, clock=NOW.isoformat())
    old = signing.signing_secret(settings)
    until = signing.rotate(settings, NOW)
    new = signing.signing_secret(settings)
    assert new != old
    put(database, settings, event(), FixedClock(NOW))
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    ((headers, body),) = receiver.requests
    for secret in (new, old):
        Webhook(secret.get_secret_value()).verify(body, headers)
    with pytest.raises(ConfigurationError, match="still changing over"):
        signing.rotate(settings, NOW)
    later = settings.model_copy(update={"clock": until.isoformat()})
    assert signing.signing_secrets(later) == (new,)
    for name in (signing.SECRET_FILE, signing.PREVIOUS_FILE):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_an_operational_event_is_told_by_severity_too(database, receiver, tmp_path):
    told = file_of(tmp_path, f'[endpoints.night]\nurl = "{receiver.url}"\nseverity = "CRITICAL"\n')
    settings = Settings(**told)
    enqueue_system(database, settings=settings, clock=FixedClock(NOW), title="x", details={})
    assert outbox(database) == []


@pytest.mark.parametrize("state", ["delivered", "sending"])
def test_what_was_delivered_or_is_under_way_is_not_sent_again(database, receiver, tmp_path, state):
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    with database.connect() as conn:
        conn.execute("UPDATE alerts.outbox SET state = %s", (state,))
        assert retry(conn, "a" * 64, None, settings=settings, clock=FixedClock(NOW)) == 0
