"""A disk that fills up costs time and no row."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def may_mount(folder: Path) -> bool:
    """Whether this machine lets us mount something in a namespace of our own."""
    if shutil.which("unshare") is None:
        return False
    tried = ["mount", "-t", "tmpfs", "none", str(folder)]
    return subprocess.run([*_apart(), *tried], capture_output=True, check=False).returncode == 0


def _apart() -> list[str]:
    """The command that gives another one a view of disks of its own."""
    return ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",))]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the server's account may enter."""
    with tempfile.TemporaryDirectory(prefix="regime-full-disk-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.slow
def test_fault_51_a_disk_that_fills_up_under_a_writer_or_a_recovery_loses_nothing_and_is_told(
    home: Path,
) -> None:
    if not may_mount(home):
        pytest.skip("no disk can be mounted here")
    ended = subprocess.run(
        [*_apart(), sys.executable, "-m", "regime_pipeline_tests.storage.full_disk", str(home)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    told = json.loads(ended.stdout)
    assert told["writing"].startswith("StorageError: ")
    assert "No space left on device; free space on the server's disk" in told["writing"]
    assert told["after_writing"] == told["before"]
    assert told["whole"] != told["before"]
    assert told["recovering"].startswith("EmbeddedServerError: ")
    assert "free or repair that folder" in told["recovering"]
    assert told["after_recovering"] == told["whole"]
