"""Marts that dbt builds, asked for as they were known before their tables were restated."""

from __future__ import annotations

import pytest

from regime_pipeline.catalogue.marts import BUILT, WITH_PAST
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.windows import HOUR, FixedClock, utc
from regime_pipeline_tests.reporting import world
from regime_pipeline_tests.reporting.conftest import Builder, write

SYMBOLS = ("BTC/USDT", "ETH/USDT")
START, END = utc("2024-06-01"), utc("2024-06-03")
MARTS = [m.name for m in BUILT if m in WITH_PAST]

pytestmark = [pytest.mark.xdist_group("market"), pytest.mark.slow, pytest.mark.timeout(600)]


def read(database: Database, relation: str) -> list[str]:
    return [
        r["row"] for r in rows(database, f"select r::text as row from {relation} as r order by 1")
    ]


def test_a_built_mart_is_known_as_it_was_before_its_tables_were_restated(
    database: Database, build: Builder
) -> None:
    archive = {}
    for seed, end in ((7, END), (8, END + HOUR)):
        frames = world.make(START, end, SYMBOLS, seed) | world.raw(START, end, SYMBOLS)
        write(database, frames, FixedClock(end))
        build(database, select=tuple(MARTS), full_refresh=seed == 8)
        archive[end] = {name: read(database, f"reporting.{name}") for name in MARTS}
    for moment, known in archive.items():
        for name in MARTS:
            assert known[name], name
            found = read(database, f"reporting.{name}_as_of('{moment.isoformat()}')")
            assert found == known[name], (name, moment)
    assert archive[END]["hourly"] != archive[END + HOUR]["hourly"]
    assert read(database, f"reporting.market_overview_as_of('{START.isoformat()}')") == []
    first, until = START + 30 * HOUR, START + 41 * HOUR
    for mart in BUILT:
        if mart not in WITH_PAST or mart.time_column is None:
            continue
        asked = f"where {mart.time_column} >= '{first}' and {mart.time_column} < '{until}'"
        function = f"reporting.{mart.name}_as_of('{END}'"
        part = read(
            database,
            f"(select * from {function}, start => '{first}', until => '{until}') {asked})",
        )
        assert part == read(database, f"(select * from {function}) {asked})"), mart.name
        assert part, mart.name
