"""What is committed is heard, told to all who listen, and makes kept answers old."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest

from regime_pipeline.api.app import create_app
from regime_pipeline.api.live import BEGINNING, MOST_OF_A_TOKEN, Feed, Position
from regime_pipeline.api.problems import Problem
from regime_pipeline.storage.database import Database
from regime_pipeline_tests.api.conftest import UNLIMITED, serve
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS

pytestmark = pytest.mark.xdist_group("market")

CHANGE = (
    "insert into ops.table_versions as v (table_name, version, rows_changed, changed_at) "
    "values ('features.volatility_regimes', 1, 1, now()) on conflict (table_name) do update "
    "set version = v.version + 1"
)


@pytest.fixture
def alone(served_market: Database) -> Iterator[str]:
    """A server of its own on the market."""
    yield from serve(
        create_app(served_market.libpq, symbols=SYMBOLS, clock=CLOCK, access=UNLIMITED)
    )


def changed(database: Database) -> None:
    """A commit as a run makes it: the version goes up, the table is named."""
    with database.connect() as connection:
        connection.execute(CHANGE)
        connection.execute("select pg_notify('regime_tables', 'features.volatility_regimes')")


def until(said: list[str], wanted: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not any(wanted in line for line in said):
        assert time.monotonic() < end, said
        time.sleep(0.02)


def until_it_has_looked(address: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while version(address, "volatility") is None:
        assert time.monotonic() < end
        time.sleep(0.1)


def version(address: str, name: str) -> int | None:
    meta = httpx.get(f"{address}/v1/{name}?limit=1", trust_env=False, timeout=30).json()["meta"]
    found: int | None = meta["mart_version"]
    return found


def listening(address: str, said: list[str], heard: Callable[[str], bool]) -> threading.Thread:
    """A thread that notes the lines of the stream until one is what is waited for; not started."""

    def listen() -> None:
        with httpx.stream("GET", f"{address}/v1/stream", trust_env=False, timeout=60) as answer:
            for line in answer.iter_lines():
                said.append(line)
                if heard(line):
                    return

    return threading.Thread(target=listen, daemon=True)


def test_a_commit_is_told_within_a_second_and_makes_its_answers_new(
    alone: str, served_market: Database
) -> None:
    said: list[str] = []

    changed(served_market)
    end = time.monotonic() + 20
    while (before := version(alone, "volatility")) is None and time.monotonic() < end:
        time.sleep(0.1)
    other = version(alone, "funding/BTC")
    thread = listening(
        alone, said, lambda line: line.startswith("data:") and "volatility_1h" in line
    )
    thread.start()
    until(said, "resync")
    began = time.monotonic()
    changed(served_market)
    until(said, "volatility_1h")
    assert time.monotonic() - began < 5  # 0.3 s where the machine is free
    thread.join(20)
    assert before is not None
    assert version(alone, "volatility") == before + 1
    assert version(alone, "funding/BTC") == other


def test_a_notice_without_a_change_tells_nothing_and_keeps_what_is_kept(
    alone: str, served_market: Database
) -> None:
    changed(served_market)
    end = time.monotonic() + 20
    while version(alone, "volatility") is None and time.monotonic() < end:
        time.sleep(0.1)
    figures = f"{alone}/metrics"
    with served_market.connect() as connection:
        connection.execute("select pg_notify('regime_tables', 'anything')")
    time.sleep(0.6)
    before = httpx.get(figures, trust_env=False).text
    for _ in range(5):
        version(alone, "volatility")
    after = httpx.get(figures, trust_env=False).text

    def count(text: str, name: str) -> int:
        return next(int(x.split()[1]) for x in text.splitlines() if x.startswith(f"{name} "))

    name = "regime_api_cache_misses_total"
    assert count(after, name) - count(before, name) <= 1


@pytest.mark.slow
def test_a_server_that_lost_its_listener_goes_on_and_hears_again(
    alone: str, served_market: Database
) -> None:
    end = time.monotonic() + 20
    with served_market.connect(autocommit=True) as connection:
        while True:
            found = connection.execute(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                "where application_name = 'regime_pipeline live' and datname = current_database()"
            ).fetchone()
            if found[0]:
                break
            assert time.monotonic() < end
            time.sleep(0.1)
    changed(served_market)
    first = version(alone, "volatility")
    end = time.monotonic() + 30
    while "regime_api_is_listening 1" not in httpx.get(f"{alone}/metrics", trust_env=False).text:
        assert time.monotonic() < end
        time.sleep(0.2)
    changed(served_market)
    end = time.monotonic() + 20
    while (now := version(alone, "volatility")) is None or (first is not None and now <= first):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_connections_that_the_database_ended_are_replaced_and_no_request_fails_for_good(
    alone: str, served_market: Database
) -> None:
    def asked(n: int) -> int:
        at = (CLOCK.now() - timedelta(minutes=n + 1)).isoformat()  # none is kept
        params = {"limit": 1, "to": at}
        return httpx.get(
            f"{alone}/v1/volatility", params=params, trust_env=False, timeout=30
        ).status_code

    assert asked(0) == 200
    with served_market.connect(autocommit=True) as connection:
        ended = connection.execute(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity "
            "where application_name = 'regime_pipeline api' and datname = current_database()"
        ).fetchone()
    assert ended[0] > 0
    found = [asked(n) for n in range(1, 20)]
    assert set(found) <= {200, 503}
    assert found[-1] == 200


def events_of(address: str, count: int, heard: str | None = None) -> list[dict[str, str]]:
    """The first notices of a stream, for somebody who heard up to an id."""
    found: list[dict[str, str]] = [{}]
    headers = {} if heard is None else {"last-event-id": heard}
    with httpx.stream(
        "GET", f"{address}/v1/stream", headers=headers, trust_env=False, timeout=30
    ) as answer:
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                found[-1][name] = value
            elif found[-1]:
                found.append({})
            if len(found) > count:
                return found[:count]
    raise AssertionError(found)


def test_who_comes_back_is_told_what_was_missed_in_order_and_once(
    alone: str, served_market: Database
) -> None:
    with served_market.connect() as connection:
        stored = connection.execute(
            "select event_id, stored_order from alerts.market_events order by 2 desc limit 4"
        ).fetchall()
    fourth = Position(stored[3][1])
    *missed, last = events_of(alone, 4, str(fourth))
    assert [json.loads(n["data"])["event_id"] for n in missed] == [e for e, _ in stored[2::-1]]
    assert [n["id"] for n in missed] == [str(number) for _, number in stored[2::-1]]
    assert last["event"] == "version"
    # cut after the first of them: the others follow, wherever the stream is opened again
    again = events_of(alone, 2, missed[0]["id"])
    assert [n["id"] for n in again] == [n["id"] for n in missed[1:]]
    assert events_of(alone, 1, missed[-1]["id"])[0]["event"] == "version"
    for unknown in ("-1", "1.0", "9" * 19, "yesterday/x", "2024-07-16T00:00:00Z"):
        assert events_of(alone, 1, unknown)[0]["event"] == "resync"
    beginning = events_of(alone, 1, str(BEGINNING))[0]
    assert beginning["event"] == "resync"  # hundreds were missed: ask anew


LATE = (
    "insert into alerts.market_events select (jsonb_populate_record(e, jsonb_build_object("
    "'event_id', %s::text, 'ingested_at', e.ingested_at - interval '1 hour'))).* "
    "from alerts.market_events as e order by stored_order limit 1 returning stored_order"
)
"""An event that was stored before all others by its times, and can be read only now."""


def test_an_event_that_was_committed_late_with_older_times_is_told_too(
    alone: str, served_market: Database
) -> None:
    said: list[str] = []

    with served_market.connect() as connection:
        last = connection.execute("select max(stored_order) from alerts.market_events").fetchone()
    until_it_has_looked(alone)
    thread = listening(alone, said, lambda line: '"event_id":"late' in line)
    thread.start()
    until(said, "resync")
    try:
        with served_market.connect() as connection:
            (number,) = connection.execute(LATE, ("late",)).fetchone()
            connection.execute("select pg_notify('regime_tables', 'alerts.market_events')")
        until(said, '"event_id":"late"')
        assert f"id: {number}" in said
        assert number > last[0]
        missed = events_of(alone, 1, str(Position(last[0])))[0]
        assert json.loads(missed["data"])["event_id"] == "late"
        thread.join(20)
    finally:
        with served_market.connect() as connection:
            connection.execute("delete from alerts.market_events where event_id = 'late'")


def test_a_token_has_a_few_streams_and_others_are_not_kept_out() -> None:
    feed = Feed(None, "")  # type: ignore[arg-type]
    joined = [feed.joined("one") for _ in range(MOST_OF_A_TOKEN)]
    for block in joined:
        block.__enter__()
    with pytest.raises(Problem, match="at most"):
        feed.check_room("one")
    feed.check_room("other")
    joined[0].__exit__(None, None, None)
    feed.check_room("one")


def test_an_answer_is_kept_for_long_only_while_its_versions_are_known() -> None:
    feed = Feed(None, "")  # type: ignore[arg-type]
    assert feed.stamp(("volatility_1h",)).seconds < 5
    feed._versions = {"volatility_1h": 4, "market_events": None}
    feed.is_listening = True
    assert feed.stamp(("volatility_1h",)).seconds > timedelta(seconds=30).total_seconds()
    assert feed.stamp(("market_events",)).seconds < 5
    assert feed.stamp().versions == (4,)
