"""The backups of a folder: what each says of itself, and how old the newest is.

Belongs here: manifests. Does not belong here: making and restoring (``backup``), which brings the libraries
of tables along; a check that runs each minute does without them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from regime_pipeline.storage.errors import BackupError, first_line

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        made_at: instant of the snapshot, UTC.
        origin: live, simulated or tape.
        schema_version: newest migration of the database.
        dump_sha256: digest of the dump.
        dump_bytes: its size.
        hashes: content hash of every table, as ``regime db hash`` prints them.
        rows: rows of every table.
        landing: whether the replies of providers are in the folder beside it.
    """

    made_at: str
    origin: str
    schema_version: str
    dump_sha256: str
    dump_bytes: int
    hashes: dict[str, str]
    rows: dict[str, int]
    landing: bool


@dataclass(frozen=True)
class Backup:
    """A backup that is whole: its folder and what it says of itself."""

    folder: Path
    manifest: Manifest

    @property
    def made_at(self) -> datetime:
        """Instant of the snapshot."""
        return datetime.fromisoformat(self.manifest.made_at)


def found_in(target: Path) -> list[Backup]:
    """The whole backups of a folder, oldest first; a folder that is none is left out."""
    out = []
    for path in sorted(target.glob(f"*/{MANIFEST}")) if target.is_dir() else []:
        if not path.parent.name.startswith("."):
            out.append(read(path.parent))
    return sorted(out, key=lambda b: b.made_at)


def read(folder: Path) -> Backup:
    """What the backup in a folder says of itself.

    Raises:
        BackupError: the folder holds none, or its manifest is damaged.
    """
    try:
        return Backup(folder, Manifest(**json.loads((folder / MANIFEST).read_text())))
    except FileNotFoundError:
        raise BackupError(f"{folder} holds no backup: it has no {MANIFEST}") from None
    except (ValueError, TypeError) as error:
        raise BackupError(f"{folder / MANIFEST} is damaged: {first_line(error)}") from error


def age(folder: Path, now: datetime) -> timedelta | None:
    """Time since the newest backup of a folder; None: it holds none.

    Raises:
        BackupError: a manifest is damaged.
    """
    newest = max((one.made_at for one in found_in(folder)), default=None)
    return None if newest is None else now - newest
