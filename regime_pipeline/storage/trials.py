"""The ledger of trials: who tried something is written down before the number is known.

Belongs here: adding to ``signals.trials`` and ``signals.trial_days``. Does not belong here: what a trial is
(``research.trials``), statistics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import pandas as pd
import psycopg

from regime_pipeline.storage.warehouse import Warehouse

TRIALS, TRIAL_DAYS = "signals.trials", "signals.trial_days"

_AGAIN = "update signals.trials set run_count = run_count + %s where trial_id = %s"


class Trial(Protocol):
    """What is written down of a trial."""

    @property
    def trial_id(self) -> str: ...  # noqa: D102 - as in the table
    @property
    def family(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def spec(self) -> str: ...  # noqa: D102
    @property
    def origin(self) -> str: ...  # noqa: D102
    @property
    def headline_h(self) -> int: ...  # noqa: D102


def note(warehouse: Warehouse, trials: Sequence[Trial], *, code_version: str, now: datetime) -> int:
    """Write down that trials are about to be computed, in a transaction of its own.

    One that is in the ledger already keeps its first instant and is counted once more.

    Args:
        warehouse: where the ledger is.
        trials: at least one; one that comes twice was asked twice.
        code_version: of what computes them.
        now: by the clock.

    Returns:
        How many were new.
    """
    asked = Counter(t.trial_id for t in trials)
    frame = pd.DataFrame(
        {
            "trial_id": t.trial_id,
            "trial_family": t.family,
            "trial_kind": t.kind,
            "trial_spec": t.spec,
            "trial_origin": t.origin,
            "headline_h": t.headline_h,
            "trial_code_version": code_version,
            "first_run_at": pd.Timestamp(now),
            "run_count": 1,
            "dropped_reason": None,
        }
        for t in {t.trial_id: t for t in trials}.values()
    )

    def also(connection: psycopg.Connection, inserted: pd.DataFrame) -> None:
        new = set(inserted["trial_id"])
        for trial_id, count in sorted(asked.items()):
            connection.execute(_AGAIN, (count - (trial_id in new), trial_id))

    return warehouse.merge(TRIALS, frame, mode="insert", also=also).inserted


def keep_days(warehouse: Warehouse, days: pd.DataFrame) -> int:
    """Keep what each day added to trials that were asked for by hand; how many days are new or changed.

    Args:
        warehouse: where the ledger is.
        days: rows of ``signals.trial_days``.
    """
    done = warehouse.merge(TRIAL_DAYS, days, mode="upsert")
    return done.inserted + done.updated


def drop(warehouse: Warehouse, trial_id: str, reason: str) -> bool:
    """Say that nobody goes on with a trial; it counts all the same. False: there is none of this id."""

    def work(connection: psycopg.Connection) -> bool:
        done = connection.execute(
            "update signals.trials set dropped_reason = %s where trial_id = %s", (reason, trial_id)
        )
        return done.rowcount > 0

    return bool(warehouse.transact(work))
