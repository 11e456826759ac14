"""Alert dispatch: processor seconds for 1,000 events to 4 receivers, and how long one event takes to arrive.

Beside another build with ``--beside``.

Events go through the outbox of a throw-away database to receivers in a process of their own, which are
not counted. Each build runs in its own process from its own checkout; only what builds share is called.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS, RECEIVERS, SINGLE = 1_000, 4, 40

_RECEIVERS = """
import asyncio, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            lines = [line.lower() for line in head.split(b"\\r\\n")]
            size = next(int(n[15:]) for n in lines if n.startswith(b"content-length:"))
            await reader.readexactly(size)
            writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(int(sys.argv[1]))]
    print(*(s.sockets[0].getsockname()[1] for s in servers), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def _receivers() -> Iterator[list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _RECEIVERS, str(RECEIVERS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield [process.pid, *(int(p) for p in process.stdout.readline().split())]
    finally:
        process.terminate()
        process.wait()


def measure() -> dict[str, float]:
    """Seconds of one build, the one that is imported here."""
    sys.path.insert(0, str(Path(__file__).parent))
    import pandas as pd
    import processes  # type: ignore[import-not-found]
    from pydantic import SecretStr

    from regime_pipeline.alerts.dispatch import dispatch_due
    from regime_pipeline.alerts.outbox import enqueue
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer
    from regime_pipeline.windows import SystemClock

    processes.adopt_orphans()
    clock = SystemClock()
    now = pd.Timestamp(clock.now()).floor("s")
    every = pd.DataFrame(
        {
            "event_id": f"{n:064d}",
            "ts": now,
            "event_type": "LIQUIDATION_CASCADE",
            "instrument": "BTC/USDT",
            "kind": "start",
            "ordinal": 0,
            "alert_severity": "CRITICAL",
            "level": "5",
            "episode_start": now,
            "known_at": now,
            "title": "BTC/USDT liquidation cascade",
            "details": '{"severity":5}',
            "source_tier": 1,
            "method_version": "cascades/1",
        }
        for n in range(EVENTS + SINGLE)
    )
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as folder, _receivers() as found:
        pid, *ports = found
        urls = ",".join(f"http://127.0.0.1:{port}/hook" for port in ports)
        settings = Settings(_env_file=None, home=Path(folder), webhooks_all=SecretStr(urls))
        try:
            database = open_database(settings, origin="live")

            def store(events: pd.DataFrame) -> None:
                with database.connect() as connection, connection.transaction():
                    enqueue(
                        connection, events, settings=settings, clock=clock, suppress_reason=None
                    )

            store(every[:EVENTS])
            before, began = processes.spent_s(without=[pid]), time.perf_counter()
            delivered = 0
            while delivered < EVENTS * RECEIVERS:
                counts = dispatch_due(database, settings, clock, budget_s=600)
                delivered += counts["delivered"]
                if not counts["delivered"]:
                    raise RuntimeError(f"only {delivered} were delivered: {counts}")
            took = time.perf_counter() - began
            spent = processes.difference_s(before, processes.spent_s(without=[pid]))
            arrivals = []
            for n in range(EVENTS, EVENTS + SINGLE):
                store(every[n : n + 1])
                began = time.perf_counter()
                dispatch_due(database, settings, clock, budget_s=600)
                arrivals.append(1000 * (time.perf_counter() - began))
            with database.connect() as connection:
                (sent_ms,) = connection.execute(
                    "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) "
                    "FROM alerts.delivery_attempts WHERE event_id >= %s",
                    (f"{EVENTS:064d}",),
                ).fetchone()
            database.close()
        finally:
            EmbeddedServer(Path(folder)).stop()
    return {
        "cpu_s": spent["total"],
        "dispatcher_s": spent["own"],
        "clock_s": took,
        "arrival_p95_ms": statistics.quantiles(arrivals, n=20)[-1],
        "send_p95_ms": sent_ms,
    }


def _of(root: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run(*, base: Path | None = None) -> None:
    """Both builds, each in its own process.

    Args:
        base: checkout of the other build.
    """
    from benchmarks.common import line

    ours = _of(Path(__file__).parents[1])
    line("dispatch", f"{EVENTS} events x {RECEIVERS}", **ours)
    if base is not None:
        theirs = _of(base.resolve())
        ratios = {f"times_{name}": theirs[name] / ours[name] for name in ours}
        line("dispatch", "base", **theirs, **ratios)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
