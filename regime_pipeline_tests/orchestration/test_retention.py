"""Old runs leave Dagster's tables, but never what says that a day of an asset is there."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from regime_pipeline.orchestration import retention as job
from regime_pipeline.orchestration.partitions import DAILY, range_tags
from regime_pipeline.orchestration.resources import Platform, platform_resource
from regime_pipeline.settings import Settings
from regime_pipeline.storage import retention
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, SystemClock, Window, utc

START = utc("2024-01-01")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
KEY = dg.AssetKey("kept")
NOW = SystemClock().now()


@dg.asset(key=KEY, partitions_def=DAILY, check_specs=[dg.AssetCheckSpec("fine", asset=KEY)])
def kept() -> dg.MaterializeResult:
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


def run(instance: dg.DagsterInstance, days: int) -> str:
    tags = range_tags(Window(START, START + days * DAY))
    result = dg.materialize([kept], instance=instance, tags=tags, run_config=QUIET)
    assert result.success
    return result.run_id


def ended(database: Database, run_id: str, days_ago: int) -> None:
    at = (NOW - timedelta(days=days_ago)).timestamp()
    with database.connect() as connection:
        connection.execute("update dagster.runs set end_time = %s where run_id = %s", (at, run_id))


def count(database: Database, table: str, run_id: str | None = None) -> int:
    with database.connect() as connection:
        query = f"select count(*) from dagster.{table} where %s::text is null or run_id = %s"
        row = connection.execute(query, (run_id, run_id)).fetchone()
    assert row is not None
    return int(row[0])


def remove(database: Database) -> dict[str, int]:
    settings = Settings(event_days=30, run_days=90)
    due = retention.due(database, NOW, settings)
    gone = retention.remove_old(database, NOW, settings)
    # the event of a result goes once the result has gone, which counting beforehand cannot see
    assert due["check_results"] == gone["check_results"]
    assert due["events"] <= gone["events"] <= due["events"] + due["check_results"]
    return gone


def costs(database: Database, *days_ago: int) -> None:
    with database.connect() as connection:
        for days in days_ago:
            connection.execute(
                "insert into ops.run_steps "
                "(run_id, step, job_name, started_at, duration_s, cpu_s, step_outcome, attempt_count, "
                "request_count) values (%s, 'a', 'j', %s, 1, 1, 'succeeded', 1, 0)",
                (f"run-{days}", NOW - timedelta(days=days)),
            )


def days_there(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_materialized_partitions(KEY))


def test_fault_85_of_old_runs_only_the_newest_materializations_and_results_stay(
    instance: dg.DagsterInstance, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MANY_ROWS", 7)  # many windows, whose borders cut runs
    older, newer, young = run(instance, 4), run(instance, 2), run(instance, 1)
    ended(database, older, 100)
    ended(database, newer, 40)
    costs(database, 40, 100)
    before = count(database, "event_logs", young)
    there = days_there(instance)
    gone = remove(database)
    assert gone["events"] > 20
    assert days_there(instance) == there
    assert count(database, "event_logs", older) == 2  # days 3 and 4
    assert count(database, "event_logs", newer) == 1  # day 2
    assert count(database, "event_logs", young) == before
    check = dg.AssetCheckKey(KEY, "fine")
    (found,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=9)
    assert found.run_id == young
    assert gone["step_costs"] == 1  # of the run before the last 90 days
    assert gone["runs"] == 0 and count(database, "runs") == 3  # each still shows something
    assert not any(remove(database).values())


@pytest.mark.slow
def test_a_run_whose_days_were_all_made_again_goes_in_the_end(
    instance: dg.DagsterInstance, database: Database
) -> None:
    older, newer = run(instance, 2), run(instance, 2)
    ended(database, older, 89)
    assert remove(database)["runs"] == 0
    assert count(database, "event_logs", older) == 0
    ended(database, older, 91)
    assert remove(database)["runs"] == 1
    assert instance.get_run_by_id(older) is None
    assert instance.get_run_by_id(newer) is not None
    assert len(days_there(instance)) == 2


@pytest.mark.slow
def test_runs_that_go_on_and_young_runs_keep_everything(
    instance: dg.DagsterInstance, database: Database
) -> None:
    running, young = run(instance, 1), run(instance, 1)
    ended(database, running, 100)
    ended(database, young, 29)
    with database.connect() as connection:
        connection.execute(
            "update dagster.runs set status = 'STARTED' where run_id = %s", (running,)
        )
    assert not any(remove(database).values())


@pytest.mark.slow
def test_the_nightly_job_follows_the_settings(
    instance: dg.DagsterInstance, database: Database, platform: Platform
) -> None:
    older = run(instance, 1)
    run(instance, 1)
    ended(database, older, 10)
    settings = platform.settings.model_copy(update={"event_days": 9})
    result = job.retention.execute_in_process(
        resources={"platform": platform_resource(Platform(settings, SystemClock(), database))},
        run_config=QUIET,
    )
    assert result.success
    assert count(database, "event_logs", older) == 0
