"""Fixtures that every part shares: real history by path, a real PostgreSQL, a fresh database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


def _by_path(variable: str, default: Path) -> Path:
    path = Path(os.environ.get(variable, default))
    if not path.is_dir():
        pytest.skip(f"{variable} points to no folder ({path}); recorded data is not part of the tree")
    return path


@pytest.fixture(scope="session")
def market_history() -> Path:
    """Folder of recorded market history in the tape format."""
    return _by_path("REGIME_MARKET_HISTORY", REPO.parent / "shared" / "data" / "market")


@pytest.fixture(scope="session")
def payloads_dir() -> Path:
    """Folder of recorded provider payloads."""
    return _by_path("REGIME_PAYLOADS", REPO.parent / "shared" / "data" / "payloads")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the developer's shell or .env never reach a test."""
    for name in list(os.environ):
        if name.startswith(("REGIME_", "WEBHOOKS_", "DAGSTER_")) and name not in (
            "REGIME_MARKET_HISTORY",
            "REGIME_PAYLOADS",
            "REGIME_TEST_SERVER_HOME",
        ):
            monkeypatch.delenv(name)
