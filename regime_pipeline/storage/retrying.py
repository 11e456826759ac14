"""Units of work on a database, done again when they failed for a passing reason.

Belongs here: which errors pass, how often and how long a unit is tried. Does not belong here: the
units themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psycopg
import stamina

from regime_pipeline.storage.database import Database
from regime_pipeline.storage.errors import (
    DatabaseUnreachableError,
    StorageError,
    TransientStorageError,
    first_line,
)

ATTEMPTS = 8  # with doubling pauses: about ten seconds for a server that restarts
_DISK_FULL = "53100"
_FREE_SPACE = "; free space on the server's disk and run it again: what was written is whole"
_PASSING = re.compile(r"^(40001|40P01|55P03|57P0[123]|08...)$")


def retrying(database: Database, run: Callable[[], Any]) -> Any:
    """Run a whole unit again when it failed for a passing reason, a bounded number of times.

    Raises:
        DatabaseUnreachableError, TransientStorageError: it failed for a passing reason again and again.
        StorageError: the server refused.
    """
    try:
        for attempt in stamina.retry_context(
            on=is_passing,
            attempts=ATTEMPTS,
            timeout=60.0,
            wait_initial=0.05,
            wait_max=8.0,
            wait_jitter=0.2,
        ):
            with attempt:
                if attempt.num > 1:
                    database.revive()
                return run()
    except StorageError:
        raise
    except Exception as error:
        if is_passing(error):
            raise TransientStorageError(
                f"gave up on {database.shown} after {ATTEMPTS} attempts: "
                f"{first_line(error)}; look at the server and run it again"
            ) from error
        if isinstance(error, psycopg.Error) or type(error).__module__.startswith("adbc"):
            is_full = getattr(error, "sqlstate", None) == _DISK_FULL
            raise StorageError(
                f"{database.shown} refused: {first_line(error)}{_FREE_SPACE if is_full else ''}"
            ) from error
        raise
    raise AssertionError("unreachable")


def is_passing(error: Exception) -> bool:
    """Whether the same unit may succeed when it is run again."""
    if isinstance(error, DatabaseUnreachableError):
        return True
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str) and state.strip("\0"):
        return bool(_PASSING.match(state))
    # no code: the connection broke
    if isinstance(error, psycopg.OperationalError):
        return True
    return type(error).__module__.startswith("adbc") and type(error).__name__ in (
        "OperationalError",
        "InternalError",
    )
