"""``regime storage``: what grows, what is removed after how many days, and what can be moved out.

Belongs here: reading options, printing. Does not belong here: counting and removing (``storage``).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regime_pipeline.cli.options import DataOption, JsonOption
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import out
from regime_pipeline.windows import SystemClock

if TYPE_CHECKING:
    from regime_pipeline.storage.usage import Usage

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
