"""What takes disk, how fast it grows, and what it would be after a year of one more symbol.

Belongs here: asking the server and the landing folder. Does not belong here: what is removed
(``retention``), printing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from regime_pipeline.catalogue.model import Table
from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.folders import existing
from regime_pipeline.storage.statements import in_window, names, table_of
from regime_pipeline.windows import Window, floor_day

DAYS = 7
"""Closed days whose rows tell how fast a table grows."""

# a table split by months is its months; its twin of replaced versions counts as its own
_RELATIONS = """
with recursive parts as (
    select c.oid as root, c.oid as part from pg_class c
    where c.relkind in ('r', 'p') and not c.relispartition
    union all
    select p.root, i.inhrelid from parts p join pg_inherits i on i.inhparent = p.part
)
select n.nspname, r.relname, sum(pg_total_relation_size(p.part))::bigint,
    sum(greatest(c.reltuples, 0) ) filter (where c.relkind = 'r')::bigint,
    count(*) filter (where c.relkind = 'r')
from parts p join pg_class c on c.oid = p.part
join pg_class r on r.oid = p.root join pg_namespace n on n.oid = r.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'
group by 1, 2 order by 3 desc, 1, 2
"""


@dataclass(frozen=True)
class Relation:
    """A table with its months and indexes.

    Attributes:
        schema: of the database.
        name: of the table.
        size_bytes: on disk, with indexes.
        row_estimate: as the server last counted; 0: it never did.
        part_count: relations that hold rows: months, or 1.
    """

    schema: str
    name: str
    size_bytes: int
    row_estimate: int
    part_count: int


@dataclass(frozen=True)
class Growth:
    """How a table of data grows, by its last closed days.

    Attributes:
        table: ``schema.name``.
        rows_per_day: mean over the days, all symbols.
        row_bytes: on disk with indexes, mean over all that is stored; None: nothing is.
        unit_count: symbols that had rows, or pairs of them; 1 where a row is about the whole market.
        unit: ``symbol``, ``pair`` or ``market``.
    """

    table: str
    rows_per_day: float
    row_bytes: float | None
    unit_count: int
    unit: str

    @property
    def bytes_per_day(self) -> float | None:
        """What a day adds; None: unknown."""
        return None if self.row_bytes is None else self.row_bytes * self.rows_per_day

    @property
    def bytes_per_unit_year(self) -> float | None:
        """What a year of one symbol (or pair, or of the market) takes; None: unknown."""
        day = self.bytes_per_day
        return None if day is None or not self.unit_count else 365 * day / self.unit_count


@dataclass(frozen=True)
class Folder:
    """What lies below a folder."""

    path: Path
    file_count: int
    size_bytes: int


@dataclass(frozen=True)
class Usage:
    """Everything that takes disk.

    Attributes:
        relations: tables of all schemas, largest first.
        growth: tables of data that grew in the last closed days, fastest first.
        folders: of the home, and where replies are kept when that is a folder.
        free_bytes: of the disk of the home.
        disk_bytes: its size.
    """

    relations: list[Relation]
    growth: list[Growth]
    folders: list[Folder]
    free_bytes: int
    disk_bytes: int

    @property
    def schemas(self) -> dict[str, int]:
        """Bytes of each schema, largest first."""
        sums: dict[str, int] = {}
        for one in self.relations:
            sums[one.schema] = sums.get(one.schema, 0) + one.size_bytes
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def usage(database: Database, settings: Settings, now: datetime) -> Usage:
    """Look at database and folders; reads counts of the last days only.

    Args:
        database: whose tables.
        settings: where things lie.
        now: the last closed days end before it.
    """
    with database.connect() as connection:
        relations = relations_of(connection)
        growth = list(_growth(connection, relations, now))
    growth.sort(key=lambda g: -(g.bytes_per_day or 0))
    home = settings.home.resolve()
    disk = shutil.disk_usage(existing(home))
    return Usage(relations, growth, folders(settings), disk.free, disk.total)


def relations_of(connection: psycopg.Connection) -> list[Relation]:
    """Every table of the database with its size, largest first."""
    return [Relation(*row) for row in connection.execute(_RELATIONS)]


def _growth(
    connection: psycopg.Connection, relations: list[Relation], now: datetime
) -> Iterator[Growth]:
    today = floor_day(now)
    window = Window(today - timedelta(days=DAYS), today)
    stored = {f"{r.schema}.{r.name}": r for r in relations}
    for name, table in TABLES.items():
        if not table.partitioned or name not in stored:
            continue
        rows, units = _recent(connection, table, window)
        if rows:
            relation = stored[name]
            known = relation.row_estimate > 0
            row_bytes = relation.size_bytes / relation.row_estimate if known else None
            yield Growth(name, rows / DAYS, row_bytes, units, _unit(table))


def _unit(table: Table) -> str:
    return ("market", "symbol", "pair")[min(len(table.symbol_columns), 2)]


def _recent(connection: psycopg.Connection, table: Table, window: Window) -> tuple[int, int]:
    """Rows of the window, and the symbols or pairs that had some."""
    units: sql.Composable = sql.SQL("1")
    if table.symbol_columns:
        units = sql.SQL("count(distinct ({}))").format(names(table.symbol_columns))
    query = sql.SQL("select count(*), {} from {} where {}").format(
        units, table_of(table), in_window(table, window)
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def folders(settings: Settings) -> list[Folder]:
    """The folders below the home and the landing store's, each with what lies in it."""
    places = sorted(p for p in settings.home.glob("*") if p.is_dir() and not p.is_symlink())
    landing = settings.landing_folder
    if landing is not None and landing.is_dir():
        known = {p.resolve() for p in places}
        places += [] if landing.resolve() in known else [landing]
    return [Folder(p, *_below(p)) for p in places]


def _below(place: Path) -> tuple[int, int]:
    """Files and bytes; what vanishes meanwhile or may not be read is not there."""
    count = size = 0
    todo = [str(place)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        count += 1
                        size += entry.stat(follow_symlinks=False).st_size
        except (FileNotFoundError, PermissionError):
            continue
    return count, size
