"""Named points at which a test may end the process as ``kill -9`` would.

Set ``REGIME_CRASH_AT`` to a label of :data:`WRITING`, :data:`MIGRATING`, :data:`MOVING`, :data:`SEALING` or
:data:`UPGRADING`; unset, a point costs one look-up.
"""

from __future__ import annotations

import os

WRITING = ("mid_copy", "staged", "merged", "committed")
"""Half of the batch copied; staging full, nothing merged; merged, not committed; committed."""

MIGRATING = ("migrating", "migrated")
"""The schema's versions run, not committed; committed."""

MOVING = ("month_written", "month_out", "month_in")
"""The file is there, the rows are not gone; out, committed; back, committed, the file still there."""

SEALING = ("sealed", "indexed")
"""The file of many replies is there, nothing names it; the index names it, committed."""

UPGRADING = ("upgraded", "upgrade_marked", "upgrade_moved")
"""The copy of the newer version is there; marked as whole; the old folder has its other name."""


def crash_point(label: str) -> None:
    """End the process here, without any clean-up, if the environment asks for it."""
    if os.environ.get("REGIME_CRASH_AT") == label:
        os._exit(9)
