"""What is not kept for ever: the rules, what they would remove now, and removing it.

Belongs here: one row of :data:`RULES` for each, and the statements. Does not belong here: when it is done
(``orchestration.retention``), tables of data, which are kept for ever or moved out whole.

Kept for good: the newest materialization of each asset and day, the newest result of each check and the runs
they come from, so that the UI still knows what is materialized; every answer that nothing later repeats, so
that no day is asked for again. Every statement is short and a transaction of its own: it may be stopped at
any time and goes on the next night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import sql

from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database

MANY_ROWS = 5000
"""Rows that one statement looks at."""
STRETCH = timedelta(hours=6)
"""Length of the log that one statement looks at."""

_OLD = sql.SQL(
    "r.status in ('SUCCESS', 'FAILURE', 'CANCELED') "
    "and coalesce(r.end_time, extract(epoch from r.update_timestamp)) < %(before)s"
)
_OLD_EVENTS = sql.SQL("""
from dagster.event_logs o join dagster.runs r on r.run_id = o.run_id
where o.id > %(low)s and o.id <= %(high)s and {old}
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
""").format(old=_OLD)
_EVENTS = sql.SQL("""
with gone as (
    delete from dagster.event_logs where id in (select o.id {old}) returning id
), tags as (
    delete from dagster.asset_event_tags where event_id in (select id from gone)
)
select count(*) from gone
""").format(old=_OLD_EVENTS)
_OLD_CHECKS = sql.SQL("""
from dagster.asset_check_executions o join dagster.runs r on r.run_id = o.run_id
where o.id > %(low)s and o.id <= %(high)s and {old}
  and exists (
    select from dagster.asset_check_executions n
    where n.asset_key = o.asset_key and n.check_name = o.check_name
      and n.partition is not distinct from o.partition and n.id > o.id
  )
""").format(old=_OLD)
_CHECKS = sql.SQL("""
with gone as (
    delete from dagster.asset_check_executions where id in (select o.id {old}) returning id
)
select count(*) from gone
""").format(old=_OLD_CHECKS)
_OLD_RUNS = sql.SQL("""
from dagster.runs r
where {old} and not exists (select from dagster.event_logs e where e.run_id = r.run_id)
""").format(old=_OLD)
_RUNS = sql.SQL("""
with gone as (
    delete from dagster.runs where id in (select r.id {old} order by r.id limit 500) returning id
)
select count(*) from gone
""").format(old=_OLD_RUNS)
_OLD_STEPS = sql.SQL("from ops.run_steps where started_at < to_timestamp(%(before)s)")
_STEPS = sql.SQL("""
with gone as (delete {old} returning step)
select count(*) from gone
""").format(old=_OLD_STEPS)

# A row goes when a later answer of a run that had no trouble with the series covers its window, and no
# hour of the window is in question: then neither `asked` nor `hours` of coverage sees a difference.
_OLD_FETCHES = sql.SQL("""
with near as materialized (
    select fetch_id, dataset, source, coalesce(symbol, '') as symbol, coalesce(venue, '') as venue,
        coalesce(market, '') as market, coalesce(endpoint_path, '') as path,
        coalesce(run_id, '') as run, window_start, window_end, fetched_at,
        fetch_status in ('ok', 'empty') as is_sound
    from ops.fetch_log
    where fetched_at >= %(low)s - interval '2 days' and fetched_at < %(high)s + interval '2 days'
), sound as materialized (
    select n.* from near n where n.is_sound and not exists (
        select from near b
        where not b.is_sound and b.dataset = n.dataset and b.source = n.source
          and b.symbol = n.symbol and b.run = n.run
    )
), repeated as (
    select o.fetch_id from sound o
    where o.fetched_at >= %(low)s and o.fetched_at < %(high)s and exists (
        select from sound c
        where c.dataset = o.dataset and c.source = o.source and c.symbol = o.symbol
          and c.venue = o.venue and c.market = o.market and c.path = o.path and c.run <> o.run
          and c.window_start <= o.window_start and c.window_end >= o.window_end
          and c.fetched_at > o.fetched_at
    ) and not exists (
        select from ops.coverage_spans s
        where s.dataset = o.dataset and s.source = o.source
          and s.coverage_state not in ('stored', 'forward_only')
          and s.span_end > o.window_start and s.span_start < o.window_end
          and s.symbol in (o.symbol, '*')
    )
)
""")
_FETCHES = sql.SQL("""{old}, gone as (
    delete from ops.fetch_log where fetch_id in (select fetch_id from repeated)
    returning dataset, source, date_trunc('day', fetched_at, 'UTC') as day, request_count,
        rows_stored, rows_quarantined, duration_s
), summed as (
    insert into ops.fetch_days as d (dataset, source, fetched_day, fetch_count, request_count,
        rows_stored, rows_quarantined, duration_s)
    select dataset, source, day, count(*), sum(request_count), sum(rows_stored),
        sum(rows_quarantined), sum(duration_s)
    from gone group by 1, 2, 3
    on conflict (dataset, source, fetched_day) do update set
        fetch_count = d.fetch_count + excluded.fetch_count,
        request_count = coalesce(d.request_count + excluded.request_count, d.request_count,
            excluded.request_count),
        rows_stored = coalesce(d.rows_stored + excluded.rows_stored, d.rows_stored,
            excluded.rows_stored),
        rows_quarantined = coalesce(d.rows_quarantined + excluded.rows_quarantined,
            d.rows_quarantined, excluded.rows_quarantined),
        duration_s = coalesce(d.duration_s + excluded.duration_s, d.duration_s,
            excluded.duration_s)
)
select count(*) from gone
""").format(old=_OLD_FETCHES)

_KEPT = """
insert into ops.retention as r (retention_rule, kept_days, ran_at, removed_count, removed_total)
values (%(rule)s, %(days)s, %(now)s, %(count)s, %(count)s)
on conflict (retention_rule) do update set kept_days = excluded.kept_days, ran_at = excluded.ran_at,
    removed_count = excluded.removed_count, removed_total = r.removed_total + excluded.removed_count
"""

Parts = Callable[[Database, datetime], Iterator[dict[str, Any]]]
"""The parameters of the statements that together look at everything older than an instant."""


def _ids(table: str) -> Parts:
    extent = sql.SQL("select min(id), max(id) from {}").format(sql.Identifier("dagster", table))

    def parts(database: Database, before: datetime) -> Iterator[dict[str, Any]]:
        with database.connect() as connection:
            row = connection.execute(extent).fetchone()
        if row is None or row[0] is None:
            return
        for low in range(row[0] - 1, row[1], MANY_ROWS):
            yield {"low": low, "high": low + MANY_ROWS, "before": before.timestamp()}

    return parts


def _whole(_database: Database, before: datetime) -> Iterator[dict[str, Any]]:
    yield {"before": before.timestamp()}


def _stretches(database: Database, before: datetime) -> Iterator[dict[str, Any]]:
    with database.connect() as connection:
        row = connection.execute("select min(fetched_at) from ops.fetch_log").fetchone()
    low = before if row is None or row[0] is None else row[0].astimezone(UTC)
    while low < before:
        yield {"low": low, "high": min(low + STRETCH, before)}
        low += STRETCH


@dataclass(frozen=True)
class Rule:
    """Something that is removed after some days.

    Attributes:
        name: in ``ops.retention``.
        about: what goes, in words.
        setting: the field of the settings that holds the days.
        table: the table whose existence tells whether there is anything to look at.
        parts: what the statements look at, one after the other.
        remove: a statement that removes what is too old in a part and counts it.
        due: a statement that counts the same and removes nothing.
        repeats: whether ``remove`` takes some at a time and is repeated until nothing is left.
    """

    name: str
    about: str
    setting: str
    table: str
    parts: Parts
    remove: sql.Composed
    due: sql.Composed
    repeats: bool = False

    def days(self, settings: Settings) -> int:
        """Days for which it is kept."""
        return int(getattr(settings, self.setting))


def _counted(old: sql.Composed) -> sql.Composed:
    return sql.SQL("select count(*) {}").format(old)


RULES = (
    Rule(
        "check_results",
        "results of checks of finished runs, but the newest of each check and day",
        "event_days",
        "dagster.asset_check_executions",
        _ids("asset_check_executions"),
        _CHECKS,
        _counted(_OLD_CHECKS),
    ),
    Rule(
        "events",
        "events of finished runs, but the newest of each asset and day",
        "event_days",
        "dagster.event_logs",
        _ids("event_logs"),
        _EVENTS,
        _counted(_OLD_EVENTS),
    ),
    Rule(
        "runs",
        "finished runs that have no event left",
        "run_days",
        "dagster.runs",
        _whole,
        _RUNS,
        _counted(_OLD_RUNS),
        repeats=True,
    ),
    Rule(
        "step_costs",
        "what the steps of old runs cost",
        "run_days",
        "ops.run_steps",
        _whole,
        _STEPS,
        sql.SQL("select count(*) {}").format(_OLD_STEPS),
    ),
    Rule(
        "fetches",
        "rows of the fetch log that a later answer repeats; their sums stay in ops.fetch_days",
        "fetch_log_days",
        "ops.fetch_log",
        _stretches,
        _FETCHES,
        sql.SQL("{} select count(*) from repeated").format(_OLD_FETCHES),
    ),
)
"""In the order in which they are followed: results before the events that they point to."""


def remove_old(database: Database, now: datetime, settings: Settings) -> dict[str, int]:
    """Remove what the rules say, and note it in ``ops.retention``.

    Args:
        database: whose tables.
        now: ages count from here.
        settings: how many days each rule keeps.

    Returns:
        Rows that went, by rule.
    """
    gone = {}
    for rule in _present(database):
        before = now - timedelta(days=rule.days(settings))
        count = 0
        for part in rule.parts(database, before):
            found = _count(database, rule.remove, part)
            count += found
            while rule.repeats and found:
                found = _count(database, rule.remove, part)
                count += found
        gone[rule.name] = count
        noted = {"rule": rule.name, "days": rule.days(settings), "now": now, "count": count}
        with database.connect() as connection:
            connection.execute(_KEPT, noted)
    return gone


def due(database: Database, now: datetime, settings: Settings) -> dict[str, int]:
    """Rows that would go now, by rule; nothing is removed."""
    out = {}
    for rule in _present(database):
        before = now - timedelta(days=rule.days(settings))
        out[rule.name] = sum(_count(database, rule.due, p) for p in rule.parts(database, before))
    return out


def _present(database: Database) -> list[Rule]:
    """The rules whose tables there are; a database that never ran Dagster has none of its."""
    with database.connect() as connection:
        return [
            rule
            for rule in RULES
            if connection.execute("select to_regclass(%s)", (rule.table,)).fetchone() != (None,)
        ]


def _count(database: Database, statement: sql.Composed, values: dict[str, Any]) -> int:
    with database.connect() as connection:
        row = connection.execute(statement, values).fetchone()
    return int(row[0]) if row else 0
