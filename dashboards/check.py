"""Name every chart that shows something the marts do not have; needs neither Superset nor a database.

The marts are what the catalogue says: a test holds the database to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

import yaml

from dashboards.bundle import AGGREGATES, KINDS, Chart, Dashboard, declared
from regime_pipeline.catalogue.dbt_contracts import MARTS_PATH
from regime_pipeline.catalogue.marts import BUILT, MARTS
from regime_pipeline.catalogue.model import Mart

EXPOSURES = MARTS_PATH.with_name("exposures.yml")


def problems(dashboards: Sequence[Dashboard], marts: Mapping[str, Mart] = MARTS) -> Iterator[str]:
    """A line for everything that is wrong with a chart, which it names."""
    for page in dashboards:
        names = [c.name for c in page.charts]
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield f"{page.title} / {name}: two charts have this name"
        for chart in page.charts:
            for wrong in _wrong(chart, marts):
                yield f"{page.title} / {chart.name}: {wrong}"


def _wrong(chart: Chart, marts: Mapping[str, Mart]) -> Iterator[str]:
    if chart.kind not in KINDS:
        yield f"no kind of chart {chart.kind!r}"
    if chart.kind == "table" and not chart.columns:
        yield "a table of no columns"
    if chart.kind != "table" and (
        chart.aggregate not in AGGREGATES or not (chart.time or chart.by)
    ):
        yield "it needs `value: AGGREGATE COLUMN` and `time` or `by`"
    mart = marts.get(chart.mart)
    if mart is None:
        yield f"no mart {chart.mart!r}"
        return
    for column in chart.shown:
        if column not in mart.names:
            yield f"reporting.{mart.name} has no column {column!r}"


def unexposed(dashboards: Sequence[Dashboard]) -> Iterator[str]:
    """A line for every dashboard whose dbt exposure is missing or names other models."""
    built = {m.name for m in BUILT}
    exposed = {
        e["name"]: {d.split("'")[1] for d in e["depends_on"]}
        for e in yaml.safe_load(EXPOSURES.read_text(encoding="utf-8"))["exposures"]
    }
    for page in dashboards:
        name = f"dashboard_{page.slug}".replace("-", "_")
        wanted = {c.mart for c in page.charts} & built
        if wanted and exposed.get(name) != wanted:
            yield f"{EXPOSURES.name}: {name} depends on {', '.join(sorted(wanted))}"


def main() -> int:
    """Print what is wrong; the exit code."""
    pages = declared()
    found = [*problems(pages), *unexposed(pages)]
    charts = sum(len(page.charts) for page in pages)
    for line in found or [f"{charts} charts of {len(pages)} dashboards: every column is there"]:
        sys.stdout.write(line + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
