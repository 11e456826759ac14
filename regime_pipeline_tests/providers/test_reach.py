"""What can be had from here: venues that answer, refuse or are down, and proxies on the way."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from regime_pipeline.cli.origins import NoVenueError, live_overrides, market
from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import GENERIC
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.settings import Settings, environment_name
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.providers.conftest import NOW
from regime_pipeline_tests.providers.loopback import Asked, Loopback, http

BLOCK = Fault(status=451, body='{"code":0,"msg":"Service unavailable from a restricted location"}')
DOWN = Fault(status=503)


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    tape = SyntheticTape(symbols=("BTC/USDT",), start=NOW - timedelta(days=2), end=NOW)
    with SimulatorServer(tape, FixedClock(NOW)) as running:
        yield running


@pytest.mark.parametrize(
    ("faults", "more", "expected"),
    [
        ({}, {}, {"origin": "live"}),
        (
            {"/binance": BLOCK},
            {},
            {"origin": "live", "spot_venue": "okx", "perp_venue": "okx"},
        ),
        (
            {"/binance": BLOCK, "/okx": DOWN},
            {},
            {"origin": "live", "spot_venue": "bybit", "perp_venue": "bybit"},
        ),
        (
            {"/binance": BLOCK},
            {"spot_venue": "binance_us"},
            {"origin": "live", "perp_venue": "okx"},
        ),
        ({"/binance": DOWN}, {}, {"origin": "live"}),
    ],
)
def test_live_data_needs_one_venue_and_a_refused_primary_gives_way(
    faults: dict[str, Fault],
    more: dict[str, str],
    expected: dict[str, str],
    server: SimulatorServer,
) -> None:
    assert live_overrides(settings_of(server, faults, more)) == expected


def settings_of(
    server: SimulatorServer, faults: dict[str, Fault], more: dict[str, str]
) -> Settings:
    """Settings that lead to the simulator, whose paths fail as given."""
    server.app.state.faults.clear()
    server.app.state.faults.update(faults)
    given = {**server.settings_overrides(), **more, "clock": NOW.isoformat()}
    return Settings(_env_file=None, http_deadline_s=20.0, **given)  # type: ignore[arg-type]


@pytest.mark.slow
def test_without_any_venue_each_says_why_and_the_data_how_to_get_live(
    server: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = {"/binance": BLOCK, "/okx": DOWN, "/bybit": DOWN}
    settings = settings_of(server, faults, {})
    with pytest.raises(NoVenueError) as caught:
        live_overrides(settings)
    for source in ("binance, binance_futures: ", "okx, bybit: "):
        assert source in str(caught.value)
    assert "503" in str(caught.value)
    for field, url in server.settings_overrides().items():
        monkeypatch.setenv(environment_name(field), url)
    with market("auto", None) as chosen:
        assert chosen.settings.origin == "simulated"
        assert chosen.why is not None
        assert str(caught.value).split(" (")[0] in chosen.why
        assert "HTTPS_PROXY" in chosen.why


def test_requests_go_through_the_proxy_of_the_environment_but_for_this_machine(
    make_client: Callable[[Settings], HttpClient],
    make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(asked: Asked, _: socket.socket) -> bytes:
        return http(b"[]")

    with Loopback(answer) as proxy, Loopback(answer) as here:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:CANARY@"))
        client = make_client(make_settings())
        client.get("okx", "http://exchange.invalid", "/x", {"a": "1"}, parse=load, errors=GENERIC)
        client.get("okx", here.url, "/y", {}, parse=load, errors=GENERIC)
    assert [a.target for a in proxy.asked] == ["http://exchange.invalid/x?a=1"]
    assert "CANARY" not in proxy.asked[0].headers["proxy-authorization"]  # as Basic, not in clear
    assert [a.path for a in here.asked] == ["/y"]
