"""A server whose database is slow, whose pool is empty, whose listeners stall, whose worker is killed."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from psycopg import sql

from regime_pipeline.api.app import create_app
from regime_pipeline.dashboard.__main__ import VARIABLE
from regime_pipeline.storage.database import Database
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.api.conftest import UNLIMITED, serve
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, made_market

pytestmark = [pytest.mark.xdist_group("market"), pytest.mark.slow]

SOON_S = 10.0
"""Far above what is promised, for busy machines; far below any time-out of a client."""


@pytest.fixture
def market(postgres: TestServer) -> Iterator[Database]:
    """A market of its own whose statements are ended after a second, as for the API's role."""
    with postgres.copy_of("market", made_market) as copy:
        with copy.connect(autocommit=True) as connection:
            connection.execute(
                sql.SQL("alter database {} set statement_timeout = '1s'").format(
                    sql.Identifier(copy.name)
                )
            )
        copy.close()
        yield copy


@pytest.fixture
def address(market: Database) -> Iterator[str]:
    """A server on it."""
    yield from serve(create_app(market.libpq, symbols=SYMBOLS, clock=CLOCK, access=UNLIMITED))


@contextmanager
def locked(database: Database, mart: str) -> Iterator[None]:
    """Nobody reads the mart meanwhile."""
    with database.connect() as connection:
        connection.execute("set statement_timeout = 0")
        connection.execute(sql.SQL("lock table {}").format(sql.Identifier("reporting", mart)))
        yield
        connection.rollback()


def asked(address: str, path: str) -> tuple[int, float, str]:
    """Status, seconds and kind of a problem."""
    began = time.monotonic()
    answer = httpx.get(f"{address}{path}", trust_env=False, timeout=60)
    said = answer.json()
    return answer.status_code, time.monotonic() - began, said.get("title", "")


def test_a_query_that_takes_too_long_is_a_504_and_the_next_one_is_right(
    address: str, market: Database
) -> None:
    with locked(market, "hourly"):
        status, seconds, title = asked(address, "/v1/hourly/BTC-USDT?limit=3")
        assert (status, title) == (504, "The answer took too long")
        assert seconds < SOON_S
    assert asked(address, "/v1/hourly/BTC-USDT?limit=3")[0] == 200


def test_with_every_connection_busy_others_are_told_to_come_again_and_nothing_hangs(
    address: str, market: Database
) -> None:
    with locked(market, "hourly"), ThreadPoolExecutor(60) as crowd:
        paths = [f"/v1/hourly/BTC-USDT?limit={n}" for n in range(1, 61)]
        answers = list(crowd.map(lambda p: asked(address, p), paths))
    assert {status for status, _, _ in answers} <= {503, 504}
    assert any(status == 503 for status, _, _ in answers)
    assert max(seconds for _, seconds, _ in answers) < 2 * SOON_S
    assert httpx.get(f"{address}/livez", trust_env=False).status_code == 200
    assert asked(address, "/v1/hourly/BTC-USDT?limit=3")[0] == 200


def test_a_thousand_streams_that_nobody_reads_keep_nobody_out(address: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    url = httpx.URL(address)
    request = f"GET /v1/stream HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n\r\n".encode()
    stalled: list[socket.socket] = []
    try:
        for _ in range(1000):
            one = socket.create_connection((url.host, url.port or 80), timeout=20)
            one.sendall(request)
            stalled.append(one)
        status, seconds, _ = asked(address, "/v1/overview")
        assert status == 200
        assert seconds < SOON_S
        heads = [one.recv(12) for one in stalled[-3:]]
        assert all(h.startswith(b"HTTP/1.1 ") for h in heads)
        assert any(not h.endswith(b"200") for h in heads)  # more than are served are told so
    finally:
        for one in stalled:
            one.close()
    assert asked(address, "/v1/overview")[0] == 200


def test_a_killed_worker_is_replaced_while_the_other_answers(market: Database) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "conninfo": market.libpq, "symbols": list(SYMBOLS), "clock": "2024-07-16T00:05:00Z",
        "port": port, "workers": 2, "per_second": 1000.0,
    }  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "regime_pipeline.dashboard"],
        env=os.environ | {VARIABLE: json.dumps(told)},
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        first = until_there_are_two(server.pid, address)
        os.kill(first.pop(), signal.SIGKILL)
        again = until_there_are_two(server.pid, address)
        assert again != first
        assert asked(address, "/v1/overview")[0] == 200
    finally:
        server.terminate()
        server.wait(20)


def until_there_are_two(parent: int, address: str) -> set[int]:
    """The workers of a server, once two of them are there and it answers."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        workers = children(parent)
        try:
            alive = httpx.get(f"{address}/livez", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            alive = False
        if alive and len(workers) == 2:
            return workers
        time.sleep(0.2)
    raise AssertionError(f"no two workers: {children(parent)}")


def children(parent: int) -> set[int]:
    """Living processes that a process started and that serve."""
    found = set()
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in map(int, task.read_text().split()):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            if b"spawn_main" in command and state != "Z":
                found.add(pid)
    return found
