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
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import stamina
from psycopg import sql

from regime_pipeline.catalogue.frames import ContractError, conform, validate
from regime_pipeline.catalogue.model import Kind, Table
from regime_pipeline.catalogue.registry import FIELDS, TABLES
from regime_pipeline.catalogue.registry import table as find_table
from regime_pipeline.storage.arrow import (
    canonical_json,
    copy_blocks,
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
from regime_pipeline.storage.errors import (
    DatabaseUnreachableError,
    StorageError,
    TransientStorageError,
    first_line,
)
from regime_pipeline.windows import DAY, Clock, SystemClock, Window, floor_day

log = logging.getLogger(__name__)

Also = Callable[[psycopg.Connection, pd.DataFrame], None]
"""Called inside the transaction with the rows that were new."""

FIRST_PARTITION = datetime(2009, 1, 1, tzinfo=UTC)  # the first bitcoin block
LAST_PARTITION = datetime(2100, 1, 1, tzinfo=UTC)
ATTEMPTS = 8  # with doubling pauses: about ten seconds for a server that restarts
_MANY_ROWS = 5000
MAX_DAY_LOCKS = 400  # beyond, the whole table is locked: lock slots of a server are finite
_PASSING = re.compile(r"^(40001|40P01|55P03|57P0[123]|08...)$")


@dataclass(frozen=True)
class WriteResult:
    """What a write did to the table, in rows.

    ``refused_lower_tier`` counts rows that differ from a stored row of a better source; they are
    not stored.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    refused_lower_tier: int = 0

    @property
    def changed(self) -> int:
        """Rows that are different now."""
        return self.inserted + self.updated + self.deleted


class Warehouse:
    """Tables of one database.

    Args:
        database: where.
        clock: stamps ``ingested_at``, ``superseded_at`` and ``created_at``.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.clock = clock or SystemClock()
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
        conditions: list[sql.Composable] = []
        if window is not None:
            conditions.append(_in_window(table, window))
        if symbols is not None:
            conditions += [_among(c, list(symbols)) for c in table.symbol_columns]
        for name, value in where.items():
            conditions.append(_among(name, [value] if isinstance(value, str) else list(value)))
        query = sql.SQL("SELECT {} FROM {}").format(_names(columns), _table(table))
        if conditions:
            query = sql.SQL("{} WHERE {}").format(query, sql.SQL(" AND ").join(conditions))
        # literals, quoted by psycopg, because the driver copies in bulk only without parameters
        text = query.as_string(None)

        def run() -> pa.Table:
            with self.database.arrow() as connection, connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetch_arrow_table()

        raw = self._retrying(run)
        out = pa.table({c: fetched(raw.column(c), FIELDS[c].kind) for c in columns})
        return sorted_by(out, table.key)

    def versions(self, table: str, window: Window, columns: Sequence[str]) -> pd.DataFrame:
        """Every version, the newest among them, of the rows of a window that were ever replaced.

        Args:
            table: ``schema.name`` of a table that keeps revisions.
            window: rows with ``start <= time column < end``.
            columns: which columns; the key and ``revision`` come as well.
        """
        item = find_table(table)
        wanted = list(dict.fromkeys([*item.key, "revision", *columns]))
        on = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("r", c), sql.Identifier("t", c))
            for c in item.key
        )
        query = sql.SQL(
            "SELECT {old} FROM {revisions} r WHERE {r_inside} UNION ALL SELECT {new} FROM {table} t "
            "WHERE {t_inside} AND EXISTS (SELECT FROM {revisions} r WHERE {on} AND {r_inside})"
        ).format(
            old=_names(wanted, "r"),
            new=_names(wanted, "t"),
            revisions=_revisions(item),
            table=_table(item),
            r_inside=_in_window(item, window, "r"),
            t_inside=_in_window(item, window, "t"),
            on=on,
        )
        text = query.as_string(None)

        def run() -> pa.Table:
            with self.database.arrow() as connection, connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetch_arrow_table()

        raw = self._retrying(run)
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
            sql.SQL("SELECT {}, count(*) FROM {}").format(sql.Literal(n), _table(t))
            for n, t in TABLES.items()
        )

        def run() -> dict[str, int]:
            with self.database.connect() as connection:
                return {str(n): int(c) for n, c in connection.execute(query)}

        return self._retrying(run)

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
            StorageError: the server refused; nothing is stored.
        """
        item = find_table(table)
        if mode not in ("upsert", "replace", "insert"):
            raise ValueError(f"no write mode {mode!r}")
        if mode == "replace" and window is None:
            raise ValueError("mode='replace' needs the window that is replaced")
        batch = _Batch(item, self._prepare(item, frame, window, symbols, run_id), mode)
        if window is not None and mode == "replace":
            batch.window, batch.symbols = window, symbols
        if batch.is_idle and also is None:
            return WriteResult()

        def run() -> WriteResult:
            if item.partitioned:
                self._ensure_partitions(item, batch.frame)
            with self.database.connect() as connection:
                result = batch.write(connection, self.clock.now(), also)
            crash_point("committed")
            return result

        return self._retrying(run)

    def transact(self, work: Callable[[psycopg.Connection], Any]) -> Any:
        """Do a unit of work in one transaction; the whole of it again when it failed in passing.

        Raises:
            DatabaseUnreachableError, TransientStorageError: as for :meth:`merge`.
        """

        def run() -> Any:
            with self.database.connect() as connection:
                return work(connection)

        return self._retrying(run)

    def record(self, table: str, frame: pd.DataFrame, *, run_id: str | None = None) -> int:
        """Append rows to a log table; a row whose key is there already is left as it is.

        Returns:
            Rows that were new.
        """
        item = find_table(table)
        if "run_id" in item.fields and (run_id is not None or "run_id" not in frame):
            frame = frame.assign(run_id=run_id)
        return self.merge(table, frame, mode="insert").inserted

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
        now = pd.Timestamp(self.clock.now())
        if "ingested_at" in table.bookkeeping:
            ready["ingested_at"] = pd.Series(now.as_unit("us"), index=ready.index)
        if "revision" in table.bookkeeping:
            ready["revision"] = pd.Series(0, index=ready.index, dtype="Int64")
        if run_id is not None and "run_id" in table.bookkeeping:
            ready["run_id"] = pd.Series(run_id, index=ready.index, dtype="str")
        _check_extent(ready, table, window, symbols)
        return validate(ready, table)

    def _retrying(self, run: Callable[[], Any]) -> Any:
        """Run a whole unit again when it failed for a passing reason, a bounded number of times."""
        try:
            for attempt in stamina.retry_context(
                on=_is_passing,
                attempts=ATTEMPTS,
                timeout=60.0,
                wait_initial=0.05,
                wait_max=8.0,
                wait_jitter=0.2,
            ):
                with attempt:
                    if attempt.num > 1:
                        self.database.revive()
                    return run()
        except StorageError:
            raise
        except Exception as error:
            if _is_passing(error):
                raise TransientStorageError(
                    f"gave up on {self.database.shown} after {ATTEMPTS} attempts: "
                    f"{first_line(error)}; look at the server and run it again"
                ) from error
            if isinstance(error, psycopg.Error) or type(error).__module__.startswith("adbc"):
                raise StorageError(f"{self.database.shown} refused: {first_line(error)}") from error
            raise
        raise AssertionError("unreachable")

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
            connection.execute(
                "select ops.ensure_partition(%s::regclass, m) from unnest(%s::date[]) m",
                (table.full_name, [date(y, m, 1) for y, m in missing]),
            )
        self._months.update((table.full_name, y, m) for y, m in missing)


# -------------------------------------------------------------------- one transaction


@dataclass
class _Batch:
    """One validated batch on its way into one table."""

    table: Table
    frame: pd.DataFrame
    mode: str
    window: Window | None = None
    symbols: Sequence[str] | None = None

    @property
    def is_idle(self) -> bool:
        return self.frame.empty and (self.window is None or self.window.is_empty)

    def write(
        self, connection: psycopg.Connection, now: datetime, also: Also | None
    ) -> WriteResult:
        """All statements of the write; the caller commits."""
        self._lock(connection)
        updated = refused = deleted = 0
        new: pd.DataFrame | int = self.frame.copy()
        if not self.frame.empty and self._is_new_ground(connection):
            # the usual case of a backfill: no second copy of every row
            self._copy(connection, _table(self.table))
        else:
            if not self.frame.empty:
                self._stage(connection)
                crash_point("staged")
                if self.mode != "insert":
                    updated, refused = self._update(connection, now)
                new = self._insert(connection, want_rows=also is not None)
            if self.window is not None:
                deleted = self._delete(connection, now)
        inserted = new if isinstance(new, int) else len(new)
        if also is not None:
            assert isinstance(new, pd.DataFrame)
            also(connection, new)
        crash_point("merged")
        return WriteResult(
            inserted=inserted,
            updated=updated,
            unchanged=len(self.frame) - inserted - updated - refused,
            deleted=deleted,
            refused_lower_tier=refused,
        )

    def _lock(self, connection: psycopg.Connection) -> None:
        """Every writer takes its locks in the same order, so none waits in a circle."""
        table = self.table
        if not table.partitioned:
            return
        days: set[datetime] = set()
        if not self.frame.empty:
            times = self.frame[table.time_column]
            low, high = floor_day(times.min().to_pydatetime()), times.max().to_pydatetime()
            if (high - low) // DAY >= MAX_DAY_LOCKS:
                days.update(low + i * DAY for i in range(MAX_DAY_LOCKS + 1))
            else:
                days.update(d.to_pydatetime() for d in times.dt.floor("D").unique())
        if self.window is not None:
            days.update(self.window.days())
        whole = len(days) > MAX_DAY_LOCKS
        connection.execute(
            "select pg_advisory_xact_lock(%s)"
            if whole
            else "select pg_advisory_xact_lock_shared(%s)",
            (_lock_key(table, "all"),),
        )
        if not whole and days:
            keys = [_lock_key(table, f"{day:%Y-%m-%d}") for day in sorted(days)]
            connection.execute(
                "select pg_advisory_xact_lock(k) from unnest(%s::bigint[]) k", (keys,)
            )

    def _stage(self, connection: psycopg.Connection) -> None:
        connection.execute(
            sql.SQL("CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
                _names(self.table.fields), _table(self.table)
            )
        )
        self._copy(connection, sql.Identifier("staged"))
        if len(self.frame) > 1000:
            connection.execute(sql.SQL("ANALYZE staged ({})").format(_names(self.table.key)))

    def _copy(self, connection: psycopg.Connection, target: sql.Composable) -> None:
        copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            target, _names(self.table.fields)
        )
        with connection.cursor().copy(copy) as stream:
            blocks = copy_blocks(self.frame, self.table)
            # the server takes in one block while the next is made
            for i, block in enumerate(
                blocks if len(self.frame) <= _MANY_ROWS else _made_ahead(blocks)
            ):
                if i > 1:
                    crash_point("mid_copy")
                stream.write(block)

    def _is_new_ground(self, connection: psycopg.Connection) -> bool:
        """Whether nothing is stored in the write's stretch of time, nor ever was."""
        if not self.table.partitioned or self.mode == "insert":
            return False
        extent = self._extent() if self.window is None else _in_window(self.table, self.window, "t")
        # looking for old versions of just this stretch reads them all: worth it for many rows only
        replaced = extent if len(self.frame) > _MANY_ROWS else sql.SQL("true")
        row = connection.execute(
            sql.SQL(
                "SELECT EXISTS (SELECT FROM {} t WHERE {}), EXISTS (SELECT FROM {} t WHERE {})"
            ).format(_table(self.table), extent, _revisions(self.table), replaced)
        ).fetchone()
        return row == (False, False)

    def _on_key(self, left: str, right: str) -> sql.Composable:
        return sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(left, c), sql.Identifier(right, c))
            for c in self.table.key
        )

    def _extent(self) -> sql.Composable:
        """The batch's stretch of time, so that only its partitions are looked at."""
        times = self.frame[self.table.time_column]
        column = sql.Identifier("t", self.table.time_column)
        return sql.SQL("{} >= {} AND {} <= {}").format(
            column,
            sql.Literal(times.min().to_pydatetime()),
            column,
            sql.Literal(times.max().to_pydatetime()),
        )

    def _update(self, connection: psycopg.Connection, now: datetime) -> tuple[int, int]:
        """Update stored rows that differ, keeping the replaced versions: (updated, refused)."""
        table = self.table
        content = [c for c in table.content if c not in table.key]
        better = sql.SQL("s.source_tier <= t.source_tier") if table.tiered else sql.SQL("true")
        connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE differing ON COMMIT DROP AS SELECT {keys}, {better} AS better "
                "FROM staged s JOIN {table} t ON {on} "
                "WHERE {extent} AND ROW({new}) IS DISTINCT FROM ROW({old})"
            ).format(
                keys=_names(table.key, "t"),
                better=better,
                table=_table(table),
                on=self._on_key("s", "t"),
                extent=self._extent(),
                new=_names(content, "s"),
                old=_names(content, "t"),
            )
        )
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE better), count(*) FILTER (WHERE NOT better) FROM differing"
        ).fetchone()
        updated, refused = row or (0, 0)
        if updated:
            self._supersede(connection, now)
            changed = [c for c in table.fields if c not in table.key and c != "revision"]
            sets: list[sql.Composable] = [
                # versions follow one another, also when the clock was set back between them
                sql.SQL(
                    "{0} = greatest(s.{0}, t.{0})" if c == "ingested_at" else "{0} = s.{0}"
                ).format(sql.Identifier(c))
                for c in changed
            ]
            if "revision" in table.fields:
                sets.append(sql.SQL("revision = t.revision + 1"))
            connection.execute(
                sql.SQL(
                    "UPDATE {table} t SET {sets} FROM staged s JOIN differing d ON {both} "
                    "WHERE d.better AND {on} AND {extent}"
                ).format(
                    table=_table(table),
                    sets=sql.SQL(", ").join(sets),
                    both=self._on_key("d", "s"),
                    on=self._on_key("s", "t"),
                    extent=self._extent(),
                )
            )
        return int(updated), int(refused)

    def _supersede(self, connection: psycopg.Connection, now: datetime) -> None:
        table = self.table
        if not table.partitioned:
            return
        connection.execute(
            sql.SQL(
                "INSERT INTO {revisions} ({columns}, superseded_at) "
                "SELECT {old}, greatest({now}, t.ingested_at) "
                "FROM {table} t JOIN differing d ON {on} WHERE d.better AND {extent}"
            ).format(
                revisions=_revisions(table),
                columns=_names(table.fields),
                old=_names(table.fields, "t"),
                now=sql.Literal(now),
                table=_table(table),
                on=self._on_key("d", "t"),
                extent=self._extent(),
            )
        )

    def _insert(self, connection: psycopg.Connection, *, want_rows: bool) -> pd.DataFrame | int:
        """Insert rows that are not stored: how many, or the rows themselves."""
        table = self.table
        plain: sql.Composable = _names(table.fields, "s")
        if "revision" in table.fields and table.partitioned and self._has_revisions(connection):
            # a row that was removed once and comes back goes on counting where it stopped
            again = sql.SQL("coalesce((SELECT max(r.revision) + 1 FROM {} r WHERE {}), 0)").format(
                _revisions(table), self._on_key("r", "s")
            )
            plain = sql.SQL(", ").join(
                again if c == "revision" else sql.Identifier("s", c) for c in table.fields
            )
        absent: sql.Composable = sql.SQL("true")
        if table.partitioned:
            absent = sql.SQL("NOT EXISTS (SELECT FROM {} t WHERE {} AND {})").format(
                _table(table), self._on_key("s", "t"), self._extent()
            )
        query = sql.SQL(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM staged s WHERE {absent} "
            "ON CONFLICT DO NOTHING"
        ).format(table=_table(table), columns=_names(table.fields), values=plain, absent=absent)
        if not want_rows:
            return connection.execute(query).rowcount
        returned = sql.SQL("{} RETURNING {}").format(query, _names(table.key))
        keys = connection.execute(returned).fetchall()
        if len(keys) == len(self.frame):
            return self.frame.copy()
        new = pd.DataFrame(keys, columns=list(table.key))
        for column in table.key:
            if FIELDS[column].kind is Kind.TIMESTAMP:
                new[column] = pd.to_datetime(new[column], utc=True).dt.as_unit("us")
        mine = pd.MultiIndex.from_frame(self.frame[list(table.key)])
        return self.frame[mine.isin(pd.MultiIndex.from_frame(new))].reset_index(drop=True)

    def _has_revisions(self, connection: psycopg.Connection) -> bool:
        row = connection.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM {})").format(_revisions(self.table))
        ).fetchone()
        return bool(row and row[0])

    def _delete(self, connection: psycopg.Connection, now: datetime) -> int:
        """Remove rows of the window that the frame lacks; their last versions are kept."""
        assert self.window is not None
        table = self.table
        conditions: list[sql.Composable] = [_in_window(table, self.window, "t")]
        if self.symbols is not None:
            conditions += [_among(c, list(self.symbols), "t") for c in table.symbol_columns]
        if not self.frame.empty:
            conditions.append(
                sql.SQL("NOT EXISTS (SELECT FROM staged s WHERE {})").format(self._on_key("s", "t"))
            )
        delete = sql.SQL("DELETE FROM {} t WHERE {}").format(
            _table(table), sql.SQL(" AND ").join(conditions)
        )
        if not table.partitioned:
            return connection.execute(delete).rowcount
        kept = sql.SQL(
            "WITH gone AS ({delete} RETURNING t.*) INSERT INTO {revisions} ({columns}, superseded_at) "
            "SELECT {old}, greatest({now}, gone.ingested_at) FROM gone"
        ).format(
            delete=delete,
            revisions=_revisions(table),
            columns=_names(table.fields),
            old=_names(table.fields, "gone"),
            now=sql.Literal(now),
        )
        return connection.execute(kept).rowcount


# -------------------------------------------------------------------- SQL pieces


def _table(table: Table) -> sql.Composable:
    return sql.Identifier(table.schema, table.name)


def _revisions(table: Table) -> sql.Composable:
    return sql.Identifier(table.schema, f"{table.name}_revisions")


def _names(columns: Sequence[str], alias: str | None = None) -> sql.Composable:
    parts = (sql.Identifier(alias, c) if alias else sql.Identifier(c) for c in columns)
    return sql.SQL(", ").join(parts)


def _in_window(table: Table, window: Window, alias: str | None = None) -> sql.Composable:
    column = _names([table.time_column], alias)
    return sql.SQL("{} >= {} AND {} < {}").format(
        column, sql.Literal(window.start), column, sql.Literal(window.end)
    )


def _among(column: str, values: list[str], alias: str | None = None) -> sql.Composable:
    if not values:
        return sql.SQL("false")
    return sql.SQL("{} IN ({})").format(
        _names([column], alias), sql.SQL(", ").join(sql.Literal(v) for v in values)
    )


def _made_ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, each made by another thread while the one before it is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="copy") as maker:
        coming = maker.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = maker.submit(next, blocks, None)
            yield block


def _lock_key(table: Table, what: str) -> int:
    digest = hashlib.sha256(f"regime:{table.full_name}:{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _is_passing(error: Exception) -> bool:
    """Whether the same unit may succeed when it is run again."""
    if isinstance(error, DatabaseUnreachableError):
        return True
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str) and state.strip("\0"):
        return bool(_PASSING.match(state))
    # no code: the connection broke
    if isinstance(error, psycopg.OperationalError):
        return True
    return type(error).__module__.startswith("adbc") and type(error).__name__ in (
        "OperationalError",
        "InternalError",
    )


# -------------------------------------------------------------------- frames


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
