"""From an inserted event to a verified message, over real HTTP and the real outbox table."""

from __future__ import annotations

import gzip
import json
import threading
from datetime import timedelta

import pandas as pd
import pytest
from pydantic import SecretStr

from regime_pipeline.alerts import signing
from regime_pipeline.alerts.dispatch import LEASE, dispatch_due
from regime_pipeline.alerts.endpoints import endpoints
from regime_pipeline.alerts.kinds import BACKFILL, MARKET
from regime_pipeline.alerts.ledger import Ledger
from regime_pipeline.alerts.outbox import enqueue_system, let_go
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.registry import table
from regime_pipeline.reporting import queries
from regime_pipeline.reporting.status import status_of
from regime_pipeline.settings import Settings
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, FixedClock, SystemClock, Window
from regime_pipeline_tests.alerts.receivers import NOW, event, outbox, put, settings_for

EVENTS = [t.name for t in MARKET]


def test_an_event_arrives_once_signed_over_the_exact_bytes(database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    assert put(database, settings, event()) == 1
    assert put(database, settings, event()) == 1  # the same event again adds no row
    counts = dispatch_due(database, settings, FixedClock(NOW))
    assert counts["delivered"] == 1
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 0
    ((headers, body),) = receiver.requests
    assert headers["webhook-id"] == "a" * 64
    signing.verify(signing.signing_secret(settings), body, headers)
    assert json.loads(body)["data"]["title"] == "BTC/USDT liquidation cascade"
    with pytest.raises(signing.BadSignature):
        signing.verify(signing.signing_secret(settings), body + b" ", headers)


def test_fault_62_a_failed_attempt_is_repeated_later_with_the_same_id_and_bytes(
    database, receiver, tmp_path
):
    receiver.statuses = [500, 503, 500]
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    at = NOW
    for _ in range(4):
        dispatch_due(database, settings, FixedClock(at))
        at += timedelta(minutes=3)
    assert [state for _, state, _, _ in outbox(database)] == ["delivered"]
    assert len({(h["webhook-id"], b) for h, b in receiver.requests}) == 1
    assert len(receiver.requests) == 4
    for headers, body in receiver.requests:  # each has a signature of its own time
        signing.verify(signing.signing_secret(settings), body, headers)
    with database.connect() as conn:
        log = conn.execute(
            "SELECT attempt, outcome FROM alerts.delivery_attempts ORDER BY 1"
        ).fetchall()
    assert log == [(1, "failed"), (2, "failed"), (3, "failed"), (4, "delivered")]


def test_fault_64_who_acts_and_answers_too_late_can_drop_the_repeat_by_its_id(
    database, receiver, tmp_path
):
    receiver.drip_s = 3.0
    settings = settings_for(receiver, tmp_path, webhook_deadline_s=0.5)
    put(database, settings, event())
    dispatch_due(database, settings, FixedClock(NOW), budget_s=2)
    receiver.drip_s = 0.0
    dispatch_due(database, settings, FixedClock(NOW + timedelta(minutes=3)))
    assert [state for _, state, _, _ in outbox(database)] == ["delivered"]
    assert len(receiver.requests) == 2
    assert len({(h["webhook-id"], b) for h, b in receiver.requests}) == 1


def test_nothing_is_sent_after_its_limit(database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    counts = dispatch_due(database, settings, FixedClock(NOW + timedelta(days=3)))
    assert counts["expired"] == 1
    assert receiver.requests == []


def test_fault_82_a_backfill_and_an_old_event_are_suppressed_with_the_reason(
    database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event(), suppress="backfill")
    put(
        database,
        settings,
        event(event_id="b" * 64, known_at=pd.Timestamp("2024-07-01T00:00Z")),
    )
    dispatch_due(database, settings, FixedClock(NOW))
    assert receiver.requests == []
    rows = outbox(database)
    assert {r[1] for r in rows} == {"suppressed"}
    assert {r[3] for r in rows} == {"backfill", "older than its delivery limit when it was found"}


@pytest.mark.parametrize("found_first", ["news", "backfill"])
def test_the_all_clear_of_what_was_sent_is_sent_and_minor_news_is_not(
    found_first, database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path)
    volatility = {"event_type": "VOLATILITY_REGIME_CHANGE", "alert_severity": "INFO"}
    minor = event(**volatility, kind="change", title="up a little")
    calm = event(**volatility, kind="calming", title="all clear", event_id="b" * 64)
    known = conform(pd.concat([minor, calm], ignore_index=True), table("alerts.market_events"))
    Warehouse(database, FixedClock(NOW)).merge("alerts.market_events", known, mode="insert")
    for each in (minor, calm):
        put(database, settings, each, suppress=BACKFILL if found_first == "backfill" else None)
    with database.connect() as conn, conn.transaction():
        let_go(conn, list(known["event_id"]), settings=settings, clock=FixedClock(NOW))
    dispatch_due(database, settings, FixedClock(NOW))
    assert [json.loads(body)["data"]["title"] for _, body in receiver.requests] == ["all clear"]


def test_fault_65_a_redirect_is_a_failure_and_is_not_followed(database, receiver, tmp_path):
    receiver.statuses = [302]
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    assert dispatch_due(database, settings, FixedClock(NOW))["failed"] == 1
    assert len(receiver.requests) == 1


def test_fault_63_a_slow_receiver_is_cut_at_the_total_deadline_and_recorded_as_unknown(
    database, receiver, tmp_path
):
    receiver.drip_s = 3.0
    settings = settings_for(receiver, tmp_path, webhook_deadline_s=0.5)
    put(database, settings, event())
    assert dispatch_due(database, settings, FixedClock(NOW), budget_s=2)["failed"] == 1
    with database.connect() as conn:
        ((outcome, latency),) = conn.execute(
            "SELECT outcome, latency_ms FROM alerts.delivery_attempts"
        ).fetchall()
    assert outcome == "unknown"
    assert latency is None or latency < 2_000


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_fault_69_a_huge_answer_is_read_to_a_cap_and_is_an_answer(
    database, receiver, tmp_path, packed
):
    huge = b"a" * 20_000_000
    receiver.statuses = [200]
    receiver.reply = gzip.compress(huge, 1) * 20 if packed else huge
    receiver.headers = {"content-encoding": "gzip"} if packed else {}
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    with database.connect() as conn:
        ((kept,),) = conn.execute(
            "SELECT response_excerpt FROM alerts.delivery_attempts"
        ).fetchall()
    assert len(kept) <= 2000
    assert packed or set(kept) <= {"a", "…"}


class Shifted(SystemClock):
    """A host clock that is wrong by so much, until it is set."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self.offset = offset

    def now(self):
        return super().now() + self.offset


def live_event(**changes: object) -> pd.DataFrame:
    now = pd.Timestamp(SystemClock().now()).floor("s")
    return event(ts=now, episode_start=now, known_at=now, **changes)


@pytest.mark.parametrize("offset", [timedelta(minutes=10), timedelta(hours=-1)])
def test_fault_35_a_receiver_whose_clock_is_another_gets_a_signature_of_its_time(
    offset, database, receiver, tmp_path
):
    settings = settings_for(receiver, tmp_path)
    secret = signing.signing_secret(settings)

    def judged(headers: dict[str, str], body: bytes) -> int:
        try:
            signing.verify(secret, body, headers)
        except signing.BadSignature:
            return 401
        return 204

    receiver.judge = judged
    clock = Shifted(offset)
    put(database, settings, live_event(), clock=clock)
    put(database, settings, live_event(event_id="b" * 64), clock=clock)
    counts = dispatch_due(database, settings, clock)
    assert counts["delivered"] == 2
    assert [judged(h, b) for h, b in receiver.requests] == [401, 204, 204]  # asked once more, once
    assert len({b for h, b in receiver.requests if h["webhook-id"] == "a" * 64}) == 1
    with database.connect() as conn:
        attempts = conn.execute("SELECT attempt, outcome FROM alerts.delivery_attempts").fetchall()
    assert attempts == [(1, "delivered"), (1, "delivered")]


def test_fault_35_a_refusal_by_a_clock_in_step_is_not_asked_again(database, receiver, tmp_path):
    receiver.statuses = [401]
    settings = settings_for(receiver, tmp_path)
    put(database, settings, live_event(), clock=SystemClock())
    assert dispatch_due(database, settings, SystemClock())["failed"] == 1
    assert len(receiver.requests) == 1


def test_fault_35_a_clock_set_back_holds_no_alert_up(database, receiver, tmp_path):
    """Before it was set back one alert had failed, one was claimed by a dispatcher that hangs."""
    settings, clock = settings_for(receiver, tmp_path), Shifted()
    receiver.statuses = [500]
    put(database, settings, live_event(), clock=clock)
    assert dispatch_due(database, settings, clock)["failed"] == 1
    put(database, settings, live_event(event_id="b" * 64), clock=clock)
    put(database, settings, live_event(event_id="c" * 64), clock=clock)
    with database.connect(autocommit=True) as hangs:
        Ledger(hangs, endpoints(settings)[0].name, LEASE, "x").open()
        hangs.execute(
            "UPDATE alerts.outbox SET state = 'sending', attempts = 1, lease_token = 'x', "
            "lease_until = %s WHERE event_id = %s",
            (clock.now() + timedelta(seconds=30), "c" * 64),
        )
        assert dispatch_due(database, settings, clock)["delivered"] == 0  # the endpoint is busy
        clock.offset = timedelta(hours=-1)
        assert dispatch_due(database, settings, clock)["delivered"] == 3
    assert {state for _, state, _, _ in outbox(database)} == {"delivered"}


def test_gone_ends_the_delivery(database, receiver, tmp_path):
    receiver.statuses = [410]
    settings = settings_for(receiver, tmp_path)
    put(database, settings, event())
    assert dispatch_due(database, settings, FixedClock(NOW))["dead"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 1985, 1990, 2040])
def test_a_receivers_reply_is_kept_without_our_secrets_wherever_it_is_cut(
    database, receiver, tmp_path, before
):
    key = "Zq7" * 12
    receiver.statuses, receiver.reply = [500], b"x" * before + key.encode() + b"\0 was refused"
    settings = settings_for(receiver, tmp_path, coinglass_api_key=SecretStr(key))
    put(database, settings, event())
    dispatch_due(database, settings, FixedClock(NOW))
    with database.connect() as conn:
        ((kept,),) = conn.execute(
            "SELECT response_excerpt FROM alerts.delivery_attempts"
        ).fetchall()
    assert key[:6] not in kept
    assert kept.startswith(("x" * before + "***")[:1999])
    assert len(kept) <= 2000


def test_two_dispatchers_at_once_send_each_message_once(database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    frame = pd.concat([event(event_id=f"{i:064d}") for i in range(20)], ignore_index=True)
    put(database, settings, frame)
    threads = [
        threading.Thread(target=dispatch_due, args=(database, settings, FixedClock(NOW)))
        for _ in range(3)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    dispatch_due(database, settings, FixedClock(NOW))
    ids = [h["webhook-id"] for h, _ in receiver.requests]
    assert sorted(ids) == [f"{i:064d}" for i in range(20)]


def test_simulated_data_never_reaches_a_receiver_elsewhere(database, tmp_path):
    settings = Settings(
        _env_file=None,
        home=tmp_path,
        origin="simulated",
        webhooks_all=SecretStr("https://hooks.example.com/x"),
    )
    put(database, settings, event())
    ((_, state, _, reason),) = outbox(database)
    assert state == "suppressed"
    assert "this machine only" in reason


@pytest.mark.parametrize("tier", [4, 9])
def test_fault_21_no_alert_comes_of_a_cached_or_made_row(tier, database, receiver, tmp_path):
    settings = settings_for(receiver, tmp_path)
    observed = set()
    for number, event_type in enumerate(EVENTS):
        made, seen = f"{number}".rjust(64, "a"), f"{number}".rjust(64, "b")
        row = event(event_type=event_type, event_id=made, source_tier=tier)
        put(database, settings, row)
        put(database, settings, event(event_type=event_type, event_id=seen, source_tier=3))
        observed.add(seen)
    dispatch_due(database, settings, FixedClock(NOW))
    for number, state, _, reason in outbox(database):
        if number in observed:
            assert (state, reason) == ("delivered", None)
        else:
            assert state == "suppressed"
            assert reason == f"made of rows of tier {tier}, which nobody observed"
    assert {h["webhook-id"] for h, _ in receiver.requests} == observed


@pytest.mark.parametrize("origin", ["simulated", "tape"])
def test_fault_21_no_setting_lets_an_alert_of_made_data_out(origin, database, tmp_path):
    settings = Settings(
        _env_file=None,
        home=tmp_path,
        origin=origin,
        webhook_allow_loopback=True,
        webhooks_all=SecretStr("https://hooks.example.com/x"),
    )
    for number, event_type in enumerate(EVENTS):
        row = event(event_type=event_type, event_id=f"{number}".rjust(64, "a"))
        put(database, settings, row)
    told = {(state, reason) for _, state, _, reason in outbox(database)}
    assert len(outbox(database)) == len(EVENTS)
    assert told == {("suppressed", f"{origin} data is sent to receivers on this machine only")}


def test_several_urls_and_types_route_as_their_variables_say():
    settings = Settings(
        _env_file=None,
        webhooks_all=SecretStr("https://a.example/1, https://b.example/2"),
        webhooks_funding=SecretStr("https://c.example/3"),
    )
    everything, too, funding = endpoints(settings)
    assert everything.event_types is too.event_types is None
    assert funding.wants("FUNDING_REVERSAL")
    assert not funding.wants("REGIME_CONFIRMED")
    assert "example" not in repr(funding)


def test_a_url_in_two_variables_is_one_endpoint():
    settings = Settings(
        _env_file=None,
        webhooks_funding=SecretStr("https://c.example/3"),
        webhooks_regime=SecretStr("https://c.example/3"),
    )
    (endpoint,) = endpoints(settings)
    assert set(endpoint.event_types) == {"FUNDING_ANOMALY", "FUNDING_REVERSAL", "REGIME_CONFIRMED"}


def test_an_operational_event_is_stored_once_whether_or_not_anybody_is_told(
    database, receiver, tmp_path
):
    nobody = Settings(_env_file=None, home=tmp_path)
    trouble = {
        "title": "run failed: hourly_tick",
        "details": {"error": "cut \0 short \udc80", "run_id": "r1"},
    }
    assert enqueue_system(database, settings=nobody, clock=FixedClock(NOW), **trouble) == 1
    assert enqueue_system(database, settings=nobody, clock=FixedClock(NOW), **trouble) == 0
    assert outbox(database) == []
    (found,) = queries.alerts(database, 5)
    assert (found["title"], found["delivery"]) == (trouble["title"], "no endpoint")
    week = Window(NOW - 7 * DAY, NOW + DAY)
    (event,) = queries.system_events(database, week, 5)
    assert event["details"] == {"error": "cut   short ?", "run_id": "r1"}
    status = status_of(database, nobody, FixedClock(NOW))
    assert [e["title"] for e in status["system_events"]] == [trouble["title"]]

    told = settings_for(receiver, tmp_path)
    other = {**trouble, "title": "okx refuses us: Banned"}
    assert enqueue_system(database, settings=told, clock=FixedClock(NOW), **other) == 1
    assert dispatch_due(database, told, FixedClock(NOW))["delivered"] == 1
    ((_, body),) = receiver.requests
    data = json.loads(body)["data"]
    assert (data["event_type"], data["title"], data["data_origin"]) == (
        "SYSTEM",
        "okx refuses us: Banned",
        "live",
    )
