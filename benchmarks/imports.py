"""Import of the definitions against the import of the libraries they cannot do without."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.common import line, paired

LIBRARIES = "import dagster, dagster_dbt, dagster_postgres, pandas, pandera.pandas, sqlalchemy"
DEFINITIONS = "import regime_pipeline.definitions"
BUDGET = 1.3


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def run() -> None:
    """Seven pairs in fresh interpreters, after one warm-up."""
    for code in (DEFINITIONS, LIBRARIES):
        _run(code)
    ours, other, ratio = paired(lambda: _run(DEFINITIONS), lambda: _run(LIBRARIES), 7)
    line(
        "imports",
        "regime_pipeline.definitions vs its libraries",
        ours_s=ours,
        other_s=other,
        ratio=ratio,
        budget=BUDGET,
    )
