"""One receiver never touches another: odd answers, waits, names, look-ups, addresses."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from pydantic import SecretStr

from regime_pipeline.alerts import signing
from regime_pipeline.alerts.attempt import Answer, Claimed, wait_asked_for
from regime_pipeline.alerts.dispatch import LAST_TRY, dispatch_due, outcome_of
from regime_pipeline.alerts.endpoints import (
    ConfigurationError,
    EndpointRefused,
    checked_address,
    endpoints,
    is_global_unicast,
)
from regime_pipeline.settings import Settings
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.alerts.receivers import NOW, event, outbox, put

LIMIT = NOW + timedelta(hours=2) - timedelta(minutes=2)
"""When the event of ``receivers.event`` expires."""


def settings_of(tmp_path, *urls: str, **more: object) -> Settings:
    return Settings(_env_file=None, home=tmp_path, webhooks_all=SecretStr(",".join(urls)), **more)


def four() -> pd.DataFrame:
    return pd.concat([event(event_id=f"{n}" * 64) for n in range(4)], ignore_index=True)


def rows(database, name: str) -> list[tuple]:
    with database.connect() as conn:
        return conn.execute(
            "SELECT state, attempts, next_at, reason FROM alerts.outbox WHERE endpoint = %s "
            "ORDER BY ts, event_id",
            (name,),
        ).fetchall()


ODD = {
    "wait inf": (429, {"Retry-After": "inf"}, b""),
    "wait 1e12": (429, {"Retry-After": "1e12"}, b""),
    "wait 1e308": (503, {"Retry-After": "1e308"}, b""),
    "wait 300 digits": (429, {"Retry-After": "9" * 300}, b""),
    "wait nan": (429, {"Retry-After": "nan"}, b""),
    "wait below zero": (429, {"Retry-After": "-5"}, b""),
    "wait in milliseconds": (429, {"Retry-After": "65000"}, b""),
    "wait until a date": (503, {"Retry-After": "Mon, 05 Aug 2024 01:12:00 GMT"}, b""),
    "wait until the end of time": (503, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 -1200"}, b""),
    "date at the end of time": (401, {"Date": "Fri, 31 Dec 9999 23:59:59 -1200"}, b""),
    "date before time": (401, {"Date": "Mon, 01 Jan 0001 00:00:00 +1200"}, b""),
    "body wait": (429, {}, b'{"message": "slow down", "retry_after": 0.5}'),
    "body wait forever": (429, {}, b'{"retry_after": 1e999}'),
    "body wait of 4,000 digits": (429, {}, b'{"retry_after": ' + b"9" * 4000 + b"}"),
    "body deep": (429, {}, b"[" * 60_000),
    "status 999": (999, {}, b"\xff\x00 what"),
    "status 600": (600, {}, b""),
    "letters": (500, {}, b"a" * 64_000),
}

MUTE = {"wait inf", "wait 1e12", "wait 300 digits", "wait nan", "wait below zero", "body deep"}
"""Those of the status 429 that ask for no wait that is one."""


@pytest.mark.slow
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_costs_the_sound_receiver_nothing(odd, database, receiver, other, tmp_path):
    status, receiver.headers, receiver.reply = ODD[odd]
    receiver.statuses = [status] * 8
    settings = settings_of(tmp_path, receiver.url, other.url)
    first, second = (e.name for e in endpoints(settings))
    put(database, settings, four())
    counts = dispatch_due(database, settings, FixedClock(NOW))
    asks_to_wait = status == 429 and odd not in MUTE
    tried = 1 if asks_to_wait else 4  # the others are not sent into the wait
    assert (counts["delivered"], counts["failed"]) == (4, tried)
    assert len(other.requests) == 4
    assert {r[0] for r in rows(database, second)} == {"delivered"}
    found = rows(database, first)
    assert [(r[0], r[1]) for r in found] == [("pending", 1)] * tried + [("pending", 0)] * (
        4 - tried
    )
    for _, _, next_at, _ in found[:tried]:
        assert NOW < next_at <= LIMIT - LAST_TRY, "one try is left"
    receiver.statuses, receiver.headers, receiver.reply = [], {}, b""
    later = FixedClock(LIMIT - LAST_TRY)
    assert dispatch_due(database, settings, later)["delivered"] == 4


def test_a_status_that_is_none_is_stored_as_null_with_what_was_said(database, receiver, tmp_path):
    receiver.statuses, receiver.reply = [999], b"out of order"
    put(database, settings_of(tmp_path, receiver.url), event())
    dispatch_due(database, settings_of(tmp_path, receiver.url), FixedClock(NOW))
    with database.connect() as conn:
        found = conn.execute(
            "SELECT http_status, error_class, response_excerpt FROM alerts.delivery_attempts"
        ).fetchall()
    assert found == [(None, "HTTP 999", "out of order")]


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({}, b"", None),
        ({"retry-after": "7"}, b"", 7.0),
        ({"retry-after": "7"}, b'{"retry_after": 90}', 7.0),
        ({"retry-after": "Mon, 05 Aug 2024 01:03:00 GMT"}, b"", 60.0),
        ({"retry-after": "Mon, 05 Aug 2024 01:00:00 GMT"}, b"", 0.0),
        ({"retry-after": "soon"}, b'{"retry_after": 0.5}', 0.5),
        ({}, b'{"ok": false, "parameters": {"retry_after": 34}}', 34.0),
        ({}, b'{"retry_after": true}', None),
        ({}, b'{"retry_after": "34"}', None),
        ({}, b'{"retry_after": -1}', None),
        ({}, b'{"retry_after": NaN}', None),
        ({}, b'["retry_after"]', None),
        ({}, b"<html>", None),
        ({"retry-after": "999999999999"}, b"", 7 * 86_400.0),
        ({}, b'{"retry_after": 1e999}', 7 * 86_400.0),
    ],
)
def test_fault_67_a_wait_is_read_from_seconds_dates_and_bodies(headers, body, wait):
    assert wait_asked_for(headers, body, NOW) == wait


@pytest.mark.parametrize(
    ("left", "asked", "expected"),
    [
        (timedelta(hours=2), 600.0, timedelta(seconds=600)),
        (timedelta(hours=2), 86_400.0, timedelta(hours=2) - LAST_TRY),
        (timedelta(seconds=62), 86_400.0, timedelta(seconds=5)),
        (timedelta(seconds=30), 86_400.0, None),  # this was the last one
        (timedelta(seconds=4), 0.0, None),
    ],
)
def test_fault_67_a_wait_leaves_one_try_before_the_limit(left, asked, expected):
    claimed = Claimed("a", b"", 1, NOW + left)
    answer = Answer("failed", 1.0, 429, "HTTP 429", retry_after_s=asked)
    state, _, at = outcome_of(claimed, answer, NOW)
    assert (state, at - NOW if state == "pending" else None) == (
        ("expired", None) if expected is None else ("pending", expected)
    )


def test_a_host_that_does_not_resolve_is_tried_again(database, receiver, tmp_path):
    settings = settings_of(tmp_path, "https://nobody.invalid/hook", receiver.url)
    lost, _ = (e.name for e in endpoints(settings))
    put(database, settings, event())
    counts = dispatch_due(database, settings, FixedClock(NOW))
    assert (counts["delivered"], counts["failed"], counts["dead"]) == (1, 1, 0)
    ((state, attempts, _, reason),) = rows(database, lost)
    assert (state, attempts) == ("pending", 1)
    assert reason.startswith("LookupFailed: the host does not resolve")


def test_an_address_that_may_never_be_called_ends_the_delivery(database, tmp_path):
    settings = settings_of(tmp_path, "https://10.0.0.1/hook")
    put(database, settings, event())
    assert dispatch_due(database, settings, FixedClock(NOW))["dead"] == 1


def test_fault_63_what_was_not_fully_sent_is_failed_and_not_unknown(database, tmp_path):
    settings = settings_of(tmp_path, "http://127.0.0.1:9/hook")
    put(database, settings, event())
    dispatch_due(database, settings, FixedClock(NOW))
    with database.connect() as conn:
        found = conn.execute("SELECT outcome, error_class FROM alerts.delivery_attempts")
        assert found.fetchall() == [("failed", "ConnectError")]


def test_a_second_url_in_a_variable_orphans_nothing(database, receiver, other, tmp_path):
    before = settings_of(tmp_path, receiver.url)
    put(database, before, event())
    after = settings_of(tmp_path, other.url, receiver.url)
    assert dispatch_due(database, after, FixedClock(NOW))["delivered"] == 1
    assert len(receiver.requests) == 1
    assert other.requests == []


@pytest.mark.parametrize("old", ["WEBHOOKS_ALL", "WEBHOOKS_ALL#1"])
def test_what_waits_under_the_name_of_its_variable_is_delivered(old, database, receiver, tmp_path):
    settings = settings_of(tmp_path, receiver.url)
    put(database, settings, event())
    with database.connect() as conn:
        conn.execute("UPDATE alerts.outbox SET endpoint = %s", (old,))
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 1
    assert [r[0] for r in rows(database, endpoints(settings)[0].name)] == ["delivered"]


def test_a_spoilt_secret_file_is_told_with_what_to_do(database, receiver, tmp_path):
    signing.secret_file(tmp_path).write_text("whsec_spoilt")
    settings = settings_of(tmp_path, receiver.url)
    put(database, settings, event())
    with pytest.raises(ConfigurationError, match="webhook_secret is no signing secret"):
        dispatch_due(database, settings, FixedClock(NOW))
    assert [state for _, state, _, _ in outbox(database)] == ["pending"]


def test_more_than_a_batch_is_sent_in_order_and_each_attempt_is_kept(database, receiver, tmp_path):
    settings = settings_of(tmp_path, receiver.url)
    frame = pd.concat([event(event_id=f"{i:064d}") for i in range(60)], ignore_index=True)
    put(database, settings, frame)
    assert dispatch_due(database, settings, FixedClock(NOW))["delivered"] == 60
    assert [h["webhook-id"] for h, _ in receiver.requests] == [f"{i:064d}" for i in range(60)]
    with database.connect() as conn:
        kept = conn.execute(
            "SELECT count(*), min(attempt), max(attempt) FROM alerts.delivery_attempts"
        )
        assert kept.fetchone() == (60, 1, 1)


def test_what_a_batch_has_no_time_for_is_given_back(database, receiver, tmp_path):
    receiver.drip_s = 0.6
    settings = settings_of(tmp_path, receiver.url, webhook_deadline_s=0.5)
    put(database, settings, four())
    sent = dispatch_due(database, settings, FixedClock(NOW), budget_s=1.2)["failed"]
    assert sent < 4
    assert [(state, attempts) for _, state, attempts, _ in outbox(database)] == [
        *[("pending", 1)] * sent,
        *[("pending", 0)] * (4 - sent),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://user:pw@example.com/",
        "https://169.254.169.254/latest",
        "https://100.64.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://2130706433/",
        "https://127.1/",
        "https://10.0.0.1/",
        "https://224.0.0.1/",
        "https://93.184.216.34:22/",
        "https://93.184.216.34:99999/",
        "https://93.184.216.34:abc/",
    ],
)
def test_fault_75_an_address_that_is_not_public_https_is_refused_before_a_byte_is_sent(url):
    with pytest.raises(EndpointRefused):
        checked_address(url, allow_loopback=False)


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher", "ws", "javascript", ""])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "example.com"])
def test_a_scheme_that_is_not_http_is_refused_before_anything_else(scheme, host):
    with pytest.raises(EndpointRefused, match="neither https nor http"):
        checked_address(f"{scheme}://{host}/" if scheme else f"//{host}/", allow_loopback=True)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.2", "169.254.169.254", "172.16.0.1"),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1"),
        *("2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:a00:1::1", "3fff::1"),
        *("4000::1", "5f00::1", "fc00::1", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1"),
    ],
)
def test_fault_75_no_range_is_called_but_global_unicast(address):
    assert not is_global_unicast(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"]
)
def test_a_host_of_the_public_internet_may_be_called(address):
    assert is_global_unicast(address)
