"""Serving: ports, processes that end with their parent, scripted faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

from regime_pipeline.settings import Settings
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import PortInUseError, SimulatorServer, environment_for
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import HOUR, FixedClock, SystemClock, utc
from regime_pipeline_tests.simulator.conftest import NOW

PING = "/binance/api/v3/ping"
TIME = "/binance/api/v3/time"


def test_settings_point_every_provider_to_the_server(server: SimulatorServer) -> None:
    settings = Settings(_env_file=None, **server.settings_overrides())  # type: ignore[call-arg]
    assert settings.okx_api_url == f"{server.base_url}/okx"
    assert settings.binance_us_api_url.endswith("/binance_us")
    assert settings.coinglass_api_key is not None
    names = environment_for(server.base_url, FixedClock(NOW))
    assert names["BINANCE_FUTURES_API_URL"] == settings.binance_futures_api_url
    assert utc(names["REGIME_CLOCK"]) == NOW


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_taken_port_is_one_clear_line(
    server: SimulatorServer, tape: SyntheticTape, isolation: str
) -> None:
    with (
        pytest.raises(PortInUseError) as caught,
        SimulatorServer(tape, FixedClock(NOW), port=server.port, isolation=isolation),
    ):
        pass
    assert str(server.port) in str(caught.value) and "\n" not in str(caught.value)


def test_a_stopped_server_frees_its_port_quickly(tape: SyntheticTape) -> None:
    began = time.monotonic()
    with SimulatorServer(tape, FixedClock(NOW)) as first, httpx.Client() as client:
        port = first.port
        assert client.get(first.base_url + PING).json() == {}
    with SimulatorServer(tape, FixedClock(NOW), port=port) as second:
        assert second.port == port
    assert time.monotonic() - began < 10
    with pytest.raises(RuntimeError, match="inside its with block"):
        _ = second.base_url


@pytest.mark.slow
def test_a_process_serves_the_same_tape_and_clock(
    tape: SyntheticTape, client: httpx.Client
) -> None:
    path = "/binance/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=50"
    with SimulatorServer(tape, FixedClock(NOW), isolation="process") as other:
        assert httpx.get(other.base_url + path, timeout=60).content == client.get(path).content
        assert httpx.get(other.base_url + TIME, timeout=60).json()["serverTime"] == int(
            NOW.timestamp() * 1000
        )
        with pytest.raises(RuntimeError, match="another process"):
            _ = other.app
        url = other.base_url + PING
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


@pytest.mark.slow
def test_a_killed_parent_takes_its_simulator_along() -> None:
    script = (
        "import sys, time\n"
        "from regime_pipeline.simulator.server import SimulatorServer\n"
        "from regime_pipeline.simulator.tape import SyntheticTape\n"
        "from regime_pipeline.windows import SystemClock\n"
        "with SimulatorServer(SyntheticTape(), SystemClock(), isolation='process') as s:\n"
        "    print(s.port, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        url = f"http://127.0.0.1:{int(parent.stdout.readline())}{PING}"
        assert httpx.get(url).status_code == 200
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        limit = time.monotonic() + 15
        while time.monotonic() < limit:
            try:
                httpx.get(url)
            except httpx.TransportError:
                return
            time.sleep(0.1)
        pytest.fail("the simulator outlived its parent")
    finally:
        if parent.poll() is None:
            parent.kill()
            parent.wait()


def test_a_clock_of_this_process_cannot_go_to_another() -> None:
    class Own:
        def now(self):
            return NOW

    with (
        pytest.raises(ValueError, match="clock"),
        SimulatorServer(SyntheticTape(), Own(), isolation="process"),
    ):
        pass


@pytest.mark.slow
def test_the_foreground_program_tells_what_to_export(tape: SyntheticTape) -> None:
    expected = environment_for("http://x", FixedClock(NOW))
    command = [
        sys.executable,
        "-m",
        "regime_pipeline.simulator",
        "--tape",
        tape.text,
        "--clock",
        NOW.isoformat(),
    ]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        lines = [program.stdout.readline().strip() for _ in expected]
        exported = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        assert set(exported) == set(expected)
        assert httpx.get(exported["BINANCE_API_URL"] + "/api/v3/ping").status_code == 200
    finally:
        program.send_signal(signal.SIGINT)
        assert program.wait(15) == 0


def test_a_folder_that_is_no_tape_ends_the_program_with_one_line(tmp_path) -> None:
    command = [sys.executable, "-m", "regime_pipeline.simulator", "--tape", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "candles_1h.parquet" in done.stderr


def test_scripted_faults_hit_so_often_and_then_are_over(tape: SyntheticTape) -> None:
    with (
        SimulatorServer(tape, FixedClock(NOW)) as server,
        httpx.Client(base_url=server.base_url) as client,
    ):
        faults = server.app.state.faults
        faults["/binance/"] = Fault(
            status=429, headers={"Retry-After": "7"}, body='{"code":-1003}', times=2
        )
        replies = [client.get(PING) for _ in range(3)]
        assert [r.status_code for r in replies] == [429, 429, 200]
        assert replies[0].headers["retry-after"] == "7" and replies[0].json() == {"code": -1003}
        assert client.get("/binance_us/api/v3/ping").status_code == 200
        faults["/binance/"] = Fault(html=True)
        page = client.get(PING)
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
        faults["/binance/"] = Fault(delay_s=0.3, times=1)
        began = time.monotonic()
        assert client.get(PING).json() == {}
        assert time.monotonic() - began >= 0.3
        faults["/binance/"] = Fault(cut_after=10, times=1)
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(TIME)
        assert client.get(TIME).status_code == 200
        faults.clear()
        faults["/okx"] = lambda scope: (
            Fault(status=503) if b"BTC" in scope["query_string"] else None
        )
        assert client.get("/okx/api/v5/market/candles?instId=BTC-USDT&bar=1H").status_code == 503
        assert client.get("/okx/api/v5/market/candles?instId=ETH-USDT&bar=1H").status_code == 200
        assert server.app.state.requests[PING] >= 4


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(cut_after=5), httpx.RemoteProtocolError),
        (Fault(reset_after=5), httpx.ReadError),
        (Fault(reset_after=0), httpx.ReadError),
        (Fault(wrong_length=7), httpx.RemoteProtocolError),
        (Fault(drip_s=0.2), httpx.ReadTimeout),
    ],
    ids=["cut", "reset in the body", "reset before it", "longer than sent", "drip"],
)
def test_a_connection_fails_as_scripted_and_the_next_one_is_well(
    tape: SyntheticTape, fault: Fault, failure: type[Exception]
) -> None:
    with (
        SimulatorServer(tape, FixedClock(NOW)) as server,
        httpx.Client(base_url=server.base_url, timeout=0.1) as client,
    ):
        whole = client.get(TIME).json()
        server.app.state.faults["/binance/"] = fault
        with pytest.raises(failure):
            client.get(TIME)
        server.app.state.faults.clear()
        assert client.get(TIME).json() == whole


def test_a_body_can_be_shorter_announced_than_it_is(tape: SyntheticTape) -> None:
    with SimulatorServer(tape, FixedClock(NOW)) as server:
        whole = httpx.get(server.base_url + TIME).content
        server.app.state.faults["/binance/"] = Fault(wrong_length=-4)
        assert httpx.get(server.base_url + TIME).content == whole[:-4]


def test_a_source_can_flap_repeat_itself_and_bomb(tape: SyntheticTape) -> None:
    path = "/binance/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=2"
    with (
        SimulatorServer(tape, FixedClock(NOW)) as server,
        httpx.Client(base_url=server.base_url) as client,
    ):
        faults = server.app.state.faults
        faults["/binance/"] = Fault(status=500, every=2)
        assert [client.get(PING).status_code for _ in range(4)] == [200, 500, 200, 500]
        faults["/binance/"] = Fault(stale=True)
        first = client.get(path).content
        server.app.state.world.clock = FixedClock(NOW + 5 * HOUR)
        assert client.get(path).content == first
        faults["/binance/"] = Fault(gzip_bomb_mb=3, times=1)
        with client.stream("GET", path) as reply:
            packed = sum(len(part) for part in reply.iter_raw())
            assert reply.headers["content-encoding"] == "gzip" and packed < 10_000
        assert client.get(path).content != first


def test_faults_and_time_can_be_set_from_outside(tape: SyntheticTape) -> None:
    with (
        SimulatorServer(tape, FixedClock(NOW)) as server,
        httpx.Client(base_url=server.base_url) as client,
    ):
        told = client.post("/_control/faults", json={"path": "/okx", "status": 503, "times": 1})
        assert told.json()["/okx"]["status"] == 503
        assert client.get("/okx/api/v5/public/time").status_code == 503
        assert client.get("/okx/api/v5/public/time").status_code == 200
        assert client.get("/_control/faults").json()["/okx"]["hits"] == 1
        assert client.delete("/_control/faults").json() == {}
        assert (
            client.post("/_control/faults", json={"path": "/okx", "colour": 1}).status_code == 400
        )
        client.post("/_control/clock", json={"at": "2024-03-01T05:00:00Z"})
        assert client.get(TIME).json()["serverTime"] == int(
            utc("2024-03-01T05:00:00Z").timestamp() * 1000
        )
        client.post("/_control/clock", json={"at": "system"})
        assert (
            abs(client.get(TIME).json()["serverTime"] / 1000 - SystemClock().now().timestamp()) < 60
        )
        assert client.get("/_control/requests").json()[TIME] == 2
