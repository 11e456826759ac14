"""How the kernels of this package are compiled and kept on disk.

Belongs here: the decorators of kernels, and what makes a compiled kernel out of date. Does not belong
here: kernels, and when or on how many threads they run (``stretches``).

numba's disk cache is keyed by the kernel's own file only, so a change in an imported module would leave a
stale binary. Here a kernel is kept until a file changes that its file imports, directly or through others,
wherever the import stands. What counts is the
content of the files, not their times, as it was when the process first asked.

A kernel that is handed a constant is compiled once more for it: where it is called with several, the
caller says ``np.int64(...)``. No kernel is called from C, so the entry for that is left out.

Importing this module imports numba.
"""

from __future__ import annotations

import functools
import hashlib
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

_ROOT = Path(__file__).parents[1]
_IMPORT = re.compile(
    rf"^[ \t]*(?:from|import) ({_ROOT.name}\b[\w.]*)(?: import (\([^)]*\)|.*))?", re.MULTILINE
)


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """Compiled without the interpreter's lock and kept on disk; to divide by zero is an error."""
    _keep_by_files()
    compiler: Any = numba.njit  # its stubs know only some of its options
    return compiler(cache=True, nogil=True, no_cfunc_wrapper=True, **options)(function)


def ieee_kernel(function: Callable[..., Any]) -> Any:
    """A kernel that divides as IEEE 754 does, by zero too.

    A check of every divisor would keep loops from becoming vectors.
    """
    return kernel(function, error_model="numpy")


def files_behind(file: Path) -> set[Path]:
    """A file of the package and all that it imports of it, directly or through others."""
    found: set[Path] = set()
    new = {file}
    while new:
        found |= new
        new = {needed for each in new for needed in _read(each)[1]} - found
    return found


@functools.cache
def _stamp(file: Path) -> str:
    parts = sorted((str(each.relative_to(_ROOT)), _read(each)[0]) for each in files_behind(file))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@functools.cache
def _read(file: Path) -> tuple[str, frozenset[Path]]:
    """The digest of a file, and the files of the package that it imports itself."""
    content = file.read_bytes()
    needed = set()
    for module, names in _IMPORT.findall(content.decode()):
        path = _ROOT.parent.joinpath(*module.split("."))
        inner = re.findall(r"(?<! as )\b\w+", names) if path.is_dir() else ()
        for each in (path, *(path / name for name in inner)):
            needed |= {f for f in (each.with_suffix(".py"), each / "__init__.py") if f.is_file()}
    return hashlib.sha256(content).hexdigest(), frozenset(needed)


class _KeptByFiles:
    """What numba asks where a kernel lies on disk; for files of this package only."""

    _py_file: str

    def get_source_stamp(self) -> str:
        return _stamp(Path(self._py_file))

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        if not Path(py_file).is_relative_to(_ROOT):
            return None
        return super().from_function(py_func, py_file)  # type: ignore[misc]


class _Elsewhere(_KeptByFiles):
    """A folder away from the source: one for each content of a file, which begins with the kernels beside it.

    numba reads kernels only where it may write. Those that an image or a system's package brings along lie
    where its user may not.
    """

    def get_cache_path(self) -> str:
        file = Path(self._py_file)
        return str(Path(super().get_cache_path()) / f"{file.stem}-{_stamp(file)[:16]}")  # type: ignore[misc]

    def ensure_cache_path(self) -> None:
        super().ensure_cache_path()  # type: ignore[misc]
        _bring(Path(self._py_file), Path(self.get_cache_path()))


@functools.cache
def _bring(file: Path, folder: Path) -> None:
    """Copy the kernels beside a file that a folder lacks, what lists them last."""
    shipped = [*(file.parent / "__pycache__").glob(f"{file.stem}.*.nb[ci]")]
    for each in sorted(shipped, key=lambda path: path.suffix):
        if not (folder / each.name).exists():
            part = folder / f"{each.name}.{uuid.uuid4().hex}"
            part.write_bytes(each.read_bytes())
            part.replace(folder / each.name)


class _InGivenFolder(_Elsewhere, caching.UserProvidedCacheLocator):
    pass


class _BesideTheSource(_KeptByFiles, caching.InTreeCacheLocator):
    pass


class _InUsersFolder(_Elsewhere, caching.UserWideCacheLocator):
    pass


_OURS = ",".join(
    f"{__name__}.{c.__name__}" for c in (_InGivenFolder, _BesideTheSource, _InUsersFolder)
)


def _keep_by_files() -> None:
    """Put our classes before those that numba asks anyway; it may have read its settings afresh."""
    settings: Any = numba.config
    asked = settings.CACHE_LOCATOR_CLASSES
    if not asked.startswith(_OURS):
        asked = asked or ",".join(c.__name__ for c in caching.CacheImpl._locator_classes)
        settings.CACHE_LOCATOR_CLASSES = f"{_OURS},{asked}"
