"""The server over a made-up market, listening on loopback, shared by the tests that only read."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from regime_pipeline.api.app import create_app
from regime_pipeline.api.guard import Access
from regime_pipeline.dashboard.routes import routes
from regime_pipeline.storage.database import Database
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, made_market

UNLIMITED = Access(per_second=1e6)
"""How often one may ask is the subject of ``test_access``; the others ask as quickly as the machine does."""


def serve(app: object) -> Iterator[str]:
    """An ASGI application on a free port of loopback until the generator is closed; its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        listening.listen(128)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        assert server.started
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="session")
def served_market(postgres: TestServer) -> Iterator[Database]:
    """45 days of three symbols in every derived table, reports built. Only for reading."""
    with postgres.copy_of("market", made_market) as copy:
        yield copy


@pytest.fixture(scope="session")
def address(served_market: Database) -> Iterator[str]:
    """Where the API and the dashboard of the market answer."""
    app = create_app(
        served_market.libpq, symbols=SYMBOLS, clock=CLOCK, access=UNLIMITED, more=routes
    )
    yield from serve(app)


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as ready:
        yield ready
