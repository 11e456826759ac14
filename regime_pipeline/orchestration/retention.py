"""Keeping Dagster's own tables bounded: what old, finished runs left behind is removed each night.

Kept for good: the newest materialization of each asset and day, the newest result of each check, and the
runs they come from; so the UI still knows what is materialized. Everything else of a finished run goes
after some days (``Settings.event_days``, ``Settings.run_days``). Every statement is short and a
transaction of its own: it may be stopped at any time and goes on the next night. Does not belong here:
data tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from psycopg import sql

from regime_pipeline.orchestration.resources import Platform

if TYPE_CHECKING:
    from regime_pipeline.storage.database import Database

NAME = "retention"
MANY_ROWS = 5000
"""Rows that one statement looks at."""

_OLD = sql.SQL(
    "r.status in ('SUCCESS', 'FAILURE', 'CANCELED') "
    "and coalesce(r.end_time, extract(epoch from r.update_timestamp)) < %(before)s"
)
_EVENTS = sql.SQL("""
with gone as (
    delete from dagster.event_logs o using dagster.runs r
    where o.id > %(low)s and o.id <= %(high)s and r.run_id = o.run_id and {old}
      and case
        when o.dagster_event_type in ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION')
        then exists (
            select from dagster.event_logs n
            where n.asset_key = o.asset_key and n.dagster_event_type = o.dagster_event_type
              and n.partition = o.partition and n.id > o.id
        ) or o.partition is null and exists (
            select from dagster.event_logs n
            where n.asset_key = o.asset_key and n.dagster_event_type = o.dagster_event_type
              and n.partition is null and n.id > o.id
        )
        when o.dagster_event_type = 'ASSET_CHECK_EVALUATION'
        then o.id not in (
            select evaluation_event_storage_id from dagster.asset_check_executions
            where evaluation_event_storage_id is not null
        )
        else true
      end
    returning o.id
), tags as (
    delete from dagster.asset_event_tags where event_id in (select id from gone)
)
select count(*) from gone
""").format(old=_OLD)
_CHECKS = sql.SQL("""
with gone as (
    delete from dagster.asset_check_executions o using dagster.runs r
    where o.id > %(low)s and o.id <= %(high)s and r.run_id = o.run_id and {old}
      and exists (
        select from dagster.asset_check_executions n
        where n.asset_key = o.asset_key and n.check_name = o.check_name
          and n.partition is not distinct from o.partition and n.id > o.id
      )
    returning o.id
)
select count(*) from gone
""").format(old=_OLD)
_RUNS = sql.SQL("""
with gone as (
    delete from dagster.runs where id in (
        select r.id from dagster.runs r
        where {old} and not exists (select from dagster.event_logs e where e.run_id = r.run_id)
        order by r.id limit 500
    )
    returning id
)
select count(*) from gone
""").format(old=_OLD)
_STEPS = sql.SQL("""
with gone as (
    delete from ops.run_steps where started_at < to_timestamp(%(before)s) returning run_id
)
select count(*) from gone
""")
_IDS = {
    "event_logs": "select min(id), max(id) from dagster.event_logs",
    "asset_check_executions": "select min(id), max(id) from dagster.asset_check_executions",
}


@dataclass(frozen=True)
class Removed:
    """Rows that went."""

    events: int = 0
    checks: int = 0
    runs: int = 0
    steps: int = 0


def remove_old(database: Database, now: datetime, *, event_days: int, run_days: int) -> Removed:
    """Remove what finished runs left behind, but for what is newest.

    Args:
        database: where Dagster's tables are.
        now: ages count from here.
        event_days: events of runs that ended longer ago go.
        run_days: runs that ended longer ago go, once none of their events is left, and with them what
            their steps cost.
    """
    events_before = (now - timedelta(days=event_days)).timestamp()
    runs_before = (now - timedelta(days=run_days)).timestamp()
    checks = sum(_by_windows(database, "asset_check_executions", _CHECKS, events_before))
    events = sum(_by_windows(database, "event_logs", _EVENTS, events_before))
    runs = 0
    while found := _count(database, _RUNS, {"before": runs_before}):
        runs += found
    steps = _count(database, _STEPS, {"before": runs_before})
    return Removed(events, checks, runs, steps)


def _by_windows(
    database: Database, table: str, statement: sql.Composed, before: float
) -> Iterator[int]:
    """What a statement removes from each window of a table's ids."""
    with database.connect() as connection:
        row = connection.execute(_IDS[table]).fetchone()
    if row is None or row[0] is None:
        return
    for low in range(row[0] - 1, row[1], MANY_ROWS):
        yield _count(database, statement, {"low": low, "high": low + MANY_ROWS, "before": before})


def _count(database: Database, statement: sql.Composed, values: dict[str, float]) -> int:
    with database.connect() as connection:
        row = connection.execute(statement, values).fetchone()
    return int(row[0]) if row else 0


@dg.op(name="remove_old_events", required_resource_keys={"platform"})
def remove_old_events(context) -> None:  # type: ignore[no-untyped-def]
    """Remove events and runs that are older than the settings say."""
    platform: Platform = context.resources.platform
    settings = platform.settings
    gone = remove_old(
        platform.database,
        platform.clock.now(),
        event_days=settings.event_days,
        run_days=settings.run_days,
    )
    context.log.info(
        f"removed {gone.events} events and {gone.checks} check results of runs that ended more than "
        f"{settings.event_days} days ago, and {gone.runs} runs of more than {settings.run_days} days"
    )


@dg.job(
    name=NAME,
    description="Dagster's own events and runs that are older than the settings say are removed; the "
    "newest of each asset and day stay.",
    executor_def=dg.in_process_executor,
)
def retention() -> None:
    """Remove what is too old."""
    remove_old_events()
