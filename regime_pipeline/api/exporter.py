"""The process that writes one file of a mart and ends.

Belongs here: everything that needs Arrow. The question comes in one environment variable as JSON; what came
of it is one JSON line on standard output. Does not belong here: HTTP, parameters (``export``).

Columns have the type of the catalogue, instants are UTC, JSON is text; unit and meaning of each column and
the origin of the data stand in the file's own metadata. In CSV null is empty, and a text that a spreadsheet
would run is quoted with ``'``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.catalogue.model import Field, Kind

VARIABLE = "REGIME_EXPORT"
ROWS_AT_ONCE = 20_000
_TYPES: dict[Kind, pa.DataType] = {
    Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
    Kind.FLOAT: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.FLOATS: pa.list_(pa.float64()),
}
_FORMULA = r"^[=+\-@\t\r]"
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


def main() -> None:
    """Write the file and say how many rows it has, or what was wrong."""
    told = json.loads(os.environ[VARIABLE])
    try:
        said: dict[str, Any] = {"rows": written(told)}
    except TooMany as many:
        said = {"problem": "parameters", "detail": str(many)}
    except psycopg.errors.QueryCanceled:
        said = {"problem": "slow", "detail": "ask for a shorter span or fewer fields"}
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
        said = {"problem": "not-found", "detail": f"{told['mart']} is not built yet: regime run"}
    except psycopg.OperationalError:
        said = {"problem": "database", "detail": "it went away; try again"}
    sys.stdout.write(json.dumps(said) + "\n")


class TooMany(Exception):
    """There are more rows than a file may have."""


def written(told: dict[str, Any]) -> int:
    """Write the file; the number of its rows.

    Raises:
        TooMany: there are more than it may have.
        psycopg.Error: the database does not answer, or not in time.
    """
    described = {c.name: c for c in MARTS[told["mart"]].columns}
    columns = [described[c] for c in told["columns"]]
    about = {"mart": told["mart"], "data_origin": told["origin"]}
    about |= {"as_of": told["as_of"]} if told["as_of"] else {}
    schema = pa.schema([_arrow_field(c) for c in columns], metadata=about)
    rows = 0
    with (
        psycopg.connect(told["conninfo"], application_name="regime_pipeline export") as connection,
        _file(told["path"], told["shape"], schema) as write,
    ):
        connection.execute(f"set statement_timeout = '{float(told['seconds']):.0f}s'")
        with connection.cursor("export", binary=True) as cursor:
            cursor.itersize = ROWS_AT_ONCE
            cursor.execute(told["statement"], _values(told["values"]))
            while found := cursor.fetchmany(ROWS_AT_ONCE):
                rows += len(found)
                if rows > told["most_rows"]:
                    raise TooMany(
                        f"more than {told['most_rows']} rows; narrow it with from, to or symbols"
                    )
                write(_batch(found, columns, schema))
    return rows


def _values(given: Sequence[Any]) -> list[Any]:
    """Instants came as text; every other value is as it was."""

    def value(v: Any) -> Any:
        if not isinstance(v, str):
            return v
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(v)
        return v

    return [value(v) for v in given]


def _arrow_field(column: Field) -> pa.Field:
    meaning = {"description": column.description} | ({"unit": column.unit} if column.unit else {})
    return pa.field(column.name, _TYPES.get(column.kind, pa.string()), metadata=meaning)


def _batch(
    rows: Sequence[Sequence[Any]], columns: Sequence[Field], schema: pa.Schema
) -> pa.RecordBatch:
    arrays = []
    for n, column in enumerate(columns):
        values = [row[n] for row in rows]
        if column.kind is Kind.JSON:
            values = [None if v is None else json.dumps(v, sort_keys=True) for v in values]
        arrays.append(pa.array(values, schema.types[n]))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


@contextlib.contextmanager
def _file(path: str, shape: str, schema: pa.Schema) -> Iterator[Any]:
    """A function that adds a batch to the file."""
    if shape == "parquet":
        with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            yield writer.write_batch
        return
    if shape == "arrow":
        with pyarrow.ipc.new_stream(path, schema) as stream:
            yield stream.write_batch
        return
    plain = pa.schema([pa.field(f.name, _plain_type(f.type)) for f in schema])
    with pyarrow.csv.CSVWriter(
        path, plain, write_options=pyarrow.csv.WriteOptions(quoting_style="needed")
    ) as writer:
        yield lambda batch: writer.write_batch(_plain(batch, plain))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_timestamp(kind) or pa.types.is_list(kind) else kind


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch as CSV takes it: instants and lists as text, no text that a spreadsheet would run."""
    out = []
    for array in batch.columns:
        if pa.types.is_timestamp(array.type):
            whole = array.cast(pa.timestamp("s", "UTC"), safe=False)
            out.append(pc.strftime(whole, _INSTANT))
        elif pa.types.is_list(array.type):
            texts = [None if v is None else json.dumps(v) for v in array.to_pylist()]
            out.append(pa.array(texts, pa.string()))
        elif pa.types.is_string(array.type):
            marked = pc.binary_join_element_wise("'", array, "")
            out.append(pc.if_else(pc.match_substring_regex(array, _FORMULA), marked, array))
        else:
            out.append(array)
    return pa.RecordBatch.from_arrays(out, schema=schema)


if __name__ == "__main__":
    main()
