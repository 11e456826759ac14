"""Marts that are views, and every past answer: what the catalogue says is what the database has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pandas as pd
import psycopg
import pytest

from regime_pipeline.catalogue.marts import MARTS, TRAVELLING, VIEWS
from regime_pipeline.catalogue.model import meaning
from regime_pipeline.catalogue.sql import SQL_NAMES
from regime_pipeline.storage import marts
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.errors import SchemaVersionError
from regime_pipeline.storage.query import rows
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import HOUR, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.reporting import world

pytestmark = pytest.mark.xdist_group("views")  # one archive, not one a worker

SYMBOLS = ("BTC/USDT", "ETH/USDT")
START, END = utc("2024-06-01"), utc("2024-06-03")
WRITES = 5


@pytest.fixture
def own(postgres: TestServer) -> Iterator[Database]:
    """A database whose views may be broken."""
    with postgres.database() as fresh:
        yield fresh


class Moving:
    """A clock that is put forward by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def read(database: Database, relation: str) -> list[str]:
    found = rows(database, f"select r::text as row from {relation} as r order by 1")
    return [r["row"] for r in found]


@pytest.fixture(scope="module")
def archived(
    postgres: TestServer,
) -> Iterator[tuple[Database, dict[datetime, dict[str, list[str]]]]]:
    """A small market written and restated step by step, and what every mart said after each."""
    dice = random.Random(5)
    frames = world.make(START, END, SYMBOLS)
    with postgres.database() as fresh:
        clock = Moving(END)
        warehouse = Warehouse(fresh, clock)
        archive = {}
        for step in range(WRITES):
            clock.at = END + step * timedelta(minutes=10)
            for name in sorted(frames.keys() & {t for m in TRAVELLING for t in m.reads}):
                frame = frames[name]
                some = frame.sample(frac=0.3, random_state=dice.randrange(10**6)).reset_index(
                    drop=True
                )
                some["reason"] = some["reason"].where(some.index % 3 != 0, f"step_{step}")
                warehouse.merge(name, some)
            if step == 3:  # a recomputation that gives no rows removes what was there
                day = Window(START, START + 6 * HOUR)
                frame = frames["features.volatility_regimes"]
                warehouse.merge(
                    "features.volatility_regimes", frame.iloc[:0], mode="replace", window=day
                )
            archive[clock.at] = {m.name: read(fresh, m.full_name) for m in TRAVELLING}
        yield fresh, archive


@pytest.mark.slow
def test_a_hundred_random_moments_equal_what_was_archived_then(archived) -> None:
    database, archive = archived
    dice = random.Random(11)
    moments = sorted(archive)
    compared = 0
    for _ in range(100):
        mart = dice.choice(TRAVELLING)
        written = dice.choice(moments)
        moment = written + timedelta(seconds=dice.randrange(600))
        answer = read(database, f"reporting.{mart.name}_as_of('{moment.isoformat()}')")
        assert answer == archive[written][mart.name], (mart.name, moment)
        compared += len(answer)
    assert compared > 1000
    assert read(database, "reporting.volatility_1h_as_of('2024-06-02')") == []


@pytest.mark.slow
def test_a_row_of_an_old_hour_is_invisible_before_it_was_stored(archived) -> None:
    database, _ = archived
    for mart in ("cascades_1h", "regimes_1h"):
        later = rows(
            database,
            f"select count(*) as n from reporting.{mart} where ts < %(end)s and ingested_at > %(end)s",
            end=END,
        )
        assert later[0]["n"] > 0
        then = rows(
            database,
            f"select max(ingested_at) as newest from reporting.{mart}_as_of(%(end)s)",
            end=END,
        )
        assert then == [{"newest": END}]


@pytest.mark.slow
def test_restatements_are_every_version_that_is_no_longer_the_newest(archived) -> None:
    database, archive = archived
    found = rows(
        database,
        "select symbol, ts, revision, valid_from, restated_at, was ->> 'reason' as reason "
        "from reporting.restatements where table_name = 'features.volatility_regimes' "
        "order by symbol, ts, revision",
    )
    assert (
        len(found)
        == rows(database, "select count(*) as n from features.volatility_regimes_revisions")[0]["n"]
    )
    assert {r["restated_at"] for r in found} <= set(archive)
    assert any(r["reason"] for r in found)


@pytest.mark.slow
@pytest.mark.parametrize("mart", VIEWS, ids=lambda m: m.name)
def test_a_view_has_the_columns_types_and_words_of_the_catalogue(mart, archived) -> None:
    database, _ = archived
    found = rows(
        database,
        "select attname as name, format_type(atttypid, atttypmod) as type, "
        "col_description(attrelid, attnum) as said from pg_attribute "
        "where attrelid = %(name)s::regclass and attnum > 0 order by attnum",
        name=mart.full_name,
    )
    assert [tuple(r.values()) for r in found] == [
        (c.name, SQL_NAMES[c.kind], meaning(c)) for c in mart.columns
    ]
    keys = ", ".join(mart.key)
    twice = rows(
        database,
        f"select {keys} from {mart.full_name} group by {keys} having count(*) > 1",
    )
    assert twice == []


@pytest.mark.slow
def test_time_travel_reads_one_symbol_by_index_and_only_the_months_asked_for(archived) -> None:
    database, _ = archived
    plan = rows(
        database,
        "explain (format json) select ts, severity from reporting.cascades_1h_as_of('2024-06-03') "
        "where symbol = 'BTC/USDT' and ts >= '2024-06-02'",
    )[0]["QUERY PLAN"]
    assert "Function Scan" not in str(plan)
    assert "liquidation_cascades_y2024m06" in str(plan)


def test_a_version_is_raised_when_rows_changed_and_only_then(own: Database) -> None:
    clock = Moving(END)
    warehouse = Warehouse(own, clock)
    frame = world.make(START, END, ("BTC/USDT",))["features.volatility_regimes"]

    def version() -> int:
        return rows(own, "select version from reporting.versions where mart = 'volatility_1h'")[0][
            "version"
        ]

    assert version() == 0
    with psycopg.connect(own.libpq, autocommit=True) as listener:
        listener.execute("listen regime_tables")
        warehouse.merge("features.volatility_regimes", frame, run_id="one")
        told = next(listener.notifies(timeout=10))
    assert told.payload == "features.volatility_regimes"
    assert version() == 1
    warehouse.merge("features.volatility_regimes", frame, run_id="two")
    assert version() == 1
    warehouse.merge("features.volatility_regimes", frame.assign(n_bars=3), run_id="three")
    assert version() == 2
    said = rows(own, "select * from reporting.versions where mart = 'volatility_1h'")[0]
    assert (said["run_id"], said["rows_changed"], said["data_origin"]) == (
        "three",
        len(frame),
        "live",
    )
    assert (said["newest_ts"], said["changed_at"]) == (pd.Timestamp(END) - HOUR, END)


def test_alerts_that_a_restatement_takes_back_or_adds_are_listed(own: Database) -> None:
    clock = Moving(END)
    warehouse = Warehouse(own, clock)
    frame = world.make(START, END, ("BTC/USDT",))["features.volatility_regimes"].iloc[:3]
    warehouse.merge("features.volatility_regimes", frame.assign(event_kind=["change", None, None]))
    clock.at = END + HOUR
    warehouse.merge("features.volatility_regimes", frame.assign(event_kind=[None, "change", None]))
    found = rows(
        own,
        "select ts, announced_then, announced_now, restated_at "
        "from reporting.restated_announcements order by ts",
    )
    assert [tuple(r.values()) for r in found] == [
        (START, "change", None, clock.at),
        (START + HOUR, None, "change", clock.at),
    ]


def test_views_follow_the_catalogue_and_keep_what_others_built_on_them(own: Database) -> None:
    with own.connect() as connection:
        connection.execute(
            "create view public.mine as select symbol, ts from reporting.volatility_1h"
        )
        # as an older build would have made it: a column less, in another order
        connection.execute("drop function reporting.cascades_1h_as_of")
        connection.execute("drop view reporting.cascades_1h")
        connection.execute(
            "create view reporting.cascades_1h as select ts, symbol from features.liquidation_cascades"
        )
        marts.settle_marts(connection)
        marts.settle_marts(connection)
    found = rows(own, "select * from reporting.cascades_1h_as_of(now())")
    assert found == []
    names = rows(
        own,
        "select attname as name from pg_attribute "
        "where attrelid = 'reporting.cascades_1h'::regclass and attnum > 0 order by attnum",
    )
    assert [n["name"] for n in names][:2] == ["ts", "symbol"]
    assert {n["name"] for n in names} == set(MARTS["cascades_1h"].names)
    assert rows(own, "select * from public.mine") == []


def test_a_view_that_must_be_made_again_under_somebody_s_own_view_is_named(own: Database) -> None:
    with own.connect() as connection:
        connection.execute("drop function reporting.lead_lag_1d_as_of")
        connection.execute("drop view reporting.lead_lag_1d")
        connection.execute("create view reporting.lead_lag_1d as select 1 as gone")
        connection.execute("create view public.mine as select * from reporting.lead_lag_1d")
    with (
        pytest.raises(SchemaVersionError, match=r"view (public\.)?mine"),
        own.connect() as connection,
    ):
        marts.settle_marts(connection)


@pytest.mark.slow
def test_the_instant_of_a_reading_needs_no_zone_of_the_session(archived) -> None:
    database, archive = archived
    written = sorted(archive)[3]
    there = written.astimezone(UTC).isoformat()
    assert (
        read(database, f"reporting.funding_1h_as_of('{there}')") == archive[written]["funding_1h"]
    )
