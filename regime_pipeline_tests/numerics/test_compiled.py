"""What is compiled and kept on disk follows its sources: a small package in processes of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regime_pipeline.numerics import compiled

CALLER = """
from {package}.callee import shift
{decorator}
def shifted(x):
    return shift(x)
"""
CALLEE = """
from {package}.constants import STEP
{decorator}
def shift(x):
    return x + STEP
"""
OURS = "from regime_pipeline.numerics.compiled import kernel\n@kernel"
NUMBAS = "import numba\n@numba.njit(cache=True, nogil=True)"


def write(folder: Path, package: str, decorator: str) -> Path:
    root = folder / package
    root.mkdir(parents=True, exist_ok=True)
    (root / "__init__.py").touch()
    (root / "caller.py").write_text(CALLER.format(package=package, decorator=decorator))
    (root / "callee.py").write_text(CALLEE.format(package=package, decorator=decorator))
    (root / "constants.py").write_text("STEP = 1\n")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A package of our name with the module under test and two kernels in files of their own."""
    root = write(tmp_path / "checkout", "regime_pipeline", OURS)
    (root / "numerics").mkdir()
    (root / "numerics" / "__init__.py").touch()
    shutil.copy(compiled.__file__, root / "numerics")
    return root


def shifted(root: Path, before: str = "", **settings: str) -> tuple[int, int]:
    """What the kernel makes of 0 in a new process, and how many kernels that process found on disk."""
    code = f"{before}\nfrom {root.name}.caller import shifted as f; print(f(0), *f.stats.cache_hits.values())"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=root.parent,
        env=env | {"XDG_CACHE_HOME": str(root.parent / "users")} | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    value, *hits = map(int, done.stdout.split())
    return value, sum(hits)


def indices(folder: Path) -> set[str]:
    return {p.name.split("-")[0] for p in folder.rglob("*.nbi")}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.slow
def test_a_changed_callee_in_another_file_is_compiled_in(root: Path) -> None:
    assert shifted(root) == (1, 0)
    edit(root / "callee.py", "x + STEP", "x - STEP")
    assert shifted(root) == (-1, 0)


@pytest.mark.slow
def test_a_changed_constant_behind_a_callee_is_compiled_in(root: Path) -> None:
    assert shifted(root) == (1, 0)
    edit(root / "constants.py", "1", "2")
    assert shifted(root) == (2, 0)


@pytest.mark.slow
def test_an_unchanged_checkout_with_other_times_keeps_its_kernels(root: Path) -> None:
    assert shifted(root) == (1, 0)
    for file in root.rglob("*.py"):
        os.utime(file, (0, 0))
    (root / "numerics" / "__init__.py").write_text("'No kernel imports this.'\n")
    assert shifted(root) == (1, 1)


@pytest.mark.slow
def test_a_folder_of_ones_own_choice_keeps_the_kernels_as_well(root: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    assert shifted(root, NUMBA_CACHE_DIR=str(chosen)) == (1, 0)
    assert indices(tmp_path) == indices(chosen) == {"caller.shifted", "callee.shift"}
    edit(root / "callee.py", "x + STEP", "x - STEP")
    assert shifted(root, NUMBA_CACHE_DIR=str(chosen)) == (-1, 0)


@pytest.mark.slow
def test_the_users_folder_keeps_the_kernels_of_a_package_that_cannot_be_written(root: Path) -> None:
    (root / "__pycache__").touch()  # a file: not even root can make the folder
    users = root.parent / "users"
    assert shifted(root) == (1, 0)
    assert indices(root.parent) == indices(users) == {"caller.shifted", "callee.shift"}
    edit(root / "callee.py", "x + STEP", "x - STEP")
    assert shifted(root) == (-1, 0)


@pytest.mark.slow
def test_kernels_beside_the_source_are_taken_along_to_a_folder_that_can_be_written(
    root: Path,
) -> None:
    assert shifted(root) == (1, 0)
    chosen = root.parent / "chosen"
    assert shifted(root, NUMBA_CACHE_DIR=str(chosen)) == (1, 1)
    edit(root / "callee.py", "x + STEP", "x - STEP")  # what is beside the source is of the past
    assert shifted(root, NUMBA_CACHE_DIR=str(chosen)) == (-1, 0)
    assert shifted(root, NUMBA_CACHE_DIR=str(chosen)) == (-1, 1)


@pytest.mark.slow
def test_settings_that_numba_reads_afresh_while_it_runs_change_nothing(root: Path) -> None:
    before = (
        "import os, numba, regime_pipeline.numerics.compiled;"
        "os.environ['NUMBA_CAPTURED_ERRORS'] = 'new_style'; numba.njit(lambda: 1)()"
    )
    assert shifted(root, before) == (1, 0)
    edit(root / "callee.py", "x + STEP", "x - STEP")
    assert shifted(root, before) == (-1, 0)


@pytest.mark.slow
def test_a_kernel_outside_the_package_is_left_alone(root: Path) -> None:
    """It is found where numba alone has put it, under the stamp that numba alone has given it."""
    other = write(root.parent, "regime_pipeline_of_others", NUMBAS)
    assert shifted(other) == (1, 0)
    assert shifted(other, "import regime_pipeline.caller") == (1, 1)
