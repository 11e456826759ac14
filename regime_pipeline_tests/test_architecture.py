"""Imports run downwards, Dagster stays in one package, pure packages touch neither I/O nor clock."""

from __future__ import annotations

import ast
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
    | {"sparkline", "wording", "net", "storage", "providers", "coverage", "alerts"},
    "api": {"catalogue", "windows"},
    "dashboard": {"api", "catalogue", "windows", "wording"},
    "evaluation": GROUND | PURE | {"wording", "alerts", "reporting"},
    "definitions": {"orchestration"},
    "cli": GROUND
    | PURE
    | {"net", "wording", "storage", "providers", "coverage", "collect", "legacy", "alerts"}
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


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(), ids=name)
def test_imports_run_downwards(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        return
    assert part in ALLOWED, f"no layer is known for {part}"
    parts = {
        i.split(".")[1] for i in imported(parse(path), name(path)) if i.startswith(f"{PACKAGE}.")
    }
    upwards = {p for p in parts if p in ALLOWED} - ALLOWED[part] - {part}
    assert not upwards, f"{name(path)} imports upwards: {sorted(upwards)}"


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


@pytest.mark.parametrize("path", modules(), ids=name)
def test_dagster_is_imported_by_orchestration_only(path: Path) -> None:
    if part_of(path) in ("orchestration", "definitions"):
        return
    roots = {i.split(".")[0] for i in imported(parse(path), name(path))}
    assert not {r for r in roots if r.startswith("dagster")}


@pytest.mark.slow
def test_one_module_knows_the_http_library() -> None:
    """So that another one can take its place: everyone else asks ``net.client``."""
    knowing = {
        name(p)
        for p in modules()
        if {i.split(".")[0] for i in imported(parse(p), name(p))} & {"httpx", "httpcore"}
    }
    assert knowing == {"net/client.py"}


@pytest.mark.parametrize(
    "path", [p for p in modules() if part_of(p) in PURE | {"numerics"}], ids=name
)
def test_pure_packages_have_no_io_and_no_clock(path: Path) -> None:
    tree = parse(path)
    roots = {i.split(".")[0] for i in imported(tree, name(path))}
    if name(path) == "numerics/stretches.py":
        roots -= {"os"}  # a forked process must forget the threads of its parent
    if name(path) == "numerics/compiled.py":
        roots -= {"pathlib"}  # a compiled kernel is out of date when a source file is
    assert not roots & NO_IO
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "print", "input"), name(path)


@pytest.mark.parametrize(
    "path", [p for p in modules() if name(p) != "numerics/compiled.py"], ids=name
)
def test_kernels_are_compiled_by_the_decorators_of_this_package(path: Path) -> None:
    """numba's own would keep a kernel on disk when a file changes that it calls into."""
    tree = parse(path)
    compilers = {"jit", "njit", "vectorize", "guvectorize", "cfunc", "stencil", "jitclass"}
    named = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    named |= {i.rsplit(".")[-1] for i in imported(tree, name(path)) if i.startswith("numba")}
    assert not named & compilers


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


@pytest.mark.parametrize("path", [p for p in modules() if name(p) != "windows.py"], ids=name)
def test_the_wall_clock_is_read_in_windows_only(path: Path) -> None:
    """A duration may be measured with a monotonic clock; what day it is comes from the Clock."""
    for node in ast.walk(parse(path)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        owner_name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        call = f"{owner_name}.{node.func.attr}"
        assert call not in {
            "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time",
            "Timestamp.now", "Timestamp.utcnow", "Timestamp.today",
        }, f"{name(path)}:{node.lineno} reads the wall clock"  # fmt: skip


@pytest.mark.parametrize("path", modules(), ids=name)
def test_modules_say_what_belongs_in_them(path: Path) -> None:
    tree = parse(path)
    assert ast.get_docstring(tree), f"{name(path)} has no docstring"
    first = next((n for n in tree.body if not isinstance(n, ast.Expr)), None)  # after the docstring
    if first is not None:
        assert isinstance(first, ast.ImportFrom), name(path)
        assert first.module == "__future__", name(path)


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in ROOT.rglob("*.py")}
    assert not {name(p): n for p, n in lengths.items() if n > LONGEST_MODULE_LINES}


def test_the_layers_named_here_exist() -> None:
    parts = {part_of(p) for p in modules()} - {"__init__"}
    assert parts == set(ALLOWED)
