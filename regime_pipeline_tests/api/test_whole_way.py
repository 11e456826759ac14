"""The whole way once: a planted cascade, an alert at a receiver, its link, the page, the bytes behind it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import DAY, HOUR, floor_day, utc
from regime_pipeline_tests.alerts.receivers import receiving
from regime_pipeline_tests.orchestration.test_ui import free_port

SYMBOLS = ("BTC/USDT", "ETH/USDT")
REGIME = (sys.executable, "-m", "regime_pipeline.cli")


def planted(before: datetime) -> datetime:
    """The hour of the last cascade that strikes both symbols of the simulator's market."""
    tape = SyntheticTape(symbols=SYMBOLS, end=before + 60 * DAY)
    found = [
        e.start
        for e in tape.truth
        if e.kind == "LIQUIDATION_CASCADE" and set(e.symbols) == set(SYMBOLS) and e.start < before
    ]
    return found[-1]


def told(*command: str, environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        [*REGIME, *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answering(address: str) -> httpx.Client:
    client = httpx.Client(base_url=address, trust_env=False, timeout=60)
    end = time.monotonic() + 60
    while True:
        try:
            assert client.get("/livez").status_code == 200
            return client
        except httpx.ConnectError:
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_planted_cascade_can_be_followed_from_the_alert_to_the_bytes_of_the_provider(
    tmp_path: Path,
) -> None:
    struck = planted(utc("2026-11-30"))
    now = struck + 2 * HOUR
    day = f"{floor_day(now):%Y-%m-%d}"
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with receiving() as receiver:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("REGIME_", "WEBHOOKS_"))},
            "REGIME_HOME": str(tmp_path / "home"),
            "REGIME_SYMBOLS": ",".join(SYMBOLS),
            "REGIME_CLOCK": f"{now:%Y-%m-%dT%H:}03:00Z",
            "REGIME_COMPILE_AHEAD": "false",
            "REGIME_API_PUBLIC_URL": address,
            "WEBHOOKS_CASCADE": f"{receiver.url}/cascade",
        }
        first = f"{floor_day(now) - DAY:%Y-%m-%d}"
        span = ("--source", "simulated", "--from", first, "--to", day)
        told("run", *span, environment=environment, folder=tmp_path)
        try:
            follow(receiver.requests, struck, address, port, environment, tmp_path)
        finally:
            told("db", "stop", environment=environment, folder=tmp_path)


def follow(
    requests: list[tuple[dict[str, str], bytes]],
    struck: datetime,
    address: str,
    port: int,
    environment: dict[str, str],
    folder: Path,
) -> None:
    alerts = [json.loads(body) for _, body in requests]
    assert alerts, "no alert arrived"
    links = re.findall(rf"{re.escape(address)}/event/[0-9a-f]+", json.dumps(alerts))
    assert links, alerts[0]
    server = subprocess.Popen([*REGIME, "serve", "--port", str(port)], env=environment, cwd=folder)
    try:
        with answering(address) as client:
            path = links[0].removeprefix(address)
            page = client.get(path)
            assert page.status_code == 200
            assert "SIMULATED" in page.text
            event = client.get(f"/v1/events/{path.rpartition('/')[2]}").json()["data"][0]
            assert event["event_type"].startswith("LIQUIDATION_CASCADE")
            assert utc(event["ts"]) >= struck
            steps = why(client, event)
    finally:
        server.terminate()
        server.wait(30)
    replies = [s for s in steps if s["payload_id"]]
    assert replies, [s["input_table"] for s in steps]
    symbol, ts = event["instrument"], event["ts"]
    said = told(
        "why", "cascades_1h", symbol, ts, "total_liquidation_usd", "--json",
        environment=environment, folder=folder,
    )  # fmt: skip
    bodies = {p["payload_id"]: p for p in json.loads(said)["payloads"]}
    for step in replies:
        assert bodies[step["payload_id"]]["error"] is None
        assert bodies[step["payload_id"]]["byte_count"] > 0


def why(client: httpx.Client, event: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps behind the sum that the event is about, by the API; the page shows the same."""
    symbol = event["instrument"].replace("/", "-")
    at = f"/why/cascades_1h/{symbol}/{event['ts']}?column=total_liquidation_usd"
    found = client.get(f"/v1{at}").json()
    assert found["value"] > 0
    page = client.get(at).text
    for step in found["inputs"]:
        assert step["input_table"] in page
    steps: list[dict[str, Any]] = found["inputs"]
    return steps
