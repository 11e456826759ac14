"""The whole way once: a planted cascade, an alert at a receiver, its link, the page, the bytes behind it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from regime_pipeline.orchestration.launch import run_pipeline
from regime_pipeline.settings import Settings, changed
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, floor_day, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.alerts.receivers import receiving
from regime_pipeline_tests.orchestration.test_ui import free_port

SYMBOLS = ("BTC/USDT", "ETH/USDT")
REGIME = (sys.executable, "-m", "regime_pipeline.cli")


def planted(before: datetime) -> datetime:
    """The hour of the last cascade that strikes both symbols of the simulator's market."""
    tape = SyntheticTape(symbols=SYMBOLS, end=before)
    found = [
        e.start
        for e in tape.truth
        if e.kind == "LIQUIDATION_CASCADE" and set(e.symbols) == set(SYMBOLS)
    ]
    return found[-1]


def told(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [*REGIME, *command],
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
    postgres: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    struck = planted(utc("2026-11-30"))
    clock = FixedClock(struck + 2 * HOUR)
    today = floor_day(clock.now())
    first = today - 40 * DAY
    tape = SyntheticTape(start=first - 5 * DAY, end=today + 2 * DAY, symbols=SYMBOLS)
    address = f"http://127.0.0.1:{free_port()}"
    for name in [n for n in os.environ if n.startswith(("REGIME_", "WEBHOOKS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)  # where nobody's .env lies
    with (
        receiving() as receiver,
        SimulatorServer(tape, clock) as simulator,
        postgres.database() as database,
    ):
        for name, value in {
            "REGIME_DATABASE_URL": database.url,
            "REGIME_HOME": str(tmp_path / "home"),
            "REGIME_ORIGIN": "simulated",
            "REGIME_SYMBOLS": ",".join(SYMBOLS),
            "REGIME_START_DATE": f"{first:%Y-%m-%d}",
            "REGIME_CLOCK": clock.now().isoformat(),
            "REGIME_API_PUBLIC_URL": address,
            "WEBHOOKS_CASCADE": f"{receiver.url}/cascade",
        }.items():
            monkeypatch.setenv(name, value)
        done = run_pipeline(
            settings=changed(Settings(), simulator.settings_overrides()),
            clock=clock,
            window=Window(today, today + DAY),
            symbols=SYMBOLS,
            replay=False,  # what is found now is news
        )
        assert done.succeeded, done.lines()
        follow(receiver.requests, struck, address, tmp_path)
        with postgres.admin() as admin:  # simulated data have a database of their own beside it
            beside = make_url(database.url).database
            admin.execute(f'drop database "{beside}_simulated" with (force)')


def follow(
    requests: list[tuple[dict[str, str], bytes]],
    struck: datetime,
    address: str,
    folder: Path,
) -> None:
    alerts = [json.loads(body) for _, body in requests]
    assert alerts, "no alert arrived"
    links = re.findall(rf"{re.escape(address)}/event/[0-9a-f]+", json.dumps(alerts))
    assert links, alerts[0]
    port = address.rpartition(":")[2]
    server = subprocess.Popen([*REGIME, "serve", "--port", port], cwd=folder)
    try:
        with closing(answering(address)) as client:
            path = links[0].removeprefix(address)
            page = client.get(path)
            assert page.status_code == 200, page.text
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
    said = told("why", "cascades_1h", symbol, ts, "total_liquidation_usd", "--json", folder=folder)
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
