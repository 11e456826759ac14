"""One write of a batch of rows into its table: the statements of one transaction.

Belongs here: what is copied, updated, inserted and removed. Does not belong here: making the batch
fit its contract, opening and repeating the transaction (``warehouse``), what becomes of replaced
versions (``revisions``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import pandas as pd
import psycopg
from psycopg import sql

from regime_pipeline.catalogue.marts import READ_BY_VIEWS
from regime_pipeline.catalogue.model import Kind, Table
from regime_pipeline.catalogue.registry import FIELDS
from regime_pipeline.storage.arrow import copy_blocks
from regime_pipeline.storage.crash import crash_point
from regime_pipeline.storage.locks import day_keys, take
from regime_pipeline.storage.revisions import going_on, has_revisions, keep_deleted, keep_replaced
from regime_pipeline.storage.statements import (
    among,
    in_window,
    names,
    on_key,
    revisions_of,
    table_of,
)
from regime_pipeline.windows import Clock, Window

Also = Callable[[psycopg.Connection, pd.DataFrame], None]
"""Called inside the transaction with the rows that were new."""

Fence = Callable[[psycopg.Connection, str], None]
"""Called with the run's id inside the transaction, last; raises when the run may write no more."""

_MANY_ROWS = 5000


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


def spanned(times: pd.Series) -> Window:
    """The window from the first to the last of some instants, both in it."""
    last = times.max().to_pydatetime() + timedelta(microseconds=1)
    return Window(times.min().to_pydatetime(), last)


@dataclass
class Batch:
    """One validated batch on its way into one table."""

    table: Table
    frame: pd.DataFrame
    mode: str
    window: Window | None = None
    symbols: Sequence[str] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be looked at."""
        return self.frame.empty and (self.window is None or self.window.is_empty)

    @property
    def extent(self) -> Window:
        """The stretch of time that the write may touch."""
        if self.window is not None:
            return self.window
        times = self.frame[self.table.time_column]
        if times.empty:
            return Window(datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))
        return spanned(times)

    @cached_property
    def locks(self) -> list[int] | None:
        """The keys of the days that are locked; None when it is the whole table."""
        return day_keys(self.table, self.frame[self.table.time_column], self.window)

    def write(self, connection: psycopg.Connection, clock: Clock, also: Also | None) -> WriteResult:
        """All statements of the write; the caller commits.

        One instant, taken when the locks are held, ends the replaced versions and begins the new.
        """
        if self.table.partitioned:
            take(connection, self.table, self.locks)
        now = clock.now()
        if "ingested_at" in self.table.bookkeeping:
            instant = pd.Timestamp(now).as_unit("us")
            self.frame["ingested_at"] = pd.Series(instant, index=self.frame.index)
        updated = refused = deleted = 0
        new: pd.DataFrame | int = self.frame.copy()
        if not self.frame.empty and self._is_new_ground(connection):
            # the usual case of a backfill: no second copy of every row
            self._copy(connection, table_of(self.table))
        else:
            if not self.frame.empty:
                self._stage(connection)
                crash_point("staged")
                if self.mode != "insert":
                    self._keep(connection)
                    updated, refused = self._update(connection, now)
                new = self._insert(connection, want_rows=also is not None)
            if self.window is not None:
                deleted = self._delete(connection, now)
        inserted = new if isinstance(new, int) else len(new)
        if also is not None:
            assert isinstance(new, pd.DataFrame)
            also(connection, new)
        result = WriteResult(
            inserted=inserted,
            updated=updated,
            unchanged=len(self.frame) - inserted - updated - refused,
            deleted=deleted,
            refused_lower_tier=refused,
        )
        if result.changed and self.table.full_name in READ_BY_VIEWS:
            self._raise_version(connection, now, result.changed)
        crash_point("merged")
        return result

    def append(self, connection: psycopg.Connection) -> None:
        """Copy all rows in as they are; their keys are known to be new."""
        self._copy(connection, table_of(self.table))

    def _raise_version(self, connection: psycopg.Connection, now: datetime, changed: int) -> None:
        """Say that the table is another now; last, because writers of one table wait for each other."""
        times = self.frame[self.table.time_column].dropna()
        run_id = (
            self.frame["run_id"].iloc[0] if "run_id" in self.frame and len(self.frame) else None
        )
        connection.execute(
            "INSERT INTO ops.table_versions AS v "
            "(table_name, version, rows_changed, newest_ts, changed_at, run_id) "
            "VALUES (%s, 1, %s, %s, %s, %s) ON CONFLICT (table_name) DO UPDATE SET "
            "version = v.version + 1, rows_changed = excluded.rows_changed, "
            "newest_ts = greatest(v.newest_ts, excluded.newest_ts), "
            "changed_at = excluded.changed_at, run_id = excluded.run_id",
            (
                self.table.full_name,
                changed,
                None if times.empty else times.max().to_pydatetime(),
                now,
                None if pd.isna(run_id) else run_id,
            ),
        )
        connection.execute("SELECT pg_notify('regime_tables', %s)", (self.table.full_name,))

    def _stage(self, connection: psycopg.Connection) -> None:
        connection.execute(
            sql.SQL("CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
                names(self.table.fields), table_of(self.table)
            )
        )
        self._copy(connection, sql.Identifier("staged"))
        if len(self.frame) > 1000:
            connection.execute(sql.SQL("ANALYZE staged ({})").format(names(self.table.key)))

    def _copy(self, connection: psycopg.Connection, target: sql.Composable) -> None:
        copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            target, names(self.table.fields)
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
        extent = self._extent() if self.window is None else in_window(self.table, self.window, "t")
        # looking for old versions of just this stretch reads them all: worth it for many rows only
        replaced = extent if len(self.frame) > _MANY_ROWS else sql.SQL("true")
        row = connection.execute(
            sql.SQL(
                "SELECT EXISTS (SELECT FROM {} t WHERE {}), EXISTS (SELECT FROM {} t WHERE {})"
            ).format(table_of(self.table), extent, revisions_of(self.table), replaced)
        ).fetchone()
        return row == (False, False)

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

    def _keep(self, connection: psycopg.Connection) -> None:
        """Take over what is stored where a column that keeps its value comes as null."""
        for column in sorted(self.table.kept):
            connection.execute(
                sql.SQL(
                    "UPDATE staged s SET {c} = t.{c} FROM {table} t "
                    "WHERE {on} AND {extent} AND s.{c} IS NULL AND t.{c} IS NOT NULL"
                ).format(
                    c=sql.Identifier(column),
                    table=table_of(self.table),
                    on=on_key(self.table, "s", "t"),
                    extent=self._extent(),
                )
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
                keys=names(table.key, "t"),
                better=better,
                table=table_of(table),
                on=on_key(self.table, "s", "t"),
                extent=self._extent(),
                new=names(content, "s"),
                old=names(content, "t"),
            )
        )
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE better), count(*) FILTER (WHERE NOT better) FROM differing"
        ).fetchone()
        updated, refused = row or (0, 0)
        if updated:
            if table.partitioned:
                keep_replaced(connection, table, now, self._extent())
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
                    table=table_of(table),
                    sets=sql.SQL(", ").join(sets),
                    both=on_key(self.table, "d", "s"),
                    on=on_key(self.table, "s", "t"),
                    extent=self._extent(),
                )
            )
        return int(updated), int(refused)

    def _insert(self, connection: psycopg.Connection, *, want_rows: bool) -> pd.DataFrame | int:
        """Insert rows that are not stored: how many, or the rows themselves."""
        table = self.table
        values: sql.Composable = names(table.fields, "s")
        if "revision" in table.fields and table.partitioned and has_revisions(connection, table):
            values = going_on(table, "s")
        absent: sql.Composable = sql.SQL("true")
        if table.partitioned:
            absent = sql.SQL("NOT EXISTS (SELECT FROM {} t WHERE {} AND {})").format(
                table_of(table), on_key(self.table, "s", "t"), self._extent()
            )
        query = sql.SQL(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM staged s WHERE {absent} "
            "ON CONFLICT DO NOTHING"
        ).format(table=table_of(table), columns=names(table.fields), values=values, absent=absent)
        if not want_rows:
            return connection.execute(query).rowcount
        returned = sql.SQL("{} RETURNING {}").format(query, names(table.key))
        keys = connection.execute(returned).fetchall()
        if len(keys) == len(self.frame):
            return self.frame.copy()
        new = pd.DataFrame(keys, columns=list(table.key))
        for column in table.key:
            if FIELDS[column].kind is Kind.TIMESTAMP:
                new[column] = pd.to_datetime(new[column], utc=True).dt.as_unit("us")
        mine = pd.MultiIndex.from_frame(self.frame[list(table.key)])
        return self.frame[mine.isin(pd.MultiIndex.from_frame(new))].reset_index(drop=True)

    def _delete(self, connection: psycopg.Connection, now: datetime) -> int:
        """Remove rows of the window that the frame lacks; their last versions are kept."""
        assert self.window is not None
        table = self.table
        conditions: list[sql.Composable] = [in_window(table, self.window, "t")]
        if self.symbols is not None:
            conditions += [among(c, list(self.symbols), "t") for c in table.symbol_columns]
        if not self.frame.empty:
            conditions.append(
                sql.SQL("NOT EXISTS (SELECT FROM staged s WHERE {})").format(
                    on_key(self.table, "s", "t")
                )
            )
        delete = sql.SQL("DELETE FROM {} t WHERE {}").format(
            table_of(table), sql.SQL(" AND ").join(conditions)
        )
        if not table.partitioned:
            return connection.execute(delete).rowcount
        return keep_deleted(connection, table, now, delete)


def _made_ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, each made by another thread while the one before it is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="copy") as maker:
        coming = maker.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = maker.submit(next, blocks, None)
            yield block
