"""The pooled storage stores what the stock one stores, only sooner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster_postgres import DagsterPostgresStorage

from regime_pipeline.orchestration import storage_pool
from regime_pipeline.orchestration.instance import dagster_environment, dagster_url
from regime_pipeline.orchestration.partitions import DAILY, range_tags
from regime_pipeline.orchestration.processes import PROCESS_TAG
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import DAY, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.orchestration.conftest import settings_for

START = utc("2024-01-01")
FEWER = {"LOADED_INPUT", "STEP_INPUT", "HANDLED_OUTPUT", "ASSET_MATERIALIZATION_PLANNED"}
"""Events of which fewer are stored than by the stock storage."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def trivial(count: int) -> list[dg.AssetsDefinition]:
    def make(i: int) -> dg.AssetsDefinition:
        @dg.asset(
            name=f"a{i}",
            partitions_def=DAILY,
            check_specs=[dg.AssetCheckSpec("fine", asset=f"a{i}")],
            tags={"kind": "trivial"},
        )
        def body():
            return dg.MaterializeResult(
                metadata={"rows": i}, check_results=[dg.AssetCheckResult(passed=i != 1)]
            )

        return body

    return [make(i) for i in range(count)]


@contextmanager
def instance_on(
    database: Database, storage: type[DagsterPostgresStorage], home: Path
) -> Iterator[dg.DagsterInstance]:
    dagster_environment(settings_for(database, home), database)  # makes the schema
    module = storage.__module__
    with dg.DagsterInstance.from_ref(
        dg._core.instance.ref.InstanceRef.from_dir(
            str(home),
            overrides={
                "telemetry": {"enabled": False},
                "storage": {
                    "custom": {
                        "module": "dagster_postgres" if "dagster_postgres" in module else module,
                        "class": storage.__name__,
                        "config": {"postgres_url": dagster_url(database)},
                    }
                },
            },
        )
    ) as instance:
        yield instance


def record(instance: dg.DagsterInstance, assets: int, days: int) -> str:
    result = dg.materialize(
        trivial(assets),
        instance=instance,
        tags=range_tags(Window(START, START + days * DAY)),
        run_config=QUIET,
    )
    assert result.success
    return result.run_id


def stored(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """What readers can ask, without ids, times and the order among equal steps."""
    storage = instance.event_log_storage
    events = sorted(
        (
            str(e.dagster_event_type),
            str(e.dagster_event.asset_key if e.dagster_event else None),
            str(e.dagster_event.partition if e.dagster_event else None),
            str(e.step_key),
        )
        for e in instance.all_logs(run_id)
        if e.dagster_event_type and e.dagster_event_type.value not in FEWER
    )
    keys = sorted(instance.all_asset_keys(), key=str)
    with storage.index_connection() as connection:
        columns = connection.execute(
            SqlEventLogStorageTable.select().with_only_columns(
                SqlEventLogStorageTable.c.dagster_event_type,
                SqlEventLogStorageTable.c.asset_key,
                SqlEventLogStorageTable.c.partition,
                SqlEventLogStorageTable.c.step_key,
            )
        ).fetchall()
    checks = []
    for key in keys:
        check = dg.AssetCheckKey(key, "fine")
        for found in storage.get_asset_check_execution_history(check, limit=50):
            if found.status.value != "PLANNED":  # the stock one plans a row for each day
                checks.append((str(key), found.status.value, found.partition))
    records = [
        (r.asset_entry.asset_key, r.asset_entry.last_run_id == run_id,
         r.asset_entry.last_materialization.asset_materialization.partition)
        for r in sorted(instance.get_asset_records(keys), key=lambda r: str(r.asset_entry.asset_key))
    ]  # fmt: skip
    return {
        "events": events,
        "rows": sorted(tuple(map(str, row)) for row in columns if row[0] not in FEWER),
        "partitions": {str(k): sorted(storage.get_materialized_partitions(k)) for k in keys},
        "planned": {
            str(k): storage.get_latest_planned_materialization_info(k) is not None for k in keys
        },
        "checks": sorted(map(str, checks)),
        "records": records,
    }


@pytest.mark.slow
def test_a_day_of_a_long_range_costs_less_than_a_kilobyte(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    days = 40

    @dg.asset(name="up", partitions_def=DAILY)
    def up(context):
        context.add_asset_metadata({"plot": "x" * 5000}, partition_key="2024-02-09")
        return dg.MaterializeResult()

    @dg.asset(name="down", partitions_def=DAILY, deps=[up])
    def down():
        return dg.MaterializeResult()

    with instance_on(database, storage_pool.PooledStorage, tmp_path) as instance:
        tags = range_tags(Window(START, START + days * DAY))
        result = dg.materialize([up, down], instance=instance, tags=tags, run_config=QUIET)
        with database.connect() as connection:
            query = (
                "select sum(length(event)) from dagster.event_logs "
                "where asset_key is not null and partition < '2024-02-08'"
            )
            (size,) = connection.execute(query).fetchone() or (0,)
        assert len(instance.get_materialized_partitions(dg.AssetKey("down"))) == days
        stale = CachingStaleStatusResolver(
            instance,
            dg.Definitions([up, down]).resolve_asset_graph(),
            LoadingContextForTest(instance),
        )
        for day in ("2024-01-05", "2024-02-09"):
            assert stale.get_status(down.key, day) == StaleStatus.FRESH, day
        planned = {
            str(e.dagster_event.partition)
            for e in instance.all_logs(result.run_id)
            if e.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        }
    assert planned == {"2024-02-08", "2024-02-09"}
    assert size / (2 * (days - 2)) < 1000


@pytest.mark.slow
def test_a_failed_run_can_go_on_where_it_failed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a retry needs of the events is still in them."""
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with instance_on(database, storage_pool.PooledStorage, tmp_path) as instance:
        run_id = record(instance, assets=1, days=1)
        kinds = {
            e.dagster_event_type: e.dagster_event
            for e in instance.all_logs(run_id)
            if e.dagster_event is not None
        }
    for kind in (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS):
        assert kinds[kind].step_handle is not None
        assert kinds[kind].step_key == "a0"
    assert kinds[dg.DagsterEventType.STEP_OUTPUT].step_key == "a0"
    assert kinds[dg.DagsterEventType.STEP_OUTPUT].message


@pytest.mark.slow
def test_a_check_that_is_only_planned_leaves_no_row_and_its_result_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with instance_on(database, storage_pool.PooledStorage, tmp_path) as instance:
        record(instance, assets=1, days=3)
        with database.connect() as connection:
            rows = connection.execute(
                "select execution_status from dagster.asset_check_executions"
            ).fetchall()
    assert rows == [("SUCCEEDED",)]


def test_a_connection_is_checked_only_after_it_lay_idle(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = storage_pool.pooled_engine(dagster_url(database))

    def kill_all() -> None:
        with database.connect() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )

    try:
        with engine.connect() as connection:
            before = connection.connection.dbapi_connection
        with engine.connect() as connection:  # at once: the same one, unasked
            assert connection.connection.dbapi_connection is before
        kill_all()
        monkeypatch.setattr(storage_pool, "IDLE_S", 0.0)
        with engine.connect() as connection:  # as after idling: found dead, another one is opened
            assert connection.connection.dbapi_connection is not before
            assert connection.exec_driver_sql("select 1").scalar() == 1
    finally:
        engine.dispose()


@pytest.mark.slow
def test_the_same_events_are_stored_as_by_the_stock_storage(
    postgres: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for storage, batch in ((DagsterPostgresStorage, "0"), (storage_pool.PooledStorage, "1000")):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", batch)
        home = tmp_path / storage.__name__
        home.mkdir()
        with postgres.database() as database, instance_on(database, storage, home) as instance:
            found.append(stored(instance, record(instance, assets=3, days=4)))
    for part in found[0]:
        assert found[0][part] == found[1][part], part
    assert len(found[1]["partitions"]["AssetKey(['a0'])"]) == 4


@pytest.mark.slow
def test_other_versions_fall_back_to_stock_batches(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(storage_pool, "WRITTEN_AGAINST", ("0", "0"))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with instance_on(database, storage_pool.PooledStorage, tmp_path) as instance:
        run_id = record(instance, assets=2, days=2)
        assert len(instance.get_materialized_partitions(dg.AssetKey("a0"))) == 2
        assert instance.get_run_by_id(run_id).is_success
    assert "batching is off" in caplog.text


def test_dagsters_tables_stay_out_of_the_data(
    instance: dg.DagsterInstance, database: Database
) -> None:
    record(instance, assets=1, days=1)
    with database.connect() as connection:
        schemas = connection.execute(
            "select distinct schemaname from pg_tables where tablename in ('event_logs', 'runs')"
        ).fetchall()
    assert schemas == [("dagster",)]


def test_a_run_of_a_launch_is_one_of_the_code_location_and_any_other_stays_as_it_is() -> None:
    plain = dg.DagsterRun(job_name="derived_chain")
    assert storage_pool.run_of_location(plain) is plain
    launched = dg.DagsterRun(job_name="derived_chain", tags={PROCESS_TAG: "boot:1"})
    shown = storage_pool.run_of_location(launched)
    assert shown.run_id == launched.run_id
    assert shown.tags_for_storage()[".dagster/repository"] == "__repository__@regime_pipeline"
    assert storage_pool.run_of_location(shown) is shown
