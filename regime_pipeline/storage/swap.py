"""A copy of the embedded server's data that takes the place of the old ones, also after a kill.

Belongs here: names of copy and mark, the swap, finishing it. Does not belong here: making the copy
(``major``).
"""

from __future__ import annotations

from pathlib import Path

from regime_pipeline.storage.crash import crash_point
from regime_pipeline.storage.folders import is_data_folder

COPY, WHOLE = "upgraded", "upgraded.whole"
"""Folder of the copy, and the mark that it is whole: it holds the name that the old data get."""


def finished(data: Path) -> bool:
    """Whether there was a whole copy that waited for a data folder's place, and has it now."""
    mark = data.with_name(WHOLE)
    if not mark.is_file() or not is_data_folder(data.with_name(COPY)):
        return False
    swap(data, data.with_name(mark.read_text()))
    return True


def swap(data: Path, kept: Path) -> None:
    """Give the old data another name, and the marked copy their place; once more after a kill."""
    if not kept.exists():
        data.rename(kept)
    crash_point("upgrade_moved")
    data.with_name(COPY).rename(data)
    data.with_name(WHOLE).unlink()
