"""What a launch got nothing for: datasets whose sources all failed, derived tables without raw rows.

Belongs here: telling it from the fetch log and the raw tables. Does not belong here: running anything
(``launch``), exit codes (``cli``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from psycopg import sql

from regime_pipeline.coverage.asked import ANSWERED, was_made
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import Window

LONGEST = 160


@dataclass(frozen=True, slots=True)
class GotNothing:
    """A dataset, or all derived tables of a launch, for which there is nothing.

    Attributes:
        what: the raw table, or what was to be derived.
        why: by source, or in a sentence.
    """

    what: str
    why: str

    @property
    def line(self) -> str:
        """One line for a person."""
        return f"{self.what} got nothing: {self.why}"


def failed_datasets(log: pd.DataFrame) -> list[GotNothing]:
    """Datasets of which every source that was asked failed.

    A source that is off was not asked, one that answered has not failed, whatever it had, and that a
    source does not list a symbol is an answer.

    Args:
        log: rows of ``ops.fetch_log`` of the runs in question.
    """
    out = []
    for dataset, rows in log.groupby("dataset", sort=True):
        asked = was_made(rows)
        answered = rows["fetch_status"].isin(ANSWERED) & asked
        failed = rows[(rows["fetch_status"] == "failed") & (rows["error_class"] != "UnknownSymbol")]
        if failed.empty or answered.any() or rows["rows_stored"].fillna(0).sum() > 0:
            continue
        out.append(GotNothing(f"raw.{dataset}", "; ".join(_reasons(failed))))
    return out


def _reasons(failed: pd.DataFrame) -> Iterable[str]:
    """``source (what it said)``, the first failure of each source."""
    for source, rows in failed.sort_values("fetched_at").groupby("source", sort=True):
        said = " ".join(str(rows["error_message"].iloc[0]).split())[:LONGEST]
        yield f"{source} ({rows['error_class'].iloc[0]}: {said})"


def underived(
    database: Database, starts: Mapping[str, datetime], window: Window
) -> GotNothing | None:
    """Says that derived rows of a window would be made of nothing; None when some raw row is there.

    Args:
        database: where.
        starts: from when on each table is needed, raw ones as ``raw.<dataset>``.
        window: the wanted days.
    """
    raw = {name: start for name, start in starts.items() if name.startswith("raw.")}
    if not raw:
        return None
    some = sql.SQL(" or ").join(
        sql.SQL("exists (select from {} where ts >= {} and ts < {})").format(
            sql.Identifier(*name.split(".")), sql.Literal(start), sql.Literal(window.end)
        )
        for name, start in raw.items()
    )
    with database.connect() as connection:
        row: Any = connection.execute(sql.SQL("select {}").format(some)).fetchone()
    if row[0]:
        return None
    return GotNothing(
        "derived tables",
        f"no raw row is stored between {min(raw.values()):%Y-%m-%d} and {window.end:%Y-%m-%d}; "
        "`regime run` or `regime backfill --select raw` fetches them first",
    )
