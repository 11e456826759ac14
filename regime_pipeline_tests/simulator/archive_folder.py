"""The bulk archive as a folder on disk, as a download of it would be laid out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from regime_pipeline.simulator.archive import CHECKSUM, archive_file, checksum_file, paths
from regime_pipeline.simulator.tape import Tape
from regime_pipeline.windows import Window

DAY_MS = 86_400_000


def epoch_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def write_archive(
    tape: Tape,
    folder: Path,
    window: Window,
    *,
    now: datetime | None = None,
    symbols: Iterable[str] | None = None,
) -> int:
    """Write the archive's files about a window below a folder, each with its checksum file.

    Args:
        tape: what happened.
        folder: made when it is not there.
        window: whole months of it are written where files are by month.
        now: files that appear later are left out; None: all that the tape can fill.
        symbols: only these.

    Returns:
        Zips written.
    """
    until = epoch_ms(now) if now is not None else epoch_ms(tape.span.end) + 40 * DAY_MS
    count = 0
    for path in paths(tape, window, symbols):
        body = archive_file(tape, path, until)
        if body is None:
            continue
        full = folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(body)
        full.with_name(full.name + CHECKSUM).write_bytes(checksum_file(body, path))
        count += 1
    return count
