"""What a restated raw row makes anew: the tables that the lineage names, over the days that it reaches.

A run that fetches and derives (the hourly tick, a filled gap with the run after it, ``regime run``) has
derived again what its own restatements reach. This looks for the others: rows that a fetch alone, a
migration or a hand replaced. Only rows that come out differently are written, so what does not depend on
the restated row keeps its version; the marts ``restatements`` and ``restated_announcements`` say what
changed. Does not belong here: keeping versions (``storage.revisions``), finding lineage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg
from psycopg import sql

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.lineage import Lineage, stored
from regime_pipeline.catalogue.marts import BUILT
from regime_pipeline.orchestration.derived import asset_key
from regime_pipeline.orchestration.jobs import APART_TABLES, raw_fetch, recompute
from regime_pipeline.orchestration.partitions import range_tags
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.orchestration.sensors import GAP_TAG, RUNNING
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, Window, floor_day, parse_lookback, utc

SECONDS = 20
RESTATED_TAG = "regime/restated"
SETTLE = timedelta(seconds=5)
"""Versions that ended less than this ago wait: their transaction may not be seen yet."""
FOREVER = timedelta(days=36_500)


@dataclass(frozen=True)
class Restated:
    """Rows of a raw table that were replaced, and not derived from since.

    Attributes:
        table: ``schema.name``.
        first: time of the first of them.
        last: time of the last of them.
        at: when the last of them was replaced.
        run_id: the run that wrote what replaced them; None: written outside of Dagster.
    """

    table: str
    first: datetime
    last: datetime
    at: datetime
    run_id: str | None


def replaced_since(database: Database, since: datetime, until: datetime) -> list[Restated]:
    """Raw rows whose version ended in ``(since, until]``, by table and writer."""
    parts = [
        sql.SQL(
            "select {name} as table_name, r.ts, r.superseded_at, t.run_id "
            "from {revisions} as r left join {table} as t on {same} "
            "where r.superseded_at > {since} and r.superseded_at <= {until}"
        ).format(
            name=sql.Literal(item.full_name),
            revisions=sql.Identifier(item.schema, f"{item.name}_revisions"),
            table=sql.Identifier(item.schema, item.name),
            same=sql.SQL(" and ").join(
                sql.SQL("t.{0} = r.{0}").format(sql.Identifier(c)) for c in item.key
            ),
            since=sql.Literal(since),
            until=sql.Literal(until),
        )
        for item in TABLES.values()
        if item.schema == "raw"
    ]
    query = sql.SQL(
        "select table_name, min(ts), max(ts), max(superseded_at), run_id "
        "from ({}) as every group by table_name, run_id order by table_name, run_id"
    ).format(sql.SQL(" union all ").join(parts))
    with database.connect() as connection:
        return [Restated(*row) for row in connection.execute(query)]


def dependents(lineage: Lineage, changed: Collection[str]) -> dict[str, timedelta]:
    """Every table that is computed from some tables, and how long after a row of those its rows depend on it.

    Args:
        lineage: what is made of what.
        changed: the tables, which are none of the answer.
    """
    known: dict[str, timedelta | None] = dict.fromkeys(changed, timedelta(0))

    def reach(name: str) -> timedelta | None:
        if name not in known:
            found = [
                below + (FOREVER if e.all_stored else parse_lookback(e.lookback))
                for e in lineage.tables.get(name, ())
                if (below := reach(e.table)) is not None
            ]
            known[name] = max(found) if found else None
        return known[name]

    found = {name: reach(name) for name in lineage.tables if name not in changed}
    return {name: far for name, far in found.items() if far is not None}


def marts_of(lineage: Lineage, changed: Collection[str]) -> list[str]:
    """Marts that dbt builds of one of the tables; those that are views change by themselves."""
    return [
        mart.name
        for mart in BUILT
        if any(t in changed for below in lineage.marts[mart.name].values() for t in below)
    ]


def recomputation(
    restated: Iterable[Restated], lineage: Lineage, now: datetime
) -> dg.RunRequest | None:
    """One run over the tables and days that depend on restated rows; None: nothing is made of them.

    Args:
        restated: what was replaced, at least once.
        lineage: what is made of what.
        now: by the clock; no day after it is derived.
    """
    found = sorted(restated, key=lambda r: (r.at, r.table))
    tables = {r.table for r in found}
    further = {n: far for n, far in dependents(lineage, tables).items() if n not in APART_TABLES}
    marts = marts_of(lineage, {*tables, *further})
    if not further and not marts:
        return None
    first = floor_day(min(r.first for r in found))
    last = max(r.last for r in found) + min(max(further.values(), default=DAY), FOREVER)
    window = Window(first, min(floor_day(last) + DAY, floor_day(now) + DAY))
    return dg.RunRequest(
        run_key=f"restated:{found[-1].at.isoformat()}",
        asset_selection=[*map(asset_key, further), *(dg.AssetKey(["reporting", m]) for m in marts)],
        tags={**range_tags(window), RESTATED_TAG: ", ".join(sorted(tables))},
    )


def underived(
    instance: dg.DagsterInstance, restated: Iterable[Restated]
) -> tuple[list[Restated], bool]:
    """Those whose writer derives nothing itself, and whether a writer is still at work.

    Args:
        instance: knows what each run was.
        restated: what was replaced, by writer.
    """
    out, working = [], False
    for one in restated:
        run = None if one.run_id is None else instance.get_run_by_id(one.run_id)
        working = working or (run is not None and not run.is_finished)
        if run is None or (run.job_name == raw_fetch.name and GAP_TAG not in run.tags):
            out.append(one)
    return out, working


@dg.sensor(
    name="restated_rows",
    job=recompute,
    minimum_interval_seconds=SECONDS,
    default_status=RUNNING,
    required_resource_keys={"platform"},
    description="When raw rows were replaced by something that derives nothing itself: derives what is "
    "made of them, and only that.",
)
def restated_rows(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """At most one run; the cursor is the instant up to which replaced versions were looked at."""
    platform: Platform = context.resources.platform
    why = platform.at_rest()
    if why is not None:
        return dg.SkipReason(why)
    until = platform.clock.now() - SETTLE
    if context.cursor is None:  # what was restated before is the past of this installation
        return dg.SensorResult(skip_reason="looks from now on", cursor=until.isoformat())
    found = replaced_since(platform.database, utc(context.cursor), until)
    wanted, working = underived(context.instance, found)
    if working:
        return dg.SkipReason("a run that replaces rows is at work")
    request = recomputation(wanted, stored(), platform.clock.now()) if wanted else None
    if request is None:
        return dg.SensorResult(skip_reason="nothing to derive again", cursor=until.isoformat())
    return dg.SensorResult(run_requests=[request], cursor=until.isoformat())
