"""The declared dashboards, and the bundle of files that Superset imports.

Belongs here: reading ``dashboards.yml``, and Superset's format of databases, datasets, charts and
dashboards. Identifiers follow from names, so that an import replaces what an earlier one made. No password
is written: the server that imports has it in ``PGPASSWORD``. Does not belong here: starting Superset.
"""

from __future__ import annotations

import argparse
import json
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.catalogue.model import Kind, Mart, meaning
from regime_pipeline.catalogue.sql import SQL_NAMES

DECLARED = Path(__file__).with_name("dashboards.yml")
NAMESPACE = uuid.UUID("6f0ad4a5-5a0c-4f0e-9a6f-3b6a0f6f2b11")
KINDS = {"table": "table", "line": "echarts_timeseries_line", "bar": "echarts_timeseries_bar"}
AGGREGATES = ("avg", "sum", "min", "max", "count")
NEWEST_ROWS, POINTS = 200, 50_000
ROUNDED, PERCENT = ",.6~r", ".3~%"
"""Numbers of a table have six digits that count; a rate is told as a percentage on its axis."""
_STAMP = "2000-01-01T00:00:00+00:00"
"""Superset wants a time in a bundle; one that never changes keeps bundles equal."""


@dataclass(frozen=True)
class Chart:
    """One chart: the columns of a mart that it shows."""

    name: str
    mart: str
    kind: str
    columns: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    time: str | None = None
    aggregate: str | None = None
    value: str | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """Every column of the mart that it needs."""
        single = (c for c in (self.time, self.value) if c is not None)
        return tuple(dict.fromkeys([*self.columns, *self.by, *single]))


@dataclass(frozen=True)
class Dashboard:
    """A page of charts."""

    slug: str
    title: str
    charts: tuple[Chart, ...]


def declared(path: Path = DECLARED) -> tuple[Dashboard, ...]:
    """The dashboards as the file says them.

    Raises:
        KeyError: an entry lacks its name, mart or kind.
    """
    return tuple(
        Dashboard(page["slug"], page["title"], tuple(_chart(c) for c in page["charts"]))
        for page in yaml.safe_load(path.read_text(encoding="utf-8"))
    )


def _chart(said: Mapping[str, Any]) -> Chart:
    aggregate, _, value = said.get("value", "").partition(" ")
    return Chart(
        said["name"],
        said["mart"],
        said["kind"],
        tuple(said.get("columns", ())),
        tuple(said.get("by", ())),
        said.get("time"),
        aggregate or None,
        value or None,
    )


def identifier(*of: str) -> str:
    """The identifier that a thing of this name always has."""
    return str(uuid.uuid5(NAMESPACE, "/".join(of)))


def files(dashboards: Sequence[Dashboard], uri: str) -> dict[str, dict[str, Any]]:
    """Path in the bundle -> content.

    Args:
        dashboards: what is shown.
        uri: SQLAlchemy URI of the database for the account of BI tools, without its password.
    """
    marts = dict.fromkeys(c.mart for d in dashboards for c in d.charts)
    out: dict[str, dict[str, Any]] = {
        "metadata.yaml": {"version": "1.0.0", "type": "assets", "timestamp": _STAMP},
        "databases/regime.yaml": {
            "database_name": "regime",
            "sqlalchemy_uri": uri,
            "expose_in_sqllab": True,
            "allow_run_async": False,
            "allow_ctas": False,
            "allow_cvas": False,
            "allow_dml": False,
            "extra": {},
            "uuid": identifier("database"),
            "version": "1.0.0",
        },
    }
    for name in marts:
        out[f"datasets/regime/{name}.yaml"] = _dataset(MARTS[name])
    for page in dashboards:
        for chart in page.charts:
            out[f"charts/{_file(page, chart)}.yaml"] = _chart_file(page, chart)
        out[f"dashboards/{page.slug}.yaml"] = _dashboard_file(page)
    return out


def _file(page: Dashboard, chart: Chart) -> str:
    return f"{page.slug}_{chart.name.lower().replace(' ', '_')}".replace("-", "_")


def _dataset(mart: Mart) -> dict[str, Any]:
    return {
        "table_name": mart.name,
        "schema": "reporting",
        "catalog": None,  # a name here would win over the database of the URI
        "description": mart.description,
        "main_dttm_col": mart.time_column,
        "columns": [
            {
                "column_name": c.name,
                "is_dttm": c.kind is Kind.TIMESTAMP,
                "is_active": True,
                "type": SQL_NAMES[c.kind].upper(),
                "groupby": True,
                "filterable": True,
                "description": meaning(c),
            }
            for c in mart.columns
        ],
        "metrics": [],
        "uuid": identifier("dataset", mart.name),
        "database_uuid": identifier("database"),
        "version": "1.0.0",
    }


def _metric(chart: Chart) -> dict[str, Any]:
    return {
        "expressionType": "SIMPLE",
        "aggregate": (chart.aggregate or "").upper(),
        "column": {"column_name": chart.value},
        "label": f"{chart.aggregate} {chart.value}",
    }


def _newest_first(chart: Chart) -> list[list[Any]]:
    times = [c for c in (MARTS[chart.mart].time_column, "ts") if c in chart.columns]
    return [[times[0], False]] if times else []


def _chart_file(page: Dashboard, chart: Chart) -> dict[str, Any]:
    params: dict[str, Any] = {"viz_type": KINDS[chart.kind], "adhoc_filters": []}
    if chart.kind == "table":
        order = _newest_first(chart)
        query: dict[str, Any] = {"columns": list(chart.columns), "orderby": order}
        query |= {"metrics": [], "row_limit": NEWEST_ROWS}
        params |= {
            "query_mode": "raw",
            "all_columns": list(chart.columns),
            "order_by_cols": [json.dumps(o) for o in order],
            "row_limit": NEWEST_ROWS,
            "column_config": {
                c.name: {"d3NumberFormat": ROUNDED}
                for c in MARTS[chart.mart].columns
                if c.name in chart.columns and c.kind is Kind.FLOAT
            },
        }
    else:
        axis = chart.time or chart.by[0]
        split = list(chart.by if chart.time else chart.by[1:])
        x_axis: Any = axis
        if chart.time:
            x_axis = {
                "timeGrain": "PT1H",
                "columnType": "BASE_AXIS",
                "sqlExpression": axis,
                "label": axis,
                "expressionType": "SQL",
            }
        query = {"columns": [x_axis, *split], "metrics": [_metric(chart)], "row_limit": POINTS}
        params |= {
            "x_axis": axis,
            "time_grain_sqla": "PT1H",
            "metrics": [_metric(chart)],
            "groupby": split,
            "row_limit": POINTS,
        }
        if str(chart.value).endswith(("_frac", "_8h")):
            params["y_axis_format"] = PERCENT
    context = {
        "datasource": {"id": 0, "type": "table"},
        "force": False,
        "queries": [query | {"filters": [], "extras": {}, "annotation_layers": []}],
        "form_data": params,
        "result_format": "json",
        "result_type": "full",
    }
    return {
        "slice_name": chart.name,
        "viz_type": KINDS[chart.kind],
        "params": params,
        "query_context": json.dumps(context),
        "cache_timeout": None,
        "uuid": identifier("chart", page.slug, chart.name),
        "dataset_uuid": identifier("dataset", chart.mart),
        "version": "1.0.0",
    }


def _dashboard_file(page: Dashboard) -> dict[str, Any]:
    position: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
        "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": [], "parents": ["ROOT_ID"]},
    }
    for number, chart in enumerate(page.charts):
        row, cell = f"ROW-{number // 2}", f"CHART-{number}"
        if row not in position:
            position[row] = {
                "id": row,
                "type": "ROW",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID"],
                "meta": {"background": "BACKGROUND_TRANSPARENT"},
            }
            position["GRID_ID"]["children"].append(row)
        position[row]["children"].append(cell)
        position[cell] = {
            "id": cell,
            "type": "CHART",
            "children": [],
            "parents": ["ROOT_ID", "GRID_ID", row],
            "meta": {
                "width": 6,
                "height": 50,
                "chartId": number + 1,  # of this file only: the import puts its own there
                "sliceName": chart.name,
                "uuid": identifier("chart", page.slug, chart.name),
            },
        }
    return {
        "dashboard_title": page.title,
        "slug": page.slug,
        "uuid": identifier("dashboard", page.slug),
        "position": position,
        "metadata": {},
        "published": True,
        "version": "1.0.0",
    }


def write(target: Path, uri: str) -> None:
    """Write the bundle of the declared dashboards: the same ones and the same URI give the same bytes."""
    pack(target, files(declared(), uri))


def pack(target: Path, content_of: Mapping[str, Any]) -> None:
    """Write a bundle of files, by their path in it."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in sorted(content_of.items()):
            entry = zipfile.ZipInfo(f"regime/{path}", date_time=(2000, 1, 1, 0, 0, 0))
            archive.writestr(entry, yaml.safe_dump(content, sort_keys=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the bundle that Superset imports.")
    parser.add_argument("target", type=Path, help="the .zip to write")
    parser.add_argument("uri", help="postgresql+psycopg2://regime_bi@host:port/database")
    given = parser.parse_args()
    write(given.target, given.uri)
