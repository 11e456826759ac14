"""What the pipeline costs: processor seconds of whole process trees, PostgreSQL included.

Each build gets a home and an empty kernel cache of its own and does the same work there, one after the
other: a cold ``regime run``, the same run again, every day derived again, the derived chain as one run,
and hourly ticks in a process that lives on. What is counted is everything that the command starts,
daemons too (``processes``); of a command that includes the simulator, of a tick it doesn't. Clock times
mean something on a quiet machine only; ratios of processor seconds nearly everywhere.

The clock stands, so that two builds see the same market.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.common import NOW, line
from benchmarks.processes import adopt_orphans, difference_s, spent_s

HERE = Path(__file__).resolve().parents[1]
SYMBOLS = "BTC/USDT,ETH/USDT,SOL/USDT,BNB/USDT,XRP/USDT,ADA/USDT,DOGE/USDT,LINK/USDT"
"""The first ones of a universe; what is beyond has made-up names."""
DAY = timedelta(days=1)
TARGETS = {
    "cold run": 0.65,
    "run again, nothing new": 0.5,
    "run again, all derived anew": 0.6,
    "derived chain, one run": 0.5,
    "tick with dbt": 0.45,
    "tick without dbt": 0.45,
}
"""Bounds of the ratio to another build that the project has set itself (commit bcd840c)."""
GRAPH_TARGETS = {"tick with dbt": 6.0, "tick without dbt": 5.0}
"""Bounds of a tick's ratio to the same graph with empty bodies."""


@dataclass(frozen=True)
class Size:
    """How much is done: symbols, derived days, days of history before them, ticks of each kind."""

    symbols: int
    days: int
    history: int | None
    ticks: int
    few: int


SIZES = {
    "small": Size(symbols=2, days=2, history=5, ticks=1, few=1),
    "medium": Size(symbols=3, days=30, history=None, ticks=2, few=1),
    "full": Size(symbols=8, days=366, history=None, ticks=5, few=2),
}
"""Without a bound to the history a run fetches what its lookbacks want, which is years."""


def universe(count: int) -> list[str]:
    """So many symbols: real ones first, then C09/USDT and on."""
    real = SYMBOLS.split(",")
    return real[:count] + [f"C{n:02d}/USDT" for n in range(len(real) + 1, count + 1)]


class Build:
    """One build with a home of its own in a folder that is thrown away."""

    def __init__(self, tree: Path, folder: Path, size: Size) -> None:
        self._tree = tree
        self._folder = folder
        self._size = size
        self._first = NOW - size.days * DAY
        named = ("PATH", "HOME", "LANG", "TZ")
        self._environment = {k: v for k, v in os.environ.items() if k in named} | {
            "PYTHONPATH": str(tree),
            "REGIME_HOME": str(folder / "home"),
            "NUMBA_CACHE_DIR": str(folder / "kernels"),
            "REGIME_CLOCK": NOW.isoformat(),
            "REGIME_SYMBOLS": ",".join(universe(size.symbols)),
        }
        if size.history is not None:
            start = self._first - size.history * DAY
            self._environment["REGIME_START_DATE"] = f"{start:%Y-%m-%d}"

    def _python(self, *arguments: str) -> tuple[str, dict[str, float]]:
        """Standard output of a program of this build, and what it cost."""
        before, began = spent_s(), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        cost = difference_s(before, spent_s())
        said = f"{self._tree.name}: {' '.join(arguments)[:90]}: {cost['total']:.1f} processor s"
        print(said, file=sys.stderr, flush=True)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments} of {self._tree} failed: {done.stderr[-2000:]}")
        return done.stdout, cost | {"clock": time.monotonic() - began}

    def regime(self, *arguments: str) -> tuple[str, dict[str, float]]:
        """A command of the ``regime`` program."""
        return self._python("-m", "regime_pipeline.cli", *arguments)

    def figures(self) -> dict[str, dict[str, Any]]:
        """Every figure by its case."""
        window = ("--source", "simulated", "--from", f"{self._first:%Y-%m-%d}", "--json")
        out: dict[str, dict[str, Any]] = {}
        try:
            for case, more in (
                ("cold run", ("run",)),
                ("run again, nothing new", ("run",)),
                ("run again, all derived anew", ("run", "--recompute")),
            ):
                text, cost = self.regime(*more, *window)
                requests = sum(s["requests"] for s in json.loads(text)["run"]["sources"])
                out[case] = _named(cost) | {"requests": requests}
            to = ("--to", f"{NOW - DAY:%Y-%m-%d}")
            text, cost = self.regime("backfill", "--select", "derived", *window, *to)
            out["derived chain, one run"] = _named(cost)
            out |= self._ticks(json.loads(text)["runs"][-1]["run_id"])
        finally:
            self.regime("db", "stop")
        return out

    def _ticks(self, backfill: str) -> dict[str, dict[str, Any]]:
        clock = self._folder / "clock"
        clock.write_text(NOW.isoformat())
        size = self._size
        text, _ = self._python(
            str(HERE / "benchmarks" / "cost_ticks.py"), str(clock), "--backfill", backfill,
            "--times", str(size.ticks), "--few", str(size.few),
        )  # fmt: skip
        found = json.loads(text)
        out: dict[str, dict[str, Any]] = {}
        for case in ("with dbt", "without dbt"):
            tick, empty = found[case], found[f"empty graph, {case}"]
            out[f"tick {case}"] = _named(tick) | {
                "requests": tick["requests"],
                "requests_beside_books": tick["requests_beside_books"],
                "empty_graph_cpu_s": empty["total"],
                "ratio_to_empty_graph": tick["total"] / empty["total"],
            }
        out["added symbol and tick"] = {
            "cpu_s": (found["without dbt"]["total"] - found["fewer symbols"]["total"])
            / (size.symbols - size.few)
        }
        out["event log of a tick"] = {"bytes": found["with dbt"]["log_bytes"]}
        out["event log of an asset and day in a backfill"] = {"bytes": found["backfill"]}
        return out


def _named(cost: dict[str, float]) -> dict[str, Any]:
    """A cost as the fields of a line."""
    names = {"total": "cpu_s", "own": "own_cpu_s", "postgres": "postgres_cpu_s"}
    named = {name: cost[part] for part, name in names.items() if cost[part]}
    return named | ({"clock_s": cost["clock"]} if "clock" in cost else {})


def run(*, size: str = "small", base: Path | None = None, symbols: int | None = None) -> None:
    """All figures of this build and, where it is named, of another one beside it.

    Args:
        size: a name out of :data:`SIZES`.
        base: checkout of the other build.
        symbols: how many, instead of the size's own; 100 is a universe that no size has.
    """
    adopt_orphans()
    chosen = SIZES[size] if symbols is None else replace(SIZES[size], symbols=symbols)
    ours = _of(HERE, chosen)
    theirs = _of(base.resolve(), chosen) if base is not None else {}
    for case, figures in ours.items():
        more: dict[str, Any] = {}
        for unit in ("cpu_s", "bytes", "requests", "requests_beside_books", "clock_s"):
            other = theirs.get(case, {}).get(unit)
            if unit in figures and other:
                name = "ratio" if unit in ("cpu_s", "bytes") else f"ratio_{unit}"
                more |= {f"base_{unit}": other, name: figures[unit] / other}
        if case in TARGETS:
            more["target_ratio"] = TARGETS[case]
        if case in GRAPH_TARGETS:
            more["target_ratio_to_empty_graph"] = GRAPH_TARGETS[case]
        line("cost", f"{case}, {chosen.symbols} symbols, {chosen.days} days", **figures, **more)


def _of(tree: Path, size: Size) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="regime-bench-") as folder:
        Path(folder).chmod(0o755)  # the server's account must reach its data
        return Build(tree, Path(folder), size).figures()
