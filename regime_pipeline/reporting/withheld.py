"""What was kept out of the tables in a window: rows withheld by a check, rows in quarantine.

Belongs here: counting it over all days of a window, by table and cause. Does not belong here: deciding
it (``quality``), the verdicts of single days (``quality`` of this package).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from regime_pipeline.quality.model import BY_ID, WHOLE_TABLE
from regime_pipeline.quality.records import parsed
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.windows import Window
from regime_pipeline.wording.labels import styled

WITHHELD, QUARANTINED = "withheld", "quarantined"
SHOWN = 8
"""Lines in a terminal; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Held:
    """Rows of one table that were kept back for one cause.

    Attributes:
        table: which table they belong to.
        state: ``withheld`` (stored, and null in derived tables) or ``quarantined`` (in no table).
        why: the check in words, or the most frequent reason of the refusals.
        rows: how many.
        first: the first of them.
        last: the last of them.
    """

    table: str
    state: str
    why: str
    rows: int
    first: datetime
    last: datetime


def held_rows(database: Database, window: Window) -> list[Held]:
    """What was withheld and quarantined over all days of a window, the most rows first.

    A quarantined row counts in the window of its own time; one whose time cannot be read counts when
    it was refused.
    """
    found = _withheld(database, window) + _quarantined(database, window)
    return sorted(found, key=lambda h: (-h.rows, h.table, h.state, h.why))


def _withheld(database: Database, window: Window) -> list[Held]:
    return [
        Held(
            r["table_name"],
            WITHHELD,
            f"{r['check_id']} {BY_ID[r['check_id']].title}",
            int(r["n"]),
            r["first"],
            r["last"],
        )
        for r in rows(
            database,
            "select table_name, check_id, sum(n_withheld) as n, min(ts) as first, max(ts) as last "
            "from ops.quality_checks where series = %(whole)s and n_withheld > 0 "
            "and ts >= %(start)s and ts < %(end)s group by 1, 2",
            whole=WHOLE_TABLE,
            start=window.start,
            end=window.end,
        )
    ]


def _quarantined(database: Database, window: Window) -> list[Held]:
    stored = pd.DataFrame(
        rows(
            database,
            "select table_name, source, reason, row_data::text as row_data, created_at "
            "from ops.quarantine where created_at >= %(start)s",  # none is older than its row
            start=window.start,
        )
    )
    if stored.empty:
        return []
    found = parsed(stored, window)
    return [
        Held(
            str(name),
            QUARANTINED,
            str(group["reason"].mode().iloc[0]),
            len(group),
            group["ts"].min().to_pydatetime(),
            group["ts"].max().to_pydatetime(),
        )
        for name, group in found.groupby("table_name", sort=True)
    ]


def held_back(plain: Mapping[str, Any]) -> Held:
    """What was made plain data for JSON, as it was."""
    return Held(**{**plain, **{k: datetime.fromisoformat(plain[k]) for k in ("first", "last")}})


def held_lines(found: Sequence[Held]) -> list[str]:
    """The same for a terminal: a line of sums, then a line each."""
    if not found:
        return ["[bold]Withheld and quarantined[/]  nothing in the whole range"]
    sums = {
        state: sum(h.rows for h in found if h.state == state) for state in (WITHHELD, QUARANTINED)
    }
    out = [
        "[bold]Withheld and quarantined[/] in the whole range: "
        + ", ".join(f"{n:,} {'row' if n == 1 else 'rows'} {state}" for state, n in sums.items())
    ]
    for h in found[:SHOWN]:
        days = f"{h.first:%Y-%m-%d}" + (
            "" if h.first.date() == h.last.date() else f" .. {h.last:%Y-%m-%d}"
        )
        why = h.why.replace("[", "\\[")
        out.append(f"  {styled(h.state)}  {h.rows:,} of {h.table}, {days}: {why}")
    if len(found) > SHOWN:
        out.append(
            f"  and {sum(h.rows for h in found[SHOWN:]):,} rows for {len(found) - SHOWN} further causes"
        )
    return out
