"""What the server may cost: to start, to keep running, to draw its first page."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from regime_pipeline.dashboard.__main__ import VARIABLE
from regime_pipeline.storage.database import Database
from regime_pipeline_tests.reporting.conftest import SYMBOLS

pytestmark = pytest.mark.xdist_group("market")

READY_S, IDLE_MB = 3.0, 80.0
PAGE_KB, SCRIPT_KB = 80.0, 10.0


def figure(client: httpx.Client, name: str) -> int:
    """A figure of ``/metrics``."""
    found = re.search(rf"^{name} (\d+)", client.get("/metrics").text, flags=re.M)
    assert found is not None, name
    return int(found[1])


def test_the_first_page_and_its_script_are_small(client: httpx.Client) -> None:
    page = client.get("/", headers={"accept": "text/html"})
    assert len(gzip.compress(page.content, 1)) / 1024 <= PAGE_KB
    assert len(client.get("/static/dashboard.js").content) / 1024 <= SCRIPT_KB


def test_the_first_page_is_drawn_again_of_parts_that_are_kept(client: httpx.Client) -> None:
    end = time.monotonic() + 60
    while not figure(client, "regime_api_is_listening") and time.monotonic() < end:
        time.sleep(0.1)  # until then nothing is known to be unchanged
    first = client.get("/?n=1", headers={"accept": "text/html"}).text
    before = figure(client, "regime_api_cache_misses_total")
    again = client.get("/?n=2", headers={"accept": "text/html"}).text
    made = figure(client, "regime_api_cache_misses_total") - before
    assert made == 1  # the page itself
    for part in ("overview", "liquidations", "matrix", "volatility"):
        shown = [p[p.index(f'id="{part}"') :].partition("</section>")[0] for p in (first, again)]
        assert shown[0] == shown[1]


@pytest.mark.slow
def test_a_server_is_ready_and_idle_within_its_budget(served_market: Database) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"conninfo": served_market.libpq, "symbols": list(SYMBOLS), "port": port,
            "clock": "2024-07-16T00:05:00Z"}  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "regime_pipeline.dashboard"],
        env=os.environ | {VARIABLE: json.dumps(told)},
    )
    try:
        end = time.monotonic() + 90
        while True:
            assert time.monotonic() < end, "no answer"
            try:
                ready = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=20)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        used = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
        spent_s = (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
        status = Path(f"/proc/{server.pid}/status").read_text()
        held_mb = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    finally:
        server.terminate()
        server.wait(20)
    assert ready.json()["checks"]["database"] == "ok"
    assert spent_s <= READY_S
    assert held_mb <= IDLE_MB
