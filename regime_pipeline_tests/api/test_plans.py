"""No page of any endpoint reads the whole of a table of history: months, indexes, or both.

The questions are made from the declared endpoints, which the tools of agents and the pages ask too: a new
endpoint is looked at by itself. PostgreSQL is asked how it would answer where it takes an index when there
is one, since the tables here are small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from regime_pipeline.api import live, query
from regime_pipeline.api.endpoints import ENDPOINTS, Endpoint
from regime_pipeline.api.params import Query
from regime_pipeline.catalogue.marts import BUILT
from regime_pipeline.catalogue.model import Kind
from regime_pipeline.catalogue.registry import TABLES
from regime_pipeline.storage.database import Database
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, made_market

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("api")]

YEARS = (2019, 2020, 2021, 2022, 2023)
"""Each has a month of its own, empty: history that a page of the newest rows need not look at."""
PARTITIONED = [t for t in TABLES.values() if t.partitioned]
LONG = {m.full_name for m in BUILT if m.time_column is not None} | {
    "alerts.outbox", "alerts.delivery_starts", "alerts.delivery_attempts", "ops.fetch_log",
}  # fmt: skip
"""Tables in one piece that grow with time."""
COMPUTED = "market.candles_1h"
"""Read by functions that compute what was known at an instant; docs/api.md says how long that takes."""
BY_NATURE = {
    "regimes_1h": {"regimes.timeframe_confidence"},  # PostgreSQL carries no span over a join
    "correlation_breaks": {"correlation.correlation_breaks"},  # an episode is made of all its hours
    "instruments": {
        "raw.instruments"
    },  # the newest listing of each, of a table that changes little
    "restated_announcements": {
        n for n, t in TABLES.items() if "event_kind" in t.fields
    },  # beside now
    "webhook_logs": {"alerts.delivery_attempts"},  # by outcome, of which there are few
    "source_health": {"ops.fetch_log"},  # by the time of the newest request
    "market_overview": {COMPUTED},
    "hourly": {COMPUTED},
    "events": {COMPUTED},
}
"""Marts that read some tables whole, and which."""
BY_INDEX = "set enable_seqscan = off; set enable_sort = off; set enable_hashjoin = off"
_PASSED_THROUGH = {
    "Append",
    "Merge Append",
    "Subquery Scan",
    "Result",
    "Nested Loop",
    "Incremental Sort",
}


@pytest.fixture(scope="module")
def with_history(postgres: TestServer) -> Iterator[Database]:
    """The market of the API's tests, whose tables have months of earlier years."""
    with postgres.copy_of("market", made_market) as copy:
        with copy.connect() as connection:
            for item in PARTITIONED:
                connection.execute(
                    "select ops.ensure_partition(%s::regclass, m) from unnest(%s::date[]) as m",
                    (item.full_name, [date(year, 3, 1) for year in YEARS]),
                )
        yield copy


def questions(endpoint: Endpoint, newest: datetime) -> Iterator[Query]:
    """What may be asked of an endpoint: nothing, one and two symbols, a span, each filter, the past."""
    mart = endpoint.described
    assert mart is not None
    one = SYMBOLS[:1] if "{symbol}" in endpoint.path else None
    event = (("event_id", ("none",)),) if "{event_id}" in endpoint.path else ()
    plain = Query(endpoint, one, None, None, event, mart.names, 100, None, None, "json")
    yield plain
    if one is None and endpoint.symbol_columns:
        for count in (1, 2):
            yield replace(plain, symbols=SYMBOLS[:count])
    if mart.time_column is not None:
        yield replace(plain, start=newest - timedelta(days=7), end=newest)
    for field in endpoint.filter_columns:
        yield replace(plain, filters=(*event, (field.name, (_some(field.kind, field.allowed),))))
    if endpoint.has_past:
        yield replace(
            plain, as_of=CLOCK.now(), start=newest - timedelta(days=7) if mart.time_column else None
        )


def _some(kind: Kind, allowed: tuple[str, ...] | None) -> Any:
    return {Kind.INTEGER: 1, Kind.FLOAT: 1.0, Kind.BOOLEAN: True}.get(kind, (allowed or ("x",))[0])


def scans(plan: dict[str, Any], *, is_ordered: bool = False) -> Iterator[tuple[str, bool]]:
    """Each relation that a plan reads, and whether all of it: without an index, or along it to its end.

    Args:
        plan: a node of PostgreSQL's plan.
        is_ordered: whether rows are taken from it only until the page is full.
    """
    kind = plan["Node Type"]
    if "Relation Name" in plan and kind != "Bitmap Index Scan":
        name = f"{plan.get('Schema', '')}.{plan['Relation Name']}"
        is_whole = kind == "Seq Scan" or (
            "Index" in kind and "Index Cond" not in plan and not is_ordered
        )
        yield name, is_whole
    below = kind == "Limit" or (is_ordered and kind in _PASSED_THROUGH)
    for part in plan.get("Plans", ()):
        yield from scans(part, is_ordered=below)


def read_whole(connection: psycopg.Connection, asked: Query, parents: dict[str, str]) -> set[str]:
    """The tables of history that a question reads whole."""
    built, values, _ = query.statement(asked)
    text = b"explain (format json, verbose) " + built
    (plan,) = connection.execute(text, values).fetchone()
    pieces: dict[str, dict[str, bool]] = {}
    for name, is_whole in scans(plan[0]["Plan"]):
        of = pieces.setdefault(parents.get(name, name), {})
        of[name] = of.get(name, False) or is_whole
    found = set()
    for parent, read in pieces.items():
        months = [m for m, of in parents.items() if of == parent]
        is_whole = all(read.get(m, False) for m in months) if months else any(read.values())
        if is_whole and (months or parent in LONG):
            found.add(parent)
    return found


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.described], ids=lambda e: e.path)
def test_no_question_reads_the_whole_of_a_table(endpoint: Endpoint, with_history: Database) -> None:
    with with_history.connect() as connection:
        connection.execute(BY_INDEX)
        parents = dict(
            connection.execute(
                "select c.relnamespace::regnamespace || '.' || c.relname, "
                "p.relnamespace::regnamespace || '.' || p.relname from pg_inherits as i "
                "join pg_class as c on c.oid = i.inhrelid join pg_class as p on p.oid = i.inhparent "
                "where c.relkind = 'r'"
            ).fetchall()
        )
        newest = connection.execute("select max(ts) from reporting.market_overview").fetchone()[0]
        found = {}
        for asked in questions(endpoint, newest):
            for looked in query.looks(asked, newest):
                if whole := read_whole(connection, looked, parents):
                    found[
                        str(
                            (looked.symbols, looked.filters, looked.start, looked.end, looked.as_of)
                        )
                    ] = whole
    mart = endpoint.described
    assert mart is not None
    assert set().union(*found.values()) <= BY_NATURE.get(mart.name, set()), found


@pytest.mark.parametrize("statement", [live._EVENTS_AFTER, live._NEWEST_EVENT])
def test_a_stream_goes_on_by_an_index(statement: str, with_history: Database) -> None:
    with with_history.connect() as connection:
        connection.execute(BY_INDEX)
        values = (5, 50) if "%s" in statement else ()
        (plan,) = connection.execute(
            f"explain (format json, verbose) {statement}", values
        ).fetchone()
    assert not [name for name, is_whole in scans(plan[0]["Plan"]) if is_whole]
