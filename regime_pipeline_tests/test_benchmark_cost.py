"""Costs are those of whole trees of processes, and the benchmark of them prints every figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BURN = "import time\nwhile time.process_time() < 0.3: pass"
MEASURE = f"""
import json, subprocess, sys, time
from benchmarks.processes import adopt_orphans, difference_s, spent_s
adopt_orphans()
before = spent_s()
subprocess.run([sys.executable, "-c", {BURN!r}], check=True)
# a daemon: its parent ends at once, and it lives on for a while
daemon = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
subprocess.run([sys.executable, "-c", daemon, {BURN + chr(10) + "time.sleep(20)"!r}], check=True)
limit = time.monotonic() + 60
while (cost := difference_s(before, spent_s()))["others"] < 0.6 and time.monotonic() < limit:
    time.sleep(0.1)
print(json.dumps(cost))
"""


@pytest.mark.slow
def test_ended_children_and_daemons_count() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    cost = json.loads(done.stdout)
    assert cost["total"] >= 0.6
    assert cost["others"] >= 0.6 > cost["own"]
    assert cost["postgres"] == 0.0


@pytest.mark.slow
def test_every_figure_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "cost"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    cases = {figure["case"].partition(",")[0] for figure in figures}
    assert {"cold run", "tick with dbt", "tick without dbt", "added symbol and tick"} <= cases
    assert all(figure.get("cpu_s", 1.0) > 0.0 for figure in figures)
