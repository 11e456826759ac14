"""What the provider tests share: settings that point nowhere, and a client with short waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Clock, FixedClock

NOW = datetime(2024, 8, 6, 0, 30, tzinfo=UTC)


@pytest.fixture
def landing(tmp_path: Path) -> LandingStore:
    return LandingStore(str(tmp_path / "landing"))


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**changes: object) -> Settings:
        nowhere = "http://127.0.0.1:9"
        base: dict[str, object] = {
            "home": tmp_path,
            "http_deadline_s": 1.0,
            "http_max_bytes": 1_000_000,
            "http_attempts": 3,
            **{
                f"{name}_api_url": nowhere
                for name in (
                    "binance",
                    "binance_us",
                    "binance_futures",
                    "okx",
                    "bybit",
                    "coinglass",
                    "alternative_me",
                )
            },
            **changes,
        }
        return Settings(_env_file=None, **base)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_client(landing: LandingStore) -> Iterator[Callable[..., HttpClient]]:
    made: list[HttpClient] = []

    def make(settings: Settings, clock: Clock | None = None, **more: object) -> HttpClient:
        client = HttpClient(
            settings,
            landing,
            clock or FixedClock(NOW),
            first_wait_s=0.01,
            **more,  # type: ignore[arg-type]
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
