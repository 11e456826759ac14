"""The server beside a bare Starlette route: cached, unchanged, not cached; memory, start, the first page.

Three symbols over 45 days with ``--quick``, eight over five years without. Clients and both servers share
the machine; each pair of figures is measured in turn within one run.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from benchmarks.common import line, repeated

READERS = 50
ROUNDS = 5
REQUESTS = 2000
DRAWN = 40
PATH = "/v1/volatility?symbols=BTC&limit=100"
LONG = ("features.volatility_regimes", "reporting.hourly")
"""What is asked over five years: the rows of 45 days again and again."""


async def _reader(port: int, requests: list[str], headers: str, times: list[float]) -> None:
    """One client that asks again and again on one connection."""
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    for path in requests:
        began = time.perf_counter()
        writing.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode())
        head = await reading.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status not in (200, 304):
            raise RuntimeError(f"{path}: {status}")
        size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if size and status == 200:
            await reading.readexactly(int(size))
        times.append(time.perf_counter() - began)
    writing.close()


def _load(
    port: int, paths: list[str], *, headers: str = "", readers: int = READERS
) -> tuple[float, float, int]:
    """Requests a second, the 95th percentile of how long one took, in seconds, and how many they were."""
    times: list[float] = []

    async def run() -> float:
        share = [paths[n::readers] for n in range(readers)]
        began = time.perf_counter()
        await asyncio.gather(*(_reader(port, part, headers, times) for part in share))
        return time.perf_counter() - began

    took = asyncio.run(run())
    return len(paths) / took, statistics.quantiles(times, n=20)[-1], len(paths)


def _side_by_side(
    case: str, ours: Any, other: Any, budget: float, pids: tuple[int, int], **more: Any
) -> None:
    """Rates of both in turn, and the median of their ratios; processor time of the two servers."""
    for call in (ours, other):
        call()  # connections, caches
    pairs = []
    cpu_ms: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        found = []
        for call, pid, spent in zip((ours, other), pids, cpu_ms, strict=True):
            before = _cpu_s(pid)
            found.append(call())
            spent.append(1000 * (_cpu_s(pid) - before) / found[-1][2])
        pairs.append(found)
    line(
        "surface",
        case,
        ours_per_s=statistics.median(a[0] for a, _ in pairs),
        bare_per_s=statistics.median(b[0] for _, b in pairs),
        ratio=statistics.median(a[0] / b[0] for a, b in pairs),
        budget=budget,
        ours_cpu_ms=statistics.median(cpu_ms[0]),
        bare_cpu_ms=statistics.median(cpu_ms[1]),
        ours_p95_ms=1000 * statistics.median(a[1] for a, _ in pairs),
        bare_p95_ms=1000 * statistics.median(b[1] for _, b in pairs),
        **more,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(module: str, variable: str, told: dict[str, Any]) -> Iterator[tuple[int, int, float]]:
    """A server process: its port, its id, seconds until it answered."""
    port = _free_port()
    began = time.perf_counter()
    environment = os.environ | {variable: json.dumps(told | {"port": port})}
    child = subprocess.Popen([sys.executable, "-m", module], env=environment)
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1):
                    break
            except OSError:
                if child.poll() is not None:
                    raise RuntimeError(f"{module} ended") from None
                time.sleep(0.02)
        yield port, child.pid, time.perf_counter() - began
    finally:
        child.terminate()
        child.wait(20)


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def _streams(port: int, count: int) -> Iterator[None]:
    taken = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(b"GET /v1/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        one.recv(200)
        taken.append(one)
    yield
    for one in taken:
        one.close()


def _filled(quick: bool, folder: Path) -> tuple[str, tuple[str, ...], Any]:
    """A database with every mart, its symbols and its clock."""
    from regime_pipeline.settings import Settings, changed
    from regime_pipeline.storage.database import open_database
    from regime_pipeline_tests.reporting import world
    from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, WINDOW, Builder, write

    symbols = SYMBOLS if quick else Settings().symbols
    settings = changed(Settings(), {"home": str(folder / "home"), "origin": "live"})
    database = open_database(settings, origin="live")
    frames = world.make(WINDOW.start, WINDOW.end, symbols)
    frames["ops.fetch_log"] = world.fetch_log(WINDOW, CLOCK.now(), symbols)
    write(database, frames)
    Builder(folder / "dbt")(database)
    if not quick:
        with database.connect() as connection:
            for table in LONG:
                repeated(connection, table, WINDOW, timedelta(days=1826))
    return database.libpq, symbols, CLOCK


def run(*, quick: bool = False) -> None:
    """Every figure of the server."""
    from regime_pipeline.storage.embedded import EmbeddedServer

    with tempfile.TemporaryDirectory(prefix="regime-bench-") as name:
        folder = Path(name)
        try:
            measure(*_filled(quick, folder))
        finally:
            EmbeddedServer(folder / "home").stop()


def measure(conninfo: str, symbols: tuple[str, ...], clock: Any) -> None:
    """Every figure of the server on a database that is there."""
    from regime_pipeline.dashboard.__main__ import VARIABLE

    told = {
        "conninfo": conninfo,
        "symbols": list(symbols),
        "clock": clock.now().isoformat(),
        "per_second": 1e6,
    }
    with _process("regime_pipeline.dashboard", VARIABLE, told) as (port, pid, ready_s):
        line("surface", "ready", ours_s=ready_s, budget=3.0)
        line("surface", "memory, idle", ours_mb=_memory_mb(pid), budget=80)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as asks:
            first = asks.get(PATH, headers={"accept-encoding": "identity"})
            body, etag = first.text, first.headers["etag"]
            names = [c for c in first.json()["data"][0] if c != "links"]
            _pages(asks, symbols, pid, port)
        columns = ", ".join(names)
        sql = (
            f"select {columns} from reporting.volatility_1h where symbol = %s "
            "and ts < %s order by ts desc, symbol limit 101"
        )
        bare = {"conninfo": conninfo, "body": body, "sql": sql, "values": ["BTC/USDT"]}
        with _process("benchmarks.surface_bare", "REGIME_BARE", bare) as (other, bare_pid, _):
            pids = (pid, bare_pid)
            _side_by_side(
                "cached, 50 readers",
                lambda: _load(port, [PATH] * REQUESTS),
                lambda: _load(other, ["/bytes"] * REQUESTS),
                0.8,
                pids,
                bytes=len(body),
            )
            _side_by_side(
                "unchanged (304), 50 readers",
                lambda: _load(port, [PATH] * REQUESTS, headers=f"if-none-match: {etag}\r\n"),
                lambda: _load(other, ["/bytes"] * REQUESTS),
                1 / 1.2,
                pids,
            )
            ends = iter(range(10**6))

            def new(path: str, join: str) -> list[str]:
                end = clock.now()
                asked = [end - timedelta(seconds=next(ends)) for _ in range(200)]
                return [f"{path}{join}to={at:%Y-%m-%dT%H:%M:%SZ}" for at in asked]

            _side_by_side(
                "not cached, one reader",
                lambda: _load(port, new(PATH, "&"), readers=1),
                lambda: _load(other, new("/sql", "?"), readers=1),
                1 / 1.3,
                pids,
            )


def _pages(asks: httpx.Client, symbols: tuple[str, ...], pid: int, port: int) -> None:
    html = {"accept": "text/html"}
    before = _cpu_s(pid)
    page = asks.get("/", headers=html)
    first = _cpu_s(pid) - before
    for n in range(DRAWN):  # another address is another page, drawn of the same pictures
        asks.get(f"/?n={n}", headers=html)
    line(
        "surface",
        "the page Now",
        packed_kb=len(gzip.compress(page.content)) / 1024,
        budget_kb=80,
        script_kb=len(asks.get("/static/dashboard.js").content) / 1024,
        budget_script_kb=10,
        first_cpu_ms=1000 * first,
        cpu_ms=1000 * (_cpu_s(pid) - before - first) / DRAWN,
        budget_cpu_ms=15,
    )
    with _streams(port, 200):
        for n in range(50):
            asks.get(f"/symbol/{symbols[n % len(symbols)].replace('/', '-')}?n={n}")
        line("surface", "memory, 50 pages and 200 streams", ours_mb=_memory_mb(pid), budget=150)


def _cpu_s(pid: int) -> float:
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
