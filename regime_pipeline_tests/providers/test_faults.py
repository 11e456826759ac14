"""Transport faults 1 to 22 that need several processes, the shared gate or a whole fetch.

The others of these rows are tested beside what survives them: see ``test_fault_`` in this package.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from regime_pipeline.net.headers import retry_after_seconds
from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import (
    GENERIC,
    CircuitOpen,
    Malformed,
    ProviderError,
    RateLimited,
    TooLarge,
    Transient,
    classify,
)
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.limits.breaker import Policy, State
from regime_pipeline.providers.limits.gate import HostGate
from regime_pipeline.providers.limits.store import MemoryStore, PostgresStore, Store
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import FixedClock, Window
from regime_pipeline_tests.faultserver import GOOD, Fault, FaultServer, Script, Seen
from regime_pipeline_tests.providers.conftest import NOW
from regime_pipeline_tests.providers.fault_workers import Job, run_all
from regime_pipeline_tests.providers.test_fetch import WINDOW, bar, between

ROWS = [bar(h) for h in range(24)]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def klines(seen: Seen) -> bytes:
    return orjson.dumps(between(ROWS, seen))  # type: ignore[arg-type]


def okx_candles(seen: Seen) -> bytes:
    """The same hours as OKX tells them: newest first, before a cursor."""
    cursor = int(seen.query.get("after", 1 << 60))
    rows = [
        [str(r[0]), r[1], r[2], r[3], r[4], "9", "9.5", "950", "1"]
        for r in reversed(ROWS)
        if int(r[0]) < cursor  # type: ignore[call-overload]
    ]
    return orjson.dumps({"code": "0", "msg": "", "data": rows[:100]})


@dataclass
class Desk:
    """Whole fetches of candles against the fault server, as runs with one gate in common."""

    server: FaultServer
    make_settings: Callable[..., Settings]
    make_client: Callable[..., HttpClient]
    store: Store = field(default_factory=MemoryStore)
    policy: Policy = field(default_factory=lambda: Policy(failures=6))

    def fetch(
        self,
        dataset: str = "candles",
        sources: tuple[str, ...] = ("binance", "okx"),
        window: Window = WINDOW,
        **changes: object,
    ) -> FetchResult:
        names = ("binance", "binance_futures", "okx", "coinglass", "alternative_me")
        urls = {f"{n}_api_url": f"{self.server.url}/{n}" for n in names}
        settings = self.make_settings(sources=sources, **urls, **changes)
        gate = HostGate(self.store, policy=self.policy, refresh_s=0.0, keys={"coinglass": "f1n9e7"})
        return fetch(
            dataset,
            window,
            settings=settings,
            client=self.make_client(settings, gate=gate),
            clock=FixedClock(NOW),
            symbols=("BTC/USDT",),
        )


@pytest.fixture
def desk(server: FaultServer, make_settings, make_client) -> Desk:
    server.scripts |= {"/binance": Fault(body=klines), "/okx": Fault(body=okx_candles)}
    return Desk(server, make_settings, make_client)


def status(result: FetchResult) -> dict[str, tuple[str, str | None]]:
    rows = result.log[["source", "fetch_status", "error_class"]].itertuples(index=False)
    return {r[0]: (r[1], r[2] if isinstance(r[2], str) else None) for r in rows}


def get(client: HttpClient, url: str, provider: str = "binance") -> object:
    return client.get(provider, url, "/x", {}, parse=load, errors=GENERIC)


def once(script: Fault, then: Fault = GOOD) -> Script:
    return [script, then]


# --- throttles and bans --------------------------------------------------------------------------


@pytest.mark.slow
def test_fault_01_retry_after_holds_for_every_process(
    server: FaultServer, database: Database, tmp_path: Path
) -> None:
    wait = 1.0
    server.scripts["/binance"] = once(Fault(429, b"{}", {"Retry-After": f"{wait:g}"}))
    policy = Policy()
    job = Job("binance", server.url, database.url, tmp_path, policy, 8.0, enough=3, attempts=4)
    assert [r for _, r in run_all([job] * 3)] == [{"ok": 3}] * 3, "the data is complete later"
    begun = server.seen[0].at
    early = [s.at - begun for s in server.seen[1:] if s.at - begun < wait]
    # the others hear of it when they look again, a fifth of a second later at most
    assert all(at < 0.6 for at in early), early


@given(st.text(max_size=40) | st.integers(-(10**12), 10**12).map(str) | st.floats().map(str))
def test_fault_02_any_retry_after_is_a_wait_or_nothing(text: str) -> None:
    wait = retry_after_seconds({"retry-after": text}, NOW)
    assert wait is None or 0 <= wait < float("inf")


def test_fault_02_throttle_above_the_cap_opens_the_breaker_until_then(
    server: FaultServer, make_settings, make_client, database: Database
) -> None:
    server.scripts["/x"] = Fault(429, b"{}", {"Retry-After": "7200"})
    gates = [HostGate(PostgresStore(database.connect)) for _ in range(2)]
    one, other = (make_client(make_settings(), gate=g) for g in gates)
    begun = time.monotonic()
    with pytest.raises(RateLimited):
        get(one, server.url)
    with pytest.raises(CircuitOpen) as caught:
        get(other, server.url)
    assert time.monotonic() - begun < 2, "nobody sleeps for hours"
    left = caught.value.until - datetime.now(UTC)
    assert timedelta(hours=1.9) < left <= timedelta(hours=2)
    assert caught.value.attempts == 0
    assert server.count() == 1


def test_fault_03_throttle_without_a_time_is_waited_out_with_growing_jitter(
    server: FaultServer, make_settings, make_client
) -> None:
    server.scripts["/x"] = [Fault(429, b"<html>slow down</html>")] * 3 + [GOOD]
    get(make_client(make_settings(http_attempts=4), gate=HostGate()), server.url)
    times = [s.at for s in server.seen]
    assert len(times) == 4
    assert all(b - a >= 0.009 for a, b in pairwise(times))


@pytest.mark.slow
def test_fault_04_banned_address_is_left_alone_by_every_process(
    server: FaultServer, database: Database, tmp_path: Path
) -> None:
    ban = 1.5
    told: list[float] = []

    def binance(seen: Seen) -> Fault:
        if len([s for s in server.seen if s.path.startswith("/binance")]) == 12:
            told.append(seen.at)
            return Fault(418, b'{"code":-1003,"msg":"banned"}', {"Retry-After": f"{ban:g}"})
        return GOOD

    server.scripts["/binance"] = binance
    jobs = [
        Job(name, server.url, database.url, tmp_path, Policy(), 3.2)
        for name in ("binance", "binance", "binance", "okx")
    ]
    results = run_all(jobs)
    after = [s.at - told[0] for s in server.seen if s.path.startswith("/binance")]
    during = [at for at in after if 0.5 < at < ban - 0.05]
    assert during == [], "nothing is asked until the ban is over"
    assert any(at >= ban - 0.05 for at in after), "and then it is"
    others = [s for s in server.seen if s.path.startswith("/okx") and 0.3 < s.at - told[0] < ban]
    assert len(others) >= 3, "another provider goes on"
    assert all("CircuitOpen" in r for name, r in results if name == "binance")


def test_fault_05_geo_block_is_not_asked_again_and_the_next_source_serves(desk: Desk) -> None:
    desk.server.scripts["/binance"] = Fault(
        451, b'{"code":0,"msg":"Service unavailable from a restricted location"}'
    )
    first, second = desk.fetch(), desk.fetch()
    assert status(first) == {"binance": ("failed", "GeoBlocked"), "okx": ("ok", None)}
    assert status(second) == {"binance": ("failed", "CircuitOpen"), "okx": ("ok", None)}
    assert desk.server.count("/binance") == 1
    assert set(second.frame["source"]) == {"okx"}
    row = second.log.loc[second.log["source"] == "binance"].iloc[0]
    assert "restricted location" in row["error_message"]
    assert row["request_count"] == 0


def test_fault_06_expired_key_is_tried_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    key = "canary-5f1e77a0c3"
    desk.server.scripts["/coinglass"] = Fault(401, b'{"code":"401","msg":"Invalid API key"}')
    changes = {
        "sources": ("coinglass",),
        "coinglass_api_key": SecretStr(key),
        "http_concurrency_per_host": 1,
    }
    first = desk.fetch("liquidations", **changes)  # type: ignore[arg-type]
    second = desk.fetch("liquidations", **changes)  # type: ignore[arg-type]
    assert set(first.log["error_class"]) == {"AuthError"}
    assert set(second.log["error_class"]) == {"CircuitOpen"}
    assert desk.server.count("/coinglass") == 1
    assert key not in caplog.text
    assert key not in "".join(str(v) for v in second.log.to_numpy().ravel())


@pytest.mark.slow
def test_fault_07_outage_is_probed_by_one_process_and_mends_itself(
    server: FaultServer, database: Database, tmp_path: Path
) -> None:
    down_s, answer_s = 1.6, 0.12

    def binance(seen: Seen) -> Fault:
        down = seen.at - server.seen[0].at < down_s
        return Fault(503 if down else 200, delay_s=answer_s)

    server.scripts["/binance"] = binance
    policy = Policy(failures=8, open_s=0.5, open_max_s=0.5, lease_s=5.0)
    job = Job("binance", server.url, database.url, tmp_path, policy, 6.0, enough=2, pause_s=0.05)
    results = run_all([job] * 8)
    assert [r["ok"] for _, r in results] == [2] * 8, "everybody gets the data by itself"
    at = [s.at - server.seen[0].at for s in server.seen]
    before = [t for t in at if t < 0.4]
    assert 8 <= len(before) <= 16, "the breaker opened after eight failures and what was on its way"
    probes = [t for t in at if 0.4 <= t < down_s]
    assert probes, "it is tried again"
    gaps = [b - a for a, b in pairwise(probes)]
    assert all(gap >= 0.5 for gap in gaps), f"one probe per opening: {probes}"
    first, second, *_ = [t for t in at if t >= down_s]
    assert second - first >= answer_s, "the second probe waits for the first"


def test_fault_08_throttle_inside_status_200_counts_as_one(
    server: FaultServer, make_settings, make_client
) -> None:
    body = b'{"code":"50011","msg":"Too Many Requests","data":[]}'
    server.scripts["/x"] = Fault(body=body)
    gate = HostGate(policy=Policy(failures=3))

    def parse(raw: bytes) -> None:
        error = classify(200, {}, raw, SOURCES["okx"].errors)
        assert error is not None
        raise error

    with pytest.raises(RateLimited):
        make_client(make_settings(), gate=gate).get(
            "okx", server.url, "/x", {}, parse=parse, errors=GENERIC
        )
    host = server.url.removeprefix("http://")
    assert gate.status("okx", host).breaker.state is State.OPEN


# --- broken connections --------------------------------------------------------------------------


def test_fault_09_unreachable_hosts_are_typed_and_poison_nothing(
    server: FaultServer, make_settings, make_client
) -> None:
    client = make_client(make_settings(http_attempts=1, http_deadline_s=0.5))
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # nobody accepts: the queue is full, further connects time out
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        begun = time.monotonic()
        with pytest.raises(Transient):
            get(client, f"http://127.0.0.1:{full.getsockname()[1]}")
        assert time.monotonic() - begun < 1.0
    for url in (
        "http://nowhere.invalid",
        "http://127.0.0.1:9",
        server.url.replace("http:", "https:"),
    ):
        with pytest.raises(Transient):
            get(client, url)
    server.scripts["/x"] = [Fault(body=b"[1,2,3]", reset_after=3), GOOD]
    with pytest.raises((Transient, Malformed)):
        get(client, server.url)
    for _ in range(3):
        get(client, server.url)


def test_fault_12_cut_replies_leave_no_page_and_are_asked_for_again(
    server: FaultServer, make_settings, make_client, tmp_path: Path
) -> None:
    body, good = b'[{"a":"1"},{"a":"2"}]', Fault(body=b'[{"a":"3"}]')
    packed = gzip.compress(body)
    cuts = [
        Fault(body=body, cut_after=9),
        Fault(body=body, reset_after=9),
        Fault(body=body, length=len(body) + 5, closes=True),
        Fault(body=body, length=len(body) - 5),
        Fault(body=body, chunked=True, cut_after=9),
        Fault(body=packed[:-9], headers={"Content-Encoding": "gzip"}),
        Fault(body=b"\x1f\x8b" + b"\0" * 30, headers={"Content-Encoding": "gzip"}),
    ]
    client = make_client(make_settings(http_attempts=2))
    for number, cut in enumerate(cuts):
        server.scripts[f"/{number}/x"] = [cut, good]
        reply = client.get(
            "binance", f"{server.url}/{number}", "/x", {}, parse=load, errors=GENERIC
        )
        assert (reply.attempts, reply.parsed) == (2, [{"a": "3"}]), cut
    assert len(list((tmp_path / "landing").rglob("*.zst"))) == 1


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'"x"', b"<html>login</html>"])
def test_fault_14_nothing_where_rows_belong_is_a_failure_and_closes_no_gap(
    body: bytes, desk: Desk
) -> None:
    desk.server.scripts["/binance"] = Fault(body=body)
    result = desk.fetch(sources=("binance",))
    assert set(result.log["fetch_status"]) == {"failed"}
    assert len(result.frame) == 0
    assert set(result.log["rows_stored"]) == {0}


def test_fault_15_bombs_cost_no_more_memory_than_twice_the_cap(
    server: FaultServer, make_settings, make_client
) -> None:
    cap = 8 * 2**20
    bomb = gzip.compress(b" " * (200 * 2**20), compresslevel=1)
    server.scripts |= {
        "/bomb": Fault(body=bomb, headers={"Content-Encoding": "gzip"}),
        "/flood": Fault(flood=500 * 2**20),
    }
    client = make_client(make_settings(http_max_bytes=cap, http_deadline_s=10.0))
    for path in ("bomb", "flood"):
        tracemalloc.start()
        with pytest.raises(TooLarge):
            client.get("binance", server.url, f"/{path}", {}, parse=load, errors=GENERIC)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 2 * cap, (path, peak)
    assert server.sent_bytes < 100 * 2**20


# --- data that is late, odd or missing -----------------------------------------------------------


def test_fault_19_stale_body_with_a_fresh_date_adds_nothing_new(desk: Desk) -> None:
    """What is new is judged by the time of the rows, never by when they were sent."""
    stale = orjson.dumps(ROWS[:6])
    fresh = {"Date": "Tue, 06 Aug 2024 00:30:00 GMT"}
    desk.server.scripts["/binance"] = Fault(body=stale, headers=fresh)
    late = Window(WINDOW.start + timedelta(hours=20), WINDOW.end)
    result = desk.fetch(sources=("binance",), window=late)
    assert len(result.frame) == 0
    assert set(result.log["fetch_status"]) != {"ok"}


def test_fault_20_sources_that_disagree_are_both_kept_and_the_preferred_one_is_first(
    desk: Desk,
) -> None:
    dearer = [
        [r[0], *(f"{float(x) * 1.05:.4f}" for x in r[1:5]), *r[5:]]  # type: ignore[arg-type]
        for r in ROWS
    ]
    desk.server.scripts["/binance"] = Fault(body=lambda s: orjson.dumps(between(dearer, s)))  # type: ignore[arg-type]
    result = desk.fetch().frame
    spot = result.loc[result["market"] == "spot"]
    tiers = spot.groupby("venue")["source_tier"].unique().map(list).to_dict()
    assert tiers == {"binance": [1], "okx": [2]}
    close = spot.pivot(index="ts", columns="venue", values="close")
    assert (close["binance"] / close["okx"] - 1.05).abs().max() < 1e-3


def test_fault_21_with_every_source_down_nothing_is_made_up(desk: Desk) -> None:
    desk.server.scripts = {"/": Fault(503)}
    *_, last = results = [desk.fetch() for _ in range(3)]
    for result in results:
        assert len(result.frame) == 0
        assert {s for s, _ in status(result).values()} == {"failed"}
    asked = desk.server.count()
    assert {e for _, e in status(last).values()} == {"CircuitOpen"}
    assert asked <= 6 * 2 + 2 * 4, "two breakers, and what was on its way"


@pytest.mark.slow
def test_fault_22_flapping_source_is_neither_given_up_nor_swapped_within_a_series(
    desk: Desk,
) -> None:
    turns = iter(range(10**6))
    desk.server.scripts["/binance"] = lambda _: (
        Fault(body=klines) if next(turns) % 2 else Fault(500)
    )
    for _ in range(4):
        result = desk.fetch(http_attempts=4)
        assert status(result)["binance"] == ("ok", None)
        spot = result.frame.loc[result.frame["market"] == "spot"]
        assert spot.groupby("source")["source_tier"].nunique().max() == 1
        assert (spot["source"] == "binance").sum() == 24
    host = desk.server.url.removeprefix("http://")
    assert HostGate(desk.store).status("binance", host).breaker.state is State.CLOSED


def test_fault_22_one_good_reply_does_not_close_an_open_breaker(
    server: FaultServer, make_settings, make_client
) -> None:
    server.scripts["/x"] = [Fault(500), Fault(500), GOOD, Fault(500), GOOD, GOOD]
    gate = HostGate(policy=Policy(failures=2, open_s=0.1, open_max_s=0.1), refresh_s=0.0)
    client = make_client(make_settings(http_attempts=1), gate=gate)
    host, seen = server.url.removeprefix("http://"), []
    for _ in range(6):
        with contextlib.suppress(ProviderError):
            get(client, server.url)
        seen.append(gate.status("binance", host).breaker.state.value)
        time.sleep(0.11)
    assert seen == ["closed", "open", "half_open", "open", "half_open", "closed"]
