"""How much room the disk of a folder has.

Belongs here: looking. Does not belong here: what is done about it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

DISK_FULL = 0.03
"""Share of free space below which nothing is fetched: what is left is for the database."""


def free_share(place: Path) -> float:
    """Free space of the disk that holds a folder, as a share of all."""
    usage = shutil.disk_usage(place)
    return usage.free / usage.total
