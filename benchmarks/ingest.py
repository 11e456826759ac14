"""A year of hourly candles of 8 symbols from two venues, over HTTP and into the database.

Parse + store is everything from a reply's bytes to committed rows: strict JSON, typed columns, order,
duplicates, the grid, the contract of the table, merge. It is measured by fetching a second time from
the bodies that the first fetch brought, so that HTTP and the simulator, which share this machine, are
shown apart. The baseline does the least that anybody would: ``json.loads``, ``float``, COPY into a
table without keys.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.common import NOW, line
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, FixedClock, Window, utc

BUDGET_RATE = 50_000
TIMES = 3
SOURCES = ("binance", "okx")


@dataclass
class Kept:
    """A client that keeps every body, and then serves them without a network."""

    client: Any
    replies: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[bytes, Any]] = field(
        default_factory=dict
    )
    replaying: bool = False

    @property
    def redactor(self) -> Any:
        """The client's own."""
        return self.client.redactor

    @property
    def concurrency_per_host(self) -> int:
        """The client's own; without a network threads gain nothing."""
        return 1 if self.replaying else self.client.concurrency_per_host

    def get(
        self, provider: str, base: str, path: str, params: Mapping[str, str], **more: Any
    ) -> Any:
        """Makes the request and keeps its body, or reads the kept body again."""
        key = (provider + path, tuple(sorted(params.items())))
        if self.replaying:
            body, reply = self.replies[key]
            return replace(reply, parsed=more["parse"](body))
        bodies: list[bytes] = []
        parse = more.pop("parse")

        def keep(body: bytes) -> Any:
            bodies.append(body)
            return parse(body)

        reply = self.client.get(provider, base, path, params, parse=keep, **more)
        self.replies[key] = (bodies[-1], reply)
        return reply


def run() -> None:
    """One fetch over HTTP, then parse + store and the baseline in turn on the same bodies."""
    from regime_pipeline.providers.fetch.fetch import fetch
    from regime_pipeline.providers.http import HttpClient
    from regime_pipeline.providers.landing import LandingStore
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.simulator.tape import SyntheticTape
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer
    from regime_pipeline.storage.warehouse import Warehouse

    clock = FixedClock(NOW)
    end = utc(NOW.date())
    window = Window(end - 365 * DAY, end)
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as folder:
        home = Path(folder) / "home"
        try:
            with SimulatorServer(SyntheticTape(), clock, isolation="process") as server:
                os.environ.update(server.environment())
                settings = Settings(
                    _env_file=None, home=home, origin="simulated", sources=SOURCES,
                    **server.settings_overrides(),
                )  # fmt: skip
                database = open_database(settings, origin="simulated")
                warehouse = Warehouse(database, clock)
                with HttpClient(settings, LandingStore.of(settings), clock) as client:
                    kept = Kept(client)

                    def ask() -> Any:
                        return fetch(
                            "candles", window, settings=settings, client=kept, clock=clock,
                            symbols=settings.universe,
                        )  # fmt: skip

                    began = time.perf_counter()
                    first = ask()
                    fetched_s = time.perf_counter() - began
                    kept.replaying = True
                    got = first
                    parsed, stored, plain, cpu = [], [], [], []
                    for _ in range(TIMES):
                        _emptied(database)
                        began, busy = time.perf_counter(), time.process_time()
                        got = ask()
                        parsed.append(time.perf_counter() - began)
                        began = time.perf_counter()
                        warehouse.merge("raw.candles", got.frame, mode="upsert")
                        stored.append(time.perf_counter() - began)
                        cpu.append(time.process_time() - busy)
                        began = time.perf_counter()
                        rows = _baseline(database, [b for b, _ in kept.replies.values()])
                        plain.append(time.perf_counter() - began)
                    same = got.frame["close"].equals(first.frame["close"])
                    if not same or len(got.quarantined):
                        raise RuntimeError("the second reading is not the first one")
                    parse_s, store_s = statistics.median(parsed), statistics.median(stored)
                    plain_s = statistics.median(plain)
                    count = len(got.frame)
                    line(
                        "ingest",
                        f"365 d x 8 symbols x {' + '.join(SOURCES)}, 1h candles",
                        rows=count,
                        requests=len(kept.replies),
                        megabytes=sum(len(b) for b, _ in kept.replies.values()) / 1e6,
                        http_and_simulator_s=max(0.0, fetched_s - parse_s),
                        parse_s=parse_s,
                        store_s=store_s,
                        rows_per_s=count / (parse_s + store_s),
                        budget=BUDGET_RATE,
                        rows_per_own_cpu_s=count / statistics.median(cpu),
                        baseline_s=plain_s,
                        baseline_rows_per_s=rows / plain_s,
                        ratio=(parse_s + store_s) / count / (plain_s / rows),
                    )
                database.close()
        finally:
            EmbeddedServer(home).stop()


def _emptied(database: Any) -> None:
    with database.connect() as connection:
        connection.execute("truncate raw.candles, raw.candles_revisions")
        connection.execute("drop table if exists public.plain_candles")
        connection.execute(
            "create table public.plain_candles (body int, ts timestamptz, open float8, high float8, "
            "low float8, close float8, volume float8)"
        )


def _baseline(database: Any, bodies: list[bytes]) -> int:
    """``json.loads`` and COPY of six columns; how many rows."""
    from datetime import UTC, datetime

    count = 0
    with (
        database.connect() as connection,
        connection.cursor().copy("copy public.plain_candles from stdin") as copy,
    ):
        for number, body in enumerate(bodies):
            document = json.loads(body)
            for row in document if isinstance(document, list) else document["data"]:
                at = datetime.fromtimestamp(int(row[0]) / 1000, UTC)
                copy.write_row((number, at, *map(float, row[1:6])))
                count += 1
    return count
