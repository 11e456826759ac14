"""What the benchmarks share: a line of output, medians, a filled database beside a simulator."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, FixedClock, Window, utc

NOW = utc("2026-06-15T12:02:00Z")
"""The instant at which the benchmarks' clock stands."""


def line(name: str, case: str, **figures: Any) -> None:
    """Print one figure."""
    record = {"bench": name, "case": case} | {
        k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()
    }
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def markdown(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table, index left out."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def seconds(work: Callable[[], Any]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def paired(
    ours: Callable[[], Any], other: Callable[[], Any], times: int
) -> tuple[float, float, float]:
    """Medians of two pieces of work run in turn, and the median of their ratios pair by pair."""
    a, b = [], []
    for _ in range(times):
        a.append(seconds(ours))
        b.append(seconds(other))
    ratio = statistics.median(x / y for x, y in zip(a, b, strict=True))
    return statistics.median(a), statistics.median(b), ratio


def in_process(module: str, folder: Path, **task: Any) -> tuple[dict[str, Any], Path]:
    """One side of a case in a process of its own: what it printed last, and its file of values."""
    out = folder / f"{task['side']}.npz"
    command = [sys.executable, "-m", module, "--task", json.dumps(task), "--out", str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]), out


def command_line(
    module: str, run: Callable[..., None], child: Callable[[dict[str, Any], Path], None]
) -> None:
    """``python -m MODULE [--quick]``, and the processes that :func:`in_process` starts."""
    parser = argparse.ArgumentParser(prog=module)
    parser.add_argument("--quick", action="store_true", help="one small size")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.task:
        child(json.loads(chosen.task), chosen.out)
    else:
        run(quick=chosen.quick)


@contextmanager
def filled_pipeline(days: int) -> Iterator[tuple[Settings, FixedClock]]:
    """Settings of a throw-away database that holds ``days`` derived days of a synthetic market.

    The simulator that filled it keeps serving while the block runs.
    """
    from regime_pipeline.orchestration.launch import run_pipeline
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.simulator.tape import SyntheticTape
    from regime_pipeline.storage.database import open_database
    from regime_pipeline.storage.embedded import EmbeddedServer

    clock = FixedClock(NOW)
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as folder:
        home = Path(folder) / "home"
        try:
            with SimulatorServer(SyntheticTape(), clock, isolation="process") as server:
                os.environ.update(server.environment())
                os.environ |= {
                    "REGIME_HOME": str(home),
                    "REGIME_ORIGIN": "simulated",
                    "REGIME_CLOCK": NOW.isoformat(),
                }
                settings = Settings(_env_file=None)
                open_database(settings, origin="simulated").close()
                last = utc(NOW.date())
                window = Window(last - (days - 1) * DAY, NOW)
                report = run_pipeline(
                    settings=settings, clock=clock, window=window, symbols=settings.universe
                )
                if not report.succeeded:
                    raise RuntimeError(
                        f"the benchmark's own data could not be made: {report.runs[-1]}"
                    )
                yield settings, clock
        finally:
            EmbeddedServer(home).stop()
            os.environ.clear()
            os.environ.update(before)


def repeated(connection: Any, table: str, window: Window, reach: timedelta) -> None:
    """The rows of a window again, one window earlier each time, until they reach back so far.

    Every instant of a row is moved; events get ids of their own.

    Args:
        connection: to the database.
        table: ``schema.name`` with rows of the window.
        window: whole days.
        reach: how far before the window's end the oldest rows lie.
    """
    kinds: dict[str, str] = dict(
        connection.execute(
            "select attname, format_type(atttypid, null) from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            (table,),
        ).fetchall()
    )
    length = window.end - window.start
    if not table.startswith("reporting."):
        month, last = (window.end - reach - length).replace(day=1), window.start
        while month < last:
            connection.execute(
                "select ops.ensure_partition(%s::regclass, %s)", (table, month.date())
            )
            month = (month + timedelta(days=32)).replace(day=1)
    moved = {
        name: f'r."{name}" - k.times * %(length)s' if "time zone" in kind else f'r."{name}"'
        for name, kind in kinds.items()
    }
    if "event_id" in moved:
        moved["event_id"] = "md5(r.event_id || k.times)"
    columns = ", ".join(f'"{name}"' for name in moved)
    connection.execute(
        f"insert into {table} ({columns}) select {', '.join(moved.values())} from {table} as r "
        "cross join generate_series(1, %(times)s) as k (times) on conflict do nothing",
        {"length": length, "times": reach // length},
    )
    connection.execute(f"analyze {table}")
