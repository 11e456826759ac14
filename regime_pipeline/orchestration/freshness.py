"""Which derived days are still right, so that a repeated launch computes only the others.

A derived day is right when a run with the same code, thresholds, venues and symbols computed it and no
raw row that it depends on has changed since; rows never depend on what comes after them. So a launch over
earlier days finds most of its history there, too, and derives what lies before. The story is told by
Dagster's runs and by the ``run_id`` that every stored raw row carries. Whatever is not known for sure
counts as not right. Does not belong here: computing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from psycopg import sql

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.schemas import COMPUTED
from regime_pipeline.orchestration.history import grouped
from regime_pipeline.orchestration.partitions import run_window
from regime_pipeline.settings import Settings
from regime_pipeline.windows import Window, floor_day, utc

if TYPE_CHECKING:
    from regime_pipeline.storage.database import Database

BY_TAG = "regime/derived_by"
"""Run tag: digest of everything but raw rows that a derived row depends on."""
FROM_TAG, TO_TAG = "regime/derived_from", "regime/derived_to"
"""Run tags: the stretch that is right once the run has ended, with all the history it needs."""
OF_TAG = "regime/reported_of"
"""Run tag: digest of everything but stored rows that the reporting tables of the run depend on."""
REMEMBERED_RUNS = 1000

_PACKAGE = Path(__file__).resolve().parents[1]
_CODE = (
    *COMPUTED,
    *("quality", "research"),
    *("numerics", "catalogue"),
    *("alerts/events.py", "alerts/kinds.py", "settings.py", "source_choice.py", "windows.py"),
    *("orchestration/derived.py", "orchestration/io_manager.py", "orchestration/quality.py"),
    "orchestration/assets/alerts.py",
)


Needs = Callable[[datetime], Mapping[str, datetime]]
"""First wanted day -> table -> first day of it that rows from the wanted day on depend on."""


@dataclass(frozen=True)
class Happening:
    """What a run did, oldest first.

    Attributes:
        derived: the stretch that is right once it has ended, with all the history that its first day
            needs; it was successful and by the present code.
        foreign_from: from when on it may have written derived rows by other code, thresholds or symbols.
        raw_days: tables and days of the raw rows that it wrote and that are still its own.
    """

    derived: Window | None = None
    foreign_from: datetime | None = None
    raw_days: tuple[tuple[str, datetime], ...] = ()


@dataclass(frozen=True)
class Known:
    """Derived rows that are right.

    Attributes:
        since: first day for which all is there that it needs.
        until: rows before it are right: all tables from ``since`` on, and the history of ``since`` from
            where that begins. May lie before ``since``.
    """

    since: datetime
    until: datetime

    def cut(self, at: datetime) -> Known:
        """What is left when rows from ``at`` on are in doubt."""
        return Known(self.since, min(self.until, floor_day(at)))


@dataclass(frozen=True)
class Todo:
    """What is to be derived.

    Attributes:
        since: from when on all is right afterwards.
        history: tables by the days that come before the window, inputs before their readers.
        window: days of all tables; empty when nothing is to be done.
    """

    since: datetime
    history: list[tuple[Window, list[str]]]
    window: Window


def known(story: Iterable[Happening], needs: Needs) -> list[Known]:
    """What is right after a story.

    A raw row that nothing needs which was derived changes nothing: launches over earlier days bring
    history that lies before it.

    Args:
        story: oldest first.
        needs: tells how far back rows depend on raw tables; a table that it lacks matters from the
            first wanted day on.
    """
    out: list[Known] = []
    for item in story:
        if item.foreign_from is not None:
            out = [one.cut(item.foreign_from) for one in out]
        for name, day in item.raw_days:
            out = [
                one.cut(day) if day >= needs(one.since).get(name, one.since) else one for one in out
            ]
        if item.derived is not None:
            new = Known(item.derived.start, item.derived.end)
            out = [one for one in out if one.since != new.since or one.until > new.until]
            out.append(new)
    return out


def todo(
    standing: Iterable[Known],
    window: Window,
    needs: Needs,
    *,
    tables: Sequence[str],
    on_all_stored: Collection[str] = (),
) -> Todo:
    """The least that is to be derived so that a window is right.

    Args:
        standing: what is right already.
        window: whole days, the last one perhaps cut.
        needs: the first day of every table for a first wanted day.
        tables: all derived ones.
        on_all_stored: those that depend on rows of any age; more history changes them.
    """
    start = floor_day(window.start)
    plans = [_after(one, window, needs, tables, set(on_all_stored)) for one in standing]
    from_nothing = grouped(needs(start), start, tables)
    plans.append(Todo(start, from_nothing, Window(start, window.end)))
    return min(plans, key=lambda plan: _work(plan, len(tables)))


def _work(plan: Todo, tables: int) -> timedelta:
    """Time to derive, times tables."""
    spans = [*((span, len(names)) for span, names in plan.history), (plan.window, tables)]
    return sum(((span.end - span.start) * count for span, count in spans), timedelta())


def _after(
    one: Known, window: Window, needs: Needs, tables: Sequence[str], on_all_stored: set[str]
) -> Todo:
    """What is to be derived where something is right already."""
    start = floor_day(window.start)
    if one.since <= start < one.until:
        first = min(floor_day(one.until), window.end)
        return Todo(one.since, [], Window(first, window.end))
    firsts = {name: needs(start)[name] for name in tables}
    ends: dict[str, datetime] = {}
    if one.since <= start:  # the newest history is wanting
        firsts = {name: max(first, floor_day(one.until)) for name, first in firsts.items()}
    elif one.until >= start:  # the oldest is
        stand = {name: needs(one.since)[name] for name in tables if name not in on_all_stored}
        ends = {name: min(first, start) for name, first in stand.items()}
    pieces = grouped(firsts, start, tables, ends)
    return Todo(start, pieces, Window(start, window.end))


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
    raw_days = _raw_days(database, [r.dagster_run.run_id for r in records])
    told: list[tuple[float, Happening]] = []
    for record in records:
        run = record.dagster_run
        created = record.create_timestamp.timestamp()
        mine = run.tags.get(BY_TAG) == by
        derived = None
        if mine and run.is_success and FROM_TAG in run.tags:
            derived = Window(utc(run.tags[FROM_TAG]), utc(run.tags[TO_TAG]))
        if derived is not None:
            told.append((record.start_time or created, Happening(derived)))
        elif not mine and run.job_name not in harmless:
            foreign = Happening(foreign_from=_first_day(run.tags))
            # what it wrote last may be as foreign as what it wrote first
            told += [
                (record.start_time or created, foreign),
                (record.end_time or math.inf, foreign),
            ]
        if run.run_id in raw_days:
            written = Happening(raw_days=tuple(sorted(raw_days[run.run_id])))
            told.append((record.end_time or math.inf, written))
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


def _first_day(tags: Mapping[str, str]) -> datetime:
    """From when on a run wrote; a run that is about no days may have written any."""
    try:
        return run_window(tags).start
    except KeyError:
        return datetime.min.replace(tzinfo=UTC)


def _raw_days(database: Database, run_ids: list[str]) -> dict[str, set[tuple[str, datetime]]]:
    """Tables and days of the raw rows that are still each run's own."""
    out: dict[str, set[tuple[str, datetime]]] = {}
    with database.connect() as connection:
        for item in (t for t in TABLES.values() if t.schema == "raw"):
            query = sql.SQL(
                "select distinct run_id, date_trunc('day', ts, 'UTC') from {} where run_id = any(%s)"
            ).format(sql.Identifier(item.schema, item.name))
            for run_id, day in connection.execute(query, (run_ids,)):
                out.setdefault(run_id, set()).add((item.full_name, day))
    return out
