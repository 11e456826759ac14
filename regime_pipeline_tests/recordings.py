"""Recorded data by path, and the endpoints that have a recording."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parent.parent
MARKET_HISTORY = Path(
    os.environ.get("REGIME_MARKET_HISTORY", REPO.parent / "shared" / "data" / "market")
)
PAYLOADS = Path(os.environ.get("REGIME_PAYLOADS", REPO.parent / "shared" / "data" / "payloads"))


def absent(folder: Path) -> str:
    """Why a test that needs the folder is skipped."""
    return f"there is no folder {folder}; recorded data is not part of the tree"


def recorded(keys: Iterable[str]) -> list[Any]:
    """Those of ``provider/endpoint`` that have a recording; one skip where there is none at all."""
    if not PAYLOADS.is_dir():
        return [pytest.param("", marks=pytest.mark.skip(reason=absent(PAYLOADS)))]
    return [key for key in keys if (PAYLOADS / f"{key}__1.json").is_file()]
