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
from regime_pipeline.catalogue.sql import SQL_NAMES
from regime_pipeline.windows import HOUR, Window

if TYPE_CHECKING:
    from regime_pipeline.storage.merge import WriteResult

_USABLE = ("ok", "partial")
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
    out: dict[str, Any] = {
        "dagster/row_count": len(frame),
        "rows inserted": result.inserted,
        "rows updated": result.updated,
        "rows unchanged": result.unchanged,
        "rows deleted": result.deleted,
        "window": f"{window.start:%Y-%m-%d %H:%M} .. {window.end:%Y-%m-%d %H:%M} UTC",
    }
    if result.refused_lower_tier:
        out["rows refused (lower tier)"] = result.refused_lower_tier
    if len(frame):
        out |= _quality(table, frame, window)
        plot = sparkline(table, frame)
        if plot is not None:
            out["plot"] = dg.MetadataValue.md(plot)
    return out


def _quality(table: Table, frame: pd.DataFrame, window: Window) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "status" in frame:
        counts = frame["status"].value_counts()
        out["status counts"] = dg.MetadataValue.json({str(k): int(v) for k, v in counts.items()})
        out["usable share"] = round(float(frame["status"].isin(_USABLE).mean()), 4)
    if "source_tier" in frame:
        tiers = frame["source_tier"].dropna().value_counts().sort_index()
        out["source tiers"] = dg.MetadataValue.json({str(k): int(v) for k, v in tiers.items()})
    hours = (window.end - window.start) / HOUR
    if table.time_column in frame and hours >= 1 and table.symbol_columns:
        stamps = frame[[*table.symbol_columns, table.time_column]].drop_duplicates()
        groups = frame[list(table.symbol_columns)].drop_duplicates()
        out["hours with a row, share"] = round(
            min(1.0, len(stamps) / max(1.0, len(groups) * hours)), 4
        )
        out["symbols"] = len(groups)
    return out


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

    It is an SVG made by hand: no plotting library is loaded for a thumbnail.
    """
    value = _main_value(table, frame)
    if value is None or table.time_column not in frame:
        return None
    part = frame
    label = value
    for column in ("market", "timeframe", *table.symbol_columns, "source", "metric"):
        if column in part and len(part):
            first = part[column].dropna().min()
            part = part[part[column] == first]
            label += f" {first}"
    part = part.sort_values(table.time_column)
    values = part[value].to_numpy("float64", na_value=np.nan)
    if np.isfinite(values).sum() < 2:
        return None
    svg = _svg(_thinned(values), label)
    encoded = base64.b64encode(svg.encode()).decode()
    return f"![{label}](data:image/svg+xml;base64,{encoded})"


_MAIN: Mapping[str, str] = {
    "liquidation_cascades": "total_liquidation_usd",
    "funding_prints": "z_score",
    "funding_anomalies": "z_score",
    "volatility_regimes": "vol_ratio",
    "timeframe_regimes": "confidence",
    "asset_correlations": "corr_7d",
    "correlation_matrices": "corr_shrunk",
    "market_structure": "absorption_ratio",
    "lead_lag": "net_lead",
    "pair_signals": "spread_z",
    "components": "momentum_score",
    "candles": "close",
    "candles_1h": "close",
    "candles_resampled": "close",
    "liquidations_1h": "total_liquidation_usd",
}


def _main_value(table: Table, frame: pd.DataFrame) -> str | None:
    wanted = _MAIN.get(table.name)
    if wanted in frame:
        return wanted
    floats = [n for n in table.content if FIELDS[n].kind is Kind.FLOAT and n in frame]
    return floats[0] if floats else None


def _thinned(values: np.ndarray) -> np.ndarray:
    """At most ``_POINTS`` values: the one farthest from the median of each stretch."""
    if len(values) <= _POINTS:
        return values
    middle = np.nanmedian(values)
    parts = np.array_split(values, _POINTS)
    return np.array(
        [p[np.nanargmax(np.abs(p - middle))] if np.isfinite(p).any() else np.nan for p in parts]
    )


def _svg(values: np.ndarray, label: str) -> str:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    span = (high - low) or 1.0
    step = _WIDTH / max(1, len(values) - 1)
    runs: list[list[str]] = [[]]
    for i, v in enumerate(values):
        if np.isfinite(v):
            runs[-1].append(f"{i * step:.1f},{_HEIGHT - 2 - (v - low) / span * (_HEIGHT - 4):.1f}")
        elif runs[-1]:
            runs.append([])  # a gap in the data is a gap in the line
    lines = "".join(
        f'<polyline fill="none" stroke="#4F43DD" stroke-width="1.2" points="{" ".join(r)}"/>'
        for r in runs
        if r
    )
    text = html.escape(f"{label}: {low:.4g} .. {high:.4g}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT + 14}">'
        f"{lines}<text x='0' y='{_HEIGHT + 11}' font-size='10' font-family='sans-serif' "
        f"fill='#667'>{text}</text></svg>"
    )
