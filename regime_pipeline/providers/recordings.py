"""Recorded bodies through their parser, for people and for scripts.

Belongs here: reading a file, rows as JSON, the typed error as JSON. Does not belong here: parsing.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pandas as pd

from regime_pipeline.providers.errors import ProviderError
from regime_pipeline.providers.registry import PARSERS, parser_of

SHOWN_ROWS = 20


@dataclass(frozen=True)
class Recording:
    """What became of one recorded body: rows, or the error (class name and text)."""

    file: str
    frame: pd.DataFrame | None
    error: tuple[str, str] | None


def unknown(name: str) -> str | None:
    """Why no parser is called ``provider/endpoint``, or None when one is."""
    try:
        parser_of(name)
    except KeyError:
        near = difflib.get_close_matches(name, PARSERS, n=3)
        hint = f"; near: {', '.join(near)}" if near else "; write PROVIDER/ENDPOINT"
        return f"no parser is called {name!r:.80}{hint}"
    return None


def read_file(name: str, path: Path) -> Recording:
    """The rows or the typed error of one recorded body.

    Raises:
        KeyError: no parser has that name.
        OSError: the file cannot be read.
    """
    body = path.read_bytes()
    try:
        return Recording(str(path), parser_of(name)(body), None)
    except ProviderError as error:
        return Recording(str(path), None, (error.error_class, str(error)))


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as JSON values: times in ISO 8601 UTC, null for what is missing."""
    columns = {str(name): _values(frame[name]) for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(column: pd.Series) -> list[object]:
    missing = column.isna().to_numpy()
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        values = [None if m else v.isoformat() for v, m in zip(column, missing, strict=True)]
    else:
        values = [
            None if m else (v.item() if isinstance(v, np.generic) else v)
            for v, m in zip(column.tolist(), missing, strict=True)
        ]
    return values


def line(found: Recording) -> str:
    """One JSON object: file, rows, error, row_count."""
    rows = [] if found.frame is None else records(found.frame)
    error = (
        None if found.error is None else dict(zip(("class", "message"), found.error, strict=True))
    )
    told = {"file": found.file, "rows": rows, "error": error, "row_count": len(rows)}
    return orjson.dumps(told).decode()


def shown(found: Recording) -> str:
    """The same for a person."""
    if found.error is not None:
        return f"{found.file}: {found.error[0]}: {found.error[1]}"
    frame = found.frame if found.frame is not None else pd.DataFrame()
    refused = int(frame["reason"].notna().sum()) if "reason" in frame else 0
    head = f"{found.file}: {len(frame)} rows" + (f", {refused} refused" if refused else "")
    if frame.empty:
        return head
    some = frame.head(SHOWN_ROWS).dropna(axis="columns", how="all")
    more = f"\n... {len(frame) - SHOWN_ROWS} more" if len(frame) > SHOWN_ROWS else ""
    return f"{head}\n{some.to_string(index=False, max_colwidth=60)}{more}"
