"""Reading and writing catalogue tables: time ranges out, window merges in.

Belongs here: the one way in which rows reach and leave tables that are split by time. Does not
belong here: what the rows mean (pure packages), which window a run is about (``orchestration``).

A write is one transaction: advisory locks per table and day in ascending order, COPY into a staging
table, then statements over whole sets. Rows that say the same as the stored ones are left alone; a
replaced version moves to ``<table>_revisions``. So a write may be repeated, interrupted and run
twice at once, and the table ends the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
from psycopg import sql

from regime_pipeline.catalogue.frames import ContractError, conform, validate
from regime_pipeline.catalogue.model import Table
from regime_pipeline.catalogue.registry import FIELDS, TABLES
from regime_pipeline.catalogue.registry import table as find_table
from regime_pipeline.storage import locks, revisions
from regime_pipeline.storage.arrow import (
    canonical_json,
    digest,
    fetched,
    plain,
    scrub,
    settle,
    single,
    sorted_by,
    storable,
    to_pandas,
)
from regime_pipeline.storage.crash import crash_point
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.errors import TransientStorageError
from regime_pipeline.storage.merge import Also, Batch, Fence, WriteResult, spanned
from regime_pipeline.storage.months import (
    Files,
    Moved,
    MovedOutError,
    content_of,
    following,
    frame_of,
    is_movable,
    is_touched,
    known,
    lock,
    months_in,
    named,
    note_in,
    note_out,
    refuse,
)
from regime_pipeline.storage.retrying import retrying
from regime_pipeline.storage.statements import among, in_window, names, table_of
from regime_pipeline.windows import Clock, SystemClock, Window

FIRST_PARTITION = datetime(2009, 1, 1, tzinfo=UTC)  # the first bitcoin block
LAST_PARTITION = datetime(2100, 1, 1, tzinfo=UTC)


class Warehouse:
    """Tables of one database.

    Args:
        database: where.
        clock: stamps ``ingested_at``, ``superseded_at`` and ``created_at``.
        fence: keeps runs from writing that were given up; None keeps nobody.
        landing: fsspec URL of the landing store, where months lie that were moved out of the database.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock | None = None,
        *,
        fence: Fence | None = None,
        landing: str | None = None,
    ) -> None:
        self.database = database
        self.files = Files(landing)
        self.clock = clock or SystemClock()
        self._fence = fence
        self._months: set[tuple[str, int, int]] = set()

    # ---------------------------------------------------------------- reading

    def read(
        self,
        table: str,
        window: Window | None = None,
        *,
        symbols: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        where: Mapping[str, str | list[str]] | None = None,
    ) -> pd.DataFrame:
        """Rows of a table in catalogue dtypes, sorted by key.

        Args:
            table: ``schema.name``.
            window: rows with ``start <= time column < end``; None reads everything.
            symbols: rows all of whose symbol columns are among these; None reads all.
            columns: which columns, in this order; None reads all of the table.
            where: text columns and the value, or list of values, that they must have.

        Raises:
            KeyError: no such table or column.
            DatabaseUnreachableError, TransientStorageError: the server was away for too long.
        """
        item = find_table(table)
        wanted = list(columns) if columns is not None else list(item.fields)
        needed = list(dict.fromkeys([*wanted, *item.key]))
        unknown = [c for c in (*needed, *(where or {})) if c not in item.fields]
        if unknown:
            raise KeyError(f"{table} has no columns {unknown}")
        arrow = self._fetch(item, needed, window, symbols, where or {})
        frame = {c: to_pandas(single(arrow.column(c)), FIELDS[c].kind) for c in wanted}
        return pd.DataFrame(frame, columns=wanted, index=pd.RangeIndex(arrow.num_rows))

    def _fetch(
        self,
        table: Table,
        columns: Sequence[str],
        window: Window | None,
        symbols: Sequence[str] | None,
        where: Mapping[str, str | list[str]],
    ) -> pa.Table:
        """The rows as Arrow, sorted by key in code point order, JSON in canonical text."""
        wanted = {n: [v] if isinstance(v, str) else list(v) for n, v in where.items()}
        of_symbols = {} if symbols is None else {c: list(symbols) for c in table.symbol_columns}
        conditions: list[sql.Composable] = []
        if window is not None:
            conditions.append(in_window(table, window))
        conditions += [among(c, v) for asked in (of_symbols, wanted) for c, v in asked.items()]
        query = sql.SQL("SELECT {} FROM {}").format(names(columns), table_of(table))
        if conditions:
            query = sql.SQL("{} WHERE {}").format(query, sql.SQL(" AND ").join(conditions))
        if not is_movable(table):
            return sorted_by(_typed(self._table(query), columns), table.key)
        raw, out = self._of_present(table, query)
        asked = (of_symbols, wanted)
        parts = [
            _typed(self.files.rows(table, moved, columns, window, asked), columns)
            for moved in out
            if is_touched(moved, window)
        ]
        return sorted_by(pa.concat_tables([_typed(raw, columns), *parts]), table.key)

    def _of_present(self, table: Table, query: sql.Composed) -> tuple[pa.Table, list[Moved]]:
        """The rows that are in the database, and the months that were not while they were read.

        Asked before and after, so that a month that moves meanwhile is noticed: a condition in the query
        itself is not looked at where the planner finds that no partition can have rows.
        """
        asked, text = named(table), query.as_string(None)

        def run() -> tuple[pa.Table, list[str]]:
            with self.database.arrow() as connection, connection.cursor() as cursor:
                seen: list[str] = []
                rows: pa.Table
                for statement in (asked, text, asked):
                    cursor.execute(statement)
                    found = cursor.fetch_arrow_table()
                    if statement is asked:
                        seen.append(found.column(0)[0].as_py())
                    else:
                        rows = found
                return rows, seen

        while True:
            rows, (before, after) = retrying(self.database, run)
            out: list[Moved] = []
            if before == after and before:
                with self.database.connect() as connection:
                    out = known(connection, table)
            if before == after == ",".join(m.file for m in out):
                return rows, out

    def _table(self, query: sql.Composable) -> pa.Table:
        # literals, quoted by psycopg, because the driver copies in bulk only without parameters
        text = query.as_string(None)

        def run() -> pa.Table:
            with self.database.arrow() as connection, connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetch_arrow_table()

        return retrying(self.database, run)

    def versions(self, table: str, window: Window, columns: Sequence[str]) -> pd.DataFrame:
        """Every version, the newest among them, of the rows of a window that were ever replaced.

        Args:
            table: ``schema.name`` of a table that keeps revisions.
            window: rows with ``start <= time column < end``.
            columns: which columns; the key and ``revision`` come as well.
        """
        item = find_table(table)
        wanted = list(dict.fromkeys([*item.key, "revision", *columns]))
        if is_movable(item):
            with self.database.connect() as connection:
                refuse(connection, item, window)
        raw = self._table(revisions.versions(item, window, wanted))
        out = pa.table({c: fetched(raw.column(c), FIELDS[c].kind) for c in wanted})
        out = sorted_by(out, (*item.key, "revision"))
        return pd.DataFrame(
            {c: to_pandas(single(out.column(c)), FIELDS[c].kind) for c in wanted},
            index=pd.RangeIndex(out.num_rows),
        )

    def content_hash(self, table: str, window: Window | None = None) -> str:
        """A digest of what the table says in a window.

        It covers the content columns in key order, floats bit by bit (``-0.0`` as ``0.0``); it
        depends neither on the order of writing nor on bookkeeping columns.
        """
        item = find_table(table)
        return digest(self._fetch(item, item.content, window, None, {}))

    def counts(self) -> dict[str, int]:
        """Rows of every table of the catalogue."""
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, count(*) FROM {}").format(sql.Literal(n), table_of(t))
            for n, t in TABLES.items()
        )

        def run() -> dict[str, int]:
            with self.database.connect() as connection:
                return {str(n): int(c) for n, c in connection.execute(query)}

        return retrying(self.database, run)

    # ---------------------------------------------------------------- writing

    def merge(
        self,
        table: str,
        frame: pd.DataFrame,
        *,
        mode: str = "upsert",
        window: Window | None = None,
        symbols: Sequence[str] | None = None,
        run_id: str | None = None,
        also: Also | None = None,
    ) -> WriteResult:
        """Bring a frame into its table, in one transaction that may be repeated.

        Args:
            table: ``schema.name``.
            frame: the table's columns (bookkeeping ones may be absent); a key that comes twice is
                settled first: the lowest ``source_tier`` wins, then the last row.
            mode: ``upsert`` inserts new rows and updates rows that differ; ``replace`` also removes
                rows of ``window`` (and ``symbols``) that the frame lacks, whatever their tier;
                ``insert`` never touches a stored row.
            window: needed for ``replace``; in any mode, rows outside it are an error.
            symbols: a narrowed write: rows all of whose symbol columns are among these.
            run_id: kept in the rows' bookkeeping.
            also: called in the same transaction with the rows that were new, in the frame's
                columns, even when there are none; a retry calls it again after a rollback.

        Raises:
            ContractError: the frame breaks its contract, or has rows outside window or symbols.
            DatabaseUnreachableError, TransientStorageError: it failed for a passing reason again and
                again; nothing is stored.
            StorageError: the server refused, or the fence did; nothing is stored.
        """
        item = find_table(table)
        if mode not in ("upsert", "replace", "insert"):
            raise ValueError(f"no write mode {mode!r}")
        if mode == "replace" and window is None:
            raise ValueError("mode='replace' needs the window that is replaced")
        batch = Batch(item, self._prepare(item, frame, window, symbols, run_id), mode)
        if window is not None and mode == "replace":
            batch.window, batch.symbols = window, symbols
        if batch.is_idle and also is None:
            return WriteResult()

        def run() -> WriteResult:
            if item.partitioned:
                self._ensure_partitions(item, batch.frame)
            try:
                with self.database.connect() as connection:
                    if is_movable(item):
                        refuse(connection, item, batch.extent)
                    result = batch.write(connection, self.clock, also)
                    if run_id is not None and self._fence is not None:
                        self._fence(connection, run_id)
            except psycopg.errors.LockNotAvailable as error:
                raise self._held(batch) from error
            crash_point("committed")
            return result

        return retrying(self.database, run)

    def transact(self, work: Callable[[psycopg.Connection], Any]) -> Any:
        """Do a unit of work in one transaction; the whole of it again when it failed in passing.

        Raises:
            DatabaseUnreachableError, TransientStorageError: as for :meth:`merge`.
        """

        def run() -> Any:
            with self.database.connect() as connection:
                return work(connection)

        return retrying(self.database, run)

    def record(self, table: str, frame: pd.DataFrame, *, run_id: str | None = None) -> int:
        """Append rows to a log table; a row whose key is there already is left as it is.

        Returns:
            Rows that were new.
        """
        item = find_table(table)
        if "run_id" in item.fields and (run_id is not None or "run_id" not in frame):
            frame = frame.assign(run_id=run_id)
        return self.merge(table, frame, mode="insert", run_id=run_id).inserted

    def quarantine(
        self, table: str, bad: pd.DataFrame, *, source: str | None, run_id: str | None
    ) -> int:
        """Keep rows that broke a contract, with their reason; the same row twice is kept once.

        Args:
            table: the table the rows were meant for.
            bad: the rows as they came, with a column ``reason``.
            source: who sent them; a column ``source`` goes before it.
            run_id: the run that met them.

        Returns:
            Rows that were not in quarantine yet.
        """
        if bad.empty:
            return 0
        names = [str(c) for c in bad.columns if c != "reason"]
        columns = [bad[c].tolist() for c in names]
        texts = [
            canonical_json({n: plain(v) for n, v in zip(names, row, strict=True)})
            for row in zip(*columns, strict=True)
        ] or ["{}"] * len(bad)
        reasons = [storable(str(r)) for r in bad["reason"]]
        sources = bad["source"].tolist() if "source" in bad else [source] * len(bad)
        payloads = bad["payload_id"].tolist() if "payload_id" in bad else [None] * len(bad)
        digests = [
            hashlib.sha256(f"{table}\0{reason}\0{text}".encode()).hexdigest()
            for reason, text in zip(reasons, texts, strict=True)
        ]
        rows = pd.DataFrame(
            {
                "quarantine_id": digests,
                "table_name": table,
                "source": sources,
                "reason": reasons,
                "row_data": texts,
                "payload_id": payloads,
                "created_at": pd.Timestamp(self.clock.now()),
                "run_id": run_id,
            }
        )
        return self.record("ops.quarantine", rows)

    def _prepare(
        self,
        table: Table,
        frame: pd.DataFrame,
        window: Window | None,
        symbols: Sequence[str] | None,
        run_id: str | None,
    ) -> pd.DataFrame:
        ready = settle(conform(scrub(frame, table), table), table)
        if "revision" in table.bookkeeping:
            ready["revision"] = pd.Series(0, index=ready.index, dtype="Int64")
        if run_id is not None and "run_id" in table.bookkeeping:
            ready["run_id"] = pd.Series(run_id, index=ready.index, dtype="str")
        _check_extent(ready, table, window, symbols)
        return validate(ready, table)

    def _held(self, batch: Batch) -> TransientStorageError:
        """Says who kept a write waiting for too long."""
        keys = [locks.table_key(batch.table), *(batch.locks or ())]
        with self.database.connect() as connection:
            found = ", ".join(locks.holders(connection, keys)) or "a process that is gone now"
        return TransientStorageError(
            f"{batch.table.full_name} in {self.database.shown} was locked for {locks.WAIT_SECONDS} s "
            f"by {found}: nothing was stored; end that process or run again later"
        )

    # ---------------------------------------------------------------- months

    def movable_months(self, table: str, before: datetime) -> list[datetime]:
        """First instants of the months in the database that have rows and end by an instant."""
        with self.database.connect() as connection:
            return months_in(connection, find_table(table), before)

    def moved_months(self, table: str) -> list[Moved]:
        """The months of a table that are out of the database, oldest first."""
        with self.database.connect() as connection:
            return known(connection, find_table(table))

    def move_out(self, table: str, month: datetime) -> Moved | None:
        """Move a closed month into a file; reads find it there. The account must own the table.

        Args:
            table: one of :data:`~regime_pipeline.storage.months.MOVABLE`.
            month: its first instant.

        Returns:
            The month as it is known now; None: it is out already, or has no rows.

        Raises:
            MovedOutError: the file did not give the rows back; nothing has moved.
        """
        item, window = find_table(table), Window(month, following(month))
        if not is_movable(item):
            raise ValueError(f"months of {table} stay in the database")
        with self.database.connect() as connection:
            lock(connection, item)
            rows = self._fetch(item, item.fields, window, None, {})
            if not rows.num_rows or month in {m.month for m in known(connection, item)}:
                return None
            name, body = self.files.write(item, month, rows)
            content = content_of(item, rows)
            moved = Moved(month, name, hashlib.sha256(body).hexdigest(), rows.num_rows, content)
            if not self._of_file(item, moved).equals(rows):
                raise MovedOutError(
                    f"{name} does not give back what was written; nothing has moved"
                )
            crash_point("month_written")
            note_out(connection, item, moved, self.clock.now())
        crash_point("month_out")
        return moved

    def move_in(self, table: str, month: datetime) -> Moved | None:
        """Bring a month back into the database; its file goes when all of it is there.

        Returns:
            What came back; None: the month is not out.

        Raises:
            MovedOutError: the file is absent or damaged, or gave other rows; it is kept.
        """
        item = find_table(table)
        with self.database.connect() as connection:
            lock(connection, item)
            moved = next((m for m in known(connection, item) if m.month == month), None)
            if moved is None:
                return None
            rows = self._of_file(item, moved)
            if content_of(item, rows) != moved.content:
                raise MovedOutError(f"{moved.file} holds other rows than were moved out")
            connection.execute(
                "select ops.ensure_partition(%s::regclass, %s)", (table, month.date())
            )
            Batch(item, frame_of(item, rows), "insert").append(connection)
            note_in(connection, item, moved)
        crash_point("month_in")
        if self.content_hash(table, moved.window) != moved.content:
            raise MovedOutError(f"{table} of {month:%Y-%m} came back with other rows")
        self.files.remove(moved)
        return moved

    def _of_file(self, table: Table, moved: Moved) -> pa.Table:
        """All rows of a month that is out, in key order."""
        return sorted_by(
            _typed(self.files.rows(table, moved, table.fields), table.fields), table.key
        )

    # ---------------------------------------------------------------- partitions

    def _ensure_partitions(self, table: Table, frame: pd.DataFrame) -> None:
        """Make the monthly partitions that the frame's rows need."""
        if frame.empty:
            return
        times = frame[table.time_column]
        if times.min() < FIRST_PARTITION or times.max() >= LAST_PARTITION:
            raise ContractError(
                f"{table.full_name}.{table.time_column}: {times.min()} .. {times.max()} is outside "
                f"{FIRST_PARTITION:%Y} .. {LAST_PARTITION:%Y}: a wrong unit of time, most likely"
            )
        parts = pd.DataFrame({"y": times.dt.year, "m": times.dt.month}).drop_duplicates()
        months = sorted((int(y), int(m)) for y, m in parts.itertuples(index=False))
        missing = [(y, m) for y, m in months if (table.full_name, y, m) not in self._months]
        if not missing:
            return
        with self.database.connect() as connection:
            if is_movable(table):
                refuse(connection, table, spanned(times))
            connection.execute(
                "select ops.ensure_partition(%s::regclass, m) from unnest(%s::date[]) m",
                (table.full_name, [date(y, m, 1) for y, m in missing]),
            )
        self._months.update((table.full_name, y, m) for y, m in missing)


# -------------------------------------------------------------------- frames


def _typed(raw: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Columns in the catalogue's types; JSON in canonical text."""
    return pa.table({c: fetched(raw.column(c), FIELDS[c].kind) for c in columns})


def _check_extent(
    frame: pd.DataFrame, table: Table, window: Window | None, symbols: Sequence[str] | None
) -> None:
    if window is not None:
        times = frame[table.time_column]
        outside = ~((times >= window.start) & (times < window.end))
        if outside.any():
            raise ContractError(
                f"{table.full_name}: {int(outside.sum())} rows outside the window {window.start} .. "
                f"{window.end}, first {times[outside].iloc[0]}"
            )
    if symbols is not None:
        for column in table.symbol_columns:
            strange = sorted(set(frame[column]) - set(symbols))
            if strange:
                raise ContractError(
                    f"{table.full_name}.{column}: {strange[:5]} are not among the symbols of this write"
                )
