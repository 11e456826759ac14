"""The whole line through the simulator: fetch, derive, report; twice; interrupted; in the log."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from regime_pipeline.orchestration import launch, processes
from regime_pipeline.orchestration.instance import LOCATION, environment, instance_for
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import DAY, FixedClock, Window, utc
from regime_pipeline_tests.orchestration.conftest import NOW, SYMBOLS

pytestmark = [
    pytest.mark.xdist_group("launch"),  # one module fixture, not one a worker
    pytest.mark.timeout(600),  # on a fresh clone the fixture compiles every kernel
]

END, CLOCK = NOW, FixedClock(NOW)
WINDOW = Window(END - 3 * DAY, END)


def run(settings: Settings, **more) -> launch.RunReport:
    return launch.run_pipeline(
        settings=settings, clock=CLOCK, window=WINDOW, symbols=SYMBOLS, **more
    )


@pytest.fixture(scope="module")
def first(world: tuple[Settings, Database]) -> launch.RunReport:
    seen: dict[str, tuple[int, int]] = {}
    report = run(world[0], progress=lambda name, done, total: seen.update({name: (done, total)}))
    assert report.succeeded, [r.error for r in report.runs if r.error]
    assert {n: at for n, at in seen.items() if at[0] != at[1]} == {}
    for what in ("fetch", "derive"):  # why three days begin with six weeks before them
        assert f"{what} from 2024-01-25 on: the history that these days look back to" in seen
    return report


@pytest.mark.slow
def test_every_layer_is_filled(world: tuple[Settings, Database], first: launch.RunReport) -> None:
    settings, database = world
    assert first.succeeded, first.lines()
    counts = Warehouse(database, CLOCK).counts()
    hours = 72 * len(SYMBOLS)
    for name in (
        "features.volatility_regimes",
        "features.liquidation_cascades",
        "features.funding_anomalies",
        "regimes.timeframe_regimes",
        "correlation.asset_correlations",
        "signals.components",
        "signals.futures_scores",
    ):
        assert counts[name] == first.tables[name]["rows"], name
        assert len(Warehouse(database, CLOCK).read(name, WINDOW, columns=["ts"])) == hours, name
    with database.connect() as connection:
        reported = connection.execute("select count(*) from reporting.market_overview").fetchone()
    assert reported == (len(SYMBOLS),)
    assert {s["source"] for s in first.sources} == set(settings.sources)


@pytest.mark.slow
def test_market_history_reaches_back_and_the_derived_chain_is_one_run(
    first: launch.RunReport,
) -> None:
    derive = [r for r in first.runs if r.title == "derive"]
    assert len(derive) == 1
    assert derive[0].window == WINDOW
    history = [r for r in first.runs if r.title == "derive history"]
    assert min(r.window.start for r in history) == utc("2024-01-25")
    assert all(r.window.end == WINDOW.start for r in history)


@pytest.mark.slow
def test_the_ui_sees_the_runs_with_their_days(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    settings, database = world
    with instance_for(settings, database) as instance:
        for outcome in first.runs:
            run_ = instance.get_run_by_id(outcome.run_id)
            assert run_.is_success
            assert run_.tags["dagster/asset_partition_range_start"] == f"{outcome.window.start:%F}"
            assert run_.tags[".dagster/repository"] == f"__repository__@{LOCATION}"  # the timeline
        key = dg.AssetKey(["features", "volatility_regimes"])
        read = Window(WINDOW.start - 2 * DAY, WINDOW.end)  # snapshots look back two days
        assert sorted(instance.get_materialized_partitions(key)) == [f"{d:%F}" for d in read.days()]


@pytest.mark.slow
def test_the_ui_shows_the_findings_of_every_judged_table_and_no_check_that_was_not_made(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    with instance_for(*world) as instance:
        planned, made = set(), set()
        for outcome in first.runs:
            for record in instance.get_records_for_run(outcome.run_id).records:
                event = record.event_log_entry.dagster_event
                if event is not None and event.event_type_value == "ASSET_CHECK_EVALUATION_PLANNED":
                    data = event.event_specific_data
                    planned.add((outcome.run_id, data.asset_key, data.check_name))
                elif event is not None and event.event_type_value == "ASSET_CHECK_EVALUATION":
                    data = event.event_specific_data
                    made.add((outcome.run_id, data.asset_key, data.check_name))
    warehouse = Warehouse(world[1], CLOCK)
    for _, key, name in planned - made:  # nothing was stored that could have been judged
        assert name == "data_quality" and warehouse.read(".".join(key.path), WINDOW).empty, key
    verdicts = Warehouse(world[1], CLOCK).read("ops.quality_checks", WINDOW)
    with instance_for(*world) as instance:
        table = dg.AssetCheckKey(dg.AssetKey(["raw", "candles"]), "data_quality")
        days = instance.event_log_storage.get_asset_check_partition_info([table])
    judged_rows = verdicts["check_outcome"] != "not_applicable"
    of_candles = verdicts.loc[judged_rows & (verdicts["table_name"] == "raw.candles"), "ts"]
    assert {f"{ts:%F}" for ts in of_candles} <= {d.partition_key for d in days}
    assert len(of_candles)
    judged = {key.to_user_string() for _, key, name in made if name == "data_quality"}
    assert {"raw/candles", "raw/funding_rates", "market/liquidations_1h"} <= judged
    assert not [
        name for _, _, name in made if name in ("venues_agree", "volatility_stays_in_range")
    ]


@pytest.mark.slow
def test_running_again_changes_no_row(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    settings, database = world
    warehouse = Warehouse(database, CLOCK)
    tables = [n for n in warehouse.counts() if not n.startswith("ops.")]
    before = {n: warehouse.content_hash(n) for n in tables}
    again = run(settings, recompute=True, reports=False)
    changed = {n: c for n, c in again.tables.items() if c["inserted"] + c["updated"] + c["deleted"]}
    assert again.succeeded
    assert changed == {}
    assert {n: warehouse.content_hash(n) for n in tables} == before
    assert not [r for r in again.runs if r.title == "fetch history" and r.window.end < WINDOW.start]


@pytest.mark.slow
def test_only_days_that_may_have_changed_are_derived_again(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    settings, database = world
    again = run(settings)
    assert again.succeeded
    assert not [r for r in again.runs if r.job != launch.RAW], again.lines()
    with database.connect() as connection:  # a row as a later fetch would leave it
        touched = connection.execute(
            "update raw.candles set close = low, run_id = %s where source = 'binance' "
            "and symbol = 'BTC/USDT' and ts = '2024-03-08 05:00+00'",
            (again.runs[0].run_id,),
        ).rowcount
    assert touched == 1
    repaired = run(settings)
    assert [r.job for r in repaired.runs][-1] == launch.REPORTING
    (derive,) = [r for r in repaired.runs if r.job == launch.DERIVED]
    assert derive.window == Window(utc("2024-03-08"), END)
    assert repaired.tables["market.candles_1h"]["updated"] == 1
    assert repaired.tables["features.volatility_regimes"]["updated"] > 0
    whole = run(settings, recompute=True, reports=False)
    assert whole.succeeded
    changed = {n for n, c in whole.tables.items() if c["inserted"] + c["updated"] + c["deleted"]}
    # verdicts about earlier days may look at what came after; values may not
    assert {n for n in changed if not n.startswith("ops.")} == set()


@pytest.mark.slow
def test_a_launch_over_earlier_days_derives_only_the_history_before_what_is_there(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    settings, _ = world
    earlier = Window(WINDOW.start - DAY, END)
    report = launch.run_pipeline(
        settings=settings, clock=CLOCK, window=earlier, symbols=SYMBOLS, reports=False
    )
    assert report.succeeded
    days = {r.window for r in report.runs if r.title == "derive history"}
    # but for what depends on rows of any age, which end where the window begins
    assert {w.end - w.start for w in days if w.end != earlier.start} == {DAY}
    whole = launch.run_pipeline(
        settings=settings,
        clock=CLOCK,
        window=earlier,
        symbols=SYMBOLS,
        recompute=True,
        reports=False,
    )
    changed = {n for n, c in whole.tables.items() if c["inserted"] + c["updated"] + c["deleted"]}
    assert {n for n in changed if not n.startswith("ops.")} == set()


@pytest.mark.slow
def test_events_found_in_a_replay_are_never_sent(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    with world[1].connect() as connection:
        states = connection.execute("select distinct state from alerts.outbox").fetchall()
    assert set(states) <= {("suppressed",)}


def test_an_unknown_selection_and_an_unknown_symbol_are_refused(
    world: tuple[Settings, Database],
) -> None:
    settings, _ = world
    with pytest.raises(launch.LaunchError, match=r"no such asset: features\.nothing"):
        launch.run_selection(
            settings=settings,
            clock=CLOCK,
            window=WINDOW,
            symbols=SYMBOLS,
            select="features/nothing",
        )
    with pytest.raises(ValueError, match="DOGE/USDT"):
        launch.run_selection(settings=settings, clock=CLOCK, window=WINDOW, symbols=["DOGE/USDT"])


@pytest.mark.slow
def test_a_selection_computes_just_that(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    report = launch.run_selection(
        settings=world[0],
        clock=CLOCK,
        window=WINDOW,
        symbols=["BTC/USDT"],
        select="features/volatility_regimes, signals/components",
    )
    assert report.succeeded
    assert set(report.tables) == {"features.volatility_regimes", "signals.components"}
    assert all(c["rows"] == 72 for c in report.tables.values())


@pytest.mark.slow
def test_an_interrupted_launch_leaves_no_run_that_seems_to_go_on(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    settings, database = world

    def stop(name: str, done: int, total: int) -> None:
        if name == "derive" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.run_selection(
            settings=settings, clock=CLOCK, window=WINDOW, symbols=SYMBOLS, progress=stop
        )
    with instance_for(settings, database) as instance:
        newest = instance.get_runs(limit=1)[0]
        assert newest.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)
        assert not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))


@pytest.mark.slow
def test_fault_79_a_run_whose_process_is_gone_is_marked_failed(
    world: tuple[Settings, Database], first: launch.RunReport
) -> None:
    settings, database = world
    with instance_for(settings, database) as instance:
        for tag in ("0badb007:1", processes.process_id(2**22 + 1), processes.process_id(1)):
            instance.add_run(
                dg.DagsterRun(
                    job_name="derived_chain",
                    status=dg.DagsterRunStatus.STARTED,
                    tags={processes.PROCESS_TAG: tag},
                )
            )
        assert len(processes.settle_dead_runs(instance)) == 2
        (alive,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        instance.report_run_canceled(alive)


def test_no_history_is_asked_for_that_no_configured_source_serves() -> None:
    served = launch._served(Settings(), None)
    assert "raw.candles" in served
    assert "raw.option_chain" not in served  # its only source is on where it is named
    assert (
        launch._served(Settings(sources=("deribit",)), ("deribit",)).count("raw.option_chain") == 1
    )


def test_environment_is_restored() -> None:
    import os

    with environment({"REGIME_TEST_X": "1"}):
        assert os.environ["REGIME_TEST_X"] == "1"
    assert "REGIME_TEST_X" not in os.environ


@pytest.mark.slow
def test_dbt_says_nothing_on_standard_output(
    world: tuple[Settings, Database], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = launch.run_selection(
        settings=world[0], clock=CLOCK, window=WINDOW, symbols=SYMBOLS, select="reporting"
    )
    assert report.succeeded
    assert capsys.readouterr().out == ""
