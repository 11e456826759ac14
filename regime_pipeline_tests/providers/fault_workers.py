"""What the other processes of the fault tests do: clients of their own with one gate in common."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import GENERIC, ProviderError
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.providers.limits.breaker import Policy
from regime_pipeline.providers.limits.gate import HostGate
from regime_pipeline.providers.limits.store import PostgresStore
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import SystemClock


@dataclass(frozen=True)
class Job:
    """Requests to one provider again and again, until the time is over or enough came.

    Attributes:
        provider: provider name; requests go to ``<server>/<provider>/x``.
        server: base URL.
        database: URL of the database the processes share.
        home: where landed bytes go.
        policy: of the breakers.
        for_s: how long.
        enough: ends after so many good replies.
        pause_s: between two requests.
        attempts: of one request.
    """

    provider: str
    server: str
    database: str
    home: Path
    policy: Policy
    for_s: float
    enough: int = 10**6
    pause_s: float = 0.02
    attempts: int = 1


def work(job: Job, barrier: Any, results: Any) -> None:
    """One process's part; puts a count of outcomes, ``ok`` or an error class each."""
    settings = Settings(
        _env_file=None, home=job.home, http_deadline_s=5.0, http_attempts=job.attempts
    )  # type: ignore[call-arg]
    database = Database(job.database)
    gate = HostGate(PostgresStore(database.connect), policy=job.policy, patience_s=2.0)
    seen: Counter[str] = Counter()
    store = LandingStore(str(job.home / "landing"))
    with HttpClient(settings, store, SystemClock(), gate=gate, first_wait_s=0.02) as client:
        with database.connect():
            pass
        barrier.wait()
        ends = time.monotonic() + job.for_s
        while time.monotonic() < ends and seen["ok"] < job.enough:
            try:
                client.get(
                    job.provider,
                    f"{job.server}/{job.provider}",
                    "/x",
                    {},
                    parse=load,
                    errors=GENERIC,
                )
                seen["ok"] += 1
            except ProviderError as error:
                seen[error.error_class] += 1
            time.sleep(job.pause_s)
    database.close()
    results.put((job.provider, dict(seen)))


def run_all(jobs: Sequence[Job], timeout_s: float = 60.0) -> list[tuple[str, dict[str, int]]]:
    """Every job in a process of its own, begun at the same moment; their counts in any order."""
    context: ForkServerContext = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier, results = context.Barrier(len(jobs)), context.Queue()
    processes = [context.Process(target=work, args=(job, barrier, results)) for job in jobs]
    for process in processes:
        process.start()
    try:
        return [results.get(timeout=timeout_s) for _ in jobs]
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
