"""What ticks ask for. Bodies run against a real database; no daemon is needed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from regime_pipeline.catalogue import FIELDS, table
from regime_pipeline.catalogue.datasets import DATASETS
from regime_pipeline.catalogue.frames import DTYPES
from regime_pipeline.coverage.rules import series_of
from regime_pipeline.orchestration import resources as resources_module
from regime_pipeline.orchestration import sensors
from regime_pipeline.orchestration.build import build_definitions, pipeline_assets
from regime_pipeline.orchestration.processes import PROCESS_TAG
from regime_pipeline.orchestration.resources import Platform, platform_resource
from regime_pipeline.orchestration.schedules import hourly
from regime_pipeline.storage.database import Database
from regime_pipeline.windows import FixedClock, Window, utc
from regime_pipeline_tests.orchestration.conftest import settings_for


class Stopped:
    """A clock that runs in the eyes of the code, though it always says the same."""

    def __init__(self, at: str) -> None:
        self.at = utc(at)

    def now(self):
        return self.at


def definitions(platform: Platform) -> dg.Definitions:
    return build_definitions(
        assets=pipeline_assets(),
        resources={"platform": platform_resource(platform)},
        jobs=None,
    )


def tick(platform: Platform, at: str) -> dg.RunRequest | None:
    found = definitions(platform)
    with dg.build_schedule_context(
        scheduled_execution_time=utc(at),
        resources={"platform": platform_resource(platform)},
        repository_def=found.get_repository_def(),
    ) as context:
        requests = hourly.evaluate_tick(context).run_requests
    assert len(requests) <= 1
    return requests[0] if requests else None


def test_a_tick_is_one_run_over_the_right_days(platform: Platform) -> None:
    platform.clock = Stopped("2024-05-02 00:02")
    request = tick(platform, "2024-05-02 00:02")
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "2024-05-01T23"
    assert request.tags["dagster/asset_partition_range_start"] == "2024-05-01"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-05-02"
    assert request.partition_key is None


def test_fault_78_a_tick_evaluated_again_asks_for_the_same_run(
    platform: Platform,
) -> None:
    platform.clock = Stopped("2024-05-02 10:02")
    keys = [tick(platform, f"2024-05-02 {t}").run_key for t in ("10:02", "10:59", "11:02")]
    assert keys[0] == keys[1] != keys[2]


def test_replayed_data_makes_no_ticks(platform: Platform) -> None:
    assert isinstance(platform.clock, FixedClock)
    assert tick(platform, "2024-05-02 10:02") is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("origin", "url", "ticks"),
    [
        ("live", "https://api.binance.com", True),
        ("tape", "http://127.0.0.1:9", False),
        ("simulated", "http://127.0.0.1:9", True),
        ("simulated", "https://api.binance.com", False),
    ],
)
def test_real_prices_never_reach_other_data_by_themselves(
    platform: Platform, database: Database, tmp_path: Path, origin: str, url: str, ticks: bool
) -> None:
    platform.clock = Stopped("2024-05-04 10:20")
    platform.settings = settings_for(
        database, tmp_path, origin=origin, sources=("binance",), binance_api_url=url
    )
    assert (tick(platform, "2024-05-02 10:02") is not None) is ticks
    assert bool(gap_tick(platform)) is ticks


def sensor_tick(platform: Platform, sensor: dg.SensorDefinition) -> SensorExecutionData:
    found = definitions(platform)
    with dg.build_sensor_context(
        resources={"platform": platform_resource(platform)}, definitions=found
    ) as context:
        return sensor.evaluate_tick(context)


def gap_tick(platform: Platform) -> list[dg.RunRequest]:
    return list(sensor_tick(platform, sensors.gaps).run_requests)


def log_of(
    platform: Platform, window: Window, failed: str | None = None, minutes: int = 18
) -> pd.DataFrame:
    """A fetch log as if every source had been asked for a window lately, and had nothing."""
    rows = []
    for name in DATASETS:
        for series in series_of(platform.settings, name, platform.settings.universe):
            if series.off is not None:
                continue
            rows.append(
                {
                    "fetch_id": f"{name}{series.key}{failed}{minutes}",
                    "dataset": name,
                    "source": series.source,
                    "venue": series.venue,
                    "market": series.market,
                    "symbol": None if series.symbol == "*" else series.symbol,
                    "window_start": window.start,
                    "window_end": window.end,
                    "fetch_status": "failed" if series.source == failed else "empty",
                    "error_class": "Transient" if series.source == failed else None,
                    "request_count": 1,
                    "fetched_at": platform.clock.now() - timedelta(minutes=minutes),
                }
            )
    frame = pd.DataFrame(rows)
    return frame.astype({c: DTYPES[FIELDS[c].kind] for c in frame}).reindex(
        columns=[f for f in table("ops.fetch_log").fields if f != "run_id"]
    )


@pytest.mark.slow
def test_a_fresh_database_asks_for_the_last_days_once(platform: Platform) -> None:
    platform.clock = Stopped("2024-05-04 10:20")
    found = gap_tick(platform)
    assert 1 <= len(found) <= sensors.REQUESTS_PER_TICK
    assert found[0].tags["dagster/asset_partition_range_start"] == "2024-05-01"
    assert len(found[0].asset_selection) == 6 - 1  # liquidations: no key is set
    assert found[0].run_config["resources"]["scope"]["config"]["only_missing"] is True


@pytest.mark.slow
def test_complete_days_ask_for_nothing_and_a_failed_source_for_itself(platform: Platform) -> None:
    platform.clock = Stopped("2024-05-04 10:20")
    window = Window(utc("2024-05-01"), utc("2024-05-05"))
    platform.warehouse.record("ops.fetch_log", log_of(platform, window), run_id="a")
    assert gap_tick(platform) != []  # one answer is none
    earlier = log_of(platform, window, minutes=40)
    platform.warehouse.record("ops.fetch_log", earlier, run_id="b")
    assert gap_tick(platform) == []
    with platform.database.connect() as connection:
        connection.execute("truncate ops.fetch_log, ops.coverage_spans")
    platform.warehouse.record("ops.fetch_log", log_of(platform, window, failed="okx"), run_id="a")
    earlier = log_of(platform, window, failed="okx", minutes=40)
    platform.warehouse.record("ops.fetch_log", earlier, run_id="b")
    platform.clock = Stopped("2024-05-04 10:25")
    requests = gap_tick(platform)
    assert all(r.run_config["resources"]["scope"]["config"]["sources"] == ["okx"] for r in requests)
    days = {
        key.path[-1]: [
            r.tags[f"dagster/asset_partition_range_{at}"][-2:] for at in ("start", "end")
        ]
        for r in requests
        for key in r.asset_selection
    }
    assert days == {
        "candles": ["01", "04"],
        # asked twice a day: the newest hours are not late yet
        "funding_rates": ["01", "03"],
        "open_interest": ["01", "03"],
        "positioning": ["01", "03"],
        "liquidations": ["03", "04"],  # what the venue keeps
    }


@pytest.mark.slow
def test_fault_82_hours_without_a_daemon_are_made_up_by_one_tick_and_few_requests_oldest_first(
    platform: Platform,
) -> None:
    stopped, back = utc("2024-05-03 20:00"), "2024-05-04 02:02"
    platform.clock = Stopped(back)
    before = Window(utc("2024-05-01"), stopped)
    for run, minutes in (("a", 365), ("b", 390)):
        platform.warehouse.record(
            "ops.fetch_log", log_of(platform, before, minutes=minutes), run_id=run
        )
    now = tick(
        platform, back
    )  # of a schedule without partitions Dagster evaluates the last tick alone
    assert now is not None
    assert now.tags["dagster/asset_partition_range_start"] == "2024-05-04"
    found = gap_tick(platform)
    assert 1 <= len(found) <= sensors.REQUESTS_PER_TICK
    days = [request.tags["dagster/asset_partition_range_start"] for request in found]
    assert days == sorted(days)
    assert days[0] == "2024-05-03"  # the evening that no tick looks at any more


@pytest.mark.slow
def test_requests_of_gaps_name_assets_that_the_job_has(platform: Platform) -> None:
    platform.clock = Stopped("2024-05-04 10:20")
    found = gap_tick(platform)
    job = definitions(platform).resolve_job_def("raw_fetch")
    assert set(found[0].asset_selection) <= job.asset_layer.executable_asset_keys


@pytest.fixture
def process(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setattr(sensors, "process_platform", lambda: platform)
    return platform


def finished_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    @dg.op
    def nothing() -> None:
        return None

    @dg.job(name="raw_fetch")
    def job() -> None:
        nothing()

    return job.execute_in_process(instance=instance, tags=tags)


@pytest.mark.parametrize("gap", [True, False])
def test_a_filled_gap_is_derived_again_up_to_today(process: Platform, gap: bool) -> None:
    process.clock = Stopped("2024-05-04 10:20")
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {
            "dagster/asset_partition_range_start": "2024-05-01",
            "dagster/asset_partition_range_end": "2024-05-02",
        }
        result = finished_run(instance, tags | ({sensors.GAP_TAG: "fetch"} if gap else {}))
        context = dg.build_run_status_sensor_context(
            sensor_name="recompute_after_gaps",
            dagster_event=result.get_run_success_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        )
        answer = sensors.recompute_after_gaps(context)
    if not gap:
        assert isinstance(answer, dg.SkipReason)
        return
    assert answer.job_name == "derived_chain"
    assert answer.tags["dagster/asset_partition_range_start"] == "2024-05-01"
    assert answer.tags["dagster/asset_partition_range_end"] == "2024-05-04"
    assert answer.run_key == f"after:{result.run_id}"


def test_fault_78_a_failed_run_becomes_one_system_alert_however_often_it_is_seen(
    process: Platform, database: Database, tmp_path: Path
) -> None:
    process.settings = settings_for(database, tmp_path, webhooks_all="http://127.0.0.1:9/hook")

    @dg.op
    def broken() -> None:
        raise RuntimeError("the disk is full")

    @dg.job(name="hourly_tick")
    def job() -> None:
        broken()

    with dg.DagsterInstance.ephemeral() as instance:

        def failed(**tags: str) -> tuple[dg.ExecuteInProcessResult, dg.RunFailureSensorContext]:
            done = job.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
            context = dg.build_run_status_sensor_context(
                sensor_name="run_failures",
                dagster_event=done.get_run_failure_event(),
                dagster_instance=instance,
                dagster_run=done.dagster_run,
            )
            return done, context.for_run_failure()

        result, context = failed()
        sensors.run_failures(context)
        sensors.run_failures(context)  # a daemon that was killed looks again
        _, of_a_launch = failed(**{PROCESS_TAG: "boot:1"})
        sensors.run_failures(of_a_launch)  # its command has said so
    with database.connect() as connection:
        rows = connection.execute("select event_type, body from alerts.outbox").fetchall()
    assert len(rows) == 1
    assert "run failed: hourly_tick" in rows[0][1]
    assert result.run_id in rows[0][1]


def test_dispatching_with_nothing_due_says_so(platform: Platform) -> None:
    assert sensor_tick(platform, sensors.alert_dispatch).skip_message == "nothing was due"


def test_sensors_and_schedule_have_unique_names(platform: Platform) -> None:
    found = definitions(platform)
    dg.Definitions.validate_loadable(found)
    names = [s.name for s in sensors.SENSORS] + [hourly.name]
    assert len(names) == len(set(names))


def test_the_process_has_one_platform_until_its_settings_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources_module, "_process", None)
    first = resources_module.process_platform()
    assert resources_module.process_platform() is first
    monkeypatch.setenv("REGIME_SPOT_VENUE", "okx")
    assert resources_module.process_platform() is not first
