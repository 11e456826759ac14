"""Imports run downwards, Dagster stays in one package, pure packages touch neither I/O nor clock."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import regime_pipeline
from regime_pipeline.numerics.compiled import files_behind

pytestmark = pytest.mark.xdist_group("architecture")

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
    "collect": GROUND | {"market", "storage", "providers", "coverage"},
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
    | {"configuration", "exposition", "thresholds", "orchestration", "simulator", "definitions"},
}
"""What each part may import; a part that is not listed may not exist."""

NO_IO = {
    "os", "io", "socket", "subprocess", "shutil", "tempfile", "pathlib", "threading", "asyncio",
    "httpx", "requests", "urllib", "psycopg", "sqlalchemy", "adbc_driver_postgresql", "fsspec",
    "time", "logging", "dagster",
}  # fmt: skip

LONGEST_MODULE_LINES = 600


@cache
def modules() -> tuple[Path, ...]:
    return tuple(sorted(p for p in ROOT.rglob("*.py") if "migrations" not in p.parts))


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


@dataclass(frozen=True)
class Facts:
    """What one walk over a file finds: who is imported, which names and attributes are used."""

    tree: ast.Module
    imports: frozenset[str]
    attributes: frozenset[str]
    calls: frozenset[str]
    owned_calls: tuple[tuple[str, int], ...]
    """Calls of an owner's function, as ``owner.function``, each with its line."""

    @property
    def roots(self) -> set[str]:
        """The top-level names that the file imports from."""
        return {i.split(".")[0] for i in self.imports}


@cache
def facts(path: Path) -> Facts:
    """Walking all files is what costs here, so that each is walked once."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports, attributes, calls, owned = set(), set(), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            attributes.add(node.attr)
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {name(path)}"
            imports.add(node.module or "")
            imports |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            calls.add(node.func.id)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            short = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            owned.append((f"{short}.{node.func.attr}", node.lineno))
    return Facts(tree, frozenset(imports), frozenset(attributes), frozenset(calls), tuple(owned))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_run_downwards() -> None:
    upwards = {}
    for path in modules():
        part = part_of(path)
        if part == "__init__":
            continue
        assert part in ALLOWED, f"no layer is known for {part}"
        named = facts(path).imports
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
    needs = {m: facts(p).imports & dotted.keys() for m, p in dotted.items()}
    while free := {m for m, wanted in needs.items() if not wanted}:
        needs = {m: wanted - free for m, wanted in needs.items() if m not in free}
    assert not needs, f"these import each other, or what does: {sorted(needs)}"


def test_dagster_is_imported_by_orchestration_only() -> None:
    elsewhere = [p for p in modules() if part_of(p) not in ("orchestration", "definitions")]
    knowing = {name(p) for p in elsewhere if any(r.startswith("dagster") for r in facts(p).roots)}
    assert not knowing


def test_one_module_knows_the_http_library() -> None:
    """So that another one can take its place: everyone else asks ``net.client``."""
    knowing = {name(p) for p in modules() if facts(p).roots & {"httpx", "httpcore"}}
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
        found[name(path)] = (facts(path).roots & NO_IO) - meant.get(name(path), set()) | (
            facts(path).calls & {"open", "print", "input"}
        )
    assert len(found) > 20
    assert not {n: sorted(what) for n, what in found.items() if what}


def test_kernels_are_compiled_by_the_decorators_of_this_package() -> None:
    """numba's own would keep a kernel on disk when a file changes that it calls into."""
    compilers = {"jit", "njit", "vectorize", "guvectorize", "cfunc", "stencil", "jitclass"}
    found = {}
    for path in modules():
        named = set(facts(path).attributes)
        named |= {i.rsplit(".")[-1] for i in facts(path).imports if i.startswith("numba")}
        found[name(path)] = named & compilers
    assert found.pop("numerics/compiled.py")
    assert not {n for n, used in found.items() if used}


@pytest.mark.slow
def test_the_files_behind_a_kernel_are_all_that_its_file_imports() -> None:
    every = {
        ".".join(p.relative_to(ROOT.parent).with_suffix("").parts): p for p in ROOT.rglob("*.py")
    }
    dotted = {d.removesuffix(".__init__"): p for d, p in every.items()}
    needs = {p: {dotted[i] for i in facts(p).imports & dotted.keys()} for p in every.values()}
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
    reading = {
        f"{name(p)}:{line}"
        for p in modules()
        for call, line in facts(p).owned_calls
        if call in clocks
    }
    assert {r.split(":")[0] for r in reading} == {"windows.py"}, sorted(reading)


def test_modules_say_what_belongs_in_them() -> None:
    silent, other = set(), set()
    for path in modules():
        tree = facts(path).tree
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
