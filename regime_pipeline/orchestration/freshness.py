"""Which derived days are still right, so that a repeated launch computes only the others.

A derived day is right when a run with the same code, thresholds, venues and symbols computed it and no
raw row at or before that day has changed since; rows never depend on what comes after them. The story
is told by Dagster's runs and by the ``run_id`` that every stored raw row carries. Whatever is not known
for sure counts as not right. Does not belong here: computing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from psycopg import sql

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.schemas import COMPUTED
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Window, floor_day, utc

if TYPE_CHECKING:
    from regime_pipeline.storage.database import Database

BY_TAG = "regime/derived_by"
"""Run tag: digest of everything but raw rows that a derived row depends on."""
FROM_TAG, TO_TAG = "regime/derived_from", "regime/derived_to"
"""Run tags: the stretch that the run derived completely, with all the history it needs."""
OF_TAG = "regime/reported_of"
"""Run tag: digest of everything but stored rows that the reporting tables of the run depend on."""
REMEMBERED_RUNS = 1000

_PACKAGE = Path(__file__).resolve().parents[1]
_CODE = (
    *COMPUTED,
    "quality",
    *("numerics", "catalogue"),
    *("alerts/events.py", "alerts/kinds.py", "settings.py", "source_choice.py", "windows.py"),
    *("orchestration/derived.py", "orchestration/io_manager.py", "orchestration/quality.py"),
    "orchestration/assets/alerts.py",
)


@dataclass(frozen=True)
class Happening:
    """What a run did, oldest first.

    Attributes:
        derived: the stretch it derived completely and successfully, by the present code.
        foreign: it may have written derived rows by other code, thresholds or symbols.
        raw_from: the oldest raw row that it wrote and that is still its own.
    """

    derived: Window | None = None
    foreign: bool = False
    raw_from: datetime | None = None


def right_until(story: Iterable[Happening], start: datetime) -> datetime:
    """Up to where the derived rows from ``start`` on are right; ``start`` when none are.

    A stretch counts only if it began at or before ``start``: then it had the history that the rows
    from ``start`` on need. Later stretches count when they go on where the known part ends.
    """
    until = start
    for item in story:
        if item.foreign:
            until = start
        if item.raw_from is not None:
            until = max(start, min(until, floor_day(item.raw_from)))
        if item.derived is not None and item.derived.start <= until:
            until = max(until, item.derived.end)
    return until


def fingerprint(settings: Settings, symbols: Sequence[str]) -> str:
    """Digest of the code and settings behind derived rows."""
    digest = hashlib.sha256(settings.params.model_dump_json().encode())
    for part in (
        tuple(sorted(symbols)),
        settings.universe,
        [settings.spot_venue_of(s) for s in settings.universe],
        [settings.perp_venue_of(s) for s in settings.universe],
        settings.liquidation_source,
        settings.liquidation_venue,
        settings.liquidation_order_source,
        settings.open_interest_sources,
        settings.factor_interval,
        settings.sentiment_source_by_kind,
        settings.whale_source,
        settings.start_date,
    ):
        digest.update(f"{part!s}\0".encode())
    for name in _CODE:
        place = _PACKAGE / name
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def story(
    instance: dg.DagsterInstance, database: Database, by: str, *, harmless: Sequence[str]
) -> list[Happening]:
    """What the runs of a database did, in the order in which it could be seen.

    Raw rows count from the end of the run that wrote them, derived rows from the start of theirs: a
    run that fetched while another one derived comes after it.

    Args:
        instance: the database's Dagster instance.
        database: its tables.
        by: the present fingerprint.
        harmless: jobs that write no derived rows.
    """
    records = instance.get_run_records(limit=REMEMBERED_RUNS)
    oldest = _oldest_raw_rows(database, [r.dagster_run.run_id for r in records])
    told: list[tuple[float, Happening]] = []
    for record in records:
        run = record.dagster_run
        created = record.create_timestamp.timestamp()
        mine = run.tags.get(BY_TAG) == by
        derived = None
        if mine and run.is_success and FROM_TAG in run.tags:
            derived = Window(utc(run.tags[FROM_TAG]), utc(run.tags[TO_TAG]))
        foreign = not mine and run.job_name not in harmless
        raw_from = oldest.get(run.run_id)
        if derived is not None or foreign:
            told.append((record.start_time or created, Happening(derived, foreign)))
        if foreign:  # what it wrote last may be as foreign as what it wrote first
            told.append((record.end_time or math.inf, Happening(foreign=True)))
        if raw_from is not None:
            told.append((record.end_time or math.inf, Happening(raw_from=raw_from)))
    return [happening for _, happening in sorted(told, key=lambda item: item[0])]


def reports_stand(instance: dg.DagsterInstance, of: str, *, harmless: Sequence[str]) -> bool:
    """Whether a run built the reporting tables of the same kind and none has changed their inputs since.

    A run that was under way while they were built counts as later.

    Args:
        instance: the database's Dagster instance.
        of: what :data:`OF_TAG` must say.
        harmless: jobs that write nothing that the reporting tables read.
    """
    built = None
    for record in instance.get_run_records(limit=REMEMBERED_RUNS):  # newest first
        run = record.dagster_run
        if built is None and run.is_success and run.tags.get(OF_TAG) == of:
            built = record.start_time or record.create_timestamp.timestamp()
        elif run.job_name not in harmless:
            ended = record.end_time or math.inf
            if built is None or ended > built:
                return False
    return built is not None


def _oldest_raw_rows(database: Database, run_ids: list[str]) -> dict[str, datetime]:
    out: dict[str, datetime] = {}
    with database.connect() as connection:
        for item in (t for t in TABLES.values() if t.schema == "raw"):
            query = sql.SQL(
                "select run_id, min(ts) from {} where run_id = any(%s) group by run_id"
            ).format(sql.Identifier(item.schema, item.name))
            for run_id, at in connection.execute(query, (run_ids,)):
                out[run_id] = min(at, out.get(run_id, at))
    return out
