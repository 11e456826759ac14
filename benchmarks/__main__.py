"""``python -m benchmarks [NAME ...]``: one JSON object per figure on standard output."""

from __future__ import annotations

import argparse
import importlib
import sys

NAMES = ("imports", "correlations", "tick", "backfill", "requests", "ingest")


def main() -> int:
    """Run the named benchmarks, by default all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    names = parser.parse_args().names or NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        sys.stderr.write(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}\n")
        return 2
    for name in names:
        importlib.import_module(f"benchmarks.{name}").run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
