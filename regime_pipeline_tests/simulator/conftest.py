from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from starlette.testclient import TestClient

from regime_pipeline.simulator.app import build_app
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import FixedClock, utc
from regime_pipeline_tests.simulator import asking
from regime_pipeline_tests.simulator.replies import small_market

NOW = utc("2024-06-12T10:30:00Z")  # a Wednesday, half an hour into a bar


@pytest.fixture(scope="session")
def tape() -> SyntheticTape:
    return SyntheticTape(start=utc("2024-01-01"), end=utc("2024-07-01"))


@pytest.fixture(scope="session")
def server(tape: SyntheticTape) -> Iterator[SimulatorServer]:
    with SimulatorServer(tape, FixedClock(NOW)) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: SimulatorServer) -> Iterator[httpx.Client]:
    headers = {"CG-API-KEY": "any", "Authorization": "Bearer k"}
    with httpx.Client(base_url=server.base_url, headers=headers, trust_env=False) as one:
        yield one


@pytest.fixture(scope="session")
def web() -> Iterator[TestClient]:
    """Every provider of a small market, at the present of ``asking.NOW``."""
    with TestClient(build_app(small_market(), FixedClock(asking.NOW))) as one:
        yield one
