"""Runs that were given up while their process lives on, and runs of older code."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import SensorInstigatorData
from dagster._core.test_utils import (
    InProcessTestWorkspaceLoadTarget,
    create_test_daemon_workspace_context,
    freeze_time,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.sensor import execute_sensor_iteration

from regime_pipeline.orchestration import freshness, processes
from regime_pipeline.orchestration.instance import (
    ROOT,
    dagster_home,
    instance_for,
    workspace_file,
)
from regime_pipeline.orchestration.partitions import range_tags
from regime_pipeline.orchestration.resources import Platform
from regime_pipeline.settings import Settings
from regime_pipeline.storage.errors import RunEndedError
from regime_pipeline.windows import DAY, FixedClock, SystemClock, Window, utc
from regime_pipeline_tests._server import TestServer
from regime_pipeline_tests.orchestration import _renamed
from regime_pipeline_tests.orchestration.conftest import NOW, raw_funding, settings_for

pytestmark = pytest.mark.xdist_group("processes")  # one module fixture, not one a worker

DAYS = Window(utc("2024-03-08"), utc("2024-03-10"))


@pytest.fixture(scope="module")
def stage(
    postgres: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, dg.DagsterInstance]]:
    """One database for all: Dagster's own tables take longer to make than anything here."""
    with postgres.database() as made:
        settings = settings_for(made, tmp_path_factory.mktemp("home"))
        with instance_for(settings, made) as instance:
            yield Platform(settings, FixedClock(NOW), made), instance


@pytest.mark.slow
@pytest.mark.parametrize("given_up", ["failed", "canceled"])
def test_fault_55_a_run_that_was_given_up_writes_nothing_when_it_wakes(
    stage: tuple[Platform, dg.DagsterInstance], given_up: str
) -> None:
    (platform, instance), name = stage, "raw.funding_rates"
    warehouse, run = platform.warehouse, dg.DagsterRun(job_name="raw_fetch")
    instance.add_run(run)
    frame = raw_funding(*(DAYS.start, DAYS.end))
    warehouse.merge(name, frame, mode="replace", window=DAYS, run_id=run.run_id)
    written = warehouse.read(name, DAYS)
    assert len(written) == len(frame)
    getattr(instance, f"report_run_{given_up}")(run)
    restated = frame.assign(funding_rate=frame["funding_rate"] + 0.001)
    for late in (restated, frame.iloc[1:], frame):
        with pytest.raises(RunEndedError, match="nothing was stored"):
            warehouse.merge(name, late, mode="replace", window=DAYS, run_id=run.run_id)
    assert warehouse.read(name, DAYS).equals(written)
    # what writes without a run is nobody's to give up
    assert warehouse.merge(name, restated, run_id="not a run").updated == len(frame)


@pytest.mark.slow
def test_fault_81_while_a_run_of_older_code_goes_on_its_days_are_in_doubt(
    stage: tuple[Platform, dg.DagsterInstance],
) -> None:
    platform, instance = stage
    doubted = Window(DAYS.end - DAY, DAYS.end)
    old = dg.DagsterRun(
        job_name="a_job_that_has_another_name_now",
        status=dg.DagsterRunStatus.STARTED,
        tags={**range_tags(doubted), freshness.BY_TAG: "older code"},
    )
    new = dg.DagsterRun(
        job_name="derived_chain",
        status=dg.DagsterRunStatus.SUCCESS,
        tags={
            freshness.BY_TAG: "this code",
            freshness.FROM_TAG: DAYS.start.isoformat(),
            freshness.TO_TAG: DAYS.end.isoformat(),
        },
    )
    instance.add_run(old)
    instance.add_run(new)
    processes.settle_dead_runs(instance)
    kept = instance.get_run_by_id(old.run_id)
    assert kept is not None
    assert kept.status is dg.DagsterRunStatus.STARTED  # whoever executes it goes on to its end
    told = freshness.story(
        instance, platform.database, "this code", harmless=(old.job_name, "raw_fetch")
    )
    assert freshness.known(told, lambda day: {}) == [freshness.Known(DAYS.start, DAYS.end)]
    told = freshness.story(instance, platform.database, "this code", harmless=("raw_fetch",))
    assert freshness.known(told, lambda day: {}) == [freshness.Known(DAYS.start, doubted.start)]


@pytest.mark.slow
def test_fault_81_sensors_go_on_from_their_cursors_when_an_asset_got_another_name(
    stage: tuple[Platform, dg.DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, _ = stage
    monkeypatch.setenv("REGIME_DATABASE_URL", platform.database.url)
    monkeypatch.setenv("REGIME_HOME", str(platform.settings.home))
    begun = SystemClock().now()
    with instance_for(Settings(), platform.database) as instance:
        ticks = [
            restated_tick(instance, code, begun + timedelta(minutes=10 * n))
            for n, code in enumerate(("before", "before", "after"))
        ]
    assert [why for why, _ in ticks] == ["looks from now on", *["nothing to derive again"] * 2]
    cursors = [utc(cursor) for _, cursor in ticks]
    assert cursors == sorted(cursors)


def restated_tick(
    instance: dg.DagsterInstance, code: str, at: datetime
) -> tuple[str | None, str | None]:
    """One round of the daemon over a code location: why the sensor asked for nothing, and its cursor."""
    place = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name=_renamed.__name__, attribute=code), "code"
    )
    with create_test_daemon_workspace_context(
        InProcessTestWorkspaceLoadTarget(place), instance
    ) as workspace:
        (location,) = workspace.create_request_context().code_locations
        (repository,) = location.get_repositories().values()
        known = repository.asset_graph.get_all_asset_keys()
        assert {_renamed.BEFORE, _renamed.AFTER} & known == {getattr(_renamed, code.upper())}
        with freeze_time(at):
            list(execute_sensor_iteration(workspace, logging.getLogger("daemon"), None, None))
    (state,) = instance.all_instigator_state()
    (tick,) = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    data = state.instigator_data
    assert isinstance(data, SensorInstigatorData)
    return tick.skip_reason, data.cursor


def test_runs_of_another_machine_are_left_to_it(
    stage: tuple[Platform, dg.DagsterInstance],
) -> None:
    _, instance = stage
    here = processes.process_id(2**22 + 1)
    machine, _, local = here.rpartition("/")
    tags = {
        "gone": here,
        "another boot": f"{machine}/0badb007:1",
        "another machine": f"0badcafe/{local}",
        "this one": processes.process_id(os.getpid()),
    }
    runs = {
        name: dg.DagsterRun(
            job_name="derived_chain",
            status=dg.DagsterRunStatus.STARTED,
            tags={processes.PROCESS_TAG: tag},
        )
        for name, tag in tags.items()
    }
    for run in runs.values():
        instance.add_run(run)
    settled = processes.settle_dead_runs(instance)
    assert set(settled) == {runs["gone"].run_id, runs["another boot"].run_id}


def test_another_folder_may_configure_the_instance(
    stage: tuple[Platform, dg.DagsterInstance], tmp_path: Path
) -> None:
    platform, _ = stage
    chosen = platform.settings.model_copy(update={"dagster_home": tmp_path})
    with pytest.raises(FileNotFoundError, match="REGIME_DAGSTER_HOME"):
        dagster_home(chosen)
    text = (ROOT / "dagster.yaml").read_text().replace("max_retries: 2", "max_retries: 7")
    (tmp_path / "dagster.yaml").write_text(text)
    with instance_for(chosen, platform.database) as configured:
        assert configured.run_retries_max_retries == 7
    assert workspace_file(tmp_path) == ROOT / "workspace.yaml"
    (tmp_path / "workspace.yaml").touch()
    assert workspace_file(tmp_path) == tmp_path / "workspace.yaml"
