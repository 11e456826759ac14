"""One restated candle in a market that a launch has filled: what the run that the sensor asks for writes.

It writes what deriving every day again gives, so that nothing which depends on the candle is left; all
other rows keep their version. It costs a minute of processor time at most, dbt and PostgreSQL included.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from benchmarks import processes
from regime_pipeline.catalogue import TABLES
from regime_pipeline.catalogue.marts import BUILT
from regime_pipeline.catalogue.schemas import DERIVED_SCHEMAS
from regime_pipeline.orchestration import launch
from regime_pipeline.orchestration.build import all_assets, build_definitions
from regime_pipeline.orchestration.instance import instance_for
from regime_pipeline.orchestration.jobs import APART_TABLES, part_of
from regime_pipeline.orchestration.resources import Platform, platform_resource
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.query import rows
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window
from regime_pipeline_tests.orchestration.conftest import NOW, SYMBOLS
from regime_pipeline_tests.orchestration.test_restated import Going, looked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

WINDOW = Window(NOW - 3 * DAY, NOW)
MENDED = WINDOW.start + 5 * HOUR
MOST_CPU_S = 60.0
STORED = [
    n
    for n, t in TABLES.items()
    if t.partitioned and t.schema in DERIVED_SCHEMAS and n not in APART_TABLES
]


def contents(database: Database) -> dict[str, Counter[str]]:
    """Every row that is derived or reported, as text, with what says when it was written left out."""
    found = {}
    for name in [*STORED, *(m.full_name for m in BUILT)]:
        told = rows(
            database,
            "select (to_jsonb(t) - array['ingested_at', 'run_id', 'revision', 'changed_at'])::text "
            f"as row from {name} as t",
        )
        found[name] = Counter(r["row"] for r in told)
    return found


def written_after(database: Database, at: str) -> dict[str, int]:
    """How many rows of each stored table have a version that is younger than an instant."""
    found = {}
    for name in STORED:
        (told,) = rows(database, f"select count(*) as n from {name} where ingested_at > '{at}'")
        found[name] = told["n"]
    return {n: count for n, count in found.items() if count}


def differing(before: dict[str, Counter[str]], after: dict[str, Counter[str]]) -> dict[str, int]:
    """How many rows of each table are other ones."""
    return {n: count for n in after if (count := (after[n] - before[n]).total())}


def test_a_restated_candle_changes_what_depends_on_it_and_nothing_else_within_a_minute(
    world: tuple[Settings, Database], capsys: pytest.CaptureFixture[str]
) -> None:
    settings, database = world
    first = launch.run_pipeline(
        settings=settings, clock=FixedClock(NOW), window=WINDOW, symbols=SYMBOLS
    )
    assert first.succeeded, first.lines()
    before = contents(database)

    clock = Going(NOW + timedelta(minutes=10))
    platform = Platform(settings, clock, database)
    cursor = looked(platform, None).cursor
    clock.at += timedelta(minutes=1)
    candle = platform.warehouse.read(
        "raw.candles",
        Window(MENDED, MENDED + HOUR),
        where={"symbol": "BTC/USDT", "market": "spot", "source": "binance"},
    )
    candle["close"] = candle["low"]
    mended_at = clock.at
    assert platform.warehouse.merge("raw.candles", candle).updated == 1
    clock.at += timedelta(minutes=1)
    (request,) = looked(platform, cursor).run_requests

    with instance_for(settings, database) as instance:
        job = build_definitions(
            assets=all_assets(settings),
            resources={"platform": platform_resource(platform)},
            schedules=(),
            sensors=(),
        ).resolve_job_def("recompute")
        spent = processes.spent_s()
        done = part_of(job, request.asset_selection).execute_in_process(
            instance=instance,
            tags=request.tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        cost = processes.difference_s(spent, processes.spent_s())
    assert done.success
    after = contents(database)
    changed = differing(before, after)
    with capsys.disabled():
        print(f"\n{cost['total']:.1f} s of a processor; rows that are other ones: {changed}")
    assert cost["total"] <= MOST_CPU_S

    # only what came out differently was written, nothing before the hour, nothing of other coins alone
    assert written_after(database, mended_at.isoformat()) == {
        n: count for n, count in changed.items() if n in STORED
    }
    for name in ("features.volatility_regimes", "regimes.timeframe_regimes", "market.candles_1h"):
        assert changed[name]
        (told,) = rows(
            database,
            f"select min(ts) as first, array_agg(distinct symbol) as symbols from {name} "
            f"where ingested_at > '{mended_at.isoformat()}'",
        )
        assert told["first"] >= MENDED
        assert told["symbols"] == ["BTC/USDT"]
    assert {"reporting.hourly"} <= set(changed)
    assert not {"market.fear_greed", "market.liquidations_1h", "reporting.positioning_ohlc"} & set(
        changed
    )

    # nothing that depends on it was left: every row of these days is computed again
    for select in ("derived", "reporting"):
        again = launch.run_selection(
            settings=settings,
            clock=FixedClock(NOW),
            window=WINDOW,
            symbols=SYMBOLS,
            select=select,
        )
        assert again.succeeded, again.lines()
    assert differing(after, contents(database)) == {}
