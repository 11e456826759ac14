"""``python -m benchmarks.kernels``: writes which kernels a run compiles, and for which types.

A small synthetic market goes through the whole line in this process, and what numba has compiled or loaded
by then is the list that ``orchestration.kernels`` compiles ahead. To be run when a kernel comes, goes or
takes other arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.common import filled_pipeline
from regime_pipeline.orchestration.kernels import LIST

DAYS = 35


def text_of(kind: Any) -> str | None:
    """A numba type as the list writes it; None for one that stands for a single value."""
    from numba import types

    if isinstance(kind, types.Literal):
        return None
    if isinstance(kind, types.Array):
        axes = ",".join([":"] * kind.ndim) + (":1" if kind.layout == "C" else "")
        return ("" if kind.mutable else "const ") + f"{kind.dtype}[{axes}]"
    if isinstance(kind, types.UniTuple):
        return f"{kind.dtype}*{kind.count}"
    return str(kind)


def lines() -> Iterator[str]:
    """Every kernel of the package that this process has, with its types."""
    from numba.core.dispatcher import Dispatcher

    for module, content in sorted(sys.modules.items()):
        if not module.startswith("regime_pipeline."):
            continue
        for name, kernel in sorted(vars(content).items()):
            if isinstance(kernel, Dispatcher) and kernel.py_func.__module__ == module:
                for signature in kernel.signatures:
                    types = [text_of(t) for t in signature]
                    if None not in types:
                        yield "; ".join([f"{module.partition('.')[2]}.{name}", *map(str, types)])


def main() -> None:
    """Fill a database, write the list."""
    with filled_pipeline(days=DAYS):
        LIST.write_text("\n".join(sorted(set(lines()))) + "\n")


if __name__ == "__main__":
    main()
