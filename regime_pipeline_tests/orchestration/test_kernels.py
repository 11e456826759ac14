"""Kernels compiled ahead: what is listed exists, and a child that compiles goes with its parent."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from benchmarks.kernels import text_of
from regime_pipeline.orchestration import kernels


def test_every_listed_kernel_takes_what_is_listed() -> None:
    seen = set()
    for module, name, types in kernels.listed(kernels.LIST.read_text()):
        kernel = getattr(importlib.import_module(f"regime_pipeline.{module}"), name)
        assert len(inspect.signature(kernel.py_func).parameters) == len(types), name
        assert [text_of(kernels.numba_type(t)) for t in types] == list(types)
        seen.add(module)
    assert {"numerics.rolling", "numerics.pairwise", "features.volatility_jumps"} <= seen


@pytest.mark.parametrize("text", ["decimal", "float64[::1", "float64*", "const", ""])
def test_a_type_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(kernels.KernelListError):
        kernels.numba_type(text)


def test_what_is_compiled_is_not_compiled_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    (tmp_path / f"kernels-{kernels.digest()}").touch()
    with kernels.CompiledAhead() as ahead:
        assert ahead._child is None
        assert ahead.wait()


def test_nothing_is_started_where_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with kernels.CompiledAhead(wanted=False) as ahead:
        assert ahead._child is None


def test_the_child_ends_with_the_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with kernels.CompiledAhead() as ahead:
        child = ahead._child
        assert child is not None and child.poll() is None
    assert child.poll() is not None
    assert not list(tmp_path.glob("kernels-*"))
