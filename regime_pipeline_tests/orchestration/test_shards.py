"""Stages of the derived chain, their parts in processes, and that portions by symbol change no value."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.schemas import DERIVED_SCHEMAS
from regime_pipeline.orchestration import launch, shards
from regime_pipeline.orchestration.build import pipeline_assets
from regime_pipeline.orchestration.instance import instance_for
from regime_pipeline.orchestration.jobs import APART_TABLES
from regime_pipeline.orchestration.processes import PROCESS_TAG
from regime_pipeline.orchestration.shard_runs import RETRIES, PartKilledError, in_processes
from regime_pipeline.settings import Settings
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, FixedClock, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.orchestration.conftest import (
    SYMBOLS,
    raw_candles,
    raw_funding,
    settings_for,
)

WINDOW = Window(utc("2024-03-06"), utc("2024-03-10"))


@cache
def declared() -> shards.Declared:
    return shards.declared(pipeline_assets())


def chain() -> list[str]:
    made = declared().parents
    return [
        name
        for name, table in TABLES.items()
        if table.schema in DERIVED_SCHEMAS and name in made and name not in APART_TABLES
    ]


def test_every_table_is_made_once_and_after_what_it_reads_of_other_symbols() -> None:
    what = declared()
    plan = shards.stages(what, chain())
    stage_of = {n: i for i, s in enumerate(plan) for n in (*s.by_symbol, *s.whole)}
    assert sorted(stage_of) == sorted(chain())
    assert sum(len(s.by_symbol) + len(s.whole) for s in plan) == len(stage_of)
    for name, at in stage_of.items():
        for read in what.parents[name] & set(stage_of):
            apart = read not in what.by_symbol or name not in what.by_symbol
            both_whole = read not in what.by_symbol and name not in what.by_symbol
            waits = (name, read) in what.wide or (apart and not both_whole)
            assert stage_of[read] < at if waits else stage_of[read] <= at, (name, read)


def test_statistics_of_all_symbols_and_events_wait_for_every_shard() -> None:
    plan = shards.stages(declared(), chain())
    stage_of = {n: i for i, s in enumerate(plan) for n in (*s.by_symbol, *s.whole)}
    assert stage_of["features.funding_outcomes"] < stage_of["features.funding_anomalies"]
    assert stage_of["regimes.timeframe_outcomes"] < stage_of["regimes.timeframe_confidence"]
    whole = {name for stage in plan for name in stage.whole}
    assert {"correlation.asset_correlations", "alerts.market_events", "ops.quality_checks"} <= whole
    assert "market.fear_greed" in whole  # it has no symbol, so that every shard would replace it


def test_symbols_are_dealt_into_parts_of_which_none_is_empty() -> None:
    stage = shards.Stage(("market.candles_1h",), ("alerts.market_events",))
    found = shards.parts(stage, SYMBOLS, 2)
    assert [(p.shard, p.symbols) for p in found] == [
        (None, SYMBOLS),
        ("1/2", ("BTC/USDT", "SOL/USDT")),
        ("2/2", ("ETH/USDT",)),
    ]
    assert len(shards.parts(stage, SYMBOLS, 50)) == 1 + len(SYMBOLS)


def test_a_run_of_a_shard_makes_nothing_that_needs_every_symbol() -> None:
    tags = {shards.SHARD_TAG: "1/2"}
    shards.refuse_whole({}, None)
    shards.refuse_whole(tags, ["market.candles_1h"])
    for tables in (["market.candles_1h", "correlation.asset_correlations"], None):
        with pytest.raises(shards.ShardError, match="in shard 1/2"):
            shards.refuse_whole(tags, tables)


def killed_until(marks: str, times: int) -> int:
    """End this process as ``kill -9`` does, the first times that it is called."""
    done = len(list(Path(marks).iterdir()))
    if done < times:
        (Path(marks) / str(done)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return done


@pytest.mark.slow
def test_a_part_whose_process_is_killed_is_begun_again_and_given_up_in_the_end(
    tmp_path: Path,
) -> None:
    once, always = tmp_path / "once", tmp_path / "always"
    once.mkdir()
    always.mkdir()
    assert list(in_processes(killed_until, [(str(once), 1)], at_once=2)) == [1]
    with pytest.raises(PartKilledError):
        list(in_processes(killed_until, [(str(always), RETRIES + 1)], at_once=2))


@contextmanager
def filled(postgres: TestServer, home: Path) -> Iterator[tuple[Settings, Warehouse]]:
    """A database with raw rows before and in the window."""
    with postgres.database() as database:
        warehouse = Warehouse(database, FixedClock(WINDOW.end))
        reach = Window(WINDOW.start - 10 * DAY, WINDOW.end)
        warehouse.merge("raw.candles", raw_candles(reach.start, reach.end))
        warehouse.merge("raw.funding_rates", raw_funding(reach.start, reach.end))
        clock = WINDOW.end.isoformat()
        yield settings_for(database, home, start_date="2024-02-01", clock=clock), warehouse


def derived(settings: Settings, count: int, **more: Any) -> launch.RunReport:
    report = launch.run_selection(
        settings=settings,
        clock=FixedClock(WINDOW.end),
        window=WINDOW,
        symbols=SYMBOLS,
        shard_count=count,
        **more,
    )
    assert report.succeeded, report.lines()
    return report


def hashes(warehouse: Warehouse) -> dict[str, str]:
    return {n: warehouse.content_hash(n) for n, t in TABLES.items() if t.partitioned}


@contextmanager
def first_shard_killed(settings: Settings, warehouse: Warehouse) -> Iterator[list[int]]:
    """The first process that is seen at a run of a shard is killed."""
    killed: list[int] = []
    over = threading.Event()

    def look(instance: dg.DagsterInstance) -> None:
        under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        while not killed and not over.wait(0.05):
            for run in instance.get_runs(under_way):
                if shards.SHARD_TAG in run.tags:
                    killed.append(int(run.tags[PROCESS_TAG].rpartition(":")[2]))
                    os.kill(killed[0], signal.SIGKILL)
                    return

    with instance_for(settings, warehouse.database) as instance:
        watch = threading.Thread(target=look, args=(instance,))
        watch.start()
        try:
            yield killed
        finally:
            over.set()
            watch.join()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_shards_give_the_hashes_of_one_run_even_when_one_is_killed(
    postgres: TestServer, tmp_path: Path
) -> None:
    with filled(postgres, tmp_path / "one") as (settings, warehouse):
        derived(settings, 1)
        expected = hashes(warehouse)
    with (
        filled(postgres, tmp_path / "shards") as (settings, warehouse),
        first_shard_killed(settings, warehouse) as killed,
    ):
        report = derived(settings, 2)
        assert killed
        assert [n for n, found in hashes(warehouse).items() if found != expected[n]] == []
        with instance_for(settings, warehouse.database) as instance:
            runs = instance.get_runs()
    assert {r.status for r in runs} == {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
    assert sum(not r.is_success for r in runs) == 1
    assert len({r.run_id for r in report.runs}) == len(runs) - 1
