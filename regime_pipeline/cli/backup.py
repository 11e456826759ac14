"""``regime backup`` and ``regime restore``: a copy of everything that is stored, and back again.

Belongs here: reading options, printing. Does not belong here: copying and comparing (``storage.backup``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regime_pipeline.cli.options import DataOption, UsageError
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import out, progress
from regime_pipeline.settings import Settings

if TYPE_CHECKING:
    from regime_pipeline.storage.manifests import Backup

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder", help="Where backups lie. Default: REGIME_BACKUP_DIR, or HOME/backups."
    ),
]
_MB = 2**20


def backup(
    folder: FolderOption = None,
    keep: Annotated[
        str, typer.Option(help="Days,weeks,months of which the newest backup is kept.")
    ] = "7,5,12",
    only_list: Annotated[
        bool, typer.Option("--list", help="Show what there is; make none.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Copy all that is stored, while the pipeline runs: rows, revisions, replies of providers.

    Each backup has the content hash of every table as it was at one instant, and older ones are thinned
    out. Passwords, `.env` and signing secrets are not in it; nor are Dagster's records of runs.

    Examples:
        regime backup --folder /mnt/backups

        17 3 * * * REGIME_BACKUP_DIR=/mnt/backups regime backup      # a line of cron
    """
    from regime_pipeline.storage import backup as backups
    from regime_pipeline.storage.manifests import found_in
    from regime_pipeline.windows import SystemClock

    counts = _kept(keep)
    if only_list:
        _listed(found_in(_folder(folder, Settings())))
        return
    settings, database = open_data(data)  # brings an older schema forward first
    database.close()
    target = _folder(folder, settings)
    with progress() as say:
        made = backups.backup(settings, target, SystemClock(), say)
    gone = backups.thin_out(target, counts)
    _listed([made])
    if made.folder.resolve().is_relative_to(settings.home.resolve()):
        out.print("it lies on the disk of what it copies: name another with --folder")
    if not made.manifest.landing:
        out.print("REGIME_LANDING_URL is an object store: replies are not copied from there")
    if gone:
        out.print(f"{len(gone)} older ones are thinned out")


def restore(
    source: Annotated[
        str, typer.Argument(metavar="BACKUP", help="Folder of one backup, or `latest`.")
    ] = "latest",
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Restore on a server aside, compare every hash, take it away again."
        ),
    ] = False,
    folder: FolderOption = None,
) -> None:
    """Make the database out of a backup. It must be empty; each table's hash is compared.

    Examples:
        regime restore --verify                                # is the newest one any good?

        REGIME_HOME=/new/place regime restore /mnt/backups/live-20261130T031700Z
    """
    from regime_pipeline.storage import backup as backups
    from regime_pipeline.storage import manifests

    settings = Settings()
    if source == "latest":
        there = manifests.found_in(_folder(folder, settings))
        if not there:
            raise UsageError(f"no backup lies in {_folder(folder, settings)}; name its folder")
        chosen = there[-1]
    else:
        chosen = manifests.read(Path(source))
    with progress() as say:
        (backups.try_out if verify else backups.restore)(settings, chosen, say)
    counted = f"{len(chosen.manifest.hashes)} tables, {sum(chosen.manifest.rows.values()):,} rows"
    if verify:
        out.print(f"{chosen.folder} is good: {counted} are those of the backup", soft_wrap=True)
        return
    out.print(
        f"restored {chosen.folder}: {counted} are those of the backup; `regime status "
        f"--data {chosen.manifest.origin}` looks at it, the next run goes on from there",
        soft_wrap=True,
    )


def _folder(folder: Path | None, settings: Settings) -> Path:
    return folder or settings.backup_dir or settings.home / "backups"


def _kept(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(p.strip().isdecimal() for p in parts):
        raise UsageError(f"--keep {text!r} is not understood: days,weeks,months as 7,5,12")
    days, weeks, months = map(int, parts)
    if days < 1:
        raise UsageError("--keep: at least one day is kept")
    return days, weeks, months


def _listed(backups: list[Backup]) -> None:
    if not backups:
        out.print("no backup yet: `regime backup` makes one")
    for one in backups:
        m = one.manifest
        rows = sum(m.rows.values())
        out.print(
            f"{one.folder}  {m.made_at[:19]}Z  {m.origin}  {rows:,} rows  {m.dump_bytes / _MB:.1f} MB",
            soft_wrap=True,
        )
