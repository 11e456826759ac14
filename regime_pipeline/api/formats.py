"""Answers as bytes: JSON and CSV.

Belongs here: writing pages, media types. Does not belong here: what is written (``envelope``), files of
whole marts (``exporter``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def json_bytes(content: Any) -> bytes:
    """JSON, instants as ``2026-03-01T00:00:00Z``."""
    return orjson.dumps(content, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC, default=str)


def csv_bytes(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """CSV with a header; null is empty, and a text that a spreadsheet would run is quoted with ``'``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(v) for v in row] for row in rows)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, (dict, list)):
        return json_bytes(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
