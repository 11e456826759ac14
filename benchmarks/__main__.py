"""``python -m benchmarks [--quick] [NAME ...]``: one JSON object per figure on standard output."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

NAMES = (
    "imports",
    "features",
    "correlations",
    "tick",
    "backfill",
    "requests",
    "tick_requests",
    "ingest",
    "cost",
    "dispatch",
    "what_if",
    "outcomes",
    "marts",
    "surface",
    "signal_history",
    "research",
    "paper",
    "models",
    "collect",
    "signals",
)
SIZED = ("features", "signals", "surface", "marts")
"""Benchmarks with a smaller size of their own."""


def main() -> int:
    """Run the named benchmarks, by default all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help=f"small sizes of {', '.join(SIZED)}")
    parser.add_argument(
        "--beside", type=Path, help="checkout of another build, measured beside this"
    )
    parser.add_argument("--symbols", type=int, help="of cost: how many, instead of the size's own")
    parser.add_argument(
        "--size", default="small", choices=("small", "medium", "full"), help="of cost"
    )
    chosen = parser.parse_args()
    names = chosen.names or NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        sys.stderr.write(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}\n")
        return 2
    for name in names:
        options: dict[str, Any] = {"quick": chosen.quick} if name in SIZED else {}
        if name == "dispatch":
            options = {"base": chosen.beside}
        if name == "cost":
            options = {"size": chosen.size, "base": chosen.beside, "symbols": chosen.symbols}
        importlib.import_module(f"benchmarks.{name}").run(**options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
