"""Columns between pandas, Arrow and PostgreSQL's binary COPY format; key order; digests.

Belongs here: conversions without I/O, each vectorised over whole columns. Does not belong here:
statements and connections (``warehouse``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from regime_pipeline.catalogue.frames import DTYPES, is_in_order, key_order
from regime_pipeline.catalogue.model import Kind, Table
from regime_pipeline.catalogue.registry import FIELDS

ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
    Kind.FLOAT: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TEXT: pa.string(),
    Kind.JSON: pa.string(),
    Kind.FLOATS: pa.string(),
}
JSON_KINDS = (Kind.JSON, Kind.FLOATS)
_EPOCH_2000_US = 946_684_800_000_000  # PostgreSQL counts microseconds from 2000-01-01
_CHUNK_BYTES = 32 * 2**20
_CHUNK_ROWS = 16_384
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSTORABLE_ESCAPE = re.compile(r"\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})")


# -------------------------------------------------------------------- text that can be stored


def storable(text: str) -> str:
    """The text with NUL and lone surrogates, which PostgreSQL cannot hold, made visible."""
    return _UNSTORABLE.sub("\ufffd", text)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    return value


def canonical_json(value: Any) -> str:
    """JSON text as frames carry it: keys sorted, no spaces, nothing that PostgreSQL refuses."""
    return json.dumps(_clean(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def plain(value: Any) -> Any:
    """A cell as JSON can hold it; numbers that JSON has no word for become text."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if np.isfinite(number) else (None if np.isnan(number) else str(number))
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def scrub(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame with unstorable characters of its text columns replaced by U+FFFD."""
    fixed: dict[str, pd.Series] = {}
    for name in frame.columns:
        kind = FIELDS[name].kind if name in table.fields else None
        if kind is not Kind.TEXT and kind not in JSON_KINDS:
            continue
        values = frame[name]
        bad = _unstorable(values, is_json=kind in JSON_KINDS)
        if bad.any():
            texts = [
                canonical_json(json.loads(storable(t))) if kind in JSON_KINDS else storable(t)
                for t in values[bad]
            ]
            out = values.astype(object)
            out[bad] = texts
            fixed[name] = out
    return frame.assign(**fixed) if fixed else frame


def _unstorable(values: pd.Series, *, is_json: bool) -> np.ndarray:
    """Which texts hold something PostgreSQL refuses."""
    if values.dtype == "str" and not is_json:
        # Arrow text is valid UTF-8 already, so only NUL is left to look for
        found = pc.match_substring(to_arrow(values, Kind.TEXT), "\0")
        return found.fill_null(False).to_numpy(zero_copy_only=False)
    escapes = _UNSTORABLE_ESCAPE if is_json else None
    return np.array(
        [
            isinstance(t, str)
            and bool(_UNSTORABLE.search(t) or (escapes is not None and escapes.search(t)))
            for t in values
        ],
        dtype=bool,
    )


# -------------------------------------------------------------------- keys


def sorted_by(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """Rows in key order, whatever the server's collation."""
    if rows.num_rows < 2:
        return rows
    order, _ = key_order([single(rows.column(c)) for c in key])
    if is_in_order(order):
        return rows
    return rows.take(pa.array(order))


def settle(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """One row per key, sorted by key: the lowest ``source_tier`` wins, then the last that came.

    Rows whose key has a null are left in, for the contract to refuse.
    """
    keys = list(table.key)
    if len(frame) < 2 or frame[keys].isna().to_numpy().any():
        return frame.reset_index(drop=True)
    worst_first = None
    if "source_tier" in table.fields:
        worst_first = -frame["source_tier"].fillna(99).to_numpy(dtype="int64")
    order, repeats = key_order([pa.array(frame[c]) for c in keys], worst_first)
    last_of_key = np.append(~repeats[1:], True)
    if last_of_key.all() and is_in_order(order):
        return frame.reset_index(drop=True)
    return frame.take(order[last_of_key]).reset_index(drop=True)


# -------------------------------------------------------------------- from and to pandas


def single(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The column as one array."""
    if isinstance(column, pa.Array):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def to_arrow(values: pd.Series, kind: Kind) -> pa.Array:
    """A pandas column as one Arrow array, NaN as null."""
    return single(pa.array(values, ARROW_TYPES[kind], from_pandas=True))


def fetched(column: pa.ChunkedArray, kind: Kind) -> pa.Array:
    """A fetched column in the catalogue's Arrow type; JSON in canonical text."""
    array = single(column)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    array = array.cast(ARROW_TYPES[kind])
    if kind in JSON_KINDS:
        encoded = array.dictionary_encode()
        texts = [canonical_json(json.loads(t)) for t in encoded.dictionary.to_pylist()]
        array = pa.array(texts, pa.string()).take(encoded.indices)
    return array


def to_pandas(column: pa.Array, kind: Kind) -> Any:
    """An Arrow column as the catalogue's pandas type; owns its memory."""
    if kind is Kind.FLOAT:
        return np.array(column.to_numpy(zero_copy_only=False), dtype="float64")
    dtype: Any = pd.api.types.pandas_dtype(DTYPES[kind])
    return dtype.__from_arrow__(column)


# -------------------------------------------------------------------- binary COPY


def copy_blocks(frame: pd.DataFrame, table: Table) -> Iterator[bytes]:
    """The frame in PostgreSQL's binary COPY format, a few megabytes at a time."""
    columns = [(FIELDS[c].kind, to_arrow(frame[c], FIELDS[c].kind)) for c in table.fields]
    yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for start in range(0, len(frame), _CHUNK_ROWS):
        yield from _rows(columns, start, min(len(frame), start + _CHUNK_ROWS))
    yield b"\xff\xff"


def _rows(columns: list[tuple[Kind, pa.Array]], start: int, end: int) -> Iterator[bytes]:
    """Rows ``start .. end``: every cell at its column's widest, then squeezed by a mask."""
    count = end - start
    parts = [(kind, array.slice(start, count)) for kind, array in columns]
    width = 2 + sum(4 + _widest(kind, array) for kind, array in parts)
    if width * count > _CHUNK_BYTES and count > 1:
        # one very long text must not pad thousands of rows
        middle = start + count // 2
        yield from _rows(columns, start, middle)
        yield from _rows(columns, middle, end)
        return
    cells = [_cells(kind, array) for kind, array in parts]
    block = np.empty((count, width), dtype=np.uint8)
    keep = np.ones((count, width), dtype=bool)
    block[:, :2] = np.frombuffer(len(columns).to_bytes(2, "big"), dtype=np.uint8)
    at = 2
    for data, lengths, valid in cells:
        size = data.shape[1]
        told = lengths if valid is None else np.where(valid, lengths, -1)
        block[:, at : at + 4] = np.broadcast_to(told, count).astype(">i4").view("u1").reshape(-1, 4)
        block[:, at + 4 : at + 4 + size] = data
        present = np.maximum(told, 0)
        if np.ndim(told) and (present != size).any():
            keep[:, at + 4 : at + 4 + size] = np.arange(size) < present[:, None]
        at += 4 + size
    yield block.tobytes() if keep.all() else block[keep].tobytes()


def _widest(kind: Kind, array: pa.Array) -> int:
    """Bytes of the column's longest cell."""
    if kind is Kind.TEXT or kind in JSON_KINDS:
        return max(1, (pc.max(pc.binary_length(array)).as_py() or 0) + (kind in JSON_KINDS))
    return 1 if kind is Kind.BOOLEAN else 8


def _cells(kind: Kind, array: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A column's bytes (rows x widest), the length of each cell, and which cells are not null."""
    valid = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    if kind is Kind.TEXT or kind in JSON_KINDS:
        encoded = array.dictionary_encode()
        head = b"\x01" if kind in JSON_KINDS else b""  # jsonb is sent with its version
        texts = [head + t.encode() for t in encoded.dictionary.to_pylist()] or [b""]
        sizes = np.array([len(t) for t in texts], dtype=np.int64)
        widest = _widest(kind, array)
        table = np.frombuffer(b"".join(t.ljust(widest, b"\0") for t in texts), dtype=np.uint8)
        codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        return table.reshape(len(texts), widest)[codes], sizes[codes], valid
    if kind is Kind.BOOLEAN:
        flags = array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint8)
        return flags.reshape(-1, 1), np.full(1, 1), valid
    if kind is Kind.FLOAT:
        numbers = array.fill_null(0.0).to_numpy(zero_copy_only=False).astype(">f8")
    else:
        whole = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        numbers = (whole - _EPOCH_2000_US if kind is Kind.TIMESTAMP else whole).astype(">i8")
    return numbers.view(np.uint8).reshape(-1, 8), np.full(1, 8), valid


# -------------------------------------------------------------------- digest


def digest(rows: pa.Table) -> str:
    """sha256 over names, nulls and values column by column; ``-0.0`` counts as ``0.0``."""
    out = hashlib.sha256(f"{rows.num_rows}".encode())
    for name in rows.column_names:
        out.update(f"\0{name}\0".encode())
        column = single(rows.column(name))
        out.update(np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes())
        out.update(_bytes_of(column))
    return out.hexdigest()


def _bytes_of(column: pa.Array) -> bytes:
    if pa.types.is_string(column.type):
        filled = column.fill_null("")
        lengths = pc.binary_length(filled).to_numpy(zero_copy_only=False).astype("<i4").tobytes()
        return lengths + "".join(filled.to_pylist()).encode()
    if pa.types.is_floating(column.type):
        values = column.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
        return values.astype("<f8").tobytes()
    if pa.types.is_boolean(column.type):
        return column.fill_null(False).to_numpy(zero_copy_only=False).astype("u1").tobytes()
    whole = column.cast(pa.int64()).fill_null(0)
    return whole.to_numpy(zero_copy_only=False).astype("<i8").tobytes()
