"""Closed months that left the database: Parquet files below the landing store, and back again.

Belongs here: which months are out (``ops.moved_months``), writing and reading their files, moving. Does not
belong here: putting rows of files and of the database together (``warehouse``), which months are chosen
(``cli``).

A month is out or in, never both: its file is written, read again and compared first; then one transaction
under the table's lock drops the partition and notes the file. Whoever is killed leaves a file that nobody
reads. Replaced versions stay in the database.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import sql

from regime_pipeline.catalogue.model import Table
from regime_pipeline.catalogue.registry import FIELDS, TABLES
from regime_pipeline.storage import locks
from regime_pipeline.storage.arrow import digest, single, to_pandas
from regime_pipeline.storage.errors import StorageError
from regime_pipeline.windows import Window

FOLDER = "months"
_KEPT_IN = ("alerts", "ops", "live", "reporting")
"""Schemas whose rows are read by more than the warehouse."""
_OUT = """
select month, file_name, file_hash, row_count, content_digest from ops.moved_months
where table_name = %s order by month
"""


class MovedOutError(StorageError):
    """Rows of a month that is not in the database are needed there, or its file is not what it was."""


@dataclass(frozen=True)
class Moved:
    """A month that is out.

    Attributes:
        month: its first instant.
        file: below the landing store's ``months``.
        sha256: of the file.
        row_count: rows in it.
        content: as :meth:`~regime_pipeline.storage.warehouse.Warehouse.content_hash` of the month.
    """

    month: datetime
    file: str
    sha256: str
    row_count: int
    content: str

    @property
    def window(self) -> Window:
        """From the month's first instant to the next month's."""
        return Window(self.month, following(self.month))


def following(month: datetime) -> datetime:
    """The first instant of the month after."""
    return (month + timedelta(days=32)).replace(day=1)


def is_touched(moved: Moved, window: Window | None) -> bool:
    """Whether a window, None for all of time, has a part of the month."""
    return window is None or (moved.month < window.end and window.start < moved.window.end)


def is_movable(table: Table) -> bool:
    """Whether months of a table may leave the database."""
    return table.partitioned and table.schema not in _KEPT_IN


def known(connection: psycopg.Connection, table: Table) -> list[Moved]:
    """The months of a table that are out, oldest first."""
    found = connection.execute(_OUT, (table.full_name,)).fetchall()
    return [Moved(month.astimezone(UTC), *rest) for month, *rest in found]


def named(table: Table) -> str:
    """A query whose one value changes with the months of a table that are out."""
    query = sql.SQL(
        "SELECT coalesce(string_agg(file_name, ',' ORDER BY month), '') FROM ops.moved_months "
        "WHERE table_name = {}"
    )
    return query.format(sql.Literal(table.full_name)).as_string(None)


def refuse(connection: psycopg.Connection, table: Table, window: Window) -> None:
    """Refuse work on rows of a month that is out which needs them in the database.

    Raises:
        MovedOutError: with the command that brings it back.
    """
    touched = [m for m in known(connection, table) if is_touched(m, window)]
    if touched:
        first = f"{touched[0].month:%Y-%m}"
        raise MovedOutError(
            f"{table.full_name} of {first} is moved out, and this needs it in the database: "
            f"regime storage move-in {first} --tables {table.full_name}"
        )


class Files:
    """The files of months that are out.

    Args:
        landing: fsspec URL of the landing store; None: not known here.
    """

    def __init__(self, landing: str | None) -> None:
        self._fs: fsspec.AbstractFileSystem | None = None
        self._root = ""
        if landing is not None:
            self._fs, self._root = fsspec.core.url_to_fs(landing)

    def _path(self, name: str) -> str:
        return f"{self._root}/{FOLDER}/{name}"

    def write(self, table: Table, month: datetime, rows: pa.Table) -> tuple[str, bytes]:
        """Write rows as a file that appears whole or not at all; its name and content."""
        assert self._fs is not None
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        body = buffer.getvalue()
        mark = hashlib.sha256(body).hexdigest()[:12]
        name = f"{table.full_name}/{month:%Y-%m}-{mark}.parquet"
        full = self._path(name)
        if "file" not in self._fs.protocol:
            self._fs.pipe_file(full, body)
            return name, body
        path = Path(full)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        with aside.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        return name, body

    def body(self, moved: Moved) -> bytes:
        """The bytes of a file.

        Raises:
            MovedOutError: it is not there, or not what was written.
        """
        if self._fs is None:
            raise MovedOutError(
                f"{moved.file} is out of the database, and where it lies is not known here"
            )
        try:
            body: bytes = self._fs.cat_file(self._path(moved.file))
        except FileNotFoundError:
            raise MovedOutError(
                f"{self._path(moved.file)} is not there: rows that were moved out lie in it"
            ) from None
        if hashlib.sha256(body).hexdigest() != moved.sha256:
            raise MovedOutError(f"{self._path(moved.file)} is damaged: its digest is another one")
        return body

    def rows(
        self,
        table: Table,
        moved: Moved,
        columns: Sequence[str],
        window: Window | None = None,
        among: Sequence[Mapping[str, Sequence[str]]] = (),
    ) -> pa.Table:
        """Rows of a month, in no particular order.

        Args:
            table: whose month.
            moved: which.
            columns: which columns, in this order; one that is younger than the file is null.
            window: rows of it only.
            among: columns and the values that they must be among; all of them hold.
        """
        file = pq.read_table(io.BytesIO(self.body(moved)))
        keep = pa.array([True] * file.num_rows)
        if window is not None:
            at = file.column(table.time_column)
            start, end = (pa.scalar(t, at.type) for t in (window.start, window.end))
            keep = pc.and_(pc.greater_equal(at, start), pc.less(at, end))
        for column, values in (item for asked in among for item in asked.items()):
            held = pc.is_in(file.column(column), pa.array(list(values), pa.string()))
            keep = pc.and_(keep, held)
        chosen = file.filter(keep)
        there = set(file.column_names)
        nothing = pa.nulls(chosen.num_rows)
        return pa.table({c: chosen.column(c) if c in there else nothing for c in columns})

    def remove(self, moved: Moved) -> None:
        """Remove a file whose rows are back."""
        assert self._fs is not None
        self._fs.rm_file(self._path(moved.file))


def content_of(table: Table, rows: pa.Table) -> str:
    """The content hash of rows in key order."""
    return digest(rows.select(list(table.content)))


def note_out(connection: psycopg.Connection, table: Table, moved: Moved, now: datetime) -> None:
    """In one transaction: the partition goes, and the file is known."""
    connection.execute(
        "insert into ops.moved_months (table_name, month, file_name, file_hash, row_count, "
        "content_digest, moved_at) values (%s, %s, %s, %s, %s, %s, %s)",
        (
            table.full_name,
            moved.month,
            moved.file,
            moved.sha256,
            moved.row_count,
            moved.content,
            now,
        ),
    )
    connection.execute(
        sql.SQL("drop table {}").format(sql.Identifier(table.schema, partition(table, moved.month)))
    )


def note_in(connection: psycopg.Connection, table: Table, moved: Moved) -> None:
    """In the transaction that inserts its rows: the month is in the database."""
    connection.execute(
        "delete from ops.moved_months where table_name = %s and month = %s",
        (table.full_name, moved.month),
    )


def lock(connection: psycopg.Connection, table: Table) -> None:
    """Keep every writer of a table out until the transaction ends."""
    locks.take(connection, table, None)


def partition(table: Table, month: datetime) -> str:
    """The name of a month's relation."""
    return f"{table.name}_y{month:%Y}m{month:%m}"


def months_in(connection: psycopg.Connection, table: Table, before: datetime) -> list[datetime]:
    """First instants of the months that have a partition with rows and end by ``before``, oldest first."""
    found = connection.execute(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid "
        "where i.inhparent = %s::regclass order by 1",
        (table.full_name,),
    ).fetchall()
    out = []
    for (name,) in found:
        year, _, month = name.removeprefix(f"{table.name}_y").partition("m")
        start = datetime(int(year), int(month), 1, tzinfo=UTC)
        some = sql.SQL("select exists (select from {})").format(sql.Identifier(table.schema, name))
        if following(start) <= before and connection.execute(some).fetchone() == (True,):
            out.append(start)
    return out


def frame_of(table: Table, rows: pa.Table) -> pd.DataFrame:
    """Rows of a file as a frame of the whole table."""
    return pd.DataFrame(
        {c: to_pandas(single(rows.column(c)), FIELDS[c].kind) for c in table.fields},
        index=pd.RangeIndex(rows.num_rows),
    )


MOVABLE = tuple(name for name, table in TABLES.items() if is_movable(table))
"""Tables whose months may leave the database."""
