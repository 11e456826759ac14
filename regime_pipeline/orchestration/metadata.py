"""What Dagster's pages say about a table and a write: columns, row counts, coverage, a small plot.

Everything comes from the catalogue or from the frame at hand. Does not belong here: computing what is
stored, deciding whether it is good (checks).
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pandas as pd

from regime_pipeline.catalogue import FIELDS, Kind, Table
from regime_pipeline.catalogue.datasets import BY_TABLE
from regime_pipeline.catalogue.fields.common import USABLE
from regime_pipeline.catalogue.lineage import stored
from regime_pipeline.catalogue.sql import SQL_NAMES
from regime_pipeline.sparkline import line
from regime_pipeline.windows import HOUR, Window

if TYPE_CHECKING:
    from regime_pipeline.storage.merge import WriteResult

_WIDTH, _HEIGHT, _POINTS = 320, 56, 160


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns as Dagster shows them: type, meaning with unit, constraints."""
    columns = []
    for name in table.fields:
        field = FIELDS[name]
        other = []
        if field.minimum is not None:
            other.append(f"{'>' if field.exclusive_minimum else '>='} {field.minimum:g}")
        if field.maximum is not None:
            other.append(f"<= {field.maximum:g}")
        if field.allowed is not None:
            other.append("in " + ", ".join(field.allowed))
        if name in table.key:
            other.append("primary key")
        columns.append(
            dg.TableColumn(
                name,
                type=SQL_NAMES[field.kind].replace("timestamp with time zone", "timestamptz"),
                description=field.description + (f" Unit: {field.unit}." if field.unit else ""),
                constraints=dg.TableColumnConstraints(
                    nullable=name not in table.key and name not in table.required,
                    unique=table.key == (name,),
                    other=other,
                ),
            )
        )
    rules = dg.TableConstraints(other=[f"unique ({', '.join(table.key)})", *table.rules])
    return dg.TableSchema(columns=columns, constraints=rules)


def spec_metadata(table: Table) -> dict[str, Any]:
    """Metadata of the asset itself."""
    return {
        "dagster/table_name": table.full_name,
        "dagster/column_schema": column_schema(table),
        "primary_key": ", ".join(table.key),
        **_beginning(table),
        **_lineage(stored().replies.get(table.full_name, {}), "/"),
    }


def _beginning(table: Table) -> dict[str, str]:
    """When the history of a raw table can begin, since Dagster shows the same first day for all."""
    found = BY_TABLE.get(table.full_name)
    if found is None:
        return {}
    return {"history begins": found.forward_only or "as far back as its sources keep it"}


def column_lineage(mart: str) -> dict[str, Any]:
    """Metadata of the asset of a mart that dbt builds: the columns of tables that each column is made of."""
    return _lineage(stored().marts[mart], ".")


def _lineage(
    made_of: Mapping[str, Mapping[str, tuple[str, ...]]], separator: str
) -> dict[str, Any]:
    """Columns made of columns of what is named: tables, or endpoints and the places of their replies."""
    if not made_of:
        return {}
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                column: [
                    dg.TableColumnDep(dg.AssetKey(named.split(separator)), name)
                    for named, names in below.items()
                    for name in names
                ]
                for column, below in made_of.items()
            }
        )
    }


def write_metadata(
    table: Table, frame: pd.DataFrame, window: Window, result: WriteResult
) -> dict[str, Any]:
    """Metadata of one write: what the rows are, and what the write changed.

    Args:
        table: the table written.
        frame: the rows of the window.
        window: what was owed.
        result: counts of the merge.
    """
    counts = {"rows": len(frame)} | row_changes(
        result.inserted, result.updated, result.unchanged, result.deleted
    )
    if result.refused_lower_tier:
        counts["rows refused (lower tier)"] = result.refused_lower_tier
    times = frame[table.time_column]
    last = times >= pd.Timestamp(window.days()[-1]) if len(frame) else times.notna()
    out: dict[str, Any] = {
        "dagster/partition_row_count": int(last.sum()),
        **run_counts(counts),
        "window": f"{window.start:%Y-%m-%d %H:%M} .. {window.end:%Y-%m-%d %H:%M} UTC",
    }
    if len(frame):
        out |= _quality(table, frame, window)
        plot = sparkline(table, frame)
        if plot is not None:
            out["plot"] = dg.MetadataValue.md(plot)
    return out


def add_run_metadata(
    context: dg.AssetExecutionContext | dg.OutputContext, metadata: Mapping[str, Any]
) -> None:
    """Metadata of what a run did with a table, on the event of the run's last day.

    A run over a range makes one event per day. What is said of the whole run would stand in each of
    them: the plot alone is 5 kB a day, and counts would look like those of a day.
    """
    if isinstance(context, dg.OutputContext):
        key, last = context.asset_key, context.asset_partition_key_range.end
        context.step_context.add_asset_metadata(metadata, key, last)
    else:
        context.add_asset_metadata(metadata, context.asset_key, context.partition_key_range.end)


RUN_COUNTS = "of the whole run"


def run_counts(counts: Mapping[str, int]) -> dict[str, Any]:
    """What a run did to a table, as one entry: it concerns all days of the run together.

    Dagster draws every number over time. A run of 300 days and one of a single day do not belong into
    one line, so these are no numbers to it; the rows of the last day are.
    """
    return {RUN_COUNTS: dg.MetadataValue.json(dict(counts))}


def row_changes(
    inserted: int, updated: int, unchanged: int, deleted: int | None = None
) -> dict[str, int]:
    """The counts of a write by name."""
    found = {"rows inserted": inserted, "rows updated": updated, "rows unchanged": unchanged}
    return found if deleted is None else found | {"rows deleted": deleted}


def _quality(table: Table, frame: pd.DataFrame, window: Window) -> dict[str, Any]:
    """What the rows are, as one entry: a label and a type for each of five figures cost 1 kB a write."""
    out: dict[str, Any] = {}
    if "status" in frame:
        counts = frame["status"].value_counts()
        out["status"] = {str(k): int(v) for k, v in counts.items()}
        out["usable share"] = round(float(frame["status"].isin(USABLE).mean()), 4)
    if "source_tier" in frame:
        tiers = frame["source_tier"].dropna().value_counts().sort_index()
        out["source tiers"] = {str(k): int(v) for k, v in tiers.items()}
    hours = (window.end - window.start) / HOUR
    if table.time_column in frame and hours >= 1 and table.symbol_columns:
        stamps = frame[[*table.symbol_columns, table.time_column]].drop_duplicates()
        groups = frame[list(table.symbol_columns)].drop_duplicates()
        share = len(stamps) / max(1.0, len(groups) * hours)
        out["hours with a row, share"] = round(min(1.0, share), 4)
        out["symbols"] = len(groups)
    return {"rows": dg.MetadataValue.json(out)} if out else {}


def fetch_rows(log: pd.DataFrame) -> dg.TableMetadataValue | None:
    """Per source and status: requests, rows, quarantined rows, as a small table."""
    if log.empty:
        return None
    sums = (
        log.assign(
            rows_stored=log["rows_stored"].fillna(0),
            rows_quarantined=log["rows_quarantined"].fillna(0),
            request_count=log["request_count"].fillna(0),
        )
        .groupby(["source", "fetch_status"], sort=True)[
            ["rows_stored", "rows_quarantined", "request_count"]
        ]
        .sum()
        .reset_index()
    )
    records = [
        dg.TableRecord({str(k): (v if isinstance(v, str) else int(v)) for k, v in row.items()})
        for row in sums.to_dict("records")
    ]
    return dg.MetadataValue.table(records)


def sparkline(table: Table, frame: pd.DataFrame) -> str | None:
    """Markdown with a small line plot of the table's main value for its first symbol.

    Its caption says which series of how many it is, over which hours, and between which values. It is
    an SVG made by hand: no plotting library is loaded for a thumbnail.
    """
    value = _main_value(table, frame)
    if value is None or table.time_column not in frame:
        return None
    part = frame
    label = value
    columns = ["market", "timeframe", *table.symbol_columns, "source", "metric"]
    columns = [c for c in columns if c in frame]
    series = len(frame[columns].drop_duplicates()) if columns else 1
    for column in columns:
        if len(part):
            first = part[column].dropna().min()
            part = part[part[column] == first]
            label += f" {first}"
    part = part.sort_values(table.time_column)
    if series > 1:
        label += f" (1 of {series} series)"
    if len(part):
        times = part[table.time_column]
        label += f", {times.iloc[0]:%Y-%m-%d %H:%M} .. {times.iloc[-1]:%Y-%m-%d %H:%M} UTC"
    values = part[value].to_numpy("float64", na_value=np.nan)
    svg = _svg(values, label)
    if svg is None:
        return None
    encoded = base64.b64encode(svg.encode()).decode()
    return f"![{label}](data:image/svg+xml;base64,{encoded})"


def _main_value(table: Table, frame: pd.DataFrame) -> str | None:
    if table.main in frame:
        return table.main
    floats = [n for n in table.content if FIELDS[n].kind is Kind.FLOAT and n in frame]
    return floats[0] if floats else None


def _svg(values: np.ndarray, label: str) -> str | None:
    path = line(values, width=_WIDTH, height=_HEIGHT, points=_POINTS)
    if path is None:
        return None
    name, _, hours = label.partition(", ")
    low, high = (f"{f(values):.4g}" for f in (np.nanmin, np.nanmax))
    texts = [(_WIDTH + 4, 10, high), (_WIDTH + 4, _HEIGHT, low)]
    texts += [(0, _HEIGHT + 13, name), (0, _HEIGHT + 26, hours)]
    drawn = "".join(f"<text x='{x}' y='{y}'>{html.escape(text)}</text>" for x, y, text in texts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + 70}" height="{_HEIGHT + 30}">'
        f'<path fill="none" stroke="#889" d="M0 {_HEIGHT}H{_WIDTH}V0"/>'
        f'<path fill="none" stroke="#4F43DD" stroke-width="1.2" d="{path}"/>'
        f"<g font-size='10' font-family='sans-serif' fill='#667'>{drawn}</g></svg>"
    )
