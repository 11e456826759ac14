"""``regime storage``: what grows, what is removed after how many days, and what can be moved out.

Belongs here: reading options, printing. Does not belong here: counting and removing (``storage``).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regime_pipeline.cli.options import DataOption, JsonOption, UsageError
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import out, progress
from regime_pipeline.windows import SystemClock

if TYPE_CHECKING:
    from regime_pipeline.settings import Settings
    from regime_pipeline.storage.usage import Usage
    from regime_pipeline.storage.warehouse import Warehouse

app = typer.Typer(invoke_without_command=True)
_MB = 1e6


@app.callback()
def storage(
    context: typer.Context,
    top: Annotated[int, typer.Option(help="Tables that are listed.", min=1)] = 15,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What takes disk and how fast it grows, what retention removes, and what it would remove now.

    Sizes are those of the server, with indexes; growth is that of the last seven closed days. Nothing is
    changed.
    """
    if context.invoked_subcommand is not None:
        return
    from regime_pipeline.storage.retention import RULES, due
    from regime_pipeline.storage.usage import usage

    settings, database = open_data(data)
    now = SystemClock().now()
    found = usage(database, settings, now)
    going = due(database, now, settings)
    rules = [
        {"rule": r.name, "days": r.days(settings), "due_rows": going[r.name], "about": r.about}
        for r in RULES
        if r.name in going
    ]
    if as_json:
        sys.stdout.write(json.dumps(_plain(found) | {"retention": rules}, default=str) + "\n")
        return
    _show(found, top)
    table = _table("what goes", "after days", "rows due now")
    for rule in rules:
        table.add_row(str(rule["about"]), str(rule["days"]), f"{rule['due_rows']:,}")
    out.print(table)
    out.print("everything else is kept for ever; docs/disk.md", markup=False)


def _plain(found: Usage) -> dict[str, Any]:
    return {
        "schemas": found.schemas,
        "relations": [asdict(r) for r in found.relations],
        "growth": [
            asdict(g)
            | {"bytes_per_day": g.bytes_per_day, "bytes_per_unit_year": g.bytes_per_unit_year}
            for g in found.growth
        ],
        "folders": [asdict(f) for f in found.folders],
        "free_bytes": found.free_bytes,
        "disk_bytes": found.disk_bytes,
    }


def _table(first: str, *others: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(first, box=box.SIMPLE_HEAD)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _show(found: Usage, top: int) -> None:
    table = _table("schema of the database", "MB")
    for schema, size in found.schemas.items():
        table.add_row(schema, _mb(size))
    out.print(table)
    grown = {g.table: g for g in found.growth}
    table = _table("table", "MB", "rows", "parts", "MB a day", "MB a year", "of one")
    for one in found.relations[:top]:
        name = f"{one.schema}.{one.name}"
        growth = grown.get(name)
        table.add_row(
            name,
            _mb(one.size_bytes),
            f"{one.row_estimate:,}",
            str(one.part_count),
            _mb(None if growth is None else growth.bytes_per_day),
            _mb(None if growth is None else growth.bytes_per_unit_year),
            "" if growth is None else growth.unit,
        )
    out.print(table)
    table = _table("folder", "files", "MB")
    for folder in found.folders:
        table.add_row(str(folder.path), f"{folder.file_count:,}", _mb(folder.size_bytes))
    out.print(table)
    share = 100 * found.free_bytes / found.disk_bytes
    out.print(f"{found.free_bytes / 1e9:.1f} GB of the disk are free ({share:.0f} %)")


def _mb(size: float | None) -> str:
    return "" if size is None else f"{size / _MB:,.1f}"


BeforeOption = Annotated[
    str | None,
    typer.Option(help="Months before this one leave, as 2024-01. Default: older than 13 months."),
]
TablesOption = Annotated[
    str | None, typer.Option(help="Comma-separated; default: every table whose months may leave.")
]


@app.command("months")
def months(data: DataOption = None) -> None:
    """The months that are out of the database, and where each lies."""
    from regime_pipeline.storage.months import MOVABLE

    settings, warehouse = _opened(data)
    table = _table("table", "month", "rows", "file")
    for name in MOVABLE:
        for one in warehouse.moved_months(name):
            table.add_row(name, f"{one.month:%Y-%m}", f"{one.row_count:,}", one.file)
    out.print(table)
    out.print(f"files lie below {settings.landing}/months", markup=False, soft_wrap=True)


@app.command("move-out")
def move_out(
    before: BeforeOption = None,
    tables: TablesOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would leave.")] = False,
    data: DataOption = None,
) -> None:
    """Move closed months out of the database into Parquet files below the landing store.

    `regime run`, `db hash`, `backup` and everything that derives read them there as before. What reads the
    database itself does not: the API, marts, the report, your SQL. A month that is out is not written.
    """
    settings, warehouse = _opened(data)
    end = _closed(before, warehouse.clock.now())
    moved = rows = 0
    with progress() as say:
        for name in _chosen(tables):
            for month in warehouse.movable_months(name, end):
                say(f"{name} {month:%Y-%m}", 0, 1)
                gone = None if dry_run else warehouse.move_out(name, month)
                moved += dry_run or gone is not None
                rows += 0 if gone is None else gone.row_count
    told = "would leave" if dry_run else f"left with {rows:,} rows for {settings.landing}/months"
    out.print(f"{moved} months {told}", markup=False, soft_wrap=True)


@app.command("move-in")
def move_in(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="As 2024-01, or `all`.")],
    tables: TablesOption = None,
    data: DataOption = None,
) -> None:
    """Bring months back into the database; each is compared with the hash that it left with."""
    _, warehouse = _opened(data)
    wanted = None if month == "all" else _month(month)
    moved = 0
    with progress() as say:
        for name in _chosen(tables):
            for one in warehouse.moved_months(name):
                if wanted in (None, one.month):
                    say(f"{name} {one.month:%Y-%m}", 0, 1)
                    moved += warehouse.move_in(name, one.month) is not None
    out.print(f"{moved} months are back")


def _opened(data: str | None) -> tuple[Settings, Warehouse]:
    """The tables, by the account that owns them."""
    from regime_pipeline.storage.database import Database, administrators_address
    from regime_pipeline.storage.warehouse import Warehouse
    from regime_pipeline.windows import clock_from_text

    settings, database = open_data(data)
    database.close()
    owner = Database(administrators_address(settings))
    return settings, Warehouse(owner, clock_from_text(settings.clock), landing=settings.landing)


def _chosen(tables: str | None) -> list[str]:
    from regime_pipeline.storage.months import MOVABLE

    names = [n.strip() for n in tables.split(",")] if tables else list(MOVABLE)
    stays = [n for n in names if n not in MOVABLE]
    if stays:
        raise UsageError(f"no months of it may leave: {', '.join(stays)}")
    return names


def _month(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"{text!r} is no month, as 2024-01") from None


def _closed(before: str | None, now: datetime) -> datetime:
    """The first instant that stays: 13 months ago, or what was asked for; the last two months always stay."""
    this = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    latest = (this - timedelta(days=1)).replace(day=1)
    if before is None:
        year, month = divmod(this.year * 12 + this.month - 1 - 13, 12)
        return this.replace(year=year, month=month + 1)
    asked = _month(before)
    if asked > latest:
        raise UsageError(
            f"months from {latest:%Y-%m} on are still written: --before {latest:%Y-%m}"
        )
    return asked
