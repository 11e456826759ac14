"""Imports run downwards, Dagster stays in one package, pure packages touch neither I/O nor clock."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import regime_pipeline
from regime_pipeline.numerics.compiled import files_behind

ROOT = Path(regime_pipeline.__file__).parent
PACKAGE = "regime_pipeline"

GROUND = {"connections", "settings", "source_choice", "windows", "catalogue", "numerics"}
PURE = {"market", "features", "regimes", "correlation", "signals", "quality", "research"}
JUDGES = {"quality", "research"}
ALLOWED: dict[str, set[str]] = {
    "windows": set(),
    "sparkline": set(),
    "exposition": set(),
    "wording": set(),
    "connections": set(),
    "thresholds": set(),
    "source_choice": {"connections"},
    "settings": {"connections", "source_choice", "thresholds", "windows"},
    "configuration": {"connections", "settings"},
    "catalogue": {"windows"},
    "numerics": {"windows"},
    "market": GROUND,
    "features": GROUND | {"market"},
    "regimes": GROUND | {"market", "features"},
    "correlation": GROUND | {"market"},
    "signals": GROUND | PURE - JUDGES,
    "research": GROUND | PURE - JUDGES,
    "quality": GROUND | {"market"},
    "net": {"windows"},
    "storage": GROUND,
    "providers": GROUND | {"net"},
    "simulator": GROUND,
    "alerts": GROUND | PURE - JUDGES | {"net", "storage"},
    "coverage": GROUND | {"storage", "providers"},
    "collect": GROUND | {"storage", "providers", "coverage"},
    "legacy": GROUND | {"net", "storage", "providers"},
    "orchestration": GROUND
    | PURE
    | {"sparkline", "net", "storage", "providers", "coverage", "collect", "legacy", "alerts"},
    "reporting": GROUND
    | PURE
    | {"sparkline", "exposition", "wording", "net", "storage", "providers", "coverage", "alerts"},
    "api": {"catalogue", "exposition", "windows"},
    "dashboard": {"api", "catalogue", "windows", "wording"},
    "evaluation": GROUND | PURE | {"wording", "alerts", "reporting"},
    "definitions": {"orchestration"},
    "cli": GROUND
    | PURE
    | {
        "net",
        "exposition",
        "wording",
        "storage",
        "providers",
        "coverage",
        "collect",
        "legacy",
        "alerts",
    }
    | {"reporting", "evaluation", "api", "dashboard"}
    | {"configuration", "orchestration", "simulator", "definitions"},
}
"""What each part may import; a part that is not listed may not exist."""

NO_IO = {
    "os", "io", "socket", "subprocess", "shutil", "tempfile", "pathlib", "threading", "asyncio",
    "httpx", "requests", "urllib", "psycopg", "sqlalchemy", "adbc_driver_postgresql", "fsspec",
    "time", "logging", "dagster",
}  # fmt: skip

LONGEST_MODULE_LINES = 600


def modules() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py") if "migrations" not in p.parts)


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def imported(tree: ast.AST, package: str) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {package}"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def roots_of(path: Path) -> frozenset[str]:
    """The top-level names that a file imports from."""
    return frozenset(i.split(".")[0] for i in imported(parse(path), name(path)))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_run_downwards() -> None:
    upwards = {}
    for path in modules():
        part = part_of(path)
        if part == "__init__":
            continue
        assert part in ALLOWED, f"no layer is known for {part}"
        named = imported(parse(path), name(path))
        parts = {i.split(".")[1] for i in named if i.startswith(f"{PACKAGE}.")} & set(ALLOWED)
        upwards[name(path)] = sorted(parts - ALLOWED[part] - {part})
    assert not {n: parts for n, parts in upwards.items() if parts}


@pytest.mark.slow
def test_modules_import_in_no_circle() -> None:
    """Wherever in a module an import stands, and for types too."""
    dotted = {
        f"{PACKAGE}.{'.'.join(p.relative_to(ROOT).with_suffix('').parts)}": p
        for p in modules()
        if p.name != "__init__.py"
    }
    needs = {m: imported(parse(p), name(p)) & dotted.keys() for m, p in dotted.items()}
    while free := {m for m, wanted in needs.items() if not wanted}:
        needs = {m: wanted - free for m, wanted in needs.items() if m not in free}
    assert not needs, f"these import each other, or what does: {sorted(needs)}"


def test_dagster_is_imported_by_orchestration_only() -> None:
    elsewhere = [p for p in modules() if part_of(p) not in ("orchestration", "definitions")]
    knowing = {name(p) for p in elsewhere if any(r.startswith("dagster") for r in roots_of(p))}
    assert not knowing


def test_one_module_knows_the_http_library() -> None:
    """So that another one can take its place: everyone else asks ``net.client``."""
    knowing = {name(p) for p in modules() if roots_of(p) & {"httpx", "httpcore"}}
    assert knowing == {"net/client.py"}


def test_pure_packages_have_no_io_and_no_clock() -> None:
    meant = {
        "numerics/stretches.py": {"os"},  # a forked process must forget its parent's threads
        "numerics/compiled.py": {"pathlib"},  # a kernel is out of date when a source file is
    }
    found = {}
    for path in modules():
        if part_of(path) not in PURE | {"numerics"}:
            continue
        calls = {
            n.func.id
            for n in ast.walk(parse(path))
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        found[name(path)] = (roots_of(path) & NO_IO) - meant.get(name(path), set()) | (
            calls & {"open", "print", "input"}
        )
    assert len(found) > 20
    assert not {n: sorted(what) for n, what in found.items() if what}


def test_kernels_are_compiled_by_the_decorators_of_this_package() -> None:
    """numba's own would keep a kernel on disk when a file changes that it calls into."""
    compilers = {"jit", "njit", "vectorize", "guvectorize", "cfunc", "stencil", "jitclass"}
    found = {}
    for path in modules():
        tree = parse(path)
        named = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        named |= {i.rsplit(".")[-1] for i in imported(tree, name(path)) if i.startswith("numba")}
        found[name(path)] = named & compilers
    assert found.pop("numerics/compiled.py")
    assert not {n for n, used in found.items() if used}


@pytest.mark.slow
def test_the_files_behind_a_kernel_are_all_that_its_file_imports() -> None:
    every = {
        ".".join(p.relative_to(ROOT.parent).with_suffix("").parts): p for p in ROOT.rglob("*.py")
    }
    dotted = {d.removesuffix(".__init__"): p for d, p in every.items()}
    needs = {
        p: {dotted[i] for i in imported(parse(p), name(p)) & dotted.keys()} for p in every.values()
    }
    for path in needs:
        behind, new = set(), {path}
        while new:
            behind |= new
            new = set().union(*(needs[p] for p in new)) - behind
        assert files_behind(path) == behind


def test_the_wall_clock_is_read_in_windows_only() -> None:
    """A duration may be measured with a monotonic clock; what day it is comes from the Clock."""
    clocks = {
        "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time",
        "Timestamp.now", "Timestamp.utcnow", "Timestamp.today",
    }  # fmt: skip
    reading = {f"{name(p)}:{line}" for p in modules() for line in _calls(parse(p), clocks)}
    assert {r.split(":")[0] for r in reading} == {"windows.py"}, sorted(reading)


def _calls(tree: ast.Module, named: set[str]) -> list[int]:
    """Lines that call one of the functions, each named as ``owner.function``."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            short = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if f"{short}.{node.func.attr}" in named:
                lines.append(node.lineno)
    return lines


def test_modules_say_what_belongs_in_them() -> None:
    silent, other = set(), set()
    for path in modules():
        tree = parse(path)
        if not ast.get_docstring(tree):
            silent.add(name(path))
        first = next((n for n in tree.body if not isinstance(n, ast.Expr)), None)
        future = isinstance(first, ast.ImportFrom) and first.module == "__future__"
        if first is not None and not future:
            other.add(name(path))
    assert not silent, "no docstring"
    assert not other, "begins with something else than the import of annotations"


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in ROOT.rglob("*.py")}
    assert not {name(p): n for p, n in lengths.items() if n > LONGEST_MODULE_LINES}


def test_the_layers_named_here_exist() -> None:
    parts = {part_of(p) for p in modules()} - {"__init__"}
    assert parts == set(ALLOWED)
